//! Mail through a server of the operator's choice (RFC 5321), always under TLS.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use tokio::sync::Semaphore;
use tpw_access::factor::code::Channel;
use tpw_core::Instant;
use tpw_crypto::{Zeroizing, sha256_parts};

use super::{Message, Outbox, OutboxError, Sending};

/// The most messages on their way at once.
const AT_ONCE: usize = 8;

/// How long one message may take, from connecting to the server's word that it has it.
const TIME_MAX: Duration = Duration::from_secs(20);

/// The longest text of an address, in bytes.
const ADDRESS_LEN_MAX: usize = 512;

/// Where mail is handed in: `smtps://[user@]host[:port]` for TLS from the first byte (RFC 8314 §3, port 465), `smtp://…` for STARTTLS,
/// without which nothing is sent (RFC 3207, port 587). The user's name ends at the last `@`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpAddress {
    security: Security,
    user: Option<String>,
    host: String,
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    FromTheStart,
    StartTls,
}

impl SmtpAddress {
    /// Whether it names a user, whose password is then needed.
    #[must_use]
    pub const fn has_user(&self) -> bool {
        self.user.is_some()
    }
}

impl FromStr for SmtpAddress {
    type Err = OutboxError;

    fn from_str(text: &str) -> Result<Self, OutboxError> {
        let wrong = || {
            let text = "expected `smtps://[user@]host[:port]` or `smtp://[user@]host[:port]`, without a password";
            OutboxError::Setup(text.to_owned())
        };
        if text.len() > ADDRESS_LEN_MAX {
            return Err(wrong());
        }
        let (security, rest, usual) = match text.split_once("://") {
            Some(("smtps", rest)) => (Security::FromTheStart, rest, 465),
            Some(("smtp", rest)) => (Security::StartTls, rest, 587),
            _ => return Err(wrong()),
        };
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_odd| wrong())?),
            None => (place, usual),
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let user_fits = user.is_none_or(|user| !user.is_empty() && !user.contains([':', '/', ' ']));
        if host.is_empty() || !host.chars().all(is_host) || port == 0 || !user_fits {
            return Err(wrong());
        }
        Ok(Self { security, user: user.map(str::to_owned), host: host.to_owned(), port })
    }
}

/// What a sender of mail needs.
pub struct SmtpSettings {
    /// Where mail is handed in.
    pub address: SmtpAddress,
    /// The password of the address' user, from a file.
    pub password: Option<Zeroizing<String>>,
    /// Who the mail is from: `Wallet <no-reply@wallet.example>`.
    pub from: String,
    /// Certificates to trust in PEM, in place of the system's.
    pub roots: Option<Vec<u8>>,
}

impl fmt::Debug for SmtpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpSettings")
            .field("address", &self.address)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

/// Sends mail.
pub struct SmtpOutbox {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    places: Semaphore,
    time_max: Duration,
}

impl SmtpOutbox {
    /// Prepares to send; the server is asked with the first message.
    ///
    /// # Errors
    /// [`OutboxError::Setup`] for settings that cannot work.
    pub fn new(settings: SmtpSettings) -> Result<Self, OutboxError> {
        Self::with_time(settings, TIME_MAX)
    }

    /// The same with another bound on the time of a message.
    ///
    /// # Errors
    /// [`OutboxError::Setup`] for settings that cannot work.
    pub fn with_time(settings: SmtpSettings, time_max: Duration) -> Result<Self, OutboxError> {
        let setup = |what: &str| OutboxError::Setup(what.to_owned());
        let SmtpSettings { address, password, from, roots } = settings;
        let from: Mailbox = from.parse().map_err(|_odd| setup("the sender is no mail address"))?;
        let mut tls = TlsParameters::builder(address.host.clone());
        if let Some(pem) = roots {
            let certificate = Certificate::from_pem(&pem)
                .map_err(|_odd| setup("the certificates to trust are no PEM"))?;
            tls = tls.certificate_store(CertificateStore::None).add_root_certificate(certificate);
        }
        let tls = tls.build().map_err(|_odd| setup("no TLS with these certificates"))?;
        let tls = match address.security {
            Security::FromTheStart => Tls::Wrapper(tls),
            Security::StartTls => Tls::Required(tls),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&address.host)
            .port(address.port)
            .tls(tls)
            .timeout(Some(time_max));
        transport = match (address.user, password) {
            (Some(user), Some(password)) => {
                transport.credentials(Credentials::new(user, password.to_string()))
            }
            (None, None) => transport,
            (Some(_), None) => return Err(setup("the user of the mail server has no password")),
            (None, Some(_)) => return Err(setup("the password of the mail server has no user")),
        };
        let places = Semaphore::new(AT_ONCE);
        Ok(Self { transport: transport.build(), from, places, time_max })
    }

    async fn hand_in(&self, message: &Message) -> Result<(), OutboxError> {
        if message.to.channel() != Channel::Mail {
            return Err(OutboxError::Channel(message.to.channel()));
        }
        let mail = self.mail(message)?;
        let busy = || OutboxError::Later("too many messages are on their way".to_owned());
        let _place = self.places.try_acquire().map_err(|_full| busy())?;
        let sent = tokio::time::timeout(self.time_max, self.transport.send(mail)).await;
        match sent {
            Ok(Ok(_taken)) => Ok(()),
            Ok(Err(error)) => Err(meaning(&error)),
            Err(_late) => Err(OutboxError::Later("the mail server is too slow".to_owned())),
        }
    }

    fn mail(&self, message: &Message) -> Result<lettre::Message, OutboxError> {
        let refused = || OutboxError::Refused("it fits into no mail".to_owned());
        let to: Mailbox = message.to.as_str().parse().map_err(|_odd| refused())?;
        let at = UNIX_EPOCH.checked_add(Duration::from_millis(message.at.unix_ms()));
        MessageBuilder::new()
            .from(self.from.clone())
            .to(to)
            .date(at.ok_or_else(refused)?)
            .message_id(Some(self.message_id(message)))
            .subject(message.subject.clone())
            .header(ContentType::TEXT_PLAIN)
            .body(message.text.to_string())
            .map_err(|_odd| refused())
    }

    /// The same message has the same id: a mailbox that gets it twice shows it once.
    fn message_id(&self, message: &Message) -> String {
        let at: Instant = message.at;
        let to = message.to.as_str().as_bytes();
        let hash = sha256_parts(&[
            b"tpw/message-id/v1\0",
            &at.unix_ms().to_be_bytes(),
            to,
            message.text.as_bytes(),
        ]);
        format!("<{}@{}>", hex::encode(hash), self.from.email.domain())
    }
}

impl fmt::Debug for SmtpOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpOutbox").field("from", &self.from).finish_non_exhaustive()
    }
}

impl Outbox for SmtpOutbox {
    fn takes(&self, channel: Channel) -> bool {
        channel == Channel::Mail
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(self.hand_in(message))
    }
}

/// What the server said, as far as it names nobody: its own words may repeat the address.
fn meaning(error: &SmtpError) -> OutboxError {
    let code = error.status().map(|code| code.to_string()).unwrap_or_default();
    if error.is_permanent() {
        // 530, 534, 535 and 538 speak of us, not of the address (RFC 4954 §6).
        return if matches!(code.as_str(), "530" | "534" | "535" | "538") {
            OutboxError::Setup(format!("the mail server does not let us in ({code})"))
        } else {
            OutboxError::Refused(format!("the mail server said {code}"))
        };
    }
    if error.is_transient() {
        return OutboxError::Later(format!("the mail server said {code}"));
    }
    if error.is_tls() {
        return OutboxError::Later("the mail server's certificate is not to be trusted".to_owned());
    }
    OutboxError::Later(format!("the mail server cannot be reached ({error})"))
}
