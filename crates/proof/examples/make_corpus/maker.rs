//! One operator, its payers and its time-stamp authority; makes a receipt from a plan that can be wrong in any one part.

use crate::timestamp_support::{Draft, Kit, POLICY, slot, tlv};
use tpw_core::codec::Writer;
use tpw_core::{
    AccountId, Amount, Decision, DeviceId, Hash32, Instant, Intent, Money, Name, PaymentId,
    Posting, Purpose, Receipt, Record, RecordKind, TransferId, TreeHead, Verdict,
};
use tpw_crypto::{Algorithm, FixedEntropy, PublicKey, Signer, sha256};
use tpw_proof::tree::{leaf_hash, node_hash};
use tpw_proof::{
    Checkpoint, KeyName, Leaf, RootSignature, SignedCheckpoint, TlogProof, Trust, VerifierKey,
    device_key, sign,
};

pub(crate) const ORIGIN: &str = "example.com/log";

/// 2026-11-22T10:15:00Z and some milliseconds.
pub(crate) fn at(ms: u64) -> Instant {
    Instant::from_unix_ms(1_795_342_500_000 + ms).unwrap()
}

pub(crate) fn account(n: u8) -> AccountId {
    AccountId::new(1_795_342_500_000, [n; 10])
}

pub(crate) fn hash(n: u8) -> Hash32 {
    Hash32::new(sha256(&[n]))
}

pub(crate) fn money(amount: u128, asset: &str) -> Money {
    Money { amount: Amount::from_minor(amount), asset: asset.parse().unwrap() }
}

pub(crate) fn posting(debit: AccountId, credit: AccountId, money: Money) -> Posting {
    Posting {
        transfer: TransferId::new(1_795_342_500_000, [3; 10]),
        number: 41,
        debit,
        credit,
        money,
        debit_chain: hash(2),
        credit_chain: hash(3),
    }
}

/// Where a leaf stands, and the head over it.
pub(crate) struct Place {
    pub(crate) index: u64,
    pub(crate) path: Vec<Hash32>,
    pub(crate) head: TreeHead,
}

pub(crate) type Notes = fn(&Maker, TreeHead) -> String;
pub(crate) type Roots = fn(&Maker, &Place) -> Vec<Vec<u8>>;
pub(crate) type Tokens = fn(&Maker, &[u8]) -> Vec<Vec<u8>>;

/// Everything about one receipt. What is `None` is made honestly from the rest.
pub(crate) struct Plan {
    pub(crate) device: &'static str,
    pub(crate) intent: Intent,
    pub(crate) statement: Option<Vec<u8>>,
    pub(crate) record: Record,
    pub(crate) record_bytes: Option<Vec<u8>>,
    pub(crate) leaf_kind: Option<RecordKind>,
    pub(crate) leaf: Option<Vec<u8>>,
    pub(crate) index: u64,
    pub(crate) size: u64,
    /// Another index and size than the path was made for, under the same root.
    pub(crate) claimed: Option<(u64, u64)>,
    pub(crate) note: Notes,
    pub(crate) roots: Roots,
    pub(crate) tokens: Tokens,
}

impl Plan {
    pub(crate) fn new(maker: &Maker, device: &'static str) -> Self {
        let intent = Intent {
            payment: PaymentId::new(1_795_342_500_000, [1; 10]),
            device: DeviceId::new(1_795_342_500_000, [2; 10]),
            payer: account(1),
            payee: account(2),
            money: money(12_345, "USD/2"),
            fee_limit: Amount::from_minor(10),
            sequence: 7,
            previous: hash(6),
            seen: TreeHead { size: 2, root: hash(4) },
            created: at(0),
            expires: at(60_000),
            audience: Name::new("Example Pay").unwrap(),
            purpose: Purpose::new("").unwrap(),
        };
        let record = Record {
            kind: RecordKind::Payment,
            payment: intent.payment,
            intent_hash: Hash32::new(sha256(&intent.to_bytes())),
            device_key: device_key(&maker.key(device)),
            received: at(10),
            booked: at(30),
            decision: Decision {
                score: 10,
                verdict: Verdict::Clear,
                reasons: Vec::new(),
                rules: hash(1),
            },
            approvals: Vec::new(),
            postings: vec![
                posting(intent.payer, intent.payee, intent.money),
                posting(intent.payer, account(9), money(5, "USD/2")),
            ],
        };
        Self {
            device,
            intent,
            statement: None,
            record,
            record_bytes: None,
            leaf_kind: None,
            leaf: None,
            index: 2,
            size: 7,
            claimed: None,
            note: |maker, head| maker.checkpoint(head).to_string(),
            roots: |maker, place| vec![maker.cose("log-cose", place)],
            tokens: |maker, data| vec![maker.token(data, |_| {})],
        }
    }

    /// Another intent, which the record honestly names.
    pub(crate) fn ask(&mut self, change: impl FnOnce(&mut Intent)) {
        change(&mut self.intent);
        self.record.intent_hash = Hash32::new(sha256(&self.intent.to_bytes()));
    }

    /// Another payment, carried out as asked and without a fee.
    pub(crate) fn pay(&mut self, money: Money) {
        self.ask(|intent| intent.money = money);
        self.record.postings = vec![posting(account(1), account(2), money)];
    }
}

pub(crate) struct Maker {
    pub(crate) kit: Kit,
    pub(crate) trust: Trust,
}

impl Maker {
    pub(crate) fn new() -> Self {
        let kit = Kit::with(|slots| {
            let entropy = &mut FixedEntropy::new(41);
            for (name, algorithm) in [
                ("device", Algorithm::Ed25519),
                ("device-2", Algorithm::Ed25519),
                ("device-p256", Algorithm::P256),
                ("log-ed25519", Algorithm::Ed25519),
                ("log-ml-dsa-44", Algorithm::MlDsa44),
                ("log-cose", Algorithm::P256),
                ("log-cose-2", Algorithm::Ed25519),
                ("other-ed25519", Algorithm::Ed25519),
                ("other-ml-dsa-44", Algorithm::MlDsa44),
                ("other-cose", Algorithm::P256),
                ("pq-root", Algorithm::MlDsa65),
                ("pq-leaf", Algorithm::MlDsa65),
                // After those that were there first: what is drawn for them stays the same.
                ("device-ml-dsa-44", Algorithm::MlDsa44),
                ("device-2-ml-dsa-44", Algorithm::MlDsa44),
            ] {
                slots.generate(slot(name), algorithm, entropy).unwrap();
            }
        });
        let key = |name: &str| kit.key(name);
        let origin = KeyName::new(ORIGIN).unwrap();
        let log_key = |name| VerifierKey::new(origin.clone(), key(name)).unwrap();
        let trust = Trust {
            operator: Name::new("Example Pay").unwrap(),
            log_keys: vec![log_key("log-ed25519"), log_key("log-ml-dsa-44")],
            cose_keys: vec![key("log-cose"), key("log-cose-2")],
            tsa_roots: vec![kit.root.clone()],
            tsa_policies: vec![POLICY.to_owned()],
            witness_policy: None,
            evm_anchors: Vec::new(),
            bitcoin_headers: Vec::new(),
            origin,
        };
        Self { kit, trust }
    }

    /// The same operator, under a trust file made before: its certificates are signed anew by each run.
    pub(crate) fn under(trust: Trust) -> Self {
        let mut maker = Self::new();
        maker.kit.root = trust.tsa_roots[0].clone();
        maker.trust = trust;
        maker
    }

    pub(crate) fn key(&self, name: &str) -> PublicKey {
        self.kit.key(name)
    }

    pub(crate) fn raw_sign(&self, name: &str, message: &[u8]) -> Vec<u8> {
        self.kit.slots.sign(&slot(name), message).unwrap()
    }

    pub(crate) fn checkpoint(&self, head: TreeHead) -> SignedCheckpoint {
        self.checkpoint_by(head, ORIGIN, "log-ed25519", "log-ml-dsa-44")
    }

    pub(crate) fn checkpoint_by(
        &self,
        head: TreeHead,
        origin: &str,
        ed: &str,
        ml: &str,
    ) -> SignedCheckpoint {
        let origin = KeyName::new(origin).unwrap();
        Checkpoint { origin, head }.sign(&self.kit.slots, &slot(ed), &slot(ml)).unwrap()
    }

    pub(crate) fn cose(&self, key: &str, place: &Place) -> Vec<u8> {
        let signature = RootSignature::sign(&place.head.root, &self.kit.slots, &slot(key)).unwrap();
        signature.receipt(place.index, place.head.size, &place.path)
    }

    /// A token over `data` that is good but for one change.
    pub(crate) fn token(&self, data: &[u8], change: impl FnOnce(&mut Draft)) -> Vec<u8> {
        let mut draft = Draft::over(self.kit.leaf.clone());
        draft.leaf_serial = certificate_serial(&self.kit.leaf);
        draft.imprint = sha256(data).to_vec();
        draft.gen_time = tlv(0x18, b"20261122101500.9Z");
        change(&mut draft);
        draft.build(&self.kit)
    }

    /// The receipt of a plan. The rest of its tree is made up: nobody can tell, and trees can be of any size.
    pub(crate) fn receipt(&self, plan: &Plan) -> Receipt {
        let honest = || sign(&plan.intent, &self.kit.slots, &slot(plan.device)).unwrap();
        let statement = plan.statement.clone().unwrap_or_else(honest);
        let record = plan.record_bytes.clone().unwrap_or_else(|| plan.record.to_bytes());
        let salt = sha256(b"salt");
        let kind = plan.leaf_kind.unwrap_or(plan.record.kind);
        let hash_of = |bytes: &[u8]| Hash32::new(sha256(bytes));
        let committed = Leaf::commit(kind, &salt, hash_of(&statement), hash_of(&record));
        let leaf = plan.leaf.clone().unwrap_or_else(|| committed.as_bytes().to_vec());
        let mut place = place(leaf_hash(&leaf), plan.index, plan.size);
        (place.index, place.head.size) = plan.claimed.unwrap_or((plan.index, plan.size));
        let note = (plan.note)(self, place.head);
        let stamped = SignedCheckpoint::parse(&note)
            .map_or_else(|_| note.clone().into_bytes(), |signed| signed.log_signed_bytes());
        Receipt {
            statement,
            salt,
            leaf,
            tlog_proof: proof_text(&place, &note),
            cose_receipts: (plan.roots)(self, &place),
            timestamps: (plan.tokens)(self, &stamped),
            evidence: Vec::new(),
            anchors: Vec::new(),
            trust_hint: *self.trust.hash().as_bytes(),
            record,
        }
    }
}

fn proof_text(place: &Place, note: &str) -> String {
    if let Ok(checkpoint) = SignedCheckpoint::parse(note) {
        let (index, path) = (place.index, place.path.clone());
        return TlogProof { extra: None, index, path, checkpoint }.to_string();
    }
    // Not a note: the honest text with the note put in its place.
    let good = Maker::new().checkpoint(place.head);
    let text = proof_text(place, &good.to_string());
    text.replace(&good.to_string(), note)
}

/// Siblings up to the root for a leaf at `index` among `size`, by RFC 9162 §2.1.3: the last node of a level rises alone.
fn place(leaf: Hash32, index: u64, size: u64) -> Place {
    let (mut node, mut last, mut root, mut path) = (index, size - 1, leaf, Vec::new());
    while last > 0 {
        if node & 1 == 1 || node < last {
            let sibling = hash(100 + u8::try_from(path.len()).unwrap());
            let left = node & 1 == 1;
            root = if left { node_hash(&sibling, &root) } else { node_hash(&root, &sibling) };
            path.push(sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    Place { index, path, head: TreeHead { size, root } }
}

/// The DER of a certificate's serial: after the two outer headers and the version.
fn certificate_serial(der: &[u8]) -> Vec<u8> {
    let start = 4 + 4 + 5;
    let length = usize::from(der[start + 1]) + 2;
    der[start..start + length].to_vec()
}

// --- COSE by hand ---------------------------------------------------------------------------------------------------

/// A `COSE_Sign1` of which every part can be wrong.
pub(crate) struct Cose {
    pub(crate) slot: &'static str,
    pub(crate) protected: Vec<u8>,
    pub(crate) unprotected: Vec<u8>,
    pub(crate) signed: Vec<u8>,
    pub(crate) attached: bool,
    pub(crate) external: &'static [u8],
}

pub(crate) const INTENT_TYPE: &str = Intent::CONTENT_TYPE;

pub(crate) fn header(algorithm: i64, content_type: &str, kid: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.map(3).uint(1).int(algorithm).uint(3).text(content_type).uint(4).bytes(kid);
    w.finish()
}

impl Cose {
    /// An honest statement over a payload.
    pub(crate) fn statement(maker: &Maker, slot: &'static str, payload: &[u8]) -> Self {
        let key = maker.key(slot);
        let algorithm = if key.algorithm() == Algorithm::P256 { -9 } else { -19 };
        Self {
            slot,
            protected: header(algorithm, INTENT_TYPE, &key.cose_key_thumbprint()),
            unprotected: vec![0xa0],
            signed: payload.to_vec(),
            attached: true,
            external: &[],
        }
    }

    pub(crate) fn signature(&self, maker: &Maker) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(4).text("Signature1").bytes(&self.protected).bytes(self.external);
        w.bytes(&self.signed);
        maker.raw_sign(self.slot, &w.finish())
    }

    pub(crate) fn build(&self, maker: &Maker) -> Vec<u8> {
        self.build_with(&self.signature(maker))
    }

    pub(crate) fn build_with(&self, signature: &[u8]) -> Vec<u8> {
        let bytes = |part: &[u8]| {
            let mut w = Writer::new();
            w.bytes(part);
            w.finish()
        };
        let payload = if self.attached { bytes(&self.signed) } else { vec![0xf6] };
        [
            vec![0xd2, 0x84],
            bytes(&self.protected),
            self.unprotected.clone(),
            payload,
            bytes(signature),
        ]
        .concat()
    }
}

/// `from` replaced by `to`, where it stands for the first time.
pub(crate) fn spliced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let start = bytes.windows(from.len()).position(|window| window == from).unwrap();
    [&bytes[..start], to, &bytes[start + from.len()..]].concat()
}
