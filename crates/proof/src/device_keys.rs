//! The keys that a device signs statements with: one, or, of a hybrid device, a classical one and an ML-DSA-44 one that both have to sign.

use crate::cose;
use crate::error::ProofError;
use tpw_core::DeviceKey;
use tpw_crypto::{Algorithm, PublicKey, Signer, SlotName, sha256_parts};

/// What the ML-DSA-44 key of a device signs at its enrolment.
const POSSESSION: &[u8] = b"tpw/hybrid-device/v1\0";

/// A device's keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceKeys {
    classical: PublicKey,
    post_quantum: Option<PublicKey>,
}

impl From<PublicKey> for DeviceKeys {
    fn from(classical: PublicKey) -> Self {
        Self { classical, post_quantum: None }
    }
}

impl DeviceKeys {
    /// A classical key, and beside it an ML-DSA-44 key if the device is hybrid.
    ///
    /// # Errors
    /// [`ProofError::UnknownAlgorithm`] when a key is of another kind.
    pub fn new(classical: PublicKey, post_quantum: Option<PublicKey>) -> Result<Self, ProofError> {
        let refused = |key: &PublicKey| Err(ProofError::UnknownAlgorithm(cose::algorithm(key)));
        if !matches!(classical.algorithm(), Algorithm::Ed25519 | Algorithm::P256) {
            return refused(&classical);
        }
        match post_quantum {
            Some(key) if key.algorithm() != Algorithm::MlDsa44 => refused(&key),
            post_quantum => Ok(Self { classical, post_quantum }),
        }
    }

    /// The key that names the device: Ed25519 or P-256.
    #[must_use]
    pub const fn classical(&self) -> &PublicKey {
        &self.classical
    }

    /// The ML-DSA-44 key of a hybrid device.
    #[must_use]
    pub const fn post_quantum(&self) -> Option<&PublicKey> {
        self.post_quantum.as_ref()
    }

    /// As the record of a payment holds them.
    #[must_use]
    pub fn to_record(&self) -> DeviceKey {
        DeviceKey {
            algorithm: cose::algorithm(&self.classical),
            bytes: self.classical.as_bytes().to_vec(),
            post_quantum: self.post_quantum.as_ref().map(|key| key.as_bytes().to_vec()),
        }
    }

    /// Those that a record holds.
    ///
    /// # Errors
    /// [`ProofError::UnknownAlgorithm`], or a crypto error when the bytes are no key.
    pub fn from_record(key: &DeviceKey) -> Result<Self, ProofError> {
        let read = |bytes: &Vec<u8>| PublicKey::from_bytes(Algorithm::MlDsa44, bytes);
        let post_quantum = key.post_quantum.as_ref().map(read).transpose()?;
        Self::new(cose::public_key(key)?, post_quantum)
    }
}

/// What shows at an enrolment that the device has its ML-DSA-44 key, too: a signature with it over the thumbprints (RFC 9679) of both keys.
///
/// # Errors
/// A crypto error when a slot has no key or the signer cannot sign.
pub fn prove_possession(
    signer: &dyn Signer,
    classical: &SlotName,
    post_quantum: &SlotName,
) -> Result<Vec<u8>, ProofError> {
    let (own, other) = (signer.public_key(post_quantum)?, signer.public_key(classical)?);
    Ok(signer.sign(post_quantum, &possession(&other, &own))?)
}

/// Checks what [`prove_possession`] makes.
///
/// # Errors
/// [`ProofError::UnknownAlgorithm`] for a key of another kind, a crypto error when it does not hold.
pub fn check_possession(
    classical: &PublicKey,
    post_quantum: &PublicKey,
    proof: &[u8],
) -> Result<(), ProofError> {
    if post_quantum.algorithm() != Algorithm::MlDsa44 {
        return Err(ProofError::UnknownAlgorithm(cose::algorithm(post_quantum)));
    }
    Ok(post_quantum.verify(&possession(classical, post_quantum), proof)?)
}

fn possession(classical: &PublicKey, post_quantum: &PublicKey) -> [u8; 32] {
    let (first, second) = (classical.cose_key_thumbprint(), post_quantum.cose_key_thumbprint());
    sha256_parts(&[POSSESSION, &first, &second])
}
