//! Records of identity: of all who start from the same value one changes it, also while it is not stored yet, and what is
//! rejected changes nothing.

use super::support::*;
use tpw_access::record::{RecordKey, RecordKind, RecordWrite, VALUE_LEN_MAX, WRITES_MAX};
use tpw_core::Approval;
use tpw_flow::{
    Adjustment, AlarmKind, Answer, Approved, Approver, Approvers, Command, EventKind, Frozen,
    Rejection, Status,
};
use tpw_ledger::FreezeReason;

fn key(id: &[u8]) -> RecordKey {
    RecordKey::new(RecordKind::Totp, [1; 16], id).unwrap()
}

fn write(id: &[u8], before: Option<&[u8]>, after: Option<&[u8]>) -> RecordWrite {
    let owned = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
    RecordWrite { key: key(id), before: owned(before), after: owned(after) }
}

#[test]
fn of_two_who_read_the_same_one_changes_it() {
    let mut bench = Bench::new();
    let first = Command::Records(vec![write(b"a", None, Some(b"1"))]);
    assert_eq!(bench.must(first.clone()), Answer::Done);
    assert_eq!(bench.reject_of(first), Rejection::RecordChanged, "it is there now");
    let turn = |after: &[u8]| Command::Records(vec![write(b"a", Some(b"1"), Some(after))]);
    bench.must(turn(b"2"));
    assert_eq!(bench.reject_of(turn(b"3")), Rejection::RecordChanged);
    bench.must(Command::Records(vec![write(b"a", Some(b"2"), None)]));
    assert_eq!(bench.reject_of(turn(b"3")), Rejection::RecordChanged, "it is gone");
    bench.must(Command::Records(vec![write(b"a", None, Some(b"4"))]));
}

#[test]
fn all_or_none() {
    let mut bench = Bench::new();
    bench.must(Command::Records(vec![write(b"a", None, Some(b"1"))]));
    let both =
        |before: &[u8]| vec![write(b"b", None, Some(b"1")), write(b"a", Some(before), Some(b"2"))];
    assert_eq!(bench.reject_of(Command::Records(both(b"0"))), Rejection::RecordChanged);
    bench.must(Command::Records(both(b"1")));
    // The same record twice in one command: which of the two counts?
    let twice = vec![write(b"c", None, Some(b"1")), write(b"c", None, Some(b"1"))];
    assert_eq!(bench.reject_of(Command::Records(twice)), Rejection::RecordChanged);
}

#[test]
fn who_had_not_begun_it_says_so_once_with_an_alarm() {
    let mut bench = Bench::new();
    let (device, payment) = (device(1), Some(tpw_core::PaymentId::from_bytes([7; 16])));
    let said = |before: Option<&[u8]>| Command::NotMe {
        writes: vec![write(b"prompt", before, Some(b"locked"))],
        device,
        payment,
    };
    let rejected = bench.rejected(said(Some(b"open")));
    assert_eq!(rejected.0, Rejection::RecordChanged, "nothing was asked");
    assert!(rejected.1.alarms.is_empty() && rejected.1.records.is_empty());
    let (outcome, changes) = bench.apply(said(None));
    assert_eq!(outcome, Ok(Answer::Done));
    let [alarm] = changes.alarms.as_slice() else { panic!("one alarm") };
    assert_eq!((alarm.kind, alarm.device, alarm.payment), (AlarmKind::NotMe, device, payment));
    assert_eq!((alarm.head, alarm.at), (None, bench.now));
    assert_eq!(AlarmKind::from_code("not_me"), Some(AlarmKind::NotMe));
    let told: Vec<_> = changes.events.iter().map(|event| (event.kind, event.subject)).collect();
    assert_eq!(told, [(EventKind::NotMe, *device.as_bytes())]);
    assert_eq!(bench.reject_of(said(None)), Rejection::RecordChanged, "said already");
}

/// What is approved is carried out once: of two who bring the last vote at the same moment, one does, and the other finds the record changed.
#[test]
fn what_is_approved_is_carried_out_once_and_with_its_record() {
    let mut bench = Bench::new();
    let held = bench.pay(ALICE, BOB, HOLD, Status::Held);
    let approvers = Approvers::new(vec![Approver { key: hash("first"), at: at(1) }]).unwrap();
    let release = |before: Option<&[u8]>, payment| Command::Approved {
        writes: vec![write(b"approval", before, Some(b"executed"))],
        then: Approved::Release { payment, approvers: approvers.clone() },
    };
    assert_eq!(bench.reject_of(release(Some(b"open"), held.id())), Rejection::RecordChanged);
    bench.must(Command::Records(vec![write(b"approval", None, Some(b"open"))]));
    // What the desk refuses leaves the record as it was.
    let unknown = tpw_core::PaymentId::new(1, [1; 10]);
    assert_eq!(bench.reject_of(release(Some(b"open"), unknown)), Rejection::UnknownPayment);
    let done = payment(bench.apply(release(Some(b"open"), held.id())).0);
    assert_eq!(
        done.booked().unwrap().approvals(),
        [Approval::Operator { key: hash("first"), at: at(1) }]
    );
    assert_eq!(bench.reject_of(release(Some(b"open"), held.id())), Rejection::RecordChanged);
    let again = release(Some(b"executed"), held.id());
    assert_eq!(bench.reject_of(again), Rejection::WrongStatus { status: "booked" });
    bench.must(Command::Records(vec![write(b"approval", Some(b"executed"), None)]));
}

#[test]
fn an_approved_change_of_an_account_is_made_with_its_record() {
    let mut bench = Bench::new();
    bench.must(Command::Freeze { account: account(BOB), frozen: Frozen::Yes });
    let unfreeze = |before: Option<&[u8]>, why| Command::Approved {
        writes: vec![write(b"approval", before, Some(b"executed"))],
        then: Approved::Adjust(Adjustment::Unfreeze { account: account(BOB), why }),
    };
    let stale = unfreeze(Some(b"open"), FreezeReason::Operator);
    assert_eq!(bench.reject_of(stale), Rejection::RecordChanged);
    bench.must(unfreeze(None, FreezeReason::Operator));
    let again = unfreeze(None, FreezeReason::Operator);
    assert_eq!(bench.reject_of(again), Rejection::RecordChanged);
}

/// Money that several people bring in, or give back, moves once and with the record that says so, or not at all.
#[test]
fn approved_money_moves_once_with_its_record() {
    let mut bench = Bench::new();
    let booked = bench.pay(ALICE, BOB, 500, Status::Booked);
    let together = |before: Option<&[u8]>, then: Approved| Command::Approved {
        writes: vec![write(b"approval", before, Some(b"executed"))],
        then,
    };
    let recall = Approved::Recall { payment: booked.id(), operator: hash("asker") };
    let stale = together(Some(b"open"), recall.clone());
    assert_eq!(bench.reject_of(stale), Rejection::RecordChanged);
    let given = Approved::Return { payment: booked.id() };
    // No rail has this one: what the desk rejects leaves the record as it was.
    assert!(matches!(bench.reject_of(together(None, given)), Rejection::WrongStatus { .. }));
    let done = payment(bench.apply(together(None, recall.clone())).0);
    assert_eq!(done.status(), Some(Status::Compensated));
    assert_eq!(bench.reject_of(together(None, recall)), Rejection::RecordChanged);
}

#[test]
fn too_long_and_too_many() {
    let mut bench = Bench::new();
    let long = |more| write(b"a", None, Some(&vec![7; VALUE_LEN_MAX + more]));
    assert_eq!(bench.reject_of(Command::Records(vec![long(1)])), Rejection::RecordTooLarge);
    bench.must(Command::Records(vec![long(0)]));
    let many = |count: usize| {
        (0..count).map(|n| write(&n.to_be_bytes(), None, Some(b"1"))).collect::<Vec<_>>()
    };
    let refused = bench.reject_of(Command::Records(many(WRITES_MAX + 1)));
    assert_eq!(refused, Rejection::RecordTooLarge);
    bench.must(Command::Records(many(WRITES_MAX)));
}
