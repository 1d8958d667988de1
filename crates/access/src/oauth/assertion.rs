//! How a client proves who it is: `private_key_jwt` (RFC 7523 §2.2, OpenID Connect Core §9), or the certificate of its connection (RFC 8705).

use serde_json::Value;
use tpw_core::{Hash32, Instant, Span};
use tpw_crypto::{PublicKey, sha256_parts};

use super::client::{Client, ClientAuth, ClientId};
use crate::certificate::{CertificateError, ClientCertificate};
use crate::jose::{self, JoseError, Members, Unverified};
use crate::replay::{ReplayCache, ReplayError};

/// The `client_assertion_type` that is accepted.
pub const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How far the time in an assertion may lie from the server's, either way: one is made for each request.
pub const WINDOW: Span = Span::from_secs(60);

const JTI_LEN_MAX: usize = 128;

/// Why an assertion proves nothing. Each is `invalid_client`, except [`ReplayError::TooBusy`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssertionError {
    /// Not a compact JWS of the accepted form.
    #[error("the client assertion is malformed: {0}")]
    Malformed(#[from] JoseError),
    /// A `typ` that belongs to something else.
    #[error("the client assertion's `typ` is that of another kind of token")]
    WrongType,
    /// No key of the client fits `alg` and `kid`, or none of those that fit signed it.
    #[error("the client assertion is not signed by a key of this client")]
    NotSigned,
    /// A claim is missing or not valid.
    #[error("the client assertion's `{0}` is missing or not valid")]
    BadClaim(&'static str),
    /// For another server, or for several.
    #[error("the client assertion's `aud` is not this issuer alone")]
    WrongAudience,
    /// Too old, from the future, or over.
    #[error("the client assertion was not made just now: check the client's clock")]
    NotNow,
    /// The client was removed.
    #[error("the client was removed")]
    Removed,
    /// Used before, or not decidable.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// Who an assertion says it is from: enough to look the client up, nothing more.
#[must_use]
pub fn named(assertion: &str) -> Option<ClientId> {
    let jws = Unverified::parse(assertion).ok()?;
    jws.unverified_text("sub")?.parse().ok()
}

/// An assertion that verified, but may be a replay.
#[derive(Debug)]
#[must_use = "an assertion may be a replay until it is admitted"]
pub struct Assertion {
    client: Client,
    id: Hash32,
    made: Instant,
}

/// A client that proved itself in this request. Only this module makes one.
#[derive(Debug)]
pub struct Authenticated(Client);

/// Whether an authority that the operator named issued a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issuer {
    /// Its chain was followed to one.
    Trusted,
    /// Nobody is known to have.
    Unknown,
}

impl Authenticated {
    /// The client.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.0
    }

    /// Knows a client by the certificate of the connection that its request came through (RFC 8705 §2).
    ///
    /// # Errors
    /// [`CertificateError`] names the first check that failed.
    pub fn by_certificate(
        client: Client,
        certificate: &ClientCertificate,
        issuer: Issuer,
        now: Instant,
    ) -> Result<Self, CertificateError> {
        let registered = |auth: &ClientAuth| match (auth, issuer) {
            (ClientAuth::Certificates(all), _) => all.contains(&certificate.thumbprint()),
            (ClientAuth::Name(name), Issuer::Trusted) => certificate.is_for(name),
            (ClientAuth::Name(_), Issuer::Unknown) | (ClientAuth::Keys(_), _) => false,
        };
        if !client.auths(now).any(registered) {
            return Err(CertificateError::NotRegistered);
        }
        certificate.holds(now)?;
        if client.removed.is_some() { Err(CertificateError::Removed) } else { Ok(Self(client)) }
    }
}

impl Assertion {
    /// Checks all but whether it is new. `issuer` is what this server calls itself; that alone is accepted as the audience, so that
    /// no other server can use an assertion that was made for it (draft-ietf-oauth-rfc7523bis §4).
    ///
    /// # Errors
    /// [`AssertionError`] names the first check that failed.
    pub fn verify(
        assertion: &str,
        client: Client,
        issuer: &str,
        now: Instant,
    ) -> Result<Self, AssertionError> {
        let claims = verified(assertion, &client, now)?;
        for name in ["iss", "sub"] {
            if jose::text(&claims, name) != Some(client.id.as_str()) {
                return Err(AssertionError::BadClaim(name));
            }
        }
        if claims.get("aud").and_then(Value::as_str) != Some(issuer) {
            return Err(AssertionError::WrongAudience);
        }
        let time = |name| jose::seconds(&claims, name).ok_or(AssertionError::BadClaim(name));
        let (made, ends) = (time("iat")?, time("exp")?);
        let begins = if claims.contains_key("nbf") { time("nbf")? } else { made };
        if now > made.plus(WINDOW) || made.max(begins) > now.plus(WINDOW) || now >= ends {
            return Err(AssertionError::NotNow);
        }
        let jti = jose::text(&claims, "jti")
            .filter(|jti| (1..=JTI_LEN_MAX).contains(&jti.len()))
            .ok_or(AssertionError::BadClaim("jti"))?;
        if client.removed.is_some() {
            return Err(AssertionError::Removed);
        }
        let parts = [
            b"tpw/client-jti/v1\0".as_slice(),
            client.id.as_str().as_bytes(),
            b"\0",
            jti.as_bytes(),
        ];
        Ok(Self { id: Hash32::new(sha256_parts(&parts)), client, made })
    }

    /// Takes the assertion as used.
    ///
    /// # Errors
    /// [`AssertionError::Replay`] when it was used before or when that cannot be said.
    pub fn admit(
        self,
        replay: &mut ReplayCache,
        now: Instant,
    ) -> Result<Authenticated, AssertionError> {
        replay.admit(self.id, self.made, self.made.plus(WINDOW), now)?;
        Ok(Authenticated(self.client))
    }
}

/// The claims, signed by one of the client's keys.
fn verified(assertion: &str, client: &Client, now: Instant) -> Result<Members, AssertionError> {
    let jws = Unverified::parse(assertion)?;
    // An access token or a request's proof is no proof of a client.
    let types = [None, Some("JWT"), Some("client-authentication+jwt")];
    if jws.header().contains_key("typ") && !types.contains(&jose::text(jws.header(), "typ")) {
        return Err(AssertionError::WrongType);
    }
    let algorithm = jose::text(jws.header(), "alg").and_then(jose::algorithm);
    let algorithm = algorithm.ok_or(AssertionError::NotSigned)?;
    let kid = jose::text(jws.header(), "kid");
    let named = |key: &&super::client::ClientKey| kid.is_some() && key.kid.as_deref() == kid;
    // A `kid` that the client's set does not have says nothing: sets without one are common.
    let by_name = client.keys(now).any(|key| named(&key));
    let fitting = client.keys(now).filter(|key| !by_name || named(key));
    let keys = fitting.map(|key| &key.key).filter(|key| key.algorithm() == algorithm);
    for key in keys {
        if let Some(claims) = signed_by(assertion, key)? {
            return Ok(claims);
        }
    }
    Err(AssertionError::NotSigned)
}

fn signed_by(assertion: &str, key: &PublicKey) -> Result<Option<Members>, AssertionError> {
    Ok(Unverified::parse(assertion)?.verify(key).ok())
}
