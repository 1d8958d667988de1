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

/// How many days' worth of decisions go in a day of running, at most. As much as a clock that is wrong over several starts can take before
/// somebody sees it, and as fast as those of years go when they are first to go at all.
const PACE: u64 = 10;

/// The removal of what is kept no longer, since the server was started.
#[derive(Clone, Copy, Debug)]
pub struct Forgetting {
    kept: Span,
    begun: Instant,
    oldest: Instant,
}

impl Forgetting {
    /// When the oldest decision was made that there was at the beginning; the beginning itself if there was none.
    #[must_use]
    pub const fn oldest(&self) -> Instant {
        self.oldest
    }

    /// Up to when decisions may go by now. Restarts gain nothing: each begins where the removal before has come to.
    fn reached(&self, now: Instant) -> Instant {
        let run_ms = now.since(self.begun).as_ms();
        self.oldest.plus(Span::from_ms(run_ms.saturating_mul(PACE)))
    }
}

impl Engine {
    /// Begins the removal of decisions older than this.
    ///
    /// # Errors
    /// [`RetentionError`] when the books cannot be read.
    pub async fn begin_forgetting(
        self: &Arc<Self>,
        kept: Span,
    ) -> Result<Forgetting, RetentionError> {
        let begun = self.now();
        let first = self.oldest_decisions(1).await?;
        let oldest = first.first().map_or(begun, |row| row.decided.record.at);
        Ok(Forgetting { kept, begun, oldest })
    }

    /// Before when decisions may be removed, for [`Engine::forget_decisions`].
    ///
    /// A clock that was set wrong before the start may have nothing to contradict it: so the age is that beside the newest thing that was
    /// in the books when they were opened, or later by as much as the server has run. What was booked under such a clock says nothing
    /// against it at the next start: so no more goes than [`PACE`] allows.
    ///
    /// # Errors
    /// [`RetentionError::Clock`] while it is not known how far the clock is off.
    pub fn older_than(&self, forgetting: &Forgetting) -> Result<Instant, RetentionError> {
        // It also refuses a clock that was set while the server ran.
        self.clock_error().map_err(RetentionError::Clock)?;
        let now = self.now();
        let by_the_books = self.newest_at_start.plus(now.since(self.opened));
        Ok(now.min(by_the_books).minus(forgetting.kept).min(forgetting.reached(now)))
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
        let rows = self.oldest_decisions(FORGOTTEN_MAX.saturating_add(1)).await?;
        let over = over(&rows, before);
        let count = over.len();
        if count > 0 {
            self.command(Command::ForgetDecisions(over)).await?;
        }
        Ok(count)
    }

    async fn oldest_decisions(
        self: &Arc<Self>,
        most: usize,
    ) -> Result<Vec<DecisionRow>, RetentionError> {
        let engine = Arc::clone(self);
        let read = move || {
            engine.readers.with(|reader| reader.decisions(&DecisionQuery::default(), 0, most))
        };
        let rows = tokio::task::spawn_blocking(read).await;
        let rows = rows.map_err(|error| PayError::Stopped(error.to_string()))?;
        Ok(rows.map_err(EngineError::from)?)
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
