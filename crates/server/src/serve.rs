//! Listening: connections in, requests to the router, and a clean end.

use crate::app::{App, Peer};
use crate::background::watched;
use crate::limits::Limits;
use crate::mutual::{Mutual, MutualTls, Presented};
use crate::networks::{Network, Networks};
use crate::places::Places;
use crate::served::Served;
use crate::shadow::Shadow;
use crate::tls::{self, Asks, Tls};
use crate::{ServerError, anchors, build, edge, routes};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant as Stopwatch;
use tokio_rustls::TlsAcceptor;
use tpw_access::HttpUrl;
use tpw_access::policy::Zone;
use tpw_core::Instant;
use tpw_engines::Engine;

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Its certificate.
    pub tls: Tls,
    /// The address under which clients reach it (`https://pay.example`). Without one it is this machine alone:
    /// `https://127.0.0.1:PORT`, `https://localhost:PORT` and `https://[::1]:PORT`.
    pub public_url: Option<String>,
    /// A second port, for clients with certificates.
    pub mutual: Option<MutualTls>,
    /// A folder with root certificates of makers of passkeys. Without one no passkey is asked what it is.
    pub passkey_anchors: Option<PathBuf>,
    /// Networks that have names, for policies that look at the place from which a request comes; at most 64.
    pub networks: Vec<Network>,
    /// How far the operator's clocks are ahead of UTC, for policies that look at the time. Without it they see none.
    pub zone: Option<Zone>,
    /// The bounds.
    pub limits: Limits,
    /// A second policy engine that is asked about every decision.
    pub shadow: Option<Shadow>,
}

/// A server that listens.
#[derive(Debug)]
pub struct Bound {
    addr: SocketAddr,
    url: String,
    mutual: Option<(SocketAddr, String)>,
    tasks: Vec<JoinHandle<()>>,
}

impl Bound {
    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address that clients use.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens for clients with certificates, and the address that these use.
    #[must_use]
    pub fn mutual(&self) -> Option<(SocketAddr, &str)> {
        self.mutual.as_ref().map(|(addr, url)| (*addr, url.as_str()))
    }

    /// Waits until it has stopped and the open requests have ended.
    pub async fn stopped(self) {
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "the server ended in a panic");
            }
        }
    }
}

/// Starts to listen; answers when the port is bound. It serves until `shutdown` ends.
///
/// # Errors
/// [`ServerError`] when the address cannot be bound, the certificate is of no use, or the public address is none.
pub async fn serve(
    engine: Arc<Engine>,
    options: ServeOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Bound, ServerError> {
    let (now, known) = (engine.now(), Arc::clone(&engine));
    let anchors = options.passkey_anchors.as_deref().map(anchors::read).transpose()?;
    let anchors = anchors.unwrap_or_default();
    let shadow = options.shadow.clone();
    let router = |front| Ok(layered(build(engine, front, options.limits, anchors, shadow)?));
    bind(&options, now, Some(&known), router, shutdown).await
}

/// What a server is to whoever connects.
pub(crate) struct Front {
    /// The addresses under which clients reach it; the first is the one that it calls itself.
    pub(crate) origins: Vec<HttpUrl>,
    /// The port with certificates of clients.
    pub(crate) mutual: Option<Mutual>,
    /// Its own certificate.
    pub(crate) served: Option<Arc<Served>>,
    /// Networks that have names.
    pub(crate) networks: Networks,
    /// The operator's, if policies may look at the time.
    pub(crate) zone: Option<Zone>,
}

/// A port that is bound, and the addresses that lead to it.
struct Port {
    listener: TcpListener,
    addr: SocketAddr,
    origins: Vec<HttpUrl>,
}

impl Port {
    async fn open(listen: SocketAddr, public_url: Option<&str>) -> Result<Self, ServerError> {
        let failed = |cause| ServerError::Bind { address: listen, cause };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let origins = match public_url {
            Some(url) => vec![public_origin(url)?],
            None => local_origins(addr),
        };
        Ok(Self { listener, addr, origins })
    }

    fn url(&self) -> String {
        self.origins.first().map_or_else(String::new, |origin| origin.origin().to_owned())
    }
}

/// Binds the ports and serves the router that is made for the addresses of this server.
pub(crate) async fn bind(
    options: &ServeOptions,
    now: Instant,
    engine: Option<&Arc<Engine>>,
    router: impl FnOnce(Front) -> Result<Router, ServerError>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Bound, ServerError> {
    let ServeOptions { listen, tls, public_url, mutual, limits, .. } = options;
    let mut ports = vec![(Port::open(*listen, public_url.as_deref()).await?, Asks::Nobody)];
    if let Some(MutualTls { listen, public_url, .. }) = mutual {
        ports.push((Port::open(*listen, public_url.as_deref()).await?, Asks::Clients));
    }
    let origins: Vec<HttpUrl> = ports.iter().flat_map(|(port, _)| port.origins.clone()).collect();
    let addresses: Vec<SocketAddr> = ports.iter().map(|(port, _)| port.addr).collect();
    let served = Served::load(tls, &tls::names(&addresses, &origins), now)?;
    if let Tls::Development { dir } = tls {
        let path = tls::development_certificate_path(dir);
        tracing::warn!(certificate = %path.display(), "{}: for tests only", tls::DEVELOPMENT_NAME);
    }
    let second = ports.get(1).map(|(port, _)| (port.addr, port.url()));
    let first = ports.get(1).and_then(|(port, _)| port.origins.first().cloned());
    let mutual = first.zip(mutual.as_ref());
    let mutual = mutual.map(|(origin, options)| Mutual::load(origin, options, now)).transpose()?;
    let authorities = mutual.as_ref().and_then(Mutual::authorities).cloned();
    let networks = Networks::new(&options.networks).ok_or(ServerError::TooManyNetworks)?;
    let (served_here, zone) = (Some(Arc::clone(&served)), options.zone);
    let front = Front { origins, mutual, served: served_here, networks, zone };
    let router = router(front)?;
    let places = Places::new(limits.connections, limits.connections_of_one);
    let (stop, stopping) = watch::channel(());
    let (mut tasks, mut bound) = (Vec::new(), Vec::new());
    for (port, asks) in ports {
        bound.push((port.addr, port.url()));
        tracing::info!(addr = %port.addr, url = port.url(), "listening");
        let listening = Listening {
            acceptor: TlsAcceptor::from(tls::config(Arc::clone(&served), asks)?),
            listener: port.listener,
            router: router.clone(),
            places: Arc::clone(&places),
            limits: *limits,
        };
        tasks.push(tokio::spawn(listening.run(ended(stopping.clone()))));
    }
    let beside = engine.map(|engine| Arc::clone(engine.beside())).unwrap_or_default();
    if let Some((authorities, engine)) = authorities.zip(engine) {
        let every = limits.certificate_time;
        let reread = authorities.reread(Arc::clone(engine), every, stopping.clone());
        tasks.push(tokio::spawn(watched(Arc::clone(&beside), "revocations", reread)));
    }
    let renew = served.renew(now, limits.certificate_time, stopping);
    tasks.push(tokio::spawn(watched(beside, "certificate", renew)));
    tokio::spawn(async move {
        shutdown.await;
        stop.send_replace(());
    });
    let (addr, url) = bound.into_iter().next().unwrap_or((*listen, String::new()));
    Ok(Bound { addr, url, mutual: second, tasks })
}

/// All routes with all that holds for every one of them.
pub(crate) fn layered(app: Arc<App>) -> Router {
    let edge = axum::middleware::from_fn_with_state(Arc::clone(&app), edge::pass);
    routes::all().layer(edge).with_state(app)
}

fn public_origin(url: &str) -> Result<HttpUrl, ServerError> {
    let parsed = HttpUrl::parse(url)
        .ok()
        .filter(|parsed| parsed.origin().starts_with("https://") && parsed.path() == "/");
    parsed.ok_or_else(|| ServerError::PublicUrl(url.to_owned()))
}

pub(crate) fn local_origins(addr: SocketAddr) -> Vec<HttpUrl> {
    let port = addr.port();
    let mut hosts = vec!["127.0.0.1".to_owned(), "localhost".to_owned(), "[::1]".to_owned()];
    if !addr.ip().is_unspecified() && !addr.ip().is_loopback() {
        let host = match addr {
            SocketAddr::V4(v4) => v4.ip().to_string(),
            SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
        };
        hosts.insert(0, host);
    }
    hosts.iter().filter_map(|host| HttpUrl::parse(&format!("https://{host}:{port}")).ok()).collect()
}

struct Listening {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    router: Router,
    /// Of all ports together.
    places: Arc<Places>,
    limits: Limits,
}

impl Listening {
    async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let Self { listener, acceptor, router, places, limits } = self;
        let (stop, stopping) = watch::channel(());
        let mut shutdown = core::pin::pin!(shutdown);
        loop {
            // No room: connections wait in the system's queue, which is bounded too.
            let room = tokio::select! {
                room = places.room() => room,
                () = &mut shutdown => break,
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut shutdown => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: a pause lets some close.
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(core::time::Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Some(place) = room.and_then(|room| places.seat(room, peer.ip())) else {
                tracing::debug!(from = %peer.ip(), "closed: too many connections of one network");
                continue;
            };
            let connection = Connection {
                acceptor: acceptor.clone(),
                router: router.clone(),
                limits,
                peer: Peer(peer.ip()),
                stopping: stopping.clone(),
            };
            tokio::spawn(async move {
                connection.run(stream).await;
                drop(place);
            });
        }
        drop((listener, stopping));
        stop.send_replace(());
        // Each connection holds a receiver until it ends.
        if tokio::time::timeout(limits.drain_time, stop.closed()).await.is_err() {
            tracing::warn!("open requests did not end in time");
        }
    }
}

struct Connection {
    acceptor: TlsAcceptor,
    router: Router,
    limits: Limits,
    peer: Peer,
    /// Changes when the server stops.
    stopping: watch::Receiver<()>,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        let Self { acceptor, router, limits, peer, stopping } = self;
        let _best_effort = stream.set_nodelay(true);
        let handshake = tokio::time::timeout(limits.handshake_time, acceptor.accept(stream));
        let Ok(Ok(stream)) = handshake.await else { return };
        let session = stream.get_ref().1;
        let second = session.alpn_protocol() == Some(b"h2");
        let presented = session.peer_certificates().and_then(Presented::of);
        let used = Used::now();
        let requests = used.clone();
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            requests.again();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            if let Some(presented) = presented.clone() {
                request.extensions_mut().insert(presented);
            }
            let router = router.clone();
            async move {
                use tower::Service as _;
                let mut router = router;
                router.call(request).await
            }
        });
        let builder = builder(&limits, second);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = core::pin::pin!(connection);
        tokio::select! {
            // A client that breaks off is no news.
            _broken_off = connection.as_mut() => return,
            () = ended(stopping) => {}
            // HTTP/1 has its own bound on idleness: the time for the next head.
            () = used.idle_for(limits.idle_time), if second => {}
        }
        connection.as_mut().graceful_shutdown();
        // Open requests end; who does not take their answers is cut off.
        let _late = tokio::time::timeout(limits.drain_time, connection).await;
    }
}

async fn ended(mut stopping: watch::Receiver<()>) {
    // An error means that the sender is gone, and with it the server.
    let _gone = stopping.changed().await;
}

/// When a connection's newest request began. All before it have ended within the time for a request.
#[derive(Clone)]
struct Used(Arc<Mutex<Stopwatch>>);

impl Used {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Stopwatch::now())))
    }

    fn again(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Stopwatch::now();
    }

    fn last(&self) -> Stopwatch {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends once no request has begun for so long.
    async fn idle_for(&self, time: core::time::Duration) {
        let mut last = self.last();
        loop {
            // Out of what the clock can count: never.
            let Some(end) = last.checked_add(time) else { return core::future::pending().await };
            tokio::time::sleep_until(end).await;
            match self.last() {
                newer if newer > last => last = newer,
                _ => return,
            }
        }
    }
}

/// The protocol is known from ALPN: guessing it from the first bytes would wait for them without a bound.
fn builder(limits: &Limits, second: bool) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(limits.head_bytes.max(8 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(256)
        .keep_alive_interval(core::time::Duration::from_secs(20))
        .keep_alive_timeout(limits.head_time);
    if second { builder.http2_only() } else { builder.http1_only() }
}
