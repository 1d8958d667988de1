//! A server of our own: `tpw serve` as a process, on a folder and a port of its own.

use crate::error::ReplayError;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_TIME_MAX: Duration = Duration::from_secs(60);
const STOP_TIME_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How many requests a second one address may make of a server that is measured: no bound that could be met.
const REQUESTS_PER_SECOND: &str = "1000000";

/// Finds the program `tpw` beside this one; under cargo it is brought up to date first.
///
/// # Errors
/// [`ReplayError::Program`].
pub fn find_tpw() -> Result<PathBuf, ReplayError> {
    let failed = |why: String| ReplayError::Program { program: "tpw".to_owned(), why };
    let own = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    // Tests lie one folder below the programs.
    let mut folders = own.ancestors().skip(1).take(2);
    let folder =
        folders.find(|folder| ["release", "debug"].iter().any(|name| folder.ends_with(name)));
    let folder = folder.ok_or_else(|| failed("name it with --tpw".to_owned()))?;
    let path = folder.join("tpw");
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "tpw", "--bin", "tpw"]);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        let status = build.status().map_err(|error| failed(error.to_string()))?;
        if !status.success() {
            return Err(failed("it does not build".to_owned()));
        }
    }
    if path.is_file() { Ok(path) } else { Err(failed(format!("there is no `{}`", path.display()))) }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    data: PathBuf,
    /// Where it listens.
    pub url: String,
    /// The certificate to trust.
    pub ca: PathBuf,
}

impl Server {
    /// Starts `tpw serve` on the folder `data` and waits until it listens.
    ///
    /// # Errors
    /// [`ReplayError::Program`] with what it said.
    pub fn start(tpw: &Path, data: &Path, rules: Option<&Path>) -> Result<Self, ReplayError> {
        let mut command = Command::new(tpw);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        command.args(["--rate-limit", REQUESTS_PER_SECOND, "--tsa-rate", REQUESTS_PER_SECOND]);
        if let Some(rules) = rules {
            command.arg("--rules").arg(rules);
        }
        Self::run(command, "tpw serve", data)
    }

    /// Starts any program that listens for HTTPS and writes its address and the certificate to trust into the file `address` of the
    /// folder `data`.
    ///
    /// # Errors
    /// [`ReplayError::Program`] with what it said.
    pub fn run(
        mut command: Command,
        program: &'static str,
        data: &Path,
    ) -> Result<Self, ReplayError> {
        let failed = |why: String| ReplayError::Program { program: program.to_owned(), why };
        let log_path = data.with_extension("log");
        let log = std::fs::File::create(&log_path).map_err(ReplayError::io("create", &log_path))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // An address of an earlier server would be taken for this one's.
        let address = data.join("address");
        let _absent = std::fs::remove_file(&address);
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let began = Instant::now();
        loop {
            if let Some((url, ca)) = read_address(&address) {
                return Ok(Self { child, data: data.to_owned(), url, ca });
            }
            let ended = child.try_wait().map_err(|error| failed(error.to_string()))?;
            if ended.is_some() || began.elapsed() > START_TIME_MAX {
                let _gone = child.kill();
                return Err(failed(last_words(&log_path)));
            }
            pause();
        }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The operator's key.
    #[must_use]
    pub fn operator_key(&self) -> PathBuf {
        self.data.join("operator.key")
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// [`ReplayError::Program`] when it does not end well.
    pub fn stop(mut self) -> Result<(), ReplayError> {
        let failed = |why: String| ReplayError::Program { program: "tpw serve".to_owned(), why };
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        asked.map_err(|error| failed(error.to_string()))?;
        let began = Instant::now();
        loop {
            match self.child.try_wait().map_err(|error| failed(error.to_string()))? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(failed(status.to_string())),
                None if began.elapsed() > STOP_TIME_MAX => {
                    return Err(failed("it does not stop when asked to".to_owned()));
                }
                None => pause(),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that was stopped is gone already.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A short wait for another process, of which nothing tells us when it is ready.
fn pause() {
    let (_nobody, never) = std::sync::mpsc::channel::<()>();
    let _elapsed = never.recv_timeout(LOOK_EVERY);
}

fn read_address(path: &Path) -> Option<(String, PathBuf)> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut lines = text.lines();
    let (url, ca) = (lines.next()?, lines.next()?);
    Some((url.to_owned(), PathBuf::from(ca)))
}

fn last_words(path: &Path) -> String {
    let mut text = String::new();
    let _unread = std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    let start = text.char_indices().rev().nth(600).map_or(0, |(at, _)| at);
    text.get(start..).unwrap_or_default().trim().to_owned()
}
