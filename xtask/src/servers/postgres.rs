//! PostgreSQL for tests: a cluster in a folder of its own that is gone when the tests are.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::account::{Account, Running};
use super::packages::Programs;
use super::wait;
use crate::shell::{self, Call, Failure, Workplace};

/// What tests read to find the server. Where it is set already, that server is used.
pub(crate) const VARIABLE: &str = "TPW_TEST_POSTGRES";
/// The role of the tests. They change settings of the server and give it certificates, so it is a superuser; and because
/// an address holds no password, whoever is on this machine may use it as long as the tests run.
const ROLE: &str = "tpw";
const START_TIME_MAX: Duration = Duration::from_secs(30);
const STARTS_MAX: u32 = 3;

/// A running cluster. It is stopped and deleted when this value goes.
pub(crate) struct Throwaway {
    // Fields are dropped in this order: first the server, then its folder.
    server: Running,
    folder: Folder,
    url: String,
}

impl Throwaway {
    pub(crate) fn start(place: &Workplace) -> Result<Self, Failure> {
        let site = Site::find(place)?;
        let folder = Folder::new(place, site.account, "postgres")?;
        let data = folder.path.join("data");
        site.initialise(&data)?;
        let log = folder.path.join("server.log");
        let mut failure = Failure::new("no port is free");
        // Another process may take the port between our look at it and the server's.
        for _ in 0..STARTS_MAX {
            let port = free_port()?;
            let call = site.account.call(place, site.programs.program("postgres"));
            let call = call.words(&["-D"]).word(&data).words(&["-k"]).word(&folder.path);
            let call = call.words(&["-p", &port.to_string()]);
            let mut server = Running::new(call.background(&log, &log)?, &log);
            match site.ready(&folder.path, port, || server.ended()) {
                Ok(()) => {
                    site.make_role(&folder.path, port)?;
                    return Ok(Self { server, folder, url: url(port) });
                }
                Err(why) => failure = why,
            }
        }
        Err(failure)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends it as an operator would; what fails here is of no consequence for the tests that are over.
    pub(crate) fn stop(mut self, place: &Workplace) {
        if self.server.signal(place, "INT").is_ok() {
            self.server.reap();
        }
        drop(self.folder);
    }
}

/// The server of a test run: one that is given, or a throw-away one.
pub(crate) enum ForTests {
    Given,
    Started(Throwaway),
}

impl ForTests {
    pub(crate) fn find(place: &Workplace) -> Result<Self, Failure> {
        if std::env::var_os(VARIABLE).is_some_and(|url| !url.is_empty()) {
            println!("tests use the PostgreSQL that `{VARIABLE}` names");
            return Ok(Self::Given);
        }
        let started = Throwaway::start(place)?;
        println!("tests use PostgreSQL at {}", started.url());
        Ok(Self::Started(started))
    }

    /// Tells a call where the server is.
    pub(crate) fn tell(&self, call: Call) -> Call {
        match self {
            Self::Given => call,
            Self::Started(server) => call.env(VARIABLE, server.url()),
        }
    }

    pub(crate) fn stop(self, place: &Workplace) {
        if let Self::Started(server) = self {
            server.stop(place);
        }
    }
}

/// `cargo xtask postgres start|stop`: one that stays, for tests that are run by hand.
pub(crate) fn command(place: &Workplace, word: &str) -> Result<(), Failure> {
    let site = Site::find(place)?;
    let folder = std::env::temp_dir().join("tpw-postgres-by-hand");
    let control = |words: &[&str]| {
        let call = site.account.call(place, site.programs.program("pg_ctl")).words(words);
        call.word("-D").word(folder.join("data"))
    };
    match word {
        "start" => {
            if !control(&["status"]).quiet()?.success {
                // What an earlier one left may be damaged: begin anew.
                remove(&folder)?;
                start_by_hand(place, &site, &folder)?;
            }
            let port = shell::read(&folder.join("port"))?;
            println!("export {VARIABLE}={}", url(port.trim().parse().unwrap_or_default()));
            Ok(())
        }
        "stop" => {
            if control(&["status"]).quiet()?.success {
                control(&["stop", "--mode", "fast", "--silent"]).pass()?;
            }
            remove(&folder)
        }
        _ => Err(Failure::new(format!("unknown `{word}`; there are `start` and `stop`"))),
    }
}

fn start_by_hand(place: &Workplace, site: &Site<'_>, folder: &Path) -> Result<(), Failure> {
    make_folder(place, site.account, folder)?;
    site.initialise(&folder.join("data"))?;
    let port = free_port()?;
    shell::write(&folder.join("port"), &format!("{port}\n"))?;
    // Without `--pdeathsig`: it outlives this process.
    let socket = format!("-k {} -p {port}", folder.display());
    let call = site.account.call(place, site.programs.program("pg_ctl"));
    let call = call.words(&["start", "--silent", "--wait", "-o", &socket, "-D"]);
    let call = call.word(folder.join("data")).word("-l").word(folder.join("server.log"));
    call.pass()?;
    site.make_role(folder, port)
}

/// A free port of loopback, by the choice of the operating system.
pub(crate) fn free_port() -> Result<u16, Failure> {
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    bound
        .map(|address| address.port())
        .map_err(|error| Failure::new(format!("loopback has no free port: {error}")))
}

fn url(port: u16) -> String {
    format!("postgres://{ROLE}@127.0.0.1:{port}/{ROLE}")
}

/// The programs and the account to run them under.
struct Site<'p> {
    place: &'p Workplace,
    programs: Programs,
    account: Account,
}

impl<'p> Site<'p> {
    fn find(place: &'p Workplace) -> Result<Self, Failure> {
        Ok(Self { place, programs: Programs::find(place)?, account: Account::find(place)? })
    }

    /// Makes a cluster that is as safe as a real one: what tests learn about losses must hold there, too.
    fn initialise(&self, data: &Path) -> Result<(), Failure> {
        let call = self.account.call(self.place, self.programs.program("initdb"));
        let call = call.words(&["--username", "postgres", "--auth-local", "trust"]);
        let call = call.words(&["--auth-host", "reject", "--encoding", "UTF8", "--no-sync"]);
        let call = call.words(&["--locale", "C.UTF-8", "--data-checksums", "--pgdata"]);
        call.word(data).read()?;
        // The socket lies in a folder of this account alone; on loopback only the role of the tests is let in.
        let access = format!(
            "local all all trust\nhost all {ROLE} 127.0.0.1/32 trust\nhost all all all reject\n"
        );
        // Written over, not made anew: the files stay their owner's.
        shell::write(&data.join("pg_hba.conf"), &access)?;
        let settings = "listen_addresses = '127.0.0.1'\nfsync = on\nsynchronous_commit = on\n\
                        full_page_writes = on\nmax_connections = 200\n";
        let path = data.join("postgresql.conf");
        let default = shell::read(&path)?;
        shell::write(&path, &format!("{default}\n{settings}"))
    }

    fn ready(
        &self,
        socket: &Path,
        port: u16,
        mut ended: impl FnMut() -> Option<String>,
    ) -> Result<(), Failure> {
        wait::until("PostgreSQL for the tests", START_TIME_MAX, || {
            if let Some(why) = ended() {
                return Err(Failure::new(format!("PostgreSQL did not start: {why}")));
            }
            let asked = self.sql(socket, port, "SELECT 1").quiet()?;
            Ok(asked.success.then_some(()))
        })
    }

    fn make_role(&self, socket: &Path, port: u16) -> Result<(), Failure> {
        self.sql(socket, port, &format!("CREATE ROLE {ROLE} LOGIN SUPERUSER")).read()?;
        self.sql(socket, port, &format!("CREATE DATABASE {ROLE} OWNER {ROLE}")).read()?;
        Ok(())
    }

    fn sql(&self, socket: &Path, port: u16, statement: &str) -> Call {
        let call = self.account.call(self.place, self.programs.program("psql"));
        let call = call.words(&["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"]);
        call.word(socket).words(&["-p", &port.to_string(), "-d", "postgres", "-c", statement])
    }
}

/// A folder of the servers' account, deleted when this value goes.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
}

impl Folder {
    /// Its name tells what it is for and which process made it; those of processes that are gone are removed first.
    pub(crate) fn new(place: &Workplace, account: Account, what: &str) -> Result<Self, Failure> {
        let prefix = format!("tpw-{what}-");
        sweep(&prefix);
        // Short, because a socket's path is, and not below the target folder, which the account may not enter.
        let path = std::env::temp_dir().join(format!("{prefix}{}", std::process::id()));
        remove(&path)?;
        make_folder(place, account, &path)?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(failure) = remove(&self.path) {
            println!("{failure}");
        }
    }
}

fn make_folder(place: &Workplace, account: Account, path: &Path) -> Result<(), Failure> {
    fs::create_dir(path)
        .map_err(|error| Failure::new(format!("`{}` cannot be made: {error}", path.display())))?;
    account.own(place, path)
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(format!("`{}` cannot be removed: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Removes what processes that were killed could not remove.
fn sweep(prefix: &str) {
    let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten().filter_map(Result::ok);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix(prefix).and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            // Another account's folder stays.
            let _kept = fs::remove_dir_all(entry.path());
        }
    }
}
