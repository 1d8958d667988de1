//! The operator's side of the ledger: batches, changes, guards, sets, reconciliation.

use crate::support::{Actor, Answer, Server, encode, random};
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tpw_core::{AccountId, AccountSetId, Span, TransferId};
use tpw_engines::clock::Clock as _;
use tpw_ledger::reconcile::{Day, Zone};
use tpw_server::BatchLimits;

/// A server, its operator, Ann with money, and the account from which money comes in.
struct Set {
    server: Server,
    operator: Actor,
    ann: Actor,
    issuance: AccountId,
}

impl Set {
    async fn new() -> Self {
        let server = Server::start().await;
        let operator = server.operator();
        let ann = server.person(&operator, "Ann", "100000").await;
        let path = format!("/v1/accounts/{}/statement", ann.account());
        let statement = server.call(&operator, "GET", &path, None).await.json();
        let issuance = statement["items"][0]["debit"].as_str().unwrap().parse().unwrap();
        Self { server, operator, ann, issuance }
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.server.call(&self.operator, method, path, Some(body)).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.server.call(&self.operator, "GET", path, None).await
    }

    fn transfer(&self) -> TransferId {
        self.server.clock.advance(Span::from_ms(1));
        TransferId::new(self.server.clock.now().unix_ms(), random())
    }

    fn leg(&self, credit: AccountId, amount: &str) -> Value {
        json!({
            "id": self.transfer().to_string(), "debit": self.issuance.to_string(),
            "credit": credit.to_string(), "amount": amount, "asset": "USD/2",
        })
    }

    async fn order(&self, orders: &[Value]) -> Answer {
        self.call("POST", "/v1/transfers:batch", &json!({ "orders": orders })).await
    }

    /// An account of the operator's own with some money.
    async fn float(&self, amount: &str) -> AccountId {
        let account = json!({ "asset": "USD/2", "kind": "operating", "label": "float" });
        let opened = self.call("POST", "/v1/accounts", &json!({ "account": account })).await;
        assert_eq!(opened.status, 201, "{opened:?}");
        let id: AccountId = opened.json()["id"].as_str().unwrap().parse().unwrap();
        let leg = self.leg(id, amount);
        let order = json!({ "order": { "kind": "transfer", "leg": leg } });
        assert_eq!(self.order(&[order]).await.json()["items"][0]["outcome"], "done");
        id
    }

    /// The transfer that brings money in, as a file of the partner would tell of it.
    fn today(&self) -> String {
        Day::of(self.server.clock.now(), Zone::UTC).to_string()
    }

    async fn reconcile(&self, query: &str, media_type: &str, file: String) -> Answer {
        let path = format!("/v1/reconciliations?{query}");
        let (server, operator) = (&self.server, &self.operator);
        let token = server.token(operator).await;
        let proof = server.proof(operator, "POST", "/v1/reconciliations", Some(&token));
        let authorization = format!("DPoP {token}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("dpop", &proof),
            ("content-type", media_type),
        ];
        server.send("POST", &path, &headers, file.into_bytes()).await
    }
}

#[tokio::test]
async fn orders_of_every_kind_and_their_repetition() {
    let set = Set::new().await;
    let float = set.float("5000").await;
    let from_float = |amount: &str| {
        let mut leg = set.leg(set.ann.account(), amount);
        leg["debit"] = float.to_string().into();
        leg
    };
    let later = set.server.clock.now().plus(Span::from_secs(3600)).to_string();
    let held = from_float("300");
    let hold = held["id"].clone();
    let condition = |than: &str| json!({ "account": float.to_string(), "on": "available", "is": "at_least", "than": than });
    let orders = [
        json!({ "order": { "kind": "transfer", "leg": from_float("100") }, "conditions": [condition("4900")] }),
        json!({ "order": { "kind": "linked", "legs": [from_float("10"), from_float("20")] } }),
        json!({ "order": { "kind": "hold", "leg": held, "expires": later } }),
        json!({ "order": { "kind": "post", "id": set.transfer().to_string(), "hold": hold, "amount": "200" } }),
        json!({ "order": { "kind": "void", "id": set.transfer().to_string(), "hold": hold } }),
        json!({ "order": { "kind": "transfer", "leg": from_float("1") }, "conditions": [condition("4900")] }),
        json!({ "order": { "kind": "transfer", "leg": from_float("90000") } }),
        json!({ "order": { "kind": "reverse", "id": set.transfer().to_string(), "of": 3 } }),
    ];
    let first = set.order(&orders).await;
    assert_json_snapshot!("orders_done", first.shown());
    let balance = async || set.get(&format!("/v1/accounts/{float}")).await.json()["posted"].clone();
    let after = balance().await;
    let again = set.order(&orders).await;
    assert_json_snapshot!("orders_again", again.shown());
    assert_eq!(balance().await, after, "a repeat moves nothing");

    let mut other = orders[0].clone();
    other["order"]["leg"]["amount"] = "101".into();
    let mut fewer = orders[1].clone();
    fewer["order"]["legs"].as_array_mut().unwrap().pop();
    let answer = set.order(&[other, fewer]).await;
    assert_json_snapshot!("orders_rejected", answer.shown());
}

/// One decision is noted about all of them.
#[tokio::test]
async fn orders_in_many_assets_are_each_answered() {
    let set = Set::new().await;
    let letter = |number: u8| char::from(b'A' + number);
    let orders: Vec<Value> = (0..70)
        .map(|number| {
            let mut leg = set.leg(set.ann.account(), "5");
            leg["asset"] = format!("X{}{}/2", letter(number / 10), letter(number % 10)).into();
            json!({ "order": { "kind": "transfer", "leg": leg } })
        })
        .collect();
    let answer = set.order(&orders).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["items"].as_array().map(Vec::len), Some(70));
}

#[tokio::test]
async fn orders_that_nobody_may_give() {
    let set = Set::new().await;
    let leg = set.leg(set.ann.account(), "1");
    let order = json!({ "order": { "kind": "transfer", "leg": leg } });
    let body = json!({ "orders": [order] });
    let holder = set.server.call(&set.ann, "POST", "/v1/transfers:batch", Some(&body)).await;
    assert_eq!((holder.status.as_u16(), holder.problem().as_str()), (403, "forbidden"));
    // A person's money moves on that person's word only.
    let mut theirs = leg.clone();
    (theirs["debit"], theirs["credit"]) = (leg["credit"].clone(), leg["debit"].clone());
    let answer = set.order(&[json!({ "order": { "kind": "transfer", "leg": theirs } })]).await;
    assert_eq!(answer.json()["items"][0]["code"], "persons_account");
    for (body, code) in [
        (json!({ "orders": [] }), "bad_value"),
        (json!({ "orders": [{ "order": { "kind": "linked", "legs": [] } }] }), "bad_value"),
        (json!({ "orders": [{ "order": { "kind": "gift", "leg": leg } }] }), "bad_json"),
        (
            json!({ "orders": [{ "order": { "kind": "transfer", "leg": leg, "more": 1 } }] }),
            "bad_json",
        ),
        (
            json!({ "orders": [{ "order": { "kind": "transfer", "leg": leg }, "conditions": [
                { "account": set.ann.account().to_string(), "on": "mood", "is": "equal", "than": "0" }] }] }),
            "bad_value",
        ),
    ] {
        let answer = set.call("POST", "/v1/transfers:batch", &body).await;
        assert_eq!(answer.problem(), code, "{body}");
    }
    let one = json!({ "order": { "kind": "transfer", "leg": leg } });
    let many = vec![one; 8_191];
    assert_eq!(set.order(&many).await.problem(), "bad_value");
}

#[tokio::test]
async fn payments_in_a_batch_are_decided_as_if_they_came_alone() {
    let set = Set::new().await;
    let bob = set.server.person(&set.operator, "Bob", "0").await;
    let (server, ann) = (&set.server, &set.ann);
    let (sent, alone) = server.pay(ann, bob.account(), 700).await;
    assert_eq!(alone.status, 201);
    let mut signed = vec![sent];
    // One more payment of this device, one that is far too large, one with a broken signature, one that was sent before.
    for minor in [800, 90_000_000] {
        server.clock.advance(Span::from_ms(1));
        let next = server
            .sign(ann, server.intent_after(ann, signed.last().unwrap(), bob.account(), minor));
        signed.push(next);
    }
    let mut statements: Vec<String> = signed.iter().map(|signed| encode(&signed.bytes)).collect();
    let mut broken = signed[1].bytes.clone();
    *broken.last_mut().unwrap() ^= 1;
    statements.push(encode(&broken));
    let body = json!({ "statements": statements });
    let answer = server.post_json("/v1/payments:batch", &[], &body).await;
    assert_json_snapshot!("payments_batch", answer.shown());
    let (problems, id) = (answer.json(), answer.header("x-request-id").unwrap().to_owned());
    let problems = problems["items"].as_array().unwrap().iter();
    let ids = problems.filter_map(|item| item["problem"]["request_id"].as_str());
    assert_eq!(ids.collect::<Vec<_>>(), [&id; 2], "a problem of one item names the request");
    let again = server.post_json("/v1/payments:batch", &[], &body).await.json();
    let of = |place: usize, member: &str| again["items"][place][member].clone();
    assert_eq!((of(1, "status"), of(1, "repeated")), (200.into(), true.into()));
    let path = format!("/v1/payments/{}/receipt", signed[1].id);
    let receipt = server.call(ann, "GET", &path, None).await;
    assert_eq!(receipt.status, 200, "what a batch paid has its receipt");
    for (body, code) in [
        (json!({ "statements": [] }), "bad_value"),
        (json!({ "statements": ["%"] }), "bad_json"),
        (json!({ "statements": vec![""; 8_191] }), "bad_value"),
    ] {
        assert_eq!(server.post_json("/v1/payments:batch", &[], &body).await.problem(), code);
    }
    let empty = server.post_json("/v1/payments:batch", &[], &json!({ "statements": [""] })).await;
    assert_eq!(empty.json()["items"][0]["status"], 422);
}

#[tokio::test]
async fn signatures_of_a_batch_are_checked_on_several_threads_each_as_alone() {
    let set = Set::new().await;
    let bob = set.server.person(&set.operator, "Bob", "0").await;
    let (server, ann) = (&set.server, &set.ann);
    let mut statements: Vec<Vec<u8>> = Vec::new();
    for place in 0..70 {
        let mut signed = server.sign(ann, server.intent(ann, bob.account(), 1 + place));
        if place % 7 == 3 {
            *signed.bytes.last_mut().unwrap() ^= 1;
        }
        statements.push(signed.bytes);
    }
    let shown = |checked: Result<tpw_proof::Verified<tpw_core::Intent>, tpw_engines::PayError>| {
        checked.map(|intent| intent.value().payment).map_err(|error| error.to_string())
    };
    let alone: Vec<_> =
        statements.iter().map(|one| shown(server.engine.check_intent(one))).collect();
    assert_eq!(alone.iter().filter(|one| one.is_err()).count(), 10);
    for threads in [1, 2, 3, 64] {
        let threads = core::num::NonZeroUsize::new(threads).unwrap();
        let checked = server.engine.check_intents(&statements, threads);
        assert_eq!(checked.into_iter().map(shown).collect::<Vec<_>>(), alone, "{threads}");
    }
    assert!(server.engine.check_intents(&[], core::num::NonZeroUsize::MIN).is_empty());
}

#[tokio::test]
async fn batches_beyond_the_few_at_once_are_to_come_back() {
    let standard = crate::support::limits();
    let wait = core::time::Duration::from_millis(100);
    for batches in [
        BatchLimits { turns: 0, wait, ..standard.batches },
        BatchLimits { bodies: 0, ..standard.batches },
    ] {
        let server = Server::start_with(tpw_server::Limits { batches, ..standard }).await;
        let body = json!({ "statements": [""] });
        let answer = server.post_json("/v1/payments:batch", &[], &body).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "busy"));
        assert_eq!(answer.header("retry-after"), Some("1"));
        let body = json!({ "orders": [] });
        let operator = server.operator();
        let answer = server.call(&operator, "POST", "/v1/transfers:batch", Some(&body)).await;
        assert_eq!(answer.problem(), "busy");
    }
}

#[tokio::test]
async fn strangers_with_slow_batches_keep_nobody_else_from_theirs() {
    let set = Set::new().await;
    let bodies = crate::support::limits().batches.bodies_of_one;
    let mut slow = Vec::new();
    for _ in 0..bodies {
        let mut stream = set.server.connect().await;
        let head = "POST /v1/payments:batch HTTP/1.1\r\nHost: localhost\r\n\
                    Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        slow.push(stream);
    }
    // The same network has had its share; when all its streams have arrived, one more is turned away.
    let body = json!({ "statements": [""] });
    let mut turned_away = None;
    for _ in 0..100 {
        let answer = set.server.post_json("/v1/payments:batch", &[], &body).await;
        if answer.status == 503 {
            turned_away = Some(answer.problem());
            break;
        }
    }
    assert_eq!(turned_away.as_deref(), Some("busy"));
    // Another one has its own, and the operator's batches and reconciliations are not concerned.
    let other = format!(
        "POST /v1/payments:batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.to_string().len()
    );
    let answer = set.server.ask_from("127.0.0.2", &other).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let order = json!({ "order": { "kind": "transfer", "leg": set.leg(set.ann.account(), "1") } });
    assert_eq!(set.order(&[order]).await.json()["items"][0]["outcome"], "done");
    let file = camt(&set.today(), "1.00", &[("1.00", "CRDT", "x")]);
    let query = format!("account={}", set.issuance);
    let answer = set.reconcile(&query, "application/xml", file).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(slow);
}

#[tokio::test]
async fn every_change_comes_once_and_in_order() {
    let set = Set::new().await;
    let bob = set.server.person(&set.operator, "Bob", "0").await;
    set.server.pay(&set.ann, bob.account(), 5).await;
    let all = set.get("/v1/changes").await;
    let kinds = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["kind"].as_str().unwrap().to_owned()).collect()
    };
    let whole = kinds(&all.json());
    assert!(whole.contains(&"payment.booked".to_owned()) && whole.contains(&"transfer".to_owned()));
    // Page by page, from the cursor of each page.
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = set.get(&format!("/v1/changes?after={after}&limit=2")).await.json();
        paged.extend(kinds(&page));
        after = page["next"].as_str().unwrap().to_owned();
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(paged, whole);
    set.server.pay(&set.ann, bob.account(), 6).await;
    let news = set.get(&format!("/v1/changes?after={after}")).await;
    assert_json_snapshot!("changes", news.shown());
    let holder = set.server.call(&set.ann, "GET", "/v1/changes", None).await;
    assert_eq!(holder.problem(), "forbidden");
    for query in ["after=x", "after=MSAxIDI9", "limit=0", "limit=1001", "before=1"] {
        assert_eq!(
            set.get(&format!("/v1/changes?{query}")).await.problem(),
            "bad_query",
            "{query}"
        );
    }
}

#[tokio::test]
async fn limits_velocities_watches_and_balances_of_the_past() {
    let set = Set::new().await;
    let float = set.float("5000").await;
    let before = set.server.clock.now();
    set.server.clock.advance(Span::from_ms(10));
    let path = format!("/v1/accounts/{float}");
    let put =
        async |what: &str, body: Value| set.call("PUT", &format!("{path}/{what}"), &body).await;
    let limits = put("limits", json!({ "debit_max": "1000", "balance_max": "9000" })).await;
    assert_json_snapshot!("limits_set", limits.shown());
    let limit = json!({ "window_s": 86_400, "amount_max": "2000", "count_max": 3 });
    let velocities = put("velocities", json!({ "limits": [limit] })).await;
    assert_json_snapshot!("velocities_set", velocities.shown());
    let watch = json!({ "tier": "hot", "below": "4500", "action": "alert_and_freeze" });
    assert_json_snapshot!("watch_set", put("watch", watch).await.shown());

    let spend = |amount: &str| {
        let mut leg = set.leg(set.ann.account(), amount);
        leg["debit"] = float.to_string().into();
        json!({ "order": { "kind": "transfer", "leg": leg } })
    };
    let spent = set.order(&[spend("1001"), spend("400"), spend("200"), spend("1")]).await.json();
    let codes: Vec<_> =
        spent["items"].as_array().unwrap().iter().map(|item| item["code"].clone()).collect();
    assert_eq!(codes, [json!("limit_exceeded"), Value::Null, Value::Null, json!("debit_frozen")]);
    assert_json_snapshot!("guards", set.get(&format!("{path}/guards")).await.shown());
    assert_json_snapshot!("crossings", set.get("/v1/crossings").await.shown());
    let lifted = set.server.call(&set.operator, "DELETE", &format!("{path}/watch"), None).await;
    assert_json_snapshot!("watch_lifted", lifted.shown());
    let again = set.server.call(&set.operator, "DELETE", &format!("{path}/watch"), None).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, lifted.json()), "nothing to do");

    let past = set.get(&format!("{path}/balance?at={before}")).await;
    assert_json_snapshot!("past_balance", past.shown());
    assert_eq!(set.get(&format!("{path}/balance")).await.json()["posted"], "4400");
    for (what, body, code) in [
        ("watch", json!({ "tier": "warm", "below": "1", "action": "alert" }), "bad_value"),
        ("watch", json!({ "tier": "hot", "action": "alert" }), "ledger_refused"),
        ("velocities", json!({ "limits": [{ "window_s": 0, "count_max": 1 }] }), "ledger_refused"),
        ("velocities", json!({ "limits": [{ "window_s": 60 }] }), "ledger_refused"),
        ("limits", json!({ "debit_max": "-1" }), "bad_json"),
    ] {
        assert_eq!(put(what, body.clone()).await.problem(), code, "{what} {body}");
    }
    // A holder reads what guards the own account, and changes nothing of it.
    let own = format!("/v1/accounts/{}", set.ann.account());
    assert_eq!(set.server.call(&set.ann, "GET", &format!("{own}/guards"), None).await.status, 200);
    let body = json!({ "debit_max": "1" });
    let refused = set.server.call(&set.ann, "PUT", &format!("{own}/limits"), Some(&body)).await;
    assert_eq!(refused.problem(), "forbidden");
    assert_eq!(
        set.server.call(&set.ann, "GET", &format!("{path}/guards"), None).await.problem(),
        "unknown_account"
    );
}

#[tokio::test]
async fn freezes_have_reasons_and_closed_accounts_stay_closed() {
    let set = Set::new().await;
    let float = set.float("1").await;
    let act = async |verb: &str, body: Value| {
        set.call("POST", &format!("/v1/accounts/{float}:{verb}"), &body).await
    };
    act("freeze", json!({ "reason": "sanctions" })).await;
    let frozen = act("freeze", json!({})).await.json();
    assert_eq!(frozen["frozen"], json!(["operator", "sanctions"]));
    assert_eq!(act("unfreeze", json!({ "reason": "risk" })).await.problem(), "ledger_refused");
    assert_eq!(act("freeze", json!({ "reason": "mood" })).await.problem(), "bad_value");
    assert_eq!(
        act("unfreeze", json!({ "reason": "sanctions" })).await.json()["frozen"],
        json!(["operator"])
    );
    act("unfreeze", json!({})).await;
    let refused = act("close", json!({})).await;
    assert_eq!(
        (refused.problem().as_str(), &refused.json()["reason"]),
        ("ledger_refused", &json!("balance_not_zero"))
    );
    let mut leg = set.leg(set.ann.account(), "1");
    leg["debit"] = float.to_string().into();
    set.order(&[json!({ "order": { "kind": "transfer", "leg": leg } })]).await;
    assert_json_snapshot!("account_closed", act("close", json!({})).await.shown());
    let late =
        set.order(&[json!({ "order": { "kind": "transfer", "leg": set.leg(float, "1") } })]).await;
    assert_eq!(late.json()["items"][0]["code"], "credit_closed");
    assert_eq!(act("close", json!({})).await.problem(), "ledger_refused");
}

#[tokio::test]
async fn sets_of_accounts_add_up() {
    let set = Set::new().await;
    let (hot, cold) = (set.float("300").await, set.float("50").await);
    let id = || AccountSetId::new(set.server.clock.now().unix_ms(), random());
    let (wallets, all) = (id(), id());
    let usd = json!({ "asset": "USD/2" });
    let path = |id: AccountSetId| format!("/v1/account_sets/{id}");
    let made = set.call("PUT", &path(wallets), &usd).await;
    assert_json_snapshot!("account_set_made", made.shown());
    assert_eq!(
        set.call("PUT", &path(wallets), &usd).await.status,
        200,
        "once more changes nothing"
    );
    assert_eq!(
        set.call("PUT", &path(wallets), &json!({ "asset": "EUR/2" })).await.problem(),
        "id_in_use"
    );
    assert_eq!(set.call("PUT", &path(all), &usd).await.status, 201);
    let join = async |of: AccountSetId, member: String| {
        set.call("PUT", &format!("{}/members/{member}", path(of)), &json!({})).await
    };
    join(wallets, hot.to_string()).await;
    assert_json_snapshot!("account_set_joined", join(wallets, cold.to_string()).await.shown());
    join(all, wallets.to_string()).await;
    assert_json_snapshot!("account_set", set.get(&path(all)).await.shown());
    let leave = format!("{}/members/{cold}", path(wallets));
    let left = set.server.call(&set.operator, "DELETE", &leave, None).await;
    assert_json_snapshot!("account_set_left", left.shown());
    assert_eq!(set.get(&path(all)).await.json()["posted"], "300");

    assert_eq!(join(wallets, all.to_string()).await.json()["reason"], "set_cycle");
    // Once more changes nothing, and is no mistake.
    let again = join(wallets, hot.to_string()).await;
    assert_eq!((again.status.as_u16(), &again.json()["accounts"]), (200, &json!(1)));
    let again = set.server.call(&set.operator, "DELETE", &leave, None).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, left.json()));
    let stranger = format!("{}/members/{}", path(wallets), AccountId::new(0, [9; 10]));
    let absent = set.server.call(&set.operator, "DELETE", &stranger, None).await;
    assert_eq!(absent.json()["reason"], "unknown_account");
    assert_eq!(join(id(), hot.to_string()).await.json()["reason"], "unknown_set");
    assert_eq!(join(wallets, "pay_1".to_owned()).await.problem(), "not_found");
    assert_eq!(set.get(&path(id())).await.problem(), "unknown_account_set");
    let holder = set.server.call(&set.ann, "GET", &path(all), None).await;
    assert_eq!(holder.problem(), "forbidden");
}

#[tokio::test]
async fn members_of_a_set_come_page_by_page() {
    let set = Set::new().await;
    let id = || AccountSetId::new(set.server.clock.now().unix_ms(), random());
    let (outer, inner) = (id(), id());
    let path = format!("/v1/account_sets/{outer}");
    for one in [outer, inner] {
        let path = format!("/v1/account_sets/{one}");
        assert_eq!(set.call("PUT", &path, &json!({ "asset": "USD/2" })).await.status, 201);
    }
    let mut accounts = Vec::new();
    for _ in 0..3 {
        accounts.push(set.float("1").await.to_string());
    }
    accounts.sort();
    let wanted: Vec<String> = accounts.into_iter().chain([inner.to_string()]).collect();
    for member in &wanted {
        let answer = set.call("PUT", &format!("{path}/members/{member}"), &json!({})).await;
        assert_eq!(answer.json().get("members"), None, "a change answers with sums alone");
    }
    assert_json_snapshot!("members", set.get(&format!("{path}/members?limit=3")).await.shown());
    let (mut all, mut next) = (Vec::new(), Some(String::new()));
    while let Some(after) = next {
        let page = set.get(&format!("{path}/members?limit=2{after}")).await.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        all.extend(items.iter().map(|item| item.as_str().unwrap().to_owned()));
        next = page["next_after"].as_str().map(|after| format!("&after={after}"));
    }
    assert_eq!(all, wanted);
    for query in ["after=x", "limit=0", "limit=1001", "page=1"] {
        let answer = set.get(&format!("{path}/members?{query}")).await;
        assert_eq!(answer.problem(), "bad_query", "{query}");
    }
    let absent = set.get(&format!("/v1/account_sets/{}/members", id())).await;
    assert_eq!(absent.problem(), "unknown_account_set");
    let holder = set.server.call(&set.ann, "GET", &format!("{path}/members"), None).await;
    assert_eq!(holder.problem(), "forbidden");
}

#[tokio::test]
async fn what_waits_comes_page_by_page() {
    let set = Set::new().await;
    let (server, bob) = (&set.server, set.server.person(&set.operator, "Bob", "0").await);
    for _ in 0..6 {
        let funded = set.server.fund(&set.operator, set.ann.account(), "900000", set.transfer());
        assert_eq!(funded.await.status, 200);
    }
    let account = json!({ "account": { "asset": "USD/2", "kind": "external", "label": "bank" } });
    let opened = set.call("POST", "/v1/accounts", &account).await.json();
    let bank = opened["id"].as_str().unwrap().parse().unwrap();
    let (mut held, mut open) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        open.push(server.pay(&set.ann, bank, 70).await.0.id.to_string());
    }
    for _ in 0..3 {
        held.push(server.pay(&set.ann, bob.account(), 1_500_000).await.0.id.to_string());
    }
    for (path, member, wanted) in [("/v1/holds", "id", held), ("/v1/rail", "payment", open)] {
        let (mut all, mut next) = (Vec::new(), Some(String::new()));
        while let Some(after) = next {
            let page = set.get(&format!("{path}?limit=2{after}")).await.json();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 2, "{path}");
            all.extend(items.iter().map(|item| item[member].as_str().unwrap().to_owned()));
            next = page["next_after"].as_str().map(|after| format!("&after={after}"));
        }
        assert_eq!(all, wanted, "{path}");
        for query in ["after=x", "limit=0", "limit=251", "page=1"] {
            let answer = set.get(&format!("{path}?{query}")).await;
            assert_eq!(answer.problem(), "bad_query", "{path}?{query}");
        }
    }
}

/// A statement with these entries: amount, direction, reference.
fn camt(day: &str, closing: &str, entries: &[(&str, &str, &str)]) -> String {
    let entry = |(amount, side, name): &(&str, &str, &str)| {
        format!(
            "<Ntry><Amt Ccy=\"USD\">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>{day}</Dt>\
             </BookgDt><NtryDtls><TxDtls><Refs><EndToEndId>{name}</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>"
        )
    };
    let balance = |code: &str, amount: &str| {
        let side = if amount.starts_with('-') { "DBIT" } else { "CRDT" };
        let amount = amount.trim_start_matches('-');
        format!(
            "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy=\"USD\">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd>\
             <Dt><Dt>{day}</Dt></Dt></Bal>"
        )
    };
    format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08\"><BkToCstmrStmt><Stmt><Id>S1</Id><Acct><Id>\
         <IBAN>DE02120300000000202051</IBAN></Id><Ccy>USD</Ccy></Acct>{}{}{}</Stmt></BkToCstmrStmt></Document>",
        balance("OPBD", "0.00"),
        balance("CLBD", closing),
        entries.iter().map(entry).collect::<String>()
    )
}

#[tokio::test]
async fn a_partners_statement_is_set_against_its_mirror() {
    let set = Set::new().await;
    let account = json!({ "account": { "asset": "USD/2", "kind": "external", "label": "bank" } });
    let bank: AccountId = set.call("POST", "/v1/accounts", &account).await.json()["id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let (first, _) = set.server.pay(&set.ann, bank, 700).await;
    let (second, _) = set.server.pay(&set.ann, bank, 800).await;
    let (_third, _) = set.server.pay(&set.ann, bank, 900).await;
    let upper = first.id.to_string().to_uppercase().replace('_', "");
    let second = second.id.to_string();
    let day = set.today();
    let file = camt(
        &day,
        "-18.05",
        &[("7.00", "DBIT", &upper), ("8.05", "DBIT", &second), ("3.00", "DBIT", "NOTPROVIDED")],
    );
    let query = format!("account={bank}");
    let answer = set.reconcile(&query, "application/xml", file.clone()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut shown = answer.shown();
    let text = shown.to_string().replace(&day, "[day]").replace(&upper, "[PAY]");
    shown = serde_json::from_str(&text).unwrap();
    assert_json_snapshot!("reconciliation", shown);

    let all = set
        .reconcile(&format!("{query}&show=all&sides=mirrored&window_days=0"), "text/xml", file)
        .await
        .json();
    assert_eq!(all["items"][0]["items"].as_array().unwrap().len(), 4);
    let csv = format!(
        "booking_date,amount,currency,reference\n{day},-7.00,USD,{upper}\n{day},-8.00,USD,{second}\n{day},-9,USD,\n"
    );
    let clean = set.reconcile(&query, "text/csv", csv).await.json();
    assert_eq!(
        (&clean["items"][0]["clean"], &clean["items"][0]["proof"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(
        set.get(&format!("/v1/accounts/{bank}")).await.json()["transfers"],
        3,
        "nothing was changed"
    );
}

/// Goal: a period of the past is complete and cheap to read. Method: after its two transfers, so many follow that a mark lies
/// between, and one more that counts from the period.
#[tokio::test]
async fn a_period_long_past_is_reconciled_without_reading_all_that_came_after() {
    let set = Set::new().await;
    let (day, first) = (set.today(), set.float("5000").await);
    let last = set.server.clock.now();
    set.server.clock.advance(Span::from_secs(40 * 86_400));
    *set.operator.token.borrow_mut() = None;
    let order = |leg: Value| json!({ "order": { "kind": "transfer", "leg": leg } });
    let later: Vec<Value> = (0..1_100).map(|_| order(set.leg(first, "1"))).collect();
    assert_eq!(set.order(&later).await.json()["items"][1_099]["outcome"], "done");
    let mut backdated = set.leg(first, "7");
    backdated["effective"] = last.to_string().into();
    assert_eq!(set.order(&[order(backdated)]).await.json()["items"][0]["outcome"], "done");

    let csv = format!("booking_date,amount,currency\n{day},50.00,USD\n{day},0.07,USD\n");
    let query = format!("account={first}&from={day}&to={day}&sides=same");
    let answer = set.reconcile(&query, "text/csv", csv).await;
    assert_eq!(answer.json()["items"][0]["clean"], true, "{}", answer.json());
    let newest = set.server.engine.account(&first).unwrap().unwrap().account.last;
    let from = set.server.engine.newest_by(first, last).unwrap();
    assert!(from < newest, "{from} is not the newest transfer, {newest}");
    let late = set.server.engine.backdated(first, from, last, 9).unwrap();
    assert_eq!(late.iter().map(|row| row.number).collect::<Vec<_>>(), [newest]);
}

#[tokio::test]
async fn files_that_cannot_be_reconciled() {
    let set = Set::new().await;
    let query = format!("account={}", set.issuance);
    let day = set.today();
    let good = || camt(&day, "1.00", &[("1.00", "CRDT", "x")]);
    let csv = "booking_date,amount,currency\n";
    for (more, media_type, file, code) in [
        ("", "application/xml", "<a/>".to_owned(), "bad_partner_statement"),
        ("", "application/xml", format!("<!DOCTYPE a>{}", good()), "bad_partner_statement"),
        (
            "",
            "application/xml",
            good().replace(
                "1.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>",
                "2.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>",
            ),
            "bad_partner_statement",
        ),
        ("&partner_account=DE00", "application/xml", good(), "bad_partner_statement"),
        ("", "text/csv", csv.to_owned(), "bad_partner_statement"),
        ("&from=2026-11-01", "text/csv", csv.to_owned(), "bad_query"),
        ("&from=2026-11-02&to=2026-11-01", "text/csv", csv.to_owned(), "bad_query"),
        ("&sides=left", "application/xml", good(), "bad_query"),
        ("&show=some", "application/xml", good(), "bad_query"),
        ("&zone=CET", "application/xml", good(), "bad_query"),
        ("&window_days=32", "application/xml", good(), "bad_partner_statement"),
        ("&more=1", "application/xml", good(), "bad_query"),
        ("", "application/json", good(), "unsupported_media_type"),
    ] {
        let answer = set.reconcile(&format!("{query}{more}"), media_type, file).await;
        assert_eq!(answer.problem(), code, "{more} {media_type}");
    }
    assert_eq!(set.reconcile("show=all", "application/xml", good()).await.problem(), "bad_query");
    // What the query says is judged before the file.
    let query = format!("{query}&window_days=32");
    let early = set.reconcile(&query, "application/xml", "<a/>".to_owned()).await;
    assert_eq!(early.json()["reason"], "window");
    let nobody = AccountId::new(0, [9; 10]);
    assert_eq!(
        set.reconcile(&format!("account={nobody}"), "application/xml", good()).await.problem(),
        "unknown_account"
    );
}
