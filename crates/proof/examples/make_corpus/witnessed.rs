//! Receipts whose checkpoint witnesses have cosigned, under trust files that name a witness policy.

use crate::maker::{Maker, Plan};
use crate::{Case, refused};
use tpw_core::TreeHead;
use tpw_crypto::{Algorithm, FixedEntropy, Signer as _, SlotName, SoftwareSlots};
use tpw_proof::note::NoteSignature;
use tpw_proof::{Checkpoint, KeyName, Policy, TlogProof, Trust, VerifierKey};

struct Witnesses {
    slots: SoftwareSlots,
    keys: Vec<VerifierKey>,
}

const NAMES: [(&str, Algorithm); 4] = [
    ("w1-ed25519", Algorithm::Ed25519),
    ("w2-ml-dsa-44", Algorithm::MlDsa44),
    ("w3-ed25519", Algorithm::Ed25519),
    ("stranger", Algorithm::Ed25519),
];

impl Witnesses {
    fn new() -> Self {
        let (mut slots, mut keys) = (SoftwareSlots::new(), Vec::new());
        let entropy = &mut FixedEntropy::new(43);
        for (name, algorithm) in NAMES {
            let slot = SlotName::new(name).unwrap();
            slots.generate(slot.clone(), algorithm, entropy).unwrap();
            // The stranger calls itself like the first.
            let owner = if name == "stranger" { NAMES[0].0 } else { name };
            let owner = KeyName::new(&format!("{owner}.example")).unwrap();
            keys.push(VerifierKey::cosigner(owner, slots.public_key(&slot).unwrap()).unwrap());
        }
        Self { slots, keys }
    }

    fn line(&self, checkpoint: &Checkpoint, number: usize) -> NoteSignature {
        let slot = SlotName::new(NAMES[number].0).unwrap();
        checkpoint.cosign(&self.keys[number], 1_795_342_501, &self.slots, &slot).unwrap()
    }
}

pub(crate) fn cases(maker: &Maker) -> Vec<(Case, Trust)> {
    let witnesses = Witnesses::new();
    let receipt = |edit: &dyn Fn(&mut Vec<NoteSignature>, &Checkpoint)| {
        let mut receipt = maker.receipt(&Plan::new(maker, "device"));
        let proof = TlogProof::parse(&receipt.tlog_proof).unwrap();
        let mut lines = Vec::new();
        edit(&mut lines, proof.checkpoint.checkpoint());
        let checkpoint = proof.checkpoint.with_lines(&lines).unwrap();
        receipt.tlog_proof = TlogProof { checkpoint, ..proof }.to_string();
        receipt.to_bytes()
    };
    let by = |numbers: &'static [usize]| {
        receipt(&|lines, checkpoint| {
            lines.extend(numbers.iter().map(|number| witnesses.line(checkpoint, *number)));
        })
    };
    let under = |case: Case, file, quorum: &str, log: &VerifierKey| {
        let policy = Policy::parse(text(&witnesses, quorum, log).as_bytes()).unwrap();
        (
            Case { trust: file, ..case },
            Trust { witness_policy: Some(policy), ..maker.trust.clone() },
        )
    };
    let log = &maker.trust.log_keys[0];
    let group = |case| under(case, "trust-witness.json", "two-or-w3", log);
    let good = |name, bytes| group(Case { name, bytes, valid: true, layer: None, trust: "" });
    let bad = |name, bytes| group(refused(name, "witness", bytes));
    let other = VerifierKey::new(maker.trust.origin.clone(), maker.key("other-ed25519")).unwrap();
    let plain = || refused("witness-policy-of-another-log", "witness", by(&[0, 1]));
    let none =
        Case { name: "witness-none-asked", bytes: by(&[]), valid: true, layer: None, trust: "" };
    vec![
        good("witnessed-by-a-group", by(&[0, 1])),
        good("witnessed-by-one-of-another-kind", by(&[2])),
        good("witnessed-by-all", by(&[0, 1, 2])),
        good("witnessed-and-by-a-stranger", by(&[2, 3])),
        bad("witness-absent", by(&[])),
        bad("witness-quorum-not-met", by(&[0])),
        bad("witness-stranger-of-a-known-name", by(&[3])),
        bad(
            "witness-false-beside-a-quorum",
            receipt(&|lines, checkpoint| {
                lines.extend([0, 1, 2].map(|number| witnesses.line(checkpoint, number)));
                lines[0].signature[20] ^= 1;
            }),
        ),
        bad(
            "witness-of-another-tree",
            receipt(&|lines, checkpoint| {
                let head = TreeHead { size: checkpoint.head.size + 1, ..checkpoint.head };
                let other = Checkpoint { head, ..checkpoint.clone() };
                lines.push(witnesses.line(&other, 2));
            }),
        ),
        bad(
            "witness-at-another-time",
            receipt(&|lines, checkpoint| {
                lines.push(witnesses.line(checkpoint, 2));
                lines[0].signature[7] ^= 1;
            }),
        ),
        bad(
            "witness-time-beyond-63-bits",
            receipt(&|lines, checkpoint| {
                lines.extend([0, 1].map(|number| witnesses.line(checkpoint, number)));
                lines[1].signature[0] |= 0x80;
            }),
        ),
        under(plain(), "trust-witness-log.json", "two-or-w3", &other),
        under(none, "trust-witness-none.json", "none", log),
    ]
}

fn text(witnesses: &Witnesses, quorum: &str, log: &VerifierKey) -> String {
    let [a, b, c, _stranger] = &witnesses.keys[..] else { panic!("four keys") };
    format!(
        "# of the corpus\nlog {log}\nwitness w1 {a} https://w1.example\nwitness w2 {b}\nwitness w3 {c}\n\
         group two all w1 w2\ngroup two-or-w3 1 two w3\nquorum {quorum}\n"
    )
}
