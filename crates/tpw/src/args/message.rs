//! Messages that the operator sent.

use super::Device;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum MessageCommand {
    List {
        #[command(flatten)]
        device: Device,
    },
    Verify {
        #[arg(id = "message_file", value_name = "FILE")]
        file: PathBuf,
        #[arg(id = "message_trust", long = "trust", value_name = "FILE")]
        trust: PathBuf,
        #[arg(id = "message_to", long = "to", value_name = "ADDRESS")]
        to: Option<String>,
    },
}
