//! `tpw verify --all`: the receipts of a folder, on all cores.

use super::super::{Context, Outcome, show};
use super::RECEIPT_LEN_MAX;
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use crate::say::{Mood, Say};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant as Stopwatch};
use std::{fs, thread};
use tpw_engines::files::FileError;
use tpw_proof::verdict::{Level, Outcome as Found};
use tpw_proof::{BulkJudge, Judgement, Trust};

const ENDING: &str = "tpr";
/// Folders within folders. Links to folders are not followed, so only a strange tree is deeper.
const DEPTH_MAX: usize = 64;
/// Receipts between two times that the answers are told: this bounds what is in memory, and keeps the answers in order.
const ROUND: usize = 4096;
/// Neighbours that a core takes at a time: their names begin with a time, so they are likely under one checkpoint.
const TAKEN: usize = 32;

pub(super) fn run(context: &Context, folder: &Path, trust: &Trust) -> Outcome {
    let say = &context.say;
    let paths = receipts_in(folder)?;
    if paths.is_empty() {
        // Nothing judged is not everything valid.
        return Err(Failure::failed("no-receipts-in").arg("path", folder.display()));
    }
    let watch = Stopwatch::now();
    let bar = progress(say, paths.len());
    let cores = thread::available_parallelism().map_or(1, usize::from).min(paths.len());
    let mut judges: Vec<BulkJudge<'_>> = (0..cores).map(|_| BulkJudge::new(trust)).collect();
    let mut tally = Tally::default();
    for round in paths.chunks(ROUND) {
        let answers = judge_round(&mut judges, round, say, &bar);
        for (path, answer) in round.iter().zip(answers) {
            tally.count(&answer);
            bar.suspend(|| tell(say, path, &answer));
        }
    }
    bar.finish_and_clear();
    tally.tell(say, watch.elapsed());
    Ok(if tally.valid == tally.all { Exit::Done } else { Exit::NotVerified })
}

/// The receipts below a folder, by name: the same folder gives the same list.
fn receipts_in(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut folders = vec![(root.to_owned(), 0_usize)];
    while let Some((folder, depth)) = folders.pop() {
        let unreadable = |cause: io::Error| {
            Failure::from(FileError::Io { doing: "read", path: folder.clone(), cause })
        };
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = entry.path();
            if entry.file_type().map_err(unreadable)?.is_dir() {
                if depth >= DEPTH_MAX {
                    return Err(Failure::failed("folders-deep").arg("path", path.display()));
                }
                folders.push((path, depth.saturating_add(1)));
            } else if path.extension().is_some_and(|ending| ending == ENDING) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What came of one file.
struct Answer {
    judged: Result<Judgement, Failure>,
    /// The JSON, made where the receipt was judged: on every core.
    line: Option<Value>,
}

/// Judges some receipts, each core the next few that nobody has taken; the answers are in the order of `paths`.
fn judge_round(
    judges: &mut [BulkJudge<'_>],
    paths: &[PathBuf],
    say: &Say,
    bar: &ProgressBar,
) -> Vec<Answer> {
    let groups: Vec<(&[PathBuf], OnceLock<Vec<Answer>>)> =
        paths.chunks(TAKEN).map(|group| (group, OnceLock::new())).collect();
    let (next, json) = (AtomicUsize::new(0), say.is_json());
    thread::scope(|scope| {
        for judge in judges {
            let (groups, next) = (&groups, &next);
            scope.spawn(move || {
                while let Some((group, answers)) = groups.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let judged = group.iter().map(|path| judge_file(judge, path, json)).collect();
                    // No other core has taken this place.
                    let _first = answers.set(judged);
                    bar.inc(u64::try_from(group.len()).unwrap_or(0));
                }
            });
        }
    });
    groups.into_iter().filter_map(|(_, answers)| answers.into_inner()).flatten().collect()
}

fn judge_file(judge: &mut BulkJudge<'_>, path: &Path, json: bool) -> Answer {
    let watch = Stopwatch::now();
    let judged = read_named(path, RECEIPT_LEN_MAX).map(|bytes| judge.judge(&bytes));
    let ms = watch.elapsed().as_secs_f64() * 1000.0;
    let file = path.display().to_string();
    let line = json.then(|| match &judged {
        Ok(judgement) => super::judged_json(judgement, &file, ms),
        Err(failure) => json!({ "file": file, "valid": false, "error": failure.key }),
    });
    Answer { judged, line }
}

/// JSON tells every receipt; text only those that do not hold.
fn tell(say: &Say, path: &Path, answer: &Answer) {
    if let Some(line) = &answer.line {
        say.json(line);
    }
    let file = path.display().to_string();
    match &answer.judged {
        Err(failure) => say.failure(failure),
        Ok(judgement) if !say.is_json() && !judgement.is_valid() => {
            let (layer, reason) = match judgement.first_failure() {
                Some((layer, reason)) => {
                    (say.text(&format!("layer-{}", layer.code())), show::fault(say, reason))
                }
                // Nothing failed, and yet something is missing that a valid receipt has.
                None => (say.text("layer-none"), say.text("verify-all-missing")),
            };
            let args = [("file", file.as_str()), ("layer", &layer), ("reason", &reason)];
            say.data(&say.paint(Mood::Bad, &say.with("verify-all-invalid", &args)));
        }
        Ok(_) => {}
    }
}

/// How many receipts came out how.
#[derive(Default)]
struct Tally {
    all: usize,
    valid: usize,
    unread: usize,
    levels: [Counts; 6],
}

/// Of one level.
#[derive(Clone, Copy, Default)]
struct Counts {
    proved: usize,
    absent: usize,
    failed: usize,
}

impl Tally {
    fn count(&mut self, answer: &Answer) {
        self.all = self.all.saturating_add(1);
        let Ok(judgement) = &answer.judged else {
            self.unread = self.unread.saturating_add(1);
            return;
        };
        self.valid = self.valid.saturating_add(usize::from(judgement.is_valid()));
        for (level, counts) in Level::ALL.iter().zip(&mut self.levels) {
            let place = match judgement.level(*level) {
                Found::Proved { .. } => &mut counts.proved,
                Found::Absent => &mut counts.absent,
                Found::Failed { .. } => &mut counts.failed,
            };
            *place = place.saturating_add(1);
        }
    }

    /// A table of the levels, and one line about all. JSON on stdout is one object for each receipt and nothing else, so
    /// that the sum is words then.
    fn tell(&self, say: &Say, took: Duration) {
        let invalid = self.all.saturating_sub(self.valid).saturating_sub(self.unread);
        let counts = [self.valid, self.all, invalid, self.unread].map(|n| n.to_string());
        let [valid, all, invalid, unread] = counts;
        let ms = format!("{:.1}", took.as_secs_f64() * 1000.0);
        let args = [
            ("valid", valid.as_str()),
            ("all", &all),
            ("invalid", &invalid),
            ("unread", &unread),
            ("ms", &ms),
        ];
        let sum = say.with("verify-all-done", &args);
        if say.is_json() {
            return say.word(&sum);
        }
        let rows: Vec<Vec<String>> = Level::ALL
            .iter()
            .zip(&self.levels)
            .map(|(level, counts)| {
                let name = say.text(&format!("level-{}", level.code()));
                let numbers = [counts.proved, counts.absent, counts.failed];
                let first = format!("L{} {name}", level.number());
                [first].into_iter().chain(numbers.map(|n| n.to_string())).collect()
            })
            .collect();
        say.table(&["head-level", "word-proved", "word-absent", "word-failed"], &rows);
        let mood = if self.valid == self.all { Mood::Good } else { Mood::Bad };
        say.data(&say.paint(mood, &sum));
    }
}

fn progress(say: &Say, receipts: usize) -> ProgressBar {
    let shown = io::stderr().is_terminal();
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(u64::try_from(receipts).ok(), target);
    let form = "{prefix} {wide_bar} {pos}/{len} {per_sec} {eta}";
    bar.set_style(
        ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.set_prefix(say.text("verify-all-judging"));
    if shown {
        bar.enable_steady_tick(Duration::from_millis(200));
    }
    bar
}
