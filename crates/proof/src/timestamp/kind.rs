//! The kinds of keys that this authority signs with, and what follows from the kind.

use const_oid::ObjectIdentifier;
use spki::AlgorithmIdentifierOwned;
use tpw_crypto::{Algorithm, PublicKey, Sha2, der_ecdsa};

use super::TspError;
use super::asn1::ECDSA_SHA256;
use super::scheme::ML_DSA_65;

/// A kind of time-stamping key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StampKind {
    /// ECDSA on P-256 with SHA-256: what every verifier reads.
    P256,
    /// ML-DSA-65 in CMS (RFC 9882).
    MlDsa65,
}

impl StampKind {
    pub(super) fn of(key: &PublicKey) -> Result<Self, TspError> {
        match key.algorithm() {
            Algorithm::P256 => Ok(Self::P256),
            Algorithm::MlDsa65 => Ok(Self::MlDsa65),
            Algorithm::Ed25519 | Algorithm::MlDsa44 => {
                Err(TspError::Setup("time-stamp keys are P-256 or ML-DSA-65 keys"))
            }
        }
    }

    /// What a certificate says of its key (RFC 9881 §2: the identifier of an ML-DSA key is that of its signatures).
    pub(super) fn of_identifier(oid: ObjectIdentifier) -> Self {
        if oid == ML_DSA_65 { Self::MlDsa65 } else { Self::P256 }
    }

    /// RFC 5758 §3.2, RFC 9881 §2: the parameters are absent.
    pub(super) fn signature_algorithm(self) -> AlgorithmIdentifierOwned {
        let oid = match self {
            Self::P256 => ECDSA_SHA256,
            Self::MlDsa65 => ML_DSA_65,
        };
        AlgorithmIdentifierOwned { oid, parameters: None }
    }

    /// The digest of a token's content and of the certificate that it names. RFC 9882 §3.3 wants one as strong as the signature, and
    /// SHA-512 of everybody.
    pub(super) const fn digest(self) -> Sha2 {
        match self {
            Self::P256 => Sha2::Sha256,
            Self::MlDsa65 => Sha2::Sha512,
        }
    }

    /// A slot's signature in the form of X.509 and CMS.
    pub(super) fn encoded(self, signature: Vec<u8>) -> Result<Vec<u8>, TspError> {
        match self {
            Self::P256 => Ok(der_ecdsa(&signature)?),
            Self::MlDsa65 => Ok(signature),
        }
    }

    /// Its name in the table of algorithms.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::P256 => "ECDSA P-256",
            Self::MlDsa65 => "ML-DSA-65",
        }
    }
}
