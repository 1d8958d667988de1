//! With what a person proves who they are, beside the device.

use super::Device;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum FactorCommand {
    List {
        #[command(flatten)]
        device: Device,
    },
    Password {
        #[command(flatten)]
        device: Device,
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
        #[arg(long, value_name = "FILE")]
        stolen: Option<PathBuf>,
    },
    Totp {
        #[command(flatten)]
        device: Device,
    },
    Confirm {
        #[command(flatten)]
        device: Device,
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
    },
    Recovery {
        #[command(flatten)]
        device: Device,
    },
    Passkey {
        #[command(flatten)]
        device: Device,
        #[arg(long)]
        security_key: bool,
    },
    Evidence {
        #[command(flatten)]
        device: Device,
        #[arg(value_name = "PAYMENT")]
        payment: String,
        #[arg(id = "evidence_out", long = "out", value_name = "FILE")]
        out: PathBuf,
    },
    Judge(JudgeEvidence),
    Remove {
        #[command(flatten)]
        device: Device,
        #[arg(value_name = "FACTOR")]
        factor: String,
    },
}

/// Judges what was kept of a passkey's word for a payment.
#[derive(Args)]
pub(crate) struct JudgeEvidence {
    #[arg(id = "evidence_file", value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: PathBuf,
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: PathBuf,
    #[arg(long, value_name = "URL")]
    pub(crate) origin: String,
}

/// Proves who somebody is, for the session or for one payment.
#[derive(Args)]
pub(crate) struct Login {
    #[command(flatten)]
    pub(crate) device: Device,
    #[arg(long = "with", value_enum, default_value = "password")]
    pub(crate) proof_with: LoginWith,
    #[arg(long, value_name = "PAYMENT")]
    pub(crate) payment: Option<String>,
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LoginWith {
    Password,
    Totp,
    Recovery,
    Passkey,
}
