//! Problems (RFC 9457).

use super::Payment;
use serde::{Deserialize, Serialize};
#[cfg(test)]
use utoipa::ToSchema;

/// Whether asking again can help.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Not as it is.
    Never,
    /// At once, with the same ids: it cannot happen twice.
    SameKey,
    /// After the time that `Retry-After` names.
    After,
}

/// Why a request was not done (RFC 9457), as `application/problem+json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Problem {
    /// Where the problem is explained.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is, in the language of `Accept-Language`.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Why, and what to do, in the language of `Accept-Language`.
    pub detail: String,
    /// The stable code, never translated.
    #[cfg_attr(test, schema(example = "sequence_gap"))]
    pub code: String,
    /// Whether asking again can help.
    pub retry: Retry,
    /// When asking again makes sense, in seconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// The request, as the server's records name it.
    pub request_id: String,
    /// A stable code that says more, such as which check of a statement failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The member or field at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Of a payment: whether this submission has used up its id and sequence number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumed: Option<bool>,
    /// The sequence number that would be taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_sequence: Option<u64>,
    /// The payment that is refused or that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<Box<Payment>>,
}
