//! The binary; everything is in the library beside it.

use std::process::ExitCode;

/// Requests come and go on several threads, each with a few dozen pieces of memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tpw::run()
}
