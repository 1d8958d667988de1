//! The log's signed heads, beside the books: whoever takes the books over continues the same log.
//!
//! A head is stored by a session of its own, while batches go on. It is stored only under the epoch of the books'
//! writer, and only if the newest head is the expected one. When the server stays away for a while, or the answer of
//! the commit was lost, the head is not given up: it is looked for and stored again, until somebody else has taken
//! over or [`PATIENCE`] ends.

use super::address::Address;
use super::error::PostgresError;
use super::fence::{self, Reign};
use super::link::{Link, Parameter};
use super::row::{Columns, Time};
use super::session;
use crate::books::StoreError;
use crate::decode::{Row as _, int};
use crate::log_store::{LogError, RawRow, SharedHeads, SignedHead};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tpw_core::{Hash32, TreeHead};

/// How long a fail-over of the database may take before the log gives up and waits to be opened again.
const PATIENCE: Duration = Duration::from_secs(120);
/// For how long the log may be told that it was deposed: the books' writer, on its way back, raises the epoch on the
/// server a moment before this process knows.
const DOUBT: Duration = Duration::from_secs(2);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(250);
/// No answer takes longer.
const WAIT_MAX: Duration = Duration::from_secs(20);

const DOING: &str = "use the stored heads";

/// A handle on the stored heads. Each thread has its own.
pub struct Heads {
    address: Arc<Address>,
    /// The writer's; none when nobody writes here, as in an audit.
    reign: Option<Arc<Reign>>,
    link: RefCell<Option<Link>>,
}

impl Heads {
    pub(super) fn of(address: &Arc<Address>, reign: &Arc<Reign>) -> Self {
        let (address, reign) = (Arc::clone(address), Some(Arc::clone(reign)));
        Self { address, reign, link: RefCell::default() }
    }

    /// The heads of books of which this process is not the writer: they can be read.
    #[must_use]
    pub fn to_read(address: Address) -> Self {
        Self { address: Arc::new(address), reign: None, link: RefCell::default() }
    }

    /// Begins a transaction under the writer's epoch.
    fn enter(&self, link: &Link) -> Result<(), PostgresError> {
        fence::enter(link, self.reign.as_ref().ok_or(PostgresError::Fenced)?)
    }

    /// Uses the connection, a new one if there is none that is sound; after a failure it is given up.
    fn with<T>(&self, work: impl FnOnce(&Link) -> Result<T, LogError>) -> Result<T, LogError> {
        let sound = self.link.borrow().as_ref().is_some_and(Link::is_sound);
        if !sound {
            let name = format!("tpw log (process {})", std::process::id());
            let link = Link::open(&self.address, &name, WAIT_MAX)?;
            session::to_write(&link)?;
            *self.link.borrow_mut() = Some(link);
        }
        let done = match self.link.borrow().as_ref() {
            Some(link) => work(link),
            None => Err(PostgresError::Fenced.into()),
        };
        if done.is_err() {
            *self.link.borrow_mut() = None;
        }
        done
    }

    /// Reads on the writer's server only: one that was left behind does not know the newest heads.
    fn one(&self, condition: &str, value: u64) -> Result<Option<SignedHead>, LogError> {
        let sql = format!("SELECT {COLUMNS} FROM head WHERE {condition} LIMIT 1");
        let value = int(value);
        let read = |link: &Link| {
            if let Some(reign) = &self.reign {
                reign.demand(link)?;
            }
            let rows = link.rows(DOING, &sql, &[&value])?;
            rows.first().map(|row| raw(&mut Columns::new(row, "head"))?.parse()).transpose()
        };
        match self.with(read) {
            Err(LogError::Shared(PostgresError::Lost { .. } | PostgresError::Fenced)) => {
                self.with(read)
            }
            other => other,
        }
    }

    fn store(
        &self,
        link: &Link,
        expected: Option<TreeHead>,
        new: &SignedHead,
    ) -> Result<(), LogError> {
        self.enter(link)?;
        let newest = "SELECT size, root FROM head ORDER BY size DESC LIMIT 1";
        let rows = link.rows(DOING, newest, &[])?;
        let found = rows.first().map(|row| head(&mut Columns::new(row, "head"))).transpose()?;
        if found == Some(new.head) {
            return self.demand_stored(link, new);
        }
        if found != expected || expected.is_some_and(|head| head.size >= new.head.size) {
            return Err(LogError::Overtaken);
        }
        let insert = "INSERT INTO head (size, previous_size, issued, root, note, root_signature,
                          token) VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let (size, previous_size) = (int(new.head.size), int(new.previous_size));
        let (issued, root) = (Time(new.issued), new.head.root.as_bytes().as_slice());
        let (note, signature) = (new.checkpoint.to_string(), new.root_signature.to_bytes());
        let row: [Parameter<'_>; 7] =
            [&size, &previous_size, &issued, &root, &note, &signature, &new.token];
        link.rows(DOING, insert, &row)?;
        Ok(link.commit(DOING)?)
    }

    /// An earlier try has stored a head of this size: it must be this one.
    fn demand_stored(&self, link: &Link, new: &SignedHead) -> Result<(), LogError> {
        let sql = format!("SELECT {COLUMNS} FROM head ORDER BY size DESC LIMIT 1");
        let rows = link.rows(DOING, &sql, &[])?;
        let stored = rows.first().map(|row| raw(&mut Columns::new(row, "head"))?.parse());
        if stored.transpose()?.as_ref() != Some(new) {
            return Err(LogError::Overtaken);
        }
        // The server may have it and its standbys not. They take this only after that.
        link.rows(DOING, "UPDATE log_epoch SET epoch = epoch", &[])?;
        Ok(link.commit(DOING)?)
    }
}

const COLUMNS: &str = "size, previous_size, root, note, root_signature, token, issued";

fn unreadable(error: StoreError) -> LogError {
    LogError::Source(error.to_string())
}

fn head(columns: &mut Columns<'_>) -> Result<TreeHead, LogError> {
    let size = columns.uint().map_err(unreadable)?;
    let root: Hash32 = columns.hash().map_err(unreadable)?;
    Ok(TreeHead { size, root })
}

fn raw(columns: &mut Columns<'_>) -> Result<RawRow, LogError> {
    let mut read = || {
        Ok::<_, StoreError>(RawRow {
            size: int(columns.uint()?),
            previous_size: int(columns.uint()?),
            root: columns.bytes()?.to_vec(),
            note: columns.text()?.to_owned(),
            root_signature: columns.bytes()?.to_vec(),
            token: columns.bytes()?.to_vec(),
            issued_ms: int(columns.time()?.unix_ms()),
        })
    };
    read().map_err(unreadable)
}

impl SharedHeads for Heads {
    fn newest(&self) -> Result<Option<SignedHead>, LogError> {
        self.one("size >= $1 ORDER BY size DESC", 0)
    }

    fn at(&self, size: u64) -> Result<Option<SignedHead>, LogError> {
        self.one("size = $1", size)
    }

    fn covering(&self, index: u64) -> Result<Option<SignedHead>, LogError> {
        self.one("size > $1 ORDER BY size", index)
    }

    fn advance(&self, expected: Option<TreeHead>, new: &SignedHead) -> Result<(), LogError> {
        let begun = Instant::now();
        // Nobody sends on it: it is only waited at.
        let (_sender, pause) = std::sync::mpsc::channel::<()>();
        loop {
            let failure = match self.with(|link| self.store(link, expected, new)) {
                Err(LogError::Shared(failure)) => failure,
                other => return other,
            };
            let patience = match &failure {
                // The books' writer raises the epoch for both when it is back.
                PostgresError::Fenced => DOUBT,
                PostgresError::Lost { .. }
                | PostgresError::Unreachable { .. }
                | PostgresError::Alone(_) => PATIENCE,
                _ => Duration::ZERO,
            };
            if begun.elapsed() >= patience {
                return Err(failure.into());
            }
            tracing::warn!(error = %failure, "a signed head is not stored yet");
            let _elapsed = pause.recv_timeout(PAUSE);
        }
    }

    fn next_epoch(&self) -> Result<u64, LogError> {
        self.with(|link| {
            self.enter(link)?;
            let sql = "UPDATE log_epoch SET epoch = epoch + 1 RETURNING epoch";
            let rows = link.rows(DOING, sql, &[])?;
            let row = rows.first().ok_or(PostgresError::Fenced)?;
            let next = Columns::new(row, "log epoch").uint().map_err(unreadable)?;
            link.commit(DOING)?;
            Ok(next)
        })
    }

    fn epoch(&self) -> Result<u64, LogError> {
        self.with(|link| {
            let rows = link.rows(DOING, "SELECT epoch FROM log_epoch", &[])?;
            let row = rows.first().ok_or(PostgresError::Fenced)?;
            Columns::new(row, "log epoch").uint().map_err(unreadable)
        })
    }

    fn audit(
        &self,
        each: &mut dyn FnMut(u64, Result<SignedHead, LogError>),
    ) -> Result<(), LogError> {
        self.with(|link| {
            let sql = format!("SELECT {COLUMNS} FROM head ORDER BY size");
            link.each_row(DOING, &sql, &[], |row| {
                let size = Columns::new(row, "head").uint().unwrap_or(0);
                each(size, raw(&mut Columns::new(row, "head")).and_then(RawRow::parse));
                true
            })?;
            Ok(())
        })
    }

    fn again(&self) -> Box<dyn SharedHeads> {
        let (address, reign) = (Arc::clone(&self.address), self.reign.clone());
        Box::new(Self { address, reign, link: RefCell::default() })
    }
}
