//! AWS-LC, on every machine that runs the product.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA384_ASN1,
    ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1,
    ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519, ML_DSA_44,
    ML_DSA_65, ML_DSA_87, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use aws_lc_rs::{constant_time, digest as aws_digest, hmac};

use crate::{Algorithm, CryptoError, OutsideKind, Sha2};

/// A hash of data that comes in pieces.
pub(crate) struct Digest(aws_digest::Context);

impl Digest {
    pub(crate) fn new(function: Sha2) -> Self {
        Self(aws_digest::Context::new(algorithm(function)))
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(crate) fn finish(self) -> impl AsRef<[u8]> {
        self.0.finish()
    }
}

/// The hash of `data`.
pub(crate) fn digest(function: Sha2, data: &[u8]) -> impl AsRef<[u8]> {
    aws_digest::digest(algorithm(function), data)
}

/// SHA-1 of `data`.
pub(crate) fn sha1(data: &[u8]) -> impl AsRef<[u8]> {
    aws_digest::digest(&aws_digest::SHA1_FOR_LEGACY_USE_ONLY, data)
}

/// HMAC-SHA-256 under `key` of the concatenation of `parts`.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> impl AsRef<[u8]> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    context.sign()
}

/// Whether `a` equals `b`, in time that depends on their lengths only.
pub(crate) fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

fn algorithm(function: Sha2) -> &'static aws_digest::Algorithm {
    match function {
        Sha2::Sha256 => &aws_digest::SHA256,
        Sha2::Sha384 => &aws_digest::SHA384,
        Sha2::Sha512 => &aws_digest::SHA512,
    }
}

/// A key of ours that was read once and verifies many signatures.
pub(crate) struct VerifyingKey(ParsedPublicKey);

impl VerifyingKey {
    pub(crate) fn new(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, CryptoError> {
        let verification: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::Ed25519 => &ED25519,
            Algorithm::P256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::MlDsa44 => &ML_DSA_44,
            Algorithm::MlDsa65 => &ML_DSA_65,
        };
        let parsed = ParsedPublicKey::new(verification, bytes);
        parsed.map(Self).map_err(|_rejected| CryptoError::BadKey)
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        self.0.verify_sig(message, signature).map_err(|_unspecified| CryptoError::BadSignature)
    }
}

/// Verifies what others sign.
pub(crate) fn verify_outside(
    kind: OutsideKind,
    hash: Sha2,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    UnparsedPublicKey::new(outside(kind, hash), key)
        .verify(message, signature)
        .map_err(|_unspecified| CryptoError::BadSignature)
}

fn outside(kind: OutsideKind, hash: Sha2) -> &'static dyn VerificationAlgorithm {
    use Sha2::{Sha256, Sha384, Sha512};
    match (kind, hash) {
        (OutsideKind::P256, Sha256) => &ECDSA_P256_SHA256_ASN1,
        (OutsideKind::P256, Sha384) => &ECDSA_P256_SHA384_ASN1,
        (OutsideKind::P256, Sha512) => &ECDSA_P256_SHA512_ASN1,
        (OutsideKind::P384, Sha256) => &ECDSA_P384_SHA256_ASN1,
        (OutsideKind::P384, Sha384) => &ECDSA_P384_SHA384_ASN1,
        (OutsideKind::P384, Sha512) => &ECDSA_P384_SHA512_ASN1,
        (OutsideKind::P521, Sha256) => &ECDSA_P521_SHA256_ASN1,
        (OutsideKind::P521, Sha384) => &ECDSA_P521_SHA384_ASN1,
        (OutsideKind::P521, Sha512) => &ECDSA_P521_SHA512_ASN1,
        (OutsideKind::Rsa, Sha256) => &RSA_PKCS1_2048_8192_SHA256,
        (OutsideKind::Rsa, Sha384) => &RSA_PKCS1_2048_8192_SHA384,
        (OutsideKind::Rsa, Sha512) => &RSA_PKCS1_2048_8192_SHA512,
        (OutsideKind::RsaPss, Sha256) => &RSA_PSS_2048_8192_SHA256,
        (OutsideKind::RsaPss, Sha384) => &RSA_PSS_2048_8192_SHA384,
        (OutsideKind::RsaPss, Sha512) => &RSA_PSS_2048_8192_SHA512,
        (OutsideKind::Ed25519, _) => &ED25519,
        (OutsideKind::MlDsa44, _) => &ML_DSA_44,
        (OutsideKind::MlDsa65, _) => &ML_DSA_65,
        (OutsideKind::MlDsa87, _) => &ML_DSA_87,
    }
}
