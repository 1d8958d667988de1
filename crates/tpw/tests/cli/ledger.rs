//! The operator's tools for the ledger, from a shell.

use super::support::{Device, Ran, Server, tpw};
use serde_json::{Value, json};
use std::path::Path;
use tpw_core::TransferId;

struct World {
    root: tempfile::TempDir,
    server: Server,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let server = Server::start(&root.path().join("operator"), &[]);
        Self { root, server }
    }

    fn ops(&self, words: &[&str]) -> Ran {
        let mut all = vec!["ops", "--data", self.server.data.as_str()];
        all.extend_from_slice(words);
        tpw(&all)
    }

    fn json(&self, words: &[&str]) -> Value {
        let mut all = words.to_vec();
        all.push("--json");
        self.ops(&all).ends(0).json()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.root.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn bank(&self) -> String {
        let opened = self.json(&["account", "open-external", "USD/2", "bank"]);
        opened["id"].as_str().unwrap().to_owned()
    }
}

fn paid(device: &Device, to: &str, amount: &str) -> String {
    let paid = device.wallet(&["pay", "main", to, amount, "USD/2", "--json"]).ends(0).json();
    paid["payment"].as_str().unwrap().to_owned()
}

fn root(world: &World) -> &Path {
    world.root.path()
}

#[test]
fn a_statement_is_reconciled_and_the_exit_code_says_whether_all_agrees() {
    let world = World::new();
    let alice =
        Device::enrolled(&world.server, root(&world), "Alice", &["USD/2:100.00:label=main"]);
    let bank = world.bank();
    let (one, two) = (paid(&alice, &bank, "7.00"), paid(&alice, &bank, "8.00"));
    let changes = world.json(&["changes", "--limit", "1000"]);
    let at =
        changes["items"].as_array().unwrap().last().unwrap()["at"].as_str().unwrap().to_owned();
    let day = &at[..10];
    let head = "booking_date,amount,currency,reference";
    let good =
        world.file("good.csv", &format!("{head}\n{day},-7.00,USD,{one}\n{day},-8.00,USD,{two}\n"));
    let ran = world.ops(&["reconcile", &good, "--account", &bank]).ends(0);
    assert!(
        ran.stdout.contains("everything agrees") && ran.stdout.contains("matched"),
        "{}",
        ran.stdout
    );

    let bad = world.file("bad.csv", &format!("{head}\n{day},-7.50,USD,{one}\n{day},-1.00,USD,x\n"));
    let ran = world.ops(&["reconcile", &bad, "--account", &bank, "--lang", "zh-CN"]).ends(4);
    for word in ["有差异 (金额)", "账本缺失", "合作方缺失", "-7.50"] {
        assert!(ran.stdout.contains(word), "{word}: {}", ran.stdout);
    }
    let json =
        world.ops(&["reconcile", &bad, "--account", &bank, "--all", "--json"]).ends(4).json();
    assert_eq!(json["items"][0]["clean"], false);
    // What is no statement is an error with its cause, not a finding.
    let odd = world.file("odd.xml", "<Document/>");
    let ran = world.ops(&["reconcile", &odd, "--account", &bank]).ends(1);
    assert!(ran.stderr.contains("camt.053"), "{}", ran.stderr);
    world.ops(&["reconcile", &good, "--account", &bank, "--zone", "a&b"]).ends(2);
    world.ops(&["reconcile", &good, "--account", "acc_x"]).ends(2);
}

#[test]
fn orders_from_a_file_are_carried_out_once() {
    let world = World::new();
    let bob = Device::enrolled(&world.server, root(&world), "Bob", &["USD/2:5.00:label=main"]);
    let changes = world.json(&["changes"]);
    let funding =
        changes["items"].as_array().unwrap().iter().find(|item| item["kind"] == "transfer");
    let issuance = funding.unwrap()["transfer"]["debit"].clone();
    let id = || {
        let at = funding.unwrap()["at"].as_str().unwrap().parse::<tpw_core::Instant>().unwrap();
        TransferId::new(at.unix_ms(), *b"0123456789").to_string()
    };
    let order = |amount: &str| {
        let leg = json!({
            "id": id(), "debit": issuance, "credit": bob.accounts[0], "amount": amount, "asset": "USD/2",
        });
        json!([{ "order": { "kind": "transfer", "leg": leg } }]).to_string()
    };
    let file = world.file("orders.json", &order("250"));
    for outcome in ["done", "repeated"] {
        let done = world.json(&["transfers", &file]);
        assert_eq!((&done["outcome"], &done["order"]), (&json!(outcome), &json!(1)));
        assert_eq!(bob.available(), "750");
    }
    let other = world.file("other.json", &order("251"));
    let ran = world.ops(&["transfers", &other]).ends(3);
    assert!(ran.stdout.contains("exists_with_different"), "{}", ran.stdout);
    let odd = world.file("odd.json", "{");
    world.ops(&["transfers", &odd]).ends(2);
}

#[test]
fn limits_watches_sets_and_the_end_of_an_account() {
    let world = World::new();
    let alice =
        Device::enrolled(&world.server, root(&world), "Alice", &["USD/2:100.00:label=main"]);
    let account = alice.accounts[0].as_str();
    let set = world.json(&[
        "limits",
        account,
        "--debit-max",
        "50.00",
        "--velocity",
        "24h:80.00:3",
        "--velocity",
        "7d::9",
    ]);
    assert_eq!(
        (&set["limits"]["debit_max"], &set["velocities"][1]["limit"]["window_s"]),
        (&json!("5000"), &json!(604_800))
    );
    world.ops(&["limits", account, "--velocity", "1x:1"]).ends(2);
    alice.wallet(&["pay", "main", &world.bank(), "50.01", "USD/2"]).ends(3);
    assert_eq!(world.json(&["limits", account, "--lift"])["limits"], json!({}));

    let watch = world.json(&["watch", account, "--below", "60.00", "--freeze"]);
    assert_eq!(watch["watch"]["action"], "alert_and_freeze");
    alice.wallet(&["pay", "main", &world.bank(), "45.00", "USD/2"]).ends(0);
    let crossings = world.json(&["crossings"]);
    assert_eq!(crossings["items"][0]["balance"], "5500");
    assert_eq!(world.json(&["watch", account, "--stop"])["watch"], Value::Null);
    let past = world.json(&["balance", account, "--at", "2001-01-01T00:00:00Z"]);
    assert_eq!((&past["posted"], &past["transfers"]), (&json!("0"), &json!(0)));
    assert_eq!(world.json(&["balance", account])["posted"], "5500");

    let made = world.json(&["set", "make", "USD/2"]);
    let group = made["id"].as_str().unwrap();
    assert_eq!(world.json(&["set", "join", group, account])["posted"], "5500");
    assert_eq!(world.json(&["set", "show", group])["members"], json!([account]));
    assert_eq!(world.json(&["set", "leave", group, account])["posted"], "0");

    world.ops(&["close", account]).ends(1);
    let empty = world.bank();
    world.ops(&["close", &empty]).ends(0);
    world.ops(&["close", &empty]).ends(1);
}

#[test]
fn people_and_accounts_sent_again_under_the_ids_that_were_told_are_entered_once() {
    let world = World::new();
    let told = |ran: &Ran, prefix: &str| {
        let words = ran.stderr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.into_iter().find(|word| word.starts_with(prefix)).unwrap().to_owned()
    };
    let events = || world.json(&["changes", "--limit", "1000"])["items"].as_array().unwrap().len();

    let add = ["person", "add", "Ann", "--account", "USD/2:10.00", "--account", "USD/2", "--json"];
    let first = world.ops(&add).ends(0);
    let person = told(&first, "per_");
    assert_eq!(first.json()["person"], person.as_str());
    let before = world.json(&["changes", "--limit", "1000"]);
    let again = world.ops(&[&add[..], &["--person", &person]].concat()).ends(0).json();
    assert_eq!(again["person"], first.json()["person"]);
    assert_eq!(again["accounts"], first.json()["accounts"]);
    let funded = again["accounts"][0].as_str().unwrap();
    assert_eq!(world.json(&["account", "show", funded])["available"], "1000");
    let moved = |list: &Value| {
        list["items"].as_array().unwrap().iter().filter(|item| item["kind"] == "transfer").count()
    };
    assert_eq!(moved(&world.json(&["changes", "--limit", "1000"])), moved(&before));

    let people =
        world.file("people.csv", "Ben,USD/2:1.00\n\n{\"name\":\"Cleo\",\"accounts\":[]}\n");
    let first = world.ops(&["person", "add", "--batch", &people, "--json"]).ends(0);
    let seed = told(&first, "per_");
    let rows = |ran: &Ran| -> Vec<Value> {
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let args = ["person", "add", "--batch", &people, "--person", &seed, "--json"];
    let again = world.ops(&args).ends(0);
    for (one, other) in rows(&first).iter().zip(rows(&again)) {
        assert_eq!((&one["outcome"], &other["outcome"]), (&json!("created"), &json!("exists")));
        assert_eq!((&one["person"], &one["accounts"]), (&other["person"], &other["accounts"]));
    }

    let open = ["account", "open-external", "USD/2", "bank", "--json"];
    let first = world.ops(&open).ends(0);
    let (account, before) = (told(&first, "acc_"), events());
    let again = world.ops(&[&open[..], &["--account", &account]].concat()).ends(0).json();
    assert_eq!((again["id"].as_str(), events()), (Some(account.as_str()), before));
    // A file that cannot be read says why.
    let odd = world.file("odd.csv", "Dan,usd\n");
    let ran = world.ops(&["person", "add", "--batch", &odd, "--json"]).ends(2);
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_ne!(error["error"]["cause"], "");
}

#[test]
fn a_limit_that_is_not_named_stays_and_none_lifts_one() {
    let world = World::new();
    let account = world.bank();
    let limits = |more: &[&str]| {
        world.json(&[&["limits", account.as_str()], more].concat())["limits"].clone()
    };
    limits(&["--balance-max", "900.00", "--velocity", "24h:80.00"]);
    let both = json!({ "debit_max": "5000", "balance_max": "90000" });
    assert_eq!(limits(&["--debit-max", "50.00"]), both);
    assert_eq!(limits(&[]), both);
    assert_eq!(limits(&["--balance-max", "none"]), json!({ "debit_max": "5000" }));
    world.ops(&["limits", &account, "--debit-max", "nothing"]).ends(2);
    assert_eq!(limits(&[]), json!({ "debit_max": "5000" }));
    // The windows are other limits: they stay until they are set or lifted.
    let velocities = world.json(&["limits", &account])["velocities"].clone();
    assert_eq!(velocities.as_array().unwrap().len(), 1);
}

#[test]
fn a_watch_without_a_threshold_is_a_mistake() {
    let world = World::new();
    let account = world.bank();
    for odd in [&["--freeze"][..], &["--tier", "cold"], &["--stop", "--tier", "cold"]] {
        world.ops(&[&["watch", account.as_str()], odd].concat()).ends(2);
    }
    assert_eq!(world.json(&["watch", &account])["watch"], Value::Null);
    world.ops(&["watch", &account, "--above", "1.00", "--tier", "cold", "--freeze"]).ends(0);
}

#[test]
fn what_a_watch_froze_is_unfrozen_for_that_reason() {
    let world = World::new();
    let alice = Device::enrolled(&world.server, root(&world), "Alice", &["USD/2:10:label=main"]);
    let account = alice.accounts[0].as_str();
    world.ops(&["watch", account, "--below", "6.00", "--freeze"]).ends(0);
    alice.wallet(&["pay", "main", &world.bank(), "5.00", "USD/2"]).ends(0);
    world.ops(&["account", "freeze", account, "--reason", "sanctions"]).ends(0);
    // The operator's own reason is another: both stay, and are told.
    world.ops(&["account", "unfreeze", account]).ends(1);
    let ran = world.ops(&["account", "show", account]).ends(0);
    assert!(ran.stdout.contains("frozen (sanctions, watch)"), "{}", ran.stdout);
    world.ops(&["account", "unfreeze", account, "--reason", "sanctions"]).ends(0);
    let shown = world.json(&["account", "unfreeze", account, "--reason", "watch"]);
    assert_eq!(shown["frozen"], json!([]));
    world.ops(&["account", "freeze", account, "--reason", "mood"]).ends(2);
}
