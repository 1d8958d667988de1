//! `tpw log …`: the log's audit, proofs and witnesses.

use clap::{ArgGroup, Args, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum Log {
    Fsck(Fsck),
    Prove(Prove),
    Consistency(Consistency),
    Prune(Prune),
    #[command(subcommand)]
    Witness(WitnessCommand),
    #[command(subcommand)]
    Mirror(MirrorCommand),
    Checkpoint {
        #[arg(long, value_name = "URL")]
        server: String,
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
    },
}

/// Which log: its public files in a folder or at an address, or a server of this product.
#[derive(Args)]
pub(crate) struct LogAt {
    #[arg(long, value_name = "DIR|URL", conflicts_with = "server")]
    pub(crate) log: Option<String>,
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

/// Whose signatures a checkpoint must have.
#[derive(Args)]
pub(crate) struct LogTrust {
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Fsck {
    #[arg(long, value_name = "DIR", conflicts_with_all = ["log", "server", "policy", "min_index"])]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) at: LogAt,
    #[command(flatten)]
    pub(crate) trusted: LogTrust,
    #[arg(long = "store", value_name = "URL", requires = "data")]
    pub(crate) books: Option<String>,
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    pub(crate) min_index: u64,
}

#[derive(Args)]
#[command(group(ArgGroup::new("entry").args(["entry_index", "receipt"]).required(true)))]
pub(crate) struct Prove {
    #[arg(id = "entry_index", long = "index", value_name = "INDEX")]
    pub(crate) index: Option<u64>,
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) at: LogAt,
    #[command(flatten)]
    pub(crate) trusted: LogTrust,
    #[arg(id = "proof_out", long = "out", value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Consistency {
    #[arg(value_name = "OLD")]
    pub(crate) old: String,
    #[arg(value_name = "NEW")]
    pub(crate) new: Option<String>,
    #[command(flatten)]
    pub(crate) at: LogAt,
    #[command(flatten)]
    pub(crate) trusted: LogTrust,
    #[arg(id = "proof_out", long = "out", value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum WitnessCommand {
    Serve(WitnessServe),
}

#[derive(Args)]
pub(crate) struct WitnessServe {
    #[arg(id = "witness_data", long = "data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    #[arg(id = "witness_name", long = "name", value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) logs: LogTrust,
    #[command(flatten)]
    pub(crate) listen: CosignerListen,
}

/// Where a witness or a mirror listens.
#[derive(Args)]
pub(crate) struct CosignerListen {
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8444")]
    pub(crate) listen: SocketAddr,
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Prune {
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    #[arg(id = "prune_before", long = "before", value_name = "INDEX")]
    pub(crate) before: u64,
    #[arg(id = "holders", long = "mirror", value_name = "NAME", requires = "policy")]
    pub(crate) mirrors: Vec<String>,
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    #[arg(long = "store", value_name = "URL")]
    pub(crate) books: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum MirrorCommand {
    Serve(MirrorServe),
    Pull(MirrorPull),
}

#[derive(Args)]
pub(crate) struct MirrorServe {
    #[arg(id = "mirror_data", long = "data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    #[arg(id = "mirror_name", long = "name", value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) logs: LogTrust,
    #[command(flatten)]
    pub(crate) listen: CosignerListen,
}

#[derive(Args)]
pub(crate) struct MirrorPull {
    #[command(flatten)]
    pub(crate) at: LogAt,
    #[command(flatten)]
    pub(crate) trusted: LogTrust,
    #[arg(id = "copy_to", long = "to", value_name = "DIR")]
    pub(crate) to: PathBuf,
}
