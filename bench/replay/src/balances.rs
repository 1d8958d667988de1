//! All balances, as the operator reads them.

use crate::actor::Actor;
use crate::client::{Call, Client, Proof};
use crate::error::ReplayError;
use crate::say::Progress;
use crate::state::State;
use serde::Deserialize;
use std::sync::Arc;
use tokio::task::JoinSet;

/// One account of the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Balance {
    /// Its name in the list.
    pub name: String,
    /// Its id.
    pub account: String,
    /// Posted credits less posted debits, in minor units.
    pub posted: String,
    /// What waiting payments hold, in minor units.
    pub pending: String,
}

#[derive(Deserialize)]
struct Account {
    posted: String,
    pending: String,
}

/// Reads every account, in the order of the input.
///
/// # Errors
/// [`ReplayError`].
pub async fn read(
    client: &Arc<Client>,
    operator: &Arc<Actor>,
    state: &State,
    connections: usize,
) -> Result<Vec<Balance>, ReplayError> {
    let names = &state.identity.names;
    let mut progress = Progress::new("balances", names.len());
    let mut open = JoinSet::new();
    let mut all = Vec::with_capacity(names.len());
    let mut next = names.iter().enumerate();
    loop {
        while open.len() < connections.max(1) {
            let Some((place, name)) = next.next() else { break };
            let (client, operator, name) = (Arc::clone(client), Arc::clone(operator), name.clone());
            let account = state.account(&name).to_string();
            open.spawn(async move {
                let path = format!("/v1/accounts/{account}");
                let reply = client.send(&Call::get(&path, Proof::Token(&operator))).await?;
                let read: Account = reply.success(&path)?;
                let (posted, pending) = (read.posted, read.pending);
                Ok::<_, ReplayError>((place, Balance { name, account, posted, pending }))
            });
        }
        let Some(joined) = open.join_next().await else { break };
        all.push(joined.map_err(|error| ReplayError::Check(error.to_string()))??);
        progress.add(1);
    }
    progress.end();
    all.sort_by_key(|(place, _)| *place);
    Ok(all.into_iter().map(|(_, balance)| balance).collect())
}

/// As CSV with a header.
#[must_use]
pub fn to_csv(balances: &[Balance]) -> String {
    let mut text = String::from("nodeid,account,posted,pending\n");
    for Balance { name, account, posted, pending } in balances {
        text.push_str(&format!("{name},{account},{posted},{pending}\n"));
    }
    text
}
