//! What accounts may do and which belong together: each change and each look, what is told of it, and what must be refused.

use super::support::*;
use tpw_core::{AccountSetId, Span, TransferId};
use tpw_flow::{
    Adjustment, Answer, Changes, Command, EventKind, EventRow, Guards, Look, Rejection,
    RejectionClass, Status,
};
use tpw_ledger::{
    AccountState, FreezeReason, Frozen, LedgerError, Limits, Member, Membership, Tier, Velocity,
    Watch, WatchAction,
};

fn watch(below: Option<u128>, above: Option<u128>, action: WatchAction) -> Option<Watch> {
    let (below, above) = (below.map(cents), above.map(cents));
    Some(Watch { tier: Tier::Hot, below, above, action })
}

fn fund(n: u8, to: u8, amount: u128) -> Command {
    let transfer = TransferId::new(at(0).unix_ms(), [n; 10]);
    Command::Fund { account: account(to), amount: cents(amount), transfer }
}

fn set(n: u8) -> AccountSetId {
    AccountSetId::new(1_763_806_000_000, [n; 10])
}

fn belongs(parent: u8, member: Member) -> Membership {
    Membership { set: set(parent), member }
}

/// Applies, and gives the events.
fn events(bench: &mut Bench, adjustment: Adjustment) -> Vec<(EventKind, [u8; 16])> {
    let (outcome, changes) = bench.apply(Command::Adjust(adjustment));
    assert_eq!(outcome, Ok(Answer::Done));
    changes.events.iter().map(|event| (event.kind, event.subject)).collect()
}

fn refused(bench: &mut Bench, adjustment: Adjustment) -> Rejection {
    bench.reject_of(Command::Adjust(adjustment))
}

/// The order of events is part of the books, and the same commands give the same books.
#[test]
fn events_do_not_depend_on_what_is_stored_together() {
    let commands = || {
        let watch = watch(None, Some(10), WatchAction::Alert);
        [
            Command::Adjust(Adjustment::SetWatch { account: account(BOB), watch }),
            fund(1, BOB, 11),
            fund(2, BOB, 1),
            Command::Freeze { account: account(ALICE), frozen: tpw_flow::Frozen::Yes },
            fund(3, BOB, 1),
        ]
    };
    let (mut apart, mut together) = (Bench::new(), Bench::new());
    let events = |changes: Changes| changes.events;
    let one_by_one: Vec<EventRow> =
        commands().into_iter().flat_map(|command| events(apart.apply(command).1)).collect();
    for command in commands() {
        together.desk.apply(command, together.now, &together.books).unwrap().unwrap();
    }
    assert_eq!(events(together.desk.take_changes()), one_by_one);
    let kinds: Vec<_> = one_by_one.iter().map(|event| event.kind).collect();
    let (changed, crossed) = (EventKind::AccountChanged, EventKind::AccountCrossed);
    assert_eq!(kinds, [changed, crossed, changed]);
}

/// What is told is about the set whose sums have changed, whoever joined or left it.
#[test]
fn each_change_is_told_of_its_own_subject() {
    let mut bench = Bench::new();
    let (id, why) = (account(BOB), FreezeReason::Risk);
    let velocities =
        vec![Velocity { window: Span::from_secs(60), amount_max: Some(cents(5)), count_max: None }];
    for adjustment in [
        Adjustment::Freeze { account: id, why },
        Adjustment::Unfreeze { account: id, why },
        Adjustment::SetLimits { account: id, limits: Limits::NONE },
        Adjustment::SetVelocities { account: id, velocities },
        Adjustment::SetWatch { account: id, watch: watch(None, Some(9), WatchAction::Alert) },
        Adjustment::Close { account: id },
    ] {
        let told = events(&mut bench, adjustment);
        assert_eq!(told, [(EventKind::AccountChanged, *id.as_bytes())]);
    }
    let (parent, member) = (set(1), Member::Account(account(ALICE)));
    for (adjustment, of) in [
        (Adjustment::OpenSet { id: parent, asset: usd() }, parent),
        (Adjustment::OpenSet { id: set(2), asset: usd() }, set(2)),
        (Adjustment::Join(belongs(2, member)), set(2)),
        (Adjustment::Join(belongs(1, Member::Set(set(2)))), parent),
        (Adjustment::Leave(belongs(1, Member::Set(set(2)))), parent),
        (Adjustment::Leave(belongs(2, member)), set(2)),
    ] {
        let told = events(&mut bench, adjustment);
        assert_eq!(told, [(EventKind::SetChanged, *of.as_bytes())]);
    }
}

/// Self-custodial money is never blocked by the operator, not by a watch either; what one has frozen can be lifted.
#[test]
fn a_watch_does_not_freeze_what_its_holder_keeps() {
    let mut bench = Bench::new();
    let on = |n, watch| Adjustment::SetWatch { account: account(n), watch };
    let (alert, freeze) = (WatchAction::Alert, WatchAction::AlertAndFreeze);
    let freezing = on(BOB_SELF, watch(None, Some(500), freeze));
    assert_eq!(refused(&mut bench, freezing), Rejection::SelfCustodial);
    let unknown = refused(&mut bench, on(99, watch(None, Some(500), freeze)));
    assert_eq!(unknown, Rejection::Ledger(LedgerError::UnknownAccount(account(99))));
    events(&mut bench, on(BOB_SELF, watch(None, Some(500), alert)));
    let (_, changes) = bench.apply(fund(1, BOB_SELF, 401));
    assert_eq!(changes.events.len(), 1, "an alert");
    let frozen = |bench: &Bench, n| bench.desk.ledger().account(&account(n)).unwrap().frozen;
    assert_eq!(frozen(&bench, BOB_SELF), Frozen::NONE);
    for why in FreezeReason::ALL.iter().copied() {
        let (yes, no) = (
            Adjustment::Freeze { account: account(BOB_SELF), why },
            Adjustment::Unfreeze { account: account(BOB_SELF), why },
        );
        assert_eq!(refused(&mut bench, yes), Rejection::SelfCustodial);
        let expected = match why {
            FreezeReason::Watch => Rejection::Ledger(LedgerError::NotFrozen),
            _ => Rejection::SelfCustodial,
        };
        assert_eq!(refused(&mut bench, no), expected);
    }
    // What the operator keeps is frozen, and the reason can be lifted.
    events(&mut bench, on(BOB, watch(None, Some(10), freeze)));
    bench.must(fund(2, BOB, 11));
    assert!(frozen(&bench, BOB).has(FreezeReason::Watch));
    let lift = Adjustment::Unfreeze { account: account(BOB), why: FreezeReason::Watch };
    events(&mut bench, lift);
    assert_eq!(frozen(&bench, BOB), Frozen::NONE);
}

#[test]
fn an_issuance_account_is_never_closed() {
    let mut bench = Bench::new();
    let eur = "EUR/2".parse().unwrap();
    bench.open_own(order(51, eur, tpw_ledger::AccountKind::Issuance, 0));
    let rejection = refused(&mut bench, Adjustment::Close { account: account(51) });
    assert_eq!(rejection, Rejection::AccountNeeded { why: "issuance" });
    let words = (rejection.code(), rejection.class());
    assert_eq!(words, ("account_needed", RejectionClass::Conflict));
}

/// The partner may return a payment until it has confirmed it: both sides must be there to take the money back.
#[test]
fn no_side_of_a_payment_at_a_partner_is_closed() {
    let mut bench = Bench::new();
    bench.must(fund(1, BOB, 300));
    let close = |n| Adjustment::Close { account: account(n) };
    let payments = [100, 200].map(|amount| bench.pay(BOB, PARTNER, amount, Status::Booked).id());
    let needed = Rejection::AccountNeeded { why: "instructed" };
    assert_eq!(refused(&mut bench, close(BOB)), needed);
    assert_eq!(refused(&mut bench, close(PARTNER)), needed);
    bench.must(Command::RailConfirm { payment: payments[0] });
    assert_eq!(refused(&mut bench, close(BOB)), needed, "one is still there");
    bench.must(Command::RailReturn { payment: payments[1] });
    assert!(bench.desk.instructed().is_empty());
    let balance = refused(&mut bench, close(BOB));
    assert!(matches!(balance, Rejection::Ledger(LedgerError::BalanceNotZero { .. })));
    bench.pay(BOB, ALICE, 200, Status::Booked);
    events(&mut bench, close(BOB));
    let state = bench.desk.ledger().account(&account(BOB)).unwrap().state;
    assert_eq!(state, AccountState::Closed);
}

#[test]
fn looking_tells_the_state_and_changes_nothing() {
    let mut bench = Bench::new();
    let id = account(BOB);
    let limit = Velocity { window: Span::from_secs(60), amount_max: None, count_max: Some(3) };
    let watch = watch(Some(1), None, WatchAction::Alert);
    let velocities = vec![limit];
    events(&mut bench, Adjustment::SetVelocities { account: id, velocities });
    events(&mut bench, Adjustment::SetWatch { account: id, watch });
    events(&mut bench, Adjustment::OpenSet { id: set(1), asset: usd() });
    let member = Member::Account(account(ALICE));
    events(&mut bench, Adjustment::Join(belongs(1, member)));
    let mut look = |look| {
        let (outcome, changes) = bench.apply(Command::Look(look));
        assert!(changes.events.is_empty() && changes.ledger.is_empty());
        outcome.unwrap()
    };
    assert_eq!(look(Look::Guards(account(99))), Answer::Guards(None));
    assert_eq!(look(Look::Set(set(9))), Answer::Set(None));
    let Answer::Guards(Some(Guards { velocities, watch: found })) = look(Look::Guards(id)) else {
        panic!("guards")
    };
    assert_eq!((velocities.len(), velocities[0].count_max, found), (1, Some(3), watch));
    let Answer::Set(Some(balance)) = look(Look::Set(set(1))) else { panic!("a set") };
    assert_eq!((balance.accounts, balance.balance().to_string()), (1, "5000000".into()));
    let Answer::Totals(totals) = look(Look::Totals) else { panic!("totals") };
    assert_eq!(totals.len(), 2);
    assert!(totals.iter().all(tpw_ledger::AssetTotal::is_balanced));
}
