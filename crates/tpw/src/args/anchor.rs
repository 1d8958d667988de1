//! `tpw anchor …`: the log's heads on an EVM chain.

use super::{LogAt, LogTrust};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum Anchor {
    Init(AnchorFolder),
    Deploy(AnchorChain),
    Once(AnchorOnce),
    Run(AnchorRun),
    Attach(AnchorAttach),
    Trust(AnchorTrust),
    Status(AnchorFolder),
}

/// Where the account's key, the journal and the proofs are.
#[derive(Args)]
pub(crate) struct AnchorFolder {
    #[arg(id = "anchor_data", long = "data", value_name = "DIR")]
    pub(crate) data: PathBuf,
}

/// A node of the chain, and what may be paid.
#[derive(Args)]
pub(crate) struct AnchorChain {
    #[command(flatten)]
    pub(crate) folder: AnchorFolder,
    #[arg(long, value_name = "URL|file:PATH")]
    pub(crate) rpc: String,
    #[arg(long, value_name = "FILE")]
    pub(crate) rpc_ca: Option<PathBuf>,
    #[arg(long, value_name = "GWEI", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) max_fee: u64,
    #[arg(long, value_name = "BLOCKS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) patience: u64,
}

/// A server that anchors its own log.
#[derive(Args)]
pub(crate) struct ServeAnchor {
    #[arg(id = "anchor_folder", long = "anchor", value_name = "DIR", requires = "anchor_rpc")]
    pub(crate) folder: Option<PathBuf>,
    #[arg(long, value_name = "URL|file:PATH", requires = "anchor_folder")]
    pub(crate) anchor_rpc: Option<String>,
    #[arg(long, value_name = "FILE", requires = "anchor_folder")]
    pub(crate) anchor_rpc_ca: Option<PathBuf>,
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(crate) anchor_every: String,
    #[arg(long, value_name = "TIME", default_value = "15s")]
    pub(crate) anchor_poll: String,
    #[arg(long, value_name = "GWEI", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) anchor_max_fee: u64,
    #[arg(long, value_name = "BLOCKS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) anchor_patience: u64,
}

#[derive(Args)]
pub(crate) struct AnchorOnce {
    #[command(flatten)]
    pub(crate) chain: AnchorChain,
    #[command(flatten)]
    pub(crate) at: LogAt,
    #[command(flatten)]
    pub(crate) trusted: LogTrust,
}

#[derive(Args)]
pub(crate) struct AnchorRun {
    #[command(flatten)]
    pub(crate) once: AnchorOnce,
    #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) every: u64,
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) poll: u64,
}

/// A trust file that knows the chain and the contract.
#[derive(Args)]
pub(crate) struct AnchorTrust {
    #[command(flatten)]
    pub(crate) folder: AnchorFolder,
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: PathBuf,
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Args)]
pub(crate) struct AnchorAttach {
    #[arg(id = "anchored_receipts", value_name = "RECEIPT", required = true)]
    pub(crate) receipts: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) folder: AnchorFolder,
    #[command(flatten)]
    pub(crate) at: LogAt,
    #[command(flatten)]
    pub(crate) trusted: LogTrust,
}
