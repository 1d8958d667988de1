//! The writer of the log: recovery when it opens, one checkpoint per advance.

use super::LogError;
use super::edges::{Edges, Growth};
use super::folder::LogFolder;
use super::heads::{Heads, SharedHeads, SignedHead};
use super::syncer::Syncer;
use super::view::LogView;
use crate::books::Extent;
use crate::entropy::OsEntropy;
use crate::files::{self, FolderLock};
use std::path::Path;
use std::sync::Arc;
use tpw_core::{Instant, Span, TreeHead};
use tpw_crypto::{Entropy as _, Signer, SlotName};
use tpw_proof::note::KeyName;
use tpw_proof::timestamp::{self, Authority, ClockState, TspError};
use tpw_proof::{Checkpoint, Frontier, Leaf, RootSignature, SignedCheckpoint, VerifierKey};

/// The most leaves under one new checkpoint.
pub const BATCH_MAX: usize = 65_536;

/// How far the clock may be behind the newest checkpoint: within a time-stamp's accuracy.
const CLOCK_BACK_MAX: Span = Span::from_secs(1);

/// Where the leaves are durable before they come to the log: the ledger's database.
pub trait LeafSource {
    /// How many leaves there are.
    ///
    /// # Errors
    /// [`LogError::Source`].
    fn count(&self) -> Result<u64, LogError>;

    /// How far the ledger has come, if it could lose its newest batches without saying so.
    ///
    /// # Errors
    /// [`LogError::Source`].
    fn extent(&self) -> Result<Option<Extent>, LogError> {
        Ok(None)
    }

    /// The leaves from index `from` on, in order, at most `most` and at least one if there are any.
    ///
    /// # Errors
    /// [`LogError::Source`].
    fn leaves(&self, from: u64, most: usize) -> Result<Vec<Leaf>, LogError>;
}

/// What a log is called and who signs for it.
#[derive(Clone)]
pub struct LogConfig {
    /// The name of the log, in every checkpoint.
    pub origin: KeyName,
    /// Holds the keys of the slots below.
    pub signer: Arc<dyn Signer>,
    /// The log's Ed25519 key.
    pub ed25519: SlotName,
    /// The log's ML-DSA-44 key.
    pub ml_dsa_44: SlotName,
    /// The key that signs roots for COSE receipts.
    pub cose: SlotName,
    /// Stamps every checkpoint.
    pub authority: Arc<Authority>,
}

impl LogConfig {
    /// The two keys that every checkpoint is signed with.
    ///
    /// # Errors
    /// When a slot has no key, or one that may not sign notes.
    pub fn keys(&self) -> Result<Vec<VerifierKey>, LogError> {
        [&self.ed25519, &self.ml_dsa_44]
            .into_iter()
            .map(|slot| {
                let key = self.signer.public_key(slot)?;
                Ok(VerifierKey::new(self.origin.clone(), key)?)
            })
            .collect()
    }
}

/// The one writer of a log. It owns the folder while it lives.
///
/// After any failure of an advance it takes no more leaves: opening it again finds out what was stored.
pub struct LogStore {
    config: LogConfig,
    folder: LogFolder,
    heads: Heads,
    epoch: u64,
    edges: Edges,
    frontier: Frontier,
    newest: Option<Arc<SignedHead>>,
    view: LogView,
    syncer: Syncer,
    files: Files,
    health: Health,
    clock: ClockState,
    _lock: FolderLock,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Sound,
    Poisoned,
}

/// Whether the partial tiles and the published checkpoint on the disk are those of the newest checkpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Files {
    Current,
    Behind,
}

impl LogStore {
    /// Opens the log in `folder`, makes it if there is none, and brings it up to the leaves of `source`.
    ///
    /// It reads the newest stored checkpoint, demands that the ledger holds at least its leaves, makes its right edge
    /// again from synced tiles and the ledger, demands the signed root, signs a checkpoint over what the ledger holds
    /// beyond it, and publishes.
    ///
    /// # Errors
    /// A fatal [`LogError`] when ledger, `log.db` and the published checkpoint contradict each other; nothing is then
    /// signed or overwritten. Otherwise errors of files, signers and the clock.
    pub fn open(
        folder: &Path,
        config: LogConfig,
        source: &dyn LeafSource,
        now: Instant,
    ) -> Result<Self, LogError> {
        Self::open_sharing(folder, config, source, now, None)
    }

    /// As [`LogStore::open`], with the checkpoints in a store that other machines share: whoever opens the log next
    /// continues it in a folder of its own.
    ///
    /// # Errors
    /// As [`LogStore::open`].
    pub fn open_sharing(
        folder: &Path,
        config: LogConfig,
        source: &dyn LeafSource,
        now: Instant,
        shared: Option<Box<dyn SharedHeads>>,
    ) -> Result<Self, LogError> {
        files::create_private_folder(folder)?;
        let lock = FolderLock::take(folder)?;
        config.authority.check(config.signer.as_ref(), now).map_err(|e| stamping(&e))?;
        let database = folder.join("log.db");
        let again = shared.as_ref().map(|shared| shared.again());
        let heads = Heads::open(&database)?.sharing(shared);
        let newest = heads.newest()?.map(Arc::new);
        let synced = heads.synced()?;
        let epoch = heads.next_epoch()?;
        let folder = LogFolder::new(folder.to_owned());
        let stored = Heads::open_to_read(&database)?.sharing(again);
        let view = LogView::new(folder.clone(), stored, heads.minimum()?);
        let syncer = Syncer::start(synced, folder.root())?;
        let mut store = Self {
            config,
            folder,
            heads,
            epoch,
            edges: Edges::default(),
            frontier: Frontier::new(),
            newest,
            view,
            syncer,
            files: Files::Current,
            health: Health::Sound,
            clock: ClockState::Bad,
            _lock: lock,
        };
        store.recover(source, now)?;
        Ok(store)
    }

    /// Says how far the times handed in from now on may be off; until then nothing is said of it in a checkpoint's time-stamp.
    pub const fn tell_clock(&mut self, clock: ClockState) {
        self.clock = clock;
    }

    /// How often this log was opened: what makes serial numbers of time-stamps unique across restarts.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many leaves the log has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.edges.size()
    }

    /// The newest checkpoint; `None` while there are no leaves.
    #[must_use]
    pub fn newest(&self) -> Option<&Arc<SignedHead>> {
        self.newest.as_ref()
    }

    /// A view for readers.
    #[must_use]
    pub fn view(&self) -> LogView {
        self.view.clone()
    }

    fn recover(&mut self, source: &dyn LeafSource, now: Instant) -> Result<(), LogError> {
        let held = source.count()?;
        self.check_published()?;
        if let Some(newest) = &self.newest {
            self.check_newest(newest, held, now)?;
        }
        self.check_noted(source)?;
        if let Some(newest) = self.newest.clone() {
            self.rebuild(newest.head, source)?;
            self.folder.publish(&newest.checkpoint.to_string())?;
            self.view.show(&newest, &self.edges);
        }
        while self.edges.size() < held {
            let leaves = read(source, self.edges.size(), held)?;
            self.append_and_checkpoint(&leaves, now)?;
        }
        self.publish()
    }

    /// A ledger that lost its newest batches must not go on: they were answered.
    fn check_noted(&self, source: &dyn LeafSource) -> Result<(), LogError> {
        let Some(noted) = self.heads.noted()? else { return Ok(()) };
        match source.extent()? {
            Some(held) if held.is_behind(&noted) => Err(LogError::BooksBehind { noted, held }),
            _ => Ok(()),
        }
    }

    /// Remembers how far the ledger has durably come; it is stored with the next checkpoint, or by [`LogStore::store_note`].
    pub(super) const fn note(&mut self, extent: Extent) {
        self.heads.note(extent);
    }

    /// Stores what was noted and no checkpoint has stored.
    pub(super) fn store_note(&mut self) -> Result<(), LogError> {
        self.heads.store_note()
    }

    /// A checkpoint that the world has seen must be one that `log.db` knows.
    fn check_published(&self) -> Result<(), LogError> {
        let Some(bytes) = self.folder.published()? else { return Ok(()) };
        let signed = str::from_utf8(&bytes).ok().and_then(|note| {
            let signed = SignedCheckpoint::parse(note).ok()?;
            signed.verify_all(&self.config.keys().ok()?).ok().map(|()| signed)
        });
        let Some(signed) = signed else {
            // Not synced when it was written, so a power failure may have torn it; it is written again below.
            tracing::warn!(
                "the published checkpoint is torn or not of this log; publishing it again"
            );
            return Ok(());
        };
        let head = signed.checkpoint().head;
        match self.heads.at(head.size)? {
            Some(stored) if stored.head == head => Ok(()),
            _ => Err(LogError::PublishedUnknown { published: head.size }),
        }
    }

    fn check_newest(&self, newest: &SignedHead, held: u64, now: Instant) -> Result<(), LogError> {
        let found = &newest.checkpoint.checkpoint().origin;
        if *found != self.config.origin {
            let (found, wanted) = (found.to_string(), self.config.origin.to_string());
            return Err(LogError::OtherOrigin { found, wanted });
        }
        newest.checkpoint.verify_all(&self.config.keys()?)?;
        if newest.head.size > held {
            return Err(LogError::LedgerBehind { signed: newest.head.size, held });
        }
        self.issue_time(now).map(|_time| ())
    }

    /// Makes the right edge of the signed tree again, from the synced tiles and the ledger if they give the signed
    /// root, else from the ledger alone.
    fn rebuild(&mut self, signed: TreeHead, source: &dyn LeafSource) -> Result<(), LogError> {
        let synced = self.heads.synced()?.min(signed.size) & !255;
        if synced > 0
            && let Some(edges) = self.folder.edges_at(synced)?
            && self.rebuild_from(edges, signed, source)?.is_none()
        {
            return Ok(());
        }
        match self.rebuild_from(Edges::default(), signed, source)? {
            None => Ok(()),
            Some(found) => Err(LogError::Contradiction {
                size: signed.size,
                signed: signed.root,
                found: found.root,
            }),
        }
    }

    /// Answers the head that came out instead of the signed one, having written nothing then.
    fn rebuild_from(
        &mut self,
        edges: Edges,
        signed: TreeHead,
        source: &dyn LeafSource,
    ) -> Result<Option<TreeHead>, LogError> {
        let start = edges.frontier()?;
        let mut frontier = start.clone();
        while frontier.size() < signed.size {
            let leaves = read(source, frontier.size(), signed.size)?;
            leaves.iter().for_each(|leaf| frontier.push(leaf.leaf_hash()));
        }
        let found = TreeHead { size: frontier.size(), root: frontier.root() };
        if found != signed {
            return Ok(Some(found));
        }
        if start.size() == 0 {
            // All files are about to be written anew: until they are synced, nothing is.
            self.heads.set_synced(0)?;
            self.syncer.forget();
        }
        // Partial tiles of older sizes may be torn, and nobody needs them any more.
        self.folder.remove_partial(signed.size)?;
        (self.edges, self.frontier) = (edges, start);
        let mut full = Vec::new();
        while self.edges.size() < signed.size {
            let leaves = read(source, self.edges.size(), signed.size)?;
            let growth = self.edges.grow(&leaves);
            full.extend(self.folder.write_full(&growth)?);
            self.view.remember(&growth.tiles);
        }
        self.folder.write_edges(&self.edges)?;
        self.frontier = frontier;
        self.check_roots(&self.edges, &self.frontier, &Growth::default())?;
        self.syncer.take(full, signed.size);
        Ok(None)
    }

    /// Appends leaves and answers the checkpoint over them, which is then stored and served. The files that change with
    /// every checkpoint wait for [`LogStore::publish`].
    ///
    /// The leaves must be durable in the ledger, from index [`LogStore::size`] on.
    ///
    /// # Errors
    /// [`LogError::BatchSize`] and [`LogError::ClockBehind`] change nothing. Every other error stops this store:
    /// later calls answer [`LogError::Poisoned`].
    pub fn append_and_checkpoint(
        &mut self,
        leaves: &[Leaf],
        now: Instant,
    ) -> Result<Arc<SignedHead>, LogError> {
        if self.health == Health::Poisoned {
            return Err(LogError::Poisoned);
        }
        if leaves.is_empty() || leaves.len() > BATCH_MAX {
            return Err(LogError::BatchSize { given: leaves.len(), most: BATCH_MAX });
        }
        let issued = self.issue_time(now)?;
        let advanced = self.advance(leaves, issued);
        if advanced.is_err() {
            self.health = Health::Poisoned;
        }
        advanced
    }

    /// The time of the next checkpoint: never before that of the one before.
    fn issue_time(&self, now: Instant) -> Result<Instant, LogError> {
        match &self.newest {
            Some(newest) if now.plus(CLOCK_BACK_MAX) < newest.issued => {
                Err(LogError::ClockBehind { now, issued: newest.issued })
            }
            Some(newest) => Ok(now.max(newest.issued)),
            None => Ok(now),
        }
    }

    fn advance(&mut self, leaves: &[Leaf], issued: Instant) -> Result<Arc<SignedHead>, LogError> {
        let (mut edges, mut frontier) = (self.edges.clone(), self.frontier.clone());
        let growth = edges.grow(leaves);
        leaves.iter().for_each(|leaf| frontier.push(leaf.leaf_hash()));
        let head = self.check_roots(&edges, &frontier, &growth)?;
        let signed = Arc::new(self.sign(head, issued)?);
        let expected = self.newest.as_ref().map(|newest| newest.head);
        self.heads.advance(expected, &signed, self.syncer.synced())?;
        // From here on the checkpoint is true whatever happens; what follows can be made again.
        self.files = Files::Behind;
        let full = self.folder.write_full(&growth)?;
        self.view.remember(&growth.tiles);
        self.view.show(&signed, &edges);
        self.syncer.take(full, head.size);
        (self.edges, self.frontier, self.newest) = (edges, frontier, Some(Arc::clone(&signed)));
        Ok(signed)
    }

    /// Whether [`LogStore::publish`] has something to write.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        matches!(self.files, Files::Behind)
    }

    /// Writes the partial tiles and the checkpoint file, if they are behind. Whoever asks this server is answered from
    /// memory: the files are for those who copy or serve the folder, and cost more than a checkpoint itself.
    ///
    /// # Errors
    /// A file error, which stops this store as one of an advance does.
    pub fn publish(&mut self) -> Result<(), LogError> {
        if self.health == Health::Poisoned {
            return Err(LogError::Poisoned);
        }
        let Some(newest) = self.newest.clone().filter(|_newest| self.is_behind()) else {
            return Ok(());
        };
        let written = self
            .folder
            .write_edges(&self.edges)
            .and_then(|()| self.folder.publish(&newest.checkpoint.to_string()));
        match written {
            Ok(()) => self.files = Files::Current,
            Err(_) => self.health = Health::Poisoned,
        }
        written
    }

    /// INVARIANT: nothing is signed unless two computations that share no step agree.
    fn check_roots(
        &self,
        edges: &Edges,
        frontier: &Frontier,
        growth: &Growth,
    ) -> Result<TreeHead, LogError> {
        let (size, left) = (frontier.size(), frontier.root());
        let right = self.view.root_of(edges, &growth.tiles)?;
        if left == right && size == edges.size() {
            Ok(TreeHead { size, root: left })
        } else {
            Err(LogError::RootsDiffer { size, left, right })
        }
    }

    fn sign(&self, head: TreeHead, issued: Instant) -> Result<SignedHead, LogError> {
        let config = &self.config;
        let signer = config.signer.as_ref();
        let checkpoint = Checkpoint { origin: config.origin.clone(), head }.sign(
            signer,
            &config.ed25519,
            &config.ml_dsa_44,
        )?;
        let root_signature = RootSignature::sign(&head.root, signer, &config.cose)?;
        let mut random = [0; 11];
        OsEntropy.fill(&mut random)?;
        let serial = timestamp::serial(self.epoch, random);
        let token = config
            .authority
            .stamp(signer, &checkpoint.log_signed_bytes(), issued, self.clock, serial)
            .map_err(|e| stamping(&e))?;
        let previous_size = self.newest.as_ref().map_or(0, |newest| newest.head.size);
        Ok(SignedHead { head, previous_size, checkpoint, root_signature, token, issued })
    }

    /// Has another key stamp the checkpoints to come. `signer` has the log's own keys too.
    pub(super) fn stamp_with(&mut self, authority: Arc<Authority>, signer: Arc<dyn Signer>) {
        self.config.authority = authority;
        self.config.signer = signer;
    }

    /// Syncs the files and lets the folder go. Dropping the store is as safe; the next opening then does more work.
    ///
    /// # Errors
    /// An error of `log.db`, or of the files that are still to be written.
    pub fn close(mut self) -> Result<(), LogError> {
        let published = if self.health == Health::Sound { self.publish() } else { Ok(()) };
        let synced = self.syncer.finish(self.edges.size());
        published?;
        match self.health {
            Health::Sound => {
                self.heads.set_synced(synced)?;
                self.heads.fold()
            }
            Health::Poisoned => Ok(()),
        }
    }
}

fn stamping(error: &TspError) -> LogError {
    LogError::Timestamp(error.to_string())
}

/// Leaves from `from` up to `end`, at most a batch of them.
fn read(source: &dyn LeafSource, from: u64, end: u64) -> Result<Vec<Leaf>, LogError> {
    let wanted = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX).min(BATCH_MAX);
    let mut leaves = source.leaves(from, wanted)?;
    leaves.truncate(wanted);
    if leaves.is_empty() {
        return Err(LogError::Source(format!(
            "there is no leaf {from}, though {end} were counted"
        )));
    }
    Ok(leaves)
}

#[cfg(test)]
mod tests {
    use super::super::tests::world::{leaf, open_scratch};
    use super::*;

    #[test]
    fn nothing_is_signed_when_the_two_roots_differ() {
        let (_world, mut store) = open_scratch(10);
        // As if a bit of memory had flipped.
        let mut other = Frontier::new();
        (0..9).chain([99]).for_each(|number| other.push(leaf(number).leaf_hash()));
        store.frontier = other;
        let error = store.append_and_checkpoint(&[leaf(10)], store.newest.clone().unwrap().issued);
        let error = error.unwrap_err();
        assert!(matches!(error, LogError::RootsDiffer { size: 11, .. }), "{error}");
        assert!(error.is_fatal());
        assert_eq!(store.heads.newest().unwrap().unwrap().head.size, 10);
        assert_eq!(store.view.newest().unwrap().head.size, 10);
    }
}
