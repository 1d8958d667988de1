//! Payments that wait: for their payer's device, for an operator, and what ends the waiting.

use super::support::*;
use tpw_core::{Approval, FactorMethod, Refusal, Span, StepUpProof, Verdict};
use tpw_flow::{Answer, Approver, Approvers, Command, Rejection, Status};
use tpw_proof::leaf::factor_evidence;

const STEP_UP_WAIT_S: u64 = 900;
const HOLD_WAIT_S: u64 = 72 * 3600;

#[test]
fn a_fresh_signature_lets_it_go_on() {
    let mut bench = Bench::new();
    let waits = bench.pay(ALICE, BOB, STEP_UP, Status::StepUp);
    assert_eq!(waits.deadline(), Some(at(STEP_UP_WAIT_S)));
    assert_eq!(
        (bench.balance(ALICE), bench.available(ALICE)),
        ("5000000".into(), "4900000".into())
    );
    assert_eq!(bench.balance(BOB), "0");
    bench.now = at(30);
    let proof = bench.proof(&waits, "alice");
    let command = bench.step_up(&proof, "alice");
    let done = payment(bench.apply(command.clone()).0);
    assert_eq!(done.status(), Some(Status::Booked));
    let [Approval::StepUp { at: when, .. }] = done.booked().unwrap().approvals() else {
        panic!("one approval by step-up")
    };
    assert_eq!(*when, at(30));
    assert_eq!(done.decision().unwrap().verdict, Verdict::StepUp);
    assert_eq!(
        (bench.balance(ALICE), bench.available(ALICE)),
        ("4900000".into(), "4900000".into())
    );
    assert_eq!(bench.balance(BOB), "100000");
    assert_eq!(bench.desk.next_deadline(), None);
    assert_eq!(bench.reject_of(command), Rejection::WrongStatus { status: "booked" });
}

#[test]
fn a_factor_lets_it_go_on_and_is_bound_to_the_intent() {
    let mut bench = Bench::new();
    let waits = bench.pay(ALICE, BOB, STEP_UP, Status::StepUp);
    let other = bench.pay(ALICE, BOB, STEP_UP, Status::StepUp);
    bench.now = at(30);
    let (method, evidence) = (FactorMethod::Passkey, hash("an assertion"));
    let by = |payment| Command::StepUpBy { payment, evidence, method };
    let done = payment(bench.apply(by(waits.id())).0);
    let bound = factor_evidence(waits.intake().intent_hash(), method, evidence);
    assert_eq!(
        done.booked().unwrap().approvals(),
        [Approval::Factor { evidence: bound, at: at(30) }]
    );
    assert_eq!(bench.reject_of(by(waits.id())), Rejection::WrongStatus { status: "booked" });
    // The same evidence for another payment is another approval: one record never vouches for two payments.
    let second = payment(bench.apply(by(other.id())).0);
    assert_ne!(done.booked().unwrap().approvals(), second.booked().unwrap().approvals());
}

#[test]
fn a_factor_does_not_do_what_it_may_not() {
    let mut bench = Bench::new();
    let held = bench.pay(ALICE, BOB, HOLD, Status::Held);
    let waits = bench.pay(ALICE, BOB, STEP_UP, Status::StepUp);
    let by = |payment| Command::StepUpBy {
        payment,
        evidence: hash("an assertion"),
        method: FactorMethod::Totp,
    };
    assert_eq!(bench.reject_of(by(held.id())), Rejection::WrongStatus { status: "held" });
    let unknown = tpw_core::PaymentId::new(1, [1; 10]);
    assert_eq!(bench.reject_of(by(unknown)), Rejection::UnknownPayment);
    bench.now = at(STEP_UP_WAIT_S);
    assert_eq!(bench.reject_of(by(waits.id())), Rejection::WaitOver);
}

#[test]
fn several_people_release_together() {
    let approver = |name: &str, s| Approver { key: hash(name), at: at(s) };
    let mut bench = Bench::new();
    let held = bench.pay(ALICE, BOB, HOLD, Status::Held);
    let waits = bench.pay(ALICE, BOB, STEP_UP, Status::StepUp);
    bench.now = at(9);
    let approvers = Approvers::new(vec![approver("first", 3), approver("second", 9)]).unwrap();
    let release = |payment| Command::ReleaseTogether { payment, approvers: approvers.clone() };
    assert_eq!(bench.reject_of(release(waits.id())), Rejection::WrongStatus { status: "step_up" });
    let done = payment(bench.apply(release(held.id())).0);
    assert_eq!(
        done.booked().unwrap().approvals(),
        [
            Approval::Operator { key: hash("first"), at: at(3) },
            Approval::Operator { key: hash("second"), at: at(9) },
        ]
    );
    assert_eq!(bench.reject_of(release(held.id())), Rejection::WrongStatus { status: "booked" });
}

#[test]
fn approvers_are_some_not_too_many_and_none_twice() {
    let many = |n: usize| (0..n).map(|i| Approver { key: hash(&i.to_string()), at: at(0) });
    assert!(Approvers::new(Vec::new()).is_none());
    assert!(Approvers::new(many(16).collect()).is_some());
    assert!(Approvers::new(many(17).collect()).is_none());
    assert!(Approvers::new(many(3).chain(many(1)).collect()).is_none());
}

#[test]
fn proofs_that_do_not_fit() {
    type Edit = fn(&mut StepUpProof);
    let mut bench = Bench::new();
    let waits = bench.pay(ALICE, BOB, STEP_UP, Status::StepUp);
    bench.must(Command::IssueCode {
        person: tpw_core::PersonId::clone(&person(1)),
        code: hash("second"),
        expires: at(60),
    });
    bench.enrol("second", 3, "alice2");
    bench.now = at(301);
    let mismatch = |field| Rejection::ProofMismatch { field };
    let cases: [(Rejection, &str, Edit); 9] = [
        (Rejection::UnknownDevice, "stranger", |_| {}),
        (Rejection::UnknownDevice, "alice", |p| p.device = device(9)),
        (Rejection::UnknownDevice, "bob", |p| p.device = device(1)),
        (Rejection::WrongAudience, "alice", |p| p.audience = name("Another Pay")),
        (mismatch("device"), "bob", |_| {}),
        // Also another device of the same person.
        (mismatch("device"), "alice2", |p| p.device = device(3)),
        (mismatch("intent_hash"), "alice", |p| p.intent_hash = hash("another")),
        (Rejection::ProofStale, "alice", |p| p.created = at(0)),
        (Rejection::FromFuture, "alice", |p| p.created = at(301 + 61)),
    ];
    for (rejection, slot_name, edit) in cases {
        let mut proof = bench.proof(&waits, slot_name);
        edit(&mut proof);
        let command = bench.step_up(&proof, slot_name);
        assert_eq!(bench.reject_of(command), rejection);
    }
    let mut proof = bench.proof(&waits, "alice");
    proof.payment = tpw_core::PaymentId::new(1, [1; 10]);
    let command = bench.step_up(&proof, "alice");
    assert_eq!(bench.reject_of(command), Rejection::UnknownPayment);
    // At the edge of both limits it is taken.
    proof = bench.proof(&waits, "alice");
    proof.created = at(1);
    let command = bench.step_up(&proof, "alice");
    assert_eq!(payment(bench.apply(command).0).status(), Some(Status::Booked));
}

#[test]
fn a_step_up_proof_does_not_release_what_an_operator_must_see() {
    let mut bench = Bench::new();
    let held = bench.pay(ALICE, BOB, HOLD, Status::Held);
    let proof = bench.proof(&held, "alice");
    let command = bench.step_up(&proof, "alice");
    assert_eq!(bench.reject_of(command), Rejection::WrongStatus { status: "held" });
}

#[test]
fn a_device_revoked_meanwhile_cannot_approve() {
    let mut bench = Bench::new();
    let waits = bench.pay(ALICE, BOB, STEP_UP, Status::StepUp);
    bench.must(Command::RevokeDevice { device: device(1) });
    let proof = bench.proof(&waits, "alice");
    let command = bench.step_up(&proof, "alice");
    assert_eq!(bench.reject_of(command), Rejection::DeviceRevoked);
    // The operator still can end it.
    let done = payment(bench.apply(Command::Reject { payment: waits.id() }).0);
    assert_eq!(refusal(&done), Refusal::Rejected);
    assert_eq!(bench.available(ALICE), "5000000");
}

#[test]
fn an_operator_releases_or_rejects() {
    let mut bench = Bench::new();
    let operator = hash("operator");
    let held = bench.pay(ALICE, BOB, HOLD, Status::Held);
    assert_eq!(held.deadline(), Some(at(HOLD_WAIT_S)));
    let other = bench.pay(ALICE, BOB, HOLD, Status::Held);
    assert_eq!(bench.available(ALICE), "3000000");
    bench.now = at(5);
    let done = payment(bench.apply(Command::Release { payment: held.id(), operator }).0);
    assert_eq!(
        done.booked().unwrap().approvals(),
        [Approval::Operator { key: operator, at: at(5) }]
    );
    let ended = payment(bench.apply(Command::Reject { payment: other.id() }).0);
    assert_eq!(refusal(&ended), Refusal::Rejected);
    assert_eq!(
        (bench.balance(ALICE), bench.available(ALICE)),
        ("4000000".into(), "4000000".into())
    );
    let again = Command::Release { payment: other.id(), operator };
    assert_eq!(bench.reject_of(again), Rejection::WrongStatus { status: "refused" });
}

#[test]
fn waiting_ends_and_the_hold_is_let_go() {
    let mut bench = Bench::new();
    let waits = bench.pay(ALICE, BOB, STEP_UP, Status::StepUp);
    let held = bench.pay(ALICE, BOB, HOLD, Status::Held);
    bench.now = at(STEP_UP_WAIT_S).minus(Span::from_ms(1));
    assert_eq!(bench.must(Command::Tick), Answer::Ended(0));
    bench.now = at(STEP_UP_WAIT_S);
    let (outcome, changes) = bench.apply(Command::Tick);
    assert_eq!(outcome, Ok(Answer::Ended(1)));
    let [ended] = changes.payments.as_slice() else { panic!("one payment") };
    assert_eq!((ended.id(), refusal(ended)), (waits.id(), Refusal::StepUpExpired));
    assert!(changes.leaves.is_empty(), "nothing was moved, so nothing is logged");
    assert_eq!(bench.available(ALICE), "4000000");
    let proof = bench.proof(&waits, "alice");
    let command = bench.step_up(&proof, "alice");
    assert_eq!(bench.reject_of(command), Rejection::WrongStatus { status: "refused" });
    bench.now = at(HOLD_WAIT_S);
    let (outcome, changes) = bench.apply(Command::Tick);
    assert_eq!(outcome, Ok(Answer::Ended(1)));
    assert_eq!(refusal(&changes.payments[0]), Refusal::HoldExpired);
    assert_eq!(changes.payments[0].id(), held.id());
    assert_eq!(
        (bench.balance(ALICE), bench.available(ALICE)),
        ("5000000".into(), "5000000".into())
    );
    assert_eq!(bench.desk.ledger().holds().count(), 0);
}

/// Whoever forgets to tick must not thereby extend the time for waiting.
#[test]
fn nothing_is_approved_after_its_time() {
    let operator = hash("operator");
    let mut bench = Bench::new();
    let waits = bench.pay(ALICE, BOB, STEP_UP, Status::StepUp);
    let held = bench.pay(ALICE, BOB, HOLD, Status::Held);
    bench.now = at(STEP_UP_WAIT_S);
    let proof = bench.proof(&waits, "alice");
    let command = bench.step_up(&proof, "alice");
    assert_eq!(bench.reject_of(command), Rejection::WaitOver);
    bench.now = at(HOLD_WAIT_S);
    let release = Command::Release { payment: held.id(), operator };
    assert_eq!(bench.reject_of(release), Rejection::WaitOver);
    assert_eq!(bench.must(Command::Tick), Answer::Ended(2));
}

#[test]
fn an_account_frozen_meanwhile_ends_the_payment() {
    let mut bench = Bench::new();
    let held = bench.pay(ALICE, BOB, HOLD, Status::Held);
    bench.must(Command::Freeze { account: account(BOB), frozen: tpw_flow::Frozen::Yes });
    let release = Command::Release { payment: held.id(), operator: hash("operator") };
    let ended = payment(bench.apply(release).0);
    assert_eq!(refusal(&ended), Refusal::PayeeFrozen);
    assert_eq!(bench.available(ALICE), "5000000");
}
