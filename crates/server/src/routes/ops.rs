//! What the operator reads.

use super::{Reply, json, off_thread};
use crate::app::App;
use crate::body::{Page, Query};
use crate::gate::Caller;
use crate::view;
use crate::wire::{Alarm, AlarmList, PaymentList, RailInstruction, RailList, Text};
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use std::sync::Arc;
use tpw_access::Action;
use tpw_core::PaymentId;
use tpw_engines::Engine;

/// The most items of one page.
const PAGE_MAX: usize = 250;

/// `GET /v1/holds?after=&limit=`: payments that wait for an operator or for their payer.
pub(super) async fn holds(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Reply {
    caller.may(Action::ReadHolds, None)?;
    let query = Query::parse(query.as_deref(), &Page::<PaymentId>::QUERY)?;
    let page: Page<PaymentId> = query.page(PAGE_MAX)?;
    let waiting = app.engine.waiting(page.after, page.limit);
    let next_after = page.next(&waiting, |payment| payment.id()).map(Text);
    let items = waiting.iter().filter_map(|payment| view::payment(caller.language, payment));
    Ok(json(StatusCode::OK, &PaymentList { items: items.collect(), next_after }))
}

/// `GET /v1/rail?after=&limit=`: open instructions to clearing partners.
pub(super) async fn rail(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Reply {
    caller.may(Action::ReportRail, None)?;
    let query = Query::parse(query.as_deref(), &Page::<PaymentId>::QUERY)?;
    let page: Page<PaymentId> = query.page(PAGE_MAX)?;
    let read = move |engine: &Engine| Ok(engine.rail_open(page.after, page.limit)?);
    let open = off_thread(&app, read).await?;
    let next_after = page.next(&open, |open| open.payment).map(Text);
    let items = open.into_iter().map(|open| RailInstruction {
        payment: Text(open.payment),
        account: Text(open.account),
        amount: Text(open.money.amount),
        asset: Text(open.money.asset),
        purpose: open.purpose,
        at: Text(open.at),
    });
    Ok(json(StatusCode::OK, &RailList { items: items.collect(), next_after }))
}

/// `GET /v1/alarms?after=&limit=`
pub(super) async fn alarms(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Reply {
    caller.may(Action::ReadAlarms, None)?;
    let query = Query::parse(query.as_deref(), &Page::<u64>::QUERY)?;
    let page: Page<u64> = query.page(PAGE_MAX)?;
    let read = move |engine: &Engine| Ok(engine.alarms(page.after.unwrap_or(0), page.limit)?);
    let found = off_thread(&app, read).await?;
    let next_after = page.next(&found, |(number, _)| *number);
    let items = found.into_iter().map(|(number, alarm)| Alarm {
        number,
        kind: alarm.kind.code().to_owned(),
        at: Text(alarm.at),
        device: Text(alarm.device),
        person: app.engine.device(&alarm.device).map(|device| Text(device.person)),
        payment: alarm.payment.map(Text),
        head: alarm.head.map(view::head),
    });
    Ok(json(StatusCode::OK, &AlarmList { items: items.collect(), next_after }))
}
