#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod page;
mod verdict;

pub use verdict::verdict_json;
