//! What a client that behaves gets: every kind of answer, as a snapshot.

use crate::support::{Actor, Server, close, encode, limits, random};
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use tpw_core::{AccountId, PersonId, Span, TransferId};
use tpw_engines::clock::Clock as _;
use tpw_ledger::{StatementPoint, TransferRow};
use tpw_proof::Trust;

#[tokio::test]
async fn people_devices_and_tokens() {
    let server = Server::start().await;
    let operator = server.operator();
    let person = json!({
        "name": "Li Na 李娜",
        "accounts": [
            { "asset": "USD/2", "kind": "custodial", "label": "main", "opening": "100000" },
            { "asset": "ETH/18", "kind": "self_custodial", "label": "own keys" },
        ],
        "enrolment_code": true,
    });
    let added = server.call(&operator, "POST", "/v1/people", Some(&person)).await;
    assert_json_snapshot!("person_added", added.shown());

    let device = Actor::new();
    let code = added.json()["code"].as_str().unwrap().to_owned();
    let enrolled = server.enrol_with(&device, &code).await;
    assert_json_snapshot!("device_enrolled", enrolled.shown());
    let trust = enrolled.json()["trust"].to_string();
    assert!(Trust::from_json(&trust).is_ok(), "the trust file in the answer can be used");
    // The answer was lost: the same key with the same code gets it again.
    let again = server.enrol_with(&device, &code).await;
    assert_eq!(again.json()["device"], enrolled.json()["device"]);

    let proof = server.proof(&device, "POST", "/v1/tokens", None);
    let token = server.send("POST", "/v1/tokens", &[("dpop", &proof)], Vec::new()).await;
    assert_json_snapshot!("token", token.shown());

    let id = enrolled.json()["person"].as_str().unwrap().to_owned();
    let path = format!("/v1/people/{id}");
    let own = server.call(&device, "GET", &path, None).await;
    assert_json_snapshot!("person", own.shown());
    let accounts = server.call(&device, "GET", "/v1/accounts", None).await;
    assert_json_snapshot!("accounts", accounts.shown());
    let issued = server.call(&operator, "POST", &format!("{path}/codes"), None).await;
    assert_json_snapshot!("code_issued", issued.shown());

    let path = format!("/v1/devices/{}", enrolled.json()["device"].as_str().unwrap());
    let revoked = server.call(&device, "DELETE", &path, None).await;
    assert_json_snapshot!("device_revoked", revoked.shown());
    let after = server.call(&device, "GET", "/v1/accounts", None).await;
    assert_eq!((after.status.as_u16(), after.problem().as_str()), (403, "device_revoked"));
}

#[tokio::test]
async fn a_batch_of_people_is_repeatable() {
    let server = Server::start().await;
    let operator = server.operator();
    let now = server.engine.now().unix_ms();
    let person = |name: &str| {
        json!({
            "id": PersonId::new(now, random()).to_string(),
            "name": name,
            "accounts": [{
                "id": AccountId::new(now, random()).to_string(),
                "asset": "USD/2", "kind": "custodial", "label": "main", "opening": "500",
            }],
            "enrolment_code": true,
        })
    };
    let mut unknown = person("C");
    unknown["accounts"][0]["asset"] = "ABC/2".into();
    let mut nameless = person("D");
    nameless["name"] = "".into();
    let mut batch = json!({ "people": [person("A"), person("B"), unknown, nameless] });
    let path = "/v1/people:batch";
    let first = server.call(&operator, "POST", path, Some(&batch)).await;
    assert_json_snapshot!("batch_first", first.shown());
    let totals = server.engine.totals().await.unwrap();
    batch["people"][1]["name"] = "somebody else".into();
    let second = server.call(&operator, "POST", path, Some(&batch)).await;
    assert_json_snapshot!("batch_again", second.shown());
    assert_eq!(server.engine.totals().await.unwrap(), totals, "a repeat brings no money in");
    // The code of the second answer works.
    let code = second.json()["items"][0]["code"].as_str().unwrap().to_owned();
    assert_eq!(server.enrol_with(&Actor::new(), &code).await.status, 201);
}

#[tokio::test]
async fn a_payment_from_request_to_receipt() {
    let server = Server::start().await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "100000").await;
    let bob = server.person(&operator, "Bob", "0").await;

    let (signed, first) = server.pay(&ann, bob.account(), 1250).await;
    assert_json_snapshot!("payment_booked", first.shown());
    let timing = first.header("server-timing").unwrap();
    assert!(timing.contains("dur="), "{timing}");

    // The same request again, also as raw COSE: the stored outcome, marked as repeated.
    let again = server.submit(&signed).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.json(), first.json());
    let key = signed.id.to_string();
    let headers = [("content-type", "application/cose"), ("idempotency-key", key.as_str())];
    let raw = server.send("POST", "/v1/payments", &headers, signed.bytes.clone()).await;
    assert_eq!((raw.status.as_u16(), raw.json()), (200, first.json()));
    // With the receipt's own name among what is taken, the receipt is the answer.
    for accept in
        ["application/vnd.tpw.receipt+cbor", "text/html, Application/VND.tpw.receipt+cbor;q=0.9"]
    {
        let headers = [headers[0], headers[1], ("accept", accept)];
        let alone = server.send("POST", "/v1/payments", &headers, signed.bytes.clone()).await;
        assert_eq!(alone.status, 200);
        assert_eq!(alone.header("content-type"), Some("application/vnd.tpw.receipt+cbor"));
        assert_eq!(alone.header("idempotency-replayed"), Some("true"));
        assert_eq!(first.json()["receipt"], encode(&alone.body));
    }
    for accept in ["*/*", "application/*", "application/vnd.tpw.receipt+cborx", ""] {
        let headers = [headers[0], headers[1], ("accept", accept)];
        let json = server.send("POST", "/v1/payments", &headers, signed.bytes.clone()).await;
        assert_eq!(json.json(), first.json(), "{accept}");
    }

    // The receipt verifies offline with the trust file, for both parties.
    let path = format!("/v1/payments/{}/receipt", signed.id);
    let trust = Trust::from_json(std::str::from_utf8(&server.get("/v1/trust").await.body).unwrap())
        .unwrap();
    for actor in [&ann, &bob, &operator] {
        let receipt = server.call(actor, "GET", &path, None).await;
        assert_eq!(receipt.header("content-type"), Some("application/vnd.tpw.receipt+cbor"));
        let judgement = tpw_proof::judge(&receipt.body, &trust);
        assert!(judgement.is_valid(), "{judgement:?}");
        assert_eq!(first.json()["receipt"], encode(&receipt.body));
    }
    let receipt = server.call(&ann, "GET", &path, None).await;
    assert_json_snapshot!("receipt", receipt.shown());
    let read = server.call(&bob, "GET", &format!("/v1/payments/{}", signed.id), None).await;
    assert_json_snapshot!("payment_read", read.shown());
}

/// The usual rules, by which an operator is asked about 9,000.00 and more.
fn held_early() -> String {
    let usual = include_str!("../../../../policies/screen.toml");
    usual.replacen(r#"from = "10000""#, r#"from = "9000""#, 1)
}

#[tokio::test]
async fn step_up_hold_refusal_and_compensation() {
    // Held, and not so large that others have to agree to its release.
    let server = Server::start_as(limits(), |config| config.rules_toml = Some(held_early())).await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "90000000").await;
    let bob = server.person(&operator, "Bob", "0").await;
    let post = |path: String| {
        let (server, operator) = (&server, &operator);
        async move { server.call(operator, "POST", &path, None).await }
    };

    let (signed, waits) = server.pay(&ann, bob.account(), 150_000).await;
    assert_json_snapshot!("payment_step_up", waits.shown());
    let body = json!({ "proof": ann.step_up(&server, signed.id, signed.hash) });
    let path = format!("/v1/payments/{}:step-up", signed.id);
    let goes_on = server.post_json(&path, &[], &body).await;
    assert_json_snapshot!("payment_stepped_up", goes_on.shown());

    let recalled = post(format!("/v1/payments/{}:recall", signed.id)).await;
    assert_json_snapshot!("payment_compensated", recalled.shown());
    let path = format!("/v1/payments/{}/receipt?kind=compensation", signed.id);
    let receipt = server.call(&ann, "GET", &path, None).await;
    let judgement = tpw_proof::judge(&receipt.body, server.engine.trust());
    assert!(judgement.is_valid(), "{judgement:?}");

    let (held, answer) = server.pay(&ann, bob.account(), 950_000).await;
    assert_json_snapshot!("payment_held", answer.shown());
    let holds = server.call(&operator, "GET", "/v1/holds", None).await;
    assert_json_snapshot!("holds", holds.shown());
    let released = post(format!("/v1/payments/{}:release", held.id)).await;
    assert_json_snapshot!("payment_released", released.shown());
    let again = post(format!("/v1/payments/{}:reject", held.id)).await;
    assert_json_snapshot!("reject_after_release", again.shown());

    let (held, _) = server.pay(&ann, bob.account(), 920_000).await;
    let rejected = post(format!("/v1/payments/{}:reject", held.id)).await;
    assert_json_snapshot!("payment_rejected", rejected.shown());
    let (signed, refused) = server.pay(&ann, bob.account(), 50_000_000).await;
    assert_json_snapshot!("payment_refused", refused.shown());
    let key = signed.id.to_string();
    let headers = [("idempotency-key", key.as_str()), ("accept-language", "zh-CN")];
    let chinese = server.post_json("/v1/payments", &headers, &signed.body()).await;
    assert_json_snapshot!("payment_refused_zh", chinese.shown());
}

/// Goal: a repeat says whether it was the same request, to the amount with which an account was opened. Method: money of before and
/// after the opening does not count.
#[tokio::test]
async fn a_repeat_with_another_opening_is_not_the_same_request() {
    let server = Server::start().await;
    let operator = server.operator();
    let ids = |n: u8| {
        let now = server.clock.now().unix_ms();
        (PersonId::new(now, [n; 10]), AccountId::new(now, [n; 10]))
    };
    let account = |id: AccountId, opening: Option<&str>| {
        let mut account = json!({
            "id": id.to_string(), "asset": "USD/2", "kind": "custodial", "label": "main",
        });
        if let Some(opening) = opening {
            account["opening"] = opening.into();
        }
        account
    };
    let (person, first) = ids(1);
    let (_, second) = ids(2);
    let add = async |opening: Option<&str>| {
        let accounts = [account(first, opening)];
        let body = json!({ "id": person.to_string(), "name": "Ann", "accounts": accounts });
        let alone = server.call(&operator, "POST", "/v1/people", Some(&body)).await;
        let people = json!({ "people": [body] });
        let batch = server.call(&operator, "POST", "/v1/people:batch", Some(&people)).await;
        (alone, batch.json()["items"][0].clone())
    };
    let open = async |opening: Option<&str>| {
        let body = json!({ "person": person.to_string(), "account": account(second, opening) });
        server.call(&operator, "POST", "/v1/accounts", Some(&body)).await
    };
    assert_eq!(add(Some("500")).await.0.status, 201);
    assert_eq!(open(None).await.status, 201);
    for wrong in [None, Some("501"), Some("70")] {
        let (alone, batch) = add(wrong).await;
        let got = (alone.status.as_u16(), alone.problem());
        assert_eq!(got, (409, "exists_with_different".to_owned()), "{wrong:?}");
        assert_eq!(alone.json()["field"], "opening");
        assert_eq!(batch["outcome"], "rejected", "{wrong:?}");
        assert_eq!(batch["code"], "exists_with_different", "{wrong:?}");
    }
    server.clock.advance(Span::from_ms(1));
    for account in [first, second] {
        let transfer = TransferId::new(server.clock.now().unix_ms(), random());
        assert_eq!(server.fund(&operator, account, "70", transfer).await.status, 200);
    }
    for wrong in [Some("1"), Some("70")] {
        assert_eq!(open(wrong).await.problem(), "exists_with_different", "{wrong:?}");
    }
    // More has moved on the first: to look for its opening would take as long as its history.
    for opening in [Some("500"), Some("501")] {
        let (alone, batch) = add(opening).await;
        assert_eq!((alone.status.as_u16(), batch["outcome"].as_str()), (200, Some("exists")));
    }
    assert_eq!(open(None).await.status, 200);
}

#[tokio::test]
async fn a_clearing_partner_confirms_one_payment_and_returns_another() {
    let server = Server::start().await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "100000").await;
    let account = json!({ "account": { "asset": "USD/2", "kind": "external", "label": "bank" } });
    let opened = server.call(&operator, "POST", "/v1/accounts", Some(&account)).await;
    assert_json_snapshot!("external_account", opened.shown());
    let bank: AccountId = opened.json()["id"].as_str().unwrap().parse().unwrap();
    let (first, answer) = server.pay(&ann, bank, 700).await;
    assert_json_snapshot!("payment_instructed", answer.shown());
    let (second, _) = server.pay(&ann, bank, 800).await;
    let rail = server.call(&operator, "GET", "/v1/rail", None).await;
    assert_json_snapshot!("rail", rail.shown());
    let path = format!("/v1/payments/{}:rail-confirm", first.id);
    let confirmed = server.call(&operator, "POST", &path, None).await;
    assert_json_snapshot!("rail_confirmed", confirmed.shown());
    let path = format!("/v1/payments/{}:rail-return", second.id);
    let returned = server.call(&operator, "POST", &path, None).await;
    assert_json_snapshot!("rail_returned", returned.shown());
    let rail = server.call(&operator, "GET", "/v1/rail", None).await.json();
    assert_eq!(rail["items"], json!([]));
}

/// The transfers of an answer, as the ledger's own type.
fn rows(statement: &Value) -> Vec<TransferRow> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap();
    let read = |row: &Value| TransferRow {
        number: number(row, "number"),
        id: text(row, "id").parse().unwrap(),
        kind: tpw_ledger::TransferKind::from_code(&text(row, "kind")).unwrap(),
        debit: text(row, "debit").parse().unwrap(),
        credit: text(row, "credit").parse().unwrap(),
        money: tpw_core::Money {
            amount: text(row, "amount").parse().unwrap(),
            asset: text(row, "asset").parse().unwrap(),
        },
        at: text(row, "at").parse().unwrap(),
        effective: text(row, "effective").parse().unwrap(),
        pending: row.get("pending").and_then(Value::as_u64),
        prev_debit: number(row, "prev_debit"),
        prev_credit: number(row, "prev_credit"),
        debit_chain: text(row, "debit_chain").parse().unwrap(),
        credit_chain: text(row, "credit_chain").parse().unwrap(),
        released: tpw_core::Amount::ZERO,
    };
    statement["items"].as_array().unwrap().iter().map(read).collect()
}

fn point(point: &Value) -> StatementPoint {
    let balance: tpw_core::Amount = point["balance"].as_str().unwrap().parse().unwrap();
    StatementPoint {
        transfers: point["transfers"].as_u64().unwrap(),
        last: point["last"].as_u64().unwrap(),
        chain: point["chain"].as_str().unwrap().parse().unwrap(),
        balance: tpw_ledger::Balance::between(balance, tpw_core::Amount::ZERO),
    }
}

#[tokio::test]
async fn a_statement_proves_itself_complete_page_by_page() {
    let server = Server::start().await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "100000").await;
    let bob = server.person(&operator, "Bob", "50").await;
    for minor in 1..=7 {
        assert_eq!(server.pay(&ann, bob.account(), minor).await.1.status, 201);
    }
    let (_, back) = server.pay(&bob, ann.account(), 3).await;
    assert_eq!(back.status, 201);
    let path = format!("/v1/accounts/{}/statement", ann.account());
    let mut query = "?limit=4".to_owned();
    let mut closing = None;
    let (mut pages, mut count) = (0, 0);
    loop {
        let answer = server.call(&ann, "GET", &format!("{path}{query}"), None).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.json();
        let (opens, closes) = (point(&page["opening"]), point(&page["closing"]));
        let items = rows(&page);
        tpw_ledger::verify_statement(&items, &ann.account(), &opens, &closes).unwrap();
        assert!(closing.is_none_or(|closing| closing == closes), "pages meet");
        if pages == 0 {
            assert_json_snapshot!("statement", answer.shown());
            // One transfer left out, and the statement no longer holds.
            let missing = &items[1..];
            assert!(
                tpw_ledger::verify_statement(missing, &ann.account(), &opens, &closes).is_err()
            );
        }
        (pages, count, closing) = (pages + 1, count + items.len(), Some(opens));
        match page.get("next_page").and_then(Value::as_str) {
            Some(token) => query = format!("?limit=4&page_token={token}"),
            None => break,
        }
    }
    assert_eq!((pages, count, closing), (3, 9, Some(StatementPoint::START)));
    let chain = format!("/v1/accounts/{}/chain", ann.account());
    let head = server.call(&ann, "GET", &chain, None).await;
    assert_json_snapshot!("chain_head", head.shown());
}

#[tokio::test]
async fn the_log_the_trust_file_and_time_stamps_are_public() {
    let server = Server::start().await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "1000").await;
    let bob = server.person(&operator, "Bob", "0").await;
    server.pay(&ann, bob.account(), 1).await;
    assert_json_snapshot!("checkpoint", server.get("/v1/checkpoint").await.shown());
    let trust = server.get("/v1/trust").await;
    let mut members: Vec<_> = trust.json().as_object().unwrap().keys().cloned().collect();
    members.sort();
    assert_json_snapshot!("trust", trust.shown_as(&json!(members)));
    let note = server.get("/v1/log/checkpoint").await;
    assert_json_snapshot!("log_checkpoint", note.shown_as(&"[signed note]".into()));
    assert_eq!(note.header("content-type"), Some("text/plain; charset=utf-8"));
    // Two that every log begins with, the decisions about both people, and the payment.
    assert!(note.body.starts_with(b"tpw.test/log\n5\n"), "{:?}", note.body);
    let tile = server.get("/v1/log/tile/0/000.p/5").await;
    assert_eq!((tile.status.as_u16(), tile.body.len()), (200, 160));
    assert!(tile.header("cache-control").unwrap().contains("immutable"));
    let bundle = server.get("/v1/log/tile/entries/000.p/5").await;
    assert_eq!(tpw_proof::tile::decode_bundle(&bundle.body, 5).unwrap().len(), 5);
    let openapi = server.get("/v1/openapi.json").await;
    assert_eq!(openapi.body, tpw_server::openapi_json().as_bytes());
    assert_json_snapshot!("openapi", openapi.shown_as(&"[the committed description]".into()));
    let headers = [("content-type", "application/timestamp-query")];
    let broken = server.send("POST", "/tsa", &headers, b"no DER".to_vec()).await;
    assert_eq!(broken.header("content-type"), Some("application/timestamp-reply"));
    assert_eq!((broken.status.as_u16(), broken.body.first()), (200, Some(&0x30)));
    let wish = tpw_proof::timestamp::CertificateWish::Embedded;
    let query = tpw_proof::timestamp::query([7; 32], Some([1; 8]), wish).unwrap();
    let stamp = server.send("POST", "/tsa", &headers, query.clone()).await;
    assert_json_snapshot!("time_stamp", stamp.shown());
    let trust = server.engine.trust();
    let verify = |answer: &[u8]| {
        let (roots, policies) = (&trust.tsa_roots, &trust.tsa_policies);
        tpw_proof::timestamp::verify_answer(answer, &query, roots, policies)
    };
    let stamped = verify(&stamp.body).unwrap();
    let serial: String = stamped.serial.iter().map(|byte| format!("{byte:02x}")).collect();
    server.pay(&ann, bob.account(), 2).await;
    let proof = server.get(&format!("/tsa/tokens/{serial}")).await;
    assert_json_snapshot!("token_proof", proof.shown_as(&"[tlog-proof]".into()));

    // The system's clock was set: no time-stamps, and the server says that it is not well, until it is set back.
    server.clock.pretend_jump(Span::from_ms(1_001));
    let refused = server.send("POST", "/tsa", &headers, query.clone()).await;
    let not_available = tpw_proof::timestamp::TspError::Refused { status: 2, failure: vec![14] };
    assert_eq!(verify(&refused.body).unwrap_err(), not_available);
    assert_json_snapshot!("readyz_clock", server.get("/readyz").await.shown());
    server.clock.pretend_jump(Span::from_ms(0));
    assert_eq!(server.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn an_operator_brings_money_in_and_freezes() {
    let server = Server::start().await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "0").await;
    let bob = server.person(&operator, "Bob", "0").await;
    let path = format!("/v1/accounts/{}", ann.account());
    let transfer = TransferId::new(server.engine.now().unix_ms(), random());
    let funded = server.fund(&operator, ann.account(), "5000", transfer).await;
    assert_json_snapshot!("account_funded", funded.shown());
    // The answer was lost and the order is sent again: nothing comes in twice.
    let again = server.fund(&operator, ann.account(), "5000", transfer).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, funded.json()));
    for (account, minor) in [(ann.account(), "5001"), (bob.account(), "5000")] {
        let other = server.fund(&operator, account, minor, transfer).await;
        assert_eq!((other.status.as_u16(), other.problem().as_str()), (409, "id_in_use"));
    }
    let read = server.call(&ann, "GET", &path, None).await;
    assert_json_snapshot!("account", read.shown());
    assert_eq!(read.json()["posted"], "5000");
    let frozen = server.call(&operator, "POST", &format!("{path}:freeze"), None).await;
    assert_json_snapshot!("account_frozen", frozen.shown());
    let (_, refused) = server.pay(&ann, bob.account(), 1).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (403, "payer_frozen"));
    let thawed = server.call(&operator, "POST", &format!("{path}:unfreeze"), None).await;
    assert_json_snapshot!("account_unfrozen", thawed.shown());
    assert_eq!(server.pay(&ann, bob.account(), 1).await.1.status, 201);
}

/// The panic itself is in `background`.
#[tokio::test]
async fn work_beside_payments_that_ended_is_told_of() {
    let server = Server::start().await;
    let operator = server.operator();
    server.person(&operator, "Ann", "1000").await;
    let degraded = async || {
        let ready = server.get("/readyz?verbose").await;
        assert_eq!(ready.status, 200, "{ready:?}");
        ready.json()["degraded"].clone()
    };
    assert_eq!(degraded().await, json!([]));
    server.engine.beside().ended("retention");
    assert_eq!(degraded().await, json!(["retention"]));
    let metrics = String::from_utf8(server.get("/metrics").await.body.to_vec()).unwrap();
    assert!(metrics.contains("tpw_work_ended{work=\"retention\"} 1"), "{metrics}");
}

#[tokio::test]
async fn health_and_metrics_tell_the_state() {
    let server = Server::start().await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "1000").await;
    let bob = server.person(&operator, "Bob", "0").await;
    server.pay(&ann, bob.account(), 1).await;
    assert_json_snapshot!("livez", server.get("/livez").await.shown());
    assert_json_snapshot!("readyz", server.get("/readyz").await.shown());
    assert_json_snapshot!("readyz_verbose", server.get("/readyz?verbose").await.shown());
    let text = String::from_utf8(server.get("/metrics").await.body.to_vec()).unwrap();
    assert_json_snapshot!("metrics", metrics_shown(&server.get("/metrics").await));
    for line in [
        "tpw_payments_total{status=\"booked\"} 1",
        "tpw_tree_size 5",
        "tpw_http_requests_total{route=\"/v1/payments\",status=\"2xx\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
    }
    for word in ["acc_", "per_", "dev_", "pay_", "Ann"] {
        assert!(!text.contains(word), "{word}");
    }
    let problem = server.get("/problems/sequence_gap").await;
    assert_json_snapshot!("problem_page", problem.shown());
}

/// Which metrics there are, without their values.
fn metrics_shown(answer: &crate::support::Answer) -> Value {
    let text = std::str::from_utf8(&answer.body).unwrap();
    let kinds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    answer.shown_as(&json!(kinds))
}

#[tokio::test]
async fn a_stopped_server_starts_again_with_all_it_answered() {
    let server = Server::start().await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "1000").await;
    let bob = server.person(&operator, "Bob", "0").await;
    let (signed, first) = server.pay(&ann, bob.account(), 250).await;
    let clock = server.clock.clone();
    let (engine, dir) = server.stop().await;
    close(engine).await;
    let config = tpw_engines::Config::new(tpw_core::Name::new("tpw.test").unwrap());
    let engine = tpw_engines::Engine::open(dir.path(), config, clock).unwrap();
    let paid = engine.pay(&signed.bytes).await.unwrap();
    assert_eq!(first.json()["receipt"], encode(&paid.receipt.unwrap()));
}
