//! A device: its files, its keys, the agent that keeps them open, and paying with them.

pub mod agent;
pub mod files;
pub mod keys;
pub mod pay;
