//! `replay bench flow`: latency at a fixed rate and throughput at the peak, beside a peer and the disk.

pub mod disk;
pub mod load;
pub mod naive;
pub mod sprint;

use crate::actor::Actor;
use crate::client::Client;
use crate::error::ReplayError;
use crate::input::Input;
use crate::latency::{Latency, median};
use crate::make;
use crate::people;
use crate::run::{self, Watch};
use crate::say::{per_second, tell};
use crate::server::Server;
use crate::state::State;
use crate::usage::usage;
use load::{Load, Payers};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tpw_proof::Trust;

/// The bound on the 99th percentile, in milliseconds: the quality bar of the flow.
const P99_BAR_MS: f64 = 200.0;

/// What is measured.
#[derive(Clone, PartialEq, Debug)]
pub struct Flow {
    /// The program `tpw`.
    pub tpw: PathBuf,
    /// Payments per second of the open loop.
    pub rate: u32,
    /// How long each part of a round takes.
    pub part: Duration,
    /// How many rounds.
    pub rounds: u32,
    /// How many people pay.
    pub payers: u32,
    /// How many payments are under way in the closed loops.
    pub closed: Vec<usize>,
}

/// A part of a round.
#[derive(Clone, Serialize, Debug)]
pub struct Part {
    /// Payments booked.
    pub booked: usize,
    /// Payments that were answered otherwise.
    pub other: usize,
    /// Booked per second.
    pub per_s: f64,
    /// From the time at which a payment was due to its receipt.
    pub latency: Latency,
    /// Processor seconds of the server.
    pub server_cpu_s: f64,
    /// Processor seconds of the load generator.
    pub client_cpu_s: f64,
    /// Bytes of one receipt; zero where none is looked at.
    pub receipt_len: usize,
}

/// A closed loop.
#[derive(Clone, Serialize, Debug)]
pub struct Peak {
    /// Payments under way.
    pub connections: usize,
    /// What came of it.
    #[serde(flatten)]
    pub part: Part,
}

/// One round: each part once, so that all see the same machine.
#[derive(Clone, Serialize, Debug)]
pub struct Round {
    /// The fixed rate.
    pub open: Part,
    /// As fast as it goes.
    pub closed: Vec<Peak>,
    /// The peer: what the obvious design does, without network, log or receipt.
    pub naive: naive::Naive,
    /// A synced write of 4 KiB on the same disk.
    pub disk: disk::Disk,
}

/// The middle of all rounds.
#[derive(Clone, Serialize, Debug)]
pub struct Medians {
    /// At the fixed rate, in milliseconds.
    pub p50_ms: f64,
    /// At the fixed rate, in milliseconds.
    pub p99_ms: f64,
    /// The best closed loop, payments per second.
    pub peak_per_s: f64,
    /// The peer, payments per second.
    pub naive_per_s: f64,
    /// The peer, in milliseconds.
    pub naive_p99_ms: f64,
    /// A synced write, in milliseconds.
    pub disk_p50_ms: f64,
    /// Processor milliseconds of the server for each payment of the open loop.
    pub server_cpu_ms_per_payment: f64,
}

/// What the medians mean.
#[derive(Clone, Serialize, Debug)]
pub struct Ratios {
    /// 99th percentile by its bar: below 1 is within.
    pub p99_budget: f64,
    /// Our peak by the peer's.
    pub peak_vs_naive: f64,
    /// Payments that were not booked, by all payments of the open loops.
    pub open_not_booked: f64,
}

/// The result.
#[derive(Clone, Serialize, Debug)]
pub struct Report {
    /// Payments per second of the open loop.
    pub rate: u32,
    /// Cores of this machine.
    pub cores: usize,
    /// Memory of the server at the end, in MiB.
    pub server_rss_mib: u64,
    /// Each round.
    pub rounds: Vec<Round>,
    /// The middle of them.
    pub medians: Medians,
    /// What they mean.
    pub ratios: Ratios,
}

/// Rules under which every payment of the load is screened by every kind of rule and none is stopped.
const RULES: &str = r#"
[thresholds]
step_up_at = 300
hold_at = 600
refuse_at = 900

[assets."USD/2"]
single_max = "99999.99"
amount = [{ from = "1000", points = 50 }]
new_payee = { from = "1000", points = 250 }

[[velocity]]
window = "1m"
count_step_up = 1000000
points = 200

[[velocity]]
window = "1h"
count_step_up = 1000000
points = 200
"#;

impl Flow {
    /// Starts a server, enrols the payers and runs all rounds.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub async fn run(&self, work: &Path) -> Result<Report, ReplayError> {
        let stage = self.set_up(work).await?;
        let mut rounds = Vec::new();
        for number in 1..=self.rounds {
            let round = self.round(&stage, work).await?;
            tell(&line(number, &round));
            rounds.push(round);
        }
        let server_rss_mib = usage(Some(stage.server.pid())).unwrap_or_default().rss_mib;
        let Stage { server, load, .. } = stage;
        drop(load);
        server.stop()?;
        Ok(self.report(rounds, server_rss_mib))
    }

    /// Starts a server, enrols the payers and lets it get warm.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub async fn set_up(&self, work: &Path) -> Result<Stage, ReplayError> {
        let rules = work.join("rules.toml");
        std::fs::write(&rules, RULES).map_err(ReplayError::io("write", &rules))?;
        let server = Server::start(&self.tpw, &work.join("data"), Some(&rules))?;
        let (client, payers) = self.enrol(&server, work).await?;
        let setting = run::setting(&client, None).await?;
        let watch = Watch::new(&client, setting.seen);
        let trust = run::trust(&client).await?;
        let load = Load { client, payers, audience: setting.audience, watch };
        let (pace, peer_pace) = (AtomicU64::new(PACE_FIRST), AtomicU64::new(PEER_PACE_FIRST));
        let mut stage = Stage { server, load, trust, receipt_len: 0, pace, peer_pace };
        // The first seconds fill caches; they count for nobody.
        stage.receipt_len =
            stage.closed(64, self.part.min(Duration::from_secs(3))).await?.receipt_len;
        Ok(stage)
    }

    async fn enrol(
        &self,
        server: &Server,
        work: &Path,
    ) -> Result<(Arc<Client>, Payers), ReplayError> {
        let lists = work.join("lists");
        make::make(self.payers, 0, 1, &lists)?;
        let (nodes, transfers) = (lists.join("nodes.csv"), lists.join("transactions.csv"));
        let asset =
            "USD/2".parse().map_err(|_| ReplayError::Check("USD/2 is no asset".to_owned()))?;
        let mut input = Input::read(&nodes, &transfers, asset, None)?;
        for node in &mut input.nodes {
            node.opening = tpw_core::Amount::from_minor(1_000_000_000);
        }
        let state = State::open(&work.join("state"), &input)?;
        let client = Arc::new(Client::new(&server.url, &server.ca)?);
        let operator = Actor::operator(&server.operator_key())?;
        let devices = people::devices(&state)?;
        let mut append = state.append()?;
        people::enter(&client, &operator, &state, &input, &devices, &mut append, 16).await?;
        Ok((client, Payers::new(&state, &input, devices)))
    }

    async fn round(&self, stage: &Stage, work: &Path) -> Result<Round, ReplayError> {
        let disk = disk::measure(&work.join("disk"), 200)?;
        let (naive_path, part) = (work.join("naive.db"), self.part.min(Duration::from_secs(10)));
        let naive = tokio::task::spawn_blocking(move || naive::measure(&naive_path, part)).await;
        let naive = naive.map_err(|error| ReplayError::Check(error.to_string()))??;
        let open = part_of(&stage.server, stage.load.open(self.rate, self.part)).await?;
        let mut closed = Vec::new();
        for connections in &self.closed {
            let part = stage.closed(*connections, self.part).await?;
            closed.push(Peak { connections: *connections, part });
        }
        Ok(Round { open, closed, naive, disk })
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of any benchmark fit a double exactly")]
    fn report(&self, rounds: Vec<Round>, server_rss_mib: u64) -> Report {
        let of = |value: fn(&Round) -> f64| median(&rounds.iter().map(value).collect::<Vec<_>>());
        let medians = Medians {
            p50_ms: of(|round| round.open.latency.p50_ms),
            p99_ms: of(|round| round.open.latency.p99_ms),
            peak_per_s: of(|round| round.closed.iter().map(|c| c.part.per_s).fold(0.0, f64::max)),
            naive_per_s: of(|round| round.naive.per_s),
            naive_p99_ms: of(|round| round.naive.latency.p99_ms),
            disk_p50_ms: of(|round| round.disk.latency.p50_ms),
            server_cpu_ms_per_payment: of(|round| {
                1000.0 * round.open.server_cpu_s / (round.open.booked.max(1) as f64)
            }),
        };
        let peak_vs_naive =
            if medians.naive_per_s > 0.0 { medians.peak_per_s / medians.naive_per_s } else { 0.0 };
        let other: usize = rounds.iter().map(|round| round.open.other).sum();
        let all: usize = rounds.iter().map(|r| r.open.booked.saturating_add(r.open.other)).sum();
        let ratios = Ratios {
            p99_budget: medians.p99_ms / P99_BAR_MS,
            peak_vs_naive,
            open_not_booked: other as f64 / all.max(1) as f64,
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Report { rate: self.rate, cores, server_rss_mib, rounds, medians, ratios }
    }
}

/// Payments a second that the first closed loop is prepared for.
const PACE_FIRST: u64 = 8_000;
/// The same for a peer, who has less to do.
const PEER_PACE_FIRST: u64 = 30_000;

/// A server with people who pay, ready for load.
#[derive(Debug)]
pub struct Stage {
    /// The server.
    pub server: Server,
    /// Who pays.
    pub load: Load,
    /// Bytes of one receipt.
    pub receipt_len: usize,
    /// By which receipts are judged.
    trust: Trust,
    /// For so many payments a second the next closed loop is prepared. One that runs out of them ends early.
    pace: AtomicU64,
    /// The same for a peer.
    peer_pace: AtomicU64,
}

impl Stage {
    /// Keeps `connections` payments under way for `time`.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub async fn closed(&self, connections: usize, time: Duration) -> Result<Part, ReplayError> {
        let sprint = self.load.prepare(connections, within(&self.pace, time))?;
        let part = self.sprint(&self.server, sprint, time).await?;
        learn(&self.pace, part.per_s);
        Ok(part)
    }

    /// The same load on a peer that answers as our server does and keeps nothing.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub async fn closed_at(
        &self,
        peer: &Server,
        connections: usize,
        time: Duration,
    ) -> Result<Part, ReplayError> {
        let client = Arc::new(Client::new(&peer.url, &peer.ca)?);
        let sprint = self.load.prepare(connections, within(&self.peer_pace, time))?;
        let part = self.sprint(peer, sprint.towards(client), time).await?;
        learn(&self.peer_pace, part.per_s);
        Ok(part)
    }

    async fn sprint(
        &self,
        server: &Server,
        sprint: sprint::Sprint,
        time: Duration,
    ) -> Result<Part, ReplayError> {
        let mut rest = None;
        let part = part_of(server, async {
            let mut finished = sprint.run(time).await?;
            let loaded = core::mem::take(&mut finished.loaded);
            rest = Some(finished);
            Ok(loaded)
        });
        let part = part.await?;
        if let Some(finished) = rest {
            self.load.finish(finished, &self.trust)?;
        }
        Ok(part)
    }
}

/// How many payments that is at so many a second.
fn within(pace: &AtomicU64, time: Duration) -> usize {
    let each_ms = u128::from(pace.load(Ordering::Relaxed)).saturating_mul(time.as_millis());
    usize::try_from(each_ms / 1000).unwrap_or(usize::MAX)
}

/// Half as many again as were answered, for parts that go better.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive count of payments far below the bounds"
)]
fn learn(pace: &AtomicU64, per_s: f64) {
    pace.store((per_s * 1.5).max(1_000.0) as u64, Ordering::Relaxed);
}

/// Runs a part and takes the processor time of both sides.
async fn part_of(
    server: &Server,
    work: impl Future<Output = Result<load::Loaded, ReplayError>>,
) -> Result<Part, ReplayError> {
    let cpu = || {
        let of = |pid| usage(pid).unwrap_or_default().cpu_s;
        (of(Some(server.pid())), of(None))
    };
    let before = cpu();
    let loaded = work.await?;
    let after = cpu();
    if let (true, Some(told)) = (loaded.times.is_empty(), &loaded.told_otherwise) {
        return Err(ReplayError::Check(format!("not one payment was booked: {told}")));
    }
    Ok(Part {
        booked: loaded.times.len(),
        other: loaded.other,
        per_s: per_second(loaded.times.len(), loaded.wall.as_secs_f64()),
        latency: Latency::of(loaded.times),
        server_cpu_s: after.0 - before.0,
        client_cpu_s: after.1 - before.1,
        receipt_len: loaded.receipt_len,
    })
}

fn line(number: u32, round: &Round) -> String {
    let Round { open, closed, naive, disk } = round;
    let mut text = format!(
        "round {number}: open {:.0}/s p50 {:.1} ms p99 {:.1} ms (not booked {}); closed",
        open.per_s, open.latency.p50_ms, open.latency.p99_ms, open.other
    );
    for Peak { connections, part } in closed {
        let told =
            format!(" {connections}: {:.0}/s p99 {:.0} ms,", part.per_s, part.latency.p99_ms);
        text.push_str(&told);
    }
    text.push_str(&format!(
        " naive {:.0}/s p99 {:.1} ms, fdatasync p50 {:.2} ms",
        naive.per_s, naive.latency.p99_ms, disk.latency.p50_ms
    ));
    text
}

/// The result as a table for people.
#[must_use]
pub fn table(report: &Report) -> String {
    let Medians { p50_ms, p99_ms, peak_per_s, naive_per_s, naive_p99_ms, disk_p50_ms, .. } =
        &report.medians;
    let rows = [
        format!("{:<44} {:>10} {:>10} {:>12}", "medians", "p50 ms", "p99 ms", "payments/s"),
        format!("{:<44} {p50_ms:>10.2} {p99_ms:>10.2} {:>12}", "tpw, open loop", report.rate),
        format!("{:<44} {:>10} {:>10} {peak_per_s:>12.0}", "tpw, peak", "", ""),
        format!(
            "{:<44} {:>10} {naive_p99_ms:>10.2} {naive_per_s:>12.0}",
            "one transaction per payment, in process", ""
        ),
        format!("{:<44} {disk_p50_ms:>10.2}", "write and fdatasync of 4 KiB"),
        format!(
            "server: {:.3} ms of processor time per payment, {} MiB",
            report.medians.server_cpu_ms_per_payment, report.server_rss_mib
        ),
        format!(
            "p99 by its bar of {P99_BAR_MS} ms: {:.2}; peak by peer: {:.2}",
            report.ratios.p99_budget, report.ratios.peak_vs_naive
        ),
    ];
    rows.join("\n")
}
