//! What a verifier keeps of a receipt's time-stamps and evidence records when the operator has had others stamp that its trust file does not know yet.

use crate::evidence::{self, Archived, EvidenceError, StampTrust, archived_bytes};
use crate::timestamp::{self, TspError};
use crate::tlog_proof::TlogProof;
use crate::trust::Trust;
use crate::verdict::TIME_TOLERANCE;
use tpw_core::Receipt;

/// The same receipt without the time-stamps of authorities that the trust file does not know, as long as one is left: each that is
/// there must hold, and an authority that was named after this trust file was made would make the receipt worthless to its holder.
///
/// The same of evidence records, all of which go with a time-stamp that they cover. What is wrong in any other way stays, and with it
/// the verdict.
#[must_use]
pub fn with_known_stamps(mut receipt: Receipt, trust: &Trust) -> Receipt {
    let Ok(proof) = TlogProof::parse(&receipt.tlog_proof) else { return receipt };
    let data = proof.checkpoint.log_signed_bytes();
    let is_known = |stamp: &&Vec<u8>| {
        let found = timestamp::verify(stamp, &data, &trust.tsa_roots, &trust.tsa_policies);
        !found.is_err_and(|error| is_stranger(&error))
    };
    let known: Vec<Vec<u8>> = receipt.timestamps.iter().filter(is_known).cloned().collect();
    if !known.is_empty() && known.len() < receipt.timestamps.len() {
        receipt.evidence.clear();
        receipt.timestamps = known;
    }
    if let Ok(bytes) = archived_bytes(&receipt) {
        let archived = Archived { bytes: &bytes, stamps: &receipt.timestamps };
        let (roots, policies) = (&trust.tsa_roots, &trust.tsa_policies);
        let trusted = StampTrust { roots, policies, tolerance: TIME_TOLERANCE };
        receipt.evidence.retain(|record| {
            let found = evidence::verify(record, &archived, &trusted);
            !matches!(found, Err(EvidenceError::Token(error)) if is_stranger(&error))
        });
    }
    receipt
}

/// Whether a token is of an authority that the trust file does not know, and nothing else is wrong with it.
const fn is_stranger(error: &TspError) -> bool {
    matches!(error, TspError::Policy(_) | TspError::UntrustedChain)
}

/// The same of a receipt's file; bytes that are none stay as they are.
#[must_use]
pub fn file_with_known_stamps(bytes: Vec<u8>, trust: &Trust) -> Vec<u8> {
    match Receipt::from_bytes(&bytes) {
        Ok(receipt) if receipt.timestamps.len() > 1 || !receipt.evidence.is_empty() => {
            with_known_stamps(receipt, trust).to_bytes()
        }
        Ok(_) | Err(_) => bytes,
    }
}
