//! What the authorization server keeps in the books: clients, approvals, delegations. Read away from the threads that carry requests,
//! changed only from what was read.

use crate::app::App;
use crate::problem::{Code, Problem};
use crate::routes::off_thread;
use std::sync::Arc;
use tpw_access::oauth::{
    Client, ClientGrant, ClientId, Delegation, DelegationId, Delegations, Family, GrantId,
};
use tpw_access::{RecordKey, RecordWrite};
use tpw_core::{Hash32, Instant, PersonId};
use tpw_engines::{Engine, PayError};
use tpw_flow::Rejection;

/// How often a change is tried when others change the same record.
const ATTEMPTS: usize = 8;

fn damaged(error: impl core::fmt::Display) -> Problem {
    Problem::internal(&error)
}

/// A client, also one that was removed.
pub(super) async fn client(app: &Arc<App>, id: &ClientId) -> Result<Option<Client>, Problem> {
    let id = id.clone();
    off_thread(app, move |engine| client_now(engine, &id)).await
}

fn client_now(engine: &Engine, id: &ClientId) -> Result<Option<Client>, Problem> {
    let Some(key) = id.record() else { return Ok(None) };
    engine.record(&key)?.map(|bytes| Client::from_bytes(&bytes).map_err(damaged)).transpose()
}

/// What a person delegated.
pub(super) fn delegations(engine: &Engine, person: PersonId) -> Result<Delegations, Problem> {
    let stored = engine.record(&Delegations::record(person))?;
    Delegations::from_stored(stored.as_deref()).map_err(damaged)
}

/// An approval.
pub(super) fn family(
    engine: &Engine,
    person: PersonId,
    grant: GrantId,
) -> Result<Option<Family>, Problem> {
    let Some(key) = grant.record(person) else { return Ok(None) };
    engine.record(&key)?.map(|bytes| Family::from_bytes(&bytes).map_err(damaged)).transpose()
}

/// On what a client's token still stands.
pub(super) struct Standing {
    /// The client.
    pub(super) client: Client,
    /// The delegation of the person who approved, if the token is for one person.
    pub(super) delegation: Option<Delegation>,
}

/// Whether a token that verified has not been ended early: its client is there, its approval and its delegation stand.
pub(super) fn standing(
    engine: &Engine,
    said: &ClientGrant,
    token: Hash32,
    now: Instant,
) -> Result<Option<Standing>, Problem> {
    let client = client_now(engine, &said.client)?.filter(|client| {
        client.removed.is_none() && !client.ended.iter().any(|(ended, _)| *ended == token)
    });
    let Some(client) = client else { return Ok(None) };
    let Some(granted) = said.person else { return Ok(Some(Standing { client, delegation: None })) };
    let family = family(engine, granted.person, granted.grant)?;
    let Some(family) = family.filter(|family| !family.is_over(now)) else { return Ok(None) };
    let delegations = delegations(engine, granted.person)?;
    let delegation = delegations.find(family.delegation, now).cloned();
    Ok(delegation.map(|delegation| Standing { client, delegation: Some(delegation) }))
}

/// What a change makes of a record, and what it gives.
pub(super) struct Change<T> {
    /// The record from now on; `None` leaves it as it is.
    pub(super) after: Option<Stored>,
    /// For whoever asked for the change.
    pub(super) gives: T,
}

/// A record's new state.
pub(super) enum Stored {
    /// With this value.
    Value(Vec<u8>),
    /// Not there.
    Removed,
}

/// Changes a record by `decide`, which sees what is stored and is asked again when somebody else was quicker.
pub(super) async fn change<T, E>(
    app: &Arc<App>,
    key: RecordKey,
    mut decide: impl FnMut(Option<&[u8]>) -> Result<Change<T>, E>,
) -> Result<T, E>
where
    E: From<Problem>,
{
    for _ in 0..ATTEMPTS {
        let read = key.clone();
        let before = off_thread(app, move |engine| Ok(engine.record(&read)?)).await?;
        let Change { after, gives } = decide(before.as_deref())?;
        let after = match after {
            None => return Ok(gives),
            Some(Stored::Value(value)) => Some(value),
            Some(Stored::Removed) => None,
        };
        if written(app, vec![RecordWrite { key: key.clone(), before, after }]).await? {
            return Ok(gives);
        }
    }
    Err(Problem::new(Code::Busy).into())
}

/// Writes records; `false` when one of them is not what was read.
pub(super) async fn written(app: &Arc<App>, writes: Vec<RecordWrite>) -> Result<bool, Problem> {
    match app.engine.write_records(writes).await {
        Ok(()) => Ok(true),
        Err(PayError::Rejected(Rejection::RecordChanged)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes an approval and the delegation that it stood on, and with them every token of its family.
pub(super) async fn end_family(
    app: &Arc<App>,
    person: PersonId,
    grant: GrantId,
) -> Result<(), Problem> {
    let Some(key) = grant.record(person) else { return Ok(()) };
    let delegation = change(app, key, |before| {
        let Some(before) = before else { return Ok(Change { after: None, gives: None }) };
        let family = Family::from_bytes(before).map_err(damaged)?;
        let gives = Some(family.delegation);
        Ok::<_, Problem>(Change { after: Some(Stored::Removed), gives })
    });
    match delegation.await? {
        Some(delegation) => end_delegation(app, person, delegation).await,
        None => Ok(()),
    }
}

/// Removes a delegation, if it is still there.
pub(super) async fn end_delegation(
    app: &Arc<App>,
    person: PersonId,
    delegation: DelegationId,
) -> Result<(), Problem> {
    change(app, Delegations::record(person), |before| {
        let all = Delegations::from_stored(before).map_err(damaged)?;
        let less = all.without(delegation, app.engine.now());
        let after = less.map(|less| Stored::Value(less.to_bytes()));
        Ok::<_, Problem>(Change { after, gives: () })
    })
    .await
}
