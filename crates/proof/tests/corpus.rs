//! Goal: the judge gives every receipt of the published corpus the verdict that the corpus asks for.
//! Method: `spec/vectors/receipts` holds good receipts and broken ones that each break one rule; its manifest, written by
//! hand, names the layer in which each is refused. The second verifier is held to the same files.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tpw_core::Receipt;
use tpw_proof::{Layer, Trust, judge, with_known_stamps};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/receipts")
}

fn manifest() -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(folder().join("manifest.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn trust(name: &str) -> Trust {
    Trust::from_json(&std::fs::read_to_string(folder().join(name)).unwrap()).unwrap()
}

#[test]
fn every_receipt_gets_its_verdict() {
    let mut wrong = Vec::new();
    for case in manifest() {
        let file = case["file"].as_str().unwrap();
        let bytes = std::fs::read(folder().join(file)).unwrap();
        let judgement = judge(&bytes, &trust(case["trust"].as_str().unwrap()));
        let failure = judgement.first_failure();
        let found = (judgement.is_valid(), failure.map(|(layer, _)| layer.code()));
        if found != (case["valid"].as_bool().unwrap(), case["layer"].as_str()) {
            wrong.push(format!("{file}: {found:?}, {}", failure.map_or("-", |(_, e)| e.code())));
        }
        // Only what is proved is shown.
        assert!(!judgement.is_valid() || judgement.payment.is_some(), "{file}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A device keeps the trust file of its enrolment: an authority that was named later costs it nothing.
#[test]
fn time_stamps_of_authorities_that_are_not_known_are_left_out_and_bad_ones_are_not() {
    let read = |file: &str| Receipt::from_bytes(&std::fs::read(folder().join(file)).unwrap());
    let (older, newer) = (trust("trust.json"), trust("trust-authorities.json"));
    let three = read("good/authorities-three.tpr").unwrap();
    assert_eq!(with_known_stamps(three.clone(), &newer), three);
    let own = with_known_stamps(three.clone(), &older);
    assert_eq!(own.timestamps, three.timestamps[..1]);
    assert!(judge(&own.to_bytes(), &older).is_valid());
    for (file, trust) in [
        ("broken/authorities-ml-dsa-65-flipped.tpr", &newer),
        ("broken/authorities-second-over-other-data.tpr", &newer),
        ("broken/authorities-ml-dsa-65-with-sha-256.tpr", &older),
        ("broken/time-second-token-bad.tpr", &older),
        // None is known: nothing is taken away that would say why.
        ("good/authorities-ml-dsa-65-alone.tpr", &older),
    ] {
        let receipt = read(file).unwrap();
        let kept = with_known_stamps(receipt.clone(), trust);
        assert_eq!(kept, receipt, "{file}");
        assert!(!judge(&kept.to_bytes(), trust).is_valid(), "{file}");
    }
}

#[test]
fn the_corpus_is_whole() {
    let cases = manifest();
    let listed: BTreeSet<String> =
        cases.iter().map(|case| case["file"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed.len(), cases.len(), "a file is listed twice");
    let mut there = BTreeSet::new();
    for part in ["good", "broken"] {
        for entry in std::fs::read_dir(folder().join(part)).unwrap() {
            there.insert(format!("{part}/{}", entry.unwrap().file_name().to_str().unwrap()));
        }
    }
    assert_eq!(there, listed);
    let layers: BTreeSet<&str> = cases.iter().filter_map(|case| case["layer"].as_str()).collect();
    assert_eq!(layers.len(), Layer::ALL.len(), "a layer that no broken receipt fails in");
    let broken = cases.iter().filter(|case| case["valid"] == false).count();
    assert!(broken >= 60 && cases.len() - broken >= 20, "{broken} of {}", cases.len());
}
