//! OPA's REST API as far as it asks for documents (openpolicyagent.org/docs/rest-api): `GET` and `POST` of `/v1/data`, and
//! `/health`. Answers and errors have its shapes; a document that is undefined is an answer without `result`.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::{any, get};
use regorus::Value;
use serde_json::json;

use crate::path::{DataPath, decoded};
use crate::policies::{AskError, BuiltinErrors};
use crate::workers::{Busy, Workers};

/// What every request shares.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) workers: Arc<Workers>,
    pub(crate) body_bytes_max: usize,
}

/// All that is served.
pub(crate) fn router(shared: Shared) -> Router {
    let data = get(read).post(evaluate).fallback(wrong_method);
    Router::new()
        .route("/health", get(health).fallback(wrong_method))
        .route("/v1/data", data.clone())
        .route("/v1/data/{*path}", data)
        .fallback(any(nowhere))
        .with_state(shared)
}

/// An error in OPA's shape.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// What went wrong in the evaluation: code and message.
    inner: Option<(&'static str, String)>,
}

impl Refusal {
    fn parameter(message: impl Into<String>) -> Self {
        let (status, code) = (StatusCode::BAD_REQUEST, "invalid_parameter");
        Self { status, code, message: message.into(), inner: None }
    }

    fn busy(why: Busy) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self { status, code: "internal_error", message: why.to_string(), inner: None }
    }

    fn evaluation(error: &AskError) -> Self {
        let code = match error {
            AskError::Late => "eval_cancel_error",
            AskError::Conflict(_) => "eval_conflict_error",
            AskError::Evaluation(_) => "eval_internal_error",
        };
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "internal_error",
            message: "error(s) occurred while evaluating query".to_owned(),
            inner: Some((code, error.to_string())),
        }
    }

    fn answer(self) -> Response<Body> {
        let Self { code, message, .. } = &self;
        let body = match &self.inner {
            None => json!({ "code": code, "message": message }),
            Some((inner, cause)) => {
                let errors = [json!({ "code": inner, "message": cause })];
                json!({ "code": code, "message": message, "errors": errors })
            }
        };
        let mut response = typed(self.status, body.to_string());
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

fn typed(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// What a query string asks for. Whatever else OPA knows there adds to an answer; here it is not added.
#[derive(Default)]
struct Wishes {
    pretty: bool,
    builtin_errors: BuiltinErrors,
    input: Option<String>,
}

impl Wishes {
    fn parse(query: Option<&str>) -> Result<Self, Refusal> {
        let mut wishes = Self::default();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let on = matches!(value, "" | "true" | "1");
            match name {
                "pretty" => wishes.pretty = on,
                "strict-builtin-errors" if on => wishes.builtin_errors = BuiltinErrors::Fatal,
                "input" => {
                    let text = decoded(&value.replace('+', " "));
                    wishes.input =
                        Some(text.map_err(|error| Refusal::parameter(error.to_string()))?);
                }
                _ => {}
            }
        }
        Ok(wishes)
    }
}

async fn health() -> Response<Body> {
    // Without policies it does not listen, so that whoever reaches it finds it ready.
    typed(StatusCode::OK, "{}".to_owned())
}

async fn nowhere() -> Response<Body> {
    let message = "only /v1/data and /health are served".to_owned();
    let (status, code) = (StatusCode::NOT_FOUND, "resource_not_found");
    Refusal { status, code, message, inner: None }.answer()
}

async fn wrong_method() -> Response<Body> {
    let message = "policies and data are files here: they are read, not written".to_owned();
    let (status, code) = (StatusCode::METHOD_NOT_ALLOWED, "invalid_operation");
    Refusal { status, code, message, inner: None }.answer()
}

/// `GET /v1/data/PATH[?input=JSON]`
async fn read(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let asked = async {
        let wishes = Wishes::parse(query.as_deref())?;
        let input = wishes.input.as_deref().map(value).transpose()?;
        answer(&shared, &path, &wishes, input, "").await
    };
    asked.await.unwrap_or_else(Refusal::answer)
}

/// `POST /v1/data/PATH`, with `{"input": …}` or nothing.
async fn evaluate(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let asked = async {
        let wishes = Wishes::parse(query.as_deref())?;
        let input = input(request, shared.body_bytes_max).await?;
        let warning = match input {
            Some(_) => "",
            None => {
                r#","warning":{"code":"api_usage_warning","message":"'input' key missing from the request"}"#
            }
        };
        answer(&shared, &path, &wishes, input, warning).await
    };
    asked.await.unwrap_or_else(Refusal::answer)
}

fn value(json: &str) -> Result<Value, Refusal> {
    let odd =
        |error| Refusal::parameter(format!("body contains malformed input document: {error}"));
    Value::from_json_str(json).map_err(odd)
}

async fn input(request: Request, most: usize) -> Result<Option<Value>, Refusal> {
    let headers = request.headers();
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Refusal::parameter("compressed bodies are not read"));
    }
    let yaml = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if yaml.is_some_and(|kind| kind.contains("yaml")) {
        return Err(Refusal::parameter("YAML is not read; send JSON"));
    }
    let body = to_bytes(request.into_body(), most).await.map_err(|_too_long| Refusal {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        ..Refusal::parameter(format!("request body too large: at most {most} bytes are read"))
    })?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let text = core::str::from_utf8(&body);
    let body = value(text.map_err(|_odd| Refusal::parameter("the body is no UTF-8"))?)?;
    let object = body.as_object();
    let object = object.map_err(|_odd| Refusal::parameter("the body is no JSON object"))?;
    Ok(object.get(&Value::from("input")).cloned())
}

/// Asks, and puts the answer into OPA's words; `more` stands behind the result.
async fn answer(
    shared: &Shared,
    path: &str,
    wishes: &Wishes,
    input: Option<Value>,
    more: &str,
) -> Result<Response<Body>, Refusal> {
    let path = path.strip_prefix("/v1/data").unwrap_or_default();
    let path = DataPath::parse(path).map_err(|error| Refusal::parameter(error.to_string()))?;
    let found = shared.workers.ask(path, input, wishes.builtin_errors).await;
    let found = found.map_err(Refusal::busy)?.map_err(|error| Refusal::evaluation(&error))?;
    let written = |value| match wishes.pretty {
        true => serde_json::to_string_pretty(value),
        false => serde_json::to_string(value),
    };
    let result = found.as_ref().map(written).transpose();
    let result =
        result.map_err(|error| Refusal::evaluation(&AskError::Evaluation(error.to_string())))?;
    let body = match result {
        Some(result) => format!("{{\"result\":{result}{more}}}"),
        None => format!("{{{}}}", more.trim_start_matches(',')),
    };
    Ok(typed(StatusCode::OK, body))
}
