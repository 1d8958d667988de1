//! An anchor on an EVM chain: the path from a receipt's entry to the event that announced the log's root, and from there to
//! the hash of a block: `spec/receipt.md`, "Anchors".
//!
//! INVARIANT: everything between the entry and the block's hash is inside. A verifier needs that one hash, from anywhere;
//! chains forget old receipts, and nobody has to ask one.

use super::block::{Announced, Header};
use super::trie;
use crate::error::ProofError;
use crate::tree::verify_inclusion;
use tpw_core::codec::{Reader, Writer, decode_exact};
use tpw_core::{Hash32, TreeHead};

/// The number of this kind among anchors.
pub(super) const KIND: u64 = 1;

const WHAT: &str = "anchor";

/// The largest header that is read, in bytes; those of today have about 600.
const HEADER_LEN_MAX: usize = 4096;

/// The largest node of a trie that is read, in bytes: the last one holds the whole receipt of the transaction.
const NODE_LEN_MAX: usize = 16_384;

/// A path in a tree of 2^63 entries.
const PATH_MAX: u64 = 63;

/// An address of an account or a contract.
pub type Address = [u8; 20];

/// Where a block says that a log had a certain root. It serves every entry of that tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Announcement {
    /// The chain, as EIP-155 numbers it. No block says which chain it is of: this only tells which of the verifier's lists
    /// of hashes it may be in.
    pub chain_id: u64,
    /// The block's header, RLP.
    pub header: Vec<u8>,
    /// The transaction's index in the block.
    pub transaction: u64,
    /// The nodes from the root of the receipts trie to the transaction's receipt.
    pub nodes: Vec<Vec<u8>>,
    /// The event's place in the receipt.
    pub event: u64,
}

/// What an announcement says once everything inside it holds. Whether its block is one of the chain it cannot say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// The block.
    pub block: Header,
    /// The event.
    pub announced: Announced,
}

impl Announcement {
    /// Follows the path from the header to the event.
    ///
    /// # Errors
    /// [`ProofError::Malformed`], [`ProofError::TooLarge`] or [`ProofError::RootMismatch`].
    pub fn tell(&self) -> Result<Told, ProofError> {
        let long = |what, most| Err(ProofError::TooLarge { what, most });
        if self.header.len() > HEADER_LEN_MAX {
            return long("block header", HEADER_LEN_MAX);
        }
        if self.nodes.iter().any(|node| node.len() > NODE_LEN_MAX) {
            return long("node of a trie", NODE_LEN_MAX);
        }
        let block = Header::read(&self.header)?;
        let receipt = trie::value_at(&block.receipts_root, self.transaction, &self.nodes)?;
        Ok(Told { block, announced: Announced::read(&receipt, self.event)? })
    }
}

/// An announcement with the path of one entry to the announced root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EvmAnchor {
    /// The hashes from the entry to the announced root. The entry's index is that of the receipt's tlog proof.
    pub path: Vec<Hash32>,
    /// The announcement.
    pub announcement: Announcement,
}

impl EvmAnchor {
    /// Checks everything but the block's hash.
    ///
    /// # Errors
    /// As [`Announcement::tell`] and [`verify_inclusion`].
    pub fn tell(&self, leaf: &Hash32, index: u64) -> Result<Told, ProofError> {
        let told = self.announcement.tell()?;
        let Announced { root, size, .. } = told.announced;
        verify_inclusion(leaf, index, size, &self.path, &root)?;
        Ok(told)
    }

    /// The one encoding, deterministic CBOR.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = |items: usize| u64::try_from(items).unwrap_or(u64::MAX);
        let announcement = &self.announcement;
        let mut w = Writer::with_room(4096);
        w.map(7).uint(1).uint(KIND).uint(2).uint(announcement.chain_id);
        w.uint(3).array(count(self.path.len()));
        self.path.iter().for_each(|hash| {
            w.bytes(hash.as_bytes());
        });
        w.uint(4).bytes(&announcement.header).uint(5).uint(announcement.transaction);
        w.uint(6).array(count(announcement.nodes.len()));
        announcement.nodes.iter().for_each(|node| {
            w.bytes(node);
        });
        w.uint(7).uint(announcement.event);
        w.finish()
    }

    /// Reads the encoding.
    ///
    /// # Errors
    /// [`ProofError::Codec`] naming the field.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        Ok(decode_exact(bytes, WHAT, Self::read, Self::to_bytes)?)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, tpw_core::CodecError> {
        if r.map()? != 7 {
            return Err(r.bad("map"));
        }
        r.key(1, "kind")?;
        if r.uint()? != KIND {
            return Err(r.bad("kind"));
        }
        r.key(2, "chain_id")?;
        let chain_id = r.uint()?;
        r.key(3, "path")?;
        let path = (0..r.array("path", PATH_MAX)?).map(|_| r.hash("path"));
        let path = path.collect::<Result<_, _>>()?;
        r.key(4, "header")?;
        let header = r.bytes()?.to_vec();
        r.key(5, "transaction")?;
        let transaction = r.uint()?;
        r.key(6, "nodes")?;
        let most = u64::try_from(trie::NODES_MAX).unwrap_or(u64::MAX);
        let nodes = (0..r.array("nodes", most)?).map(|_| r.bytes().map(<[u8]>::to_vec));
        let nodes = nodes.collect::<Result<_, _>>()?;
        r.key(7, "event")?;
        let event = r.uint()?;
        let announcement = Announcement { chain_id, header, transaction, nodes, event };
        Ok(Self { path, announcement })
    }
}

/// What a verifier knows of one chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EvmTrust {
    /// The chain.
    pub chain_id: u64,
    /// The contracts that speak for the operator's log. At least one.
    pub contracts: Vec<Address>,
    /// Blocks that are known to be final on it.
    pub blocks: Vec<Hash32>,
}

/// Whether a tree of the log is announced in a block that the verifier believes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is.
    Known,
    /// The path inside is whole, and nobody has told the verifier that its block is one of the chain.
    UnknownBlock,
    /// The verifier's trust file does not speak of this chain.
    UnknownChain,
}

/// Judges by what the verifier trusts.
///
/// # Errors
/// [`ProofError::Mismatch`] when the chain is known and the contract is not the operator's.
pub(super) fn standing(
    chain_id: u64,
    told: &Told,
    trusted: &[EvmTrust],
) -> Result<Standing, ProofError> {
    let Some(chain) = trusted.iter().find(|chain| chain.chain_id == chain_id) else {
        return Ok(Standing::UnknownChain);
    };
    if !chain.contracts.contains(&told.announced.contract) {
        let (left, right) = ("the anchor", "the trust file");
        return Err(ProofError::Mismatch { field: "contract", left, right });
    }
    let known = chain.blocks.contains(&told.block.hash);
    Ok(if known { Standing::Known } else { Standing::UnknownBlock })
}

/// The head that was announced.
impl From<&Announced> for TreeHead {
    fn from(announced: &Announced) -> Self {
        Self { size: announced.size, root: announced.root }
    }
}
