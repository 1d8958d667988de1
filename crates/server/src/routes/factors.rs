//! The factors of the person who asks: made, changed, taken away.
//!
//! Who has a factor that raises a session's level shows it before any factor is changed: whoever finds the device open must not
//! be able to make it theirs (SP 800-63B-4 §4.1.2).

use super::challenges::totp_secret;
use super::contacts::{contacts_of, is_available};
use super::passkeys::passkeys_of;
use super::{Reply, json, off_thread, prompts};
use crate::app::App;
use crate::body;
use crate::gate::Caller;
use crate::identity::{self, refused, single, stored};
use crate::problem::{Code, Problem};
use crate::wire::{
    Base64Url, Factor, FactorList, PasswordMessage, RecoveryCodes, Text, TotpEnrolment, TypedCode,
};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use std::sync::Arc;
use tpw_access::Aal;
use tpw_access::factor::code::{Channel, Contact};
use tpw_access::factor::opaque::{self, PasswordRecord};
use tpw_access::factor::recovery::RecoverySheet;
use tpw_access::factor::totp::{self, Params, TotpRecord, TotpSecret};
use tpw_access::factor::webauthn::{Passkey, PasskeyUse};
use tpw_access::factor::{DigitCode, Method};
use tpw_access::record::{RecordKey, RecordKind, RecordWrite};
use tpw_core::{PersonId, Span};
use tpw_engines::Engine;
use tpw_engines::entropy::OsEntropy;

/// How long ago the caller may have proved who they are when they change factors.
const FRESH: Span = Span::from_secs(15 * 60);

/// The records of the factors that are managed here.
struct Kept {
    password: Option<PasswordRecord>,
    totp: Option<TotpRecord>,
    recovery: Option<RecoverySheet>,
}

async fn kept(app: &Arc<App>, person: PersonId) -> Result<Kept, Problem> {
    let read = async |kind| identity::read(app, &single(kind, person)).await;
    let password = read(RecordKind::Password).await?;
    let totp = read(RecordKind::Totp).await?;
    let recovery = read(RecordKind::Recovery).await?;
    Ok(Kept {
        password: stored(password.as_ref(), PasswordRecord::from_bytes)?,
        totp: stored(totp.as_ref(), TotpRecord::from_bytes)?,
        recovery: stored(recovery.as_ref(), RecoverySheet::from_bytes)?,
    })
}

/// `GET /v1/factors`
pub(super) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Reply {
    listed(&app, &caller).await
}

async fn listed(app: &Arc<App>, caller: &Caller) -> Reply {
    let Kept { password, totp, recovery } = kept(app, caller.session.person()).await?;
    let factor = |method: Method, since, confirmed, left| Factor {
        method: method.code().to_owned(),
        since: Text(since),
        confirmed,
        left,
    };
    let mut factors = Vec::new();
    factors.extend(password.map(|it| factor(Method::Password, it.set(), true, None)));
    factors.extend(totp.map(|it| factor(Method::Totp, it.enrolled(), it.is_confirmed(), None)));
    let recovery = recovery.map(|it| factor(Method::Recovery, it.issued(), true, Some(it.left())));
    factors.extend(recovery);
    let contacts = contacts_of(app, caller.session.person()).await?;
    for channel in Channel::ALL {
        let of_channel = |(_, contact): &&(_, Contact)| contact.address().channel() == *channel;
        // The one that was confirmed last, if any was.
        let contact = contacts.iter().rfind(of_channel).map(|(_, contact)| contact);
        let contact = contact.filter(|_known| is_available(app, *channel));
        factors.extend(
            contact.map(|it| factor(channel.method(), it.added(), it.verified().is_some(), None)),
        );
    }
    let others = prompts::others(app, caller.session.person(), caller.session.device());
    let newest = others.last().map(|device| device.enrolled);
    factors.extend(newest.map(|since| factor(Method::Push, since, true, Some(others.len()))));
    let level = caller.session.level();
    let acr = level.aal.code().to_owned();
    Ok(json(StatusCode::OK, &FactorList { factors, acr, auth_time: level.auth_time.map(Text) }))
}

/// Refuses a change to whoever could prove more and has not done so lately, and to a disowned device.
pub(super) async fn may_change(app: &Arc<App>, caller: &Caller) -> Result<(), Problem> {
    caller.not_disowned()?;
    let person = caller.session.person();
    let passkeys = move |engine: &Engine| passkeys_of(engine, person);
    let has_password = identity::read(app, &single(RecordKind::Password, person)).await?.is_some();
    // A key that does not verify its user raises no level: who has no more than that could never show more.
    let verifies = |key: &Passkey| key.used_as == PasskeyUse::Passkey;
    if has_password || off_thread(app, passkeys).await?.iter().any(verifies) {
        caller.needs(Aal::Two, Some(FRESH))?;
    }
    Ok(())
}

async fn put(
    app: &Arc<App>,
    key: RecordKey,
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
) -> Result<(), Problem> {
    let done = identity::written(app, vec![RecordWrite { key, before, after }]).await?;
    if done { Ok(()) } else { Err(Problem::new(Code::RecordChanged)) }
}

/// `POST /v1/factors/password:start`
pub(super) async fn start_password(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    may_change(&app, &caller).await?;
    let message: PasswordMessage = body::json(&headers, body, app.small_body()).await?;
    let secret = identity::opaque_secret(&app).await?;
    let response = opaque::respond(&secret, &caller.session.person(), &message.data.0);
    let response = response.map_err(|error| refused(Method::Password, &error))?;
    Ok(json(StatusCode::OK, &PasswordMessage { data: Base64Url(response) }))
}

/// `POST /v1/factors/password:finish`
pub(super) async fn finish_password(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    may_change(&app, &caller).await?;
    let message: PasswordMessage = body::json(&headers, body, app.small_body()).await?;
    let record = PasswordRecord::new(&message.data.0, app.engine.now());
    let record = record.map_err(|error| refused(Method::Password, &error))?;
    let key = single(RecordKind::Password, caller.session.person());
    let before = identity::read(&app, &key).await?;
    put(&app, key, before, Some(record.to_bytes())).await?;
    listed(&app, &caller).await
}

/// `POST /v1/factors/totp:start`
pub(super) async fn start_totp(State(app): State<Arc<App>>, caller: Caller) -> Reply {
    may_change(&app, &caller).await?;
    let person = caller.session.person();
    let secret = TotpSecret::new(&mut OsEntropy).map_err(|error| Problem::internal(&error))?;
    let sealed = app.engine.seal_secret(&totp::seal_context(&person, b""), secret.as_bytes());
    let sealed = sealed.map_err(|error| Problem::internal(&error))?;
    let record = TotpRecord::new(sealed, Params::PHONE, app.engine.now());
    let record = record.map_err(|error| Problem::internal(&error))?;
    let key = single(RecordKind::Totp, person);
    let before = identity::read(&app, &key).await?;
    put(&app, key, before, Some(record.to_bytes())).await?;
    let name = app.engine.person(&person).map(|person| name_in_link(person.name.as_str()));
    let issuer = name_in_link(app.engine.audience().as_str());
    let uri = secret.link(record.params(), &issuer, &name.unwrap_or_default());
    let uri = uri.map_err(|error| Problem::internal(&error))?;
    Ok(json(StatusCode::CREATED, &TotpEnrolment { uri: uri.to_string() }))
}

/// A colon ends a name there.
fn name_in_link(name: &str) -> String {
    name.replace(':', " ")
}

/// `POST /v1/factors/totp:confirm`
pub(super) async fn confirm_totp(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    caller.not_disowned()?;
    let typed: TypedCode = body::json(&headers, body, app.small_body()).await?;
    let person = caller.session.person();
    let refuse = |error| refused(Method::Totp, &error);
    let code: DigitCode = typed.code.parse().map_err(refuse)?;
    identity::charge(&app, person, Method::Totp).await?;
    let key = single(RecordKind::Totp, person);
    let before = identity::read(&app, &key).await?;
    let record = stored(before.as_ref(), TotpRecord::from_bytes)?;
    let record = record.ok_or_else(|| Problem::new(Code::NotFound))?;
    let secret = totp_secret(&app, person, &record)?;
    let after = record.confirm(&secret, &code, app.engine.now()).map_err(refuse)?;
    let mut writes = vec![RecordWrite { key, before, after: Some(after.to_bytes()) }];
    writes.extend(identity::forgive(&app, person, Method::Totp).await?);
    if !identity::written(&app, writes).await? {
        return Err(Problem::new(Code::RecordChanged));
    }
    listed(&app, &caller).await
}

/// `POST /v1/factors/recovery:issue`
pub(super) async fn issue_recovery(State(app): State<Arc<App>>, caller: Caller) -> Reply {
    may_change(&app, &caller).await?;
    let issued = RecoverySheet::issue(app.engine.now(), &mut OsEntropy);
    let (sheet, codes) = issued.map_err(|error| Problem::internal(&error))?;
    let key = single(RecordKind::Recovery, caller.session.person());
    let before = identity::read(&app, &key).await?;
    put(&app, key, before, Some(sheet.to_bytes())).await?;
    let codes = codes.iter().map(|code| code.reveal().to_string()).collect();
    Ok(json(StatusCode::CREATED, &RecoveryCodes { codes }))
}

/// `DELETE /v1/factors/{method}`
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(method): Path<String>,
) -> Reply {
    let kind = match Method::from_code(&method) {
        Some(Method::Password) => RecordKind::Password,
        Some(Method::Totp) => RecordKind::Totp,
        Some(Method::Recovery) => RecordKind::Recovery,
        _ => return Err(Problem::new(Code::NotFound)),
    };
    may_change(&app, &caller).await?;
    let key = single(kind, caller.session.person());
    let before = identity::read(&app, &key).await?;
    if before.is_none() {
        return Err(Problem::new(Code::NotFound));
    }
    put(&app, key, before, None).await?;
    listed(&app, &caller).await
}
