//! Records that were begun under one time-stamp differ in their ways through the tree alone.

use super::EvidenceError;
use super::asn1::{EvidenceRecord, write};
use super::renew::reduced;

/// The record `der` of one receipt made that of another under the same time-stamp, whose hash in the tree is `leaf` and whose way to the
/// root has these siblings. Renewals of it go along: they cover time-stamps, which are the same for both. Nothing is verified here.
///
/// # Errors
/// [`EvidenceError`] when the record cannot be read, or was renewed under another function: then it covers what is each receipt's own.
pub fn placed(der: &[u8], leaf: &[u8], siblings: &[Vec<u8>]) -> Result<Vec<u8>, EvidenceError> {
    let mut record = EvidenceRecord::read(der)?;
    let [chain] = record.chains.as_mut_slice() else { return Err(EvidenceError::ChainFunction) };
    let first = chain.first_mut().ok_or(EvidenceError::Empty)?;
    first.reduced_hash_tree = reduced(&[leaf.to_vec()], siblings)?;
    write(&record)
}

/// Whether the record `newer` is `older` renewed: all that is in the one is in the other, from the first time-stamp on. Of bytes that
/// are no record, none continues another.
#[must_use]
pub fn continues(newer: &[u8], older: &[u8]) -> bool {
    let (Ok(newer), Ok(older)) = (EvidenceRecord::read(newer), EvidenceRecord::read(older)) else {
        return false;
    };
    let Some((last, before)) = older.chains.split_last() else { return false };
    newer.chains.starts_with(before)
        && newer.chains.get(before.len()).is_some_and(|chain| chain.starts_with(last))
}
