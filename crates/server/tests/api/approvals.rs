//! Several people: roles, and operations that need the word of more than one.

use crate::support::*;
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use tpw_access::approval::{Operation, OperationKind};
use tpw_core::{Amount, ApprovalId, Consent, DeviceId, Hash32, Money, Span, Vote};
use tpw_engines::clock::Clock as _;

/// From this many cents on a payment is held here, and its release needs two people.
const LARGE: u128 = 2_000_000;

struct Office {
    server: Server,
    operator: Actor,
    ann: Actor,
    bob: Actor,
    approvers: Vec<Actor>,
}

impl Office {
    /// An office with three approvers, the third of whom the first has agreed to.
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
        for place in 0..2 {
            let answer = office.give(place, &["approver"]).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        let asked = office.give(2, &["approver"]).await;
        assert_eq!(asked.status, 202, "{asked:?}");
        let done = office.says(0, &asked.json(), Consent::Approve).await;
        assert_eq!(done.json()["stage"], "executed", "{done:?}");
        office
    }

    async fn give(&self, place: usize, roles: &[&str]) -> Answer {
        let person = self.approvers[place].person.unwrap();
        *self.approvers[place].token.borrow_mut() = None;
        let body = json!({ "roles": roles });
        let path = format!("/v1/people/{person}/roles");
        self.server.call(&self.operator, "PUT", &path, Some(&body)).await
    }

    async fn says(&self, place: usize, request: &Value, consent: Consent) -> Answer {
        self.word(&self.approvers[place], request, consent, |_| {}).await
    }

    /// Signs and sends somebody's word, changed by `edit` before it is signed.
    async fn word(
        &self,
        actor: &Actor,
        request: &Value,
        consent: Consent,
        edit: fn(&mut Vote),
    ) -> Answer {
        let text = |name: &str| request[name].as_str().unwrap().to_owned();
        let mut vote = Vote {
            approval: text("id").parse().unwrap(),
            device: actor.device.unwrap_or(DeviceId::from_bytes([0; 16])),
            operation: text("operation_hash").parse().unwrap(),
            consent,
            created: self.server.clock.now(),
            audience: self.server.engine.audience().clone(),
        };
        edit(&mut vote);
        let statement = tpw_proof::sign(&vote, &actor.slots, &actor.slot).unwrap();
        let body = json!({ "statement": encode(&statement) });
        let path = format!("/v1/approvals/{}:{}", text("id"), consent.code());
        self.server.call(actor, "POST", &path, Some(&body)).await
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
    assert_eq!(all.json()["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn who_lost_the_role_meanwhile_does_not_count() {
    let office = Office::open().await;
    let (signed, request) = office.held().await;
    office.says(0, &request, Consent::Approve).await;
    assert_eq!(office.give(0, &[]).await.status, 200);
    let second = office.says(1, &request, Consent::Approve).await;
    assert_eq!(second.json()["stage"], "open", "one of two has no role any more");
    let third = office.says(2, &request, Consent::Approve).await;
    assert_eq!(third.json()["stage"], "executed");
    let approvals = office.payment(&signed).await["approvals"].clone();
    assert_eq!(approvals.as_array().unwrap().len(), 2);
    assert_ne!(approvals[0]["key"], third.json()["votes"][0]["key"]);
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
    assert_eq!(office.says(0, &request, Consent::Approve).await.problem(), "device_revoked");
}

#[tokio::test]
async fn votes_that_are_not_taken() {
    let office = Office::open().await;
    let (signed, request) = office.held().await;
    let [carol, ..] = office.approvers.as_slice() else { panic!("three") };
    // The operator asked, and is no approver.
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

#[tokio::test]
async fn small_payments_are_released_by_one() {
    let server = Server::start().await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "90000000").await;
    let bob = server.person(&operator, "Bob", "100").await;
    let (signed, _) = server.pay(&ann, bob.account(), LARGE).await;
    let path = format!("/v1/payments/{}:release", signed.id);
    let released = server.call(&operator, "POST", &path, None).await;
    assert_eq!(released.json()["status"], "booked", "{released:?}");
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
async fn roles_are_given_by_others_and_lost_at_once() {
    let office = Office::open().await;
    let [carol, dave, eve] = office.approvers.as_slice() else { panic!("three") };
    let given = office.give(1, &["analyst", "approver"]).await;
    assert_json_snapshot!("roles_set", given.shown());
    let path = format!("/v1/people/{}/roles", dave.person.unwrap());
    let read = office.server.call(dave, "GET", &path, None).await;
    assert_json_snapshot!("roles", read.shown());
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
    let taken = office.give(0, &[]).await;
    assert_eq!(taken.status, 200);
    *carol.token.borrow_mut() = Some(token);
    let answer = office.server.call(carol, "GET", "/v1/approvals", None).await;
    assert_eq!(
        (answer.problem().as_str(), &answer.json()["reason"]),
        ("bad_token", &json!("role_changed"))
    );
    *carol.token.borrow_mut() = None;
    let answer = office.server.call(carol, "GET", "/v1/approvals", None).await;
    assert_eq!(answer.problem(), "forbidden");

    // A second operator needs an approver, who is not that person.
    let asked = office.give(2, &["operator", "approver"]).await;
    assert_eq!(asked.status, 202);
    assert_eq!(reason(&office.says(2, &asked.json(), Consent::Approve).await), "own_operation");
    let done = office.says(1, &asked.json(), Consent::Approve).await;
    assert_eq!(done.json()["stage"], "executed", "{done:?}");
    *eve.token.borrow_mut() = None;
    // And may then take the first one's role; one operator is always left.
    let answer = office.server.call(eve, "PUT", &own, Some(&none)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mine = format!("/v1/people/{}/roles", eve.person.unwrap());
    let answer = office.server.call(eve, "PUT", &mine, Some(&none)).await;
    assert_eq!(answer.json()["reason"], "own_roles");
    let answer = office.server.call(&office.operator, "GET", "/v1/holds", None).await;
    assert_eq!(answer.problem(), "bad_token");
}

#[tokio::test]
async fn a_change_of_roles_that_was_overtaken_is_not_approved() {
    let office = Office::open().await;
    assert_eq!(office.give(2, &[]).await.status, 200);
    let asked = office.give(2, &["approver"]).await;
    assert_eq!(asked.status, 202);
    assert_eq!(office.give(2, &["analyst"]).await.status, 200);
    assert_eq!(reason(&office.says(0, &asked.json(), Consent::Approve).await), "changed");
}
