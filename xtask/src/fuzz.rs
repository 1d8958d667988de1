//! Fuzzing: under libFuzzer where a nightly compiler is, with our own mutations everywhere else.

use std::path::PathBuf;

use crate::setup;
use crate::shell::{self, Failure, Workplace};

const MANIFEST: &str = "fuzz/Cargo.toml";
const SECONDS: u32 = 60;
/// The one program of all targets under libFuzzer.
const PROGRAM: &str = "reader";

/// `cargo xtask fuzz [SECONDS] [--only NAME]`.
pub(crate) fn command(place: &Workplace, words: &[&str]) -> Result<(), Failure> {
    let (mut seconds, mut only) = (SECONDS, None);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if *word == "--only" {
            only = rest.next().copied();
        } else {
            seconds = word
                .parse()
                .map_err(|_| Failure::new(format!("`{word}` is not a number of seconds")))?;
        }
    }
    let ran = run(place, seconds, only)?;
    println!("{} fuzz targets ran for {seconds} s each and found nothing", ran.count);
    Ok(())
}

/// What was run.
pub(crate) struct Ran {
    pub(crate) count: usize,
    /// How the inputs were made.
    pub(crate) with: &'static str,
}

/// Runs each target for that long; the first input that a target cannot take is a failure.
pub(crate) fn run(place: &Workplace, seconds: u32, only: Option<&str>) -> Result<Ran, Failure> {
    let names = names(place, only)?;
    let seeds = place.target().join("fuzz-seeds");
    if !setup::nightly(place) {
        println!("no nightly compiler: random and mutated inputs instead of libFuzzer");
        for name in &names {
            smoke(place).words(&["run", name]).word(seconds.to_string()).pass()?;
        }
        return Ok(Ran { count: names.len(), with: "mutations" });
    }
    smoke(place).word("seeds").word(&seeds).pass()?;
    let tool = setup::cargo_fuzz(place)?;
    cargo_fuzz(place, &tool)
        .words(&["build", "--fuzz-dir", "fuzz", "--target-dir"])
        .word(folder(place))
        .word(PROGRAM)
        .pass()?;
    let program = folder(place).join(host(place)?).join("release").join(PROGRAM);
    for name in &names {
        let (corpus, artifacts) =
            (place.target().join("fuzz-corpus").join(name), place.target().join("fuzz-found"));
        shell::folder(&corpus)?;
        shell::folder(&artifacts)?;
        println!("fuzzing {name} for {seconds} s");
        let finished = place
            .call(&program)
            .env("TPW_FUZZ_TARGET", name)
            .word(format!("-max_total_time={seconds}"))
            .words(&[
                "-max_len=8192",
                "-timeout=10",
                "-rss_limit_mb=2048",
                "-verbosity=0",
                "-print_final_stats=0",
            ])
            .word(format!("-artifact_prefix={}/{name}-", artifacts.display()))
            .word(&corpus)
            .word(seeds.join(name))
            .quiet()?;
        if !finished.success {
            return Err(Failure::new(format!(
                "fuzz target `{name}` found an input that breaks it, kept in `{}`:\n{}{}",
                artifacts.display(),
                finished.output,
                finished.errors
            )));
        }
    }
    Ok(Ran { count: names.len(), with: "libFuzzer" })
}

fn folder(place: &Workplace) -> PathBuf {
    place.target().join("fuzz")
}

fn smoke(place: &Workplace) -> shell::Call {
    place
        .cargo(["run", "--quiet", "--locked", "--manifest-path", MANIFEST])
        .words(&["--no-default-features", "--bin", "smoke", "--target-dir"])
        .word(place.target().join("fuzz-smoke"))
        .word("--")
}

/// `cargo fuzz` under the nightly compiler; cargo finds the tool through `PATH`.
fn cargo_fuzz(place: &Workplace, tool: &std::path::Path) -> shell::Call {
    let call = place.call("rustup").words(&["run", "nightly", "cargo", "fuzz"]);
    call.env("PATH", shell::path_before(tool))
}

fn host(place: &Workplace) -> Result<String, Failure> {
    let text = place.call("rustc").word("-vV").read()?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).ok_or_else(|| Failure::new("`rustc -vV` names no host"))
}

/// The names of the targets, as the program tells them.
fn names(place: &Workplace, only: Option<&str>) -> Result<Vec<String>, Failure> {
    let list = smoke(place).word("list").read()?;
    let all: Vec<&str> = list.split_whitespace().collect();
    let chosen: Vec<String> =
        all.iter().filter(|n| only.is_none_or(|o| o == **n)).map(|&n| n.to_owned()).collect();
    match (chosen.is_empty(), only) {
        (false, _) => Ok(chosen),
        (true, Some(name)) => {
            Err(Failure::new(format!("no fuzz target `{name}`; there are {}", all.join(", "))))
        }
        (true, None) => Err(Failure::new(format!("`{MANIFEST}` has no targets"))),
    }
}
