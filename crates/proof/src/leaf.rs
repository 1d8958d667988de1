//! Log entries: salted commitments without personal data: `spec/leaf.md`.

use crate::error::ProofError;
use crate::tree;
use tpw_core::{FactorMethod, Hash32, RecordKind};
use tpw_crypto::{ct_eq, sha256_parts};

const MAGIC: &[u8; 4] = b"tpw1";
const COMMIT_DOMAIN: &[u8] = b"tpw/leaf/v1\0";
const KEY_END_DOMAIN: &[u8] = b"tpw/key-end/v1\0";
const DECISIONS_DOMAIN: &[u8] = b"tpw/decisions/v1\0";
const GENESIS_DOMAIN: &[u8] = b"tpw/genesis/v1\0";
const FACTOR_DOMAIN: &[u8] = b"tpw/factor/v1\0";

/// What a record holds of a factor that a payer gave for one payment. The intent hash is in it, so that it says nothing about another.
#[must_use]
pub fn factor_evidence(intent_hash: Hash32, method: FactorMethod, evidence: Hash32) -> Hash32 {
    Hash32::new(sha256_parts(&[
        FACTOR_DOMAIN,
        intent_hash.as_bytes(),
        &[method.number()],
        evidence.as_bytes(),
    ]))
}

/// One log entry: 37 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Leaf([u8; Self::SIZE]);

impl Leaf {
    /// Bytes of an entry.
    pub const SIZE: usize = 37;

    /// How many genesis entries every log begins with: two, because RFC 9942 allows no empty path.
    pub const GENESIS_COUNT: u8 = 2;

    fn new(kind: RecordKind, commitment: [u8; 32]) -> Self {
        let mut bytes = [0; Self::SIZE];
        let parts = MAGIC.iter().chain(core::iter::once(kind_byte(kind))).chain(&commitment);
        bytes.iter_mut().zip(parts).for_each(|(slot, byte)| *slot = *byte);
        Self(bytes)
    }

    /// Commits to a statement and a record under a salt that only the parties hold.
    #[must_use]
    pub fn commit(
        kind: RecordKind,
        salt: &[u8; 32],
        statement_hash: Hash32,
        record_hash: Hash32,
    ) -> Self {
        let commitment = sha256_parts(&[
            COMMIT_DOMAIN,
            &[*kind_byte(kind)],
            salt,
            statement_hash.as_bytes(),
            record_hash.as_bytes(),
        ]);
        Self::new(kind, commitment)
    }

    /// One of the entries 0 and 1 of the log called `origin`.
    #[must_use]
    pub fn genesis(origin: &str, index: u8) -> Self {
        let commitment = sha256_parts(&[GENESIS_DOMAIN, origin.as_bytes(), &[0, index]]);
        Self::new(RecordKind::Genesis, commitment)
    }

    /// The entry of a time-stamp, from SHA-256 of the token's DER. It needs no salt: a token's own signature is as random as one,
    /// so that nobody finds the entry who does not have the token.
    #[must_use]
    pub fn token(hash: Hash32) -> Self {
        Self::new(RecordKind::Token, *hash.as_bytes())
    }

    /// The entry of a key that was destroyed, from its record: nothing in that is secret.
    #[must_use]
    pub fn key_end(record: &[u8]) -> Self {
        Self::new(RecordKind::KeyEnd, sha256_parts(&[KEY_END_DOMAIN, record]))
    }

    /// The entry of a block of decisions, from the root of the tree over them: their salts are in its leaves.
    #[must_use]
    pub fn decisions(count: u64, root: &Hash32) -> Self {
        let parts: [&[u8]; 3] = [DECISIONS_DOMAIN, &count.to_be_bytes(), root.as_bytes()];
        Self::new(RecordKind::Decisions, sha256_parts(&parts))
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// [`ProofError::Malformed`] for another length, version or kind.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        let wrong = |why| ProofError::Malformed { what: "log entry", why };
        let leaf: [u8; Self::SIZE] = bytes.try_into().map_err(|_| wrong("not 37 bytes"))?;
        if !bytes.starts_with(MAGIC) {
            return Err(wrong("another version"));
        }
        let kind = bytes.get(4).copied().unwrap_or(u8::MAX);
        RecordKind::from_number(kind.into()).ok_or(wrong("an unknown kind"))?;
        Ok(Self(leaf))
    }

    /// The bytes as they stand in the log's entry bundles.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::SIZE] {
        &self.0
    }

    /// What the entry is about.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        // The constructors admit known kinds only.
        let number = self.0.get(4).copied().unwrap_or(0);
        RecordKind::from_number(number.into()).unwrap_or(RecordKind::Genesis)
    }

    /// Whether this entry is the commitment to exactly these values.
    #[must_use]
    pub fn opens(
        &self,
        kind: RecordKind,
        salt: &[u8; 32],
        statement_hash: Hash32,
        record_hash: Hash32,
    ) -> bool {
        let made = Self::commit(kind, salt, statement_hash, record_hash);
        ct_eq(self.as_bytes(), made.as_bytes())
    }

    /// The hash of the entry in the tree (RFC 6962 §2.1).
    #[must_use]
    pub fn leaf_hash(&self) -> Hash32 {
        tree::leaf_hash(&self.0)
    }
}

/// The kind as one byte of an entry.
const fn kind_byte(kind: RecordKind) -> &'static u8 {
    match kind {
        RecordKind::Genesis => &0,
        RecordKind::Payment => &1,
        RecordKind::Compensation => &2,
        RecordKind::Orders => &3,
        RecordKind::Token => &4,
        RecordKind::KeyEnd => &5,
        RecordKind::Decisions => &6,
    }
}
