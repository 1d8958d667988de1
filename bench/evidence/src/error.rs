//! Why there is no figure.

use replay::error::ReplayError;
use std::path::{Path, PathBuf};
use tpw_crypto::CryptoError;
use tpw_engines::log_store::LogError;
use tpw_proof::ProofError;
use tpw_proof::timestamp::TspError;

/// Why a benchmark gave no figure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// A file.
    #[error("cannot {doing} `{}`: {cause}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// An answer was wrong: then nothing was measured.
    #[error("a check failed: {0}")]
    Check(String),
    /// The program that sends requests.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A key.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// A proof.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// A time-stamp.
    #[error(transparent)]
    Tsp(#[from] TspError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl BenchError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io { doing, path, cause }
    }

    pub(crate) fn check(why: impl std::fmt::Display) -> Self {
        Self::Check(why.to_string())
    }
}
