//! `tpw-rego --policies DIR`: see the README.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool talks to the person or the machine that runs it"
)]

use core::time::Duration;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tpw_rego::{Bounds, Bundle, Loaded, Policies, Tls, VerificationKey, Workers, listen};

/// So many questions wait for each thread.
const WAITING_PER_WORKER: usize = 64;

/// Serves Rego policies in the shape of OPA's REST API.
#[derive(Parser)]
#[command(name = "tpw-rego", version)]
struct Arguments {
    /// A bundle, packed by `opa build` or as a folder: `.rego` files, `data.json`, `.manifest`. It is read again at SIGHUP
    #[arg(long, value_name = "FILE|DIR")]
    policies: PathBuf,
    /// The public key in PEM, on P-256 or Ed25519, by which the bundle has to be signed
    #[arg(long, value_name = "FILE")]
    verification_key: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8181")]
    listen: SocketAddr,
    /// The certificate chain in PEM, for TLS 1.3; read again at SIGHUP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Threads that evaluate, each with an engine of its own
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    workers: u8,
    /// The time of one evaluation
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    time_max: u64,
    /// The memory of the whole process; beyond it the process ends
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(256..))]
    memory_max: u64,
    /// The body of one request
    #[arg(long, value_name = "KIB", default_value_t = 1024, value_parser = clap::value_parser!(u16).range(1..))]
    body_max: u16,
    /// Connections at once
    #[arg(long, value_name = "COUNT", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("error: {cause}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), String> {
    let shown = |error: &dyn core::fmt::Display| error.to_string();
    bound_memory(arguments.memory_max).map_err(|error| shown(&error))?;
    let time_max = Duration::from_millis(arguments.time_max);
    let key = arguments.verification_key.as_deref().map(key).transpose()?;
    let (policies, revision) = load(&arguments.policies, key.as_ref(), time_max)?;
    let tls = arguments.tls_cert.as_deref().zip(arguments.tls_key.as_deref());
    let tls = tls.map(|(certificate, key)| Tls::read(certificate, key)).transpose();
    let tls = tls.map_err(|error| shown(&error))?.map(Arc::new);
    let count = usize::from(arguments.workers);
    // Whoever waits behind a full queue is told before its answer could be worth anything.
    let patience = time_max.saturating_mul(4).max(Duration::from_secs(1));
    let waiting = count.saturating_mul(WAITING_PER_WORKER);
    let workers = Workers::start(Loaded::first(policies), count, waiting, patience);
    let workers = Arc::new(workers.map_err(|error| shown(&error))?);
    let bounds = Bounds {
        connections: usize::from(arguments.connections),
        body_bytes: usize::from(arguments.body_max).saturating_mul(1024),
        request_time: patience.saturating_add(Duration::from_secs(5)),
    };
    let stop = stop_signal().map_err(|error| shown(&error))?;
    let mut again = signal(SignalKind::hangup()).map_err(|error| shown(&error))?;
    let listening = listen(Arc::clone(&workers), arguments.listen, tls.clone(), bounds, stop);
    let listening = listening.await.map_err(|error| shown(&error))?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    println!("{scheme}://{}", listening.address());
    eprintln!("policies {revision} of `{}`", arguments.policies.display());
    let mut stopped = core::pin::pin!(listening.stopped());
    loop {
        tokio::select! {
            () = &mut stopped => break,
            Some(()) = again.recv() => {
                if let Some(Err(cause)) = tls.as_ref().map(|tls| tls.reread()) {
                    eprintln!("error: the certificate of before stays: {cause}");
                }
                reload(&workers, &arguments.policies, key.as_ref(), time_max);
            }
        }
    }
    if let Some(workers) = Arc::into_inner(workers) {
        workers.stop();
    }
    Ok(())
}

/// What cannot be loaded changes nothing: the policies of before stay in force.
fn reload(workers: &Workers, path: &Path, key: Option<&VerificationKey>, time_max: Duration) {
    match load(path, key, time_max) {
        Ok((policies, revision)) => {
            workers.replace(policies);
            eprintln!("policies {revision} of `{}`", path.display());
        }
        Err(cause) => eprintln!("error: the policies of before stay in force: {cause}"),
    }
}

fn key(path: &Path) -> Result<VerificationKey, String> {
    let pem = std::fs::read(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
    VerificationKey::from_pem(&pem).map_err(|error| format!("`{}`: {error}", path.display()))
}

fn load(
    path: &Path,
    key: Option<&VerificationKey>,
    time_max: Duration,
) -> Result<(Policies, String), String> {
    let bundle = Bundle::open(path, key).map_err(|error| error.to_string())?;
    let policies = Policies::load(&bundle, time_max).map_err(|error| error.to_string())?;
    let revision =
        if bundle.revision().is_empty() { "without a revision" } else { bundle.revision() };
    Ok((policies, revision.to_owned()))
}

/// The engine counts memory only together with an allocator of its own; the system counts for every program.
fn bound_memory(mib: u64) -> Result<(), rustix::io::Errno> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = mib.saturating_mul(1 << 20);
    let Rlimit { maximum, .. } = getrlimit(Resource::Data);
    let most = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    setrlimit(Resource::Data, Rlimit { current: Some(most), maximum: Some(most) })
}

/// Ends with the first signal that asks to stop.
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    })
}
