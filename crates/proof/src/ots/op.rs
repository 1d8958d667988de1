//! The operations of a proof.

use tpw_crypto::sha256;

/// The longest value that an operation takes or gives, and the longest argument.
pub(super) const VALUE_MAX: usize = 4096;

/// One operation. Their order is that in which they are written: by tag, then by argument.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Op {
    /// Tag 02. Broken: nothing behind it is computed.
    Sha1,
    /// Tag 03. Not computed: no cryptographic library of ours has it.
    Ripemd160,
    /// Tag 08.
    Sha256,
    /// Tag 67. Not computed, as above.
    Keccak256,
    /// Tag f0, with what comes after the value.
    Append(Vec<u8>),
    /// Tag f1, with what comes before the value.
    Prepend(Vec<u8>),
    /// Tag f2: the bytes from last to first.
    Reverse,
    /// Tag f3: as text of hexadecimal digits.
    Hexlify,
}

impl Op {
    /// The operation of a tag without argument.
    pub(super) const fn unary(tag: u8) -> Option<Self> {
        Some(match tag {
            0x02 => Self::Sha1,
            0x03 => Self::Ripemd160,
            0x08 => Self::Sha256,
            0x67 => Self::Keccak256,
            0xf2 => Self::Reverse,
            0xf3 => Self::Hexlify,
            _ => return None,
        })
    }

    /// The tag.
    #[must_use]
    pub const fn tag(&self) -> u8 {
        match self {
            Self::Sha1 => 0x02,
            Self::Ripemd160 => 0x03,
            Self::Sha256 => 0x08,
            Self::Keccak256 => 0x67,
            Self::Append(_) => 0xf0,
            Self::Prepend(_) => 0xf1,
            Self::Reverse => 0xf2,
            Self::Hexlify => 0xf3,
        }
    }

    pub(super) fn argument(&self) -> Option<&[u8]> {
        match self {
            Self::Append(argument) | Self::Prepend(argument) => Some(argument),
            _ => None,
        }
    }

    /// The result; `None` when it is too long or not computed.
    #[must_use]
    pub fn apply(&self, value: &[u8]) -> Option<Vec<u8>> {
        if value.is_empty() || value.len() > VALUE_MAX {
            return None;
        }
        let result = match self {
            Self::Sha1 | Self::Ripemd160 | Self::Keccak256 => return None,
            Self::Sha256 => sha256(value).to_vec(),
            Self::Append(argument) => [value, argument].concat(),
            Self::Prepend(argument) => [argument, value].concat(),
            Self::Reverse => value.iter().rev().copied().collect(),
            Self::Hexlify => hex::encode(value).into_bytes(),
        };
        (result.len() <= VALUE_MAX).then_some(result)
    }
}
