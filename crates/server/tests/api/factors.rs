//! Goal: a further factor raises what a session is worth or lets one payment go on, once, for the person and the device that asked,
//! and nobody who only has the device changes the factors of somebody who has a password.
//! Method: a real server, the device's own side of each method, and each rule broken by itself.

use crate::support::{Actor, Answer, Server, encode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use tpw_access::factor::opaque::{Context, LoggingIn, Registering};
use tpw_access::factor::password::Password;
use tpw_access::factor::totp::{Params, TotpSecret, step_at};
use tpw_core::Span;
use tpw_engines::clock::Clock as _;
use tpw_engines::entropy::OsEntropy;

const PASSWORD: &str = "correct horse battery staple";
const WRONG: &str = "correct horse battery stable";
/// Enough that screening asks the payer again.
const LARGE: u128 = 150_000;

struct Set {
    server: Server,
    operator: Actor,
    ann: Actor,
}

fn bytes(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

fn typed(text: &str) -> Password {
    Password::prepare(text).unwrap()
}

impl Set {
    async fn new() -> Self {
        let server = Server::start().await;
        let operator = server.operator();
        let ann = server.person(&operator, "Ann", "90000000").await;
        Self { server, operator, ann }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.server.call(&self.ann, "POST", path, Some(body)).await
    }

    async fn list(&self) -> Answer {
        self.server.call(&self.ann, "GET", "/v1/factors", None).await
    }

    async fn set_password(&self, text: &str) -> (Answer, Answer) {
        let begun = Registering::start(&typed(text), &mut OsEntropy).unwrap();
        let body = json!({ "data": encode(begun.request()) });
        let answered = self.post("/v1/factors/password:start", &body).await;
        if answered.status != 200 {
            let problem = answered.problem();
            panic!("{problem}");
        }
        let response = bytes(&answered.json()["data"]);
        let done = begun.finish(&typed(text), &response, &mut OsEntropy).unwrap();
        let body = json!({ "data": encode(&done.upload) });
        (answered, self.post("/v1/factors/password:finish", &body).await)
    }

    /// Asks for a challenge with a password and makes its answer.
    async fn password(&self, text: &str, payment: Option<(String, String)>) -> (Answer, Value) {
        let begun = LoggingIn::start(&typed(text), &mut OsEntropy).unwrap();
        let mut body = json!({ "method": "password", "data": encode(begun.ke1()) });
        let purpose = payment.as_ref().map(|(id, hash)| format!("{id}/{hash}"));
        if let Some((id, _)) = payment {
            body["payment"] = id.into();
        }
        let challenge = self.post("/v1/challenges", &body).await;
        let shown = challenge.json();
        let id = bytes(&shown["id"]);
        let context = Context {
            server: &self.server.url,
            challenge: &id,
            purpose: purpose.as_deref().unwrap_or("session"),
        };
        let ke2 = bytes(&shown["data"]);
        let answer = match begun.finish(&typed(text), &ke2, context, &mut OsEntropy) {
            Ok(done) => json!({ "data": encode(&done.ke3) }),
            // A wrong password is noticed by the device first; whoever guesses sends something all the same.
            Err(_) => json!({ "data": encode(&[7; 64]) }),
        };
        (challenge, answer)
    }

    async fn challenge(&self, method: &str, payment: Option<&str>) -> Answer {
        let mut body = json!({ "method": method });
        if let Some(id) = payment {
            body["payment"] = id.into();
        }
        self.post("/v1/challenges", &body).await
    }

    async fn answer(&self, challenge: &Answer, answer: &Value) -> Answer {
        let id = challenge.json()["id"].as_str().unwrap().to_owned();
        self.post(&format!("/v1/challenges/{id}:answer"), answer).await
    }

    /// Proves by password, and uses the token that this gives from now on.
    async fn log_in(&self) -> Answer {
        let (challenge, answer) = self.password(PASSWORD, None).await;
        let answered = self.answer(&challenge, &answer).await;
        assert_eq!(answered.status, 200, "{answered:?}");
        let token = answered.json()["token"]["access_token"].as_str().unwrap().to_owned();
        *self.ann.token.borrow_mut() = Some(token);
        answered
    }

    fn forget_token(&self) {
        *self.ann.token.borrow_mut() = None;
    }

    /// A generator as an app has it.
    async fn new_app(&self) -> (Answer, TotpSecret) {
        let answer = self.post("/v1/factors/totp:start", &json!({})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let uri = answer.json()["uri"].as_str().unwrap().to_owned();
        let secret = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap();
        (answer, TotpSecret::from_bytes(&base32(secret)).unwrap())
    }

    fn code(&self, secret: &TotpSecret) -> Value {
        let code = secret.code(Params::PHONE, step_at(self.server.clock.now()));
        json!({ "code": code.to_string() })
    }

    async fn confirmed_app(&self) -> TotpSecret {
        let (_, secret) = self.new_app().await;
        let confirmed = self.post("/v1/factors/totp:confirm", &self.code(&secret)).await;
        assert_eq!(confirmed.status, 200, "{confirmed:?}");
        self.server.clock.advance(Span::from_secs(30));
        secret
    }

    /// A payment of Ann's that waits for her.
    async fn waiting(&self) -> (String, String) {
        let bob = self.server.person(&self.operator, "Bob", "0").await;
        let (signed, waits) = self.server.pay(&self.ann, bob.account(), LARGE).await;
        assert_eq!(waits.problem(), "step_up_required");
        (signed.id.to_string(), signed.hash.to_string())
    }
}

/// RFC 4648 §6.
fn base32(text: &str) -> Vec<u8> {
    let (mut bits, mut count, mut out) = (0_u32, 0, Vec::new());
    for c in text.bytes() {
        let value = if c.is_ascii_uppercase() { c - b'A' } else { c - b'2' + 26 };
        bits = (bits << 5) | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xff).unwrap());
        }
    }
    out
}

/// What differs from run to run.
fn told(answer: &Answer, members: &[&str]) -> Value {
    let mut shown = answer.shown();
    for member in members {
        shown["body"][member] = format!("[{member}]").into();
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_raises_the_session() {
    let set = Set::new().await;
    let (started, finished) = set.set_password(PASSWORD).await;
    assert_json_snapshot!("password_started", told(&started, &["data"]));
    assert_json_snapshot!("password_set", finished.shown());
    assert_eq!(finished.json()["acr"], "aal1");
    let (challenge, answer) = set.password(PASSWORD, None).await;
    assert_json_snapshot!("challenge", told(&challenge, &["id", "data"]));
    let answered = set.answer(&challenge, &answer).await;
    assert_json_snapshot!("challenge_answered", answered.shown());
    // The same answer again is an answer to nothing.
    assert_eq!(set.answer(&challenge, &answer).await.problem(), "not_found");
    let token = answered.json()["token"]["access_token"].as_str().unwrap().to_owned();
    *set.ann.token.borrow_mut() = Some(token);
    let list = set.list().await;
    assert_json_snapshot!("factors", list.shown());
    assert_eq!(list.json()["acr"], "aal2");
    // A token that the device asks for later is worth as much, until an hour has passed without a sign of it.
    set.forget_token();
    assert_eq!(set.list().await.json()["acr"], "aal2");
    set.server.clock.advance(Span::from_secs(3_600));
    set.forget_token();
    assert_eq!(set.list().await.json()["acr"], "aal1");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_has_the_device_changes_no_factor() {
    let set = Set::new().await;
    set.set_password(PASSWORD).await;
    for (method, path) in [
        ("POST", "/v1/factors/password:start"),
        ("POST", "/v1/factors/password:finish"),
        ("POST", "/v1/factors/totp:start"),
        ("POST", "/v1/factors/recovery:issue"),
        ("DELETE", "/v1/factors/password"),
    ] {
        let refused = set.server.call(&set.ann, method, path, Some(&json!({}))).await;
        assert_eq!(refused.problem(), "insufficient_user_authentication", "{path}");
        let challenge = refused.header("www-authenticate").unwrap();
        let wanted =
            r#"DPoP error="insufficient_user_authentication", acr_values="aal2", max_age="900""#;
        assert_eq!(challenge, wanted);
    }
    set.log_in().await;
    let removed = set.server.call(&set.ann, "DELETE", "/v1/factors/password", None).await;
    assert_json_snapshot!("factor_removed", removed.shown());
    let again = set.server.call(&set.ann, "DELETE", "/v1/factors/password", None).await;
    assert_eq!(again.problem(), "not_found");
    set.set_password(PASSWORD).await;
    // What was proved a quarter of an hour ago is not fresh, though the level stands.
    set.log_in().await;
    set.server.clock.advance(Span::from_secs(900));
    set.forget_token();
    assert_eq!(set.list().await.json()["acr"], "aal2");
    let stale = set.post("/v1/factors/recovery:issue", &json!({})).await;
    assert_eq!(stale.problem(), "insufficient_user_authentication");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_refused_alike_and_slowed_down() {
    let set = Set::new().await;
    set.set_password(PASSWORD).await;
    let mut texts = std::collections::BTreeSet::new();
    for failures in 1..=3 {
        let (challenge, answer) = set.password(WRONG, None).await;
        let refused = set.answer(&challenge, &answer).await;
        assert_eq!(refused.problem(), "factor_refused", "{failures}");
        texts.insert(refused.json()["detail"].as_str().unwrap().to_owned());
        set.server.clock.advance(Span::from_secs(if failures == 3 { 1 } else { 4 }));
    }
    // After the third one it takes three seconds, also with the right one: whoever gets an answer to a first message has tried a
    // password, whether the last message comes or not.
    let begun = LoggingIn::start(&typed(PASSWORD), &mut OsEntropy).unwrap();
    let body = json!({ "method": "password", "data": encode(begun.ke1()) });
    let slowed = set.post("/v1/challenges", &body).await;
    assert_eq!(slowed.problem(), "throttled");
    assert_eq!(slowed.header("retry-after"), Some("2"));
    set.server.clock.advance(Span::from_secs(2));
    set.log_in().await;
    for _ in 0..2 {
        assert_eq!(set.post("/v1/challenges", &body).await.status, 201);
        set.server.clock.advance(Span::from_secs(1));
    }
    assert_eq!(set.post("/v1/challenges", &body).await.status, 201);
    let slowed = set.post("/v1/challenges", &body).await;
    assert_eq!(slowed.problem(), "throttled", "without an answer to any of them");
    // Somebody without a password gets a challenge of the same form, and the same refusal.
    let bob = server_person(&set).await;
    let other = Set { ann: bob, ..set };
    let (challenge, answer) = other.password(WRONG, None).await;
    assert_eq!(challenge.status, 201);
    let refused = other.answer(&challenge, &answer).await;
    texts.insert(refused.json()["detail"].as_str().unwrap().to_owned());
    assert_eq!(texts.len(), 1, "{texts:?}");
}

async fn server_person(set: &Set) -> Actor {
    set.server.person(&set.operator, "Bob", "0").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_an_app_counts_once() {
    let set = Set::new().await;
    let (made, secret) = set.new_app().await;
    assert_json_snapshot!("totp_added", told(&made, &["uri"]));
    // It proves nothing before it is confirmed, and the code that confirms it is used up.
    let code = set.code(&secret);
    let challenge = set.challenge("totp", None).await;
    assert_eq!(set.answer(&challenge, &code).await.problem(), "factor_refused");
    set.server.clock.advance(Span::from_secs(30));
    let code = set.code(&secret);
    let confirmed = set.post("/v1/factors/totp:confirm", &code).await;
    assert_json_snapshot!("totp_confirmed", confirmed.shown());
    let challenge = set.challenge("totp", None).await;
    assert_eq!(set.answer(&challenge, &code).await.problem(), "factor_refused", "used");
    set.server.clock.advance(Span::from_secs(30));
    let code = set.code(&secret);
    let challenge = set.challenge("totp", None).await;
    let answered = set.answer(&challenge, &code).await;
    // One more thing that Ann has: a further factor, and no higher level.
    assert_eq!((answered.status.as_u16(), &answered.json()["acr"]), (200, &json!("aal1")));
    for form in ["12345", "123456789", "abcdef"] {
        let challenge = set.challenge("totp", None).await;
        let refused = set.answer(&challenge, &json!({ "code": form })).await;
        assert_eq!(refused.problem(), "factor_form", "{form}");
        set.server.clock.advance(Span::from_secs(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_codes_count_once_and_end_with_the_next_sheet() {
    let set = Set::new().await;
    let made = set.post("/v1/factors/recovery:issue", &json!({})).await;
    let codes = made.json()["codes"].clone();
    assert_eq!(codes.as_array().unwrap().len(), 10);
    assert_json_snapshot!("recovery_codes", told(&made, &["codes"]));
    let code = |n: usize| json!({ "code": codes[n] });
    let challenge = set.challenge("recovery", None).await;
    assert_eq!(set.answer(&challenge, &code(0)).await.status, 200);
    assert_eq!(set.list().await.json()["factors"][0]["left"], 9);
    let challenge = set.challenge("recovery", None).await;
    assert_eq!(set.answer(&challenge, &code(0)).await.problem(), "factor_refused");
    set.server.clock.advance(Span::from_secs(5));
    set.post("/v1/factors/recovery:issue", &json!({})).await;
    let challenge = set.challenge("recovery", None).await;
    assert_eq!(set.answer(&challenge, &code(1)).await.problem(), "factor_refused", "old sheet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_payment_goes_on_by_a_further_factor() {
    let set = Set::new().await;
    let secret = set.confirmed_app().await;
    let (payment, _) = set.waiting().await;
    let challenge = set.challenge("totp", Some(&payment)).await;
    let code = set.code(&secret);
    let answered = set.answer(&challenge, &code).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    let paid = answered.json()["payment"].clone();
    assert_eq!(paid["status"], "booked");
    assert_eq!(paid["approvals"][0]["kind"], "factor");
    assert!(paid["receipt"].as_str().is_some_and(|receipt| receipt.len() > 1_000));
    // Nothing waits any more.
    let again = set.challenge("totp", Some(&payment)).await;
    assert_eq!(again.problem(), "wrong_status");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_a_device_began_before_it_was_disowned_lets_no_payment_go_on() {
    let set = Set::new().await;
    let other = set.server.another_device(&set.operator, &set.ann).await;
    let secret = set.confirmed_app().await;
    let (payment, _) = set.waiting().await;
    let challenge = set.challenge("totp", Some(&payment)).await;
    crate::prompts::disowned(&set.server, &set.ann, &other).await;
    let refused = set.answer(&challenge, &set.code(&secret)).await;
    assert_eq!(refused.json()["reason"], "disowned_device", "{refused:?}");
    let path = format!("/v1/payments/{payment}");
    let waits = set.server.call(&other, "GET", &path, None).await.json();
    assert_eq!(waits["status"], "step_up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_bound_to_its_payment() {
    let set = Set::new().await;
    set.set_password(PASSWORD).await;
    let (payment, hash) = set.waiting().await;
    // An answer that was made for the session, or for another transaction hash, is none for this payment.
    for purpose in [None, Some((payment.clone(), "00".repeat(32)))] {
        let begun = LoggingIn::start(&typed(PASSWORD), &mut OsEntropy).unwrap();
        let body = json!({ "method": "password", "data": encode(begun.ke1()), "payment": payment });
        let challenge = set.post("/v1/challenges", &body).await;
        let shown = challenge.json();
        let id = bytes(&shown["id"]);
        let text = purpose.map_or("session".to_owned(), |(id, hash)| format!("{id}/{hash}"));
        let context = Context { server: &set.server.url, challenge: &id, purpose: &text };
        let ke2 = bytes(&shown["data"]);
        begun.finish(&typed(PASSWORD), &ke2, context, &mut OsEntropy).unwrap_err();
        set.server.clock.advance(Span::from_secs(4));
    }
    let (challenge, answer) = set.password(PASSWORD, Some((payment, hash))).await;
    let answered = set.answer(&challenge, &answer).await;
    assert_eq!(answered.json()["payment"]["status"], "booked", "{answered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers_for_another() {
    let set = Set::new().await;
    let secret = set.confirmed_app().await;
    let (payment, _) = set.waiting().await;
    let bob = server_person(&set).await;
    let body = json!({ "method": "totp", "payment": payment });
    let refused = set.server.call(&bob, "POST", "/v1/challenges", Some(&body)).await;
    assert_eq!(refused.problem(), "unknown_payment");
    // The operator neither.
    let refused = set.server.call(&set.operator, "POST", "/v1/challenges", Some(&body)).await;
    assert_eq!(refused.problem(), "unknown_payment");
    // A challenge of Ann's is answered at Ann's device alone, and is still there afterwards.
    let challenge = set.challenge("totp", Some(&payment)).await;
    let id = challenge.json()["id"].as_str().unwrap().to_owned();
    let (path, code) = (format!("/v1/challenges/{id}:answer"), set.code(&secret));
    let refused = set.server.call(&bob, "POST", &path, Some(&code)).await;
    assert_eq!(refused.problem(), "not_found");
    assert_eq!(set.answer(&challenge, &code).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_revoked_meanwhile_proves_nothing() {
    let set = Set::new().await;
    let secret = set.confirmed_app().await;
    let (payment, _) = set.waiting().await;
    let challenge = set.challenge("totp", Some(&payment)).await;
    let path = format!("/v1/devices/{}", set.ann.device.unwrap());
    let revoked = set.server.call(&set.operator, "DELETE", &path, None).await;
    assert_eq!(revoked.status, 200);
    let refused = set.answer(&challenge, &set.code(&secret)).await;
    assert_eq!(refused.problem(), "device_revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn challenges_end_and_odd_ones_are_refused() {
    let set = Set::new().await;
    let secret = set.confirmed_app().await;
    let challenge = set.challenge("totp", None).await;
    set.server.clock.advance(Span::from_secs(300));
    set.forget_token();
    let late = set.answer(&challenge, &set.code(&secret)).await;
    assert_eq!(late.problem(), "not_found");
    for (body, wanted) in [
        (json!({ "method": "fingerprint" }), "bad_value"),
        (json!({ "method": "device" }), "bad_value"),
        (json!({ "method": "password" }), "factor_form"),
        (json!({ "method": "password", "data": encode(&[0; 95]) }), "factor_form"),
        (json!({ "method": "totp", "for": "me" }), "bad_json"),
    ] {
        assert_eq!(set.post("/v1/challenges", &body).await.problem(), wanted, "{body}");
    }
    for path in ["/v1/challenges/AAAA:answer", "/v1/challenges/%21:answer", "/v1/challenges/x"] {
        assert_eq!(set.post(path, &json!({})).await.problem(), "not_found", "{path}");
    }
    for path in ["/v1/factors/passphrase", "/v1/factors/device", "/v1/factors/totp"] {
        let nothing = set.server.call(&set.ann, "DELETE", path, None).await;
        assert_eq!(nothing.status, if path.ends_with("totp") { 200 } else { 404 }, "{path}");
    }
}
