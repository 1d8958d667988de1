//! Goal: each known abuse is refused, by its name. Method: the attacker has what such an attacker has (a list of passwords, a copied token,
//! a page on another site) and uses a running server; afterwards nothing has changed. The table in `docs/reference/abuse.md` names a test
//! for every abuse, here or elsewhere; the last test looks each of them up.

use crate::oauth_scene::{Browser, Scene, code_on};
use crate::support::{Actor, Answer, Server, encode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use tpw_access::factor::opaque::{Context, LoggingIn, PasswordRecord, Registering, ServerSecret};
use tpw_access::factor::password::Password;
use tpw_access::{EnrolmentCode, HttpUrl, enrol};
use tpw_core::{PersonId, Span};
use tpw_engines::clock::Clock as _;
use tpw_engines::entropy::OsEntropy;

const PASSWORD: &str = "correct horse battery staple";
const WRONG: &str = "correct horse battery stable";

fn typed(text: &str) -> Password {
    Password::prepare(text).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

async fn set_password(server: &Server, actor: &Actor) {
    let begun = Registering::start(&typed(PASSWORD), &mut OsEntropy).unwrap();
    let body = json!({ "data": encode(begun.request()) });
    let answer = server.call(actor, "POST", "/v1/factors/password:start", Some(&body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let response = bytes(&answer.json()["data"]);
    let done = begun.finish(&typed(PASSWORD), &response, &mut OsEntropy).unwrap();
    let body = json!({ "data": encode(&done.upload) });
    let answer = server.call(actor, "POST", "/v1/factors/password:finish", Some(&body)).await;
    assert!(answer.status.is_success(), "{answer:?}");
}

/// The first message of a login, with a password that is tried.
async fn begin(server: &Server, actor: &Actor, text: &str) -> (LoggingIn, Answer) {
    let begun = LoggingIn::start(&typed(text), &mut OsEntropy).unwrap();
    let body = json!({ "method": "password", "data": encode(begun.ke1()) });
    let answer = server.call(actor, "POST", "/v1/challenges", Some(&body)).await;
    (begun, answer)
}

async fn tried(server: &Server, actor: &Actor, text: &str) -> Answer {
    let (begun, challenge) = begin(server, actor, text).await;
    if challenge.status != 201 {
        return challenge;
    }
    let shown = challenge.json();
    let id = bytes(&shown["id"]);
    let context = Context { server: &server.url, challenge: &id, purpose: "session" };
    let done = begun.finish(&typed(text), &bytes(&shown["data"]), context, &mut OsEntropy);
    let ke3 = done.map_or_else(|_| vec![7; 64], |done| done.ke3.to_vec());
    let path = format!("/v1/challenges/{}:answer", shown["id"].as_str().unwrap());
    server.call(actor, "POST", &path, Some(&json!({ "data": encode(&ke3) }))).await
}

/// One more device of the same person.
async fn second_device(server: &Server, operator: &Actor, of: &Actor) -> Actor {
    let path = format!("/v1/people/{}/codes", of.person.unwrap());
    let issued = server.call(operator, "POST", &path, None).await;
    let mut device = Actor::new();
    let enrolled = server.enrol_with(&device, issued.json()["code"].as_str().unwrap()).await;
    assert_eq!(enrolled.status, 201, "{enrolled:?}");
    device.device = Some(enrolled.json()["device"].as_str().unwrap().parse().unwrap());
    (device.person, device.account) = (of.person, of.account);
    device
}

/// An enrolment from this address.
async fn enrolled_from(server: &Server, from: &str, code: &str) -> String {
    let device = Actor::new();
    let url = HttpUrl::parse(&format!("{}/v1/devices", server.url)).unwrap();
    let parsed: EnrolmentCode = code.parse().unwrap();
    let now = server.clock.now();
    let proof = enrol::prove(&device.slots, &device.slot, &url, &parsed, now, &mut OsEntropy);
    let body = json!({ "code": code }).to_string();
    let request = format!(
        "POST /v1/devices HTTP/1.1\r\nHost: {}\r\nDPoP: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        server.addr,
        proof.unwrap(),
        body.len(),
    );
    server.ask_from(from, &request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn credential_stuffing_many_people_from_one_address() {
    let server = Server::start().await;
    let operator = server.operator();
    let mut codes = Vec::new();
    for name in ["Ann", "Bob", "Carl"] {
        let added = server.add_person(&operator, name, "0").await;
        codes.push(added["code"].as_str().unwrap().to_owned());
    }
    // Codes of many people, guessed from one address: after the first wrong one not even a right one is looked at.
    let first = enrolled_from(&server, "127.0.0.3", "00000-00000-00000-00000").await;
    assert!(first.contains("\"code_invalid\""), "{first}");
    for code in &codes {
        let answer = enrolled_from(&server, "127.0.0.3", code).await;
        assert!(answer.starts_with("HTTP/1.1 429") && answer.contains("throttled"), "{answer}");
    }
    // Others are not kept waiting for it.
    let other = enrolled_from(&server, "127.0.0.4", &codes[0]).await;
    assert!(other.starts_with("HTTP/1.1 201"), "{other}");
    // A list of names and passwords opens nothing: a password is proved at an enrolled device, for that device's own person, whom no
    // request can name.
    let ann = server.person(&operator, "Anna", "0").await;
    let eve = server.person(&operator, "Eve", "0").await;
    set_password(&server, &ann).await;
    let refused = tried(&server, &eve, PASSWORD).await;
    assert_eq!(refused.problem(), "factor_refused", "Ann's password at Eve's device");
    let person = ann.person.unwrap().to_string();
    for name in ["person", "user", "username", "sub"] {
        let body = json!({ "method": "password", "data": encode(&[7; 96]), name: person });
        let answer = server.call(&eve, "POST", "/v1/challenges", Some(&body)).await;
        assert_eq!(answer.problem(), "bad_json", "{name}");
    }
    let body = json!({ "method": "password", "data": encode(&[7; 96]) });
    let stranger = server.post_json("/v1/challenges", &[], &body).await;
    assert_eq!(stranger.problem(), "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn credential_stuffing_one_person_from_many_devices_and_addresses() {
    let server = Server::start().await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "0").await;
    let bob = server.person(&operator, "Bob", "0").await;
    set_password(&server, &ann).await;
    let stolen = second_device(&server, &operator, &ann).await;
    for device in [&ann, &stolen, &stolen] {
        assert_eq!(tried(&server, device, WRONG).await.problem(), "factor_refused");
        server.clock.advance(Span::from_secs(1));
    }
    // Counted for the person: another device, and so another address, has no tries of its own.
    for device in [&ann, &stolen] {
        let slowed = tried(&server, device, PASSWORD).await;
        assert_eq!((slowed.status.as_u16(), slowed.problem().as_str()), (429, "throttled"));
    }
    assert_eq!(tried(&server, &bob, WRONG).await.problem(), "factor_refused", "Bob has his own");
    server.clock.advance(Span::from_secs(5));
    assert_eq!(tried(&server, &ann, PASSWORD).await.status, 200);
}

/// Names of the fields of an answer, and its body without what is drawn anew each time.
fn form(answer: &Answer) -> (u16, BTreeSet<String>, Value) {
    let names = answer.headers.keys().map(|name| name.as_str().to_owned()).collect();
    let mut body = answer.json();
    for member in ["id", "expires", "data", "request_id"] {
        if let Some(value) = body.get_mut(member) {
            *value = value.as_str().unwrap().len().into();
        }
    }
    (answer.status.as_u16(), names, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn user_enumeration_people_with_and_without_a_password_look_alike() {
    let server = Server::start().await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "0").await;
    let bob = server.person(&operator, "Bob", "0").await;
    set_password(&server, &ann).await;
    let (_, of_ann) = begin(&server, &ann, WRONG).await;
    let (_, of_bob) = begin(&server, &bob, WRONG).await;
    assert_eq!(form(&of_ann), form(&of_bob));
    let (wrong, none) = (tried(&server, &ann, WRONG).await, tried(&server, &bob, WRONG).await);
    assert_eq!(form(&wrong), form(&none));
    // The fields are the same to the last byte, except those that count and tell the time.
    for (name, value) in &wrong.headers {
        if !matches!(name.as_str(), "x-request-id" | "date") {
            assert_eq!(none.headers.get(name), Some(value), "{name}");
        }
    }
    // The same for a code of an app and a recovery code, which neither of them has.
    for (method, code) in [("totp", "123456"), ("recovery", "00000-00000-00000-00000")] {
        let mut forms = Vec::new();
        for actor in [&ann, &bob] {
            let body = json!({ "method": method });
            let challenge = server.call(actor, "POST", "/v1/challenges", Some(&body)).await;
            let path =
                format!("/v1/challenges/{}:answer", challenge.json()["id"].as_str().unwrap());
            let answer = server.call(actor, "POST", &path, Some(&json!({ "code": code }))).await;
            forms.push((form(&challenge), form(&answer)));
        }
        assert_eq!(forms[0], forms[1], "{method}");
    }
}

/// The middle of some times.
fn median(mut times: Vec<u128>) -> u128 {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Statistical: the first answer of a login takes as long for a person without a password as for one with it. What differs would be a
/// lookup that is left out or a key that is not derived, tens of microseconds in some hundred; medians of interleaved runs differ by
/// far less. A busy machine may spoil a round, a leak spoils all.
#[test]
fn user_enumeration_by_timing_the_first_message_takes_as_long_for_nobody() {
    let secret = ServerSecret::new(&mut OsEntropy).unwrap();
    let person = PersonId::from_bytes([3; 16]);
    let begun = Registering::start(&typed(PASSWORD), &mut OsEntropy).unwrap();
    let response = tpw_access::factor::opaque::respond(&secret, &person, begun.request()).unwrap();
    let done = begun.finish(&typed(PASSWORD), &response, &mut OsEntropy).unwrap();
    let at = tpw_core::Instant::from_unix_ms(1).unwrap();
    let record = PasswordRecord::new(&done.upload, at).unwrap();
    let login = LoggingIn::start(&typed(WRONG), &mut OsEntropy).unwrap();
    let timed = |record: Option<&PasswordRecord>| {
        let context =
            Context { server: "https://pay.example", challenge: &[5; 16], purpose: "session" };
        let began = std::time::Instant::now();
        let made = tpw_access::factor::opaque::begin(
            &secret,
            &person,
            record,
            login.ke1(),
            context,
            &mut OsEntropy,
        );
        assert!(made.is_ok());
        began.elapsed().as_nanos()
    };
    let mut worst = Vec::new();
    for _round in 0..8 {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..150 {
            with.push(timed(Some(&record)));
            without.push(timed(None));
        }
        let (with, without) = (median(with), median(without));
        let apart = with.abs_diff(without) * 100 / with.max(without);
        if apart < 5 {
            return;
        }
        worst.push((with, without));
    }
    panic!("the medians differ by 5 % and more in every round: {worst:?}");
}

#[tokio::test]
async fn token_from_another_device_of_the_same_person() {
    let server = Server::start().await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "1000").await;
    let other = second_device(&server, &operator, &ann).await;
    let path = format!("/v1/accounts/{}", ann.account());
    let token = server.token(&ann).await;
    let proof = server.proof(&other, "GET", &path, Some(&token));
    let authorization = format!("DPoP {token}");
    let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
    let answer = server.send("GET", &path, &headers, Vec::new()).await;
    assert_eq!(
        (answer.problem().as_str(), answer.json()["reason"].as_str()),
        ("bad_token", Some("not_bound"))
    );
    assert_eq!(server.call(&other, "GET", &path, None).await.status, 200, "with its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn session_fixation_a_token_from_before_a_login_is_not_raised_by_it() {
    let server = Server::start().await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "0").await;
    set_password(&server, &ann).await;
    *ann.token.borrow_mut() = None;
    let before = server.token(&ann).await;
    let level = |answer: &Answer| answer.json()["acr"].as_str().unwrap().to_owned();
    let raised = tried(&server, &ann, PASSWORD).await;
    assert_eq!((raised.status.as_u16(), level(&raised).as_str()), (200, "aal2"));
    let given = raised.json()["token"]["access_token"].as_str().unwrap().to_owned();
    assert_ne!(given, before);
    // A factor may be changed by the session that was raised, and not by the token that was there before.
    let issue = || server.call(&ann, "POST", "/v1/factors/recovery:issue", None);
    let fixed = issue().await;
    assert_eq!(fixed.problem(), "insufficient_user_authentication", "{fixed:?}");
    *ann.token.borrow_mut() = Some(given);
    assert!(issue().await.status.is_success());
}

#[tokio::test]
async fn csrf_a_page_elsewhere_changes_nothing_with_the_browsers_cookies() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let (_, path) = scene.books.pushed(server, &[]).await;
    let browser = Browser::default();
    let page = browser.visit(server, &path).await;
    let code = code_on(&page).unwrap();
    let cookies = browser.0.borrow().join("; ");
    let actors = [&scene.ann, &scene.bob];
    let before = server.state(&scene.operator, &actors).await;
    // What a form on another page can send: three media types, this browser's cookies, and no field of its own.
    let payment = format!("/v1/payments/{}", "pay_01h455vb4pex5vsknk084sn02q");
    for target in [
        format!("/v1/grants/{code}:approve"),
        format!("/v1/grants/{code}:refuse"),
        "/v1/payments".to_owned(),
        format!("{payment}:step-up"),
        format!("{payment}:release"),
        "/v1/challenges".to_owned(),
        "/v1/factors/totp:start".to_owned(),
        "/v1/factors/passkeys:link".to_owned(),
        "/v1/delegations".to_owned(),
        "/v1/clients".to_owned(),
        "/v1/people".to_owned(),
        "/v1/tokens".to_owned(),
        "/oauth/token".to_owned(),
        "/oauth/revoke".to_owned(),
    ] {
        for media_type in
            ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"]
        {
            let headers = [
                ("cookie", cookies.as_str()),
                ("content-type", media_type),
                ("origin", "https://evil.example"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "no-cors"),
            ];
            let body = b"client=books.example&token=x&grant_type=client_credentials".to_vec();
            let answer = server.send("POST", &target, &headers, body).await;
            assert!(answer.status.is_client_error(), "{target} {media_type}: {answer:?}");
            assert!(answer.headers.get("set-cookie").is_none(), "{target}");
        }
        // And what a script there would have to ask for first.
        let preflight = [
            ("origin", "https://evil.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,dpop,content-type"),
        ];
        let answer = server.send("OPTIONS", &target, &preflight, Vec::new()).await;
        assert!(answer.header("access-control-allow-origin").is_none(), "{target}");
        assert!(!answer.status.is_success(), "{target}: {answer:?}");
    }
    assert_eq!(server.state(&scene.operator, &actors).await, before);
    assert_eq!(code_on(&browser.visit(server, &path).await), Some(code), "it still waits");
}

#[tokio::test]
async fn suffix_origin_an_address_that_only_ends_like_ours_is_not_ours() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let (_, address) = server.url.split_once("https://").unwrap();
    let path = format!("/v1/accounts/{}", scene.ann.account());
    let token = server.token(&scene.ann).await;
    for origin in [
        format!("https://bad{address}"),
        format!("https://{address}.evil.example"),
        format!("https://evil.example/{address}"),
        format!("https://evil.example@{address}"),
        format!("http://{address}"),
    ] {
        // A proof that was made for a server of such a name is none here.
        if let Ok(url) = HttpUrl::parse(&format!("{origin}{path}")) {
            let now = server.clock.now();
            let request = tpw_access::DpopRequest {
                method: "GET",
                url: &url,
                access_token: Some(&token),
                now,
            };
            let Actor { slots, slot, .. } = &scene.ann;
            let proof = tpw_access::dpop::make(slots, slot, &request, &mut OsEntropy).unwrap();
            let authorization = format!("DPoP {token}");
            let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
            let answer = server.send("GET", &path, &headers, Vec::new()).await;
            assert_eq!(answer.problem(), "bad_proof", "{origin}");
        }
        let headers = [("origin", origin.as_str())];
        let answer = server.send("GET", "/livez", &headers, Vec::new()).await;
        assert!(answer.header("access-control-allow-origin").is_none(), "{origin}");
    }
    for uri in ["https://badbooks.example/cb", "https://books.example.evil.example/cb"] {
        let form = [
            ("response_type", "code"),
            ("redirect_uri", uri),
            ("scope", "balance:read"),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
        ];
        let answer = scene.books.ask(server, "/oauth/par", None, &form).await;
        assert_eq!(answer.json()["error"], "invalid_request", "{uri}");
    }
}

#[tokio::test]
async fn oversized_passwords_reach_no_hash() {
    let server = Server::start().await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "0").await;
    // The device takes none; what goes to the server has one length, whatever was typed.
    assert!(Password::prepare(&"x".repeat(129)).is_err());
    assert!(Password::prepare(&"x".repeat(1 << 20)).is_err());
    for length in [0, 95, 97, 8_192] {
        let body = json!({ "method": "password", "data": encode(&vec![7; length]) });
        let answer = server.call(&ann, "POST", "/v1/challenges", Some(&body)).await;
        assert_eq!(answer.problem(), "factor_form", "{length}");
    }
    let body = json!({ "method": "password", "data": encode(&vec![7; 1 << 20]) });
    let answer = server.call(&ann, "POST", "/v1/challenges", Some(&body)).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (413, "body_too_large"));
    // None of it was an attempt.
    set_password(&server, &ann).await;
    assert_eq!(tried(&server, &ann, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn deep_json_is_refused_by_every_reader_of_bodies() {
    let server = Server::start().await;
    let operator = server.operator();
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    server.recognise(&operator).await;
    for path in [
        "/v1/challenges",
        "/v1/factors/totp:confirm",
        "/v1/delegations",
        "/v1/clients",
        "/v1/people",
        "/v1/people:batch",
        "/v1/policies:activate",
        "/v1/transfers:batch",
    ] {
        for body in [deep(200), deep(5_000), nested(200), nested(2_000)] {
            let token = server.token(&operator).await;
            let proof = server.proof(&operator, "POST", path, Some(&token));
            let authorization = format!("DPoP {token}");
            let headers = [
                ("authorization", authorization.as_str()),
                ("dpop", proof.as_str()),
                ("content-type", "application/json"),
            ];
            let answer = server.send("POST", path, &headers, body.into_bytes()).await;
            assert_eq!(
                (answer.status.as_u16(), answer.problem().as_str()),
                (400, "bad_json"),
                "{path}"
            );
        }
    }
    // A value of any form inside a body that is read: a client's keys.
    let body = format!(
        r#"{{"id":"deep.example","name":"D","scopes":["balance:read"],"grants":["client_credentials"],"jwks":{}}}"#,
        nested(120)
    );
    let body: Value = serde_json::from_str(&body).unwrap();
    let answer = server.call(&operator, "POST", "/v1/clients", Some(&body)).await;
    assert!(answer.status.is_client_error(), "{answer:?}");
}

#[tokio::test]
async fn revoked_device_mid_payment() {
    let server = Server::start().await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "90000000").await;
    let bob = server.person(&operator, "Bob", "0").await;
    let (waiting, answer) = server.pay(&ann, bob.account(), 150_000).await;
    assert_eq!(answer.problem(), "step_up_required");
    let proof = ann.step_up(&server, waiting.id, waiting.hash);
    // Signed before, sent afterwards: both the next payment and the word for the one that waits.
    server.clock.advance(Span::from_secs(1));
    let next = server.sign(&ann, server.intent(&ann, bob.account(), 1));
    let path = format!("/v1/devices/{}", ann.device.unwrap());
    assert_eq!(server.call(&operator, "DELETE", &path, None).await.status, 200);
    assert_eq!(server.submit(&next).await.problem(), "device_revoked");
    let path = format!("/v1/payments/{}:step-up", waiting.id);
    let refused = server.post_json(&path, &[], &json!({ "proof": proof })).await;
    assert_eq!(refused.problem(), "device_revoked");
    let proof = server.proof(&ann, "POST", "/v1/tokens", None);
    let token = server.send("POST", "/v1/tokens", &[("dpop", &proof)], Vec::new()).await;
    assert_eq!(token.problem(), "device_revoked");
    let account = format!("/v1/accounts/{}", bob.account());
    let balance = server.call(&operator, "GET", &account, None).await;
    assert_eq!(balance.json()["available"], "0", "nothing arrived");
}

#[test]
fn the_table_of_abuses_names_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/reference/abuse.md")).unwrap();
    let mut named = 0;
    for cell in page.split('`').filter(|cell| cell.contains(".rs::")) {
        let (file, test) = cell.split_once("::").unwrap();
        let source = std::fs::read_to_string(root.join("crates").join(file));
        let source = source.unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("fn {test}()")), "{file} has no test `{test}`");
        named += 1;
    }
    assert!(named > 30, "{named}");
}
