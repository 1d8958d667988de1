//! Who was allowed what, on the command line: for the operator, for the person whose data it was about, and for a stranger.

use super::support::{Device, Server, tpw};

#[test]
fn a_decision_is_found_proved_and_judged_and_its_subject_hears_of_it() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &[]);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:1.00:label=main"]);
    let account = &alice.accounts[0];
    server.ops(&["account", "freeze", account]).ends(0);
    server.ops(&["account", "unfreeze", account]).ends(0);
    let audit = |words: &[&str]| tpw(&[&["audit"], words, &["--data", &server.data]].concat());
    let query = ["decisions", "--resource", account, "--action", "freeze"];
    let found = audit(&[&query[..], &["--json"]].concat()).ends(0).json();
    let decision = found["items"][0].clone();
    assert_eq!(
        (decision["ruling"].as_str(), decision["action"].as_str()),
        (Some("allowed"), Some("freeze"))
    );
    let told = audit(&query).ends(0).stdout;
    assert!(told.contains("\tallowed\tfreeze\t") && told.lines().count() == 1, "{told}");
    assert_eq!(audit(&["decisions", "--actor", "nobody.example"]).ends(0).stdout, "");
    audit(&["decisions", "--actor", "N"]).ends(2);
    audit(&["decisions", "--resource", "a b"]).ends(2);
    audit(&["decisions", "--action", "fly"]).ends(1);

    let told = tpw(&alice.args(&["audit", "accesses"])).ends(0).stdout;
    assert!(told.contains("\tallowed\tfreeze\t") && told.contains("\toperator\n"), "{told}");

    let (id, proof) = (decision["id"].as_str().unwrap(), root.path().join("decision.tlog-proof"));
    let proof = proof.to_str().unwrap();
    audit(&["show", id, "--out", proof]).ends(0);
    assert!(!std::path::Path::new(proof).exists(), "its entry waits for a checkpoint");
    alice.wallet(&["pay", "main", &bob.accounts[0], "1.00", "USD/2", "--yes-new-payee"]).ends(0);
    audit(&["show", id, "--out", proof]).ends(0);
    let trust = &format!("{}/trust.json", server.data);
    let judged = tpw(&["audit", "verify", proof, "--trust", trust, "--json"]).ends(0).json();
    assert_eq!(
        (&judged["decision"], &judged["resource"]),
        (&decision["id"], &decision["resource"])
    );
    tpw(&["audit", "verify", proof, "--trust", trust]).ends(0);
    let text = std::fs::read_to_string(proof).unwrap();
    std::fs::write(proof, text.replacen("\nextra h", "\nextra i", 1)).unwrap();
    let broken = tpw(&["audit", "verify", proof, "--trust", trust, "--json"]).ends(4).json();
    assert_eq!(broken["valid"], false);
}
