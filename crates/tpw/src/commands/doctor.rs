//! `tpw doctor`: what could be wrong on this machine.

use super::input;
use super::ops::premises;
use super::wallet::client;
use super::{Context, Outcome};
use crate::args::Doctor;
use crate::client::Client;
use crate::device::agent::AgentLink;
use crate::device::files::{DeviceFolder, is_open_to_others};
use crate::exit::{Exit, Failure};
use crate::say::{Mood, Say};
use serde_json::json;
use tpw_core::{Instant, Span};
use tpw_engines::clock::Clock as _;
use tpw_server::wire;

/// Statements from further in the future are refused.
const SKEW_MAX: Span = Span::from_secs(60);

/// What a check found.
struct Finding {
    /// The text key and stable name of the check.
    name: &'static str,
    verdict: Verdict,
    detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Bad,
    /// There is nothing to check here.
    Skipped,
}

impl Finding {
    fn of(say: &Say, name: &'static str, result: Result<String, Failure>) -> Self {
        match result {
            Ok(detail) => Self { name, verdict: Verdict::Good, detail },
            Err(failure) => {
                let detail = say.cause(&failure).unwrap_or_else(|| say.what(&failure));
                Self { name, verdict: Verdict::Bad, detail }
            }
        }
    }

    const fn skipped(name: &'static str) -> Self {
        Self { name, verdict: Verdict::Skipped, detail: String::new() }
    }
}

pub(super) async fn run(context: &Context, args: &Doctor) -> Outcome {
    let folder = input::folder(&args.device)?;
    let mut findings = vec![
        Finding {
            name: "version",
            verdict: Verdict::Good,
            detail: env!("CARGO_PKG_VERSION").to_owned(),
        },
        clock(context),
    ];
    findings.extend(device(&context.say, &folder));
    let mut servers = Vec::new();
    if let Ok(profile) = folder.profile() {
        servers.push((profile.server, folder.ca()?, Whose::Operators));
    }
    if let Some(data) = &args.data {
        match premises(data) {
            Ok(here) => {
                servers.push((here.server, here.ca, Whose::Own));
            }
            Err(failure) => findings.push(Finding::of(&context.say, "data", Err(failure))),
        }
    }
    if servers.is_empty() {
        findings.push(Finding::skipped("server"));
    }
    for (server, ca, whose) in servers {
        findings.extend(reach(context, &server, ca.as_deref(), whose).await);
    }
    tell(context, &findings);
    let bad = findings.iter().any(|finding| finding.verdict == Verdict::Bad);
    Ok(if bad { Exit::Failed } else { Exit::Done })
}

fn clock(context: &Context) -> Finding {
    let now = context.clock.now();
    // Before this program was written: the clock was never set.
    let verdict = if now.unix_ms() > 1_763_000_000_000 { Verdict::Good } else { Verdict::Bad };
    Finding { name: "clock", verdict, detail: now.to_string() }
}

fn device(say: &Say, folder: &DeviceFolder) -> Vec<Finding> {
    let shown = folder.path().display().to_string();
    if !folder.has_vault() {
        return vec![Finding::skipped("wallet")];
    }
    let private = |name: &str| {
        let path = folder.path().join(name);
        if !path.exists() || !is_open_to_others(&path) {
            return Ok(path.display().to_string());
        }
        Err(Failure::failed("open-file").arg("path", path.display()))
    };
    let journal =
        folder.lock().and_then(|_lock| Ok(folder.journal()?.journal().entries().len().to_string()));
    let agent = AgentLink::find(&folder.socket()).map(|agent| agent.device().to_string());
    vec![
        Finding { name: "wallet", verdict: Verdict::Good, detail: shown },
        Finding::of(say, "permissions", private("vault").and(private("journal"))),
        Finding::of(say, "profile", folder.profile().map(|profile| profile.server)),
        Finding::of(say, "journal", journal),
        Finding { name: "agent", verdict: Verdict::Good, detail: agent.unwrap_or_default() },
    ]
}

/// Who runs a server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Whoever asks, on this machine.
    Own,
    /// The operator of somebody's wallet.
    Operators,
}

/// Whether the server answers, whether its clock and ours agree, and at one's own also what goes wrong while payments go on.
async fn reach(context: &Context, server: &str, ca: Option<&[u8]>, whose: Whose) -> Vec<Finding> {
    let say = &context.say;
    let client = match client(context, server, ca) {
        Ok(client) => client,
        Err(failure) => return vec![Finding::of(say, "server", Err(failure))],
    };
    let (ready, degraded) = readiness(say, &client).await;
    let checkpoint = client.get_public("/v1/checkpoint").await.and_then(|a| a.json());
    let skew = checkpoint
        .map_err(Failure::from)
        .and_then(|c: wire::Checkpoint| ahead(c.issued.0, context.clock.now()));
    let mut findings = vec![
        Finding::of(say, "server", ready.map(|()| server.to_owned())),
        Finding::of(say, "checkpoint", skew),
    ];
    if let (Whose::Own, Some(parts)) = (whose, degraded) {
        findings.push(Finding::of(say, "background", background(say, &parts)));
    }
    findings
}

/// What goes wrong beside the payments, by the codes of its parts.
fn background(say: &Say, degraded: &[String]) -> Result<String, Failure> {
    if degraded.is_empty() {
        return Ok(String::new());
    }
    let parts: Vec<String> = degraded.iter().map(|code| part(say, code)).collect();
    Err(Failure::failed("server-degraded").arg("parts", parts.join(", ")))
}

/// Whether a server is ready, and what goes wrong beside the payments, if it answers in its own form. One that is not ready names the
/// parts that fail: what it says now is what is wanted, so that it is asked once.
async fn readiness(say: &Say, client: &Client) -> (Result<(), Failure>, Option<Vec<String>>) {
    let answer = match client.probe("/readyz?verbose").await {
        Ok(answer) => answer,
        Err(failure) => return (Err(failure.into()), None),
    };
    let health = answer.json::<wire::Health>().ok();
    let ready = if answer.status == 200 {
        Ok(())
    } else {
        let parts = match &health {
            Some(health) => health.failing.iter().map(|code| part(say, code)).collect(),
            // Something between us and the server may answer in its own form.
            None => vec![format!("HTTP {}", answer.status)],
        };
        Err(Failure::failed("server-not-ready").arg("parts", parts.join(", ")))
    };
    (ready, health.map(|health| health.degraded))
}

/// A part of the server; a newer server may have parts that are not known here.
fn part(say: &Say, code: &str) -> String {
    let key = format!("part-{}", code.replace('_', "-"));
    say.find(&key, &[]).map_or_else(|| code.to_owned(), |text| format!("{text} ({code})"))
}

/// A checkpoint from the future means that one of the two clocks is wrong.
fn ahead(issued: Instant, now: Instant) -> Result<String, Failure> {
    if issued.since(now) <= SKEW_MAX {
        return Ok(issued.to_string());
    }
    Err(Failure::failed("clock").arg("there", issued).arg("here", now))
}

fn tell(context: &Context, findings: &[Finding]) {
    let say = &context.say;
    let code = |verdict| match verdict {
        Verdict::Good => "good",
        Verdict::Bad => "bad",
        Verdict::Skipped => "skipped",
    };
    if say.is_json() {
        let items = findings.iter().map(|finding| {
            json!({ "check": finding.name, "verdict": code(finding.verdict), "detail": finding.detail })
        });
        say.json(&json!({ "checks": items.collect::<Vec<_>>() }));
        return;
    }
    for finding in findings {
        let mood = match finding.verdict {
            Verdict::Good => Mood::Good,
            Verdict::Bad => Mood::Bad,
            Verdict::Skipped => Mood::Dim,
        };
        let word = say.paint(mood, &say.text(&format!("doctor-{}", code(finding.verdict))));
        let name = say.text(&format!("doctor-{}", finding.name));
        say.data(format!("{word}  {name}  {}", finding.detail).trim_end());
    }
}
