//! The targets without libFuzzer: seeds written out, one input replayed, or random and mutated inputs for some seconds.

use std::panic;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use tpw_fuzz::{TARGETS, Target, target};

const LENGTH_MAX: usize = 8192;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["run", name, seconds] => known(name).and_then(|target| {
            let seconds =
                seconds.parse().map_err(|_| format!("`{seconds}` is not a number of seconds"))?;
            run(target, Duration::from_secs(seconds))
        }),
        ["list"] => {
            TARGETS.iter().for_each(|target| println!("{}", target.name));
            Ok(())
        }
        ["seeds", folder] => write_seeds(Path::new(folder)),
        ["case", name, file] => known(name).and_then(|target| {
            let input =
                fs::read(file).map_err(|error| format!("`{file}` cannot be read: {error}"))?;
            (target.run)(&input);
            Ok(())
        }),
        _ => Err("usage: smoke list | run NAME SECONDS | seeds FOLDER | case NAME FILE".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn known(name: &str) -> Result<&'static Target, String> {
    target(name).ok_or_else(|| format!("no target `{name}`"))
}

fn write_seeds(folder: &Path) -> Result<(), String> {
    for target in TARGETS {
        let folder = folder.join(target.name);
        let written = fs::create_dir_all(&folder).and_then(|()| {
            let seeds = (target.seeds)();
            seeds
                .iter()
                .enumerate()
                .try_for_each(|(place, seed)| fs::write(folder.join(place.to_string()), seed))
        });
        written.map_err(|error| format!("`{}` cannot be written: {error}", folder.display()))?;
    }
    Ok(())
}

fn run(target: &Target, time: Duration) -> Result<(), String> {
    let seeds = (target.seeds)();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (start, mut count) = (Instant::now(), 0_u64);
    while start.elapsed() < time {
        let input = random.input(&seeds);
        count += 1;
        if panic::catch_unwind(|| (target.run)(&input)).is_err() {
            let file =
                env::current_dir().unwrap_or_default().join("target/fuzz-found").join(target.name);
            let kept = file
                .parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::write(&file, &input));
            return Err(format!(
                "`{}` breaks on input {count}, kept in `{}` ({kept:?})",
                target.name,
                file.display()
            ));
        }
    }
    println!("{}: {count} inputs", target.name);
    Ok(())
}

/// Xorshift: the same inputs in the same order on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        if limit == 0 { 0 } else { usize::try_from(self.next() % limit as u64).unwrap_or(0) }
    }

    fn byte(&mut self) -> u8 {
        const TELLING: [u8; 12] =
            [0, 1, 0x18, 0x1b, 0x40, 0x5b, 0x7f, 0x80, 0x9f, 0xa0, 0xd2, 0xff];
        if self.below(2) == 0 {
            TELLING[self.below(TELLING.len())]
        } else {
            self.next().to_le_bytes()[0]
        }
    }

    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        if seeds.is_empty() || self.below(16) == 0 {
            let length = self.below(300);
            return (0..length).map(|_| self.byte()).collect();
        }
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut input, seeds);
        }
        input.truncate(LENGTH_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let place = self.below(input.len());
        let end = (place + 1 + self.below(8)).min(input.len());
        match self.below(8) {
            0 if !input.is_empty() => input[place] ^= 1 << self.below(8),
            1 | 2 if !input.is_empty() => input[place] = self.byte(),
            3 => input.insert(place, self.byte()),
            4 if place < end => {
                input.drain(place..end);
            }
            5 if place < end => {
                let copy = input[place..end].to_vec();
                let to = self.below(input.len());
                input.splice(to..to, copy);
            }
            6 => input.truncate(place),
            _ => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len());
                input.truncate(place);
                input.extend(&other[from..]);
            }
        }
    }
}
