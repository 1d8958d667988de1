//! What the records say, and what they must never say.

use crate::support::{Actor, Server, encode};
use serde_json::json;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// Everything that was recorded in this process.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn records_name_routes_and_codes_and_nothing_private() {
    let sink = Sink::default();
    let writer = sink.clone();
    tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let server = Server::start().await;
    let operator = server.operator();
    let added = server.add_person(&operator, "Zhuangzi Butterfly", "100000").await;
    let code = added["code"].as_str().unwrap().to_owned();
    assert_eq!(server.enrol_with(&Actor::new(), &code).await.status, 201);
    let ann = server.person(&operator, "Hypatia", "100000").await;
    let bob = server.person(&operator, "Bob", "0").await;
    let token = server.token(&ann).await;
    let (signed, paid) = server.pay(&ann, bob.account(), 1).await;
    let receipt = paid.json()["receipt"].as_str().unwrap().to_owned();
    let mut intent = server.intent(&ann, bob.account(), 1);
    intent.sequence = 99;
    assert_eq!(server.submit(&server.sign(&ann, intent)).await.problem(), "sequence_gap");
    let proof = server.proof(&ann, "GET", "/v1/accounts", Some("stolen"));
    let headers = [("authorization", "DPoP stolen"), ("dpop", proof.as_str())];
    server.send("GET", "/v1/accounts", &headers, Vec::new()).await;
    let body = json!({ "code": "not-a-code-but-secret" });
    server.post_json("/v1/devices", &[("dpop", &proof)], &body).await;

    let bytes = sink.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let records = String::from_utf8(bytes).unwrap();
    for expected in ["\"route\":\"/v1/payments\"", "\"code\":\"sequence_gap\"", "request_id"] {
        assert!(records.contains(expected), "{expected} not in {records}");
    }
    let statement = encode(&signed.bytes);
    for secret in [
        &code,
        &token,
        &receipt,
        &statement,
        &proof,
        "Butterfly",
        "Hypatia",
        "lunch",
        "not-a-code-but-secret",
        "DPoP stolen",
    ] {
        assert!(!records.contains(secret), "a record says `{secret}`");
    }
}
