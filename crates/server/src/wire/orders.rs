//! Orders of the operator and batches of payments.

use super::{Base64Url, Payment, Problem, Text};
use serde::{Deserialize, Serialize};
use tpw_core::{AccountId, Amount, Asset, Instant, TransferId};
use tpw_ledger::Balance;
#[cfg(test)]
use utoipa::ToSchema;

/// One movement of an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Leg {
    /// Its id, made by who orders it. The id of the first leg is the order's.
    #[cfg_attr(test, schema(value_type = String))]
    pub id: Text<TransferId>,
    /// The account that gives: the operator's own, an issuance account, or a mirror at a partner.
    #[cfg_attr(test, schema(value_type = String))]
    pub debit: Text<AccountId>,
    /// The account that receives.
    #[cfg_attr(test, schema(value_type = String))]
    pub credit: Text<AccountId>,
    /// Minor units.
    #[cfg_attr(test, schema(value_type = String))]
    pub amount: Text<Amount>,
    /// Of what.
    #[cfg_attr(test, schema(value_type = String))]
    pub asset: Text<Asset>,
    /// The value date, if it lies before the booking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>, format = DateTime))]
    pub effective: Option<Text<Instant>>,
}

/// What is ordered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Move money.
    Transfer {
        /// What.
        leg: Leg,
    },
    /// Move money in 1 to 16 legs, all or none.
    Linked {
        /// What, in order.
        legs: Vec<Leg>,
    },
    /// Set money aside.
    Hold {
        /// What.
        leg: Leg,
        /// From when on it can only be voided.
        #[cfg_attr(test, schema(value_type = String, format = DateTime))]
        expires: Text<Instant>,
    },
    /// Move held money; what is not posted is released.
    Post {
        /// The id of this transfer.
        #[cfg_attr(test, schema(value_type = String))]
        id: Text<TransferId>,
        /// The hold.
        #[cfg_attr(test, schema(value_type = String))]
        hold: Text<TransferId>,
        /// Minor units; all when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, schema(value_type = Option<String>))]
        amount: Option<Text<Amount>>,
    },
    /// Release held money.
    Void {
        /// The id of this transfer.
        #[cfg_attr(test, schema(value_type = String))]
        id: Text<TransferId>,
        /// The hold.
        #[cfg_attr(test, schema(value_type = String))]
        hold: Text<TransferId>,
    },
    /// Move the full amount of an ordered transfer back, once.
    Reverse {
        /// The id of this transfer.
        #[cfg_attr(test, schema(value_type = String))]
        id: Text<TransferId>,
        /// The number of the transfer.
        of: u64,
    },
}

/// What must hold of an account after the order, or the order is refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The account.
    #[cfg_attr(test, schema(value_type = String))]
    pub account: Text<AccountId>,
    /// Which of its numbers: `posted`, `pending`, `available` or `version`.
    #[cfg_attr(test, schema(example = "available"))]
    pub on: String,
    /// How it must compare: `less`, `at_most`, `equal`, `at_least` or `greater`.
    #[cfg_attr(test, schema(example = "at_least"))]
    pub is: String,
    /// With what: minor units, or a number of transfers; may begin with `-`.
    #[cfg_attr(test, schema(value_type = String))]
    pub than: Text<Balance>,
}

/// An order with its conditions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Ordered {
    /// The order.
    pub order: Order,
    /// At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Orders that are given together; each is decided on its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OrderBatch {
    /// 1 to 8190 orders.
    pub orders: Vec<Ordered>,
}

/// What became of an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum OrderOutcome {
    /// It was done.
    Done {
        /// The number of its transfer, or of the first of several.
        number: u64,
    },
    /// The same order was done before.
    Repeated {
        /// The number of its transfer, or of the first of several.
        number: u64,
    },
    /// It cannot be done, and its id is used up.
    Refused {
        /// The stable code.
        #[cfg_attr(test, schema(example = "insufficient_funds"))]
        code: String,
        /// Why, in words.
        text: String,
        /// Whether it was refused before, by the same words.
        repeated: bool,
    },
    /// It is no order that could be done. Its id stays as it was.
    Rejected {
        /// The stable code.
        #[cfg_attr(test, schema(example = "exists_with_different"))]
        code: String,
        /// Why, in words.
        text: String,
    },
}

/// What became of each order, in the order of the request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct OrderOutcomes {
    /// One for each.
    pub items: Vec<OrderOutcome>,
}

/// Payments that are sent together; each is decided on its own, in this order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PaymentBatch {
    /// 1 to 8190 signed intents: each a `COSE_Sign1` in base64url without padding.
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    pub statements: Vec<Base64Url>,
}

/// What became of one payment of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PaymentOutcome {
    /// The status that the payment would have been answered with alone.
    pub status: u16,
    /// Whether it is the stored outcome of the same statement sent before.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub repeated: bool,
    /// The payment, without its receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<Box<Payment>>,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Box<Problem>>,
}

/// What became of each payment, in the order of the request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PaymentOutcomes {
    /// One for each.
    pub items: Vec<PaymentOutcome>,
}
