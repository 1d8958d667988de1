//! Two `tpw serve` on machines of their own, kept running as the units in `deploy/systemd` say: one works, one stands by.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::account::{Account, Running, last_words, signal};
use super::fill::fill;
use super::nodes::Machine;
use super::patroni::{Cluster, ROLE};
use super::wait;
use crate::shell::{self, Failure, Workplace};

/// The name that clients know both servers by.
pub(crate) const NAME: &str = "tpw.drill.example";
const PORT: u16 = 8443;
const UNITS: [&str; 2] = ["tpw.service", "tpw-standby.service"];
const START_TIME_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What makes a data folder this operator's; everything else is made from the books.
const IDENTITY: [&str; 5] = ["keys", "secrets", "operator.key", "tsa-root.der", "tsa.der"];

/// Both servers.
pub(crate) struct Operators {
    pub(crate) servers: Vec<Server>,
    /// The certificate by which clients know them.
    pub(crate) authority: PathBuf,
}

/// One server and who starts it again.
pub(crate) struct Server {
    pub(crate) machine: Machine,
    pub(crate) data: PathBuf,
    log: PathBuf,
    pid: Arc<AtomicU32>,
    ended: Arc<AtomicBool>,
    keeper: Option<JoinHandle<()>>,
}

impl Operators {
    pub(crate) fn start(
        place: &Workplace,
        cluster: &Cluster<'_>,
        machines: [Machine; 2],
        folder: &Path,
    ) -> Result<Self, Failure> {
        let mut servers: Vec<Server> = Vec::new();
        for (machine, unit) in machines.into_iter().zip(UNITS) {
            let home = folder.join(&machine.name);
            let data = home.join("data");
            shell::folder(&data)?;
            place.call("chmod").word("0700").word(&data).pass()?;
            if let Some(first) = servers.first() {
                copy_identity(place, &first.data, &data)?;
            }
            let words = words(place, cluster, &machine, &home, unit)?;
            let server = Server::keep(place, machine, words, &home);
            if servers.is_empty() {
                server.listens(START_TIME_MAX)?;
            }
            servers.push(server);
        }
        Ok(Self { servers, authority: cluster.authority().to_owned() })
    }

    /// Where clients may connect to.
    pub(crate) fn addresses(&self) -> String {
        let of = |server: &Server| format!("{}:{PORT}", server.machine.address);
        self.servers.iter().map(of).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn url() -> String {
        format!("https://{NAME}:{PORT}")
    }

    /// The server that has the lock of the writer, as the database tells it.
    pub(crate) fn at_work(&self, cluster: &Cluster<'_>) -> Result<Option<usize>, Failure> {
        let Some(leader) = cluster.leader(&[]) else { return Ok(None) };
        let query = "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) \
                     WHERE locktype = 'advisory' AND granted AND application_name LIKE 'tpw (%'";
        let told = cluster.sql(leader)?.words(&["-d", ROLE, "-c", query]).quiet()?.output;
        let has = |server: &Server| told.contains(&format!("process {})", server.pid()));
        Ok(self.servers.iter().position(has))
    }

    /// What both said last.
    pub(crate) fn last_words(&self) -> String {
        let said = |s: &Server| format!("-- {}\n{}\n", s.machine.name, last_words(&s.log));
        self.servers.iter().map(said).collect()
    }
}

impl Server {
    /// Starts it, and again whenever it ends, as the unit asks for.
    fn keep(place: &Workplace, machine: Machine, words: Vec<String>, home: &Path) -> Self {
        let (pid, ended) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let log = home.join("tpw.log");
        let (kept, stop) = (Arc::clone(&pid), Arc::clone(&ended));
        let (place, seat, said) = (place.clone(), machine.clone(), log.clone());
        let keeper = std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let call = seat.call(&place, Account::Own, place.program("tpw")).words(&words);
                let Ok(child) = call.background(&said, &said) else { return };
                let mut running = Running::new(child, &said);
                kept.store(running.pid(), Ordering::SeqCst);
                while running.ended().is_none() && !stop.load(Ordering::SeqCst) {
                    wait::pause(LOOK_EVERY);
                }
                drop(running);
                wait::pause(Duration::from_secs(2));
            }
        });
        let data = home.join("data");
        Self { machine, data, log, pid, ended, keeper: Some(keeper) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.load(Ordering::SeqCst)
    }

    pub(crate) fn kill(&self, place: &Workplace) -> Result<(), Failure> {
        signal(place, "KILL", &[self.pid()])
    }

    fn listens(&self, time_max: Duration) -> Result<(), Failure> {
        let address: SocketAddr = format!("{}:{PORT}", self.machine.address)
            .parse()
            .map_err(|_| Failure::new("a machine without an address"))?;
        let what = format!("server on {}", self.machine.name);
        wait::until(&what, time_max, || {
            Ok(TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok().map(drop))
        })
        .map_err(|failure| Failure::new(format!("{failure}:\n{}", last_words(&self.log))))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(keeper) = self.keeper.take() {
            let _ended = keeper.join();
        }
    }
}

fn copy_identity(place: &Workplace, from: &Path, to: &Path) -> Result<(), Failure> {
    for name in IDENTITY.iter().filter(|name| from.join(name).exists()) {
        place.call("cp").word("-a").word(from.join(name)).word(to.join(name)).pass()?;
    }
    Ok(())
}

/// The words of the unit's command after the program's name, with the settings of this machine.
fn words(
    place: &Workplace,
    cluster: &Cluster<'_>,
    machine: &Machine,
    home: &Path,
    unit: &str,
) -> Result<Vec<String>, Failure> {
    let tls = home.join("tls");
    cluster.certify(&format!("DNS:{NAME}"), "server", &tls)?;
    cluster.password_file(&tls.join("pgpass"))?;
    let settings = home.join("tpw.env");
    let (data, tls) = (home.join("data"), tls.to_string_lossy().into_owned());
    let values = [
        ("data", data.to_string_lossy().into_owned()),
        ("listen", format!("{}:{PORT}", machine.address)),
        ("public_url", Operators::url()),
        ("audience", NAME.to_owned()),
        ("tls", tls),
        ("hosts", cluster.hosts().join(",")),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(word, v)| (*word, v.as_str())).collect();
    fill(place.root(), "systemd/tpw.env", &values, &settings)?;
    let unit = shell::read(&place.root().join("deploy/systemd").join(unit))?;
    expanded(&unit, &shell::read(&settings)?)
        .ok_or_else(|| Failure::new("the unit has no `ExecStart` that its settings complete"))
}

/// The arguments of `ExecStart`, each variable replaced by its value.
fn expanded(unit: &str, settings: &str) -> Option<Vec<String>> {
    let lines = settings.lines().filter(|line| !line.starts_with('#'));
    let values: HashMap<&str, &str> = lines.filter_map(|line| line.split_once('=')).collect();
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart="))?;
    let expand = |word: &str| {
        let mut out = String::new();
        let mut parts = word.split("${");
        out.push_str(parts.next()?);
        for part in parts {
            let (name, rest) = part.split_once('}')?;
            out.push_str(values.get(name)?);
            out.push_str(rest);
        }
        Some(out)
    };
    command.split(' ').skip(1).map(expand).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_completed_by_its_settings() {
        let unit = "[Service]\nExecStart=/usr/bin/tpw serve --data ${DATA} --store ${STORE}&a=1\n";
        let found = expanded(unit, "# DATA=no\nDATA=x\nSTORE=u=v\n");
        let wanted = ["serve", "--data", "x", "--store", "u=v&a=1"].map(str::to_owned);
        assert_eq!(found, Some(wanted.to_vec()));
        assert_eq!(expanded(unit, "DATA=x\n"), None);
        assert_eq!(expanded("[Service]\n", "DATA=x\n"), None);
    }
}
