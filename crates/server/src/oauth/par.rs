//! Requests for authorization: pushed by a client (RFC 9126), then brought by a browser, which in the end takes the answer back.

use super::books::{self, Change, Stored};
use super::pending::{Entry, Met, PUSHED_LIFE, Waits};
use super::speak::{Answer, Spoken, form, told};
use super::{authenticate, page, proven};
use crate::app::App;
use crate::problem::Problem;
use crate::text::Language;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{COOKIE, LOCATION, REFERRER_POLICY, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::sync::Arc;
use tpw_access::oauth::{
    AuthRequest, ErrorCode, Family, Form, GrantId, OAuthError, UserCode, answer_url,
};
use tpw_core::{Hash32, PersonId};
use tpw_crypto::{Entropy as _, Zeroizing, sha256_parts};
use tpw_engines::entropy::OsEntropy;

/// RFC 9126 §2.2.
const URI_PREFIX: &str = "urn:ietf:params:oauth:request_uri:";
/// Bound to this host and to TLS by its name (RFC 6265bis §4.1.3.2).
const COOKIE_PREFIX: &str = "__Host-tpw-authorize-";

/// What is kept in place of a secret that a client or browser has.
fn kept(text: &str) -> Hash32 {
    Hash32::new(sha256_parts(&[b"tpw/authorize/v1\0", text.as_bytes()]))
}

fn drawn() -> Result<Zeroizing<String>, Problem> {
    let mut secret = Zeroizing::new([0_u8; 32]);
    OsEntropy.fill(secret.as_mut_slice()).map_err(|error| Problem::internal(&error))?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_slice())))
}

/// `POST /oauth/par`
pub(super) async fn push(State(app): State<Arc<App>>, request: Request<Body>) -> Answer {
    let (parts, body) = request.into_parts();
    let form = form(&app, &parts.headers, body).await?;
    let authenticated = authenticate(&app, &parts, &form).await?;
    let client = authenticated.client();
    let key = if parts.headers.contains_key("dpop") { Some(proven(&app, &parts)?) } else { None };
    let request = AuthRequest::read(&form, client, key)?;
    let secret = drawn()?;
    let now = app.engine.now();
    if !app.oauth.pending().push(kept(&secret), request, client.name.clone(), now) {
        let says = "too many requests for authorization wait: try again later";
        return Err(OAuthError::new(ErrorCode::TemporarilyUnavailable, says).into());
    }
    let uri = format!("{URI_PREFIX}{}", secret.as_str());
    let life = PUSHED_LIFE.as_ms() / 1000;
    Ok(told(StatusCode::CREATED, &json!({ "request_uri": uri, "expires_in": life })))
}

/// `GET /oauth/authorize?client_id=&request_uri=`: the page, and once the person has decided, the way back to the client.
pub(super) async fn authorize(
    State(app): State<Arc<App>>,
    language: Language,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Problem> {
    let nothing = || {
        let mut page = page::nothing(language);
        page.extensions_mut().insert(Spoken("invalid_request"));
        Ok(page)
    };
    let Ok(form) = Form::parse(query.unwrap_or_default().as_bytes()) else { return nothing() };
    let secret = form.get("request_uri").and_then(|uri| uri.strip_prefix(URI_PREFIX));
    let (Some(secret), Some(client)) = (secret, form.get("client_id")) else { return nothing() };
    let id = kept(secret);
    let name = cookie_name(&id);
    let cookie = drawn()?;
    let code = UserCode::draw(&mut OsEntropy).map_err(|error| Problem::internal(&error))?;
    let shown = cookie_of(&headers, &name).map(kept);
    let (now, fresh) = (app.engine.now(), (kept(&cookie), code));
    let met = app.oauth.pending().meet(id, shown, fresh, now);
    match met {
        Met::Page(entry, shown) if entry.request.client.as_str() == client => {
            let mut response = page::asking(language, &entry, shown);
            // The code is this browser's first: with it goes the cookie.
            if shown == code {
                set_cookie(&mut response, &name, &cookie, "300");
            }
            Ok(response)
        }
        Met::Answer(entry) => {
            let mut response = answer(&app, &entry).await?;
            set_cookie(&mut response, &name, "", "0");
            Ok(response)
        }
        Met::Page(..) | Met::Nothing => nothing(),
    }
}

/// One cookie for each request, so that two of them in one browser do not meet.
fn cookie_name(id: &Hash32) -> String {
    let digits = id.to_string();
    format!("{COOKIE_PREFIX}{}", digits.get(..16).unwrap_or_default())
}

fn cookie_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let fields = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).map(str::trim);
    pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// `Lax`: the browser comes from the client's page, which is another site.
fn set_cookie(response: &mut Response<Body>, name: &str, value: &str, life_s: &str) {
    let cookie = Zeroizing::new(format!(
        "{name}={value}; Path=/; Max-Age={life_s}; Secure; HttpOnly; SameSite=Lax"
    ));
    if let Ok(mut value) = HeaderValue::from_str(&cookie) {
        value.set_sensitive(true);
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// The way back, with the code or the person's no, and who says so (RFC 9207).
async fn answer(app: &Arc<App>, entry: &Entry) -> Result<Response<Body>, Problem> {
    let code = match &entry.waits {
        Waits::Approved(person, grant) => give_code(app, *person, *grant).await?,
        _ => None,
    };
    let mut parameters = match &code {
        Some(code) => vec![("code", code.as_str())],
        None => vec![("error", ErrorCode::AccessDenied.code())],
    };
    parameters.push(("iss", app.issuer()));
    parameters.extend(entry.request.state.as_deref().map(|state| ("state", state)));
    let url = Zeroizing::new(answer_url(&entry.request.redirect_uri, &parameters));
    let mut location = HeaderValue::from_str(&url).map_err(|error| Problem::internal(&error))?;
    location.set_sensitive(true);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, location);
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// The code of an approval; `None` if the person has taken the approval back since.
async fn give_code(
    app: &Arc<App>,
    person: PersonId,
    grant: GrantId,
) -> Result<Option<Zeroizing<String>>, Problem> {
    let Some(key) = grant.record(person) else { return Ok(None) };
    books::change(app, key, |before| {
        let Some(before) = before else { return Ok(Change { after: None, gives: None }) };
        let family = Family::from_bytes(before).map_err(|error| Problem::internal(&error))?;
        match family.give_code((person, grant), app.engine.now(), &mut OsEntropy) {
            Ok((next, code)) => {
                let after = Some(Stored::Value(next.to_bytes()));
                Ok(Change { after, gives: Some(code) })
            }
            Err(error) => Err(Problem::internal(&error)),
        }
    })
    .await
}
