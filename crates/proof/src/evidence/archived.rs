//! What of a receipt is archived.

use crate::error::ProofError;
use crate::tlog_proof::TlogProof;
use tpw_core::Receipt;

/// The bytes that an evidence record covers: the receipt without evidence records and anchors, and with the log's own
/// signature lines only. What comes later (renewals, anchors, lines of witnesses) does not change them.
///
/// # Errors
/// What reading the tlog-proof answers.
pub fn archived_bytes(receipt: &Receipt) -> Result<Vec<u8>, ProofError> {
    let proof = TlogProof::parse(&receipt.tlog_proof)?;
    let wrong = |why| ProofError::Malformed { what: "tlog-proof", why };
    let (head, _note) = receipt
        .tlog_proof
        .split_once("\n\n")
        .ok_or(wrong("no empty line before the checkpoint"))?;
    let note = String::from_utf8(proof.checkpoint.log_signed_bytes())
        .map_err(|_not_text| wrong("a checkpoint that is not text"))?;
    let archived = Receipt {
        tlog_proof: format!("{head}\n\n{note}"),
        evidence: Vec::new(),
        anchors: Vec::new(),
        ..receipt.clone()
    };
    Ok(archived.to_bytes())
}
