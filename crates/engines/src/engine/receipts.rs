//! Receipts as they can be made now: under the checkpoint that proves most, with what came to it since, or as they were archived.

use super::pay::{Paid, Repeated};
use super::timing::Timings;
use super::{Config, EngineError, PayError};
use crate::anchor::Anchors;
use crate::evidence::{Batch, Evidence};
use crate::log_store::{LogError, LogView, SignedHead, Witnessed};
use crate::stamped::Stamped;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tpw_core::{Hash32, Instant, Money, Receipt, RecordKind};
use tpw_flow::{Entry, Payment};
use tpw_proof::bundle::{Frame, Own};
use tpw_proof::evidence::{self, Renewal};
use tpw_proof::{Leaf, Level, ProofError, Trust, judge};

/// How long a payment waits for its witnesses: less than a request may take.
const WITNESS_TIME: Duration = Duration::from_secs(7);

/// Makes receipts. Cheap to clone.
#[derive(Clone)]
pub(super) struct Receipts {
    pub(super) log: LogView,
    frames: Arc<Frames>,
    trust: Arc<Trust>,
    trust_hash: Hash32,
    pub(super) witnessed: Option<Arc<Witnessed>>,
    pub(super) stamped: Option<Arc<Stamped>>,
    /// The amounts from which on a payment waits for its witnesses.
    witnessed_from: Arc<[Money]>,
    pub(super) anchors: Option<Arc<Anchors>>,
    pub(super) evidence: Option<Arc<Evidence>>,
}

/// What comes to receipts later, if it does.
pub(super) struct Later {
    pub(super) witnessed: Option<Arc<Witnessed>>,
    pub(super) stamped: Option<Arc<Stamped>>,
    pub(super) evidence: Option<Arc<Evidence>>,
}

/// The log's entries about a payment, each with its kind.
fn entries(payment: &Payment) -> [Option<(RecordKind, &Entry)>; 2] {
    let booked = payment.booked().map(|booked| (RecordKind::Payment, booked.entry()));
    let compensation = match payment {
        Payment::Compensated(done) => Some((RecordKind::Compensation, done.entry())),
        _ => None,
    };
    [booked, compensation]
}

impl Receipts {
    pub(super) fn new(
        log: LogView,
        trust: Arc<Trust>,
        Later { witnessed, stamped, evidence }: Later,
        config: &Config,
    ) -> Self {
        let witnessed_from = config.witnessed_from.as_slice().into();
        let anchors = config.anchors.clone();
        let (frames, trust_hash) = (Arc::default(), trust.hash());
        Self {
            log,
            frames,
            trust,
            trust_hash,
            witnessed,
            stamped,
            witnessed_from,
            anchors,
            evidence,
        }
    }

    /// The entry of a payment that must be witnessed before anything is said of it, and is not yet.
    pub(super) fn unwitnessed(&self, payment: &Payment) -> Option<(&Witnessed, u64)> {
        let witnessed = self.witnessed.as_deref()?;
        let money = payment.intake().intent().money;
        let reaches = |from: &Money| from.asset == money.asset && money.amount >= from.amount;
        if !self.witnessed_from.iter().any(reaches) {
            return None;
        }
        let newest = entries(payment).into_iter().flatten().map(|(_, entry)| entry.index).max()?;
        (!witnessed.covers(newest)).then_some((witnessed, newest))
    }

    /// Waits for the witnesses of a payment that needs them, for a bounded time.
    pub(super) async fn wait(&self, payment: &Payment) {
        if let Some((witnessed, index)) = self.unwitnessed(payment) {
            let _in_vain = tokio::time::timeout(WITNESS_TIME, witnessed.reached(index)).await;
        }
    }

    /// Whether the checkpoints that a payment's receipts need are in memory.
    pub(super) fn are_at_hand(&self, payment: &Payment) -> bool {
        let mut entries = entries(payment).into_iter().flatten();
        entries.all(|(_, entry)| {
            let witnessed = self.witnessed.as_ref().is_some_and(|w| w.covers(entry.index));
            let stamped = self.stamped.as_ref().is_some_and(|s| s.covers(entry.index));
            let anchored = self.anchors.as_ref().is_some_and(|a| a.covers(entry.index));
            let archived = self.evidence.as_ref().is_some_and(|e| e.covers(entry.index));
            let later = witnessed || stamped || anchored || archived;
            !later && self.log.covers_from_memory(entry.index)
        })
    }

    /// The checkpoint of an entry's receipt: the first over it that witnesses have cosigned, until then the log's first.
    pub(super) fn covering(&self, index: u64) -> Result<Arc<SignedHead>, EngineError> {
        let witnessed = self.witnessed.as_ref().map(|witnessed| witnessed.covering(index));
        match witnessed.transpose() {
            Ok(Some(Some(head))) => return Ok(head),
            Ok(_) => {}
            // A receipt without witnesses is better than none.
            Err(error) => tracing::warn!(%error, "a receipt goes out without its witnesses"),
        }
        Ok(self.log.covering(index)?)
    }

    /// The checkpoint of an entry's receipt, and the tokens of other authorities over it. Where witnesses are asked, a checkpoint that
    /// they have cosigned comes before one that only others have time-stamped.
    fn best_over(&self, index: u64) -> Result<(Arc<SignedHead>, Tokens), EngineError> {
        // One that cannot be read is asked for again below, and fails there.
        let suits = |size| {
            self.witnessed.is_none() || self.cosigned(size).is_ok_and(|found| found.is_some())
        };
        let stamped = self.stamped.as_ref().map(|stamped| stamped.over(index, suits));
        let stamped = stamped.transpose()?.unwrap_or_default();
        for over in &stamped {
            if let Some(head) = self.cosigned(over.size)? {
                return Ok((head, Arc::clone(&over.tokens)));
            }
        }
        let witnessed = self.witnessed.as_ref().map(|witnessed| witnessed.covering(index));
        if let Some(head) = witnessed.transpose()?.flatten() {
            return Ok((head, Tokens::default()));
        }
        for over in &stamped {
            if let Some(head) = self.log.head_at(over.size)? {
                return Ok((head, Arc::clone(&over.tokens)));
            }
        }
        Ok((self.log.covering(index)?, Tokens::default()))
    }

    /// The same for a receipt that is wanted now: one with less is better than none.
    fn best_now(&self, index: u64) -> Result<(Arc<SignedHead>, Tokens), EngineError> {
        match self.best_over(index) {
            Err(
                error @ (EngineError::Stamped(_) | EngineError::Log(LogError::Witnessed { .. })),
            ) => {
                tracing::warn!(%error, "a receipt goes out without what came later");
                Ok((self.covering(index)?, Tokens::default()))
            }
            found => found,
        }
    }

    pub(super) fn of(&self, payment: Arc<Payment>, repeated: Repeated) -> Result<Paid, PayError> {
        if self.unwitnessed(&payment).is_some() {
            return Err(PayError::Unwitnessed);
        }
        let statement = payment.intake().statement();
        let make = |(kind, entry)| self.receipt(kind, statement, entry);
        let [booked, compensation] = entries(&payment).map(|entry| entry.map(make).transpose());
        let stopped = |error: EngineError| PayError::Stopped(error.to_string());
        let receipt = booked.map_err(stopped)?;
        let compensation_receipt = compensation.map_err(stopped)?;
        let timings = Timings::new();
        Ok(Paid { payment, receipt, compensation_receipt, timings, repeated })
    }

    /// The receipt of a log entry.
    fn receipt(
        &self,
        kind: RecordKind,
        statement: &[u8],
        entry: &Entry,
    ) -> Result<Vec<u8>, EngineError> {
        let leaf = leaf(kind, statement, entry);
        let receipt = match self.archived((&leaf, statement), entry) {
            Some(archived) => archived,
            None => {
                let (head, tokens) = self.best_now(entry.index)?;
                let frame = self.frames.of(&head, &tokens, self.trust_hash);
                self.filled(&frame, (&leaf, statement), entry, head.head.size)?
            }
        };
        Ok(self.anchored(receipt, &leaf, entry.index))
    }

    /// What is the entry's own, in a frame of the checkpoint of this size.
    fn filled(
        &self,
        frame: &Frame,
        (leaf, statement): (&Leaf, &[u8]),
        entry: &Entry,
        size: u64,
    ) -> Result<Vec<u8>, EngineError> {
        let path = self.log.inclusion(entry.index, size)?;
        Ok(frame.receipt(&Own {
            statement,
            record: &entry.record,
            salt: &entry.salt,
            leaf,
            index: entry.index,
            path: &path,
        }))
    }

    /// The receipt as it is archived, for an entry that is not yet: the size of its checkpoint, and the tokens over it. `None` when its
    /// own time-stamp has ended: no record can cover it any more.
    pub(super) fn to_archive(
        &self,
        (kind, statement): (RecordKind, &[u8]),
        entry: &Entry,
        (batch, now): (&Batch, Instant),
    ) -> Result<Option<(u64, Tokens, Receipt)>, EngineError> {
        let (head, tokens) = self.best_over(entry.index)?;
        let size = head.head.size;
        let lasts = |stamp: &&Vec<u8>| {
            evidence::check_stamp_lasts(stamp, now, &self.trust.tsa_roots).is_ok()
        };
        let tokens = match batch.tokens_over(size) {
            Some(known) => known,
            None if !lasts(&&head.token) => return Ok(None),
            None => tokens.iter().filter(lasts).cloned().collect(),
        };
        let frame = frame(&head, &tokens, self.trust_hash);
        let leaf = leaf(kind, statement, entry);
        let receipt = self.filled(&frame, (&leaf, statement), entry, size)?;
        Ok(Some((size, tokens, Receipt::from_bytes(&receipt).map_err(ProofError::from)?)))
    }

    /// The receipt with its evidence record, once there is one that holds. A receipt without it is better than none.
    fn archived(&self, own: (&Leaf, &[u8]), entry: &Entry) -> Option<Vec<u8>> {
        let evidence = self.evidence.as_ref().filter(|it| it.covers(entry.index))?;
        let found = evidence.find(entry.index).map_err(EngineError::from).and_then(|kept| {
            let Some(kept) = kept else { return Ok(None) };
            let Some(head) = self.head_to_archive(kept.size, entry.index)? else { return Ok(None) };
            let frame = frame(&head, &kept.tokens, kept.trust);
            let receipt = self.filled(&frame, own, entry, kept.size)?;
            let mut receipt = Receipt::from_bytes(&receipt).map_err(ProofError::from)?;
            let leaf = Renewal::begin(&receipt, evidence::FUNCTION)?.leaf();
            receipt.evidence = vec![kept.record(&leaf).map_err(ProofError::from)?];
            let bytes = receipt.to_bytes();
            let judgement = judge(&bytes, &self.trust);
            let holds = judgement.is_valid() && judgement.level(Level::Renewed).is_proved();
            if !holds {
                let why = judgement.first_failure();
                tracing::warn!(index = entry.index, ?why, "an evidence record does not hold");
            }
            Ok(holds.then_some(bytes))
        });
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, "a receipt goes out without its evidence record");
            None
        })
    }

    /// The checkpoint of a size, with the lines of witnesses where they have cosigned it. `None` too where they have not, and have
    /// cosigned another one over the entry: they say more than a record.
    fn head_to_archive(
        &self,
        size: u64,
        index: u64,
    ) -> Result<Option<Arc<SignedHead>>, EngineError> {
        if let Some(head) = self.cosigned(size)? {
            return Ok(Some(head));
        }
        let elsewhere = self.witnessed.as_ref().is_some_and(|witnessed| witnessed.covers(index));
        if elsewhere { Ok(None) } else { Ok(self.log.head_at(size)?) }
    }

    /// The checkpoint of a size, if witnesses have cosigned it.
    fn cosigned(&self, size: u64) -> Result<Option<Arc<SignedHead>>, EngineError> {
        let Some(witnessed) = &self.witnessed else { return Ok(None) };
        let head = witnessed.covering(size.saturating_sub(1))?;
        Ok(head.filter(|head| head.head.size == size))
    }

    /// The receipt with the anchor of its entry, once there is one. A receipt without it is better than none.
    fn anchored(&self, receipt: Vec<u8>, leaf: &Leaf, index: u64) -> Vec<u8> {
        let Some(anchors) = self.anchors.as_ref().filter(|anchors| anchors.covers(index)) else {
            return receipt;
        };
        let path = |size| Ok::<_, EngineError>(self.log.inclusion(index, size)?);
        let found = anchors.anchor(&leaf.leaf_hash(), index, path).and_then(|anchor| {
            let Some(anchor) = anchor else { return Ok(None) };
            let mut whole = Receipt::from_bytes(&receipt).map_err(ProofError::from)?;
            whole.anchors.push(anchor);
            Ok(Some(whole.to_bytes()))
        });
        match found {
            Ok(Some(anchored)) => anchored,
            Ok(None) => receipt,
            Err(error) => {
                tracing::warn!(%error, index, "a receipt goes out without its anchor");
                receipt
            }
        }
    }
}

/// What the receipts under the newest checkpoints have in common, by the size of the tree.
#[derive(Default)]
struct Frames(Mutex<BTreeMap<FrameKey, Arc<Frame>>>);

/// Size of a checkpoint, how many have signed it, and how many others have time-stamped it: witnesses and other authorities come later.
type FrameKey = (u64, usize, usize);

/// Tokens of other authorities.
pub(super) type Tokens = Arc<[Vec<u8>]>;

/// The log entry about a record.
fn leaf(kind: RecordKind, statement: &[u8], entry: &Entry) -> Leaf {
    let statement_hash = Hash32::new(tpw_crypto::sha256(statement));
    let record_hash = Hash32::new(tpw_crypto::sha256(&entry.record));
    Leaf::commit(kind, &entry.salt, statement_hash, record_hash)
}

/// What receipts under a checkpoint have in common.
fn frame(head: &SignedHead, others: &[Vec<u8>], trust_hash: Hash32) -> Frame {
    let tokens = [core::slice::from_ref(&head.token), others].concat();
    Frame::new(&head.checkpoint, &head.root_signature, &tokens, trust_hash)
}

impl Frames {
    /// Requests of the last few checkpoints are answered at the same time.
    const KEPT_MAX: usize = 16;

    fn of(&self, head: &SignedHead, others: &[Vec<u8>], trust_hash: Hash32) -> Arc<Frame> {
        let key = (head.head.size, head.checkpoint.note().signatures.len(), others.len());
        let held = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(frame) = held().get(&key) {
            return Arc::clone(frame);
        }
        let frame = Arc::new(frame(head, others, trust_hash));
        let mut kept = held();
        kept.insert(key, Arc::clone(&frame));
        while kept.len() > Self::KEPT_MAX {
            kept.pop_first();
        }
        frame
    }
}
