//! Goal: a person registers and uses a passkey in a browser for the session that asked, and nobody else can. Method: a software
//! authenticator in place of the browser's; every link is also misused.

use crate::support::{Actor, Answer, Server, encode};
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use tpw_core::Span;
use tpw_crypto::sha256;
use webauthn_authenticator_rs::AuthenticatorBackendHashedClientData as _;
use webauthn_authenticator_rs::softpasskey::SoftPasskey;

const PATH: &str = "/v1/factors/passkeys";

/// A browser with an authenticator of its own, at some origin.
struct Browser {
    authenticator: SoftPasskey,
    origin: String,
}

impl Browser {
    fn at(origin: &str) -> Self {
        Self { authenticator: SoftPasskey::new(true), origin: origin.to_owned() }
    }

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
    for place in
        ["/url", "/options/challenge", "/options/user/id", "/options/rp/id", "/id", "/passkey/id"]
    {
        if let Some(value) = body.pointer_mut(place) {
            *value = "[random]".into();
        }
    }
    for place in ["/expires", "/created", "/last_used", "/passkey/created", "/passkey/last_used"] {
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
