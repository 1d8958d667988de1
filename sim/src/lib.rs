#![doc = include_str!("../README.md")]

mod audit;
mod chance;
mod client;
mod driver;
mod keys;
mod log;
mod model;
mod network;
mod operator;
mod server;
mod store;
mod trace;

pub use driver::{Report, Setup, run};
pub use keys::Keys;

/// What went wrong in a run, with what is needed to see it again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "seed {seed}, step {step}: {what}; repeat it with `cargo run --release -p tpw-sim -- --seed {seed} --steps {steps}`"
)]
pub struct SimError {
    /// The seed of the run.
    pub seed: u64,
    /// How many steps it was to have.
    pub steps: u64,
    /// The step at which a checker spoke.
    pub step: u64,
    /// What it said.
    pub what: String,
}

/// A defect planted on purpose, to prove that the checkers see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Defect {
    /// The store loses one transfer row of each tenth batch.
    StoreDropsTransfer,
    /// The store does not write how far signature chains have come.
    StoreDropsChains,
    /// The store does not write that holds were resolved.
    StoreKeepsHolds,
    /// The store credits the first account of a batch twice.
    StoreCreditsTwice,
    /// The store says that it has a batch, and does not.
    StoreLies,
    /// The store forgets payments, so that the same statement could be taken again.
    StoreForgetsPayments,
    /// The server answers although the commit has failed.
    AnswersBeforeCommit,
    /// The log exchanges a leaf that it has published.
    LogForks,
    /// The log publishes fewer leaves than the store has, and calls them all.
    LogDropsLeaf,
    /// Receipts are made with another salt.
    WrongSalt,
    /// Answers never reach anybody.
    NeverAnswers,
}

impl Defect {
    /// Every defect.
    pub const ALL: [Self; 11] = [
        Self::StoreDropsTransfer,
        Self::StoreDropsChains,
        Self::StoreKeepsHolds,
        Self::StoreCreditsTwice,
        Self::StoreLies,
        Self::StoreForgetsPayments,
        Self::AnswersBeforeCommit,
        Self::LogForks,
        Self::LogDropsLeaf,
        Self::WrongSalt,
        Self::NeverAnswers,
    ];
}

/// What a checker says: nothing, or what is wrong.
pub(crate) type Checked<T = ()> = Result<T, String>;

/// Says what is wrong unless `holds`.
pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(what()) }
}

/// An error of the product where there must be none.
pub(crate) fn broken(error: impl core::fmt::Display) -> String {
    error.to_string()
}
