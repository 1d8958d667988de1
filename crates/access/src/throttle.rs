//! Waiting times after failures, so that guessing is slow.

use std::collections::BTreeMap;

use tpw_core::{Instant, Span};

/// The wait after the first, second, ... failure in a row; the last holds from then on.
pub const STAGES: [Span; 7] = [
    Span::from_secs(1),
    Span::from_secs(3),
    Span::from_secs(5),
    Span::from_secs(15),
    Span::from_secs(60),
    Span::from_secs(300),
    Span::from_secs(900),
];

/// Failures are forgotten this long after the last one.
pub const FORGET: Span = Span::from_secs(3600);

/// A full table looks for forgotten entries at most this often: looking is linear.
const SWEEP: Span = Span::from_secs(60);

/// The key must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many failed attempts: try again in {} s", retry_after.as_ms().div_ceil(1000))]
pub struct Throttled {
    /// How long from now.
    pub retry_after: Span,
}

/// Counts failures per key (an address, a person) in bounded memory.
///
/// Keys that find the table full share one entry: they wait together, and nobody's count is dropped to make room.
/// Attempts that run at the same time see the same count; the server's bound on parallel requests bounds them.
#[derive(Debug)]
pub struct Throttle<K> {
    capacity: usize,
    entries: BTreeMap<K, Failures>,
    overflow: Option<Failures>,
    next_sweep: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: usize,
    last: Instant,
}

impl Failures {
    fn is_forgotten(self, now: Instant) -> bool {
        now >= self.last.plus(FORGET)
    }

    /// One more failure; a forgotten row of them starts anew.
    fn and_one(before: Option<Self>, now: Instant) -> Self {
        let count = before.filter(|row| !row.is_forgotten(now)).map_or(0, |row| row.count);
        Self { count: count.saturating_add(1), last: now }
    }

    fn wait_end(self) -> Instant {
        let place = self.count.saturating_sub(1).min(STAGES.len().saturating_sub(1));
        STAGES.get(place).map_or(self.last, |stage| self.last.plus(*stage))
    }
}

impl<K: Ord> Throttle<K> {
    /// A table for at most `capacity` keys.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, entries: BTreeMap::new(), overflow: None, next_sweep: None }
    }

    /// Whether `key` may try now.
    ///
    /// # Errors
    /// [`Throttled`] while the wait after its last failure runs.
    pub fn check(&self, key: &K, now: Instant) -> Result<(), Throttled> {
        let full = self.entries.len() >= self.capacity;
        let row = self.entries.get(key).copied().or(if full { self.overflow } else { None });
        match row.map(Failures::wait_end) {
            Some(end) if now < end => Err(Throttled { retry_after: end.since(now) }),
            _ => Ok(()),
        }
    }

    /// Notes a failure of `key`.
    pub fn failed(&mut self, key: K, now: Instant) {
        if let Some(row) = self.entries.get_mut(&key) {
            *row = Failures::and_one(Some(*row), now);
            return;
        }
        let due = self.next_sweep.is_none_or(|next| now >= next);
        if self.entries.len() >= self.capacity && due {
            self.entries.retain(|_key, row| !row.is_forgotten(now));
            self.next_sweep = Some(now.plus(SWEEP));
        }
        if self.entries.len() < self.capacity {
            self.entries.insert(key, Failures::and_one(None, now));
        } else {
            self.overflow = Some(Failures::and_one(self.overflow, now));
        }
    }

    /// Forgets the failures of `key`: it proved itself. The shared entry stays.
    pub fn succeeded(&mut self, key: &K) {
        self.entries.remove(key);
    }
}
