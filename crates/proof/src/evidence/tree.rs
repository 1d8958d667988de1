//! Hash trees (RFC 4998 §4.2): made over many hashes, reduced to what one of them needs, and followed to the root.

use super::EvidenceError;
use tpw_crypto::Sha2;

/// Hashes that one tree is made over, at most.
const LEAVES_MAX: usize = 1 << 20;

/// The hash of a list: one hash stands for itself, several are concatenated in ascending order and hashed.
pub(super) fn list_hash(function: Sha2, list: &[&[u8]]) -> Vec<u8> {
    match list {
        [one] => one.to_vec(),
        several => {
            let mut sorted = several.to_vec();
            sorted.sort_unstable();
            function.hash(&sorted.concat())
        }
    }
}

/// Follows a reduced hash tree to its root (RFC 4998 §4.3): the hash of each list goes into the next one.
pub(super) fn root(function: Sha2, lists: &[Vec<&[u8]>]) -> Result<Vec<u8>, EvidenceError> {
    let mut carried: Option<Vec<u8>> = None;
    for list in lists {
        let ascending = list.windows(2).all(|pair| matches!(pair, [one, next] if one < next));
        let of_length = list.iter().all(|hash| hash.len() == function.output_len());
        let repeated = carried.as_ref().is_some_and(|carried| list.contains(&carried.as_slice()));
        if list.is_empty() || !ascending || !of_length || repeated {
            return Err(EvidenceError::HashList);
        }
        let values: Vec<&[u8]> = list.iter().copied().chain(carried.as_deref()).collect();
        carried = Some(list_hash(function, &values));
    }
    carried.ok_or(EvidenceError::HashList)
}

/// One tree over many hashes: a single time-stamp over its root covers them all.
#[derive(Clone, Debug)]
pub struct HashTree {
    function: Sha2,
    /// From the leaves, sorted and each once, to the root. Each pair has one parent; one that is left over rises alone.
    levels: Vec<Vec<Vec<u8>>>,
}

impl HashTree {
    /// Over these hashes.
    pub(super) fn new(function: Sha2, mut leaves: Vec<Vec<u8>>) -> Result<Self, EvidenceError> {
        leaves.sort_unstable();
        leaves.dedup();
        if leaves.len() > LEAVES_MAX {
            return Err(EvidenceError::TooLarge { what: "hashes in a tree", most: LEAVES_MAX });
        }
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let parent = |pair: &[Vec<u8>]| {
                list_hash(function, &pair.iter().map(Vec::as_slice).collect::<Vec<_>>())
            };
            let above = level.chunks(2).map(parent).collect();
            levels.push(above);
        }
        Ok(Self { function, levels })
    }

    /// The function of all its hashes.
    #[must_use]
    pub const fn function(&self) -> Sha2 {
        self.function
    }

    /// What is to be time-stamped.
    #[must_use]
    pub fn root(&self) -> &[u8] {
        self.levels.last().and_then(|level| level.first()).map_or(&[], Vec::as_slice)
    }

    /// From the leaves, sorted and each once, to the root: what who keeps the tree keeps.
    #[must_use]
    pub fn levels(&self) -> &[Vec<Vec<u8>>] {
        &self.levels
    }

    /// The place of `leaf` among the leaves, from 0.
    #[must_use]
    pub fn place(&self, leaf: &[u8]) -> Option<usize> {
        self.levels.first()?.binary_search_by(|other| other.as_slice().cmp(leaf)).ok()
    }

    /// The siblings on the way from `leaf` to the root.
    pub(super) fn siblings(&self, leaf: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut index = self.place(leaf)?;
        let mut siblings = Vec::new();
        for level in &self.levels {
            siblings.extend(level.get(index ^ 1).cloned());
            index >>= 1;
        }
        Some(siblings)
    }
}

#[cfg(test)]
mod tests {
    //! Goal: every leaf of a tree of any size leads to its root, and nothing else does.
    //! Method: trees of 1 to 40 leaves; each path followed, and followed again with a hash changed.

    use super::*;

    #[test]
    fn every_leaf_leads_to_the_root() {
        for function in Sha2::ALL {
            for count in 1..40_u8 {
                let leaves: Vec<Vec<u8>> = (0..count).map(|n| function.hash(&[n])).collect();
                let tree = HashTree::new(function, leaves.clone()).unwrap();
                for leaf in &leaves {
                    let siblings = tree.siblings(leaf).unwrap();
                    assert!(siblings.len() <= 6);
                    let mut lists = vec![vec![leaf.as_slice()]];
                    lists.extend(siblings.iter().map(|sibling| vec![sibling.as_slice()]));
                    assert_eq!(root(function, &lists).unwrap(), tree.root());
                    let other = function.hash(b"other");
                    lists[0] = vec![&other];
                    assert_ne!(root(function, &lists).unwrap(), tree.root());
                }
                assert_eq!(tree.siblings(&function.hash(b"other")), None);
            }
        }
    }

    #[test]
    fn lists_that_are_not_sorted_or_not_of_the_length_are_refused() {
        let [low, high] = [[1; 32], [2; 32]];
        let refused = |lists: &[Vec<&[u8]>]| {
            assert_eq!(root(Sha2::Sha256, lists), Err(EvidenceError::HashList), "{lists:?}");
        };
        refused(&[]);
        refused(&[vec![]]);
        refused(&[vec![&high, &low]]);
        refused(&[vec![&low, &low]]);
        refused(&[vec![&low[..31]]]);
        refused(&[vec![&low], vec![&low]]);
        assert!(root(Sha2::Sha256, &[vec![&low, &high], vec![&low]]).is_ok());
    }
}
