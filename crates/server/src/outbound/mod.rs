//! Asking other servers over HTTP: logs, witnesses, calendars. One request, one bounded answer, no retries.

mod connect;

use core::time::Duration;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, header};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};

pub use connect::{Connector, Stream, tls_config};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The address cannot be used.
    #[error("`{0}` is no address that can be asked")]
    Address(String),
    /// The certificates to trust cannot be read.
    #[error("the certificates to trust cannot be used: {0}")]
    Authority(String),
    /// A connection that is not to be trusted.
    #[error("the server's certificate is not accepted: {0}")]
    Tls(String),
    /// No connection: nothing was sent.
    #[error("no connection to the server: {0}")]
    Connect(String),
    /// The connection ended after something was sent.
    #[error("the connection to the server was lost before its answer came: {0}")]
    Lost(String),
    /// No answer in time.
    #[error("the server did not answer in time")]
    Timeout,
    /// An answer that is not read to its end.
    #[error("the server's answer is longer than it can be")]
    AnswerTooLong,
}

impl OutboundError {
    /// The innermost cause is what tells a person something; a refused certificate is no matter of trying again.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let mut cause: &dyn core::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let text = cause.to_string();
        match cause.downcast_ref::<rustls::Error>() {
            Some(_) => Self::Tls(text),
            None if text.contains("certificate") => Self::Tls(text),
            None if error.is_connect() => Self::Connect(text),
            None => Self::Lost(text),
        }
    }
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct OutboundAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The media type, without parameters, in small letters.
    pub media_type: String,
    /// The body.
    pub body: Bytes,
}

/// Whether `url` is an address that a client could ask: of HTTP, with a host, and nobody's name, which would not be sent.
#[must_use]
pub fn is_address(url: &str) -> bool {
    let Ok(url) = url.parse::<hyper::Uri>() else { return false };
    let Some(authority) = url.authority() else { return false };
    // What stands behind a colon and is no port is taken for none.
    let port = authority.as_str().strip_prefix(authority.host());
    let is_port = |port: &str| port.is_empty() || authority.port_u16().is_some();
    matches!(url.scheme_str(), Some("http" | "https"))
        && !authority.as_str().contains('@')
        && !authority.host().is_empty()
        && port.is_some_and(is_port)
}

/// A client of any server.
#[derive(Clone)]
pub struct Outbound {
    pool: Client<Connector, Full<Bytes>>,
    time_max: Duration,
}

impl core::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Outbound").field("time_max", &self.time_max).finish_non_exhaustive()
    }
}

impl Outbound {
    /// Trusts the certificates in `ca_pem`, or those of the system; no request lasts longer than `time_max`.
    ///
    /// # Errors
    /// As [`tls_config`].
    pub fn new(ca_pem: Option<&[u8]>, time_max: Duration) -> Result<Self, OutboundError> {
        let pool = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(2)
            .build(Connector::new(tls_config(ca_pem)?));
        Ok(Self { pool, time_max })
    }

    /// Reads what is at `url`, at most `most` bytes of it.
    ///
    /// # Errors
    /// [`OutboundError`] when there is no answer; every status is one.
    pub async fn get(&self, url: &str, most: usize) -> Result<OutboundAnswer, OutboundError> {
        self.ask(None, url, Bytes::new(), most).await
    }

    /// Posts a text.
    ///
    /// # Errors
    /// As [`Outbound::get`].
    pub async fn post(
        &self,
        url: &str,
        text: String,
        most: usize,
    ) -> Result<OutboundAnswer, OutboundError> {
        self.ask(Some("text/plain; charset=utf-8"), url, Bytes::from(text), most).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// As [`Outbound::get`].
    pub async fn post_json(
        &self,
        url: &str,
        json: String,
        most: usize,
    ) -> Result<OutboundAnswer, OutboundError> {
        self.ask(Some("application/json"), url, Bytes::from(json), most).await
    }

    /// Posts bytes of a media type.
    ///
    /// # Errors
    /// As [`Outbound::get`].
    pub async fn post_as(
        &self,
        url: &str,
        media_type: &'static str,
        body: Vec<u8>,
        most: usize,
    ) -> Result<OutboundAnswer, OutboundError> {
        self.ask(Some(media_type), url, Bytes::from(body), most).await
    }

    /// Posts JSON with fields that sign it.
    ///
    /// # Errors
    /// As [`Outbound::get`].
    pub async fn post_signed(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        json: &str,
        most: usize,
    ) -> Result<OutboundAnswer, OutboundError> {
        let odd = || OutboundError::Address(url.chars().take(200).collect());
        let mut request = Request::post(url).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(json.as_bytes()));
        let request = request.body(body).map_err(|_odd| odd())?;
        self.in_time(request, most).await
    }

    /// Posts what has a media type, and gets what has none.
    async fn ask(
        &self,
        media_type: Option<&'static str>,
        url: &str,
        body: Bytes,
        most: usize,
    ) -> Result<OutboundAnswer, OutboundError> {
        let odd = || OutboundError::Address(url.chars().take(200).collect());
        if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(odd());
        }
        let method = if media_type.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder().method(method).uri(url);
        if let Some(media_type) = media_type {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        let request = request.body(Full::new(body)).map_err(|_odd| odd())?;
        self.in_time(request, most).await
    }

    async fn in_time(
        &self,
        request: Request<Full<Bytes>>,
        most: usize,
    ) -> Result<OutboundAnswer, OutboundError> {
        tokio::time::timeout(self.time_max, self.exchange(request, most))
            .await
            .map_err(|_elapsed| OutboundError::Timeout)?
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        most: usize,
    ) -> Result<OutboundAnswer, OutboundError> {
        let response =
            self.pool.request(request).await.map_err(|error| OutboundError::of(&error))?;
        let (parts, body) = response.into_parts();
        let media_type = parts.headers.get(header::CONTENT_TYPE);
        let media_type = media_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        let media_type = media_type.to_ascii_lowercase();
        let body = Limited::new(body, most).collect().await.map_err(|error| match error
            .is::<LengthLimitError>(
        ) {
            true => OutboundError::AnswerTooLong,
            false => OutboundError::Lost(error.to_string()),
        })?;
        Ok(OutboundAnswer { status: parts.status.as_u16(), media_type, body: body.to_bytes() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_nobodys_name() {
        for good in ["http://node:8545", "https://node.example/v2/key", "http://[::1]:8545/"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "node:8545",
            "ftp://node/",
            "http://",
            "http://node:port/",
            "http://user@node/",
            "http://user:secret@node:8545/",
            "http://node:secret@node:8545/",
            "http://node:8545@node:8545/",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
