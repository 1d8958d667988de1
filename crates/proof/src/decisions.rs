//! Decisions in the log: `spec/decision.md`. One entry commits to a block of them, and each can be shown without the others.
//!
//! The tree over a block is hashed as that of the log. Each leaf has a salt of its own: whoever has the path to one of them learns
//! nothing of its neighbours, however well they can guess what was decided.

use crate::error::ProofError;
use crate::leaf::Leaf;
use crate::logged::verify_entry;
use crate::tlog_proof::TlogProof;
use crate::tree;
use crate::trust::Trust;
use tpw_core::codec::{Reader, Writer, decode_exact};
use tpw_core::{CodecError, DecisionRecord, Hash32, TreeHead};
use tpw_crypto::sha256_parts;

/// The most decisions of one block.
pub const BLOCK_MAX: usize = 256;

/// No path in a block is longer.
const PATH_MAX: u64 = 8;
const WHAT: &str = "proof of a decision";

/// The hash of a decision in the tree over its block.
#[must_use]
pub fn decision_hash(salt: &[u8; 32], record: &[u8]) -> Hash32 {
    Hash32::new(sha256_parts(&[&[0], salt, record]))
}

/// The log entry of a block, from the hashes of its decisions in their order.
#[must_use]
pub fn block_leaf(hashes: &[Hash32]) -> Leaf {
    let count = u64::try_from(hashes.len()).unwrap_or(u64::MAX);
    Leaf::decisions(count, &tree::root_of(hashes))
}

/// From the sibling of the leaf at `place` up to the root's child (RFC 6962 §2.1.1). Recursion is as deep as the tree is high.
fn path_to(place: usize, hashes: &[Hash32]) -> Vec<Hash32> {
    if hashes.len() < 2 {
        return Vec::new();
    }
    let middle = hashes.len().next_power_of_two() >> 1;
    let (left, right) = hashes.split_at(middle.min(hashes.len()));
    let (inside, beside) = match place.checked_sub(middle) {
        None => (path_to(place, left), right),
        Some(place) => (path_to(place, right), left),
    };
    [inside, vec![tree::root_of(beside)]].concat()
}

/// What opens a block's entry for one of its decisions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockProof {
    /// The salt of the decision.
    pub salt: [u8; 32],
    /// The decision's bytes.
    pub record: Vec<u8>,
    /// Its place in the block, from zero.
    pub place: u64,
    /// How many decisions the block has.
    pub count: u64,
    /// From the sibling up to the root's child.
    pub path: Vec<Hash32>,
}

impl BlockProof {
    /// The proof for the decision at `place` of a block with these hashes; `None` when it has no such place, or another decision there.
    #[must_use]
    pub fn of(salt: [u8; 32], record: Vec<u8>, place: usize, hashes: &[Hash32]) -> Option<Self> {
        (hashes.get(place) == Some(&decision_hash(&salt, &record))).then_some(())?;
        let count = u64::try_from(hashes.len()).ok()?;
        let path = path_to(place, hashes);
        Some(Self { salt, record, place: u64::try_from(place).ok()?, count, path })
    }

    /// The one encoding, deterministic CBOR: `spec/decision.md`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(5).bytes(&self.salt).bytes(&self.record).uint(self.place).uint(self.count);
        w.array(u64::try_from(self.path.len()).unwrap_or(u64::MAX));
        for hash in &self.path {
            w.bytes(hash.as_bytes());
        }
        w.finish()
    }

    /// Reads the encoding.
    ///
    /// # Errors
    /// [`CodecError`] naming the field.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        decode_exact(bytes, WHAT, Self::read, Self::to_bytes)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        if r.array("items", 5)? != 5 {
            return Err(r.bad("items"));
        }
        let salt = r.fixed("salt")?;
        let record = r.bytes()?.to_vec();
        let (place, count) = (r.uint()?, r.uint()?);
        let length = r.array("path", PATH_MAX)?;
        let path = (0..length).map(|_| r.hash("path")).collect::<Result<_, _>>()?;
        Ok(Self { salt, record, place, count, path })
    }

    /// The log entry that it leads to.
    ///
    /// # Errors
    /// [`ProofError`] when place, count and path do not belong together.
    pub fn leaf(&self) -> Result<Leaf, ProofError> {
        let hash = decision_hash(&self.salt, &self.record);
        let steps = tree::inclusion_steps(&hash, self.place, self.count, &self.path)?;
        let root = steps.last().map_or(hash, |step| step.node);
        Ok(Leaf::decisions(self.count, &root))
    }
}

/// A decision that stands in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvedDecision {
    /// The decision.
    pub record: DecisionRecord,
    /// The index of its block's entry.
    pub index: u64,
    /// The tree that has it.
    pub head: TreeHead,
}

/// Judges a `c2sp.org/tlog-proof@v1` whose extra data is a [`BlockProof`]: it leads from the decision to the block's entry, and from
/// there to the root of a checkpoint that the trust file's log has signed, and enough witnesses if the trust file names some.
///
/// # Errors
/// The rule that is broken.
pub fn verify_decision(proof: &str, trust: &Trust) -> Result<ProvedDecision, ProofError> {
    let proof = TlogProof::parse(proof)?;
    let missing = ProofError::Malformed { what: "tlog-proof", why: "no decision in it" };
    let block = BlockProof::from_bytes(proof.extra.as_deref().ok_or(missing)?)?;
    let record = DecisionRecord::from_bytes(&block.record)?;
    let place = verify_entry(&block.leaf()?, &proof, trust)?;
    Ok(ProvedDecision { record, index: place.index, head: place.head })
}
