#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod anchor;
pub mod books;
pub mod clock;
pub mod clock_error;
mod decode;
mod device_row;
mod engine;
pub mod entropy;
pub mod evidence;
pub mod files;
pub mod log_store;
pub mod mirror;
pub mod outbox;
pub mod pkcs11;
pub mod postgres;
#[cfg(test)]
pub(crate) mod scratch;
mod side_db;
pub mod sqlite;
pub mod stamped;
pub mod witness;

pub use engine::{
    AccountView, Age, Beside, Change, ClientTokenKeys, Config, DecisionProof, Drafted, Engine,
    EngineError, Forgetting, Gathering, Health, KeyWish, Metrics, Paid, Part, Past, PayError,
    Place, Renewing, Repeated, Reputation, RetentionError, StoreConfig, Timings, TokenProof, Trail,
    TrailError, ask_for_key_change, is_key_change_done,
};
