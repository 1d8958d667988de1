//! Randomness from the operating system.

use tpw_crypto::{CryptoError, Entropy};

/// The operating system's generator (`getrandom(2)` on Linux). Every fill asks it afresh; nothing is kept.
#[derive(Debug, Clone, Copy)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), CryptoError> {
        getrandom::fill(out).map_err(|_unavailable| CryptoError::Entropy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_fills_differ_and_fill_everything() {
        let (mut a, mut b) = ([0_u8; 64], [0_u8; 64]);
        OsEntropy.fill(&mut a).unwrap();
        OsEntropy.fill(&mut b).unwrap();
        assert_ne!(a, b);
        // 2^-256 that a half stays zero by chance.
        assert!(a.iter().take(32).any(|byte| *byte != 0));
        assert!(a.iter().skip(32).any(|byte| *byte != 0));
    }
}
