//! What the log commands prove from a running server, from a copied folder, and against a log that was rewritten.

use super::support::{Device, Server, tpw};
use std::path::Path;
use tpw_proof::TlogProof;

/// The public files of a log, copied as anybody may.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn entries_and_receipts_are_proved_from_a_server_and_from_a_folder() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("operator");
    let server = Server::start(&data, &[]);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    let pay = || alice.wallet(&["pay", "main", &bob.accounts[0], "1.00", "USD/2", "--json"]);
    let paid = pay().ends(0).json();
    let out = root.path().join("receipts");
    alice.wallet(&["receipts", "--out", text(&out)]).ends(0);
    let receipt = out.join(paid["receipt"].as_str().unwrap());
    let trust = data.join("trust.json");
    let old = root.path().join("old-checkpoint");
    let told = tpw(&["log", "checkpoint", "--server", &server.url, "--ca", &server.ca, "--json"]);
    std::fs::write(&old, told.ends(0).json()["checkpoint"].as_str().unwrap()).unwrap();
    pay().ends(0);

    let at = ["--server", server.url.as_str(), "--ca", server.ca.as_str(), "--trust", text(&trust)];
    let ask = |words: &[&str]| tpw(&[&["log"], words, &at[..]].concat());
    let file = root.path().join("entry.tlog-proof");
    let proved = ask(&["prove", "--receipt", text(&receipt), "--out", text(&file), "--json"]);
    let proved = proved.ends(0).json();
    let proof = TlogProof::parse(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(proved["proof"], proof.to_string());
    assert_eq!(proved["index"], proof.index.to_string());
    proof.verify_inclusion(&proved["leaf"].as_str().unwrap().parse().unwrap()).unwrap();
    let said = ask(&["prove", "--index", "0"]).ends(0);
    TlogProof::parse(&said.stdout).unwrap();
    ask(&["prove", "--index", "99"]).ends(1);

    // The state of before is the beginning of the state of now; sizes do as well as files.
    let grown = ask(&["consistency", text(&old), "--json"]).ends(0).json();
    assert!(grown["proof"].as_str().unwrap().starts_with("old "));
    ask(&["consistency", "1", "2"]).ends(0);
    ask(&["consistency", "0"]).ends(0);
    ask(&["consistency", "2", "1"]).ends(2);
    ask(&["consistency", "1", "99"]).ends(1);
    ask(&["consistency", "99"]).ends(1);
    ask(&["fsck"]).ends(0);
    server.stop();

    // The same from a copy, offline. Without a log two checkpoints are compared only if they are of one size.
    let mirror = root.path().join("mirror");
    copy(&data.join("log"), &mirror);
    let at = ["--log", text(&mirror), "--trust", text(&trust)];
    let ask = |words: &[&str]| tpw(&[&["log"], words, &at[..]].concat());
    ask(&["prove", "--receipt", text(&receipt)]).ends(0);
    ask(&["consistency", text(&old)]).ends(0);
    assert_eq!(ask(&["fsck", "--json"]).ends(0).json()["sound"], true);
    let alone = |words: &[&str]| tpw(&[&["log", "consistency"], words, &at[2..]].concat());
    alone(&[text(&old), text(&old)]).ends(0);
    let newest = mirror.join("checkpoint");
    alone(&[text(&old), text(&newest)]).ends(2);
    alone(&[text(&old)]).ends(2);

    // One edited byte, and the log proves nothing more with it.
    let bundle = std::fs::read_dir(mirror.join("tile/entries/000.p")).unwrap();
    let newest = bundle
        .map(|entry| entry.unwrap().path())
        .max_by_key(|path| path.file_name().unwrap().to_str().unwrap().parse::<u16>().unwrap());
    let newest = newest.unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&newest, &bytes).unwrap();
    let audit = ask(&["fsck", "--lang", "zh-CN"]).ends(4);
    assert!(audit.stderr.contains("重新获取"), "{}", audit.stderr);
    ask(&["prove", "--index", "0", "--lang", "zh-CN"]).ends(4);
    // An entry is proved by its hash: the receipt brings its own.
    ask(&["prove", "--receipt", text(&receipt)]).ends(0);
}

#[test]
fn a_log_that_was_rewritten_is_exit_4() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("operator");
    let server = Server::start(&data, &[]);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    let listen = server.listen.clone();
    server.stop();
    // Operator and payer go on twice from here, with the same keys.
    let twin = root.path().join("twin");
    copy(&data, &twin);
    let other_alice = root.path().join("other-alice");
    copy(&alice.folder, &other_alice);
    let other_alice = Device {
        folder: other_alice,
        passphrase: alice.passphrase.clone(),
        accounts: alice.accounts.clone(),
    };
    let pay = |data: &Path, payer: &Device, amount: &str| {
        let server = Server::start(data, &["--listen", &listen]);
        payer.wallet(&["pay", "main", &bob.accounts[0], amount, "USD/2"]).ends(0);
        server.stop();
    };
    pay(&data, &alice, "1.00");
    pay(&twin, &other_alice, "2.00");
    let trust = data.join("trust.json");
    let compare = |old: &Path, log: &Path| {
        let (old, log) = (old.join("log/checkpoint"), log.join("log"));
        tpw(&["log", "consistency", text(&old), "--log", text(&log), "--trust", text(&trust)])
    };
    compare(&data, &data).ends(0);
    compare(&data, &twin).ends(4);
    compare(&twin, &data).ends(4);
    pay(&twin, &other_alice, "3.00");
    compare(&data, &twin).ends(4);
    // Another operator's log, under this one's trust file.
    let other = root.path().join("other");
    let server = Server::start(&other, &[]);
    let eve = Device::enrolled(&server, root.path(), "Eve", &["USD/2:1.00:label=main"]);
    eve.wallet(&["pay", "main", &eve.accounts[0], "1.00", "USD/2"]);
    server.stop();
    compare(&other, &other).ends(4);
    let log = other.join("log");
    tpw(&["log", "fsck", "--log", text(&log), "--trust", text(&trust)]).ends(4);
}

#[test]
fn what_is_wrongly_asked_is_exit_2() {
    let root = tempfile::tempdir().unwrap();
    let dir = text(root.path());
    let policy = root.path().join("policy");
    std::fs::write(&policy, "quorum none\n").unwrap();
    for words in [
        &["prove", "--log", dir][..],
        &["prove", "--log", dir, "--index", "1"],
        &["prove", "--log", dir, "--index", "1", "--receipt", "x"],
        &["prove", "--index", "1", "--policy", text(&policy)],
        &["fsck"],
        &["fsck", "--log", dir],
        &["fsck", "--data", dir, "--log", dir],
        &["fsck", "--data", dir, "--policy", text(&policy)],
        &["fsck", "--log", dir, "--policy", text(&policy)],
        &["fsck", "--log", dir, "--store", "postgres://x"],
        &["consistency", "--log", dir, "--policy", text(&policy)],
    ] {
        tpw(&[&["log"], words].concat()).ends(2);
    }
    std::fs::write(&policy, "quorum none").unwrap();
    let ran = tpw(&["log", "fsck", "--log", dir, "--policy", text(&policy)]).ends(2);
    assert!(ran.stderr.contains("line"), "{}", ran.stderr);
}
