//! A credential's public key as authenticators give it: a COSE_Key (RFC 9052 §7), and how it verifies.

use std::collections::BTreeMap;

use der::asn1::UintRef;
use der::{Encode, Sequence};
use minicbor::Decoder;
use minicbor::data::Type;
use tpw_crypto::{CryptoError, OutsideKind, Sha2, verify_outside};

use super::WebauthnError;

tpw_core::codes! {
    /// An algorithm of a credential, by its number in the COSE registry. In the order in which they are offered.
    CoseAlgorithm: i32 {
        /// ECDSA on P-256 with SHA-256.
        Es256 = -7 "ES256",
        /// EdDSA, of which only Ed25519 is taken.
        Ed25519 = -8 "EdDSA",
        /// ECDSA on P-384 with SHA-384.
        Es384 = -35 "ES384",
        /// ECDSA on P-521 with SHA-512.
        Es512 = -36 "ES512",
        /// RSASSA-PKCS1-v1_5 with SHA-256, which TPMs sign with.
        Rs256 = -257 "RS256",
        /// ML-DSA-44 (RFC 9964).
        MlDsa44 = -48 "ML-DSA-44",
        /// ML-DSA-65.
        MlDsa65 = -49 "ML-DSA-65",
        /// ML-DSA-87.
        MlDsa87 = -50 "ML-DSA-87",
    }
}

impl CoseAlgorithm {
    /// The kind of key, and the hash of ECDSA and RSA.
    pub(super) const fn scheme(self) -> (OutsideKind, Sha2) {
        match self {
            Self::Es256 => (OutsideKind::P256, Sha2::Sha256),
            Self::Ed25519 => (OutsideKind::Ed25519, Sha2::Sha512),
            Self::Es384 => (OutsideKind::P384, Sha2::Sha384),
            Self::Es512 => (OutsideKind::P521, Sha2::Sha512),
            Self::Rs256 => (OutsideKind::Rsa, Sha2::Sha256),
            Self::MlDsa44 => (OutsideKind::MlDsa44, Sha2::Sha512),
            Self::MlDsa65 => (OutsideKind::MlDsa65, Sha2::Sha512),
            Self::MlDsa87 => (OutsideKind::MlDsa87, Sha2::Sha512),
        }
    }

    /// The hash of what it signs, as a TPM names it.
    pub(super) const fn hash(self) -> Sha2 {
        self.scheme().1
    }
}

/// A credential's public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CredentialKey {
    algorithm: CoseAlgorithm,
    /// The bits of a `SubjectPublicKeyInfo`, as certificates hold them.
    bytes: Vec<u8>,
}

/// Members of one key, at most: the five of the largest kind, and room for `kid` and the like.
const MEMBERS_MAX: u64 = 16;

const fn bad(what: &'static str) -> WebauthnError {
    WebauthnError::Key(what)
}

impl CredentialKey {
    /// Reads a COSE_Key. Whether a point is on its curve is found when a signature is verified.
    pub(super) fn read(cose: &[u8]) -> Result<Self, WebauthnError> {
        let members = read_members(cose)?;
        let number = |label: i64| match members.get(&label) {
            Some(Member::Number(number)) => Ok(*number),
            _ => Err(bad("a number is missing")),
        };
        let bytes = |label: i64| match members.get(&label) {
            Some(Member::Bytes(bytes)) => Ok(*bytes),
            _ => Err(bad("a byte string is missing")),
        };
        let algorithm = i32::try_from(number(3)?).ok().and_then(CoseAlgorithm::from_number);
        let algorithm = algorithm.ok_or(WebauthnError::Algorithm)?;
        let curve =
            |wanted: i64| if number(-1)? == wanted { Ok(()) } else { Err(bad("another curve")) };
        // RFC 9053 §7.1, RFC 8230 §4, RFC 9964 §3.
        let point = |wanted: i64, size: usize| {
            curve(wanted)?;
            let (x, y) = (bytes(-2)?, bytes(-3)?);
            if x.len() == size && y.len() == size {
                Ok([&[0x04], x, y].concat())
            } else {
                Err(bad("coordinates of another length"))
            }
        };
        let (kind, bytes) = match algorithm {
            CoseAlgorithm::Es256 => (2, point(1, 32)?),
            CoseAlgorithm::Es384 => (2, point(2, 48)?),
            CoseAlgorithm::Es512 => (2, point(3, 66)?),
            CoseAlgorithm::Ed25519 => {
                curve(6)?;
                (1, bytes(-2)?.to_vec())
            }
            CoseAlgorithm::Rs256 => (3, rsa_key(bytes(-1)?, bytes(-2)?)?),
            CoseAlgorithm::MlDsa44 | CoseAlgorithm::MlDsa65 | CoseAlgorithm::MlDsa87 => {
                (7, bytes(-1)?.to_vec())
            }
        };
        if number(1)? == kind {
            Ok(Self { algorithm, bytes })
        } else {
            Err(bad("another key type"))
        }
    }

    pub(super) const fn algorithm(&self) -> CoseAlgorithm {
        self.algorithm
    }

    /// As a certificate would hold it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Verifies a signature over `message`.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), WebauthnError> {
        let (kind, hash) = self.algorithm.scheme();
        verify_outside(kind, hash, &self.bytes, message, signature).map_err(|error| match error {
            CryptoError::BadKey => bad("not a key of its kind"),
            _ => WebauthnError::Signature,
        })
    }
}

enum Member<'b> {
    Number(i64),
    Bytes(&'b [u8]),
    Other,
}

fn read_members(cose: &[u8]) -> Result<BTreeMap<i64, Member<'_>>, WebauthnError> {
    let shape = |_error: minicbor::decode::Error| bad("no cose key");
    let mut decoder = Decoder::new(cose);
    let count = decoder.map().map_err(shape)?.filter(|count| *count <= MEMBERS_MAX);
    let mut members = BTreeMap::new();
    for _member in 0..count.ok_or(bad("too many members"))? {
        let label = decoder.i64().map_err(shape)?;
        let member = match decoder.datatype().map_err(shape)? {
            Type::Bytes => Member::Bytes(decoder.bytes().map_err(shape)?),
            Type::U8 | Type::U16 | Type::U32 | Type::I8 | Type::I16 | Type::I32 => {
                Member::Number(decoder.i64().map_err(shape)?)
            }
            _ => {
                decoder.skip().map_err(shape)?;
                Member::Other
            }
        };
        if members.insert(label, member).is_some() {
            return Err(bad("a member stands twice"));
        }
    }
    if decoder.position() == cose.len() { Ok(members) } else { Err(bad("bytes after the end")) }
}

/// RFC 8017 §A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'b> {
    modulus: UintRef<'b>,
    exponent: UintRef<'b>,
}

fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Result<Vec<u8>, WebauthnError> {
    let uint = |bytes| UintRef::new(bytes).map_err(|_error| bad("no modulus or exponent"));
    let key = RsaPublicKey { modulus: uint(modulus)?, exponent: uint(exponent)? };
    key.to_der().map_err(|_error| bad("no modulus or exponent"))
}
