//! A mirror: it keeps whole copies of logs, and cosigns a checkpoint only once every entry under it is synced here
//! (`c2sp.org/tlog-mirror`).
//!
//! INVARIANT: what is cosigned is stored. Entries are taken only with the proof that they belong to a checkpoint that the log
//! has signed and that follows from all before it; they are synced, then counted in `mirror.db`, then the checkpoint is
//! cosigned and stored there, and only then does the cosignature leave.

mod store;
#[cfg(test)]
mod tests;
mod upload;

use crate::clock::Clock;
use crate::entropy::OsEntropy;
use crate::files::{self, FileError, FolderLock};
use crate::log_store::{LogError, Replica, ReplicaView};
use crate::witness::{Cosigner, Latest, Used, WitnessError, origin_hash};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use store::{Known, MirrorDb};
use tpw_crypto::Entropy as _;
use tpw_proof::mirror::MirrorInfo;
use tpw_proof::witness::{AddCheckpoint, Refusal, SignSubtree};
use tpw_proof::{KeyName, ProofError, VerifierKey};

pub use upload::{Ended, Upload};

/// How often a request is judged anew because another one came first.
const ATTEMPTS: u32 = 4;

/// Why a mirror cannot start or answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The copy of a log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The mirror's keys.
    #[error(transparent)]
    Cosigner(#[from] WitnessError),
    /// The store of checkpoints failed.
    #[error("cannot {doing} in `mirror.db`: {cause}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What SQLite said.
        #[source]
        cause: rusqlite::Error,
    },
    /// What is stored is not what this mirror has stored.
    #[error("the copy of `{origin}` is damaged: {why}; restore the folder from a backup")]
    Damaged {
        /// The log.
        origin: String,
        /// The rule that is broken.
        why: &'static str,
    },
    /// The folder is of another mirror.
    #[error(
        "the folder belongs to the mirror `{found}`, not to `{wanted}`; name another folder or that mirror"
    )]
    OtherName {
        /// Whose it is.
        found: String,
        /// Who was named.
        wanted: String,
    },
    /// Evidence could not be made or read.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The request is not carried out.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The log has no pending checkpoint.
    #[error("this mirror has seen no checkpoint of the log: send one first")]
    NoCheckpoint,
    /// The upload does not begin or end where it may.
    #[error("entries are taken from {} on, up to the tree of size {}", .0.next, .0.size)]
    Conflict(MirrorInfo),
    /// Entries that are not proved to belong to the checkpoint's tree.
    #[error("the entries are not proved to belong to the checkpoint's tree: {0}")]
    Unproved(ProofError),
    /// The request ended before its first package did.
    #[error("the request ends before its first package does")]
    Truncated,
    /// A tree that is larger than the store can count.
    #[error("the checkpoint's size is beyond 2^63 - 1")]
    TooLarge,
    /// Requests of the same log came first, one after the other.
    #[error("too many requests of this log at once; ask again")]
    Busy,
}

/// How far the copy of a log has come, in entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The log.
    pub origin: String,
    /// Under the newest checkpoint that the log has shown.
    pub pending: u64,
    /// Synced here.
    pub stored: u64,
    /// Under the newest checkpoint that was cosigned.
    pub cosigned: u64,
}

/// The copy of one log.
struct Copied {
    origin: KeyName,
    /// None after a failure: it is then opened again at what is known to be synced.
    replica: Mutex<Option<Replica>>,
    view: RwLock<Option<ReplicaView>>,
}

/// A running mirror.
pub struct Mirror {
    cosigner: Cosigner,
    logs: Vec<VerifierKey>,
    clock: Arc<dyn Clock>,
    store: Mutex<MirrorDb>,
    folder: PathBuf,
    /// By the hash of the origin.
    copies: BTreeMap<String, Copied>,
    ticket_key: [u8; 32],
    _lock: FolderLock,
}

impl core::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Mirror").field("name", self.cosigner.name()).finish_non_exhaustive()
    }
}

/// Whole values are left behind also by a thread that panicked: each change is one step.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mirror {
    /// Opens the mirror `name` in `folder`, which makes its keys the first time. It copies the logs of `logs`.
    ///
    /// # Errors
    /// [`MirrorError`] when the folder is in use, damaged, or another mirror's.
    pub fn open(
        folder: &Path,
        name: KeyName,
        logs: Vec<VerifierKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, MirrorError> {
        files::create_private_folder(folder)?;
        let lock = FolderLock::take(folder)?;
        let (keys_path, db_path) = (folder.join("keys"), folder.join("mirror.db"));
        // Keys without what they have cosigned could cosign what is not stored.
        if keys_path.exists() && !db_path.exists() {
            return Err(WitnessError::Missing { what: "mirror.db" }.into());
        }
        let mut fresh = [0; 32];
        OsEntropy.fill(&mut fresh).map_err(WitnessError::from)?;
        let (store, ticket_key) = MirrorDb::open(&db_path, &name, fresh)?;
        let used = store.all()?.iter().any(|(_, known)| known.mirrored.is_some());
        let used = if used { Used::Before } else { Used::Never };
        let cosigner = Cosigner::open(&keys_path, "mirror", &name, used)?;
        let copied = |key: &VerifierKey| {
            let copied = Copied {
                origin: key.name().clone(),
                replica: Mutex::default(),
                view: RwLock::default(),
            };
            (origin_hash(key.name().as_str()), copied)
        };
        let copies = logs.iter().map(copied).collect();
        let store = Mutex::new(store);
        let folder = folder.to_owned();
        let mirror = Self { cosigner, logs, clock, store, folder, copies, ticket_key, _lock: lock };
        mirror.check_stored()?;
        Ok(mirror)
    }

    /// The keys that it cosigns with.
    #[must_use]
    pub fn keys(&self) -> Vec<VerifierKey> {
        self.cosigner.keys()
    }

    /// Everything that was cosigned was cosigned by this mirror, and is there.
    fn check_stored(&self) -> Result<(), MirrorError> {
        let keys = self.keys();
        let known = held(&self.store).all()?;
        for (origin, known) in known {
            let damaged = |why| MirrorError::Damaged { origin: origin.clone(), why };
            if let Some(latest) = &known.mirrored {
                let own = latest.note.verify_all(&keys);
                own.map_err(|_false| damaged("this mirror has not cosigned its checkpoint"))?;
            }
            let Some(copied) = self.copies.get(&origin_hash(&origin)) else { continue };
            let mut replica = held(&copied.replica);
            let opened = self.replica(copied, &mut replica)?;
            if let Some(latest) = &known.mirrored
                && opened.root(latest.head.size)? != latest.head.root
            {
                return Err(damaged("the entries do not give the root that was cosigned"));
            }
        }
        Ok(())
    }

    fn copied(&self, origin: &str) -> Result<&Copied, MirrorError> {
        let copied = self.copies.get(&origin_hash(origin));
        Ok(copied.ok_or(Refusal::UnknownLog)?)
    }

    fn known(&self, origin: &str) -> Result<Known, MirrorError> {
        held(&self.store).log(origin)?.ok_or(MirrorError::NoCheckpoint)
    }

    /// The open copy of a log; opened at what is known to be synced if it is not.
    fn replica<'r>(
        &self,
        copied: &Copied,
        held_replica: &'r mut Option<Replica>,
    ) -> Result<&'r mut Replica, MirrorError> {
        let origin = copied.origin.as_str();
        let replica = match held_replica.take() {
            Some(replica) => replica,
            None => {
                let next = self.known(origin)?.next;
                let root = self.folder.join("logs").join(origin_hash(origin));
                let damaged =
                    || MirrorError::Damaged { origin: origin.to_owned(), why: "a file is missing" };
                let replica = Replica::open(&root, next)?.ok_or_else(damaged)?;
                let mut view = copied.view.write().unwrap_or_else(PoisonError::into_inner);
                *view = Some(replica.view());
                replica
            }
        };
        Ok(held_replica.insert(replica))
    }

    /// Judges a checkpoint as a witness does, and keeps it as the pending one. It is not cosigned.
    ///
    /// # Errors
    /// [`MirrorError::Refused`] with the rule that is broken; otherwise this mirror could not do it.
    pub fn add_checkpoint(&self, request: &AddCheckpoint) -> Result<(), MirrorError> {
        let checkpoint = request.checkpoint.checkpoint();
        if i64::try_from(checkpoint.head.size).is_err() {
            return Err(MirrorError::TooLarge);
        }
        let origin = checkpoint.origin.as_str();
        for _ in 0..ATTEMPTS {
            let known = held(&self.store).log(origin)?;
            let head = known.map(|known| known.pending.head);
            request.judge(&self.logs, head)?;
            let note = request.checkpoint.only_of(&self.logs);
            let new = Latest { head: checkpoint.head, note };
            // The proof began with `head`: if another request came first it proves nothing any more.
            if held(&self.store).set_pending(origin, head, &new)? {
                return Ok(());
            }
        }
        Err(MirrorError::Busy)
    }

    /// Cosigns a subtree of a checkpoint that it has cosigned: the signature line.
    ///
    /// # Errors
    /// As [`Mirror::add_checkpoint`].
    pub fn sign_subtree(&self, request: &SignSubtree) -> Result<String, MirrorError> {
        let subtree = request.judge(&self.logs, &self.keys())?;
        Ok(self.cosigner.cosign_subtree(&subtree)?.to_string())
    }

    /// How far the copies have come, of each log that has sent a checkpoint.
    ///
    /// # Errors
    /// [`MirrorError`] when the store cannot be read.
    pub fn progress(&self) -> Result<Vec<Progress>, MirrorError> {
        let of = |(origin, known): (String, Known)| Progress {
            origin,
            pending: known.pending.head.size,
            stored: known.next,
            cosigned: known.mirrored.map_or(0, |latest| latest.head.size),
        };
        Ok(held(&self.store).all()?.into_iter().map(of).collect())
    }

    /// A public file of the copy of the log whose origin has this SHA-256 in small hexadecimal digits: `checkpoint`, a tile or a
    /// bundle. `None` for every other path and for what is not there.
    ///
    /// # Errors
    /// [`MirrorError`] when it cannot be read.
    pub fn file(&self, origin_hash: &str, path: &str) -> Result<Option<Vec<u8>>, MirrorError> {
        let Some(copied) = self.copies.get(origin_hash) else { return Ok(None) };
        if path == "checkpoint" {
            let known = held(&self.store).log(copied.origin.as_str())?;
            let mirrored = known.and_then(|known| known.mirrored);
            return Ok(mirrored.map(|latest| latest.note.to_string().into_bytes()));
        }
        let view = copied.view.read().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(view.map(|view| view.file(path)).transpose()?.flatten())
    }
}
