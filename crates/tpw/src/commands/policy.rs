//! `tpw policy`: what a policy set answers, why, and what another set would answer.

mod in_force;

use super::sharing::time;
use super::{Context, Outcome};
use crate::args::{Policy, PolicyDiff, PolicyExplain};
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use crate::say::{Mood, Say};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use tpw_access::PolicyEngine;
use tpw_access::policy::cases::{self, Case, Difference, Outcome as Answered, Question, Report};
use tpw_access::policy::{
    Amount, Decision, DeviceFacts, Facts, Obligations, PolicyError, PolicyFiles, TimeFacts,
};
use tpw_core::Asset;
use tpw_engines::files::{self, Access, Durability};

/// More than all files of a set have together: one that is a little too large is told by how much, like several.
const FILE_LEN_MAX: u64 = 4 * PolicyFiles::BYTES_MAX as u64;

pub(super) async fn run(context: &Context, command: &Policy) -> Outcome {
    let say = &context.say;
    match command {
        Policy::Status(args) => in_force::status(context, &args.operator).await,
        Policy::Activate(args) => {
            in_force::activate(context, &args.operator, &set(Some(&args.policies))?.files).await
        }
        Policy::Rollback(args) => in_force::roll_back(context, &args.operator).await,
        Policy::Prove(args) => in_force::prove(args.policies.as_deref()),
        Policy::Test(args) => test(say, &set(args.policies.as_deref())?),
        Policy::Explain(args) => explain(say, args),
        Policy::Diff(args) => diff(say, args),
        Policy::Export(args) => export(say, &args.policies_to),
    }
}

/// A set that was read and loaded.
pub(super) struct Set {
    pub(super) files: PolicyFiles,
    engine: PolicyEngine,
}

/// The set in a folder, or the one that comes with the program.
pub(super) fn set(folder: Option<&Path>) -> Result<Set, Failure> {
    let shown = || folder.map_or_else(|| "-".to_owned(), |path| path.display().to_string());
    let bad = |error: PolicyError| Failure::failed("policy").arg("path", shown()).because(error);
    let files = match folder {
        Some(folder) => PolicyFiles::new(read(folder)?).map_err(bad)?,
        None => PolicyFiles::builtin(),
    };
    let engine = PolicyEngine::load(&files).map_err(bad)?;
    Ok(Set { files, engine })
}

/// The files of a set in a folder: what ends in `.cedarschema` or `.cedar`, and `.toml` in `cases`. Others are not looked at.
fn read(folder: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let mut all = BTreeMap::new();
    for (below, ends) in [("", &[".cedarschema", ".cedar"][..]), ("cases/", &[".toml"][..])] {
        let place = if below.is_empty() { folder.to_owned() } else { folder.join("cases") };
        // A set may have no cases: it cannot be activated, but it can be asked.
        if !below.is_empty() && !place.is_dir() {
            continue;
        }
        let failed =
            |error| Failure::failed("policy-folder").arg("path", place.display()).because(error);
        let entries = std::fs::read_dir(&place).map_err(failed)?;
        for entry in entries {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if ends.iter().any(|end| name.ends_with(end)) {
                // Those beyond what a set has are only counted: it is refused.
                let is_one_more = all.len() >= PolicyFiles::FILES_MAX;
                let text = if is_one_more { String::new() } else { text(&place.join(&name))? };
                all.insert(format!("{below}{name}"), text);
            }
        }
    }
    Ok(all)
}

fn text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read_named(path, FILE_LEN_MAX)?)
        .map_err(|_odd| Failure::usage("not-text").arg("path", path.display()))
}

// --- test -------------------------------------------------------------------------------------------------------------

fn test(say: &Say, set: &Set) -> Outcome {
    let report = report(set)?;
    let exit = if report.holds() { Exit::Done } else { Exit::Failed };
    let version = set.engine.version().to_string();
    if say.is_json() {
        say.json(&json!({
            "version": version, "holds": report.holds(), "cases": report.outcomes.len(),
            "policies": set.engine.policies().len(),
            "failed": report.failed().map(failed_json).collect::<Vec<_>>(),
            "uncovered": report.uncovered.iter().map(|(action, effect)| {
                json!({ "action": action.code(), "effect": effect.code() })
            }).collect::<Vec<_>>(),
            "unknown_actions": report.unknown.iter().map(|action| action.code()).collect::<Vec<_>>(),
        }));
        return Ok(exit);
    }
    tell(say, &report);
    let count = report.outcomes.len().to_string();
    let policies = set.engine.policies().len().to_string();
    let failed = report.failed().count().to_string();
    let args = [
        ("cases", &*count),
        ("policies", &*policies),
        ("failed", &*failed),
        ("version", &*version),
    ];
    let (mood, key) = match exit {
        Exit::Done => (Mood::Good, "policy-holds"),
        _ => (Mood::Bad, "policy-fails"),
    };
    say.data(&say.paint(mood, &say.with(key, &args)));
    Ok(exit)
}

fn report(set: &Set) -> Result<Report, Failure> {
    cases::check(&set.files, &set.engine).map_err(|error| {
        let key = match error {
            PolicyError::Cases { .. } => "policy-cases",
            _ => "policy-unfit",
        };
        Failure::failed(key).because(error)
    })
}

fn tell(say: &Say, report: &Report) {
    for outcome in report.failed() {
        let Answered { case, decision } = outcome;
        say.data(&say.paint(Mood::Bad, &say.with("policy-case-failed", &[("place", &case.place)])));
        say.data(&format!("  {}", question(say, &case.question)));
        say.data(&format!("  {}", say.with("policy-wanted", &[("answer", &wanted(say, case))])));
        say.data(&format!(
            "  {}",
            say.with("policy-answered", &[("answer", &answer(say, decision))])
        ));
    }
    for (action, effect) in &report.uncovered {
        let effect = say.text(&format!("policy-{}", effect.code()));
        say.data(&say.with("policy-uncovered", &[("action", action.code()), ("effect", &effect)]));
    }
    for action in &report.unknown {
        say.data(&say.with("policy-unknown-action", &[("action", action.code())]));
    }
}

// --- words ------------------------------------------------------------------------------------------------------------

/// A question in the words of the tables of cases.
fn question(say: &Say, question: &Question) -> String {
    let roles: Vec<&str> = question.roles.iter().map(|role| role.code()).collect();
    let mut parts = vec![format!("{} ({})", question.action.code(), roles.join(", "))];
    for (key, who) in [("policy-owner", question.owner), ("policy-initiator", question.initiator)] {
        if let Some(who) = who {
            let who = say.text(match who {
                cases::Relation::Own => "policy-own",
                cases::Relation::Other => "policy-other",
            });
            parts.push(say.with(key, &[("who", &who)]));
        }
    }
    let Facts { amount, risk, device, peers, place, time } = &question.facts;
    if let Some(Amount { asset, milli }) = amount {
        parts.push(format!("amount {milli}/1000 {asset}"));
    }
    if let Some(risk) = risk {
        parts.push(format!("risk {risk}"));
    }
    if let Some(DeviceFacts { age_s, attested, payments, disowned }) = device {
        parts.push(format!(
            "device age_s {age_s} attested {attested} payments {payments} disowned {disowned}"
        ));
    }
    if let Some(peers) = peers {
        parts.push(format!("peers {peers}"));
    }
    if let Some(place) = place {
        parts.push(format!("place {place}"));
    }
    if let Some(TimeFacts { unix_s, weekday, minute }) = time {
        parts.push(format!("time unix_s {unix_s} weekday {weekday} minute {minute}"));
    }
    parts.join(" · ")
}

fn wanted(say: &Say, case: &Case) -> String {
    let reasons: Vec<&str> = case.reasons.iter().map(String::as_str).collect();
    words(say, case.effect.code(), &reasons, case.obligations)
}

fn answer(say: &Say, decision: &Decision) -> String {
    let reasons: Vec<&str> = decision.reasons().iter().map(|id| &**id).collect();
    let mut said = words(say, decision.effect().code(), &reasons, decision.obligations());
    for error in decision.errors() {
        said.push_str(" · ");
        said.push_str(error);
    }
    said
}

fn words(say: &Say, effect: &str, reasons: &[&str], obligations: Obligations) -> String {
    let mut parts = vec![say.text(&format!("policy-{effect}"))];
    parts.push(match reasons {
        [] => say.text("policy-no-reason"),
        some => some.join(", "),
    });
    parts.extend(obliged(say, obligations));
    parts.join(" · ")
}

fn obliged(say: &Say, obligations: Obligations) -> Vec<String> {
    let acr = obligations.acr.map(|acr| say.with("policy-acr", &[("acr", acr.code())]));
    let age = obligations
        .max_age_s
        .map(|seconds| say.with("policy-max-age", &[("seconds", &seconds.to_string())]));
    let approvals = (obligations.approvals > 0)
        .then(|| say.with("policy-approvals", &[("count", &obligations.approvals.to_string())]));
    [acr, age, approvals].into_iter().flatten().collect()
}

fn decision_json(decision: &Decision) -> Value {
    let reasons: Vec<&str> = decision.reasons().iter().map(|id| &**id).collect();
    json!({
        "effect": decision.effect().code(), "reasons": reasons, "errors": decision.errors(),
        "obligations": obligations_json(decision.obligations()),
        "policy_version": decision.policy_version().to_string(),
    })
}

fn obligations_json(obligations: Obligations) -> Value {
    json!({
        "acr": obligations.acr.map(|acr| acr.code()), "max_age_s": obligations.max_age_s,
        "approvals": obligations.approvals,
    })
}

fn question_json(question: &Question) -> Value {
    let person = |who: Option<cases::Relation>| who.map(cases::Relation::code);
    let Facts { amount, risk, device, peers, place, time } = &question.facts;
    json!({
        "action": question.action.code(),
        "as": question.roles.iter().map(|role| role.code()).collect::<Vec<_>>(),
        "owner": person(question.owner), "initiator": person(question.initiator),
        "amount": amount.as_ref().map(|amount| json!({ "asset": amount.asset, "milli": amount.milli.to_string() })),
        "risk": risk, "peers": peers, "place": place,
        "device": device.map(|device| json!({
            "age_s": device.age_s, "attested": device.attested,
            "payments": device.payments, "disowned": device.disowned,
        })),
        "time": time.map(|time| json!({
            "unix_s": time.unix_s, "weekday": time.weekday, "minute": time.minute,
        })),
    })
}

fn failed_json(outcome: &Answered) -> Value {
    let case = &outcome.case;
    json!({
        "place": case.place, "question": question_json(&case.question),
        "wanted": {
            "effect": case.effect.code(), "reasons": case.reasons,
            "obligations": obligations_json(case.obligations),
        },
        "answered": decision_json(&outcome.decision),
    })
}

// --- explain ----------------------------------------------------------------------------------------------------------

fn explain(say: &Say, args: &PolicyExplain) -> Outcome {
    let set = set(args.policies.as_deref())?;
    let asked = Question {
        roles: args.as_role.clone(),
        action: args.action,
        owner: args.owner.map(|whose| whose.relation()),
        initiator: args.initiator.map(|whose| whose.relation()),
        facts: facts(args)?,
    };
    let decision = asked.put(&set.engine);
    let deciding: Vec<&(Arc<str>, String)> =
        set.engine.policies().iter().filter(|(id, _)| decision.reasons().contains(id)).collect();
    if say.is_json() {
        let texts: BTreeMap<&str, &str> =
            deciding.iter().map(|(id, text)| (&**id, text.as_str())).collect();
        say.json(&json!({
            "question": question_json(&asked), "decision": decision_json(&decision), "policies": texts,
        }));
    } else {
        let mood = if decision.is_allowed() { Mood::Good } else { Mood::Bad };
        say.data(&question(say, &asked));
        say.data(&say.paint(mood, &answer(say, &decision)));
        for (_, text) in deciding {
            say.data("");
            say.data(text);
        }
    }
    Ok(if decision.is_allowed() { Exit::Done } else { Exit::Refused })
}

fn facts(args: &PolicyExplain) -> Result<Facts, Failure> {
    let amount = match (&args.about_amount, &args.about_asset) {
        (Some(amount), Some(asset)) => {
            let bad = |error: String| Failure::usage("amount").arg("text", amount).because(error);
            let asset: Asset =
                asset.parse().map_err(|error: tpw_core::ParseAssetError| bad(error.to_string()))?;
            let units = asset.parse_units(amount).map_err(|error| bad(error.to_string()))?;
            Some(Amount::of(&asset, units))
        }
        _ => None,
    };
    let (attested, disowned) = (args.device_attested, args.device_disowned);
    let payments = args.device_payments;
    let device = args.device_age.map(|age_s| DeviceFacts { age_s, attested, payments, disowned });
    let (place, zone) = (args.place.clone(), args.at_zone.or_else(|| "Z".parse().ok()));
    let at = args.at.as_deref().map(time).transpose()?;
    let time = at.zip(zone).map(|(at, zone)| TimeFacts::of(at, zone));
    Ok(Facts { amount, risk: args.risk, device, peers: args.peers, place, time })
}

// --- diff -------------------------------------------------------------------------------------------------------------

fn diff(say: &Say, args: &PolicyDiff) -> Outcome {
    let (before, after) = (set(Some(&args.policies_before))?, set(Some(&args.policies_after))?);
    let mut questions = Vec::new();
    for set in [&before, &after] {
        let read = cases::read(&set.files);
        questions.extend(read.map_err(|error| Failure::failed("policy-cases").because(error))?);
    }
    let changed = cases::differences(&questions, &before.engine, &after.engine);
    let texts = changed_texts(&before.engine, &after.engine);
    if say.is_json() {
        say.json(&json!({
            "before": before.engine.version().to_string(), "after": after.engine.version().to_string(),
            "questions": changed.iter().map(|difference| json!({
                "place": difference.place, "question": question_json(&difference.question),
                "before": decision_json(&difference.before), "after": decision_json(&difference.after),
            })).collect::<Vec<_>>(),
            "policies": texts.iter().map(|(id, (old, new))| {
                json!({ "id": id, "before": old, "after": new })
            }).collect::<Vec<_>>(),
        }));
        return Ok(Exit::Done);
    }
    for Difference { place, question: asked, before, after } in &changed {
        say.data(&format!("{place}: {}", question(say, asked)));
        say.data(&say.paint(Mood::Bad, &format!("  - {}", answer(say, before))));
        say.data(&say.paint(Mood::Good, &format!("  + {}", answer(say, after))));
    }
    for (id, (old, new)) in &texts {
        say.data(&format!("@@ {id}"));
        for (sign, mood, text) in [("-", Mood::Bad, old), ("+", Mood::Good, new)] {
            for line in text.iter().flat_map(|text| text.lines()) {
                say.data(&say.paint(mood, &format!("{sign} {line}")));
            }
        }
    }
    let (questions, policies) = (changed.len().to_string(), texts.len().to_string());
    say.tell("policy-differ", &[("questions", &questions), ("policies", &policies)]);
    Ok(Exit::Done)
}

type Texts<'a> = BTreeMap<&'a str, (Option<&'a str>, Option<&'a str>)>;

/// The policies whose text differs, by id: the one before and the one after.
fn changed_texts<'a>(before: &'a PolicyEngine, after: &'a PolicyEngine) -> Texts<'a> {
    let texts = |engine: &'a PolicyEngine| -> BTreeMap<&'a str, &'a str> {
        engine.policies().iter().map(|(id, text)| (&**id, text.as_str())).collect()
    };
    let (old, new) = (texts(before), texts(after));
    let ids: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let both = ids.into_iter().map(|id| (id, (old.get(id).copied(), new.get(id).copied())));
    both.filter(|(_, (old, new))| old != new).collect()
}

// --- export -----------------------------------------------------------------------------------------------------------

/// Writes the set that comes with the program, to begin one's own with.
fn export(say: &Say, folder: &Path) -> Outcome {
    if folder.exists() {
        return Err(Failure::usage("policy-exists").arg("path", folder.display()));
    }
    files::create_folder(&folder.join("cases"))?;
    for (name, text) in PolicyFiles::builtin().iter() {
        files::write_atomic(
            &folder.join(name),
            text.as_bytes(),
            Durability::Synced,
            Access::Ordinary,
        )?;
    }
    say.tell("policy-exported", &[("path", &folder.display().to_string())]);
    Ok(Exit::Done)
}
