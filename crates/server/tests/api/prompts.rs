//! Goal: what one device asks goes on when its person types, at another device, the number that the first one shows, and not otherwise;
//! whoever was asked for what they had not begun ends it.
//! Method: a real server and two devices of one person; the answer is signed as a device does it, and then with each thing about it changed.

use crate::support::{Actor, Answer, Server, Signed, encode, random};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use tpw_core::{Money, Name, PromptAnswer, PromptReply, PromptSubject, Span, Unlocked};
use tpw_crypto::Signer as _;
use tpw_engines::clock::Clock as _;

/// Enough that screening asks the payer again.
const LARGE: u128 = 150_000;

struct Set {
    server: Server,
    operator: Actor,
    /// The device that asks.
    ann: Actor,
    /// The one that answers.
    other: Actor,
}

impl Set {
    async fn new() -> Self {
        let server = Server::start().await;
        let operator = server.operator();
        let ann = server.person(&operator, "Ann", "90000000").await;
        let other = server.another_device(&operator, &ann).await;
        Self { server, operator, ann, other }
    }

    async fn ask(&self, payment: Option<&str>) -> Answer {
        let mut body = json!({ "method": "push" });
        if let Some(id) = payment {
            body["payment"] = id.into();
        }
        self.server.call(&self.ann, "POST", "/v1/challenges", Some(&body)).await
    }

    async fn collect(&self, challenge: &Answer) -> Answer {
        let id = challenge.json()["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/challenges/{id}:answer");
        self.server.call(&self.ann, "POST", &path, Some(&json!({}))).await
    }

    async fn prompts(&self, at: &Actor) -> Answer {
        self.server.call(at, "GET", "/v1/prompts", None).await
    }

    /// The answer that the other device would sign.
    async fn agreement(&self, challenge: &Answer) -> PromptAnswer {
        let number = challenge.json()["number"].as_str().unwrap().replace(' ', "");
        let shown = self.prompts(&self.other).await.json()["prompts"][0].clone();
        PromptAnswer {
            challenge: bytes(&shown["challenge"]).try_into().unwrap(),
            device: self.other.device.unwrap(),
            reply: PromptReply::Approve,
            number,
            subject: subject(&shown["payment"]),
            unlocked: Unlocked::Passphrase,
            created: self.server.clock.now(),
            audience: self.server.engine.audience().clone(),
        }
    }

    async fn send(&self, from: &Actor, answer: &PromptAnswer) -> Answer {
        let statement = tpw_proof::sign(answer, &from.slots, &from.slot).unwrap();
        let body = json!({ "statement": encode(&statement) });
        self.server.call(from, "POST", "/v1/prompts:answer", Some(&body)).await
    }

    async fn waiting(&self) -> String {
        let bob = self.server.person(&self.operator, "Bob", "0").await;
        let (signed, waits) = self.server.pay(&self.ann, bob.account(), LARGE).await;
        assert_eq!(waits.problem(), "step_up_required");
        signed.id.to_string()
    }

    fn wait(&self, secs: u64) {
        self.server.clock.advance(Span::from_secs(secs));
        for actor in [&self.ann, &self.other, &self.operator] {
            *actor.token.borrow_mut() = None;
        }
    }

    async fn revoke(&self, actor: &Actor) {
        let path = format!("/v1/devices/{}", actor.device.unwrap());
        assert_eq!(self.server.call(&self.operator, "DELETE", &path, None).await.status, 200);
    }
}

/// A device asks its person's other one, who had not begun it.
pub(crate) async fn disowned(server: &Server, asks: &Actor, other: &Actor) {
    let body = json!({ "method": "push" });
    assert_eq!(server.call(asks, "POST", "/v1/challenges", Some(&body)).await.status, 201);
    let shown = server.call(other, "GET", "/v1/prompts", None).await.json()["prompts"][0].clone();
    let denial = PromptAnswer {
        challenge: bytes(&shown["challenge"]).try_into().unwrap(),
        device: other.device.unwrap(),
        reply: PromptReply::NotMe,
        number: String::new(),
        subject: subject(&shown["payment"]),
        unlocked: Unlocked::Passphrase,
        created: server.clock.now(),
        audience: server.engine.audience().clone(),
    };
    let statement = tpw_proof::sign(&denial, &other.slots, &other.slot).unwrap();
    let body = json!({ "statement": encode(&statement) });
    let answer = server.call(other, "POST", "/v1/prompts:answer", Some(&body)).await;
    assert_eq!(answer.json()["reply"], "not_me", "{answer:?}");
}

fn bytes(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

fn subject(payment: &Value) -> PromptSubject {
    let text = |name: &str| payment[name].as_str().unwrap();
    if payment.is_null() {
        return PromptSubject::Session;
    }
    PromptSubject::Payment {
        payment: text("id").parse().unwrap(),
        intent_hash: text("intent_hash").parse().unwrap(),
        money: Money {
            amount: text("amount").parse().unwrap(),
            asset: text("asset").parse().unwrap(),
        },
        payee: text("payee").parse().unwrap(),
    }
}

/// What differs from run to run.
fn told(answer: &Answer, place: &str, members: &[&str]) -> Value {
    let mut shown = answer.shown();
    for member in members {
        *shown["body"].pointer_mut(&format!("{place}/{member}")).unwrap() = "[differs]".into();
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_goes_on_when_its_number_is_typed_at_the_other_device() {
    let set = Set::new().await;
    let payment = set.waiting().await;
    let challenge = set.ask(Some(&payment)).await;
    assert_json_snapshot!("challenge_push", told(&challenge, "", &["id", "number"]));
    let waiting = set.collect(&challenge).await;
    assert_eq!(
        (waiting.problem().as_str(), &waiting.json()["reason"]),
        ("factor_not_now", &json!("waiting"))
    );
    let listed = set.prompts(&set.other).await;
    assert_json_snapshot!("prompts", told(&listed, "/prompts/0", &["challenge"]));
    // The number is in nothing that the other device is told.
    let number = challenge.json()["number"].as_str().unwrap().to_owned();
    let seen = String::from_utf8_lossy(&listed.body).into_owned();
    assert!(!seen.contains(&number) && !seen.contains(&number.replace(' ', "")));
    let answered = set.send(&set.other, &set.agreement(&challenge).await).await;
    assert_json_snapshot!("prompt_answered", answered.shown());
    let collected = set.collect(&challenge).await;
    let paid = collected.json()["payment"].clone();
    assert_eq!(
        (&paid["status"], &paid["approvals"][0]["kind"]),
        (&"booked".into(), &"factor".into())
    );
    assert_eq!(set.collect(&challenge).await.problem(), "not_found");
    assert_eq!(set.prompts(&set.other).await.json()["prompts"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_unlocked_for_it_raises_the_session_and_one_that_stood_open_does_not() {
    let set = Set::new().await;
    let factors = set.server.call(&set.ann, "GET", "/v1/factors", None).await.json();
    assert_eq!(
        (&factors["factors"][0]["method"], &factors["factors"][0]["left"]),
        (&"push".into(), &1.into())
    );
    for (unlocked, acr) in [(Unlocked::StoodOpen, "aal1"), (Unlocked::Passphrase, "aal2")] {
        let challenge = set.ask(None).await;
        let mut agreement = set.agreement(&challenge).await;
        agreement.unlocked = unlocked;
        assert_eq!(set.send(&set.other, &agreement).await.status, 200);
        assert_eq!(set.collect(&challenge).await.json()["acr"], acr);
        set.wait(30);
    }
    // It is the session of the device that asked.
    let other = set.server.call(&set.other, "GET", "/v1/factors", None).await.json();
    assert_eq!(other["acr"], "aal1");
}

#[tokio::test(flavor = "multi_thread")]
async fn push_accepted_by_the_same_device_is_refused() {
    let set = Set::new().await;
    let payment = set.waiting().await;
    let challenge = set.ask(Some(&payment)).await;
    assert_eq!(set.prompts(&set.ann).await.json()["prompts"], json!([]));
    let own = PromptAnswer { device: set.ann.device.unwrap(), ..set.agreement(&challenge).await };
    assert_eq!(set.send(&set.ann, &own).await.problem(), "factor_refused");
    // Nor does it send what it signed in the other's name, or what the other one signed.
    let foreign = set.agreement(&challenge).await;
    assert_eq!(set.send(&set.ann, &foreign).await.problem(), "proof_mismatch");
    let statement = tpw_proof::sign(&foreign, &set.other.slots, &set.other.slot).unwrap();
    let body = json!({ "statement": encode(&statement) });
    let refused = set.server.call(&set.ann, "POST", "/v1/prompts:answer", Some(&body)).await;
    assert_eq!(refused.problem(), "bad_statement");
    assert_eq!(set.collect(&challenge).await.problem(), "factor_not_now");
}

#[tokio::test(flavor = "multi_thread")]
async fn number_guessed() {
    let set = Set::new().await;
    let payment = set.waiting().await;
    let challenge = set.ask(Some(&payment)).await;
    let right = set.agreement(&challenge).await;
    let value: u32 = right.number.parse().unwrap();
    let wrong = |n: u32| PromptAnswer {
        number: format!("{:06}", (value + n) % 1_000_000),
        ..right.clone()
    };
    for n in 1..=3 {
        assert_eq!(set.send(&set.other, &wrong(n)).await.problem(), "factor_refused");
        set.wait(1);
    }
    // Three tries end it, and guesses slow down whoever makes them.
    assert_eq!(set.send(&set.other, &right).await.problem(), "throttled");
    set.wait(5);
    assert_eq!(set.send(&set.other, &right).await.problem(), "factor_refused");
    assert_eq!(set.collect(&challenge).await.problem(), "factor_refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn payment_altered_between_push_and_answer() {
    let set = Set::new().await;
    let payment = set.waiting().await;
    let challenge = set.ask(Some(&payment)).await;
    let right = set.agreement(&challenge).await;
    let PromptSubject::Payment { payment, intent_hash, money, payee } = right.subject else {
        panic!("no payment")
    };
    let dearer = Money { amount: tpw_core::Amount::from_minor(LARGE + 1), ..money };
    let another = set.ann.account();
    for altered in [
        PromptSubject::Payment { payment, intent_hash, money: dearer, payee },
        PromptSubject::Payment { payment, intent_hash, money, payee: another },
        PromptSubject::Payment {
            payment,
            intent_hash: tpw_core::Hash32::new([1; 32]),
            money,
            payee,
        },
        PromptSubject::Session,
    ] {
        let answer = PromptAnswer { subject: altered, ..right.clone() };
        assert_eq!(set.send(&set.other, &answer).await.problem(), "factor_refused", "{altered:?}");
        set.wait(5);
    }
    let elsewhere = PromptAnswer { audience: Name::new("other").unwrap(), ..right.clone() };
    assert_eq!(set.send(&set.other, &elsewhere).await.problem(), "wrong_audience");
    assert_eq!(set.collect(&challenge).await.problem(), "factor_not_now");
    assert_eq!(set.send(&set.other, &right).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_device_mid_ceremony() {
    // Before it answers.
    let set = Set::new().await;
    let payment = set.waiting().await;
    let challenge = set.ask(Some(&payment)).await;
    let right = set.agreement(&challenge).await;
    set.revoke(&set.other).await;
    assert_eq!(set.send(&set.other, &right).await.problem(), "device_revoked");
    assert_eq!(set.collect(&challenge).await.problem(), "factor_not_now");
    set.wait(30);
    assert_eq!(set.ask(Some(&payment)).await.json()["reason"], "no_other_device");
    // After it has answered, before that is collected.
    let set = Set::new().await;
    let payment = set.waiting().await;
    let challenge = set.ask(Some(&payment)).await;
    assert_eq!(set.send(&set.other, &set.agreement(&challenge).await).await.status, 200);
    set.revoke(&set.other).await;
    assert_eq!(set.collect(&challenge).await.problem(), "factor_refused");
    // The one that asked.
    let set = Set::new().await;
    let challenge = set.ask(None).await;
    assert_eq!(set.send(&set.other, &set.agreement(&challenge).await).await.status, 200);
    set.revoke(&set.ann).await;
    assert_eq!(set.collect(&challenge).await.problem(), "device_revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_is_told_and_not_me_locks_the_device_that_asked() {
    let set = Set::new().await;
    for (reply, reason) in [(PromptReply::Deny, "deny"), (PromptReply::NotMe, "not_me")] {
        let challenge = set.ask(None).await;
        let number = String::new();
        let denial = PromptAnswer { reply, number, ..set.agreement(&challenge).await };
        assert_eq!(set.send(&set.other, &denial).await.json()["reply"], reason);
        let told = set.collect(&challenge).await;
        assert_eq!(
            (told.problem().as_str(), &told.json()["reason"]),
            ("factor_refused", &json!(reason))
        );
        set.wait(30);
    }
    assert_eq!(set.ask(None).await.problem(), "factor_not_now");
    // The operator finds it among the alarms, and reads of it in the changes; a plain denial raised none.
    let alarms = async |by: &Actor| set.server.call(by, "GET", "/v1/alarms", None).await;
    let device = json!(set.ann.device.unwrap().to_string());
    let found = alarms(&set.operator).await.json();
    let [alarm] = found["items"].as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!((&alarm["kind"], &alarm["device"]), (&json!("not_me"), &device));
    assert_eq!(alarm["person"], json!(set.ann.person.unwrap().to_string()));
    assert_eq!((&alarm["payment"], &alarm["head"]), (&Value::Null, &Value::Null));
    let changes = set.server.call(&set.operator, "GET", "/v1/changes", None).await.json();
    let told =
        changes["items"].as_array().unwrap().iter().filter(|it| it["kind"] == "alarm.not_me");
    assert!(told.map(|it| it["subject"].clone()).eq([device]), "{changes}");
    assert_eq!(alarms(&set.ann).await.problem(), "forbidden");
    set.wait(86_400);
    assert_eq!(set.ask(None).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn not_me_about_a_payment_names_it_and_is_said_once() {
    let set = Set::new().await;
    let payment = set.waiting().await;
    let challenge = set.ask(Some(&payment)).await;
    let agreed = set.agreement(&challenge).await;
    let denial = PromptAnswer { reply: PromptReply::NotMe, number: String::new(), ..agreed };
    let alarms = async || {
        let answer = set.server.call(&set.operator, "GET", "/v1/alarms", None).await;
        answer.json()["items"].as_array().unwrap().clone()
    };
    // Whoever is not asked raises none: the device that asked, another person, another subject.
    let own = PromptAnswer { device: set.ann.device.unwrap(), ..denial.clone() };
    assert_eq!(set.send(&set.ann, &own).await.problem(), "factor_refused");
    let other = PromptAnswer { subject: PromptSubject::Session, ..denial.clone() };
    assert_eq!(set.send(&set.other, &other).await.problem(), "factor_refused");
    assert!(alarms().await.is_empty());
    assert_eq!(set.send(&set.other, &denial).await.json()["reply"], "not_me");
    assert_eq!(set.send(&set.other, &denial).await.problem(), "factor_refused");
    let found = alarms().await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["payment"], payment.as_str());
    let metrics = set.server.get("/metrics").await;
    assert!(String::from_utf8(metrics.body.to_vec()).unwrap().contains("tpw_alarms_total 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_too_often_and_nobody_else_sees_or_answers_it() {
    let set = Set::new().await;
    let challenge = set.ask(None).await;
    assert_eq!(set.ask(None).await.problem(), "throttled");
    let bob = set.server.person(&set.operator, "Bob", "0").await;
    assert_eq!(set.prompts(&bob).await.json()["prompts"], json!([]));
    let foreign = PromptAnswer { device: bob.device.unwrap(), ..set.agreement(&challenge).await };
    assert_eq!(set.send(&bob, &foreign).await.problem(), "factor_refused");
    // It ends by itself.
    let right = set.agreement(&challenge).await;
    set.wait(300);
    let late = PromptAnswer { created: set.server.clock.now(), ..right };
    assert_eq!(set.send(&set.other, &late).await.problem(), "factor_refused");
    assert_eq!(set.collect(&challenge).await.problem(), "not_found");
}

/// An operator whose session is in other hands asks for what its owner has not begun.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_whose_person_had_not_begun_it_decides_nothing_any_more() {
    let Set { server, operator, ann, .. } = Set::new().await;
    let key = operator.slots.public_key(&operator.slot).unwrap().jwk_thumbprint();
    let known = server.engine.device_by_jkt(&tpw_core::Hash32::new(key)).unwrap();
    let mut taken = server.operator();
    (taken.device, taken.person) = (Some(known.id), Some(known.person));
    let other = server.another_device(&operator, &taken).await;
    let fund = async |by: &Actor, to: &Actor| {
        server.recognise(by).await;
        let transfer = tpw_core::TransferId::new(server.clock.now().unix_ms(), random());
        server.fund(by, to.account(), "5", transfer).await
    };
    assert_eq!(fund(&taken, &ann).await.status, 200);
    let set = Set { server, operator, ann: taken, other };
    let challenge = set.ask(None).await;
    let agreed = set.agreement(&challenge).await;
    let denial = PromptAnswer { reply: PromptReply::NotMe, number: String::new(), ..agreed };
    assert_eq!(set.send(&set.other, &denial).await.json()["reply"], "not_me");
    let Set { server, ann: taken, other, .. } = set;
    let fund = async |by: &Actor| {
        server.recognise(by).await;
        let transfer = tpw_core::TransferId::new(server.clock.now().unix_ms(), random());
        server.fund(by, ann.account(), "5", transfer).await
    };
    assert_eq!(fund(&taken).await.problem(), "forbidden");
    assert_eq!(fund(&other).await.status, 200, "the other device of the same person");
    // It also stays so after the day for which it may not ask.
    server.clock.advance(Span::from_secs(2 * 86_400));
    assert_eq!(fund(&taken).await.problem(), "forbidden");
    let path = "/v1/decisions?action=fund&limit=250";
    server.recognise(&other).await;
    let found = server.call(&other, "GET", path, None).await.json();
    let denied = found["items"].as_array().unwrap().iter().find(|it| it["ruling"] == "denied");
    assert_eq!(denied.unwrap()["policies"], json!(["separation.disowned-device"]));
    assert_eq!(denied.unwrap()["facts"]["device_disowned"], "true");
}

/// It neither gets itself another device nor puts the owner's out of use, and reads what it may as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_disowned_device_changes_nothing_and_gets_no_other_device() {
    let Set { server, operator, ann, other: anns_other } = Set::new().await;
    let key = operator.slots.public_key(&operator.slot).unwrap().jwk_thumbprint();
    let known = server.engine.device_by_jkt(&tpw_core::Hash32::new(key)).unwrap();
    let mut taken = server.operator();
    (taken.device, taken.person) = (Some(known.id), Some(known.person));
    let other = server.another_device(&operator, &taken).await;
    disowned(&server, &taken, &other).await;
    server.recognise(&taken).await;
    let me = known.person;
    let device = |actor: &Actor| format!("/v1/devices/{}", actor.device.unwrap());
    let freeze = format!("/v1/accounts/{}:freeze", ann.account());
    let person = json!({ "name": "Zoe", "accounts": [] });
    for (method, path, body) in [
        ("POST", format!("/v1/people/{me}/codes"), None),
        ("POST", format!("/v1/people/{}/codes", ann.person.unwrap()), None),
        ("DELETE", device(&other), None),
        ("DELETE", device(&taken), None),
        ("POST", freeze, None),
        ("POST", "/v1/people".to_owned(), Some(person)),
        ("POST", "/v1/transfers:batch".to_owned(), Some(json!({ "orders": [] }))),
        ("POST", "/v1/factors/recovery:issue".to_owned(), None),
        ("DELETE", "/v1/factors/password".to_owned(), None),
        ("POST", "/v1/factors/totp:confirm".to_owned(), Some(json!({ "code": "000000" }))),
        ("POST", "/v1/grants/BBBB-BBBB:approve".to_owned(), Some(json!({}))),
        ("POST", "/v1/grants/BBBB-BBBB:refuse".to_owned(), None),
        ("POST", "/v1/prompts:answer".to_owned(), Some(json!({ "statement": "" }))),
        ("POST", "/v1/delegations".to_owned(), Some(json!({}))),
        ("DELETE", "/v1/delegations/x".to_owned(), None),
    ] {
        let answer = server.call(&taken, method, &path, body.as_ref()).await;
        assert_eq!(answer.problem(), "forbidden", "{method} {path}: {answer:?}");
        assert_eq!(answer.json()["reason"], "disowned_device", "{method} {path}");
    }
    for path in ["/v1/alarms", "/v1/changes"] {
        assert_eq!(server.call(&taken, "GET", path, None).await.status, 200, "{path}");
    }
    assert_eq!(server.call(&taken, "DELETE", &device(&ann), None).await.problem(), "not_found");
    // A holder's device neither, and the other device puts it out of use.
    disowned(&server, &ann, &anns_other).await;
    let own = server.call(&ann, "DELETE", &device(&anns_other), None).await;
    assert_eq!(own.json()["reason"], "disowned_device", "{own:?}");
    let foreign = server.call(&ann, "DELETE", &device(&other), None).await;
    assert_eq!(foreign.problem(), "not_found", "what is somebody else's is not there");
    assert_eq!(server.call(&anns_other, "DELETE", &device(&ann), None).await.status, 200);
}

/// It pays nothing and confirms nothing. What it sent before is told again, as to any device.
#[tokio::test(flavor = "multi_thread")]
async fn a_disowned_device_pays_nothing_and_is_told_again_what_it_paid() {
    let Set { server, operator, ann, other } = Set::new().await;
    let mut payees = Vec::new();
    for name in ["Bob", "Carol", "Dave"] {
        payees.push(server.person(&operator, name, "0").await.account());
    }
    let (booked, answer) = server.pay(&ann, payees[0], 100).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let step_up = async |signed: &Signed| {
        let path = format!("/v1/payments/{}:step-up", signed.id);
        let proof = ann.step_up(&server, signed.id, signed.hash);
        server.post_json(&path, &[], &json!({ "proof": proof })).await
    };
    let (confirmed, answer) = server.pay(&ann, payees[1], LARGE).await;
    assert_eq!(answer.problem(), "step_up_required");
    assert_eq!(step_up(&confirmed).await.status, 200);
    let (waits, answer) = server.pay(&ann, payees[2], LARGE).await;
    assert_eq!(answer.problem(), "step_up_required");
    disowned(&server, &ann, &other).await;

    let account = async || {
        let path = format!("/v1/accounts/{}", ann.account());
        server.call(&operator, "GET", &path, None).await.json()["posted"].clone()
    };
    let before = account().await;
    server.clock.advance(Span::from_ms(1));
    let next = server.sign(&ann, server.intent(&ann, payees[0], 100));
    let refused = server.submit(&next).await;
    let told = refused.json();
    assert_eq!((&told["code"], &told["reason"]), (&json!("forbidden"), &json!("disowned_device")));
    assert_eq!(told["consumed"], json!(false));
    let body = json!({ "statements": [encode(&next.bytes), encode(&booked.bytes)] });
    let items = server.post_json("/v1/payments:batch", &[], &body).await.json()["items"].clone();
    assert_eq!(items[0]["problem"]["reason"], "disowned_device", "{items}");
    assert_eq!((&items[1]["status"], &items[1]["repeated"]), (&json!(200), &json!(true)));
    assert_eq!(step_up(&waits).await.json()["reason"], "disowned_device");
    for known in [&booked, &confirmed] {
        let again = server.submit(known).await;
        assert_eq!(
            (again.status.as_u16(), again.header("idempotency-replayed")),
            (200, Some("true"))
        );
    }
    assert_eq!(account().await, before);
    // Nor is it one that could be asked.
    let body = json!({ "method": "push" });
    let asked = server.call(&other, "POST", "/v1/challenges", Some(&body)).await;
    assert_eq!(asked.json()["reason"], "no_other_device", "{asked:?}");
}
