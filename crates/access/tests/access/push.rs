//! Goal: a prompt lets on what its number was drawn for, once, in time, at another device, and cannot be guessed; nobody is asked too often,
//! and a device that asks somebody who knows nothing of it is locked. Method: the path as the product walks it, then each deviation; the
//! record, cut.

use crate::forge::at;
use tpw_access::assurance::Strength;
use tpw_access::factor::push::{Collected, Prompts, Question, TRIES};
use tpw_access::factor::{FactorError, Method, Why};
use tpw_core::{
    AccountId, Amount, DeviceId, Hash32, Money, Name, PaymentId, PromptAnswer, PromptReply,
    PromptSubject, Unlocked,
};
use tpw_crypto::FixedEntropy;

const NOW: u64 = 1_800_000_000;
const CHALLENGE: [u8; 16] = [9; 16];

fn device(n: u8) -> DeviceId {
    DeviceId::from_bytes([n; 16])
}

fn payment(minor: u128, payee: u8) -> PromptSubject {
    PromptSubject::Payment {
        payment: PaymentId::from_bytes([3; 16]),
        intent_hash: Hash32::new([4; 32]),
        money: Money { amount: Amount::from_minor(minor), asset: "USD/2".parse().unwrap() },
        payee: AccountId::from_bytes([payee; 16]),
    }
}

fn question(subject: PromptSubject) -> Question {
    Question { challenge: CHALLENGE, asked_by: device(1), subject }
}

/// Device 1 asks; the record, and the number that it shows.
fn ask(prompts: &Prompts, subject: PromptSubject, now: u64) -> (Prompts, String) {
    let asked = prompts.ask(question(subject), at(now), &mut FixedEntropy::new(now));
    let (after, number) = asked.unwrap();
    (after, number.reveal().replace(' ', ""))
}

/// Device 2 answers.
fn answer(number: &str, subject: PromptSubject, now: u64) -> PromptAnswer {
    PromptAnswer {
        challenge: CHALLENGE,
        device: device(2),
        reply: PromptReply::Approve,
        number: number.to_owned(),
        subject,
        unlocked: Unlocked::Passphrase,
        created: at(now),
        audience: Name::new("tpw.test").unwrap(),
    }
}

fn denial(reply: PromptReply, now: u64) -> PromptAnswer {
    PromptAnswer { reply, ..answer("", payment(5, 5), now) }
}

fn other_than(number: &str) -> String {
    let value: u32 = number.parse().unwrap();
    format!("{:06}", (value + 1) % 1_000_000)
}

#[track_caller]
fn refused(prompts: &Prompts, answer: &PromptAnswer, now: u64) -> (Prompts, Why) {
    let answered = prompts.answer(answer, b"signed", at(now));
    match answered.outcome {
        Err(FactorError::Refused(why)) => (answered.after, why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_typed_number_lets_on_what_it_was_drawn_for_once() {
    for subject in [PromptSubject::Session, payment(5, 5)] {
        let (prompts, number) = ask(&Prompts::default(), subject, NOW);
        assert_eq!(number.len(), PromptAnswer::NUMBER_LEN);
        let shown = prompts.waiting_at(device(2), at(NOW)).unwrap();
        assert_eq!((shown.question(), shown.at()), (&question(subject), at(NOW)));
        assert_eq!(shown.expires(), at(NOW + 300));
        let found = prompts.collect(&CHALLENGE, device(1), at(NOW + 1)).unwrap();
        assert!(matches!(found, Collected::Waiting));
        let answered = prompts.answer(&answer(&number, subject, NOW), b"signed", at(NOW + 2));
        assert_eq!(answered.outcome, Ok(PromptReply::Approve));
        let prompts = answered.after;
        assert_eq!(prompts.waiting_at(device(2), at(NOW + 2)), None);
        let (_, why) = refused(&prompts, &answer(&number, subject, NOW), NOW + 3);
        assert_eq!(why, Why::Reused);
        let found = prompts.collect(&CHALLENGE, device(1), at(NOW + 4)).unwrap();
        let Collected::Agreed(after, agreed) = found else { panic!("{found:?}") };
        assert_eq!((agreed.device, agreed.statement.as_slice()), (device(2), &b"signed"[..]));
        assert_eq!(agreed.evidence().method(), Method::Push);
        assert_eq!((agreed.evidence().at(), agreed.strength()), (at(NOW + 2), Strength::Multi));
        let twice = after.collect(&CHALLENGE, device(1), at(NOW + 5)).unwrap_err();
        assert_eq!(twice, FactorError::Refused(Why::Wrong));
    }
}

#[test]
fn a_device_that_stood_open_is_one_more_thing_that_one_has() {
    let (prompts, number) = ask(&Prompts::default(), PromptSubject::Session, NOW);
    let mut open = answer(&number, PromptSubject::Session, NOW);
    open.unlocked = Unlocked::StoodOpen;
    let prompts = prompts.answer(&open, b"signed", at(NOW)).after;
    let found = prompts.collect(&CHALLENGE, device(1), at(NOW)).unwrap();
    let Collected::Agreed(_, agreed) = found else { panic!("{found:?}") };
    assert_eq!(agreed.strength(), Strength::Single);
}

#[test]
fn push_accepted_by_the_same_device_is_refused() {
    let (prompts, number) = ask(&Prompts::default(), payment(5, 5), NOW);
    assert_eq!(prompts.waiting_at(device(1), at(NOW)), None);
    let own = PromptAnswer { device: device(1), ..answer(&number, payment(5, 5), NOW) };
    let (after, why) = refused(&prompts, &own, NOW);
    assert_eq!((why, &after), (Why::SameDevice, &prompts));
    // Nor does the other device collect what the first one asked for.
    let prompts = prompts.answer(&answer(&number, payment(5, 5), NOW), b"signed", at(NOW)).after;
    let error = prompts.collect(&CHALLENGE, device(2), at(NOW)).unwrap_err();
    assert_eq!(error, FactorError::Refused(Why::Wrong));
}

#[test]
fn number_guessed() {
    let (mut prompts, number) = ask(&Prompts::default(), payment(5, 5), NOW);
    let wrong = answer(&other_than(&number), payment(5, 5), NOW);
    for tried in 1..=TRIES {
        let (after, why) = refused(&prompts, &wrong, NOW);
        assert_eq!(why, if tried == TRIES { Why::UsedUp } else { Why::Wrong });
        prompts = after;
    }
    // The right one comes too late.
    let (_, why) = refused(&prompts, &answer(&number, payment(5, 5), NOW), NOW);
    assert_eq!(why, Why::Wrong);
}

#[test]
fn payment_altered_between_push_and_answer() {
    let (prompts, number) = ask(&Prompts::default(), payment(500, 5), NOW);
    let PromptSubject::Payment { payment: id, intent_hash, money, payee } = payment(500, 5) else {
        panic!("no payment")
    };
    let hash = Hash32::new([5; 32]);
    let another = PaymentId::from_bytes([7; 16]);
    for altered in [
        payment(501, 5),
        payment(500, 6),
        PromptSubject::Session,
        PromptSubject::Payment { payment: id, intent_hash: hash, money, payee },
        PromptSubject::Payment { payment: another, intent_hash, money, payee },
    ] {
        let (_, why) = refused(&prompts, &answer(&number, altered, NOW), NOW);
        assert_eq!(why, Why::OtherPurpose, "{altered:?}");
    }
}

#[test]
fn too_late_too_early_and_for_another_challenge() {
    let (prompts, number) = ask(&Prompts::default(), payment(5, 5), NOW);
    let good = answer(&number, payment(5, 5), NOW);
    for now in [NOW + 300, NOW - 1] {
        assert_eq!(refused(&prompts, &good, now).1, Why::Expired, "{now}");
        assert_eq!(prompts.waiting_at(device(2), at(now)), None);
        let error = prompts.collect(&CHALLENGE, device(1), at(now)).unwrap_err();
        assert_eq!(error, FactorError::Refused(Why::Expired));
    }
    // An old answer, and one from a clock that runs far ahead.
    for created in [NOW - 301, NOW + 61] {
        let odd = PromptAnswer { created: at(created), ..good.clone() };
        assert_eq!(refused(&prompts, &odd, NOW).1, Why::Expired, "{created}");
    }
    let other = PromptAnswer { challenge: [8; 16], ..good.clone() };
    assert_eq!(refused(&prompts, &other, NOW).1, Why::Wrong);
    // A new prompt ends the old one.
    let question = Question { challenge: [8; 16], ..question(payment(5, 5)) };
    let (newer, _) = prompts.ask(question, at(NOW + 30), &mut FixedEntropy::new(1)).unwrap();
    assert_eq!(refused(&newer, &good, NOW + 31).1, Why::Wrong);
}

#[test]
fn a_denial_is_told_and_not_me_locks_the_device() {
    let (prompts, number) = ask(&Prompts::default(), payment(5, 5), NOW);
    let denied = prompts.answer(&denial(PromptReply::Deny, NOW), b"signed", at(NOW));
    assert_eq!(denied.outcome, Ok(PromptReply::Deny));
    let (_, why) = refused(&denied.after, &answer(&number, payment(5, 5), NOW), NOW);
    assert_eq!(why, Why::Reused);
    let found = denied.after.collect(&CHALLENGE, device(1), at(NOW + 1)).unwrap();
    let Collected::Denied(after, PromptReply::Deny) = found else { panic!("{found:?}") };
    // It may ask again.
    let (prompts, _) = ask(&after, payment(5, 5), NOW + 30);
    let stranger = prompts.answer(&denial(PromptReply::NotMe, NOW + 30), b"signed", at(NOW + 30));
    assert_eq!(stranger.outcome, Ok(PromptReply::NotMe));
    let entropy = &mut FixedEntropy::new(1);
    for later in [61, 86_400] {
        let again = stranger.after.ask(question(payment(5, 5)), at(NOW + later), entropy);
        assert!(matches!(again, Err(FactorError::NotNow(_))), "{later}");
    }
    // Other devices may, and this one after a day.
    let other = Question { asked_by: device(3), ..question(payment(5, 5)) };
    assert!(stranger.after.ask(other, at(NOW + 61), entropy).is_ok());
    assert!(stranger.after.ask(question(payment(5, 5)), at(NOW + 86_430), entropy).is_ok());
}

#[test]
fn nobody_is_asked_until_they_give_in() {
    let mut prompts = ask(&Prompts::default(), payment(5, 5), NOW).0;
    let entropy = &mut FixedEntropy::new(1);
    let soon = prompts.ask(question(payment(5, 5)), at(NOW + 29), entropy).unwrap_err();
    assert!(matches!(soon, FactorError::TooOften { .. }));
    for more in 1..20 {
        prompts = ask(&prompts, payment(5, 5), NOW + more * 30).0;
    }
    let many = prompts.ask(question(payment(5, 5)), at(NOW + 3_600), entropy).unwrap_err();
    assert!(matches!(many, FactorError::TooOften { .. }));
}

#[test]
fn records_come_back_and_no_piece_of_one_does() {
    let (waiting, number) = ask(&Prompts::default(), payment(5, 5), NOW);
    let agreed = waiting.answer(&answer(&number, payment(5, 5), NOW), b"signed", at(NOW)).after;
    let locked = waiting.answer(&denial(PromptReply::NotMe, NOW), b"signed", at(NOW)).after;
    let session = ask(&Prompts::default(), PromptSubject::Session, NOW).0;
    for record in [Prompts::default(), waiting, agreed, locked, session] {
        let bytes = record.to_bytes();
        assert_eq!(Prompts::from_bytes(&bytes).as_ref(), Ok(&record));
        for end in 0..bytes.len() {
            assert!(Prompts::from_bytes(&bytes[..end]).is_err());
        }
        let shown = format!("{record:?}");
        assert!(!shown.contains(&number) && !shown.contains("salt"), "{shown}");
    }
}
