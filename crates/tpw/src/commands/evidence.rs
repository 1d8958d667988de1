//! `tpw receipt renew`, `plan` and `upgrade`: receipts that go on proving when certificates and algorithms end.

use super::receipt::trusted;
use super::verify::RECEIPT_LEN_MAX;
use super::{Context, Outcome, input};
use crate::args::{ReceiptPlan, ReceiptRenew, ReceiptUpgrade};
use crate::client::Client;
use crate::device::files::{access_of, read_named};
use crate::device::keys::Keys;
use crate::exit::{Exit, Failure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tpw_core::{Instant, Receipt, Record, Span};
use tpw_crypto::{Entropy as _, Sha2};
use tpw_engines::clock::Clock as _;
use tpw_engines::entropy::OsEntropy;
use tpw_engines::files::{self, Durability};
use tpw_proof::evidence::{self, Due, Ends, HashTree, Renewal, Step};
use tpw_proof::{Judgement, Level, Trust, judge, timestamp};
use tpw_server::outbound::Outbound;

/// The longest that an authority may take.
const STAMP_TIME_MAX: Duration = Duration::from_secs(30);
/// How far an authority's clock may be from this one.
const CLOCKS_APART_MAX: Span = Span::from_secs(300);
/// A function that ends within this time is replaced at the next renewal: two years.
const FUNCTION_LEAD: Span = Span::from_secs(2 * 365 * 86_400);
const DAY: u64 = 86_400;
const CA_LEN_MAX: u64 = 4 << 20;

/// A receipt file that holds.
struct Held {
    path: PathBuf,
    receipt: Receipt,
}

/// A renewal, and the record that it takes the place of.
struct Job {
    held: usize,
    /// The place in the receipt's list; at its end for a new record.
    slot: usize,
    renewal: Renewal,
}

// --- renew ------------------------------------------------------------------------------------------------------------

pub(super) async fn renew(context: &Context, args: &ReceiptRenew) -> Outcome {
    let trust = trusted(args.of.trust.as_deref(), args.of.wallet.as_deref())?;
    let (mut all, mut exit) = held(context, &args.of.receipts, &trust)?;
    let asked = args.renewal_hash.map(crate::args::HashFunction::function);
    let now = context.clock.now();
    let mut jobs = Vec::new();
    for (index, held) in all.iter().enumerate() {
        jobs.extend(jobs_of(index, held, asked, now)?);
    }
    let outbound = authority(args)?;
    let mut steps = vec![Vec::new(); all.len()];
    for function in Sha2::ALL {
        let (of_one, rest) = jobs.into_iter().partition(|job| job.renewal.function() == function);
        jobs = rest;
        let of_one: Vec<Job> = of_one;
        if of_one.is_empty() {
            continue;
        }
        let renewals: Vec<Renewal> = of_one.iter().map(|job| job.renewal.clone()).collect();
        let tree = Renewal::tree(&renewals).map_err(broken)?;
        let response = stamped(&outbound, &args.tsa_url, &tree, &trust, now).await?;
        for job in of_one {
            let step = job.renewal.step();
            let record = job.renewal.finish(&tree, &response).map_err(broken)?;
            if let Some(held) = all.get_mut(job.held) {
                match held.receipt.evidence.get_mut(job.slot) {
                    Some(old) => *old = record,
                    None => held.receipt.evidence.push(record),
                }
            }
            steps.get_mut(job.held).into_iter().for_each(|steps| steps.push((step, function)));
        }
    }
    let mut rows = Vec::new();
    for (held, steps) in all.iter().zip(&steps) {
        match store(held, &trust) {
            Ok(detail) => rows.push(told(context, held, steps, &detail)),
            // The others are stored all the same: this file is as it was.
            Err(failure) => {
                context.say.failure(&failure);
                exit = failure.exit;
            }
        }
    }
    if context.say.is_json() {
        context.say.json(&Value::Array(rows));
    }
    Ok(exit)
}

/// What is to be done for one receipt: each of its records is renewed, or a first one begun.
fn jobs_of(
    index: usize,
    held: &Held,
    asked: Option<Sha2>,
    now: Instant,
) -> Result<Vec<Job>, Failure> {
    let receipt = &held.receipt;
    let job = |slot, renewal| Job { held: index, slot, renewal };
    if receipt.evidence.is_empty() {
        let function = asked.unwrap_or(evidence::FUNCTION);
        return Ok(vec![job(0, Renewal::begin(receipt, function).map_err(broken)?)]);
    }
    let mut jobs = Vec::new();
    for (slot, record) in receipt.evidence.iter().enumerate() {
        let plain = Renewal::time_stamp(record).map_err(broken)?;
        let old = plain.function();
        let ends = evidence::relied_until(evidence::hash_name(old)) < now.plus(FUNCTION_LEAD);
        let wanted = asked.unwrap_or(if ends { evidence::FUNCTION } else { old });
        let renewal = match wanted == old {
            true => plain,
            false => Renewal::hash_tree(receipt, record, wanted).map_err(broken)?,
        };
        jobs.push(job(slot, renewal));
    }
    Ok(jobs)
}

fn authority(args: &ReceiptRenew) -> Result<Outbound, Failure> {
    let ca = args.ca.as_ref().map(|path| read_named(path, CA_LEN_MAX)).transpose()?;
    let outbound = Outbound::new(ca.as_deref(), STAMP_TIME_MAX);
    outbound.map_err(|error| Failure::usage("renew-authority").because(error))
}

/// An authority's answer over the root of `tree`, checked as a requester must (RFC 3161 §2.2).
async fn stamped(
    outbound: &Outbound,
    url: &str,
    tree: &HashTree,
    trust: &Trust,
    now: Instant,
) -> Result<Vec<u8>, Failure> {
    let wrong =
        |exit, cause: String| Failure::new(exit, "renew-stamp").arg("url", url).because(cause);
    let mut nonce = vec![0; 8];
    let filled = OsEntropy.fill(&mut nonce);
    filled.map_err(|error| Failure::failed("tsa-query").because(error))?;
    let query = evidence::query(tree, None, nonce).map_err(broken)?;
    let answer = outbound
        .post_as(url, "application/timestamp-query", query.clone(), timestamp::RESPONSE_LEN_MAX)
        .await
        .map_err(|error| wrong(Exit::Later, error.to_string()))?;
    if answer.media_type != "application/timestamp-reply" {
        return Err(wrong(Exit::Failed, format!("HTTP {}, {}", answer.status, answer.media_type)));
    }
    let (roots, policies) = (&trust.tsa_roots, &trust.tsa_policies);
    let stamp = timestamp::verify_answer(&answer.body, &query, roots, policies)
        .map_err(|error| wrong(Exit::NotVerified, error.to_string()))?;
    let apart = stamp.gen_time.since(now).max(now.since(stamp.gen_time));
    if apart > CLOCKS_APART_MAX {
        let cause = format!("{} there, {now} here", stamp.gen_time);
        return Err(Failure::failed("renew-clock").because(cause));
    }
    Ok(answer.body.to_vec())
}

/// Writes the receipt in the place of the old one, if it still holds and now proves L5.
fn store(held: &Held, trust: &Trust) -> Result<String, Failure> {
    let bytes = held.receipt.to_bytes();
    let judgement = judge(&bytes, trust);
    if let Some(failure) = refused(&held.path, &judgement) {
        return Err(failure);
    }
    let detail = renewed(&judgement).ok_or_else(|| broken("no record"))?;
    files::write_atomic(&held.path, &bytes, Durability::Synced, access_of(&held.path))?;
    Ok(detail)
}

fn renewed(judgement: &Judgement) -> Option<String> {
    match judgement.level(Level::Renewed) {
        tpw_proof::Outcome::Proved { detail } => Some(detail.clone()),
        _ => None,
    }
}

fn told(context: &Context, held: &Held, steps: &[(Step, Sha2)], detail: &str) -> Value {
    let say = &context.say;
    let file = held.path.display().to_string();
    for (step, function) in steps {
        let step = say.text(&format!("renew-step-{}", step.code()));
        let args =
            [("file", file.as_str()), ("step", &step), ("hash", evidence::hash_name(*function))];
        if !say.is_json() {
            say.data(&say.with("renewed", &args));
        }
    }
    let steps: Vec<Value> = steps
        .iter()
        .map(|(step, function)| json!({ "step": step.code(), "hash": function.name() }))
        .collect();
    json!({ "file": file, "steps": steps, "detail": detail })
}

// --- upgrade ----------------------------------------------------------------------------------------------------------

/// Asks this device's operator for the receipts once more, and takes what is new into the files.
pub(super) async fn upgrade(context: &Context, args: &ReceiptUpgrade) -> Outcome {
    let folder = input::folder(&args.device)?;
    let profile = folder.profile()?;
    let trust = profile.trust()?;
    let (all, mut exit) = held(context, &args.receipts, &trust)?;
    let keys = input::keys(context, &folder, &args.device)?;
    let client = super::wallet::client(context, &profile.server, folder.ca()?.as_deref())?;
    let mut rows = Vec::new();
    for held in &all {
        match upgrade_one(held, &client, &keys, &trust).await {
            Ok(changed) => {
                let file = held.path.display().to_string();
                let key = if changed { "upgraded" } else { "upgraded-nothing" };
                if !context.say.is_json() {
                    context.say.data(&context.say.with(key, &[("file", &file)]));
                }
                rows.push(json!({ "file": file, "changed": changed }));
            }
            Err(failure) => {
                context.say.failure(&failure);
                exit = failure.exit;
            }
        }
    }
    if context.say.is_json() {
        context.say.json(&Value::Array(rows));
    }
    Ok(exit)
}

/// A fresh receipt with what was added to the kept one since, such as evidence records; `None` when that does not hold.
pub(super) fn with_own_layers(own: &[u8], fresh: &[u8], trust: &Trust) -> Option<Vec<u8>> {
    let (own, fresh) = (Receipt::from_bytes(own).ok()?, Receipt::from_bytes(fresh).ok()?);
    let merged = tpw_proof::upgraded(&own, &fresh).ok()?.to_bytes();
    judge(&merged, trust).is_valid().then_some(merged)
}

async fn upgrade_one(
    held: &Held,
    client: &Client,
    keys: &Keys,
    trust: &Trust,
) -> Result<bool, Failure> {
    let record = Record::from_bytes(&held.receipt.record).map_err(broken)?;
    let path = format!("/v1/payments/{}/receipt?kind={}", record.payment, record.kind.code());
    let fresh = Receipt::from_bytes(&client.get(keys, &path).await?.body).map_err(broken)?;
    let fresh = tpw_proof::with_known_stamps(fresh, trust);
    let merged = tpw_proof::upgraded(&held.receipt, &fresh).map_err(broken)?;
    if merged == held.receipt {
        return Ok(false);
    }
    let (before, after) =
        (judge(&held.receipt.to_bytes(), trust), judge(&merged.to_bytes(), trust));
    if let Some(failure) = refused(&held.path, &after) {
        return Err(failure);
    }
    // What the file proves already it goes on proving.
    if proves_less(&before, &after) {
        return Ok(false);
    }
    let access = access_of(&held.path);
    files::write_atomic(&held.path, &merged.to_bytes(), Durability::Synced, access)?;
    Ok(true)
}

/// Whether something that a receipt proved before it does not prove any more.
pub(super) fn proves_less(before: &Judgement, after: &Judgement) -> bool {
    let lost = |l: &&Level| before.level(**l).is_proved() && !after.level(**l).is_proved();
    (before.is_valid() && !after.is_valid()) || Level::ALL.iter().any(|level| lost(&level))
}

// --- plan -------------------------------------------------------------------------------------------------------------

pub(super) fn plan(context: &Context, args: &ReceiptPlan) -> Outcome {
    let say = &context.say;
    let trust = trusted(args.of.trust.as_deref(), args.of.wallet.as_deref())?;
    let (all, exit) = held(context, &args.of.receipts, &trust)?;
    let now = context.clock.now();
    let soon = now.plus(Span::from_secs(u64::from(args.within).saturating_mul(DAY)));
    let mut found = Vec::new();
    for held in &all {
        let due = evidence::due(&held.receipt, &trust.tsa_roots).map_err(broken)?;
        let state = match due.until {
            until if until < now => "late",
            until if until <= soon => "due",
            _ => "later",
        };
        found.push((due, state, held.path.display().to_string()));
    }
    found.sort_by(|(one, _, first), (other, _, second)| {
        (one.until, first).cmp(&(other.until, second))
    });
    if say.is_json() {
        let row = |(due, state, file): &(Due, &str, String)| plan_json(due, state, file);
        say.json(&Value::Array(found.iter().map(row).collect()));
        return Ok(exit);
    }
    let header = ["file", "step", "until", "why", "state"];
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|(due, state, file)| {
            let step = say.text(&format!("renew-step-{}", due.step.code()));
            let day = due.until.to_string().chars().take(10).collect();
            vec![file.clone(), step, day, why(context, due), say.text(&format!("plan-{state}"))]
        })
        .collect();
    let header = header.map(|name| say.text(&format!("plan-field-{name}")));
    say.table(&header.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
    Ok(exit)
}

fn why(context: &Context, due: &Due) -> String {
    match due.ends {
        Ends::Certificate => context.say.text("plan-certificate"),
        Ends::Algorithm(name) => context.say.with("plan-algorithm", &[("name", name)]),
    }
}

fn plan_json(due: &Due, state: &str, file: &str) -> Value {
    let (kind, name) = match due.ends {
        Ends::Certificate => ("certificate", None),
        Ends::Algorithm(name) => ("algorithm", Some(name)),
    };
    json!({
        "file": file, "step": due.step.code(), "until": due.until.to_string(), "state": state,
        "ends": { "kind": kind, "name": name }, "hash": due.function.map(Sha2::name),
    })
}

// --- files ------------------------------------------------------------------------------------------------------------

/// The receipts that hold, and how the command ends because of the others, which are told.
fn held(
    context: &Context,
    receipts: &[PathBuf],
    trust: &Trust,
) -> Result<(Vec<Held>, Exit), Failure> {
    let mut paths = Vec::new();
    for path in receipts {
        match path.is_dir() {
            true => paths.extend(receipts_in(path)?),
            false => paths.push(path.clone()),
        }
    }
    paths.sort();
    paths.dedup();
    if paths.is_empty() {
        return Err(Failure::usage("renew-none"));
    }
    let (mut all, mut exit) = (Vec::new(), Exit::Done);
    for path in paths {
        match read_held(&path, trust) {
            Ok(receipt) => all.push(Held { path, receipt }),
            Err(failure) => {
                context.say.failure(&failure);
                exit = failure.exit;
            }
        }
    }
    if all.is_empty() { Err(Failure::new(exit, "renew-none")) } else { Ok((all, exit)) }
}

fn receipts_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::failed("file").because(format!("{}: {error}", folder.display()))
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "tpr") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Only what holds is renewed: a time-stamp over what proves nothing would prove nothing either.
fn read_held(path: &Path, trust: &Trust) -> Result<Receipt, Failure> {
    let bytes = read_named(path, RECEIPT_LEN_MAX)?;
    if let Some(failure) = refused(path, &judge(&bytes, trust)) {
        return Err(failure);
    }
    Receipt::from_bytes(&bytes).map_err(broken)
}

fn refused(path: &Path, judgement: &Judgement) -> Option<Failure> {
    if judgement.is_valid() {
        return None;
    }
    let failure = Failure::new(Exit::NotVerified, "renew-not-valid").arg("path", path.display());
    Some(match judgement.first_failure() {
        Some((layer, reason)) => failure.because(format!("{}: {reason}", layer.code())),
        None => failure,
    })
}

fn broken(error: impl ToString) -> Failure {
    Failure::failed("renew-broken").because(error.to_string())
}
