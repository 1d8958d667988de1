//! Certificates (X.509, RFC 5280) that a TLS connection brought: what they say, and whether it holds now.
//!
//! Whoever hands one in has seen its key sign the handshake. No chain is followed here.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use const_oid::ObjectIdentifier;
use der::Decode;
use tpw_core::{Hash32, Instant, Span};
use tpw_crypto::sha256;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, SubjectAltName};
use x509_cert::name::Name as DistinguishedName;
use x509_cert::time::Time;
use x509_cert::{Certificate, TbsCertificate};

/// The longest certificate that is read, in bytes.
pub const LEN_MAX: usize = 8 * 1024;

/// RFC 5280 §4.2.1.12.
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

const NAME_LEN_MAX: usize = 253;
const URI_LEN_MAX: usize = 512;
const SUBJECT_LEN_MAX: usize = 512;
/// RFC 5321 §4.5.3.1.1.
const LOCAL_LEN_MAX: usize = 64;

/// Why a certificate proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Not a certificate of the accepted form.
    #[error("it is no X.509 certificate of at most {LEN_MAX} bytes")]
    Malformed,
    /// Its time has not begun.
    #[error("it is not valid yet")]
    NotYet,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// RFC 5280 §4.2.1.3, §4.2.1.12.
    #[error("its key usage does not let a TLS client sign with it")]
    Usage,
    /// Of nobody who is known.
    #[error("it is not registered for this client")]
    NotRegistered,
    /// The client was removed.
    #[error("the client was removed")]
    Removed,
}

/// The name that a certificate is for (RFC 8705 §2.1.2).
#[derive(Clone, PartialEq, Eq)]
pub enum CertificateName {
    /// A host, of `dNSName`.
    Dns(String),
    /// An address, of `uniformResourceIdentifier`.
    Uri(String),
    /// An address of a machine, of `iPAddress`.
    Ip(IpAddr),
    /// A mailbox, of `rfc822Name`.
    Mail(String),
    /// The whole subject (RFC 4514), in the form that [`CertificateName::subject`] gives it.
    Subject(String),
}

impl fmt::Debug for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Dns(text) | Self::Uri(text) | Self::Mail(text) | Self::Subject(text) => {
                f.write_str(text)
            }
        }
    }
}

impl CertificateName {
    /// A subject as it is written in RFC 4514, `CN=books,O=Example`, in the one form in which subjects are compared: attributes by their
    /// shortest names, in capitals. `None` for what is none.
    #[must_use]
    pub fn subject(text: &str) -> Option<Self> {
        let subject = canonical(text)?;
        // What does not come back as it is may have been read as something else.
        let stable = canonical(&subject)? == subject && subject.len() <= SUBJECT_LEN_MAX;
        stable.then_some(Self::Subject(subject))
    }

    /// Whether it can be registered: one host in lower case and without a pattern, one address, one mailbox, or one whole subject.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        match self {
            Self::Dns(name) => is_host(name),
            Self::Uri(uri) => {
                (1..=URI_LEN_MAX).contains(&uri.len())
                    && uri.contains(':')
                    && uri.bytes().all(|byte| byte.is_ascii_graphic())
            }
            Self::Ip(address) => !address.is_unspecified(),
            Self::Mail(mailbox) => mailbox.rsplit_once('@').is_some_and(|(local, host)| {
                let plain = local.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@');
                plain && (1..=LOCAL_LEN_MAX).contains(&local.len()) && is_host(host)
            }),
            Self::Subject(text) => Self::subject(text).is_some_and(|subject| subject == *self),
        }
    }

    fn is(&self, name: &GeneralName) -> bool {
        match (self, name) {
            // RFC 4343: case does not tell hosts apart. `*.example` is no host.
            (Self::Dns(host), GeneralName::DnsName(other)) => {
                host.eq_ignore_ascii_case(AsRef::<str>::as_ref(other))
            }
            (Self::Uri(uri), GeneralName::UniformResourceIdentifier(other)) => {
                uri == AsRef::<str>::as_ref(other)
            }
            (Self::Ip(address), GeneralName::IpAddress(octets)) => match address {
                IpAddr::V4(v4) => octets.as_bytes() == v4.octets(),
                IpAddr::V6(v6) => octets.as_bytes() == v6.octets(),
            },
            // RFC 5280 §7.5: case tells mailboxes of one host apart, and no hosts.
            (Self::Mail(mailbox), GeneralName::Rfc822Name(other)) => {
                let halves = |text: &str| {
                    let (local, host) = text.rsplit_once('@')?;
                    Some((local.to_owned(), host.to_ascii_lowercase()))
                };
                halves(mailbox).is_some() && halves(mailbox) == halves(AsRef::<str>::as_ref(other))
            }
            _ => false,
        }
    }
}

fn is_host(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=NAME_LEN_MAX).contains(&name.len())
        && name.bytes().all(|byte| plain(byte) || matches!(byte, b'-' | b'.'))
        && name.bytes().next().is_some_and(plain)
}

/// Each subject has one text: what could be read as a separator is escaped in it, and a value that is no text is its bytes.
fn canonical(text: &str) -> Option<String> {
    let subject = DistinguishedName::from_str(text).ok()?;
    let named = subject.iter_rdn().all(|part| !part.is_empty()) && !subject.is_empty();
    if named { written(&subject) } else { None }
}

fn written(subject: &DistinguishedName) -> Option<String> {
    use core::fmt::Write as _;
    let mut text = String::new();
    write!(text, "{subject}").ok()?;
    Some(text)
}

/// Whether a certificate can be for clients at all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Usage {
    Clients,
    Others,
}

/// A certificate whose key signed a handshake.
#[derive(Clone)]
pub struct ClientCertificate {
    thumbprint: Hash32,
    begins: Instant,
    ends: Instant,
    usage: Usage,
    names: Vec<GeneralName>,
    subject: String,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({})", self.thumbprint)
    }
}

impl ClientCertificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`] for anything else, also for extensions that cannot be read.
    pub fn read(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > LEN_MAX {
            return Err(CertificateError::Malformed);
        }
        let malformed = |_| CertificateError::Malformed;
        let certificate = Certificate::from_der(der).map_err(malformed)?;
        let tbs = certificate.tbs_certificate();
        let names = tbs.get_extension::<SubjectAltName>().map_err(malformed)?;
        let (begins, ends) = (tbs.validity().not_before, tbs.validity().not_after);
        Ok(Self {
            thumbprint: Hash32::new(sha256(der)),
            begins: instant(begins).ok_or(CertificateError::Malformed)?,
            // RFC 5280 §4.1.2.5: it is valid through that second.
            ends: instant(ends).ok_or(CertificateError::Malformed)?.plus(Span::from_secs(1)),
            usage: usage(tbs).map_err(malformed)?,
            names: names.map(|(_critical, names)| names.0).unwrap_or_default(),
            subject: written(tbs.subject()).ok_or(CertificateError::Malformed)?,
        })
    }

    /// SHA-256 of its DER (RFC 8705 §3.1).
    #[must_use]
    pub const fn thumbprint(&self) -> Hash32 {
        self.thumbprint
    }

    /// When it ends.
    #[must_use]
    pub const fn ends(&self) -> Instant {
        self.ends
    }

    /// Whether it is one of `name`.
    #[must_use]
    pub fn is_for(&self, name: &CertificateName) -> bool {
        match name {
            CertificateName::Subject(subject) => *subject == self.subject,
            _ => self.names.iter().any(|other| name.is(other)),
        }
    }

    /// Whether its time has begun and is not over.
    ///
    /// # Errors
    /// [`CertificateError`] says which.
    pub fn is_in_time(&self, now: Instant) -> Result<(), CertificateError> {
        match now {
            now if now < self.begins => Err(CertificateError::NotYet),
            now if now >= self.ends => Err(CertificateError::Expired),
            _ => Ok(()),
        }
    }

    /// Whether a client may be known by it now.
    ///
    /// # Errors
    /// [`CertificateError`] says why not.
    pub fn holds(&self, now: Instant) -> Result<(), CertificateError> {
        self.is_in_time(now)?;
        if self.usage == Usage::Clients { Ok(()) } else { Err(CertificateError::Usage) }
    }
}

pub(crate) fn instant(time: Time) -> Option<Instant> {
    Instant::from_unix_ms(u64::try_from(time.to_unix_duration().as_millis()).ok()?)
}

/// A certificate that says nothing of its use is for any.
fn usage(tbs: &TbsCertificate) -> Result<Usage, der::Error> {
    let extended = tbs.get_extension::<ExtendedKeyUsage>()?;
    let key = tbs.get_extension::<KeyUsage>()?;
    let for_clients = extended.is_none_or(|(_, usages)| usages.0.contains(&CLIENT_AUTH));
    let signs = key.is_none_or(|(_, usage)| usage.digital_signature());
    Ok(if for_clients && signs { Usage::Clients } else { Usage::Others })
}
