//! Why a replay stops.

use std::path::{Path, PathBuf};
use tpw_core::ParseAmountError;
use tpw_crypto::CryptoError;
use tpw_engines::files::FileError;
use tpw_proof::ProofError;

/// Why a replay stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
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
    /// A file or folder of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// The input cannot be used.
    #[error("`{}` line {line}: {why}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// The state folder is not that of this input, or damaged.
    #[error("the state in `{}` cannot be used: {why}; use another folder for another input", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Keys.
    #[error("a key cannot be used: {0}")]
    Crypto(#[from] CryptoError),
    /// Statements, receipts or trust.
    #[error("the evidence cannot be used: {0}")]
    Proof(#[from] ProofError),
    /// An option has a value that makes no sense.
    #[error("`{option}`: {why}")]
    Option {
        /// Which.
        option: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The server cannot be reached, in spite of all retries.
    #[error("no answer from the server: {0}")]
    Unreachable(String),
    /// The server answered what it should not.
    #[error("the server answered {status} to `{request}`: {body}")]
    Answer {
        /// The HTTP status.
        status: u16,
        /// Method and path.
        request: String,
        /// The beginning of the body.
        body: String,
    },
    /// A program that was started failed.
    #[error("`{program}` failed: {why}")]
    Program {
        /// Which.
        program: String,
        /// How.
        why: String,
    },
    /// What was to be shown is not so.
    #[error("the check failed: {0}")]
    Check(String),
    /// The peer's database.
    #[error("the peer's database failed: {0}")]
    Peer(#[from] rusqlite::Error),
}

impl ReplayError {
    /// For `map_err` after a system call on `path`.
    pub fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io { doing, path, cause }
    }

    /// Something wrong in a line of input.
    #[must_use]
    pub fn input(path: &Path, line: u64, why: impl Into<String>) -> Self {
        Self::Input { path: path.to_owned(), line, why: why.into() }
    }

    /// Something wrong with the state.
    #[must_use]
    pub fn state(path: &Path, why: impl Into<String>) -> Self {
        Self::State { path: path.to_owned(), why: why.into() }
    }
}

/// Says which amount cannot be read.
#[must_use]
pub fn bad_amount(path: &Path, line: u64, error: &ParseAmountError) -> ReplayError {
    ReplayError::input(path, line, error.to_string())
}
