//! The certificate of the server, in files that may be replaced.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Why a certificate is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that is not there, or is not what it should be.
    #[error("`{path}` does not hold what is needed in PEM form: {cause}")]
    File {
        /// Which.
        path: String,
        /// Why.
        cause: String,
    },
    /// Certificate and key do not belong together.
    #[error("the certificate and its key cannot be used: {0}")]
    Pair(rustls::Error),
}

/// TLS 1.3, with the certificate as it was read last.
#[derive(Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads a chain, leaf first, and its key.
    ///
    /// # Errors
    /// [`TlsError`]
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let config = RwLock::new(config(certificate, key)?);
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), config })
    }

    /// Reads the files again; the next connections get what is in them.
    ///
    /// # Errors
    /// [`TlsError`]; then nothing changes.
    pub fn reread(&self) -> Result<(), TlsError> {
        let config = config(&self.certificate, &self.key)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&config))
    }
}

fn config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let bad = |path: &Path, cause: &dyn core::fmt::Display| TlsError::File {
        path: path.display().to_string(),
        cause: cause.to_string(),
    };
    let chain: Result<Vec<_>, _> = match CertificateDer::pem_file_iter(certificate) {
        Ok(all) => all.collect(),
        Err(error) => Err(error),
    };
    let chain = chain.map_err(|error| bad(certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, &error))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]);
    let builder = builder.map_err(TlsError::Pair)?.with_no_client_auth();
    Ok(Arc::new(builder.with_single_cert(chain, key).map_err(TlsError::Pair)?))
}
