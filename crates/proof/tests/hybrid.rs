//! Goal: a statement of a hybrid device holds with both of its keys and in no other case; who takes one signature for two, or two for
//! one, refuses. Method: statements with keys that do and do not fit, and every byte of one changed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use tpw_core::{DeviceId, Hash32, Instant, Name, PaymentId, StepUpProof};
use tpw_crypto::{Algorithm, FixedEntropy, PublicKey, Signer, SlotName, SoftwareSlots};
use tpw_proof::device_keys::{check_possession, prove_possession};
use tpw_proof::{DeviceKeys, ProofError, Unverified, sign, sign_hybrid};

fn slot(name: &str) -> SlotName {
    SlotName::new(name).unwrap()
}

fn seed(name: &str) -> u64 {
    name.bytes().map(u64::from).sum()
}

fn slots() -> SoftwareSlots {
    let mut slots = SoftwareSlots::new();
    for (name, algorithm) in [
        ("ed", Algorithm::Ed25519),
        ("ed-2", Algorithm::Ed25519),
        ("p256", Algorithm::P256),
        ("ml", Algorithm::MlDsa44),
        ("ml-2", Algorithm::MlDsa44),
    ] {
        slots.generate(slot(name), algorithm, &mut FixedEntropy::new(seed(name))).unwrap();
    }
    slots
}

fn key(slots: &SoftwareSlots, name: &str) -> PublicKey {
    slots.public_key(&slot(name)).unwrap()
}

fn keys(slots: &SoftwareSlots, first: &str, second: &str) -> DeviceKeys {
    DeviceKeys::new(key(slots, first), Some(key(slots, second))).unwrap()
}

fn value() -> StepUpProof {
    StepUpProof {
        payment: PaymentId::new(1, [1; 10]),
        device: DeviceId::new(1, [2; 10]),
        intent_hash: Hash32::new([3; 32]),
        created: Instant::from_unix_ms(1_763_806_500_000).unwrap(),
        audience: Name::new("Example Pay").unwrap(),
    }
}

fn parsed(bytes: &[u8]) -> Unverified<StepUpProof> {
    Unverified::parse(bytes).unwrap()
}

#[test]
fn both_keys_sign_and_both_are_checked() {
    let slots = slots();
    for first in ["ed", "p256"] {
        let bytes = sign_hybrid(&value(), &slots, &slot(first), &slot("ml")).unwrap();
        let verified = parsed(&bytes).verify_by(&keys(&slots, first, "ml")).unwrap();
        assert_eq!(verified.value(), &value());
        assert_eq!(verified.keys(), &keys(&slots, first, "ml"));
        assert_eq!(verified.bytes(), bytes);
        // The first key names the device.
        let thumbprint = Hash32::new(key(&slots, first).cose_key_thumbprint());
        assert_eq!(parsed(&bytes).key_thumbprint(), thumbprint);
    }
}

#[test]
fn other_keys_and_another_number_of_keys_are_refused() {
    let slots = slots();
    let hybrid = sign_hybrid(&value(), &slots, &slot("ed"), &slot("ml")).unwrap();
    let alone = sign(&value(), &slots, &slot("ed")).unwrap();
    let wrong = |bytes: &[u8], keys: &DeviceKeys| {
        assert_eq!(parsed(bytes).verify_by(keys).unwrap_err(), ProofError::WrongKey);
    };
    wrong(&hybrid, &keys(&slots, "ed-2", "ml"));
    wrong(&hybrid, &keys(&slots, "ed", "ml-2"));
    wrong(&hybrid, &DeviceKeys::from(key(&slots, "ed")));
    wrong(&alone, &keys(&slots, "ed", "ml"));
    assert_eq!(parsed(&hybrid).verify(&key(&slots, "ed")).unwrap_err(), ProofError::WrongKey);
    assert!(parsed(&alone).verify(&key(&slots, "ed")).is_ok());
}

#[test]
fn every_changed_byte_is_noticed() {
    let slots = slots();
    let good = sign_hybrid(&value(), &slots, &slot("p256"), &slot("ml")).unwrap();
    let keys = keys(&slots, "p256", "ml");
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 1;
        let read = Unverified::<StepUpProof>::parse(&bad);
        assert!(read.and_then(|read| read.verify_by(&keys)).is_err(), "byte {place}");
    }
    for end in 0..good.len() {
        assert!(Unverified::<StepUpProof>::parse(&good[..end]).is_err(), "{end} bytes");
    }
    assert!(Unverified::<StepUpProof>::parse(&[&good[..], &[0]].concat()).is_err());
}

#[test]
fn no_other_pair_of_algorithms_is_a_device() {
    let slots = slots();
    let pairs = [("ed", "p256"), ("ed", "ed-2"), ("ml", "ml-2"), ("ml", "ed")];
    for (first, second) in pairs {
        assert!(DeviceKeys::new(key(&slots, first), Some(key(&slots, second))).is_err());
        assert!(sign_hybrid(&value(), &slots, &slot(first), &slot(second)).is_err());
    }
    assert!(DeviceKeys::new(key(&slots, "ml"), None).is_err());
    let both = keys(&slots, "p256", "ml");
    assert_eq!(DeviceKeys::from_record(&both.to_record()).unwrap(), both);
}

#[test]
fn possession_is_proved_for_one_pair_of_keys() {
    let slots = slots();
    let proof = prove_possession(&slots, &slot("ed"), &slot("ml")).unwrap();
    let holds = |first: &str, second: &str, proof: &[u8]| {
        check_possession(&key(&slots, first), &key(&slots, second), proof).is_ok()
    };
    assert!(holds("ed", "ml", &proof));
    for (first, second) in [("ed-2", "ml"), ("ed", "ml-2"), ("p256", "ml"), ("ed", "ed-2")] {
        assert!(!holds(first, second, &proof), "{first} {second}");
    }
    assert!(!holds("ed", "ml", &proof[1..]));
}
