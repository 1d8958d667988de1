//! People, their devices, and the tokens that devices get.

use super::{Account, NewAccount, Text, TreeHead};
use serde::{Deserialize, Serialize};
use tpw_core::{AccountId, DeviceId, Hash32, Instant, PersonId};
#[cfg(test)]
use utoipa::ToSchema;

/// A person to be entered, with accounts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// An id of the caller's making, so that the request can be repeated: the same id with the same content
    /// changes nothing. Made by the server when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>, example = "per_01h455vb4pex5vsknk084sn02q"))]
    pub id: Option<Text<PersonId>>,
    /// The name, 1 to 64 bytes.
    pub name: String,
    /// Accounts to open, at most 16.
    #[serde(default)]
    pub accounts: Vec<NewAccount>,
    /// Whether to issue a one-time code with which the person enrols a device.
    #[serde(default)]
    pub enrolment_code: bool,
}

/// A person was entered.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PersonAdded {
    /// The person.
    #[cfg_attr(test, schema(value_type = String))]
    pub person: Text<PersonId>,
    /// The accounts, in the order of the request.
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    pub accounts: Vec<Text<AccountId>>,
    /// The enrolment code, shown once: the server keeps its hash alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Until when the code can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>, format = DateTime))]
    pub code_expires: Option<Text<Instant>>,
}

/// The code stays out of logs.
impl core::fmt::Debug for PersonAdded {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut shown = f.debug_struct("PersonAdded");
        shown.field("person", &self.person).field("accounts", &self.accounts);
        shown.field("code_expires", &self.code_expires).finish_non_exhaustive()
    }
}

/// Up to 500 people to be entered, each on its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PeopleBatch {
    /// The people.
    pub people: Vec<NewPerson>,
}

/// What became of one person of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum PersonOutcome {
    /// Entered now.
    Created(PersonAdded),
    /// There already, with the same content; a code asked for is a new one.
    Exists(PersonAdded),
    /// Not entered.
    Rejected {
        /// The stable code of the reason.
        code: String,
        /// The reason in words.
        detail: String,
    },
}

/// What became of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PeopleAdded {
    /// One outcome for each person, in the order of the request.
    pub items: Vec<PersonOutcome>,
}

/// An enrolment code.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct IssuedCode {
    /// For whom.
    #[cfg_attr(test, schema(value_type = String))]
    pub person: Text<PersonId>,
    /// The code, shown once.
    #[cfg_attr(test, schema(example = "8XQ2M-4T0ZK-W7P3C-5RJ9D"))]
    pub code: String,
    /// Until when it can be used.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub code_expires: Text<Instant>,
}

/// The code stays out of logs.
impl core::fmt::Debug for IssuedCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut shown = f.debug_struct("IssuedCode");
        shown.field("person", &self.person).field("code_expires", &self.code_expires);
        shown.finish_non_exhaustive()
    }
}

/// A person.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Person {
    /// The id.
    #[cfg_attr(test, schema(value_type = String))]
    pub id: Text<PersonId>,
    /// The name.
    pub name: String,
    /// When entered.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub added: Text<Instant>,
    /// The accounts.
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    pub accounts: Vec<Text<AccountId>>,
    /// The devices.
    pub devices: Vec<Device>,
}

/// A device.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Device {
    /// The id.
    #[cfg_attr(test, schema(value_type = String))]
    pub id: Text<DeviceId>,
    /// Whose it is.
    #[cfg_attr(test, schema(value_type = String))]
    pub person: Text<PersonId>,
    /// What kind of key it signs with.
    #[cfg_attr(test, schema(example = "ed25519"))]
    pub algorithm: String,
    /// The RFC 7638 thumbprint of its key, 64 hexadecimal digits.
    #[cfg_attr(test, schema(value_type = String))]
    pub key_thumbprint: Text<Hash32>,
    /// Since when.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub enrolled: Text<Instant>,
    /// Since when no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>, format = DateTime))]
    pub revoked: Option<Text<Instant>>,
}

/// A device to be enrolled; its key is the one of the request's DPoP proof.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// The one-time code.
    pub code: String,
    /// An id of the device's making; made by the server when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub device: Option<Text<DeviceId>>,
    /// The second key of a hybrid device, which signs its payments as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_quantum: Option<PostQuantumKey>,
}

/// A key of ML-DSA-44 (RFC 9964) and the proof that its device has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PostQuantumKey {
    /// The key, 1312 bytes in base64url.
    pub key: String,
    /// Its signature over the thumbprints of both keys (`spec/intent.md`), in base64url.
    pub proof: String,
}

/// The code stays out of logs.
impl core::fmt::Debug for Enrol {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Enrol").field("device", &self.device).finish_non_exhaustive()
    }
}

/// A device was enrolled: all that it has to know and keep.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Enrolled {
    /// The device.
    #[cfg_attr(test, schema(value_type = String))]
    pub device: Text<DeviceId>,
    /// Whose it is.
    #[cfg_attr(test, schema(value_type = String))]
    pub person: Text<PersonId>,
    /// The person's accounts.
    pub accounts: Vec<Account>,
    /// The operator's name, which intents must carry.
    pub audience: String,
    /// The file `trust.json` of this operator.
    #[cfg_attr(test, schema(value_type = Object))]
    pub trust: serde_json::Value,
    /// The newest tree head of the log.
    pub head: TreeHead,
}

/// A short-lived access token, bound to the device key (RFC 9449 §5).
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Token {
    /// The token.
    pub access_token: String,
    /// Always `DPoP`.
    pub token_type: String,
    /// How long it lives, in seconds.
    pub expires_in: u64,
}

/// The token stays out of logs.
impl core::fmt::Debug for Token {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Token").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_and_no_token_is_shown() {
        const SECRET: &str = "8XQ2M-4T0ZK-W7P3C-5RJ9D";
        let person = Text(PersonId::from_bytes([1; 16]));
        let code_expires = Text(Instant::from_unix_ms(1).unwrap());
        let secret = || SECRET.to_owned();
        let added = || PersonAdded {
            person,
            accounts: Vec::new(),
            code: Some(secret()),
            code_expires: Some(code_expires),
        };
        let list = PeopleAdded {
            items: vec![PersonOutcome::Created(added()), PersonOutcome::Exists(added())],
        };
        for shown in [
            format!("{:?}", added()),
            format!("{list:#?}"),
            format!("{:?}", IssuedCode { person, code: secret(), code_expires }),
            format!("{:?}", Enrol { code: secret(), device: None, post_quantum: None }),
            format!(
                "{:?}",
                Token { access_token: secret(), token_type: "DPoP".to_owned(), expires_in: 1 }
            ),
        ] {
            assert!(!shown.contains(SECRET), "{shown}");
        }
    }
}
