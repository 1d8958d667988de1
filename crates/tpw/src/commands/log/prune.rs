//! `tpw log prune`: the log serves its older entries no longer, once mirrors are seen to have them.

use super::source::{Source, Trusted, failed};
use super::{Books, books};
use crate::args::{LogAt, Prune};
use crate::commands::serve::unknown_mirror;
use crate::commands::verify::{policy, trust};
use crate::commands::{Context, Outcome};
use crate::exit::{Exit, Failure};
use std::path::Path;
use tpw_engines::log_store::{LogError, TiledLog, prune};
use tpw_proof::{Policy, Trust, VerifierKey};

pub(super) fn run(context: &Context, args: &Prune) -> Outcome {
    let trust = trust(&args.data.join("trust.json"))?;
    let policy = args.policy.as_deref().map(policy).transpose()?;
    let holders = args.mirrors.iter().map(|name| holder(name, policy.as_ref(), &trust, args));
    let holders: Vec<(Source, VerifierKey)> = holders.collect::<Result<_, _>>()?;
    let mut logs = Vec::with_capacity(holders.len());
    for (source, key) in &holders {
        let keys = [trust.log_keys.as_slice(), core::slice::from_ref(key)].concat();
        let log = TiledLog::open(source, |signed| signed.verify_all(&keys)).map_err(failed)?;
        logs.push(log);
    }
    let done = tokio::task::block_in_place(|| {
        let heads = match &args.books {
            Some(_) => {
                books(&args.data, args.books.as_deref())?.and_then(|Books { heads, .. }| heads)
            }
            None => None,
        };
        prune(&args.data.join("log"), heads, args.before, &logs).map_err(not_pruned)
    })?;
    let (before, now) = (done.before.to_string(), args.before.to_string());
    let compared = done.compared.to_string();
    let args = [("before", before.as_str()), ("now", &now), ("compared", &compared)];
    context.say.tell("log-pruned", &args);
    Ok(Exit::Done)
}

/// Where a mirror serves its copy, and the key that its checkpoint must be cosigned with.
fn holder(
    name: &str,
    policy: Option<&Policy>,
    trust: &Trust,
    args: &Prune,
) -> Result<(Source, VerifierKey), Failure> {
    let known = policy.and_then(|p| p.witnesses().iter().find(|witness| witness.name() == name));
    let path = args.policy.as_deref().unwrap_or_else(|| Path::new(""));
    let unknown = || unknown_mirror(name, path);
    let (url, key) = known.and_then(|k| Some((k.url()?, k.key.clone()))).ok_or_else(unknown)?;
    let hash = tpw_crypto::sha256(trust.origin.as_str().as_bytes());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let log = Some(format!("{}/{hash}", url.trim_end_matches('/')));
    let at = LogAt { log, server: None, ca: args.ca.clone() };
    let source = Source::needed(&at, &Trusted::File(Box::new(trust.clone())))?;
    Ok((source, key))
}

fn not_pruned(error: LogError) -> Failure {
    match error {
        LogError::NotHeld { .. } => Failure::new(Exit::NotVerified, "log-not-held").because(error),
        error => Failure::failed("log").because(error),
    }
}
