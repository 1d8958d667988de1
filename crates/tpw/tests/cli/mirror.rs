//! Mirrors as processes of their own: asked over HTTPS by hand, fed by an operator, killed, and a log pulled into a folder. What they
//! hold is audited by the same command as any log.

use super::support::{Device, Ran, Server, command, tpw};
use super::witness::{Logs, Witness, outbound, said, text, until};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tpw_core::{Hash32, TreeHead};
use tpw_crypto::{Algorithm, FixedEntropy, Signer as _, SlotName, SoftwareSlots};
use tpw_proof::mirror::{AddEntries, INFO_TYPE, MirrorInfo, Package, REQUEST_TYPE};
use tpw_proof::note::parse_lines;
use tpw_proof::tile::{consistency_proof, subtree_proof};
use tpw_proof::tree::{leaf_hash, root_of};
use tpw_proof::witness::{AddCheckpoint, SignSubtree};
use tpw_proof::{
    Checkpoint, Interval, KeyName, ProofError, SignedCheckpoint, TileReader, VerifierKey,
};
use tpw_server::outbound::{Outbound, OutboundAnswer};

struct Leaves(Vec<Hash32>);

impl TileReader for Leaves {
    fn hashes(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash32>, ProofError> {
        let span = 256_usize.pow(level.into());
        let from = usize::try_from(index).unwrap() * 256;
        let root = |place: usize| root_of(&self.0[place * span..(place + 1) * span]);
        Ok((from..from + usize::from(width)).map(root).collect())
    }
}

/// Somebody's log with entries that are no commitments of ours.
struct Log {
    slots: SoftwareSlots,
    origin: KeyName,
    entries: Vec<Vec<u8>>,
}

fn slot(name: &str) -> SlotName {
    SlotName::new(name).unwrap()
}

impl Log {
    fn new() -> Self {
        let (mut slots, entropy) = (SoftwareSlots::new(), &mut FixedEntropy::new(11));
        slots.generate(slot("ed"), Algorithm::Ed25519, entropy).unwrap();
        slots.generate(slot("ml"), Algorithm::MlDsa44, entropy).unwrap();
        let entries = (0..1000_u32).map(|number| format!("entry {number}").into_bytes()).collect();
        Self { slots, origin: KeyName::new("log.example/other").unwrap(), entries }
    }

    fn leaves(&self, size: u64) -> Leaves {
        let entries = &self.entries[..usize::try_from(size).unwrap()];
        Leaves(entries.iter().map(|entry| leaf_hash(entry)).collect())
    }

    fn signed(&self, size: u64) -> SignedCheckpoint {
        let head = TreeHead { size, root: root_of(&self.leaves(size).0) };
        let checkpoint = Checkpoint { origin: self.origin.clone(), head };
        checkpoint.sign(&self.slots, &slot("ed"), &slot("ml")).unwrap()
    }

    fn show(&self, old_size: u64, size: u64) -> String {
        let proof = consistency_proof(&self.leaves(size), old_size, size).unwrap();
        AddCheckpoint { old_size, proof, checkpoint: self.signed(size) }.to_string()
    }

    /// The body of an upload of at most `most` packages.
    fn body(&self, start: u64, end: u64, ticket: &[u8], most: u64) -> Vec<u8> {
        let origin = self.origin.to_string();
        let head = AddEntries { origin, start, end, ticket: ticket.to_vec() };
        let mut bytes = head.to_bytes().unwrap();
        for place in (0..most).map_while(|number| head.place(number)) {
            let range = usize::try_from(place.start).unwrap()..usize::try_from(place.end).unwrap();
            let proof = subtree_proof(&self.leaves(end), place.subtree(), end).unwrap();
            let package = Package { entries: self.entries[range].to_vec(), proof };
            package.write(&mut bytes).unwrap();
        }
        bytes
    }

    fn keys(&self) -> Vec<VerifierKey> {
        let key = |name: &str| {
            let key = self.slots.public_key(&slot(name)).unwrap();
            VerifierKey::new(self.origin.clone(), key).unwrap()
        };
        vec![key("ed"), key("ml")]
    }

    /// A policy that names the log, as a file.
    fn policy(&self, root: &Path) -> PathBuf {
        let lines: String = self.keys().iter().map(|key| format!("log {key}\n")).collect();
        let path = root.join("logs");
        std::fs::write(&path, format!("{lines}quorum none\n")).unwrap();
        path
    }
}

#[track_caller]
fn stands(answer: &OutboundAnswer, status: u16, size: u64, next: u64) -> Vec<u8> {
    assert_eq!(answer.status, status, "{:?}", said(answer));
    assert_eq!(answer.media_type, INFO_TYPE);
    let info = MirrorInfo::parse(&said(answer).1).unwrap();
    assert_eq!((info.size, info.next), (size, next));
    info.ticket
}

fn hash_of(origin: &str) -> String {
    tpw_crypto::sha256(origin.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The audit of what a mirror serves.
fn audit(mirror: &Witness, origin: &str, trusted: &[&str]) -> i32 {
    let at = format!("{}/{}", mirror.url, hash_of(origin));
    let ca = text(&mirror.ca);
    tpw(&[&["log", "fsck", "--log", &at, "--ca", ca][..], trusted].concat()).code
}

/// A mirror of somebody's log, asked by hand.
struct Asked {
    root: tempfile::TempDir,
    log: Log,
    policy: PathBuf,
    mirror: Option<Witness>,
    client: Outbound,
    url: String,
    listen: String,
}

impl Asked {
    fn new() -> Self {
        let (root, log) = (tempfile::tempdir().unwrap(), Log::new());
        let policy = log.policy(root.path());
        let mirror = Self::start(root.path(), &policy, "127.0.0.1:0");
        let (client, url, listen) = (outbound(&mirror.ca), mirror.url.clone(), mirror.listen());
        Self { root, log, policy, mirror: Some(mirror), client, url, listen }
    }

    fn start(root: &Path, policy: &Path, listen: &str) -> Witness {
        let (folder, name) = (root.join("mirror"), "mirror.example/m1");
        Witness::run("mirror", &folder, name, &["--policy", text(policy)], listen)
    }

    /// Killed, and started again.
    fn killed(&mut self) {
        drop(self.mirror.take());
        self.mirror = Some(Self::start(self.root.path(), &self.policy, &self.listen));
    }

    fn mirror(&self) -> &Witness {
        self.mirror.as_ref().unwrap()
    }

    fn audit(&self) -> i32 {
        audit(self.mirror(), self.log.origin.as_str(), &["--policy", text(&self.policy)])
    }

    async fn show(&self, old_size: u64, size: u64) -> OutboundAnswer {
        let url = format!("{}/add-checkpoint", self.url);
        self.client.post(&url, self.log.show(old_size, size), 1 << 18).await.unwrap()
    }

    async fn send(&self, body: Vec<u8>) -> OutboundAnswer {
        let url = format!("{}/add-entries", self.url);
        self.client.post_as(&url, REQUEST_TYPE, body, 1 << 18).await.unwrap()
    }

    async fn sign(&self, request: String) -> u16 {
        let url = format!("{}/sign-subtree", self.url);
        self.client.post(&url, request, 1 << 18).await.unwrap().status
    }

    async fn get(&self, path: &str) -> OutboundAnswer {
        self.client.get(&format!("{}/{path}", self.url), 1 << 18).await.unwrap()
    }

    async fn checkpoint(&self) -> OutboundAnswer {
        self.get(&format!("{}/checkpoint", hash_of(self.log.origin.as_str()))).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_upload_or_is_not_proved_is_refused() {
    let asked = Asked::new();
    let log = &asked.log;
    let whole = log.body(0, 600, &[], 9);
    assert_eq!(asked.send(whole.clone()).await.status, 422, "it has seen no checkpoint");
    // A checkpoint is kept, and nothing is said of it.
    assert_eq!(said(&asked.show(0, 600).await), (200, String::new()));
    let stale = asked.show(0, 600).await;
    assert_eq!(said(&stale), (409, "600\n".to_owned()));
    assert_eq!(stale.media_type, "text/x.tlog.size");
    assert_eq!(asked.checkpoint().await.status, 404);

    let package = log.body(0, 600, &[], 1).len();
    let origin = log.origin.to_string();
    let backwards = AddEntries { origin, start: 5, end: 3, ticket: Vec::new() };
    for (what, body, wanted) in [
        ("nothing", Vec::new(), 400),
        ("a part of the head", whole[..20].to_vec(), 400),
        ("a part of the first package", whole[..package - 1].to_vec(), 400),
        ("backwards", backwards.to_bytes().unwrap(), 400),
        ("another log", [&[0, 1], &b"x"[..], &[0; 18]].concat(), 404),
    ] {
        assert_eq!(asked.send(body).await.status, wanted, "{what}");
    }
    let mut altered = whole.clone();
    altered[60] ^= 1;
    assert_eq!(asked.send(altered).await.status, 422);
    let url = format!("{}/add-entries", asked.url);
    let typed = asked.client.post_as(&url, "text/plain", whole, 1 << 18).await;
    assert_eq!(typed.unwrap().status, 415);
    stands(&asked.send(log.body(0, 599, &[], 9)).await, 409, 600, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_a_kill_cut_off_goes_on_and_nothing_goes_back() {
    let mut asked = Asked::new();
    asked.show(0, 600).await;
    // Cut off in the second package: the first is kept, also when the process dies at once.
    let mut cut = asked.log.body(0, 600, &[], 1);
    cut.extend([0; 100]);
    let ticket = stands(&asked.send(cut).await, 202, 600, 256);
    asked.killed();
    assert_eq!(asked.checkpoint().await.status, 404, "nothing is cosigned");
    assert_eq!(asked.show(600, 1000).await.status, 200);
    let log = &asked.log;
    stands(&asked.send(log.body(256, 600, &[], 9)).await, 409, 1000, 256);
    let done = asked.send(log.body(256, 600, &ticket, 9)).await;
    let lines = parse_lines(&said(&done).1).unwrap();
    let cosigned = log.signed(600).with_lines(&lines).unwrap();
    cosigned.verify_all(&asked.mirror().keys).unwrap();
    let served = SignedCheckpoint::parse(&said(&asked.checkpoint().await).1).unwrap();
    assert_eq!(served.checkpoint(), cosigned.checkpoint());
    served.verify_all(&[log.keys(), asked.mirror().keys.clone()].concat()).unwrap();
    assert_eq!(asked.audit(), 0);
    subtrees(&asked, &cosigned).await;

    // The rest, and then nothing goes back.
    let done = asked.send(log.body(600, 1000, &[], 9)).await;
    assert_eq!(done.status, 200, "{:?}", said(&done));
    stands(&asked.send(log.body(256, 600, &ticket, 9)).await, 409, 1000, 1000);
    assert_eq!(asked.audit(), 0);
    let metrics = said(&asked.get("metrics").await).1;
    for line in [
        "tpw_cosignatures_total{what=\"checkpoint\"} 2",
        "tpw_cosignatures_total{what=\"subtree\"} 1",
        "tpw_cosign_refusals_total{reason=\"conflict\"} 2",
        "tpw_cosign_refusals_total{reason=\"not_cosigned\"} 1",
        "tpw_mirror_size{origin=\"log.example/other\"} 1000",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} not in\n{metrics}");
    }
}

/// A subtree under a checkpoint that the mirror has cosigned, and what is none.
async fn subtrees(asked: &Asked, cosigned: &SignedCheckpoint) {
    let interval = Interval { start: 256, end: 512 };
    let leaves = asked.log.leaves(600);
    let hash = root_of(&leaves.0[256..512]);
    let proof = subtree_proof(&leaves, interval, 600).unwrap();
    let checkpoint = cosigned.only_of(&asked.mirror().keys);
    let request = SignSubtree { interval, hash, proof, checkpoint };
    assert_eq!(asked.sign(request.to_string()).await, 200);
    let bare = SignSubtree { checkpoint: asked.log.signed(600), ..request.clone() };
    assert_eq!(asked.sign(bare.to_string()).await, 403);
    let other = SignSubtree { hash: Hash32::ZERO, ..request.clone() };
    assert_eq!(asked.sign(other.to_string()).await, 422);
    for (from, to) in [
        ("subtree 256 512", "subtree 200 512"),
        ("subtree 256 512", "subtree 256 256"),
        ("subtree 256 512", "subtree 512 768"),
        ("subtree ", "subtree 0"),
    ] {
        let text = request.to_string().replacen(from, to, 1);
        assert_eq!(asked.sign(text).await, 400, "{to}");
    }
}

#[test]
fn an_operator_feeds_its_mirror_whose_cosignature_counts() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("operator");
    Server::start(&data, &[]).ops(&["holds", "list"]).ends(0);
    let trust = data.join("trust.json");
    let folder = root.path().join("mirror");
    let start = |listen: &str| {
        Witness::run("mirror", &folder, "m.example", &["--trust", text(&trust)], listen)
    };
    let mirror = start("127.0.0.1:0");
    let path = root.path().join("witnesses");
    let lines: String = (mirror.keys.iter().zip(["ed", "pq"]))
        .map(|(key, kind)| format!("witness m-{kind} {key} {}\n", mirror.url))
        .collect();
    std::fs::write(&path, format!("{lines}group m all m-ed m-pq\nquorum m\n")).unwrap();
    let witnesses = ["--witnesses", text(&path), "--witness-ca", text(&mirror.ca)];
    demand_checked_first(&data, &witnesses);

    let fed = ["--mirror", "m-ed", "--mirror", "m-pq"];
    let server = Server::start(&data, &[&witnesses[..], &fed].concat());
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    let pay = || {
        alice.wallet(&["pay", "main", &bob.accounts[0], "1.00", "USD/2", "--json"]).ends(0).json()
    };
    let paid = pay();
    let out = root.path().join("receipts");
    alice.wallet(&["receipts", "--out", text(&out)]).ends(0);
    let receipt = out.join(paid["receipt"].as_str().unwrap());
    let trusted = ["--trust", text(&trust), "--policy", text(&path)];
    let prove = || {
        let at = ["log", "prove", "--server", &server.url, "--ca", &server.ca];
        tpw(&[&at[..], &["--receipt", text(&receipt)], &trusted].concat()).code
    };
    until("the mirror has cosigned", || prove() == 0);
    // What it has cosigned it serves, under the quorum that it is.
    let origin = "tpw.example/log";
    assert_eq!(audit(&mirror, origin, &trusted), 0);

    // Killed while it is fed, again and again: what it shows is whole each time, and it catches up.
    let listen = mirror.listen();
    drop(mirror);
    pay();
    let away = format!("tpw_cosigner_answers_total{OF_MIRROR},outcome=\"away\"}} ");
    until("the operator has noticed that its mirror is away", || metrics(&server).contains(&away));
    for amount in ["1.01", "1.02", "1.03"] {
        let order = ["wallet", "pay", "main", &bob.accounts[0], amount, "USD/2", "--yes"];
        let mut payment = command(&alice.args(&order)).stdout(Stdio::null()).spawn().unwrap();
        let mirror = start(&listen);
        assert!(payment.wait().unwrap().success());
        drop(mirror);
        assert_eq!(audit(&start(&listen), origin, &trusted), 0);
    }
    let mirror = start(&listen);
    until("the mirror has caught up", || served_size(&mirror, &trust) == newest_size(&server));
    demand_metrics(&server);
}

/// What is wrong with the command line is found before anybody is told that a server listens.
fn demand_checked_first(data: &Path, witnesses: &[&str]) {
    let address = data.join("address");
    // The last server was killed and has left it there.
    std::fs::remove_file(&address).unwrap();
    let (policy, none) = (&witnesses[..2], data.join("no-such-file"));
    let other = data.join("other.toml");
    let described = "name = \"other\"\nurl = \"https://tsa.example/\"\npolicy = \"1.2.3\"\n\
                     roots = \"tsa-root.der\"\nca = \"trust.json\"\n";
    std::fs::write(&other, described).unwrap();
    for (more, code, why) in [
        (["--mirror", "nobody"], 2, "no witness nobody"),
        (["--witness-ca", text(&none)], 1, "no-such-file"),
        (["--timestamp-authority", text(&other)], 2, "other.toml"),
    ] {
        let serve = ["serve", "--data", text(data), "--listen", "127.0.0.1:0"];
        let refused = tpw(&[&serve[..], policy, &more].concat()).ends(code);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
        assert!(!address.exists(), "{more:?}");
    }
}

/// The size of the operator's log as the mirror serves it, audited.
fn served_size(mirror: &Witness, trust: &Path) -> String {
    let at = format!("{}/{}", mirror.url, hash_of("tpw.example/log"));
    let fsck = ["log", "fsck", "--json", "--log", &at];
    let ran = tpw(&[&fsck[..], &["--ca", text(&mirror.ca), "--trust", text(trust)]].concat());
    ran.ends(0).json()["size"].as_str().unwrap().to_owned()
}

fn newest_size(server: &Server) -> String {
    let ran = tpw(&["log", "checkpoint", "--server", &server.url, "--ca", &server.ca, "--json"]);
    ran.ends(0).json()["size"].as_str().unwrap().to_owned()
}

/// The labels of the operator's one mirror, left open.
const OF_MIRROR: &str = "{cosigner=\"m.example\",role=\"mirror\"";

fn metrics(server: &Server) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (client, url) = (outbound(Path::new(&server.ca)), format!("{}/metrics", server.url));
    said(&runtime.block_on(client.get(&url, 1 << 18)).unwrap()).1
}

/// The operator's metrics tell that its mirror answers, and is not behind.
fn demand_metrics(server: &Server) {
    let behind = format!("tpw_cosigner_behind{OF_MIRROR}}} 0\n");
    until("the metrics say so", || metrics(server).contains(&behind));
    let (told, start) = (metrics(server), format!("tpw_cosigner_answer_seconds_sum{OF_MIRROR}}} "));
    assert!(told.contains(&start), "{start} not in\n{told}");
}

#[test]
fn a_log_is_pulled_into_a_folder_and_what_does_not_hold_is_not() {
    let logs = Logs::grown();
    let (copy, trust) = (logs.root.path().join("copy"), logs.trust());
    let pull = |log: &Path| {
        let at = ["log", "mirror", "pull", "--log", text(log), "--to", text(&copy)];
        tpw(&[&at[..], &["--trust", text(&trust)]].concat())
    };
    let (own, fork) = (logs.data.join("log"), logs.twin.join("log"));
    // A bundle that was altered gives another root: nothing is shown of it.
    let altered = logs.root.path().join("altered");
    super::log::copy(&own, &altered);
    let bundles = altered.join("tile/entries/000.p");
    let widths = std::fs::read_dir(&bundles).unwrap().map(|entry| entry.unwrap().path());
    let width =
        |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().parse::<u16>().unwrap();
    let bundle = widths.max_by_key(width).unwrap();
    let good = std::fs::read(&bundle).unwrap();
    for place in [2, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[place] ^= 1;
        std::fs::write(&bundle, bad).unwrap();
        pull(&altered).ends(4);
    }
    std::fs::remove_file(&bundle).unwrap();
    pull(&altered).ends(1);
    assert!(!copy.join("checkpoint").exists());
    pull(&own).ends(0);
    pull(&own).ends(0);
    let fsck = ["log", "fsck", "--log", text(&copy), "--trust", text(&trust)];
    tpw(&fsck).ends(0);
    // The rewritten log is larger, signed with the same keys, and does not go on from the copy.
    let before = std::fs::read(copy.join("checkpoint")).unwrap();
    pull(&fork).ends(4);
    assert_eq!(std::fs::read(copy.join("checkpoint")).unwrap(), before);
    tpw(&fsck).ends(0);
}

#[test]
fn a_log_is_pruned_only_over_what_a_mirror_holds() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("operator");
    Server::start(&data, &[]).ops(&["holds", "list"]).ends(0);
    let trust = data.join("trust.json");
    let start = |name: &str| {
        let folder = root.path().join(name);
        Witness::run("mirror", &folder, name, &["--trust", text(&trust)], "127.0.0.1:0")
    };
    let (fed, empty) = (start("fed"), start("empty"));
    let line = |mirror: &Witness, name: &str| {
        format!("witness {name} {} {}\n", mirror.keys[1], mirror.url)
    };
    let path = root.path().join("mirrors");
    let policy = format!("{}{}quorum fed\n", line(&fed, "fed"), line(&empty, "empty"));
    std::fs::write(&path, policy).unwrap();
    let ca = root.path().join("mirrors-ca.pem");
    let pem = [std::fs::read(&fed.ca).unwrap(), std::fs::read(&empty.ca).unwrap()].concat();
    std::fs::write(&ca, pem).unwrap();
    let prune = |before: &str, mirrors: &[&str]| {
        let named: Vec<&str> = mirrors.iter().flat_map(|name| ["--mirror", name]).collect();
        let fixed = ["log", "prune", "--data", text(&data), "--before", before];
        let at = ["--policy", text(&path), "--ca", text(&ca)];
        tpw(&[&fixed[..], &at, &named].concat())
    };

    let witnesses = ["--witnesses", text(&path), "--witness-ca", text(&ca), "--mirror", "fed"];
    let server = Server::start(&data, &witnesses);
    let listen = server.listen.clone();
    let again = || Server::start(&data, &[&witnesses[..], &["--listen", &listen]].concat());
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    let receipt = paid_often(root.path(), &alice, &bob);
    let fsck = |server: &Server, more: &[&str]| {
        let at =
            ["log", "fsck", "--server", &server.url, "--ca", &server.ca, "--trust", text(&trust)];
        tpw(&[&at[..], more].concat()).code
    };
    let log = format!("{}/{}", fed.url, hash_of("tpw.example/log"));
    let held = ["log", "prove", "--log", &log, "--ca", text(&fed.ca), "--index", "256"];
    until("the mirror shows it", || {
        tpw(&[&held[..], &["--trust", text(&trust)]].concat()).code == 0
    });
    prune("256", &["fed"]).ends(1);
    assert_eq!(fsck(&server, &[]), 0);
    server.stop();

    demand_refused(&prune, &root.path().join("fed/logs"));
    let server = again();
    assert_eq!(fsck(&server, &[]), 0, "nothing was pruned");
    server.stop();

    // What the mirror has may go: auditors that accept it find nothing wrong, receipts are proved as before.
    prune("256", &["fed"]).ends(0);
    // Going on from there asks for everything again: what was seen once may be gone.
    let bundle = root.path().join("fed/logs").join(hash_of("tpw.example/log"));
    rotten(&bundle.join("tile/entries/000"), || _ = prune("257", &["fed"]).ends(4));
    let server = again();
    assert_eq!((fsck(&server, &[]), fsck(&server, &["--min-index", "256"])), (4, 0));
    tpw(&["verify", text(&receipt), "--trust", text(&trust)]).ends(0);
    let fresh = root.path().join("fresh");
    alice.wallet(&["receipts", "--fresh", "--out", text(&fresh)]).ends(0);
    demand_denied(&server);
    let prove = |index: &str| {
        let at = ["log", "prove", "--server", &server.url, "--ca", &server.ca, "--index", index];
        tpw(&[&at[..], &["--trust", text(&trust)]].concat()).code
    };
    assert_eq!((prove("3"), prove("256")), (1, 0));
    server.stop();
    tpw(&["log", "fsck", "--data", text(&data)]).ends(0);
    // Set back, it is served again, and nobody has to hold anything for that.
    prune("0", &[]).ends(0);
    assert_eq!(fsck(&again(), &[]), 0);
}

/// Fills more than a bundle; answers a receipt of it.
fn paid_often(root: &Path, payer: &Device, payee: &Device) -> PathBuf {
    let batch = root.join("batch.csv");
    let line = |number: u32| format!("main,{},0.01,USD/2,{number}\n", payee.accounts[0]);
    let lines: String = (0..280).map(line).collect();
    std::fs::write(&batch, format!("from,to,amount,asset,note\n{lines}")).unwrap();
    tpw(&payer.args(&["pay", "--batch", text(&batch)])).ends(0);
    let out = root.join("receipts");
    payer.wallet(&["receipts", "--out", text(&out)]).ends(0);
    std::fs::read_dir(&out).unwrap().next().unwrap().unwrap().path()
}

/// Without a mirror, with one that has nothing or something else, beyond the log, or with a name that nobody has.
fn demand_refused(prune: &dyn Fn(&str, &[&str]) -> Ran, copies: &Path) {
    prune("256", &[]).ends(4);
    prune("256", &["empty"]).ends(1);
    prune("256", &["fed", "empty"]).ends(1);
    prune("99999", &["fed"]).ends(1);
    prune("256", &["nobody"]).ends(2);
    let bundle = copies.join(hash_of("tpw.example/log")).join("tile/entries/000");
    let good = std::fs::read(&bundle).unwrap();
    rotten(&bundle, || _ = prune("256", &["fed"]).ends(4));
    std::fs::remove_file(&bundle).unwrap();
    prune("256", &["fed"]).ends(4);
    std::fs::write(&bundle, good).unwrap();
}

/// How many entries the checkpoint file of a log's folder speaks of.
fn published(log: &Path) -> Option<u64> {
    let note = std::fs::read_to_string(log.join("checkpoint")).ok()?;
    note.lines().nth(1)?.parse().ok()
}

/// What happens while a bit of a file is another one.
fn rotten(path: &Path, then: impl FnOnce()) {
    let good = std::fs::read(path).unwrap();
    let mut bad = good.clone();
    bad[70] ^= 1;
    std::fs::write(path, bad).unwrap();
    then();
    std::fs::write(path, good).unwrap();
}

#[test]
fn a_copy_in_which_an_old_bundle_has_rotted_shows_nothing_newer() {
    let root = tempfile::tempdir().unwrap();
    let (data, copy) = (root.path().join("operator"), root.path().join("copy"));
    let server = Server::start(&data, &[]);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
    let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
    let (log, trust) = (data.join("log"), data.join("trust.json"));
    let pull = || {
        let at = ["log", "mirror", "pull", "--log", text(&log), "--to", text(&copy)];
        tpw(&[&at[..], &["--trust", text(&trust)]].concat())
    };
    let shown = || std::fs::read(copy.join("checkpoint")).unwrap();
    paid_often(root.path(), &alice, &bob);
    // The files follow the answers.
    until("a full bundle is published", || published(&log).is_some_and(|size| size > 256));
    pull().ends(0);
    let before = shown();
    alice.wallet(&["pay", "main", &bob.accounts[0], "1.00", "USD/2"]).ends(0);
    let size = published(&copy);
    until("the last payment is published", || published(&log) > size);
    rotten(&copy.join("tile/entries/000"), || {
        assert!(pull().ends(4).stdout.contains("000"), "it says which file");
        assert_eq!(shown(), before);
    });
    pull().ends(0);
    assert_ne!(shown(), before);
}

/// What ends before the minimum index is not served, in whatever width; what goes beyond it is.
fn demand_denied(server: &Server) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = outbound(Path::new(&server.ca));
    for (path, status) in [
        ("tile/entries/000", 404),
        ("tile/0/000", 404),
        ("tile/0/000.p/7", 404),
        ("tile/1/000.p/1", 200),
    ] {
        let url = format!("{}/v1/log/{path}", server.url);
        assert_eq!(runtime.block_on(client.get(&url, 1 << 18)).unwrap().status, status, "{path}");
    }
}
