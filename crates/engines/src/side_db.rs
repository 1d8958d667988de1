//! How a small database beside the books is opened, whoever keeps something in it.

use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// How long one waits for another process that has it.
const BUSY: Duration = Duration::from_secs(2);

/// What a power failure may take away.
#[derive(Clone, Copy)]
pub(crate) enum Lasting {
    /// Nothing that was committed: the write-ahead log is synced at every commit (FULL).
    Always,
    /// The newest commits: what can be had again (NORMAL).
    Mostly,
}

/// What was being done, and why it could not be.
pub(crate) type OpenFault = (&'static str, rusqlite::Error);

fn doing(what: &'static str) -> impl FnOnce(rusqlite::Error) -> OpenFault {
    move |cause| (what, cause)
}

/// Opens a database for writing, and makes it with these tables if it is not there.
pub(crate) fn open(path: &Path, schema: &str, lasting: Lasting) -> Result<Connection, OpenFault> {
    let synchronous = match lasting {
        Lasting::Always => "full",
        Lasting::Mostly => "normal",
    };
    let connection = Connection::open(path).map_err(doing("open"))?;
    connection.busy_timeout(BUSY).map_err(doing("set the time limit"))?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(doing("set the journal"))?;
    connection.pragma_update(None, "synchronous", synchronous).map_err(doing("set the syncing"))?;
    connection.execute_batch(schema).map_err(doing("make the tables"))?;
    Ok(connection)
}

/// Opens one that is there, to read only.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, OpenFault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(doing("open"))?;
    connection.busy_timeout(BUSY).map_err(doing("set the time limit"))?;
    Ok(connection)
}
