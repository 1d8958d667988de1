//! What access tokens of both kinds have in common (RFC 9068): who issued them, how long they live, and to what they are bound.
//!
//! INVARIANT: a token of one kind is never one of the other, whoever signed it. Each kind has claims of its own; a token that has one
//! of the other kind's is refused. No claim is of both, except those that are written here.

use serde_json::Value;
use tpw_core::{Hash32, Instant, Span};
use tpw_crypto::{Algorithm, CryptoError, Entropy, PublicKey, Signer, SlotName};

use crate::dpop::token_hash;
use crate::jose::{self, Members, Unverified};
use crate::token::{Issued, TokenError};

/// How long a token lives at most.
pub const LIFE: Span = Span::from_secs(300);

/// How far in the future a token's birth may lie: servers of one name have nearly one time.
const SKEW: Span = Span::from_secs(5);

/// RFC 9449 §6.1.
const KEY: &str = "jkt";
/// RFC 8705 §3.1.
const CERTIFICATE: &str = "x5t#S256";

/// Whose token it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A device's session: signed by the server's own key, which it does not name.
    Session,
    /// A client's: its header names one of the published keys.
    Client,
}

impl Kind {
    /// Claims that no token of the other kind may have.
    const fn own(self) -> &'static [&'static str] {
        match self {
            Self::Session => &["device", "role", "acr", "amr", "auth_time"],
            Self::Client => &["client_id", "scope", "grant", "account"],
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Session => Self::Client,
            Self::Client => Self::Session,
        }
    }
}

/// What a request needs beside the token (RFC 7800).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// A proof by the key with this thumbprint (RFC 9449 §6).
    Key(Hash32),
    /// A connection that the certificate with this thumbprint began (RFC 8705 §3).
    Certificate(Hash32),
}

impl Binding {
    /// The thumbprint, whatever it is of.
    #[must_use]
    pub const fn thumbprint(&self) -> Hash32 {
        match self {
            Self::Key(thumbprint) | Self::Certificate(thumbprint) => *thumbprint,
        }
    }

    /// The key, unless it is a certificate.
    #[must_use]
    pub const fn key(&self) -> Option<Hash32> {
        match self {
            Self::Key(thumbprint) => Some(*thumbprint),
            Self::Certificate(_) => None,
        }
    }

    /// The `cnf` that says it: the member's name and its value.
    #[must_use]
    pub fn member(&self) -> (&'static str, String) {
        let name = match self {
            Self::Key(_) => KEY,
            Self::Certificate(_) => CERTIFICATE,
        };
        (name, jose::encode(self.thumbprint().as_bytes()))
    }

    /// The `token_type` of a token that is bound so (RFC 9449 §5, RFC 8705 §3).
    #[must_use]
    pub const fn token_type(&self) -> &'static str {
        match self {
            Self::Key(_) => "DPoP",
            Self::Certificate(_) => "Bearer",
        }
    }
}

/// What `cnf` says. Exactly one of both: a server that knew the other one would check less than was meant.
pub(crate) fn binding(claims: &Members) -> Option<Binding> {
    let cnf = claims.get("cnf")?.as_object().filter(|cnf| cnf.len() == 1)?;
    let hash = |name| Hash32::from_slice(&jose::decode(jose::text(cnf, name)?).ok()?);
    hash(KEY).map(Binding::Key).or_else(|| hash(CERTIFICATE).map(Binding::Certificate))
}

/// A token to be issued.
pub(crate) struct NewToken<'a> {
    pub(crate) kind: Kind,
    /// What the server calls itself. The server that issues is the server that is used.
    pub(crate) issuer: &'a str,
    pub(crate) binding: Binding,
    /// At most [`LIFE`].
    pub(crate) life: Span,
    /// The claims of this kind, and `sub`.
    pub(crate) own: Members,
}

/// Signs a new token with the Ed25519 key in `slot`.
pub(crate) fn issue(
    (signer, slot): (&dyn Signer, &SlotName),
    new: NewToken<'_>,
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
    let ends = born.saturating_add(new.life.as_ms().min(LIFE.as_ms()) / 1000);
    let (member, thumbprint) = new.binding.member();
    let mut cnf = Members::new();
    cnf.insert(member.to_owned(), thumbprint.into());
    let mut claims = new.own;
    for (name, value) in [
        ("iss", new.issuer.into()),
        ("aud", new.issuer.into()),
        ("cnf", Value::Object(cnf)),
        ("iat", born.into()),
        ("exp", ends.into()),
        ("jti", jose::encode(&jti).into()),
    ] {
        claims.insert(name.to_owned(), value);
    }
    let header = match new.kind {
        Kind::Session => r#"{"typ":"at+jwt","alg":"EdDSA"}"#.to_owned(),
        Kind::Client => format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{}"}}"#, kid(&key)),
    };
    let token = jose::sign(signer, slot, &header, &Value::Object(claims).to_string())
        .map_err(TokenError::Signing)?;
    Ok(Issued { token, expires: Instant::from_unix_ms(ends.saturating_mul(1000)).unwrap_or(now) })
}

/// The name of a key in headers and in the published set: its thumbprint (RFC 7638).
pub(crate) fn kid(key: &PublicKey) -> String {
    jose::encode(&key.jwk_thumbprint())
}

/// A token that this server issued and that is alive.
pub(crate) struct Live {
    /// All its claims.
    pub(crate) claims: Members,
    pub(crate) binding: Binding,
    pub(crate) born: Instant,
    pub(crate) expires: Instant,
    /// Of the token as a text: what a proof names (RFC 9449 §4.2 `ath`).
    pub(crate) hash: Hash32,
}

/// Checks a token of one kind of the server `issuer`, which one of `keys` signed.
pub(crate) fn check(
    token: &str,
    kind: Kind,
    keys: &[PublicKey],
    issuer: &str,
    now: Instant,
) -> Result<Live, TokenError> {
    let jws = Unverified::parse(token)?;
    if jose::text(jws.header(), "typ") != Some("at+jwt") {
        return Err(TokenError::WrongType);
    }
    if jose::text(jws.header(), "alg") != Some("EdDSA") {
        return Err(TokenError::WrongAlgorithm);
    }
    let key = match kind {
        Kind::Session => keys.first(),
        Kind::Client => {
            let named = jose::text(jws.header(), "kid");
            keys.iter().find(|key| named == Some(kid(key).as_str()))
        }
    };
    let key = key.ok_or(TokenError::BadSignature)?;
    if key.algorithm() != Algorithm::Ed25519 {
        return Err(TokenError::WrongAlgorithm);
    }
    let claims = jws.verify(key).map_err(|_| TokenError::BadSignature)?;
    for name in ["iss", "aud"] {
        if jose::text(&claims, name).ok_or(TokenError::BadClaim(name))? != issuer {
            return Err(TokenError::WrongServer);
        }
    }
    if let Some(name) = kind.other().own().iter().find(|name| claims.contains_key(**name)) {
        return Err(TokenError::BadClaim(name));
    }
    let (born, expires) = life(&claims, now)?;
    let binding = binding(&claims).ok_or(TokenError::BadClaim("cnf"))?;
    Ok(Live { claims, binding, born, expires, hash: token_hash(token) })
}

fn life(claims: &Members, now: Instant) -> Result<(Instant, Instant), TokenError> {
    let born = jose::seconds(claims, "iat").ok_or(TokenError::BadClaim("iat"))?;
    let expires = jose::seconds(claims, "exp").ok_or(TokenError::BadClaim("exp"))?;
    // A longer life than we ever give did not come from `issue`.
    if expires > born.plus(LIFE) {
        return Err(TokenError::BadClaim("exp"));
    }
    in_its_life(born, expires, now)?;
    Ok((born, expires))
}

/// Whether a token's life has begun and is not over.
pub(crate) fn in_its_life(born: Instant, expires: Instant, now: Instant) -> Result<(), TokenError> {
    if now >= expires {
        return Err(TokenError::Expired);
    }
    if born > now.plus(SKEW) { Err(TokenError::Future) } else { Ok(()) }
}
