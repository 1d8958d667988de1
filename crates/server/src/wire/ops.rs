//! What the operator reads.

use super::{Text, TreeHead};
use serde::{Deserialize, Serialize};
use tpw_core::{AccountId, Amount, Asset, DeviceId, Instant, PaymentId, PersonId};
#[cfg(test)]
use utoipa::ToSchema;

/// An instruction to a clearing partner that is neither confirmed nor returned.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct RailInstruction {
    /// The payment.
    #[cfg_attr(test, schema(value_type = String))]
    pub payment: Text<PaymentId>,
    /// The account that mirrors the clearing partner's.
    #[cfg_attr(test, schema(value_type = String))]
    pub account: Text<AccountId>,
    /// Minor units.
    #[cfg_attr(test, schema(value_type = String))]
    pub amount: Text<Amount>,
    /// Of what.
    #[cfg_attr(test, schema(value_type = String))]
    pub asset: Text<Asset>,
    /// The payer's words.
    pub purpose: String,
    /// When it was booked.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub at: Text<Instant>,
}

/// Open instructions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct RailList {
    /// The instructions, in the order of their payments' ids, which begin with a time.
    pub items: Vec<RailInstruction>,
    /// Give it as `after` to get those that follow; absent when there may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub next_after: Option<Text<PaymentId>>,
}

/// Something an operator has to look at.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Alarm {
    /// Its number, from 1.
    pub number: u64,
    /// What about.
    /// `checkpoint_fork`: a device has seen a tree head that this log never published. `not_me`: a person said that they had not begun what a
    /// device of theirs asked for; it asks no more for a day.
    #[cfg_attr(test, schema(example = "checkpoint_fork"))]
    pub kind: String,
    /// When it was raised.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub at: Text<Instant>,
    /// The device that reported it, or with `not_me` the one that asked.
    #[cfg_attr(test, schema(value_type = String))]
    pub device: Text<DeviceId>,
    /// Whose device that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub person: Option<Text<PersonId>>,
    /// The payment with which it came, or about which the device asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub payment: Option<Text<PaymentId>>,
    /// The head that the device claims to have seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<TreeHead>,
}

/// Alarms.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct AlarmList {
    /// The alarms, oldest first.
    pub items: Vec<Alarm>,
    /// Give it as `after` to get those that follow; absent when there may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}
