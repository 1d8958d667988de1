#![doc = include_str!("../README.md")]

pub mod chart;
pub mod cluster;
pub mod error;
pub mod page;
pub mod peers;
pub mod report;
pub mod workload;
