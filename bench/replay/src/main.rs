//! The program; everything is in the library beside it.

/// As little work beside the server as can be.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    replay::commands::main()
}
