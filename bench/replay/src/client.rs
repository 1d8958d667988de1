//! HTTPS to one server over kept-alive HTTP/1.1 connections: one request at a time on each, as many as are under way.

use crate::actor::Actor;
use crate::error::ReplayError;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tpw_access::EnrolmentCode;
use tpw_access::url::HttpUrl;

/// The longest that one attempt may take; the server ends its own work earlier.
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(15);
/// The longest wait for one address: a machine that is cut off does not refuse.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
/// The largest answer that is read, in bytes.
pub(crate) const ANSWER_LEN_MAX: usize = 16 << 20;
/// How often a request is sent before it is given up: about a minute of a server that is away.
const ATTEMPTS_MAX: u32 = 40;
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How a request shows whose it is.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// Not at all: public, or the body is its own proof.
    None,
    /// By a signature of the key that also proves the one-time code (`tpw_access::enrol`).
    Code(&'a Actor, &'a EnrolmentCode),
    /// By a token bound to the key.
    Token(&'a Actor),
}

const JSON: &str = "application/json";

/// A request. It must be one that may be sent again.
#[derive(Clone)]
pub struct Call<'a> {
    /// `GET` or `POST`.
    pub method: Method,
    /// From the first slash.
    pub path: String,
    /// The body.
    pub body: Option<Bytes>,
    /// What the body is.
    pub media_type: &'static str,
    /// The header `Idempotency-Key`.
    pub key: Option<String>,
    /// Whose it is.
    pub proof: Proof<'a>,
}

impl<'a> Call<'a> {
    /// Reads `path`.
    #[must_use]
    pub fn get(path: impl Into<String>, proof: Proof<'a>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: None,
            media_type: JSON,
            key: None,
            proof,
        }
    }

    /// Sends `body` to `path`.
    #[must_use]
    pub fn post(path: impl Into<String>, body: &Value, proof: Proof<'a>) -> Self {
        let body = Some(Bytes::from(body.to_string()));
        Self { method: Method::POST, path: path.into(), body, media_type: JSON, key: None, proof }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Whether the server says that it has answered this before.
    pub replayed: bool,
    /// How often the request was sent.
    pub attempts: u32,
    retry_after: Option<Duration>,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON.
    ///
    /// # Errors
    /// [`ReplayError::Answer`].
    pub fn json<T: DeserializeOwned>(&self, request: &str) -> Result<T, ReplayError> {
        serde_json::from_slice(&self.body).map_err(|error| ReplayError::Answer {
            status: self.status,
            request: request.to_owned(),
            body: format!("{error} in {}", self.beginning()),
        })
    }

    /// The body as JSON of an answer that must be a success.
    ///
    /// # Errors
    /// [`ReplayError::Answer`].
    pub fn success<T: DeserializeOwned>(&self, request: &str) -> Result<T, ReplayError> {
        if (200..300).contains(&self.status) {
            self.json(request)
        } else {
            Err(self.unexpected(request))
        }
    }

    /// An error that tells this answer.
    #[must_use]
    pub fn unexpected(&self, request: &str) -> ReplayError {
        let (status, body) = (self.status, self.beginning());
        ReplayError::Answer { status, request: request.to_owned(), body }
    }

    fn beginning(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(300).collect()
    }
}

/// How much is asked of the system at once: an answer with its receipt.
const READ_LEN: usize = 16 << 10;

/// A connection.
pub(crate) type Stream = tokio_rustls::client::TlsStream<tokio::io::BufReader<TcpStream>>;

type Sender = SendRequest<Full<Bytes>>;

/// A client of one operator, who may have several servers of which one is at work.
pub struct Client {
    base: HttpUrl,
    host: String,
    /// Where to connect to: `host:port`, in the order in which they are tried.
    addresses: Vec<String>,
    /// The last one that worked, as a place in `addresses`.
    chosen: AtomicUsize,
    tls: TlsConnector,
    idle: Mutex<Vec<Sender>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.base.origin()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the server at `address` that trusts the certificates in `ca`. Connects with the first request.
    ///
    /// # Errors
    /// [`ReplayError::Option`], [`ReplayError::Io`].
    pub fn new(address: &str, ca: &Path) -> Result<Self, ReplayError> {
        Self::with_addresses(address, ca, &[])
    }

    /// The same, but it connects to these addresses, `host:port`, instead of the one that the server's name stands for.
    ///
    /// # Errors
    /// [`ReplayError::Option`], [`ReplayError::Io`].
    pub fn with_addresses(
        address: &str,
        ca: &Path,
        addresses: &[String],
    ) -> Result<Self, ReplayError> {
        let odd = |why: String| ReplayError::Option { option: "--server", why };
        let base = HttpUrl::parse(address).map_err(|error| odd(error.to_string()))?;
        let uri: Uri = base.origin().parse().map_err(|_| odd("no address".to_owned()))?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(443);
        let addresses = match addresses {
            [] => vec![format!("{}:{port}", uri.host().unwrap_or_default())],
            given => given.to_vec(),
        };
        let tls = TlsConnector::from(Arc::new(tls_config(ca)?));
        let (chosen, idle) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        Ok(Self { base, host, addresses, chosen, tls, idle })
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.base.origin()
    }

    /// Sends until there is an answer that is neither `429` nor `503`, with pauses that grow.
    ///
    /// # Errors
    /// [`ReplayError::Unreachable`] after the last attempt; [`ReplayError::Crypto`] when no proof can be made.
    pub async fn send(&self, call: &Call<'_>) -> Result<Reply, ReplayError> {
        let (mut pause, mut why) = (PAUSE_FIRST, String::new());
        for attempt in 1..=ATTEMPTS_MAX {
            let wait = match self.once(call).await? {
                Ok(reply) if matches!(reply.status, 429 | 503) => {
                    why = reply.beginning();
                    if reply.status == 503 {
                        self.look_elsewhere();
                    }
                    reply.retry_after
                }
                Ok(reply) => return Ok(Reply { attempts: attempt, ..reply }),
                Err(error) => {
                    why = error;
                    None
                }
            };
            tokio::time::sleep(wait.unwrap_or(pause)).await;
            pause = pause.saturating_mul(2).min(PAUSE_MAX);
        }
        Err(ReplayError::Unreachable(format!("{} {}: {why}", call.method, call.path)))
    }

    /// One attempt: the outer error is ours, the inner one the connection's.
    async fn once(&self, call: &Call<'_>) -> Result<Result<Reply, String>, ReplayError> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(&call.path)
            .header(header::HOST, self.host())
            .header(header::ACCEPT, "application/json");
        if let Some(key) = &call.key {
            request = request.header("Idempotency-Key", key);
        }
        let url = format!("{}{}", self.base.origin(), call.path);
        match call.proof {
            Proof::None => {}
            Proof::Code(actor, code) => {
                request = request.header("DPoP", actor.prove_code(&url, code)?);
            }
            Proof::Token(actor) => {
                let token = match actor.token(self).await? {
                    Ok(token) => token,
                    Err(why) => return Ok(Err(why)),
                };
                let proof = actor.prove(&call.method, &url, Some(&token))?;
                request = request.header("DPoP", proof);
                request = request.header(header::AUTHORIZATION, format!("DPoP {token}"));
            }
        }
        if call.body.is_some() {
            request = request.header(header::CONTENT_TYPE, call.media_type);
        }
        let body = Full::new(call.body.clone().unwrap_or_default());
        match request.body(body) {
            Ok(request) => Ok(self.exchange(request).await),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// Sends a request once, without more.
    pub(crate) async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply, String> {
        let work = self.exchange_now(request);
        match tokio::time::timeout(ATTEMPT_TIME_MAX, work).await {
            Ok(done) => done,
            Err(_elapsed) => {
                // The server may be cut off, and its other connections as dead as this one.
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
                Err("no answer in time".to_owned())
            }
        }
    }

    async fn exchange_now(&self, request: Request<Full<Bytes>>) -> Result<Reply, String> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut sender = match kept {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await?,
        };
        sender.ready().await.map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_LEN_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        let field = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let seconds = field("retry-after").and_then(|text| text.parse().ok());
        Ok(Reply {
            status: parts.status.as_u16(),
            replayed: field("idempotency-replayed") == Some("true"),
            attempts: 1,
            retry_after: seconds.map(Duration::from_secs),
            body,
        })
    }

    /// Host and port, as a request names them.
    pub(crate) fn host(&self) -> &str {
        self.base.origin().trim_start_matches("https://")
    }

    /// Opens a connection for whoever speaks HTTP on it.
    pub(crate) async fn open(&self) -> Result<Stream, String> {
        let tcp = self.connect_tcp().await?;
        // Small requests one after the other: waiting to fill a packet only delays them.
        tcp.set_nodelay(true).map_err(|error| error.to_string())?;
        let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
        let tcp = tokio::io::BufReader::with_capacity(READ_LEN, tcp);
        self.tls.connect(name, tcp).await.map_err(|error| error.to_string())
    }

    async fn connect(&self) -> Result<Sender, String> {
        let tls = self.open().await?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(tls)).await.map_err(|error| error.to_string())?;
        // The sender tells of every failure; the connection has nothing to add.
        tokio::spawn(async move { connection.await.ok() });
        Ok(sender)
    }
}

impl Client {
    /// The next connection is made to the next address: this server says that it is not at work.
    fn look_elsewhere(&self) {
        if self.addresses.len() > 1 {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
            let next = self.chosen.load(Ordering::Relaxed).wrapping_add(1);
            let next = next.checked_rem(self.addresses.len()).unwrap_or(0);
            self.chosen.store(next, Ordering::Relaxed);
        }
    }

    /// To one of the addresses that answers, beginning with the one that did so last.
    async fn connect_tcp(&self) -> Result<TcpStream, String> {
        let mut why = "there is no address".to_owned();
        let first = self.chosen.load(Ordering::Relaxed);
        let places = (0..self.addresses.len()).cycle().skip(first).take(self.addresses.len());
        for place in places {
            let Some(address) = self.addresses.get(place) else { continue };
            let connected = TcpStream::connect(address);
            match tokio::time::timeout(CONNECT_TIME_MAX, connected).await {
                Ok(Ok(tcp)) => {
                    self.chosen.store(place, Ordering::Relaxed);
                    return Ok(tcp);
                }
                Ok(Err(error)) => why = format!("{address}: {error}"),
                Err(_elapsed) => why = format!("{address}: no connection in time"),
            }
        }
        Err(why)
    }
}

/// TLS 1.3, trusting the certificates in the file `ca` alone.
fn tls_config(ca: &Path) -> Result<ClientConfig, ReplayError> {
    let odd = |why: String| ReplayError::Option { option: "--ca", why };
    let pem = std::fs::read(ca).map_err(ReplayError::io("read", ca))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| odd(error.to_string()))?;
        roots.add(certificate).map_err(|error| odd(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(odd("there is no certificate in it".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| odd(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
impl Reply {
    pub(crate) fn for_test(status: u16, body: &str) -> Self {
        let body = Bytes::from(body.to_owned());
        Self { status, replayed: false, attempts: 1, retry_after: None, body }
    }
}
