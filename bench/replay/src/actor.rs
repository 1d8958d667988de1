//! Whoever sends requests with a key: a device of ours, or the operator.

use crate::client::Client;
use crate::error::ReplayError;
use http_body_util::Full;
use hyper::{Method, Request, header};
use serde::Deserialize;
use std::fmt;
use std::path::Path;
use tokio::sync::Mutex;
use tpw_access::dpop::{self, DpopRequest};
use tpw_access::url::HttpUrl;
use tpw_access::{EnrolmentCode, enrol};
use tpw_core::{Instant, Intent, Span, StepUpProof};
use tpw_crypto::{PublicKey, Signer as _, SlotName, SoftwareSlots};
use tpw_engines::clock::{Clock as _, SystemClock};
use tpw_engines::entropy::OsEntropy;
use tpw_engines::files;
use tpw_proof::statement;

const KEY_FILE_LEN_MAX: u64 = 1 << 16;

/// The wall clock, in milliseconds.
#[must_use]
pub fn now() -> Instant {
    SystemClock::new().now()
}

/// A key and what is asked with it.
pub struct Actor {
    slots: SoftwareSlots,
    slot: SlotName,
    /// The access token, and until when it is used.
    token: Mutex<Option<(String, Instant)>>,
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actor").field("slot", &self.slot).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: u64,
}

impl Actor {
    /// With the key in the slot called `slot`.
    ///
    /// # Errors
    /// [`ReplayError::Crypto`] for a bad name.
    pub fn new(slots: SoftwareSlots, slot: &str) -> Result<Self, ReplayError> {
        Ok(Self { slots, slot: SlotName::new(slot)?, token: Mutex::new(None) })
    }

    /// The operator, from the key file that the server made.
    ///
    /// # Errors
    /// [`ReplayError`] when the file is none.
    pub fn operator(path: &Path) -> Result<Self, ReplayError> {
        let absent = || ReplayError::state(path, "there is no such key file");
        let bytes = files::read(path, KEY_FILE_LEN_MAX)?.ok_or_else(absent)?;
        Self::new(SoftwareSlots::from_secret_bytes(&bytes)?, "operator")
    }

    /// The public key.
    ///
    /// # Errors
    /// [`ReplayError::Crypto`] when the slot is empty.
    pub fn public_key(&self) -> Result<PublicKey, ReplayError> {
        Ok(self.slots.public_key(&self.slot)?)
    }

    /// Signs a payment.
    ///
    /// # Errors
    /// [`ReplayError::Proof`].
    pub fn sign(&self, intent: &Intent) -> Result<Vec<u8>, ReplayError> {
        Ok(statement::sign(intent, &self.slots, &self.slot)?)
    }

    /// Signs once more for a payment that waits for it.
    ///
    /// # Errors
    /// [`ReplayError::Proof`].
    pub fn step_up(&self, proof: &StepUpProof) -> Result<Vec<u8>, ReplayError> {
        Ok(statement::sign(proof, &self.slots, &self.slot)?)
    }

    /// A proof of possession for one request (RFC 9449).
    pub(crate) fn prove(
        &self,
        method: &Method,
        url: &str,
        token: Option<&str>,
    ) -> Result<String, ReplayError> {
        let odd = |why: String| ReplayError::Option { option: "--server", why };
        let url = HttpUrl::parse(url).map_err(|error| odd(error.to_string()))?;
        let request =
            DpopRequest { method: method.as_str(), url: &url, access_token: token, now: now() };
        dpop::make(&self.slots, &self.slot, &request, &mut OsEntropy)
            .map_err(|error| odd(error.to_string()))
    }

    /// A proof for enrolling with a one-time code.
    pub(crate) fn prove_code(
        &self,
        url: &str,
        code: &EnrolmentCode,
    ) -> Result<String, ReplayError> {
        let odd = |why: String| ReplayError::Option { option: "--server", why };
        let url = HttpUrl::parse(url).map_err(|error| odd(error.to_string()))?;
        enrol::prove(&self.slots, &self.slot, &url, code, now(), &mut OsEntropy)
            .map_err(|error| odd(error.to_string()))
    }

    /// A token, kept or new. The outer error is ours, the inner one the server's.
    pub(crate) async fn token(
        &self,
        client: &Client,
    ) -> Result<Result<String, String>, ReplayError> {
        let mut kept = self.token.lock().await;
        if let Some((token, ends)) = kept.as_ref()
            && *ends > now()
        {
            return Ok(Ok(token.clone()));
        }
        let url = format!("{}/v1/tokens", client.origin());
        let request = Request::builder()
            .method(Method::POST)
            .uri("/v1/tokens")
            .header(header::HOST, client.origin().trim_start_matches("https://"))
            .header("DPoP", self.prove(&Method::POST, &url, None)?)
            .body(Full::default());
        let Ok(request) = request else { return Ok(Err("no request".to_owned())) };
        let reply = match client.exchange(request).await {
            Ok(reply) if matches!(reply.status, 429 | 503) => {
                return Ok(Err("no token now".to_owned()));
            }
            Ok(reply) => reply,
            Err(why) => return Ok(Err(why)),
        };
        let token: Token = reply.success("POST /v1/tokens")?;
        // A little early, so that it does not end under way.
        let ends = now().plus(Span::from_secs(token.expires_in.saturating_sub(30)));
        *kept = Some((token.access_token.clone(), ends));
        Ok(Ok(token.access_token))
    }
}
