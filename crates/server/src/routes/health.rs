//! What those who operate the server read.

use super::{Reply, json, typed};
use crate::anchoring;
use crate::app::App;
use crate::archiving;
use crate::body::Query;
use crate::problem::{Code, Problem};
use crate::shadow::Shadow;
use crate::telemetry;
use crate::text::{self, Language};
use crate::wire;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{Response, StatusCode};
use std::sync::Arc;
use tpw_engines::Part;

const PLAIN: &str = "text/plain; charset=utf-8";

/// `GET /livez`: the process answers.
pub(super) async fn live() -> Response<Body> {
    typed(StatusCode::OK, PLAIN, "ok\n")
}

/// `GET /readyz[?verbose]`: whether payments can be taken and proved now. Why not is in the records; the answer
/// names the part alone.
pub(super) async fn ready(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Reply {
    let query = Query::parse(query.as_deref(), &["verbose"])?;
    let health = app.engine.health();
    let mut failing = Vec::new();
    let parts = [("writer", &health.writer), ("log", &health.log), ("clock", &health.clock)];
    for (name, part) in parts {
        if let Part::Bad(cause) = part {
            tracing::warn!(part = name, %cause, "not ready");
            failing.push(name.to_owned());
        }
    }
    // An idle log makes no checkpoints, so that age alone says nothing; none at all does.
    let age = Some(health.checkpoint_age_ms).filter(|age| *age != u64::MAX);
    if age.is_none() {
        failing.push("checkpoint_missing".to_owned());
    }
    if app.in_flight.is_full() {
        failing.push("requests".to_owned());
    }
    // Nobody waits for these: payments are taken and proved all the same.
    let mut degraded = Vec::new();
    if app.engine.anchors().is_some_and(|anchors| anchors.status().is_failing()) {
        degraded.push("anchoring".to_owned());
    }
    if app.engine.evidence().is_some_and(|evidence| evidence.status().failing > 0) {
        degraded.push("archiving".to_owned());
    }
    for work in all_ended(&app) {
        if degraded.iter().all(|known| known != work) {
            degraded.push(work.to_owned());
        }
    }
    let ready = failing.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if ready && query.text("verbose").is_none() {
        return Ok(typed(status, PLAIN, "ok\n"));
    }
    Ok(json(status, &wire::Health { ready, failing, degraded, checkpoint_age_ms: age }))
}

/// `GET /metrics`
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response<Body> {
    let renewals = app.served.as_ref().map(|served| served.renewals());
    let authorities = app.mutual.as_ref().and_then(|mutual| mutual.authorities());
    let revocations = authorities.and_then(|authorities| authorities.rereadings());
    let metrics = app.engine.metrics();
    let (renewals, revocations) = (renewals.as_ref(), revocations.as_ref());
    let mut text = telemetry::prometheus(&metrics, &app.meter, renewals, revocations);
    if let Some(witnessed) = app.engine.witnessed() {
        telemetry::cosigners(&mut text, &witnessed.meter().rows(), metrics.tree_size);
    }
    if let Some(shadow) = &app.shadow {
        shadow.write_metrics(&mut text);
    }
    if let Some(anchors) = app.engine.anchors() {
        anchoring::write_metrics(anchors, &mut text);
    }
    if let Some(evidence) = app.engine.evidence() {
        archiving::write_metrics(evidence, &mut text);
    }
    telemetry::ended(&mut text, &all_ended(&app));
    typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}

/// The work beside the requests that has ended in a panic.
fn all_ended(app: &App) -> Vec<&'static str> {
    let mut ended = app.engine.beside().all_ended();
    ended.extend(app.shadow.iter().flat_map(Shadow::all_ended));
    ended
}

/// The values that a text names differ from answer to answer: the page leaves them open.
fn left_open() -> Vec<(&'static str, String)> {
    let names = [
        "seconds", "most", "expected", "field", "reason", "asset", "why", "kind", "acr", "count",
        "scope", "cause",
    ];
    names.map(|name| (name, "…".to_owned())).to_vec()
}

/// `GET /problems/{code}`: what a problem's `type` leads to.
pub(super) async fn problem(language: Language, Path(code): Path<String>) -> Reply {
    let known = Code::from_code(&code).ok_or_else(|| Problem::new(Code::NotFound))?;
    let id = format!("problem-{}", known.code());
    let title = text::say(language, &id, None, &[]).unwrap_or_default();
    let detail = text::say(language, &id, Some("detail"), &left_open()).unwrap_or_default();
    let status = known.status().as_u16();
    Ok(typed(StatusCode::OK, PLAIN, format!("{title}\n\n{detail}\n\n{code}, HTTP {status}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_every_problem_is_whole() {
        for language in Language::ALL {
            for code in Code::ALL {
                let id = format!("problem-{}", code.code());
                let detail = text::say(language, &id, Some("detail"), &left_open()).unwrap();
                let missing = detail.contains(['{', '$']);
                assert!(!missing, "{id} in {}: {detail}", language.tag());
            }
        }
    }
}
