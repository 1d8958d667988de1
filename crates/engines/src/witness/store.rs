//! What a witness has cosigned last of each log: `witness.db`.

use super::WitnessError;
use crate::decode::int;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use std::path::Path;
use std::time::Duration;
use tpw_core::{Hash32, TreeHead};
use tpw_proof::{KeyName, SignedCheckpoint};

/// The checkpoint cosigned last, with the log's lines and the witness's own.
pub(crate) struct Latest {
    pub(crate) head: TreeHead,
    pub(crate) note: SignedCheckpoint,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS witness (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS latest (
        origin TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        root BLOB NOT NULL,
        note TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

pub(super) struct WitnessDb(Connection);

fn database(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> WitnessError {
    move |cause| WitnessError::Database { doing, cause }
}

/// A row as it is stored, its meaning unchecked.
struct RawLatest {
    origin: String,
    size: i64,
    root: Vec<u8>,
    note: String,
}

impl RawLatest {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { origin: row.get(0)?, size: row.get(1)?, root: row.get(2)?, note: row.get(3)? })
    }

    fn parse(self) -> Result<(String, Latest), WitnessError> {
        let damaged = |why| WitnessError::Damaged { origin: self.origin.clone(), why };
        let note = SignedCheckpoint::parse(&self.note).map_err(|_odd| damaged("the note"))?;
        let size = u64::try_from(self.size).ok().zip(Hash32::from_slice(&self.root));
        let (size, root) = size.ok_or_else(|| damaged("size or root"))?;
        let (head, checkpoint) = (TreeHead { size, root }, note.checkpoint());
        if checkpoint.head != head || checkpoint.origin.as_str() != self.origin {
            return Err(damaged("the note speaks of another tree head"));
        }
        Ok((self.origin, Latest { head, note }))
    }
}

const COLUMNS: &str = "origin, size, root, note";

impl WitnessDb {
    /// Opens the store of the witness called so, and makes it if it is not there.
    pub(super) fn open(path: &Path, name: &KeyName) -> Result<Self, WitnessError> {
        let connection = Connection::open(path).map_err(database("open"))?;
        connection.busy_timeout(Duration::from_secs(2)).map_err(database("set the time limit"))?;
        connection
            .pragma_update(None, "journal_mode", "wal")
            .map_err(database("set the journal"))?;
        // FULL syncs at every commit: what was cosigned survives a power failure.
        connection
            .pragma_update(None, "synchronous", "full")
            .map_err(database("set the syncing"))?;
        connection.execute_batch(SCHEMA).map_err(database("make the tables"))?;
        let insert = "INSERT OR IGNORE INTO witness (one, name) VALUES (1, ?1)";
        connection.execute(insert, [name.as_str()]).map_err(database("note the name"))?;
        let found: String = connection
            .query_row("SELECT name FROM witness", [], |row| row.get(0))
            .map_err(database("read the name"))?;
        if found != name.as_str() {
            return Err(WitnessError::OtherName { found, wanted: name.to_string() });
        }
        Ok(Self(connection))
    }

    pub(super) fn all(&self) -> Result<Vec<(String, Latest)>, WitnessError> {
        let sql = format!("SELECT {COLUMNS} FROM latest ORDER BY origin");
        let mut found = self.0.prepare(&sql).map_err(database("read the checkpoints"))?;
        let rows = found
            .query_map([], RawLatest::read)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(database("read the checkpoints"))?;
        rows.into_iter().map(RawLatest::parse).collect()
    }

    pub(super) fn latest(&self, origin: &str) -> Result<Option<Latest>, WitnessError> {
        let sql = format!("SELECT {COLUMNS} FROM latest WHERE origin = ?1");
        let row = self
            .0
            .prepare_cached(&sql)
            .and_then(|mut found| found.query_row([origin], RawLatest::read).optional())
            .map_err(database("read a checkpoint"))?;
        Ok(row.map(RawLatest::parse).transpose()?.map(|(_origin, latest)| latest))
    }

    /// Stores a checkpoint durably if the newest one is still `expected`; whether it was.
    pub(super) fn replace(
        &mut self,
        origin: &str,
        expected: Option<TreeHead>,
        new: &Latest,
    ) -> Result<bool, WitnessError> {
        let transaction = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(database("begin"))?;
        let found: Option<(i64, Vec<u8>)> = transaction
            .query_row("SELECT size, root FROM latest WHERE origin = ?1", [origin], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
            .map_err(database("compare the checkpoint"))?;
        if found != expected.map(|head| (int(head.size), head.root.as_bytes().to_vec())) {
            return Ok(false);
        }
        let sql = format!("INSERT OR REPLACE INTO latest ({COLUMNS}) VALUES (?1, ?2, ?3, ?4)");
        let (size, root) = (int(new.head.size), new.head.root);
        transaction
            .execute(&sql, params![origin, size, root.as_bytes(), new.note.to_string()])
            .map_err(database("store a checkpoint"))?;
        transaction.commit().map_err(database("commit a checkpoint"))?;
        Ok(true)
    }
}
