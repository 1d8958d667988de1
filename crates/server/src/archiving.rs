//! The operator makes evidence records (RFC 4998) for the receipts of its payments, and renews them before they end, off the latency
//! path: nothing that an authority does or leaves undone makes a payment wait or fail.
//!
//! It goes by turns. Each archives what was booked so long ago that witnesses and other authorities had their time, thousands of
//! receipts under one time-stamp; it reads the books bit by bit and rests in between.

use crate::background::watched;
use crate::outbound::Outbound;
use crate::stamping::{Failed, checked};
use crate::telemetry;
use crate::tsp::QUERY;
use core::time::Duration;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tpw_core::Span;
use tpw_engines::evidence::{Batch, Evidence};
use tpw_engines::stamped::{ANSWER_MAX, OutsideAuthority};
use tpw_engines::{Age, Engine, EngineError, Gathering, PayError};

/// Events that are read before the first rest.
const BIT: usize = 256;
/// A record is renewed so long before it ends.
const LEAD: Span = Span::from_secs(90 * 24 * 3600);
/// The longest that it is left alone after a failure, unless the pace is slower.
const REST_MAX: Duration = Duration::from_secs(3600);
/// How much longer than for others it is waited for witnesses.
const PATIENCE: u32 = 7;

/// The paces of archiving.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArchivingTimes {
    /// How old a payment is when its receipt is archived, at least; and from one turn to the next.
    pub every: Duration,
    /// How long it is left alone after the first failure; twice as long after each further one.
    pub rest: Duration,
}

impl ArchivingTimes {
    /// The usual ones, with turns so far apart.
    #[must_use]
    pub const fn every(every: Duration) -> Self {
        Self { every, rest: Duration::from_secs(30) }
    }
}

/// The archiving, while it is held.
#[derive(Debug)]
pub struct Archiving(JoinHandle<()>);

impl Drop for Archiving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Archiving {
    /// Begins to archive. The time-stamps are of the first authority that gives one: the other authorities of the engine's
    /// configuration with an address, asked by the clients in `outbound`, in the same order; then this server's own.
    ///
    /// `None` when the engine keeps no records.
    #[must_use]
    pub fn start(
        engine: Arc<Engine>,
        outbound: Vec<Outbound>,
        times: ArchivingTimes,
    ) -> Option<Self> {
        engine.evidence()?;
        let others = engine.stamped().map(|stamped| stamped.authorities()).unwrap_or_default();
        let reached = others.iter().filter(|authority| authority.url().is_some()).zip(outbound);
        let authorities = reached.filter(|(authority, _)| authority.is_asked());
        let authorities = authorities.map(|(authority, by)| (authority.clone(), by)).collect();
        let beside = Arc::clone(engine.beside());
        let turns = Turns { engine, authorities, times };
        Some(Self(tokio::spawn(watched(beside, "archiving", turns.run()))))
    }
}

/// Why a turn was not done.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Answer(#[from] Failed),
    #[error(transparent)]
    Unlogged(#[from] PayError),
    #[error("the server could not go on: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// A question to an authority with its answer.
struct Asked {
    question: Vec<u8>,
    answer: Vec<u8>,
}

struct Turns {
    engine: Arc<Engine>,
    authorities: Vec<(OutsideAuthority, Outbound)>,
    times: ArchivingTimes,
}

impl Turns {
    async fn run(self) {
        loop {
            let done = self.turn().await;
            let Some(evidence) = self.engine.evidence() else { return };
            let pause = match done {
                Ok(()) => {
                    evidence.recovered();
                    self.times.every
                }
                Err(fault) => {
                    let failing = evidence.failed();
                    let doubled = 1_u32 << failing.saturating_sub(1).min(16);
                    let rest = self.times.rest.saturating_mul(doubled).min(REST_MAX);
                    tracing::warn!(%fault, failing, rest_s = rest.as_secs(), "receipts could not be archived");
                    rest
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Archives all that is old enough, then renews what is due.
    async fn turn(&self) -> Result<(), Fault> {
        loop {
            let batch = Arc::new(self.gathered().await?);
            if batch.is_empty() {
                self.with(move |engine| engine.pass_over(&batch)).await?;
                break;
            }
            self.archive(batch).await?;
        }
        self.renew().await
    }

    /// Does something beside the tasks: it waits for stores.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, Fault> {
        let engine = Arc::clone(&self.engine);
        Ok(tokio::task::spawn_blocking(move || work(&engine)).await??)
    }

    fn age(&self) -> Age {
        let span = |time: Duration| Span::from_ms(u64::try_from(time.as_millis()).unwrap_or(0));
        let (now, every) = (self.engine.now(), self.times.every);
        let unwitnessed_until = now.minus(span(every.saturating_mul(PATIENCE)));
        Age { until: now.minus(span(every)), unwitnessed_until }
    }

    /// The next batch. It rests as long as it works: payments come first.
    async fn gathered(&self) -> Result<Batch, Fault> {
        let age = self.age();
        let mut batch = self.with(Engine::next_batch).await?;
        loop {
            let begun = tokio::time::Instant::now();
            let gather = move |engine: &Engine| {
                let mut batch = batch;
                let gathering = engine.gather(&mut batch, age, BIT)?;
                Ok((batch, gathering))
            };
            let gathering;
            (batch, gathering) = self.with(gather).await?;
            if gathering == Gathering::All {
                return Ok(batch);
            }
            tokio::time::sleep(begun.elapsed()).await;
        }
    }

    async fn archive(&self, batch: Arc<Batch>) -> Result<(), Fault> {
        let receipts = batch.len();
        let tree = batch.tree().map_err(|error| EngineError::Evidence(error.into()))?;
        let tree = Arc::new(tree);
        let mut place = 0;
        loop {
            let asked = self.ask(&mut place, &tree).await?;
            let (batch, tree) = (Arc::clone(&batch), Arc::clone(&tree));
            let kept = self.with(move |engine| {
                engine.keep_records(&batch, &tree, (&asked.question, &asked.answer))
            });
            match kept.await {
                Err(fault) if place <= self.authorities.len() => self.passed_over(place, &fault),
                Err(fault) => return Err(fault),
                Ok(()) => break,
            }
        }
        tracing::info!(receipts, "receipts are archived under one time-stamp");
        Ok(())
    }

    async fn renew(&self) -> Result<(), Fault> {
        let mut place = 0;
        loop {
            let before = self.engine.now().plus(LEAD);
            let due = self.with(move |engine| engine.renewals_before(before)).await?;
            let Some(renewing) = due else { return Ok(()) };
            let records = renewing.count();
            let asked = self.ask(&mut place, renewing.tree()).await?;
            let kept = self.with(move |engine: &Engine| {
                let Asked { question, answer } = asked;
                engine.keep_renewals(renewing, (&question, &answer))
            });
            match kept.await {
                Err(fault) if place <= self.authorities.len() => self.passed_over(place, &fault),
                Err(fault) => return Err(fault),
                Ok(()) => tracing::info!(records, "evidence records are renewed"),
            }
        }
    }

    /// Asks from the authority at `place` on, and leaves `place` behind the one that has answered; this server's own key is behind them
    /// all.
    async fn ask(
        &self,
        place: &mut usize,
        tree: &tpw_proof::evidence::HashTree,
    ) -> Result<Asked, Fault> {
        while let Some((authority, by)) = self.authorities.get(*place) {
            *place = place.saturating_add(1);
            let question = self.engine.ask_about(tree, authority.policies().first().cloned())?;
            match put(authority, by, question.clone()).await {
                Ok(answer) => return Ok(Asked { question, answer }),
                Err(fault) => self.passed_over(*place, &fault.into()),
            }
        }
        *place = self.authorities.len().saturating_add(1);
        let question = self.engine.ask_about(tree, None)?;
        let answer = self.engine.stamp_own(question.clone()).await?;
        Ok(Asked { question, answer })
    }

    fn passed_over(&self, place: usize, fault: &Fault) {
        let authority = self.authorities.get(place.saturating_sub(1));
        let authority = authority.map_or("", |(authority, _)| authority.name());
        tracing::warn!(authority, %fault, "an authority's time-stamp is of no use for records; the next one is asked");
    }
}

async fn put(
    authority: &OutsideAuthority,
    by: &Outbound,
    question: Vec<u8>,
) -> Result<Vec<u8>, Failed> {
    let url = authority.url().unwrap_or_default();
    checked(by.post_as(url, QUERY, question, ANSWER_MAX).await?)
}

/// How it goes, in Prometheus' text form.
pub(crate) fn write_metrics(evidence: &Evidence, out: &mut String) {
    let Ok(status) = evidence.status() else { return };
    let mut one = |name: &str, kind: &str, help: &str, value: u64| {
        telemetry::head(out, name, kind, help);
        telemetry::put(out, name, "", value);
    };
    let help = "Receipts that have an evidence record.";
    one("tpw_archived_receipts", "gauge", help, status.receipts);
    let help = "Times in a row that no record could be made or renewed.";
    one("tpw_archiving_failures", "gauge", help, status.failing);
    if let Some(due) = status.due {
        let help =
            "When the first evidence record ends unless it is renewed, in seconds since 1970.";
        one("tpw_evidence_ends_seconds", "gauge", help, due.unix_ms() / 1000);
    }
}
