//! Goal: a receipt is judged the same in the browser as everywhere else. Method: the published vectors, mostly negative, and
//! what small changes make of them go through both libraries, behind the checks of form that stand in front of either; the answers
//! are compared, and with what the vectors say.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::Value;

use super::{aws_lc, rust_crypto};
use crate::sign::{is_key_form, is_signature_form};
use crate::{Algorithm, CryptoError, OutsideKind, PublicKey, Sha2, der_ecdsa};

fn unhex(text: &Value) -> Vec<u8> {
    hex::decode(text.as_str().unwrap()).unwrap()
}

fn vectors(name: &str) -> Value {
    let path = format!("{}/../../spec/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Key, message, signature, and whether it holds.
type Case = (Vec<u8>, Vec<u8>, Vec<u8>, bool);

fn cases(name: &str) -> Vec<Case> {
    let vectors = vectors(name);
    let read = |key: &Value, test: &Value| {
        // Ours is the empty context: a signature under another one is not ours.
        let valid = test["valid"].as_bool().unwrap() && test.get("ctx").is_none();
        (unhex(key), unhex(&test["msg"]), unhex(&test["sig"]), valid)
    };
    if let Some(tests) = vectors["tests"].as_array() {
        return tests.iter().map(|test| read(&test["publicKey"], test)).collect();
    }
    let groups = vectors["groups"].as_array().unwrap().iter();
    let in_group = |group: &Value| -> Vec<Case> {
        let tests = group["tests"].as_array().unwrap().iter();
        tests.map(|test| read(&group["publicKey"], test)).collect()
    };
    groups.flat_map(in_group).collect()
}

/// What both say, which must be the same. Neither is asked about other forms of keys and signatures than ours: on those they
/// differ.
fn both(algorithm: Algorithm, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    if !is_key_form(algorithm, key) || !is_signature_form(algorithm, signature) {
        return false;
    }
    let first = aws_lc::VerifyingKey::new(algorithm, key);
    let second = rust_crypto::VerifyingKey::new(algorithm, key);
    let shown = || format!("{algorithm} {} {}", hex::encode(key), hex::encode(signature));
    assert_eq!(first.is_ok(), second.is_ok(), "the key: {}", shown());
    let (Ok(first), Ok(second)) = (first, second) else { return false };
    let answer = first.verify(message, signature);
    assert_eq!(answer, second.verify(message, signature), "{}", shown());
    answer.is_ok()
}

/// The same for what others sign.
fn both_outside(kind: OutsideKind, hash: Sha2, case: (&[u8], &[u8], &[u8])) -> bool {
    let (key, message, signature) = case;
    let answer = aws_lc::verify_outside(kind, hash, key, message, signature);
    let second = rust_crypto::verify_outside(kind, hash, key, message, signature);
    assert_eq!(answer, second, "{kind:?} {} {}", hex::encode(key), hex::encode(signature));
    answer.is_ok()
}

/// Each vector, with the forms that our own reading takes in front of both.
fn judge_all(name: &str, algorithm: Algorithm) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    for (key, message, signature, valid) in cases(name) {
        assert_eq!(both(algorithm, &key, &message, &signature), valid);
        let read = PublicKey::from_bytes(algorithm, &key);
        let answer = read.and_then(|key| key.verify(&message, &signature));
        assert_eq!(answer.is_ok(), valid, "{name} {}", hex::encode(&signature));
        if valid { good += 1 } else { bad += 1 }
    }
    (good, bad)
}

#[test]
fn the_published_vectors_are_judged_alike() {
    for (name, algorithm, at_least) in [
        ("ed25519-verify", Algorithm::Ed25519, (80, 60)),
        ("ed25519-edge-cases", Algorithm::Ed25519, (3, 10)),
        ("ecdsa-p256-verify", Algorithm::P256, (100, 80)),
        ("ml-dsa-44", Algorithm::MlDsa44, (3, 10)),
        ("ml-dsa-65", Algorithm::MlDsa65, (3, 10)),
    ] {
        let (good, bad) = judge_all(name, algorithm);
        assert!(good >= at_least.0 && bad >= at_least.1, "{name}: {good} {bad}");
    }
}

#[test]
fn a_flipped_bit_of_a_key_or_a_signature_is_judged_alike() {
    for (name, algorithm, every) in [
        ("ed25519-verify", Algorithm::Ed25519, 1),
        ("ecdsa-p256-verify", Algorithm::P256, 1),
        // Its keys and signatures are long: a sample of their bits, with the hint's at the end.
        ("ml-dsa-44", Algorithm::MlDsa44, 307),
        ("ml-dsa-65", Algorithm::MlDsa65, 307),
    ] {
        let good = cases(name).into_iter().find(|(.., valid)| *valid).unwrap();
        let (key, message, signature, _) = good;
        assert!(both(algorithm, &key, &message, &signature), "{name}");
        for bit in (0..signature.len() * 8).step_by(every) {
            let mut changed = signature.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!both(algorithm, &key, &message, &changed), "{name}: signature, bit {bit}");
        }
        for bit in (0..key.len() * 8).step_by(every) {
            let mut changed = key.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!both(algorithm, &changed, &message, &signature), "{name}: key, bit {bit}");
        }
    }
}

#[test]
fn keys_of_small_order_and_in_other_forms_are_judged_alike() {
    let honest = cases("ed25519-edge-cases").swap_remove(0);
    let p: [u8; 32] = std::array::from_fn(|at| match at {
        0 => 0xed,
        31 => 0x7f,
        _ => 0xff,
    });
    // y from 0 to 18 and from p to 2^255 - 1, with both signs: every encoding that is not canonical, and most small orders.
    for low in 0..=18_u8 {
        for sign in [0, 0x80] {
            let mut small = [0; 32];
            small[0] = low;
            small[31] = sign;
            let mut high = p;
            high[0] = high[0].wrapping_add(low);
            high[31] |= sign;
            for key in [small, high] {
                // As a key, and as the R of a signature.
                assert!(!both(Algorithm::Ed25519, &key, &honest.1, &honest.2));
                let with_r = [key.as_slice(), &honest.2[32..]].concat();
                assert!(!both(Algorithm::Ed25519, &honest.0, &honest.1, &with_r));
                let is_canonical = key == small && low > 1;
                assert_eq!(is_key_form(Algorithm::Ed25519, &key), is_canonical, "{key:?}");
            }
        }
    }
}

/// BER and other forms of a DER signature that is good: none is DER.
fn other_forms(der: &[u8]) -> Vec<Vec<u8>> {
    let body = &der[2..];
    let length = u8::try_from(body.len()).unwrap();
    let r_len = usize::from(body[1]);
    let (r, s) = body.split_at(2 + r_len);
    let joined = |parts: &[&[u8]]| {
        let body = parts.concat();
        [&[0x30, u8::try_from(body.len()).unwrap()], body.as_slice()].concat()
    };
    let longer = |number: &[u8]| [&[0x02, number[1] + 1, 0x00], &number[2..]].concat();
    vec![
        [&[0x30, 0x81, length], body].concat(),
        [&[0x30, 0x82, 0x00, length], body].concat(),
        [&[0x30, 0x80], body, &[0, 0]].concat(),
        [der, &[0]].concat(),
        der[..der.len() - 1].to_vec(),
        joined(&[&longer(r), s]),
        joined(&[r, &longer(s)]),
        joined(&[r, s, &[0x05, 0x00]]),
        joined(&[r]),
        joined(&[&[0x02, 0x81, r[1]], &r[2..], s]),
        joined(&[&[0x02, 0x01, 0x00], s]),
        joined(&[r, &[0x02, 0x01, 0x00]]),
        joined(&[r, &[0x02, 0x00]]),
        joined(&[r, &[0x02, 0x01, 0xff]]),
        joined(&[&[0x03, r[1]], &r[2..], s]),
        [&[0x31, length], body].concat(),
        Vec::new(),
    ]
}

#[test]
fn forms_of_der_signatures_are_judged_alike() {
    let mut judged = 0;
    for (key, message, signature, valid) in cases("ecdsa-p256-verify") {
        let Ok(der) = der_ecdsa(&signature) else { continue };
        let judge = |signature: &[u8]| {
            both_outside(OutsideKind::P256, Sha2::Sha256, (&key, &message, signature))
        };
        assert_eq!(judge(&der), valid, "{}", hex::encode(&der));
        if valid && judged < 20 {
            for form in other_forms(&der) {
                assert!(!judge(&form), "{}", hex::encode(&form));
            }
            for hash in [Sha2::Sha384, Sha2::Sha512] {
                assert!(!both_outside(OutsideKind::P256, hash, (&key, &message, &der)));
            }
            judged += 1;
        }
    }
    assert_eq!(judged, 20);
}

#[test]
fn kinds_that_no_receipt_has_are_refused_as_keys() {
    for kind in [OutsideKind::P384, OutsideKind::P521, OutsideKind::Rsa, OutsideKind::RsaPss] {
        let answer = rust_crypto::verify_outside(kind, Sha2::Sha256, &[4; 97], b"", b"");
        assert_eq!(answer, Err(CryptoError::BadKey), "{kind:?}");
    }
}

#[test]
fn hashes_are_alike_at_every_length_around_a_block() {
    let data: Vec<u8> = (0..300_u16).map(|number| number.to_le_bytes()[0]).collect();
    for length in 0..data.len() {
        let part = &data[..length];
        for function in Sha2::ALL {
            let (first, second) =
                (aws_lc::digest(function, part), rust_crypto::digest(function, part));
            assert_eq!(first.as_ref(), second.as_ref(), "{} of {length}", function.name());
        }
        assert_eq!(aws_lc::sha1(part).as_ref(), rust_crypto::sha1(part).as_ref());
        let parts = [part, b"", part];
        let (first, second) =
            (aws_lc::hmac_sha256(part, &parts), rust_crypto::hmac_sha256(part, &parts));
        assert_eq!(first.as_ref(), second.as_ref(), "a key of {length}");
        for other in [part, &data[..length / 2], b""] {
            assert_eq!(aws_lc::ct_eq(part, other), rust_crypto::ct_eq(part, other));
        }
    }
}
