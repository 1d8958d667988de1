//! Ed25519 on vectors of 512 bits, where the processor has them: two thirds of the time that AWS-LC takes
//! (`docs/adr/0024-ed25519-on-wide-vectors.md`).
//!
//! ed25519-dalek finds out by itself which arithmetic the processor can do, if it was built with this one (`.cargo/config.toml`). With
//! any other AWS-LC is quicker, so that the same questions are asked here.

use crate::CryptoError;
use ed25519_dalek::Verifier as _;

/// A key whose point was decoded once.
pub(crate) struct Key(ed25519_dalek::VerifyingKey);

impl Key {
    /// Nothing where AWS-LC is to verify: without the vectors, and for bytes that are no point of the curve.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.try_into().ok().filter(|_| has_vectors())?;
        ed25519_dalek::VerifyingKey::from_bytes(bytes).ok().map(Self)
    }

    /// The plain equation of RFC 8032 §5.1.7 without cofactor, `s` below the order: what AWS-LC computes, too.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        ed25519_dalek::Signature::from_slice(signature)
            .and_then(|signature| self.0.verify(message, &signature))
            .map_err(|_rejected| CryptoError::BadSignature)
    }
}

fn has_vectors() -> bool {
    cfg!(curve25519_dalek_backend = "avx512")
        && std::arch::is_x86_feature_detected!("avx512ifma")
        && std::arch::is_x86_feature_detected!("avx512vl")
}

#[cfg(test)]
mod tests {
    //! Goal: only points are taken, and only where the vectors are. `agreement` compares the answers, here with those of AWS-LC.

    use super::*;

    #[test]
    fn a_key_is_taken_where_the_processor_can_and_the_bytes_are_a_point() {
        let (mut two, mut three) = ([0; 32], [0; 32]);
        (two[0], three[0]) = (2, 3);
        assert!(Key::new(&two).is_none(), "no point of the curve has this y");
        assert!(Key::new(&three[..31]).is_none());
        assert_eq!(Key::new(&three).is_some(), has_vectors());
    }
}
