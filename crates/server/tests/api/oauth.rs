//! Goal: clients read what people delegated to them, for as long as it stands, and nothing else; nobody gets a code or token that was
//! meant for another. Method: a client of our own with keys of its own, and a browser that keeps cookies, against a real server; then
//! each known attack on the code flow, by its name.

use crate::oauth_scene::{
    ACCESS_TOKEN, Browser, CALLBACK, EXCHANGE, Program, Scene, code_on, drawn, encoded, path_of,
    sent_to, slot, text, value,
};
use crate::support::{Answer, Server, limits};
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use std::cell::RefCell;
use tpw_access::oauth::{Narrowing, Scopes, narrowing};
use tpw_core::{Hash32, Span};
use tpw_crypto::Signer as _;
use tpw_engines::clock::Clock as _;
use tpw_server::Rate;

/// RFC 6749 §5.2.
fn error(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let json = answer.json();
    assert!(json["error_description"].is_string(), "{json}");
    (answer.status.as_u16(), text(&json, "error").to_owned())
}

fn invalid_grant() -> (u16, String) {
    (400, "invalid_grant".to_owned())
}

/// An answer with what differs from run to run replaced by its name.
fn shown(answer: &Answer, members: &[&str]) -> Value {
    let mut shown = answer.shown();
    for member in members {
        for pointer in [format!("/body/{member}"), format!("/body/items/0/{member}")] {
            if let Some(value) = shown.pointer_mut(&pointer) {
                *value = format!("[{member}]").into();
            }
        }
    }
    shown
}

#[tokio::test]
async fn clients_are_entered_listed_and_removed_by_the_operator() {
    let scene = Scene::set().await;
    let (server, operator) = (&scene.server, &scene.operator);
    let other = Program::new("other.example");
    server.recognise(operator).await;
    let enter = |body: Value| async move {
        server.call(operator, "POST", "/v1/clients", Some(&body)).await
    };
    let added = enter(other.registration()).await;
    assert_json_snapshot!("client", shown(&added, &["keys"]));
    assert_eq!(enter(other.registration()).await.status, 200, "the same once more");
    let mut changed = other.registration();
    changed["name"] = "Evil".into();
    assert_eq!(enter(changed).await.problem(), "id_in_use");
    for (member, bad) in [
        ("id", json!("Books")),
        ("name", json!("")),
        ("redirect_uris", json!(["http://books.example/cb"])),
        ("redirect_uris", json!([])),
        ("scopes", json!(["openid"])),
        ("grants", json!(["implicit"])),
        ("grants", json!(["refresh_token"])),
        ("jwks", json!({ "keys": [] })),
    ] {
        let mut body = Program::new("third.example").registration();
        body[member] = bad.clone();
        assert_eq!(enter(body).await.problem(), "bad_value", "{member} {bad}");
    }
    let listed = server.call(operator, "GET", "/v1/clients?limit=1", None).await;
    assert_json_snapshot!("clients", shown(&listed, &["keys"]));
    let path = format!("/v1/clients/{}", other.id);
    let removed = server.call(operator, "DELETE", &path, None).await;
    assert_json_snapshot!("client_removed", shown(&removed, &["keys"]));
    assert_eq!(server.call(operator, "DELETE", &path, None).await.status, 200);
    assert_eq!(enter(other.registration()).await.problem(), "id_in_use", "used once for ever");
    for (method, path) in [("GET", "/v1/clients"), ("POST", "/v1/client_keys"), ("DELETE", &path)] {
        assert_eq!(server.call(&scene.ann, method, path, None).await.problem(), "forbidden");
    }
    let gone = server.call(operator, "DELETE", "/v1/clients/nobody", None).await;
    assert_eq!(gone.problem(), "unknown_client");
}

#[tokio::test]
async fn a_client_reads_what_was_delegated_until_it_is_taken_back() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    let (_, paid) = server.pay(&scene.ann, scene.bob.account(), 100).await;
    let payment = format!("/v1/payments/{}", text(&paid.json(), "id"));
    let token = books.own_token(server).await;
    let (balance, statement) =
        (scene.balance_path(), format!("{}/statement", scene.balance_path()));
    for path in [&balance, &statement] {
        assert_eq!(books.get(server, path, &token).await.problem(), "unknown_account");
    }
    let made = scene.delegated(&["balance:read", "payments:read"]).await;
    assert_json_snapshot!("delegation", shown(&made, &["id"]));
    let read = books.get(server, &balance, &token).await;
    assert_eq!((read.status.as_u16(), text(&read.json(), "available")), (200, "99900"));
    assert_eq!(books.get(server, &payment, &token).await.status, 200);
    assert_eq!(books.get(server, &format!("{payment}/receipt"), &token).await.status, 200);
    assert_eq!(books.get(server, &statement, &token).await.problem(), "unknown_account");
    let others = books.get(server, &path_of(scene.bob.account()), &token).await;
    assert_eq!(others.problem(), "unknown_account");
    let listed = server.call(&scene.ann, "GET", "/v1/delegations", None).await;
    assert_json_snapshot!("delegations", shown(&listed, &["id"]));
    let id = text(&made.json(), "id").to_owned();
    let path = format!("/v1/delegations/{id}");
    assert_eq!(server.call(&scene.bob, "DELETE", &path, None).await.problem(), "not_found");
    let gone = server.call(&scene.ann, "DELETE", &path, None).await;
    assert_json_snapshot!("delegation_taken_back", shown(&gone, &["id"]));
    assert_eq!(books.get(server, &balance, &token).await.problem(), "unknown_account");
    assert_eq!(server.call(&scene.ann, "DELETE", &path, None).await.problem(), "not_found");
}

#[tokio::test]
async fn a_delegation_ends_by_itself() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    scene.delegated(&["balance:read"]).await;
    let token = books.own_token(server).await;
    assert_eq!(books.get(server, &scene.balance_path(), &token).await.status, 200);
    server.clock.advance(Span::from_secs(3600));
    let token = books.own_token(server).await;
    let late = books.get(server, &scene.balance_path(), &token).await;
    assert_eq!(late.problem(), "unknown_account");
}

#[tokio::test]
async fn another_person_reads_what_was_delegated_to_them() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let path = scene.balance_path();
    let who = &scene.bob;
    let bob = |path: String| async move { server.call(who, "GET", &path, None).await };
    assert_eq!(bob(path.clone()).await.problem(), "unknown_account");
    let body = json!({
        "person": scene.bob.person.unwrap().to_string(), "accounts": [scene.ann.account().to_string()],
        "scopes": ["balance:read"], "until": scene.until(60),
    });
    let made = server.call(&scene.ann, "POST", "/v1/delegations", Some(&body)).await;
    assert_eq!(made.status, 201);
    assert_eq!(bob(path.clone()).await.status, 200);
    assert_eq!(bob(format!("{path}/statement")).await.problem(), "unknown_account");
    assert_eq!(bob(format!("{path}/guards")).await.problem(), "unknown_account");
}

#[tokio::test]
async fn nobody_delegates_what_is_not_theirs() {
    let scene = Scene::set().await;
    let right = json!({
        "client": scene.books.id, "accounts": [scene.ann.account().to_string()],
        "scopes": ["balance:read"], "until": scene.until(60),
    });
    let bob = scene.bob.account().to_string();
    for (member, bad, code) in [
        ("accounts", json!([bob]), "unknown_account"),
        ("accounts", json!([]), "bad_value"),
        ("client", json!("nobody"), "unknown_client"),
        ("client", json!(null), "bad_value"),
        ("person", json!(scene.bob.person.unwrap().to_string()), "bad_value"),
        ("scopes", json!([]), "bad_value"),
        ("scopes", json!(["payments:write"]), "bad_value"),
        ("until", json!(scene.until(0)), "bad_value"),
        ("until", json!(scene.until(367 * 86_400)), "bad_value"),
    ] {
        let mut body = right.clone();
        body[member] = bad.clone();
        let answer = scene.server.call(&scene.ann, "POST", "/v1/delegations", Some(&body)).await;
        assert_eq!(answer.problem(), code, "{member} {bad}");
    }
}

#[tokio::test]
async fn a_clients_token_opens_no_other_door() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    scene.delegated(&["balance:read", "payments:read", "statements:read"]).await;
    let token = books.own_token(server).await;
    let account = scene.balance_path();
    for (method, path) in [
        ("GET", "/v1/accounts".to_owned()),
        ("GET", format!("{account}/guards")),
        ("GET", format!("{account}/balance")),
        ("GET", format!("{account}/chain")),
        ("GET", "/v1/delegations".to_owned()),
        ("GET", "/v1/clients".to_owned()),
        ("GET", "/v1/holds".to_owned()),
        ("GET", format!("/v1/people/{}", scene.ann.person.unwrap())),
        ("GET", "/v1/grants/K7QM-4T2X".to_owned()),
        ("POST", "/v1/delegations".to_owned()),
    ] {
        let answer = books.call(server, method, &path, &token, "dpop").await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (401, "bad_token"),
            "{path}"
        );
    }
    // Nor does a device's session anything at the authorization server.
    let session = server.token(&scene.ann).await;
    let told = books.ask(server, "/oauth/introspect", None, &[("token", &session)]).await;
    assert_eq!(told.json(), json!({ "active": false }));
    let exchange = [
        ("grant_type", EXCHANGE),
        ("subject_token", session.as_str()),
        ("subject_token_type", ACCESS_TOKEN),
        ("resource", "x"),
    ];
    let answer = books.token(server, &exchange).await;
    assert_eq!(error(&answer), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn a_stolen_token_is_worth_nothing() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    scene.delegated(&["balance:read"]).await;
    let (path, token) = (scene.balance_path(), books.own_token(server).await);
    assert_eq!(books.get_with(server, &path, &token, "other").await.problem(), "bad_token");
    let bare = format!("Bearer {token}");
    let answer = server.send("GET", &path, &[("authorization", &bare)], Vec::new()).await;
    assert_eq!(answer.problem(), "unauthenticated");
    // A proof is used once.
    let proof = books.proof(server, "dpop", "GET", &path, Some(&token));
    let authorization = format!("DPoP {token}");
    let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
    assert_eq!(server.send("GET", &path, &headers, Vec::new()).await.status, 200);
    assert_eq!(server.send("GET", &path, &headers, Vec::new()).await.problem(), "bad_proof");
}

#[tokio::test]
async fn a_client_that_does_not_prove_itself_learns_nothing() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let stranger = Program::new("stranger.example");
    let impostor = Program::new("books.example");
    let mut answers = Vec::new();
    for program in [&stranger, &impostor] {
        let form = [("grant_type", "client_credentials")];
        let answer = program.token(server, &form).await;
        assert_eq!(error(&answer), (401, "invalid_client".to_owned()));
        answers.push(answer.body.clone());
    }
    assert_eq!(answers[0], answers[1], "the answer does not tell who is registered");
    // An assertion works once; a secret, or nothing, is none.
    let form = |assertion: &str| {
        encoded(&[
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
            ("token", "x"),
        ])
    };
    let once = form(&scene.books.assertion(server));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let send = |body: String| async move {
        server.send("POST", "/oauth/introspect", &headers, body.into_bytes()).await
    };
    assert_eq!(send(once.clone()).await.status, 200);
    for body in [once, form("x"), "client_id=books.example&client_secret=x&token=x".to_owned()] {
        assert_eq!(error(&send(body).await), (401, "invalid_client".to_owned()));
    }
    let json = server.post_json("/oauth/token", &[], &json!({})).await;
    assert_eq!(error(&json), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn tokens_are_bound_to_a_key_and_to_what_the_client_may() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    let form = [("grant_type", "client_credentials")];
    let unbound = books.ask(server, "/oauth/token", None, &form).await;
    assert_eq!(error(&unbound), (400, "invalid_dpop_proof".to_owned()));
    for (grant, code) in
        [("password", "unsupported_grant_type"), ("implicit", "unsupported_grant_type")]
    {
        let answer = books.token(server, &[("grant_type", grant)]).await;
        assert_eq!(error(&answer), (400, code.to_owned()));
    }
    let more = [("grant_type", "client_credentials"), ("scope", "payments:write")];
    assert_eq!(error(&books.token(server, &more).await), (400, "invalid_scope".to_owned()));
    let mut narrow = Program::new("narrow.example").registration();
    narrow["grants"] = json!(["client_credentials"]);
    narrow["redirect_uris"] = json!([]);
    let program = Program::new("narrow.example");
    narrow["jwks"] = program.registration()["jwks"].clone();
    server.recognise(&scene.operator).await;
    assert_eq!(
        server.call(&scene.operator, "POST", "/v1/clients", Some(&narrow)).await.status,
        201
    );
    let answer =
        program.token(server, &[("grant_type", "refresh_token"), ("refresh_token", "x")]).await;
    assert_eq!(error(&answer), (400, "unauthorized_client".to_owned()));
    let answer = program.ask(server, "/oauth/par", None, &[("response_type", "code")]).await;
    assert_eq!(error(&answer), (400, "unauthorized_client".to_owned()));
    // Less than what was delegated, if the client asks for less.
    scene.delegated(&["balance:read", "statements:read"]).await;
    let less = [("grant_type", "client_credentials"), ("scope", "statements:read")];
    let token = books.token(server, &less).await.json();
    let refused = books.get(server, &scene.balance_path(), text(&token, "access_token")).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (403, "insufficient_scope"));
    let challenge = r#"DPoP error="insufficient_scope", scope="balance:read""#;
    assert_eq!(refused.header("www-authenticate"), Some(challenge));
}

#[tokio::test]
async fn a_client_proves_itself_otherwise_once_the_operator_says_so() {
    let scene = Scene::set().await;
    let (server, operator, old) = (&scene.server, &scene.operator, &scene.books);
    let path = format!("/v1/clients/{}/credentials", old.id);
    let jwks = |program: &Program| program.registration()["jwks"].clone();
    let put = async |body: Value| {
        server.recognise(operator).await;
        server.call(operator, "PUT", &path, Some(&body)).await
    };
    let own = [("grant_type", "client_credentials")];
    let works = async |program: &Program| program.token(server, &own).await.status == 200;
    let (second, third) = (Program::new(&old.id), Program::new(&old.id));
    assert!(works(old).await && !works(&second).await);

    // With an overlap both count until it ends.
    let overlap = json!({ "jwks": jwks(&second), "former_until": scene.until(3600) });
    let changed = put(overlap.clone()).await;
    assert_json_snapshot!("client_credentials", {
        let mut shown = shown(&changed, &["keys"]);
        shown["body"]["former"]["known_by"] = "[former]".into();
        shown["body"]["former"]["until"] = "[time]".into();
        shown
    });
    assert_eq!(put(overlap).await.status, 200, "the same once more");
    assert!(works(old).await && works(&second).await);
    server.clock.advance(Span::from_secs(3600));
    assert!(!works(old).await && works(&second).await, "the overlap has ended");
    // An overlap can be ended early, and without one the key before is refused at once.
    let overlap = json!({ "jwks": jwks(&third), "former_until": scene.until(3600) });
    assert_eq!(put(overlap).await.status, 200);
    assert!(works(&second).await && works(&third).await);
    assert_eq!(put(json!({ "jwks": jwks(&third) })).await.json()["former"], Value::Null);
    assert!(!works(&second).await && works(&third).await);
    assert_eq!(put(json!({ "jwks": jwks(&second) })).await.status, 200);
    assert!(works(&second).await && !works(&third).await);
    let refused = third.token(server, &own).await;
    assert_eq!(error(&refused), (401, "invalid_client".to_owned()));

    let day = 24 * 3600;
    for (bad, why) in [
        (json!({}), "nothing"),
        (json!({ "jwks": { "keys": [] } }), "no key"),
        (json!({ "jwks": jwks(&third), "tls_client_auth_san_dns": "x.example" }), "two ways"),
        (json!({ "tls_client_auth_san_dns": "a.example", "tls_client_auth_san_uri": "x:y" }), "2"),
        (json!({ "jwks": jwks(&third), "former_until": scene.until(0) }), "now"),
        (json!({ "jwks": jwks(&third), "former_until": scene.until(31 * day) }), "too long"),
        (json!({ "jwks": jwks(&second), "former_until": scene.until(9) }), "the same"),
        (json!({ "jwks": jwks(&third), "secret": "x" }), "a secret"),
    ] {
        let answer = put(bad).await;
        assert!(
            ["bad_value", "bad_json"].contains(&answer.problem().as_str()),
            "{why}: {answer:?}"
        );
    }
    assert!(works(&second).await && !works(&third).await, "what is refused changes nothing");
    let by_ann =
        server.call(&scene.ann, "PUT", &path, Some(&json!({ "jwks": jwks(&third) }))).await;
    assert_eq!(by_ann.problem(), "forbidden");
    // It stands in the records as what it was about.
    let query = format!("/v1/decisions?resource={}&action=manage_clients&limit=250", old.id);
    let decisions = server.call(operator, "GET", &query, None).await.json();
    let rulings = decisions["items"].as_array().unwrap().iter().map(|it| it["ruling"].clone());
    assert_eq!(rulings.clone().filter(|ruling| ruling == "denied").count(), 1, "{decisions}");
    assert!(rulings.filter(|ruling| ruling == "allowed").count() > 5);

    let gone = server.call(operator, "DELETE", &format!("/v1/clients/{}", old.id), None).await;
    assert_eq!(gone.status, 200, "{gone:?}");
    assert_eq!(put(json!({ "jwks": jwks(&third) })).await.problem(), "unknown_client");
    assert!(!works(&second).await && !works(&third).await);
}

#[tokio::test]
async fn a_removed_clients_tokens_end_with_the_next_request() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    scene.delegated(&["balance:read"]).await;
    let token = books.own_token(server).await;
    assert_eq!(books.get(server, &scene.balance_path(), &token).await.status, 200);
    let path = format!("/v1/clients/{}", books.id);
    server.recognise(&scene.operator).await;
    assert_eq!(server.call(&scene.operator, "DELETE", &path, None).await.status, 200);
    assert_eq!(books.get(server, &scene.balance_path(), &token).await.problem(), "bad_token");
    let again = books.token(server, &[("grant_type", "client_credentials")]).await;
    assert_eq!(error(&again), (401, "invalid_client".to_owned()));
}

#[tokio::test]
async fn tokens_are_introspected_and_revoked_by_their_own_client_alone() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    let other = Program::entered("other.example", server, &scene.operator).await;
    scene.delegated(&["balance:read"]).await;
    let token = books.own_token(server).await;
    let about = |program: &'static str, token: String| {
        let program = if program == "books" { books } else { &other };
        async move { program.ask(server, "/oauth/introspect", None, &[("token", &token)]).await.json() }
    };
    let told = about("books", token.clone()).await;
    assert_eq!(told["active"], true);
    assert_eq!((text(&told, "client_id"), text(&told, "sub")), ("books.example", "books.example"));
    assert_eq!(text(&told, "iss"), server.url);
    assert!(told["cnf"]["jkt"].is_string());
    let inactive = json!({ "active": false });
    assert_eq!(about("other", token.clone()).await, inactive);
    let revoke = [("token", token.as_str())];
    assert_eq!(other.ask(server, "/oauth/revoke", None, &revoke).await.status, 200);
    assert_eq!(about("books", token.clone()).await["active"], true, "not theirs to end");
    assert_eq!(books.ask(server, "/oauth/revoke", None, &revoke).await.status, 200);
    assert_eq!(about("books", token.clone()).await, inactive);
    assert_eq!(books.get(server, &scene.balance_path(), &token).await.problem(), "bad_token");
    let next = books.own_token(server).await;
    assert_eq!(books.get(server, &scene.balance_path(), &next).await.status, 200);
    assert_eq!(books.ask(server, "/oauth/revoke", None, &[("token", "x")]).await.status, 200);
}

#[tokio::test]
async fn the_server_describes_itself_and_its_keys_through_a_rotation() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let metadata = server.get("/.well-known/oauth-authorization-server").await;
    assert_json_snapshot!("metadata", metadata.shown());
    let published = || async {
        let jwks = server.get("/oauth/jwks").await.json();
        let kids = jwks["keys"].as_array().unwrap().iter().map(|key| {
            assert!(key.get("d").is_none());
            text(key, "kid").to_owned()
        });
        kids.collect::<Vec<_>>()
    };
    let first = published().await;
    assert_eq!(first.len(), 1);
    scene.delegated(&["balance:read"]).await;
    server.clock.advance(Span::from_secs(400));
    let token = scene.books.own_token(server).await;
    // The operator's session has ended meanwhile.
    *scene.operator.token.borrow_mut() = None;
    server.recognise(&scene.operator).await;
    let rotate = || server.call(&scene.operator, "POST", "/v1/client_keys", None);
    let rotated = rotate().await;
    assert_json_snapshot!("client_keys", shown(&rotated, &["keys"]));
    let second = published().await;
    assert_eq!((second.len(), &second[0]), (2, &first[0]));
    rotate().await;
    assert_eq!(published().await, second, "once in the life of a token");
    assert_eq!(scene.books.get(server, &scene.balance_path(), &token).await.status, 200);
    server.clock.advance(Span::from_secs(300));
    assert_eq!(published().await, second[1..]);
    let late = scene.books.get(server, &scene.balance_path(), &token).await;
    assert_eq!(late.problem(), "bad_token");
}

#[tokio::test]
async fn the_code_flow_ends_where_the_person_wanted() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    let (verifier, path) = books.pushed(server, &[]).await;
    let browser = Browser::default();
    let page = browser.visit(server, &path).await;
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(html.contains("Books &amp; Co (books.example)"), "{html}");
    assert!(!html.contains("<script"), "{html}");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'none'"));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let code = code_on(&page).unwrap();
    assert_eq!(browser.code(server, &path).await, code, "the same page again");
    let asked = server.call(&scene.ann, "GET", &format!("/v1/grants/{code}"), None).await;
    assert_json_snapshot!("grant_asked", asked.shown());
    let approved = scene.approve(&code.to_lowercase()).await;
    assert_json_snapshot!("grant_approved", approved.shown());
    let (address, pairs) = sent_to(&browser.visit(server, &path).await);
    assert_eq!(address, CALLBACK);
    assert_eq!(value(&pairs, "iss"), Some(server.url.as_str()));
    assert_eq!(value(&pairs, "state"), Some("s&t"));
    let answer = books.redeemed(server, value(&pairs, "code").unwrap(), &verifier).await.json();
    assert_eq!(text(&answer, "scope"), "balance:read statements:read");
    assert_eq!(answer["accounts"], json!([scene.ann.account().to_string()]));
    let token = text(&answer, "access_token");
    assert_eq!(books.get(server, &scene.balance_path(), token).await.status, 200);
    let statement = format!("{}/statement?limit=1", scene.balance_path());
    assert_eq!(books.get(server, &statement, token).await.status, 200);
    let others = books.get(server, &path_of(scene.bob.account()), token).await;
    assert_eq!(others.problem(), "unknown_account");
    // What the person gave in this flow can be taken back like anything else that was delegated.
    let listed = server.call(&scene.ann, "GET", "/v1/delegations", None).await.json();
    let path = format!("/v1/delegations/{}", text(&listed["items"][0], "id"));
    assert_eq!(server.call(&scene.ann, "DELETE", &path, None).await.status, 200);
    assert_eq!(books.get(server, &scene.balance_path(), token).await.problem(), "bad_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", text(&answer, "refresh_token"))];
    assert_eq!(error(&books.token(server, &form).await), invalid_grant());
}

#[tokio::test]
async fn a_refusal_goes_back_as_one() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let (_, path) = scene.books.pushed(server, &[]).await;
    let browser = Browser::default();
    let code = browser.code(server, &path).await;
    let refuse = format!("/v1/grants/{code}:refuse");
    let refused = server.call(&scene.ann, "POST", &refuse, Some(&json!({}))).await;
    assert_json_snapshot!("grant_refused", refused.shown());
    let (address, pairs) = sent_to(&browser.visit(server, &path).await);
    assert_eq!((address.as_str(), value(&pairs, "error")), (CALLBACK, Some("access_denied")));
    assert_eq!(value(&pairs, "iss"), Some(server.url.as_str()));
    assert_eq!(browser.visit(server, &path).await.status, 400, "the answer is given once");
    assert_eq!(scene.approve(&code).await.problem(), "unknown_grant");
}

#[tokio::test]
async fn session_fixation_and_csrf_the_answer_is_for_the_browser_that_began() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let (_, path) = scene.books.pushed(server, &[]).await;
    let (attacker, victim) = (Browser::default(), Browser::default());
    let code = attacker.code(server, &path).await;
    let page = victim.visit(server, &path).await;
    assert_eq!((page.status.as_u16(), code_on(&page)), (400, None), "another browser gets no page");
    assert_eq!(scene.approve(&code).await.status, 200);
    assert_eq!(victim.visit(server, &path).await.status, 400, "nor the answer");
    let forged = Browser(RefCell::new(vec![format!("__Host-tpw-authorize={}", drawn())]));
    assert_eq!(forged.visit(server, &path).await.status, 400);
    assert_eq!(sent_to(&attacker.visit(server, &path).await).0, CALLBACK);
}

#[tokio::test]
async fn open_redirect_what_was_not_pushed_sends_nobody_anywhere() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let (_, path) = scene.books.pushed(server, &[]).await;
    let urn = "urn:ietf:params:oauth:request_uri:x";
    for path in [
        "/oauth/authorize".to_owned(),
        format!("/oauth/authorize?client_id=books.example&request_uri={urn}"),
        format!(
            "/oauth/authorize?client_id=books.example&response_type=code&redirect_uri={CALLBACK}"
        ),
        "/oauth/authorize?client_id=books.example&redirect_uri=https://evil.example".to_owned(),
        "/oauth/authorize?request_uri=https://evil.example/request".to_owned(),
        path.replace("client_id=books.example", "client_id=other.example"),
        path.replace("client_id=books.example&", ""),
        format!("{path}&request_uri={urn}"),
    ] {
        let page = Browser::default().visit(server, &path).await;
        assert_eq!((page.status.as_u16(), page.header("location")), (400, None), "{path}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    }
    // More in the address than was pushed changes nothing.
    let (_, path) = scene.books.pushed(server, &[]).await;
    let browser = Browser::default();
    let tricked = format!("{path}&redirect_uri=https%3A%2F%2Fevil.example&state=evil");
    let code = browser.code(server, &tricked).await;
    scene.approve(&code).await;
    let (address, pairs) = sent_to(&browser.visit(server, &tricked).await);
    assert_eq!((address.as_str(), value(&pairs, "state")), (CALLBACK, Some("s&t")));
}

#[tokio::test]
async fn redirect_address_tricks_are_refused_when_they_are_pushed() {
    let scene = Scene::set().await;
    for trick in [
        "https://books.example/cb/../evil",
        "https://books.example/cb/%2e%2e/evil",
        "https://user@books.example/cb",
        "https://books.example@evil.example/cb",
        "https://books.example.evil.example/cb",
        "https://books.example:444/cb",
        "https://books.example/cb#fragment",
        "https://books.example/cb?more=1",
        "https://books.example/cb/",
        "http://books.example/cb",
    ] {
        let form = [
            ("response_type", "code"),
            ("redirect_uri", trick),
            ("scope", "balance:read"),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
        ];
        let answer = scene.books.ask(&scene.server, "/oauth/par", None, &form).await;
        assert_eq!(error(&answer), (400, "invalid_request".to_owned()), "{trick}");
    }
}

#[tokio::test]
async fn pkce_downgrade_is_refused_and_a_code_needs_its_verifier() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let base = [("response_type", "code"), ("redirect_uri", CALLBACK), ("scope", "balance:read")];
    for more in [
        &[][..],
        &[("code_challenge", challenge)],
        &[("code_challenge", challenge), ("code_challenge_method", "plain")],
        &[("code_challenge_method", "S256")],
    ] {
        let answer = books.ask(server, "/oauth/par", None, &[&base, more].concat()).await;
        assert_eq!(error(&answer), (400, "invalid_request".to_owned()), "{more:?}");
    }
    let (verifier, code) = scene.code().await;
    assert_eq!(error(&books.redeemed(server, &code, &drawn()).await), invalid_grant());
    let none = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK)];
    assert_eq!(error(&books.token(server, &none).await), invalid_grant());
    assert_eq!(books.redeemed(server, &code, &verifier).await.status, 200);
}

#[tokio::test]
async fn code_injection_a_code_is_for_its_client_and_key() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    let other = Program::entered("other.example", server, &scene.operator).await;
    let (verifier, code) = scene.code().await;
    assert_eq!(error(&other.redeemed(server, &code, &verifier).await), invalid_grant());
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", &verifier),
    ];
    let stolen = books.ask(server, "/oauth/token", Some("other"), &form).await;
    assert_eq!(error(&stolen), invalid_grant(), "the code is for the key that pushed");
    assert_eq!(books.redeemed(server, &code, &verifier).await.status, 200);
    let (verifier, code) = scene.code().await;
    server.clock.advance(Span::from_secs(60));
    assert_eq!(error(&books.redeemed(server, &code, &verifier).await), invalid_grant());
}

#[tokio::test]
async fn code_replay_ends_the_tokens_of_that_code() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    let (verifier, code) = scene.code().await;
    let answer = books.redeemed(server, &code, &verifier).await.json();
    let (access, refresh) = (text(&answer, "access_token"), text(&answer, "refresh_token"));
    assert_eq!(books.get(server, &scene.balance_path(), access).await.status, 200);
    assert_eq!(error(&books.redeemed(server, &code, &verifier).await), invalid_grant());
    assert_eq!(books.get(server, &scene.balance_path(), access).await.problem(), "bad_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    assert_eq!(error(&books.token(server, &form).await), invalid_grant());
    let listed = server.call(&scene.ann, "GET", "/v1/delegations", None).await.json();
    assert_eq!(listed["items"], json!([]), "the approval has ended with it");
}

#[tokio::test]
async fn an_approval_is_for_the_tokens_of_its_request_alone() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    let approved = scene.tokens().await;
    let path = scene.balance_path();
    let answer = books.get(server, &path, text(&approved, "access_token")).await;
    assert_eq!(answer.status, 200);
    let own = books.own_token(server).await;
    assert_eq!(books.get(server, &path, &own).await.problem(), "unknown_account");
}

#[tokio::test]
async fn a_reused_refresh_token_ends_its_family() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    let first = scene.tokens().await;
    let refreshed = |token: String| async move {
        books.token(server, &[("grant_type", "refresh_token"), ("refresh_token", &token)]).await
    };
    let old = text(&first, "refresh_token").to_owned();
    let second = refreshed(old.clone()).await.json();
    let (access, newest) = (text(&second, "access_token"), text(&second, "refresh_token"));
    assert_ne!(newest, old);
    assert_eq!(books.get(server, &scene.balance_path(), access).await.status, 200);
    let about = books.ask(server, "/oauth/introspect", None, &[("token", newest)]).await.json();
    assert_eq!(about["active"], true);
    assert_eq!(error(&refreshed(old).await), invalid_grant());
    assert_eq!(error(&refreshed(newest.to_owned()).await), invalid_grant(), "the family has ended");
    assert_eq!(books.get(server, &scene.balance_path(), access).await.problem(), "bad_token");
}

#[tokio::test]
async fn a_code_and_a_refresh_token_are_taken_exactly_once_at_the_same_moment() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    let (verifier, code) = scene.code().await;
    let redeem = || books.redeemed(server, &code, &verifier);
    let (a, b, c) = tokio::join!(redeem(), redeem(), redeem());
    let won = [a, b, c].iter().filter(|answer| answer.status == 200).count();
    assert!(won <= 1, "{won} got tokens for one code");
}

#[tokio::test]
async fn a_person_ends_a_family_by_revoking_and_less_can_be_asked_for() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    let first = scene.tokens().await;
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&first, "refresh_token")),
        ("scope", "balance:read"),
    ];
    let second = books.token(server, &form).await.json();
    assert_eq!(text(&second, "scope"), "balance:read");
    let statement = format!("{}/statement", scene.balance_path());
    let access = text(&second, "access_token");
    assert_eq!(books.get(server, &statement, access).await.problem(), "insufficient_scope");
    let revoke = [("token", text(&second, "refresh_token"))];
    assert_eq!(books.ask(server, "/oauth/revoke", None, &revoke).await.status, 200);
    for token in [text(&first, "access_token"), access] {
        assert_eq!(books.get(server, &scene.balance_path(), token).await.problem(), "bad_token");
    }
}

#[tokio::test]
async fn an_exchanged_token_is_good_for_less() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    scene.delegated(&["balance:read", "statements:read"]).await;
    let to_bob = json!({
        "client": books.id, "accounts": [scene.bob.account().to_string()],
        "scopes": ["balance:read"], "until": scene.until(3600),
    });
    assert_eq!(server.call(&scene.bob, "POST", "/v1/delegations", Some(&to_bob)).await.status, 201);
    let whole = books.own_token(server).await;
    let bobs = path_of(scene.bob.account());
    assert_eq!(books.get(server, &bobs, &whole).await.status, 200);
    let resource = format!("{}{}", server.url, scene.balance_path());
    let base = vec![
        ("grant_type", EXCHANGE),
        ("subject_token", whole.as_str()),
        ("subject_token_type", ACCESS_TOKEN),
        ("resource", resource.as_str()),
        ("scope", "balance:read"),
        ("expires_in", "60"),
    ];
    // To another key: the part of the program that gets it has that key alone.
    let answer = books.ask(server, "/oauth/token", Some("other"), &base).await;
    let json = answer.json();
    // A token's end is a whole second.
    assert!(matches!(json["expires_in"].as_u64(), Some(59 | 60)), "{json}");
    assert_eq!(text(&json, "issued_token_type"), ACCESS_TOKEN);
    let part = text(&json, "access_token").to_owned();
    let get = |path: String, key: &'static str| {
        let part = part.clone();
        async move { books.get_with(server, &path, &part, key).await }
    };
    assert_eq!(get(scene.balance_path(), "other").await.status, 200);
    assert_eq!(get(scene.balance_path(), "dpop").await.problem(), "bad_token");
    assert_eq!(get(bobs.clone(), "other").await.problem(), "unknown_account");
    let statement = format!("{}/statement", scene.balance_path());
    assert_eq!(get(statement, "other").await.problem(), "insufficient_scope");
    // What is less cannot be made more again.
    let bobs = format!("{}{bobs}", server.url);
    for (name, value, code) in [
        ("scope", "balance:read statements:read", "invalid_scope"),
        ("resource", bobs.as_str(), "invalid_target"),
        ("resource", "https://evil.example/v1/accounts/x", "invalid_target"),
        ("expires_in", "301", "invalid_request"),
        ("subject_token", "x", "invalid_request"),
        ("subject_token_type", "x", "invalid_request"),
    ] {
        let mut form = base.clone();
        for pair in &mut form {
            if pair.0 == "subject_token" {
                pair.1 = &part;
            }
            if pair.0 == name {
                pair.1 = value;
            }
        }
        let answer = books.token(server, &form).await;
        assert_eq!(error(&answer), (400, code.to_owned()), "{name}");
    }
    let later = server.clock.now().plus(Span::from_secs(60));
    server.clock.advance(Span::from_secs(60));
    assert_eq!(server.clock.now(), later);
    assert_eq!(get(scene.balance_path(), "other").await.problem(), "bad_token");
}

/// The holder of a token gives a part of it to another key, without a word to the server.
#[tokio::test]
async fn a_token_that_its_holder_narrowed_is_good_for_less() {
    let scene = Scene::set().await;
    let (server, books) = (&scene.server, &scene.books);
    scene.delegated(&["balance:read", "statements:read"]).await;
    let to_bob = json!({
        "client": books.id, "accounts": [scene.bob.account().to_string()],
        "scopes": ["balance:read"], "until": scene.until(3600),
    });
    assert_eq!(server.call(&scene.bob, "POST", "/v1/delegations", Some(&to_bob)).await.status, 201);
    let token = books.own_token(server).await;
    let now = server.clock.now();
    let other = books.slots.public_key(&slot("other")).unwrap();
    let left = Narrowing {
        scopes: Scopes::parse("balance:read").unwrap(),
        account: Some(scene.ann.account()),
        jkt: Hash32::new(other.jwk_thumbprint()),
        expires: now.plus(Span::from_secs(60)),
    };
    let signed = |by: &str, before: &str, left: &Narrowing| {
        narrowing::make((&books.slots, &slot(by)), before, left).unwrap()
    };
    let get = |path: String, key: &'static str, links: Vec<String>| {
        let token = token.clone();
        async move {
            let proof = books.proof(server, key, "GET", &path, Some(&token));
            let authorization = format!("DPoP {token}");
            let mut headers = vec![("authorization", authorization.as_str()), ("dpop", &proof)];
            headers.extend(links.iter().map(|link| ("token-narrowing", link.as_str())));
            server.send("GET", &path, &headers, Vec::new()).await
        }
    };
    let (anns, bobs) = (scene.balance_path(), path_of(scene.bob.account()));
    let link = signed("dpop", &token, &left);
    let one = || vec![link.clone()];
    assert_eq!(get(anns.clone(), "other", one()).await.status, 200);
    assert_eq!(get(bobs.clone(), "other", one()).await.problem(), "unknown_account");
    let statement = format!("{anns}/statement");
    assert_eq!(get(statement.clone(), "other", one()).await.problem(), "insufficient_scope");
    assert_eq!(get(anns.clone(), "dpop", one()).await.problem(), "bad_token", "given away");
    assert_eq!(get(anns.clone(), "other", vec![]).await.problem(), "bad_token");
    // Whoever has the part cannot make more of it, nor leave a statement out.
    let more = Narrowing { scopes: Scopes::parse("balance:read statements:read").unwrap(), ..left };
    let others = Narrowing { account: Some(scene.bob.account()), ..left };
    let later = Narrowing { expires: now.plus(Span::from_secs(300)), ..left };
    for (name, links) in [
        ("more scopes", format!("{link} {}", signed("other", &link, &more))),
        ("another account", format!("{link} {}", signed("other", &link, &others))),
        ("signed by the new key", signed("other", &token, &left)),
        ("of another token", signed("dpop", "x", &left)),
        ("in another order", format!("{} {link}", signed("other", &link, &left))),
        ("twice the same", format!("{link} {link}")),
        ("nothing", String::new()),
        ("no statement", "x".to_owned()),
        ("a proof", books.proof(server, "dpop", "GET", &anns, Some(&token))),
    ] {
        assert_eq!(get(anns.clone(), "other", vec![links]).await.problem(), "bad_token", "{name}");
    }
    let second = signed("dpop", &token, &more);
    let both = get(anns.clone(), "other", vec![link.clone(), second]).await;
    assert_eq!(both.problem(), "bad_token", "in two fields");
    // A longer time than what is left is no longer time.
    let links = format!("{link} {}", signed("other", &link, &later));
    assert_eq!(get(anns.clone(), "other", vec![links.clone()]).await.status, 200);
    server.clock.advance(Span::from_secs(60));
    assert_eq!(get(anns.clone(), "other", one()).await.problem(), "bad_token");
    assert_eq!(get(anns.clone(), "other", vec![links]).await.problem(), "bad_token");
    assert_eq!(get(anns.clone(), "dpop", vec![]).await.status, 200, "the whole is as it was");
    // With the whole ends every part.
    let fresh = Narrowing { expires: server.clock.now().plus(Span::from_secs(60)), ..left };
    let link = signed("dpop", &token, &fresh);
    assert_eq!(get(anns.clone(), "other", vec![link.clone()]).await.status, 200);
    let ended = books.ask(server, "/oauth/revoke", None, &[("token", &token)]).await;
    assert_eq!(ended.status, 200);
    assert_eq!(get(anns, "other", vec![link]).await.problem(), "bad_token");
}

#[tokio::test]
async fn what_somebody_else_approves_is_their_own_account_alone() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let (_, path) = scene.books.pushed(server, &[]).await;
    let browser = Browser::default();
    let code = browser.code(server, &path).await;
    let approve = format!("/v1/grants/{code}:approve");
    // Bob types the code: Ann's account is not his to give.
    let answer = server.call(&scene.bob, "POST", &approve, Some(&scene.approval())).await;
    assert_eq!(answer.problem(), "unknown_account");
    let mut other = scene.approval();
    other["client"] = "other.example".into();
    let answer = server.call(&scene.ann, "POST", &approve, Some(&other)).await;
    assert_eq!(answer.problem(), "unknown_grant", "not the client that was shown");
    let mut more = scene.approval();
    more["scopes"] = json!(["payments:read"]);
    let answer = server.call(&scene.ann, "POST", &approve, Some(&more)).await;
    assert_eq!(answer.problem(), "bad_value", "more than was asked for");
    for path in ["/v1/grants/AAAA-AAAA", "/v1/grants/x"] {
        assert_eq!(server.call(&scene.ann, "GET", path, None).await.problem(), "unknown_grant");
    }
    assert_eq!(scene.approve(&code).await.status, 200);
    assert_eq!(scene.approve(&code).await.problem(), "unknown_grant", "once");
}

#[tokio::test]
async fn requests_for_authorization_are_over_after_a_while() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let (_, path) = scene.books.pushed(server, &[]).await;
    server.clock.advance(Span::from_secs(90));
    assert_eq!(Browser::default().visit(server, &path).await.status, 400);
    let (_, path) = scene.books.pushed(server, &[]).await;
    let browser = Browser::default();
    let code = browser.code(server, &path).await;
    server.clock.advance(Span::from_secs(300));
    assert_eq!(scene.approve(&code).await.problem(), "unknown_grant");
    assert_eq!(browser.visit(server, &path).await.status, 400);
}

#[tokio::test]
async fn the_page_speaks_chinese_to_who_asks_for_it() {
    let scene = Scene::set().await;
    let (_, path) = scene.books.pushed(&scene.server, &[]).await;
    let headers = [("accept-language", "zh-CN")];
    let page = scene.server.send("GET", &path, &headers, Vec::new()).await;
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(
        html.contains("<html lang=\"zh-CN\">") && html.contains("请求读取您的部分账户"),
        "{html}"
    );
}

#[tokio::test]
async fn a_client_that_asks_too_often_waits() {
    let server =
        Server::start_with(tpw_server::Limits { per_client: Rate::new(1, 3), ..limits() }).await;
    let operator = server.operator();
    let books = Program::entered("books.example", &server, &operator).await;
    let other = Program::entered("other.example", &server, &operator).await;
    let form = [("token", "x")];
    for _ in 0..3 {
        assert_eq!(books.ask(&server, "/oauth/introspect", None, &form).await.status, 200);
    }
    let late = books.ask(&server, "/oauth/introspect", None, &form).await;
    assert_eq!((late.status.as_u16(), late.problem().as_str()), (429, "rate_limited"));
    assert_eq!(other.ask(&server, "/oauth/introspect", None, &form).await.status, 200);
}
