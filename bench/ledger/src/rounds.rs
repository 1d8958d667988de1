//! The whole measurement: what is prepared once, each round's parts one after the other, and what they come to.

use crate::alone;
use crate::bare;
use crate::cluster::Cluster;
use crate::error::BenchError;
use crate::peers::{self, CLIENTS};
use crate::probe;
use crate::report::{Bare, Flow, Machine, Memory, Paced, Report, Round, Run};
use crate::row_locks;
use crate::subject::{Plan, Subject, config};
use crate::workload::{Shape, Workload};
use replay::bench::{Stage, disk};
use replay::say::tell;
use replay::server::Server;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tpw_engines::{Config, StoreConfig};

/// Accounts of the workload.
const ACCOUNTS: u32 = 10_000;
/// The number in the name of the cluster's socket.
const PORT: u16 = 5_561;
/// Payments under way in the whole flow.
const CONNECTIONS: usize = 256;
/// The share of the peak at which latency is measured.
const PACE: f64 = 0.7;

/// Our database in the cluster.
const DATABASE: &str = "ledger";

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// One small round.
    pub quick: bool,
    /// Rounds.
    pub rounds: u32,
    /// Orders that fill a history before it is measured.
    pub fill: usize,
    /// Orders that fill the long history; none in a quick run.
    pub fill_long: Option<usize>,
    /// Orders measured on SQLite.
    pub sqlite: usize,
    /// Orders measured on PostgreSQL.
    pub postgres: usize,
    /// Orders sent one by one.
    pub single: usize,
    /// Seconds of each peer, and of the whole flow.
    pub seconds: u64,
    /// Seconds of a peer whose figure only stands beside.
    pub seconds_beside: u64,
    /// People who pay through the whole flow.
    pub payers: u32,
    /// Accounts that are opened to see what one takes in memory.
    pub accounts: u64,
}

impl Size {
    /// The measurement that is published.
    #[must_use]
    pub const fn full(rounds: u32) -> Self {
        Self {
            quick: false,
            rounds,
            // Five rows for four orders or so: 0.3 and 10 million rows.
            fill: 290_000,
            fill_long: Some(9_700_000),
            sqlite: 600_000,
            postgres: 400_000,
            single: 4_000,
            seconds: 10,
            seconds_beside: 5,
            payers: 2_000,
            accounts: 1_000_000,
        }
    }

    /// One small round in under a minute.
    #[must_use]
    pub const fn quick() -> Self {
        Self {
            quick: true,
            rounds: 1,
            fill: 290_000,
            fill_long: None,
            sqlite: 300_000,
            postgres: 120_000,
            single: 500,
            seconds: 3,
            seconds_beside: 1,
            payers: 300,
            accounts: 100_000,
        }
    }
}

/// All that a round needs.
pub struct Bench {
    size: Size,
    work: PathBuf,
    cluster: Arc<Cluster>,
    stage: Stage,
    bare: Server,
    long: Option<Long>,
}

/// The engine with the long history, between rounds.
struct Long {
    subject: Subject,
    work: Workload,
    folder: PathBuf,
    /// How long the history is.
    rows: u64,
}

impl std::fmt::Debug for Bench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bench").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Measures all rounds in the folder `work`, with the program `tpw`.
///
/// # Errors
/// [`BenchError`].
pub async fn measure(size: Size, work: &Path, tpw: &Path) -> Result<Report, BenchError> {
    let before = load_average();
    let mut bench = Bench::set_up(size, work, tpw).await?;
    let mut rounds = Vec::new();
    for number in 1..=size.rounds {
        let round = bench.round().await?;
        tell(&told(number, &round));
        rounds.push(round);
    }
    let memory = bench.memory().await?;
    let machine = Machine { load_average: (before, load_average()), ..machine(&bench.cluster)? };
    bench.stage.server.stop()?;
    Ok(Report::new(size.quick, machine, memory, rounds))
}

impl Bench {
    async fn set_up(size: Size, work: &Path, tpw: &Path) -> Result<Self, BenchError> {
        tell("starting PostgreSQL and the whole flow");
        let cluster = Arc::new(Cluster::start(work, PORT)?);
        peers::prepare_tpcb(&cluster)?;
        row_locks::prepare(&cluster)?;
        let folder = work.join("flow");
        std::fs::create_dir_all(&folder).map_err(BenchError::io("make", &folder))?;
        let flow = replay::bench::Flow {
            tpw: tpw.to_owned(),
            rate: 0,
            part: Duration::from_secs(size.seconds_beside),
            rounds: 0,
            payers: size.payers,
            closed: Vec::new(),
        };
        let stage = flow.set_up(&folder).await?;
        let own = std::env::current_exe();
        let own = own.map_err(|error| BenchError::program("bench-ledger", error.to_string()))?;
        let bare = bare::start(&own, &stage, &work.join("bare"))?;
        let mut bench = Self { size, work: work.to_owned(), cluster, stage, bare, long: None };
        if let Some(orders) = size.fill_long {
            bench.long = Some(bench.fill_long(orders).await?);
        }
        Ok(bench)
    }

    async fn fill_long(&self, orders: usize) -> Result<Long, BenchError> {
        let folder = self.work.join("long");
        let mut subject = Subject::open(&folder, config()?)?;
        subject.open_accounts(ACCOUNTS).await?;
        let mut work = Workload::new(1, Shape::Uniform, ACCOUNTS);
        let run = subject.run(&mut work, Plan::peak(orders)).await?;
        tell(&format!("filled {} rows at {:.0}/s", run.transfers, run.per_s));
        Ok(Long { subject, work, folder, rows: run.transfers })
    }

    async fn round(&mut self) -> Result<Round, BenchError> {
        let seconds = (self.size.seconds, self.size.seconds_beside);
        let disk = disk::measure(&self.work.join("disk"), 500)?;
        let sqlite = self.sqlite(Shape::Uniform).await?;
        let tpcb = peers::tpcb(&self.cluster, CLIENTS, seconds.0)?;
        let postgres = self.postgres(Shape::Uniform).await?;
        let row_locks = row_locks::measure(&self.cluster, Shape::Uniform, CLIENTS, seconds.0)?;
        let row_locks_lean = peers::row_locks_lean(&self.cluster, CLIENTS, seconds.0)?;
        let sqlite_hot = self.sqlite(Shape::Hot).await?;
        let flow = self.flow(seconds.0).await?;
        let bare = self.bare(seconds.1).await?;
        let sqlite_zipf = self.sqlite(Shape::Zipf).await?;
        let postgres_hot = self.postgres(Shape::Hot).await?;
        let row_locks_hot = row_locks::measure(&self.cluster, Shape::Hot, CLIENTS, seconds.1)?;
        let tpcb_one = peers::tpcb(&self.cluster, 1, seconds.1)?;
        let (sqlite_10m, start_10m_s) = match self.long().await? {
            Some((run, start)) => (Some(run), Some(start.as_secs_f64())),
            None => (None, None),
        };
        Ok(Round {
            disk,
            sqlite: sqlite.peak,
            sqlite_zipf: sqlite_zipf.peak,
            sqlite_hot: sqlite_hot.peak,
            sqlite_10m,
            sqlite_one: sqlite.one,
            sqlite_paced: sqlite.paced,
            start_10m_s,
            postgres: postgres.0,
            postgres_hot: postgres_hot.0,
            postgres_one: postgres.1,
            tpcb,
            tpcb_one,
            row_locks,
            row_locks_hot,
            row_locks_lean,
            hashing_us: alone::hashing_us(),
            ledger_us: alone::ledger_us(Shape::Uniform, ACCOUNTS)?,
            generator_us: alone::generator_us(Shape::Uniform, ACCOUNTS),
            flow,
            bare,
        })
    }

    /// A new folder for each part: every round begins with the same history.
    fn new_folder(&self) -> Result<tempfile::TempDir, BenchError> {
        settle_disk();
        let made = tempfile::Builder::new().prefix("books-").tempdir_in(&self.work);
        made.map_err(BenchError::io("make a folder in", &self.work))
    }

    async fn sqlite(&self, shape: Shape) -> Result<OnSqlite, BenchError> {
        let folder = self.new_folder()?;
        let mut subject = Subject::open(folder.path(), config()?)?;
        subject.open_accounts(ACCOUNTS).await?;
        let mut work = Workload::new(1, shape, ACCOUNTS);
        subject.run(&mut work, Plan::peak(self.size.fill)).await?;
        let peak = subject.run(&mut work, Plan::peak(self.size.sqlite)).await?;
        let (mut one, mut paced) = (peak, Paced { due_per_s: 0.0, latency: peak.latency });
        if shape == Shape::Uniform {
            let time = Duration::from_secs(self.size.seconds_beside);
            paced = subject.run_paced(&mut work, peak.per_s * PACE, time).await?;
            one = subject.run(&mut work, Plan::one_by_one(self.size.single)).await?;
        }
        subject.check().await?;
        subject.close();
        Ok(OnSqlite { peak, paced, one })
    }

    async fn postgres(&self, shape: Shape) -> Result<(Run, Run), BenchError> {
        let folder = self.new_folder()?;
        self.cluster.fresh(DATABASE)?;
        self.cluster.sql(DATABASE, "CHECKPOINT")?;
        let store = StoreConfig::Postgres(self.cluster.url(DATABASE));
        let cluster = Arc::clone(&self.cluster);
        let mut subject = Subject::open(folder.path(), Config { store, ..config()? })?
            .with_server(move || cluster.cpu_s());
        subject.open_accounts(ACCOUNTS).await?;
        let mut work = Workload::new(1, shape, ACCOUNTS);
        subject.run(&mut work, Plan::peak(self.size.fill)).await?;
        let peak = subject.run(&mut work, Plan::peak(self.size.postgres)).await?;
        let one = match shape {
            Shape::Uniform => subject.run(&mut work, Plan::one_by_one(self.size.single)).await?,
            Shape::Zipf | Shape::Hot => peak,
        };
        subject.check().await?;
        subject.close();
        Ok((peak, one))
    }

    async fn long(&mut self) -> Result<Option<(Run, Duration)>, BenchError> {
        let Some(Long { subject, mut work, folder, rows }) = self.long.take() else {
            return Ok(None);
        };
        settle_disk();
        let (mut subject, start) = subject.restarted(&folder, config()?).await?;
        let run = subject.run(&mut work, Plan::peak(self.size.sqlite)).await?;
        subject.check().await?;
        let rows = rows.saturating_add(run.transfers);
        self.long = Some(Long { subject, work, folder, rows });
        Ok(Some((run, start)))
    }

    async fn flow(&self, seconds: u64) -> Result<Flow, BenchError> {
        let part = self.stage.closed(CONNECTIONS, Duration::from_secs(seconds)).await?;
        if part.other > 0 {
            let text = format!("{} payments of the whole flow were not booked", part.other);
            return Err(BenchError::Check(text));
        }
        Ok(Flow {
            connections: CONNECTIONS,
            per_s: part.per_s,
            p99_ms: part.latency.p99_ms,
            server_cpu_us: 1e6 * part.server_cpu_s / number(part.booked.max(1)),
            signature_us: alone::signature_us()?,
        })
    }

    async fn bare(&self, seconds: u64) -> Result<Bare, BenchError> {
        let time = Duration::from_secs(seconds);
        let part = self.stage.closed_at(&self.bare, CONNECTIONS, time).await?;
        if part.other > 0 {
            let text = format!("{} payments were refused by the bare server", part.other);
            return Err(BenchError::Check(text));
        }
        Ok(Bare {
            connections: CONNECTIONS,
            per_s: part.per_s,
            server_cpu_us: 1e6 * part.server_cpu_s / number(part.booked.max(1)),
            answer_len: part.receipt_len,
        })
    }

    async fn memory(&mut self) -> Result<Memory, BenchError> {
        let accounts = self.size.accounts;
        let folder = self.new_folder()?;
        let engine_bytes_per_account = probe::engine_account(accounts, folder.path())?;
        let bytes_per_row_of_history = match self.long.take() {
            Some(long) => Some(self.growth(long).await?),
            None => None,
        };
        Ok(Memory {
            accounts,
            ledger_bytes_per_account: probe::ledger_account(accounts)?,
            engine_bytes_per_account,
            bytes_per_row_of_history,
        })
    }

    /// What a row of history costs in memory: an engine with the long one beside an engine with a short one.
    async fn growth(&self, long: Long) -> Result<f64, BenchError> {
        long.subject.close();
        let folder = self.new_folder()?;
        let mut short = Subject::open(folder.path(), config()?)?;
        short.open_accounts(ACCOUNTS).await?;
        let mut work = Workload::new(1, Shape::Uniform, ACCOUNTS);
        let rows = short.run(&mut work, Plan::peak(self.size.fill)).await?.transfers;
        short.close();
        let (less, more) = (probe::start(folder.path())?, probe::start(&long.folder)?);
        let between = usize::try_from(long.rows.saturating_sub(rows)).unwrap_or(usize::MAX);
        Ok((more - less) / number(between.max(1)))
    }
}

/// What the engine did on SQLite.
struct OnSqlite {
    peak: Run,
    paced: Paced,
    one: Run,
}

/// Waits until the disk has what earlier parts left in memory: it is not the next part's to pay.
fn settle_disk() {
    // Without the program the next part has a little more to do.
    let _absent = std::process::Command::new("sync").status();
}

fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

fn machine(cluster: &Cluster) -> Result<Machine, BenchError> {
    let line = |path: &str, start: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let found = text.lines().find_map(|line| line.strip_prefix(start));
        found.map(|rest| rest.trim_start_matches([' ', '\t', ':']).trim().to_owned())
    };
    let kib = line("/proc/meminfo", "MemTotal:").unwrap_or_default();
    let kib = kib.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0);
    Ok(Machine {
        processor: line("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        memory_gib: kib.div_ceil(1024 * 1024),
        postgres: cluster.version()?,
        load_average: (0.0, 0.0),
    })
}

fn told(number: u32, round: &Round) -> String {
    format!(
        "round {number}: SQLite {:.0}/s ({:.2} µs), hot {:.0}, Zipf {:.0}, single {:.0}; PostgreSQL {:.0}/s ({:.2} µs), hot {:.0}; \
         TPC-B-like {:.0}, row locks {:.0}, hot {:.0}, lean {:.0}; flow {:.0}/s p99 {:.0} ms, bare {:.0}/s; fdatasync {:.2} ms",
        round.sqlite.per_s,
        round.sqlite.cpu_us,
        round.sqlite_hot.per_s,
        round.sqlite_zipf.per_s,
        round.sqlite_one.per_s,
        round.postgres.per_s,
        round.postgres.cpu_us,
        round.postgres_hot.per_s,
        round.tpcb.per_s,
        round.row_locks.per_s,
        round.row_locks_hot.per_s,
        round.row_locks_lean.per_s,
        round.flow.per_s,
        round.flow.p99_ms,
        round.bare.per_s,
        round.disk.latency.p50_ms,
    )
}

#[expect(clippy::cast_precision_loss, reason = "counts of any benchmark fit a double exactly")]
fn number(value: usize) -> f64 {
    value as f64
}
