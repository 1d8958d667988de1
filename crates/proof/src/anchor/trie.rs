//! The receipts trie of a block: a Merkle Patricia trie whose keys are the RLP of 0, 1, 2, …
//!
//! RLP is free of prefixes and a receipt is longer than a hash, so that this trie never has a value in a branch nor a node
//! inside another one: both are refused here.

use super::rlp;
use crate::error::ProofError;
use tpw_crypto::keccak256;

/// A path has at most so many nodes: a key of 64 bits has 18 nibbles.
pub(super) const NODES_MAX: usize = 19;

const BRANCH: usize = 17;

fn wrong(why: &'static str) -> ProofError {
    ProofError::Malformed { what: "path in a receipts trie", why }
}

/// The key of an item: the nibbles of its index in RLP.
fn key(index: u64) -> Vec<u8> {
    let bytes = rlp::of_uint(index.into());
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).collect()
}

/// The value at `index` of the trie with this root, at the end of the path that `nodes` are.
///
/// # Errors
/// [`ProofError::RootMismatch`] when a node is not the one that its parent names, [`ProofError::Malformed`].
pub(super) fn value_at(
    root: &[u8; 32],
    index: u64,
    nodes: &[Vec<u8>],
) -> Result<Vec<u8>, ProofError> {
    let key = key(index);
    let (mut wanted, mut rest) = (*root, key.as_slice());
    for (place, node) in nodes.iter().enumerate() {
        if keccak256(node) != wanted {
            return Err(ProofError::RootMismatch);
        }
        let items = rlp::list(node)?;
        let child = match items.as_slice() {
            branch if branch.len() == BRANCH => {
                let (nibble, after) = rest.split_first().ok_or(wrong("the key ends early"))?;
                rest = after;
                branch.get(usize::from(*nibble)).copied().ok_or(wrong("no such child"))?
            }
            [path, child] => {
                let (leaf, nibbles) = compact(path.bytes()?)?;
                rest = rest.strip_prefix(nibbles.as_slice()).ok_or(wrong("another key"))?;
                if leaf {
                    let last = place.checked_add(1) == Some(nodes.len());
                    let ends = rest.is_empty() && last;
                    return if ends {
                        Ok(child.bytes()?.to_vec())
                    } else {
                        Err(wrong("an early end"))
                    };
                }
                *child
            }
            _ => return Err(wrong("a node that is neither branch, extension nor leaf")),
        };
        wanted = child.fixed()?;
    }
    Err(wrong("it does not end in a leaf"))
}

/// Hex-prefix encoding: whether it ends in a value, and the nibbles.
fn compact(bytes: &[u8]) -> Result<(bool, Vec<u8>), ProofError> {
    let (first, rest) = bytes.split_first().ok_or(wrong("a node without its part of the key"))?;
    let (flag, low) = (first >> 4, first & 0xf);
    let (odd, leaf) = (flag & 1 == 1, flag & 2 == 2);
    if flag > 3 || (!odd && low != 0) {
        return Err(wrong("a part of the key in another form"));
    }
    let tail = rest.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    Ok((leaf, odd.then_some(low).into_iter().chain(tail).collect()))
}

fn to_compact(leaf: bool, nibbles: &[u8]) -> Vec<u8> {
    let flag = if leaf { 0x20 } else { 0 };
    let (first, pairs) = match nibbles.split_first() {
        Some((low, rest)) if nibbles.len() & 1 == 1 => (flag | 0x10 | low, rest),
        _ => (flag, nibbles),
    };
    let bytes =
        pairs.chunks(2).map(|pair| pair.iter().fold(0, |byte, nibble| (byte << 4) | nibble));
    core::iter::once(first).chain(bytes).collect()
}

/// The root of the trie over `values`, and the path to the one at `index`.
///
/// # Errors
/// [`ProofError::OutOfTree`] when there is none there; [`ProofError::Malformed`] for values shorter than a hash.
pub fn path_to(values: &[Vec<u8>], index: u64) -> Result<([u8; 32], Vec<Vec<u8>>), ProofError> {
    if values.iter().any(|value| value.len() < 32) {
        return Err(wrong("a value shorter than a hash"));
    }
    let size = u64::try_from(values.len()).unwrap_or(u64::MAX);
    if index >= size {
        return Err(ProofError::OutOfTree { value: index, size });
    }
    let mut entries: Vec<(Vec<u8>, &[u8])> =
        (0..).zip(values).map(|(index, value)| (key(index), value.as_slice())).collect();
    entries.sort_unstable();
    let mut path = Vec::new();
    let root = build(&entries, 0, Some(&key(index)), &mut path);
    path.reverse();
    Ok((root, path))
}

type Entry<'v> = (Vec<u8>, &'v [u8]);

/// The hash of the node over entries whose keys agree up to `depth`. Nodes on the way to `wanted` are noted, lowest first.
///
/// Each level takes at least one nibble of a key: a key of 64 bits has 18.
fn build(
    entries: &[Entry<'_>],
    depth: usize,
    wanted: Option<&[u8]>,
    path: &mut Vec<Vec<u8>>,
) -> [u8; 32] {
    let node = match entries {
        [(key, value)] => {
            let rest = key.get(depth..).unwrap_or_default();
            rlp::of_list(&[rlp::of_bytes(&to_compact(true, rest)), rlp::of_bytes(value)])
        }
        _ => {
            let agreed = common(entries, depth);
            if agreed > depth {
                let nibbles =
                    entries.first().and_then(|(key, _)| key.get(depth..agreed)).unwrap_or_default();
                let child = build(entries, agreed, wanted, path);
                rlp::of_list(&[rlp::of_bytes(&to_compact(false, nibbles)), rlp::of_bytes(&child)])
            } else {
                branch(entries, depth, wanted, path)
            }
        }
    };
    let hash = keccak256(&node);
    if wanted.is_some() {
        path.push(node);
    }
    hash
}

fn branch(
    entries: &[Entry<'_>],
    depth: usize,
    wanted: Option<&[u8]>,
    path: &mut Vec<Vec<u8>>,
) -> Vec<u8> {
    let mut children = vec![rlp::of_bytes(&[]); BRANCH];
    let at = |key: &[u8]| key.get(depth).copied();
    for group in entries.chunk_by(|left, right| at(&left.0) == at(&right.0)) {
        let nibble = group.first().and_then(|(key, _)| at(key)).unwrap_or_default();
        let wanted = wanted.filter(|key| at(key) == Some(nibble));
        let child = build(group, depth.saturating_add(1), wanted, path);
        if let Some(slot) = children.get_mut(usize::from(nibble)) {
            *slot = rlp::of_bytes(&child);
        }
    }
    rlp::of_list(&children)
}

/// How many nibbles all keys have in common.
fn common(entries: &[Entry<'_>], depth: usize) -> usize {
    // Sorted: what the first and the last one share, all share.
    let (Some((first, _)), Some((last, _))) = (entries.first(), entries.last()) else {
        return depth;
    };
    first.iter().zip(last).take_while(|(left, right)| left == right).count()
}
