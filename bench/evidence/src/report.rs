//! What was measured, what it comes to, and whether it is enough.

use replay::bench::disk::Disk;
use replay::latency::{Latency, median};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One round. Rates are per second; those of signatures, hashes, tokens in process, proofs and audits are of one core.
#[derive(Clone, Copy, Serialize, Debug)]
pub struct Round {
    /// A synced write of 4 KiB on the same disk.
    pub disk: Disk,
    /// P-256 signatures of the backend alone.
    pub p256_signatures_per_s: f64,
    /// Entries hashed into a tree and nothing else.
    pub hash_bound_per_s: f64,
    /// Time-stamp tokens in process.
    pub tokens_per_s: f64,
    /// Time-stamp tokens of a server over TLS, with the load generator on the same cores.
    pub tokens_http_per_s: f64,
    /// From asking for a token to having it.
    pub tokens_http: Latency,
    /// Entries made durable, signed and proved.
    pub appends_per_s: f64,
    /// 5,000 entries per second on schedule, from being due to being proved.
    pub paced: Latency,
    /// Proofs of inclusion by the server's view.
    pub proofs_per_s: f64,
    /// Proofs of inclusion from the files alone.
    pub proofs_from_files_per_s: f64,
    /// Entries audited by `tpw log fsck`, every checkpoint's signatures too.
    pub audited_per_s: f64,
    /// Entries audited as of any tiled log.
    pub audited_tiled_per_s: f64,
    /// How long each timed part took.
    pub seconds: f64,
}

impl Round {
    /// In one line.
    #[must_use]
    pub fn words(&self) -> String {
        format!(
            "tokens {:.0}/s a core ({:.0} P-256 signatures), {:.0}/s over HTTP; appends {:.0}/s, paced p99 {:.1} ms; \
             proofs {:.0}/s, from files {:.0}/s; audit {:.0} and {:.0} entries/s of {:.0} hashed; fdatasync p99 {:.2} ms",
            self.tokens_per_s,
            self.p256_signatures_per_s,
            self.tokens_http_per_s,
            self.appends_per_s,
            self.paced.p99_ms,
            self.proofs_per_s,
            self.proofs_from_files_per_s,
            self.audited_per_s,
            self.audited_tiled_per_s,
            self.hash_bound_per_s,
            self.disk.latency.p99_ms,
        )
    }

    /// The lower of what the disk and the processor bound appends to: half of 256 entries for each sync, three tenths of hashing.
    fn append_bar_per_s(&self) -> f64 {
        let syncs_per_s = 1000.0 / self.disk.latency.p50_ms.max(0.001);
        (0.5 * 256.0 * syncs_per_s).min(0.3 * self.hash_bound_per_s)
    }

    /// What an entry may take on schedule, in milliseconds.
    fn paced_bar_ms(&self) -> f64 {
        10.0 + 3.0 * self.disk.latency.p99_ms
    }
}

type Of = fn(&Round) -> f64;

const MEDIANS: &[(&str, Of)] = &[
    ("disk_p50_ms", |r| r.disk.latency.p50_ms),
    ("disk_p99_ms", |r| r.disk.latency.p99_ms),
    ("p256_signatures_per_s", |r| r.p256_signatures_per_s),
    ("hash_bound_per_s", |r| r.hash_bound_per_s),
    ("tokens_per_s", |r| r.tokens_per_s),
    ("tokens_http_per_s", |r| r.tokens_http_per_s),
    ("tokens_http_p99_ms", |r| r.tokens_http.p99_ms),
    ("appends_per_s", |r| r.appends_per_s),
    ("append_bar_per_s", Round::append_bar_per_s),
    ("paced_p50_ms", |r| r.paced.p50_ms),
    ("paced_p99_ms", |r| r.paced.p99_ms),
    ("paced_bar_ms", Round::paced_bar_ms),
    ("proofs_per_s", |r| r.proofs_per_s),
    ("proofs_from_files_per_s", |r| r.proofs_from_files_per_s),
    ("audited_per_s", |r| r.audited_per_s),
    ("audited_tiled_per_s", |r| r.audited_tiled_per_s),
];

/// What Ascertia states for its authority, the only figure of a vendor that is published.
const VENDOR_TOKENS_PER_S: f64 = 500.0;
const PROOFS_PER_S: f64 = 50_000.0;

const RATIOS: &[(&str, Of)] = &[
    ("tsa_vs_signature", |r| r.tokens_per_s / r.p256_signatures_per_s),
    ("tsa_http_vs_vendor", |r| r.tokens_http_per_s / VENDOR_TOKENS_PER_S),
    ("appends_vs_bar", |r| r.appends_per_s / r.append_bar_per_s()),
    ("paced_p99_vs_bar", |r| r.paced.p99_ms / r.paced_bar_ms()),
    ("proofs_vs_50k", |r| r.proofs_per_s / PROOFS_PER_S),
    ("fsck_vs_hashing", |r| r.audited_per_s / r.hash_bound_per_s),
    ("fsck_tiled_vs_hashing", |r| r.audited_tiled_per_s / r.hash_bound_per_s),
];

/// Whether a value is enough.
#[derive(Clone, Copy, PartialEq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Bar {
    /// Not below.
    AtLeast(f64),
    /// Not above.
    AtMost(f64),
}

const BARS: &[(&str, Bar)] = &[
    ("tsa_vs_signature", Bar::AtLeast(0.6)),
    ("tsa_http_vs_vendor", Bar::AtLeast(20.0)),
    ("appends_vs_bar", Bar::AtLeast(1.0)),
    ("paced_p99_vs_bar", Bar::AtMost(1.0)),
    ("proofs_vs_50k", Bar::AtLeast(1.0)),
    ("fsck_vs_hashing", Bar::AtLeast(0.5)),
    ("fsck_tiled_vs_hashing", Bar::AtLeast(0.5)),
];

/// A bar and what was reached.
#[derive(Clone, Copy, PartialEq, Serialize, Debug)]
pub struct Target {
    /// The key of a ratio.
    pub name: &'static str,
    /// What is wanted.
    pub bar: Bar,
    /// What was reached.
    pub value: f64,
    /// Whether it is enough.
    pub met: bool,
}

/// The result.
#[derive(Clone, Serialize, Debug)]
pub struct Report {
    /// Whether the run was a quick one: then no figure is to be published.
    pub quick: bool,
    /// Each round.
    pub rounds: Vec<Round>,
    /// The middle of them.
    pub medians: BTreeMap<&'static str, f64>,
    /// The middle of the ratios of each round.
    pub ratios: BTreeMap<&'static str, f64>,
    /// What was wanted, and what was reached.
    pub targets: Vec<Target>,
}

impl Report {
    /// Of these rounds.
    #[must_use]
    pub fn new(quick: bool, rounds: Vec<Round>) -> Self {
        let middles = |all: &[(&'static str, Of)]| {
            let middle = |of: Of| median(&rounds.iter().map(of).collect::<Vec<_>>());
            all.iter().map(|(name, of)| (*name, middle(*of))).collect::<BTreeMap<_, _>>()
        };
        let (medians, ratios) = (middles(MEDIANS), middles(RATIOS));
        let targets = BARS.iter().map(|&(name, bar)| {
            let value = ratios.get(name).copied().unwrap_or(f64::NAN);
            let met = match bar {
                Bar::AtLeast(bar) => value >= bar,
                Bar::AtMost(bar) => value <= bar,
            };
            Target { name, bar, value, met }
        });
        let targets = targets.collect();
        Self { quick, rounds, medians, ratios, targets }
    }

    /// As tables of Markdown.
    #[must_use]
    pub fn tables(&self) -> String {
        let mut out = "| figure | median |\n|---|---:|\n".to_owned();
        // Writing to a string cannot fail.
        for (name, value) in &self.medians {
            let digits = if *value < 1000.0 { 2 } else { 0 };
            let _ok = writeln!(out, "| `{name}` | {value:.digits$} |");
        }
        out.push_str("\n| target | bar | reached | |\n|---|---|---:|---|\n");
        for Target { name, bar, value, met } in &self.targets {
            let bar = match bar {
                Bar::AtLeast(bar) => format!("at least {bar}"),
                Bar::AtMost(bar) => format!("at most {bar}"),
            };
            let met = if *met { "met" } else { "**missed**" };
            let _ok = writeln!(out, "| `{name}` | {bar} | {value:.2} | {met} |");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    //! Goal: bars are judged on the right side, and by the round's own bounds. Method: rounds written by hand.

    use super::*;

    fn round() -> Round {
        let latency = Latency { p50_ms: 0.25, p99_ms: 1.0, ..Latency::default() };
        Round {
            disk: Disk { latency },
            p256_signatures_per_s: 50_000.0,
            hash_bound_per_s: 1_000_000.0,
            tokens_per_s: 30_000.0,
            tokens_http_per_s: 10_000.0,
            tokens_http: latency,
            appends_per_s: 300_000.0,
            paced: Latency { p99_ms: 13.0, ..latency },
            proofs_per_s: 50_000.0,
            proofs_from_files_per_s: 1.0,
            audited_per_s: 500_000.0,
            audited_tiled_per_s: 500_000.0,
            seconds: 1.0,
        }
    }

    #[test]
    fn what_just_reaches_every_bar_meets_them_all() {
        let report = Report::new(false, vec![round()]);
        assert!(report.targets.iter().all(|target| target.met), "{:?}", report.targets);
        assert!(!report.tables().contains("missed"));
    }

    #[test]
    fn what_falls_short_is_missed() {
        let short = Round {
            tokens_per_s: 29_000.0,
            tokens_http_per_s: 9_900.0,
            appends_per_s: 290_000.0,
            paced: Latency { p99_ms: 13.1, ..Latency::default() },
            proofs_per_s: 49_000.0,
            audited_per_s: 490_000.0,
            audited_tiled_per_s: 490_000.0,
            ..round()
        };
        let report = Report::new(false, vec![short]);
        assert!(report.targets.iter().all(|target| !target.met), "{:?}", report.targets);
    }

    #[test]
    fn appends_are_bound_by_the_slower_of_disk_and_processor() {
        let slow_disk = Latency { p50_ms: 4.0, ..Latency::default() };
        let round = Round { disk: Disk { latency: slow_disk }, ..round() };
        assert_eq!(round.append_bar_per_s(), 32_000.0);
    }
}
