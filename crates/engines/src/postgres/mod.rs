//! The books in PostgreSQL: one session writes, others read.
//!
//! A batch of the writer is one transaction, sent in one or a few round trips. The server has to sync before it
//! answers, and where it has synchronous standbys it waits for them; a server that is set up otherwise is refused.
//! Only the newest writer can commit ([`fence`]); only the server that takes writes is read.

mod address;
mod batch;
mod error;
mod fence;
mod heads;
mod link;
mod read;
mod row;
mod session;
mod sheet;
mod tables;
mod tls;
mod write;

pub use address::Address;
pub use error::PostgresError;
pub use heads::Heads;
pub use read::Reader;

use crate::books::StoreError;
use fence::{Former, Reign, Session};
use link::Link;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// No answer to the writer takes longer, or the connection counts as lost.
const WRITE_MAX: Duration = Duration::from_secs(20);
/// How long the server may take to end a session of ours and free its lock.
const FAREWELL: Duration = Duration::from_secs(2);
/// Pause between two tries to reach a server.
const PAUSE: Duration = Duration::from_millis(300);

/// The books of one operator, open for writing.
pub struct Store {
    address: Arc<Address>,
    name: String,
    link: Option<Link>,
    /// The session that has the lock, and former ones that may not have ended yet.
    sessions: Vec<Session>,
    /// Under which this process may write; shared with its readers.
    reign: Arc<Reign>,
}

impl Store {
    /// Opens or creates the books, and deposes any earlier writer. Waits as long as the address says for a server that
    /// takes writes, and for another writer to end.
    ///
    /// # Errors
    /// [`StoreError`] when there is no such server, it may lose what it has committed, another process writes, or the
    /// books are of another format.
    pub fn open(address: Address) -> Result<Self, StoreError> {
        let address = Arc::new(address);
        let name = format!("tpw (process {})", std::process::id());
        let deadline = Instant::now().checked_add(address.lock_wait());
        let deadline = deadline.unwrap_or_else(Instant::now);
        // Nobody sends on it: it is only waited at.
        let (_sender, pause) = std::sync::mpsc::channel::<()>();
        loop {
            match begin(&address, &name, deadline) {
                Ok((link, session, reign)) => {
                    let (sessions, reign) = (vec![session], Arc::new(reign));
                    return Ok(Self { address, name, link: Some(link), sessions, reign });
                }
                Err(error) if is_passing(&error) && Instant::now() < deadline => {
                    tracing::info!(%error, "waiting for the books");
                    let _elapsed = pause.recv_timeout(PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The log's signed heads, which are kept beside the books.
    #[must_use]
    pub fn heads(&self) -> Heads {
        Heads::of(&self.address, &self.reign)
    }

    /// The connection, or why there is none: after a failure it is only made again by [`Store::resume`].
    fn link(&self) -> Result<&Link, PostgresError> {
        let lost = || PostgresError::Lost { doing: "write", why: "it was given up".to_owned() };
        self.link.as_ref().ok_or_else(lost)
    }

    /// Runs something on the connection; after any failure the connection is given up, for what it left behind on the
    /// server is unknown.
    fn using<T>(
        &mut self,
        work: impl FnOnce(&Link, i64) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let epoch = self.reign.epoch();
        let done = self.link().map_err(StoreError::from).and_then(|link| work(link, epoch));
        if done.is_err() {
            self.link = None;
        }
        done
    }

    /// Connects again after a failure, if nobody else has written since.
    fn resume(&mut self) -> Result<(), StoreError> {
        if self.link.as_ref().is_some_and(Link::is_sound) {
            return Ok(());
        }
        self.link = None;
        let link = Link::open(&self.address, &self.name, WRITE_MAX)?;
        session::to_write(&link)?;
        self.reign.demand(&link)?;
        // The server may not have noticed yet that our former session has ended, and keep the lock for it.
        self.end_former(&link)?;
        let deadline = Instant::now().checked_add(FAREWELL).unwrap_or_else(Instant::now);
        // From here on the new session is one of those that may have the lock, whatever answer gets lost.
        let session = Session::of(&link)?;
        self.sessions.push(session.clone());
        fence::lock(&link, deadline, &self.sessions)?;
        self.reign.demand(&link)?;
        self.reign.raise(&link)?;
        (self.sessions, self.link) = (vec![session], Some(link));
        Ok(())
    }

    /// Ends our former sessions, and forgets those that have ended.
    fn end_former(&mut self, link: &Link) -> Result<(), PostgresError> {
        let mut left = Vec::new();
        for session in &self.sessions {
            if session.end(link)? == Former::Told {
                left.push(session.clone());
            }
        }
        self.sessions = left;
        Ok(())
    }
}

fn begin(
    address: &Address,
    name: &str,
    deadline: Instant,
) -> Result<(Link, Session, Reign), StoreError> {
    let link = Link::open(address, name, WRITE_MAX)?;
    session::to_write(&link)?;
    fence::lock(&link, deadline, &[])?;
    session::bring_up(&link)?;
    let session = Session::of(&link)?;
    let reign = Reign::new(0, format!("{name}, {session}"));
    reign.raise(&link)?;
    Ok((link, session, reign))
}

/// Whether waiting may help.
const fn is_passing(error: &StoreError) -> bool {
    use PostgresError::{Lost, Unreachable};
    matches!(error, StoreError::Postgres(Lost { .. } | Unreachable { .. }))
}
