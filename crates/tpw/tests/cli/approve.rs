//! Several people on the command line, and payees that are taken for others.

use super::support::{Device, Ran, Server, tpw};
use serde_json::Value;

fn person_of(device: &Device) -> String {
    let profile = std::fs::read_to_string(device.folder.join("profile.json")).unwrap();
    let profile: Value = serde_json::from_str(&profile).unwrap();
    profile["person"].as_str().unwrap().to_owned()
}

fn approve(device: &Device, args: &[&str]) -> Ran {
    tpw(&device.args(&[&["approve"], args].concat()))
}

/// Of two approvers the second one is made a day after the operator's device: `api` has that, which sets the clock.
#[test]
fn an_approver_releases_a_large_payment() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &[]);
    let device =
        |name: &str, account: &str| Device::enrolled(&server, root.path(), name, &[account]);
    let alice = device("Alice", "USD/2:90000.00:label=main");
    let payee = device("Payee", "USD/2:1.00:label=main");
    let bob = device("Bob", "USD/2:1.00:label=main");
    let order = ["pay", "main", &payee.accounts[0], "20000.00", "USD/2", "--json"];
    let held = alice.wallet(&order).ends(6).json();
    let id = held["payment"].as_str().unwrap();
    // The operator's key alone is not enough, and what to do is said.
    let release = ["ops", "--data", &server.data, "holds", "release", id];
    let refused = tpw(&release).ends(1);
    assert!(refused.stderr.contains("tpw ops login"), "{}", refused.stderr);
    let refused = tpw(&[&release[..], &["--lang", "zh-CN"]].concat()).ends(1);
    assert!(refused.stderr.contains("tpw ops factor password"), "{}", refused.stderr);
    server.log_in(root.path());
    let given = server.ops(&["roles", &person_of(&bob), "--set", "approver"]);
    assert_eq!(given.ends(0).json()["roles"][0], "approver");
    let asked = server.ops(&["holds", "release", id]).ends(6).json();
    let request = asked["id"].as_str().unwrap();

    let list = approve(&bob, &["list", "--json"]).ends(0).json();
    assert_eq!(list["items"][0]["resource"], id);
    let shown = approve(&bob, &["list", "--lang", "zh-CN"]).ends(0);
    assert!(shown.stdout.contains("放行冻结的付款"), "{}", shown.stdout);
    // Nobody is there to say yes, so it has to be said on the command line.
    approve(&bob, &["yes", request]).ends(1);
    // And by somebody who has shown who they are.
    assert_ne!(approve(&bob, &["yes", request, "--yes"]).code, 0, "the device alone");
    bob.log_in();
    assert_ne!(approve(&alice, &["yes", request, "--yes"]).code, 0, "the payer has no role");
    let own = ["approve", "--data", &server.data, "yes", request, "--yes"];
    assert_ne!(tpw(&own).code, 0, "the operator asked for it");
    assert_eq!(server.ops(&["payment", "show", id]).ends(0).json()["status"], "held");
    let done = approve(&bob, &["yes", request, "--yes", "--json"]).ends(0).json();
    assert_eq!(done["stage"], "executed");
    assert_ne!(approve(&bob, &["yes", request, "--yes"]).code, 0, "it is carried out");
    let payment = server.ops(&["payment", "show", id]).ends(0).json();
    assert_eq!(payment["status"], "booked");
    let keys = payment["approvals"].as_array().unwrap().iter().map(|given| &given["key"]);
    let votes = done["votes"].as_array().unwrap().iter().map(|vote| &vote["key"]);
    assert!(keys.eq(votes), "{payment}");
    let history = approve(&bob, &["show", request]).ends(0).stdout;
    assert_eq!(history.matches("approved").count(), 1, "{history}");
}

#[test]
fn a_payee_who_could_be_taken_for_another_has_to_be_confirmed() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &[]);
    let device =
        |name: &str| Device::enrolled(&server, root.path(), name, &["USD/2:100.00:label=main"]);
    let (alice, bank, other) = (device("Alice"), device("Bank"), device("Other"));
    alice.wallet(&["payees", "name", "中国银行", &bank.accounts[0]]).ends(0);
    let pay = |to: &str, more: &[&str]| {
        alice.wallet(&[&["pay", "main", to, "1.00", "USD/2"], more].concat())
    };
    pay("中国银行", &[]).ends(0);
    let stopped = pay(&other.accounts[0], &["--payee-name", "中囯银行"]).ends(1);
    assert!(stopped.stderr.contains("looks like “中国银行”"), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("nothing was signed"), "{}", stopped.stderr);
    let moved = pay(&other.accounts[0], &["--payee-name", "中国银行", "--lang", "zh-CN"]).ends(1);
    assert!(moved.stderr.contains(&bank.accounts[0]), "{}", moved.stderr);
    assert_eq!(other.available(), "10000");
    pay(&other.accounts[0], &["--payee-name", "中囯银行", "--yes-new-payee"]).ends(0);
    assert_eq!(other.available(), "10100");
    // It was confirmed, and is known under its name from now on.
    let list = alice.wallet(&["payees", "list", "--json"]).ends(0).json();
    assert_eq!(list["items"][1]["account"], other.accounts[0].as_str());
    alice.wallet(&["payees", "forget", "中囯银行"]).ends(0);
    assert_eq!(
        alice.wallet(&["payees", "list", "--json"]).json()["items"].as_array().unwrap().len(),
        1
    );
}
