//! Goal: conditions, closing, velocity limits, watches, sets, marks and lazy rows keep their bounds, and
//! say what is wrong when something is.
//! Method: one small story for each; what the reference model does not reach, such as depth, size and
//! clocks that go back. Mostly what must be refused.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails"
)]

mod support;

use support::{
    Store, account, asset, at, ledger, leg, minor, new_account, rebuild, refused, set, transfer,
    usd,
};
use tpw_core::{Amount, Instant, Span};
use tpw_ledger::{
    Account, AccountKind, AccountState, Balance, Comparison, Condition, Counters, Crossing, Edge,
    FreezeReason, HistoryError, HoldChange, Ledger, LedgerError, Mark, Measure, Member, Membership,
    Operation, SetRow, Tier, TransferRow, Velocity, VelocityRow, Watch, WatchAction, WatchRow,
    balance_at, value_balance_at,
};

const ROOT_OPENED: &str = "25bd1db7c0201183d7ab4966ee94d76db8a3e2fd798e2435aa5f9962c568a1ab";
const ROOT_HELD: &str = "bcfc21ee53b2d0f267ff9f2e13dbaeb9fe3e122f3e0ace0db9d5694f5cb7c779";
const ROOT_GUARDED: &str = "8bf0962777a0cf574cdaa9ad7a892f53bb36ceb24d17c2bbbdfd0848dd3c0123";

fn plus(n: u128) -> Balance {
    Balance::between(minor(n), Amount::ZERO)
}

fn pay(l: &mut Ledger, id: u64, from: u8, to: u8, amount: u128, ms: u64) {
    l.apply(Operation::Transfer(&[leg(id, from, to, usd(amount))]), at(ms)).unwrap();
}

#[test]
fn a_condition_that_fails_says_what_was_found() {
    let mut l = ledger(); // account 1 has 1000
    let (account, on, is) = (account(1), Measure::Available, Comparison::AtLeast);
    let condition = Condition { account, on, is, than: plus(901) };
    let legs = [leg(2, 1, 2, usd(60)), leg(3, 1, 3, usd(40))];
    let before = l.clone();
    let error = l.apply_if(Operation::Transfer(&legs), &[condition], at(2)).unwrap_err();
    let (than, found) = (plus(901), plus(900));
    assert_eq!(error, LedgerError::ConditionFailed { account, on, is, than, found });
    assert!(error.to_string().contains("available") && error.to_string().contains("`900`"));
    assert!(l == before);
    l.apply_if(Operation::Transfer(&legs), &[Condition { than: plus(900), ..condition }], at(2))
        .unwrap();
    // The version that was read is the one that the transfer makes: nothing came in between.
    let version = l.account(&account).unwrap().transfers;
    let seen = |n: u64| Condition {
        on: Measure::Version,
        is: Comparison::Equal,
        than: plus(n.into()),
        ..condition
    };
    let pay = [leg(4, 1, 2, usd(1))];
    l.apply_if(Operation::Transfer(&pay), &[seen(version + 1)], at(2)).unwrap();
    let again = [leg(5, 1, 2, usd(1))];
    let stale = l.apply_if(Operation::Transfer(&again), &[seen(version + 1)], at(2));
    assert!(matches!(stale, Err(LedgerError::ConditionFailed { .. })));
    // Also what makes no transfer is bound to its conditions.
    let freeze = Operation::Freeze { account, why: FreezeReason::Holder };
    assert!(l.apply_if(freeze, &[seen(version)], at(2)).is_err());
    assert!(!l.account(&account).unwrap().frozen.is_frozen());
}

#[test]
fn conditions_are_bounded_and_about_known_accounts() {
    let mut l = ledger();
    let condition = Condition {
        account: account(1),
        on: Measure::Posted,
        is: Comparison::AtLeast,
        than: Balance::ZERO,
    };
    let pay = [leg(2, 1, 2, usd(1))];
    let before = l.clone();
    let error = l.apply_if(Operation::Transfer(&pay), &[condition; 17], at(2)).unwrap_err();
    assert_eq!(error, LedgerError::ConditionCount(17));
    let unknown = Condition { account: account(9), ..condition };
    let error = l.apply_if(Operation::Transfer(&pay), &[condition, unknown], at(2)).unwrap_err();
    assert_eq!(error, LedgerError::UnknownAccount(account(9)));
    assert!(l == before);
    l.apply_if(Operation::Transfer(&pay), &[condition; 16], at(2)).unwrap();
}

#[test]
fn only_an_empty_account_closes_and_it_closes_for_ever() {
    let mut l = ledger();
    let close = |n| Operation::Close { account: account(n) };
    let balance = plus(1000);
    assert_eq!(refused(&mut l, close(1), at(2)), LedgerError::BalanceNotZero { balance });
    let hold = Operation::Hold { request: leg(2, 1, 2, usd(10)), expires: at(9) };
    l.apply(hold, at(2)).unwrap();
    assert_eq!(refused(&mut l, close(2), at(2)), LedgerError::HoldsOpen);
    l.expire(at(9));
    pay(&mut l, 3, 1, 3, 5, 9);
    let of = tpw_ledger::Original::of_row(l.new_transfers().last().unwrap()).unwrap();
    pay(&mut l, 4, 3, 1, 5, 9);
    l.take_changes();
    l.apply(close(3), at(10)).unwrap();
    let saved = l.take_changes().saves;
    assert_eq!((saved.len(), saved[0].state), (1, AccountState::Closed));
    let pays = |from, to| [leg(5, from, to, usd(1))];
    let error = refused(&mut l, Operation::Transfer(&pays(1, 3)), at(11));
    assert_eq!(error, LedgerError::PayeeClosed);
    assert_eq!(error.refusal(), Some(tpw_core::Refusal::PayeeFrozen));
    let error = refused(&mut l, Operation::Transfer(&pays(3, 1)), at(11));
    assert_eq!(error, LedgerError::PayerClosed);
    let back = [tpw_ledger::Reversal { of, id: transfer(5) }];
    assert_eq!(refused(&mut l, Operation::Reverse(&back), at(11)), LedgerError::PayerClosed);
    let id = account(3);
    let (why, limits) = (FreezeReason::Order, tpw_ledger::Limits::NONE);
    for op in [
        close(3),
        Operation::Freeze { account: id, why },
        Operation::SetLimits { account: id, limits },
        Operation::SetVelocities { account: id, velocities: &[] },
        Operation::SetWatch { account: id, watch: None },
    ] {
        assert_eq!(refused(&mut l, op, at(11)), LedgerError::AccountClosed(id));
    }
    let again = Operation::Open(new_account(3, "USD/2", AccountKind::Custodial));
    assert_eq!(refused(&mut l, again, at(11)), LedgerError::AccountExists(id));
}

const HOUR: Span = Span::from_secs(3600);

fn velocity(amount_max: Option<u128>, count_max: Option<u64>) -> Velocity {
    Velocity { window: HOUR, amount_max: amount_max.map(minor), count_max }
}

#[test]
fn a_window_of_velocity_ends_on_the_hour_and_a_clock_that_goes_back_opens_none_again() {
    let mut l = ledger();
    let velocities = [velocity(Some(100), None), velocity(None, Some(2))];
    let set = Operation::SetVelocities { account: account(1), velocities: &velocities };
    l.apply(set, at(0)).unwrap();
    let start = 1_700_000_000_000_u64;
    let next = start.next_multiple_of(HOUR.as_ms()) - start; // when the next hour begins
    pay(&mut l, 2, 1, 2, 60, next - 1);
    let op = [leg(3, 1, 2, usd(41))];
    let error = refused(&mut l, Operation::Transfer(&op), at(next - 1));
    assert_eq!(error, LedgerError::VelocityAmount { window: HOUR, max: minor(100) });
    assert_eq!(error.refusal(), Some(tpw_core::Refusal::AccountLimit));
    pay(&mut l, 3, 1, 2, 60, next);
    // What a hold promises counts when it is made, not when it is posted, and is not given back.
    let hold = Operation::Hold { request: leg(4, 1, 2, usd(40)), expires: at(next + 9) };
    l.apply(hold, at(next)).unwrap();
    l.apply(Operation::Void { hold: transfer(4), id: transfer(5) }, at(next)).unwrap();
    for ms in [next, next - 1] {
        let op = [leg(6, 1, 2, usd(1))];
        let error = refused(&mut l, Operation::Transfer(&op), at(ms));
        assert!(matches!(error, LedgerError::VelocityAmount { .. }), "{error}");
    }
    // A wider amount leaves the count, and what was used stays used.
    let wider = [velocity(Some(1000), None), velocity(None, Some(2))];
    let set = Operation::SetVelocities { account: account(1), velocities: &wider };
    l.apply(set, at(next)).unwrap();
    let op = [leg(6, 1, 2, usd(1))];
    let error = refused(&mut l, Operation::Transfer(&op), at(next));
    assert_eq!(error, LedgerError::VelocityTimes { window: HOUR, max: 2 });
    // Both of two linked legs count, or none.
    let both = [leg(6, 1, 2, usd(1)), leg(7, 1, 3, usd(1)), leg(8, 1, 2, usd(1))];
    let later = at(next + HOUR.as_ms());
    refused(&mut l, Operation::Transfer(&both), later);
    l.apply(Operation::Transfer(&both[..2]), later).unwrap();
    assert_eq!(l.velocities(&account(1)).map(|row| row.count).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn velocity_limits_are_bounded_and_limit_something() {
    fn set(velocities: &[Velocity]) -> Operation<'_> {
        Operation::SetVelocities { account: account(1), velocities }
    }
    let mut l = ledger();
    let one = velocity(Some(1), None);
    assert_eq!(refused(&mut l, set(&[one; 5]), at(2)), LedgerError::VelocityCount(5));
    let nothing = velocity(None, None);
    assert_eq!(refused(&mut l, set(&[one, nothing]), at(2)), LedgerError::VelocityUnlimited);
    let never = Velocity { window: Span::from_ms(0), ..one };
    assert_eq!(refused(&mut l, set(&[never]), at(2)), LedgerError::VelocityWindow);
    l.take_changes();
    l.apply(set(&[one; 4]), at(2)).unwrap();
    assert_eq!(l.take_changes().velocities.len(), 4);
    l.apply(set(&[one]), at(2)).unwrap();
    let rows = l.take_changes().velocities;
    assert_eq!(rows.iter().filter(|row| row.amount_max.is_some()).count(), 1);
    assert_eq!(rows.len(), 4, "the rows that fell away are overwritten");
    l.apply(set(&[]), at(2)).unwrap();
    pay(&mut l, 2, 1, 2, 500, 2);
}

fn watch(below: Option<u128>, above: Option<u128>, action: WatchAction) -> Watch {
    Watch { tier: Tier::Hot, below: below.map(minor), above: above.map(minor), action }
}

#[test]
fn a_watch_tells_each_crossing_once_and_freezes() {
    let mut l = ledger();
    let of = |watch| Operation::SetWatch { account: account(1), watch };
    let guard = watch(Some(500), Some(1500), WatchAction::AlertAndFreeze);
    l.apply(of(Some(guard)), at(2)).unwrap();
    // Beyond the threshold only between two linked legs: no crossing.
    let through = [leg(2, 1, 2, usd(900)), leg(3, 2, 1, usd(900))];
    l.apply(Operation::Transfer(&through), at(2)).unwrap();
    pay(&mut l, 4, 1, 2, 500, 2);
    assert!(l.take_changes().crossings.is_empty(), "exactly 500 is not below 500");
    pay(&mut l, 5, 1, 2, 1, 3);
    let changes = l.take_changes();
    let crossing = Crossing {
        account: account(1),
        tier: Tier::Hot,
        edge: Edge::Below,
        threshold: minor(500),
        balance: plus(499),
        number: 5,
        at: at(3),
        action: WatchAction::AlertAndFreeze,
    };
    assert_eq!(changes.crossings, [crossing]);
    assert_eq!(changes.saves.len(), 1, "the freeze is stored with the transfer that caused it");
    assert!(changes.saves[0].frozen.has(FreezeReason::Watch));
    let op = [leg(6, 1, 2, usd(1))];
    assert_eq!(refused(&mut l, Operation::Transfer(&op), at(3)), LedgerError::PayerFrozen);
    let lift = Operation::Unfreeze { account: account(1), why: FreezeReason::Watch };
    l.apply(lift, at(4)).unwrap();
    pay(&mut l, 6, 1, 2, 1, 4);
    assert!(l.take_changes().crossings.is_empty(), "it lies there and has not crossed");
    pay(&mut l, 7, 0, 1, 5000, 5);
    let edges: Vec<_> = l.take_changes().crossings.iter().map(|c| c.edge).collect();
    assert_eq!(edges, [Edge::Above]);
    // A refused operation reports nothing.
    l.apply(lift, at(6)).unwrap();
    refused(&mut l, Operation::Transfer(&[leg(8, 1, 2, usd(5000)), leg(9, 3, 2, usd(9))]), at(6));
    // A new watch is told at once what lies beyond it.
    l.take_changes();
    l.apply(of(Some(watch(None, Some(5), WatchAction::Alert))), at(7)).unwrap();
    let changes = l.take_changes();
    assert_eq!((changes.crossings.len(), changes.watches.len()), (1, 1));
    l.apply(of(None), at(8)).unwrap();
    let rows = l.take_changes().watches;
    assert_eq!((rows.len(), rows[0].below, rows[0].above), (1, None, None));
    assert_eq!(refused(&mut l, of(None), at(9)), LedgerError::NotWatched);
    let empty = watch(None, None, WatchAction::Alert);
    assert_eq!(refused(&mut l, of(Some(empty)), at(9)), LedgerError::WatchEmpty);
    let upside_down = watch(Some(2), Some(1), WatchAction::Alert);
    assert_eq!(refused(&mut l, of(Some(upside_down)), at(9)), LedgerError::WatchThresholds);
}

fn sets(l: &mut Ledger, count: u8) {
    for n in 0..count {
        l.apply(Operation::OpenSet { id: set(n), asset: asset("USD/2") }, at(1)).unwrap();
    }
}

const fn in_set(set: tpw_core::AccountSetId, member: Member) -> Membership {
    Membership { set, member }
}

#[test]
fn sets_are_eight_levels_deep_at_most_and_never_contain_themselves() {
    let mut l = ledger();
    sets(&mut l, 9);
    let open = Operation::OpenSet { id: set(0), asset: asset("CNY/2") };
    assert_eq!(refused(&mut l, open, at(2)), LedgerError::SetExists(set(0)));
    let join = |outer, inner| Operation::Join(in_set(set(outer), Member::Set(set(inner))));
    assert_eq!(refused(&mut l, join(0, 0), at(2)), LedgerError::SetCycle);
    // Two chains of four, joined: eight levels.
    for n in [0, 1, 2, 4, 5, 6] {
        l.apply(join(n, n + 1), at(2)).unwrap();
    }
    l.apply(join(3, 4), at(2)).unwrap();
    assert_eq!(refused(&mut l, join(7, 0), at(2)), LedgerError::SetCycle);
    assert_eq!(refused(&mut l, join(7, 8), at(2)), LedgerError::SetTooDeep);
    assert_eq!(refused(&mut l, join(8, 0), at(2)), LedgerError::SetTooDeep);
    l.apply(join(8, 1), at(2)).unwrap();
    let account_in = |n, a| in_set(set(n), Member::Account(account(a)));
    l.apply(Operation::Join(account_in(7, 1)), at(2)).unwrap();
    for n in 0..9 {
        assert_eq!(l.set(&set(n)).unwrap().balance(), plus(1000), "set {n}");
    }
    // Two ways lead from the set 8 to the account; it counts once.
    l.apply(Operation::Join(account_in(8, 1)), at(2)).unwrap();
    assert_eq!(l.set(&set(8)).unwrap().balance(), plus(1000));
    l.apply(Operation::Leave(in_set(set(8), Member::Set(set(1)))), at(2)).unwrap();
    assert_eq!((l.set(&set(8)).unwrap().accounts, l.sets().len()), (1, 9));
    let error = refused(&mut l, Operation::Leave(account_in(6, 1)), at(2));
    assert_eq!(error, LedgerError::NotMember);
    let error = refused(&mut l, Operation::Join(account_in(7, 1)), at(2));
    assert_eq!(error, LedgerError::AlreadyMember);
    let error = refused(&mut l, Operation::Join(account_in(7, 4)), at(2));
    assert_eq!(error, LedgerError::SetAssetMismatch);
    let error = refused(&mut l, Operation::Join(account_in(7, 9)), at(2));
    assert_eq!(error, LedgerError::UnknownAccount(account(9)));
    let error = refused(&mut l, Operation::Join(account_in(10, 1)), at(2));
    assert_eq!(error, LedgerError::UnknownSet(set(10)));
}

/// A busy pair of accounts with rows stored in batches, and the store that has them.
fn busy(transfers: u64) -> (Ledger, Store) {
    let (mut l, mut store) = (ledger(), Store::default());
    for n in 2..=transfers {
        let (from, to) = if n % 2 == 0 { (1, 2) } else { (2, 1) };
        pay(&mut l, n, from, to, u128::from(n % 3) + 1, n);
        if n % 4_096 == 0 {
            store.commit(l.take_changes());
        }
    }
    store.commit(l.take_changes());
    (l, store)
}

#[test]
fn a_balance_of_the_past_is_at_most_1024_transfers_away() {
    let (l, store) = busy(5_000);
    let present = l.account(&account(1)).unwrap();
    let marks: Vec<&Mark> = store.marks.iter().filter(|m| m.account == account(1)).collect();
    assert_eq!(marks.iter().map(|m| m.transfers).collect::<Vec<_>>(), [1024, 2048, 3072, 4096]);
    for ms in [0, 1, 2, 1_023, 1_024, 1_025, 2_500, 4_095, 4_999, 5_000, 9_000] {
        let from = marks.iter().find(|mark| mark.at > at(ms));
        let from = from.map_or(present.counters(), |mark| mark.counters());
        let mut read = 0;
        let row = |number: u64| {
            read += 1;
            Ok::<_, &str>(store.transfers.get(number as usize - 1).copied())
        };
        let found = balance_at(from, at(ms), row).unwrap();
        assert!(read <= 1_025, "{read} rows read for {ms}");
        let mut point = tpw_ledger::StatementPoint::START;
        for row in store.rows_of(&account(1)).iter().filter(|row| row.at <= at(ms)) {
            point = point.next(row, &account(1)).unwrap();
        }
        assert_eq!((found.balance(), found.transfers), (point.balance, point.transfers), "{ms}");
    }
}

#[test]
fn a_damaged_past_is_noticed() {
    let (l, store) = busy(50);
    let present = l.account(&account(1)).unwrap().counters();
    let rows = |number: u64| store.transfers.get(number as usize - 1).copied();
    let ask = |from: Counters, row: &dyn Fn(u64) -> Result<Option<TransferRow>, &'static str>| {
        balance_at(from, at(0), row).unwrap_err()
    };
    assert_eq!(ask(present, &|_| Err("torn")), HistoryError::Read("torn"));
    assert_eq!(ask(present, &|n| Ok(rows(n).filter(|_| n > 40))), HistoryError::Missing(40));
    let other = |n| Ok(rows(n).map(|row| TransferRow { debit: account(3), ..row }));
    assert!(matches!(ask(present, &other), HistoryError::Contradiction(_)));
    let circle = |n| Ok(rows(n).map(|row| TransferRow { prev_debit: n, prev_credit: n, ..row }));
    assert_eq!(ask(present, &circle), HistoryError::Contradiction(50));
    let huge = |n| Ok(rows(n).map(|row| TransferRow { money: usd(u128::MAX), ..row }));
    assert_eq!(ask(present, &huge), HistoryError::Contradiction(50));
    // Another account's rows have no say in a balance by value date.
    let none = Counters { account: account(3), ..present };
    assert_eq!(value_balance_at(&none, at(9), &store.transfers), None);
}

#[test]
fn value_dates_lie_in_the_past_and_never_on_holds() {
    let mut l = ledger();
    let mut request = leg(2, 1, 2, usd(1));
    request.effective = Some(at(11));
    let error = refused(&mut l, Operation::Transfer(&[request]), at(10));
    assert_eq!(error, LedgerError::EffectiveAfterBooking);
    request.effective = Some(at(9));
    let error = refused(&mut l, Operation::Hold { request, expires: at(20) }, at(10));
    assert_eq!(error, LedgerError::EffectiveHold);
    request.effective = Some(Instant::MIN);
    l.apply(Operation::Transfer(&[request]), at(10)).unwrap();
    let row = l.new_transfers().last().unwrap();
    assert_eq!((row.at, row.effective), (at(10), Instant::MIN));
}

/// More transfers than the window, twice: what a start reads stays bounded, and is enough.
#[test]
fn account_rows_are_written_once_in_a_window_and_a_start_replays_the_rest() {
    let (mut l, mut store) = (ledger(), Store::default());
    store.commit(l.take_changes());
    let mut saves = 0;
    for n in 2..=Ledger::SAVE_WINDOW * 2 + 5_000 {
        // Account 3 is used once, at the beginning.
        let (from, to) = if n == 2 {
            (1, 3)
        } else if n % 2 == 1 {
            (1, 2)
        } else {
            (2, 1)
        };
        pay(&mut l, n, from, to, 1, n);
        if n % 8_000 == 0 {
            let changes = l.take_changes();
            saves += changes.saves.len();
            store.commit(changes);
        }
    }
    let changes = l.take_changes();
    saves += changes.saves.len();
    store.commit(changes);
    store.demand_fresh(Ledger::SAVE_WINDOW);
    // Accounts 0 to 3 once each, 1 and 2 twice.
    assert_eq!(saves, 6);
    let restoring = Ledger::restoring(store.accounts().into_iter()).unwrap();
    assert!(restoring.replay_from() > 100_000, "{}", restoring.replay_from());
    assert!(store.rebuild().unwrap() == l);
}

#[test]
fn a_hold_that_came_and_went_between_two_takes_is_not_handed_over() {
    let mut l = ledger();
    let hold = |id| Operation::Hold { request: leg(id, 1, 2, usd(10)), expires: at(50) };
    l.apply(hold(2), at(2)).unwrap();
    l.take_changes();
    for id in [3, 4, 5] {
        l.apply(hold(id), at(2)).unwrap();
    }
    l.apply(Operation::Void { hold: transfer(4), id: transfer(6) }, at(2)).unwrap();
    l.apply(Operation::Void { hold: transfer(2), id: transfer(7) }, at(2)).unwrap();
    let changes = l.take_changes();
    let kept: Vec<_> = changes
        .holds
        .iter()
        .map(|change| match change {
            HoldChange::Opened(hold) => (hold.id, true),
            HoldChange::Resolved { hold, .. } => (*hold, false),
        })
        .collect();
    assert_eq!(kept, [(transfer(2), false), (transfer(3), true), (transfer(5), true)]);
    assert_eq!(changes.transfers.len(), 5, "all transfers are");
}

/// Each defect of the rows that are replayed.
#[test]
fn transfers_that_do_not_follow_on_their_accounts_are_refused() {
    let (mut l, mut store) = (ledger(), Store::default());
    store.commit(l.take_changes());
    pay(&mut l, 2, 1, 2, 10, 2);
    let hold = Operation::Hold { request: leg(3, 1, 2, usd(10)), expires: at(50) };
    l.apply(hold, at(2)).unwrap();
    let amount = Some(minor(4));
    l.apply(Operation::Post { hold: transfer(3), id: transfer(4), amount }, at(3)).unwrap();
    store.commit(l.take_changes());
    let (accounts, rows) = (store.accounts(), store.transfers.clone());
    let check = |accounts: &[Account], rows: &[TransferRow]| rebuild(accounts, rows, &[]);
    assert!(check(&accounts, &rows).unwrap() == l);
    assert!(check(&accounts, &[&rows[..1], &rows[2..]].concat()).is_err(), "a gap");
    assert!(check(&accounts, &[&rows[..2], &rows[1..]].concat()).is_err(), "a row twice");
    assert!(check(&accounts, &rows[..3]).is_err(), "the last row and with it the hold's end");
    assert!(check(&accounts[..2], &rows).is_err(), "an account is missing");
    type Edit = fn(&mut TransferRow);
    let edits: [(&str, Edit); 9] = [
        ("amount", |row| row.money = usd(11)),
        ("asset", |row| row.money.asset = asset("CNY/2")),
        ("released", |row| row.released = minor(1)),
        ("previous", |row| row.prev_debit = 1),
        ("previous of nobody", |row| row.prev_credit = 0),
        ("chain", |row| row.debit_chain = tpw_core::Hash32::ZERO),
        ("other chain", |row| row.credit_chain = row.debit_chain),
        ("time", |row| row.at = at(9)),
        ("value date", |row| row.effective = at(1)),
    ];
    for (what, edit) in edits {
        for n in 2..rows.len() {
            let mut edited = rows.clone();
            edit(&mut edited[n]);
            if edited[n] != rows[n] {
                assert!(check(&accounts, &edited).is_err(), "{what} of row {n}");
            }
        }
    }
}

#[test]
fn stored_rows_of_features_must_fit() {
    let (mut l, mut store) = (ledger(), Store::default());
    sets(&mut l, 2);
    store.commit(l.take_changes());
    let start = || Ledger::restoring(store.accounts().into_iter()).unwrap();
    let corrupt = |result: Result<(), LedgerError>, what: &str| {
        assert!(matches!(result, Err(LedgerError::CorruptRows(_))), "{what}");
    };
    let pace = VelocityRow {
        account: account(1),
        place: 0,
        window: HOUR,
        amount_max: Some(minor(1)),
        count_max: None,
        since: at(0),
        amount: Amount::ZERO,
        count: 0,
    };
    let velocities = |rows: &[VelocityRow]| start().velocities(rows.iter().copied());
    velocities(&[pace, VelocityRow { place: 3, ..pace }]).unwrap();
    velocities(&[pace, VelocityRow { amount_max: None, ..pace }]).unwrap();
    corrupt(velocities(&[pace, pace]), "a limit twice");
    corrupt(velocities(&[VelocityRow { place: 4, ..pace }]), "a fifth limit");
    corrupt(velocities(&[VelocityRow { account: account(9), ..pace }]), "of no account");
    corrupt(velocities(&[VelocityRow { window: Span::from_ms(0), ..pace }]), "no window");
    let row = WatchRow {
        account: account(1),
        tier: Tier::Cold,
        below: None,
        above: Some(minor(1)),
        action: WatchAction::Alert,
    };
    let watches = |rows: &[WatchRow]| start().watches(rows.iter().copied());
    watches(&[row]).unwrap();
    corrupt(watches(&[row, row]), "a watch twice");
    corrupt(watches(&[WatchRow { account: account(9), ..row }]), "a watch of no account");
    let group = SetRow { id: set(0), asset: asset("USD/2"), opened: at(1) };
    let join = |member| in_set(set(0), member);
    let sets = |rows: &[SetRow], members: &[Membership]| {
        start().sets(rows.iter().copied(), members.iter().copied())
    };
    let member = join(Member::Account(account(1)));
    sets(&[group], &[member]).unwrap();
    corrupt(sets(&[group, group], &[]), "a set twice");
    corrupt(sets(&[], &[member]), "a member of no set");
    corrupt(sets(&[group], &[member, member]), "a member twice");
    corrupt(sets(&[group], &[join(Member::Set(set(0)))]), "a set in itself");
    corrupt(sets(&[group], &[join(Member::Account(account(4)))]), "a member of another asset");
}

/// The root of a ledger of two accounts with a hold, then with a velocity limit, a watch and two sets, computed by an independent
/// program from the documented bytes.
#[test]
fn the_audit_root_is_over_the_documented_bytes() {
    let mut l = Ledger::new();
    let owner = Some(tpw_core::PersonId::from_bytes([7; 16]));
    let limits = tpw_ledger::Limits::NONE.with_balance_max(Some(minor(1 << 70)));
    let customer = new_account(1, "USD/2", AccountKind::Custodial);
    let customer = tpw_ledger::NewAccount { owner, limits, ..customer };
    l.apply(Operation::Open(customer), at(5)).unwrap();
    l.apply(Operation::Open(new_account(0, "USD/2", AccountKind::Issuance)), at(6)).unwrap();
    assert_eq!(l.audit_root().to_string(), ROOT_OPENED);
    let request = leg(9, 0, 1, usd(1000));
    l.apply(Operation::Hold { request, expires: at(99) }, at(7)).unwrap();
    assert_eq!(l.audit_root().to_string(), ROOT_HELD);
    let window = Span::from_secs(60);
    let velocities = [Velocity { window, amount_max: Some(minor(500)), count_max: None }];
    l.apply(Operation::SetVelocities { account: account(1), velocities: &velocities }, at(8))
        .unwrap();
    let (tier, action) = (Tier::Cold, WatchAction::Alert);
    let watch = Some(Watch { tier, below: None, above: Some(minor(9)), action });
    l.apply(Operation::SetWatch { account: account(0), watch }, at(9)).unwrap();
    // Neither the order in which sets were made nor that of joining counts.
    for n in [4, 3] {
        l.apply(Operation::OpenSet { id: set(n), asset: asset("USD/2") }, at(10)).unwrap();
    }
    for member in [Member::Set(set(4)), Member::Account(account(1))] {
        l.apply(Operation::Join(Membership { set: set(3), member }), at(11)).unwrap();
    }
    assert_eq!(l.audit_root().to_string(), ROOT_GUARDED);
    let each: [Operation<'_>; 5] = [
        Operation::Freeze { account: account(1), why: FreezeReason::Order },
        Operation::SetVelocities { account: account(1), velocities: &[] },
        Operation::SetWatch { account: account(0), watch: None },
        Operation::OpenSet { id: set(5), asset: asset("USD/2") },
        Operation::Leave(Membership { set: set(3), member: Member::Set(set(4)) }),
    ];
    for operation in each {
        let mut other = l.clone();
        other.apply(operation, at(12)).unwrap();
        assert_ne!(other.audit_root(), l.audit_root(), "{operation:?}");
    }
}
