//! Decisions that are older than an operator keeps them.
//!
//! INVARIANT: a block of decisions is removed as a whole or not at all. What is left of one can then be proved as before, because the path
//! in a proof needs the hashes of the whole block. The block's entry stays in the log, and whoever has the proof of a decision
//! keeps it: the proof needs nothing of the books.

use super::{Engine, EngineError, PayError};
use crate::books::DecisionQuery;
use std::sync::Arc;
use tpw_core::{DecisionId, Instant, Span};
use tpw_flow::{Command, DecisionRow, FORGOTTEN_MAX};

/// Why nothing was removed.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// By a wrong clock all of them would be old.
    #[error("how old decisions are is not known: {0}")]
    Clock(String),
    /// The books could not be read.
    #[error(transparent)]
    Read(#[from] EngineError),
    /// The writer took nothing.
    #[error(transparent)]
    Write(#[from] PayError),
}

impl Engine {
    /// Before when decisions are older than this, for [`Engine::forget_decisions`].
    ///
    /// A clock that was set wrong before the start may have nothing to contradict it: so the age is that beside the newest thing that was
    /// in the books when they were opened, or later by as much as the server has run.
    ///
    /// # Errors
    /// [`RetentionError::Clock`] while it is not known how far the clock is off.
    pub fn older_than(&self, kept: Span) -> Result<Instant, RetentionError> {
        // It also refuses a clock that was set while the server ran.
        self.clock_error().map_err(RetentionError::Clock)?;
        let now = self.now();
        let by_the_books = self.newest_at_start.plus(now.since(self.opened));
        Ok(now.min(by_the_books).minus(kept))
    }

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
