//! Goal: a signature holds for us exactly when it holds for a stranger with a stock verifier, whatever points its maker
//! chose, one by one and many at once. Method: signatures with parts of small order, made from the definitions of the
//! cases in "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko 2020), most of which must not hold; among them one
//! that a batch equation accepts. The answers expected are those of the plain equation `[s]B - [k]A = R`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of the tests, outside their functions"
)]

use core::num::NonZeroUsize;
use serde_json::Value;
use tpw_crypto::{Algorithm, Check, CryptoError, PublicKey, verify_each};

/// What it is, key, message, signature, whether it holds.
type Case = (String, PublicKey, Vec<u8>, Vec<u8>, bool);

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/vectors/ed25519-edge-cases.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn cases() -> Vec<Case> {
    let vectors = vectors();
    let read = |case: &Value| {
        let text = |member: &str| case[member].as_str().unwrap().to_owned();
        let bytes = |member: &str| hex::decode(text(member)).unwrap();
        let holds = case["valid"].as_bool().unwrap();
        (text("comment"), key(&text("publicKey")), bytes("msg"), bytes("sig"), holds)
    };
    let cases: Vec<Case> = vectors["tests"].as_array().unwrap().iter().map(read).collect();
    assert_eq!(cases.len(), 13);
    cases
}

fn key(hex: &str) -> PublicKey {
    PublicKey::from_bytes(Algorithm::Ed25519, &hex::decode(hex).unwrap()).unwrap()
}

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

fn answer(holds: bool) -> Result<(), CryptoError> {
    if holds { Ok(()) } else { Err(CryptoError::BadSignature) }
}

#[test]
fn each_case_is_judged_by_the_plain_equation() {
    for (what, key, message, signature, holds) in cases() {
        assert_eq!(key.verify(&message, &signature), answer(holds), "{what}");
    }
}

#[test]
fn a_key_of_small_order_is_none() {
    let bytes = hex::decode(vectors()["smallOrderKey"].as_str().unwrap()).unwrap();
    assert_eq!(PublicKey::from_bytes(Algorithm::Ed25519, &bytes), Err(CryptoError::BadKey));
}

#[test]
fn many_at_once_are_judged_as_each_alone_in_any_order_on_any_number_of_threads() {
    let cases = cases();
    for count in [0, 1, 15, 16, 17, 33, 200] {
        // 7 and the number of cases have no common factor: every case comes, in another order.
        let chosen = (0..count).map(|number: usize| &cases[number * 7 % cases.len()]);
        let checks: Vec<_> = chosen
            .clone()
            .map(|(_, key, message, signature, _)| Check { key, message, signature })
            .collect();
        let expected: Vec<_> = chosen.map(|(.., holds)| answer(*holds)).collect();
        for cores in [1, 2, 3, 64] {
            assert_eq!(verify_each(&checks, threads(cores)), expected, "{count} on {cores}");
        }
    }
}
