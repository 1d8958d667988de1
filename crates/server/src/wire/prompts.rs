//! Prompts: what one device asks and the person answers at another one.

use super::{Base64Url, Text};
use serde::{Deserialize, Serialize};
use tpw_core::{AccountId, Amount, Asset, DeviceId, Hash32, Instant, PaymentId};
#[cfg(test)]
use utoipa::ToSchema;

/// A prompt that waits to be answered at the device that asks for the list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Prompt {
    /// The challenge of the device that asked.
    pub challenge: String,
    /// The device that asked.
    #[cfg_attr(test, schema(value_type = String))]
    pub asked_by: Text<DeviceId>,
    /// The device that answers: the caller's.
    #[cfg_attr(test, schema(value_type = String))]
    pub device: Text<DeviceId>,
    /// The payment that is to go on; the session of the device that asked when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PromptedPayment>,
    /// When it was asked.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub asked: Text<Instant>,
    /// Until when it can be answered.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub expires: Text<Instant>,
    /// The operator's name, which the answer repeats.
    pub audience: String,
}

/// The payment that a prompt is about: what the answer repeats and signs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PromptedPayment {
    /// The payment.
    #[cfg_attr(test, schema(value_type = String))]
    pub id: Text<PaymentId>,
    /// The hash of its intent.
    #[cfg_attr(test, schema(value_type = String))]
    pub intent_hash: Text<Hash32>,
    /// How much, in minor units.
    #[cfg_attr(test, schema(value_type = String))]
    pub amount: Text<Amount>,
    /// Of what.
    #[cfg_attr(test, schema(value_type = String))]
    pub asset: Text<Asset>,
    /// To whom.
    #[cfg_attr(test, schema(value_type = String))]
    pub payee: Text<AccountId>,
}

/// What waits at the caller's device: nothing or one prompt.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PromptList {
    /// The prompts.
    pub prompts: Vec<Prompt>,
}

/// An answer to a prompt, signed by the device at which it was given: `spec/prompt.md`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AnswerPrompt {
    /// The signed statement.
    #[cfg_attr(test, schema(value_type = String))]
    pub statement: Base64Url,
}

/// What was decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PromptAnswered {
    /// `approve`, `deny` or `not_me`.
    pub reply: String,
}
