//! Goal: the server never gets a private key. Method: a proxy between device and server ends TLS on both sides and records
//! every byte of plain text in both directions while a device enrols, pays and steps up; then the device's seeds, taken out
//! of its vault with the passphrase, are searched for in every encoding in which they could travel. The same proxy then changes what the
//! server says of a payment.

use super::support::{Device, PASSPHRASE, Server, secret, tpw};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What goes through the proxy.
#[derive(Default)]
struct Wire {
    record: Vec<u8>,
    /// What the device is told in the place of what the server said, of the same length.
    swap: Option<(String, String)>,
}

type Record = Arc<Mutex<Wire>>;

impl Wire {
    fn pass(&mut self, bytes: &mut [u8]) {
        self.record.extend_from_slice(bytes);
        let Some((said, told)) = &self.swap else { return };
        let places = bytes.windows(said.len()).enumerate();
        let found = places.filter(|(_, window)| *window == said.as_bytes());
        for place in found.map(|(place, _)| place).collect::<Vec<_>>() {
            bytes[place..][..said.len()].copy_from_slice(told.as_bytes());
        }
    }
}

async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    record: Record,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        record.lock().unwrap().pass(&mut buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
    let _closed = to.shutdown().await;
}

/// The two TLS ends of the proxy. HTTP/1.1 alone: its header fields are plain text.
fn ends(
    certificate: &rcgen::CertifiedKey<rcgen::KeyPair>,
    server_ca: &str,
) -> (TlsAcceptor, TlsConnector) {
    let provider = || Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let mut inner = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    inner.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(server_ca).unwrap()).unwrap();
    let mut outer = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    outer.alpn_protocols = vec![b"http/1.1".to_vec()];
    (TlsAcceptor::from(Arc::new(inner)), TlsConnector::from(Arc::new(outer)))
}

async fn run(
    listener: TcpListener,
    (acceptor, connector): (TlsAcceptor, TlsConnector),
    server: String,
    record: Record,
) {
    while let Ok((device, _)) = listener.accept().await {
        let (acceptor, connector) = (acceptor.clone(), connector.clone());
        let (server, record) = (server.clone(), Arc::clone(&record));
        tokio::spawn(async move {
            let device = acceptor.accept(device).await.unwrap();
            let out = TcpStream::connect(&server).await.unwrap();
            let name = ServerName::try_from("127.0.0.1").unwrap();
            let out = connector.connect(name, out).await.unwrap();
            let ((from, to), (back, forth)) = (tokio::io::split(device), tokio::io::split(out));
            tokio::join!(
                pass_on(from, forth, Arc::clone(&record)),
                pass_on(back, to, Arc::clone(&record))
            );
        });
    }
}

/// The 32-byte seeds in a vault, found where `SoftwareSlots::to_secret_bytes` puts them: after each slot's name and its
/// algorithm byte.
fn seeds(vault: &Path) -> Vec<Vec<u8>> {
    let file = std::fs::read(vault).unwrap();
    let sealed = &file[10..file.len() - 32];
    let text =
        tpw_crypto::open_with_passphrase(PASSPHRASE.as_bytes(), b"tpw/vault/v1", sealed).unwrap();
    let seed_after = |name: &[u8]| {
        let place = text.windows(name.len()).position(|window| window == name).unwrap();
        text[place + name.len() + 1..][..32].to_vec()
    };
    vec![seed_after(b"device-ed25519"), seed_after(b"device-p256")]
}

fn holds(traffic: &[u8], needle: &[u8]) -> bool {
    traffic.windows(needle.len()).any(|window| window == needle)
}

/// Every form in which 12 bytes of a secret could be seen, whatever stands before them.
fn forms(part: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
    let reversed: Vec<u8> = part.iter().rev().copied().collect();
    vec![
        part.to_vec(),
        reversed,
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        STANDARD_NO_PAD.encode(part).into_bytes(),
        URL_SAFE_NO_PAD.encode(part).into_bytes(),
    ]
}

/// Two people behind the proxy.
struct World {
    _runtime: tokio::runtime::Runtime,
    server: Server,
    root: tempfile::TempDir,
    ca: String,
    alice: Device,
    bob: Device,
    record: Record,
}

fn world() -> World {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &["--public-url", &url]);
    let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let ca = root.path().join("proxy.pem");
    std::fs::write(&ca, certificate.cert.pem()).unwrap();
    let address = std::fs::read_to_string(root.path().join("operator/address")).unwrap();
    assert!(address.starts_with(&url));
    let record = Record::default();
    let target = server.listen.clone();
    runtime.spawn(run(listener, ends(&certificate, &server.ca), target, Arc::clone(&record)));

    // The operator's tools reach the server at its public address too: through the proxy.
    let ca = ca.to_str().unwrap();
    let ops = |args: &[&str]| server.ops(&[&["--ca", ca], args].concat()).ends(0).json();
    let alice = Device::with(&ops, root.path(), "Alice", &["USD/2:5000:label=main"], &url, ca);
    let bob = Device::with(&ops, root.path(), "Bob", &["USD/2:label=main"], &url, ca);
    World { _runtime: runtime, server, root, ca: ca.to_owned(), alice, bob, record }
}

#[test]
fn a_server_that_names_another_transaction_hash_is_shown_no_factor() {
    let World { server, root, ca, alice, bob, record, .. } = &world();
    let made = tpw(&alice.args(&["factor", "recovery"])).ends(0).stdout;
    let code = secret(&root.path().join("typed"), made.lines().next().unwrap());
    let order = ["pay", "main", &bob.accounts[0], "1500", "USD/2", "--no-input", "--json"];
    let waits = alice.wallet(&order).ends(5).json();
    let id = waits["payment"].as_str().unwrap().to_owned();
    let shown = server.ops(&["--ca", ca, "payment", "show", &id]).ends(0).json();
    let hash = shown["intent_hash"].as_str().unwrap().to_owned();
    let other: String = hash.bytes().map(|b| if b == b'0' { '1' } else { '0' }).collect();
    let login = ["login", "--with", "recovery", "--payment", &id, "--secret-file", &code];
    record.lock().unwrap().swap = Some((hash.clone(), other.clone()));
    record.lock().unwrap().record.clear();
    let refused = tpw(&alice.args(&login)).ends(4);
    assert!(
        refused.stderr.contains(&hash) && refused.stderr.contains(&other),
        "{}",
        refused.stderr
    );
    assert!(!holds(&record.lock().unwrap().record, b"/v1/challenges"));
    record.lock().unwrap().swap = None;
    // Of a payment that this device did not make it knows no hash.
    let foreign = tpw(&bob.args(&login));
    assert_ne!(foreign.code, 0);
    let done = tpw(&alice.args(&[&login[..], &["--json"]].concat())).ends(0).json();
    assert_eq!(done["payment"]["status"], "booked");
    // The receipt is on this device now.
    let kept = alice.wallet(&["receipts", "--json"]).ends(0).json();
    assert_eq!(kept["receipts"][0]["payment"], id.as_str());
}

#[test]
fn no_part_of_a_private_key_leaves_the_device() {
    let World { alice, bob, record, .. } = &world();
    alice.wallet(&["pay", "main", &bob.accounts[0], "2", "USD/2"]).ends(0);
    alice.wallet(&["pay", "main", &bob.accounts[0], "1500", "USD/2", "--id", "big"]).ends(0);
    alice.wallet(&["accounts"]).ends(0);

    let traffic = record.lock().unwrap().record.clone();
    // The proxy saw what it should have seen: the check below is about real traffic.
    assert!(holds(&traffic, b"POST /v1/devices"));
    assert!(holds(&traffic, b"POST /v1/payments"));
    assert!(holds(&traffic, b"DPoP"));
    assert!(!holds(&traffic, PASSPHRASE.as_bytes()));
    for device in [alice, bob] {
        for seed in seeds(&device.folder.join("vault")) {
            for part in seed.windows(12) {
                for form in forms(part) {
                    assert!(!holds(&traffic, &form), "a part of a private key was sent");
                }
            }
        }
    }
}
