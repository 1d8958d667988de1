//! Verification by the library that is the quickest on this processor. Which one it is changes no answer.

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::aws_lc;
use crate::{Algorithm, CryptoError};

/// A key of ours that was read once and verifies many signatures.
pub(crate) enum VerifyingKey {
    AwsLc(aws_lc::VerifyingKey),
    #[cfg(target_arch = "x86_64")]
    Avx512(Box<avx512::Key>),
}

impl VerifyingKey {
    pub(crate) fn new(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, CryptoError> {
        #[cfg(target_arch = "x86_64")]
        if algorithm == Algorithm::Ed25519
            && let Some(key) = avx512::Key::new(bytes)
        {
            return Ok(Self::Avx512(Box::new(key)));
        }
        aws_lc::VerifyingKey::new(algorithm, bytes).map(Self::AwsLc)
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        match self {
            Self::AwsLc(key) => key.verify(message, signature),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(key) => key.verify(message, signature),
        }
    }
}
