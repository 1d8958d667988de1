//! What the authenticator says of itself and the user (§6.1).

use minicbor::Decoder;
use minicbor::data::Type;

use super::passkey::CREDENTIAL_ID_LEN_MAX;
use super::{RelyingParty, WebauthnError};

const UP: u8 = 0x01;
const UV: u8 = 0x04;
const BE: u8 = 0x08;
const BS: u8 = 0x10;
const AT: u8 = 0x40;
const ED: u8 = 0x80;

/// Authenticator data, taken apart and checked against the relying party; its signature is not verified yet.
pub(super) struct AuthenticatorData<'b> {
    pub(super) user_verified: bool,
    pub(super) backup_eligible: bool,
    pub(super) backed_up: bool,
    pub(super) sign_count: u32,
    pub(super) credential: Option<AttestedCredential<'b>>,
}

/// The new credential (§6.5.2).
pub(super) struct AttestedCredential<'b> {
    pub(super) aaguid: [u8; 16],
    pub(super) id: &'b [u8],
    pub(super) key: &'b [u8],
}

/// Whether the data must hold a new credential, or must hold none (§6.1: "For assertion signatures, the AT flag MUST NOT be
/// set").
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Credential,
    NoCredential,
}

const fn bad(what: &'static str) -> WebauthnError {
    WebauthnError::AuthenticatorData(what)
}

impl<'b> AuthenticatorData<'b> {
    /// Reads all of `bytes`, and checks relying party, presence and backup flags (§7.1 steps 13 to 17).
    pub(super) fn read(
        bytes: &'b [u8],
        holds: Holds,
        rp: &RelyingParty,
    ) -> Result<Self, WebauthnError> {
        let (rp_id_hash, rest) = bytes.split_first_chunk::<32>().ok_or(bad("too short"))?;
        let (flags, rest) = rest.split_first().ok_or(bad("too short"))?;
        let (count, rest) = rest.split_first_chunk::<4>().ok_or(bad("too short"))?;
        if rp_id_hash != rp.id_hash() {
            return Err(WebauthnError::OtherRelyingParty);
        }
        let has = |flag: u8| flags & flag != 0;
        if !has(UP) {
            return Err(WebauthnError::UserNotPresent);
        }
        // §6.1.3: "a backed up credential is backup eligible".
        if has(BS) && !has(BE) {
            return Err(WebauthnError::BackupFlags);
        }
        if has(AT) != (holds == Holds::Credential) {
            return Err(bad("a credential where there is none, or none where there is one"));
        }
        let (credential, rest) = if has(AT) {
            let (credential, rest) = read_credential(rest)?;
            (Some(credential), rest)
        } else {
            (None, rest)
        };
        let rest = if has(ED) { after_map(rest)? } else { rest };
        if !rest.is_empty() {
            return Err(bad("bytes after the end"));
        }
        Ok(Self {
            user_verified: has(UV),
            backup_eligible: has(BE),
            backed_up: has(BS),
            sign_count: u32::from_be_bytes(*count),
            credential,
        })
    }
}

fn read_credential(bytes: &[u8]) -> Result<(AttestedCredential<'_>, &[u8]), WebauthnError> {
    let (aaguid, rest) = bytes.split_first_chunk::<16>().ok_or(bad("too short"))?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(bad("too short"))?;
    let length = usize::from(u16::from_be_bytes(*length));
    // §7.1 step 26: at most 1,023 bytes.
    if length == 0 || length > CREDENTIAL_ID_LEN_MAX {
        return Err(bad("the credential id has no byte or more than 1,023"));
    }
    let (id, rest) = rest.split_at_checked(length).ok_or(bad("too short"))?;
    let after = after_map(rest)?;
    let key = rest.strip_suffix(after).ok_or(bad("too short"))?;
    Ok((AttestedCredential { aaguid: *aaguid, id, key }, after))
}

/// What follows the CBOR map at the start of `bytes`.
fn after_map(bytes: &[u8]) -> Result<&[u8], WebauthnError> {
    let mut decoder = Decoder::new(bytes);
    let is_map = decoder.datatype().is_ok_and(|kind| kind == Type::Map);
    if !is_map || decoder.skip().is_err() {
        return Err(bad("no cbor map where one should be"));
    }
    bytes.get(decoder.position()..).ok_or(bad("too short"))
}
