//! A witness over HTTP (`c2sp.org/tlog-witness`): `POST /add-checkpoint`, `POST /sign-subtree` and
//! `GET /<origin hash>/checkpoint`; `GET /metrics` for whoever runs it.
//!
//! It is a server of its own, with its own keys and folder: a witness in the operator's process would witness nothing.

use crate::ServerError;
use crate::cosigning::{self, Desk, failed, say};
use crate::limits::Limits;
use crate::serve::{Bound, ServeOptions, bind};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::routing::{get, post};
use std::sync::Arc;
use tpw_core::Instant;
use tpw_engines::witness::{Witness, WitnessError};
use tpw_proof::witness::{AddCheckpoint, SignSubtree};

struct Shared {
    witness: Arc<Witness>,
    desk: Desk,
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
    bind(&options, now, None, |_front| Ok(witness_router(witness, &limits)), shutdown).await
}

/// The router without TLS and without a listener.
pub fn witness_router(witness: Arc<Witness>, limits: &Limits) -> Router {
    let shared = Shared { witness, desk: Desk::new(limits) };
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/sign-subtree", post(sign_subtree))
        .route("/metrics", get(metrics))
        .route("/{origin}/checkpoint", get(checkpoint))
        .with_state(Arc::new(shared))
}

/// Judges a request.
async fn judged<T: Send + 'static>(
    shared: &Shared,
    judge: impl FnOnce(&Witness) -> Result<T, WitnessError> + Send + 'static,
) -> Result<T, Response<Body>> {
    let witness = Arc::clone(&shared.witness);
    let judged = shared.desk.judged(move || judge(&witness)).await?;
    judged.map_err(|error| refuse(shared, &error))
}

async fn add_checkpoint(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Response<Body>> {
    let request = shared.desk.read(&headers, body, AddCheckpoint::parse).await?;
    let judge = move |witness: &Witness| {
        let lines = witness.add_checkpoint(&request);
        if let Err(WitnessError::Refused(refusal)) = &lines {
            cosigning::keep_fork(&request, refusal, "not cosigned");
        }
        lines.map(|lines| (lines, request))
    };
    let (lines, request) = judged(&shared, judge).await?;
    let checkpoint = request.checkpoint.checkpoint();
    let (origin, size) = (&checkpoint.origin, checkpoint.head.size);
    tracing::info!(%origin, size, "cosigned");
    shared.desk.tally.given("checkpoint");
    Ok(say(StatusCode::OK, lines))
}

async fn sign_subtree(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Response<Body>> {
    let request = shared.desk.read(&headers, body, SignSubtree::parse).await?;
    let line = judged(&shared, move |witness| witness.sign_subtree(&request)).await?;
    shared.desk.tally.given("subtree");
    Ok(say(StatusCode::OK, line))
}

fn refuse(shared: &Shared, error: &WitnessError) -> Response<Body> {
    let (reason, response) = match error {
        WitnessError::Refused(refusal) => (refusal.code(), cosigning::refused(refusal)),
        WitnessError::TooLarge => ("too_large", say(StatusCode::BAD_REQUEST, error.to_string())),
        WitnessError::Busy => return shared.desk.busy(),
        other => ("failed", failed(other)),
    };
    shared.desk.tally.refused(reason);
    response
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let mut text = String::new();
    shared.desk.tally.write(&mut text);
    cosigning::metrics(text)
}

async fn checkpoint(
    State(shared): State<Arc<Shared>>,
    Path(origin_hash): Path<String>,
) -> Result<Response<Body>, Response<Body>> {
    let read = cosigning::off_thread(move || shared.witness.checkpoint(&origin_hash)).await?;
    let Some(checkpoint) = read.map_err(|error| failed(&error))? else {
        let why = "this witness has cosigned no checkpoint of such a log";
        return Ok(say(StatusCode::NOT_FOUND, why));
    };
    let mut response = say(StatusCode::OK, checkpoint.to_string());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}
