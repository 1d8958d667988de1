//! Stored payments: every status comes back as it was; damaged bytes are an error and never a panic.

use super::support::*;
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};
use tpw_flow::{Command, Payment, Status, stored};

/// One payment for each way in which it can rest.
fn samples() -> (Bench, Vec<Arc<Payment>>) {
    let mut bench = Bench::new();
    let operator = hash("operator");
    let waits = bench.pay(ALICE, BOB, STEP_UP, Status::StepUp);
    let held = bench.pay(ALICE, BOB, HOLD, Status::Held);
    let refused = bench.pay(ALICE, BOB, SINGLE_MAX + 1, Status::Refused);
    let booked = bench.pay(ALICE, BOB, 5, Status::Booked);
    let instructed = bench.pay(ALICE, PARTNER, 5, Status::Booked);
    let other = bench.pay(ALICE, PARTNER, 5, Status::Booked);
    let confirmed = payment(bench.apply(Command::RailConfirm { payment: other.id() }).0);
    let released = bench.pay(ALICE, BOB, HOLD, Status::Held);
    let released = payment(bench.apply(Command::Release { payment: released.id(), operator }).0);
    let step = bench.pay(ALICE, BOB, STEP_UP, Status::StepUp);
    let proof = bench.proof(&step, "alice");
    let command = bench.step_up(&proof, "alice");
    let stepped = payment(bench.apply(command).0);
    let recalled = bench.pay(ALICE, BOB, 7, Status::Booked);
    let recalled = payment(bench.apply(Command::Recall { payment: recalled.id(), operator }).0);
    let back = bench.pay(ALICE, PARTNER, 8, Status::Booked);
    let returned = payment(bench.apply(Command::RailReturn { payment: back.id() }).0);
    let all = vec![
        waits, held, refused, booked, instructed, confirmed, released, stepped, recalled, returned,
    ];
    (bench, all)
}

static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let (_, all) = samples();
    all.iter().map(|payment| stored::to_bytes(payment).unwrap()).collect()
});

#[test]
fn every_status_comes_back_as_it_was() {
    let (bench, all) = samples();
    for status in Status::ALL {
        assert!(all.iter().any(|p| p.status() == Some(status)), "{status:?} is missing");
    }
    for payment in &all {
        let bytes = bench.stored(payment.id());
        assert_eq!(stored::from_bytes(&bytes).unwrap(), **payment);
        assert_eq!(stored::to_bytes(payment).unwrap(), bytes);
    }
}

#[test]
fn no_trailing_bytes_and_nothing_missing() {
    for bytes in SAMPLES.iter() {
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(stored::from_bytes(&longer).is_err());
        for length in 0..bytes.len() {
            assert!(stored::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
    }
}

/// A changed byte in what is signed is always found. A changed byte elsewhere (a salt, a time, an index)
/// may read as another payment; what is bound to the log entry is found by whoever checks the receipt.
#[test]
fn a_changed_statement_is_an_error() {
    let (_, all) = samples();
    for payment in &all {
        let bytes = stored::to_bytes(payment).unwrap();
        let statement = payment.intake().statement();
        let start = bytes.windows(statement.len()).position(|w| w == statement).unwrap();
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            let read = stored::from_bytes(&damaged);
            if (start..start + statement.len()).contains(&place) {
                assert!(read.is_err(), "byte {place} of {:?}", payment.status());
            }
            if let Ok(read) = read {
                assert_ne!(read, **payment, "two encodings of one payment");
                assert_eq!(stored::to_bytes(&read).unwrap(), damaged);
            }
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(stored::from_bytes(&bytes).is_err());
    }

    #[test]
    fn damaged_bytes_do_not_panic(
        sample in 0_usize..10,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = SAMPLES[sample].clone();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(payment) = stored::from_bytes(&bytes) {
            prop_assert_eq!(stored::to_bytes(&payment).unwrap(), bytes);
        }
    }
}
