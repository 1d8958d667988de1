//! `tpw demo`: the whole product on a loopback port, one payment step by step, and what happens when it goes otherwise.

mod cast;
mod evidence;
mod story;

use super::serve::{self, Policies, Running, Start};
use super::{Context, Outcome};
use crate::args::Demo;
use crate::exit::{Exit, Failure};
use crate::say::{Mood, Say};
use serde_json::{Map, Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant as Stopwatch;
use tokio::sync::oneshot;
use tpw_core::Name;
use tpw_engines::Config;
use tpw_engines::clock::Clock;
use tpw_engines::files::{self, Access, Durability};
use tpw_server::Limits;

const OPERATOR: &str = "demo.tpw.example";

/// What the demonstration tells: in words as it happens, or at the end as one JSON object.
struct Stage<'a> {
    say: &'a Say,
    steps: Vec<Value>,
    rest: Map<String, Value>,
}

impl Stage<'_> {
    /// One of the eight steps: what it took, and its evidence as lines for people and members for programs.
    fn step(&mut self, number: u8, name: &str, ms: Option<f64>, evidence: &[(&str, String)]) {
        let members: Map<String, Value> =
            evidence.iter().map(|(key, value)| ((*key).to_owned(), value.clone().into())).collect();
        self.steps.push(
            json!({ "step": number, "name": name, "ms": ms.map(round), "evidence": members }),
        );
        if self.say.is_json() {
            return;
        }
        let title = self.say.text(&format!("demo-step-{name}"));
        // A step that was not needed took no time, and none is made up.
        let took =
            ms.map(|ms| self.say.paint(Mood::Dim, &format!("{ms:.2} ms"))).unwrap_or_default();
        self.say.data(format!("{number}  {title}  {took}").trim_end());
        for (key, value) in evidence {
            self.say.data(&format!("     {}: {value}", self.say.text(&format!("demo-{key}"))));
        }
    }

    /// One of the scenes after it.
    fn scene(&mut self, name: &str, mood: Mood, value: Value, lines: &[String]) {
        self.rest.insert(name.replace('-', "_"), value);
        if self.say.is_json() {
            return;
        }
        self.say.data("");
        self.say.data(&self.say.paint(mood, &self.say.text(&format!("demo-scene-{name}"))));
        lines.iter().for_each(|line| self.say.data(&format!("   {line}")));
    }

    fn line(&self, text: &str) {
        if !self.say.is_json() {
            self.say.data(text);
        }
    }
}

fn round(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
}

/// Milliseconds since `watch` was started.
fn ms_since(watch: Stopwatch) -> f64 {
    watch.elapsed().as_secs_f64() * 1000.0
}

pub(super) async fn run(context: &Context, args: &Demo) -> Outcome {
    // Kept until the end: dropping it removes the folder.
    let temporary = match &args.data {
        Some(_) => None,
        None => Some(tempfile::tempdir().map_err(|error| Failure::failed("file").because(error))?),
    };
    let root: PathBuf = match (&args.data, &temporary) {
        (Some(path), _) => path.clone(),
        (None, Some(folder)) => folder.path().to_owned(),
        (None, None) => return Err(Failure::failed("file")),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let watch = Stopwatch::now();
    let running = open(context, &root, stopped).await?;
    let mut stage = Stage { say: &context.say, steps: Vec::new(), rest: Map::new() };
    stage.line(&context.say.with(
        "demo-started",
        &[("url", running.bound.url()), ("ms", &format!("{:.0}", ms_since(watch)))],
    ));
    let told = story::tell(context, &mut stage, &running, &root).await;
    let told = match told {
        Ok(receipt) => finish(context, args, &mut stage, &running, &receipt, &root),
        Err(failure) => Err(failure),
    };
    if told.is_ok() && !args.once {
        serve::asked_to_stop().await;
    }
    let _listening_no_more = stop.send(());
    let Running { engine, bound, .. } = running;
    bound.stopped().await;
    engine.close();
    told
}

async fn open(
    context: &Context,
    root: &Path,
    stopped: oneshot::Receiver<()>,
) -> Result<Running, Failure> {
    let audience = Name::new(OPERATOR).map_err(|error| Failure::failed("serve").because(error))?;
    let start = Start {
        data: &root.join("operator"),
        config: Config::new(audience),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        public_url: None,
        identity: None,
        mutual: None,
        passkey_anchors: None,
        networks: Vec::new(),
        zone: None,
        limits: Limits::standard(),
        policies: Policies::InForce,
        shadow: None,
        anchoring: None,
    };
    let clock: Arc<dyn Clock> = context.clock.clone();
    serve::start(start, clock, || async {
        let _dropped_or_sent = stopped.await;
    })
    .await
}

/// Writes what was asked for and says where everything is.
fn finish(
    context: &Context,
    args: &Demo,
    stage: &mut Stage<'_>,
    running: &Running,
    receipt: &[u8],
    root: &Path,
) -> Outcome {
    let say = &context.say;
    if let Some(out) = &args.out {
        files::create_folder(out)?;
        let trust = running.engine.trust_json();
        for (name, bytes) in [("receipt.tpr", receipt), ("trust.json", trust.as_bytes())] {
            let path = out.join(name);
            files::write_atomic(&path, bytes, Durability::Deferred, Access::Ordinary)?;
        }
        let shown = out.display().to_string();
        stage.rest.insert("out".to_owned(), shown.clone().into());
        stage.line("");
        stage.line(&say.with("demo-out", &[("out", &shown)]));
    }
    let url = running.bound.url();
    let certificate =
        running.certificate.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let addresses = [
        ("api", format!("{url}/v1")),
        ("openapi", format!("{url}/v1/openapi.json")),
        ("checkpoint", format!("{url}/v1/log/checkpoint")),
        ("metrics", format!("{url}/metrics")),
        ("certificate", certificate),
        ("data", root.display().to_string()),
    ];
    if say.is_json() {
        let members: Map<String, Value> = addresses
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone().into()))
            .collect();
        let mut whole = json!({ "steps": stage.steps, "addresses": members });
        if let Value::Object(whole) = &mut whole {
            whole.append(&mut stage.rest);
        }
        say.json(&whole);
    } else if !args.once {
        say.data("");
        say.data(&say.text("demo-running"));
        for (key, value) in &addresses {
            say.data(&format!("   {}: {value}", say.text(&format!("demo-address-{key}"))));
        }
        say.data(&say.text("demo-stop"));
    }
    Ok(Exit::Done)
}
