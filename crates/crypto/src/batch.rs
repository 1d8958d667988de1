//! Verification of many signatures: the one place where batching can be added.

use crate::{CryptoError, PublicKey};

/// One signature to check.
#[derive(Debug, Clone, Copy)]
pub struct Check<'a> {
    /// The key that should have signed.
    pub key: &'a PublicKey,
    /// What should have been signed.
    pub message: &'a [u8],
    /// The signature, in the form that [`PublicKey::verify`] takes.
    pub signature: &'a [u8],
}

/// Verifies each check alone and answers in the same order.
///
/// The answers equal those of [`PublicKey::verify`], one by one; a faster implementation must keep that.
#[must_use]
pub fn verify_each(checks: &[Check<'_>]) -> Vec<Result<(), CryptoError>> {
    checks.iter().map(|check| check.key.verify(check.message, check.signature)).collect()
}
