//! What a witness has cosigned last of each log: `witness.db`.

use super::{Latest, Stored, WitnessError, stored_head};
use crate::side_db::{self, Lasting};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use std::path::Path;
use tpw_core::TreeHead;
use tpw_proof::KeyName;

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

/// A row: the log's origin, and what is stored of it.
type RawLatest = (String, Stored);

fn read(row: &Row<'_>) -> rusqlite::Result<RawLatest> {
    Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?)))
}

fn parse((origin, stored): RawLatest) -> Result<(String, Latest), WitnessError> {
    match Latest::from_stored(&origin, stored) {
        Ok(latest) => Ok((origin, latest)),
        Err(why) => Err(WitnessError::Damaged { origin, why }),
    }
}

const COLUMNS: &str = "origin, size, root, note";

impl WitnessDb {
    /// Opens the store of the witness called so, and makes it if it is not there.
    pub(super) fn open(path: &Path, name: &KeyName) -> Result<Self, WitnessError> {
        // What was cosigned survives a power failure.
        let connection = side_db::open(path, SCHEMA, Lasting::Always)
            .map_err(|(doing, cause)| WitnessError::Database { doing, cause })?;
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
            .query_map([], read)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(database("read the checkpoints"))?;
        rows.into_iter().map(parse).collect()
    }

    pub(super) fn latest(&self, origin: &str) -> Result<Option<Latest>, WitnessError> {
        let sql = format!("SELECT {COLUMNS} FROM latest WHERE origin = ?1");
        let row = self
            .0
            .prepare_cached(&sql)
            .and_then(|mut found| found.query_row([origin], read).optional())
            .map_err(database("read a checkpoint"))?;
        Ok(row.map(parse).transpose()?.map(|(_origin, latest)| latest))
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
        if found != expected.map(stored_head) {
            return Ok(false);
        }
        let sql = format!("INSERT OR REPLACE INTO latest ({COLUMNS}) VALUES (?1, ?2, ?3, ?4)");
        let (size, root, note) = new.to_stored();
        transaction
            .execute(&sql, params![origin, size, root, note])
            .map_err(database("store a checkpoint"))?;
        transaction.commit().map_err(database("commit a checkpoint"))?;
        Ok(true)
    }
}
