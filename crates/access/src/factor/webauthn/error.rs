//! Why a passkey's answer does not count.

/// Why an answer of an authenticator, or the configuration it is judged by, is refused.
///
/// For the log and for tests: a stranger is told nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebauthnError {
    /// Not an id that a relying party may have.
    #[error("the relying party's id is no host name in lower case")]
    RelyingPartyId,
    /// Not an origin that a relying party may have.
    #[error(
        "an allowed origin is not `https://` and the relying party's host or one below it (`http://` only for localhost)"
    )]
    Origin,
    /// Too short to be guessed by nobody.
    #[error("a challenge has 16 to 256 bytes")]
    Challenge,
    /// A root certificate that cannot be read.
    #[error("a trust anchor is no x.509 certificate in DER")]
    Anchor,
    /// Not the JSON of an answer.
    #[error("the answer is not the json of a public-key credential: {0}")]
    Answer(&'static str),
    /// Not the client data of this ceremony.
    #[error("the client data is not an object with the members that §5.8.1 names")]
    ClientData,
    /// The answer to another kind of request.
    #[error("the client data is of the other ceremony")]
    Type,
    /// The answer to another challenge.
    #[error("the answer is to another challenge")]
    OtherChallenge,
    /// Made on another page.
    #[error("the answer was made at another origin")]
    OtherOrigin,
    /// Made in a frame of another page.
    #[error("the answer was made in a frame of another origin")]
    CrossOrigin,
    /// Authenticator data that does not follow §6.1.
    #[error("the authenticator data is not well formed: {0}")]
    AuthenticatorData(&'static str),
    /// Made for another relying party.
    #[error("the answer was made for another relying party")]
    OtherRelyingParty,
    /// Nobody touched the authenticator.
    #[error("the user was not present")]
    UserNotPresent,
    /// The authenticator did not ask for PIN or biometrics.
    #[error("the user was not verified")]
    UserNotVerified,
    /// Backed up, but not eligible for it; or eligible now and not before, or the other way round (§7.2 steps 18 to 20).
    #[error("the backup flags contradict each other or the registration")]
    BackupFlags,
    /// A key that cannot be read or is not on its curve.
    #[error("the credential's public key is not well formed: {0}")]
    Key(&'static str),
    /// A key of an algorithm that was not offered.
    #[error("the credential's algorithm is not one that was offered")]
    Algorithm,
    /// Another credential than the one that was to be used, or one that is excluded.
    #[error("the answer is by another credential")]
    OtherCredential,
    /// The credential of somebody else.
    #[error("the credential belongs to another user")]
    OtherUser,
    /// An attestation statement that does not follow §8.
    #[error("the attestation is not well formed: {0}")]
    Attestation(&'static str),
    /// An attestation format that is not read.
    #[error("the attestation has a format that is not supported")]
    AttestationFormat,
    /// An attestation that proves something else.
    #[error("the attestation does not hold: {0}")]
    AttestationFalse(&'static str),
    /// The rule demands an authenticator of a known maker.
    #[error("the attestation does not lead to a trust anchor")]
    NotAttested,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// A name that is empty or too long.
    #[error("a passkey's name has 1 to 64 characters and no control characters")]
    Name,
    /// Stored bytes that are no passkey.
    #[error("the stored bytes are no passkey")]
    Stored,
}
