//! What a verifier keeps of a receipt's time-stamps when the operator has had others stamp that its trust file does not know yet.

use crate::timestamp::{self, TspError};
use crate::tlog_proof::TlogProof;
use crate::trust::Trust;
use tpw_core::Receipt;

/// The same receipt without the time-stamps of authorities that the trust file does not know, as long as one is left: each that is
/// there must hold, and an authority that was named after this trust file was made would make the receipt worthless to its holder.
///
/// A time-stamp that is wrong in any other way stays, and with it the verdict. Not for receipts with evidence records, which cover
/// their time-stamps.
#[must_use]
pub fn with_known_stamps(mut receipt: Receipt, trust: &Trust) -> Receipt {
    let Ok(proof) = TlogProof::parse(&receipt.tlog_proof) else { return receipt };
    if !receipt.evidence.is_empty() {
        return receipt;
    }
    let data = proof.checkpoint.log_signed_bytes();
    let is_known = |stamp: &&Vec<u8>| {
        let found = timestamp::verify(stamp, &data, &trust.tsa_roots, &trust.tsa_policies);
        !matches!(found, Err(TspError::Policy(_) | TspError::UntrustedChain))
    };
    let known: Vec<Vec<u8>> = receipt.timestamps.iter().filter(is_known).cloned().collect();
    if !known.is_empty() {
        receipt.timestamps = known;
    }
    receipt
}

/// The same of a receipt's file; bytes that are none stay as they are.
#[must_use]
pub fn file_with_known_stamps(bytes: Vec<u8>, trust: &Trust) -> Vec<u8> {
    match Receipt::from_bytes(&bytes) {
        Ok(receipt) if receipt.timestamps.len() > 1 => with_known_stamps(receipt, trust).to_bytes(),
        Ok(_) | Err(_) => bytes,
    }
}
