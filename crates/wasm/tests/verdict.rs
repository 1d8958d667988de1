//! Goal: the page is told the judge's verdict, and never more of a payment than is proved. Method: every receipt of the published
//! corpus goes through the functions that the page calls; the answer is compared with the manifest and with the judge.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use tpw_proof::{Trust, judge};
use tpw_wasm::verdict_json;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/receipts")
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn told(receipt: &[u8], trust: &[u8]) -> Value {
    serde_json::from_str(&verdict_json(receipt, trust)).unwrap()
}

fn outcomes(list: &Value) -> Vec<(&str, &str)> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|item| (item["name"].as_str().unwrap(), item["outcome"].as_str().unwrap()))
        .collect()
}

#[test]
fn every_receipt_of_the_corpus_is_told_as_it_is_judged() {
    let manifest: Value = serde_json::from_slice(&file("manifest.json")).unwrap();
    for case in manifest.as_array().unwrap() {
        let name = case["file"].as_str().unwrap();
        let (bytes, trust) = (file(name), file(case["trust"].as_str().unwrap()));
        let answer = told(&bytes, &trust);
        assert_eq!(answer["valid"], case["valid"], "{name}");
        assert_eq!(
            answer["failure"].get("layer").unwrap_or(&Value::Null),
            &case["layer"],
            "{name}"
        );
        let judgement = judge(&bytes, &Trust::from_json(str::from_utf8(&trust).unwrap()).unwrap());
        let levels = judgement.levels.iter().map(|r| (r.level.code(), r.outcome.code()));
        assert_eq!(outcomes(&answer["levels"]), levels.collect::<Vec<_>>(), "{name}");
        let layers = judgement.layers.iter().map(|r| (r.layer.code(), r.outcome.code()));
        assert_eq!(outcomes(&answer["layers"]), layers.collect::<Vec<_>>(), "{name}");
        assert_eq!(answer["payment"].is_null(), judgement.payment.is_none(), "{name}");
        // Facts are told of what is proved alone.
        for layer in answer["facts"].as_object().unwrap().keys() {
            let proved =
                judgement.layers.iter().any(|r| r.layer.code() == layer && r.outcome.is_proved());
            assert!(proved, "{name}: {layer}");
        }
    }
}

#[test]
fn the_path_leads_to_the_root_exactly_when_the_inclusion_is_proved() {
    let trust = file("trust.json");
    let path = |name: &str| told(&file(name), &trust)["path"].clone();
    let good = path("good/ed25519.tpr");
    assert_eq!(good["leads"], true);
    let steps = good["steps"].as_array().unwrap();
    assert!(!steps.is_empty());
    assert_eq!(steps.last().unwrap()["node"], good["root"]);
    for (name, leads) in [
        ("good/big-tree.tpr", true),
        ("good/last-leaf-of-a-ragged-tree.tpr", true),
        ("broken/proof-path-mutated.tpr", false),
        ("broken/proof-path-swapped.tpr", false),
    ] {
        assert_eq!(path(name)["leads"], leads, "{name}");
    }
    for name in
        ["broken/proof-path-short.tpr", "broken/proof-path-long.tpr", "broken/container-empty.tpr"]
    {
        assert!(path(name).is_null(), "{name}");
    }
}

#[test]
fn signers_are_named_only_when_their_signature_holds() {
    let trust = file("trust.json");
    let roles = |name: &str| -> Vec<String> {
        let answer = told(&file(name), &trust);
        let signers = answer["signers"].as_array().unwrap().iter();
        signers.map(|signer| signer["role"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(roles("good/ed25519.tpr"), ["device", "log", "log", "authority"]);
    assert_eq!(roles("broken/statement-signature-flipped.tpr"), ["log", "log", "authority"]);
    assert_eq!(roles("broken/checkpoint-ed25519-flipped.tpr"), ["device", "authority"]);
    assert_eq!(roles("broken/container-empty.tpr"), Vec::<String>::new());
}

#[test]
fn without_a_trust_file_there_is_no_verdict() {
    let receipt = file("good/ed25519.tpr");
    for trust in [b"".as_slice(), b"{}", b"\xff", b"null", &file("good/ed25519.tpr")] {
        let answer = told(&receipt, trust);
        assert!(answer["trust_error"]["reason"].is_string(), "{answer}");
        assert_eq!(answer.as_object().unwrap().len(), 1);
    }
    let too_large = vec![b' '; tpw_proof::trust::SIZE_MAX + 1];
    assert_eq!(told(&receipt, &too_large)["trust_error"]["reason"], "too_large");
}

#[test]
fn no_bytes_make_it_panic() {
    let (receipt, trust) = (file("good/ed25519.tpr"), file("trust.json"));
    for end in (0..receipt.len()).step_by(97) {
        assert_eq!(told(&receipt[..end], &trust)["valid"], false);
    }
    for end in (0..trust.len()).step_by(97) {
        assert!(told(&receipt, &trust[..end])["trust_error"].is_object());
    }
}
