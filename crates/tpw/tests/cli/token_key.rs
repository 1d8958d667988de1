//! Goal: the key of the time-stamps can be on a PKCS #11 token, from which it never comes out; a wrong key is refused at the start, and a
//! token that goes away takes nothing with it but the time-stamps that are asked for.
//!
//! Method: SoftHSM2 as the token, keys made and brought in by `pkcs11-tool` and `softhsm2-util`, the server as a process with its own
//! tokens, answers verified by `openssl ts`. The token goes away when its files are moved; a file names another key on it.

use super::support::{Device, Ran, Server, command, secret};
use super::tsa::{Desk, post};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tpw_proof::timestamp::info;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "73915";

/// A folder with a token in it.
struct Hsm {
    desk: Desk,
    config: String,
}

impl Hsm {
    fn new() -> Self {
        let desk = Desk::new();
        std::fs::create_dir(desk.path("tokens")).unwrap();
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            desk.path("tokens").display()
        );
        std::fs::write(desk.path("softhsm2.conf"), text).unwrap();
        secret(&desk.path("pin"), &format!("{PIN}\n"));
        let config = desk.path("softhsm2.conf").display().to_string();
        let hsm = Self { desk, config };
        hsm.run(
            "softhsm2-util",
            &format!("--init-token --free --label stamps --so-pin 8461 --pin {PIN}"),
        );
        hsm
    }

    fn run(&self, program: &str, arguments: &str) {
        let output = Command::new(program)
            .args(arguments.split_whitespace())
            .env("SOFTHSM2_CONF", &self.config)
            .current_dir(self.desk.path(""))
            .output()
            .unwrap_or_else(|error| panic!("`{program}`: {error}; install softhsm2 and opensc"));
        assert!(output.status.success(), "{program} {arguments}: {output:?}");
    }

    /// A key that is made on the token.
    fn generate(&self, label: &str, kind: &str, more: &str) {
        self.run(
            "pkcs11-tool",
            &format!(
                "--module {MODULE} --token-label stamps --login --pin {PIN} --keypairgen --key-type {kind} --label {label} {more}"
            ),
        );
    }

    fn uri(&self, label: &str) -> String {
        let pin = self.desk.path("pin");
        format!(
            "pkcs11:token=stamps;object={label};type=private?module-path={MODULE}&pin-source=file:{}",
            pin.display()
        )
    }

    fn start(&self, uri: &str) -> Server {
        let folder = self.desk.path("operator");
        let args = ["--tsa-key", uri, "--tsa-rate", "1000"];
        Server::start_in(&folder, &args, &[("SOFTHSM2_CONF", &self.config)])
    }

    /// A start that must fail: its exit code and its words.
    fn fails(&self, uri: &str) -> Ran {
        let folder = self.desk.path("refused").display().to_string();
        let args = ["serve", "--data", &folder, "--listen", "127.0.0.1:0", "--tsa-key", uri];
        let output = command(&args).env("SOFTHSM2_CONF", &self.config).output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The answer to a fresh request; it is in `r`, and the request in `q`.
    fn ask(&self, server: &Server) -> tpw_proof::timestamp::Summary {
        self.desk.openssl("ts -query -data data -sha256 -cert -out q");
        let answer = post(server, &std::fs::read(self.desk.path("q")).unwrap());
        std::fs::write(self.desk.path("r"), &answer).unwrap();
        info(&answer).unwrap()
    }
}

fn certificates(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_one = |name: &String| name.starts_with("tsa-") && name.ends_with(".der");
    names.filter(is_one).filter(|name| name != "tsa-root.der").count()
}

#[test]
fn a_token_signs_goes_away_and_comes_back() {
    let hsm = Hsm::new();
    hsm.generate("one", "EC:prime256v1", "--sensitive");
    hsm.generate("two", "EC:prime256v1", "--sensitive");
    let folder = hsm.desk.path("operator");
    let root = folder.join("tsa-root.der").display().to_string();
    for (label, count) in [("one", 1), ("one", 1), ("two", 2)] {
        let server = hsm.start(&hsm.uri(label));
        assert!(hsm.ask(&server).token.is_some());
        hsm.desk.openssl(&format!("x509 -inform DER -in {root} -out root.pem"));
        hsm.desk.openssl("ts -verify -in r -queryfile q -CAfile root.pem");
        assert_eq!(certificates(&folder), count, "each key has one certificate");
        server.stop();
    }

    let server = hsm.start(&hsm.uri("one"));
    let first = hsm.desk.path("");
    let ann = Device::enrolled(&server, &first, "ann", &["USD/2:1000"]);
    let bob = Device::enrolled(&server, &first, "bob", &["USD/2:0"]);
    let pay = || {
        let (from, to) = (&ann.accounts[0], &bob.accounts[0]);
        ann.wallet(&["pay", from, to, "1.00", "USD/2", "--json"]).ends(0);
    };
    pay();
    std::fs::rename(hsm.desk.path("tokens"), hsm.desk.path("away")).unwrap();
    let away = hsm.ask(&server);
    // RFC 3161 §2.4.2: systemFailure is bit 25.
    assert_eq!((away.failure, away.token), (vec![25], None));
    pay();
    std::fs::rename(hsm.desk.path("away"), hsm.desk.path("tokens")).unwrap();
    let begun = Instant::now();
    while hsm.ask(&server).token.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the token does not come back");
        std::thread::park_timeout(Duration::from_millis(300));
    }
    hsm.desk.openssl("ts -verify -in r -queryfile q -CAfile root.pem");
}

#[test]
fn a_key_on_a_token_that_came_later_takes_over_while_the_server_runs() {
    let hsm = Hsm::new();
    hsm.generate("one", "EC:prime256v1", "--sensitive");
    let key = hsm.desk.path("key");
    let name = |uri: &str| std::fs::write(&key, format!("{uri}\n")).unwrap();
    name(&hsm.uri("one"));
    let server = hsm.start(&format!("file:{}", key.display()));
    assert!(hsm.ask(&server).token.is_some());
    let folder = hsm.desk.path("operator");
    assert_eq!(certificates(&folder), 1);

    // A token that is not there is looked for, and the key in service goes on.
    let new = hsm.uri("one").replace("token=stamps", "token=later");
    name(&new);
    let begun = Instant::now();
    while !server.records().contains("0 tokens") {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", server.records());
        assert!(hsm.ask(&server).token.is_some());
    }
    assert!(hsm.ask(&server).token.is_some());

    // The library was initialised before the token was.
    name(&hsm.uri("one"));
    hsm.run(
        "softhsm2-util",
        &format!("--init-token --free --label other --so-pin 8461 --pin {PIN}"),
    );
    let generate = "--login --keypairgen --key-type EC:prime256v1 --label one --sensitive";
    hsm.run(
        "pkcs11-tool",
        &format!("--module {MODULE} --token-label other --pin {PIN} {generate}"),
    );
    name(&hsm.uri("one").replace("token=stamps", "token=other"));
    let begun = Instant::now();
    while certificates(&folder) < 2 || !server.records().contains("another key on a token") {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", server.records());
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let root = folder.join("tsa-root.der").display().to_string();
    hsm.desk.openssl(&format!("x509 -inform DER -in {root} -out root.pem"));
    assert!(hsm.ask(&server).token.is_some());
    hsm.desk.openssl("ts -verify -in r -queryfile q -CAfile root.pem");
    assert!(!server.records().contains(PIN));
}

#[test]
fn a_key_that_is_not_fit_is_refused_at_the_start() {
    let hsm = Hsm::new();
    hsm.generate("good", "EC:prime256v1", "--sensitive");
    hsm.generate("twice", "EC:prime256v1", "--sensitive");
    hsm.generate("twice", "EC:prime256v1", "--sensitive");
    hsm.generate("copied", "EC:prime256v1", "--sensitive --extractable");
    hsm.generate("other-curve", "EC:secp384r1", "--sensitive");
    hsm.generate("rsa", "rsa:2048", "--sensitive");
    let good = hsm.uri("good");
    for (uri, words) in [
        (hsm.uri("nobody"), "0 private keys"),
        (hsm.uri("twice"), "2 private keys"),
        (hsm.uri("copied"), "CKA_EXTRACTABLE"),
        (hsm.uri("other-curve"), "P-256"),
        (hsm.uri("rsa"), "P-256"),
        (good.replace("token=stamps", "token=others"), "0 tokens"),
        (good.replace("libsofthsm2", "libnothing"), "load its library"),
        (good.replace("/pin", "/no-pin"), "PIN"),
    ] {
        let ran = hsm.fails(&uri);
        assert!(ran.code == 1 && ran.stderr.contains(words), "{uri}: {ran:?}");
        assert!(!ran.stderr.contains(PIN), "{ran:?}");
    }
    for (name, text, words) in
        [("wrong", "11111", "log in with the PIN"), ("empty", "\n", "it is empty")]
    {
        secret(&hsm.desk.path(name), text);
        let ran = hsm.fails(&good.replace("/pin", &format!("/{name}")));
        assert!(ran.code == 1 && ran.stderr.contains(words), "{name}: {ran:?}");
    }
    std::fs::write(hsm.desk.path("open"), PIN).unwrap();
    hsm.run("chmod", "644 open");
    let ran = hsm.fails(&good.replace("/pin", "/open"));
    assert!(ran.code == 1 && ran.stderr.contains("others can read it"), "{ran:?}");
    let in_uri = good.replace("pin-source=", "pin-value=");
    assert_eq!(hsm.fails(&in_uri).code, 2, "a PIN is never on the command line");
    assert_eq!(hsm.fails("file:key.pem").code, 2);
}

/// The whole answer to a fresh request holds, and embeds the certificate of one of these keys: gives which.
fn signed_by(hsm: &Hsm, server: &Server, certificates: &[Vec<u8>]) -> Option<usize> {
    hsm.ask(server).token?;
    hsm.desk.openssl("ts -verify -in r -queryfile q -CAfile root.pem");
    let answer = std::fs::read(hsm.desk.path("r")).unwrap();
    let embeds = |der: &Vec<u8>| answer.windows(der.len()).any(|part| part == der);
    Some(certificates.iter().position(embeds).unwrap())
}

#[test]
fn another_key_on_the_token_takes_over_while_the_server_runs() {
    let hsm = Hsm::new();
    let folder = hsm.desk.path("operator");
    let mut certificates = Vec::new();
    for label in ["one", "two"] {
        hsm.generate(label, "EC:prime256v1", "--sensitive");
        let server = hsm.start(&hsm.uri(label));
        assert!(hsm.ask(&server).token.is_some());
        server.stop();
        let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let made = names.filter(|path| path.extension().is_some_and(|kind| kind == "der"));
        let made = made.map(|path| std::fs::read(path).unwrap());
        let answer = std::fs::read(hsm.desk.path("r")).unwrap();
        let embedded = |der: &Vec<u8>| answer.windows(der.len()).any(|part| part == der);
        certificates.extend(made.filter(embedded));
    }
    assert_eq!(certificates.len(), 2);
    hsm.desk.openssl(&format!(
        "x509 -inform DER -in {} -out root.pem",
        folder.join("tsa-root.der").display()
    ));

    let name = |uri: &str| std::fs::write(hsm.desk.path("key"), format!("{uri}\n")).unwrap();
    name(&hsm.uri("one"));
    let place = format!("file:{}", hsm.desk.path("key").display());
    let server = hsm.start(&place);
    assert_eq!(signed_by(&hsm, &server, &certificates), Some(0));
    let wait_for = |key: usize| {
        let begun = Instant::now();
        while signed_by(&hsm, &server, &certificates) != Some(key) {
            assert!(begun.elapsed() < Duration::from_secs(20), "key {key} does not take over");
        }
    };
    name(&hsm.uri("two"));
    wait_for(1);
    name(&hsm.uri("one"));
    wait_for(0);
    // A file that names no key, or one that is not there, changes nothing.
    for (bad, why) in
        [(String::new(), "names no key"), (hsm.uri("nobody"), "keys fit the PKCS #11 URI")]
    {
        name(&bad);
        let begun = Instant::now();
        while !server.records().contains(why) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{}", server.records());
            assert_eq!(signed_by(&hsm, &server, &certificates), Some(0));
        }
        assert_eq!(signed_by(&hsm, &server, &certificates), Some(0));
    }
    // The end of the folder's key ends the service too; a rotation brings back the key on the token.
    name(&hsm.uri("one"));
    let change = |what: &str| {
        super::support::tpw(&["tsa", what, "--data", folder.to_str().unwrap()]).ends(0);
    };
    change("destroy");
    assert_eq!(signed_by(&hsm, &server, &certificates), None);
    name(&hsm.uri("two"));
    std::thread::park_timeout(Duration::from_millis(800));
    assert_eq!(signed_by(&hsm, &server, &certificates), None);
    change("rotate");
    wait_for(1);
    assert!(!server.records().contains(PIN));
    server.stop();
    let server = hsm.start(&place);
    assert_eq!(signed_by(&hsm, &server, &certificates), Some(1), "the file says so at a start too");
    name("");
    drop(server);
    let ran = hsm.fails(&place);
    assert!(ran.code == 1 && ran.stderr.contains("names no key"), "{ran:?}");
}
