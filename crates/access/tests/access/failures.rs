//! Goal: guessing with one factor gets slow, then stops, and nothing but a success shortens a wait.
//! Method: the stages attempt by attempt; many attempts at the same moment; a clock that is set back; other bytes than a record's.

use crate::forge::at;
use proptest::prelude::*;
use tpw_access::factor::failures::{AtCap, CAP, Failures, LOCK, Locked};
use tpw_core::{Instant, Span};

const NOW: u64 = 1_800_000_000;

/// The record after `count` failures, each as early as it is allowed, and when the last was.
fn row_of(count: u64) -> (Failures, Instant) {
    let mut now = at(NOW);
    let mut row = Failures::attempt(None, AtCap::LockForDay, now).unwrap();
    for _more in 1..count {
        if let Err(Locked::For { retry_after }) = row.check(AtCap::LockForDay, now) {
            now = now.plus(retry_after);
        }
        row = Failures::attempt(Some(row), AtCap::LockForDay, now).unwrap();
    }
    (row, now)
}

#[test]
fn the_wait_grows_in_stages() {
    for (count, secs) in [(1, 1), (2, 1), (3, 3), (8, 3), (9, 5), (24, 5), (25, 10), (99, 10)] {
        let (row, last) = row_of(count);
        let wait = Span::from_secs(secs);
        let early = last.plus(Span::from_ms(wait.as_ms() - 1));
        assert_eq!(row.row(), count);
        assert!(row.check(AtCap::LockForDay, early).is_err(), "{count}");
        assert_eq!(row.check(AtCap::LockForDay, last.plus(wait)), Ok(()), "{count}");
        assert_eq!(
            row.check(AtCap::LockForDay, last),
            Err(Locked::For { retry_after: wait }),
            "{count}"
        );
    }
}

#[test]
fn after_a_hundred_failures_in_a_row_the_factor_is_locked() {
    let (row, last) = row_of(CAP);
    let day_later = last.plus(LOCK);
    let almost = Instant::from_unix_ms(day_later.unix_ms() - 1).unwrap();
    assert_eq!(
        row.check(AtCap::LockForDay, almost),
        Err(Locked::For { retry_after: Span::from_ms(1) })
    );
    // The lock of a day lets one guess through, and begins again with it.
    let next = Failures::attempt(Some(row), AtCap::LockForDay, day_later).unwrap();
    assert_eq!(next.check(AtCap::LockForDay, day_later), Err(Locked::For { retry_after: LOCK }));
    // SP 800-63B-4 to the letter: no time ends it.
    for now in [last, day_later, Instant::MAX] {
        assert_eq!(row.check(AtCap::LockUntilRecovered, now), Err(Locked::UntilRecovered));
        assert_eq!(
            Failures::attempt(Some(row), AtCap::LockUntilRecovered, now),
            Err(Locked::UntilRecovered)
        );
    }
}

#[test]
fn attempts_at_the_same_moment_are_not_judged_together() {
    // Compare and swap lets one of them through; the others read again, and find the wait.
    let first = Failures::attempt(None, AtCap::LockForDay, at(NOW)).unwrap();
    let second = Failures::attempt(Some(first), AtCap::LockForDay, at(NOW));
    assert_eq!(second, Err(Locked::For { retry_after: Span::from_secs(1) }));
}

#[test]
fn a_refused_attempt_is_not_counted() {
    let (row, last) = row_of(10);
    assert!(Failures::attempt(Some(row), AtCap::LockForDay, last).is_err());
    let next = Failures::attempt(Some(row), AtCap::LockForDay, last.plus(Span::from_secs(5)));
    assert_eq!(next.unwrap().row(), 11);
}

#[test]
fn a_clock_that_is_set_back_shortens_no_wait() {
    let (row, last) = row_of(3);
    let earlier = at(NOW - 3600);
    let locked = row.check(AtCap::LockForDay, earlier).unwrap_err();
    let wait = last.since(earlier).as_ms() + 3000;
    assert_eq!(locked, Locked::For { retry_after: Span::from_ms(wait) });
}

#[test]
fn the_record_is_read_as_it_was_written() {
    let (row, _last) = row_of(30);
    let bytes = row.to_bytes();
    assert_eq!(Failures::from_bytes(&bytes), Ok(row));
    for at in 0..bytes.len() {
        assert!(Failures::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert!(Failures::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err(), "longer");
    assert!(Failures::from_bytes(&[0x83, 2, 1, 0]).is_err(), "another format");
    assert!(Failures::from_bytes(&[0x83, 1, 0, 0]).is_err(), "no failure at all");
    assert!(Failures::from_bytes(&[0x83, 1, 0x18, 1, 0]).is_err(), "a longer form");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _read = Failures::from_bytes(&bytes);
    }
}
