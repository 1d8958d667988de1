//! Time, read at one place: everything below is handed an [`Instant`].

use crate::clock_error::ErrorBound;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant as Monotonic, SystemTime, UNIX_EPOCH};
use tpw_core::{Instant, Span};

/// The largest step of a clock that passes for none, in milliseconds: a leap second is one. Steps add up over the whole time since the
/// start.
pub const JUMP_MAX_MS: u64 = 1_000;

/// Why nobody knows how far a clock is off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClockFault {
    /// The program that follows the reference could not be asked.
    #[error("the clock's error cannot be read: {0}")]
    Unreadable(String),
    /// The clock follows no reference.
    #[error("the clock is not synchronised with a reference; see `chronyc sources`")]
    Unsynchronised,
    /// The clock follows a reference that anybody could pretend to be.
    #[error("{0}")]
    Unauthenticated(String),
    /// Too few of those who are asked agree on the time.
    #[error("{0}")]
    NoQuorum(String),
    /// One of those who know it is wrong.
    #[error(
        "the sources of the clock's error exclude each other: it is not known which of them is wrong"
    )]
    Contradiction,
    /// What is known of it is too old.
    #[error("the clock's error was last read {0} s ago")]
    Stale(u64),
}

/// Whoever knows what time it is.
pub trait Clock: Send + Sync {
    /// The time; never earlier than what this clock said before.
    fn now(&self) -> Instant;

    /// How far [`Clock::now`] may be off, either way, its rounding to milliseconds included.
    ///
    /// # Errors
    /// [`ClockFault`] when that is not known: no time-stamp is given then.
    fn error(&self) -> Result<Span, ClockFault>;

    /// How far the clock was set, either way, since this one was first read, in milliseconds. Zero for a clock that
    /// nobody sets.
    fn jump_ms(&self) -> u64 {
        0
    }
}

/// The operating system's wall clock, held where it is while the system sets it back.
///
/// It is compared with two others. The monotonic clock is corrected in rate together with the wall clock and never set: what the two
/// differ by was set by somebody, or slept through. The crystal is not corrected at all: what the wall clock differs from it by was set,
/// or slewed.
///
/// INVARIANT: a step is told by the monotonic clock, an error by the crystal. A clock that is disciplined goes away from its crystal for
/// good, 50 parts of a million are a second in six hours, and nobody has set it; but for as long as an error was not read anew, nobody
/// knows whether it was rightly slewed, and a daemon slews by up to 83,333 parts of a million.
#[derive(Debug)]
pub struct SystemClock {
    latest_ms: AtomicU64,
    first: OnceLock<Readings>,
    bound: ErrorBound,
}

/// What an operator who says nothing vouches for: clocks that follow any reference at all are better.
const VOUCHED: Span = Span::from_ms(500);

/// All clocks, read together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readings {
    pub(crate) wall_us: u64,
    /// Never set, and corrected in rate as the wall clock is.
    pub(crate) monotonic: Monotonic,
    /// What the hardware has counted since some time in the past; nobody corrects it.
    pub(crate) crystal: Duration,
}

/// `CLOCK_MONOTONIC_RAW`, which `adjtimex` does not reach.
#[cfg(target_os = "linux")]
fn crystal() -> Duration {
    let read = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicRaw);
    let (secs, nanos) = (u64::try_from(read.tv_sec), u32::try_from(read.tv_nsec));
    Duration::new(secs.unwrap_or_default(), nanos.unwrap_or_default())
}

/// What the standard library counts by. On Apple's systems nobody slews that; on others it is slewed with the wall clock, so that a
/// bound misses slews there: state time-stamps to others from Linux, or declare what the slews come to.
#[cfg(not(target_os = "linux"))]
fn crystal() -> Duration {
    static FIRST: OnceLock<Monotonic> = OnceLock::new();
    FIRST.get_or_init(Monotonic::now).elapsed()
}

impl Readings {
    pub(crate) fn take() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the edge that reads the clock")]
        let wall = SystemTime::now();
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall_us: micros(since), monotonic: Monotonic::now(), crystal: crystal() }
    }

    /// How much time passed since `earlier`, whatever was done to the other clocks; wrong by the error of a crystal alone.
    pub(crate) fn passed_since(&self, earlier: &Self) -> Duration {
        self.crystal.saturating_sub(earlier.crystal)
    }

    /// By how much the wall clock was set since `first`, in microseconds. Slewing is not counted.
    pub(crate) fn set_us_since(&self, first: &Self) -> u64 {
        self.apart_us(first, self.monotonic.saturating_duration_since(first.monotonic))
    }

    /// By how much the wall clock went another way than its crystal since `earlier`, set or slewed, in microseconds.
    pub(crate) fn strayed_us_since(&self, earlier: &Self) -> u64 {
        self.apart_us(earlier, self.passed_since(earlier))
    }

    fn apart_us(&self, earlier: &Self, passed: Duration) -> u64 {
        earlier.wall_us.saturating_add(micros(passed)).abs_diff(self.wall_us)
    }
}

pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl SystemClock {
    /// A clock that has said nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_bound(ErrorBound::Declared(VOUCHED))
    }

    /// A clock that has said nothing yet and whose error is known from `bound`.
    #[must_use]
    pub const fn with_bound(bound: ErrorBound) -> Self {
        Self { latest_ms: AtomicU64::new(0), first: OnceLock::new(), bound }
    }

    fn read(&self) -> (Readings, &Readings) {
        let readings = Readings::take();
        (readings, self.first.get_or_init(|| readings))
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        let wall_ms = self.read().0.wall_us / 1000;
        let before = self.latest_ms.fetch_max(wall_ms, Ordering::Relaxed);
        Instant::from_unix_ms(before.max(wall_ms)).unwrap_or(Instant::MAX)
    }

    fn error(&self) -> Result<Span, ClockFault> {
        self.bound.error(&Readings::take())
    }

    fn jump_ms(&self) -> u64 {
        let (readings, first) = self.read();
        readings.set_us_since(first) / 1000
    }
}

/// A clock that stands until it is moved: for tests and simulation.
#[derive(Debug)]
pub struct ManualClock {
    now_ms: AtomicU64,
    jump_ms: AtomicU64,
    error_ms: AtomicU64,
}

/// Stands for an error that is not known.
const UNKNOWN: u64 = u64::MAX;

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub const fn new(start: Instant) -> Self {
        Self {
            now_ms: AtomicU64::new(start.unix_ms()),
            jump_ms: AtomicU64::new(0),
            error_ms: AtomicU64::new(1),
        }
    }

    /// Moves it forward.
    pub fn advance(&self, span: Span) {
        self.now_ms.fetch_add(span.as_ms(), Ordering::Relaxed);
    }

    /// Has it say from now on that it was set by so much; zero takes that back.
    pub fn pretend_jump(&self, span: Span) {
        self.jump_ms.store(span.as_ms(), Ordering::Relaxed);
    }

    /// Has it say from now on that it may be off by so much, or that nobody knows.
    pub fn pretend_error(&self, span: Option<Span>) {
        self.error_ms.store(span.map_or(UNKNOWN, Span::as_ms), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        Instant::from_unix_ms(self.now_ms.load(Ordering::Relaxed)).unwrap_or(Instant::MAX)
    }

    fn error(&self) -> Result<Span, ClockFault> {
        match self.error_ms.load(Ordering::Relaxed) {
            UNKNOWN => Err(ClockFault::Unsynchronised),
            error_ms => Ok(Span::from_ms(error_ms)),
        }
    }

    fn jump_ms(&self) -> u64 {
        self.jump_ms.load(Ordering::Relaxed)
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
    fn a_wall_clock_that_was_set_is_noticed_either_way_until_it_is_set_back() {
        let first = Readings { wall_us: 1_000_000_000, ..Readings::take() };
        let later = |passed_ms, wall_ms: u64| {
            let passed = Duration::from_millis(passed_ms);
            let (monotonic, crystal) = (first.monotonic + passed, first.crystal + passed);
            let readings = Readings { wall_us: wall_ms * 1000, monotonic, crystal };
            let set_ms = readings.set_us_since(&first) / 1000;
            assert_eq!(readings.strayed_us_since(&first) / 1000, set_ms);
            set_ms
        };
        assert_eq!(later(5_000, 1_005_000), 0);
        assert_eq!(later(5_000, 1_006_500), 1_500);
        assert_eq!(later(5_000, 1_001_000), 4_000);
        assert_eq!(later(5_000, 0), 1_005_000);
        assert_eq!(later(9_000, 1_009_000), 0);
        // The real clocks agree, here and now.
        let clock = SystemClock::new();
        assert!(clock.jump_ms() <= JUMP_MAX_MS);
        clock.first.set(Readings::take()).unwrap_err();
        let early = SystemClock::new();
        let mut readings = Readings::take();
        readings.wall_us -= 60_000_000;
        early.first.set(readings).unwrap();
        assert!((59_000..61_000).contains(&early.jump_ms()));
    }

    #[test]
    fn a_clock_that_is_only_slewed_was_never_set_and_goes_away_from_its_crystal() {
        const DAY_US: u64 = 24 * 3600 * 1_000_000;
        let first = Readings { wall_us: 1_790_000_000_000_000, ..Readings::take() };
        // Discipline of a good, a bad and a slewed clock, in parts of a million: a month of each.
        for ppm in [20, 500, 83_333] {
            let (crystal_us, slewed_us) = (30 * DAY_US, 30 * DAY_US / 1_000_000 * ppm);
            let corrected_us = crystal_us + slewed_us;
            let later = Readings {
                wall_us: first.wall_us + corrected_us,
                monotonic: first.monotonic + Duration::from_micros(corrected_us),
                crystal: first.crystal + Duration::from_micros(crystal_us),
            };
            assert_eq!(later.set_us_since(&first), 0, "{ppm}");
            assert_eq!(later.strayed_us_since(&first), slewed_us, "{ppm}");
            assert_eq!(later.passed_since(&first), Duration::from_micros(crystal_us), "{ppm}");
        }
    }

    #[test]
    fn the_crystal_counts_what_passes() {
        let (first, begun) = (Readings::take(), Monotonic::now());
        std::thread::park_timeout(Duration::from_millis(30));
        let passed = Readings::take().passed_since(&first);
        let most = begun.elapsed() + Duration::from_secs(1);
        assert!((Duration::from_millis(1)..most).contains(&passed), "{passed:?}");
    }

    #[test]
    fn a_clock_says_what_is_known_of_its_error() {
        assert_eq!(SystemClock::new().error(), Ok(VOUCHED));
        let declared = ErrorBound::Declared(Span::from_ms(70));
        assert_eq!(SystemClock::with_bound(declared).error(), Ok(Span::from_ms(70)));
        let manual = ManualClock::new(Instant::from_unix_ms(5_000).unwrap());
        assert_eq!(manual.error(), Ok(Span::from_ms(1)));
        manual.pretend_error(None);
        assert_eq!(manual.error(), Err(ClockFault::Unsynchronised));
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
