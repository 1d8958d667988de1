#![doc = include_str!("../README.md")]

pub mod commands;
mod error;
mod keys;
mod leaves;
mod log;
mod processor;
pub mod report;
mod rounds;
mod tsa;

pub use error::BenchError;
pub use rounds::{Size, measure};
