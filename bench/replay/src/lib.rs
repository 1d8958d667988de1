#![doc = include_str!("../README.md")]

pub mod actor;
pub mod balances;
pub mod client;
pub mod error;
pub mod input;
pub mod latency;
pub mod make;
pub mod order;
pub mod pay;
pub mod people;
pub mod run;
pub mod say;
pub mod state;
pub mod usage;
pub mod verify;
