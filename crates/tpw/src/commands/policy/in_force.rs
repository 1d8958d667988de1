//! `tpw policy status|activate|rollback`: the policies of a server; and `tpw policy prove`.

use crate::args::Operator;
use crate::client::{Answer, Client};
use crate::commands::{Context, Outcome, approve, ops};
use crate::device::keys::Keys;
use crate::exit::{Exit, Failure};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tpw_access::policy::PolicyFiles;
use tpw_server::wire::{NewPolicies, Policies};

/// The status of an answer that tells of a request for approval in the place of what was asked for.
const ASKED: u16 = 202;
/// The prover's file, beside this program.
const PROVER: &str = "tpw-prove";

fn value(of: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(of).map_err(|error| Failure::failed("server-answer").because(error))
}

/// What the server says of its policies now.
pub(super) async fn status(context: &Context, operator: &Operator) -> Outcome {
    let (client, keys) = ops::door(context, operator)?;
    let status: Policies = client.get(&keys, "/v1/policies").await?.json()?;
    tell(context, &status)
}

fn tell(context: &Context, status: &Policies) -> Outcome {
    let say = &context.say;
    if say.is_json() {
        say.json(&value(status)?);
        return Ok(Exit::Done);
    }
    let (version, policies) = (status.version.0.to_string(), status.policies.to_string());
    say.tell("policy-in-force", &[("version", &version), ("policies", &policies)]);
    let rows = status.history.iter().map(|activation| {
        let by = activation.by.as_ref().map(|by| by.0.to_string());
        let agreed = activation.approvals.iter().map(|person| person.0.to_string());
        vec![
            activation.version.0.to_string(),
            activation.at.0.to_string(),
            by.unwrap_or_else(|| say.text("policy-by-program")),
            agreed.collect::<Vec<_>>().join(" "),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    say.table(&["head-version", "head-created", "head-by", "head-votes"], &rows);
    Ok(Exit::Done)
}

/// Has the server put a set into force.
pub(super) async fn activate(
    context: &Context,
    operator: &Operator,
    files: &PolicyFiles,
) -> Outcome {
    let own = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
    let new = value(&NewPolicies { files: files.iter().map(own).collect() })?;
    change(context, operator, "/v1/policies:activate", &new).await
}

/// Has the server go back to the set of before.
pub(super) async fn roll_back(context: &Context, operator: &Operator) -> Outcome {
    change(context, operator, "/v1/policies:rollback", &json!({})).await
}

async fn change(context: &Context, operator: &Operator, path: &str, body: &Value) -> Outcome {
    let send = async || {
        let (client, keys): (Client, Keys) = ops::door(context, operator)?;
        let answer: Answer = client.post(&keys, path, body).await?;
        if answer.status == ASKED {
            return approve::tell_asked(&context.say, &answer.json()?);
        }
        tell(context, &answer.json()?)
    };
    ops::recognised(context, operator, send).await
}

/// Runs the prover, if it is beside this program.
pub(super) fn prove(folder: Option<&Path>) -> Outcome {
    let absent = || Failure::failed("policy-prover");
    let here = std::env::current_exe().map_err(|error| absent().because(error))?;
    let prover = here.with_file_name(PROVER);
    if !prover.is_file() {
        return Err(absent().because(prover.display()));
    }
    let ended = Command::new(&prover).args(folder).status();
    let ended = ended.map_err(|error| absent().because(error))?;
    Ok(if ended.success() { Exit::Done } else { Exit::Failed })
}
