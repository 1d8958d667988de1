//! Listening: HTTP/1.1, under TLS if there is a certificate.

use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::api::{Shared, router};
use crate::tls::Tls;
use crate::workers::Workers;

/// How much of everything there may be at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections.
    pub connections: usize,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// For a request's head, and for all of a request with its answer.
    pub request_time: Duration,
}

/// Why it does not listen.
#[derive(Debug, thiserror::Error)]
#[error("`{address}` cannot be listened on: {cause}")]
pub struct ServeError {
    address: SocketAddr,
    cause: std::io::Error,
}

/// A server that listens.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Listening {
    /// Where.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has stopped.
    pub async fn stopped(self) {
        let _panicked = self.task.await;
    }
}

/// Starts to listen, until `shutdown` ends.
///
/// # Errors
/// [`ServeError`]
pub async fn listen(
    workers: Arc<Workers>,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    bounds: Bounds,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Listening, ServeError> {
    let failed = |cause| ServeError { address, cause };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let shared = Shared { workers, body_bytes_max: bounds.body_bytes };
    Ok(Listening { address, task: tokio::spawn(accept(listener, tls, shared, bounds, shutdown)) })
}

async fn accept(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    shared: Shared,
    bounds: Bounds,
    shutdown: impl Future<Output = ()> + Send,
) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let (stop, stopping) = watch::channel(());
    let mut shutdown = core::pin::pin!(shutdown);
    loop {
        // Without a place, connections wait in the system's queue, which is bounded too.
        let taken = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            taken = taken => taken,
            () = &mut shutdown => break,
        };
        let Ok((stream, _from)) = accepted else {
            // Out of descriptors, most likely: a pause lets some close.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (shared, stopping) = (shared.clone(), stopping.clone());
        let acceptor = tls.as_ref().map(|tls| tls.acceptor());
        tokio::spawn(async move {
            let _best_effort = stream.set_nodelay(true);
            match acceptor {
                None => connection(stream, shared, bounds, stopping).await,
                Some(acceptor) => {
                    let shaken = tokio::time::timeout(bounds.request_time, acceptor.accept(stream));
                    // Who breaks off, or speaks no TLS, is no news.
                    if let Ok(Ok(stream)) = shaken.await {
                        connection(stream, shared, bounds, stopping).await;
                    }
                }
            }
            drop(place);
        });
    }
    drop((listener, stopping));
    stop.send_replace(());
    // Each connection holds a receiver until it ends.
    let _late = tokio::time::timeout(bounds.request_time, stop.closed()).await;
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    shared: Shared,
    bounds: Bounds,
    mut stopping: watch::Receiver<()>,
) {
    let router = router(shared);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut router = router.clone();
        async move {
            use tower::Service as _;
            let answer = router.call(request.map(Body::new));
            // A body that does not come ends the connection.
            tokio::time::timeout(bounds.request_time, answer)
                .await
                .map(|answer| answer.unwrap_or_else(|never| match never {}))
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.request_time)
        .max_buf_size(16 << 10);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = core::pin::pin!(connection);
    tokio::select! {
        _broken_off = connection.as_mut() => return,
        _stopped = stopping.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _late = tokio::time::timeout(bounds.request_time, connection).await;
}
