//! Goal: what the policies decide is in the books before anybody can rely on it, who oversees the server finds it, a person finds who
//! asked for their data, and nobody else finds anything.
//! Method: requests that are allowed and denied, and the lists afterwards; a server without room for what it has to write down.

use crate::oauth_scene::{Scene, path_of};
use crate::support::*;
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tpw_core::{DecisionRecord, Ruling, Span, TransferId};
use tpw_engines::clock::Clock as _;
use tpw_proof::decisions::verify_decision;

/// The items of a list, asked for as somebody.
async fn listed(server: &Server, actor: &Actor, path: &str) -> Vec<Value> {
    let answer = server.call(actor, "GET", path, None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["items"].as_array().unwrap().clone()
}

/// The same, until there are so many: what only reads is written down within a second.
async fn listed_until(server: &Server, actor: &Actor, path: &str, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let items = listed(server, actor, path).await;
        if items.len() >= count {
            return items;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{path}: {items:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn accesses_of(person: &Actor) -> String {
    format!("/v1/people/{}/accesses", person.person.unwrap())
}

fn texts<'v>(items: &'v [Value], member: &str) -> Vec<&'v str> {
    items.iter().map(|item| item[member].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_is_denied_is_in_the_books_when_it_is_answered() {
    let Scene { server, operator, ann, bob, .. } = Scene::set().await;
    let path = format!("{}:freeze", path_of(ann.account()));
    let refused = server.call(&bob, "POST", &path, Some(&json!({}))).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (403, "forbidden"));
    let answer = server.call(&bob, "GET", &path_of(ann.account()), None).await;
    assert_eq!(answer.problem(), "unknown_account");
    let query = format!("/v1/decisions?actor={}&resource={}", bob.person.unwrap(), ann.account());
    let found = listed(&server, &operator, &query).await;
    let (actions, rulings) = (texts(&found, "action"), texts(&found, "ruling"));
    assert!(actions.contains(&"read_account"), "{actions:?}");
    assert!(rulings.iter().all(|ruling| *ruling == "denied"), "{found:?}");
    let record = &found[0];
    assert_eq!(record["roles"], json!(["holder"]));
    assert_eq!(record["device"], bob.device.unwrap().to_string());
    assert_eq!(record["policies"], json!([]), "no policy permits it");
    // Whose data it was about is told of the attempt.
    let told = listed(&server, &ann, &accesses_of(&ann)).await;
    let mine: Vec<_> = told.iter().filter(|one| one["ruling"] == "denied").collect();
    assert!(mine.iter().any(|one| one["person"] == bob.person.unwrap().to_string()), "{told:?}");
}

#[tokio::test]
async fn a_change_is_in_the_books_with_what_allowed_it() {
    let Scene { server, operator, ann, .. } = Scene::set().await;
    let transfer = TransferId::new(server.clock.now().unix_ms(), [7; 10]);
    let funded = server.fund(&operator, ann.account(), "500", transfer).await;
    assert_eq!(funded.status, 200, "{funded:?}");
    let query = format!("/v1/decisions?action=fund&resource={}", ann.account());
    let answer = server.call(&operator, "GET", &query, None).await;
    assert_json_snapshot!("decisions", answer.shown());
    let found = answer.json()["items"][0].clone();
    assert_eq!(found["owner"], ann.person.unwrap().to_string());
    assert_eq!(
        (found["ruling"].as_str(), found["facts"]["aal"].as_str()),
        (Some("allowed"), Some("aal2"))
    );
    assert!(!found["policies"].as_array().unwrap().is_empty(), "{found}");
    let ago = |seconds| server.clock.now().minus(Span::from_secs(seconds));
    for (times, count) in [
        (format!("&from={}", ago(60)), 1),
        (format!("&from={}&until={}", ago(60), ago(1)), 0),
        (format!("&from={}&until={}", ago(31 * 24 * 3600 - 1), ago(0).plus(Span::from_secs(1))), 1),
    ] {
        let found = listed(&server, &operator, &format!("{query}{times}")).await;
        assert_eq!(found.len(), count, "{times}");
    }
}

#[tokio::test]
async fn a_decision_is_proved_to_a_stranger() {
    let Scene { server, operator, ann, bob, .. } = Scene::set().await;
    let frozen = format!("{}:freeze", path_of(bob.account()));
    assert_eq!(server.call(&operator, "POST", &frozen, Some(&json!({}))).await.status, 200);
    let query = format!("/v1/decisions?action=freeze&resource={}", bob.account());
    let found = listed(&server, &operator, &query).await;
    let path = format!("/v1/decisions/{}", found[0]["id"].as_str().unwrap());
    let waits = server.call(&operator, "GET", &path, None).await.json();
    assert_eq!(waits.get("proof"), None, "a decision begins no checkpoint");
    let carol = server.person(&operator, "Carol", "0").await;
    assert_eq!(server.pay(&ann, carol.account(), 1).await.1.status, 201);
    let answer = server.call(&operator, "GET", &path, None).await;
    assert_json_snapshot!("decision", answer.shown());
    let proof = answer.json()["proof"].as_str().unwrap().to_owned();
    let proved = verify_decision(&proof, server.engine.trust()).unwrap();
    assert_eq!(proved.record.id.to_string(), found[0]["id"]);
    assert_eq!((proved.record.ruling, proved.record.action.as_str()), (Ruling::Allowed, "freeze"));
    assert_eq!(answer.json()["record"], encode(&proved.record.to_bytes()));
    assert!(DecisionRecord::from_bytes(&proved.record.to_bytes()).is_ok());
}

#[tokio::test]
async fn a_person_sees_who_read_their_data_and_nobody_else_does() {
    let scene = Scene::set().await;
    let Scene { server, operator, ann, bob, books } = &scene;
    scene.delegated(&["balance:read"]).await;
    let before = listed(server, ann, &accesses_of(ann)).await.len();
    assert_eq!(server.call(operator, "GET", &scene.balance_path(), None).await.status, 200);
    let token = books.own_token(server).await;
    assert_eq!(books.get(server, &scene.balance_path(), &token).await.status, 200);
    // One's own reading is no news.
    assert_eq!(server.call(ann, "GET", &scene.balance_path(), None).await.status, 200);
    let seen = listed_until(server, ann, &accesses_of(ann), before + 2).await;
    assert_eq!(seen.len(), before + 2, "{seen:?}");
    let (first, second) = (&seen[before], &seen[before + 1]);
    assert_eq!((&first["roles"], first.get("person")), (&json!(["operator"]), None));
    assert_eq!(second["client"], "books.example");
    for one in [first, second] {
        assert_eq!(
            (one["action"].as_str(), one["ruling"].as_str()),
            (Some("read_account"), Some("allowed"))
        );
        assert_eq!(one["resource"], ann.account().to_string());
    }
    let page = format!("{}?limit=1", accesses_of(ann));
    let answer = server.call(ann, "GET", &page, None).await;
    assert_json_snapshot!("accesses", answer.shown());
    let next = answer.json()["next_after"].as_u64().unwrap();
    let rest = listed(server, ann, &format!("{}?after={next}", accesses_of(ann))).await;
    assert_eq!(rest, seen[1..]);
    for (who, path, problem) in [
        (bob, accesses_of(ann), "unknown_person"),
        (bob, "/v1/decisions".to_owned(), "forbidden"),
        (ann, format!("/v1/decisions/{}", first["decision"].as_str().unwrap()), "forbidden"),
        (operator, "/v1/decisions?actor=Nobody".to_owned(), "bad_query"),
        (operator, "/v1/decisions?action=fly".to_owned(), "bad_query"),
        (operator, "/v1/decisions?owner=acc".to_owned(), "bad_query"),
        (operator, "/v1/decisions?from=yesterday".to_owned(), "bad_query"),
        (operator, "/v1/decisions?until=2027-01-31T12:00:00Z".to_owned(), "bad_query"),
        (operator, "/v1/decisions?from=2020-01-31T12:00:00Z".to_owned(), "bad_query"),
        (
            operator,
            "/v1/decisions?from=2027-01-31T12:00:00Z&until=2027-03-03T12:00:01Z".to_owned(),
            "bad_query",
        ),
        (
            operator,
            "/v1/decisions?from=2027-01-31T12:00:00Z&until=2027-01-31T11:59:59Z".to_owned(),
            "bad_query",
        ),
        (operator, "/v1/decisions/dcn_00000000000000000000000000".to_owned(), "not_found"),
        (operator, "/v1/decisions/x".to_owned(), "not_found"),
    ] {
        assert_eq!(server.call(who, "GET", &path, None).await.problem(), problem, "{path}");
    }
}

#[tokio::test]
async fn who_reads_a_payment_in_an_office_is_seen_by_both_its_sides() {
    let Scene { server, operator, ann, bob, .. } = Scene::set().await;
    let (signed, paid) = server.pay(&ann, bob.account(), 5).await;
    assert_eq!(paid.status, 201);
    let path = format!("/v1/payments/{}", signed.id);
    for reader in [&bob, &ann, &operator] {
        assert_eq!(server.call(reader, "GET", &path, None).await.status, 200);
    }
    let read = |seen: &[Value]| -> Vec<Value> {
        seen.iter().filter(|one| one["action"] == "read_payment").cloned().collect()
    };
    let begun = Instant::now();
    for person in [&ann, &bob] {
        loop {
            let seen = read(&listed(&server, person, &accesses_of(person)).await);
            let office: Vec<_> =
                seen.iter().filter(|one| one["roles"] == json!(["operator"])).collect();
            if let [one] = office.as_slice() {
                assert_eq!(
                    (&one["resource"], &one["ruling"]),
                    (&json!(signed.id.to_string()), &json!("allowed"))
                );
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{seen:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn without_room_for_what_is_read_nothing_is_read() {
    let server = Server::start_as(limits(), |config| config.decisions = 0).await;
    let operator = server.operator();
    // What changes something is stored with the change, and what is denied at once.
    let ann = server.person(&operator, "Ann", "91827364").await;
    let bob = server.person(&operator, "Bob", "0").await;
    let freeze = format!("{}:freeze", path_of(ann.account()));
    assert_eq!(server.call(&bob, "POST", &freeze, Some(&json!({}))).await.status, 403);
    for actor in [&ann, &operator] {
        let answer = server.call(actor, "GET", &path_of(ann.account()), None).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "busy"));
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(!String::from_utf8_lossy(&answer.body).contains("91827364"), "{answer:?}");
    }
    assert_eq!(server.pay(&ann, bob.account(), 1).await.1.status, 201, "payments ask no policy");
}
