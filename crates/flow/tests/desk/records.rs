//! Records of identity: of all who start from the same value one changes it, also while it is not stored yet, and what is
//! rejected changes nothing.

use super::support::*;
use tpw_access::record::{RecordKey, RecordKind, RecordWrite, VALUE_LEN_MAX, WRITES_MAX};
use tpw_flow::{Answer, Command, Rejection};

fn key(id: &[u8]) -> RecordKey {
    RecordKey::new(RecordKind::Totp, [1; 16], id).unwrap()
}

fn write(id: &[u8], before: Option<&[u8]>, after: Option<&[u8]>) -> RecordWrite {
    let owned = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
    RecordWrite { key: key(id), before: owned(before), after: owned(after) }
}

#[test]
fn of_two_who_read_the_same_one_changes_it() {
    let mut bench = Bench::new();
    let first = Command::Records(vec![write(b"a", None, Some(b"1"))]);
    assert_eq!(bench.must(first.clone()), Answer::Done);
    assert_eq!(bench.reject_of(first), Rejection::RecordChanged, "it is there now");
    let turn = |after: &[u8]| Command::Records(vec![write(b"a", Some(b"1"), Some(after))]);
    bench.must(turn(b"2"));
    assert_eq!(bench.reject_of(turn(b"3")), Rejection::RecordChanged);
    bench.must(Command::Records(vec![write(b"a", Some(b"2"), None)]));
    assert_eq!(bench.reject_of(turn(b"3")), Rejection::RecordChanged, "it is gone");
    bench.must(Command::Records(vec![write(b"a", None, Some(b"4"))]));
}

#[test]
fn all_or_none() {
    let mut bench = Bench::new();
    bench.must(Command::Records(vec![write(b"a", None, Some(b"1"))]));
    let both =
        |before: &[u8]| vec![write(b"b", None, Some(b"1")), write(b"a", Some(before), Some(b"2"))];
    assert_eq!(bench.reject_of(Command::Records(both(b"0"))), Rejection::RecordChanged);
    bench.must(Command::Records(both(b"1")));
    // The same record twice in one command: which of the two counts?
    let twice = vec![write(b"c", None, Some(b"1")), write(b"c", None, Some(b"1"))];
    assert_eq!(bench.reject_of(Command::Records(twice)), Rejection::RecordChanged);
}

#[test]
fn too_long_and_too_many() {
    let mut bench = Bench::new();
    let long = |more| write(b"a", None, Some(&vec![7; VALUE_LEN_MAX + more]));
    assert_eq!(bench.reject_of(Command::Records(vec![long(1)])), Rejection::RecordTooLarge);
    bench.must(Command::Records(vec![long(0)]));
    let many = |count: usize| {
        (0..count).map(|n| write(&n.to_be_bytes(), None, Some(b"1"))).collect::<Vec<_>>()
    };
    let refused = bench.reject_of(Command::Records(many(WRITES_MAX + 1)));
    assert_eq!(refused, Rejection::RecordTooLarge);
    bench.must(Command::Records(many(WRITES_MAX)));
}
