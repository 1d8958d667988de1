//! Goal: the proof that a time-stamp stands in the log holds for that token and nothing else.
//! Method: the published vector, whole, with each byte changed, cut short and under other trust files. The second verifier judges the same
//! files (`spec/test_verify.py`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::Path;
use tpw_core::RecordKind;
use tpw_proof::logged::{token_leaf, verify_token};
use tpw_proof::timestamp::token_der;
use tpw_proof::{KeyName, Leaf, Trust};

fn read(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/token");
    std::fs::read(folder.join(name)).unwrap()
}

fn vector() -> (Vec<u8>, String, Trust) {
    let text = |name| String::from_utf8(read(name)).unwrap();
    let trust = Trust::from_json(&text("trust.json")).unwrap();
    (read("token.tsr"), text("token.tlog-proof"), trust)
}

#[test]
fn a_response_and_its_token_alone_have_one_entry() {
    let (response, proof, trust) = vector();
    let token = token_der(&response).unwrap();
    assert_eq!(token_der(&token).unwrap(), token);
    for form in [&response, &token] {
        let place = verify_token(form, &proof, &trust).unwrap();
        assert_eq!((place.index, place.head.size), (2, 3));
    }
    let leaf = token_leaf(&response).unwrap();
    assert_eq!(leaf.kind(), RecordKind::Token);
    assert_eq!(leaf.as_bytes()[..5], *b"tpw1\x04");
    assert_eq!(Leaf::from_bytes(leaf.as_bytes()).unwrap(), leaf);
}

#[test]
fn no_changed_byte_passes() {
    let (response, proof, trust) = vector();
    let token = token_der(&response).unwrap();
    for at in 0..token.len() {
        let mut changed = token.clone();
        changed[at] ^= 1 << (at % 7);
        assert!(verify_token(&changed, &proof, &trust).is_err(), "token at {at}");
    }
    for at in 0..proof.len() {
        let mut changed = proof.clone().into_bytes();
        changed[at] ^= 1 << (at % 7);
        let Ok(changed) = String::from_utf8(changed) else { continue };
        assert!(verify_token(&token, &changed, &trust).is_err(), "proof at {at}");
    }
    for cut in [0, 1, token.len() / 2, token.len() - 1] {
        assert!(verify_token(&token[..cut], &proof, &trust).is_err());
    }
    for cut in [0, 23, 40, proof.len() / 2, proof.len() - 1] {
        assert!(verify_token(&token, &proof[..cut], &trust).is_err());
    }
}

#[test]
fn trust_is_the_verifiers() {
    let (token, proof, trust) = vector();
    let with = |change: fn(&mut Trust)| {
        let mut other = trust.clone();
        change(&mut other);
        verify_token(&token, &proof, &other).unwrap_err().code()
    };
    assert_eq!(with(|trust| trust.log_keys.clear()), "not_signed");
    assert_eq!(with(|trust| trust.origin = KeyName::new("other.example/log").unwrap()), "mismatch");
    let extra = proof.replacen("\nindex", "\nextra AAAA\nindex", 1);
    assert_eq!(verify_token(&token, &extra, &trust).unwrap_err().code(), "malformed");
    // A policy asks for witnesses, and none has cosigned this log.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/receipts");
    let file = std::fs::read(folder.join("trust-witness.json")).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
    let lines = file["witness_policy"].as_str().unwrap().split_inclusive('\n');
    let policy: String = lines.filter(|line| !line.starts_with("log ")).collect();
    let policy = tpw_proof::Policy::parse(policy.as_bytes()).unwrap();
    let other = Trust { witness_policy: Some(policy), ..trust.clone() };
    assert_eq!(verify_token(&token, &proof, &other).unwrap_err().code(), "quorum");
}
