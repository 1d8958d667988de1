//! `POST /oauth/token`: the ways to an access token.

use super::books::{self, Change, Stored};
use super::speak::{Answer, Refused, form, told};
use super::{authenticate, bound};
use crate::app::App;
use crate::problem::Problem;
use crate::routes::off_thread;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use tpw_access::oauth::token::{self as tokens, LIFE};
use tpw_access::oauth::{
    Authorized, Binding, Client, ClientGrant, DelegationId, Ended, ErrorCode, Family, Form,
    GrantType, Granted, OAuthError, Presented, Redeemer, Scopes, Secret,
};
use tpw_core::{AccountId, Span};
use tpw_crypto::Zeroizing;
use tpw_engines::entropy::OsEntropy;

/// RFC 8693 §3.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

pub(super) async fn token(State(app): State<Arc<App>>, request: Request<Body>) -> Answer {
    let (parts, body) = request.into_parts();
    let form = form(&app, &parts.headers, body).await?;
    let authenticated = authenticate(&app, &parts, &form).await?;
    let client = authenticated.client();
    let says = "`grant_type` is missing";
    let grant = form.get("grant_type").ok_or(OAuthError::new(ErrorCode::InvalidRequest, says))?;
    let says = "there is no such `grant_type` here";
    let unknown = OAuthError::new(ErrorCode::UnsupportedGrantType, says);
    let grant = GrantType::from_code(grant).ok_or(unknown)?;
    if !client.may(grant) {
        let says = "this client was not registered for this `grant_type`";
        return Err(OAuthError::new(ErrorCode::UnauthorizedClient, says).into());
    }
    let binding = bound(&app, &parts)?;
    match grant {
        GrantType::ClientCredentials => credentials(&app, client, &form, binding),
        GrantType::AuthorizationCode => family(&app, client, &form, binding, Secret::Code).await,
        GrantType::RefreshToken => family(&app, client, &form, binding, Secret::Refresh).await,
        GrantType::TokenExchange => exchange(&app, client, &form, binding).await,
    }
}

fn invalid(code: ErrorCode, says: &'static str) -> Refused {
    OAuthError::new(code, says).into()
}

/// The scopes that are asked for: all that there are unless fewer are named.
fn asked(form: &Form, most: Scopes) -> Result<Scopes, Refused> {
    let Some(text) = form.get("scope") else { return Ok(most) };
    let scopes = Scopes::parse(text)?;
    if scopes.within(most) {
        return Ok(scopes);
    }
    Err(invalid(ErrorCode::InvalidScope, "that is more than there is to get"))
}

/// What a new token comes with.
struct Beside {
    refresh: Option<Zeroizing<String>>,
    accounts: Vec<AccountId>,
    exchanged: bool,
}

const ALONE: Beside = Beside { refresh: None, accounts: Vec::new(), exchanged: false };

fn issued(app: &App, grant: &ClientGrant, life: Span, beside: Beside) -> Answer {
    let now = app.engine.now();
    let keys = app.engine.client_token_keys();
    let none = || Problem::internal(&"there is no key for clients' tokens");
    let signer = keys.signer().ok_or_else(none)?;
    let made = tokens::issue(signer, app.issuer(), grant, life, now, &mut OsEntropy);
    let made = made.map_err(|error| Problem::internal(&error))?;
    let mut answer = json!({
        "access_token": made.token,
        "token_type": grant.binding.token_type(),
        "expires_in": made.expires.since(now).as_ms() / 1000,
        "scope": grant.scopes.to_string(),
    });
    let mut put = |name: &str, value: Value| {
        if let Some(members) = answer.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    };
    if let Some(refresh) = beside.refresh {
        put("refresh_token", refresh.as_str().into());
    }
    if !beside.accounts.is_empty() {
        put("accounts", beside.accounts.iter().map(ToString::to_string).collect::<Vec<_>>().into());
    }
    if beside.exchanged {
        put("issued_token_type", ACCESS_TOKEN.into());
    }
    Ok(told(StatusCode::OK, &answer))
}

/// RFC 6749 §4.4: for all that people delegated to this client.
fn credentials(app: &App, client: &Client, form: &Form, binding: Binding) -> Answer {
    let scopes = asked(form, client.scopes)?;
    let grant =
        ClientGrant { client: client.id.clone(), scopes, person: None, account: None, binding };
    issued(app, &grant, LIFE, ALONE)
}

/// RFC 6749 §4.1.3 and §6: a code once, then each refresh token once.
async fn family(
    app: &Arc<App>,
    client: &Client,
    form: &Form,
    binding: Binding,
    secret: Secret,
) -> Answer {
    let (parameter, says) = match secret {
        Secret::Code => ("code", "the code is unknown, over, used, or for another request"),
        Secret::Refresh => {
            ("refresh_token", "the refresh token is unknown, over, or another client's")
        }
    };
    let unknown = || invalid(ErrorCode::InvalidGrant, says);
    let text = form.get(parameter);
    let text = text.ok_or(OAuthError::new(
        ErrorCode::InvalidRequest,
        "the code or refresh token is missing",
    ))?;
    let shown = Presented::parse(text, secret).ok_or_else(unknown)?;
    let key = shown.grant.record(shown.person).ok_or_else(unknown)?;
    let by = Redeemer {
        client: &client.id,
        jkt: binding.key(),
        refreshes: client.may(GrantType::RefreshToken),
        redirect_uri: form.get("redirect_uri"),
        verifier: form.get("code_verifier"),
    };
    let outcome: Outcome = books::change(app, key, |before| {
        let now = app.engine.now();
        let Some(before) = before else { return Err(unknown()) };
        let family = Family::from_bytes(before).map_err(|error| Problem::internal(&error))?;
        let next = match secret {
            Secret::Code => family.redeem(&shown, &by, now, &mut OsEntropy),
            Secret::Refresh => family.rotate(&shown, &by, now, &mut OsEntropy),
        };
        match next {
            Ok(next) => {
                let after = Some(Stored::Value(next.family.to_bytes()));
                Ok(Change { after, gives: Outcome::Authorized(Box::new(next)) })
            }
            Err(Ended::Replayed) => Ok(Change {
                after: Some(Stored::Removed),
                gives: Outcome::Replayed(family.delegation),
            }),
            Err(Ended::Refused(error)) => Err(error.into()),
            Err(Ended::Entropy(error)) => Err(Problem::internal(&error).into()),
        }
    })
    .await?;
    let next = match outcome {
        Outcome::Authorized(next) => next,
        Outcome::Replayed(delegation) => {
            books::end_delegation(app, shown.person, delegation).await?;
            tracing::warn!(client = %client.id, "a code or refresh token came twice: its approval has ended");
            return Err(unknown());
        }
    };
    let Authorized { family, refresh } = *next;
    let (person, delegation) = (shown.person, family.delegation);
    let now = app.engine.now();
    let standing = off_thread(app, move |engine| {
        Ok(books::delegations(engine, person)?.find(delegation, now).cloned())
    });
    // The person took it back: whoever holds its tokens gets no more.
    let delegation = standing.await?.ok_or_else(unknown)?;
    // RFC 6749 §6: for once less than was approved.
    let scopes = match secret {
        Secret::Code => family.scopes,
        Secret::Refresh => asked(form, family.scopes)?,
    };
    let person = Some(Granted { person, grant: shown.grant });
    let grant = ClientGrant { client: client.id.clone(), scopes, person, account: None, binding };
    let life = family.ends.since(now);
    issued(app, &grant, life, Beside { refresh, accounts: delegation.accounts, ..ALONE })
}

enum Outcome {
    Authorized(Box<Authorized>),
    Replayed(DelegationId),
}

/// RFC 8693: a token that is good for less than the one that is shown: one account, no more scopes, no longer.
async fn exchange(app: &Arc<App>, client: &Client, form: &Form, binding: Binding) -> Answer {
    let bad = |says| invalid(ErrorCode::InvalidRequest, says);
    if form.get("subject_token_type") != Some(ACCESS_TOKEN) {
        return Err(bad("`subject_token_type` can only be an access token"));
    }
    if form.get("requested_token_type").is_some_and(|kind| kind != ACCESS_TOKEN)
        || form.get("actor_token").is_some()
    {
        return Err(bad("only an access token can be had, and for nobody else"));
    }
    let text = form.get("subject_token").ok_or_else(|| bad("`subject_token` is missing"))?;
    let (now, keys) = (app.engine.now(), app.engine.client_token_keys().public(app.engine.now()));
    let dead = || bad("`subject_token` is not a live token of this client");
    let subject = tokens::check(text, &keys, app.issuer(), now).map_err(|_| dead())?;
    if subject.said().client != client.id {
        return Err(dead());
    }
    let (said, id) = (subject.said().clone(), subject.id());
    let read = off_thread(app, move |engine| books::standing(engine, &said, id, now));
    read.await?.ok_or_else(dead)?;
    // RFC 8707: what it is to be used at. An account's address is the only thing that a token can be for alone.
    let resource = form.get("resource").and_then(|uri| uri.strip_prefix(app.issuer()));
    let account = resource.and_then(|path| path.strip_prefix("/v1/accounts/"));
    let account: Option<AccountId> = account.and_then(|id| id.parse().ok());
    let said = subject.said();
    let target = "`resource` must be the address of an account that the token is for";
    let account = account.filter(|account| said.account.is_none_or(|only| only == *account));
    let account = account.ok_or_else(|| invalid(ErrorCode::InvalidTarget, target))?;
    let left = subject.expires().since(now);
    let wanted = match form.get("expires_in").map(str::parse::<u64>) {
        None => left,
        Some(Ok(seconds @ 1..=300)) => Span::from_secs(seconds),
        Some(_) => return Err(bad("`expires_in` is 1 to 300 seconds")),
    };
    let scopes = asked(form, said.scopes)?;
    let account = Some(account);
    let grant = ClientGrant { scopes, account, binding, ..said.clone() };
    let life = Span::from_ms(left.as_ms().min(wanted.as_ms()));
    issued(app, &grant, life, Beside { exchanged: true, ..ALONE })
}
