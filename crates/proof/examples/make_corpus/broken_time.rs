//! What is wrong with a time-stamp: each token is signed again over its fault. Also anchors, which this version cannot
//! judge, and a receipt without any time.

use crate::maker::{Maker, Plan, at};
use crate::timestamp_support::{
    CODE_SIGNING, CertificateDraft, Draft, ECDSA_SHA256, OTHER_POLICY, SHA1, SHA512, TIME_STAMPING,
    algorithm, basic_constraints, boolean, eku, extension, int, key_usage, name, octets, oid, seq,
    set, tlv,
};
use crate::{Case, Change, changed, refused};
use tpw_core::Receipt;
use tpw_crypto::sha256;

pub(crate) fn cases(maker: &Maker) -> Vec<Case> {
    let mut cases = changed(maker, "device", "timestamp", WHOLE);
    for (name, change) in DRAFTS {
        cases.push(drafted(maker, name, |maker, data| maker.token(data, change)));
    }
    for (name, change) in CERTIFICATES {
        cases.push(drafted(maker, name, |maker, data| under(maker, data, *change)));
    }
    let good = maker.receipt(&Plan::new(maker, "device"));
    let edited = |change: fn(&mut Receipt)| {
        let mut receipt = good.clone();
        change(&mut receipt);
        receipt.to_bytes()
    };
    cases.push(refused("anchor-unknown", "anchor", edited(|r| r.anchors.push(vec![1]))));
    // Nothing fails, and yet no time is proved.
    let timeless = refused("time-absent", "timestamp", edited(|r| r.timestamps.clear()));
    cases.push(Case { layer: None, ..timeless });
    cases
}

fn drafted(maker: &Maker, name: &'static str, token: impl Fn(&Maker, &[u8]) -> Vec<u8>) -> Case {
    let mut receipt = maker.receipt(&Plan::new(maker, "device"));
    let (_, note) = receipt.tlog_proof.split_once("\n\n").unwrap();
    receipt.timestamps = vec![token(maker, note.as_bytes())];
    refused(name, "timestamp", receipt.to_bytes())
}

/// A token under a certificate with one fault.
fn under(maker: &Maker, data: &[u8], change: fn(&mut CertificateDraft)) -> Vec<u8> {
    let mut leaf = CertificateDraft::leaf();
    change(&mut leaf);
    let mut draft = Draft::over(leaf.build(&maker.kit));
    draft.imprint = sha256(data).to_vec();
    draft.build(&maker.kit)
}

const WHOLE: &[(&str, Change)] = &[
    ("time-over-other-data", |plan, _| {
        plan.tokens = |maker, _| vec![maker.token(b"another checkpoint", |_| {})];
    }),
    ("time-before-the-booking", |plan, _| plan.record.booked = at(5_901)),
    ("time-second-token-bad", |plan, _| {
        plan.tokens = |maker, data| vec![maker.token(data, |_| {}), maker.token(b"other", |_| {})];
    }),
    ("time-trailing-byte", |plan, _| {
        plan.tokens = |maker, data| vec![[&maker.token(data, |_| {})[..], &[0]].concat()];
    }),
    ("time-long-length", |plan, _| {
        plan.tokens = |maker, data| {
            let good = maker.token(data, |_| {});
            vec![[&[0x30, 0x83, 0], &good[2..]].concat()]
        };
    }),
    ("time-indefinite-length", |plan, _| {
        plan.tokens = |maker, data| {
            let good = maker.token(data, |_| {});
            vec![[&[0x30, 0x80], &good[4..], &[0, 0]].concat()]
        };
    }),
    ("time-token-without-response", |plan, _| {
        plan.tokens = |maker, data| {
            let good = maker.token(data, |_| {});
            // The response is a header of four bytes, a status of five, and the token.
            vec![good[9..].to_vec()]
        };
    }),
    ("time-empty", |plan, _| plan.tokens = |_, _| vec![Vec::new()]),
    ("time-above-64-kib", |plan, _| plan.tokens = |_, _| vec![vec![0x30; 65_537]]),
];

type Drafting = fn(&mut Draft);

const DRAFTS: &[(&str, Drafting)] = &[
    ("time-refused", |d| {
        d.with_token = false;
        d.status = seq(&[int(2), tlv(0x03, &[5, 0x20])]);
    }),
    ("time-refused-with-token", |d| d.status = seq(&[int(2)])),
    ("time-granted-without-token", |d| d.with_token = false),
    ("time-granted-with-failure", |d| d.status = seq(&[int(0), tlv(0x03, &[7, 0x80])])),
    ("time-no-signed-data", |d| d.content_info_type = "1.2.840.113549.1.7.1"),
    ("time-no-time-stamp-content", |d| d.content_type = "1.2.840.113549.1.7.1"),
    ("time-signed-data-version-1", |d| d.data_version = 1),
    ("time-content-version-2", |d| d.tst_version = 2),
    ("time-signer-version-3", |d| d.signer_version = 3),
    ("time-policy-unknown", |d| d.policy = OTHER_POLICY),
    ("time-imprint-of-31-bytes", |d| {
        d.imprint.pop();
    }),
    ("time-imprint-sha1", |d| {
        (d.imprint_algorithm, d.imprint) = (algorithm(SHA1), vec![7; 20]);
    }),
    ("time-serial-negative", |d| d.serial = int(0xd6)),
    ("time-serial-of-161-bits", |d| d.serial = tlv(0x02, &[1; 21])),
    ("time-serial-with-zero-in-front", |d| d.serial = tlv(0x02, &[0, 1])),
    ("time-fraction-ends-in-zero", |d| d.gen_time = tlv(0x18, b"20261122101500.90Z")),
    ("time-fraction-empty", |d| d.gen_time = tlv(0x18, b"20261122101500.Z")),
    ("time-without-zone", |d| d.gen_time = tlv(0x18, b"20261122101500")),
    ("time-in-another-zone", |d| d.gen_time = tlv(0x18, b"20261122111500+0100")),
    ("time-without-seconds", |d| d.gen_time = tlv(0x18, b"202611221015Z")),
    ("time-second-60", |d| d.gen_time = tlv(0x18, b"20261122101560Z")),
    ("time-30-february", |d| d.gen_time = tlv(0x18, b"20270230101500Z")),
    ("time-as-utc-time", |d| d.gen_time = tlv(0x17, b"261122101500Z")),
    ("time-accuracy-millis-0", |d| d.accuracy = seq(&[int(1), tlv(0x80, &[0])])),
    ("time-accuracy-millis-1000", |d| d.accuracy = seq(&[tlv(0x80, &[0x03, 0xe8])])),
    ("time-accuracy-empty", |d| d.accuracy = seq(&[])),
    ("time-ordering-false-written", |d| d.ordering = boolean(false)),
    ("time-ordering-true-as-1", |d| d.ordering = tlv(0x01, &[1])),
    ("time-critical-extension", |d| {
        d.tst_extensions = tlv(0xa1, &extension("1.3.6.1.4.1.32473.9", true, b"x"));
    }),
    ("time-names-another-authority", |d| d.tsa = tlv(0xa0, &tlv(0xa4, &name("Somebody")))),
    ("time-two-signers", |d| d.signers = 2),
    ("time-no-signer", |d| d.signers = 0),
    ("time-no-certificate", |d| d.certificates.clear()),
    ("time-certificate-of-another-form", |d| d.certificates.push(tlv(0xa1, &int(1)))),
    ("time-nine-certificates", |d| d.certificates.extend(vec![seq(&[]); 8])),
    ("time-signer-with-another-serial", |d| d.leaf_serial = int(0x56)),
    ("time-without-certificate-attribute", |d| d.ess_hash = None),
    ("time-without-content-type", |d| d.attribute_type = None),
    ("time-without-message-digest", |d| d.attribute_digest = Some(Vec::new())),
    ("time-content-type-of-data", |d| d.attribute_type = Some("1.2.840.113549.1.7.1")),
    ("time-message-digest-of-other", |d| d.attribute_digest = Some(sha256(b"other").to_vec())),
    ("time-attribute-twice", |d| {
        let time = |text: &[u8]| seq(&[oid("1.2.840.113549.1.9.5"), set(&[tlv(0x17, text)])]);
        d.extra_attributes = vec![time(b"261122101500Z"), time(b"261122101501Z")];
    }),
    ("time-attribute-of-two-values", |d| {
        let values = set(&[tlv(0x17, b"261122101500Z"), tlv(0x17, b"261122101501Z")]);
        d.extra_attributes = vec![seq(&[oid("1.2.840.113549.1.9.5"), values])];
    }),
    ("time-certificate-attribute-of-another", |d| d.ess_hash = Some(vec![0; 32])),
    ("time-certificate-attribute-serial", |d| d.ess_serial = Some(int(0x56))),
    ("time-certificate-attribute-default-written", |d| {
        d.ess_algorithm = algorithm(crate::timestamp_support::SHA256);
    }),
    ("time-certificate-attribute-sha1", |d| d.ess_algorithm = algorithm(SHA1)),
    ("time-digest-sha1", |d| d.digest_algorithm = algorithm(SHA1)),
    ("time-digest-list-of-two", |d| d.digest_algorithms.push(algorithm(SHA512))),
    ("time-digest-list-empty", |d| d.digest_algorithms.clear()),
    ("time-signature-algorithm-sha384", |d| {
        d.signature_algorithm = algorithm("1.2.840.10045.4.3.3");
    }),
    ("time-signature-algorithm-with-null", |d| {
        d.signature_algorithm = seq(&[oid(ECDSA_SHA256), tlv(0x05, b"")]);
    }),
    ("time-signed-by-another-key", |d| d.signing_slot = "other"),
    ("time-nonce-not-shortest", |d| d.nonce = tlv(0x02, &[0, 1])),
    ("time-imprint-algorithm-with-parameters", |d| {
        d.imprint_algorithm = seq(&[oid(crate::timestamp_support::SHA256), octets(b"x")]);
    }),
];

type Certifying = fn(&mut CertificateDraft);

const CERTIFICATES: &[(&str, Certifying)] = &[
    ("time-certificate-expired", |c| c.not_after = "261122101459Z"),
    ("time-certificate-not-yet-valid", |c| c.not_before = "261122101501Z"),
    ("time-certificate-without-usage", |c| c.extensions = vec![key_usage(7, 0x80)]),
    ("time-certificate-usage-not-critical", |c| {
        c.extensions = vec![eku(false, &[TIME_STAMPING])];
    }),
    ("time-certificate-usage-with-more", |c| {
        c.extensions = vec![eku(true, &[TIME_STAMPING, CODE_SIGNING])];
    }),
    ("time-certificate-for-code", |c| c.extensions = vec![eku(true, &[CODE_SIGNING])]),
    ("time-certificate-of-an-issuer", |c| c.extensions.push(basic_constraints(true))),
    ("time-certificate-key-usage", |c| c.extensions.push(key_usage(5, 0x20))),
    ("time-certificate-may-sign-certificates", |c| c.extensions.push(key_usage(2, 0x84))),
    ("time-certificate-critical-extension", |c| {
        c.extensions.push(extension("2.5.29.54", true, &int(0)));
    }),
    ("time-certificate-signed-by-another", |c| c.issuer_slot = "other"),
];
