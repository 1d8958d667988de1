//! Goal: the time-stamp authority believes its clock as far as a quorum of Roughtime servers does.
//!
//! Method: servers that others wrote (`roughenough-server`), each with a key of its own, on the loopback interface; one of them is
//! started with a clock that is an hour wrong, one is listed with another one's key, one is not there; somebody on the way cuts answers or
//! gives old ones. The proof of the lie is judged without the product: its chain of nonces, its signatures by `openssl`.

use super::chrony::{ask, free_port, wait_for, wait_for_reason};
use super::support::Server;
use super::tsa::Desk;
use serde_json::{Value, json};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server; killed at the end.
struct Peer {
    child: Child,
    port: u16,
    key: String,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// `cargo xtask test` installs it.
fn program() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_tpw")).ancestors().nth(2).unwrap();
    target.join("tools/bin/roughenough_server")
}

impl Peer {
    /// Its key's seed is that byte; its clock is so many seconds wrong.
    fn start(desk: &Desk, seed: u8, off_s: i16) -> Self {
        let port = free_port();
        let path = desk.path(&format!("seed-{seed}"));
        super::support::secret(&path, &format!("{seed:02x}").repeat(32));
        let child = Command::new(program())
            .args(["--interface", "127.0.0.1", "--num-threads", "1", "--quiet"])
            .args(["--port", &port.to_string(), &format!("--fixed-offset={off_s}")])
            .args(["--seed-file", path.to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("`{}`: {error}; `cargo xtask test` installs it", program().display())
            });
        Self { child, port, key: public_key(desk, seed) }
    }

    fn listed(&self, name: &str) -> Value {
        listed(name, self.port, &self.key)
    }
}

/// The key of this seed, by `openssl`: PKCS #8 of an Ed25519 key (RFC 8410 §7) is a fixed head and the seed.
fn public_key(desk: &Desk, seed: u8) -> String {
    let head = hex::decode("302e020100300506032b657004220420").unwrap();
    std::fs::write(desk.path("seed.der"), [head, vec![seed; 32]].concat()).unwrap();
    desk.openssl("pkey -inform DER -in seed.der -pubout -outform DER -out public.der");
    let public = std::fs::read(desk.path("public.der")).unwrap();
    desk.openssl("base64 -A -in public.der");
    std::fs::write(desk.path("public.raw"), &public[public.len() - 32..]).unwrap();
    desk.openssl("base64 -A -in public.raw").trim().to_owned()
}

fn listed(name: &str, port: u16, key: &str) -> Value {
    let address = json!({ "protocol": "udp", "address": format!("127.0.0.1:{port}") });
    json!({
        "name": name, "version": 1, "publicKeyType": "ed25519", "publicKey": key, "addresses": [address],
    })
}

fn roughtime(desk: &Desk, servers: &[Value]) -> String {
    let path = desk.path("servers.json");
    std::fs::write(&path, json!({ "servers": servers }).to_string()).unwrap();
    format!("roughtime:{}", path.display())
}

fn start(desk: &Desk, servers: &[Value], accuracy_ms: &str) -> Server {
    let clock = roughtime(desk, servers);
    let flags = ["--tsa-clock", &clock, "--tsa-accuracy", accuracy_ms];
    Server::start(&desk.path("operator"), &flags)
}

#[test]
fn a_majority_is_believed_and_whoever_lies_is_named_and_convicted() {
    let desk = Desk::new();
    let honest = [Peer::start(&desk, 1, 0), Peer::start(&desk, 2, 0)];
    let liar = Peer::start(&desk, 3, 3600);
    let list = [
        honest[0].listed("one.example"),
        liar.listed("liar.example"),
        honest[1].listed("two.example"),
    ];
    let server = start(&desk, &list, "10000");
    // They state whole seconds, give or take five.
    wait_for(&desk, &server, |answer| matches!(answer, Ok(5_000..=7_500)));
    let said = server.records();
    let warned = said.lines().filter(|line| line.contains("states another time"));
    let warned: Vec<&str> = warned.collect();
    assert!(
        warned.iter().all(|line| line.contains("liar.example")) && !warned.is_empty(),
        "{said}"
    );
    demand_proof(&desk, &desk.path("operator/roughtime-report.json"));
    drop(server);

    // What they vouch for is more than is declared.
    let server = start(&desk, &list, "1000");
    wait_for_reason(&server, "and 1000 ms are declared");
    assert_eq!(ask(&desk, &server), Err(vec![14]));
    drop(server);
    // Beside another source they are asked whether that one can be right.
    let both = |list: &[Value]| {
        let clock = roughtime(&desk, list);
        let flags = ["--tsa-clock", "declared:300", "--tsa-clock", &clock];
        Server::start(&desk.path("operator"), &flags)
    };
    assert_eq!(ask(&desk, &both(&list)), Ok(300));
    let server = both(&[liar.listed("alone.example")]);
    wait_for_reason(&server, "exclude each other");
    assert_eq!(ask(&desk, &server), Err(vec![14]));
}

#[test]
fn without_a_majority_there_is_no_time() {
    let desk = Desk::new();
    let (one, two) = (Peer::start(&desk, 1, 0), Peer::start(&desk, 2, -3600));
    let gone = free_port();
    for (list, why) in [
        // Everybody is away.
        (vec![listed("a", gone, &one.key), listed("b", gone, &two.key)], "`b`: no answer"),
        // One of two is an hour behind, and nobody knows which.
        (vec![one.listed("a"), two.listed("b")], "ms away"),
        // Listed with a key that it does not have.
        (vec![listed("a", one.port, &public_key(&desk, 9))], "`a`: no answer"),
    ] {
        let server = start(&desk, &list, "60000");
        wait_for_reason(&server, "Roughtime servers agree on the time");
        wait_for_reason(&server, why);
        assert_eq!(ask(&desk, &server), Err(vec![14]), "{why}");
    }
}

/// What somebody on the way makes of a server's answers.
#[derive(Clone, Copy)]
enum Way {
    /// Nothing.
    Honest,
    /// They are those to another question.
    Replaying,
    /// Their second half is lost.
    Cutting,
}

/// Stands between the product and a server until the test ends. Gives its port.
fn on_the_way(server: &Peer, way: Way) -> u16 {
    let (near, far) =
        (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    far.connect(("127.0.0.1", server.port)).unwrap();
    far.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let port = near.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut request, mut answer) = ([0; 2048], [0; 2048]);
        while let Ok((length, from)) = near.recv_from(&mut request) {
            if matches!(way, Way::Replaying) {
                // Behind 12 + 40 bytes of frame and head, a version and the name of a key.
                request[88] ^= 1;
            }
            far.send(&request[..length]).unwrap();
            let Ok(length) = far.recv(&mut answer) else { return };
            let sent = if matches!(way, Way::Cutting) { length / 2 } else { length };
            near.send_to(&answer[..sent], from).unwrap();
        }
    });
    port
}

#[test]
fn nobody_on_the_way_can_state_a_time() {
    let desk = Desk::new();
    let peers: Vec<Peer> = (1..=3).map(|seed| Peer::start(&desk, seed, 0)).collect();
    let list = |ways: [Way; 3]| -> Vec<Value> {
        let places = peers.iter().zip(ways).zip(["one", "two", "three"]);
        places.map(|((peer, way), name)| listed(name, on_the_way(peer, way), &peer.key)).collect()
    };
    let server = start(&desk, &list([Way::Honest, Way::Honest, Way::Cutting]), "10000");
    assert!(matches!(ask(&desk, &server), Ok(5_000..=7_500)));
    drop(server);
    let server = start(&desk, &list([Way::Honest, Way::Replaying, Way::Cutting]), "10000");
    wait_for_reason(&server, "`two`: its answer is to another request");
    wait_for_reason(&server, "`three`: its answer is not as long as it says");
    assert_eq!(ask(&desk, &server), Err(vec![14]));
}

#[test]
fn what_is_no_list_of_servers_is_no_start() {
    let desk = Desk::new();
    for (text, why) in [
        ("", "EOF"),
        (r#"{"servers": []}"#, "0 servers"),
        (r#"{"servers": 1}"#, "expected a sequence"),
    ] {
        std::fs::write(desk.path("servers.json"), text).unwrap();
        let clock = format!("roughtime:{}", desk.path("servers.json").display());
        let folder = desk.path("operator").display().to_string();
        let ran = super::support::tpw(&["serve", "--data", &folder, "--tsa-clock", &clock]);
        let ran = ran.ends(1);
        assert!(ran.stderr.contains("is no list of Roughtime servers"), "{}", ran.stderr);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
    }
}

/// What anybody can check of a report: each nonce is made of the answer before it, each delegation is signed with the key that is named,
/// and an answer states an earlier time than one before it allows.
fn demand_proof(desk: &Desk, path: &Path) {
    let report: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (mut before, mut least_s): (Option<Vec<u8>>, u64) = (None, 0);
    let mut excluded = false;
    for entry in report["responses"].as_array().unwrap() {
        let bytes = |name: &str| {
            std::fs::write(desk.path("text"), entry[name].as_str().unwrap()).unwrap();
            desk.openssl("base64 -d -A -in text -out bytes");
            std::fs::read(desk.path("bytes")).unwrap()
        };
        let (request, answer) = (bytes("request"), bytes("response"));
        if let Some(before) = &before {
            std::fs::write(desk.path("chain"), [before.as_slice(), &bytes("rand")].concat())
                .unwrap();
            desk.openssl("dgst -sha512 -binary -out hash chain");
            let hash = std::fs::read(desk.path("hash")).unwrap();
            assert_eq!(value(&request, &[b"NONC"]), &hash[..32]);
        }
        let context = b"Roughtime v1 delegation signature\0";
        let signed = [context.as_slice(), value(&answer, &[b"CERT", b"DELE"])].concat();
        std::fs::write(desk.path("signed"), signed).unwrap();
        std::fs::write(desk.path("signature"), value(&answer, &[b"CERT", b"SIG\0"])).unwrap();
        // RFC 8410 §4: a fixed head and the key.
        let head = hex::decode("302a300506032b6570032100").unwrap();
        std::fs::write(desk.path("spki"), [head, bytes("publicKey")].concat()).unwrap();
        desk.openssl(
            "pkeyutl -verify -pubin -keyform DER -inkey spki -rawin -in signed -sigfile signature",
        );
        let midpoint = value(&answer, &[b"SREP", b"MIDP"]).try_into().unwrap();
        let radius = value(&answer, &[b"SREP", b"RADI"]).try_into().unwrap();
        let (midpoint, radius) =
            (u64::from_le_bytes(midpoint), u64::from(u32::from_le_bytes(radius)));
        excluded |= midpoint + radius < least_s;
        least_s = least_s.max(midpoint - radius);
        before = Some(answer);
    }
    assert!(excluded, "{report}");
}

/// A value of a message in its frame of 12 bytes (RFC 10049 §4).
fn value<'m>(frame: &'m [u8], tags: &[&[u8; 4]]) -> &'m [u8] {
    let word = |bytes: &[u8], place: usize| {
        usize::try_from(u32::from_le_bytes(bytes[place..place + 4].try_into().unwrap())).unwrap()
    };
    let mut message = &frame[12..];
    for tag in tags {
        let count = word(message, 0);
        let (names, values) = (4 * count, 8 * count);
        let place = (0..count)
            .find(|n| &message[names + 4 * n..names + 4 * n + 4] == tag.as_slice())
            .unwrap();
        let end_of = |n: usize| {
            if n + 1 == count { message.len() } else { values + word(message, 4 + 4 * n) }
        };
        let start = if place == 0 { values } else { end_of(place - 1) };
        message = &message[start..end_of(place)];
    }
    message
}
