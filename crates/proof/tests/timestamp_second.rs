//! Goal: a key of ML-DSA-65 stamps as strictly as one of P-256, and no weaker link hides in what it signs.
//!
//! Method: answers of the library, whole and with one byte changed; tokens of the second DER writer that mix kinds of keys or have a
//! weaker digest; a token that another program made. Stock verifiers judge ours in `spec/judge_stamps.py`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod timestamp_support;

use timestamp_support::*;
use tpw_core::Instant;
use tpw_crypto::{Algorithm, FixedEntropy, Sha2, sha256};
use tpw_proof::timestamp::{
    Authority, CertificateSpec, CertificateWish, ClockState, Imprint, Query, TokenCheck, TspError,
    certificates, leaf_certificate, query, root_certificate, serial, verify, verify_answer,
    verify_token,
};

const ML_DSA_44: &str = "2.16.840.1.101.3.4.3.17";
const GOOD: ClockState = ClockState::Good { error_ms: 5 };

/// The usual kit, and beside it a root and a leaf of ML-DSA-65.
struct Second {
    kit: Kit,
    root: Vec<u8>,
    leaf: Vec<u8>,
}

fn spec(common_name: &str, number: u64) -> CertificateSpec<'_> {
    CertificateSpec {
        common_name,
        not_before: at("2026-01-01T00:00:00Z"),
        not_after: at("2036-01-01T00:00:00Z"),
        serial: serial(number, [1; 11]),
    }
}

impl Second {
    fn new() -> Self {
        let kit = Kit::with(|slots| {
            let entropy = &mut FixedEntropy::new(65);
            for name in ["pq-root", "pq-leaf"] {
                slots.generate(slot(name), Algorithm::MlDsa65, entropy).unwrap();
            }
            slots.generate(slot("ed25519"), Algorithm::Ed25519, entropy).unwrap();
        });
        let root = root_certificate(&kit.slots, &slot("pq-root"), &spec("Second Root", 8)).unwrap();
        let (key, spec) = (kit.key("pq-leaf"), spec("Second TSA", 9));
        let leaf = leaf_certificate(&kit.slots, &slot("pq-root"), &root, &key, &spec).unwrap();
        Self { kit, root, leaf }
    }

    fn authority(&self) -> Authority {
        let authority = Authority::new(slot("pq-leaf"), &self.leaf, POLICY, 1500).unwrap();
        authority.check(&self.kit.slots, now()).unwrap();
        authority
    }

    fn answer(&self, request: &[u8]) -> Vec<u8> {
        self.authority().answer(&self.kit.slots, request, now(), GOOD, serial(1, [7; 11]))
    }

    fn roots(&self) -> Vec<Vec<u8>> {
        vec![self.root.clone()]
    }

    /// A leaf of one slot under the root of another.
    fn certified(&self, subject: &'static str, issuer: (&'static str, &str)) -> Vec<u8> {
        let draft = CertificateDraft {
            issuer_slot: issuer.0,
            issuer_name: issuer.1.to_owned(),
            subject_slot: subject,
            ..CertificateDraft::leaf()
        };
        draft.build(&self.kit)
    }
}

fn request() -> Vec<u8> {
    query(sha256(DATA), Some([9; 8]), CertificateWish::Embedded).unwrap()
}

#[test]
fn its_answers_hold_and_name_its_algorithms() {
    let second = Second::new();
    let answer = second.answer(&request());
    let found = verify_answer(&answer, &request(), &second.roots(), &policies()).unwrap();
    assert_eq!((found.gen_time, found.accuracy_ms), (now(), Some(5)));
    assert_eq!(verify(&answer, DATA, &second.roots(), &policies()), Ok(found));
    // Certificate and token are signed by it: 1952 bytes of key and two signatures of 3309.
    assert!((9_000..10_500).contains(&answer.len()), "{}", answer.len());
    let says = |text: &str| {
        let wanted = oid(text);
        answer.windows(wanted.len()).filter(|part| *part == wanted).count()
    };
    assert_eq!((says(ECDSA_SHA256), says(ML_DSA_65)), (0, 4));
    let bare = query(sha256(DATA), None, CertificateWish::Absent).unwrap();
    assert!(second.answer(&bare).len() < 4_000);
    for roots in [second.kit.roots(), Vec::new()] {
        let refused = verify(&answer, DATA, &roots, &policies());
        assert_eq!(refused, Err(TspError::UntrustedChain));
    }
    let refused = verify(&answer, b"other", &second.roots(), &policies());
    assert_eq!(refused, Err(TspError::Imprint));
}

#[test]
fn a_changed_byte_proves_nothing() {
    let second = Second::new();
    let good = second.answer(&request());
    let status = 8;
    for place in (0..good.len()).step_by(13).chain(good.len() - 40..good.len()) {
        let mut bad = good.clone();
        bad[place] ^= 1;
        let found = verify_answer(&bad, &request(), &second.roots(), &policies());
        assert!(found.is_err() || place == status, "{place}");
    }
}

#[test]
fn its_certificates_are_of_its_kind_all_along() {
    let second = Second::new();
    let slots = &second.kit.slots;
    let mixed = |root_slot: &str, root: &[u8], leaf: &str| {
        let key = second.kit.key(leaf);
        leaf_certificate(slots, &slot(root_slot), root, &key, &spec("Mixed", 3)).unwrap_err()
    };
    let mixed = [
        mixed("root", &second.kit.root, "pq-leaf"),
        mixed("pq-root", &second.root, "leaf"),
        mixed("pq-root", &second.root, "ed25519"),
        root_certificate(slots, &slot("ed25519"), &spec("Other", 4)).unwrap_err(),
    ];
    assert!(mixed.iter().all(|error| matches!(error, TspError::Setup(_))), "{mixed:?}");

    // Whoever can forge under one kind of root gets nothing that the other kind is believed for.
    let both = [second.root.clone(), second.kit.root.clone()];
    let under_curve = second.certified("pq-leaf", ("root", "Test Root"));
    let draft = Draft { leaf_issuer: "Test Root".to_owned(), ..Draft::over(under_curve) };
    let token = draft.with_ml_dsa_65("pq-leaf").build(&second.kit);
    assert_eq!(verify(&token, DATA, &both, &policies()), Err(TspError::SignatureAlgorithm));
    let under_lattice = second.certified("leaf", ("pq-root", "Second Root"));
    let token = Draft { leaf_issuer: "Second Root".to_owned(), ..Draft::over(under_lattice) };
    let token = token.build(&second.kit);
    assert_eq!(verify(&token, DATA, &both, &policies()), Err(TspError::SignatureAlgorithm));
    // All of one kind, written by the second writer, it holds.
    let good = second.certified("pq-leaf", ("pq-root", "Second Root"));
    let good = Draft { leaf_issuer: "Second Root".to_owned(), ..Draft::over(good) };
    let good = good.with_ml_dsa_65("pq-leaf").build(&second.kit);
    verify(&good, DATA, &both, &policies()).unwrap();
}

#[test]
fn a_weaker_digest_and_other_algorithms_are_refused() {
    let second = Second::new();
    let leaf = second.certified("pq-leaf", ("pq-root", "Second Root"));
    let draft = || {
        let draft = Draft { leaf_issuer: "Second Root".to_owned(), ..Draft::over(leaf.clone()) };
        draft.with_ml_dsa_65("pq-leaf")
    };
    let refused = |change: fn(&mut Draft)| {
        let mut draft = draft();
        change(&mut draft);
        verify(&draft.build(&second.kit), DATA, &second.roots(), &policies()).unwrap_err().code()
    };
    // RFC 9882 §3.3: as strong against collisions as the signature.
    let weaker = refused(|d| {
        d.digest_algorithms = vec![algorithm(SHA256)];
        d.digest_algorithm = algorithm(SHA256);
        d.attribute_digest = None;
    });
    assert_eq!(weaker, "tsp_digest_algorithm");
    assert_eq!(refused(|d| d.digest_algorithms = vec![algorithm(SHA256)]), "tsp_digest_algorithm");
    let renamed = [
        refused(|d| d.signature_algorithm = algorithm(ML_DSA_44)),
        refused(|d| d.signature_algorithm = algorithm(ECDSA_SHA256)),
        refused(|d| d.signature_algorithm = seq(&[oid(ML_DSA_65), tlv(0x05, b"")])),
    ];
    assert_eq!(renamed, ["tsp_signature_algorithm"; 3]);
    let signed_by_another = refused(|d| d.signing_slot = "pq-root");
    assert_eq!(signed_by_another, "tsp_bad_signature");
    let signed_by_a_curve = refused(|d| d.signing_slot = "leaf");
    assert_eq!(signed_by_a_curve, "tsp_bad_signature");
}

/// A token of the published corpus, whose leaf of ML-DSA-65 stands under a root of P-256: the general verifier takes it, receipts do not.
#[test]
fn what_the_general_verifier_takes_is_not_yet_what_receipts_take() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/tsp");
    let index = std::fs::read_to_string(folder.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    let mut cases = index.as_array().unwrap().iter();
    let case = cases.find(|case| case["name"] == "ml-dsa-65").unwrap();
    let read = |member: &str| std::fs::read(folder.join(case[member].as_str().unwrap())).unwrap();
    let (token, data) = (read("token"), read("data"));
    let roots = certificates(&read("roots")).unwrap();
    let imprint = Imprint { function: Sha2::Sha256, hash: sha256(&data).to_vec() };
    let check = TokenCheck {
        imprint: &imprint,
        request: None,
        roots: &roots,
        untrusted: &[],
        policies: None,
        now: Instant::MAX,
    };
    let found = verify_token(&token, &check).unwrap();
    let refused = verify(&token, &data, &roots, &[found.policy]);
    assert_eq!(refused, Err(TspError::SignatureAlgorithm));
}

#[test]
fn a_query_for_its_policy_is_a_query_like_any_other() {
    let second = Second::new();
    let query = |policy: &str| {
        let imprint = Imprint { function: Sha2::Sha512, hash: vec![3; 64] };
        let (nonce, wish) = (None, CertificateWish::Embedded);
        Query { imprint, policy: Some(policy.to_owned()), nonce, wish }.to_der().unwrap()
    };
    let answer = second.answer(&query(POLICY));
    verify_answer(&answer, &query(POLICY), &second.roots(), &policies()).unwrap();
    let refused = verify_answer(
        &second.answer(&query(OTHER_POLICY)),
        &query(OTHER_POLICY),
        &second.roots(),
        &policies(),
    );
    assert!(matches!(refused, Err(TspError::Refused { status: 2, .. })), "{refused:?}");
}
