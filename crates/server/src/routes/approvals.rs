//! Requests for approval: reading them, and voting on them.

use super::{Reply, json, no_such_action, off_thread};
use crate::app::App;
use crate::approving;
use crate::body::{self, Page, Query};
use crate::fault::QueryFault;
use crate::gate::Caller;
use crate::problem::{Code, Problem};
use crate::wire::{ApprovalList, CastVote, Text};
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use std::sync::Arc;
use tpw_access::Action;
use tpw_access::approval::Approval;
use tpw_core::{ApprovalId, Consent};
use tpw_engines::Engine;

/// The most requests that are looked at for one page.
const PAGE_MAX: usize = 100;
const COSE: &str = "application/cose";

/// `GET /v1/approvals?stage=&after=&limit=`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Reply {
    caller.may(Action::ReadApprovals, None)?;
    let query = Query::parse(query.as_deref(), &["stage", "after", "limit"])?;
    let all = match query.text("stage") {
        None | Some("open") => false,
        Some("all") => true,
        Some(_) => return Err(Problem::bad_query("stage", &QueryFault::Unknown)),
    };
    let page: Page<ApprovalId> = query.page(PAGE_MAX)?;
    let read = move |engine: &Engine| looked_at(engine, page);
    let (found, now) = (off_thread(&app, read).await?, app.engine.now());
    // Those that are over are looked at too, so that a page may be short while there are more.
    let next_after = page.next(&found, Approval::id).map(Text);
    let shown = found.iter().filter(|approval| all || approval.is_open(now));
    let items = shown.map(|approval| approving::view(&app, &caller, approval)).collect();
    Ok(json(StatusCode::OK, &ApprovalList { items, next_after }))
}

fn looked_at(engine: &Engine, page: Page<ApprovalId>) -> Result<Vec<Approval>, Problem> {
    let after = page.after.map(|id| *id.as_bytes());
    let after = after.as_ref().map(|id| id.as_slice());
    let kind = tpw_access::RecordKind::Approval;
    let rows = engine.records(kind, Approval::owner(), after, page.limit);
    let rows = rows.map_err(|error| Problem::internal(&error))?;
    let read =
        |bytes: &[u8]| Approval::from_bytes(bytes).map_err(|error| Problem::internal(&error));
    rows.iter().map(|(_, value)| read(value)).collect()
}

/// `GET /v1/approvals/{id}`
pub(super) async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Reply {
    caller.may(Action::ReadApprovals, None)?;
    let id: ApprovalId = body::id(&id)?;
    let (approval, _) = off_thread(&app, move |engine| approving::read(engine, id)).await?;
    Ok(json(StatusCode::OK, &approving::view(&app, &caller, &approval)))
}

/// `POST /v1/approvals/{id}:approve`, `:reject`
pub(super) async fn act(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(target): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let Some((id, verb)) = target.split_once(':') else { return Ok(no_such_action()) };
    let id: ApprovalId = body::id(id)?;
    let consent = Consent::from_code(verb).ok_or_else(|| Problem::new(Code::NotFound))?;
    caller.may(Action::ReadApprovals, None)?;
    let statement = if body::media_type(&headers) == COSE {
        body::read(&headers, body, app.small_body()).await?.to_vec()
    } else {
        let request: CastVote = body::json(&headers, body, app.small_body()).await?;
        request.statement.0
    };
    let approval = approving::vote(&app, &caller, id, consent, statement).await?;
    Ok(json(StatusCode::OK, &approving::view(&app, &caller, &approval)))
}
