//! Orders of the operator: each is done once, whatever is sent again; a refused one uses up its id; a person's money is out of reach;
//! all of one command stands under one entry of the log.

use super::support::*;
use std::borrow::Borrow as _;
use tpw_core::{Amount, Asset, Hash32, Money, Span, TransferId};
use tpw_flow::{
    Adjustment, Answer, Command, EventKind, Order, OrderOutcome, OrderRefusal, OrderRejection,
    Ordered, Orders,
};
use tpw_ledger::{
    AccountKind, Balance, Comparison, Condition, FreezeReason, Ledger, Limits, Measure,
    TransferKind, TransferRequest, Velocity,
};

pub(super) const FLOAT: u8 = 70;
pub(super) const FEES: u8 = 71;
const BY: Hash32 = Hash32::new([7; 32]);

/// A bench with two accounts of the operator: 1,000 in the first.
pub(super) fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.open_own(order(FLOAT, usd(), AccountKind::Operating, 1_000));
    bench.open_own(order(FEES, usd(), AccountKind::Operating, 0));
    bench
}

fn id(bench: &Bench, n: u8) -> TransferId {
    TransferId::new(bench.now.unix_ms(), [n; 10])
}

fn money(amount: u128) -> Money {
    Money { amount: cents(amount), asset: usd() }
}

pub(super) fn leg(id: TransferId, from: u8, to: u8, amount: u128) -> TransferRequest {
    TransferRequest {
        id,
        debit: account(from),
        credit: account(to),
        money: money(amount),
        effective: None,
    }
}

fn orders(orders: &[Order]) -> Command {
    let orders = orders.iter().cloned().map(Into::into).collect();
    Command::Orders(Box::new(Orders { orders, by: BY, salt: [9; 32] }))
}

fn give(bench: &mut Bench, all: &[Order]) -> Vec<OrderOutcome> {
    match bench.must(orders(all)) {
        Answer::Ordered(outcomes) => outcomes,
        other => panic!("{other:?}"),
    }
}

fn give_to(bench: &mut Bench, order: &Order) -> OrderOutcome {
    let outcomes = give(bench, std::slice::from_ref(order));
    assert_eq!(outcomes.len(), 1);
    outcomes[0]
}

/// The order is made before the bench is borrowed for carrying it out.
macro_rules! give_one {
    ($bench:expr, $order:expr $(,)?) => {{
        let order = $order;
        give_to($bench, order.borrow())
    }};
}

fn done(outcome: OrderOutcome) -> u64 {
    match outcome {
        OrderOutcome::Done { number } => number,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_order_is_done_once() {
    let mut bench = bench();
    let order = Order::Transfer(leg(id(&bench, 1), FLOAT, FEES, 100));
    let outcomes = give(&mut bench, &[order.clone(), order.clone()]);
    let number = done(outcomes[0]);
    assert_eq!(outcomes[1], OrderOutcome::Repeated { number }, "in the same command");
    assert_eq!(give_one!(&mut bench, &order), OrderOutcome::Repeated { number }, "in a later one");
    bench.later(90);
    assert_eq!(give_one!(&mut bench, &order), OrderOutcome::Repeated { number }, "and for ever");
    assert_eq!((bench.balance(FLOAT), bench.balance(FEES)), ("900".into(), "100".into()));
}

#[test]
fn a_repetition_is_recognised_while_the_first_is_being_stored() {
    let mut bench = bench();
    let order = Order::Transfer(leg(id(&bench, 1), FLOAT, FEES, 100));
    let first =
        bench.desk.apply(orders(std::slice::from_ref(&order)), bench.now, &bench.books).unwrap();
    let _in_flight = bench.desk.take_changes();
    let again = bench.desk.apply(orders(&[order]), bench.now, &bench.books).unwrap();
    let (Ok(Answer::Ordered(first)), Ok(Answer::Ordered(again))) = (first, again) else { panic!() };
    assert_eq!(again, [OrderOutcome::Repeated { number: done(first[0]) }]);
}

#[test]
fn another_order_under_the_same_id_learns_what_differs() {
    let mut bench = bench();
    let first = leg(id(&bench, 1), FLOAT, FEES, 100);
    done(give_one!(&mut bench, &Order::Transfer(first)));
    let earlier = bench.now.minus(tpw_core::Span::from_secs(60));
    for (field, other) in [
        ("amount", Order::Transfer(TransferRequest { money: money(101), ..first })),
        ("debit", Order::Transfer(TransferRequest { debit: account(ISSUANCE), ..first })),
        ("credit", Order::Transfer(TransferRequest { credit: account(BOB), ..first })),
        ("effective", Order::Transfer(TransferRequest { effective: Some(earlier), ..first })),
        ("kind", Order::Void { hold: id(&bench, 9), id: first.id }),
        ("legs", Order::Linked(vec![first, leg(id(&bench, 2), FLOAT, FEES, 1)])),
    ] {
        let differs = OrderRejection::ExistsWithDifferent { field };
        assert_eq!(give_one!(&mut bench, &other), OrderOutcome::Rejected(differs), "{field}");
    }
    assert_eq!(bench.balance(FLOAT), "900");
}

#[test]
fn a_refused_order_stays_refused() {
    let mut bench = bench();
    let too_much = Order::Transfer(leg(id(&bench, 1), FEES, FLOAT, 5));
    let why = OrderRefusal::InsufficientFunds;
    assert_eq!(give_one!(&mut bench, &too_much), OrderOutcome::Refused { why });
    // Now there would be enough; who sends it again late must not be surprised.
    done(give_one!(&mut bench, &Order::Transfer(leg(id(&bench, 2), FLOAT, FEES, 50))));
    assert_eq!(give_one!(&mut bench, &too_much), OrderOutcome::RefusedBefore { why });
    let other = Order::Transfer(leg(id(&bench, 1), FEES, FLOAT, 4));
    let differs = OrderRejection::ExistsWithDifferent { field: "order" };
    assert_eq!(give_one!(&mut bench, &other), OrderOutcome::Rejected(differs));
    assert_eq!(bench.balance(FEES), "50");
}

#[test]
fn a_persons_money_is_out_of_reach() {
    let mut bench = bench();
    let why = OrderRefusal::PersonsAccount;
    let now = bench.now;
    for order in [
        Order::Transfer(leg(id(&bench, 1), ALICE, FLOAT, 1)),
        Order::Linked(vec![
            leg(id(&bench, 2), FLOAT, FEES, 1),
            leg(id(&bench, 3), ALICE, FLOAT, 1),
        ]),
        Order::Hold {
            request: leg(id(&bench, 4), BOB_SELF, FLOAT, 1),
            expires: now.plus(tpw_core::Span::from_secs(60)),
        },
    ] {
        assert_eq!(give_one!(&mut bench, &order), OrderOutcome::Refused { why });
    }
    // The hold of a payment that waits for its payer.
    let waiting = bench.pay(ALICE, BOB, STEP_UP, tpw_flow::Status::StepUp);
    let hold = bench.desk.ledger().holds().next().unwrap().id;
    for (n, order) in [
        Order::Post { hold, id: id(&bench, 5), amount: None },
        Order::Void { hold, id: id(&bench, 6) },
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(give_one!(&mut bench, order), OrderOutcome::Refused { why }, "{n}");
    }
    assert_eq!(bench.desk.waiting().count(), 1, "{:?}", waiting.id());
    // Money to a person is no trouble.
    done(give_one!(&mut bench, &Order::Transfer(leg(id(&bench, 7), FLOAT, BOB, 10))));
}

#[test]
fn linked_legs_are_all_done_or_none() {
    let mut bench = bench();
    let legs = |bench: &Bench, n: u8, second: u128| {
        let (a, b) = (id(bench, n), id(bench, n + 1));
        Order::Linked(vec![leg(a, FLOAT, FEES, 100), leg(b, FEES, BOB, second)])
    };
    let too_much = legs(&bench, 1, 101);
    let why = OrderRefusal::InsufficientFunds;
    assert_eq!(give_one!(&mut bench, &too_much), OrderOutcome::Refused { why });
    assert_eq!((bench.balance(FLOAT), bench.balance(FEES)), ("1000".into(), "0".into()));
    let enough = legs(&bench, 3, 60);
    let number = done(give_one!(&mut bench, &enough));
    assert_eq!(give_one!(&mut bench, &enough), OrderOutcome::Repeated { number });
    assert_eq!((bench.balance(FLOAT), bench.balance(FEES)), ("900".into(), "40".into()));
    let used =
        Order::Linked(vec![leg(id(&bench, 9), FLOAT, FEES, 1), leg(id(&bench, 4), FLOAT, FEES, 1)]);
    let rejected = OrderRejection::LegIdUsed(id(&bench, 4));
    assert_eq!(give_one!(&mut bench, &used), OrderOutcome::Rejected(rejected));
    assert_eq!(
        give_one!(&mut bench, &Order::Linked(Vec::new())),
        OrderOutcome::Refused { why: OrderRefusal::LegCount }
    );
}

#[test]
fn an_id_from_the_future_is_not_taken() {
    let mut bench = bench();
    let late = TransferId::new(bench.now.unix_ms() + 61_000, [1; 10]);
    let rejected = OrderOutcome::Rejected(OrderRejection::FromFuture(late));
    assert_eq!(give_one!(&mut bench, &Order::Transfer(leg(late, FLOAT, FEES, 1))), rejected);
    bench.later(2);
    done(give_one!(&mut bench, &Order::Transfer(leg(late, FLOAT, FEES, 1))));
}

#[test]
fn holds_are_posted_in_part_voided_or_run_out() {
    let mut bench = bench();
    let expires = bench.now.plus(tpw_core::Span::from_secs(600));
    let hold =
        |bench: &Bench, n| Order::Hold { request: leg(id(bench, n), FLOAT, FEES, 300), expires };
    for n in 1..=3 {
        let order = hold(&bench, n);
        let number = done(give_one!(&mut bench, &order));
        assert_eq!(give_one!(&mut bench, &order), OrderOutcome::Repeated { number });
    }
    let refused = give_one!(&mut bench, &Order::Transfer(leg(id(&bench, 4), FLOAT, FEES, 101)));
    assert_eq!(refused, OrderOutcome::Refused { why: OrderRefusal::InsufficientFunds }, "held");
    let (one, two) = (id(&bench, 1), id(&bench, 2));
    let post = Order::Post { hold: one, id: id(&bench, 5), amount: Some(cents(120)) };
    let number = done(give_one!(&mut bench, &post));
    assert_eq!(give_one!(&mut bench, &post), OrderOutcome::Repeated { number });
    let other = Order::Post { hold: two, id: id(&bench, 5), amount: Some(cents(120)) };
    let differs = OrderRejection::ExistsWithDifferent { field: "hold" };
    assert_eq!(give_one!(&mut bench, &other), OrderOutcome::Rejected(differs));
    done(give_one!(&mut bench, &Order::Void { hold: two, id: id(&bench, 6) }));
    let again = Order::Post { hold: two, id: id(&bench, 7), amount: None };
    let why = OrderRefusal::HoldNotOpen;
    assert_eq!(give_one!(&mut bench, &again), OrderOutcome::Refused { why });
    assert_eq!(bench.desk.next_deadline(), Some(expires));
    bench.later(10);
    assert_eq!(bench.must(Command::Tick), Answer::Ended(1));
    assert_eq!((bench.balance(FLOAT), bench.balance(FEES)), ("880".into(), "120".into()));
    assert_eq!(bench.desk.ledger().holds().count(), 0);
}

#[test]
fn what_an_order_moved_is_reversed_once() {
    let mut bench = bench();
    let number =
        done(give_one!(&mut bench, &Order::Transfer(leg(id(&bench, 1), FLOAT, FEES, 100))));
    let reverse = Order::Reverse { of: number, id: id(&bench, 2) };
    let back = done(give_one!(&mut bench, &reverse));
    assert_eq!(give_one!(&mut bench, &reverse), OrderOutcome::Repeated { number: back });
    let twice = Order::Reverse { of: number, id: id(&bench, 3) };
    let refused = |why| OrderOutcome::Refused { why };
    assert_eq!(give_one!(&mut bench, &twice), refused(OrderRefusal::AlreadyReversed));
    let reversal = Order::Reverse { of: back, id: id(&bench, 4) };
    assert_eq!(give_one!(&mut bench, &reversal), refused(OrderRefusal::UnknownOriginal));
    let unknown = Order::Reverse { of: 9_999, id: id(&bench, 5) };
    assert_eq!(give_one!(&mut bench, &unknown), refused(OrderRefusal::UnknownOriginal));
    // What a payment moved goes back by the payment's own ways.
    let booked = bench.pay(ALICE, PARTNER, 500, tpw_flow::Status::Booked);
    let of = booked.booked().unwrap().postings()[0].number;
    let payments = Order::Reverse { of, id: id(&bench, 6) };
    assert_eq!(give_one!(&mut bench, &payments), refused(OrderRefusal::UnknownOriginal));
    assert_eq!((bench.balance(FLOAT), bench.balance(PARTNER)), ("1000".into(), "500".into()));
}

#[test]
fn one_entry_of_the_log_commits_to_a_command() {
    let mut bench = bench();
    let before = bench.leaves.len();
    let all: Vec<_> =
        (1..=5).map(|n| Order::Transfer(leg(id(&bench, n), FLOAT, FEES, 10))).collect();
    let (outcome, changes) = bench.apply(orders(&all));
    assert!(matches!(outcome, Ok(Answer::Ordered(_))));
    let [batch] = changes.order_batches.as_slice() else { panic!("one batch") };
    assert_eq!((batch.count, batch.by, batch.at), (5, BY, bench.now));
    assert_eq!((batch.leaf, bench.leaves.len()), (before as u64, before + 1));
    let mut rows = changes.ledger.transfers.clone();
    assert_eq!(bench.leaves[before], batch.commitment(&rows));
    rows[2].money = money(11);
    assert_ne!(bench.leaves[before], batch.commitment(&rows), "an altered transfer is noticed");
    // Nothing done, nothing to commit to.
    let (_, changes) = bench.apply(orders(&all));
    assert!(changes.order_batches.is_empty() && changes.leaves.is_empty());
    assert!(changes.ledger.is_empty() && changes.events.is_empty());
}

#[test]
fn refusals_are_events_and_transfers_are_not() {
    let mut bench = bench();
    let fine = Order::Transfer(leg(id(&bench, 1), FLOAT, FEES, 10));
    let refused = Order::Transfer(leg(id(&bench, 2), FEES, FLOAT, 11));
    let (_, changes) = bench.apply(orders(&[fine, refused]));
    let [event] = changes.events.as_slice() else { panic!("one event") };
    assert_eq!(event.kind, EventKind::OrderRefused);
    assert_eq!(event.subject, *id(&bench, 2).as_bytes());
    let [row] = changes.ledger.transfers.as_slice() else { panic!("one transfer") };
    assert_eq!((row.kind, event.position), (TransferKind::Transfer, row.number + 1));
}

fn at_least(n: u8, on: Measure, amount: u128) -> Condition {
    let than = Balance::between(cents(amount), Amount::ZERO);
    Condition { account: account(n), on, is: Comparison::AtLeast, than }
}

fn give_if(bench: &mut Bench, order: Order, conditions: &[Condition]) -> OrderOutcome {
    let orders = vec![Ordered { order, conditions: conditions.to_vec() }];
    let orders = Orders { orders, by: BY, salt: [9; 32] };
    match bench.must(Command::Orders(Box::new(orders))) {
        Answer::Ordered(outcomes) => outcomes[0],
        other => panic!("{other:?}"),
    }
}

#[test]
fn conditions_are_judged_on_what_the_order_leaves() {
    let mut bench = bench();
    let pay = |bench: &Bench, n| Order::Transfer(leg(id(bench, n), FLOAT, FEES, 400));
    let hold = |bench: &Bench, n| {
        let expires = bench.now.plus(Span::from_secs(60));
        Order::Hold { request: leg(id(bench, n), FLOAT, FEES, 400), expires }
    };
    let posted = |amount| [at_least(FLOAT, Measure::Posted, amount)];
    let available = |amount| [at_least(FLOAT, Measure::Available, amount)];
    let why = OrderRefusal::ConditionFailed;
    let order = pay(&bench, 1);
    assert_eq!(give_if(&mut bench, order.clone(), &posted(601)), OrderOutcome::Refused { why });
    // Refused for good; with a condition that would hold, or with none, it is another order.
    assert_eq!(
        give_if(&mut bench, order.clone(), &posted(601)),
        OrderOutcome::RefusedBefore { why }
    );
    let other = OrderOutcome::Rejected(OrderRejection::ExistsWithDifferent { field: "order" });
    assert_eq!(give_if(&mut bench, order.clone(), &posted(600)), other);
    assert_eq!(give_if(&mut bench, order, &[]), other);
    let order = pay(&bench, 2);
    let number = done(give_if(&mut bench, order.clone(), &posted(600)));
    assert_eq!(give_if(&mut bench, order.clone(), &posted(600)), OrderOutcome::Repeated { number });
    // Done for good, whatever another order under its id would demand.
    assert_eq!(give_if(&mut bench, order, &posted(5_000)), other);
    let order = hold(&bench, 3);
    assert_eq!(give_if(&mut bench, order, &available(201)), OrderOutcome::Refused { why });
    assert_eq!(bench.desk.ledger().holds().count(), 0);
    let order = hold(&bench, 4);
    done(give_if(&mut bench, order, &available(200)));
    assert_eq!(bench.balance(FLOAT), "600");
}

/// A bench with accounts in which each way of refusing can be reached.
struct Obstacles {
    bench: Bench,
    /// Expired, and no tick has ended it.
    expired: TransferId,
    open: TransferId,
    reversed: u64,
}

const FROZEN: u8 = 72;
const CLOSED: u8 = 73;
const LIMITED: u8 = 74;
const SLOW: u8 = 75;

fn obstacles() -> Obstacles {
    let mut bench = bench();
    for n in [FROZEN, CLOSED, LIMITED, SLOW] {
        bench.open_own(order(n, usd(), AccountKind::Operating, 0));
    }
    let on = account;
    let limits = Limits::NONE.with_debit_max_per_transfer(Some(cents(5)));
    let slow = Velocity { window: Span::from_secs(60), amount_max: None, count_max: Some(0) };
    for adjustment in [
        Adjustment::Freeze { account: on(FROZEN), why: FreezeReason::Operator },
        Adjustment::Close { account: on(CLOSED) },
        Adjustment::SetLimits { account: on(LIMITED), limits },
        Adjustment::SetVelocities { account: on(SLOW), velocities: vec![slow] },
    ] {
        bench.must(Command::Adjust(adjustment));
    }
    let hold = |bench: &mut Bench, n, life_s| {
        let (id, expires) = (id(bench, n), bench.now.plus(Span::from_secs(life_s)));
        let order = Order::Hold { request: leg(id, FLOAT, FEES, 10), expires };
        done(give_to(bench, &order));
        id
    };
    let (expired, open) = (hold(&mut bench, 101, 60), hold(&mut bench, 102, 6_000));
    let order = Order::Transfer(leg(id(&bench, 103), FLOAT, FEES, 1));
    let reversed = done(give_to(&mut bench, &order));
    let order = Order::Reverse { of: reversed, id: id(&bench, 104) };
    done(give_to(&mut bench, &order));
    bench.later(2);
    Obstacles { bench, expired, open, reversed }
}

fn demand_refused(bench: &mut Bench, why: OrderRefusal, order: &Order, conditions: &[Condition]) {
    let before = bench.desk.ledger().clone();
    let outcome = give_if(bench, order.clone(), conditions);
    assert_eq!(outcome, OrderOutcome::Refused { why });
    assert!(*bench.desk.ledger() == before, "{why:?} moved something");
    let again = give_if(bench, order.clone(), conditions);
    assert_eq!(again, OrderOutcome::RefusedBefore { why });
}

/// Goal: every refusal is reached, its id is used up, and nothing has moved.
#[test]
fn every_refusal_is_reached_and_moves_nothing() {
    use OrderRefusal as Why;
    let Obstacles { mut bench, expired, open, reversed } = obstacles();
    let now = bench.now;
    let at = |n| TransferId::new(now.unix_ms(), [n; 10]);
    let pay = |n, from, to, amount| Order::Transfer(leg(at(n), from, to, amount));
    let of = |n, asset: Asset, to| {
        let money = Money { amount: cents(1), asset };
        Order::Transfer(TransferRequest { money, ..leg(at(n), FLOAT, to, 1) })
    };
    let huge = TransferRequest {
        money: Money { amount: Amount::MAX, asset: usd() },
        ..leg(at(15), ISSUANCE, FLOAT, 1)
    };
    let effective =
        |request, ms: Span| TransferRequest { effective: Some(now.plus(ms)), ..request };
    let (soon, zero) = (now.plus(Span::from_secs(60)), Span::from_ms(0));
    let plain = [
        (Why::UnknownDebit, pay(1, 99, FLOAT, 1)),
        (Why::UnknownCredit, pay(2, FLOAT, 99, 1)),
        (Why::DebitAsset, of(3, cny(), FEES)),
        (Why::CreditAsset, of(4, usd(), ISSUANCE_CNY)),
        (Why::SameAccount, pay(5, FLOAT, FLOAT, 1)),
        (Why::ZeroAmount, pay(6, FLOAT, FEES, 0)),
        (Why::DebitFrozen, pay(7, FROZEN, FEES, 1)),
        (Why::CreditFrozen, pay(8, FLOAT, FROZEN, 1)),
        (Why::DebitClosed, pay(9, CLOSED, FEES, 1)),
        (Why::CreditClosed, pay(10, FLOAT, CLOSED, 1)),
        (Why::InsufficientFunds, pay(11, FLOAT, FEES, 981)),
        (Why::LimitExceeded, pay(12, LIMITED, FEES, 6)),
        (Why::VelocityExceeded, {
            let legs = vec![leg(at(13), FLOAT, SLOW, 1), leg(at(130), SLOW, FEES, 1)];
            Order::Linked(legs)
        }),
        (Why::Overflow, Order::Transfer(huge)),
        (Why::DuplicateLeg, Order::Linked(vec![leg(at(17), FLOAT, FEES, 1); 2])),
        (
            Why::EffectiveInFuture,
            Order::Transfer(effective(leg(at(18), FLOAT, FEES, 1), Span::from_ms(1))),
        ),
        (Why::HoldNotOpen, Order::Void { hold: at(200), id: at(19) }),
        (Why::HoldExpired, Order::Post { hold: expired, id: at(20), amount: None }),
        (Why::ExpiryPast, Order::Hold { request: leg(at(21), FLOAT, FEES, 1), expires: now }),
        (Why::AmountAboveHold, Order::Post { hold: open, id: at(22), amount: Some(cents(11)) }),
        (Why::UnknownOriginal, Order::Reverse { of: 9_999, id: at(23) }),
        (Why::AlreadyReversed, Order::Reverse { of: reversed, id: at(24) }),
        (Why::PersonsAccount, pay(25, ALICE, FLOAT, 1)),
        (
            Why::EffectiveHold,
            Order::Hold { request: effective(leg(at(26), FLOAT, FEES, 1), zero), expires: soon },
        ),
    ];
    let many = vec![at_least(FLOAT, Measure::Posted, 0); Ledger::CONDITIONS_MAX + 1];
    let conditional = [
        (Why::ConditionFailed, pay(14, FLOAT, FEES, 1), vec![at_least(FEES, Measure::Posted, 2)]),
        (Why::ConditionCount, pay(27, FLOAT, FEES, 1), many),
        (Why::UnknownAccount, pay(28, FLOAT, FEES, 1), vec![at_least(99, Measure::Posted, 0)]),
    ];
    let cases = plain.into_iter().map(|(why, order)| (why, order, Vec::new()));
    let mut reached = vec![OrderRefusal::LegCount]; // has no id that could be used up
    let none = Order::Linked(Vec::new());
    assert_eq!(give_to(&mut bench, &none), OrderOutcome::Refused { why: Why::LegCount });
    for (why, order, conditions) in cases.chain(conditional) {
        demand_refused(&mut bench, why, &order, &conditions);
        reached.push(why);
    }
    reached.sort_by_key(|why| why.number());
    assert_eq!(reached, OrderRefusal::ALL);
}
