//! How many transfers per second a PostgreSQL server stores durably, without the rest of the engine.
//!
//! `cargo run --release -p tpw-engines --example postgres_rate -- URL [BATCHES] [TRANSFERS PER BATCH] [ACCOUNTS]`
//!
//! The database has to be empty: it is left full.

#![expect(clippy::print_stderr, reason = "a measuring program speaks on standard error")]

use std::sync::Arc;
use std::time::{Duration, Instant as Stopwatch};
use tpw_core::{AccountId, Amount, Hash32, Instant, Money, TransferId};
use tpw_engines::books::Books as _;
use tpw_engines::clock::{Clock as _, SystemClock};
use tpw_engines::postgres::{Address, Store};
use tpw_flow::{Changes, LeafRow};
use tpw_ledger::{AccountKind, Ledger, Limits, NewAccount, Operation, TransferRequest};
use tpw_proof::leaf::Leaf;

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A fixed sequence: what is measured is the same every time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn bytes(&mut self) -> [u8; 10] {
        let mut bytes = [0; 10];
        let parts = [self.next().to_be_bytes(), self.next().to_be_bytes()].concat();
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        bytes
    }
}

fn opened(accounts: u64, now: Instant, dice: &mut Dice) -> Fallible<(Ledger, Vec<AccountId>)> {
    let mut ledger = Ledger::new();
    let mut open = |kind, dice: &mut Dice| {
        let id = AccountId::new(now.unix_ms(), dice.bytes());
        let new =
            NewAccount { id, asset: "USD/2".parse()?, kind, owner: None, limits: Limits::NONE };
        ledger.apply(Operation::Open(new), now)?;
        Fallible::Ok(id)
    };
    let issuance = open(AccountKind::Issuance, dice)?;
    let mut ids = Vec::new();
    for _ in 0..accounts {
        ids.push(open(AccountKind::Custodial, dice)?);
    }
    let money = Money { amount: Amount::from_minor(1_000_000_000), asset: "USD/2".parse()? };
    for credit in &ids {
        let id = TransferId::new(now.unix_ms(), dice.bytes());
        let request =
            TransferRequest { id, debit: issuance, credit: *credit, money, effective: None };
        ledger.apply(Operation::Transfer(&[request]), now)?;
    }
    Ok((ledger, ids))
}

fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("give the address of an empty database")?;
    let mut number = |default| arguments.next().map_or(Ok(default), |text| text.parse::<u64>());
    let (batches, size, accounts) = (number(100)?, number(8_190)?, number(10_000)?);
    let mut store = Store::open(Address::parse(&url)?)?;
    let (clock, mut dice) = (SystemClock::new(), Dice(1));
    let (mut ledger, ids) = opened(accounts, clock.now(), &mut dice)?;
    let changes = Changes { ledger: Arc::new(ledger.take_changes()), ..Changes::default() };
    store.commit(&changes)?;
    let (mut deciding, mut committing) = (Duration::ZERO, Vec::new());
    for index in 0..batches {
        let (begun, now) = (Stopwatch::now(), clock.now());
        for _ in 0..size {
            let pick = |dice: &mut Dice| {
                let place = usize::try_from(dice.below(accounts)).unwrap_or(0);
                ids.get(place).copied().ok_or("account")
            };
            let (debit, mut credit) = (pick(&mut dice)?, pick(&mut dice)?);
            while credit == debit {
                credit = pick(&mut dice)?;
            }
            let amount = Amount::from_minor(u128::from(dice.below(1_000) + 1));
            let money = Money { amount, asset: "USD/2".parse()? };
            let id = TransferId::new(now.unix_ms(), dice.bytes());
            let request = TransferRequest { id, debit, credit, money, effective: None };
            ledger.apply(Operation::Transfer(&[request]), now)?;
        }
        let hash = Hash32::new([u8::try_from(index % 251)?; 32]);
        let leaf = Leaf::genesis(&hash.to_string(), 0);
        let leaves = vec![LeafRow { index, leaf, payment: None }];
        let changes =
            Changes { ledger: Arc::new(ledger.take_changes()), leaves, ..Changes::default() };
        deciding += begun.elapsed();
        let begun = Stopwatch::now();
        store.commit(&changes)?;
        committing.push(begun.elapsed());
    }
    let total: Duration = committing.iter().sum();
    committing.sort();
    let at = |share: usize| committing.get(committing.len() * share / 100).copied();
    let stored = batches * size;
    eprintln!(
        "{stored} transfers in {batches} commits of {size}: {:.0}/s while committing, {:.0}/s with deciding; commit p50 {:?} p99 {:?}",
        stored as f64 / total.as_secs_f64(),
        stored as f64 / (total + deciding).as_secs_f64(),
        at(50).unwrap_or_default(),
        at(99).unwrap_or_default(),
    );
    let begun = Stopwatch::now();
    let restored = store.reader()?.restore()?;
    eprintln!("restored {} accounts in {:?}", restored.ledger.accounts().len(), begun.elapsed());
    Ok(())
}
