//! Receipts in other forms.

use super::{LogAt, LogTrust};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// A receipt for paper.
#[derive(Args)]
pub(crate) struct Print {
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[arg(long, value_enum, default_value = "html")]
    pub(crate) format: PrintFormat,
    #[arg(id = "print_out", long = "out", short = 'o', value_name = "FILE")]
    pub(crate) out: PathBuf,
    #[arg(long, value_name = "FILE", required_if_eq("format", "pdf"))]
    pub(crate) font: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    #[arg(long, value_name = "DIR")]
    pub(crate) wallet: Option<PathBuf>,
}

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrintFormat {
    /// A page that needs nothing beside it.
    Html,
    /// A page that verifies the receipt inside it whenever it is opened.
    SelfVerifying,
    /// PDF/A-3 with the receipt inside.
    Pdf,
}

/// As what a receipt is exported.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// Loose files in a folder, with a guide.
    Files,
    /// An ASiC-S container of the time-stamp.
    Asic,
    /// An ASiC-S container of the evidence record.
    AsicErs,
}

/// OpenTimestamps.
#[derive(Subcommand)]
pub(crate) enum Ots {
    Stamp(OtsStamp),
    Upgrade(OtsUpgrade),
    Verify(OtsVerify),
    Attach(OtsAttach),
    Info {
        #[arg(id = "proof_file", value_name = "FILE.ots")]
        file: PathBuf,
    },
}

/// The calendars that may be asked.
#[derive(Args)]
pub(crate) struct Calendars {
    #[arg(long = "calendar", value_name = "URL", required = true)]
    pub(crate) calendars: Vec<String>,
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct OtsStamp {
    #[arg(id = "stamped_file", value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) at: Calendars,
    #[arg(id = "ots_out", long = "out", value_name = "FILE.ots")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct OtsUpgrade {
    #[arg(id = "proof_file", value_name = "FILE.ots")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) at: Calendars,
}

#[derive(Args)]
#[command(group(ArgGroup::new("proved").required(true).args(["ots_data", "ots_digest"])))]
pub(crate) struct OtsVerify {
    #[arg(id = "proof_file", value_name = "FILE.ots")]
    pub(crate) file: PathBuf,
    #[arg(id = "ots_data", long = "data", value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    #[arg(id = "ots_digest", long = "digest", value_name = "HEX")]
    pub(crate) digest: Option<String>,
    #[arg(long, value_name = "FILE")]
    pub(crate) headers: PathBuf,
    #[arg(long, value_name = "HEIGHT", default_value_t = 0)]
    pub(crate) first_height: u64,
    #[arg(long, value_enum, default_value = "main")]
    pub(crate) network: BlockNetwork,
}

/// A proof over a checkpoint, for receipts of its log.
#[derive(Args)]
pub(crate) struct OtsAttach {
    #[arg(id = "anchored_receipts", value_name = "RECEIPT", required = true)]
    pub(crate) receipts: Vec<PathBuf>,
    #[arg(id = "ots_proof", long = "proof", value_name = "FILE.ots")]
    pub(crate) proof: PathBuf,
    #[arg(id = "stamped_checkpoint", long = "checkpoint", value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) known: KnownHeaders,
    #[command(flatten)]
    pub(crate) at: LogAt,
    #[command(flatten)]
    pub(crate) trusted: LogTrust,
}

/// Bitcoin block headers that the verifier knows.
#[derive(Args)]
pub(crate) struct KnownHeaders {
    #[arg(long, value_name = "FILE")]
    pub(crate) headers: Option<PathBuf>,
    #[arg(long, value_name = "HEIGHT", default_value_t = 0)]
    pub(crate) first_height: u64,
    #[arg(long, value_enum, default_value = "main")]
    pub(crate) network: BlockNetwork,
}

/// Whose block headers are given.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BlockNetwork {
    /// Bitcoin.
    Main,
    /// Blocks for tests.
    Regtest,
}
