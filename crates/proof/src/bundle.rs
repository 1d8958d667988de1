//! Putting a receipt together, and taking it apart into files for stock tools.

use crate::checkpoint::SignedCheckpoint;
use crate::cose_receipt::RootSignature;
use crate::device_keys::DeviceKeys;
use crate::error::ProofError;
use crate::evidence::archived_bytes;
use crate::leaf::Leaf;
use crate::timestamp::certificate_pem;
use crate::tlog_proof::{self, TlogProof};
use crate::transparent;
use crate::trust::Trust;
use tpw_core::codec::Writer;
use tpw_core::{Hash32, Receipt, Record};

/// How to check an exported receipt with stock tools.
pub const VERIFY_GUIDE: &str = include_str!("VERIFY.md");

/// The evidence of one booked payment, from which a receipt is made.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// The payer's statement, as it came.
    pub statement: &'a [u8],
    /// The operator's record.
    pub record: &'a Record,
    /// What opens the leaf.
    pub salt: &'a [u8; 32],
    /// The log entry.
    pub leaf: &'a Leaf,
    /// Where it stands.
    pub index: u64,
    /// The path to the checkpoint's root.
    pub path: &'a [Hash32],
    /// The checkpoint.
    pub checkpoint: &'a SignedCheckpoint,
    /// The COSE signature over the checkpoint's root.
    pub root_signature: &'a RootSignature,
    /// RFC 3161 responses over [`SignedCheckpoint::log_signed_bytes`].
    pub timestamps: &'a [Vec<u8>],
    /// [`Trust::hash`] of the trust file in force.
    pub trust_hash: Hash32,
}

/// Makes the receipt. Only arranges: [`crate::judge`] says whether it holds.
#[must_use]
pub fn assemble(parts: &Parts<'_>) -> Receipt {
    let size = parts.checkpoint.checkpoint().head.size;
    let proof = TlogProof {
        extra: None,
        index: parts.index,
        path: parts.path.to_vec(),
        checkpoint: parts.checkpoint.clone(),
    };
    Receipt {
        statement: parts.statement.to_vec(),
        salt: *parts.salt,
        leaf: parts.leaf.as_bytes().to_vec(),
        tlog_proof: proof.to_string(),
        cose_receipts: vec![parts.root_signature.receipt(parts.index, size, parts.path)],
        timestamps: parts.timestamps.to_vec(),
        evidence: Vec::new(),
        anchors: Vec::new(),
        trust_hint: *parts.trust_hash.as_bytes(),
        record: parts.record.to_bytes(),
    }
}

/// What the receipts under one checkpoint have in common, written once: most of their bytes. It makes the same files
/// as [`assemble`], which the tests compare byte by byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    size: u64,
    note: String,
    root_signature: RootSignature,
    /// The fields after the COSE receipts and before the record, encoded.
    middle: Vec<u8>,
}

/// What is a payment's own in its receipt.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// The payer's statement, as it came.
    pub statement: &'a [u8],
    /// The bytes of the operator's record.
    pub record: &'a [u8],
    /// What opens the leaf.
    pub salt: &'a [u8; 32],
    /// The log entry.
    pub leaf: &'a Leaf,
    /// Where it stands.
    pub index: u64,
    /// The path to the checkpoint's root.
    pub path: &'a [Hash32],
}

impl Frame {
    /// Of a checkpoint with its COSE signature, its time-stamps and the hash of the trust file in force.
    #[must_use]
    pub fn new(
        checkpoint: &SignedCheckpoint,
        root_signature: &RootSignature,
        timestamps: &[Vec<u8>],
        trust_hash: Hash32,
    ) -> Self {
        let mut w = Writer::new();
        w.uint(6).array(u64::try_from(timestamps.len()).unwrap_or(u64::MAX));
        timestamps.iter().for_each(|token| {
            w.bytes(token);
        });
        w.uint(7).array(0).uint(8).array(0).uint(9).bytes(trust_hash.as_bytes());
        Self {
            size: checkpoint.checkpoint().head.size,
            note: checkpoint.to_string(),
            root_signature: root_signature.clone(),
            middle: w.finish(),
        }
    }

    /// The checkpoint's note, as it is published.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// The receipt file of one payment. Only arranges, as [`assemble`] does.
    #[must_use]
    pub fn receipt(&self, own: &Own<'_>) -> Vec<u8> {
        let proof = tlog_proof::text(None, own.index, own.path, &self.note);
        let cose = self.root_signature.receipt(own.index, self.size, own.path);
        let parts =
            [own.statement.len(), proof.len(), cose.len(), self.middle.len(), own.record.len()];
        let mut w = Writer::with_room(parts.iter().sum::<usize>().saturating_add(OWN_ROOM));
        w.map(10).uint(1).bytes(own.statement).uint(2).bytes(own.salt);
        w.uint(3).bytes(own.leaf.as_bytes()).uint(4).text(&proof);
        w.uint(5).array(1).bytes(&cose).encoded(&self.middle);
        w.uint(10).bytes(own.record);
        w.finish()
    }
}

/// Salt, leaf, keys and lengths of a receipt need less.
const OWN_ROOM: usize = 128;

/// The layers of a receipt as loose files, with the trust file they are to be checked by and a guide.
///
/// # Errors
/// What reading the record, its device key or the proof answers. Nothing is verified here.
pub fn export(receipt: &Receipt, trust: &Trust) -> Result<Vec<(String, Vec<u8>)>, ProofError> {
    let record = Record::from_bytes(&receipt.record)?;
    let proof = TlogProof::parse(&receipt.tlog_proof)?;
    let keys = DeviceKeys::from_record(&record.device_key)?;
    let device_key = keys.classical().spki_pem();
    let tsa_roots: String = trust.tsa_roots.iter().map(|der| certificate_pem(der)).collect();
    let file = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
    let mut files = vec![
        file("statement.cose", &receipt.statement),
        file("record.cbor", &receipt.record),
        file("leaf.bin", &receipt.leaf),
        file("salt.bin", &receipt.salt),
        file("proof.tlog-proof", receipt.tlog_proof.as_bytes()),
        file("checkpoint", &proof.checkpoint.log_signed_bytes()),
        file("device-key.pem", device_key.as_bytes()),
        file("tsa-root.pem", tsa_roots.as_bytes()),
        file("trust.json", trust.to_json().as_bytes()),
        file("VERIFY.md", VERIFY_GUIDE.as_bytes()),
    ];
    if let Some(key) = keys.post_quantum() {
        files.push(file("device-key-ml-dsa-44.pem", key.spki_pem().as_bytes()));
    }
    // RFC 9943 §3: a signed statement is a `COSE_Sign1`, which that of a hybrid device is not.
    if !receipt.cose_receipts.is_empty() && keys.post_quantum().is_none() {
        let whole = transparent::attach(&receipt.statement, &receipt.cose_receipts)?;
        files.push(("transparent-statement.cose".to_owned(), whole));
    }
    if !receipt.evidence.is_empty() {
        files.push(file("archived.cbor", &archived_bytes(receipt)?));
    }
    for (stem, end, layer) in [
        ("receipt", "cose", &receipt.cose_receipts),
        ("token", "tsr", &receipt.timestamps),
        ("record", "ers", &receipt.evidence),
    ] {
        for (number, bytes) in (1..).zip(layer) {
            let name = if number == 1 {
                format!("{stem}.{end}")
            } else {
                format!("{stem}-{number}.{end}")
            };
            files.push((name, bytes.clone()));
        }
    }
    Ok(files)
}
