//! What the policies decided, and who asked for one's data.

use super::{Device, Operator};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum Audit {
    Decisions(Box<AuditDecisions>),
    Show {
        #[command(flatten)]
        operator: Operator,
        #[arg(value_name = "DECISION")]
        decision: String,
        #[arg(id = "decision_to", long = "out", value_name = "FILE")]
        out: Option<PathBuf>,
    },
    Accesses {
        #[command(flatten)]
        device: Device,
    },
    Verify {
        #[arg(id = "decision_proof", value_name = "FILE")]
        proof: PathBuf,
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
    },
}

/// Which decisions.
#[derive(Args)]
pub(crate) struct AuditDecisions {
    #[command(flatten)]
    pub(crate) operator: Operator,
    #[arg(id = "decision_actor", long = "actor", value_name = "PERSON|CLIENT")]
    pub(crate) actor: Option<String>,
    #[arg(id = "decision_owner", long = "owner", value_name = "PERSON")]
    pub(crate) owner: Option<String>,
    #[arg(id = "decision_resource", long = "resource", value_name = "ID")]
    pub(crate) resource: Option<String>,
    #[arg(id = "decision_action", long = "action", value_name = "ACTION")]
    pub(crate) action: Option<String>,
    #[arg(id = "decision_from", long = "from", value_name = "TIME")]
    pub(crate) from: Option<String>,
    #[arg(id = "decision_until", long = "until", value_name = "TIME", requires = "decision_from")]
    pub(crate) until: Option<String>,
    #[arg(id = "decision_after", long = "after", value_name = "CURSOR", default_value_t = 0)]
    pub(crate) after: u64,
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=250))]
    pub(crate) limit: u16,
}
