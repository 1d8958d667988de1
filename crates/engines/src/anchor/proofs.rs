//! The proofs of an anchoring account for whoever hands out receipts, and how its anchoring goes.
//!
//! INVARIANT: an anchor that is handed out was followed from the entry to its block by the verifier's own code.

use super::{AnchorError, Anchorer, PROOF_LEN_MAX, Progress};
use crate::files;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use tpw_core::{Hash32, Instant};
use tpw_proof::anchor::{Announcement, EvmAnchor, EvmTrust};

/// So many failures in a row are no accident any more.
const FAILING: u32 = 3;

/// An anchor that is final.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Anchored {
    /// How many entries the tree has.
    pub size: u64,
    /// When its block was made, in seconds since 1970.
    pub block_time_s: u64,
}

/// How the anchoring goes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Course {
    /// The newest anchor.
    pub newest: Option<Anchored>,
    /// Anchors that became final since the start.
    pub anchored: u64,
    /// Steps that failed since the start.
    pub failed: u64,
    /// Those of them since the last one that succeeded.
    pub failing: u32,
    /// Whether a transaction is on its way.
    pub open: bool,
}

impl Course {
    /// Whether somebody should look: it has failed again and again.
    #[must_use]
    pub const fn is_failing(&self) -> bool {
        self.failing >= FAILING
    }
}

/// What an account has anchored so far: shared between who anchors and who hands out receipts.
#[derive(Debug)]
pub struct Anchors {
    folder: PathBuf,
    trust: EvmTrust,
    /// The sizes of the trees that are anchored.
    sizes: RwLock<BTreeSet<u64>>,
    /// The largest of them: most receipts are of entries beyond it, and need no lock to know that.
    largest: AtomicU64,
    course: Mutex<Course>,
}

impl Anchors {
    /// Those of an account that has a contract.
    ///
    /// # Errors
    /// [`AnchorError::NoContract`], [`AnchorError::Damaged`], [`AnchorError::File`].
    pub fn of(anchorer: &Anchorer) -> Result<Self, AnchorError> {
        let status = anchorer.status();
        let (Some(chain_id), Some(contract)) = (status.chain_id, status.contract) else {
            return Err(AnchorError::NoContract);
        };
        let sizes = anchorer.sizes()?;
        let largest = sizes.last().copied().unwrap_or_default();
        let anchors = Self {
            folder: anchorer.folder.clone(),
            trust: EvmTrust { chain_id, contracts: vec![contract], blocks: Vec::new() },
            sizes: RwLock::new(sizes.into_iter().collect()),
            largest: AtomicU64::new(largest),
            course: Mutex::default(),
        };
        if let Some(head) = status.anchored {
            anchors.course().newest = Some(anchors.anchored(head.size)?);
        }
        anchors.course().open = status.open.is_some();
        Ok(anchors)
    }

    /// What a verifier has to know of the chain: its number and the contract. Blocks are for others to tell.
    #[must_use]
    pub const fn trust(&self) -> &EvmTrust {
        &self.trust
    }

    /// How it goes.
    #[must_use]
    pub fn status(&self) -> Course {
        *self.course()
    }

    /// Whether an anchored tree holds the entry at `index`. Answers from memory.
    pub(crate) fn covers(&self, index: u64) -> bool {
        self.largest.load(Ordering::Acquire) > index
    }

    /// The anchor of an entry, with the first tree that holds it; `None` while none does. `path` leads from the entry to
    /// the root of a tree of the size that it is given.
    ///
    /// # Errors
    /// What `path` answers; [`AnchorError::Damaged`] or [`AnchorError::Unproved`] when the proof is not one of this entry.
    pub(crate) fn anchor<E: From<AnchorError>>(
        &self,
        leaf: &Hash32,
        index: u64,
        path: impl FnOnce(u64) -> Result<Vec<Hash32>, E>,
    ) -> Result<Option<Vec<u8>>, E> {
        let Some(size) = self.first_over(index) else { return Ok(None) };
        let announcement = read(&self.folder, size)?;
        let anchor = EvmAnchor { path: path(size)?, announcement };
        anchor.tell(leaf, index).map_err(AnchorError::from)?;
        Ok(Some(anchor.to_bytes()))
    }

    fn first_over(&self, index: u64) -> Option<u64> {
        if !self.covers(index) {
            return None;
        }
        let sizes = self.sizes.read().unwrap_or_else(PoisonError::into_inner);
        sizes.range(index.checked_add(1)?..).next().copied()
    }

    /// Takes note of how far an order has come.
    ///
    /// # Errors
    /// [`AnchorError::Damaged`] when a proof that was just kept cannot be read.
    pub fn went(&self, progress: &Progress) -> Result<(), AnchorError> {
        let new = match progress {
            Progress::Anchored(head) => Some(self.anchored(head.size)?),
            _ => None,
        };
        let mut course = self.course();
        course.open = matches!(progress, Progress::Sent | Progress::Waiting(_));
        let Some(new) = new else { return Ok(()) };
        self.sizes.write().unwrap_or_else(PoisonError::into_inner).insert(new.size);
        self.largest.fetch_max(new.size, Ordering::AcqRel);
        course.anchored = course.anchored.saturating_add(1);
        course.newest = Some(new);
        Ok(())
    }

    /// Takes note that nothing fails any more.
    pub fn recovered(&self) {
        self.course().failing = 0;
    }

    /// Takes note of a step that failed; how many have in a row.
    pub fn failed(&self) -> u32 {
        let mut course = self.course();
        course.failed = course.failed.saturating_add(1);
        course.failing = course.failing.saturating_add(1);
        course.failing
    }

    fn anchored(&self, size: u64) -> Result<Anchored, AnchorError> {
        let told = read(&self.folder, size)?.tell()?;
        Ok(Anchored { size, block_time_s: told.block.time_s })
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        // Whole values are left behind also by a thread that panicked.
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Anchored {
    /// When its block was made.
    #[must_use]
    pub fn block_time(&self) -> Option<Instant> {
        self.block_time_s.checked_mul(1000).and_then(Instant::from_unix_ms)
    }
}

/// Where the announcement of the tree of this size is kept.
pub(super) fn path(folder: &Path, size: u64) -> PathBuf {
    folder.join("proofs").join(format!("{size}.evm"))
}

/// The announcement of the tree of this size.
pub(super) fn read(folder: &Path, size: u64) -> Result<Announcement, AnchorError> {
    let damaged = || AnchorError::Damaged { file: "proofs" };
    let bytes = files::read(&path(folder, size), PROOF_LEN_MAX)?.ok_or_else(damaged)?;
    Ok(EvmAnchor::from_bytes(&bytes).map_err(|_odd| damaged())?.announcement)
}
