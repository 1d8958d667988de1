//! Goal: the codes are those of RFC 6238 and RFC 4226, and each is accepted once, whatever the clock does.
//! Method: the RFCs' vectors (RFC 6238 appendix B, RFC 4226 appendix D); then codes used again, late, early, and under a clock set back.

use crate::forge::at;
use proptest::prelude::*;
use tpw_access::factor::totp::{Hash, Params, TotpRecord, TotpSecret, seal_context, step_at};
use tpw_access::factor::{DigitCode, FactorError, Method, Why};
use tpw_core::{Instant, PersonId};
use tpw_crypto::FixedEntropy;

const NOW: u64 = 1_800_000_000;

fn secret() -> TotpSecret {
    TotpSecret::new(&mut FixedEntropy::new(1)).unwrap()
}

fn code_at(secret: &TotpSecret, unix_seconds: u64) -> DigitCode {
    secret.code(Params::PHONE, step_at(at(unix_seconds))).parse().unwrap()
}

fn new_record() -> TotpRecord {
    TotpRecord::new(b"sealed".to_vec(), Params::PHONE, at(NOW)).unwrap()
}

/// Confirmed an hour before.
fn record() -> TotpRecord {
    let then = NOW - 3600;
    new_record().confirm(&secret(), &code_at(&secret(), then), at(then)).unwrap()
}

fn prove(record: &TotpRecord, code_of: u64, now: u64) -> Result<TotpRecord, FactorError> {
    let proven = record.prove(&secret(), &code_at(&secret(), code_of), at(now));
    proven.map(|(after, _evidence)| after)
}

#[test]
fn rfc_6238_appendix_b() {
    let key = b"1234567890".repeat(7);
    let secrets = [(Hash::Sha1, 20), (Hash::Sha256, 32), (Hash::Sha512, 64)];
    for (time, codes) in [
        (59, ["94287082", "46119246", "90693936"]),
        (1_111_111_109, ["07081804", "68084774", "25091201"]),
        (1_111_111_111, ["14050471", "67062674", "99943326"]),
        (1_234_567_890, ["89005924", "91819424", "93441116"]),
        (2_000_000_000, ["69279037", "90698825", "38618901"]),
        (20_000_000_000, ["65353130", "77737706", "47863826"]),
    ] {
        for ((hash, length), expected) in secrets.into_iter().zip(codes) {
            let secret = TotpSecret::from_bytes(&key[..length]).unwrap();
            let params = Params::new(hash, 8).unwrap();
            assert_eq!(secret.code(params, step_at(at(time))).as_str(), expected, "{hash} {time}");
            // And the record takes it, as the first code of a new generator.
            let record = TotpRecord::new(Vec::new(), params, at(time)).unwrap();
            assert!(record.confirm(&secret, &expected.parse().unwrap(), at(time)).is_ok());
        }
    }
}

#[test]
fn rfc_4226_appendix_d() {
    let secret = TotpSecret::from_bytes(b"12345678901234567890").unwrap();
    for (counter, code) in (0..).zip([
        "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
        "520489",
    ]) {
        assert_eq!(secret.code(Params::PHONE, counter).as_str(), code, "{counter}");
    }
}

#[test]
fn a_code_is_accepted_once() {
    let (after, evidence) = record().prove(&secret(), &code_at(&secret(), NOW), at(NOW)).unwrap();
    assert_eq!((evidence.method(), evidence.at()), (Method::Totp, at(NOW)));
    for later in [NOW, NOW + 1, NOW + 29, NOW + 30] {
        assert_eq!(prove(&after, NOW, later), Err(FactorError::Refused(Why::Reused)), "{later}");
    }
}

#[test]
fn the_code_of_the_step_before_is_refused_after_a_newer_one() {
    let after = prove(&record(), NOW, NOW).unwrap();
    assert_eq!(prove(&after, NOW - 30, NOW), Err(FactorError::Refused(Why::Reused)));
    assert!(prove(&after, NOW + 30, NOW).is_ok(), "a clock that runs ahead");
}

#[test]
fn used_and_wrong_codes_get_the_same_answer() {
    let after = prove(&record(), NOW, NOW).unwrap();
    let used = prove(&after, NOW, NOW).unwrap_err();
    let wrong = prove(&after, NOW + 3000, NOW).unwrap_err();
    assert_ne!(used, wrong);
    assert_eq!(used.to_string(), wrong.to_string());
}

#[test]
fn a_clock_that_was_set_back_revives_no_code() {
    let after = prove(&record(), NOW, NOW).unwrap();
    // An hour back: the app, whose clock was set back too, shows codes of steps that are past.
    for now in [NOW - 3600, NOW - 60, NOW - 30] {
        for code_of in [now - 30, now, now + 30] {
            assert!(prove(&after, code_of, now).is_err(), "{code_of} at {now}");
        }
    }
    assert!(prove(&after, NOW + 30, NOW + 30).is_ok());
}

#[test]
fn one_step_early_or_late_is_accepted_and_two_are_not() {
    for (code_of, accepted) in
        [(NOW - 60, false), (NOW - 30, true), (NOW, true), (NOW + 30, true), (NOW + 60, false)]
    {
        assert_eq!(prove(&record(), code_of, NOW).is_ok(), accepted, "{code_of}");
    }
}

#[test]
fn a_generator_proves_nothing_before_it_is_confirmed_and_is_confirmed_once() {
    let code = code_at(&secret(), NOW);
    let unconfirmed = new_record();
    assert!(!unconfirmed.is_confirmed());
    let refused = unconfirmed.prove(&secret(), &code, at(NOW)).unwrap_err();
    assert_eq!(refused, FactorError::Refused(Why::NotConfirmed));
    let wrong = code_at(&secret(), NOW + 3000);
    let refused = unconfirmed.confirm(&secret(), &wrong, at(NOW)).unwrap_err();
    assert_eq!(refused, FactorError::Refused(Why::Wrong));
    let confirmed = unconfirmed.confirm(&secret(), &code, at(NOW)).unwrap();
    assert_eq!(prove(&confirmed, NOW, NOW), Err(FactorError::Refused(Why::Reused)));
    let again = confirmed.confirm(&secret(), &code_at(&secret(), NOW + 30), at(NOW + 30));
    assert!(matches!(again, Err(FactorError::NotNow(_))));
}

#[test]
fn codes_of_another_secret_or_length_are_refused() {
    let other = TotpSecret::new(&mut FixedEntropy::new(2)).unwrap();
    let refused = record().prove(&secret(), &code_at(&other, NOW), at(NOW)).unwrap_err();
    assert_eq!(refused, FactorError::Refused(Why::Wrong));
    let eight = secret().code(Params::new(Hash::Sha1, 8).unwrap(), step_at(at(NOW)));
    let refused = record().prove(&secret(), &eight.parse().unwrap(), at(NOW)).unwrap_err();
    assert_eq!(refused, FactorError::Refused(Why::Wrong));
}

#[test]
fn the_edges_of_time_are_no_trouble() {
    for now in [Instant::MIN, Instant::MAX] {
        let code: DigitCode = secret().code(Params::PHONE, step_at(now)).parse().unwrap();
        let confirmed = new_record().confirm(&secret(), &code, now);
        // Step 0 is what "never" is stored as: it is the one step whose code is not taken.
        assert_eq!(confirmed.is_ok(), now == Instant::MAX);
    }
}

#[test]
fn the_link_holds_what_an_app_needs() {
    let secret = TotpSecret::from_bytes(b"12345678901234567890").unwrap();
    let link = secret.link(Params::PHONE, "Wallet & Co", "李雷@wallet.example").unwrap();
    assert_eq!(
        link.as_str(),
        "otpauth://totp/Wallet%20%26%20Co:%E6%9D%8E%E9%9B%B7%40wallet.example?\
         secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Wallet%20%26%20Co"
    );
    let long = secret.link(Params::new(Hash::Sha256, 8).unwrap(), "W", "a").unwrap();
    assert!(long.contains("digits=8") && long.contains("algorithm=SHA256"));
    for (issuer, account) in
        [("", "a"), ("W", ""), ("W:x", "a"), ("W", "a:b"), ("W\n", "a"), ("W", &"a".repeat(129))]
    {
        assert!(secret.link(Params::PHONE, issuer, account).is_err(), "{issuer} {account}");
    }
}

#[test]
fn secrets_have_160_bits_and_stay_hidden() {
    assert_eq!(secret().as_bytes().len(), 20);
    assert_eq!(format!("{:?}", secret()), "TotpSecret(hidden)");
    assert!(!format!("{:?}", new_record()).contains("sealed"));
    assert!(TotpSecret::from_bytes(&[0; 19]).is_none());
    assert!(TotpSecret::from_bytes(&[0; 65]).is_none());
    let person = |random| PersonId::new(NOW, [random; 10]);
    assert_ne!(seal_context(&person(1), b"a"), seal_context(&person(2), b"a"));
    assert_ne!(seal_context(&person(1), b"a"), seal_context(&person(1), b"b"));
}

#[test]
fn the_record_is_read_as_it_was_written() {
    let record = record();
    let bytes = record.to_bytes();
    let read = TotpRecord::from_bytes(&bytes).unwrap();
    assert!(read == record && read.is_confirmed() && read.sealed() == b"sealed");
    assert_eq!((read.params(), read.enrolled()), (Params::PHONE, at(NOW)));
    for at in 0..bytes.len() {
        assert!(TotpRecord::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert!(TotpRecord::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
    for (place, value) in [(1, 2), (9, 0), (9, 4), (10, 5), (10, 9)] {
        let mut other = bytes.clone();
        other[place] = value;
        assert!(TotpRecord::from_bytes(&other).is_err(), "{value} at {place}");
    }
    assert!(TotpRecord::new(vec![0; 513], Params::PHONE, at(NOW)).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _read = TotpRecord::from_bytes(&bytes);
    }
}
