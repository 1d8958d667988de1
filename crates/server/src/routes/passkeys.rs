//! Passkeys and security keys. A session asks for a link; a browser does the rest with the link's code.

use super::challenges::of_payment;
use super::factors::may_change;
use super::{Reply, json, off_thread};
use crate::app::App;
use crate::body;
use crate::ceremonies::Purpose;
use crate::fault::ValueFault;
use crate::gate::Caller;
use crate::identity;
use crate::links::{Errand, Sender};
use crate::problem::{Code, Problem};
use crate::wire::{
    NewPasskeyLink, Passkey as WirePasskey, PasskeyErrand, PasskeyLink, PasskeyList, Text,
};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use std::sync::Arc;
use tpw_access::factor::webauthn::{Passkey, PasskeyUse};
use tpw_access::{EnrolmentCode, RecordKey, RecordKind, RecordWrite};
use tpw_core::{Hash32, PersonId};
use tpw_engines::entropy::OsEntropy;

/// Keys of one person, at most.
pub(super) const PASSKEYS_MAX: usize = 16;

/// `POST /v1/factors/passkeys:link`
pub(super) async fn link(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let request: NewPasskeyLink = body::json(&headers, body, app.small_body()).await?;
    let errand = errand(&app, &caller, &request).await?;
    let (page, _rp) = app.passkey_page().ok_or_else(|| Problem::new(Code::NotFound))?;
    let code = EnrolmentCode::new(&mut OsEntropy).map_err(|error| Problem::internal(&error))?;
    let (person, device) = (caller.session.person(), caller.session.device());
    let sender = Sender { person, device, asked: app.engine.now() };
    let expires = app.links().issue(code.hash(), sender, errand);
    let expires = expires.map_err(|_full| Problem::new(Code::Busy).retry_after_s(60))?;
    let url = format!("{page}/passkeys#{}", *code.reveal());
    Ok(json(StatusCode::CREATED, &PasskeyLink { url, expires: Text(expires) }))
}

/// What the link is for, if the caller may ask for that.
async fn errand(
    app: &Arc<App>,
    caller: &Caller,
    asked: &NewPasskeyLink,
) -> Result<Errand, Problem> {
    let used_as = match (asked.errand, &asked.payment) {
        (PasskeyErrand::Use, None) => return Ok(Errand::Assert(Purpose::Session)),
        (PasskeyErrand::Use, Some(Text(id))) => {
            return Ok(Errand::Assert(of_payment(app, caller, *id).await?));
        }
        (_, Some(_)) => return Err(Problem::bad_value("/for", ValueFault::Code)),
        (PasskeyErrand::RegisterPasskey, None) => PasskeyUse::Passkey,
        (PasskeyErrand::RegisterSecurityKey, None) => PasskeyUse::SecurityKey,
    };
    may_change(app, caller).await?;
    let person = caller.session.person();
    let present = off_thread(app, move |engine| passkeys_of(engine, person)).await?;
    if present.len() >= PASSKEYS_MAX {
        let too_many = ValueFault::TooMany(PASSKEYS_MAX);
        return Err(Problem::bad_value("/for", too_many));
    }
    Ok(Errand::Register(used_as))
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
    let before = identity::read(&app, &key).await?;
    let before = before.ok_or_else(|| Problem::new(Code::NotFound))?;
    let passkey = Passkey::from_bytes(&before).map_err(|error| Problem::internal(&error))?;
    let write = RecordWrite { key, before: Some(before), after: None };
    app.engine.write_records(vec![write]).await?;
    Ok(json(StatusCode::OK, &view(&passkey)))
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

pub(super) fn view(passkey: &Passkey) -> WirePasskey {
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
