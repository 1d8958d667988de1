//! When a receipt's evidence has to be renewed, and why.

use super::algorithms::{STAMP_DIGEST, hash_name, relied_until};
use super::asn1::EvidenceRecord;
use super::verify::Stamps;
use super::{EvidenceError, Step};
use crate::error::ProofError;
use crate::timestamp::{ArchivedToken, Roots};
use tpw_core::{Instant, Receipt};
use tpw_crypto::Sha2;

/// What ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ends {
    /// The validity of a certificate of the newest time-stamp.
    Certificate,
    /// The reliance on an algorithm, by its name in `spec/algorithms.json`.
    Algorithm(&'static str),
}

/// What has to be done for a receipt, and the last instant for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    /// What.
    pub step: Step,
    /// The last instant at which it proves something.
    pub until: Instant,
    /// Why.
    pub ends: Ends,
    /// The function of the newest chain, if there is a record.
    pub function: Option<Sha2>,
}

/// What comes next for `receipt`: of all that ends, what ends first.
///
/// # Errors
/// [`EvidenceError`] when a time-stamp or a record cannot be read. Nothing else is verified here.
pub fn due(receipt: &Receipt, tsa_roots: &[Vec<u8>]) -> Result<Due, ProofError> {
    let roots = Roots::parse(tsa_roots)?;
    let mut found = Vec::new();
    for record in &receipt.evidence {
        found.push(first_due(record, &roots)?);
    }
    if receipt.evidence.is_empty() {
        for stamp in &receipt.timestamps {
            let token = ArchivedToken::of_response(stamp)?;
            found.extend(stamp_ends(&token, &roots, Step::Begin, None));
        }
        found.push(algorithm_end(STAMP_DIGEST, Step::Begin, None));
    }
    Ok(first(found)?)
}

/// What comes next for one record.
///
/// # Errors
/// As [`due`].
pub fn due_of_record(record_der: &[u8], tsa_roots: &[Vec<u8>]) -> Result<Due, ProofError> {
    Ok(first_due(record_der, &Roots::parse(tsa_roots)?)?)
}

fn first(found: Vec<Due>) -> Result<Due, EvidenceError> {
    // A hash renewal has a new time-stamp too: of two that fall together it is the one to do.
    let first = found.into_iter().min_by_key(|due| (due.until, due.step != Step::HashTree));
    first.ok_or(EvidenceError::Empty)
}

fn first_due(record_der: &[u8], roots: &Roots) -> Result<Due, EvidenceError> {
    let record = EvidenceRecord::read(record_der)?;
    let stamps = Stamps::read(&record)?;
    let (function, chain) = stamps.newest_chain().ok_or(EvidenceError::Empty)?;
    let newest = chain.last().ok_or(EvidenceError::Empty)?;
    let mut found = stamp_ends(&newest.token, roots, Step::TimeStamp, Some(function));
    found.push(algorithm_end(hash_name(function), Step::HashTree, Some(function)));
    first(found)
}

/// The ends of everything that one time-stamp leans on.
fn stamp_ends(
    token: &ArchivedToken,
    roots: &Roots,
    step: Step,
    function: Option<Sha2>,
) -> Vec<Due> {
    let until = token.chain_end(roots).unwrap_or(token.gen_time);
    let algorithms = token.algorithms().map(|name| algorithm_end(name, step, function));
    [Due { step, until, ends: Ends::Certificate, function }].into_iter().chain(algorithms).collect()
}

fn algorithm_end(name: &'static str, step: Step, function: Option<Sha2>) -> Due {
    Due { step, until: relied_until(name), ends: Ends::Algorithm(name), function }
}
