//! Clearing partners, returns and recalls: what was booked is undone wholly, or not at all.

use super::support::*;
use tpw_core::{Record, RecordKind};
use tpw_flow::{Cause, Command, Payment, Rail, Rejection, Status};
use tpw_ledger::LedgerError;

fn rail(payment: &Payment) -> Rail {
    payment.booked().unwrap().rail()
}

fn compensated(payment: &Payment) -> &tpw_flow::Compensated {
    match payment {
        Payment::Compensated(done) => done,
        other => panic!("not compensated: {:?}", other.status()),
    }
}

/// The opposite postings, and a log entry that says so.
fn check_opposite(payment: &Payment) {
    let done = compensated(payment);
    let record = Record::from_bytes(&done.entry().record).unwrap();
    assert_eq!((record.kind, record.payment), (RecordKind::Compensation, payment.id()));
    assert_eq!(record.postings, done.postings());
    let booked = payment.booked().unwrap();
    assert_eq!(booked.postings().len(), done.postings().len());
    for (there, back) in booked.postings().iter().zip(done.postings()) {
        assert_eq!((there.debit, there.credit), (back.credit, back.debit));
        assert_eq!(there.money, back.money);
        assert_ne!(there.transfer, back.transfer);
    }
    assert_ne!(booked.entry().salt, done.entry().salt);
    assert!(booked.entry().index < done.entry().index);
}

#[test]
fn a_payment_to_a_partner_is_instructed_and_confirmed() {
    let mut bench = Bench::new();
    let intent = bench.intent(ALICE, PARTNER, 500);
    let command = bench.submission(&intent, "alice");
    let (outcome, changes) = bench.apply(command);
    let booked = payment(outcome);
    assert_eq!((booked.status(), rail(&booked)), (Some(Status::Booked), Rail::Instructed));
    let [instruction] = changes.rail.as_slice() else { panic!("one instruction") };
    assert_eq!((instruction.payment, instruction.account), (booked.id(), account(PARTNER)));
    assert_eq!((instruction.money, instruction.purpose.as_str()), (intent.money, "rent"));
    let (outcome, changes) = bench.apply(Command::RailConfirm { payment: booked.id() });
    assert_eq!(rail(&payment(outcome)), Rail::Confirmed);
    assert!(changes.rail.is_empty() && changes.leaves.is_empty() && changes.ledger.is_empty());
    // Confirmed is final: no second confirmation, no return.
    let booked_status = Rejection::WrongStatus { status: "booked" };
    assert_eq!(bench.reject_of(Command::RailConfirm { payment: booked.id() }), booked_status);
    assert_eq!(bench.reject_of(Command::RailReturn { payment: booked.id() }), booked_status);
    assert_eq!(bench.balance(PARTNER), "500");
}

#[test]
fn a_return_of_the_partner_compensates() {
    let mut bench = Bench::new();
    let booked = bench.pay(ALICE, PARTNER, 500, Status::Booked);
    bench.now = at(9);
    let done = payment(bench.apply(Command::RailReturn { payment: booked.id() }).0);
    check_opposite(&done);
    assert_eq!((compensated(&done).cause(), compensated(&done).at()), (Cause::RailReturned, at(9)));
    assert_eq!((bench.balance(ALICE), bench.balance(PARTNER)), ("5000000".into(), "0".into()));
    let again = Command::RailReturn { payment: booked.id() };
    assert_eq!(bench.reject_of(again), Rejection::WrongStatus { status: "compensated" });
}

/// What a partner was told to pay out is undone by the partner's return only: a recall would give the
/// payer the money while the partner pays it out.
#[test]
fn a_payment_that_left_for_a_partner_is_not_recalled() {
    let mut bench = Bench::new();
    let operator = hash("operator");
    let booked = bench.pay(ALICE, PARTNER, 500, Status::Booked);
    let recall = Command::Recall { payment: booked.id(), operator };
    let rejection = bench.reject_of(recall.clone());
    assert_eq!(rejection, Rejection::WrongStatus { status: "instructed" });
    bench.must(Command::RailConfirm { payment: booked.id() });
    assert_eq!(bench.reject_of(recall), Rejection::WrongStatus { status: "confirmed" });
}

#[test]
fn an_operator_recalls_between_custodial_accounts() {
    let mut bench = Bench::new();
    let operator = hash("operator");
    let held = bench.pay(ALICE, BOB, HOLD, Status::Held);
    bench.must(Command::Release { payment: held.id(), operator });
    for (id, amount) in [(held.id(), HOLD), (bench.pay(ALICE, BOB, 5, Status::Booked).id(), 5)] {
        let done = payment(bench.apply(Command::Recall { payment: id, operator }).0);
        check_opposite(&done);
        assert_eq!(compensated(&done).cause(), Cause::Operator(operator));
        assert_eq!(compensated(&done).postings()[0].money.amount, cents(amount));
        let again = Command::Recall { payment: id, operator };
        assert_eq!(bench.reject_of(again), Rejection::WrongStatus { status: "compensated" });
    }
    assert_eq!((bench.balance(ALICE), bench.balance(BOB)), ("5000000".into(), "0".into()));
}

#[test]
fn money_that_was_spent_or_is_guarded_is_not_recalled() {
    let mut bench = Bench::new();
    let operator = hash("operator");
    let booked = bench.pay(ALICE, BOB, 500, Status::Booked);
    bench.pay(BOB, ALICE, 1, Status::Booked);
    let recall = |payment| Command::Recall { payment, operator };
    let rejection = bench.reject_of(recall(booked.id()));
    assert!(matches!(rejection, Rejection::Ledger(LedgerError::InsufficientFunds { .. })));
    assert_eq!(rejection.code(), "ledger_refused");
    // When the money is back, the same recall goes through.
    bench.pay(ALICE, BOB, 1, Status::Booked);
    assert_eq!(payment(bench.apply(recall(booked.id())).0).status(), Some(Status::Compensated));
    let own = bench.pay(ALICE, BOB_SELF, 500, Status::Booked);
    assert_eq!(bench.reject_of(recall(own.id())), Rejection::SelfCustodial);
    // From a self-custodial payer to a custodial payee it can be given back.
    let back = bench.pay(BOB_SELF, BOB, 50, Status::Booked);
    assert!(bench.apply(recall(back.id())).0.is_ok());
}

#[test]
fn a_frozen_payee_keeps_the_payment_as_it_is() {
    let mut bench = Bench::new();
    let booked = bench.pay(ALICE, BOB, 500, Status::Booked);
    bench.must(Command::Freeze { account: account(BOB), frozen: tpw_flow::Frozen::Yes });
    let recall = Command::Recall { payment: booked.id(), operator: hash("operator") };
    assert_eq!(bench.reject_of(recall), Rejection::Ledger(LedgerError::PayerFrozen));
}
