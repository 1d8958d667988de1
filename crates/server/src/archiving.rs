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
use tpw_engines::evidence::{Batch, Evidence, KeepError};
use tpw_engines::stamped::{ANSWER_MAX, OutsideAuthority};
use tpw_engines::{Age, Engine, EngineError, Gathering, PayError, Renewing};
use tpw_proof::evidence::HashTree;

/// Events that are read before the first rest.
const BIT: usize = 256;
/// A record is renewed so long before it ends: turns are a month apart at most.
const LEAD: Span = Span::from_secs(90 * 24 * 3600);
/// The longest that it is left alone after a failure.
const REST_MAX: Duration = Duration::from_secs(3600);
/// How much longer than for others it is waited for witnesses.
const PATIENCE: u32 = 7;

/// The paces of archiving.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArchivingTimes {
    /// How old a payment is when its receipt is archived, at least; and from one turn to the next.
    pub every: Duration,
    /// From the start to the first turn: witnesses and other authorities are asked first.
    pub first: Duration,
    /// How long it is left alone after the first failure; twice as long after each further one.
    pub rest: Duration,
}

impl ArchivingTimes {
    /// The usual ones, with turns so far apart.
    #[must_use]
    pub fn every(every: Duration) -> Self {
        Self { every, first: every.min(Duration::from_secs(600)), rest: Duration::from_secs(30) }
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

impl Fault {
    /// Whether another authority may do better.
    const fn is_of_authority(&self) -> bool {
        match self {
            Self::Answer(_) | Self::Unlogged(_) => true,
            Self::Engine(EngineError::Evidence(error)) => error.is_of_answer(),
            Self::Engine(_) | Self::Task(_) => false,
        }
    }
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
        tokio::time::sleep(self.times.first).await;
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

    /// Archives what is old enough by now, and renews what is due, whatever became of the one.
    async fn turn(&self) -> Result<(), Fault> {
        let archived = self.archive_all(self.age()).await;
        archived.and(self.renew_all().await)
    }

    async fn archive_all(&self, age: Age) -> Result<(), Fault> {
        loop {
            let batch = self.gathered(age).await?;
            if batch.is_empty() {
                return self.with(move |engine| engine.pass_over(&batch)).await;
            }
            self.archive(Arc::new(batch)).await?;
        }
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
    async fn gathered(&self, age: Age) -> Result<Batch, Fault> {
        let mut batch = self.with(Engine::next_batch).await?;
        loop {
            let begun = tokio::time::Instant::now();
            let gather = move |engine: &Engine| {
                let mut batch = batch;
                let gathering = engine.gather(&mut batch, age, BIT);
                Ok((batch, gathering))
            };
            let gathering;
            (batch, gathering) = self.with(gather).await?;
            match gathering {
                Gathering::All => return Ok(batch),
                Gathering::Some => tokio::time::sleep(begun.elapsed()).await,
                // What is in front of it is kept first.
                Gathering::Stuck(error) if batch.is_empty() => return Err(error.into()),
                Gathering::Stuck(_) => return Ok(batch),
            }
        }
    }

    async fn archive(&self, batch: Arc<Batch>) -> Result<(), Fault> {
        let receipts = batch.len();
        let of_batch = Arc::clone(&batch);
        let tree = self.with(move |_engine| Ok(of_batch.tree().map_err(KeepError::from)?)).await?;
        let tree = Arc::new(tree);
        let mut place = 0;
        loop {
            match self.archive_by(place, &batch, &tree).await {
                Ok(()) => break,
                Err(fault) => self.next(&mut place, fault)?,
            }
        }
        tracing::info!(receipts, "receipts are archived under one time-stamp");
        Ok(())
    }

    async fn archive_by(
        &self,
        place: usize,
        batch: &Arc<Batch>,
        tree: &Arc<HashTree>,
    ) -> Result<(), Fault> {
        let Asked { question, answer } = self.ask(place, tree).await?;
        let (batch, tree) = (Arc::clone(batch), Arc::clone(tree));
        self.with(move |engine| engine.keep_records(&batch, &tree, (&question, &answer))).await
    }

    /// Has each authority renew what it can. What nobody can is told: the operator has to name another one.
    async fn renew_all(&self) -> Result<(), Fault> {
        let mut place = 0;
        while place <= self.authorities.len() {
            let before = self.engine.now().plus(LEAD);
            let due = self.with(move |engine| engine.renewals_before(before)).await?;
            let Some(renewing) = due else { return Ok(()) };
            match self.renew_by(place, renewing).await {
                Ok(0) => place = place.saturating_add(1),
                Ok(records) => tracing::info!(records, "evidence records are renewed"),
                Err(fault) => self.next(&mut place, fault)?,
            }
        }
        tracing::warn!(
            "evidence records end soon, and no authority makes more of them: name one whose certificate ends later"
        );
        Ok(())
    }

    async fn renew_by(&self, place: usize, renewing: Renewing) -> Result<usize, Fault> {
        let Asked { question, answer } = self.ask(place, renewing.tree()).await?;
        self.with(move |engine| engine.keep_renewals(&renewing, (&question, &answer))).await
    }

    /// Asks the authority at `place`; this server's own key is behind them all.
    async fn ask(&self, place: usize, tree: &HashTree) -> Result<Asked, Fault> {
        let Some((authority, by)) = self.authorities.get(place) else {
            let question = self.engine.ask_about(tree, None)?;
            let answer = self.engine.stamp_own(question.clone()).await?;
            return Ok(Asked { question, answer });
        };
        let question = self.engine.ask_about(tree, authority.policies().first().cloned())?;
        let answer = put(authority, by, question.clone()).await?;
        Ok(Asked { question, answer })
    }

    /// Goes on to the next authority, if the fault is of this one and there is another.
    fn next(&self, place: &mut usize, fault: Fault) -> Result<(), Fault> {
        let Some((authority, _)) = self.authorities.get(*place) else { return Err(fault) };
        if !fault.is_of_authority() {
            return Err(fault);
        }
        *place = place.saturating_add(1);
        let authority = authority.name();
        tracing::warn!(authority, %fault, "an authority's time-stamp is of no use for records; the next one is asked");
        Ok(())
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
    let status = evidence.status();
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
