//! Goal: a wrong bit in any row of SQLite's books is an error, never another value.
//! Method: a desk's life in which everything happens once; then, in a copy, one bit of each column of each sealed table is turned
//! over, and everything is read: one of the reads must find the damage. Some keys by which single rows are looked up are left out, for a
//! row under another key is not found.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[cfg(test)]
#[path = "../../flow/tests/desk/support.rs"]
#[allow(dead_code, reason = "the desk's own tests use all of it")]
mod desk;
#[cfg(test)]
#[path = "postgres/live.rs"]
#[allow(dead_code, reason = "the tests of PostgreSQL use all of it")]
mod live;

use desk::{ALICE, BOB, Bench, at, person};
use rusqlite::Connection;
use rusqlite::types::Value;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tpw_core::TransferId;
use tpw_engines::books::{Books, DecisionQuery, StoreError};
use tpw_engines::sqlite::{MovedBy, Place, Store};
use tpw_flow::{Changes, Status};

/// Keys by which single rows are looked up, and what SQLite gives a row.
const LEFT_OUT: [(&str, &str); 9] = [
    ("account", "place"),
    ("account_set", "place"),
    ("crossing", "place"),
    ("alarm", "number"),
    ("owner", "account"),
    ("owner", "person"),
    ("reversal", "of"),
    ("order_batch", "first"),
    ("backdated", "account"),
];

fn books(folder: &Path) -> PathBuf {
    folder.join("books.db")
}

/// Books in which everything happened, and what has to be known to read all of it.
fn lived_in(folder: &Path) -> Vec<TransferId> {
    let mut store = Store::open(&books(folder)).unwrap();
    let mut bench = Bench::kept_by(Box::new(move |changes| {
        store.commit(changes).unwrap();
        store.tidy().unwrap();
    }));
    live::live(&mut bench);
    let refused = TransferId::new(bench.now.unix_ms(), [9; 10]);
    vec![TransferId::new(1_763_806_000_000, [99; 10]), refused]
}

fn read_everything(path: &Path, ids: &[TransferId]) -> Result<(), StoreError> {
    let store = Store::open(path)?;
    let reader = Books::reader(&store)?;
    let restored = reader.restore()?;
    for account in restored.ledger.accounts() {
        reader.account(account.id)?;
        reader.owner(account.id)?;
        reader.mark_after(account.id, at(0))?;
        reader.backdated(account.id, at(1_000_000))?;
    }
    for id in ids {
        reader.funding(*id)?;
        reader.burnt(*id)?;
    }
    for number in 0..restored.ledger.next_number() {
        reader.made_by(number)?;
        reader.reversed(number)?;
        reader.transfer(number)?;
    }
    reader.accounts_of(person(1))?;
    reader.crossings(0, 1_000)?;
    reader.events(0, 10_000)?;
    reader.alarms(0, 1_000)?;
    reader.rail_open(None, 9)?;
    reader.record(&live::record_key(1))?;
    reader.token_leaf(&live::TOKEN)?;
    reader.decisions(&DecisionQuery::default(), 0, 1_000)?;
    reader.leaves(0, 10_000).map(drop)
}

fn column_of(connection: &Connection, sql: &str) -> Vec<String> {
    let mut found = connection.prepare(sql).unwrap();
    let rows = found.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Turns the lowest bit over; nothing when there is none.
fn turned(value: Value) -> Option<Value> {
    let flip = |bytes: &mut [u8]| bytes.last_mut().map(|last| *last ^= 1);
    match value {
        Value::Integer(number) => Some(Value::Integer(number ^ 1)),
        Value::Blob(mut bytes) => flip(&mut bytes).map(|()| Value::Blob(bytes)),
        Value::Text(text) => {
            let mut bytes = text.into_bytes();
            flip(&mut bytes).map(|()| Value::Text(String::from_utf8(bytes).unwrap()))
        }
        Value::Null | Value::Real(_) => None,
    }
}

/// Damages one row that has something in the column; nothing when there is none.
fn damage(path: &Path, table: &str, column: &str) -> Option<()> {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
        .unwrap();
    let sql = format!("SELECT {column} FROM {table} WHERE {column} IS NOT NULL LIMIT 1");
    let found: Value = connection.query_row(&sql, [], |row| row.get(0)).ok()?;
    let (before, after) = (found.clone(), turned(found)?);
    let sql = format!("UPDATE {table} SET {column} = ?2 WHERE {column} = ?1");
    // Where the column is a key, another row may have the value already.
    (connection.execute(&sql, [before, after]).ok()? > 0).then_some(())
}

#[test]
fn a_wrong_bit_in_any_sealed_row_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let ids = lived_in(folder.path());
    read_everything(&books(folder.path()), &ids).unwrap();
    let reader = Connection::open(books(folder.path())).unwrap();
    let tables = column_of(
        &reader,
        "SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
         WHERE m.type = 'table' AND c.name = 'seal' ORDER BY m.name",
    );
    let mut tried = Vec::new();
    for table in &tables {
        let columns = format!("SELECT name FROM pragma_table_info('{table}')");
        for column in column_of(&reader, &columns) {
            if LEFT_OUT.contains(&(table.as_str(), column.as_str())) {
                continue;
            }
            let copy = folder.path().join("copy.db");
            std::fs::copy(books(folder.path()), &copy).unwrap();
            if damage(&copy, table, &column).is_none() {
                continue;
            }
            match read_everything(&copy, &ids) {
                Err(StoreError::Damaged { .. }) => tried.push(format!("{table}.{column}")),
                other => panic!("{table}.{column}: {other:?}"),
            }
        }
    }
    assert_eq!(tables.len(), 25, "{tables:?}");
    for table in tables.iter().filter(|table| *table != "mark") {
        let columns = tried.iter().filter(|tried| tried.starts_with(&format!("{table}.")));
        assert!(columns.count() > 1, "{table}: {tried:?}");
    }
}

/// A second payment under an id that is taken can never replace the first.
#[test]
fn a_payment_is_not_replaced_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = books(folder.path());
    let store = Rc::new(RefCell::new(Store::open(&path).unwrap()));
    let keeper = Rc::clone(&store);
    let mut bench = Bench::kept_by(Box::new(move |changes| {
        keeper.borrow_mut().commit(changes).unwrap();
    }));
    let paid = bench.pay(ALICE, BOB, 5, Status::Booked);
    let changes = Changes { payments: vec![paid], ..Changes::default() };
    store.borrow_mut().commit(&changes).unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch("UPDATE payment SET received = received - 1000")
        .unwrap();
    let error = store.borrow_mut().commit(&changes).unwrap_err();
    assert!(error.to_string().contains("payment.state"), "{error}");
}

/// Pages from behind the cut are in the file, and the log brings older ones: no state that ever was.
#[test]
fn a_log_that_was_cut_before_what_was_moved_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = books(folder.path());
    let place = Place { wal_pages: 40, moved_by: MovedBy::Commit, ..Place::from(path.as_path()) };
    let mut store = Store::open_at(place).unwrap();
    store.probe().unwrap();
    // Until all of the log was moved, and it was not yet begun anew.
    let other = Connection::open(&path).unwrap();
    let lengths = || {
        let sql = "PRAGMA wal_checkpoint(NOOP)";
        other.query_row(sql, [], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))).unwrap()
    };
    let mut number = 0_u32;
    while !matches!(lengths(), (all, moved) if all == moved && all > 10) {
        store.set_meta("note", &number.to_be_bytes()).unwrap();
        number += 1;
        assert!(number < 200);
    }
    // As after a loss of power: nothing is closed.
    let lost = tempfile::tempdir().unwrap();
    for name in ["books.db", "books.db-wal", "books.moved"] {
        std::fs::copy(folder.path().join(name), lost.path().join(name)).unwrap();
    }
    let path = books(lost.path());
    assert!(Store::open(&path).is_ok(), "whole, it opens");
    std::fs::copy(folder.path().join("books.db-wal"), lost.path().join("books.db-wal")).unwrap();
    let log = lost.path().join("books.db-wal");
    let mut bytes = std::fs::read(&log).unwrap();
    let frame = 24 + 4096;
    bytes[32 + 5 * frame + 24 + 100] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let refused = Store::open(&path).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused.contains("its write-ahead log has lost its end"), "{refused}");
}
