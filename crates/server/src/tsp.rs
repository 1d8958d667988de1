//! What the time-stamp authority says when the server refuses before the authority is asked.
//!
//! RFC 3161 §2.4.2: whoever asks for a time-stamp reads a `TimeStampResp`, and nothing else. The HTTP status stays what it is.

use crate::body;
use crate::problem::Code;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, Response};
use tpw_proof::timestamp::{Refusal, refuse};

/// The media type of a request (RFC 3161 §3.4).
pub(crate) const QUERY: &str = "application/timestamp-query";
/// The media type of an answer (RFC 3161 §3.4).
pub(crate) const REPLY: &str = "application/timestamp-reply";

/// Whether the request is one for a time-stamp, so that its answer has to be one too.
pub(crate) fn is_asked(parts: &Parts) -> bool {
    parts.method == Method::POST
        && parts.uri.path() == "/tsa"
        && body::media_type(&parts.headers) == QUERY
}

/// The same answer with a `TimeStampResp` as its body: rejected, and why in the words of the problem.
pub(crate) fn speak(response: Response<Body>, code: Code, words: &str) -> Response<Body> {
    let (mut head, _problem) = response.into_parts();
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(REPLY));
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(refuse(refusal(code), words)))
}

const fn refusal(code: Code) -> Refusal {
    match code {
        Code::BodyTooLarge | Code::BodyTimeout => Refusal::BadRequest,
        // Too many requests, too much to do, a defect: not the fault of what was asked.
        _ => Refusal::SystemFailure,
    }
}
