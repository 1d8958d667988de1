//! Access tokens of clients (RFC 9068), each bound to the key that its request was signed with (RFC 9449 §6), or to the certificate of
//! the connection that it was asked for on (RFC 8705 §3).
//!
//! They are another thing than a device's session ([`crate::token`]): other claims, and a key of their own.

use core::fmt;

use tpw_core::{AccountId, Hash32, Instant, PersonId, Span};
use tpw_crypto::{Entropy, PublicKey, Signer, SlotName};

use super::client::ClientId;
use super::grant::GrantId;
use super::narrowing::Narrowing;
use super::scope::Scopes;
use crate::certificate::ClientCertificate;
use crate::claims::{self, Kind, Live, NewToken};
use crate::dpop::{ProvenKey, token_hash};
use crate::jose::{self, Members, Unverified};
use crate::token::{Issued, TokenError};

pub use crate::claims::{Binding, LIFE};

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
    /// What it is bound to.
    pub binding: Binding,
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

/// A client that sends a request: the token is valid, and the request is signed by the token's own key or came through a connection of
/// the token's own certificate.
///
/// INVARIANT: the only ways to one are [`UnboundClient::bound_to`] and [`UnboundClient::bound_to_certificate`].
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

    /// The same token, of which only this is left.
    pub(super) fn narrowed_to(self, left: &Narrowing) -> Self {
        let Narrowing { scopes, account, jkt, expires } = *left;
        let grant = ClientGrant { scopes, account, binding: Binding::Key(jkt), ..self.grant };
        Self { grant, expires, ..self }
    }

    /// The session, once the request's own proof is by the token's key and for this very token.
    ///
    /// # Errors
    /// [`TokenError::NotBound`] when it is not.
    pub fn bound_to(self, key: &ProvenKey) -> Result<ClientSession, TokenError> {
        let bound = self.grant.binding == Binding::Key(key.jkt());
        if bound && key.token_hash() == Some(self.token_hash) {
            return Ok(ClientSession { grant: self.grant, id: self.id });
        }
        Err(TokenError::NotBound)
    }

    /// The session, once the request came through a connection of the token's certificate, which still holds (RFC 8705 §3).
    ///
    /// # Errors
    /// [`TokenError::NotBound`] when it did not.
    pub fn bound_to_certificate(
        self,
        certificate: &ClientCertificate,
        now: Instant,
    ) -> Result<ClientSession, TokenError> {
        let bound = self.grant.binding == Binding::Certificate(certificate.thumbprint());
        if bound && certificate.holds(now).is_ok() {
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
    signer: (&dyn Signer, &SlotName),
    issuer: &str,
    grant: &ClientGrant,
    life: Span,
    now: Instant,
    entropy: &mut dyn Entropy,
) -> Result<Issued, TokenError> {
    let mut own = Members::new();
    let mut put = |name: &str, value: String| own.insert(name.to_owned(), value.into());
    put("client_id", grant.client.to_string());
    put("scope", grant.scopes.to_string());
    match &grant.person {
        Some(granted) => {
            put("sub", granted.person.to_string());
            put("grant", granted.grant.to_string());
        }
        // RFC 9068 §2.2: without a person, the client is the subject.
        None => {
            put("sub", grant.client.to_string());
        }
    }
    if let Some(account) = &grant.account {
        put("account", account.to_string());
    }
    let new = NewToken { kind: Kind::Client, issuer, binding: grant.binding, life, own };
    claims::issue(signer, new, now, entropy)
}

/// The name of a key in headers and in the published set: its thumbprint (RFC 7638).
#[must_use]
pub fn kid(key: &PublicKey) -> String {
    claims::kid(key)
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
    let live = claims::check(token, Kind::Client, keys, issuer, now)?;
    let jti = jose::text(&live.claims, "jti").ok_or(TokenError::BadClaim("jti"))?;
    let (id, grant) = (token_hash(jti), read(&live)?);
    let Live { born, expires, hash, .. } = live;
    Ok(UnboundClient { grant, born, expires, id, token_hash: hash })
}

fn read(Live { claims, binding, .. }: &Live) -> Result<ClientGrant, TokenError> {
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
    Ok(ClientGrant { client, scopes, person, account, binding: *binding })
}
