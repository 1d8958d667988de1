//! Runs seeds from the command line.

use std::io::Write;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tpw_sim::{Keys, Report, Setup, StoreKind, Tally, run};

const USAGE: &str = "\
usage: tpw-sim [--seed N | --seeds A..B] [--steps N] [--store rows|sqlite] [--moments N] [--replay]
       tpw-sim [--crashes N] [--seconds N] [--from SEED] [--steps N] [--moments N]

With --crashes or --seconds, seeds from --from on run on all cores against the SQLite store on a simulated disk,
until there were so many crashes or so much time has passed.";

struct Wanted {
    seeds: Range<u64>,
    steps: Option<u64>,
    replay: bool,
    store: StoreKind,
    moments: Option<u64>,
    crashes: Option<u64>,
    seconds: Option<u64>,
}

impl Wanted {
    fn setup(&self, seed: u64) -> Setup {
        let steps = self.steps.unwrap_or(2_000);
        let (store, moments) = (self.store, self.moments.unwrap_or(8));
        Setup { seed, steps, store, moments, defect: None, keep_trace: self.replay }
    }

    /// Short runs: a store that has grown takes longer to open.
    fn short_setup(&self, seed: u64) -> Setup {
        let (steps, moments) = (self.steps.unwrap_or(300), self.moments.unwrap_or(1_000));
        Setup { steps, store: StoreKind::Sqlite, moments, ..Setup::of(seed) }
    }
}

fn main() -> ExitCode {
    let wanted = match read(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(word) => {
            say(&mut std::io::stderr(), &format!("`{word}` is not understood\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    let long = wanted.crashes.is_some() || wanted.seconds.is_some();
    match if long { many(&wanted) } else { all(&wanted) } {
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
    let mut wanted = Wanted {
        seeds: 1..2,
        steps: None,
        replay: false,
        store: StoreKind::Rows,
        moments: None,
        crashes: None,
        seconds: None,
    };
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
            "--from" => wanted.seeds = number(&value()?)?..u64::MAX,
            "--steps" => wanted.steps = Some(number(&value()?)?),
            "--moments" => wanted.moments = Some(number(&value()?)?),
            "--crashes" => wanted.crashes = Some(number(&value()?)?),
            "--seconds" => wanted.seconds = Some(number(&value()?)?),
            "--store" => wanted.store = value()?.parse()?,
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
        let setup = wanted.setup(seed);
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

/// What the cores share.
struct Shared {
    next: AtomicU64,
    crashes: AtomicU64,
    /// The sum of all runs, and the first thing that was found wrong.
    sum: Mutex<(Tally, Option<String>)>,
}

/// Runs seed after seed on all cores until there is enough.
fn many(wanted: &Wanted) -> Result<(), String> {
    let begun = Instant::now();
    let shared = Shared {
        next: AtomicU64::new(wanted.seeds.start),
        crashes: AtomicU64::new(0),
        sum: Mutex::default(),
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| one_core(wanted, &shared, begun));
        }
    });
    let (tally, error) = shared.sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let seeds = shared.next.into_inner().saturating_sub(wanted.seeds.start);
    say(&mut std::io::stdout(), &format!("{seeds} seeds in {:.0?}: {tally}", begun.elapsed()));
    error.map_or(Ok(()), Err)
}

fn one_core(wanted: &Wanted, shared: &Shared, begun: Instant) {
    let lock = || shared.sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let keys = match Keys::new() {
        Ok(keys) => keys,
        Err(what) => {
            lock().1 = Some(what);
            return;
        }
    };
    let most = wanted.crashes.unwrap_or(u64::MAX);
    let time = wanted.seconds.map_or(Duration::MAX, Duration::from_secs);
    while shared.crashes.load(Ordering::Relaxed) < most && begun.elapsed() < time {
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        match run(&keys, wanted.short_setup(seed)) {
            Ok(report) => {
                shared.crashes.fetch_add(report.disk.crashes, Ordering::Relaxed);
                lock().0.add(&report.disk);
            }
            Err(error) => {
                shared.crashes.store(u64::MAX, Ordering::Relaxed);
                lock().1.get_or_insert(error.to_string());
            }
        }
        if lock().1.is_some() {
            return;
        }
    }
}

fn summary(seed: u64, report: &Report) -> String {
    let count = |prefix: &str| {
        let of = |(name, count): (&String, &u64)| name.starts_with(prefix).then_some(*count);
        report.outcomes.iter().filter_map(of).sum::<u64>()
    };
    format!(
        "seed {seed}: {} booked, {} compensated, {} refused, {} repeated, {} rejected, {} checkpoints, {} faults, trace {}; {}",
        count("booked"),
        count("compensated"),
        count("refused"),
        count("repeated"),
        count("rejected"),
        report.checkpoints,
        report.faults,
        report.trace.short(),
        report.disk
    )
}
