//! The check of large books, which goes on beside the work after the start.

use super::EngineError;
use super::metrics::Meter;
use crate::books::RestOfCheck;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a check that was interrupted has to end before it is interrupted again.
const INTERRUPT_EVERY: Duration = Duration::from_millis(2);

/// A check that is under way.
pub(super) struct Checking {
    stopping: Arc<AtomicBool>,
    interrupt: Box<dyn Fn() + Send + Sync>,
    thread: JoinHandle<()>,
}

impl Checking {
    /// Reads a large store as a whole while commands are taken. Damage makes the engine unhealthy for good.
    pub(super) fn start(rest: RestOfCheck, meter: Arc<Meter>) -> Result<Self, EngineError> {
        let RestOfCheck { check, interrupt } = rest;
        let stopping = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stopping);
        meter.set_checking(true);
        let work = move || {
            match check() {
                Ok(()) => tracing::info!("the books are whole"),
                Err(_) if stopped.load(Ordering::Acquire) => {
                    tracing::info!("the books were not read to their end before the stop");
                }
                Err(error) => {
                    tracing::error!(%error, "the books are damaged");
                    meter.set_damage(error.to_string());
                }
            }
            meter.set_checking(false);
        };
        let thread = super::open::thread("books-check", work)?;
        Ok(Self { stopping, interrupt, thread })
    }

    /// Breaks the check off: it reads the write-ahead log, which a clean stop empties.
    pub(super) fn stop(self) {
        self.stopping.store(true, Ordering::Release);
        // An interruption that comes between two statements of the check is lost.
        while !self.thread.is_finished() {
            (self.interrupt)();
            std::thread::park_timeout(INTERRUPT_EVERY);
        }
        self.wait();
    }

    /// Waits until all was read.
    pub(super) fn wait(self) {
        if self.thread.join().is_err() {
            tracing::error!("the check of the books ended in a panic");
        }
    }
}

#[cfg(test)]
mod tests {
    //! Goal: a stop does not wait for a check that would take for ever, and takes no interruption for damage. Method: SQLite asked to
    //! count without end.

    use super::*;
    use rusqlite::Connection;

    const ENDLESS: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

    #[test]
    fn a_check_without_end_is_broken_off_and_is_no_damage() {
        let connection = Connection::open_in_memory().unwrap();
        let handle = connection.get_interrupt_handle();
        let check = move || {
            let path = std::path::Path::new("books.db");
            let counted = connection.query_row(ENDLESS, [], |_row| Ok(()));
            counted.map_err(crate::sqlite::error(path))
        };
        let rest =
            RestOfCheck { check: Box::new(check), interrupt: Box::new(move || handle.interrupt()) };
        let meter = Arc::new(Meter::default());
        let checking = Checking::start(rest, Arc::clone(&meter)).unwrap();
        checking.stop();
        assert_eq!(meter.writer_fault(), None);
    }
}
