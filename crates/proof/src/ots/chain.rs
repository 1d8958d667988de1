//! Bitcoin block headers that a verifier gives: a chain of them, each with its work done.
//!
//! That these headers are those of Bitcoin, only the verifier knows: from a node, or because their work costs more than a forgery
//! is worth. Checked is that they hang together and that each has the work that it claims.

use crate::error::ProofError;
use tpw_core::Instant;
use tpw_crypto::sha256;

/// The bytes of a header.
pub const HEADER_LEN: usize = 80;
const WHAT: &str = "chain of block headers";

fn wrong(why: &'static str) -> ProofError {
    ProofError::Malformed { what: WHAT, why }
}

/// Which network: the least work that a header may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// Bitcoin.
    Main,
    /// Blocks that anybody makes at once, for tests.
    Regtest,
}

impl Network {
    /// The network called so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Main, Self::Regtest].into_iter().find(|network| network.name() == name)
    }

    /// Its stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Regtest => "regtest",
        }
    }

    /// The largest target, as headers write it.
    const fn bits_max(self) -> u32 {
        match self {
            Self::Main => 0x1d00_ffff,
            Self::Regtest => 0x207f_ffff,
        }
    }
}

/// A header whose work is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    bytes: [u8; HEADER_LEN],
}

impl Header {
    fn read(bytes: &[u8], network: Network) -> Result<Self, ProofError> {
        let bytes = bytes.try_into().map_err(|_| wrong("a header is 80 bytes"))?;
        let header = Self { bytes };
        let target = target(header.number(72)).ok_or(wrong("a target that cannot be"))?;
        // Both are 256-bit numbers with the lowest byte first; from the highest byte they compare as such.
        let above = |value: &[u8; 32], most: &[u8; 32]| value.iter().rev().gt(most.iter().rev());
        let easiest = self::target(network.bits_max()).ok_or(wrong("a target that cannot be"))?;
        if above(&target, &easiest) {
            return Err(wrong("less work than the network asks for"));
        }
        if above(&header.hash(), &target) {
            return Err(wrong("a header without the work it claims"));
        }
        Ok(header)
    }

    /// As it stands in the block.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; HEADER_LEN] {
        &self.bytes
    }

    /// SHA-256 twice; people see it backwards.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256(&sha256(&self.bytes))
    }

    fn hash_at(&self, place: usize) -> [u8; 32] {
        let end = place.saturating_add(32);
        self.bytes.get(place..end).and_then(|part| part.try_into().ok()).unwrap_or_default()
    }

    fn number(&self, place: usize) -> u32 {
        let end = place.saturating_add(4);
        let part = self.bytes.get(place..end).and_then(|part| part.try_into().ok());
        u32::from_le_bytes(part.unwrap_or_default())
    }

    fn previous(&self) -> [u8; 32] {
        self.hash_at(4)
    }

    /// What the block's transactions lead to.
    #[must_use]
    pub fn merkle_root(&self) -> [u8; 32] {
        self.hash_at(36)
    }

    /// The time that the miner has set.
    ///
    /// # Errors
    /// Never for a time of 32 bits; it is an error and no panic all the same.
    pub fn time(&self) -> Result<Instant, ProofError> {
        let ms = u64::from(self.number(68)).saturating_mul(1000);
        Instant::from_unix_ms(ms).ok_or(wrong("a time that cannot be"))
    }
}

/// The target of `nBits`: a mantissa of 23 bits and a sign, and how many bytes the number has. Lowest byte first.
fn target(bits: u32) -> Option<[u8; 32]> {
    let [m0, m1, m2, length] = bits.to_le_bytes();
    let (length, mut target) = (usize::from(length), [0; 32]);
    // The sign bit, a number of nothing, and bytes that do not fit are no targets (Bitcoin: `SetCompact`).
    if m2 & 0x80 != 0 || [m0, m1, m2] == [0, 0, 0] {
        return None;
    }
    for (byte, back) in [(m0, 3_usize), (m1, 2), (m2, 1)] {
        // Lower digits of short numbers are cut off.
        let Some(place) = length.checked_sub(back) else { continue };
        match target.get_mut(place) {
            Some(slot) => *slot = byte,
            None if byte == 0 => {}
            None => return None,
        }
    }
    (target != [0; 32]).then_some(target)
}

/// Headers one after another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Headers {
    network: Network,
    first: u64,
    headers: Vec<Header>,
}

impl Headers {
    /// Reads headers of 80 bytes each; the first is that of the block at height `first`.
    ///
    /// # Errors
    /// [`ProofError::Malformed`] when there is none, when one does not name the one before it, or when work is missing.
    pub fn read(first: u64, bytes: &[u8], network: Network) -> Result<Self, ProofError> {
        let headers: Vec<Header> = bytes
            .chunks(HEADER_LEN)
            .map(|header| Header::read(header, network))
            .collect::<Result<_, _>>()?;
        if headers.is_empty() {
            return Err(wrong("no header"));
        }
        let follows = |pair: &[Header]| match pair {
            [before, after] => after.previous() == before.hash(),
            _ => true,
        };
        if !headers.windows(2).all(follows) {
            return Err(wrong("a header that does not follow the one before"));
        }
        Ok(Self { network, first, headers })
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> Network {
        self.network
    }

    /// The height of the first one.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Header] {
        &self.headers
    }

    /// The header at a height, if it is among them.
    #[must_use]
    pub fn at(&self, height: u64) -> Option<&Header> {
        let place = usize::try_from(height.checked_sub(self.first)?).ok()?;
        self.headers.get(place)
    }
}
