//! Tokens that were judged and hold, in memory: verifying them anew for each receipt that is fetched would take longer than all the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Checkpoints whose tokens are kept in memory.
const SIZES_MAX: usize = 64;

/// The tokens over one checkpoint that hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) all: Arc<[Vec<u8>]>,
    /// Whether there is one of each authority that is asked today.
    pub(super) is_complete: bool,
}

/// By the size of the checkpoint, those that somebody asked for last: old receipts are fetched like new ones.
#[derive(Default)]
pub(super) struct Judged {
    by_size: BTreeMap<u64, (Tokens, u64)>,
    /// Counts what was asked for.
    uses: u64,
}

impl Judged {
    pub(super) fn get(&mut self, size: u64) -> Option<Tokens> {
        self.uses = self.uses.saturating_add(1);
        let (tokens, used) = self.by_size.get_mut(&size)?;
        *used = self.uses;
        Some(tokens.clone())
    }

    pub(super) fn insert(&mut self, size: u64, tokens: Tokens) {
        self.uses = self.uses.saturating_add(1);
        self.by_size.insert(size, (tokens, self.uses));
        while self.by_size.len() > SIZES_MAX {
            let oldest = self.by_size.iter().min_by_key(|(_, (_, used))| *used);
            let Some(size) = oldest.map(|(size, _)| *size) else { return };
            self.by_size.remove(&size);
        }
    }

    /// They are to be judged anew.
    pub(super) fn remove(&mut self, size: u64) {
        self.by_size.remove(&size);
    }
}

#[cfg(test)]
mod tests {
    //! Goal: what is asked for stays, however old its checkpoint is. Method: more checkpoints than there is room for, one of them asked
    //! for again and again.

    use super::*;

    #[test]
    fn what_was_asked_for_last_stays() {
        let mut judged = Judged::default();
        let tokens =
            |n: u64| Tokens { all: vec![vec![7; 3]].into(), is_complete: n.is_multiple_of(2) };
        for size in 100..164 {
            judged.insert(size, tokens(size));
        }
        // The smallest of all comes last, when there is no room any more.
        judged.insert(1, tokens(1));
        assert_eq!(judged.get(1), Some(tokens(1)));
        assert_eq!((judged.get(100), judged.get(101)), (None, Some(tokens(101))));
        for size in 200..263 {
            judged.insert(size, tokens(size));
            assert!(judged.get(1).is_some(), "{size}");
        }
        assert_eq!(judged.get(101), None);
        assert_eq!(judged.by_size.len(), SIZES_MAX);
        judged.remove(1);
        assert_eq!(judged.get(1), None);
    }
}
