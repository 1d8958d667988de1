//! Goal: an operator who has nothing but the key gets as far as governing the server, and out again when others are gone or policies do
//! not load. Method: the commands as they are typed, on a new server and after restarts.

use super::support::{Device, Server, secret, tpw};
use serde_json::Value;
use std::path::Path;

/// The program's own set with a remark, which makes it another version that means the same.
fn remarked(folder: &Path) -> String {
    let path = folder.to_str().unwrap().to_owned();
    tpw(&["policy", "export", &path]).ends(0);
    let file = folder.join("holder.cedar");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file, format!("{text}// ours\n")).unwrap();
    path
}

fn policy(server: &Server, words: &[&str]) -> super::support::Ran {
    tpw(&[&["policy"], words, &["--data", &server.data, "--json"]].concat())
}

#[test]
fn policies_are_activated_kept_and_rolled_back() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("operator");
    let server = Server::start(&data, &[]);
    let ours = remarked(&root.path().join("ours"));
    let first = policy(&server, &["status"]).ends(0).json();
    assert_eq!(first["version"], first["builtin"]);
    // Whoever only has the key reads, and is told what to do for more.
    let refused = policy(&server, &["activate", &ours]).ends(1);
    assert!(refused.stderr.contains("tpw ops login"), "{}", refused.stderr);
    assert!(
        server.ops(&["factor", "list"]).ends(0).json()["factors"].as_array().unwrap().is_empty()
    );
    server.log_in(root.path());
    let broken = root.path().join("ours/holder.cedar");
    let text = std::fs::read_to_string(&broken).unwrap();
    std::fs::write(&broken, text.replace("holder.own", "")).unwrap();
    policy(&server, &["activate", &ours]).ends(1);
    assert_eq!(policy(&server, &["status"]).ends(0).json(), first);
    std::fs::write(&broken, &text).unwrap();
    let now = policy(&server, &["activate", &ours]).ends(0).json();
    assert_ne!(now["version"], first["version"]);
    server.stop();

    let server = Server::start(&data, &[]);
    assert_eq!(policy(&server, &["status"]).ends(0).json(), now);
    let shown = tpw(&["policy", "status", "--data", &server.data]).ends(0);
    assert!(shown.stderr.contains(now["version"].as_str().unwrap()), "{}", shown.stderr);
    let back = policy(&server, &["rollback"]).ends(0).json();
    assert_eq!(back["version"], first["version"]);
    let again = policy(&server, &["rollback"]).ends(0).json();
    assert_eq!(again["version"], now["version"]);
    server.stop();
    // The way back of who runs the machine, which is written down.
    let server = Server::start(&data, &["--builtin-policies"]);
    let reset = policy(&server, &["status"]).ends(0).json();
    assert_eq!(reset["version"], first["version"]);
    assert_eq!(reset["history"][0].get("by"), None);
}

#[test]
fn who_is_left_alone_says_so_on_the_machine() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("operator");
    let server = Server::start(&data, &[]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:1.00:label=main"]);
    let profile = std::fs::read_to_string(bob.folder.join("profile.json")).unwrap();
    let profile: Value = serde_json::from_str(&profile).unwrap();
    let person = profile["person"].as_str().unwrap();
    server.log_in(root.path());
    server.ops(&["roles", person, "--set", "approver"]).ends(0);
    // From now on there are two, and the operator's device is of today.
    let refused = server.ops(&["roles", person, "--set"]).ends(3);
    assert!(refused.stderr.contains("server-said"), "{}", refused.stderr);
    server.stop();
    let server = Server::start(&data, &["--operator-alone"]);
    let taken = server.ops(&["roles", person, "--set"]).ends(0).json();
    assert_eq!(taken["roles"], serde_json::json!([]));
}

#[test]
fn factors_of_an_operator() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &[]);
    let recovery = server.ops(&["factor", "recovery"]).ends(0).json();
    let code = secret(&root.path().join("code"), recovery["codes"][0].as_str().unwrap());
    let proved = server.ops(&["login", "--with", "recovery", "--secret-file", &code]).ends(0);
    assert_eq!(proved.json()["acr"], "aal1", "a further thing that one has raises nothing");
    let weak = secret(&root.path().join("weak"), "operator1");
    server.ops(&["factor", "password", "--secret-file", &weak]).ends(1);
    server.log_in(root.path());
    server.ops(&["factor", "totp"]).ends(0);
    server.ops(&["factor", "remove", "recovery"]).ends(0);
    let wrong = secret(&root.path().join("wrong"), "violet hammock 58");
    server.ops(&["login", "--secret-file", &wrong]).ends(1);
}

#[test]
fn the_prover_is_run_if_it_is_there() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let here = folder.path().join("tpw");
    std::fs::hard_link(env!("CARGO_BIN_EXE_tpw"), &here).unwrap();
    let prove = |words: &[&str]| {
        let mut command = std::process::Command::new(&here);
        command.args(["policy", "prove"]).args(words).env_clear().output().unwrap()
    };
    let absent = prove(&[]);
    let said = String::from_utf8_lossy(&absent.stderr);
    assert!(said.contains("cvc5") && said.contains("tpw-prove"), "{said}");
    assert_eq!(absent.status.code(), Some(1));
}
