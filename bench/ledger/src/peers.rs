//! The peers: what PostgreSQL does with the usual designs, driven by its own `pgbench`.

use crate::cluster::Cluster;
use crate::error::BenchError;
use serde::Serialize;

/// The tables and the function of the lean peer with row locks.
const LEAN: &str = include_str!("../sql/row_locks_lean.sql");
/// What each of its clients does over and over.
const LEAN_SCRIPT: &str = include_str!("../sql/row_locks_lean.pgbench");
/// A hundred thousand rows for each step of scale.
const TPCB_SCALE: &str = "10";
const TPCB_DATABASE: &str = "tpcb";
const LEAN_DATABASE: &str = "row_locks_lean";
/// Clients of a peer that is given all it can take.
pub const CLIENTS: u32 = 32;

/// What a peer did.
#[derive(Clone, Copy, PartialEq, Serialize, Debug)]
pub struct Peer {
    /// Transactions per second; of the peer with our workload, rows of transfers per second.
    pub per_s: f64,
    /// The mean time of one call, in milliseconds.
    pub mean_ms: f64,
    /// Processor time of the server for one of what `per_s` counts, in microseconds.
    pub server_cpu_us: f64,
}

/// What `pgbench` told of a run, and what the server took for it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Told {
    /// Transactions; each is one call of a script.
    pub(crate) transactions: f64,
    /// Of them per second.
    pub(crate) per_s: f64,
    /// The mean time of one, in milliseconds.
    pub(crate) mean_ms: f64,
    /// Processor seconds of the server.
    pub(crate) server_cpu_s: f64,
}

impl Told {
    /// Counted by transactions.
    fn peer(self) -> Peer {
        self.peer_of(self.transactions)
    }

    /// Counted by something else, of which there were so many.
    pub(crate) fn peer_of(self, made: f64) -> Peer {
        let seconds = self.transactions / self.per_s;
        Peer {
            per_s: made / seconds,
            mean_ms: self.mean_ms,
            server_cpu_us: 1e6 * self.server_cpu_s / made,
        }
    }
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
    checkpoint(cluster, TPCB_DATABASE)?;
    Ok(timed(cluster, TPCB_DATABASE, clients, seconds, &[])?.peer())
}

/// The lean peer with row locks, plain transfers alone, on tables that are made anew; checks its books at the end.
///
/// # Errors
/// As [`tpcb`]; [`BenchError::Check`] when money was lost or made.
pub fn row_locks_lean(cluster: &Cluster, clients: u32, seconds: u64) -> Result<Peer, BenchError> {
    prepare_row_locks_lean(cluster)?;
    let script = script(cluster, "row_locks_lean.pgbench", LEAN_SCRIPT)?;
    let words = ["--no-vacuum", "--define", "n=0", "--file", &script];
    checkpoint(cluster, LEAN_DATABASE)?;
    let told = timed(cluster, LEAN_DATABASE, clients, seconds, &words)?;
    let balanced = cluster.sql(
        LEAN_DATABASE,
        "SELECT sum(debits) = sum(credits - opening) AND sum(debits) = (SELECT sum(amount) FROM transfer) FROM account",
    )?;
    if balanced == "t" {
        return Ok(told.peer());
    }
    Err(BenchError::Check("the books of the lean peer with row locks do not balance".to_owned()))
}

/// Makes the tables and the function of [`row_locks_lean`].
///
/// # Errors
/// [`BenchError::Program`].
pub fn prepare_row_locks_lean(cluster: &Cluster) -> Result<(), BenchError> {
    cluster.fresh(LEAN_DATABASE)?;
    cluster.sql(LEAN_DATABASE, LEAN).map(|_said| ())
}

/// Puts a script where `pgbench` finds it.
pub(crate) fn script(cluster: &Cluster, name: &str, text: &str) -> Result<String, BenchError> {
    let path = cluster.socket().join(name);
    std::fs::write(&path, text).map_err(BenchError::io("write", &path))?;
    Ok(path.display().to_string())
}

/// What an earlier part left to be written is not the next one's to pay.
pub(crate) fn checkpoint(cluster: &Cluster, database: &str) -> Result<(), BenchError> {
    cluster.sql(database, "CHECKPOINT").map(|_said| ())
}

/// How every peer is driven: so many clients, each call prepared once.
pub(crate) fn driven(clients: u32) -> Vec<String> {
    let jobs = if clients == 1 { "1" } else { "2" };
    let clients = clients.to_string();
    let words = ["--client", &clients, "--jobs", jobs, "--protocol", "prepared"];
    words.iter().map(|&word| word.to_owned()).collect()
}

pub(crate) fn timed(
    cluster: &Cluster,
    database: &str,
    clients: u32,
    seconds: u64,
    more: &[&str],
) -> Result<Told, BenchError> {
    let mut words = driven(clients);
    words.extend(["--time".to_owned(), seconds.to_string()]);
    words.extend(more.iter().map(|&word| word.to_owned()));
    words.push(database.to_owned());
    let before = cluster.cpu_s();
    let said = cluster.pgbench(&words)?;
    let server_cpu_s = cluster.cpu_s() - before;
    read(&said, server_cpu_s).ok_or_else(|| BenchError::Check(format!("pgbench said `{said}`")))
}

fn read(said: &str, server_cpu_s: f64) -> Option<Told> {
    let behind = |start: &str| {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(start))?;
        line.split([' ', '/']).next()?.parse::<f64>().ok()
    };
    let more_than_none = |number: &f64| *number > 0.0;
    Some(Told {
        transactions: behind("number of transactions actually processed: ")
            .filter(more_than_none)?,
        per_s: behind("tps = ").filter(more_than_none)?,
        mean_ms: behind("latency average = ")?,
        server_cpu_s,
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
        let told = read(said, 1.0).unwrap();
        assert_eq!(told.peer(), Peer { per_s: 4900.25, mean_ms: 6.5, server_cpu_us: 200.0 });
        assert_eq!(read("tps = 1\n", 1.0), None);
        assert_eq!(read(&said.replace("4900.25", "0"), 1.0), None);
    }

    #[test]
    fn rows_are_counted_in_the_same_time_as_transactions() {
        let told = Told { transactions: 5_000.0, per_s: 1_000.0, mean_ms: 6.5, server_cpu_s: 1.0 };
        let peer = Peer { per_s: 1_100.0, mean_ms: 6.5, server_cpu_us: 1e6 / 5_500.0 };
        assert_eq!(told.peer_of(5_500.0), peer);
    }
}
