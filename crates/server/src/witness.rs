//! A witness over HTTP (`c2sp.org/tlog-witness`): `POST /add-checkpoint`, `POST /sign-subtree` and
//! `GET /<origin hash>/checkpoint`; `GET /metrics` for whoever runs it.
//!
//! It is a server of its own, with its own keys and folder: a witness in the operator's process would witness nothing.

use crate::ServerError;
use crate::body::BodyLimit;
use crate::cosigning::{self, Tally, failed, later, say};
use crate::limits::Limits;
use crate::serve::{Bound, ServeOptions, bind};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::routing::{get, post};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tpw_core::Instant;
use tpw_engines::witness::{Witness, WitnessError};
use tpw_proof::witness::{AddCheckpoint, REQUEST_MAX, Refusal, SignSubtree};

/// Requests that are judged at once; each takes two signature checks, two signatures and a sync.
const JUDGED_MAX: usize = 32;

struct Shared {
    witness: Arc<Witness>,
    body: BodyLimit,
    judged: Arc<Semaphore>,
    tally: Tally,
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
    let shared = Shared { witness, body, judged, tally: Tally::default() };
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/sign-subtree", post(sign_subtree))
        .route("/metrics", get(metrics))
        .route("/{origin}/checkpoint", get(checkpoint))
        .with_state(Arc::new(shared))
}

async fn add_checkpoint(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let request = cosigning::read(&headers, body, shared.body, AddCheckpoint::parse).await;
    let request = match request {
        Ok(request) => request,
        Err(response) => return malformed(&shared, response),
    };
    let Ok(place) = Arc::clone(&shared.judged).try_acquire_owned() else {
        return busy(&shared);
    };
    let asked = Arc::clone(&shared);
    let judged = tokio::task::spawn_blocking(move || {
        let answer = asked.witness.add_checkpoint(&request);
        drop(place);
        (answer, request)
    });
    match judged.await {
        Ok((Ok(lines), request)) => {
            let checkpoint = request.checkpoint.checkpoint();
            let (origin, size) = (&checkpoint.origin, checkpoint.head.size);
            tracing::info!(%origin, size, "cosigned");
            shared.tally.given("checkpoint");
            say(StatusCode::OK, lines)
        }
        Ok((Err(error), request)) => {
            if let WitnessError::Refused(refusal @ Refusal::Inconsistent(_)) = &error {
                // Signed by the log, and it does not follow: kept in the records, for it may prove a fork.
                let checkpoint = request.checkpoint.to_string();
                tracing::warn!(old = request.old_size, %refusal, checkpoint, "not cosigned");
            }
            refuse(&shared, &error)
        }
        Err(error) => failed(&error),
    }
}

async fn sign_subtree(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let request = cosigning::read(&headers, body, shared.body, SignSubtree::parse).await;
    let request = match request {
        Ok(request) => request,
        Err(response) => return malformed(&shared, response),
    };
    let Ok(place) = Arc::clone(&shared.judged).try_acquire_owned() else {
        return busy(&shared);
    };
    let asked = Arc::clone(&shared);
    let judged = tokio::task::spawn_blocking(move || {
        let answer = asked.witness.sign_subtree(&request);
        drop(place);
        answer
    });
    match judged.await {
        Ok(Ok(line)) => {
            shared.tally.given("subtree");
            say(StatusCode::OK, line)
        }
        Ok(Err(error)) => refuse(&shared, &error),
        Err(error) => failed(&error),
    }
}

fn malformed(shared: &Shared, response: Response<Body>) -> Response<Body> {
    shared.tally.refused("malformed");
    response
}

fn busy(shared: &Shared) -> Response<Body> {
    shared.tally.refused("busy");
    later()
}

fn refuse(shared: &Shared, error: &WitnessError) -> Response<Body> {
    match error {
        WitnessError::Refused(refusal) => {
            shared.tally.refused(refusal.code());
            cosigning::refused(refusal)
        }
        WitnessError::TooLarge => {
            shared.tally.refused("too_large");
            say(StatusCode::BAD_REQUEST, error.to_string())
        }
        WitnessError::Busy => busy(shared),
        other => {
            shared.tally.refused("failed");
            failed(other)
        }
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let mut text = String::new();
    shared.tally.write(&mut text);
    cosigning::metrics(text)
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
