//! Devices and their tokens.

use super::{Reply, json, off_thread, people};
use crate::app::{App, Peer};
use crate::body;
use crate::gate::{Caller, EnrolmentProof, KnownDevice};
use crate::identity;
use crate::limits::network_of;
use crate::problem::{Code, Problem};
use crate::view;
use crate::wire::{Enrol, Enrolled, PostQuantumKey, Text, Token};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::net::IpAddr;
use std::sync::Arc;
use tpw_access::{
    Action, EnrolmentCode, Grant, Level, Throttled, enrol as enrolment, token as tokens,
};
use tpw_core::{DeviceId, Hash32, TreeHead};
use tpw_crypto::{Algorithm, PublicKey};
use tpw_engines::entropy::OsEntropy;
use tpw_flow::{Answer, Command, Device};
use tpw_proof::device_keys::check_possession;
use tpw_proof::tree::empty_root;

/// `POST /v1/devices`: the proof in the header is made for the code in the body (`tpw_access::enrol`).
pub(super) async fn enrol(
    State(app): State<Arc<App>>,
    Peer(from): Peer,
    proof: EnrolmentProof,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    app.rates.enrolment(from)?;
    let from = network_of(from);
    app.throttle().check(&from, app.engine.now()).map_err(throttled)?;
    let request: Enrol = body::json(&headers, body, app.small_body()).await?;
    let code: EnrolmentCode = request.code.parse().map_err(|_| failed(&app, from))?;
    let now = app.engine.now();
    let verified = enrolment::verify(&proof.proof, &proof.url, &code, now)?;
    let key = verified.admit(&mut app.enrolment_replays(), now)?;
    let device = match request.device {
        Some(Text(device)) => device,
        None => DeviceId::new(now.unix_ms(), people::random()?),
    };
    let key = key.key().clone();
    let second = request.post_quantum.as_ref();
    let post_quantum = second.map(|second| post_quantum(second, &key)).transpose()?;
    let command = Command::Enrol { code: code.hash(), device, key, post_quantum };
    match app.engine.command(command).await {
        Ok(Answer::Device(device)) => {
            app.throttle().succeeded(&from);
            Ok(json(StatusCode::CREATED, &enrolled(&app, &device).await?))
        }
        Ok(_) => Err(Problem::internal(&"an enrolment answered with something else")),
        Err(error) => {
            let problem = Problem::from(error);
            Err(if problem.code() == Code::CodeInvalid { failed(&app, from) } else { problem })
        }
    }
}

/// The second key of a hybrid device, whose possession is proved for the first one.
fn post_quantum(sent: &PostQuantumKey, classical: &PublicKey) -> Result<PublicKey, Problem> {
    let refused = || Problem::new(Code::BadProof);
    let bytes = |text: &String| URL_SAFE_NO_PAD.decode(text).map_err(|_odd| refused());
    let key = PublicKey::from_bytes(Algorithm::MlDsa44, &bytes(&sent.key)?);
    let key = key.map_err(|_odd| refused())?;
    check_possession(classical, &key, &bytes(&sent.proof)?).map_err(|_false| refused())?;
    Ok(key)
}

/// Counts a wrong code against the sender's network.
fn failed(app: &App, from: IpAddr) -> Problem {
    app.throttle().failed(from, app.engine.now());
    Problem::new(Code::CodeInvalid)
}

pub(super) fn throttled(wait: Throttled) -> Problem {
    Problem::new(Code::Throttled).retry_after_s(wait.retry_after.as_ms().div_ceil(1000).max(1))
}

async fn enrolled(app: &Arc<App>, device: &Device) -> Result<Enrolled, Problem> {
    let now = app.engine.now();
    let person = device.person;
    let accounts = off_thread(app, move |engine| Ok(engine.accounts_of(person)?)).await?;
    let trust = serde_json::from_str(&app.engine.trust_json());
    let newest = app.engine.log().newest();
    let head = newest.map_or(TreeHead { size: 0, root: empty_root() }, |newest| newest.head);
    Ok(Enrolled {
        device: Text(device.id),
        person: Text(device.person),
        accounts: accounts.iter().map(|account| view::account(account, now)).collect(),
        audience: app.engine.audience().as_str().to_owned(),
        trust: trust.map_err(|error| Problem::internal(&error))?,
        head: view::head(head),
    })
}

/// `DELETE /v1/devices/{id}`
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Reply {
    let id: DeviceId = body::id(&id)?;
    let owner = app.engine.device(&id).map(|device| device.person);
    let owner = owner.ok_or_else(|| Problem::new(Code::NotFound))?;
    caller.may_know(Action::RevokeDevice, Some(owner), Code::NotFound)?;
    match app.engine.command(Command::RevokeDevice { device: id }).await? {
        Answer::Device(device) => Ok(json(StatusCode::OK, &view::device(&device))),
        _ => Err(Problem::internal(&"a revocation answered with something else")),
    }
}

/// `POST /v1/tokens`
pub(super) async fn token(State(app): State<Arc<App>>, KnownDevice(device): KnownDevice) -> Reply {
    let level = identity::level(&app, device.id).await?;
    Ok(json(StatusCode::OK, &issue(&app, &device, level)?))
}

/// A token for a device whose person has proved so much.
pub(super) fn issue(app: &App, device: &Device, level: Level) -> Result<Token, Problem> {
    let grant = Grant {
        person: device.person,
        device: device.id,
        role: app.engine.role_of(device.person),
        jkt: Hash32::new(device.key.jwk_thumbprint()),
        level,
    };
    let (signer, slot) = app.engine.token_signer();
    let now = app.engine.now();
    let issued = tokens::issue(signer, slot, app.issuer(), &grant, now, &mut OsEntropy)?;
    Ok(Token {
        access_token: issued.token,
        token_type: "DPoP".to_owned(),
        expires_in: tokens::LIFE.as_ms() / 1000,
    })
}
