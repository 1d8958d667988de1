//! Answers in the words of RFC 6749, and errors in its form (§5.2).

use crate::app::App;
use crate::body;
use crate::problem::Problem;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use tpw_access::oauth::{ErrorCode, Form, OAuthError};
use tpw_engines::{EngineError, PayError};

/// Marks an answer that says itself what is wrong: the outermost layer leaves it as it is and takes the code for its records.
#[derive(Clone, Copy)]
pub(crate) struct Spoken(pub(crate) &'static str);

/// Why a client does not get what it asked for.
pub(super) enum Refused {
    /// For the client to put right.
    OAuth(OAuthError),
    /// As everywhere: too much, too large, a defect here.
    Problem(Problem),
}

pub(super) type Answer = Result<Response<Body>, Refused>;

impl From<OAuthError> for Refused {
    fn from(error: OAuthError) -> Self {
        Self::OAuth(error)
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<EngineError> for Refused {
    fn from(error: EngineError) -> Self {
        Self::Problem(error.into())
    }
}

impl From<PayError> for Refused {
    fn from(error: PayError) -> Self {
        Self::Problem(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        let error = match self {
            Self::Problem(problem) => return problem.into_response(),
            Self::OAuth(error) => error,
        };
        let status = match error.code {
            ErrorCode::InvalidClient => StatusCode::UNAUTHORIZED,
            ErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let body = json!({ "error": error.code.code(), "error_description": error.says });
        let mut response = told(status, &body);
        response.extensions_mut().insert(Spoken(error.code.code()));
        response
    }
}

/// A JSON answer that nobody keeps (RFC 6749 §5.1).
pub(super) fn told(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The parameters in the body.
pub(super) async fn form(app: &App, headers: &HeaderMap, body: Body) -> Result<Form, Refused> {
    if body::media_type(headers) != "application/x-www-form-urlencoded" {
        let says = "the body must be application/x-www-form-urlencoded";
        return Err(OAuthError::new(ErrorCode::InvalidRequest, says).into());
    }
    Ok(Form::parse(&body::read(headers, body, app.small_body()).await?)?)
}
