//! A server in a temporary folder, clients of it, and answers that can be compared.

use axum::body::Bytes;
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core::time::Duration;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Map, Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tpw_access::assurance::{Assurance, Proof, Strength};
use tpw_access::factor::Method;
use tpw_access::policy::Zone;
use tpw_access::{
    DpopRequest, EnrolmentCode, HttpUrl, RecordKey, RecordKind, RecordWrite, dpop, enrol,
};
use tpw_core::{
    AccountId, Amount, Consent, DeviceId, Hash32, Intent, Money, Name, PaymentId, PersonId,
    Purpose, Span, StepUpProof, TransferId, TreeHead, Vote,
};
use tpw_crypto::{Algorithm, Signer as _, SlotName, SoftwareSlots};
use tpw_engines::clock::{Clock, ManualClock, SystemClock};
use tpw_engines::entropy::OsEntropy;
use tpw_engines::{Config, Engine};
use tpw_server::{
    Bound, Limits, MutualTls, Network, ServeOptions, Tls, development_certificate_path, serve,
};

pub(crate) struct Server {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) addr: SocketAddr,
    pub(crate) url: String,
    pub(crate) dir: TempDir,
    /// The port for clients with certificates.
    pub(crate) mutual: Option<(SocketAddr, String)>,
    connector: TlsConnector,
    stop: Option<oneshot::Sender<()>>,
    bound: Option<Bound>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {:?}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The code of a problem whose form is checked on the way.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status.as_u16());
        for member in ["title", "detail", "code", "type", "request_id"] {
            assert!(json[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {json}");
        }
        json["code"].as_str().unwrap().to_owned()
    }

    /// As [`Answer::shown`], with a body that is told in words.
    pub(crate) fn shown_as(&self, body: &Value) -> Value {
        let mut shown = self.shown();
        shown["body"] = sorted(body.clone());
        shown
    }

    /// Status, telling headers and body, with everything that differs from run to run replaced.
    pub(crate) fn shown(&self) -> Value {
        let telling = [
            "allow",
            "cache-control",
            "content-disposition",
            "content-language",
            "content-type",
            "idempotency-replayed",
            "retry-after",
            "strict-transport-security",
            "www-authenticate",
            "x-content-type-options",
        ];
        let headers: Map<String, Value> = telling
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), redact_text(self.header(name)?).into())))
            .collect();
        let body = match serde_json::from_slice::<Value>(&self.body) {
            Ok(json) => redact(json),
            Err(_) => match std::str::from_utf8(&self.body) {
                Ok(text) => text.into(),
                Err(_) => "[bytes]".into(),
            },
        };
        sorted(json!({ "status": self.status.as_u16(), "headers": headers, "body": body }))
    }
}

/// The same with its members in the order of their names: whether a JSON object keeps the order in which it was written depends on
/// what else is built.
pub(crate) fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        Value::Object(members) => {
            let ordered: BTreeMap<String, Value> =
                members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            ordered.into_iter().collect()
        }
        other => other,
    }
}

fn redact(value: Value) -> Value {
    match value {
        Value::String(text) => redact_text(&text).into(),
        Value::Array(items) => items.into_iter().map(redact).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| {
                let value = match name.as_str() {
                    "code" if value.as_str().is_some_and(|t| t.len() == 23) => "[code]".into(),
                    "access_token"
                    | "receipt"
                    | "token"
                    | "checkpoint"
                    | "page_token"
                    | "next_page"
                    | "cursor"
                    | "next"
                    | "compensation_receipt" => "[opaque]".into(),
                    // Signed bytes; a partner's statement has a short name.
                    "statement" | "operation" if value.as_str().is_some_and(|t| t.len() > 40) => {
                        "[opaque]".into()
                    }
                    "proof" | "record" if value.as_str().is_some_and(|t| t.len() > 64) => {
                        "[opaque]".into()
                    }
                    // Beside payments, the log has an entry for each block of decisions, and these end when time wants.
                    "size" if value.as_u64().is_some_and(|size| size > 2) => "[size]".into(),
                    "leaf_index" => "[index]".into(),
                    "next_after" if value.as_u64().is_some_and(|n| n > 255) => "[number]".into(),
                    "trust" => "[trust]".into(),
                    "checkpoint_age_ms" => "[ms]".into(),
                    _ => redact(value),
                };
                (name, value)
            })
            .collect(),
        other => other,
    }
}

fn redact_text(text: &str) -> String {
    let mut out = String::new();
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '.');
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        out.push_str(&redact_word(word));
        let step = tail.chars().next().map_or(0, char::len_utf8);
        out.push_str(&tail[..step]);
        rest = &tail[step..];
    }
    out
}

fn redact_word(word: &str) -> String {
    for kind in ["apr", "pay", "acc", "per", "dev", "trf", "req", "set", "dcn"] {
        let tail = word.strip_prefix(kind).and_then(|tail| tail.strip_prefix('_'));
        if let Some(tail) = tail.filter(|tail| tail.len() >= 18) {
            return format!("[{kind}]{}", tail.get(26..).unwrap_or(""));
        }
    }
    let hex = word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let time = word.len() == 24 && word.ends_with('Z') && word.as_bytes()[10] == b'T';
    let address = word.starts_with("127.0.0.1:");
    match (hex, time, address) {
        (true, _, _) if word.bytes().all(|b| b == b'0') => "[zero]".to_owned(),
        (true, _, _) => "[hash]".to_owned(),
        (_, true, _) => "[time]".to_owned(),
        (_, _, true) => "[address]".to_owned(),
        _ => word.to_owned(),
    }
}

/// A device with its key, as a client keeps it.
pub(crate) struct Actor {
    pub(crate) slots: SoftwareSlots,
    pub(crate) slot: SlotName,
    pub(crate) device: Option<DeviceId>,
    pub(crate) person: Option<PersonId>,
    pub(crate) account: Option<AccountId>,
    pub(crate) token: RefCell<Option<String>>,
    sequence: Cell<u64>,
    previous: Cell<Hash32>,
}

impl Actor {
    pub(crate) fn new() -> Self {
        let slot = SlotName::new("device").unwrap();
        let mut slots = SoftwareSlots::new();
        slots.generate(slot.clone(), Algorithm::Ed25519, &mut OsEntropy).unwrap();
        Self::with(slots, slot)
    }

    fn with(slots: SoftwareSlots, slot: SlotName) -> Self {
        Self {
            slots,
            slot,
            device: None,
            person: None,
            account: None,
            token: RefCell::new(None),
            sequence: Cell::new(0),
            previous: Cell::new(Hash32::ZERO),
        }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.account.unwrap()
    }

    /// The statement of a step-up.
    pub(crate) fn step_up(
        &self,
        server: &Server,
        payment: PaymentId,
        intent_hash: Hash32,
    ) -> String {
        let proof = StepUpProof {
            payment,
            device: self.device.unwrap(),
            intent_hash,
            created: server.clock.now(),
            audience: server.engine.audience().clone(),
        };
        encode(&tpw_proof::sign(&proof, &self.slots, &self.slot).unwrap())
    }
}

/// A signed intent, ready to be sent.
pub(crate) struct Signed {
    pub(crate) id: PaymentId,
    pub(crate) intent: Intent,
    pub(crate) hash: Hash32,
    pub(crate) bytes: Vec<u8>,
}

impl Signed {
    pub(crate) fn body(&self) -> Value {
        json!({ "statement": encode(&self.bytes) })
    }
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn random() -> [u8; 10] {
    use tpw_crypto::Entropy as _;
    let mut bytes = [0; 10];
    OsEntropy.fill(&mut bytes).unwrap();
    bytes
}

/// Bounds that leave room for everything but what a test is about.
pub(crate) fn limits() -> Limits {
    Limits::standard()
}

/// What few servers have.
#[derive(Default)]
struct Extras {
    mutual: Option<MutualTls>,
    passkey_anchors: Option<PathBuf>,
    networks: Vec<Network>,
    zone: Option<Zone>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(limits()).await
    }

    pub(crate) async fn start_with(limits: Limits) -> Self {
        Self::start_as(limits, |_usual| {}).await
    }

    /// A server of an operator who has changed the usual settings.
    pub(crate) async fn start_as(limits: Limits, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_on(TempDir::new().unwrap(), limits, change, Extras::default()).await
    }

    /// A server that takes over a folder.
    pub(crate) async fn start_in(dir: TempDir) -> Self {
        Self::start_on(dir, limits(), |_usual| {}, Extras::default()).await
    }

    /// A server with a port for clients with certificates, which knows these authorities.
    pub(crate) async fn start_mutual(authorities: Option<PathBuf>) -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let revocations = Vec::new();
        let mutual = MutualTls { listen, public_url: None, authorities, revocations };
        Self::start_mutual_with(mutual).await
    }

    /// The same, which looks at its files often.
    pub(crate) async fn start_mutual_with(mutual: MutualTls) -> Self {
        let extras = Extras { mutual: Some(mutual), ..Extras::default() };
        let limits = Limits { certificate_time: Duration::from_millis(20), ..limits() };
        Self::start_on(TempDir::new().unwrap(), limits, |_usual| {}, extras).await
    }

    /// A server whose operator has named networks.
    pub(crate) async fn start_named(networks: &[&str]) -> Self {
        let networks = networks.iter().map(|text| text.parse().unwrap()).collect();
        let extras = Extras { networks, ..Extras::default() };
        Self::start_on(TempDir::new().unwrap(), limits(), |_usual| {}, extras).await
    }

    /// A server whose operator has named a zone.
    pub(crate) async fn start_in_zone(zone: &str) -> Self {
        let extras = Extras { zone: Some(zone.parse().unwrap()), ..Extras::default() };
        Self::start_on(TempDir::new().unwrap(), limits(), |_usual| {}, extras).await
    }

    /// A server that believes the makers of passkeys whose roots are in a folder.
    pub(crate) async fn start_knowing(
        limits: Limits,
        change: impl FnOnce(&mut Config),
        passkey_anchors: Option<PathBuf>,
    ) -> Self {
        let extras = Extras { passkey_anchors, ..Extras::default() };
        Self::start_on(TempDir::new().unwrap(), limits, change, extras).await
    }

    async fn start_on(
        dir: TempDir,
        limits: Limits,
        change: impl FnOnce(&mut Config),
        extras: Extras,
    ) -> Self {
        // TLS clients read the system's clock, so ours begins there.
        let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
        Self::open(dir, clock, limits, change, extras).await
    }

    /// The same server once more, after it was stopped; at another address.
    pub(crate) async fn restart(self, change: impl FnOnce(&mut Config)) -> Self {
        let clock = Arc::clone(&self.clock);
        let (engine, dir) = self.stop().await;
        close(engine).await;
        Self::open(dir, clock, limits(), change, Extras::default()).await
    }

    async fn open(
        dir: TempDir,
        clock: Arc<ManualClock>,
        limits: Limits,
        change: impl FnOnce(&mut Config),
        extras: Extras,
    ) -> Self {
        let mut config = Config::new(Name::new("tpw.test").unwrap());
        change(&mut config);
        let engine = Engine::open(dir.path(), config, clock.clone()).unwrap();
        let options = ServeOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: Tls::Development { dir: dir.path().to_owned() },
            public_url: None,
            mutual: extras.mutual,
            passkey_anchors: extras.passkey_anchors,
            networks: extras.networks,
            zone: extras.zone,
            limits,
            shadow: None,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = async move {
            let _sender_gone = stopped.await;
        };
        let bound = serve(engine.clone(), options, ended).await.unwrap();
        let pem = std::fs::read(development_certificate_path(dir.path())).unwrap();
        let connector = connector(&pem, &rustls::version::TLS13, &[b"http/1.1"]);
        let (addr, url) = (bound.addr(), bound.url().to_owned());
        let mutual = bound.mutual().map(|(addr, url)| (addr, url.to_owned()));
        let (stop, bound) = (Some(stop), Some(bound));
        Self { engine, clock, addr, url, dir, mutual, connector, stop, bound }
    }

    /// Stops serving and waits for its end.
    pub(crate) async fn stop(mut self) -> (Arc<Engine>, TempDir) {
        drop(self.stop.take());
        self.bound.take().unwrap().stopped().await;
        (self.engine, self.dir)
    }

    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        connect(&self.connector, self.addr).await.unwrap()
    }

    /// The answer to a request that is written as it is, from another address of this machine; none when the connection is
    /// not taken.
    pub(crate) async fn ask_from(&self, from: &str, request: &str) -> std::io::Result<String> {
        let mut stream = self.connect_from(from).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    pub(crate) async fn connect_from(&self, from: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0))?;
        let stream = socket.connect(self.addr).await?;
        self.connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method.parse::<axum::http::Method>().unwrap())
            .uri(path)
            .header("host", self.addr.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        answered(self.connect().await, request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Vec::new()).await
    }

    pub(crate) async fn post_json(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.send("POST", path, &all, body.to_string().into_bytes()).await
    }

    pub(crate) fn http_url(&self, path: &str) -> HttpUrl {
        HttpUrl::parse(&format!("{}{path}", self.url)).unwrap()
    }

    /// A proof of a request.
    pub(crate) fn proof(
        &self,
        actor: &Actor,
        method: &str,
        path: &str,
        token: Option<&str>,
    ) -> String {
        let url = self.http_url(path);
        let now = self.clock.now();
        let request = DpopRequest { method, url: &url, access_token: token, now };
        dpop::make(&actor.slots, &actor.slot, &request, &mut OsEntropy).unwrap()
    }

    pub(crate) async fn token(&self, actor: &Actor) -> String {
        let known = actor.token.borrow().clone();
        if let Some(token) = known {
            return token;
        }
        let proof = self.proof(actor, "POST", "/v1/tokens", None);
        let answer = self.send("POST", "/v1/tokens", &[("dpop", &proof)], Vec::new()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        *actor.token.borrow_mut() = Some(token.clone());
        token
    }

    /// Brings money in under a transfer's id.
    pub(crate) async fn fund(
        &self,
        operator: &Actor,
        account: AccountId,
        minor: &str,
        transfer: TransferId,
    ) -> Answer {
        let (path, key) = (format!("/v1/accounts/{account}:fund"), transfer.to_string());
        let (body, headers) = (json!({ "amount": minor }), [("idempotency-key", key.as_str())]);
        self.call_in(operator, "POST", &path, Some(&body), &headers).await
    }

    /// A request with token and proof.
    pub(crate) async fn call(
        &self,
        actor: &Actor,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        self.call_in(actor, method, path, body, &[]).await
    }

    pub(crate) async fn call_in(
        &self,
        actor: &Actor,
        method: &str,
        path: &str,
        body: Option<&Value>,
        extra: &[(&str, &str)],
    ) -> Answer {
        let token = self.token(actor).await;
        let proof = self.proof(actor, method, path, Some(&token));
        let authorization = format!("DPoP {token}");
        let mut headers = vec![("authorization", authorization.as_str()), ("dpop", &proof)];
        headers.extend_from_slice(extra);
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        self.send(method, path, &headers, body).await
    }

    /// The operator's own device, as whoever has the data folder has it.
    pub(crate) fn operator(&self) -> Actor {
        let bytes = std::fs::read(self.engine.operator_key_path()).unwrap();
        let slots = SoftwareSlots::from_secret_bytes(&bytes).unwrap();
        Actor::with(slots, SlotName::new("operator").unwrap())
    }

    /// What a login with a password leaves behind, now. The login itself is in `factors`.
    pub(crate) async fn recognise(&self, actor: &Actor) {
        let known = actor.slots.public_key(&actor.slot).unwrap().jwk_thumbprint();
        let device = self.engine.device_by_jkt(&Hash32::new(known)).unwrap().id;
        let key = RecordKey::single(RecordKind::Assurance, *device.as_bytes());
        let before = self.engine.record(&key).unwrap();
        let (method, strength) = (Method::Password, Strength::Single);
        let proof = Proof { method, strength, at: self.clock.now() };
        let after = Some(Assurance::default().with(proof).to_bytes());
        let write = RecordWrite { key, before, after };
        self.engine.write_records(vec![write]).await.unwrap();
        *actor.token.borrow_mut() = None;
    }

    /// Signs and sends somebody's word about a request for approval, changed by `edit` before it is signed.
    pub(crate) async fn word(
        &self,
        actor: &Actor,
        request: &Value,
        consent: Consent,
        edit: fn(&mut Vote),
    ) -> Answer {
        let text = |name: &str| request[name].as_str().unwrap().to_owned();
        let mut vote = Vote {
            approval: text("id").parse().unwrap(),
            device: actor.device.unwrap_or(DeviceId::from_bytes([0; 16])),
            operation: text("operation_hash").parse().unwrap(),
            consent,
            created: self.clock.now(),
            audience: self.engine.audience().clone(),
        };
        edit(&mut vote);
        let statement = tpw_proof::sign(&vote, &actor.slots, &actor.slot).unwrap();
        let body = json!({ "statement": encode(&statement) });
        let path = format!("/v1/approvals/{}:{}", text("id"), consent.code());
        self.call(actor, "POST", &path, Some(&body)).await
    }

    /// The word of somebody who has just logged in.
    pub(crate) async fn says(&self, actor: &Actor, request: &Value, consent: Consent) -> Answer {
        self.recognise(actor).await;
        self.word(actor, request, consent, |_| {}).await
    }

    /// Asks for roles of a person, as an operator who has just logged in.
    pub(crate) async fn give(&self, operator: &Actor, to: &Actor, roles: &[&str]) -> Answer {
        self.recognise(operator).await;
        *to.token.borrow_mut() = None;
        let path = format!("/v1/people/{}/roles", to.person.unwrap());
        self.call(operator, "PUT", &path, Some(&json!({ "roles": roles }))).await
    }

    /// Enters a person with one funded account.
    pub(crate) async fn add_person(&self, operator: &Actor, name: &str, opening: &str) -> Value {
        let account = json!({
            "asset": "USD/2", "kind": "custodial", "label": "main", "opening": opening,
        });
        let body = json!({ "name": name, "accounts": [account], "enrolment_code": true });
        let answer = self.call(operator, "POST", "/v1/people", Some(&body)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    pub(crate) async fn enrol_with(&self, actor: &Actor, code: &str) -> Answer {
        let parsed: EnrolmentCode = code.parse().unwrap();
        let url = self.http_url("/v1/devices");
        let (slots, slot, now) = (&actor.slots, &actor.slot, self.clock.now());
        let proof = enrol::prove(slots, slot, &url, &parsed, now, &mut OsEntropy).unwrap();
        self.post_json("/v1/devices", &[("dpop", &proof)], &json!({ "code": code })).await
    }

    /// A person with one account and one enrolled device.
    pub(crate) async fn person(&self, operator: &Actor, name: &str, opening: &str) -> Actor {
        let added = self.add_person(operator, name, opening).await;
        let mut actor = Actor::new();
        let answer = self.enrol_with(&actor, added["code"].as_str().unwrap()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let enrolled = answer.json();
        actor.device = Some(enrolled["device"].as_str().unwrap().parse().unwrap());
        actor.person = Some(enrolled["person"].as_str().unwrap().parse().unwrap());
        actor.account = Some(enrolled["accounts"][0]["id"].as_str().unwrap().parse().unwrap());
        actor
    }

    /// One more device of somebody.
    pub(crate) async fn another_device(&self, operator: &Actor, of: &Actor) -> Actor {
        let path = format!("/v1/people/{}/codes", of.person.unwrap());
        let issued = self.call(operator, "POST", &path, None).await.json();
        let mut actor = Actor::new();
        let enrolled = self.enrol_with(&actor, issued["code"].as_str().unwrap()).await.json();
        actor.device = Some(enrolled["device"].as_str().unwrap().parse().unwrap());
        (actor.person, actor.account) = (of.person, of.account);
        actor
    }

    /// The next intent of this device; the chain goes on only with [`Server::sent`].
    pub(crate) fn intent(&self, from: &Actor, to: AccountId, minor: u128) -> Intent {
        let now = self.clock.now();
        Intent {
            payment: PaymentId::new(now.unix_ms(), random()),
            device: from.device.unwrap(),
            payer: from.account(),
            payee: to,
            money: Money { amount: Amount::from_minor(minor), asset: "USD/2".parse().unwrap() },
            fee_limit: Amount::ZERO,
            sequence: from.sequence.get() + 1,
            previous: from.previous.get(),
            seen: TreeHead { size: 0, root: Hash32::ZERO },
            created: now,
            expires: now.plus(Span::from_secs(600)),
            audience: self.engine.audience().clone(),
            purpose: Purpose::new("lunch").unwrap(),
        }
    }

    /// The intent that follows another of the same device, which need not have been sent.
    pub(crate) fn intent_after(
        &self,
        from: &Actor,
        before: &Signed,
        to: AccountId,
        minor: u128,
    ) -> Intent {
        let (sequence, previous) = (before.intent.sequence + 1, before.hash);
        Intent { sequence, previous, ..self.intent(from, to, minor) }
    }

    pub(crate) fn sign(&self, from: &Actor, intent: Intent) -> Signed {
        let bytes = tpw_proof::sign(&intent, &from.slots, &from.slot).unwrap();
        let hash = tpw_proof::statement::payload_hash(&intent);
        Signed { id: intent.payment, intent, hash, bytes }
    }

    pub(crate) async fn submit(&self, signed: &Signed) -> Answer {
        let key = signed.id.to_string();
        self.post_json("/v1/payments", &[("idempotency-key", &key)], &signed.body()).await
    }

    /// Signs and sends the next intent, and moves the chain on.
    pub(crate) async fn pay(&self, from: &Actor, to: AccountId, minor: u128) -> (Signed, Answer) {
        // Ids are ordered by time: no two payments are of the same millisecond.
        self.clock.advance(Span::from_ms(1));
        let signed = self.sign(from, self.intent(from, to, minor));
        let answer = self.submit(&signed).await;
        from.sequence.set(signed.intent.sequence);
        from.previous.set(signed.hash);
        (signed, answer)
    }

    /// What a refused request must not change.
    pub(crate) async fn state(&self, operator: &Actor, actors: &[&Actor]) -> Vec<Value> {
        let mut state = vec![self.engine.log().newest().unwrap().head.size.into()];
        for actor in actors {
            let path = format!("/v1/accounts/{}", actor.account());
            let mut account = self.call(operator, "GET", &path, None).await.json();
            account.as_object_mut().unwrap().remove("as_of");
            state.push(account);
            let head = self.engine.chain_head(actor.device.unwrap(), actor.account());
            state.push(json!([head.sequence, head.hash.to_string()]));
        }
        state
    }
}

/// The answer to a request on a connection of its own.
pub(crate) async fn answered(
    stream: TlsStream<TcpStream>,
    request: Request<Full<Bytes>>,
) -> Answer {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    driver.abort();
    Answer { status: parts.status, headers: parts.headers, body }
}

pub(crate) fn connector(
    pem: &[u8],
    version: &'static rustls::SupportedProtocolVersion,
    alpn: &[&[u8]],
) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

pub(crate) async fn connect(
    connector: &TlsConnector,
    addr: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(addr).await?;
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// Closes an engine, and waits until nobody holds it any more, and with it its folder: a task that was told to end does so a little later.
pub(crate) async fn close(engine: Arc<Engine>) {
    engine.close();
    let held = Arc::downgrade(&engine);
    drop(engine);
    let end = Instant::now() + Duration::from_secs(40);
    while held.strong_count() > 0 {
        assert!(Instant::now() < end, "somebody still holds the engine");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
