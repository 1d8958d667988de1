//! All that happens, in order, and what watched balances did.

use super::{Reply, json, off_thread};
use crate::app::App;
use crate::body::{Page, Query};
use crate::fault::QueryFault;
use crate::gate::Caller;
use crate::problem::Problem;
use crate::view;
use crate::wire::{self, ChangeList, CrossingList, Text};
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;
use tpw_access::Action;
use tpw_core::{AccountId, AccountSetId, DeviceId, PaymentId, PersonId, TransferId};
use tpw_engines::{Change, Engine, Place};
use tpw_flow::EventKind;

/// The most changes of one page.
const PAGE_MAX: usize = 1_000;
/// The most crossings of one page.
const CROSSINGS_MAX: usize = 250;

/// `GET /v1/changes?after=&limit=`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Reply {
    caller.may(Action::ReadChanges, None)?;
    let query = Query::parse(query.as_deref(), &["after", "limit"])?;
    let limit = query.limit(PAGE_MAX)?;
    let after = match query.text("after") {
        None | Some("") => Place::default(),
        Some(text) => {
            let read = read_cursor(text);
            read.ok_or_else(|| Problem::bad_query("after", &QueryFault::Cursor))?
        }
    };
    let changes = off_thread(&app, move |engine| Ok(engine.changes(after, limit)?)).await?;
    let next = changes.last().map_or(after, |(place, _)| *place);
    let list = ChangeList {
        more: changes.len() >= limit,
        next: cursor(next),
        items: changes.iter().map(|(place, change)| shown(*place, change)).collect(),
    };
    Ok(json(StatusCode::OK, &list))
}

fn shown(place: Place, change: &Change) -> wire::Change {
    let cursor = cursor(place);
    match change {
        Change::Transfer(row) => wire::Change {
            cursor,
            kind: "transfer".to_owned(),
            at: Text(row.at),
            subject: row.id.to_string(),
            transfer: Some(Box::new(view::transfer(row))),
        },
        Change::Event(event) => wire::Change {
            cursor,
            kind: event.kind.code().to_owned(),
            at: Text(event.at),
            subject: subject(event.kind, event.subject),
            transfer: None,
        },
    }
}

/// The id of what happened, as what it is.
fn subject(kind: EventKind, id: [u8; 16]) -> String {
    match kind {
        EventKind::PaymentStepUp
        | EventKind::PaymentHeld
        | EventKind::PaymentBooked
        | EventKind::PaymentCompensated
        | EventKind::PaymentRefused
        | EventKind::AlarmRaised => PaymentId::from_bytes(id).to_string(),
        EventKind::AccountOpened | EventKind::AccountChanged | EventKind::AccountCrossed => {
            AccountId::from_bytes(id).to_string()
        }
        EventKind::DeviceEnrolled | EventKind::DeviceRevoked | EventKind::NotMe => {
            DeviceId::from_bytes(id).to_string()
        }
        EventKind::PersonAdded => PersonId::from_bytes(id).to_string(),
        EventKind::OrderRefused => TransferId::from_bytes(id).to_string(),
        EventKind::SetChanged => AccountSetId::from_bytes(id).to_string(),
    }
}

/// A place as an opaque text. It claims nothing that its reader could not ask for otherwise.
fn cursor(place: Place) -> String {
    URL_SAFE_NO_PAD.encode(format!("1 {} {}", place.transfer, place.event))
}

fn read_cursor(text: &str) -> Option<Place> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() <= 64)?;
    let text = String::from_utf8(bytes).ok()?;
    let mut parts = text.strip_prefix("1 ")?.split(' ');
    let place = Place { transfer: parts.next()?.parse().ok()?, event: parts.next()?.parse().ok()? };
    parts.next().is_none().then_some(place)
}

/// `GET /v1/crossings?after=&limit=`
pub(super) async fn crossings(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Reply {
    caller.may(Action::ReadChanges, None)?;
    let query = Query::parse(query.as_deref(), &Page::<u64>::QUERY)?;
    let page: Page<u64> = query.page(CROSSINGS_MAX)?;
    let read = move |engine: &Engine| Ok(engine.crossings(page.after.unwrap_or(0), page.limit)?);
    let found = off_thread(&app, read).await?;
    let next_after = page.next(&found, |(place, _)| *place);
    let items = found.into_iter().map(|(place, crossing)| wire::Crossing {
        place,
        account: Text(crossing.account),
        tier: crossing.tier.code().to_owned(),
        edge: crossing.edge.code().to_owned(),
        threshold: Text(crossing.threshold),
        balance: Text(crossing.balance),
        number: crossing.number,
        at: Text(crossing.at),
        action: crossing.action.code().to_owned(),
    });
    Ok(json(StatusCode::OK, &CrossingList { items: items.collect(), next_after }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let place = Place { transfer: u64::MAX, event: 7 };
        assert_eq!(read_cursor(&cursor(place)), Some(place));
        let odd = |text: &str| read_cursor(&URL_SAFE_NO_PAD.encode(text));
        for bad in ["", "1", "1 2", "2 2 3", "1 2 3 4", "1 -2 3", "1 2 99999999999999999999"] {
            assert_eq!(odd(bad), None, "{bad}");
        }
        assert_eq!(read_cursor("%%%"), None);
    }
}
