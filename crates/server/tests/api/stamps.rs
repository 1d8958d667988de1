//! Goal: `POST /tsa` is an RFC 3161 authority that stock clients can use, and it never gives a time that it does not know.
//!
//! Method: requests of `openssl ts` and requests with one thing wrong, over real TLS; the clock's error is set by the test.

use super::support::{Answer, Server, limits};
use std::path::Path;
use std::process::Command;
use tpw_core::Span;
use tpw_proof::timestamp::{
    CertificateWish, Imprint, Query, VerifiedTimestamp, certificate_pem, info, verify_answer,
};
use tpw_server::Rate;

const POLICY: &str = "1.3.6.1.4.1.32473.1.1";
const SECONDS: &str = "1.3.6.1.4.1.32473.1.2";
const TYPE: [(&str, &str); 1] = [("content-type", "application/timestamp-query")];

fn query(policy: Option<&str>) -> Query {
    Query {
        imprint: Imprint { function: tpw_crypto::Sha2::Sha256, hash: vec![7; 32] },
        policy: policy.map(str::to_owned),
        nonce: Some(vec![1, 2, 3, 4, 5, 6, 7, 8]),
        wish: CertificateWish::Embedded,
    }
}

async fn ask(server: &Server, request: &[u8]) -> Answer {
    server.send("POST", "/tsa", &TYPE, request.to_vec()).await
}

/// What a good answer proves.
async fn stamp(server: &Server, request: &[u8]) -> VerifiedTimestamp {
    let answer = ask(server, request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/timestamp-reply"));
    let policies = [POLICY.to_owned(), SECONDS.to_owned()];
    verify_answer(&answer.body, request, &server.engine.trust().tsa_roots, &policies).unwrap()
}

/// The HTTP status and the failure bits of a refusal.
async fn refused(server: &Server, request: &[u8]) -> (u16, Vec<u8>) {
    failure(&ask(server, request).await)
}

fn failure(answer: &Answer) -> (u16, Vec<u8>) {
    assert_eq!(answer.header("content-type"), Some("application/timestamp-reply"), "{answer:?}");
    let summary = info(&answer.body).unwrap();
    assert_eq!((summary.status, summary.token), (2, None));
    assert!(summary.status_text.iter().all(|text| !text.is_empty()));
    assert_eq!(summary.status_text.len(), 1);
    (answer.status.as_u16(), summary.failure)
}

/// A request, whose length has one byte, with something more at its end.
fn with_end(request: &[u8], end: &[u8]) -> Vec<u8> {
    let mut longer = [request, end].concat();
    longer[1] = u8::try_from(longer.len() - 2).unwrap();
    assert!(longer[1] < 0x80);
    longer
}

#[tokio::test]
async fn each_refusal_is_a_response_with_its_bit() {
    let server = Server::start().await;
    let good = query(None).to_der().unwrap();
    stamp(&server, &good).await;
    // SHA-256 by its last byte; version 2; a policy of nobody here; an unknown extension; a hash too short.
    let sha224 = [&good[..19], &[4], &good[20..]].concat();
    assert_eq!((good[19], refused(&server, &sha224).await), (1, (200, vec![0])));
    let version = [&good[..4], &[2], &good[5..]].concat();
    assert_eq!((good[4], refused(&server, &version).await), (1, (200, vec![2])));
    assert_eq!(refused(&server, b"GET / HTTP/1.1").await, (200, vec![5]));
    assert_eq!(refused(&server, b"").await, (200, vec![5]));
    assert_eq!(refused(&server, &good[..good.len() - 1]).await, (200, vec![5]));
    let other = query(Some("1.3.6.1.4.1.32473.1.3")).to_der().unwrap();
    assert_eq!(refused(&server, &other).await, (200, vec![15]));
    let extension = [0xa0, 9, 0x30, 7, 0x06, 2, 0x2a, 0x03, 0x04, 1, 0];
    assert_eq!(refused(&server, &with_end(&good, &extension)).await, (200, vec![16]));
    assert_eq!(refused(&server, &[0x30; 4097]).await, (413, vec![2]));
    assert_eq!(refused(&server, &[0x30; 4096]).await, (200, vec![5]));
    // The authority's certificate has expired: it cannot sign any more.
    server.clock.advance(Span::from_secs(11 * 365 * 24 * 3600));
    assert_eq!(refused(&server, &good).await, (200, vec![25]));
}

#[tokio::test]
async fn other_types_and_methods_are_no_requests_for_time_stamps() {
    let server = Server::start().await;
    let good = query(None).to_der().unwrap();
    for wrong in [&[("content-type", "application/octet-stream")][..], &[]] {
        let answer = server.send("POST", "/tsa", wrong, good.clone()).await;
        let expected = (415, "unsupported_media_type".to_owned());
        assert_eq!((answer.status.as_u16(), answer.problem()), expected);
    }
    let get = server.send("GET", "/tsa", &TYPE, Vec::new()).await;
    assert_eq!((get.status.as_u16(), get.problem().as_str()), (405, "method_not_allowed"));
    for same in ["Application/Timestamp-Query", "application/timestamp-query; x=\"y\""] {
        let answer = server.send("POST", "/tsa", &[("content-type", same)], good.clone()).await;
        assert_eq!(info(&answer.body).unwrap().status, 0, "{same}");
    }
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_so_in_a_response() {
    let mut limits = limits();
    limits.timestamps = Rate::new(1, 1);
    let server = Server::start_with(limits).await;
    let good = query(None).to_der().unwrap();
    stamp(&server, &good).await;
    let late = ask(&server, &good).await;
    assert_eq!(failure(&late), (429, vec![25]));
    assert!(late.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    let headers = [TYPE[0], ("accept-language", "zh-CN")];
    let chinese = server.send("POST", "/tsa", &headers, good.clone()).await;
    let words = info(&chinese.body).unwrap().status_text.concat();
    assert!(!words.is_ascii(), "{words}");

    let mut limits = self::limits();
    limits.per_address = Rate::new(1, 1);
    let server = Server::start_with(limits).await;
    assert_eq!(server.get("/livez").await.status, 200);
    assert_eq!(refused(&server, &good).await, (429, vec![25]));
}

#[tokio::test]
async fn the_accuracy_is_the_error_of_the_clock_and_beyond_the_declared_one_there_is_no_time() {
    let server = Server::start().await;
    let (good, whole) = (query(None).to_der().unwrap(), query(Some(SECONDS)).to_der().unwrap());
    for error_ms in [1, 37, 1_000] {
        server.clock.pretend_error(Some(Span::from_ms(error_ms)));
        let exact = stamp(&server, &good).await;
        assert_eq!((exact.accuracy_ms, exact.policy.as_str()), (Some(error_ms), POLICY));
        let cut = stamp(&server, &whole).await;
        assert_eq!((cut.gen_time.unix_ms() % 1000, cut.policy.as_str()), (0, SECONDS));
        let off = server.engine.now().since(cut.gen_time).as_ms();
        assert_eq!(cut.accuracy_ms, Some(error_ms + off), "the clock of this test stands");
        assert_eq!(server.get("/readyz").await.status, 200);
    }
    for error in [Some(Span::from_ms(1_001)), None] {
        server.clock.pretend_error(error);
        assert_eq!(refused(&server, &good).await, (200, vec![14]));
        assert_eq!(refused(&server, &whole).await, (200, vec![14]));
        let ready = server.get("/readyz").await;
        assert_eq!((ready.status.as_u16(), &ready.json()["failing"][0]), (503, &"clock".into()));
    }
    server.clock.pretend_error(Some(Span::from_ms(5)));
    assert_eq!(stamp(&server, &good).await.accuracy_ms, Some(5));
    server.clock.pretend_jump(Span::from_ms(1_001));
    assert_eq!(refused(&server, &good).await, (200, vec![14]));
}

#[tokio::test]
async fn openssl_asks_and_verifies() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("data"), b"what is stamped").unwrap();
    let root = server.engine.trust().tsa_roots[0].clone();
    std::fs::write(at("root.pem"), certificate_pem(&root)).unwrap();
    let cases = [
        "-sha256 -cert",
        "-sha384 -cert",
        "-sha512 -cert -no_nonce",
        &format!("-sha256 -cert -tspolicy {POLICY}"),
        &format!("-sha256 -cert -tspolicy {SECONDS}"),
    ];
    for case in cases {
        openssl(folder.path(), &format!("ts -query -data data {case} -out query"));
        let answer = ask(&server, &std::fs::read(at("query")).unwrap()).await;
        std::fs::write(at("answer"), &answer.body).unwrap();
        openssl(folder.path(), "ts -verify -in answer -queryfile query -CAfile root.pem");
        openssl(folder.path(), "ts -verify -in answer -data data -CAfile root.pem");
    }
    openssl(folder.path(), "ts -query -data data -sha1 -out query");
    assert_eq!(refused(&server, &std::fs::read(at("query")).unwrap()).await, (200, vec![0]));
}

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .expect("this test needs the `openssl` program: install it (package openssl)");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "openssl {arguments}: {error}");
}
