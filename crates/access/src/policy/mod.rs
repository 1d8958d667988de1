//! Permission: one engine decides, by policies that are data (Cedar, docs.cedarpolicy.com).
//!
//! [`PolicyFiles`] are the texts, [`PolicyEngine`] the loaded set, [`Request`] the question, [`Decision`] the answer with the
//! policies that gave it and the [`Obligations`] that come with it. [`cases`] say what a set must answer before it may be put
//! into force; [`PolicyRecord`] and [`ActivePolicy`] are how versions are kept.
//!
//! INVARIANT: what no policy permits is denied; one policy that forbids, or one that cannot be evaluated, denies.

pub mod cases;
mod decision;
pub mod embedding;
mod engine;
mod error;
mod files;
mod nesting;
mod record;
mod request;

pub use decision::{Decision, Effect, Obligations};
pub use engine::PolicyEngine;
pub use error::PolicyError;
pub use files::PolicyFiles;
pub use record::{
    Activation, ActivePolicy, PolicyRecord, VERSION_RECORDS_MAX, activated, activation, active_key,
    version_key, version_of,
};
pub use request::{Amount, DeviceFacts, Fact, Facts, Request, TimeFacts, Zone, ZoneError};
