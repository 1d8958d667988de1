//! Which signature algorithms pass, and what a signature of each of them is verified with.

use const_oid::ObjectIdentifier;
use der::Sequence;
use der::asn1::Any;
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use tpw_crypto::{CryptoError, OutsideKind, Sha2, verify_outside};

use super::TspError;
use super::asn1::{ECDSA_SHA256, named_hash};

/// Which tokens pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// Those of receipts (`spec/receipt.md`): signatures and certificates of ECDSA on P-256 with SHA-256, or of ML-DSA-65 over a digest
    /// of SHA-512, and signing-certificate-v2. What is stamped may be hashed by either. A second verifier holds the same rules.
    Receipt,
    /// Every token that RFC 3161 and RFC 5816 allow, signed by any algorithm that is known here.
    Any,
}

impl Profile {
    /// Whether certificates and data may be hashed by `hash`.
    pub(super) fn takes(self, hash: Sha2) -> bool {
        self == Self::Any || hash != Sha2::Sha384
    }
}

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

const EC_PUBLIC_KEY: ObjectIdentifier = oid("1.2.840.10045.2.1");
const P256: ObjectIdentifier = oid("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = oid("1.3.132.0.34");
const P521: ObjectIdentifier = oid("1.3.132.0.35");
const ECDSA_SHA384: ObjectIdentifier = oid("1.2.840.10045.4.3.3");
const ECDSA_SHA512: ObjectIdentifier = oid("1.2.840.10045.4.3.4");
const RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
const RSA_SHA256: ObjectIdentifier = oid("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = oid("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = oid("1.2.840.113549.1.1.13");
const RSA_PSS: ObjectIdentifier = oid("1.2.840.113549.1.1.10");
const MGF1: ObjectIdentifier = oid("1.2.840.113549.1.1.8");
const ED25519: ObjectIdentifier = oid("1.3.101.112");
const ML_DSA_44: ObjectIdentifier = oid("2.16.840.1.101.3.4.3.17");
pub(super) const ML_DSA_65: ObjectIdentifier = oid("2.16.840.1.101.3.4.3.18");
const ML_DSA_87: ObjectIdentifier = oid("2.16.840.1.101.3.4.3.19");

/// How a certificate or a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SignatureScheme {
    kind: OutsideKind,
    hash: Sha2,
}

impl SignatureScheme {
    /// The scheme that `identifier` names for the key `spki`. `beside` is the digest algorithm that stands beside it in a
    /// token, if there is one.
    pub(super) fn read(
        identifier: &AlgorithmIdentifierOwned,
        spki: &SubjectPublicKeyInfoOwned,
        beside: Option<Sha2>,
        profile: Profile,
    ) -> Result<Self, TspError> {
        let key = key_kind(&spki.algorithm).ok_or(TspError::SignatureAlgorithm)?;
        let scheme = named_scheme(identifier, key, beside).ok_or(TspError::SignatureAlgorithm)?;
        if profile == Profile::Receipt && !Self::OF_RECEIPTS.contains(&scheme) {
            return Err(TspError::SignatureAlgorithm);
        }
        Ok(scheme)
    }

    const OF_RECEIPTS: [Self; 2] = [
        Self { kind: OutsideKind::P256, hash: Sha2::Sha256 },
        // It hashes by itself.
        Self { kind: OutsideKind::MlDsa65, hash: Sha2::Sha512 },
    ];

    /// Whether a certificate for this key may be signed so: in receipts all keys of a chain are of one kind, so that none is weaker
    /// than the one that signed the token.
    pub(super) fn may_certify(self, subject: &SubjectPublicKeyInfoOwned, profile: Profile) -> bool {
        profile == Profile::Any || key_kind(&subject.algorithm) == Some(self.kind)
    }

    /// Whether a token so signed may have `digest` over its content: no weaker link in between.
    pub(super) fn allows_digest(self, digest: Sha2) -> bool {
        match self.kind {
            OutsideKind::P256
            | OutsideKind::P384
            | OutsideKind::P521
            | OutsideKind::Rsa
            | OutsideKind::RsaPss => digest == self.hash,
            // RFC 8419 §3.1.
            OutsideKind::Ed25519 => digest == Sha2::Sha512,
            // RFC 9882 §3.3: as strong against collisions as the signature.
            OutsideKind::MlDsa44 => true,
            OutsideKind::MlDsa65 => digest != Sha2::Sha256,
            OutsideKind::MlDsa87 => digest == Sha2::Sha512,
        }
    }

    pub(super) fn verify(
        self,
        spki: &SubjectPublicKeyInfoOwned,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), TspError> {
        let key = spki.subject_public_key.as_bytes().ok_or(TspError::SignatureAlgorithm)?;
        match verify_outside(self.kind, self.hash, key, message, signature) {
            Ok(()) => Ok(()),
            Err(CryptoError::BadKey) => Err(TspError::SignatureAlgorithm),
            Err(_bad) => Err(TspError::BadSignature),
        }
    }
}

/// The kind of a key by its algorithm: RFC 5480 §2.1.1, RFC 3279 §2.3.1, RFC 8410 §3, RFC 9881 §4.
fn key_kind(algorithm: &AlgorithmIdentifierOwned) -> Option<OutsideKind> {
    let parameters = algorithm.parameters.as_ref();
    match algorithm.oid {
        EC_PUBLIC_KEY => match parameters?.decode_as::<ObjectIdentifier>().ok()? {
            P256 => Some(OutsideKind::P256),
            P384 => Some(OutsideKind::P384),
            P521 => Some(OutsideKind::P521),
            _ => None,
        },
        RSA => parameters?.is_null().then_some(OutsideKind::Rsa),
        other => self_hashing_kind(other).filter(|_kind| parameters.is_none()),
    }
}

/// The algorithms whose one identifier names key and signature.
fn self_hashing_kind(oid: ObjectIdentifier) -> Option<OutsideKind> {
    match oid {
        ED25519 => Some(OutsideKind::Ed25519),
        ML_DSA_44 => Some(OutsideKind::MlDsa44),
        ML_DSA_65 => Some(OutsideKind::MlDsa65),
        ML_DSA_87 => Some(OutsideKind::MlDsa87),
        _ => None,
    }
}

/// The scheme of a signature by its identifier, which must be one for keys of this kind.
fn named_scheme(
    identifier: &AlgorithmIdentifierOwned,
    kind: OutsideKind,
    beside: Option<Sha2>,
) -> Option<SignatureScheme> {
    let parameters = identifier.parameters.as_ref();
    // RFC 4055 §5: NULL, and absent is taken too.
    let rsa = kind == OutsideKind::Rsa && parameters.is_none_or(|given| given.is_null());
    let plain = parameters.is_none();
    let ecdsa = plain && matches!(kind, OutsideKind::P256 | OutsideKind::P384 | OutsideKind::P521);
    let hash = match identifier.oid {
        // RFC 5758 §3.2: the parameters are absent.
        ECDSA_SHA256 if ecdsa => Sha2::Sha256,
        ECDSA_SHA384 if ecdsa => Sha2::Sha384,
        ECDSA_SHA512 if ecdsa => Sha2::Sha512,
        RSA_SHA256 if rsa => Sha2::Sha256,
        RSA_SHA384 if rsa => Sha2::Sha384,
        RSA_SHA512 if rsa => Sha2::Sha512,
        // RFC 3370 §3.2: in a token the digest algorithm says the hash.
        RSA if rsa => beside?,
        RSA_PSS if kind == OutsideKind::Rsa => {
            let hash = pss_hash(parameters?)?;
            return Some(SignatureScheme { kind: OutsideKind::RsaPss, hash });
        }
        // These hash by themselves.
        other if plain && self_hashing_kind(other) == Some(kind) => Sha2::Sha512,
        _ => return None,
    };
    Some(SignatureScheme { kind, hash })
}

/// RFC 4055 §3.1. What is absent means SHA-1 or a salt of 20 bytes, and is refused.
#[derive(Sequence)]
struct PssParameters {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    hash: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT")]
    mask: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT")]
    salt_len: u64,
}

/// The hash of RSASSA-PSS, if its parameters are the usual ones: the same hash for the mask, and a salt as long as it.
fn pss_hash(parameters: &Any) -> Option<Sha2> {
    let parameters: PssParameters = parameters.decode_as().ok()?;
    let hash = named_hash(&parameters.hash)?;
    let mask: AlgorithmIdentifierOwned = parameters.mask.parameters.as_ref()?.decode_as().ok()?;
    let usual = parameters.mask.oid == MGF1
        && named_hash(&mask) == Some(hash)
        && usize::try_from(parameters.salt_len).is_ok_and(|length| length == hash.output_len());
    usual.then_some(hash)
}
