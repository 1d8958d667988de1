//! Goal: `tpw tsa` means what `openssl ts` means, and its verifier is stricter where RFC 3161 is.
//!
//! Method: the published corpus through the command line; requests and answers made by either program and read by the other.

use super::support::{Ran, Server, tpw};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const POLICY: &str = "1.3.6.1.4.1.32473.1.1";

/// A folder in which `openssl` has made a root and a time-stamping key under it.
pub(crate) struct Desk(tempfile::TempDir);

impl Desk {
    pub(crate) fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        std::fs::write(desk.path("data"), b"what is stamped\n").unwrap();
        std::fs::write(desk.path("tsa.cnf"), AUTHORITY).unwrap();
        std::fs::write(desk.path("serial"), "0F\n").unwrap();
        let extensions =
            "keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n";
        std::fs::write(desk.path("ext"), extensions).unwrap();
        let ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        desk.openssl(&format!("req -x509 {ec} -keyout ca.key -out ca.pem -days 10 -subj /CN=Root"));
        desk.openssl(&format!("req {ec} -keyout tsa.key -out tsa.csr -subj /CN=TSA"));
        desk.openssl(
            "x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -set_serial 77 -days 9 -extfile ext -out tsa.pem",
        );
        desk
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn openssl(&self, arguments: &str) -> String {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .expect("this test needs the `openssl` program: install it (package openssl)");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "openssl {arguments}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// `tpw tsa …`; words that are the name of a file of this folder are its path.
    pub(crate) fn tsa(&self, arguments: &str) -> Ran {
        let outputs = ["q", "r"];
        let place = |word: &str| {
            let path = self.path(word);
            let is_file = outputs.contains(&word) || path.exists();
            if is_file { path.display().to_string() } else { word.to_owned() }
        };
        let words: Vec<String> = arguments.split_whitespace().map(place).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        tpw(&[&["tsa"], words.as_slice()].concat())
    }
}

const AUTHORITY: &str = "
[tsa]
default_tsa = own
[own]
serial = serial
crypto_device = builtin
signer_cert = tsa.pem
certs = ca.pem
signer_key = tsa.key
signer_digest = sha384
default_policy = 1.3.6.1.4.1.32473.1.1
other_policies = 1.3.6.1.4.1.32473.1.2
digests = sha256, sha384, sha512
accuracy = secs:1, millisecs:500, microsecs:100
ordering = yes
tsa_name = yes
ess_cert_id_alg = sha1
";

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/tsp")
}

#[test]
fn every_case_of_the_corpus_ends_as_it_must() {
    let index = std::fs::read(corpus().join("index.json")).unwrap();
    let index: Vec<Value> = serde_json::from_slice(&index).unwrap();
    let mut wrong = Vec::new();
    for case in &index {
        let mut words = vec!["tsa".to_owned(), "verify".to_owned(), "--json".to_owned()];
        for (flag, member) in [
            ("--data", "data"),
            ("--token", "token"),
            ("--roots", "roots"),
            ("--untrusted", "untrusted"),
            ("--query", "query"),
        ] {
            if let Some(path) = case[member].as_str() {
                words.extend([flag.to_owned(), corpus().join(path).display().to_string()]);
            }
        }
        let ran = tpw(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let expected = if case["expect"] == "accept" { 0 } else { 4 };
        let said = ran.json();
        if ran.code != expected || said["valid"] != (expected == 0) || !ran.stderr.is_empty() {
            wrong.push(format!("{}: {ran:?}", case["name"]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(index.len() >= 150);
}

#[test]
fn a_reason_is_said_in_words_of_either_language() {
    let desk = Desk::new();
    desk.tsa("query --data data --cert --out q").ends(0);
    desk.openssl("ts -reply -config tsa.cnf -queryfile q -out r");
    let good = desk.tsa("verify --data data --token r --roots ca.pem --query q").ends(0);
    assert!(good.stdout.contains("valid\ntime: 20"), "{}", good.stdout);
    assert!(good.stdout.contains("accuracy: 1501 ms\nserial: 10\n"), "{}", good.stdout);
    let other = desk.tsa("verify --data tsa.cnf --token r --roots ca.pem").ends(4);
    assert!(other.stdout.ends_with("NOT VALID\n"), "{}", other.stdout);
    assert!(other.stderr.contains("not the hash of the data (tsp_imprint)"), "{}", other.stderr);
    let other = desk.tsa("verify --lang zh-CN --data tsa.cnf --token r --roots ca.pem").ends(4);
    assert!(other.stderr.contains("印记不是该数据的哈希（tsp_imprint）"), "{}", other.stderr);
    let policy = "verify --data data --token r --roots ca.pem --policy";
    desk.tsa(&format!("{policy} {POLICY}")).ends(0);
    assert!(desk.tsa(&format!("{policy} 1.2.3")).ends(4).stderr.contains("tsp_policy"));
    // What cannot be judged at all is no verdict.
    desk.tsa("verify --data absent --token r --roots ca.pem").ends(1);
    desk.tsa("verify --data data --token r --roots data").ends(2);
    desk.tsa("verify --data data --token r").ends(2);
}

#[test]
fn openssl_reads_our_requests_as_we_do() {
    let desk = Desk::new();
    let cases = [
        "--data data",
        "--data data --cert",
        "--data data --cert --no-nonce --hash sha384",
        "--data data --hash sha512 --policy 1.3.6.1.4.1.32473.1.2",
        "--digest 0909090909090909090909090909090909090909090909090909090909090909",
    ];
    for case in cases {
        desk.tsa(&format!("query {case} --out q")).ends(0);
        let theirs = desk.openssl("ts -query -in q -text");
        let ours = desk.tsa("query --in q --json").ends(0).json();
        assert_eq!(value(&theirs, "Version"), ours["version"].to_string(), "{case}");
        assert_eq!(value(&theirs, "Hash Algorithm"), ours["hash_function"], "{case}");
        assert_eq!(message(&theirs), ours["hash"], "{case}");
        let policy = ours["policy"].as_str().unwrap_or("unspecified");
        assert_eq!(value(&theirs, "Policy OID"), policy, "{case}");
        assert_eq!(number(&theirs, "Nonce"), trimmed(ours["nonce"].as_str()), "{case}");
        let wished = if ours["certificate"] == true { "yes" } else { "no" };
        assert_eq!(value(&theirs, "Certificate required"), wished, "{case}");
    }
    desk.openssl("ts -query -data data -sha384 -cert -out q");
    let read = desk.tsa("query --in q").ends(0).stdout;
    assert!(read.starts_with("version: 1\nhash: sha384:"), "{read}");
    assert!(read.ends_with("certificate asked for: yes\nextensions: –\n"), "{read}");
    for bad in
        ["--digest 09", "--digest zz", "--data data --policy 1.2.x", "--data data --digest 00"]
    {
        desk.tsa(&format!("query {bad} --out q")).ends(2);
    }
    desk.tsa("query --in data").ends(4);
}

#[test]
fn answers_of_either_program_hold_before_the_other() {
    let desk = Desk::new();
    for (case, flags) in [("--cert", ""), ("", "-untrusted tsa.pem"), ("--cert --hash sha512", "")]
    {
        desk.tsa(&format!("query --data data {case} --out q")).ends(0);
        let issue = format!("reply --query q --signer tsa.pem --key tsa.key --policy {POLICY}");
        desk.tsa(&format!("{issue} --accuracy 250 --out r")).ends(0);
        desk.openssl(&format!("ts -verify -in r -queryfile q -CAfile ca.pem {flags}"));
        let ours = "verify --data data --token r --roots ca.pem --query q";
        let verified = desk.tsa(&format!("{ours} --untrusted tsa.pem --json")).ends(0).json();
        let shown = desk.tsa("reply --in r --json").ends(0).json();
        let theirs = desk.openssl("ts -reply -in r -text");
        assert_eq!((&shown["status"], value(&theirs, "Status")), (&"granted".into(), "Granted."));
        let token = &shown["token"];
        assert_eq!(value(&theirs, "Policy OID"), token["policy"]);
        assert_eq!(value(&theirs, "Hash Algorithm"), token["hash_function"]);
        assert_eq!(message(&theirs), token["hash"]);
        assert_eq!(number(&theirs, "Serial number"), trimmed(token["serial"].as_str()));
        assert_eq!(number(&theirs, "Nonce"), trimmed(token["nonce"].as_str()));
        assert_eq!(
            (&verified["gen_time"], &verified["serial"]),
            (&token["gen_time"], &token["serial"])
        );
        // The token alone is judged as the answer is.
        desk.openssl("ts -reply -in r -token_out -out q");
        desk.tsa("verify --data data --token q --roots ca.pem --untrusted tsa.pem").ends(0);
        assert_eq!(&desk.tsa("reply --in q --json").ends(0).json(), token);
    }
    desk.tsa("query --data data --out q").ends(0);
    desk.openssl("ts -reply -config tsa.cnf -queryfile q -out r");
    let alone = desk.tsa("verify --data data --token r --roots ca.pem --query q").ends(4);
    assert!(alone.stderr.contains("tsp_certificate_missing"), "{}", alone.stderr);
    desk.tsa("verify --data data --token r --roots ca.pem --query q --untrusted tsa.pem").ends(0);
}

#[test]
fn what_is_refused_is_answered_and_what_cannot_sign_is_said() {
    let desk = Desk::new();
    let issue = format!("reply --query q --signer tsa.pem --key tsa.key --policy {POLICY} --out r");
    desk.openssl("ts -query -data data -sha1 -out q");
    let refused = desk.tsa(&issue).ends(3);
    assert!(refused.stderr.contains("hash algorithm is not accepted"), "{}", refused.stderr);
    let shown = desk.tsa("reply --in r --json").ends(0).json();
    assert_eq!((&shown["failure"][0], &shown["token"]), (&"badAlg".into(), &Value::Null));
    assert!(desk.openssl("ts -reply -in r -text").contains("unrecognized or unsupported"));
    assert!(
        desk.tsa("verify --data data --token r --roots ca.pem")
            .ends(4)
            .stderr
            .contains("tsp_refused")
    );
    for bad in [
        issue.replace("--key tsa.key", "--key ca.key"),
        issue.replace("--key tsa.key", "--key ca.pem"),
        issue.replace("--signer tsa.pem", "--signer ca.pem"),
        issue.replace(POLICY, "none"),
        issue.replace("--signer tsa.pem", ""),
    ] {
        desk.tsa(&bad).ends(2);
    }
    desk.tsa("reply --in data").ends(4);
}

/// The body of the answer to a request for a time-stamp, sent by `openssl` over TLS.
pub(crate) fn post(server: &Server, query: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /tsa HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/timestamp-query\r\nContent-Length: {}\r\n\r\n",
        query.len()
    );
    let (head, body) = exchange(server, &[head.as_bytes(), query].concat());
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: application/timestamp-reply"), "{head}");
    body
}

/// Sends a request as it stands; gives the head of the answer, in small letters, and its body.
pub(crate) fn exchange(server: &Server, request: &[u8]) -> (String, Vec<u8>) {
    let mut client = Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-ign_eof",
            "-verify_return_error",
            "-servername",
            "localhost",
        ])
        .args(["-connect", &server.listen, "-CAfile", &server.ca])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(request).unwrap();
    let answer = client.wait_with_output().unwrap().stdout;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let (head, body) = answer.split_at(end + 4);
    (String::from_utf8_lossy(head).to_lowercase(), body.to_vec())
}

#[test]
fn a_server_that_is_killed_again_and_again_never_repeats_a_serial() {
    let desk = Desk::new();
    let (data, mut serials) = (desk.path("operator"), BTreeSet::new());
    for kill in 0..4 {
        // Dropped at the end of each turn, which kills it (SIGKILL).
        let server = Server::start(&data, &["--tsa-clock", "declared:80"]);
        for _ in 0..3 {
            desk.openssl("ts -query -data data -sha256 -cert -out q");
            let answer = post(&server, &std::fs::read(desk.path("q")).unwrap());
            std::fs::write(desk.path("r"), answer).unwrap();
            let root = data.join("tsa-root.der").display().to_string();
            let ours = format!("verify --data data --query q --token r --roots {root} --json");
            let stamp = desk.tsa(&ours).ends(0).json();
            assert_eq!(stamp["accuracy_ms"], 80, "what the operator vouches for");
            let serial = stamp["serial"].as_str().unwrap().to_owned();
            assert!(serials.insert(serial), "kill {kill}: {stamp}");
            desk.openssl(&format!("x509 -inform DER -in {root} -out root.pem"));
            desk.openssl("ts -verify -in r -queryfile q -CAfile root.pem");
        }
    }
    assert_eq!(serials.len(), 12);
}

#[test]
fn a_server_that_cannot_ask_chrony_gives_no_time() {
    let desk = Desk::new();
    // There is no `chronyc` for the server: these tests give it an empty PATH.
    let server = Server::start(&desk.path("operator"), &["--tsa-clock", "chrony"]);
    desk.openssl("ts -query -data data -sha256 -cert -out q");
    let answer = post(&server, &std::fs::read(desk.path("q")).unwrap());
    std::fs::write(desk.path("r"), answer).unwrap();
    let shown = desk.tsa("reply --in r --json").ends(0).json();
    assert_eq!((&shown["failure"][0], &shown["token"]), (&"timeNotAvailable".into(), &Value::Null));
}

/// The value of a line of openssl's text.
fn value<'t>(text: &'t str, name: &str) -> &'t str {
    let start = format!("{name}: ");
    text.lines()
        .find_map(|line| line.strip_prefix(&start))
        .unwrap_or_else(|| panic!("{name}: {text}"))
}

/// A number of openssl's text, in hexadecimal without leading zeros; empty where there is none.
fn number(text: &str, name: &str) -> String {
    trimmed(value(text, name).strip_prefix("0x").map(str::to_lowercase).as_deref())
}

fn trimmed(hex: Option<&str>) -> String {
    hex.unwrap_or_default().trim_start_matches('0').to_owned()
}

/// The hash in openssl's text: lines of `0000 - 3b 0f …-a1 …   text`.
fn message(text: &str) -> String {
    let dump = text.lines().skip_while(|line| !line.starts_with("Message data")).skip(1);
    let dump = dump.take_while(|line| line.starts_with("    "));
    let digits = dump.flat_map(|line| line.get(11..59).unwrap().chars());
    digits.filter(char::is_ascii_hexdigit).collect()
}
