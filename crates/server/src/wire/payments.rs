//! Payments.

use super::{Base64Url, Text};
use serde::{Deserialize, Serialize};
use tpw_core::{AccountId, Amount, Asset, DeviceId, Hash32, Instant, PaymentId, TransferId};
#[cfg(test)]
use utoipa::ToSchema;

/// A payment to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Pay {
    /// The device's signed intent: a `COSE_Sign1` in base64url without padding.
    #[cfg_attr(test, schema(value_type = String))]
    pub statement: Base64Url,
}

/// A fresh signature for a payment that waits for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StepUp {
    /// The device's signed step-up proof: a `COSE_Sign1` in base64url without padding.
    #[cfg_attr(test, schema(value_type = String))]
    pub proof: Base64Url,
}

/// Where a payment rests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Waits for a fresh signature of the payer's device.
    StepUp,
    /// Waits for an operator.
    Held,
    /// Done.
    Booked,
    /// Done and undone.
    Compensated,
    /// Refused; nothing moved.
    Refused,
}

/// What screening wants done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Go on.
    Clear,
    /// Ask the payer's device again.
    StepUp,
    /// Ask an operator.
    Hold,
    /// Do not carry it out.
    Refuse,
}

/// One reason of a score.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Reason {
    /// The stable code.
    #[cfg_attr(test, schema(example = "payee_new"))]
    pub code: String,
    /// Points out of 1000.
    pub points: u16,
    /// The reason in words.
    pub text: String,
}

/// What screening said.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Decision {
    /// Risk from 0 (none seen) to 1000.
    pub score: u16,
    /// What is to be done.
    pub verdict: Verdict,
    /// Why, gravest first.
    pub reasons: Vec<Reason>,
    /// The hash of the rule set applied.
    #[cfg_attr(test, schema(value_type = String))]
    pub rules: Text<Hash32>,
}

/// A transfer that moved the money.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Posting {
    /// The transfer.
    #[cfg_attr(test, schema(value_type = String))]
    pub transfer: Text<TransferId>,
    /// Its number in the ledger.
    pub number: u64,
    /// The account debited.
    #[cfg_attr(test, schema(value_type = String))]
    pub debit: Text<AccountId>,
    /// The account credited.
    #[cfg_attr(test, schema(value_type = String))]
    pub credit: Text<AccountId>,
    /// Minor units.
    #[cfg_attr(test, schema(value_type = String))]
    pub amount: Text<Amount>,
    /// Of what.
    #[cfg_attr(test, schema(value_type = String))]
    pub asset: Text<Asset>,
    /// The head of the debited account's chain after it.
    #[cfg_attr(test, schema(value_type = String))]
    pub debit_chain: Text<Hash32>,
    /// The head of the credited account's chain after it.
    #[cfg_attr(test, schema(value_type = String))]
    pub credit_chain: Text<Hash32>,
}

/// What let a payment go on that had to wait.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Approval {
    /// The payer's device signed again.
    StepUp {
        /// SHA-256 of the signed proof.
        #[cfg_attr(test, schema(value_type = String))]
        proof: Text<Hash32>,
        /// When.
        #[cfg_attr(test, schema(value_type = String, format = DateTime))]
        at: Text<Instant>,
    },
    /// An operator released it.
    Operator {
        /// The RFC 7638 thumbprint of the operator's key.
        #[cfg_attr(test, schema(value_type = String))]
        key: Text<Hash32>,
        /// When.
        #[cfg_attr(test, schema(value_type = String, format = DateTime))]
        at: Text<Instant>,
    },
    /// The payer gave a further factor for this very payment.
    Factor {
        /// What was given, as a hash over the intent hash, the method and the factor's own evidence: `spec/leaf.md`.
        #[cfg_attr(test, schema(value_type = String))]
        evidence: Text<Hash32>,
        /// When.
        #[cfg_attr(test, schema(value_type = String, format = DateTime))]
        at: Text<Instant>,
    },
}

/// Why a payment was refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Refusal {
    /// The stable code.
    #[cfg_attr(test, schema(example = "insufficient_funds"))]
    pub code: String,
    /// The reason in words.
    pub text: String,
}

/// Where the money of a booked payment goes on to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RailState {
    /// Nowhere: the payee's account is in this ledger.
    Internal,
    /// An instruction to the clearing partner is out.
    Instructed,
    /// The clearing partner has confirmed it.
    Confirmed,
}

/// Why a booked payment was undone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The clearing partner returned it.
    RailReturned,
    /// An operator ordered it.
    Operator,
}

/// The undoing of a booked payment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Compensation {
    /// Why.
    pub cause: Cause,
    /// When.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub at: Text<Instant>,
    /// Its place in the log.
    pub leaf_index: u64,
    /// The opposite transfers.
    pub postings: Vec<Posting>,
}

/// A payment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Payment {
    /// The id, made on the device.
    #[cfg_attr(test, schema(value_type = String))]
    pub id: Text<PaymentId>,
    /// Where it rests.
    pub status: PaymentStatus,
    /// The device that signed it.
    #[cfg_attr(test, schema(value_type = String))]
    pub device: Text<DeviceId>,
    /// The account that pays.
    #[cfg_attr(test, schema(value_type = String))]
    pub payer: Text<AccountId>,
    /// The account that is paid.
    #[cfg_attr(test, schema(value_type = String))]
    pub payee: Text<AccountId>,
    /// Minor units.
    #[cfg_attr(test, schema(value_type = String, example = "1250"))]
    pub amount: Text<Amount>,
    /// Of what.
    #[cfg_attr(test, schema(value_type = String, example = "USD/2"))]
    pub asset: Text<Asset>,
    /// The payer's words.
    pub purpose: String,
    /// Its number in the signature chain of the device on the account.
    pub sequence: u64,
    /// SHA-256 of the intent: the transaction hash.
    #[cfg_attr(test, schema(value_type = String))]
    pub intent_hash: Text<Hash32>,
    /// When the device made it.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub created: Text<Instant>,
    /// When the server took it.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub received: Text<Instant>,
    /// What screening said.
    pub decision: Decision,
    /// What let it go on if it had to wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// Until when it waits, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>, format = DateTime))]
    pub deadline: Option<Text<Instant>>,
    /// When the postings were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>, format = DateTime))]
    pub booked: Option<Text<Instant>>,
    /// The transfers that moved the money.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub postings: Vec<Posting>,
    /// Its place in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf_index: Option<u64>,
    /// Where the money goes on to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rail: Option<RailState>,
    /// Why it was refused, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// How it was undone, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensation: Option<Compensation>,
    /// The receipt file `.tpr`, in base64url without padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub receipt: Option<Base64Url>,
    /// The receipt of the undoing, in base64url without padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub compensation_receipt: Option<Base64Url>,
    /// Whether the id and the sequence number are used up: always, once there is a payment.
    pub consumed: bool,
}

/// Payments.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PaymentList {
    /// The payments, in the order of their ids, which begin with a time.
    pub items: Vec<Payment>,
    /// Give it as `after` to get those that follow; absent when there may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub next_after: Option<Text<PaymentId>>,
}
