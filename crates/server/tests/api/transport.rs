//! Below the API: TLS, slow clients, large heads, and a clean end.

use crate::support::{Server, connect, connector, limits};
use core::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tpw_core::Span;
use tpw_engines::clock::Clock as _;
use tpw_server::{Limits, development_certificate_path};

fn pem(server: &Server) -> Vec<u8> {
    std::fs::read(development_certificate_path(server.dir.path())).unwrap()
}

#[tokio::test]
async fn only_tls_1_3_with_a_post_quantum_key_exchange() {
    let server = Server::start().await;
    let stream = server.connect().await;
    let connection = stream.get_ref().1;
    assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let group = connection.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    let old = connector(&pem(&server), &rustls::version::TLS12, &[b"http/1.1"]);
    assert!(connect(&old, server.addr).await.is_err(), "TLS 1.2 is refused");
    // Clear text gets no answer in HTTP.
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _closed = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[tokio::test]
async fn http_2_is_spoken_when_asked_for() {
    let server = Server::start().await;
    let second = connector(&pem(&server), &rustls::version::TLS13, &[b"h2"]);
    let stream = connect(&second, server.addr).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, String>(executor, io).await.unwrap();
    tokio::spawn(connection);
    let uri = format!("https://{}/livez", server.addr);
    let request = axum::http::Request::get(uri).body(String::new()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
}

/// The bounds of HTTP/1 hold for HTTP/2: heads, bodies, media types, fields that are none.
#[tokio::test]
async fn http_2_is_bounded_as_http_1_is() {
    let server = Server::start().await;
    let second = connector(&pem(&server), &rustls::version::TLS13, &[b"h2"]);
    let stream = connect(&second, server.addr).await.unwrap();
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, String>(executor, io).await.unwrap();
    tokio::spawn(connection);
    let send = |method: &str, path: &str, field: (&str, String), body: String| {
        let uri = format!("https://{}{path}", server.addr);
        let request = axum::http::Request::builder().method(method).uri(uri);
        let request = request.header(field.0, field.1).body(body).unwrap();
        let mut sender = sender.clone();
        async move { sender.send_request(request).await.map(|answer| answer.status().as_u16()).ok() }
    };
    let none = String::new;
    let large = send("GET", "/livez", ("x-large", "x".repeat(40_000)), none()).await;
    assert!(matches!(large, None | Some(431)), "{large:?}");
    let json = || ("content-type", "application/json".to_owned());
    let body = send("POST", "/v1/devices", json(), " ".repeat(1 << 20)).await;
    assert!(matches!(body, Some(401 | 413)), "{body:?}");
    let kind = ("content-type", "text/plain".to_owned());
    assert_eq!(send("POST", "/oauth/token", kind, "x".to_owned()).await, Some(400));
    assert_eq!(send("PATCH", "/v1/payments", json(), none()).await, Some(405));
    assert_eq!(send("GET", "//livez", json(), none()).await, Some(404));
    // The connection serves others meanwhile and afterwards, many at once.
    let calls = (0..300).map(|_| send("GET", "/livez", json(), none()));
    for answer in all_at_once(calls).await {
        assert_eq!(answer, Some(200));
    }
}

/// Each answer, of calls that are made together.
async fn all_at_once<F: Future<Output: Send + 'static> + Send + 'static>(
    calls: impl Iterator<Item = F>,
) -> Vec<F::Output> {
    let running: Vec<_> = calls.map(tokio::spawn).collect();
    let mut done = Vec::new();
    for one in running {
        done.push(one.await.unwrap());
    }
    done
}

#[tokio::test]
async fn a_slow_client_is_cut_off() {
    let mut limits = limits();
    limits.head_time = Duration::from_millis(300);
    limits.body_time = Duration::from_millis(300);
    limits.handshake_time = Duration::from_millis(300);
    let server = Server::start_with(limits).await;
    let patience = Duration::from_secs(5);

    // No handshake at all.
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(patience, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.is_empty());

    // A head that never ends, byte by byte.
    let (mut reading, mut writing) = tokio::io::split(server.connect().await);
    let dripping = tokio::spawn(async move {
        for byte in b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter().cycle() {
            if writing.write_all(&[*byte]).await.is_err() || writing.flush().await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = Vec::new();
    let _closed = tokio::time::timeout(patience, reading.read_to_end(&mut answer)).await.unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    dripping.abort();

    // A body that never comes.
    let mut stream = server.connect().await;
    let head = "POST /v1/payments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Idempotency-Key: x\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(patience, stream.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(server.get("/livez").await.status, 200, "others are served");
}

const LIVEZ: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn one_network_does_not_get_all_connections() {
    let limits = Limits { connections: 4, connections_of_one: 2, ..limits() };
    let server = Server::start_with(limits).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(server.connect_from("127.0.0.3").await.unwrap());
    }
    assert!(server.connect_from("127.0.0.3").await.is_err(), "the third one of a network");
    let other = server.ask_from("127.0.0.4", LIVEZ).await.unwrap();
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
    drop(held.pop());
    // The server learns of the end of a connection a little later.
    let mut again = server.ask_from("127.0.0.3", LIVEZ).await;
    for _ in 0..100 {
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        again = server.ask_from("127.0.0.3", LIVEZ).await;
    }
    assert!(again.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn one_network_does_not_get_all_requests() {
    let limits = Limits { requests: 2, requests_of_one: 1, ..limits() };
    let server = Server::start_with(limits).await;
    let mut slow = server.connect_from("127.0.0.3").await.unwrap();
    let head = "POST /v1/payments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Idempotency-Key: x\r\nContent-Length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.flush().await.unwrap();
    let mut answer = String::new();
    for _ in 0..100 {
        answer = server.ask_from("127.0.0.3", LIVEZ).await.unwrap();
        if answer.starts_with("HTTP/1.1 503") {
            break;
        }
    }
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("\"code\":\"busy\""), "{answer}");
    let other = server.ask_from("127.0.0.4", LIVEZ).await.unwrap();
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
}

#[tokio::test]
async fn a_connection_of_http_2_without_requests_is_closed() {
    let limits = Limits { idle_time: Duration::from_millis(300), ..limits() };
    let server = Server::start_with(limits).await;
    let second = connector(&pem(&server), &rustls::version::TLS13, &[b"h2"]);
    let stream = connect(&second, server.addr).await.unwrap();
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, String>(executor, io).await.unwrap();
    let connection = tokio::spawn(connection);
    let uri = format!("https://{}/livez", server.addr);
    let began = std::time::Instant::now();
    // Used connections stay for longer than the bound.
    while began.elapsed() < Duration::from_millis(500) {
        let request = axum::http::Request::get(&uri).body(String::new()).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let patience = Duration::from_secs(5);
    let ended = tokio::time::timeout(patience, connection).await.unwrap().unwrap();
    assert!(ended.is_ok(), "it ends as HTTP/2 does it: {ended:?}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let head = format!("GET /livez HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "x".repeat(40_000));
    let _cut_off = stream.write_all(head.as_bytes()).await;
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap_or(0);
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(read == 0 || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_stopped_server_ends_open_connections() {
    let server = Server::start().await;
    let addr = server.addr;
    let mut idle = server.connect().await;
    let began = std::time::Instant::now();
    let (engine, _dir) = server.stop().await;
    engine.close();
    assert!(began.elapsed() < Duration::from_secs(9), "idle connections do not hold it up");
    let mut rest = Vec::new();
    let _closed = tokio::time::timeout(Duration::from_secs(5), idle.read_to_end(&mut rest)).await;
    assert!(TcpStream::connect(addr).await.is_err(), "the port is free");
}

#[tokio::test]
async fn the_development_certificate_says_what_it_is_and_is_kept() {
    let server = Server::start().await;
    let first = pem(&server);
    let der = {
        use rustls_pki_types::pem::PemObject as _;
        rustls_pki_types::CertificateDer::from_pem_slice(&first).unwrap()
    };
    let name = tpw_server::DEVELOPMENT_NAME.as_bytes();
    assert!(der.windows(name.len()).any(|window| window == name));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let key = server.dir.path().join("development-certificate.key");
        assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_certificate_from_files_is_used_and_a_wrong_one_is_named() {
    use tpw_server::{ServeOptions, Tls, serve};
    let server = Server::start().await;
    let options = |certificate: &str, key: &str| ServeOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: Tls::Files {
            certificate: server.dir.path().join(certificate),
            key: server.dir.path().join(key),
        },
        public_url: None,
        mutual: None,
        passkey_anchors: None,
        networks: Vec::new(),
        zone: None,
        limits: limits(),
        shadow: None,
    };
    let (chain, key) = ("development-certificate.pem", "development-certificate.key");
    let start = async |options| {
        let never = core::future::pending();
        serve(server.engine.clone(), options, never).await.map_err(|error| error.to_string())
    };
    let bound = start(options(chain, key)).await.unwrap();
    let trusting = connector(&pem(&server), &rustls::version::TLS13, &[b"http/1.1"]);
    assert!(connect(&trusting, bound.addr()).await.is_ok());
    for (certificate, key, said) in [
        ("absent.pem", key, "there is no file"),
        (chain, "absent.key", "there is no file"),
        (key, key, "does not hold what is needed in PEM form"),
        (chain, chain, "does not hold what is needed in PEM form"),
        (chain, "operator.key", "does not hold what is needed in PEM form"),
    ] {
        let error = start(options(certificate, key)).await.unwrap_err();
        assert!(error.contains(said), "{certificate}, {key}: {error}");
    }
    for url in ["http://pay.example", "pay.example", "https://pay.example/path", "https://"] {
        let options = ServeOptions { public_url: Some(url.to_owned()), ..options(chain, key) };
        let error = start(options).await.unwrap_err();
        assert!(error.contains("no public address"), "{url}: {error}");
    }
    let taken = ServeOptions { listen: server.addr, ..options(chain, key) };
    assert!(start(taken).await.unwrap_err().contains("cannot listen on"));
}

type Pair = (rcgen::Certificate, rcgen::KeyPair);

/// A self-made certificate for `localhost` until then.
fn pair(server: &Server, ends: tpw_core::Instant) -> Pair {
    let at = |at: tpw_core::Instant| {
        let seconds = i64::try_from(at.unix_ms() / 1000).unwrap();
        time::OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    };
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = at(server.clock.now().minus(Span::from_secs(7200)));
    params.not_after = at(ends);
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap(), key)
}

/// A second door to a server, with a certificate from files.
struct Door {
    dir: tempfile::TempDir,
    bound: tpw_server::Bound,
}

impl Door {
    async fn open(server: &Server, first: &Pair) -> Self {
        let dir = tempfile::TempDir::new().unwrap();
        write(&dir, &first.0.pem(), &first.1.serialize_pem());
        let (certificate, key) = (dir.path().join("server.pem"), dir.path().join("server.key"));
        let options = tpw_server::ServeOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: tpw_server::Tls::Files { certificate, key },
            public_url: None,
            mutual: None,
            passkey_anchors: None,
            networks: Vec::new(),
            zone: None,
            limits: Limits { certificate_time: Duration::from_millis(20), ..limits() },
            shadow: None,
        };
        let never = core::future::pending();
        let bound = tpw_server::serve(server.engine.clone(), options, never).await.unwrap();
        Self { dir, bound }
    }

    /// Whoever trusts one certificate alone connects exactly while it is shown.
    async fn shows(&self, pair: &Pair) -> Option<TlsStream<TcpStream>> {
        let trusting = connector(pair.0.pem().as_bytes(), &rustls::version::TLS13, &[b"http/1.1"]);
        connect(&trusting, self.bound.addr()).await.ok()
    }

    async fn soon_shows(&self, pair: &Pair) -> bool {
        for _ in 0..500 {
            if self.shows(pair).await.is_some() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    /// New pairs that could not be used, as the metrics count them.
    async fn refused(&self, by: &Pair) -> u64 {
        let mut stream = self.shows(by).await.unwrap();
        let ask = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let text = String::from_utf8(answer).unwrap();
        let name = "tpw_tls_certificate_renewals_total{outcome=\"refused\"} ";
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.parse().unwrap()
    }
}

fn write(dir: &tempfile::TempDir, certificate: &str, key: &str) {
    std::fs::write(dir.path().join("server.pem"), certificate).unwrap();
    std::fs::write(dir.path().join("server.key"), key).unwrap();
}

/// Goal: who renews a certificate does not stop the server, and who breaks it does not either.
#[tokio::test]
async fn a_certificate_is_renewed_without_a_restart_and_a_broken_one_changes_nothing() {
    let server = Server::start().await;
    let now = server.clock.now();
    let tomorrow = now.plus(Span::from_secs(86_400));
    let [first, second, third] = [(); 3].map(|()| pair(&server, tomorrow));
    let expired = pair(&server, now.minus(Span::from_secs(3600)));
    let door = Door::open(&server, &first).await;
    let mut open = door.shows(&first).await.unwrap();
    assert!(door.shows(&second).await.is_none());
    write(&door.dir, &second.0.pem(), &second.1.serialize_pem());
    assert!(door.soon_shows(&second).await, "the new certificate is shown");
    assert!(door.shows(&first).await.is_none());
    open.write_all(LIVEZ.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    open.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "open connections go on");
    for (name, certificate, key) in [
        ("no certificate", "x".to_owned(), third.1.serialize_pem()),
        ("another one's key", third.0.pem(), first.1.serialize_pem()),
        ("expired", expired.0.pem(), expired.1.serialize_pem()),
    ] {
        let before = door.refused(&second).await;
        write(&door.dir, &certificate, &key);
        let mut refused = before;
        for _ in 0..500 {
            refused = door.refused(&second).await;
            if refused > before {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(refused > before, "{name}: it is counted, and the one before is shown");
    }
    write(&door.dir, &third.0.pem(), &third.1.serialize_pem());
    assert!(door.soon_shows(&third).await, "and a good one after that");
}

/// Requests that two readers could take for different ones, or that lead where no route is.
#[tokio::test]
async fn odd_requests_are_refused_at_the_door() {
    let server = Server::start().await;
    let many = "X-Many: 1\r\n".repeat(101);
    let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = format!(
        "POST /v1/challenges HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{nested}",
        nested.len()
    );
    for (name, request, statuses) in [
        ("two lengths", "POST /v1/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(), &[400][..]),
        ("a length and chunks", "POST /v1/payments HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n".to_owned(), &[400, 415]),
        ("an unknown coding", "POST /v1/payments HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\n".to_owned(), &[400]),
        ("a chunk of a huge size", "POST /v1/payments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nIdempotency-Key: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nffffffffffffffffff\r\n".to_owned(), &[400, 422]),
        ("a space before the colon", "GET /livez HTTP/1.1\r\nHost : localhost\r\n\r\n".to_owned(), &[400]),
        ("a folded field", "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\n 2\r\n\r\n".to_owned(), &[400]),
        ("a bare line feed in a field", "GET /livez HTTP/1.1\r\nHost: local\nhost: x\0\r\n\r\n".to_owned(), &[400]),
        ("too many fields", format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), &[431]),
        ("an odd method", "G\0T /livez HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), &[400]),
        ("an unknown version", "GET /livez HTTP/3.0\r\nHost: localhost\r\n\r\n".to_owned(), &[400, 505]),
        ("TRACE", "TRACE /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), &[405]),
        ("CONNECT", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\nConnection: close\r\n\r\n".to_owned(), &[400, 404, 405]),
        ("OPTIONS of all", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), &[400, 404]),
        ("a path of another server", "GET http://evil.example/v1/nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), &[404]),
        ("a NUL in a path", "GET /v1/log/%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), &[404]),
        ("a backslash", "GET /v1/log/..\\..\\operator.key HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), &[400, 404]),
        ("a path twice encoded", "GET /v1/log/%252e%252e/operator.key HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), &[404]),
        ("a matrix parameter", "GET /livez;x=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), &[404]),
        ("a second slash", "GET //livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), &[404]),
        ("deep JSON", deep, &[400, 401, 413]),
    ] {
        let mut stream = server.connect().await;
        let _cut_off = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        // Who is cut off in the middle of a request has had the answer before.
        let _cut_off = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|word| word.parse::<u16>().ok());
        let status = status.unwrap_or_else(|| panic!("{name}: {answer}"));
        assert!(statuses.contains(&status), "{name}: {answer}");
        assert!(!answer.contains("operator"), "{name}");
    }
    assert_eq!(server.get("/livez").await.status, 200);
}

/// What browsers are told to do, on every answer: also on refusals and on pages.
#[tokio::test]
async fn every_answer_keeps_browsers_on_tls_and_lets_no_other_site_read_it() {
    let server = Server::start().await;
    let cross = [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
    for (method, path) in [
        ("GET", "/livez"),
        ("GET", "/nowhere"),
        ("PUT", "/v1/payments"),
        ("OPTIONS", "/v1/payments"),
        ("GET", "/verify"),
        ("GET", "/oauth/authorize"),
        ("POST", "/oauth/token"),
        ("GET", "/.well-known/oauth-authorization-server"),
    ] {
        let answer = server.send(method, path, &cross, Vec::new()).await;
        assert_eq!(answer.header("strict-transport-security"), Some("max-age=63072000"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        let allowed: Vec<_> = answer
            .headers
            .keys()
            .filter(|name| name.as_str().starts_with("access-control-"))
            .collect();
        assert!(allowed.is_empty(), "{method} {path}: {allowed:?}");
    }
}
