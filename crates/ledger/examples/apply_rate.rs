//! Prints how long the ledger takes for a transfer, what share of that is hashing the chains, and how
//! much memory an account takes.
//!
//! Run with `cargo run --release -p tpw-ledger --example apply_rate`. Each figure is the best of several
//! rounds, in time on the processor where the system tells that (Linux), so that other work on the
//! machine shows least. It still shows: in the caches. A word as argument measures only the loads with
//! that word in their names.
#![expect(clippy::print_stdout, reason = "printing is what this example is for")]

use std::error::Error;
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant as Clock;

use tpw_core::{AccountId, AccountSetId, Amount, Asset, Hash32, Instant, Money, Span, TransferId};
use tpw_ledger::{
    AccountKind, Ledger, LedgerError, Limits, Member, Membership, NewAccount, Operation, Side,
    Tier, TransferRequest, TransferRow, Velocity, Watch, WatchAction,
};

const START_MS: u64 = 1_763_806_500_000;
const ACCOUNTS: u64 = 10_000;
const TRANSFERS: u64 = 500_000;
/// How many transfers are taken for storing at once.
const BATCH: u64 = 8_190;
const ROUNDS: usize = 7;

type Done<T> = Result<T, Box<dyn Error>>;

/// A number that looks random and is the same in each run (splitmix64).
fn mixed(number: u64) -> u64 {
    let z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn account(number: u64) -> AccountId {
    let [a, b, c, d, e, f, g, h] = mixed(number).to_be_bytes();
    AccountId::new(START_MS.wrapping_add(number), [a, b, c, d, e, f, g, h, 0, 0])
}

/// A ledger whose account 0 issues and has given each other account the same.
fn ledger(accounts: u64, asset: Asset, now: Instant) -> Done<Ledger> {
    let mut ledger = Ledger::new();
    for number in 0..=accounts {
        let kind = if number == 0 { AccountKind::Issuance } else { AccountKind::Custodial };
        let (id, limits) = (account(number), Limits::NONE);
        let new = NewAccount { id, asset, kind, owner: None, limits };
        ledger.apply(Operation::Open(new), now)?;
        take_each(&mut ledger, number);
    }
    Ok(ledger)
}

fn fund(ledger: &mut Ledger, accounts: u64, asset: Asset, now: Instant) -> Done<()> {
    for number in 1..=accounts {
        let id = TransferId::new(START_MS, number_bytes(u64::MAX - number));
        let money = Money { amount: Amount::from_minor(1 << 60), asset };
        let (debit, credit) = (account(0), account(number));
        let leg = TransferRequest { id, debit, credit, money, effective: None };
        ledger.apply(Operation::Transfer(&[leg]), now)?;
        take_each(ledger, number);
    }
    drop(ledger.take_changes());
    Ok(())
}

fn take_each(ledger: &mut Ledger, number: u64) {
    if number.is_multiple_of(BATCH) {
        drop(ledger.take_changes());
    }
}

fn number_bytes(number: u64) -> [u8; 10] {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    [a, b, c, d, e, f, g, h, 0, 0]
}

/// How money is moved.
#[derive(Clone, Copy)]
enum Way {
    Transfer,
    HoldAndPost,
}

/// Who pays whom.
#[derive(Clone, Copy)]
enum Load {
    Uniform,
    OneHot,
}

fn requests(load: Load, asset: Asset) -> Vec<TransferRequest> {
    let pick = |n: u64| mixed(n).checked_rem(ACCOUNTS).unwrap_or(0);
    let request = |n: u64| {
        let payer = match load {
            Load::Uniform => pick(n),
            Load::OneHot => 0,
        };
        let step = 1 + mixed(!n).checked_rem(ACCOUNTS - 1).unwrap_or(0);
        let payee = (payer + step).checked_rem(ACCOUNTS).unwrap_or(0);
        TransferRequest {
            id: TransferId::new(START_MS + n / 100, number_bytes(n)),
            debit: account(payer + 1),
            credit: account(payee + 1),
            money: Money { amount: Amount::from_minor(u128::from(n % 1000) + 1), asset },
            effective: None,
        }
    };
    (0..TRANSFERS).map(request).collect()
}

static START: LazyLock<Clock> = LazyLock::new(Clock::now);

/// Seconds that this thread was on a processor; where the system does not tell, seconds.
fn seconds() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let on_processor = told.as_deref().and_then(|text| text.split(' ').next());
    match on_processor.and_then(|ns| ns.parse::<u64>().ok()) {
        Some(ns) => ns as f64 / 1e9,
        None => START.elapsed().as_secs_f64(),
    }
}

/// Nanoseconds for each transfer, taking the changes of each batch included.
fn apply(
    ledger: &mut Ledger,
    requests: &[TransferRequest],
    way: Way,
) -> Done<(f64, Vec<TransferRow>)> {
    let mut rows = Vec::new();
    let from = seconds();
    for (n, request) in (1_u64..).zip(requests) {
        let at = Instant::from_unix_ms(START_MS + n / 100).ok_or("a time after the year 9999")?;
        match way {
            Way::Transfer => {
                ledger.apply(Operation::Transfer(core::slice::from_ref(request)), at)?
            }
            // Each hold is posted half a batch later, in place of another hold.
            Way::HoldAndPost if ((n - 1) / (BATCH / 2)).is_multiple_of(2) => {
                let expires = Instant::MAX;
                ledger.apply(Operation::Hold { request: *request, expires }, at)?
            }
            Way::HoldAndPost => {
                let held = usize::try_from(n - 1 - BATCH / 2)?;
                let hold = requests.get(held).ok_or("no hold")?.id;
                ledger.apply(Operation::Post { hold, id: request.id, amount: None }, at)?
            }
        };
        if n.is_multiple_of(BATCH) {
            rows = black_box(ledger.take_changes()).transfers;
        }
    }
    let took = seconds() - from;
    Ok((took * 1e9 / requests.len() as f64, rows))
}

/// Nanoseconds for the two links of each transfer.
fn chains(rows: &[TransferRow]) -> f64 {
    const TIMES: usize = 50; // the system counts in milliseconds
    let from = seconds();
    for row in (0..TIMES).flat_map(|_| rows) {
        black_box(row.link(&Hash32::ZERO, Side::Debit));
        black_box(row.link(&Hash32::ZERO, Side::Credit));
    }
    (seconds() - from) * 1e9 / (TIMES * rows.len()) as f64
}

/// Resident memory of this process in bytes, where the system tells.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

/// Opens many accounts and moves money to each, batch by batch, and sees how the process has grown.
fn memory(asset: Asset, now: Instant) -> Done<()> {
    const MANY: u64 = 1_000_000;
    let before = resident();
    let mut ledger = ledger(MANY, asset, now)?;
    fund(&mut ledger, MANY, asset, now)?;
    match (before, resident()) {
        (Some(before), Some(after)) => {
            let each = (after - before) / MANY as f64;
            println!("memory: {each:.0} bytes for each of {MANY} accounts");
        }
        _ => println!("memory: this system does not tell"),
    }
    drop(ledger);
    Ok(())
}

fn main() -> Done<()> {
    let asset: Asset = "USD/2".parse()?;
    let now = Instant::from_unix_ms(START_MS).ok_or("a time after the year 9999")?;
    memory(asset, now)?; // first, while nothing else has been given back that could be used again
    let mut funded = ledger(ACCOUNTS, asset, now)?;
    fund(&mut funded, ACCOUNTS, asset, now)?;
    for (what, load, way) in [
        ("uniform", Load::Uniform, Way::Transfer),
        ("one hot", Load::OneHot, Way::Transfer),
        ("holds and posts", Load::Uniform, Way::HoldAndPost),
    ] {
        measure(what, &funded, &requests(load, asset), way)?;
    }
    let uniform = requests(Load::Uniform, asset);
    for (what, feature) in FEATURES {
        let mut with = funded.clone();
        for number in 1..=ACCOUNTS {
            feature(&mut with, account(number), asset, now)?;
        }
        drop(with.take_changes());
        measure(what, &with, &uniform, Way::Transfer)?;
    }
    Ok(())
}

fn measure(what: &str, funded: &Ledger, requests: &[TransferRequest], way: Way) -> Done<()> {
    if std::env::args().nth(1).is_some_and(|only| !what.contains(&only)) {
        return Ok(());
    }
    let (mut best, mut hashing) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        let (took, rows) = apply(&mut funded.clone(), requests, way)?;
        best = best.min(took);
        hashing = hashing.min(chains(&rows));
    }
    println!(
        "{what}: {best:.0} ns for a transfer, {:.0} transfers/s; both links {hashing:.0} ns, {:.0} %",
        1e9 / best,
        hashing / best * 100.0
    );
    Ok(())
}

/// Gives an account something that costs time with each transfer.
type Feature = fn(&mut Ledger, AccountId, Asset, Instant) -> Result<(), LedgerError>;

const FEATURES: [(&str, Feature); 3] = [
    ("uniform, 4 velocity limits each", pace),
    ("uniform, each watched", watch),
    ("uniform, each in 3 sets", group),
];

fn pace(
    ledger: &mut Ledger,
    account: AccountId,
    _: Asset,
    now: Instant,
) -> Result<(), LedgerError> {
    let window = Span::from_secs(3600);
    let velocity = Velocity { window, amount_max: Some(Amount::MAX), count_max: Some(u64::MAX) };
    let velocities = &[velocity; 4];
    ledger.apply(Operation::SetVelocities { account, velocities }, now).map(drop)
}

fn watch(
    ledger: &mut Ledger,
    account: AccountId,
    _: Asset,
    now: Instant,
) -> Result<(), LedgerError> {
    let (below, above) = (Some(Amount::ZERO), Some(Amount::MAX));
    let watch = Watch { tier: Tier::Hot, below, above, action: WatchAction::Alert };
    ledger.apply(Operation::SetWatch { account, watch: Some(watch) }, now).map(drop)
}

/// A set of a hundred accounts, that one within another, and that within a third.
fn group(
    ledger: &mut Ledger,
    account: AccountId,
    asset: Asset,
    now: Instant,
) -> Result<(), LedgerError> {
    let members = ledger.sets().map(|set| (set.row.id, set.accounts)).last();
    let inner = match members {
        Some((id, accounts)) if accounts < 100 => id,
        _ => {
            let number = u64::try_from(ledger.sets().len()).unwrap_or(u64::MAX);
            let id = |n| AccountSetId::new(START_MS, number_bytes(number + n));
            for n in 0..3 {
                ledger.apply(Operation::OpenSet { id: id(n), asset }, now)?;
            }
            for n in 0..2 {
                let membership = Membership { set: id(n), member: Member::Set(id(n + 1)) };
                ledger.apply(Operation::Join(membership), now)?;
            }
            id(2)
        }
    };
    let membership = Membership { set: inner, member: Member::Account(account) };
    ledger.apply(Operation::Join(membership), now).map(drop)
}
