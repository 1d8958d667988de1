//! Goal: `tpw receipt renew` and `plan` keep receipts provable, and change no file unless the new one holds.
//! Method: receipts of a real server, archived and renewed by that server's own time-stamp authority over HTTPS.

use super::support::{Device, Ran, Server, tpw};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A server with its authority on, and a folder of receipts.
struct Desk {
    root: tempfile::TempDir,
    server: Server,
    device: Device,
    folder: PathBuf,
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl Desk {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("operator");
        let server = Server::start(&data, &["--tsa-clock", "declared:10"]);
        let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
        let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
        for amount in ["1.00", "2.00", "3.00"] {
            alice.wallet(&["pay", "main", &bob.accounts[0], amount, "USD/2"]).ends(0);
        }
        let folder = root.path().join("receipts");
        alice.wallet(&["receipts", "--out", text(&folder)]).ends(0);
        Self { root, server, device: alice, folder }
    }

    fn trust(&self) -> PathBuf {
        self.folder.join("trust.json")
    }

    /// `tpw receipt …` with the trust file.
    fn receipt(&self, words: &[&str]) -> Ran {
        tpw(&[&["receipt"], words, &["--trust", text(&self.trust())]].concat())
    }

    fn renew(&self, more: &[&str]) -> Ran {
        let url = format!("{}/tsa", self.server.url);
        let own = ["renew", text(&self.folder), "--tsa", &url, "--ca", &self.server.ca];
        self.receipt(&[&own, more].concat())
    }

    fn plan(&self, more: &[&str]) -> Value {
        self.receipt(&[&["plan", text(&self.folder), "--json"], more].concat()).ends(0).json()
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> =
            entries.filter(|path| path.extension().is_some_and(|end| end == "tpr")).collect();
        files.sort();
        files
    }

    fn verdict(&self, file: &Path) -> Value {
        let trust = self.trust();
        tpw(&["verify", text(file), "--trust", text(&trust), "--json"]).ends(0).json()
    }

    fn bytes(&self) -> Vec<Vec<u8>> {
        self.files().iter().map(|file| std::fs::read(file).unwrap()).collect()
    }
}

#[test]
fn a_folder_of_receipts_is_archived_and_renewed_in_place() {
    let desk = Desk::new();
    let files = desk.files();
    assert_eq!(files.len(), 3);
    for row in desk.plan(&[]).as_array().unwrap() {
        assert_eq!((&row["step"], &row["state"]), (&"begin".into(), &"later".into()));
    }
    let renewed = desk.renew(&["--hash", "sha256", "--json"]).ends(0).json();
    assert_eq!(renewed[0]["steps"][0], serde_json::json!({ "step": "begin", "hash": "sha256" }));
    for file in &files {
        let verdict = desk.verdict(file);
        assert_eq!(verdict["levels"][5]["outcome"], "proved");
        assert_eq!(verdict["layers"]["evidence"]["outcome"], "proved");
        assert_eq!(verdict["payment"]["evidence"]["renewals"], 0);
    }
    let plan = desk.plan(&["--within", "36500"]);
    let ends = serde_json::json!({ "kind": "algorithm", "name": "SHA-256" });
    assert_eq!((&plan[0]["step"], &plan[0]["ends"]), (&"hash_tree".into(), &ends));
    assert_eq!(plan[0]["state"], "due");

    // By itself a renewal stays under the function while that is relied on; asked for, it goes to another.
    let said = desk.renew(&["--lang", "zh-CN"]).ends(0).stdout;
    assert_eq!(said.matches("时间戳续期，SHA-256").count(), 3, "{said}");
    let said = desk.renew(&["--hash", "sha512"]).ends(0).stdout;
    assert_eq!(said.matches("hash renewal, SHA-512").count(), 3, "{said}");
    desk.renew(&[]).ends(0);
    let trust = desk.trust();
    let told = tpw(&["verify", text(&files[1]), "--trust", text(&trust)]).ends(0).stdout;
    assert!(told.contains("renewals: 3, relied on until"), "{told}");
    // No temporary file stays behind.
    let all = std::fs::read_dir(&desk.folder).unwrap().count();
    assert_eq!(all, 4);

    // The record goes with its receipt: of another one it proves nothing.
    let [one, other] = [&files[0], &files[1]].map(|file| std::fs::read(file).unwrap());
    let [mut one, other] = [one, other].map(|b| tpw_core::Receipt::from_bytes(&b).unwrap());
    one.evidence = other.evidence;
    std::fs::write(&files[0], one.to_bytes()).unwrap();
    let bad = tpw(&["verify", text(&files[0]), "--trust", text(&trust), "--json"]).ends(4).json();
    assert_eq!(bad["failure"]["reason"], "ers_not_covered");
    // It is left as it is, and the others are renewed.
    let ran = desk.renew(&["--json"]).ends(4);
    assert_eq!(ran.json().as_array().unwrap().len(), 2);
    assert_eq!(std::fs::read(&files[0]).unwrap(), one.to_bytes());
}

#[test]
fn newer_layers_come_in_and_records_stay() {
    let desk = Desk::new();
    let device = &desk.device;
    let own = || -> Vec<PathBuf> {
        let folder = device.folder.join("receipts");
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let upgrade = || {
        let folder = text(&desk.folder).to_owned();
        tpw(&device.args(&["receipt", "upgrade", &folder, "--json"])).ends(0).json()
    };
    // The operator has the same; a record that was added since stays all the same.
    desk.renew(&[]).ends(0);
    let before = desk.bytes();
    for row in upgrade().as_array().unwrap() {
        assert_eq!(row["changed"], false);
    }
    assert!(desk.bytes() == before);
    // So it does in the wallet's own folder, whose files stay closed to others.
    let url = format!("{}/tsa", desk.server.url);
    for file in own() {
        desk.receipt(&["renew", text(&file), "--tsa", &url, "--ca", &desk.server.ca]).ends(0);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    device.wallet(&["receipts", "--fresh"]).ends(0);
    for file in own() {
        assert_eq!(desk.verdict(&file)["levels"][5]["outcome"], "proved");
    }
    // Only what holds is upgraded, and nothing without the operator.
    let file = desk.files().remove(0);
    std::fs::write(&file, b"no receipt").unwrap();
    tpw(&device.args(&["receipt", "upgrade", text(&file)])).ends(4);
}

#[test]
fn without_a_usable_time_stamp_nothing_is_changed() {
    let desk = Desk::new();
    let before = desk.bytes();
    let renew = |url: &str| {
        let words = ["renew", text(&desk.folder), "--tsa", url, "--ca", &desk.server.ca, "--json"];
        desk.receipt(&words)
    };
    // Nobody there, no address, no authority, and one that answers something else.
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(renew(&format!("https://{away}/tsa")).ends(75).stderr.contains("renew-stamp"));
    renew("ftp://127.0.0.1/tsa").ends(75);
    renew(&format!("{}/v1/log/checkpoint", desk.server.url)).ends(1);
    for body in ["", "0", "0\u{3}\u{2}\u{1}\u{2}"] {
        renew(&odd_authority(body)).ends(4);
    }
    // An authority that the verifier does not trust.
    let stranger = Server::start(&desk.root.path().join("other"), &["--tsa-clock", "declared:10"]);
    let url = format!("{}/tsa", stranger.url);
    let words = ["renew", text(&desk.folder), "--tsa", &url, "--ca", &stranger.ca, "--json"];
    assert!(desk.receipt(&words).ends(4).stderr.contains("renew-stamp"));
    assert!(desk.bytes() == before);

    let empty = desk.root.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    desk.receipt(&["plan", text(&empty)]).ends(2);
    desk.receipt(&["plan", text(&desk.root.path().join("nowhere.tpr"))]).ends(1);
    desk.receipt(&["renew", text(&desk.folder)]).ends(2);
}

#[test]
fn a_record_that_nobody_renewed_in_time_is_told() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/receipts");
    let file = corpus.join("good/evidence-not-renewed-since.tpr");
    let trust = corpus.join("trust.json");
    let with_trust = |words: &[&str]| tpw(&[words, &["--trust", text(&trust)]].concat());
    let ran = with_trust(&["verify", text(&file)]).ends(0);
    assert!(ran.stderr.contains("was relied on until 2026-11-22T11:00:00.999Z"), "{}", ran.stderr);
    let plan = with_trust(&["receipt", "plan", text(&file), "--json"]).ends(0).json();
    assert_eq!((&plan[0]["step"], &plan[0]["state"]), (&"time_stamp".into(), &"late".into()));
    assert_eq!(plan[0]["ends"]["kind"], "certificate");
    let plan = with_trust(&["receipt", "plan", text(&file), "--lang", "zh-CN"]).ends(0).stdout;
    assert!(plan.contains("时间戳的证书到期") && plan.contains("已过期"), "{plan}");
}

/// An authority over HTTP without TLS whose one answer is `body`.
fn odd_authority(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/tsa", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _read = stream.read(&mut request).unwrap();
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/timestamp-reply\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    });
    url
}
