//! What the policies decided: kept for good, each block under one entry of the log. The desk judges nothing of it.

use super::{Answer, Decided, DecisionRow, Desk, FORGOTTEN_MAX, LeafRow, Outcome, Rejection};
use tpw_core::{DecisionId, Hash32};
use tpw_proof::decisions::{BLOCK_MAX, block_leaf, decision_hash};

impl Desk {
    /// INVARIANT: a block is one command, so that the log does not depend on which commands are stored together.
    pub(super) fn log_decisions(&mut self, block: Vec<Decided>) -> Outcome {
        if block.len() > BLOCK_MAX || !block.iter().all(|decided| decided.record.fits()) {
            return Err(Rejection::RecordTooLarge);
        }
        if block.is_empty() {
            return Ok(Answer::Done);
        }
        let hash = |decided: &Decided| decision_hash(&decided.salt, &decided.record.to_bytes());
        let hashes: Vec<Hash32> = block.iter().map(hash).collect();
        let index = self.leaves;
        self.leaves = self.leaves.saturating_add(1);
        self.changes.leaves.push(LeafRow { index, leaf: block_leaf(&hashes), payment: None });
        let first = index.saturating_mul(DecisionRow::NUMBERS);
        let rows = (first..).zip(block);
        let rows = rows.map(|(number, decided)| DecisionRow { number, decided });
        self.changes.decisions.extend(rows);
        Ok(Answer::Done)
    }

    /// What the log committed to stays in it.
    pub(super) fn forget_decisions(&mut self, ids: Vec<DecisionId>) -> Outcome {
        if ids.len() > FORGOTTEN_MAX {
            return Err(Rejection::RecordTooLarge);
        }
        self.changes.forgotten.extend(ids);
        Ok(Answer::Done)
    }
}
