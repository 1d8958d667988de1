//! What the tests need beyond Rust: found, or installed.

use std::path::{Path, PathBuf};

use crate::shell::{self, Call, Failure, Workplace};

/// Packages of the second verifier, pinned. Beside the code that installs them, so that they change together.
const PYTHON_PACKAGES: &str = include_str!("../python-requirements.txt");
const CARGO_DENY: &str = "0.20.2";
const CARGO_FUZZ: &str = "0.13.2";
/// Oldest OpenSSL whose `ts -verify` accepts a critical extended key usage and ESSCertIDv2.
const OPENSSL: &str = "openssl";

/// Where the tools are that `setup` found or installed.
pub(crate) struct Tools {
    /// Python with the packages of the second verifier.
    pub(crate) python: PathBuf,
    /// `cargo-deny`.
    pub(crate) deny: PathBuf,
}

/// Finds or installs everything.
pub(crate) fn all(place: &Workplace) -> Result<Tools, Failure> {
    components(place)?;
    if !answers(place, OPENSSL, &["version"]) {
        system_packages(place, &["openssl"])?;
    }
    if !answers(place, "c++", &["--version"]) {
        system_packages(place, &["g++"])?;
    }
    Ok(Tools { python: python(place)?, deny: cargo_tool(place, "cargo-deny", CARGO_DENY)? })
}

/// `cargo-fuzz`, needed only beside a nightly compiler.
pub(crate) fn cargo_fuzz(place: &Workplace) -> Result<PathBuf, Failure> {
    cargo_tool(place, "cargo-fuzz", CARGO_FUZZ)
}

/// True when a nightly compiler is installed: libFuzzer needs one.
pub(crate) fn nightly(place: &Workplace) -> bool {
    answers(place, "rustup", &["run", "nightly", "rustc", "--version"])
}

pub(crate) fn answers(place: &Workplace, program: &str, words: &[&str]) -> bool {
    place.call(program).words(words).quiet().is_ok_and(|finished| finished.success)
}

fn components(place: &Workplace) -> Result<(), Failure> {
    for (word, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !place.cargo([word, "--version"]).quiet()?.success {
            place.call("rustup").words(&["component", "add", component]).pass()?;
        }
    }
    Ok(())
}

/// Debian's packages, as root or through `sudo`.
pub(crate) fn system_packages(place: &Workplace, names: &[&str]) -> Result<(), Failure> {
    let list = names.join(" ");
    if !answers(place, "apt-get", &["--version"]) {
        return Err(Failure::new(format!(
            "the tests need `{list}`, and this system has no apt-get; install it by hand"
        )));
    }
    let apt = |words: &[&str]| {
        let call = as_root(place, "apt-get")?;
        call.env("DEBIAN_FRONTEND", "noninteractive").words(words).pass()
    };
    println!("installing {list}");
    apt(&["update", "-qq"])?;
    apt(&[&["install", "-y", "-qq", "--no-install-recommends"], names].concat())
}

/// A call of a program as root, through `sudo` where this is another account.
pub(crate) fn as_root(place: &Workplace, program: &str) -> Result<Call, Failure> {
    let root = place.call("id").word("-u").read()?.trim() == "0";
    Ok(if root { place.call(program) } else { place.call("sudo").word(program) })
}

/// A virtual environment under the target folder. It is made anew when the pinned packages change.
fn python(place: &Workplace) -> Result<PathBuf, Failure> {
    let folder = place.target().join("venv");
    let python = folder.join("bin").join("python");
    let stamp = folder.join("requirements.txt");
    if python.exists() && shell::read(&stamp).is_ok_and(|text| text == PYTHON_PACKAGES) {
        return Ok(python);
    }
    if !make_venv(place, &folder) {
        system_packages(place, &["python3", "python3-venv"])?;
        if !make_venv(place, &folder) {
            return Err(Failure::new(
                "`python3 -m venv` failed; the second verifier needs Python 3.9 or later",
            ));
        }
    }
    let wanted = folder.join("wanted.txt");
    shell::write(&wanted, PYTHON_PACKAGES)?;
    place
        .call(&python)
        .words(&["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .word(&wanted)
        .pass()?;
    shell::write(&stamp, PYTHON_PACKAGES)?;
    Ok(python)
}

fn make_venv(place: &Workplace, folder: &Path) -> bool {
    place
        .call("python3")
        .words(&["-m", "venv", "--clear"])
        .word(folder)
        .quiet()
        .is_ok_and(|finished| finished.success)
}

/// A cargo command from the registry, in the one version that the tests were written with.
fn cargo_tool(place: &Workplace, name: &str, version: &str) -> Result<PathBuf, Failure> {
    let root = place.tools();
    let program = root.join("bin").join(name);
    let found = place.call(&program).word("--version").quiet();
    if found.is_ok_and(|finished| finished.success && finished.output.contains(version)) {
        return Ok(program);
    }
    println!("installing {name} {version} (once, some minutes)");
    // Unoptimised: it runs for seconds, and building it optimised takes several times as long.
    place
        .cargo(["install", "--quiet", "--debug", "--locked", "--force", "--version"])
        .word(format!("={version}"))
        .word("--root")
        .word(&root)
        .word(name)
        .pass()?;
    Ok(program)
}
