//! The JSON in which browsers send answers: `RegistrationResponseJSON` and `AuthenticationResponseJSON` (§5.1).

use serde_json::Value;

use super::WebauthnError;
use crate::jose::{Members, decode, encode, read_object, text};

/// The longest answer that is read, in bytes: an attestation with its certificates has some 5 KiB.
const LEN_MAX: usize = 64 * 1024;

const fn bad(what: &'static str) -> WebauthnError {
    WebauthnError::Answer(what)
}

/// An answer, of which only the outer shape is known.
pub(super) struct Message {
    pub(super) credential_id: Vec<u8>,
    response: Members,
}

impl Message {
    /// Reads `json`. Members that are not needed are passed over: browsers add some.
    pub(super) fn read(json: &[u8]) -> Result<Self, WebauthnError> {
        if json.len() > LEN_MAX {
            return Err(bad("longer than 64 KiB"));
        }
        let mut members = read_object(json).map_err(|_error| bad("no json object"))?;
        if text(&members, "type") != Some("public-key") {
            return Err(bad("`type` is not `public-key`"));
        }
        let id = text(&members, "id").ok_or(bad("no `id`"))?;
        // §5.1: `id` is the base64url of `rawId`.
        if text(&members, "rawId").is_some_and(|raw| raw != id) {
            return Err(bad("`id` and `rawId` differ"));
        }
        let credential_id = decode(id).map_err(|_error| bad("`id` is not base64url"))?;
        match members.remove("response") {
            Some(Value::Object(response)) => Ok(Self { credential_id, response }),
            _ => Err(bad("no `response`")),
        }
    }

    /// A message that was read before, of what is kept of it.
    pub(super) fn of(credential_id: &[u8], members: &[(&str, &Vec<u8>)]) -> Self {
        let member = |(name, bytes): &(&str, &Vec<u8>)| ((*name).to_owned(), encode(bytes).into());
        let response = members.iter().map(member).collect();
        Self { credential_id: credential_id.to_vec(), response }
    }

    /// A byte string of the response.
    pub(super) fn bytes(&self, name: &'static str) -> Result<Vec<u8>, WebauthnError> {
        let text = text(&self.response, name).ok_or(bad(name))?;
        decode(text).map_err(|_error| bad(name))
    }

    /// A byte string that may be absent or null.
    pub(super) fn optional_bytes(
        &self,
        name: &'static str,
    ) -> Result<Option<Vec<u8>>, WebauthnError> {
        match self.response.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.bytes(name).map(Some),
        }
    }

    /// A list of texts; empty if it is absent.
    pub(super) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        let list = self.response.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str)
    }
}
