//! What the operator reads.

use super::{json, off_thread};
use crate::app::App;
use crate::body::Query;
use crate::gate::Caller;
use crate::problem::Problem;
use crate::view;
use crate::wire::{Alarm, AlarmList, PaymentList, RailInstruction, RailList, Text};
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{Response, StatusCode};
use std::sync::Arc;
use tpw_access::Action;

/// The most alarms of one page.
const PAGE_MAX: usize = 250;

type Reply = Result<Response<Body>, Problem>;

/// `GET /v1/holds`: payments that wait for an operator or for their payer.
pub(super) async fn holds(State(app): State<Arc<App>>, caller: Caller) -> Reply {
    caller.may(Action::ReadHolds, None)?;
    let waiting = app.engine.waiting();
    let items = waiting.iter().filter_map(|payment| view::payment(caller.language, payment));
    Ok(json(StatusCode::OK, &PaymentList { items: items.collect() }))
}

/// `GET /v1/rail`: open instructions to clearing partners.
pub(super) async fn rail(State(app): State<Arc<App>>, caller: Caller) -> Reply {
    caller.may(Action::ReportRail, None)?;
    let open = off_thread(&app, |engine| Ok(engine.rail_open()?)).await?;
    let items = open.into_iter().map(|open| RailInstruction {
        payment: Text(open.payment),
        account: Text(open.account),
        amount: Text(open.money.amount),
        asset: Text(open.money.asset),
        purpose: open.purpose,
        at: Text(open.at),
    });
    Ok(json(StatusCode::OK, &RailList { items: items.collect() }))
}

/// `GET /v1/alarms?after=&limit=`
pub(super) async fn alarms(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Reply {
    caller.may(Action::ReadAlarms, None)?;
    let query = Query::parse(query.as_deref(), &["after", "limit"])?;
    let after = query.value("after")?.unwrap_or(0);
    let limit = query.limit(PAGE_MAX)?;
    let found = off_thread(&app, move |engine| Ok(engine.alarms(after, limit)?)).await?;
    let full = found.len() >= limit;
    let items: Vec<Alarm> = found
        .into_iter()
        .map(|(number, alarm)| Alarm {
            number,
            kind: alarm.kind.code().to_owned(),
            at: Text(alarm.at),
            device: Text(alarm.device),
            payment: Text(alarm.payment),
            head: view::head(alarm.head),
        })
        .collect();
    let next_after = items.last().filter(|_| full).map(|alarm| alarm.number);
    Ok(json(StatusCode::OK, &AlarmList { items, next_after }))
}
