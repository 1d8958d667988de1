//! What the log's witnesses and mirrors do for it, counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a cosigner says with its cosignature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// That the log only grew.
    Witness,
    /// That it has all entries, too.
    Mirror,
}

impl Role {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Witness => "witness",
            Self::Mirror => "mirror",
        }
    }
}

/// One cosigner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CosignerRow {
    /// The name in its cosignatures.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Its answers, by what came of them: `cosigned`, or why not. Reasons come from a closed set.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// How long its cosignatures took together, in microseconds.
    pub took_us: u64,
    /// The largest size that it has cosigned since the start.
    pub size: u64,
}

/// The cosigners that are asked.
#[derive(Default)]
pub struct CosignerMeter(Mutex<Vec<CosignerRow>>);

impl CosignerMeter {
    fn held(&self) -> MutexGuard<'_, Vec<CosignerRow>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a cosigner that will be asked.
    pub fn add(&self, name: &str, role: Role) {
        let mut rows = self.held();
        if !rows.iter().any(|row| row.name == name) {
            let outcomes = BTreeMap::from([("cosigned", 0)]);
            rows.push(CosignerRow { name: name.to_owned(), role, outcomes, took_us: 0, size: 0 });
        }
    }

    /// Counts a cosignature.
    pub fn cosigned(&self, name: &str, size: u64, took: Duration) {
        let mut rows = self.held();
        let Some(row) = rows.iter_mut().find(|row| row.name == name) else { return };
        let count = row.outcomes.entry("cosigned").or_default();
        *count = count.saturating_add(1);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        row.took_us = row.took_us.saturating_add(took_us);
        row.size = row.size.max(size);
    }

    /// Counts an answer that is no cosignature, or none at all.
    pub fn failed(&self, name: &str, reason: &'static str) {
        let mut rows = self.held();
        let Some(row) = rows.iter_mut().find(|row| row.name == name) else { return };
        let count = row.outcomes.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    /// All of them, in the order in which they were added.
    #[must_use]
    pub fn rows(&self) -> Vec<CosignerRow> {
        self.held().clone()
    }
}
