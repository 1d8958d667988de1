//! Whether an entry stands in the log, and above all that of a time-stamp: `spec/leaf.md`, "Time-stamps".
//!
//! That the token itself holds is the business of [`timestamp`](crate::timestamp). Who finds a token that no log has knows that
//! somebody used the authority's key beside the authority.

use crate::error::ProofError;
use crate::leaf::Leaf;
use crate::timestamp::token_der;
use crate::tlog_proof::TlogProof;
use crate::trust::Trust;
use tpw_core::{Hash32, TreeHead};
use tpw_crypto::sha256;

/// Where a time-stamp stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoggedToken {
    /// The index of its entry.
    pub index: u64,
    /// The tree that has it.
    pub head: TreeHead,
}

/// The log entry of a token, which is given as a response or alone.
///
/// # Errors
/// [`ProofError::Timestamp`] when there is no token.
pub fn token_leaf(token: &[u8]) -> Result<Leaf, ProofError> {
    Ok(Leaf::token(Hash32::new(sha256(&token_der(token)?))))
}

/// Judges a `c2sp.org/tlog-proof@v1` over the entry of a token, which is given as a response or alone: the path leads to the root
/// of a checkpoint of the trust file's log, which all of its keys have signed, and enough witnesses if the trust file names some.
///
/// # Errors
/// The rule that is broken.
pub fn verify_token(token: &[u8], proof: &str, trust: &Trust) -> Result<LoggedToken, ProofError> {
    let leaf = token_leaf(token)?;
    let proof = TlogProof::parse(proof)?;
    if proof.extra.is_some() {
        // Nothing authenticates it.
        return Err(ProofError::Malformed { what: "tlog-proof", why: "extra data" });
    }
    verify_entry(&leaf, &proof, trust)
}

/// Judges the path, the checkpoint's signatures, and what the trust file demands of witnesses.
pub(crate) fn verify_entry(
    leaf: &Leaf,
    proof: &TlogProof,
    trust: &Trust,
) -> Result<LoggedToken, ProofError> {
    let checkpoint = proof.checkpoint.checkpoint();
    if checkpoint.origin != trust.origin {
        let (left, right) = ("the checkpoint", "the trust file");
        return Err(ProofError::Mismatch { field: "origin", left, right });
    }
    if trust.log_keys.is_empty() {
        return Err(ProofError::NotSigned(checkpoint.origin.to_string()));
    }
    proof.checkpoint.verify_all(&trust.log_keys)?;
    if let Some(policy) = &trust.witness_policy {
        policy.judge(&proof.checkpoint)?.demand()?;
    }
    proof.verify_inclusion(&leaf.leaf_hash())?;
    Ok(LoggedToken { index: proof.index, head: checkpoint.head })
}
