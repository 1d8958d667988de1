//! Passkeys and security keys. A session asks for a link; a browser does the rest with the link's code.

use super::factors::may_change;
use super::{Reply, json, off_thread};
use crate::app::{App, Peer};
use crate::body;
use crate::gate::Caller;
use crate::identity;
use crate::limits::network_of;
use crate::links::{Errand, Waiting};
use crate::problem::{Code, Problem};
use crate::wire::{
    FinishPasskey, NewPasskeyLink, Passkey as WirePasskey, PasskeyCeremony, PasskeyDone,
    PasskeyErrand, PasskeyLink, PasskeyList, StartPasskey, Text,
};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use std::net::IpAddr;
use std::sync::Arc;
use tpw_access::assurance::{Proof, Strength};
use tpw_access::factor::Method;
use tpw_access::factor::webauthn::{
    AssertionAnswer, AssertionState, AssertionStrength, AttestationRule, Challenge, NewKey,
    Passkey, PasskeyUse, RegistrationAnswer, RegistrationState, RelyingParty, TrustAnchors, User,
    Verification, WebauthnError,
};
use tpw_access::{EnrolmentCode, RecordKey, RecordKind, RecordWrite};
use tpw_core::{DeviceId, Hash32, PersonId};
use tpw_crypto::Entropy as _;
use tpw_engines::entropy::OsEntropy;

/// Keys of one person, at most.
const PASSKEYS_MAX: usize = 16;

/// `POST /v1/factors/passkeys:link`
pub(super) async fn link(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let request: NewPasskeyLink = body::json(&headers, body, app.small_body()).await?;
    if !matches!(request.errand, PasskeyErrand::Use) {
        may_change(&app, &caller).await?;
    }
    let (page, _rp) = app.passkey_page().ok_or_else(|| Problem::new(Code::NotFound))?;
    let code = EnrolmentCode::new(&mut OsEntropy).map_err(|error| Problem::internal(&error))?;
    let who = (caller.session.person(), caller.session.device());
    let expires = app.links().issue(code.hash(), who, errand(request.errand), app.engine.now());
    let expires = expires.map_err(|_full| Problem::new(Code::Busy).retry_after_s(60))?;
    let url = format!("{page}/passkeys#{}", *code.reveal());
    Ok(json(StatusCode::CREATED, &PasskeyLink { url, expires: Text(expires) }))
}

/// `POST /v1/factors/passkeys:start`
pub(super) async fn start(
    State(app): State<Arc<App>>,
    Peer(from): Peer,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let from = admitted(&app, from)?;
    let request: StartPasskey = body::json(&headers, body, app.small_body()).await?;
    let code = hash_of(&app, from, &request.code)?;
    let known = app.links().errand(&code, app.engine.now());
    let (person, errand) = known.ok_or_else(|| unknown(&app, from))?;
    let (_page, rp) = app.passkey_page().ok_or_else(|| Problem::new(Code::NotFound))?;
    let present = off_thread(&app, move |engine| passkeys_of(engine, person)).await?;
    let mut random = [0; 32];
    OsEntropy.fill(&mut random).map_err(|error| Problem::internal(&error))?;
    let (options, waiting) = begin(rp, person, errand, Challenge::from(random), &present)?;
    if !app.links().begin(&code, waiting) {
        return Err(unknown(&app, from));
    }
    app.throttle().succeeded(&from);
    Ok(json(StatusCode::OK, &PasskeyCeremony { errand: shown(errand), options }))
}

fn begin(
    rp: &RelyingParty,
    person: PersonId,
    errand: Errand,
    challenge: Challenge,
    present: &[Passkey],
) -> Result<(serde_json::Value, Waiting), Problem> {
    match errand {
        Errand::Register(_) if present.len() >= PASSKEYS_MAX => {
            Err(Problem::new(Code::PasskeyRefused))
        }
        Errand::Register(used_as) => {
            let name = person.to_string();
            let user = User { handle: person.as_bytes(), name: &name };
            let rule = AttestationRule::NotAsked;
            let (options, state) =
                RegistrationState::start(rp, user, used_as, rule, challenge, present);
            Ok((options, Waiting::Registration(state)))
        }
        Errand::Assert => {
            let rule = Verification::AsRegistered;
            let (options, state) = AssertionState::start(rp, rule, challenge, present);
            Ok((options, Waiting::Assertion(state)))
        }
    }
}

/// `POST /v1/factors/passkeys:finish`
pub(super) async fn finish(
    State(app): State<Arc<App>>,
    Peer(from): Peer,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let from = admitted(&app, from)?;
    let request: FinishPasskey = body::json(&headers, body, app.small_body()).await?;
    let code = hash_of(&app, from, &request.code)?;
    let taken = app.links().take(&code, app.engine.now());
    let (link, waiting) = taken.ok_or_else(|| unknown(&app, from))?;
    let credential = request.credential.to_string().into_bytes();
    let done = match waiting {
        Waiting::Registration(state) => {
            let name = request.name.as_deref().unwrap_or_default();
            register(&app, link.person, state, &credential, name).await?
        }
        Waiting::Assertion(state) => {
            assert(&app, (link.person, link.device), state, &credential).await?
        }
    };
    tracing::info!(device = %link.device, errand = ?link.errand, "a browser did what a link was for");
    Ok(json(StatusCode::OK, &done))
}

async fn register(
    app: &Arc<App>,
    person: PersonId,
    state: RegistrationState,
    credential: &[u8],
    name: &str,
) -> Result<PasskeyDone, Problem> {
    let (_page, rp) = app.passkey_page().ok_or_else(|| Problem::new(Code::NotFound))?;
    let answer = RegistrationAnswer::from_json(credential).map_err(refused)?;
    let new = NewKey { name, now: app.engine.now() };
    let passkey = state.finish(rp, &answer, &TrustAnchors::none(), new).map_err(refused)?;
    let key = key_of(&passkey.credential_id, person)?;
    write(app, RecordWrite { key, before: None, after: Some(passkey.to_bytes()) }).await?;
    let user_verified = passkey.user_verified;
    Ok(PasskeyDone { passkey: view(&passkey), user_verified, counter_went_back: false })
}

/// What the browser proved counts for the session that asked for the link.
async fn assert(
    app: &Arc<App>,
    (person, device): (PersonId, DeviceId),
    state: AssertionState,
    credential: &[u8],
) -> Result<PasskeyDone, Problem> {
    let (_page, rp) = app.passkey_page().ok_or_else(|| Problem::new(Code::NotFound))?;
    let answer = AssertionAnswer::from_json(credential).map_err(refused)?;
    let key = key_of(answer.credential_id(), person)?;
    let asked = key.clone();
    let before = off_thread(app, move |engine| Ok(engine.record(&asked)?)).await?;
    let before = before.ok_or_else(|| refused(WebauthnError::OtherCredential))?;
    let stored = Passkey::from_bytes(&before).map_err(|error| Problem::internal(&error))?;
    let now = app.engine.now();
    let (used, evidence) =
        state.finish(rp, &stored, person.as_bytes(), &answer, now).map_err(refused)?;
    write(app, RecordWrite { key, before: Some(before), after: Some(used.to_bytes()) }).await?;
    let strength = match evidence.strength() {
        AssertionStrength::Present => Strength::Single,
        AssertionStrength::Verified => Strength::Multi,
        AssertionStrength::VerifiedInHardware => Strength::Hardware,
    };
    let proof = Proof { method: Method::Passkey, strength, at: now };
    identity::proved(app, device, proof).await?;
    Ok(PasskeyDone {
        passkey: view(&used),
        user_verified: evidence.user_verified,
        counter_went_back: evidence.counter_went_back,
    })
}

/// `GET /v1/factors/passkeys`
pub(super) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Reply {
    let person = caller.session.person();
    let passkeys = off_thread(&app, move |engine| passkeys_of(engine, person)).await?;
    let passkeys = passkeys.iter().map(view).collect();
    Ok(json(StatusCode::OK, &PasskeyList { passkeys }))
}

/// `DELETE /v1/factors/passkeys/{id}`
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Reply {
    may_change(&app, &caller).await?;
    let id: Hash32 = body::id(&id)?;
    let owner = *caller.session.person().as_bytes();
    let key = RecordKey::new(RecordKind::Passkey, owner, id.as_bytes());
    let key = key.ok_or_else(|| Problem::new(Code::NotFound))?;
    let asked = key.clone();
    let before = off_thread(&app, move |engine| Ok(engine.record(&asked)?)).await?;
    let before = before.ok_or_else(|| Problem::new(Code::NotFound))?;
    let passkey = Passkey::from_bytes(&before).map_err(|error| Problem::internal(&error))?;
    write(&app, RecordWrite { key, before: Some(before), after: None }).await?;
    Ok(json(StatusCode::OK, &view(&passkey)))
}

/// What strangers send is limited and, after wrong codes, delayed, as at an enrolment.
fn admitted(app: &App, from: IpAddr) -> Result<IpAddr, Problem> {
    app.rates.enrolment(from)?;
    let from = network_of(from);
    let wait = app.throttle().check(&from, app.engine.now());
    wait.map_err(super::devices::throttled)?;
    Ok(from)
}

fn hash_of(app: &App, from: IpAddr, code: &str) -> Result<Hash32, Problem> {
    let code: EnrolmentCode = code.parse().map_err(|_error| unknown(app, from))?;
    Ok(code.hash())
}

/// A code that is wrong, used, or too old: a stranger learns nothing of which.
fn unknown(app: &App, from: IpAddr) -> Problem {
    app.throttle().failed(from, app.engine.now());
    Problem::new(Code::LinkInvalid)
}

fn refused(error: WebauthnError) -> Problem {
    tracing::info!(%error, "a passkey's answer was refused");
    Problem::new(Code::PasskeyRefused)
}

async fn write(app: &App, write: RecordWrite) -> Result<(), Problem> {
    Ok(app.engine.write_records(vec![write]).await?)
}

fn key_of(credential_id: &[u8], person: PersonId) -> Result<RecordKey, Problem> {
    let key = Passkey::record_key(credential_id, *person.as_bytes());
    key.ok_or_else(|| Problem::internal(&"a hash is too long for a record's id"))
}

pub(super) fn passkeys_of(
    engine: &tpw_engines::Engine,
    person: PersonId,
) -> Result<Vec<Passkey>, Problem> {
    let kind = RecordKind::Passkey;
    let records = engine.records(kind, *person.as_bytes(), None, PASSKEYS_MAX)?;
    let read = |(_key, value): &(RecordKey, Vec<u8>)| Passkey::from_bytes(value);
    let passkeys: Result<_, _> = records.iter().map(read).collect();
    passkeys.map_err(|error| Problem::internal(&error))
}

const fn errand(wire: PasskeyErrand) -> Errand {
    match wire {
        PasskeyErrand::RegisterPasskey => Errand::Register(PasskeyUse::Passkey),
        PasskeyErrand::RegisterSecurityKey => Errand::Register(PasskeyUse::SecurityKey),
        PasskeyErrand::Use => Errand::Assert,
    }
}

const fn shown(errand: Errand) -> PasskeyErrand {
    match errand {
        Errand::Register(PasskeyUse::Passkey) => PasskeyErrand::RegisterPasskey,
        Errand::Register(PasskeyUse::SecurityKey) => PasskeyErrand::RegisterSecurityKey,
        Errand::Assert => PasskeyErrand::Use,
    }
}

fn view(passkey: &Passkey) -> WirePasskey {
    WirePasskey {
        id: Passkey::record_id(&passkey.credential_id).to_string(),
        name: passkey.name.clone(),
        used_as: passkey.used_as.code().to_owned(),
        backup_eligible: passkey.backup_eligible,
        attestation: passkey.attestation.code().to_owned(),
        attested: passkey.attested,
        created: Text(passkey.created),
        last_used: passkey.last_used.map(Text),
    }
}
