//! Moving the write-ahead log into the database file beside the work.
//!
//! SQLite by itself does it within the commit that makes the log too long, and everybody waits while thousands of pages are copied and
//! synced. Here a thread with a connection of its own does it, without blocking anyone (`PASSIVE`). SQLite goes back to the front of the
//! log only when all of it was moved, and a writer that never rests keeps adding to its end: so the first commit after the thread has
//! finished moves the few pages that came meanwhile.

use super::moved::Moved;
use super::{MovedBy, Place, open_for_reading};
use crate::books::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

const PASSIVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// Who moves the log, and when.
pub(super) struct Mover {
    /// How many pages make the log too long.
    pages_max: u32,
    moved: Moved,
    thread: Option<Beside>,
}

/// The thread, and whether it is at work.
struct Beside {
    ask: Option<SyncSender<()>>,
    done: Receiver<()>,
    busy: bool,
    thread: Option<JoinHandle<()>>,
}

impl Mover {
    /// For a writer's connection, which from now on moves nothing by itself.
    pub(super) fn start(
        place: &Place,
        writer: &Connection,
        moved: Moved,
    ) -> Result<Self, StoreError> {
        by_hand(writer).map_err(super::error(&place.path))?;
        let thread = match place.moved_by {
            MovedBy::Thread => Some(Beside::start(place, moved.clone())?),
            MovedBy::Commit => None,
        };
        Ok(Self { pages_max: place.wal_pages, moved, thread })
    }

    /// Called after each commit on the writer's connection.
    pub(super) fn after_commit(&mut self, writer: &Connection) {
        let is_long = |pages_max| pages(writer).is_some_and(|pages| pages >= pages_max);
        match &mut self.thread {
            None if is_long(self.pages_max) => self.passive(writer),
            None => {}
            Some(beside) => {
                if beside.has_finished() {
                    self.passive(writer);
                } else if !beside.busy && is_long(self.pages_max) {
                    beside.begin();
                }
            }
        }
    }

    /// Nothing is lost when it fails: the log keeps everything, and a commit whose own sync fails says so itself.
    fn passive(&self, writer: &Connection) {
        warn(self.moved.move_log(writer, writer, PASSIVE, |_row| Ok(())));
    }

    /// Moves all of it, so that the next commit begins the log anew. The file keeps its length: a cut is not synced, and after a loss of
    /// power a part of what was cut could be there again and count, unless a new beginning was written before.
    pub(super) fn move_all(&self, writer: &Connection) -> rusqlite::Result<()> {
        let pragma = "PRAGMA wal_checkpoint(RESTART)";
        self.moved.move_log(writer, writer, pragma, super::demand_folded)
    }

    /// Moves all of it and empties the file, whose first commit must be a new beginning: see [`Mover::move_all`].
    pub(super) fn empty(&self, writer: &Connection) -> rusqlite::Result<()> {
        let pragma = "PRAGMA wal_checkpoint(TRUNCATE)";
        self.moved.move_log(writer, writer, pragma, super::demand_folded)
    }
}

impl Beside {
    fn start(place: &Place, moved: Moved) -> Result<Self, StoreError> {
        let path = place.path.as_path();
        let connection = place.connect(OpenFlags::default()).map_err(super::error(path))?;
        // As the writer's: what the log is moved into is synced before the log is overwritten.
        connection.pragma_update(None, "synchronous", "FULL").map_err(super::error(path))?;
        by_hand(&connection).map_err(super::error(path))?;
        let seen = open_for_reading(place)?;
        let (ask, asked) = sync_channel(1);
        let (finished, done) = sync_channel(1);
        let thread = std::thread::Builder::new().name("books-mover".to_owned()).spawn(move || {
            while asked.recv().is_ok() {
                warn(passive_up_to(&seen, &connection, &moved));
                let _gone = finished.send(());
            }
        });
        let thread = thread.map_err(|source| StoreError::Thread { what: "books-mover", source })?;
        Ok(Self { ask: Some(ask), done, busy: false, thread: Some(thread) })
    }

    fn begin(&mut self) {
        self.busy = self.ask.as_ref().is_some_and(|ask| ask.try_send(()).is_ok());
    }

    /// Whether it has just come to its end.
    fn has_finished(&mut self) -> bool {
        if !self.busy {
            return false;
        }
        let said = self.done.try_recv();
        self.busy = said == Err(TryRecvError::Empty);
        said.is_ok()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// Moves no more than one state, though commits go on: SQLite leaves in the log what is newer than what somebody reads.
fn passive_up_to(seen: &Connection, mover: &Connection, moved: &Moved) -> rusqlite::Result<()> {
    let reading = seen.unchecked_transaction()?;
    moved.move_log(&reading, mover, PASSIVE, |_row| Ok(()))
}

/// Nothing is moved that is not written down first: not by a commit, and not when the connection is closed.
fn by_hand(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(|_| ())
}

fn warn(moved: rusqlite::Result<()>) {
    if let Err(error) = moved {
        tracing::warn!(%error, "the write-ahead log of the books was not moved into the database");
    }
}

/// How many pages of the log were not yet moved into the database.
fn pages(connection: &Connection) -> Option<u32> {
    let mut asked = connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)").ok()?;
    let found = asked.query_row([], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)));
    let (all, moved) = found.ok()?;
    u32::try_from(all.checked_sub(moved)?).ok()
}
