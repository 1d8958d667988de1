//! `cargo xtask drill failover`: the primary is killed, then another is cut off, under load; nothing that was
//! acknowledged may be missing afterwards, and those who write go on by themselves.

use std::process::Child;
use std::time::{Duration, Instant};

use super::account::Account;
pub(crate) use super::nodes::Kind;
use super::nodes::Network;
use super::packages::{self, Programs};
use super::patroni::{Cluster, ROLE};
use super::postgres::Folder;
use super::wait;
use super::writers::Writers;
use crate::shell::{Failure, Workplace};

const NODES: usize = 3;
/// Writing before and after each fault.
const LOAD_TIME: Duration = Duration::from_secs(3);
const PROMOTION_TIME_MAX: Duration = Duration::from_secs(60);
const REJOIN_TIME_MAX: Duration = Duration::from_secs(90);

/// What one fault came to.
struct Fault {
    what: String,
    promoted: Duration,
    outage: Duration,
    acknowledged: usize,
}

/// Runs the drill and prints what each fault cost.
pub(crate) fn drill(place: &Workplace, wish: Option<Kind>) -> Result<(), Failure> {
    let account = Account::find(place)?;
    let programs = Programs::find(place)?;
    packages::cluster(place)?;
    let folder = Folder::new(place, account, "drill")?;
    // Machines of other accounts pass through to their own folders.
    place.call("chmod").word("0711").word(&folder.path).pass()?;
    let mut network = Network::new(place, account, wish)?;
    println!("machines: {:?}", network.kind);
    let began = Instant::now();
    let mut cluster = Cluster::start(place, account, programs, &mut network, &folder.path, NODES)?;
    println!("{NODES} nodes stand after {:.1} s", began.elapsed().as_secs_f64());
    let writers = Writers::start(place, &cluster, &folder.path)?;
    writers.resumed(LOAD_TIME)?;
    let mut faults = Vec::new();
    let done = killed(&mut cluster, &writers, &mut faults)
        .and_then(|()| cut_off(&cluster, &network, &writers, &mut faults));
    for fault in &faults {
        println!(
            "{}: promoted after {:.1} s, nothing acknowledged for {:.1} s, {} acknowledged, 0 lost",
            fault.what,
            fault.promoted.as_secs_f64(),
            fault.outage.as_secs_f64(),
            fault.acknowledged
        );
    }
    done.map_err(|failure| Failure::new(format!("{failure}\n{}", cluster.last_words())))
}

/// Kills the primary with its Patroni.
fn killed(
    cluster: &mut Cluster<'_>,
    writers: &Writers,
    faults: &mut Vec<Fault>,
) -> Result<(), Failure> {
    let old = cluster.settled(REJOIN_TIME_MAX)?;
    wait::pause(LOAD_TIME);
    let at = Instant::now();
    cluster.kill_node(old)?;
    let what = format!("primary {} killed", cluster.node(old)?.machine.name);
    faults.push(after(cluster, writers, what, old, at)?);
    cluster.start_node(old)?;
    cluster.settled(REJOIN_TIME_MAX)?;
    Ok(())
}

/// Cuts the primary off from everything else; it must not acknowledge anything by itself.
fn cut_off(
    cluster: &Cluster<'_>,
    network: &Network<'_>,
    writers: &Writers,
    faults: &mut Vec<Fault>,
) -> Result<(), Failure> {
    let old = cluster.settled(REJOIN_TIME_MAX)?;
    wait::pause(LOAD_TIME);
    let node = cluster.node(old)?;
    let pids = node.pids();
    let at = Instant::now();
    network.cut(&node.machine, &pids)?;
    let word = if network.kind == Kind::Namespaces { "cut off" } else { "stopped in its tracks" };
    let what = format!("primary {} {word}", node.machine.name);
    let deposed = (network.kind == Kind::Namespaces).then(|| deposed(cluster, old)).transpose()?;
    let fault = after(cluster, writers, what, old, at)?;
    if let Some(mut write) = deposed
        && write.wait().is_ok_and(|status| status.success())
    {
        return Err(Failure::new("LOST: the primary that was cut off acknowledged a write"));
    }
    network.join(&node.machine, &pids)?;
    let leader = cluster.settled(REJOIN_TIME_MAX)?;
    writers.check(cluster, leader)?;
    faults.push(fault);
    Ok(())
}

/// A write on the machine that is cut off: it waits for a confirmation that cannot come, or is refused.
fn deposed(cluster: &Cluster<'_>, old: usize) -> Result<Child, Failure> {
    let call = cluster.sql(old)?.words(&["-d", ROLE, "-c", "INSERT INTO drill VALUES (0, -1)"]);
    call.background(&cluster.log(old)?)
}

/// Waits for the new primary and for every writer, and looks for what was acknowledged.
fn after(
    cluster: &Cluster<'_>,
    writers: &Writers,
    what: String,
    old: usize,
    at: Instant,
) -> Result<Fault, Failure> {
    let leader = wait::until("new primary", PROMOTION_TIME_MAX, || Ok(cluster.leader(&[old])))?;
    let promoted = at.elapsed();
    writers.resumed(PROMOTION_TIME_MAX)?;
    wait::pause(LOAD_TIME);
    let acknowledged = writers.check(cluster, leader)?;
    Ok(Fault { what, promoted, outage: writers.outage(at), acknowledged })
}
