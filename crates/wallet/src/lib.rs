#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod batch;
pub mod check;
mod error;
pub mod journal;
pub mod pay;
pub mod payee;
pub mod profile;
pub mod receipt;
pub mod step_up;
pub mod vault;

pub use error::WalletError;
