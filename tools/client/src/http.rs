//! Requests through `curl`, and with it through OpenSSL: another TLS than the server's.

use std::fmt;
use std::io::Write as _;
use std::process::{Command, Stdio};

use oauth2::http::{Method, Request, Response, StatusCode};
use oauth2::{HttpRequest, HttpResponse};

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct NoAnswer(String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoAnswer {}

impl<E: std::error::Error> From<(&str, E)> for NoAnswer {
    fn from((what, error): (&str, E)) -> Self {
        Self(format!("{what}: {error}"))
    }
}

/// A client of one certificate, or of none, that keeps cookies if it has a file for them.
#[derive(Clone, Default)]
pub(crate) struct Http {
    pub(crate) ca: String,
    pub(crate) identity: Option<(String, String)>,
    pub(crate) cookies: Option<String>,
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Http {
    /// Sends a request. Everything is told to `curl` on its standard input: tokens are on no command line.
    pub(crate) fn send(&self, request: HttpRequest) -> Result<HttpResponse, NoAnswer> {
        let (parts, body) = request.into_parts();
        let mut lines = vec![
            format!("url = {}", quoted(&parts.uri.to_string())),
            format!("request = {}", quoted(parts.method.as_str())),
            format!("cacert = {}", quoted(&self.ca)),
            "silent\nshow-error\ninclude\ntlsv1.3\nmax-time = 30\nnoproxy = \"*\"\nheader = \"Expect:\"".to_owned(),
        ];
        if let Some((certificate, key)) = &self.identity {
            lines.push(format!("cert = {}\nkey = {}", quoted(certificate), quoted(key)));
        }
        if let Some(cookies) = &self.cookies {
            lines.push(format!("cookie = {}\ncookie-jar = {}", quoted(cookies), quoted(cookies)));
        }
        for (name, value) in &parts.headers {
            let value = value.to_str().map_err(|error| NoAnswer::from(("a header", error)))?;
            lines.push(format!("header = {}", quoted(&format!("{name}: {value}"))));
        }
        if parts.method != Method::GET {
            lines.push(format!("data-raw = {}", quoted(&String::from_utf8_lossy(&body))));
        }
        let answered = curl(&lines.join("\n"))?;
        read(&answered)
    }

    pub(crate) fn get(&self, url: &str, token: Option<&str>) -> Result<HttpResponse, NoAnswer> {
        let mut request = Request::get(url);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Vec::new());
        self.send(request.map_err(|error| NoAnswer::from(("a request", error)))?)
    }

    pub(crate) fn post(&self, url: &str, form: String) -> Result<HttpResponse, NoAnswer> {
        let request =
            Request::post(url).header("content-type", "application/x-www-form-urlencoded");
        let request = request.body(form.into_bytes());
        self.send(request.map_err(|error| NoAnswer::from(("a request", error)))?)
    }
}

fn curl(config: &str) -> Result<Vec<u8>, NoAnswer> {
    let failed = |error: std::io::Error| NoAnswer::from(("curl", error));
    let mut child = Command::new("curl")
        .args(["--config", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(config.as_bytes()).map_err(failed)?;
    }
    let done = child.wait_with_output().map_err(failed)?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    Err(NoAnswer(String::from_utf8_lossy(&done.stderr).into_owned()))
}

/// Head and body, as `--include` writes them.
fn read(answered: &[u8]) -> Result<HttpResponse, NoAnswer> {
    let odd = || NoAnswer("curl wrote no answer in HTTP".to_owned());
    let end = answered.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(odd)?;
    let head = std::str::from_utf8(&answered[..end]).map_err(|_| odd())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or_else(odd)?;
    let status: StatusCode = status.parse().map_err(|_| odd())?;
    let mut response = Response::builder().status(status);
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(odd)?;
        response = response.header(name, value.trim());
    }
    response.body(answered[end + 4..].to_vec()).map_err(|error| NoAnswer::from(("answer", error)))
}
