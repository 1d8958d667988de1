//! The authorities whose certificates prove clients by the name in them, and their lists of certificates that were revoked (RFC 5280 §5).
//!
//! The files of the lists may be replaced while the server runs. INVARIANT: with lists, a certificate is good only if a list of its issuer
//! that has not ended says so, and the same of each authority between it and the root. A list that is missing or has ended refuses; one
//! that cannot be read changes nothing, so that the one before holds until its own end.
//!
//! INVARIANT: of several lists of one issuer and one place the newest counts alone, and none takes the place of a newer one. Whoever
//! looks for a list takes the first of the issuer, so that an old one would let go on what a newer one names.
//!
//! INVARIANT: where an issuer has a list of all its certificates beside those of places, or several of these, each that may be about a
//! certificate says that it is good: `webpki` takes any of them for one about a certificate that names no place (RFC 5280 §4.2.1.13).

use crate::ServerError;
use crate::tls;
use core::cmp::Ordering as Order;
use core::time::Duration;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;
use tpw_access::RevocationList;
use tpw_core::{Instant, Span};
use tpw_crypto::sha256_parts;
use tpw_engines::{Engine, files};

/// The most bytes of one file of lists.
const LISTS_LEN_MAX: u64 = 16 << 20;
/// DER of a SEQUENCE begins so, PEM never.
const SEQUENCE: u8 = 0x30;

/// How far ahead of ours an authority's clock may be. A list from later than that would keep out all that come before its time.
const AHEAD_MAX: Span = Span::from_secs(600);

/// For the metrics. Each rereading of other files is one of the three.
pub(crate) struct Rereadings {
    /// When the first of the lists ends, in seconds since 1970.
    pub(crate) ends_s: Option<u64>,
    pub(crate) used: u64,
    pub(crate) refused: u64,
    /// Those with a list that was older than the one that was used before, which stayed.
    pub(crate) older: u64,
}

/// What certificates are judged by at one time.
struct Judge {
    /// Each has to find a certificate good.
    verifiers: Vec<Arc<dyn ClientCertVerifier>>,
    lists: Vec<List>,
}

/// A list with what it says of itself.
#[derive(Clone)]
struct List {
    der: CertificateRevocationListDer<'static>,
    about: RevocationList,
}

/// Who issues clients' certificates.
pub(crate) struct Authorities {
    roots: Arc<RootCertStore>,
    lists: Vec<PathBuf>,
    judge: RwLock<Judge>,
    /// The hash of the files that were read last, whatever came of it: each state is judged once.
    read: Mutex<Option<[u8; 32]>>,
    used: AtomicU64,
    refused: AtomicU64,
    older: AtomicU64,
}

impl Authorities {
    /// Reads all files; what cannot be used is an error.
    pub(crate) fn load(path: &Path, lists: &[PathBuf], now: Instant) -> Result<Self, ServerError> {
        let bad = || ServerError::BadPem(path.to_owned());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&tls::read_pem(path)?) {
            roots.add(certificate.map_err(|_| bad())?).map_err(|_| bad())?;
        }
        if roots.is_empty() {
            return Err(bad());
        }
        let roots = Arc::new(roots);
        let files = files_of(lists)?;
        let judge = RwLock::new(judge(&roots, lists_of(&files, now)?, lists)?);
        let read = Mutex::new(Some(hash(&files)));
        let [used, refused, older] = [const { AtomicU64::new(0) }; 3];
        Ok(Self { roots, lists: lists.to_vec(), judge, read, used, refused, older })
    }

    /// Whether the chain leads to one of them, each part of it for its use, in its time and not revoked.
    pub(crate) fn issued(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: Instant,
    ) -> bool {
        let judge = self.judge.read().unwrap_or_else(PoisonError::into_inner);
        let verifiers = judge.verifiers.clone();
        drop(judge);
        let at = UnixTime::since_unix_epoch(Duration::from_millis(now.unix_ms()));
        verifiers.iter().all(|verifier| {
            match verifier.verify_client_cert(leaf, intermediates, at) {
                Ok(_good) => true,
                Err(cause) => {
                    tracing::debug!(%cause, "a client's certificate is not good");
                    false
                }
            }
        })
    }

    /// Looks at the lists every so often until the server stops.
    pub(crate) async fn reread(
        self: Arc<Self>,
        engine: Arc<Engine>,
        every: Duration,
        mut stopping: watch::Receiver<()>,
    ) {
        while !self.lists.is_empty() {
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                // An error means that the server is gone.
                _ended = stopping.changed() => return,
            }
            let (this, now) = (Arc::clone(&self), engine.now());
            if let Err(error) = tokio::task::spawn_blocking(move || this.look(now)).await {
                tracing::error!(%error, "the lists of revoked certificates could not be looked at");
            }
        }
    }

    fn look(&self, now: Instant) {
        let found = files_of(&self.lists);
        let hash = found.as_deref().ok().map(hash);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *read == hash {
            return;
        }
        *read = hash;
        drop(read);
        match found.and_then(|files| self.renewed(lists_of(&files, now)?)) {
            Ok((judge, older)) => {
                *self.judge.write().unwrap_or_else(PoisonError::into_inner) = judge;
                let count = if older > 0 { &self.older } else { &self.used };
                count.fetch_add(1, Ordering::Relaxed);
                tracing::info!(older, "the lists of revoked certificates were read again");
            }
            Err(error) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "the new lists of revoked certificates cannot be used: those before hold until they end");
            }
        }
    }

    /// What is judged by with the lists that were found. Where one is older than the one before, that one stays: of how many this is so.
    fn renewed(&self, mut found: Vec<List>) -> Result<(Judge, usize), ServerError> {
        let mut older: usize = 0;
        let before = self.judge.read().unwrap_or_else(PoisonError::into_inner).lists.clone();
        for list in &mut found {
            let same = before.iter().find(|it| it.about.is_about_the_same_as(&list.about));
            if let Some(newer) = same.filter(|it| it.about.by_age(&list.about).is_gt()) {
                list.clone_from(newer);
                older = older.saturating_add(1);
                tracing::warn!(
                    "a list of revoked certificates is older than the one that is in use: that one stays"
                );
            }
        }
        Ok((judge(&self.roots, found, &self.lists)?, older))
    }

    /// How the lists are; nothing where there are none.
    pub(crate) fn rereadings(&self) -> Option<Rereadings> {
        let judge = self.judge.read().unwrap_or_else(PoisonError::into_inner);
        let ends = judge.lists.iter().map(|list| list.about.ends()).min();
        (!self.lists.is_empty()).then(|| Rereadings {
            ends_s: ends.map(|ends| ends.unix_ms() / 1000),
            used: self.used.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            older: self.older.load(Ordering::Relaxed),
        })
    }
}

type File = (PathBuf, Vec<u8>);

fn files_of(paths: &[PathBuf]) -> Result<Vec<File>, ServerError> {
    let read = |path: &PathBuf| {
        let bytes = files::read(path, LISTS_LEN_MAX)?;
        Ok((path.clone(), bytes.ok_or_else(|| ServerError::NoSuchFile(path.clone()))?))
    };
    paths.iter().map(read).collect()
}

fn hash(files: &[File]) -> [u8; 32] {
    let hashes: Vec<[u8; 32]> = files.iter().map(|(_, bytes)| sha256_parts(&[bytes])).collect();
    let parts: Vec<&[u8]> = hashes.iter().map(<[u8; 32]>::as_slice).collect();
    sha256_parts(&parts)
}

/// The lists of the files, several in PEM or one in DER: of those of one issuer and place the newest.
fn lists_of(files: &[File], now: Instant) -> Result<Vec<List>, ServerError> {
    let mut lists: Vec<List> = Vec::new();
    for (path, bytes) in files {
        let bad = || ServerError::BadRevocations(path.clone());
        let found: Vec<CertificateRevocationListDer<'static>> = match bytes.first() {
            Some(&SEQUENCE) => vec![bytes.clone().into()],
            _ => CertificateRevocationListDer::pem_slice_iter(bytes)
                .collect::<Result<_, _>>()
                .map_err(|_| bad())?,
        };
        if found.is_empty() {
            return Err(bad());
        }
        for der in found {
            let about = RevocationList::read(&der).ok_or_else(bad)?;
            if about.begins() > now.plus(AHEAD_MAX) {
                return Err(bad());
            }
            let list = List { der, about };
            match lists.iter_mut().find(|it| it.about.is_about_the_same_as(&list.about)) {
                None => lists.push(list),
                Some(known) => match list.about.by_age(&known.about) {
                    Order::Greater => *known = list,
                    Order::Less => {}
                    Order::Equal if list.der == known.der => {}
                    // Which of them is newer cannot be told.
                    Order::Equal => return Err(bad()),
                },
            }
        }
    }
    Ok(lists)
}

/// Verifiers with these lists: one with all of them, for which something has to be known of each certificate, and one with each of those of
/// which an issuer has several, for which a certificate that it is not about is good.
fn judge(
    roots: &Arc<RootCertStore>,
    lists: Vec<List>,
    files: &[PathBuf],
) -> Result<Judge, ServerError> {
    let provider = Arc::new(tls::provider());
    let begun = |lists: &[&List]| {
        WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider))
            .with_crls(lists.iter().map(|list| list.der.clone()))
            .enforce_revocation_expiration()
    };
    let all: Vec<&List> = lists.iter().collect();
    let has_others = |list: &&&List| {
        all.iter().filter(|it| it.about.is_of_the_same_issuer_as(&list.about)).count() > 1
    };
    let each = all.iter().filter(has_others);
    let each = each.map(|list| begun(&[*list]).allow_unknown_revocation_status().build());
    let verifiers = core::iter::once(begun(&all).build()).chain(each);
    let verifiers = verifiers.map(|verifier| verifier.map(|it| it as Arc<dyn ClientCertVerifier>));
    let unusable = |_| ServerError::BadRevocations(files.first().cloned().unwrap_or_default());
    let verifiers = verifiers.collect::<Result<_, _>>().map_err(unusable)?;
    Ok(Judge { verifiers, lists })
}
