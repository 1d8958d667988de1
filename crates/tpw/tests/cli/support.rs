//! Running the binary, and making what it says comparable.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

pub(crate) const PASSPHRASE: &str = "correct horse battery";
/// What somebody is recognised by, beside the device.
pub(crate) const PASSWORD: &str = "violet hammock 57";

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tpw"));
    // No program of this machine is found by its name alone, whatever is installed.
    command.args(args).env_clear().env("LC_ALL", "C").env("PATH", "").stdin(Stdio::null());
    command
}

pub(crate) fn tpw(args: &[&str]) -> Ran {
    Ran::of(&command(args).output().unwrap())
}

/// A file that only its owner can read.
pub(crate) fn secret(path: &Path, text: &str) -> String {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A running server; killed at the end.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    pub(crate) listen: String,
    pub(crate) ca: String,
    pub(crate) data: String,
    /// What it has written down since its start.
    records: Arc<Mutex<String>>,
}

impl Server {
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        Self::start_in(data, more, &[])
    }

    /// The same with variables of the environment.
    pub(crate) fn start_in(data: &Path, more: &[&str], environment: &[(&str, &str)]) -> Self {
        let data = data.to_str().unwrap().to_owned();
        let mut args = vec!["serve", "--data", &data, "--json"];
        args.extend(more);
        if !more.contains(&"--listen") {
            args.extend(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command(&args)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let records = Arc::<Mutex<String>>::default();
        let started = loop {
            let line = lines.next().expect("the server ended").unwrap();
            *records.lock().unwrap() += &format!("{line}\n");
            let value: Value = serde_json::from_str(&line).unwrap();
            if value.get("development_certificate").is_some() {
                break value;
            }
        };
        // Somebody has to read on, or the server would wait for the pipe.
        let written = Arc::clone(&records);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *written.lock().unwrap() += &format!("{line}\n");
            }
        });
        let text = |name: &str| started[name].as_str().unwrap().to_owned();
        Self {
            child,
            url: text("url"),
            listen: text("listen"),
            ca: text("development_certificate"),
            data,
            records,
        }
    }

    /// What it has written down so far.
    pub(crate) fn records(&self) -> String {
        self.records.lock().unwrap().clone()
    }

    /// Asks it to stop, as an operator would.
    pub(crate) fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "{ended}");
    }

    /// Sets a password for the operator, and logs in with it.
    pub(crate) fn log_in(&self, root: &Path) {
        let file = secret(&root.join("operator.password"), PASSWORD);
        self.ops(&["factor", "password", "--secret-file", &file]).ends(0);
        let proved = self.ops(&["login", "--secret-file", &file]).ends(0).json();
        assert_eq!(proved["acr"], "aal2");
    }

    pub(crate) fn ops(&self, args: &[&str]) -> Ran {
        tpw(&[&["ops", "--data", &self.data, "--json"], args].concat())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A device of somebody.
pub(crate) struct Device {
    pub(crate) folder: PathBuf,
    pub(crate) passphrase: String,
    pub(crate) accounts: Vec<String>,
}

impl Device {
    /// Enters a person with `accounts` and enrols a device for it.
    pub(crate) fn enrolled(server: &Server, root: &Path, name: &str, accounts: &[&str]) -> Self {
        let ops = |args: &[&str]| server.ops(args).ends(0).json();
        Self::with(&ops, root, name, accounts, &server.url, &server.ca)
    }

    /// The same, where device and operator reach the server at another address.
    pub(crate) fn with(
        ops: &dyn Fn(&[&str]) -> Value,
        root: &Path,
        name: &str,
        accounts: &[&str],
        url: &str,
        ca: &str,
    ) -> Self {
        let mut args = vec!["person", "add", name];
        accounts.iter().for_each(|account| args.extend(["--account", account]));
        let added = ops(&args);
        let ids = added["accounts"].as_array().unwrap().iter();
        let device = Self {
            folder: root.join(name),
            passphrase: secret(&root.join(format!("{name}.passphrase")), PASSPHRASE),
            accounts: ids.map(|id| id.as_str().unwrap().to_owned()).collect(),
        };
        let code = secret(&root.join(format!("{name}.code")), added["code"].as_str().unwrap());
        device.wallet(&["init"]).ends(0);
        device.wallet(&["enrol", "--server", url, "--ca", ca, "--code-file", &code]).ends(0);
        device
    }

    pub(crate) fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        let own =
            ["--wallet", self.folder.to_str().unwrap(), "--passphrase-file", &self.passphrase];
        [args, &own].concat()
    }

    /// The tests have no terminal: what is to be paid is agreed to on the command line.
    pub(crate) fn wallet(&self, args: &[&str]) -> Ran {
        let consent: &[&str] = if args.first() == Some(&"pay") { &["--yes"] } else { &[] };
        self.wallet_as_typed(&[args, consent].concat())
    }

    pub(crate) fn wallet_as_typed(&self, args: &[&str]) -> Ran {
        tpw(&self.args(&[&["wallet"], args].concat()))
    }

    /// Sets a password for the owner of the device, and logs in with it.
    pub(crate) fn log_in(&self) {
        let path = self.folder.with_extension("password");
        let file = secret(&path, PASSWORD);
        tpw(&self.args(&["factor", "password", "--secret-file", &file])).ends(0);
        tpw(&self.args(&["login", "--secret-file", &file])).ends(0);
    }

    pub(crate) fn available(&self) -> String {
        let list = self.wallet(&["accounts", "--json"]).ends(0).json();
        list["accounts"][0]["available"].as_str().unwrap().to_owned()
    }
}

/// Masks what differs from run to run: ids, times, hashes, codes, ports and paths.
pub(crate) fn masked(text: &str, root: &Path) -> String {
    let out = by_words(&text.replace(root.to_str().unwrap(), "DIR"), masked_word);
    // Tables and lines may end in blanks.
    let lines = out.lines().map(|line| without_places(line.trim_end()));
    lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

/// Where something stands in the log depends on how long the commands took: decisions that allowed reading are written down by time.
fn without_places(line: &str) -> String {
    let about_the_log =
        ["log", "checkpoint", "日志", "检查点"].iter().any(|word| line.contains(word));
    let number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    if !about_the_log {
        return line.to_owned();
    }
    by_words(line, |word| if number(word) { "N".to_owned() } else { word.to_owned() })
}

fn by_words(text: &str, changed: impl Fn(&str) -> String) -> String {
    let of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '.');
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match of_word(first) {
            true => rest.find(|c| !of_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        out += &changed(&rest[..end]);
        rest = &rest[end..];
    }
    out
}

fn masked_word(word: &str) -> String {
    for prefix in ["pay_", "acc_", "per_", "dev_", "trf_"] {
        if word.starts_with(prefix) && word.len() >= prefix.len() + 26 {
            return format!("{prefix}ID{}", &word[prefix.len() + 26..]);
        }
    }
    let bytes = word.as_bytes();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if bytes.len() == 24 && bytes[10] == b'T' && bytes[23] == b'Z' {
        return "TIME".to_owned();
    }
    if bytes.len() == 23 && word.split('-').all(|group| group.len() == 5) {
        return "CODE".to_owned();
    }
    if word.starts_with("127.0.0.1:") {
        return "127.0.0.1:PORT".to_owned();
    }
    if bytes.len() >= 8 && bytes.iter().all(u8::is_ascii_hexdigit) {
        return "HEX".to_owned();
    }
    if bytes.len() == 43 {
        return "THUMBPRINT".to_owned();
    }
    // Milliseconds are written with one decimal; the amounts of the tests have two.
    match word.split_once('.') {
        Some((whole, one)) if digits(whole) && digits(one) && one.len() == 1 => "MS".to_owned(),
        _ => word.to_owned(),
    }
}
