//! The tiles on the right edge of the tree, which grow; what is left of them never changes again.
//!
//! This is the second way to the root: from the bytes of the entry bundles, tile by tile, with the recursive
//! definition of RFC 6962, beside the frontier that takes the leaves one by one.

use std::sync::Arc;
use tpw_core::Hash32;
use tpw_proof::{Frontier, Leaf, ProofError, tree};

/// Hashes in a full tile, entries in a full bundle.
pub(super) const FULL: usize = 256;
/// Levels of the tree that a tile spans.
pub(super) const FULL_BITS: u32 = 8;

/// A tile that is full: its level, its index, its hashes.
#[derive(Debug, Clone)]
pub(super) struct FullTile {
    pub(super) level: u8,
    pub(super) index: u64,
    pub(super) hashes: Arc<[Hash32]>,
}

/// What became full while the tree grew.
#[derive(Debug, Clone, Default)]
pub(super) struct Growth {
    pub(super) tiles: Vec<FullTile>,
    /// Index and bytes of entry bundles.
    pub(super) bundles: Vec<(u64, Vec<u8>)>,
}

/// The unfinished tile of each level and the unfinished entry bundle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Edges {
    size: u64,
    levels: Vec<Vec<Hash32>>,
    bundle: Vec<u8>,
}

/// How many full tiles of `level` a tree of `size` leaves has; also the index of the unfinished one.
pub(super) fn full_tiles(level: u8, size: u64) -> u64 {
    let bits = u32::from(level).saturating_add(1).saturating_mul(FULL_BITS);
    size.checked_shr(bits).unwrap_or(0)
}

impl Edges {
    /// The edges of a tree whose unfinished bundle is empty, given the hashes of each level's unfinished tile.
    pub(super) fn from_levels(size: u64, levels: Vec<Vec<Hash32>>) -> Self {
        Self { size, levels, bundle: Vec::new() }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The unfinished tiles that have hashes: level, index, hashes.
    pub(super) fn tiles(&self) -> impl Iterator<Item = (u8, u64, &[Hash32])> {
        (0_u8..)
            .zip(&self.levels)
            .filter(|(_, hashes)| !hashes.is_empty())
            .map(|(level, hashes)| (level, full_tiles(level, self.size), hashes.as_slice()))
    }

    /// The unfinished tile of one level.
    pub(super) fn tile(&self, level: u8) -> &[Hash32] {
        self.levels.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }

    /// The bytes of the unfinished entry bundle.
    pub(super) fn bundle(&self) -> &[u8] {
        &self.bundle
    }

    /// Appends leaves and returns what became full.
    pub(super) fn grow(&mut self, leaves: &[Leaf]) -> Growth {
        let mut growth = Growth::default();
        leaves.iter().for_each(|leaf| self.append(leaf.as_bytes(), &mut growth));
        growth
    }

    /// Appends an entry of at most 65,535 bytes and notes what became full.
    pub(super) fn append(&mut self, entry: &[u8], growth: &mut Growth) {
        let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
        self.bundle.extend_from_slice(&length.to_be_bytes());
        self.bundle.extend_from_slice(entry);
        // From the bundle's bytes, as an auditor will hash them, not from the value in hand.
        let start = self.bundle.len().saturating_sub(length.into());
        let hash = tree::leaf_hash(self.bundle.get(start..).unwrap_or_default());
        self.size = self.size.saturating_add(1);
        self.push(0, hash, &mut growth.tiles);
        if self.size.trailing_zeros() >= FULL_BITS {
            let index = full_tiles(0, self.size).saturating_sub(1);
            growth.bundles.push((index, std::mem::take(&mut self.bundle)));
        }
    }

    /// At most eight levels deep: 2^64 leaves.
    fn push(&mut self, level: u8, hash: Hash32, full: &mut Vec<FullTile>) {
        let place = usize::from(level);
        if self.levels.len() <= place {
            self.levels.resize(place.saturating_add(1), Vec::new());
        }
        let Some(tile) = self.levels.get_mut(place) else { return };
        tile.push(hash);
        if tile.len() < FULL {
            return;
        }
        let hashes: Arc<[Hash32]> = std::mem::take(tile).into();
        let above = tree::root_of(&hashes);
        let index = full_tiles(level, self.size).saturating_sub(1);
        full.push(FullTile { level, index, hashes });
        self.push(level.saturating_add(1), above, full);
    }

    /// The frontier of the same tree.
    pub(super) fn frontier(&self) -> Result<Frontier, ProofError> {
        let mut peaks = Vec::new();
        for hashes in self.levels.iter().rev() {
            let mut rest = hashes.as_slice();
            // The one-bits of the width, highest first, are the perfect subtrees within the tile.
            for bit in (0..FULL_BITS).rev() {
                if hashes.len() >> bit & 1 == 1 {
                    let (subtree, after) = rest.split_at_checked(1 << bit).unwrap_or((rest, &[]));
                    peaks.push(tree::root_of(subtree));
                    rest = after;
                }
            }
        }
        Frontier::from_peaks(self.size, peaks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tpw_core::RecordKind;

    fn leaf(number: u64) -> Leaf {
        let mut salt = [0; 32];
        salt[..8].copy_from_slice(&number.to_be_bytes());
        Leaf::commit(RecordKind::Payment, &salt, Hash32::ZERO, Hash32::ZERO)
    }

    #[test]
    fn edges_and_frontier_agree_at_every_size_over_two_tile_borders() {
        let mut edges = Edges::default();
        let mut frontier = Frontier::new();
        let mut tiles = 0;
        for number in 0..520 {
            assert_eq!(edges.frontier().unwrap(), frontier, "size {number}");
            let growth = edges.grow(&[leaf(number)]);
            frontier.push(leaf(number).leaf_hash());
            tiles += growth.tiles.len();
            assert_eq!(growth.tiles.len(), growth.bundles.len());
        }
        assert_eq!(tiles, 2);
        assert_eq!(edges.tile(1).len(), 2);
        assert_eq!(edges.tile(0).len(), 8);
        assert_eq!(edges.bundle().len(), 8 * (Leaf::SIZE + 2));
    }

    #[test]
    fn a_full_level_one_tile_is_emitted_after_65536_leaves() {
        let leaves: Vec<Leaf> = (0..65_537).map(leaf).collect();
        let mut edges = Edges::default();
        let growth = edges.grow(&leaves);
        assert_eq!(growth.bundles.len(), 256);
        assert_eq!(growth.tiles.len(), 257);
        let last = growth.tiles.last().unwrap();
        assert_eq!((last.level, last.index), (1, 0));
        assert_eq!(edges.tile(2).len(), 1);
        let mut frontier = Frontier::new();
        leaves.iter().for_each(|leaf| frontier.push(leaf.leaf_hash()));
        assert_eq!(edges.frontier().unwrap(), frontier);
    }
}
