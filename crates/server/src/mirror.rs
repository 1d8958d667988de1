//! A mirror over HTTP (`c2sp.org/tlog-mirror`): `POST /add-checkpoint`, `POST /add-entries` and `POST /sign-subtree`; the copies
//! below `GET /<origin hash>/` as `c2sp.org/tlog-tiles`; `GET /metrics` for whoever runs it.
//!
//! It is a server of its own, with its own keys and folder, on a machine that shares no disk with the log.

use crate::ServerError;
use crate::body::{BodyLimit, media_type};
use crate::cosigning::{self, TEXT, Tally, failed, later, say};
use crate::limits::Limits;
use crate::routes::typed;
use crate::serve::{Bound, ServeOptions, bind};
use crate::telemetry::{escaped, head, put};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::routing::{get, post};
use core::time::Duration;
use flate2::write::MultiGzDecoder;
use http_body_util::BodyExt as _;
use std::io::Write as _;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::Instant as Stopwatch;
use tpw_core::Instant;
use tpw_engines::mirror::{Ended, Mirror, MirrorError, Progress, Upload};
use tpw_proof::ProofError;
use tpw_proof::mirror::{
    AddEntries, HEAD_LEN_MAX, INFO_TYPE, PACKAGE_LEN_MAX, Package, REQUEST_TYPE,
};
use tpw_proof::witness::{AddCheckpoint, REQUEST_MAX, Refusal, SignSubtree};

/// Requests with small bodies that are judged at once.
const JUDGED_MAX: usize = 32;

/// Uploads at once; each may have a package of some 17 MB in memory.
const UPLOADS_MAX: usize = 8;

/// Packages of one request: those after them are for the next one.
const PACKAGES_MAX: u64 = 1024;

/// How long one upload may take.
const UPLOAD_TIME_MAX: Duration = Duration::from_secs(300);

/// Compressed bytes that are unpacked in one step: at most a thousandfold comes out.
const UNPACKED_AT_ONCE: usize = 4096;

struct Shared {
    mirror: Arc<Mirror>,
    body: BodyLimit,
    judged: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    tally: Tally,
}

/// Starts to listen; answers when the port is bound. It serves until `shutdown` ends.
///
/// # Errors
/// As [`crate::serve`].
pub async fn serve_mirror(
    mirror: Arc<Mirror>,
    options: ServeOptions,
    now: Instant,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Bound, ServerError> {
    let limits = options.limits;
    bind(&options, now, |_front| Ok(mirror_router(mirror, &limits)), shutdown).await
}

/// The router without TLS and without a listener.
pub fn mirror_router(mirror: Arc<Mirror>, limits: &Limits) -> Router {
    let body = BodyLimit { bytes: REQUEST_MAX, time: limits.body_time };
    let [judged, uploads] = [JUDGED_MAX, UPLOADS_MAX].map(|most| Arc::new(Semaphore::new(most)));
    let shared = Shared { mirror, body, judged, uploads, tally: Tally::default() };
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/add-entries", post(add_entries))
        .route("/sign-subtree", post(sign_subtree))
        .route("/metrics", get(metrics))
        .route("/{origin}/{*path}", get(file))
        .with_state(Arc::new(shared))
}

/// Carries out a request on a thread that may wait for the disk.
async fn judged<T: Send + 'static>(
    shared: &Arc<Shared>,
    room: &Arc<Semaphore>,
    carry_out: impl FnOnce(&Mirror) -> Result<T, MirrorError> + Send + 'static,
) -> Result<T, Response<Body>> {
    let Ok(place) = Arc::clone(room).try_acquire_owned() else {
        shared.tally.refused("busy");
        return Err(later());
    };
    carried_out(shared, move |mirror| {
        let answer = carry_out(mirror);
        drop(place);
        answer
    })
    .await
}

async fn carried_out<T: Send + 'static>(
    shared: &Arc<Shared>,
    carry_out: impl FnOnce(&Mirror) -> Result<T, MirrorError> + Send + 'static,
) -> Result<T, Response<Body>> {
    let mirror = Arc::clone(&shared.mirror);
    match tokio::task::spawn_blocking(move || carry_out(&mirror)).await {
        Ok(answer) => answer.map_err(|error| refuse(shared, &error)),
        Err(error) => Err(failed(&error)),
    }
}

fn refuse(shared: &Shared, error: &MirrorError) -> Response<Body> {
    let bad = |status| say(status, error.to_string());
    let (reason, response) = match error {
        MirrorError::Refused(refusal) => (refusal.code(), cosigning::refused(refusal)),
        MirrorError::NoCheckpoint => ("no_checkpoint", bad(StatusCode::UNPROCESSABLE_ENTITY)),
        MirrorError::Unproved(_) => ("unproved", bad(StatusCode::UNPROCESSABLE_ENTITY)),
        MirrorError::Truncated => ("truncated", bad(StatusCode::BAD_REQUEST)),
        MirrorError::TooLarge => ("too_large", bad(StatusCode::BAD_REQUEST)),
        MirrorError::Conflict(info) => {
            ("conflict", typed(StatusCode::CONFLICT, INFO_TYPE, info.to_string()))
        }
        MirrorError::Busy => ("busy", later()),
        other => ("failed", failed(other)),
    };
    shared.tally.refused(reason);
    response
}

async fn add_checkpoint(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let request = cosigning::read(&headers, body, shared.body, AddCheckpoint::parse).await;
    let carry_out = |request: AddCheckpoint| async {
        let kept = judged(&shared, &shared.judged, move |mirror| {
            let kept = mirror.add_checkpoint(&request);
            if let Err(MirrorError::Refused(refusal @ Refusal::Inconsistent(_))) = &kept {
                // Signed by the log, and it does not follow: kept in the records, for it may prove a fork.
                let checkpoint = request.checkpoint.to_string();
                tracing::warn!(old = request.old_size, %refusal, checkpoint, "not mirrored");
            }
            kept
        });
        // The mirror has not the entries yet: it says nothing of this checkpoint.
        kept.await.map(|()| typed(StatusCode::OK, TEXT, Body::empty()))
    };
    let answer = match request {
        Ok(request) => carry_out(request).await,
        Err(response) => Err(malformed(&shared, response)),
    };
    answer.unwrap_or_else(|response| response)
}

async fn sign_subtree(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let request = cosigning::read(&headers, body, shared.body, SignSubtree::parse).await;
    let request = match request {
        Ok(request) => request,
        Err(response) => return malformed(&shared, response),
    };
    let signed = judged(&shared, &shared.judged, move |mirror| mirror.sign_subtree(&request));
    match signed.await {
        Ok(line) => {
            shared.tally.given("subtree");
            say(StatusCode::OK, line)
        }
        Err(response) => response,
    }
}

fn malformed(shared: &Shared, response: Response<Body>) -> Response<Body> {
    shared.tally.refused("malformed");
    response
}

async fn add_entries(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let Ok(_place) = Arc::clone(&shared.uploads).try_acquire_owned() else {
        shared.tally.refused("busy");
        return later();
    };
    let mut response = match uploaded(&shared, &headers, body).await {
        Ok(response) | Err(response) => response,
    };
    // "mirrors SHOULD send an `Accept-Encoding` header that includes `gzip`".
    response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

async fn uploaded(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response<Body>, Response<Body>> {
    if media_type(headers) != REQUEST_TYPE {
        let why = say(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("send {REQUEST_TYPE}"));
        return Err(malformed(shared, why));
    }
    let bad =
        |error: &ProofError| malformed(shared, say(StatusCode::BAD_REQUEST, error.to_string()));
    let Some(mut incoming) = Incoming::new(headers, body, shared.body.time) else {
        let why = say(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send gzip or identity");
        return Err(malformed(shared, why));
    };
    let head = incoming.part(HEAD_LEN_MAX, AddEntries::read).await.map_err(|error| bad(&error))?;
    let head = head.ok_or_else(|| refuse(shared, &MirrorError::Truncated))?;
    let mut upload = carried_out(shared, move |mirror| mirror.begin(head)).await?;
    while let Some(place) = upload.next().filter(|_| upload.taken() < PACKAGES_MAX) {
        let read = |bytes: &[u8]| Package::read(bytes, place.count());
        let package = incoming.part(PACKAGE_LEN_MAX, read).await.map_err(|error| bad(&error))?;
        let Some(package) = package else { break };
        upload = carried_out(shared, move |mirror| {
            mirror.take(&mut upload, &package)?;
            Ok(upload)
        })
        .await?;
    }
    let ended = carried_out(shared, move |mirror| Ok((mirror.end(&upload)?, upload))).await?;
    Ok(told(shared, &ended))
}

fn told(shared: &Shared, (ended, upload): &(Ended, Upload)) -> Response<Body> {
    match ended {
        Ended::Cosigned(lines) => {
            let (origin, size) = (upload.origin(), upload.size());
            tracing::info!(origin, size, "stored and cosigned");
            shared.tally.given("checkpoint");
            say(StatusCode::OK, lines.as_str())
        }
        Ended::More(info) => typed(StatusCode::ACCEPTED, INFO_TYPE, info.to_string()),
    }
}

/// A part with its length, or `None` when more bytes are needed.
type Read<T> = Result<Option<(T, usize)>, ProofError>;

/// The body of an upload, as far as it is needed.
struct Incoming {
    body: Body,
    gzip: Option<MultiGzDecoder<Vec<u8>>>,
    /// What came and is not unpacked yet.
    packed: Bytes,
    /// What was unpacked and is not read yet.
    buffer: Vec<u8>,
    /// How long a part may be waited for.
    pause_max: Duration,
    ends: Stopwatch,
}

impl Incoming {
    /// None for a packing that nobody here knows.
    fn new(headers: &HeaderMap, body: Body, pause_max: Duration) -> Option<Self> {
        let encoding = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
        let gzip = match encoding {
            None | Some(b"identity") => None,
            Some(b"gzip") => Some(MultiGzDecoder::new(Vec::new())),
            Some(_) => return None,
        };
        let now = Stopwatch::now();
        let ends = now.checked_add(UPLOAD_TIME_MAX).unwrap_or(now);
        Some(Self { body, gzip, packed: Bytes::new(), buffer: Vec::new(), pause_max, ends })
    }

    /// The next part, as `read` takes it from the beginning of the bytes; `None` when the body ends before it does.
    async fn part<T>(
        &mut self,
        size_max: usize,
        read: impl Fn(&[u8]) -> Read<T>,
    ) -> Result<Option<T>, ProofError> {
        loop {
            if let Some((part, used)) = read(&self.buffer)? {
                self.buffer.drain(..used.min(self.buffer.len()));
                return Ok(Some(part));
            }
            // A part of that size would have been read.
            if self.buffer.len() > size_max || !self.more().await {
                return Ok(None);
            }
        }
    }

    /// Reads on; whether there was more. A client that breaks off, or sends what cannot be unpacked, has sent no more.
    async fn more(&mut self) -> bool {
        if self.packed.is_empty() {
            let limit =
                self.ends.min(Stopwatch::now().checked_add(self.pause_max).unwrap_or(self.ends));
            let Ok(Some(Ok(frame))) = tokio::time::timeout_at(limit, self.body.frame()).await
            else {
                return false;
            };
            self.packed = frame.into_data().unwrap_or_default();
        }
        let Some(gzip) = &mut self.gzip else {
            self.buffer.extend_from_slice(&std::mem::take(&mut self.packed));
            return true;
        };
        let step = self.packed.split_to(self.packed.len().min(UNPACKED_AT_ONCE));
        let unpacked = gzip.write_all(&step).and_then(|()| gzip.flush());
        self.buffer.append(gzip.get_mut());
        unpacked.is_ok()
    }
}

async fn file(
    State(shared): State<Arc<Shared>>,
    Path((origin, path)): Path<(String, String)>,
) -> Response<Body> {
    let is_checkpoint = path == "checkpoint";
    let read = move |mirror: &Mirror| mirror.file(&origin, &path);
    let mirror = Arc::clone(&shared.mirror);
    let bytes = match tokio::task::spawn_blocking(move || read(&mirror)).await {
        Ok(Ok(Some(bytes))) => bytes,
        Ok(Ok(None)) => return say(StatusCode::NOT_FOUND, "this mirror has no such file"),
        Ok(Err(error)) => return failed(&error),
        Err(error) => return failed(&error),
    };
    let (media_type, caching) = if is_checkpoint {
        (TEXT, "no-cache")
    } else {
        // A tile never changes: a wider one has another path.
        ("application/octet-stream", "public, max-age=31536000, immutable")
    };
    let mut response = typed(StatusCode::OK, media_type, bytes);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}

/// The end of a name, what it tells, and where it stands.
type Gauge = (&'static str, &'static str, fn(&Progress) -> u64);

async fn metrics(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let progress = match carried_out(&shared, Mirror::progress).await {
        Ok(progress) => progress,
        Err(response) => return response,
    };
    let mut text = String::new();
    shared.tally.write(&mut text);
    let sizes: [Gauge; 3] = [
        ("pending_size", "Entries under the newest checkpoint that the log has shown.", |l| {
            l.pending
        }),
        ("entries", "Entries stored.", |log| log.stored),
        ("size", "Entries under the newest checkpoint that was cosigned.", |log| log.cosigned),
    ];
    for (name, help, size) in sizes {
        let name = format!("tpw_mirror_{name}");
        head(&mut text, &name, "gauge", help);
        for log in &progress {
            put(&mut text, &name, &format!("{{origin=\"{}\"}}", escaped(&log.origin)), size(log));
        }
    }
    cosigning::metrics(text)
}

#[cfg(test)]
mod tests {
    //! Goal: a body comes in as it was packed, whatever its packing and its pieces, and a packed bomb takes no memory.
    //! Method: bodies of one part of known length, in gzip of one and of several members, cut off, or none.

    use super::*;
    use axum::http::header::CONTENT_ENCODING;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    fn incoming(encoding: Option<&'static str>, body: Vec<u8>) -> Option<Incoming> {
        let mut headers = HeaderMap::new();
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        Incoming::new(&headers, Body::from(body), Duration::from_secs(5))
    }

    /// A part of `length` bytes.
    fn exactly(length: usize) -> impl Fn(&[u8]) -> Read<Vec<u8>> {
        move |bytes| Ok(bytes.get(..length).map(|part| (part.to_vec(), length)))
    }

    #[tokio::test]
    async fn packed_and_plain_bodies_are_the_same() {
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
        let (left, right) = bytes.split_at(150_000);
        let members = [gzip(left), gzip(right)].concat();
        for (encoding, body) in [
            (None, bytes.clone()),
            (Some("identity"), bytes.clone()),
            (Some("gzip"), gzip(&bytes)),
            (Some("gzip"), members),
        ] {
            let mut incoming = incoming(encoding, body).unwrap();
            for part in [left, right] {
                let read = incoming.part(1 << 20, exactly(part.len())).await.unwrap().unwrap();
                assert_eq!(read, part, "{encoding:?}");
            }
            assert!(incoming.part(1 << 20, exactly(1)).await.unwrap().is_none());
        }
        assert!(incoming(Some("br"), Vec::new()).is_none());
        // Cut off, or no gzip at all: no more than what came.
        let packed = gzip(&bytes);
        for body in [packed[..packed.len() / 2].to_vec(), b"plain".to_vec(), Vec::new()] {
            let mut incoming = incoming(Some("gzip"), body).unwrap();
            assert!(incoming.part(1 << 20, exactly(bytes.len())).await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn a_bomb_is_not_unpacked_to_its_end() {
        let bomb = gzip(&vec![0; 100 << 20]);
        let mut incoming = incoming(Some("gzip"), bomb).unwrap();
        assert!(incoming.part(1 << 20, exactly(1 << 30)).await.unwrap().is_none());
        assert!(incoming.buffer.len() < 8 << 20, "{}", incoming.buffer.len());
    }
}
