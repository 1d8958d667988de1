//! Passkeys and security keys, and the links with which a browser registers and uses them.

use super::{Base64Url, PaymentStatus, Text};
use serde::{Deserialize, Serialize};
use tpw_core::{AccountId, DeviceId, Hash32, Instant, PaymentId};
#[cfg(test)]
use utoipa::ToSchema;

/// What a browser is to do with a passkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PasskeyErrand {
    /// Register a passkey: a key that verifies its user.
    RegisterPasskey,
    /// Register a security key: a second factor.
    RegisterSecurityKey,
    /// Use a registered key.
    Use,
}

/// A one-time link for a browser.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewPasskeyLink {
    /// What for.
    #[serde(rename = "for")]
    pub errand: PasskeyErrand,
    /// The payment that waits for its payer, if a key is to be used for that and not for the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub payment: Option<Text<PaymentId>>,
}

/// A one-time link for a browser, bound to the person and device that asked for it.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PasskeyLink {
    /// The page's address with the code in its fragment, which no browser sends to a server.
    pub url: String,
    /// Until when it can be used.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub expires: Text<Instant>,
}

/// The code stays out of logs.
impl core::fmt::Debug for PasskeyLink {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PasskeyLink").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// A browser begins.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StartPasskey {
    /// The link's code.
    pub code: String,
}

/// The payment that a key is used for: what the person sees before they agree, and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PasskeyPayment {
    /// Its id.
    #[cfg_attr(test, schema(value_type = String))]
    pub id: Text<PaymentId>,
    /// How much, in whole units with the asset's code.
    #[cfg_attr(test, schema(example = "1200.00 USD"))]
    pub money: String,
    /// The account that is paid.
    #[cfg_attr(test, schema(value_type = String))]
    pub payee: Text<AccountId>,
    /// The payer's words.
    pub purpose: String,
    /// SHA-256 of the intent. The challenge that the key signs is made of it, so that the answer is for no other payment.
    #[cfg_attr(test, schema(value_type = String))]
    pub intent_hash: Text<Hash32>,
    /// Where it rests.
    pub status: PaymentStatus,
}

/// What a browser is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PasskeyCeremony {
    /// What it is for.
    #[serde(rename = "for")]
    pub errand: PasskeyErrand,
    /// The device that asked for the link: a person who does not know it should not go on.
    #[cfg_attr(test, schema(value_type = String))]
    pub device: Text<DeviceId>,
    /// When it asked.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub asked: Text<Instant>,
    /// The payment that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PasskeyPayment>,
    /// `PublicKeyCredentialCreationOptionsJSON` or `PublicKeyCredentialRequestOptionsJSON` of Web Authentication.
    #[cfg_attr(test, schema(value_type = Object))]
    pub options: serde_json::Value,
}

/// What a browser answers.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FinishPasskey {
    /// The link's code.
    pub code: String,
    /// The person's name for a new key, 1 to 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `RegistrationResponseJSON` or `AuthenticationResponseJSON` of Web Authentication.
    #[cfg_attr(test, schema(value_type = Object))]
    pub credential: serde_json::Value,
}

/// A registered key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Passkey {
    /// Its id here: SHA-256 of its credential id, in hexadecimal digits.
    pub id: String,
    /// The person's name for it.
    pub name: String,
    /// `passkey` or `security_key`.
    pub used_as: String,
    /// Whether copies of it may exist on several devices.
    pub backup_eligible: bool,
    /// How it proved what it is: `none`, `packed`, `tpm`, `android-key`, `apple` or `fido-u2f`.
    pub attestation: String,
    /// Whether that proof leads to a maker that is known here.
    pub attested: bool,
    /// When it was registered.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub created: Text<Instant>,
    /// When it was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>, format = DateTime))]
    pub last_used: Option<Text<Instant>>,
}

/// A person's keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PasskeyList {
    /// The keys, in the order of their ids.
    pub passkeys: Vec<Passkey>,
}

/// A ceremony ended well.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PasskeyDone {
    /// The key that was registered or used.
    pub passkey: Passkey,
    /// Whether the authenticator verified its user.
    pub user_verified: bool,
    /// The key's counter did not rise: there may be a copy of it.
    pub counter_went_back: bool,
    /// The payment that it let go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PasskeyPayment>,
}

/// What was kept of a passkey's answer for a payment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct FactorEvidence {
    /// The payment that it let go on.
    #[cfg_attr(test, schema(value_type = String))]
    pub payment: Text<PaymentId>,
    /// The record: client data, authenticator data, signature and key. Its SHA-256 is what the receipt's factor evidence is made of.
    #[cfg_attr(test, schema(value_type = String))]
    pub data: Base64Url,
}
