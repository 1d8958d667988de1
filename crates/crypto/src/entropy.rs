//! Randomness as a parameter.

use crate::{CryptoError, sha256_parts};

/// A source of bytes that nobody can predict.
///
/// The edge of the system implements it over the operating system's generator; the floors below are handed it.
pub trait Entropy {
    /// Fills all of `out`.
    ///
    /// # Errors
    /// [`CryptoError::Entropy`] when the source fails; `out` must then not be used.
    fn fill(&mut self, out: &mut [u8]) -> Result<(), CryptoError>;
}

/// A deterministic stream: block `i` is SHA-256 of a label, the seed and `i`.
///
/// Dangerous: everything it gives is known to whoever knows the 64-bit seed. For tests and simulation only.
#[derive(Debug, Clone)]
pub struct FixedEntropy {
    seed: u64,
    next_block: u64,
}

impl FixedEntropy {
    /// Starts the stream of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, next_block: 0 }
    }
}

impl Entropy for FixedEntropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), CryptoError> {
        for chunk in out.chunks_mut(32) {
            let block = sha256_parts(&[
                b"tpw fixed entropy",
                &self.seed.to_be_bytes(),
                &self.next_block.to_be_bytes(),
            ]);
            self.next_block = self.next_block.checked_add(1).ok_or(CryptoError::Entropy)?;
            for (to, from) in chunk.iter_mut().zip(block) {
                *to = from;
            }
        }
        Ok(())
    }
}
