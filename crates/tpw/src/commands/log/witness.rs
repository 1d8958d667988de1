//! `tpw log witness`: a witness of its own, beside no operator.

use super::source::Trusted;
use crate::args::WitnessServe;
use crate::commands::serve::asked_to_stop;
use crate::commands::{Context, Outcome};
use crate::exit::{Exit, Failure};
use serde_json::json;
use std::sync::Arc;
use tpw_engines::clock::Clock;
use tpw_engines::files;
use tpw_engines::witness::Witness;
use tpw_proof::KeyName;
use tpw_server::{
    Bound, Limits, Records, ServeOptions, Tls, development_certificate_path, serve_witness,
    start_records,
};

pub(super) async fn serve(context: &Context, args: &WitnessServe) -> Outcome {
    let failed = |error: &dyn std::fmt::Display| Failure::failed("witness").because(error);
    let name = KeyName::new(&args.name);
    let name = name.map_err(|error| Failure::usage("witness-name").because(error))?;
    let logs = Trusted::of(&args.logs)?.log_keys();
    let records = if context.say.is_json() { Records::Json } else { Records::Words };
    start_records(records, "info");
    let clock: Arc<dyn Clock> = context.clock.clone();
    let now = clock.now();
    let witness = Witness::open(&args.data, name, logs, clock).map_err(|error| failed(&error))?;
    let witness = Arc::new(witness);
    let tls = match args.cert.clone().zip(args.key.clone()) {
        Some((certificate, key)) => Tls::Files { certificate, key },
        None => {
            let dir = args.data.join("tls");
            files::create_private_folder(&dir)?;
            Tls::Development { dir }
        }
    };
    let certificate = match &tls {
        Tls::Files { .. } => None,
        Tls::Development { dir } => Some(development_certificate_path(dir).display().to_string()),
    };
    let options = ServeOptions {
        passkey_anchors: None,
        networks: Vec::new(),
        listen: args.listen,
        tls,
        public_url: args.public_url.clone(),
        mutual: None,
        limits: Limits::standard(),
        shadow: None,
    };
    let bound = serve_witness(Arc::clone(&witness), options, now, asked_to_stop()).await;
    let bound = bound.map_err(|error| failed(&error))?;
    tell(context, args, &witness, &bound, certificate.as_deref());
    bound.stopped().await;
    context.say.tell("witness-stopped", &[]);
    Ok(Exit::Done)
}

fn tell(
    context: &Context,
    args: &WitnessServe,
    witness: &Witness,
    bound: &Bound,
    certificate: Option<&str>,
) {
    let (say, url) = (&context.say, bound.url());
    let keys: Vec<String> = witness.keys().iter().map(ToString::to_string).collect();
    if say.is_json() {
        say.json(&json!({
            "url": url, "listen": bound.addr().to_string(),
            "data": args.data.display().to_string(), "keys": keys,
            "development_certificate": certificate,
        }));
        return;
    }
    say.data(&say.with("witness-address", &[("url", url)]));
    if let Some(path) = certificate {
        say.tell("serve-development", &[("path", path)]);
    }
    say.tell("witness-policy-hint", &[]);
    for (key, kind) in keys.iter().zip(["ed25519", "ml-dsa-44"]) {
        say.data(&format!("witness {}-{kind} {key} {url}", args.name));
    }
}
