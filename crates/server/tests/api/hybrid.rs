//! A device with two keys is enrolled only when it has both, and pays only with both.

use super::support::{Actor, Answer, Server, Signed, encode};
use serde_json::{Value, json};
use tpw_access::{EnrolmentCode, enrol};
use tpw_crypto::{Algorithm, Signer as _, SlotName};
use tpw_engines::clock::Clock as _;
use tpw_engines::entropy::OsEntropy;
use tpw_proof::device_keys::prove_possession;

fn second() -> SlotName {
    SlotName::new("second").unwrap()
}

/// A device that has a key of ML-DSA-44 as well.
fn hybrid() -> Actor {
    let mut actor = Actor::new();
    actor.slots.generate(second(), Algorithm::MlDsa44, &mut OsEntropy).unwrap();
    actor
}

fn keys(actor: &Actor, proof: &[u8]) -> Value {
    let key = actor.slots.public_key(&second()).unwrap();
    json!({ "key": encode(key.as_bytes()), "proof": encode(proof) })
}

fn honest(actor: &Actor) -> Value {
    keys(actor, &prove_possession(&actor.slots, &actor.slot, &second()).unwrap())
}

async fn enrolled(server: &Server, actor: &Actor, code: &str, post_quantum: Value) -> Answer {
    let parsed: EnrolmentCode = code.parse().unwrap();
    let url = server.http_url("/v1/devices");
    let (slots, slot, now) = (&actor.slots, &actor.slot, server.clock.now());
    let proof = enrol::prove(slots, slot, &url, &parsed, now, &mut OsEntropy).unwrap();
    let body = json!({ "code": code, "post_quantum": post_quantum });
    server.post_json("/v1/devices", &[("dpop", &proof)], &body).await
}

async fn code(server: &Server, operator: &Actor, name: &str) -> String {
    let added = server.add_person(operator, name, "10000").await;
    added["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn both_keys_are_proved_at_an_enrolment() {
    let server = Server::start().await;
    let operator = server.operator();
    let code = code(&server, &operator, "Alice").await;
    let (actor, other) = (hybrid(), hybrid());
    let proof = |of: &Actor| prove_possession(&of.slots, &of.slot, &second()).unwrap();
    let mut flipped = proof(&actor);
    flipped[100] ^= 1;
    let classical = actor.slots.sign(&actor.slot, b"a signature of the other key").unwrap();
    for wrong in [
        keys(&actor, &flipped),
        keys(&actor, &proof(&other)),
        keys(&actor, &classical),
        keys(&actor, b""),
        keys(&other, &proof(&actor)),
        // The key of somebody else, with the proof that its owner made.
        honest(&other),
        json!({ "key": encode(&[0; 1311]), "proof": encode(&proof(&actor)) }),
        json!({ "key": "=", "proof": "=" }),
    ] {
        let answer = enrolled(&server, &actor, &code, wrong).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (401, "bad_proof"));
    }
    let first = enrolled(&server, &actor, &code, honest(&actor)).await;
    assert_eq!(first.status, 201, "{first:?}");
    // The same enrolment again is the same device; without the second key it is another one, and the code is used up.
    let again = enrolled(&server, &actor, &code, honest(&actor)).await;
    assert_eq!(again.json()["device"], first.json()["device"]);
    assert_eq!(server.enrol_with(&actor, &code).await.problem(), "code_invalid");
}

#[tokio::test]
async fn one_signature_of_a_hybrid_device_pays_nothing() {
    let server = Server::start().await;
    let operator = server.operator();
    let payee = server.person(&operator, "Bob", "0").await;
    let code = code(&server, &operator, "Alice").await;
    let mut actor = hybrid();
    let known = enrolled(&server, &actor, &code, honest(&actor)).await.json();
    actor.device = Some(known["device"].as_str().unwrap().parse().unwrap());
    actor.account = Some(known["accounts"][0]["id"].as_str().unwrap().parse().unwrap());
    let before = server.state(&operator, &[&payee]).await;
    let intent = server.intent(&actor, payee.account(), 500);
    let alone = server.sign(&actor, intent.clone());
    let refused = server.submit(&alone).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (422, "bad_statement"));
    assert_eq!(server.state(&operator, &[&payee]).await, before);
    let bytes = tpw_proof::sign_hybrid(&intent, &actor.slots, &actor.slot, &second()).unwrap();
    let paid = server.submit(&Signed { bytes, ..alone }).await;
    assert_eq!(paid.status, 201, "{paid:?}");
    // A device without a second key does not get one by a statement with two signatures.
    let mut plain = server.person(&operator, "Carol", "10000").await;
    plain.slots.generate(second(), Algorithm::MlDsa44, &mut OsEntropy).unwrap();
    let intent = server.intent(&plain, payee.account(), 500);
    let bytes = tpw_proof::sign_hybrid(&intent, &plain.slots, &plain.slot, &second()).unwrap();
    let two = server.submit(&Signed { bytes, ..server.sign(&plain, intent) }).await;
    assert_eq!((two.status.as_u16(), two.problem().as_str()), (422, "bad_statement"));
}
