//! `cargo xtask drill failover`: the primary is killed, then another is cut off, then the same happens to `tpw`, all
//! under load. Nothing that was acknowledged may be missing afterwards or be there twice, and whoever pays goes on by
//! himself.

use std::process::Child;
use std::time::{Duration, Instant};

use super::account::Account;
use super::nodes::{Kind, Network};
use super::operators::Operators;
use super::packages::{self, Programs};
use super::patroni::{Cluster, ROLE};
use super::postgres::Folder;
use super::town::Town;
use super::wait;
use super::writers::Writers;
use crate::shell::{Failure, Workplace};

const NODES: usize = 3;
/// Payments of one fault: so many that it strikes in the midst of them.
const PAYMENTS: u32 = 1_500;
/// Writing before and after each fault.
const LOAD_TIME: Duration = Duration::from_secs(3);
const PROMOTION_TIME_MAX: Duration = Duration::from_secs(60);
const REJOIN_TIME_MAX: Duration = Duration::from_secs(90);

/// What strikes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strike {
    KillPrimary,
    CutPrimary,
    KillServer,
    CutServer,
}

/// A cluster, two servers, and those who write and pay.
struct Drill<'p> {
    // Dropped in this order: clients, servers, databases, network, folder.
    writers: Writers,
    operators: Operators,
    cluster: Cluster<'p>,
    network: Network<'p>,
    folder: Folder,
    place: &'p Workplace,
    towns: u32,
}

/// How much of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    /// Every fault.
    Full,
    /// One of the database and one of the server, for every test run.
    Short,
}

impl Extent {
    fn strikes(self, kind: Kind) -> &'static [Strike] {
        use Strike::{CutPrimary, CutServer, KillPrimary, KillServer};
        match (self, kind) {
            (Self::Short, _) => &[CutPrimary, KillServer],
            (Self::Full, Kind::Namespaces) => &[KillPrimary, CutPrimary, KillServer, CutServer],
            // A server that is stopped in its tracks keeps its lock for as long as it is stopped.
            (Self::Full, Kind::Loopback) => &[KillPrimary, CutPrimary, KillServer],
        }
    }
}

/// `cargo xtask drill failover [--short] [--loopback|--namespaces]`.
pub(crate) fn command(place: &Workplace, words: &[&str]) -> Result<(), Failure> {
    let (mut extent, mut wish) = (Extent::Full, None);
    for word in words {
        match *word {
            "--short" => extent = Extent::Short,
            "--loopback" => wish = Some(Kind::Loopback),
            "--namespaces" => wish = Some(Kind::Namespaces),
            _ => return Err(Failure::new(format!("the drill knows no `{word}`"))),
        }
    }
    place.build_programs()?;
    drill(place, extent, wish)
}

/// Runs the drill and prints what each fault cost.
pub(crate) fn drill(place: &Workplace, extent: Extent, wish: Option<Kind>) -> Result<(), Failure> {
    let mut drill = Drill::new(place, wish)?;
    for strike in extent.strikes(drill.network.kind).iter().copied() {
        drill.strike(strike).map_err(|failure| {
            let (databases, servers) = (drill.cluster.last_words(), drill.operators.last_words());
            Failure::new(format!("{failure}\n{databases}{servers}"))
        })?;
    }
    Ok(())
}

impl<'p> Drill<'p> {
    fn new(place: &'p Workplace, wish: Option<Kind>) -> Result<Self, Failure> {
        let account = Account::find(place)?;
        let programs = Programs::find(place)?;
        packages::cluster(place)?;
        let folder = Folder::new(place, account, "drill")?;
        // Machines of other accounts pass through to their own folders.
        place.call("chmod").word("0711").word(&folder.path).pass()?;
        let mut network = Network::new(place, account, wish)?;
        let began = Instant::now();
        let cluster = Cluster::start(place, account, programs, &mut network, &folder.path, NODES)?;
        println!(
            "{NODES} databases stand after {:.1} s, on {}",
            began.elapsed().as_secs_f64(),
            network.kind.words()
        );
        let machines = [network.machine("tpw1")?, network.machine("tpw2")?];
        let operators = Operators::start(place, &cluster, machines, &folder.path)?;
        println!("the first server answers after {:.1} s", began.elapsed().as_secs_f64());
        let writers = Writers::start(place, &cluster, &folder.path)?;
        writers.resumed(LOAD_TIME)?;
        Ok(Self { writers, operators, cluster, network, folder, place, towns: 0 })
    }

    /// One fault under load: before it everything is whole, after it everything is counted.
    fn strike(&mut self, strike: Strike) -> Result<(), Failure> {
        self.cluster.settled(REJOIN_TIME_MAX)?;
        self.towns += 1;
        let (operators, folder) = (&self.operators, &self.folder.path);
        let mut town = Town::start(self.place, operators, folder, self.towns, PAYMENTS)?;
        town.under_way()?;
        let at = Instant::now();
        let what = match strike {
            Strike::KillPrimary => self.kill_primary()?,
            Strike::CutPrimary => self.cut_primary()?,
            Strike::KillServer | Strike::CutServer => self.strike_server(strike)?,
        };
        let counted = town.counted()?;
        let leader = self.cluster.settled(REJOIN_TIME_MAX)?;
        let written = self.writers.check(&self.cluster, leader)?;
        println!(
            "{what}; {} payments counted, none lost, none twice; the longest took {:.1} s; \
             {written} plain writes acknowledged, none lost, the longest pause {:.1} s; {:.0} s in all",
            counted.payments,
            counted.longest.as_secs_f64(),
            self.writers.outage(at).as_secs_f64(),
            at.elapsed().as_secs_f64()
        );
        Ok(())
    }

    /// Kills the primary with its Patroni; the machine comes back when another one has taken over.
    fn kill_primary(&mut self) -> Result<String, Failure> {
        let old = self.cluster.settled(REJOIN_TIME_MAX)?;
        let at = Instant::now();
        self.cluster.kill_node(old)?;
        let promoted = self.promoted(old, at)?;
        self.writers.resumed(PROMOTION_TIME_MAX)?;
        self.cluster.start_node(old)?;
        let name = &self.cluster.node(old)?.machine.name;
        Ok(format!("primary {name} killed, replaced after {promoted:.1} s"))
    }

    /// Cuts the primary off from everything else; it must not acknowledge anything by itself.
    fn cut_primary(&self) -> Result<String, Failure> {
        let old = self.cluster.settled(REJOIN_TIME_MAX)?;
        let node = self.cluster.node(old)?;
        let pids = node.pids();
        let at = Instant::now();
        self.network.cut(&node.machine, &pids)?;
        let wired = self.network.kind == Kind::Namespaces;
        let deposed = wired.then(|| self.deposed(old)).transpose()?;
        let promoted = self.promoted(old, at)?;
        self.writers.resumed(PROMOTION_TIME_MAX)?;
        if let Some(mut write) = deposed
            && write.wait().is_ok_and(|status| status.success())
        {
            return Err(Failure::new("LOST: the primary that was cut off acknowledged a write"));
        }
        self.network.join(&node.machine, &pids)?;
        let word = if wired { "cut off" } else { "stopped in its tracks" };
        Ok(format!("primary {} {word}, replaced after {promoted:.1} s", node.machine.name))
    }

    /// A write on the machine that is cut off: it waits for a confirmation that cannot come, or is refused.
    fn deposed(&self, old: usize) -> Result<Child, Failure> {
        let call = self.cluster.sql(old)?;
        let log = self.cluster.log(old)?;
        call.words(&["-d", ROLE, "-c", "INSERT INTO public.drill VALUES (0, -1)"])
            .background(&log, &log)
    }

    /// Waits for another primary; the seconds since `at`.
    fn promoted(&self, old: usize, at: Instant) -> Result<f64, Failure> {
        wait::until("new primary", PROMOTION_TIME_MAX, || Ok(self.cluster.leader(&[old])))?;
        Ok(at.elapsed().as_secs_f64())
    }

    /// Kills the server at work, or cuts it off; the one that stands by takes over.
    fn strike_server(&self, strike: Strike) -> Result<String, Failure> {
        let found = || self.operators.at_work(&self.cluster);
        let old = wait::until("server at work", LOAD_TIME, found)?;
        let server = self.operators.servers.get(old).ok_or_else(|| Failure::new("no server"))?;
        let at = Instant::now();
        let word = match strike {
            Strike::CutServer => {
                self.network.cut(&server.machine, &[])?;
                "cut off"
            }
            _ => {
                server.kill(self.place)?;
                "killed"
            }
        };
        wait::until("server that takes over", PROMOTION_TIME_MAX, || {
            Ok(found()?.filter(|now| *now != old))
        })?;
        let took = at.elapsed().as_secs_f64();
        self.network.join(&server.machine, &[])?;
        Ok(format!("server {} {word}, replaced after {took:.1} s", server.machine.name))
    }
}
