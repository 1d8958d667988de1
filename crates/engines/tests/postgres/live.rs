//! A desk's life in which everything happens once.

use super::desk::*;
use tpw_access::record::{RecordKey, RecordKind, RecordWrite, VALUE_LEN_MAX};
use tpw_core::{
    AccountSetId, Asker, DecisionId, DecisionRecord, Money, Refusal, Ruling, Span, TransferId,
};
use tpw_flow::{
    Adjustment, Answer, Command, Decided, Frozen, Order, OrderOutcome, Ordered, Orders, Seen,
    Status,
};
use tpw_ledger::{
    AccountKind, FreezeReason, Member, Membership, Tier, TransferRequest, Velocity, Watch,
    WatchAction,
};

/// Payments in every state, with holds, freezes, refusals, reversals, alarms and money brought in.
pub(crate) fn live(bench: &mut Bench) {
    for n in 0..40 {
        bench.now = at(n);
        bench.pay(ALICE, BOB, 100 + u128::from(n), Status::Booked);
    }
    let waits = bench.pay(ALICE, BOB, STEP_UP, Status::StepUp);
    let held = bench.pay(ALICE, BOB, HOLD, Status::Held);
    bench.pay(ALICE, BOB_SELF, HOLD, Status::Held);
    let command = bench.step_up(&bench.proof(&waits, "alice"), "alice");
    bench.must(command);
    bench.must(Command::Reject { payment: held.id() });
    let intent = bench.intent(ALICE, BOB_SMALL, 2_000);
    assert_eq!(bench.refused(&intent), Refusal::AccountLimit);
    let partner = bench.pay(ALICE, PARTNER, 77, Status::Booked);
    bench.pay(ALICE, PARTNER, 78, Status::Booked);
    bench.must(Command::RailConfirm { payment: partner.id() });
    let returned = bench.pay(ALICE, PARTNER, 79, Status::Booked);
    bench.must(Command::RailReturn { payment: returned.id() });
    bench.must(Command::Freeze { account: account(BOB_CNY), frozen: Frozen::Yes });
    let (account, transfer) = (account(BOB), TransferId::new(1_763_806_000_000, [99; 10]));
    bench.must(Command::Fund { account, amount: cents(123), transfer });
    bench.must(Command::IssueCode { person: person(1), code: hash("second"), expires: at(9_999) });
    bench.enrol_hybrid("second", 3, "alice2");
    bench.must(Command::RevokeDevice { device: device(3) });
    let mut intent = bench.intent(ALICE, BOB, 5);
    intent.seen = tpw_core::TreeHead { size: 3, root: hash("another log") };
    let signed = bench.signed(&intent, "alice");
    let (outcome, changes) = bench.apply(submit(signed, Seen::Contradicted));
    assert!(outcome.is_err() && !changes.alarms.is_empty());
    bench.must(Command::LogToken { serial: TOKEN, token: hash("token") });
    keep_records(bench);
    for block in [vec![decided(1), decided(2)], vec![decided(4)], vec![decided(3)]] {
        bench.must(Command::Decisions(block));
    }
    bench.must(Command::ForgetDecisions(vec![decided(4).record.id]));
    operate(bench);
}

/// A decision about the data of person 1, or of nobody.
pub(crate) fn decided(n: u8) -> Decided {
    let record = DecisionRecord {
        id: DecisionId::new(at(u64::from(n)).unix_ms(), [n; 10]),
        at: at(u64::from(n)),
        asker: Asker {
            person: (n != 2).then_some(person(n)),
            device: Some(device(n)),
            client: if n == 2 { "shop" } else { "" }.to_owned(),
            roles: vec!["operator".to_owned()],
        },
        action: if n == 3 { "freeze" } else { "read_account" }.to_owned(),
        resource: account(n).to_string(),
        owner: (n < 3).then_some(person(1)),
        ruling: if n == 3 { Ruling::Denied } else { Ruling::Allowed },
        policies: vec!["operator-reads".to_owned()],
        version: Some(hash("policies")),
        facts: vec![("aal".to_owned(), "aal1".to_owned())],
        obligations: vec![("approvals".to_owned(), 1)],
        request: "req_1".to_owned(),
    };
    Decided { record, salt: [n; 32] }
}

/// Records that were made, changed, removed and made again.
fn keep_records(bench: &mut Bench) {
    let write = |n, before: Option<u8>, after: Option<u8>| {
        let value = |byte: Option<u8>| byte.map(|byte| vec![byte; 5]);
        RecordWrite { key: record_key(n), before: value(before), after: value(after) }
    };
    for writes in [
        vec![write(0, None, Some(1)), write(1, None, Some(1)), write(2, None, Some(1))],
        vec![write(0, Some(1), None), write(1, Some(1), Some(2))],
        vec![write(2, Some(1), None)],
        vec![write(2, None, Some(3))],
    ] {
        bench.must(Command::Records(writes));
    }
    bench.must(Command::Records((0..LARGE_RECORDS).map(large_record).collect()));
}

/// More records of the longest value, written at once, than a large set of policies takes.
pub(crate) const LARGE_RECORDS: u8 = 12;

/// One of them, as the pieces of a set are kept.
fn large_record(n: u8) -> RecordWrite {
    let id = [[7; 32].as_slice(), &[n]].concat();
    let key = RecordKey::new(RecordKind::Policy, [0; 16], &id).unwrap();
    RecordWrite { key, before: None, after: Some(vec![n; VALUE_LEN_MAX]) }
}

pub(crate) fn record_key(n: u8) -> RecordKey {
    RecordKey::new(RecordKind::Totp, [n; 16], &[n]).unwrap()
}

/// The serial number of the time-stamp.
pub(crate) const TOKEN: [u8; 20] = [9; 20];

pub(crate) const FLOAT: u8 = 41;
pub(crate) const FEES: u8 = 42;

/// What the operator does: orders of every kind, also refused ones, with value dates, watches, limits and sets.
fn operate(bench: &mut Bench) {
    let operating = |id, opening| order(id, usd(), AccountKind::Operating, opening);
    bench.must(Command::OpenAccount { person: None, order: operating(FLOAT, 900_000) });
    bench.must(Command::OpenAccount { person: None, order: operating(FEES, 0) });
    guard(bench);
    let now = bench.now.unix_ms();
    let id = |n| TransferId::new(now, [n; 10]);
    let leg = |n, effective| TransferRequest {
        id: id(n),
        debit: account(FLOAT),
        credit: account(FEES),
        money: Money { amount: cents(1_000), asset: usd() },
        effective,
    };
    let expires = bench.now.plus(Span::from_secs(60));
    let first = bench.desk.ledger().next_number();
    let nobody = TransferRequest { debit: account(99), ..leg(9, None) };
    let outcomes = give(
        bench,
        vec![
            Order::Transfer(leg(1, None)),
            Order::Transfer(leg(2, Some(at(1)))),
            Order::Linked(vec![leg(3, None), leg(4, Some(at(2)))]),
            Order::Hold { request: leg(5, None), expires },
            Order::Post { hold: id(5), id: id(6), amount: Some(cents(400)) },
            Order::Hold { request: leg(7, None), expires },
            Order::Void { hold: id(7), id: id(8) },
            Order::Transfer(nobody),
        ],
    );
    let refused = outcomes.iter().filter(|o| matches!(o, OrderOutcome::Refused { .. })).count();
    let done = outcomes.iter().filter(|o| matches!(o, OrderOutcome::Done { .. })).count();
    assert_eq!((done, refused), (7, 1), "{outcomes:?}");
    let back = give(bench, vec![Order::Reverse { of: first, id: id(10) }]);
    assert!(matches!(back.as_slice(), [OrderOutcome::Done { .. }]), "{back:?}");
    let money = Money { amount: cents(800_000), asset: usd() };
    give(bench, vec![Order::Transfer(TransferRequest { money, ..leg(11, None) })]);
}

fn give(bench: &mut Bench, orders: Vec<Order>) -> Vec<OrderOutcome> {
    let salt = [u8::try_from(orders.len()).unwrap(); 32];
    let orders = orders.into_iter().map(Ordered::from).collect();
    match bench.must(Command::Orders(Box::new(Orders { orders, by: hash("operator"), salt }))) {
        Answer::Ordered(outcomes) => outcomes,
        other => panic!("{other:?}"),
    }
}

fn guard(bench: &mut Bench) {
    let set = |n| AccountSetId::new(1_763_806_000_000, [n; 10]);
    let mut adjust = |adjustment| bench.must(Command::Adjust(adjustment));
    let watch = Watch {
        tier: Tier::Hot,
        below: Some(cents(500_000)),
        above: None,
        action: WatchAction::AlertAndFreeze,
    };
    adjust(Adjustment::SetWatch { account: account(FLOAT), watch: Some(watch) });
    let wide = Watch { below: None, above: Some(cents(9_999_999)), ..watch };
    adjust(Adjustment::SetWatch { account: account(FEES), watch: Some(wide) });
    adjust(Adjustment::SetWatch { account: account(FEES), watch: None });
    let velocity = |seconds, amount_max, count_max| Velocity {
        window: Span::from_secs(seconds),
        amount_max,
        count_max,
    };
    let two =
        vec![velocity(3_600, Some(cents(10_000_000)), None), velocity(86_400, None, Some(1_000))];
    adjust(Adjustment::SetVelocities { account: account(FLOAT), velocities: two.clone() });
    adjust(Adjustment::SetVelocities { account: account(FEES), velocities: two });
    adjust(Adjustment::SetVelocities { account: account(FEES), velocities: Vec::new() });
    for n in [3, 1, 2] {
        adjust(Adjustment::OpenSet { id: set(n), asset: usd() });
    }
    let join = |n, member| Adjustment::Join(Membership { set: set(n), member });
    adjust(join(1, Member::Account(account(FLOAT))));
    adjust(join(1, Member::Account(account(FEES))));
    adjust(join(3, Member::Set(set(1))));
    adjust(join(2, Member::Account(account(FEES))));
    let left = Membership { set: set(2), member: Member::Account(account(FEES)) };
    adjust(Adjustment::Leave(left));
    let why = FreezeReason::Order;
    adjust(Adjustment::Freeze { account: account(BOB_CNY), why });
    adjust(Adjustment::Unfreeze { account: account(BOB_CNY), why });
}
