//! What an account may do, how it is watched, what it had in the past, and sets of accounts.

use super::accounts::known;
use super::{Reply, json, off_thread};
use crate::app::App;
use crate::approving::{self, Asked};
use crate::body::{self, Page, Query};
use crate::fault::ValueFault;
use crate::gate::{About, Caller};
use crate::problem::{Code, Problem};
use crate::wire::{
    AccountGuards, AccountLimits, AccountSet, Freeze, MemberList, NewAccountSet, PastBalance, Text,
    VelocityLimit, VelocityLimits, VelocityUse, Watch,
};
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response, StatusCode};
use core::str::FromStr;
use std::sync::Arc;
use tpw_access::Action;
use tpw_access::approval::Operation;
use tpw_core::{AccountSetId, Amount, Instant, Money, Span};
use tpw_engines::{AccountView, Engine, PayError};
use tpw_flow::{Adjustment, Command, Rejection};
use tpw_ledger::{
    FreezeReason, LedgerError, Limits, Member, Membership, Tier, Velocity, WatchAction,
};

/// The most members of one page.
const MEMBERS_MAX: usize = 1_000;

/// An account that the caller may change in this way, by itself.
pub(super) async fn changeable(
    app: &Arc<App>,
    caller: &Caller,
    id: &str,
    action: Action,
) -> Result<AccountView, Problem> {
    let view = found(app, caller, id, action).await?;
    alone(caller, &view, action)?;
    Ok(view)
}

/// Refuses what the caller may not do to this account, or not without others.
pub(super) fn alone(caller: &Caller, view: &AccountView, action: Action) -> Result<(), Problem> {
    match ask(caller, view, action, None)? {
        0 => Ok(()),
        missing => Err(Problem::approvals_missing(missing)),
    }
}

/// An account that the caller may know, if it could change others' in this way.
pub(super) async fn found(
    app: &Arc<App>,
    caller: &Caller,
    id: &str,
    action: Action,
) -> Result<AccountView, Problem> {
    caller.could(action)?;
    known(app, caller, id).await
}

/// Asks whether the caller may change this account, and gives how many others have to agree. What is nobody's is changed by who may
/// order transfers between such accounts.
pub(super) fn ask(
    caller: &Caller,
    view: &AccountView,
    action: Action,
    amount: Option<Amount>,
) -> Result<u32, Problem> {
    let owner = view.owner.person;
    let action = if owner.is_some() { action } else { Action::Order };
    let money = amount.map(|amount| Money { amount, asset: view.account.asset });
    caller.ask(action, &About { owner, money, serves: [owner, None], ..About::default() })
}

/// What is asked for once more holds already, and there is nothing to do.
async fn adjust(app: &App, adjustment: Adjustment) -> Result<(), PayError> {
    match app.engine.command(Command::Adjust(adjustment)).await {
        Ok(_)
        | Err(PayError::Rejected(Rejection::Ledger(
            LedgerError::AlreadyMember | LedgerError::NotMember | LedgerError::NotWatched,
        ))) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Changes an account and tells what guards it then.
async fn changed(app: &Arc<App>, view: &AccountView, adjustment: Adjustment) -> Reply {
    adjust(app, adjustment).await?;
    guarded(app, view).await
}

/// The reason in the body of a freeze, if there is a body.
pub(super) async fn freeze_reason(
    app: &App,
    headers: &HeaderMap,
    body: Body,
) -> Result<FreezeReason, Problem> {
    let bytes = body::read(headers, body, app.small_body()).await?;
    let reason = if bytes.is_empty() { None } else { body::parse::<Freeze>(&bytes)?.reason };
    let Some(reason) = reason else { return Ok(FreezeReason::Operator) };
    let unknown = || Problem::bad_value("/reason", ValueFault::Code);
    FreezeReason::from_code(&reason).ok_or_else(unknown)
}

/// `GET /v1/accounts/{id}/balance?at=`
pub(super) async fn balance(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    let query = Query::parse(query.as_deref(), &["at"])?;
    let at: Instant = query.value("at")?.unwrap_or_else(|| app.engine.now());
    let account = known(&app, &caller, &id).await?.account.id;
    let past = off_thread(&app, move |engine| Ok(engine.past(account, at)?)).await?;
    let past = past.ok_or_else(|| Problem::new(Code::UnknownAccount))?;
    let balance = PastBalance {
        account: Text(account),
        at: Text(at),
        posted: Text(past.booked.balance()),
        available: Text(past.booked.available()),
        by_value: Text(past.by_value),
        transfers: past.booked.transfers,
        as_of_transfer: past.booked.number,
    };
    Ok(json(StatusCode::OK, &balance))
}

/// `GET /v1/accounts/{id}/guards`
pub(super) async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Reply {
    let view = known(&app, &caller, &id).await?;
    guarded(&app, &view).await
}

async fn guarded(app: &Arc<App>, view: &AccountView) -> Reply {
    let id = view.account.id;
    let unknown = || Problem::new(Code::UnknownAccount);
    let guards = app.engine.guards(id).await?.ok_or_else(unknown)?;
    let velocities = guards.velocities.iter().map(|row| VelocityUse {
        limit: VelocityLimit {
            window_s: row.window.as_ms().div_euclid(1000),
            amount_max: row.amount_max.map(Text),
            count_max: row.count_max,
        },
        since: Text(row.since),
        amount: Text(row.amount),
        count: row.count,
    });
    // The limits may just have been changed.
    let now = off_thread(app, move |engine| Ok(engine.account(&id)?)).await?;
    let limits = now.map_or(view.account.limits, |view| view.account.limits);
    let guards = AccountGuards {
        account: Text(id),
        limits: AccountLimits {
            debit_max: limits.debit_max_per_transfer().map(Text),
            balance_max: limits.balance_max().map(Text),
        },
        velocities: velocities.collect(),
        watch: guards.watch.map(|watch| Watch {
            tier: watch.tier.code().to_owned(),
            below: watch.below.map(Text),
            above: watch.above.map(Text),
            action: watch.action.code().to_owned(),
        }),
    };
    Ok(json(StatusCode::OK, &guards))
}

/// `PUT /v1/accounts/{id}/limits`
pub(super) async fn limits(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let view = found(&app, &caller, &id, Action::SetLimits).await?;
    let wanted: AccountLimits = body::json(&headers, body, app.small_body()).await?;
    let limits = Limits::NONE
        .with_debit_max_per_transfer(wanted.debit_max.map(|Text(max)| max))
        .with_balance_max(wanted.balance_max.map(|Text(max)| max));
    // No limit at all is the highest one.
    let highest = [limits.debit_max_per_transfer(), limits.balance_max()];
    let amount = highest.into_iter().map(|limit| limit.unwrap_or(Amount::MAX)).max();
    let needed = ask(&caller, &view, Action::SetLimits, amount)?;
    let operation = approving::limits(view.account.id, limits);
    if let Some(asked) = ask_above(&app, &caller, &view, (amount, needed), operation).await? {
        return Ok(asked);
    }
    changed(&app, &view, Adjustment::SetLimits { account: view.account.id, limits }).await
}

/// Asks for approval of what lets an amount move, if the policies or the amount need it; `None` if nothing does.
async fn ask_above(
    app: &Arc<App>,
    caller: &Caller,
    view: &AccountView,
    (amount, needed): (Option<Amount>, u32),
    operation: Operation,
) -> Result<Option<Response<Body>>, Problem> {
    let money = Money { amount: amount.unwrap_or(Amount::ZERO), asset: view.account.asset };
    let needed = needed.max(app.engine.approvals_needed(money).map_or(0, u32::from));
    if needed == 0 {
        return Ok(None);
    }
    let sides = view.owner.person.into_iter().collect();
    approving::asked(app, caller, Asked::new(operation, sides, needed)).await.map(Some)
}

/// Asks for approval of an unfreezing, if there is so much on the account that it needs one.
pub(super) async fn ask_to_unfreeze(
    app: &Arc<App>,
    caller: &Caller,
    view: &AccountView,
    why: FreezeReason,
) -> Result<Option<Response<Body>>, Problem> {
    let amount = view.account.credits_posted.minus(view.account.debits_posted);
    let needed = ask(caller, view, Action::Unfreeze, amount)?;
    let operation = approving::unfreeze(view.account.id, why);
    ask_above(app, caller, view, (amount, needed), operation).await
}

/// `PUT /v1/accounts/{id}/velocities`
pub(super) async fn velocities(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let view = changeable(&app, &caller, &id, Action::SetLimits).await?;
    let wanted: VelocityLimits = body::json(&headers, body, app.small_body()).await?;
    let velocities = wanted.limits.iter().map(|limit| Velocity {
        window: Span::from_secs(limit.window_s),
        amount_max: limit.amount_max.map(|Text(max)| max),
        count_max: limit.count_max,
    });
    let (account, velocities) = (view.account.id, velocities.collect());
    changed(&app, &view, Adjustment::SetVelocities { account, velocities }).await
}

/// `PUT /v1/accounts/{id}/watch`
pub(super) async fn watch(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let view = changeable(&app, &caller, &id, Action::SetLimits).await?;
    let wanted: Watch = body::json(&headers, body, app.small_body()).await?;
    let unknown = |field| Problem::bad_value(field, ValueFault::Code);
    let watch = tpw_ledger::Watch {
        tier: Tier::from_code(&wanted.tier).ok_or_else(|| unknown("/tier"))?,
        below: wanted.below.map(|Text(amount)| amount),
        above: wanted.above.map(|Text(amount)| amount),
        action: WatchAction::from_code(&wanted.action).ok_or_else(|| unknown("/action"))?,
    };
    let account = view.account.id;
    changed(&app, &view, Adjustment::SetWatch { account, watch: Some(watch) }).await
}

/// `DELETE /v1/accounts/{id}/watch`
pub(super) async fn unwatch(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Reply {
    let view = changeable(&app, &caller, &id, Action::SetLimits).await?;
    changed(&app, &view, Adjustment::SetWatch { account: view.account.id, watch: None }).await
}

async fn set_view(app: &App, id: AccountSetId) -> Result<Option<AccountSet>, Problem> {
    let set = app.engine.account_set(id).await?;
    Ok(set.map(|set| AccountSet {
        id: Text(id),
        asset: Text(set.row.asset),
        opened: Text(set.row.opened),
        accounts: set.accounts,
        posted: Text(set.balance()),
        available: Text(set.available()),
    }))
}

async fn answered(app: &App, id: AccountSetId, status: StatusCode) -> Reply {
    let set = set_view(app, id).await?;
    let set = set.ok_or_else(|| Problem::new(Code::UnknownAccountSet))?;
    Ok(json(status, &set))
}

/// `GET /v1/account_sets/{id}`
pub(super) async fn read_set(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Reply {
    caller.may(Action::ManageSets, None)?;
    answered(&app, body::id(&id)?, StatusCode::OK).await
}

/// `PUT /v1/account_sets/{id}`: the same set once more changes nothing.
pub(super) async fn open_set(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    caller.may(Action::ManageSets, None)?;
    let id: AccountSetId = body::id(&id)?;
    let NewAccountSet { asset: Text(asset) } = body::json(&headers, body, app.small_body()).await?;
    match set_view(&app, id).await? {
        Some(set) if set.asset.0 == asset => return Ok(json(StatusCode::OK, &set)),
        Some(_) => return Err(Problem::new(Code::IdInUse).field("account set")),
        None => {}
    }
    adjust(&app, Adjustment::OpenSet { id, asset }).await?;
    answered(&app, id, StatusCode::CREATED).await
}

/// A member as its id says it.
#[derive(Clone, Copy)]
struct MemberId(Member);

impl FromStr for MemberId {
    type Err = <AccountSetId as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(account) => Ok(Self(Member::Account(account))),
            Err(_other) => text.parse().map(|set| Self(Member::Set(set))),
        }
    }
}

impl core::fmt::Display for MemberId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Member::Account(account) => account.fmt(f),
            Member::Set(set) => set.fmt(f),
        }
    }
}

/// `GET /v1/account_sets/{id}/members?after=&limit=`
pub(super) async fn members(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    caller.may(Action::ManageSets, None)?;
    let id: AccountSetId = body::id(&id)?;
    let query = Query::parse(query.as_deref(), &Page::<MemberId>::QUERY)?;
    let page: Page<MemberId> = query.page(MEMBERS_MAX)?;
    let unknown = || Problem::new(Code::UnknownAccountSet);
    app.engine.account_set(id).await?.ok_or_else(unknown)?;
    let after = page.after.map(|MemberId(member)| member);
    let read = move |engine: &Engine| Ok(engine.members(id, after, page.limit)?);
    let members = off_thread(&app, read).await?;
    let next_after = page.next(&members, |member| MemberId(*member));
    let list = MemberList {
        items: members.iter().map(|member| MemberId(*member).to_string()).collect(),
        next_after: next_after.map(|member| member.to_string()),
    };
    Ok(json(StatusCode::OK, &list))
}

/// Changes who belongs to a set and tells what the set then is.
async fn change_members(
    app: &App,
    caller: &Caller,
    set: &str,
    member: &str,
    change: fn(Membership) -> Adjustment,
) -> Reply {
    caller.may(Action::ManageSets, None)?;
    let MemberId(member) = body::id(member)?;
    let set = body::id(set)?;
    adjust(app, change(Membership { set, member })).await?;
    answered(app, set, StatusCode::OK).await
}

/// `PUT /v1/account_sets/{id}/members/{member}`
pub(super) async fn join(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((set, member)): Path<(String, String)>,
) -> Reply {
    change_members(&app, &caller, &set, &member, Adjustment::Join).await
}

/// `DELETE /v1/account_sets/{id}/members/{member}`
pub(super) async fn leave(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((set, member)): Path<(String, String)>,
) -> Reply {
    change_members(&app, &caller, &set, &member, Adjustment::Leave).await
}
