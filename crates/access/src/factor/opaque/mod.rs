//! Passwords that the server never sees: OPAQUE (RFC 9807) over ristretto255 and SHA-512, with 3DH.
//!
//! Not even its hash comes to the server: what the server keeps ([`PasswordRecord`]) helps nobody to guess who has not stolen the server's
//! own secret ([`ServerSecret`]) as well. The password is stretched on the device, with Argon2id.
//!
//! ```text
//! device                         server
//! registering ── request ──────► respond          registration: over a session that exists already
//!             ◄─ response ──────
//!             ── upload ───────► PasswordRecord
//!
//! logging_in  ── KE1 ──────────► begin            login: `begin` for a person without a record as well
//!             ◄─ KE2 ───────────
//!             ── KE3 ──────────► Pending::finish
//! ```
//!
//! A person whom nobody knows, or who has no password, is answered as any other: [`begin`] takes `None` for the record, does the same
//! work in the same order, and gives messages of the same lengths, which open with no password (RFC 9807 §10.9). INVARIANT: a caller
//! never answers before [`begin`] because there is no record.

use core::fmt;
use core::hint::black_box;

use opaque_ke as rfc9807;
use tpw_core::codec::{Reader, Writer, decode_exact};
use tpw_core::{CodecError, Instant, PersonId};
use tpw_crypto::{CryptoError, Entropy, Zeroizing};

use super::{Evidence, FactorError, Method, Why};

mod device;
mod draws;
mod suite;
#[cfg(test)]
mod vectors;

pub use device::{LoggedIn, LoggingIn, Registered, Registering};

use draws::Draws;
use suite::{Argon2id, Suite};

/// The lengths of the messages, in bytes: RFC 9807 §5.1 and §6.1 with this suite.
pub mod lengths {
    /// The device's request to register.
    pub const REGISTRATION_REQUEST: usize = 32;
    /// The server's response to it.
    pub const REGISTRATION_RESPONSE: usize = 64;
    /// What the device then uploads.
    pub const REGISTRATION_UPLOAD: usize = 192;
    /// KE1, the device's first message of a login.
    pub const KE1: usize = 96;
    /// KE2, the server's answer.
    pub const KE2: usize = 320;
    /// KE3, the device's proof.
    pub const KE3: usize = 64;
    /// The server's secret.
    pub const SERVER_SECRET: usize = 128;
}

/// A key that anybody may know: the base point of ristretto255 (RFC 9496 §A.1).
const DECOY_KEY: [u8; 32] = [
    0xe2, 0xf2, 0xae, 0x0a, 0x6a, 0xbc, 0x4e, 0x71, 0xa8, 0x84, 0xa9, 0x61, 0xc5, 0x00, 0x51, 0x5f,
    0x58, 0xe3, 0x0b, 0x6a, 0xa5, 0x82, 0xdd, 0x8d, 0xb6, 0xa6, 0x59, 0x45, 0xe0, 0x8d, 0x2d, 0x76,
];

/// The longest name of a server or purpose that a login is bound to, in bytes.
const CONTEXT_PART_MAX: usize = 1024;

/// The secret of the server behind every password: a seed of OPRF keys, and its key pair.
///
/// It is made once and kept as a record of [`RecordKind::Server`](crate::RecordKind::Server), sealed. Whoever loses it ends every
/// password; whoever steals it together with the records can begin to guess.
pub struct ServerSecret(rfc9807::ServerSetup<Suite<Argon2id>>);

impl ServerSecret {
    /// Draws a secret.
    ///
    /// # Errors
    /// [`CryptoError::Entropy`] when the source fails.
    pub fn new(entropy: &mut dyn Entropy) -> Result<Self, CryptoError> {
        draws::with(entropy, |draws| Self(rfc9807::ServerSetup::new(draws)))
    }

    /// The bytes, to be sealed: OPRF seed 64, private key 32, the public key of people without a record 32.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.serialize().to_vec())
    }

    /// From the bytes that were sealed.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] for bytes that are no such secret.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CryptoError> {
        const MALFORMED: CryptoError = CryptoError::Malformed("the secret behind passwords");
        if bytes.len() != lengths::SERVER_SECRET {
            return Err(MALFORMED);
        }
        rfc9807::ServerSetup::deserialize(bytes).map(Self).map_err(|_rejected| MALFORMED)
    }
}

impl fmt::Debug for ServerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerSecret(hidden)")
    }
}

/// What a login is for. Device and server put the same into their transcripts; a proof made for one login fits no other.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The server's name, as the device knows it: the origin of its address.
    pub server: &'a str,
    /// The id of the challenge that the login answers.
    pub challenge: &'a [u8],
    /// What the proof is for: `session`, or a payment's id.
    pub purpose: &'a str,
}

impl Context<'_> {
    /// A label, then each part after its length in two bytes.
    fn to_bytes(self) -> Result<Vec<u8>, FactorError> {
        let mut bytes = b"tpw/opaque/v1\0".to_vec();
        for part in [self.server.as_bytes(), self.challenge, self.purpose.as_bytes()] {
            let length = u16::try_from(part.len()).ok().filter(|_| part.len() <= CONTEXT_PART_MAX);
            let length = length.ok_or(FactorError::Form("what the login is for is too long"))?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(part);
        }
        Ok(bytes)
    }
}

/// What both sides share after a login, and nobody else: 64 bytes.
pub struct SessionKey(Zeroizing<[u8; 64]>);

impl SessionKey {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(hidden)")
    }
}

/// The record: what a device uploaded for a password. Kept as [`RecordKind::Password`](crate::RecordKind::Password).
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordRecord {
    upload: Vec<u8>,
    set: Instant,
}

impl fmt::Debug for PasswordRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordRecord").field("set", &self.set).finish_non_exhaustive()
    }
}

impl PasswordRecord {
    const WHAT: &'static str = "record of a password";
    const FORMAT: u64 = 1;
    /// The suite: ristretto255, SHA-512, 3DH, Argon2id as in [`Argon2id`]. Other costs would be another number.
    const SUITE: u64 = 1;

    /// Registration's second half: the record to write from what the device uploads. A password that is set anew takes the old one's
    /// place.
    ///
    /// # Errors
    /// [`FactorError::Form`] for bytes that are no upload.
    pub fn new(upload: &[u8], now: Instant) -> Result<Self, FactorError> {
        let record = Self { upload: upload.to_vec(), set: now };
        record.registration().map(|_readable| record)
    }

    /// When the password was set.
    #[must_use]
    pub const fn set(&self) -> Instant {
        self.set
    }

    /// The record that is stored for somebody, if any. Where there is none, another one is read and thrown away: reading takes as long.
    ///
    /// # Errors
    /// [`CodecError`] for other bytes.
    pub fn read_stored(stored: Option<&[u8]>) -> Result<Option<Self>, CodecError> {
        match stored {
            Some(bytes) => Self::from_bytes(bytes).map(Some),
            None => {
                black_box(Self::from_bytes(&Self::decoy().to_bytes())?);
                Ok(None)
            }
        }
    }

    /// A record that is read like any other, and belongs to nobody.
    fn decoy() -> Self {
        let mut upload = DECOY_KEY.to_vec();
        upload.resize(lengths::REGISTRATION_UPLOAD, 0);
        Self { upload, set: Instant::MIN }
    }

    fn registration(&self) -> Result<rfc9807::ServerRegistration<Suite<Argon2id>>, FactorError> {
        const FORM: FactorError = FactorError::Form("this is no registration of a password");
        if self.upload.len() != lengths::REGISTRATION_UPLOAD {
            return Err(FORM);
        }
        rfc9807::ServerRegistration::deserialize(&self.upload).map_err(|_rejected| FORM)
    }

    /// As it is stored: format, suite, upload, when set.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(4).uint(Self::FORMAT).uint(Self::SUITE).bytes(&self.upload);
        w.uint(self.set.unix_ms());
        w.finish()
    }

    /// As it was stored.
    ///
    /// # Errors
    /// [`CodecError`] for other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        decode_exact(bytes, Self::WHAT, Self::read, Self::to_bytes)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        super::opens(r, 4, Self::FORMAT)?;
        if r.uint()? != Self::SUITE {
            return Err(r.bad("suite"));
        }
        let record = Self { upload: r.bytes()?.to_vec(), set: super::instant(r, "set")? };
        record.registration().map(|_readable| record).map_err(|_rejected| r.bad("upload"))
    }
}

/// Registration's first half: answers the device's request for `person`.
///
/// # Errors
/// [`FactorError::Form`] for bytes that are no request.
pub fn respond(
    secret: &ServerSecret,
    person: &PersonId,
    request: &[u8],
) -> Result<Vec<u8>, FactorError> {
    respond_to(secret, person.as_bytes(), request)
}

fn respond_to(
    secret: &ServerSecret,
    credential: &[u8],
    request: &[u8],
) -> Result<Vec<u8>, FactorError> {
    const FORM: FactorError = FactorError::Form("this is no request to register a password");
    if request.len() != lengths::REGISTRATION_REQUEST {
        return Err(FORM);
    }
    let request = rfc9807::RegistrationRequest::deserialize(request).map_err(|_rejected| FORM)?;
    rfc9807::ServerRegistration::start(&secret.0, request, credential)
        .map(|started| started.message.serialize().to_vec())
        .map_err(|_rejected| FORM)
}

/// A login that waits for the device's proof. It is finished once, and lives no longer than its challenge.
pub struct Pending {
    state: rfc9807::ServerLogin<Suite<Argon2id>>,
    context: Vec<u8>,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending(hidden)")
    }
}

/// Login's first half: KE2 for the device's KE1, and what waits for KE3. `record` is `None` for people who are unknown or have no
/// password: the answer looks the same, and no KE3 fits it.
///
/// # Errors
/// [`FactorError::Form`] for bytes that are no KE1, [`FactorError::Crypto`] when the source of randomness fails.
pub fn begin(
    secret: &ServerSecret,
    person: &PersonId,
    record: Option<&PasswordRecord>,
    ke1: &[u8],
    context: Context<'_>,
    entropy: &mut dyn Entropy,
) -> Result<(Vec<u8>, Pending), FactorError> {
    begin_in(secret, person.as_bytes(), record, ke1, context.to_bytes()?, None, entropy)
}

/// As [`begin`], with the identities that the vectors of RFC 9807 have. The product's are the public keys, which is what RFC 9807 §4
/// says of parties that name none.
fn begin_in(
    secret: &ServerSecret,
    credential: &[u8],
    record: Option<&PasswordRecord>,
    ke1: &[u8],
    context: Vec<u8>,
    names: Option<suite::Names<'_>>,
    entropy: &mut dyn Entropy,
) -> Result<(Vec<u8>, Pending), FactorError> {
    const FORM: FactorError = FactorError::Form("this is no first message of a login");
    if ke1.len() != lengths::KE1 {
        return Err(FORM);
    }
    let request = rfc9807::CredentialRequest::deserialize(ke1).map_err(|_rejected| FORM)?;
    let registration = match record {
        Some(record) => Some(record.registration()?),
        // Reading a record's key is a fortieth of all that is done here: without this it could be timed who has a record.
        None => {
            black_box(PasswordRecord::decoy().registration()?);
            None
        }
    };
    let parameters = rfc9807::ServerLoginParameters {
        context: Some(&context),
        identifiers: suite::identifiers(names),
    };
    let started = draws::with(entropy, |draws: &mut Draws<'_>| {
        let setup = &secret.0;
        rfc9807::ServerLogin::start(draws, setup, registration, request, credential, parameters)
    })?;
    let started = started.map_err(|_rejected| FORM)?;
    Ok((started.message.serialize().to_vec(), Pending { state: started.state, context }))
}

impl Pending {
    /// Login's second half: judges the device's KE3.
    ///
    /// # Errors
    /// [`FactorError::Refused`] for a KE3 that was not made with the person's password for this very login.
    pub fn finish(self, ke3: &[u8], now: Instant) -> Result<(Evidence, SessionKey), FactorError> {
        self.finish_in(ke3, None).map(|key| (Evidence::new(Method::Password, now), key))
    }

    fn finish_in(
        self,
        ke3: &[u8],
        names: Option<suite::Names<'_>>,
    ) -> Result<SessionKey, FactorError> {
        if ke3.len() != lengths::KE3 {
            return Err(FactorError::Form("this is no proof of a password"));
        }
        let wrong = FactorError::Refused(Why::Wrong);
        let Ok(proof) = rfc9807::CredentialFinalization::deserialize(ke3) else {
            return Err(wrong);
        };
        let parameters = rfc9807::ServerLoginParameters {
            context: Some(&self.context),
            identifiers: suite::identifiers(names),
        };
        let finished = self.state.finish(proof, parameters);
        finished.map(|done| SessionKey(suite::exact(&done.session_key))).map_err(|_rejected| wrong)
    }
}
