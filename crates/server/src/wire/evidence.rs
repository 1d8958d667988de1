//! The log's head, and the server's health.

use super::{Base64Url, Text};
use serde::{Deserialize, Serialize};
use tpw_core::{Hash32, Instant};
#[cfg(test)]
use utoipa::ToSchema;

/// Size and root of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct TreeHead {
    /// How many leaves.
    pub size: u64,
    /// The root hash, 64 hexadecimal digits.
    #[cfg_attr(test, schema(value_type = String))]
    pub root: Text<Hash32>,
}

/// The newest checkpoint with its time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// Size and root.
    pub head: TreeHead,
    /// When it was issued.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub issued: Text<Instant>,
    /// The signed note (`c2sp.org/tlog-checkpoint`).
    pub checkpoint: String,
    /// The RFC 3161 response over it, in base64url without padding.
    #[cfg_attr(test, schema(value_type = String))]
    pub token: Base64Url,
}

/// Whether the server is ready, and if not, why.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Health {
    /// Whether all is well.
    pub ready: bool,
    /// What is not, as stable codes: `writer`, `log`, `clock`, `checkpoint_missing`, `requests`.
    pub failing: Vec<String>,
    /// What goes wrong beside it, while payments are taken and proved all the same: `anchoring` where it fails, and by name what ended in a panic.
    #[serde(default)]
    pub degraded: Vec<String>,
    /// How old the newest checkpoint is, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_age_ms: Option<u64>,
}
