//! Decisions that are older than an operator keeps them.
//!
//! INVARIANT: a block of decisions is removed as a whole or not at all. What is left of one can then be proved as before, because the path
//! in a proof needs the hashes of the whole block. The block's entry stays in the log, and whoever has the proof of a decision
//! keeps it: the proof needs nothing of the books.

use super::{Engine, EngineError, PayError};
use crate::books::DecisionQuery;
use std::sync::Arc;
use tpw_core::{DecisionId, Instant};
use tpw_flow::{Command, DecisionRow, FORGOTTEN_MAX};

/// Why nothing was removed.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The books could not be read.
    #[error(transparent)]
    Read(#[from] EngineError),
    /// The writer took nothing.
    #[error(transparent)]
    Write(#[from] PayError),
}

impl Engine {
    /// Removes the oldest decisions of which the whole block was made before this, as many as one command takes; gives how many they
    /// were. None are left when there were none.
    ///
    /// # Errors
    /// [`RetentionError`]; what was removed before stays removed.
    pub async fn forget_decisions(
        self: &Arc<Self>,
        before: Instant,
    ) -> Result<usize, RetentionError> {
        let engine = Arc::clone(self);
        let read = move || {
            let most = FORGOTTEN_MAX.saturating_add(1);
            engine.readers.with(|reader| reader.decisions(&DecisionQuery::default(), 0, most))
        };
        let rows = tokio::task::spawn_blocking(read).await;
        let rows = rows.map_err(|error| PayError::Stopped(error.to_string()))?;
        let over = over(&rows.map_err(EngineError::from)?, before);
        let count = over.len();
        if count > 0 {
            self.command(Command::ForgetDecisions(over)).await?;
        }
        Ok(count)
    }
}

/// The decisions of the first blocks that are over as a whole. The last block of a full page may go on behind it.
fn over(rows: &[DecisionRow], before: Instant) -> Vec<DecisionId> {
    let mut ids = Vec::new();
    let cut = if rows.len() > FORGOTTEN_MAX { rows.last().map(DecisionRow::leaf) } else { None };
    for block in rows.chunk_by(|one, next| one.leaf() == next.leaf()) {
        let is_whole = block.first().map(DecisionRow::leaf) != cut;
        if !is_whole || !block.iter().all(|row| row.decided.record.at < before) {
            break;
        }
        ids.extend(block.iter().map(|row| row.decided.record.id));
    }
    ids
}
