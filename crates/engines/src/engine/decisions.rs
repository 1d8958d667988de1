//! What the policies decided: how it gets into the books, and the proofs that it stands in the log.
//!
//! A request has a [`Trail`]. What was decided about it until it sends a command is stored with that command, in one transaction:
//! either both are in the books or neither. What is left when it ends is either stored before the answer leaves, or gathered, and
//! then stored within a second together with what others left.

use super::receipts::Receipts;
use super::writer::When;
use super::{Engine, EngineError, PayError};
use crate::books::{BooksReader, DecisionQuery, StoreError};
use crate::entropy::OsEntropy;
use crate::log_store::LogError;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tpw_core::{DecisionId, DecisionRecord, Hash32};
use tpw_crypto::Entropy;
use tpw_flow::{Command, Decided, DecisionRow};
use tpw_proof::TlogProof;
use tpw_proof::decisions::{BLOCK_MAX, BlockProof, decision_hash};

/// The most decisions about one request.
const TRAIL_MAX: usize = 64;
/// How long a request waits for room among what is gathered.
const ROOM_WAIT: Duration = Duration::from_millis(500);
/// The most blocks that go into one batch of the writer.
const BLOCKS_AT_ONCE: usize = 16;

tokio::task_local! {
    static TRAIL: Arc<Trail>;
}

/// What was decided about one request and is not in the books yet.
#[derive(Default)]
pub struct Trail(Mutex<Vec<Decided>>);

/// Why a decision was not noted. What it allows may not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrailError {
    /// No salt can be had.
    #[error("the system gives no random bytes: {0}")]
    Entropy(String),
    /// It is beyond the bounds of a record, or one too many about one request.
    #[error("a decision is larger than any that is kept, or one request has too many")]
    TooLarge,
}

impl Trail {
    /// Notes a decision.
    ///
    /// # Errors
    /// [`TrailError`]; then nothing was noted.
    pub fn note(&self, record: DecisionRecord) -> Result<(), TrailError> {
        let mut salt = [0; 32];
        OsEntropy.fill(&mut salt).map_err(|error| TrailError::Entropy(error.to_string()))?;
        let mut noted = self.noted();
        if noted.len() >= TRAIL_MAX || !record.fits() {
            return Err(TrailError::TooLarge);
        }
        noted.push(Decided { record, salt });
        Ok(())
    }

    /// What was noted and is not yet on its way into the books; it is the caller's to bring it there.
    #[must_use]
    pub fn take(&self) -> Vec<Decided> {
        core::mem::take(&mut *self.noted())
    }

    /// Does something with this as the trail of its commands.
    pub async fn scope<T>(self: Arc<Self>, work: impl Future<Output = T>) -> T {
        TRAIL.scope(self, work).await
    }

    fn noted(&self) -> MutexGuard<'_, Vec<Decided>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what was decided about the request of this task.
pub(super) fn of_this_request() -> Vec<Decided> {
    TRAIL.try_with(|trail| trail.take()).unwrap_or_default()
}

/// Gives back to the request of this task what did not get on its way.
pub(super) fn give_back(block: Vec<Decided>) {
    let _no_request = TRAIL.try_with(|trail| trail.noted().splice(0..0, block).for_each(drop));
}

/// Decisions that wait for the writer, which looks after them at every turn.
pub(super) struct Gathered {
    waiting: Mutex<VecDeque<Decided>>,
    most: usize,
    room: Notify,
}

impl Gathered {
    pub(super) fn new(most: usize) -> Self {
        Self { waiting: Mutex::default(), most, room: Notify::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Decided>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves all of them or gives them back.
    fn leave(&self, block: Vec<Decided>) -> Result<(), Vec<Decided>> {
        let mut waiting = self.waiting();
        if waiting.len().saturating_add(block.len()) > self.most {
            return Err(block);
        }
        waiting.extend(block);
        Ok(())
    }

    /// Waits for room if there is none.
    async fn leave_within(&self, block: Vec<Decided>, most: Duration) -> Result<(), Vec<Decided>> {
        let room = self.room.notified();
        let mut room = core::pin::pin!(room);
        room.as_mut().enable();
        let Err(block) = self.leave(block) else { return Ok(()) };
        if tokio::time::timeout(most, room).await.is_err() {
            return Err(block);
        }
        self.leave(block)
    }

    /// What waits longest, in blocks.
    pub(super) fn take(&self) -> Vec<Vec<Decided>> {
        let mut waiting = self.waiting();
        if waiting.is_empty() {
            return Vec::new();
        }
        let mut blocks = Vec::new();
        while !waiting.is_empty() && blocks.len() < BLOCKS_AT_ONCE {
            let count = waiting.len().min(BLOCK_MAX);
            blocks.push(waiting.drain(..count).collect());
        }
        drop(waiting);
        self.room.notify_waiters();
        blocks
    }

    /// Puts back what was taken and did not get into the books. There is room for it whatever waits: it was taken in before.
    pub(super) fn give_back(&self, blocks: impl DoubleEndedIterator<Item = Decided>) {
        let mut waiting = self.waiting();
        blocks.rev().for_each(|decided| waiting.push_front(decided));
    }
}

/// Those of the blocks that the books do not have.
pub(super) fn unstored(
    reader: &dyn BooksReader,
    blocks: &[Vec<Decided>],
) -> Result<Vec<Decided>, StoreError> {
    let mut missing = Vec::new();
    for decided in blocks.iter().flatten() {
        if reader.decision(decided.record.id)?.is_none() {
            missing.push(decided.clone());
        }
    }
    Ok(missing)
}

/// The proof that a decision stands in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DecisionProof {
    /// Its block's entry waits for a checkpoint.
    Waiting,
    /// A `c2sp.org/tlog-proof@v1` with the decision in it: `spec/decision.md`.
    Proved(String),
}

impl Engine {
    /// Stores decisions; they are durable when this returns.
    ///
    /// # Errors
    /// [`PayError`] when they may not be.
    pub async fn keep_decisions(&self, block: Vec<Decided>) -> Result<(), PayError> {
        let done = self.send(vec![Command::Decisions(block)], When::Durable).await?;
        done.outcomes.into_iter().try_for_each(|outcome| Ok(outcome.map(drop)?))
    }

    /// Leaves decisions that changed nothing to be stored within a second.
    ///
    /// # Errors
    /// [`PayError::Busy`] when too many wait already, for longer than a moment.
    pub async fn gather_decisions(&self, block: Vec<Decided>) -> Result<(), PayError> {
        let left = self.gathered.leave_within(block, ROOM_WAIT).await;
        left.map_err(|_refused| PayError::Busy)
    }

    /// The same for whoever cannot wait: what finds no room is given back.
    ///
    /// # Errors
    /// The decisions.
    pub fn gather_decisions_now(&self, block: Vec<Decided>) -> Result<(), Vec<Decided>> {
        self.gathered.leave(block)
    }

    /// At most `most` decisions that a query asks for, with a number above `after`. Reads the books.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn decisions(
        &self,
        query: &DecisionQuery,
        after: u64,
        most: usize,
    ) -> Result<Vec<DecisionRow>, EngineError> {
        Ok(self.readers.with(|reader| reader.decisions(query, after, most))?)
    }

    /// A decision and the proof that it stands in the log. Reads the books.
    ///
    /// # Errors
    /// [`EngineError`] when books or log cannot be read.
    pub fn decision(
        &self,
        id: DecisionId,
    ) -> Result<Option<(DecisionRow, DecisionProof)>, EngineError> {
        let read = |reader: &dyn BooksReader| {
            let Some(row) = reader.decision(id)? else { return Ok(None) };
            let before = row.leaf().saturating_mul(DecisionRow::NUMBERS).saturating_sub(1);
            let block = reader.decisions(&DecisionQuery::default(), before, BLOCK_MAX)?;
            let block = block.into_iter().take_while(|other| other.leaf() == row.leaf());
            Ok(Some((block.collect::<Vec<_>>(), row)))
        };
        let Some((block, row)) = self.readers.with(read)? else { return Ok(None) };
        let proof = self.receipts.prove(&row, &block)?;
        Ok(Some((row, proof)))
    }
}

impl Receipts {
    fn prove(
        &self,
        row: &DecisionRow,
        block: &[DecisionRow],
    ) -> Result<DecisionProof, EngineError> {
        let head = match self.covering(row.leaf()) {
            Ok(head) => head,
            Err(EngineError::Log(LogError::NotYet { .. })) => return Ok(DecisionProof::Waiting),
            Err(error) => return Err(error),
        };
        let hash =
            |row: &DecisionRow| decision_hash(&row.decided.salt, &row.decided.record.to_bytes());
        let hashes: Vec<Hash32> = block.iter().map(hash).collect();
        let damaged = || EngineError::from(StoreError::Damaged { what: "decision" });
        let place = usize::try_from(row.place()).map_err(|_| damaged())?;
        let record = row.decided.record.to_bytes();
        let own = BlockProof::of(row.decided.salt, record, place, &hashes).ok_or_else(damaged)?;
        let leaf = own.leaf().map_err(LogError::from)?;
        let path = self.log.inclusion(row.leaf(), head.head.size)?;
        let checkpoint = head.checkpoint.clone();
        let extra = Some(own.to_bytes());
        let proof = TlogProof { extra, index: row.leaf(), path, checkpoint };
        proof.verify_inclusion(&leaf.leaf_hash()).map_err(LogError::from)?;
        Ok(DecisionProof::Proved(proof.to_string()))
    }
}

#[cfg(test)]
mod tests {
    //! Goal: nothing that was taken in is lost, and nothing is taken in beyond the bound. Method: a store of two, filled, waited for
    //! and emptied.

    use super::*;
    use tpw_core::{Asker, Instant, Ruling};

    fn decided(n: u8) -> Decided {
        let record = DecisionRecord {
            id: DecisionId::from_bytes([n; 16]),
            at: Instant::from_unix_ms(u64::from(n)).unwrap(),
            asker: Asker::default(),
            action: "read_account".to_owned(),
            resource: "accounts".to_owned(),
            owner: None,
            ruling: Ruling::Allowed,
            policies: Vec::new(),
            version: None,
            facts: Vec::new(),
            obligations: Vec::new(),
            request: String::new(),
        };
        Decided { record, salt: [n; 32] }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_finds_no_room_waits_and_then_is_refused() {
        let gathered = Arc::new(Gathered::new(2));
        gathered.leave(vec![decided(1), decided(2)]).unwrap();
        let refused = gathered.leave_within(vec![decided(3)], Duration::from_millis(10)).await;
        assert_eq!(refused.unwrap_err(), [decided(3)]);
        let waiting = Arc::clone(&gathered);
        let waits = tokio::spawn(async move {
            waiting.leave_within(vec![decided(3)], Duration::from_secs(20)).await
        });
        while !waits.is_finished() {
            if gathered.waiting().len() == 2 {
                assert_eq!(gathered.take().concat(), [decided(1), decided(2)]);
            }
            tokio::task::yield_now().await;
        }
        waits.await.unwrap().unwrap();
        assert_eq!(gathered.take().concat(), [decided(3)]);
        assert!(gathered.take().is_empty());
    }

    #[test]
    fn what_was_not_stored_comes_first_again() {
        let gathered = Gathered::new(2);
        gathered.leave(vec![decided(3)]).unwrap();
        gathered.give_back([decided(1), decided(2)].into_iter());
        assert_eq!(gathered.take().concat(), [decided(1), decided(2), decided(3)]);
    }

    #[test]
    fn a_request_has_a_bound() {
        let trail = Trail::default();
        for _ in 0..TRAIL_MAX {
            trail.note(decided(1).record).unwrap();
        }
        assert_eq!(trail.note(decided(1).record), Err(TrailError::TooLarge));
        assert_eq!(trail.take().len(), TRAIL_MAX);
        assert!(trail.take().is_empty());
    }
}
