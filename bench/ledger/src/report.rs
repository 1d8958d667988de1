//! What was measured, what it comes to, and whether it is enough.

use crate::peers::Peer;
use replay::bench::disk::Disk;
use replay::latency::{Latency, median};
use serde::Serialize;
use std::collections::BTreeMap;

/// The engine under the workload.
#[derive(Clone, Copy, PartialEq, Serialize, Debug)]
pub struct Run {
    /// Orders sent, repeats included.
    pub orders: u64,
    /// Rows of the ledger made.
    pub transfers: u64,
    /// Rows per second.
    pub per_s: f64,
    /// Processor time of this whole process for each row, load generator and database server included, in
    /// microseconds.
    pub cpu_us: f64,
    /// Of that, the database server's part.
    pub server_cpu_us: f64,
    /// From sending a batch to its durable answer.
    pub latency: Latency,
    /// Repeated orders, each answered as the first time.
    pub repeats: u64,
}

/// Batches on schedule at 70 % of the peak, whatever the engine does.
#[derive(Clone, Copy, PartialEq, Serialize, Debug)]
pub struct Paced {
    /// Rows per second that were due.
    pub due_per_s: f64,
    /// From the time at which a batch was due to its durable answer.
    pub latency: Latency,
}

/// Signed payments through the whole flow over HTTP.
#[derive(Clone, Copy, PartialEq, Serialize, Debug)]
pub struct Flow {
    /// Payments under way.
    pub connections: usize,
    /// Payments booked and proved per second.
    pub per_s: f64,
    /// 99 of 100 took at most this.
    pub p99_ms: f64,
    /// Processor time of the server for each, in microseconds.
    pub server_cpu_us: f64,
    /// Processor time of one signature check alone, in microseconds.
    pub signature_us: f64,
}

/// One round: each part once, so that all see the same machine.
#[derive(Clone, Serialize, Debug)]
pub struct Round {
    /// A synced write of 4 KiB on the same disk.
    pub disk: Disk,
    /// SQLite, every account as often as any other.
    pub sqlite: Run,
    /// SQLite, Zipf's law.
    pub sqlite_zipf: Run,
    /// SQLite, one account gives in every transfer.
    pub sqlite_hot: Run,
    /// SQLite on a history of ten million rows; absent in a quick run.
    pub sqlite_10m: Option<Run>,
    /// SQLite, one order at a time.
    pub sqlite_one: Run,
    /// SQLite at 70 % of this round's peak.
    pub sqlite_paced: Paced,
    /// How long the engine took to start on ten million rows; absent in a quick run.
    pub start_10m_s: Option<f64>,
    /// PostgreSQL, every account as often as any other.
    pub postgres: Run,
    /// PostgreSQL, one account gives in every transfer.
    pub postgres_hot: Run,
    /// PostgreSQL, one order at a time.
    pub postgres_one: Run,
    /// pgbench, the built-in script.
    pub tpcb: Peer,
    /// The same, one client.
    pub tpcb_one: Peer,
    /// The functions with row locks, on the engine's own workload.
    pub row_locks: Peer,
    /// The same, one account gives in every transfer.
    pub row_locks_hot: Peer,
    /// The lean function with row locks, plain transfers alone.
    pub row_locks_lean: Peer,
    /// Hashes of chains and log entries alone, for each row, in microseconds.
    pub hashing_us: f64,
    /// The ledger's rules and chains without a store, for each row, in microseconds.
    pub ledger_us: f64,
    /// The workload's own making of orders, for each row, in microseconds: no part of the engine.
    pub generator_us: f64,
    /// Payments through the whole flow.
    pub flow: Flow,
    /// The same requests to a server that keeps nothing.
    pub bare: Bare,
}

/// What the bare server did with the same requests.
#[derive(Clone, Copy, Serialize, Debug)]
pub struct Bare {
    /// Payments under way.
    pub connections: usize,
    /// Answers per second.
    pub per_s: f64,
    /// Its processor time for each answer, in microseconds.
    pub server_cpu_us: f64,
    /// Bytes of an answer, as many as a receipt has.
    pub answer_len: usize,
}

/// What does not change from round to round and is measured once.
#[derive(Clone, Copy, Serialize, Debug, Default)]
pub struct Memory {
    /// Accounts that were opened to see what one takes.
    pub accounts: u64,
    /// Of each in the ledger.
    pub ledger_bytes_per_account: f64,
    /// Of each in the whole engine, with what answers readers.
    pub engine_bytes_per_account: f64,
    /// What a process that opens ten million rows has more than one that opens 0.3 million, for each row of the
    /// difference; absent in a quick run.
    pub bytes_per_row_of_history: Option<f64>,
}

/// The machine, for comparing with another.
#[derive(Clone, PartialEq, Serialize, Debug, Default)]
pub struct Machine {
    /// Its processor, in its own words.
    pub processor: String,
    /// How many cores.
    pub cores: usize,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// Its PostgreSQL.
    pub postgres: String,
    /// The system's load average before the first round, which others made, and after the last, which is ours, too.
    pub load_average: (f64, f64),
}

/// Whether a value is enough.
#[derive(Clone, Copy, PartialEq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Bar {
    /// Not below.
    AtLeast(f64),
    /// Not above.
    AtMost(f64),
}

impl Bar {
    /// Whether this value is.
    #[must_use]
    pub fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bar) => value >= bar,
            Self::AtMost(bar) => value <= bar,
        }
    }

    /// In words.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::AtLeast(bar) => format!("at least {bar}"),
            Self::AtMost(bar) => format!("at most {bar}"),
        }
    }
}

/// A bar and what was reached.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct Target {
    /// What is judged: the key of a ratio, or of another figure.
    pub name: &'static str,
    /// What is wanted.
    pub bar: Bar,
    /// What was reached; absent where a quick run does not measure it.
    pub value: Option<f64>,
    /// Whether it is enough; absent with the value.
    pub met: Option<bool>,
}

/// A case in which we are slower than a peer, or no faster.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct Losing {
    /// What is compared.
    pub case: &'static str,
    /// Ours per second.
    pub ours_per_s: f64,
    /// The peer's per second.
    pub theirs_per_s: f64,
    /// Ours by the peer's, the middle of all rounds.
    pub ratio: f64,
}

/// Named figures.
pub type Figures = BTreeMap<&'static str, Option<f64>>;

/// The result.
#[derive(Clone, Serialize, Debug)]
pub struct Report {
    /// Whether the run was a quick one: then no figure is to be published.
    pub quick: bool,
    /// The machine.
    pub machine: Machine,
    /// What PostgreSQL was told, for us and for the peers.
    pub postgres_settings: BTreeMap<&'static str, &'static str>,
    /// Each round.
    pub rounds: Vec<Round>,
    /// The middle of them.
    pub medians: Figures,
    /// The middle of the ratios of each round.
    pub ratios: Figures,
    /// Memory.
    pub memory: Memory,
    /// What was wanted, and what was reached.
    pub targets: Vec<Target>,
    /// Where a peer is faster.
    pub losing: Vec<Losing>,
    /// Peers that were not measured, and why.
    pub skipped: BTreeMap<&'static str, &'static str>,
}

type Of = fn(&Round) -> Option<f64>;

/// Every figure of which the middle is told.
const MEDIANS: &[(&str, Of)] = &[
    ("disk_p50_ms", |r| Some(r.disk.latency.p50_ms)),
    ("disk_p99_ms", |r| Some(r.disk.latency.p99_ms)),
    ("sqlite_per_s", |r| Some(r.sqlite.per_s)),
    ("sqlite_cpu_us", |r| Some(r.sqlite.cpu_us)),
    ("sqlite_zipf_per_s", |r| Some(r.sqlite_zipf.per_s)),
    ("sqlite_hot_per_s", |r| Some(r.sqlite_hot.per_s)),
    ("sqlite_10m_per_s", |r| r.sqlite_10m.map(|run| run.per_s)),
    ("sqlite_10m_cpu_us", |r| r.sqlite_10m.map(|run| run.cpu_us)),
    ("sqlite_one_per_s", |r| Some(r.sqlite_one.per_s)),
    ("sqlite_paced_p50_ms", |r| Some(r.sqlite_paced.latency.p50_ms)),
    ("sqlite_paced_p99_ms", |r| Some(r.sqlite_paced.latency.p99_ms)),
    ("start_10m_s", |r| r.start_10m_s),
    ("postgres_per_s", |r| Some(r.postgres.per_s)),
    ("postgres_cpu_us", |r| Some(r.postgres.cpu_us)),
    ("postgres_hot_per_s", |r| Some(r.postgres_hot.per_s)),
    ("postgres_one_per_s", |r| Some(r.postgres_one.per_s)),
    ("tpcb_per_s", |r| Some(r.tpcb.per_s)),
    ("tpcb_cpu_us", |r| Some(r.tpcb.server_cpu_us)),
    ("tpcb_one_per_s", |r| Some(r.tpcb_one.per_s)),
    ("row_locks_per_s", |r| Some(r.row_locks.per_s)),
    ("row_locks_cpu_us", |r| Some(r.row_locks.server_cpu_us)),
    ("row_locks_hot_per_s", |r| Some(r.row_locks_hot.per_s)),
    ("row_locks_lean_per_s", |r| Some(r.row_locks_lean.per_s)),
    ("row_locks_lean_cpu_us", |r| Some(r.row_locks_lean.server_cpu_us)),
    ("hashing_us", |r| Some(r.hashing_us)),
    ("ledger_us", |r| Some(r.ledger_us)),
    ("generator_us", |r| Some(r.generator_us)),
    ("flow_per_s", |r| Some(r.flow.per_s)),
    ("flow_p99_ms", |r| Some(r.flow.p99_ms)),
    ("flow_server_cpu_us", |r| Some(r.flow.server_cpu_us)),
    ("signature_us", |r| Some(r.flow.signature_us)),
    ("bare_per_s", |r| Some(r.bare.per_s)),
    ("bare_server_cpu_us", |r| Some(r.bare.server_cpu_us)),
];

/// Every ratio: both sides are of the same round.
const RATIOS: &[(&str, Of)] = &[
    ("sqlite_vs_tpcb", |r| by(r.sqlite.per_s, r.tpcb.per_s)),
    ("sqlite_vs_rowlock", |r| by(r.sqlite.per_s, r.row_locks.per_s)),
    ("sqlite_vs_rowlock_lean", |r| by(r.sqlite.per_s, r.row_locks_lean.per_s)),
    ("postgres_vs_tpcb", |r| by(r.postgres.per_s, r.tpcb.per_s)),
    ("postgres_vs_rowlock", |r| by(r.postgres.per_s, r.row_locks.per_s)),
    ("postgres_vs_rowlock_lean", |r| by(r.postgres.per_s, r.row_locks_lean.per_s)),
    ("hot_vs_uniform", |r| by(r.sqlite_hot.per_s, r.sqlite.per_s)),
    ("cpu_10m_vs_300k", |r| by(r.sqlite_10m?.cpu_us, r.sqlite.cpu_us)),
    ("flow_vs_tpcb", |r| by(r.flow.per_s, r.tpcb.per_s)),
    ("flow_vs_bare", |r| by(r.flow.per_s, r.bare.per_s)),
    ("bare_vs_tpcb", |r| by(r.bare.per_s, r.tpcb.per_s)),
    ("zipf_vs_uniform", |r| by(r.sqlite_zipf.per_s, r.sqlite.per_s)),
    ("postgres_hot_vs_uniform", |r| by(r.postgres_hot.per_s, r.postgres.per_s)),
    ("rowlock_hot_vs_uniform", |r| by(r.row_locks_hot.per_s, r.row_locks.per_s)),
    ("chain_share", |r| by(r.hashing_us, r.sqlite.cpu_us - r.generator_us)),
    ("flow_cpu_above_signature_us", |r| Some(r.flow.server_cpu_us - r.flow.signature_us)),
];

/// Every bar.
const BARS: &[(&str, Bar)] = &[
    ("sqlite_vs_tpcb", Bar::AtLeast(60.0)),
    ("sqlite_vs_rowlock", Bar::AtLeast(30.0)),
    ("postgres_vs_tpcb", Bar::AtLeast(15.0)),
    ("postgres_vs_rowlock", Bar::AtLeast(8.0)),
    ("hot_vs_uniform", Bar::AtLeast(0.9)),
    ("cpu_10m_vs_300k", Bar::AtMost(1.3)),
    ("chain_share", Bar::AtMost(0.15)),
    ("flow_vs_tpcb", Bar::AtLeast(4.0)),
    ("flow_cpu_above_signature_us", Bar::AtMost(60.0)),
    ("flow_p99_ms", Bar::AtMost(25.0)),
    ("ledger_bytes_per_account", Bar::AtMost(200.0)),
    ("bytes_per_row_of_history", Bar::AtMost(1.0)),
    ("start_10m_s", Bar::AtMost(10.0)),
];

/// Cases that are told when a peer is not beaten: sending one order after the other gives a ledger nothing to share. Row
/// locks are the lean ones in them: they are faster.
const CASES: &[(&str, Of, Of)] = &[
    (
        "one order at a time on SQLite, beside 32 clients on lean row locks",
        |r| Some(r.sqlite_one.per_s),
        |r| Some(r.row_locks_lean.per_s),
    ),
    (
        "one order at a time on SQLite, beside one client of pgbench",
        |r| Some(r.sqlite_one.per_s),
        |r| Some(r.tpcb_one.per_s),
    ),
    (
        "one order at a time on PostgreSQL, beside 32 clients on lean row locks",
        |r| Some(r.postgres_one.per_s),
        |r| Some(r.row_locks_lean.per_s),
    ),
    (
        "one order at a time on PostgreSQL, beside one client of pgbench",
        |r| Some(r.postgres_one.per_s),
        |r| Some(r.tpcb_one.per_s),
    ),
    (
        "signed single payments over HTTP, beside 32 clients on lean row locks without a signature",
        |r| Some(r.flow.per_s),
        |r| Some(r.row_locks_lean.per_s),
    ),
];

/// Peers that could not be had.
const SKIPPED: &[(&str, &str)] = &[
    (
        "pgledger",
        "its licence allows it, but no package registry has it: its SQL is published in its source repository only",
    ),
    (
        "TigerBeetle",
        "Debian has no package of it, and the compiler that builds it is no tool of this repository",
    ),
];

fn by(above: f64, below: f64) -> Option<f64> {
    (below > 0.0).then(|| above / below)
}

/// The middle of what the rounds have of a figure.
fn middle(rounds: &[Round], of: Of) -> Option<f64> {
    let values: Vec<f64> = rounds.iter().filter_map(of).collect();
    (!values.is_empty()).then(|| median(&values))
}

/// The lowest and the highest of a figure.
#[must_use]
pub fn range(rounds: &[Round], of: impl Fn(&Round) -> Option<f64>) -> Option<(f64, f64)> {
    let values: Vec<f64> = rounds.iter().filter_map(of).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (!values.is_empty()).then_some((low, high))
}

impl Report {
    /// Of these rounds.
    #[must_use]
    pub fn new(quick: bool, machine: Machine, memory: Memory, rounds: Vec<Round>) -> Self {
        let figures = |all: &[(&'static str, Of)]| -> Figures {
            all.iter().map(|(name, of)| (*name, middle(&rounds, *of))).collect()
        };
        let (medians, ratios) = (figures(MEDIANS), figures(RATIOS));
        let value = |name: &str| match name {
            "ledger_bytes_per_account" => Some(memory.ledger_bytes_per_account),
            "bytes_per_row_of_history" => memory.bytes_per_row_of_history,
            _ => ratios.get(name).or_else(|| medians.get(name)).copied().flatten(),
        };
        let targets = BARS.iter().map(|&(name, bar)| {
            let value = value(name);
            Target { name, bar, value, met: value.map(|value| bar.met(value)) }
        });
        Self {
            quick,
            machine,
            postgres_settings: crate::cluster::SETTINGS.iter().copied().collect(),
            targets: targets.collect(),
            losing: losing(&rounds),
            rounds,
            medians,
            ratios,
            memory,
            skipped: SKIPPED.iter().copied().collect(),
        }
    }

    /// A figure by its name; zero when there is none.
    #[must_use]
    pub fn figure(&self, name: &str) -> f64 {
        let found = self.medians.get(name).or_else(|| self.ratios.get(name));
        found.copied().flatten().unwrap_or(0.0)
    }
}

fn losing(rounds: &[Round]) -> Vec<Losing> {
    let mut all = Vec::new();
    for &(case, ours, theirs) in CASES {
        let ratios: Vec<f64> =
            rounds.iter().filter_map(|round| by(ours(round)?, theirs(round)?)).collect();
        let ratio = median(&ratios);
        if ratio < 1.0
            && let (Some(ours_per_s), Some(theirs_per_s)) =
                (middle(rounds, ours), middle(rounds, theirs))
        {
            all.push(Losing { case, ours_per_s, theirs_per_s, ratio });
        }
    }
    all
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn round(times: f64) -> Round {
        let run = |per_s: f64, cpu_us: f64| Run {
            orders: 1,
            transfers: 1,
            per_s: per_s * times,
            cpu_us,
            server_cpu_us: 0.0,
            latency: Latency::default(),
            repeats: 1,
        };
        let peer = |per_s: f64| Peer { per_s, mean_ms: 1.0, server_cpu_us: 1.0 };
        Round {
            disk: Disk { latency: Latency { p50_ms: 0.2, ..Latency::default() } },
            sqlite: run(400_000.0, 2.0),
            sqlite_zipf: run(390_000.0, 2.0),
            sqlite_hot: run(380_000.0, 2.0),
            sqlite_10m: Some(run(390_000.0, 2.2)),
            sqlite_one: run(2_000.0, 80.0),
            sqlite_paced: Paced { due_per_s: 280_000.0, latency: Latency::default() },
            start_10m_s: Some(4.0),
            postgres: run(100_000.0, 9.0),
            postgres_hot: run(95_000.0, 9.0),
            postgres_one: run(1_000.0, 200.0),
            tpcb: peer(5_000.0),
            tpcb_one: peer(900.0),
            row_locks: peer(8_000.0),
            row_locks_hot: peer(1_000.0),
            row_locks_lean: peer(10_000.0),
            hashing_us: 0.2,
            ledger_us: 0.6,
            generator_us: 0.1,
            flow: Flow {
                connections: 256,
                per_s: 25_000.0 * times,
                p99_ms: 20.0,
                server_cpu_us: 90.0,
                signature_us: 37.0,
            },
            bare: Bare {
                connections: 256,
                per_s: 40_000.0 * times,
                server_cpu_us: 40.0,
                answer_len: 5_600,
            },
        }
    }

    pub(crate) fn report(quick: bool) -> Report {
        let memory = Memory {
            accounts: 1_000_000,
            ledger_bytes_per_account: 150.0,
            engine_bytes_per_account: 180.0,
            bytes_per_row_of_history: Some(0.1),
        };
        let machine = Machine { processor: "a <fast> & loud one".to_owned(), ..Machine::default() };
        Report::new(quick, machine, memory, vec![round(0.5), round(1.0), round(1.1)])
    }

    #[test]
    fn every_key_that_others_read_is_there() {
        let mut rounds = vec![round(1.0)];
        for round in &mut rounds {
            (round.sqlite_10m, round.start_10m_s) = (None, None);
        }
        let report = Report::new(true, Machine::default(), Memory::default(), rounds);
        let json = serde_json::to_value(&report).unwrap();
        for key in ["rounds", "medians", "ratios", "targets", "losing", "skipped", "machine"] {
            assert!(json.get(key).is_some(), "{key}");
        }
        let ratios = json["ratios"].as_object().unwrap();
        for key in [
            "sqlite_vs_tpcb",
            "sqlite_vs_rowlock",
            "sqlite_vs_rowlock_lean",
            "postgres_vs_tpcb",
            "postgres_vs_rowlock",
            "postgres_vs_rowlock_lean",
            "rowlock_hot_vs_uniform",
            "hot_vs_uniform",
            "cpu_10m_vs_300k",
            "flow_vs_tpcb",
            "flow_vs_bare",
            "bare_vs_tpcb",
        ] {
            let value = ratios.get(key).unwrap_or_else(|| panic!("no {key}"));
            assert_eq!(value.is_null(), key == "cpu_10m_vs_300k", "{key} is {value}");
        }
        let unknown = report.targets.iter().filter(|target| target.met.is_none());
        let unknown: Vec<_> = unknown.map(|target| target.name).collect();
        assert_eq!(unknown, ["cpu_10m_vs_300k", "bytes_per_row_of_history", "start_10m_s"]);
    }

    #[test]
    fn a_ratio_is_the_middle_of_the_ratios_of_each_round() {
        let mut rounds = vec![round(1.0), round(1.0), round(1.0)];
        // A round on a slow machine is slow for both, and changes no ratio.
        rounds[0].sqlite.per_s /= 10.0;
        rounds[0].tpcb.per_s /= 10.0;
        let report = Report::new(false, Machine::default(), Memory::default(), rounds);
        assert_eq!(report.ratios["sqlite_vs_tpcb"], Some(80.0));
    }

    #[test]
    fn bars_are_judged_on_both_sides() {
        let met = |report: &Report, name: &str| {
            report.targets.iter().find(|target| target.name == name).unwrap().met
        };
        let good = report(false);
        assert!(good.targets.iter().all(|target| target.met == Some(true)), "{:?}", good.targets);
        let mut slow = round(0.5);
        slow.sqlite_10m = Some(Run { cpu_us: 2.7, ..slow.sqlite });
        let memory = Memory { ledger_bytes_per_account: 201.0, ..good.memory };
        let bad = Report::new(false, Machine::default(), memory, vec![slow]);
        let missed = ["sqlite_vs_tpcb", "sqlite_vs_rowlock", "flow_vs_tpcb", "cpu_10m_vs_300k"];
        for name in missed.iter().chain(&["ledger_bytes_per_account"]) {
            assert_eq!(met(&bad, name), Some(false), "{name}");
        }
        assert_eq!(met(&bad, "hot_vs_uniform"), Some(true));
    }

    #[test]
    fn both_peers_with_row_locks_have_ratios_and_the_lean_one_has_no_bar() {
        let report = report(false);
        assert_eq!(report.ratios["sqlite_vs_rowlock"], Some(50.0));
        assert_eq!(report.ratios["sqlite_vs_rowlock_lean"], Some(40.0));
        assert_eq!(report.ratios["postgres_vs_rowlock_lean"], Some(10.0));
        assert!(report.targets.iter().all(|target| !target.name.ends_with("_lean")));
    }

    #[test]
    fn a_lost_case_is_told_and_a_won_one_is_not() {
        let lost = report(false).losing;
        let named = |case: &str| lost.iter().find(|lost| lost.case.starts_with(case));
        let alone = "one order at a time on SQLite, beside 32";
        assert_eq!(named(alone).map(|lost| lost.ratio), Some(0.2));
        assert_eq!(named("one order at a time on SQLite, beside one"), None);
        assert_eq!(named("signed single"), None);
    }
}
