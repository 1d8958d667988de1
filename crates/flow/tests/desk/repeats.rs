//! The same id again: the same bytes get the stored outcome in every status, others learn the field.

use super::support::*;
use tpw_core::{Hash32, Intent, PaymentId, Span, TreeHead};
use tpw_flow::{Answer, Command, Rejection, Status};

/// Sends the statement again and checks that the stored outcome comes back and nothing else happens.
fn repeat(bench: &mut Bench, intent: &Intent, slot_name: &str, status: Status) {
    let ledger = bench.desk.ledger().clone();
    let leaves = bench.desk.leaves();
    let command = bench.submission(intent, slot_name);
    let (outcome, changes) = bench.apply(command);
    let Ok(Answer::Repeated(payment)) = outcome else { panic!("{status:?}: {outcome:?}") };
    assert_eq!(payment.status(), Some(status));
    assert!(changes.payments.is_empty() && changes.chains.is_empty() && changes.leaves.is_empty());
    assert_eq!((bench.desk.ledger(), bench.desk.leaves()), (&ledger, leaves));
}

#[test]
fn the_same_bytes_get_the_stored_outcome_in_every_status() {
    let mut bench = Bench::new();
    let operator = hash("operator");
    let cases = [
        (5, Status::Booked),
        (SINGLE_MAX + 1, Status::Refused),
        (STEP_UP, Status::StepUp),
        (HOLD, Status::Held),
    ];
    let mut sent = Vec::new();
    for (amount, status) in cases {
        let intent = bench.intent(ALICE, BOB, amount);
        assert_eq!(payment(bench.send(&intent)).status(), Some(status));
        sent.push((intent, status));
    }
    let recalled = bench.intent(ALICE, BOB, 7);
    bench.send(&recalled).unwrap();
    bench.must(Command::Recall { payment: recalled.payment, operator });
    sent.push((recalled, Status::Compensated));
    for (intent, status) in &sent {
        repeat(&mut bench, intent, "alice", *status);
    }
    // For ever: after the intent has expired and its device is revoked.
    bench.must(Command::RevokeDevice { device: device(1) });
    bench.now = at(800);
    for (intent, status) in &sent {
        repeat(&mut bench, intent, "alice", *status);
    }
}

#[test]
fn a_repeat_in_the_same_batch_is_seen_before_anything_is_stored() {
    let mut bench = Bench::new();
    let intent = bench.intent(ALICE, BOB, 5);
    let command = bench.submission(&intent, "alice");
    let first = bench.desk.apply(command.clone(), bench.now, &bench.books).unwrap();
    let second = bench.desk.apply(command, bench.now, &bench.books).unwrap();
    assert!(matches!(first, Ok(Answer::Payment(_))));
    assert!(matches!(second, Ok(Answer::Repeated(_))));
    assert_eq!(bench.desk.take_changes().ledger.transfers.len(), 1);
}

#[test]
fn other_bytes_learn_the_first_field_that_differs() {
    type Edit = fn(&mut Intent);
    let cases: [(&str, Edit); 13] = [
        ("device", |i| i.device = device(2)),
        ("payer", |i| i.payer = account(BOB_SELF)),
        ("payee", |i| i.payee = account(PARTNER)),
        ("asset", |i| i.money.asset = cny()),
        ("amount", |i| i.money.amount = cents(6)),
        ("fee_limit", |i| i.fee_limit = cents(1)),
        ("sequence", |i| i.sequence = 2),
        ("previous", |i| i.previous = hash("x")),
        ("seen", |i| i.seen = TreeHead { size: 2, root: Hash32::ZERO }),
        ("created", |i| i.created = i.created.minus(Span::from_secs(1))),
        ("expires", |i| i.expires = i.expires.plus(Span::from_secs(1))),
        ("audience", |i| i.audience = name("Another Pay")),
        ("purpose", |i| i.purpose = tpw_core::Purpose::new("food").unwrap()),
    ];
    let mut bench = Bench::new();
    let first = bench.intent(ALICE, BOB, 5);
    bench.send(&first).unwrap();
    for (field, edit) in cases {
        let mut other = first.clone();
        edit(&mut other);
        let command = bench.submission(&other, "alice");
        assert_eq!(bench.reject_of(command), Rejection::ExistsWithDifferent { field });
    }
    // The same fields under another key: a stranger learns that the id is taken, and no more.
    let command = bench.submission(&first, "stranger");
    assert_eq!(bench.reject_of(command), Rejection::ExistsWithDifferent { field: "signature" });
    // Another id with the same content is another payment, and its number is used.
    let mut other = first;
    other.payment = PaymentId::new(1, [1; 10]);
    let command = bench.submission(&other, "alice");
    assert_eq!(bench.reject_of(command), Rejection::SequenceUsed { expected: 2 });
}

#[test]
fn an_archive_that_cannot_be_read_stops_the_desk() {
    let mut bench = Bench::new();
    let intent = bench.intent(ALICE, BOB, 5);
    bench.send(&intent).unwrap();
    bench.forget(intent.payment);
    let command = bench.submission(&intent, "alice");
    let fault = bench.desk.apply(command, bench.now, &bench.books).unwrap_err();
    assert!(matches!(fault, tpw_flow::DeskFault::Archive(_)));
}
