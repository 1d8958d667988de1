//! Goal: the engine carries payments from signature to receipt, keeps everything across a restart, and refuses what it
//! must without changing anything.
//! Method: real files, keys and signatures; receipts judged with the public verifier; after a restart every answer is
//! asked for again and compared.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod world;

use std::sync::Arc;
use tpw_core::{Amount, Hash32, Span, TransferId, TreeHead};
use tpw_crypto::{Signer, sha256};
use tpw_engines::clock::{Clock, ManualClock, SystemClock};
use tpw_engines::{Change, Config, Engine, EngineError, Part, Repeated};
use tpw_flow::{Answer, Command, Frozen, Rail, Rejection};
use tpw_ledger::{AccountKind, StatementPoint, verify_statement};
use tpw_proof::timestamp::{CertificateWish, TspError, info, query, verify_answer};
use tpw_proof::{Level, judge};
use world::*;

#[test]
fn a_payment_becomes_a_receipt_and_a_repeat_gets_the_same_outcome() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    runtime().block_on(async {
        let mut dice = Dice::new(1);
        let mut ann = Holder::enrolled(&engine, &mut dice, 10_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        let signed = ann.next(&engine, &mut dice, bob.account, 250);
        let paid = engine.pay(&signed.bytes).await.unwrap();
        assert_eq!((status(&paid), paid.repeated), ("booked", Repeated::No));
        demand_receipt(&engine, &paid);
        let again = engine.pay(&signed.bytes).await.unwrap();
        assert_eq!(again.repeated, Repeated::Yes);
        assert_eq!((&again.payment, &again.receipt), (&paid.payment, &paid.receipt));
        assert_eq!(balance(&engine, ann.account), 9_750);
        assert_eq!(balance(&engine, bob.account), 250);
        demand_balanced(&engine);

        let receipt = paid.receipt.unwrap();
        for at in [10, receipt.len() / 2, receipt.len() - 10] {
            let mut bad = receipt.clone();
            bad[at] ^= 1;
            assert!(!judge(&bad, engine.trust()).is_valid(), "byte {at}");
        }
    });
}

#[test]
fn a_repeat_while_the_first_is_under_way_is_answered_with_a_receipt() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    runtime().block_on(async {
        let mut dice = Dice::new(2);
        let mut ann = Holder::enrolled(&engine, &mut dice, 1_000_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        for _ in 0..100 {
            let signed = ann.next(&engine, &mut dice, bob.account, 1);
            let (first, second) = (Arc::clone(&engine), Arc::clone(&engine));
            let (a, b) = (signed.bytes.clone(), signed.bytes.clone());
            let first = tokio::spawn(async move { first.pay(&a).await });
            // The second comes in at some moment of the first's way through books and log.
            tokio::time::sleep(std::time::Duration::from_micros(dice.below(6_000))).await;
            let second = tokio::spawn(async move { second.pay(&b).await });
            let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
            assert_eq!(first.receipt, second.receipt);
            demand_receipt(&engine, &second);
        }
        assert_eq!(balance(&engine, bob.account), 100);
    });
}

#[test]
fn what_must_be_refused_is_refused_and_changes_nothing() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    runtime().block_on(async {
        let mut dice = Dice::new(3);
        let mut ann = Holder::enrolled(&engine, &mut dice, 10_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        let stranger = Holder::new(&engine, &mut dice, 0).0;
        let first = ann.next(&engine, &mut dice, bob.account, 100);
        engine.pay(&first.bytes).await.unwrap();
        let size = engine.metrics().tree_size;
        let good = ann.intent(&engine, &mut dice, bob.account, 5);
        let now = engine.now();
        let hour = Span::from_secs(3600);
        let with = |change: fn(&mut tpw_core::Intent)| {
            let mut intent = good.clone();
            change(&mut intent);
            intent
        };
        let mut expired = good.clone();
        (expired.created, expired.expires) = (now.minus(hour), now.minus(Span::from_ms(1)));
        let mut future = good.clone();
        (future.created, future.expires) = (now.plus(hour), now.plus(hour).plus(hour));
        let mut other_amount = first.intent.clone();
        other_amount.money.amount = tpw_core::Amount::from_minor(101);
        let mut not_owner = good.clone();
        (not_owner.payer, not_owner.payee) = (bob.account, ann.account);
        let cases = [
            ("expired", expired),
            ("from_future", future),
            ("exists_with_different", other_amount),
            ("not_owner", not_owner),
            ("wrong_audience", with(|i| i.audience = name("other.example"))),
            ("sequence_gap", with(|i| i.sequence += 1)),
            ("sequence_used", with(|i| i.sequence -= 1)),
            ("chain_mismatch", with(|i| i.previous = Hash32::new([7; 32]))),
            (
                "checkpoint_fork",
                with(|i| i.seen = TreeHead { size: 2, root: Hash32::new([7; 32]) }),
            ),
            ("checkpoint_fork", with(|i| i.seen = TreeHead { size: 99, root: Hash32::ZERO })),
        ];
        for (code, intent) in cases {
            let error = engine.pay(&ann.sign(intent).bytes).await.unwrap_err();
            assert_eq!(code_of(&error), code, "{error}");
        }
        let unknown = engine.pay(&stranger.sign(good.clone()).bytes).await.unwrap_err();
        assert_eq!(code_of(&unknown), "unknown_device");
        let stolen = engine.pay(&bob.sign(good.clone()).bytes).await.unwrap_err();
        assert_eq!(code_of(&stolen), "unknown_device", "another's key: {stolen}");
        let valid = ann.sign(good.clone()).bytes;
        for cut in [0, 1, valid.len() / 2, valid.len() - 1] {
            let error = engine.pay(&valid[..cut]).await.unwrap_err();
            assert_eq!(code_of(&error), "bad_statement", "{error}");
        }
        let mut altered = valid.clone();
        *altered.last_mut().unwrap() ^= 1;
        assert_eq!(code_of(&engine.pay(&altered).await.unwrap_err()), "bad_statement");

        assert_eq!(engine.metrics().tree_size, size, "nothing was logged");
        assert_eq!(engine.chain_head(ann.device, ann.account).sequence, 1);
        let alarms = engine.alarms(0, 10).unwrap();
        assert_eq!(alarms.len(), 2, "each contradicted head was stored as an alarm");
        assert_eq!(alarms[0].1.payment, Some(good.payment));
        assert_eq!(status(&engine.pay(&valid).await.unwrap()), "booked", "the number was free");
        assert_eq!(balance(&engine, bob.account), 105);
    });
}

#[test]
fn step_up_hold_refusal_and_clearing_partner() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    runtime().block_on(async {
        let mut dice = Dice::new(4);
        let mut ann = Holder::enrolled(&engine, &mut dice, 9_000_000).await;
        let mut bob = Holder::enrolled(&engine, &mut dice, 0).await;
        let partner = external(&engine, &mut dice).await;

        // 2,000.00 to a new payee asks the payer again.
        let signed = ann.next(&engine, &mut dice, bob.account, 200_000);
        let waiting = engine.pay(&signed.bytes).await.unwrap();
        assert_eq!((status(&waiting), waiting.receipt.is_some()), ("step_up", false));
        assert_eq!(balance(&engine, bob.account), 0);
        let forged = Holder { account: ann.account, ..Holder::new(&engine, &mut dice, 0).0 };
        let error = engine.step_up(&forged.step_up(&engine, &signed)).await.unwrap_err();
        assert_eq!(code_of(&error), "unknown_device");
        let error = engine.step_up(&bob.step_up(&engine, &signed)).await.unwrap_err();
        assert_eq!(code_of(&error), "proof_mismatch");
        let done = engine.step_up(&ann.step_up(&engine, &signed)).await.unwrap();
        assert_eq!(status(&done), "booked");
        demand_receipt(&engine, &done);

        // 10,000.00 waits for an operator: one is released, one rejected.
        let operator = Hash32::new(sha256(b"operator key"));
        let held = ann.next(&engine, &mut dice, bob.account, 1_000_000);
        assert_eq!(status(&engine.pay(&held.bytes).await.unwrap()), "held");
        let release = Command::Release { payment: held.id(), operator };
        demand_receipt(&engine, &engine.decide(release.clone()).await.unwrap());
        assert_eq!(code_of(&engine.decide(release).await.unwrap_err()), "wrong_status");
        let held = ann.next(&engine, &mut dice, bob.account, 1_000_001);
        assert_eq!(status(&engine.pay(&held.bytes).await.unwrap()), "held");
        let rejected = engine.decide(Command::Reject { payment: held.id() }).await.unwrap();
        assert_eq!((status(&rejected), rejected.receipt.is_some()), ("refused", false));

        // More than there is: refused, and the number is used.
        let poor = bob.next(&engine, &mut dice, ann.account, 9_999_999);
        let refused = engine.pay(&poor.bytes).await.unwrap();
        assert_eq!(status(&refused), "refused", "more than there is");
        assert_eq!(engine.chain_head(bob.device, bob.account).sequence, 1);
        let before = balance(&engine, bob.account);

        // Out to the clearing partner, and back.
        let out = ann.next(&engine, &mut dice, partner, 700);
        let paid = engine.pay(&out.bytes).await.unwrap();
        assert_eq!(paid.payment.booked().unwrap().rail(), Rail::Instructed);
        let instruction = dir.path().join("rail").join(format!("{}.json", out.id()));
        assert!(std::fs::read_to_string(instruction).unwrap().contains("\"700\""));
        let back = engine.decide(Command::RailReturn { payment: out.id() }).await.unwrap();
        assert_eq!(status(&back), "compensated");
        let proof = back.compensation_receipt.unwrap();
        let judged = judge(&proof, engine.trust());
        assert!(judged.is_valid() && judged.level(Level::InLog).is_proved());
        assert_eq!(balance(&engine, partner), 0);
        assert!(engine.rail_open(None, 9).unwrap().is_empty());
        assert_eq!(balance(&engine, bob.account), before);
        assert_eq!(before, 1_200_000);
        demand_balanced(&engine);
    });
}

#[test]
fn waiting_payments_end_when_their_time_is_over_also_across_a_restart() {
    let dir = scratch();
    let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
    let mut dice = Dice::new(5);
    let engine = open_at(dir.path(), clock.clone()).unwrap();
    let (ann, waiting) = runtime().block_on(async {
        let mut ann = Holder::enrolled(&engine, &mut dice, 500_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        let signed = ann.next(&engine, &mut dice, bob.account, 200_000);
        assert_eq!(status(&engine.pay(&signed.bytes).await.unwrap()), "step_up");
        (ann, signed)
    });
    drop(engine);
    let engine = open_at(dir.path(), clock.clone()).unwrap();
    assert_eq!(engine.waiting(None, 9).len(), 1);
    let available =
        |e: &Engine| e.account(&ann.account).unwrap().unwrap().account.available().magnitude();
    assert_eq!(available(&engine).minor(), 300_000, "the money is on hold");
    clock.advance(Span::from_secs(8 * 24 * 3600));
    runtime().block_on(async {
        // The same clock tick ends it, whichever comes first: the writer's own or this one.
        engine.command(Command::Tick).await.unwrap();
    });
    assert_eq!(engine.payment(waiting.id()).unwrap().unwrap().status().unwrap().code(), "refused");
    assert!(engine.waiting(None, 9).is_empty());
    assert_eq!(available(&engine).minor(), 500_000);
}

#[test]
fn a_restart_keeps_everything() {
    let dir = scratch();
    let mut dice = Dice::new(6);
    let engine = open(dir.path()).unwrap();
    let mut outcomes = Vec::new();
    let (mut ann, bob) = runtime().block_on(async {
        let mut ann = Holder::enrolled(&engine, &mut dice, 10_000_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        for minor in [200_000, 1, 2, 3, 1_000_000, 9_999_999_999, 4] {
            let signed = ann.next(&engine, &mut dice, bob.account, minor);
            outcomes.push((signed.clone(), engine.pay(&signed.bytes).await.unwrap()));
        }
        engine
            .command(Command::Freeze { account: bob.account, frozen: Frozen::Yes })
            .await
            .unwrap();
        (ann, bob)
    });
    let view = |e: &Engine| {
        let account = |id| e.account(&id).unwrap();
        (account(ann.account), account(bob.account), totals(e))
    };
    let (trust, before) = (engine.trust_json(), view(&engine));
    let waiting: Vec<_> = engine.waiting(None, 9).iter().map(|p| p.id()).collect();
    assert_eq!(waiting.len(), 2);
    engine.close();
    drop(engine);
    demand_sound_log(dir.path(), &tpw_proof::Trust::from_json(&trust).unwrap());

    let engine = open(dir.path()).unwrap();
    assert_eq!(engine.trust_json(), trust);
    assert_eq!(view(&engine), before);
    assert_eq!(engine.waiting(None, 9).iter().map(|p| p.id()).collect::<Vec<_>>(), waiting);
    assert_eq!(engine.device(&ann.device).unwrap().person, ann.person);
    runtime().block_on(async {
        for (signed, paid) in &outcomes {
            let again = engine.pay(&signed.bytes).await.unwrap();
            assert_eq!(again.repeated, Repeated::Yes);
            assert_eq!((&again.payment, &again.receipt), (&paid.payment, &paid.receipt));
        }
        engine.command(Command::Freeze { account: bob.account, frozen: Frozen::No }).await.unwrap();
        let signed = ann.next(&engine, &mut dice, bob.account, 5);
        assert_eq!(
            status(&engine.pay(&signed.bytes).await.unwrap()),
            "booked",
            "the chain goes on"
        );
    });
    for account in [ann.account, bob.account] {
        let mut rows = engine.statement(account, None, 1_000).unwrap();
        rows.reverse();
        let closing = engine.account(&account).unwrap().unwrap().account.point();
        verify_statement(&rows, &account, &StatementPoint::START, &closing).unwrap();
        rows.remove(1);
        assert!(verify_statement(&rows, &account, &StatementPoint::START, &closing).is_err());
    }
    assert_eq!(engine.health().writer, Part::Good);
    demand_balanced(&engine);
}

#[test]
fn a_folder_has_one_process_and_one_operator() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    let second = refusal(dir.path());
    assert!(second.contains("is in use by another process"), "{second}");
    engine.close();
    drop(engine);
    let other = Config::new(name("other.example"));
    match Engine::open(dir.path(), other, Arc::new(SystemClock::new())) {
        Err(error @ EngineError::OtherOperator { .. }) => {
            assert!(error.to_string().contains("belongs to `pay.example`, not to `other.example`"));
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("another operator's folder was opened"),
    }
    let engine = open(dir.path()).unwrap();
    let (signer, token) = engine.token_signer();
    assert!(Signer::public_key(signer, token).is_ok());
}

#[test]
fn the_same_funding_moves_money_once_also_across_a_restart() {
    let dir = scratch();
    let mut dice = Dice::new(7);
    let transfer = TransferId::new(1_763_806_000_000, dice.bytes());
    let (account, opening) = (order(&mut dice, AccountKind::External, 0), 40);
    let mut second = order(&mut dice, AccountKind::External, opening);
    let fund = |transfer, minor| Command::Fund {
        account: account.id,
        amount: Amount::from_minor(minor),
        transfer,
    };
    let taken = Err(Rejection::IdInUse { what: "transfer" });
    let engine = open(dir.path()).unwrap();
    runtime().block_on(async {
        for order in [account.clone(), second.clone()] {
            engine.command(Command::OpenAccount { person: None, order }).await.unwrap();
        }
        // Twice in one commit, and then once more.
        let twice = vec![fund(transfer, 500), fund(transfer, 500), fund(transfer, 501)];
        let outcomes = engine.commands(twice).await.unwrap();
        assert_eq!(outcomes, [Ok(Answer::Done), Ok(Answer::Done), taken.clone()]);
        engine.command(fund(transfer, 500)).await.unwrap();
        assert_eq!(balance(&engine, account.id), 500);
    });
    engine.close();
    drop(engine);
    for _ in 0..2 {
        let engine = open(dir.path()).unwrap();
        runtime().block_on(async {
            let again = vec![fund(transfer, 500), fund(transfer, 1), fund(second.transfer, 40)];
            let outcomes = engine.commands(again).await.unwrap();
            assert_eq!(outcomes, [Ok(Answer::Done), taken.clone(), taken.clone()]);
            second.id = tpw_core::AccountId::from_bytes(dice.bytes());
            let reopened = Command::OpenAccount { person: None, order: second.clone() };
            let outcome = engine.commands(vec![reopened]).await.unwrap().pop();
            assert_eq!(outcome.as_ref(), Some(&taken));
            assert_eq!(balance(&engine, account.id), 500);
            demand_balanced(&engine);
        });
        engine.close();
    }
}

#[test]
fn what_a_start_sets_up_is_not_older_than_what_was_booked() {
    let dir = scratch();
    let now = SystemClock::new().now();
    let later = Arc::new(ManualClock::new(now.plus(Span::from_ms(400))));
    let engine = open_at(dir.path(), later.clone()).unwrap();
    runtime().block_on(Holder::enrolled(&engine, &mut Dice::new(8), 5));
    engine.close();
    drop(engine);
    let mut config = Config::new(name(AUDIENCE));
    config.assets.push("EUR/2".parse().unwrap());
    let engine = Engine::open(dir.path(), config, Arc::new(ManualClock::new(now))).unwrap();
    let events: Vec<_> = engine
        .changes(tpw_engines::Place::default(), 1_000)
        .unwrap()
        .into_iter()
        .filter_map(|(_, change)| match change {
            Change::Event(event) => Some(event.at),
            Change::Transfer(_) => None,
        })
        .collect();
    assert!(events.is_sorted(), "{events:?}");
    assert_eq!(events.last(), Some(&later.now()));
}

#[test]
fn a_clock_that_was_set_gives_no_time_stamps_until_it_is_right_again() {
    let dir = scratch();
    let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
    let engine = open_at(dir.path(), clock.clone()).unwrap();
    let request = query(sha256(b"data"), None, CertificateWish::Embedded).unwrap();
    let trust = engine.trust();
    let stamped = || {
        verify_answer(&stamp(&engine, &request), &request, &trust.tsa_roots, &trust.tsa_policies)
    };
    assert_eq!(engine.health().clock, Part::Good);
    clock.pretend_jump(Span::from_ms(1_000));
    assert_eq!(engine.health().clock, Part::Good);
    stamped().unwrap();
    clock.pretend_jump(Span::from_ms(1_001));
    let Part::Bad(why) = engine.health().clock else { panic!("a jump is noticed") };
    assert!(why.contains("jumped by 1001 ms"), "{why}");
    // RFC 3161 §2.4.2: timeNotAvailable is bit 14.
    let refused = TspError::Refused { status: 2, failure: vec![14] };
    assert_eq!(stamped().unwrap_err(), refused);
    clock.pretend_jump(Span::from_ms(0));
    assert_eq!(engine.health().clock, Part::Good);
    stamped().unwrap();
}

#[test]
fn the_error_of_the_clock_is_the_accuracy_of_a_time_stamp_and_too_much_of_it_gives_none() {
    let dir = scratch();
    let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
    let mut config = Config::new(name(AUDIENCE));
    config.tsa_accuracy_ms = 250;
    let engine = Engine::open(dir.path(), config, clock.clone()).unwrap();
    let request = query(sha256(b"data"), None, CertificateWish::Embedded).unwrap();
    let trust = engine.trust();
    let stamped = || {
        verify_answer(&stamp(&engine, &request), &request, &trust.tsa_roots, &trust.tsa_policies)
    };
    for ms in [1, 99, 250] {
        clock.pretend_error(Some(Span::from_ms(ms)));
        assert_eq!(stamped().unwrap().accuracy_ms, Some(ms));
        assert_eq!(engine.health().clock, Part::Good);
    }
    let (rt, mut dice) = (runtime(), Dice::new(9));
    let mut ann = rt.block_on(Holder::enrolled(&engine, &mut dice, 5));
    let bob = rt.block_on(Holder::enrolled(&engine, &mut dice, 0));
    // That of the checkpoint over a payment.
    let mut accuracy = || {
        let signed = ann.next(&engine, &mut dice, bob.account, 1);
        rt.block_on(engine.pay(&signed.bytes)).unwrap();
        let token = engine.log().newest().unwrap().token.clone();
        info(&token).unwrap().token.unwrap().accuracy
    };
    assert_eq!(accuracy(), Some([0, 250, 0]), "a checkpoint states it too");
    let refused = TspError::Refused { status: 2, failure: vec![14] };
    for (error, words) in [
        (Some(Span::from_ms(251)), "may be off by 251 ms, and 250 ms are declared"),
        (None, "not synchronised"),
    ] {
        clock.pretend_error(error);
        assert_eq!(stamped().unwrap_err(), refused);
        let Part::Bad(why) = engine.health().clock else { panic!("it is noticed") };
        assert!(why.contains(words), "{why}");
    }
    // Payments go on, and their checkpoints say what is known of the time.
    assert_eq!(accuracy(), None);
    clock.pretend_error(Some(Span::from_ms(4_007)));
    assert_eq!(accuracy(), Some([4, 7, 0]));
}

fn stamp(engine: &Engine, request: &[u8]) -> Vec<u8> {
    runtime().block_on(engine.stamp(request)).unwrap()
}

#[test]
fn serials_never_repeat_even_when_an_engine_is_dropped_without_a_word() {
    let dir = scratch();
    let mut serials = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
        let engine = open_at(dir.path(), clock).unwrap();
        let trust = engine.trust();
        for _ in 0..20 {
            let request = query(sha256(b"data"), None, CertificateWish::Embedded).unwrap();
            let (roots, policies) = (&trust.tsa_roots, &trust.tsa_policies);
            let answer = stamp(&engine, &request);
            let stamp = verify_answer(&answer, &request, roots, policies).unwrap();
            assert!(stamp.serial.len() == 20 && stamp.serial[0] < 0x80, "a positive number");
            assert!(serials.insert(stamp.serial));
        }
        drop(engine);
    }
}

#[test]
fn a_request_for_a_certificate_that_is_not_handed_out_is_refused() {
    let dir = scratch();
    let mut config = Config::new(name(AUDIENCE));
    config.tsa_certificate = tpw_proof::timestamp::Disclosure::Never;
    let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
    let engine = Engine::open(dir.path(), config, clock).unwrap();
    let ask = |wish| info(&stamp(&engine, &query(sha256(b"data"), None, wish).unwrap())).unwrap();
    // RFC 3161 §2.4.2: addInfoNotAvailable is bit 17.
    assert_eq!(ask(CertificateWish::Embedded).failure, [17]);
    assert!(ask(CertificateWish::Absent).token.unwrap().certificates.is_empty());
    // The log's own checkpoints carry it all the same.
    let token = engine.log().newest().unwrap().token.clone();
    assert_eq!(info(&token).unwrap().token.unwrap().certificates.len(), 1);
}

#[test]
fn a_start_refuses_a_certificate_that_is_not_for_time_stamps_or_not_for_the_key() {
    let (dir, other) = (scratch(), scratch());
    let now = Arc::new(ManualClock::new(SystemClock::new().now()));
    for folder in [&dir, &other] {
        open_at(folder.path(), now.clone()).unwrap().close();
    }
    let own = std::fs::read(dir.path().join("tsa.der")).unwrap();
    let foreign = std::fs::read(other.path().join("tsa.der")).unwrap();
    let root = std::fs::read(dir.path().join("tsa-root.der")).unwrap();
    for bad in [foreign, root, own[..own.len() - 1].to_vec(), Vec::new()] {
        std::fs::write(dir.path().join("tsa.der"), bad).unwrap();
        let refused = open_at(dir.path(), now.clone()).err().unwrap();
        assert!(refused.to_string().contains("time-stamp authority"), "{refused}");
    }
    std::fs::write(dir.path().join("tsa.der"), own).unwrap();
    // When it has expired nothing starts either.
    let late = ManualClock::new(now.now().plus(Span::from_secs(11 * 365 * 24 * 3600)));
    let refused = open_at(dir.path(), Arc::new(late)).err().unwrap();
    assert!(refused.to_string().contains("time-stamp authority"), "{refused}");
    open_at(dir.path(), now).unwrap();
}

#[test]
fn an_order_is_told_from_another_one_under_its_id_also_after_a_restart() {
    let (dir, mut dice) = (scratch(), Dice::new(77));
    let engine = open(dir.path()).unwrap();
    let operator = runtime().block_on(orders::Operator::busy(&engine, &mut dice));
    runtime().block_on(operator.demand_decided(&engine));
    engine.close();
    drop(engine);
    let engine = open(dir.path()).unwrap();
    runtime().block_on(operator.demand_decided(&engine));
    demand_balanced(&engine);
}
