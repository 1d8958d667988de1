//! What the policies decided, for who oversees the server, and who read a person's data, for that person.

use super::{Reply, json, off_thread};
use crate::app::App;
use crate::body::{self, Query};
use crate::fault::QueryFault;
use crate::gate::Caller;
use crate::problem::{Code, Problem};
use crate::wire::{
    Access, AccessList, Base64Url, PolicyDecision, PolicyDecisionList, ProvedPolicyDecision, Text,
};
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use std::sync::Arc;
use tpw_access::oauth::ClientId;
use tpw_access::{Action, Role};
use tpw_core::{DecisionId, DecisionRecord, Instant, PersonId, Span};
use tpw_engines::books::DecisionQuery;
use tpw_engines::{DecisionProof, Engine};
use tpw_flow::DecisionRow;

/// The most items of one page.
const PAGE_MAX: usize = 250;
/// So many decisions about a person's data are looked through for one page: most are the person's own.
const LOOKED_AT_MAX: usize = 1_000;

/// The longest time of which decisions are looked for at once: all that were made in it are looked at.
const TIME_MAX: Span = Span::from_secs(31 * 24 * 3600);

/// `GET /v1/decisions?actor=&owner=&resource=&action=&from=&until=&after=&limit=`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Reply {
    caller.may(Action::ReadDecisions, None)?;
    let names = ["actor", "owner", "resource", "action", "from", "until", "after", "limit"];
    let query = Query::parse(query.as_deref(), &names)?;
    let page = query.page::<u64>(PAGE_MAX)?;
    let (from, until) = times(&query, app.engine.now())?;
    let wanted = DecisionQuery {
        from,
        until,
        actor: query.text("actor").map(actor).transpose()?,
        owner: query.value("owner")?,
        resource: query.text("resource").map(str::to_owned),
        action: query.text("action").map(action).transpose()?,
    };
    let (after, limit) = (page.after.unwrap_or(0), page.limit);
    let read = move |engine: &Engine| Ok(engine.decisions(&wanted, after, limit)?);
    let rows = off_thread(&app, read).await?;
    let next_after = page.next(&rows, |row| row.number);
    let items = rows.into_iter().map(|row| decision(row.decided.record)).collect();
    Ok(json(StatusCode::OK, &PolicyDecisionList { items, next_after }))
}

/// From when until when, if that is asked: not longer than [`TIME_MAX`], and until now if no end is named.
fn times(query: &Query, now: Instant) -> Result<(Option<Instant>, Option<Instant>), Problem> {
    let (from, until): (Option<Instant>, Option<Instant>) =
        (query.value("from")?, query.value("until")?);
    let wrong = |field, why: &str| Problem::bad_query(field, &QueryFault::Form(why.to_owned()));
    match (from, until) {
        (None, None) => Ok((None, None)),
        (None, Some(_)) => Err(wrong("from", "name the time from which on, with `until`")),
        (Some(from), until) => {
            let end = until.unwrap_or(now);
            if end < from {
                return Err(wrong("until", "this is before `from`"));
            }
            if end > from.plus(TIME_MAX) {
                return Err(wrong("until", "at most 31 days after `from`"));
            }
            Ok((Some(from), until))
        }
    }
}

/// A person or a client.
fn actor(text: &str) -> Result<String, Problem> {
    let known = text.parse::<PersonId>().is_ok() || text.parse::<ClientId>().is_ok();
    let form = || QueryFault::Form("expected the id of a person or of a client".to_owned());
    if known { Ok(text.to_owned()) } else { Err(Problem::bad_query("actor", &form())) }
}

fn action(text: &str) -> Result<String, Problem> {
    let form = || QueryFault::Form("there is no such action".to_owned());
    let known = Action::from_code(text);
    known
        .map(|action| action.code().to_owned())
        .ok_or_else(|| Problem::bad_query("action", &form()))
}

/// `GET /v1/decisions/{id}`
pub(super) async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Reply {
    caller.may(Action::ReadDecisions, None)?;
    let id: DecisionId = body::id(&id)?;
    let found = off_thread(&app, move |engine| Ok(engine.decision(id)?)).await?;
    let (row, proof) = found.ok_or_else(|| Problem::new(Code::NotFound))?;
    let record = row.decided.record;
    let proof = match proof {
        DecisionProof::Waiting => None,
        DecisionProof::Proved(text) => Some(text),
    };
    let proved = ProvedPolicyDecision {
        record: Base64Url(record.to_bytes()),
        decision: decision(record),
        proof,
    };
    Ok(json(StatusCode::OK, &proved))
}

/// `GET /v1/people/{id}/accesses?after=&limit=`: what others asked for of a person's data.
pub(super) async fn accesses(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    let person: PersonId = body::id(&id)?;
    caller.may_know(Action::ReadAccesses, Some(person), Code::UnknownPerson)?;
    let query = Query::parse(query.as_deref(), &["after", "limit"])?;
    let page = query.page::<u64>(PAGE_MAX)?;
    let after = page.after.unwrap_or(0);
    let wanted = DecisionQuery { owner: Some(person), ..DecisionQuery::default() };
    let read = move |engine: &Engine| Ok(engine.decisions(&wanted, after, LOOKED_AT_MAX)?);
    let rows = off_thread(&app, read).await?;
    Ok(json(StatusCode::OK, &by_others(rows, person, page.limit)))
}

/// A page of what others asked for, of the decisions that were looked at.
fn by_others(rows: Vec<DecisionRow>, person: PersonId, limit: usize) -> AccessList {
    let looked_at = rows.len();
    let (mut items, mut last, mut seen) = (Vec::new(), 0, 0_usize);
    for row in rows {
        if items.len() >= limit {
            break;
        }
        (last, seen) = (row.number, seen.saturating_add(1));
        let record = row.decided.record;
        let own = record.asker.client.is_empty() && record.asker.person == Some(person);
        if !own {
            items.push(access(record));
        }
    }
    let more = seen < looked_at || looked_at >= LOOKED_AT_MAX;
    AccessList { items, next_after: more.then_some(last) }
}

/// Whoever holds an office is told by it alone: a person learns that an operator looked, and not who that is outside of work.
fn access(record: DecisionRecord) -> Access {
    let is_client = !record.asker.client.is_empty();
    let plain = record.asker.roles.iter().all(|role| role == Role::Holder.code());
    let person = record.asker.person.filter(|_| plain && !is_client);
    Access {
        decision: Text(record.id),
        at: Text(record.at),
        roles: record.asker.roles,
        client: is_client.then_some(record.asker.client),
        person: person.map(Text),
        action: record.action,
        resource: record.resource,
        ruling: record.ruling.code().to_owned(),
    }
}

fn decision(record: DecisionRecord) -> PolicyDecision {
    let asker = record.asker;
    PolicyDecision {
        id: Text(record.id),
        at: Text(record.at),
        person: asker.person.map(Text),
        device: asker.device.map(Text),
        client: (!asker.client.is_empty()).then_some(asker.client),
        roles: asker.roles,
        action: record.action,
        resource: record.resource,
        owner: record.owner.map(Text),
        ruling: record.ruling.code().to_owned(),
        policies: record.policies,
        policy_version: record.version.map(Text),
        facts: record.facts.into_iter().collect(),
        obligations: record.obligations.into_iter().collect(),
        request: record.request,
    }
}
