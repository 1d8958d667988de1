#![doc = include_str!("../README.md")]

mod args;
pub mod client;
mod commands;
pub mod device;
pub mod exit;
pub mod say;

use std::process::ExitCode;

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    commands::run()
}
