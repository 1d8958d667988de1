//! `tpw serve`: the operator's server, and what it leaves in its folder for the tools on the same machine.

use super::anchor::Prepared;
use super::outbox::outbox;
use super::verify::policy;
use super::{Context, Outcome, stamping};
use crate::args::Serve;
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use crate::say::Say;
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tpw_access::policy::Zone;
use tpw_core::{Asset, Money, Name, Span};
use tpw_engines::clock::{Clock, SystemClock};
use tpw_engines::clock_error::ErrorBound;
use tpw_engines::files::{self, Access, Durability};
use tpw_engines::pkcs11::KeyPlace;
use tpw_engines::{Config, Engine, StoreConfig};
use tpw_proof::Policy;
use tpw_proof::timestamp::Disclosure;
use tpw_server::outbound::Outbound;
use tpw_server::{
    Bound, Limits, Mirroring, MirroringTimes, MutualTls, Network, Records, Retention, ServeOptions,
    Shadow, Tls, Witnessing, WitnessingTimes, check_mirrors, development_certificate_path,
    has_witnesses,
};

/// A server of this process.
pub(super) struct Running {
    pub(super) engine: Arc<Engine>,
    pub(super) bound: Bound,
    /// The certificate to trust, if it is a self-made one.
    pub(super) certificate: Option<PathBuf>,
}

/// What a server is started with.
pub(super) struct Start<'a> {
    pub(super) data: &'a Path,
    pub(super) config: Config,
    pub(super) listen: SocketAddr,
    pub(super) public_url: Option<String>,
    /// Certificate chain and key; without them a self-made certificate.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
    /// The port for clients with certificates.
    pub(super) mutual: Option<MutualTls>,
    /// A folder with root certificates of makers of passkeys.
    pub(super) passkey_anchors: Option<PathBuf>,
    /// Networks that have names.
    pub(super) networks: Vec<Network>,
    /// How far the operator's clocks are ahead of UTC, for policies that look at the time.
    pub(super) zone: Option<Zone>,
    pub(super) limits: Limits,
    pub(super) policies: Policies,
    /// A second policy engine that is asked about every decision.
    pub(super) shadow: Option<Shadow>,
    /// The account that will announce the log, and must have announced no other one.
    pub(super) anchoring: Option<&'a Prepared>,
}

/// By which policies a server begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Policies {
    /// Those that the books say are in force.
    InForce,
    /// The program's own, which are put into force.
    Builtin,
}

/// Opens the folder and listens until what `shutdown` gives ends. It is called when the folder is open: a server that waits for the books
/// still ends with a signal as any program does.
pub(super) async fn start<F: Future<Output = ()> + Send + 'static>(
    start: Start<'_>,
    clock: Arc<dyn Clock>,
    shutdown: impl FnOnce() -> F,
) -> Result<Running, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed("serve").because(error);
    let data = start.data;
    // It may wait for the books for as long as another server writes them.
    let engine = tokio::task::block_in_place(|| Engine::open(data, start.config, clock));
    let engine = engine.map_err(|error| failed(&error))?;
    if let Some(account) = start.anchoring {
        account.check(&engine)?;
    }
    if start.policies == Policies::Builtin {
        let restored = tpw_server::restore_builtin_policies(&engine).await;
        restored.map_err(|error| failed(&error))?;
    }
    let (tls, certificate) = match start.identity {
        Some((certificate, key)) => (Tls::Files { certificate, key }, None),
        None => {
            let dir = data.join("tls");
            files::create_private_folder(&dir)?;
            let path = development_certificate_path(&dir);
            (Tls::Development { dir }, Some(path))
        }
    };
    let options = ServeOptions {
        listen: start.listen,
        tls,
        public_url: start.public_url,
        mutual: start.mutual,
        passkey_anchors: start.passkey_anchors,
        networks: start.networks,
        zone: start.zone,
        limits: start.limits,
        shadow: start.shadow,
    };
    let watched = Arc::clone(&engine);
    let shutdown = shutdown();
    let shutdown = async move {
        tokio::select! {
            () = shutdown => {}
            () = watched.deposed() => {}
        }
    };
    let bound = tpw_server::serve(Arc::clone(&engine), options, shutdown).await;
    let bound = bound.map_err(|error| failed(&error))?;
    let write = |name: &str, bytes: &[u8]| {
        files::write_atomic(&data.join(name), bytes, Durability::Deferred, Access::Ordinary)
    };
    write("trust.json", engine.trust_json().as_bytes())?;
    let ca = certificate.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    write("address", format!("{}\n{ca}\n", bound.url()).as_bytes())?;
    Ok(Running { engine, bound, certificate })
}

/// Ends with the first signal that asks to. Signals are heeded from the call on, not from the first wait: whoever reads that the server
/// runs may stop it at once.
pub(super) fn asked_to_stop() -> impl Future<Output = ()> + Send + 'static {
    let terminate = signal(SignalKind::terminate());
    async {
        let Ok(mut terminate) = terminate else {
            let _ctrl_c = tokio::signal::ctrl_c().await;
            return;
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// The text of a file with rules of screening.
fn rules(path: &Path) -> Result<String, Failure> {
    let text = String::from_utf8(read_named(path, 1 << 20)?);
    text.map_err(|_odd| Failure::usage("not-text").arg("path", path.display()))
}

pub(super) async fn run(context: &Context, args: &Serve) -> Outcome {
    let audience =
        Name::new(&args.audience).map_err(|error| Failure::usage("audience").because(error))?;
    let mut config = Config::new(audience);
    config.rules_toml = args.rules.as_deref().map(rules).transpose()?;
    configure_witnesses(&mut config, args)?;
    let amounts = args.approvals_above.iter().map(|text| money(text));
    config.approvals_above = amounts.collect::<Result<_, _>>()?;
    config.approvals = args.approvals;
    config.operator_alone = args.operator_alone;
    if let Some(address) = &args.store {
        config.store = StoreConfig::Postgres(address.clone());
    }
    config.tsa_accuracy_ms = args.tsa_accuracy;
    config.tsa_key = args.tsa_key.clone().unwrap_or(KeyPlace::Folder);
    if args.tsa_no_certificate {
        config.tsa_certificate = Disclosure::Never;
    }
    let authorities = stamping::named(&args.stamps)?;
    stamping::configure(&mut config, &args.stamps, &authorities)?;
    config.outbox = outbox(context, &args.mail)?;
    let (anchoring, anchors) = Prepared::of(context, &args.anchor)?.unzip();
    config.anchors = anchors;
    // What is wrong with the command line is found before anybody is served.
    let asking = Asking::of(args, config.witnesses.as_ref())?;
    let stamping = stamping::prepared(&args.stamps, &authorities)?;
    // With `--json` every line of stdout is JSON; otherwise records are words.
    let records = if context.say.is_json() { Records::Json } else { Records::Words };
    tpw_server::start_records(records, "info");
    let what = Start {
        data: &args.data,
        config,
        listen: args.listen,
        public_url: args.public_url.clone(),
        identity: args.cert.clone().zip(args.key.clone()),
        mutual: mutual(args)?,
        passkey_anchors: args.passkey_anchors.clone(),
        networks: args.networks.clone(),
        zone: args.zone,
        limits: limits(args),
        policies: if args.builtin_policies { Policies::Builtin } else { Policies::InForce },
        shadow: shadow(args)?,
        anchoring: anchoring.as_ref(),
    };
    let clock = clock(context, args)?;
    let running = start(what, clock, asked_to_stop).await?;
    let witnessing = asking.map(|asking| asking.begin(args, &running.engine)).transpose()?;
    let stamping = stamping.begin(&running.engine);
    let anchoring = anchoring.map(|prepared| prepared.begin(&running.engine)).transpose()?;
    let kept = args.keep_decisions.map(|days| Span::from_secs(u64::from(days) * 24 * 3600));
    let retention = kept.map(|kept| Retention::start(Arc::clone(&running.engine), kept));
    tell(&context.say, &args.data, &running);
    let Running { engine, bound, .. } = running;
    bound.stopped().await;
    // Whatever a witness or another authority was being asked can be asked again.
    drop((witnessing, stamping, retention));
    if let Some(anchoring) = anchoring {
        anchoring.stop().await;
    }
    engine.close();
    ended(context, args, &engine)
}

fn ended(context: &Context, args: &Serve, engine: &Engine) -> Outcome {
    // A tool that finds no address knows that nothing runs here.
    let _gone = std::fs::remove_file(args.data.join("address"));
    if engine.is_deposed() {
        context.say.tell("serve-deposed", &[]);
        return Ok(Exit::Later);
    }
    context.say.tell("serve-stopped", &[]);
    Ok(Exit::Done)
}

/// Who cosigns the log's checkpoints, and from which amounts on a payment waits for them.
fn configure_witnesses(config: &mut Config, args: &Serve) -> Result<(), Failure> {
    let Some(path) = &args.witnesses else { return Ok(()) };
    config.witnesses = Some(policy(path)?);
    let amounts = args.witnessed_from.iter().map(|text| money(text));
    config.witnessed_from = amounts.collect::<Result<_, _>>()?;
    Ok(())
}

/// The port for clients with certificates. Under a public address it has one too: nobody guesses where a name leads.
fn mutual(args: &Serve) -> Result<Option<MutualTls>, Failure> {
    let Some(listen) = args.mtls_listen else { return Ok(None) };
    if args.public_url.is_some() && args.mtls_url.is_none() {
        return Err(Failure::usage("mtls-url"));
    }
    let (public_url, authorities) = (args.mtls_url.clone(), args.client_ca.clone());
    Ok(Some(MutualTls { listen, public_url, authorities, revocations: args.client_crls.clone() }))
}

fn limits(args: &Serve) -> Limits {
    let limits = args.rate_limit.map_or_else(Limits::standard, Limits::with_rate);
    args.tsa_rate.map_or(limits, |per_second| limits.with_timestamp_rate(per_second))
}

/// An amount with its asset before it: `USD/2:1000.00`.
fn money(text: &str) -> Result<Money, Failure> {
    let wrong = || Failure::usage("witnessed-from").arg("text", text);
    let (asset, amount) = text.split_once(':').ok_or_else(wrong)?;
    let asset: Asset = asset.parse().map_err(|_odd| wrong())?;
    let amount = asset.parse_units(amount).map_err(|error| wrong().because(error))?;
    Ok(Money { amount, asset })
}

/// Begins to ask a second policy engine, if one was named.
fn shadow(args: &Serve) -> Result<Option<Shadow>, Failure> {
    let Some(url) = &args.shadow_policy else { return Ok(None) };
    let ca = args.shadow_ca.as_ref().map(|path| read_named(path, 4 << 20)).transpose()?;
    let unusable = |error| Failure::usage("shadow-policy").arg("url", url).because(error);
    Shadow::start(url, ca.as_deref()).map(Some).map_err(unusable)
}

/// What asks the witnesses, and sends the log to those that are mirrors.
struct Asking {
    witnesses: Option<Outbound>,
    mirrors: Outbound,
}

impl Asking {
    /// As the command line says, if it names witnesses.
    fn of(args: &Serve, policy: Option<&Policy>) -> Result<Option<Self>, Failure> {
        let (Some(path), Some(policy)) = (&args.witnesses, policy) else { return Ok(None) };
        let unusable = |error: &dyn std::fmt::Display| {
            Failure::usage("witnesses").arg("path", path.display()).because(error)
        };
        check_mirrors(policy, &args.mirrors).map_err(|name| unknown_mirror(&name, path))?;
        let any = has_witnesses(policy, &args.mirrors);
        if !any && args.mirrors.is_empty() {
            return Err(unusable(&"no witness in it has an address"));
        }
        let ca = args.witness_ca.as_ref().map(|path| read_named(path, 4 << 20)).transpose()?;
        let outbound = |time| Outbound::new(ca.as_deref(), time).map_err(|error| unusable(&error));
        let mirrors = outbound(MirroringTimes::standard().answer)?;
        let witnesses = any.then(|| outbound(WitnessingTimes::standard().answer)).transpose()?;
        Ok(Some(Self { witnesses, mirrors }))
    }

    fn begin(
        self,
        args: &Serve,
        engine: &Arc<Engine>,
    ) -> Result<(Option<Witnessing>, Mirroring), Failure> {
        let times = MirroringTimes::standard();
        let mirroring = Mirroring::start(engine, &self.mirrors, times, &args.mirrors);
        let path = args.witnesses.as_deref().unwrap_or_else(|| Path::new(""));
        let mirroring = mirroring.map_err(|name| unknown_mirror(&name, path))?;
        let times = WitnessingTimes::standard();
        let witnessing = self.witnesses.and_then(|outbound| {
            Witnessing::start(Arc::clone(engine), outbound, times, &args.mirrors)
        });
        Ok((witnessing, mirroring))
    }
}

/// A mirror that has no line with an address in the policy.
pub(super) fn unknown_mirror(name: &str, path: &Path) -> Failure {
    Failure::usage("mirror-name").arg("name", name).arg("path", path.display())
}

/// The system's clock, with what is known of its error.
fn clock(context: &Context, args: &Serve) -> Result<Arc<dyn Clock>, Failure> {
    if args.tsa_clock.is_empty() {
        return Ok(context.clock.clone());
    }
    let bound = ErrorBound::from_sources(&args.tsa_clock, &args.data);
    let bound = bound.map_err(|error| Failure::failed("serve").because(error))?;
    Ok(Arc::new(SystemClock::with_bound(bound)))
}

fn tell(say: &Say, data: &Path, running: &Running) {
    let (url, data) = (running.bound.url(), data.display().to_string());
    let certificate = running.certificate.as_ref().map(|path| path.display().to_string());
    if say.is_json() {
        say.json(&json!({
            "url": url, "listen": running.bound.addr().to_string(), "data": data,
            "mtls_url": running.bound.mutual().map(|(_, url)| url),
            "development_certificate": certificate,
        }));
        return;
    }
    say.data(&say.with("serve-address", &[("url", url)]));
    if let Some((_, url)) = running.bound.mutual() {
        say.data(&say.with("serve-mtls", &[("url", url)]));
    }
    match &certificate {
        Some(path) => say.word(&say.with("serve-development", &[("path", path)])),
        None => say.tell("serve-certificate", &[]),
    }
    say.tell("serve-hint", &[("data", &data)]);
}
