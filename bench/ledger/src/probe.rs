//! Memory, measured by processes that do nothing else: what one part leaves behind would hide what another takes.

use crate::alone::{ledger_bytes_per_account, memory_bytes};
use crate::args::Probe;
use crate::error::BenchError;
use crate::subject::{Subject, config};
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// Answers a probe, in this process.
///
/// # Errors
/// [`BenchError`].
pub async fn answer(probe: &Probe) -> Result<f64, BenchError> {
    match probe {
        Probe::LedgerAccount { accounts } => ledger_bytes_per_account(*accounts),
        Probe::EngineAccount { accounts, folder } => {
            let mut subject = Subject::open(folder, config()?)?;
            let before = memory_bytes();
            subject.open_accounts(*accounts).await?;
            let taken = memory_bytes().saturating_sub(before);
            subject.close();
            Ok(number(taken) / f64::from((*accounts).max(1)))
        }
        Probe::Start { folder } => {
            let subject = Subject::open(folder, config()?)?;
            let taken = memory_bytes();
            subject.close();
            Ok(number(taken))
        }
    }
}

/// Asks a new process of this program.
///
/// # Errors
/// [`BenchError::Program`] with what it said.
fn ask<S: AsRef<OsStr>>(words: &[S]) -> Result<f64, BenchError> {
    let failed = |why: String| BenchError::program("bench-ledger", why);
    let own = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let output =
        Command::new(own).args(words).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    said.parse().map_err(|_| failed(format!("it ended with {} and said `{said}`", output.status)))
}

/// Bytes that each of so many accounts takes in the ledger.
///
/// # Errors
/// [`BenchError::Program`].
pub fn ledger_account(accounts: u64) -> Result<f64, BenchError> {
    ask(&["ledger-account", &accounts.to_string()])
}

/// Bytes that each of so many accounts takes in the whole engine, in the empty folder `folder`.
///
/// # Errors
/// [`BenchError::Program`].
pub fn engine_account(accounts: u64, folder: &Path) -> Result<f64, BenchError> {
    ask(&[OsStr::new("engine-account"), OsStr::new(&accounts.to_string()), folder.as_os_str()])
}

/// Bytes that an engine takes after its start on the folder `folder`.
///
/// # Errors
/// [`BenchError::Program`].
pub fn start(folder: &Path) -> Result<f64, BenchError> {
    ask(&[OsStr::new("start"), folder.as_os_str()])
}

#[expect(clippy::cast_precision_loss, reason = "counts of any benchmark fit a double exactly")]
fn number(value: u64) -> f64 {
    value as f64
}
