//! From the command line to the work.

use crate::args::{Cli, Own, Probe};
use crate::error::BenchError;
use crate::report::Report;
use crate::rounds::{self, Size};
use crate::{bare, chart, page, probe};
use clap::Parser as _;
use replay::say::{give, give_text, tell};
use replay::server::find_tpw;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tempfile::TempDir;

/// The page that has the figures, from the root of the repository.
const PAGE: &str = "docs/reference/performance.md";
/// The chart beside it.
const CHART: &str = "docs/reference/ledger.svg";

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(&cli)),
        Err(error) => Err(BenchError::program("tokio", error.to_string())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(cli: &Cli) -> Result<(), BenchError> {
    match &cli.own {
        Some(Own::Bare { folder, certificate, key }) => bare::serve(folder, certificate, key).await,
        Some(Own::Probe(probe)) => answer(probe).await,
        None => measure(cli).await,
    }
}

async fn answer(asked: &Probe) -> Result<(), BenchError> {
    let number = probe::answer(asked).await?;
    Ok(give_text(&format!("{number}\n"))?)
}

async fn measure(cli: &Cli) -> Result<(), BenchError> {
    let size = if cli.quick { Size::quick() } else { Size::full(cli.rounds) };
    if !cli.quick {
        // Better now than after a quarter of an hour.
        page::has_marks(Path::new(PAGE))?;
    }
    let tpw = cli.tpw.clone().map_or_else(find_tpw, Ok)?;
    let work = work_folder(cli.work.as_ref())?;
    let report = rounds::measure(size, work.path(), &tpw).await?;
    tell(&page::part(&report));
    if !cli.quick {
        write_pages(&report)?;
    }
    if cli.json { Ok(give(&report)?) } else { Ok(()) }
}

fn write_pages(report: &Report) -> Result<(), BenchError> {
    let chart_path = Path::new(CHART);
    std::fs::write(chart_path, chart::svg(&chart::bars(report)))
        .map_err(BenchError::io("write", chart_path))?;
    page::rewrite(Path::new(PAGE), &page::part(report))
}

/// A new folder, removed at the end: below the one asked for, which is made, or below the system's own.
fn work_folder(asked: Option<&PathBuf>) -> Result<TempDir, BenchError> {
    let below = asked.cloned().unwrap_or_else(std::env::temp_dir);
    std::fs::create_dir_all(&below).map_err(BenchError::io("make", &below))?;
    // Another user's server keeps its folder in it.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    let made = tempfile::Builder::new().prefix("run-").permissions(readable).tempdir_in(&below);
    made.map_err(BenchError::io("make a folder in", &below))
}
