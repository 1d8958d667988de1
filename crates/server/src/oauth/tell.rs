//! What the authorization server tells: about itself, its keys, and tokens. And the end of tokens.

use super::authenticate;
use super::books::{self, Change, Stored};
use super::speak::{Answer, Refused, form, told};
use crate::app::App;
use crate::problem::Problem;
use crate::routes::off_thread;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use tpw_access::oauth::client::ENDED_MAX;
use tpw_access::oauth::token::{self as tokens, UnboundClient};
use tpw_access::oauth::{
    Client, ClientGrant, ErrorCode, Family, Form, GrantType, OAuthError, Presented, Scope, Secret,
};

/// What everybody may keep for a while: less than a key is published.
const KEEP: HeaderValue = HeaderValue::from_static("public, max-age=60");

fn kept(value: &Value) -> Response<Body> {
    let mut response = told(StatusCode::OK, value);
    response.headers_mut().insert(CACHE_CONTROL, KEEP);
    response
}

/// `GET /.well-known/oauth-authorization-server` (RFC 8414).
pub(super) async fn metadata(State(app): State<Arc<App>>) -> Response<Body> {
    let issuer = app.issuer();
    let at = |path: &str| format!("{issuer}/oauth/{path}");
    let algorithms = ["EdDSA", "Ed25519", "ES256"];
    let mut value = json!({
        "issuer": issuer,
        "authorization_endpoint": at("authorize"),
        "token_endpoint": at("token"),
        "pushed_authorization_request_endpoint": at("par"),
        "introspection_endpoint": at("introspect"),
        "revocation_endpoint": at("revoke"),
        "jwks_uri": at("jwks"),
        "require_pushed_authorization_requests": true,
        "authorization_response_iss_parameter_supported": true,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": GrantType::ALL.iter().map(|g| g.code()).collect::<Vec<_>>(),
        "scopes_supported": Scope::ALL.iter().map(|s| s.code()).collect::<Vec<_>>(),
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": algorithms,
        "ui_locales_supported": ["en", "zh-CN"],
    });
    let mut methods = vec!["private_key_jwt"];
    let Some(members) = value.as_object_mut() else { return kept(&value) };
    if let Some(mutual) = &app.mutual {
        methods.push("self_signed_tls_client_auth");
        methods.extend(mutual.authorities().is_some().then_some("tls_client_auth"));
        // RFC 8705 §3.3, §5.
        let at = |path: &str| format!("{}/oauth/{path}", mutual.origin.origin());
        let aliases = json!({
            "token_endpoint": at("token"),
            "pushed_authorization_request_endpoint": at("par"),
            "introspection_endpoint": at("introspect"),
            "revocation_endpoint": at("revoke"),
        });
        members.insert("mtls_endpoint_aliases".to_owned(), aliases);
        members.insert("tls_client_certificate_bound_access_tokens".to_owned(), true.into());
    }
    for endpoint in ["token", "introspection", "revocation"] {
        let method = format!("{endpoint}_endpoint_auth_methods_supported");
        members.insert(method, json!(methods));
        let signing = format!("{endpoint}_endpoint_auth_signing_alg_values_supported");
        members.insert(signing, json!(algorithms));
    }
    kept(&value)
}

/// `GET /oauth/jwks` (RFC 7517 §5): the key that signs, and the one before it while its tokens live.
pub(super) async fn jwks(State(app): State<Arc<App>>) -> Response<Body> {
    let keys = app.engine.client_token_keys().public(app.engine.now());
    let keys = keys.iter().filter_map(|key| {
        let mut jwk: Value = serde_json::from_str(&key.jwk_json()).ok()?;
        let members = jwk.as_object_mut()?;
        for (name, value) in [("kid", tokens::kid(key).as_str()), ("use", "sig"), ("alg", "EdDSA")]
        {
            members.insert(name.to_owned(), value.into());
        }
        Some(jwk)
    });
    kept(&json!({ "keys": keys.collect::<Vec<_>>() }))
}

/// A token of this client, as it shows it.
enum Shown {
    Access(UnboundClient),
    Refresh(Presented, Box<Family>),
}

/// Finds out what a token is; `None` for one that is none of this client's, or over.
async fn shown(app: &Arc<App>, client: &Client, form: &Form) -> Result<Option<Shown>, Refused> {
    let missing = OAuthError::new(ErrorCode::InvalidRequest, "`token` is missing");
    let text = form.get("token").ok_or(missing)?;
    let now = app.engine.now();
    if let Some(token) = Presented::parse(text, Secret::Refresh) {
        let (person, grant) = (token.person, token.grant);
        let family = off_thread(app, move |engine| books::family(engine, person, grant)).await?;
        let ours = family.filter(|family| {
            family.client == client.id && family.holds(&token) && !family.is_over(now)
        });
        return Ok(ours.map(|family| Shown::Refresh(token, Box::new(family))));
    }
    let keys = app.engine.client_token_keys().public(now);
    let token = tokens::check(text, &keys, app.issuer(), now).ok();
    Ok(token.filter(|token| token.said().client == client.id).map(Shown::Access))
}

/// `POST /oauth/introspect` (RFC 7662): a client's own tokens; of all others it hears what it would hear of none.
pub(super) async fn introspect(State(app): State<Arc<App>>, request: Request<Body>) -> Answer {
    let (parts, body) = request.into_parts();
    let form = form(&app, &parts.headers, body).await?;
    let authenticated = authenticate(&app, &parts, &form).await?;
    let now = app.engine.now();
    let inactive = || told(StatusCode::OK, &json!({ "active": false }));
    match shown(&app, authenticated.client(), &form).await? {
        Some(Shown::Access(token)) => {
            let (said, id) = (token.said().clone(), token.id());
            let read = move |engine: &tpw_engines::Engine| books::standing(engine, &said, id, now);
            let standing = off_thread(&app, read).await?;
            Ok(standing.map_or_else(inactive, |_| told(StatusCode::OK, &of_access(&app, &token))))
        }
        Some(Shown::Refresh(token, family)) => {
            let (person, delegation) = (token.person, family.delegation);
            let alive = off_thread(&app, move |engine| {
                Ok(books::delegations(engine, person)?.find(delegation, now).is_some())
            });
            if !alive.await? {
                return Ok(inactive());
            }
            let value = json!({
                "active": true, "client_id": family.client.as_str(), "sub": person.to_string(),
                "scope": family.scopes.to_string(), "exp": family.ends.unix_ms() / 1000,
                "iss": app.issuer(),
            });
            Ok(told(StatusCode::OK, &value))
        }
        None => Ok(inactive()),
    }
}

fn of_access(app: &App, token: &UnboundClient) -> Value {
    let ClientGrant { client, scopes, person, account, binding } = token.said();
    let (member, thumbprint) = binding.member();
    let subject = person.map_or_else(|| client.to_string(), |granted| granted.person.to_string());
    let mut value = json!({
        "active": true, "client_id": client.as_str(), "sub": subject, "scope": scopes.to_string(),
        "iss": app.issuer(), "aud": app.issuer(), "token_type": binding.token_type(),
        "iat": token.born().unix_ms() / 1000, "exp": token.expires().unix_ms() / 1000,
        "cnf": { member: thumbprint },
    });
    if let (Some(account), Some(members)) = (account, value.as_object_mut()) {
        members.insert("account".to_owned(), account.to_string().into());
    }
    value
}

/// `POST /oauth/revoke` (RFC 7009): a token that is of a person's approval takes the approval's other tokens with it (§2.1).
pub(super) async fn revoke(State(app): State<Arc<App>>, request: Request<Body>) -> Answer {
    let (parts, body) = request.into_parts();
    let form = form(&app, &parts.headers, body).await?;
    let authenticated = authenticate(&app, &parts, &form).await?;
    let client = authenticated.client();
    match shown(&app, client, &form).await? {
        Some(Shown::Refresh(token, _)) => {
            books::end_family(&app, token.person, token.grant).await?;
        }
        Some(Shown::Access(token)) => match token.said().person {
            Some(granted) => books::end_family(&app, granted.person, granted.grant).await?,
            None => end_alone(&app, client, &token).await?,
        },
        // §2.2: what is no token needs no end.
        None => {}
    }
    Ok(told(StatusCode::OK, &json!({})))
}

/// A token that no person approved is remembered in the client's own record until it ends.
async fn end_alone(app: &Arc<App>, client: &Client, token: &UnboundClient) -> Result<(), Refused> {
    let Some(key) = client.id.record() else { return Ok(()) };
    books::change(app, key, |before| {
        let Some(before) = before else { return Ok(Change { after: None, gives: () }) };
        let stored = Client::from_bytes(before).map_err(|error| Problem::internal(&error))?;
        let next = stored.with_ended(token.id(), token.expires(), app.engine.now());
        let says =
            "too many tokens were ended just now: the oldest end by themselves within five minutes";
        let full = OAuthError::new(ErrorCode::TemporarilyUnavailable, says);
        tracing::debug!(most = ENDED_MAX, "a client ended a token");
        let after = Some(Stored::Value(next.ok_or(full)?.to_bytes()));
        Ok::<_, Refused>(Change { after, gives: () })
    })
    .await
}
