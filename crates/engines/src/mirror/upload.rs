//! An upload of entries to a mirror, package by package.
//!
//! Nothing is locked between packages: who stops in the middle of an upload keeps nobody else from theirs.

use super::store::{Known, Stored};
use super::{Copied, Mirror, MirrorError, held};
use crate::log_store::{LogError, Replica};
use crate::witness::Latest;
use tpw_core::Hash32;
use tpw_crypto::{ct_eq, hmac_sha256};
use tpw_proof::mirror::{AddEntries, MirrorInfo, Package, Place};
use tpw_proof::note::NoteSignature;
use tpw_proof::subtree::verify_subtree;
use tpw_proof::tree::{leaf_hash, root_of};
use tpw_proof::{SignedCheckpoint, VerifierKey};

/// Entries that may be sent again although the mirror has them.
const EXCESS_MAX: u64 = 8 * 256;

/// Packages after which those before are synced: what a power failure takes away is no more than these.
const SETTLE_EVERY: u64 = 32;

const TICKET_LABEL: &[u8] = b"mirror ticket v1\n";
const MAC_LEN: usize = 32;

/// An upload that may go on.
#[derive(Debug)]
pub struct Upload {
    head: AddEntries,
    /// The checkpoint under which the entries are proved, with the log's lines.
    checkpoint: SignedCheckpoint,
    /// How many packages were taken.
    taken: u64,
}

impl Upload {
    /// Where the next package lies; `None` when all were taken.
    #[must_use]
    pub fn next(&self) -> Option<Place> {
        self.head.place(self.taken)
    }

    /// The log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.head.origin
    }

    /// The size of the tree under which the entries are proved.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.head.end
    }

    /// How many packages were taken.
    #[must_use]
    pub const fn taken(&self) -> u64 {
        self.taken
    }
}

/// How an upload ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The checkpoint is stored with all of its entries: the mirror's signature lines.
    Cosigned(String),
    /// Entries are missing yet: where to go on.
    More(MirrorInfo),
}

impl Mirror {
    /// Judges the head of an upload.
    ///
    /// # Errors
    /// The first rule that is broken, in the order of the specification; otherwise this mirror could not do it.
    pub fn begin(&self, head: AddEntries) -> Result<Upload, MirrorError> {
        let copied = self.copied(&head.origin)?;
        let known = self.known(&head.origin)?;
        let next = {
            let mut replica = held(&copied.replica);
            self.replica(copied, &mut replica)?.size()
        };
        let gone = known.mirrored.as_ref().is_some_and(|latest| head.end < latest.head.size);
        let Some(checkpoint) = self.under(&head, &known).filter(|_known| !gone) else {
            return Err(MirrorError::Conflict(self.info(&known.pending.note, next)));
        };
        let excess = head.end.min(next).saturating_sub(head.start);
        if head.start > next || excess > EXCESS_MAX {
            return Err(MirrorError::Conflict(self.go_on(&head.origin, &checkpoint, next)?));
        }
        Ok(Upload { head, checkpoint, taken: 0 })
    }

    /// Where a client goes on: under the same checkpoint, for which it has its proofs, unless nothing is left to be sent under it.
    fn go_on(
        &self,
        origin: &str,
        under: &SignedCheckpoint,
        next: u64,
    ) -> Result<MirrorInfo, MirrorError> {
        if next <= under.checkpoint().head.size {
            return Ok(self.info(under, next));
        }
        Ok(self.info(&self.known(origin)?.pending.note, next))
    }

    /// The checkpoint of the size that an upload names, if it is one that this mirror knows or has given a ticket for.
    fn under(&self, head: &AddEntries, known: &Known) -> Option<SignedCheckpoint> {
        if known.pending.head.size == head.end {
            return Some(known.pending.note.clone());
        }
        if let Some(latest) = known.mirrored.as_ref().filter(|l| l.head.size == head.end) {
            return Some(latest.note.only_of(&self.logs));
        }
        self.redeem(head)
    }

    fn mac(&self, note: &[u8]) -> [u8; MAC_LEN] {
        hmac_sha256(&self.ticket_key, &[TICKET_LABEL, note])
    }

    /// A ticket is the pending checkpoint itself under this mirror's own authentication code.
    fn info(&self, under: &SignedCheckpoint, next: u64) -> MirrorInfo {
        let note = under.to_string().into_bytes();
        let ticket = [self.mac(&note).as_slice(), &note].concat();
        MirrorInfo { size: under.checkpoint().head.size, next, ticket }
    }

    fn redeem(&self, head: &AddEntries) -> Option<SignedCheckpoint> {
        let (mac, note) = head.ticket.split_at_checked(MAC_LEN)?;
        if !ct_eq(mac, &self.mac(note)) {
            return None;
        }
        let signed = SignedCheckpoint::parse(str::from_utf8(note).ok()?).ok()?;
        let checkpoint = signed.checkpoint();
        let fits = checkpoint.origin.as_str() == head.origin && checkpoint.head.size == head.end;
        // The log's keys may be others by now.
        let own = |key: &&VerifierKey| *key.name() == checkpoint.origin;
        let own: Vec<VerifierKey> = self.logs.iter().filter(own).cloned().collect();
        (fits && signed.verify(&own).is_ok()).then_some(signed)
    }

    /// Judges the next package of an upload and keeps its entries.
    ///
    /// # Errors
    /// [`MirrorError::Unproved`] when the entries are not those of the checkpoint's tree: nothing is kept of them. Otherwise this
    /// mirror could not do it.
    pub fn take(&self, upload: &mut Upload, package: &Package) -> Result<(), MirrorError> {
        let Some(place) = upload.next() else { return Ok(()) };
        let copied = self.copied(&upload.head.origin)?;
        let before = {
            let mut replica = held(&copied.replica);
            let replica = self.replica(copied, &mut replica)?;
            if place.start > replica.size() {
                return Err(MirrorError::Conflict(self.info(&upload.checkpoint, replica.size())));
            }
            replica.entries(place.first, place.start)?
        };
        let entries = before.iter().chain(&package.entries);
        let hashes: Vec<Hash32> = entries.map(|entry| leaf_hash(entry)).collect();
        let (head, hash) = (upload.checkpoint.checkpoint().head, root_of(&hashes));
        verify_subtree(place.subtree(), &hash, &package.proof, head)
            .map_err(MirrorError::Unproved)?;
        self.change(copied, |replica| Ok(replica.extend(place.start, &package.entries)?))?;
        upload.taken = upload.taken.saturating_add(1);
        if upload.taken.is_multiple_of(SETTLE_EVERY) {
            self.settle(copied)?;
        }
        Ok(())
    }

    /// Changes a copy. What fails half-way is thrown away: the next one begins at what is known to be synced.
    fn change<T>(
        &self,
        copied: &Copied,
        change: impl FnOnce(&mut Replica) -> Result<T, MirrorError>,
    ) -> Result<T, MirrorError> {
        let mut held_replica = held(&copied.replica);
        let changed = change(self.replica(copied, &mut held_replica)?);
        if changed.is_err() {
            *held_replica = None;
        }
        changed
    }

    /// Has all entries that were taken synced, and remembers that they are. Answers the first one that is missing.
    fn settle(&self, copied: &Copied) -> Result<u64, MirrorError> {
        self.change(copied, |replica| {
            replica.sync()?;
            held(&self.store).advance(copied.origin.as_str(), replica.size())?;
            replica.settled()?;
            Ok(replica.size())
        })
    }

    /// Ends an upload, of which more packages may be to come in another request: cosigns if all entries are there.
    ///
    /// # Errors
    /// [`MirrorError::Truncated`] when no package was taken although one should have come, [`MirrorError::Conflict`] when a larger
    /// checkpoint is cosigned by now; otherwise this mirror could not do it.
    pub fn end(&self, upload: &Upload) -> Result<Ended, MirrorError> {
        let copied = self.copied(&upload.head.origin)?;
        if upload.next().is_some() && upload.taken == 0 {
            return Err(MirrorError::Truncated);
        }
        let next = self.settle(copied)?;
        if upload.next().is_some() || next < upload.head.end {
            let info = self.go_on(&upload.head.origin, &upload.checkpoint, next)?;
            return Ok(Ended::More(info));
        }
        self.commit(copied, &upload.checkpoint, next)
    }

    fn commit(
        &self,
        copied: &Copied,
        checkpoint: &SignedCheckpoint,
        next: u64,
    ) -> Result<Ended, MirrorError> {
        let (origin, head) = (copied.origin.as_str(), checkpoint.checkpoint().head);
        // Each package was proved by itself; that together they give the root costs little to look at.
        let found = self.change(copied, |replica| Ok(replica.root(head.size)?))?;
        if found != head.root {
            let (size, signed) = (head.size, head.root);
            return Err(LogError::Contradiction { size, signed, found }.into());
        }
        let lines = self.cosigner.cosign(checkpoint.checkpoint(), self.clock.now())?;
        let new = Latest { head, note: checkpoint.with_lines(&lines)? };
        let stored = held(&self.store).cosigned(origin, &new)?;
        match stored {
            Stored::Done => {
                self.publish(copied, &new.note);
                Ok(Ended::Cosigned(lines.iter().map(NoteSignature::to_string).collect()))
            }
            Stored::Lacking => Ok(Ended::More(self.info(checkpoint, next))),
            Stored::Smaller => {
                let pending = self.known(origin)?.pending.note;
                Err(MirrorError::Conflict(self.info(&pending, next)))
            }
        }
    }

    /// The files that change with every checkpoint are for those who copy the folder: readers are answered without them.
    fn publish(&self, copied: &Copied, note: &SignedCheckpoint) {
        let size = note.checkpoint().head.size;
        let published = self.change(copied, |replica| {
            if replica.size() == size { Ok(replica.publish(note)?) } else { Ok(()) }
        });
        if let Err(error) = published {
            tracing::warn!(origin = %copied.origin, %error, "the folder of a copy is behind");
        }
    }
}
