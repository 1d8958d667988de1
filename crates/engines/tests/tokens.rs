//! Goal: every time-stamp has a place in the log before anybody has it, keeps it whatever crashes, and never makes the log sign for
//! itself alone.
//!
//! Method: the running engine with real files; proofs are judged by the public verifier, whole and with one thing wrong; a process
//! that dies is an engine over a copy of the folder as it was at that moment.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod world;

use std::path::Path;
use std::sync::Arc;
use tpw_core::Hash32;
use tpw_crypto::sha256;
use tpw_engines::{Engine, TokenProof};
use tpw_flow::Command;
use tpw_proof::logged::verify_token;
use tpw_proof::timestamp::{CertificateWish, info, query, verify_answer};
use tpw_proof::{ProofError, Trust};
use world::*;

/// A time-stamp and its serial number.
async fn stamped(engine: &Engine, data: &[u8]) -> (Vec<u8>, [u8; 20]) {
    let request = query(sha256(data), Some([5; 8]), CertificateWish::Embedded).unwrap();
    let answer = engine.stamp(&request).await.unwrap();
    let trust = engine.trust();
    let found = verify_answer(&answer, &request, &trust.tsa_roots, &trust.tsa_policies).unwrap();
    (answer, found.serial.try_into().unwrap())
}

fn proof_of(engine: &Engine, serial: &[u8; 20]) -> String {
    match engine.token_proof(serial).unwrap() {
        TokenProof::Proved(text) => text,
        other => panic!("{other:?}"),
    }
}

fn size(engine: &Engine) -> u64 {
    engine.log().newest().unwrap().head.size
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

#[test]
fn a_time_stamp_waits_for_a_payments_checkpoint_and_is_proved_by_it() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    runtime().block_on(async {
        let mut dice = Dice::new(1);
        let mut ann = Holder::enrolled(&engine, &mut dice, 10_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        let before = size(&engine);
        let mut tokens = Vec::new();
        for n in 0..5_u8 {
            tokens.push(stamped(&engine, &[n]).await);
        }
        for (_, serial) in &tokens {
            assert_eq!(engine.token_proof(serial).unwrap(), TokenProof::Waiting);
        }
        assert_eq!(engine.token_proof(&[9; 20]).unwrap(), TokenProof::Unknown);
        assert_eq!(size(&engine), before, "time-stamps alone make no checkpoint");
        let signed = ann.next(&engine, &mut dice, bob.account, 250);
        demand_receipt(&engine, &engine.pay(&signed.bytes).await.unwrap());
        assert_eq!(size(&engine), before + 6, "they ride with the payment's");
        for (n, (token, serial)) in (before..).zip(&tokens) {
            let proof = proof_of(&engine, serial);
            let place = verify_token(token, &proof, engine.trust()).unwrap();
            assert_eq!((place.index, place.head.size), (n, before + 6));
        }
    });
    engine.close();
    demand_sound_log(dir.path(), engine.trust());
}

#[test]
fn what_is_not_this_tokens_entry_is_refused() {
    let (dir, other) = (scratch(), scratch());
    let engine = open(dir.path()).unwrap();
    let stranger = open(other.path()).unwrap();
    runtime().block_on(async {
        let mut dice = Dice::new(2);
        let mut ann = Holder::enrolled(&engine, &mut dice, 10_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        let (token, serial) = stamped(&engine, b"one").await;
        let (second, _) = stamped(&engine, b"two").await;
        let signed = ann.next(&engine, &mut dice, bob.account, 1);
        let receipt = engine.pay(&signed.bytes).await.unwrap().receipt.unwrap();
        let (proof, trust) = (proof_of(&engine, &serial), engine.trust());
        verify_token(&token, &proof, trust).unwrap();

        let refused = |token: &[u8], proof: &str, trust: &Trust| {
            verify_token(token, proof, trust).unwrap_err().code()
        };
        assert_eq!(refused(&second, &proof, trust), "root_mismatch", "another's proof");
        let (foreign, _) = stamped(&stranger, b"one").await;
        assert_eq!(refused(&foreign, &proof, trust), "root_mismatch", "a token of another key");
        assert_eq!(refused(&token, &proof, stranger.trust()), "not_signed", "another log's keys");
        let mut renamed = trust.clone();
        renamed.origin = tpw_proof::KeyName::new("other.example/log").unwrap();
        assert_eq!(refused(&token, &proof, &renamed), "mismatch");
        let mut keyless = trust.clone();
        keyless.log_keys.clear();
        assert_eq!(refused(&token, &proof, &keyless), "not_signed");
        let extra = proof.replacen('\n', "\nextra AAAA\n", 1);
        assert_eq!(refused(&token, &extra, trust), "malformed");
        let moved = proof.replacen("index 2", "index 3", 1);
        assert_eq!(refused(&token, &moved, trust), "root_mismatch");
        let unsigned: String = proof
            .split_inclusive('\n')
            .rev()
            .skip(1)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        assert_eq!(refused(&token, &unsigned, trust), "not_signed", "one of two signatures");
        // The proof of the payment's entry is none for a token, and a refusal is no token at all.
        let paid = tpw_core::Receipt::from_bytes(&receipt).unwrap();
        assert_eq!(refused(&token, &paid.tlog_proof, trust), "root_mismatch");
        let refusal = engine.stamp(b"no request").await.unwrap();
        let wrong = verify_token(&refusal, &proof, trust).unwrap_err();
        assert!(matches!(wrong, ProofError::Timestamp(_)), "{wrong}");
        for cut in [0, 10, token.len() - 1] {
            assert!(verify_token(&token[..cut], &proof, trust).is_err());
        }
    });
}

#[test]
fn a_refusal_leaves_no_entry() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    runtime().block_on(async {
        let before = engine.metrics().leaves;
        for bad in [&b""[..], b"GET /", &[0x30; 4_097]] {
            let answer = engine.stamp(bad).await.unwrap();
            assert_eq!(info(&answer).unwrap().token, None);
        }
        assert_eq!(engine.metrics().leaves, before);
        stamped(&engine, b"data").await;
        assert_eq!(engine.metrics().leaves, before + 1);
    });
}

#[test]
fn what_was_answered_is_in_the_log_after_a_crash_and_after_a_stop() {
    let (dir, crashed) = (scratch(), scratch());
    let engine = open(dir.path()).unwrap();
    let rt = runtime();
    let given = rt.block_on(async {
        let mut given = Vec::new();
        for n in 0..20_u8 {
            given.push(stamped(&engine, &[n]).await);
        }
        given
    });
    // As the disk is at this moment: the engine has not closed anything.
    copy_folder(dir.path(), crashed.path());
    let trust = engine.trust().clone();
    engine.close();
    drop(engine);
    for folder in [crashed.path(), dir.path()] {
        let engine = open(folder).unwrap();
        for (token, serial) in &given {
            verify_token(token, &proof_of(&engine, serial), &trust).unwrap();
        }
        let before = size(&engine);
        let (token, serial) = rt.block_on(stamped(&engine, b"later"));
        assert_eq!(engine.token_proof(&serial).unwrap(), TokenProof::Waiting);
        assert_eq!(size(&engine), before);
        engine.close();
        drop(engine);
        demand_sound_log(folder, &trust);
        let engine = open(folder).unwrap();
        verify_token(&token, &proof_of(&engine, &serial), &trust).unwrap();
        assert_eq!(size(&engine), before + 1);
        engine.close();
    }
}

#[test]
fn books_of_the_format_before_get_a_place_for_time_stamps() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    engine.close();
    drop(engine);
    let connection = rusqlite::Connection::open(books(dir.path())).unwrap();
    connection
        .execute_batch(
            "DROP TABLE token; DROP TABLE record; DROP TABLE decision; PRAGMA user_version = 5",
        )
        .unwrap();
    connection.close().unwrap();
    let engine = open(dir.path()).unwrap();
    let (_, serial) = runtime().block_on(stamped(&engine, b"data"));
    assert_eq!(engine.token_proof(&serial).unwrap(), TokenProof::Waiting);
}

#[test]
fn payments_and_time_stamps_at_once_all_get_their_places() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    rt.block_on(async {
        let mut dice = Dice::new(3);
        let mut ann = Holder::enrolled(&engine, &mut dice, 10_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        let mut asked = Vec::new();
        for n in 0..200_u8 {
            let engine = Arc::clone(&engine);
            asked.push(tokio::spawn(async move { stamped(&engine, &[n]).await }));
        }
        for _ in 0..30 {
            let signed = ann.next(&engine, &mut dice, bob.account, 1);
            demand_receipt(&engine, &engine.pay(&signed.bytes).await.unwrap());
        }
        let mut given = Vec::new();
        for one in asked {
            given.push(one.await.unwrap());
        }
        let signed = ann.next(&engine, &mut dice, bob.account, 1);
        engine.pay(&signed.bytes).await.unwrap();
        let mut places = std::collections::BTreeSet::new();
        for (token, serial) in &given {
            let proof = proof_of(&engine, serial);
            places.insert(verify_token(token, &proof, engine.trust()).unwrap().index);
        }
        assert_eq!(places.len(), 200);
        demand_balanced(&engine);
    });
    engine.close();
    assert_eq!(demand_sound_log(dir.path(), engine.trust()), 2 + 31 + 200);
}

#[test]
fn so_many_waiting_time_stamps_get_a_checkpoint_of_their_own() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    let before = size(&engine);
    let batch = |from: u32, count: u32| -> Vec<Command> {
        let log = |n: u32| {
            let hash = sha256(&n.to_be_bytes());
            let serial = hash.first_chunk().copied().unwrap();
            Command::LogToken { serial, token: Hash32::new(hash) }
        };
        (from..from + count).map(log).collect()
    };
    runtime().block_on(async {
        engine.commands(batch(0, 4_095)).await.unwrap();
        assert_eq!(size(&engine), before);
        engine.commands(batch(4_095, 1)).await.unwrap();
        let begun = std::time::Instant::now();
        while size(&engine) == before && begun.elapsed().as_secs() < 20 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(size(&engine), before + 4_096);
        engine.commands(batch(4_096, 1)).await.unwrap();
        assert_eq!(size(&engine), before + 4_096, "the next one waits again");
    });
}
