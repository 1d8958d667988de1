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
    let verify = |check: &Check<'_>| check.key.verify(check.message, check.signature);
    // Of a thread that ended early nothing was verified: no check of its share holds.
    spread(checks, threads, verify, || Err(CryptoError::BadSignature))
}

/// Does something that costs about as much as a signature for each item, on at most so many threads, and answers in the same order.
/// `lost` stands for the items of a thread that ended in a panic.
#[must_use]
pub fn spread<T: Sync, A: Send>(
    items: &[T],
    threads: NonZeroUsize,
    each: impl Fn(&T) -> A + Sync,
    lost: impl Fn() -> A,
) -> Vec<A> {
    let one_by_one = |share: &[T]| -> Vec<A> { share.iter().map(&each).collect() };
    let share = items.len().div_ceil(threads.get()).max(SHARE_MIN);
    let mut shares = items.chunks(share);
    let Some(first) = shares.next() else { return Vec::new() };
    std::thread::scope(|scope| {
        let others: Vec<_> =
            shares.map(|share| (share, scope.spawn(|| one_by_one(share)))).collect();
        let mut answers = one_by_one(first);
        for (share, other) in others {
            let none = |_panic| share.iter().map(|_| lost()).collect();
            answers.extend(other.join().unwrap_or_else(none));
        }
        answers
    })
}
