//! Receipts in other forms.

use clap::{Args, ValueEnum};
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
}
