//! Paying a whole file, also when it is cut off in the middle.

use super::support::{Device, Server, command};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

fn file(root: &Path, payee: &str, lines: u32) -> String {
    let path = root.join("batch.csv");
    let mut text = "from,to,amount,asset,note\n".to_owned();
    for line in 0..lines {
        text += &format!("main,{payee},0.{:02},USD/2,line {line}\n", line % 9 + 1);
    }
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_batch_killed_in_the_middle_goes_on_and_pays_every_line_once() {
    const LINES: u32 = 60;
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &[]);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:1000:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    let batch = file(root.path(), &bob.accounts[0], LINES);
    let args = alice.args(&["pay", "--batch", &batch, "--json"]);
    for kills in [5_usize, 17] {
        let mut child =
            command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.take(kills).count(), kills);
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    }
    let ran = super::support::tpw(&args).ends(0);
    let rows: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), usize::try_from(LINES).unwrap());
    assert!(rows.iter().all(|row| row["outcome"] == "booked" && row["receipt"].is_string()));
    let total: u32 = (0..LINES).map(|line| line % 9 + 1).sum();
    assert_eq!(alice.available(), (100_000 - total).to_string());
    assert_eq!(bob.available(), total.to_string());
    // Once more: the same answers, and nothing moves.
    let again = super::support::tpw(&args).ends(0);
    assert_eq!(again.stdout, ran.stdout);
    assert_eq!(bob.available(), total.to_string());
}

#[test]
fn wrong_lines_are_told_and_the_others_paid() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &[]);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:1:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    let payee = &bob.accounts[0];
    let path = root.path().join("batch.csv");
    let text = format!(
        "from,to,amount,asset,note\nmain,{payee},0.10,USD/2,\nnowhere,{payee},1,USD/2,\n\
         main,{payee},5,USD/2,too much\nmain,{payee},0.20,USD/2,\n"
    );
    std::fs::write(&path, text).unwrap();
    let args = alice.args(&["pay", "--batch", path.to_str().unwrap()]);
    let ran = super::support::tpw(&args).ends(1);
    let outcomes: Vec<Vec<&str>> =
        ran.stdout.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let told: Vec<(&str, &str, &str)> =
        outcomes.iter().map(|row| (row[0], row[2], row[3])).collect();
    let expected = [
        ("2", "booked", ""),
        ("3", "wrong", "from:payer"),
        ("4", "refused", "insufficient_funds"),
        ("5", "booked", ""),
    ];
    assert_eq!(told, expected);
    assert_eq!(bob.available(), "30");
    std::fs::write(&path, "from,to\n").unwrap();
    super::support::tpw(&args).ends(2);
}

#[test]
fn lines_that_the_server_does_not_take_yet_are_no_refusals() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &[]);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:10:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    let listen = server.listen.clone();
    let old = root.path().join("operator");
    server.stop();
    // A server of the same name that knows nobody: what it does not take it may take another time.
    let new = root.path().join("new");
    std::fs::create_dir_all(new.join("tls")).unwrap();
    for file in std::fs::read_dir(old.join("tls")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), new.join("tls").join(file.file_name())).unwrap();
    }
    let stranger = Server::start(&new, &["--listen", &listen]);
    let batch = file(root.path(), &bob.accounts[0], 2);
    let args = alice.args(&["pay", "--batch", &batch, "--json"]);
    let ran = super::support::tpw(&args).ends(75);
    assert!(ran.stdout.lines().all(|line| line.contains("unknown_device")), "{}", ran.stdout);
    assert!(ran.stderr.contains("refused 0") && ran.stderr.contains("not taken yet 2"));
    // Back at the right one, the same file goes on and is paid once.
    stranger.stop();
    let _server = Server::start(&old, &["--listen", &listen]);
    super::support::tpw(&args).ends(0);
    assert_eq!(bob.available(), "3");
}

#[test]
fn a_file_with_a_payee_that_could_be_taken_for_another_is_not_paid_unasked() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &[]);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    alice.wallet(&["pay", "main", &bob.accounts[0], "1", "USD/2"]).ends(0);
    // Bob's account with two characters changed, as a slip of the hand or somebody else would change them.
    let (start, end) = bob.accounts[0].split_at(bob.accounts[0].len() - 2);
    let alike = format!("{start}{}", if end == "00" { "11" } else { "00" });
    let path = root.path().join("batch.csv");
    let text = format!(
        "from,to,amount,asset,note\nmain,{},0.10,USD/2,\nmain,{alike},0.20,USD/2,\n",
        bob.accounts[0]
    );
    std::fs::write(&path, text).unwrap();
    let args = ["pay", "--batch", path.to_str().unwrap()];
    let refused = super::support::tpw(&alice.args(&args)).ends(1);
    assert!(refused.stderr.contains(&alike) && refused.stderr.contains(&bob.accounts[0]));
    assert_eq!((refused.stdout.as_str(), alice.available()), ("", "9900".to_owned()));
    // Said on the command line, it is tried; there is no such account.
    let args = [&args[..], &["--yes-new-payee", "--json"]].concat();
    let ran = super::support::tpw(&alice.args(&args));
    let rows: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&rows[0]["outcome"], &rows[1]["outcome"]), (&"booked".into(), &"refused".into()));
    assert_eq!(alice.available(), "9890");
}
