//! One writer at a time: a lock for those who come, an epoch against those who were left behind.
//!
//! The lock is the session's: it ends with the connection, whatever ends that. But a process may go on for a while
//! after its session has ended, or reach a server that is no longer the primary. So every batch also names the epoch
//! under which its writer opened the books, and the table `fence` refuses any but the newest.

use super::error::PostgresError;
use super::link::Link;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// The key of the lock, the same for all books: a lock belongs to one database. ("tpwbooks" in ASCII.)
const LOCK: i64 = 0x7470_7762_6f6f_6b73;
/// The key of the gate between an advance of the log and whoever raises the epoch. ("tpwheads" in ASCII.)
const GATE: i64 = 0x7470_7768_6561_6473;
/// The longest single wait for the lock; then the connection is looked at again.
const TURN: Duration = Duration::from_secs(5);

/// A writer's session, so that it can be ended from another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Session {
    process: i32,
    since: String,
}

const ME: &str = "SELECT pid, backend_start::text FROM pg_catalog.pg_stat_activity
                  WHERE pid = pg_catalog.pg_backend_pid()";

impl Session {
    /// This connection's.
    pub(super) fn of(link: &Link) -> Result<Self, PostgresError> {
        let rows = link.rows("name the session", ME, &[])?;
        let found = rows.first().and_then(|row| Some((row.try_get(0).ok()?, row.try_get(1).ok()?)));
        let (process, since) = found.unwrap_or_default();
        Ok(Self { process, since })
    }

    /// Ends it, if it still exists: after a lost connection the server may take a while to notice.
    pub(super) fn end(&self, link: &Link) -> Result<Former, PostgresError> {
        let sql = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
                   WHERE pid = $1 AND backend_start::text = $2";
        let told = link.rows("end the former session", sql, &[&self.process, &self.since])?;
        Ok(if told.is_empty() { Former::Gone } else { Former::Told })
    }
}

/// What became of a session that is not wanted any more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Former {
    Gone,
    /// It was told to end, which may take as long as what it waits for.
    Told,
}

impl core::fmt::Display for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "session {} since {}", self.process, self.since)
    }
}

/// Under what name and as which writer this process writes; shared by all its sessions.
pub(super) struct Reign {
    epoch: AtomicI64,
    /// No other process has it: the first session is named in it.
    holder: String,
}

impl Reign {
    pub(super) const fn new(epoch: i64, holder: String) -> Self {
        Self { epoch: AtomicI64::new(epoch), holder }
    }

    /// The newest epoch of which this process knows that it raised it.
    pub(super) fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Demands that the writer of these books is still this process. It may have raised the epoch without knowing, when the answer
    /// was lost; one that is older than ours is a server's that was left behind.
    pub(super) fn demand(&self, link: &Link) -> Result<Known, PostgresError> {
        let sql = "SELECT epoch, holder FROM fence";
        let rows = link.rows("read the epoch", sql, &[])?;
        let found = rows.first().and_then(|row| Some((row.try_get(0).ok()?, row.try_get(1).ok()?)));
        let (found, holder): (i64, String) = found.ok_or(PostgresError::Fenced)?;
        match found.cmp(&self.epoch()) {
            core::cmp::Ordering::Equal => Ok(Known::Yes),
            core::cmp::Ordering::Greater if holder == self.holder => Ok(Known::NotYet),
            _ => Err(PostgresError::Fenced),
        }
    }

    /// Deposes whoever wrote before. To be called with the lock.
    pub(super) fn raise(&self, link: &Link) -> Result<(), PostgresError> {
        self.epoch.store(raise(link, &self.holder)?, Ordering::Release);
        Ok(())
    }
}

/// Whether this process knows that it raised the epoch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Yes,
    NotYet,
}

/// Takes the lock, waiting until `deadline` for whoever has it. A session of this process's own, which was told to end, is nobody
/// else: then waiting helps.
pub(super) fn lock(link: &Link, deadline: Instant, own: &[Session]) -> Result<(), PostgresError> {
    let doing = "take the lock";
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).min(TURN);
        // Zero would mean no limit at all.
        let limit = left.as_millis().max(1);
        link.script(doing, &format!("SET lock_timeout = {limit}"))?;
        match link.rows(doing, "SELECT pg_catalog.pg_advisory_lock($1)", &[&LOCK]) {
            Ok(_) => return link.script(doing, "SET lock_timeout = '10s'"),
            // 55P03: lock_not_available.
            Err(PostgresError::Refused { why, .. }) if why.contains("55P03") => {
                if Instant::now() >= deadline {
                    return Err(held(link, own)?);
                }
            }
            Err(other) => return Err(other),
        }
    }
}

/// Why the lock was not to be had: who has it, in words.
fn held(link: &Link, own: &[Session]) -> Result<PostgresError, PostgresError> {
    let sql = "SELECT coalesce(a.application_name, ''),
                   coalesce(pg_catalog.host(a.client_addr), 'this machine'),
                   coalesce(pg_catalog.date_trunc('second', a.backend_start)::text, 'unknown'),
                   a.pid, coalesce(a.backend_start::text, '')
               FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
               WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                   AND l.database = (SELECT oid FROM pg_catalog.pg_database
                                     WHERE datname = pg_catalog.current_database())
                   AND (l.classid::bigint << 32 | l.objid::bigint) = $1";
    let rows = link.rows("look who has the lock", sql, &[&LOCK])?;
    let found = rows.first().and_then(|row| {
        let (name, from): (String, String) = (row.try_get(0).ok()?, row.try_get(1).ok()?);
        let since: String = row.try_get(2).ok()?;
        let session = Session { process: row.try_get(3).ok()?, since: row.try_get(4).ok()? };
        Some((format!("`{name}` from {from} since {since}"), session))
    });
    let doing = "take the lock";
    Ok(match found {
        Some((_, session)) if own.contains(&session) => {
            let why = format!("our former {session} has not ended yet");
            PostgresError::Lost { doing, why }
        }
        None if !own.is_empty() => {
            PostgresError::Lost { doing, why: "its holder has just ended".to_owned() }
        }
        Some((by, _)) => PostgresError::Held { by },
        None => PostgresError::Held { by: "another process that has just ended".to_owned() },
    })
}

/// The epoch, as it is.
pub(super) fn epoch(link: &Link) -> Result<i64, PostgresError> {
    let rows = link.rows("read the epoch", "SELECT epoch FROM fence", &[])?;
    let found = rows.first().and_then(|row| row.try_get(0).ok());
    // Books without an epoch are not these books.
    found.ok_or(PostgresError::Fenced)
}

/// Deposes whoever wrote before, and answers the new epoch. To be called with the lock.
fn raise(link: &Link, name: &str) -> Result<i64, PostgresError> {
    let doing = "raise the epoch";
    // Whatever a deposed writer's log is storing just now is stored before this, or never.
    link.script(doing, &format!("BEGIN; SELECT pg_catalog.pg_advisory_xact_lock({GATE})"))?;
    let sql = "UPDATE fence SET epoch = epoch + 1, writer = epoch + 1, holder = $1, since = now()
               RETURNING epoch";
    let rows = link.rows(doing, sql, &[&name])?;
    link.commit(doing)?;
    let found = rows.first().and_then(|row| row.try_get(0).ok());
    found.ok_or(PostgresError::Fenced)
}

/// Begins a transaction of another session of the writer, and demands that it may still write.
pub(super) fn enter(link: &Link, reign: &Reign) -> Result<(), PostgresError> {
    let doing = "pass the gate";
    let gate = format!("BEGIN; SELECT pg_catalog.pg_advisory_xact_lock_shared({GATE})");
    link.script(doing, &gate)?;
    match reign.demand(link)? {
        Known::Yes => Ok(()),
        Known::NotYet => {
            Err(PostgresError::Lost { doing, why: "the writer is on its way back".to_owned() })
        }
    }
}

/// Opens every batch: counts it, and fails for a writer that was deposed.
pub(super) const CLAIM: &str = "UPDATE fence SET writer = $1, batches = batches + 1";
