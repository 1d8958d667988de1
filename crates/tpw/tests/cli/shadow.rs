//! Goal: a second policy engine is asked about every decision, what came of it is counted, and no answer of the product changes.
//! Method: the real `tpw-rego` with the real `policies/rego`; then with one rule altered; then killed.

use super::support::{Device, Server};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tpw_server::outbound::Outbound;

/// The second engine; killed at the end.
struct Rego {
    child: Child,
    url: String,
}

impl Rego {
    fn start(policies: &Path) -> Self {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_tpw")).with_file_name("tpw-rego");
        let started = Command::new(&program)
            .arg("--policies")
            .arg(policies)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = started.unwrap_or_else(|error| {
            panic!("`tpw-rego` cannot be started ({error}); run `cargo build --workspace --bins`")
        });
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned() }
    }

    fn hang_up(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }

    fn kill(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Drop for Rego {
    fn drop(&mut self) {
        self.kill();
    }
}

fn copied(to: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/rego");
    let folder = to.join("rego");
    std::fs::create_dir(&folder).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    folder
}

/// What came of the decisions so far.
fn counts(server: &Server) -> BTreeMap<String, u64> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ca = std::fs::read(&server.ca).unwrap();
    let outbound = Outbound::new(Some(&ca), Duration::from_secs(5)).unwrap();
    let answer = runtime.block_on(outbound.get(&format!("{}/metrics", server.url), 1 << 20));
    let text = String::from_utf8(answer.unwrap().body.to_vec()).unwrap();
    let lines =
        text.lines().filter_map(|line| line.strip_prefix("tpw_shadow_decisions_total{outcome=\""));
    let pairs = lines.filter_map(|line| line.split_once("\"} "));
    pairs.map(|(name, count)| (name.to_owned(), count.parse().unwrap())).collect()
}

/// Waits until a count has passed what it was: nobody waits for the second engine.
fn risen(server: &Server, name: &str, before: u64) -> BTreeMap<String, u64> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let now = counts(server);
        if now[name] > before {
            return now;
        }
        assert!(Instant::now() < until, "`{name}` stays at {before}: {now:?}");
    }
}

/// What a holder and the operator are answered.
fn answers(server: &Server, ada: &Device) -> Vec<(i32, String)> {
    let account = ada.accounts[0].as_str();
    let own = ada.wallet(&["accounts", "--json"]);
    let all = [&["account", "show", account][..], &["holds", "list"], &["alarms"]];
    let operator = all.map(|words| server.ops(words));
    std::iter::once(own).chain(operator).map(|ran| (ran.code, timeless(&ran.stdout))).collect()
}

/// Without the moments at which a balance was read.
fn timeless(json: &str) -> String {
    let mut parts = json.split("\"as_of\":\"");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.filter_map(|part| part.split_once('"')).map(|(_moment, rest)| rest);
    rest.fold(first, |text, rest| text + rest)
}

#[test]
fn a_second_engine_is_asked_about_every_decision_and_changes_none() {
    let root = tempfile::tempdir().unwrap();
    let policies = copied(root.path());
    let mut rego = Rego::start(&policies);
    let document = format!("{}/v1/data/tpw/decision", rego.url);
    let server = Server::start(&root.path().join("operator"), &["--shadow-policy", &document]);
    let ada = Device::enrolled(&server, root.path(), "Ada", &["USD/2:5.00:label=main"]);
    let before = answers(&server, &ada);
    assert!(before.iter().all(|(code, _)| *code == 0), "{before:?}");
    let agreed = risen(&server, "agreed", 4);
    assert_eq!([agreed["disagreed"], agreed["failed"], agreed["dropped"]], [0, 0, 0]);

    // The same rules with one that forbids everything to holders.
    let rule = "package tpw\nforbids contains \"test.holder\" if acts_as(\"holder\")\n";
    std::fs::write(policies.join("altered.rego"), rule).unwrap();
    rego.hang_up();
    let until = Instant::now() + Duration::from_secs(20);
    while counts(&server)["disagreed"] == 0 {
        assert_eq!(answers(&server, &ada), before);
        assert!(Instant::now() < until, "it never disagreed");
    }
    assert!(risen(&server, "agreed", agreed["agreed"])["failed"] == 0, "the operator's are alike");

    rego.kill();
    assert_eq!(answers(&server, &ada), before);
    risen(&server, "failed", 0);
    server.stop();
}

#[test]
fn an_address_that_cannot_be_asked_is_refused_at_the_start() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("operator");
    let args = ["serve", "--data", data.to_str().unwrap(), "--shadow-policy", "127.0.0.1:8181"];
    let ran = super::support::tpw(&args).ends(2);
    assert!(ran.stderr.contains("/v1/data/tpw/decision"), "{}", ran.stderr);
    assert!(!data.exists(), "nothing was begun");
}
