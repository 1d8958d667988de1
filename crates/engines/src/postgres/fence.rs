//! One writer at a time: a lock for those who come, an epoch against those who were left behind.
//!
//! The lock is the session's: it ends with the connection, whatever ends that. But a process may go on for a while
//! after its session has ended, or reach a server that is no longer the primary. So every batch also names the epoch
//! under which its writer opened the books, and the table `fence` refuses any but the newest.

use super::error::PostgresError;
use super::link::Link;
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
    pub(super) fn end(&self, link: &Link) -> Result<(), PostgresError> {
        let sql = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
                   WHERE pid = $1 AND backend_start::text = $2";
        link.rows("end the former session", sql, &[&self.process, &self.since]).map(|_rows| ())
    }
}

/// Takes the lock, waiting until `deadline` for whoever has it.
pub(super) fn lock(link: &Link, deadline: Instant) -> Result<(), PostgresError> {
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
                    return Err(PostgresError::Held { by: holder(link)? });
                }
            }
            Err(other) => return Err(other),
        }
    }
}

/// Who has the lock, in words.
fn holder(link: &Link) -> Result<String, PostgresError> {
    let sql = "SELECT coalesce(a.application_name, ''),
                   coalesce(pg_catalog.host(a.client_addr), 'this machine'),
                   coalesce(pg_catalog.date_trunc('second', a.backend_start)::text, 'unknown')
               FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
               WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                   AND l.database = (SELECT oid FROM pg_catalog.pg_database
                                     WHERE datname = pg_catalog.current_database())
                   AND (l.classid::bigint << 32 | l.objid::bigint) = $1";
    let rows = link.rows("look who has the lock", sql, &[&LOCK])?;
    let words = rows.first().and_then(|row| {
        let (name, from): (String, String) = (row.try_get(0).ok()?, row.try_get(1).ok()?);
        let since: String = row.try_get(2).ok()?;
        Some(format!("`{name}` from {from} since {since}"))
    });
    Ok(words.unwrap_or_else(|| "another process that has just ended".to_owned()))
}

/// The epoch, as it is.
pub(super) fn epoch(link: &Link) -> Result<i64, PostgresError> {
    let rows = link.rows("read the epoch", "SELECT epoch FROM fence", &[])?;
    let found = rows.first().and_then(|row| row.try_get(0).ok());
    // Books without an epoch are not these books.
    found.ok_or(PostgresError::Fenced)
}

/// Deposes whoever wrote before, and answers the new epoch. To be called with the lock.
pub(super) fn raise(link: &Link, name: &str) -> Result<i64, PostgresError> {
    let doing = "raise the epoch";
    // Whatever a deposed writer's log is storing just now is stored before this, or never.
    link.script(doing, &format!("BEGIN; SELECT pg_catalog.pg_advisory_xact_lock({GATE})"))?;
    let sql = "UPDATE fence SET epoch = epoch + 1, writer = epoch + 1, holder = $1, since = now()
               RETURNING epoch";
    let rows = link.rows(doing, sql, &[&name])?;
    link.script(doing, "COMMIT")?;
    let found = rows.first().and_then(|row| row.try_get(0).ok());
    found.ok_or(PostgresError::Fenced)
}

/// Begins a transaction of another session of the writer, and demands that it may still write.
pub(super) fn enter(link: &Link, mine: i64) -> Result<(), PostgresError> {
    let gate = format!("BEGIN; SELECT pg_catalog.pg_advisory_xact_lock_shared({GATE})");
    link.script("pass the gate", &gate)?;
    if epoch(link)? == mine { Ok(()) } else { Err(PostgresError::Fenced) }
}

/// Opens every batch: counts it, and fails for a writer that was deposed.
pub(super) const CLAIM: &str = "UPDATE fence SET writer = $1, batches = batches + 1";
