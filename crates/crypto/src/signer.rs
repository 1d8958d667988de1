//! Named key slots: callers hold names, never keys.

use std::fmt;

use crate::{CryptoError, PublicKey};

/// The name of a key: 1 to 48 of `a-z`, `0-9`, `.` and `-`, for example `log-ed25519`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SlotName(String);

impl SlotName {
    /// The longest name, in bytes.
    pub const LEN_MAX: usize = 48;

    /// Reads a name.
    ///
    /// # Errors
    /// [`CryptoError::BadSlotName`] when the text has another length or other characters.
    pub fn new(name: &str) -> Result<Self, CryptoError> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
        if (1..=Self::LEN_MAX).contains(&name.len()) && name.bytes().all(allowed) {
            return Ok(Self(name.to_owned()));
        }
        // The refused text may be of any size; the message is not.
        Err(CryptoError::BadSlotName(name.chars().take(Self::LEN_MAX).collect()))
    }

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whoever can sign with named keys: software slots here, a hardware module elsewhere.
pub trait Signer: Send + Sync {
    /// The public key of `slot`.
    ///
    /// # Errors
    /// [`CryptoError::UnknownSlot`] when there is none.
    fn public_key(&self, slot: &SlotName) -> Result<PublicKey, CryptoError>;

    /// Signs `message` with the key of `slot`, in the form that [`PublicKey::verify`] takes. An implementation
    /// verifies the signature before it releases it.
    ///
    /// # Errors
    /// [`CryptoError::UnknownSlot`] when there is no such key, [`CryptoError::SignerUnavailable`] when signing may
    /// be tried again, [`CryptoError::Backend`] when the signature failed its own check.
    fn sign(&self, slot: &SlotName, message: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// The same for a caller who verifies the signature before anybody else sees it, by the public key that others will verify it by.
    /// An implementation may leave its own check out.
    ///
    /// # Errors
    /// As [`Self::sign`].
    fn sign_unverified(&self, slot: &SlotName, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.sign(slot, message)
    }
}
