//! Certificates of clients (RFC 8705): a port of its own that asks for one, and what a request brings of it.
//!
//! It is another port because a browser that is asked for a certificate asks its user. Whose certificate it is, is judged with each
//! request and not by the handshake, which shows that its key is there and no more. No header says it: behind somebody else's TLS
//! there are no certificates.

use crate::ServerError;
use crate::authorities::Authorities;
use crate::tls;
use axum::http::request::Parts;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tpw_access::oauth::Issuer;
use tpw_access::{ClientCertificate, HttpUrl};
use tpw_core::Instant;

/// Where clients connect with their certificates.
#[derive(Clone, Debug)]
pub struct MutualTls {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address under which clients reach this port, as [`ServeOptions::public_url`](crate::ServeOptions::public_url).
    pub public_url: Option<String>,
    /// The authorities, in PEM, whose certificates are known by the name in them. Without one, certificates are known by themselves
    /// alone.
    pub authorities: Option<PathBuf>,
    /// Files with their lists of revoked certificates (RFC 5280 §5), in PEM or DER, reread while the server runs. With any, each authority
    /// has one that has not ended, or its certificates prove nothing.
    pub revocations: Vec<PathBuf>,
}

/// The port with certificates, as requests on any port see it.
pub(crate) struct Mutual {
    /// Its address.
    pub(crate) origin: HttpUrl,
    authorities: Option<Arc<Authorities>>,
}

impl Mutual {
    pub(crate) fn load(
        origin: HttpUrl,
        options: &MutualTls,
        now: Instant,
    ) -> Result<Self, ServerError> {
        let load =
            |path: &PathBuf| Authorities::load(path, &options.revocations, now).map(Arc::new);
        Ok(Self { origin, authorities: options.authorities.as_ref().map(load).transpose()? })
    }

    /// Whether certificates are also known by the name in them, and by whom that is vouched for.
    pub(crate) const fn authorities(&self) -> Option<&Arc<Authorities>> {
        self.authorities.as_ref()
    }

    /// Follows the chain of what a client presented: RFC 5280 §6, and that it is for clients.
    pub(crate) fn issuer(&self, presented: &Presented, now: Instant) -> Issuer {
        let Presented(chain) = presented;
        let issued = self
            .authorities
            .as_ref()
            .is_some_and(|all| all.issued(&chain.leaf, &chain.intermediates, now));
        if issued { Issuer::Trusted } else { Issuer::Unknown }
    }
}

/// The certificate of the connection that a request came through. Its key signed the handshake.
#[derive(Clone)]
pub(crate) struct Presented(Arc<Chain>);

struct Chain {
    certificate: ClientCertificate,
    leaf: CertificateDer<'static>,
    intermediates: Vec<CertificateDer<'static>>,
}

impl Presented {
    /// Of what a finished handshake brought; `None` without a certificate.
    pub(crate) fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (leaf, intermediates) = chain.split_first()?;
        let certificate = ClientCertificate::read(leaf).ok()?;
        let intermediates = intermediates.iter().map(|der| der.clone().into_owned()).collect();
        let leaf = leaf.clone().into_owned();
        Some(Self(Arc::new(Chain { certificate, leaf, intermediates })))
    }

    pub(crate) fn in_request(parts: &Parts) -> Option<&Self> {
        parts.extensions.get()
    }

    pub(crate) fn certificate(&self) -> &ClientCertificate {
        &self.0.certificate
    }
}

/// Asks for a certificate, and takes any whose key signs the handshake.
#[derive(Debug)]
pub(crate) struct AnyClient {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyClient {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { algorithms: tls::provider().signature_verification_algorithms })
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let read = ClientCertificate::read(end_entity);
        read.map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
