//! A node of an EVM chain for tests (anvil), and the compiler of the contract: packages of npm, pinned with their hashes in
//! `contracts/package-lock.json`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::account::{Account, Running};
use super::postgres::{Folder, free_port};
use super::wait;
use crate::setup;
use crate::shell::{self, Call, Failure, Workplace};

/// What tests read to find the node. Where it is set already, that node is used.
pub(crate) const VARIABLE: &str = "TPW_TEST_EVM";
const FOLDER: &str = "contracts";
const ARTEFACT: &str = "contracts/Anchor.json";
const PROGRAM: &str = "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil";
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// Installs the packages where they or their versions are missing: their folder below the target folder.
fn packages(place: &Workplace) -> Result<PathBuf, Failure> {
    let folder = place.target().join("npm");
    let read = |name: &str| shell::read(&place.root().join(FOLDER).join(name));
    let (wanted, lock) = (read("package.json")?, read("package-lock.json")?);
    let stamp = folder.join("installed.json");
    if shell::read(&stamp).is_ok_and(|text| text == lock) {
        return Ok(folder);
    }
    if !setup::answers(place, "npm", &["--version"]) {
        setup::system_packages(place, &["nodejs", "npm"])?;
    }
    shell::write(&folder.join("package.json"), &wanted)?;
    shell::write(&folder.join("package-lock.json"), &lock)?;
    // Nothing of the packages runs while they are installed.
    let install = place.call("npm").words(&["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    install.words(&["--silent", "--prefix"]).word(&folder).pass()?;
    shell::write(&stamp, &lock)?;
    Ok(folder)
}

/// `cargo xtask contract`: compiles the contract and writes the artefact.
pub(crate) fn contract(place: &Workplace) -> Result<(), Failure> {
    shell::write(&place.root().join(ARTEFACT), &compiled(place)?)
}

/// The committed artefact is what the compiler gives, byte for byte.
pub(crate) fn contract_is_fresh(place: &Workplace) -> Result<(), Failure> {
    if shell::read(&place.root().join(ARTEFACT))? == compiled(place)? {
        return Ok(());
    }
    Err(Failure::new(format!(
        "`{ARTEFACT}` is not what the compiler makes of its source; run `cargo xtask contract`"
    )))
}

fn compiled(place: &Workplace) -> Result<String, Failure> {
    let folder = packages(place)?;
    // The script finds the compiler beside itself.
    let script = folder.join("compile.js");
    shell::write(&script, &shell::read(&place.root().join(FOLDER).join("compile.js"))?)?;
    place.call("node").word(&script).word(place.root().join(FOLDER)).read()
}

fn program(place: &Workplace) -> Result<PathBuf, Failure> {
    let program = packages(place)?.join(PROGRAM);
    match program.is_file() {
        true => Ok(program),
        false => Err(Failure::new(format!("`{}` is missing", program.display()))),
    }
}

/// The node of a test run: one that is given, or one that ends with this value.
pub(crate) enum ForTests {
    Given,
    Started { url: String, _node: Running, _folder: Folder },
}

impl ForTests {
    pub(crate) fn find(place: &Workplace) -> Result<Self, Failure> {
        if std::env::var_os(VARIABLE).is_some_and(|url| !url.is_empty()) {
            println!("tests use the EVM node that `{VARIABLE}` names");
            return Ok(Self::Given);
        }
        let folder = Folder::new(place, Account::Own, "anvil")?;
        let (port, log) = (free_port()?, folder.path.join("node.log"));
        let call = Account::Own.call(place, program(place)?).words(&["--port", &port.to_string()]);
        let mut node = Running::new(call.background(&log, &log)?, &log);
        ready(port, || node.ended())?;
        println!("tests use the EVM node at {}", url(port));
        Ok(Self::Started { url: url(port), _node: node, _folder: folder })
    }

    /// Tells a call where the node is.
    pub(crate) fn tell(&self, call: Call) -> Call {
        match self {
            Self::Given => call,
            Self::Started { url, .. } => call.env(VARIABLE, url),
        }
    }
}

/// `cargo xtask anvil start|stop`: one that stays, for tests that are run by hand.
pub(crate) fn command(place: &Workplace, word: &str) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join("tpw-anvil-by-hand");
    let (pid, log) = (folder.join("pid"), folder.join("node.log"));
    match word {
        "start" => {
            stop_by_hand(place, &pid)?;
            let port = free_port()?;
            shell::write(&log, "")?;
            // Without `--pdeathsig`: it outlives this process.
            let call = place.call(program(place)?).words(&["--port", &port.to_string()]);
            let child = call.background(&log, &log)?;
            shell::write(&pid, &child.id().to_string())?;
            ready(port, || None)?;
            println!("export {VARIABLE}={}", url(port));
            Ok(())
        }
        "stop" => stop_by_hand(place, &pid),
        _ => Err(Failure::new(format!("unknown `{word}`; there are `start` and `stop`"))),
    }
}

fn stop_by_hand(place: &Workplace, pid: &Path) -> Result<(), Failure> {
    let Ok(number) = shell::read(pid) else { return Ok(()) };
    // Another process may have the number by now: it is ended only if it is still a node.
    let name = fs::read_to_string(format!("/proc/{}/comm", number.trim())).unwrap_or_default();
    if name.trim() == "anvil" {
        place.call("kill").word(number.trim()).quiet()?;
    }
    fs::remove_file(pid)
        .map_err(|error| Failure::new(format!("`{}` cannot be removed: {error}", pid.display())))
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn ready(port: u16, mut ended: impl FnMut() -> Option<String>) -> Result<(), Failure> {
    wait::until("EVM node for the tests", START_TIME_MAX, || {
        if let Some(why) = ended() {
            return Err(Failure::new(format!("anvil did not start: {why}")));
        }
        Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(()))
    })
}
