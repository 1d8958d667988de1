//! What operators see: records and metrics. Never bodies, tokens, codes, proofs, names or addresses of people.

use crate::authorities::Rereadings;
use crate::served::Renewals;
use axum::http::{Method, StatusCode};
use core::fmt::Write as _;
use core::time::Duration;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use tpw_engines::Metrics;
use tpw_engines::log_store::CosignerRow;

/// How the records are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Records {
    /// One JSON object a line, on standard output.
    Json,
    /// For people, on standard error.
    Words,
}

/// Starts writing records; `filter` is of the form `info` or `tpw_server=debug,warn`. A second call changes
/// nothing.
pub fn start_records(form: Records, filter: &str) {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    let _already_started = match form {
        Records::Json => builder.json().flatten_event(true).try_init(),
        Records::Words => builder.with_writer(std::io::stderr).try_init(),
    };
}

/// Upper bounds of the buckets of request durations, in milliseconds.
const BUCKETS_MS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 1_000, 10_000];

/// Counters of one route.
#[derive(Default)]
struct RouteMeter {
    /// By the first digit of the status: 1xx to 5xx.
    classes: [AtomicU64; 5],
    /// Durations up to each bound, and longer ones at the end.
    buckets: [AtomicU64; 11],
    sum_us: AtomicU64,
}

/// Counters of all routes. The routes are fixed at the start, so that counting takes no lock.
pub(crate) struct HttpMeter {
    routes: HashMap<String, RouteMeter>,
    other: RouteMeter,
}

impl HttpMeter {
    /// For these routes, as the router writes them.
    pub(crate) fn new<'r>(routes: impl Iterator<Item = &'r str>) -> Self {
        let routes = routes.map(|route| (route.to_owned(), RouteMeter::default())).collect();
        Self { routes, other: RouteMeter::default() }
    }

    /// Counts one answer.
    pub(crate) fn count(&self, route: Option<&str>, status: StatusCode, took: Duration) {
        let meter = route.and_then(|route| self.routes.get(route)).unwrap_or(&self.other);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = meter.classes.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = BUCKETS_MS.partition_point(|bound| bound.saturating_mul(1000) < took_us);
        if let Some(counter) = meter.buckets.get(place) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        meter.sum_us.fetch_add(took_us, Ordering::Relaxed);
    }

    fn each(&self) -> impl Iterator<Item = (&str, &RouteMeter)> {
        let mut routes: Vec<_> = self.routes.iter().map(|(name, m)| (name.as_str(), m)).collect();
        routes.sort_unstable_by_key(|(name, _)| *name);
        routes.into_iter().chain([("other", &self.other)])
    }
}

/// One record of a request.
pub(crate) fn record(
    request_id: &str,
    method: &Method,
    route: Option<&str>,
    status: StatusCode,
    code: Option<&str>,
    took: Duration,
) {
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let (route, status, code) = (route.unwrap_or("other"), status.as_u16(), code.unwrap_or(""));
    if status >= 500 {
        tracing::warn!(request_id, %method, route, status, code, took_us, "request");
    } else {
        tracing::debug!(request_id, %method, route, status, code, took_us, "request");
    }
}

/// The Prometheus text form (version 0.0.4) of all counters. All labels come from closed sets.
pub(crate) fn prometheus(
    engine: &Metrics,
    http: &HttpMeter,
    certificate: Option<&Renewals>,
    revocations: Option<&Rereadings>,
) -> String {
    let mut out = String::with_capacity(8 * 1024);
    for (name, kind, help, value) in [
        ("tpw_batches_total", "counter", "Commits of the writer.", engine.batches),
        ("tpw_commands_total", "counter", "Commands decided.", engine.commands),
        ("tpw_leaves_total", "counter", "Leaves written to the log.", engine.leaves),
        ("tpw_alarms_total", "counter", "Alarms raised.", engine.alarms),
        ("tpw_payments_waiting", "gauge", "Payments that wait.", engine.waiting),
        ("tpw_tree_size", "gauge", "Leaves under the newest checkpoint.", engine.tree_size),
        (
            "tpw_checkpoint_age_milliseconds",
            "gauge",
            "Age of the newest checkpoint.",
            engine.checkpoint_age_ms,
        ),
    ] {
        head(&mut out, name, kind, help);
        put(&mut out, name, "", value);
    }
    head(&mut out, "tpw_payments_total", "counter", "New states of payments.");
    for (status, count) in &engine.payments {
        put(&mut out, "tpw_payments_total", &format!("{{status=\"{status}\"}}"), *count);
    }
    head(&mut out, "tpw_rejections_total", "counter", "Commands rejected, by code.");
    for (code, count) in &engine.rejections {
        put(&mut out, "tpw_rejections_total", &format!("{{code=\"{code}\"}}"), *count);
    }
    outside(&mut out, engine);
    if let Some(certificate) = certificate {
        renewals(&mut out, certificate);
    }
    if let Some(revocations) = revocations {
        rereadings(&mut out, revocations);
    }
    requests(&mut out, http);
    out
}

/// The names of authorities are of the operator's configuration, and their outcomes a closed set.
fn outside(out: &mut String, engine: &Metrics) {
    if engine.outside.is_empty() {
        return;
    }
    let name = "tpw_outside_timestamps_total";
    head(out, name, "counter", "Questions to other time-stamp authorities, by what came of them.");
    for ((authority, outcome), count) in &engine.outside {
        put(out, name, &format!("{{authority=\"{authority}\",outcome=\"{outcome}\"}}"), *count);
    }
}

/// What is done beside payments and ended in a panic; nothing where all goes on.
pub(crate) fn ended(out: &mut String, works: &[&'static str]) {
    if works.is_empty() {
        return;
    }
    let name = "tpw_work_ended";
    head(out, name, "gauge", "Work beside payments that ended in a panic, until the next start.");
    for work in works {
        put(out, name, &format!("{{work=\"{work}\"}}"), 1);
    }
}

fn renewals(out: &mut String, certificate: &Renewals) {
    if let Some(ends_s) = certificate.ends_s {
        let name = "tpw_tls_certificate_ends_seconds";
        head(out, name, "gauge", "When the server's certificate ends, in seconds since 1970.");
        put(out, name, "", ends_s);
    }
    let name = "tpw_tls_certificate_renewals_total";
    head(out, name, "counter", "New certificates found on disk, by what came of them.");
    put(out, name, "{outcome=\"used\"}", certificate.renewed);
    put(out, name, "{outcome=\"refused\"}", certificate.refused);
}

fn rereadings(out: &mut String, revocations: &Rereadings) {
    if let Some(ends_s) = revocations.ends_s {
        let name = "tpw_client_revocations_end_seconds";
        let help = "When the first of the lists of clients' revoked certificates ends, in seconds since 1970.";
        head(out, name, "gauge", help);
        put(out, name, "", ends_s);
    }
    let name = "tpw_client_revocations_rereads_total";
    let help = "New lists of clients' revoked certificates found on disk, by what came of them.";
    head(out, name, "counter", help);
    put(out, name, "{outcome=\"used\"}", revocations.used);
    put(out, name, "{outcome=\"refused\"}", revocations.refused);
    put(out, name, "{outcome=\"older\"}", revocations.older);
}

fn requests(out: &mut String, http: &HttpMeter) {
    head(out, "tpw_http_requests_total", "counter", "Answers, by route and status class.");
    for (route, meter) in http.each() {
        for (class, counter) in (1..).zip(&meter.classes) {
            let count = counter.load(Ordering::Relaxed);
            if count > 0 {
                let labels = format!("{{route=\"{route}\",status=\"{class}xx\"}}");
                put(out, "tpw_http_requests_total", &labels, count);
            }
        }
    }
    head(out, "http_server_request_duration_seconds", "histogram", "How long answers took.");
    for (route, meter) in http.each() {
        let mut total = 0_u64;
        let counts: Vec<u64> = meter.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
        if counts.iter().all(|count| *count == 0) {
            continue;
        }
        let bounds = BUCKETS_MS.iter().map(|ms| seconds(ms.saturating_mul(1000)));
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&counts) {
            total = total.saturating_add(*count);
            let labels = format!("{{route=\"{route}\",le=\"{bound}\"}}");
            put(out, "http_server_request_duration_seconds_bucket", &labels, total);
        }
        let sum = seconds(meter.sum_us.load(Ordering::Relaxed));
        let name = "http_server_request_duration_seconds";
        let _never_fails = writeln!(out, "{name}_sum{{route=\"{route}\"}} {sum}");
        put(out, &format!("{name}_count"), &format!("{{route=\"{route}\"}}"), total);
    }
}

/// Microseconds as seconds, exactly.
fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(crate) fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _never_fails = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

pub(crate) fn put(out: &mut String, name: &str, labels: &str, value: u64) {
    let _never_fails = writeln!(out, "{name}{labels} {value}");
}

/// A label's value as Prometheus reads it.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// What the log's witnesses and mirrors do for it.
pub(crate) fn cosigners(out: &mut String, rows: &[CosignerRow], tree_size: u64) {
    let label = |row: &CosignerRow| {
        format!("cosigner=\"{}\",role=\"{}\"", escaped(&row.name), row.role.code())
    };
    let name = "tpw_cosigner_answers_total";
    head(out, name, "counter", "Answers of witnesses and mirrors, by what came of them.");
    for row in rows {
        for (outcome, count) in &row.outcomes {
            put(out, name, &format!("{{{},outcome=\"{outcome}\"}}", label(row)), *count);
        }
    }
    let name = "tpw_cosigner_answer_seconds";
    head(out, name, "summary", "How long cosignatures took, from the question on.");
    for row in rows {
        let (took_s, count) = (seconds(row.took_us), row.outcomes.get("cosigned").copied());
        let _never_fails = writeln!(out, "{name}_sum{{{}}} {took_s}", label(row));
        put(out, &format!("{name}_count"), &format!("{{{}}}", label(row)), count.unwrap_or(0));
    }
    let name = "tpw_cosigner_behind";
    head(out, name, "gauge", "Entries of the log that it has not cosigned yet.");
    for row in rows {
        put(out, name, &format!("{{{}}}", label(row)), tree_size.saturating_sub(row.size));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_out_as_prometheus_reads_them() {
        let meter = HttpMeter::new(["/v1/payments"].into_iter());
        let route = Some("/v1/payments");
        meter.count(route, StatusCode::CREATED, Duration::from_micros(900));
        meter.count(route, StatusCode::CREATED, Duration::from_millis(5));
        meter.count(Some("/nowhere"), StatusCode::NOT_FOUND, Duration::from_secs(60));
        let text = prometheus(&Metrics::default(), &meter, None, None);
        for line in [
            "tpw_http_requests_total{route=\"/v1/payments\",status=\"2xx\"} 2",
            "tpw_http_requests_total{route=\"other\",status=\"4xx\"} 1",
            "http_server_request_duration_seconds_bucket{route=\"/v1/payments\",le=\"0.001\"} 1",
            "http_server_request_duration_seconds_bucket{route=\"/v1/payments\",le=\"0.005\"} 2",
            "http_server_request_duration_seconds_bucket{route=\"other\",le=\"10\"} 0",
            "http_server_request_duration_seconds_bucket{route=\"other\",le=\"+Inf\"} 1",
            "http_server_request_duration_seconds_sum{route=\"/v1/payments\"} 0.0059",
            "http_server_request_duration_seconds_count{route=\"/v1/payments\"} 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
        }
    }
}
