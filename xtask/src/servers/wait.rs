//! Waiting for another process, of which nothing tells us when it is ready: looking again and again, with an end.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::shell::Failure;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A pause between two looks.
pub(crate) fn pause(time: Duration) {
    let (_nobody, never) = mpsc::channel::<()>();
    let _elapsed = never.recv_timeout(time);
}

/// Looks until there is something, at most for `time_max`; `what` completes the sentence "no … within".
pub(crate) fn until<T>(
    what: &str,
    time_max: Duration,
    mut look: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let began = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if began.elapsed() > time_max {
            return Err(Failure::new(format!("no {what} within {} s", time_max.as_secs())));
        }
        pause(LOOK_EVERY);
    }
}
