//! What the browser says it asked the authenticator for (§5.8.1).

use serde_json::Value;
use tpw_crypto::sha256;

use super::{Challenge, RelyingParty, WebauthnError};
use crate::jose::{read_object, text};

/// The longest client data that is read, in bytes. Browsers write some 200.
const LEN_MAX: usize = 8 * 1024;

/// Which of the two ceremonies.
#[derive(Clone, Copy)]
pub(super) enum Ceremony {
    Registration,
    Assertion,
}

/// Checks the client data of `ceremony` and gives its hash, which the authenticator signed (§7.1 steps 5 to 12, §7.2 steps 8
/// to 14).
pub(super) fn check(
    json: &[u8],
    ceremony: Ceremony,
    challenge: &Challenge,
    rp: &RelyingParty,
) -> Result<[u8; 32], WebauthnError> {
    if json.len() > LEN_MAX {
        return Err(WebauthnError::ClientData);
    }
    // A member that stands twice could be read as either.
    let members = read_object(json).map_err(|_bad| WebauthnError::ClientData)?;
    let member = |name: &str| text(&members, name).ok_or(WebauthnError::ClientData);
    let wanted = match ceremony {
        Ceremony::Registration => "webauthn.create",
        Ceremony::Assertion => "webauthn.get",
    };
    if member("type")? != wanted {
        return Err(WebauthnError::Type);
    }
    if member("challenge")? != challenge.text() {
        return Err(WebauthnError::OtherChallenge);
    }
    if !rp.allows(member("origin")?) {
        return Err(WebauthnError::OtherOrigin);
    }
    match members.get("crossOrigin") {
        None | Some(Value::Bool(false)) => {}
        Some(Value::Bool(true)) => return Err(WebauthnError::CrossOrigin),
        Some(_) => return Err(WebauthnError::ClientData),
    }
    if members.contains_key("topOrigin") {
        return Err(WebauthnError::CrossOrigin);
    }
    Ok(sha256(json))
}
