//! What is read out of a block's header and out of the receipt of a transaction.

use super::rlp::{self, Item};
use crate::error::ProofError;
use tpw_core::Hash32;
use tpw_crypto::keccak256;

/// `keccak256("Anchored(bytes32,uint64)")`: the first topic of the contract's event.
pub const EVENT_TOPIC: [u8; 32] = [
    0x41, 0xc3, 0xf4, 0x10, 0xf5, 0xc8, 0xac, 0x36, 0xbb, 0x46, 0xb1, 0xdc, 0xce, 0xf0, 0xde, 0x0f,
    0x96, 0x40, 0x87, 0xc9, 0xe6, 0x88, 0x79, 0x5f, 0xa0, 0x2e, 0xcf, 0xa2, 0xc2, 0x0b, 0x3f, 0xe4,
];

/// A header has at least the fields of the first blocks; later ones were added at its end.
const HEADER_ITEMS_MIN: usize = 15;

fn wrong(what: &'static str, why: &'static str) -> ProofError {
    ProofError::Malformed { what, why }
}

/// The parts of a block's header that an anchor needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Keccak-256 of its RLP: what names the block.
    pub hash: Hash32,
    /// The root of its receipts trie.
    pub receipts_root: [u8; 32],
    /// Its number.
    pub number: u64,
    /// When it was made, in seconds of Unix time, as its maker says and the chain's rules bound.
    pub time_s: u64,
}

impl Header {
    /// Reads the RLP of a header.
    ///
    /// # Errors
    /// [`ProofError::Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Self, ProofError> {
        let items = rlp::list(bytes)?;
        if items.len() < HEADER_ITEMS_MIN || items.iter().any(|item| item.bytes().is_err()) {
            return Err(wrong("block header", "other fields than a header's"));
        }
        let item = |place: usize| -> Result<Item<'_>, ProofError> {
            items.get(place).copied().ok_or(wrong("block header", "a field is missing"))
        };
        Ok(Self {
            hash: Hash32::new(keccak256(bytes)),
            receipts_root: item(5)?.fixed()?,
            number: item(8)?.uint()?,
            time_s: item(11)?.uint()?,
        })
    }
}

/// What the contract's event says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Announced {
    /// Who said it.
    pub contract: [u8; 20],
    /// The root of the log's tree.
    pub root: Hash32,
    /// How many entries it has.
    pub size: u64,
}

impl Announced {
    /// Reads the event at `place` among those of a transaction of type 2 (EIP-1559) that succeeded.
    ///
    /// # Errors
    /// [`ProofError::Malformed`].
    pub fn read(receipt: &[u8], place: u64) -> Result<Self, ProofError> {
        let wrong = |why| wrong("receipt of a transaction", why);
        let fields = receipt.strip_prefix(&[2]).ok_or(wrong("another type than 2"))?;
        let fields = rlp::list(fields)?;
        let [status, _gas, _bloom, logs] = fields.as_slice() else {
            return Err(wrong("other fields than a receipt's"));
        };
        if status.bytes()? != [1] {
            return Err(wrong("the transaction did not succeed"));
        }
        let logs = logs.items()?;
        let log = usize::try_from(place).ok().and_then(|place| logs.get(place));
        let log = log.ok_or(wrong("no event at this place"))?.items()?;
        let [contract, topics, data] = log.as_slice() else {
            return Err(wrong("other fields than an event's"));
        };
        let topics = topics.items()?;
        let [kind, root] = topics.as_slice() else {
            return Err(wrong("not the contract's event"));
        };
        if kind.bytes()? != EVENT_TOPIC {
            return Err(wrong("not the contract's event"));
        }
        let data: [u8; 32] = data.fixed()?;
        let (high, size) = data.split_at(24);
        if high.iter().any(|byte| *byte != 0) {
            return Err(wrong("a size of more than 64 bits"));
        }
        Ok(Self {
            contract: contract.fixed()?,
            root: Hash32::new(root.fixed()?),
            size: size.iter().fold(0, |size, byte| (size << 8) | u64::from(*byte)),
        })
    }
}
