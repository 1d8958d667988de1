//! Goal: the books in PostgreSQL hold exactly what those in SQLite hold, lose and repeat nothing when sessions are cut
//! off, are written by one process at a time, and are refused on a server that might lose them.
//!
//! Method: a real server. Each test has a database of its own in it. What a desk leaves to be stored goes to both kinds
//! of books, and what comes back is compared; sessions are ended with `pg_terminate_backend`, rows are changed in SQL.
//! The server is named by `TPW_TEST_POSTGRES`, which `cargo xtask test` sets.

#[cfg(test)]
mod addresses;
#[cfg(test)]
#[path = "../../../flow/tests/desk/support.rs"]
#[allow(dead_code, reason = "the desk's own tests use all of it")]
mod desk;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod fence;
#[cfg(test)]
mod live;
#[cfg(test)]
mod log;
#[cfg(test)]
mod same;
#[cfg(test)]
mod server;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod tls;
#[cfg(test)]
#[path = "../world/mod.rs"]
mod world;
