//! Goal: a stranger with a receipt and the hash of one block learns that the chain has held it, offline.
//! Method: a real payment, its log's head announced on the real node by the commands, the proof put into the receipt, and
//! everything else put away before it is verified.

use super::node::{Chain, FINAL};
use crate::support::{Device, Server, tpw};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tpw_proof::Trust;

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The trust file, with what it says of the chain.
fn trusting(trust: &Path, contract: &str, blocks: &[&str]) -> String {
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(trust).unwrap()).unwrap();
    file["evm_anchors"] = json!([{ "chain_id": 31337, "contracts": [contract], "blocks": blocks }]);
    let path = trust.with_file_name(format!("trust-{contract}-{}.json", blocks.len()));
    // As the product writes it: its members have an order.
    std::fs::write(&path, Trust::from_json(&file.to_string()).unwrap().to_json()).unwrap();
    path.to_str().unwrap().to_owned()
}

pub(super) fn anchored(receipt: &Path, words: &[&str]) -> Value {
    let ran = tpw(&[&["verify", text(receipt), "--json"], words].concat()).ends(0).json();
    json!([ran["levels"][4]["outcome"], ran["anchors"][0]["standing"]])
}

/// What the verifier in another language says, in which no code of ours is.
pub(super) fn second(receipt: &Path, trust: &str) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/verify.py");
    let call = ["-B", script, text(receipt), "--trust", trust, "--json"];
    let ran = std::process::Command::new("python3").args(call).output().unwrap();
    let why = String::from_utf8_lossy(&ran.stderr);
    let there = ran.status.success();
    assert!(there, "this test needs the `python3` of `cargo xtask test`, with its packages: {why}");
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// What is left of a payment and its anchor.
struct Kept {
    receipt: PathBuf,
    /// The operator's trust file, the one that `tpw anchor trust` made of it, and the contract.
    trust: PathBuf,
    handed: PathBuf,
    contract: String,
}

/// The operator's folder after a payment, and the payer's receipt of it.
pub(super) fn pay(root: &Path) -> (PathBuf, PathBuf) {
    let data = root.join("operator");
    let server = Server::start(&data, &[]);
    let alice = Device::enrolled(&server, root, "Alice", &["USD/2:100.00:label=main"]);
    let bob = Device::enrolled(&server, root, "Bob", &["USD/2:label=main"]);
    let pay = || alice.wallet(&["pay", "main", &bob.accounts[0], "1.00", "USD/2", "--json"]);
    let (paid, _later) = (pay().ends(0).json(), pay().ends(0));
    let out = root.join("receipts");
    alice.wallet(&["receipts", "--out", text(&out)]).ends(0);
    let receipt = out.join(paid["receipt"].as_str().unwrap());
    server.stop();
    (data, receipt)
}

/// A payment, the log's head announced, and the proof put into the receipt.
fn anchor(chain: &Chain, root: &Path) -> Kept {
    let (data, receipt) = pay(root);
    let (folder, log, trust) = (root.join("anchor"), data.join("log"), data.join("trust.json"));
    let at = ["--log", text(&log), "--trust", text(&trust), "--data", text(&folder)];
    let node = ["--data", text(&folder), "--rpc", &chain.url];
    let ask = |words: &[&str]| tpw(&[&["anchor"], words].concat());
    let attach = || ask(&[&["attach", text(&receipt)], &at[..]].concat());
    ask(&["status", "--data", text(&folder)]).ends(2);
    let made = ask(&["init", "--data", text(&folder), "--json"]).ends(0).json();
    ask(&["init", "--data", text(&folder)]).ends(2);
    let address = root.join("node");
    std::fs::write(&address, format!("{}\n", chain.url)).unwrap();
    let address = format!("file:{}", text(&address));
    let once = || ask(&[&["once", "--rpc", &address], &at[..]].concat());
    // Without coins and without a contract.
    once().ends(2);
    ask(&[&["deploy"], &node[..]].concat()).ends(3);
    chain.fund(made["account"].as_str().unwrap());
    let deploy = || ask(&[&["deploy", "--json"], &node[..]].concat());
    deploy().ends(75);
    chain.until_sent(made["account"].as_str().unwrap(), 1);
    chain.mine(FINAL);
    let contract = deploy().ends(0).json()["detail"].as_str().unwrap().to_owned();
    assert_eq!(deploy().ends(0).json()["detail"], contract, "one contract, however often asked");
    attach().ends(75);
    let handed = root.join("handed.json");
    let write = ["trust", "--data", text(&folder), "--trust", text(&trust), "--out", text(&handed)];
    ask(&write).ends(0);
    // A node that is not there: nothing is lost.
    ask(&[&["once", "--rpc", "http://127.0.0.1:9"], &at[..]].concat()).ends(75);
    once().ends(75);
    chain.until_sent(made["account"].as_str().unwrap(), 2);
    chain.mine(FINAL);
    once().ends(0);
    once().ends(0);
    let status = ask(&["status", "--data", text(&folder), "--json"]).ends(0).json();
    assert_eq!((&status["open"], &status["contract"]), (&Value::Null, &json!(contract)));
    let before = std::fs::metadata(&receipt).unwrap().len();
    attach().ends(0);
    let after = std::fs::metadata(&receipt).unwrap().len();
    attach().ends(0);
    assert!(after > before && after == std::fs::metadata(&receipt).unwrap().len(), "once");
    std::fs::remove_dir_all(&folder).unwrap();
    Kept { receipt, trust, handed, contract }
}

#[test]
fn a_receipt_is_anchored_and_verified_offline() {
    let (chain, root) = (Chain::fresh(), tempfile::tempdir().unwrap());
    let Kept { receipt, trust, handed, contract } = anchor(&chain, root.path());
    // Offline: the trust file decides which chain and contract, the hash of one block does the rest.
    let plain = anchored(&receipt, &["--trust", text(&trust)]);
    assert_eq!(plain, json!(["absent", "unknown_chain"]));
    let known = trusting(&trust, &contract, &[]);
    assert_eq!(std::fs::read(&handed).unwrap(), std::fs::read(&known).unwrap());
    assert_eq!(anchored(&receipt, &["--trust", &known]), json!(["absent", "unknown_block"]));
    let told = tpw(&["verify", text(&receipt), "--trust", &known, "--json"]).ends(0).json();
    let hash = told["anchors"][0]["block_hash"].as_str().unwrap();
    let number = told["anchors"][0]["block"].as_str().unwrap().parse::<u64>().unwrap();
    let block = chain.ask("eth_getBlockByNumber", &json!([format!("0x{number:x}"), false]));
    assert_eq!(block["hash"], hash, "what anybody else says of this block");
    let with = |hash: &str| anchored(&receipt, &["--trust", &known, "--block-hash", hash]);
    assert_eq!(with(hash), json!(["proved", "known"]));
    assert_eq!(with(&hash.to_uppercase().replacen("0X", "0x", 1)), json!(["proved", "known"]));
    assert_eq!(with(&format!("0x{}", "00".repeat(32))), json!(["absent", "unknown_block"]));
    let listed = trusting(&trust, &contract, &[hash]);
    assert_eq!(anchored(&receipt, &["--trust", &listed]), json!(["proved", "known"]));
    assert_eq!(second(&receipt, &listed)["levels"]["anchored"], "proved");
    assert_eq!(second(&receipt, &known)["levels"]["anchored"], "absent");
    let other = trusting(&trust, &format!("0x{}", "11".repeat(20)), &[hash]);
    let failed = tpw(&["verify", text(&receipt), "--trust", &other, "--json"]).ends(4).json();
    assert_eq!(failed["failure"]["layer"], "anchor");
    tpw(&["verify", text(&receipt), "--trust", &known, "--block-hash", "0x12"]).ends(2);
    tpw(&["verify", text(&receipt), "--trust", text(&trust), "--block-hash", hash]).ends(2);
}
