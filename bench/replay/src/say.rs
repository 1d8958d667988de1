//! Words for people on stderr, data on stdout.

use crate::error::ReplayError;
use serde::Serialize;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// A line of words. Nobody may be listening: that is no error.
pub fn tell(text: &str) {
    let _closed = writeln!(std::io::stderr().lock(), "{text}");
}

/// One JSON object on stdout.
///
/// # Errors
/// [`ReplayError::Io`] when stdout is closed.
pub fn give<T: Serialize>(value: &T) -> Result<(), ReplayError> {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    give_text(&format!("{text}\n"))
}

/// Text on stdout.
///
/// # Errors
/// [`ReplayError::Io`] when stdout is closed.
pub fn give_text(text: &str) -> Result<(), ReplayError> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(ReplayError::io("write", Path::new("stdout")))
}

/// Tells now and then how far it is.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    all: usize,
    done: usize,
    began: Instant,
    told: Instant,
}

const EVERY: Duration = Duration::from_secs(5);

impl Progress {
    /// Of `all` things called `what`.
    #[must_use]
    pub fn new(what: &'static str, all: usize) -> Self {
        let now = Instant::now();
        Self { what, all, done: 0, began: now, told: now }
    }

    /// So many more are done.
    pub fn add(&mut self, count: usize) {
        self.done = self.done.saturating_add(count);
        if self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            self.line();
        }
    }

    /// Says the last word.
    pub fn end(&self) {
        self.line();
    }

    fn line(&self) {
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = per_second(self.done, seconds);
        tell(&format!(
            "{} {} of {} in {seconds:.1} s, {rate:.0}/s",
            self.what, self.done, self.all
        ));
    }
}

/// So many in so many seconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of any replay fit a double exactly")]
pub fn per_second(count: usize, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}
