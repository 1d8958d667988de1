//! One small operator and one device, from fixed seeds: what the targets' good examples are made of.

use std::sync::OnceLock;

use tpw_core::{
    AccountId, Amount, Decision, DeviceId, Hash32, Instant, Intent, Money, Name, PaymentId,
    Posting, Purpose, Receipt, Record, RecordKind, Span, StepUpProof, TransferId, TreeHead,
    Verdict,
};
use tpw_crypto::{Algorithm, FixedEntropy, PublicKey, Signer, SlotName, SoftwareSlots, sha256};
use tpw_proof::bundle::{Parts, assemble};
use tpw_proof::timestamp::{
    Authority, CertificateSpec, ClockState, leaf_certificate, root_certificate, serial,
};
use tpw_proof::tree::root_of;
use tpw_proof::{
    Checkpoint, KeyName, Leaf, RootSignature, SignedCheckpoint, Trust, VerifierKey, device_key,
    sign,
};

pub const ORIGIN: &str = "example.com/log";
pub const OPERATOR: &str = "Example Pay";
const POLICY: &str = "1.3.6.1.4.1.99999.1";
const NOW_MS: u64 = 1_763_806_500_000;

/// Keys, trust and one good receipt.
pub struct World {
    pub slots: SoftwareSlots,
    pub trust: Trust,
    pub authority: Authority,
    pub intent: Intent,
    pub statement: Vec<u8>,
    pub record: Record,
    pub leaf: Leaf,
    pub checkpoint: SignedCheckpoint,
    pub receipt: Receipt,
}

pub fn slot(name: &str) -> SlotName {
    SlotName::new(name).unwrap()
}

/// Milliseconds after the instant at which the device made its intent.
pub fn at(ms: u64) -> Instant {
    Instant::from_unix_ms(NOW_MS + ms).unwrap()
}

pub fn account(number: u8) -> AccountId {
    AccountId::new(NOW_MS, [number; 10])
}

pub fn hash(bytes: &[u8]) -> Hash32 {
    Hash32::new(sha256(bytes))
}

/// The world, made at first use.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::make)
}

impl World {
    pub fn key(&self, name: &str) -> PublicKey {
        self.slots.public_key(&slot(name)).unwrap()
    }

    pub fn step_up(&self) -> StepUpProof {
        StepUpProof {
            payment: self.intent.payment,
            device: self.intent.device,
            intent_hash: hash(&self.intent.to_bytes()),
            created: at(5000),
            audience: self.intent.audience.clone(),
        }
    }

    fn make() -> Self {
        let mut slots = SoftwareSlots::new();
        let entropy = &mut FixedEntropy::new(7);
        for (name, algorithm) in [
            ("device", Algorithm::Ed25519),
            ("log-ed25519", Algorithm::Ed25519),
            ("log-ml-dsa-44", Algorithm::MlDsa44),
            ("log-cose", Algorithm::Ed25519),
            ("token", Algorithm::Ed25519),
            ("tsa-root", Algorithm::P256),
            ("tsa", Algorithm::P256),
        ] {
            slots.generate(slot(name), algorithm, entropy).unwrap();
        }
        let (authority, root) = authority(&slots);
        let trust = trust(&slots, root);
        let intent = intent();
        let statement = sign(&intent, &slots, &slot("device")).unwrap();
        let record = record(&intent, &slots.public_key(&slot("device")).unwrap());
        let salt = [9; 32];
        let leaf = Leaf::commit(record.kind, &salt, hash(&statement), hash(&record.to_bytes()));
        // Three leaves: the path of the last one is the root of the two before it.
        let first = [Leaf::genesis(ORIGIN, 0).leaf_hash(), Leaf::genesis(ORIGIN, 1).leaf_hash()];
        let path = [root_of(&first)];
        let root = root_of(&[first[0], first[1], leaf.leaf_hash()]);
        let head = TreeHead { size: 3, root };
        let origin = KeyName::new(ORIGIN).unwrap();
        let checkpoint = Checkpoint { origin, head }
            .sign(&slots, &slot("log-ed25519"), &slot("log-ml-dsa-44"))
            .unwrap();
        let root_signature = RootSignature::sign(&root, &slots, &slot("log-cose")).unwrap();
        let data = checkpoint.log_signed_bytes();
        let clock = ClockState::Good { error_ms: 1000 };
        let token = authority.stamp(&slots, &data, at(900), clock, serial(3, [2; 11])).unwrap();
        let receipt = assemble(&Parts {
            statement: &statement,
            record: &record,
            salt: &salt,
            leaf: &leaf,
            index: 2,
            path: &path,
            checkpoint: &checkpoint,
            root_signature: &root_signature,
            timestamps: &[token],
            trust_hash: trust.hash(),
        });
        Self { slots, trust, authority, intent, statement, record, leaf, checkpoint, receipt }
    }
}

fn authority(slots: &SoftwareSlots) -> (Authority, Vec<u8>) {
    let spec = |common_name, number| CertificateSpec {
        common_name,
        not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2045-01-01T00:00:00Z".parse().unwrap(),
        serial: serial(number, [1; 11]),
    };
    let root = root_certificate(slots, &slot("tsa-root"), &spec("Fuzz root", 1)).unwrap();
    let public = slots.public_key(&slot("tsa")).unwrap();
    let leaf =
        leaf_certificate(slots, &slot("tsa-root"), &root, &public, &spec("Fuzz TSA", 2)).unwrap();
    (Authority::new(slot("tsa"), &leaf, POLICY, 1000).unwrap(), root)
}

fn trust(slots: &SoftwareSlots, root: Vec<u8>) -> Trust {
    let origin = KeyName::new(ORIGIN).unwrap();
    let key = |name: &str| slots.public_key(&slot(name)).unwrap();
    let log_key = |name| VerifierKey::new(origin.clone(), key(name)).unwrap();
    Trust {
        operator: Name::new(OPERATOR).unwrap(),
        log_keys: vec![log_key("log-ed25519"), log_key("log-ml-dsa-44")],
        origin: origin.clone(),
        cose_keys: vec![key("log-cose")],
        tsa_roots: vec![root],
        tsa_policies: vec![POLICY.to_owned()],
        witness_policy: None,
        evm_anchors: Vec::new(),
        bitcoin_headers: Vec::new(),
    }
}

fn intent() -> Intent {
    Intent {
        payment: PaymentId::new(NOW_MS, [1; 10]),
        device: DeviceId::new(NOW_MS, [2; 10]),
        payer: account(1),
        payee: account(2),
        money: Money { amount: Amount::from_minor(12_345), asset: "USD/2".parse().unwrap() },
        fee_limit: Amount::from_minor(10),
        sequence: 1,
        previous: Hash32::ZERO,
        seen: TreeHead { size: 2, root: hash(b"seen") },
        created: at(0),
        expires: at(0).plus(Span::from_secs(60)),
        audience: Name::new(OPERATOR).unwrap(),
        purpose: Purpose::new("Invoice 42 / 发票").unwrap(),
    }
}

fn record(intent: &Intent, device: &PublicKey) -> Record {
    Record {
        kind: RecordKind::Payment,
        payment: intent.payment,
        intent_hash: hash(&intent.to_bytes()),
        device_key: device_key(device),
        received: at(100),
        booked: at(120),
        decision: Decision {
            score: 10,
            verdict: Verdict::Clear,
            reasons: Vec::new(),
            rules: hash(b"rules"),
        },
        approvals: Vec::new(),
        postings: vec![Posting {
            transfer: TransferId::new(NOW_MS, [3; 10]),
            number: 1,
            debit: intent.payer,
            credit: intent.payee,
            money: intent.money,
            debit_chain: hash(b"debit"),
            credit_chain: hash(b"credit"),
        }],
    }
}
