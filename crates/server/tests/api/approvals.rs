//! Goal: what one person may not do is done by several who each may and want it, or not at all.
//! Method: an office with an operator and approvers; each rule broken by itself, and what is refused changes nothing.

use crate::support::*;
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use tpw_access::approval::{Operation, OperationKind};
use tpw_core::{Amount, ApprovalId, Consent, DeviceId, Hash32, Money, Span, TransferId, Vote};
use tpw_engines::clock::Clock as _;

/// From this many cents on a payment is held here, and its release needs two people.
const LARGE: u128 = 2_000_000;
const DAY: Span = Span::from_secs(24 * 3600);

struct Office {
    server: Server,
    operator: Actor,
    ann: Actor,
    bob: Actor,
    approvers: Vec<Actor>,
}

impl Office {
    /// An office with three approvers: the operator made the first alone, who has agreed to the others.
    async fn open() -> Self {
        let server = Server::start_as(limits(), |config| {
            let amount = Amount::from_minor(1_000_000);
            config.approvals_above = vec![Money { amount, asset: "USD/2".parse().unwrap() }];
        })
        .await;
        let operator = server.operator();
        let ann = server.person(&operator, "Ann", "90000000").await;
        let bob = server.person(&operator, "Bob", "100").await;
        let mut approvers = Vec::new();
        for name in ["Carol", "Dave", "Eve"] {
            approvers.push(server.person(&operator, name, "100").await);
        }
        let office = Self { server, operator, ann, bob, approvers };
        let alone = office.give(0, &["approver"]).await;
        assert_eq!(alone.status, 200, "{alone:?}");
        // A device of today governs nothing once there is somebody else.
        let young = office.give(1, &["approver"]).await;
        assert_eq!(young.problem(), "forbidden", "{young:?}");
        office.server.clock.advance(DAY);
        for place in 1..3 {
            office.given(place, &["approver"], 0).await;
        }
        for actor in office.approvers.iter().chain([&office.operator, &office.ann, &office.bob]) {
            *actor.token.borrow_mut() = None;
        }
        office
    }

    async fn give(&self, place: usize, roles: &[&str]) -> Answer {
        self.server.give(&self.operator, &self.approvers[place], roles).await
    }

    /// Gives roles, to which the approver `by` agrees.
    async fn given(&self, place: usize, roles: &[&str], by: usize) {
        let asked = self.give(place, roles).await;
        assert_eq!(asked.status, 202, "{asked:?}");
        let done = self.says(by, &asked.json(), Consent::Approve).await;
        assert_eq!(done.json()["stage"], "executed", "{done:?}");
        *self.approvers[place].token.borrow_mut() = None;
    }

    async fn says(&self, place: usize, request: &Value, consent: Consent) -> Answer {
        self.server.says(&self.approvers[place], request, consent).await
    }

    /// Somebody's word, changed by `edit` before it is signed.
    async fn word(
        &self,
        actor: &Actor,
        request: &Value,
        consent: Consent,
        edit: fn(&mut Vote),
    ) -> Answer {
        self.server.recognise(actor).await;
        self.server.word(actor, request, consent, edit).await
    }

    /// A payment that is held, and the request to release it.
    async fn held(&self) -> (Signed, Value) {
        let (signed, answer) = self.server.pay(&self.ann, self.bob.account(), LARGE).await;
        assert_eq!(answer.json()["status"], "held", "{answer:?}");
        let asked = self.release(&signed).await;
        assert_eq!(asked.status, 202, "{asked:?}");
        (signed, asked.json())
    }

    async fn release(&self, signed: &Signed) -> Answer {
        self.server.recognise(&self.operator).await;
        let path = format!("/v1/payments/{}:release", signed.id);
        self.server.call(&self.operator, "POST", &path, None).await
    }

    async fn payment(&self, signed: &Signed) -> Value {
        let path = format!("/v1/payments/{}", signed.id);
        self.server.call(&self.operator, "GET", &path, None).await.json()
    }
}

/// Why a vote was refused.
fn reason(answer: &Answer) -> String {
    assert_eq!(answer.problem(), "approval_refused", "{answer:?}");
    answer.json()["reason"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn two_people_release_what_one_alone_may_not() {
    let office = Office::open().await;
    let (signed, request) = office.held().await;
    let operation = Operation {
        kind: OperationKind::Release,
        resource: *signed.id.as_bytes(),
        bytes: signed.hash.as_bytes().to_vec(),
    };
    assert_eq!(request["operation_hash"], operation.hash().to_string());
    let again = office.release(&signed).await;
    assert_eq!(again.json()["id"], request["id"], "the same request, not another one");

    let first = office.says(0, &request, Consent::Approve).await;
    assert_eq!(first.json()["stage"], "open");
    assert_eq!(office.payment(&signed).await["status"], "held");
    assert_eq!(reason(&office.says(0, &request, Consent::Approve).await), "again");
    let second = office.says(1, &request, Consent::Approve).await;
    assert_json_snapshot!("approved", second.shown());
    assert_eq!(second.json()["stage"], "executed");

    let payment = office.payment(&signed).await;
    assert_eq!(payment["status"], "booked");
    let keys: Vec<&Value> =
        payment["approvals"].as_array().unwrap().iter().map(|given| &given["key"]).collect();
    let votes = second.json()["votes"].clone();
    assert_eq!(keys, [&votes[0]["key"], &votes[1]["key"]]);
    assert_ne!(keys[0], keys[1]);

    assert_eq!(reason(&office.says(2, &request, Consent::Approve).await), "ended");
    let path = format!("/v1/approvals/{}", request["id"].as_str().unwrap());
    let read = office.server.call(&office.approvers[2], "GET", &path, None).await;
    assert_json_snapshot!("approval", read.shown());
    // A stranger checks a vote with the device's key alone.
    let bytes: tpw_server::wire::ApprovalRequest = serde_json::from_value(read.json()).unwrap();
    let key = office.server.engine.device(&office.approvers[0].device.unwrap()).unwrap().key;
    let vote = tpw_proof::Unverified::<Vote>::parse(&bytes.votes[0].statement.0).unwrap();
    assert_eq!(vote.verify(&key).unwrap().value().operation, operation.hash());
}

#[tokio::test]
async fn one_rejection_ends_it_and_the_payment_stays_held() {
    let office = Office::open().await;
    let (signed, request) = office.held().await;
    office.says(0, &request, Consent::Approve).await;
    let ended = office.says(1, &request, Consent::Reject).await;
    assert_json_snapshot!("approval_rejected", ended.shown());
    assert_eq!(reason(&office.says(2, &request, Consent::Approve).await), "ended");
    assert_eq!(office.payment(&signed).await["status"], "held");
    // It can be asked for anew.
    let anew = office.release(&signed).await.json();
    assert_ne!(anew["id"], request["id"]);
    let list = office.server.call(&office.operator, "GET", "/v1/approvals", None).await;
    assert_json_snapshot!("approvals", list.shown());
    assert_eq!(list.json()["items"].as_array().unwrap().len(), 1);
    let all = office.server.call(&office.operator, "GET", "/v1/approvals?stage=all", None).await;
    assert_eq!(all.json()["items"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn who_lost_the_role_meanwhile_does_not_count() {
    let office = Office::open().await;
    let (signed, request) = office.held().await;
    office.says(0, &request, Consent::Approve).await;
    office.given(0, &[], 2).await;
    let second = office.says(1, &request, Consent::Approve).await;
    assert_eq!(second.json()["stage"], "open", "one of two has no role any more");
    // Whoever has no role any more is not even told of the request.
    let late = office.says(0, &request, Consent::Approve).await;
    assert_eq!(late.problem(), "forbidden");
    let third = office.says(2, &request, Consent::Approve).await;
    assert_eq!(third.json()["stage"], "executed");
    let approvals = office.payment(&signed).await["approvals"].clone();
    assert_eq!(approvals.as_array().unwrap().len(), 2);
    assert_ne!(approvals[0]["key"], third.json()["votes"][0]["key"]);
    // Why the first word did not count, and that the second one did, stands among the decisions of those who gave them.
    for (place, rulings) in [(0, ["denied", "denied"].as_slice()), (1, &["allowed"])] {
        let person = office.approvers[place].person.unwrap();
        let path = format!(
            "/v1/decisions?action=approve&actor={person}&resource={}&limit=250",
            request["id"].as_str().unwrap()
        );
        let found = office.server.call(&office.operator, "GET", &path, None).await.json();
        let given = found["items"].as_array().unwrap().iter();
        let given = given.filter(|item| item["facts"]["vote"] == "given");
        assert!(
            given.map(|item| item["ruling"].as_str().unwrap()).eq(rulings.iter().copied()),
            "{found}"
        );
    }
}

#[tokio::test]
async fn a_revoked_device_does_not_count() {
    let office = Office::open().await;
    let (_, request) = office.held().await;
    office.says(0, &request, Consent::Approve).await;
    let path = format!("/v1/devices/{}", office.approvers[0].device.unwrap());
    assert_eq!(office.server.call(&office.operator, "DELETE", &path, None).await.status, 200);
    let second = office.says(1, &request, Consent::Approve).await;
    assert_eq!(second.json()["stage"], "open");
    let revoked = &office.approvers[0];
    let answer = office.server.word(revoked, &request, Consent::Approve, |_| {}).await;
    assert_eq!(answer.problem(), "device_revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disowned_device_does_not_count() {
    let office = Office::open().await;
    let (server, carol) = (&office.server, &office.approvers[0]);
    let other = server.another_device(&office.operator, carol).await;
    let (_, request) = office.held().await;
    office.says(0, &request, Consent::Approve).await;
    crate::prompts::disowned(server, carol, &other).await;
    let second = office.says(1, &request, Consent::Approve).await;
    assert_eq!(second.json()["stage"], "open", "{second:?}");
    let word = office.word(carol, &request, Consent::Reject, |_| {}).await;
    assert_eq!(
        (word.problem().as_str(), &word.json()["reason"]),
        ("forbidden", &json!("disowned_device"))
    );
    // The same person agrees on a device that is trusted.
    server.recognise(&other).await;
    let anew = office.word(&other, &request, Consent::Approve, |_| {}).await;
    assert_eq!(anew.json()["stage"], "executed", "{anew:?}");
    assert_eq!(anew.json()["votes"].as_array().map(Vec::len), Some(2), "{anew:?}");
}

#[tokio::test]
async fn votes_that_are_not_taken() {
    let office = Office::open().await;
    let (signed, request) = office.held().await;
    let [carol, ..] = office.approvers.as_slice() else { panic!("three") };
    office.server.clock.advance(Span::from_secs(301));
    for actor in [&office.operator, &office.ann, carol] {
        *actor.token.borrow_mut() = None;
    }
    // The operator asked.
    let own = office.server.says(&office.operator, &request, Consent::Approve).await;
    assert_eq!(reason(&own), "own_operation");
    // Who has not logged in lately is sent to do so.
    *carol.token.borrow_mut() = None;
    let weak = office.server.word(carol, &request, Consent::Approve, |_| {}).await;
    assert_eq!(weak.problem(), "insufficient_user_authentication");
    let wanted =
        r#"DPoP error="insufficient_user_authentication", acr_values="aal2", max_age="300""#;
    assert_eq!(weak.header("www-authenticate"), Some(wanted));
    let path = format!("/v1/people/{}/roles", carol.person.unwrap());
    assert_eq!(office.server.call(&office.ann, "GET", &path, None).await.status, 404);
    assert_eq!(office.word(&office.ann, &request, Consent::Approve, |_| {}).await.status, 403);
    type Edit = fn(&mut Vote);
    let cases: [(&str, Edit); 3] = [
        ("mismatch", |vote| vote.operation = Hash32::new([1; 32])),
        ("mismatch", |vote| vote.device = DeviceId::from_bytes([1; 16])),
        ("stale", |vote| vote.created = vote.created.minus(Span::from_secs(301))),
    ];
    for (code, edit) in cases {
        assert_eq!(reason(&office.word(carol, &request, Consent::Approve, edit).await), code);
    }
    let other = |vote: &mut Vote| vote.approval = ApprovalId::from_bytes([1; 16]);
    let answer = office.word(carol, &request, Consent::Approve, other).await;
    assert_eq!(answer.problem(), "proof_mismatch");
    // A rejection is not sent as an approval.
    let turned = |vote: &mut Vote| vote.consent = Consent::Reject;
    let answer = office.word(carol, &request, Consent::Approve, turned).await;
    assert_eq!(answer.problem(), "proof_mismatch");
    assert_eq!(office.payment(&signed).await["status"], "held");
    let path = format!("/v1/approvals/{}", request["id"].as_str().unwrap());
    let read = office.server.call(carol, "GET", &path, None).await;
    assert_eq!(read.json()["votes"], json!([]));
    office.server.clock.advance(Span::from_secs(72 * 3600));
    *carol.token.borrow_mut() = None;
    assert_eq!(reason(&office.word(carol, &request, Consent::Approve, |_| {}).await), "expired");
}

#[tokio::test]
async fn the_payee_does_not_approve_the_payment() {
    let office = Office::open().await;
    let dave = &office.approvers[1];
    let (signed, _) = office.server.pay(&office.ann, dave.account(), LARGE).await;
    let request = office.release(&signed).await.json();
    assert_eq!(reason(&office.says(1, &request, Consent::Approve).await), "own_operation");
}

/// The operator of this server has set no amounts of their own.
#[tokio::test]
async fn what_the_policies_call_large_needs_a_second_person() {
    let server = Server::start().await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "90000000").await;
    let bob = server.person(&operator, "Bob", "100").await;
    let carol = server.person(&operator, "Carol", "0").await;
    let (signed, _) = server.pay(&ann, bob.account(), LARGE).await;
    let path = format!("/v1/payments/{}:release", signed.id);
    let release = async || server.call(&operator, "POST", &path, None).await;
    let before = server.state(&operator, &[&ann, &bob]).await;
    assert_eq!(release().await.problem(), "insufficient_user_authentication");
    server.recognise(&operator).await;
    let asked = release().await;
    assert_eq!((asked.status.as_u16(), &asked.json()["needed"]), (202, &json!(1)));
    assert_eq!(server.state(&operator, &[&ann, &bob]).await, before);
    assert_eq!(server.give(&operator, &carol, &["approver"]).await.status, 200);
    let done = server.says(&carol, &asked.json(), Consent::Approve).await;
    assert_eq!(done.json()["stage"], "executed", "{done:?}");

    // Bringing money in, and giving it back, by the same people.
    let transfer = TransferId::new(server.clock.now().unix_ms(), random());
    let fund = async || server.fund(&operator, bob.account(), "1000000", transfer).await;
    let (asked, balance) = (fund().await, async || {
        let path = format!("/v1/accounts/{}", bob.account());
        server.call(&operator, "GET", &path, None).await.json()["posted"].clone()
    });
    assert_eq!((asked.status.as_u16(), &asked.json()["kind"]), (202, &json!("fund")));
    assert_eq!(balance().await, json!("2000100"));
    assert_eq!(fund().await.json()["id"], asked.json()["id"], "asked for once");
    server.says(&carol, &asked.json(), Consent::Approve).await;
    assert_eq!(balance().await, json!("3000100"));
    // Sent again it answers with what was done, and asks nobody; another amount or account under its id is refused.
    let again = fund().await;
    assert_eq!((again.status.as_u16(), &again.json()["posted"]), (200, &json!("3000100")));
    for (account, amount) in [(bob.account(), "1000001"), (ann.account(), "1000000")] {
        let other = server.fund(&operator, account, amount, transfer).await;
        assert_eq!(other.problem(), "id_in_use", "{other:?}");
    }
    let open = server.call(&carol, "GET", "/v1/approvals", None).await.json();
    assert_eq!(open["items"], json!([]), "no second request");
    assert_eq!(balance().await, json!("3000100"));
    let path = format!("/v1/payments/{}:recall", signed.id);
    let asked = server.call(&operator, "POST", &path, None).await;
    assert_eq!((asked.status.as_u16(), &asked.json()["kind"]), (202, &json!("reverse")));
    let refused = server.says(&carol, &asked.json(), Consent::Reject).await;
    assert_eq!(refused.json()["stage"], "rejected");
    assert_eq!(balance().await, json!("3000100"));
    let asked = server.call(&operator, "POST", &path, None).await;
    let done = server.says(&carol, &asked.json(), Consent::Approve).await;
    assert_eq!(done.json()["stage"], "executed", "{done:?}");
    assert_eq!(balance().await, json!("1000100"));
    let again = server.call(&operator, "POST", &path, None).await;
    assert_eq!(again.problem(), "wrong_status");

    // Nobody is entered with as much by one person any more.
    let account = json!({ "asset": "USD/2", "kind": "custodial", "label": "main" });
    let person = |opening: &str| {
        let mut account = account.clone();
        account["opening"] = opening.into();
        json!({ "name": "Fay", "accounts": [account] })
    };
    let add = async |body: Value| server.call(&operator, "POST", "/v1/people", Some(&body)).await;
    assert_eq!(add(person("1000000")).await.problem(), "approval_required");
    assert_eq!(add(person("999999")).await.status, 201);
}

/// A zone in which it is this minute of the day now.
fn zone_where_it_is(minute: u64) -> String {
    let now = tpw_engines::clock::SystemClock::new().now().unix_ms() / 60_000 % 1440;
    let ahead = (minute + 1440 - now) % 1440;
    let (sign, distance) = if ahead <= 720 { ('+', ahead) } else { ('-', 1440 - ahead) };
    format!("{sign}{:02}:{:02}", distance / 60, distance % 60)
}

/// An order of some kind that moves so much in all.
fn order(server: &Server, kind: &str, (debit, credit): (&str, &str), minor: u128) -> Value {
    let id = || {
        server.clock.advance(Span::from_ms(1));
        TransferId::new(server.clock.now().unix_ms(), random()).to_string()
    };
    let leg = |minor: u128| {
        json!({
            "id": id(), "debit": debit, "credit": credit, "amount": minor.to_string(),
            "asset": "USD/2",
        })
    };
    let later = server.clock.now().plus(Span::from_secs(3600));
    let order = match kind {
        // In parts that are small, each by itself.
        "linked" => json!({ "kind": kind, "legs": [leg(minor / 2), leg(minor - minor / 2)] }),
        "hold" => json!({ "kind": kind, "leg": leg(minor), "expires": later.to_string() }),
        _ => json!({ "kind": kind, "leg": leg(minor) }),
    };
    json!({ "order": order })
}

/// An account of nobody's with an opening.
async fn open(server: &Server, operator: &Actor, kind: &str, opening: &str) -> Answer {
    let mut account = json!({ "asset": "USD/2", "kind": kind, "label": "own" });
    account["opening"] = opening.into();
    server.call(operator, "POST", "/v1/accounts", Some(&json!({ "account": account }))).await
}

#[tokio::test]
async fn at_night_nobody_begins_to_move_a_large_amount_where_a_zone_is_named() {
    let server = Server::start_in_zone(&zone_where_it_is(15 * 60)).await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "90000000").await;
    let bob = server.person(&operator, "Bob", "100").await;
    let (signed, _) = server.pay(&ann, bob.account(), LARGE).await;
    server.clock.advance(Span::from_secs(8 * 3600));
    let release = async || {
        server.recognise(&operator).await;
        let path = format!("/v1/payments/{}:release", signed.id);
        server.call(&operator, "POST", &path, None).await
    };
    let fund = async |minor: &str| {
        server.recognise(&operator).await;
        let transfer = TransferId::new(server.clock.now().unix_ms(), random());
        server.fund(&operator, bob.account(), minor, transfer).await
    };
    assert_eq!(release().await.problem(), "forbidden");
    assert_eq!(fund("1000000").await.problem(), "forbidden");
    assert_eq!(fund("999999").await.status, 200, "a small amount");
    let enter = async |openings: &[&str]| {
        let account = |opening: &&str| json!({ "asset": "USD/2", "kind": "custodial", "label": "main", "opening": opening });
        let accounts: Vec<Value> = openings.iter().map(account).collect();
        let body = json!({ "name": "Zoe", "accounts": accounts });
        server.call(&operator, "POST", "/v1/people", Some(&body)).await
    };
    assert_eq!(enter(&["1000000"]).await.problem(), "forbidden");
    assert_eq!(enter(&["500000", "500000"]).await.problem(), "forbidden", "in two parts");
    assert_eq!(enter(&["999999"]).await.status, 201);
    for kind in ["operating", "external"] {
        let large = open(&server, &operator, kind, "1000000").await;
        assert_eq!(large.problem(), "forbidden", "{kind}");
        assert_eq!(open(&server, &operator, kind, "999999").await.status, 201, "{kind}");
    }
    let path = "/v1/decisions?action=release_hold&limit=250";
    let found = server.call(&operator, "GET", path, None).await.json();
    let denied = &found["items"][0];
    assert_eq!(
        (&denied["ruling"], &denied["policies"]),
        (&json!("denied"), &json!(["operator.night"]))
    );
    assert!(denied["facts"]["time_minute"].as_str().unwrap().starts_with("138"), "{denied}");
    // In the morning somebody else is asked.
    server.clock.advance(Span::from_secs(8 * 3600));
    assert_eq!(release().await.status, 202);
    assert_eq!(fund("1000000").await.status, 202);
}

#[tokio::test]
async fn at_night_the_orders_of_one_request_count_together_and_those_of_before_do_not() {
    let server = Server::start_in_zone(&zone_where_it_is(15 * 60)).await;
    let operator = server.operator();
    let mut own = Vec::new();
    for opening in ["90000000", "1"] {
        let opened = open(&server, &operator, "operating", opening).await;
        own.push(opened.json()["id"].as_str().unwrap().to_owned());
    }
    let sides = (own[0].as_str(), own[1].as_str());
    let send = async |orders: &[Value]| {
        let body = json!({ "orders": orders });
        // A token does not last the night.
        *operator.token.borrow_mut() = None;
        server.call(&operator, "POST", "/v1/transfers:batch", Some(&body)).await
    };
    let by_day = order(&server, "transfer", sides, 1_000_000);
    let done = send(core::slice::from_ref(&by_day)).await.json()["items"][0].clone();
    assert_eq!(done["outcome"], "done", "{done}");
    server.clock.advance(Span::from_secs(8 * 3600));
    for kind in ["transfer", "linked", "hold"] {
        let large = order(&server, kind, sides, 1_000_000);
        assert_eq!(send(&[large]).await.problem(), "forbidden", "{kind}");
        let small = send(&[order(&server, kind, sides, 999_999)]).await.json();
        assert_eq!(small["items"][0]["outcome"], "done", "{kind}: {small}");
    }
    let parts = [500_000, 500_000].map(|minor| order(&server, "transfer", sides, minor));
    assert_eq!(send(&parts).await.problem(), "forbidden", "in two orders");
    let id = TransferId::new(server.clock.now().unix_ms(), random()).to_string();
    let back = json!({ "order": { "kind": "reverse", "id": id, "of": done["number"] } });
    assert_eq!(send(core::slice::from_ref(&back)).await.problem(), "forbidden", "a reversal");
    // What was done by day is told again at night, and does not count beside what is new and small.
    let small = order(&server, "transfer", sides, 999_999);
    let again = send(&[by_day, small]).await.json()["items"].clone();
    assert_eq!((&again[0]["outcome"], &again[0]["number"]), (&json!("repeated"), &done["number"]));
    assert_eq!(again[1]["outcome"], "done", "{again}");
    // In the morning it may be.
    server.clock.advance(Span::from_secs(8 * 3600));
    for large in [back, order(&server, "linked", sides, 1_000_000)] {
        let answer = send(&[large]).await.json();
        assert_eq!(answer["items"][0]["outcome"], "done", "{answer}");
    }
}

#[tokio::test]
async fn unfreezing_and_lifting_limits_need_the_others_too() {
    let office = Office::open().await;
    let path = |verb: &str| format!("/v1/accounts/{}{verb}", office.ann.account());
    let call = async |method, path: String, body: Option<Value>| {
        office.server.call(&office.operator, method, &path, body.as_ref()).await
    };
    assert_eq!(call("POST", path(":freeze"), None).await.status, 200);
    let asked = call("POST", path(":unfreeze"), None).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    for place in 0..2 {
        office.says(place, &asked.json(), Consent::Approve).await;
    }
    assert_eq!(call("GET", path(""), None).await.json()["frozen"], json!([]));

    let low = json!({ "debit_max": "500", "balance_max": "600" });
    assert_eq!(call("PUT", path("/limits"), Some(low)).await.status, 200);
    let high = json!({ "debit_max": "2000000", "balance_max": "600" });
    let asked = call("PUT", path("/limits"), Some(high)).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let guards = call("GET", path("/guards"), None).await.json();
    assert_eq!(guards["limits"]["debit_max"], "500");
    for place in 1..3 {
        office.says(place, &asked.json(), Consent::Approve).await;
    }
    let guards = call("GET", path("/guards"), None).await.json();
    assert_eq!(guards["limits"]["debit_max"], "2000000");
}

#[tokio::test]
async fn an_operator_alone_gives_roles_once_recognised() {
    let server = Server::start().await;
    let operator = server.operator();
    let dave = server.person(&operator, "Dave", "0").await;
    let path = format!("/v1/people/{}/roles", dave.person.unwrap());
    let body = json!({ "roles": ["analyst", "approver"] });
    let weak = server.call(&operator, "PUT", &path, Some(&body)).await;
    assert_eq!(weak.problem(), "insufficient_user_authentication");
    server.recognise(&operator).await;
    server.clock.advance(Span::from_secs(301));
    *operator.token.borrow_mut() = None;
    let stale = server.call(&operator, "PUT", &path, Some(&body)).await;
    assert_eq!(stale.problem(), "insufficient_user_authentication");
    let read = async || server.call(&operator, "GET", &path, None).await;
    assert_eq!(read().await.json()["roles"], json!([]), "nothing has changed");
    let given = server.give(&operator, &dave, &["analyst", "approver"]).await;
    assert_json_snapshot!("roles_set", given.shown());
    let own = server.call(&dave, "GET", &path, None).await;
    assert_json_snapshot!("roles", own.shown());
    // Of two people none takes the other's roles alone; who only loses may agree.
    server.clock.advance(DAY);
    let asked = server.give(&operator, &dave, &[]).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    assert_eq!(read().await.json()["roles"], json!(["approver", "analyst"]));
    let done = server.says(&dave, &asked.json(), Consent::Approve).await;
    assert_eq!(done.json()["stage"], "executed", "{done:?}");
    assert_eq!(read().await.json()["roles"], json!([]));
}

#[tokio::test]
async fn roles_are_given_by_others_and_lost_at_once() {
    let office = Office::open().await;
    let [carol, dave, eve] = office.approvers.as_slice() else { panic!("three") };
    let path = format!("/v1/people/{}/roles", dave.person.unwrap());
    // Nobody for themselves, nobody but an operator.
    let body = json!({ "roles": ["operator"] });
    assert_eq!(office.server.call(dave, "PUT", &path, Some(&body)).await.problem(), "forbidden");
    let me = office.server.engine.device_by_jkt(&Hash32::new(
        tpw_crypto::Signer::public_key(&office.operator.slots, &office.operator.slot)
            .unwrap()
            .jwk_thumbprint(),
    ));
    let own = format!("/v1/people/{}/roles", me.unwrap().person);
    let none = json!({ "roles": [] });
    office.server.recognise(&office.operator).await;
    let answer = office.server.call(&office.operator, "PUT", &own, Some(&none)).await;
    assert_eq!(
        (answer.problem().as_str(), &answer.json()["reason"]),
        ("roles_refused", &json!("own_roles"))
    );
    let odd = json!({ "roles": ["king"] });
    let answer = office.server.call(&office.operator, "PUT", &path, Some(&odd)).await;
    assert_eq!(answer.problem(), "bad_value");

    // A role that was taken ends with the next request, though the token lives on.
    let token = office.server.token(carol).await;
    office.given(0, &[], 1).await;
    *carol.token.borrow_mut() = Some(token);
    let answer = office.server.call(carol, "GET", "/v1/approvals", None).await;
    assert_eq!(
        (answer.problem().as_str(), &answer.json()["reason"]),
        ("bad_token", &json!("role_changed"))
    );
    *carol.token.borrow_mut() = None;
    let answer = office.server.call(carol, "GET", "/v1/approvals", None).await;
    assert_eq!(answer.problem(), "forbidden");

    // A second operator needs somebody's word who is not that person.
    let asked = office.give(2, &["operator", "approver"]).await;
    assert_eq!(asked.status, 202);
    assert_eq!(reason(&office.says(2, &asked.json(), Consent::Approve).await), "own_operation");
    let done = office.says(1, &asked.json(), Consent::Approve).await;
    assert_eq!(done.json()["stage"], "executed", "{done:?}");
    office.server.recognise(eve).await;
    // And may then ask for the first one's role, whom the loss serves nothing; one operator is always left.
    let asked = office.server.call(eve, "PUT", &own, Some(&none)).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let done = office.says(1, &asked.json(), Consent::Approve).await;
    assert_eq!(done.json()["stage"], "executed", "{done:?}");
    let mine = format!("/v1/people/{}/roles", eve.person.unwrap());
    let answer = office.server.call(eve, "PUT", &mine, Some(&none)).await;
    assert_eq!(answer.json()["reason"], "own_roles");
    let answer = office.server.call(&office.operator, "GET", "/v1/holds", None).await;
    assert_eq!(answer.problem(), "bad_token");
}

#[tokio::test]
async fn a_change_of_roles_that_was_overtaken_is_not_approved() {
    let office = Office::open().await;
    office.given(2, &[], 0).await;
    let asked = office.give(2, &["approver"]).await;
    assert_eq!(asked.status, 202);
    office.given(2, &["analyst"], 1).await;
    assert_eq!(reason(&office.says(0, &asked.json(), Consent::Approve).await), "changed");
}

#[tokio::test]
async fn clients_are_entered_and_removed_by_two() {
    let office = Office::open().await;
    let (server, operator) = (&office.server, &office.operator);
    let body = crate::oauth_scene::Program::new("books.example").registration();
    let add = async || {
        server.recognise(operator).await;
        server.call(operator, "POST", "/v1/clients", Some(&body)).await
    };
    let asked = add().await;
    assert_eq!((asked.status.as_u16(), &asked.json()["resource"]), (202, &json!("books.example")));
    server.clock.advance(Span::from_ms(5));
    assert_eq!(add().await.json()["id"], asked.json()["id"], "the same, asked for later");
    let listed = async || server.call(operator, "GET", "/v1/clients", None).await.json();
    assert_eq!(listed().await["items"], json!([]));
    assert_eq!(
        reason(&server.says(operator, &asked.json(), Consent::Approve).await),
        "own_operation"
    );
    let done = office.says(0, &asked.json(), Consent::Approve).await;
    assert_eq!(done.json()["stage"], "executed", "{done:?}");
    assert_eq!(listed().await["items"][0]["id"], "books.example");
    assert_eq!(add().await.status, 200, "it is there");
    // Another key for it is approved in the same way; until then, and when it is refused, it has the one that it had.
    let keys = async || listed().await["items"][0]["keys"].clone();
    let (before, path) = (keys().await, "/v1/clients/books.example/credentials");
    let other = crate::oauth_scene::Program::new("books.example").registration()["jwks"].clone();
    let change = async || {
        server.recognise(operator).await;
        server.call(operator, "PUT", path, Some(&json!({ "jwks": other }))).await
    };
    let asked = change().await;
    assert_eq!((asked.status.as_u16(), &asked.json()["resource"]), (202, &json!("books.example")));
    assert_eq!(change().await.json()["id"], asked.json()["id"], "asked for once");
    assert_eq!(office.says(0, &asked.json(), Consent::Reject).await.json()["stage"], "rejected");
    assert_eq!(keys().await, before);
    let asked = change().await;
    let done = office.says(0, &asked.json(), Consent::Approve).await;
    assert_eq!(done.json()["stage"], "executed", "{done:?}");
    assert_ne!(keys().await, before);
    server.recognise(operator).await;
    let asked = server.call(operator, "DELETE", "/v1/clients/books.example", None).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    assert!(listed().await["items"][0]["removed"].is_null());
    office.says(1, &asked.json(), Consent::Approve).await;
    assert!(listed().await["items"][0]["removed"].is_string());
    // So is a new key for their tokens. Whoever asked for it alone gets none, and a key that came meanwhile is not made again.
    let published = async || {
        let keys = server.get("/oauth/jwks").await.json();
        keys["keys"].as_array().map_or(0, Vec::len)
    };
    server.recognise(operator).await;
    let asked = server.call(operator, "POST", "/v1/client_keys", None).await;
    assert_eq!((asked.status.as_u16(), published().await), (202, 1), "{asked:?}");
    let again = server.call(operator, "POST", "/v1/client_keys", None).await;
    assert_eq!(again.json()["id"], asked.json()["id"]);
    let done = office.says(1, &asked.json(), Consent::Approve).await;
    assert_eq!((done.json()["stage"].as_str(), published().await), (Some("executed"), 2));
}
