//! OpenTimestamps: proofs that a hash was known before a Bitcoin block was made, as the client `ots` reads and writes them.
//!
//! A proof is a tree: operations lead from the hash of a file to values that a calendar has promised to commit to, or that are
//! the Merkle root of a block. INVARIANT: only a block header that the verifier gives makes a proof hold; a calendar's promise
//! proves nothing.

mod chain;
mod file;
mod op;

pub use chain::{HEADER_LEN, Header, Headers, Network};
pub use file::{Attestation, LEN_MAX, Proof, Stamp};
pub use op::Op;

use crate::error::ProofError;
use tpw_core::Instant;

/// What a proof shows by blocks that the verifier has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attested {
    /// The block.
    pub height: u64,
    /// The time in its header, as its miner has set it: off by two hours at most, as the network allows.
    pub time: Instant,
}

/// A block that a proof leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NamedBlock {
    /// Its height.
    pub height: u64,
    /// What its Merkle root has to be; none for a value of another length, which no block's root is.
    pub root: Option<[u8; 32]>,
}

impl NamedBlock {
    /// What its header says, when it is among these.
    ///
    /// # Errors
    /// [`ProofError::RootMismatch`] when the block holds something else.
    pub fn attested(&self, headers: &Headers) -> Result<Option<Attested>, ProofError> {
        let Some(header) = headers.at(self.height) else { return Ok(None) };
        if self.root != Some(header.merkle_root()) {
            return Err(ProofError::RootMismatch);
        }
        Ok(Some(Attested { height: self.height, time: header.time()? }))
    }
}

/// The earliest of these blocks whose header the verifier has.
///
/// # Errors
/// [`ProofError::RootMismatch`] when one of those that the verifier has holds something else: then no other counts.
pub fn earliest(blocks: &[NamedBlock], headers: &Headers) -> Result<Option<Attested>, ProofError> {
    let mut earliest: Option<Attested> = None;
    for block in blocks {
        let Some(attested) = block.attested(headers)? else { continue };
        if earliest.is_none_or(|known| attested.height < known.height) {
            earliest = Some(attested);
        }
    }
    Ok(earliest)
}

impl Proof {
    /// The blocks that it leads to by operations that are computed here. What is behind another one proves nothing, and nothing
    /// against it; a promise is no block.
    #[must_use]
    pub fn blocks(&self) -> Vec<NamedBlock> {
        let mut found = Vec::new();
        self.stamp.visit(Some(&self.digest), &mut |value, attestation| {
            if let (Some(value), Attestation::Bitcoin(height)) = (value, attestation) {
                found.push(NamedBlock { height: *height, root: value.try_into().ok() });
            }
        });
        found
    }

    /// The earliest block whose header the verifier has and which holds what the proof leads to.
    ///
    /// # Errors
    /// [`ProofError::RootMismatch`] when a block that the verifier has holds something else: then nothing else in the proof
    /// counts. [`ProofError::Unsupported`] when no block that the verifier has is named.
    pub fn verify(&self, headers: &Headers) -> Result<Attested, ProofError> {
        earliest(&self.blocks(), headers)?.ok_or(ProofError::Unsupported)
    }
}
