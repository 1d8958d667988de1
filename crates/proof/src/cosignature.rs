//! Cosignatures (`c2sp.org/tlog-cosignature`): what somebody else than the log says about its checkpoint, that it
//! follows from all that the cosigner has seen of this log.
//!
//! An Ed25519 cosignature covers the time and the note's text, an ML-DSA-44 one the cosigner's name too, and it may be
//! about a subtree.

use crate::checkpoint::Checkpoint;
use crate::error::ProofError;
use crate::note::{KeyName, NoteSignature, SignatureType, VerifierKey};
use tpw_core::Hash32;
use tpw_crypto::{CryptoError, Signer, SlotName};

/// The first line of what an Ed25519 cosigner signs.
const ED25519_HEADER: &str = "cosignature/v1";

/// The label of what an ML-DSA-44 cosigner signs.
const SUBTREE_LABEL: &[u8; 12] = b"subtree/v1\n\0";

fn wrong(why: &'static str) -> ProofError {
    ProofError::Malformed { what: "cosignature", why }
}

/// "Ed25519 signed message": two lines, then the whole text of the note.
fn ed25519_message(time_s: u64, text: &str) -> Vec<u8> {
    format!("{ED25519_HEADER}\ntime {time_s}\n{text}").into_bytes()
}

/// Leaves of a log next to each other, and the root over them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subtree {
    /// The log.
    pub origin: KeyName,
    /// The index of the first leaf.
    pub start: u64,
    /// The index after the last leaf.
    pub end: u64,
    /// The root over these leaves.
    pub hash: Hash32,
}

impl Subtree {
    /// "ML-DSA-44 signed message": the structure `cosigned_message`.
    fn message(&self, cosigner: &KeyName, time_s: u64) -> Vec<u8> {
        let mut message = SUBTREE_LABEL.to_vec();
        push_short(&mut message, cosigner);
        message.extend_from_slice(&time_s.to_be_bytes());
        push_short(&mut message, &self.origin);
        message.extend_from_slice(&self.start.to_be_bytes());
        message.extend_from_slice(&self.end.to_be_bytes());
        message.extend_from_slice(self.hash.as_bytes());
        message
    }

    /// Cosigns. `time_s` must be zero unless the subtree begins with the first leaf: only a whole tree can be the
    /// largest one that was seen.
    ///
    /// # Errors
    /// [`ProofError::Malformed`] for a subtree or a time that cannot be; what the signer answers.
    pub fn sign(
        &self,
        cosigner: &KeyName,
        time_s: u64,
        signer: &dyn Signer,
        slot: &SlotName,
    ) -> Result<Vec<u8>, ProofError> {
        self.check(time_s)?;
        let signature = signer.sign(slot, &self.message(cosigner, time_s))?;
        Ok(timestamped(time_s, &signature))
    }

    /// The line that an ML-DSA-44 key signs over it, without a time, as a witness answers `sign-subtree`.
    ///
    /// # Errors
    /// As [`Subtree::sign`]; [`ProofError::Unsupported`] for a key of another type, [`ProofError::WrongKey`] when the slot holds
    /// another key.
    pub fn cosign(
        &self,
        key: &VerifierKey,
        signer: &dyn Signer,
        slot: &SlotName,
    ) -> Result<NoteSignature, ProofError> {
        if key.signature_type() != SignatureType::MlDsa44 {
            return Err(ProofError::Unsupported);
        }
        if signer.public_key(slot)? != *key.key() {
            return Err(ProofError::WrongKey);
        }
        let signature = self.sign(key.name(), 0, signer, slot)?;
        Ok(NoteSignature { name: key.name().clone(), id: key.id(), signature })
    }

    /// Checks a cosignature by an ML-DSA-44 key and answers its time.
    ///
    /// # Errors
    /// A crypto error when it does not verify, [`ProofError::Malformed`] for a subtree or a time that cannot be,
    /// [`ProofError::Unsupported`] for a key of another type.
    pub fn verify(&self, key: &VerifierKey, signature: &[u8]) -> Result<u64, ProofError> {
        if key.signature_type() != SignatureType::MlDsa44 {
            return Err(ProofError::Unsupported);
        }
        let (time_s, signature) = split(signature)?;
        self.check(time_s)?;
        key.key().verify(&self.message(key.name(), time_s), signature)?;
        Ok(time_s)
    }

    fn check(&self, time_s: u64) -> Result<(), ProofError> {
        if self.start > self.end {
            return Err(wrong("a subtree that ends before it starts"));
        }
        if self.start != 0 && time_s != 0 {
            return Err(wrong("a time for a subtree that does not begin with the first leaf"));
        }
        if i64::try_from(time_s).is_err() {
            return Err(wrong("a signature time beyond 2^63 - 1"));
        }
        Ok(())
    }
}

/// RFC 8446 §3.4: `opaque name<1..2^8-1>`. [`KeyName`] keeps the length within a byte.
fn push_short(message: &mut Vec<u8>, name: &KeyName) {
    message.push(u8::try_from(name.as_str().len()).unwrap_or(u8::MAX));
    message.extend_from_slice(name.as_str().as_bytes());
}

/// The structure `timestamped_signature`.
fn timestamped(time_s: u64, signature: &[u8]) -> Vec<u8> {
    [&time_s.to_be_bytes(), signature].concat()
}

fn split(signature: &[u8]) -> Result<(u64, &[u8]), ProofError> {
    let (time, rest) = signature.split_first_chunk::<8>().ok_or(CryptoError::BadSignature)?;
    let time_s = u64::from_be_bytes(*time);
    if i64::try_from(time_s).is_err() {
        return Err(wrong("a signature time beyond 2^63 - 1"));
    }
    Ok((time_s, rest))
}

impl Checkpoint {
    /// The whole tree as a subtree.
    #[must_use]
    pub fn subtree(&self) -> Subtree {
        let (end, hash) = (self.head.size, self.head.root);
        Subtree { origin: self.origin.clone(), start: 0, end, hash }
    }

    /// Cosigns with the key in `slot`, whose verifier key is `key`.
    ///
    /// # Errors
    /// [`ProofError::Malformed`] for a time beyond 2^63 - 1, [`ProofError::Unsupported`] for a key that cosigns nothing,
    /// [`ProofError::WrongKey`] when the slot holds another key; what the signer answers.
    pub fn cosign(
        &self,
        key: &VerifierKey,
        time_s: u64,
        signer: &dyn Signer,
        slot: &SlotName,
    ) -> Result<NoteSignature, ProofError> {
        if signer.public_key(slot)? != *key.key() {
            return Err(ProofError::WrongKey);
        }
        let subtree = self.subtree();
        subtree.check(time_s)?;
        let signature = match key.signature_type() {
            SignatureType::Ed25519 => return Err(ProofError::Unsupported),
            SignatureType::CosignatureEd25519 => {
                let message = ed25519_message(time_s, &self.text());
                timestamped(time_s, &signer.sign(slot, &message)?)
            }
            SignatureType::MlDsa44 => subtree.sign(key.name(), time_s, signer, slot)?,
        };
        Ok(NoteSignature { name: key.name().clone(), id: key.id(), signature })
    }

    /// Checks one line over this checkpoint with the key that it names. Answers the time of a line that has one.
    pub(crate) fn verify_line(
        &self,
        line: &NoteSignature,
        key: &VerifierKey,
    ) -> Result<Option<u64>, ProofError> {
        match key.signature_type() {
            SignatureType::Ed25519 => {
                key.key().verify(self.text().as_bytes(), &line.signature)?;
                Ok(None)
            }
            SignatureType::CosignatureEd25519 => {
                let (time_s, signature) = split(&line.signature)?;
                key.key().verify(&ed25519_message(time_s, &self.text()), signature)?;
                Ok(Some(time_s))
            }
            SignatureType::MlDsa44 => self.subtree().verify(key, &line.signature).map(Some),
        }
    }
}
