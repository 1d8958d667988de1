//! Goal: a message that the operator sent is told from one that somebody else wrote or changed. Method: messages as they arrive, with what
//! mail does to them; then every change that matters, and other signers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{World, hash, slot};
use tpw_core::{Instant, Letter, Name};
use tpw_crypto::Algorithm;
use tpw_proof::{ProofError, Trust, letter, sign};

const TEXT: &str = "1234 5678 lets this payment go on:\n\nAmount: 15.00 USD\n收款方：李雷";

fn letter_of(text: &str, operator: &str) -> Letter {
    Letter {
        reference: [1, 2, 3, 4, 5],
        recipient: hash(9),
        text: letter::text_hash(text),
        created: Instant::from_unix_ms(1_800_000_000_000).unwrap(),
        operator: Name::new(operator).unwrap(),
    }
}

fn trust(world: &World) -> Trust {
    let mut trust = world.trust.clone();
    trust.cose_keys = vec![world.key("device")];
    trust
}

fn message(world: &World, operator: &str) -> String {
    let statement = sign(&letter_of(TEXT, operator), &world.slots, &slot("device")).unwrap();
    format!("{TEXT}\n\n{}\n", letter::line(&statement))
}

#[test]
fn a_message_of_the_operators_is_known_however_it_arrives() {
    let world = World::new(Algorithm::Ed25519);
    let trust = trust(&world);
    let operator = trust.operator.as_str().to_owned();
    let sent = message(&world, &operator);
    let with_fields = format!("To: ann@mail.example\nSubject: Your code\n\n{sent}");
    for arrived in [
        sent.clone(),
        sent.replace('\n', "\r\n"),
        sent.replace("USD", "USD  "),
        format!("\n\n{sent}\n\n"),
        with_fields.replace('\n', "\r\n"),
        with_fields,
    ] {
        let verified = letter::verify(&arrived, &trust).unwrap();
        assert_eq!(verified.value(), &letter_of(TEXT, &operator), "{arrived:?}");
    }
}

#[test]
fn a_forged_or_altered_message_is_refused() {
    let world = World::new(Algorithm::Ed25519);
    let trust = trust(&world);
    let sent = message(&world, trust.operator.as_str());
    for altered in [
        sent.replace("15.00", "16.00"),
        sent.replace("李雷", "李蕾"),
        sent.replace("1234", "1235"),
        format!("Call this number at once.\n{sent}"),
        sent.replace("tpw-letter: ", "tpw-letter: A"),
        TEXT.to_owned(),
        String::new(),
        format!("{TEXT}\n\ntpw-letter: "),
        "x".repeat(letter::SIZE_MAX + 1),
    ] {
        assert!(letter::verify(&altered, &trust).is_err(), "{altered:.80}");
    }
    // Another operator's, and somebody else's key.
    let other = message(&world, "other");
    assert!(matches!(letter::verify(&other, &trust), Err(ProofError::Malformed { .. })));
    let mut stranger = trust.clone();
    stranger.cose_keys = vec![World::new(Algorithm::P256).key("device")];
    assert!(matches!(letter::verify(&sent, &stranger), Err(ProofError::WrongKey)));
    // A statement of another kind by the same key is no letter.
    let intent = sign(&support::intent(), &world.slots, &slot("device")).unwrap();
    let odd = format!("{TEXT}\n\n{}\n", letter::line(&intent));
    assert!(letter::verify(&odd, &trust).is_err());
}

#[test]
fn a_letter_has_one_encoding() {
    let bytes = letter_of(TEXT, "tpw.test").to_bytes();
    assert_eq!(Letter::from_bytes(&bytes), Ok(letter_of(TEXT, "tpw.test")));
    for end in 0..bytes.len() {
        assert!(Letter::from_bytes(bytes.get(..end).unwrap()).is_err());
    }
}
