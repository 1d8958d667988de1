//! The desk's outcomes make receipts that a stranger accepts: `tpw_proof::judge` over an in-memory log.

use super::support::*;
use tpw_core::{Hash32, Record, RecordKind, TreeHead};
use tpw_crypto::{Algorithm, FixedEntropy, Signer, SoftwareSlots};
use tpw_flow::{Command, Entry, Payment, Status};
use tpw_proof::bundle::{Parts, assemble};
use tpw_proof::tile::{self, TileReader};
use tpw_proof::timestamp::{
    Authority, CertificateSpec, ClockState, leaf_certificate, root_certificate, serial,
};
use tpw_proof::tree::root_of;
use tpw_proof::{
    Checkpoint, Judgement, KeyName, ProofError, RootSignature, Trust, VerifierKey, judge,
};

const POLICY: &str = "1.3.6.1.4.1.99999.1";

struct Memory(Vec<Hash32>);

impl TileReader for Memory {
    fn hashes(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash32>, ProofError> {
        let span = 256_usize.pow(level.into());
        let start = usize::try_from(index).unwrap() * 256;
        let part = |i: usize| self.0.get(i * span..(i + 1) * span).map(root_of);
        let hashes = (start..start + usize::from(width)).map(part).collect::<Option<Vec<_>>>();
        hashes.ok_or(ProofError::BadTile { level, index, width })
    }
}

struct Prover {
    slots: SoftwareSlots,
    authority: Authority,
    trust: Trust,
}

impl Prover {
    fn new() -> Self {
        let mut slots = SoftwareSlots::new();
        let entropy = &mut FixedEntropy::new(3);
        for (name, algorithm) in [
            ("log", Algorithm::Ed25519),
            ("log-pq", Algorithm::MlDsa44),
            ("root", Algorithm::P256),
            ("tsa", Algorithm::P256),
        ] {
            slots.generate(slot(name), algorithm, entropy).unwrap();
        }
        let spec = |common_name, n| CertificateSpec {
            common_name,
            not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
            not_after: "2045-01-01T00:00:00Z".parse().unwrap(),
            serial: serial(n, [1; 11]),
        };
        let root = root_certificate(&slots, &slot("root"), &spec("Root", 1)).unwrap();
        let key = slots.public_key(&slot("tsa")).unwrap();
        let certificate =
            leaf_certificate(&slots, &slot("root"), &root, &key, &spec("TSA", 2)).unwrap();
        let authority = Authority::new(slot("tsa"), &certificate, POLICY, 1000).unwrap();
        let origin = KeyName::new(ORIGIN).unwrap();
        let public = |name| slots.public_key(&slot(name)).unwrap();
        let log_key = |name| VerifierKey::new(origin.clone(), public(name)).unwrap();
        let trust = Trust {
            operator: name(AUDIENCE),
            log_keys: vec![log_key("log"), log_key("log-pq")],
            origin: origin.clone(),
            cose_keys: vec![public("log")],
            tsa_roots: vec![root],
            tsa_policies: vec![POLICY.to_owned()],
            witness_policy: None,
            evm_anchors: Vec::new(),
            bitcoin_headers: Vec::new(),
        };
        Self { slots, authority, trust }
    }

    fn judge(&self, bench: &Bench, payment: &Payment, entry: &Entry) -> Judgement {
        let hashes: Vec<Hash32> = bench.leaves.iter().map(tpw_proof::Leaf::leaf_hash).collect();
        let size = hashes.len() as u64;
        let root = root_of(&hashes);
        let checkpoint =
            Checkpoint { origin: self.trust.origin.clone(), head: TreeHead { size, root } };
        let checkpoint = checkpoint.sign(&self.slots, &slot("log"), &slot("log-pq")).unwrap();
        let data = checkpoint.log_signed_bytes();
        let token = self
            .authority
            .stamp(
                &self.slots,
                &data,
                bench.now,
                ClockState::Good { error_ms: 1000 },
                serial(3, [2; 11]),
            )
            .unwrap();
        let receipt = assemble(&Parts {
            statement: payment.intake().statement(),
            record: &Record::from_bytes(&entry.record).unwrap(),
            salt: &entry.salt,
            leaf: &bench.leaves[usize::try_from(entry.index).unwrap()],
            index: entry.index,
            path: &tile::inclusion_proof(&Memory(hashes), entry.index, size).unwrap(),
            checkpoint: &checkpoint,
            root_signature: &RootSignature::sign(&root, &self.slots, &slot("log")).unwrap(),
            timestamps: &[token],
            trust_hash: self.trust.hash(),
        });
        judge(&receipt.to_bytes(), &self.trust)
    }
}

#[test]
fn each_way_of_booking_gives_a_valid_receipt() {
    let (mut bench, prover, operator) = (Bench::new(), Prover::new(), hash("operator"));
    let plain = bench.pay(ALICE, BOB, 5, Status::Booked);
    let waits = bench.pay(ALICE, BOB, STEP_UP, Status::StepUp);
    let held = bench.pay(ALICE, BOB, HOLD, Status::Held);
    bench.now = at(30);
    let proof = bench.proof(&waits, "alice");
    let command = bench.step_up(&proof, "alice");
    let stepped = payment(bench.apply(command).0);
    // An operator may release it after the intent itself has expired.
    bench.now = at(3600);
    let released = payment(bench.apply(Command::Release { payment: held.id(), operator }).0);
    let partner = bench.pay(ALICE, PARTNER, 9, Status::Booked);
    let recalled = payment(bench.apply(Command::Recall { payment: plain.id(), operator }).0);
    let returned = payment(bench.apply(Command::RailReturn { payment: partner.id() }).0);
    let mut judged = 0;
    for payment in [&plain, &stepped, &released, &partner, &recalled, &returned] {
        let mut entries = vec![(RecordKind::Payment, payment.booked().unwrap().entry())];
        if let Payment::Compensated(done) = &**payment {
            entries.push((RecordKind::Compensation, done.entry()));
        }
        for (kind, entry) in entries {
            let judgement = prover.judge(&bench, payment, entry);
            assert!(judgement.is_valid(), "{:?}", judgement.first_failure());
            let proved = judgement.payment.unwrap();
            assert_eq!((proved.record.kind, proved.index), (kind, entry.index));
            assert_eq!(proved.intent, *payment.intake().intent());
            judged += 1;
        }
    }
    assert_eq!(judged, 8);
}

#[test]
fn an_entry_of_another_payment_is_not_accepted() {
    let (mut bench, prover) = (Bench::new(), Prover::new());
    let one = bench.pay(ALICE, BOB, 5, Status::Booked);
    let other = bench.pay(ALICE, BOB, 5, Status::Booked);
    let entry = other.booked().unwrap().entry();
    assert!(!prover.judge(&bench, &one, entry).is_valid());
    let mut moved = entry.clone();
    moved.index -= 1;
    assert!(!prover.judge(&bench, &other, &moved).is_valid());
}
