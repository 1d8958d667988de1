//! `tpw policy …`: the policies that decide who may do what.

use super::{PolicyActivate, PolicyOps};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use tpw_access::policy::Zone;
use tpw_access::policy::cases::Relation;
use tpw_access::{Action, Role};

/// Policies on this machine, and those of a server.
#[derive(Subcommand)]
pub(crate) enum Policy {
    Status(PolicyOps),
    Activate(PolicyActivate),
    Rollback(PolicyOps),
    Prove(PolicyTest),
    Test(PolicyTest),
    Explain(Box<PolicyExplain>),
    Diff(PolicyDiff),
    Export(PolicyExport),
}

#[derive(Args)]
pub(crate) struct PolicyTest {
    #[arg(value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct PolicyDiff {
    #[arg(value_name = "DIR")]
    pub(crate) policies_before: PathBuf,
    #[arg(value_name = "DIR")]
    pub(crate) policies_after: PathBuf,
}

#[derive(Args)]
pub(crate) struct PolicyExport {
    #[arg(value_name = "DIR")]
    pub(crate) policies_to: PathBuf,
}

/// One question to the engine.
#[derive(Args)]
pub(crate) struct PolicyExplain {
    #[arg(long, value_name = "ACTION", value_parser = action)]
    pub(crate) action: Action,
    #[arg(long = "as", value_name = "ROLE", value_parser = role)]
    pub(crate) as_role: Vec<Role>,
    #[arg(long, value_name = "WHOSE", value_enum)]
    pub(crate) owner: Option<Whose>,
    #[arg(long, value_name = "WHOSE", value_enum)]
    pub(crate) initiator: Option<Whose>,
    #[arg(long, value_name = "AMOUNT", requires = "about_asset")]
    pub(crate) about_amount: Option<String>,
    #[arg(long, value_name = "ASSET", requires = "about_amount")]
    pub(crate) about_asset: Option<String>,
    #[arg(long, value_name = "SCORE", value_parser = clap::value_parser!(u32).range(..=1000))]
    pub(crate) risk: Option<u32>,
    #[arg(long, value_name = "SECONDS")]
    pub(crate) device_age: Option<u32>,
    #[arg(long, requires = "device_age")]
    pub(crate) device_attested: bool,
    #[arg(long, value_name = "COUNT", requires = "device_age", default_value_t = 0)]
    pub(crate) device_payments: u32,
    #[arg(long, requires = "device_age")]
    pub(crate) device_disowned: bool,
    #[arg(id = "asked_at", long = "at", value_name = "TIME")]
    pub(crate) at: Option<String>,
    #[arg(
        id = "asked_at_zone",
        long = "at-zone",
        value_name = "+HH:MM",
        requires = "asked_at",
        allow_hyphen_values = true
    )]
    pub(crate) at_zone: Option<Zone>,
    #[arg(long, value_name = "COUNT")]
    pub(crate) peers: Option<u32>,
    #[arg(id = "from_place", long = "place", value_name = "NAME")]
    pub(crate) place: Option<String>,
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
}

/// A person beside whoever asks.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Whose {
    Own,
    Other,
}

impl Whose {
    pub(crate) const fn relation(self) -> Relation {
        match self {
            Self::Own => Relation::Own,
            Self::Other => Relation::Other,
        }
    }
}

fn action(code: &str) -> Result<Action, String> {
    let all = || Action::ALL.iter().map(|action| action.code()).collect::<Vec<_>>().join(", ");
    Action::from_code(code).ok_or_else(all)
}

fn role(code: &str) -> Result<Role, String> {
    Role::from_code(code).ok_or_else(|| Role::ALL.map(Role::code).join(", "))
}
