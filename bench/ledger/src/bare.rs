//! The bare server: what a signed payment costs before a wallet has done anything with it.
//!
//! TLS 1.3, HTTP/1.1, a statement read and its signature verified, an answer as long as a receipt. Libraries, allocator and threads are
//! those of `tpw serve`. There is no screening, no ledger, no log, no disk, and no bound on what a client may ask: whatever keeps money
//! on this stack is slower than this.

use crate::error::BenchError;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use replay::bench::Stage;
use replay::server::Server;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tpw_core::{Hash32, Intent, Receipt};
use tpw_crypto::{Algorithm, PublicKey};
use tpw_proof::{DeviceKeys, Unverified};

/// The raw Ed25519 keys of all who pay, one after the other.
const KEYS: &str = "keys";
/// What every payment is answered with.
const ANSWER: &str = "answer";
/// Where it listens, as `tpw serve` writes it.
const ADDRESS: &str = "address";

/// Starts this program, which lies at `program`, as a bare server for those who pay on a stage, with the certificate of its server.
///
/// # Errors
/// [`BenchError`] when it does not come to listen.
pub fn start(program: &Path, stage: &Stage, folder: &Path) -> Result<Server, BenchError> {
    prepare(folder, &stage.load.payers.keys()?, &vec![0; stage.receipt_len])?;
    let certificate = &stage.server.ca;
    let mut command = Command::new(program);
    command.arg("bare").arg(folder).arg(certificate).arg(certificate.with_extension("key"));
    Ok(Server::run(command, "the bare server", folder)?)
}

/// Writes what the server needs into `folder`.
fn prepare(folder: &Path, keys: &[PublicKey], answer: &[u8]) -> Result<(), BenchError> {
    std::fs::create_dir_all(folder).map_err(BenchError::io("make", folder))?;
    let keys: Vec<u8> = keys.iter().flat_map(PublicKey::as_bytes).copied().collect();
    write(&folder.join(KEYS), &keys)?;
    write(&folder.join(ANSWER), answer)
}

/// Serves until the process ends, with the certificate of another server.
///
/// # Errors
/// [`BenchError`] when it cannot listen or a file is not there.
pub async fn serve(folder: &Path, certificate: &Path, key: &Path) -> Result<(), BenchError> {
    let bare = Arc::new(Bare::read(folder)?);
    let acceptor = TlsAcceptor::from(Arc::new(tls(certificate, key)?));
    let failed = |error: std::io::Error| BenchError::program("the bare server", error.to_string());
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    let told = format!("https://127.0.0.1:{port}\n{}\n", certificate.display());
    // Whoever waits for the address reads it whole.
    let (written, address) = (folder.join("address.new"), folder.join(ADDRESS));
    write(&written, told.as_bytes())?;
    std::fs::rename(&written, &address).map_err(BenchError::io("rename", &written))?;
    loop {
        let (stream, _from) = listener.accept().await.map_err(failed)?;
        tokio::spawn(connection(stream, acceptor.clone(), Arc::clone(&bare)));
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), BenchError> {
    std::fs::write(path, bytes).map_err(BenchError::io("write", path))
}

fn read(path: &Path) -> Result<Vec<u8>, BenchError> {
    std::fs::read(path).map_err(BenchError::io("read", path))
}

fn tls(certificate: &Path, key: &Path) -> Result<ServerConfig, BenchError> {
    let (chain, key) = (read(certificate)?, read(key)?);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain).collect();
    let key = PrivateKeyDer::from_pem_slice(&key);
    let (Ok(chain), Ok(key)) = (chain, key) else {
        return Err(BenchError::Check("the certificate or its key is no PEM".to_owned()));
    };
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    config.map_err(|error| BenchError::program("rustls", error.to_string()))
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, bare: Arc<Bare>) {
    let _best_effort = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = hyper::service::service_fn(move |request| {
        let bare = Arc::clone(&bare);
        async move { bare.answer(request).await }
    });
    let connection = hyper::server::conn::http1::Builder::new();
    // A client that breaks off is no news.
    let _broken_off = connection.serve_connection(TokioIo::new(stream), service).await;
}

/// The keys, and the answer.
struct Bare {
    keys: HashMap<Hash32, DeviceKeys>,
    answer: Bytes,
}

impl Bare {
    fn read(folder: &Path) -> Result<Self, BenchError> {
        let failed = |why: String| BenchError::Check(why);
        let (bytes, answer) = (read(&folder.join(KEYS))?, read(&folder.join(ANSWER))?);
        let keys = bytes.chunks(Algorithm::Ed25519.public_key_len()).map(|key| {
            let key = PublicKey::from_bytes(Algorithm::Ed25519, key);
            let key = key.map_err(|error| failed(error.to_string()))?;
            Ok((Hash32::new(key.cose_key_thumbprint()), DeviceKeys::from(key)))
        });
        Ok(Self { keys: keys.collect::<Result<_, BenchError>>()?, answer: answer.into() })
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let statement = request.into_body().collect().await?.to_bytes();
        let mut response = Response::new(Full::default());
        if self.is_signed(&statement) {
            *response.body_mut() = Full::new(self.answer.clone());
            *response.status_mut() = StatusCode::CREATED;
            let kind = HeaderValue::from_static(Receipt::MEDIA_TYPE);
            response.headers_mut().insert(CONTENT_TYPE, kind);
        } else {
            *response.status_mut() = StatusCode::FORBIDDEN;
        }
        Ok(response)
    }

    /// Whether one of the keys has signed it.
    fn is_signed(&self, statement: &[u8]) -> bool {
        let Ok(unverified) = Unverified::<Intent>::parse(statement) else { return false };
        let key = self.keys.get(&unverified.key_thumbprint());
        key.is_some_and(|key| unverified.verify_by(key).is_ok())
    }
}

#[cfg(test)]
mod tests {
    //! Goal: the bare server does the work that its figure stands for. Method: a statement of a payer counts, and neither one of which a
    //! bit is wrong nor one of a stranger does.

    use super::*;
    use replay::actor::Actor;
    use replay::pay::{self, Payer, Setting};
    use tpw_core::{AccountId, Amount, DeviceId, Money, Name, TreeHead};
    use tpw_crypto::{SlotName, SoftwareSlots};
    use tpw_engines::entropy::OsEntropy;

    fn actor() -> Actor {
        let mut slots = SoftwareSlots::new();
        let slot = SlotName::new("payer").unwrap();
        slots.generate(slot, Algorithm::Ed25519, &mut OsEntropy).unwrap();
        Actor::new(slots, "payer").unwrap()
    }

    fn statement(actor: &Actor) -> Vec<u8> {
        let (device, account) = (DeviceId::from_bytes([1; 16]), AccountId::from_bytes([2; 16]));
        let payer = Payer { actor, device, account, head: (0, Hash32::ZERO) };
        let money = Money { amount: Amount::from_minor(1), asset: "USD/2".parse().unwrap() };
        let seen = TreeHead { size: 0, root: Hash32::ZERO };
        let setting = Setting { audience: Name::new("bench").unwrap(), seen };
        let payee = AccountId::from_bytes([3; 16]);
        pay::sign(0, &payer, payee, money, &setting).unwrap().bytes
    }

    #[test]
    fn only_what_a_payer_has_signed_is_answered() {
        let (payer, other, stranger) = (actor(), actor(), actor());
        let folder = tempfile::tempdir().unwrap();
        let keys = [payer.public_key().unwrap(), other.public_key().unwrap()];
        prepare(folder.path(), &keys, &[0; 100]).unwrap();
        let bare = Bare::read(folder.path()).unwrap();
        assert_eq!((bare.keys.len(), bare.answer.len()), (2, 100));
        for known in [&payer, &other] {
            assert!(bare.is_signed(&statement(known)));
        }
        assert!(!bare.is_signed(&statement(&stranger)));
        let mut wrong = statement(&payer);
        *wrong.last_mut().unwrap() ^= 1;
        assert!(!bare.is_signed(&wrong));
        assert!(!bare.is_signed(b""));
    }
}
