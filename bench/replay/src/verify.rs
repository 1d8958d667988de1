//! Judges every stored receipt, on all cores.

use crate::error::ReplayError;
use crate::say::per_second;
use crate::state::{Answer, State};
use serde::Serialize;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Instant;
use tpw_proof::{Trust, judge};

/// The most failures that are told one by one.
const FAILURES_TOLD_MAX: usize = 20;

/// What verifying came to.
#[derive(Clone, Serialize, Debug)]
pub struct Verified {
    /// Receipts that prove signature, log and time of the payment that they stand for.
    pub valid: usize,
    /// Receipts that do not.
    pub invalid: usize,
    /// Booked payments without a receipt.
    pub missing: usize,
    /// The first failures: payment, layer, reason.
    pub failures: Vec<String>,
    /// How long it took, in seconds.
    pub wall_s: f64,
    /// Receipts per second.
    pub per_second: f64,
    /// Bytes of all receipts.
    pub bytes: u64,
}

impl Verified {
    /// Whether every booked payment has a receipt that is valid.
    #[must_use]
    pub const fn all(&self) -> bool {
        self.invalid == 0 && self.missing == 0
    }
}

/// Judges all receipts of a state by `trust_path`.
///
/// # Errors
/// [`ReplayError`] when the files cannot be read.
pub fn verify(state: &State, trust_path: &Path) -> Result<Verified, ReplayError> {
    let text = std::fs::read_to_string(trust_path).map_err(ReplayError::io("read", trust_path))?;
    let trust = Trust::from_json(&text)?;
    let answers: Vec<Answer> = state.answers()?.into_values().collect();
    let pack_path = state.file("receipts.pack");
    let pack = File::open(&pack_path).map_err(ReplayError::io("open", &pack_path))?;
    let booked = answers.iter().filter(|answer| answer.status == "booked");
    let (with, without): (Vec<&Answer>, Vec<&Answer>) = booked.partition(|a| a.receipt.is_some());
    let began = Instant::now();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = with.len().div_ceil(cores).max(1);
    let judged: Vec<Result<Vec<String>, ReplayError>> = std::thread::scope(|scope| {
        let (trust, pack, path) = (&trust, &pack, &pack_path);
        let threads: Vec<_> = with
            .chunks(share)
            .map(|chunk| scope.spawn(move || chunk_failures(chunk, pack, path, trust)))
            .collect();
        let lost = || Err(ReplayError::Check("a verifying thread ended early".to_owned()));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
    });
    let wall_s = began.elapsed().as_secs_f64();
    let mut failures = Vec::new();
    for chunk in judged {
        failures.extend(chunk?);
    }
    let invalid = failures.len();
    failures.truncate(FAILURES_TOLD_MAX);
    let bytes =
        with.iter().filter_map(|a| a.receipt).map(|(_, len)| len).fold(0, u64::saturating_add);
    Ok(Verified {
        valid: with.len().saturating_sub(invalid),
        invalid,
        missing: without.len(),
        failures,
        wall_s,
        per_second: per_second(with.len(), wall_s).round(),
        bytes,
    })
}

fn chunk_failures(
    answers: &[&Answer],
    pack: &File,
    path: &Path,
    trust: &Trust,
) -> Result<Vec<String>, ReplayError> {
    let mut failures = Vec::new();
    for answer in answers {
        let Some((offset, len)) = answer.receipt else { continue };
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        pack.read_exact_at(&mut bytes, offset).map_err(ReplayError::io("read", path))?;
        if let Some(why) = fault(answer, &bytes, trust) {
            failures.push(format!("{} (transfer {}): {why}", answer.payment, answer.number));
        }
    }
    Ok(failures)
}

fn fault(answer: &Answer, receipt: &[u8], trust: &Trust) -> Option<String> {
    let judgement = judge(receipt, trust);
    if let Some((layer, reason)) = judgement.first_failure() {
        return Some(format!("{}: {reason}", layer.code()));
    }
    if !judgement.is_valid() {
        return Some("it lacks signature, log or time".to_owned());
    }
    let Some(payment) = judgement.payment else { return Some("it shows no payment".to_owned()) };
    if payment.intent.payment.to_string() != answer.payment {
        return Some(format!("it is the receipt of {}", payment.intent.payment));
    }
    if Some(payment.index) != answer.leaf_index {
        return Some(format!("it stands at leaf {}, not where the answer said", payment.index));
    }
    None
}
