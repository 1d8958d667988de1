//! What is kept of a passkey or security key.

use tpw_core::codec::{CodecError, Reader, Writer, decode_exact};
use tpw_core::{Hash32, Instant};
use tpw_crypto::sha256;

use super::credential_key::CredentialKey;
use super::{AttestationFormat, WebauthnError};
use crate::record::{RecordKey, RecordKind};

/// §4, credential ID: "at most 1023 bytes".
pub(super) const CREDENTIAL_ID_LEN_MAX: usize = 1023;
/// The longest name that a person gives, in characters and in bytes.
const NAME_CHARS_MAX: usize = 64;
const NAME_LEN_MAX: usize = 256;
/// The format of the stored bytes.
const FORMAT: u64 = 1;

tpw_core::codes! {
    /// What a key is registered for. The numbers are stored.
    PasskeyUse: u8 {
        /// A discoverable credential that verifies its user: a factor that counts as two.
        Passkey = 1 "passkey",
        /// A second factor beside others, U2F keys among them: presence is enough.
        SecurityKey = 2 "security_key",
    }
}

tpw_core::codes! {
    /// How a browser reaches an authenticator (§5.8.4): a hint, and nothing that was proved. The numbers are bits.
    Transport: u8 {
        /// Universal serial bus.
        Usb = 1 "usb",
        /// Near-field communication.
        Nfc = 2 "nfc",
        /// Bluetooth Low Energy.
        Ble = 4 "ble",
        /// A smart card with contacts.
        SmartCard = 8 "smart-card",
        /// A phone beside the computer.
        Hybrid = 16 "hybrid",
        /// Inside the computer.
        Internal = 32 "internal",
    }
}

/// A registered credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// For what it was registered.
    pub used_as: PasskeyUse,
    /// Its credential id.
    pub credential_id: Vec<u8>,
    /// Its public key, a COSE_Key as the authenticator wrote it.
    pub public_key: Vec<u8>,
    /// The counter when it was last used (§6.1.1); zero if it has none.
    pub sign_count: u32,
    /// Whether copies of it may exist on several devices.
    pub backup_eligible: bool,
    /// Whether there was a copy when it was last used.
    pub backed_up: bool,
    /// Whether the user was verified at registration.
    pub user_verified: bool,
    /// How the browser reaches it.
    pub transports: Vec<Transport>,
    /// The model of the authenticator; zeros if it keeps that to itself.
    pub aaguid: [u8; 16],
    /// How it proved what it is.
    pub attestation: AttestationFormat,
    /// Whether that proof leads to a known maker.
    pub attested: bool,
    /// The person's name for it.
    pub name: String,
    /// When it was registered.
    pub created: Instant,
    /// When it was last used, if ever.
    pub last_used: Option<Instant>,
}

impl Passkey {
    /// The id under which it is kept: a credential id may be longer than a record's id, its SHA-256 is not.
    #[must_use]
    pub fn record_id(credential_id: &[u8]) -> Hash32 {
        Hash32::new(sha256(credential_id))
    }

    /// Under which it is kept for `owner`; `None` never, since a hash is short enough.
    #[must_use]
    pub fn record_key(credential_id: &[u8], owner: [u8; 16]) -> Option<RecordKey> {
        RecordKey::new(RecordKind::Passkey, owner, Self::record_id(credential_id).as_bytes())
    }

    /// As it is stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let flags = [self.backup_eligible, self.backed_up, self.user_verified, self.attested];
        let bits = flags.iter().rev().fold(0, |bits, flag| (bits << 1) | u64::from(*flag));
        let transports = self.transports.iter().fold(0, |bits, one| bits | one.number());
        let mut writer = Writer::new();
        writer.array(13).uint(FORMAT);
        writer.uint(self.used_as.number().into()).bytes(&self.credential_id);
        writer.bytes(&self.public_key).uint(self.sign_count.into()).uint(bits);
        writer.uint(transports.into()).bytes(&self.aaguid);
        writer.uint(self.attestation.number().into()).text(&self.name);
        writer.uint(self.created.unix_ms()).uint(u64::from(self.last_used.is_some()));
        writer.uint(self.last_used.map_or(0, Instant::unix_ms));
        writer.finish()
    }

    /// As it was stored.
    ///
    /// # Errors
    /// [`WebauthnError::Stored`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WebauthnError> {
        let passkey = decode_exact(bytes, "passkey", Self::read, Self::to_bytes);
        let passkey = passkey.map_err(|_error| WebauthnError::Stored)?;
        CredentialKey::read(&passkey.public_key).map_err(|_error| WebauthnError::Stored)?;
        Ok(passkey)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        if reader.array("passkey", 13)? != 13 || reader.uint()? != FORMAT {
            return Err(reader.bad("format"));
        }
        let used_as = PasskeyUse::from_number(small(reader, "use")?).ok_or(reader.bad("use"))?;
        let credential_id = reader.bytes()?.to_vec();
        let public_key = reader.bytes()?.to_vec();
        let sign_count = u32::try_from(reader.uint()?).map_err(|_| reader.bad("sign_count"))?;
        let flags = small(reader, "flags")?;
        let transports = small(reader, "transports")?;
        let aaguid = reader.fixed("aaguid")?;
        let attestation = AttestationFormat::from_number(small(reader, "attestation")?);
        let attestation = attestation.ok_or(reader.bad("attestation"))?;
        let name = reader.text("name", NAME_LEN_MAX)?.to_owned();
        let created = instant(reader, "created")?;
        let was_used = reader.uint()? != 0;
        let last_used = instant(reader, "last_used")?;
        if credential_id.len() > CREDENTIAL_ID_LEN_MAX || !is_name(&name) {
            return Err(reader.bad("credential_id"));
        }
        let has = |bit: u8| flags & bit != 0;
        let all = Transport::ALL.iter().filter(|one| transports & one.number() != 0);
        Ok(Self {
            used_as,
            credential_id,
            public_key,
            sign_count,
            backup_eligible: has(1),
            backed_up: has(2),
            user_verified: has(4),
            attested: has(8),
            transports: all.copied().collect(),
            aaguid,
            attestation,
            name,
            created,
            last_used: was_used.then_some(last_used),
        })
    }
}

fn small(reader: &mut Reader<'_>, field: &'static str) -> Result<u8, CodecError> {
    u8::try_from(reader.uint()?).map_err(|_| reader.bad(field))
}

pub(super) fn instant(reader: &mut Reader<'_>, field: &'static str) -> Result<Instant, CodecError> {
    Instant::from_unix_ms(reader.uint()?).ok_or(reader.bad(field))
}

/// Whether a person may call a key so.
pub(super) fn is_name(name: &str) -> bool {
    let length = name.chars().count();
    let fits = (1..=NAME_CHARS_MAX).contains(&length) && name.len() <= NAME_LEN_MAX;
    fits && !name.chars().any(char::is_control) && !name.trim().is_empty()
}
