//! `tpw log`: the operator's log or a foreign one, audited, looked at, and proved from.

mod prove;
mod prune;
mod pull;
pub(super) mod source;
mod witness;

use super::verify::trust;
use super::wallet::client;
use super::{Context, Outcome};
use crate::args::{Fsck, Log, MirrorCommand, WitnessCommand};
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use crate::say::{Mood, Say};
use serde_json::json;
use source::{Source, Trusted};
use std::path::Path;
use tpw_engines::books::{BooksReader, StoreError};
use tpw_engines::log_store::{self, LeafSource, Report, SharedHeads};
use tpw_engines::{postgres, sqlite};
use tpw_proof::{SignedCheckpoint, Trust};
use tpw_server::wire;

pub(super) async fn run(context: &Context, command: &Log) -> Outcome {
    match command {
        Log::Fsck(args) => match &args.data {
            Some(data) => fsck(context, data, args.trusted.trust.as_deref(), args.books.as_deref()),
            None => fsck_tiled(context, args),
        },
        Log::Prove(args) => prove::prove(context, args),
        Log::Consistency(args) => prove::consistency(context, args),
        Log::Prune(args) => prune::run(context, args),
        Log::Witness(WitnessCommand::Serve(args)) => witness::serve(context, args).await,
        Log::Mirror(MirrorCommand::Serve(args)) => witness::mirror(context, args).await,
        Log::Mirror(MirrorCommand::Pull(args)) => pull::pull(context, args),
        Log::Checkpoint { server, ca, trust } => {
            checkpoint(context, server, ca.as_deref(), trust.as_deref()).await
        }
    }
}

/// What the log is compared with beside its own files.
struct Books {
    leaves: Box<dyn BooksReader>,
    /// The checkpoints, where they are kept beside the books.
    heads: Option<Box<dyn SharedHeads>>,
}

/// The books to compare with: those at `address` in PostgreSQL, or the file of the folder. An auditor may have a copy of the
/// log alone, and then there are none.
fn books(data: &Path, address: Option<&str>) -> Result<Option<Books>, Failure> {
    let failed = |error: StoreError| Failure::failed("log-books").because(error);
    if let Some(address) = address {
        let parsed = || {
            let address = postgres::Address::parse(address);
            address.map_err(|error| Failure::usage("log-store").because(error))
        };
        let leaves = Box::new(postgres::Reader::open(parsed()?).map_err(failed)?);
        let heads: Box<dyn SharedHeads> = Box::new(postgres::Heads::to_read(parsed()?));
        return Ok(Some(Books { leaves, heads: Some(heads) }));
    }
    let path = data.join("books.db");
    if !path.exists() {
        return Ok(None);
    }
    let leaves = Box::new(sqlite::Reader::open_to_read(&path).map_err(failed)?);
    Ok(Some(Books { leaves, heads: None }))
}

fn fsck(context: &Context, data: &Path, trust_path: Option<&Path>, store: Option<&str>) -> Outcome {
    // The server leaves the trust file in its folder; an auditor brings one from elsewhere.
    let trust: Trust = match trust_path {
        Some(path) => trust(path)?,
        None => trust(&data.join("trust.json"))?,
    };
    // Books on another machine block this thread, which is the runtime's.
    let books = tokio::task::block_in_place(|| books(data, store))?;
    let compared = if books.is_some() { Compared::WithBooks } else { Compared::Alone };
    let (source, heads) = books.map_or((None, None), |books| (Some(books.leaves), books.heads));
    let source = source.as_ref().map(|leaves| leaves as &dyn LeafSource);
    let audit = || log_store::fsck_sharing(&data.join("log"), &trust, source, heads);
    let report = tokio::task::block_in_place(audit);
    let report = report.map_err(|error| Failure::failed("log").because(error))?;
    tell_report(&context.say, &report, compared);
    Ok(if report.is_sound() { Exit::Done } else { Exit::NotVerified })
}

/// Audits any log that is served as tiles: a foreign one, or a copy without `log.db`.
fn fsck_tiled(context: &Context, args: &Fsck) -> Outcome {
    let trusted = Trusted::of(&args.trusted)?;
    let source = Source::needed(&args.at, &trusted)?;
    let log = source.open(&trusted)?;
    if args.min_index > log.size() {
        return Err(Failure::usage("log-min-index").arg("size", log.size()));
    }
    let report = log_store::fsck_tiled(&log, args.min_index, source.folder());
    tell_report(&context.say, &report, Compared::Tiles);
    Ok(if report.is_sound() { Exit::Done } else { Exit::NotVerified })
}

/// Whether entries were compared with the books.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    WithBooks,
    Alone,
    /// The log is known by its public files alone: there are no books to compare with.
    Tiles,
}

fn tell_report(say: &Say, report: &Report, compared: Compared) {
    if say.is_json() {
        let findings = report.findings.iter().map(|finding| {
            json!({
                "path": finding.path, "code": finding.code, "what": finding.what,
                "advice": finding.advice.text,
            })
        });
        say.json(&json!({
            "sound": report.is_sound(), "size": report.size.to_string(),
            "checkpoints": report.checkpoints.to_string(), "files": report.files.to_string(),
            "compared_with_books": compared == Compared::WithBooks,
            "findings": findings.collect::<Vec<_>>(),
        }));
        return;
    }
    let texts = [report.size, report.checkpoints, report.files].map(|n| n.to_string());
    let [size, checkpoints, files] = &texts;
    let args = [("size", size.as_str()), ("checkpoints", checkpoints), ("files", files)];
    let (key, mood) =
        if report.is_sound() { ("log-sound", Mood::Good) } else { ("log-unsound", Mood::Bad) };
    say.data(&say.paint(mood, &say.with(key, &args)));
    if compared == Compared::Alone {
        say.data(&say.paint(Mood::Warn, &say.text("log-alone")));
    }
    for finding in &report.findings {
        let what = say.with(&format!("fsck-{}", finding.code), &[("detail", &finding.what)]);
        say.data(&format!("  {}: {what}", finding.path));
        let key = format!("fsck-advice-{}", finding.advice.code);
        let advice = say.with(&key, &[("detail", finding.advice.text)]);
        say.word(&say.with("line-help", &[("text", &advice)]));
    }
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
