//! `tpw log`: the operator's log, audited offline or looked at.

use super::verify::trust;
use super::wallet::client;
use super::{Context, Outcome};
use crate::args::Log;
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use crate::say::Mood;
use serde_json::json;
use std::path::Path;
use tpw_engines::books::Books as _;
use tpw_engines::log_store::{self, LeafSource};
use tpw_engines::sqlite::Store;
use tpw_proof::{SignedCheckpoint, Trust};
use tpw_server::wire;

pub(super) async fn run(context: &Context, command: &Log) -> Outcome {
    match command {
        Log::Fsck { data, trust } => fsck(context, data, trust.as_deref()),
        Log::Checkpoint { server, ca, trust } => {
            checkpoint(context, server, ca.as_deref(), trust.as_deref()).await
        }
    }
}

fn fsck(context: &Context, data: &Path, trust_path: Option<&Path>) -> Outcome {
    let say = &context.say;
    // The server leaves the trust file in its folder; an auditor brings one from elsewhere.
    let trust: Trust = match trust_path {
        Some(path) => trust(path)?,
        None => trust(&data.join("trust.json"))?,
    };
    let failed = |error: &dyn std::fmt::Display| Failure::failed("log").because(error);
    let books = data.join("books.db");
    // An auditor may have a copy of the log alone; with the books it is compared with what they say, too.
    let source = if books.exists() {
        let store = Store::open(&books).map_err(|error| failed(&error))?;
        Some(store.reader().map_err(|error| failed(&error))?)
    } else {
        None
    };
    let source = source.as_ref().map(|leaves| leaves as &dyn LeafSource);
    let report = log_store::fsck(&data.join("log"), &trust, source).map_err(|e| failed(&e))?;
    if say.is_json() {
        let findings = report.findings.iter().map(|finding| {
            json!({ "path": finding.path, "what": finding.what, "advice": finding.advice })
        });
        say.json(&json!({
            "sound": report.is_sound(), "size": report.size.to_string(),
            "checkpoints": report.checkpoints.to_string(), "files": report.files.to_string(),
            "findings": findings.collect::<Vec<_>>(),
        }));
    } else {
        let texts = [report.size, report.checkpoints, report.files].map(|n| n.to_string());
        let [size, checkpoints, files] = &texts;
        let args = [("size", size.as_str()), ("checkpoints", checkpoints), ("files", files)];
        let (key, mood) =
            if report.is_sound() { ("log-sound", Mood::Good) } else { ("log-unsound", Mood::Bad) };
        say.data(&say.paint(mood, &say.with(key, &args)));
        for finding in &report.findings {
            say.data(&format!("  {}: {}", finding.path, finding.what));
            say.word(&say.with("line-help", &[("text", finding.advice)]));
        }
    }
    Ok(if report.is_sound() { Exit::Done } else { Exit::NotVerified })
}

async fn checkpoint(
    context: &Context,
    server: &str,
    ca: Option<&Path>,
    trust_path: Option<&Path>,
) -> Outcome {
    let say = &context.say;
    let ca = ca.map(|path| read_named(path, 4 << 20)).transpose()?;
    let client = client(context, server, ca.as_deref())?;
    let answer: wire::Checkpoint = client.get_public("/v1/checkpoint").await?.json()?;
    // Without a trust file of the person's own nothing is verified, and that is said.
    let verified = trust_path.map(|path| verify(&answer.checkpoint, &trust(path)?)).transpose()?;
    if say.is_json() {
        say.json(&json!({
            "origin": answer.origin, "size": answer.head.size.to_string(),
            "root": answer.head.root.0.to_string(), "issued": answer.issued.0.to_string(),
            "checkpoint": answer.checkpoint, "verified": verified.is_some(),
        }));
    } else {
        say.data(answer.checkpoint.trim_end());
        let key = if verified.is_some() { "checkpoint-verified" } else { "checkpoint-unverified" };
        say.tell(key, &[("time", &answer.issued.0.to_string())]);
    }
    Ok(Exit::Done)
}

fn verify(note: &str, trust: &Trust) -> Result<(), Failure> {
    let bad =
        |error: tpw_proof::ProofError| Failure::new(Exit::NotVerified, "checkpoint").because(error);
    SignedCheckpoint::parse(note).and_then(|signed| signed.verify_all(&trust.log_keys)).map_err(bad)
}
