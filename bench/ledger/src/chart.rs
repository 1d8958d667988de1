//! The bar chart beside the figures: one SVG file that reads on light and on dark pages, by eyes and by ear.

use crate::report::{Report, Round, range};
use std::fmt::Write as _;

const WIDTH: f64 = 860.0;
const ROW: f64 = 30.0;
const TOP: f64 = 56.0;
const BAR_LEFT: f64 = 330.0;
/// Room for the number behind the longest bar.
const BAR_RIGHT: f64 = 740.0;

/// One bar.
#[derive(Clone, PartialEq, Debug)]
pub struct Bar {
    /// What it stands for.
    pub name: &'static str,
    /// The class that gives its colour: `ours` or `peer`.
    pub class: &'static str,
    /// The middle of all rounds, per second.
    pub per_s: f64,
    /// The lowest and the highest round.
    pub range: (f64, f64),
}

type Of = fn(&Round) -> Option<f64>;

const BARS: &[(&str, &str, &str, Of)] = &[
    ("ours on SQLite, even", "ours", "sqlite_per_s", |r| Some(r.sqlite.per_s)),
    ("ours on SQLite, Zipf", "ours", "sqlite_zipf_per_s", |r| Some(r.sqlite_zipf.per_s)),
    ("ours on SQLite, one hot account", "ours", "sqlite_hot_per_s", |r| Some(r.sqlite_hot.per_s)),
    ("ours on SQLite, 10 million rows", "ours", "sqlite_10m_per_s", |r| {
        r.sqlite_10m.map(|run| run.per_s)
    }),
    ("ours on PostgreSQL, even", "ours", "postgres_per_s", |r| Some(r.postgres.per_s)),
    ("ours on PostgreSQL, one hot account", "ours", "postgres_hot_per_s", |r| {
        Some(r.postgres_hot.per_s)
    }),
    ("row locks, our workload, even", "peer", "row_locks_per_s", |r| Some(r.row_locks.per_s)),
    ("row locks, our workload, one hot account", "peer", "row_locks_hot_per_s", |r| {
        Some(r.row_locks_hot.per_s)
    }),
    ("row locks, lean: plain transfers alone", "peer", "row_locks_lean_per_s", |r| {
        Some(r.row_locks_lean.per_s)
    }),
    ("pgbench, like TPC-B", "peer", "tpcb_per_s", |r| Some(r.tpcb.per_s)),
];

/// The bars of a report.
#[must_use]
pub fn bars(report: &Report) -> Vec<Bar> {
    let found = BARS.iter().filter_map(|&(name, class, figure, of)| {
        let per_s = report.figure(figure);
        let range = range(&report.rounds, of)?;
        Some(Bar { name, class, per_s, range })
    });
    found.collect()
}

/// The chart as an SVG document.
#[must_use]
pub fn svg(bars: &[Bar]) -> String {
    let height = (0..bars.len()).fold(TOP + 24.0, |height, _| height + ROW);
    let most = bars.iter().map(|bar| bar.range.1.max(bar.per_s)).fold(1.0, f64::max);
    let scale = (BAR_RIGHT - BAR_LEFT) / most;
    let mut out = head(bars, height);
    let mut y = TOP;
    for bar in bars {
        draw(&mut out, bar, y, scale);
        y += ROW;
    }
    out.push_str("</svg>\n");
    out
}

fn head(bars: &[Bar], height: f64) -> String {
    let told: Vec<String> =
        bars.iter().map(|bar| format!("{}: {}", bar.name, spoken(bar.per_s))).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-labelledby=\"ledger-title ledger-desc\">\n\
         <title id=\"ledger-title\">Durable transfers per second on one machine</title>\n\
         <desc id=\"ledger-desc\">{}</desc>\n\
         <style>\n\
         text {{ font: 14px system-ui, sans-serif; fill: #1b1f24; }}\n\
         .small {{ font-size: 12px; fill: #57606a; }}\n\
         .ours {{ fill: #0b6bcb; }}\n\
         .peer {{ fill: #8b949e; }}\n\
         .range {{ stroke: #1b1f24; stroke-width: 1.5; }}\n\
         @media (prefers-color-scheme: dark) {{\n\
         text {{ fill: #e6edf3; }}\n\
         .small {{ fill: #9da7b3; }}\n\
         .ours {{ fill: #58a6ff; }}\n\
         .range {{ stroke: #e6edf3; }}\n\
         }}\n\
         </style>\n\
         <text x=\"12\" y=\"24\">Durable transfers per second, all on the same machine in the same rounds</text>\n\
         <text class=\"small\" x=\"12\" y=\"42\">Bars are medians; thin lines run from the slowest to the fastest round. Longer is better.</text>\n",
        escaped(&told.join("; "))
    )
}

fn draw(out: &mut String, bar: &Bar, y: f64, scale: f64) {
    let width = (bar.per_s * scale).max(1.0);
    let middle = y + 10.0;
    let (low, high) = (BAR_LEFT + bar.range.0 * scale, BAR_LEFT + bar.range.1 * scale);
    let behind = (BAR_LEFT + width).max(high) + 8.0;
    // Writing to a string cannot fail.
    let _ok = write!(
        out,
        "<text x=\"12\" y=\"{:.1}\">{}</text>\n\
         <rect class=\"{}\" x=\"{BAR_LEFT:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"20\" rx=\"2\"/>\n\
         <line class=\"range\" x1=\"{low:.1}\" y1=\"{middle:.1}\" x2=\"{high:.1}\" y2=\"{middle:.1}\"/>\n\
         <text x=\"{behind:.1}\" y=\"{:.1}\">{}</text>\n",
        y + 15.0,
        escaped(bar.name),
        bar.class,
        y + 15.0,
        thousands(bar.per_s)
    );
}

fn spoken(per_s: f64) -> String {
    format!("{} per second", thousands(per_s))
}

/// A whole number with its thousands apart: `328,901`.
#[must_use]
pub fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        let left = digits.len().saturating_sub(place);
        if place > 0 && left.checked_rem(3) == Some(0) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    /// Whether every element that is opened is closed, in order, and no text holds a bare sign.
    fn well_formed(text: &str) -> bool {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('<') {
            if rest[..at].contains('>') {
                return false;
            }
            let Some(end) = rest[at..].find('>') else { return false };
            let tag = &rest[at + 1..at + end];
            if tag.contains('<') || !tag.matches('"').count().is_multiple_of(2) {
                return false;
            }
            if let Some(name) = tag.strip_prefix('/') {
                if open.pop() != Some(name) {
                    return false;
                }
            } else if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().unwrap_or_default());
            }
            rest = &rest[at + end + 1..];
        }
        open.is_empty() && !rest.contains('>')
    }

    #[test]
    fn the_check_of_this_test_finds_broken_documents() {
        assert!(well_formed("<a b=\"c\"><d/>text</a>\n"));
        for broken in ["<a>", "<a></b>", "<a></a></a>", "<a b=\"c></a>", "a > b", "<a<b/></a>"] {
            assert!(!well_formed(broken), "{broken}");
        }
    }

    #[test]
    fn the_chart_is_well_formed_and_speaks() {
        let bars = bars(&report(false));
        assert_eq!(bars.len(), BARS.len());
        let chart = svg(&bars);
        assert!(well_formed(&chart), "{chart}");
        for needed in
            ["role=\"img\"", "<title id=", "<desc id=", "prefers-color-scheme: dark", "400,000"]
        {
            assert!(chart.contains(needed), "{needed}");
        }
        assert_eq!(chart.matches("<rect").count(), bars.len());
        assert!(well_formed(&svg(&[Bar {
            name: "<&\">",
            class: "peer",
            per_s: 0.0,
            range: (0.0, 0.0)
        }])));
    }

    #[test]
    fn bars_stay_within_the_picture() {
        let chart = svg(&bars(&report(false)));
        for part in chart.split("x2=\"").skip(1) {
            let x: f64 = part.split('"').next().unwrap().parse().unwrap();
            assert!((BAR_LEFT..=BAR_RIGHT + 0.1).contains(&x), "{x}");
        }
    }

    #[test]
    fn thousands_stand_apart() {
        let cases = [(0.0, "0"), (999.4, "999"), (1_000.0, "1,000"), (1_234_567.0, "1,234,567")];
        for (value, text) in cases {
            assert_eq!(thousands(value), text);
        }
    }
}
