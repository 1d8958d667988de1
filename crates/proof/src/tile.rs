//! Tiles and entry bundles (`c2sp.org/tlog-tiles`): how a log is stored, and proofs from it.
//!
//! The root computed here goes top-down over tiles with the recursion of RFC 6962 §2.1. It shares no
//! step with [`crate::tree::Frontier`], which goes bottom-up: a log signs only what both agree on.

use crate::checkpoint::parse_decimal;
use crate::error::ProofError;
use crate::subtree::Interval;
use crate::tree::{SIZE_MAX, empty_root, node_hash, root_of};
use core::fmt;
use std::collections::BTreeMap;
use tpw_core::Hash32;

/// Hashes in a full tile and entries in a full bundle.
pub const WIDTH: u64 = 256;

/// Tree levels that one tile spans.
const HEIGHT: u32 = 8;

/// One tile of hashes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TileId {
    /// 0 holds leaf hashes; each further level holds roots of full tiles below.
    pub level: u8,
    /// Index within the level.
    pub index: u64,
    /// How many hashes, 1 to 256.
    pub width: u16,
}

/// Reads stored tiles.
pub trait TileReader {
    /// The first `width` hashes of a tile. A reader may take them from a wider tile.
    ///
    /// # Errors
    /// [`ProofError::BadTile`] when the store does not have them.
    fn hashes(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash32>, ProofError>;

    /// The root of the subtree of 2^`height` hashes that stands at `place` among those of the tile, if the reader
    /// keeps it. A reader of files keeps none: it is then computed from the tile.
    fn node(&self, _level: u8, _index: u64, _height: u32, _place: usize) -> Option<Hash32> {
        None
    }
}

/// A tile with the roots of all perfect subtrees in it: proofs are then looked up, where they would else be hashed
/// again from up to 256 hashes each. Takes twice the memory of the tile, and one more hash for each hash that it holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TileNodes {
    /// The hashes of the tile, then the roots of the pairs, of the fours, up to all 256.
    rows: [Vec<Hash32>; HEIGHT as usize + 1],
}

impl TileNodes {
    /// Of these hashes of a tile.
    #[must_use]
    pub fn of(hashes: &[Hash32]) -> Self {
        let mut nodes = Self::default();
        nodes.extend(hashes);
        nodes
    }

    /// The hashes of the tile.
    #[must_use]
    pub fn hashes(&self) -> &[Hash32] {
        let [hashes, ..] = &self.rows;
        hashes
    }

    /// Appends what the tile has grown by.
    pub fn extend(&mut self, hashes: &[Hash32]) {
        for hash in hashes {
            let mut hash = *hash;
            for row in &mut self.rows {
                row.push(hash);
                // An even number of nodes: the last two have their root in the row above.
                match row.as_slice() {
                    [.., left, right] if row.len().is_multiple_of(2) => {
                        hash = node_hash(left, right);
                    }
                    _ => break,
                }
            }
        }
    }

    /// The root of the subtree of 2^`height` hashes at `place` among those of its size.
    #[must_use]
    pub fn node(&self, height: u32, place: usize) -> Option<Hash32> {
        self.rows.get(usize::try_from(height).ok()?)?.get(place).copied()
    }
}

/// An index in path elements of three digits, all but the last with an `x`, and the width if partial.
fn write_path(f: &mut fmt::Formatter<'_>, index: u64, width: u16) -> fmt::Result {
    let mut groups = vec![index % 1000];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.push(rest % 1000);
        rest /= 1000;
    }
    while let Some(group) = groups.pop() {
        let mark = if groups.is_empty() { "" } else { "x" };
        write!(f, "/{mark}{group:03}")?;
    }
    if u64::from(width) == WIDTH { Ok(()) } else { write!(f, ".p/{width}") }
}

/// Reads what [`write_path`] writes, without the leading slash.
fn parse_path(text: &str) -> Option<(u64, u16)> {
    let (path, width) = match text.split_once(".p/") {
        Some((path, width)) => {
            let width = parse_decimal(width).filter(|w| (1..WIDTH).contains(w))?;
            (path, u16::try_from(width).ok()?)
        }
        None => (text, 256),
    };
    let mut index = 0_u64;
    let mut groups = path.split('/').peekable();
    while let Some(group) = groups.next() {
        let digits = if groups.peek().is_some() { group.strip_prefix('x')? } else { group };
        if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    Some((index, width))
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}", self.level)?;
        write_path(f, self.index, self.width)
    }
}

impl TileId {
    /// The path below the log's prefix: `tile/0/x001/x234/067.p/5`.
    #[must_use]
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// Reads a path; only the one form of each tile.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let level = u8::try_from(parse_decimal(level)?).ok().filter(|l| *l < 64)?;
        let (index, width) = parse_path(rest)?;
        Some(Self { level, index, width }).filter(|tile| tile.path() == path)
    }
}

/// One bundle of entries; its tile of leaf hashes is the one at level 0 with the same index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct BundleId {
    /// Index of the bundle.
    pub index: u64,
    /// How many entries, 1 to 256.
    pub width: u16,
}

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tile/entries")?;
        write_path(f, self.index, self.width)
    }
}

impl BundleId {
    /// The path below the log's prefix: `tile/entries/x001/234`.
    #[must_use]
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// Reads a path; only the one form of each bundle.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let (index, width) = parse_path(path.strip_prefix("tile/entries/")?)?;
        Some(Self { index, width }).filter(|bundle| bundle.path() == path)
    }
}

/// Writes a bundle: each entry after its length in two bytes.
///
/// # Errors
/// [`ProofError::TooLarge`] for more than 256 entries or an entry beyond 65,535 bytes.
pub fn encode_bundle<'e>(
    entries: impl IntoIterator<Item = &'e [u8]>,
) -> Result<Vec<u8>, ProofError> {
    let mut bytes = Vec::new();
    for (count, entry) in (1_u64..).zip(entries) {
        if count > WIDTH {
            return Err(ProofError::TooLarge { what: "entry bundle", most: 256 });
        }
        let length = u16::try_from(entry.len())
            .map_err(|_| ProofError::TooLarge { what: "log entry", most: 65_535 })?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// Reads a bundle of exactly `width` entries.
///
/// # Errors
/// [`ProofError::Malformed`] when it is cut off or holds more or fewer entries.
pub fn decode_bundle(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, ProofError> {
    let cut = ProofError::Malformed { what: "entry bundle", why: "cut off" };
    let mut entries = Vec::with_capacity(width.into());
    let mut rest = bytes;
    for _ in 0..width {
        let (length, tail) = rest.split_first_chunk::<2>().ok_or_else(|| cut.clone())?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, tail) = tail.split_at_checked(length).ok_or_else(|| cut.clone())?;
        entries.push(entry);
        rest = tail;
    }
    if rest.is_empty() {
        Ok(entries)
    } else {
        Err(ProofError::Malformed { what: "entry bundle", why: "more entries than its width" })
    }
}

/// Hashes at a tile level in a tree of `size` leaves.
fn level_width(size: u64, level: u8) -> u64 {
    size.checked_shr(HEIGHT.saturating_mul(level.into())).unwrap_or(0)
}

/// The width of the tile at `index` when its level has `hashes`; `None` when it does not exist.
fn tile_width(hashes: u64, index: u64) -> Option<u16> {
    let start = index.checked_mul(WIDTH)?;
    let width = hashes.checked_sub(start)?.min(WIDTH);
    u16::try_from(width).ok().filter(|w| *w > 0)
}

/// The tiles that exist at `new_size` and not, or less wide, at `old_size`, lowest level first.
#[must_use]
pub fn tiles_for_growth(old_size: u64, new_size: u64) -> Vec<TileId> {
    let mut tiles = Vec::new();
    for level in 0..8_u8 {
        let (old, new) = (level_width(old_size, level), level_width(new_size, level));
        if new <= old {
            break; // a level that does not grow has none above that does
        }
        for index in old / WIDTH..=new.saturating_sub(1) / WIDTH {
            tiles.extend(tile_width(new, index).map(|width| TileId { level, index, width }));
        }
    }
    tiles
}

/// The bundles that exist at `new_size` and not, or less wide, at `old_size`.
#[must_use]
pub fn bundles_for_growth(old_size: u64, new_size: u64) -> Vec<BundleId> {
    if new_size <= old_size {
        return Vec::new();
    }
    (old_size / WIDTH..=new_size.saturating_sub(1) / WIDTH)
        .filter_map(|index| tile_width(new_size, index).map(|width| BundleId { index, width }))
        .collect()
}

/// Subtree hashes of one tree, each tile read once.
struct Tiles<'r> {
    reader: &'r dyn TileReader,
    size: u64,
    read: BTreeMap<(u8, u64), Vec<Hash32>>,
}

impl<'r> Tiles<'r> {
    fn new(reader: &'r dyn TileReader, size: u64) -> Result<Self, ProofError> {
        if size > SIZE_MAX {
            return Err(ProofError::OutOfTree { value: size, size: SIZE_MAX });
        }
        Ok(Self { reader, size, read: BTreeMap::new() })
    }

    fn tile(&mut self, level: u8, index: u64) -> Result<&[Hash32], ProofError> {
        let width = tile_width(level_width(self.size, level), index)
            .ok_or(ProofError::BadTile { level, index, width: 0 })?;
        if !self.read.contains_key(&(level, index)) {
            let hashes = self.reader.hashes(level, index, width)?;
            if hashes.len() != usize::from(width) {
                return Err(ProofError::BadTile { level, index, width });
            }
            self.read.insert((level, index), hashes);
        }
        Ok(self.read.get(&(level, index)).map_or(&[], Vec::as_slice))
    }

    /// RFC 6962 §2.1: MTH(D[begin : begin + count]); `begin` is a multiple of the largest power of two
    /// not above `count`, as everywhere in that recursion.
    fn hash(&mut self, begin: u64, count: u64) -> Result<Hash32, ProofError> {
        if count == 0 {
            return Ok(empty_root());
        }
        if count.is_power_of_two() {
            return self.perfect(begin, count.trailing_zeros());
        }
        let left = split(count);
        let (begin_right, right) = (begin.saturating_add(left), count.saturating_sub(left));
        Ok(node_hash(&self.hash(begin, left)?, &self.hash(begin_right, right)?))
    }

    /// The root of 2^height leaves, from the one tile that holds it.
    fn perfect(&mut self, begin: u64, height: u32) -> Result<Hash32, ProofError> {
        let level = u8::try_from(height / HEIGHT).unwrap_or(u8::MAX);
        let first = level_width(begin, level);
        let (index, height) = (first / WIDTH, height % HEIGHT);
        let (count, offset) =
            (1_usize << height, usize::try_from(first % WIDTH).unwrap_or(usize::MAX));
        if let Some(hash) = self.reader.node(level, index, height, offset >> height) {
            return Ok(hash);
        }
        let tile = self.tile(level, index)?;
        let hashes = tile.get(offset..offset.saturating_add(count)).ok_or(ProofError::BadTile {
            level,
            index,
            width: 0,
        })?;
        Ok(root_of(hashes))
    }
}

/// The largest power of two below `count`, which is at least 2.
fn split(count: u64) -> u64 {
    1 << count.saturating_sub(1).checked_ilog2().unwrap_or(0)
}

/// The root of the tree of `size` leaves.
///
/// # Errors
/// What the reader answers, or [`ProofError::BadTile`].
pub fn root(reader: &dyn TileReader, size: u64) -> Result<Hash32, ProofError> {
    Tiles::new(reader, size)?.hash(0, size)
}

/// The path that proves the leaf at `index` in the tree of `size` leaves (RFC 9162 §2.1.3.1).
///
/// # Errors
/// [`ProofError::OutOfTree`], what the reader answers, or [`ProofError::BadTile`].
pub fn inclusion_proof(
    reader: &dyn TileReader,
    index: u64,
    size: u64,
) -> Result<Vec<Hash32>, ProofError> {
    if index >= size {
        return Err(ProofError::OutOfTree { value: index, size });
    }
    let mut tiles = Tiles::new(reader, size)?;
    let (mut begin, mut count, mut path) = (0_u64, size, Vec::new());
    while count > 1 {
        let left = split(count);
        let (middle, right) = (begin.saturating_add(left), count.saturating_sub(left));
        if index < middle {
            path.push(tiles.hash(middle, right)?);
            count = left;
        } else {
            path.push(tiles.hash(begin, left)?);
            (begin, count) = (middle, right);
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `new_size` leaves begins with that of `old_size` (RFC 9162 §2.1.4.1).
///
/// # Errors
/// [`ProofError::OutOfTree`], what the reader answers, or [`ProofError::BadTile`].
pub fn consistency_proof(
    reader: &dyn TileReader,
    old_size: u64,
    new_size: u64,
) -> Result<Vec<Hash32>, ProofError> {
    if old_size > new_size {
        return Err(ProofError::OutOfTree { value: old_size, size: new_size });
    }
    if old_size == 0 || old_size == new_size {
        return Ok(Vec::new());
    }
    let mut tiles = Tiles::new(reader, new_size)?;
    let (mut begin, mut count, mut path) = (0_u64, new_size, Vec::new());
    loop {
        let old = old_size.saturating_sub(begin);
        if old == count {
            // The old tree's last piece; it is known to the verifier if it is the whole old tree.
            if begin != 0 {
                path.push(tiles.hash(begin, count)?);
            }
            break;
        }
        let left = split(count);
        let (middle, right) = (begin.saturating_add(left), count.saturating_sub(left));
        if old <= left {
            path.push(tiles.hash(middle, right)?);
            count = left;
        } else {
            path.push(tiles.hash(begin, left)?);
            (begin, count) = (middle, right);
        }
    }
    path.reverse();
    Ok(path)
}

/// The root over the leaves of a subtree of the tree of `size` leaves.
///
/// # Errors
/// As [`subtree_proof`].
pub fn subtree_root(
    reader: &dyn TileReader,
    interval: Interval,
    size: u64,
) -> Result<Hash32, ProofError> {
    demand_subtree(interval, size)?;
    Tiles::new(reader, size)?.hash(interval.start, interval.len())
}

/// The proof that the leaves of a subtree stand at their places in the tree of `size` leaves
/// (draft-ietf-plants-merkle-tree-certs-03 §4.4.1).
///
/// # Errors
/// [`ProofError::OutOfTree`] for what is no subtree of it, what the reader answers, or [`ProofError::BadTile`].
pub fn subtree_proof(
    reader: &dyn TileReader,
    interval: Interval,
    size: u64,
) -> Result<Vec<Hash32>, ProofError> {
    demand_subtree(interval, size)?;
    if interval.is_empty() {
        return Ok(Vec::new());
    }
    let mut tiles = Tiles::new(reader, size)?;
    let (mut begin, mut count, mut path) = (0_u64, size, Vec::new());
    let Interval { mut start, end } = interval;
    // While it is the subtree's own root that is looked for, the verifier knows it.
    let mut whole = true;
    while (start, end) != (begin, begin.saturating_add(count)) {
        let left = split(count);
        let (middle, right) = (begin.saturating_add(left), count.saturating_sub(left));
        if end <= middle {
            path.push(tiles.hash(middle, right)?);
            count = left;
            continue;
        }
        path.push(tiles.hash(begin, left)?);
        (begin, count) = (middle, right);
        if start < middle {
            (start, whole) = (middle, false);
        }
    }
    if !whole {
        path.push(tiles.hash(begin, count)?);
    }
    path.reverse();
    Ok(path)
}

fn demand_subtree(interval: Interval, size: u64) -> Result<(), ProofError> {
    if interval.is_subtree() && interval.end <= size {
        Ok(())
    } else {
        Err(ProofError::OutOfTree { value: interval.end, size })
    }
}
