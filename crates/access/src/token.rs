//! Short-lived access tokens (after RFC 9068), each bound to one device key (RFC 7800 `cnf`, RFC 9449 §6).

use tpw_core::{DeviceId, Hash32, Instant, PersonId};
use tpw_crypto::{CryptoError, Entropy, PublicKey, Signer, SlotName};

use serde_json::Value;

use crate::assurance::{Aal, Level};
use crate::claims::{self, Binding, Kind, Live, NewToken};
use crate::dpop::ProvenKey;
use crate::factor::Method;
use crate::jose::{self, JoseError, Members};
use crate::role::Role;

pub use crate::claims::LIFE;

/// Why a token is refused or was not issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not a compact JWS of the accepted form.
    #[error("the access token is malformed: {0}")]
    Malformed(#[from] JoseError),
    /// `typ` is not `at+jwt`.
    #[error("the access token's `typ` is not `at+jwt`")]
    WrongType,
    /// `alg` is not `EdDSA`.
    #[error("the access token's `alg` is not `EdDSA`")]
    WrongAlgorithm,
    /// Not signed by this server's key.
    #[error("the access token was not signed by this server")]
    BadSignature,
    /// A claim is missing or not valid.
    #[error("the access token's `{0}` is missing or not valid")]
    BadClaim(&'static str),
    /// Issued by or for another server.
    #[error("the access token is for another server")]
    WrongServer,
    /// Its life is over.
    #[error("the access token has expired: request a new one")]
    Expired,
    /// Its life has not begun.
    #[error("the access token is from the future")]
    Future,
    /// The request's proof is by another key or for another token.
    #[error("the access token is bound to another device key")]
    NotBound,
    /// The server could not sign it.
    #[error("the access token could not be issued: {0}")]
    Signing(CryptoError),
}

/// Whom a token is issued to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The person.
    pub person: PersonId,
    /// The person's device.
    pub device: DeviceId,
    /// What the person is to this server.
    pub role: Role,
    /// The thumbprint of the device's key.
    pub jkt: Hash32,
    /// How surely it is that person.
    pub level: Level,
}

/// A new token.
#[derive(Clone)]
pub struct Issued {
    /// The token, a compact JWT. Worth nothing without the device key, and yet not for logs.
    pub token: String,
    /// When it ends.
    pub expires: Instant,
}

impl core::fmt::Debug for Issued {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Issued").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// A token that this server issued and that is alive, but not known to come from its own device.
#[derive(Debug, Clone)]
#[must_use = "a token proves nothing until it is bound to the request's key"]
pub struct UnboundSession {
    session: Session,
    born: Instant,
    token_hash: Hash32,
}

/// Who sends a request: the token is valid and the request is signed by the token's own device key.
///
/// INVARIANT: the only way to a session is [`UnboundSession::bound_to`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    grant: Grant,
    expires: Instant,
}

impl Session {
    /// The person.
    #[must_use]
    pub fn person(&self) -> PersonId {
        self.grant.person
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.grant.device
    }

    /// The role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.grant.role
    }

    /// The thumbprint of the device's key.
    #[must_use]
    pub fn jkt(&self) -> Hash32 {
        self.grant.jkt
    }

    /// How surely it is that person.
    #[must_use]
    pub fn level(&self) -> &Level {
        &self.grant.level
    }

    /// When the token ends.
    #[must_use]
    pub fn expires(&self) -> Instant {
        self.expires
    }
}

impl UnboundSession {
    /// The same session at a later time, as [`check`] would judge its life then.
    pub(crate) fn alive(self, now: Instant) -> Result<Self, TokenError> {
        claims::in_its_life(self.born, self.session.expires, now)?;
        Ok(self)
    }

    /// The session, once the request's own proof is by the token's key and for this very token.
    ///
    /// # Errors
    /// [`TokenError::NotBound`] when it is not: the token was copied from another device or request.
    pub fn bound_to(self, key: &ProvenKey) -> Result<Session, TokenError> {
        if key.jkt() == self.session.grant.jkt && key.token_hash() == Some(self.token_hash) {
            return Ok(self.session);
        }
        Err(TokenError::NotBound)
    }
}

/// Issues a token of the server `issuer` (its public origin) with the Ed25519 key in `slot`.
///
/// # Errors
/// [`TokenError::Signing`] when the signer or the entropy source fails, or the key is not Ed25519.
pub fn issue(
    signer: &dyn Signer,
    slot: &SlotName,
    issuer: &str,
    grant: &Grant,
    now: Instant,
    entropy: &mut dyn Entropy,
) -> Result<Issued, TokenError> {
    let mut own = Members::new();
    let mut put = |name: &str, value: Value| own.insert(name.to_owned(), value);
    put("sub", grant.person.to_string().into());
    put("device", grant.device.to_string().into());
    put("role", grant.role.code().into());
    put("acr", grant.level.aal.code().into());
    let methods = grant.level.methods.iter().map(|method| method.code().into());
    put("amr", Value::Array(methods.collect()));
    if let Some(at) = grant.level.auth_time {
        put("auth_time", (at.unix_ms() / 1000).into());
    }
    let (kind, binding) = (Kind::Session, Binding::Key(grant.jkt));
    claims::issue((signer, slot), NewToken { kind, issuer, binding, life: LIFE, own }, now, entropy)
}

/// Checks a token of the server `issuer`, whose tokens `server_key` signs.
///
/// # Errors
/// [`TokenError`] names the first check that failed.
pub fn check(
    token: &str,
    server_key: &PublicKey,
    issuer: &str,
    now: Instant,
) -> Result<UnboundSession, TokenError> {
    let keys = core::slice::from_ref(server_key);
    let live = claims::check(token, Kind::Session, keys, issuer, now)?;
    let session = Session { grant: read_grant(&live)?, expires: live.expires };
    Ok(UnboundSession { session, born: live.born, token_hash: live.hash })
}

fn read_grant(Live { claims, binding, .. }: &Live) -> Result<Grant, TokenError> {
    let text = |name| jose::text(claims, name).ok_or(TokenError::BadClaim(name));
    Ok(Grant {
        person: text("sub")?.parse().map_err(|_| TokenError::BadClaim("sub"))?,
        device: text("device")?.parse().map_err(|_| TokenError::BadClaim("device"))?,
        role: Role::from_code(text("role")?).ok_or(TokenError::BadClaim("role"))?,
        // A device signs each request; a certificate is nothing that a session is bound to.
        jkt: binding.key().ok_or(TokenError::BadClaim("cnf"))?,
        level: read_level(claims)?,
    })
}

/// RFC 9470 §5, RFC 9068 §2.2.1; the methods in `amr` are our own codes.
fn read_level(claims: &Members) -> Result<Level, TokenError> {
    let aal = jose::text(claims, "acr").and_then(Aal::from_code);
    let aal = aal.ok_or(TokenError::BadClaim("acr"))?;
    let methods = claims.get("amr").and_then(Value::as_array);
    let method = |value: &Value| value.as_str().and_then(Method::from_code);
    let methods = methods.and_then(|all| all.iter().map(method).collect::<Option<Vec<_>>>());
    let methods = methods.ok_or(TokenError::BadClaim("amr"))?;
    let auth_time = jose::seconds(claims, "auth_time");
    // A higher level was proved at some time.
    if (claims.contains_key("auth_time") || aal > Aal::One) && auth_time.is_none() {
        return Err(TokenError::BadClaim("auth_time"));
    }
    Ok(Level { aal, auth_time, methods })
}
