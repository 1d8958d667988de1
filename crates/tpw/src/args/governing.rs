//! What an operator proves, and the policies of a server.

use super::{LoginWith, Operator};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// With what an operator proves who they are, beside the operator's key.
#[derive(Subcommand)]
pub(crate) enum OpsFactor {
    List,
    Password {
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
        #[arg(long, value_name = "FILE")]
        stolen: Option<PathBuf>,
    },
    Totp,
    Confirm {
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
    },
    Recovery,
    Passkey {
        #[arg(long)]
        security_key: bool,
    },
    Remove {
        #[arg(value_name = "FACTOR")]
        factor: String,
    },
}

/// Proves who the operator is, for what wants more than the key.
#[derive(Args)]
pub(crate) struct OpsLogin {
    #[arg(long = "with", value_enum, default_value = "password")]
    pub(crate) proof_with: LoginWith,
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
}

/// Policies of a server.
#[derive(Args)]
pub(crate) struct PolicyOps {
    #[command(flatten)]
    pub(crate) operator: Operator,
}

/// Policies that a server is to decide by.
#[derive(Args)]
pub(crate) struct PolicyActivate {
    #[command(flatten)]
    pub(crate) operator: Operator,
    #[arg(value_name = "DIR")]
    pub(crate) policies: PathBuf,
}
