//! Goal: whatever happens to the files, the message names what is wrong and what to do, nothing is lost or overwritten,
//! and the folder works again once the file is back.
//! Method: one folder with history, copied for each case and damaged in one way; the message is compared, the file is
//! restored, and balances, receipts and the audit of the log must be as before. Full disk: a child under a file size
//! limit. Read-only folder: a child without rights. Both use util-linux, as in every Linux distribution.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking and tells by printing"
)]

mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tpw_engines::books::Books as _;
use tpw_engines::sqlite::Store;
use tpw_engines::{Engine, Part, PayError, Repeated};
use tpw_flow::Command;
use world::*;

/// A closed folder with history, and what it must answer.
struct History {
    scratch: TempDir,
    trust: tpw_proof::Trust,
    ann: Holder,
    payee: tpw_core::AccountId,
    paid: Vec<(Signed, Vec<u8>)>,
}

impl History {
    fn new() -> Self {
        let scratch = scratch();
        let mut dice = Dice::new(21);
        let engine = open(scratch.path()).unwrap();
        let (ann, payee, paid) = runtime().block_on(async {
            let mut ann = Holder::enrolled(&engine, &mut dice, 1_000_000).await;
            let payee = Holder::enrolled(&engine, &mut dice, 0).await.account;
            let mut paid = Vec::new();
            // More than 256 leaves: a full tile.
            let signed: Vec<_> =
                (0..300).map(|_| ann.next(&engine, &mut dice, payee, 10)).collect();
            for statement in signed {
                let (engine, bytes) = (Arc::clone(&engine), statement.bytes.clone());
                paid.push((statement, tokio::spawn(async move { engine.pay(&bytes).await })));
            }
            let mut done = Vec::new();
            for (statement, task) in paid {
                done.push((statement, task.await.unwrap().unwrap().receipt.unwrap()));
            }
            (ann, payee, done)
        });
        let trust = engine.trust().clone();
        engine.close();
        drop(engine);
        Self { scratch, trust, ann, payee, paid }
    }

    fn copy(&self) -> TempDir {
        let copy = scratch();
        let from = self.scratch.path().join(".");
        assert!(
            Process::new("cp").arg("-a").arg(from).arg(copy.path()).status().unwrap().success()
        );
        copy
    }

    /// The folder answers as it did before the damage.
    fn demand_intact(&self, dir: &Path) {
        let engine = open(dir).unwrap();
        assert_eq!(balance(&engine, self.payee), 3_000);
        assert_eq!(balance(&engine, self.ann.account), 997_000);
        assert_eq!(engine.trust(), &self.trust);
        runtime().block_on(async {
            for (statement, receipt) in self.paid.iter().step_by(29) {
                let again = engine.pay(&statement.bytes).await.unwrap();
                assert_eq!(again.repeated, Repeated::Yes);
                assert_eq!(again.receipt.as_ref(), Some(receipt));
            }
        });
        engine.close();
        drop(engine);
        demand_sound_log(dir, &self.trust);
    }

    /// Damages one file; the opening must fail with all of `words`; with the file back all is as before.
    fn refused(&self, file: &str, damage: impl FnOnce(&Path), words: &[&str]) {
        let copy = self.copy();
        let path = copy.path().join(file);
        let kept = fs::read(&path).unwrap();
        damage(&path);
        for attempt in 0..2 {
            let message = open(copy.path()).err().map(|error| error.to_string());
            let message =
                message.unwrap_or_else(|| panic!("{file} was taken, not refused: {words:?}"));
            for word in words {
                assert!(message.contains(word), "{file}, attempt {attempt}: {message}");
            }
        }
        fs::write(&path, kept).unwrap();
        self.demand_intact(copy.path());
    }
}

fn flip(path: &Path, range: std::ops::Range<usize>) {
    let mut bytes = fs::read(path).unwrap();
    bytes[range].iter_mut().for_each(|byte| *byte ^= 0x5a);
    fs::write(path, bytes).unwrap();
}

fn truncate(path: &Path, keep: usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..keep]).unwrap();
}

fn sql(path: &Path, statement: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch(statement).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

#[test]
fn each_damaged_file_is_named_and_nothing_is_lost() {
    let h = History::new();
    h.demand_intact(h.copy().path());
    h.refused("books.db", |p| flip(p, 0..100), &["books.db", "not a database"]);
    h.refused(
        "books.db",
        |p| fs::write(p, "garbage\n".repeat(9_000)).unwrap(),
        &["not a database"],
    );
    h.refused("books.db", |p| flip(p, 4_096 * 12..4_096 * 30), &["database", "backup"]);
    h.refused("books.db", |p| truncate(p, 4_096 * 20), &["database", "backup"]);
    h.refused("books.db", |p| truncate(p, 50), &["books.db"]);
    h.refused("books.db", |p| fs::write(p, "").unwrap(), &["`books.db` is missing"]);
    h.refused("books.db", |p| fs::remove_file(p).unwrap(), &["`books.db` is missing", "backup"]);
    h.refused("books.db", |p| sql(p, "PRAGMA user_version = 9"), &["format 9", "newer program"]);
    h.refused("books.db", |p| sql(p, "PRAGMA user_version = 2"), &["format 2", "older program"]);
    h.refused("books.db", |p| sql(p, "PRAGMA user_version = 4"), &["format 4", "older program"]);
    let forged =
        "UPDATE account SET credits_pending = x'00000000000000000000000000000001' WHERE place = 1";
    h.refused("books.db", |p| sql(p, forged), &["damaged account"]);
    // A time that no device can be revoked at does not make the device valid again.
    let revoked = "UPDATE device SET revoked = 9223372036854775807";
    h.refused("books.db", |p| sql(p, revoked), &["damaged device"]);
    let changed = "UPDATE leaf SET leaf = (SELECT leaf FROM leaf WHERE idx = 270) WHERE idx = 271";
    h.refused("books.db", |p| sql(p, changed), &["the ledger was changed"]);
    h.refused("books.db", |p| sql(p, "DELETE FROM leaf WHERE idx = 9"), &["damaged leaf"]);
    let lost = "DELETE FROM leaf WHERE idx > 100";
    h.refused("books.db", |p| sql(p, lost), &["damaged end of a sequence"]);
    let uncounted = "DELETE FROM meta WHERE key = 'counts'";
    h.refused("books.db", |p| sql(p, uncounted), &["damaged end of a sequence"]);
    for key in ["keys", "operator.key"] {
        let named = format!("`{key}` in the data folder is damaged; restore it from a backup");
        h.refused(key, |p| fs::write(p, "not a key").unwrap(), &[&named]);
        h.refused(key, |p| truncate(p, 20), &[&named]);
        h.refused(key, |p| fs::write(p, vec![0; 1 << 17]).unwrap(), &[key, "larger"]);
    }
    for file in ["keys", "tsa-root.der", "tsa.der"] {
        let named = format!("`{file}` is missing from the data folder");
        h.refused(file, |p| fs::remove_file(p).unwrap(), &[&named]);
    }
    h.refused("tsa.der", |p| truncate(p, 99), &["certificate"]);
    let named = "`log/log.db` is missing from the data folder";
    h.refused("log/log.db", |p| fs::remove_file(p).unwrap(), &[named]);
    h.refused("log/log.db", |p| flip(p, 0..100), &["log.db"]);
}

/// A start trusts synced tiles and reads only the log's right edge; the audit reads everything.
#[test]
fn an_old_leaf_that_was_changed_is_found_by_the_audit() {
    let h = History::new();
    let copy = h.copy();
    let changed = "UPDATE leaf SET leaf = (SELECT leaf FROM leaf WHERE idx = 7) WHERE idx = 8";
    sql(&books(copy.path()), changed);
    let store = tpw_engines::sqlite::Store::open(&books(copy.path())).unwrap();
    let store: &dyn tpw_engines::books::Books = &store;
    let reader = store.reader().unwrap();
    let folder = copy.path().join("log");
    let report = tpw_engines::log_store::fsck(&folder, &h.trust, Some(&reader)).unwrap();
    let first = report.findings.first().expect("a finding");
    assert_eq!(first.what, "entry 8 is not the ledger's");
}

/// An older copy of the books beside a newer log: payments that were proved would be unproved.
#[test]
fn an_old_copy_of_the_books_is_refused() {
    let h = History::new();
    let copy = h.copy();
    let old = fs::read(books(copy.path())).unwrap();
    let engine = open(copy.path()).unwrap();
    let mut dice = Dice::new(22);
    let signed = h.ann.sign(h.ann.intent(&engine, &mut dice, h.payee, 1));
    runtime().block_on(engine.pay(&signed.bytes)).unwrap();
    drop(engine);
    let newest = fs::read(books(copy.path())).unwrap();
    fs::write(books(copy.path()), old).unwrap();
    let message = refusal(copy.path());
    assert!(message.contains("it is an old copy"), "{message}");
    fs::write(books(copy.path()), newest).unwrap();
    let engine = open(copy.path()).unwrap();
    let again = runtime().block_on(engine.pay(&signed.bytes)).unwrap();
    assert_eq!(again.repeated, Repeated::Yes);
}

#[test]
fn what_can_be_made_again_is_made_again() {
    let h = History::new();
    for lost in ["log/tile", "log/checkpoint", "rail"] {
        let copy = h.copy();
        let path = copy.path().join(lost);
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
        let engine = open(copy.path()).unwrap_or_else(|error| panic!("{lost}: {error}"));
        let (statement, receipt) = &h.paid[3];
        let again = runtime().block_on(engine.pay(&statement.bytes)).unwrap();
        demand_receipt(&engine, &again);
        assert_eq!(again.receipt.as_ref(), Some(receipt), "{lost}");
        engine.close();
        drop(engine);
        demand_sound_log(copy.path(), &h.trust);
    }
}

#[test]
fn a_store_that_is_locked_for_a_while_stops_the_writer_and_it_comes_back_by_itself() {
    let h = History::new();
    let copy = h.copy();
    let engine = open(copy.path()).unwrap();
    let mut dice = Dice::new(23);
    let signed = h.ann.sign(h.ann.intent(&engine, &mut dice, h.payee, 1));
    let other = rusqlite::Connection::open(books(copy.path())).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    runtime().block_on(async {
        let error = engine.pay(&signed.bytes).await.unwrap_err();
        let PayError::Stopped(why) = &error else { panic!("{error}") };
        assert!(why.contains("locked"), "{why}");
        assert!(error.to_string().contains("send the same request again later"));
        assert!(matches!(engine.health().writer, Part::Bad(_)));
        assert_eq!(balance(&engine, h.payee), 3_000, "readers see the last commit");
        assert_eq!(engine.payment(signed.id()).unwrap(), None);
        other.execute_batch("COMMIT").unwrap();
        let paid = comes_back(&engine, &signed).await;
        assert_eq!((status(&paid), paid.repeated), ("booked", Repeated::No));
        demand_receipt(&engine, &paid);
        let again = engine.pay(&signed.bytes).await.unwrap();
        assert_eq!(again.repeated, Repeated::Yes);
        assert_eq!(balance(&engine, h.payee), 3_001);
        assert_eq!(engine.health().writer, Part::Good);
    });
    demand_balanced(&engine);
}

/// Batches that are large are under way together: when the first is not stored, the one behind it rests on what never was.
#[test]
fn batches_behind_one_that_was_not_stored_are_turned_away_and_can_be_sent_again() {
    const LARGE: u64 = 4_200;
    let h = History::new();
    let copy = h.copy();
    let engine = open(copy.path()).unwrap();
    let mut dice = Dice::new(27);
    runtime().block_on(async {
        let account = external(&engine, &mut dice).await;
        let funds = |batch: u8| -> Vec<Command> {
            let one = |number: u64| {
                let mut random = [batch; 10];
                random[2..].copy_from_slice(&number.to_be_bytes());
                let transfer = tpw_core::TransferId::new(1, random);
                Command::Fund { account, amount: tpw_core::Amount::from_minor(1), transfer }
            };
            (0..LARGE).map(one).collect()
        };
        let all = || async {
            let (one, two) = (engine.commands(funds(1)), engine.commands(funds(2)));
            tokio::join!(one, two, engine.commands(funds(3)))
        };
        let other = rusqlite::Connection::open(books(copy.path())).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let (one, two, three) = all().await;
        for told in [one, two, three] {
            let Err(PayError::Stopped(_)) = told else { panic!("{told:?}") };
        }
        other.execute_batch("COMMIT").unwrap();
        let begun = Instant::now();
        while engine.commands(funds(1)).await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the writer is not back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for _sent_again in 0..2 {
            let (one, two, three) = all().await;
            for done in [one, two, three] {
                assert!(done.unwrap().iter().all(Result::is_ok));
            }
            assert_eq!(balance(&engine, account), u128::from(3 * LARGE));
        }
    });
    demand_balanced(&engine);
}

async fn comes_back(engine: &Engine, signed: &Signed) -> tpw_engines::Paid {
    let begun = Instant::now();
    loop {
        match engine.pay(&signed.bytes).await {
            Ok(paid) => return paid,
            Err(PayError::Stopped(_)) if begun.elapsed() < Duration::from_secs(20) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Puts the writer in doubt for as long as the table of refused orders is away: the archive is asked for an old id, and a
/// memory cannot be rebuilt either. Money was moved in the same batch before.
async fn in_doubt(engine: &Engine, account: tpw_core::AccountId) {
    let fund = |transfer: [u8; 16]| Command::Fund {
        account,
        amount: tpw_core::Amount::from_minor(7),
        transfer: tpw_core::TransferId::from_bytes(transfer),
    };
    sql(&books(engine.dir()), "ALTER TABLE burnt RENAME TO away");
    let told = engine.commands(vec![fund([0xff; 16]), fund([0; 16])]).await;
    let Err(PayError::Stopped(why)) = told else { panic!("{told:?}") };
    assert!(why.contains("books.db"), "{why}");
}

#[test]
fn what_was_decided_in_doubt_is_not_stored_at_a_stop() {
    let h = History::new();
    let copy = h.copy();
    let engine = open(copy.path()).unwrap();
    let mut dice = Dice::new(24);
    let account = runtime().block_on(async {
        let account = external(&engine, &mut dice).await;
        in_doubt(&engine, account).await;
        account
    });
    engine.close();
    drop(engine);
    sql(&books(copy.path()), "ALTER TABLE away RENAME TO burnt");
    let engine = open(copy.path()).unwrap();
    assert_eq!(balance(&engine, account), 0, "the caller was told that the server stopped");
    demand_balanced(&engine);
    drop(engine);
    h.demand_intact(copy.path());
}

/// Waits for a file to be there.
async fn appears(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} is not written", path.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn an_instruction_to_a_partner_that_could_not_be_written_is_written_later() {
    let h = History::new();
    let copy = h.copy();
    let engine = open(copy.path()).unwrap();
    let mut dice = Dice::new(25);
    let (rail, away) = (copy.path().join("rail"), copy.path().join("away"));
    runtime().block_on(async {
        let partner = external(&engine, &mut dice).await;
        fs::rename(&rail, &away).unwrap();
        let signed = h.ann.sign(h.ann.intent(&engine, &mut dice, partner, 700));
        assert_eq!(status(&engine.pay(&signed.bytes).await.unwrap()), "booked");
        fs::rename(&away, &rail).unwrap();
        let instruction = rail.join(format!("{}.json", signed.id()));
        appears(&instruction).await;

        // Whoever comes back from a doubt may have committed one without knowing.
        fs::remove_file(&instruction).unwrap();
        in_doubt(&engine, partner).await;
        sql(&books(copy.path()), "ALTER TABLE away RENAME TO burnt");
        appears(&instruction).await;
    });
}

/// Who reads while the write-ahead log is moved into the file keeps it from being cut: then it was not moved, which is told.
#[test]
fn a_write_ahead_log_that_somebody_reads_does_not_count_as_moved() {
    let copy = scratch();
    let mut store = Store::open(&books(copy.path())).unwrap();
    store.set_meta("key", b"one").unwrap();
    let other = rusqlite::Connection::open(books(copy.path())).unwrap();
    other.execute_batch("BEGIN; SELECT * FROM meta").unwrap();
    store.set_meta("key", b"two").unwrap();
    let error = store.tidy().unwrap_err();
    assert!(error.to_string().contains("somebody else reads"), "{error}");
    other.execute_batch("COMMIT").unwrap();
    store.tidy().unwrap();
}

/// SQLite leaves out the end of a damaged write-ahead log without a word. What the batches there did may have no entry in the log, as
/// when money is brought in: the log knows all the same how far the books had come.
#[test]
fn books_that_lost_their_newest_batches_are_refused() {
    let h = History::new();
    let copy = h.copy();
    let engine = open(copy.path()).unwrap();
    let mut dice = Dice::new(26);
    let wal = copy.path().join("books.db-wal");
    let kept = scratch();
    let take = |name: &str| fs::copy(copy.path().join(name), kept.path().join(name)).unwrap();
    runtime().block_on(async {
        let account = external(&engine, &mut dice).await;
        take("books.db");
        take("books.db-wal");
        let fund = |n| Command::Fund {
            account,
            amount: tpw_core::Amount::from_minor(7),
            transfer: tpw_core::TransferId::new(1, [n; 10]),
        };
        engine.command(fund(0xfe)).await.unwrap();
        // The log notes it within a second.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    });
    // As after a loss of power: a copy of all of it, with the books as they were before the last batch.
    let after = scratch();
    let all = copy.path().join(".");
    assert!(Process::new("cp").arg("-a").arg(all).arg(after.path()).status().unwrap().success());
    assert!(wal.exists());
    drop(engine);
    for name in ["books.db", "books.db-wal"] {
        fs::copy(kept.path().join(name), after.path().join(name)).unwrap();
    }
    let _gone = fs::remove_file(after.path().join("books.db-shm"));
    let told = refusal(after.path());
    assert!(told.contains("lost its newest batches") && told.contains("restore"), "{told}");
}

const FOLDER: &str = "TPW_DAMAGE_FOLDER";

/// Runs the hidden test `child` of this binary behind a command that takes something away.
fn child(behind: &[&str], test: &str, dir: &Path) -> Output {
    // Copied out of the build folder, which another user may not be allowed to enter.
    let exe = dir.parent().unwrap().join("child");
    if !exe.exists() {
        fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
    }
    let (program, options) = behind.split_first().unwrap();
    Process::new(program)
        .args(options)
        .arg(&exe)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(FOLDER, dir)
        .env("RUST_BACKTRACE", "0")
        .current_dir("/")
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn folder_of_child() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// Pays until the disk is full, then shows that every answer is a clear error.
#[test]
#[ignore = "runs as a child under a file size limit"]
fn child_on_a_full_disk() {
    let Some(dir) = folder_of_child() else { return };
    let engine = open(&dir).unwrap();
    runtime().block_on(async {
        let mut dice = Dice::new(31);
        let mut ann = Holder::enrolled(&engine, &mut dice, 1_000_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        println!("accounts {} {}", ann.account, bob.account);
        for _ in 0..100_000 {
            let signed = ann.next(&engine, &mut dice, bob.account, 1);
            match engine.pay(&signed.bytes).await {
                Ok(paid) => println!("ack {}", paid.payment.id()),
                Err(error) => {
                    let again = match engine.pay(&signed.bytes).await {
                        // The log was moved into the file, which had room.
                        Ok(paid) => {
                            println!("ack {}", paid.payment.id());
                            continue;
                        }
                        Err(again) => again,
                    };
                    let hex: String = signed.bytes.iter().map(|b| format!("{b:02x}")).collect();
                    println!("failed {} {hex}\nerror {error}\nagain {again}", signed.id());
                    println!("health {:?}", engine.health());
                    return;
                }
            }
        }
        panic!("the disk never filled up");
    });
}

#[test]
fn a_full_disk_loses_nothing() {
    // Where the limit strikes differs with its size: the books' write-ahead log, or the log's database.
    for limit in [400_000, 700_000, 1_500_000] {
        let scratch = scratch();
        let dir = scratch.path().join("data");
        let limit = format!("--fsize={limit}");
        // A write beyond the limit gives SIGXFSZ, or the error EFBIG where that is ignored, as here.
        let shell = "trap '' XFSZ; exec prlimit \"$0\" \"$@\"";
        let text = told(&child(&["sh", "-c", shell, &limit], "child_on_a_full_disk", &dir));
        let lines = |key: &str| -> Vec<String> {
            let found = text.lines().filter_map(|line| line.split_once(key).map(|(_, rest)| rest));
            found.map(str::to_owned).collect()
        };
        let acks = lines("ack ");
        assert!(!acks.is_empty(), "{text}");
        let error = lines("error ").remove(0);
        assert!(error.contains("the server cannot answer now"), "{error}");
        assert!(text.contains("Bad("), "the health says so: {text}");
        println!("{limit}: {} paid, then: {error}", acks.len());

        // With room again everything is there, and the payment that failed has one outcome.
        let engine = open(&dir).unwrap();
        for id in &acks {
            let payment = engine.payment(id.parse().unwrap()).unwrap().expect("acknowledged");
            demand_receipt(&engine, &engine.paid(payment, Repeated::Yes).unwrap());
        }
        let failed = lines("failed ").remove(0);
        let hex = failed.split(' ').nth(1).unwrap();
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        let paid = runtime().block_on(engine.pay(&bytes)).unwrap();
        assert_eq!(status(&paid), "booked");
        demand_receipt(&engine, &paid);
        let bob = lines("accounts ").remove(0).split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(balance(&engine, bob), u128::try_from(acks.len()).unwrap() + 1);
        demand_balanced(&engine);
        let trust = engine.trust().clone();
        engine.close();
        drop(engine);
        demand_sound_log(&dir, &trust);
    }
}

#[test]
#[ignore = "runs as a child without rights"]
fn child_without_rights() {
    if let Some(dir) = folder_of_child() {
        println!("told: {}", refusal(&dir));
    }
}

#[test]
fn a_read_only_folder_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let h = History::new();
    let outer = scratch();
    let dir = outer.path().join("data");
    fs::rename(h.copy().keep(), &dir).unwrap();
    let rights = |mode: &str| {
        assert!(
            Process::new("chmod").args(["-R", mode]).arg(outer.path()).status().unwrap().success()
        );
    };
    rights("a+rX,a-w");
    // Root is above the mode bits, so the child gives that up.
    let root = Process::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let behind: &[&str] = if root {
        fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o755)).unwrap();
        &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    } else {
        &["env"]
    };
    fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(std::env::current_exe().unwrap(), outer.path().join("child")).unwrap();
    let text = told(&child(behind, "child_without_rights", &dir));
    assert!(text.contains("data/lock") && text.contains("ermission denied"), "{text}");
    rights("u+w");
    h.demand_intact(&dir);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let scratch = scratch();
    let file = scratch.path().join("file");
    fs::write(&file, b"x").unwrap();
    let message = refusal(&file.join("data"));
    assert!(message.contains("cannot create the folder") && message.contains("file"), "{message}");
}

/// 20,000 accounts and 50,000 payments: how long does a start take?
#[test]
fn opening_a_large_folder_is_quick() {
    let scratch = scratch();
    let mut dice = Dice::new(41);
    let engine = open(scratch.path()).unwrap();
    let rt = runtime();
    let mut holders: Vec<Holder> = Vec::new();
    for _ in 0..20 {
        let made: Vec<_> = (0..1_000).map(|_| Holder::new(&engine, &mut dice, 100_000)).collect();
        let (more, commands): (Vec<_>, Vec<_>) = made.into_iter().unzip();
        holders.extend(more);
        let outcomes = rt.block_on(engine.commands(commands.into_iter().flatten().collect()));
        assert!(outcomes.unwrap().iter().all(Result::is_ok));
    }
    for round in 0..50 {
        let mut commands = Vec::new();
        for from in 0..1_000 {
            let to = holders[(from + 1_000 * (round % 19) + 1_000) % 20_000].account;
            let signed = holders[from].next(&engine, &mut dice, to, 1);
            let parsed = tpw_proof::Unverified::parse(&signed.bytes).unwrap();
            let key = tpw_crypto::Signer::public_key(&holders[from].keys, &slot()).unwrap();
            commands.push(Command::Submit(Box::new(tpw_flow::Submission {
                statement: parsed.verify(&key).unwrap(),
                seen: tpw_flow::Seen::Confirmed,
                salt: dice.bytes(),
            })));
        }
        assert!(rt.block_on(engine.commands(commands)).unwrap().iter().all(Result::is_ok));
    }
    drop(engine);
    let begun = Instant::now();
    let engine = open(scratch.path()).unwrap();
    let took = begun.elapsed();
    println!("opened 20,000 accounts and 50,000 payments in {} ms", took.as_millis());
    assert_eq!(engine.log().newest().unwrap().head.size, 50_002);
    demand_balanced(&engine);
    assert!(took < Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 3 }));
}
