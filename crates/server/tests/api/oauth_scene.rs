//! A client program with keys of its own, a browser that keeps cookies, and a scene with both.

use crate::support::{Actor, Answer, Server, encode};
use serde_json::{Value, json};
use std::cell::RefCell;
use tpw_access::{DpopRequest, HttpUrl, dpop};
use tpw_core::{AccountId, Span};
use tpw_crypto::{Algorithm, Entropy as _, Signer as _, SlotName, SoftwareSlots, sha256};
use tpw_engines::clock::Clock as _;
use tpw_engines::entropy::OsEntropy;

pub(crate) const CALLBACK: &str = "https://books.example/cb";
pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A client program with a key for its assertions and one for its tokens.
pub(crate) struct Program {
    pub(crate) id: String,
    pub(crate) slots: SoftwareSlots,
}

pub(crate) fn slot(name: &str) -> SlotName {
    SlotName::new(name).unwrap()
}

pub(crate) fn drawn() -> String {
    let mut bytes = [0; 32];
    OsEntropy.fill(&mut bytes).unwrap();
    encode(&bytes)
}

impl Program {
    pub(crate) fn new(id: &str) -> Self {
        let mut slots = SoftwareSlots::new();
        slots.generate(slot("client"), Algorithm::P256, &mut OsEntropy).unwrap();
        slots.generate(slot("dpop"), Algorithm::Ed25519, &mut OsEntropy).unwrap();
        slots.generate(slot("other"), Algorithm::P256, &mut OsEntropy).unwrap();
        Self { id: id.to_owned(), slots }
    }

    pub(crate) fn registration(&self) -> Value {
        let jwk: Value =
            serde_json::from_str(&self.slots.public_key(&slot("client")).unwrap().jwk_json())
                .unwrap();
        json!({
            "id": self.id, "name": "Books & Co", "redirect_uris": [CALLBACK],
            "scopes": ["balance:read", "payments:read", "statements:read"],
            "grants": ["authorization_code", "refresh_token", "client_credentials", EXCHANGE],
            "jwks": { "keys": [jwk] },
        })
    }

    /// Registered by the operator.
    pub(crate) async fn entered(id: &str, server: &Server, operator: &Actor) -> Self {
        let program = Self::new(id);
        let body = program.registration();
        server.recognise(operator).await;
        let answer = server.call(operator, "POST", "/v1/clients", Some(&body)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        program
    }

    pub(crate) fn assertion(&self, server: &Server) -> String {
        let now = server.clock.now().unix_ms() / 1000;
        let claims = json!({
            "iss": self.id, "sub": self.id, "aud": server.url, "iat": now, "exp": now + 60,
            "jti": drawn(),
        });
        let header = encode(br#"{"alg":"ES256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", encode(claims.to_string().as_bytes()));
        let signature = self.slots.sign(&slot("client"), signed.as_bytes()).unwrap();
        format!("{signed}.{}", encode(&signature))
    }

    pub(crate) fn proof(
        &self,
        server: &Server,
        key: &str,
        method: &str,
        path: &str,
        token: Option<&str>,
    ) -> String {
        let url = HttpUrl::parse(&format!("{}{path}", server.url)).unwrap();
        let request =
            DpopRequest { method, url: &url, access_token: token, now: server.clock.now() };
        dpop::make(&self.slots, &slot(key), &request, &mut OsEntropy).unwrap()
    }

    /// A form with the client's assertion, and a proof by one of its keys.
    pub(crate) async fn ask(
        &self,
        server: &Server,
        path: &str,
        key: Option<&str>,
        form: &[(&str, &str)],
    ) -> Answer {
        let assertion = self.assertion(server);
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let mut pairs = vec![("client_assertion_type", kind), ("client_assertion", &assertion)];
        pairs.extend_from_slice(form);
        let proof = key.map(|key| self.proof(server, key, "POST", path, None));
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
        headers.extend(proof.iter().map(|proof| ("dpop", proof.as_str())));
        server.send("POST", path, &headers, encoded(&pairs).into_bytes()).await
    }

    pub(crate) async fn token(&self, server: &Server, form: &[(&str, &str)]) -> Answer {
        self.ask(server, "/oauth/token", Some("dpop"), form).await
    }

    /// A token for what people delegated to the client.
    pub(crate) async fn own_token(&self, server: &Server) -> String {
        let answer = self.token(server, &[("grant_type", "client_credentials")]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, server: &Server, path: &str, token: &str) -> Answer {
        self.get_with(server, path, token, "dpop").await
    }

    pub(crate) async fn get_with(
        &self,
        server: &Server,
        path: &str,
        token: &str,
        key: &str,
    ) -> Answer {
        self.call(server, "GET", path, token, key).await
    }

    pub(crate) async fn call(
        &self,
        server: &Server,
        method: &str,
        path: &str,
        token: &str,
        key: &str,
    ) -> Answer {
        let bare = path.split('?').next().unwrap();
        let proof = self.proof(server, key, method, bare, Some(token));
        let authorization = format!("DPoP {token}");
        let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
        server.send(method, path, &headers, Vec::new()).await
    }

    /// Pushes a request for authorization; the verifier and where to go with it.
    pub(crate) async fn pushed(&self, server: &Server, more: &[(&str, &str)]) -> (String, String) {
        let verifier = drawn();
        let challenge = encode(&sha256(verifier.as_bytes()));
        let mut form = vec![
            ("response_type", "code"),
            ("redirect_uri", CALLBACK),
            ("scope", "balance:read statements:read"),
            ("state", "s&t"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        form.extend_from_slice(more);
        let answer = self.ask(server, "/oauth/par", Some("dpop"), &form).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let uri = answer.json()["request_uri"].as_str().unwrap().to_owned();
        let query = encoded(&[("client_id", &self.id), ("request_uri", &uri)]);
        (verifier, format!("/oauth/authorize?{query}"))
    }

    pub(crate) async fn redeemed(&self, server: &Server, code: &str, verifier: &str) -> Answer {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", verifier),
        ];
        self.token(server, &form).await
    }
}

pub(crate) fn encoded(pairs: &[(&str, &str)]) -> String {
    let encode = tpw_access::oauth::form::encoded;
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// A browser that keeps its cookies.
#[derive(Default)]
pub(crate) struct Browser(pub(crate) RefCell<Vec<String>>);

impl Browser {
    pub(crate) async fn visit(&self, server: &Server, path: &str) -> Answer {
        let cookies = self.0.borrow().join("; ");
        let headers = [("cookie", cookies.as_str())];
        let headers = if cookies.is_empty() { &headers[..0] } else { &headers[..] };
        let answer = server.send("GET", path, headers, Vec::new()).await;
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            assert!(
                cookie.starts_with("__Host-")
                    && cookie.contains("; Secure; HttpOnly; SameSite=Lax")
            );
            self.0.borrow_mut().push(cookie.split(';').next().unwrap().to_owned());
        }
        answer
    }

    /// The code on the page.
    pub(crate) async fn code(&self, server: &Server, path: &str) -> String {
        let page = self.visit(server, path).await;
        assert_eq!(page.status, 200, "{page:?}");
        code_on(&page).unwrap()
    }
}

pub(crate) fn code_on(page: &Answer) -> Option<String> {
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    let (_, rest) = html.split_once("<code>tpw grant ")?;
    Some(rest.split_once("</code>")?.0.to_owned())
}

/// The parameters of the address to which a browser is sent.
pub(crate) fn sent_to(answer: &Answer) -> (String, Vec<(String, String)>) {
    assert_eq!(answer.status, 303, "{answer:?}");
    let (address, query) = answer.header("location").unwrap().split_once('?').unwrap();
    let form = tpw_access::oauth::Form::parse(query.as_bytes()).unwrap();
    let names = ["code", "error", "iss", "state"];
    let pairs =
        names.iter().filter_map(|name| Some(((*name).to_owned(), form.get(name)?.to_owned())));
    (address.to_owned(), pairs.collect())
}

pub(crate) fn value<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) operator: Actor,
    pub(crate) ann: Actor,
    pub(crate) bob: Actor,
    pub(crate) books: Program,
}

impl Scene {
    pub(crate) async fn set() -> Self {
        Self::on(Server::start().await).await
    }

    pub(crate) async fn on(server: Server) -> Self {
        let operator = server.operator();
        let ann = server.person(&operator, "Ann", "100000").await;
        let bob = server.person(&operator, "Bob", "100000").await;
        let books = Program::entered("books.example", &server, &operator).await;
        Self { server, operator, ann, bob, books }
    }

    pub(crate) fn until(&self, seconds: u64) -> String {
        self.server.clock.now().plus(Span::from_secs(seconds)).to_string()
    }

    /// Ann lets the client read for an hour.
    pub(crate) async fn delegated(&self, scopes: &[&str]) -> Answer {
        let body = json!({
            "client": self.books.id, "accounts": [self.ann.account().to_string()],
            "scopes": scopes, "until": self.until(3600),
        });
        self.server.call(&self.ann, "POST", "/v1/delegations", Some(&body)).await
    }

    pub(crate) fn approval(&self) -> Value {
        json!({
            "client": self.books.id, "accounts": [self.ann.account().to_string()],
            "until": self.until(3600),
        })
    }

    pub(crate) async fn approve(&self, code: &str) -> Answer {
        let path = format!("/v1/grants/{code}:approve");
        self.server.call(&self.ann, "POST", &path, Some(&self.approval())).await
    }

    /// The whole flow, up to the code: the verifier and the code.
    pub(crate) async fn code(&self) -> (String, String) {
        let (verifier, path) = self.books.pushed(&self.server, &[]).await;
        let browser = Browser::default();
        let shown = browser.code(&self.server, &path).await;
        assert_eq!(self.approve(&shown).await.status, 200);
        let (_, pairs) = sent_to(&browser.visit(&self.server, &path).await);
        (verifier, value(&pairs, "code").unwrap().to_owned())
    }

    /// The whole flow: the answer with the tokens.
    pub(crate) async fn tokens(&self) -> Value {
        let (verifier, code) = self.code().await;
        let answer = self.books.redeemed(&self.server, &code, &verifier).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub(crate) fn balance_path(&self) -> String {
        path_of(self.ann.account())
    }
}

pub(crate) fn path_of(account: AccountId) -> String {
    format!("/v1/accounts/{account}")
}

pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {value}"))
}
