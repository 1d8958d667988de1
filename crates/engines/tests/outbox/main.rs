//! Goal: a mail comes to its reader whole, only under TLS, only through the server that was meant; what goes wrong is told apart, in
//! bounded time, and without naming the reader.
//! Method: a mail server in Python (aiosmtpd) with certificates of an authority made here, which says what it got; then every other
//! outcome by that server's own answers. The folder is read back.
#![cfg(test)]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant as Watch};
use tpw_core::Instant;
use tpw_crypto::Zeroizing;
use tpw_engines::outbox::{
    FolderOutbox, Message, Outbox, OutboxError, SmtpAddress, SmtpOutbox, SmtpSettings,
};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

struct Server {
    child: Child,
    _stdin: ChildStdin,
    lines: Receiver<Value>,
    ports: Value,
    authority: Authority,
    _folder: tempfile::TempDir,
}

impl Server {
    /// A server whose certificate names `name`.
    fn start(name: &str) -> Self {
        let (authority, folder) = (authority(), tempfile::tempdir().unwrap());
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let (crt, pem) = (folder.path().join("crt.pem"), folder.path().join("key.pem"));
        std::fs::write(&crt, certificate.pem()).unwrap();
        std::fs::write(&pem, key.serialize_pem()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outbox/smtp_server.py");
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
                if tell.send(serde_json::from_str(&line).unwrap()).is_err() {
                    break;
                }
            }
        });
        let ports = lines.recv_timeout(Duration::from_secs(20)).expect(
            "the mail server did not start: these tests need a python3 with aiosmtpd first in the path, \
             as `cargo xtask test` puts it there (target/venv/bin)",
        );
        let stdin = child.stdin.take().unwrap();
        Self { child, _stdin: stdin, lines, ports, authority, _folder: folder }
    }

    fn settings(&self, scheme: &str, port: &str) -> SmtpSettings {
        let port = &self.ports[port];
        let text = format!("{scheme}://robot@wallet.example@localhost:{port}");
        SmtpSettings {
            address: text.parse().unwrap(),
            password: Some(Zeroizing::new("let me in".to_owned())),
            from: "Wallet 钱包 <no-reply@wallet.example>".to_owned(),
            roots: Some(self.authority.pem().into_bytes()),
        }
    }

    fn got(&self) -> Value {
        self.lines.recv_timeout(Duration::from_secs(10)).expect("no mail came")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn message(to: &str) -> Message {
    Message {
        to: to.parse().unwrap(),
        subject: "付款验证码 and words".to_owned(),
        text: Zeroizing::new(
            "1234 5678 lets this go on.\n\n收款方：李雷\n.\nAfter a lone dot.".to_owned(),
        ),
        at: Instant::from_unix_ms(1_800_000_000_000).unwrap(),
    }
}

async fn send(settings: SmtpSettings, to: &str) -> Result<(), OutboxError> {
    SmtpOutbox::new(settings).unwrap().send(&message(to)).await
}

#[tokio::test]
async fn a_mail_comes_whole_and_under_tls() {
    let server = Server::start("localhost");
    for (scheme, port) in [("smtps", "tls"), ("smtp", "starttls")] {
        send(server.settings(scheme, port), "alice@mail.example").await.unwrap();
        let mail = server.got();
        assert_eq!((&mail["tls"], &mail["user"]), (&true.into(), &"robot@wallet.example".into()));
        assert_eq!(mail["from"], "no-reply@wallet.example");
        assert_eq!(mail["to"], serde_json::json!(["alice@mail.example"]));
        let headers = &mail["headers"];
        assert_eq!(headers["subject"], "付款验证码 and words");
        assert_eq!(headers["from"], "Wallet 钱包 <no-reply@wallet.example>");
        assert_eq!(headers["to"], "alice@mail.example");
        assert_eq!(headers["date"], "Fri, 15 Jan 2027 08:00:00 +0000");
        assert!(headers["message-id"].as_str().unwrap().ends_with("@wallet.example>"));
        let text = mail["text"].as_str().unwrap().replace("\r\n", "\n");
        assert_eq!(text.trim_end(), message("a@b.c").text.as_str());
    }
}

#[tokio::test]
async fn a_server_that_cannot_prove_itself_gets_nothing() {
    let server = Server::start("localhost");
    let later = |sent| matches!(sent, Err(OutboxError::Later(_)));
    for (scheme, port) in [("smtps", "tls"), ("smtp", "starttls")] {
        let mut settings = server.settings(scheme, port);
        settings.roots = Some(authority().pem().into_bytes());
        assert!(later(send(settings, "alice@mail.example").await), "{scheme}: another authority");
        let mut settings = server.settings(scheme, port);
        settings.roots = None;
        assert!(later(send(settings, "alice@mail.example").await), "{scheme}: the system's");
    }
    // Without TLS nothing is said, not even the password.
    assert!(send(server.settings("smtp", "bare"), "alice@mail.example").await.is_err());
    assert!(later(send(server.settings("smtps", "bare"), "alice@mail.example").await));
    let other = Server::start("mail.example");
    for (scheme, port) in [("smtps", "tls"), ("smtp", "starttls")] {
        assert!(
            later(send(other.settings(scheme, port), "alice@mail.example").await),
            "{scheme}: name"
        );
    }
    assert!(server.lines.try_recv().is_err() && other.lines.try_recv().is_err());
}

#[tokio::test]
async fn what_goes_wrong_is_told_apart_and_names_nobody() {
    let server = Server::start("localhost");
    let of = async |to| send(server.settings("smtps", "tls"), to).await.unwrap_err();
    let refused = of("refused@mail.example").await;
    assert_eq!(refused, OutboxError::Refused("the mail server said 550".to_owned()));
    let later = of("later@mail.example").await;
    assert_eq!(later, OutboxError::Later("the mail server said 451".to_owned()));
    assert_eq!(
        of("+8613800138000").await,
        OutboxError::Channel(tpw_access::factor::code::Channel::Sms)
    );

    let mut settings = server.settings("smtps", "tls");
    settings.password = Some(Zeroizing::new("wrong".to_owned()));
    let locked_out = send(settings, "alice@mail.example").await.unwrap_err();
    assert!(matches!(locked_out, OutboxError::Setup(_)), "{locked_out}");

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut settings = server.settings("smtps", "tls");
    settings.address = format!("smtps://robot@localhost:{nobody}").parse().unwrap();
    let away = send(settings, "alice@mail.example").await.unwrap_err();
    assert!(matches!(away, OutboxError::Later(_)), "{away}");
    for error in [refused, later, locked_out, away] {
        let text = error.to_string();
        assert!(!text.contains("mail.example") && !text.contains("let me in"), "{text}");
    }
}

#[tokio::test]
async fn a_slow_server_ends_the_wait_and_few_wait_at_once() {
    let server = Server::start("localhost");
    let settings = server.settings("smtps", "tls");
    let outbox = SmtpOutbox::with_time(settings, Duration::from_secs(2)).unwrap();
    let began = Watch::now();
    let slow = message("slow@mail.example");
    let all = futures_util::future::join_all((0..12).map(|_one| outbox.send(&slow))).await;
    assert!(began.elapsed() < Duration::from_secs(8));
    let full = OutboxError::Later("too many messages are on their way".to_owned());
    assert_eq!(all.iter().filter(|sent| **sent == Err(full.clone())).count(), 4);
    assert!(all.iter().all(|sent| matches!(sent, Err(OutboxError::Later(_)))));
    // Their places are free again.
    outbox.send(&message("alice@mail.example")).await.unwrap();
}

#[test]
fn settings_that_cannot_work_are_refused_at_once() {
    for text in [
        "",
        "mail.example",
        "http://mail.example",
        "smtps://",
        "smtps://mail.example:0",
        "smtps://mail.example:70000",
        "smtps://user:secret@mail.example",
        "smtps://@mail.example",
        "smtps://mail example",
        "smtps://mail.example/path",
        &format!("smtps://{}", "a".repeat(512)),
    ] {
        let refused = text.parse::<SmtpAddress>().unwrap_err();
        assert!(matches!(&refused, OutboxError::Setup(_)), "{text}");
        assert!(!refused.to_string().contains("secret"), "{text}");
    }
    let settings = |address: &str, password: Option<&str>, from: &str, roots: Option<&[u8]>| {
        let password = password.map(|text| Zeroizing::new(text.to_owned()));
        let (from, roots) = (from.to_owned(), roots.map(<[u8]>::to_vec));
        SmtpOutbox::new(SmtpSettings { address: address.parse().unwrap(), password, from, roots })
    };
    let (plain, named, from) = ("smtp://mail.example", "smtp://a@mail.example", "w@wallet.example");
    assert!(settings(plain, None, from, None).is_ok());
    for (refused, what) in [
        (settings(plain, Some("secret"), from, None), "a password without a user"),
        (settings(named, None, from, None), "a user without a password"),
        (settings(plain, None, "nobody", None), "no sender"),
        (
            settings(
                plain,
                None,
                from,
                Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            ),
            "no certificate",
        ),
    ] {
        assert!(matches!(refused.err(), Some(OutboxError::Setup(_))), "{what}");
    }
}

#[tokio::test]
async fn the_folder_gets_a_private_file_for_each_message() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("mail");
    let outbox = FolderOutbox::new(&folder).unwrap();
    for to in ["alice@mail.example", "+8613800138000"] {
        outbox.send(&message(to)).await.unwrap();
    }
    let mut texts = Vec::new();
    for file in std::fs::read_dir(&folder).unwrap() {
        let file = file.unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        texts.push(std::fs::read_to_string(file.path()).unwrap());
    }
    assert_eq!(texts.len(), 2);
    assert!(texts.iter().all(|text| text.contains("1234 5678") && text.contains("Subject: 付款")));
    assert!(texts.iter().any(|text| text.starts_with("To: +8613800138000\n")));

    for number in 2..1000 {
        std::fs::write(folder.join(number.to_string()), "").unwrap();
    }
    let full = outbox.send(&message("alice@mail.example")).await;
    assert!(matches!(full, Err(OutboxError::Later(_))));
    std::fs::write(place.path().join("file"), "").unwrap();
    assert!(FolderOutbox::new(&place.path().join("file/mail")).is_err());
}
