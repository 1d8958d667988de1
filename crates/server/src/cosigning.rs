//! What a witness and a mirror share over HTTP: plain texts, statuses as C2SP has them, where requests are judged, and counters.

use crate::body::{self, BodyLimit};
use crate::limits::Limits;
use crate::routes::typed;
use crate::telemetry::{head, put};
use axum::body::Body;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tpw_proof::ProofError;
use tpw_proof::witness::{AddCheckpoint, REQUEST_MAX, Refusal};

/// Requests with small bodies that are judged at once; each takes two signature checks, two signatures and a sync.
const JUDGED_MAX: usize = 32;

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

pub(crate) fn say(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut text = text.into();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    typed(status, TEXT, text)
}

/// Everybody who waits here is a log, and will ask again.
fn later() -> Response<Body> {
    let mut response = say(StatusCode::SERVICE_UNAVAILABLE, "busy; ask again");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// What went wrong inside is for the records.
pub(crate) fn failed(error: &dyn core::fmt::Display) -> Response<Body> {
    tracing::error!(%error, "a request could not be carried out");
    say(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be carried out")
}

/// What a rule of the protocol refuses.
pub(crate) fn refused(refusal: &Refusal) -> Response<Body> {
    if let Refusal::Stale { size } = refusal {
        return typed(StatusCode::CONFLICT, "text/x.tlog.size", format!("{size}\n"));
    }
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    say(status, refusal.to_string())
}

/// What the log has signed and does not follow is kept in the records, for it may prove a fork.
pub(crate) fn keep_fork(request: &AddCheckpoint, refusal: &Refusal, outcome: &'static str) {
    if let Refusal::Inconsistent(_) = refusal {
        let checkpoint = request.checkpoint.to_string();
        tracing::warn!(old = request.old_size, %refusal, checkpoint, "{outcome}");
    }
}

/// Where requests are read, judged a few at once, and counted.
pub(crate) struct Desk {
    body: BodyLimit,
    judged: Arc<Semaphore>,
    pub(crate) tally: Tally,
}

impl Desk {
    pub(crate) fn new(limits: &Limits) -> Self {
        let body = BodyLimit { bytes: REQUEST_MAX, time: limits.body_time };
        Self { body, judged: Arc::new(Semaphore::new(JUDGED_MAX)), tally: Tally::default() }
    }

    /// How long a body may take to arrive.
    pub(crate) const fn body_time(&self) -> Duration {
        self.body.time
    }

    /// The request in a body, in the form that `parse` reads.
    pub(crate) async fn read<T>(
        &self,
        headers: &HeaderMap,
        body: Body,
        parse: impl FnOnce(&str) -> Result<T, ProofError>,
    ) -> Result<T, Response<Body>> {
        read(headers, body, self.body, parse).await.map_err(|response| self.malformed(response))
    }

    pub(crate) fn malformed(&self, response: Response<Body>) -> Response<Body> {
        self.tally.refused("malformed");
        response
    }

    pub(crate) fn busy(&self) -> Response<Body> {
        self.tally.refused("busy");
        later()
    }

    /// Judges a request on a thread that may wait for the disk, if not too many are judged already.
    pub(crate) async fn judged<T: Send + 'static>(
        &self,
        judge: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Response<Body>> {
        let place = Arc::clone(&self.judged).try_acquire_owned().map_err(|_full| self.busy())?;
        let judge = move || {
            let answer = judge();
            drop(place);
            answer
        };
        off_thread(judge).await
    }
}

/// Does something on a thread that may wait for the disk.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Response<Body>> {
    tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))
}

async fn read<T>(
    headers: &HeaderMap,
    body: Body,
    limit: BodyLimit,
    parse: impl FnOnce(&str) -> Result<T, ProofError>,
) -> Result<T, Response<Body>> {
    let bytes = body::read(headers, body, limit).await.map_err(|problem| {
        say(problem.into_response().status(), "the request could not be read")
    })?;
    let bad = |why: String| say(StatusCode::BAD_REQUEST, why);
    let text = str::from_utf8(&bytes).map_err(|_odd| bad("the request is no text".to_owned()))?;
    parse(text).map_err(|error| bad(error.to_string()))
}

/// What was cosigned and what was not. All reasons come from a closed set.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    given: BTreeMap<&'static str, u64>,
    refused: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn given(&self, what: &'static str) {
        let mut counts = self.counts();
        let count = counts.given.entry(what).or_default();
        *count = count.saturating_add(1);
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        let mut counts = self.counts();
        let count = counts.refused.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    /// The Prometheus text form.
    pub(crate) fn write(&self, out: &mut String) {
        let counts = self.counts();
        let name = "tpw_cosignatures_total";
        head(out, name, "counter", "Cosignatures given, by what was cosigned.");
        for (what, count) in &counts.given {
            put(out, name, &format!("{{what=\"{what}\"}}"), *count);
        }
        let name = "tpw_cosign_refusals_total";
        head(out, name, "counter", "Requests that were not carried out, by reason.");
        for (reason, count) in &counts.refused {
            put(out, name, &format!("{{reason=\"{reason}\"}}"), *count);
        }
    }
}

/// `GET /metrics` of a witness or a mirror.
pub(crate) fn metrics(text: String) -> Response<Body> {
    typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}
