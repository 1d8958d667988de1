//! `cargo xtask web`: the verify page's module, built by a toolchain that this machine has or can get, and the page around it.
//!
//! What it writes (`web/verify/dist`) is committed and built into the server, so that nobody else needs such a toolchain.

use std::path::{Path, PathBuf};

use crate::setup;
use crate::shell::{self, Call, Failure, Workplace};

const TARGET: &str = "wasm32-unknown-unknown";
/// Debian's own toolchain for it, where rustup's component cannot be fetched.
const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-19"];
/// Where they put their programs, and the sources of the standard library.
const DEBIAN: &str = "/usr/bin";
const DEBIAN_SOURCES: &str = "/usr/src";

/// Builds the module and puts the page together. `--debian` takes Debian's toolchain also where rustup has one; `--check` writes
/// nothing and says whether the committed module is what the sources give, byte for byte.
pub(crate) fn command(place: &Workplace, options: &[&str]) -> Result<(), Failure> {
    if let Some(unknown) = options.iter().find(|word| !["--debian", "--check"].contains(word)) {
        return Err(Failure::new(format!("unknown option `{unknown}`")));
    }
    let by_debian = options.contains(&"--debian") || !has_target(place);
    let (module, compiler) = if by_debian {
        println!("Debian's toolchain builds the module");
        (debian(place)?, Path::new(DEBIAN).join("rustc"))
    } else {
        (module(place, place.cargo(["rustc"]), &[])?, PathBuf::from("rustc"))
    };
    let compiler = place.call(compiler).word("--version").read()?.trim().to_owned();
    let bundle = place.root().join("web").join("verify").join("dist");
    if options.contains(&"--check") {
        return compare(&module, &bundle, &compiler);
    }
    shell::folder(&bundle)?;
    std::fs::write(bundle.join("judge.wasm"), bytes(&module)?)
        .map_err(|error| Failure::new(format!("`{}`: {error}", bundle.display())))?;
    place
        .cargo(["test", "--quiet", "--locked", "--package", "tpw-wasm", "--test", "bundle"])
        .env("TPW_UPDATE", "1")
        .env("TPW_COMPILER", compiler)
        .pass()
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::new(format!("`{}` cannot be read: {error}", path.display())))
}

/// One compiler gives the same bytes in every folder; another one need not.
fn compare(module: &Path, bundle: &Path, compiler: &str) -> Result<(), Failure> {
    let stated = shell::read(&bundle.join("judge.wasm.sources"))?;
    let stated = stated.lines().find_map(|line| line.strip_prefix("compiler "));
    if bytes(module)? == bytes(&bundle.join("judge.wasm"))? {
        println!("judge.wasm is what {compiler} makes of these sources");
        return Ok(());
    }
    let stated = stated.unwrap_or("a compiler that it does not name");
    Err(Failure::new(format!(
        "judge.wasm, made by {stated}, is not what {compiler} makes of these sources"
    )))
}

fn has_target(place: &Workplace) -> bool {
    let installed = || {
        let list = place.call("rustup").words(&["target", "list", "--installed"]).quiet();
        list.is_ok_and(|found| found.output.lines().any(|line| line == TARGET))
    };
    installed() || (setup::answers(place, "rustup", &["target", "add", TARGET]) && installed())
}

/// Debian has no compiled standard library for this target: its sources are built along.
fn debian(place: &Workplace) -> Result<PathBuf, Failure> {
    let folder = Path::new(DEBIAN);
    if !setup::answers(place, "wasm-ld-19", &["--version"]) || !folder.join("cargo").exists() {
        setup::system_packages(place, &PACKAGES)?;
    }
    let cargo = place
        .call(folder.join("cargo"))
        .word("rustc")
        .env("RUSTC", folder.join("rustc"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld-19");
    module(place, cargo, &["-Zbuild-std=std,panic_abort"])
}

/// Where cargo keeps what it fetched.
fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

fn module(place: &Workplace, cargo: Call, more: &[&str]) -> Result<PathBuf, Failure> {
    // Messages of panics name source files; no folder of this machine may be in them.
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let flags = [
        remap(place.root(), "tpw"),
        remap(&cargo_home().join("registry").join("src"), "registry"),
        remap(Path::new(DEBIAN_SOURCES), "rust"),
    ];
    cargo
        .words(&["--package", "tpw-wasm", "--lib", "--crate-type", "cdylib", "--profile", "wasm"])
        .words(&["--locked", "--quiet", "--target", TARGET])
        .words(more)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .pass()?;
    Ok(place.target().join(TARGET).join("wasm").join("tpw_wasm.wasm"))
}
