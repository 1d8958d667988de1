//! The peer: the design that comes to mind first, on the same machine and disk.
//!
//! For each payment: check the Ed25519 signature, then one SQLite transaction with full sync that notes the id, takes
//! from one row and adds to another. No network, no TLS, no screening, no log, no time-stamp, no receipt: it is in
//! process and has every advantage but the design's.

use crate::error::ReplayError;
use crate::latency::Latency;
use crate::make::Dice;
use crate::say::per_second;
use rusqlite::{Connection, TransactionBehavior, params};
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};
use tpw_crypto::{Algorithm, Signer as _, SlotName, SoftwareSlots};
use tpw_engines::entropy::OsEntropy;

const ACCOUNTS: u64 = 2_000;
/// Signed messages that are paid over and over, each time under another id.
const MESSAGES: usize = 512;

/// What the peer did.
#[derive(Clone, Copy, Serialize, Debug)]
pub struct Naive {
    /// Payments per second.
    pub per_s: f64,
    /// Threads, each with its own connection.
    pub threads: usize,
    /// Of each payment.
    pub latency: Latency,
}

fn open(path: &Path) -> Result<Connection, ReplayError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

fn prepare(path: &Path) -> Result<(), ReplayError> {
    let mut connection = open(path)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0));
         CREATE TABLE IF NOT EXISTS payment (
             id INTEGER PRIMARY KEY, payer INTEGER NOT NULL, payee INTEGER NOT NULL, amount INTEGER NOT NULL);",
    )?;
    let transaction = connection.transaction()?;
    for id in 0..ACCOUNTS {
        let sql = "INSERT OR IGNORE INTO account VALUES (?1, 1000000000)";
        transaction.execute(sql, params![i64::try_from(id).unwrap_or(0)])?;
    }
    Ok(transaction.commit()?)
}

/// Pays for `time` with one thread per core.
///
/// # Errors
/// [`ReplayError::Peer`].
pub fn measure(path: &Path, time: Duration) -> Result<Naive, ReplayError> {
    prepare(path)?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let began = Instant::now();
    let all: Vec<Result<Vec<Duration>, ReplayError>> = std::thread::scope(|scope| {
        let spawned: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || pay(path, time, thread))).collect();
        let lost = || Err(ReplayError::Check("a thread of the peer ended early".to_owned()));
        spawned.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
    });
    let wall = began.elapsed().as_secs_f64();
    let mut times = Vec::new();
    for thread in all {
        times.extend(thread?);
    }
    Ok(Naive { per_s: per_second(times.len(), wall), threads, latency: Latency::of(times) })
}

fn pay(path: &Path, time: Duration, thread: usize) -> Result<Vec<Duration>, ReplayError> {
    let mut connection = open(path)?;
    let mut slots = SoftwareSlots::new();
    let slot = SlotName::new("payer")?;
    let key = slots.generate(slot.clone(), Algorithm::Ed25519, &mut OsEntropy)?;
    let mut signed = Vec::with_capacity(MESSAGES);
    for number in 0..MESSAGES {
        // As long as an intent.
        let message = [number.to_be_bytes().as_slice(), &[7; 300]].concat();
        let signature = slots.sign(&slot, &message)?;
        signed.push((message, signature));
    }
    let mut dice = Dice::new(u64::try_from(thread).unwrap_or(0));
    let mut id = next_id(&connection, thread)?;
    let (began, mut times) = (Instant::now(), Vec::new());
    for (message, signature) in signed.iter().cycle() {
        if began.elapsed() >= time {
            break;
        }
        let payer = dice.below(ACCOUNTS);
        let payee = payer.saturating_add(1).checked_rem(ACCOUNTS).unwrap_or(0);
        let due = Instant::now();
        key.verify(message, signature)?;
        one(&mut connection, id, payer, payee)?;
        times.push(due.elapsed());
        id = id.saturating_add(1);
    }
    Ok(times)
}

/// Each thread has its own range of ids, which goes on from round to round.
fn next_id(connection: &Connection, thread: usize) -> Result<i64, ReplayError> {
    let first = i64::try_from(thread).unwrap_or(0).saturating_mul(1_000_000_000_000);
    let last = first.saturating_add(999_999_999_999);
    let sql = "SELECT coalesce(max(id) + 1, ?1) FROM payment WHERE id BETWEEN ?1 AND ?2";
    Ok(connection.query_row(sql, params![first, last], |row| row.get(0))?)
}

fn one(connection: &mut Connection, id: i64, payer: u64, payee: u64) -> Result<(), ReplayError> {
    let (payer, payee) = (i64::try_from(payer).unwrap_or(0), i64::try_from(payee).unwrap_or(0));
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction
        .prepare_cached("INSERT INTO payment VALUES (?1, ?2, ?3, 1)")?
        .execute(params![id, payer, payee])?;
    transaction
        .prepare_cached("UPDATE account SET balance = balance - 1 WHERE id = ?1")?
        .execute(params![payer])?;
    transaction
        .prepare_cached("UPDATE account SET balance = balance + 1 WHERE id = ?1")?
        .execute(params![payee])?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_keeps_money_and_goes_on_after_a_round() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("naive.db");
        let mut paid = 0;
        for _ in 0..2 {
            paid += measure(&path, Duration::from_millis(100)).unwrap().latency.count;
        }
        let connection = open(&path).unwrap();
        let sum: i64 =
            connection.query_row("SELECT sum(balance) FROM account", [], |r| r.get(0)).unwrap();
        let count: i64 =
            connection.query_row("SELECT count(*) FROM payment", [], |r| r.get(0)).unwrap();
        assert_eq!((sum, count), (2_000 * 1_000_000_000, i64::try_from(paid).unwrap()));
        assert!(paid > 0);
    }
}
