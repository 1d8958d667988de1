//! The books in SQLite: one connection writes, others read.
//!
//! WAL with `synchronous=FULL`: a commit that was answered survives the loss of power. Every batch of
//! the writer is one transaction.

mod checkpoint;
mod moved;
mod read;
mod row;
mod write;
mod write_ledger;

pub use read::Reader;

use crate::books::StoreError;
use checkpoint::Mover;
use moved::Moved;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::time::Duration;

const FORMAT: i64 = 8;
/// The oldest format that this program reads.
const OLDEST: i64 = 5;
/// What leads to the oldest format from nothing, and from each format to the next.
const STEPS: [&str; 4] = [
    include_str!("schema.sql"),
    include_str!("schema_6.sql"),
    include_str!("schema_7.sql"),
    include_str!("schema_8.sql"),
];

/// How many pages of 4 KiB the write-ahead log may have before they are moved into the database.
const WAL_PAGES: u32 = 8_000;

/// How long a connection waits for another.
const BUSY: Duration = Duration::from_secs(5);

/// Read within a second or two.
const CHECKED_AT_START_MAX: u64 = 64 << 20;

/// How far each sequence has come, as one value. It is stored with every batch: where a damaged write-ahead log leaves
/// a database that is partly of one state and partly of another, the sequences do not belong together.
const COUNTS: &str = "CAST((SELECT coalesce(max(number), 0) FROM transfer)
    || ' ' || (SELECT coalesce(max(idx) + 1, 0) FROM leaf)
    || ' ' || (SELECT coalesce(max(seq), 0) FROM event)
    || ' ' || (SELECT coalesce(max(place), 0) FROM payment) AS BLOB)";

/// Where the books lie, and what they are reached through.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The database file.
    pub path: PathBuf,
    /// The name of a registered SQLite VFS, its layer over the operating system; `None` is SQLite's own. A
    /// simulation puts a faulty disk here.
    pub vfs: Option<String>,
    /// How many pages the write-ahead log may have before they are moved into the database.
    pub wal_pages: u32,
    /// Who moves them.
    pub moved_by: MovedBy,
    /// How many bytes a database may have to be read as a whole before the first command is taken. A larger one is read beside
    /// the work: a start may not take longer the more has happened.
    pub checked_at_start_max: u64,
}

/// Who moves the write-ahead log into the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MovedBy {
    /// A thread beside the work.
    Thread,
    /// The commit that made the log too long: a simulation, in which the same things happen every time.
    Commit,
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            vfs: None,
            wal_pages: WAL_PAGES,
            moved_by: MovedBy::Thread,
            checked_at_start_max: CHECKED_AT_START_MAX,
        }
    }
}

impl Place {
    fn connect(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        self.connect_to(&self.path, flags)
    }

    fn connect_to(&self, path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
        match &self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs.as_str()),
            None => Connection::open_with_flags(path, flags),
        }
    }
}

/// The books of one operator, open for writing.
pub struct Store {
    mover: Mover,
    connection: Connection,
    path: PathBuf,
    place: Place,
    /// The write-ahead log may hold the remains of a commit that did not come to its end.
    has_remains: bool,
}

fn corrupt(path: &Path, what: &str) -> StoreError {
    StoreError::Corrupt { path: path.display().to_string(), what: what.to_owned() }
}

pub(crate) fn error(path: &Path) -> impl Fn(rusqlite::Error) -> StoreError + '_ {
    move |source| {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match source.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => corrupt(path, &source.to_string()),
            _ => StoreError::Sqlite { path: path.display().to_string(), source },
        }
    }
}

impl Store {
    /// Opens or creates the database, checks that it is whole and brings it to the present format.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be used, is damaged or is of another format.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_at(Place::from(path))
    }

    /// The same at a place that says more than a path.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_at(place: Place) -> Result<Self, StoreError> {
        let path = place.path.as_path();
        let mut connection = place.connect(OpenFlags::default()).map_err(error(path))?;
        prepare(&connection).map_err(error(path))?;
        let is_small = size(path) <= place.checked_at_start_max;
        if is_small {
            check_pages(&connection, path)?;
        }
        let found: i64 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(error(path))?;
        match found {
            0 => {}
            OLDEST..=FORMAT => {
                if is_small {
                    check_leaves(&connection, path)?;
                }
            }
            found if found < FORMAT => {
                return Err(StoreError::Older { found, known: FORMAT });
            }
            found => return Err(StoreError::Newer { found, known: FORMAT }),
        }
        bring_up(&mut connection, found).map_err(error(path))?;
        let moved = Moved::open(&place)?;
        moved.check(&connection, &place)?;
        let mover = Mover::start(&place, &connection, moved)?;
        Ok(Self { mover, connection, path: path.to_owned(), place, has_remains: true })
    }
}

/// Brings the tables from the format found to the present one, all or nothing: a crash in between leaves the old format.
fn bring_up(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    if found == FORMAT {
        return Ok(());
    }
    let change = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    for (_, step) in (OLDEST..).zip(STEPS).filter(|(number, _)| *number > found) {
        change.execute_batch(step)?;
    }
    change.pragma_update(None, "user_version", FORMAT)?;
    change.commit()
}

/// 0 for a file that is not there, or that only a VFS knows.
fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |found| found.len())
}

/// Reads all of it.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    check_pages(connection, path)?;
    check_leaves(connection, path)
}

/// Whether there is a leaf at every index.
fn check_leaves(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let sql = "SELECT count(*) = coalesce(max(idx) + 1, 0) AND coalesce(min(idx), 0) = 0 FROM leaf";
    let whole = connection.query_row(sql, [], |row| row.get(0)).map_err(error(path))?;
    if whole { Ok(()) } else { Err(StoreError::Damaged { what: "leaf" }) }
}

/// Reads every page, and looks up every row in every index: an index that has lost a row would let a payment be made twice.
fn check_pages(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let found: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(error(path))?;
    if found == "ok" { Ok(()) } else { Err(corrupt(path, &found)) }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // Some commits look through the whole cache: more would cost each of them more than it saves.
    connection.pragma_update(None, "cache_size", -16_384)?; // KiB
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Reads what `PRAGMA wal_checkpoint` answers: that the file was busy stands in a column, and is no error by itself.
pub(crate) fn demand_folded(row: &rusqlite::Row<'_>) -> rusqlite::Result<()> {
    let busy: i64 = row.get(0)?;
    if busy == 0 {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    let why = "somebody else reads the write-ahead log".to_owned();
    Err(rusqlite::Error::SqliteFailure(code, Some(why)))
}

fn open_for_reading(place: &Place) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let path = place.path.as_path();
    let connection = place.connect(flags).map_err(error(path))?;
    connection.busy_timeout(BUSY).map_err(error(path))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}
