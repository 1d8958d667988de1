//! Goal: a bulk judge gives every receipt exactly the judgement that it gets alone, whatever was judged before, and checks what
//! receipts share once.
//! Method: the published corpus, good and broken, forwards, backwards and again, against `judge`; then receipts under one
//! checkpoint, each broken in a part of its own, and a count of the checks that were made.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};
use support::World;
use tpw_core::Receipt;
use tpw_crypto::Algorithm;
use tpw_proof::verdict::Work;
use tpw_proof::{BulkJudge, Layer, Trust, judge};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/receipts")
}

/// The receipts of the corpus, and the trust files that any of them is judged by.
fn corpus() -> (Vec<Vec<u8>>, Vec<Trust>) {
    let text = std::fs::read_to_string(folder().join("manifest.json")).unwrap();
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let name = |case: &serde_json::Value, member: &str| case[member].as_str().unwrap().to_owned();
    let file = |path: &str| std::fs::read(folder().join(path)).unwrap();
    let receipts = cases.iter().map(|case| file(&name(case, "file"))).collect();
    let mut names: Vec<String> = cases.iter().map(|case| name(case, "trust")).collect();
    names.sort();
    names.dedup();
    let trust = |path: &String| Trust::from_json(std::str::from_utf8(&file(path)).unwrap());
    (receipts, names.iter().map(|path| trust(path).unwrap()).collect())
}

#[test]
fn what_was_judged_before_changes_no_judgement() {
    let (receipts, trusts) = corpus();
    for trust in &trusts {
        let mut bulk = BulkJudge::new(trust);
        let alone: Vec<_> = receipts.iter().map(|bytes| judge(bytes, trust)).collect();
        let twice = receipts.iter().zip(&alone).chain(receipts.iter().zip(&alone).rev());
        for (bytes, alone) in twice {
            assert_eq!(bulk.judge(bytes), *alone);
        }
        let work = bulk.work();
        let checks = work.checkpoints + work.witnesses + work.root_signatures + work.timestamps;
        assert!(work.remembered >= checks, "{work:?}");
    }
}

#[test]
fn receipts_under_one_checkpoint_cost_one_check_of_each_kind() {
    let world = World::new(Algorithm::Ed25519);
    let (_intent, _record, good) = world.good();
    type Break = fn(&mut Receipt);
    let broken: [(Layer, Break); 5] = [
        (Layer::Statement, |r| *r.statement.last_mut().unwrap() ^= 1),
        (Layer::Leaf, |r| *r.record.last_mut().unwrap() ^= 1),
        (Layer::Leaf, |r| r.salt[0] ^= 1),
        (Layer::Leaf, |r| *r.leaf.last_mut().unwrap() ^= 1),
        (Layer::TlogProof, |r| r.tlog_proof = r.tlog_proof.replacen("index 2", "index 3", 1)),
    ];
    let mut bulk = BulkJudge::new(&world.trust);
    for _ in 0..100 {
        assert!(bulk.judge(&good.to_bytes()).is_valid());
        for (layer, change) in &broken {
            let mut receipt = good.clone();
            change(&mut receipt);
            let judgement = bulk.judge(&receipt.to_bytes());
            assert_eq!(judgement, judge(&receipt.to_bytes(), &world.trust));
            assert_eq!(judgement.first_failure().unwrap().0, *layer);
        }
    }
    // The changed entry leads to a root of its own; that no key signed it is found once too.
    let once =
        Work { checkpoints: 1, witnesses: 0, root_signatures: 2, timestamps: 1, remembered: 0 };
    let work = bulk.work();
    assert_eq!(Work { remembered: 0, ..work }, once);
    assert!(work.remembered > 1000, "{work:?}");
}

#[test]
fn a_good_token_does_not_speak_for_a_changed_one_nor_a_good_checkpoint_for_another() {
    let world = World::new(Algorithm::Ed25519);
    let (_intent, _record, good) = world.good();
    let mut bulk = BulkJudge::new(&world.trust);
    assert!(bulk.judge(&good.to_bytes()).is_valid());
    let mut token = good.clone();
    *token.timestamps[0].last_mut().unwrap() ^= 1;
    let failed = |bulk: &mut BulkJudge<'_>, receipt: &Receipt| {
        bulk.judge(&receipt.to_bytes()).first_failure().map(|(layer, _)| layer)
    };
    assert_eq!(failed(&mut bulk, &token), Some(Layer::Timestamp));
    let mut cose = good.clone();
    *cose.cose_receipts[0].last_mut().unwrap() ^= 1;
    assert_eq!(failed(&mut bulk, &cose), Some(Layer::CoseReceipt));
    // Of another operator with the same names: nothing that was found under our keys holds under theirs.
    let other = World::seeded(Algorithm::Ed25519, 8);
    assert!(!BulkJudge::new(&other.trust).judge(&good.to_bytes()).is_valid());
    assert_eq!(failed(&mut bulk, &good), None);
}
