//! The policies in force, and those before.

use super::Text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tpw_core::{Hash32, Instant, PersonId};
#[cfg(test)]
use utoipa::ToSchema;

/// Which policies decide, and which did.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Policies {
    /// The version in force: the SHA-256 of its rules.
    #[cfg_attr(test, schema(value_type = String))]
    pub version: Text<Hash32>,
    /// The version of the set that comes with the program.
    #[cfg_attr(test, schema(value_type = String))]
    pub builtin: Text<Hash32>,
    /// How many policies are in force.
    pub policies: usize,
    /// What was put into force and when, the newest first.
    pub history: Vec<PolicyActivation>,
}

/// One time that a version was put into force.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PolicyActivation {
    /// Which.
    #[cfg_attr(test, schema(value_type = String))]
    pub version: Text<Hash32>,
    /// When.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub at: Text<Instant>,
    /// On whose word; absent for the program's own set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub by: Option<Text<PersonId>>,
    /// Who agreed.
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    pub approvals: Vec<Text<PersonId>>,
}

/// The files of a version.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PolicySet {
    /// Which.
    #[cfg_attr(test, schema(value_type = String))]
    pub version: Text<Hash32>,
    /// Their texts by their names.
    pub files: BTreeMap<String, String>,
}

/// A set that is to be put into force.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewPolicies {
    /// `schema.cedarschema`, `NAME.cedar` and `cases/NAME.toml` with their texts, at most 512 KiB together, in at most 64 files.
    pub files: BTreeMap<String, String>,
}
