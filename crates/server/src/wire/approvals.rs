//! Requests for the approval of several people, and people's roles.

use super::{Base64Url, Text};
use serde::{Deserialize, Serialize};
use tpw_core::{ApprovalId, DeviceId, Hash32, Instant, PersonId};
#[cfg(test)]
use utoipa::ToSchema;

/// A request for approval: what is to be done, who has to agree, and who did.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct ApprovalRequest {
    /// The id.
    #[cfg_attr(test, schema(value_type = String, example = "apr_01h455vb4pex5vsknk084sn02q"))]
    pub id: Text<ApprovalId>,
    /// What is to be done.
    #[cfg_attr(test, schema(example = "release"))]
    pub kind: String,
    /// To what: the id of a payment, person or account.
    pub resource: String,
    /// The operation's bytes: `spec/approval.md`.
    #[cfg_attr(test, schema(value_type = String))]
    pub operation: Base64Url,
    /// The hash that approvers sign. A device computes it itself.
    #[cfg_attr(test, schema(value_type = String))]
    pub operation_hash: Text<Hash32>,
    /// Who asked.
    #[cfg_attr(test, schema(value_type = String))]
    pub asked_by: Text<PersonId>,
    /// How many people have to agree.
    pub needed: u8,
    /// Which role they need.
    #[cfg_attr(test, schema(example = "approver"))]
    pub role: String,
    /// Until when.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub expires: Text<Instant>,
    /// `open`, `expired`, `executed` or `rejected`.
    #[cfg_attr(test, schema(example = "open"))]
    pub stage: String,
    /// What people said, in the order in which they did.
    pub votes: Vec<ApprovalVote>,
    /// The device with which the caller asks: a vote names it.
    #[cfg_attr(test, schema(value_type = String))]
    pub device: Text<DeviceId>,
    /// The operator's name: a vote names it.
    pub audience: String,
}

/// One person's signed word.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct ApprovalVote {
    /// Who.
    #[cfg_attr(test, schema(value_type = String))]
    pub person: Text<PersonId>,
    /// On which device.
    #[cfg_attr(test, schema(value_type = String))]
    pub device: Text<DeviceId>,
    /// The RFC 7638 thumbprint of the device's key.
    #[cfg_attr(test, schema(value_type = String))]
    pub key: Text<Hash32>,
    /// `approve` or `reject`.
    pub consent: String,
    /// When the server took it.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub at: Text<Instant>,
    /// The signed statement, a `COSE_Sign1`: `spec/approval.md`.
    #[cfg_attr(test, schema(value_type = String))]
    pub statement: Base64Url,
}

/// A page of requests for approval, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct ApprovalList {
    /// The requests.
    pub items: Vec<ApprovalRequest>,
    /// The last one looked at, if there may be more after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub next_after: Option<Text<ApprovalId>>,
}

/// Somebody's word about a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CastVote {
    /// The signed statement, a `COSE_Sign1`: `spec/approval.md`.
    #[cfg_attr(test, schema(value_type = String))]
    pub statement: Base64Url,
}

/// The roles that a person has beside that of a holder, which everybody has.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PersonRoles {
    /// Whose.
    #[cfg_attr(test, schema(value_type = String))]
    pub person: Text<PersonId>,
    /// Which, strongest first.
    #[cfg_attr(test, schema(example = json!(["operator"])))]
    pub roles: Vec<String>,
}

/// The roles that a person is to have.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetRoles {
    /// Any of `operator`, `approver`, `analyst`, `auditor`; none takes all.
    pub roles: Vec<String>,
}
