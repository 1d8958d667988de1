//! RLP (the encoding of Ethereum's execution layer): a value is a string of bytes or a list of values, and has one form.

use crate::error::ProofError;
use alloy_rlp::Header;

/// Lists in what is read here have at most so many items: a branch of a trie 17, a block's header about 22.
const ITEMS_MAX: usize = 64;

fn wrong(why: &'static str) -> ProofError {
    ProofError::Malformed { what: "RLP", why }
}

/// One item of a list: a string of bytes, or a list with its head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item<'b> {
    /// The bytes.
    Bytes(&'b [u8]),
    /// The list's encoding.
    List(&'b [u8]),
}

impl<'b> Item<'b> {
    fn read(rest: &mut &'b [u8]) -> Result<Self, ProofError> {
        let whole = *rest;
        let header = Header::decode(rest).map_err(|_odd| wrong("an item in another form"))?;
        let (payload, after) =
            rest.split_at_checked(header.payload_length).ok_or(wrong("it ends early"))?;
        *rest = after;
        if !header.list {
            return Ok(Self::Bytes(payload));
        }
        let used = whole.len().saturating_sub(after.len());
        Ok(Self::List(whole.get(..used).unwrap_or_default()))
    }

    /// The bytes of a string.
    ///
    /// # Errors
    /// [`ProofError::Malformed`] for a list.
    pub fn bytes(self) -> Result<&'b [u8], ProofError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::List(_) => Err(wrong("a list in place of bytes")),
        }
    }

    /// Exactly `N` bytes.
    ///
    /// # Errors
    /// [`ProofError::Malformed`] for anything else.
    pub fn fixed<const N: usize>(self) -> Result<[u8; N], ProofError> {
        self.bytes()?.try_into().map_err(|_length| wrong("bytes of another length"))
    }

    /// A number of at most 64 bits, without leading zeros.
    ///
    /// # Errors
    /// [`ProofError::Malformed`] for anything else.
    pub fn uint(self) -> Result<u64, ProofError> {
        let bytes = self.bytes()?;
        if bytes.len() > 8 || bytes.first() == Some(&0) {
            return Err(wrong("no number of 64 bits"));
        }
        Ok(bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    /// The items of a list.
    ///
    /// # Errors
    /// [`ProofError::Malformed`] for a string.
    pub fn items(self) -> Result<Vec<Item<'b>>, ProofError> {
        match self {
            Self::List(encoding) => list(encoding),
            Self::Bytes(_) => Err(wrong("bytes in place of a list")),
        }
    }
}

/// The items of the one list that `bytes` are.
///
/// # Errors
/// [`ProofError::Malformed`] for another form, and for bytes after the list.
pub fn list(bytes: &[u8]) -> Result<Vec<Item<'_>>, ProofError> {
    let mut rest = bytes;
    let header = Header::decode(&mut rest).map_err(|_odd| wrong("a list in another form"))?;
    if !header.list || header.payload_length != rest.len() {
        return Err(wrong("not exactly one list"));
    }
    let mut items = Vec::new();
    while !rest.is_empty() {
        if items.len() == ITEMS_MAX {
            return Err(ProofError::TooLarge { what: "list in RLP", most: ITEMS_MAX });
        }
        items.push(Item::read(&mut rest)?);
    }
    Ok(items)
}

/// The encoding of a string of bytes.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> Vec<u8> {
    alloy_rlp::encode(bytes)
}

/// The encoding of a number: its bytes without leading zeros.
#[must_use]
pub fn of_uint(number: u128) -> Vec<u8> {
    alloy_rlp::encode(number)
}

/// The encoding of a number of any length, big endian.
#[must_use]
pub fn of_big_uint(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    of_bytes(bytes.get(zeros..).unwrap_or_default())
}

/// The encoding of a list of items that are encoded already.
#[must_use]
pub fn of_list<I: AsRef<[u8]>>(items: &[I]) -> Vec<u8> {
    let payload_length = items.iter().map(|item| item.as_ref().len()).sum();
    let mut out = Vec::new();
    Header { list: true, payload_length }.encode(&mut out);
    items.iter().for_each(|item| out.extend_from_slice(item.as_ref()));
    out
}
