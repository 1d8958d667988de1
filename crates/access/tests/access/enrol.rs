//! Goal: a code enrols one device, once, in time, and only with a proof that was made for it.
//! Method: the path as device and server walk it, then each deviation; reading of typed codes; the throttle's table.

use crate::forge::{at, keys, slot, url};
use proptest::prelude::*;
use tpw_access::enrol::{prove, redeem, verify};
use tpw_access::{
    CodeGrant, DpopError, EnrolError, EnrolmentCode, ParseCodeError, ProvenKey, ReplayCache, Role,
    Throttle, Throttled,
};
use tpw_core::{Instant, PersonId, Span};
use tpw_crypto::{Entropy, FixedEntropy, Signer as _, SoftwareSlots, sha256};

const NOW: u64 = 1_800_000_000;
const DEVICES: &str = "https://wallet.example/v1/devices";

fn code(seed: u64) -> EnrolmentCode {
    EnrolmentCode::new(&mut FixedEntropy::new(seed)).unwrap()
}

fn parse(text: &str) -> Result<EnrolmentCode, ParseCodeError> {
    text.parse()
}

fn grant() -> CodeGrant {
    CodeGrant::new(PersonId::new(NOW, [1; 10]), Role::Holder, at(NOW))
}

fn proven(keys: &SoftwareSlots, code: &EnrolmentCode) -> ProvenKey {
    let (address, now) = (url(DEVICES), at(NOW));
    let mut entropy = FixedEntropy::new(5);
    let proof = prove(keys, &slot("ed"), &address, code, now, &mut entropy).unwrap();
    let proof = verify(&proof, &address, code, now).unwrap();
    proof.admit(&mut ReplayCache::new(9, at(0)), now).unwrap()
}

#[test]
fn a_code_enrols_one_device() {
    let (keys, code, mut entropy) = (keys(), code(1), FixedEntropy::new(6));
    let key = proven(&keys, &code);
    let enrolment = redeem(&grant(), &code, &key, at(NOW), &mut entropy).unwrap();
    assert_eq!(enrolment.key, keys.public_key(&slot("ed")).unwrap());
    assert_eq!((enrolment.person, enrolment.role), (grant().person, Role::Holder));
    assert_eq!((enrolment.jkt, enrolment.device.claimed_ms()), (key.jkt(), NOW * 1000));
    assert_eq!(enrolment.grant.used, Some(at(NOW)));
    let again = redeem(&enrolment.grant, &code, &key, at(NOW), &mut entropy);
    assert_eq!(again.unwrap_err(), EnrolError::Used);
}

#[test]
fn a_code_ends_after_a_day() {
    let (keys, code, mut entropy) = (keys(), code(1), FixedEntropy::new(6));
    let key = proven(&keys, &code);
    let mut try_at = |now| redeem(&grant(), &code, &key, now, &mut entropy).map(|_enrolment| ());
    assert_eq!(try_at(Instant::from_unix_ms((NOW + 86_400) * 1000 - 1).unwrap()), Ok(()));
    assert_eq!(try_at(at(NOW + 86_400)), Err(EnrolError::Expired));
}

#[test]
fn a_proof_holds_for_its_own_code() {
    let keys = keys();
    let (address, mut entropy) = (url(DEVICES), FixedEntropy::new(6));
    let proof = prove(&keys, &slot("ed"), &address, &code(1), at(NOW), &mut entropy).unwrap();
    let other = verify(&proof, &address, &code(2), at(NOW));
    assert_eq!(other.unwrap_err(), DpopError::WrongToken);
    let elsewhere = verify(&proof, &url("https://evil.example/v1/devices"), &code(1), at(NOW));
    assert_eq!(elsewhere.unwrap_err(), DpopError::WrongUrl);
    let key = proven(&keys, &code(1));
    let swapped = redeem(&grant(), &code(2), &key, at(NOW), &mut entropy);
    assert_eq!(swapped.unwrap_err(), EnrolError::NotProven);
}

#[test]
fn typed_codes_are_read_kindly() {
    let exact = parse("01234-56789-ABCDE-FGHJK").unwrap();
    assert_eq!(exact.reveal().as_str(), "01234-56789-ABCDE-FGHJK");
    for typed in [
        "0123456789ABCDEFGHJK",
        "oi234 56789 abcde fghjk",
        " OL234-56789-aBcDe-FGHJK\n",
        "0-1-2-3-4-5-6-7-8-9-A-B-C-D-E-F-G-H-J-K",
    ] {
        assert_eq!(parse(typed).unwrap().hash(), exact.hash(), "{typed}");
    }
    // The stored form, computed by hand.
    assert_eq!(*exact.hash().as_bytes(), sha256(b"tpw/enrol/v1\x000123456789ABCDEFGHJK"));
}

#[test]
fn other_texts_are_no_codes() {
    let long = "0".repeat(65);
    for (typed, wanted) in [
        ("", ParseCodeError::Length),
        ("01234-56789-ABCDE-FGHJ", ParseCodeError::Length),
        ("01234-56789-ABCDE-FGHJK0", ParseCodeError::Length),
        (long.as_str(), ParseCodeError::Length),
        ("01234-56789-ABCDE-FGHJU", ParseCodeError::Character),
        ("01234-56789-ABCDE-FGHJ*", ParseCodeError::Character),
        ("01234_56789_ABCDE_FGHJK", ParseCodeError::Character),
        ("０1234-56789-ABCDE-FGHJK", ParseCodeError::Character),
    ] {
        assert_eq!(parse(typed).map(|_code| ()), Err(wanted), "{typed}");
    }
}

#[test]
fn a_code_shows_itself_only_when_asked() {
    let code = code(1);
    assert_eq!(format!("{code:?}"), "EnrolmentCode(hidden)");
    assert_ne!(code.hash(), self::code(2).hash());
}

/// An entropy source that fails.
struct Broken;

impl Entropy for Broken {
    fn fill(&mut self, _out: &mut [u8]) -> Result<(), tpw_crypto::CryptoError> {
        Err(tpw_crypto::CryptoError::Entropy)
    }
}

#[test]
fn no_randomness_no_code() {
    assert!(EnrolmentCode::new(&mut Broken).is_err());
}

proptest! {
    #[test]
    fn codes_round_trip(seed: u64) {
        let made = code(seed);
        let text = made.reveal();
        prop_assert_eq!(text.len(), 23);
        prop_assert_eq!(parse(&text).unwrap().hash(), made.hash());
        prop_assert_eq!(parse(&text.to_lowercase()).unwrap().hash(), made.hash());
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,80}") {
        let _either = parse(&text);
    }
}

fn wait_s(throttle: &Throttle<&str>, key: &'static str, now: Instant) -> u64 {
    throttle.check(&key, now).err().map_or(0, |wait| wait.retry_after.as_ms() / 1000)
}

#[test]
fn waits_grow_by_stages_and_end() {
    let mut throttle = Throttle::new(10);
    let mut now = at(NOW);
    assert_eq!(throttle.check(&"a", now), Ok(()));
    for wait in [1, 3, 5, 15, 60, 300, 900, 900] {
        throttle.failed("a", now);
        assert_eq!(wait_s(&throttle, "a", now), wait);
        assert_eq!(wait_s(&throttle, "b", now), 0);
        now = now.plus(Span::from_secs(wait));
        assert_eq!(throttle.check(&"a", now), Ok(()));
    }
    throttle.failed("a", now);
    let later = now.plus(Span::from_ms(899_999));
    assert_eq!(throttle.check(&"a", later), Err(Throttled { retry_after: Span::from_ms(1) }));
    throttle.succeeded(&"a");
    assert_eq!(throttle.check(&"a", now), Ok(()));
    throttle.failed("a", now);
    assert_eq!(wait_s(&throttle, "a", now), 1);
    // An hour without failures starts anew.
    throttle.failed("a", now.plus(Span::from_secs(3600)));
    assert_eq!(wait_s(&throttle, "a", now.plus(Span::from_secs(3600))), 1);
}

#[test]
fn a_full_table_drops_nobody() {
    let mut throttle = Throttle::new(2);
    let now = at(NOW);
    for key in ["a", "a", "b", "c", "d"] {
        throttle.failed(key, now);
    }
    assert_eq!((wait_s(&throttle, "a", now), wait_s(&throttle, "b", now)), (3, 1));
    // Newcomers share one count.
    assert_eq!((wait_s(&throttle, "c", now), wait_s(&throttle, "new", now)), (3, 3));
    throttle.succeeded(&"c");
    assert_eq!(wait_s(&throttle, "c", now), 3);
    // Rows that are forgotten make room.
    let later = now.plus(Span::from_secs(3600));
    throttle.failed("c", later);
    assert_eq!((wait_s(&throttle, "c", later), wait_s(&throttle, "new", later)), (1, 0));
}
