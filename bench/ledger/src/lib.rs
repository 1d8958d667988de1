#![doc = include_str!("../README.md")]

pub mod cluster;
pub mod error;
pub mod peers;
pub mod workload;
