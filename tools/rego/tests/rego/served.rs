//! Goal: whoever speaks to OPA can speak to the program, and nothing that is asked takes more than it may. Method: the real
//! program over its real port, mostly with what it must refuse.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

const AUTHZ: &str = "package authz
default allow := false
allow if input.user == data.people[_]
greeting := sprintf(\"hello, %v\", [input.user])
two := 1 if input.both
two := 2 if input.both
";

/// What takes more than there is.
const HEAVY: &str = "package heavy
slow if { some i in numbers.range(1, 3000); some j in numbers.range(1, 3000); i + j < 0 }
wide := count(numbers.range(1, 400000000))
";

/// The program with a folder of policies; killed at the end.
struct Program {
    child: Child,
    address: String,
    said: Mutex<mpsc::Receiver<String>>,
    folder: TempDir,
}

impl Program {
    fn start(more: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("authz.rego"), AUTHZ).unwrap();
        std::fs::write(folder.path().join("data.json"), r#"{"people": ["ada"]}"#).unwrap();
        let mut command = command(folder.path(), more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().split_once("://").expect("it says where it listens").1.to_owned();
        let words = BufReader::new(child.stderr.take().unwrap()).lines();
        let (say, said) = mpsc::channel();
        std::thread::spawn(move || words.map_while(Result::ok).try_for_each(|word| say.send(word)));
        let program = Self { child, address, said: Mutex::new(said), folder };
        assert!(program.says().starts_with("policies"));
        program
    }

    /// The same with what takes more than there is.
    fn heavy(more: &[&str]) -> Self {
        let program = Self::start(more);
        std::fs::write(program.folder.path().join("heavy.rego"), HEAVY).unwrap();
        program.hang_up();
        assert!(program.says().starts_with("policies"));
        program
    }

    /// The next line of what it tells people.
    fn says(&self) -> String {
        let said = self.said.lock().unwrap();
        said.recv_timeout(Duration::from_secs(10)).expect("it says nothing")
    }

    /// Sends a request as it stands; the status and the body.
    fn send(&self, request: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        status.zip(body).ok_or_else(|| std::io::Error::other("no answer"))
    }

    fn ask(&self, method: &str, path: &str, head: &str, body: &str) -> (u16, Json) {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n{body}"
        );
        let (status, body) = self.send(&request).unwrap();
        (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("no JSON: {body}")))
    }

    fn post(&self, path: &str, body: &str) -> (u16, Json) {
        self.ask("POST", path, "", body)
    }

    fn hang_up(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn command(folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tpw-rego"));
    command.arg("--policies").arg(folder).args(["--listen", "127.0.0.1:0"]).args(more);
    command
}

#[test]
fn documents_are_served_as_opa_serves_them() {
    let program = Program::start(&[]);
    let ada = r#"{"input": {"user": "ada"}}"#;
    let result = |value: Json| (200, json!({ "result": value }));
    assert_eq!(program.post("/v1/data/authz/allow", ada), result(json!(true)));
    assert_eq!(program.post("/v1/data/authz/greeting", ada), result(json!("hello, ada")));
    assert_eq!(program.post("/v1/data/people/0", ada), result(json!("ada")));
    assert_eq!(program.post("/v1/data/nowhere", ada), (200, json!({})));
    assert_eq!(program.post("/v1/data/people/7", ada), (200, json!({})));
    let everything = program.post("/v1/data", ada).1;
    assert_eq!(everything["result"]["authz"]["allow"], true);
    assert_eq!(program.ask("GET", "/v1/data/people?pretty=true", "", ""), result(json!(["ada"])));
    let asked = "/v1/data/authz/allow?input=%7B%22user%22:%22ada%22%7D";
    assert_eq!(program.ask("GET", asked, "", ""), result(json!(true)));
    assert_eq!(program.ask("GET", "/health?bundles", "", ""), (200, json!({})));
    let (status, without) = program.post("/v1/data/authz/allow", "");
    assert_eq!((status, &without["result"]), (200, &json!(false)));
    assert_eq!(without["warning"]["code"], "api_usage_warning");
    assert_eq!(program.post("/v1/data/nowhere", "{}").1["warning"]["code"], "api_usage_warning");
}

#[test]
fn what_is_no_request_is_refused_in_opas_words() {
    let program = Program::start(&["--body-max", "1"]);
    let long = format!(r#"{{"input": "{}"}}"#, "x".repeat(1024));
    let deep = format!(r#"{{"input": {}}}"#, "[".repeat(500));
    let path = "/v1/data/authz/allow";
    for (method, path, head, body, status, code) in [
        ("POST", path, "", "{", 400, "invalid_parameter"),
        ("POST", path, "", "[1]", 400, "invalid_parameter"),
        ("POST", path, "", "\"input\"", 400, "invalid_parameter"),
        ("POST", path, "", &deep, 400, "invalid_parameter"),
        ("POST", path, "", &long, 413, "invalid_parameter"),
        ("POST", path, "Content-Encoding: gzip\r\n", "{}", 400, "invalid_parameter"),
        ("POST", path, "Content-Type: application/x-yaml\r\n", "a: 1", 400, "invalid_parameter"),
        ("POST", "/v1/data/%ff", "", "{}", 400, "invalid_parameter"),
        ("GET", "/v1/data/authz?input=%7B", "", "", 400, "invalid_parameter"),
        ("PUT", "/v1/data/people", "", "[]", 405, "invalid_operation"),
        ("DELETE", "/v1/data/people", "", "", 405, "invalid_operation"),
        ("PUT", "/v1/policies/authz", "", "package authz", 404, "resource_not_found"),
        ("POST", "/v1/query", "", "{}", 404, "resource_not_found"),
    ] {
        let (got, answer) = program.ask(method, path, head, body);
        assert_eq!((got, answer["code"].as_str()), (status, Some(code)), "{method} {path} {body}");
        assert!(answer["message"].is_string());
    }
    let both = program.post("/v1/data/authz/two", r#"{"input": {"both": true}}"#);
    assert_eq!((both.0, &both.1["code"]), (500, &json!("internal_error")));
    assert_eq!(both.1["errors"][0]["code"], "eval_conflict_error");
    // What stands in a path stays a name, whatever it looks like.
    let name = program.post("/v1/data/authz/x%22%5D;%20data.people", "{}");
    assert_eq!((name.0, name.1.get("result")), (200, None));
}

#[test]
fn an_evaluation_ends_in_time_and_others_go_on() {
    let program = Program::heavy(&["--time-max", "50", "--workers", "1"]);
    let started = Instant::now();
    let (status, answer) = program.post("/v1/data/heavy/slow", "{}");
    assert_eq!((status, &answer["errors"][0]["code"]), (500, &json!("eval_cancel_error")));
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(program.post("/v1/data/authz/allow", r#"{"input": {"user": "bob"}}"#).0, 200);
    // One thread and a queue of bounded length: of very many at once, some are turned away, and all are answered.
    let asked = 120;
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let ask = || scope.spawn(|| program.post("/v1/data/heavy/slow", "{}").0);
        let waiting: Vec<_> = (0..asked).map(|_| ask()).collect();
        waiting.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.contains(&500) && answers.contains(&503), "{answers:?}");
    assert!(answers.iter().all(|status| [500, 503].contains(status)), "{answers:?}");
    assert_eq!(program.post("/v1/data/authz/allow", "{}").0, 200);
}

#[test]
fn memory_ends_the_program_before_it_ends_the_machine() {
    let mut program = Program::heavy(&["--memory-max", "256", "--time-max", "60000"]);
    let request = "GET /v1/data/heavy/wide HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(program.send(request).is_err());
    assert!(!program.child.wait().unwrap().success());
}

/// What an address shows of itself under TLS: its answer to a question, if it has this certificate.
fn over_tls(
    address: &str,
    pem: &str,
    version: &'static SupportedProtocolVersion,
) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_protocol_versions(&[version]).unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(config, name).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(address).unwrap());
    let request = "GET /v1/data/people/0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    // The end may come without a word.
    let _end = stream.read_to_string(&mut answer);
    answer.split_once("\r\n\r\n").map(|(_, body)| body.trim().to_owned())
}

#[test]
fn under_tls_only_tls_1_3_is_spoken_and_certificates_are_read_again() {
    let made = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (first, second) = (made(), made());
    let dir = TempDir::new().unwrap();
    let (certificate, key) = (dir.path().join("tls.pem"), dir.path().join("tls.key"));
    let put = |made: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    };
    put(&first);
    let files = [certificate.to_str().unwrap(), key.to_str().unwrap()];
    let program = Program::start(&["--tls-cert", files[0], "--tls-key", files[1]]);
    let ask = |made: &rcgen::CertifiedKey<rcgen::KeyPair>, version| {
        over_tls(&program.address, &made.cert.pem(), version)
    };
    let answer = Some(r#"{"result":"ada"}"#.to_owned());
    assert_eq!(ask(&first, &TLS13), answer);
    assert_eq!(ask(&first, &TLS12), None);
    assert_eq!(ask(&second, &TLS13), None, "another one's");
    let plain = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(program.send(plain).is_err(), "clear text");
    // A pair that is none changes nothing; the next one counts at once.
    std::fs::write(&certificate, second.cert.pem()).unwrap();
    program.hang_up();
    assert!(program.says().contains("the certificate of before stays"));
    assert!(program.says().starts_with("policies"));
    assert_eq!(ask(&first, &TLS13), answer);
    put(&second);
    program.hang_up();
    assert!(program.says().starts_with("policies"));
    assert_eq!(ask(&second, &TLS13), answer);
    assert_eq!(ask(&first, &TLS13), None);
    let folder = program.folder.path();
    for (what, word) in [
        (&["--tls-cert", files[0]][..], "--tls-key"),
        (&["--tls-cert", files[0], "--tls-key", "/nowhere"], "/nowhere"),
        (&["--tls-cert", "/dev/null", "--tls-key", files[1]], "cannot be used"),
        (&["--verification-key", files[0]], "no public key"),
    ] {
        let refused = command(folder, what).output().unwrap();
        let why = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && why.contains(word), "{what:?}: {why}");
    }
}

#[test]
fn policies_are_read_again_and_bad_ones_change_nothing() {
    let program = Program::start(&[]);
    let module = program.folder.path().join("authz.rego");
    let allow = || program.post("/v1/data/authz/allow", r#"{"input": {"user": "bob"}}"#).1;
    assert_eq!(allow()["result"], false);
    std::fs::write(&module, "package authz\nallow if").unwrap();
    program.hang_up();
    assert!(program.says().starts_with("error: the policies of before stay in force"));
    assert_eq!(allow()["result"], false);
    std::fs::write(&module, "package authz\nallow := true").unwrap();
    program.hang_up();
    // What was wrong before is told in several lines.
    while !program.says().starts_with("policies") {}
    assert_eq!(allow()["result"], true);
}

#[test]
fn a_folder_that_is_no_bundle_stops_the_start() {
    let folder = TempDir::new().unwrap();
    let started = |files: &[(&str, &str)]| {
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let output = command(folder.path(), &[]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(started(&[]).contains("no `.rego` file"));
    assert!(started(&[("a.rego", "package a\nallow if {")]).contains("cannot be loaded"));
    assert!(started(&[("a.rego", "package a\nallow if x > 1")]).contains("cannot be loaded"));
    let roots = [("a.rego", "package a"), (".manifest", r#"{"roots": ["b"]}"#)];
    assert!(started(&roots).contains("outside the manifest's roots"));
}
