//! The receipt file `.tpr`: layers of evidence, each in the format of a stock verifier: `spec/receipt.md`.
//!
//! This is the container alone. Its layers are unverified bytes; the `proof` crate judges them.

use crate::codec::{CodecError, Reader, Writer, decode_exact};

/// The layers of a receipt, as bytes that nobody has checked yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The payer's statement: a `COSE_Sign1` over the intent (RFC 9052).
    pub statement: Vec<u8>,
    /// What opens the leaf's commitment.
    pub salt: [u8; 32],
    /// The log entry, as it stands in the log's entry bundles.
    pub leaf: Vec<u8>,
    /// A C2SP `tlog-proof` with the signed checkpoint.
    pub tlog_proof: String,
    /// COSE receipts of the same root and index (RFC 9942).
    pub cose_receipts: Vec<Vec<u8>>,
    /// RFC 3161 responses over the signed checkpoint.
    pub timestamps: Vec<Vec<u8>>,
    /// RFC 4998 evidence records.
    pub evidence: Vec<Vec<u8>>,
    /// Chain anchors.
    pub anchors: Vec<Vec<u8>>,
    /// SHA-256 of the trust file it was made under: a hint which to take, never a reason to trust.
    pub trust_hint: [u8; 32],
    /// The operator's record that the leaf commits to.
    pub record: Vec<u8>,
}

impl Receipt {
    /// The media type of the file.
    pub const MEDIA_TYPE: &'static str = "application/vnd.tpw.receipt+cbor";

    /// The largest receipt that is read, in bytes.
    pub const SIZE_MAX: usize = 1 << 20;

    const WHAT: &'static str = "receipt";

    /// The one encoding, deterministic CBOR: `spec/receipt.md`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.map(10)
            .uint(1)
            .bytes(&self.statement)
            .uint(2)
            .bytes(&self.salt)
            .uint(3)
            .bytes(&self.leaf);
        w.uint(4).text(&self.tlog_proof);
        for (key, layer) in
            (5..).zip([&self.cose_receipts, &self.timestamps, &self.evidence, &self.anchors])
        {
            w.uint(key).array(u64::try_from(layer.len()).unwrap_or(u64::MAX));
            layer.iter().for_each(|item| {
                w.bytes(item);
            });
        }
        w.uint(9).bytes(&self.trust_hint).uint(10).bytes(&self.record);
        w.finish()
    }

    /// Reads the encoding.
    ///
    /// # Errors
    /// [`CodecError`] naming the field.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.len() > Self::SIZE_MAX {
            return Err(CodecError::Value { what: Self::WHAT, field: "size" });
        }
        decode_exact(bytes, Self::WHAT, Self::read, Self::to_bytes)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        if r.map()? != 10 {
            return Err(r.bad("map"));
        }
        r.key(1, "statement")?;
        let statement = r.bytes()?.to_vec();
        r.key(2, "salt")?;
        let salt = r.fixed("salt")?;
        r.key(3, "leaf")?;
        let leaf = r.bytes()?.to_vec();
        r.key(4, "tlog_proof")?;
        let tlog_proof = r.text("tlog_proof", Self::SIZE_MAX)?.to_owned();
        let cose_receipts = Self::read_layer(r, 5, "cose_receipts")?;
        let timestamps = Self::read_layer(r, 6, "timestamps")?;
        let evidence = Self::read_layer(r, 7, "evidence")?;
        let anchors = Self::read_layer(r, 8, "anchors")?;
        r.key(9, "trust_hint")?;
        let trust_hint = r.fixed("trust_hint")?;
        r.key(10, "record")?;
        let record = r.bytes()?.to_vec();
        Ok(Self {
            statement,
            salt,
            leaf,
            tlog_proof,
            cose_receipts,
            timestamps,
            evidence,
            anchors,
            trust_hint,
            record,
        })
    }

    fn read_layer(
        r: &mut Reader<'_>,
        key: u64,
        field: &'static str,
    ) -> Result<Vec<Vec<u8>>, CodecError> {
        r.key(key, field)?;
        (0..r.array(field, 16)?).map(|_| r.bytes().map(<[u8]>::to_vec)).collect()
    }
}
