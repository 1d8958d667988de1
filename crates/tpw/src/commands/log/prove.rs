//! `tpw log prove` and `tpw log consistency`: proofs from any log that is served as tiles, checked before they are told.

use super::source::{Source, Trusted, failed, unproved};
use crate::args::{Consistency, Prove};
use crate::commands::verify::RECEIPT_LEN_MAX;
use crate::commands::{Context, Outcome};
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use serde_json::json;
use std::path::Path;
use tpw_core::{Hash32, Receipt, TreeHead};
use tpw_engines::files::{self, Access, Durability};
use tpw_engines::log_store::TiledLog;
use tpw_proof::tree::{leaf_hash, verify_consistency};
use tpw_proof::witness::AddCheckpoint;
use tpw_proof::{ProofError, SignedCheckpoint, TlogProof, note};

/// That an entry stands in the log, as a C2SP tlog-proof.
pub(super) fn prove(context: &Context, args: &Prove) -> Outcome {
    let trusted = Trusted::of(&args.trusted)?;
    let source = Source::needed(&args.at, &trusted)?;
    let log = source.open(&trusted)?;
    let (index, leaf) = match (&args.receipt, args.index) {
        (Some(path), _) => leaf_of(path)?,
        (None, Some(index)) => (index, leaf_hash(&log.entry(index).map_err(failed)?)),
        (None, None) => return Err(Failure::usage("log-entry")),
    };
    let path = log.inclusion(index, log.size()).map_err(failed)?;
    let proof = TlogProof { extra: None, index, path, checkpoint: log.checkpoint().clone() };
    proof.verify_inclusion(&leaf).map_err(unproved)?;
    let head = log.checkpoint().checkpoint().head;
    let told = json!({
        "origin": log.checkpoint().checkpoint().origin.to_string(),
        "index": index.to_string(), "leaf": leaf.to_string(),
        "size": head.size.to_string(), "root": head.root.to_string(),
    });
    let (place, size) = (index.to_string(), head.size.to_string());
    tell(context, args.out.as_deref(), &proof.to_string(), told, || {
        context.say.tell("log-proved", &[("index", &place), ("size", &size)]);
    })
}

/// The place and the leaf hash of a receipt's entry. That the receipt itself holds is the business of `tpw verify`.
fn leaf_of(path: &Path) -> Result<(u64, Hash32), Failure> {
    let bytes = read_named(path, RECEIPT_LEN_MAX)?;
    let broken = |why: String| {
        Failure::new(Exit::NotVerified, "receipt-broken").arg("path", path.display()).because(why)
    };
    let receipt = Receipt::from_bytes(&bytes).map_err(|error| broken(error.to_string()))?;
    let proof = TlogProof::parse(&receipt.tlog_proof).map_err(|error| broken(error.to_string()))?;
    Ok((proof.index, leaf_hash(&receipt.leaf)))
}

/// A tree that is compared: one with a checkpoint of its own, or one that only a size names.
struct Point {
    head: TreeHead,
    checkpoint: Option<SignedCheckpoint>,
}

/// That one tree is the beginning of the other, as the request that a witness would be asked.
pub(super) fn consistency(context: &Context, args: &Consistency) -> Outcome {
    let trusted = Trusted::of(&args.trusted)?;
    let source = Source::of(&args.at, &trusted)?;
    let log = source.as_ref().map(|source| source.open(&trusted)).transpose()?;
    let old = point(&args.old, log.as_ref(), &trusted)?;
    let new = match (&args.new, &log) {
        (Some(new), log) => point(new, log.as_ref(), &trusted)?,
        (None, Some(log)) => published(log),
        (None, None) => return Err(Failure::usage("log-source")),
    };
    let (from, to) = (old.head, new.head);
    if from.size > to.size {
        return Err(Failure::usage("log-order"));
    }
    check_origins(&old, &new, log.as_ref())?;
    let proof = match &log {
        Some(log) => log.consistency(from.size, to.size).map_err(failed)?,
        None if from.size == to.size || from.size == 0 => Vec::new(),
        None => return Err(Failure::usage("log-source")),
    };
    verify_consistency(from.size, to.size, &proof, &from.root, &to.root).map_err(unproved)?;
    let hashes: Vec<String> = proof.iter().map(Hash32::to_string).collect();
    let told = json!({
        "old": { "size": from.size.to_string(), "root": from.root.to_string() },
        "new": { "size": to.size.to_string(), "root": to.root.to_string() },
        "hashes": hashes,
    });
    let text = match new.checkpoint {
        Some(checkpoint) => AddCheckpoint { old_size: from.size, proof, checkpoint }.to_string(),
        None => hashes.iter().map(|hash| format!("{hash}\n")).collect(),
    };
    let (old, new) = (from.size.to_string(), to.size.to_string());
    tell(context, args.out.as_deref(), &text, told, || {
        context.say.tell("log-consistent", &[("old", &old), ("new", &new)]);
    })
}

/// A policy may know several logs: proofs are about one.
fn check_origins(old: &Point, new: &Point, log: Option<&TiledLog<'_>>) -> Result<(), Failure> {
    let mut origins = [&old.checkpoint, &new.checkpoint]
        .into_iter()
        .flatten()
        .chain(log.map(TiledLog::checkpoint))
        .map(|signed| &signed.checkpoint().origin);
    let first = origins.next();
    if origins.all(|origin| Some(origin) == first) {
        return Ok(());
    }
    let (left, right) = ("one checkpoint", "the other");
    Err(unproved(ProofError::Mismatch { field: "origin", left, right }))
}

fn published(log: &TiledLog<'_>) -> Point {
    let checkpoint = log.checkpoint().clone();
    Point { head: checkpoint.checkpoint().head, checkpoint: Some(checkpoint) }
}

/// A size of the log, or a file with a checkpoint.
fn point(text: &str, log: Option<&TiledLog<'_>>, trusted: &Trusted) -> Result<Point, Failure> {
    let Ok(size) = text.parse::<u64>() else {
        return checkpoint_file(Path::new(text), trusted);
    };
    let log = log.ok_or_else(|| Failure::usage("log-source"))?;
    let head = TreeHead { size, root: log.root(size).map_err(failed)? };
    // Nobody has signed this root: it holds as the beginning of the tree that the log has signed.
    let signed = log.checkpoint().checkpoint().head;
    let proof = log.consistency(size, signed.size).map_err(failed)?;
    verify_consistency(size, signed.size, &proof, &head.root, &signed.root).map_err(unproved)?;
    Ok(Point { head, checkpoint: None })
}

fn checkpoint_file(path: &Path, trusted: &Trusted) -> Result<Point, Failure> {
    let most = u64::try_from(note::SIZE_MAX).unwrap_or(u64::MAX);
    let bytes = read_named(path, most)?;
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_odd| Failure::usage("not-text").arg("path", path.display()))?;
    let signed = SignedCheckpoint::parse(&text).map_err(unproved)?;
    trusted.verify(&signed).map_err(unproved)?;
    Ok(Point { head: signed.checkpoint().head, checkpoint: Some(signed) })
}

/// The proof to its file or to stdout, and what it is about in words or as JSON.
fn tell(
    context: &Context,
    out: Option<&Path>,
    text: &str,
    mut told: serde_json::Value,
    words: impl FnOnce(),
) -> Outcome {
    let say = &context.say;
    if let Some(path) = out {
        files::write_atomic(path, text.as_bytes(), Durability::Deferred, Access::Ordinary)?;
    }
    if say.is_json() {
        if let serde_json::Value::Object(members) = &mut told {
            members.insert("proof".to_owned(), text.into());
        }
        say.json(&told);
        return Ok(Exit::Done);
    }
    if out.is_none() {
        say.data(text.trim_end_matches('\n'));
    }
    words();
    Ok(Exit::Done)
}
