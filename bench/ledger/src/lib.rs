#![doc = include_str!("../README.md")]

pub mod alone;
pub mod args;
pub mod bare;
pub mod chart;
pub mod cluster;
pub mod commands;
pub mod error;
pub mod page;
pub mod peers;
pub mod probe;
pub mod report;
pub mod rounds;
pub mod row_locks;
pub mod subject;
pub mod workload;
