//! Runs seeds from the command line.

use std::io::Write;
use std::ops::Range;
use std::process::ExitCode;
use tpw_sim::{Keys, Report, Setup, run};

const USAGE: &str = "usage: tpw-sim [--seed N | --seeds A..B] [--steps N] [--replay]";

struct Wanted {
    seeds: Range<u64>,
    steps: u64,
    replay: bool,
}

fn main() -> ExitCode {
    let wanted = match read(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(word) => {
            say(&mut std::io::stderr(), &format!("`{word}` is not understood; {USAGE}"));
            return ExitCode::from(2);
        }
    };
    match all(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            say(&mut std::io::stderr(), &what);
            ExitCode::FAILURE
        }
    }
}

fn say(out: &mut dyn Write, line: &str) {
    // Nobody reads it any more if the pipe is closed.
    let _closed = writeln!(out, "{line}");
}

fn read(mut words: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut wanted = Wanted { seeds: 1..2, steps: 2_000, replay: false };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| word.clone());
        match word.as_str() {
            "--seed" => {
                let seed: u64 = number(&value()?)?;
                wanted.seeds = seed..seed.saturating_add(1);
            }
            "--seeds" => {
                let text = value()?;
                let (from, to) = text.split_once("..").ok_or_else(|| text.clone())?;
                wanted.seeds = number(from)?..number(to)?;
            }
            "--steps" => wanted.steps = number(&value()?)?,
            "--replay" => wanted.replay = true,
            _ => return Err(word),
        }
    }
    Ok(wanted)
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| text.to_owned())
}

fn all(wanted: &Wanted) -> Result<(), String> {
    let keys = Keys::new()?;
    let out = &mut std::io::stdout();
    for seed in wanted.seeds.clone() {
        let setup = Setup { seed, steps: wanted.steps, defect: None, keep_trace: wanted.replay };
        let report = run(&keys, setup).map_err(|error| error.to_string())?;
        if wanted.replay {
            report.lines.iter().for_each(|line| say(out, line));
            let again = run(&keys, setup).map_err(|error| error.to_string())?;
            if again != report {
                return Err(format!("seed {seed} does not repeat itself"));
            }
        }
        say(out, &summary(seed, &report));
    }
    Ok(())
}

fn summary(seed: u64, report: &Report) -> String {
    let count = |prefix: &str| {
        let of = |(name, count): (&String, &u64)| name.starts_with(prefix).then_some(*count);
        report.outcomes.iter().filter_map(of).sum::<u64>()
    };
    format!(
        "seed {seed}: {} booked, {} compensated, {} refused, {} repeated, {} rejected, {} checkpoints, {} faults, trace {}",
        count("booked"),
        count("compensated"),
        count("refused"),
        count("repeated"),
        count("rejected"),
        report.checkpoints,
        report.faults,
        report.trace.short()
    )
}
