//! Goal: a server that anchors its log pays for each head once, whatever stops it, hands out the proof with receipts that are
//! asked for later, and takes payments all the same while its node is away or silent.
//! Method: the real server and the real node; the server is stopped between sending and finality; receipts are fetched by the
//! command of their holder and verified offline with the hash of one block. Then nodes that are not there, and folders that do
//! not fit.

use super::node::{Chain, FINAL, opened};
use super::story::{anchored, second, text};
use crate::support::{Device, Server, tpw};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tpw_core::{Hash32, Receipt, TreeHead};
use tpw_engines::anchor::{Anchorer, Progress, Terms};
use tpw_proof::anchor::address_text;
use tpw_server::outbound::Outbound;

const TERMS: Terms = Terms { max_wei: 100_000_000_000, patience_blocks: 1000 };

/// An account with coins and a contract whose block is final.
fn account(chain: &Chain, folder: &Path) -> String {
    let account = address_text(&Anchorer::init(folder).unwrap());
    chain.fund(&account);
    let mut anchorer = opened(folder);
    anchorer.deploy(chain, &TERMS).unwrap();
    chain.until_sent(&account, 1);
    chain.mine(FINAL);
    let deployed = anchorer.step(chain, &TERMS).unwrap();
    assert!(matches!(deployed, Progress::Deployed(_)), "{deployed:?}");
    account
}

/// An operator with two people, who has not begun to anchor.
struct Desk {
    data: PathBuf,
    folder: PathBuf,
    receipts: PathBuf,
    listen: String,
    alice: Device,
    bob: Device,
}

impl Desk {
    fn new(root: &Path) -> Self {
        let data = root.join("operator");
        let server = Server::start(&data, &[]);
        let alice = Device::enrolled(&server, root, "Alice", &["USD/2:100.00:label=main"]);
        let bob = Device::enrolled(&server, root, "Bob", &["USD/2:label=main"]);
        let listen = server.listen.clone();
        server.stop();
        let (folder, receipts) = (root.join("anchor"), root.join("receipts"));
        Self { data, folder, receipts, listen, alice, bob }
    }

    /// The server, which anchors at a node.
    fn serve(&self, node: &str, every: &str) -> Server {
        let folder = text(&self.folder);
        let anchor = ["--anchor", folder, "--anchor-rpc", node, "--anchor-every", every];
        let more = ["--listen", self.listen.as_str(), "--anchor-poll", "1s"];
        Server::start(&self.data, &[&anchor[..], &more].concat())
    }

    fn pay(&self) -> PathBuf {
        let pay = ["pay", "main", &self.bob.accounts[0], "1.00", "USD/2", "--json"];
        let paid = self.alice.wallet(&pay).ends(0).json();
        self.alice.wallet(&["receipts", "--out", text(&self.receipts)]).ends(0);
        self.receipts.join(paid["receipt"].as_str().unwrap())
    }

    /// How many anchors the receipt has once the server was asked for what is new.
    fn upgrade(&self, receipt: &Path) -> usize {
        tpw(&self.alice.args(&["receipt", "upgrade", text(receipt)])).ends(0);
        Receipt::from_bytes(&std::fs::read(receipt).unwrap()).unwrap().anchors.len()
    }
}

fn get(server: &Server, path: &str) -> (u16, String) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ca = std::fs::read(&server.ca).unwrap();
    let outbound = Outbound::new(Some(&ca), Duration::from_secs(5)).unwrap();
    let url = format!("{}{path}", server.url);
    let answer = runtime.block_on(outbound.get(&url, 1 << 20)).unwrap();
    (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
}

fn metric(server: &Server, name: &str) -> u64 {
    let (_status, text) = get(server, "/metrics");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("`{name}` is not in {text}")).parse().unwrap()
}

/// Waits until a metric is as large.
#[track_caller]
fn reaches(server: &Server, name: &str, wanted: u64) {
    let until = Instant::now() + Duration::from_secs(30);
    while metric(server, name) < wanted {
        assert!(Instant::now() < until, "`{name}` does not reach {wanted}");
    }
}

/// The hash that the node has for the block of a receipt's anchor.
fn block_hash(chain: &Chain, receipt: &Path, trust: &str) -> String {
    let told = tpw(&["verify", text(receipt), "--trust", trust, "--json"]).ends(0).json();
    let number: u64 = told["anchors"][0]["block"].as_str().unwrap().parse().unwrap();
    let block = chain.ask("eth_getBlockByNumber", &json!([format!("0x{number:x}"), false]));
    block["hash"].as_str().unwrap().to_owned()
}

#[test]
fn a_server_anchors_what_it_has_booked_and_hands_out_the_proof() {
    let (chain, root) = (Chain::fresh(), tempfile::tempdir().unwrap());
    let desk = Desk::new(root.path());
    let account = account(&chain, &desk.folder);
    let server = Server::start(&desk.data, &["--listen", &desk.listen]);
    let receipt = desk.pay();
    server.stop();
    // Sent, and stopped before the block is final; and once more, with nothing new to pay for.
    for _ in 0..2 {
        let server = desk.serve(&chain.url, "1h");
        chain.until_sent(&account, 2);
        reaches(&server, "tpw_anchors_open", 1);
        server.stop();
    }
    let server = desk.serve(&chain.url, "1h");
    assert_eq!(desk.upgrade(&receipt), 0, "no proof before the block is final");
    chain.mine(FINAL);
    reaches(&server, "tpw_anchors_total", 1);
    assert_eq!(chain.sent(&account), 2, "the contract and one head");
    assert!(metric(&server, "tpw_anchored_tree_size") > 0);
    assert_eq!(metric(&server, "tpw_anchors_open"), 0);
    // What comes later is not in that tree, and is not due for an hour.
    let later = desk.pay();
    assert_eq!([&receipt, &receipt, &later].map(|file| desk.upgrade(file)), [1, 1, 0]);
    server.stop();
    check_offline(&chain, root.path(), &desk, &receipt);
    // At another pace the next head is due.
    let server = desk.serve(&chain.url, "1s");
    reaches(&server, "tpw_anchors_open", 1);
    let until = Instant::now() + Duration::from_secs(30);
    while desk.upgrade(&later) == 0 {
        assert!(Instant::now() < until, "the next head is not anchored");
        chain.mine(FINAL);
    }
    // The first one keeps its anchor, which is the first over its entry.
    assert_eq!(desk.upgrade(&receipt), 1);
    server.stop();
    let trust = desk.data.join("trust.json");
    let hash = block_hash(&chain, &later, text(&trust));
    let found = anchored(&later, &["--trust", text(&trust), "--block-hash", &hash]);
    assert_eq!(found, json!(["proved", "known"]));
}

/// The operator's own trust file names chain and contract: the hash of one block does the rest.
fn check_offline(chain: &Chain, root: &Path, desk: &Desk, receipt: &Path) {
    let kept = root.join("trust.json");
    std::fs::copy(desk.data.join("trust.json"), &kept).unwrap();
    let known = text(&kept);
    assert_eq!(anchored(receipt, &["--trust", known]), json!(["absent", "unknown_block"]));
    let hash = block_hash(chain, receipt, known);
    let with = |hash: &str| anchored(receipt, &["--trust", known, "--block-hash", hash]);
    assert_eq!(with(&hash), json!(["proved", "known"]));
    assert_eq!(with(&format!("0x{}", "00".repeat(32))), json!(["absent", "unknown_block"]));
    let mut file: Value = serde_json::from_slice(&std::fs::read(&kept).unwrap()).unwrap();
    file["evm_anchors"][0]["blocks"] = json!([hash]);
    let listed = root.join("listed.json");
    let trust = tpw_proof::Trust::from_json(&file.to_string()).unwrap().to_json();
    std::fs::write(&listed, trust).unwrap();
    assert_eq!(second(receipt, text(&listed))["levels"]["anchored"], "proved");
}

#[test]
fn payments_go_on_while_the_node_is_away_or_silent() {
    let (chain, root) = (Chain::fresh(), tempfile::tempdir().unwrap());
    let desk = Desk::new(root.path());
    let account = account(&chain, &desk.folder);
    let server = desk.serve("http://127.0.0.1:9", "1h");
    let receipt = desk.pay();
    reaches(&server, "tpw_anchor_failing", 3);
    assert_eq!(get(&server, "/readyz"), (200, "ok\n".to_owned()), "payments are taken and proved");
    let (status, health) = get(&server, "/readyz?verbose");
    let health: Value = serde_json::from_str(&health).unwrap();
    assert_eq!((status, &health["degraded"]), (200, &json!(["anchoring"])));
    let wallet = text(&desk.alice.folder);
    let doctor = || tpw(&["doctor", "--data", text(&desk.data), "--wallet", wallet, "--json"]);
    let background = |found: &Value| {
        let checks = found["checks"].as_array().unwrap();
        checks.iter().find(|check| check["check"] == "background").unwrap()["verdict"].clone()
    };
    assert_eq!(background(&doctor().ends(1).json()), "bad");
    server.stop();
    // One that takes the question and says nothing: neither payments nor the stop wait for it.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = desk.serve(&format!("http://{}", silent.local_addr().unwrap()), "1h");
    let _taken = silent.accept().unwrap();
    desk.pay();
    let begun = Instant::now();
    server.stop();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // With a node that answers it goes on where it was. Its address may come in a file.
    let node = root.path().join("node");
    std::fs::write(&node, format!("{}\n", chain.url)).unwrap();
    let server = desk.serve(&format!("file:{}", text(&node)), "1h");
    chain.until_sent(&account, 2);
    reaches(&server, "tpw_anchors_open", 1);
    chain.mine(FINAL);
    reaches(&server, "tpw_anchors_total", 1);
    assert_eq!(metric(&server, "tpw_anchor_failing"), 0);
    assert_eq!(background(&doctor().ends(0).json()), "good");
    assert_eq!(desk.upgrade(&receipt), 1);
    server.stop();
}

#[test]
fn the_pace_counts_from_the_block_and_not_from_the_order() {
    let (chain, root) = (Chain::fresh(), tempfile::tempdir().unwrap());
    let desk = Desk::new(root.path());
    let account = account(&chain, &desk.folder);
    chain.automine(false);
    let every = Duration::from_secs(5);
    let server = desk.serve(&chain.url, "5s");
    reaches(&server, "tpw_anchors_open", 1);
    desk.pay();
    // The chain takes its time: longer than from one anchor to the next.
    std::thread::park_timeout(every);
    let mined = Instant::now();
    chain.catch_up();
    chain.mine(1);
    chain.mine(FINAL);
    reaches(&server, "tpw_anchors_total", 1);
    chain.automine(true);
    while chain.sent(&account) < 3 {
        assert!(mined.elapsed() < Duration::from_secs(30), "the next head is not sent");
    }
    // Blocks have whole seconds.
    assert!(mined.elapsed() >= every - Duration::from_secs(1), "{:?}", mined.elapsed());
    server.stop();
}

#[test]
fn a_folder_that_does_not_fit_is_refused_at_the_start() {
    let (chain, root) = (Chain::fresh(), tempfile::tempdir().unwrap());
    let (data, folder) = (root.path().join("operator"), root.path().join("anchor"));
    let start = |folder: &Path, node: &str, more: &[&str]| {
        let own = ["serve", "--data", text(&data), "--listen", "127.0.0.1:0"];
        let anchor = ["--anchor", text(folder), "--anchor-rpc", node];
        tpw(&[&own[..], &anchor, more].concat()).ends(2)
    };
    start(&folder, &chain.url, &[]);
    let bare = root.path().join("bare");
    Anchorer::init(&bare).unwrap();
    start(&bare, &chain.url, &[]);
    let account = account(&chain, &folder);
    for every in ["0s", "25h", "1", "h"] {
        start(&folder, &chain.url, &["--anchor-every", every]);
    }
    let refused = start(&folder, &chain.url, &["--anchor-poll", "2h"]);
    assert!(refused.stderr.contains("at most 1h"), "{}", refused.stderr);
    // An address has the operator's key in it: what cannot be asked is not told back, and neither is what a file says.
    let file = root.path().join("node");
    for bad in
        ["ftp://127.0.0.1/KEY", "http:///KEY", "https://node example/KEY", "https://KEY:no", ""]
    {
        std::fs::write(&file, format!("{bad}\n")).unwrap();
        for given in [bad, &format!("file:{}", text(&file))] {
            let refused = start(&folder, given, &[]);
            assert!(!refused.stderr.contains("KEY"), "{}", refused.stderr);
        }
    }
    let alone = ["serve", "--data", text(&data), "--anchor", text(&folder)];
    tpw(&alone).ends(2);
    // An account that has announced heads of another log.
    let other = TreeHead { size: 3, root: Hash32::ZERO };
    let mut anchorer = opened(&folder);
    anchorer.anchor(&chain, &TERMS, other).unwrap();
    chain.until_sent(&account, 2);
    chain.mine(FINAL);
    drop(anchorer);
    start(&folder, &chain.url, &[]);
    let mut anchorer = opened(&folder);
    assert_eq!(anchorer.step(&chain, &TERMS).unwrap(), Progress::Anchored(other));
    drop(anchorer);
    let refused = start(&folder, &chain.url, &[]);
    assert!(refused.stderr.contains("this log never signed"), "{}", refused.stderr);
    assert!(!data.join("address").exists(), "nobody takes it for a server that runs");
    assert_eq!(chain.sent(&account), 2);
}
