//! What readers of the log see, while the sequencer goes on: the newest head, proofs, files.
//!
//! INVARIANT: nothing beyond the newest stored checkpoint is ever shown.

use super::LogError;
use super::edges::{Edges, FullTile, full_tiles};
use super::folder::{LogFolder, tile_bytes};
use super::heads::{Heads, SignedHead};
use super::pruning::ends_before;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tpw_core::Hash32;
use tpw_proof::tile::{self, BundleId, TileNodes};
use tpw_proof::{Interval, ProofError, TileId, TileReader};

/// Full tiles kept in memory, 16 KiB each with the roots in them.
pub(super) const TILES_MAX: usize = 384;
/// Newest heads kept in memory, about 6 KiB each.
const HEADS_MAX: usize = 256;
/// Roots kept in memory by the size of their tree: devices name one that they have seen, often an older one.
const ROOTS_MAX: usize = 16_384;

/// A read-only, shared view of the log. Cheap to clone; safe to use from any thread.
#[derive(Clone)]
pub struct LogView {
    shared: Arc<Shared>,
}

/// What one checkpoint shows: all of it changes at once.
#[derive(Clone)]
struct Shown {
    head: Option<Arc<SignedHead>>,
    edges: Arc<Edges>,
    /// The unfinished tile of each level with the roots in it, for proofs: level and index of the tile, nodes.
    nodes: Arc<[(TileKey, Arc<TileNodes>)]>,
}

/// Level and index of a tile.
type TileKey = (u8, u64);

/// The unfinished tiles with the roots in them, made from what `before` had: a tile only grows at its end.
fn grown(edges: &Edges, before: &[(TileKey, Arc<TileNodes>)]) -> Arc<[(TileKey, Arc<TileNodes>)]> {
    let of = |(level, index, hashes): (u8, u64, &[Hash32])| {
        let key = (level, index);
        let old = before.iter().find(|(old, _)| *old == key).map(|(_, nodes)| nodes);
        let mut nodes = old.map_or_else(TileNodes::default, |nodes| TileNodes::clone(nodes));
        nodes.extend(hashes.get(nodes.hashes().len()..).unwrap_or_default());
        (key, Arc::new(nodes))
    };
    edges.tiles().map(of).collect()
}

struct Shared {
    folder: LogFolder,
    shown: RwLock<Shown>,
    tiles: Mutex<TileCache>,
    heads: Mutex<BTreeMap<u64, Arc<SignedHead>>>,
    roots: RwLock<HashMap<u64, Hash32>>,
    stored: Mutex<Heads>,
    /// What ends before this index is made no secret of, but served no longer.
    minimum: u64,
}

/// Recently used full tiles.
#[derive(Default)]
struct TileCache {
    tiles: HashMap<TileKey, Cached>,
    clock: u64,
}

struct Cached {
    nodes: Arc<TileNodes>,
    used: u64,
}

impl TileCache {
    fn get(&mut self, key: TileKey) -> Option<Arc<TileNodes>> {
        self.clock = self.clock.saturating_add(1);
        let cached = self.tiles.get_mut(&key)?;
        cached.used = self.clock;
        Some(Arc::clone(&cached.nodes))
    }

    fn put(&mut self, key: TileKey, nodes: Arc<TileNodes>) {
        self.clock = self.clock.saturating_add(1);
        if self.tiles.len() >= TILES_MAX && !self.tiles.contains_key(&key) {
            let oldest =
                self.tiles.iter().min_by_key(|(_, cached)| cached.used).map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                self.tiles.remove(&oldest);
            }
        }
        self.tiles.insert(key, Cached { nodes, used: self.clock });
    }
}

/// A thread that panicked while it held one of these locks left whole values behind: each is replaced in one step.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogView {
    pub(super) fn new(folder: LogFolder, stored: Heads, minimum: u64) -> Self {
        let nodes = Arc::default();
        let shown = Shown { head: None, edges: Arc::new(Edges::default()), nodes };
        let shared = Shared {
            folder,
            shown: RwLock::new(shown),
            tiles: Mutex::default(),
            heads: Mutex::default(),
            roots: RwLock::default(),
            stored: Mutex::new(stored),
            minimum,
        };
        Self { shared: Arc::new(shared) }
    }

    fn shown(&self) -> Shown {
        self.shared.shown.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shows a new checkpoint.
    pub(super) fn show(&self, head: &Arc<SignedHead>, edges: &Edges) {
        let mut heads = held(&self.shared.heads);
        heads.insert(head.head.size, Arc::clone(head));
        while heads.len() > HEADS_MAX {
            heads.pop_first();
        }
        drop(heads);
        self.keep_root(head.head.size, head.head.root);
        let nodes = grown(edges, &self.shown().nodes);
        let shown = Shown { head: Some(Arc::clone(head)), edges: Arc::new(edges.clone()), nodes };
        *self.shared.shown.write().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    /// Keeps new full tiles in memory: proofs for recent leaves will ask for them.
    pub(super) fn remember(&self, full: &[FullTile]) {
        for tile in full.iter().rev().take(TILES_MAX / 2).rev() {
            let nodes = Arc::new(TileNodes::of(&tile.hashes));
            held(&self.shared.tiles).put((tile.level, tile.index), nodes);
        }
    }

    /// How many full tiles are in memory.
    #[cfg(test)]
    pub(super) fn tiles_cached(&self) -> usize {
        held(&self.shared.tiles).tiles.len()
    }

    /// The newest checkpoint; `None` before the first.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<SignedHead>> {
        self.shown().head
    }

    fn newest_size(&self) -> u64 {
        self.newest().map_or(0, |head| head.head.size)
    }

    /// The path that proves the leaf at `index` in the tree of `size` leaves, which may be any size up to the newest.
    ///
    /// # Errors
    /// [`LogError::NotYet`] beyond the newest checkpoint; a proof error when index and size do not fit; a file error.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash32>, LogError> {
        self.prove(size, |reader| tile::inclusion_proof(reader, index, size))
    }

    /// The proof that the tree of `new_size` leaves begins with the tree of `old_size` leaves.
    ///
    /// # Errors
    /// As [`LogView::inclusion`].
    pub fn consistency(&self, old_size: u64, new_size: u64) -> Result<Vec<Hash32>, LogError> {
        self.prove(new_size, |reader| tile::consistency_proof(reader, old_size, new_size))
    }

    /// The entries from `start` up to `end`, which lie in one bundle.
    ///
    /// # Errors
    /// [`LogError::NotYet`] beyond the newest checkpoint, [`LogError::NoFile`] when the bundle is missing; a file error.
    pub fn entries(&self, start: u64, end: u64) -> Result<Vec<Vec<u8>>, LogError> {
        let shown = self.shown();
        let first = start & !255;
        let not_yet = || LogError::NotYet { wanted: end, size: shown.edges.size() };
        let width = end.checked_sub(first).and_then(|width| u16::try_from(width).ok());
        let width = width.filter(|width| (1..=256).contains(width)).ok_or_else(not_yet)?;
        if end > shown.edges.size() {
            return Err(not_yet());
        }
        let id = BundleId { index: first >> 8, width };
        let bytes = self.shared.folder.shown_bundle(id, &shown.edges)?;
        let bytes = bytes.ok_or_else(|| LogError::NoFile { path: id.path() })?;
        let before = usize::try_from(start.saturating_sub(first)).unwrap_or(usize::MAX);
        let entries = tile::decode_bundle(&bytes, width)?;
        Ok(entries.into_iter().skip(before).map(<[u8]>::to_vec).collect())
    }

    /// The proof that a subtree belongs to the tree of `size` leaves.
    ///
    /// # Errors
    /// As [`LogView::inclusion`].
    pub fn subtree_proof(&self, interval: Interval, size: u64) -> Result<Vec<Hash32>, LogError> {
        self.prove(size, |reader| tile::subtree_proof(reader, interval, size))
    }

    fn prove<T>(
        &self,
        size: u64,
        make: impl FnOnce(&ProofReader<'_>) -> Result<T, ProofError>,
    ) -> Result<T, LogError> {
        let shown = self.shown();
        if size > shown.edges.size() {
            return Err(LogError::NotYet { wanted: size, size: shown.edges.size() });
        }
        let edges = Reader::new(self, &shown.edges, &[]);
        let reader = ProofReader { edges, nodes: RefCell::new(shown.nodes.to_vec()) };
        let made = make(&reader);
        match reader.edges.failure.into_inner() {
            Some(failure) => Err(failure),
            None => Ok(made?),
        }
    }

    /// The root of a tree that is not shown yet, from its edges and the tiles that became full with it.
    pub(super) fn root_of(&self, edges: &Edges, fresh: &[FullTile]) -> Result<Hash32, LogError> {
        let reader = Reader::new(self, edges, fresh);
        let root = tile::root(&reader, edges.size());
        match reader.failure.into_inner() {
            Some(failure) => Err(failure),
            None => Ok(root?),
        }
    }

    /// Whether [`LogView::covering`] answers from memory. Otherwise it waits for the store, as long as that takes.
    pub(crate) fn covers_from_memory(&self, index: u64) -> bool {
        let heads = held(&self.shared.heads);
        let after = heads.range(index.saturating_add(1)..).next();
        after.is_none_or(|(_, head)| head.is_first_over(index))
    }

    /// The first checkpoint over the leaf at `index`: the one that its receipt carries.
    ///
    /// # Errors
    /// [`LogError::NotYet`] when there is none; an error of the store.
    pub fn covering(&self, index: u64) -> Result<Arc<SignedHead>, LogError> {
        let not_yet = || LogError::NotYet { wanted: index, size: self.newest_size() };
        let heads = held(&self.shared.heads);
        let after = heads.range(index.saturating_add(1)..).next().map(|(_, head)| Arc::clone(head));
        drop(heads);
        match after {
            Some(head) if head.is_first_over(index) => return Ok(head),
            None => return Err(not_yet()),
            Some(_later) => {}
        }
        let head = held(&self.shared.stored).covering(index)?;
        head.map(Arc::new).ok_or_else(not_yet)
    }

    /// What [`LogView::root_at`] answers, if it has not to wait for the store.
    pub(crate) fn root_from_memory(&self, size: u64) -> Option<Option<Hash32>> {
        let kept = self.shared.roots.read().unwrap_or_else(PoisonError::into_inner);
        match kept.get(&size) {
            Some(root) => Some(Some(*root)),
            None => (size > self.newest_size()).then_some(None),
        }
    }

    /// The root that was signed at `size`; `None` when no checkpoint has that size.
    ///
    /// # Errors
    /// An error of the store.
    pub fn root_at(&self, size: u64) -> Result<Option<Hash32>, LogError> {
        if let Some(known) = self.root_from_memory(size) {
            return Ok(known);
        }
        let root = held(&self.shared.stored).at(size)?.map(|head| head.head.root);
        if let Some(root) = root {
            self.keep_root(size, root);
        }
        Ok(root)
    }

    /// The checkpoint of exactly this size; `None` when there is none.
    ///
    /// # Errors
    /// An error of the store.
    pub fn head_at(&self, size: u64) -> Result<Option<Arc<SignedHead>>, LogError> {
        if let Some(head) = held(&self.shared.heads).get(&size) {
            return Ok(Some(Arc::clone(head)));
        }
        Ok(held(&self.shared.stored).at(size)?.map(Arc::new))
    }

    /// What was signed at a size never changes: which are forgotten matters to nobody's answer.
    fn keep_root(&self, size: u64, root: Hash32) {
        let mut kept = self.shared.roots.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= ROOTS_MAX {
            kept.clear();
        }
        kept.insert(size, root);
    }

    /// The log's public files by their path below the log's prefix: `checkpoint`, `tile/<L>/<N>[.p/<W>]` and
    /// `tile/entries/<N>[.p/<W>]`. `None` for every other path and for what is not there yet.
    ///
    /// A partial tile is answered at any width the tree has reached, also after its file was removed. What ends before the minimum
    /// index is not answered: it may be pruned, for proofs are made here all the same.
    ///
    /// # Errors
    /// A file error.
    pub fn file(&self, path: &str) -> Result<Option<Vec<u8>>, LogError> {
        // INVARIANT: no path goes to the file system; only numbers parsed from it do.
        let shown = self.shown();
        if path == "checkpoint" {
            return Ok(shown.head.map(|head| head.checkpoint.to_string().into_bytes()));
        }
        let pruned = |level, index| ends_before(level, index, self.shared.minimum);
        if let Some(id) = BundleId::parse(path).filter(|id| !pruned(0, id.index)) {
            return self.shared.folder.shown_bundle(id, &shown.edges);
        }
        match TileId::parse(path).filter(|id| !pruned(id.level, id.index)) {
            Some(id) => Ok(self.tile(id, &shown.edges, &[])?.map(|hashes| tile_bytes(&hashes))),
            None => Ok(None),
        }
    }

    /// The first `width` hashes of a tile of the tree with these edges; `None` when it has fewer.
    fn tile(
        &self,
        id: TileId,
        edges: &Edges,
        fresh: &[FullTile],
    ) -> Result<Option<Vec<Hash32>>, LogError> {
        let unfinished = full_tiles(id.level, edges.size());
        let width = usize::from(id.width);
        let first = |hashes: &[Hash32]| hashes.get(..width).map(<[Hash32]>::to_vec);
        if id.index >= unfinished {
            return Ok((id.index == unfinished).then(|| first(edges.tile(id.level))).flatten());
        }
        let key = (id.level, id.index);
        if let Some(tile) = fresh.iter().find(|tile| (tile.level, tile.index) == key) {
            return Ok(first(&tile.hashes));
        }
        Ok(self.full(key)?.and_then(|nodes| first(nodes.hashes())))
    }

    /// A full tile with the roots in it, from memory or else from its file.
    fn full(&self, key: TileKey) -> Result<Option<Arc<TileNodes>>, LogError> {
        let cached = held(&self.shared.tiles).get(key);
        if cached.is_some() {
            return Ok(cached);
        }
        let Some(hashes) = self.shared.folder.full_tile(key.0, key.1)? else { return Ok(None) };
        let nodes = Arc::new(TileNodes::of(&hashes));
        held(&self.shared.tiles).put(key, Arc::clone(&nodes));
        Ok(Some(nodes))
    }
}

/// Reads the tiles of one tree; remembers why a read failed, which [`ProofError::BadTile`] cannot say.
struct Reader<'v> {
    view: &'v LogView,
    edges: &'v Edges,
    fresh: &'v [FullTile],
    failure: RefCell<Option<LogError>>,
}

impl<'v> Reader<'v> {
    fn new(view: &'v LogView, edges: &'v Edges, fresh: &'v [FullTile]) -> Self {
        Self { view, edges, fresh, failure: RefCell::new(None) }
    }
}

/// Beside the tiles it knows the roots in them. Only proofs are made with it: what is signed is hashed from the tiles
/// alone.
struct ProofReader<'v> {
    edges: Reader<'v>,
    /// The tiles met so far, so that each is taken from the shared memory once.
    nodes: RefCell<Vec<(TileKey, Arc<TileNodes>)>>,
}

impl TileReader for ProofReader<'_> {
    fn hashes(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash32>, ProofError> {
        self.edges.hashes(level, index, width)
    }

    fn node(&self, level: u8, index: u64, height: u32, place: usize) -> Option<Hash32> {
        let key = (level, index);
        let mut met = self.nodes.borrow_mut();
        if let Some((_, nodes)) = met.iter().find(|(known, _)| *known == key) {
            return nodes.node(height, place);
        }
        // A failure shows again when the hashes are asked for, and is told there.
        let nodes = self.edges.view.full(key).ok().flatten()?;
        let found = nodes.node(height, place);
        met.push((key, nodes));
        found
    }
}

impl TileReader for Reader<'_> {
    fn hashes(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash32>, ProofError> {
        let bad = ProofError::BadTile { level, index, width };
        match self.view.tile(TileId { level, index, width }, self.edges, self.fresh) {
            Ok(hashes) => hashes.ok_or(bad),
            Err(failure) => {
                self.failure.replace(Some(failure));
                Err(bad)
            }
        }
    }
}
