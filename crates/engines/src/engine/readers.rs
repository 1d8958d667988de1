//! Readers of the books, handed out one by one.

use crate::books::{BooksReader, Opener, StoreError};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many read at once. Far more requests are taken than a database server has connections for: the others wait their turn.
const READING_MAX: usize = 16;
/// How many stay open when nobody reads.
const IDLE_MAX: usize = 8;
/// The longest wait for a turn.
const TURN_MAX: Duration = Duration::from_secs(20);

/// Gives readers to those who ask.
pub(super) struct Readers {
    state: Mutex<State>,
    freed: Condvar,
    open: Opener,
}

#[derive(Default)]
struct State {
    idle: Vec<Box<dyn BooksReader>>,
    reading: usize,
}

/// The right to read, until it is dropped: also when reading ends in a panic.
struct Turn<'a>(&'a Readers);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.reading = state.reading.saturating_sub(1);
        drop(state);
        self.0.freed.notify_one();
    }
}

impl Readers {
    pub(super) fn new(open: Opener) -> Self {
        Self { state: Mutex::default(), freed: Condvar::new(), open }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&dyn BooksReader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _turn = self.turn(TURN_MAX)?;
        let idle = self.state().idle.pop();
        let reader = match idle {
            Some(reader) => reader,
            None => (self.open)()?,
        };
        let answer = read(&*reader);
        let mut state = self.state();
        if state.idle.len() < IDLE_MAX {
            state.idle.push(reader);
        }
        answer
    }

    fn turn(&self, wait_max: Duration) -> Result<Turn<'_>, StoreError> {
        let full = |state: &mut State| state.reading >= READING_MAX;
        let waited = self.freed.wait_timeout_while(self.state(), wait_max, full);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if full(&mut state) {
            return Err(StoreError::Crowded);
        }
        state.reading = state.reading.saturating_add(1);
        Ok(Turn(self))
    }
}

#[cfg(test)]
mod tests {
    //! Goal: never more readers at once than a database server has connections for, and nobody waits for ever. Method: more threads
    //! than turns, each counting who reads beside it; then all turns taken and one more asked for.

    use super::*;
    use crate::books::Books as _;
    use crate::sqlite::Store;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn no_more_read_at_once_than_there_are_turns() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("books.db")).unwrap();
        let readers = Readers::new(store.opener());
        let (reading, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (_sender, pause) = crossbeam_channel::bounded::<()>(1);
        std::thread::scope(|scope| {
            for _ in 0..4 * READING_MAX {
                scope.spawn(|| {
                    let read = readers.with(|reader| {
                        most.fetch_max(
                            reading.fetch_add(1, Ordering::SeqCst) + 1,
                            Ordering::SeqCst,
                        );
                        let _elapsed = pause.recv_timeout(Duration::from_millis(5));
                        reading.fetch_sub(1, Ordering::SeqCst);
                        reader.leaf_count()
                    });
                    assert_eq!(read.unwrap(), 0);
                });
            }
        });
        assert!((2..=READING_MAX).contains(&most.into_inner()));
        assert!(readers.state().idle.len() <= IDLE_MAX);
        assert_eq!(readers.state().reading, 0);
    }

    #[test]
    fn a_turn_that_does_not_come_is_told() {
        let open = || -> Result<Box<dyn BooksReader>, StoreError> { unreachable!() };
        let readers = Readers::new(std::sync::Arc::new(open));
        let turns: Vec<_> =
            (0..READING_MAX).map(|_| readers.turn(Duration::ZERO).unwrap()).collect();
        let refused = readers.turn(Duration::from_millis(10)).err().unwrap();
        assert!(refused.to_string().contains("again in a moment"), "{refused}");
        drop(turns);
        assert!(readers.turn(Duration::ZERO).is_ok());
    }
}
