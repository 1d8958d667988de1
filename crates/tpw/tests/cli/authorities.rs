//! Goal: an operator has other time-stamp authorities stamp its checkpoints too, and names policies of its own.
//!
//! Method: a second server as the other authority, over HTTPS; receipts are upgraded, exported and judged, also by `openssl ts`. What
//! cannot be used is refused before the server starts.

use super::support::{Device, Ran, Server, command, tpw};
use super::tsa::Desk;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

const OURS: &str = "1.3.6.1.4.1.32473.8.1";
const COMPAT: &str = "1.3.6.1.4.1.32473.8.2";
const SECOND: &str = "1.3.6.1.4.1.32473.8.3";
const THEIRS: &str = "1.3.6.1.4.1.32473.9.1";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The file of the authority that `other` is.
fn described(other: &Server, path: &Path, more: &str) {
    let (url, data, ca) = (&other.url, &other.data, &other.ca);
    let text = format!(
        "name = \"other\"\nurl = \"{url}/tsa\"\npolicy = \"{THEIRS}\"\nroots = \"{data}/tsa-root.der\"\nca = \"{ca}\"\n{more}"
    );
    std::fs::write(path, text).unwrap();
}

/// Asks the operator for the receipts of a folder until they have changed.
fn upgraded(device: &Device, folder: &Path) {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let words = device.args(&["receipt", "upgrade", text(folder), "--json"]);
        let rows = tpw(&words).ends(0).json();
        if rows.as_array().unwrap().iter().all(|row| row["changed"] == true) {
            return;
        }
        assert!(Instant::now() < end, "{rows}");
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

fn receipts(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|end| end == "tpr")).collect()
}

fn trust_of(server: &Server) -> Value {
    let file = std::fs::read(Path::new(&server.data).join("trust.json")).unwrap();
    serde_json::from_slice(&file).unwrap()
}

#[test]
fn receipts_carry_the_time_stamps_of_others_and_of_a_second_key() {
    let desk = Desk::new();
    let root = tempfile::tempdir().unwrap();
    let policies = ["--tsa-policy", THEIRS, "--tsa-compat-policy", "1.3.6.1.4.1.32473.9.2"];
    let other = Server::start(&root.path().join("other"), &policies);
    let file = root.path().join("other.toml");
    described(&other, &file, "");
    let words = ["--tsa-policy", OURS, "--tsa-compat-policy", COMPAT, "--tsa-pq-policy", SECOND];
    let stamped = ["--timestamp-authority", text(&file), "--timestamp-every", "1"];
    let server = Server::start(&root.path().join("operator"), &[&words[..], &stamped[..]].concat());
    let trust = trust_of(&server);
    assert_eq!(trust["tsa_policies"], serde_json::json!([OURS, SECOND, THEIRS]));
    assert_eq!(trust["tsa_roots"].as_array().unwrap().len(), 3);

    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    alice.wallet(&["pay", "main", &bob.accounts[0], "1.00", "USD/2"]).ends(0);
    let folder = root.path().join("receipts");
    alice.wallet(&["receipts", "--out", text(&folder)]).ends(0);
    let trust = folder.join("trust.json");
    let [receipt] = &receipts(&folder)[..] else { panic!("one receipt") };
    let before = std::fs::read(receipt).unwrap().len();
    let count = || {
        let bytes = std::fs::read(receipt).unwrap();
        tpw_core::Receipt::from_bytes(&bytes).unwrap().timestamps.len()
    };
    while count() < 3 {
        upgraded(&alice, &folder);
    }
    assert!(std::fs::read(receipt).unwrap().len() > before + 9_000, "ML-DSA is long");
    let verdict = tpw(&["verify", text(receipt), "--trust", text(&trust), "--json"]).ends(0).json();
    assert_eq!(verdict["valid"], true);

    // Loose, each is a file of its own; stock tools judge those of curves.
    let loose = root.path().join("loose");
    let export = ["receipt", "export", text(receipt), "--trust", text(&trust), "--out"];
    tpw(&[&export[..], &[text(&loose)]].concat()).ends(0);
    let at = |name: &str| loose.join(name).display().to_string();
    for token in ["token.tsr", "token-3.tsr"] {
        desk.openssl(&format!(
            "ts -verify -in {} -data {} -CAfile {}",
            at(token),
            at("checkpoint"),
            at("tsa-root.pem")
        ));
    }
    for (token, policy) in [("token.tsr", OURS), ("token-2.tsr", SECOND), ("token-3.tsr", THEIRS)] {
        let judge = format!(
            "verify --token {} --data {} --roots {} --policy {policy} --json",
            at(token),
            at("checkpoint"),
            at("tsa-root.pem")
        );
        assert_eq!(desk.tsa(&judge).ends(0).json()["valid"], true, "{token}");
    }
}

#[test]
fn a_policy_may_change_and_receipts_of_before_still_hold() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("operator");
    let server = Server::start(&data, &[]);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    alice.wallet(&["pay", "main", &bob.accounts[0], "1.00", "USD/2"]).ends(0);
    let folder = root.path().join("receipts");
    alice.wallet(&["receipts", "--out", text(&folder)]).ends(0);
    server.stop();
    let server = Server::start(&data, &["--tsa-policy", OURS]);
    let policies = trust_of(&server)["tsa_policies"].clone();
    assert_eq!(policies, serde_json::json!([OURS, "1.3.6.1.4.1.32473.1.1"]));
    let trust = data.join("trust.json");
    for receipt in receipts(&folder) {
        tpw(&["verify", text(&receipt), "--trust", text(&trust)]).ends(0);
    }
}

/// What a server says that must not start.
fn refused(root: &Path, more: &[&str]) -> Ran {
    let data = root.join("never");
    let words = [&["serve", "--data", text(&data), "--listen", "127.0.0.1:0"], more].concat();
    let ran = tpw(&words).ends(2);
    assert!(!data.exists(), "nothing was set up");
    ran
}

#[test]
fn what_cannot_be_used_is_refused_before_anything_starts() {
    let root = tempfile::tempdir().unwrap();
    for wrong in ["", "1", "1.2", "1.2.03", "3.1.1", "1.2.3.", "one", "1.2.840 .1", "2.999"] {
        refused(root.path(), &["--tsa-policy", wrong]);
    }
    let same = ["--tsa-policy", OURS, "--tsa-compat-policy", OURS];
    assert!(refused(root.path(), &same).stderr.contains(OURS));
    let same = ["--tsa-pq-policy", "1.3.6.1.4.1.32473.1.2"];
    assert!(refused(root.path(), &same).stderr.contains("1.3.6.1.4.1.32473.1.2"));

    let (file, pem) = (root.path().join("a.toml"), root.path().join("root.pem"));
    let desk = Desk::new();
    std::fs::copy(desk.path("ca.pem"), &pem).unwrap();
    let good = [
        "name = \"a\"",
        "url = \"https://tsa.example/tsa\"",
        "policy = \"1.2.3\"",
        "roots = \"root.pem\"",
    ];
    let with = |place: usize, line: &str| {
        let mut lines = good;
        lines[place] = line;
        std::fs::write(&file, lines.join("\n")).unwrap();
    };
    for (place, line) in [
        (0, "name = \"A b\""),
        (0, "name = \"\""),
        (0, "name = \"ml-dsa-65\""),
        (0, "nam = \"a\""),
        (1, "url = \"ftp://tsa.example\""),
        (1, "url = \"https://\""),
        (2, "policy = \"1.2\""),
        (2, "policy = 1"),
        (2, ""),
        (3, "roots = \"a.toml\""),
    ] {
        with(place, line);
        let said = refused(root.path(), &["--timestamp-authority", text(&file)]).stderr;
        assert!(said.contains("a.toml"), "{line}: {said}");
    }
    with(3, "roots = \"absent.pem\"");
    let absent = ["--timestamp-authority", text(&file)];
    let data = root.path().join("never");
    tpw(&[&["serve", "--data", text(&data)], &absent[..]].concat()).ends(1);
    // Two of one name are noticed when the server opens its folder.
    std::fs::write(&file, good.join("\n")).unwrap();
    let twice = [&absent[..], &absent[..], &["--listen", "127.0.0.1:0"]].concat();
    let ran = command(&[&["serve", "--data", text(&data)], &twice[..]].concat()).output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("the same name"));
}

#[test]
fn one_that_is_not_asked_any_more_is_still_believed() {
    let root = tempfile::tempdir().unwrap();
    let other = Server::start(&root.path().join("other"), &[]);
    let file = root.path().join("other.toml");
    described(&other, &file, "ask = false\n");
    let words = ["--timestamp-authority", text(&file), "--timestamp-every", "1"];
    let server = Server::start(&root.path().join("operator"), &words);
    let trust = trust_of(&server);
    assert!(trust["tsa_policies"].as_array().unwrap().contains(&THEIRS.into()));
    assert_eq!(trust["tsa_roots"].as_array().unwrap().len(), 2);
}
