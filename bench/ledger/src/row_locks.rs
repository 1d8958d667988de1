//! The peer that does the engine's own workload: a ledger in SQL with locks on rows, one function for each operation.
//!
//! `sql/row_locks.sql` is its design, `sql/row_locks.pgbench` what each client sends. A client is one of
//! [`CLIENTS`](crate::peers::CLIENTS), so [`HOLD_LIFE`] of its own orders are as many of all as the engine's workload has
//! between a hold and its end.

use crate::cluster::Cluster;
use crate::error::BenchError;
use crate::peers::{self, Peer};
use crate::workload::Shape;

/// The tables, the functions and a history of 300,000 transfers.
const DESIGN: &str = include_str!("../sql/row_locks.sql");
/// What each client does over and over: one order.
const SCRIPT: &str = include_str!("../sql/row_locks.pgbench");
/// Whether the books balance, in one word.
const CHECK: &str = include_str!("../sql/row_locks_check.sql");
/// The database that each run gets a copy of.
pub const FILLED: &str = "row_locks_filled";
/// The database of the newest run.
pub const DATABASE: &str = "row_locks";
/// How many orders of a client lie between a hold and its end: 512, and on to a place of the script at which holds end.
pub const HOLD_LIFE: u32 = 515;

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Orders {
    shape: Shape,
    /// How many each client has sent before.
    before: u32,
    /// Of a hundred, so many are sent again.
    repeats: u32,
}

/// Makes the design with its history, once for all runs.
///
/// # Errors
/// [`BenchError::Program`].
pub fn prepare(cluster: &Cluster) -> Result<(), BenchError> {
    cluster.fresh(FILLED)?;
    cluster.sql(FILLED, DESIGN)?;
    cluster.sql(FILLED, "VACUUM ANALYZE").map(|_said| ())
}

/// Sends our workload for so many seconds to a copy of what [`prepare`] made; checks its books at the end. Counts rows of transfers that were made,
/// as for the engine: an order that is sent again makes none, a pair two.
///
/// # Errors
/// [`BenchError::Program`] also for an answer that is not the right one; [`BenchError::Check`] when money was lost or made.
pub fn measure(
    cluster: &Cluster,
    shape: Shape,
    clients: u32,
    seconds: u64,
) -> Result<Peer, BenchError> {
    cluster.copy(FILLED, DATABASE)?;
    // Before the first orders, not behind them: PostgreSQL writes a page whole to its log when it is first changed after
    // this. That is not in the engine's measured time on PostgreSQL either.
    peers::checkpoint(cluster, DATABASE)?;
    let script = peers::script(cluster, "row_locks.pgbench", SCRIPT)?;
    warm_up(cluster, &script, shape, clients)?;
    let before = rows(cluster)?;
    let orders = Orders { shape, before: HOLD_LIFE, repeats: 1 };
    let words = orders.words(&script);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let told = peers::timed(cluster, DATABASE, clients, seconds, &words)?;
    let made = rows(cluster)? - before;
    if made > 0.0 && cluster.sql(DATABASE, CHECK)? == "t" {
        return Ok(told.peer_of(made));
    }
    Err(BenchError::Check("the books of the peer with row locks do not balance".to_owned()))
}

/// Each client's first orders, so that then as many holds end as begin. They are not measured and wait for no disk.
fn warm_up(cluster: &Cluster, script: &str, shape: Shape, clients: u32) -> Result<(), BenchError> {
    let mut words = peers::driven(clients);
    words.extend(["--transactions".to_owned(), HOLD_LIFE.to_string()]);
    words.extend(Orders { shape, before: 0, repeats: 0 }.words(script));
    words.push(format!("dbname={DATABASE} options='-c synchronous_commit=off'"));
    cluster.pgbench(&words).map(|_said| ())
}

impl Orders {
    /// For `pgbench`, with the script at this path.
    fn words(self, script: &str) -> Vec<String> {
        let hot = u32::from(self.shape == Shape::Hot);
        let (before, repeats) = (self.before, self.repeats);
        let mut words = vec!["--no-vacuum".to_owned(), "--file".to_owned(), script.to_owned()];
        for (name, value) in
            [("n", before), ("repeats", repeats), ("life", HOLD_LIFE), ("hot", hot)]
        {
            words.extend(["--define".to_owned(), format!("{name}={value}")]);
        }
        words
    }
}

fn rows(cluster: &Cluster) -> Result<f64, BenchError> {
    let said = cluster.sql(DATABASE, "SELECT count(*) FROM transfer")?;
    said.parse().map_err(|_| BenchError::Check(format!("psql said `{said}`")))
}
