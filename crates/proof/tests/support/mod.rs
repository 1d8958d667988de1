//! One small operator with a log, a time-stamp authority and a payer, all from one seed.

#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(missing_docs, unreachable_pub, reason = "a test's own material")]

use tpw_core::{
    AccountId, Amount, Decision, DeviceId, Hash32, Instant, Intent, Money, Name, PaymentId,
    Posting, Purpose, Receipt, Record, RecordKind, Span, TransferId, TreeHead, Verdict,
};
use tpw_crypto::{Algorithm, FixedEntropy, PublicKey, Signer, SlotName, SoftwareSlots, sha256};
use tpw_proof::bundle::{Frame, Own, Parts, assemble};
use tpw_proof::tile::TileReader;
use tpw_proof::timestamp::{
    Authority, CertificateSpec, ClockState, leaf_certificate, root_certificate, serial,
};
use tpw_proof::tree::root_of;
use tpw_proof::{
    Checkpoint, Frontier, KeyName, Leaf, ProofError, RootSignature, SignedCheckpoint, Trust,
    VerifierKey, device_key, sign, tile,
};

pub const ORIGIN: &str = "example.com/log";
pub const POLICY: &str = "1.3.6.1.4.1.99999.1";

pub fn slot(name: &str) -> SlotName {
    SlotName::new(name).unwrap()
}

pub fn at(ms: u64) -> Instant {
    Instant::from_unix_ms(1_763_806_500_000 + ms).unwrap()
}

pub fn account(n: u8) -> AccountId {
    AccountId::new(1_763_806_500_000, [n; 10])
}

pub fn hash(n: u8) -> Hash32 {
    Hash32::new(sha256(&[n]))
}

/// Tiles over leaf hashes in memory; counts nothing, keeps only what a log would store.
pub struct Memory(pub Vec<Hash32>);

impl TileReader for Memory {
    fn hashes(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash32>, ProofError> {
        let span = 256_usize.pow(level.into());
        let start = usize::try_from(index).unwrap() * 256;
        (start..start + usize::from(width))
            .map(|i| {
                let range = i.checked_mul(span).zip((i + 1).checked_mul(span));
                let (from, to) = range.ok_or(ProofError::BadTile { level, index, width })?;
                let part = self.0.get(from..to);
                part.map(root_of).ok_or(ProofError::BadTile { level, index, width })
            })
            .collect()
    }
}

pub struct World {
    pub slots: SoftwareSlots,
    pub trust: Trust,
    pub authority: Authority,
    pub device: Algorithm,
}

impl World {
    pub fn new(device: Algorithm) -> Self {
        Self::seeded(device, 7)
    }

    /// Another operator of the same names, with keys of its own.
    pub fn seeded(device: Algorithm, seed: u64) -> Self {
        let mut slots = SoftwareSlots::new();
        let entropy = &mut FixedEntropy::new(seed);
        for (name, algorithm) in [
            ("device", device),
            ("log-ed25519", Algorithm::Ed25519),
            ("log-ml-dsa-44", Algorithm::MlDsa44),
            ("log-cose", Algorithm::P256),
            ("tsa-root", Algorithm::P256),
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
        let root = root_certificate(&slots, &slot("tsa-root"), &spec("Test root", 1)).unwrap();
        let public = slots.public_key(&slot("tsa")).unwrap();
        let spec = spec("Test TSA", 2);
        let leaf = leaf_certificate(&slots, &slot("tsa-root"), &root, &public, &spec).unwrap();
        let authority = Authority::new(slot("tsa"), &leaf, POLICY, 1000).unwrap();
        let origin = KeyName::new(ORIGIN).unwrap();
        let key = |name: &str| slots.public_key(&slot(name)).unwrap();
        let log_key = |name| VerifierKey::new(origin.clone(), key(name)).unwrap();
        let trust = Trust {
            operator: Name::new("Example Pay").unwrap(),
            log_keys: vec![log_key("log-ed25519"), log_key("log-ml-dsa-44")],
            origin,
            cose_keys: vec![key("log-cose")],
            tsa_roots: vec![root],
            tsa_policies: vec![POLICY.to_owned()],
            witness_policy: None,
            evm_anchors: Vec::new(),
            bitcoin_headers: Vec::new(),
        };
        Self { slots, trust, authority, device }
    }

    pub fn key(&self, name: &str) -> PublicKey {
        self.slots.public_key(&slot(name)).unwrap()
    }

    pub fn sign_checkpoint(&self, head: TreeHead) -> SignedCheckpoint {
        let origin = KeyName::new(ORIGIN).unwrap();
        let (ed, ml) = (slot("log-ed25519"), slot("log-ml-dsa-44"));
        Checkpoint { origin, head }.sign(&self.slots, &ed, &ml).unwrap()
    }

    /// A receipt over whatever intent and record are given, honest in every other layer.
    pub fn receipt_of(&self, intent: &Intent, record: &Record) -> Receipt {
        let statement = sign(intent, &self.slots, &slot("device")).unwrap();
        self.receipt_with(&statement, record, at(900))
    }

    pub fn receipt_with(&self, statement: &[u8], record: &Record, stamped: Instant) -> Receipt {
        let salt = [9; 32];
        let hash_of = |bytes: &[u8]| Hash32::new(sha256(bytes));
        let leaf =
            Leaf::commit(record.kind, &salt, hash_of(statement), hash_of(&record.to_bytes()));
        let mut leaves = vec![
            Leaf::genesis(ORIGIN, 0).leaf_hash(),
            Leaf::genesis(ORIGIN, 1).leaf_hash(),
            leaf.leaf_hash(),
        ];
        leaves.extend((0..4).map(hash));
        let (index, size) = (2, 7);
        let mut frontier = Frontier::new();
        leaves.iter().for_each(|leaf| frontier.push(*leaf));
        let tiles = Memory(leaves);
        let root = tile::root(&tiles, size).unwrap();
        assert_eq!(root, frontier.root());
        let checkpoint = self.sign_checkpoint(TreeHead { size, root });
        let root_signature = RootSignature::sign(&root, &self.slots, &slot("log-cose")).unwrap();
        let data = checkpoint.log_signed_bytes();
        let clock = ClockState::Good { error_ms: 1000 };
        let token =
            self.authority.stamp(&self.slots, &data, stamped, clock, serial(3, [2; 11])).unwrap();
        let path = tile::inclusion_proof(&tiles, index, size).unwrap();
        let (path, trust_hash) = (path.as_slice(), self.trust.hash());
        let receipt = assemble(&Parts {
            statement,
            record,
            salt: &salt,
            leaf: &leaf,
            index,
            path,
            checkpoint: &checkpoint,
            root_signature: &root_signature,
            timestamps: core::slice::from_ref(&token),
            trust_hash,
        });
        // The other way to a receipt, from the part that all under one checkpoint share, gives the same file.
        let frame = Frame::new(&checkpoint, &root_signature, &[token], trust_hash);
        let record = record.to_bytes();
        let own = Own { statement, record: &record, salt: &salt, leaf: &leaf, index, path };
        assert_eq!(frame.receipt(&own), receipt.to_bytes());
        assert_eq!(frame.note(), checkpoint.to_string());
        receipt
    }

    pub fn record(&self, intent: &Intent) -> Record {
        let money = |n| Money { amount: Amount::from_minor(n), ..intent.money };
        Record {
            kind: RecordKind::Payment,
            payment: intent.payment,
            intent_hash: Hash32::new(sha256(&intent.to_bytes())),
            device_key: device_key(&self.key("device")),
            received: at(100),
            booked: at(120),
            decision: Decision {
                score: 10,
                verdict: Verdict::Clear,
                reasons: Vec::new(),
                rules: hash(1),
            },
            approvals: Vec::new(),
            postings: vec![
                posting(1, intent.payer, intent.payee, intent.money),
                posting(2, intent.payer, account(9), money(5)),
            ],
        }
    }

    pub fn good(&self) -> (Intent, Record, Receipt) {
        let intent = intent();
        let record = self.record(&intent);
        let receipt = self.receipt_of(&intent, &record);
        (intent, record, receipt)
    }
}

pub fn posting(number: u64, debit: AccountId, credit: AccountId, money: Money) -> Posting {
    Posting {
        transfer: TransferId::new(1_763_806_500_000, [3; 10]),
        number,
        debit,
        credit,
        money,
        debit_chain: hash(2),
        credit_chain: hash(3),
    }
}

pub fn intent() -> Intent {
    Intent {
        payment: PaymentId::new(1_763_806_500_000, [1; 10]),
        device: DeviceId::new(1_763_806_500_000, [2; 10]),
        payer: account(1),
        payee: account(2),
        money: Money { amount: Amount::from_minor(12_345), asset: "USD/2".parse().unwrap() },
        fee_limit: Amount::from_minor(10),
        sequence: 1,
        previous: Hash32::ZERO,
        seen: TreeHead { size: 2, root: hash(4) },
        created: at(0),
        expires: at(0).plus(Span::from_secs(60)),
        audience: Name::new("Example Pay").unwrap(),
        purpose: Purpose::new("Invoice 42 / 发票").unwrap(),
    }
}
