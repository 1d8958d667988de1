//! What a client asks a person for: read from the pushed request (RFC 9126) and nowhere else.

use tpw_core::Hash32;

use super::client::{Client, ClientId, GrantType};
use super::form::{Form, encoded};
use super::scope::Scopes;
use super::{ErrorCode, OAuthError};
use crate::jose;

/// The longest `state`.
const STATE_LEN_MAX: usize = 512;

/// A request for authorization, complete and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthRequest {
    /// Who asks.
    pub client: ClientId,
    /// Where the answer goes: one of the client's registered addresses, character by character.
    pub redirect_uri: String,
    /// For what.
    pub scopes: Scopes,
    /// What the client gets back with the answer.
    pub state: Option<String>,
    /// SHA-256 of the verifier that the code will be redeemed with (RFC 7636 §4.2, `S256`).
    pub challenge: Hash32,
    /// The key that the code is for (RFC 9449 §10).
    pub dpop_jkt: Option<Hash32>,
}

impl AuthRequest {
    /// Reads the pushed parameters of `client`, which has proved itself; `proven` is the key of the request's DPoP proof, if it has one.
    ///
    /// # Errors
    /// [`OAuthError`] says what is missing or not allowed.
    pub fn read(form: &Form, client: &Client, proven: Option<Hash32>) -> Result<Self, OAuthError> {
        if !client.may(GrantType::AuthorizationCode) {
            let says = "this client was not registered for the authorization code grant";
            return Err(OAuthError::new(ErrorCode::UnauthorizedClient, says));
        }
        // RFC 9126 §2.1; a signed request object (RFC 9101) would be a second place for the same parameters.
        if form.get("request_uri").is_some() || form.get("request").is_some() {
            return Err(OAuthError::request(
                "send the parameters themselves, no `request` or `request_uri`",
            ));
        }
        if form.get("client_id").is_some_and(|id| id != client.id.as_str()) {
            return Err(OAuthError::request("`client_id` is not the client that proved itself"));
        }
        if form.need("response_type", "`response_type` is missing")? != "code" {
            let says = "`response_type` can only be `code`";
            return Err(OAuthError::new(ErrorCode::UnsupportedResponseType, says));
        }
        if form.get("response_mode").is_some_and(|mode| mode != "query") {
            return Err(OAuthError::request("`response_mode` can only be `query`"));
        }
        let uri = form.need("redirect_uri", "`redirect_uri` is missing")?;
        if !client.redirect_uris.iter().any(|known| known == uri) {
            return Err(OAuthError::request(
                "`redirect_uri` is none of the client's registered addresses",
            ));
        }
        let scopes = Scopes::parse(form.need("scope", "`scope` is missing")?)?;
        if !scopes.within(client.scopes) {
            let says = "the client was not registered for one of the scopes";
            return Err(OAuthError::new(ErrorCode::InvalidScope, says));
        }
        let state = form.get("state").map(str::to_owned);
        if state.as_ref().is_some_and(|state| {
            state.len() > STATE_LEN_MAX
                || !state.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        }) {
            return Err(OAuthError::request("`state` has at most 512 printable ASCII characters"));
        }
        Ok(Self {
            client: client.id.clone(),
            redirect_uri: uri.to_owned(),
            scopes,
            state,
            challenge: challenge(form)?,
            dpop_jkt: code_key(form, proven)?,
        })
    }
}

/// RFC 9700 §2.1.1: PKCE always, and never `plain`, which is also what a request without a method means.
fn challenge(form: &Form) -> Result<Hash32, OAuthError> {
    if form.get("code_challenge_method") != Some("S256") {
        return Err(OAuthError::request("`code_challenge_method` must be `S256`"));
    }
    let text = form.need("code_challenge", "`code_challenge` is missing")?;
    let hash = jose::decode(text).ok().and_then(|bytes| Hash32::from_slice(&bytes));
    hash.ok_or(OAuthError::request("`code_challenge` is not the base64url of a SHA-256 hash"))
}

/// RFC 9449 §10.1: the proof and the parameter name one key.
fn code_key(form: &Form, proven: Option<Hash32>) -> Result<Option<Hash32>, OAuthError> {
    let Some(text) = form.get("dpop_jkt") else { return Ok(proven) };
    let named = jose::decode(text).ok().and_then(|bytes| Hash32::from_slice(&bytes));
    let named = named.ok_or(OAuthError::request("`dpop_jkt` is not a JWK thumbprint"))?;
    if proven.is_some_and(|proven| proven != named) {
        return Err(OAuthError::new(
            ErrorCode::InvalidDpopProof,
            "`dpop_jkt` is not the key of this request's proof",
        ));
    }
    Ok(Some(named))
}

/// The registered address with an answer's parameters behind it. What is registered is kept as it is.
#[must_use]
pub fn answer_url(redirect_uri: &str, parameters: &[(&str, &str)]) -> String {
    let mut url = redirect_uri.to_owned();
    for (name, value) in parameters {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(name);
        url.push('=');
        url.push_str(&encoded(value));
    }
    url
}
