//! Rust alone, for the browser: what a verifier of receipts needs, and nothing that signs or seals.

use hmac::{Hmac, KeyInit as _, Mac as _};
use ml_dsa::{EncodedVerifyingKey, MlDsa44, MlDsa65, MlDsa87, MlDsaParams};
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use sha2::Digest as _;
use subtle::ConstantTimeEq as _;

use crate::{Algorithm, CryptoError, OutsideKind, Sha2};

/// A hash of data that comes in pieces.
pub(crate) enum Digest {
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl Digest {
    pub(crate) fn new(function: Sha2) -> Self {
        match function {
            Sha2::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Sha2::Sha384 => Self::Sha384(sha2::Sha384::new()),
            Sha2::Sha512 => Self::Sha512(sha2::Sha512::new()),
        }
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Sha256(context) => context.update(piece),
            Self::Sha384(context) => context.update(piece),
            Self::Sha512(context) => context.update(piece),
        }
    }

    pub(crate) fn finish(self) -> impl AsRef<[u8]> {
        match self {
            Self::Sha256(context) => context.finalize().to_vec(),
            Self::Sha384(context) => context.finalize().to_vec(),
            Self::Sha512(context) => context.finalize().to_vec(),
        }
    }
}

/// The hash of `data`.
pub(crate) fn digest(function: Sha2, data: &[u8]) -> impl AsRef<[u8]> {
    let mut context = Digest::new(function);
    context.update(data);
    context.finish()
}

/// SHA-1 of `data`.
pub(crate) fn sha1(data: &[u8]) -> impl AsRef<[u8]> {
    sha1::Sha1::digest(data)
}

/// HMAC-SHA-256 under `key` of the concatenation of `parts`.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> impl AsRef<[u8]> {
    // A key of any length is one: HMAC hashes what is longer than a block.
    let context = Hmac::<sha2::Sha256>::new_from_slice(key).ok().map(|mut context| {
        parts.iter().for_each(|part| context.update(part));
        context.finalize().into_bytes().to_vec()
    });
    context.unwrap_or_default()
}

/// Whether `a` equals `b`, in time that depends on their lengths only.
pub(crate) fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// A key of ours that was read once and verifies many signatures.
pub(crate) enum VerifyingKey {
    /// Not decoded yet: AWS-LC finds an encoding that is no curve point only with the first signature.
    Ed25519([u8; 32]),
    P256(Box<p256::ecdsa::VerifyingKey>),
    MlDsa44(Box<[u8]>),
    MlDsa65(Box<[u8]>),
}

impl VerifyingKey {
    pub(crate) fn new(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, CryptoError> {
        match algorithm {
            Algorithm::Ed25519 => {
                bytes.try_into().map(Self::Ed25519).map_err(|_length| CryptoError::BadKey)
            }
            Algorithm::P256 => p256_key(bytes).map(|key| Self::P256(Box::new(key))),
            Algorithm::MlDsa44 => Ok(Self::MlDsa44(bytes.into())),
            Algorithm::MlDsa65 => Ok(Self::MlDsa65(bytes.into())),
        }
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let holds = match self {
            Self::Ed25519(key) => ed25519(key, message, signature),
            Self::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .and_then(|signature| {
                    key.verify_prehash(digest(Sha2::Sha256, message).as_ref(), &signature)
                })
                .is_ok(),
            Self::MlDsa44(key) => ml_dsa::<MlDsa44>(key, message, signature),
            Self::MlDsa65(key) => ml_dsa::<MlDsa65>(key, message, signature),
        };
        if holds { Ok(()) } else { Err(CryptoError::BadSignature) }
    }
}

/// Verifies what others sign.
///
/// Time-stamps in receipts are signed by ECDSA on P-256 or by ML-DSA-65 (`spec/receipt.md`). Keys on larger curves and of RSA are refused here:
/// their libraries would double the size of the page that carries this code.
pub(crate) fn verify_outside(
    kind: OutsideKind,
    hash: Sha2,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    let holds = match kind {
        OutsideKind::P256 => p256_der(hash, key, message, signature),
        OutsideKind::Ed25519 => {
            key.try_into().is_ok_and(|key: &[u8; 32]| ed25519(key, message, signature))
        }
        OutsideKind::MlDsa44 => ml_dsa::<MlDsa44>(key, message, signature),
        OutsideKind::MlDsa65 => ml_dsa::<MlDsa65>(key, message, signature),
        OutsideKind::MlDsa87 => ml_dsa::<MlDsa87>(key, message, signature),
        OutsideKind::P384 | OutsideKind::P521 | OutsideKind::Rsa | OutsideKind::RsaPss => {
            return Err(CryptoError::BadKey);
        }
    };
    if holds { Ok(()) } else { Err(CryptoError::BadSignature) }
}

fn p256_key(bytes: &[u8]) -> Result<p256::ecdsa::VerifyingKey, CryptoError> {
    p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).map_err(|_rejected| CryptoError::BadKey)
}

fn p256_der(hash: Sha2, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = p256_key(key) else { return false };
    let Ok(signature) = p256::ecdsa::Signature::from_der(signature) else { return false };
    key.verify_prehash(digest(hash, message).as_ref(), &signature).is_ok()
}

/// The plain equation of RFC 8032 §5.1.7 without cofactor, `s` below the order: what AWS-LC computes, too.
fn ed25519(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    use ed25519_dalek::Verifier as _;
    let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(key) else { return false };
    let Ok(signature) = ed25519_dalek::Signature::from_slice(signature) else { return false };
    key.verify(message, &signature).is_ok()
}

/// Pure, with the empty context (FIPS 204 §5.3).
fn ml_dsa<P: MlDsaParams>(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = EncodedVerifyingKey::<P>::try_from(key) else { return false };
    let Ok(signature) = ml_dsa::Signature::<P>::try_from(signature) else { return false };
    ml_dsa::VerifyingKey::<P>::decode(&key).verify_with_context(message, &[], &signature)
}
