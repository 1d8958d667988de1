//! Goal: a code that was sent proves once, in time, for what it was sent for, and cannot be guessed; nobody is flooded with codes.
//! Method: the path as the product walks it, then each deviation; all forms of address; the record, cut and changed.

use crate::forge::at;
use proptest::prelude::*;
use tpw_access::factor::code::{Address, Channel, Contact, PER_DAY, Purpose, TRIES};
use tpw_access::factor::{DigitCode, Evidence, FactorError, Method, Why};
use tpw_core::{Amount, Asset, Hash32, Instant, Money, PaymentId, Span};
use tpw_crypto::{CryptoError, Entropy, FixedEntropy};

const NOW: u64 = 1_800_000_000;
const SESSION: Purpose<'static> = Purpose::Session { challenge: b"challenge 1" };

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn payment(amount: u128, payee: &str) -> Purpose<'_> {
    Purpose::Payment {
        payment: PaymentId::new(NOW, [1; 10]),
        intent: Hash32::new([2; 32]),
        money: Money {
            amount: Amount::from_minor(amount),
            asset: "USD/2".parse::<Asset>().unwrap(),
        },
        payee,
    }
}

/// Sends a code; the record then, and the code.
fn send(contact: &Contact, purpose: Purpose<'_>, now: u64) -> (Contact, DigitCode) {
    let (after, dispatch) = contact.send(purpose, at(now), &mut FixedEntropy::new(now)).unwrap();
    (after, dispatch.reveal().parse().unwrap())
}

fn verified() -> Contact {
    let (contact, code) =
        send(&Contact::new(address("a@mail.example"), at(NOW)), Purpose::Address, NOW);
    let answered = contact.answer(&code, Purpose::Address, at(NOW));
    answered.outcome.unwrap();
    answered.after
}

fn refusal(outcome: Result<Evidence, FactorError>) -> Why {
    match outcome {
        Err(FactorError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_address_is_verified_by_its_first_code() {
    for (text, method) in [("a@mail.example", Method::Mail), ("+8613800138000", Method::Sms)] {
        let contact = Contact::new(address(text), at(NOW));
        assert_eq!((contact.verified(), contact.added()), (None, at(NOW)));
        for purpose in [SESSION, payment(100, "Bob")] {
            let refused = contact.send(purpose, at(NOW), &mut FixedEntropy::new(1)).unwrap_err();
            assert!(matches!(refused, FactorError::NotNow(_)), "{refused}");
        }
        let (contact, code) = send(&contact, Purpose::Address, NOW);
        let answered = contact.answer(&code, Purpose::Address, at(NOW + 1));
        assert_eq!(answered.outcome.unwrap().method(), method);
        assert_eq!(answered.after.verified(), Some(at(NOW + 1)));
    }
    assert!(Channel::Sms.is_restricted() && !Channel::Mail.is_restricted());
}

#[test]
fn a_code_proves_once() {
    let (contact, code) = send(&verified(), SESSION, NOW + 60);
    let answered = contact.answer(&code, SESSION, at(NOW + 61));
    let evidence = answered.outcome.unwrap();
    assert_eq!((evidence.method(), evidence.at()), (Method::Mail, at(NOW + 61)));
    let again = answered.after.answer(&code, SESSION, at(NOW + 62));
    assert_eq!(refusal(again.outcome), Why::Wrong);
}

#[test]
fn a_new_code_ends_the_old_one() {
    let (contact, old) = send(&verified(), SESSION, NOW + 60);
    let (contact, new) = send(&contact, SESSION, NOW + 120);
    assert_eq!(refusal(contact.answer(&old, SESSION, at(NOW + 121)).outcome), Why::Wrong);
    assert!(contact.answer(&new, SESSION, at(NOW + 121)).outcome.is_ok());
}

#[test]
fn a_code_ends_after_ten_minutes_and_under_a_clock_set_back() {
    let (contact, code) = send(&verified(), SESSION, NOW + 60);
    let last = Instant::from_unix_ms((NOW + 660) * 1000 - 1).unwrap();
    assert!(contact.answer(&code, SESSION, last).outcome.is_ok());
    for now in [at(NOW + 660), at(NOW + 59), Instant::MIN, Instant::MAX] {
        let answered = contact.answer(&code, SESSION, now);
        assert_eq!(refusal(answered.outcome), Why::Expired, "{now}");
        let after = answered.after.answer(&code, SESSION, at(NOW + 61));
        assert!(after.outcome.is_err(), "it is gone, also when the clock goes on");
    }
}

#[test]
fn a_code_has_five_tries() {
    let (mut contact, code) = send(&verified(), SESSION, NOW + 60);
    let wrong: DigitCode = "00000000".parse().unwrap();
    for count in 1..=TRIES {
        let answered = contact.answer(&wrong, SESSION, at(NOW + 61));
        let expected = if count == TRIES { Why::UsedUp } else { Why::Wrong };
        assert_eq!(refusal(answered.outcome), expected, "{count}");
        contact = Contact::from_bytes(&answered.after.to_bytes()).unwrap();
    }
    assert!(contact.answer(&code, SESSION, at(NOW + 61)).outcome.is_err());

    let (contact, code) = send(&verified(), SESSION, NOW + 60);
    let mut contact = contact;
    for _count in 1..TRIES {
        contact = contact.answer(&wrong, SESSION, at(NOW + 61)).after;
    }
    assert!(contact.answer(&code, SESSION, at(NOW + 61)).outcome.is_ok(), "the fifth is right");
}

#[test]
fn a_code_holds_for_its_purpose() {
    let base = payment(100, "Bob");
    let Purpose::Payment { payment: id, money, .. } = base else { panic!() };
    let other_id = PaymentId::new(NOW, [9; 10]);
    let others = [
        SESSION,
        Purpose::Address,
        payment(101, "Bob"),
        payment(100, "Eve"),
        Purpose::Payment { payment: id, intent: Hash32::new([3; 32]), money, payee: "Bob" },
        Purpose::Payment { payment: other_id, intent: Hash32::new([2; 32]), money, payee: "Bob" },
    ];
    for other in others {
        let (contact, code) = send(&verified(), base, NOW + 60);
        let answered = contact.answer(&code, other, at(NOW + 61));
        assert_eq!(refusal(answered.outcome), Why::OtherPurpose, "{other:?}");
        // It counted as a try, and the code is still good for what it was sent for.
        assert_ne!(answered.after, contact);
        assert!(answered.after.answer(&code, base, at(NOW + 61)).outcome.is_ok());
    }
    let (contact, code) = send(&verified(), SESSION, NOW + 60);
    let elsewhere = Purpose::Session { challenge: b"challenge 2" };
    assert_eq!(refusal(contact.answer(&code, elsewhere, at(NOW + 61)).outcome), Why::OtherPurpose);
}

#[test]
fn the_message_of_a_payment_says_how_much_and_to_whom() {
    let (_after, dispatch) = verified()
        .send(payment(123_456, "Bob & Co"), at(NOW + 60), &mut FixedEntropy::new(1))
        .unwrap();
    assert_eq!(
        (dispatch.message, dispatch.address.as_str()),
        ("message-code-payment", "a@mail.example")
    );
    let of =
        |name| dispatch.args.iter().find(|(key, _)| *key == name).map(|(_, text)| text.as_str());
    assert_eq!(of("amount"), Some("1234.56"));
    assert_eq!(
        (of("currency"), of("payee"), of("minutes")),
        (Some("USD"), Some("Bob & Co"), Some("10"))
    );
    let code = dispatch.reveal();
    assert_eq!((code.len(), code.find(' ')), (9, Some(4)));
    assert!(!format!("{dispatch:?}").contains(&code[..4]));
    for payee in ["Bob\nSubject: you won", "\u{7}", &"x".repeat(257)] {
        let refused = verified().send(payment(1, payee), at(NOW + 60), &mut FixedEntropy::new(1));
        assert!(matches!(refused, Err(FactorError::Form(_))), "{payee:?}");
    }
}

#[test]
fn codes_are_sent_with_a_pause_and_so_many_a_day() {
    let (mut contact, _code) = send(&verified(), SESSION, NOW + 60);
    let early = contact.send(SESSION, at(NOW + 89), &mut FixedEntropy::new(1)).unwrap_err();
    assert_eq!(early, FactorError::TooOften { retry_after: Span::from_secs(1) });
    // One code verified the address, one was sent above.
    for count in 2..PER_DAY {
        contact = send(&contact, SESSION, NOW + 60 + count * 60).0;
    }
    let late = NOW + 3 * 3600;
    let full = contact.send(SESSION, at(late), &mut FixedEntropy::new(1)).unwrap_err();
    assert_eq!(full, FactorError::TooOften { retry_after: Span::from_secs(21 * 3600) });
    let (contact, _code) = send(&contact, SESSION, NOW + 24 * 3600);
    let (_contact, _code) = send(&contact, SESSION, NOW + 24 * 3600 + 30);
}

#[test]
fn a_code_that_was_used_does_not_let_the_day_begin_anew() {
    let mut contact = verified();
    for count in 1..PER_DAY {
        let now = NOW + count * 60;
        let (sent, code) = send(&contact, SESSION, now);
        contact = sent.answer(&code, SESSION, at(now)).after;
    }
    let refused = contact.send(SESSION, at(NOW + 7200), &mut FixedEntropy::new(1));
    assert!(matches!(refused, Err(FactorError::TooOften { .. })));
}

#[test]
fn addresses_have_one_form() {
    for (text, form, hint) in [
        ("Alice.B+tag@Mail.EXAMPLE", "Alice.B+tag@mail.example", "A…@mail.example"),
        ("+86 138-0013 8000", "+8613800138000", "+…00"),
        ("+1 (202) 555 0143", "+12025550143", "+…43"),
    ] {
        let read = address(text);
        assert_eq!((read.as_str(), read.hint().as_str()), (form, hint));
        assert_eq!(format!("{read:?}"), format!("Address({hint})"));
        assert_eq!(address(form).record_id(), read.record_id());
    }
    let long = format!("{}@mail.example", "a".repeat(65));
    for text in [
        "",
        "a",
        "@",
        "a@",
        "@b.c",
        "a@b",
        "a@b..c",
        "a@-b.c",
        "a@b.c-",
        "a b@c.d",
        "a@b.c\r\nBcc: x@y.z",
        "a@@b.c",
        "a@b.c@d.e",
        ".a@b.c",
        "a..b@c.d",
        "\"a\"@b.c",
        "a@[127.0.0.1]",
        "a@例.cn",
        "<a@b.c>",
        "13800138000",
        "+0138001380",
        "+1234567",
        "+1234567890123456",
        "+12345678a",
        "+",
        &long,
    ] {
        assert!(matches!(text.parse::<Address>(), Err(FactorError::Form(_))), "{text:?}");
    }
}

#[test]
fn no_code_without_randomness() {
    struct Dry;
    impl Entropy for Dry {
        fn fill(&mut self, _out: &mut [u8]) -> Result<(), CryptoError> {
            Err(CryptoError::Entropy)
        }
    }
    let refused = verified().send(SESSION, at(NOW + 60), &mut Dry).unwrap_err();
    assert_eq!(refused, FactorError::Crypto(CryptoError::Entropy));
}

#[test]
fn the_record_is_read_as_it_was_written_and_holds_no_code() {
    let (contact, dispatch) =
        verified().send(SESSION, at(NOW + 60), &mut FixedEntropy::new(1)).unwrap();
    let code = dispatch.reveal().replace(' ', "");
    for contact in [contact, verified(), Contact::new(address("+8613800138000"), at(NOW))] {
        let bytes = contact.to_bytes();
        assert!(!bytes.windows(8).any(|window| window == code.as_bytes()));
        assert!(!format!("{contact:?}").contains("8613800138"));
        assert_eq!(Contact::from_bytes(&bytes), Ok(contact));
        for at in 0..bytes.len() {
            assert!(Contact::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
        for (place, value) in [(1, 2), (2, 0), (2, 3), (2, 3 - bytes[2])] {
            let mut other = bytes.clone();
            other[place] = value;
            assert!(Contact::from_bytes(&other).is_err(), "{value} at {place}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_or_bytes_make_it_panic(text: String, bytes: Vec<u8>) {
        let _parsed = text.parse::<Address>().map(|address| address.hint());
        let _read = Contact::from_bytes(&bytes);
    }
}
