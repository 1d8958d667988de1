//! From the command line to the work.

use crate::error::BenchError;
use crate::rounds::{self, Size};
use clap::Parser;
use replay::say::{give, give_text, tell};
use replay::server::find_tpw;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures what makes and reads evidence beside what bounds it.
#[derive(Debug, Parser)]
#[command(name = "bench-evidence", version)]
struct Cli {
    /// One small round in under a minute, to see that it works.
    #[arg(long)]
    quick: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
    /// Rounds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Where the log lies while it is measured: a folder on the disk that is to be measured. By default below the system's
    /// folder for temporary files.
    #[arg(long)]
    work: Option<PathBuf>,
    /// The program `tpw`; by default the one beside this one.
    #[arg(long)]
    tpw: Option<PathBuf>,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(measure(&cli)),
        Err(error) => Err(BenchError::check(error)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn measure(cli: &Cli) -> Result<(), BenchError> {
    let size = if cli.quick { Size::quick() } else { Size::full(cli.rounds) };
    let tpw = cli.tpw.clone().map_or_else(find_tpw, Ok)?;
    let below = cli.work.clone().unwrap_or_else(std::env::temp_dir);
    std::fs::create_dir_all(&below).map_err(BenchError::io("make", &below))?;
    let work = tempfile::tempdir_in(&below).map_err(BenchError::io("make a folder in", &below))?;
    let report = rounds::measure(size, work.path(), &tpw).await?;
    if cli.json { Ok(give(&report)?) } else { Ok(give_text(&report.tables())?) }
}
