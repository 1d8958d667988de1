//! Goal: a request is sent once more only where that cannot do anything twice, and is not given up where it can be repeated.
//! What a device knows is not lost while it waits for an answer, and a server's own words about itself are passed on.
//! Method: a TLS server that does what a list tells it, answer by answer, and counts what it was asked for.

#![expect(clippy::unwrap_used, reason = "helpers of the tests, outside their functions")]

use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tpw::client::{Answer, Client, ClientError, StepUp, SteppingUp};
use tpw::device::files::DeviceFolder;
use tpw::device::keys::Keys;
use tpw_core::{DeviceId, Hash32, Name, PersonId, TreeHead};
use tpw_crypto::{Algorithm, FixedEntropy, Signer as _, SlotName, SoftwareSlots};
use tpw_engines::clock::SystemClock;
use tpw_proof::{KeyName, Trust, VerifierKey};
use tpw_wallet::profile::Profile;
use tpw_wallet::vault::{Passphrase, Vault};

/// What the server does with one request.
#[derive(Clone, Copy)]
enum Act {
    /// It answers that all is well.
    Done,
    /// It answers with this status and problem.
    Problem(u16, &'static str),
    /// It answers with this status and body.
    Body(u16, &'static str),
    /// It answers with this body once it is told to go on.
    Later(&'static str),
    /// It reads the request and closes the connection.
    Lost,
    /// It answers with more than anybody reads.
    Endless,
}

/// What is still to be done, and which requests came, without those for tokens.
#[derive(Default)]
struct Script {
    acts: Mutex<VecDeque<Act>>,
    asked: Mutex<Vec<String>>,
    waits: Notify,
    goes_on: Notify,
}

struct Server {
    url: String,
    ca: String,
    script: Arc<Script>,
}

impl Server {
    async fn start(acts: &[Act]) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let script =
            Arc::new(Script { acts: Mutex::new(acts.to_vec().into()), ..Script::default() });
        let (acceptor, own) = (TlsAcceptor::from(Arc::new(config)), Arc::clone(&script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, Arc::clone(&own)));
            }
        });
        Self { url, ca: made.cert.pem(), script }
    }

    fn client(&self) -> Client {
        let ca = Some(self.ca.as_bytes());
        Client::new(&self.url, ca, "en", Arc::new(SystemClock::new())).unwrap()
    }

    fn asked(&self) -> usize {
        self.script.asked.lock().unwrap().len()
    }
}

/// Answers the requests of one connection (HTTP/1.1).
async fn serve(acceptor: TlsAcceptor, stream: TcpStream, script: Arc<Script>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let mut stream = BufReader::new(stream);
    while let Some(asked) = request(&mut stream).await {
        let act = if asked.starts_with("POST /v1/tokens") {
            let token = json!({ "access_token": "t", "token_type": "DPoP", "expires_in": 300 });
            let _closed = answer(&mut stream, 200, &token.to_string()).await;
            continue;
        } else {
            script.asked.lock().unwrap().push(asked);
            script.acts.lock().unwrap().pop_front().unwrap_or(Act::Done)
        };
        let done = match act {
            Act::Done => answer(&mut stream, 200, "{}").await,
            Act::Later(body) => {
                script.waits.notify_one();
                script.goes_on.notified().await;
                answer(&mut stream, 200, body).await
            }
            Act::Body(status, body) => answer(&mut stream, status, body).await,
            Act::Problem(status, code) => answer(&mut stream, status, &problem(status, code)).await,
            Act::Endless => answer(&mut stream, 200, &"x".repeat((8 << 20) + 1)).await,
            Act::Lost => return,
        };
        if done.is_err() {
            return;
        }
    }
}

/// The first line of the next request, when all of it has come.
async fn request<S: tokio::io::AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let (mut first, mut length) = (String::new(), 0_usize);
    if stream.read_line(&mut first).await.ok()? == 0 {
        return None;
    }
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    Some(first)
}

async fn answer<S: tokio::io::AsyncWrite + Unpin>(
    stream: &mut S,
    status: u16,
    body: &str,
) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
    stream.flush().await
}

fn problem(status: u16, code: &str) -> String {
    json!({
        "type": "about:blank", "title": code, "status": status, "detail": code, "code": code,
        "retry": "same_key", "request_id": "",
    })
    .to_string()
}

fn keys(folder: &Path) -> Keys {
    let mut slots = SoftwareSlots::new();
    let slot = SlotName::new("operator").unwrap();
    slots.generate(slot, Algorithm::Ed25519, &mut FixedEntropy::new(3)).unwrap();
    let path = folder.join("operator.key");
    std::fs::write(&path, slots.to_secret_bytes().as_slice()).unwrap();
    Keys::operator(&path).unwrap()
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Post,
    PostFile,
    Delete,
    PostOnce,
    Put,
    Get,
}

impl Ask {
    const NEVER_TWICE: [Self; 3] = [Self::Post, Self::PostFile, Self::Delete];
    const HARMLESS: [Self; 3] = [Self::PostOnce, Self::Put, Self::Get];

    async fn of(self, client: &Client, keys: &Keys) -> Result<Answer, ClientError> {
        let body: Value = json!({});
        match self {
            Self::Post => client.post(keys, "/x", &body).await,
            Self::PostFile => client.post_file(keys, "/x", "text/csv", b"x".to_vec()).await,
            Self::Delete => client.delete(keys, "/x").await,
            Self::PostOnce => client.post_once(keys, "/x", &body, "key").await,
            Self::Put => client.put(keys, "/x", &body).await,
            Self::Get => client.get(keys, "/x").await,
        }
    }
}

/// How often the server is asked in one call, and what comes of it.
async fn ask(ask: Ask, acts: &[Act]) -> (usize, Result<Answer, ClientError>) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(acts).await;
    let outcome = ask.of(&server.client(), &keys(folder.path())).await;
    (server.asked(), outcome)
}

#[tokio::test]
async fn what_must_not_happen_twice_is_not_sent_again_when_its_outcome_is_open() {
    for way in Ask::NEVER_TWICE {
        for code in ["timeout", "stopped", "unknown"] {
            let (asked, outcome) = ask(way, &[Act::Problem(503, code)]).await;
            assert_eq!(asked, 1, "{way:?} {code}");
            assert!(matches!(outcome, Err(ClientError::Problem(told)) if told.code == code));
        }
        let (asked, outcome) = ask(way, &[Act::Lost]).await;
        assert_eq!(asked, 1, "{way:?}");
        assert!(matches!(outcome, Err(ClientError::Lost(_))), "{way:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn what_the_server_did_not_take_is_sent_again() {
    for way in Ask::NEVER_TWICE.into_iter().chain(Ask::HARMLESS) {
        let acts = [Act::Problem(503, "busy"), Act::Problem(429, "rate_limited")];
        let (asked, outcome) = ask(way, &acts).await;
        assert_eq!((asked, outcome.unwrap().status), (3, 200), "{way:?}");
    }
}

#[tokio::test]
async fn what_can_be_repeated_is_repeated_until_it_is_answered_and_five_times_at_most() {
    for way in Ask::HARMLESS {
        let (asked, outcome) = ask(way, &[Act::Problem(503, "timeout"), Act::Lost]).await;
        assert_eq!((asked, outcome.unwrap().status), (3, 200), "{way:?}");
    }
    let (asked, outcome) = ask(Ask::Get, &[Act::Problem(503, "stopped"); 9]).await;
    assert_eq!(asked, 5);
    assert!(matches!(outcome, Err(ClientError::Problem(_))));
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_told_as_such_and_not_asked_for_again() {
    for way in [Ask::Get, Ask::Post] {
        let (asked, outcome) = ask(way, &[Act::Endless; 5]).await;
        assert_eq!(asked, 1);
        assert!(matches!(outcome, Err(ClientError::AnswerTooLong)), "{outcome:?}");
    }
}

/// A person who can be asked, and how often they were.
struct Person {
    proves: bool,
    asked: std::sync::atomic::AtomicUsize,
}

impl StepUp for Person {
    fn prove<'a>(&'a self, client: &'a Client, keys: &'a Keys) -> SteppingUp<'a> {
        Box::pin(async move {
            self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            // What the proof itself wants is wanted of nobody.
            let own = client.get(keys, "/own").await;
            assert!(matches!(own, Err(ClientError::Problem(_))));
            Ok(self.proves)
        })
    }
}

#[tokio::test]
async fn what_wants_a_better_proof_is_sent_once_more_after_it() {
    let wanted = Act::Problem(401, "insufficient_user_authentication");
    for (proves, acts, requests) in [
        (true, vec![wanted, wanted, Act::Done], 3),
        // Asked once, however often it is wanted.
        (true, vec![wanted, wanted, wanted, Act::Done], 3),
        (false, vec![wanted, wanted, Act::Done], 2),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (server, keys) = (Server::start(&acts).await, keys(folder.path()));
        let person = Arc::new(Person { proves, asked: 0.into() });
        let client = server.client().asking(Arc::clone(&person) as Arc<dyn StepUp>);
        let done = client.post(&keys, "/x", &json!({})).await;
        assert_eq!(done.is_ok(), acts.len() == 3 && proves);
        assert_eq!(server.asked(), requests);
        assert_eq!(person.asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn a_probe_takes_any_answer_the_first_time() {
    let server = Server::start(&[Act::Problem(503, "not_ready")]).await;
    assert_eq!(server.client().probe("/readyz").await.unwrap().status, 503);
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_connection_that_was_never_made_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens at first: the port is known, and taken a little later.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let ca = made.cert.pem();
    let clock = Arc::new(SystemClock::new());
    let client = Client::new(&format!("https://{port}"), Some(ca.as_bytes()), "en", clock).unwrap();
    let late = tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        let listener = TcpListener::bind(port).await.unwrap();
        listener.accept().await.is_ok()
    });
    let outcome = client.post(&keys(folder.path()), "/x", &json!({})).await;
    assert!(late.await.unwrap(), "it was tried once more");
    assert!(outcome.is_err());
}

const ACCOUNTS: &str = r#"{"items":[{"id":"acc_01h455vb4pex5vsknk084sn02q","label":"main","asset":"USD/2",
    "kind":"custodial","keys_held_by":"operator","posted":"0","pending":"0","available":"0","frozen":[],
    "transfers":0,"as_of_transfer":0,"as_of":"2026-11-22T10:00:00.000Z"}]}"#;

/// A device of this server, as enrolling leaves it.
fn enrolled(folder: &DeviceFolder, passphrase: &Path, server: &Server) {
    use std::os::unix::fs::PermissionsExt as _;
    let secret = "correct horse battery";
    std::fs::write(passphrase, secret).unwrap();
    std::fs::set_permissions(passphrase, std::fs::Permissions::from_mode(0o600)).unwrap();
    folder.create().unwrap();
    folder.write_ca(server.ca.as_bytes()).unwrap();
    let (device, person) = (DeviceId::new(1, [1; 10]), PersonId::new(1, [2; 10]));
    let mut vault = Vault::create(Algorithm::Ed25519, &mut FixedEntropy::new(5)).unwrap();
    vault.enrol(device, person).unwrap();
    let passphrase = Passphrase::new(secret).unwrap();
    folder.write_vault(&vault, &passphrase, &mut FixedEntropy::new(6)).unwrap();
    let mut profile = Profile::new(&server.url, &trust().to_json()).unwrap();
    (profile.device, profile.person) = (Some(device), Some(person));
    folder.write_profile(&profile).unwrap();
}

fn trust() -> Trust {
    let slot = SlotName::new("log").unwrap();
    let mut slots = SoftwareSlots::new();
    slots.generate(slot.clone(), Algorithm::Ed25519, &mut FixedEntropy::new(77)).unwrap();
    let origin = KeyName::new("log.example").unwrap();
    let key = VerifierKey::new(origin.clone(), slots.public_key(&slot).unwrap()).unwrap();
    Trust {
        operator: Name::new("bank.example").unwrap(),
        origin,
        log_keys: vec![key],
        cose_keys: Vec::new(),
        tsa_roots: Vec::new(),
        tsa_policies: Vec::new(),
        witness_policy: None,
        evm_anchors: Vec::new(),
        bitcoin_headers: Vec::new(),
    }
}

/// Two commands at once: the head that one of them noted while the other waited for the server is still there after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_notes_accounts_keeps_what_another_noted_meanwhile() {
    let server = Server::start(&[Act::Later(ACCOUNTS)]).await;
    let root = tempfile::tempdir().unwrap();
    let folder = DeviceFolder::at(root.path().join("wallet"));
    let passphrase = root.path().join("passphrase");
    enrolled(&folder, &passphrase, &server);
    let args = [
        "wallet".to_owned(),
        "accounts".to_owned(),
        "--wallet".to_owned(),
        folder.path().display().to_string(),
        "--passphrase-file".to_owned(),
        passphrase.display().to_string(),
    ];
    let ran = tokio::task::spawn_blocking(move || {
        std::process::Command::new(env!("CARGO_BIN_EXE_tpw")).args(args).output().unwrap()
    });
    server.script.waits.notified().await;
    let head = TreeHead { size: 7, root: Hash32::new([7; 32]) };
    let mut other = folder.profile().unwrap();
    other.observe(head).unwrap();
    folder.write_profile(&other).unwrap();
    server.script.goes_on.notify_one();
    let ran = ran.await.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let after = folder.profile().unwrap();
    assert_eq!(after.seen, head);
    assert_eq!(after.accounts()[0].label.as_str(), "main");
}

/// A server that is not ready says what fails; the doctor says it too, in the person's language, after one question.
#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_the_parts_of_a_server_that_fail() {
    let body = r#"{"ready":false,"failing":["writer","new_part"]}"#;
    for (lang, words) in
        [("en", "the books (writer), new_part"), ("zh-CN", "账簿 (writer), new_part")]
    {
        let server = Server::start(&[Act::Body(503, body)]).await;
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, &server.ca).unwrap();
        let address = format!("{}\n{}\n", server.url, ca.display());
        std::fs::write(folder.path().join("address"), address).unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        let ran = tokio::task::spawn_blocking(move || {
            let args = ["doctor", "--data", &path, "--wallet", &path, "--lang", lang];
            std::process::Command::new(env!("CARGO_BIN_EXE_tpw")).args(args).output().unwrap()
        });
        let told = String::from_utf8(ran.await.unwrap().stdout).unwrap();
        assert!(told.contains(words), "{told}");
        let asked = server.script.asked.lock().unwrap().clone();
        assert_eq!(asked.iter().filter(|line| line.contains("/readyz")).count(), 1, "{asked:?}");
    }
}
