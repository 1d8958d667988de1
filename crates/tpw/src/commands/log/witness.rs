//! `tpw log witness` and `tpw log mirror serve`: somebody else's machine, beside no operator.

use super::source::Trusted;
use crate::args::{CosignerListen, MirrorServe, WitnessServe};
use crate::commands::serve::asked_to_stop;
use crate::commands::{Context, Outcome};
use crate::exit::{Exit, Failure};
use crate::say::Say;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use tpw_engines::clock::Clock;
use tpw_engines::files;
use tpw_engines::mirror::Mirror;
use tpw_engines::witness::Witness;
use tpw_proof::{KeyName, VerifierKey};
use tpw_server::{
    Bound, Limits, Records, ServeOptions, Tls, development_certificate_path, serve_mirror,
    serve_witness, start_records,
};

pub(super) async fn serve(context: &Context, args: &WitnessServe) -> Outcome {
    let failed = |error: &dyn std::fmt::Display| Failure::failed("witness").because(error);
    let name = name(&args.name)?;
    let logs = Trusted::of(&args.logs)?.log_keys();
    begin_records(&context.say);
    let clock: Arc<dyn Clock> = context.clock.clone();
    let now = clock.now();
    let witness = Witness::open(&args.data, name, logs, clock).map_err(|error| failed(&error))?;
    let witness = Arc::new(witness);
    let (options, certificate) = options(&args.data, &args.listen)?;
    let bound = serve_witness(Arc::clone(&witness), options, now, asked_to_stop()).await;
    let bound = bound.map_err(|error| failed(&error))?;
    let told = Told { role: "witness", name: &args.name, data: &args.data, keys: witness.keys() };
    told.tell(&context.say, &bound, certificate.as_deref());
    bound.stopped().await;
    context.say.tell("witness-stopped", &[]);
    Ok(Exit::Done)
}

pub(super) async fn mirror(context: &Context, args: &MirrorServe) -> Outcome {
    let failed = |error: &dyn std::fmt::Display| Failure::failed("mirror").because(error);
    let name = name(&args.name)?;
    let logs = Trusted::of(&args.logs)?.log_keys();
    begin_records(&context.say);
    let clock: Arc<dyn Clock> = context.clock.clone();
    let now = clock.now();
    let mirror = Mirror::open(&args.data, name, logs, clock).map_err(|error| failed(&error))?;
    let mirror = Arc::new(mirror);
    let (options, certificate) = options(&args.data, &args.listen)?;
    let bound = serve_mirror(Arc::clone(&mirror), options, now, asked_to_stop()).await;
    let bound = bound.map_err(|error| failed(&error))?;
    let told = Told { role: "mirror", name: &args.name, data: &args.data, keys: mirror.keys() };
    told.tell(&context.say, &bound, certificate.as_deref());
    bound.stopped().await;
    context.say.tell("mirror-stopped", &[]);
    Ok(Exit::Done)
}

fn name(text: &str) -> Result<KeyName, Failure> {
    KeyName::new(text).map_err(|error| Failure::usage("witness-name").because(error))
}

fn begin_records(say: &Say) {
    let records = if say.is_json() { Records::Json } else { Records::Words };
    start_records(records, "info");
}

/// How to listen, and the certificate to trust if it is a self-made one.
fn options(data: &Path, args: &CosignerListen) -> Result<(ServeOptions, Option<String>), Failure> {
    let (tls, certificate) = match args.cert.clone().zip(args.key.clone()) {
        Some((certificate, key)) => (Tls::Files { certificate, key }, None),
        None => {
            let dir = data.join("tls");
            files::create_private_folder(&dir)?;
            let path = development_certificate_path(&dir).display().to_string();
            (Tls::Development { dir }, Some(path))
        }
    };
    let options = ServeOptions {
        passkey_anchors: None,
        networks: Vec::new(),
        zone: None,
        listen: args.listen,
        tls,
        public_url: args.public_url.clone(),
        mutual: None,
        limits: Limits::standard(),
        shadow: None,
    };
    Ok((options, certificate))
}

/// What is told of who listens.
struct Told<'t> {
    role: &'static str,
    name: &'t str,
    data: &'t Path,
    keys: Vec<VerifierKey>,
}

impl Told<'_> {
    fn tell(&self, say: &Say, bound: &Bound, certificate: Option<&str>) {
        let url = bound.url();
        let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        if say.is_json() {
            say.json(&json!({
                "url": url, "listen": bound.addr().to_string(),
                "data": self.data.display().to_string(), "keys": keys,
                "development_certificate": certificate,
            }));
            return;
        }
        say.data(&say.with(&format!("{}-address", self.role), &[("url", url)]));
        if let Some(path) = certificate {
            say.tell("serve-development", &[("path", path)]);
        }
        say.tell(&format!("{}-policy-hint", self.role), &[]);
        for (key, kind) in keys.iter().zip(["ed25519", "ml-dsa-44"]) {
            say.data(&format!("witness {}-{kind} {key} {url}", self.name));
        }
    }
}
