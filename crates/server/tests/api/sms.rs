//! Goal: an SMS is handed to its gateway whole, signed, over TLS that is to be trusted, and again only where that may help; what goes wrong
//! is told apart, in bounded time, and without number or code.
//! Method: a gateway in Python with a certificate made here, which says what it got and answers by the path; OpenSSL judges the signature.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tpw_core::Instant;
use tpw_crypto::Zeroizing;
use tpw_engines::entropy::OsEntropy;
use tpw_engines::outbox::{Message, Outbox, OutboxError};
use tpw_server::{GatewayKey, SmsGateway};

struct Gateway {
    child: Child,
    lines: Receiver<Value>,
    port: u64,
    roots: String,
    folder: tempfile::TempDir,
}

impl Gateway {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let (crt, pem) = (folder.path().join("crt.pem"), folder.path().join("key.pem"));
        std::fs::write(&crt, certificate.pem()).unwrap();
        std::fs::write(&pem, key.serialize_pem()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/sms_gateway.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args([&crt, &pem])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("these tests need python3");
        let (tell, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if tell.send(serde_json::from_str::<Value>(&line).unwrap()).is_err() {
                    break;
                }
            }
        });
        let first: Value = lines.recv_timeout(Duration::from_secs(20)).expect("no gateway");
        let port = first["port"].as_u64().unwrap();
        Self { child, lines, port, roots: authority.pem(), folder }
    }

    fn outbox(&self, path: &str) -> SmsGateway {
        let url = format!("https://localhost:{}{path}", self.port);
        let key = GatewayKey::new(&mut OsEntropy).unwrap();
        SmsGateway::new(&url, key, Some(self.roots.as_bytes())).unwrap()
    }

    /// What it got, all of it.
    fn got(&self) -> Vec<Value> {
        std::iter::from_fn(|| self.lines.recv_timeout(Duration::from_millis(300)).ok()).collect()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn message(to: &str) -> Message {
    Message {
        to: to.parse().unwrap(),
        subject: String::new(),
        text: Zeroizing::new("验证码 1234 5678，向 acc_1 付款 \"15.00\" USD".to_owned()),
        at: Instant::from_unix_ms(1_800_000_000_123).unwrap(),
    }
}

/// Whether OpenSSL accepts the signature of Standard Webhooks over a request.
fn holds(folder: &Path, public: &str, request: &Value, body: &str) -> bool {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let header = |name: &str| request["headers"][name].as_str().unwrap();
    let key = STANDARD.decode(public.strip_prefix("whpk_").unwrap()).unwrap();
    // RFC 8410 §4: the key's bytes behind their algorithm.
    let der = [&b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"[..], &key].concat();
    let signature = header("webhook-signature").strip_prefix("v1a,").unwrap();
    let signed = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.join(name), bytes).unwrap();
        folder.join(name)
    };
    let (key, signed) = (file("key.der", &der), file("signed", signed.as_bytes()));
    let signature = file("signature", &STANDARD.decode(signature).unwrap());
    let ran = Command::new("openssl")
        .args(["pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-rawin", "-inkey"])
        .arg(key)
        .arg("-in")
        .arg(signed)
        .arg("-sigfile")
        .arg(signature)
        .output()
        .expect("these tests need openssl");
    ran.status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sms_is_handed_over_whole_and_signed() {
    let gateway = Gateway::start();
    let key = GatewayKey::new(&mut OsEntropy).unwrap();
    let stored = GatewayKey::from_secret_bytes(&key.to_secret_bytes()).unwrap();
    let public = key.public_text().unwrap();
    let url = format!("https://localhost:{}/send", gateway.port);
    let outbox = SmsGateway::new(&url, stored, Some(gateway.roots.as_bytes())).unwrap();
    outbox.send(&message("+8613800138000")).await.unwrap();
    let got = gateway.got();
    assert_eq!(got.len(), 1);
    let body = got[0]["body"].as_str().unwrap();
    let sent: Value = serde_json::from_str(body).unwrap();
    assert_eq!(sent["data"]["to"], "+8613800138000");
    assert_eq!(sent["data"]["text"], message("+8613800138000").text.as_str());
    assert_eq!(
        (&sent["type"], &sent["timestamp"]),
        (&"sms.send".into(), &"2027-01-15T08:00:00.123Z".into())
    );
    assert_eq!(got[0]["headers"]["content-type"], "application/json");
    assert_eq!(got[0]["headers"]["webhook-timestamp"], "1800000000");
    assert!(holds(gateway.folder.path(), &public, &got[0], body));
    let altered = body.replace("15.00", "16.00");
    assert!(!holds(gateway.folder.path(), &public, &got[0], &altered));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_work_later_is_tried_again_under_one_id_and_nothing_else_is() {
    let gateway = Gateway::start();
    let sms = message("+8613800138000");
    gateway.outbox("/later").send(&sms).await.unwrap();
    let got = gateway.got();
    let ids: std::collections::BTreeSet<_> =
        got.iter().map(|it| it["headers"]["webhook-id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((got.len(), ids.len()), (3, 1));
    for (path, requests) in [("/broken", 3), ("/refused", 1), ("/closed", 1), ("/moved", 1)] {
        let failed = gateway.outbox(path).send(&sms).await.unwrap_err();
        let fits = match path {
            "/broken" => matches!(failed, OutboxError::Later(_)),
            "/refused" => matches!(failed, OutboxError::Refused(_)),
            _ => matches!(failed, OutboxError::Setup(_)),
        };
        let text = failed.to_string();
        assert!(fits && !text.contains("138001") && !text.contains("1234"), "{path}: {text}");
        let got = gateway.got();
        assert_eq!(got.len(), requests, "{path}");
        assert!(got.iter().all(|it| it["path"] == path), "a redirect was followed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_gateway_that_is_to_be_trusted_gets_anything() {
    let gateway = Gateway::start();
    let key = || GatewayKey::new(&mut OsEntropy).unwrap();
    let sms = message("+8613800138000");
    for url in [
        "http://localhost/send",
        "https://user:word@localhost/send",
        "https://",
        "localhost:1/send",
        "file:///etc/passwd",
    ] {
        let refused = SmsGateway::new(url, key(), Some(gateway.roots.as_bytes())).unwrap_err();
        assert!(matches!(refused, OutboxError::Setup(_)), "{url}");
        assert!(!refused.to_string().contains("word"), "{refused}");
    }
    // Another authority's.
    let stranger = Gateway::start();
    let url = format!("https://localhost:{}/send", gateway.port);
    let outbox = SmsGateway::new(&url, key(), Some(stranger.roots.as_bytes())).unwrap();
    assert!(matches!(outbox.send(&sms).await, Err(OutboxError::Setup(_))));
    // A mail is none of its business.
    let mail = message("ann@mail.example");
    assert!(matches!(gateway.outbox("/send").send(&mail).await, Err(OutboxError::Channel(_))));
    assert_eq!(gateway.got(), Vec::<Value>::new());
}
