//! The certificate that this server shows. Its files may be replaced while it runs: the next connections get the new one, and a pair that
//! cannot be used changes nothing.

use crate::ServerError;
use crate::tls::{self, Tls};
use core::time::Duration;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::watch;
use tokio::time::Instant as Stopwatch;
use tpw_access::{CertificateError, ClientCertificate};
use tpw_core::{Instant, Span};
use tpw_crypto::{Zeroizing, sha256_parts};

/// A certificate with its key, and when it ends.
struct Pair {
    key: Arc<CertifiedKey>,
    ends: Option<Instant>,
}

/// What is shown, and how its renewals went.
pub(crate) struct Served {
    certificate: PathBuf,
    key: PathBuf,
    shown: RwLock<Pair>,
    /// The hash of the files that were judged last, whatever came of it: each pair is judged once.
    judged: Mutex<Option<[u8; 32]>>,
    renewed: AtomicU64,
    refused: AtomicU64,
}

impl core::fmt::Debug for Served {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Served").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner).key))
    }
}

/// For the metrics.
pub(crate) struct Renewals {
    /// Seconds since 1970; none for a certificate that does not say it in a way that is read here.
    pub(crate) ends_s: Option<u64>,
    pub(crate) renewed: u64,
    pub(crate) refused: u64,
}

impl Served {
    /// Reads the files, or makes a development certificate; what cannot be used is an error.
    pub(crate) fn load(
        tls: &Tls,
        names: &[String],
        now: Instant,
    ) -> Result<Arc<Self>, ServerError> {
        let (certificate, key) = tls::files_of(tls, names, now)?;
        let pair = read(&certificate, &key)?;
        if pair.ends.is_some_and(|ends| ends <= now) {
            tracing::warn!(certificate = %certificate.display(), "the certificate has expired: clients will refuse it");
        }
        let served = Self {
            judged: Mutex::new(hash(&certificate, &key)),
            certificate,
            key,
            shown: RwLock::new(pair),
            renewed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        Ok(Arc::new(served))
    }

    /// Looks at the files every so often until the server stops.
    pub(crate) async fn renew(
        self: Arc<Self>,
        began: Instant,
        every: Duration,
        mut stopping: watch::Receiver<()>,
    ) {
        let running = Stopwatch::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                // An error means that the server is gone.
                _ended = stopping.changed() => return,
            }
            let ran = u64::try_from(running.elapsed().as_millis()).unwrap_or(u64::MAX);
            let (served, now) = (Arc::clone(&self), began.plus(Span::from_ms(ran)));
            let looked = tokio::task::spawn_blocking(move || served.look(now)).await;
            if let Err(error) = looked {
                tracing::error!(%error, "the certificate could not be looked at");
            }
        }
    }

    fn look(&self, now: Instant) {
        let found = hash(&self.certificate, &self.key);
        let mut judged = self.judged();
        if *judged == found {
            return;
        }
        *judged = found;
        drop(judged);
        match self.replaced(now) {
            Ok(()) => {
                self.renewed.fetch_add(1, Ordering::Relaxed);
                tracing::info!(certificate = %self.certificate.display(), "the certificate was renewed");
            }
            Err(error) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "the new certificate cannot be used: the one before stays");
            }
        }
    }

    fn replaced(&self, now: Instant) -> Result<(), ServerError> {
        let pair = read(&self.certificate, &self.key)?;
        if pair.ends.is_some_and(|ends| ends <= now) {
            return Err(ServerError::Expired(self.certificate.clone()));
        }
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = pair;
        Ok(())
    }

    fn judged(&self) -> MutexGuard<'_, Option<[u8; 32]>> {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn renewals(&self) -> Renewals {
        let ends = self.shown.read().unwrap_or_else(PoisonError::into_inner).ends;
        Renewals {
            ends_s: ends.map(|ends| ends.unix_ms() / 1000),
            renewed: self.renewed.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Pair, ServerError> {
    let (chain, key) = tls::read_files(certificate, key)?;
    let ends = chain.first().map(|leaf| ClientCertificate::read(leaf));
    let ends = ends.and_then(|leaf: Result<_, CertificateError>| leaf.ok()).map(|leaf| leaf.ends());
    // Certificate and key are compared: a pair that was replaced by half is none.
    let key = CertifiedKey::from_der(chain, key, &tls::provider()).map_err(ServerError::Tls)?;
    Ok(Pair { key: Arc::new(key), ends })
}

/// Of both files, if both are there.
fn hash(certificate: &Path, key: &Path) -> Option<[u8; 32]> {
    let bytes = |path: &Path| tls::read_pem(path).ok().map(Zeroizing::new);
    let (certificate, key) = (bytes(certificate)?, bytes(key)?);
    let len = u64::try_from(certificate.len()).unwrap_or(u64::MAX).to_be_bytes();
    Some(sha256_parts(&[&len, certificate.as_slice(), key.as_slice()]))
}
