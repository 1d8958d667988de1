//! The HTTPS client of our API: requests bound to a device key, tokens kept until they end, safe retries.

mod connect;

use crate::device::keys::Keys;
use crate::exit::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connect::Connector;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, header};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tpw_access::{DpopRequest, EnrolmentCode, HttpUrl};
use tpw_core::{Instant, PaymentId, Span};
use tpw_crypto::Zeroizing;
use tpw_engines::clock::Clock;
use tpw_server::wire::{Enrolled, Problem, Retry, Token as Issued};

/// The longest that one request may take.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(20);
/// The largest answer that is read, in bytes.
const ANSWER_LEN_MAX: usize = 8 << 20;
/// How often a request is sent before it is given up.
const ATTEMPTS: u32 = 5;
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// Why a request has no good answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address cannot be used.
    #[error("`{0}` is no https address such as https://127.0.0.1:8443")]
    Address(String),
    /// The certificates to trust cannot be read.
    #[error("the certificate file cannot be used: {0}")]
    Authority(String),
    /// No connection.
    #[error("no connection to the server: {0}")]
    Connect(String),
    /// A connection that is not to be trusted.
    #[error("the server's certificate is not accepted: {0}")]
    Tls(String),
    /// No answer in time.
    #[error("the server did not answer in {} s", REQUEST_TIME_MAX.as_secs())]
    Timeout,
    /// The server said no, and why.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// An answer that is none of our API's.
    #[error("an answer that this program does not understand: {0}")]
    Answer(String),
    /// The device could not prove that the request is its own.
    #[error("the request could not be signed")]
    Prove(Failure),
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `Server-Timing` header, where the server sends one.
    pub timing: Option<String>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// [`ClientError::Answer`] when it is not what is expected.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|error| ClientError::Answer(error.to_string()))
    }

    /// The problem that it tells (RFC 9457).
    #[must_use]
    pub fn problem(&self) -> Problem {
        // Between us and the server there may be others, who speak in other forms.
        serde_json::from_slice(&self.body).unwrap_or_else(|_other_form| Problem {
            kind: "about:blank".to_owned(),
            title: format!("HTTP {}", self.status),
            status: self.status,
            detail: format!("HTTP {}", self.status),
            code: "unknown".to_owned(),
            retry: Retry::SameKey,
            retry_after_s: None,
            request_id: String::new(),
            reason: None,
            field: None,
            consumed: None,
            expected_sequence: None,
            payment: None,
        })
    }

    fn checked(self) -> Result<Self, ClientError> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        Err(ClientError::Problem(Box::new(self.problem())))
    }
}

/// What a request carries.
struct Payload {
    media_type: &'static str,
    bytes: Bytes,
}

impl Payload {
    fn json(value: &Value) -> Self {
        Self { media_type: "application/json", bytes: Bytes::from(value.to_string()) }
    }
}

/// How a request shows whose it is.
#[derive(Clone, Copy)]
enum Proof<'k> {
    /// Not at all: public, or the body is its own proof.
    None,
    /// By a signature of the key (RFC 9449).
    Key(&'k Keys),
    /// By a signature of the key, made for a one-time code (`tpw_access::enrol`).
    Code(&'k Keys, &'k str),
    /// By a token bound to the key.
    Token(&'k Keys),
}

struct Token {
    text: String,
    ends: Instant,
}

/// A client of one server, for one device.
pub struct Client {
    pool: Pool<Connector, Full<Bytes>>,
    base: HttpUrl,
    language: &'static str,
    clock: Arc<dyn Clock>,
    token: Mutex<Option<Token>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.base.origin()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the server at `address`, trusting the certificates in `ca_pem` (or those of the system) and asking
    /// for texts in `language`. Connects with the first request.
    ///
    /// # Errors
    /// [`ClientError::Address`], [`ClientError::Authority`].
    pub fn new(
        address: &str,
        ca_pem: Option<&[u8]>,
        language: &'static str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ClientError> {
        let odd = || ClientError::Address(address.chars().take(200).collect());
        if !address.starts_with("https://") {
            return Err(odd());
        }
        let base = HttpUrl::parse(address).map_err(|_odd| odd())?;
        let connector = Connector::new(connect::tls_config(ca_pem)?);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Ok(Self { pool, base, language, clock, token: Mutex::new(None) })
    }

    /// The server, as scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.base.origin()
    }

    /// Reads something public.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_public(&self, path: &str) -> Result<Answer, ClientError> {
        self.request(&Method::GET, path, None, Proof::None).await?.checked()
    }

    /// Reads as the owner of `keys`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get(&self, keys: &Keys, path: &str) -> Result<Answer, ClientError> {
        self.request(&Method::GET, path, None, Proof::Token(keys)).await?.checked()
    }

    /// Changes something as the owner of `keys`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post(&self, keys: &Keys, path: &str, body: &Value) -> Result<Answer, ClientError> {
        let body = Payload::json(body);
        self.request(&Method::POST, path, Some(&body), Proof::Token(keys)).await?.checked()
    }

    /// Sets something as the owner of `keys`. Setting it again changes nothing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put(&self, keys: &Keys, path: &str, body: &Value) -> Result<Answer, ClientError> {
        let body = Payload::json(body);
        self.request(&Method::PUT, path, Some(&body), Proof::Token(keys)).await?.checked()
    }

    /// Sends a file as it is, as the owner of `keys`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post_file(
        &self,
        keys: &Keys,
        path: &str,
        media_type: &'static str,
        bytes: Vec<u8>,
    ) -> Result<Answer, ClientError> {
        let body = Payload { media_type, bytes: Bytes::from(bytes) };
        self.request(&Method::POST, path, Some(&body), Proof::Token(keys)).await?.checked()
    }

    /// Changes something as the owner of `keys`, under an id that makes it happen once however often it is sent.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post_once(
        &self,
        keys: &Keys,
        path: &str,
        body: &Value,
        key: &str,
    ) -> Result<Answer, ClientError> {
        let (body, proof) = (Payload::json(body), Proof::Token(keys));
        self.send(&Method::POST, path, Some(&body), proof, Some(key)).await?.checked()
    }

    /// Removes something as the owner of `keys`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete(&self, keys: &Keys, path: &str) -> Result<Answer, ClientError> {
        self.request(&Method::DELETE, path, None, Proof::Token(keys)).await?.checked()
    }

    /// Enrols the key of `keys` with a one-time code.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn enrol(&self, keys: &Keys, code: &EnrolmentCode) -> Result<Enrolled, ClientError> {
        let text = code.reveal();
        let body = Payload::json(&json!({ "code": text.as_str() }));
        let digits = Zeroizing::new(text.replace('-', ""));
        let proof = Proof::Code(keys, &digits);
        let answer = self.request(&Method::POST, "/v1/devices", Some(&body), proof).await?;
        answer.checked()?.json()
    }

    /// Sends a signed payment. Problems are answers here: they say what became of it.
    ///
    /// The statement is its own proof of possession and its id the idempotency key, so that it may be sent again.
    ///
    /// # Errors
    /// [`ClientError`] when there is no answer.
    pub async fn pay(&self, payment: PaymentId, statement: &[u8]) -> Result<Answer, ClientError> {
        let body = Payload::json(&json!({ "statement": URL_SAFE_NO_PAD.encode(statement) }));
        let key = payment.to_string();
        self.send(&Method::POST, "/v1/payments", Some(&body), Proof::None, Some(&key)).await
    }

    /// Sends a step-up proof. Problems are answers here.
    ///
    /// # Errors
    /// [`ClientError`] when there is no answer.
    pub async fn step_up(&self, payment: PaymentId, proof: &[u8]) -> Result<Answer, ClientError> {
        let body = Payload::json(&json!({ "proof": URL_SAFE_NO_PAD.encode(proof) }));
        let path = format!("/v1/payments/{payment}:step-up");
        // It is its own proof of possession too, and the same bytes again change nothing.
        let key = payment.to_string();
        self.send(&Method::POST, &path, Some(&body), Proof::None, Some(&key)).await
    }

    /// A token for `keys`, new or kept.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn token(&self, keys: &Keys) -> Result<String, ClientError> {
        let now = self.clock.now();
        {
            let kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(token) = kept.as_ref().filter(|token| token.ends > now) {
                return Ok(token.text.clone());
            }
        }
        let sent = self.once(&Method::POST, "/v1/tokens", None, Proof::Key(keys), None);
        let view: Issued = sent.await?.checked()?.json()?;
        // A little early, so that it does not end under way.
        let ends = now.plus(Span::from_secs(view.expires_in.saturating_sub(20)));
        let mut kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(Token { text: view.access_token.clone(), ends });
        Ok(view.access_token)
    }

    async fn request(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Payload>,
        proof: Proof<'_>,
    ) -> Result<Answer, ClientError> {
        self.send(method, path, body, proof, None).await
    }

    /// Sends until there is an answer that is worth having. Only what may be repeated is: reads, payments and fundings under
    /// their own id, and whatever the server said it did not take.
    async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Payload>,
        proof: Proof<'_>,
        key: Option<&str>,
    ) -> Result<Answer, ClientError> {
        let repeatable = *method == Method::GET || *method == Method::PUT || key.is_some();
        let mut pause = PAUSE_FIRST;
        for attempt in 1..=ATTEMPTS {
            let last = attempt == ATTEMPTS;
            match self.once(method, path, body, proof, key).await {
                Ok(answer) if !last && matches!(answer.status, 429 | 503) => {}
                Err(ClientError::Connect(_)) if !last => {}
                Err(ClientError::Timeout) if !last && repeatable => {}
                other => return other,
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(PAUSE_MAX);
        }
        Err(ClientError::Timeout)
    }

    async fn once(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Payload>,
        proof: Proof<'_>,
        key: Option<&str>,
    ) -> Result<Answer, ClientError> {
        let address = format!("{}{path}", self.base.origin());
        let mut request = Request::builder()
            .method(method.clone())
            .uri(&address)
            .header(header::ACCEPT, "application/json, application/problem+json, */*;q=0.1")
            .header(header::ACCEPT_LANGUAGE, self.language);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let token = match proof {
            Proof::Token(keys) => Some(Box::pin(self.token(keys)).await?),
            Proof::None | Proof::Key(_) | Proof::Code(..) => None,
        };
        if let Proof::Token(keys) | Proof::Key(keys) | Proof::Code(keys, _) = proof {
            let url =
                HttpUrl::parse(&address).map_err(|_odd| ClientError::Address(address.clone()))?;
            let code = if let Proof::Code(_, digits) = proof { Some(digits) } else { None };
            let (access_token, now) = (token.as_deref().or(code), self.clock.now());
            let wanted = DpopRequest { method: method.as_str(), url: &url, access_token, now };
            request = request.header("DPoP", keys.prove(&wanted).map_err(ClientError::Prove)?);
        }
        if let Some(token) = &token {
            request = request.header(header::AUTHORIZATION, format!("DPoP {token}"));
        }
        let bytes = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, body.media_type);
                body.bytes.clone()
            }
            None => Bytes::new(),
        };
        let request =
            request.body(Full::new(bytes)).map_err(|_odd| ClientError::Address(address))?;
        tokio::time::timeout(REQUEST_TIME_MAX, self.exchange(request))
            .await
            .map_err(|_elapsed| ClientError::Timeout)?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let response = self.pool.request(request).await.map_err(|error| connect_error(&error))?;
        let (parts, body) = response.into_parts();
        let timing = parts.headers.get("server-timing").and_then(|value| value.to_str().ok());
        let body = Limited::new(body, ANSWER_LEN_MAX)
            .collect()
            .await
            .map_err(|error| ClientError::Connect(error.to_string()))?;
        Ok(Answer {
            status: parts.status.as_u16(),
            timing: timing.map(str::to_owned),
            body: body.to_bytes(),
        })
    }
}

/// The innermost cause is what tells a person something; a refused certificate is no matter of trying again.
fn connect_error(error: &hyper_util::client::legacy::Error) -> ClientError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    match cause.downcast_ref::<rustls::Error>() {
        Some(_) => ClientError::Tls(text),
        None if text.contains("certificate") => ClientError::Tls(text),
        None => ClientError::Connect(text),
    }
}
