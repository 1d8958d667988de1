//! What the policies decided, and who read a person's data.

use super::{Base64Url, Text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tpw_core::{DecisionId, DeviceId, Hash32, Instant, PersonId};
#[cfg(test)]
use utoipa::ToSchema;

/// A decision of the policies about a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PolicyDecision {
    /// Its id, which begins with its time.
    #[cfg_attr(test, schema(value_type = String))]
    pub id: Text<DecisionId>,
    /// When.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub at: Text<Instant>,
    /// The person whose device asked, or on whose behalf a client did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub person: Option<Text<PersonId>>,
    /// The device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub device: Option<Text<DeviceId>>,
    /// The client, when none of the person's devices asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// In which roles.
    pub roles: Vec<String>,
    /// What was asked for.
    #[cfg_attr(test, schema(example = "read_account"))]
    pub action: String,
    /// On what: an id, or the name of a collection.
    pub resource: String,
    /// Whose that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub owner: Option<Text<PersonId>>,
    /// `allowed`, `denied`, or `unmet`: it would be allowed with more than was there.
    #[cfg_attr(test, schema(example = "allowed"))]
    pub ruling: String,
    /// The policies that decided; none where none permits. `delegation` stands for what a person delegated.
    pub policies: Vec<String>,
    /// Which version of the policies that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub policy_version: Option<Text<Hash32>>,
    /// What was known beside who, what and whose.
    pub facts: BTreeMap<String, String>,
    /// What was demanded.
    pub obligations: BTreeMap<String, u64>,
    /// The id of the request in the server's own records.
    pub request: String,
}

/// Decisions, in the order in which they came into the books.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PolicyDecisionList {
    /// The decisions.
    pub items: Vec<PolicyDecision>,
    /// Give it as `after` to get those that follow; absent when there may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

/// A decision with the proof that it stands in the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct ProvedPolicyDecision {
    /// The decision.
    pub decision: PolicyDecision,
    /// Its bytes, to which the log commits.
    #[cfg_attr(test, schema(value_type = String))]
    pub record: Base64Url,
    /// A `c2sp.org/tlog-proof@v1` with these bytes in it; absent while its entry waits for a checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// Somebody else's request for a person's data.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Access {
    /// The decision about it.
    #[cfg_attr(test, schema(value_type = String))]
    pub decision: Text<DecisionId>,
    /// When.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub at: Text<Instant>,
    /// The roles of whoever asked; none of a client.
    pub roles: Vec<String>,
    /// The client that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Another person who asked as somebody without an office. Of whoever asked in an office the role is told alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub person: Option<Text<PersonId>>,
    /// What was asked for.
    pub action: String,
    /// On what.
    pub resource: String,
    /// `allowed`, `denied` or `unmet`.
    pub ruling: String,
}

/// Who asked for a person's data, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct AccessList {
    /// What others asked for. There may be none in a page though others follow.
    pub items: Vec<Access>,
    /// Give it as `after` to get those that follow; absent when there may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}
