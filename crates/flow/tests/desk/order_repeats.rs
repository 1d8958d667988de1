//! An order that is sent again gets the outcome that is stored only if it is the same in every field; any other under its id changes
//! nothing, whether memory, a batch under way or only the books know the id.
//!
//! Method: random orders of every kind. Each is sent twice, and beside it every order that differs from it in one field: in the
//! same command, in a later one, and after a restart. A plain list of what was sent and what became of it is the reference.

use super::orders::{FEES, FLOAT, bench, leg};
use super::support::*;
use proptest::prelude::*;
use tpw_core::{Amount, Hash32, Instant, Span, TransferId};
use tpw_flow::{Answer, Command, Order, OrderOutcome, OrderRejection, Ordered, Orders, Rejection};
use tpw_ledger::{Balance, Comparison, Condition, Ledger, Measure, TransferRequest};

/// What an order is made of; the rest follows from when it is sent.
#[derive(Clone, Debug)]
struct Plan {
    kind: u8,
    /// Places among `PARTIES`, and an amount, for each leg.
    legs: Vec<(usize, usize, u16)>,
    /// How many seconds ago the value date lies; 0 is now.
    ago: Option<u8>,
    /// Which hold or transfer it is about.
    pick: usize,
    whole: bool,
    conditions: Vec<(usize, u8)>,
}

const PARTIES: [u8; 5] = [ISSUANCE, FLOAT, FEES, PARTNER, BOB];

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let leg = (0..PARTIES.len(), 0..PARTIES.len(), 0..500_u16);
    let condition = (0..PARTIES.len(), 0..3_u8);
    let plan = (
        0..8_u8,
        prop::collection::vec(leg, 1..4),
        prop::option::weighted(0.3, 0..3_u8),
        any::<usize>(),
        any::<bool>(),
        prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(condition, 1..3)],
    );
    let plan = plan.prop_map(|(kind, legs, ago, pick, whole, conditions)| Plan {
        kind,
        legs,
        ago,
        pick,
        whole,
        conditions,
    });
    prop::collection::vec(plan, 1..10)
}

/// What was sent and what became of it.
struct Run {
    bench: Bench,
    sent: Vec<(Ordered, OrderOutcome)>,
    ids: u16,
}

fn same_again(outcome: OrderOutcome) -> OrderOutcome {
    match outcome {
        OrderOutcome::Done { number } => OrderOutcome::Repeated { number },
        OrderOutcome::Refused { why } => OrderOutcome::RefusedBefore { why },
        other => panic!("a fresh id was answered by {other:?}"),
    }
}

fn is_conflict(outcome: OrderOutcome) -> bool {
    matches!(outcome, OrderOutcome::Rejected(OrderRejection::ExistsWithDifferent { .. }))
}

impl Run {
    fn fresh_id(&mut self) -> TransferId {
        self.ids += 1;
        let mut tail = [77; 10];
        tail[..2].copy_from_slice(&self.ids.to_be_bytes());
        TransferId::new(self.bench.now.unix_ms(), tail)
    }

    fn give(&mut self, orders: Vec<Ordered>) -> (Vec<OrderOutcome>, tpw_flow::Changes) {
        let orders = Orders { orders, by: Hash32::new([7; 32]), salt: [9; 32] };
        match self.bench.apply(Command::Orders(Box::new(orders))) {
            (Ok(Answer::Ordered(outcomes)), changes) => (outcomes, changes),
            other => panic!("{other:?}"),
        }
    }

    /// What an earlier hold was, or an id that was never used.
    fn hold(&mut self, pick: usize) -> TransferId {
        let holds: Vec<TransferId> = self
            .sent
            .iter()
            .filter_map(|(sent, _)| match &sent.order {
                Order::Hold { request, .. } => Some(request.id),
                _ => None,
            })
            .collect();
        if holds.is_empty() { self.fresh_id() } else { holds[pick % holds.len()] }
    }

    fn original(&self, pick: usize) -> u64 {
        let done = self.sent.iter().filter_map(|(_, outcome)| match outcome {
            OrderOutcome::Done { number } => Some(*number),
            _ => None,
        });
        let done: Vec<u64> = done.collect();
        if done.is_empty() { 1 } else { done[pick % done.len()] }
    }

    fn ordered(&mut self, plan: &Plan) -> Ordered {
        let now = self.bench.now;
        let effective = plan.ago.map(|ago| now.minus(Span::from_secs(ago.into())));
        let mut legs: Vec<TransferRequest> = Vec::new();
        for (from, to, amount) in &plan.legs {
            let id = self.fresh_id();
            let leg = leg(id, PARTIES[*from], PARTIES[*to], u128::from(*amount));
            legs.push(TransferRequest { effective, ..leg });
        }
        let first = legs[0];
        let amount = (!plan.whole).then_some(first.money.amount);
        let order = match plan.kind {
            0 | 1 => Order::Transfer(first),
            2 | 3 => Order::Linked(legs),
            4 | 5 => {
                let request = TransferRequest { effective: None, ..first };
                let life = Span::from_secs(u64::from(plan.legs[0].2) + 1);
                Order::Hold { request, expires: now.plus(life) }
            }
            6 if plan.whole => Order::Void { hold: self.hold(plan.pick), id: first.id },
            6 => Order::Post { hold: self.hold(plan.pick), id: first.id, amount },
            _ if plan.whole => Order::Post { hold: self.hold(plan.pick), id: first.id, amount },
            _ => Order::Reverse { of: self.original(plan.pick), id: first.id },
        };
        let condition = |(party, than): &(usize, u8)| {
            let than = Balance::between(cents((*than).into()), Amount::ZERO);
            let (account, on) = (account(PARTIES[*party]), Measure::Posted);
            Condition { account, on, is: Comparison::AtLeast, than }
        };
        Ordered { order, conditions: plan.conditions.iter().map(condition).collect() }
    }

    /// Every other order under an id that was used, and the same order, change nothing.
    fn demand_decided(&mut self) {
        for (ordered, outcome) in self.sent.clone() {
            let mut orders = vec![ordered.clone()];
            orders.extend(others(&ordered));
            if let (Order::Linked(legs), OrderOutcome::Done { .. }) = (&ordered.order, outcome) {
                orders.extend(from_later_legs(legs));
            }
            let (answers, changes) = self.give(orders.clone());
            assert_nothing(&changes);
            assert_eq!(answers[0], same_again(outcome), "{ordered:?}");
            for (other, answer) in orders.iter().zip(answers).skip(1) {
                assert!(is_conflict(answer), "{ordered:?}, then {other:?}: {answer:?}");
            }
        }
    }
}

/// Orders with the id of a leg that is not the first.
fn from_later_legs(legs: &[TransferRequest]) -> Vec<Ordered> {
    let mut all = Vec::new();
    for place in 1..legs.len() {
        all.push(Order::Transfer(legs[place]).into());
        all.push(Order::Linked(legs[place..].to_vec()).into());
        let later = Instant::from_unix_ms(u64::MAX >> 20).unwrap();
        all.push(Order::Hold { request: legs[place], expires: later }.into());
    }
    all
}

/// All orders under the same id that differ in one field, a leg or a condition.
fn others(ordered: &Ordered) -> Vec<Ordered> {
    let Ordered { order, conditions } = ordered;
    let mut all: Vec<Ordered> = other_conditions(conditions)
        .into_iter()
        .map(|conditions| Ordered { order: order.clone(), conditions })
        .collect();
    let orders = match order {
        Order::Transfer(request) => {
            let linked = Order::Linked(vec![*request]);
            let later = request_at(*request, 1);
            let longer = Order::Linked(vec![*request, later]);
            let hold = Order::Hold { request: *request, expires: at(1_000_000) };
            let mut orders = vec![linked, longer, hold];
            orders.extend(other_requests(*request).into_iter().map(Order::Transfer));
            orders
        }
        Order::Linked(legs) => other_legs(legs),
        Order::Hold { request, expires } => {
            let mut orders = vec![Order::Transfer(*request)];
            for expires in [expires.plus(Span::from_ms(1)), expires.minus(Span::from_ms(1))] {
                orders.push(Order::Hold { request: *request, expires });
            }
            let hold = |request| Order::Hold { request, expires: *expires };
            orders.extend(other_requests(*request).into_iter().map(hold));
            orders
        }
        Order::Post { hold, id, amount } => {
            let (hold, id) = (*hold, *id);
            let most = Some(Amount::from_minor(u128::from(u64::MAX)));
            let amounts = [None, Some(cents(1)), amount.and_then(|a| a.plus(cents(1))), most];
            let held = (1..500).map(|held| Some(cents(held)));
            let amounts = amounts.into_iter().chain(held).filter(|other| other != amount);
            let mut orders: Vec<Order> =
                amounts.map(|amount| Order::Post { hold, id, amount }).collect();
            orders.push(Order::Post { hold: other_id(hold), id, amount: *amount });
            orders.push(Order::Void { hold, id });
            orders
        }
        Order::Void { hold, id } => {
            let (hold, id) = (*hold, *id);
            vec![Order::Void { hold: other_id(hold), id }, Order::Post { hold, id, amount: None }]
        }
        Order::Reverse { of, id } => {
            let id = *id;
            vec![Order::Reverse { of: of + 1, id }, Order::Void { hold: other_id(id), id }]
        }
    };
    let conditions = || conditions.clone();
    all.extend(orders.into_iter().map(|order| Ordered { order, conditions: conditions() }));
    assert!(all.iter().all(|other| other != ordered), "{ordered:?}");
    all
}

fn other_id(id: TransferId) -> TransferId {
    let mut bytes = *id.as_bytes();
    bytes[15] ^= 1;
    TransferId::from_bytes(bytes)
}

/// The same movement as another leg, under an id that was never used.
fn request_at(request: TransferRequest, place: u8) -> TransferRequest {
    let mut bytes = *request.id.as_bytes();
    bytes[14] ^= 128 + place;
    TransferRequest { id: TransferId::from_bytes(bytes), ..request }
}

fn other_requests(request: TransferRequest) -> Vec<TransferRequest> {
    let TransferRequest { debit, credit, money, effective, .. } = request;
    let other_of = |taken| {
        let others = PARTIES.iter().map(|n| account(*n));
        others.filter(move |party| *party != taken)
    };
    let mut all: Vec<_> =
        other_of(debit).map(|debit| TransferRequest { debit, ..request }).collect();
    all.extend(other_of(credit).map(|credit| TransferRequest { credit, ..request }));
    let mut more = money;
    more.amount = money.amount.plus(cents(1)).unwrap();
    let mut other_asset = money;
    other_asset.asset = cny();
    all.extend([more, other_asset].map(|money| TransferRequest { money, ..request }));
    // Also the time of booking, which a row cannot tell from none.
    let dates = (0..4).map(|ago| Some(at(NOW_S).minus(Span::from_secs(ago)))).chain([None]);
    let dates = dates.filter(|other| *other != effective);
    all.extend(dates.map(|effective| TransferRequest { effective, ..request }));
    all
}

fn other_legs(legs: &[TransferRequest]) -> Vec<Order> {
    let mut all = vec![Order::Transfer(legs[0])];
    let mut linked = Vec::new();
    for place in 0..legs.len() {
        for other in other_requests(legs[place]) {
            let mut legs = legs.to_vec();
            legs[place] = other;
            linked.push(legs);
        }
        if place > 0 {
            let mut fewer = legs.to_vec();
            fewer.remove(place);
            linked.push(fewer);
            let mut renamed = legs.to_vec();
            renamed[place] = request_at(legs[place], 1);
            linked.push(renamed);
        }
        let mut longer = legs.to_vec();
        longer.insert(place + 1, request_at(legs[place], 2));
        linked.push(longer);
    }
    if legs.len() > 2 {
        let mut turned = legs.to_vec();
        turned.swap(1, 2);
        linked.push(turned);
    }
    all.extend(linked.into_iter().map(Order::Linked));
    all
}

fn other_conditions(conditions: &[Condition]) -> Vec<Vec<Condition>> {
    let than = Balance::between(Amount::ZERO, cents(9));
    let free =
        Condition { account: account(BOB), on: Measure::Posted, is: Comparison::AtLeast, than };
    let mut all = vec![[conditions, &[free]].concat()];
    for (place, condition) in conditions.iter().enumerate() {
        let mut fewer = conditions.to_vec();
        fewer.remove(place);
        all.push(fewer);
        for other in [
            Condition { account: account(BOB_SELF), ..*condition },
            Condition { on: Measure::Pending, ..*condition },
            Condition { is: Comparison::Greater, ..*condition },
            Condition { than, ..*condition },
        ] {
            let mut changed = conditions.to_vec();
            changed[place] = other;
            all.push(changed);
        }
    }
    all
}

/// When all orders are booked.
const NOW_S: u64 = 600;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn only_the_same_order_is_repeated(plans in plans()) {
        let mut run = Run { bench: bench(), sent: Vec::new(), ids: 0 };
        run.bench.now = at(NOW_S);
        for plan in &plans {
            let ordered = run.ordered(plan);
            let mut orders = vec![ordered.clone(), ordered.clone()];
            orders.extend(others(&ordered));
            // In one command, of which nothing is noted before its end.
            let (answers, _changes) = run.give(orders);
            prop_assert_eq!(answers[1], same_again(answers[0]));
            for answer in &answers[2..] {
                prop_assert!(is_conflict(*answer), "{:?} in one command: {:?}", ordered, answer);
            }
            run.sent.push((ordered, answers[0]));
        }
        run.demand_decided();
        run.bench.restart();
        run.demand_decided();
        // After it the ids are not the newest any more.
        run.bench.later(10);
        run.demand_decided();
    }
}

fn conflict(field: &'static str) -> OrderOutcome {
    OrderOutcome::Rejected(OrderRejection::ExistsWithDifferent { field })
}

fn give_one(bench: &mut Bench, ordered: impl Into<Ordered>) -> OrderOutcome {
    let orders = Orders { orders: vec![ordered.into()], by: Hash32::new([7; 32]), salt: [9; 32] };
    match bench.must(Command::Orders(Box::new(orders))) {
        Answer::Ordered(outcomes) => outcomes[0],
        other => panic!("{other:?}"),
    }
}

/// The field is named wherever it is known; where only the digest differs, nothing wrong is said.
#[test]
fn who_uses_an_id_again_learns_what_differs() {
    let mut bench = bench();
    let id = |n| TransferId::new(at(0).unix_ms(), [n; 10]);
    let (a, b, c) =
        (leg(id(1), FLOAT, FEES, 9), leg(id(2), FLOAT, FEES, 8), leg(id(3), FEES, FLOAT, 7));
    let linked = |legs: &[TransferRequest]| Order::Linked(legs.to_vec());
    let number = match give_one(&mut bench, linked(&[a, b, c])) {
        OrderOutcome::Done { number } => number,
        other => panic!("{other:?}"),
    };
    assert_eq!(give_one(&mut bench, linked(&[a, b, c])), OrderOutcome::Repeated { number });
    let dearer = leg(id(2), FLOAT, FEES, 80);
    for (field, other) in [
        ("order", linked(&[a, b])),
        ("order", Order::Transfer(a)),
        ("order", Order::Transfer(b)),
        ("order", linked(&[b, c])),
        ("amount", linked(&[a, dearer, c])),
        ("legs", linked(&[a, c])),
        ("legs", linked(&[a, b, c, leg(id(4), FLOAT, FEES, 1)])),
        ("kind", Order::Hold { request: a, expires: at(600) }),
    ] {
        assert_eq!(give_one(&mut bench, other), conflict(field));
    }
    let hold = |expires| Order::Hold { request: leg(id(5), FLOAT, FEES, 5), expires: at(expires) };
    give_one(&mut bench, hold(600));
    assert_eq!(give_one(&mut bench, hold(601)), conflict("order"));
    let plain = Order::Transfer(leg(id(6), FLOAT, FEES, 5));
    give_one(&mut bench, plain.clone());
    let than = Balance::ZERO;
    let (account, on, is) = (account(BOB), Measure::Posted, Comparison::AtLeast);
    let conditions = vec![Condition { account, on, is, than }];
    let conditional = Ordered { order: plain, conditions };
    assert_eq!(give_one(&mut bench, conditional), conflict("conditions"));
}

/// The transfer with which money came in is what the order asks for, but no order has made it.
#[test]
fn a_transfer_that_no_order_has_made_is_no_order() {
    let mut bench = bench();
    let transfer = TransferId::new(bench.now.unix_ms(), [5; 10]);
    bench.must(Command::Fund { account: account(FLOAT), amount: cents(5), transfer });
    let order = Order::Transfer(leg(transfer, ISSUANCE, FLOAT, 5));
    assert_eq!(give_one(&mut bench, order.clone()), conflict("kind"));
    bench.restart();
    assert_eq!(give_one(&mut bench, order), conflict("kind"));
}

/// The batch with the first is taken to be stored, and the archive does not have it yet.
#[test]
fn an_order_under_way_is_told_from_another_one() {
    let mut bench = bench();
    let id = |n| TransferId::new(at(0).unix_ms(), [n; 10]);
    let hold = |s| Order::Hold { request: leg(id(1), FLOAT, FEES, 5), expires: at(s) };
    let legs = [leg(id(2), FLOAT, FEES, 1), leg(id(3), FLOAT, FEES, 2)];
    let send = |bench: &mut Bench, orders: &[Order]| {
        let orders = orders.iter().cloned().map(Into::into).collect();
        let orders = Orders { orders, by: Hash32::new([7; 32]), salt: [9; 32] };
        let command = Command::Orders(Box::new(orders));
        match bench.desk.apply(command, bench.now, &bench.books).unwrap() {
            Ok(Answer::Ordered(outcomes)) => outcomes,
            other => panic!("{other:?}"),
        }
    };
    let first = send(&mut bench, &[hold(600), Order::Linked(legs.to_vec())]);
    let in_flight = bench.desk.take_changes();
    assert_eq!(in_flight.order_digests.len(), 3);
    let again = send(
        &mut bench,
        &[hold(600), Order::Linked(legs.to_vec()), hold(599), Order::Transfer(legs[1])],
    );
    assert_eq!(again[..2], [same_again(first[0]), same_again(first[1])]);
    assert_eq!(again[2..], [conflict("order"), conflict("order")]);
}

/// A hold expires under an id that anybody can foretell. Were another transfer to take it, the books could not be stored any more.
#[test]
fn nobody_takes_the_id_under_which_a_hold_expires() {
    let mut bench = bench();
    let hold = |n| TransferId::new(at(0).unix_ms(), [n; 10]);
    let expires = bench.now.plus(Span::from_secs(30));
    let open = |n| Order::Hold { request: leg(hold(n), FLOAT, FEES, 5), expires };
    let end = |n| Ledger::expiry_id(hold(n), expires);
    give_one(&mut bench, open(1));
    for _ in 0..2 {
        let taken = give_one(&mut bench, Order::Transfer(leg(end(1), FLOAT, FEES, 1)));
        assert_eq!(taken, conflict("kind"));
        let legs = vec![leg(hold(9), FLOAT, FEES, 1), leg(end(1), FLOAT, FEES, 1)];
        let used = OrderOutcome::Rejected(OrderRejection::LegIdUsed(end(1)));
        assert_eq!(give_one(&mut bench, Order::Linked(legs)), used);
        let fund = Command::Fund { account: account(FLOAT), amount: cents(1), transfer: end(1) };
        assert_eq!(bench.reject_of(fund), Rejection::IdInUse { what: "transfer" });
        bench.restart();
    }
    // The other way round: the id is taken before the hold is asked for.
    let done = give_one(&mut bench, Order::Transfer(leg(end(2), FLOAT, FEES, 1)));
    assert!(matches!(done, OrderOutcome::Done { .. }));
    let used = OrderOutcome::Rejected(OrderRejection::LegIdUsed(end(2)));
    assert_eq!(give_one(&mut bench, open(2)), used);
    bench.later(1);
    let (outcome, changes) = bench.apply(Command::Tick);
    assert_eq!(outcome, Ok(Answer::Ended(1)));
    let [row] = changes.ledger.transfers.as_slice() else { panic!("one hold ends") };
    assert_eq!(row.id, end(1));
    let after = give_one(&mut bench, Order::Transfer(leg(end(1), FLOAT, FEES, 1)));
    assert_eq!(after, conflict("kind"));
}
