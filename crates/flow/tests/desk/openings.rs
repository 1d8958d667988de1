//! Accounts open with their money or not at all: whatever keeps the issuance account from paying, neither the person nor an
//! account is there afterwards, and the same command succeeds when the obstacle is gone.

use super::support::*;
use tpw_core::{Amount, Asset, Span};
use tpw_flow::{Adjustment, Command, EventKind, NewPerson, Rejection};
use tpw_ledger::{
    AccountKind, FreezeReason, LedgerError, Limits, Tier, Velocity, Watch, WatchAction,
};

const ISSUANCE_EUR: u8 = 51;

fn eur() -> Asset {
    "EUR/2".parse().unwrap()
}

/// A bench with an issuance account that has not issued anything yet.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.open_own(order(ISSUANCE_EUR, eur(), AccountKind::Issuance, 0));
    bench
}

/// Both ways of opening accounts with money: 300 in each.
fn ways() -> [Command; 2] {
    let one = |id| order(id, eur(), AccountKind::Custodial, 300);
    let code = Some((hash("code 3"), at(86_400)));
    let accounts = vec![one(61), one(62)];
    [
        Command::AddPerson(NewPerson { id: person(3), name: name("Carol"), accounts, code }),
        Command::OpenAccount { person: Some(person(1)), order: one(63) },
    ]
}

fn adjust(bench: &mut Bench, adjustment: Adjustment) {
    bench.must(Command::Adjust(adjustment));
}

fn at_most(amount: u128) -> Adjustment {
    let (window, amount_max) = (Span::from_secs(3_600), Some(cents(amount)));
    let velocities = vec![Velocity { window, amount_max, count_max: None }];
    Adjustment::SetVelocities { account: account(ISSUANCE_EUR), velocities }
}

#[test]
fn a_velocity_limit_keeps_out_all_accounts_of_a_command() {
    let mut bench = bench();
    adjust(&mut bench, at_most(299));
    let exceeded = |rejection: &Rejection| {
        matches!(rejection, Rejection::Ledger(LedgerError::VelocityAmount { .. }))
    };
    for command in ways() {
        assert!(exceeded(&bench.reject_of(command)));
    }
    // The first account's money could come in, the second's not.
    adjust(&mut bench, at_most(599));
    let [add, open] = ways();
    assert!(exceeded(&bench.reject_of(add.clone())));
    // Nothing was used up by what was rejected.
    adjust(&mut bench, at_most(900));
    bench.must(add);
    bench.must(open);
    assert_eq!(bench.balance(ISSUANCE_EUR), "-900");
}

#[test]
fn a_limit_of_an_account_keeps_out_all_accounts_of_a_command() {
    let mut bench = bench();
    let limits = Limits::NONE.with_debit_max_per_transfer(Some(cents(299)));
    adjust(&mut bench, Adjustment::SetLimits { account: account(ISSUANCE_EUR), limits });
    for command in ways() {
        let rejection = bench.reject_of(command);
        assert!(matches!(rejection, Rejection::Ledger(LedgerError::LimitExceeded { .. })));
    }
    let account = account(ISSUANCE_EUR);
    adjust(&mut bench, Adjustment::SetLimits { account, limits: Limits::NONE });
    adjust(&mut bench, Adjustment::Freeze { account, why: FreezeReason::Order });
    for command in ways() {
        let frozen = Rejection::Ledger(LedgerError::PayerFrozen);
        assert_eq!(bench.reject_of(command), frozen);
    }
    adjust(&mut bench, Adjustment::Unfreeze { account, why: FreezeReason::Order });
    ways().into_iter().for_each(|command| drop(bench.must(command)));
}

/// All money of one command comes in before watches look.
#[test]
fn a_watch_freezes_after_a_command_and_not_within_it() {
    let mut bench = bench();
    let (tier, action) = (Tier::Hot, WatchAction::AlertAndFreeze);
    let watch = Some(Watch { tier, below: Some(Amount::ZERO), above: None, action });
    adjust(&mut bench, Adjustment::SetWatch { account: account(ISSUANCE_EUR), watch });
    let [add, open] = ways();
    let before = bench.desk.ledger().next_number();
    let (outcome, changes) = bench.apply(add);
    assert!(outcome.is_ok());
    let told: Vec<_> = changes.events.iter().map(|event| (event.kind, event.position)).collect();
    assert_eq!(
        told,
        [
            (EventKind::PersonAdded, before),
            (EventKind::AccountOpened, before),
            (EventKind::AccountOpened, before),
            (EventKind::AccountCrossed, before + 2),
        ],
        "a restart between them would find all or nothing"
    );
    let frozen = Rejection::Ledger(LedgerError::PayerFrozen);
    assert_eq!(bench.reject_of(open), frozen);
}
