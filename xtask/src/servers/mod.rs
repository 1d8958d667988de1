//! Real servers for tests and drills: PostgreSQL for every test run, and a whole cluster that fails over.

mod account;
pub(crate) mod anvil;
mod authority;
pub(crate) mod failover;
mod fill;
mod nodes;
mod operators;
pub(crate) mod packages;
mod patroni;
pub(crate) mod postgres;
mod town;
mod wait;
mod writers;

use crate::shell::{Failure, Workplace};

/// `cargo xtask drill faults`: every fault at every system call on the log's files; a test run leaves out three of four at calls
/// that only read.
pub(crate) fn faults(place: &Workplace) -> Result<(), Failure> {
    let call = place.cargo(["test", "--release", "--locked", "--package", "tpw-engines"]);
    let call = call.words(&["--test", "log_faults", "--", "--nocapture"]);
    call.env("TPW_LOG_FAULTS_ALL", "1").pass()
}

/// `cargo xtask drill kills`: the kill test of the engine, longer than in a test run.
pub(crate) fn kills(place: &Workplace, count: &str) -> Result<(), Failure> {
    let server = postgres::ForTests::find(place)?;
    let call = place.cargo(["test", "--release", "--locked", "--package", "tpw-engines"]);
    let call = call.words(&["--test", "kill", "--", "--nocapture"]).env("TPW_KILLS", count);
    let done = server.tell(call).pass();
    server.stop(place);
    done
}
