//! The program; everything is in the library beside it.

/// As the server allocates: what is measured is what runs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    bench_evidence::commands::main()
}
