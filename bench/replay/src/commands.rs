//! From the command line to the work.

use crate::actor::Actor;
use crate::args::{Bench, Cli, Command, Flow, Run, Server, Story};
use crate::bench;
use crate::client::Client;
use crate::error::ReplayError;
use crate::input::Input;
use crate::run;
use crate::say::{give, give_text, tell};
use crate::server::find_tpw;
use crate::state::State;
use crate::story::Plot;
use crate::{balances, make, verify};
use clap::Parser as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tpw_core::Asset;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(cli.command)),
        Err(error) => {
            Err(ReplayError::Program { program: "tokio".to_owned(), why: error.to_string() })
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(command: Command) -> Result<(), ReplayError> {
    match command {
        Command::Make { accounts, transfers, seed, out } => {
            make::make(accounts, transfers, seed, &out)
        }
        Command::Run(run) => send(&run).await,
        Command::Verify { state, trust } => {
            let state = State::existing(&state)?;
            let trust = trust.unwrap_or_else(|| state.file("trust.json"));
            let verified = verify::verify(&state, &trust)?;
            give(&verified)?;
            let failed = || ReplayError::Check("there are receipts that do not hold".to_owned());
            if verified.all() { Ok(()) } else { Err(failed()) }
        }
        Command::Balances { server, state } => {
            let (client, operator) = connect(&server)?;
            let state = State::existing(&state)?;
            let read = balances::read(&client, &operator, &state, server.connections).await?;
            give_text(&balances::to_csv(&read))
        }
        Command::Story(story) => tell_story(&story).await,
        Command::Bench { bench: Bench::Flow(flow) } => measure(&flow).await,
    }
}

fn asset(text: &str) -> Result<Asset, ReplayError> {
    let odd = |error: tpw_core::ParseAssetError| error.to_string();
    text.parse().map_err(|error| ReplayError::Option { option: "--asset", why: odd(error) })
}

fn connect(server: &Server) -> Result<(Arc<Client>, Arc<Actor>), ReplayError> {
    let client = Client::with_addresses(&server.server, &server.ca, &server.connect)?;
    Ok((Arc::new(client), Arc::new(Actor::operator(&server.operator_key)?)))
}

async fn send(args: &Run) -> Result<(), ReplayError> {
    let (client, operator) = connect(&args.server)?;
    let input = Input::read(&args.nodes, &args.transfers, asset(&args.asset)?, args.limit)?;
    let state = State::open(&args.state, &input)?;
    let options = run::Options {
        connections: args.server.connections,
        sync_every: args.sync_every,
        server_pid: args.server_pid,
    };
    let summary = run::Run { client, operator, input, state, options }.run().await?;
    if args.json {
        give(&summary)?;
    } else {
        tell(&told(&summary));
    }
    match &summary.repeated {
        Some(again) if !again.changed_nothing() => {
            Err(ReplayError::Check(format!("sending it again changed something: {again:?}")))
        }
        _ => Ok(()),
    }
}

/// A summary in words.
fn told(summary: &run::Summary) -> String {
    let latency = &summary.latency;
    let mut text = format!(
        "{} payments in {:.1} s, {:.0}/s; ms: p50 {:.1}, p90 {:.1}, p99 {:.1}, most {:.1}",
        summary.sent,
        summary.wall_s,
        summary.payments_per_s,
        latency.p50_ms,
        latency.p90_ms,
        latency.p99_ms,
        latency.max_ms,
    );
    for (outcome, count) in &summary.outcomes {
        text.push_str(&format!("\n{count:>9} {outcome}"));
    }
    text.push_str(&format!("\n{:>9} not sendable", summary.not_sendable));
    if let Some(again) = &summary.repeated {
        text.push_str(&format!(
            "\nagain: {} the same, {} different, {} balances changed, tree {} then {}",
            again.same,
            again.different,
            again.balances_changed,
            again.tree_size.0,
            again.tree_size.1,
        ));
    }
    text
}

/// The folder asked for, or one that is removed when the guard goes.
fn work_folder(asked: Option<&PathBuf>) -> Result<(PathBuf, Option<TempDir>), ReplayError> {
    if let Some(path) = asked {
        tpw_engines::files::create_private_folder(path)?;
        return Ok((path.clone(), None));
    }
    let folder = TempDir::new().map_err(ReplayError::io("make", &std::env::temp_dir()))?;
    Ok((folder.path().to_owned(), Some(folder)))
}

async fn tell_story(args: &Story) -> Result<(), ReplayError> {
    let (work, _removed_at_the_end) = work_folder(args.work.as_ref())?;
    let plot = Plot {
        tpw: args.tpw.clone().map_or_else(find_tpw, Ok)?,
        lists: args.data.clone(),
        check: args.check.clone(),
        work,
        asset: asset(&args.asset)?,
        rules: args.rules.clone(),
        limit: args.limit,
        connections: args.connections,
    };
    give(&plot.tell().await?)
}

async fn measure(args: &Flow) -> Result<(), ReplayError> {
    let (work, _removed_at_the_end) = work_folder(args.work.as_ref())?;
    let tpw = args.tpw.clone().map_or_else(find_tpw, Ok)?;
    let (rate, closed) = (args.rate, vec![64, 256]);
    let flow = if args.quick {
        bench::Flow { tpw, rate, part: Duration::from_secs(3), rounds: 1, payers: 300, closed }
    } else {
        let part = Duration::from_secs(args.seconds);
        bench::Flow { tpw, rate, part, rounds: args.rounds, payers: args.payers, closed }
    };
    let report = flow.run(&work).await?;
    tell(&bench::table(&report));
    if args.json { give(&report) } else { Ok(()) }
}
