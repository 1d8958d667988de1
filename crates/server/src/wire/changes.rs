//! All that happens, in order.

use super::{Text, Transfer};
use serde::{Deserialize, Serialize};
use tpw_core::Instant;
#[cfg(test)]
use utoipa::ToSchema;

/// One of the things that happen.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Change {
    /// The place after it: give it as `after` to get what follows.
    pub cursor: String,
    /// What: `transfer`, or the kind of another event.
    #[cfg_attr(test, schema(example = "payment.booked"))]
    pub kind: String,
    /// When.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub at: Text<Instant>,
    /// The id of what it happened to.
    #[cfg_attr(test, schema(example = "pay_01h455vb4pex5vsknk084sn02q"))]
    pub subject: String,
    /// The transfer, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Box<Transfer>>,
}

/// What happened after a place. Nothing is left out and nothing comes twice.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct ChangeList {
    /// In order.
    pub items: Vec<Change>,
    /// The place after them: give it as `after`, now or later.
    pub next: String,
    /// Whether there may be more already.
    pub more: bool,
}
