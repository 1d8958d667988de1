//! Putting a receipt together, and taking it apart into files for stock tools.

use crate::checkpoint::SignedCheckpoint;
use crate::cose_receipt::RootSignature;
use crate::error::ProofError;
use crate::leaf::Leaf;
use crate::statement::public_key;
use crate::timestamp::certificate_pem;
use crate::tlog_proof::TlogProof;
use crate::trust::Trust;
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

/// The layers of a receipt as loose files, with the trust file they are to be checked by and a guide.
///
/// # Errors
/// What reading the record, its device key or the proof answers. Nothing is verified here.
pub fn export(receipt: &Receipt, trust: &Trust) -> Result<Vec<(String, Vec<u8>)>, ProofError> {
    let record = Record::from_bytes(&receipt.record)?;
    let proof = TlogProof::parse(&receipt.tlog_proof)?;
    let device_key = public_key(&record.device_key)?.spki_pem();
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
    for (stem, end, layer) in
        [("receipt", "cose", &receipt.cose_receipts), ("token", "tsr", &receipt.timestamps)]
    {
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
