//! The figures in the page about performance: the part between two marks is written anew, all else stays.

use crate::chart::thousands;
use crate::error::BenchError;
use crate::peers::Peer;
use crate::report::{Report, Round, Run, range};
use std::fmt::Write as _;
use std::path::Path;

/// The line before the figures.
pub const BEGIN: &str = "<!-- written by `cargo xtask bench ledger`: begin -->";
/// The line behind them.
pub const END: &str = "<!-- written by `cargo xtask bench ledger`: end -->";

/// Puts `part` between the marks of the page at `path`.
///
/// # Errors
/// [`BenchError::NoMark`] when the page has no place for it; [`BenchError::Io`].
pub fn rewrite(path: &Path, part: &str) -> Result<(), BenchError> {
    let page = std::fs::read_to_string(path).map_err(BenchError::io("read", path))?;
    let page =
        replaced(&page, part).map_err(|mark| BenchError::NoMark { path: path.to_owned(), mark })?;
    std::fs::write(path, page).map_err(BenchError::io("write", path))
}

/// Whether the page at `path` has a place for the figures.
///
/// # Errors
/// [`BenchError::NoMark`] when it has none; [`BenchError::Io`].
pub fn has_marks(path: &Path) -> Result<(), BenchError> {
    let page = std::fs::read_to_string(path).map_err(BenchError::io("read", path))?;
    let checked = replaced(&page, "");
    checked.map(|_page| ()).map_err(|mark| BenchError::NoMark { path: path.to_owned(), mark })
}

fn replaced(page: &str, part: &str) -> Result<String, &'static str> {
    let (before, rest) = page.split_once(BEGIN).ok_or(BEGIN)?;
    let (_old, after) = rest.split_once(END).ok_or(END)?;
    Ok(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", part.trim()))
}

type OfPeer = fn(&Round) -> Peer;
type OfRun = fn(&Round) -> Option<Run>;

const ENGINES: &[(&str, OfRun)] = &[
    ("ours on SQLite, 0.3 M rows, every account as often", |r| Some(r.sqlite)),
    ("the same, accounts by Zipf's law", |r| Some(r.sqlite_zipf)),
    ("the same, one account gives in every transfer", |r| Some(r.sqlite_hot)),
    ("ours on SQLite, 10 M rows", |r| r.sqlite_10m),
    ("ours on SQLite, one order at a time", |r| Some(r.sqlite_one)),
    ("ours on PostgreSQL, every account as often", |r| Some(r.postgres)),
    ("the same, one account gives in every transfer", |r| Some(r.postgres_hot)),
    ("ours on PostgreSQL, one order at a time", |r| Some(r.postgres_one)),
];

/// The part of the page that belongs to a report.
#[must_use]
pub fn part(report: &Report) -> String {
    let mut out = String::new();
    let machine = &report.machine;
    // Writing to a string cannot fail.
    let _ok = write!(
        out,
        "Machine: {}, {} cores, {} GiB; a synced write of 4 KiB takes {:.2} ms (median), {:.2} ms (p99). {}.\n\
         Load average before the run: {:.1}. Rounds: {}; every part once a round, so that all see the same machine. Figures are\n\
         medians, ratios are medians of the ratios of each round.\n\n\
         ![Bar chart of durable transfers per second; the table below has the same figures](ledger.svg)\n\n",
        machine.processor,
        machine.cores,
        machine.memory_gib,
        report.figure("disk_p50_ms"),
        report.figure("disk_p99_ms"),
        machine.postgres,
        machine.load_average.0,
        report.rounds.len(),
    );
    speeds(&mut out, report);
    targets(&mut out, report);
    losing(&mut out, report);
    out
}

fn speeds(out: &mut String, report: &Report) {
    out.push_str("| what | transfers/s | slowest to fastest round | CPU a transfer |\n|---|---:|---:|---:|\n");
    for &(name, of) in ENGINES {
        let per_s = |round: &Round| of(round).map(|run| run.per_s);
        let cpu_us = |round: &Round| of(round).map(|run| run.cpu_us);
        row(out, report, name, per_s, cpu_us);
    }
    let peers: [(&str, OfPeer); 5] = [
        ("row locks in one SQL function, our workload, 0.3 M rows, 32 clients", |r| r.row_locks),
        ("the same, one account gives in every transfer", |r| r.row_locks_hot),
        ("row locks, lean: plain transfers alone, from no rows on, 32 clients", |r| {
            r.row_locks_lean
        }),
        ("pgbench, like TPC-B, scale 10, 32 clients", |r| r.tpcb),
        ("the same, one client", |r| r.tpcb_one),
    ];
    for (name, of) in peers {
        row(out, report, name, |r| Some(of(r).per_s), |r| Some(of(r).server_cpu_us));
    }
    row(
        out,
        report,
        "signed single payments through the whole flow, 256 connections",
        |r| Some(r.flow.per_s),
        |r| Some(r.flow.server_cpu_us),
    );
    row(
        out,
        report,
        "the same requests to a bare server: TLS, HTTP, the signature, an answer as long",
        |r| Some(r.bare.per_s),
        |r| Some(r.bare.server_cpu_us),
    );
    out.push('\n');
}

fn row(
    out: &mut String,
    report: &Report,
    name: &str,
    per_s: impl Fn(&Round) -> Option<f64>,
    cpu_us: impl Fn(&Round) -> Option<f64>,
) {
    let middle = |of: &dyn Fn(&Round) -> Option<f64>| {
        let values: Vec<f64> = report.rounds.iter().filter_map(of).collect();
        replay::latency::median(&values)
    };
    let Some((low, high)) = range(&report.rounds, &per_s) else { return };
    let (rate, cpu) = (thousands(middle(&per_s)), middle(&cpu_us));
    let (low, high) = (thousands(low), thousands(high));
    let _ok = writeln!(out, "| {name} | {rate} | {low} to {high} | {cpu:.2} µs |");
}

fn targets(out: &mut String, report: &Report) {
    out.push_str("| target | bar | reached | |\n|---|---|---:|---|\n");
    for target in &report.targets {
        let value =
            target.value.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.2}"));
        let met = match target.met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        let _ok = writeln!(out, "| `{}` | {} | {value} | {met} |", target.name, target.bar.words());
    }
    out.push('\n');
    let _ok = writeln!(
        out,
        "Beside them without a bar: {:.2} times the lean row locks on SQLite (`sqlite_vs_rowlock_lean`), {:.2} times on PostgreSQL\n\
         (`postgres_vs_rowlock_lean`). With one hot account row locks reach {:.2} of their own speed.\n",
        report.figure("sqlite_vs_rowlock_lean"),
        report.figure("postgres_vs_rowlock_lean"),
        report.figure("rowlock_hot_vs_uniform"),
    );
    let _ok = writeln!(
        out,
        "The whole flow makes {:.2} of what the bare server makes (`flow_vs_bare`), which makes {:.2} times TPC-B-like by itself (`bare_vs_tpcb`):\n\
         no ledger behind the same libraries could go beyond.\n",
        report.figure("flow_vs_bare"),
        report.figure("bare_vs_tpcb"),
    );
    let _ok = writeln!(
        out,
        "At 70 % of the peak a batch of 8,190 orders is durable {:.1} ms (median) and {:.1} ms (p99) after it was due. An account takes\n\
         {:.0} bytes in the ledger and {:.0} in the whole engine, measured with {} of them.\n",
        report.figure("sqlite_paced_p50_ms"),
        report.figure("sqlite_paced_p99_ms"),
        report.memory.ledger_bytes_per_account,
        report.memory.engine_bytes_per_account,
        thousands(count(report.memory.accounts)),
    );
}

fn losing(out: &mut String, report: &Report) {
    if !report.losing.is_empty() {
        out.push_str("Where we lose:\n\n");
    }
    for lost in &report.losing {
        let (ours, theirs) = (thousands(lost.ours_per_s), thousands(lost.theirs_per_s));
        let _ok =
            writeln!(out, "- {}: {ours}/s against {theirs}/s, {:.2} of it.", lost.case, lost.ratio);
    }
    out.push_str("\nNot measured:\n\n");
    for (name, why) in &report.skipped {
        let _ok = writeln!(out, "- {name}: {why}.");
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of any benchmark fit a double exactly")]
fn count(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn only_what_stands_between_the_marks_changes() {
        let page = format!("# Page\n\nbefore\n\n{BEGIN}\n\nold\n\n{END}\n\nafter\n");
        let once = replaced(&page, "new\n").unwrap();
        assert_eq!(once, format!("# Page\n\nbefore\n\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n"));
        assert_eq!(replaced(&once, "new").unwrap(), once);
    }

    #[test]
    fn a_page_without_a_mark_stays_as_it_is() {
        assert_eq!(replaced("# Page\n", "new"), Err(BEGIN));
        assert_eq!(replaced(&format!("{BEGIN}\n"), "new"), Err(END));
        assert_eq!(replaced(&format!("{END}\n{BEGIN}\n"), "new"), Err(END));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.md");
        std::fs::write(&path, "# Page\n").unwrap();
        assert!(matches!(rewrite(&path, "new"), Err(BenchError::NoMark { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# Page\n");
        assert!(matches!(rewrite(&folder.path().join("none"), ""), Err(BenchError::Io { .. })));
    }

    #[test]
    fn every_target_and_every_lost_case_is_told() {
        let mut report = report(false);
        report.targets[0].met = Some(false);
        let part = part(&report);
        for target in &report.targets {
            assert!(part.contains(&format!("`{}`", target.name)), "{}", target.name);
        }
        assert_eq!(part.matches("**missed**").count(), 1);
        assert!(!report.losing.is_empty());
        for lost in &report.losing {
            assert!(part.contains(lost.case), "{}", lost.case);
        }
        for needed in
            ["row locks, lean: ", "`sqlite_vs_rowlock_lean`", "40.00 times", "10.00 times"]
        {
            assert!(part.contains(needed), "{needed}");
        }
        assert!(part.contains("pgledger") && part.contains("400,000"));
        assert!(part.lines().all(|line| !line.ends_with(' ')), "{part}");
    }
}
