//! How long each step of a command took, for the answer's `Server-Timing` and for the demonstration.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tpw_flow::Desk;

/// Steps by name with what each took, in order.
pub type Timings = Vec<(&'static str, Duration)>;

/// Collects what the desk reports about one command at a time.
#[derive(Clone, Default)]
pub(super) struct Stopwatch(Arc<Mutex<Marks>>);

#[derive(Default)]
struct Marks {
    last: Option<Instant>,
    steps: Timings,
}

impl Stopwatch {
    /// Listens to a desk from now on.
    pub(super) fn watch(&self, desk: &mut Desk) {
        let marks = Arc::clone(&self.0);
        desk.watch_with(Box::new(move |step| {
            let mut marks = marks.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let took = marks.last.map_or(Duration::ZERO, |last| now.duration_since(last));
            marks.last = Some(now);
            // Some steps are performed in two parts.
            match marks.steps.iter_mut().find(|(name, _)| *name == step) {
                Some((_, sum)) => *sum = sum.saturating_add(took),
                None => marks.steps.push((step, took)),
            }
        }));
    }

    /// Begins with a command.
    pub(super) fn start(&self) {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *marks = Marks { last: Some(Instant::now()), steps: Vec::new() };
    }

    /// What the steps of the command took.
    pub(super) fn take(&self) -> Timings {
        core::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).steps)
    }
}
