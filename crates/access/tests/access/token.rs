//! Goal: a session exists only for a live token of this server that comes with its own device's proof.
//! Method: tokens as issued and tokens forged in one way each, some with the server's own key; then copied tokens.

use crate::forge::{at, b64, jws, keys, slot, url};
use proptest::prelude::*;
use tpw_access::factor::Method;
use tpw_access::token::{check, issue};
use tpw_access::{
    Aal, DpopRequest, Grant, JoseError, Level, ProvenKey, ReplayCache, Role, Session, TokenError,
    dpop,
};
use tpw_core::{DeviceId, Hash32, Instant, PersonId};
use tpw_crypto::{FixedEntropy, PublicKey, Signer as _, SoftwareSlots};

const ISSUER: &str = "https://wallet.example";
const NOW: u64 = 1_800_000_000;

fn server_key(keys: &SoftwareSlots) -> PublicKey {
    keys.public_key(&slot("ed")).unwrap()
}

/// A grant to the device whose key is in slot `name`.
fn grant(keys: &SoftwareSlots, name: &str) -> Grant {
    Grant {
        person: PersonId::new(NOW, [1; 10]),
        device: DeviceId::new(NOW, [2; 10]),
        role: Role::Holder,
        jkt: Hash32::new(keys.public_key(&slot(name)).unwrap().jwk_thumbprint()),
        level: Level {
            aal: Aal::Two,
            auth_time: Instant::from_unix_ms(NOW * 1000 - 60_000),
            methods: vec![Method::Password],
        },
    }
}

fn issued(keys: &SoftwareSlots) -> String {
    let grant = grant(keys, "ec");
    let mut entropy = FixedEntropy::new(3);
    let made = issue(keys, &slot("ed"), ISSUER, &grant, at(NOW), &mut entropy).unwrap();
    assert_eq!(made.expires, at(NOW + 300));
    assert!(!format!("{made:?}").contains(&made.token));
    made.token
}

/// The key in slot `name`, proven in a request that carries `token`.
fn proven(keys: &SoftwareSlots, name: &str, token: Option<&str>) -> ProvenKey {
    let address = url("https://wallet.example/v1/accounts");
    let request = DpopRequest { method: "GET", url: &address, access_token: token, now: at(NOW) };
    let proof = dpop::make(keys, &slot(name), &request, &mut FixedEntropy::new(9)).unwrap();
    dpop::check(&proof, &request, &mut ReplayCache::new(9, at(0))).unwrap()
}

fn session(keys: &SoftwareSlots, token: &str, proof: &ProvenKey) -> Result<Session, TokenError> {
    check(token, &server_key(keys), ISSUER, at(NOW))?.bound_to(proof)
}

fn judge_at(keys: &SoftwareSlots, token: &str, now: Instant) -> Result<(), TokenError> {
    check(token, &server_key(keys), ISSUER, now).map(|_unbound| ())
}

#[test]
fn an_issued_token_makes_a_session_with_its_device() {
    let keys = keys();
    let token = issued(&keys);
    let wanted = grant(&keys, "ec");
    let session = session(&keys, &token, &proven(&keys, "ec", Some(&token))).unwrap();
    assert_eq!((session.person(), session.device()), (wanted.person, wanted.device));
    assert_eq!((session.role(), session.jkt()), (Role::Holder, wanted.jkt));
    assert_eq!(session.expires(), at(NOW + 300));
}

#[test]
fn a_stolen_token_makes_none() {
    let keys = keys();
    let token = issued(&keys);
    let not_bound = Err(TokenError::NotBound);
    assert_eq!(session(&keys, &token, &proven(&keys, "ed2", Some(&token))), not_bound);
    // The right device, but its proof was made for another token or for none.
    assert_eq!(session(&keys, &token, &proven(&keys, "ec", Some("other"))), not_bound);
    assert_eq!(session(&keys, &token, &proven(&keys, "ec", None)), not_bound);
}

#[test]
fn a_token_lives_five_minutes() {
    let keys = keys();
    let token = issued(&keys);
    let last = Instant::from_unix_ms(NOW * 1000 + 299_999).unwrap();
    assert_eq!(judge_at(&keys, &token, last), Ok(()));
    assert_eq!(judge_at(&keys, &token, at(NOW + 300)), Err(TokenError::Expired));
    assert_eq!(judge_at(&keys, &token, at(NOW - 5)), Ok(()));
    assert_eq!(judge_at(&keys, &token, at(NOW - 6)), Err(TokenError::Future));
}

#[test]
fn a_token_of_another_server_is_refused() {
    let keys = keys();
    let token = issued(&keys);
    let other_key = keys.public_key(&slot("ed2")).unwrap();
    let p256 = keys.public_key(&slot("ec")).unwrap();
    let refused = |key, issuer| check(&token, key, issuer, at(NOW)).map(|_unbound| ()).unwrap_err();
    assert_eq!(refused(&other_key, ISSUER), TokenError::BadSignature);
    assert_eq!(refused(&p256, ISSUER), TokenError::WrongAlgorithm);
    assert_eq!(refused(&server_key(&keys), "https://other.example"), TokenError::WrongServer);
    let wrong_slot =
        issue(&keys, &slot("ec"), ISSUER, &grant(&keys, "ec"), at(NOW), &mut FixedEntropy::new(1));
    assert!(matches!(wrong_slot, Err(TokenError::Signing(_))));
}

const HEADER: &str = r#"{"typ":"at+jwt","alg":"EdDSA"}"#;

fn claims(keys: &SoftwareSlots) -> String {
    let Grant { person, device, jkt, .. } = grant(keys, "ec");
    let jkt = b64(jkt.as_bytes());
    format!(
        r#"{{"iss":"{ISSUER}","aud":"{ISSUER}","sub":"{person}","device":"{device}","role":"holder","cnf":{{"jkt":"{jkt}"}},"acr":"aal2","amr":["password"],"auth_time":1799999940,"iat":{NOW},"exp":1800000300}}"#
    )
}

#[test]
fn forged_headers_are_refused() {
    let keys = keys();
    let right = claims(&keys);
    assert_eq!(judge_at(&keys, &jws(&keys, "ed", HEADER, &right), at(NOW)), Ok(()));
    for (header, wanted) in [
        (r#"{"typ":"JWT","alg":"EdDSA"}"#, TokenError::WrongType),
        (r#"{"typ":"dpop+jwt","alg":"EdDSA"}"#, TokenError::WrongType),
        (r#"{"alg":"EdDSA"}"#, TokenError::WrongType),
        (r#"{"typ":"at+jwt"}"#, TokenError::WrongAlgorithm),
        (r#"{"typ":"at+jwt","alg":"none"}"#, TokenError::WrongAlgorithm),
        (r#"{"typ":"at+jwt","alg":"HS256"}"#, TokenError::WrongAlgorithm),
        (r#"{"typ":"at+jwt","alg":"ES256"}"#, TokenError::WrongAlgorithm),
        (r#"{"typ":"at+jwt","alg":"EdDSA","crit":[]}"#, JoseError::Critical.into()),
        (r#"{"typ":"at+jwt","alg":"none","alg":"EdDSA"}"#, JoseError::DuplicateMember.into()),
    ] {
        let token = jws(&keys, "ed", header, &right);
        assert_eq!(judge_at(&keys, &token, at(NOW)), Err(wanted), "{header}");
    }
    // A device signs itself a token.
    let own = jws(&keys, "ed2", HEADER, &right);
    assert_eq!(judge_at(&keys, &own, at(NOW)), Err(TokenError::BadSignature));
    let unsigned = format!("{}.{}.", b64(HEADER), b64(&right));
    assert_eq!(judge_at(&keys, &unsigned, at(NOW)), Err(TokenError::BadSignature));
}

#[test]
fn wrong_claims_are_refused_even_under_the_right_key() {
    let keys = keys();
    let person = grant(&keys, "ec").person.to_string();
    let device = grant(&keys, "ec").device.to_string();
    for (from, to, wanted) in [
        (r#""iss":"https://wallet"#, r#""iss":"https://evil"#, TokenError::WrongServer),
        (r#""aud":"https://wallet"#, r#""aud":"https://evil"#, TokenError::WrongServer),
        (r#""aud""#, r#""dua""#, TokenError::BadClaim("aud")),
        (person.as_str(), device.as_str(), TokenError::BadClaim("sub")),
        (r#""device""#, r#""d""#, TokenError::BadClaim("device")),
        ("holder", "root", TokenError::BadClaim("role")),
        ("jkt", "jk", TokenError::BadClaim("cnf")),
        (r#""jkt":""#, r#""jkt":"AAAA"#, TokenError::BadClaim("cnf")),
        ("1800000300", "1800000301", TokenError::BadClaim("exp")),
        ("1800000300", "null", TokenError::BadClaim("exp")),
        ("1800000300", "1800000000", TokenError::Expired),
        (r#""iat""#, r#""tai""#, TokenError::BadClaim("iat")),
        ("aal2", "aal4", TokenError::BadClaim("acr")),
        (r#""acr""#, r#""arc""#, TokenError::BadClaim("acr")),
        (r#"["password"]"#, r#"["pwd"]"#, TokenError::BadClaim("amr")),
        (r#"["password"]"#, r#""password""#, TokenError::BadClaim("amr")),
        (r#""auth_time""#, r#""authtime""#, TokenError::BadClaim("auth_time")),
        (r#""auth_time":1799999940"#, r#""auth_time":"then""#, TokenError::BadClaim("auth_time")),
        (r#""iss""#, r#""role":"operator","iss""#, JoseError::DuplicateMember.into()),
    ] {
        let changed = claims(&keys).replacen(from, to, 1);
        assert_ne!(changed, claims(&keys), "{from} changes nothing");
        let token = jws(&keys, "ed", HEADER, &changed);
        assert_eq!(judge_at(&keys, &token, at(NOW)), Err(wanted), "{from} -> {to}");
    }
}

#[test]
fn a_proof_is_no_token() {
    let keys = keys();
    let address = url(ISSUER);
    let request = DpopRequest { method: "GET", url: &address, access_token: None, now: at(NOW) };
    // Even one by the server's own key.
    let proof = dpop::make(&keys, &slot("ed"), &request, &mut FixedEntropy::new(1)).unwrap();
    assert_eq!(judge_at(&keys, &proof, at(NOW)), Err(TokenError::WrongType));
    let token = issued(&keys);
    let as_proof = dpop::check(&token, &request, &mut ReplayCache::new(9, at(0)));
    assert_eq!(as_proof.unwrap_err(), tpw_access::DpopError::WrongType);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}", a in "[A-Za-z0-9_-]{0,80}") {
        let keys = keys();
        prop_assert!(judge_at(&keys, &text, at(NOW)).is_err());
        let framed = format!("{}.{}.{}", b64(HEADER), b64(&text), a);
        prop_assert!(judge_at(&keys, &framed, at(NOW)).is_err());
    }

    #[test]
    fn every_character_counts(place in 0_usize..700, to in "[A-Za-z0-9_.-]") {
        let keys = keys();
        let right = issued(&keys);
        let place = place % right.len();
        let mut changed = right.clone();
        changed.replace_range(place..=place, &to);
        prop_assert_eq!(judge_at(&keys, &changed, at(NOW)).is_ok(), changed == right);
    }
}
