//! The whole engine over PostgreSQL: it comes back when its sessions are cut off, and a second machine takes over.

use super::server::Database;
use super::world::*;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tpw_engines::clock::SystemClock;
use tpw_engines::{Config, Engine, EngineError, Paid, PayError, Repeated, StoreConfig};

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

    database.cut_off_the_writer();
    let second = start(folders[1].path(), &database);
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
