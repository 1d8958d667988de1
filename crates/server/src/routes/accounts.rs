//! Accounts, their balances, statements and signature chains.

use super::payments::IDEMPOTENCY_KEY;
use super::{Reply, guards, json, no_such_action, off_thread, people};
use crate::app::App;
use crate::approving::{self, Asked};
use crate::body::{self, Query};
use crate::fault::{QueryFault, ValueFault};
use crate::gate::{About, Caller};
use crate::oauth::{Reader, Wanted};
use crate::problem::{Code, Problem};
use crate::view;
use crate::wire::{AccountList, ChainHead, Fund, OpenAccount, Statement, Text};
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;
use tpw_access::Action;
use tpw_access::oauth::Scope;
use tpw_core::{AccountId, Amount, DeviceId, Hash32, Money, PersonId, TransferId};
use tpw_engines::{AccountView, Engine};
use tpw_flow::{Adjustment, Command, Frozen};
use tpw_ledger::{AccountKind, Balance, FreezeReason, Side, StatementPoint, TransferRow};

/// The most transfers of one page of a statement.
const PAGE_MAX: usize = 250;

/// An account that the caller may know.
pub(super) async fn known(
    app: &Arc<App>,
    caller: &Caller,
    id: &str,
) -> Result<AccountView, Problem> {
    let view = stored(app, body::id(id)?).await?;
    caller.may_know(Action::ReadAccount, view.owner.person, Code::UnknownAccount)?;
    Ok(view)
}

/// An account that the reader may know: their own, or one that was delegated to them.
async fn readable(
    app: &Arc<App>,
    reader: &Reader,
    id: &str,
    scope: Scope,
) -> Result<AccountView, Problem> {
    let view = stored(app, body::id(id)?).await?;
    let wanted = Wanted { scope, action: Action::ReadAccount, unknown: Code::UnknownAccount };
    reader.may_read(app, wanted, view.account.id, view.owner.person).await?;
    Ok(view)
}

async fn stored(app: &Arc<App>, id: AccountId) -> Result<AccountView, Problem> {
    let found = off_thread(app, move |engine| Ok(engine.account(&id)?)).await?;
    found.ok_or_else(|| Problem::new(Code::UnknownAccount))
}

/// `GET /v1/accounts`: the caller's own, or with `person` anybody's for an operator.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Reply {
    let query = Query::parse(query.as_deref(), &["person"])?;
    let person: PersonId = query.value("person")?.unwrap_or_else(|| caller.session.person());
    caller.may_know(Action::ReadAccount, Some(person), Code::UnknownPerson)?;
    let now = app.engine.now();
    let items = off_thread(&app, move |engine| Ok(engine.accounts_of(person)?)).await?;
    let items = items.iter().map(|account| view::account(account, now)).collect();
    Ok(json(StatusCode::OK, &AccountList { items }))
}

/// `GET /v1/accounts/{id}`
pub(super) async fn read(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path(id): Path<String>,
) -> Reply {
    let view = readable(&app, &reader, &id, Scope::BalanceRead).await?;
    Ok(json(StatusCode::OK, &view::account(&view, app.engine.now())))
}

/// `POST /v1/accounts`: for a person, or for nobody at a clearing partner. Only an operator brings money in.
pub(super) async fn open(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    caller.could(Action::OpenAccount)?;
    let request: OpenAccount = body::json(&headers, body, app.small_body()).await?;
    let person = request.person.map(|Text(person)| person);
    let order = people::order(&request.account, "/account", app.engine.now())?;
    let ownerless = matches!(order.kind, AccountKind::External | AccountKind::Operating);
    if ownerless != person.is_none() {
        return Err(Problem::bad_value("/person", ValueFault::Owner));
    }
    if person.is_some() {
        caller.may(Action::OpenAccount, person)?;
        // Bringing money in on opening is funding: not in the operator's own favour. Much is brought in by itself, where others can
        // be asked.
        if !order.opening.is_zero() {
            let money = Some(Money { amount: order.opening, asset: order.asset });
            let about = About { owner: person, money, serves: [person, None], ..About::default() };
            caller.may_alone(Action::Fund, &about)?;
        }
    } else {
        // Accounts that are nobody's are for who may order transfers between them.
        caller.may(Action::Order, None)?;
        // What they are opened with is a transfer to them.
        if !order.opening.is_zero() {
            let money = Some(Money { amount: order.opening, asset: order.asset });
            caller.may_alone(Action::Order, &About { money, ..About::default() })?;
        }
    }
    let id = order.id;
    let command = Command::OpenAccount { person, order: order.clone() };
    let status = match app.engine.command(command).await {
        Ok(_) => StatusCode::CREATED,
        // The same account once more changes nothing.
        Err(error) if request.account.id.is_some() => {
            let read = move |engine: &Engine| people::same_account(engine, &order, person);
            if !off_thread(&app, read).await? {
                return Err(error.into());
            }
            StatusCode::OK
        }
        Err(error) => return Err(error.into()),
    };
    let view = stored(&app, id).await?;
    Ok(json(status, &view::account(&view, app.engine.now())))
}

/// `POST /v1/accounts/{id}:fund`, `:freeze`, `:unfreeze`, `:close`
pub(super) async fn act(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(target): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let Some((id, verb)) = target.split_once(':') else { return Ok(no_such_action()) };
    let action = match verb {
        "fund" => Action::Fund,
        "freeze" => Action::Freeze,
        "unfreeze" => Action::Unfreeze,
        "close" => Action::CloseAccount,
        _ => return Err(Problem::new(Code::NotFound)),
    };
    let view = guards::found(&app, &caller, id, action).await?;
    let account = view.account.id;
    let command = match action {
        Action::Fund => {
            let transfer = transfer_id(&headers)?;
            let Fund { amount: Text(amount) } =
                body::json(&headers, body, app.small_body()).await?;
            if amount.is_zero() {
                return Err(Problem::bad_value("/amount", ValueFault::Zero));
            }
            let needed = guards::ask(&caller, &view, action, Some(amount))?;
            // What was carried out once is not asked for again: the desk tells whether it was this.
            let used = move |engine: &Engine| Ok(engine.is_transfer_used(transfer)?);
            if needed > 0 && !off_thread(&app, used).await? {
                let sides = view.owner.person.into_iter().collect();
                let operation = approving::fund(account, amount, transfer);
                let asked = Asked::new(operation, sides, needed);
                return approving::asked(&app, &caller, asked).await;
            }
            Command::Fund { account, amount, transfer }
        }
        Action::CloseAccount => {
            guards::alone(&caller, &view, action)?;
            Command::Adjust(Adjustment::Close { account })
        }
        Action::Freeze => {
            guards::alone(&caller, &view, action)?;
            match guards::freeze_reason(&app, &headers, body).await? {
                FreezeReason::Operator => Command::Freeze { account, frozen: Frozen::Yes },
                why => Command::Adjust(Adjustment::Freeze { account, why }),
            }
        }
        _ => {
            let why = guards::freeze_reason(&app, &headers, body).await?;
            if let Some(asked) = guards::ask_to_unfreeze(&app, &caller, &view, why).await? {
                return Ok(asked);
            }
            match why {
                FreezeReason::Operator => Command::Freeze { account, frozen: Frozen::No },
                why => Command::Adjust(Adjustment::Unfreeze { account, why }),
            }
        }
    };
    app.engine.command(command).await?;
    let view = stored(&app, account).await?;
    Ok(json(StatusCode::OK, &view::account(&view, app.engine.now())))
}

/// The id of the transfer that a funding makes. The caller made it: the same order sent again moves nothing.
fn transfer_id(headers: &HeaderMap) -> Result<TransferId, Problem> {
    let key = headers.get(&IDEMPOTENCY_KEY).ok_or_else(|| Problem::new(Code::KeyMissing))?;
    let id = key.to_str().ok().and_then(|key| key.parse().ok());
    id.ok_or_else(|| Problem::bad_value("Idempotency-Key", ValueFault::TransferId))
}

/// `GET /v1/accounts/{id}/chain?device=`
pub(super) async fn chain(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    let query = Query::parse(query.as_deref(), &["device"])?;
    let device: DeviceId = query.value("device")?.unwrap_or_else(|| caller.session.device());
    let account = known(&app, &caller, &id).await?.account.id;
    let head = app.engine.chain_head(device, account);
    Ok(json(StatusCode::OK, &ChainHead { sequence: head.sequence, hash: Text(head.hash) }))
}

/// `GET /v1/accounts/{id}/statement?limit=&page_token=`: newest page first, each page oldest first.
pub(super) async fn statement(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    let query = Query::parse(query.as_deref(), &["limit", "page_token"])?;
    let limit = query.limit(PAGE_MAX)?;
    let view = readable(&app, &reader, &id, Scope::StatementsRead).await?;
    let closing = match query.text("page_token") {
        Some(token) => {
            let point = read_token(token).map(|PageToken(point)| point);
            point.ok_or_else(|| Problem::bad_query("page_token", &QueryFault::Page))?
        }
        None => view.account.point(),
    };
    let account = view.account.id;
    let page = off_thread(&app, move |engine| page(engine, account, closing, limit)).await?;
    Ok(json(StatusCode::OK, &page))
}

/// The transfers before `closing`, at most `limit` of them.
fn page(
    engine: &Engine,
    account: AccountId,
    closing: StatementPoint,
    limit: usize,
) -> Result<Statement, Problem> {
    let bad_token = || Problem::bad_query("page_token", &QueryFault::Page);
    // One row more tells the chain's head at the opening.
    let rows = match closing.last {
        0 => Vec::new(),
        last => engine.statement(account, Some(last), limit.saturating_add(1))?,
    };
    if closing.last != 0
        && rows.first().and_then(|row| chain_of(row, &account)) != Some(closing.chain)
    {
        return Err(bad_token());
    }
    let mut opening = closing;
    for (place, row) in rows.iter().take(limit).enumerate() {
        let before = rows.get(place.saturating_add(1));
        opening = previous(&opening, row, before, &account).ok_or_else(bad_token)?;
    }
    let items = rows.iter().take(limit).rev().map(view::transfer).collect();
    let next_page = (opening.last != 0).then(|| PageToken(opening).to_string());
    Ok(Statement {
        account: Text(account),
        opening: view::point(&opening),
        items,
        closing: view::point(&closing),
        next_page,
    })
}

fn chain_of(row: &TransferRow, account: &AccountId) -> Option<Hash32> {
    match row.side_of(account)? {
        Side::Debit => Some(row.debit_chain),
        Side::Credit => Some(row.credit_chain),
    }
}

/// Where the chain stood before `row`: `point` taken back by one.
fn previous(
    point: &StatementPoint,
    row: &TransferRow,
    before: Option<&TransferRow>,
    account: &AccountId,
) -> Option<StatementPoint> {
    let amount = row.money.amount;
    let (last, balance) = match (row.side_of(account)?, row.kind.moves_money()) {
        (Side::Debit, true) => (row.prev_debit, point.balance.credited(amount)?),
        (Side::Credit, true) => (row.prev_credit, point.balance.debited(amount)?),
        (Side::Debit, false) => (row.prev_debit, point.balance),
        (Side::Credit, false) => (row.prev_credit, point.balance),
    };
    let chain = match (last, before) {
        (0, _) => Hash32::ZERO,
        (_, Some(before)) => chain_of(before, account)?,
        (_, None) => return None,
    };
    Some(StatementPoint { transfers: point.transfers.checked_sub(1)?, last, chain, balance })
}

/// A point of a statement as an opaque text. Its chain head is compared with the books; a forged balance or count
/// would only spoil the forger's own statement, which then no longer leads to zero at the beginning.
struct PageToken(StatementPoint);

impl core::fmt::Display for PageToken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let StatementPoint { transfers, last, chain, balance } = &self.0;
        let text = format!("1 {transfers} {last} {chain} {balance}");
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

fn read_token(text: &str) -> Option<PageToken> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() <= 256)?;
    let text = String::from_utf8(bytes).ok()?;
    let mut parts = text.split(' ');
    if parts.next()? != "1" {
        return None;
    }
    let transfers = parts.next()?.parse().ok()?;
    let last = parts.next()?.parse().ok()?;
    let chain = parts.next()?.parse().ok()?;
    let balance = parts.next()?;
    let (negative, magnitude) = match balance.strip_prefix('-') {
        Some(magnitude) => (true, magnitude),
        None => (false, balance),
    };
    let magnitude: Amount = magnitude.parse().ok()?;
    let balance = if negative {
        Balance::between(Amount::ZERO, magnitude)
    } else {
        Balance::between(magnitude, Amount::ZERO)
    };
    if parts.next().is_some() {
        return None;
    }
    Some(PageToken(StatementPoint { transfers, last, chain, balance }))
}
