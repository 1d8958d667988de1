//! PostgreSQL under Patroni and etcd, from the files in `deploy/postgres`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::account::{Account, Running, last_words, signal};
use super::authority::Authority;
use super::fill::fill;
use super::nodes::{Machine, Network};
use super::packages::Programs;
use super::wait;
use crate::shell::{self, Call, Failure, Workplace};

/// The role of `tpw` and its database.
pub(crate) const ROLE: &str = "tpw";
/// Passwords of a cluster that lives for minutes behind a network of its own.
const PASSWORD: &str = "drill-only";
const START_TIME_MAX: Duration = Duration::from_secs(90);
const ASK_TIME_MAX: Duration = Duration::from_secs(2);

/// One etcd and some nodes of PostgreSQL, each on its own machine.
pub(crate) struct Cluster<'p> {
    place: &'p Workplace,
    account: Account,
    programs: Programs,
    pub(crate) nodes: Vec<Node>,
    authority: Authority,
    _etcd: Running,
}

/// One machine with PostgreSQL and its Patroni.
pub(crate) struct Node {
    pub(crate) machine: Machine,
    folder: PathBuf,
    patroni: Option<Running>,
}

/// What a node is in the cluster, as Patroni tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) state: String,
}

impl<'p> Cluster<'p> {
    /// Starts everything and waits until one node leads and another confirms its commits.
    pub(crate) fn start(
        place: &'p Workplace,
        account: Account,
        programs: Programs,
        network: &mut Network<'_>,
        folder: &Path,
        size: usize,
    ) -> Result<Self, Failure> {
        let seat = network.machine("etcd")?;
        let range = network.range();
        let etcd = start_etcd(place, account, &seat, folder)?;
        let hosts = format!("{}:2379", seat.address);
        let authority = Authority::new(place, folder)?;
        let nodes = Vec::new();
        let mut cluster = Self { place, account, programs, nodes, authority, _etcd: etcd };
        for number in 1..=size {
            let machine = network.machine(&format!("pg{number}"))?;
            let node = cluster.prepare(machine, folder, &hosts, &range)?;
            cluster.nodes.push(node);
        }
        for at in 0..cluster.nodes.len() {
            cluster.start_node(at)?;
        }
        cluster.settled(START_TIME_MAX)?;
        cluster.make_role()?;
        Ok(cluster)
    }

    /// The folder of a node with its configuration.
    fn prepare(
        &self,
        machine: Machine,
        folder: &Path,
        etcd_hosts: &str,
        network: &str,
    ) -> Result<Node, Failure> {
        let folder = folder.join(&machine.name);
        let run = folder.join("run");
        shell::folder(&run)?;
        let data = folder.join("data");
        let tls = folder.join("tls");
        self.certify(&format!("IP:{}", machine.address), "node", &tls)?;
        let tls = tls.to_string_lossy();
        let account = match self.account {
            Account::Service => "postgres".to_owned(),
            Account::Own => self.place.call("id").word("-un").read()?.trim().to_owned(),
        };
        let (run, data) = (run.to_string_lossy(), data.to_string_lossy());
        let programs = self.programs.folder().to_string_lossy();
        let values = [
            ("name", machine.name.as_str()),
            ("address", &machine.address),
            ("network", network),
            ("etcd_hosts", etcd_hosts),
            ("data", &data),
            ("programs", &programs),
            ("run", &run),
            ("tls", &tls),
            ("account", &account),
            ("secret_rest", PASSWORD),
            ("secret_superuser", PASSWORD),
            ("secret_replication", PASSWORD),
            ("secret_rewind", PASSWORD),
        ];
        let to = folder.join("patroni.yml");
        fill(self.place.root(), "postgres/patroni.yml", &values, &to)?;
        self.account.own(self.place, &folder)?;
        Ok(Node { machine, folder, patroni: None })
    }

    /// Starts Patroni on a node; Patroni starts PostgreSQL.
    pub(crate) fn start_node(&mut self, at: usize) -> Result<(), Failure> {
        let (place, account) = (self.place, self.account);
        let node = self.node_mut(at)?;
        let log = node.folder.join("patroni.log");
        let call =
            node.machine.call(place, account, "patroni").word(node.folder.join("patroni.yml"));
        node.patroni = Some(Running::new(call.background(&log, &log)?, &log));
        Ok(())
    }

    /// Kills Patroni and PostgreSQL at once, as a loss of power does to processes.
    pub(crate) fn kill_node(&mut self, at: usize) -> Result<(), Failure> {
        let place = self.place;
        let node = self.node_mut(at)?;
        let pids = node.pids();
        signal(place, "KILL", &pids)?;
        if let Some(mut patroni) = node.patroni.take() {
            patroni.reap();
        }
        Ok(())
    }

    pub(crate) fn node(&self, at: usize) -> Result<&Node, Failure> {
        self.nodes.get(at).ok_or_else(|| Failure::new("there is no such node"))
    }

    fn node_mut(&mut self, at: usize) -> Result<&mut Node, Failure> {
        self.nodes.get_mut(at).ok_or_else(|| Failure::new("there is no such node"))
    }

    /// Where the leader is, as the nodes that answer see it, except those named.
    pub(crate) fn leader(&self, except: &[usize]) -> Option<usize> {
        let asked = self.nodes.iter().enumerate().filter(|(at, _)| !except.contains(at));
        let members = asked.filter_map(|(_, node)| members(&node.machine.address)).next()?;
        let leads = |member: &Member| member.role == "leader" && member.state == "running";
        let leader = members.into_iter().find(leads)?;
        let at = self.nodes.iter().position(|node| node.machine.name == leader.name)?;
        (!except.contains(&at)).then_some(at)
    }

    /// Waits until all nodes are in the cluster, one leads and one confirms its commits; returns the leader.
    pub(crate) fn settled(&self, time_max: Duration) -> Result<usize, Failure> {
        let found = wait::until("cluster with all its nodes", time_max, || {
            let Some(leader) = self.leader(&[]) else { return Ok(None) };
            let members = members(&self.node(leader)?.machine.address).unwrap_or_default();
            let count = |role: &str, states: &[&str]| {
                let fits = |m: &&Member| m.role == role && states.contains(&m.state.as_str());
                members.iter().filter(fits).count()
            };
            let streams = ["running", "streaming"];
            let standbys = count("sync_standby", &streams).min(1);
            let others = count("replica", &streams).saturating_add(count("sync_standby", &streams));
            let whole = standbys == 1 && others.saturating_add(1) == self.nodes.len();
            Ok(whole.then_some(leader))
        });
        found.map_err(|failure| Failure::new(format!("{failure}\n{}", self.last_words())))
    }

    /// What the nodes said last.
    pub(crate) fn last_words(&self) -> String {
        let said = |node: &Node| {
            let log = node.folder.join("patroni.log");
            format!("-- {}\n{}\n", node.machine.name, last_words(&log))
        };
        self.nodes.iter().map(said).collect()
    }

    pub(crate) fn log(&self, at: usize) -> Result<PathBuf, Failure> {
        Ok(self.node(at)?.folder.join("patroni.log"))
    }

    fn make_role(&self) -> Result<(), Failure> {
        let leader = self.leader(&[]).ok_or_else(|| Failure::new("no node leads"))?;
        let file = self.place.root().join("deploy/postgres/roles.sql");
        let call = self.sql(leader)?.words(&["-d", "postgres", "-v"]);
        call.word(format!("password={PASSWORD}")).word("-f").word(file).read()?;
        Ok(())
    }

    /// `psql` on a node itself, as its superuser.
    pub(crate) fn sql(&self, at: usize) -> Result<Call, Failure> {
        let node = self.node(at)?;
        let call = node.machine.call(self.place, self.account, self.programs.program("psql"));
        let call = call.words(&["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
        Ok(call.words(&["-U", "postgres", "-h"]).word(node.folder.join("run")))
    }

    pub(crate) fn psql(&self) -> PathBuf {
        self.programs.program("psql")
    }

    /// The addresses of all nodes, as a connection names them.
    pub(crate) fn hosts(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.machine.address.clone()).collect()
    }

    /// Puts a certificate for `subject` and its key into the folder `to`.
    pub(crate) fn certify(&self, subject: &str, file: &str, to: &Path) -> Result<(), Failure> {
        self.authority.certify(self.place, subject, file, to)
    }

    /// The certificate by which the nodes are known.
    pub(crate) fn authority(&self) -> &Path {
        &self.authority.certificate
    }

    /// Writes the file with the password of the role, for those who connect; only its owner can read it.
    pub(crate) fn password_file(&self, path: &Path) -> Result<(), Failure> {
        shell::write(path, &format!("*:*:{ROLE}:{ROLE}:{PASSWORD}\n"))?;
        self.place.call("chmod").word("0600").word(path).pass()
    }
}

fn start_etcd(
    place: &Workplace,
    account: Account,
    machine: &Machine,
    folder: &Path,
) -> Result<Running, Failure> {
    let folder = folder.join("etcd");
    shell::folder(&folder)?;
    let data = folder.join("data");
    let members = format!("{}=http://{}:2380", machine.name, machine.address);
    let data = data.to_string_lossy();
    let values = [
        ("name", machine.name.as_str()),
        ("address", &machine.address),
        ("data", &data),
        ("etcd_members", &members),
    ];
    let configuration = folder.join("etcd.yml");
    fill(place.root(), "postgres/etcd.yml", &values, &configuration)?;
    account.own(place, &folder)?;
    let log = folder.with_extension("log");
    let call = machine.call(place, account, "etcd").word("--config-file").word(&configuration);
    Ok(Running::new(call.background(&log, &log)?, &log))
}

impl Node {
    /// Every process of the node: Patroni, PostgreSQL and what they started.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let file = self.folder.join("data").join("postmaster.pid");
        let postmaster = fs::read_to_string(file).ok();
        let postmaster =
            postmaster.and_then(|text| text.lines().next()?.trim().parse::<u32>().ok());
        let mut pids: Vec<u32> = self.patroni.iter().map(Running::pid).collect();
        pids.extend(postmaster);
        let parents = parents();
        let mut at = 0;
        while let Some(parent) = pids.get(at).copied() {
            let children = parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid);
            let new: Vec<u32> = children.filter(|pid| !pids.contains(pid)).collect();
            pids.extend(new);
            at += 1;
        }
        pids
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            // Without its Patroni first, which would start PostgreSQL again.
            let pids = node.pids();
            let _gone = signal(self.place, "KILL", &pids);
            drop(node.patroni.take());
        }
    }
}

/// Every process with its parent.
fn parents() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in brackets may hold anything; the state and the parent follow it.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((pid, parent))
    };
    pids.filter_map(parent).collect()
}

/// Asks the Patroni at `address` about the cluster.
fn members(address: &str) -> Option<Vec<Member>> {
    let answer = get(address, "/cluster").ok()?;
    let value: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    let text = |value: &Value, name: &str| {
        value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let members = value.get("members")?.as_array()?.iter();
    let member = |m: &Value| Member {
        name: text(m, "name"),
        role: text(m, "role"),
        state: text(m, "state"),
    };
    Some(members.map(member).collect())
}

fn get(address: &str, path: &str) -> std::io::Result<String> {
    let address: SocketAddr =
        format!("{address}:8008").parse().map_err(|_| std::io::ErrorKind::InvalidInput)?;
    let mut stream = TcpStream::connect_timeout(&address, ASK_TIME_MAX)?;
    stream.set_read_timeout(Some(ASK_TIME_MAX))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
