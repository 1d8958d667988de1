//! Access tokens of clients (RFC 9068), each bound to the key that its request was signed with (RFC 9449 §6).
//!
//! They are another thing than a device's session ([`crate::token`]): other claims, and a key of their own.

use core::fmt;

use serde_json::Value;
use tpw_core::{AccountId, Hash32, Instant, PersonId, Span};
use tpw_crypto::{Algorithm, CryptoError, Entropy, PublicKey, Signer, SlotName};

use super::client::ClientId;
use super::grant::GrantId;
use super::scope::Scopes;
use crate::dpop::{ProvenKey, token_hash};
use crate::jose::{self, Members, Unverified};
use crate::token::{Issued, TokenError};

/// How long a token lives at most.
pub const LIFE: Span = Span::from_secs(300);

/// As for sessions: servers of one name have nearly one time.
const SKEW: Span = Span::from_secs(5);

/// The person who approved, and by which approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// The person.
    pub person: PersonId,
    /// The approval; with its end the token ends.
    pub grant: GrantId,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientGrant {
    /// The client.
    pub client: ClientId,
    /// What it may ask for: no more than this, whatever people delegated.
    pub scopes: Scopes,
    /// For whom, if one person approved; without one it is for all that people delegated to the client.
    pub person: Option<Granted>,
    /// The only account it is for, if it was made for one (RFC 8693).
    pub account: Option<AccountId>,
    /// The thumbprint of the key that it is bound to.
    pub jkt: Hash32,
}

/// A token that this server issued and that is alive, but not known to come from its own client.
#[must_use = "a token proves nothing until it is bound to the request's key"]
pub struct UnboundClient {
    grant: ClientGrant,
    born: Instant,
    expires: Instant,
    id: Hash32,
    token_hash: Hash32,
}

impl fmt::Debug for UnboundClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnboundClient").field("grant", &self.grant).finish_non_exhaustive()
    }
}

/// A client that sends a request: the token is valid and the request is signed by the token's own key.
///
/// INVARIANT: the only way to one is [`UnboundClient::bound_to`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSession {
    grant: ClientGrant,
    id: Hash32,
}

impl ClientSession {
    /// What the token says.
    #[must_use]
    pub const fn grant(&self) -> &ClientGrant {
        &self.grant
    }

    /// The token's own id, as [`Client::ended`](super::Client::ended) has it.
    #[must_use]
    pub const fn id(&self) -> Hash32 {
        self.id
    }
}

impl UnboundClient {
    /// What the token says: to tell about it, not to act on it.
    #[must_use]
    pub const fn said(&self) -> &ClientGrant {
        &self.grant
    }

    /// When it was issued.
    #[must_use]
    pub const fn born(&self) -> Instant {
        self.born
    }

    /// When it ends.
    #[must_use]
    pub const fn expires(&self) -> Instant {
        self.expires
    }

    /// Its own id.
    #[must_use]
    pub const fn id(&self) -> Hash32 {
        self.id
    }

    /// The session, once the request's own proof is by the token's key and for this very token.
    ///
    /// # Errors
    /// [`TokenError::NotBound`] when it is not.
    pub fn bound_to(self, key: &ProvenKey) -> Result<ClientSession, TokenError> {
        if key.jkt() == self.grant.jkt && key.token_hash() == Some(self.token_hash) {
            return Ok(ClientSession { grant: self.grant, id: self.id });
        }
        Err(TokenError::NotBound)
    }
}

/// Issues a token of the server `issuer` with the Ed25519 key in `slot`, for `life` at most.
///
/// # Errors
/// [`TokenError::Signing`] when the signer or the entropy source fails, or the key is not Ed25519.
pub fn issue(
    (signer, slot): (&dyn Signer, &SlotName),
    issuer: &str,
    grant: &ClientGrant,
    life: Span,
    now: Instant,
    entropy: &mut dyn Entropy,
) -> Result<Issued, TokenError> {
    let key = signer.public_key(slot).map_err(TokenError::Signing)?;
    if key.algorithm() != Algorithm::Ed25519 {
        return Err(TokenError::Signing(CryptoError::BadKey));
    }
    let mut jti = [0; 16];
    entropy.fill(&mut jti).map_err(TokenError::Signing)?;
    let born = now.unix_ms() / 1000;
    let ends = born.saturating_add(life.as_ms().min(LIFE.as_ms()) / 1000);
    let mut cnf = Members::new();
    cnf.insert("jkt".to_owned(), jose::encode(grant.jkt.as_bytes()).into());
    let mut claims = Members::new();
    let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    put("iss", issuer.into());
    // The server that issues is the server that is used.
    put("aud", issuer.into());
    put("client_id", grant.client.as_str().into());
    put("scope", grant.scopes.to_string().into());
    match &grant.person {
        Some(granted) => {
            put("sub", granted.person.to_string().into());
            put("grant", granted.grant.to_string().into());
        }
        // RFC 9068 §2.2: without a person, the client is the subject.
        None => {
            put("sub", grant.client.as_str().into());
        }
    }
    if let Some(account) = &grant.account {
        put("account", account.to_string().into());
    }
    put("cnf", Value::Object(cnf));
    put("iat", born.into());
    put("exp", ends.into());
    put("jti", jose::encode(&jti).into());
    let header = format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{}"}}"#, kid(&key));
    let token = jose::sign(signer, slot, &header, &Value::Object(claims).to_string())
        .map_err(TokenError::Signing)?;
    Ok(Issued { token, expires: Instant::from_unix_ms(ends.saturating_mul(1000)).unwrap_or(now) })
}

/// The name of a key in headers and in the published set: its thumbprint (RFC 7638).
#[must_use]
pub fn kid(key: &PublicKey) -> String {
    jose::encode(&key.jwk_thumbprint())
}

/// Whether a token calls itself a client's: it names its key, and a device's session never does. That chooses who judges it and
/// decides nothing.
#[must_use]
pub fn is_of_a_client(token: &str) -> bool {
    Unverified::parse(token).is_ok_and(|jws| jws.header().contains_key("kid"))
}

/// Checks a token of the server `issuer`, whose tokens one of `keys` signs.
///
/// # Errors
/// [`TokenError`] names the first check that failed.
pub fn check(
    token: &str,
    keys: &[PublicKey],
    issuer: &str,
    now: Instant,
) -> Result<UnboundClient, TokenError> {
    let jws = Unverified::parse(token)?;
    if jose::text(jws.header(), "typ") != Some("at+jwt") {
        return Err(TokenError::WrongType);
    }
    if jose::text(jws.header(), "alg") != Some("EdDSA") {
        return Err(TokenError::WrongAlgorithm);
    }
    let named = jose::text(jws.header(), "kid").ok_or(TokenError::BadSignature)?;
    let key = keys.iter().find(|key| kid(key) == named).ok_or(TokenError::BadSignature)?;
    if key.algorithm() != Algorithm::Ed25519 {
        return Err(TokenError::WrongAlgorithm);
    }
    let claims = jws.verify(key).map_err(|_| TokenError::BadSignature)?;
    for name in ["iss", "aud"] {
        if jose::text(&claims, name).ok_or(TokenError::BadClaim(name))? != issuer {
            return Err(TokenError::WrongServer);
        }
    }
    // A device's session is none of ours, whoever signed it.
    for name in ["device", "role"] {
        if claims.contains_key(name) {
            return Err(TokenError::BadClaim(name));
        }
    }
    let born = jose::seconds(&claims, "iat").ok_or(TokenError::BadClaim("iat"))?;
    let expires = jose::seconds(&claims, "exp").ok_or(TokenError::BadClaim("exp"))?;
    if expires > born.plus(LIFE) {
        return Err(TokenError::BadClaim("exp"));
    }
    if now >= expires {
        return Err(TokenError::Expired);
    }
    if born > now.plus(SKEW) {
        return Err(TokenError::Future);
    }
    let jti = jose::text(&claims, "jti").ok_or(TokenError::BadClaim("jti"))?;
    let id = token_hash(jti);
    Ok(UnboundClient { grant: read(&claims)?, born, expires, id, token_hash: token_hash(token) })
}

fn read(claims: &Members) -> Result<ClientGrant, TokenError> {
    let text = |name| jose::text(claims, name).ok_or(TokenError::BadClaim(name));
    let client: ClientId =
        text("client_id")?.parse().map_err(|_| TokenError::BadClaim("client_id"))?;
    let bad_scope = |_| TokenError::BadClaim("scope");
    let scopes = Scopes::parse(text("scope")?).map_err(bad_scope)?;
    let person = if claims.contains_key("grant") {
        let grant = text("grant")?.parse().map_err(|()| TokenError::BadClaim("grant"))?;
        Some(Granted {
            person: text("sub")?.parse().map_err(|_| TokenError::BadClaim("sub"))?,
            grant,
        })
    } else if text("sub")? == client.as_str() {
        None
    } else {
        return Err(TokenError::BadClaim("sub"));
    };
    let account = match claims.get("account") {
        None => None,
        Some(_) => Some(text("account")?.parse().map_err(|_| TokenError::BadClaim("account"))?),
    };
    let jkt = claims
        .get("cnf")
        .and_then(Value::as_object)
        .and_then(|cnf| jose::text(cnf, "jkt"))
        .and_then(|jkt| jose::decode(jkt).ok())
        .and_then(|jkt| Hash32::from_slice(&jkt))
        .ok_or(TokenError::BadClaim("cnf"))?;
    Ok(ClientGrant { client, scopes, person, account, jkt })
}
