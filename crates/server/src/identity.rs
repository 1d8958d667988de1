//! What the challenges and the factors share: the records of a person, read and written.

use crate::app::App;
use crate::problem::{Code, Problem};
use crate::routes::off_thread;
use std::sync::Arc;
use tpw_access::assurance::{Assurance, Level, Proof};
use tpw_access::factor::failures::{AtCap, Failures, Locked};
use tpw_access::factor::opaque::ServerSecret;
use tpw_access::factor::{FactorError, Method};
use tpw_access::record::{RecordKey, RecordKind, RecordWrite};
use tpw_core::{CodecError, DeviceId, PersonId, Span};
use tpw_engines::PayError;
use tpw_engines::entropy::OsEntropy;
use tpw_flow::Rejection;

/// How often a change is tried again that another request came before.
const TRIES: u8 = 8;
const OPAQUE_ID: &[u8] = b"opaque";

pub(crate) fn single(kind: RecordKind, person: PersonId) -> RecordKey {
    RecordKey::single(kind, *person.as_bytes())
}

fn assurance_key(device: DeviceId) -> RecordKey {
    RecordKey::single(RecordKind::Assurance, *device.as_bytes())
}

fn failures_key(person: PersonId, method: Method) -> Result<RecordKey, Problem> {
    key(RecordKind::Failures, person, &[method.number()])
}

pub(crate) fn key(kind: RecordKind, person: PersonId, id: &[u8]) -> Result<RecordKey, Problem> {
    let key = RecordKey::new(kind, *person.as_bytes(), id);
    key.ok_or_else(|| Problem::internal(&"a record has too long an id"))
}

pub(crate) async fn read(app: &Arc<App>, key: &RecordKey) -> Result<Option<Vec<u8>>, Problem> {
    let key = key.clone();
    off_thread(app, move |engine| Ok(engine.record(&key)?)).await
}

/// A stored value that no version of this program writes is a defect here.
pub(crate) fn stored<T>(
    value: Option<&Vec<u8>>,
    read: impl FnOnce(&[u8]) -> Result<T, CodecError>,
) -> Result<Option<T>, Problem> {
    value.map(|bytes| read(bytes)).transpose().map_err(|error| Problem::internal(&error))
}

/// What a session that begins now is worth.
pub(crate) async fn level(app: &Arc<App>, device: DeviceId) -> Result<Level, Problem> {
    let value = read(app, &assurance_key(device)).await?;
    let assurance = stored(value.as_ref(), Assurance::from_bytes)?;
    let (now, mut seen) = (app.engine.now(), app.seen());
    let before = seen.note(device, now);
    Ok(assurance.map_or(Level::DEVICE_KEY, |known| known.level(before, now)))
}

/// Keeps what the person at a device has proved.
pub(crate) async fn proved(
    app: &Arc<App>,
    device: DeviceId,
    proof: Proof,
) -> Result<Level, Problem> {
    let key = assurance_key(device);
    for _ in 0..TRIES {
        let before = read(app, &key).await?;
        let known = stored(before.as_ref(), Assurance::from_bytes)?.unwrap_or_default();
        let after = known.with(proof);
        let now = app.engine.now();
        let write = RecordWrite { key: key.clone(), before, after: Some(after.to_bytes()) };
        if written(app, vec![write]).await? {
            return Ok(after.level(app.seen().note(device, now), now));
        }
    }
    Err(Problem::new(Code::RecordChanged))
}

/// Whether the records were still as they were read; then they are changed.
pub(crate) async fn written(app: &App, writes: Vec<RecordWrite>) -> Result<bool, Problem> {
    match app.engine.write_records(writes).await {
        Ok(()) => Ok(true),
        Err(PayError::Rejected(Rejection::RecordChanged)) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

/// Takes back what was charged for a method: the person came through.
pub(crate) async fn forgive(
    app: &Arc<App>,
    person: PersonId,
    method: Method,
) -> Result<Option<RecordWrite>, Problem> {
    let key = failures_key(person, method)?;
    let before = read(app, &key).await?;
    Ok(before.map(|before| RecordWrite { key, before: Some(before), after: None }))
}

/// Charges an attempt before it is judged: however many are tried at once, each is counted.
pub(crate) async fn charge(
    app: &Arc<App>,
    person: PersonId,
    method: Method,
) -> Result<(), Problem> {
    let key = failures_key(person, method)?;
    for _ in 0..TRIES {
        let before = read(app, &key).await?;
        let known = stored(before.as_ref(), Failures::from_bytes)?;
        let charged = Failures::attempt(known, AtCap::LockForDay, app.engine.now());
        let value = charged.map_err(locked)?.to_bytes();
        let write = RecordWrite { key: key.clone(), before, after: Some(value) };
        if written(app, vec![write]).await? {
            return Ok(());
        }
    }
    Err(Problem::new(Code::RecordChanged))
}

fn locked(why: Locked) -> Problem {
    let Locked::For { retry_after } = why else { return Problem::new(Code::FactorRefused) };
    throttled(retry_after)
}

fn throttled(retry_after: Span) -> Problem {
    Problem::new(Code::Throttled).retry_after_s(retry_after.as_ms().div_ceil(1000).max(1))
}

/// That a factor cannot be used at this time, and why.
pub(crate) fn not_now(why: &'static str) -> Problem {
    Problem::new(Code::FactorNotNow).reason(why).precisely(why)
}

/// What the outside is told of a factor that did not convince. Why, only the records know.
pub(crate) fn refused(method: Method, error: &FactorError) -> Problem {
    match error {
        FactorError::Refused(why) => {
            tracing::info!(method = method.code(), ?why, "a factor was refused");
            Problem::new(Code::FactorRefused)
        }
        FactorError::Form(_) => Problem::new(Code::FactorForm),
        FactorError::NotNow(_) => Problem::new(Code::FactorNotNow),
        FactorError::TooOften { retry_after } => throttled(*retry_after),
        other => Problem::internal(other),
    }
}

/// The server's secret of OPAQUE, made when it is wanted first. Without it nobody's password would work any more: it is kept in
/// the books, sealed.
pub(crate) async fn opaque_secret(app: &Arc<App>) -> Result<ServerSecret, Problem> {
    let key = RecordKey::new(RecordKind::Server, [0; 16], OPAQUE_ID);
    let key = key.ok_or_else(|| Problem::internal(&"a record has too long an id"))?;
    for _ in 0..TRIES {
        if let Some(sealed) = read(app, &key).await? {
            let opened = app.engine.open_secret(OPAQUE_ID, &sealed);
            let opened = opened.and_then(|bytes| ServerSecret::from_bytes(&bytes));
            return opened.map_err(|error| Problem::internal(&error));
        }
        let fresh = ServerSecret::new(&mut OsEntropy);
        let sealed = fresh.and_then(|it| app.engine.seal_secret(OPAQUE_ID, &it.to_bytes()));
        let sealed = sealed.map_err(|error| Problem::internal(&error))?;
        let write = RecordWrite { key: key.clone(), before: None, after: Some(sealed) };
        written(app, vec![write]).await?;
    }
    Err(Problem::new(Code::RecordChanged))
}
