//! Running other programs from the repository's root, and saying clearly which one failed.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

/// Why a task stopped: one text for the person who runs it.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

/// The repository and the folder that takes what is built.
#[derive(Clone)]
pub(crate) struct Workplace {
    root: PathBuf,
    target: PathBuf,
}

impl Workplace {
    /// The repository is the folder above this crate's own.
    pub(crate) fn find() -> Result<Self, Failure> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .ok_or_else(|| Failure::new("the repository's root was not found; run `cargo xtask`"))?
            .to_path_buf();
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |given| root.join(given));
        Ok(Self { root, target })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where builds and installed tools go.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Programs installed by `setup`.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// Builds the programs of the workspace as a part of its tests: `cargo build` would compile libraries once more, without the features
    /// that only tests want.
    pub(crate) fn build_programs(&self) -> Result<(), Failure> {
        self.cargo(["test", "--quiet", "--workspace", "--locked", "--no-run"]).pass()
    }

    /// Where `build_programs` puts one.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }

    /// A call of the cargo that runs this task.
    pub(crate) fn cargo<const N: usize>(&self, words: [&str; N]) -> Call {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        self.call(cargo).words(&words)
    }

    /// A call of any program, in the root of the repository.
    pub(crate) fn call(&self, program: impl AsRef<OsStr>) -> Call {
        let mut command = Command::new(program.as_ref());
        command.current_dir(&self.root).stdin(Stdio::null());
        // Set by `cargo run` for this crate; a build started below must not see them change.
        for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME"] {
            command.env_remove(name);
        }
        Call { command }
    }
}

/// One call of a program.
pub(crate) struct Call {
    command: Command,
}

/// What a finished program left.
pub(crate) struct Finished {
    /// Its exit status was zero.
    pub(crate) success: bool,
    /// The text of its standard output.
    pub(crate) output: String,
    /// The text of its standard error, when it was not shown.
    pub(crate) errors: String,
}

impl Call {
    pub(crate) fn words(mut self, words: &[&str]) -> Self {
        self.command.args(words);
        self
    }

    pub(crate) fn word(mut self, word: impl AsRef<OsStr>) -> Self {
        self.command.arg(word);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it on its own; what it says is added to the file `output`, what it complains of to the file `log`.
    pub(crate) fn background(mut self, output: &Path, log: &Path) -> Result<Child, Failure> {
        let name = self.name();
        self.command.stdout(added_to(output)?).stderr(added_to(log)?);
        self.start(&name)
    }

    /// Starts it on its own, to be fed and heard through pipes; what it complains of is added to the file `log`.
    pub(crate) fn piped(mut self, log: &Path) -> Result<Child, Failure> {
        let name = self.name();
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(added_to(log)?);
        self.start(&name)
    }

    fn name(&self) -> String {
        let mut words = vec![self.command.get_program().to_string_lossy().into_owned()];
        words.extend(self.command.get_args().map(|word| word.to_string_lossy().into_owned()));
        words.join(" ")
    }

    fn start(&mut self, name: &str) -> Result<Child, Failure> {
        self.command
            .spawn()
            .map_err(|error| Failure::new(format!("`{name}` did not start: {error}")))
    }

    /// Runs it with its output shown; an exit status other than zero is a failure.
    pub(crate) fn pass(mut self) -> Result<(), Failure> {
        let name = self.name();
        let status = self
            .start(&name)?
            .wait()
            .map_err(|error| Failure::new(format!("`{name}` was lost: {error}")))?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!("`{name}` ended with {status}")))
        }
    }

    /// Runs it in silence and returns its standard output.
    pub(crate) fn read(self) -> Result<String, Failure> {
        let name = self.name();
        let finished = self.quiet()?;
        if finished.success {
            return Ok(finished.output);
        }
        Err(Failure::new(format!("`{name}` failed:\n{}{}", finished.output, finished.errors)))
    }

    /// Runs it in silence and returns all that it left.
    pub(crate) fn quiet(mut self) -> Result<Finished, Failure> {
        let name = self.name();
        let result = self
            .command
            .output()
            .map_err(|error| Failure::new(format!("`{name}` did not start: {error}")))?;
        Ok(Finished {
            success: result.status.success(),
            output: String::from_utf8_lossy(&result.stdout).into_owned(),
            errors: String::from_utf8_lossy(&result.stderr).into_owned(),
        })
    }

    /// Runs it with its output shown as it comes, and returns the output, too.
    pub(crate) fn watch(mut self) -> Result<Finished, Failure> {
        let name = self.name();
        self.command.stdout(Stdio::piped());
        let mut child = self.start(&name)?;
        let pipe = child.stdout.take();
        let reader = thread::spawn(move || pipe.map_or_else(String::new, echo));
        let status =
            child.wait().map_err(|error| Failure::new(format!("`{name}` was lost: {error}")))?;
        let output = reader.join().unwrap_or_default();
        Ok(Finished { success: status.success(), output, errors: String::new() })
    }
}

fn added_to(path: &Path) -> Result<fs::File, Failure> {
    let opened = fs::OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|error| Failure::new(format!("`{}` cannot be written: {error}", path.display())))
}

fn echo(pipe: impl Read) -> String {
    let mut all = String::new();
    let mut lines = BufReader::new(pipe);
    let mut line = Vec::new();
    while matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        all.push_str(&text);
        line.clear();
    }
    all
}

pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("`{}` cannot be read: {error}", path.display())))
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let written =
        path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    written
        .map_err(|error| Failure::new(format!("`{}` cannot be written: {error}", path.display())))
}

/// Makes a folder and those above it.
pub(crate) fn folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path)
        .map_err(|error| Failure::new(format!("`{}` cannot be made: {error}", path.display())))
}

/// The search path with the folder of `program` before everything else.
pub(crate) fn path_before(program: &Path) -> OsString {
    let mut path = OsString::from(program.parent().unwrap_or(program));
    if let Some(rest) = std::env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    path
}
