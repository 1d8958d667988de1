//! `tpw verify`: receipts judged offline.

mod all;

use super::ots::known_headers;
use super::{Context, Outcome, show};
use crate::args::Verify;
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use crate::say::{Mood, Say};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant as Stopwatch;
use tpw_engines::clock::Clock as _;
use tpw_proof::{Judgement, Policy, ProofError, Trust, anchor, judge};

/// Receipts are a few KiB; anything much larger is none.
pub(super) const RECEIPT_LEN_MAX: u64 = 1 << 20;
const TRUST_LEN_MAX: u64 = 1 << 18;

/// Reads the file that says whom to trust.
pub(super) fn trust(path: &Path) -> Result<Trust, Failure> {
    let bytes = read_named(path, TRUST_LEN_MAX)?;
    let wrong = |why: String| Failure::usage("trust-file").arg("path", path.display()).because(why);
    let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
    Trust::from_json(&text).map_err(|error| wrong(error.to_string()))
}

/// Reads the file that says which witnesses are enough.
pub(super) fn policy(path: &Path) -> Result<Policy, Failure> {
    let bytes = read_named(path, TRUST_LEN_MAX)?;
    let wrong = |error: ProofError| {
        Failure::usage("policy-file").arg("path", path.display()).because(error)
    };
    Policy::parse(&bytes).map_err(wrong)
}

pub(super) fn run(context: &Context, args: &Verify) -> Outcome {
    let mut trust = trust(&args.trust)?;
    if let Some(path) = &args.policy {
        trust.witness_policy = Some(policy(path)?);
    }
    add_blocks(&mut trust, &args.block_hashes)?;
    trust.bitcoin_headers.extend(known_headers(&args.known)?);
    match &args.all {
        Some(folder) => all::run(context, folder, &trust),
        None => judge_all(context, &args.files, &trust),
    }
}

/// Takes over blocks that the person knows from elsewhere. A hash names one block of one chain, whichever that is.
fn add_blocks(trust: &mut Trust, hashes: &[String]) -> Result<(), Failure> {
    for text in hashes {
        let wrong = || Failure::usage("block-hash").arg("text", text);
        let hash = anchor::block_hash(text).ok_or_else(wrong)?;
        if trust.evm_anchors.is_empty() {
            return Err(Failure::usage("block-hash-chain"));
        }
        trust.evm_anchors.iter_mut().for_each(|chain| chain.blocks.push(hash));
    }
    Ok(())
}

/// Judges receipts and tells what they prove.
pub(super) fn judge_all(context: &Context, files: &[PathBuf], trust: &Trust) -> Outcome {
    let say = &context.say;
    let mut exit = Exit::Done;
    let mut all = Vec::new();
    for path in files {
        let shown = path.display().to_string();
        let bytes = match read_named(path, RECEIPT_LEN_MAX) {
            Ok(bytes) => bytes,
            // The others are judged all the same, and what was found of them is told.
            Err(failure) => {
                say.failure(&failure);
                all.push(json!({ "file": shown, "valid": false, "error": failure.key }));
                exit = if exit == Exit::Done { failure.exit } else { exit };
                continue;
            }
        };
        let watch = Stopwatch::now();
        let judgement = judge(&bytes, trust);
        let ms = watch.elapsed().as_secs_f64() * 1000.0;
        if !judgement.is_valid() {
            exit = Exit::NotVerified;
        }
        if say.is_json() {
            all.push(judged_json(&judgement, &shown, ms));
            continue;
        }
        tell(say, &judgement, &shown, ms);
        tell_overdue(context, &judgement, &shown);
    }
    if say.is_json() {
        // One receipt is one object; several are a list.
        let only = if all.len() == 1 { all.pop() } else { None };
        say.json(&only.unwrap_or(Value::Array(all)));
    }
    Ok(exit)
}

/// The verdict has no clock; whether the newest time-stamp is still relied on today is told beside it.
fn tell_overdue(context: &Context, judgement: &Judgement, file: &str) {
    let evidence = judgement.payment.as_ref().and_then(|proved| proved.evidence);
    if let Some(until) = evidence.map(|evidence| evidence.until)
        && until < context.clock.now()
    {
        context.say.tell("verify-overdue", &[("file", file), ("until", &until.to_string())]);
    }
}

/// A judgement as JSON, with the file and the time that judging took.
fn judged_json(judgement: &Judgement, file: &str, ms: f64) -> Value {
    let mut value = show::judgement_json(judgement);
    if let Value::Object(members) = &mut value {
        members.insert("file".to_owned(), file.into());
        members.insert("ms".to_owned(), json!(ms));
    }
    value
}

fn tell(say: &Say, judgement: &Judgement, file: &str, ms: f64) {
    let (key, mood) = match judgement.is_valid() {
        true => ("verify-valid", Mood::Good),
        false => ("verify-invalid", Mood::Bad),
    };
    let head = say.with(key, &[("file", file), ("ms", &format!("{ms:.1}"))]);
    say.data(&say.paint(mood, &head));
    show::level_lines(say, judgement).iter().for_each(|line| say.data(line));
    if let Some((layer, reason)) = judgement.first_failure() {
        let (layer, reason) =
            (say.text(&format!("layer-{}", layer.code())), show::fault(say, reason));
        say.word(&say.with("verify-failed-in", &[("layer", &layer), ("reason", &reason)]));
    }
    show::anchor_lines(say, judgement).iter().for_each(|line| say.word(line));
    for line in judgement.payment.iter().flat_map(|proved| show::proved_lines(say, proved)) {
        say.data(&line);
    }
}
