//! Two receipts of one payment, put together: what a server has by now, and what was added to a file since.

use crate::error::ProofError;
use crate::evidence::{archived_bytes, continues};
use crate::tlog_proof::TlogProof;
use tpw_core::Receipt;

/// The receipt `have` with what `fresh` knows more, both of the same payment. Nothing that `have` holds is lost.
///
/// An anchor is about the entry and fits any checkpoint. An evidence record leans on the one that it is over: where
/// `fresh` has another one, a receipt with a record stays under its own, and a bare one goes under the newer.
///
/// # Errors
/// [`ProofError::Mismatch`] when they are about different entries, and what reading a tlog-proof answers.
pub fn upgraded(have: &Receipt, fresh: &Receipt) -> Result<Receipt, ProofError> {
    let entry = |r: &Receipt| (r.statement.clone(), r.salt, r.leaf.clone(), r.record.clone());
    if entry(have) != entry(fresh) {
        let (left, right) = ("the file", "the newer receipt");
        return Err(ProofError::Mismatch { field: "entry", left, right });
    }
    if archived_bytes(have)? != archived_bytes(fresh)? {
        let bare = have.evidence.is_empty();
        let poorer = (have.timestamps.len(), have.cose_receipts.len())
            > (fresh.timestamps.len(), fresh.cose_receipts.len());
        let base = if bare && !poorer { fresh } else { have };
        return Ok(Receipt { anchors: together(&have.anchors, &fresh.anchors), ..base.clone() });
    }
    let mut proof = TlogProof::parse(&have.tlog_proof)?;
    let newer = TlogProof::parse(&fresh.tlog_proof)?;
    proof.checkpoint = proof.checkpoint.with_lines(&newer.checkpoint.note().signatures)?;
    Ok(Receipt {
        tlog_proof: proof.to_string(),
        evidence: records_together(&have.evidence, &fresh.evidence),
        anchors: together(&have.anchors, &fresh.anchors),
        ..have.clone()
    })
}

/// All of the first list, and of the second what is not in it, as far as a receipt has room.
fn together(own: &[Vec<u8>], more: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let new = more.iter().filter(|item| !own.contains(item));
    own.iter().chain(new).take(LIST_MAX).cloned().collect()
}

/// The same of records: of one and what it was before a renewal, the renewed one.
fn records_together(own: &[Vec<u8>], more: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let renewed = |record: &Vec<u8>| {
        let newer = more.iter().find(|newer| continues(newer, record));
        newer.unwrap_or(record).clone()
    };
    let own: Vec<Vec<u8>> = own.iter().map(renewed).collect();
    let is_new = |record: &&Vec<u8>| !own.iter().any(|known| continues(known, record));
    together(&own, &more.iter().filter(is_new).cloned().collect::<Vec<_>>())
}

/// Items that a list of a receipt holds.
const LIST_MAX: usize = 16;
