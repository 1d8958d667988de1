//! Prompts: what one device asks and the person answers at another one.

use super::{Base64Url, Text};
use serde::{Deserialize, Serialize};
use tpw_core::{AccountId, Amount, Asset, DeviceId, Hash32, Instant, PaymentId};
use utoipa::ToSchema;

/// A prompt that waits to be answered at the device that asks for the list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Prompt {
    /// The challenge of the device that asked.
    pub challenge: String,
    /// The device that asked.
    #[schema(value_type = String)]
    pub asked_by: Text<DeviceId>,
    /// The device that answers: the caller's.
    #[schema(value_type = String)]
    pub device: Text<DeviceId>,
    /// The payment that is to go on; the session of the device that asked when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PromptedPayment>,
    /// When it was asked.
    #[schema(value_type = String, format = DateTime)]
    pub asked: Text<Instant>,
    /// Until when it can be answered.
    #[schema(value_type = String, format = DateTime)]
    pub expires: Text<Instant>,
    /// The operator's name, which the answer repeats.
    pub audience: String,
}

/// The payment that a prompt is about: what the answer repeats and signs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PromptedPayment {
    /// The payment.
    #[schema(value_type = String)]
    pub id: Text<PaymentId>,
    /// The hash of its intent.
    #[schema(value_type = String)]
    pub intent_hash: Text<Hash32>,
    /// How much, in minor units.
    #[schema(value_type = String)]
    pub amount: Text<Amount>,
    /// Of what.
    #[schema(value_type = String)]
    pub asset: Text<Asset>,
    /// To whom.
    #[schema(value_type = String)]
    pub payee: Text<AccountId>,
}

/// What waits at the caller's device: nothing or one prompt.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PromptList {
    /// The prompts.
    pub prompts: Vec<Prompt>,
}

/// An answer to a prompt, signed by the device at which it was given: `spec/prompt.md`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerPrompt {
    /// The signed statement.
    #[schema(value_type = String)]
    pub statement: Base64Url,
}

/// What was decided.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PromptAnswered {
    /// `approve`, `deny` or `not_me`.
    pub reply: String,
}
