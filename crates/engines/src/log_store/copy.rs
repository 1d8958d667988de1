//! A copy of a log that is served as tiles, pulled by whoever wants one.
//!
//! INVARIANT: the folder's `checkpoint` is the last thing written, after the entries have given its root and whoever pulls has looked at
//! all files that it would show. What lies there before is never shown by it.

use super::folder::LogFolder;
use super::fsck::{belongs, is_temporary};
use super::replica::Replica;
use super::{LogError, LogFiles, Resources, TiledLog};
use crate::files::FolderLock;
use std::path::Path;
use tpw_proof::tree::verify_consistency;
use tpw_proof::{ProofError, SignedCheckpoint};

/// Bundles after which those before are synced.
const SYNC_EVERY: u64 = 64;

/// The copy in a folder.
pub struct Copy {
    replica: Replica,
    files: LogFiles,
    checkpoint: Option<SignedCheckpoint>,
    _lock: FolderLock,
}

impl Copy {
    /// Opens the copy in `folder`, which may be empty.
    ///
    /// # Errors
    /// [`LogError::NoFile`] when a file is missing that its checkpoint leans on; a file error, also when another process writes it.
    pub fn open(folder: &Path) -> Result<Self, LogError> {
        crate::files::create_folder_synced(folder)?;
        let lock = FolderLock::take(folder)?;
        let published = LogFolder::new(folder.to_owned()).published()?;
        let odd = ProofError::Malformed { what: "checkpoint", why: "not UTF-8" };
        let text = published.map(|bytes| String::from_utf8(bytes).map_err(|_| odd)).transpose()?;
        let checkpoint = text.map(|text| SignedCheckpoint::parse(&text)).transpose()?;
        let size = checkpoint.as_ref().map_or(0, |signed| signed.checkpoint().head.size);
        let replica = Replica::open(folder, size)?;
        let replica = replica.ok_or_else(|| LogError::NoFile { path: "tile".to_owned() })?;
        // What a pull left that was broken off is no part of the log that is shown, and would be in the way of the next one.
        remove_unshown(&folder.join("tile"), folder, size)?;
        replica.sync_edge_tiles()?;
        let files = LogFiles(folder.to_owned());
        Ok(Self { replica, files, checkpoint, _lock: lock })
    }

    /// How many entries it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.replica.size()
    }

    /// The checkpoint that it has come to; unchecked.
    #[must_use]
    pub const fn checkpoint(&self) -> Option<&SignedCheckpoint> {
        self.checkpoint.as_ref()
    }

    /// Takes what leads to the newest checkpoint of `log`, which must follow from the copy's own. Nothing of it is shown yet.
    ///
    /// # Errors
    /// A proof error when the log does not go on from the copy, [`LogError::Contradiction`] when its entries do not give the root
    /// that it has signed; otherwise why its files cannot be read, or ours not written.
    pub fn pull(&mut self, log: &TiledLog<'_>) -> Result<Pulled<'_>, LogError> {
        let new = log.checkpoint().checkpoint();
        if let Some(old) = self.checkpoint.as_ref().map(SignedCheckpoint::checkpoint) {
            if old.origin != new.origin {
                let (found, wanted) = (old.origin.to_string(), new.origin.to_string());
                return Err(LogError::OtherOrigin { found, wanted });
            }
            let (from, to) = (old.head, new.head);
            if from.size > to.size {
                return Err(ProofError::OutOfTree { value: from.size, size: to.size }.into());
            }
            let proof = log.consistency(from.size, to.size)?;
            verify_consistency(from.size, to.size, &proof, &from.root, &to.root)?;
        }
        let first = self.replica.size() >> 8;
        for index in first..new.head.size.div_ceil(256) {
            let entries = log.bundle_entries(index)?;
            self.replica.extend(index << 8, &entries)?;
            if index.is_multiple_of(SYNC_EVERY) {
                self.replica.sync()?;
            }
        }
        let (size, signed, found) =
            (new.head.size, new.head.root, self.replica.root(new.head.size)?);
        if found != signed {
            return Err(LogError::Contradiction { size, signed, found });
        }
        self.replica.sync()?;
        self.replica.sync_edge_tiles()?;
        Ok(Pulled { checkpoint: log.checkpoint().clone(), copy: self })
    }
}

/// Removes the files in `inner` and below it that a log of `size` entries does not have.
fn remove_unshown(inner: &Path, root: &Path, size: u64) -> Result<(), LogError> {
    let Ok(entries) = std::fs::read_dir(inner) else { return Ok(()) };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_unshown(&path, root, size)?;
            continue;
        }
        let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        if is_temporary(&relative) || !belongs(&relative, size) {
            crate::files::remove(&path)?;
        }
    }
    Ok(())
}

/// What was pulled: the files of a newer checkpoint, which the folder does not show before [`Pulled::publish`]. As [`Resources`] they are
/// the log that it would show.
#[must_use = "the folder shows it only once it is published"]
pub struct Pulled<'c> {
    copy: &'c mut Copy,
    checkpoint: SignedCheckpoint,
}

impl Pulled<'_> {
    /// Makes the folder the log of the newer checkpoint.
    ///
    /// # Errors
    /// A file error; the folder is then the log of one of the two.
    pub fn publish(self) -> Result<(), LogError> {
        self.copy.replica.show(&self.checkpoint)?;
        self.copy.replica.settled()?;
        self.copy.checkpoint = Some(self.checkpoint);
        Ok(())
    }
}

impl Resources for Pulled<'_> {
    fn read(&self, path: &str, size_max: u64) -> Result<Option<Vec<u8>>, LogError> {
        match path {
            "checkpoint" => Ok(Some(self.checkpoint.to_string().into_bytes())),
            path => self.copy.files.read(path, size_max),
        }
    }
}
