//! `tpw verify`: receipts judged offline.

use super::{Context, Outcome, show};
use crate::args::Verify;
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use crate::say::Mood;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant as Stopwatch;
use tpw_proof::{Trust, judge};

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

pub(super) fn run(context: &Context, args: &Verify) -> Outcome {
    let (say, trust) = (&context.say, trust(&args.trust)?);
    let mut exit = Exit::Done;
    let mut all = Vec::new();
    for path in &args.files {
        let bytes = read_named(path, RECEIPT_LEN_MAX)?;
        let watch = Stopwatch::now();
        let judgement = judge(&bytes, &trust);
        let ms = watch.elapsed().as_secs_f64() * 1000.0;
        if !judgement.is_valid() {
            exit = Exit::NotVerified;
        }
        let shown = path.display().to_string();
        if say.is_json() {
            let mut value = show::judgement_json(&judgement);
            if let Value::Object(members) = &mut value {
                members.insert("file".to_owned(), shown.into());
                members.insert("ms".to_owned(), json!(ms));
            }
            all.push(value);
            continue;
        }
        let (key, mood) =
            if judgement.is_valid() { ("verify-valid", Mood::Good) } else { ("verify-invalid", Mood::Bad) };
        let time = format!("{ms:.1}");
        let head = say.with(key, &[("file", &shown), ("ms", &time)]);
        say.data(&say.paint(mood, &head));
        for line in show::level_lines(say, &judgement) {
            say.data(&line);
        }
        if let Some((layer, reason)) = judgement.first_failure() {
            let (layer, reason) = (say.text(&format!("layer-{}", layer.code())), reason.to_string());
            say.word(&say.with("verify-failed-in", &[("layer", &layer), ("reason", &reason)]));
        }
        for line in judgement.payment.iter().flat_map(|proved| show::proved_lines(say, proved)) {
            say.data(&line);
        }
    }
    if say.is_json() {
        // One receipt is one object; several are a list.
        let only = if all.len() == 1 { all.pop() } else { None };
        say.json(&only.unwrap_or(Value::Array(all)));
    }
    Ok(exit)
}
