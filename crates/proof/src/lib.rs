#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod anchor;
pub mod asic;
pub mod bundle;
pub mod checkpoint;
mod cose;
pub mod cose_receipt;
mod cose_sign;
pub mod cosignature;
pub mod decisions;
pub mod device_keys;
mod error;
pub mod evidence;
mod known_stamps;
pub mod leaf;
pub mod letter;
pub mod logged;
pub mod mirror;
pub mod note;
pub mod ots;
pub mod policy;
pub mod statement;
pub mod subtree;
pub mod tile;
pub mod timestamp;
pub mod tlog_proof;
pub mod transparent;
pub mod tree;
pub mod trust;
mod upgrade;
pub mod verdict;
pub mod witness;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use cose_receipt::RootSignature;
pub use device_keys::DeviceKeys;
pub use error::ProofError;
pub use known_stamps::{file_with_known_stamps, with_known_stamps};
pub use leaf::Leaf;
pub use note::{KeyName, VerifierKey};
pub use policy::Policy;
pub use statement::{
    Signed, Unverified, Verified, cose_algorithm, device_key, public_key, sign, sign_hybrid,
};
pub use subtree::Interval;
pub use tile::{TileId, TileReader};
pub use tlog_proof::TlogProof;
pub use tree::Frontier;
pub use trust::Trust;
pub use upgrade::upgraded;
pub use verdict::{BulkJudge, Judgement, Layer, Level, Outcome, TIME_TOLERANCE, judge};
