//! Goal: statements and COSE receipts are what RFC 9052 and RFC 9942 define, in one encoding only, and
//! no signature passes for another kind, key or value. Leaves have the bytes of `spec/leaf.md`.
//! Method: `coset`, an independent COSE library, reads and checks what we write; leaf values were
//! computed outside from the specification; then forged and mutated messages, each with its refusal.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use coset::{
    Algorithm as CoseAlgorithm, CborSerializable, ContentType, CoseSign1, CoseSign1Builder,
    HeaderBuilder, TaggedCborSerializable, iana,
};
use proptest::prelude::*;
use support::{ORIGIN, World, hash, intent, slot};
use tpw_core::{
    ApprovalId, Consent, DeviceId, FactorMethod, Hash32, Instant, Intent, Name, RecordKind,
    StepUpProof, Vote,
};
use tpw_crypto::{Algorithm, CryptoError, Signer};
use tpw_proof::leaf::factor_evidence;
use tpw_proof::tree::{node_hash, verify_inclusion};
use tpw_proof::{Leaf, ProofError, RootSignature, Unverified, cose_receipt, public_key, sign};

fn read(bytes: &[u8]) -> CoseSign1 {
    CoseSign1::from_tagged_slice(bytes).unwrap()
}

#[test]
fn coset_reads_and_verifies_our_statements() {
    for (algorithm, number) in
        [(Algorithm::Ed25519, iana::Algorithm::Ed25519), (Algorithm::P256, iana::Algorithm::ESP256)]
    {
        let world = World::new(algorithm);
        let bytes = sign(&intent(), &world.slots, &slot("device")).unwrap();
        let message = read(&bytes);
        let key = world.key("device");
        assert_eq!(message.protected.header.alg, Some(CoseAlgorithm::Assigned(number)));
        assert_eq!(message.protected.header.key_id, key.cose_key_thumbprint());
        assert_eq!(
            message.protected.header.content_type,
            Some(ContentType::Text(Intent::CONTENT_TYPE.to_owned()))
        );
        assert!(message.unprotected.is_empty());
        assert_eq!(message.payload.as_deref(), Some(&intent().to_bytes()[..]));
        message.verify_signature(b"", |signature, data| key.verify(data, signature)).unwrap();

        let verified = Unverified::<Intent>::parse(&bytes).unwrap().verify(&key).unwrap();
        assert_eq!(verified.value(), &intent());
        assert_eq!(verified.bytes(), bytes);
        let again = public_key(&tpw_proof::device_key(&key)).unwrap();
        assert_eq!(again, key);
    }
}

/// A statement made by `coset` with chosen headers.
fn forged(
    world: &World,
    alg: iana::Algorithm,
    content: &str,
    kid: &[u8],
    payload: &[u8],
    unprotected: Option<&[u8]>,
) -> Vec<u8> {
    let protected = HeaderBuilder::new()
        .algorithm(alg)
        .content_type(content.to_owned())
        .key_id(kid.to_vec())
        .build();
    let mut builder = CoseSign1Builder::new().protected(protected).payload(payload.to_vec());
    if let Some(kid) = unprotected {
        builder = builder.unprotected(HeaderBuilder::new().key_id(kid.to_vec()).build());
    }
    builder
        .create_signature(b"", |data| world.slots.sign(&slot("device"), data).unwrap())
        .build()
        .to_tagged_vec()
        .unwrap()
}

#[test]
fn older_algorithm_numbers_are_read_and_others_are_not() {
    let payload = intent().to_bytes();
    for (algorithm, fitting, other) in [
        (Algorithm::Ed25519, iana::Algorithm::EdDSA, iana::Algorithm::ES256),
        (Algorithm::P256, iana::Algorithm::ES256, iana::Algorithm::EdDSA),
    ] {
        let world = World::new(algorithm);
        let key = world.key("device");
        let kid = key.cose_key_thumbprint();
        let make = |alg| forged(&world, alg, Intent::CONTENT_TYPE, &kid, &payload, None);
        Unverified::<Intent>::parse(&make(fitting)).unwrap().verify(&key).unwrap();
        let unfit = Unverified::<Intent>::parse(&make(other)).unwrap().verify(&key);
        assert_eq!(unfit, Err(ProofError::WrongKey));
        let unknown = Unverified::<Intent>::parse(&make(iana::Algorithm::ES384)).unwrap_err();
        assert_eq!(unknown, ProofError::UnknownAlgorithm(-35));
    }
}

#[test]
fn forged_and_malformed_statements_are_refused() {
    let world = World::new(Algorithm::Ed25519);
    let key = world.key("device");
    let kid = key.cose_key_thumbprint();
    let payload = intent().to_bytes();
    let ed = iana::Algorithm::Ed25519;
    let kind = Intent::CONTENT_TYPE;
    let good = forged(&world, ed, kind, &kid, &payload, None);
    assert_eq!(good, sign(&intent(), &world.slots, &slot("device")).unwrap());
    let parse = |bytes: &[u8]| Unverified::<Intent>::parse(bytes);
    let code = |bytes: &[u8]| parse(bytes).unwrap_err().code();

    // Another kind of statement, even with a valid signature over the same payload.
    assert_eq!(
        code(&forged(&world, ed, StepUpProof::CONTENT_TYPE, &kid, &payload, None)),
        "malformed"
    );
    assert!(Unverified::<StepUpProof>::parse(&good).is_err());
    assert_eq!(code(&forged(&world, ed, kind, &kid[..31], &payload, None)), "malformed");
    assert_eq!(code(&forged(&world, ed, kind, &kid, &payload, Some(b"x"))), "malformed");
    assert_eq!(code(&forged(&world, ed, kind, &kid, &[0; 5000], None)), "too_large");
    // Validly signed, but the payload is no intent, or one that no payment may be.
    let mut free = intent();
    free.money.amount = tpw_core::Amount::ZERO;
    for payload in [b"\xa0".to_vec(), [payload.clone(), vec![0]].concat(), free.to_bytes()] {
        let parsed = parse(&forged(&world, ed, kind, &kid, &payload, None)).unwrap();
        assert!(matches!(parsed.verify(&key), Err(ProofError::Codec(_))));
    }
    // Another key than the one named, and a named key that did not sign.
    assert_eq!(parse(&good).unwrap().verify(&world.key("log-ed25519")), Err(ProofError::WrongKey));
    let other = world.key("log-ed25519").cose_key_thumbprint();
    let lies = parse(&forged(&world, ed, kind, &other, &payload, None)).unwrap();
    assert_eq!(
        lies.verify(&world.key("log-ed25519")),
        Err(ProofError::Crypto(CryptoError::BadSignature))
    );
    // Untagged, detached, trailing, longer forms.
    assert_eq!(code(&read(&good).to_vec().unwrap()), "malformed");
    let mut detached = read(&good);
    detached.payload = None;
    assert_eq!(code(&detached.to_tagged_vec().unwrap()), "malformed");
    assert_eq!(code(&[&good[..], &[0]].concat()), "malformed");
    assert_eq!(code(&[&[0xd8, 18], &good[1..]].concat()), "malformed");
    assert_eq!(code(&[&good[..1], &[0x98, 4], &good[2..]].concat()), "malformed");
    assert_eq!(code(&[]), "malformed");
    // No payload before verification: not even in debug output.
    assert!(!format!("{:?}", parse(&good)).contains("Invoice"));
}

#[test]
fn every_flipped_byte_of_a_statement_is_refused() {
    let world = World::new(Algorithm::P256);
    let key = world.key("device");
    let good = sign(&intent(), &world.slots, &slot("device")).unwrap();
    for place in 0..good.len() {
        for bit in [0x01, 0x80] {
            let mut bad = good.clone();
            bad[place] ^= bit;
            let outcome = Unverified::<Intent>::parse(&bad).and_then(|s| s.verify(&key));
            assert!(outcome.is_err(), "byte {place}");
        }
    }
}

#[test]
fn keys_that_may_not_sign_statements() {
    let world = World::new(Algorithm::Ed25519);
    assert_eq!(
        sign(&intent(), &world.slots, &slot("log-ml-dsa-44")),
        Err(ProofError::UnknownAlgorithm(-48))
    );
    assert!(sign(&intent(), &world.slots, &slot("nobody")).is_err());
}

#[test]
fn leaves_have_the_specified_bytes() {
    let leaf_of = |leaf: Leaf| (hex::encode(leaf.as_bytes()), leaf.leaf_hash().to_string());
    let text = |bytes: &str, hash: &str| (bytes.to_owned(), hash.to_owned());
    let (one, two) = (Hash32::new([0x11; 32]), Hash32::new([0x22; 32]));
    let salt: [u8; 32] = core::array::from_fn(|i| u8::try_from(i).unwrap());
    assert_eq!(
        leaf_of(Leaf::genesis(ORIGIN, 0)),
        text(
            "74707731000ecc14fbcfa6d03c0fa7c16dae73275a38d084c9ff3ecdce376ed278de5f4b82",
            "5baf94291d7d9119dc78a65539c01f6d09001c1c73749b7c042519604a883467",
        )
    );
    assert_eq!(
        leaf_of(Leaf::genesis(ORIGIN, 1)),
        text(
            "7470773100b2cc99bb28db1f398250dc057ed2c2464c5aedeec80075963ee450ba710ea637",
            "19a82615b62904d217c0110a271c48c602e733518b2cbedb2d54f415fbe33d82",
        )
    );
    let leaf = Leaf::commit(RecordKind::Payment, &salt, one, two);
    assert_eq!(
        leaf_of(leaf),
        text(
            "747077310174a54d6314c50d69d0f87f67735923ad100279a789c6f5dc1c27aaba0b26323c",
            "a94ba8ac0fd6110706882aa61fa41d8e63118dd8669c4f751cdc5d444c77cc34",
        )
    );
    assert!(leaf.opens(RecordKind::Payment, &salt, one, two));
    let factor = factor_evidence(one, FactorMethod::Passkey, two);
    assert_eq!(
        factor.to_string(),
        "5089c96aa7b28b1e09c15acbb10a5a4af2f7a228dbad6716fc3e893e40a83c00"
    );
    assert_ne!(factor, factor_evidence(one, FactorMethod::Totp, two));
    assert_ne!(factor, factor_evidence(two, FactorMethod::Passkey, one));
    assert!(!leaf.opens(RecordKind::Compensation, &salt, one, two));
    assert!(!leaf.opens(RecordKind::Payment, &[0; 32], one, two));
    assert!(!leaf.opens(RecordKind::Payment, &salt, two, one));
    assert_eq!(Leaf::from_bytes(leaf.as_bytes()).unwrap(), leaf);
    assert_eq!(leaf.kind(), RecordKind::Payment);
    let mut bad = leaf.as_bytes().to_vec();
    bad[4] = 7;
    assert!(Leaf::from_bytes(&bad).is_err());
    bad[4] = 1;
    bad[3] = b'2';
    assert!(Leaf::from_bytes(&bad).is_err());
    assert!(Leaf::from_bytes(&leaf.as_bytes()[..36]).is_err());
}

#[test]
fn cose_receipts_verify_with_coset_and_refuse_changes() {
    let world = World::new(Algorithm::Ed25519);
    for name in ["log-cose", "log-ed25519"] {
        let key = world.key(name);
        let (a, b, c) = (hash(1), hash(2), hash(3));
        let root = node_hash(&node_hash(&a, &b), &c);
        let signature = RootSignature::sign(&root, &world.slots, &slot(name)).unwrap();
        assert_eq!(RootSignature::from_bytes(&signature.to_bytes()).unwrap(), signature);
        let path = [a, c];
        verify_inclusion(&b, 1, 3, &path, &root).unwrap();
        let receipt = signature.receipt(1, 3, &path);
        let said = cose_receipt::verify(&receipt, &b, &key).unwrap();
        assert_eq!((said.index, said.head.size, said.head.root), (1, 3, root));

        let message = read(&receipt);
        assert_eq!(message.payload, None);
        message
            .verify_detached_signature(root.as_bytes(), b"", |sig, data| key.verify(data, sig))
            .unwrap();

        let refused = |bytes: &[u8]| cose_receipt::verify(bytes, &b, &key).is_err();
        assert!(cose_receipt::verify(&receipt, &a, &key).is_err());
        assert_eq!(
            cose_receipt::verify(&receipt, &b, &world.key("device")),
            Err(ProofError::WrongKey)
        );
        for bad in [
            signature.receipt(0, 3, &path),
            signature.receipt(2, 3, &path),
            signature.receipt(1, 2, &path),
            signature.receipt(1, 9, &path),
            signature.receipt(1, 3, &[c, a]),
            signature.receipt(1, 3, &[a]),
            signature.receipt(1, 3, &[]),
            signature.receipt(0, 1, &[]),
            signature.receipt(9, 3, &path),
            signature.receipt(1, 0, &path),
            signature.receipt(u64::MAX, u64::MAX, &path),
            signature.to_bytes(),
        ] {
            assert!(refused(&bad));
        }
        for place in 0..receipt.len() {
            let mut bad = receipt.clone();
            bad[place] ^= 1;
            // Size 3 and size 4 have the same path for index 1 of a tree cut off at the right, so a size
            // is bound by the checkpoint, not by this signature (RFC 9942 signs the root alone).
            if let Ok(said) = cose_receipt::verify(&bad, &b, &key) {
                assert_eq!((said.index, said.head.root), (1, root), "byte {place}");
                assert_ne!(said.head.size, 3, "byte {place}");
            }
        }
    }
}

proptest! {
    #[test]
    fn readers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let world = World::new(Algorithm::Ed25519);
        let _ = Unverified::<Intent>::parse(&bytes);
        let _ = RootSignature::from_bytes(&bytes);
        let _ = cose_receipt::verify(&bytes, &hash(1), &world.key("log-cose"));
        let _ = Leaf::from_bytes(&bytes);
    }
}

#[test]
fn a_vote_is_signed_in_its_own_namespace() {
    let world = World::new(Algorithm::Ed25519);
    let vote = Vote {
        approval: ApprovalId::from_bytes([1; 16]),
        device: DeviceId::from_bytes([2; 16]),
        operation: hash(3),
        consent: Consent::Approve,
        created: Instant::from_unix_ms(1_795_342_500_000).unwrap(),
        audience: Name::new("Example Pay").unwrap(),
    };
    // Written out by hand from `spec/approval.md`.
    let payload = format!(
        "a60150{}0250{}035820{}0401051b000001a202c080a006{}",
        "01".repeat(16),
        "02".repeat(16),
        hash(3),
        "6b4578616d706c6520506179",
    );
    assert_eq!(hex::encode(vote.to_bytes()), payload);
    assert_eq!(Vote::from_bytes(&vote.to_bytes()), Ok(vote.clone()));
    let (key, bytes) = (world.key("device"), sign(&vote, &world.slots, &slot("device")).unwrap());
    let verified = Unverified::<Vote>::parse(&bytes).unwrap().verify(&key).unwrap();
    assert_eq!(verified.value(), &vote);
    assert!(Unverified::<StepUpProof>::parse(&bytes).is_err());
    assert!(Unverified::<Intent>::parse(&bytes).is_err());
    for place in 0..payload.len() / 2 {
        let mut odd = vote.to_bytes();
        odd[place] ^= 1;
        assert_ne!(Vote::from_bytes(&odd).as_ref(), Ok(&vote), "{place}");
    }
    // No such consent, a key too many, a byte too many.
    let neither = payload.replacen("040105", "040305", 1);
    let more = format!("{payload}00");
    let seven = payload.replacen("a6", "a7", 1) + "0700";
    for bad in [neither, more, seven] {
        assert!(Vote::from_bytes(&hex::decode(&bad).unwrap()).is_err(), "{bad}");
    }
}
