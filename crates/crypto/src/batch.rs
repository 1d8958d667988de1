//! Verification of many signatures over several cores.
//!
//! INVARIANT: each answer is the one that [`PublicKey::verify`] gives. A batch equation would be faster and would accept
//! signatures that strangers refuse: `docs/adr/0007-one-signature-at-a-time.md`.

use core::num::NonZeroUsize;

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

/// A thread is worth its start from so many checks on.
const SHARE_MIN: usize = 16;

/// Verifies each check alone, on at most so many threads, and answers in the same order.
#[must_use]
pub fn verify_each(checks: &[Check<'_>], threads: NonZeroUsize) -> Vec<Result<(), CryptoError>> {
    let share = checks.len().div_ceil(threads.get()).max(SHARE_MIN);
    let mut shares = checks.chunks(share);
    let Some(first) = shares.next() else { return Vec::new() };
    std::thread::scope(|scope| {
        let others: Vec<_> =
            shares.map(|share| (share, scope.spawn(|| one_by_one(share)))).collect();
        let mut answers = one_by_one(first);
        for (share, other) in others {
            // A thread that ended early has verified nothing: no check of its share holds.
            let none = |_panic| share.iter().map(|_| Err(CryptoError::BadSignature)).collect();
            answers.extend(other.join().unwrap_or_else(none));
        }
        answers
    })
}

fn one_by_one(checks: &[Check<'_>]) -> Vec<Result<(), CryptoError>> {
    checks.iter().map(|check| check.key.verify(check.message, check.signature)).collect()
}
