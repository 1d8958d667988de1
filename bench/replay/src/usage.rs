//! What a process has used, as Linux tells it under `/proc`; nothing elsewhere.

use serde::Serialize;

/// Linux counts processor time for `/proc` in hundredths of a second, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time and memory of a process.
#[derive(Clone, Copy, PartialEq, Serialize, Debug, Default)]
pub struct Usage {
    /// User and system time, in seconds.
    pub cpu_s: f64,
    /// Memory now, in MiB.
    pub rss_mib: u64,
    /// The most memory so far, in MiB.
    pub rss_max_mib: u64,
}

/// Of the process `pid`, or of this one.
#[must_use]
pub fn usage(pid: Option<u32>) -> Option<Usage> {
    let folder = pid.map_or_else(|| "/proc/self".to_owned(), |pid| format!("/proc/{pid}"));
    let stat = std::fs::read_to_string(format!("{folder}/stat")).ok()?;
    let status = std::fs::read_to_string(format!("{folder}/status")).ok()?;
    parse(&stat, &status)
}

#[expect(clippy::cast_precision_loss, reason = "ticks of any real process fit a double exactly")]
fn parse(stat: &str, status: &str) -> Option<Usage> {
    // The name in brackets may hold spaces; what follows it is fields 3 and up. User and system time are 14 and 15.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let kib = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    Some(Usage {
        cpu_s: ticks(11)?.saturating_add(ticks(12)?) as f64 / TICKS_PER_SECOND,
        rss_mib: kib("VmRSS:")? / 1024,
        rss_max_mib: kib("VmHWM:")? / 1024,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_spaces_and_brackets_do_not_confuse() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 2 0 1 2 3";
        let status = "Name:\ta\nVmHWM:\t   4096 kB\nVmRSS:\t   2048 kB\n";
        let expected = Usage { cpu_s: 3.0, rss_mib: 2, rss_max_mib: 4 };
        assert_eq!(parse(stat, status), Some(expected));
        assert_eq!(parse("", status), None);
    }
}
