//! Every rejection, reached by its own cause; each changes nothing.

use super::support::*;
use tpw_core::{Amount, Hash32, Intent, Span, TransferId, TreeHead};
use tpw_crypto::PublicKey;
use tpw_flow::{
    AlarmKind, Answer, Command, Frozen, NewPerson, Rejection, RejectionClass, Seen, Status,
};
use tpw_ledger::{AccountKind, LedgerError, Limits};

type Edit = fn(&mut Intent);

#[test]
fn intents_that_are_wrong_in_themselves() {
    let cases: [(&str, &str, Edit); 9] = [
        ("unknown_device", "alice", |i| i.device = device(9)),
        ("unknown_device", "stranger", |_| {}),
        ("wrong_audience", "alice", |i| i.audience = name("Another Pay")),
        ("not_owner", "alice", |i| i.payer = account(BOB_SELF)),
        ("not_owner", "alice", |i| i.payer = account(ISSUANCE)),
        ("from_future", "alice", |i| i.created = at(61)),
        ("expired", "alice", |i| {
            i.created = at(0).minus(Span::from_secs(10));
            i.expires = at(0);
        }),
        ("sequence_gap", "alice", |i| i.sequence = 3),
        ("chain_mismatch", "alice", |i| i.previous = hash("another")),
    ];
    let mut bench = Bench::new();
    for (code, slot_name, edit) in cases {
        let mut intent = bench.intent(ALICE, BOB, 5);
        edit(&mut intent);
        let command = bench.submission(&intent, slot_name);
        assert_eq!(bench.reject_of(command).code(), code);
    }
    // The id of a rejected intent is free: the same id, put right, is taken.
    let mut intent = bench.intent(ALICE, BOB, 5);
    intent.created = at(61);
    intent.expires = at(120);
    let early = bench.submission(&intent, "alice");
    assert_eq!(bench.reject_of(early.clone()), Rejection::FromFuture);
    bench.now = at(1);
    assert!(matches!(bench.must(early), Answer::Payment(p) if p.status() == Some(Status::Booked)));
}

#[test]
fn a_key_that_is_enrolled_signs_for_its_own_device_only() {
    let mut bench = Bench::new();
    let intent = bench.intent(ALICE, BOB, 5);
    let command = bench.submission(&intent, "bob");
    assert_eq!(bench.reject_of(command), Rejection::UnknownDevice);
}

#[test]
fn a_revoked_device_pays_no_more() {
    let mut bench = Bench::new();
    let intent = bench.intent(ALICE, BOB, 5);
    bench.must(Command::RevokeDevice { device: device(1) });
    let command = bench.submission(&intent, "alice");
    let rejection = bench.reject_of(command);
    assert_eq!(
        (rejection.code(), rejection.class()),
        ("device_revoked", RejectionClass::Forbidden)
    );
}

#[test]
fn sequence_numbers_are_taken_once_and_in_order() {
    let mut bench = Bench::new();
    // Pipelined: all signed before the first answer.
    let mut chain: Vec<Intent> = Vec::new();
    for n in 1..=5 {
        let mut intent = bench.intent(ALICE, BOB, 5);
        intent.sequence = n;
        if let Some(last) = chain.last() {
            intent.previous = tpw_proof::statement::payload_hash(last);
        }
        chain.push(intent);
    }
    let gap = bench.submission(&chain[1], "alice");
    assert_eq!(bench.reject_of(gap), Rejection::SequenceGap { expected: 1 });
    for intent in &chain {
        assert_eq!(payment(bench.send(intent)).status(), Some(Status::Booked));
    }
    let head = bench.desk.registry().head(device(1), account(ALICE));
    assert_eq!((head.sequence, head.hash), (5, tpw_proof::statement::payload_hash(&chain[4])));
    let mut used = bench.intent(ALICE, BOB, 5);
    used.sequence = 5;
    let command = bench.submission(&used, "alice");
    let rejection = bench.reject_of(command);
    assert_eq!(rejection, Rejection::SequenceUsed { expected: 6 });
    assert_eq!(rejection.expected(), Some(6));
    // Each account has a chain of its own.
    let other = bench.intent(ALICE_CNY, BOB_CNY, 5);
    assert_eq!(other.sequence, 1);
}

#[test]
fn a_forked_log_raises_an_alarm_and_nothing_else() {
    let mut bench = Bench::new();
    let mut intent = bench.intent(ALICE, BOB, 5);
    intent.seen = TreeHead { size: 7, root: hash("another log") };
    let statement = bench.signed(&intent, "alice");
    let (rejection, changes) = bench.rejected(submit(statement.clone(), Seen::Contradicted));
    assert_eq!(rejection, Rejection::CheckpointFork);
    let [alarm] = changes.alarms.as_slice() else { panic!("one alarm") };
    assert_eq!(
        (alarm.kind, alarm.device, alarm.payment),
        (AlarmKind::CheckpointFork, device(1), Some(intent.payment))
    );
    assert_eq!((alarm.head, alarm.at), (Some(intent.seen), bench.now));
    assert_eq!(AlarmKind::from_code(alarm.kind.code()), Some(alarm.kind));
    // Only who may pay at all can raise an alarm.
    let strange = bench.signed(&intent, "stranger");
    let rejection = bench.reject_of(submit(strange, Seen::Contradicted));
    assert_eq!(rejection, Rejection::UnknownDevice);
    // The number and the id are still free.
    assert!(bench.apply(submit(statement, Seen::Confirmed)).0.is_ok());
}

#[test]
fn commands_about_payments_in_another_state() {
    let mut bench = Bench::new();
    let operator = hash("operator");
    let booked = bench.pay(ALICE, BOB, 5, Status::Booked).id();
    let refused = bench.pay(BOB, ALICE, 99, Status::Refused).id();
    let waits = bench.pay(ALICE, BOB, STEP_UP, Status::StepUp).id();
    let held = bench.pay(ALICE, BOB, HOLD, Status::Held).id();
    let release = |payment| Command::Release { payment, operator };
    let recall = |payment| Command::Recall { payment, operator };
    let reject = |payment| Command::Reject { payment };
    let confirm = |payment| Command::RailConfirm { payment };
    let give_back = |payment| Command::RailReturn { payment };
    for (command, status) in [
        (release(booked), "booked"),
        (release(refused), "refused"),
        (release(waits), "step_up"),
        (reject(booked), "booked"),
        (reject(refused), "refused"),
        (recall(refused), "refused"),
        (recall(waits), "step_up"),
        (recall(held), "held"),
        (confirm(booked), "booked"),
        (confirm(held), "held"),
        (give_back(booked), "booked"),
        (give_back(refused), "refused"),
    ] {
        assert_eq!(bench.reject_of(command), Rejection::WrongStatus { status });
    }
    let mut unknown = bench.intent(ALICE, BOB, 5);
    unknown.payment = tpw_core::PaymentId::new(1, [9; 10]);
    let id = unknown.payment;
    for command in [release(id), recall(id), reject(id), confirm(id), give_back(id)] {
        let rejection = bench.reject_of(command);
        assert_eq!(
            (rejection.code(), rejection.class()),
            ("unknown_payment", RejectionClass::NotFound)
        );
    }
}

#[test]
fn people_codes_and_devices() {
    let mut bench = Bench::new();
    let code = |text| hash(text);
    let (alice, stranger) = (bench.key("alice"), bench.key("stranger"));
    let enrol = |text, id, key| Command::Enrol {
        code: code(text),
        device: device(id),
        key,
        post_quantum: None,
    };
    assert_eq!(bench.reject_of(enrol("no code", 5, stranger.clone())), Rejection::CodeInvalid);
    assert_eq!(bench.reject_of(enrol("code 1", 5, stranger.clone())), Rejection::CodeInvalid);
    // The same enrolment by the same key is answered again, whatever id it proposes.
    assert!(matches!(bench.must(enrol("code 1", 5, alice.clone())),
        Answer::Device(known) if known.id == device(1)));

    let issue =
        |n, text, expires| Command::IssueCode { person: person(n), code: code(text), expires };
    assert_eq!(bench.reject_of(issue(9, "new", at(60))), Rejection::UnknownPerson);
    assert_eq!(bench.reject_of(issue(1, "code 2", at(60))), Rejection::IdInUse { what: "code" });
    bench.must(issue(1, "new", at(60)));
    assert_eq!(bench.reject_of(enrol("new", 5, alice)), Rejection::KeyInUse);
    assert_eq!(
        bench.reject_of(enrol("new", 2, stranger.clone())),
        Rejection::IdInUse { what: "device" }
    );
    bench.now = at(60);
    assert_eq!(bench.reject_of(enrol("new", 5, stranger)), Rejection::CodeInvalid);
    let revoke = Command::RevokeDevice { device: device(9) };
    assert_eq!(bench.reject_of(revoke), Rejection::UnknownDevice);
}

#[test]
fn the_second_key_of_a_hybrid_device_is_its_own() {
    let mut bench = Bench::new();
    let (first, second) = (bench.fresh_key("first"), bench.key("stranger"));
    let other = bench.key("alice");
    let enrol = |text: &str, id, key: &PublicKey, second: Option<&PublicKey>| Command::Enrol {
        code: hash(text),
        device: device(id),
        key: key.clone(),
        post_quantum: second.cloned(),
    };
    for text in ["one", "two"] {
        let issue = Command::IssueCode { person: person(1), code: hash(text), expires: at(60) };
        bench.must(issue);
    }
    // No key of another device is the second key of this one.
    assert_eq!(bench.reject_of(enrol("one", 5, &first, Some(&other))), Rejection::KeyInUse);
    let Answer::Device(known) = bench.must(enrol("one", 5, &first, Some(&second))) else {
        panic!("an enrolment answers with the device");
    };
    assert_eq!((&known.key, known.post_quantum.as_ref()), (&first, Some(&second)));
    // The same again is answered again; with another second key, or none, it is another device.
    assert!(matches!(bench.must(enrol("one", 6, &first, Some(&second))),
        Answer::Device(again) if again == known));
    for changed in [None, Some(&other)] {
        assert_eq!(bench.reject_of(enrol("one", 5, &first, changed)), Rejection::CodeInvalid);
    }
    assert_eq!(bench.reject_of(enrol("two", 6, &first, None)), Rejection::KeyInUse);
    bench.enrol_hybrid("two", 7, "alice2");
}

/// Whoever has the data folder has the operator's device; the person is entered once.
#[test]
fn an_operators_device_needs_no_code() {
    let mut bench = Bench::new();
    let (stranger, alice) = (bench.key("stranger"), bench.key("alice"));
    let operator = tpw_flow::Person { id: person(8), name: name("Operator"), added: bench.now };
    let enrol =
        |id, key| Command::EnrolOperator { person: operator.clone(), device: device(id), key };
    // A device that cannot be enrolled leaves no person behind.
    for (id, key) in [(1, stranger.clone()), (8, alice.clone())] {
        bench.reject_of(enrol(id, key));
    }
    let (outcome, changes) = bench.apply(enrol(8, stranger.clone()));
    assert!(matches!(outcome, Ok(Answer::Device(known)) if known.person == person(8)));
    assert_eq!((changes.people.len(), changes.devices.len()), (1, 1));
    // Neither a key nor an id is enrolled twice, and a second device brings no second person.
    assert_eq!(bench.reject_of(enrol(9, stranger)), Rejection::KeyInUse);
    assert_eq!(bench.reject_of(enrol(9, alice)), Rejection::KeyInUse);
    let fresh = bench.fresh_key("operator2");
    let taken = Rejection::IdInUse { what: "device" };
    assert_eq!(bench.reject_of(enrol(8, fresh.clone())), taken);
    let (outcome, changes) = bench.apply(enrol(9, fresh));
    assert!(outcome.is_ok() && changes.people.is_empty());
    assert_eq!(bench.desk.registry().people.get(&person(8)), Some(&operator));
}

fn add(n: u8, accounts: Vec<tpw_flow::NewAccountOrder>) -> Command {
    let code = Some((hash("code 3"), at(60)));
    Command::AddPerson(NewPerson { id: person(n), name: name("somebody"), accounts, code })
}

#[test]
fn people_are_entered_whole_or_not_at_all() {
    let mut bench = Bench::new();
    let custodial = AccountKind::Custodial;
    let good = order(41, usd(), custodial, 5);
    assert_eq!(bench.reject_of(add(1, vec![])), Rejection::IdInUse { what: "person" });
    let mut taken = good.clone();
    taken.id = account(ALICE);
    for accounts in [vec![good.clone(), good.clone()], vec![good.clone(), taken.clone()]] {
        let rejection = bench.reject_of(add(3, accounts));
        assert_eq!(rejection, Rejection::IdInUse { what: "account" });
    }
    let doge = "DOGE/8".parse().unwrap();
    let unknown = vec![good.clone(), order(42, doge, custodial, 0)];
    assert_eq!(bench.reject_of(add(3, unknown)), Rejection::UnknownAsset(doge));
    let mut above = order(42, usd(), custodial, 5);
    above.limits = Limits::NONE.with_balance_max(Some(cents(4)));
    let rejection = bench.reject_of(add(3, vec![good.clone(), above]));
    assert!(matches!(rejection, Rejection::Ledger(LedgerError::LimitExceeded { .. })));
    let person_id = Some(person(9));
    let for_nobody = Command::OpenAccount { person: person_id, order: good.clone() };
    assert_eq!(bench.reject_of(for_nobody), Rejection::UnknownPerson);
    let again = Command::OpenAccount { person: Some(person(1)), order: taken };
    let exists = LedgerError::AccountExists(account(ALICE));
    assert_eq!(bench.reject_of(again), Rejection::Ledger(exists));
    assert!(bench.apply(add(3, vec![good])).0.is_ok());
}

/// Opening is refused before anything is changed when its money cannot come in.
#[test]
fn accounts_whose_money_cannot_come_in_are_not_opened() {
    let mut bench = Bench::new();
    let custodial = AccountKind::Custodial;
    let open = |order| Command::OpenAccount { person: Some(person(1)), order };
    let mut huge = order(41, usd(), custodial, 0);
    huge.opening = Amount::MAX;
    let rejection = bench.reject_of(open(huge.clone()));
    assert_eq!(rejection, Rejection::Ledger(LedgerError::Overflow));
    let mut half = order(42, usd(), custodial, 0);
    half.opening = cents(u128::MAX / 2 + 1);
    huge.opening = half.opening;
    let rejection = bench.reject_of(add(3, vec![half, huge]));
    assert_eq!(rejection, Rejection::Ledger(LedgerError::Overflow));
    let eur = "EUR/2".parse().unwrap();
    let issuance = order(43, eur, AccountKind::Issuance, 5);
    let same = Rejection::Ledger(LedgerError::SameAccount(account(43)));
    let of_nobody = Command::OpenAccount { person: None, order: issuance };
    assert_eq!(bench.reject_of(of_nobody), same);
    bench.must(Command::Freeze { account: account(ISSUANCE), frozen: Frozen::Yes });
    let frozen = Rejection::Ledger(LedgerError::PayerFrozen);
    assert_eq!(bench.reject_of(open(order(44, usd(), custodial, 5))), frozen);
    assert_eq!(bench.reject_of(add(3, vec![order(44, usd(), custodial, 5)])), frozen);
    assert!(bench.apply(add(3, vec![order(44, usd(), custodial, 0)])).0.is_ok());
}

#[test]
fn money_comes_in_once_under_one_id() {
    let mut bench = Bench::new();
    let id = TransferId::new(5, [7; 10]);
    let fund = |n, minor| Command::Fund { account: account(n), amount: cents(minor), transfer: id };
    assert_eq!(bench.must(fund(BOB, 5)), Answer::Done);
    // Again, from the store; and in one batch, before the store has it.
    let (again, changes) = bench.apply(fund(BOB, 5));
    assert_eq!((again, changes.ledger.is_empty()), (Ok(Answer::Done), true));
    let taken = Rejection::IdInUse { what: "transfer" };
    assert_eq!(bench.reject_of(fund(BOB, 6)), taken);
    assert_eq!(bench.reject_of(fund(ALICE, 5)), taken);
    assert_eq!(bench.balance(BOB), "5");
    let other = Command::Fund {
        account: account(BOB),
        amount: cents(2),
        transfer: TransferId::new(6, [7; 10]),
    };
    for _ in 0..2 {
        let done = bench.desk.apply(other.clone(), bench.now, &bench.books).unwrap();
        assert_eq!(done, Ok(Answer::Done));
    }
    assert_eq!(bench.balance(BOB), "7");
    assert_eq!(bench.desk.take_changes().fundings.len(), 1);

    // Accounts do not open with a transfer that was made, nor two with the same one.
    let mut opening = order(45, usd(), AccountKind::Custodial, 5);
    opening.transfer = id;
    let person_id = Some(person(1));
    let open = Command::OpenAccount { person: person_id, order: opening.clone() };
    assert_eq!(bench.reject_of(open), taken);
    let twin = order(46, usd(), AccountKind::Custodial, 5);
    let mut pair = vec![twin.clone(), order(47, usd(), AccountKind::Custodial, 5)];
    pair[1].transfer = twin.transfer;
    for accounts in [vec![opening.clone()], pair] {
        let new = NewPerson { id: person(9), name: name("Carl"), accounts, code: None };
        assert_eq!(bench.reject_of(Command::AddPerson(new)), taken);
    }
    // Nothing comes in: the id means nothing.
    opening.opening = Amount::ZERO;
    bench.must(Command::OpenAccount { person: person_id, order: opening });
    // The money with which an account opened is known by its id as well.
    let first = Command::Fund {
        account: account(ALICE),
        amount: cents(5_000_000),
        transfer: TransferId::new(1_763_806_000_000, [ALICE; 10]),
    };
    assert_eq!(bench.must(first), Answer::Done);
    assert_eq!(bench.balance(ALICE), "5000000");
}

/// An id from the future would stay the newest for long, and until then every other one would have to be looked up.
#[test]
fn money_does_not_come_in_under_an_id_from_the_future() {
    let mut bench = Bench::new();
    let late = TransferId::new(bench.now.unix_ms() + 60_001, [7; 10]);
    let fund = Command::Fund { account: account(BOB), amount: cents(5), transfer: late };
    let mut opening = order(45, usd(), AccountKind::Custodial, 5);
    opening.transfer = late;
    let open = Command::OpenAccount { person: Some(person(1)), order: opening.clone() };
    for command in [fund.clone(), open, add(3, vec![opening])] {
        assert_eq!(bench.reject_of(command), Rejection::FromFuture);
    }
    bench.later(1);
    assert_eq!(bench.must(fund), Answer::Done);
}

/// Which accounts belong to persons is decided by what they are, and money comes in from one account of each asset.
#[test]
fn accounts_belong_to_whom_their_kind_says() {
    use AccountKind::{Custodial, External, Issuance, Operating, SelfCustodial};
    let mut bench = Bench::new();
    let eur = "EUR/2".parse().unwrap();
    for (kind, of) in [
        (Custodial, None),
        (SelfCustodial, None),
        (External, Some(person(1))),
        (Operating, Some(person(1))),
        (Issuance, Some(person(1))),
    ] {
        let order = order(41, usd(), kind, 0);
        let open = Command::OpenAccount { person: of, order: order.clone() };
        assert_eq!(bench.reject_of(open), Rejection::WrongOwner { kind });
        if of.is_some() {
            assert_eq!(bench.reject_of(add(3, vec![order])), Rejection::WrongOwner { kind });
        }
    }
    let issuance =
        |n, asset| Command::OpenAccount { person: None, order: order(n, asset, Issuance, 0) };
    assert_eq!(bench.reject_of(issuance(42, usd())), Rejection::IssuanceExists(usd()));
    bench.must(issuance(42, eur));
    assert_eq!(bench.reject_of(issuance(43, eur)), Rejection::IssuanceExists(eur));
    let again = Rejection::Ledger(LedgerError::AccountExists(account(42)));
    assert_eq!(bench.reject_of(issuance(42, eur)), again);
}

#[test]
fn money_in_and_freezing() {
    let mut bench = Bench::new();
    let fund = |n, amount| Command::Fund {
        account: account(n),
        amount,
        transfer: TransferId::new(5, [n; 10]),
    };
    let freeze = |n, frozen| Command::Freeze { account: account(n), frozen };
    assert_eq!(bench.reject_of(fund(99, cents(5))), Rejection::UnknownAccount);
    let zero = Rejection::Ledger(LedgerError::ZeroAmount);
    assert_eq!(bench.reject_of(fund(ALICE, Amount::ZERO)), zero);
    assert_eq!(bench.reject_of(freeze(99, Frozen::Yes)), Rejection::UnknownAccount);
    assert_eq!(bench.reject_of(freeze(BOB_SELF, Frozen::Yes)), Rejection::SelfCustodial);
    assert_eq!(bench.reject_of(freeze(BOB_SELF, Frozen::No)), Rejection::SelfCustodial);
    let not_frozen = Rejection::Ledger(LedgerError::NotFrozen);
    assert_eq!(bench.reject_of(freeze(BOB, Frozen::No)), not_frozen);
    bench.must(freeze(BOB, Frozen::Yes));
    let frozen = Rejection::Ledger(LedgerError::AlreadyFrozen);
    assert_eq!(bench.reject_of(freeze(BOB, Frozen::Yes)), frozen);
    let payee_frozen = Rejection::Ledger(LedgerError::PayeeFrozen);
    assert_eq!(bench.reject_of(fund(BOB, cents(5))), payee_frozen);
    let head = bench.desk.registry().head(device(2), account(BOB));
    assert_eq!((head.sequence, head.hash), (0, Hash32::ZERO));
}
