//! The peers: what PostgreSQL does with the usual designs, driven by its own `pgbench`.

use crate::cluster::Cluster;
use crate::error::BenchError;
use crate::workload::Shape;
use serde::Serialize;

/// The tables and the function of the peer with row locks.
const ROW_LOCKS: &str = include_str!("../sql/row_locks.sql");
/// What each of its clients does over and over.
const ROW_LOCKS_SCRIPT: &str = include_str!("../sql/row_locks.pgbench");
/// A hundred thousand rows for each step of scale.
const TPCB_SCALE: &str = "10";
const TPCB_DATABASE: &str = "tpcb";
const ROW_LOCKS_DATABASE: &str = "row_locks";
/// Clients of a peer that is given all it can take.
pub const CLIENTS: u32 = 32;

/// What a peer did.
#[derive(Clone, Copy, PartialEq, Serialize, Debug)]
pub struct Peer {
    /// Transactions per second.
    pub per_s: f64,
    /// The mean time of one, in milliseconds.
    pub mean_ms: f64,
    /// Processor time of the server for one, in microseconds.
    pub server_cpu_us: f64,
}

/// Fills the tables of `pgbench`.
///
/// # Errors
/// [`BenchError::Program`].
pub fn prepare_tpcb(cluster: &Cluster) -> Result<(), BenchError> {
    cluster.fresh(TPCB_DATABASE)?;
    cluster.pgbench(&["--initialize", "--quiet", "--scale", TPCB_SCALE, TPCB_DATABASE])?;
    Ok(())
}

/// The built-in script of `pgbench`, which is like TPC-B: three updates, a select and an insert.
///
/// # Errors
/// [`BenchError::Program`]; [`BenchError::Check`] when its words are not understood.
pub fn tpcb(cluster: &Cluster, clients: u32, seconds: u64) -> Result<Peer, BenchError> {
    measure(cluster, TPCB_DATABASE, clients, seconds, &[])
}

/// Our own function with row locks, on tables that are made anew; checks its books at the end.
///
/// # Errors
/// As [`tpcb`]; [`BenchError::Check`] when money was lost or made.
pub fn row_locks(
    cluster: &Cluster,
    shape: Shape,
    clients: u32,
    seconds: u64,
) -> Result<Peer, BenchError> {
    prepare_row_locks(cluster)?;
    let script = cluster.socket().join("row_locks.pgbench");
    std::fs::write(&script, ROW_LOCKS_SCRIPT).map_err(BenchError::io("write", &script))?;
    let script = script.display().to_string();
    let hot = if shape == Shape::Hot { "hot=1" } else { "hot=0" };
    let words = ["--no-vacuum", "--define", "n=0", "--define", hot, "--file", &script];
    let peer = measure(cluster, ROW_LOCKS_DATABASE, clients, seconds, &words)?;
    let balanced = cluster.sql(
        ROW_LOCKS_DATABASE,
        "SELECT sum(debits) = sum(credits - opening) AND sum(debits) = (SELECT sum(amount) FROM transfer) FROM account",
    )?;
    if balanced == "t" {
        return Ok(peer);
    }
    Err(BenchError::Check("the books of the peer with row locks do not balance".to_owned()))
}

/// Makes the tables and the function of [`row_locks`].
///
/// # Errors
/// [`BenchError::Program`].
pub fn prepare_row_locks(cluster: &Cluster) -> Result<(), BenchError> {
    cluster.fresh(ROW_LOCKS_DATABASE)?;
    cluster.sql(ROW_LOCKS_DATABASE, ROW_LOCKS).map(|_said| ())
}

fn measure(
    cluster: &Cluster,
    database: &str,
    clients: u32,
    seconds: u64,
    more: &[&str],
) -> Result<Peer, BenchError> {
    // What an earlier part left to be written is not this one's to pay.
    cluster.sql(database, "CHECKPOINT")?;
    let (clients, seconds) = (clients.to_string(), seconds.to_string());
    let jobs = if clients == "1" { "1" } else { "2" };
    let mut words = vec!["--client", &clients, "--jobs", jobs, "--protocol", "prepared", "--time"];
    words.push(&seconds);
    words.extend(more);
    words.push(database);
    let before = cluster.cpu_s();
    let said = cluster.pgbench(&words)?;
    let cpu_s = cluster.cpu_s() - before;
    read(&said, cpu_s).ok_or_else(|| BenchError::Check(format!("pgbench said `{said}`")))
}

fn read(said: &str, cpu_s: f64) -> Option<Peer> {
    let behind = |start: &str| {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(start))?;
        line.split([' ', '/']).next()?.parse::<f64>().ok()
    };
    let done = behind("number of transactions actually processed: ").filter(|done| *done > 0.0)?;
    Some(Peer {
        per_s: behind("tps = ")?,
        mean_ms: behind("latency average = ")?,
        server_cpu_us: 1_000_000.0 * cpu_s / done,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_pgbench_are_read() {
        let said = "number of transactions actually processed: 5000\n\
                    number of failed transactions: 0 (0.000%)\nlatency average = 6.5 ms\n\
                    initial connection time = 20 ms\ntps = 4900.25 (without initial connection time)\n";
        let peer = Peer { per_s: 4900.25, mean_ms: 6.5, server_cpu_us: 200.0 };
        assert_eq!(read(said, 1.0), Some(peer));
        assert_eq!(read("tps = 1\n", 1.0), None);
    }
}
