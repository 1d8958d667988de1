//! Receipts of hybrid devices: both signatures hold, or one rule about them is broken.

use crate::maker::{Maker, Plan};
use crate::{Case, refused};
use tpw_core::codec::Writer;
use tpw_core::{Intent, StepUpProof};
use tpw_proof::DeviceKeys;

const SECOND: &str = "device-ml-dsa-44";

/// One signature of a statement.
#[derive(Clone)]
struct Signer {
    slot: &'static str,
    protected: Vec<u8>,
    /// The word at the front of what is signed.
    context: &'static str,
    /// A bit of the signature that is turned.
    flipped: bool,
}

/// A `COSE_Sign` before its signatures are made.
struct Draft {
    body: Vec<u8>,
    unprotected: Vec<u8>,
    payload: Vec<u8>,
    signers: Vec<Signer>,
}

fn body(content_type: &str) -> Vec<u8> {
    let mut w = Writer::new();
    w.map(1).uint(3).text(content_type);
    w.finish()
}

fn signer_header(algorithm: i64, kid: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.map(2).uint(1).int(algorithm).uint(4).bytes(kid);
    w.finish()
}

fn signer(maker: &Maker, slot: &'static str) -> Signer {
    let key = maker.key(slot);
    let protected = signer_header(tpw_proof::cose_algorithm(&key), &key.cose_key_thumbprint());
    Signer { slot, protected, context: "Signature", flipped: false }
}

impl Draft {
    fn new(maker: &Maker, plan: &Plan) -> Self {
        Self {
            body: body(Intent::CONTENT_TYPE),
            unprotected: vec![0xa0],
            payload: plan.intent.to_bytes(),
            signers: vec![signer(maker, plan.device), signer(maker, SECOND)],
        }
    }

    fn build(&self, maker: &Maker) -> Vec<u8> {
        let mut w = Writer::new();
        w.encoded(&[0xd8, 98]).array(4).bytes(&self.body).encoded(&self.unprotected);
        w.bytes(&self.payload).array(u64::try_from(self.signers.len()).unwrap());
        for one in &self.signers {
            let mut signed = Writer::new();
            signed.array(5).text(one.context).bytes(&self.body).bytes(&one.protected).bytes(&[]);
            signed.bytes(&self.payload);
            let mut signature = maker.raw_sign(one.slot, &signed.finish());
            signature[40] ^= u8::from(one.flipped);
            w.array(3).bytes(&one.protected).encoded(&[0xa0]).bytes(&signature);
        }
        w.finish()
    }
}

type Broken = fn(&mut Draft, &mut Plan, &Maker);

/// A plan of a hybrid device, whose record names both keys.
fn plan(maker: &Maker, device: &'static str) -> Plan {
    let mut plan = Plan::new(maker, device);
    let keys = DeviceKeys::new(maker.key(device), Some(maker.key(SECOND))).unwrap();
    plan.record.device_key = keys.to_record();
    plan
}

pub(crate) fn cases(maker: &Maker) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, device) in [("hybrid-ed25519", "device"), ("hybrid-p256", "device-p256")] {
        let mut plan = plan(maker, device);
        plan.statement = Some(Draft::new(maker, &plan).build(maker));
        let bytes = maker.receipt(&plan).to_bytes();
        cases.push(Case { name, bytes, valid: true, layer: None, trust: "trust.json" });
    }
    for (name, change) in broken() {
        let mut plan = plan(maker, "device");
        let mut draft = Draft::new(maker, &plan);
        change(&mut draft, &mut plan, maker);
        plan.statement.get_or_insert_with(|| draft.build(maker));
        cases.push(refused(name, "statement", maker.receipt(&plan).to_bytes()));
    }
    // Signed by both keys, and not what the record is about.
    let mut plan = plan(maker, "device");
    let mut draft = Draft::new(maker, &plan);
    let other = Intent { sequence: plan.intent.sequence + 1, ..plan.intent.clone() };
    draft.payload = other.to_bytes();
    plan.statement = Some(draft.build(maker));
    cases.push(refused("hybrid-over-another-intent", "record", maker.receipt(&plan).to_bytes()));
    cases
}

fn broken() -> Vec<(&'static str, Broken)> {
    vec![
        ("hybrid-classical-signature-alone", |_, plan, maker| {
            let cose = crate::maker::Cose::statement(maker, "device", &plan.intent.to_bytes());
            plan.statement = Some(cose.build(maker));
        }),
        ("hybrid-record-names-one-key", |_, plan, maker| {
            plan.record.device_key = tpw_proof::device_key(&maker.key("device"));
        }),
        ("hybrid-record-names-another-second-key", |_, plan, maker| {
            let other = maker.key("device-2-ml-dsa-44").as_bytes().to_vec();
            plan.record.device_key.post_quantum = Some(other);
        }),
        ("hybrid-record-with-a-short-second-key", |_, plan, _| {
            plan.record.device_key.post_quantum.as_mut().unwrap().pop();
        }),
        ("hybrid-first-signature-flipped", |draft, _, _| draft.signers[0].flipped = true),
        ("hybrid-second-signature-flipped", |draft, _, _| draft.signers[1].flipped = true),
        ("hybrid-second-signature-of-another-key", |draft, _, _| {
            draft.signers[1].slot = "device-2-ml-dsa-44";
        }),
        ("hybrid-second-key-of-another-device", |draft, _, maker| {
            draft.signers[1] = signer(maker, "device-2-ml-dsa-44");
        }),
        ("hybrid-signatures-swapped", |draft, _, _| draft.signers.reverse()),
        ("hybrid-both-classical", |draft, _, maker| draft.signers[1] = signer(maker, "device-2")),
        ("hybrid-both-post-quantum", |draft, _, maker| {
            draft.signers[0] = signer(maker, "device-2-ml-dsa-44");
        }),
        ("hybrid-the-second-signature-alone", |draft, _, _| drop(draft.signers.remove(0))),
        ("hybrid-the-first-signature-alone", |draft, _, _| drop(draft.signers.pop())),
        ("hybrid-a-third-signature", |draft, _, maker| {
            draft.signers.push(signer(maker, "device-2"));
        }),
        ("hybrid-of-another-kind-of-statement", |draft, _, _| {
            draft.body = body(StepUpProof::CONTENT_TYPE);
        }),
        ("hybrid-algorithm-in-the-body", |draft, _, maker| {
            let kid = maker.key("device").cose_key_thumbprint();
            draft.body = crate::maker::header(-19, Intent::CONTENT_TYPE, &kid);
        }),
        ("hybrid-signed-as-if-alone", |draft, _, _| {
            draft.signers.iter_mut().for_each(|one| one.context = "Signature1");
        }),
        ("hybrid-unprotected-header", |draft, _, _| {
            // {4: h''}
            draft.unprotected = vec![0xa1, 0x04, 0x40];
        }),
    ]
}
