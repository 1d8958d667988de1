//! A client's request, approved or refused on the person's device by the code that the page in the browser shows.

use super::books;
use super::clients::{scope_names, scopes};
use super::delegations::{fault, own, random};
use super::page::host_of;
use super::pending::{Entry, Waits};
use crate::app::App;
use crate::body;
use crate::fault::ValueFault;
use crate::gate::Caller;
use crate::problem::{Code, Problem};
use crate::routes::{Reply, json, no_such_action, off_thread};
use crate::wire::{ApproveGrant, GrantRequest, Text};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use std::sync::Arc;
use tpw_access::oauth::grant::FAMILIES_MAX;
use tpw_access::oauth::{
    Delegation, DelegationId, Delegations, Family, GrantId, Grantee, UserCode,
};
use tpw_access::{RecordKind, RecordWrite};
use tpw_core::{Instant, PersonId};
use tpw_engines::Engine;

fn unknown() -> Problem {
    Problem::new(Code::UnknownGrant)
}

fn found(app: &App, code: &str) -> Result<(UserCode, Entry), Problem> {
    let code: UserCode = code.parse().map_err(|_| unknown())?;
    let entry = app.oauth.pending().find(code, app.engine.now()).cloned();
    Ok((code, entry.ok_or_else(unknown)?))
}

fn shown(entry: &Entry) -> GrantRequest {
    GrantRequest {
        client: entry.request.client.to_string(),
        name: entry.name.as_str().to_owned(),
        host: host_of(&entry.request.redirect_uri).to_owned(),
        scopes: scope_names(entry.request.scopes),
        expires: Text(entry.ends),
    }
}

/// `GET /v1/grants/{code}`
pub(crate) async fn read(
    State(app): State<Arc<App>>,
    _caller: Caller,
    Path(code): Path<String>,
) -> Reply {
    let (_, entry) = found(&app, &code)?;
    Ok(json(StatusCode::OK, &shown(&entry)))
}

/// `POST /v1/grants/{code}:approve`, `:refuse`
pub(crate) async fn act(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(target): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let Some((code, verb)) = target.split_once(':') else { return Ok(no_such_action()) };
    if !matches!(verb, "approve" | "refuse") {
        return Err(Problem::new(Code::NotFound));
    }
    caller.not_disowned()?;
    let (code, entry) = found(&app, code)?;
    let word = if verb == "approve" {
        let said: ApproveGrant = body::json(&headers, body, app.small_body()).await?;
        // The code may have been typed wrong, and be another client's.
        if said.client != entry.request.client.as_str() {
            return Err(unknown());
        }
        let person = caller.session.person();
        Waits::Approved(person, approve(&app, person, &entry, &said).await?)
    } else {
        Waits::Refused
    };
    if !app.oauth.pending().decide(code, word.clone(), app.engine.now()) {
        // Somebody was quicker, or it is over: the approval must not stay.
        if let Waits::Approved(person, grant) = word {
            books::end_family(&app, person, grant).await?;
        }
        return Err(unknown());
    }
    Ok(json(StatusCode::OK, &shown(&entry)))
}

/// Keeps the approval and the delegation that it stands on, both or neither.
async fn approve(
    app: &Arc<App>,
    person: PersonId,
    entry: &Entry,
    said: &ApproveGrant,
) -> Result<GrantId, Problem> {
    let asked = entry.request.scopes;
    let scopes = said.scopes.as_deref().map_or(Ok(asked), scopes)?;
    if !scopes.within(asked) {
        return Err(Problem::bad_value("/scopes", ValueFault::Scopes));
    }
    let accounts = own(app, person, &said.accounts).await?;
    let (now, Text(until)) = (app.engine.now(), said.until);
    let (delegation, grant) = (DelegationId::new(random()?), GrantId::new(random()?));
    let to = Grantee::Approved(entry.request.client.clone());
    let one = Delegation { id: delegation, to, accounts, scopes, made: now, until };
    let family = Family::approved(&entry.request, scopes, delegation, until, now);
    let key = grant.record(person).ok_or_else(|| Problem::new(Code::Internal))?;
    for _ in 0..8 {
        let one = one.clone();
        let read = move |engine: &Engine| writes(engine, person, one, now);
        let mut writes = off_thread(app, read).await?;
        let after = Some(family.to_bytes());
        writes.push(RecordWrite { key: key.clone(), before: None, after });
        if books::written(app, writes).await? {
            return Ok(grant);
        }
    }
    Err(Problem::new(Code::Busy))
}

/// The delegation, and the end of approvals that are over: each person keeps few.
fn writes(
    engine: &Engine,
    person: PersonId,
    one: Delegation,
    now: Instant,
) -> Result<Vec<RecordWrite>, Problem> {
    let damaged = |error: tpw_core::CodecError| Problem::internal(&error);
    let key = Delegations::record(person);
    let before = engine.record(&key)?;
    let mut all = Delegations::from_stored(before.as_deref()).map_err(damaged)?;
    let mut writes = Vec::new();
    let kept = engine.records(RecordKind::Refresh, *person.as_bytes(), None, FAMILIES_MAX)?;
    let full = kept.len() >= FAMILIES_MAX;
    for (over_key, value) in kept {
        let family = Family::from_bytes(&value).map_err(damaged)?;
        let over = family.is_over(now) || all.find(family.delegation, now).is_none();
        // More than a few at once are for the next approval.
        if over && writes.len() < 32 {
            all = all.without(family.delegation, now).unwrap_or(all);
            writes.push(RecordWrite { key: over_key, before: Some(value), after: None });
        }
    }
    if full && writes.is_empty() {
        return Err(Problem::new(Code::TooManyDelegations).with("most", FAMILIES_MAX));
    }
    let after = Some(all.with(one, person, now).map_err(fault)?.to_bytes());
    writes.push(RecordWrite { key, before, after });
    Ok(writes)
}
