//! `cargo xtask test`: everything that must hold, step by step, with a count at the end.

use std::time::Instant;

use crate::servers::anvil;
use crate::servers::failover::{self, Extent};
use crate::servers::packages;
use crate::servers::postgres::ForTests;
use crate::setup::{self, Tools};
use crate::shell::{self, Call, Failure, Workplace};
use crate::{demo, exports, fuzz, java, tidy};

/// A client of the authorization server. It is a workspace of its own, whose libraries' wishes do not reach the product's build.
const CLIENT: &str = "tools/client/Cargo.toml";

/// Who waits for the answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    /// A person: each fuzz target runs for a second.
    Desk,
    /// A machine: five seconds each.
    Ci,
}

/// How one step ended.
enum Outcome {
    Passed,
    /// It could not run here, and why.
    Skipped(String),
    /// Tests inside it were counted one by one.
    Counted(Tally),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
        self.skipped = self.skipped.saturating_add(other.skipped);
    }
}

/// The steps so far.
#[derive(Default)]
struct Report {
    tally: Tally,
    lines: Vec<String>,
}

impl Report {
    fn step(&mut self, name: &str, run: impl FnOnce() -> Result<Outcome, Failure>) {
        println!("\n== {name}");
        let started = Instant::now();
        let result = run();
        let seconds = started.elapsed().as_secs_f64();
        let (tally, word) = match result {
            Ok(Outcome::Passed) => (Tally { passed: 1, ..Tally::default() }, "ok".to_owned()),
            Ok(Outcome::Skipped(why)) => {
                (Tally { skipped: 1, ..Tally::default() }, format!("skipped: {why}"))
            }
            Ok(Outcome::Counted(tally)) => {
                (tally, format!("{} passed, {} failed", tally.passed, tally.failed))
            }
            Err(failure) => {
                println!("{failure}");
                (Tally { failed: 1, ..Tally::default() }, "FAILED".to_owned())
            }
        };
        self.tally.add(tally);
        let line = format!("{seconds:8.1} s  {name}: {word}");
        println!("{line}");
        self.lines.push(line);
    }

    fn close(self) -> Result<(), Failure> {
        println!("\n== summary");
        for line in &self.lines {
            println!("{line}");
        }
        let Tally { passed, failed, skipped } = self.tally;
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        if failed == 0 && passed > 0 {
            return Ok(());
        }
        Err(Failure::new("not everything holds; each step marked FAILED says above what to do"))
    }
}

fn passed(result: Result<(), Failure>) -> Result<Outcome, Failure> {
    result.map(|()| Outcome::Passed)
}

/// Runs every step, also after one failed, so that one run shows all that is wrong.
pub(crate) fn test(place: &Workplace, at: Where) -> Result<(), Failure> {
    let mut report = Report::default();
    let tools = setup::all(place)?;
    report.step("format", || passed(format(place)));
    report.step("tidy", || passed(tidy::report(place)));
    report.step("clippy", || {
        let call = place.cargo(["clippy", "--quiet", "--workspace", "--all-targets", "--locked"]);
        passed(call.words(&["--", "-D", "warnings"]).pass())
    });
    let mut postgres = None;
    report.step("PostgreSQL for the tests", || {
        postgres = Some(ForTests::find(place)?);
        Ok(Outcome::Passed)
    });
    let mut chain = None;
    report.step("EVM node for the tests", || {
        chain = Some(anvil::ForTests::find(place)?);
        Ok(Outcome::Passed)
    });
    report.step("contract", || passed(anvil::contract_is_fresh(place)));
    report.step("tests", || tests(place, &tools, postgres.as_ref(), chain.as_ref()));
    drop(chain);
    if let Some(server) = postgres {
        server.stop(place);
    }
    report.step("tests of the fuzz targets", || {
        let call =
            place.cargo(["test", "--quiet", "--locked", "--manifest-path", "fuzz/Cargo.toml"]);
        let call = call.words(&["--lib", "--no-default-features", "--target-dir"]);
        counted_call(call.word(place.target().join("fuzz-smoke")))
    });
    report.step("programs", || passed(place.build_programs()));
    report.step("second verifier", || second_verifier(place, &tools));
    report.step("evidence records", || evidence_records(place, &tools));
    report.step("time-stamps", || timestamps(place, &tools));
    report.step("clients of others", || clients_of_others(place, &tools));
    report.step("verify page", || page(place, &tools, "web/verify/test_page.py"));
    report.step("passkey page", || page(place, &tools, "web/passkeys/test_page.py"));
    report.step("exports", || exported(place));
    report.step("licences and sources", || {
        let call = place.call(&tools.deny).words(&["--log-level", "error", "check"]);
        passed(call.words(&["bans", "licenses", "sources"]).pass())
    });
    report.step("advisories", || advisories(place, &tools));
    report.step("seeds on a faulty disk", || passed(simulate(place, at)));
    report.step("policy proofs", || passed(proved(place, None)));
    report.step("a small town", || passed(small_town(place)));
    report.step("fail-over", || match packages::cluster(place) {
        Ok(()) => passed(failover::drill(place, Extent::Short, None)),
        Err(why) => {
            Ok(Outcome::Skipped(format!("Patroni and etcd cannot be installed here: {why}")))
        }
    });
    report.step("demo", || passed(demo::check_json(place)));
    report.step("demo in the READMEs", || passed(demo::check_pages(place)));
    report.step("fuzz targets", || {
        let seconds = if at == Where::Ci { 5 } else { 1 };
        let ran = fuzz::run(place, seconds, None)?;
        println!("{} targets, {seconds} s each, with {}", ran.count, ran.with);
        Ok(Outcome::Passed)
    });
    report.close()
}

fn format(place: &Workplace) -> Result<(), Failure> {
    let judged = place.cargo(["fmt", "--all", "--check"]).pass();
    let fuzz = place.cargo(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]).pass();
    let client = place.cargo(["fmt", "--manifest-path", CLIENT, "--check"]).pass();
    judged
        .and(fuzz)
        .and(client)
        .map_err(|failure| Failure::new(format!("{failure}; run `cargo fmt --all`")))
}

/// Some tests call `python3`: they get the one with the second verifier's packages.
fn tests(
    place: &Workplace,
    tools: &Tools,
    postgres: Option<&ForTests>,
    chain: Option<&anvil::ForTests>,
) -> Result<Outcome, Failure> {
    let call = place.cargo(["test", "--quiet", "--workspace", "--locked", "--no-fail-fast"]);
    let call = call.env("PATH", shell::path_before(&tools.python));
    let call = match chain {
        Some(node) => node.tell(call),
        None => call,
    };
    counted_call(match postgres {
        Some(server) => server.tell(call),
        None => call,
    })
}

/// Runs `cargo test` and counts what it ran.
fn counted_call(call: Call) -> Result<Outcome, Failure> {
    let finished = call.watch()?;
    let tally = counted(&finished.output);
    if !finished.success && tally.failed == 0 {
        return Err(Failure::new("`cargo test` failed before its tests ran, or one of them died"));
    }
    Ok(Outcome::Counted(tally))
}

/// Sums the closing lines of all suites: `test result: ok. 12 passed; 0 failed; 1 ignored; …`.
fn counted(output: &str) -> Tally {
    let mut sum = Tally::default();
    for line in output.lines().filter_map(|line| line.trim().strip_prefix("test result: ")) {
        let number = |word: &str| {
            let mut parts = line.split(['.', ';']).map(str::trim);
            parts.find_map(|part| part.strip_suffix(word)?.trim().parse().ok()).unwrap_or(0)
        };
        sum.add(Tally {
            passed: number("passed"),
            failed: number("failed"),
            skipped: number("ignored"),
        });
    }
    sum
}

/// The verifier in another language, over good and broken receipts, and against our own where the tests built it.
fn second_verifier(place: &Workplace, tools: &Tools) -> Result<Outcome, Failure> {
    let script = "spec/test_verify.py";
    let judge = place.cargo(["build", "--quiet", "-p", "tpw-proof", "--example", "judge_dir"]);
    judge.word("--locked").pass()?;
    let call = place.call(&tools.python).word(script);
    let call = call.word("--judge-dir").word(place.program("examples").join("judge_dir"));
    told(script, call.word("--tpw").word(place.program("tpw")))
}

/// Evidence records, ours by Bouncy Castle and Bouncy Castle's by ours.
fn evidence_records(place: &Workplace, tools: &Tools) -> Result<Outcome, Failure> {
    let jars = match java::libraries(place) {
        Ok(jars) => jars,
        Err(why) => {
            return Ok(Outcome::Skipped(format!("Bouncy Castle cannot be fetched here: {why}")));
        }
    };
    let script = "spec/test_ers.py";
    let call = place.call(&tools.python).word(script).word("--jars").word(jars);
    let judge = place.program("examples").join("judge_dir");
    told(script, call.word("--judge-dir").word(judge))
}

/// The corpus of time-stamps: its generator, its strict verifier, and the page of what stock verifiers say about it. Then what a running
/// authority signs, to verifiers of others.
fn timestamps(place: &Workplace, tools: &Tools) -> Result<Outcome, Failure> {
    let (corpus, stamps) = ("spec/test_tsp.py", "spec/judge_stamps.py");
    let page = ["--page", "docs/reference/timestamps.md"];
    let judged = told(corpus, place.call(&tools.judges).word(corpus).words(&page));
    let call = place.call(&tools.judges).word(stamps).word("--tpw");
    let mut sum = Tally::default();
    for outcome in [judged, told(stamps, call.word(place.program("tpw")))] {
        if let Outcome::Counted(tally) = outcome? {
            sum.add(tally);
        }
    }
    Ok(Outcome::Counted(sum))
}

/// The authorization server, to client libraries that others wrote: one in Python, which signs, and one in Rust, with certificates.
fn clients_of_others(place: &Workplace, tools: &Tools) -> Result<Outcome, Failure> {
    let script = "spec/judge_oauth.py";
    let call = place.call(&tools.clients).word(script).word("--tpw");
    let signing = told(script, call.word(place.program("tpw")));
    let target = place.target().join("client");
    let build = place.cargo(["build", "--quiet", "--locked", "--manifest-path", CLIENT]);
    build.word("--target-dir").word(&target).pass()?;
    let program = target.join("debug").join("oauth-client");
    let call = place.call(program).word("--tpw").word(place.program("tpw"));
    let mut sum = Tally::default();
    for outcome in [signing, told(CLIENT, call)] {
        if let Outcome::Counted(tally) = outcome? {
            sum.add(tally);
        }
    }
    Ok(Outcome::Counted(sum))
}

/// A page in a real browser, with a real server behind it.
fn page(place: &Workplace, tools: &Tools, script: &str) -> Result<Outcome, Failure> {
    let chromium = setup::chromium(place)?;
    let call = place.call(&tools.python).word(script).word("--tpw").word(place.program("tpw"));
    told(script, call.words(&["--chromium", chromium]))
}

/// The step of the exports alone.
pub(crate) fn exports(place: &Workplace) -> Result<(), Failure> {
    let mut report = Report::default();
    report.step("programs", || {
        passed(place.cargo(["build", "--quiet", "--locked", "--package", "tpw"]).pass())
    });
    report.step("exports", || exported(place));
    report.close()
}

/// What is exported, to those who receive it.
fn exported(place: &Workplace) -> Result<Outcome, Failure> {
    let mut sum = Tally::default();
    for (script, call) in exports::judges(place)? {
        if let Outcome::Counted(tally) = told(script, call)? {
            println!("{script}: {} passed, {} failed", tally.passed, tally.failed);
            sum.add(tally);
        }
    }
    Ok(Outcome::Counted(sum))
}

/// Runs a script that closes with its count.
fn told(script: &str, call: Call) -> Result<Outcome, Failure> {
    let finished = call.watch()?;
    let tally = finished.output.lines().rev().find_map(plain_count).unwrap_or_default();
    match (finished.success, tally.failed, tally.passed) {
        (true, 0, 1..) | (false, 1.., _) => Ok(Outcome::Counted(tally)),
        _ => Err(Failure::new(format!("`{script}` did not say what it found"))),
    }
}

/// A line `N passed, N failed`.
fn plain_count(line: &str) -> Option<Tally> {
    let (passed, rest) = line.trim().split_once(" passed, ")?;
    let failed = rest.split_once(" failed")?.0;
    Some(Tally { passed: passed.parse().ok()?, failed: failed.parse().ok()?, skipped: 0 })
}

/// Two minutes of seeds for a machine, ten seconds for a person. They are the same every time, so that what fails is what was changed; new ones are for every night.
fn simulate(place: &Workplace, at: Where) -> Result<(), Failure> {
    let seconds = if at == Where::Ci { "120" } else { "10" };
    // The build of the tests is quick enough, and there already.
    let program = place.program("tpw-sim");
    place.call(program).words(&["--seconds", seconds, "--from", "1"]).pass()
}

/// What must hold of a policy set, by a solver: of the set in a folder, or of the one that comes with the program.
pub(crate) fn prove(place: &Workplace, folder: Option<&str>) -> Result<(), Failure> {
    // With the features of the whole workspace: a build of the package alone would compile Cedar once more.
    place.cargo(["build", "--quiet", "--locked", "--workspace", "--bin", "tpw-prove"]).pass()?;
    proved(place, folder)
}

/// The same, with the prover that is built already.
fn proved(place: &Workplace, folder: Option<&str>) -> Result<(), Failure> {
    setup::solver(place)?;
    place.call(place.program("tpw-prove")).words(folder.as_slice()).pass()
}

/// Cedar's whole corpus, from the archive of cedar-policy/cedar-integration-tests.
pub(crate) fn cedar_corpus(place: &Workplace, archive: &str) -> Result<(), Failure> {
    let folder = place.target().join("cedar-corpus");
    let _earlier = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| Failure::new(error.to_string()))?;
    place.call("tar").words(&["-xzf", archive, "-C"]).word(&folder).pass()?;
    let test = ["test", "--quiet", "--locked", "--workspace", "--test", "access"];
    let call = place.cargo(test).words(&["--", "--nocapture", "corpus::"]);
    let judged = call.env("TPW_CEDAR_CORPUS", &folder).pass();
    let _best_effort = std::fs::remove_dir_all(&folder);
    judged
}

/// So many power cuts.
pub(crate) fn nightly(place: &Workplace, crashes: &str) -> Result<(), Failure> {
    place.cargo(["build", "--release", "--quiet", "--locked", "--package", "tpw-sim"]).pass()?;
    let program = place.target().join("release").join("tpw-sim");
    place.call(program).words(&["--crashes", crashes]).pass()
}

/// Some hundred payments between some dozen people through the real API, with every check of the large replay.
fn small_town(place: &Workplace) -> Result<(), Failure> {
    let folder = place.target().join("small-town");
    let replay = || place.call(place.program("replay"));
    let make = ["make", "--accounts", "40", "--transfers", "300", "--seed", "1", "--out"];
    replay().words(&make).word(&folder).pass()?;
    replay()
        .words(&["story", "--data"])
        .word(&folder)
        .word("--tpw")
        .word(place.program("tpw"))
        .pass()
}

/// Known holes in dependencies, where the public list of them can be fetched.
fn advisories(place: &Workplace, tools: &Tools) -> Result<Outcome, Failure> {
    let finished =
        place.call(&tools.deny).words(&["--log-level", "error", "check", "advisories"]).quiet()?;
    let said = format!("{}{}", finished.output, finished.errors);
    if finished.success {
        return Ok(Outcome::Passed);
    }
    if said.contains("failed to fetch advisory database")
        || said.contains("failed to load advisory database")
    {
        return Ok(Outcome::Skipped(
            "the list of advisories cannot be fetched from here".to_owned(),
        ));
    }
    Err(Failure::new(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_summed() {
        let output = "running 2 tests\n..\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                      test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(counted(output), Tally { passed: 5, failed: 1, skipped: 1 });
        assert_eq!(counted("error: could not compile"), Tally::default());
    }

    #[test]
    fn a_plain_count_is_read() {
        assert_eq!(
            plain_count("297 passed, 1 failed"),
            Some(Tally { passed: 297, failed: 1, skipped: 0 })
        );
        assert_eq!(plain_count("all passed"), None);
    }

    #[test]
    fn a_failed_step_fails_the_whole() {
        let mut report = Report::default();
        report.step("good", || Ok(Outcome::Passed));
        report.step("bad", || Err(Failure::new("broken")));
        assert_eq!(report.tally, Tally { passed: 1, failed: 1, skipped: 0 });
        assert!(report.close().is_err());
    }

    #[test]
    fn nothing_run_is_not_a_success() {
        let mut report = Report::default();
        report.step("absent", || Ok(Outcome::Skipped("not here".to_owned())));
        assert!(report.close().is_err());
    }
}
