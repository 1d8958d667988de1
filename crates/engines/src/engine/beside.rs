//! Work beside payments, such as anchoring, that ended though the server runs: no payment waits for it, so that nobody would see it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// What has ended.
#[derive(Debug, Default)]
pub struct Beside(Mutex<BTreeSet<&'static str>>);

impl Beside {
    /// Notes that this has ended, until the next start.
    pub fn ended(&self, work: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(work);
    }

    /// All that has ended, by name.
    #[must_use]
    pub fn all_ended(&self) -> Vec<&'static str> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}
