//! `tpw log mirror pull`: a copy of any log that is served as tiles. Nothing of it is shown before it is proved and audited.

use super::source::{Source, Trusted, failed, unproved};
use super::{Compared, tell_report};
use crate::args::MirrorPull;
use crate::commands::{Context, Outcome};
use crate::exit::{Exit, Failure};
use tpw_engines::log_store::{Copy, TiledLog, fsck_tiled};
use tpw_proof::ProofError;

pub(super) fn pull(context: &Context, args: &MirrorPull) -> Outcome {
    let trusted = Trusted::of(&args.trusted)?;
    let source = Source::needed(&args.at, &trusted)?;
    let log = source.open(&trusted)?;
    let mut copy = Copy::open(&args.to).map_err(failed)?;
    let before = copy.size();
    if let Some(old) = copy.checkpoint() {
        // The copy's own checkpoint was verified when it was pulled: what is served now has to go on from there.
        trusted.verify(old).map_err(unproved)?;
    }
    let pulled = copy.pull(&log).map_err(not_copied)?;
    // What others would get from the folder is audited as what they would get from the log, before its checkpoint says so.
    let copied = TiledLog::open(&pulled, |signed| trusted.verify(signed)).map_err(failed)?;
    let report = fsck_tiled(&copied, 0, Some(&args.to));
    tell_report(&context.say, &report, Compared::Tiles);
    if !report.is_sound() {
        return Ok(Exit::NotVerified);
    }
    let (before, now) = (before.to_string(), copied.size().to_string());
    pulled.publish().map_err(failed)?;
    context.say.tell("log-pulled", &[("before", &before), ("now", &now)]);
    Ok(Exit::Done)
}

/// Entries that do not give the signed root are evidence against the log, not a failure to read.
fn not_copied(error: tpw_engines::log_store::LogError) -> Failure {
    use tpw_engines::log_store::LogError;
    match error {
        LogError::Contradiction { .. } => unproved(ProofError::RootMismatch),
        error => failed(error),
    }
}
