//! TLS 1.3 and nothing older, X25519 with ML-KEM-768 first.

use crate::ServerError;
use crate::mutual::AnyClient;
use crate::served::Served;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tpw_core::{Instant, Span};
use tpw_engines::files::{self, Access, Durability};

/// Where the server's certificate comes from.
#[derive(Clone, Debug)]
pub enum Tls {
    /// A certificate chain and its key, in PEM files.
    Files {
        /// The chain, leaf first.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// A self-made certificate that no one else trusts, kept in this folder as `development-certificate.pem`.
    /// Clients are given that file.
    Development {
        /// The folder.
        dir: PathBuf,
    },
}

/// The name in a self-made certificate: whoever looks at it sees what it is.
pub const DEVELOPMENT_NAME: &str = "TPWallet development certificate";

const CERTIFICATE_FILE: &str = "development-certificate.pem";
const KEY_FILE: &str = "development-certificate.key";
const PEM_MAX: u64 = 1 << 20;
/// How long a self-made certificate lives, and how long before its end it is made anew.
const LIFE: Span = Span::from_secs(90 * 24 * 3600);
const RENEW: Span = Span::from_secs(30 * 24 * 3600);

/// The path of the self-made certificate in a data folder, for clients to trust.
#[must_use]
pub fn development_certificate_path(dir: &Path) -> PathBuf {
    dir.join(CERTIFICATE_FILE)
}

/// Whether a port asks clients for a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    Nobody,
    Clients,
}

/// The cryptography of every connection.
pub(crate) fn provider() -> CryptoProvider {
    let mut crypto = aws_lc_rs::default_provider();
    crypto.kx_groups = vec![
        aws_lc_rs::kx_group::X25519MLKEM768,
        aws_lc_rs::kx_group::X25519,
        aws_lc_rs::kx_group::SECP256R1,
    ];
    crypto
}

/// The settings of the TLS end of a port.
pub(crate) fn config(served: Arc<Served>, asks: Asks) -> Result<Arc<ServerConfig>, ServerError> {
    let builder = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(ServerError::Tls)?;
    let builder = match asks {
        Asks::Nobody => builder.with_no_client_auth(),
        Asks::Clients => builder.with_client_cert_verifier(AnyClient::new()),
    };
    let mut config = builder.with_cert_resolver(served);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Where certificate and key are; a development certificate is made if need be.
pub(crate) fn files_of(
    tls: &Tls,
    names: &[String],
    now: Instant,
) -> Result<(PathBuf, PathBuf), ServerError> {
    match tls {
        Tls::Files { certificate, key } => Ok((certificate.clone(), key.clone())),
        Tls::Development { dir } => development(dir, names, now),
    }
}

/// A PEM file.
pub(crate) fn read_pem(path: &Path) -> Result<Vec<u8>, ServerError> {
    files::read(path, PEM_MAX)?.ok_or_else(|| ServerError::NoSuchFile(path.to_owned()))
}

/// A chain and its key.
pub(crate) fn read_files(certificate: &Path, key: &Path) -> Result<Identity, ServerError> {
    let bad = |path: &Path| ServerError::BadPem(path.to_owned());
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(&read_pem(certificate)?).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| bad(certificate))?;
    let key_bytes = tpw_crypto::Zeroizing::new(read_pem(key)?);
    let key = PrivateKeyDer::from_pem_slice(&key_bytes).map_err(|_| bad(key))?;
    Ok((chain, key))
}

/// The self-made certificate, made anew when there is none, when it does not name this host, or when it is about to end.
fn development(
    dir: &Path,
    names: &[String],
    now: Instant,
) -> Result<(PathBuf, PathBuf), ServerError> {
    let (certificate, key) = (dir.join(CERTIFICATE_FILE), dir.join(KEY_FILE));
    let note = dir.join("development-certificate.txt");
    let wanted = names.join("\n");
    let kept = files::read(&note, PEM_MAX)?.and_then(|bytes| String::from_utf8(bytes).ok());
    let fresh_until = kept.as_deref().and_then(|text| {
        let (until, kept_names) = text.split_once('\n')?;
        let until: Instant = until.parse().ok()?;
        (kept_names == wanted).then_some(until)
    });
    if fresh_until.is_some_and(|until| now.plus(RENEW) < until)
        && read_files(&certificate, &key).is_ok()
    {
        return Ok((certificate, key));
    }
    let (pem, key_pem) = make_development(names, now)?;
    files::write_atomic(&key, key_pem.as_bytes(), Durability::Synced, Access::Private)?;
    files::write_atomic(&certificate, pem.as_bytes(), Durability::Synced, Access::Ordinary)?;
    let text = format!("{}\n{wanted}", now.plus(LIFE));
    files::write_atomic(&note, text.as_bytes(), Durability::Synced, Access::Ordinary)?;
    Ok((certificate, key))
}

fn make_development(
    names: &[String],
    now: Instant,
) -> Result<(String, tpw_crypto::Zeroizing<String>), ServerError> {
    let date = |at: Instant| {
        let seconds = i64::try_from(at.unix_ms() / 1000).unwrap_or(i64::MAX);
        time::OffsetDateTime::from_unix_timestamp(seconds).ok()
    };
    let mut params =
        rcgen::CertificateParams::new(names.to_vec()).map_err(ServerError::Certificate)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, DEVELOPMENT_NAME);
    // A client may have a clock that is a little behind.
    if let Some(begin) = date(now.minus(Span::from_secs(3600))) {
        params.not_before = begin;
    }
    if let Some(end) = date(now.plus(LIFE)) {
        params.not_after = end;
    }
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate().map_err(ServerError::Certificate)?;
    let certificate = params.self_signed(&key).map_err(ServerError::Certificate)?;
    Ok((certificate.pem(), tpw_crypto::Zeroizing::new(key.serialize_pem())))
}

/// The names that a self-made certificate carries: this machine's own, and the host of the public address.
pub(crate) fn names(listen: &[SocketAddr], public: &[tpw_access::HttpUrl]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let named = listen.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified());
    let hosts = public.iter().filter_map(|url| {
        let host = url.origin().strip_prefix("https://")?;
        let host = match host.strip_prefix('[') {
            Some(literal) => literal.split(']').next(),
            None => host.split(':').next(),
        };
        host.map(str::to_owned)
    });
    for name in hosts.chain(named.map(|ip| ip.to_string())) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
