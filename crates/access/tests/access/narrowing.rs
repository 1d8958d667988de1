//! Goal: what a holder narrows is less than it was, and nobody makes it more. Method: statements signed with the right key that are right
//! but for one thing, as an attacker who owns a key could make.

use crate::forge::{at, b64, jws, keys, slot};
use crate::oauth_clients::{ISSUER, NOW};
use tpw_access::oauth::narrowing::{LINKS_MAX, make, narrowed};
use tpw_access::oauth::token::{LIFE, check, issue};
use tpw_access::oauth::{Binding, ClientGrant, Narrowing, Scopes, UnboundClient};
use tpw_access::{JoseError, TokenError};
use tpw_core::{AccountId, Hash32};
use tpw_crypto::{FixedEntropy, Signer, SoftwareSlots, sha256};

fn jkt(keys: &SoftwareSlots, name: &str) -> Hash32 {
    Hash32::new(keys.public_key(&slot(name)).unwrap().jwk_thumbprint())
}

fn account(number: u8) -> AccountId {
    AccountId::new(NOW * 1000, [number; 10])
}

fn token(keys: &SoftwareSlots, binding: Binding) -> String {
    let grant = ClientGrant {
        client: "books.example".parse().unwrap(),
        scopes: Scopes::parse("balance:read statements:read").unwrap(),
        person: None,
        account: None,
        binding,
    };
    let by: (&dyn Signer, _) = (keys, &slot("ed"));
    issue(by, ISSUER, &grant, LIFE, at(NOW), &mut FixedEntropy::new(3)).unwrap().token
}

fn whole(keys: &SoftwareSlots, token: &str) -> UnboundClient {
    let published = [keys.public_key(&slot("ed")).unwrap()];
    check(token, &published, ISSUER, at(NOW)).unwrap()
}

#[test]
fn a_statement_says_what_is_left() {
    let keys = keys();
    let token = token(&keys, Binding::Key(jkt(&keys, "ec")));
    let left = Narrowing {
        scopes: Scopes::parse("balance:read").unwrap(),
        account: Some(account(1)),
        jkt: jkt(&keys, "ed2"),
        expires: at(NOW + 60),
    };
    let by = |name: &str, before: &str, left: &Narrowing| {
        let slot = slot(name);
        let by: (&dyn Signer, _) = (&keys, &slot);
        make(by, before, left).unwrap()
    };
    let first = by("ec", &token, &left);
    let judge = |links: &str, now| narrowed(&token, links, whole(&keys, &token), at(now));
    let said = judge(&first, NOW).unwrap();
    assert_eq!((said.said().scopes, said.said().account), (left.scopes, left.account));
    assert_eq!(said.said().binding, Binding::Key(left.jkt));
    assert_eq!(said.expires(), at(NOW + 60));
    assert_eq!(said.id(), whole(&keys, &token).id(), "it ends with the whole");
    assert_eq!(judge(&first, NOW + 60).unwrap_err(), TokenError::Expired);
    // Each further one is signed by the key of the one before, up to the bound.
    let mut links = first.clone();
    let mut before = first;
    for place in 1..LINKS_MAX {
        let (signs, next) = if place % 2 == 1 { ("ed2", "ec") } else { ("ec", "ed2") };
        before = by(signs, &before, &Narrowing { jkt: jkt(&keys, next), ..left });
        links = format!("{links} {before}");
        assert!(judge(&links, NOW).is_ok(), "{place}");
    }
    let more = by("ed2", &before, &Narrowing { jkt: jkt(&keys, "ec"), ..left });
    let more = judge(&format!("{links} {more}"), NOW);
    assert_eq!(more.unwrap_err(), TokenError::BadClaim("narrowing"));
}

#[test]
fn a_statement_that_is_wrong_in_one_thing_is_refused() {
    let keys = keys();
    let token = token(&keys, Binding::Key(jkt(&keys, "ec")));
    let jwk = keys.public_key(&slot("ec")).unwrap().jwk_json();
    let header = format!(r#"{{"typ":"tpw-narrowing+jwt","alg":"ES256","jwk":{jwk}}}"#);
    let right = format!(
        r#"{{"ath":"{}","scope":"balance:read","account":"{}","cnf":{{"jkt":"{}"}},"exp":1800000060}}"#,
        b64(sha256(token.as_bytes())),
        account(1),
        b64([9; 32]),
    );
    let judge = |header: &str, claims: &str| {
        let link = jws(&keys, "ec", header, claims);
        narrowed(&token, &link, whole(&keys, &token), at(NOW)).map(drop)
    };
    assert_eq!(judge(&header, &right), Ok(()));
    let hash = b64(sha256(token.as_bytes()));
    let bad = |name| Err(TokenError::BadClaim(name));
    for (from, to, error) in [
        (hash.as_str(), "AAAA", bad("ath")),
        ("\"ath\"", "\"x\"", bad("narrowing")),
        ("balance:read", "payments:read", bad("scope")),
        ("balance:read", "balance:read payments:read", bad("scope")),
        ("balance:read", "", bad("scope")),
        ("\"acc_", "\"per_", bad("account")),
        ("\"jkt\"", "\"x5t#S256\"", bad("cnf")),
        ("{\"jkt\":", "{\"x5t#S256\":\"AAAA\",\"jkt\":", bad("cnf")),
        (",\"exp\":1800000060", "", bad("exp")),
        ("1800000060", "1800000000", Err(TokenError::Expired)),
        // A restriction that is not known here would not be kept.
        (",\"exp\"", ",\"ip\":\"192.0.2.1\",\"exp\"", bad("narrowing")),
        (
            ",\"exp\"",
            ",\"scope\":\"balance:read\",\"exp\"",
            Err(TokenError::Malformed(JoseError::DuplicateMember)),
        ),
    ] {
        let claims = right.replacen(from, to, 1);
        assert_ne!(claims, right, "{from}");
        assert_eq!(judge(&header, &claims), error, "{from} → {to}");
    }
    for (from, to, error) in [
        ("tpw-narrowing+jwt", "dpop+jwt", TokenError::WrongType),
        ("tpw-narrowing+jwt", "at+jwt", TokenError::WrongType),
        ("ES256", "EdDSA", TokenError::BadSignature),
        ("ES256", "none", TokenError::BadSignature),
        ("\"kty\"", "\"d\":\"AAAA\",\"kty\"", TokenError::BadSignature),
    ] {
        let header = header.replacen(from, to, 1);
        assert_eq!(judge(&header, &right), Err(error), "{from} → {to}");
    }
    // Signed by another key, under its own name and under the right one.
    let other = keys.public_key(&slot("ed2")).unwrap().jwk_json();
    let theirs = format!(r#"{{"typ":"tpw-narrowing+jwt","alg":"EdDSA","jwk":{other}}}"#);
    let link = jws(&keys, "ed2", &theirs, &right);
    let judged = narrowed(&token, &link, whole(&keys, &token), at(NOW));
    assert_eq!(judged.map(drop), Err(TokenError::NotBound));
    let (signed, _) = jws(&keys, "ec", &header, &right).rsplit_once('.').map(own).unwrap();
    let link = format!("{signed}.{}", b64([7; 64]));
    let judged = narrowed(&token, &link, whole(&keys, &token), at(NOW));
    assert_eq!(judged.map(drop), Err(TokenError::BadSignature));
}

fn own((signed, signature): (&str, &str)) -> (String, String) {
    (signed.to_owned(), signature.to_owned())
}

#[test]
fn a_token_of_a_certificate_is_not_narrowed_by_its_holder() {
    let keys = keys();
    // Also where the certificate's thumbprint is that of a key.
    let token = token(&keys, Binding::Certificate(jkt(&keys, "ec")));
    let left = Narrowing {
        scopes: Scopes::parse("balance:read").unwrap(),
        account: None,
        jkt: jkt(&keys, "ed2"),
        expires: at(NOW + 60),
    };
    let by: (&dyn Signer, _) = (&keys, &slot("ec"));
    let link = make(by, &token, &left).unwrap();
    let judged = narrowed(&token, &link, whole(&keys, &token), at(NOW));
    assert_eq!(judged.map(drop), Err(TokenError::NotBound));
}
