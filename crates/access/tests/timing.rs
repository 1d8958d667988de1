//! Goal: how long an answer takes does not tell whether a person has a password, or an app with codes.
//! Method: calls for somebody who has one and for somebody who has none, in turn and thousands of them; the slow fifth of each is cropped,
//! because it is this machine's and not the code's; then the ratio of the medians, and Welch's t of what is left. A difference has to show in
//! every one of three rounds. The same measure has to find a leak that is put in on purpose.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a test fails by panicking, and nanoseconds are few"
)]

use std::hint::black_box;
use std::time::Instant as Watch;
use tpw_access::factor::DigitCode;
use tpw_access::factor::opaque::{
    Context, LoggingIn, PasswordRecord, Registering, ServerSecret, begin, respond,
};
use tpw_access::factor::password::Password;
use tpw_access::factor::totp::{self, Params, TotpRecord, TotpSecret};
use tpw_core::{Instant, PersonId};
use tpw_crypto::{FixedEntropy, sha256};

const PAIRS: usize = 2_000;
const ROUNDS: usize = 3;
/// What is left of each side's times, the fast ones, in fifths.
const KEPT_FIFTHS: usize = 4;
/// By how much the medians may differ: of a login, a hundredth of a millisecond, and of an app's code, which is judged in microseconds, less
/// than the clock of a stranger can see.
const RATIO_MAX_LOGIN: f64 = 0.05;
const RATIO_MAX_CODE: f64 = 0.15;
/// Beyond this a difference is none of chance, in 8,000 times (TVLA uses 4.5).
const T_MAX: f64 = 4.5;

/// What a round found.
#[derive(Debug)]
struct Found {
    ratio: f64,
    t: f64,
}

impl Found {
    fn is_leak(&self, ratio_max: f64) -> bool {
        (self.ratio - 1.0).abs() > ratio_max && self.t.abs() > T_MAX
    }
}

fn took(call: &mut dyn FnMut()) -> f64 {
    let began = Watch::now();
    call();
    began.elapsed().as_nanos() as f64
}

/// The fast part of the times, in order.
fn cropped(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times.truncate(times.len() * KEPT_FIFTHS / 5);
    times
}

/// Mean, and variance of the mean.
fn mean(times: &[f64]) -> (f64, f64) {
    let count = times.len() as f64;
    let mean = times.iter().sum::<f64>() / count;
    let squares: f64 = times.iter().map(|time| (time - mean).powi(2)).sum();
    (mean, squares / (count - 1.0) / count)
}

fn round(one: &mut dyn FnMut(), other: &mut dyn FnMut()) -> Found {
    let (mut ones, mut others) = (Vec::with_capacity(PAIRS), Vec::with_capacity(PAIRS));
    for pair in 0..PAIRS {
        // Who comes second finds warmer caches: they take turns.
        if pair % 2 == 0 {
            ones.push(took(one));
            others.push(took(other));
        } else {
            others.push(took(other));
            ones.push(took(one));
        }
    }
    let (ones, others) = (cropped(ones), cropped(others));
    let ((one, of_one), (other, of_other)) = (mean(&ones), mean(&others));
    let middle = |times: &[f64]| times.get(times.len() / 2).copied().unwrap();
    let t = (one - other) / (of_one + of_other).sqrt();
    Found { ratio: middle(&ones) / middle(&others), t }
}

/// Whether the two can be told apart: in every round, because a busy machine may tell them apart in one.
fn told_apart(
    ratio_max: f64,
    one: &mut dyn FnMut(),
    other: &mut dyn FnMut(),
) -> Result<Found, Vec<Found>> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let found = round(one, other);
        if !found.is_leak(ratio_max) {
            return Ok(found);
        }
        rounds.push(found);
    }
    Err(rounds)
}

fn person(random: u8) -> PersonId {
    PersonId::new(1, [random; 10])
}

fn now() -> Instant {
    Instant::from_unix_ms(1_800_000_000_000).unwrap()
}

/// A server with one person who has a password.
struct Passwords {
    secret: ServerSecret,
    record: Vec<u8>,
    ke1: Vec<u8>,
}

impl Passwords {
    fn new() -> Self {
        let entropy = &mut FixedEntropy::new(1);
        let typed = Password::prepare("a horse of another colour").unwrap();
        let secret = ServerSecret::new(entropy).unwrap();
        let registering = Registering::start(&typed, entropy).unwrap();
        let response = respond(&secret, &person(1), registering.request()).unwrap();
        let registered = registering.finish(&typed, &response, entropy).unwrap();
        let record = PasswordRecord::new(&registered.upload, now()).unwrap().to_bytes();
        let ke1 = LoggingIn::start(&typed, entropy).unwrap().ke1().to_vec();
        Self { secret, record, ke1 }
    }

    /// What the server does with the first message of a login.
    fn begin(&self, of: u8, stored: Option<&[u8]>, seed: u64) {
        let record = PasswordRecord::read_stored(stored).unwrap();
        let login = Context { server: "https://w.example", challenge: b"1", purpose: "session" };
        let entropy = &mut FixedEntropy::new(seed);
        let begun = begin(&self.secret, &person(of), record.as_ref(), &self.ke1, login, entropy);
        black_box(begun.unwrap());
    }
}

// One after the other: two at once would measure each other.
#[test]
fn the_time_of_an_answer_does_not_tell_who_has_what() {
    let passwords = Passwords::new();
    let mut seed = 0;
    let mut known = || {
        seed += 1;
        passwords.begin(1, Some(&passwords.record), seed);
    };
    let mut other_seed = 0;
    let mut unknown = || {
        other_seed += 1;
        passwords.begin(2, None, other_seed);
    };
    let found = told_apart(RATIO_MAX_LOGIN, &mut known, &mut unknown);
    println!("password: {found:?}");
    assert!(found.is_ok(), "a password can be timed: {found:?}");
    // A leak of a tenth is found: the measure would see what is to be seen.
    let padding = vec![7_u8; padding_len(&mut unknown)];
    let mut leaky_seed = 0;
    let mut leaky = || {
        leaky_seed += 1;
        passwords.begin(2, None, leaky_seed);
        black_box(sha256(&padding));
    };
    let found = told_apart(RATIO_MAX_LOGIN, &mut leaky, &mut known);
    println!("password, leaking: {found:?}");
    assert!(found.is_err(), "the measure is blind");

    let entropy = &mut FixedEntropy::new(2);
    let secret = TotpSecret::new(entropy).unwrap();
    let record = TotpRecord::new(vec![1; 60], Params::PHONE, now()).unwrap();
    let step = totp::step_at(now());
    let first: DigitCode = secret.code(Params::PHONE, step - 1).parse().unwrap();
    let record = record.confirm(&secret, &first, now()).unwrap();
    let wrong: DigitCode = "000000".parse().unwrap();
    let mut has_app = || {
        black_box(record.prove(&secret, &wrong, now()).unwrap_err());
    };
    let mut has_none = || {
        black_box(totp::refuse(&wrong, now()));
    };
    let found = told_apart(RATIO_MAX_CODE, &mut has_app, &mut has_none);
    println!("app: {found:?}");
    assert!(found.is_ok(), "an app with codes can be timed: {found:?}");
    let mut at_once = || {
        black_box(&wrong);
    };
    assert!(
        told_apart(RATIO_MAX_CODE, &mut has_app, &mut at_once).is_err(),
        "the measure is blind"
    );
}

/// How many bytes take a tenth as long to hash as one call takes.
fn padding_len(call: &mut dyn FnMut()) -> usize {
    let middle = |call: &mut dyn FnMut()| {
        let times = cropped((0..200).map(|_one| took(call)).collect());
        times.get(times.len() / 2).copied().unwrap()
    };
    let of_call = middle(call);
    let block = vec![7_u8; 1 << 16];
    let of_block = middle(&mut || {
        black_box(sha256(&block));
    });
    let mut length = 1 << 16;
    let mut wanted = of_call / 10.0;
    while wanted > of_block {
        length += 1 << 16;
        wanted -= of_block;
    }
    length
}
