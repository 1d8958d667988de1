//! Goal: a client is known by the certificate of its connection, and its tokens are worth nothing without it (RFC 8705). Method:
//! certificates that we make here, right ones and those with one thing wrong, through real connections.

use crate::oauth_scene::{Browser, drawn};
use crate::oauth_scene::{
    CALLBACK, EXCHANGE, Program, Scene, encoded, path_of, sent_to, text, value,
};
use crate::support::{Answer, Server, answered, encode};
use axum::body::Bytes;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use insta::assert_json_snapshot;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    CrlDistributionPoint, CrlIssuingDistributionPoint, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
};
use rustls::HandshakeKind;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tpw_core::Span;
use tpw_crypto::sha256;
use tpw_engines::clock::Clock as _;
use tpw_server::{MutualTls, development_certificate_path};

const DAY: i64 = 86_400;

/// A certificate with its key, as a client has it.
struct Identity {
    der: CertificateDer<'static>,
    key: KeyPair,
}

impl Identity {
    fn thumbprint(&self) -> String {
        encode(&sha256(&self.der))
    }

    fn x5c(&self) -> String {
        STANDARD.encode(&self.der)
    }
}

/// From a day ago until tomorrow.
fn params(server: &Server) -> CertificateParams {
    let now = i64::try_from(server.clock.now().unix_ms() / 1000).unwrap();
    let at = |seconds| time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "books");
    (params.not_before, params.not_after) = (at(now - DAY), at(now + DAY));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

fn self_made(params: &CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    Identity { der: params.self_signed(&key).unwrap().der().clone(), key }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issued(params: &CertificateParams, by: &CertifiedIssuer<'_, KeyPair>) -> Identity {
    let key = KeyPair::generate().unwrap();
    Identity { der: params.signed_by(&key, by).unwrap().der().clone(), key }
}

fn but(
    right: &CertificateParams,
    change: impl FnOnce(&mut CertificateParams),
) -> CertificateParams {
    let mut params = right.clone();
    change(&mut params);
    params
}

fn named(server: &Server, host: &str) -> CertificateParams {
    let mut params = params(server);
    params.subject_alt_names = vec![SanType::DnsName(host.try_into().unwrap())];
    params
}

fn connector(server: &Server, identity: Option<&Identity>) -> TlsConnector {
    let pem = std::fs::read(development_certificate_path(server.dir.path())).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(Identity { der, key }) => {
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            config.with_client_auth_cert(vec![der.clone()], key).unwrap()
        }
    };
    TlsConnector::from(Arc::new(config))
}

async fn connected(connector: &TlsConnector, addr: SocketAddr) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(addr).await.unwrap();
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

async fn send(
    server: &Server,
    identity: Option<&Identity>,
    request: axum::http::request::Builder,
    body: String,
) -> Answer {
    let (addr, _) = server.mutual.as_ref().unwrap();
    let stream = connected(&connector(server, identity), *addr).await;
    sent(stream, *addr, request, body).await
}

async fn sent(
    stream: TlsStream<TcpStream>,
    addr: SocketAddr,
    request: axum::http::request::Builder,
    body: String,
) -> Answer {
    let request = request.header("host", addr.to_string());
    answered(stream, request.body(Full::new(Bytes::from(body))).unwrap()).await
}

/// A form to one of the endpoints, with no proof but the connection's certificate.
async fn ask(
    server: &Server,
    identity: Option<&Identity>,
    path: &str,
    form: &[(&str, &str)],
) -> Answer {
    let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    send(server, identity, request, encoded(form)).await
}

const ID: (&str, &str) = ("client_id", "certified.example");
const OWN: [(&str, &str); 2] = [ID, ("grant_type", "client_credentials")];

async fn token(server: &Server, identity: Option<&Identity>) -> Answer {
    ask(server, identity, "/oauth/token", &OWN).await
}

async fn read(server: &Server, identity: Option<&Identity>, path: &str, token: &str) -> Answer {
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    send(server, identity, request, String::new()).await
}

fn error(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), text(&answer.json(), "error").to_owned())
}

fn invalid_client() -> (u16, String) {
    (401, "invalid_client".to_owned())
}

fn registration(auth: &str, value: Value) -> Value {
    let mut body = Program::new("certified.example").registration();
    body.as_object_mut().unwrap().remove("jwks");
    body[auth] = value;
    body
}

async fn entered(scene: &Scene, body: &Value) -> Answer {
    scene.server.recognise(&scene.operator).await;
    scene.server.call(&scene.operator, "POST", "/v1/clients", Some(body)).await
}

/// Ann lets the client read for an hour.
async fn delegated(scene: &Scene) {
    let body = json!({
        "client": ID.1, "accounts": [scene.ann.account().to_string()],
        "scopes": ["balance:read"], "until": scene.until(3600),
    });
    let answer = scene.server.call(&scene.ann, "POST", "/v1/delegations", Some(&body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// A scene with a client that proves itself by a certificate of its own.
async fn certified() -> (Scene, Identity) {
    let scene = Scene::on(Server::start_mutual(None).await).await;
    let identity = self_made(&params(&scene.server));
    let added = entered(&scene, &registration("certificates", json!([identity.x5c()]))).await;
    assert_eq!(added.status, 201, "{added:?}");
    delegated(&scene).await;
    (scene, identity)
}

#[tokio::test]
async fn a_client_is_known_by_its_own_certificate() {
    let (scene, identity) = certified().await;
    let server = &scene.server;
    let answer = token(server, Some(&identity)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    assert_eq!(text(&json, "token_type"), "Bearer");
    let token = text(&json, "access_token");
    let path = scene.balance_path();
    let balance = read(server, Some(&identity), &path, token).await;
    assert_eq!((balance.status.as_u16(), text(&balance.json(), "available")), (200, "100000"));
    let other = read(server, Some(&identity), &path_of(scene.bob.account()), token).await;
    assert_eq!(other.problem(), "unknown_account", "the delegation says what may be read");
    let about = ask(server, Some(&identity), "/oauth/introspect", &[ID, ("token", token)]).await;
    assert_eq!(about.json()["cnf"], json!({ "x5t#S256": identity.thumbprint() }));
    assert_eq!(text(&about.json(), "token_type"), "Bearer");
    let gone = ask(server, Some(&identity), "/oauth/revoke", &[ID, ("token", token)]).await;
    assert_eq!(gone.status, 200);
    assert_eq!(read(server, Some(&identity), &path, token).await.problem(), "bad_token");
}

#[tokio::test]
async fn a_token_is_worth_nothing_without_its_certificate() {
    let (scene, identity) = certified().await;
    let server = &scene.server;
    let answer = token(server, Some(&identity)).await.json();
    let (token, path) = (text(&answer, "access_token"), scene.balance_path());
    let other = self_made(&params(server));
    for (name, presented) in [("another", Some(&other)), ("none", None)] {
        let answer = read(server, presented, &path, token).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (401, "bad_token"),
            "{name}"
        );
        assert_eq!(answer.json()["reason"], "not_bound", "{name}");
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge, Some(r#"Bearer error="invalid_token""#), "RFC 6750 §3");
    }
    let statement = read(server, Some(&identity), &format!("{path}/statement"), token).await;
    assert_eq!((statement.status.as_u16(), statement.problem().as_str()), (404, "unknown_account"));
    let less = [OWN[0], OWN[1], ("scope", "balance:read")];
    let less = ask(server, Some(&identity), "/oauth/token", &less).await.json();
    let less = text(&less, "access_token");
    let statement = read(server, Some(&identity), &format!("{path}/statement"), less).await;
    let challenge = r#"Bearer error="insufficient_scope", scope="statements:read""#;
    assert_eq!(statement.header("www-authenticate"), Some(challenge));
    // The ordinary port asks for no certificate, so that there is none.
    let authorization = format!("Bearer {token}");
    let answer = server.send("GET", &path, &[("authorization", &authorization)], Vec::new()).await;
    assert_eq!(answer.json()["reason"], "not_bound");
    // Nor is it what somebody in front of us says in a header.
    for name in ["x-ssl-client-cert", "x-client-cert", "client-cert", "x-forwarded-client-cert"] {
        let pem = format!(":{}:", identity.x5c());
        let headers = [("authorization", authorization.as_str()), (name, pem.as_str())];
        let answer = server.send("GET", &path, &headers, Vec::new()).await;
        assert_eq!(answer.json()["reason"], "not_bound", "{name}");
    }
    // A proof in its place is none: the token does not name a key.
    let proof = scene.books.proof(server, "dpop", "GET", &path, Some(token));
    let authorization = format!("DPoP {token}");
    let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
    assert_eq!(server.send("GET", &path, &headers, Vec::new()).await.json()["reason"], "not_bound");
    // And a token of a key is not shown without its proof, whatever the connection.
    let keyed = scene.books.own_token(server).await;
    let answer = read(server, Some(&identity), &path, &keyed).await;
    assert_eq!(answer.problem(), "unauthenticated");
    assert!(answer.header("www-authenticate").unwrap().starts_with("DPoP "));
    let session = server.token(&scene.ann).await;
    let answer = read(server, Some(&identity), &path, &session).await;
    assert_eq!(answer.problem(), "unauthenticated", "nor a device's session");
}

#[tokio::test]
async fn a_certificate_that_is_not_registered_proves_nothing() {
    let (scene, identity) = certified().await;
    let server = &scene.server;
    let other = self_made(&params(server));
    // The same names and times, another key.
    let wrong = token(server, Some(&other)).await;
    assert_eq!(error(&wrong), invalid_client());
    assert_eq!(error(&token(server, None).await), invalid_client());
    let form = [("grant_type", "client_credentials")];
    let nameless = ask(server, Some(&identity), "/oauth/token", &form).await;
    assert_eq!(error(&nameless), invalid_client(), "the certificate does not name its client");
    // What is registered for one client is nothing for another, nor for one that signs.
    for id in ["books.example", "nobody.example", "x"] {
        let form = [("client_id", id), ("grant_type", "client_credentials")];
        let answer = ask(server, Some(&identity), "/oauth/token", &form).await;
        assert_eq!(error(&answer), invalid_client(), "{id}");
        assert_eq!(answer.body, wrong.body, "the answer does not tell who is registered");
    }
    // A client of certificates has no keys.
    let program = Program::new(ID.1);
    assert_eq!(error(&program.token(server, &OWN[1..]).await), invalid_client());
    for path in ["/oauth/par", "/oauth/introspect", "/oauth/revoke"] {
        let answer = ask(server, Some(&other), path, &[ID, ("token", "x")]).await;
        assert_eq!(error(&answer), invalid_client(), "{path}");
    }
}

#[tokio::test]
async fn a_certificate_holds_in_its_time_and_for_its_use() {
    let scene = Scene::on(Server::start_mutual(None).await).await;
    let server = &scene.server;
    let right = params(server);
    let server_only =
        but(&right, |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let agrees_only = but(&right, |p| p.key_usages = vec![KeyUsagePurpose::KeyAgreement]);
    let over = but(&right, |p| p.not_after = p.not_before);
    let early = but(&right, |p| p.not_before = p.not_after);
    for (name, params) in
        [("server", server_only), ("agrees", agrees_only), ("over", over), ("early", early)]
    {
        let identity = self_made(&params);
        let body = registration("certificates", json!([identity.x5c()]));
        assert_eq!(entered(&scene, &body).await.problem(), "bad_value", "{name}");
    }
    // One that is registered ends too, and with it what it was given.
    let identity = self_made(&right);
    let body = registration("certificates", json!([identity.x5c()]));
    assert_eq!(entered(&scene, &body).await.status, 201);
    server.clock.advance(Span::from_secs(86_400 - 60));
    *scene.ann.token.borrow_mut() = None;
    delegated(&scene).await;
    let answer = token(server, Some(&identity)).await.json();
    let (token_text, path) = (text(&answer, "access_token"), scene.balance_path());
    assert_eq!(read(server, Some(&identity), &path, token_text).await.status, 200);
    server.clock.advance(Span::from_secs(62));
    let late = read(server, Some(&identity), &path, token_text).await;
    assert_eq!(late.json()["reason"], "not_bound", "{late:?}");
    assert_eq!(error(&token(server, Some(&identity)).await), invalid_client());
}

#[tokio::test]
async fn a_client_is_known_by_the_name_in_its_certificate() {
    let ca = authority();
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("authorities.pem");
    std::fs::write(&file, ca.as_ref().pem()).unwrap();
    let scene = Scene::on(Server::start_mutual(Some(file)).await).await;
    let server = &scene.server;
    let body = registration("tls_client_auth_san_dns", "api.books.example".into());
    let added = entered(&scene, &body).await;
    assert_eq!(text(&added.json(), "token_endpoint_auth_method"), "tls_client_auth");
    delegated(&scene).await;
    let host = |host: &str| named(server, host);
    let right = issued(&host("API.books.example"), &ca);
    let answer = token(server, Some(&right)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let bound = text(&answer.json(), "access_token").to_owned();
    let path = scene.balance_path();
    assert_eq!(read(server, Some(&right), &path, &bound).await.status, 200);
    // A renewed certificate is the same client, but does not carry the old one's tokens.
    let renewed = issued(&host("api.books.example"), &ca);
    assert_eq!(token(server, Some(&renewed)).await.status, 200);
    assert_eq!(read(server, Some(&renewed), &path, &bound).await.problem(), "bad_token");
    let server_only = but(&host("api.books.example"), |p| {
        p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let over = but(&host("api.books.example"), |p| p.not_after = p.not_before);
    let mut common = params(server);
    common.distinguished_name.push(DnType::CommonName, "api.books.example");
    for (name, identity) in [
        ("another authority's", issued(&host("api.books.example"), &authority())),
        ("nobody's", self_made(&host("api.books.example"))),
        ("another host's", issued(&host("books.example"), &ca)),
        ("a pattern", issued(&host("*.books.example"), &ca)),
        ("a longer host's", issued(&host("api.books.example.evil.example"), &ca)),
        ("only a common name", issued(&common, &ca)),
        ("a server's", issued(&server_only, &ca)),
        ("an old one", issued(&over, &ca)),
    ] {
        assert_eq!(error(&token(server, Some(&identity)).await), invalid_client(), "{name}");
    }
}

/// A server that knows an authority, with a client that is known by this in its certificates.
async fn known_by(ca: &CertifiedIssuer<'_, KeyPair>, member: &str, name: &str) -> (Scene, TempDir) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("authorities.pem");
    std::fs::write(&file, ca.as_ref().pem()).unwrap();
    let scene = Scene::on(Server::start_mutual(Some(file)).await).await;
    let added = entered(&scene, &registration(member, name.into())).await;
    assert_eq!(added.status, 201, "{added:?}");
    (scene, dir)
}

#[tokio::test]
async fn a_client_is_known_by_the_whole_subject_of_its_certificate() {
    let ca = authority();
    let text_of = "cn=books\\, Inc.,O=Example";
    let (scene, _dir) = known_by(&ca, "tls_client_auth_subject_dn", text_of).await;
    let server = &scene.server;
    let listed = server.call(&scene.operator, "GET", "/v1/clients", None).await.json();
    let shown = listed["items"].as_array().unwrap().iter().find(|it| it["id"] == ID.1).unwrap();
    assert_eq!(shown["tls_client_auth_subject_dn"], "CN=books\\, Inc.,O=Example");
    let subject = |parts: &[(DnType, &str)]| {
        but(&params(server), |params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            for (kind, value) in parts {
                params.distinguished_name.push(kind.clone(), *value);
            }
        })
    };
    use DnType::{CommonName, OrganizationName, OrganizationalUnitName};
    let right = [(OrganizationName, "Example"), (CommonName, "books, Inc.")];
    assert_eq!(token(server, Some(&issued(&subject(&right), &ca))).await.status, 200);
    for (name, parts) in [
        ("nothing", &[][..]),
        ("less", &[(CommonName, "books, Inc.")]),
        ("more", &[right[0].clone(), (OrganizationalUnitName, "x"), right[1].clone()]),
        ("another order", &[right[1].clone(), right[0].clone()]),
        ("another case", &[right[0].clone(), (CommonName, "Books, Inc.")]),
        ("a name with the separators in it", &[(CommonName, "books\\, Inc.,O=Example")]),
        ("another kind", &[right[0].clone(), (OrganizationalUnitName, "books, Inc.")]),
    ] {
        let identity = issued(&subject(parts), &ca);
        assert_eq!(error(&token(server, Some(&identity)).await), invalid_client(), "{name}");
    }
    let other = issued(&subject(&right), &authority());
    assert_eq!(error(&token(server, Some(&other)).await), invalid_client(), "another authority's");
    for bad in ["", "books", "CN", "=books", "CN=books,", "CN=books,,O=x", "XX=books", "CN=#zz"] {
        let mut body = registration("tls_client_auth_subject_dn", bad.into());
        body["id"] = "other.example".into();
        let refused = entered(&scene, &body).await;
        assert_eq!(refused.problem(), "bad_value", "{bad}: {refused:?}");
    }
}

#[tokio::test]
async fn a_client_is_known_by_the_machine_or_the_mailbox_in_its_certificate() {
    let ca = authority();
    let with = |server: &Server, name: SanType| {
        issued(&but(&params(server), |params| params.subject_alt_names = vec![name]), &ca)
    };
    let mailbox = |text: &str| SanType::Rfc822Name(text.try_into().unwrap());
    let ip = |text: &str| SanType::IpAddress(text.parse().unwrap());
    for (member, name, right, wrong) in [
        ("tls_client_auth_san_ip", "192.0.2.7", ip("192.0.2.7"), ip("192.0.2.70")),
        ("tls_client_auth_san_ip", "2001:db8::7", ip("2001:db8::7"), ip("192.0.2.7")),
        (
            "tls_client_auth_san_email",
            "Api@Books.example",
            mailbox("Api@BOOKS.example"),
            mailbox("api@books.example"),
        ),
    ] {
        let (scene, _dir) = known_by(&ca, member, name).await;
        let server = &scene.server;
        assert_eq!(token(server, Some(&with(server, right))).await.status, 200, "{name}");
        for wrong in [wrong, SanType::DnsName(name.try_into().unwrap_or("x".try_into().unwrap()))] {
            let identity = with(server, wrong);
            assert_eq!(error(&token(server, Some(&identity)).await), invalid_client(), "{name}");
        }
        for bad in ["", "books.example", "0.0.0.0", "api@", "@books.example", "192.0.2.7/8"] {
            let mut body = registration(member, bad.into());
            body["id"] = "other.example".into();
            assert_eq!(entered(&scene, &body).await.problem(), "bad_value", "{member} {bad}");
        }
    }
}

/// What an authority has revoked, said for so many days.
fn revoked(
    server: &Server,
    serials: &[u64],
    days: i64,
    by: &CertifiedIssuer<'_, KeyPair>,
) -> rcgen::CertificateRevocationList {
    numbered_list(server, serials, days, (1, 2 * DAY), by)
}

/// The same, with this number, made so many seconds ago.
fn numbered_list(
    server: &Server,
    serials: &[u64],
    days: i64,
    age: (u64, i64),
    by: &CertifiedIssuer<'_, KeyPair>,
) -> rcgen::CertificateRevocationList {
    list_params(server, serials, days, age).signed_by(by).unwrap()
}

fn list_params(
    server: &Server,
    serials: &[u64],
    days: i64,
    (number, ago): (u64, i64),
) -> CertificateRevocationListParams {
    let now = i64::try_from(server.clock.now().unix_ms() / 1000).unwrap();
    let at = |seconds| time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    let one = |serial: &u64| RevokedCertParams {
        serial_number: (*serial).into(),
        revocation_time: at(now - DAY),
        reason_code: None,
        invalidity_date: None,
    };
    CertificateRevocationListParams {
        this_update: at(now - ago),
        next_update: at(now + days * DAY),
        crl_number: number.into(),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(one).collect(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    }
}

#[tokio::test]
async fn a_revoked_certificate_proves_nothing_any_more_and_no_restart_is_needed() {
    let (ca, dir) = (authority(), TempDir::new().unwrap());
    let (roots, list) = (dir.path().join("authorities.pem"), dir.path().join("revoked"));
    std::fs::write(&roots, ca.as_ref().pem()).unwrap();
    // The first list has to be of the server's time, which begins with the system's.
    let probe = Server::start().await;
    std::fs::write(&list, revoked(&probe, &[9], 3, &ca).pem().unwrap()).unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let mutual = MutualTls {
        listen,
        public_url: None,
        authorities: Some(roots),
        revocations: vec![list.clone()],
    };
    let scene = Scene::on(Server::start_mutual_with(mutual).await).await;
    let server = &scene.server;
    let body = registration("tls_client_auth_san_dns", "api.books.example".into());
    assert_eq!(entered(&scene, &body).await.status, 201);
    delegated(&scene).await;
    let numbered = |serial: u64| {
        let params = but(&named(server, "api.books.example"), |params| {
            params.serial_number = Some(serial.into());
        });
        issued(&params, &ca)
    };
    let (bad, good) = (numbered(9), numbered(7));
    assert_eq!(error(&token(server, Some(&bad)).await), invalid_client(), "revoked at the start");
    let answer = token(server, Some(&good)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let (bound, path) = (text(&answer.json(), "access_token").to_owned(), scene.balance_path());
    assert_eq!(read(server, Some(&good), &path, &bound).await.status, 200);

    let metric = async |line: &str| {
        let metrics = server.get("/metrics").await;
        String::from_utf8(metrics.body.to_vec()).unwrap().contains(line)
    };
    let seen = async |line: &str| {
        for _ in 0..500 {
            if metric(line).await {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("never: {line}");
    };
    // A file that is none changes nothing; nor does a list that somebody else signed open anything.
    std::fs::write(&list, "no list").unwrap();
    seen("tpw_client_revocations_rereads_total{outcome=\"refused\"} 1").await;
    assert_eq!(token(server, Some(&good)).await.status, 200);
    assert_eq!(error(&token(server, Some(&bad)).await), invalid_client());
    std::fs::write(&list, revoked(server, &[], 3, &authority()).der()).unwrap();
    seen("tpw_client_revocations_rereads_total{outcome=\"used\"} 1").await;
    assert_eq!(error(&token(server, Some(&good)).await), invalid_client(), "no list of its issuer");
    assert_eq!(error(&token(server, Some(&bad)).await), invalid_client());
    // A new list, in DER: what it names is refused, and so are its tokens.
    std::fs::write(&list, revoked(server, &[7], 3, &ca).der()).unwrap();
    seen("tpw_client_revocations_rereads_total{outcome=\"used\"} 2").await;
    assert_eq!(error(&token(server, Some(&good)).await), invalid_client());
    assert_eq!(read(server, Some(&good), &path, &bound).await.json()["reason"], "not_bound");
    assert_eq!(token(server, Some(&bad)).await.status, 200, "it is not on this list");
    // A list that has ended says nothing of anybody.
    server.clock.advance(Span::from_secs(4 * 24 * 3600));
    let fresh = numbered(11);
    assert_eq!(error(&token(server, Some(&fresh)).await), invalid_client(), "the list has ended");
    std::fs::write(&list, revoked(server, &[7], 3, &ca).der()).unwrap();
    seen("tpw_client_revocations_rereads_total{outcome=\"used\"} 3").await;
    assert_eq!(token(server, Some(&fresh)).await.status, 200);
}

/// A server with these files of lists, and the client `books` of a name in its certificates.
async fn listing(ca: &CertifiedIssuer<'_, KeyPair>, dir: &TempDir, lists: &[&[u8]]) -> Scene {
    let roots = dir.path().join("authorities.pem");
    std::fs::write(&roots, ca.as_ref().pem()).unwrap();
    let files = lists.iter().enumerate().map(|(place, bytes)| {
        let file = dir.path().join(format!("revoked-{place}"));
        std::fs::write(&file, bytes).unwrap();
        file
    });
    let mutual = MutualTls {
        listen: "127.0.0.1:0".parse().unwrap(),
        public_url: None,
        authorities: Some(roots),
        revocations: files.collect(),
    };
    let scene = Scene::on(Server::start_mutual_with(mutual).await).await;
    let body = registration("tls_client_auth_san_dns", "api.books.example".into());
    assert_eq!(entered(&scene, &body).await.status, 201);
    scene
}

#[tokio::test]
async fn of_two_lists_of_one_issuer_the_newer_one_counts() {
    let ca = authority();
    let probe = Server::start().await;
    let list = |serials: &[u64], age: (u64, i64)| numbered_list(&probe, serials, 3, age, &ca);
    let one_second = (list(&[], (255, DAY)), list(&[7], (256, DAY)));
    for (name, (old, new)) in [
        ("by its time", (list(&[], (2, 2 * DAY)), list(&[7], (3, DAY)))),
        ("by its time, whatever the number", (list(&[], (9, 2 * DAY)), list(&[7], (1, DAY)))),
        ("of one second by its number", one_second),
    ] {
        let (older, newer) = (old.pem().unwrap(), new.pem().unwrap());
        let (forth, back) = (format!("{older}{newer}"), format!("{newer}{older}"));
        for files in [
            &[forth.as_bytes()][..],
            &[back.as_bytes()],
            &[older.as_bytes(), newer.as_bytes()],
            &[new.der().as_ref(), old.der().as_ref()],
        ] {
            let dir = TempDir::new().unwrap();
            let scene = listing(&ca, &dir, files).await;
            let numbered = |serial: u64| {
                let named = named(&scene.server, "api.books.example");
                issued(&but(&named, |params| params.serial_number = Some(serial.into())), &ca)
            };
            let (bad, good) = (numbered(7), numbered(8));
            assert_eq!(error(&token(&scene.server, Some(&bad)).await), invalid_client(), "{name}");
            assert_eq!(token(&scene.server, Some(&good)).await.status, 200, "{name}");
        }
    }
}

/// Each may be about the certificate, and none takes another's place, so that each has to say that it is good: whichever comes first,
/// and whichever is newer. Who names no place may be in any.
#[tokio::test]
async fn what_one_of_several_lists_of_an_issuer_names_is_revoked() {
    let ca = authority();
    let probe = Server::start().await;
    let point =
        |place: &str| CrlDistributionPoint { uris: vec![format!("http://ca.example/{place}.crl")] };
    let list = |serials: &[u64], age: (u64, i64), place: Option<&str>| {
        let mut params = list_params(&probe, serials, 3, age);
        params.issuing_distribution_point = place
            .map(|it| CrlIssuingDistributionPoint { distribution_point: point(it), scope: None });
        params.signed_by(&ca).unwrap().pem().unwrap()
    };
    for (one, other) in [(None, Some("a")), (Some("a"), None), (Some("a"), Some("b"))] {
        let naming = list(&[7], (1, 2 * DAY), one);
        let newer = list(&[], (2, DAY), other);
        for file in [format!("{naming}{newer}"), format!("{newer}{naming}")] {
            let dir = TempDir::new().unwrap();
            let scene = listing(&ca, &dir, &[file.as_bytes()]).await;
            let numbered = |serial: u64, place: Option<&str>| {
                let params = but(&named(&scene.server, "api.books.example"), |params| {
                    params.serial_number = Some(serial.into());
                    params.crl_distribution_points = place.map(point).into_iter().collect();
                });
                issued(&params, &ca)
            };
            for place in [None, Some("a")] {
                let (bad, good) = (numbered(7, place), numbered(8, place));
                let told = error(&token(&scene.server, Some(&bad)).await);
                assert_eq!(told, invalid_client(), "{one:?} {other:?} {place:?}");
                assert_eq!(token(&scene.server, Some(&good)).await.status, 200);
            }
            // What is named in another place's list alone is another one's.
            if other == Some("b") {
                let elsewhere = numbered(7, Some("b"));
                assert_eq!(token(&scene.server, Some(&elsewhere)).await.status, 200);
                let nowhere = numbered(8, Some("c"));
                assert_eq!(error(&token(&scene.server, Some(&nowhere)).await), invalid_client());
            }
        }
    }
}

#[tokio::test]
async fn an_older_list_takes_no_newer_ones_place() {
    let (ca, dir, probe) = (authority(), TempDir::new().unwrap(), Server::start().await);
    let list = |serials: &[u64], age: (u64, i64)| {
        numbered_list(&probe, serials, 3, age, &ca).pem().unwrap()
    };
    let (yesterday, today) = (list(&[], (1, 2 * DAY)), list(&[7], (2, DAY)));
    let scene = listing(&ca, &dir, &[today.as_bytes()]).await;
    let server = &scene.server;
    let params = but(&named(server, "api.books.example"), |params| {
        params.serial_number = Some(7.into());
    });
    let bad = issued(&params, &ca);
    assert_eq!(error(&token(server, Some(&bad)).await), invalid_client());
    let file = dir.path().join("revoked-0");
    let seen = async |line: &str| {
        for _ in 0..500 {
            let metrics = server.get("/metrics").await;
            if String::from_utf8(metrics.body.to_vec()).unwrap().contains(line) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("never: {line}");
    };
    std::fs::write(&file, &yesterday).unwrap();
    seen("tpw_client_revocations_rereads_total{outcome=\"older\"} 1").await;
    assert_eq!(error(&token(server, Some(&bad)).await), invalid_client(), "the older one");
    // Two of one age that say different things: which one holds cannot be told.
    std::fs::write(&file, format!("{}{}", list(&[], (3, 60)), list(&[7], (3, 60)))).unwrap();
    seen("tpw_client_revocations_rereads_total{outcome=\"refused\"} 1").await;
    assert_eq!(error(&token(server, Some(&bad)).await), invalid_client(), "neither");
    // One from tomorrow would keep out all of today's.
    std::fs::write(&file, list(&[], (9, -DAY))).unwrap();
    seen("tpw_client_revocations_rereads_total{outcome=\"refused\"} 2").await;
    std::fs::write(&file, list(&[], (4, 60))).unwrap();
    seen("tpw_client_revocations_rereads_total{outcome=\"used\"} 1").await;
    assert_eq!(token(server, Some(&bad)).await.status, 200, "a newer one that lets it go on");
}

#[tokio::test]
async fn the_code_flow_with_a_certificate_and_its_renewal() {
    let scene = Scene::on(Server::start_mutual(None).await).await;
    let server = &scene.server;
    let (old, new) = (self_made(&params(server)), self_made(&params(server)));
    let body = registration("certificates", json!([old.x5c(), new.x5c()]));
    assert_eq!(entered(&scene, &body).await.status, 201);
    let verifier = drawn();
    let challenge = encode(&sha256(verifier.as_bytes()));
    let form = [
        ID,
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("scope", "balance:read"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    let pushed = ask(server, Some(&old), "/oauth/par", &form).await;
    assert_eq!(pushed.status, 201, "{pushed:?}");
    let uri = text(&pushed.json(), "request_uri").to_owned();
    let path = format!("/oauth/authorize?{}", encoded(&[ID, ("request_uri", &uri)]));
    let browser = Browser::default();
    let shown = browser.code(server, &path).await;
    let mut approval = scene.approval();
    approval["client"] = ID.1.into();
    let approve = format!("/v1/grants/{shown}:approve");
    let approved = server.call(&scene.ann, "POST", &approve, Some(&approval)).await;
    assert_eq!(approved.status, 200, "{approved:?}");
    let (_, pairs) = sent_to(&browser.visit(server, &path).await);
    let form = [
        ID,
        ("grant_type", "authorization_code"),
        ("code", value(&pairs, "code").unwrap()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", &verifier),
    ];
    let first = ask(server, Some(&old), "/oauth/token", &form).await.json();
    let path = scene.balance_path();
    let access = text(&first, "access_token");
    assert_eq!(read(server, Some(&old), &path, access).await.status, 200);
    assert_eq!(read(server, Some(&new), &path, access).await.problem(), "bad_token");
    // What was approved outlives a certificate: the client proves itself by the next one.
    let form =
        [ID, ("grant_type", "refresh_token"), ("refresh_token", text(&first, "refresh_token"))];
    let second = ask(server, Some(&new), "/oauth/token", &form).await;
    assert_eq!(second.status, 200, "{second:?}");
    let access = text(&second.json(), "access_token").to_owned();
    assert_eq!(read(server, Some(&new), &path, &access).await.status, 200);
    let again = ask(server, Some(&new), "/oauth/token", &form).await;
    assert_eq!(error(&again), (400, "invalid_grant".to_owned()), "used twice");
    assert_eq!(read(server, Some(&new), &path, &access).await.problem(), "bad_token");
}

#[tokio::test]
async fn an_exchanged_token_is_bound_to_the_certificate_that_asked_for_it() {
    let (scene, identity) = certified().await;
    let server = &scene.server;
    let whole = token(server, Some(&identity)).await.json();
    let resource = format!("{}{}", server.url, scene.balance_path());
    let form = [
        ID,
        ("grant_type", EXCHANGE),
        ("subject_token", text(&whole, "access_token")),
        ("subject_token_type", crate::oauth_scene::ACCESS_TOKEN),
        ("resource", resource.as_str()),
    ];
    let part = ask(server, Some(&identity), "/oauth/token", &form).await.json();
    let part = text(&part, "access_token");
    assert_eq!(read(server, Some(&identity), &scene.balance_path(), part).await.status, 200);
    let bobs = read(server, Some(&identity), &path_of(scene.bob.account()), part).await;
    assert_eq!(bobs.problem(), "unknown_account");
    assert_eq!(read(server, None, &scene.balance_path(), part).await.json()["reason"], "not_bound");
}

#[tokio::test]
async fn who_signs_may_bind_its_tokens_to_a_certificate_too() {
    let (scene, _) = certified().await;
    let (server, books) = (&scene.server, &scene.books);
    scene.delegated(&["balance:read"]).await;
    // Any certificate: who the client is, its assertion says.
    let any = self_made(&params(server));
    let assertion = books.assertion(server);
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion.as_str()),
    ];
    let answer = ask(server, Some(&any), "/oauth/token", &form).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = text(&answer.json(), "access_token").to_owned();
    assert_eq!(read(server, Some(&any), &scene.balance_path(), &token).await.status, 200);
    assert_eq!(read(server, None, &scene.balance_path(), &token).await.problem(), "bad_token");
    let over = but(&params(server), |p| p.not_after = p.not_before);
    let assertion = books.assertion(server);
    let form = [form[0], form[1], ("client_assertion", assertion.as_str())];
    let answer = ask(server, Some(&self_made(&over)), "/oauth/token", &form).await;
    assert_eq!(error(&answer), invalid_client());
}

/// A session that is resumed brings the certificate of the one before and no other; what it is worth is judged anew.
#[tokio::test]
async fn a_resumed_session_has_the_certificate_of_its_own_port() {
    let (scene, identity) = certified().await;
    let server = &scene.server;
    let (addr, _) = *server.mutual.as_ref().unwrap();
    let kind = |stream: &TlsStream<TcpStream>| stream.get_ref().1.handshake_kind();
    let path = scene.balance_path();
    let own = connector(server, Some(&identity));
    // The session of the port without certificates is none on the other.
    let plain = connected(&own, server.addr).await;
    let livez = || Request::get("/livez");
    assert_eq!(sent(plain, server.addr, livez(), String::new()).await.status, 200);
    let first = connected(&own, addr).await;
    assert_eq!(kind(&first), Some(HandshakeKind::Full));
    assert_eq!(sent(first, addr, livez(), String::new()).await.status, 200);
    let given = token(server, Some(&identity)).await.json();
    let bearer = format!("Bearer {}", text(&given, "access_token"));
    let read = || Request::get(&path).header("authorization", &bearer);
    let resumed = connected(&own, addr).await;
    assert_eq!(kind(&resumed), Some(HandshakeKind::Resumed));
    assert_eq!(sent(resumed, addr, read(), String::new()).await.status, 200);
    // One that began without a certificate has none when it is resumed.
    let none = connector(server, None);
    let stream = connected(&none, addr).await;
    assert_eq!(sent(stream, addr, livez(), String::new()).await.status, 200);
    let resumed = connected(&none, addr).await;
    assert_eq!(kind(&resumed), Some(HandshakeKind::Resumed));
    assert_eq!(sent(resumed, addr, read(), String::new()).await.json()["reason"], "not_bound");
    // A client that was removed meanwhile resumes, and is nobody.
    let stream = connected(&own, addr).await;
    let remove = format!("/v1/clients/{}", ID.1);
    assert_eq!(server.call(&scene.operator, "DELETE", &remove, None).await.status, 200);
    assert_eq!(sent(stream, addr, read(), String::new()).await.problem(), "bad_token");
}

#[tokio::test]
async fn a_client_has_one_way_to_prove_itself() {
    let scene = Scene::on(Server::start_mutual(None).await).await;
    let identity = self_made(&params(&scene.server));
    let right = registration("certificates", json!([identity.x5c()]));
    for (member, bad) in [
        ("jwks", Program::new("x.example").registration()["jwks"].clone()),
        ("tls_client_auth_san_dns", json!("books.example")),
        ("tls_client_auth_san_uri", json!("https://books.example/")),
        ("certificates", json!([])),
        ("certificates", json!([identity.x5c(), identity.x5c()])),
        ("certificates", json!(["AAAA"])),
        ("certificates", json!([identity.x5c().replace('A', "-")])),
    ] {
        let mut body = right.clone();
        body[member] = bad.clone();
        assert_eq!(entered(&scene, &body).await.problem(), "bad_value", "{member} {bad}");
    }
    for name in ["*.example", "books.example/x", ""] {
        let body = registration("tls_client_auth_san_dns", name.into());
        assert_eq!(entered(&scene, &body).await.problem(), "bad_value", "{name}");
    }
    let added = entered(&scene, &right).await;
    assert_eq!(added.json()["certificates"], json!([identity.thumbprint()]));
    let mut shown = added.shown();
    shown["body"]["certificates"] = json!(["[thumbprint]"]);
    assert_json_snapshot!("client_with_certificate", shown);
    assert_eq!(entered(&scene, &right).await.status, 200, "the same once more");
}

#[tokio::test]
async fn the_server_says_where_certificates_are_taken() {
    let ca = authority();
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("authorities.pem");
    std::fs::write(&file, ca.as_ref().pem()).unwrap();
    let server = Server::start_mutual(Some(file)).await;
    let metadata = server.get("/.well-known/oauth-authorization-server").await.json();
    let (_, url) = server.mutual.as_ref().unwrap();
    let aliases = &metadata["mtls_endpoint_aliases"];
    for (endpoint, path) in [
        ("token_endpoint", "token"),
        ("pushed_authorization_request_endpoint", "par"),
        ("introspection_endpoint", "introspect"),
        ("revocation_endpoint", "revoke"),
    ] {
        assert_eq!(text(aliases, endpoint), format!("{url}/oauth/{path}"));
    }
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
    let methods = json!(["private_key_jwt", "self_signed_tls_client_auth", "tls_client_auth"]);
    assert_eq!(metadata["token_endpoint_auth_methods_supported"], methods);
    let plain = Server::start().await;
    let metadata = plain.get("/.well-known/oauth-authorization-server").await.json();
    assert!(metadata.get("mtls_endpoint_aliases").is_none());
    assert_eq!(metadata["token_endpoint_auth_methods_supported"], json!(["private_key_jwt"]));
}
