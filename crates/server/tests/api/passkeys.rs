//! Goal: a person registers and uses a passkey in a browser for the session that asked, and nobody else can. Method: a software
//! authenticator in place of the browser's; every link is also misused.

use crate::support::{Actor, Answer, Server, encode, limits};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use tpw_access::factor::webauthn::{PaymentAssertion, RelyingParty};
use tpw_core::{FactorMethod, Hash32, PaymentId, Span};
use tpw_crypto::sha256;
use tpw_proof::leaf::factor_evidence;
use webauthn_authenticator_rs::AuthenticatorBackendHashedClientData as Authenticator;
use webauthn_authenticator_rs::softpasskey::SoftPasskey;
use webauthn_authenticator_rs::softtoken::SoftToken;

const PATH: &str = "/v1/factors/passkeys";

/// A browser with an authenticator of its own, at some origin.
struct Browser<T: Authenticator = SoftPasskey> {
    authenticator: T,
    origin: String,
}

impl Browser {
    fn at(origin: &str) -> Self {
        Self { authenticator: SoftPasskey::new(true), origin: origin.to_owned() }
    }
}

impl<T: Authenticator> Browser<T> {
    /// The answer to what the server asks; the client data are as browsers write them.
    fn do_as_asked(&mut self, ceremony: &Value) -> Value {
        let (options, uses) = (&ceremony["options"], ceremony["for"] == "use");
        let client_data = json!({
            "type": if uses { "webauthn.get" } else { "webauthn.create" },
            "challenge": options["challenge"], "origin": self.origin, "crossOrigin": false,
        });
        let client_data = client_data.to_string();
        let hash = sha256(client_data.as_bytes()).to_vec();
        let mut answer = if uses {
            let options = serde_json::from_value(options.clone()).unwrap();
            serde_json::to_value(self.authenticator.perform_auth(hash, options, 1000).unwrap())
        } else {
            let options = serde_json::from_value(options.clone()).unwrap();
            serde_json::to_value(self.authenticator.perform_register(hash, options, 1000).unwrap())
        }
        .unwrap();
        answer["response"]["clientDataJSON"] = encode(client_data.as_bytes()).into();
        answer
    }
}

/// The page's origin and the code of a new link.
async fn link(server: &Server, actor: &Actor, errand: &str) -> (String, String) {
    let body = json!({ "for": errand });
    let answer = server.call(actor, "POST", &format!("{PATH}:link"), Some(&body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let url = answer.json()["url"].as_str().unwrap().to_owned();
    let (page, code) = url.split_once('#').unwrap();
    (page.strip_suffix("/passkeys").unwrap().to_owned(), code.to_owned())
}

async fn start(server: &Server, code: &str) -> Answer {
    server.post_json(&format!("{PATH}:start"), &[], &json!({ "code": code })).await
}

async fn finish(server: &Server, code: &str, credential: &Value) -> Answer {
    let body = json!({ "code": code, "name": "我的钥匙", "credential": credential });
    server.post_json(&format!("{PATH}:finish"), &[], &body).await
}

/// Lets the delay after a wrong code pass.
fn wait(server: &Server) {
    server.clock.advance(Span::from_secs(10));
}

/// An answer whose random parts are left out.
fn shown(answer: &Answer) -> Value {
    let mut body = answer.json();
    for place in [
        "/url",
        "/device",
        "/options/challenge",
        "/options/user/id",
        "/options/rp/id",
        "/id",
        "/passkey/id",
    ] {
        if let Some(value) = body.pointer_mut(place) {
            *value = "[random]".into();
        }
    }
    for place in
        ["/expires", "/asked", "/created", "/last_used", "/passkey/created", "/passkey/last_used"]
    {
        if let Some(value) = body.pointer_mut(place) {
            *value = "[time]".into();
        }
    }
    for place in ["/options/user/name", "/options/user/displayName"] {
        if let Some(value) = body.pointer_mut(place) {
            *value = "[per]".into();
        }
    }
    answer.shown_as(&body)
}

#[tokio::test]
async fn a_person_registers_a_key_and_uses_and_removes_it() {
    let server = Server::start().await;
    let operator = server.operator();
    let ada = server.person(&operator, "ada", "100").await;
    let body = json!({ "for": "register_security_key" });
    let linked = server.call(&ada, "POST", &format!("{PATH}:link"), Some(&body)).await;
    assert_json_snapshot!("passkey_linked", shown(&linked));
    let (origin, code) = link(&server, &ada, "register_security_key").await;
    assert!(origin.starts_with("https://localhost:"), "{origin}");
    let started = start(&server, &code).await;
    assert_json_snapshot!("passkey_started", shown(&started));
    let mut browser = Browser::at(&origin);
    let credential = browser.do_as_asked(&started.json());
    let finished = finish(&server, &code, &credential).await;
    assert_json_snapshot!("passkey_registered", shown(&finished));
    // Used: neither to answer again, nor to begin again.
    assert_eq!(finish(&server, &code, &credential).await.problem(), "link_invalid");
    wait(&server);
    assert_eq!(start(&server, &code).await.problem(), "link_invalid");
    wait(&server);

    let (_origin, code) = link(&server, &ada, "use").await;
    let asked = start(&server, &code).await.json();
    assert_eq!(asked["options"]["allowCredentials"].as_array().unwrap().len(), 1);
    let used = finish(&server, &code, &browser.do_as_asked(&asked)).await.json();
    assert_eq!(
        (&used["user_verified"], &used["counter_went_back"]),
        (&false.into(), &false.into())
    );
    assert!(used["passkey"]["last_used"].is_string());

    let listed = server.call(&ada, "GET", PATH, None).await;
    let mut body = listed.json();
    for (member, put) in [("id", "[random]"), ("created", "[time]"), ("last_used", "[time]")] {
        body["passkeys"][0][member] = put.into();
    }
    assert_json_snapshot!("passkeys", listed.shown_as(&body));
    let id = listed.json()["passkeys"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("{PATH}/{id}");
    assert_eq!(server.call(&operator, "DELETE", &path, None).await.problem(), "not_found");
    assert_json_snapshot!(
        "passkey_removed",
        shown(&server.call(&ada, "DELETE", &path, None).await)
    );
    assert_eq!(server.call(&ada, "DELETE", &path, None).await.problem(), "not_found");
    let none = server.call(&ada, "GET", PATH, None).await.json();
    assert_eq!(none["passkeys"], json!([]));
}

#[tokio::test]
async fn nobody_registers_or_uses_a_key_for_somebody_else() {
    let server = Server::start().await;
    let operator = server.operator();
    let ada = server.person(&operator, "ada", "100").await;
    let bob = server.person(&operator, "bob", "100").await;
    let (origin, code) = link(&server, &ada, "register_security_key").await;
    let mut browser = Browser::at(&origin);
    let asked = start(&server, &code).await.json();
    assert_eq!(finish(&server, &code, &browser.do_as_asked(&asked)).await.status, 200);

    // Bob asks, Ada's key answers: it is none of his.
    let (_origin, code) = link(&server, &bob, "use").await;
    let asked = start(&server, &code).await.json();
    assert_eq!(asked["options"]["allowCredentials"], json!([]));
    let (_origin, of_ada) = link(&server, &ada, "use").await;
    let asked_of_ada = start(&server, &of_ada).await.json();
    let by_ada = browser.do_as_asked(&asked_of_ada);
    assert_eq!(finish(&server, &code, &by_ada).await.problem(), "passkey_refused");
    // It was not used up for Ada.
    assert_eq!(finish(&server, &of_ada, &by_ada).await.status, 200);
    assert_eq!(server.call(&bob, "GET", PATH, None).await.json()["passkeys"], json!([]));

    // An answer to one link is none to another, even of the same person.
    let (_origin, first) = link(&server, &ada, "use").await;
    let (_origin, second) = link(&server, &ada, "use").await;
    let answer = browser.do_as_asked(&start(&server, &first).await.json());
    assert_eq!(start(&server, &second).await.status, 200);
    assert_eq!(finish(&server, &second, &answer).await.problem(), "passkey_refused");
    assert_eq!(finish(&server, &first, &answer).await.status, 200);
}

#[tokio::test]
async fn a_page_elsewhere_an_unverified_user_and_a_late_answer_change_nothing() {
    let server = Server::start().await;
    let operator = server.operator();
    let ada = server.person(&operator, "ada", "100").await;
    let keys = async || server.call(&ada, "GET", PATH, None).await.json()["passkeys"].clone();

    let (origin, code) = link(&server, &ada, "register_security_key").await;
    let asked = start(&server, &code).await.json();
    let credential = Browser::at("https://localhost.evil.example").do_as_asked(&asked);
    assert_eq!(finish(&server, &code, &credential).await.problem(), "passkey_refused");

    // Began, cancelled, began anew: only the newer counts.
    let (_origin, code) = link(&server, &ada, "register_security_key").await;
    let first = Browser::at(&origin).do_as_asked(&start(&server, &code).await.json());
    assert_eq!(start(&server, &code).await.status, 200);
    assert_eq!(finish(&server, &code, &first).await.problem(), "passkey_refused");

    // Never begun.
    let (_origin, code) = link(&server, &ada, "use").await;
    assert_eq!(finish(&server, &code, &credential).await.problem(), "link_invalid");
    wait(&server);

    let (_origin, code) = link(&server, &ada, "register_security_key").await;
    let late = Browser::at(&origin).do_as_asked(&start(&server, &code).await.json());
    server.clock.advance(Span::from_secs(601));
    ada.token.replace(None);
    assert_eq!(finish(&server, &code, &late).await.problem(), "link_invalid");
    assert_eq!(keys().await, json!([]));
}

#[tokio::test]
async fn links_are_for_sessions_and_guesses_are_delayed() {
    let server = Server::start().await;
    let operator = server.operator();
    let ada = server.person(&operator, "ada", "100").await;
    let body = json!({ "for": "use" });
    let stranger = server.post_json(&format!("{PATH}:link"), &[], &body).await;
    assert_eq!(stranger.problem(), "unauthenticated");
    let bad =
        server.call(&ada, "POST", &format!("{PATH}:link"), Some(&json!({ "for": "all" }))).await;
    assert_eq!(bad.status, 400);
    for _link in 0..5 {
        link(&server, &ada, "use").await;
    }
    let more = server.call(&ada, "POST", &format!("{PATH}:link"), Some(&body)).await;
    assert_eq!(more.problem(), "busy");
    let guess = async || start(&server, "00000-00000-00000-00000").await.problem();
    assert_eq!(guess().await, "link_invalid");
    assert_eq!(guess().await, "throttled");
    wait(&server);
    assert_eq!(guess().await, "link_invalid");
}

/// Enough that screening asks the payer again.
const LARGE: u128 = 150_000;

/// A payment of Ada's that waits for her, to somebody whom she never paid.
async fn waiting(server: &Server, operator: &Actor, ada: &Actor) -> PaymentId {
    let payee = server.person(operator, "payee", "0").await;
    let (signed, waits) = server.pay(ada, payee.account(), LARGE).await;
    assert_eq!(waits.problem(), "step_up_required");
    signed.id
}

async fn status(server: &Server, actor: &Actor, payment: PaymentId) -> Value {
    let path = format!("/v1/payments/{payment}");
    server.call(actor, "GET", &path, None).await.json()
}

async fn ask_for_payment(server: &Server, actor: &Actor, payment: PaymentId) -> Answer {
    let body = json!({ "for": "use", "payment": payment.to_string() });
    server.call(actor, "POST", &format!("{PATH}:link"), Some(&body)).await
}

/// The code of a link for a payment.
async fn link_for(server: &Server, actor: &Actor, payment: PaymentId) -> String {
    let answer = ask_for_payment(server, actor, payment).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["url"].as_str().unwrap().split_once('#').unwrap().1.to_owned()
}

/// Ada with money and a key, in a browser of hers.
async fn with_key(server: &Server) -> (Actor, Actor, Browser) {
    let operator = server.operator();
    let ada = server.person(&operator, "ada", "90000000").await;
    let (origin, code) = link(server, &ada, "register_security_key").await;
    let mut browser = Browser::at(&origin);
    let credential = browser.do_as_asked(&start(server, &code).await.json());
    assert_eq!(finish(server, &code, &credential).await.status, 200);
    (operator, ada, browser)
}

#[tokio::test]
async fn a_payment_that_waits_goes_on_by_a_key_and_the_answer_is_kept() {
    let server = Server::start().await;
    let (operator, ada, mut browser) = with_key(&server).await;
    let payment = waiting(&server, &operator, &ada).await;
    let code = link_for(&server, &ada, payment).await;
    let started = start(&server, &code).await;
    let mut told = started.json();
    told["options"]["allowCredentials"] = "[its keys]".into();
    told["options"]["challenge"] = "[random]".into();
    (told["device"], told["asked"]) = ("[dev]".into(), "[time]".into());
    assert_json_snapshot!("passkey_started_payment", started.shown_as(&shown_payment(told)));
    let finished = finish(&server, &code, &browser.do_as_asked(&started.json())).await;
    let told = shown_payment(shown(&finished)["body"].clone());
    assert_json_snapshot!("passkey_paid", finished.shown_as(&told));
    let paid = status(&server, &ada, payment).await;
    assert_eq!(paid["status"], "booked");
    // No more than the payment came of it.
    let listed = server.call(&ada, "GET", "/v1/factors", None).await.json();
    assert_eq!(listed["acr"], "aal1");

    // Whoever has the record and the payment's own evidence can judge all of it again.
    let path = format!("/v1/payments/{payment}/factor");
    let answer = server.call(&ada, "GET", &path, None).await;
    let kept = URL_SAFE_NO_PAD.decode(answer.json()["data"].as_str().unwrap()).unwrap();
    let told = json!({ "payment": "[pay]", "data": "[bytes]" });
    assert_json_snapshot!("factor_evidence", answer.shown_as(&told));
    let stranger = server.person(&operator, "bob", "0").await;
    let refused = server.call(&stranger, "GET", &path, None).await;
    assert_eq!(refused.problem(), "unknown_payment");
    assert_eq!(server.call(&operator, "GET", &path, None).await.status, 200);
    let plain = server.pay(&ada, stranger.account(), 100).await.0.id;
    let none = server.call(&ada, "GET", &format!("/v1/payments/{plain}/factor"), None).await;
    assert_eq!(none.problem(), "not_found");
    let assertion = PaymentAssertion::from_bytes(&kept).unwrap();
    let rp = RelyingParty::new("localhost", "TPWallet", &[&browser.origin]).unwrap();
    assert!(assertion.judge(&rp).unwrap().user_verified);
    let intent: Hash32 = paid["intent_hash"].as_str().unwrap().parse().unwrap();
    assert_eq!(assertion.intent(), intent);
    let bound = factor_evidence(intent, FactorMethod::Passkey, Hash32::new(sha256(&kept)));
    assert_eq!(paid["approvals"][0]["evidence"], bound.to_string());
}

fn shown_payment(mut body: Value) -> Value {
    for (member, put) in [("id", "[pay]"), ("payee", "[acc]"), ("intent_hash", "[hash]")] {
        body["payment"][member] = put.into();
    }
    body
}

#[tokio::test]
async fn a_key_moves_no_other_payment_than_the_one_that_was_shown() {
    let server = Server::start().await;
    let (operator, ada, mut browser) = with_key(&server).await;
    let (shown, other) =
        (waiting(&server, &operator, &ada).await, waiting(&server, &operator, &ada).await);
    let codes = [link_for(&server, &ada, shown).await, link_for(&server, &ada, other).await];
    let asked = start(&server, &codes[0]).await.json();
    let answer = browser.do_as_asked(&asked);
    assert_eq!(start(&server, &codes[1]).await.status, 200);
    assert_eq!(finish(&server, &codes[1], &answer).await.problem(), "passkey_refused");
    // Without its user verified a key agrees to nothing, whatever the page asked it for.
    let code = link_for(&server, &ada, other).await;
    let mut asked_less = start(&server, &code).await.json();
    assert_eq!(asked_less["options"]["userVerification"], "required");
    asked_less["options"]["userVerification"] = "discouraged".into();
    let unverified = browser.do_as_asked(&asked_less);
    assert_eq!(finish(&server, &code, &unverified).await.problem(), "passkey_refused");
    // What was given for the session is not for a payment.
    let (_origin, session) = link(&server, &ada, "use").await;
    let for_session = browser.do_as_asked(&start(&server, &session).await.json());
    let code = link_for(&server, &ada, other).await;
    assert_eq!(start(&server, &code).await.status, 200);
    assert_eq!(finish(&server, &code, &for_session).await.problem(), "passkey_refused");
    assert_eq!(status(&server, &ada, other).await["status"], "step_up");

    assert_eq!(finish(&server, &codes[0], &answer).await.status, 200);
    assert_eq!(status(&server, &ada, shown).await["status"], "booked");
    assert_eq!(ask_for_payment(&server, &ada, shown).await.problem(), "wrong_status");
    let stranger = server.person(&operator, "bob", "0").await;
    assert_eq!(ask_for_payment(&server, &stranger, other).await.problem(), "unknown_payment");
    let body = json!({ "for": "register_passkey", "payment": other.to_string() });
    let both = server.call(&ada, "POST", &format!("{PATH}:link"), Some(&body)).await;
    assert_eq!(both.problem(), "bad_value");
}

#[tokio::test]
async fn a_payment_that_went_on_meanwhile_does_not_begin_and_does_not_end_twice() {
    let server = Server::start().await;
    let (operator, ada, mut browser) = with_key(&server).await;
    let payment = waiting(&server, &operator, &ada).await;
    let codes = [link_for(&server, &ada, payment).await, link_for(&server, &ada, payment).await];
    let late = link_for(&server, &ada, payment).await;
    let mut answers = Vec::new();
    for code in &codes {
        answers.push(browser.do_as_asked(&start(&server, code).await.json()));
    }
    assert_eq!(finish(&server, &codes[0], &answers[0]).await.status, 200);
    assert_eq!(finish(&server, &codes[1], &answers[1]).await.problem(), "wrong_status");
    assert_eq!(start(&server, &late).await.problem(), "wrong_status");
    assert_eq!(status(&server, &ada, payment).await["status"], "booked");
    // The late answer took nothing from the one that counted.
    let path = format!("/v1/payments/{payment}/factor");
    assert_eq!(server.call(&ada, "GET", &path, None).await.status, 200);
}

#[tokio::test]
async fn a_device_that_was_revoked_meanwhile_has_no_links() {
    let server = Server::start().await;
    let (operator, ada, mut browser) = with_key(&server).await;
    let payment = waiting(&server, &operator, &ada).await;
    let begun = link_for(&server, &ada, payment).await;
    let answer = browser.do_as_asked(&start(&server, &begun).await.json());
    let (_origin, new) = link(&server, &ada, "register_security_key").await;
    let path = format!("/v1/devices/{}", ada.device.unwrap());
    assert_eq!(server.call(&operator, "DELETE", &path, None).await.status, 200);
    assert_eq!(finish(&server, &begun, &answer).await.problem(), "device_revoked");
    assert_eq!(start(&server, &new).await.problem(), "device_revoked");
    assert_eq!(status(&server, &operator, payment).await["status"], "step_up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_disowned_meanwhile_gets_no_key_and_lets_no_payment_go_on() {
    let server = Server::start().await;
    let (operator, ada, mut browser) = with_key(&server).await;
    let other = server.another_device(&operator, &ada).await;
    let payment = waiting(&server, &operator, &ada).await;
    let begun = link_for(&server, &ada, payment).await;
    let answer = browser.do_as_asked(&start(&server, &begun).await.json());
    let (origin, registering) = link(&server, &ada, "register_security_key").await;
    let key = Browser::at(&origin).do_as_asked(&start(&server, &registering).await.json());
    let (_origin, new) = link(&server, &ada, "register_security_key").await;
    crate::prompts::disowned(&server, &ada, &other).await;
    let reason = |answer: Answer| answer.json()["reason"].clone();
    for (code, credential) in [(&begun, &answer), (&registering, &key)] {
        assert_eq!(reason(finish(&server, code, credential).await), "disowned_device");
    }
    assert_eq!(reason(start(&server, &new).await), "disowned_device");
    assert_eq!(status(&server, &operator, payment).await["status"], "step_up");
    let keys = server.call(&other, "GET", PATH, None).await.json();
    assert_eq!(keys["passkeys"].as_array().map(Vec::len), Some(1), "{keys}");
}

/// What a session is worth after the key in `browser` was registered and used on `server`.
async fn level_by<T: Authenticator>(server: &Server, authenticator: T) -> (Value, Value) {
    let operator = server.operator();
    let ada = server.person(&operator, "ada", "100").await;
    let (origin, code) = link(server, &ada, "register_security_key").await;
    let mut browser = Browser { authenticator, origin };
    let asked = start(server, &code).await.json();
    let finished = finish(server, &code, &browser.do_as_asked(&asked)).await;
    assert_eq!(finished.status, 200, "{finished:?}");
    let (_origin, code) = link(server, &ada, "use").await;
    let mut asked_to_use = start(server, &code).await.json();
    // A browser whose authenticator can verify its user does so where that is preferred.
    asked_to_use["options"]["userVerification"] = "required".into();
    let used = finish(server, &code, &browser.do_as_asked(&asked_to_use)).await;
    assert_eq!(used.status, 200, "{used:?}");
    ada.token.replace(None);
    let level = server.call(&ada, "GET", "/v1/factors", None).await.json()["acr"].clone();
    (asked["options"]["attestation"].clone(), level)
}

#[tokio::test]
async fn only_a_key_of_a_maker_that_the_operator_knows_is_the_highest_level() {
    use der::Encode as _;
    let (token, root) = SoftToken::new(true).unwrap();
    let (stranger, _root) = SoftToken::new(true).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(root.to_der().unwrap());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    std::fs::write(folder.path().join("maker.pem"), pem).unwrap();
    let anchors = Some(folder.path().to_owned());
    let server = Server::start_knowing(limits(), |_usual| {}, anchors.clone()).await;
    // The root was made just now.
    server.clock.advance(Span::from_secs(5));
    assert_eq!(level_by(&server, token).await, ("direct".into(), "aal3".into()));
    let server = Server::start_knowing(limits(), |_usual| {}, anchors).await;
    assert_eq!(level_by(&server, stranger).await, ("direct".into(), "aal2".into()));
    let (token, _root) = SoftToken::new(true).unwrap();
    let server = Server::start().await;
    assert_eq!(level_by(&server, token).await, ("none".into(), "aal2".into()));
}

#[tokio::test]
async fn nobody_has_more_keys_than_there_is_room_for() {
    let server = Server::start().await;
    let operator = server.operator();
    let ada = server.person(&operator, "ada", "100").await;
    for _key in 0..16 {
        let (origin, code) = link(&server, &ada, "register_security_key").await;
        let asked = start(&server, &code).await.json();
        assert_eq!(asked["device"], ada.device.unwrap().to_string());
        assert_eq!(asked["options"]["user"]["displayName"], "ada");
        let credential = Browser::at(&origin).do_as_asked(&asked);
        assert_eq!(finish(&server, &code, &credential).await.status, 200);
    }
    let body = json!({ "for": "register_security_key" });
    let one_more = server.call(&ada, "POST", &format!("{PATH}:link"), Some(&body)).await;
    assert_eq!(one_more.problem(), "bad_value");
}
