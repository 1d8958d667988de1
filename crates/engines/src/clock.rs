//! Time, read at one place: everything below is handed an [`Instant`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tpw_core::{Instant, Span};

/// Whoever knows what time it is.
pub trait Clock: Send + Sync {
    /// The time; never earlier than what this clock said before.
    fn now(&self) -> Instant;
}

/// The operating system's wall clock, held where it is while the system sets it back.
#[derive(Debug, Default)]
pub struct SystemClock {
    latest_ms: AtomicU64,
}

impl SystemClock {
    /// A clock that has said nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { latest_ms: AtomicU64::new(0) }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        #[expect(clippy::disallowed_methods, reason = "this is the edge that reads the clock")]
        let wall = SystemTime::now();
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let before = self.latest_ms.fetch_max(wall_ms, Ordering::Relaxed);
        Instant::from_unix_ms(before.max(wall_ms)).unwrap_or(Instant::MAX)
    }
}

/// A clock that stands until it is moved: for tests and simulation.
#[derive(Debug)]
pub struct ManualClock {
    now_ms: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub const fn new(start: Instant) -> Self {
        Self { now_ms: AtomicU64::new(start.unix_ms()) }
    }

    /// Moves it forward.
    pub fn advance(&self, span: Span) {
        self.now_ms.fetch_add(span.as_ms(), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        Instant::from_unix_ms(self.now_ms.load(Ordering::Relaxed)).unwrap_or(Instant::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_is_in_this_century_and_never_goes_back() {
        let clock = SystemClock::new();
        let first = clock.now();
        assert!(first.unix_ms() > 1_700_000_000_000);
        // As if the system had been set back by an hour: the clock stands.
        clock.latest_ms.store(first.plus(Span::from_secs(3600)).unix_ms(), Ordering::Relaxed);
        assert_eq!(clock.now(), first.plus(Span::from_secs(3600)));
    }

    #[test]
    fn the_manual_clock_moves_only_when_told() {
        let start = Instant::from_unix_ms(5_000).unwrap();
        let clock = ManualClock::new(start);
        assert_eq!(clock.now(), start);
        clock.advance(Span::from_ms(7));
        assert_eq!(clock.now().unix_ms(), 5_007);
    }
}
