//! The authorization server for clients: what `tpw_access::oauth` decides, over HTTP and the books.
//!
//! Its routes are described by its own metadata (RFC 8414), not by the OpenAPI document; what people and operators do about
//! clients is part of the API like everything else.

mod books;
pub(crate) mod clients;
pub(crate) mod delegations;
pub(crate) mod grants;
mod page;
mod par;
mod pending;
mod reader;
mod speak;
mod tell;
mod token;

pub(crate) use reader::{Reader, Wanted};
pub(crate) use speak::Spoken;

use crate::app::App;
use crate::mutual::Presented;
use axum::Router;
use axum::http::request::Parts;
use axum::routing::{get, post};
use pending::Pending;
use speak::Refused;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tpw_access::oauth::assertion::{self, AssertionError};
use tpw_access::oauth::{
    Assertion, Authenticated, Binding, Client, ClientAuth, ErrorCode, Form, Issuer, OAuthError,
};
use tpw_access::{ReplayCache, ReplayError};
use tpw_core::{Hash32, Instant};
use tpw_crypto::sha256;

macro_rules! routes {
    ($($path:literal => $methods:expr;)*) => {
        /// Every path of the authorization server.
        pub(crate) const PATHS: &[&str] = &[$($path),*];

        /// Its routes.
        pub(crate) fn all() -> Router<Arc<App>> {
            Router::new()$(.route($path, $methods))*
        }
    };
}

routes! {
    "/.well-known/oauth-authorization-server" => get(tell::metadata);
    "/oauth/jwks" => get(tell::jwks);
    "/oauth/par" => post(par::push);
    "/oauth/authorize" => get(par::authorize);
    "/oauth/token" => post(token::token);
    "/oauth/introspect" => post(tell::introspect);
    "/oauth/revoke" => post(tell::revoke);
}

/// What the authorization server remembers between requests: nothing that a restart may not lose.
pub(crate) struct Memory {
    /// Used assertions of clients.
    assertions: Mutex<ReplayCache>,
    /// Used proofs of clients' requests.
    proofs: Mutex<ReplayCache>,
    pending: Mutex<Pending>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole values are left behind also by a thread that panicked: each change is one call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    pub(crate) fn new(now: Instant) -> Self {
        let replays = || Mutex::new(ReplayCache::new(ReplayCache::CAPACITY, now));
        Self { assertions: replays(), proofs: replays(), pending: Mutex::new(Pending::default()) }
    }

    fn proofs(&self) -> MutexGuard<'_, ReplayCache> {
        held(&self.proofs)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        held(&self.pending)
    }
}

/// The key of a client's rate limit.
fn rate_key(client: &Client) -> Hash32 {
    Hash32::new(sha256(client.id.as_str().as_bytes()))
}

fn not_proved() -> OAuthError {
    let says = "the client did not prove itself: send a fresh `private_key_jwt` assertion for this issuer, or connect with a registered certificate";
    OAuthError::new(ErrorCode::InvalidClient, says)
}

/// The client that sends a request, by its assertion (RFC 7521 §4.2), or by the certificate of its connection (RFC 8705 §2).
///
/// All that is wrong with either has one answer: a stranger learns nothing about which clients there are.
async fn authenticate(
    app: &Arc<App>,
    parts: &Parts,
    form: &Form,
) -> Result<Authenticated, Refused> {
    // RFC 6749 §2.3: one way in a request. A certificate beside an assertion only says what tokens are bound to.
    let asserts =
        ["client_assertion_type", "client_assertion"].iter().any(|name| form.get(name).is_some());
    match Presented::in_request(parts) {
        Some(presented) if !asserts => by_certificate(app, presented, form).await,
        _ => by_assertion(app, form).await,
    }
}

async fn by_assertion(app: &Arc<App>, form: &Form) -> Result<Authenticated, Refused> {
    if form.get("client_assertion_type") != Some(assertion::TYPE) {
        return Err(not_proved().into());
    }
    let text = form.get("client_assertion").ok_or_else(not_proved)?;
    let named = assertion::named(text).ok_or_else(not_proved)?;
    if form.get("client_id").is_some_and(|id| id != named.as_str()) {
        return Err(not_proved().into());
    }
    let client = books::client(app, &named).await?.ok_or_else(not_proved)?;
    let rate_key = rate_key(&client);
    let now = app.engine.now();
    let told = |error: AssertionError| match error {
        AssertionError::Replay(ReplayError::TooBusy) => {
            OAuthError::new(ErrorCode::TemporarilyUnavailable, "too many requests: try again")
        }
        other => {
            tracing::debug!(cause = %other, "a client did not prove itself");
            not_proved()
        }
    };
    let assertion = Assertion::verify(text, client, app.issuer(), now).map_err(told)?;
    app.rates.client(rate_key)?;
    Ok(assertion.admit(&mut held(&app.oauth.assertions), now).map_err(told)?)
}

async fn by_certificate(
    app: &Arc<App>,
    presented: &Presented,
    form: &Form,
) -> Result<Authenticated, Refused> {
    // RFC 8705 §2: the certificate does not say which client it is of.
    let named = form.get("client_id").and_then(|id| id.parse().ok()).ok_or_else(not_proved)?;
    let client = books::client(app, &named).await?.ok_or_else(not_proved)?;
    let (rate_key, now) = (rate_key(&client), app.engine.now());
    let issuer = issuer(app, &client, presented, now);
    let proved = Authenticated::by_certificate(client, presented.certificate(), issuer, now);
    let proved = proved.map_err(|cause| {
        tracing::debug!(%cause, "a client did not prove itself");
        not_proved()
    })?;
    app.rates.client(rate_key)?;
    Ok(proved)
}

/// Who issued a certificate, if that matters for this client.
fn issuer(app: &App, client: &Client, presented: &Presented, now: Instant) -> Issuer {
    let is_named = client.auths(now).any(|auth| matches!(auth, ClientAuth::Name(_)));
    match &app.mutual {
        Some(mutual) if is_named => mutual.issuer(presented, now),
        _ => Issuer::Unknown,
    }
}

/// What a token that is asked for now is bound to: the key of the request's proof, or else the certificate of its connection.
fn bound(app: &App, parts: &Parts) -> Result<Binding, OAuthError> {
    let presented = Presented::in_request(parts).filter(|_| !parts.headers.contains_key("dpop"));
    let Some(presented) = presented else { return Ok(Binding::Key(proven(app, parts)?)) };
    let certificate = presented.certificate();
    certificate.holds(app.engine.now()).map_err(|_| not_proved())?;
    Ok(Binding::Certificate(certificate.thumbprint()))
}

/// The key whose holder sent this request to the authorization server, by its DPoP proof, which belongs to no token (RFC 9449 §5).
fn proven(app: &App, parts: &Parts) -> Result<Hash32, OAuthError> {
    let failed = |says| OAuthError::new(ErrorCode::InvalidDpopProof, says);
    if !parts.headers.contains_key("dpop") {
        return Err(failed(
            "tokens are bound: send a DPoP proof (RFC 9449), or connect with a certificate (RFC 8705)",
        ));
    }
    let wrong = "the DPoP proof does not hold for this request, key and minute";
    let proof = crate::gate::verify(app, parts, None).map_err(|_| failed(wrong))?;
    let key = proof.admit(&mut app.oauth.proofs(), app.engine.now());
    Ok(key.map_err(|_| failed("the DPoP proof was used before: make a new one"))?.jkt())
}
