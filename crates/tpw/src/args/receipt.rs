//! `tpw receipt renew`, `plan` and `upgrade`: evidence records, and newer layers.

use super::{Device, HashFunction};
use clap::Args;
use std::path::PathBuf;

/// Receipts, and whom they are judged by.
#[derive(Args)]
pub(crate) struct Receipts {
    #[arg(value_name = "FILE|DIR", required = true)]
    pub(crate) receipts: Vec<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    #[arg(long, value_name = "DIR")]
    pub(crate) wallet: Option<PathBuf>,
}

/// One time-stamp for all receipts.
#[derive(Args)]
pub(crate) struct ReceiptRenew {
    #[command(flatten)]
    pub(crate) of: Receipts,
    #[arg(long = "tsa", value_name = "URL")]
    pub(crate) tsa_url: String,
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    #[arg(long = "hash", value_enum)]
    pub(crate) renewal_hash: Option<HashFunction>,
}

/// Receipts of this device, asked for once more.
#[derive(Args)]
pub(crate) struct ReceiptUpgrade {
    #[arg(value_name = "FILE|DIR", required = true)]
    pub(crate) receipts: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) device: Device,
}

/// What is due, and when.
#[derive(Args)]
pub(crate) struct ReceiptPlan {
    #[command(flatten)]
    pub(crate) of: Receipts,
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(0..=36_500))]
    pub(crate) within: u32,
}
