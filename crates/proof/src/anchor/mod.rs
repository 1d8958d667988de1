//! Chain anchors: evidence that a public chain had a root of the log in one of its blocks. A kind for each family of chains.

pub(crate) mod bitcoin;
mod block;
mod evm;
mod known;
pub mod rlp;
mod trie;
pub(crate) mod trust;

use crate::error::ProofError;
use crate::ots::Network;
use crate::trust::Trust;
use tpw_core::codec::Reader;
use tpw_core::{Hash32, Instant};

pub use bitcoin::{BitcoinAnchor, bitcoin_hash_text, lowest_block};
pub use block::{Announced, EVENT_TOPIC, Header};
pub use evm::{Address, Announcement, EvmAnchor, EvmTrust, Standing, Told};
pub use known::{KNOWN_LEN_MAX, KnownFault, block_hash, with_known};
pub use trie::path_to;
pub use trust::{address_text, hash_text};

/// The largest anchor that is read, in bytes.
pub const LEN_MAX: usize = 1 << 16;

/// One anchor of a receipt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Anchor {
    /// Kind 1: an event on an EVM chain.
    Evm(EvmAnchor),
    /// Kind 2: a checkpoint in a Bitcoin block, by OpenTimestamps.
    Bitcoin(BitcoinAnchor),
}

impl Anchor {
    /// Reads an anchor. Its first member says of which kind it is.
    ///
    /// # Errors
    /// [`ProofError::Unsupported`] for another kind, [`ProofError::TooLarge`], [`ProofError::Codec`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > LEN_MAX {
            return Err(ProofError::TooLarge { what: "anchor", most: LEN_MAX });
        }
        match kind(bytes)? {
            evm::KIND => EvmAnchor::from_bytes(bytes).map(Self::Evm),
            bitcoin::KIND => BitcoinAnchor::from_bytes(bytes).map(Self::Bitcoin),
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

/// The chain that an anchor is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// An EVM chain, as EIP-155 numbers it.
    Evm(u64),
    /// Bitcoin, or one of its test networks. Which of them it is no proof says, only a header that the verifier has.
    Bitcoin(Option<Network>),
}

impl core::fmt::Display for Place {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Evm(chain_id) => write!(f, "{chain_id}"),
            Self::Bitcoin(None | Some(Network::Main)) => f.write_str("Bitcoin"),
            // What anybody makes at once is never called Bitcoin alone.
            Self::Bitcoin(Some(test)) => write!(f, "Bitcoin {}", test.name()),
        }
    }
}

/// What an anchor says, and what the verifier can make of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// The chain.
    pub place: Place,
    /// The block's number.
    pub number: u64,
    /// The block's hash. On an EVM chain the anchor says it, and a verifier has to get it from somewhere; of a Bitcoin block
    /// it is known from the verifier's header alone.
    pub block: Option<Hash32>,
    /// When the block was made, by the chain's own clock.
    pub time: Option<Instant>,
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
        let anchor = match Anchor::from_bytes(bytes)? {
            Anchor::Evm(anchor) => anchor,
            Anchor::Bitcoin(anchor) => return anchor.judge(leaf, index, trust),
        };
        let told = anchor.tell(leaf, index)?;
        let chain_id = anchor.announcement.chain_id;
        let odd = ProofError::Malformed { what: "block header", why: "a time that cannot be" };
        let time = told.block.time_s.checked_mul(1000).and_then(Instant::from_unix_ms);
        Ok(Found {
            place: Place::Evm(chain_id),
            number: told.block.number,
            block: Some(told.block.hash),
            time: Some(time.ok_or(odd)?),
            size: told.announced.size,
            standing: evm::standing(chain_id, &told, &trust.evm_anchors)?,
        })
    };
    anchors.iter().map(one).collect()
}

/// One line about the first anchor in a block that the verifier knows.
pub(crate) fn summary(found: &[Found]) -> Option<String> {
    let known = found.iter().find(|anchor| anchor.standing == Standing::Known)?;
    let time = known.time.map_or_else(String::new, |time| format!(", {time}"));
    Some(format!("block {} of chain {}{time}", known.number, known.place))
}
