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

impl Proof {
    /// The earliest block whose header the verifier has and which holds what the proof leads to.
    ///
    /// # Errors
    /// [`ProofError::RootMismatch`] when a block that the verifier has holds something else: then nothing else in the proof
    /// counts. [`ProofError::Unsupported`] when no block that the verifier has is named.
    pub fn verify(&self, headers: &Headers) -> Result<Attested, ProofError> {
        let mut earliest: Option<Attested> = None;
        for (message, attestation) in self.stamp.attestations(&self.digest) {
            let Attestation::Bitcoin(height) = attestation else { continue };
            // What is behind an operation that is not computed here proves nothing, and nothing against it.
            let (Some(message), Some(header)) = (message, headers.at(*height)) else { continue };
            if message != header.merkle_root() {
                return Err(ProofError::RootMismatch);
            }
            if earliest.is_none_or(|known| *height < known.height) {
                earliest = Some(Attested { height: *height, time: header.time()? });
            }
        }
        earliest.ok_or(ProofError::Unsupported)
    }
}
