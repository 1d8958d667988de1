//! Goal: the verifier refuses each broken rule by its own code, and accepts what RFC 3161 allows.
//!
//! Method: one good response, built by a second DER writer, then the same response with one thing wrong at a time.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod timestamp_support;

use timestamp_support::*;
use tpw_crypto::{sha256, sha512};
use tpw_proof::timestamp::{TspError, VerifiedTimestamp, info, verify};

fn judge(kit: &Kit, draft: &Draft) -> Result<VerifiedTimestamp, TspError> {
    verify(&draft.build(kit), DATA, &kit.roots(), &policies())
}

type Change = fn(&mut Draft, &Kit);
type CertificateChange = fn(&mut CertificateDraft);

fn with_leaf(draft: &mut Draft, kit: &Kit, change: CertificateChange) {
    let mut leaf = CertificateDraft::leaf();
    change(&mut leaf);
    let good = Draft::over(leaf.build(kit));
    (draft.leaf, draft.certificates, draft.ess_hash) =
        (good.leaf, good.certificates, good.ess_hash);
}

#[test]
fn what_the_rules_allow_is_accepted() {
    let kit = Kit::new();
    let cases: &[(&str, Change)] = &[
        ("plain", |_, _| {}),
        ("granted with modifications", |d, _| d.status = seq(&[int(1)])),
        ("whole seconds", |d, _| d.gen_time = tlv(0x18, b"20261122101500Z")),
        ("microseconds", |d, _| d.gen_time = tlv(0x18, b"20261122101500.120001Z")),
        ("no accuracy", |d, _| d.accuracy.clear()),
        ("accuracy of all parts", |d, _| {
            d.accuracy = seq(&[int(1), tlv(0x80, &[0x03, 0xe7]), tlv(0x81, &[1])]);
        }),
        ("ordering", |d, _| d.ordering = boolean(true)),
        ("nonce", |d, _| d.nonce = tlv(0x02, &[0x00, 0xff, 1, 2, 3])),
        ("negative nonce", |d, _| d.nonce = int(0xff)),
        ("serial 0", |d, _| d.serial = int(0)),
        ("160-bit serial", |d, _| d.serial = tlv(0x02, &[&[0][..], &[0xff; 20]].concat())),
        ("tsa name", |d, _| d.tsa = tlv(0xa0, &tlv(0xa4, &name("Test TSA")))),
        ("known not critical extension", |d, _| {
            let body = extension("1.3.6.1.4.1.32473.9", false, b"x");
            d.tst_extensions = tlv(0xa1, &body);
        }),
        ("signing time attribute", |d, _| {
            let time = tlv(0x17, b"261122101500Z");
            d.extra_attributes.push(seq(&[oid("1.2.840.113549.1.9.5"), set(&[time])]));
        }),
        ("issuer and serial in the signing certificate", |d, _| {
            d.ess_serial = Some(d.leaf_serial.clone());
        }),
        ("signing certificate by SHA-512", |d, _| {
            d.ess_algorithm = algorithm(SHA512);
            d.ess_hash = Some(sha512(&d.leaf).to_vec());
        }),
        ("SHA-512 imprint", |d, _| {
            d.imprint_algorithm = algorithm(SHA512);
            d.imprint = sha512(DATA).to_vec();
        }),
        ("NULL parameters of hashes", |d, _| {
            let null = seq(&[oid(SHA256), tlv(0x05, b"")]);
            d.imprint_algorithm = null.clone();
            d.digest_algorithms = vec![null.clone()];
            d.digest_algorithm = null;
        }),
        ("key usage for signatures", |d, k| {
            with_leaf(d, k, |c| c.extensions.push(key_usage(7, 0x80)));
        }),
        ("root embedded too", |d, k| d.certificates.push(k.root.clone())),
        ("expired later than its time", |d, k| {
            with_leaf(d, k, |c| c.not_after = "261122101500Z");
        }),
    ];
    for (case, change) in cases {
        let mut draft = Draft::new(&kit);
        change(&mut draft, &kit);
        let verified = judge(&kit, &draft).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(verified.gen_time.unix_ms() / 1000, now().unix_ms() / 1000, "{case}");
        assert_eq!(verified.policy, POLICY, "{case}");
        info(&draft.build(&kit)).unwrap();
    }
}

#[test]
fn broken_content_is_refused_by_its_code() {
    refuse_each(&[
        ("tsp_refused", |d, _| {
            d.with_token = false;
            d.status = seq(&[int(2), tlv(0x03, &[5, 0x20])]);
        }),
        ("tsp_token_with_refusal", |d, _| d.status = seq(&[int(2)])),
        ("tsp_granted_inconsistent", |d, _| d.with_token = false),
        ("tsp_granted_inconsistent", |d, _| d.status = seq(&[int(0), tlv(0x03, &[7, 0x80])])),
        ("tsp_content_type", |d, _| d.content_info_type = "1.2.840.113549.1.7.1"),
        ("tsp_content_type", |d, _| d.content_type = "1.2.840.113549.1.7.1"),
        ("tsp_version", |d, _| d.data_version = 1),
        ("tsp_version", |d, _| d.tst_version = 2),
        ("tsp_version", |d, _| d.signer_version = 3),
        ("tsp_policy", |d, _| d.policy = OTHER_POLICY),
        ("tsp_imprint", |d, _| d.imprint = sha256(b"other").to_vec()),
        ("tsp_imprint", |d, _| d.imprint = sha256(DATA)[..31].to_vec()),
        ("tsp_imprint_algorithm", |d, _| {
            d.imprint_algorithm = algorithm(SHA1);
            d.imprint = vec![7; 20];
        }),
        ("tsp_serial", |d, _| d.serial = int(0xd6)),
        ("tsp_serial", |d, _| d.serial = tlv(0x02, &[0x01; 21])),
        ("tsp_gen_time", |d, _| d.gen_time = tlv(0x18, b"20261122101500.120Z")),
        ("tsp_gen_time", |d, _| d.gen_time = tlv(0x18, b"20261122101500.Z")),
        ("tsp_gen_time", |d, _| d.gen_time = tlv(0x18, b"20261122101500")),
        ("tsp_gen_time", |d, _| d.gen_time = tlv(0x18, b"20261122101500+0100")),
        ("tsp_gen_time", |d, _| d.gen_time = tlv(0x17, b"261122101500Z")),
        ("tsp_accuracy", |d, _| d.accuracy = seq(&[int(1), tlv(0x80, &[0])])),
        ("tsp_accuracy", |d, _| d.accuracy = seq(&[tlv(0x80, &[0x03, 0xe8])])),
        ("tsp_accuracy", |d, _| d.accuracy = seq(&[])),
        ("tsp_token_extension", |d, _| {
            d.tst_extensions = tlv(0xa1, &extension("1.3.6.1.4.1.32473.9", true, b"x"));
        }),
        ("tsp_authority_name", |d, _| d.tsa = tlv(0xa0, &tlv(0xa4, &name("Somebody")))),
        ("tsp_not_canonical", |d, _| d.ordering = boolean(false)),
        ("tsp_malformed", |d, _| d.ordering = tlv(0x01, &[1])),
        ("tsp_malformed", |d, _| d.serial = tlv(0x02, &[0, 1])),
    ]);
}

#[test]
fn broken_signatures_are_refused_by_their_code() {
    refuse_each(&[
        ("tsp_signer_count", |d, _| d.signers = 2),
        ("tsp_signer_count", |d, _| d.signers = 0),
        ("tsp_certificate_missing", |d, _| d.certificates.clear()),
        ("tsp_certificate_missing", |d, k| d.certificates = vec![k.root.clone()]),
        ("tsp_certificate_missing", |d, _| d.leaf_serial = int(0x56)),
        ("tsp_too_many_certificates", |d, k| {
            d.certificates.extend((0..8).map(|serial| {
                CertificateDraft { serial: int(serial), ..CertificateDraft::leaf() }.build(k)
            }));
        }),
        ("tsp_attribute_missing", |d, _| d.ess_hash = None),
        ("tsp_attribute_missing", |d, _| d.attribute_type = None),
        ("tsp_attribute_missing", |d, _| d.attribute_digest = Some(Vec::new())),
        ("tsp_attribute_repeated", |d, _| {
            let value = octets(&sha256(b"second"));
            d.extra_attributes.push(seq(&[oid("1.2.840.113549.1.9.4"), set(&[value])]));
        }),
        ("tsp_attribute_repeated", |d, _| {
            let time = |text: &[u8]| seq(&[oid("1.2.840.113549.1.9.5"), set(&[tlv(0x17, text)])]);
            d.extra_attributes = vec![time(b"261122101500Z"), time(b"261122101501Z")];
        }),
        ("tsp_content_type_attribute", |d, _| d.attribute_type = Some("1.2.840.113549.1.7.1")),
        ("tsp_message_digest", |d, _| d.attribute_digest = Some(sha256(b"other").to_vec())),
        ("tsp_signing_certificate", |d, _| d.ess_hash = Some(vec![0; 32])),
        ("tsp_signing_certificate", |d, k| d.ess_hash = Some(sha256(&k.root).to_vec())),
        ("tsp_signing_certificate", |d, _| d.ess_serial = Some(int(0x56))),
        ("tsp_not_canonical", |d, _| d.ess_algorithm = algorithm(SHA256)),
        ("tsp_digest_algorithm", |d, _| d.ess_algorithm = algorithm(SHA1)),
        ("tsp_digest_algorithm", |d, _| d.digest_algorithm = algorithm(SHA1)),
        ("tsp_digest_algorithm", |d, _| d.digest_algorithms.push(algorithm(SHA512))),
        ("tsp_digest_algorithm", |d, _| d.digest_algorithms.clear()),
        ("tsp_signature_algorithm", |d, _| {
            d.signature_algorithm = algorithm("1.2.840.10045.4.3.3");
        }),
        ("tsp_signature_algorithm", |d, _| {
            d.signature_algorithm = seq(&[oid(ECDSA_SHA256), tlv(0x05, b"")]);
        }),
        ("tsp_bad_signature", |d, _| d.signing_slot = "other"),
    ]);
}

#[test]
fn broken_certificates_are_refused_by_their_code() {
    refuse_each(&[
        ("tsp_usage_missing", |d, k| with_leaf(d, k, |c| c.extensions = vec![key_usage(7, 0x80)])),
        ("tsp_usage_not_critical", |d, k| {
            with_leaf(d, k, |c| c.extensions = vec![eku(false, &[TIME_STAMPING])]);
        }),
        ("tsp_usage_wrong", |d, k| {
            with_leaf(d, k, |c| c.extensions = vec![eku(true, &[TIME_STAMPING, CODE_SIGNING])]);
        }),
        ("tsp_usage_wrong", |d, k| {
            with_leaf(d, k, |c| c.extensions = vec![eku(true, &["1.3.6.1.5.5.7.3.1"])]);
        }),
        ("tsp_leaf_is_authority", |d, k| {
            with_leaf(d, k, |c| c.extensions.push(basic_constraints(true)));
        }),
        ("tsp_key_usage", |d, k| with_leaf(d, k, |c| c.extensions.push(key_usage(5, 0x20)))),
        ("tsp_key_usage", |d, k| with_leaf(d, k, |c| c.extensions.push(key_usage(2, 0x84)))),
        ("tsp_outside_validity", |d, k| with_leaf(d, k, |c| c.not_after = "261122101459Z")),
        ("tsp_outside_validity", |d, k| with_leaf(d, k, |c| c.not_before = "261122101501Z")),
        ("tsp_critical_extension", |d, k| {
            with_leaf(d, k, |c| c.extensions.push(extension("2.5.29.54", true, &int(0))));
        }),
        ("tsp_critical_extension", |d, k| {
            with_leaf(d, k, |c| c.extensions.push(eku(true, &[TIME_STAMPING])));
        }),
        ("tsp_certificate_signature", |d, k| with_leaf(d, k, |c| c.issuer_slot = "other")),
        ("tsp_untrusted_chain", |d, k| {
            with_leaf(d, k, |c| c.issuer_name = "Another Root".to_owned());
            d.leaf_issuer = "Another Root".to_owned();
        }),
    ]);
}

fn refuse_each(cases: &[(&str, Change)]) {
    let kit = Kit::new();
    for (index, (code, change)) in cases.iter().enumerate() {
        let mut draft = Draft::new(&kit);
        judge(&kit, &draft).unwrap();
        change(&mut draft, &kit);
        let refused = judge(&kit, &draft).expect_err("a broken token was accepted");
        assert_eq!(refused.code(), *code, "case {index}: {refused}");
    }
}

#[test]
fn trust_is_needed_in_root_and_policy() {
    let kit = Kit::new();
    let response = Draft::new(&kit).build(&kit);
    let code = |roots: &[Vec<u8>], policies: &[String]| {
        verify(&response, DATA, roots, policies).unwrap_err().code()
    };
    assert_eq!(code(&[], &policies()), "tsp_untrusted_chain");
    // A trusted leaf is no root: trust is in issuers.
    assert_eq!(code(&[Draft::new(&kit).leaf], &policies()), "tsp_untrusted_chain");
    assert_eq!(code(&kit.roots(), &[]), "tsp_policy");
    assert_eq!(code(&[b"no certificate".to_vec()], &policies()), "tsp_malformed");
    assert_eq!(verify(&response, b"other data", &kit.roots(), &policies()), Err(TspError::Imprint));
    let long = vec![0x30; 64 * 1024 + 1];
    let refused = verify(&long, DATA, &kit.roots(), &policies()).unwrap_err();
    assert_eq!(refused.code(), "tsp_too_long");
}

/// Issuers `middle-1`.. under a hand-made root, and a leaf under the last.
fn chain(kit: &Kit, length: usize, change: CertificateChange) -> (Draft, Vec<Vec<u8>>) {
    const NAMES: [&str; 4] = ["middle-1", "middle-2", "middle-3", "middle-4"];
    let root = CertificateDraft::authority(("root", "root"), "root").build(kit);
    let mut issuer = "root";
    let mut middles = Vec::new();
    for middle in NAMES.iter().take(length) {
        let mut draft = CertificateDraft::authority((issuer, issuer), middle);
        change(&mut draft);
        middles.push(draft.build(kit));
        issuer = middle;
    }
    let leaf = CertificateDraft {
        issuer_slot: issuer,
        issuer_name: issuer.to_owned(),
        ..CertificateDraft::leaf()
    };
    let mut draft = Draft::over(leaf.build(kit));
    draft.leaf_issuer = issuer.to_owned();
    draft.certificates.extend(middles);
    (draft, vec![root])
}

#[test]
fn chains_of_up_to_three_intermediates() {
    let kit = Kit::new();
    let judge = |(draft, roots): (Draft, Vec<Vec<u8>>)| {
        verify(&draft.build(&kit), DATA, &roots, &policies()).map_err(|error| error.code())
    };
    for length in 0..=3 {
        judge(chain(&kit, length, |_| {})).unwrap_or_else(|code| panic!("{length}: {code}"));
    }
    assert_eq!(judge(chain(&kit, 4, |_| {})), Err("tsp_untrusted_chain"));
    let broken: &[(&str, CertificateChange)] = &[
        ("tsp_issuer_not_authority", |c| c.extensions = vec![basic_constraints(false)]),
        ("tsp_issuer_not_authority", |c| c.extensions = Vec::from([key_usage(1, 0x06)])),
        ("tsp_key_usage", |c| c.extensions = vec![basic_constraints(true), key_usage(7, 0x80)]),
        ("tsp_usage_wrong", |c| c.extensions.push(eku(false, &[CODE_SIGNING]))),
        ("tsp_outside_validity", |c| c.not_after = "261122101459Z"),
        ("tsp_critical_extension", |c| c.extensions.push(extension("2.5.29.30", true, &seq(&[])))),
        ("tsp_certificate_signature", |c| c.issuer_slot = "other"),
    ];
    for (index, (code, change)) in broken.iter().enumerate() {
        assert_eq!(judge(chain(&kit, 1, *change)), Err(*code), "case {index}");
    }
    // The kit's own root has path length 0: no intermediate may stand between.
    let middle = CertificateDraft::authority(("root", "Test Root"), "middle-1").build(&kit);
    let leaf = CertificateDraft {
        issuer_slot: "middle-1",
        issuer_name: "middle-1".to_owned(),
        ..CertificateDraft::leaf()
    };
    let mut draft = Draft::over(leaf.build(&kit));
    draft.leaf_issuer = "middle-1".to_owned();
    draft.certificates.push(middle);
    assert_eq!(judge((draft, kit.roots())), Err("tsp_issuer_not_authority"));
}
