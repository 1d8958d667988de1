//! Moving the write-ahead log into the database file beside the work.
//!
//! SQLite by itself does it within the commit that makes the log too long, and everybody waits while thousands of pages are copied and
//! synced. Here a thread with a connection of its own does it, without blocking anyone (`PASSIVE`). SQLite goes back to the front of the
//! log only when all of it was moved, and a writer that never rests keeps adding to its end: so the first commit after the thread has
//! finished moves the few pages that came meanwhile.

use super::Place;
use crate::books::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

/// The thread, and whether it is at work.
pub(super) struct Mover {
    /// How many pages make the log too long.
    pages_max: u32,
    ask: Option<SyncSender<()>>,
    done: Receiver<()>,
    busy: bool,
    thread: Option<JoinHandle<()>>,
}

impl Mover {
    /// Opens a connection of its own.
    pub(super) fn start(place: &Place) -> Result<Self, StoreError> {
        let path = place.path.as_path();
        let connection = place.connect(OpenFlags::default()).map_err(super::error(path))?;
        // As the writer's: what the log is moved into is synced before the log is overwritten.
        connection.pragma_update(None, "synchronous", "FULL").map_err(super::error(path))?;
        connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(super::error(path))?;
        let (ask, asked) = sync_channel(1);
        let (finished, done) = sync_channel(1);
        let thread = std::thread::Builder::new().name("books-mover".to_owned()).spawn(move || {
            while asked.recv().is_ok() {
                passive(&connection);
                let _gone = finished.send(());
            }
        });
        let thread = thread.map_err(|source| StoreError::Thread { what: "books-mover", source })?;
        let ask = Some(ask);
        Ok(Self { pages_max: place.wal_pages, ask, done, busy: false, thread: Some(thread) })
    }

    /// Called after each commit on the writer's connection.
    pub(super) fn after_commit(&mut self, writer: &Connection) {
        if self.busy {
            match self.done.try_recv() {
                Err(TryRecvError::Empty) => return,
                Ok(()) => passive(writer),
                Err(TryRecvError::Disconnected) => {}
            }
            self.busy = false;
        }
        if pages(writer).is_some_and(|pages| pages >= self.pages_max)
            && let Some(ask) = &self.ask
        {
            self.busy = ask.try_send(()).is_ok();
        }
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// Moves what can be moved without waiting for anybody. Nothing is lost when it fails: the log keeps everything, and the next commit
/// whose sync fails says so itself.
fn passive(connection: &Connection) {
    if let Err(error) = lengths(connection, "PRAGMA wal_checkpoint(PASSIVE)") {
        tracing::warn!(%error, "the write-ahead log of the books was not moved into the database");
    }
}

/// How many pages of the log were not yet moved into the database.
fn pages(connection: &Connection) -> Option<u32> {
    let (all, moved) = lengths(connection, "PRAGMA wal_checkpoint(NOOP)").ok()?;
    u32::try_from(all.checked_sub(moved)?).ok()
}

/// The pages of the log and how many of them have been moved, once the pragma has done its part.
fn lengths(connection: &Connection, pragma: &str) -> rusqlite::Result<(i64, i64)> {
    connection.prepare_cached(pragma)?.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
}
