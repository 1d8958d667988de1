//! Enters every account of the list as a person with one account and one device.

use crate::actor::Actor;
use crate::client::{Call, Client, Proof};
use crate::error::ReplayError;
use crate::input::{Input, Node};
use crate::say::Progress;
use crate::state::{Append, DEVICE_SLOT, State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::task::JoinSet;
use tpw_access::EnrolmentCode;

/// How many people the server takes at once.
const BATCH: usize = 500;

/// What entering came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Entered {
    /// People who were not there.
    pub created: usize,
    /// People who were there already.
    pub existing: usize,
    /// Devices enrolled now.
    pub enrolled: usize,
}

#[derive(Deserialize)]
struct Batch {
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Item {
    Created { code: Option<String> },
    Exists { code: Option<String> },
    Rejected { code: String, detail: String },
}

/// The devices, in the order of the input, each with its key.
///
/// # Errors
/// [`ReplayError`].
pub fn devices(state: &State) -> Result<Vec<Arc<Actor>>, ReplayError> {
    let keys = state.device_keys()?;
    keys.into_iter().map(|slots| Actor::new(slots, DEVICE_SLOT).map(Arc::new)).collect()
}

fn person(state: &State, input: &Input, node: &Node, with_code: bool) -> Value {
    let mut account = json!({
        "id": state.account(&node.name).to_string(), "asset": input.asset.to_string(),
        "kind": "custodial", "label": node.name,
    });
    if !node.opening.is_zero()
        && let Some(members) = account.as_object_mut()
    {
        members.insert("opening".to_owned(), node.opening.minor().to_string().into());
    }
    json!({
        "id": state.person(&node.name).to_string(), "name": format!("account {}", node.name),
        "accounts": [account], "enrolment_code": with_code,
    })
}

/// Enters all people, and enrols the devices that are not enrolled. Everything has its id from the state, so that
/// doing it again changes nothing.
///
/// # Errors
/// [`ReplayError`].
pub async fn enter(
    client: &Arc<Client>,
    operator: &Actor,
    state: &State,
    input: &Input,
    devices: &[Arc<Actor>],
    append: &mut Append,
    connections: usize,
) -> Result<Entered, ReplayError> {
    let enrolled: HashSet<String> = state.enrolled()?.into_iter().collect();
    let mut entered = Entered::default();
    let mut progress = Progress::new("accounts", input.nodes.len());
    let places: Vec<usize> = (0..input.nodes.len()).collect();
    for chunk in places.chunks(BATCH) {
        let nodes: Vec<&Node> = chunk.iter().filter_map(|at| input.nodes.get(*at)).collect();
        let people: Vec<Value> = nodes
            .iter()
            .map(|node| person(state, input, node, !enrolled.contains(&node.name)))
            .collect();
        let call =
            Call::post("/v1/people:batch", &json!({ "people": people }), Proof::Token(operator));
        let batch: Batch = client.send(&call).await?.success("POST /v1/people:batch")?;
        let mut open = JoinSet::new();
        for ((node, item), at) in nodes.iter().zip(batch.items).zip(chunk) {
            let code = match item {
                Item::Created { code } => {
                    entered.created = entered.created.saturating_add(1);
                    code
                }
                Item::Exists { code } => {
                    entered.existing = entered.existing.saturating_add(1);
                    code
                }
                Item::Rejected { code, detail } => {
                    let why =
                        format!("the account `{}` was not entered: {code}: {detail}", node.name);
                    return Err(ReplayError::Check(why));
                }
            };
            let (Some(code), Some(device)) = (code, devices.get(*at)) else { continue };
            if open.len() >= connections {
                entered.enrolled = entered.enrolled.saturating_add(note(&mut open, append).await?);
            }
            let (client, device, name) =
                (Arc::clone(client), Arc::clone(device), node.name.clone());
            let id = state.device(&node.name).to_string();
            open.spawn(async move { enrol(&client, &device, &code, &id).await.map(|()| name) });
        }
        while !open.is_empty() {
            entered.enrolled = entered.enrolled.saturating_add(note(&mut open, append).await?);
        }
        progress.add(chunk.len());
    }
    progress.end();
    Ok(entered)
}

/// Waits for one enrolment and notes it.
async fn note(
    open: &mut JoinSet<Result<String, ReplayError>>,
    append: &mut Append,
) -> Result<usize, ReplayError> {
    let Some(joined) = open.join_next().await else { return Ok(0) };
    let name = joined.map_err(|error| ReplayError::Check(error.to_string()))??;
    append.enrolled(&name)?;
    Ok(1)
}

async fn enrol(client: &Client, device: &Actor, code: &str, id: &str) -> Result<(), ReplayError> {
    let odd = |_| ReplayError::Check("the server issued a code that is none".to_owned());
    let parsed: EnrolmentCode = code.parse().map_err(odd)?;
    let body = json!({ "code": code, "device": id });
    let reply =
        client.send(&Call::post("/v1/devices", &body, Proof::Code(device, &parsed))).await?;
    // An enrolment whose answer was lost is there: then the key gets a token.
    if reply.status == 201 || device.token(client).await.is_ok_and(|token| token.is_ok()) {
        return Ok(());
    }
    Err(reply.unexpected("POST /v1/devices"))
}
