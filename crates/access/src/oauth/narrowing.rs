//! Tokens that their holder narrows without us: statements behind a token, each signed by the key that it was bound to until then.
//! Each binds it to another key and says what is left: no more scopes, one account, no longer.
//!
//! INVARIANT: what a statement says is checked to be less than what there was. One with a member that is not known here is refused,
//! because it may be a restriction.

use serde_json::Value;
use tpw_core::{AccountId, Hash32, Instant};
use tpw_crypto::{CryptoError, Signer, SlotName};

use super::scope::Scopes;
use super::token::{Binding, UnboundClient};
use crate::claims;
use crate::dpop::{signing_key, token_hash_text};
use crate::jose::{self, Members, Unverified};
use crate::token::TokenError;

/// The most statements behind one token.
pub const LINKS_MAX: usize = 3;

const TYP: &str = "tpw-narrowing+jwt";
const MEMBERS: [&str; 5] = ["ath", "scope", "account", "cnf", "exp"];

/// What is left of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Narrowing {
    /// What may be asked for.
    pub scopes: Scopes,
    /// The only account, unless it stays as it was.
    pub account: Option<AccountId>,
    /// The thumbprint of the key that it is bound to from now on.
    pub jkt: Hash32,
    /// Until when.
    pub expires: Instant,
}

/// Signs that only `left` is left of the token, with the key that it is bound to. `before` is the token, or the newest statement
/// behind it.
///
/// # Errors
/// [`TokenError::Signing`] when the signer fails, or the key is neither Ed25519 nor P-256.
pub fn make(
    (signer, slot): (&dyn Signer, &SlotName),
    before: &str,
    left: &Narrowing,
) -> Result<String, TokenError> {
    let key = signer.public_key(slot).map_err(TokenError::Signing)?;
    let unfit = TokenError::Signing(CryptoError::BadKey);
    let alg = jose::alg_name(key.algorithm()).ok_or(unfit)?;
    let (member, thumbprint) = Binding::Key(left.jkt).member();
    let mut cnf = Members::new();
    cnf.insert(member.to_owned(), thumbprint.into());
    let mut claims = Members::new();
    let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    put("ath", token_hash_text(before).into());
    put("scope", left.scopes.to_string().into());
    if let Some(account) = left.account {
        put("account", account.to_string().into());
    }
    put("cnf", Value::Object(cnf));
    put("exp", (left.expires.unix_ms() / 1000).into());
    let header = format!(r#"{{"typ":"{TYP}","alg":"{alg}","jwk":{}}}"#, key.jwk_json());
    jose::sign(signer, slot, &header, &Value::Object(claims).to_string())
        .map_err(TokenError::Signing)
}

/// What is left of `token` after the statements in `links`, with one space between them.
///
/// # Errors
/// [`TokenError`] names the first check that failed.
pub fn narrowed(
    token: &str,
    links: &str,
    unbound: UnboundClient,
    now: Instant,
) -> Result<UnboundClient, TokenError> {
    let (mut left, mut before) = (unbound, token);
    for (place, link) in links.split(' ').enumerate() {
        if place >= LINKS_MAX {
            return Err(TokenError::BadClaim("narrowing"));
        }
        let next = read(link, before, &left, now)?;
        left = left.narrowed_to(&next);
        before = link;
    }
    Ok(left)
}

fn read(
    link: &str,
    before: &str,
    left: &UnboundClient,
    now: Instant,
) -> Result<Narrowing, TokenError> {
    let jws = Unverified::parse(link)?;
    if jose::text(jws.header(), "typ") != Some(TYP) {
        return Err(TokenError::WrongType);
    }
    let key = signing_key(jws.header()).map_err(|_| TokenError::BadSignature)?;
    // Only a key signs without us; a certificate's holder exchanges its token (RFC 8693).
    if left.said().binding != Binding::Key(Hash32::new(key.jwk_thumbprint())) {
        return Err(TokenError::NotBound);
    }
    let claims = jws.verify(&key).map_err(|_| TokenError::BadSignature)?;
    if claims.keys().any(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(TokenError::BadClaim("narrowing"));
    }
    let text = |name| jose::text(&claims, name).ok_or(TokenError::BadClaim(name));
    if text("ath")? != token_hash_text(before) {
        return Err(TokenError::BadClaim("ath"));
    }
    let scopes = Scopes::parse(text("scope")?).ok();
    let scopes = scopes.filter(|scopes| scopes.within(left.said().scopes));
    let account = match claims.get("account") {
        None => left.said().account,
        Some(_) => {
            let account: Option<AccountId> = text("account")?.parse().ok();
            let fits = |one: &AccountId| left.said().account.is_none_or(|only| only == *one);
            Some(account.filter(fits).ok_or(TokenError::BadClaim("account"))?)
        }
    };
    let binding = claims::binding(&claims).and_then(|binding| binding.key());
    let expires = jose::seconds(&claims, "exp").ok_or(TokenError::BadClaim("exp"))?;
    if now >= expires {
        return Err(TokenError::Expired);
    }
    Ok(Narrowing {
        scopes: scopes.ok_or(TokenError::BadClaim("scope"))?,
        account,
        jkt: binding.ok_or(TokenError::BadClaim("cnf"))?,
        expires: expires.min(left.expires()),
    })
}
