//! A mirror over HTTP (`c2sp.org/tlog-mirror`): `POST /add-checkpoint`, `POST /add-entries` and `POST /sign-subtree`; the copies
//! below `GET /<origin hash>/` as `c2sp.org/tlog-tiles`; `GET /metrics` for whoever runs it.
//!
//! It is a server of its own, with its own keys and folder, on a machine that shares no disk with the log.

use crate::ServerError;
use crate::app::Peer;
use crate::body::media_type;
use crate::cosigning::{self, Desk, TEXT, failed, say};
use crate::limits::Limits;
use crate::places::Places;
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
use std::net::IpAddr;
use std::sync::Arc;
use tokio::time::Instant as Stopwatch;
use tpw_core::Instant;
use tpw_engines::mirror::{Ended, Mirror, MirrorError, Progress, Upload};
use tpw_proof::ProofError;
use tpw_proof::mirror::{
    AddEntries, HEAD_LEN_MAX, INFO_TYPE, PACKAGE_LEN_MAX, Package, REQUEST_TYPE,
};
use tpw_proof::witness::{AddCheckpoint, SignSubtree};

/// Uploads at once; each may have a package of some 17 MB in memory.
const UPLOADS_MAX: usize = 8;

/// Of these, for one network: nobody who sends slowly keeps all others out.
const UPLOADS_OF_ONE: usize = 2;

/// Heads of uploads that are judged at once, which takes a signature check and a look at the disk: they have places of their own, so that
/// checkpoints and subtrees always find theirs.
const HEADS_MAX: usize = 16;

/// Packages of one request: those after them are for the next one.
const PACKAGES_MAX: u64 = 1024;

/// How long one package may take to come in, however often something of it comes.
const PACKAGE_TIME_MAX: Duration = Duration::from_secs(60);

/// How long one upload may take.
const UPLOAD_TIME_MAX: Duration = Duration::from_secs(300);

/// Compressed bytes that are unpacked in one step: at most a thousandfold comes out.
const UNPACKED_AT_ONCE: usize = 4096;

/// The same while the head is read, which needs no place and may go on for as many as there are connections.
const UNPACKED_OF_HEAD: usize = 128;

struct Shared {
    mirror: Arc<Mirror>,
    desk: Desk,
    uploads: Arc<Places>,
    heads: Arc<Places>,
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
    bind(&options, now, None, |_front| Ok(mirror_router(mirror, &limits)), shutdown).await
}

/// The router without TLS and without a listener.
pub fn mirror_router(mirror: Arc<Mirror>, limits: &Limits) -> Router {
    let uploads = Places::new(UPLOADS_MAX, UPLOADS_OF_ONE);
    let heads = Places::new(HEADS_MAX, UPLOADS_OF_ONE);
    let shared = Shared { mirror, desk: Desk::new(limits), uploads, heads };
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/add-entries", post(add_entries))
        .route("/sign-subtree", post(sign_subtree))
        .route("/metrics", get(metrics))
        .route("/{origin}/{*path}", get(file))
        .with_state(Arc::new(shared))
}

/// Carries out a request with a small body.
async fn judged<T: Send + 'static>(
    shared: &Shared,
    carry_out: impl FnOnce(&Mirror) -> Result<T, MirrorError> + Send + 'static,
) -> Result<T, Response<Body>> {
    let mirror = Arc::clone(&shared.mirror);
    let answer = shared.desk.judged(move || carry_out(&mirror)).await?;
    answer.map_err(|error| refuse(shared, &error))
}

/// Carries out what has its place already.
async fn carried_out<T: Send + 'static>(
    shared: &Shared,
    carry_out: impl FnOnce(&Mirror) -> Result<T, MirrorError> + Send + 'static,
) -> Result<T, Response<Body>> {
    let mirror = Arc::clone(&shared.mirror);
    let answer = cosigning::off_thread(move || carry_out(&mirror)).await?;
    answer.map_err(|error| refuse(shared, &error))
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
        MirrorError::Busy => return shared.desk.busy(),
        other => ("failed", failed(other)),
    };
    shared.desk.tally.refused(reason);
    response
}

async fn add_checkpoint(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Response<Body>> {
    let request = shared.desk.read(&headers, body, AddCheckpoint::parse).await?;
    let keep = move |mirror: &Mirror| {
        let kept = mirror.add_checkpoint(&request);
        if let Err(MirrorError::Refused(refusal)) = &kept {
            cosigning::keep_fork(&request, refusal, "not mirrored");
        }
        kept
    };
    judged(&shared, keep).await?;
    // The mirror has not the entries yet: it says nothing of this checkpoint.
    Ok(typed(StatusCode::OK, TEXT, Body::empty()))
}

async fn sign_subtree(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Response<Body>> {
    let request = shared.desk.read(&headers, body, SignSubtree::parse).await?;
    let line = judged(&shared, move |mirror| mirror.sign_subtree(&request)).await?;
    shared.desk.tally.given("subtree");
    Ok(say(StatusCode::OK, line))
}

async fn add_entries(
    State(shared): State<Arc<Shared>>,
    Peer(from): Peer,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let mut response = match uploaded(&shared, from, &headers, body).await {
        Ok(response) | Err(response) => response,
    };
    // "mirrors SHOULD send an `Accept-Encoding` header that includes `gzip`".
    response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

/// A place is taken for an upload whose head is there and was found good: whoever sends nothing, or nothing that is wanted, has none.
async fn uploaded(
    shared: &Arc<Shared>,
    from: IpAddr,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response<Body>, Response<Body>> {
    if media_type(headers) != REQUEST_TYPE {
        let why = say(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("send {REQUEST_TYPE}"));
        return Err(shared.desk.malformed(why));
    }
    let bad =
        |error: &ProofError| shared.desk.malformed(say(StatusCode::BAD_REQUEST, error.to_string()));
    let Some(mut incoming) = Incoming::new(headers, body, shared.desk.body_time()) else {
        let why = say(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send gzip or identity");
        return Err(shared.desk.malformed(why));
    };
    let head = incoming.part(HEAD_LEN_MAX, AddEntries::read).await.map_err(|error| bad(&error))?;
    let head = head.ok_or_else(|| refuse(shared, &MirrorError::Truncated))?;
    let Some(judging) = shared.heads.take(from) else {
        return Err(shared.desk.busy());
    };
    let begin = move |mirror: &Mirror| {
        let begun = mirror.begin(head);
        drop(judging);
        begun
    };
    let mut upload = carried_out(shared, begin).await?;
    let Some(_place) = shared.uploads.take(from) else {
        return Err(shared.desk.busy());
    };
    incoming.packages_come();
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
            shared.desk.tally.given("checkpoint");
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
    /// How long nothing may come.
    pause_max: Duration,
    /// How long a part may take.
    part_time: Duration,
    /// Compressed bytes that are unpacked in one step.
    step: usize,
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
        let (packed, buffer) = (Bytes::new(), Vec::new());
        let (part_time, step) = (pause_max, UNPACKED_OF_HEAD);
        Some(Self { body, gzip, packed, buffer, pause_max, part_time, step, ends })
    }

    /// The head is there: what comes now is larger.
    const fn packages_come(&mut self) {
        (self.part_time, self.step) = (PACKAGE_TIME_MAX, UNPACKED_AT_ONCE);
    }

    /// The next part, as `read` takes it from the beginning of the bytes; `None` when the body ends before it does.
    async fn part<T>(
        &mut self,
        size_max: usize,
        read: impl Fn(&[u8]) -> Read<T>,
    ) -> Result<Option<T>, ProofError> {
        let ends = self.after(self.part_time).min(self.ends);
        loop {
            if let Some((part, used)) = read(&self.buffer)? {
                self.buffer.drain(..used.min(self.buffer.len()));
                return Ok(Some(part));
            }
            // A part of that size would have been read.
            if self.buffer.len() > size_max || !self.more(ends).await {
                return Ok(None);
            }
        }
    }

    fn after(&self, time: Duration) -> Stopwatch {
        Stopwatch::now().checked_add(time).unwrap_or(self.ends)
    }

    /// Reads on, until then at most; whether there was more. A client that breaks off, or sends what cannot be unpacked, has sent no
    /// more.
    async fn more(&mut self, ends: Stopwatch) -> bool {
        if self.packed.is_empty() {
            let limit = self.after(self.pause_max).min(ends);
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
        let step = self.packed.split_to(self.packed.len().min(self.step));
        let unpacked = gzip.write_all(&step).and_then(|()| gzip.flush());
        self.buffer.append(gzip.get_mut());
        unpacked.is_ok()
    }
}

async fn file(
    State(shared): State<Arc<Shared>>,
    Path((origin, path)): Path<(String, String)>,
) -> Result<Response<Body>, Response<Body>> {
    let is_checkpoint = path == "checkpoint";
    let read = cosigning::off_thread(move || shared.mirror.file(&origin, &path)).await?;
    let Some(bytes) = read.map_err(|error| failed(&error))? else {
        return Ok(say(StatusCode::NOT_FOUND, "this mirror has no such file"));
    };
    let (media_type, caching) = if is_checkpoint {
        (TEXT, "no-cache")
    } else {
        // A tile never changes: a wider one has another path.
        ("application/octet-stream", "public, max-age=31536000, immutable")
    };
    let mut response = typed(StatusCode::OK, media_type, bytes);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    Ok(response)
}

/// The end of a name, what it tells, and where it stands.
type Gauge = (&'static str, &'static str, fn(&Progress) -> u64);

async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response<Body>, Response<Body>> {
    let progress = carried_out(&shared, Mirror::progress).await?;
    let mut text = String::new();
    shared.desk.tally.write(&mut text);
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
    Ok(cosigning::metrics(text))
}

#[cfg(test)]
mod tests {
    //! Goal: a body comes in as it was packed, whatever its packing and its pieces, a packed bomb takes no memory, and a slow one no place
    //! for long.
    //! Method: bodies of one part of known length, in gzip of one and of several members, cut off, or none; and some that do not end.

    use super::*;
    use axum::http::Request;
    use axum::http::header::CONTENT_ENCODING;
    use core::convert::Infallible;
    use core::pin::Pin;
    use core::task::{Context, Poll};
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use hyper::body::Frame;
    use tokio::time::Interval;
    use tower::ServiceExt as _;
    use tpw_core::TreeHead;
    use tpw_crypto::{Algorithm, FixedEntropy, Signer as _, SlotName, SoftwareSlots};
    use tpw_engines::clock::SystemClock;
    use tpw_proof::tree::leaf_hash;
    use tpw_proof::{Checkpoint, KeyName, VerifierKey};

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

    /// A body that does not end: something at once, and then a byte every so often or nothing.
    struct Slow {
        first: Option<Bytes>,
        drops: Option<Interval>,
    }

    impl hyper::body::Body for Slow {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if let Some(first) = self.first.take() {
                return Poll::Ready(Some(Ok(Frame::data(first))));
            }
            let drop = |_at| Some(Ok(Frame::data(Bytes::from_static(b"x"))));
            self.drops.as_mut().map_or(Poll::Pending, |drops| drops.poll_tick(cx).map(drop))
        }
    }

    fn stalled(first: &[u8]) -> Body {
        Body::new(Slow { first: Some(Bytes::copy_from_slice(first)), drops: None })
    }

    /// A mirror that has seen a checkpoint over one entry, and the head of an upload of that.
    fn mirror_with_a_checkpoint(folder: &std::path::Path) -> (Router, Vec<u8>) {
        let slot = |name: &str| SlotName::new(name).unwrap();
        let (mut slots, entropy) = (SoftwareSlots::new(), &mut FixedEntropy::new(3));
        slots.generate(slot("ed"), Algorithm::Ed25519, entropy).unwrap();
        slots.generate(slot("ml"), Algorithm::MlDsa44, entropy).unwrap();
        let origin = KeyName::new("log.example/slow").unwrap();
        let key = |name: &str| {
            VerifierKey::new(origin.clone(), slots.public_key(&slot(name)).unwrap()).unwrap()
        };
        let (name, clock) = (KeyName::new("mirror.example/slow").unwrap(), SystemClock::new());
        let mirror = Mirror::open(folder, name, vec![key("ed"), key("ml")], Arc::new(clock));
        let (mirror, root) = (mirror.unwrap(), leaf_hash(b"entry"));
        let checkpoint = Checkpoint { origin: origin.clone(), head: TreeHead { size: 1, root } };
        let checkpoint = checkpoint.sign(&slots, &slot("ed"), &slot("ml")).unwrap();
        mirror
            .add_checkpoint(&AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint })
            .unwrap();
        let head = AddEntries { origin: origin.to_string(), start: 0, end: 1, ticket: Vec::new() };
        (mirror_router(Arc::new(mirror), &Limits::standard()), head.to_bytes().unwrap())
    }

    #[tokio::test]
    async fn a_part_has_its_time_however_often_something_comes() {
        let (little, most) = (Duration::from_millis(5), Duration::from_millis(300));
        let body = Body::new(Slow { first: None, drops: Some(tokio::time::interval(little)) });
        let mut incoming = Incoming::new(&HeaderMap::new(), body, most).unwrap();
        let began = Stopwatch::now();
        assert!(incoming.part(1 << 20, exactly(1 << 10)).await.unwrap().is_none());
        let took = began.elapsed();
        assert!(took >= most && took < Duration::from_secs(4), "{took:?}");
        assert!(incoming.buffer.len() > 2, "something came");
    }

    /// Whoever sends slowly stops nobody: a head that is not there takes no place, and no network takes all of them.
    #[tokio::test]
    async fn slow_uploads_leave_room_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let (router, head) = mirror_with_a_checkpoint(folder.path());
        let upload = |from: [u8; 4], body: Body| {
            let request = Request::post("/add-entries").header("content-type", REQUEST_TYPE);
            let mut request = request.body(body).unwrap();
            request.extensions_mut().insert(Peer(IpAddr::from(from)));
            tokio::spawn(router.clone().oneshot(request))
        };
        // Without a whole head, from as many networks as there are places and more.
        let silent = (0..20).map(|number| upload([192, 0, 2, number], stalled(&head[..4])));
        let silent: Vec<_> = silent.collect();
        // With one, as many as one network may have.
        let slow: Vec<_> = (0..2).map(|_| upload([198, 51, 100, 1], stalled(&head))).collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let third = upload([198, 51, 100, 1], stalled(&head)).await.unwrap().unwrap();
        assert_eq!(third.status(), StatusCode::SERVICE_UNAVAILABLE);
        // Another network has room: it is heard, and has broken off behind its head.
        let other = upload([203, 0, 113, 1], Body::from(head.clone())).await.unwrap().unwrap();
        assert_eq!(other.status(), StatusCode::BAD_REQUEST);
        for one in silent.into_iter().chain(slow) {
            one.abort();
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
