//! Factors: what a person proves who they are with, and the challenges in which they do.

use super::{Base64Url, Payment, Text, Token};
use serde::{Deserialize, Serialize};
use tpw_core::{Instant, PaymentId};
#[cfg(test)]
use utoipa::ToSchema;

/// A challenge is asked for: what is to be proved with, and what for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewChallenge {
    /// `password`, `totp`, `recovery`, `mail`, `sms` or `push`.
    pub method: String,
    /// The waiting payment that is to go on; the caller's session when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub payment: Option<Text<PaymentId>>,
    /// The method's first message: KE1 of OPAQUE (RFC 9807 §6.1) for `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub data: Option<Base64Url>,
    /// The id of the address that a code is sent to; the one that was confirmed last when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
}

/// A challenge, to be answered once.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Challenge {
    /// Its id: `POST /v1/challenges/{id}:answer`.
    pub id: String,
    /// What is to be proved with.
    pub method: String,
    /// Until when it can be answered.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub expires: Text<Instant>,
    /// The method's answer to the first message: KE2 of OPAQUE for `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub data: Option<Base64Url>,
    /// For `mail` and `sms`: enough of the address that a code was sent to to be recognised by its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_to: Option<String>,
    /// For `push`: the number to be typed at another device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
}

/// The answer to a challenge.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChallengeAnswer {
    /// KE3 of OPAQUE for `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub data: Option<Base64Url>,
    /// The code for `totp`, `recovery`, `mail` and `sms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What an answered challenge led to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Challenged {
    /// What the session is worth now: `aal1`, `aal2` or `aal3` (NIST SP 800-63B-4).
    pub acr: String,
    /// A token of that worth; for a challenge of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// The payment in its new state; for a challenge of a payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<Payment>,
}

/// A factor of the caller.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Factor {
    /// `password`, `totp`, `recovery`, `mail`, `sms` or `push`.
    pub method: String,
    /// Since when.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub since: Text<Instant>,
    /// Whether it can be used: a generator of codes has to be confirmed by a first code.
    pub confirmed: bool,
    /// How many recovery codes are left, or how many other devices can be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<usize>,
}

/// The factors of the caller, and what the caller's session is worth.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct FactorList {
    /// The factors.
    pub factors: Vec<Factor>,
    /// What this session is worth: `aal1`, `aal2` or `aal3`.
    pub acr: String,
    /// When the caller last proved what gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>, format = DateTime))]
    pub auth_time: Option<Text<Instant>>,
}

/// A message of OPAQUE's registration (RFC 9807 §5).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PasswordMessage {
    /// The bytes.
    #[cfg_attr(test, schema(value_type = String))]
    pub data: Base64Url,
}

/// A new generator of codes, shown once.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct TotpEnrolment {
    /// The link for an app, `otpauth://totp/…`.
    pub uri: String,
}

/// A code that was typed.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TypedCode {
    /// The code.
    pub code: String,
}

/// New recovery codes, shown once. Those of before are worth nothing any more.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct RecoveryCodes {
    /// Each can be used once.
    pub codes: Vec<String>,
}

macro_rules! hidden {
    ($($name:ident)*) => {$(
        /// Secrets stay out of logs.
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($name), "(hidden)"))
            }
        }
    )*};
}
hidden! { Challenge ChallengeAnswer TotpEnrolment TypedCode RecoveryCodes }
