//! A witness over HTTP (`c2sp.org/tlog-witness`): `POST /add-checkpoint` and `GET /<origin hash>/checkpoint`.
//!
//! It is a server of its own, with its own keys and folder: a witness in the operator's process would witness nothing.

use crate::ServerError;
use crate::body::{self, BodyLimit};
use crate::limits::Limits;
use crate::routes::typed;
use crate::serve::{Bound, ServeOptions, bind};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tpw_core::Instant;
use tpw_engines::witness::{Witness, WitnessError};
use tpw_proof::witness::{AddCheckpoint, REQUEST_MAX, Refusal};

/// Requests that are judged at once; each takes two signature checks, two signatures and a sync.
const JUDGED_MAX: usize = 32;

const TEXT: &str = "text/plain; charset=utf-8";

struct Shared {
    witness: Arc<Witness>,
    body: BodyLimit,
    judged: Arc<Semaphore>,
}

/// Starts to listen; answers when the port is bound. It serves until `shutdown` ends.
///
/// # Errors
/// As [`crate::serve`].
pub async fn serve_witness(
    witness: Arc<Witness>,
    options: ServeOptions,
    now: Instant,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Bound, ServerError> {
    let limits = options.limits;
    bind(&options, now, |_front| Ok(witness_router(witness, &limits)), shutdown).await
}

/// The router without TLS and without a listener.
pub fn witness_router(witness: Arc<Witness>, limits: &Limits) -> Router {
    let body = BodyLimit { bytes: REQUEST_MAX, time: limits.body_time };
    let judged = Arc::new(Semaphore::new(JUDGED_MAX));
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/{origin}/checkpoint", get(checkpoint))
        .with_state(Arc::new(Shared { witness, body, judged }))
}

fn say(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut text = text.into();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    typed(status, TEXT, text)
}

async fn add_checkpoint(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let bytes = match body::read(&headers, body, shared.body).await {
        Ok(bytes) => bytes,
        Err(problem) => {
            return say(problem.into_response().status(), "the request could not be read");
        }
    };
    let request = str::from_utf8(&bytes).ok().map(AddCheckpoint::parse);
    let request = match request {
        Some(Ok(request)) => request,
        Some(Err(error)) => return say(StatusCode::BAD_REQUEST, error.to_string()),
        None => return say(StatusCode::BAD_REQUEST, "the request is no text"),
    };
    let Ok(place) = Arc::clone(&shared.judged).try_acquire_owned() else {
        return later();
    };
    let judged = tokio::task::spawn_blocking(move || {
        let answer = shared.witness.add_checkpoint(&request);
        drop(place);
        (answer, request)
    });
    match judged.await {
        Ok((Ok(lines), request)) => {
            let checkpoint = request.checkpoint.checkpoint();
            let (origin, size) = (&checkpoint.origin, checkpoint.head.size);
            tracing::info!(%origin, size, "cosigned");
            say(StatusCode::OK, lines)
        }
        Ok((Err(error), request)) => refuse(&error, &request),
        Err(error) => failed(&error),
    }
}

/// Everybody who waits here is a log, and will ask again.
fn later() -> Response<Body> {
    let mut response = say(StatusCode::SERVICE_UNAVAILABLE, "busy; ask again");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn failed(error: &dyn core::fmt::Display) -> Response<Body> {
    tracing::error!(%error, "the witness could not answer");
    say(StatusCode::INTERNAL_SERVER_ERROR, "the witness could not answer")
}

fn refuse(error: &WitnessError, request: &AddCheckpoint) -> Response<Body> {
    let refusal = match error {
        WitnessError::Refused(refusal) => refusal,
        WitnessError::TooLarge => return say(StatusCode::BAD_REQUEST, error.to_string()),
        WitnessError::Busy => return later(),
        other => return failed(other),
    };
    if let Refusal::Stale { size } = refusal {
        return typed(StatusCode::CONFLICT, "text/x.tlog.size", format!("{size}\n"));
    }
    if matches!(refusal, Refusal::Inconsistent(_)) {
        // Signed by the log, and it does not follow: kept in the records, for it may prove a fork.
        let checkpoint = request.checkpoint.to_string();
        tracing::warn!(old = request.old_size, %refusal, checkpoint, "not cosigned");
    }
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    say(status, refusal.to_string())
}

async fn checkpoint(
    State(shared): State<Arc<Shared>>,
    Path(origin_hash): Path<String>,
) -> Response<Body> {
    let read = tokio::task::spawn_blocking(move || shared.witness.checkpoint(&origin_hash));
    match read.await {
        Ok(Ok(Some(checkpoint))) => {
            let mut response = say(StatusCode::OK, checkpoint.to_string());
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            response
        }
        Ok(Ok(None)) => {
            say(StatusCode::NOT_FOUND, "this witness has cosigned no checkpoint of such a log")
        }
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}
