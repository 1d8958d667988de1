#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod anchor;
pub mod asic;
pub mod bundle;
pub mod checkpoint;
mod cose;
pub mod cose_receipt;
pub mod cosignature;
pub mod decisions;
mod error;
pub mod evidence;
pub mod leaf;
pub mod logged;
pub mod note;
pub mod ots;
pub mod policy;
pub mod statement;
pub mod tile;
pub mod timestamp;
pub mod tlog_proof;
pub mod tree;
pub mod trust;
mod upgrade;
pub mod verdict;
pub mod witness;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use cose_receipt::RootSignature;
pub use error::ProofError;
pub use leaf::Leaf;
pub use note::{KeyName, VerifierKey};
pub use policy::Policy;
pub use statement::{Signed, Unverified, Verified, cose_algorithm, device_key, public_key, sign};
pub use tile::{TileId, TileReader};
pub use tlog_proof::TlogProof;
pub use tree::Frontier;
pub use trust::Trust;
pub use upgrade::upgraded;
pub use verdict::{BulkJudge, Judgement, Layer, Level, Outcome, judge};
