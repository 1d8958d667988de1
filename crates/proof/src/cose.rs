//! The shape shared by our COSE messages: `COSE_Sign1` (RFC 9052 §4.2), tagged 18.
//!
//! Only what our messages use is written and read; every reader of a message compares the bytes with
//! the one encoding it would write, so nothing else gets through.

use crate::error::ProofError;
use minicbor::data::{Tag, Type};
use minicbor::{Decoder, Encoder};
use tpw_core::DeviceKey;
use tpw_crypto::{Algorithm, PublicKey};

/// RFC 9864: Ed25519, fully specified.
pub(crate) const ED25519: i64 = -19;
/// RFC 9864: ECDSA with P-256 and SHA-256, fully specified.
pub(crate) const ESP256: i64 = -9;
/// RFC 9053 §2.2: EdDSA, whose curve the key decides; read, never written.
const EDDSA: i64 = -8;
/// RFC 9053 §2.1: ES256, whose curve the key decides; read, never written.
const ES256: i64 = -7;
/// RFC 9964: ML-DSA-44.
const ML_DSA_44: i64 = -48;
const ML_DSA_65: i64 = -49;

/// RFC 9052 §3.1: the header parameters used here.
pub(crate) const ALG: u64 = 1;
pub(crate) const CONTENT_TYPE: u64 = 3;
pub(crate) const KID: u64 = 4;

/// The COSE algorithm that is written for a key.
pub(crate) fn algorithm(key: &PublicKey) -> i64 {
    match key.algorithm() {
        Algorithm::Ed25519 => ED25519,
        Algorithm::P256 => ESP256,
        Algorithm::MlDsa44 => ML_DSA_44,
        Algorithm::MlDsa65 => ML_DSA_65,
    }
}

/// Whether a message that claims `claimed` may be checked with `key`.
pub(crate) fn fits(claimed: i64, key: &PublicKey) -> bool {
    match key.algorithm() {
        Algorithm::Ed25519 => claimed == ED25519 || claimed == EDDSA,
        Algorithm::P256 => claimed == ESP256 || claimed == ES256,
        Algorithm::MlDsa44 | Algorithm::MlDsa65 => false,
    }
}

/// Refuses algorithms that none of our messages may claim.
pub(crate) fn check_claimed(claimed: i64) -> Result<(), ProofError> {
    match claimed {
        ED25519 | ESP256 | EDDSA | ES256 => Ok(()),
        other => Err(ProofError::UnknownAlgorithm(other)),
    }
}

/// The key of an enrolled device.
pub(crate) fn public_key(key: &DeviceKey) -> Result<PublicKey, ProofError> {
    let algorithm = match key.algorithm {
        ED25519 => Algorithm::Ed25519,
        ESP256 => Algorithm::P256,
        other => return Err(ProofError::UnknownAlgorithm(other)),
    };
    Ok(PublicKey::from_bytes(algorithm, &key.bytes)?)
}

/// Writes CBOR into memory, which cannot fail.
pub(crate) struct Cbor(Encoder<Vec<u8>>);

impl Cbor {
    pub(crate) fn new() -> Self {
        Self::with_room(128)
    }

    /// With room for so many bytes.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self(Encoder::new(Vec::with_capacity(bytes)))
    }

    pub(crate) fn write(
        mut self,
        steps: impl FnOnce(
            &mut Encoder<Vec<u8>>,
        ) -> Result<(), minicbor::encode::Error<core::convert::Infallible>>,
    ) -> Vec<u8> {
        let _infallible = steps(&mut self.0);
        self.0.into_writer()
    }
}

/// RFC 9052 §4.4: the bytes that are signed.
pub(crate) fn to_be_signed(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let parts = [protected.len(), payload.len(), 32];
    Cbor::with_room(parts.iter().sum()).write(|e| {
        e.array(4)?.str("Signature1")?.bytes(protected)?.bytes(&[])?.bytes(payload)?;
        Ok(())
    })
}

/// A `COSE_Sign1` taken apart; nothing in it is checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sign1<'b> {
    pub(crate) protected: &'b [u8],
    /// The encoded map of unprotected header parameters.
    pub(crate) unprotected: &'b [u8],
    /// `None` when detached.
    pub(crate) payload: Option<&'b [u8]>,
    pub(crate) signature: &'b [u8],
}

/// An empty map.
pub(crate) const NO_HEADERS: &[u8] = &[0xa0];

impl<'b> Sign1<'b> {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let payload = self.payload.map_or(0, <[u8]>::len);
        let parts =
            [self.protected.len(), self.unprotected.len(), payload, self.signature.len(), 32];
        Cbor::with_room(parts.iter().sum()).write(|e| {
            e.tag(Tag::new(18))?.array(4)?.bytes(self.protected)?;
            e.writer_mut().extend_from_slice(self.unprotected);
            match self.payload {
                Some(payload) => e.bytes(payload)?,
                None => e.null()?,
            };
            e.bytes(self.signature)?;
            Ok(())
        })
    }

    pub(crate) fn parse(
        bytes: &'b [u8],
        what: &'static str,
        most: usize,
    ) -> Result<Self, ProofError> {
        if bytes.len() > most {
            return Err(ProofError::TooLarge { what, most });
        }
        let shape = |_| ProofError::Malformed { what, why: "not a tagged COSE_Sign1" };
        let wrong = |why| ProofError::Malformed { what, why };
        let mut d = Decoder::new(bytes);
        if d.tag().map_err(shape)? != Tag::new(18) || d.array().map_err(shape)? != Some(4) {
            return Err(wrong("not a tagged COSE_Sign1"));
        }
        let protected = d.bytes().map_err(shape)?;
        let start = d.position();
        if d.datatype().map_err(shape)? != Type::Map {
            return Err(wrong("the unprotected header is no map"));
        }
        d.skip().map_err(shape)?;
        let unprotected = bytes.get(start..d.position()).ok_or(wrong("not a tagged COSE_Sign1"))?;
        let payload = if d.datatype().map_err(shape)? == Type::Null {
            d.null().map_err(shape)?;
            None
        } else {
            Some(d.bytes().map_err(shape)?)
        };
        let signature = d.bytes().map_err(shape)?;
        let message = Self { protected, unprotected, payload, signature };
        // Longer forms of the outer structure and trailing bytes fail here.
        if message.to_bytes() == bytes {
            Ok(message)
        } else {
            Err(wrong("not in deterministic encoding"))
        }
    }
}
