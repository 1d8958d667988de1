//! Merkle trees of RFC 6962 §2.1 over SHA-256: hashing, the growing edge, and checking proofs.

use crate::error::ProofError;
use tpw_core::Hash32;
use tpw_crypto::{sha256, sha256_parts};

/// No proof in a tree of at most 2^63 leaves is longer.
pub const PROOF_MAX: usize = 63;

/// The largest size a tree can have here.
pub const SIZE_MAX: u64 = 1 << 63;

/// RFC 6962 §2.1: the hash of a leaf, SHA-256(0x00 || entry).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash32 {
    Hash32::new(sha256_parts(&[&[0], entry]))
}

/// RFC 6962 §2.1: the hash of an inner node, SHA-256(0x01 || left || right).
#[must_use]
pub fn node_hash(left: &Hash32, right: &Hash32) -> Hash32 {
    Hash32::new(sha256_parts(&[&[1], left.as_bytes(), right.as_bytes()]))
}

/// The root of the tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Hash32 {
    Hash32::new(sha256(&[]))
}

/// The root over leaf hashes, word for word as RFC 6962 §2.1 defines it: the second opinion beside
/// [`Frontier`]. Recursion is as deep as the tree is high.
#[must_use]
pub fn root_of(leaves: &[Hash32]) -> Hash32 {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        many => {
            let middle = many.len().next_power_of_two() >> 1;
            let (left, right) = many.split_at(middle.min(many.len()));
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// The right edge of a growing tree: one hash for each perfect subtree, largest first.
///
/// Appending costs two hashes on average; a copy costs at most 64 hashes of memory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash32>,
}

impl Frontier {
    /// The edge of the empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, peaks: Vec::new() }
    }

    /// The edge of a tree of `size` leaves from its stored subtree hashes, largest subtree first.
    ///
    /// # Errors
    /// [`ProofError::ProofLength`] when their number is not the number of one-bits in `size`.
    pub fn from_peaks(size: u64, peaks: Vec<Hash32>) -> Result<Self, ProofError> {
        if size > SIZE_MAX {
            return Err(ProofError::OutOfTree { value: size, size: SIZE_MAX });
        }
        if u32::try_from(peaks.len()) == Ok(size.count_ones()) {
            Ok(Self { size, peaks })
        } else {
            Err(ProofError::ProofLength { found: peaks.len() })
        }
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Hash32) {
        self.push_telling(leaf, |_height, _root| {});
    }

    /// As [`Frontier::push`], and tells height and root of each perfect subtree that the leaf completes, lowest first; the leaf is
    /// itself one, of height 0.
    pub fn push_telling(&mut self, leaf: Hash32, mut tell: impl FnMut(u32, Hash32)) {
        let mut hash = leaf;
        tell(0, hash);
        // Each trailing one-bit of the size is a perfect subtree that the new leaf completes.
        for height in 1..=self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
            tell(height, hash);
        }
        self.peaks.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of the perfect subtrees, largest first: what [`Frontier::from_peaks`] takes.
    #[must_use]
    pub fn peaks(&self) -> &[Hash32] {
        &self.peaks
    }

    /// The root hash.
    #[must_use]
    pub fn root(&self) -> Hash32 {
        self.peaks
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or_else(empty_root)
    }
}

/// On which side of the way up a sibling stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Hashed before the node.
    Left,
    /// Hashed after it.
    Right,
}

/// One step of the way from a leaf to the root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The proof's hash.
    pub sibling: Hash32,
    /// Where it stands.
    pub side: Side,
    /// The hash of both.
    pub node: Hash32,
}

/// Checks that a leaf stands at `index` in the tree of `size` leaves with this `root`
/// (RFC 9162 §2.1.3.2).
///
/// # Errors
/// [`ProofError::OutOfTree`], [`ProofError::ProofLength`] or [`ProofError::RootMismatch`].
pub fn verify_inclusion(
    leaf: &Hash32,
    index: u64,
    size: u64,
    proof: &[Hash32],
    root: &Hash32,
) -> Result<(), ProofError> {
    let reached = climb(leaf, index, size, proof, |_step| {})?;
    if reached == *root { Ok(()) } else { Err(ProofError::RootMismatch) }
}

/// The steps that [`verify_inclusion`] goes, for people to look at; the last node is the root that they lead to.
///
/// # Errors
/// [`ProofError::OutOfTree`] or [`ProofError::ProofLength`].
pub fn inclusion_steps(
    leaf: &Hash32,
    index: u64,
    size: u64,
    proof: &[Hash32],
) -> Result<Vec<Step>, ProofError> {
    let mut steps = Vec::with_capacity(proof.len());
    climb(leaf, index, size, proof, |step| steps.push(step))?;
    Ok(steps)
}

/// Goes from a leaf to the root and gives the root's hash.
fn climb(
    leaf: &Hash32,
    index: u64,
    size: u64,
    proof: &[Hash32],
    mut seen: impl FnMut(Step),
) -> Result<Hash32, ProofError> {
    if index >= size {
        return Err(ProofError::OutOfTree { value: index, size });
    }
    let length = || ProofError::ProofLength { found: proof.len() };
    let (mut node, mut last, mut hash) = (index, size.saturating_sub(1), *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(length());
        }
        let side = if node & 1 == 1 || node == last { Side::Left } else { Side::Right };
        match side {
            Side::Left => {
                hash = node_hash(sibling, &hash);
                // A node on the right edge without a sibling rises until it has one.
                while node & 1 == 0 && node != 0 {
                    node >>= 1;
                    last >>= 1;
                }
            }
            Side::Right => hash = node_hash(&hash, sibling),
        }
        seen(Step { sibling: *sibling, side, node: hash });
        node >>= 1;
        last >>= 1;
    }
    if last == 0 { Ok(hash) } else { Err(length()) }
}

/// Checks that the tree of `old_size` leaves is the beginning of the tree of `new_size` leaves
/// (RFC 9162 §2.1.4.2). A proof from the empty tree has no hashes and holds for every tree.
///
/// # Errors
/// [`ProofError::OutOfTree`], [`ProofError::ProofLength`] or [`ProofError::RootMismatch`].
pub fn verify_consistency(
    old_size: u64,
    new_size: u64,
    proof: &[Hash32],
    old_root: &Hash32,
    new_root: &Hash32,
) -> Result<(), ProofError> {
    let length = || ProofError::ProofLength { found: proof.len() };
    if old_size > new_size {
        return Err(ProofError::OutOfTree { value: old_size, size: new_size });
    }
    if old_size == new_size || old_size == 0 {
        if !proof.is_empty() {
            return Err(length());
        }
        let empty = old_size != 0 || *old_root == empty_root();
        let same = old_size != new_size || old_root == new_root;
        return if empty && same { Ok(()) } else { Err(ProofError::RootMismatch) };
    }
    // A perfect old tree is itself the first hash, which the proof then leaves out.
    let (first, rest) = if old_size.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or_else(length)?
    };
    if rest.is_empty() {
        return Err(length());
    }
    let (mut node, mut last) = (old_size.saturating_sub(1), new_size.saturating_sub(1));
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old, mut new) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return Err(length());
        }
        if node & 1 == 1 || node == last {
            old = node_hash(hash, &old);
            new = node_hash(hash, &new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(length());
    }
    if old == *old_root && new == *new_root { Ok(()) } else { Err(ProofError::RootMismatch) }
}
