//! Parts of the work by themselves, to know their share: hashing, one signature check, an account in memory.

use crate::error::BenchError;
use crate::workload::{Item, Leg, Shape, Workload};
use std::hint::black_box;
use tpw_core::{AccountId, Amount, Asset, Hash32, Instant};
use tpw_crypto::{Algorithm, Signer as _, SlotName, SoftwareSlots, sha256_parts};
use tpw_engines::entropy::OsEntropy;
use tpw_ledger::{AccountKind, Ledger, Limits, NewAccount, Operation, TransferRow};

/// The time of the parts that need one, in Unix milliseconds.
const NOW_MS: u64 = 1_795_000_000_000;
/// How many signatures are checked to know what one takes.
const SIGNATURES: u32 = 2_000;
/// Length of what is signed: as long as an intent.
const SIGNED_LEN: usize = 300;
/// How many accounts are opened before their rows are taken away as if stored.
const OPENED_AT_ONCE: u64 = 8_192;

/// Processor time of this thread so far, in microseconds; zero where the system does not tell.
fn thread_cpu_us() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let told = text.split_whitespace().next().and_then(|ns| ns.parse::<u64>().ok());
    number(told.unwrap_or(0)) / 1000.0
}

/// Runs `work` and returns what it took of the processor for each of `count`, in microseconds.
fn each_us(count: u64, work: impl FnOnce()) -> f64 {
    let before = thread_cpu_us();
    work();
    (thread_cpu_us() - before) / number(count.max(1))
}

/// What the generator of the workload takes for each row, in microseconds.
#[must_use]
pub fn generator_us(shape: Shape, accounts: u32) -> f64 {
    const BATCHES: u64 = 40;
    let mut work = Workload::new(1, shape, accounts);
    let mut rows = 0_u64;
    let before = thread_cpu_us();
    for _ in 0..BATCHES {
        let batch = work.batch(8_190, NOW_MS);
        rows = rows.saturating_add(batch.transfers);
        let _used = black_box(batch);
    }
    (thread_cpu_us() - before) / number(rows.max(1))
}

/// What the ledger's rules and chains take for each row without a store, in microseconds: the workload applied in
/// memory, its changes taken away after each batch.
///
/// # Errors
/// [`BenchError::Ledger`] when the ledger refuses what the workload asks.
pub fn ledger_us(shape: Shape, accounts: u32) -> Result<f64, BenchError> {
    const BATCHES: u64 = 30;
    let (asset, now) = (asset()?, Instant::from_unix_ms(NOW_MS).unwrap_or(Instant::MAX));
    let mut ledger = Ledger::new();
    for place in 0..u64::from(accounts) {
        // The only kind that needs no money to give some.
        let new = new_account(account_id(place), asset, AccountKind::Issuance);
        ledger.apply(Operation::Open(new), now)?;
    }
    let mut work = Workload::new(1, shape, accounts);
    let (mut rows, mut cpu_us) = (0_u64, 0.0);
    for _ in 0..BATCHES {
        let batch = work.batch(8_190, NOW_MS);
        let mut repeats = batch.repeats.iter().map(|(place, _)| *place).peekable();
        let before = thread_cpu_us();
        for (place, item) in batch.items.iter().enumerate() {
            // The ledger itself keeps no list of ids.
            if repeats.next_if_eq(&place).is_none() {
                apply(&mut ledger, item, asset, now)?;
            }
        }
        let _stored = black_box(ledger.take_changes());
        cpu_us += thread_cpu_us() - before;
        rows = rows.saturating_add(batch.transfers);
    }
    Ok(cpu_us / number(rows.max(1)))
}

fn apply(ledger: &mut Ledger, item: &Item, asset: Asset, now: Instant) -> Result<(), BenchError> {
    let request = |leg: &Leg| leg.request(asset);
    match *item {
        Item::Plain(leg) => ledger.apply(Operation::Transfer(&[request(&leg)]), now)?,
        Item::Pair(first, second) => {
            ledger.apply(Operation::Transfer(&[request(&first), request(&second)]), now)?
        }
        Item::Hold(leg) => {
            let (request, expires) = (request(&leg), Instant::MAX);
            ledger.apply(Operation::Hold { request, expires }, now)?
        }
        Item::Post { hold, id, amount } => {
            let amount = Some(Amount::from_minor(amount.into()));
            ledger.apply(Operation::Post { hold: hold.id, id, amount }, now)?
        }
        Item::Void { hold, id } => ledger.apply(Operation::Void { hold: hold.id, id }, now)?,
    };
    Ok(())
}

fn new_account(id: AccountId, asset: Asset, kind: AccountKind) -> NewAccount {
    NewAccount { id, asset, kind, owner: None, limits: Limits::NONE }
}

/// What the two links of a row's chains and the row's part of a log entry take, in microseconds: the same hashes over
/// as many bytes, and nothing else.
#[must_use]
pub fn hashing_us() -> f64 {
    const BATCHES: u64 = 25;
    const ROWS: u64 = 8_190;
    let row = [7_u8; TransferRow::LINKED_LEN];
    let mut head = Hash32::ZERO;
    each_us(BATCHES.saturating_mul(ROWS), || {
        for _ in 0..BATCHES {
            let mut all = Vec::new();
            for _ in 0..ROWS {
                for side in [b"D", b"C"] {
                    let parts: [&[u8]; 4] =
                        [TransferRow::CHAIN_PREFIX, head.as_bytes(), side, &row];
                    head = Hash32::new(sha256_parts(&parts));
                }
                all.extend_from_slice(&row);
            }
            // One entry of the log commits to all rows of a command.
            head = Hash32::new(sha256_parts(&[head.as_bytes(), &all]));
        }
        let _used = black_box(head);
    })
}

/// What checking the signature of one payment takes, in microseconds.
///
/// # Errors
/// [`BenchError::Flow`] when the keys cannot be made or the signature does not hold.
pub fn signature_us() -> Result<f64, BenchError> {
    let crypto = |error: tpw_crypto::CryptoError| BenchError::Flow(error.into());
    let mut slots = SoftwareSlots::new();
    let slot = SlotName::new("payer").map_err(crypto)?;
    let key = slots.generate(slot.clone(), Algorithm::Ed25519, &mut OsEntropy).map_err(crypto)?;
    let message = [7_u8; SIGNED_LEN];
    let signature = slots.sign(&slot, &message).map_err(crypto)?;
    let mut held = Ok(());
    let took = each_us(SIGNATURES.into(), || {
        for _ in 0..SIGNATURES {
            held = held.clone().and_then(|()| key.verify(black_box(&message), &signature));
        }
    });
    held.map_err(crypto)?;
    Ok(took)
}

/// Memory of this process that no file stands behind, in bytes; zero where the system does not tell.
#[must_use]
pub fn memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// What each of so many accounts takes in the ledger, in bytes. To be asked of a process that has done nothing else.
///
/// # Errors
/// [`BenchError::Ledger`].
pub fn ledger_bytes_per_account(accounts: u64) -> Result<f64, BenchError> {
    let (asset, now) = (asset()?, Instant::MAX);
    let before = memory_bytes();
    let mut ledger = Ledger::new();
    for place in 0..accounts {
        let id = account_id(place);
        ledger.apply(Operation::Open(new_account(id, asset, AccountKind::Custodial)), now)?;
        if place.checked_rem(OPENED_AT_ONCE) == Some(0) {
            let _stored = ledger.take_changes();
        }
    }
    let _stored = ledger.take_changes();
    let after = memory_bytes();
    let _used = black_box(ledger.next_number());
    Ok(number(after.saturating_sub(before)) / number(accounts.max(1)))
}

/// The asset of all amounts.
///
/// # Errors
/// Never: it is one.
pub fn asset() -> Result<Asset, BenchError> {
    "USD/2".parse().map_err(|_| BenchError::Check("`USD/2` is no asset".to_owned()))
}

/// The id of the account with this number: the same in every run, so that a folder can be opened again.
#[must_use]
pub fn account_id(place: u64) -> AccountId {
    let mut random = [0; 10];
    for (to, from) in random.iter_mut().skip(2).zip(place.to_be_bytes()) {
        *to = from;
    }
    AccountId::new(NOW_MS, random)
}

#[expect(clippy::cast_precision_loss, reason = "counts of any benchmark fit a double exactly")]
fn number(value: u64) -> f64 {
    value as f64
}
