//! Goal: rows keep one byte form, chains are computed as `spec/statement.md` says, and a statement
//! from which a row was dropped, to which one was added, or in which one was moved or altered fails.
//! Method: vectors made by an independent program; then every single edit of a random true statement.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails"
)]

mod support;

use proptest::prelude::*;
use support::{Store, account, asset, at, ledger, leg, minor, transfer, usd};
use tpw_core::{AccountId, Amount, Hash32, Instant, Money};
use tpw_ledger::{
    Balance, Operation, Original, Reversal, Side, StatementError, StatementPoint, TransferKind,
    TransferRow, verify_statement,
};

const VECTORS: &str = include_str!("../../../spec/vectors/statement.json");

/// The n-th value of a field in the vector file.
fn vector(field: &str, n: usize) -> &'static str {
    let marker = format!("\"{field}\": \"");
    let start = VECTORS.match_indices(&marker).nth(n).unwrap().0 + marker.len();
    VECTORS[start..].split('"').next().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn vector_row(n: usize) -> TransferRow {
    let amount = minor((1 << 64) + 5);
    let reversal = n == 1;
    let (debit, credit) = if reversal { (2, 1) } else { (1, 2) };
    let ms = if reversal { 1_700_000_000_456 } else { 1_700_000_000_123 };
    TransferRow {
        number: if reversal { 2 } else { 1 },
        id: transfer(if reversal { 8 } else { 7 }),
        kind: if reversal { TransferKind::Reverse } else { TransferKind::Transfer },
        debit: account(debit),
        credit: account(credit),
        money: Money { amount, asset: asset("ETH/18") },
        at: Instant::from_unix_ms(ms).unwrap(),
        effective: Instant::from_unix_ms(ms - u64::from(reversal) * 456).unwrap(),
        pending: reversal.then_some(1),
        prev_debit: u64::from(reversal),
        prev_credit: u64::from(reversal),
        debit_chain: vector("debit_chain", n).parse().unwrap(),
        credit_chain: vector("credit_chain", n).parse().unwrap(),
        released: Amount::ZERO,
    }
}

#[test]
fn rows_and_links_match_the_vectors() {
    let (first, second) = (vector_row(0), vector_row(1));
    for (n, row) in [first, second].iter().enumerate() {
        assert_eq!(hex(&row.linked_bytes()), vector("linked_bytes", n));
        assert_eq!(TransferRow::from_bytes(&row.to_bytes()), Ok(*row));
    }
    assert_eq!(first.link(&Hash32::ZERO, Side::Debit), first.debit_chain);
    assert_eq!(first.link(&Hash32::ZERO, Side::Credit), first.credit_chain);
    assert_eq!(second.link(&first.credit_chain, Side::Debit), second.debit_chain);
    assert_eq!(second.link(&first.debit_chain, Side::Credit), second.credit_chain);
    let closing = StatementPoint {
        transfers: 2,
        last: 2,
        chain: second.credit_chain,
        balance: Balance::ZERO,
    };
    verify_statement(&[first, second], &account(1), &StatementPoint::START, &closing).unwrap();
}

/// A ledger's rows of account 1 with all six kinds among them, and its closing point.
fn history(amounts: &[u128]) -> (Vec<TransferRow>, StatementPoint) {
    let (mut l, mut id) = (ledger(), 100);
    let mut next = || {
        id += 1;
        id
    };
    for (n, amount) in (2_u64..).zip(amounts) {
        let money = usd(*amount);
        let hold = |id| Operation::Hold { request: leg(id, 1, 2, money), expires: at(10_000) };
        let (a, b) = (next(), next());
        let paid = l.apply(Operation::Transfer(&[leg(a, 1, 3, money)]), at(n)).unwrap();
        l.apply(Operation::Transfer(&[leg(b, 0, 2, money)]), at(n)).unwrap();
        match amount % 4 {
            0 => {
                let of = Original::of_posting(&paid.postings[0]);
                l.apply(Operation::Reverse(&[Reversal { of, id: transfer(next()) }]), at(n))
                    .unwrap();
            }
            1 => {
                let h = next();
                l.apply(hold(h), at(n)).unwrap();
                let amount = Some(Amount::from_minor(1));
                let post = Operation::Post { hold: transfer(h), id: transfer(next()), amount };
                l.apply(post, at(n)).unwrap();
            }
            2 => {
                let h = next();
                l.apply(hold(h), at(n)).unwrap();
                let void = Operation::Void { hold: transfer(h), id: transfer(next()) };
                l.apply(void, at(n)).unwrap();
            }
            _ => drop(l.apply(hold(next()), at(n)).unwrap()),
        }
    }
    l.expire(at(10_000));
    let mut store = Store::default();
    store.commit(l.take_changes());
    (store.rows_of(&account(1)), l.account(&account(1)).unwrap().point())
}

fn check(rows: &[TransferRow], closing: &StatementPoint) -> Result<(), StatementError> {
    verify_statement(rows, &account(1), &StatementPoint::START, closing)
}

#[test]
fn each_broken_statement_says_what_is_wrong() {
    let (rows, closing) = history(&[4, 5, 6, 7]);
    check(&rows, &closing).unwrap();
    let last = rows.len() - 1;
    let second = rows[1].number;
    assert_eq!(
        check(&rows[1..], &closing),
        Err(StatementError::Gap { number: second, expected: 0, found: rows[0].number })
    );
    assert_eq!(
        check(&rows[..last], &closing),
        Err(StatementError::ClosingChain { expected: closing.last, found: rows[last - 1].number })
    );
    let mut twice = rows.clone();
    twice.insert(1, rows[0]);
    assert_eq!(
        check(&twice, &closing),
        Err(StatementError::Gap { number: rows[0].number, expected: rows[0].number, found: 0 })
    );
    let mut edited = rows.clone();
    edited[1].money = usd(3);
    assert_eq!(check(&edited, &closing), Err(StatementError::Chain(second)));
    edited[1] = rows[1];
    edited[1].debit = account(3);
    edited[1].credit = account(2);
    assert_eq!(check(&edited, &closing), Err(StatementError::OtherAccount(second)));
    edited[1] = rows[1];
    edited[1].pending = Some(rows[1].number);
    assert_eq!(check(&edited, &closing), Err(StatementError::Row(second)));
    let ends = |edit: fn(&mut StatementPoint)| {
        let mut closing = closing;
        edit(&mut closing);
        check(&rows, &closing).unwrap_err()
    };
    assert!(matches!(ends(|p| p.chain = Hash32::ZERO), StatementError::ClosingChain { .. }));
    assert!(matches!(ends(|p| p.transfers += 1), StatementError::ClosingCount { .. }));
    assert!(matches!(ends(|p| p.balance = Balance::ZERO), StatementError::ClosingBalance { .. }));
    // Somebody else's rows are no statement of this account, even between the same points.
    let other: AccountId = account(9);
    let found = verify_statement(&rows, &other, &StatementPoint::START, &closing);
    assert_eq!(found, Err(StatementError::OtherAccount(rows[0].number)));
    // An empty statement is true only between equal points.
    assert_eq!(verify_statement(&[], &other, &closing, &closing), Ok(()));
    assert!(check(&[], &closing).is_err());
}

#[test]
fn a_balance_that_cannot_be_is_refused() {
    let row = vector_row(0);
    let balance = Balance::between(Amount::ZERO, Amount::MAX);
    let opening = StatementPoint { balance, ..StatementPoint::START };
    let closing = StatementPoint { transfers: 1, last: 1, chain: row.debit_chain, balance };
    let found = verify_statement(&[row], &account(1), &opening, &closing);
    assert_eq!(found, Err(StatementError::Overflow(1)));
}

/// A chain that a dishonest operator computed well, but over rows of two assets.
#[test]
fn a_change_of_asset_is_refused() {
    let first = vector_row(0);
    let mut second = vector_row(1);
    second.money.asset = asset("ETH/17");
    second.credit_chain = second.link(&first.debit_chain, Side::Credit);
    let closing = StatementPoint {
        transfers: 2,
        last: 2,
        chain: second.credit_chain,
        balance: Balance::ZERO,
    };
    let found = verify_statement(&[first, second], &account(1), &StatementPoint::START, &closing);
    assert_eq!(found, Err(StatementError::OtherAsset(2)));
}

proptest! {
    #[test]
    fn every_true_statement_passes_from_any_point(amounts in prop::collection::vec(1_u128..9, 1..8)) {
        let (rows, closing) = history(&amounts);
        let mut opening = StatementPoint::START;
        for (n, row) in rows.iter().enumerate() {
            verify_statement(&rows[n..], &account(1), &opening, &closing).unwrap();
            opening = opening.next(row, &account(1)).unwrap();
        }
        prop_assert_eq!(opening, closing);
    }

    #[test]
    fn no_edit_of_a_statement_passes(
        amounts in prop::collection::vec(1_u128..9, 1..8), a: usize, b: usize, bit: usize,
    ) {
        let (rows, closing) = history(&amounts);
        let (a, b) = (a % rows.len(), b % rows.len());
        let mut dropped = rows.clone();
        dropped.remove(a);
        prop_assert!(check(&dropped, &closing).is_err());
        let mut added = rows.clone();
        added.insert(a, rows[b]);
        prop_assert!(check(&added, &closing).is_err());
        if a != b {
            let mut swapped = rows.clone();
            swapped.swap(a, b);
            prop_assert!(check(&swapped, &closing).is_err());
        }
        // Any one bit, but for the other account's chain head, which says nothing about this one.
        let own = if rows[a].debit == account(1) { 0 } else { 32 };
        let committed = (TransferRow::LINKED_LEN + 32) * 8;
        let mut place = bit % committed;
        if place >= TransferRow::LINKED_LEN * 8 {
            place += own * 8;
        }
        let mut bytes = rows[a].to_bytes();
        bytes[place / 8] ^= 1 << (place % 8);
        if let Ok(row) = TransferRow::from_bytes(&bytes) {
            let mut altered = rows.clone();
            altered[a] = row;
            prop_assert!(check(&altered, &closing).is_err());
        }
    }

    #[test]
    fn bytes_have_one_meaning(bytes in prop::collection::vec(any::<u8>(), TransferRow::LEN)) {
        if let Ok(row) = TransferRow::from_bytes(&bytes) {
            prop_assert_eq!(row.to_bytes(), bytes);
        }
    }

    #[test]
    fn edited_rows_are_refused_or_round_trip(place in 0..TransferRow::LEN, value: u8, n in 0..2_usize) {
        let mut bytes = vector_row(n).to_bytes();
        bytes[place] = value;
        if let Ok(row) = TransferRow::from_bytes(&bytes) {
            prop_assert_eq!(row.to_bytes(), bytes);
        }
    }
}

#[test]
fn rows_of_another_length_or_with_impossible_fields_are_refused() {
    let bytes = vector_row(1).to_bytes();
    assert!(TransferRow::from_bytes(&bytes[1..]).is_err());
    assert!(TransferRow::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    assert!(TransferRow::from_bytes(&[]).is_err());
    // Offset, byte, field: see the table in the specification.
    for (place, value, field) in [
        (7, 0, "number"),
        (24, 0, "kind"),
        (24, 7, "kind"),
        (24, 1, "pending"),
        (57, b'e', "asset"),
        (67, b'X', "asset"),
        (68, 19, "asset"),
        (85, 0xff, "at"),
        (93, 0xff, "effective"),
        (99, 0xff, "effective"),
        (108, 2, "pending"),
        (108, 0, "pending"),
        (116, 2, "prev_debit"),
        (124, 2, "prev_credit"),
        (204, 1, "released"),
    ] {
        let mut edited = bytes.clone();
        edited[place] = value;
        let error = TransferRow::from_bytes(&edited).unwrap_err();
        assert!(error.to_string().contains(&format!("`{field}`")), "{place} {value}: {error}");
    }
}
