//! The log as files: `tile/...`, `tile/entries/...` (`c2sp.org/tlog-tiles`) and `checkpoint`, below one folder.
//!
//! Everything here can be made again from the ledger, so nothing is synced when it is written; [`super::syncer`] syncs
//! what has become full.

use super::LogError;
use super::edges::{Edges, FULL, Growth};
use crate::files::{self, Access, Durability};
use std::path::{Path, PathBuf};
use tpw_core::Hash32;
use tpw_proof::TileId;
use tpw_proof::note;
use tpw_proof::tile::{self, BundleId};

const HASH_LEN: usize = 32;
const TILE_SIZE_MAX: u64 = 8192;
/// 256 entries of at most 65,535 bytes with their lengths.
const BUNDLE_SIZE_MAX: u64 = 256 * 65_537;
const FULL_WIDTH: u16 = 256;

/// The folder `log` of a data folder.
#[derive(Debug, Clone)]
pub(super) struct LogFolder {
    root: PathBuf,
}

fn width_of(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// Removes the partial versions of full files.
pub(super) fn remove_narrower(full: &[PathBuf]) -> Result<(), LogError> {
    for path in full {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".p");
        files::remove_folder(&path.with_file_name(name))?;
    }
    Ok(())
}

/// The bytes of a tile.
pub(super) fn tile_bytes(hashes: &[Hash32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(hashes.len().saturating_mul(HASH_LEN));
    hashes.iter().for_each(|hash| bytes.extend_from_slice(hash.as_bytes()));
    bytes
}

/// The hashes of a tile; `None` when the length is wrong.
pub(super) fn tile_hashes(bytes: &[u8], width: u16) -> Option<Vec<Hash32>> {
    let (hashes, rest) = bytes.as_chunks::<HASH_LEN>();
    (rest.is_empty() && hashes.len() == usize::from(width))
        .then(|| hashes.iter().copied().map(Hash32::new).collect())
}

impl LogFolder {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    fn write(&self, relative: &str, bytes: &[u8]) -> Result<PathBuf, LogError> {
        let path = self.path(relative);
        let write = || files::write_atomic(&path, bytes, Durability::Deferred, Access::Ordinary);
        // The folder is there all but once in 256 times: try first.
        match write() {
            Err(error) if error.is_not_found() => {
                if let Some(folder) = path.parent() {
                    files::create_folder(folder)?;
                }
                write()?;
            }
            other => other?,
        }
        Ok(path)
    }

    /// Writes what became full and removes the partial versions of it. Returns the paths of the full files.
    pub(super) fn write_full(&self, growth: &Growth) -> Result<Vec<PathBuf>, LogError> {
        let full = self.write_grown(growth)?;
        // Only now: until the full file is there, the partial one must be.
        remove_narrower(&full)?;
        Ok(full)
    }

    /// Writes what became full. Returns the paths of the files.
    pub(super) fn write_grown(&self, growth: &Growth) -> Result<Vec<PathBuf>, LogError> {
        let mut full = Vec::new();
        for tile in &growth.tiles {
            let id = TileId { level: tile.level, index: tile.index, width: FULL_WIDTH };
            full.push(self.write(&id.path(), &tile_bytes(&tile.hashes))?);
        }
        for (index, bytes) in &growth.bundles {
            let id = BundleId { index: *index, width: FULL_WIDTH };
            full.push(self.write(&id.path(), bytes)?);
        }
        Ok(full)
    }

    /// Writes the unfinished bundle. Returns the path of its file, if it has an entry.
    pub(super) fn write_unfinished(&self, edges: &Edges) -> Result<Option<PathBuf>, LogError> {
        let width = width_of(edges.tile(0).len());
        if width == 0 {
            return Ok(None);
        }
        let id = BundleId { index: super::edges::full_tiles(0, edges.size()), width };
        self.write(&id.path(), edges.bundle()).map(Some)
    }

    /// Writes the partial tiles and the partial bundle of the edge.
    pub(super) fn write_edges(&self, edges: &Edges) -> Result<(), LogError> {
        self.write_edge_tiles(edges)?;
        self.write_unfinished(edges).map(|_path| ())
    }

    /// Writes the partial tiles of the edge. Returns the paths of their files.
    pub(super) fn write_edge_tiles(&self, edges: &Edges) -> Result<Vec<PathBuf>, LogError> {
        let mut paths = Vec::new();
        for (level, index, hashes) in edges.tiles() {
            let id = TileId { level, index, width: width_of(hashes.len()) };
            paths.push(self.write(&id.path(), &tile_bytes(hashes))?);
        }
        Ok(paths)
    }

    /// The entries of a bundle of the tree with these edges; `None` when it has fewer, or when the file is missing.
    pub(super) fn shown_bundle(
        &self,
        id: BundleId,
        edges: &Edges,
    ) -> Result<Option<Vec<u8>>, LogError> {
        let unfinished = super::edges::full_tiles(0, edges.size());
        let (bytes, held) = if id.index == unfinished {
            (edges.bundle().to_vec(), edges.tile(0).len())
        } else if id.index < unfinished {
            let full = BundleId { index: id.index, width: FULL_WIDTH };
            match self.bundle(full)? {
                Some(bytes) => (bytes, FULL),
                None => return Ok(None),
            }
        } else {
            return Ok(None);
        };
        if usize::from(id.width) > held {
            return Ok(None);
        }
        let entries = tile::decode_bundle(&bytes, width_of(held))?;
        Ok(Some(tile::encode_bundle(entries.into_iter().take(id.width.into()))?))
    }

    /// The first hashes of a tile of the tree with these edges; `None` when it has fewer, or when the file is missing.
    pub(super) fn shown_tile(
        &self,
        id: TileId,
        edges: &Edges,
    ) -> Result<Option<Vec<Hash32>>, LogError> {
        let unfinished = super::edges::full_tiles(id.level, edges.size());
        let width = usize::from(id.width);
        let first = |hashes: &[Hash32]| hashes.get(..width).map(<[Hash32]>::to_vec);
        if id.index >= unfinished {
            return Ok((id.index == unfinished).then(|| first(edges.tile(id.level))).flatten());
        }
        Ok(self.full_tile(id.level, id.index)?.and_then(|hashes| first(&hashes)))
    }

    /// Removes the partial versions of the unfinished tiles of the tree of `size` leaves.
    pub(super) fn remove_partial(&self, size: u64) -> Result<(), LogError> {
        // Any partial width leads to the folder of them all.
        for level in 0_u8..8 {
            let index = super::edges::full_tiles(level, size);
            self.remove_around(&TileId { level, index, width: 1 }.path())?;
        }
        let index = super::edges::full_tiles(0, size);
        self.remove_around(&BundleId { index, width: 1 }.path())
    }

    fn remove_around(&self, partial: &str) -> Result<(), LogError> {
        match self.path(partial).parent() {
            Some(folder) => Ok(files::remove_folder(folder)?),
            None => Ok(()),
        }
    }

    /// Makes the checkpoint the one that readers find.
    pub(super) fn publish(&self, note: &str) -> Result<(), LogError> {
        self.write("checkpoint", note.as_bytes()).map(|_path| ())
    }

    /// As [`LogFolder::publish`], so that it survives a power failure.
    pub(super) fn publish_synced(&self, note: &str) -> Result<(), LogError> {
        let path = self.path("checkpoint");
        Ok(files::write_atomic(&path, note.as_bytes(), Durability::Synced, Access::Ordinary)?)
    }

    /// The bytes of the published checkpoint.
    pub(super) fn published(&self) -> Result<Option<Vec<u8>>, LogError> {
        let most = u64::try_from(note::SIZE_MAX).unwrap_or(u64::MAX);
        Ok(files::read(&self.path("checkpoint"), most)?)
    }

    /// The bytes of a tile's file.
    pub(super) fn tile(&self, id: TileId) -> Result<Option<Vec<u8>>, LogError> {
        Ok(files::read(&self.path(&id.path()), TILE_SIZE_MAX)?)
    }

    /// The hashes of a full tile; `None` when the file is missing or torn.
    pub(super) fn full_tile(&self, level: u8, index: u64) -> Result<Option<Vec<Hash32>>, LogError> {
        let id = TileId { level, index, width: FULL_WIDTH };
        Ok(self.tile(id)?.and_then(|bytes| tile_hashes(&bytes, FULL_WIDTH)))
    }

    /// The bytes of a bundle's file.
    pub(super) fn bundle(&self, id: BundleId) -> Result<Option<Vec<u8>>, LogError> {
        Ok(files::read(&self.path(&id.path()), BUNDLE_SIZE_MAX)?)
    }

    /// The edges of the tree of `size` leaves, a multiple of 256, from the full tiles on disk; `None` when one of
    /// them is missing or torn.
    pub(super) fn edges_at(&self, size: u64) -> Result<Option<Edges>, LogError> {
        let mut levels = vec![Vec::new()];
        let mut below = super::edges::full_tiles(0, size);
        for level in 0_u8..7 {
            if below == 0 {
                break;
            }
            // The unfinished tile above consists of the roots of the last full tiles here.
            let first = below
                .saturating_sub(below.checked_rem(u64::try_from(FULL).unwrap_or(256)).unwrap_or(0));
            let mut hashes = Vec::new();
            for index in first..below {
                let Some(tile) = self.full_tile(level, index)? else { return Ok(None) };
                hashes.push(tpw_proof::tree::root_of(&tile));
            }
            levels.push(hashes);
            below = super::edges::full_tiles(level.saturating_add(1), size);
        }
        Ok(Some(Edges::from_levels(size, levels)))
    }
}
