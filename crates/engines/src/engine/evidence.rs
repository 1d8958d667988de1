//! Evidence records for the receipts of payments that were booked some time ago, and their renewal.
//!
//! Whoever has them made calls the steps in turn: what is to be archived is gathered bit by bit, between payments; the tree's root is
//! stamped by whatever authority; the record is kept if a receipt holds with it.

use super::{Engine, EngineError, PayError};
use crate::entropy::OsEntropy;
use crate::evidence::{Batch, DueTree, Evidence, KeepError};
use crate::log_store::LogError;
use std::sync::Arc;
use tpw_core::{Instant, PaymentId, Receipt, RecordKind, Span};
use tpw_crypto::Entropy as _;
use tpw_flow::{Entry, EventKind, EventRow, Payment};
use tpw_proof::evidence::{self, EvidenceError, HashTree, Renewal, StampTrust};
use tpw_proof::{Level, TIME_TOLERANCE, judge, timestamp};

/// How far an authority's clock may be from ours.
const CLOCKS_APART_MAX: Span = Span::from_secs(300);
/// Trees that are renewed under one time-stamp, at most.
const RENEWED_MAX: usize = 1 << 12;

/// Which payments are old enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Age {
    /// Those booked until then.
    pub until: Instant,
    /// Those whose receipts have no witnesses yet, where some are asked: until then.
    pub unwitnessed_until: Instant,
}

/// What became of gathering.
#[derive(Debug)]
pub enum Gathering {
    /// There may be more.
    Some,
    /// There is no room, or nothing that is old enough.
    All,
    /// The next one cannot be read. Those before it are in the batch, which can be kept.
    Stuck(EngineError),
}

/// Renewals that wait for their time-stamp.
pub struct Renewing {
    trees: Vec<(DueTree, Renewal)>,
    tree: HashTree,
}

impl Renewing {
    /// What is to be time-stamped.
    #[must_use]
    pub const fn tree(&self) -> &HashTree {
        &self.tree
    }

    /// How many records are renewed.
    #[must_use]
    pub fn count(&self) -> usize {
        self.trees.len()
    }
}

impl Engine {
    /// The evidence records, if some are made.
    #[must_use]
    pub const fn evidence(&self) -> Option<&Arc<Evidence>> {
        self.receipts.evidence.as_ref()
    }

    fn kept(&self) -> Result<&Evidence, EngineError> {
        let missing = EngineError::Missing { what: "evidence.db" };
        self.receipts.evidence.as_deref().ok_or(missing)
    }

    /// An empty batch behind all that is archived.
    ///
    /// # Errors
    /// [`EngineError`] when the store cannot be read; [`KeepError::Ahead`] when it belongs to other books.
    pub fn next_batch(&self) -> Result<Batch, EngineError> {
        let event = self.kept()?.course()?;
        if let Some(before) = event.checked_sub(1)
            && self.readers.with(|reader| reader.events(before, 1))?.is_empty()
        {
            return Err(KeepError::Ahead { event }.into());
        }
        Ok(Batch::new(self.trust.hash(), event))
    }

    /// Reads at most `most` further events and takes the receipts of what was booked by them.
    #[must_use]
    pub fn gather(&self, batch: &mut Batch, age: Age, most: usize) -> Gathering {
        let after = batch.event();
        let events = match self.readers.with(|reader| reader.events(after, most)) {
            Ok(events) => events,
            Err(error) => return Gathering::Stuck(error.into()),
        };
        let ended = events.len() < most;
        for event in events {
            if batch.is_full() || event.at > age.until {
                return Gathering::All;
            }
            match self.gather_one(batch, event, age) {
                Ok(true) => batch.passed(event.seq),
                Ok(false) => return Gathering::All,
                Err(error) => return Gathering::Stuck(error),
            }
        }
        if ended { Gathering::All } else { Gathering::Some }
    }

    /// Whether an event is done with: a receipt that is not ready yet keeps those behind it waiting.
    fn gather_one(
        &self,
        batch: &mut Batch,
        event: EventRow,
        age: Age,
    ) -> Result<bool, EngineError> {
        let kind = match event.kind {
            EventKind::PaymentBooked => RecordKind::Payment,
            EventKind::PaymentCompensated => RecordKind::Compensation,
            _ => return Ok(true),
        };
        let Some(payment) = self.payment(PaymentId::from_bytes(event.subject))? else {
            return Ok(true);
        };
        let Some(entry) = entry(&payment, kind) else { return Ok(true) };
        if batch.has(entry.index) || self.kept()?.has(entry.index)? {
            return Ok(true);
        }
        // A record is over one checkpoint for good: the witnesses may still come.
        if event.at > age.unwitnessed_until
            && self.witnessed().is_some_and(|witnessed| !witnessed.covers(entry.index))
        {
            return Ok(false);
        }
        let own = (kind, payment.intake().statement());
        match self.receipts.to_archive(own, entry, (batch, self.now())) {
            Ok(Some((size, tokens, receipt))) => {
                batch.add((entry.index, size), tokens, receipt)?;
                Ok(true)
            }
            Ok(None) => {
                let index = entry.index;
                tracing::warn!(index, "a receipt’s time-stamp has ended before it was archived");
                Ok(true)
            }
            Err(EngineError::Log(LogError::NotYet { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Notes how far a batch without receipts has read.
    ///
    /// # Errors
    /// [`EngineError`] when the store cannot be written.
    pub fn pass_over(&self, batch: &Batch) -> Result<(), EngineError> {
        Ok(self.kept()?.passed(batch.event())?)
    }

    /// A question to an authority about a tree, under this policy or its own choice.
    ///
    /// # Errors
    /// [`KeepError::Crypto`] when there is no randomness.
    pub fn ask_about(
        &self,
        tree: &HashTree,
        policy: Option<String>,
    ) -> Result<Vec<u8>, EngineError> {
        let mut nonce = vec![0; 16];
        OsEntropy.fill(&mut nonce).map_err(KeepError::from)?;
        Ok(evidence::query(tree, policy, nonce).map_err(KeepError::from)?)
    }

    /// Answers such a question with this server's own key.
    ///
    /// # Errors
    /// [`PayError`] when the token cannot be logged.
    pub async fn stamp_own(self: &Arc<Self>, question: Vec<u8>) -> Result<Vec<u8>, PayError> {
        let engine = Arc::clone(self);
        let drafted = tokio::task::spawn_blocking(move || engine.draft_own_stamp(&question)).await;
        let ended = |_| PayError::Stopped("the thread that signs has ended".to_owned());
        self.give_stamp(drafted.map_err(ended)?).await
    }

    /// What an answer has to be whatever it is about: one to this question, by an authority of the trust file, of this time.
    fn check_answer(&self, question: &[u8], answer: &[u8]) -> Result<(), EngineError> {
        let (roots, policies) = (&self.trust.tsa_roots, &self.trust.tsa_policies);
        let stamp = timestamp::verify_answer(answer, question, roots, policies);
        let (gen_time, now) = (stamp.map_err(KeepError::from)?.gen_time, self.now());
        if gen_time.since(now).max(now.since(gen_time)) > CLOCKS_APART_MAX {
            return Err(KeepError::Time { gen_time, now }.into());
        }
        Ok(())
    }

    /// Keeps the record of a batch, if the last receipt of it holds with it.
    ///
    /// # Errors
    /// [`KeepError`] says why the record is not kept; the same batch can be tried with another authority's answer.
    pub fn keep_records(
        &self,
        batch: &Batch,
        tree: &HashTree,
        (question, answer): (&[u8], &[u8]),
    ) -> Result<(), EngineError> {
        self.check_answer(question, answer)?;
        let record = batch.record(tree, answer).map_err(KeepError::from)?;
        let sample = batch.sample().ok_or(KeepError::from(EvidenceError::Empty))?;
        self.check_holds(Receipt { evidence: vec![record.clone()], ..sample.clone() })?;
        let due = evidence::due_of_record(&record, &self.trust.tsa_roots)?.until;
        Ok(self.kept()?.keep(batch, (tree, &record, due))?)
    }

    fn check_holds(&self, receipt: Receipt) -> Result<(), EngineError> {
        let judgement = judge(&receipt.to_bytes(), &self.trust);
        match judgement.first_failure() {
            Some((_, error)) => Err(KeepError::from(error.clone()).into()),
            None if judgement.level(Level::Renewed).is_proved() => Ok(()),
            None => Err(KeepError::from(EvidenceError::Empty).into()),
        }
    }

    /// The renewals of the records that end before `before` and have not ended yet; `None` when there is none.
    ///
    /// # Errors
    /// [`EngineError`] when the store cannot be read.
    pub fn renewals_before(&self, before: Instant) -> Result<Option<Renewing>, EngineError> {
        let mut trees = Vec::new();
        for due in self.kept()?.due((self.now(), before), RENEWED_MAX)? {
            match Renewal::time_stamp(&due.record) {
                Ok(renewal) => trees.push((due, renewal)),
                Err(error) => tracing::warn!(tree = due.tree, %error, "a record cannot be renewed"),
            }
        }
        let renewals: Vec<Renewal> = trees.iter().map(|(_, renewal)| renewal.clone()).collect();
        if renewals.is_empty() {
            return Ok(None);
        }
        let tree = Renewal::tree(&renewals).map_err(KeepError::from)?;
        Ok(Some(Renewing { trees, tree }))
    }

    /// Puts renewed records in the place of those that end earlier, and says how many there were: one that would not hold, or gain
    /// nothing, is left as it was.
    ///
    /// # Errors
    /// [`KeepError`] says why not.
    pub fn keep_renewals(
        &self,
        renewing: &Renewing,
        (question, answer): (&[u8], &[u8]),
    ) -> Result<usize, EngineError> {
        self.check_answer(question, answer)?;
        let (roots, policies) = (&self.trust.tsa_roots, &self.trust.tsa_policies);
        let trust = StampTrust { roots, policies, tolerance: TIME_TOLERANCE };
        let mut renewed = Vec::with_capacity(renewing.trees.len());
        for (old, renewal) in &renewing.trees {
            let record = renewal.clone().finish(&renewing.tree, answer).and_then(|record| {
                let until = evidence::verify_times(&record, &trust)?.until;
                Ok((record, until))
            });
            match record {
                Ok((record, until)) if until > old.due => renewed.push((old.tree, record, until)),
                Ok((_, until)) => {
                    tracing::warn!(tree = old.tree, %until, "a renewal would gain nothing");
                }
                Err(error) => tracing::warn!(tree = old.tree, %error, "a renewal would not hold"),
            }
        }
        self.kept()?.renew(&renewed)?;
        Ok(renewed.len())
    }
}

/// The log's entry about a payment of this kind, if it has one.
fn entry(payment: &Payment, kind: RecordKind) -> Option<&Entry> {
    match (kind, payment) {
        (RecordKind::Payment, payment) => payment.booked().map(|booked| booked.entry()),
        (RecordKind::Compensation, Payment::Compensated(done)) => Some(done.entry()),
        _ => None,
    }
}
