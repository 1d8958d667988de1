//! People and their enrolment codes.

use super::{Reply, json, off_thread};
use crate::app::App;
use crate::body::{self, BodyLimit};
use crate::fault::ValueFault;
use crate::gate::{self, About, Caller};
use crate::problem::{Code, Problem};
use crate::text::Language;
use crate::view;
use crate::wire::{
    self, IssuedCode, NewPerson, PeopleAdded, PeopleBatch, PersonAdded, PersonOutcome, Text,
};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use std::collections::BTreeMap;
use std::sync::Arc;
use tpw_access::{Action, CodeGrant, EnrolmentCode};
use tpw_core::{AccountId, Amount, Asset, Instant, Money, Name, PersonId, TransferId};
use tpw_crypto::Entropy;
use tpw_engines::Engine;
use tpw_engines::entropy::OsEntropy;
use tpw_flow::{Command, NewAccountOrder, Outcome, Rejection};
use tpw_ledger::{AccountKind, Limits};

/// The most accounts that a person is entered with.
const ACCOUNTS_MAX: usize = 16;
/// The most people of one batch.
const BATCH_MAX: usize = 500;

/// Ten random bytes for an id.
pub(crate) fn random() -> Result<[u8; 10], Problem> {
    let mut bytes = [0; 10];
    OsEntropy.fill(&mut bytes).map_err(|error| Problem::internal(&error))?;
    Ok(bytes)
}

/// A request to open an account as the ledger takes it.
pub(super) fn order(
    new: &wire::NewAccount,
    path: &str,
    now: Instant,
) -> Result<NewAccountOrder, Problem> {
    let id = match new.id {
        Some(Text(id)) => id,
        None => AccountId::new(now.unix_ms(), random()?),
    };
    let kind = match new.kind {
        wire::AccountKind::Custodial => AccountKind::Custodial,
        wire::AccountKind::SelfCustodial => AccountKind::SelfCustodial,
        wire::AccountKind::External => AccountKind::External,
        wire::AccountKind::Operating => AccountKind::Operating,
        wire::AccountKind::Issuance => {
            return Err(Problem::bad_value(&format!("{path}/kind"), ValueFault::AccountKind));
        }
    };
    let label = Name::new(&new.label);
    Ok(NewAccountOrder {
        id,
        asset: new.asset.0,
        kind,
        label: label.map_err(|_| Problem::bad_value(&format!("{path}/label"), ValueFault::Name))?,
        opening: new.opening.map_or(Amount::ZERO, |opening| opening.0),
        transfer: TransferId::new(now.unix_ms(), random()?),
        limits: Limits::NONE,
    })
}

/// Whether this very account is there already: the same id, owner, asset, kind and label. With another opening it is the same
/// account and not the same request; once money has moved on it, nobody asks any more.
pub(super) fn same_account(
    engine: &Engine,
    order: &NewAccountOrder,
    person: Option<PersonId>,
) -> Result<bool, Problem> {
    let same = engine.account(&order.id)?.filter(|view| {
        view.owner.person == person
            && view.owner.label == order.label
            && view.account.asset == order.asset
            && view.account.kind == order.kind
    });
    let Some(view) = same else { return Ok(false) };
    if engine.opening(&view.account)?.is_some_and(|opening| opening != order.opening) {
        let problem = Problem::new(Code::ExistsWithDifferent).precisely("opening");
        return Err(problem.field("opening"));
    }
    Ok(true)
}

/// A person to be entered, with the code to be shown, if any.
struct Prepared {
    person: tpw_flow::NewPerson,
    code: Option<EnrolmentCode>,
}

fn prepare(new: &NewPerson, now: Instant) -> Result<Prepared, Problem> {
    if new.accounts.len() > ACCOUNTS_MAX {
        return Err(Problem::bad_value("/accounts", ValueFault::TooMany(ACCOUNTS_MAX)));
    }
    let name = Name::new(&new.name).map_err(|_| Problem::bad_value("/name", ValueFault::Name))?;
    let mut accounts = Vec::with_capacity(new.accounts.len());
    for (place, account) in new.accounts.iter().enumerate() {
        let order = order(account, &format!("/accounts/{place}"), now)?;
        if matches!(order.kind, AccountKind::External | AccountKind::Operating) {
            let field = format!("/accounts/{place}/kind");
            return Err(Problem::bad_value(&field, ValueFault::Owner));
        }
        accounts.push(order);
    }
    let code = if new.enrolment_code { Some(new_code()?) } else { None };
    let id = match new.id {
        Some(Text(id)) => id,
        None => PersonId::new(now.unix_ms(), random()?),
    };
    let granted = code.as_ref().map(|code| (code.hash(), now.plus(CodeGrant::LIFE)));
    Ok(Prepared { person: tpw_flow::NewPerson { id, name, accounts, code: granted }, code })
}

fn new_code() -> Result<EnrolmentCode, Problem> {
    EnrolmentCode::new(&mut OsEntropy).map_err(|error| Problem::internal(&error))
}

impl Prepared {
    fn added(&self) -> PersonAdded {
        PersonAdded {
            person: Text(self.person.id),
            accounts: self.person.accounts.iter().map(|order| Text(order.id)).collect(),
            code: self.code.as_ref().map(|code| code.reveal().to_string()),
            code_expires: self.person.code.map(|(_, expires)| Text(expires)),
        }
    }

    /// Whether this very person is there already, with the same accounts.
    fn is_there(&self, engine: &Engine) -> Result<bool, Problem> {
        if engine.person(&self.person.id).is_none_or(|p| p.name != self.person.name) {
            return Ok(false);
        }
        for order in &self.person.accounts {
            if !same_account(engine, order, Some(self.person.id))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// For a repeated request: the code that was asked for, made anew, because the first was shown once.
    fn code_again(&self) -> Option<Command> {
        let (code, expires) = self.person.code?;
        Some(Command::IssueCode { person: self.person.id, code, expires })
    }
}

/// Asks whether people may be entered with as much as they are: with all the openings of one person in each asset, and the largest of
/// these among all people.
fn may_add<'a>(
    caller: &Caller,
    people: impl IntoIterator<Item = &'a Prepared>,
) -> Result<(), Problem> {
    let mut largest: BTreeMap<Asset, Amount> = BTreeMap::new();
    for prepared in people {
        let opened = prepared.person.accounts.iter().filter(|order| !order.opening.is_zero());
        let opened = opened.map(|order| Money { amount: order.opening, asset: order.asset });
        for Money { amount, asset } in gate::sums(opened) {
            let most = largest.entry(asset).or_insert(amount);
            *most = (*most).max(amount);
        }
    }
    let largest = largest.into_iter().map(|(asset, amount)| Money { amount, asset });
    let largest: Vec<Money> = largest.collect();
    caller.settle(Action::AddPerson, caller.weigh(Action::AddPerson, &largest))?;
    caller.may_alone(Action::AddPerson, &About::default())
}

/// `POST /v1/people`
pub(super) async fn add(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    caller.could(Action::AddPerson)?;
    let new: NewPerson = body::json(&headers, body, app.small_body()).await?;
    let prepared = prepare(&new, app.engine.now())?;
    may_add(&caller, [&prepared])?;
    match app.engine.command(Command::AddPerson(prepared.person.clone())).await {
        Ok(_) => Ok(json(StatusCode::CREATED, &prepared.added())),
        Err(error) if is_taken(&error) => {
            let read = move |engine: &Engine| Ok((prepared.is_there(engine)?, prepared));
            let (true, prepared) = off_thread(&app, read).await? else { return Err(error.into()) };
            if let Some(again) = prepared.code_again() {
                app.engine.command(again).await?;
            }
            Ok(json(StatusCode::OK, &prepared.added()))
        }
        Err(error) => Err(error.into()),
    }
}

fn is_taken(error: &tpw_engines::PayError) -> bool {
    matches!(error, tpw_engines::PayError::Rejected(Rejection::IdInUse { what: "person" }))
}

/// `POST /v1/people:batch`
pub(super) async fn add_batch(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    caller.could(Action::AddPerson)?;
    let limit = BodyLimit { bytes: app.limits.batch_bytes, time: app.limits.body_time };
    let batch: PeopleBatch = body::json(&headers, body, limit).await?;
    if batch.people.is_empty() || batch.people.len() > BATCH_MAX {
        return Err(Problem::bad_value("/people", ValueFault::Count(BATCH_MAX)));
    }
    let now = app.engine.now();
    let prepared: Vec<_> = batch.people.iter().map(|new| prepare(new, now)).collect();
    let ready = || prepared.iter().filter_map(|item| item.as_ref().ok());
    may_add(&caller, ready())?;
    let commands = ready().map(|item| Command::AddPerson(item.person.clone())).collect();
    let outcomes = app.engine.commands(commands).await?;
    let language = caller.language;
    let read = move |engine: &Engine| Ok(told(engine, prepared, outcomes, language));
    let (items, codes) = off_thread(&app, read).await?;
    if !codes.is_empty() {
        for outcome in app.engine.commands(codes).await? {
            outcome.map_err(Problem::from)?;
        }
    }
    Ok(json(StatusCode::OK, &PeopleAdded { items }))
}

/// What became of each person, and the codes that are to be issued anew.
fn told(
    engine: &Engine,
    prepared: Vec<Result<Prepared, Problem>>,
    outcomes: Vec<Outcome>,
    language: Language,
) -> (Vec<PersonOutcome>, Vec<Command>) {
    let (mut outcomes, mut codes) = (outcomes.into_iter(), Vec::new());
    let mut one = |item: Prepared| match outcomes.next() {
        Some(Ok(_)) => Ok(PersonOutcome::Created(item.added())),
        Some(Err(Rejection::IdInUse { what: "person" })) if item.is_there(engine)? => {
            codes.extend(item.code_again());
            Ok(PersonOutcome::Exists(item.added()))
        }
        Some(Err(rejection)) => Err(rejection.into()),
        None => Err(Problem::new(Code::Internal)),
    };
    let items = prepared.into_iter().map(|item| {
        let done = item.and_then(&mut one);
        done.unwrap_or_else(|problem| rejected(&problem, language))
    });
    (items.collect(), codes)
}

fn rejected(problem: &Problem, language: Language) -> PersonOutcome {
    let detail = problem.detail(language);
    PersonOutcome::Rejected { code: problem.wire_code().to_owned(), detail }
}

/// `POST /v1/people/{id}/codes`
pub(super) async fn issue_code(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Reply {
    let person: PersonId = body::id(&id)?;
    caller.may(Action::IssueCode, Some(person))?;
    let code = new_code()?;
    let expires = app.engine.now().plus(CodeGrant::LIFE);
    let command = Command::IssueCode { person, code: code.hash(), expires };
    app.engine.command(command).await?;
    let issued = IssuedCode {
        person: Text(person),
        code: code.reveal().to_string(),
        code_expires: Text(expires),
    };
    Ok(json(StatusCode::CREATED, &issued))
}

/// `GET /v1/people/{id}`
pub(super) async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Reply {
    let id: PersonId = body::id(&id)?;
    caller.may_know(Action::ReadPerson, Some(id), Code::UnknownPerson)?;
    let person = off_thread(&app, move |engine| {
        let person = engine.person(&id).ok_or_else(|| Problem::new(Code::UnknownPerson))?;
        let mut devices = engine.devices_of(id);
        devices.sort_by_key(|device| device.id);
        Ok(wire::Person {
            id: Text(id),
            name: person.name.as_str().to_owned(),
            added: Text(person.added),
            accounts: engine.accounts_of(id)?.iter().map(|view| Text(view.account.id)).collect(),
            devices: devices.iter().map(view::device).collect(),
        })
    });
    Ok(json(StatusCode::OK, &person.await?))
}
