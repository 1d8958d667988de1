//! Under which policies a server stamps, and who else stamps its checkpoints.

use clap::Args;
use std::path::PathBuf;
use tpw_proof::timestamp::{TspError, check_policy};

/// The dotted object identifier of a time-stamp policy.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PolicyOid(pub(crate) String);

impl std::str::FromStr for PolicyOid {
    type Err = TspError;

    fn from_str(text: &str) -> Result<Self, TspError> {
        check_policy(text).map(|()| Self(text.to_owned()))
    }
}

#[derive(Args)]
pub(crate) struct Stamps {
    #[arg(long, value_name = "OID")]
    pub(crate) tsa_policy: Option<PolicyOid>,
    #[arg(long, value_name = "OID")]
    pub(crate) tsa_compat_policy: Option<PolicyOid>,
    #[arg(long, value_name = "OID")]
    pub(crate) tsa_pq_policy: Option<PolicyOid>,
    #[arg(long, value_name = "FILE")]
    pub(crate) timestamp_authority: Vec<PathBuf>,
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timestamp_every: u64,
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(u64).range(0..=2_592_000))]
    pub(crate) evidence_every: u64,
}
