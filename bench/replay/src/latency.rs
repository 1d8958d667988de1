//! Times of many requests, and what most of them kept within.

use serde::Serialize;
use std::time::Duration;

/// What a set of times comes to, in milliseconds.
#[derive(Clone, Copy, PartialEq, Serialize, Debug, Default)]
pub struct Latency {
    /// How many.
    pub count: usize,
    /// Half took at most this.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1000.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// The value at or below which `per_mille` of the sorted times lie (nearest rank); zero of none.
#[must_use]
pub fn quantile(sorted: &[Duration], per_mille: usize) -> Duration {
    let rank = sorted.len().saturating_mul(per_mille).div_ceil(1000).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

/// In milliseconds, to the microsecond.
#[must_use]
pub fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

impl Latency {
    /// Of these times.
    #[must_use]
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |per_mille| ms(quantile(&times, per_mille));
        Self {
            count: times.len(),
            p50_ms: at(500),
            p90_ms: at(900),
            p99_ms: at(990),
            p999_ms: at(999),
            max_ms: at(1000),
        }
    }
}

/// The middle value; the mean of the two in the middle of an even count; zero of none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    if sorted.len() % 2 == 1 || sorted.is_empty() {
        return upper;
    }
    let lower = sorted.get((sorted.len() / 2).saturating_sub(1)).copied().unwrap_or_default();
    f64::midpoint(lower, upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let times: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        let of = Latency::of(times);
        assert_eq!((of.p50_ms, of.p90_ms, of.p99_ms, of.max_ms), (50.0, 90.0, 99.0, 100.0));
        assert_eq!(Latency::of(vec![Duration::from_millis(3)]).p50_ms, 3.0);
        assert_eq!(Latency::of(Vec::new()), Latency::default());
    }

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }
}
