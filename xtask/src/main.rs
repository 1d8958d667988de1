#![doc = include_str!("../README.md")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task talks to the person or the machine that runs it"
)]

mod demo;
mod exports;
mod fuzz;
mod java;
mod servers;
mod setup;
mod shell;
mod suite;
mod tidy;
mod web;

use std::process::ExitCode;

use shell::{Failure, Workplace};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [--ci]                       everything that must hold
  exports                           receipts in other forms, to programs that read those
  tidy                              the rules of this repository
  bench NAME [--json] [--quick]     a benchmark, in release mode
  openapi                           write the API description anew
  web [--debian] [--check]          build the verify page (web/verify/dist) anew
  cedar-corpus FILE                 Cedar's own cases, all of them, as this product calls Cedar
  prove [DIR]                       what no request gets around in a policy set
  demo-output                       put the demo's output into the READMEs
  nightly [CRASHES]                 that many power cuts in the simulator (1000000)
  fuzz [SECONDS] [--only NAME]      each fuzz target for that long (60)
  postgres start|stop               a PostgreSQL for tests that are run by hand
  anvil start|stop                  an EVM node for tests that are run by hand
  contract                          compile the contract of chain anchors anew
  drill failover [--short]          kill and cut off database servers under load
  drill faults                      each fault at each system call on the log's files
  drill kills [COUNT]               kill the engine at random instants under load (500)
  setup                             install what the tests need
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<(), Failure> {
    let place = Workplace::find()?;
    match words {
        ["test"] => suite::test(&place, suite::Where::Desk),
        ["test", "--ci"] => suite::test(&place, suite::Where::Ci),
        ["tidy"] => tidy::report(&place),
        ["bench", name, options @ ..] => bench(&place, name, options),
        ["openapi"] => openapi(&place),
        ["web", options @ ..] => web::command(&place, options),
        ["cedar-corpus", archive] => suite::cedar_corpus(&place, archive),
        ["prove"] => suite::prove(&place, None),
        ["prove", folder] => suite::prove(&place, Some(folder)),
        ["demo-output"] => demo::refresh(&place),
        ["nightly"] => suite::nightly(&place, "1000000"),
        ["nightly", crashes] => suite::nightly(&place, crashes),
        ["fuzz", rest @ ..] => fuzz::command(&place, rest),
        ["postgres", word] => servers::postgres::command(&place, word),
        ["anvil", word] => servers::anvil::command(&place, word),
        ["contract"] => servers::anvil::contract(&place),
        ["drill", "faults"] => servers::faults(&place),
        ["drill", "kills"] => servers::kills(&place, "500"),
        ["drill", "kills", count] => servers::kills(&place, count),
        ["drill", "failover", options @ ..] => servers::failover::command(&place, options),
        ["exports"] => suite::exports(&place),
        ["setup"] => setup::all(&place).map(|_tools| ()),
        _ => Err(Failure::new(format!("unknown command `{}`\n{USAGE}", words.join(" ")))),
    }
}

/// Builds the product and the program that knows the benchmark, and hands it the options.
fn bench(place: &Workplace, name: &str, options: &[&str]) -> Result<(), Failure> {
    let example = match name {
        "policy" => Some("policy_speed"),
        "factors" => Some("factor_speed"),
        _ => None,
    };
    if let Some(example) = example {
        let run = ["run", "--release", "--quiet", "--locked", "--package", "tpw-access"];
        return place.cargo(run).words(&["--example", example, "--"]).words(options).pass();
    }
    let package = match name {
        "ledger" => "bench-ledger",
        "evidence" => "bench-evidence",
        _ => "replay",
    };
    let build = ["build", "--release", "--quiet", "--locked", "--package", "tpw", "--package"];
    place.cargo(build).word(package).pass()?;
    let program = place.call(place.target().join("release").join(package));
    if package != "replay" {
        // Below the target folder: on a real disk, which a folder for temporary files may not be.
        let work = place.target().join("bench");
        return program.word("--work").word(work).words(options).pass();
    }
    program.words(&["bench", name]).words(options).pass()
}

/// Writes `openapi/DATE.json` from the wire types: the server's own test of its freshness does it when told to.
fn openapi(place: &Workplace) -> Result<(), Failure> {
    place
        .cargo(["test", "--quiet", "--package", "tpw-server", "--lib", "openapi"])
        .env("TPW_UPDATE", "1")
        .pass()
}
