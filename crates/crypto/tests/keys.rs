//! Goal: keys stay in their slots, forms are strict, and nothing that differs verifies.
//! Method: properties over random messages and bytes, then single cases, most of them refusals.

#![expect(clippy::unwrap_used, reason = "helpers of the tests, outside their functions")]

use std::collections::HashSet;

use proptest::prelude::*;
use tpw_crypto::{
    Algorithm, Check, CryptoError, Entropy, FixedEntropy, PublicKey, Signer, SlotName,
    SoftwareSlots, der_ecdsa, verify_each, verify_p256_der,
};

fn name(text: &str) -> SlotName {
    SlotName::new(text).unwrap()
}

/// One slot of each algorithm, named by its place in `Algorithm::ALL`.
fn slots(seed: u64) -> SoftwareSlots {
    let mut slots = SoftwareSlots::new();
    let mut entropy = FixedEntropy::new(seed);
    for (place, algorithm) in Algorithm::ALL.into_iter().enumerate() {
        slots.generate(name(&format!("k{place}")), algorithm, &mut entropy).unwrap();
    }
    slots
}

struct Constant(u8);

impl Entropy for Constant {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), CryptoError> {
        out.fill(self.0);
        Ok(())
    }
}

struct Broken;

impl Entropy for Broken {
    fn fill(&mut self, _out: &mut [u8]) -> Result<(), CryptoError> {
        Err(CryptoError::Entropy)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn only_the_signed_message_verifies(
        seed: u64, message in proptest::collection::vec(any::<u8>(), 1..200), at: prop::sample::Index, bit in 0..8u8,
    ) {
        let slots = slots(seed);
        for (slot, algorithm) in slots.slots() {
            let key = slots.public_key(slot).unwrap();
            prop_assert_eq!(key.algorithm(), algorithm);
            let signature = slots.sign(slot, &message).unwrap();
            prop_assert_eq!(signature.len(), algorithm.signature_len());
            prop_assert_eq!(key.verify(&message, &signature), Ok(()));
            let mut other = message.clone();
            other[at.index(message.len())] ^= 1 << bit;
            prop_assert_eq!(key.verify(&other, &signature), Err(CryptoError::BadSignature));
            let mut other = signature.clone();
            other[at.index(signature.len())] ^= 1 << bit;
            prop_assert_eq!(key.verify(&message, &other), Err(CryptoError::BadSignature));
        }
    }

    #[test]
    fn secret_codec_round_trip(seed: u64, at: prop::sample::Index) {
        let first = slots(seed);
        let bytes = first.to_secret_bytes();
        let second = SoftwareSlots::from_secret_bytes(&bytes).unwrap();
        prop_assert_eq!(&*second.to_secret_bytes(), &*bytes);
        for (slot, _) in first.slots() {
            prop_assert_eq!(first.public_key(slot), second.public_key(slot));
        }
        prop_assert!(SoftwareSlots::from_secret_bytes(&bytes[..at.index(bytes.len())]).is_err());
        let longer = [bytes.as_slice(), &[0]].concat();
        prop_assert!(SoftwareSlots::from_secret_bytes(&longer).is_err());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1400)) {
        let framed = [b"tpw-slots\x01".as_slice(), &bytes].concat();
        let _ = SoftwareSlots::from_secret_bytes(&framed);
        let _ = PublicKey::from_spki_der(&bytes);
        let _ = der_ecdsa(&bytes);
        for algorithm in Algorithm::ALL {
            let _ = PublicKey::from_bytes(algorithm, &bytes);
        }
    }

    #[test]
    fn der_signatures_verify_and_only_strictly(seed: u64, message: Vec<u8>) {
        let slots = slots(seed);
        let key = slots.public_key(&name("k1")).unwrap();
        let der = der_ecdsa(&slots.sign(&name("k1"), &message).unwrap()).unwrap();
        prop_assert_eq!(verify_p256_der(&key, &message, &der), Ok(()));
        let longer = [der.as_slice(), &[0]].concat();
        prop_assert!(verify_p256_der(&key, &message, &longer).is_err());
        prop_assert!(verify_p256_der(&slots.public_key(&name("k0")).unwrap(), &message, &der).is_err());
    }
}

#[test]
fn same_seed_same_keys_other_seed_other_keys() {
    let keys = |seed| {
        let slots = slots(seed);
        slots.slots().map(|(slot, _)| slots.public_key(slot).unwrap()).collect::<HashSet<_>>()
    };
    assert_eq!(keys(7), keys(7));
    assert!(keys(7).is_disjoint(&keys(8)));
}

#[test]
fn public_forms_round_trip_strictly() {
    let slots = slots(1);
    for (slot, algorithm) in slots.slots() {
        let key = slots.public_key(slot).unwrap();
        assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        let der = key.spki_der();
        assert_eq!(PublicKey::from_spki_der(&der), Ok(key.clone()));
        assert!(PublicKey::from_spki_der(&[der.as_slice(), &[0]].concat()).is_err());
        assert!(PublicKey::from_spki_der(&der[..der.len() - 1]).is_err());
        let pem = key.spki_pem();
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"));
        assert!(pem.ends_with("-----END PUBLIC KEY-----\n"));
        assert!(pem.lines().all(|line| !line.is_empty() && line.len() <= 64));
        let jwk: serde_json::Value = serde_json::from_str(&key.jwk_json()).unwrap();
        assert_eq!(jwk.to_string(), key.jwk_json(), "members in lexicographic order");
        assert_ne!(key.jwk_thumbprint(), key.cose_key_thumbprint());
    }
    assert_eq!(Algorithm::from_name("ed25519"), None);
}

/// RFC 8410 §10.1: the example key as PEM.
#[test]
fn pem_of_rfc_8410() {
    let raw =
        hex::decode("19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1").unwrap();
    let key = PublicKey::from_bytes(Algorithm::Ed25519, &raw).unwrap();
    assert_eq!(
        key.spki_pem(),
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"
    );
}

#[test]
fn bad_public_keys_are_refused() {
    let slots = slots(2);
    let p256 = slots.public_key(&name("k1")).unwrap();
    let mut off_curve = p256.as_bytes().to_vec();
    off_curve[64] ^= 1;
    let compressed = [&[0x02], &p256.as_bytes()[1..33]].concat();
    for bytes in [off_curve, compressed, p256.spki_der(), vec![0], vec![0x04; 65], vec![]] {
        assert_eq!(PublicKey::from_bytes(Algorithm::P256, &bytes), Err(CryptoError::BadKey));
    }
    let mut order_two = [0xff; 32];
    (order_two[0], order_two[31]) = (0xec, 0x7f);
    let mut y_is_p = order_two;
    y_is_p[0] = 0xed;
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut identity_signed = identity;
    identity_signed[31] = 0x80;
    for bytes in [[0; 32], identity, identity_signed, order_two, y_is_p, [0xff; 32]] {
        assert_eq!(PublicKey::from_bytes(Algorithm::Ed25519, &bytes), Err(CryptoError::BadKey));
    }
    for length in [0, 1311, 1313] {
        let bytes = vec![1; length];
        assert_eq!(PublicKey::from_bytes(Algorithm::MlDsa44, &bytes), Err(CryptoError::BadKey));
    }
}

/// A small-order `R` verifies in no message, even where the plain equation would hold.
#[test]
fn empty_and_zero_signatures_fail() {
    let slots = slots(3);
    for (slot, algorithm) in slots.slots() {
        let key = slots.public_key(slot).unwrap();
        for signature in
            [vec![], vec![0; algorithm.signature_len()], vec![0xff; algorithm.signature_len()]]
        {
            assert_eq!(key.verify(b"m", &signature), Err(CryptoError::BadSignature));
        }
    }
}

#[test]
fn der_of_small_and_zero_numbers() {
    let mut rs = [0; 64];
    assert!(matches!(der_ecdsa(&rs), Err(CryptoError::Malformed(_))));
    (rs[31], rs[63]) = (0x7f, 0x80);
    assert_eq!(der_ecdsa(&rs).unwrap(), [0x30, 7, 2, 1, 0x7f, 2, 2, 0, 0x80]);
    assert!(matches!(der_ecdsa(&rs[1..]), Err(CryptoError::Malformed(_))));
}

#[test]
fn slots_refuse() {
    let mut slots = slots(4);
    let before = slots.public_key(&name("k0")).unwrap();
    let mut entropy = FixedEntropy::new(5);
    assert_eq!(
        slots.generate(name("k0"), Algorithm::P256, &mut entropy),
        Err(CryptoError::SlotTaken("k0".into()))
    );
    assert_eq!(slots.public_key(&name("k0")), Ok(before));
    assert_eq!(slots.sign(&name("nobody"), b""), Err(CryptoError::UnknownSlot("nobody".into())));
    for algorithm in Algorithm::ALL {
        assert_eq!(slots.generate(name("n"), algorithm, &mut Broken), Err(CryptoError::Entropy));
        assert_eq!(
            slots.generate(name("n"), algorithm, &mut Constant(0)),
            Err(CryptoError::Entropy)
        );
    }
    // All ones lie above the P-256 order: every draw is refused, and the draws end.
    assert_eq!(
        slots.generate(name("n"), Algorithm::P256, &mut Constant(0xff)),
        Err(CryptoError::Entropy)
    );
    assert_eq!(slots.slots().count(), Algorithm::ALL.len());
}

#[test]
fn a_removed_key_is_gone_from_memory_and_from_what_is_stored() {
    let mut slots = slots(5);
    let before = slots.to_secret_bytes();
    let key = slots.public_key(&name("k1")).unwrap();
    slots.remove(&name("k1")).unwrap();
    let gone = Err(CryptoError::UnknownSlot("k1".to_owned()));
    assert_eq!(slots.remove(&name("k1")), gone);
    assert!(slots.sign(&name("k1"), b"m").is_err() && slots.public_key(&name("k1")).is_err());
    let read = SoftwareSlots::from_secret_bytes(&slots.to_secret_bytes()).unwrap();
    assert_eq!(
        read.slots().count() + 1,
        SoftwareSlots::from_secret_bytes(&before).unwrap().slots().count()
    );
    // The slot is free again, for another key.
    let other = slots.generate(name("k1"), Algorithm::P256, &mut FixedEntropy::new(6)).unwrap();
    assert_ne!(other, key);
}

#[test]
fn slot_names() {
    for good in ["a", "log-ed25519", "tsa.2026", &"x".repeat(48)] {
        assert_eq!(name(good).as_str(), good);
    }
    for bad in ["", "A", "a b", "a_b", "a/b", "日志", "a\n", &"x".repeat(49)] {
        assert!(matches!(SlotName::new(bad), Err(CryptoError::BadSlotName(_))), "{bad}");
    }
}

#[test]
fn secret_codec_refuses_other_forms() {
    let entry = |name: &str, code: u8, secret: [u8; 32]| {
        [&[u8::try_from(name.len()).unwrap()], name.as_bytes(), &[code], secret.as_slice()].concat()
    };
    let read = |count: u8, entries: &[Vec<u8>]| {
        SoftwareSlots::from_secret_bytes(
            &[b"tpw-slots\x01\x00".as_slice(), &[count], &entries.concat()].concat(),
        )
        .map(|_| ())
    };
    let (a, b) = (entry("a", 1, [1; 32]), entry("b", 2, [1; 32]));
    assert_eq!(read(2, &[a.clone(), b.clone()]), Ok(()));
    for bad in [
        read(2, &[b.clone(), a.clone()]),
        read(2, &[a.clone(), a.clone()]),
        read(1, &[a.clone(), b]),
        read(2, &[a]),
        read(1, &[entry("A", 1, [1; 32])]),
        read(1, &[entry("", 1, [1; 32])]),
        read(1, &[entry("a", 0, [1; 32])]),
        read(1, &[entry("a", 5, [1; 32])]),
        read(1, &[entry("a", 1, [0; 32])]),
        read(1, &[entry("a", 2, [0xff; 32])]),
        SoftwareSlots::from_secret_bytes(b"tpw-slots\x02\x00\x00").map(|_| ()),
    ] {
        assert!(bad.is_err());
    }
}

#[test]
fn debug_prints_no_secret() {
    let secret = [0xa7; 32];
    let bytes = [b"tpw-slots\x01\x00\x01\x03log\x01".as_slice(), &secret].concat();
    let slots = SoftwareSlots::from_secret_bytes(&bytes).unwrap();
    for shown in [format!("{slots:?}"), format!("{slots:#?}")] {
        assert!(shown.contains("log") && shown.contains("Ed25519"), "{shown}");
        // In hex, in decimal or in upper case.
        for leak in ["a7a7", "A7A7", "167, 167", "167,\n"] {
            assert!(!shown.contains(leak), "{shown}");
        }
    }
}

#[test]
fn batch_answers_in_order() {
    let slots = slots(6);
    let keys: Vec<_> = slots.slots().map(|(slot, _)| slots.public_key(slot).unwrap()).collect();
    let signatures: Vec<_> =
        slots.slots().map(|(slot, _)| slots.sign(slot, b"m").unwrap()).collect();
    let check = |key: usize, message: &'static [u8]| Check {
        key: &keys[key],
        message,
        signature: &signatures[key],
    };
    let checks = [check(0, b"m"), check(1, b"x"), check(2, b"m"), check(0, b"x")];
    let one = core::num::NonZeroUsize::MIN;
    let results = verify_each(&checks, one);
    let bad = Err(CryptoError::BadSignature);
    assert_eq!(results, [Ok(()), bad.clone(), Ok(()), bad]);
    assert!(verify_each(&[], one).is_empty());
}

#[test]
fn a_p256_key_of_another_program_is_taken_over_and_nothing_else_is() {
    // Made by `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`; for this test only.
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg5O3GH6w48ZOVNruo\n\
        b6dMz9uozCExUk6woGZl7eoYYw6hRANCAAR3pfRFXyYbBnuCzo/UXn4hm1nIzfwk\n\
        tSPdF3n0Lyt5XWYQUapr3YWrQt5baVRCY0+QEgFhcwyZDEkk7olDFpTE\n\
        -----END PRIVATE KEY-----\n";
    const P384: &str = "-----BEGIN PRIVATE KEY-----\n\
        MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDDtkPeAneHc1nhBh0me\n\
        1H0/zucAmcn0gLERj4bxl0MQ4gb/FrCgcq9luJwuCSVXzMWhZANiAATYptgJMn/U\n\
        CKXlbcrierYwZMFuFby0KwYjPoLkqmMU0Oh+NvksC56PYaO+owkS19FeO/A0IJL8\n\
        PavDR7hRCAQptF3V5BSLNkv8Mbjar7Gsdeslb1FYt3AnUw4mMwmHRNY=\n\
        -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEd6X0RV8mGwZ7gs6P1F5+IZtZyM38\n\
        JLUj3Rd59C8reV1mEFGqa92Fq0LeW2lUQmNPkBIBYXMMmQxJJO6JQxaUxA==\n\
        -----END PUBLIC KEY-----\n";
    let slot = |name: &str| SlotName::new(name).unwrap();
    let mut slots = SoftwareSlots::new();
    let public = slots.import_p256(slot("a"), PEM).unwrap();
    assert_eq!(public.spki_pem(), PUBLIC);
    public.verify(b"message", &slots.sign(&slot("a"), b"message").unwrap()).unwrap();
    assert_eq!(
        slots.import_p256(slot("a"), PEM).unwrap_err(),
        CryptoError::SlotTaken("a".to_owned())
    );
    assert_eq!(slots.import_p256(slot("b"), P384).unwrap_err(), CryptoError::BadKey);
    for other in ["", PUBLIC, &PEM.replace("PRIVATE KEY", "EC PRIVATE KEY"), &PEM.replace('M', "*")]
    {
        let refused = slots.import_p256(slot("b"), other).unwrap_err();
        assert!(matches!(refused, CryptoError::Malformed(_)), "{refused}");
    }
    assert_eq!(slots.slots().count(), 1);
}
