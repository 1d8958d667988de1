//! Proofs that time-stamps stand in the log.

use super::{Reply, off_thread, typed};
use crate::app::App;
use crate::problem::{Code, Problem};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use std::sync::Arc;
use tpw_engines::TokenProof;

/// Checkpoints come with payments; nobody knows when the next one is made.
const RETRY_SECONDS: &str = "10";
const PROOF: &str = "text/plain; charset=utf-8";

/// `GET /tsa/tokens/{serial}`: a `c2sp.org/tlog-proof@v1` over the entry of the time-stamp with this serial number, in hexadecimal.
/// For anyone: it says nothing about what was stamped.
pub(super) async fn proof(State(app): State<Arc<App>>, Path(serial): Path<String>) -> Reply {
    let unknown = || Problem::new(Code::NotFound);
    let serial = serial_of(&serial).ok_or_else(unknown)?;
    match off_thread(&app, move |engine| Ok(engine.token_proof(&serial)?)).await? {
        TokenProof::Unknown => Err(unknown()),
        TokenProof::Waiting => {
            let mut response = typed(StatusCode::ACCEPTED, PROOF, Body::empty());
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
            Ok(response)
        }
        TokenProof::Proved(text) => Ok(typed(StatusCode::OK, PROOF, text)),
    }
}

/// Forty digits, as `tpw tsa reply` and `openssl ts` show them.
fn serial_of(text: &str) -> Option<[u8; 20]> {
    let mut serial = [0_u8; 20];
    if text.len() != 40 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, place) in serial.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(place..place + 2)?, 16).ok()?;
    }
    Some(serial)
}
