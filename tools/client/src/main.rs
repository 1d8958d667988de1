//! Goal: the authorization server serves a client that others wrote, in another language binding and over another TLS library than
//! ours. Method: the library `oauth2` with a certificate (RFC 8705) through `curl`, against a real `tpw serve`: client credentials,
//! pushed authorization request, code with PKCE, consent on the device, refresh, introspection, revocation; and refusals.
//!
//! `openidconnect` builds on the same library and wants ID tokens, which this server does not give: it says what may be read, and to
//! whom, and vouches for nobody's name.
//!
//! ```text
//! oauth-client --tpw PROGRAM
//! ```

mod http;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use http::Http;
use oauth2::basic::BasicClient;
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, CsrfToken, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, IntrospectionUrl, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RefreshToken, RevocationUrl, Scope, StandardRevocableToken, TokenIntrospectionResponse as _,
    TokenResponse as _, TokenUrl,
};
use serde_json::{Value, json};
use world::{Failure, World};

const ID: &str = "books.example";
const CALLBACK: &str = "https://books.example/cb";
const SCOPES: [&str; 2] = ["balance:read", "statements:read"];

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointSet, EndpointSet, EndpointSet>;

/// What holds and what does not.
#[derive(Default)]
struct Checks {
    passed: u32,
    failed: u32,
}

impl Checks {
    fn that(&mut self, what: &str, good: bool) {
        if good {
            self.passed += 1;
        } else {
            self.failed += 1;
            println!("FAILED {what}");
        }
    }

    fn refused<T>(&mut self, what: &str, code: &str, outcome: Result<T, impl std::error::Error>) {
        let said = match outcome {
            Ok(_) => "no refusal".to_owned(),
            Err(error) => format!("{error:?}"),
        };
        self.that(&format!("{what}: {said}"), said.contains(code));
    }
}

fn json_of(answer: &HttpResponse) -> Value {
    serde_json::from_slice(answer.body()).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The library's client, from what the server says of itself.
fn client(metadata: &Value) -> Result<Client, Failure> {
    let alias = |name: &str| text(&metadata["mtls_endpoint_aliases"][name]);
    Ok(BasicClient::new(ClientId::new(ID.to_owned()))
        // RFC 8705 §2: the id is in the body, and nothing else proves the client there.
        .set_auth_type(AuthType::RequestBody)
        .set_redirect_uri(RedirectUrl::new(CALLBACK.to_owned())?)
        .set_auth_uri(AuthUrl::new(text(&metadata["authorization_endpoint"]))?)
        .set_token_uri(TokenUrl::new(alias("token_endpoint"))?)
        .set_introspection_url(IntrospectionUrl::new(alias("introspection_endpoint"))?)
        .set_revocation_url(RevocationUrl::new(alias("revocation_endpoint"))?))
}

/// The authorization server, as the client sees it.
struct Scene<'w> {
    world: &'w World,
    metadata: Value,
    client: Client,
    /// With the client's certificate.
    http: Http,
    /// With another one.
    other: Http,
    /// Where accounts are read with a certificate.
    resources: String,
}

impl<'w> Scene<'w> {
    fn set(world: &'w World) -> Result<Self, Failure> {
        let (certificate, key) = world.certificate("client")?;
        let mut words = vec!["client", "add", ID, "Books", "--redirect", CALLBACK];
        words.extend(["--certificate", &certificate]);
        words.extend(
            ["authorization_code", "refresh_token", "client_credentials"]
                .iter()
                .flat_map(|grant| ["--grant", grant]),
        );
        words.extend(SCOPES.iter().flat_map(|scope| ["--scope", scope]));
        world.ops(&words)?;
        let plain = Http { ca: world.ca.clone(), ..Http::default() };
        let url = format!("{}/.well-known/oauth-authorization-server", world.issuer);
        let metadata = json_of(&plain.get(&url, None)?);
        let token = text(&metadata["mtls_endpoint_aliases"]["token_endpoint"]);
        let resources = token.strip_suffix("/oauth/token").unwrap_or_default().to_owned();
        let other = Http { identity: Some(world.certificate("other")?), ..plain.clone() };
        let http = Http { identity: Some((certificate, key)), ..plain };
        let client = client(&metadata)?;
        Ok(Self { world, metadata, client, http, other, resources })
    }

    fn status(&self, http: &Http, path: &str, token: &str) -> Result<u16, Failure> {
        Ok(http.get(&format!("{}{path}", self.resources), Some(token))?.status().as_u16())
    }

    fn account(&self) -> String {
        format!("/v1/accounts/{}", self.world.account)
    }
}

fn credentials(scene: &Scene<'_>, checks: &mut Checks) -> Result<(), Failure> {
    let (client, http) = (&scene.client, &scene.http);
    let send = |request: HttpRequest| http.send(request);
    let scope = || Scope::new(SCOPES[0].to_owned());
    let token = client.exchange_client_credentials().add_scope(scope()).request(&send)?;
    let access = token.access_token().secret();
    checks.that("token type", token.token_type() == &oauth2::basic::BasicTokenType::Bearer);
    checks.that("lives 300 s", token.expires_in().is_some_and(|life| life.as_secs() <= 300));
    let path = scene.account();
    checks.that("nothing is delegated", scene.status(http, &path, access)? == 404);
    let words = ["delegate", "add", ID, "--scope", SCOPES[0], "--until", "2099-01-01", "--json"];
    let late = scene.world.on_device(&words);
    checks.that("not for longer than a year", late.is_err());
    let until = in_a_day()?;
    let words = ["delegate", "add", ID, "--scope", SCOPES[0], "--until", &until, "--json"];
    scene.world.on_device(&words)?;
    checks.that("delegated", scene.status(http, &path, access)? == 200);
    checks.that("another certificate", scene.status(&scene.other, &path, access)? == 401);
    let none = Http { identity: None, ..http.clone() };
    checks.that("no certificate", scene.status(&none, &path, access)? == 401);
    let about = client.introspect(token.access_token()).request(&send)?;
    checks.that(
        "introspected",
        about.active() && about.client_id().map(|id| id.as_str()) == Some(ID),
    );
    let revocable = StandardRevocableToken::AccessToken(token.access_token().clone());
    client.revoke_token(revocable)?.request(&send)?;
    checks.that("ended", !client.introspect(token.access_token()).request(&send)?.active());
    checks.that("as ended", scene.status(http, &path, access)? == 401);
    Ok(())
}

/// RFC 3339, of the day after today.
fn in_a_day() -> Result<String, Failure> {
    let date =
        std::process::Command::new("date").args(["-u", "-d", "+1 day", "+%Y-%m-%d"]).output()?;
    Ok(String::from_utf8(date.stdout)?.trim().to_owned())
}

/// The library makes the address of the request; what is in its query is pushed (RFC 9126), which the library does not know.
fn pushed(scene: &Scene<'_>) -> Result<(String, CsrfToken, PkceCodeVerifier), Failure> {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let scopes = SCOPES.map(|scope| Scope::new(scope.to_owned()));
    let asked = scene.client.authorize_url(CsrfToken::new_random);
    let (url, state) = asked.add_scopes(scopes).set_pkce_challenge(challenge).url();
    let endpoint =
        text(&scene.metadata["mtls_endpoint_aliases"]["pushed_authorization_request_endpoint"]);
    let query = url.query().unwrap_or_default().to_owned();
    let answer = scene.http.post(&endpoint, query)?;
    let uri = text(&json_of(&answer)["request_uri"]);
    if uri.is_empty() {
        return Err(format!("not pushed: {}", String::from_utf8_lossy(answer.body())).into());
    }
    let mut visit = url;
    visit.set_query(None);
    visit.query_pairs_mut().append_pair("client_id", ID).append_pair("request_uri", &uri);
    Ok((visit.to_string(), state, verifier))
}

fn code_flow(scene: &Scene<'_>, checks: &mut Checks) -> Result<(), Failure> {
    let (client, http) = (&scene.client, &scene.http);
    let send = |request: HttpRequest| http.send(request);
    let (visit, state, verifier) = pushed(scene)?;
    let jar = scene.world.path("cookies").display().to_string();
    let browser = Http { identity: None, cookies: Some(jar), ..http.clone() };
    let page = String::from_utf8(browser.get(&visit, None)?.into_body())?;
    let shown = page.split_once("tpw grant ").and_then(|(_, rest)| rest.get(..9));
    let shown = shown.ok_or("the page shows no code")?;
    scene.world.on_device(&["grant", shown, "--yes"])?;
    let back = browser.get(&visit, None)?;
    let target = back.headers().get("location").ok_or("not sent back")?.to_str()?.to_owned();
    checks.that("to the registered address", target.starts_with(&format!("{CALLBACK}?")));
    let url = RedirectUrl::new(target)?;
    let pair = |name: &str| {
        let mut pairs = url.url().query_pairs();
        pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    };
    checks.that("state", pair("state").as_deref() == Some(state.secret()));
    checks.that("iss", pair("iss").as_deref() == Some(scene.world.issuer.as_str()));
    let code = AuthorizationCode::new(pair("code").ok_or("no code")?);
    let wrong = PkceCodeVerifier::new("x".repeat(43));
    let outcome = client.exchange_code(code.clone()).set_pkce_verifier(wrong).request(&send);
    checks.refused("wrong verifier", "invalid_grant", outcome);
    let token = client.exchange_code(code.clone()).set_pkce_verifier(verifier).request(&send)?;
    let (path, access) = (scene.account(), token.access_token().secret());
    for path in [path.clone(), format!("{path}/statement")] {
        checks.that(&path, scene.status(http, &path, access)? == 200);
    }
    checks.that("another door", scene.status(http, "/v1/accounts", access)? == 401);
    let first = token.refresh_token().ok_or("no refresh token")?.clone();
    let refresh = |token: &RefreshToken| client.exchange_refresh_token(token).request(&send);
    let stolen = client
        .exchange_refresh_token(&first)
        .request(&|request: HttpRequest| scene.other.send(request));
    checks.refused("a stolen refresh token", "invalid_client", stolen);
    let next = refresh(&first)?;
    checks
        .that("a new one", next.refresh_token().map(RefreshToken::secret) != Some(first.secret()));
    let newest = next.refresh_token().ok_or("no next refresh token")?;
    checks.that("refreshed", scene.status(http, &path, next.access_token().secret())? == 200);
    checks.refused("used twice", "invalid_grant", refresh(&first));
    checks.refused("its family ended", "invalid_grant", refresh(newest));
    checks
        .that("its tokens ended", scene.status(http, &path, next.access_token().secret())? == 401);
    Ok(())
}

fn refusals(scene: &Scene<'_>, checks: &mut Checks) {
    let client = &scene.client;
    let send = |request: HttpRequest| scene.http.send(request);
    let more = Scope::new("payments:read".to_owned());
    let outcome = client.exchange_client_credentials().add_scope(more).request(&send);
    checks.refused("more than registered", "invalid_scope", outcome);
    let other = |request: HttpRequest| scene.other.send(request);
    let outcome = client.exchange_client_credentials().request(&other);
    checks.refused("another certificate", "invalid_client", outcome);
    let none = Http { identity: None, ..scene.http.clone() };
    let outcome =
        client.exchange_client_credentials().request(&|request: HttpRequest| none.send(request));
    checks.refused("no certificate", "invalid_client", outcome);
    let name = oauth2::ResourceOwnerUsername::new("a".to_owned());
    let password = oauth2::ResourceOwnerPassword::new("b".to_owned());
    let outcome = client.exchange_password(&name, &password).request(&send);
    checks.refused("no grant for passwords", "unsupported_grant_type", outcome);
}

fn judged(tpw: &std::path::Path, folder: &std::path::Path) -> Result<Checks, Failure> {
    let mut checks = Checks::default();
    let world = World::new(tpw, folder)?;
    let scene = Scene::set(&world)?;
    let issuer = json!(world.issuer);
    checks.that("the issuer of the metadata", scene.metadata["issuer"] == issuer);
    let bound = &scene.metadata["tls_client_certificate_bound_access_tokens"];
    checks.that("bound tokens", *bound == json!(true));
    credentials(&scene, &mut checks)?;
    code_flow(&scene, &mut checks)?;
    refusals(&scene, &mut checks);
    Ok(checks)
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [flag, tpw] = words.as_slice() else {
        eprintln!("oauth-client --tpw PROGRAM");
        return ExitCode::from(2);
    };
    let folder = std::env::temp_dir().join(format!("oauth-client-{}", std::process::id()));
    let tpw = PathBuf::from(tpw);
    let made = std::fs::create_dir(&folder);
    let outcome = match (flag.as_str(), made) {
        ("--tpw", Ok(())) => judged(&tpw, &folder),
        (_, made) => Err(format!("expected --tpw, and a folder to work in: {made:?}").into()),
    };
    let _removed = std::fs::remove_dir_all(&folder);
    match outcome {
        Ok(Checks { passed, failed }) => {
            println!("{passed} passed, {failed} failed");
            if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            println!("FAILED {error}\n0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}
