//! A witness: it cosigns checkpoints of logs that it knows, each only if it follows from the one cosigned before
//! (`c2sp.org/tlog-witness`).
//!
//! INVARIANT: no cosignature leaves before its checkpoint is durable, and what is stored is replaced only while it is
//! still what the proof began with. So of two requests at once one is told to ask again, and the size never goes back.

mod cosigner;
mod latest;
mod store;
#[cfg(test)]
mod tests;

use crate::clock::Clock;
use crate::files::{self, FileError, FolderLock};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::WitnessDb;
use tpw_crypto::CryptoError;
use tpw_proof::witness::{AddCheckpoint, Refusal, SignSubtree};
use tpw_proof::{KeyName, ProofError, SignedCheckpoint, VerifierKey};

pub(crate) use cosigner::{Cosigner, Used};
pub(crate) use latest::{Latest, Stored, stored_head};

/// How often a request is judged anew because another one came first.
const ATTEMPTS: u32 = 4;

/// Why a witness cannot start or answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store of cosigned checkpoints failed.
    #[error("cannot {doing} in `witness.db`: {cause}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What SQLite said.
        #[source]
        cause: rusqlite::Error,
    },
    /// A stored checkpoint is not what this witness has cosigned.
    #[error(
        "the checkpoint of `{origin}` in `witness.db` is damaged: {why}; restore it from a backup"
    )]
    Damaged {
        /// The log.
        origin: String,
        /// The rule that is broken.
        why: &'static str,
    },
    /// Keys without what they signed, or the other way round.
    #[error(
        "`{what}` is missing from the folder, which was in use before; restore it from a backup"
    )]
    Missing {
        /// Which.
        what: &'static str,
    },
    /// The key file holds something else.
    #[error("`keys` in the folder is damaged; restore it from a backup")]
    DamagedKeys,
    /// The folder is of another witness.
    #[error(
        "the folder belongs to the witness `{found}`, not to `{wanted}`; name another folder or that witness"
    )]
    OtherName {
        /// Whose it is.
        found: String,
        /// Who was named.
        wanted: String,
    },
    /// A key failed.
    #[error("the witness's keys cannot be used: {0}")]
    Crypto(#[from] CryptoError),
    /// A cosignature could not be made.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The checkpoint is not cosigned.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A tree that is larger than the store can count.
    #[error("the checkpoint's size is beyond 2^63 - 1")]
    TooLarge,
    /// Requests of the same log came first, one after the other.
    #[error("too many requests of this log at once; ask again")]
    Busy,
}

/// A running witness.
pub struct Witness {
    cosigner: Cosigner,
    logs: Vec<VerifierKey>,
    clock: Arc<dyn Clock>,
    store: Mutex<WitnessDb>,
    _lock: FolderLock,
}

impl core::fmt::Debug for Witness {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Witness").field("name", self.cosigner.name()).finish_non_exhaustive()
    }
}

impl Witness {
    /// Opens the witness `name` in `folder`, which makes its keys the first time. It knows the logs of `logs`.
    ///
    /// # Errors
    /// [`WitnessError`] when the folder is in use, damaged, or another witness's.
    pub fn open(
        folder: &Path,
        name: KeyName,
        logs: Vec<VerifierKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WitnessError> {
        files::create_private_folder(folder)?;
        let lock = FolderLock::take(folder)?;
        let (keys_path, db_path) = (folder.join("keys"), folder.join("witness.db"));
        // Keys without what they have cosigned could cosign a second history.
        if keys_path.exists() && !db_path.exists() {
            return Err(WitnessError::Missing { what: "witness.db" });
        }
        let store = WitnessDb::open(&db_path, &name)?;
        let used = if store.all()?.is_empty() { Used::Never } else { Used::Before };
        let cosigner = Cosigner::open(&keys_path, "witness", &name, used)?;
        let witness = Self { cosigner, logs, clock, store: Mutex::new(store), _lock: lock };
        witness.check_stored()?;
        Ok(witness)
    }

    /// The keys that it cosigns with.
    #[must_use]
    pub fn keys(&self) -> Vec<VerifierKey> {
        self.cosigner.keys()
    }

    fn held(&self) -> MutexGuard<'_, WitnessDb> {
        // Whole rows are left behind also by a thread that panicked: each change is one transaction.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything in the store was cosigned by this witness, or the store is not its own.
    fn check_stored(&self) -> Result<(), WitnessError> {
        let keys = self.keys();
        for (origin, latest) in self.held().all()? {
            latest.note.verify_all(&keys).map_err(|_false| WitnessError::Damaged {
                origin,
                why: "this witness has not cosigned it",
            })?;
        }
        Ok(())
    }

    /// Judges a request and cosigns: the signature lines, once the checkpoint is durable.
    ///
    /// # Errors
    /// [`WitnessError::Refused`] with the rule that is broken; otherwise this witness could not do it.
    pub fn add_checkpoint(&self, request: &AddCheckpoint) -> Result<String, WitnessError> {
        let checkpoint = request.checkpoint.checkpoint();
        if i64::try_from(checkpoint.head.size).is_err() {
            return Err(WitnessError::TooLarge);
        }
        let origin = checkpoint.origin.as_str();
        for _ in 0..ATTEMPTS {
            let latest = self.held().latest(origin)?;
            let head = latest.as_ref().map(|latest| latest.head);
            request.judge(&self.logs, head)?;
            let lines = self.cosigner.cosign(checkpoint, self.clock.now())?;
            let log_lines = request.checkpoint.only_of(&self.logs);
            let new = Latest { head: checkpoint.head, note: log_lines.with_lines(&lines)? };
            // The proof began with `head`: if another request came first it proves nothing any more.
            if self.held().replace(origin, head, &new)? {
                return Ok(lines.iter().map(ToString::to_string).collect());
            }
        }
        Err(WitnessError::Busy)
    }

    /// Cosigns a subtree of a checkpoint that it has cosigned: the signature line.
    ///
    /// # Errors
    /// As [`Witness::add_checkpoint`].
    pub fn sign_subtree(&self, request: &SignSubtree) -> Result<String, WitnessError> {
        let subtree = request.judge(&self.logs, &self.keys())?;
        Ok(self.cosigner.cosign_subtree(&subtree)?.to_string())
    }

    /// The newest checkpoint that it has cosigned of the log whose origin has this SHA-256 in small hexadecimal digits.
    ///
    /// # Errors
    /// [`WitnessError`] when the store cannot be read.
    pub fn checkpoint(&self, origin_hash: &str) -> Result<Option<SignedCheckpoint>, WitnessError> {
        let of = |key: &&VerifierKey| self::origin_hash(key.name().as_str()) == origin_hash;
        let Some(log) = self.logs.iter().find(of) else { return Ok(None) };
        Ok(self.held().latest(log.name().as_str())?.map(|latest| latest.note))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where a log is found: the SHA-256 of its origin in small hexadecimal digits.
pub(crate) fn origin_hash(origin: &str) -> String {
    hex(&tpw_crypto::sha256(origin.as_bytes()))
}
