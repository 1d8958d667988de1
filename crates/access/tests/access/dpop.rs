//! Goal: only a fresh proof by the named key for this very request passes, and each way to miss that has its own name.
//! Method: the examples of RFC 9449; then forged proofs, each wrong in one way, signed with real keys; then properties.

use crate::forge::{at, b64, jws, keys, slot, url};
use proptest::prelude::*;
use tpw_access::dpop::{check, make};
use tpw_access::{DpopError, DpopProof, DpopRequest, HttpUrl, JoseError, ReplayCache, ReplayError};
use tpw_core::{Hash32, Instant, Span};
use tpw_crypto::{FixedEntropy, PublicKey, Signer as _, SoftwareSlots};

const HEADER: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0Vj\
    NoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSI\
    sImNydiI6IlAtMjU2In19";
const FIGURE_2: &str = ".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wb\
    GUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-F\
    NyJK70nfbV37xRZT3Lg";
const FIGURE_13: &str = ".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFt\
    cGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1O\
    UlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
const RFC_TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
const RFC_JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

const NOW: u64 = 1_800_000_000;
const PAY: &str = "https://wallet.example/v1/payments";

fn cache() -> ReplayCache {
    ReplayCache::new(ReplayCache::CAPACITY, at(0))
}

fn request<'a>(method: &'a str, url: &'a HttpUrl, token: Option<&'a str>) -> DpopRequest<'a> {
    DpopRequest { method, url, access_token: token, now: at(NOW) }
}

/// RFC 9449 §4.1 (figure 2) and §6.1 (figure 9).
#[test]
fn rfc_9449_proof_of_a_token_request() {
    let token_url = url("https://server.example.com/token");
    let rfc = DpopRequest { now: at(1_562_262_616), ..request("POST", &token_url, None) };
    let proof = format!("{HEADER}{FIGURE_2}");
    let mut replay = cache();
    let key = check(&proof, &rfc, &mut replay).unwrap();
    assert_eq!(b64(key.jkt().as_bytes()), RFC_JKT);
    assert_eq!(key.key().jwk_thumbprint(), *key.jkt().as_bytes());
    assert_eq!(check(&proof, &rfc, &mut replay).unwrap_err(), ReplayError::Seen.into());
}

/// RFC 9449 §7.1 (figures 12 and 13): the same key, with the hash of an access token.
#[test]
fn rfc_9449_proof_of_a_resource_request() {
    let resource = url("https://resource.example.org/protectedresource");
    let rfc = DpopRequest { now: at(1_562_262_618), ..request("GET", &resource, Some(RFC_TOKEN)) };
    let proof = format!("{HEADER}{FIGURE_13}");
    let key = check(&proof, &rfc, &mut cache()).unwrap();
    assert_eq!(b64(key.jkt().as_bytes()), RFC_JKT);
    for token in [None, Some("other")] {
        let other = DpopRequest { access_token: token, ..rfc };
        assert_eq!(check(&proof, &other, &mut cache()).unwrap_err(), DpopError::WrongToken);
    }
}

#[test]
fn what_a_device_makes_passes() {
    let (keys, pay) = (keys(), url(PAY));
    for name in ["ed", "ec"] {
        for token in [None, Some("a.b.c")] {
            let wanted = request("POST", &pay, token);
            let proof = make(&keys, &slot(name), &wanted, &mut FixedEntropy::new(1)).unwrap();
            let key = check(&proof, &wanted, &mut cache()).unwrap();
            assert_eq!(*key.key(), keys.public_key(&slot(name)).unwrap());
        }
    }
    let post_quantum =
        make(&keys, &slot("pq"), &request("POST", &pay, None), &mut FixedEntropy::new(1));
    assert!(matches!(post_quantum, Err(DpopError::Signing(_))));
}

/// The parts of a forged proof. What a test does not change is right.
struct Forged {
    signer: &'static str,
    typ: &'static str,
    alg: &'static str,
    jwk: String,
    more: &'static str,
    claims: String,
}

fn jwk(keys: &SoftwareSlots, name: &str) -> String {
    keys.public_key(&slot(name)).unwrap().jwk_json()
}

fn claims(more: &str) -> String {
    format!(r#"{{"jti":"1","htm":"POST","htu":"{PAY}","iat":{NOW}{more}}}"#)
}

impl Forged {
    fn right(keys: &SoftwareSlots) -> Self {
        Self {
            signer: "ed",
            typ: "dpop+jwt",
            alg: "EdDSA",
            jwk: jwk(keys, "ed"),
            more: "",
            claims: claims(""),
        }
    }

    fn proof(&self, keys: &SoftwareSlots) -> String {
        let Self { typ, alg, jwk, more, .. } = self;
        let header = format!(r#"{{"typ":"{typ}","alg":"{alg}","jwk":{jwk}{more}}}"#);
        jws(keys, self.signer, &header, &self.claims)
    }
}

fn judge(proof: &str) -> Result<(), DpopError> {
    check(proof, &request("POST", &url(PAY), None), &mut cache()).map(|_key| ())
}

#[test]
fn accepted_variations() {
    let keys = keys();
    let right = || Forged::right(&keys);
    let replaced = |from: &str, to: &str| claims("").replace(from, to);
    for (name, forged) in [
        ("as it should be", right()),
        ("the newer name of the algorithm", Forged { alg: "Ed25519", ..right() }),
        ("P-256", Forged { signer: "ec", alg: "ES256", jwk: jwk(&keys, "ec"), ..right() }),
        ("unknown header member", Forged { more: r#","kid":"x""#, ..right() }),
        (
            "unknown claim",
            Forged { claims: claims(r#","x":{"y":[1,-1,1.5,null,true]}"#), ..right() },
        ),
        (
            "address in other clothes",
            Forged {
                claims: replaced(PAY, "HTTPS://Wallet.Example:443/v1/p%61yments?x=1#y"),
                ..right()
            },
        ),
        (
            "as old as allowed",
            Forged { claims: replaced(&NOW.to_string(), "1799999940"), ..right() },
        ),
        (
            "as new as allowed",
            Forged { claims: replaced(&NOW.to_string(), "1800000060"), ..right() },
        ),
        (
            "longest identifier",
            Forged { claims: replaced(r#""1""#, &format!(r#""{}""#, "j".repeat(128))), ..right() },
        ),
    ] {
        assert_eq!(judge(&forged.proof(&keys)), Ok(()), "{name}");
    }
}

#[test]
fn wrong_headers_are_refused() {
    let keys = keys();
    let right = || Forged::right(&keys);
    let ed = jwk(&keys, "ed");
    let with = |member: &str| ed.replace('}', &format!(",{member}}}"));
    for (name, forged, wanted) in [
        ("another type", Forged { typ: "JWT", ..right() }, DpopError::WrongType),
        ("an access token's type", Forged { typ: "at+jwt", ..right() }, DpopError::WrongType),
        ("alg none", Forged { alg: "none", ..right() }, DpopError::WrongAlgorithm),
        ("alg None", Forged { alg: "None", ..right() }, DpopError::WrongAlgorithm),
        ("alg HS256", Forged { alg: "HS256", ..right() }, DpopError::WrongAlgorithm),
        ("alg RS256", Forged { alg: "RS256", ..right() }, DpopError::WrongAlgorithm),
        ("alg ES256K", Forged { alg: "ES256K", ..right() }, DpopError::WrongAlgorithm),
        ("alg of another key", Forged { alg: "ES256", ..right() }, DpopError::BadKey),
        ("private key", Forged { jwk: with(r#""d":"AAAA""#), ..right() }, DpopError::PrivateKey),
        (
            "symmetric key",
            Forged { jwk: r#"{"kty":"oct","k":"AA"}"#.into(), ..right() },
            DpopError::PrivateKey,
        ),
        ("no key", Forged { jwk: "{}".into(), ..right() }, DpopError::BadKey),
        ("key is text", Forged { jwk: r#""x""#.into(), ..right() }, DpopError::BadKey),
        (
            "key too short",
            Forged { jwk: r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#.into(), ..right() },
            DpopError::BadKey,
        ),
        (
            "another curve",
            Forged { jwk: ed.replace("Ed25519", "Ed448"), ..right() },
            DpopError::BadKey,
        ),
        ("another key", Forged { jwk: jwk(&keys, "ed2"), ..right() }, DpopError::BadSignature),
        ("another signer", Forged { signer: "ed2", ..right() }, DpopError::BadSignature),
        (
            "extensions",
            Forged { more: r#","crit":["b64"],"b64":false"#, ..right() },
            JoseError::Critical.into(),
        ),
        (
            "repeated header member",
            Forged { more: r#","alg":"none""#, ..right() },
            JoseError::DuplicateMember.into(),
        ),
        (
            "repeated key member",
            Forged { jwk: with(r#""kty":"OKP""#), ..right() },
            JoseError::DuplicateMember.into(),
        ),
    ] {
        assert_eq!(judge(&forged.proof(&keys)), Err(wanted), "{name}");
    }
}

#[test]
fn coordinates_have_their_full_length() {
    let keys = keys();
    let key = keys.public_key(&slot("ec")).unwrap();
    let (x, y) = key.as_bytes()[1..].split_at(31);
    let shifted = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, b64(x), b64(y));
    let forged = Forged { signer: "ec", alg: "ES256", jwk: shifted, ..Forged::right(&keys) };
    assert_eq!(judge(&forged.proof(&keys)), Err(DpopError::BadKey));
}

#[test]
fn wrong_claims_are_refused() {
    let keys = keys();
    let now = NOW.to_string();
    let long = format!(r#""{}""#, "j".repeat(129));
    for (name, from, to, wanted) in [
        ("another method", "POST", "GET", DpopError::WrongMethod),
        ("method in lower case", "POST", "post", DpopError::WrongMethod),
        ("another path", "/v1/payments", "/v1/accounts", DpopError::WrongUrl),
        ("another case of path", "/v1/payments", "/v1/Payments", DpopError::WrongUrl),
        ("final slash", "/v1/payments", "/v1/payments/", DpopError::WrongUrl),
        ("another host", "wallet.example", "wallet.example.org", DpopError::WrongUrl),
        ("another port", "wallet.example", "wallet.example:8443", DpopError::WrongUrl),
        ("another scheme", "https", "http", DpopError::WrongUrl),
        ("user name", "wallet.example", "wallet.example@evil.example", DpopError::BadClaim("htu")),
        ("no address", PAY, "/v1/payments", DpopError::BadClaim("htu")),
        ("too old", now.as_str(), "1799999939", DpopError::Stale),
        ("from the future", now.as_str(), "1800000061", DpopError::Future),
        ("time zero", now.as_str(), "0", DpopError::Stale),
        ("negative time", now.as_str(), "-1", DpopError::BadClaim("iat")),
        ("fraction of a second", now.as_str(), "1800000000.5", DpopError::BadClaim("iat")),
        ("time as text", now.as_str(), r#""1800000000""#, DpopError::BadClaim("iat")),
        ("time in milliseconds", now.as_str(), "1800000000000", DpopError::BadClaim("iat")),
        ("time beyond all", now.as_str(), "18446744073709551615", DpopError::BadClaim("iat")),
        ("empty identifier", r#""1""#, r#""""#, DpopError::BadClaim("jti")),
        ("long identifier", r#""1""#, long.as_str(), DpopError::BadClaim("jti")),
        ("identifier is a number", r#""1""#, "1", DpopError::BadClaim("jti")),
        ("no identifier", "jti", "ijt", DpopError::BadClaim("jti")),
        ("no method", "htm", "mht", DpopError::BadClaim("htm")),
        ("no address claim", "htu", "uht", DpopError::BadClaim("htu")),
        ("no time", "iat", "tai", DpopError::BadClaim("iat")),
        ("token where none is", r#""jti""#, r#""ath":"x","jti""#, DpopError::WrongToken),
        ("repeated claim", r#""jti""#, r#""htm":"GET","jti""#, JoseError::DuplicateMember.into()),
        (
            "repeated deep inside",
            r#""jti""#,
            r#""x":[{"a":1,"a":1}],"jti""#,
            JoseError::DuplicateMember.into(),
        ),
        (
            "repeated through an escape",
            r#""jti""#,
            r#""\u0068tm":"GET","jti""#,
            JoseError::DuplicateMember.into(),
        ),
        ("trailing json", "}", "}{}", JoseError::Json.into()),
        ("no json", "{", "", JoseError::Json.into()),
    ] {
        let changed = claims("").replacen(from, to, 1);
        assert_ne!(changed, claims(""), "{name} changes nothing");
        let forged = Forged { claims: changed, ..Forged::right(&keys) };
        assert_eq!(judge(&forged.proof(&keys)), Err(wanted), "{name}");
    }
    let array = Forged { claims: "[]".into(), ..Forged::right(&keys) };
    assert_eq!(judge(&array.proof(&keys)), Err(JoseError::Json.into()));
}

#[test]
fn wrong_shapes_are_refused() {
    let keys = keys();
    let right = Forged::right(&keys).proof(&keys);
    let parts: Vec<&str> = right.split('.').collect();
    let unsigned = format!("{}.{}.", parts[0], parts[1]);
    let cut = right[..right.len() - 2].to_owned();
    let large = Forged {
        claims: claims(&format!(r#","x":"{}""#, "x".repeat(4096))),
        ..Forged::right(&keys)
    };
    // The last character of a 64-byte signature carries two bits that mean nothing.
    let mut loose_bits = right.clone();
    let last = loose_bits.pop().unwrap();
    loose_bits.push(if last == 'A' { 'B' } else { char::from(last as u8 + 1) });
    for (name, proof, wanted) in [
        ("nothing", String::new(), JoseError::Parts.into()),
        ("one part", parts[0].to_owned(), JoseError::Parts.into()),
        ("two parts", format!("{}.{}", parts[0], parts[1]), JoseError::Parts.into()),
        ("four parts", format!("{right}.{}", parts[2]), JoseError::Parts.into()),
        ("five parts", "....".into(), JoseError::Parts.into()),
        ("empty parts", "..".into(), JoseError::Json.into()),
        ("padding", format!("{right}=="), JoseError::Base64.into()),
        ("a space", format!("{right} "), JoseError::Base64.into()),
        ("loose bits", loose_bits, JoseError::Base64.into()),
        ("no signature", unsigned, DpopError::BadSignature),
        ("cut signature", cut, DpopError::BadSignature),
        ("too large", large.proof(&keys), JoseError::TooLong.into()),
    ] {
        assert_eq!(judge(&proof), Err(wanted), "{name}");
    }
}

#[test]
fn an_identifier_counts_for_its_key_only() {
    let keys = keys();
    let mut replay = cache();
    let pay = url(PAY);
    let mine = Forged::right(&keys);
    let other = Forged { signer: "ed2", jwk: jwk(&keys, "ed2"), ..Forged::right(&keys) };
    // The same identifier at another time and address of the same key is a repetition as well.
    let moved = Forged {
        claims: claims("").replace(&NOW.to_string(), "1800000030"),
        ..Forged::right(&keys)
    };
    let wanted = request("POST", &pay, None);
    check(&mine.proof(&keys), &wanted, &mut replay).unwrap();
    check(&other.proof(&keys), &wanted, &mut replay).unwrap();
    let again = check(&moved.proof(&keys), &wanted, &mut replay);
    assert_eq!(again.unwrap_err(), ReplayError::Seen.into());
    assert_eq!(replay.len(), 2);
}

#[test]
fn a_refused_proof_uses_no_memory() {
    let keys = keys();
    let mut replay = cache();
    let proof = Forged::right(&keys).proof(&keys);
    let elsewhere = url("https://wallet.example/v1/other");
    assert!(check(&proof, &request("POST", &elsewhere, None), &mut replay).is_err());
    assert!(DpopProof::verify(&proof, &request("POST", &url(PAY), None)).is_ok());
    assert!(replay.is_empty());
}

fn id(number: u64) -> Hash32 {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Hash32::new(bytes)
}

const LIFE: Span = Span::from_secs(60);

fn admit(replay: &mut ReplayCache, number: u64, made: u64, now: u64) -> Result<(), ReplayError> {
    replay.admit(id(number), at(made), at(made).plus(LIFE), at(now))
}

#[test]
fn a_full_memory_refuses_and_recovers() {
    let mut replay = ReplayCache::new(3, at(1000));
    for number in 0..3 {
        admit(&mut replay, number, 1000, 1000).unwrap();
    }
    assert_eq!(admit(&mut replay, 3, 1000, 1000), Err(ReplayError::TooBusy));
    assert_eq!(admit(&mut replay, 0, 1000, 1000), Err(ReplayError::Seen));
    // To the last moment of their lives.
    assert_eq!(admit(&mut replay, 3, 1060, 1060), Err(ReplayError::TooBusy));
    assert_eq!(admit(&mut replay, 3, 1070, 1070), Ok(()));
    assert_eq!(replay.len(), 1);
}

#[test]
fn restart_and_set_back_clocks_revive_nothing() {
    let mut replay = ReplayCache::new(10, Instant::from_unix_ms(1_000_700).unwrap());
    assert_eq!(admit(&mut replay, 1, 999, 1001), Err(ReplayError::Forgotten));
    // A proof of the very second of the start: its time has no finer digits.
    assert_eq!(admit(&mut replay, 1, 1000, 1001), Ok(()));
    assert_eq!(admit(&mut replay, 2, 2000, 2000), Ok(()));
    assert_eq!(admit(&mut replay, 1, 1000, 1001), Err(ReplayError::Forgotten));
}

proptest! {
    /// Against a memory that never forgets: no proof is admitted twice, and without pressure or restarts every first
    /// use within the window is admitted.
    #[test]
    fn replay_memory_agrees_with_an_unbounded_one(
        steps in prop::collection::vec((0_u64..40, 0_u64..30, 0_u64..121), 1..200)
    ) {
        let mut replay = ReplayCache::new(1000, at(0));
        let mut used = std::collections::BTreeSet::new();
        let mut now = 10_000;
        for (number, pass, offset) in steps {
            now += pass;
            let made = now - 60 + offset;
            // One identifier has one time of making, as one signed proof has.
            let number = number * 1_000_000 + made;
            let answer = admit(&mut replay, number, made, now);
            prop_assert_eq!(answer.is_ok(), used.insert(number));
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,200}", a in "[A-Za-z0-9_-]{0,80}", b in "[A-Za-z0-9_-]{0,80}") {
        prop_assert!(judge(&text).is_err());
        let framed = format!("{}.{}.{}", a, b, a);
        prop_assert!(judge(&framed).is_err());
    }

    #[test]
    fn no_json_panics(header in "[{}\\[\\]\":,a-z0-9.\\\\-]{0,60}", claims in "\\PC{0,60}") {
        let text = format!("{}.{}.{}", b64(header), b64(claims), b64([0; 64]));
        prop_assert!(judge(&text).is_err());
    }

    /// Whatever single character of a proof changes, it no longer passes.
    #[test]
    fn every_character_counts(place in 0_usize..300, to in "[A-Za-z0-9_.-]") {
        let keys = keys();
        let right = Forged::right(&keys).proof(&keys);
        let place = place % right.len();
        let mut changed = right.clone();
        changed.replace_range(place..=place, &to);
        prop_assert_eq!(judge(&changed).is_ok(), changed == right);
    }
}

#[test]
fn a_key_that_is_no_point_is_refused() {
    let keys = keys();
    let zeros = b64([0; 32]);
    let bad = format!(r#"{{"crv":"P-256","kty":"EC","x":"{zeros}","y":"{zeros}"}}"#);
    let forged = Forged { signer: "ec", alg: "ES256", jwk: bad, ..Forged::right(&keys) };
    assert_eq!(judge(&forged.proof(&keys)), Err(DpopError::BadKey));
    // Ed25519's neutral element would verify anything.
    let neutral = b64([[1].as_slice(), &[0; 31]].concat());
    let weak = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{neutral}"}}"#);
    let forged = Forged { jwk: weak, ..Forged::right(&keys) };
    assert_eq!(judge(&forged.proof(&keys)), Err(DpopError::BadKey));
    assert!(PublicKey::from_bytes(tpw_crypto::Algorithm::Ed25519, &[0; 32]).is_err());
}
