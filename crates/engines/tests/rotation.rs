//! Goal: a time-stamping key is used for its time and no longer, its successor takes over, and nothing is left of it but a record in the
//! log; old tokens go on holding.
//!
//! Method: the running engine with real files, by a clock of the test; broken-off rotations are folders as they are at each step.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tpw_core::{RecordKind, Span};
use tpw_crypto::sha256;
use tpw_engines::clock::{Clock, ManualClock, SystemClock};
use tpw_engines::{Engine, KeyWish, TokenProof, ask_for_key_change, is_key_change_done};
use tpw_proof::Leaf;
use tpw_proof::logged::verify_token;
use tpw_proof::timestamp::{CertificateWish, info, query, verify_answer};
use world::*;

const DAY: u64 = 24 * 3600;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(SystemClock::new().now()))
}

/// The answer to a request, which is the same each time.
fn stamp(engine: &Engine) -> Vec<u8> {
    let request = query(sha256(b"data"), Some([1; 8]), CertificateWish::Embedded).unwrap();
    runtime().block_on(engine.stamp(&request)).unwrap()
}

fn holds(engine: &Engine, answer: &[u8]) -> bool {
    let request = query(sha256(b"data"), Some([1; 8]), CertificateWish::Embedded).unwrap();
    let trust = engine.trust();
    verify_answer(answer, &request, &trust.tsa_roots, &trust.tsa_policies).is_ok()
}

fn records(dir: &Path, kind: &str) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|found| found == kind)).collect()
}

/// The entries of keys' ends in the log.
fn ends(engine: &Engine) -> Vec<Leaf> {
    let size = engine.log().newest().unwrap().head.size;
    entries(engine, size).into_iter().filter(|leaf| leaf.kind() == RecordKind::KeyEnd).collect()
}

fn keys(dir: &Path) -> Vec<u8> {
    std::fs::read(dir.join("keys")).unwrap()
}

fn certificate(dir: &Path) -> Vec<u8> {
    std::fs::read(dir.join("tsa.der")).unwrap()
}

/// Everything that a finished rotation must have left.
fn demand_rotated(dir: &Path, engine: &Engine, before: (&[u8], &[u8])) {
    let (old_keys, old_certificate) = before;
    assert_ne!(certificate(dir), old_certificate);
    assert!(!dir.join("keys.old").exists() && is_key_change_done(dir).unwrap());
    assert_eq!(keys(dir).len() - old_keys.len(), "-1795391254243".len(), "one key in place of one");
    let answer = stamp(engine);
    assert!(holds(engine, &answer));
    assert!(records(dir, "unlogged").is_empty());
    for path in records(dir, "cbor") {
        let entry = Leaf::key_end(&std::fs::read(&path).unwrap());
        assert!(ends(engine).contains(&entry), "{}", path.display());
    }
}

#[test]
fn a_key_answers_for_a_year_and_its_successor_goes_on() {
    let dir = scratch();
    let clock = clock();
    let engine = open_at(dir.path(), clock.clone()).unwrap();
    let first = stamp(&engine);
    let before = (keys(dir.path()), certificate(dir.path()));
    // The certificate begins a day before the first start.
    clock.advance(Span::from_secs(363 * DAY));
    assert!(holds(&engine, &stamp(&engine)));
    clock.advance(Span::from_secs(DAY));
    let over = info(&stamp(&engine)).unwrap();
    assert_eq!((over.failure, over.token), (vec![25], None), "systemFailure is bit 25");
    assert!(over.status_text[0].contains("rotate"), "{:?}", over.status_text);
    // Payments and the checkpoints over them go on.
    let (rt, mut dice) = (runtime(), Dice::new(1));
    let mut ann = rt.block_on(Holder::enrolled(&engine, &mut dice, 100));
    let bob = rt.block_on(Holder::enrolled(&engine, &mut dice, 0));
    let signed = ann.next(&engine, &mut dice, bob.account, 1);
    demand_receipt(&engine, &rt.block_on(engine.pay(&signed.bytes)).unwrap());
    engine.close();
    drop(engine);

    ask_for_key_change(dir.path(), KeyWish::Rotate).unwrap();
    let engine = open_at(dir.path(), clock.clone()).unwrap();
    demand_rotated(dir.path(), &engine, (&before.0, &before.1));
    assert_eq!((ends(&engine).len(), records(dir.path(), "cbor").len()), (1, 1));
    assert!(holds(&engine, &first), "tokens of the old key hold for as long as its certificate");
    let signed = ann.next(&engine, &mut dice, bob.account, 1);
    demand_receipt(&engine, &rt.block_on(engine.pay(&signed.bytes)).unwrap());
    engine.close();
    drop(engine);
    // Nothing more happens at the next start.
    let engine = open_at(dir.path(), clock).unwrap();
    assert_eq!(ends(&engine).len(), 1);
    engine.close();
    demand_sound_log(dir.path(), engine.trust());
}

#[test]
fn a_rotation_that_was_broken_off_is_finished_and_loses_no_key() {
    // Between the second name and the new file: both names are one file, which is in use.
    let dir = scratch();
    let clock = clock();
    open_at(dir.path(), clock.clone()).unwrap().close();
    let before = (keys(dir.path()), certificate(dir.path()));
    std::fs::hard_link(dir.path().join("keys"), dir.path().join("keys.old")).unwrap();
    let engine = open_at(dir.path(), clock.clone()).unwrap();
    assert_eq!(keys(dir.path()), before.0);
    assert!(!dir.path().join("keys.old").exists() && holds(&engine, &stamp(&engine)));
    engine.close();
    drop(engine);

    // After the new keys, before the certificate: with the wish still there another key is made, and the unused one is destroyed too.
    ask_for_key_change(dir.path(), KeyWish::Rotate).unwrap();
    open_at(dir.path(), clock.clone()).unwrap().close();
    let rotated = (keys(dir.path()), certificate(dir.path()));
    std::fs::write(dir.path().join("tsa.der"), &before.1).unwrap();
    let refused = refusal(dir.path());
    assert!(
        refused.contains("not for the key in its slot"),
        "a certificate of a destroyed key: {refused}"
    );
    std::fs::write(dir.path().join("tsa.der"), &rotated.1).unwrap();

    // After the certificate, before the old key's end: the old file of keys is back, beside the new certificate.
    std::fs::write(dir.path().join("keys.old"), &before.0).unwrap();
    let engine = open_at(dir.path(), clock.clone()).unwrap();
    demand_rotated(dir.path(), &engine, (&before.0, &before.1));
    engine.close();
    drop(engine);

    // Destroyed and not logged yet.
    let record = records(dir.path(), "cbor").remove(0);
    std::fs::rename(&record, record.with_extension("unlogged")).unwrap();
    let engine = open_at(dir.path(), clock).unwrap();
    assert_eq!(ends(&engine).len(), 2, "it is said twice rather than not at all");
    assert!(records(dir.path(), "unlogged").is_empty());
    engine.close();
}

#[test]
fn a_certificate_that_cannot_be_written_leaves_no_keys_behind() {
    let dir = scratch();
    let clock = clock();
    open_at(dir.path(), clock.clone()).unwrap().close();
    let before = (keys(dir.path()), certificate(dir.path()));
    ask_for_key_change(dir.path(), KeyWish::Rotate).unwrap();
    // In place of the file that is to become `tsa.der`.
    let in_the_way = dir.path().join(".tsa.der.tmp");
    std::fs::create_dir(&in_the_way).unwrap();
    for _ in 0..3 {
        let refused = refusal(dir.path());
        assert!(refused.contains("tsa.der"), "{refused}");
        assert_eq!((keys(dir.path()), certificate(dir.path())), before);
        assert!(!dir.path().join("keys.old").exists());
    }
    std::fs::remove_dir(&in_the_way).unwrap();
    let engine = open_at(dir.path(), clock).unwrap();
    demand_rotated(dir.path(), &engine, (&before.0, &before.1));
    assert_eq!((ends(&engine).len(), records(dir.path(), "cbor").len()), (1, 1));
    engine.close();
}

#[test]
fn a_folder_without_keys_is_not_rotated() {
    let dir = scratch();
    for wish in [KeyWish::Rotate, KeyWish::Destroy] {
        let error = ask_for_key_change(dir.path(), wish).unwrap_err().to_string();
        assert!(error.contains("`keys` is missing"), "{error}");
        assert!(is_key_change_done(dir.path()).unwrap());
    }
}

/// Waits for the running engine to do what was asked for.
fn change(dir: &Path, wish: KeyWish) {
    ask_for_key_change(dir, wish).unwrap();
    let begun = std::time::Instant::now();
    while !is_key_change_done(dir).unwrap() {
        assert!(begun.elapsed().as_secs() < 30, "{wish:?} is not carried out");
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
}

/// Asks until the answer is as wanted: a key answers a moment after its predecessor's end is in the log.
fn wait_for(engine: &Engine, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let begun = std::time::Instant::now();
    loop {
        let answer = stamp(engine);
        if wanted(&answer) {
            return answer;
        }
        assert!(begun.elapsed().as_secs() < 30, "{:?}", info(&answer));
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
}

/// The words of a refusal with `systemFailure`.
fn silence(answer: &[u8]) -> Option<String> {
    let summary = info(answer).unwrap();
    (summary.failure == [25]).then(|| summary.status_text.join("; "))
}

#[test]
fn a_running_engine_changes_its_key_and_goes_on_paying() {
    let dir = scratch();
    let engine = open_at(dir.path(), clock()).unwrap();
    let (rt, mut dice) = (runtime(), Dice::new(3));
    let mut ann = rt.block_on(Holder::enrolled(&engine, &mut dice, 100));
    let bob = rt.block_on(Holder::enrolled(&engine, &mut dice, 0));
    let first = stamp(&engine);
    let before = (keys(dir.path()), certificate(dir.path()));
    change(dir.path(), KeyWish::Rotate);
    let second = wait_for(&engine, |answer| silence(answer).is_none());
    demand_rotated(dir.path(), &engine, (&before.0, &before.1));
    assert_eq!(ends(&engine).len(), 1, "a checkpoint covers the end");
    let signed = ann.next(&engine, &mut dice, bob.account, 1);
    demand_receipt(&engine, &rt.block_on(engine.pay(&signed.bytes)).unwrap());
    assert!(holds(&engine, &first) && holds(&engine, &second));

    // Again, while it goes on running: each change has its own key and its own entry.
    change(dir.path(), KeyWish::Rotate);
    wait_for(&engine, |answer| silence(answer).is_none());
    assert_eq!((ends(&engine).len(), records(dir.path(), "cbor").len()), (2, 2));
    engine.close();
    demand_sound_log(dir.path(), engine.trust());
}

#[test]
fn a_destroyed_key_answers_nobody_until_there_is_another() {
    let dir = scratch();
    let clock = clock();
    let engine = open_at(dir.path(), clock.clone()).unwrap();
    let (rt, mut dice) = (runtime(), Dice::new(4));
    let mut ann = rt.block_on(Holder::enrolled(&engine, &mut dice, 100));
    let bob = rt.block_on(Holder::enrolled(&engine, &mut dice, 0));
    let first = stamp(&engine);
    let before = keys(dir.path());
    change(dir.path(), KeyWish::Destroy);
    assert!(silence(&stamp(&engine)).unwrap().contains("destroyed"));
    assert_ne!(keys(dir.path()), before);
    assert_eq!((ends(&engine).len(), records(dir.path(), "cbor").len()), (1, 1));
    // The log's own checkpoints have another key, so that payments go on.
    let mut pay = |engine: &Engine| {
        let signed = ann.next(engine, &mut dice, bob.account, 1);
        demand_receipt(engine, &rt.block_on(engine.pay(&signed.bytes)).unwrap());
    };
    pay(&engine);
    assert!(holds(&engine, &first));
    engine.close();
    drop(engine);

    // A start changes nothing about it.
    let engine = open_at(dir.path(), clock.clone()).unwrap();
    assert!(silence(&stamp(&engine)).unwrap().contains("destroyed"));
    pay(&engine);
    assert_eq!(ends(&engine).len(), 1);
    change(dir.path(), KeyWish::Rotate);
    wait_for(&engine, |answer| silence(answer).is_none());
    pay(&engine);
    assert_eq!(ends(&engine).len(), 2, "the key that stamped meanwhile has its end too");
    engine.close();
    drop(engine);

    // Asked for while nothing runs, the next start does it before it answers anybody.
    ask_for_key_change(dir.path(), KeyWish::Destroy).unwrap();
    let engine = open_at(dir.path(), clock.clone()).unwrap();
    assert!(silence(&stamp(&engine)).unwrap().contains("destroyed"));
    assert!(is_key_change_done(dir.path()).unwrap());
    engine.close();
    drop(engine);
    // Of two wishes the later one says what follows.
    ask_for_key_change(dir.path(), KeyWish::Destroy).unwrap();
    ask_for_key_change(dir.path(), KeyWish::Rotate).unwrap();
    let engine = open_at(dir.path(), clock).unwrap();
    assert!(silence(&stamp(&engine)).is_none());
    engine.close();
    demand_sound_log(dir.path(), engine.trust());
}

#[test]
fn a_wish_that_cannot_be_read_changes_nothing() {
    let dir = scratch();
    let clock = clock();
    let engine = open_at(dir.path(), clock.clone()).unwrap();
    let before = (keys(dir.path()), certificate(dir.path()));
    std::fs::write(dir.path().join("tsa-rotate"), b"burn").unwrap();
    let begun = std::time::Instant::now();
    while begun.elapsed().as_millis() < 1_000 {
        assert_eq!(silence(&stamp(&engine)), None);
    }
    assert_eq!((keys(dir.path()), certificate(dir.path())), before);
    engine.close();
    drop(engine);
    let refused = refusal(dir.path());
    assert!(refused.contains("`tsa-rotate` in the data folder is damaged"), "{refused}");
    ask_for_key_change(dir.path(), KeyWish::Rotate).unwrap();
    let engine = open_at(dir.path(), clock).unwrap();
    assert!(silence(&stamp(&engine)).is_none() && ends(&engine).len() == 1);
    engine.close();
}

#[test]
fn under_load_each_answer_is_a_token_before_the_end_or_of_the_next_key() {
    let dir = scratch();
    let engine = open_at(dir.path(), clock()).unwrap();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let rt = rt.unwrap();
    let stopped = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let request = query(sha256(b"data"), Some([1; 8]), CertificateWish::Embedded).unwrap();
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (engine, request, stopped) =
                (Arc::clone(&engine), request.clone(), Arc::clone(&stopped));
            rt.spawn(async move {
                let mut answers = Vec::new();
                while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                    answers.push(engine.stamp(&request).await.unwrap());
                    tokio::time::sleep(std::time::Duration::from_millis(8)).await;
                }
                answers
            })
        })
        .collect();
    let mut certificates = vec![certificate(dir.path())];
    for _ in 0..3 {
        change(dir.path(), KeyWish::Rotate);
        wait_for(&engine, |answer| silence(answer).is_none());
        certificates.push(certificate(dir.path()));
    }
    stopped.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut given = Vec::new();
    for one in load {
        given.extend(rt.block_on(one).unwrap());
    }
    engine.close();
    drop(engine);

    // The stop has made a checkpoint over all tokens.
    let engine = open_at(dir.path(), clock()).unwrap();
    let (mut ended, mut places) = (Vec::new(), vec![Vec::new(); certificates.len()]);
    let size = engine.log().newest().unwrap().head.size;
    for (index, leaf) in (0..).zip(entries(&engine, size)) {
        if leaf.kind() == RecordKind::KeyEnd {
            ended.push(index);
        }
    }
    let (mut tokens, mut refused) = (0, 0);
    for answer in &given {
        let Some(token) = info(answer).unwrap().token else {
            assert!(silence(answer).unwrap().contains("another key"), "{:?}", info(answer));
            refused += 1;
            continue;
        };
        assert!(holds(&engine, answer));
        let serial = hex::decode(&token.serial_hex).unwrap().try_into().unwrap();
        let TokenProof::Proved(proof) = engine.token_proof(&serial).unwrap() else {
            panic!("no proof of {}", token.serial_hex)
        };
        let index = verify_token(answer, &proof, engine.trust()).unwrap().index;
        let embeds = |der: &Vec<u8>| answer.windows(der.len()).any(|part| part == der);
        places[certificates.iter().position(embeds).unwrap()].push(index);
        tokens += 1;
    }
    assert_eq!(ended.len(), 3);
    // Each key has its part of the log: behind its predecessor's end and before its own.
    for (key, places) in places.iter().enumerate() {
        for place in places {
            assert_eq!(ended.iter().filter(|end| *end < place).count(), key, "{place}: {ended:?}");
        }
    }
    assert!(tokens > 20, "{tokens} tokens, {refused} refusals");
    engine.close();
}

/// All entries of the log.
fn entries(engine: &Engine, size: u64) -> Vec<Leaf> {
    let mut found = Vec::new();
    for bundle in 0..size.div_ceil(256) {
        let count = (size - bundle * 256).min(256);
        let whole = format!("tile/entries/{bundle:03}");
        let path = if count == 256 { whole } else { format!("{whole}.p/{count}") };
        let file = engine.log().file(&path).unwrap().unwrap();
        let read = tpw_proof::tile::decode_bundle(&file, u16::try_from(count).unwrap()).unwrap();
        found.extend(read.iter().map(|entry| Leaf::from_bytes(entry).unwrap()));
    }
    found
}
