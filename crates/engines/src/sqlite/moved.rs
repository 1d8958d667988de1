//! How far the write-ahead log has been moved into the database, so that a damaged log cannot pass for an earlier state.
//!
//! SQLite reads its log up to the first frame that is not whole. After a power cut that is where the last commit broke off. A wrong bit cuts
//! it anywhere; and if frames behind the cut were moved into the database file before, what SQLite then shows is a mixture, some
//! pages as they were at the cut and some newer. So every commit has a number, and before frames are moved the number of the newest of them is
//! written down beside the database. Books that open with a smaller number are refused.

use super::Place;
use crate::books::StoreError;
use rusqlite::{Connection, OpenFlags, params};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The note, shared by all who move.
#[derive(Clone)]
pub(super) struct Moved(Arc<Mutex<Note>>);

struct Note {
    connection: Connection,
    newest: i64,
}

impl Moved {
    /// Opens the note, or makes one that says that nothing was moved yet.
    pub(super) fn open(place: &Place) -> Result<Self, StoreError> {
        let path: PathBuf = place.path.with_extension("moved");
        let opened = || {
            let connection = place.connect_to(&path, OpenFlags::default())?;
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.pragma_update(None, "synchronous", "EXTRA")?;
            connection.execute_batch(
                "CREATE TABLE IF NOT EXISTS moved (one INTEGER PRIMARY KEY CHECK (one = 1),
                     number INTEGER NOT NULL) STRICT",
            )?;
            let sql = "SELECT coalesce(max(number), 0) FROM moved";
            let newest = connection.query_row(sql, [], |row| row.get(0))?;
            Ok(Note { connection, newest })
        };
        let note = opened().map_err(super::error(&path))?;
        Ok(Self(Arc::new(Mutex::new(note))))
    }

    fn note(&self) -> MutexGuard<'_, Note> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses books whose newest commit has a smaller number than what was moved.
    pub(super) fn check(&self, books: &Connection, place: &Place) -> Result<(), StoreError> {
        let found = number(books).map_err(super::error(&place.path))?;
        if found >= self.note().newest {
            return Ok(());
        }
        let what = "it has come less far than `books.moved` beside it notes: it is an old copy, or its \
                    write-ahead log has lost its end";
        Err(super::corrupt(&place.path, what))
    }

    /// Moves what may be moved of what `books` can see, and answers what `pragma` does.
    pub(super) fn move_log<T>(
        &self,
        books: &Connection,
        mover: &Connection,
        pragma: &str,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let number = number(books)?;
        let mut note = self.note();
        if number > note.newest {
            let sql = "INSERT OR REPLACE INTO moved (one, number) VALUES (1, ?1)";
            note.connection.execute(sql, params![number])?;
            note.newest = number;
        }
        drop(note);
        mover.query_row(pragma, [], read)
    }
}

/// Gives the commit that is under way the next number.
pub(super) fn count(books: &Connection) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta (key, value) VALUES ('commit', CAST('1' AS BLOB))
               ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS BLOB)";
    books.prepare_cached(sql)?.execute([]).map(|_| ())
}

/// The number of the newest commit; 0 before the first.
fn number(books: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE key = 'commit'";
    books.prepare_cached(sql)?.query_row([], |row| row.get(0))
}
