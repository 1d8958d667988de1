#![doc = include_str!("../README.md")]

mod audit;
mod books;
mod client;
mod decisions;
mod driver;
mod guards;
mod keys;
mod log;
mod model;
mod network;
mod operator;
mod orders;
mod records;
mod server;
mod store;
mod trace;

pub use books::Tally;
pub use driver::{Report, Setup, run, run_beside};
pub use keys::Keys;

/// What went wrong in a run, with what is needed to see it again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "seed {seed}, step {step}: {what}; repeat it with `cargo run --release -p tpw-sim -- --seed {seed} --steps {steps}{more}`"
)]
pub struct SimError {
    /// The seed of the run.
    pub seed: u64,
    /// How many steps it was to have.
    pub steps: u64,
    /// The other words of the command.
    pub more: String,
    /// The step at which a checker spoke.
    pub step: u64,
    /// What it said.
    pub what: String,
}

/// What the server keeps its books in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StoreKind {
    /// Rows in memory: quick.
    #[default]
    Rows,
    /// The product's SQLite store on a simulated disk.
    Sqlite,
}

impl StoreKind {
    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Sqlite => "sqlite",
        }
    }
}

impl core::str::FromStr for StoreKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = [Self::Rows, Self::Sqlite].into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| name.to_owned())
    }
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
    /// The store does not write the digests of orders.
    StoreDropsDigests,
    /// The store does not write velocity limits.
    StoreDropsVelocities,
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
    /// The disk never syncs, and says that it does.
    DiskLies,
    /// The store does not sync its commits.
    CommitsUnsynced,
    /// The store keeps a batch in two transactions.
    BatchInTwo,
    /// After a wrong bit the store gives signature chains another length, and says nothing.
    BitsBelieved,
}

impl Defect {
    /// Every defect.
    pub const ALL: [Self; 17] = [
        Self::StoreDropsTransfer,
        Self::StoreDropsChains,
        Self::StoreKeepsHolds,
        Self::StoreCreditsTwice,
        Self::StoreLies,
        Self::StoreForgetsPayments,
        Self::StoreDropsDigests,
        Self::StoreDropsVelocities,
        Self::AnswersBeforeCommit,
        Self::LogForks,
        Self::LogDropsLeaf,
        Self::WrongSalt,
        Self::NeverAnswers,
        Self::DiskLies,
        Self::CommitsUnsynced,
        Self::BatchInTwo,
        Self::BitsBelieved,
    ];

    /// The store in which it can be.
    #[must_use]
    pub const fn store(self) -> StoreKind {
        match self {
            Self::DiskLies | Self::CommitsUnsynced | Self::BatchInTwo | Self::BitsBelieved => {
                StoreKind::Sqlite
            }
            _ => StoreKind::Rows,
        }
    }
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
