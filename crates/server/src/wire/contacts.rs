//! Addresses to which codes are sent.

use super::{Base64Url, Text};
use serde::{Deserialize, Serialize};
use tpw_core::Instant;
#[cfg(test)]
use utoipa::ToSchema;

/// An address of the caller to which codes can be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Contact {
    /// Its id.
    pub id: String,
    /// `mail` or `sms`.
    pub channel: String,
    /// Enough of it to be recognised by its owner.
    pub hint: String,
    /// Since when it is known.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub added: Text<Instant>,
    /// When its owner showed that it is theirs; absent until a first code came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>, format = DateTime))]
    pub verified: Option<Text<Instant>>,
    /// Whether NIST SP 800-63B-4 §3.2.9 restricts its use: who can choose takes another factor.
    pub restricted: bool,
    /// Whether this server sends messages by this channel at all.
    pub available: bool,
}

/// The addresses of the caller.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct ContactList {
    /// The addresses.
    pub contacts: Vec<Contact>,
}

/// An address to be added. A first code is sent there; without it the address counts for nothing.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewContact {
    /// A mail address, or a telephone number with its country such as `+8613800138000` (ITU-T E.164).
    pub address: String,
}

/// Addresses stay out of logs.
impl core::fmt::Debug for NewContact {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("NewContact(hidden)")
    }
}

/// A message that was sent to the caller.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct SentMessage {
    /// By which an SMS is found here: it stands at the end of its text.
    #[cfg_attr(test, schema(example = "7ZK4-0QXM"))]
    pub reference: String,
    /// `mail` or `sms`.
    pub channel: String,
    /// Enough of the address to be recognised by its owner.
    pub sent_to: String,
    /// When.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub at: Text<Instant>,
    /// What the operator signed of it: `spec/letter.md`.
    #[cfg_attr(test, schema(value_type = String))]
    pub statement: Base64Url,
}

/// The newest messages that were sent to the caller, the newest first. What claims to be from the operator and is not here is not.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct MessageList {
    /// The messages.
    pub messages: Vec<SentMessage>,
}
