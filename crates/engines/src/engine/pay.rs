//! From a signed statement to a receipt.

use super::inbox::Refused;
use super::timing::Timings;
use super::writer::{Done, When, Work};
use super::{Config, Engine, EngineError, PayError, decisions};
use crate::anchor::Anchors;
use crate::entropy::OsEntropy;
use crate::evidence::{Batch, Evidence};
use crate::log_store::{LogError, LogView, SignedHead, Witnessed};
use crate::stamped::Stamped;
use core::num::NonZeroUsize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tpw_core::{Hash32, Intent, Money, Receipt, RecordKind, StepUpProof, TreeHead};
use tpw_crypto::{Entropy, PublicKey};
use tpw_flow::{
    Answer, Command, Entry, OrderOutcome, Ordered, Orders, Outcome, Payment, Rejection, Seen,
    Submission,
};
use tpw_proof::bundle::{Frame, Own};
use tpw_proof::evidence::{self, Renewal};
use tpw_proof::{DeviceKeys, Leaf, Level, ProofError, Signed, Trust, Unverified, Verified, judge};

/// A payment with the receipts it has.
#[derive(Clone, Debug)]
pub struct Paid {
    /// The payment in its new or stored state.
    pub payment: Arc<Payment>,
    /// The receipt file of a booked payment.
    pub receipt: Option<Vec<u8>>,
    /// The receipt file of its compensation.
    pub compensation_receipt: Option<Vec<u8>>,
    /// What each step took, in order.
    pub timings: Timings,
    /// Whether this is the stored outcome of the same request made before.
    pub repeated: Repeated,
}

/// Whether a request was made before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeated {
    /// It was.
    Yes,
    /// It was not.
    No,
}

/// Of a thread that ended early: nothing of its share was checked.
fn unchecked() -> PayError {
    PayError::Stopped("a thread that checks signatures has ended; send it again".to_owned())
}

impl Engine {
    /// Takes a payment: checks the statement, decides, settles, books, and proves it.
    ///
    /// # Errors
    /// [`PayError`]. After [`PayError::Stopped`] the same statement may be sent again.
    pub async fn pay(&self, statement: &[u8]) -> Result<Paid, PayError> {
        let begun = Instant::now();
        let statement = self.check_intent(statement)?;
        let took = begun.elapsed();
        let mut paid = self.submit(statement).await?;
        paid.timings.insert(0, ("authenticate", took));
        Ok(paid)
    }

    /// Checks the signature of a payment's statement. Nothing is decided yet.
    ///
    /// # Errors
    /// [`PayError::BadStatement`], or [`PayError::Rejected`] for a device that is not enrolled.
    pub fn check_intent(&self, statement: &[u8]) -> Result<Verified<Intent>, PayError> {
        self.verified(statement)
    }

    /// Checks the signatures of many payments' statements, each alone, on at most so many threads. The answers are those of
    /// [`Engine::check_intent`], in the same order.
    pub fn check_intents(
        &self,
        statements: &[Vec<u8>],
        threads: NonZeroUsize,
    ) -> Vec<Result<Verified<Intent>, PayError>> {
        let check = |statement: &Vec<u8>| self.check_intent(statement);
        tpw_crypto::spread(statements, threads, check, || Err(unchecked()))
    }

    /// Takes a payment whose signature was checked.
    ///
    /// # Errors
    /// As [`Engine::pay`].
    pub async fn submit(&self, statement: Verified<Intent>) -> Result<Paid, PayError> {
        let seen = self.seen(statement.value().seen).await?;
        self.decide(ready(statement, seen)?).await
    }

    /// Takes payments that [`Engine::submission`] made ready, in their order, in one commit. Their receipts can be read when it
    /// answers.
    ///
    /// # Errors
    /// [`PayError`] for all of them; what became of each is in the answer.
    pub async fn submit_all(
        &self,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<(Arc<Payment>, Repeated), Rejection>>, PayError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let outcomes = self.send(commands, When::Proven).await?.outcomes.into_iter();
        let taken = outcomes.map(|outcome| match outcome {
            Ok(Answer::Payment(payment)) => Ok(Ok((payment, Repeated::No))),
            Ok(Answer::Repeated(payment)) => Ok(Ok((payment, Repeated::Yes))),
            Err(rejection) => Ok(Err(rejection)),
            Ok(_) => Err(PayError::Stopped("the writer gave no payment".to_owned())),
        });
        taken.collect()
    }

    /// Makes a payment whose signature was checked ready for the writer. It may read from the store which head the device has seen:
    /// not for a thread that others wait for.
    ///
    /// # Errors
    /// [`PayError::Stopped`] when the log or the entropy source fails.
    pub fn submission(&self, statement: Verified<Intent>) -> Result<Command, PayError> {
        let seen = seen(&self.receipts.log, statement.value().seen)?;
        ready(statement, seen)
    }

    /// Takes a fresh signature for a payment that waits for one.
    ///
    /// # Errors
    /// [`PayError`], as for [`Engine::pay`].
    pub async fn step_up(&self, proof: &[u8]) -> Result<Paid, PayError> {
        let proof = self.check_step_up(proof)?;
        self.decide(Command::StepUp(Box::new(proof))).await
    }

    /// Checks the signature of a step-up proof. Nothing is decided yet.
    ///
    /// # Errors
    /// As [`Engine::check_intent`].
    pub fn check_step_up(&self, proof: &[u8]) -> Result<Verified<StepUpProof>, PayError> {
        self.verified(proof)
    }

    /// Carries out a command about a payment and answers with its receipts.
    ///
    /// # Errors
    /// [`PayError`], as for [`Engine::pay`].
    pub async fn decide(&self, command: Command) -> Result<Paid, PayError> {
        let mut done = self.send(vec![command], When::Proven).await?;
        let begun = Instant::now();
        let mut paid = match done.outcomes.pop() {
            Some(Ok(Answer::Payment(payment))) => self.prove(payment, Repeated::No).await?,
            Some(Ok(Answer::Repeated(payment))) => self.prove(payment, Repeated::Yes).await?,
            Some(Err(rejection)) => return Err(rejection.into()),
            _ => return Err(PayError::Stopped("the writer gave no payment".to_owned())),
        };
        done.timings.push(("receipt", begun.elapsed()));
        paid.timings = done.timings;
        Ok(paid)
    }

    /// Carries out another command; the answer comes when it is durable.
    ///
    /// # Errors
    /// [`PayError`].
    pub async fn command(&self, command: Command) -> Result<Answer, PayError> {
        let outcome = self.send(vec![command], When::Durable).await?.outcomes.pop();
        Ok(outcome.ok_or_else(|| PayError::Stopped("the writer gave no answer".to_owned()))??)
    }

    /// Carries out several commands in one commit, each decided on its own.
    ///
    /// # Errors
    /// [`PayError`] for all of them; the outcome of each is in the answer.
    pub async fn commands(&self, commands: Vec<Command>) -> Result<Vec<Outcome>, PayError> {
        Ok(self.send(commands, When::Durable).await?.outcomes)
    }

    /// Carries out orders of whoever holds the key `by`; the answer, one outcome for each, comes when all of them are durable.
    ///
    /// # Errors
    /// [`PayError`] for all of them; what became of each is in the answer.
    pub async fn order(
        &self,
        orders: Vec<Ordered>,
        by: Hash32,
    ) -> Result<Vec<OrderOutcome>, PayError> {
        let mut salt = [0_u8; 32];
        OsEntropy.fill(&mut salt).map_err(|error| PayError::Stopped(error.to_string()))?;
        match self.command(Command::Orders(Box::new(Orders { orders, by, salt }))).await? {
            Answer::Ordered(outcomes) => Ok(outcomes),
            _ => Err(PayError::Stopped("the writer gave no outcome of orders".to_owned())),
        }
    }

    pub(super) async fn send(
        &self,
        mut commands: Vec<Command>,
        when: When,
    ) -> Result<Done, PayError> {
        if !self.log_healthy.healthy() {
            return Err(PayError::Stopped(
                "the log takes no entries; restart the server".to_owned(),
            ));
        }
        let decided = decisions::of_this_request();
        let added = usize::from(!decided.is_empty());
        if added > 0 {
            commands.insert(0, Command::Decisions(decided.clone()));
        }
        let (reply, answer) = oneshot::channel();
        let work = Work { commands, when, queued: Instant::now(), reply };
        self.inbox.leave(work).map_err(|refused| {
            decisions::give_back(decided);
            match refused {
                Refused::Full => PayError::Busy,
                Refused::Ended => PayError::Stopped("the server is stopping".to_owned()),
            }
        })?;
        let ended = |_gone| Err(PayError::Stopped("the writer has ended".to_owned()));
        let mut done = answer.await.unwrap_or_else(ended)?;
        let mut kept = done.outcomes.drain(..added.min(done.outcomes.len()));
        kept.try_for_each(|outcome| outcome.map(drop))?;
        drop(kept);
        Ok(done)
    }

    /// Checks a statement with the key of the enrolled device that it names.
    fn verified<T: Signed>(&self, bytes: &[u8]) -> Result<Verified<T>, PayError> {
        let unverified = Unverified::<T>::parse(bytes)?;
        let keys = self.keys_named(&unverified.key_thumbprint());
        let (key, post_quantum) = keys.ok_or(Rejection::UnknownDevice)?;
        Ok(unverified.verify_by(&DeviceKeys::new(key, post_quantum)?)?)
    }

    /// The key of that thumbprint, and the other one of a hybrid device.
    fn keys_named(&self, thumbprint: &Hash32) -> Option<(PublicKey, Option<PublicKey>)> {
        let directory = self.directory();
        let device = directory.devices.get(directory.by_cose.get(thumbprint)?)?;
        Some((device.key.clone(), device.post_quantum.clone()))
    }

    /// Whether we ever published the head that a device has seen, without keeping other tasks waiting for the store.
    async fn seen(&self, head: TreeHead) -> Result<Seen, PayError> {
        if head.size == 0 || self.receipts.log.root_from_memory(head.size).is_some() {
            return seen(&self.receipts.log, head);
        }
        let log = self.receipts.log.clone();
        beside(move || seen(&log, head)).await?
    }

    /// A payment with its receipts, as they can be made now.
    ///
    /// # Errors
    /// [`PayError::Stopped`] when books or log cannot be read.
    pub fn paid(&self, payment: Arc<Payment>, repeated: Repeated) -> Result<Paid, PayError> {
        self.receipts.of(payment, repeated)
    }

    /// The same for a task, which may not wait for a store.
    async fn prove(&self, payment: Arc<Payment>, repeated: Repeated) -> Result<Paid, PayError> {
        self.receipts.wait(&payment).await;
        if self.receipts.are_at_hand(&payment) {
            return self.receipts.of(payment, repeated);
        }
        let receipts = self.receipts.clone();
        beside(move || receipts.of(payment, repeated)).await?
    }
}

/// Does something that may wait for a store beside the tasks.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PayError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| PayError::Stopped("reading the log ended in a panic".to_owned()))
}

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
    async fn wait(&self, payment: &Payment) {
        if let Some((witnessed, index)) = self.unwitnessed(payment) {
            let _in_vain = tokio::time::timeout(WITNESS_TIME, witnessed.reached(index)).await;
        }
    }

    /// Whether the checkpoints that a payment's receipts need are in memory.
    fn are_at_hand(&self, payment: &Payment) -> bool {
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
        // One that cannot be read suits, so that it is read again below.
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

    fn of(&self, payment: Arc<Payment>, repeated: Repeated) -> Result<Paid, PayError> {
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
        (batch, now): (&Batch, tpw_core::Instant),
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

/// Whether we ever published the head that a device has seen. A head of size 0 claims nothing.
fn seen(log: &LogView, head: TreeHead) -> Result<Seen, PayError> {
    if head.size == 0 {
        return Ok(Seen::Confirmed);
    }
    let ours = log.root_at(head.size).map_err(|error| PayError::Stopped(error.to_string()))?;
    Ok(if ours == Some(head.root) { Seen::Confirmed } else { Seen::Contradicted })
}

/// The command that takes a payment.
fn ready(statement: Verified<Intent>, seen: Seen) -> Result<Command, PayError> {
    let mut salt = [0_u8; 32];
    OsEntropy.fill(&mut salt).map_err(|error| PayError::Stopped(error.to_string()))?;
    Ok(Command::Submit(Box::new(Submission { statement, seen, salt })))
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
