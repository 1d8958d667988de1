//! Goal: the authority's key is replaced and destroyed while the server runs and is asked; whoever asks gets a time-stamp that holds or a
//! clean refusal; a server that is killed in the middle finishes it at its next start.
//!
//! Method: the server as a process, asked by several threads through `openssl s_client`, answers judged by the public verifier and by
//! `openssl ts`; `kill -9` at another moment of each change.

use super::support::{Server, tpw};
use super::tsa::{Desk, post};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tpw_proof::Trust;
use tpw_proof::timestamp::{CertificateWish, info, query, verify_answer};

const PLENTY: [&str; 2] = ["--tsa-rate", "1000"];

fn request() -> Vec<u8> {
    let hash = tpw_crypto::sha256(b"what is stamped\n");
    query(hash, Some([7; 8]), CertificateWish::Embedded).unwrap()
}

fn trust(folder: &Path) -> Trust {
    Trust::from_json(&std::fs::read_to_string(folder.join("trust.json")).unwrap()).unwrap()
}

/// What an answer is: a token that holds, or the words of a refusal with `systemFailure`.
fn judged(answer: &[u8], trust: &Trust) -> Result<(), String> {
    let summary = info(answer).unwrap();
    if summary.token.is_some() {
        verify_answer(answer, &request(), &trust.tsa_roots, &trust.tsa_policies).unwrap();
        return Ok(());
    }
    assert_eq!(summary.failure, [25], "systemFailure is bit 25: {summary:?}");
    Err(summary.status_text.join("; "))
}

fn ask(server: &Server, folder: &Path) -> Result<(), String> {
    judged(&post(server, &request()), &trust(folder))
}

/// Waits until the next key answers.
fn wait_for_token(server: &Server, folder: &Path) {
    let begun = Instant::now();
    while let Err(why) = ask(server, folder) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{why}");
    }
}

fn files(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|found| found == kind)).collect()
}

fn change(what: &str, folder: &Path) -> super::support::Ran {
    tpw(&["tsa", what, "--data", folder.to_str().unwrap()])
}

#[test]
fn keys_change_under_load_and_nobody_gets_a_wrong_answer() {
    let desk = Desk::new();
    let folder = desk.path("operator");
    let server = Server::start(&folder, &PLENTY);
    let (trust, ended) = (trust(&folder), AtomicBool::new(false));
    let load = || {
        let mut answers = Vec::new();
        while !ended.load(Ordering::Relaxed) {
            answers.push(judged(&post(&server, &request()), &trust));
        }
        answers
    };
    let answers = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(load)).collect();
        for _ in 0..2 {
            change("rotate", &folder).ends(0);
            wait_for_token(&server, &folder);
        }
        let destroyed = change("destroy", &folder).ends(0);
        assert!(destroyed.stderr.contains("the log has its end"), "{}", destroyed.stderr);
        let refused = ask(&server, &folder).unwrap_err();
        assert!(refused.contains("destroyed by its operator"), "{refused}");
        change("rotate", &folder).ends(0);
        wait_for_token(&server, &folder);
        ended.store(true, Ordering::Relaxed);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let tokens = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(tokens > 10, "{tokens} of {}", answers.len());
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        let known = ["about to use another key", "destroyed by its operator"];
        assert!(known.iter().any(|words| refused.contains(words)), "{refused}");
    }
    // Each end has its record, and nothing waits.
    assert_eq!((files(&folder, "cbor").len(), files(&folder, "unlogged").len()), (4, 0));
    let root = folder.join("tsa-root.der").display().to_string();
    desk.openssl(&format!("x509 -inform DER -in {root} -out root.pem"));
    std::fs::write(desk.path("q"), request()).unwrap();
    std::fs::write(desk.path("r"), post(&server, &request())).unwrap();
    desk.openssl("ts -verify -in r -queryfile q -CAfile root.pem");
    server.stop();

    // Without a server it waits for the next start.
    let waits = change("destroy", &folder).ends(75);
    assert!(waits.stderr.contains("at the next start"), "{}", waits.stderr);
    let server = Server::start(&folder, &PLENTY);
    assert!(ask(&server, &folder).unwrap_err().contains("destroyed by its operator"));
    let nowhere = change("destroy", &desk.path("nowhere")).ends(1);
    assert!(nowhere.stderr.contains("no data folder"), "{}", nowhere.stderr);
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_a_change_finishes_it() {
    let desk = Desk::new();
    let folder = desk.path("operator");
    let server = Server::start(&folder, &PLENTY);
    wait_for_token(&server, &folder);
    drop(server);
    let before = std::fs::read(folder.join("keys")).unwrap();
    let first = std::fs::read(folder.join("tsa.der")).unwrap();
    for kill in 0..8 {
        let server = Server::start(&folder, &PLENTY);
        wait_for_token(&server, &folder);
        std::fs::write(folder.join("tsa-rotate"), b"").unwrap();
        // It looks three times a second, and the change takes some hundredths: from the moment when it begins, killed a little later
        // each time.
        let begun = Instant::now();
        while folder.join("tsa-rotate").exists() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        std::thread::park_timeout(Duration::from_millis(kill * 6));
        // SIGKILL.
        drop(server);
        let server = Server::start(&folder, &PLENTY);
        wait_for_token(&server, &folder);
        for left in ["tsa-rotate", "tsa-rotating", "keys.old"] {
            assert!(!folder.join(left).exists(), "{kill}: {left}");
        }
        assert!(files(&folder, "unlogged").is_empty(), "{kill}");
        let keys = std::fs::read(folder.join("keys")).unwrap();
        assert_eq!(keys.len() - before.len(), "-1795391254243".len(), "{kill}: one stamping key");
        server.stop();
    }
    assert_ne!(std::fs::read(folder.join("tsa.der")).unwrap(), first);
    assert!(files(&folder, "cbor").len() >= 8, "each key that was in use has its end");
    tpw(&["log", "fsck", "--data", folder.to_str().unwrap()]).ends(0);
}
