//! What a person lets others read: given, shown and taken back by the person's own device.

use super::books::{self, Change, Stored};
use super::clients::{scope_names, scopes};
use crate::app::App;
use crate::body;
use crate::fault::ValueFault;
use crate::gate::Caller;
use crate::problem::{Code, Problem};
use crate::routes::{Reply, json, off_thread};
use crate::wire::{self, DelegationList, NewDelegation, Text};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use std::sync::Arc;
use tpw_access::oauth::delegation::{ACCOUNTS_MAX, ALIVE_MAX};
use tpw_access::oauth::{
    ClientId, Delegation, DelegationError, DelegationId, Delegations, Grantee,
};
use tpw_core::{AccountId, PersonId};
use tpw_crypto::Entropy as _;
use tpw_engines::entropy::OsEntropy;

/// Sixteen random bytes for an id.
pub(super) fn random() -> Result<[u8; 16], Problem> {
    let mut bytes = [0; 16];
    OsEntropy.fill(&mut bytes).map_err(|error| Problem::internal(&error))?;
    Ok(bytes)
}

pub(super) fn fault(error: DelegationError) -> Problem {
    let (field, fault) = match error {
        DelegationError::Accounts => ("/accounts", ValueFault::Accounts(ACCOUNTS_MAX)),
        DelegationError::Scopes => ("/scopes", ValueFault::Scopes),
        DelegationError::Until => ("/until", ValueFault::Until),
        DelegationError::Oneself => ("/person", ValueFault::Oneself),
        DelegationError::TooMany => {
            return Problem::new(Code::TooManyDelegations).with("most", ALIVE_MAX);
        }
    };
    Problem::bad_value(field, fault)
}

/// Refuses accounts that are not this person's: of others it is not even said that they are there.
pub(super) async fn own(
    app: &Arc<App>,
    person: PersonId,
    accounts: &[Text<AccountId>],
) -> Result<Vec<AccountId>, Problem> {
    if accounts.is_empty() || accounts.len() > ACCOUNTS_MAX {
        return Err(fault(DelegationError::Accounts));
    }
    let accounts: Vec<AccountId> = accounts.iter().map(|Text(account)| *account).collect();
    let asked = accounts.clone();
    let read = move |engine: &tpw_engines::Engine| {
        for account in &asked {
            if engine.holder_of(account)? != Some(person) {
                return Err(Problem::new(Code::UnknownAccount));
            }
        }
        Ok(())
    };
    off_thread(app, read).await?;
    Ok(accounts)
}

fn shown(one: &Delegation) -> wire::Delegation {
    let (client, person) = match &one.to {
        Grantee::Client(client) | Grantee::Approved(client) => (Some(client.to_string()), None),
        Grantee::Person(person) => (None, Some(Text(*person))),
    };
    wire::Delegation {
        id: one.id.to_string(),
        client,
        person,
        accounts: one.accounts.iter().map(|account| Text(*account)).collect(),
        scopes: scope_names(one.scopes),
        approval: matches!(one.to, Grantee::Approved(_)),
        made: Text(one.made),
        until: Text(one.until),
    }
}

/// Somebody who is there.
async fn grantee(app: &Arc<App>, new: &NewDelegation) -> Result<Grantee, Problem> {
    match (&new.client, new.person) {
        (Some(client), None) => {
            let unknown = || Problem::new(Code::UnknownClient);
            let id: ClientId = client.parse().map_err(|_| unknown())?;
            let client = books::client(app, &id).await?.ok_or_else(unknown)?;
            if client.removed.is_some() { Err(unknown()) } else { Ok(Grantee::Client(id)) }
        }
        (None, Some(Text(person))) => match app.engine.person(&person) {
            Some(_) => Ok(Grantee::Person(person)),
            None => Err(Problem::new(Code::UnknownPerson)),
        },
        _ => Err(Problem::bad_value("/client", ValueFault::Grantee)),
    }
}

/// `POST /v1/delegations`
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    caller.not_disowned()?;
    let new: NewDelegation = body::json(&headers, body, app.small_body()).await?;
    let person = caller.session.person();
    let to = grantee(&app, &new).await?;
    let accounts = own(&app, person, &new.accounts).await?;
    let (now, Text(until)) = (app.engine.now(), new.until);
    let (id, scopes) = (DelegationId::new(random()?), scopes(&new.scopes)?);
    let one = Delegation { id, to, accounts, scopes, made: now, until };
    books::change(&app, Delegations::record(person), |before| {
        let all = Delegations::from_stored(before).map_err(|error| Problem::internal(&error))?;
        let all = all.with(one.clone(), person, now).map_err(fault)?;
        Ok::<_, Problem>(Change { after: Some(Stored::Value(all.to_bytes())), gives: () })
    })
    .await?;
    Ok(json(StatusCode::CREATED, &shown(&one)))
}

/// `GET /v1/delegations`: the caller's own.
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Reply {
    let (person, now) = (caller.session.person(), app.engine.now());
    let all = off_thread(&app, move |engine| books::delegations(engine, person)).await?;
    let items = all.alive(now).map(shown).collect();
    Ok(json(StatusCode::OK, &DelegationList { items }))
}

/// `DELETE /v1/delegations/{id}`: whoever has it can do no more with the next request.
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Reply {
    caller.not_disowned()?;
    let id: DelegationId = body::id(&id)?;
    let person = caller.session.person();
    let one = books::change(&app, Delegations::record(person), |before| {
        let now = app.engine.now();
        let all = Delegations::from_stored(before).map_err(|error| Problem::internal(&error))?;
        let unknown = || Problem::new(Code::NotFound);
        let one = all.find(id, now).cloned().ok_or_else(unknown)?;
        let less = all.without(id, now).ok_or_else(unknown)?;
        Ok::<_, Problem>(Change { after: Some(Stored::Value(less.to_bytes())), gives: one })
    })
    .await?;
    Ok(json(StatusCode::OK, &shown(&one)))
}
