//! Time-stamps under a root of another trust file, over certificates in between that are right or wrong.

use crate::maker::{Maker, Plan};
use crate::timestamp_support::{
    CODE_SIGNING, CertificateDraft, Draft, TIME_STAMPING, basic_constraints, boolean, eku,
    extension, int, key_usage, seq,
};
use crate::{Case, refused};
use tpw_core::Receipt;
use tpw_crypto::sha256;
use tpw_proof::Trust;

/// The names of the keys from the root down.
const SLOTS: [&str; 5] = ["other", "middle-1", "middle-2", "middle-3", "middle-4"];

type Certifying = fn(&mut CertificateDraft);

struct Chain {
    name: &'static str,
    valid: bool,
    /// Certificates between root and leaf.
    between: usize,
    /// Changes the lowest of them.
    change: Certifying,
}

const fn broken(name: &'static str, change: Certifying) -> Chain {
    Chain { name, valid: false, between: 1, change }
}

const CHAINS: &[Chain] = &[
    Chain { name: "chain-of-one", valid: true, between: 1, change: |_| {} },
    Chain { name: "chain-of-three", valid: true, between: 3, change: |_| {} },
    Chain {
        name: "chain-limited-to-time-stamps",
        valid: true,
        between: 1,
        change: |c| c.extensions.push(eku(true, &[TIME_STAMPING])),
    },
    Chain { name: "chain-of-four", valid: false, between: 4, change: |_| {} },
    broken("chain-not-an-authority", |c| c.extensions[0] = basic_constraints(false)),
    broken("chain-without-constraints", |c| drop(c.extensions.remove(0))),
    broken("chain-may-not-sign-certificates", |c| c.extensions[1] = key_usage(7, 0x80)),
    broken("chain-limited-to-code", |c| c.extensions.push(eku(true, &[CODE_SIGNING]))),
    broken("chain-expired", |c| c.not_after = "261122101459Z"),
    broken("chain-signed-by-another", |c| c.issuer_slot = "root"),
    broken("chain-of-another-issuer-name", |c| c.issuer_name = "another".to_owned()),
    broken("chain-of-another-subject-name", |c| c.subject_name = "another".to_owned()),
    broken("chain-critical-extension", |c| {
        c.extensions.push(extension("2.5.29.54", true, &int(0)));
    }),
    Chain {
        name: "chain-longer-than-allowed",
        valid: false,
        between: 2,
        // Not the lowest but each: the upper one then has one below it that it may not have.
        change: |c| {
            let none_below = seq(&[boolean(true), int(0)]);
            c.extensions[0] = extension("2.5.29.19", true, &none_below);
        },
    },
];

pub(crate) fn cases(maker: &Maker) -> Vec<(Case, Trust)> {
    let root = CertificateDraft::authority(("other", "other"), "other").build(&maker.kit);
    let trust = Trust { tsa_roots: vec![root], ..maker.trust.clone() };
    let one = |chain: &Chain| {
        let case = refused(chain.name, "timestamp", receipt(maker, chain).to_bytes());
        let layer = case.layer.filter(|_| !chain.valid);
        (Case { valid: chain.valid, layer, trust: "trust-chain.json", ..case }, trust.clone())
    };
    CHAINS.iter().map(one).collect()
}

fn receipt(maker: &Maker, chain: &Chain) -> Receipt {
    let kit = &maker.kit;
    let mut between = Vec::new();
    for pair in SLOTS.windows(2).take(chain.between) {
        let mut draft = CertificateDraft::authority((pair[0], pair[0]), pair[1]);
        if between.len() + 1 == chain.between || chain.name == "chain-longer-than-allowed" {
            (chain.change)(&mut draft);
        }
        between.push(draft.build(kit));
    }
    let issuer = SLOTS[chain.between];
    let leaf = CertificateDraft {
        issuer_slot: issuer,
        issuer_name: issuer.to_owned(),
        ..CertificateDraft::leaf()
    };
    let mut draft = Draft::over(leaf.build(kit));
    draft.leaf_issuer = issuer.to_owned();
    let mut receipt = maker.receipt(&Plan::new(maker, "device"));
    let (_, note) = receipt.tlog_proof.split_once("\n\n").unwrap();
    draft.imprint = sha256(note.as_bytes()).to_vec();
    draft.certificates.extend(between);
    receipt.timestamps = vec![draft.build(kit)];
    receipt
}
