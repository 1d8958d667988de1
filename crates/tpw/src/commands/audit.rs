//! `tpw audit`: what the policies decided, who asked for one's data, and the proofs of decisions.

use super::ops::{door, id};
use super::sharing::time;
use super::{Context, Outcome, input, show, verify, wallet};
use crate::args::{Audit, AuditDecisions, Device, Operator};
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use crate::say::{Mood, Say};
use serde::Serialize;
use serde_json::json;
use std::path::Path;
use tpw_access::oauth::ClientId;
use tpw_core::{DecisionId, PersonId};
use tpw_engines::files::{self, Access, Durability};
use tpw_proof::ProofError;
use tpw_proof::decisions::{ProvedDecision, verify_decision};
use tpw_server::wire::{
    AccessList, PolicyDecision, PolicyDecisionList, ProvedPolicyDecision, Text,
};

/// A proof is a few KiB.
const PROOF_LEN_MAX: u64 = 1 << 18;

pub(super) async fn run(context: &Context, command: &Audit) -> Outcome {
    match command {
        Audit::Decisions(args) => decisions(context, args).await,
        Audit::Show { operator, decision, out } => {
            show_one(context, operator, decision, out.as_deref()).await
        }
        Audit::Accesses { device } => accesses(context, device).await,
        Audit::Verify { proof, trust } => judge(&context.say, proof, trust),
    }
}

async fn decisions(context: &Context, args: &AuditDecisions) -> Outcome {
    let mut path = format!("/v1/decisions?after={}&limit={}", args.after, args.limit);
    if let Some(actor) = &args.actor {
        let client = actor.parse::<ClientId>().map(|client| client.to_string());
        let person = || id::<PersonId>(actor).map(|person| person.to_string());
        path.push_str(&format!("&actor={}", client.or_else(|_| person())?));
    }
    if let Some(owner) = &args.owner {
        path.push_str(&format!("&owner={}", id::<PersonId>(owner)?));
    }
    for (name, value) in [("resource", &args.resource), ("action", &args.action)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", plain(value)?));
        }
    }
    if let Some(from) = &args.from {
        // A day begins with its first moment, and as an end it ends with its last one.
        let from = if from.contains('T') { from.clone() } else { format!("{from}T00:00:00Z") };
        path.push_str(&format!("&from={}", time(&from)?));
    }
    if let Some(until) = &args.until {
        path.push_str(&format!("&until={}", time(until)?));
    }
    let (client, keys) = door(context, &args.operator)?;
    let list: PolicyDecisionList = client.get(&keys, &path).await?.json()?;
    let rows = list.items.iter().map(row).collect();
    tell(&context.say, &list, rows, "decisions-none", list.next_after)
}

/// A word that a query takes as it is.
fn plain(text: &str) -> Result<&str, Failure> {
    let fits = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let wrong = || Failure::usage("id").arg("text", text).because("a letter that no id has");
    if fits { Ok(text) } else { Err(wrong()) }
}

/// Who asked, as it is told.
fn asker(decision: &PolicyDecision) -> String {
    let person = decision.person.map(|Text(person)| person.to_string());
    decision.client.clone().or(person).unwrap_or_default()
}

fn row(decision: &PolicyDecision) -> Vec<String> {
    vec![
        decision.at.0.to_string(),
        decision.ruling.clone(),
        decision.action.clone(),
        decision.resource.clone(),
        asker(decision),
        decision.roles.join(" "),
        decision.policies.join(" "),
        decision.id.0.to_string(),
    ]
}

async fn show_one(
    context: &Context,
    operator: &Operator,
    decision: &str,
    out: Option<&Path>,
) -> Outcome {
    let say = &context.say;
    let decision: DecisionId = id(decision)?;
    let (client, keys) = door(context, operator)?;
    let path = format!("/v1/decisions/{decision}");
    let found: ProvedPolicyDecision = client.get(&keys, &path).await?.json()?;
    if let (Some(out), Some(proof)) = (out, &found.proof) {
        files::write_atomic(out, proof.as_bytes(), Durability::Deferred, Access::Ordinary)?;
    }
    if say.is_json() {
        say.json(&value(&found)?);
        return Ok(Exit::Done);
    }
    say.data(&row(&found.decision).join("\t"));
    for (name, value) in &found.decision.facts {
        say.data(&format!("{name}\t{value}"));
    }
    match (out, &found.proof) {
        (_, None) => say.tell("decision-waiting", &[]),
        (Some(out), Some(_)) => {
            say.tell("decision-written", &[("file", &out.display().to_string())]);
        }
        (None, Some(_)) => {}
    }
    Ok(Exit::Done)
}

/// Reads on until the end: a page may be empty because the device's owner asked for everything in it.
async fn accesses(context: &Context, device: &Device) -> Outcome {
    let folder = input::folder(device)?;
    let profile = folder.profile()?;
    let keys = input::keys(context, &folder, device)?;
    let client = wallet::client(context, &profile.server, folder.ca()?.as_deref())?;
    let person = profile.person.ok_or_else(|| Failure::failed("wallet-not-enrolled"))?;
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let path = format!("/v1/people/{person}/accesses?after={after}");
        let page: AccessList = client.get(&keys, &path).await?.json()?;
        all.extend(page.items);
        match page.next_after {
            Some(next) if next > after => after = next,
            _ => break,
        }
    }
    let rows = all.iter().map(|access| {
        let person = access.person.map(|Text(person)| person.to_string());
        let who = access.client.clone().or(person).unwrap_or_else(|| access.roles.join(" "));
        vec![
            access.at.0.to_string(),
            access.ruling.clone(),
            access.action.clone(),
            access.resource.clone(),
            who,
        ]
    });
    let rows = rows.collect();
    let list = AccessList { items: all, next_after: None };
    tell(&context.say, &list, rows, "accesses-none", None)
}

fn tell(
    say: &Say,
    answer: &impl Serialize,
    rows: Vec<Vec<String>>,
    none: &str,
    more: Option<u64>,
) -> Outcome {
    if say.is_json() {
        say.json(&value(answer)?);
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        say.tell(none, &[]);
    }
    rows.iter().for_each(|row| say.data(&row.join("\t")));
    if let Some(after) = more {
        say.tell("decisions-more", &[("after", &after.to_string())]);
    }
    Ok(Exit::Done)
}

fn value(value: &impl Serialize) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::failed("server-answer").because(error))
}

/// Judges a proof offline.
fn judge(say: &Say, path: &Path, trust: &Path) -> Outcome {
    let trust = verify::trust(trust)?;
    let file = path.display().to_string();
    let bytes = read_named(path, PROOF_LEN_MAX)?;
    let odd = ProofError::Malformed { what: "tlog-proof", why: "no text" };
    let judged = String::from_utf8(bytes).map_err(|_| odd);
    match judged.and_then(|text| verify_decision(&text, &trust)) {
        Ok(proved) => tell_proved(say, &file, &proved),
        Err(reason) => tell_broken(say, &file, &reason),
    }
}

fn tell_proved(say: &Say, file: &str, proved: &ProvedDecision) -> Outcome {
    let record = &proved.record;
    let (index, size) = (proved.index.to_string(), proved.head.size.to_string());
    let person = record.asker.person.map(|person| person.to_string());
    if say.is_json() {
        say.json(&json!({
            "file": file, "valid": true, "index": index, "size": size,
            "decision": record.id.to_string(), "at": record.at.to_string(),
            "action": record.action, "resource": record.resource, "ruling": record.ruling.code(),
            "person": person, "client": record.asker.client, "policies": record.policies,
        }));
        return Ok(Exit::Done);
    }
    let args = [("file", file), ("index", &index), ("size", &size)];
    say.data(&say.paint(Mood::Good, &say.with("decision-valid", &args)));
    let client = (!record.asker.client.is_empty()).then(|| record.asker.client.clone());
    let row = [
        record.at.to_string(),
        record.ruling.code().to_owned(),
        record.action.clone(),
        record.resource.clone(),
        client.or(person).unwrap_or_default(),
        record.policies.join(" "),
    ];
    say.data(&row.join("\t"));
    Ok(Exit::Done)
}

fn tell_broken(say: &Say, file: &str, reason: &ProofError) -> Outcome {
    let (code, text) = (reason.code(), show::fault(say, reason));
    if say.is_json() {
        say.json(&json!({ "file": file, "valid": false, "reason": code, "text": text }));
        return Ok(Exit::NotVerified);
    }
    say.data(&say.paint(Mood::Bad, &say.with("decision-invalid", &[("file", file)])));
    say.tell("decision-reason", &[("text", &text), ("code", code)]);
    Ok(Exit::NotVerified)
}
