//! What a mirror knows of each log: `mirror.db`. The entries themselves are files beside it.

use super::MirrorError;
use crate::decode::int;
use crate::side_db::{self, Lasting};
use crate::witness::{self, Latest, stored_head};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use std::path::Path;
use tpw_core::TreeHead;
use tpw_proof::KeyName;

/// One log.
pub(super) struct Known {
    /// The newest checkpoint of the log, with the log's lines: where entries may go to.
    pub(super) pending: Latest,
    /// The first entry that is not synced.
    pub(super) next: u64,
    /// The newest checkpoint that was cosigned, with the mirror's lines too.
    pub(super) mirrored: Option<Latest>,
}

/// What became of storing a cosigned checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stored {
    Done,
    /// A larger one is stored already.
    Smaller,
    /// Not all of its entries are stored.
    Lacking,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS mirror (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        name TEXT NOT NULL,
        ticket_key BLOB NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS log (
        origin TEXT PRIMARY KEY,
        pending_size INTEGER NOT NULL,
        pending_root BLOB NOT NULL,
        pending_note TEXT NOT NULL,
        next INTEGER NOT NULL DEFAULT 0,
        size INTEGER,
        root BLOB,
        note TEXT
    ) STRICT, WITHOUT ROWID;
";

const COLUMNS: &str = "origin, pending_size, pending_root, pending_note, next, size, root, note";

pub(super) struct MirrorDb(Connection);

fn database(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> MirrorError {
    move |cause| MirrorError::Database { doing, cause }
}

/// A row as it is stored, its meaning unchecked.
struct RawLog {
    origin: String,
    pending: witness::Stored,
    next: i64,
    mirrored: Option<witness::Stored>,
}

impl RawLog {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let mirrored: (Option<i64>, Option<Vec<u8>>, Option<String>) =
            (row.get(5)?, row.get(6)?, row.get(7)?);
        let mirrored = match mirrored {
            (Some(size), Some(root), Some(note)) => Some((size, root, note)),
            _ => None,
        };
        let pending = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(Self { origin: row.get(0)?, pending, next: row.get(4)?, mirrored })
    }

    fn parse(self) -> Result<(String, Known), MirrorError> {
        let Self { origin, pending, next, mirrored } = self;
        let damaged = |why| MirrorError::Damaged { origin: origin.clone(), why };
        let latest = |stored| Latest::from_stored(&origin, stored).map_err(damaged);
        let (pending, mirrored) = (latest(pending)?, mirrored.map(latest).transpose()?);
        let next = u64::try_from(next).map_err(|_| damaged("the next entry"))?;
        let size = mirrored.as_ref().map_or(0, |latest| latest.head.size);
        if next < size || pending.head.size < size {
            return Err(damaged("more was cosigned than is stored"));
        }
        Ok((origin, Known { pending, next, mirrored }))
    }
}

impl MirrorDb {
    /// Opens the store of the mirror called so, and makes it, with this key for its tickets, if it is not there. Answers the key
    /// that it has.
    pub(super) fn open(
        path: &Path,
        name: &KeyName,
        fresh: [u8; 32],
    ) -> Result<(Self, [u8; 32]), MirrorError> {
        // What was cosigned survives a power failure.
        let connection = side_db::open(path, SCHEMA, Lasting::Always)
            .map_err(|(doing, cause)| MirrorError::Database { doing, cause })?;
        let insert = "INSERT OR IGNORE INTO mirror (one, name, ticket_key) VALUES (1, ?1, ?2)";
        connection.execute(insert, params![name.as_str(), fresh]).map_err(database("begin"))?;
        let (found, key): (String, [u8; 32]) = connection
            .query_row("SELECT name, ticket_key FROM mirror", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .map_err(database("read the name"))?;
        if found != name.as_str() {
            return Err(MirrorError::OtherName { found, wanted: name.to_string() });
        }
        Ok((Self(connection), key))
    }

    pub(super) fn all(&self) -> Result<Vec<(String, Known)>, MirrorError> {
        let sql = format!("SELECT {COLUMNS} FROM log ORDER BY origin");
        let mut found = self.0.prepare(&sql).map_err(database("read the logs"))?;
        let rows = found
            .query_map([], RawLog::read)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(database("read the logs"))?;
        rows.into_iter().map(RawLog::parse).collect()
    }

    pub(super) fn log(&self, origin: &str) -> Result<Option<Known>, MirrorError> {
        let sql = format!("SELECT {COLUMNS} FROM log WHERE origin = ?1");
        let row = self
            .0
            .prepare_cached(&sql)
            .and_then(|mut found| found.query_row([origin], RawLog::read).optional())
            .map_err(database("read a log"))?;
        Ok(row.map(RawLog::parse).transpose()?.map(|(_origin, known)| known))
    }

    fn begin(&mut self) -> Result<Transaction<'_>, MirrorError> {
        let immediate = TransactionBehavior::Immediate;
        self.0.transaction_with_behavior(immediate).map_err(database("begin"))
    }

    /// Stores a pending checkpoint durably if the newest one is still `expected`; whether it was.
    pub(super) fn set_pending(
        &mut self,
        origin: &str,
        expected: Option<TreeHead>,
        new: &Latest,
    ) -> Result<bool, MirrorError> {
        let transaction = self.begin()?;
        let sql = "SELECT pending_size, pending_root FROM log WHERE origin = ?1";
        let found: Option<(i64, Vec<u8>)> = transaction
            .query_row(sql, [origin], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(database("compare the pending checkpoint"))?;
        if found != expected.map(stored_head) {
            return Ok(false);
        }
        let sql = "INSERT INTO log (origin, pending_size, pending_root, pending_note) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (origin) DO UPDATE SET pending_size = excluded.pending_size,
                   pending_root = excluded.pending_root, pending_note = excluded.pending_note";
        let (size, root, note) = new.to_stored();
        transaction
            .execute(sql, params![origin, size, root, note])
            .map_err(database("store a pending checkpoint"))?;
        transaction.commit().map_err(database("commit a pending checkpoint"))?;
        Ok(true)
    }

    /// Remembers durably that all entries before `next` are synced.
    pub(super) fn advance(&mut self, origin: &str, next: u64) -> Result<(), MirrorError> {
        let sql = "UPDATE log SET next = ?2 WHERE origin = ?1 AND next < ?2";
        let changed = self.0.execute(sql, params![origin, int(next)]);
        changed.map(|_rows| ()).map_err(database("note how far the entries are stored"))
    }

    /// Stores a cosigned checkpoint durably, if all of its entries are, and no larger one is there.
    pub(super) fn cosigned(&mut self, origin: &str, new: &Latest) -> Result<Stored, MirrorError> {
        let transaction = self.begin()?;
        let (next, size): (i64, Option<i64>) = transaction
            .query_row("SELECT next, size FROM log WHERE origin = ?1", [origin], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .map_err(database("compare the mirror's checkpoint"))?;
        if next < int(new.head.size) {
            return Ok(Stored::Lacking);
        }
        if size.is_some_and(|size| size > int(new.head.size)) {
            return Ok(Stored::Smaller);
        }
        let sql = "UPDATE log SET size = ?2, root = ?3, note = ?4 WHERE origin = ?1";
        let (size, root, note) = new.to_stored();
        transaction
            .execute(sql, params![origin, size, root, note])
            .map_err(database("store a cosigned checkpoint"))?;
        transaction.commit().map_err(database("commit a cosigned checkpoint"))?;
        Ok(Stored::Done)
    }
}
