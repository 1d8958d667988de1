//! The command line.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Turns a list of transfers into signed payments through the real API, and checks what came of them.
#[derive(Debug, Parser)]
#[command(name = "replay", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make up a list: nodes.csv and transactions.csv.
    Make {
        /// How many accounts.
        #[arg(long)]
        accounts: u32,
        /// How many transfers.
        #[arg(long)]
        transfers: u32,
        /// The same seed makes the same list.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The folder to write to.
        #[arg(long)]
        out: PathBuf,
    },
    /// Enrol all accounts and send all transfers; go on after an interruption; send a finished list once more.
    Run(Run),
    /// Verify every stored receipt.
    Verify {
        /// The folder of the run.
        #[arg(long)]
        state: PathBuf,
        /// Whom to trust; without it the file that the run kept.
        #[arg(long)]
        trust: Option<PathBuf>,
    },
    /// Print all balances as CSV.
    Balances {
        /// The server.
        #[command(flatten)]
        server: Server,
        /// The folder of the run.
        #[arg(long)]
        state: PathBuf,
    },
    /// All of it, with a server of its own.
    Story(Story),
    /// Measure.
    Bench {
        /// What to measure.
        #[command(subcommand)]
        bench: Bench,
    },
}

/// A server and its operator.
#[derive(Debug, Args)]
pub struct Server {
    /// Its address, https://…
    #[arg(long)]
    pub server: String,
    /// Where to connect to instead, host:port; several for servers that stand in for each other.
    #[arg(long, value_delimiter = ',')]
    pub connect: Vec<String>,
    /// The certificates to trust, PEM.
    #[arg(long)]
    pub ca: PathBuf,
    /// The operator's key file.
    #[arg(long)]
    pub operator_key: PathBuf,
    /// The most requests under way.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
}

/// `replay run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The server.
    #[command(flatten)]
    pub server: Server,
    /// The accounts: nodeid, isFraud, init_balance, fraudStep.
    #[arg(long)]
    pub nodes: PathBuf,
    /// The transfers: sourceNodeId, targetNodeId, value, time.
    #[arg(long)]
    pub transfers: PathBuf,
    /// Where statements, answers, receipts and keys are kept.
    #[arg(long)]
    pub state: PathBuf,
    /// The asset of all amounts.
    #[arg(long, default_value = "USD/2")]
    pub asset: String,
    /// The first transfers only.
    #[arg(long)]
    pub limit: Option<usize>,
    /// After how many statements their file is synced.
    #[arg(long, default_value_t = 256)]
    pub sync_every: usize,
    /// The server's process, for its processor time and memory.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// One JSON object on stdout.
    #[arg(long)]
    pub json: bool,
}

/// `replay story`.
#[derive(Debug, Args)]
pub struct Story {
    /// The folder with nodes.csv and transactions.csv.
    #[arg(long)]
    pub data: PathBuf,
    /// Where server and state lie; a folder that is removed afterwards by default.
    #[arg(long)]
    pub work: Option<PathBuf>,
    /// The program `tpw`; by default the one beside this one.
    #[arg(long)]
    pub tpw: Option<PathBuf>,
    /// The independent check of balances.
    #[arg(long, default_value = "bench/check_balances.py")]
    pub check: PathBuf,
    /// The asset of all amounts.
    #[arg(long, default_value = "USD/2")]
    pub asset: String,
    /// Screening rules in place of the built-in ones.
    #[arg(long)]
    pub rules: Option<PathBuf>,
    /// The first transfers only.
    #[arg(long)]
    pub limit: Option<usize>,
    /// The most payments under way.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
}

/// `replay bench`.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Latency at a fixed rate and throughput at the peak, beside a peer and the disk.
    Flow(Flow),
}

/// `replay bench flow`.
#[derive(Debug, Args)]
pub struct Flow {
    /// Payments per second of the open loop.
    #[arg(long, default_value_t = 500)]
    pub rate: u32,
    /// Seconds of each part of a round.
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// How many people pay.
    #[arg(long, default_value_t = 2_000)]
    pub payers: u32,
    /// One round of 3 seconds with 300 people: to see that it works.
    #[arg(long)]
    pub quick: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    pub json: bool,
    /// The program `tpw`; by default the one beside this one.
    #[arg(long)]
    pub tpw: Option<PathBuf>,
    /// Where the server lies; a folder that is removed afterwards by default.
    #[arg(long)]
    pub work: Option<PathBuf>,
}
