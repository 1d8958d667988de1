//! Any log that is served as `c2sp.org/tlog-tiles`, read from outside: ours or a foreign one, from a folder or from
//! wherever its files come.
//!
//! Nothing that is read here is believed: a proof made from tiles is worth what its check against the signed root says.

use super::LogError;
use super::folder::tile_hashes;
use crate::files;
use std::cell::RefCell;
use std::path::PathBuf;
use tpw_core::Hash32;
use tpw_proof::note;
use tpw_proof::tile::{self, BundleId};
use tpw_proof::{ProofError, SignedCheckpoint, TileId, TileReader};

/// The largest tile, in bytes.
pub(super) const TILE_SIZE_MAX: u64 = 8192;
/// 256 entries of at most 65,535 bytes with their lengths.
pub(super) const BUNDLE_SIZE_MAX: u64 = 256 * 65_537;
pub(super) const FULL_WIDTH: u16 = 256;

/// Where the files of a log come from.
pub trait Resources {
    /// The file at this path below the log's prefix; `None` when there is none.
    ///
    /// # Errors
    /// [`LogError`] when that cannot be found out, and for a file of more than `size_max` bytes.
    fn read(&self, path: &str, size_max: u64) -> Result<Option<Vec<u8>>, LogError>;
}

/// A log's files in a folder.
#[derive(Debug, Clone)]
pub struct LogFiles(pub PathBuf);

impl Resources for LogFiles {
    fn read(&self, path: &str, size_max: u64) -> Result<Option<Vec<u8>>, LogError> {
        Ok(files::read(&self.0.join(path), size_max)?)
    }
}

/// A log with its newest checkpoint.
pub struct TiledLog<'r> {
    pub(super) resources: &'r dyn Resources,
    checkpoint: SignedCheckpoint,
    /// Why a tile could not be read, which [`ProofError::BadTile`] cannot say.
    failure: RefCell<Option<LogError>>,
}

impl<'r> TiledLog<'r> {
    /// Reads the checkpoint and has it verified.
    ///
    /// # Errors
    /// [`LogError::NoFile`] when there is none; what `verify` answers.
    pub fn open(
        resources: &'r dyn Resources,
        verify: impl FnOnce(&SignedCheckpoint) -> Result<(), ProofError>,
    ) -> Result<Self, LogError> {
        let path = "checkpoint";
        let most = u64::try_from(note::SIZE_MAX).unwrap_or(u64::MAX);
        let bytes = resources.read(path, most)?;
        let bytes = bytes.ok_or_else(|| LogError::NoFile { path: path.to_owned() })?;
        let odd = ProofError::Malformed { what: "checkpoint", why: "not UTF-8" };
        let text = String::from_utf8(bytes).map_err(|_odd| odd)?;
        let checkpoint = SignedCheckpoint::parse(&text)?;
        verify(&checkpoint)?;
        Ok(Self { resources, checkpoint, failure: RefCell::new(None) })
    }

    /// The newest checkpoint, verified.
    #[must_use]
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// How many leaves the newest checkpoint covers.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.checkpoint.checkpoint().head.size
    }

    /// The entry at `index`, as the log serves it.
    ///
    /// # Errors
    /// [`LogError::NotYet`] beyond the newest checkpoint, [`LogError::NoFile`] when it was pruned.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, LogError> {
        let size = self.size();
        if index >= size {
            return Err(LogError::NotYet { wanted: index, size });
        }
        let (bundle, place) = (index >> 8, index & 0xff);
        let held = size.saturating_sub(bundle << 8).min(FULL_WIDTH.into());
        let width = u16::try_from(held).unwrap_or(FULL_WIDTH);
        let id = BundleId { index: bundle, width };
        let (bytes, width) = self.bundle(id)?;
        let entries = tile::decode_bundle(&bytes, width)?;
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let entry = entries.get(place).ok_or_else(|| LogError::NoFile { path: id.path() })?;
        Ok(entry.to_vec())
    }

    /// The entries of a bundle, as far as the newest checkpoint covers them.
    ///
    /// # Errors
    /// As [`TiledLog::entry`].
    pub fn bundle_entries(&self, index: u64) -> Result<Vec<Vec<u8>>, LogError> {
        let held = self.width(0, index);
        let (bytes, width) = self.bundle(BundleId { index, width: held })?;
        let entries = tile::decode_bundle(&bytes, width)?;
        Ok(entries.into_iter().take(held.into()).map(<[u8]>::to_vec).collect())
    }

    /// A bundle with its width; the full one where the log has pruned the partial one.
    fn bundle(&self, id: BundleId) -> Result<(Vec<u8>, u16), LogError> {
        if let Some(bytes) = self.resources.read(&id.path(), BUNDLE_SIZE_MAX)? {
            return Ok((bytes, id.width));
        }
        let full = BundleId { width: FULL_WIDTH, ..id };
        let bytes = self.resources.read(&full.path(), BUNDLE_SIZE_MAX)?;
        Ok((bytes.ok_or_else(|| LogError::NoFile { path: id.path() })?, FULL_WIDTH))
    }

    /// The path that leads from the leaf at `index` to the root of the tree of `size` leaves.
    ///
    /// # Errors
    /// As [`tile::inclusion_proof`], or why a tile cannot be read.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash32>, LogError> {
        self.told(tile::inclusion_proof(self, index, size))
    }

    /// The proof that the tree of `new_size` leaves begins with that of `old_size`.
    ///
    /// # Errors
    /// As [`tile::consistency_proof`], or why a tile cannot be read.
    pub fn consistency(&self, old_size: u64, new_size: u64) -> Result<Vec<Hash32>, LogError> {
        if new_size > self.size() {
            return Err(LogError::NotYet { wanted: new_size, size: self.size() });
        }
        self.told(tile::consistency_proof(self, old_size, new_size))
    }

    /// The root that the tiles give for the tree of `size` leaves.
    ///
    /// # Errors
    /// As [`tile::root`], or why a tile cannot be read.
    pub fn root(&self, size: u64) -> Result<Hash32, LogError> {
        if size > self.size() {
            return Err(LogError::NotYet { wanted: size, size: self.size() });
        }
        self.told(tile::root(self, size))
    }

    fn told<T>(&self, made: Result<T, ProofError>) -> Result<T, LogError> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(made?),
        }
    }

    /// How many hashes the tile at `level` and `index` has under the newest checkpoint.
    pub(super) fn width(&self, level: u8, index: u64) -> u16 {
        let bits = u32::from(level).saturating_mul(8);
        let hashes = self.size().checked_shr(bits).unwrap_or(0);
        let from = index.saturating_mul(FULL_WIDTH.into());
        u16::try_from(hashes.saturating_sub(from).min(FULL_WIDTH.into())).unwrap_or(FULL_WIDTH)
    }

    /// The tile under the newest checkpoint, which is the one that must be there, or the full one.
    fn tile(&self, level: u8, index: u64) -> Result<Vec<Hash32>, LogError> {
        let id = TileId { level, index, width: self.width(level, index) };
        for width in [id.width, FULL_WIDTH] {
            let path = TileId { width, ..id }.path();
            if let Some(bytes) = self.resources.read(&path, TILE_SIZE_MAX)? {
                let short = ProofError::BadTile { level, index, width };
                return Ok(tile_hashes(&bytes, width).ok_or(short)?);
            }
        }
        Err(LogError::NoFile { path: id.path() })
    }
}

impl TileReader for TiledLog<'_> {
    /// Partial tiles of smaller trees need not be there: they are the beginning of the newest one.
    fn hashes(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash32>, ProofError> {
        let bad = ProofError::BadTile { level, index, width };
        match self.tile(level, index) {
            Ok(hashes) => Ok(hashes.get(..usize::from(width)).ok_or(bad)?.to_vec()),
            Err(failure) => {
                self.failure.replace(Some(failure));
                Err(bad)
            }
        }
    }
}
