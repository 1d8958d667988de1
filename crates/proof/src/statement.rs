//! Signed statements: `COSE_Sign1` (RFC 9052 §4.2) over one of our payloads, or `COSE_Sign` of a hybrid device, as `spec/intent.md` says.
//!
//! INVARIANT: the payload of an [`Unverified`] cannot be read. The only way to it leads through
//! [`Unverified::verify`] and so through a signature check with a key that the caller chose.

use crate::cose::{self, Cbor, NO_HEADERS, Sign1};
use crate::cose_sign::{self, Sign2, Signature};
use crate::device_keys::DeviceKeys;
use crate::error::ProofError;
use core::marker::PhantomData;
use minicbor::Decoder;
use tpw_core::{CodecError, DeviceKey, Hash32, Intent, Letter, PromptAnswer, StepUpProof, Vote};
use tpw_crypto::{PublicKey, Signer, SlotName, sha256};

/// The largest statement that is read, in bytes.
pub const SIZE_MAX: usize = 4096;

const WHAT: &str = "signed statement";

/// Something that is signed in its own namespace: the content type in the protected header.
pub trait Signed: Sized {
    /// Names the kind and version of the payload; a signature over one kind is none over another.
    const CONTENT_TYPE: &'static str;

    /// The one encoding.
    fn to_payload(&self) -> Vec<u8>;

    /// Reads the encoding.
    ///
    /// # Errors
    /// [`CodecError`] naming the field.
    fn from_payload(bytes: &[u8]) -> Result<Self, CodecError>;
}

impl Signed for Intent {
    const CONTENT_TYPE: &'static str = Self::CONTENT_TYPE;

    fn to_payload(&self) -> Vec<u8> {
        self.to_bytes()
    }

    fn from_payload(bytes: &[u8]) -> Result<Self, CodecError> {
        Self::from_bytes(bytes)
    }
}

impl Signed for StepUpProof {
    const CONTENT_TYPE: &'static str = Self::CONTENT_TYPE;

    fn to_payload(&self) -> Vec<u8> {
        self.to_bytes()
    }

    fn from_payload(bytes: &[u8]) -> Result<Self, CodecError> {
        Self::from_bytes(bytes)
    }
}

impl Signed for Vote {
    const CONTENT_TYPE: &'static str = Self::CONTENT_TYPE;

    fn to_payload(&self) -> Vec<u8> {
        self.to_bytes()
    }

    fn from_payload(bytes: &[u8]) -> Result<Self, CodecError> {
        Self::from_bytes(bytes)
    }
}

impl Signed for Letter {
    const CONTENT_TYPE: &'static str = Self::CONTENT_TYPE;

    fn to_payload(&self) -> Vec<u8> {
        self.to_bytes()
    }

    fn from_payload(bytes: &[u8]) -> Result<Self, CodecError> {
        Self::from_bytes(bytes)
    }
}

impl Signed for PromptAnswer {
    const CONTENT_TYPE: &'static str = Self::CONTENT_TYPE;

    fn to_payload(&self) -> Vec<u8> {
        self.to_bytes()
    }

    fn from_payload(bytes: &[u8]) -> Result<Self, CodecError> {
        Self::from_bytes(bytes)
    }
}

/// The COSE algorithm written for signatures of this key: -19 Ed25519, -9 ESP256 (RFC 9864).
#[must_use]
pub fn cose_algorithm(key: &PublicKey) -> i64 {
    cose::algorithm(key)
}

/// The key of a device that is not hybrid, as the record of a payment holds it.
#[must_use]
pub fn device_key(key: &PublicKey) -> DeviceKey {
    DeviceKeys::from(key.clone()).to_record()
}

/// The classical key that a record holds.
///
/// # Errors
/// [`ProofError::UnknownAlgorithm`], or a crypto error when the bytes are no key.
pub fn public_key(key: &DeviceKey) -> Result<PublicKey, ProofError> {
    cose::public_key(key)
}

/// The payload's hash: what an intent is called where it is not quoted.
#[must_use]
pub fn payload_hash<T: Signed>(value: &T) -> Hash32 {
    Hash32::new(sha256(&value.to_payload()))
}

fn protected<T: Signed>(algorithm: i64, thumbprint: &[u8; 32]) -> Vec<u8> {
    Cbor::new().write(|e| {
        e.map(3)?.u64(cose::ALG)?.i64(algorithm)?;
        e.u64(cose::CONTENT_TYPE)?.str(T::CONTENT_TYPE)?;
        e.u64(cose::KID)?.bytes(thumbprint)?;
        Ok(())
    })
}

/// Signs a value with the key in a slot and returns the statement's bytes.
///
/// # Errors
/// A crypto error when the slot has no key or the signer cannot sign;
/// [`ProofError::UnknownAlgorithm`] for a key whose signatures no statement may carry;
/// [`ProofError::TooLarge`] for a value beyond [`SIZE_MAX`].
pub fn sign<T: Signed>(
    value: &T,
    signer: &dyn Signer,
    slot: &SlotName,
) -> Result<Vec<u8>, ProofError> {
    let key = signer.public_key(slot)?;
    let algorithm = cose::algorithm(&key);
    cose::check_claimed(algorithm)?;
    let protected = protected::<T>(algorithm, &key.cose_key_thumbprint());
    let payload = value.to_payload();
    let signature = signer.sign(slot, &cose::to_be_signed(&protected, &payload))?;
    let bytes = Sign1 {
        protected: &protected,
        unprotected: NO_HEADERS,
        payload: Some(&payload),
        signature: &signature,
    }
    .to_bytes();
    bounded(bytes)
}

/// Signs a value with both keys of a hybrid device and returns the statement's bytes, a `COSE_Sign`.
///
/// # Errors
/// As [`sign`]; [`ProofError::UnknownAlgorithm`] also when the second key is not of ML-DSA-44.
pub fn sign_hybrid<T: Signed>(
    value: &T,
    signer: &dyn Signer,
    slot: &SlotName,
    post_quantum: &SlotName,
) -> Result<Vec<u8>, ProofError> {
    let keys = DeviceKeys::new(signer.public_key(slot)?, Some(signer.public_key(post_quantum)?))?;
    let (body, payload) = (body::<T>(), value.to_payload());
    let made = |key: &PublicKey, slot: &SlotName| {
        let header = signer_header(cose::algorithm(key), &key.cose_key_thumbprint());
        let signature = signer.sign(slot, &cose_sign::to_be_signed(&body, &header, &payload))?;
        Ok::<_, ProofError>((header, signature))
    };
    let (first, second) = (
        made(keys.classical(), slot)?,
        made(keys.post_quantum().ok_or(ProofError::WrongKey)?, post_quantum)?,
    );
    let signatures =
        [&first, &second].map(|(protected, signature)| Signature { protected, signature });
    bounded(Sign2 { protected: &body, payload: &payload, signatures }.to_bytes())
}

fn bounded(statement: Vec<u8>) -> Result<Vec<u8>, ProofError> {
    if statement.len() > SIZE_MAX {
        return Err(ProofError::TooLarge { what: WHAT, most: SIZE_MAX });
    }
    Ok(statement)
}

/// A signature of a statement and what it claims to be signed with.
#[derive(Clone, PartialEq, Eq)]
struct Claimed {
    algorithm: i64,
    thumbprint: [u8; 32],
    /// The bytes that it is over.
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Claimed {
    fn verify(&self, key: &PublicKey) -> Result<(), ProofError> {
        if key.cose_key_thumbprint() != self.thumbprint {
            return Err(ProofError::WrongKey);
        }
        Ok(key.verify(&self.message, &self.signature)?)
    }
}

/// A statement whose form was checked and whose signature was not.
#[derive(Clone, PartialEq, Eq)]
pub struct Unverified<T> {
    bytes: Vec<u8>,
    payload: Vec<u8>,
    classical: Claimed,
    /// That of a hybrid device's second key.
    post_quantum: Option<Claimed>,
    kind: PhantomData<fn() -> T>,
}

impl<T> core::fmt::Debug for Unverified<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Unverified")
            .field("key_thumbprint", &self.key_thumbprint())
            .finish_non_exhaustive()
    }
}

impl<T> Unverified<T> {
    /// The thumbprint (RFC 9679) of the key that the statement claims to be signed with.
    #[must_use]
    pub fn key_thumbprint(&self) -> Hash32 {
        Hash32::new(self.classical.thumbprint)
    }

    /// SHA-256 of the whole statement, for recognising a repeated one.
    #[must_use]
    pub fn statement_hash(&self) -> Hash32 {
        Hash32::new(sha256(&self.bytes))
    }

    /// The statement's bytes as they came.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T: Signed> Unverified<T> {
    /// Takes a statement apart. Only the one deterministic encoding is accepted.
    ///
    /// # Errors
    /// [`ProofError::TooLarge`] beyond [`SIZE_MAX`] bytes, [`ProofError::UnknownAlgorithm`], or
    /// [`ProofError::Malformed`] when bytes, headers or content type are not those of this kind.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        if Sign2::is_meant(bytes) {
            return Self::parse_hybrid(bytes);
        }
        let message = Sign1::parse(bytes, WHAT, SIZE_MAX)?;
        let wrong = |why| ProofError::Malformed { what: WHAT, why };
        if message.unprotected != NO_HEADERS {
            return Err(wrong("the unprotected header is not empty"));
        }
        let payload = message.payload.ok_or(wrong("the payload is detached"))?;
        let (algorithm, thumbprint) =
            read_protected(message.protected).ok_or(wrong("the protected header"))?;
        cose::check_claimed(algorithm)?;
        if protected::<T>(algorithm, &thumbprint) != message.protected {
            return Err(wrong("the protected header is of another kind of statement"));
        }
        let claimed = Claimed {
            algorithm,
            thumbprint,
            message: cose::to_be_signed(message.protected, payload),
            signature: message.signature.to_vec(),
        };
        Ok(Self {
            bytes: bytes.to_vec(),
            payload: payload.to_vec(),
            classical: claimed,
            post_quantum: None,
            kind: PhantomData,
        })
    }

    /// A `COSE_Sign`: the classical signature first, then that of ML-DSA-44.
    fn parse_hybrid(bytes: &[u8]) -> Result<Self, ProofError> {
        let message = Sign2::parse(bytes, WHAT, SIZE_MAX)?;
        let wrong = |why| ProofError::Malformed { what: WHAT, why };
        if message.protected != body::<T>() {
            return Err(wrong("the protected header is of another kind of statement"));
        }
        let claimed = |one: &Signature<'_>| {
            let (algorithm, thumbprint) =
                read_signer(one.protected).ok_or(wrong("the protected header of a signature"))?;
            let message =
                cose_sign::to_be_signed(message.protected, one.protected, message.payload);
            Ok::<_, ProofError>(Claimed {
                algorithm,
                thumbprint,
                message,
                signature: one.signature.to_vec(),
            })
        };
        let [first, second] = &message.signatures;
        let (classical, post_quantum) = (claimed(first)?, claimed(second)?);
        cose::check_claimed(classical.algorithm)?;
        if post_quantum.algorithm != DeviceKey::ML_DSA_44 {
            return Err(ProofError::UnknownAlgorithm(post_quantum.algorithm));
        }
        Ok(Self {
            bytes: bytes.to_vec(),
            payload: message.payload.to_vec(),
            classical,
            post_quantum: Some(post_quantum),
            kind: PhantomData,
        })
    }

    /// Checks the signature with a key that the caller trusts for this statement, then reads the payload.
    ///
    /// # Errors
    /// [`ProofError::WrongKey`] when the statement names another key or algorithm or has two signatures, a crypto error when
    /// the signature is not valid, a codec error when the payload is not of this kind.
    pub fn verify(self, key: &PublicKey) -> Result<Verified<T>, ProofError> {
        self.verify_by(&DeviceKeys::from(key.clone()))
    }

    /// The same with all keys of a device: of a hybrid one both must have signed, of another one its only one.
    ///
    /// # Errors
    /// As [`Self::verify`]; [`ProofError::WrongKey`] also when the number of signatures is not that of the keys.
    pub fn verify_by(self, keys: &DeviceKeys) -> Result<Verified<T>, ProofError> {
        if !cose::fits(self.classical.algorithm, keys.classical()) {
            return Err(ProofError::WrongKey);
        }
        self.classical.verify(keys.classical())?;
        match (&self.post_quantum, keys.post_quantum()) {
            (None, None) => {}
            (Some(claimed), Some(key)) => claimed.verify(key)?,
            // INVARIANT: who breaks the classical key of a hybrid device signs nothing in its name.
            (None, Some(_)) | (Some(_), None) => return Err(ProofError::WrongKey),
        }
        let value = T::from_payload(&self.payload)?;
        Ok(Verified {
            value,
            payload_hash: Hash32::new(sha256(&self.payload)),
            statement_hash: self.statement_hash(),
            bytes: self.bytes,
            keys: keys.clone(),
        })
    }
}

/// What a `COSE_Sign` says in its body: the kind of the statement.
fn body<T: Signed>() -> Vec<u8> {
    Cbor::new().write(|e| {
        e.map(1)?.u64(cose::CONTENT_TYPE)?.str(T::CONTENT_TYPE)?;
        Ok(())
    })
}

/// And with each signature: algorithm and key.
fn signer_header(algorithm: i64, thumbprint: &[u8; 32]) -> Vec<u8> {
    Cbor::new().write(|e| {
        e.map(2)?.u64(cose::ALG)?.i64(algorithm)?;
        e.u64(cose::KID)?.bytes(thumbprint)?;
        Ok(())
    })
}

fn read_signer(bytes: &[u8]) -> Option<(i64, [u8; 32])> {
    let mut d = Decoder::new(bytes);
    if d.map().ok()? != Some(2) || d.u64().ok()? != cose::ALG {
        return None;
    }
    let algorithm = d.i64().ok()?;
    if d.u64().ok()? != cose::KID {
        return None;
    }
    let thumbprint = d.bytes().ok()?.try_into().ok()?;
    (signer_header(algorithm, &thumbprint) == bytes).then_some((algorithm, thumbprint))
}

/// Reads algorithm and key thumbprint; the caller compares the rest by encoding again.
fn read_protected(bytes: &[u8]) -> Option<(i64, [u8; 32])> {
    let mut d = Decoder::new(bytes);
    if d.map().ok()? != Some(3) || d.u64().ok()? != cose::ALG {
        return None;
    }
    let algorithm = d.i64().ok()?;
    if d.u64().ok()? != cose::CONTENT_TYPE {
        return None;
    }
    d.str().ok()?;
    if d.u64().ok()? != cose::KID {
        return None;
    }
    Some((algorithm, d.bytes().ok()?.try_into().ok()?))
}

/// A statement whose signature holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified<T> {
    value: T,
    bytes: Vec<u8>,
    payload_hash: Hash32,
    statement_hash: Hash32,
    keys: DeviceKeys,
}

impl<T> Verified<T> {
    /// What was signed.
    #[must_use]
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// What was signed, by value.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }

    /// The whole statement.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the payload: the intent hash.
    #[must_use]
    pub const fn payload_hash(&self) -> Hash32 {
        self.payload_hash
    }

    /// SHA-256 of the whole statement: what the leaf commits to.
    #[must_use]
    pub const fn statement_hash(&self) -> Hash32 {
        self.statement_hash
    }

    /// The key that verified it; of a hybrid device the classical one.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        self.keys.classical()
    }

    /// All keys that verified it.
    #[must_use]
    pub const fn keys(&self) -> &DeviceKeys {
        &self.keys
    }
}
