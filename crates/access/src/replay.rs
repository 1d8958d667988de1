//! Which proofs were used already, in bounded memory.

use std::collections::{BTreeMap, BTreeSet};

use tpw_core::{Hash32, Instant, Span};

/// Why a proof is not taken as a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It was used before.
    #[error("the proof was used before: make a new one for each request")]
    Seen,
    /// It is from before this memory began, or from a time that is already forgotten, so that nobody can say.
    #[error("the proof is from before the server can remember: make a new one")]
    Forgotten,
    /// The memory is full of proofs that are still valid. Accepting one unseen would accept its replay.
    #[error("too many requests at this moment: try again later")]
    TooBusy,
}

/// A memory of used proofs. It forgets an entry once the entry's proof is too old to be accepted anyway, in steps of
/// ten seconds, and never earlier.
///
/// Ordered sets, not hashed ones: their order needs no randomness.
#[derive(Debug)]
pub struct ReplayCache {
    capacity: usize,
    count: usize,
    /// Proofs made earlier may have been used before this memory existed.
    started: Instant,
    /// Everything that ends in an earlier bucket is forgotten.
    first_bucket: u64,
    buckets: BTreeMap<u64, BTreeSet<Hash32>>,
}

const BUCKET: Span = Span::from_secs(10);

impl ReplayCache {
    /// Room for 65,536 proofs: about 500 per second when all come from clocks that run a minute ahead, 900 otherwise.
    pub const CAPACITY: usize = 65_536;

    /// An empty memory for at most `capacity` proofs, which refuses those made before the second of `started`: a
    /// restart forgets what was used, so what may have been used is refused.
    #[must_use]
    pub fn new(capacity: usize, started: Instant) -> Self {
        let started_second =
            Instant::from_unix_ms(started.unix_ms().saturating_sub(started.unix_ms() % 1000));
        Self {
            capacity,
            count: 0,
            started: started_second.unwrap_or(started),
            first_bucket: 0,
            buckets: BTreeMap::new(),
        }
    }

    /// How many proofs are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Remembers the proof `id`, made at `made` and acceptable through `until`.
    ///
    /// # Errors
    /// [`ReplayError`]; nothing is remembered then.
    pub fn admit(
        &mut self,
        id: Hash32,
        made: Instant,
        until: Instant,
        now: Instant,
    ) -> Result<(), ReplayError> {
        self.forget(now);
        let bucket = bucket_of(until);
        // The second case is a clock that was set back: the entry may have been here and gone.
        if made < self.started || bucket < self.first_bucket {
            return Err(ReplayError::Forgotten);
        }
        if self.buckets.values().any(|ids| ids.contains(&id)) {
            return Err(ReplayError::Seen);
        }
        if self.count >= self.capacity {
            return Err(ReplayError::TooBusy);
        }
        self.buckets.entry(bucket).or_default().insert(id);
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    fn forget(&mut self, now: Instant) {
        let current = bucket_of(now);
        if current <= self.first_bucket {
            return;
        }
        self.first_bucket = current;
        self.buckets = self.buckets.split_off(&current);
        self.count = self.buckets.values().map(BTreeSet::len).sum();
    }
}

fn bucket_of(instant: Instant) -> u64 {
    instant.unix_ms().checked_div(BUCKET.as_ms()).unwrap_or(0)
}
