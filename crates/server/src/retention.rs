//! The removal of decisions that are older than the operator keeps them.

use crate::background::watched;
use core::time::Duration;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tpw_core::Span;
use tpw_engines::{Engine, Forgetting};

/// How often is looked whether there are any.
const EVERY: Duration = Duration::from_secs(3600);
/// What is over at a start beyond this is told.
const MUCH: Span = Span::from_secs(24 * 3600);
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
            let forgetting = begin(&engine, kept).await;
            loop {
                remove(&engine, &forgetting).await;
                tokio::time::sleep(EVERY).await;
            }
        })))
    }
}

/// Tells if much is over at once: that is so after a pause, at the first time, and with a clock that is wrong.
async fn begin(engine: &Arc<Engine>, kept: Span) -> Forgetting {
    loop {
        match engine.begin_forgetting(kept).await {
            Ok(forgetting) => {
                let oldest = forgetting.oldest();
                if oldest < engine.now().minus(kept).minus(MUCH) {
                    tracing::warn!(%oldest, now = %engine.now(), "decisions of more than a day are over: they are removed, \
                        ten days' worth in a day; if that is not expected, look at the clock and start without removal");
                }
                return forgetting;
            }
            Err(error) => {
                tracing::warn!(%error, "no decisions were removed: it is tried again in an hour");
                tokio::time::sleep(EVERY).await;
            }
        }
    }
}

/// Removes all that may go by now.
async fn remove(engine: &Arc<Engine>, forgetting: &Forgetting) {
    let before = match engine.older_than(forgetting) {
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
