//! Public keys and verification.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use crate::backend::{self, VerifyingKey};
use crate::{CryptoError, OutsideKind, Sha2};

/// The signature algorithms of the wallet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Algorithm {
    /// Ed25519, pure (RFC 8032 §5.1).
    Ed25519,
    /// ECDSA on P-256 with SHA-256 (FIPS 186-5), signatures as `r || s`.
    P256,
    /// ML-DSA-44, pure, empty context (FIPS 204).
    MlDsa44,
    /// ML-DSA-65, pure, empty context (FIPS 204): for certificates and time-stamps.
    MlDsa65,
}

impl Algorithm {
    /// Every algorithm, in its stable order.
    pub const ALL: [Self; 4] = [Self::Ed25519, Self::P256, Self::MlDsa44, Self::MlDsa65];

    /// The name in formats and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "Ed25519",
            Self::P256 => "P-256",
            Self::MlDsa44 => "ML-DSA-44",
            Self::MlDsa65 => "ML-DSA-65",
        }
    }

    /// The algorithm of that exact [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The length of a public key, in bytes.
    #[must_use]
    pub const fn public_key_len(self) -> usize {
        match self {
            Self::Ed25519 => 32,
            Self::P256 => 65,
            Self::MlDsa44 => 1312,
            Self::MlDsa65 => 1952,
        }
    }

    /// The length of a signature, in bytes.
    #[must_use]
    pub const fn signature_len(self) -> usize {
        match self {
            Self::Ed25519 | Self::P256 => 64,
            Self::MlDsa44 => 2420,
            Self::MlDsa65 => 3309,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A public key that passed the checks of its algorithm. Cheap to clone.
#[derive(Clone)]
pub struct PublicKey(Arc<Parsed>);

struct Parsed {
    algorithm: Algorithm,
    bytes: Box<[u8]>,
    backend: VerifyingKey,
    /// Asked for with every request of a device, so that they are kept.
    jwk_thumbprint: OnceLock<[u8; 32]>,
    cose_thumbprint: OnceLock<[u8; 32]>,
}

impl PublicKey {
    /// Reads a key: Ed25519 32 bytes (RFC 8032), P-256 65 bytes (SEC 1 §2.3.3, uncompressed), ML-DSA-44 1312 and
    /// ML-DSA-65 1952 bytes (FIPS 204, `pkEncode`).
    ///
    /// # Errors
    /// [`CryptoError::BadKey`] when the length, the encoding or the point is not acceptable.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, CryptoError> {
        if !is_key_form(algorithm, bytes) {
            return Err(CryptoError::BadKey);
        }
        let backend = VerifyingKey::new(algorithm, bytes)?;
        Ok(Self(Arc::new(Parsed {
            algorithm,
            bytes: bytes.into(),
            backend,
            jwk_thumbprint: OnceLock::new(),
            cose_thumbprint: OnceLock::new(),
        })))
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// The key's bytes, as [`from_bytes`](Self::from_bytes) takes them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The kept JWK thumbprint, which `make` computes the first time.
    pub(crate) fn jwk_thumbprint_or(&self, make: impl FnOnce() -> [u8; 32]) -> [u8; 32] {
        *self.0.jwk_thumbprint.get_or_init(make)
    }

    /// The kept COSE thumbprint, which `make` computes the first time.
    pub(crate) fn cose_thumbprint_or(&self, make: impl FnOnce() -> [u8; 32]) -> [u8; 32] {
        *self.0.cose_thumbprint.get_or_init(make)
    }

    /// Verifies `signature` over `message`: Ed25519 strictly (`s` below the order, no small-order `R`), P-256 as
    /// `r || s` over SHA-256 of the message, ML-DSA pure with the empty context.
    ///
    /// # Errors
    /// [`CryptoError::BadSignature`] for every signature that does not verify, whatever the reason.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        if !is_signature_form(self.0.algorithm, signature) {
            return Err(CryptoError::BadSignature);
        }
        self.0.backend.verify(message, signature)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.algorithm == other.0.algorithm && self.0.bytes == other.0.bytes
    }
}

impl Eq for PublicKey {}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.algorithm.hash(state);
        self.0.bytes.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} ", self.0.algorithm)?;
        for byte in self.0.bytes.iter().take(8) {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("..)")
    }
}

/// Verifies an ECDSA P-256 signature in its X.509 and CMS form, DER `Ecdsa-Sig-Value` (RFC 3279 §2.2.3), over SHA-256
/// of `message`.
///
/// # Errors
/// [`CryptoError::BadKey`] when `public` is no P-256 key; [`CryptoError::BadSignature`] otherwise.
pub fn verify_p256_der(
    public: &PublicKey,
    message: &[u8],
    signature_der: &[u8],
) -> Result<(), CryptoError> {
    if public.algorithm() != Algorithm::P256 {
        return Err(CryptoError::BadKey);
    }
    let key = public.as_bytes();
    backend::verify_outside(OutsideKind::P256, Sha2::Sha256, key, message, signature_der)
}

/// Whether a key comes in the one form of its algorithm. Backends also take hybrid or compressed points, points that are not
/// canonical and whole SPKI documents, each its own.
pub(crate) fn is_key_form(algorithm: Algorithm, bytes: &[u8]) -> bool {
    bytes.len() == algorithm.public_key_len()
        && match algorithm {
            Algorithm::Ed25519 => is_strict_ed25519_point(bytes),
            Algorithm::P256 => bytes.first() == Some(&0x04),
            Algorithm::MlDsa44 | Algorithm::MlDsa65 => true,
        }
}

/// The same for a signature.
pub(crate) fn is_signature_form(algorithm: Algorithm, signature: &[u8]) -> bool {
    signature.len() == algorithm.signature_len()
        && (algorithm != Algorithm::Ed25519
            || signature.get(..32).is_some_and(is_strict_ed25519_point))
}

/// The field prime of edwards25519, 2^255 - 19, little endian.
const ED25519_P: [u8; 32] = {
    let mut p = [0xff; 32];
    p[0] = 0xed;
    p[31] = 0x7f;
    p
};

/// The `y` coordinates of the eight points of small order, little endian: 0 (order 4), 1 (the identity), p - 1
/// (order 2) and the two of order 8.
const ED25519_SMALL_ORDER_Y: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = ED25519_P;
        minus_one[0] = 0xec;
        minus_one
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

/// Whether `bytes` encode `y` canonically (RFC 8032 §5.1.3: `y < p`) and not a point of small order, under which one
/// signature could verify for many messages.
fn is_strict_ed25519_point(bytes: &[u8]) -> bool {
    let Ok(mut y) = <[u8; 32]>::try_from(bytes) else {
        return false;
    };
    if let Some(top) = y.last_mut() {
        *top &= 0x7f;
    }
    y.iter().rev().lt(ED25519_P.iter().rev()) && !ED25519_SMALL_ORDER_Y.contains(&y)
}
