//! Receipts with time-stamps of several authorities: the operator's own, one of somebody else, and one of ML-DSA-65.

use crate::maker::{Maker, Plan, at};
use crate::timestamp_support::{CertificateDraft, Draft, ML_DSA_65, algorithm, slot, tlv};
use crate::{Case, refused};
use tpw_core::Instant;
use tpw_crypto::sha256;
use tpw_proof::Trust;
use tpw_proof::timestamp::{
    Authority, CertificateSpec, ClockState, leaf_certificate, root_certificate, serial,
};

const TRUST: &str = "trust-authorities.json";
const THEIRS: &str = "1.3.6.1.4.1.32473.9.1";
const LATTICE: &str = "1.3.6.1.4.1.32473.9.2";
const STRANGERS: &str = "1.3.6.1.4.1.32473.9.3";

/// An authority with a root of its own.
struct Another {
    root: Vec<u8>,
    authority: Authority,
}

impl Another {
    fn new(maker: &Maker, root_slot: &str, leaf_slot: &str, policy: &str) -> Self {
        let slots = &maker.kit.slots;
        let (root_slot, leaf_slot) = (slot(root_slot), slot(leaf_slot));
        let spec = |common_name, number| CertificateSpec {
            common_name,
            not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
            not_after: "2046-01-01T00:00:00Z".parse().unwrap(),
            serial: serial(number, [4; 11]),
        };
        let name = format!("Root of {policy}");
        let root = root_certificate(slots, &root_slot, &spec(&name, 1)).unwrap();
        let key = maker.key(leaf_slot.as_str());
        let leaf = leaf_certificate(slots, &root_slot, &root, &key, &spec("Another TSA", 2));
        let authority = Authority::new(leaf_slot, &leaf.unwrap(), policy, 1500).unwrap();
        Self { root, authority }
    }

    fn stamp(&self, maker: &Maker, data: &[u8], at: Instant) -> Vec<u8> {
        let clock = ClockState::Good { error_ms: 20 };
        self.authority.stamp(&maker.kit.slots, data, at, clock, serial(9, [5; 11])).unwrap()
    }
}

pub(crate) fn cases(maker: &Maker) -> Vec<(Case, Trust)> {
    let theirs = Another::new(maker, "other", "middle-1", THEIRS);
    let lattice = Another::new(maker, "pq-root", "pq-leaf", LATTICE);
    let stranger = Another::new(maker, "middle-2", "middle-3", THEIRS);
    let misnamed = Another::new(maker, "other", "middle-1", STRANGERS);
    let trust = Trust {
        tsa_roots: vec![maker.kit.root.clone(), theirs.root.clone(), lattice.root.clone()],
        tsa_policies: [maker.trust.tsa_policies[0].as_str(), THEIRS, LATTICE]
            .map(str::to_owned)
            .to_vec(),
        ..maker.trust.clone()
    };
    let own = |data: &[u8]| maker.token(data, |_| {});
    let stamped = |another: &Another, data: &[u8]| another.stamp(maker, data, at(950));
    let receipt = |booked: u64, tokens: &dyn Fn(&[u8]) -> Vec<Vec<u8>>| {
        let mut plan = Plan::new(maker, "device");
        plan.record.booked = at(booked);
        let mut receipt = maker.receipt(&plan);
        let (_, note) = receipt.tlog_proof.split_once("\n\n").unwrap();
        receipt.timestamps = tokens(note.as_bytes());
        receipt.trust_hint = *trust.hash().as_bytes();
        receipt.to_bytes()
    };
    let good = |name, tokens: &dyn Fn(&[u8]) -> Vec<Vec<u8>>| Case {
        name,
        bytes: receipt(30, tokens),
        valid: true,
        layer: None,
        trust: TRUST,
    };
    let bad = |name, tokens: &dyn Fn(&[u8]) -> Vec<Vec<u8>>| Case {
        trust: TRUST,
        ..refused(name, "timestamp", receipt(30, tokens))
    };
    let three = |data: &[u8]| vec![own(data), stamped(&theirs, data), stamped(&lattice, data)];
    let mut cases = vec![
        good("authorities-three", &three),
        good("authorities-ml-dsa-65-alone", &|data| vec![stamped(&lattice, data)]),
        bad("authorities-second-over-other-data", &|data| {
            vec![own(data), stamped(&theirs, b"another checkpoint")]
        }),
        bad("authorities-second-of-another-policy", &|data| {
            vec![own(data), stamped(&misnamed, data)]
        }),
        bad("authorities-second-under-another-root", &|data| {
            vec![own(data), stamped(&stranger, data)]
        }),
        bad("authorities-ml-dsa-65-flipped", &|data| {
            let mut token = stamped(&lattice, data);
            *token.last_mut().unwrap() ^= 1;
            vec![own(data), token]
        }),
    ];
    let early = |data: &[u8]| {
        let token = maker.token(data, |d| d.gen_time = tlv(0x18, b"20261122101506Z"));
        vec![token, theirs.stamp(maker, data, at(900))]
    };
    let early = refused("authorities-second-too-early", "timestamp", receipt(5_901, &early));
    cases.push(Case { trust: TRUST, ..early });
    for (name, draft) in mixtures(maker) {
        cases.push(bad(name, &|data| vec![own(data), draft(data)]));
    }
    let mut cases: Vec<_> = cases.into_iter().map(|case| (case, trust.clone())).collect();
    // By the trust file of all, of which the others are no part.
    let unknown = refused("authorities-second-unknown", "timestamp", receipt(30, &three));
    cases.push((unknown, maker.trust.clone()));
    cases
}

type Drafting<'m> = Box<dyn Fn(&[u8]) -> Vec<u8> + 'm>;

/// Tokens of ML-DSA-65 with one weaker link, signed over it.
fn mixtures(maker: &Maker) -> Vec<(&'static str, Drafting<'_>)> {
    let leaf = |subject, issuer: (&'static str, &str)| {
        let draft = CertificateDraft {
            issuer_slot: issuer.0,
            issuer_name: issuer.1.to_owned(),
            subject_slot: subject,
            ..CertificateDraft::leaf()
        };
        draft.build(&maker.kit)
    };
    let lattice_root = format!("Root of {LATTICE}");
    let over = move |leaf: Vec<u8>, issuer: &str, data: &[u8]| {
        let mut draft = Draft::over(leaf);
        draft.leaf_issuer = issuer.to_owned();
        draft.imprint = sha256(data).to_vec();
        draft.policy = LATTICE;
        draft.gen_time = tlv(0x18, b"20261122101500.9Z");
        draft
    };
    let (one, other) = (lattice_root.clone(), lattice_root);
    vec![
        (
            "authorities-ml-dsa-65-under-a-root-of-p-256",
            Box::new(move |data: &[u8]| {
                let leaf = leaf("pq-leaf", ("root", "Test Root"));
                over(leaf, "Test Root", data).with_ml_dsa_65("pq-leaf").build(&maker.kit)
            }),
        ),
        (
            "authorities-p-256-under-a-root-of-ml-dsa-65",
            Box::new(move |data: &[u8]| {
                over(leaf("leaf", ("pq-root", &one)), &one, data).build(&maker.kit)
            }),
        ),
        (
            "authorities-ml-dsa-65-with-sha-256",
            Box::new(move |data: &[u8]| {
                let mut draft = over(leaf("pq-leaf", ("pq-root", &other)), &other, data);
                draft.signing_slot = "pq-leaf";
                draft.signature_algorithm = algorithm(ML_DSA_65);
                draft.build(&maker.kit)
            }),
        ),
    ]
}
