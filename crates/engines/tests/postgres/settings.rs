//! A server that may lose or change what it stores is refused, and so are books that were tampered with.

use super::desk::{ALICE, BOB, Bench, HOLD};
use super::server::{Database, SETTINGS, run};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::PoisonError;
use std::time::{Duration, Instant};
use tpw_engines::books::{Books, BooksReader, StoreError};
use tpw_engines::postgres::Store;
use tpw_flow::{Changes, Status};

#[test]
fn commits_that_are_not_synced_are_refused() {
    let database = Database::new();
    for value in ["off", "local", "remote_write"] {
        let name = database.sql("SELECT current_database()").remove(0);
        database.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = {value}"));
        let message = database.refusal().to_string();
        let named = format!("`synchronous_commit = {value}`; set it to `on`");
        assert!(message.contains(&named), "{message}");
        database.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = remote_apply"));
        database.open();
    }
}

#[test]
fn another_encoding_is_refused() {
    let settings = SETTINGS.read().unwrap_or_else(PoisonError::into_inner);
    let database = Database::with("ENCODING 'LATIN1'", Some(settings));
    let message = database.refusal().to_string();
    assert!(message.contains("`server_encoding = LATIN1`"), "{message}");
}

#[test]
fn a_server_that_does_not_sync_is_refused() {
    let settings = SETTINGS.write().unwrap_or_else(PoisonError::into_inner);
    let database = Database::with("ENCODING 'UTF8'", None);
    for name in ["fsync", "full_page_writes"] {
        set(name, "off");
        let error = Store::open(database.address()).err();
        set(name, "on");
        run("postgres", &format!("ALTER SYSTEM RESET {name}"));
        let message = error.expect("it was opened").to_string();
        assert!(message.contains(&format!("`{name} = off`")), "{message}");
        assert!(message.contains("payments may be lost"), "{message}");
    }
    database.open();
    drop(settings);
}

/// Changes a setting of the whole server, and waits until it is in force.
pub(crate) fn set(name: &str, value: &str) {
    run("postgres", &format!("ALTER SYSTEM SET {name} = '{value}'"));
    run("postgres", "SELECT pg_reload_conf()");
    let begun = Instant::now();
    while run("postgres", &format!("SHOW {name}")) != [value] {
        assert!(begun.elapsed() < Duration::from_secs(10), "{name} does not change");
    }
}

#[test]
fn books_of_a_newer_program_are_left_alone() {
    let database = Database::new();
    drop(database.open());
    database.sql("INSERT INTO format (number) VALUES (99)");
    let message = database.refusal().to_string();
    assert!(message.contains("format 99") && message.contains("newer program"), "{message}");
}

#[test]
fn books_that_say_too_little_of_orders_are_refused() {
    let database = Database::new();
    drop(database.open());
    database.sql("DELETE FROM format WHERE number > 2");
    database.sql("UPDATE format SET number = 1");
    for _ in 0..2 {
        let message = database.refusal().to_string();
        assert!(message.contains("format 1") && message.contains("older program"), "{message}");
    }
    assert_eq!(database.sql("SELECT number FROM format"), ["1"], "nothing was changed");
}

/// Format 2 lacks nothing but the table of time-stamps.
#[test]
fn books_without_time_stamps_get_a_place_for_them() {
    let (database, store) = lived_in();
    drop(store);
    database.sql("DROP TABLE token");
    database.sql("DROP TABLE record");
    database.sql("DROP TABLE decision");
    database.sql("DELETE FROM format WHERE number > 2");
    let store = database.open();
    let reader = Books::reader(&store).unwrap();
    assert_eq!(reader.token_leaf(&[9; 20]).unwrap(), None);
    assert_eq!(database.sql("SELECT max(number) FROM format"), ["5"]);
}

fn lived_in() -> (Database, Store) {
    let database = Database::new();
    let store = Rc::new(RefCell::new(database.open()));
    let keeper = Rc::clone(&store);
    let keep = move |changes: &Changes| keeper.borrow_mut().commit(changes).unwrap();
    let mut bench = Bench::kept_by(Box::new(keep));
    for _ in 0..5 {
        bench.pay(ALICE, BOB, 100, Status::Booked);
    }
    bench.pay(ALICE, BOB, HOLD, Status::Held);
    drop(bench);
    let store = Rc::try_unwrap(store).ok().unwrap().into_inner();
    (database, store)
}

/// What is read at a start and was changed behind our back is noticed, or the tables refuse the change.
#[test]
fn damaged_rows_are_refused() {
    let (database, store) = lived_in();
    drop(store);
    let cases = [
        ("ledger", "UPDATE account SET credits_posted = credits_posted + 1 WHERE place = 1"),
        ("ledger", "UPDATE account SET last = 99, transfers = 7 WHERE place = 5"),
        ("ledger", "DELETE FROM account WHERE place = (SELECT min(place) FROM account)"),
        ("account", "UPDATE account SET kind = 77 WHERE place = 1"),
        ("account", "UPDATE account SET frozen = -1 WHERE place = 1"),
        ("account", "UPDATE account SET asset = 'not an asset' WHERE place = 1"),
        ("account", "UPDATE account SET opened = 'infinity' WHERE place = 1"),
        (
            "account",
            "UPDATE account SET opened = opened + interval '1 microsecond' WHERE place = 1",
        ),
        ("account", "UPDATE account SET credits_posted = 10::numeric ^ 38 * 9 WHERE place = 1"),
        ("ledger", "DELETE FROM hold"),
        ("ledger", "UPDATE hold SET amount = amount + 1"),
        ("ledger", "DELETE FROM transfer WHERE number = (SELECT max(number) FROM transfer)"),
        ("ledger", "DELETE FROM transfer WHERE number = 6"),
        ("ledger", "UPDATE transfer SET amount = amount + 1 WHERE number = 6"),
        ("ledger", "UPDATE transfer SET id = gen_random_uuid() WHERE number = 6"),
        ("ledger", "UPDATE transfer SET debit_chain = credit_chain WHERE number = 6"),
        ("transfer", "UPDATE transfer SET kind = 0 WHERE number = 6"),
        ("payment", "UPDATE payment SET state = 'x' WHERE status = 2"),
        ("person", "UPDATE person SET name = ''"),
        ("device", "UPDATE device SET algorithm = 'rot13'"),
    ];
    for (what, change) in cases {
        let copy = Database::of(&database);
        let reader = copy.sound_reader();
        copy.sql(change);
        match reader.restore() {
            Err(StoreError::Damaged { what: found }) => assert_eq!(found, what, "{change}"),
            Err(other) => panic!("{change}: {other}"),
            Ok(_) => panic!("not noticed: {change}"),
        }
    }
}

#[test]
fn the_tables_refuse_what_no_ledger_writes() {
    let (database, store) = lived_in();
    drop(store);
    let cases = [
        ("account_debits_posted_check", "UPDATE account SET debits_posted = -1"),
        ("account_chain_check", "UPDATE account SET chain = 'short'"),
        ("account_check", "UPDATE account SET last = 0 WHERE transfers > 0"),
        ("transfer_check", "UPDATE transfer SET credit = debit"),
        ("transfer_amount_check", "UPDATE transfer SET amount = 0"),
        ("transfer_amount_check", "UPDATE transfer SET amount = 0.4"),
        ("transfer_check", "UPDATE transfer SET effective = at + interval '1 day'"),
        ("transfer_check", "UPDATE transfer SET prev_debit = number"),
        ("transfer_pkey", "INSERT INTO transfer SELECT * FROM transfer"),
        (
            "fence_one_check",
            "INSERT INTO fence (one, epoch, writer, batches, holder, since)
             SELECT false, epoch, writer, batches, holder, since FROM fence",
        ),
        ("fence_held", "UPDATE fence SET writer = writer - 1"),
        ("leaf_idx_check", "UPDATE leaf SET idx = -1"),
    ];
    let before = database.sql("SELECT sum(hashtext(t::text)) FROM transfer t");
    for (constraint, change) in cases {
        let told = std::panic::catch_unwind(|| database.sql(change)).unwrap_err();
        let told = told.downcast_ref::<String>().unwrap();
        // The server names several constraints of one table `transfer_check`, `transfer_check1` and so on.
        let named = format!("constraint: Some(\"{constraint}");
        assert!(told.contains(&named), "{change}: {told}");
    }
    assert_eq!(database.sql("SELECT sum(hashtext(t::text)) FROM transfer t"), before);
}

#[test]
fn a_leaf_that_was_changed_is_damaged() {
    let (database, store) = lived_in();
    let reader = Books::reader(&store).unwrap();
    database.sql("UPDATE leaf SET leaf = 'x' WHERE idx = 2");
    assert!(reader.leaves(0, 2).is_ok());
    assert!(matches!(reader.leaves(0, 9), Err(StoreError::Damaged { what: "leaf" })));
}
