//! One writer at a time, whatever becomes of sessions.

use super::desk::{ALICE, BOB, Bench, account, at};
use super::server::{Database, SETTINGS, run};
use super::settings::set;
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tpw_core::{AccountId, Amount, Money, TransferId};
use tpw_engines::books::{Books, StoreError};
use tpw_engines::postgres::{Address, PostgresError, Store};
use tpw_flow::{Changes, Status};
use tpw_ledger::{AccountKind, Ledger, Limits, NewAccount, Operation, TransferRequest};

fn fenced(error: &StoreError) -> bool {
    matches!(error, StoreError::Postgres(PostgresError::Fenced))
}

fn lost(error: &StoreError) -> bool {
    matches!(error, StoreError::Postgres(PostgresError::Lost { .. }))
}

/// A ledger with money in one account, and batches of transfers from there.
struct Purse(Ledger);

impl Purse {
    const GIVER: AccountId = AccountId::from_bytes([1; 16]);
    const TAKER: AccountId = AccountId::from_bytes([2; 16]);

    fn new() -> Self {
        let mut ledger = Ledger::new();
        for (id, kind) in
            [(Self::GIVER, AccountKind::Issuance), (Self::TAKER, AccountKind::Custodial)]
        {
            let (asset, limits) = (super::desk::usd(), Limits::NONE);
            let new = NewAccount { id, asset, kind, owner: None, limits };
            ledger.apply(Operation::Open(new), at(0)).unwrap();
        }
        Self(ledger)
    }

    fn batch(&mut self, transfers: u64) -> Changes {
        for _ in 0..transfers {
            let id = TransferId::from_bytes(u128::from(self.0.next_number()).to_be_bytes());
            let money = Money { amount: Amount::from_minor(1), asset: super::desk::usd() };
            let (debit, credit) = (Self::GIVER, Self::TAKER);
            let request = TransferRequest { id, debit, credit, money, effective: None };
            self.0.apply(Operation::Transfer(&[request]), at(1)).unwrap();
        }
        Changes { ledger: Arc::new(self.0.take_changes()), ..Changes::default() }
    }
}

fn restored(store: &Store) -> Ledger {
    Books::reader(store).unwrap().restore().unwrap().ledger
}

#[test]
fn a_second_writer_is_refused_and_told_who_writes() {
    let database = Database::new();
    let first = database.open();
    let message = database.refusal().to_string();
    let me = format!("`tpw (process {})`", std::process::id());
    assert!(message.contains(&me) && message.contains(" since 20"), "{message}");
    assert!(message.contains("stop that process first"), "{message}");
    drop(first);
    database.open();
}

#[test]
fn a_standby_takes_over_when_the_first_ends() {
    let database = Database::new();
    let mut first = database.open();
    first.commit(&Purse::new().batch(3)).unwrap();
    let url = database.url().replace("lock_wait=0", "lock_wait=60");
    let (told, tells) = mpsc::channel();
    let standby = std::thread::spawn(move || {
        told.send(()).unwrap();
        let store = Store::open(Address::parse(&url).unwrap()).unwrap();
        restored(&store).next_number()
    });
    tells.recv().unwrap();
    assert!(tells.recv_timeout(Duration::from_millis(700)).is_err());
    assert!(!standby.is_finished(), "it waits");
    let begun = Instant::now();
    drop(first);
    assert_eq!(standby.join().unwrap(), 4);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_deposed_writer_cannot_commit() {
    let database = Database::new();
    for transfers in [1, 1_000] {
        let (mut first, mut purse) = (database.open(), Purse(Ledger::new()));
        if transfers == 1 {
            purse = Purse::new();
            first.commit(&purse.batch(5)).unwrap();
        } else {
            purse.0 = restored(&first);
        }
        database.cut_off_the_writer();
        let mut second = database.open();
        let before = restored(&second);
        let changes = purse.batch(transfers);
        let error = first.commit(&changes).unwrap_err();
        assert!(lost(&error), "{error}");
        assert!(fenced(&first.probe().unwrap_err()));
        second.probe().unwrap();
        // Its memory is not the present any more, so it may not even come back when the second has ended.
        drop(second);
        let error = first.probe().unwrap_err();
        assert!(fenced(&error) && error.to_string().contains("must stop"), "{error}");
        assert!(lost(&first.commit(&changes).unwrap_err()));
        assert_eq!(restored(&database.open()), before);
    }
}

/// The session lives, but the epoch has moved on: as at a server that a fail-over has left behind and that came back.
#[test]
fn the_epoch_alone_keeps_a_deposed_writer_out() {
    let database = Database::new();
    for transfers in [0, 1, 1_000] {
        let (mut first, mut purse) = (database.open(), Purse::new());
        database.sql("UPDATE fence SET epoch = epoch + 1, writer = epoch + 1");
        let error = first.commit(&purse.batch(transfers)).unwrap_err();
        assert!(fenced(&error), "{error}");
        drop(first);
        assert_eq!(database.sql("SELECT count(*) FROM transfer"), ["0"]);
        assert_eq!(database.sql("SELECT count(*) FROM account"), ["0"]);
    }
}

#[test]
fn a_reader_does_not_believe_a_server_that_was_left_behind() {
    let database = Database::new();
    let first = database.open();
    let reader = Books::reader(&first).unwrap();
    let id = tpw_core::PaymentId::new(1, [1; 10]);
    assert_eq!(reader.payment(id).unwrap(), None);
    database.sql("UPDATE fence SET epoch = epoch + 1, writer = epoch + 1");
    assert!(fenced(&reader.payment(id).unwrap_err()));
    assert!(fenced(&reader.leaf_count().unwrap_err()));
    assert!(reader.restore().is_err_and(|error| fenced(&error)));
    assert!(Books::reader(&first).is_err_and(|error| fenced(&error)));
}

#[test]
fn a_reader_connects_again_by_itself() {
    let database = Database::new();
    let mut store = database.open();
    store.commit(&Purse::new().batch(2)).unwrap();
    let reader = Books::reader(&store).unwrap();
    assert_eq!(reader.transfer(2).unwrap().unwrap().number, 2);
    for _ in 0..2 {
        database.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name LIKE 'tpw reader%'",
        );
        assert_eq!(reader.transfer(1).unwrap().unwrap().number, 1);
        assert_eq!(reader.payment(tpw_core::PaymentId::new(1, [1; 10])).unwrap(), None);
    }
}

/// Readers are asked from tasks too, where a thread may not simply wait.
#[test]
fn a_reader_can_be_used_from_a_task() {
    let database = Database::new();
    let mut store = database.open();
    store.commit(&Purse::new().batch(2)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let reader = Books::reader(&store).unwrap();
        assert_eq!(reader.transfer(1).unwrap().unwrap().number, 1);
    });
}

#[test]
fn a_batch_that_breaks_a_rule_of_the_tables_changes_nothing() {
    let database = Database::new();
    let (mut store, mut purse) = (database.open(), Purse::new());
    store.commit(&purse.batch(2)).unwrap();
    let before = restored(&store);
    for transfers in [3, 1_000] {
        let mut changes = purse.batch(transfers);
        // The last row is one that is stored already.
        let stored = Books::reader(&store).unwrap().transfer(1).unwrap().unwrap();
        Arc::make_mut(&mut changes.ledger).transfers.push(stored);
        let error = store.commit(&changes).unwrap_err();
        assert!(error.to_string().contains("refuses to commit"), "{error}");
        assert!(lost(&store.commit(&Changes::default()).unwrap_err()), "it has to be probed first");
        store.probe().unwrap();
        assert_eq!(restored(&store), before);
        purse.0 = restored(&store);
    }
    store.commit(&purse.batch(1_000)).unwrap();
    assert_eq!(restored(&store), purse.0);
}

/// A second payment under an id that is taken can never replace the first.
#[test]
fn a_payment_is_not_replaced_by_another() {
    let database = Database::new();
    let store = Rc::new(RefCell::new(database.open()));
    let keeper = Rc::clone(&store);
    let keep = move |changes: &Changes| keeper.borrow_mut().commit(changes).unwrap();
    let mut bench = Bench::kept_by(Box::new(keep));
    let paid = bench.pay(ALICE, BOB, 5, Status::Booked);
    let later = "UPDATE payment SET received = received - interval '1 second'";
    database.sql(later);
    let changes = Changes { payments: vec![paid], ..Changes::default() };
    let error = store.borrow_mut().commit(&changes).unwrap_err();
    assert!(error.to_string().contains("state"), "{error}");
    assert!(bench.desk.ledger().account(&account(BOB)).is_some());
}

/// Between store and server; cuts the connection when the answer to a commit is on its way.
struct Wire {
    url: String,
    cut: Arc<AtomicBool>,
    /// The ends of all connections.
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    fn new(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (front, rest) = url.split_once('@').unwrap();
        let (target, path) = rest.split_once('/').unwrap();
        let (target, cut) = (target.to_owned(), Arc::new(AtomicBool::new(false)));
        let (flag, all) = (Arc::clone(&cut), Arc::new(Mutex::new(Vec::new())));
        let known = Arc::clone(&all);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(&target).unwrap();
                known.lock().unwrap().push(client.try_clone().unwrap());
                let ends = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (armed, asked) = (Arc::clone(&flag), Arc::new(AtomicBool::new(false)));
                let ask = Arc::clone(&asked);
                std::thread::spawn(move || {
                    relay(client, server, |bytes| {
                        if bytes.windows(6).any(|part| part == b"COMMIT") {
                            ask.store(armed.load(Ordering::SeqCst), Ordering::SeqCst);
                        }
                        true
                    });
                });
                let armed = Arc::clone(&flag);
                std::thread::spawn(move || {
                    relay(ends.1, ends.0, |bytes| {
                        let done = asked.load(Ordering::SeqCst)
                            && bytes.windows(6).any(|part| part == b"COMMIT");
                        if done {
                            armed.store(false, Ordering::SeqCst);
                        }
                        !done
                    });
                });
            }
        });
        Self { url: format!("{front}@127.0.0.1:{port}/{path}"), cut, ends: all }
    }

    /// Cuts all connections on the client's side, as a client does that has waited too long.
    fn sever(&self) {
        for end in self.ends.lock().unwrap().drain(..) {
            let _gone = end.shutdown(Shutdown::Both);
        }
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream, mut pass: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !pass(&buffer[..length]) || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _gone = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// The server has committed, the answer is lost: the store does not say that it failed for good, and what was stored
/// is found.
#[test]
fn a_commit_whose_answer_was_lost_is_found_again() {
    let database = Database::new();
    let wire = Wire::new(&database.url());
    let (mut store, mut purse) =
        (Store::open(Address::parse(&wire.url).unwrap()).unwrap(), Purse::new());
    for transfers in [2, 5, 1_000] {
        store.commit(&purse.batch(1)).unwrap();
        let changes = purse.batch(transfers);
        wire.cut.store(true, Ordering::SeqCst);
        let error = store.commit(&changes).unwrap_err();
        assert!(lost(&error), "{error}");
        assert!(!wire.cut.load(Ordering::SeqCst), "it was cut at the commit's answer");
        store.probe().unwrap();
        assert_eq!(restored(&store), purse.0, "it was stored, once");
    }
}

/// The server is busy with the batch when the session is ended: the whole batch is gone, and can be given again.
#[test]
fn a_batch_that_was_cut_off_before_its_commit_is_not_there() {
    let database = Database::new();
    let (mut store, mut purse) = (database.open(), Purse::new());
    store.commit(&purse.batch(1)).unwrap();
    for transfers in [3, 1_000] {
        let before = restored(&store);
        let changes = purse.batch(transfers);
        let url = database.url();
        // Somebody reads the table in a way that lets nobody write to it.
        let blocker = std::thread::scope(|scope| {
            let blocked = scope.spawn(|| {
                database.sql("BEGIN; LOCK TABLE transfer IN SHARE MODE; SELECT pg_sleep(1.5)")
            });
            wait_for(
                &database,
                "SELECT 1 FROM pg_locks WHERE mode = 'ShareLock' AND granted AND relation = 'tpw.transfer'::regclass",
            );
            let committing = scope.spawn(|| store.commit(&changes).unwrap_err());
            wait_for(
                &database,
                "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'tpw.transfer'::regclass",
            );
            database.cut_off_the_writer();
            let error = committing.join().unwrap();
            assert!(lost(&error), "{error} {url}");
            blocked.join().unwrap()
        });
        assert!(!blocker.is_empty());
        store.probe().unwrap();
        assert_eq!(restored(&store), before);
        store.commit(&changes).unwrap();
        assert_eq!(restored(&store), purse.0);
    }
}

fn wait_for(database: &Database, sql: &str) {
    let begun = Instant::now();
    while database.sql(sql).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "never: {sql}");
    }
}

/// Who cancels a commit that waits for its standbys gets it committed here and nowhere else, which the server reports as
/// a success with a warning beside it. That is no success.
#[test]
fn a_commit_that_did_not_wait_for_its_standbys_is_in_doubt() {
    let settings = SETTINGS.write().unwrap_or_else(PoisonError::into_inner);
    let database = Database::with("ENCODING 'UTF8'", None);
    let (mut store, mut purse) = (database.open(), Purse::new());
    for transfers in [1, 1_000] {
        let changes = purse.batch(transfers);
        set("synchronous_standby_names", "nobody");
        let error = std::thread::scope(|scope| {
            let committing = scope.spawn(|| store.commit(&changes));
            wait_for(&database, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
            run(
                "postgres",
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
            );
            committing.join().unwrap().map_err(|error| error.to_string())
        });
        run("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
        set("synchronous_standby_names", "");
        run("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
        let message = error.unwrap_err();
        assert!(message.contains("without waiting for its standbys"), "{message}");
        store.probe().unwrap();
        assert_eq!(restored(&store), purse.0);
    }
    drop(settings);
}

/// The process of the writer's session, which has the lock.
fn writers_process(database: &Database) -> String {
    let sql = "SELECT pid FROM pg_stat_activity JOIN pg_locks USING (pid)
               WHERE datname = current_database() AND application_name LIKE 'tpw (%'
                   AND locktype = 'advisory' AND granted";
    database.sql(sql).remove(0)
}

/// A server whose storage stalls does not end a session when told to: the lock is then held by the writer itself, and nobody
/// has taken over.
#[test]
fn a_session_of_its_own_that_does_not_end_does_not_depose_the_writer() {
    let database = Database::new();
    let wire = Wire::new(&database.url());
    let mut purse = Purse::new();
    let mut store = Store::open(Address::parse(&wire.url).unwrap()).unwrap();
    store.commit(&purse.batch(1)).unwrap();
    let process = writers_process(&database);
    let signal = |name: &str| {
        database.sql(&format!("COPY (SELECT 1) TO PROGRAM 'kill -{name} {process}'"));
    };
    signal("STOP");
    wire.sever();
    let changes = purse.batch(1);
    assert!(lost(&store.commit(&changes).unwrap_err()));
    for _ in 0..2 {
        let error = store.probe().unwrap_err();
        assert!(lost(&error) && !error.is_deposed(), "{error}");
        assert!(error.to_string().contains("our former session"), "{error}");
    }
    signal("CONT");
    wait_for_probe(&mut store);
    store.commit(&changes).unwrap();
    assert_eq!(restored(&store), purse.0);
}

/// Probes until it succeeds; a writer that was never deposed must not believe that it was.
fn wait_for_probe(store: &mut Store) {
    let begun = Instant::now();
    while let Err(error) = store.probe() {
        assert!(!error.is_deposed(), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{error}");
    }
}

/// The answer to the raising of the epoch is lost: whoever finds it raised did that itself.
#[test]
fn an_epoch_that_was_raised_without_an_answer_does_not_depose_the_writer() {
    let settings = SETTINGS.write().unwrap_or_else(PoisonError::into_inner);
    let database = Database::with("ENCODING 'UTF8'", None);
    let wire = Wire::new(&database.url());
    let mut purse = Purse::new();
    let mut store = Store::open(Address::parse(&wire.url).unwrap()).unwrap();
    store.commit(&purse.batch(1)).unwrap();
    wire.sever();
    let changes = purse.batch(1);
    assert!(lost(&store.commit(&changes).unwrap_err()));
    set("synchronous_standby_names", "nobody");
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..2 {
            std::thread::scope(|scope| {
                let probing = scope.spawn(|| store.probe().unwrap_err());
                wait_for(&database, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
                wire.sever();
                let error = probing.join().unwrap();
                assert!(!error.is_deposed(), "{error}");
            });
        }
    }));
    set("synchronous_standby_names", "");
    run("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
    told.unwrap();
    wait_for_probe(&mut store);
    store.commit(&changes).unwrap();
    assert_eq!(restored(&store), purse.0);
    drop(settings);
}

/// Sessions are ended at random moments of a stream of batches.
#[test]
fn nothing_is_lost_or_repeated_when_sessions_are_cut_off_under_load() {
    let database = Database::new();
    let (mut store, mut purse) = (database.open(), Purse::new());
    store.commit(&purse.batch(1)).unwrap();
    let running = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let mut ended = 0;
            while running.load(Ordering::SeqCst) {
                let kill = "SELECT pg_sleep(0.03 * random()); SELECT pg_terminate_backend(pid)
                            FROM pg_stat_activity WHERE datname = current_database()
                            AND application_name LIKE 'tpw (%'";
                ended += database.sql(kill).iter().filter(|answer| *answer == "t").count();
            }
            ended
        });
        let (mut kept, mut failed) = (0, 0);
        while failed < 40 {
            let (before, size) = (purse.0.clone(), if failed % 2 == 0 { 7 } else { 700 });
            let changes = purse.batch(size);
            if store.commit(&changes).is_ok() {
                kept += 1;
                continue;
            }
            failed += 1;
            while store.probe().is_err() {}
            let found = loop {
                // The reader's session is not ended, but the writer's may be while it is opened.
                if let Ok(found) = Books::reader(&store).and_then(|reader| reader.restore()) {
                    break found.ledger;
                }
                while store.probe().is_err() {}
            };
            assert!(found == before || found == purse.0, "all of the batch or nothing");
            purse.0 = found;
        }
        running.store(false, Ordering::SeqCst);
        println!(
            "{kept} batches kept, {failed} cut off, {} sessions ended",
            killer.join().unwrap()
        );
    });
    while store.probe().is_err() {}
    assert_eq!(restored(&store), purse.0);
}
