//! Goal: a password proves who it belongs to, once, to the server at which it was set; everybody else gets the same nothing, also where
//! there is no password.
//! Method: device and server as they meet in the product, with the real stretching; then each message cut, changed, swapped with that
//! of another login, person or server. The bytes themselves are held to RFC 9807's vectors beside the code.

use crate::forge::at;
use proptest::prelude::*;
use tpw_access::factor::opaque::{
    Context, LoggedIn, LoggingIn, PasswordRecord, Pending, Registered, Registering, ServerSecret,
    begin, lengths, respond,
};
use tpw_access::factor::password::Password;
use tpw_access::factor::{FactorError, Method, Why};
use tpw_core::PersonId;
use tpw_crypto::{CryptoError, Entropy, FixedEntropy};

const NOW: u64 = 1_800_000_000;
const LOGIN: Context<'static> =
    Context { server: "https://wallet.example", challenge: b"challenge 1", purpose: "session" };
const WRONG: FactorError = FactorError::Refused(Why::Wrong);

fn secret(seed: u64) -> ServerSecret {
    ServerSecret::new(&mut FixedEntropy::new(seed)).unwrap()
}

fn person(random: u8) -> PersonId {
    PersonId::new(NOW, [random; 10])
}

fn password(text: &str) -> Password {
    Password::prepare(text).unwrap()
}

fn register(secret: &ServerSecret, of: u8, text: &str) -> (PasswordRecord, Registered) {
    let mut entropy = FixedEntropy::new(10);
    let registering = Registering::start(&password(text), &mut entropy).unwrap();
    let response = respond(secret, &person(of), registering.request()).unwrap();
    let registered = registering.finish(&password(text), &response, &mut entropy).unwrap();
    (PasswordRecord::new(&registered.upload, at(NOW)).unwrap(), registered)
}

/// A device's login, up to the server's answer.
fn start(
    secret: &ServerSecret,
    of: u8,
    record: Option<&PasswordRecord>,
    text: &str,
    seed: u64,
) -> (LoggingIn, Vec<u8>, Pending) {
    let mut entropy = FixedEntropy::new(seed);
    let logging_in = LoggingIn::start(&password(text), &mut entropy).unwrap();
    let (ke2, pending) =
        begin(secret, &person(of), record, logging_in.ke1(), LOGIN, &mut entropy).unwrap();
    (logging_in, ke2, pending)
}

fn finish(
    logging_in: LoggingIn,
    ke2: &[u8],
    text: &str,
    context: Context<'_>,
) -> Result<LoggedIn, FactorError> {
    logging_in.finish(&password(text), ke2, context, &mut FixedEntropy::new(30))
}

const TEXT: &str = "one fine password";

#[test]
fn a_password_proves_its_person_and_gives_both_the_same_key() {
    let secret = secret(1);
    let (record, registered) = register(&secret, 1, TEXT);
    let (logging_in, ke2, pending) = start(&secret, 1, Some(&record), TEXT, 20);
    let done = finish(logging_in, &ke2, TEXT, LOGIN).unwrap();
    let (evidence, key) = pending.finish(&done.ke3, at(NOW)).unwrap();
    assert_eq!((evidence.method(), evidence.at()), (Method::Password, at(NOW)));
    assert_eq!(key.as_bytes(), done.session_key.as_bytes());
    assert_eq!(done.export_key, registered.export_key, "the key for the device's own things");
    assert_ne!(key.as_bytes(), &*done.export_key);

    // The same proof for another login of the same person.
    let (_other, _ke2, pending) = start(&secret, 1, Some(&record), TEXT, 21);
    assert_eq!(pending.finish(&done.ke3, at(NOW)).unwrap_err(), WRONG);
    // And the server's answer to another login.
    let (logging_in, _ke2, _pending) = start(&secret, 1, Some(&record), TEXT, 22);
    assert_eq!(finish(logging_in, &ke2, TEXT, LOGIN).unwrap_err(), WRONG);
}

#[test]
fn a_wrong_password_and_an_unknown_person_look_the_same() {
    let secret = secret(1);
    let (record, _registered) = register(&secret, 1, TEXT);
    let mut lengths_seen = Vec::new();
    for (of, record) in [(1, Some(&record)), (2, None)] {
        let (logging_in, ke2, pending) = start(&secret, of, record, "another password", 20);
        lengths_seen.push((logging_in.ke1().len(), ke2.len()));
        assert_eq!(finish(logging_in, &ke2, "another password", LOGIN).unwrap_err(), WRONG);
        assert_eq!(pending.finish(&[7; lengths::KE3], at(NOW)).unwrap_err(), WRONG);
    }
    assert_eq!(lengths_seen, [(lengths::KE1, lengths::KE2); 2]);
}

#[test]
fn an_unknown_person_costs_the_server_the_same_draws() {
    let secret = secret(1);
    let (record, _registered) = register(&secret, 1, TEXT);
    let drawn = |record| {
        let mut entropy = Counting(Vec::new());
        let ke1 = LoggingIn::start(&password(TEXT), &mut FixedEntropy::new(20)).unwrap();
        begin(&secret, &person(1), record, ke1.ke1(), LOGIN, &mut entropy).unwrap();
        entropy.0
    };
    assert_eq!(drawn(Some(&record)), drawn(None));
}

/// Notes how much is drawn each time.
struct Counting(Vec<usize>);

impl Entropy for Counting {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), CryptoError> {
        self.0.push(out.len());
        FixedEntropy::new(self.0.len() as u64).fill(out)
    }
}

#[test]
fn an_unknown_persons_answer_gives_the_same_password_away_each_time() {
    // The OPRF half of the answer is a function of person and request alone, as it is for people with a record: asking twice tells
    // nothing (RFC 9807 §10.9).
    let secret = secret(1);
    let (record, _registered) = register(&secret, 1, TEXT);
    for record in [Some(&record), None] {
        let (_one, first, _pending) = start(&secret, 1, record, TEXT, 20);
        let (_two, second, _pending) = start(&secret, 1, record, TEXT, 20);
        assert_eq!(first[..32], second[..32]);
    }
}

#[test]
fn a_login_holds_for_its_server_challenge_and_purpose() {
    let secret = secret(1);
    let (record, _registered) = register(&secret, 1, TEXT);
    for other in [
        Context { server: "https://evil.example", ..LOGIN },
        Context { challenge: b"challenge 2", ..LOGIN },
        Context { purpose: "pay_01h455vb4pex5vsknk084sn02q", ..LOGIN },
        // The border between the parts counts.
        Context { challenge: b"challenge 1s", purpose: "ession", ..LOGIN },
    ] {
        let (logging_in, ke2, _pending) = start(&secret, 1, Some(&record), TEXT, 20);
        assert_eq!(finish(logging_in, &ke2, TEXT, other).unwrap_err(), WRONG, "{other:?}");
    }
    let long = "x".repeat(1025);
    let (logging_in, ke2, _pending) = start(&secret, 1, Some(&record), TEXT, 20);
    let refused = finish(logging_in, &ke2, TEXT, Context { purpose: &long, ..LOGIN });
    assert!(matches!(refused, Err(FactorError::Form(_))));
}

#[test]
fn another_server_learns_nothing_and_a_stolen_record_serves_nobody_else() {
    let (ours, theirs) = (secret(1), secret(2));
    let (record, _registered) = register(&ours, 1, TEXT);
    // A server that has the record, and not the secret, cannot answer; nor does the record fit another person.
    for (secret, of) in [(&theirs, 1), (&ours, 2)] {
        let (logging_in, ke2, _pending) = start(secret, of, Some(&record), TEXT, 20);
        assert_eq!(finish(logging_in, &ke2, TEXT, LOGIN).unwrap_err(), WRONG, "{of}");
    }
}

#[test]
fn messages_of_other_lengths_are_refused_before_they_are_read() {
    let secret = secret(1);
    let (record, registered) = register(&secret, 1, TEXT);
    let mut entropy = FixedEntropy::new(3);
    let (_logging_in, ke2, _pending) = start(&secret, 1, Some(&record), TEXT, 20);
    for length in [0, 1, 31, 33, 63, 65, 95, 97, 191, 193, 319, 321, 100_000] {
        let bytes = vec![1; length];
        let form = |error| matches!(error, FactorError::Form(_));
        assert!(form(respond(&secret, &person(1), &bytes).unwrap_err()), "{length}");
        assert!(form(PasswordRecord::new(&bytes, at(NOW)).unwrap_err()), "{length}");
        let begun = begin(&secret, &person(1), None, &bytes, LOGIN, &mut entropy);
        assert!(form(begun.unwrap_err()), "{length}");
        let (_one, _ke2, pending) = start(&secret, 1, Some(&record), TEXT, 20);
        assert!(form(pending.finish(&bytes, at(NOW)).unwrap_err()), "{length}");
        let (logging_in, _ke2, _pending) = start(&secret, 1, Some(&record), TEXT, 20);
        assert!(form(finish(logging_in, &bytes, TEXT, LOGIN).unwrap_err()), "{length}");
        let registering = Registering::start(&password(TEXT), &mut entropy).unwrap();
        let refused = registering.finish(&password(TEXT), &bytes, &mut entropy);
        assert!(form(refused.unwrap_err()), "{length}");
        assert!(ServerSecret::from_bytes(&bytes).is_err(), "{length}");
    }
    assert_eq!((registered.upload.len(), ke2.len()), (lengths::REGISTRATION_UPLOAD, lengths::KE2));
}

#[test]
fn points_that_are_none_are_refused() {
    let secret = secret(1);
    let mut entropy = FixedEntropy::new(3);
    // All bits set is no ristretto255 element (RFC 9496 §4.3.1); all zero is the identity (RFC 9807 §6.1 refuses it).
    for byte in [0xff, 0] {
        assert!(respond(&secret, &person(1), &[byte; 32]).is_err());
        assert!(begin(&secret, &person(1), None, &[byte; 96], LOGIN, &mut entropy).is_err());
        assert!(PasswordRecord::new(&[byte; 192], at(NOW)).is_err());
        assert!(ServerSecret::from_bytes(&[byte; 128]).is_err());
    }
}

#[test]
fn a_changed_answer_is_seen_by_the_device() {
    let secret = secret(1);
    let (record, _registered) = register(&secret, 1, TEXT);
    // One byte of each part: evaluated element, masking nonce, masked response, nonce, ephemeral key, MAC.
    for place in [3, 40, 100, 200, 240, 319] {
        let (logging_in, mut ke2, _pending) = start(&secret, 1, Some(&record), TEXT, 20);
        ke2[place] ^= 1;
        assert!(finish(logging_in, &ke2, TEXT, LOGIN).is_err(), "{place}");
    }
}

#[test]
fn a_failing_source_makes_nothing() {
    struct Dry;
    impl Entropy for Dry {
        fn fill(&mut self, _out: &mut [u8]) -> Result<(), CryptoError> {
            Err(CryptoError::Entropy)
        }
    }
    let dry = FactorError::Crypto(CryptoError::Entropy);
    assert_eq!(ServerSecret::new(&mut Dry).unwrap_err(), CryptoError::Entropy);
    assert_eq!(Registering::start(&password(TEXT), &mut Dry).unwrap_err(), dry);
    assert_eq!(LoggingIn::start(&password(TEXT), &mut Dry).unwrap_err(), dry);
    let logging_in = LoggingIn::start(&password(TEXT), &mut FixedEntropy::new(20)).unwrap();
    let begun = begin(&secret(1), &person(1), None, logging_in.ke1(), LOGIN, &mut Dry);
    assert_eq!(begun.unwrap_err(), dry);
}

#[test]
fn the_secret_and_the_record_are_read_as_they_were_written() {
    let secret = secret(1);
    let (record, _registered) = register(&secret, 1, TEXT);
    let restored = ServerSecret::from_bytes(&secret.to_bytes()).unwrap();
    let record = PasswordRecord::from_bytes(&record.to_bytes()).unwrap();
    assert_eq!((format!("{restored:?}"), record.set()), ("ServerSecret(hidden)".into(), at(NOW)));
    let (logging_in, ke2, pending) = start(&restored, 1, Some(&record), TEXT, 20);
    let done = finish(logging_in, &ke2, TEXT, LOGIN).unwrap();
    assert!(pending.finish(&done.ke3, at(NOW)).is_ok());

    let bytes = record.to_bytes();
    for at in 0..bytes.len() {
        assert!(PasswordRecord::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
    }
    for (place, value) in [(1, 2), (2, 2)] {
        let mut other = bytes.clone();
        other[place] = value;
        assert!(PasswordRecord::from_bytes(&other).is_err(), "format and suite");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_server_panic(ke1 in proptest::array::uniform32(0_u8..), record: Vec<u8>) {
        let ke1 = [ke1; 3].concat();
        let mut entropy = FixedEntropy::new(3);
        let _begun = begin(&secret(1), &person(1), None, &ke1, LOGIN, &mut entropy);
        let _read = PasswordRecord::from_bytes(&record);
    }
}
