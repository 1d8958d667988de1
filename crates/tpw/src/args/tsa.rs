//! `tpw tsa …`: time-stamps.

use clap::{ArgGroup, Args, Subcommand};
use std::path::PathBuf;

/// RFC 3161, with the meaning of `openssl ts`.
#[derive(Subcommand)]
pub(crate) enum Tsa {
    Query(TsaQuery),
    Reply(TsaReply),
    Verify(TsaVerify),
    Rotate(TsaFolder),
    Destroy(TsaFolder),
}

/// The data folder of the authority whose key is changed.
#[derive(Args)]
pub(crate) struct TsaFolder {
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
}

/// A request made of a file or a hash, or one that is shown.
#[derive(Args)]
#[command(group(ArgGroup::new("asked-for").required(true).args(["stamped", "digest", "input"])))]
pub(crate) struct TsaQuery {
    #[arg(long = "data", value_name = "FILE")]
    pub(crate) stamped: Option<PathBuf>,
    #[arg(long, value_name = "HEX")]
    pub(crate) digest: Option<String>,
    #[arg(long = "in", value_name = "FILE", conflicts_with = "to_file")]
    pub(crate) input: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "sha256")]
    pub(crate) hash: HashFunction,
    #[arg(long = "cert")]
    pub(crate) with_certificate: bool,
    #[arg(long)]
    pub(crate) no_nonce: bool,
    #[arg(long = "policy", value_name = "OID")]
    pub(crate) stamp_policy: Option<String>,
    #[arg(long = "out", value_name = "FILE", required_unless_present = "input")]
    pub(crate) to_file: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum HashFunction {
    Sha256,
    Sha384,
    Sha512,
}

/// A request answered with a key of this machine, or an answer that is shown.
#[derive(Args)]
#[command(group(ArgGroup::new("answered").required(true).args(["asked", "input"])))]
pub(crate) struct TsaReply {
    #[arg(long = "in", value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    #[arg(long = "query", value_name = "FILE", requires_all = ["signer", "signing_key", "stamp_policy", "to_file"])]
    pub(crate) asked: Option<PathBuf>,
    #[arg(long, value_name = "FILE", requires = "asked")]
    pub(crate) signer: Option<PathBuf>,
    #[arg(long = "key", value_name = "FILE", requires = "asked")]
    pub(crate) signing_key: Option<PathBuf>,
    #[arg(long = "policy", value_name = "OID", requires = "asked")]
    pub(crate) stamp_policy: Option<String>,
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(crate) accuracy: u64,
    #[arg(long = "out", value_name = "FILE", requires = "asked")]
    pub(crate) to_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct TsaVerify {
    #[arg(long = "data", value_name = "FILE")]
    pub(crate) stamped: PathBuf,
    #[arg(long, value_name = "FILE")]
    pub(crate) token: PathBuf,
    #[arg(long, value_name = "FILE")]
    pub(crate) roots: PathBuf,
    #[arg(long, value_name = "FILE")]
    pub(crate) untrusted: Option<PathBuf>,
    #[arg(long = "query", value_name = "FILE")]
    pub(crate) asked: Option<PathBuf>,
    #[arg(long = "policy", value_name = "OID")]
    pub(crate) stamp_policies: Vec<String>,
    #[arg(long = "proof", value_name = "FILE", requires = "log_trust")]
    pub(crate) token_proof: Option<PathBuf>,
    #[arg(long = "trust", value_name = "FILE", requires = "token_proof")]
    pub(crate) log_trust: Option<PathBuf>,
}
