//! Chain anchors: evidence that a public chain had a root of the log in one of its blocks. A kind for each family of chains.

mod block;
mod evm;
pub mod rlp;
mod trie;
pub(crate) mod trust;

use crate::error::ProofError;
use crate::trust::Trust;
use tpw_core::codec::Reader;
use tpw_core::{Hash32, Instant};

pub use block::{Announced, EVENT_TOPIC, Header};
pub use evm::{Address, Announcement, EvmAnchor, EvmTrust, Standing, Told};
pub use trie::path_to;
pub use trust::{address_text, hash_text};

/// The largest anchor that is read, in bytes.
pub const LEN_MAX: usize = 1 << 16;

/// One anchor of a receipt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Anchor {
    /// Kind 1: an event on an EVM chain.
    Evm(EvmAnchor),
}

impl Anchor {
    /// Reads an anchor. Its first member says of which kind it is; 2 is kept for OpenTimestamps.
    ///
    /// # Errors
    /// [`ProofError::Unsupported`] for another kind, [`ProofError::TooLarge`], [`ProofError::Codec`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > LEN_MAX {
            return Err(ProofError::TooLarge { what: "anchor", most: LEN_MAX });
        }
        match kind(bytes)? {
            evm::KIND => EvmAnchor::from_bytes(bytes).map(Self::Evm),
            _ => Err(ProofError::Unsupported),
        }
    }
}

fn kind(bytes: &[u8]) -> Result<u64, ProofError> {
    let mut reader = Reader::new(bytes, "anchor");
    reader.map()?;
    reader.key(1, "kind")?;
    Ok(reader.uint()?)
}

/// What an anchor says, and what the verifier can make of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// The chain, as EIP-155 numbers it.
    pub chain_id: u64,
    /// The block's number.
    pub number: u64,
    /// The block's hash: what a verifier has to get from somewhere.
    pub block: Hash32,
    /// When the block was made, by the chain's own clock.
    pub time: Instant,
    /// How many entries the log had.
    pub size: u64,
    /// Whether the verifier believes in the block.
    pub standing: Standing,
}

/// Judges the anchors of a receipt whose entry has this leaf hash and index. Each must hold inside; which of them are in
/// blocks that the verifier knows, the caller sees.
pub(crate) fn judge(
    anchors: &[Vec<u8>],
    leaf: &Hash32,
    index: u64,
    trust: &Trust,
) -> Result<Vec<Found>, ProofError> {
    let one = |bytes: &Vec<u8>| {
        let Anchor::Evm(anchor) = Anchor::from_bytes(bytes)?;
        let told = anchor.tell(leaf, index)?;
        let chain_id = anchor.announcement.chain_id;
        let odd = ProofError::Malformed { what: "block header", why: "a time that cannot be" };
        let time = told.block.time_s.checked_mul(1000).and_then(Instant::from_unix_ms);
        Ok(Found {
            chain_id,
            number: told.block.number,
            block: told.block.hash,
            time: time.ok_or(odd)?,
            size: told.announced.size,
            standing: evm::standing(chain_id, &told, &trust.evm_anchors)?,
        })
    };
    anchors.iter().map(one).collect()
}

/// One line about the first anchor in a block that the verifier knows.
pub(crate) fn summary(found: &[Found]) -> Option<String> {
    let known = found.iter().find(|anchor| anchor.standing == Standing::Known)?;
    Some(format!("block {} of chain {}, {}", known.number, known.chain_id, known.time))
}
