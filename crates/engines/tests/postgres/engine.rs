//! The whole engine over PostgreSQL: it comes back when its sessions are cut off, and a second machine takes over.

use super::server::{Database, SETTINGS, run};
use super::settings::set;
use super::world::*;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tpw_engines::clock::SystemClock;
use tpw_engines::{Config, Engine, EngineError, Paid, Part, PayError, Repeated, StoreConfig};
use tpw_flow::Command;

fn try_start(folder: &Path, database: &Database) -> Result<Arc<Engine>, EngineError> {
    let store = StoreConfig::Postgres(database.url());
    let config = Config { store, ..Config::new(name(AUDIENCE)) };
    Engine::open(folder, config, Arc::new(SystemClock::new()))
}

fn start(folder: &Path, database: &Database) -> Arc<Engine> {
    try_start(folder, database).unwrap_or_else(|error| panic!("{error}"))
}

/// Sends the same statement until it is answered.
async fn insist(engine: &Engine, signed: &Signed) -> Paid {
    let begun = Instant::now();
    loop {
        match engine.pay(&signed.bytes).await {
            Ok(paid) => return paid,
            Err(PayError::Stopped(_)) if begun.elapsed() < Duration::from_secs(60) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn the_engine_comes_back_when_its_sessions_are_cut_off() {
    let (database, folder, mut dice) = (Database::new(), scratch(), Dice::new(61));
    let engine = start(folder.path(), &database);
    runtime().block_on(async {
        let mut ann = Holder::enrolled(&engine, &mut dice, 1_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        for round in 0..6 {
            let signed = ann.next(&engine, &mut dice, bob.account, 10);
            if round % 2 == 1 {
                database.sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND application_name LIKE 'tpw%'",
                );
            }
            let paid = insist(&engine, &signed).await;
            assert_eq!(status(&paid), "booked");
            demand_receipt(&engine, &paid);
            let again = insist(&engine, &signed).await;
            assert_eq!(again.repeated, Repeated::Yes);
            assert_eq!(again.receipt, paid.receipt);
        }
        assert_eq!(balance(&engine, bob.account), 60);
        demand_balanced(&engine);
    });
    engine.close();
    drop(engine);
    let engine = start(folder.path(), &database);
    demand_balanced(&engine);
}

/// So many that their table is copied, while the tables of what names them are not.
#[test]
fn people_with_codes_and_accounts_are_added_by_the_hundred() {
    let (database, folder, mut dice) = (Database::new(), scratch(), Dice::new(63));
    let engine = start(folder.path(), &database);
    for count in [255, 500] {
        let adding = (0..count).map(|_| {
            let (holder, [add, _enrol]) = Holder::new(&engine, &mut dice, 5);
            (holder, add)
        });
        let (holders, adding): (Vec<_>, Vec<_>) = adding.unzip();
        let outcomes = runtime().block_on(engine.commands(adding)).unwrap();
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        for holder in holders {
            assert_eq!(engine.accounts_of(holder.person).unwrap().len(), 1);
        }
    }
    demand_balanced(&engine);
}

/// What an operator gives the machine that stands by: keys and certificates, and neither books nor log.
fn stand_by(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let name = entry.file_name();
        if entry.path().is_file() && name != "lock" {
            std::fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

/// Starts as soon as the first machine's session has ended, which connects again by itself if nobody else was quicker.
fn take_over(folder: &Path, database: &Database) -> Arc<Engine> {
    let begun = Instant::now();
    loop {
        database.cut_off_the_writer();
        match try_start(folder, database) {
            Ok(engine) => return engine,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{error}"),
        }
    }
}

/// Nobody writes: a server that was deposed must notice all the same, for it answers from memory.
#[test]
fn an_idle_server_notices_that_it_was_deposed() {
    let (database, folder) = (Database::new(), scratch());
    let engine = start(folder.path(), &database);
    let rt = runtime();
    rt.block_on(async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(!engine.is_deposed());
        assert_eq!(engine.health().writer, Part::Good);
        database.sql("UPDATE fence SET epoch = epoch + 1, writer = epoch + 1, holder = 'another'");
        let told = tokio::time::timeout(Duration::from_secs(5), engine.deposed()).await;
        assert!(told.is_ok(), "it was not told");
    });
    assert!(engine.is_deposed());
}

#[test]
fn an_idle_server_connects_again_before_somebody_needs_it() {
    let (database, folder, mut dice) = (Database::new(), scratch(), Dice::new(64));
    let engine = start(folder.path(), &database);
    runtime().block_on(async {
        let mut ann = Holder::enrolled(&engine, &mut dice, 1_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        database.cut_off_the_writer();
        let writer = "SELECT 1 FROM pg_stat_activity JOIN pg_locks USING (pid)
                      WHERE datname = current_database() AND application_name LIKE 'tpw (%'
                          AND locktype = 'advisory' AND granted";
        let begun = Instant::now();
        while database.sql(writer).is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(10), "it does not come back");
        }
        let signed = ann.next(&engine, &mut dice, bob.account, 10);
        assert_eq!(status(&insist(&engine, &signed).await), "booked");
        assert!(!engine.is_deposed());
    });
}

/// A head that was seen long ago, and the receipt of an old payment, are read from the server: whoever waits for that keeps no other
/// task waiting.
#[test]
fn tasks_go_on_while_the_log_is_read_from_a_server_that_is_slow() {
    let (database, folder, mut dice) = (Database::new(), scratch(), Dice::new(65));
    let engine = start(folder.path(), &database);
    let rt = runtime();
    let mut ann = rt.block_on(Holder::enrolled(&engine, &mut dice, 1_000));
    let bob = rt.block_on(Holder::enrolled(&engine, &mut dice, 0));
    let mut old = Vec::new();
    for _ in 0..2 {
        let signed = ann.next(&engine, &mut dice, bob.account, 7);
        rt.block_on(insist(&engine, &signed));
        old.push((signed, engine.log().newest().unwrap().head));
    }
    engine.close();
    drop(engine);
    let engine = start(folder.path(), &database);
    let mut intent = ann.intent(&engine, &mut dice, bob.account, 7);
    intent.seen = old[0].1;
    for signed in [ann.sign(intent), old[0].0.clone()] {
        std::thread::scope(|scope| {
            let locked = "SELECT 1 FROM pg_locks WHERE relation = 'tpw.head'::regclass
                          AND mode = 'AccessExclusiveLock' AND granted";
            scope.spawn(|| {
                database.sql("BEGIN; LOCK TABLE head IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(2)")
            });
            while database.sql(locked).is_empty() {}
            let (ticks, answered) = rt.block_on(async {
                let (mut ticks, mut tick) = (0, tokio::time::interval(Duration::from_millis(20)));
                let answer = engine.pay(&signed.bytes);
                tokio::pin!(answer);
                loop {
                    tokio::select! {
                        answered = &mut answer => break (ticks, answered),
                        _ = tick.tick() => ticks += 1,
                    }
                }
            });
            assert!(ticks > 10, "{ticks}");
            assert_eq!(status(&answered.unwrap()), "booked");
        });
    }
}

fn pause(ms: u64) {
    runtime().block_on(async { tokio::time::sleep(Duration::from_millis(ms)).await });
}

/// Some settings can be changed while the server runs; the server says so when it next looks, and goes on when they are right.
#[test]
fn a_server_that_stops_syncing_while_it_runs_is_not_written_to() {
    let settings = SETTINGS.write().unwrap_or_else(PoisonError::into_inner);
    let (database, folder) = (Database::with("ENCODING 'UTF8'", None), scratch());
    let engine = start(folder.path(), &database);
    // What the sessions were accepted with stays.
    set("synchronous_commit", "off");
    pause(2_500);
    let unmoved = engine.health().writer;
    run("postgres", "ALTER SYSTEM RESET synchronous_commit");
    set("fsync", "off");
    let begun = Instant::now();
    let told = loop {
        match engine.health().writer {
            Part::Bad(why) => break why,
            Part::Good if begun.elapsed() > Duration::from_secs(5) => break String::new(),
            Part::Good => pause(20),
        }
    };
    let kept = runtime().block_on(engine.command(Command::Tick)).is_err();
    set("fsync", "on");
    run("postgres", "ALTER SYSTEM RESET fsync");
    assert_eq!(unmoved, Part::Good);
    assert!(told.contains("`fsync = off`"), "{told}");
    assert!(kept, "it was written to");
    let begun = Instant::now();
    while engine.health().writer != Part::Good {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", engine.health().writer);
        pause(20);
    }
    drop(engine);
    drop(settings);
}

#[test]
fn a_second_machine_takes_over() {
    let (database, mut dice) = (Database::new(), Dice::new(62));
    let folders = [scratch(), scratch()];
    let first = start(folders[0].path(), &database);
    let rt = runtime();
    let mut ann = rt.block_on(Holder::enrolled(&first, &mut dice, 1_000));
    let bob = rt.block_on(Holder::enrolled(&first, &mut dice, 0));
    let signed: Vec<Signed> = (0..5).map(|_| ann.next(&first, &mut dice, bob.account, 7)).collect();
    let paid: Vec<Paid> = signed.iter().map(|signed| rt.block_on(insist(&first, signed))).collect();
    stand_by(folders[0].path(), folders[1].path());
    let message = match try_start(folders[1].path(), &database) {
        Ok(_) => panic!("two writers"),
        Err(error) => error.to_string(),
    };
    assert!(message.contains("the books are being written by `tpw (process"), "{message}");

    let second = take_over(folders[1].path(), &database);
    for (signed, paid) in signed.iter().zip(&paid) {
        let again = rt.block_on(insist(&second, signed));
        assert_eq!(again.repeated, Repeated::Yes);
        assert_eq!(again.receipt, paid.receipt, "with the same checkpoint and time-stamp");
    }
    let next = ann.next(&second, &mut dice, bob.account, 7);
    let paid = rt.block_on(insist(&second, &next));
    demand_receipt(&second, &paid);
    // The first machine is still up, and can do nothing any more.
    let late = ann.next(&second, &mut dice, bob.account, 7);
    assert!(matches!(rt.block_on(first.pay(&late.bytes)), Err(PayError::Stopped(_))));
    assert_eq!(balance(&second, bob.account), 42);
    demand_balanced(&second);
    drop(first);
    let paid = rt.block_on(insist(&second, &late));
    assert_eq!(paid.repeated, Repeated::No);
    assert_eq!(balance(&second, bob.account), 49);
}

#[test]
fn an_order_is_told_from_another_one_under_its_id_also_after_a_restart() {
    let (database, folder, mut dice) = (Database::new(), scratch(), Dice::new(77));
    let engine = start(folder.path(), &database);
    let operator = runtime().block_on(orders::Operator::busy(&engine, &mut dice));
    runtime().block_on(operator.demand_decided(&engine));
    engine.close();
    drop(engine);
    let engine = start(folder.path(), &database);
    runtime().block_on(operator.demand_decided(&engine));
    demand_balanced(&engine);
}
