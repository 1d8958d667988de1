//! A partner's statement set against the ledger.

use super::accounts::known;
use super::{Reply, json, off_thread};
use crate::app::{App, Peer};
use crate::body::{self, BodyLimit, Query};
use crate::fault::QueryFault;
use crate::gate::Caller;
use crate::problem::{Code, Problem};
use crate::wire::{self, ReconciledLines, ReconciledTotal, ReconciliationList, Text};
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use std::collections::HashMap;
use std::sync::Arc;
use tpw_access::Action;
use tpw_core::{AccountId, Instant, PaymentId, Span, TransferId};
use tpw_engines::Engine;
use tpw_flow::timeless_transfers;
use tpw_ledger::reconcile::{
    Day, LINES_MAX, LedgerExtract, LedgerLine, Outcome, PartnerLine, PartnerStatement, Period,
    ReconcileError, Reconciliation, Sides, Terms, Zone, camt, csv, reconcile,
};
use tpw_ledger::{Account, Balance, Side, TransferRow};

/// How many transfers are read at once.
const PAGE_LEN: usize = 4_096;
/// How many days may lie between the two sides if nobody says otherwise.
const WINDOW_DAYS: u32 = 2;

/// What the query asks for.
struct Wanted {
    partner_account: Option<String>,
    period: Option<Period>,
    terms: Terms,
    every_line: bool,
}

/// `POST /v1/reconciliations?account=…`: a camt.053 or CSV file as it is. It changes nothing.
pub(super) async fn run(
    State(app): State<Arc<App>>,
    caller: Caller,
    Peer(from): Peer,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    caller.may(Action::Reconcile, None)?;
    let known_names =
        ["account", "partner_account", "from", "to", "window_days", "zone", "sides", "show"];
    let query = Query::parse(query.as_deref(), &known_names)?;
    let missing = || Problem::bad_query("account", &QueryFault::Missing);
    let id = query.text("account").ok_or_else(missing)?;
    let account = known(&app, &caller, id).await?.account;
    let wanted = wanted(&query, &account)?;
    let is_csv = match body::media_type(&headers).as_str() {
        "application/xml" | "text/xml" => false,
        "text/csv" => true,
        _ => {
            let expected = "application/xml (camt.053) or text/csv";
            return Err(Problem::new(Code::UnsupportedType).with("expected", expected));
        }
    };
    let place = app.ordered.body(from)?;
    let limit = BodyLimit { bytes: app.limits.partner_bytes, time: app.limits.body_time };
    let file = body::read(&headers, body, limit).await?;
    let turn = app.ordered.turn(place).await?;
    let items = off_thread(&app, move |engine| {
        // The turn lasts as long as the work, also when nobody waits for its end any more.
        let _turn = turn;
        let statements = statements(&file, is_csv, &account, &wanted)?;
        statements
            .iter()
            .map(|statement| reconciled(engine, &account, statement, &wanted))
            .collect()
    });
    Ok(json(StatusCode::OK, &ReconciliationList { items: items.await? }))
}

fn wanted(query: &Query, account: &Account) -> Result<Wanted, Problem> {
    let period = match (query.value::<Day>("from")?, query.value::<Day>("to")?) {
        (None, None) => None,
        (Some(from), Some(to)) => {
            let wrong = || Problem::bad_query("to", &QueryFault::Form("before `from`".to_owned()));
            Some(Period::new(from, to).ok_or_else(wrong)?)
        }
        (None, Some(_)) => return Err(Problem::bad_query("from", &QueryFault::Missing)),
        (Some(_), None) => return Err(Problem::bad_query("to", &QueryFault::Missing)),
    };
    let sides = match query.text("sides") {
        None => Sides::of(account.kind),
        Some("same") => Sides::Same,
        Some("mirrored") => Sides::Mirrored,
        Some(_) => return Err(one_of("sides", "same or mirrored")),
    };
    let every_line = match query.text("show") {
        None | Some("open") => false,
        Some("all") => true,
        Some(_) => return Err(one_of("show", "open or all")),
    };
    let terms = Terms {
        window_days: query.value("window_days")?.unwrap_or(WINDOW_DAYS),
        zone: query.value("zone")?.unwrap_or(Zone::UTC),
        sides,
    };
    // Asked before a file is read for it.
    if terms.window_days > Terms::WINDOW_DAYS_MAX {
        return Err(ReconcileError::Window(terms.window_days).into());
    }
    let partner_account = query.text("partner_account").map(str::to_owned);
    Ok(Wanted { partner_account, period, terms, every_line })
}

fn one_of(field: &str, choices: &str) -> Problem {
    Problem::bad_query(field, &QueryFault::Form(choices.to_owned()))
}

fn statements(
    file: &Bytes,
    is_csv: bool,
    account: &Account,
    wanted: &Wanted,
) -> Result<Vec<PartnerStatement>, Problem> {
    if is_csv {
        return Ok(vec![csv::read(file, account.asset, wanted.period)?]);
    }
    Ok(camt::read(file, account.asset, wanted.partner_account.as_deref())?)
}

fn reconciled(
    engine: &Engine,
    account: &Account,
    statement: &PartnerStatement,
    wanted: &Wanted,
) -> Result<wire::Reconciliation, Problem> {
    let ledger = extract(engine, account, statement, &wanted.terms)?;
    let done = reconcile(&ledger, statement, &wanted.terms)?;
    Ok(view(account.id, statement, &done, wanted))
}

/// The ledger's side: the balances around the period by value date, and all transfers of the period and of the days of the
/// window around it.
fn extract(
    engine: &Engine,
    account: &Account,
    statement: &PartnerStatement,
    terms: &Terms,
) -> Result<LedgerExtract, Problem> {
    let period = statement.period;
    let begins = period.from().start(terms.zone);
    let ends = period.to().next().start(terms.zone).minus(Span::from_ms(1));
    let balance = |at: Instant| -> Result<Balance, Problem> {
        let past = engine.past(account.id, at)?;
        Ok(past.ok_or_else(|| Problem::new(Code::UnknownAccount))?.by_value)
    };
    let opening = balance(begins.minus(Span::from_ms(1)))?;
    let closing = balance(ends)?;
    let owners = payments(statement);
    let first = period.from().earlier(terms.window_days).start(terms.zone);
    let last = ends.plus(Span::from_secs(u64::from(terms.window_days).saturating_mul(86_400)));
    let rows = valued(engine, account.id, first, last)?;
    let lines = rows.iter().filter_map(|row| {
        let payment = owners.get(tail(&row.id)).copied();
        LedgerLine::of(row, &account.id, payment, Vec::new())
    });
    let lines = lines.filter(|line| first <= line.at && line.at <= last).collect();
    Ok(LedgerExtract { asset: account.asset, opening, closing, knows_payments: true, lines })
}

/// An account's transfers that can have a value date from `first` to `last`, by number. Few others are read, however long ago that
/// was.
fn valued(
    engine: &Engine,
    account: AccountId,
    first: Instant,
    last: Instant,
) -> Result<Vec<TransferRow>, Problem> {
    let too_many = || Problem::from(ReconcileError::TooManyLines(LINES_MAX));
    let newest = engine.newest_by(account, last)?;
    let mut later = engine.backdated(account, newest, last, LINES_MAX)?;
    let mut rows = Vec::new();
    let mut from = newest;
    while from != 0 {
        let page = engine.statement(account, Some(from), PAGE_LEN)?;
        let Some(oldest) = page.last() else { break };
        from = match oldest.side_of(&account) {
            Some(Side::Debit) => oldest.prev_debit,
            Some(Side::Credit) => oldest.prev_credit,
            None => 0,
        };
        // A value date never lies after its booking: what was booked before is too early in any case.
        if oldest.at < first {
            from = 0;
        }
        rows.extend(page.into_iter().filter(|row| first <= row.at));
        if rows.len().saturating_add(later.len()) > LINES_MAX {
            return Err(too_many());
        }
    }
    rows.reverse();
    rows.append(&mut later);
    Ok(rows)
}

/// Which payment a transfer belongs to, for the payments that the partner names: all but the time in a transfer's id follows from
/// its payment.
fn payments(statement: &PartnerStatement) -> HashMap<[u8; 10], PaymentId> {
    let mut owners = HashMap::new();
    for payment in statement.ids().into_iter().map(PaymentId::from_bytes) {
        for transfer in timeless_transfers(payment) {
            owners.insert(*tail(&transfer), payment);
        }
    }
    owners
}

/// The id without its time.
fn tail(id: &TransferId) -> &[u8; 10] {
    let (_time, tail) = id.as_bytes().split_last_chunk::<10>().unwrap_or((&[], &[0; 10]));
    tail
}

fn view(
    account: AccountId,
    statement: &PartnerStatement,
    done: &Reconciliation<'_>,
    wanted: &Wanted,
) -> wire::Reconciliation {
    let shown = done.outcomes.iter();
    let shown = shown.filter(|outcome| wanted.every_line || !done.is_fine(outcome.kind()));
    let totals = done.totals.iter().map(|total| ReconciledTotal {
        outcome: total.kind.code().to_owned(),
        count: total.outcomes,
        ledger_lines: total.ledger_lines,
        partner_lines: total.partner_lines,
        difference: Text(total.difference),
    });
    wire::Reconciliation {
        statement: statement.id.clone(),
        partner_account: statement.account.clone(),
        account: Text(account),
        asset: Text(statement.asset),
        from: statement.period.from().to_string(),
        to: statement.period.to().to_string(),
        clean: done.is_clean(),
        proof: done.proof.map(|proof| wire::ReconciliationProof {
            opening: Text(proof.opening),
            unmatched: Text(proof.unmatched),
            closing: Text(proof.closing),
        }),
        totals: totals.collect(),
        items: shown.map(lines).collect(),
    }
}

fn lines(outcome: &Outcome<'_>) -> ReconciledLines {
    let by = match outcome {
        Outcome::Matched { by, .. } => Some(by.code().to_owned()),
        _ => None,
    };
    let differs = match outcome {
        Outcome::Differing { fields, .. } => {
            let all =
                [(fields.amount, "amount"), (fields.direction, "direction"), (fields.day, "day")];
            all.into_iter()
                .filter(|(differs, _)| *differs)
                .map(|(_, name)| name.to_owned())
                .collect()
        }
        _ => Vec::new(),
    };
    ReconciledLines {
        outcome: outcome.kind().code().to_owned(),
        by,
        differs,
        ledger: outcome.ledger_lines().into_iter().map(ledger_line).collect(),
        partner: outcome.partner_lines().into_iter().map(partner_line).collect(),
    }
}

fn side(side: Side) -> String {
    match side {
        Side::Credit => "credit",
        Side::Debit => "debit",
    }
    .to_owned()
}

fn ledger_line(line: &LedgerLine) -> wire::LedgerLine {
    wire::LedgerLine {
        number: line.number,
        transfer: Text(line.transfer),
        side: side(line.side),
        amount: Text(line.amount),
        at: Text(line.at),
        payment: line.payment.map(Text),
    }
}

fn partner_line(line: &PartnerLine) -> wire::PartnerLine {
    let names = &line.references;
    let references = [
        &names.end_to_end,
        &names.transaction,
        &names.instruction,
        &names.uetr,
        &names.servicer,
        &names.entry,
        &names.creditor,
        &names.collective,
    ];
    wire::PartnerLine {
        place: line.place,
        part: line.part,
        side: side(line.side),
        amount: Text(line.amount),
        status: line.status.code().to_owned(),
        reversal: line.reversal,
        booked: line.booked.map(|day| day.to_string()),
        value: line.value.map(|day| day.to_string()),
        references: references.into_iter().flatten().cloned().collect(),
        counterparty: line.counterparty.clone(),
        text: line.text.clone(),
    }
}
