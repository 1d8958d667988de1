//! Goal: the page is told the judge's verdict, and never more of a payment than is proved. Method: every receipt of the published
//! corpus goes through the functions that the page calls; the answer is compared with the manifest and with the judge.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use tpw_core::{Hash32, words};
use tpw_crypto::sha256;
use tpw_proof::{Trust, judge};
use tpw_wasm::verdict_json;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/receipts")
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn told(receipt: &[u8], trust: &[u8]) -> Value {
    serde_json::from_str(&verdict_json(receipt, trust, b"")).unwrap()
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
        assert_eq!(answer["file_hash"], Hash32::new(sha256(&bytes)).to_string(), "{name}");
        if let Some(proved) = &judgement.payment {
            let (money, payment) = (proved.intent.money, &answer["payment"]);
            assert_eq!(payment["in_words"]["en"], words::english(money), "{name}");
            assert_eq!(payment["in_words"]["zh-CN"], words::formal_chinese(money), "{name}");
            assert_eq!(payment["operator"], proved.intent.audience.as_str(), "{name}");
            assert_eq!(payment["sequence"], proved.intent.sequence.to_string(), "{name}");
        }
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

/// A file of the corpora of anchors.
fn anchored(name: &str) -> Vec<u8> {
    std::fs::read(folder().join("..").join(name)).unwrap()
}

fn told_with(receipt: &str, trust: &str, blocks: &str) -> Value {
    let answer = verdict_json(&anchored(receipt), &anchored(trust), blocks.as_bytes());
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn a_block_that_a_person_knows_proves_the_anchor_and_nothing_else_does() {
    let (receipt, bare) = ("anchors/good/in-a-full-block.tpr", "anchors/trust-no-block.json");
    let list: Value = serde_json::from_slice(&anchored("anchors/trust.json")).unwrap();
    let hash = list["evm_anchors"][0]["blocks"][0].as_str().unwrap();
    let other = list["evm_anchors"][0]["blocks"][1].as_str().unwrap();
    let level = |blocks: &str| {
        let answer = told_with(receipt, bare, blocks);
        assert_eq!(answer["valid"], true, "{blocks}");
        let outcome = answer["levels"][4]["outcome"].as_str().unwrap().to_owned();
        (outcome, answer["anchors"][0]["standing"].as_str().unwrap().to_owned())
    };
    let pair = |outcome: &str, standing: &str| (outcome.to_owned(), standing.to_owned());
    assert_eq!(level(""), pair("absent", "unknown-block"));
    assert_eq!(level(other), pair("absent", "unknown-block"));
    for blocks in
        [hash.to_owned(), format!("\n  {other} \r\n{}\n", hash.to_uppercase()), format!("{hash}\n")]
    {
        assert_eq!(level(&blocks), pair("proved", "known"), "{blocks}");
    }
    // The trust file is told as it is, whatever was added.
    let trust = |blocks: &str| told_with(receipt, bare, blocks)["trust"].clone();
    assert_eq!(trust(""), trust(hash));
    // The hash that the anchor claims is nowhere in the answer.
    assert!(!told_with(receipt, bare, "").to_string().contains(&hash[2..]));
}

#[test]
fn what_is_no_block_is_told_with_its_line() {
    let zeros = |count: usize| "00".repeat(count);
    let hash = format!("0x{}", zeros(32));
    for (blocks, line, reason) in [
        (zeros(32), "1", "form"),
        (format!("0x{}", zeros(31)), "1", "form"),
        (format!("{hash}\n\n0x{}", zeros(33)), "3", "form"),
        (format!("{hash} {hash}"), "1", "form"),
        (format!("main 1 {}", zeros(80)), "1", "header"),
        (format!("{hash}\nmain 1 {}", zeros(79)), "2", "header"),
        (format!("main -1 {}", zeros(80)), "1", "form"),
        (format!("testnet 1 {}", zeros(80)), "1", "form"),
        ("main 1 xyz".to_owned(), "1", "form"),
        (format!("{hash}\n").repeat(65), "65", "too-many"),
        (" ".repeat(1 << 15), "1", "too-many"),
    ] {
        let answer =
            told_with("anchors/good/in-a-full-block.tpr", "anchors/trust-no-block.json", &blocks);
        let wanted = serde_json::json!({ "blocks_error": { "line": line, "reason": reason } });
        assert_eq!(answer, wanted, "{blocks}");
    }
    let answer =
        told_with("anchors/good/in-a-full-block.tpr", "anchors/trust-no-chain.json", &hash);
    assert_eq!(answer["blocks_error"]["reason"], "no-chain");
    let (receipt, trust) =
        (anchored("anchors/good/in-a-full-block.tpr"), anchored("anchors/trust.json"));
    let odd = verdict_json(&receipt, &trust, &[0xff]);
    assert!(odd.contains("blocks_error"), "{odd}");
}

#[test]
fn a_bitcoin_header_that_a_person_knows_proves_the_anchor() {
    let list: Value = serde_json::from_slice(&anchored("ots/trust.json")).unwrap();
    let run = &list["bitcoin_headers"][0];
    let line = |place: usize| {
        let height = run["first_height"].as_u64().unwrap() + u64::try_from(place).unwrap();
        format!("regtest {height} {}", run["headers"][place].as_str().unwrap())
    };
    let level = |blocks: &str| {
        told_with("ots/good/in-a-block.tpr", "ots/trust-no-block.json", blocks)["levels"][4]["outcome"]
            .clone()
    };
    assert_eq!(level(""), "absent");
    assert_eq!(level(&line(0)), "absent", "another block");
    assert_eq!(level(&line(1)), "proved");
    // Told as what it is: a block of a test network.
    let told = told_with("ots/good/in-a-block.tpr", "ots/trust-no-block.json", &line(1));
    assert_eq!(told["anchors"][0]["chain"], "Bitcoin regtest");
    assert_eq!(told["facts"]["anchor"]["chain"], "Bitcoin regtest");
    // That block at another height, and another block at that height.
    let away = line(1).replacen("701", "700", 1);
    assert_eq!(level(&away), "absent");
    let swapped = line(0).replacen("700", "701", 1);
    assert_eq!(level(&swapped), "failed");
    // What costs nothing is none of Bitcoin's.
    let claimed = line(1).replacen("regtest", "main", 1);
    let answer = told_with("ots/good/in-a-block.tpr", "ots/trust-no-block.json", &claimed);
    assert_eq!(answer["blocks_error"]["reason"], "header");
}
