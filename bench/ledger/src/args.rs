//! The command line.

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Measures the ledger beside its peers and writes the figures into the page about performance.
#[derive(Debug, Parser)]
#[command(name = "bench-ledger", version)]
pub struct Cli {
    /// One small round in under a minute, to see that it works; writes no page.
    #[arg(long)]
    pub quick: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    pub json: bool,
    /// Rounds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Where the books lie while they are measured: a folder on the disk that is to be measured. By default below
    /// the system's folder for temporary files.
    #[arg(long)]
    pub work: Option<PathBuf>,
    /// The program `tpw`; by default the one beside this one.
    #[arg(long)]
    pub tpw: Option<PathBuf>,
    /// What this program does for itself, as a process of its own.
    #[command(subcommand)]
    pub own: Option<Own>,
}

/// What needs a process of its own.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub enum Own {
    /// The bare server, until it is killed.
    Bare {
        /// What it needs, and where it writes its address.
        folder: PathBuf,
        /// The certificate that it shows.
        certificate: PathBuf,
        /// The key of that.
        key: PathBuf,
    },
    /// Something small that is measured.
    #[command(flatten)]
    Probe(Probe),
}

/// What a process that has done nothing else can tell of memory. Prints one number.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub enum Probe {
    /// Bytes that an account takes in the ledger.
    LedgerAccount {
        /// How many are opened.
        accounts: u64,
    },
    /// Bytes that an account takes in the whole engine.
    EngineAccount {
        /// How many are opened.
        accounts: u32,
        /// An empty folder.
        folder: PathBuf,
    },
    /// Bytes that an engine takes after its start.
    Start {
        /// The folder of an engine that was stopped.
        folder: PathBuf,
    },
}
