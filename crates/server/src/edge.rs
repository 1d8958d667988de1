//! The outermost layer: every request passes it on the way in, every answer on the way out.

use crate::app::{App, Peer, RequestId, language_of};
use crate::audit::Following;
use crate::oauth::Spoken;
use crate::places::Place;
use crate::problem::{Code, Problem};
use crate::telemetry;
use crate::text::Language;
use crate::tsp;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use axum::middleware::Next;
use axum::response::IntoResponse;
use std::sync::Arc;
use tokio::time::Instant as Stopwatch;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the asker can read when it does not get what it asked for.
#[derive(Clone, Copy)]
enum Form {
    /// RFC 9457.
    Problem,
    /// RFC 3161.
    TimeStampResp,
}

/// The bounds that hold for every route, and what every answer carries.
pub(crate) async fn pass(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let began = Stopwatch::now();
    let request_id = app.next_request_id();
    let (mut parts, body) = request.into_parts();
    let language = language_of(&parts);
    let form = if tsp::is_asked(&parts) { Form::TimeStampResp } else { Form::Problem };
    let method = parts.method.clone();
    let route = parts.extensions.get::<MatchedPath>().cloned();
    let response = match admitted(&app, &mut parts).await {
        Err(problem) => problem.into_response(),
        Ok(_place) => {
            parts.extensions.insert(request_id.clone());
            let following = Following::new(&app);
            parts.extensions.insert(Arc::clone(&following.trail));
            let trail = Arc::clone(&following.trail);
            let answer = trail.scope(next.run(Request::from_parts(parts, body)));
            let answer = match tokio::time::timeout(app.limits.request_time, answer).await {
                Ok(response) => response,
                Err(_late) => Problem::new(Code::Timeout).into_response(),
            };
            following.settle(&method, answer).await
        }
    };
    let RequestId(request_id) = request_id;
    let (code, mut response) = finish(&app, response, (language, form), &request_id);
    dress(&mut response, &request_id);
    let route = route.as_ref().map(MatchedPath::as_str);
    let took = began.elapsed();
    app.meter.count(route, response.status(), took);
    telemetry::record(&request_id, &method, route, response.status(), code, took);
    response
}

/// A place for a request whose sender asks neither too often nor too much at once.
async fn admitted(app: &App, parts: &mut Parts) -> Result<Place, Problem> {
    let Peer(from) = Peer::from_request_parts(parts, &()).await?;
    app.rates.request(from)?;
    app.in_flight.take(from).ok_or_else(|| Problem::new(Code::Busy))
}

/// Writes the problem that an answer carries, if it carries one.
fn finish(
    app: &App,
    mut response: Response<Body>,
    (language, form): (Language, Form),
    request_id: &str,
) -> (Option<&'static str>, Response<Body>) {
    // The authorization server speaks to clients in the words of RFC 6749.
    if let Some(Spoken(code)) = response.extensions_mut().remove::<Spoken>() {
        return (Some(code), response);
    }
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        // The framework's own refusals carry none: a path that is no UTF-8, for one.
        None if response.status() == StatusCode::BAD_REQUEST => Problem::new(Code::NotFound),
        None if response.status() == StatusCode::INTERNAL_SERVER_ERROR => {
            Problem::internal(&"the framework answered with an error")
        }
        None => return (None, response),
    };
    let code = problem.wire_code();
    let rendered = problem.render(response, language, app.issuer(), request_id);
    match form {
        Form::Problem => (Some(code), rendered),
        Form::TimeStampResp => {
            (Some(code), tsp::speak(rendered, problem.code(), &problem.detail(language)))
        }
    }
}

fn dress(response: &mut Response<Body>, request_id: &str) {
    let headers = response.headers_mut();
    let hsts = HeaderValue::from_static("max-age=63072000");
    headers.insert(STRICT_TRANSPORT_SECURITY, hsts);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(X_REQUEST_ID.clone(), id);
    }
}
