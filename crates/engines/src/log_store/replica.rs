//! A copy of a log's entries and tiles in a folder, which grows by entries that were proved before they come here.
//!
//! INVARIANT: readers see nothing that is not synced, and a file that what is synced leans on goes only when a wider one is.

use super::LogError;
use super::edges::{Edges, Growth, full_tiles};
use super::folder::{LogFolder, remove_narrower, tile_bytes};
use crate::files;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tpw_core::Hash32;
use tpw_proof::tile::{self, BundleId};
use tpw_proof::{ProofError, SignedCheckpoint, TileId, TileReader};

/// The copy, for its one writer. After an error it is to be dropped and opened again at what is known to be synced.
pub(crate) struct Replica {
    folder: LogFolder,
    edges: Edges,
    /// How many entries are synced.
    synced: u64,
    /// Full files that are written and not synced.
    unsynced: Vec<PathBuf>,
    /// Full files that are synced, whose narrower versions what was stored last may still lean on.
    widened: Vec<PathBuf>,
    view: ReplicaView,
}

impl Replica {
    /// Opens the copy in `root`, of which `size` entries are synced; `None` when one of their files is missing or torn.
    pub(crate) fn open(root: &Path, size: u64) -> Result<Option<Self>, LogError> {
        // What is in it is synced up to the folder itself: its own name has to survive as well.
        files::create_folder_synced(root)?;
        let folder = LogFolder::new(root.to_owned());
        let Some(mut edges) = folder.edges_at(size & !255)? else { return Ok(None) };
        let width = u16::try_from(size & 255).unwrap_or(0);
        if width > 0 {
            let id = BundleId { index: full_tiles(0, size), width };
            let Some(bytes) = folder.bundle(id)? else { return Ok(None) };
            let Ok(entries) = tile::decode_bundle(&bytes, width) else { return Ok(None) };
            let mut none = Growth::default();
            entries.into_iter().for_each(|entry| edges.append(entry, &mut none));
        }
        let view = ReplicaView { folder: folder.clone(), shown: Arc::default() };
        view.show(&edges);
        let (unsynced, widened) = (Vec::new(), Vec::new());
        Ok(Some(Self { folder, edges, synced: size, unsynced, widened, view }))
    }

    /// How many entries there are, synced or not.
    pub(crate) fn size(&self) -> u64 {
        self.edges.size()
    }

    /// What readers see.
    pub(crate) fn view(&self) -> ReplicaView {
        self.view.clone()
    }

    /// The entries from `first`, where a bundle begins, up to `end`.
    pub(crate) fn entries(&self, first: u64, end: u64) -> Result<Vec<Vec<u8>>, LogError> {
        let width = u16::try_from(end.saturating_sub(first)).unwrap_or(u16::MAX);
        if width == 0 {
            return Ok(Vec::new());
        }
        let id = BundleId { index: first >> 8, width };
        let bytes = self.folder.shown_bundle(id, &self.edges)?;
        let bytes = bytes.ok_or_else(|| LogError::NoFile { path: id.path() })?;
        Ok(tile::decode_bundle(&bytes, width)?.into_iter().map(<[u8]>::to_vec).collect())
    }

    /// Appends the entries that begin at index `first`, but those that it has already.
    pub(crate) fn extend(&mut self, first: u64, entries: &[Vec<u8>]) -> Result<(), LogError> {
        let expected = self.size();
        let out_of_order = LogError::OutOfOrder { expected, given: first };
        let had = expected.checked_sub(first).ok_or(out_of_order)?;
        let (mut edges, mut growth) = (self.edges.clone(), Growth::default());
        let new = entries.iter().skip(usize::try_from(had).unwrap_or(usize::MAX));
        new.for_each(|entry| edges.append(entry, &mut growth));
        self.unsynced.extend(self.folder.write_grown(&growth)?);
        self.edges = edges;
        Ok(())
    }

    /// Makes all of it survive a power failure, and shows it.
    pub(crate) fn sync(&mut self) -> Result<(), LogError> {
        // A synced file must not be written again: for a moment it would not be synced.
        if self.synced == self.size() {
            return Ok(());
        }
        let unfinished = self.folder.write_unfinished(&self.edges)?;
        self.sync_files(self.unsynced.iter().chain(&unfinished))?;
        self.widened.append(&mut self.unsynced);
        self.view.show(&self.edges);
        self.synced = self.size();
        Ok(())
    }

    /// Makes files survive a power failure, and the names of all folders above them: some of these may be new.
    fn sync_files<'f>(&self, paths: impl Iterator<Item = &'f PathBuf>) -> Result<(), LogError> {
        let mut folders = BTreeSet::new();
        for path in paths {
            files::sync(path)?;
            let above = path.ancestors().skip(1);
            folders.extend(above.take_while(|folder| folder.starts_with(self.folder.root())));
        }
        for folder in folders {
            files::sync(folder)?;
        }
        Ok(())
    }

    /// To be called when somebody else remembers durably how much is synced: narrower versions of full files are removed.
    pub(crate) fn settled(&mut self) -> Result<(), LogError> {
        remove_narrower(&self.widened)?;
        self.widened.clear();
        Ok(())
    }

    /// The root of the first `size` entries, from the tiles.
    pub(crate) fn root(&self, size: u64) -> Result<Hash32, LogError> {
        let reader =
            Reader { folder: &self.folder, edges: &self.edges, failure: RefCell::default() };
        let root = tile::root(&reader, size);
        match reader.failure.into_inner() {
            Some(failure) => Err(failure),
            None => Ok(root?),
        }
    }

    /// Writes the partial tiles, which the checkpoint of what is synced leans on, and makes them survive a power failure.
    pub(crate) fn sync_edge_tiles(&self) -> Result<(), LogError> {
        self.sync_files(self.folder.write_edge_tiles(&self.edges)?.iter())
    }

    /// Writes `checkpoint`, so that the folder itself is the log of this checkpoint, whose partial tiles are there.
    pub(crate) fn show(&self, checkpoint: &SignedCheckpoint) -> Result<(), LogError> {
        self.folder.publish_synced(&checkpoint.to_string())
    }

    /// Writes the partial tiles and `checkpoint`.
    pub(crate) fn publish(&self, checkpoint: &SignedCheckpoint) -> Result<(), LogError> {
        self.folder.write_edge_tiles(&self.edges)?;
        self.show(checkpoint)
    }
}

struct Reader<'r> {
    folder: &'r LogFolder,
    edges: &'r Edges,
    failure: RefCell<Option<LogError>>,
}

impl TileReader for Reader<'_> {
    fn hashes(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash32>, ProofError> {
        let bad = ProofError::BadTile { level, index, width };
        match self.folder.shown_tile(TileId { level, index, width }, self.edges) {
            Ok(hashes) => hashes.ok_or(bad),
            Err(failure) => {
                self.failure.replace(Some(failure));
                Err(bad)
            }
        }
    }
}

/// The copy, for its readers.
#[derive(Clone)]
pub(crate) struct ReplicaView {
    folder: LogFolder,
    shown: Arc<RwLock<Arc<Edges>>>,
}

impl ReplicaView {
    fn show(&self, edges: &Edges) {
        let edges = Arc::new(edges.clone());
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = edges;
    }

    /// A tile or bundle by its path below the log's prefix; `None` for every other path and for what is not there.
    pub(crate) fn file(&self, path: &str) -> Result<Option<Vec<u8>>, LogError> {
        // INVARIANT: no path goes to the file system; only numbers parsed from it do.
        let edges = Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner));
        if let Some(id) = BundleId::parse(path) {
            return self.folder.shown_bundle(id, &edges);
        }
        match TileId::parse(path) {
            Some(id) => Ok(self.folder.shown_tile(id, &edges)?.map(|hashes| tile_bytes(&hashes))),
            None => Ok(None),
        }
    }
}
