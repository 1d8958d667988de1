//! A PostgreSQL cluster of our own: made in a new folder, reached through a socket in that folder alone, removed at
//! the end.

use crate::error::BenchError;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Who the server runs as where it must not be root.
const SERVER_USER: &str = "postgres";
/// Where Debian keeps the programs of each version.
const DEBIAN_FOLDER: &str = "/usr/lib/postgresql";

/// The same for everybody who is measured on it. All else is as PostgreSQL comes.
pub const SETTINGS: &[(&str, &str)] = &[
    ("synchronous_commit", "on"),
    ("fsync", "on"),
    ("full_page_writes", "on"),
    ("shared_buffers", "1GB"),
    ("max_wal_size", "4GB"),
    ("max_connections", "100"),
    ("listen_addresses", "''"),
];

/// A running server.
#[derive(Debug)]
pub struct Cluster {
    bin: PathBuf,
    /// What it stores, on the disk that is measured.
    folder: TempDir,
    /// Where its socket lies: the path of a socket must be short.
    socket: TempDir,
    port: u16,
    as_root: bool,
}

impl Cluster {
    /// Makes a cluster below the folder `on` and starts it.
    ///
    /// # Errors
    /// [`BenchError::NoPostgres`] without the programs; [`BenchError::Program`] with what one of them said.
    pub fn start(on: &Path, port: u16) -> Result<Self, BenchError> {
        let bin = programs()?;
        let as_root = said(Command::new("id").arg("-u"))? == "0";
        let (folder, socket) = (new_folder(on)?, new_folder(&std::env::temp_dir())?);
        let cluster = Self { bin, folder, socket, port, as_root };
        if as_root {
            give_away(cluster.folder.path())?;
            give_away(cluster.socket.path())?;
        }
        let data = cluster.data();
        let words = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"];
        let mut make = cluster.server_command("initdb");
        said(make.args(words).arg("--no-sync").arg("--pgdata").arg(&data))?;
        let mut start = cluster.server_command("pg_ctl");
        start.args(["start", "--wait", "--silent", "--options", &cluster.options(), "--pgdata"]);
        said(start.arg(&data).arg("--log").arg(cluster.folder.path().join("log")))?;
        Ok(cluster)
    }

    /// The folder with its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.socket.path()
    }

    /// The number in the name of its socket.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// How a client names a database here.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let folder = self.socket.path().display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{folder}:{}/{database}", self.port)
    }

    /// The version of its programs.
    ///
    /// # Errors
    /// [`BenchError::Program`].
    pub fn version(&self) -> Result<String, BenchError> {
        said(Command::new(self.bin.join("postgres")).arg("--version"))
    }

    /// Runs SQL in a database and returns what it printed, unaligned.
    ///
    /// # Errors
    /// [`BenchError::Program`] with what the server said.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String, BenchError> {
        let words = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"];
        let mut call = self.client("psql");
        call.args(words).args(["--set", "ON_ERROR_STOP=1", "--command", sql, database]);
        said(&mut call)
    }

    /// Makes an empty database; one of that name goes.
    ///
    /// # Errors
    /// [`BenchError::Program`].
    pub fn fresh(&self, database: &str) -> Result<(), BenchError> {
        self.sql("postgres", &format!("DROP DATABASE IF EXISTS {database}"))?;
        self.sql("postgres", &format!("CREATE DATABASE {database}")).map(|_said| ())
    }

    /// Makes a database as `template` is, which nobody may be using; one of that name goes.
    ///
    /// # Errors
    /// [`BenchError::Program`].
    pub fn copy(&self, template: &str, database: &str) -> Result<(), BenchError> {
        self.sql("postgres", &format!("DROP DATABASE IF EXISTS {database}"))?;
        let make = format!("CREATE DATABASE {database} TEMPLATE {template}");
        self.sql("postgres", &make).map(|_said| ())
    }

    /// Runs `pgbench` and returns what it printed.
    ///
    /// # Errors
    /// [`BenchError::Program`].
    pub fn pgbench<S: AsRef<OsStr>>(&self, words: &[S]) -> Result<String, BenchError> {
        said(self.client("pgbench").args(words))
    }

    /// Processor seconds of the server: all its processes, those that have ended included.
    #[must_use]
    pub fn cpu_s(&self) -> f64 {
        let pid_file = self.data().join("postmaster.pid");
        let text = std::fs::read_to_string(pid_file).unwrap_or_default();
        text.lines().next().and_then(|pid| pid.trim().parse().ok()).map_or(0.0, family_cpu_s)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn options(&self) -> String {
        let folder = self.socket.path().display();
        let mut options = format!("-p {} -k {folder}", self.port);
        for (name, value) in SETTINGS {
            options.push_str(&format!(" -c {name}={value}"));
        }
        options
    }

    fn server_command(&self, program: &str) -> Command {
        let path = self.bin.join(program);
        if !self.as_root {
            return Command::new(path);
        }
        let mut command = Command::new("runuser");
        command.args(["-u", SERVER_USER, "--"]).arg(path);
        command
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.env("PGUSER", "postgres").env("PGHOST", self.socket.path());
        command.env("PGPORT", self.port.to_string()).env_remove("PGDATABASE");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = self.server_command("pg_ctl");
        stop.args(["stop", "--silent", "--mode=immediate", "--pgdata"]).arg(self.data());
        // It may never have started.
        let _gone = said(&mut stop);
    }
}

fn new_folder(on: &Path) -> Result<TempDir, BenchError> {
    let made = tempfile::Builder::new().prefix("bench-ledger-").tempdir_in(on);
    made.map_err(BenchError::io("make a folder in", on))
}

/// A server must not run as root: its folders and processes are another user's then.
fn give_away(path: &Path) -> Result<(), BenchError> {
    let id = |what| -> Result<u32, BenchError> {
        let text = said(Command::new("id").args([what, SERVER_USER]))?;
        text.parse().map_err(|_| BenchError::program("id", format!("it said `{text}`")))
    };
    let (owner, group) = (id("-u")?, id("-g")?);
    std::os::unix::fs::chown(path, Some(owner), Some(group))
        .map_err(BenchError::io("give away", path))
}

/// The newest installed version's programs.
fn programs() -> Result<PathBuf, BenchError> {
    let versions = std::fs::read_dir(DEBIAN_FOLDER).map(|found| {
        let names = found.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter_map(|name| name.parse::<u32>().ok()).collect::<Vec<_>>()
    });
    let newest = versions.unwrap_or_default().into_iter().max();
    let debian =
        newest.map(|version| Path::new(DEBIAN_FOLDER).join(version.to_string()).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = debian.into_iter().chain(std::env::split_paths(&path));
    let complete = |folder: &PathBuf| {
        ["initdb", "pg_ctl", "pgbench", "psql"].iter().all(|name| folder.join(name).is_file())
    };
    folders.find(complete).ok_or(BenchError::NoPostgres)
}

/// Runs a program to its end; what it printed, or why it failed.
fn said(command: &mut Command) -> Result<String, BenchError> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null());
    // The caller's own folder may be one that the server's user must not see.
    command.current_dir("/");
    let output = command.output().map_err(|error| BenchError::program(&name, error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let words: Vec<_> =
        command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let name = format!("{name} {}", words.join(" "));
    Err(BenchError::program(&name, String::from_utf8_lossy(&output.stderr).trim()))
}

/// Processor seconds of a process and its children, those that it has buried included.
fn family_cpu_s(pid: u32) -> f64 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let living: u64 = children
        .split_whitespace()
        .filter_map(|child| ticks(child.parse().ok()?))
        .map(|of| of.own)
        .sum();
    let mother = ticks(pid).unwrap_or_default();
    seconds(living.saturating_add(mother.own).saturating_add(mother.buried))
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Ticks {
    own: u64,
    buried: u64,
}

fn ticks(pid: u32) -> Option<Ticks> {
    parse_ticks(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_ticks(stat: &str) -> Option<Ticks> {
    // The name in brackets may hold spaces; what follows it is fields 3 and up. Times are fields 14 to 17.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let sum = |first: usize, second: usize| Some(field(first)?.saturating_add(field(second)?));
    Some(Ticks { own: sum(11, 12)?, buried: sum(13, 14)? })
}

/// Linux counts processor time for `/proc` in hundredths of a second.
#[expect(clippy::cast_precision_loss, reason = "ticks of any real process fit a double exactly")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_process_and_of_its_dead_children_are_read() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 7 3 20 0 2 0 1 2 3";
        assert_eq!(parse_ticks(stat), Some(Ticks { own: 300, buried: 10 }));
        assert_eq!(parse_ticks("7 (a"), None);
    }

    #[test]
    fn a_program_that_fails_tells_why() {
        let error = said(Command::new("ls").arg("/no such folder")).unwrap_err();
        assert!(error.to_string().contains("no such folder"), "{error}");
        assert!(said(&mut Command::new("no-such-program")).is_err());
    }
}
