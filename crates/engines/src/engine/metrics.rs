//! Counting what happens, for `/metrics` and `/readyz`.

use crate::stamped::Outcomes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use tpw_flow::{Answer, Changes, Outcome};

/// Counters since the start.
#[derive(Default)]
pub(super) struct Meter {
    batches: AtomicU64,
    commands: AtomicU64,
    leaves: AtomicU64,
    alarms: AtomicU64,
    payments: Mutex<BTreeMap<&'static str, u64>>,
    rejections: Mutex<BTreeMap<&'static str, u64>>,
    writer_fault: Mutex<Option<String>>,
    damage: OnceLock<String>,
    checking: AtomicBool,
}

/// A reading of the counters. All labels come from closed sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Commits.
    pub batches: u64,
    /// Commands decided.
    pub commands: u64,
    /// Log leaves written.
    pub leaves: u64,
    /// Alarms raised.
    pub alarms: u64,
    /// New states of payments, by status.
    pub payments: BTreeMap<&'static str, u64>,
    /// Rejections, by code.
    pub rejections: BTreeMap<&'static str, u64>,
    /// What became of asking other time-stamp authorities, by authority and outcome.
    pub outside: Outcomes,
    /// Payments that wait now.
    pub waiting: u64,
    /// Leaves under the newest checkpoint.
    pub tree_size: u64,
    /// How old the newest checkpoint is, in milliseconds.
    pub checkpoint_age_ms: u64,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl Meter {
    pub(super) fn set_checking(&self, checking: bool) {
        self.checking.store(checking, Ordering::Release);
    }

    pub(super) fn is_checking(&self) -> bool {
        self.checking.load(Ordering::Acquire)
    }

    pub(super) fn batch(&self, changes: &Changes) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.leaves.fetch_add(number(changes.leaves.len()), Ordering::Relaxed);
        self.alarms.fetch_add(number(changes.alarms.len()), Ordering::Relaxed);
    }

    pub(super) fn count<'a>(&self, outcomes: impl Iterator<Item = &'a Outcome>) {
        let (mut payments, mut rejections) = (held(&self.payments), held(&self.rejections));
        for outcome in outcomes {
            self.commands.fetch_add(1, Ordering::Relaxed);
            let counter = match outcome {
                Ok(Answer::Payment(payment)) => {
                    payments.entry(payment.status().map_or("moving", |s| s.code())).or_default()
                }
                Ok(_) => continue,
                Err(rejection) => rejections.entry(rejection.code()).or_default(),
            };
            *counter = counter.saturating_add(1);
        }
    }

    pub(super) fn set_writer_fault(&self, fault: Option<String>) {
        *held(&self.writer_fault) = fault;
    }

    /// The books on the disk are damaged: no rebuilt memory heals that, so that it stays until the next start.
    pub(super) fn set_damage(&self, what: String) {
        let _known = self.damage.set(what);
    }

    pub(super) fn writer_fault(&self) -> Option<String> {
        self.damage.get().cloned().or_else(|| held(&self.writer_fault).clone())
    }

    pub(super) fn read(&self) -> Metrics {
        Metrics {
            batches: self.batches.load(Ordering::Relaxed),
            commands: self.commands.load(Ordering::Relaxed),
            leaves: self.leaves.load(Ordering::Relaxed),
            alarms: self.alarms.load(Ordering::Relaxed),
            payments: held(&self.payments).clone(),
            rejections: held(&self.rejections).clone(),
            ..Metrics::default()
        }
    }
}
