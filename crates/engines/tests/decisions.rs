//! Goal: what was decided about a request is in the books with what the request changed, or neither is; what changed nothing is there
//! within a second, and nothing is lost when the process ends or the store fails meanwhile; and each decision is proved alone.
//! Method: the running engine with real files; its folder copied while it runs; a child process that is killed (SIGKILL) between two
//! answers; somebody else who holds the books' lock.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test fails by panicking, and waits for the writer"
)]

mod world;

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tpw_access::record::RecordWrite;
use tpw_access::{GivenRoles, Role, Roles};
use tpw_core::{Asker, DecisionId, DecisionRecord, Ruling, Span};
use tpw_engines::books::{BooksReader, DecisionQuery};
use tpw_engines::clock::{Clock, ManualClock, SystemClock};
use tpw_engines::sqlite::Reader;
use tpw_engines::{Config, DecisionProof, Engine, PayError, RetentionError, Trail};
use tpw_flow::{Command, Decided, EventKind, Frozen};
use tpw_proof::decisions::verify_decision;
use world::*;

fn record(engine: &Engine, n: u8) -> DecisionRecord {
    DecisionRecord {
        id: DecisionId::new(engine.now().unix_ms(), [n; 10]),
        at: engine.now(),
        asker: Asker::default(),
        action: "freeze".to_owned(),
        resource: format!("acc_{n}"),
        owner: None,
        ruling: Ruling::Allowed,
        policies: vec!["operator-freezes".to_owned()],
        version: None,
        facts: Vec::new(),
        obligations: Vec::new(),
        request: String::new(),
    }
}

fn trail(records: impl IntoIterator<Item = DecisionRecord>) -> Arc<Trail> {
    let trail = Arc::new(Trail::default());
    records.into_iter().for_each(|record| trail.note(record).unwrap());
    trail
}

fn drafts(engine: &Engine, range: std::ops::Range<u8>) -> Vec<Decided> {
    trail(range.map(|n| record(engine, n))).take()
}

/// Decisions that were made at that time.
fn made_at(engine: &Engine, range: std::ops::Range<u8>, at: tpw_core::Instant) -> Vec<Decided> {
    let mut block = drafts(engine, range.clone());
    for (decided, number) in block.iter_mut().zip(range) {
        decided.record.at = at;
        decided.record.id = DecisionId::new(at.unix_ms(), [number; 10]);
    }
    block
}

/// Waits until the books have so many decisions; gives the ids.
fn stored(engine: &Engine, count: usize) -> Vec<DecisionId> {
    let begun = Instant::now();
    loop {
        let rows = engine.decisions(&DecisionQuery::default(), 0, 1_000).unwrap();
        if rows.len() >= count || begun.elapsed() > Duration::from_secs(20) {
            return rows.iter().map(|row| row.decided.record.id).collect();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The books of a folder as a kill leaves them at this instant.
fn as_killed(folder: &Path) -> Reader {
    let copy = Box::leak(Box::new(scratch()));
    for name in ["books.db", "books.db-wal"] {
        std::fs::copy(folder.join(name), copy.path().join(name)).unwrap();
    }
    Reader::open_to_read(&copy.path().join("books.db")).unwrap()
}

#[test]
fn a_change_is_stored_with_its_decision() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    runtime().block_on(async {
        let ann = Holder::enrolled(&engine, &mut Dice::new(1), 1_000).await;
        for n in 1..20_u8 {
            let noted = record(&engine, n);
            let trail = trail([noted.clone()]);
            let frozen = if n % 2 == 0 { Frozen::No } else { Frozen::Yes };
            let freeze = Command::Freeze { account: ann.account, frozen };
            let leaves = engine.metrics().leaves;
            Arc::clone(&trail).scope(engine.command(freeze)).await.unwrap();
            assert!(trail.take().is_empty());
            assert_eq!(engine.metrics().leaves, leaves + 1);
            let books = as_killed(dir.path());
            let row = books.decision(noted.id).unwrap().expect("lost with the process");
            assert_eq!((row.place(), row.decided.record), (0, noted));
        }
    });
}

const FOLDER: &str = "TPW_DECISIONS_FOLDER";

/// Not a test by itself: what the parent starts and kills.
#[test]
#[ignore = "runs as the child of the test below"]
fn child_that_changes_an_account() {
    let Some(dir) = std::env::var_os(FOLDER) else { return };
    let engine = open(Path::new(&dir)).unwrap();
    runtime().block_on(async {
        let seed = engine.now().unix_ms();
        let ann = Holder::enrolled(&engine, &mut Dice::new(seed), 1_000).await;
        for n in 0..u8::MAX {
            let noted = record(&engine, n);
            let frozen = if n % 2 == 0 { Frozen::Yes } else { Frozen::No };
            let freeze = Command::Freeze { account: ann.account, frozen };
            trail([noted.clone()]).scope(engine.command(freeze)).await.unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "ack {}", noted.id).unwrap();
            out.flush().unwrap();
        }
    });
}

#[test]
fn a_kill_loses_no_decision_about_a_change_and_leaves_no_change_without_one() {
    let dir = scratch();
    let (mut answered, mut dice) = (HashSet::new(), Dice::new(5));
    for _ in 0..8 {
        let mut child = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_changes_an_account", "--ignored", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut note = |line: std::io::Result<String>| {
            let line = line.ok()?;
            // libtest prints its own words on the same line as the first acknowledgement.
            let at = line.find("ack ")?;
            answered.insert(line[at + 4..].parse::<DecisionId>().unwrap());
            Some(())
        };
        let wanted = dice.below(40);
        let mut seen = 0;
        while seen <= wanted {
            seen += u64::from(note(lines.next().expect("the child failed")).is_some());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let _rest = lines.filter_map(note).count();
        let store = tpw_engines::sqlite::Store::open(&dir.path().join("books.db")).unwrap();
        let reader = tpw_engines::books::Books::reader(&store).unwrap();
        let rows = reader.decisions(&DecisionQuery::default(), 0, usize::MAX >> 1).unwrap();
        let kept: HashSet<_> = rows.iter().map(|row| row.decided.record.id).collect();
        assert!(answered.is_subset(&kept), "{} of {}", kept.len(), answered.len());
        let events = reader.events(0, usize::MAX >> 1).unwrap();
        let changes = events.iter().filter(|event| event.kind == EventKind::AccountChanged);
        assert_eq!(changes.count(), kept.len());
    }
    assert!(answered.len() > 40, "{}", answered.len());
}

#[test]
fn a_change_that_is_refused_leaves_its_decision() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    let noted = record(&engine, 1);
    let nobody = tpw_core::AccountId::from_bytes([9; 16]);
    let freeze = Command::Freeze { account: nobody, frozen: Frozen::Yes };
    let refused = runtime().block_on(trail([noted.clone()]).scope(engine.command(freeze)));
    assert!(matches!(refused, Err(PayError::Rejected(_))), "{refused:?}");
    assert!(as_killed(dir.path()).decision(noted.id).unwrap().is_some());
}

#[test]
fn what_was_gathered_is_stored_within_a_second_and_at_the_end() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    let rt = runtime();
    let leaves = engine.metrics().leaves;
    let first = drafts(&engine, 0..40);
    let ids: Vec<_> = first.iter().map(|decided| decided.record.id).collect();
    let begun = Instant::now();
    rt.block_on(engine.gather_decisions(first)).unwrap();
    assert_eq!(stored(&engine, 40), ids);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(engine.metrics().leaves, leaves + 1, "one entry for all of them");
    rt.block_on(engine.gather_decisions(drafts(&engine, 40..43))).unwrap();
    engine.close();
    drop(engine);
    let engine = open(dir.path()).unwrap();
    assert_eq!(stored(&engine, 43).len(), 43, "a clean end forgets nothing");
    engine.close();
    demand_sound_log(dir.path(), engine.trust());
}

/// Somebody else holds the lock of the books for longer than the writer waits for it.
#[test]
fn books_that_take_no_writes_for_a_while_lose_nothing_and_have_nothing_twice() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    // What no desk knows is there again as well when the memory was rebuilt.
    let person = tpw_core::PersonId::from_bytes([7; 16]);
    let given = GivenRoles { roles: Roles::of(&[Role::Approver]), by: person };
    let (key, after) = (Roles::key(person), Some(given.to_bytes()));
    let give = Command::Records(vec![RecordWrite { key, before: None, after }]);
    let device = tpw_core::DeviceId::from_bytes([8; 16]);
    let not_me = Command::NotMe { writes: Vec::new(), device, payment: None };
    runtime().block_on(async {
        engine.command(give).await.unwrap();
        engine.command(not_me).await.unwrap();
    });
    let known = || (engine.roles_of(person), engine.reputation(&device).disowned);
    assert_eq!(known(), (given.roles, true));
    let blocker = rusqlite::Connection::open(dir.path().join("books.db")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let gathered = drafts(&engine, 0..3);
    let ids: Vec<_> = gathered.iter().map(|decided| decided.record.id).collect();
    runtime().block_on(engine.gather_decisions(gathered)).unwrap();
    std::thread::sleep(Duration::from_secs(7));
    let refused = runtime().block_on(engine.keep_decisions(drafts(&engine, 9..10)));
    assert!(matches!(refused, Err(PayError::Stopped(_))), "{refused:?}");
    blocker.execute_batch("ROLLBACK").unwrap();
    assert_eq!(stored(&engine, 3), ids);
    assert_eq!(known(), (given.roles, true));
    engine.close();
    drop(engine);
    let engine = open(dir.path()).unwrap();
    assert_eq!(stored(&engine, 3), ids);
    assert!(engine.reputation(&device).disowned);
    engine.close();
    demand_sound_log(dir.path(), engine.trust());
}

#[test]
fn without_room_nothing_is_taken() {
    let dir = scratch();
    let config = Config { decisions: 3, ..Config::new(name(AUDIENCE)) };
    let clock = Arc::new(tpw_engines::clock::SystemClock::new());
    let engine = Engine::open(dir.path(), config, clock).unwrap();
    let four = drafts(&engine, 0..4);
    let refused = runtime().block_on(engine.gather_decisions(four.clone()));
    assert_eq!(refused, Err(PayError::Busy));
    assert_eq!(engine.gather_decisions_now(four.clone()), Err(four.clone()));
    // What changes something does not depend on that room.
    runtime().block_on(engine.keep_decisions(four)).unwrap();
    assert_eq!(stored(&engine, 4).len(), 4);
}

#[test]
fn each_decision_is_proved_alone() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    let rt = runtime();
    let block = drafts(&engine, 0..5);
    rt.block_on(async {
        engine.keep_decisions(block.clone()).await.unwrap();
        let (_, waits) = engine.decision(block[0].record.id).unwrap().unwrap();
        assert_eq!(waits, DecisionProof::Waiting);
        let mut dice = Dice::new(1);
        let mut ann = Holder::enrolled(&engine, &mut dice, 1_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        let signed = ann.next(&engine, &mut dice, bob.account, 1);
        engine.pay(&signed.bytes).await.unwrap();
    });
    for (place, decided) in block.iter().enumerate() {
        let (row, proof) = engine.decision(decided.record.id).unwrap().unwrap();
        assert_eq!((row.place(), &row.decided), (place as u64, decided));
        let DecisionProof::Proved(text) = proof else { panic!("it has no proof") };
        let proved = verify_decision(&text, engine.trust()).unwrap();
        assert_eq!((&proved.record, proved.index), (&decided.record, row.leaf()));
    }
    assert_eq!(engine.decision(DecisionId::from_bytes([9; 16])).unwrap(), None);
}

/// Blocks of decisions: two that are older than what is kept, one that is older in part, one of now.
#[test]
fn old_decisions_are_removed_in_whole_blocks_and_what_was_proved_stays_proved() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    let now = engine.now();
    let (kept, old) = (Span::from_secs(24 * 3600), Span::from_secs(48 * 3600));
    let made = |range, at| made_at(&engine, range, at);
    let mixed = [made(5..7, now.minus(old)), made(7..8, now)].concat();
    let blocks = [made(0..3, now.minus(old)), made(3..5, now.minus(old)), mixed, made(8..10, now)];
    let rt = runtime();
    rt.block_on(async {
        for block in &blocks {
            engine.keep_decisions(block.clone()).await.unwrap();
        }
        let mut dice = Dice::new(1);
        let mut ann = Holder::enrolled(&engine, &mut dice, 1_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        let signed = ann.next(&engine, &mut dice, bob.account, 1);
        engine.pay(&signed.bytes).await.unwrap();
    });
    let proof = |id: DecisionId| match engine.decision(id).unwrap() {
        Some((_, DecisionProof::Proved(text))) => Some(text),
        Some((_, DecisionProof::Waiting)) => panic!("it waits"),
        None => None,
    };
    let ids = |block: &[Decided]| block.iter().map(|it| it.record.id).collect::<Vec<_>>();
    let proofs: Vec<String> = ids(&blocks[0]).into_iter().filter_map(proof).collect();
    assert_eq!(proofs.len(), 3);
    // By time: what is asked for is found whatever its number is.
    let of = |from: Option<tpw_core::Instant>, until: Option<tpw_core::Instant>| {
        let query = DecisionQuery { from, until, ..DecisionQuery::default() };
        let rows = engine.decisions(&query, 0, 1_000).unwrap();
        rows.iter().map(|row| row.decided.record.id).collect::<Vec<_>>()
    };
    let late = [ids(&blocks[2])[2..].to_vec(), ids(&blocks[3])].concat();
    assert_eq!(of(Some(now), None), late);
    assert_eq!(of(Some(now), Some(now)), []);
    assert_eq!(of(None, Some(now)).len(), 7);
    assert_eq!(of(Some(now.minus(old)), Some(now.plus(kept))).len(), 10);

    assert_eq!(rt.block_on(engine.forget_decisions(now.minus(kept))).unwrap(), 5);
    assert_eq!(rt.block_on(engine.forget_decisions(now.minus(kept))).unwrap(), 0);
    let left = [ids(&blocks[2]), ids(&blocks[3])].concat();
    assert_eq!(stored(&engine, 5), left, "a block that is old in part is kept as a whole");
    for (block, wanted) in [(&blocks[0], false), (&blocks[1], false), (&blocks[2], true)] {
        for id in ids(block) {
            assert_eq!(proof(id).is_some(), wanted);
        }
    }
    for text in left.iter().map(|id| proof(*id).unwrap()).chain(proofs) {
        verify_decision(&text, engine.trust()).unwrap();
    }
    engine.close();
    demand_sound_log(dir.path(), engine.trust());
    drop(engine);
    let engine = open(dir.path()).unwrap();
    assert_eq!(stored(&engine, 5), left);
    engine.close();
}

/// A clock that was wrong before the start, one that was set since, and one of which nobody knows how wrong it is.
#[test]
fn a_wrong_clock_removes_no_decisions() {
    let dir = scratch();
    let (kept, start) = (Span::from_secs(24 * 3600), SystemClock::new().now());
    let engine = open_at(dir.path(), Arc::new(ManualClock::new(start))).unwrap();
    let rt = runtime();
    rt.block_on(async {
        engine.keep_decisions(drafts(&engine, 0..3)).await.unwrap();
        let mut dice = Dice::new(1);
        let _ann = Holder::enrolled(&engine, &mut dice, 1_000).await;
    });
    engine.close();
    drop(engine);
    // A month ahead, and nothing says so.
    let wrong = Arc::new(ManualClock::new(start.plus(Span::from_secs(30 * 24 * 3600))));
    let engine = open_at(dir.path(), Arc::clone(&wrong) as Arc<dyn Clock>).unwrap();
    let forgetting = rt.block_on(engine.begin_forgetting(kept)).unwrap();
    let forget = |engine: &Arc<Engine>| {
        let before = engine.older_than(&forgetting).unwrap();
        rt.block_on(engine.forget_decisions(before)).unwrap()
    };
    assert_eq!(forget(&engine), 0);
    for wrongness in [None, Some(Span::from_secs(60))] {
        wrong.pretend_error(wrongness);
        assert!(
            matches!(engine.older_than(&forgetting), Err(RetentionError::Clock(_))),
            "{wrongness:?}"
        );
    }
    wrong.pretend_error(Some(Span::from_ms(1)));
    wrong.pretend_jump(Span::from_secs(2));
    assert!(matches!(engine.older_than(&forgetting), Err(RetentionError::Clock(_))));
    wrong.pretend_jump(Span::from_ms(0));
    // As the server runs they become older all the same.
    wrong.advance(Span::from_secs(12 * 3600));
    assert_eq!(forget(&engine), 0);
    wrong.advance(Span::from_secs(13 * 3600));
    assert_eq!(forget(&engine), 3);
    engine.close();
}

/// What was booked under a wrong clock agrees with it at the next start. Of a hundred days, ten go in each day of running then, and none
/// for a start alone.
#[test]
fn a_clock_that_is_wrong_over_several_starts_takes_decisions_slowly() {
    let dir = scratch();
    let (rt, mut dice) = (runtime(), Dice::new(2));
    let (day, start) = (Span::from_secs(24 * 3600), SystemClock::new().now());
    let days_ago = |days: u64| start.minus(Span::from_secs(days * 24 * 3600));
    let engine = open_at(dir.path(), Arc::new(ManualClock::new(start))).unwrap();
    for number in 0..10_u8 {
        let block = made_at(&engine, number..number + 1, days_ago(100 - 10 * u64::from(number)));
        rt.block_on(engine.keep_decisions(block)).unwrap();
    }
    rt.block_on(Holder::enrolled(&engine, &mut dice, 1_000));
    engine.close();
    drop(engine);
    let wrong = Arc::new(ManualClock::new(start.plus(Span::from_secs(1_000 * 24 * 3600))));
    for _start in 0..3 {
        let engine = open_at(dir.path(), Arc::clone(&wrong) as Arc<dyn Clock>).unwrap();
        rt.block_on(Holder::enrolled(&engine, &mut dice, 1_000));
        let forgetting = rt.block_on(engine.begin_forgetting(day)).unwrap();
        let forget = || {
            let before = engine.older_than(&forgetting).unwrap();
            rt.block_on(engine.forget_decisions(before)).unwrap()
        };
        assert_eq!(forget(), 0, "at the start");
        wrong.advance(day);
        assert_eq!((forget(), forget()), (1, 0));
        engine.close();
    }
}

/// Nothing moves: what was decided last says how late it is.
#[test]
fn decisions_of_a_server_that_books_nothing_become_old() {
    let dir = scratch();
    let (rt, start) = (runtime(), SystemClock::new().now());
    let days = |days: u64| Span::from_secs(days * 24 * 3600);
    let engine = open_at(dir.path(), Arc::new(ManualClock::new(start))).unwrap();
    rt.block_on(engine.keep_decisions(drafts(&engine, 0..2))).unwrap();
    engine.close();
    drop(engine);
    let later = Arc::new(ManualClock::new(start.plus(days(40))));
    let engine = open_at(dir.path(), Arc::clone(&later) as Arc<dyn Clock>).unwrap();
    rt.block_on(engine.keep_decisions(drafts(&engine, 2..3))).unwrap();
    engine.close();
    drop(engine);
    let engine = open_at(dir.path(), Arc::clone(&later) as Arc<dyn Clock>).unwrap();
    let forgetting = rt.block_on(engine.begin_forgetting(days(30))).unwrap();
    later.advance(days(5));
    let before = engine.older_than(&forgetting).unwrap();
    assert_eq!(rt.block_on(engine.forget_decisions(before)).unwrap(), 2);
    engine.close();
}
