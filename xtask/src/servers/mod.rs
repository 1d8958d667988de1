//! Real servers for tests and drills: PostgreSQL for every test run, and a whole cluster that fails over.

mod account;
mod authority;
pub(crate) mod failover;
mod fill;
mod nodes;
mod operators;
mod packages;
mod patroni;
pub(crate) mod postgres;
mod town;
mod wait;
mod writers;
