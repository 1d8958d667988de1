//! Witnesses as processes of their own, asked over HTTPS by hand and by an operator, beside others that are away or lie.

use super::log::copy;
use super::support::{Device, Ran, Server, command, tpw};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tpw_proof::note::parse_lines;
use tpw_proof::witness::AddCheckpoint;
use tpw_proof::{SignedCheckpoint, VerifierKey};
use tpw_server::outbound::{Outbound, OutboundAnswer};

/// A running witness, or a mirror; killed at the end, as a machine that loses its power.
pub(super) struct Witness {
    child: Child,
    pub(super) url: String,
    pub(super) ca: PathBuf,
    pub(super) keys: Vec<VerifierKey>,
}

impl Witness {
    fn start(data: &Path, name: &str, trust: &Path, listen: &str) -> Self {
        Self::run("witness", data, name, &["--trust", text(trust)], listen)
    }

    pub(super) fn run(role: &str, data: &Path, name: &str, logs: &[&str], listen: &str) -> Self {
        let fixed = ["log", role, "serve", "--json", "--data", text(data), "--name", name];
        let mut child = command(&[&fixed[..], logs, &["--listen", listen]].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let started: Value = loop {
            let line = lines.next().expect("the witness ended").unwrap();
            let value: Value = serde_json::from_str(&line).unwrap();
            if value.get("keys").is_some() {
                break value;
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        let keys = started["keys"].as_array().unwrap().iter();
        Self {
            child,
            url: started["url"].as_str().unwrap().to_owned(),
            ca: PathBuf::from(started["development_certificate"].as_str().unwrap()),
            keys: keys.map(|key| key.as_str().unwrap().parse().unwrap()).collect(),
        }
    }

    pub(super) fn listen(&self) -> String {
        self.url.trim_start_matches("https://").to_owned()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

pub(super) fn outbound(ca: &Path) -> Outbound {
    let pem = std::fs::read(ca).unwrap();
    Outbound::new(Some(&pem), Duration::from_secs(20)).unwrap()
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// An operator whose log has grown in steps, each with its checkpoint kept, and a twin that was rewritten.
pub(super) struct Logs {
    pub(super) root: tempfile::TempDir,
    pub(super) data: PathBuf,
    pub(super) twin: PathBuf,
    /// Checkpoints of growing size.
    kept: Vec<PathBuf>,
}

impl Logs {
    pub(super) fn grown() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (data, twin) = (root.path().join("operator"), root.path().join("twin"));
        let server = Server::start(&data, &[]);
        let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
        let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
        let listen = server.listen.clone();
        server.stop();
        copy(&data, &twin);
        let other_alice = root.path().join("other-alice");
        copy(&alice.folder, &other_alice);
        let (passphrase, accounts) = (alice.passphrase.clone(), alice.accounts.clone());
        let other = Device { folder: other_alice, passphrase, accounts };
        let pay = |data: &Path, payer: &Device, amount: &str, times: usize| {
            let server = Server::start(data, &["--listen", &listen]);
            (0..times).for_each(|_| {
                payer.wallet(&["pay", "main", &bob.accounts[0], amount, "USD/2"]).ends(0);
            });
            server.stop();
        };
        let mut kept = Vec::new();
        for step in 0..4 {
            pay(&data, &alice, "1.00", 1);
            let path = root.path().join(format!("checkpoint-{step}"));
            std::fs::copy(data.join("log/checkpoint"), &path).unwrap();
            kept.push(path);
        }
        pay(&twin, &other, "2.00", 5);
        Self { root, data, twin, kept }
    }

    pub(super) fn trust(&self) -> PathBuf {
        self.data.join("trust.json")
    }

    fn consistency(&self, old: &str, new: &Path, data: &Path) -> Ran {
        let (log, trust) = (data.join("log"), self.trust());
        tpw(&["log", "consistency", old, text(new), "--log", text(&log), "--trust", text(&trust)])
    }

    /// What a witness is asked, as the command prints it.
    fn request(&self, old: &str, new: usize) -> String {
        self.consistency(old, &self.kept[new], &self.data).ends(0).stdout
    }

    fn size(&self, kept: usize) -> u64 {
        let note = std::fs::read_to_string(&self.kept[kept]).unwrap();
        SignedCheckpoint::parse(&note).unwrap().checkpoint().head.size
    }
}

async fn post(outbound: &Outbound, url: &str, body: &str) -> OutboundAnswer {
    outbound.post(&format!("{url}/add-checkpoint"), body.to_owned(), 1 << 18).await.unwrap()
}

pub(super) fn said(answer: &OutboundAnswer) -> (u16, String) {
    (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_keeps_to_the_protocol_and_to_what_it_has_cosigned() {
    let logs = Logs::grown();
    let folder = logs.root.path().join("witness");
    let name = "witness.example/w1";
    let mut witness = Witness::start(&folder, name, &logs.trust(), "127.0.0.1:0");
    let listen = witness.listen();
    let client = outbound(&witness.ca);
    let url = witness.url.clone();
    let sizes: Vec<u64> = (0..4).map(|kept| logs.size(kept)).collect();

    let first = logs.request("0", 0);
    let answer = post(&client, &url, &first).await;
    assert_eq!(answer.status, 200, "{:?}", said(&answer));
    let lines = parse_lines(str::from_utf8(&answer.body).unwrap()).unwrap();
    let cosigned = AddCheckpoint::parse(&first).unwrap().checkpoint.with_lines(&lines).unwrap();
    cosigned.verify_all(&witness.keys).unwrap();
    let hash = tpw_crypto::sha256(cosigned.checkpoint().origin.as_str().as_bytes());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let monitored = client.get(&format!("{url}/{hash}/checkpoint"), 1 << 18).await.unwrap();
    assert_eq!(said(&monitored), (200, cosigned.to_string()));
    let unknown = "0".repeat(64);
    for path in [format!("{unknown}/checkpoint"), "checkpoint".to_owned(), String::new()] {
        assert_eq!(client.get(&format!("{url}/{path}"), 1 << 18).await.unwrap().status, 404);
    }
    assert_eq!(client.get(&format!("{url}/add-checkpoint"), 100).await.unwrap().status, 405);

    // A replay, and every other old size, is told the right one.
    let stale = |answer: &OutboundAnswer, size: u64| {
        assert_eq!(answer.media_type, "text/x.tlog.size");
        assert_eq!(said(answer), (409, format!("{size}\n")));
    };
    stale(&post(&client, &url, &first).await, sizes[0]);
    // What proves nothing, or is no request at all.
    let next = logs.request(text(&logs.kept[0]), 1);
    let hashes: Vec<&str> = next.split("\n\n").next().unwrap().lines().skip(1).collect();
    let wrong = next.replacen(hashes[0], "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 1);
    let short = next.replacen(&format!("{}\n", hashes[0]), "", 1);
    for (body, status) in [
        (wrong.as_str(), 422),
        (&short, 422),
        ("", 400),
        ("old 0\n\n", 400),
        (&next.replacen("old ", "old 0", 1), 400),
        (&next.replacen(&format!("old {}", sizes[0]), "old 99", 1), 400),
        (&next.replace("\n\n", "\n\n\n"), 400),
        (&next.replace("tpw.example/log", "tpw.example/gol"), 404),
        (&next.replacen(&format!("\n{}\n", sizes[1]), "\n77\n", 1), 403),
        (&"x".repeat(200_000), 413),
    ] {
        let answer = post(&client, &url, body).await;
        assert_eq!(answer.status, status, "{:?} for {body:.60}", said(&answer));
    }
    // The rewritten log, with the true keys and proofs that hold in itself.
    let forked = logs.twin.join("log/checkpoint");
    let fork = logs.consistency(&sizes[0].to_string(), &forked, &logs.twin).ends(0).stdout;
    assert_eq!(post(&client, &url, &fork).await.status, 422);

    // Killed at once after an answer: what it has cosigned it still knows.
    assert_eq!(post(&client, &url, &next).await.status, 200);
    drop(witness);
    witness = Witness::start(&folder, name, &logs.trust(), &listen);
    stale(&post(&client, &url, &next).await, sizes[1]);
    stale(&post(&client, &url, &fork).await, sizes[1]);

    // Two at once: one is first, the other is told its size.
    let left = logs.request(text(&logs.kept[1]), 2);
    let right = logs.request(text(&logs.kept[1]), 3);
    let (left, right) = tokio::join!(post(&client, &url, &left), post(&client, &url, &right));
    match (left.status, right.status) {
        (200, 409) => stale(&right, sizes[2]),
        (409, 200) => stale(&left, sizes[3]),
        other => panic!("{other:?}"),
    }
    drop(witness);
    // A second witness in the folder of the first, or the first under another name.
    let (trust, folder) = (logs.trust(), text(&folder));
    let serve = ["log", "witness", "serve", "--data", folder, "--trust", text(&trust)];
    tpw(&[&serve[..], &["--name", "witness.example/w2"]].concat()).ends(1);
    tpw(&[&serve[..], &["--name", "a name"]].concat()).ends(2);
}

/// Says to everybody that it has cosigned a size that no log has, and counts how often it was asked.
struct Liar {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Liar {
    fn start(status: &'static str, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let mut start = [0; 4096];
                let _some = stream.read(&mut start);
                let length = body.len();
                let _gone = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
            }
        });
        Self { url, asked }
    }
}

/// The policy of an operator with two honest witnesses and three of no use.
fn policy(
    witnesses: [&Witness; 2],
    useless: [&str; 3],
    keys: &[VerifierKey],
    quorum: &str,
) -> String {
    let mut text = String::new();
    for (number, witness) in witnesses.iter().enumerate() {
        for (kind, key) in ["ed", "pq"].iter().zip(&witness.keys) {
            text += &format!("witness w{number}-{kind} {key} {}/\n", witness.url);
        }
    }
    for (number, (url, key)) in useless.iter().zip(keys).enumerate() {
        text += &format!("witness useless{number} {key} {url}\n");
    }
    text += "group w0 any w0-ed w0-pq\ngroup w1 any w1-ed w1-pq\ngroup both all w0 w1\n";
    text + &format!("quorum {quorum}\n")
}

pub(super) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

fn strangers(count: usize) -> Vec<VerifierKey> {
    use tpw_crypto::{Algorithm, FixedEntropy, Signer as _, SlotName, SoftwareSlots};
    let (mut slots, entropy) = (SoftwareSlots::new(), &mut FixedEntropy::new(5));
    let mut key = |number: usize| {
        let slot = SlotName::new(&format!("stranger{number}")).unwrap();
        slots.generate(slot.clone(), Algorithm::Ed25519, entropy).unwrap();
        let name = tpw_proof::KeyName::new(&format!("stranger{number}.example")).unwrap();
        VerifierKey::cosigner(name, slots.public_key(&slot).unwrap()).unwrap()
    };
    (0..count).map(&mut key).collect()
}

#[test]
fn an_operator_has_its_checkpoints_cosigned_whatever_some_witnesses_do() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("operator");
    Server::start(&data, &[]).ops(&["holds", "list"]).ends(0);
    let trust = data.join("trust.json");
    let start = |number: usize, listen: &str| {
        let folder = root.path().join(format!("witness{number}"));
        Witness::start(&folder, &format!("w{number}.example"), &trust, listen)
    };
    let (one, two) = (start(0, "127.0.0.1:0"), start(1, "127.0.0.1:0"));
    let ahead = Liar::start("409 Conflict", "99999999\n");
    let forger = Liar::start("200 OK", "\u{2014} stranger1.example AAAAAAAAAAAAAAAAAAAAAA==\n");
    let keys = strangers(3);
    let path = root.path().join("witnesses");
    let useless = [ahead.url.as_str(), &forger.url, "https://127.0.0.1:1"];
    std::fs::write(&path, policy([&one, &two], useless, &keys, "both")).unwrap();
    let ca = root.path().join("witness-ca.pem");
    let pem = [std::fs::read(&one.ca).unwrap(), std::fs::read(&two.ca).unwrap()].concat();
    std::fs::write(&ca, pem).unwrap();
    let witnesses = ["--witnesses", text(&path), "--witness-ca", text(&ca)];

    let server = Server::start(&data, &witnesses);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    let order = ["pay", "main", &bob.accounts[0], "1.00", "USD/2", "--id", "first", "--json"];
    let paid = alice.wallet(&order).ends(0).json();
    let out = root.path().join("receipts");
    alice.wallet(&["receipts", "--out", text(&out)]).ends(0);
    let receipt = out.join(paid["receipt"].as_str().unwrap());

    // The receipt went out before any witness could have seen its checkpoint; its entry is proved under one that has.
    tpw(&["verify", text(&receipt), "--trust", text(&trust)]).ends(0);
    tpw(&["verify", text(&receipt), "--trust", text(&trust), "--policy", text(&path)]).ends(4);
    let ask = |server: &Server, words: &[&str], policy: &Path| {
        let at = ["--server", &server.url, "--ca", &server.ca, "--trust", text(&trust)];
        tpw(&[&["log"], words, &at[..], &["--policy", text(policy)]].concat())
    };
    let prove = ["prove", "--receipt", text(&receipt)];
    until("the quorum is met", || ask(&server, &prove, &path).code == 0);
    let proof = tpw_proof::TlogProof::parse(&ask(&server, &prove, &path).ends(0).stdout).unwrap();
    let all: Vec<VerifierKey> = [&one, &two].iter().flat_map(|one| one.keys.clone()).collect();
    proof.checkpoint.verify_all(&all).unwrap();
    // The same receipt, asked for now, has the witnesses in it.
    let fresh = root.path().join("fresh");
    alice.wallet(&["receipts", "--fresh", "--out", text(&fresh)]).ends(0);
    let fresh = fresh.join(paid["receipt"].as_str().unwrap());
    let verify =
        ["verify", text(&fresh), "--trust", text(&trust), "--policy", text(&path), "--json"];
    let verdict = tpw(&verify).ends(0).json();
    assert_eq!(verdict["levels"][2]["outcome"], "proved", "{verdict}");

    // Nobody believes those who are of no use, and they are not asked again and again.
    let greedy = root.path().join("greedy");
    std::fs::write(&greedy, policy([&one, &two], useless, &keys, "useless1")).unwrap();
    ask(&server, &prove, &greedy).ends(4);
    let asked = ahead.asked.load(Ordering::SeqCst) + forger.asked.load(Ordering::SeqCst);
    assert!((2..40).contains(&asked), "{asked}");

    // A restart of both sides, one witness after the other: what was cosigned is there at once, and it goes on.
    let listen = [one.listen(), two.listen()];
    server.stop();
    drop((one, two));
    let server =
        Server::start(&data, &[&witnesses[..], &["--listen", &server_listen(&alice)]].concat());
    ask(&server, &prove, &path).ends(0);
    alice.wallet(&["pay", "main", &bob.accounts[0], "1.00", "USD/2"]).ends(0);
    let _again = (start(0, &listen[0]), start(1, &listen[1]));
    let index = proof.checkpoint.checkpoint().head.size.to_string();
    until("the new entry is witnessed", || {
        ask(&server, &["prove", "--index", &index], &path).code == 0
    });
    server.stop();

    // A policy that asks nobody, and one of other logs.
    std::fs::write(&path, "quorum none\n").unwrap();
    tpw(&["serve", "--data", text(&data), "--listen", "127.0.0.1:0", "--witnesses", text(&path)])
        .ends(2);
    std::fs::write(&path, "quorum none").unwrap();
    tpw(&["serve", "--data", text(&data), "--witnesses", text(&path)]).ends(2);
}

#[test]
fn a_large_payment_waits_for_its_witnesses_and_a_small_one_does_not() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("operator");
    Server::start(&data, &[]).ops(&["holds", "list"]).ends(0);
    let trust = data.join("trust.json");
    let start = |number: usize, listen: &str| {
        let folder = root.path().join(format!("witness{number}"));
        Witness::start(&folder, &format!("w{number}.example"), &trust, listen)
    };
    let (one, two) = (start(0, "127.0.0.1:0"), start(1, "127.0.0.1:0"));
    let path = root.path().join("witnesses");
    let write = |quorum: &str| {
        std::fs::write(&path, policy([&one, &two], [""; 3], &[], quorum)).unwrap();
    };
    let ca = root.path().join("witness-ca.pem");
    let pem = [std::fs::read(&one.ca).unwrap(), std::fs::read(&two.ca).unwrap()].concat();
    std::fs::write(&ca, pem).unwrap();
    let witnesses = ["--witnesses", text(&path), "--witness-ca", text(&ca)];
    let with = |more: &[&'static str]| [&witnesses[..], more].concat();
    let refused = |more: &[&'static str], code| {
        let args = [&["serve", "--data", text(&data), "--listen", "127.0.0.1:0"], &with(more)[..]];
        tpw(&args.concat()).ends(code);
    };
    write("none");
    refused(&["--witnessed-from", "USD/2:5.00"], 1);
    write("both");
    refused(&["--witnessed-from", "5.00"], 2);
    refused(&["--witnessed-from", "USD/2:5.001"], 2);

    let server = Server::start(&data, &with(&["--witnessed-from", "USD/2:5.00"]));
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    let payee = bob.accounts[0].clone();
    let verify = |paid: &Ran, code| {
        let out = root.path().join("receipts");
        alice.wallet(&["receipts", "--out", text(&out)]).ends(0);
        let receipt = out.join(paid.json()["receipt"].as_str().unwrap());
        let policy = ["--trust", text(&trust), "--policy", text(&path)];
        tpw(&[&["verify", text(&receipt)], &policy[..]].concat()).ends(code);
    };
    // The answer to a large payment proves at once that the witnesses have seen it.
    for amount in ["5.00", "7.50"] {
        verify(&alice.wallet(&["pay", "main", &payee, amount, "USD/2", "--json"]).ends(0), 0);
    }
    verify(&alice.wallet(&["pay", "main", &payee, "4.99", "USD/2", "--json"]).ends(0), 4);

    // With one witness away small payments go on, and a large one is not answered until it is back.
    let listen = two.listen();
    drop(two);
    alice.wallet(&["pay", "main", &payee, "1.00", "USD/2"]).ends(0);
    let order = ["wallet", "pay", "main", &payee, "20.00", "USD/2", "--json", "--yes"];
    let mut waiting = command(&alice.args(&order)).stdout(Stdio::piped()).spawn().unwrap();
    std::thread::park_timeout(Duration::from_secs(3));
    assert!(waiting.try_wait().unwrap().is_none(), "it was answered without its witnesses");
    // It is booked all the same, once.
    let balance = server.ops(&["account", "show", &payee]).ends(0).json();
    assert!(balance.to_string().contains("3849"), "{balance}");
    let _back = start(1, &listen);
    let ended = waiting.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let ended =
        Ran { code: 0, stdout: String::from_utf8(ended.stdout).unwrap(), stderr: String::new() };
    verify(&ended, 0);
}

/// Where the wallet looks for its server.
fn server_listen(device: &Device) -> String {
    let shown = device.wallet(&["show", "--json"]).ends(0).json();
    shown["server"].as_str().unwrap().trim_start_matches("https://").to_owned()
}
