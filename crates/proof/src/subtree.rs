//! Subtrees: leaves next to each other whose root can be proved to belong to a tree
//! (draft-ietf-plants-merkle-tree-certs-03 §4). A mirror takes entries with such proofs, and a witness cosigns subtrees.

use crate::error::ProofError;
use crate::tree::{empty_root, node_hash};
use tpw_core::{Hash32, TreeHead};

/// Leaves from `start` up to, and without, `end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    /// The index of the first leaf.
    pub start: u64,
    /// The index after the last leaf.
    pub end: u64,
}

impl Interval {
    /// How many leaves; zero for an interval that ends before it starts.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is no leaf in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// §4.1: whether the leaves are aligned with every tree that holds them: `start` is a multiple of the smallest power of two
    /// that is not below their number. Without a leaf it is one too, as in later drafts.
    #[must_use]
    pub const fn is_subtree(self) -> bool {
        if self.start > self.end {
            return false;
        }
        match self.len().checked_next_power_of_two() {
            Some(width) => self.start & width.saturating_sub(1) == 0,
            // Of more than 2^63 leaves: only those from the first one on.
            None => self.start == 0,
        }
    }
}

/// The nodes on the edges of subtree and tree, at the level where a verification stands.
struct Edges {
    first: u64,
    last: u64,
    tree: u64,
}

impl Edges {
    const fn rise(&mut self) {
        self.first >>= 1;
        self.last >>= 1;
        self.tree >>= 1;
    }
}

/// §4.4.3: checks that the leaves of `interval`, whose root is `hash`, stand at their places in the tree with this `head`.
///
/// # Errors
/// [`ProofError::OutOfTree`] for what is no subtree of it, [`ProofError::ProofLength`] or [`ProofError::RootMismatch`].
pub fn verify_subtree(
    interval: Interval,
    hash: &Hash32,
    proof: &[Hash32],
    head: TreeHead,
) -> Result<(), ProofError> {
    let length = || ProofError::ProofLength { found: proof.len() };
    if !interval.is_subtree() || interval.end > head.size {
        return Err(ProofError::OutOfTree { value: interval.end, size: head.size });
    }
    if interval.is_empty() {
        return match proof {
            [] if *hash == empty_root() => Ok(()),
            [] => Err(ProofError::RootMismatch),
            _ => Err(length()),
        };
    }
    let (last, tree) = (interval.end.saturating_sub(1), head.size.saturating_sub(1));
    let mut at = Edges { first: interval.start, last, tree };
    // Up to the largest node on the subtree's right edge that is a node of the tree too.
    let shared_edge = last == tree;
    while at.first != at.last && (shared_edge || at.last & 1 == 1) {
        at.rise();
    }
    let (known, rest) =
        if at.first == at.last { (hash, proof) } else { proof.split_first().ok_or_else(length)? };
    let (mut own, mut root) = (*known, *known);
    for sibling in rest {
        if at.tree == 0 {
            return Err(length());
        }
        if at.last & 1 == 1 || at.last == at.tree {
            if at.first < at.last {
                own = node_hash(sibling, &own);
            }
            root = node_hash(sibling, &root);
            // A node on the right edge without a sibling rises until it has one.
            while at.last & 1 == 0 && at.last != 0 {
                at.rise();
            }
        } else {
            root = node_hash(&root, sibling);
        }
        at.rise();
    }
    if at.tree != 0 {
        return Err(length());
    }
    if own == *hash && root == head.root { Ok(()) } else { Err(ProofError::RootMismatch) }
}
