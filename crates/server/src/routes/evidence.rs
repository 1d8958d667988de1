//! What anyone may read: the log, the trust file, time-stamps, the description of this API.

use super::{Reply, json, off_thread, typed};
use crate::app::{App, Peer};
use crate::body::{self, BodyLimit};
use crate::problem::{Code, Problem};
use crate::tsp;
use crate::view;
use crate::wire::{self, Base64Url, Text};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use std::sync::Arc;

/// `GET /v1/checkpoint`
pub(super) async fn checkpoint(State(app): State<Arc<App>>) -> Reply {
    let newest = app.engine.log().newest().ok_or_else(|| Problem::new(Code::NotFound))?;
    let checkpoint = wire::Checkpoint {
        origin: app.engine.origin().to_owned(),
        head: view::head(newest.head),
        issued: Text(newest.issued),
        checkpoint: newest.checkpoint.to_string(),
        token: Base64Url(newest.token.clone()),
    };
    Ok(json(StatusCode::OK, &checkpoint))
}

/// `GET /v1/trust`
pub(super) async fn trust(State(app): State<Arc<App>>) -> Response<Body> {
    typed(StatusCode::OK, "application/json", app.engine.trust_json())
}

/// `GET /v1/openapi.json`
pub(super) async fn openapi() -> Response<Body> {
    typed(StatusCode::OK, "application/json", crate::openapi::openapi_json())
}

/// `GET /v1/log/checkpoint` and `GET /v1/log/tile/…` (`c2sp.org/tlog-tiles`); `GET /v1/log/witnessed-checkpoint`: the newest
/// checkpoint that has its quorum of witnesses.
pub(super) async fn log_file(State(app): State<Arc<App>>, Path(path): Path<String>) -> Reply {
    let is_checkpoint = matches!(path.as_str(), "checkpoint" | "witnessed-checkpoint");
    let found = off_thread(&app, move |engine| {
        if path == "witnessed-checkpoint" {
            let newest = engine.witnessed().and_then(|witnessed| witnessed.newest());
            return Ok(newest.map(|head| head.checkpoint.to_string().into_bytes()));
        }
        engine.log().file(&path).map_err(|error| Problem::internal(&error))
    });
    let bytes = found.await?.ok_or_else(|| Problem::new(Code::NotFound))?;
    let (media_type, caching) = if is_checkpoint {
        ("text/plain; charset=utf-8", "no-cache")
    } else {
        // A tile never changes: a wider one has another path.
        ("application/octet-stream", "public, max-age=31536000, immutable")
    };
    let mut response = typed(StatusCode::OK, media_type, bytes);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    Ok(response)
}

/// `POST /tsa` (RFC 3161 §3.4): for anyone, under a rate limit. Whatever is wrong with the request itself is said
/// in a `TimeStampResp`, and so is what the server refuses before the authority is asked.
pub(super) async fn stamp(
    State(app): State<Arc<App>>,
    Peer(from): Peer,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    app.rates.timestamp(from)?;
    if body::media_type(&headers) != tsp::QUERY {
        return Err(Problem::new(Code::UnsupportedType).with("expected", tsp::QUERY));
    }
    let limit = BodyLimit { bytes: app.limits.tsa_bytes, time: app.limits.body_time };
    let request = body::read(&headers, body, limit).await?;
    let drafted = off_thread(&app, move |engine| Ok(engine.draft_stamp(&request))).await?;
    let answer = app.engine.give_stamp(drafted).await?;
    Ok(typed(StatusCode::OK, tsp::REPLY, answer))
}
