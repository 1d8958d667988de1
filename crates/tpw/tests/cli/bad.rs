//! What is wrong is said, and nothing is lost.

use super::support::{Device, PASSPHRASE, Server, secret, tpw};
use std::path::Path;

fn init(root: &Path) -> Device {
    let passphrase = secret(&root.join("passphrase"), PASSPHRASE);
    let device = Device { folder: root.join("wallet"), passphrase, accounts: Vec::new() };
    device.wallet(&["init"]).ends(0);
    device
}

#[test]
fn a_wrong_passphrase_is_told_from_a_damaged_vault() {
    let root = tempfile::tempdir().unwrap();
    let mut device = init(root.path());
    let enrol = ["enrol", "--server", "https://127.0.0.1:1", "--code-file", "/dev/null", "--json"];
    device.passphrase = secret(&root.path().join("wrong"), "wrong horse battery");
    let ran = device.wallet(&enrol).ends(1);
    assert!(ran.stderr.contains("wallet-passphrase"), "{}", ran.stderr);

    device.passphrase = secret(&root.path().join("passphrase"), PASSPHRASE);
    let vault = device.folder.join("vault");
    let good = std::fs::read(&vault).unwrap();
    for place in [0, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[place] ^= 1;
        std::fs::write(&vault, bad).unwrap();
        let ran = device.wallet(&enrol).ends(1);
        assert!(ran.stderr.contains("wallet-damaged"), "byte {place}: {}", ran.stderr);
    }
    std::fs::write(&vault, &good[..good.len() - 1]).unwrap();
    assert!(device.wallet(&enrol).ends(1).stderr.contains("wallet-damaged"));
}

#[test]
fn a_second_init_never_overwrites_keys() {
    let root = tempfile::tempdir().unwrap();
    let device = init(root.path());
    let before = std::fs::read(device.folder.join("vault")).unwrap();
    assert!(device.wallet(&["init"]).ends(1).stderr.contains("error:"));
    assert_eq!(std::fs::read(device.folder.join("vault")).unwrap(), before);
}

#[test]
fn nobody_is_asked_without_a_terminal() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().to_str().unwrap();
    for more in [&["--no-input"][..], &[]] {
        let ran = tpw(&[&["wallet", "init", "--wallet", folder], more].concat());
        assert!(ran.ends(2).stderr.contains("--passphrase-file"));
    }
}

#[test]
fn without_a_yes_nothing_is_signed() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &[]);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:10:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    let order = ["pay", "main", &bob.accounts[0], "1", "USD/2", "--json"];
    // Nobody can be asked: neither the flag nor the missing terminal is a yes.
    for more in [&["--no-input"][..], &[]] {
        let ran = alice.wallet_as_typed(&[&order[..], more].concat()).ends(1);
        assert!(ran.stderr.contains("not-confirmed"), "{}", ran.stderr);
        assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
        assert_eq!(alice.wallet(&["show", "--json"]).ends(0).json()["payments"], 0);
    }
    alice.wallet_as_typed(&[&order[..], &["--no-input", "--yes"]].concat()).ends(0);
    assert_eq!(alice.available(), "900");
}

#[test]
fn weak_passphrases_make_no_wallet() {
    let root = tempfile::tempdir().unwrap();
    for (number, text) in ["", "short", "            "].into_iter().enumerate() {
        let passphrase = secret(&root.path().join("p"), text);
        let folder = root.path().join(number.to_string());
        let device = Device { folder, passphrase, accounts: Vec::new() };
        device.wallet(&["init"]).ends(2);
        assert!(!device.folder.join("vault").exists());
    }
}

#[test]
fn a_damaged_journal_stops_paying() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &[]);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:10:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    let order = ["pay", "main", &bob.accounts[0], "1", "USD/2"];
    alice.wallet(&order).ends(0);
    let path = alice.folder.join("journal");
    let good = std::fs::read(&path).unwrap();
    // A torn tail is cut: what a crash left behind.
    std::fs::write(&path, [&good[..], &[0, 0, 0, 9, 1]].concat()).unwrap();
    alice.wallet(&order).ends(0);
    // Anything else is not repaired in silence.
    let mut bad = std::fs::read(&path).unwrap();
    bad[60] ^= 1;
    std::fs::write(&path, &bad).unwrap();
    assert!(alice.wallet(&order).ends(1).stderr.contains("journal"));
    assert_eq!(alice.available(), "800");
}

#[test]
fn orders_that_make_no_sense_are_usage_errors_and_send_nothing() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &[]);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:10:label=main"]);
    let other = "acc_01h455vb4pex5vsknk084sn02q";
    let long = "x".repeat(141);
    for order in [
        ["nowhere", other, "1", "USD/2"],
        ["main", "nobody", "1", "USD/2"],
        ["main", other, "-1", "USD/2"],
        ["main", other, "0", "USD/2"],
        ["main", other, "1.234", "USD/2"],
        ["main", other, "1e3", "USD/2"],
        ["main", other, "1", "usd"],
        ["main", other, "1", "CNY/2"],
        ["main", "main", "1", "USD/2"],
    ] {
        alice.wallet(&[&["pay"], &order[..]].concat()).ends(2);
    }
    alice.wallet(&["pay", "main", other, "1", "USD/2", "--note", &long]).ends(2);
    assert_eq!(alice.wallet(&["show", "--json"]).ends(0).json()["payments"], 0);
    // An account that does not exist is refused by the server, with its code.
    let ran = alice.wallet(&["pay", "main", other, "1", "USD/2", "--json"]).ends(3);
    assert_eq!(ran.json()["code"], "unknown_payee");
}

#[test]
fn servers_that_are_not_ours_are_not_trusted() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &[]);
    let other = Server::start(&root.path().join("other"), &[]);
    let device = init(root.path());
    let code = secret(&root.path().join("code"), "AAAAA-AAAAA-AAAAA-AAAAA");
    let enrol = |url: &str, ca: &str| {
        device.wallet(&["enrol", "--server", url, "--ca", ca, "--code-file", &code, "--json"])
    };
    assert!(enrol(&server.url, &other.ca).ends(1).stderr.contains("server-tls"));
    assert!(enrol(&server.url, &server.ca).ends(1).stderr.contains("code_invalid"));
    assert!(enrol("http://127.0.0.1:80", &server.ca).ends(2).stderr.contains("server-address"));
    let bad = device.wallet(&["enrol", "--server", &server.url, "--code-file", &device.passphrase]);
    bad.ends(2);
}

#[test]
fn a_receipt_that_cannot_be_read_does_not_hide_the_others() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().to_str().unwrap();
    tpw(&["demo", "--once", "--out", out, "--json"]).ends(0);
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    let (good, trust, missing) = (path("receipt.tpr"), path("trust.json"), path("missing.tpr"));
    let ran = tpw(&["verify", &good, &missing, &good, "--trust", &trust, "--json"]).ends(1);
    let list = ran.json();
    assert_eq!((&list[0]["valid"], &list[2]["valid"]), (&true.into(), &true.into()));
    assert_eq!((&list[1]["valid"], &list[1]["error"]), (&false.into(), &"no-file".into()));
    assert!(ran.stderr.contains("missing.tpr"), "{}", ran.stderr);
    // What does not hold weighs more than what cannot be read.
    std::fs::write(path("bad.tpr"), b"no receipt").unwrap();
    tpw(&["verify", &path("bad.tpr"), &missing, "--trust", &trust]).ends(4);
}

#[test]
fn files_that_are_no_receipts_or_no_trust() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str, bytes: &[u8]| {
        let path = root.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (empty, trust) = (path("empty", b""), path("trust.json", b"{}"));
    tpw(&["verify", &empty, "--trust", &trust]).ends(2);
    tpw(&["verify", &empty, "--trust", "/nonexistent"]).ends(1);
    tpw(&["verify", &empty]).ends(2);
    tpw(&["no-such-command"]).ends(2);
    let missing = root.path().to_str().unwrap();
    tpw(&["receipt", "show", &empty, "--wallet", missing]).ends(2);
    tpw(&["ops", "--data", missing, "holds", "list"]).ends(1);
    tpw(&["ops", "holds", "list"]).ends(2);
    // A folder is no file: what the system says has words of the person's language around it.
    let ran = tpw(&["verify", missing, "--trust", missing, "--lang", "zh-CN"]).ends(1);
    assert!(ran.stderr.contains("操作系统拒绝"), "{}", ran.stderr);
    tpw(&["log", "fsck", "--data", missing]).ends(2);
    std::fs::remove_file(&trust).unwrap();
    tpw(&["log", "fsck", "--data", missing]).ends(1);
}

#[test]
fn mail_that_cannot_be_sent_stops_the_start() {
    let root = tempfile::tempdir().unwrap();
    let (data, folder) = (root.path().join("operator"), root.path().join("mail"));
    let (data_text, folder_text) = (data.to_str().unwrap(), folder.to_str().unwrap());
    let serve = |more: &[&str]| {
        let all = [&["serve", "--listen", "127.0.0.1:0", "--data", data_text], more].concat();
        tpw(&all).ends(2).stderr
    };
    let smtp = |address| ["--mail-smtp", address, "--mail-from", "wallet@mail.example"];
    let said = serve(&smtp("smtps://robot:secret@mail.example"));
    assert!(said.contains("smtps://[user@]host") && !said.contains("secret"), "{said}");
    assert!(serve(&smtp("smtps://robot@mail.example")).contains("has no password"));
    assert!(serve(&["--mail-smtp", "smtps://mail.example"]).contains("--mail-from"));
    let both = [&smtp("smtps://mail.example")[..], &["--mail-folder", folder_text]].concat();
    assert!(serve(&both).contains("--mail-folder"));
    assert!(!data.exists() && !folder.exists(), "nothing was begun");
}

#[test]
fn a_folder_for_messages_is_made() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("mail");
    let more = ["--mail-folder", folder.to_str().unwrap()];
    let server = Server::start(&root.path().join("operator"), &more);
    server.stop();
    assert!(folder.is_dir());
}
