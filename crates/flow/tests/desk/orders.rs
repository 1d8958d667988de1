//! Orders of the operator: each is done once, whatever is sent again; a refused one uses up its id; a person's money is out of reach;
//! all of one command stands under one entry of the log.

use super::support::*;
use std::borrow::Borrow as _;
use tpw_core::{Hash32, Money, TransferId};
use tpw_flow::{
    Answer, Command, EventKind, Order, OrderOutcome, OrderRefusal, OrderRejection, Orders,
};
use tpw_ledger::{AccountKind, TransferKind, TransferRequest};

const FLOAT: u8 = 70;
const FEES: u8 = 71;
const BY: Hash32 = Hash32::new([7; 32]);

/// A bench with two accounts of the operator: 1,000 in the first.
fn bench() -> Bench {
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

fn leg(id: TransferId, from: u8, to: u8, amount: u128) -> TransferRequest {
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
