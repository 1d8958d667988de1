//! Goal: an operator makes evidence records by itself, and a holder has them with one command.
//!
//! Method: a real server with a pace of a second, receipts upgraded and judged offline.

use super::support::{Device, Server, tpw};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn receipts(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|end| end == "tpr")).collect()
}

#[test]
fn an_upgrade_brings_the_record_that_the_operator_made() {
    let root = tempfile::tempdir().unwrap();
    let words = ["--evidence-every", "1"];
    let server = Server::start(&root.path().join("operator"), &words);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    for _ in 0..3 {
        alice.wallet(&["pay", "main", &bob.accounts[0], "1.00", "USD/2"]).ends(0);
    }
    let folder = root.path().join("receipts");
    alice.wallet(&["receipts", "--out", text(&folder)]).ends(0);
    let trust = folder.join("trust.json");
    let levels = |file: &Path| {
        let words = ["verify", text(file), "--trust", text(&trust), "--json"];
        let verdict = tpw(&words).ends(0).json();
        assert_eq!(verdict["valid"], true);
        let all = verdict["levels"].as_array().unwrap();
        all.iter().any(|row| row["level"] == "L5" && row["outcome"] == "proved")
    };
    let end = Instant::now() + Duration::from_secs(60);
    while !receipts(&folder).iter().all(|file| levels(file)) {
        assert!(Instant::now() < end);
        std::thread::park_timeout(Duration::from_millis(300));
        tpw(&alice.args(&["receipt", "upgrade", text(&folder)])).ends(0);
    }
    // What is to be done next is years away, and is a renewal.
    let words = ["receipt", "plan", text(&folder), "--trust", text(&trust), "--json"];
    let plan = tpw(&words).ends(0).json();
    assert_eq!(plan.as_array().unwrap().len(), 3);
    assert!(plan.as_array().unwrap().iter().all(|row| row["step"] == "time_stamp"), "{plan}");
}
