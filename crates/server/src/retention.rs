//! The removal of decisions that are older than the operator keeps them.

use crate::background::watched;
use core::time::Duration;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tpw_core::Span;
use tpw_engines::Engine;

/// How often is looked whether there are any.
const EVERY: Duration = Duration::from_secs(3600);
/// Between two commands: payments come first.
const PAUSE: Duration = Duration::from_millis(200);

/// Removes old decisions until it is dropped.
#[derive(Debug)]
pub struct Retention(JoinHandle<()>);

impl Drop for Retention {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Retention {
    /// Begins to remove decisions that were made longer ago than this.
    #[must_use]
    pub fn start(engine: Arc<Engine>, kept: Span) -> Self {
        let beside = Arc::clone(engine.beside());
        Self(tokio::spawn(watched(beside, "retention", async move {
            loop {
                remove(&engine, kept).await;
                tokio::time::sleep(EVERY).await;
            }
        })))
    }
}

/// Removes all that there are now.
async fn remove(engine: &Arc<Engine>, kept: Span) {
    let before = match engine.older_than(kept) {
        Ok(before) => before,
        Err(error) => {
            tracing::warn!(%error, "no decisions were removed: it is tried again in an hour");
            return;
        }
    };
    let mut count = 0_usize;
    loop {
        match engine.forget_decisions(before).await {
            Ok(0) => break,
            Ok(removed) => count = count.saturating_add(removed),
            Err(error) => {
                tracing::warn!(%error, "old decisions could not be removed: it is tried again in an hour");
                break;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    if count > 0 {
        tracing::info!(count, %before, "decisions were removed that were made before this");
    }
}
