//! What can go wrong, said without a word about the secret involved.

/// Why a cryptographic operation gave no result.
///
/// Verification failures carry no detail on purpose: how a signature is wrong helps only its forger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The bytes are no acceptable key of the stated algorithm.
    #[error("the key is not valid for its algorithm: check its encoding and length")]
    BadKey,
    /// The signature does not verify.
    #[error("the signature does not verify under this key")]
    BadSignature,
    /// No key lives in this slot.
    #[error("no key in slot `{0}`: generate or import it first")]
    UnknownSlot(String),
    /// The slot already holds a key; keys are never overwritten.
    #[error("slot `{0}` already holds a key: choose another name")]
    SlotTaken(String),
    /// The text is no slot name.
    #[error("`{0}` is not a slot name: use 1 to 48 of a-z, 0-9, `.` and `-`")]
    BadSlotName(String),
    /// The entropy source failed or gave unusable output.
    #[error("the entropy source failed: no key was made")]
    Entropy,
    /// The signer exists but cannot sign now; the operation may be tried again.
    #[error("the signer is not available: try again later")]
    SignerUnavailable,
    /// The key of a seal is wrong, or the sealed bytes or their context were changed.
    #[error("the seal does not open: the key is wrong or the data was changed")]
    BadSeal,
    /// The passphrase is wrong, or the sealed bytes or their context were changed.
    #[error("the passphrase is wrong or the sealed data was changed")]
    WrongPassphrase,
    /// The passphrase derivation is outside the accepted cost range.
    #[error("the passphrase derivation cost is outside the accepted range")]
    WeakKdf,
    /// The bytes do not follow their format.
    #[error("the input is malformed: {0}")]
    Malformed(&'static str),
    /// The cryptographic backend failed where it should not.
    #[error("the cryptographic backend failed: {0}")]
    Backend(&'static str),
}
