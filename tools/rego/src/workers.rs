//! Threads that evaluate, each with an engine of its own: engines that share nothing do not wait for each other.

use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use regorus::Value;
use tokio::sync::oneshot;

use crate::path::DataPath;
use crate::policies::{AskError, BuiltinErrors, Policies};

/// Evaluations call themselves as deep as rules and documents go.
const STACK_BYTES: usize = 8 << 20;

/// Policies with the number of their loading.
#[derive(Debug)]
pub struct Loaded {
    number: u64,
    policies: Policies,
}

impl Loaded {
    /// The first that were loaded.
    #[must_use]
    pub const fn first(policies: Policies) -> Self {
        Self { number: 0, policies }
    }
}

struct Job {
    path: DataPath,
    input: Option<Value>,
    builtin_errors: BuiltinErrors,
    answer: oneshot::Sender<Result<Option<Value>, AskError>>,
}

/// Why a question was not put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Busy {
    /// As many as may wait are waiting.
    #[error("too many queries are waiting; try again")]
    Full,
    /// The workers have ended.
    #[error("the server is stopping")]
    Stopping,
    /// The answer takes longer than any evaluation may.
    #[error("the query was not answered in time")]
    Late,
}

/// The threads and their queue.
#[derive(Debug)]
pub struct Workers {
    jobs: Sender<Job>,
    current: Arc<RwLock<Arc<Loaded>>>,
    patience: Duration,
    threads: Vec<JoinHandle<()>>,
}

fn current(of: &RwLock<Arc<Loaded>>) -> Arc<Loaded> {
    // It holds one pointer, which is never half written.
    Arc::clone(&of.read().unwrap_or_else(PoisonError::into_inner))
}

impl Workers {
    /// Starts `count` threads, for which as many questions wait as `waiting_max`; nobody waits longer than `patience`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        loaded: Loaded,
        count: usize,
        waiting_max: usize,
        patience: Duration,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = bounded(waiting_max);
        let shared = Arc::new(RwLock::new(Arc::new(loaded)));
        let thread = |number: usize| {
            let (queue, shared) = (queue.clone(), Arc::clone(&shared));
            let builder = std::thread::Builder::new().name(format!("rego-{number}"));
            builder.stack_size(STACK_BYTES).spawn(move || work(&queue, &shared))
        };
        let threads = (0..count).map(thread).collect::<Result<_, _>>()?;
        Ok(Self { jobs, current: shared, patience, threads })
    }

    /// Puts other policies into force: for every question that is taken up from now on.
    pub fn replace(&self, policies: Policies) {
        let mut slot = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let number = slot.number.wrapping_add(1);
        *slot = Arc::new(Loaded { number, policies });
    }

    pub(crate) async fn ask(
        &self,
        path: DataPath,
        input: Option<Value>,
        builtin_errors: BuiltinErrors,
    ) -> Result<Result<Option<Value>, AskError>, Busy> {
        let (answer, answered) = oneshot::channel();
        let job = Job { path, input, builtin_errors, answer };
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Busy::Full,
            TrySendError::Disconnected(_) => Busy::Stopping,
        })?;
        match tokio::time::timeout(self.patience, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_gone)) => Err(Busy::Stopping),
            Err(_elapsed) => Err(Busy::Late),
        }
    }

    /// Ends the threads, each after the question that it works on.
    pub fn stop(self) {
        drop(self.jobs);
        for thread in self.threads {
            let _panicked = thread.join();
        }
    }
}

fn work(queue: &Receiver<Job>, shared: &RwLock<Arc<Loaded>>) {
    let mut own = current(shared);
    let mut policies = own.policies.clone();
    for Job { path, input, builtin_errors, answer } in queue {
        // Whoever gave up does not read it any more.
        if answer.is_closed() {
            continue;
        }
        let newest = current(shared);
        if newest.number != own.number {
            own = newest;
            policies = own.policies.clone();
        }
        let evaluated =
            catch_unwind(AssertUnwindSafe(|| policies.ask(&path, input, builtin_errors)));
        let evaluated = evaluated.unwrap_or_else(|_panic| {
            // What the engine was in the middle of is thrown away with it.
            policies = own.policies.clone();
            Err(AskError::Evaluation("the evaluation failed inside the engine".to_owned()))
        });
        let _nobody_waits = answer.send(evaluated);
    }
}
