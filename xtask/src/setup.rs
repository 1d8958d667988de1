//! What the tests need beyond Rust: found, or installed.

use std::path::{Path, PathBuf};

use crate::servers::packages;
use crate::shell::{self, Call, Failure, Workplace};

/// A virtual environment below the target folder. Its packages are pinned with their hashes, beside the code that
/// installs them, so that they change together.
struct Environment {
    folder: &'static str,
    packages: &'static str,
    purpose: &'static str,
    /// For pip, beside what is the same for all.
    words: &'static [&'static str],
}

const SECOND_VERIFIER: Environment = Environment {
    folder: "venv",
    packages: include_str!("../python-requirements.txt"),
    purpose: "the second verifier needs Python 3.9 or later",
    words: &[],
};
/// Apart from the second verifier: what stock verifiers bring along is none of its business.
const JUDGES: Environment = Environment {
    folder: "venv-judges",
    packages: include_str!("../python-judges.txt"),
    purpose: "the stock verifiers of time-stamps need Python 3.11 or later",
    words: &[],
};
/// A client of the authorization server that others wrote.
const CLIENTS: Environment = Environment {
    folder: "venv-clients",
    packages: include_str!("../python-clients.txt"),
    purpose: "the judge of the authorization server needs Python 3.11 or later",
    words: &[],
};
/// What receives what the product exports.
const EXPORTS: Environment = Environment {
    folder: "venv-exports",
    packages: include_str!("../python-exports.txt"),
    purpose: "the judges of exports need Python 3.11 or later",
    // `aics-tlog` names Python 3.12 and uses nothing that 3.11 lacks: its judge runs every part of it that counts here.
    words: &["--ignore-requires-python"],
};
/// Debian's WenQuanYi Micro Hei: Latin and Chinese in one font with an open licence.
const FONT: (&str, &str) = ("fonts-wqy-microhei", "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc");
const CARGO_DENY: &str = "0.20.2";
const CARGO_FUZZ: &str = "0.13.2";
/// A server of time that others wrote (RFC 10049).
const ROUGHTIME: (&str, &str, &str) = ("roughenough-server", "roughenough_server", "2.2.0");
/// Oldest OpenSSL whose `ts -verify` accepts a critical extended key usage and ESSCertIDv2.
const OPENSSL: &str = "openssl";

/// Where the tools are that `setup` found or installed.
pub(crate) struct Tools {
    /// Python with the packages of the second verifier.
    pub(crate) python: PathBuf,
    /// Python with stock verifiers of time-stamps.
    pub(crate) judges: PathBuf,
    /// Python with a client library of OAuth.
    pub(crate) clients: PathBuf,
    /// `cargo-deny`.
    pub(crate) deny: PathBuf,
}

/// Finds or installs everything.
pub(crate) fn all(place: &Workplace) -> Result<Tools, Failure> {
    components(place)?;
    if !answers(place, OPENSSL, &["version"]) {
        system_packages(place, &["openssl"])?;
    }
    if !answers(place, "curl", &["--version"]) {
        system_packages(place, &["curl"])?;
    }
    if !answers(place, "strace", &["-V"]) {
        system_packages(place, &["strace"])?;
    }
    if !answers(place, "c++", &["--version"]) {
        system_packages(place, &["g++"])?;
    }
    solver(place)?;
    packages::of_the_authority(place)?;
    let (package, program, version) = ROUGHTIME;
    cargo_program(place, (package, program), version)?;
    Ok(Tools {
        python: python(place, &SECOND_VERIFIER)?,
        judges: python(place, &JUDGES)?,
        clients: python(place, &CLIENTS)?,
        deny: cargo_tool(place, "cargo-deny", CARGO_DENY)?,
    })
}

/// The solver that policies are proved with. Debian's version answers as newer ones do.
pub(crate) fn solver(place: &Workplace) -> Result<(), Failure> {
    if answers(place, "cvc5", &["--version"]) {
        return Ok(());
    }
    system_packages(place, &["cvc5"])
}

/// Python with what receives exports, and a font for printed receipts.
pub(crate) fn exports(place: &Workplace) -> Result<(PathBuf, PathBuf), Failure> {
    let font = PathBuf::from(FONT.1);
    if !font.is_file() {
        system_packages(place, &[FONT.0])?;
    }
    Ok((python(place, &EXPORTS)?, font))
}

/// `cargo-fuzz`, needed only beside a nightly compiler.
pub(crate) fn cargo_fuzz(place: &Workplace) -> Result<PathBuf, Failure> {
    cargo_tool(place, "cargo-fuzz", CARGO_FUZZ)
}

/// The browser that the pages are tested in.
pub(crate) fn chromium(place: &Workplace) -> Result<&'static str, Failure> {
    let name = "chromium";
    // Drivers of other browsers are not needed: the test speaks Chromium's own protocol over a pipe. The Chinese letters are.
    if !answers(place, name, &["--version"]) || !answers(place, "fc-list", &[":lang=zh", "-q"]) {
        system_packages(place, &[name, "fontconfig", "fonts-wqy-microhei"])?;
    }
    Ok(name)
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

/// Python with the packages. The environment is made anew when they change.
fn python(place: &Workplace, wanted: &Environment) -> Result<PathBuf, Failure> {
    let folder = place.target().join(wanted.folder);
    let python = folder.join("bin").join("python");
    let stamp = folder.join("requirements.txt");
    if python.exists() && shell::read(&stamp).is_ok_and(|text| text == wanted.packages) {
        return Ok(python);
    }
    if !make_venv(place, &folder) {
        system_packages(place, &["python3", "python3-venv"])?;
        if !make_venv(place, &folder) {
            let text = format!("`python3 -m venv` failed; {}", wanted.purpose);
            return Err(Failure::new(text));
        }
    }
    let list = folder.join("wanted.txt");
    shell::write(&list, wanted.packages)?;
    place
        .call(&python)
        .words(&["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .words(wanted.words)
        .words(&["--require-hashes", "--only-binary", ":all:", "-r"])
        .word(&list)
        .pass()?;
    shell::write(&stamp, wanted.packages)?;
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
    cargo_program(place, (name, name), version)
}

/// A program from the registry, of a package that may be called otherwise.
fn cargo_program(
    place: &Workplace,
    (name, program): (&str, &str),
    version: &str,
) -> Result<PathBuf, Failure> {
    let root = place.tools();
    let program = root.join("bin").join(program);
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
