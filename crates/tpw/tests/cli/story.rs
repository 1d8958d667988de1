//! The whole life of a payment on the command line.

use super::support::{Device, Server, secret, tpw};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn world() -> (tempfile::TempDir, Server) {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &[]);
    (root, server)
}

/// Runs the `openssl ts -verify` command of the guide as it is printed there.
fn run_guide(folder: &Path) {
    let guide = std::fs::read_to_string(folder.join("VERIFY.md")).unwrap();
    let line = guide.lines().find(|line| line.contains("openssl ts -verify")).unwrap();
    let output = Command::new("sh").args(["-c", line]).current_dir(folder).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn from_keys_to_a_receipt_that_stock_tools_accept() {
    let (root, server) = world();
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:5.00:label=main"]);
    let payee = bob.accounts[0].clone();
    assert_eq!(alice.available(), "10000");

    let paid = alice.wallet(&["pay", "main", &payee, "12.34", "USD/2", "--note", "tea", "--json"]);
    let paid = paid.ends(0).json();
    assert_eq!((&paid["outcome"], &paid["verified"]), (&"booked".into(), &true.into()));
    assert_eq!((alice.available(), bob.available()), ("8766".into(), "1734".into()));

    let out = root.path().join("receipts");
    let out_text = out.to_str().unwrap();
    alice.wallet(&["receipts", "--out", out_text]).ends(0);
    let receipt = out.join(paid["receipt"].as_str().unwrap());
    let (receipt, trust) = (receipt.to_str().unwrap(), out.join("trust.json"));
    let trust = trust.to_str().unwrap();
    let verdict = tpw(&["verify", receipt, "--trust", trust, "--json"]).ends(0).json();
    assert_eq!(verdict["payment"]["id"], paid["payment"]);
    assert_eq!(verdict["payment"]["amount"], "1234");

    let parts = root.path().join("parts");
    let parts_text = parts.to_str().unwrap();
    tpw(&["receipt", "export", receipt, "--out", parts_text, "--trust", trust]).ends(0);
    for name in ["statement.cose", "proof.tlog-proof", "checkpoint", "token.tsr", "tsa-root.pem"] {
        assert!(parts.join(name).exists(), "{name}");
    }
    run_guide(&parts);

    // The log can be audited once the server has stopped, and not before.
    let data = server.data.clone();
    tpw(&["log", "fsck", "--data", &data]).ends(1);
    server.stop();
    let audit = tpw(&["log", "fsck", "--data", &data, "--json"]).ends(0).json();
    assert_eq!(audit["sound"], true);
    // Beside the first entries and the payment there are those of what the policies decided.
    assert!(audit["size"].as_str().unwrap().parse::<u64>().unwrap() > 3, "{audit}");
    assert_eq!(audit["compared_with_books"], true);
}

#[test]
fn an_audit_says_what_it_was_not_compared_with_and_changes_no_books() {
    let (root, server) = world();
    let data = server.data.clone();
    server.stop();
    let fsck = |more: &[&str]| tpw(&[&["log", "fsck", "--data", &data], more].concat());
    let books = root.path().join("operator/books.db");
    let before = std::fs::read(&books).unwrap();
    fsck(&[]).ends(0);
    assert!(std::fs::read(&books).unwrap() == before, "an audit writes nothing");
    // What is no books is neither accepted nor made into books.
    for odd in [
        &b""[..],
        b"no database at all, and longer than a header: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ] {
        std::fs::write(&books, odd).unwrap();
        assert!(fsck(&["--json"]).ends(1).stderr.contains("log-books"));
        assert_eq!(std::fs::read(&books).unwrap(), odd);
    }
    let away = "postgres://tpw@127.0.0.1:1/books?connect_timeout=1";
    assert!(fsck(&["--store", away, "--json"]).ends(1).stderr.contains("log-books"));
    fsck(&["--store", "not an address"]).ends(2);
    // What is found is told in the person's language.
    std::fs::write(root.path().join("operator/log/tile/stranger"), "x").unwrap();
    std::fs::remove_file(&books).unwrap();
    let ran = fsck(&["--lang", "zh-CN"]).ends(4);
    assert!(ran.stdout.contains("不属于这样大小的日志"), "{}", ran.stdout);
    assert!(ran.stderr.contains("移走该文件"), "{}", ran.stderr);
    std::fs::remove_file(root.path().join("operator/log/tile/stranger")).unwrap();
    // A copy of the log alone is audited as such, and that is said.
    assert!(fsck(&[]).ends(0).stdout.contains("NOT compared with the books"));
    assert_eq!(fsck(&["--json"]).ends(0).json()["compared_with_books"], false);
}

#[test]
fn one_changed_byte_of_a_receipt_is_exit_4_with_layer_and_reason() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().to_str().unwrap();
    tpw(&["demo", "--once", "--out", out, "--json"]).ends(0);
    let (receipt, trust) = (root.path().join("receipt.tpr"), root.path().join("trust.json"));
    let good = std::fs::read(&receipt).unwrap();
    let trust = trust.to_str().unwrap();
    for place in (0..good.len()).step_by(good.len() / 12) {
        let mut bad = good.clone();
        bad[place] ^= 1;
        let path = root.path().join("bad.tpr");
        std::fs::write(&path, &bad).unwrap();
        let ran = tpw(&["verify", path.to_str().unwrap(), "--trust", trust, "--json"]);
        let verdict = ran.ends(4).json();
        assert_eq!(verdict["valid"], false, "byte {place}");
        assert!(verdict["failure"]["layer"].is_string(), "byte {place}");
        assert!(verdict["failure"]["reason"].is_string(), "byte {place}");
    }
}

#[test]
fn a_named_order_is_carried_out_once() {
    let (root, server) = world();
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    let order = ["pay", "main", &bob.accounts[0], "1", "USD/2", "--id", "rent-november", "--json"];
    let first = alice.wallet(&order).ends(0).json();
    let second = alice.wallet(&order).ends(0).json();
    assert_eq!(first["payment"], second["payment"]);
    assert_eq!(alice.available(), "9900");
    // The same name for something else is a mistake, not a payment.
    alice.wallet(&["pay", "main", &bob.accounts[0], "2", "USD/2", "--id", "rent-november"]).ends(2);
    assert_eq!(alice.available(), "9900");
}

#[test]
fn a_payment_cut_off_by_a_dead_server_is_continued_by_the_same_command() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("operator");
    let server = Server::start(&data, &[]);
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    drop(server); // killed
    let order = ["pay", "main", &bob.accounts[0], "1", "USD/2", "--json"];
    alice.wallet(&order).ends(75);
    let open = alice.wallet(&["show", "--json"]).ends(0).json();
    let id = open["open"][0].clone();
    assert!(id.is_string());
    let _again = Server::start(&data, &["--listen", &format!("127.0.0.1:{port}")]);
    let paid = alice.wallet(&order).ends(0).json();
    assert_eq!(paid["payment"], id);
    assert_eq!(alice.available(), "9900");
}

#[test]
fn step_up_waits_with_exit_5_and_goes_on_with_the_passphrase() {
    let (root, server) = world();
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:5000:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    let order = ["pay", "main", &bob.accounts[0], "1200", "USD/2", "--json"];
    let waiting = alice.wallet(&[&order[..], &["--no-input"]].concat()).ends(5).json();
    let paid = alice.wallet(&order).ends(0).json();
    assert_eq!(paid["payment"], waiting["payment"]);
    assert_eq!(paid["outcome"], "booked");
}

#[test]
fn held_refused_released_returned_and_revoked() {
    let root = tempfile::tempdir().unwrap();
    // Held, and not so large that others have to agree to its release.
    let usual = include_str!("../../../../policies/screen.toml");
    let rules = root.path().join("rules.toml");
    std::fs::write(&rules, usual.replacen(r#"from = "10000""#, r#"from = "9000""#, 1)).unwrap();
    let more = ["--rules", rules.to_str().unwrap()];
    let server = Server::start(&root.path().join("operator"), &more);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:50000:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    let order = ["pay", "main", &bob.accounts[0], "9500", "USD/2", "--json"];
    let held = alice.wallet(&order).ends(6).json();
    let id = held["payment"].as_str().unwrap();
    let list = server.ops(&["holds", "list"]).ends(0).json();
    assert_eq!(list["items"][0]["id"], id);
    let released = server.ops(&["holds", "release", id]).ends(0).json();
    assert_eq!(released["status"], "booked");
    // The same command now tells what became of it.
    assert_eq!(alice.wallet(&order).ends(0).json()["payment"], id);

    let too_much = alice.wallet(&["pay", "main", &bob.accounts[0], "90000", "USD/2", "--json"]);
    assert_eq!(too_much.ends(3).json()["outcome"], "refused");

    let partner = server.ops(&["account", "open-external", "USD/2", "partner"]).ends(0).json();
    let partner = partner["id"].as_str().unwrap();
    let sent = alice.wallet(&["pay", "main", partner, "3", "USD/2", "--id", "wire", "--json"]);
    let sent = sent.ends(0).json();
    let id = sent["payment"].as_str().unwrap();
    assert_eq!(server.ops(&["rail", "list"]).ends(0).json()["items"][0]["payment"], id);
    let back = server.ops(&["rail", "return", id]).ends(0).json();
    assert_eq!(back["status"], "compensated");
    let told = alice.wallet(&["pay", "main", partner, "3", "USD/2", "--id", "wire", "--json"]);
    assert_eq!(told.ends(3).json()["outcome"], "compensated");

    let device = alice.wallet(&["show", "--json"]).ends(0).json()["device"].clone();
    server.ops(&["device", "revoke", device.as_str().unwrap()]).ends(0);
    let ran = alice.wallet(&["pay", "main", &bob.accounts[0], "1", "USD/2", "--json"]);
    assert_eq!(ran.ends(3).json()["code"], "device_revoked");
}

#[test]
fn an_unlocked_wallet_pays_without_passphrase_but_never_steps_up() {
    let (root, server) = world();
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:5000:label=main"]);
    let accounts = ["USD/2:label=main", "USD/2:label=spare"];
    let bob = Device::enrolled(&server, root.path(), "Bob", &accounts);
    alice.wallet(&["unlock", "--for", "60s"]).ends(0);
    let folder = alice.folder.to_str().unwrap();
    let pay = |place: usize, amount: &str| {
        tpw(&[
            "wallet",
            "pay",
            "main",
            &bob.accounts[place],
            amount,
            "USD/2",
            "--wallet",
            folder,
            "--yes",
            "--json",
        ])
    };
    assert_eq!(pay(0, "2").ends(0).json()["outcome"], "booked");
    // Without a terminal there is nobody to type it, and the agent must not stand in.
    pay(1, "1200").ends(5);
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |name: &str| {
        std::fs::metadata(alice.folder.join(name)).unwrap().permissions().mode() & 0o777
    };
    for name in ["vault", "journal", "profile.json", "agent.sock"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    tpw(&["wallet", "lock", "--wallet", folder]).ends(0);
    pay(0, "2").ends(2);
}

#[test]
fn a_second_wallet_with_p256_and_a_used_code() {
    let (root, server) = world();
    let added = server.ops(&["person", "add", "Carol", "--account", "CNY/2:8"]).ends(0).json();
    let code = secret(&root.path().join("code"), added["code"].as_str().unwrap());
    let passphrase = secret(&root.path().join("passphrase"), super::support::PASSPHRASE);
    let device = |name: &str| Device {
        folder: root.path().join(name),
        passphrase: passphrase.clone(),
        accounts: Vec::new(),
    };
    let (first, second) = (device("first"), device("second"));
    first.wallet(&["init", "--algorithm", "p256"]).ends(0);
    let enrol = ["enrol", "--server", &server.url, "--ca", &server.ca, "--code-file", &code];
    let told: Value = first.wallet(&[&enrol[..], &["--json"]].concat()).ends(0).json();
    assert_eq!(told["accounts"][0]["asset"], "CNY/2");
    // As if the answer had been lost: the same device finds itself enrolled.
    std::fs::remove_file(first.folder.join("profile.json")).unwrap();
    let again: Value = first.wallet(&[&enrol[..], &["--json"]].concat()).ends(0).json();
    assert_eq!(again["device"], told["device"]);
    // Another device cannot use the code.
    second.wallet(&["init"]).ends(0);
    second.wallet(&enrol).ends(1);
}

#[test]
fn an_operator_whose_key_was_revoked_has_another_one_after_the_next_start() {
    let (root, server) = world();
    let data = root.path().join("operator");
    let changes = server.ops(&["changes"]).ends(0).json();
    let of_kind = |item: &&Value| item["kind"] == "device.enrolled";
    let first = changes["items"].as_array().unwrap().iter().find(of_kind).unwrap();
    let device = first["subject"].as_str().unwrap().to_owned();
    server.ops(&["device", "revoke", &device]).ends(0);
    let refused = server.ops(&["holds", "list"]);
    assert_ne!(refused.code, 0, "{}", refused.stdout);
    server.stop();
    let before = std::fs::read(data.join("operator.key")).unwrap();
    let server = Server::start(&data, &[]);
    server.ops(&["holds", "list"]).ends(0);
    let after = std::fs::read(data.join("operator.key")).unwrap();
    assert_ne!(before, after);
    // A key that holds is kept.
    server.stop();
    let server = Server::start(&data, &[]);
    server.ops(&["holds", "list"]).ends(0);
    assert_eq!(std::fs::read(data.join("operator.key")).unwrap(), after);
}
