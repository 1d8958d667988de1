//! The HTTPS client of our API: requests bound to a device key, tokens kept until they end, safe retries.

use crate::device::keys::Keys;
use crate::exit::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, header};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tpw_access::{DpopRequest, EnrolmentCode, HttpUrl};
use tpw_core::{Instant, PaymentId, Span};
use tpw_crypto::Zeroizing;
use tpw_engines::clock::Clock;
use tpw_server::outbound::{Connector, OutboundError, tls_config};
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
    /// No connection: nothing was sent.
    #[error("no connection to the server: {0}")]
    Connect(String),
    /// The connection ended after something was sent: the request may have been carried out.
    #[error("the connection to the server was lost before its answer came: {0}")]
    Lost(String),
    /// A connection that is not to be trusted.
    #[error("the server's certificate is not accepted: {0}")]
    Tls(String),
    /// No answer in time.
    #[error("the server did not answer in {} s", REQUEST_TIME_MAX.as_secs())]
    Timeout,
    /// The server said no, and why.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// An answer that is not read to its end.
    #[error("the server's answer is longer than {ANSWER_LEN_MAX} bytes")]
    AnswerTooLong,
    /// An answer that is none of our API's.
    #[error("an answer that this program does not understand: {0}")]
    Answer(String),
    /// The device could not prove that the request is its own.
    #[error("the request could not be signed")]
    Prove(Failure),
}

impl ClientError {
    /// The stable code of what happened.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Authority(_) => "authority",
            Self::Connect(_) => "connect",
            Self::Lost(_) => "lost",
            Self::Tls(_) => "tls",
            Self::Timeout => "timeout",
            Self::Problem(_) => "problem",
            Self::AnswerTooLong => "answer-too-long",
            Self::Answer(_) => "answer",
            Self::Prove(_) => "prove",
        }
    }
}

impl From<OutboundError> for ClientError {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::Address(address) => Self::Address(address),
            OutboundError::Authority(why) => Self::Authority(why),
            OutboundError::Tls(why) => Self::Tls(why),
            OutboundError::Connect(why) => Self::Connect(why),
            OutboundError::Lost(why) => Self::Lost(why),
            OutboundError::Timeout => Self::Timeout,
            OutboundError::AnswerTooLong => Self::AnswerTooLong,
        }
    }
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

    /// Whether the server said that it did not even begin: whatever was asked for can be asked for again.
    fn is_not_taken(&self) -> bool {
        matches!(self.problem().code.as_str(), "busy" | "rate_limited")
    }

    /// RFC 9470 §3.
    fn wants_better_proof(&self) -> bool {
        self.status == 401 && self.problem().code == "insufficient_user_authentication"
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

/// Whether a request that was carried out may be sent once more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// It reads or sets something, or what it makes has an id of ours: the second time changes nothing.
    Harmless,
    /// It would be done twice.
    Never,
}

/// One request, however often it is sent.
struct Call<'c> {
    method: Method,
    path: &'c str,
    body: Option<Payload>,
    proof: Proof<'c>,
    /// The `Idempotency-Key`.
    key: Option<&'c str>,
    again: Again,
}

impl<'c> Call<'c> {
    const fn new(method: Method, path: &'c str, proof: Proof<'c>, again: Again) -> Self {
        Self { method, path, body: None, proof, key: None, again }
    }

    fn with(mut self, body: Payload) -> Self {
        self.body = Some(body);
        self
    }

    const fn under(mut self, key: &'c str) -> Self {
        self.key = Some(key);
        self
    }

    /// Whether it is sent once more after this outcome: always when the server cannot have begun it, and when its
    /// outcome is open only if that is harmless.
    fn is_sent_again(&self, outcome: &Result<Answer, ClientError>) -> bool {
        let harmless = self.again == Again::Harmless;
        match outcome {
            Ok(answer) => matches!(answer.status, 429 | 503) && (harmless || answer.is_not_taken()),
            Err(ClientError::Connect(_)) => true,
            Err(ClientError::Lost(_) | ClientError::Timeout) => harmless,
            Err(_) => false,
        }
    }
}

struct Token {
    text: String,
    ends: Instant,
}

/// What is to come of asking the person.
pub type SteppingUp<'a> = Pin<Box<dyn Future<Output = Result<bool, Failure>> + Send + 'a>>;

/// What a client does when a request wants the person recognised better, or again (RFC 9470).
pub trait StepUp: Send + Sync {
    /// Has the person prove who they are; says whether they did.
    fn prove<'a>(&'a self, client: &'a Client, keys: &'a Keys) -> SteppingUp<'a>;
}

/// A client of one server, for one device.
pub struct Client {
    pool: Pool<Connector, Full<Bytes>>,
    base: HttpUrl,
    language: &'static str,
    clock: Arc<dyn Clock>,
    token: Mutex<Option<Token>>,
    step_up: Option<Arc<dyn StepUp>>,
    /// Whether the person is being asked: the requests of that ask nobody.
    stepping_up: AtomicBool,
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
        let connector = Connector::new(tls_config(ca_pem)?);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        let (token, stepping_up) = (Mutex::new(None), AtomicBool::new(false));
        Ok(Self { pool, base, language, clock, token, step_up: None, stepping_up })
    }

    /// The same, which has the person prove who they are where a request wants it, and sends the request once more.
    #[must_use]
    pub fn asking(self, step_up: Arc<dyn StepUp>) -> Self {
        Self { step_up: Some(step_up), ..self }
    }

    /// Forgets the token: the next one says what the session is worth by then.
    pub fn forget_token(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
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
        self.send(&Call::new(Method::GET, path, Proof::None, Again::Harmless)).await?.checked()
    }

    /// Asks once, and takes any answer: for what is asked to learn how the server is.
    ///
    /// # Errors
    /// [`ClientError`] when there is no answer.
    pub async fn probe(&self, path: &str) -> Result<Answer, ClientError> {
        self.once(&Call::new(Method::GET, path, Proof::None, Again::Harmless), None).await
    }

    /// Reads as the owner of `keys`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get(&self, keys: &Keys, path: &str) -> Result<Answer, ClientError> {
        let call = Call::new(Method::GET, path, Proof::Token(keys), Again::Harmless);
        self.send(&call).await?.checked()
    }

    /// Changes something as the owner of `keys`. It is not sent again once the server may have begun it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post(&self, keys: &Keys, path: &str, body: &Value) -> Result<Answer, ClientError> {
        let call = Call::new(Method::POST, path, Proof::Token(keys), Again::Never);
        self.send(&call.with(Payload::json(body))).await?.checked()
    }

    /// Sets something as the owner of `keys`. Setting it again changes nothing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put(&self, keys: &Keys, path: &str, body: &Value) -> Result<Answer, ClientError> {
        let call = Call::new(Method::PUT, path, Proof::Token(keys), Again::Harmless);
        self.send(&call.with(Payload::json(body))).await?.checked()
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
        let call = Call::new(Method::POST, path, Proof::Token(keys), Again::Never);
        let body = Payload { media_type, bytes: Bytes::from(bytes) };
        self.send(&call.with(body)).await?.checked()
    }

    /// Changes something as the owner of `keys`, once however often it is sent: it is done under the id `key`, or the body
    /// has the ids of all that it makes.
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
        let call = Call::new(Method::POST, path, Proof::Token(keys), Again::Harmless);
        self.send(&call.with(Payload::json(body)).under(key)).await?.checked()
    }

    /// Removes something as the owner of `keys`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete(&self, keys: &Keys, path: &str) -> Result<Answer, ClientError> {
        let call = Call::new(Method::DELETE, path, Proof::Token(keys), Again::Never);
        self.send(&call).await?.checked()
    }

    /// Enrols the key of `keys` with a one-time code.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn enrol(&self, keys: &Keys, code: &EnrolmentCode) -> Result<Enrolled, ClientError> {
        let text = code.reveal();
        let body = match keys.post_quantum_key().map_err(ClientError::Prove)? {
            Some(second) => json!({ "code": text.as_str(), "post_quantum": second }),
            None => json!({ "code": text.as_str() }),
        };
        let body = Payload::json(&body);
        let digits = Zeroizing::new(text.replace('-', ""));
        let proof = Proof::Code(keys, &digits);
        let call = Call::new(Method::POST, "/v1/devices", proof, Again::Never);
        self.send(&call.with(body)).await?.checked()?.json()
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
        let call = Call::new(Method::POST, "/v1/payments", Proof::None, Again::Harmless);
        self.send(&call.with(body).under(&key)).await
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
        let call = Call::new(Method::POST, &path, Proof::None, Again::Harmless);
        self.send(&call.with(body).under(&key)).await
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
        // A second token changes nothing.
        let call = Call::new(Method::POST, "/v1/tokens", Proof::Key(keys), Again::Harmless);
        let view: Issued = self.send(&call).await?.checked()?.json()?;
        // A little early, so that it does not end under way.
        let ends = now.plus(Span::from_secs(view.expires_in.saturating_sub(20)));
        let mut kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(Token { text: view.access_token.clone(), ends });
        Ok(view.access_token)
    }

    /// Sends, and once more after the person has proved who they are, if that is what was wanting.
    async fn send(&self, call: &Call<'_>) -> Result<Answer, ClientError> {
        let answer = self.send_as_it_is(call).await?;
        let (Proof::Token(keys), Some(step_up)) = (call.proof, &self.step_up) else {
            return Ok(answer);
        };
        if !answer.wants_better_proof() || self.stepping_up.swap(true, Ordering::AcqRel) {
            return Ok(answer);
        }
        let proved = step_up.prove(self, keys).await;
        self.stepping_up.store(false, Ordering::Release);
        if !proved.map_err(ClientError::Prove)? {
            return Ok(answer);
        }
        self.forget_token();
        // Refused with 401, it was not begun.
        self.send_as_it_is(call).await
    }

    /// Sends until there is an answer that is worth having, or sending once more could do harm.
    async fn send_as_it_is(&self, call: &Call<'_>) -> Result<Answer, ClientError> {
        let mut pause = PAUSE_FIRST;
        for attempt in 1..=ATTEMPTS {
            let token = self.token_for(call).await?;
            let outcome = self.once(call, token.as_deref()).await;
            if attempt == ATTEMPTS || !call.is_sent_again(&outcome) {
                return outcome;
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(PAUSE_MAX);
        }
        Err(ClientError::Timeout)
    }

    async fn token_for(&self, call: &Call<'_>) -> Result<Option<String>, ClientError> {
        match call.proof {
            // A token is asked for with a call of its own, which needs none.
            Proof::Token(keys) => Ok(Some(Box::pin(self.token(keys)).await?)),
            Proof::None | Proof::Key(_) | Proof::Code(..) => Ok(None),
        }
    }

    async fn once(&self, call: &Call<'_>, token: Option<&str>) -> Result<Answer, ClientError> {
        let request = self.request(call, token)?;
        tokio::time::timeout(REQUEST_TIME_MAX, self.exchange(request))
            .await
            .map_err(|_elapsed| ClientError::Timeout)?
    }

    fn request(
        &self,
        call: &Call<'_>,
        token: Option<&str>,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let address = format!("{}{}", self.base.origin(), call.path);
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(&address)
            .header(header::ACCEPT, "application/json, application/problem+json, */*;q=0.1")
            .header(header::ACCEPT_LANGUAGE, self.language);
        if let Some(key) = call.key {
            request = request.header("Idempotency-Key", key);
        }
        if let Proof::Token(keys) | Proof::Key(keys) | Proof::Code(keys, _) = call.proof {
            let url =
                HttpUrl::parse(&address).map_err(|_odd| ClientError::Address(address.clone()))?;
            let code = if let Proof::Code(_, digits) = call.proof { Some(digits) } else { None };
            let (access_token, now) = (token.or(code), self.clock.now());
            let wanted = DpopRequest { method: call.method.as_str(), url: &url, access_token, now };
            request = request.header("DPoP", keys.prove(&wanted).map_err(ClientError::Prove)?);
        }
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("DPoP {token}"));
        }
        let mut bytes = Bytes::new();
        if let Some(body) = &call.body {
            request = request.header(header::CONTENT_TYPE, body.media_type);
            bytes = body.bytes.clone();
        }
        request.body(Full::new(bytes)).map_err(|_odd| ClientError::Address(address))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let response =
            self.pool.request(request).await.map_err(|error| OutboundError::of(&error))?;
        let (parts, body) = response.into_parts();
        let timing = parts.headers.get("server-timing").and_then(|value| value.to_str().ok());
        let body = Limited::new(body, ANSWER_LEN_MAX).collect().await.map_err(|error| {
            match error.is::<LengthLimitError>() {
                true => ClientError::AnswerTooLong,
                false => ClientError::Lost(error.to_string()),
            }
        })?;
        Ok(Answer {
            status: parts.status.as_u16(),
            timing: timing.map(str::to_owned),
            body: body.to_bytes(),
        })
    }
}
