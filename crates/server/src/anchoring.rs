//! The operator announces its log's head on a chain while it serves, off the latency path: nothing that the chain's node does
//! or leaves undone makes a payment wait or fail.
//!
//! Each step is one of [`tpw_engines::anchor`], which writes down what it is about to send: a stop at any point costs nothing,
//! and no head is paid for twice.

use crate::background::watched;
use crate::outbound::{Outbound, OutboundAnswer};
use crate::telemetry;
use core::time::Duration;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tpw_core::{Instant, Span};
use tpw_engines::Engine;
use tpw_engines::anchor::{
    ANSWER_LEN_MAX, AnchorError, Anchorer, Anchors, Progress, Terms, Transport,
};

/// The longest that somebody who fails is left alone, unless the pace is slower.
const REST_MAX: Duration = Duration::from_secs(600);
/// How long a stop waits for a step that is writing down what it did.
const STOP_TIME: Duration = Duration::from_secs(5);

/// A node of a chain, asked over HTTP.
#[derive(Clone, Debug)]
pub struct ChainNode {
    outbound: Outbound,
    url: String,
    /// Changes when nobody waits for answers any more.
    stopping: Option<watch::Receiver<()>>,
}

impl ChainNode {
    /// The node at `url`.
    #[must_use]
    pub const fn new(outbound: Outbound, url: String) -> Self {
        Self { outbound, url, stopping: None }
    }

    async fn ask(&self, body: String) -> Option<Result<OutboundAnswer, String>> {
        let asked = self.outbound.post_json(&self.url, body, ANSWER_LEN_MAX);
        let stopped = async {
            match self.stopping.clone() {
                // An error means that the server is gone.
                Some(mut stopping) => drop(stopping.changed().await),
                None => core::future::pending().await,
            }
        };
        tokio::select! {
            answer = asked => Some(answer.map_err(|error| error.to_string())),
            () = stopped => None,
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.as_ref().is_some_and(|stopping| stopping.has_changed().unwrap_or(true))
    }
}

impl Transport for ChainNode {
    fn post(&self, body: String) -> Result<Vec<u8>, String> {
        // The account's steps follow one another and know nothing of waiting.
        let answer = tokio::task::block_in_place(|| Handle::current().block_on(self.ask(body)));
        let answer = answer.ok_or("the server stops")??;
        // Nodes answer refusals with one of several statuses, and say in the body what they are.
        let json = answer.body.first() == Some(&b'{');
        if json { Ok(answer.body.to_vec()) } else { Err(format!("HTTP {}", answer.status)) }
    }
}

/// The paces of anchoring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnchoringTimes {
    /// From one anchor's block to the next order.
    pub every: Duration,
    /// Between two looks at what is on its way.
    pub poll: Duration,
}

/// The anchoring, until [`Anchoring::stop`].
#[derive(Debug)]
pub struct Anchoring {
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Anchoring {
    /// Begins to anchor the engine's log: first what is on its way, then the newest head whenever it is due.
    ///
    /// # Errors
    /// [`AnchorError::NoContract`]; [`AnchorError::OtherLog`] when the account has announced heads of another log.
    pub fn start(
        engine: Arc<Engine>,
        anchorer: Anchorer,
        node: ChainNode,
        terms: Terms,
        times: AnchoringTimes,
    ) -> Result<Self, AnchorError> {
        let anchors = Arc::clone(engine.anchors().ok_or(AnchorError::NoContract)?);
        anchorer.check_log(engine.log())?;
        let (stop, stopping) = watch::channel(());
        let node = ChainNode { stopping: Some(stopping.clone()), ..node };
        let last = newest_block(&anchors, &engine);
        let beside = Arc::clone(engine.beside());
        let turns = Turns { engine, anchorer, anchors, node, terms, times, last };
        Ok(Self { stop, task: tokio::spawn(watched(beside, "anchoring", turns.run(stopping))) })
    }

    /// Ends it. What is on its way goes on with the next start.
    pub async fn stop(self) {
        self.stop.send_replace(());
        if tokio::time::timeout(STOP_TIME, self.task).await.is_err() {
            tracing::warn!("anchoring did not stop in time");
        }
    }
}

/// The time of the newest anchor's block. A chain's clock may be ahead: an anchor is due no later than if it had been made now.
fn newest_block(anchors: &Anchors, engine: &Engine) -> Option<Instant> {
    let newest = anchors.status().newest.and_then(|newest| newest.block_time());
    newest.map(|last| last.min(engine.now()))
}

struct Turns {
    engine: Arc<Engine>,
    anchorer: Anchorer,
    anchors: Arc<Anchors>,
    node: ChainNode,
    terms: Terms,
    times: AnchoringTimes,
    /// When the newest head was ordered or got into its block.
    last: Option<Instant>,
}

impl Turns {
    async fn run(self, mut stopping: watch::Receiver<()>) {
        let mut turns = self;
        loop {
            // It waits for the node and writes files.
            let turn = tokio::task::spawn_blocking(move || {
                let pause = turns.turn();
                (turns, pause)
            });
            let pause;
            (turns, pause) = match turn.await {
                Ok(done) => done,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The server is gone.
                    Err(_cancelled) => return,
                },
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // An error means that whoever would stop it is gone.
                _ended = stopping.changed() => return,
            }
        }
    }

    /// One turn; how long to wait for the next one.
    fn turn(&mut self) -> Duration {
        match self.advance() {
            Ok(pause) => {
                self.anchors.recovered();
                pause
            }
            // Whoever stops the server knows.
            Err(_cut_off) if self.node.is_stopping() => self.times.poll,
            Err(error) => self.failed(&error),
        }
    }

    fn advance(&mut self) -> Result<Duration, AnchorError> {
        let progress = self.settle()?;
        self.anchors.went(&progress)?;
        match progress {
            Progress::Sent | Progress::Waiting(_) => return Ok(self.times.poll),
            Progress::Anchored(head) => {
                tracing::info!(size = head.size, "the log is anchored");
                // The pace counts from the block, which may have come long after the order; never from before the order, which was paid.
                self.last = self.last.max(newest_block(&self.anchors, &self.engine));
            }
            Progress::Idle | Progress::Lost(_) | Progress::Deployed(_) => {}
        }
        let left = self.until_due();
        if !left.is_zero() {
            return Ok(left);
        }
        let Some(newest) = self.engine.log().newest() else { return Ok(self.times.poll) };
        // A log that has not grown has nothing to announce; looking again costs nothing.
        if self.anchorer.status().anchored == Some(newest.head) {
            return Ok(self.times.poll);
        }
        let ordered = self.anchorer.anchor(&self.node, &self.terms, newest.head)?;
        self.last = Some(self.engine.now());
        self.anchors.went(&ordered)?;
        tracing::info!(size = newest.head.size, "the log's head was sent to the chain");
        Ok(self.times.poll)
    }

    /// Steps until there is something to wait for. An order has a bounded number of attempts.
    fn settle(&mut self) -> Result<Progress, AnchorError> {
        loop {
            match self.anchorer.step(&self.node, &self.terms)? {
                Progress::Sent => {}
                progress => return Ok(progress),
            }
        }
    }

    fn until_due(&self) -> Duration {
        let Some(last) = self.last else { return Duration::ZERO };
        let every = u64::try_from(self.times.every.as_millis()).unwrap_or(u64::MAX);
        let due = last.plus(Span::from_ms(every));
        Duration::from_millis(due.since(self.engine.now()).as_ms()).min(self.times.every)
    }

    fn failed(&self, error: &AnchorError) -> Duration {
        let failing = self.anchors.failed();
        let most = REST_MAX.max(self.times.poll);
        let rest = match error {
            // It has cost its fee, and would again.
            AnchorError::Reverted => self.times.every.max(self.times.poll),
            _ => {
                let doubled = 1_u32 << failing.saturating_sub(1).min(16);
                self.times.poll.saturating_mul(doubled).min(most)
            }
        };
        tracing::warn!(%error, failing, rest_s = rest.as_secs(), "the log could not be anchored");
        rest
    }
}

/// How it goes, in Prometheus' text form.
pub(crate) fn write_metrics(anchors: &Anchors, out: &mut String) {
    let course = anchors.status();
    let mut one = |name: &str, kind: &str, help: &str, value: u64| {
        telemetry::head(out, name, kind, help);
        telemetry::put(out, name, "", value);
    };
    let size = course.newest.map_or(0, |newest| newest.size);
    one("tpw_anchored_tree_size", "gauge", "Leaves under the newest anchored head.", size);
    if let Some(newest) = course.newest {
        let help = "When the newest anchor's block was made, in seconds since 1970.";
        one("tpw_anchor_block_time_seconds", "gauge", help, newest.block_time_s);
    }
    let open = u64::from(course.open);
    one("tpw_anchors_open", "gauge", "Anchors that are on their way.", open);
    let help = "Anchors that became final since the start.";
    one("tpw_anchors_total", "counter", help, course.anchored);
    one("tpw_anchor_failures_total", "counter", "Steps of anchoring that failed.", course.failed);
    let help = "Steps of anchoring that failed since the last one that succeeded.";
    one("tpw_anchor_failing", "gauge", help, course.failing.into());
}
