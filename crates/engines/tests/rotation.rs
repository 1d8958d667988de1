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
use tpw_engines::{Engine, ask_for_rotation};
use tpw_proof::Leaf;
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
    let file = engine.log().file(&format!("tile/entries/000.p/{size}")).unwrap().unwrap();
    let entries = tpw_proof::tile::decode_bundle(&file, u16::try_from(size).unwrap()).unwrap();
    let leaves = entries.iter().map(|entry| Leaf::from_bytes(entry).unwrap());
    leaves.filter(|leaf| leaf.kind() == RecordKind::KeyEnd).collect()
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
    assert!(!dir.join("keys.old").exists() && !dir.join("tsa-rotate").exists());
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

    ask_for_rotation(dir.path()).unwrap();
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
    ask_for_rotation(dir.path()).unwrap();
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
fn a_folder_without_keys_is_not_rotated() {
    let dir = scratch();
    let error = ask_for_rotation(dir.path()).unwrap_err().to_string();
    assert!(error.contains("`keys` is missing"), "{error}");
    assert!(!dir.path().join("tsa-rotate").exists());
}
