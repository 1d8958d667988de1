//! The policies: which are in force, which were, and putting others into force.

use super::{Reply, json, off_thread};
use crate::app::App;
use crate::approving::{self, Asked};
use crate::body::{self, BodyLimit};
use crate::gate::{About, Caller};
use crate::in_force;
use crate::problem::{Code, Problem};
use crate::wire::{NewPolicies, Policies, PolicyActivation, PolicySet, Text};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use std::sync::Arc;
use tpw_access::Action;
use tpw_access::policy::{ActivePolicy, PolicyFiles, activation};
use tpw_core::Hash32;
use tpw_engines::Engine;

/// As much as the files of a set have, and what JSON adds to them: a character of text becomes at most three times as long, as `\u00e9`
/// is for the two bytes of `é`.
const BODY_LEN_MAX: usize = 3 * PolicyFiles::BYTES_MAX + 16 * 1024;

async fn status(app: &Arc<App>) -> Result<Policies, Problem> {
    let read = |engine: &Engine| Ok(in_force::stored(engine)?);
    let (stored, active) = off_thread(app, read).await?;
    let loaded = app.policy();
    Ok(Policies {
        version: Text(loaded.version()),
        builtin: Text(PolicyFiles::builtin().version()),
        policies: loaded.policies().len(),
        // Where nothing was ever activated there is none.
        history: stored.map_or_else(Vec::new, |_| history(&active)),
    })
}

fn history(active: &ActivePolicy) -> Vec<PolicyActivation> {
    let one = |it: &tpw_access::policy::Activation| PolicyActivation {
        version: Text(it.version),
        at: Text(it.at),
        by: it.by.map(Text),
        approvals: it.approvals.iter().map(|person| Text(*person)).collect(),
    };
    active.history().iter().map(one).collect()
}

/// `GET /v1/policies`
pub(super) async fn read(State(app): State<Arc<App>>, caller: Caller) -> Reply {
    caller.may(Action::ReadPolicies, None)?;
    Ok(json(StatusCode::OK, &status(&app).await?))
}

/// `GET /v1/policies/{version}`: the files of the version in force, or of one that was.
pub(super) async fn read_set(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(version): Path<String>,
) -> Reply {
    caller.may(Action::ReadPolicies, None)?;
    let version: Hash32 = version.parse().map_err(|_| Problem::new(Code::UnknownPolicy))?;
    let read = move |engine: &Engine| {
        let known = in_force::is_known(engine, version)?;
        let files = known.then(|| in_force::files_of(engine, version)).transpose()?;
        files.ok_or_else(|| Problem::new(Code::UnknownPolicy))
    };
    let files = off_thread(&app, read).await?;
    let own = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
    let files = files.iter().map(own).collect();
    Ok(json(StatusCode::OK, &PolicySet { version: Text(version), files }))
}

/// `POST /v1/policies:activate`: 200 when it is in force, 202 with the request when somebody has to approve it.
pub(super) async fn activate(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    // Whoever may not, or has to prove more first, is told so before anything is judged.
    let needed = caller.ask(Action::ActivatePolicy, &About::default())?;
    let limit = BodyLimit { bytes: BODY_LEN_MAX, time: app.limits.body_time };
    let NewPolicies { files } = body::json(&headers, body, limit).await?;
    let files = PolicyFiles::new(files);
    let files = files.map_err(|error| Problem::policy_refused(&error.to_string()))?;
    let turn = in_force::turn(&app).await;
    let version = in_force::keep(&turn, files).await?;
    put((&app, turn), &caller, version, needed).await
}

/// `POST /v1/policies:rollback`: puts back what was in force before, in the same way.
pub(super) async fn roll_back(State(app): State<Arc<App>>, caller: Caller) -> Reply {
    let needed = caller.ask(Action::ActivatePolicy, &About::default())?;
    let turn = in_force::turn(&app).await;
    let read = |engine: &Engine| {
        let (_, active) = in_force::stored(engine)?;
        let previous = active.previous().map(|activation| activation.version);
        let previous = previous.ok_or_else(|| Problem::new(Code::NoEarlierPolicy))?;
        Ok(in_force::files_of(engine, previous)?)
    };
    let files = off_thread(&app, read).await?;
    // It passed when it was activated; this program may demand more.
    let version = in_force::keep(&turn, files).await?;
    put((&app, turn), &caller, version, needed).await
}

async fn put(
    (app, turn): (&Arc<App>, in_force::Turn),
    caller: &Caller,
    version: Hash32,
    needed: u32,
) -> Reply {
    let before = off_thread(app, |engine| Ok(in_force::version(engine)?)).await?;
    if before == version {
        return Ok(json(StatusCode::OK, &status(app).await?));
    }
    let operation = activation(before, version);
    if needed > 0 {
        let asked = Asked::new(operation, Vec::new(), needed);
        return approving::asked(app, caller, asked).await;
    }
    in_force::activate(turn, operation, caller).await?;
    Ok(json(StatusCode::OK, &status(app).await?))
}
