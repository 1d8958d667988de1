//! Why a benchmark stops.

use replay::error::ReplayError;
use std::path::{Path, PathBuf};
use tpw_engines::{EngineError, PayError};
use tpw_ledger::LedgerError;

/// Why a benchmark stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The operating system refused.
    #[error("cannot {doing} `{}`: {cause}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The engine does not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine does not answer.
    #[error(transparent)]
    Pay(#[from] PayError),
    /// The ledger refused what the workload never asks wrongly.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The whole flow beside it.
    #[error(transparent)]
    Flow(#[from] ReplayError),
    /// There is no PostgreSQL to compare with.
    #[error(
        "there is no PostgreSQL server to compare with; install one, on Debian `apt-get install postgresql-15`"
    )]
    NoPostgres,
    /// A program that was started failed.
    #[error("`{program}` failed: {why}")]
    Program {
        /// Which.
        program: String,
        /// What it said.
        why: String,
    },
    /// What was measured is not to be trusted.
    #[error("the check failed: {0}")]
    Check(String),
    /// The page has no place for the figures.
    #[error("`{}` has no line `{mark}`; put it back where the figures belong", path.display())]
    NoMark {
        /// The page.
        path: PathBuf,
        /// The line that is missing.
        mark: &'static str,
    },
}

impl BenchError {
    /// For `map_err` after a system call on `path`.
    pub fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io { doing, path, cause }
    }

    /// A program that was started failed.
    #[must_use]
    pub fn program(program: &str, why: impl Into<String>) -> Self {
        Self::Program { program: program.to_owned(), why: why.into() }
    }
}
