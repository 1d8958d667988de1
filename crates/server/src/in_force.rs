//! Which policies are in force: read at the start, changed by an activation or a rollback, at once and for good.
//!
//! INVARIANT: what decides is what the books say is in force. If that cannot be loaded nothing is decided: the server does not
//! start, and a change that cannot be stored changes nothing.

use crate::app::App;
use crate::error::ServerError;
use crate::gate::Caller;
use crate::problem::{Code, Problem};
use crate::routes::off_thread;
use crate::to_the_end::to_the_end;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tpw_access::approval::{Approval, ApprovalError, Operation};
use tpw_access::policy::{
    Activation, ActivePolicy, PolicyError, PolicyFiles, PolicyRecord, VERSION_RECORDS_MAX,
    activated, activation, active_key, cases, version_of,
};
use tpw_access::record::WRITES_MAX;
use tpw_access::{PolicyEngine, RecordKey, RecordKind, RecordWrite};
use tpw_core::{ApprovalId, Hash32, Instant, PersonId};
use tpw_engines::{Engine, PayError};
use tpw_flow::Rejection;

/// The server's own records stand under zeros.
const SERVER: [u8; 16] = [0; 16];
/// How many things that are wrong with a set are named.
const NAMED_MAX: usize = 5;
/// How many records are read at once, of all that are kept.
const PAGE: usize = 64;
/// The most records that are removed at once. What is left over is removed with the next set.
const REMOVED_MAX: usize = WRITES_MAX / 2;

// What is removed, and what two versions take the place of, is changed in one step.
const _: () = assert!(REMOVED_MAX + 2 * (VERSION_RECORDS_MAX + 1) < WRITES_MAX);

/// The policies in force, for the start.
pub(crate) fn load(engine: &Engine) -> Result<PolicyEngine, ServerError> {
    let (_, active) = stored(engine).map_err(unread)?;
    let current = active.current().ok_or_else(|| unread("nothing is in force"))?;
    let policy = PolicyEngine::load(&files_of(engine, current.version).map_err(unread)?);
    let policy = policy.map_err(unread)?;
    for action in policy.unknown_actions() {
        let action = action.code();
        tracing::warn!(action, "the policies in force do not know this action, which is denied");
    }
    Ok(policy)
}

fn unread(cause: impl core::fmt::Display) -> ServerError {
    ServerError::NoPolicy(cause.to_string())
}

/// Why what is kept about the policies is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptError {
    /// The books cannot be read.
    #[error(transparent)]
    Books(#[from] tpw_engines::EngineError),
    /// Something in them cannot be.
    #[error("{0}")]
    Damaged(String),
}

impl From<KeptError> for Problem {
    fn from(error: KeptError) -> Self {
        match error {
            KeptError::Books(error) => error.into(),
            KeptError::Damaged(cause) => Self::internal(&cause),
        }
    }
}

fn damaged(cause: impl core::fmt::Display) -> KeptError {
    KeptError::Damaged(cause.to_string())
}

/// What the books say is in force, and as which bytes. Where nothing was ever activated it is the program's own set.
pub(crate) fn stored(engine: &Engine) -> Result<(Option<Vec<u8>>, ActivePolicy), KeptError> {
    let bytes = engine.record(&active_key())?;
    let active = match &bytes {
        Some(bytes) => ActivePolicy::from_bytes(bytes).map_err(damaged)?,
        None => ActivePolicy::starting_with(PolicyFiles::builtin().version(), engine.now()),
    };
    Ok((bytes, active))
}

/// The version in force, as the books have it.
pub(crate) fn version(engine: &Engine) -> Result<Hash32, KeptError> {
    let (_, active) = stored(engine)?;
    let current = active.current().map(|activation| activation.version);
    current.ok_or_else(|| damaged("nothing is in force"))
}

/// Whether a version is in force, or was.
pub(crate) fn is_known(engine: &Engine, version: Hash32) -> Result<bool, KeptError> {
    let (_, active) = stored(engine)?;
    Ok(active.history().iter().any(|activation| activation.version == version))
}

/// The files of a version that was in force at some time, or that somebody asks to put into force.
pub(crate) fn files_of(engine: &Engine, version: Hash32) -> Result<PolicyFiles, KeptError> {
    let builtin = PolicyFiles::builtin();
    let kept = records_of(engine, version)?;
    let files = if !kept.is_empty() {
        PolicyRecord::from_records(&kept).map_err(damaged)?.files
    } else if builtin.version() == version {
        builtin
    } else {
        return Err(damaged(format!("the files of version {version} are missing")));
    };
    if files.version() == version { Ok(files) } else { Err(damaged("the files are others'")) }
}

/// The records of a version, of one moment: read by one question, because somebody may be changing them.
fn records_of(engine: &Engine, version: Hash32) -> Result<Vec<(RecordKey, Vec<u8>)>, KeptError> {
    // Above the name without its last byte stands the name, and behind it what begins with it.
    let above = version.as_bytes().split_last().map(|(_last, above)| above);
    let mut found = engine.records(RecordKind::Policy, SERVER, above, VERSION_RECORDS_MAX + 1)?;
    found.retain(|(key, _)| version_of(key) == Some(version));
    Ok(found)
}

/// Whose turn it is to change what is in force: one after the other reads what the one before has stored.
pub(crate) struct Turn {
    app: Arc<App>,
    _alone: tokio::sync::OwnedMutexGuard<()>,
}

pub(crate) async fn turn(app: &Arc<App>) -> Turn {
    let alone = Arc::clone(&app.policy_change).lock_owned().await;
    Turn { app: Arc::clone(app), _alone: alone }
}

/// Judges a set, and keeps its files if it may be put into force. Gives its version.
pub(crate) async fn keep(turn: &Turn, files: PolicyFiles) -> Result<Hash32, Problem> {
    let app = &turn.app;
    let prepare = move |engine: &Engine| {
        judge(&files)?;
        let version = files.version();
        Ok((keeping(engine, files)?, version))
    };
    let (writes, version) = off_thread(app, prepare).await?;
    if !writes.is_empty() {
        write(&app.engine, writes).await?;
    }
    Ok(version)
}

/// Refuses a set that does not load, or does not answer what it must.
fn judge(files: &PolicyFiles) -> Result<(), Problem> {
    let refused = |error: PolicyError| Problem::policy_refused(&error.to_string());
    let policy = PolicyEngine::load(files).map_err(refused)?;
    let report = cases::check(files, &policy).map_err(refused)?;
    if report.holds() {
        return Ok(());
    }
    let failed = report.failed().map(|outcome| outcome.case.place.clone());
    let uncovered = report.uncovered.iter();
    let uncovered =
        uncovered.map(|(action, effect)| format!("no case: {effect} {}", action.code()));
    let unknown = report.unknown.iter().map(|action| format!("no action `{}`", action.code()));
    let named: Vec<String> = failed.chain(uncovered).chain(unknown).take(NAMED_MAX).collect();
    Err(Problem::policy_refused(&named.join("; ")))
}

/// The changes with which a version's files are kept. Versions that were never in force and that nobody asks about any more go.
fn keeping(engine: &Engine, files: PolicyFiles) -> Result<Vec<RecordWrite>, KeptError> {
    let (_, active) = stored(engine)?;
    let builtin = PolicyFiles::builtin();
    let mut wanted: BTreeSet<Hash32> =
        active.history().iter().map(|activation| activation.version).collect();
    wanted.extend([files.version(), builtin.version()]);
    wanted.extend(asked_for(engine)?);
    let mut writes = removals(engine, &wanted)?;
    // A rollback to the program's own set has to find its files, also when a later program has another one.
    let mut kept = BTreeSet::new();
    for files in [files, builtin] {
        if kept.insert(files.version()) {
            writes.extend(replacements(engine, files)?);
        }
    }
    Ok(writes)
}

/// Removes records of versions that nobody wants any more: some of them, where there are many.
fn removals(engine: &Engine, wanted: &BTreeSet<Hash32>) -> Result<Vec<RecordWrite>, KeptError> {
    let mut writes = Vec::new();
    let mut after: Option<RecordKey> = None;
    loop {
        let above = after.as_ref().map(RecordKey::id);
        let page = engine.records(RecordKind::Policy, SERVER, above, PAGE)?;
        after = page.last().map(|(key, _)| key.clone());
        let was_last = page.len() < PAGE;
        for (key, before) in page {
            let stays =
                key == active_key() || version_of(&key).is_some_and(|it| wanted.contains(&it));
            if !stays {
                writes.push(RecordWrite { key, before: Some(before), after: None });
            }
        }
        if was_last || writes.len() >= REMOVED_MAX {
            writes.truncate(REMOVED_MAX);
            return Ok(writes);
        }
    }
}

/// Makes a version's records those of these files: the same rules may come with other cases, and the last ones are kept.
fn replacements(engine: &Engine, files: PolicyFiles) -> Result<Vec<RecordWrite>, KeptError> {
    let mut stored: BTreeMap<_, _> = records_of(engine, files.version())?.into_iter().collect();
    let mut writes = Vec::new();
    for (key, after) in (PolicyRecord { files }).to_records() {
        let before = stored.remove(&key);
        if before.as_ref() != Some(&after) {
            writes.push(RecordWrite { key, before, after: Some(after) });
        }
    }
    let rest = stored.into_iter();
    writes.extend(rest.map(|(key, before)| RecordWrite { key, before: Some(before), after: None }));
    Ok(writes)
}

/// The version that the newest request for approval is about.
fn asked_for(engine: &Engine) -> Result<Option<Hash32>, KeptError> {
    let newest = Approval::newest_key(&activation(Hash32::ZERO, Hash32::ZERO));
    let id = engine.record(&newest)?.as_deref().and_then(ApprovalId::from_slice);
    let Some(id) = id else { return Ok(None) };
    let Some(bytes) = engine.record(&Approval::key(id))? else { return Ok(None) };
    let approval = Approval::from_bytes(&bytes).map_err(damaged)?;
    Ok(activated(approval.operation()).map(|(_, after)| after))
}

/// On whose word something is changed.
pub(crate) struct Change {
    /// Who asked; nobody, for who runs the machine.
    pub(crate) by: Option<PersonId>,
    /// Who agreed.
    pub(crate) approvals: Vec<PersonId>,
    /// When.
    pub(crate) at: Instant,
}

/// What an activation writes, if what it takes the place of is still in force.
pub(crate) fn writes(
    engine: &Engine,
    operation: &Operation,
    change: Change,
) -> Result<Vec<RecordWrite>, Problem> {
    let (before, active) = stored(engine)?;
    let (from, to) = activated(operation).ok_or_else(|| damaged("an odd activation"))?;
    if active.current().map(|activation| activation.version) != Some(from) {
        return Err(ApprovalError::Changed.into());
    }
    judge(&files_of(engine, to)?)?;
    let Change { by, approvals, at } = change;
    let after = active.then(Activation { version: to, at, by, approvals }).to_bytes();
    Ok(vec![RecordWrite { key: active_key(), before, after: Some(after) }])
}

/// Stores changes of what is in force.
async fn write(engine: &Engine, writes: Vec<RecordWrite>) -> Result<(), Problem> {
    match engine.write_records(writes).await {
        Ok(()) => Ok(()),
        Err(PayError::Rejected(Rejection::RecordChanged)) => Err(Problem::new(Code::RecordChanged)),
        Err(other) => Err(other.into()),
    }
}

/// Puts a version into force on one person's word.
pub(crate) async fn activate(
    turn: Turn,
    operation: Operation,
    caller: &Caller,
) -> Result<(), Problem> {
    let app = &turn.app;
    let by = Some(caller.session.person());
    let change = Change { by, approvals: Vec::new(), at: app.engine.now() };
    let read = move |engine: &Engine| writes(engine, &operation, change);
    let changes = off_thread(app, read).await.map_err(|problem| match problem.code() {
        // Nobody was asked to approve it: somebody else was quicker.
        Code::ApprovalRefused => Problem::new(Code::RecordChanged),
        _ => problem,
    })?;
    let both = async move {
        write(&turn.app.engine, changes).await?;
        refresh(&turn).await
    };
    to_the_end(caller.audit.trail(), both).await
}

/// Decides by what the books say is in force from now on. What changes the books does this to the end: see [`to_the_end`].
pub(crate) async fn refresh(turn: &Turn) -> Result<(), Problem> {
    let app = &turn.app;
    let load = |engine: &Engine| load(engine).map_err(|error| Problem::internal(&error));
    let policy = off_thread(app, load).await?;
    if policy.version() != app.policy().version() {
        tracing::info!(version = %policy.version(), "other policies are in force");
        app.put_in_force(policy);
    }
    Ok(())
}

/// Puts the program's own policies into force on the word of who runs the machine, whatever the books say: the way back when those
/// in force cannot be loaded, or let nobody change them.
///
/// # Errors
/// [`ServerError`] when the books cannot be written.
pub async fn restore_builtin_policies(engine: &Engine) -> Result<(), ServerError> {
    let version = PolicyFiles::builtin().version();
    let before = engine.record(&active_key()).map_err(unread)?;
    let active = before.as_deref().map(ActivePolicy::from_bytes);
    let at = engine.now();
    let after = match active {
        None => return Ok(()),
        Some(Ok(active)) if active.current().is_some_and(|it| it.version == version) => {
            return Ok(());
        }
        Some(Ok(active)) => {
            active.then(Activation { version, at, by: None, approvals: Vec::new() })
        }
        // What cannot be read is not what was in force.
        Some(Err(_)) => ActivePolicy::starting_with(version, at),
    };
    let mut writes = keeping(engine, PolicyFiles::builtin()).unwrap_or_default();
    writes.push(RecordWrite { key: active_key(), before, after: Some(after.to_bytes()) });
    engine.write_records(writes).await.map_err(unread)?;
    tracing::warn!(%version, "the program's own policies were put into force at the start");
    Ok(())
}
