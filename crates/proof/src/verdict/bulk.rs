//! Many receipts under one trust file: what the receipts of one checkpoint share is checked once.
//!
//! INVARIANT: an answer is remembered under all the bytes that it is about, and a bulk judge has one trust file for its whole
//! life. So no answer ever speaks for other bytes or for other keys, and a receipt is judged as [`judge`](super::judge) judges it.

use super::Judgement;
use super::judge::judge_by;
use crate::trust::Trust;
use std::collections::HashMap;

/// Judges receipts one after another. It has no lock: each thread has its own.
#[derive(Debug)]
pub struct BulkJudge<'t> {
    trust: &'t Trust,
    checked: Checked,
}

impl<'t> BulkJudge<'t> {
    /// By what this verifier trusts.
    #[must_use]
    pub fn new(trust: &'t Trust) -> Self {
        Self { trust, checked: Checked::default() }
    }

    /// As [`judge`](super::judge).
    #[must_use]
    pub fn judge(&mut self, receipt_bytes: &[u8]) -> Judgement {
        judge_by(receipt_bytes, self.trust, &mut self.checked)
    }

    /// What was checked so far, and what was not checked again.
    #[must_use]
    pub fn work(&self) -> Work {
        let Checked { checkpoints, witnesses, root_signatures, timestamps } = &self.checked;
        Work {
            checkpoints: checkpoints.checked,
            witnesses: witnesses.checked,
            root_signatures: root_signatures.checked,
            timestamps: timestamps.checked,
            remembered: [
                checkpoints.remembered,
                witnesses.remembered,
                root_signatures.remembered,
                timestamps.remembered,
            ]
            .into_iter()
            .fold(0, u64::saturating_add),
        }
    }
}

/// How often each kind of shared check was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Work {
    /// The log's signatures under a checkpoint.
    pub checkpoints: u64,
    /// The witnesses' signatures under a checkpoint.
    pub witnesses: u64,
    /// A COSE signature over a root.
    pub root_signatures: u64,
    /// A time-stamp with its chain of certificates.
    pub timestamps: u64,
    /// Checks of any kind that were answered from memory.
    pub remembered: u64,
}

/// The shared checks of receipts and what came of them.
#[derive(Default, Debug)]
pub(super) struct Checked {
    pub(super) checkpoints: Memory<()>,
    pub(super) witnesses: Memory<String>,
    pub(super) root_signatures: Memory<()>,
    pub(super) timestamps: Memory<tpw_core::Instant>,
}

/// What one kind of check may keep, in bytes: some hundred checkpoints.
const BYTES_MAX: usize = 4 << 20;

/// Outcomes of one kind of check. When it is full it forgets all of them: what is asked again is checked again.
#[derive(Debug)]
pub(super) struct Memory<V> {
    answers: HashMap<Vec<u8>, Result<V, crate::ProofError>>,
    bytes: usize,
    checked: u64,
    remembered: u64,
}

// Derived, it would ask the same of `V`.
impl<V> Default for Memory<V> {
    fn default() -> Self {
        Self { answers: HashMap::new(), bytes: 0, checked: 0, remembered: 0 }
    }
}

impl<V: Clone> Memory<V> {
    /// The answer about `parts`, which must be everything that `check` looks at beside the trust file.
    pub(super) fn answer(
        &mut self,
        parts: &[&[u8]],
        check: impl FnOnce() -> Result<V, crate::ProofError>,
    ) -> Result<V, crate::ProofError> {
        let about = joined(parts);
        if let Some(known) = self.answers.get(&about) {
            self.remembered = self.remembered.saturating_add(1);
            return known.clone();
        }
        self.checked = self.checked.saturating_add(1);
        let answer = check();
        if self.bytes.saturating_add(about.len()) > BYTES_MAX {
            self.answers.clear();
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(about.len());
        self.answers.insert(about, answer.clone());
        answer
    }
}

/// The parts with their lengths before them, so that no two lists of parts give the same bytes.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let room = parts.iter().map(|part| part.len().saturating_add(8)).sum();
    let mut all = Vec::with_capacity(room);
    for part in parts {
        all.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        all.extend(*part);
    }
    all
}

#[cfg(test)]
mod tests {
    //! Goal: a memory answers for the bytes it was asked about and no others, and does not grow without bound.
    //! Method: parts that join to nearly the same bytes, and more bytes than it may keep.

    use super::*;
    use crate::ProofError;

    #[test]
    fn an_answer_is_remembered_for_its_own_bytes_only() {
        let mut memory = Memory::<u8>::default();
        let lists: [&[&[u8]]; 6] =
            [&[b"ab", b"c"], &[b"a", b"bc"], &[b"abc"], &[b"abc", b""], &[b"", b"abc"], &[]];
        for (n, parts) in (0..).zip(lists) {
            assert_eq!(memory.answer(parts, || Ok(n)), Ok(n));
        }
        for (n, parts) in (0..).zip(lists) {
            assert_eq!(memory.answer(parts, || Err(ProofError::WrongKey)), Ok(n));
        }
        // What does not hold is remembered too.
        for _ in 0..2 {
            let refused = memory.answer(&[b"bad"], || Err(ProofError::RootMismatch));
            assert_eq!(refused, Err(ProofError::RootMismatch));
        }
        assert_eq!((memory.checked, memory.remembered), (7, 7));
    }

    #[test]
    fn a_full_memory_forgets_and_checks_again() {
        let mut memory = Memory::<()>::default();
        let large = vec![7; BYTES_MAX / 4];
        for n in 0..40_u8 {
            memory.answer(&[&[n], &large], || Ok(())).unwrap();
            assert!(memory.bytes <= BYTES_MAX && memory.answers.len() <= 4);
        }
        memory.answer(&[&[0], &large], || Ok(())).unwrap();
        assert_eq!((memory.checked, memory.remembered), (41, 0));
        // One piece of evidence larger than the whole memory is still judged.
        let huge = vec![0; BYTES_MAX + 1];
        assert_eq!(memory.answer(&[&huge], || Ok(())), Ok(()));
    }
}
