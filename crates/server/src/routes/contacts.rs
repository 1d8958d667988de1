//! Addresses to which codes are sent: added, confirmed by a first code, taken away; and the sending.
//!
//! What counts the codes outlives the address: who takes one away and adds it again waits as long as before.

use super::factors::may_change;
use super::messages::{self, Kept};
use super::{Reply, json, off_thread};
use crate::app::App;
use crate::body;
use crate::ceremonies::{ChallengeId, Purpose};
use crate::gate::Caller;
use crate::identity::{self, not_now, refused, stored};
use crate::letters::{Seal, Sealed, sealed};
use crate::problem::{Code, Problem};
use crate::wire::{Contact as WireContact, ContactList, NewContact, Text, TypedCode};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use std::sync::Arc;
use tpw_access::factor::allowance::{Allowance, Pace};
use tpw_access::factor::code::{
    ADDRESS_PACE, Address, Answered, CONTACTS_MAX, Channel, Contact, Dispatch, PERSON_PACE,
    Purpose as CodePurpose,
};
use tpw_access::factor::{DigitCode, FactorError, Method, Why};
use tpw_access::record::{RecordKey, RecordKind, RecordWrite};
use tpw_core::{Hash32, Letter, PersonId};
use tpw_engines::Engine;
use tpw_engines::entropy::OsEntropy;
use tpw_engines::outbox::OutboxError;

/// How often a change is tried again that another request came before.
const TRIES: u8 = 8;

/// `GET /v1/factors/contacts`
pub(super) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Reply {
    let found = contacts_of(&app, caller.session.person()).await?;
    let contacts = found.iter().map(|(_, contact)| view(&app, contact)).collect();
    Ok(json(StatusCode::OK, &ContactList { contacts }))
}

/// `POST /v1/factors/contacts`
pub(super) async fn add(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    may_change(&app, &caller).await?;
    let new: NewContact = body::json(&headers, body, app.small_body()).await?;
    let address: Address = new.address.parse().map_err(|_odd| Problem::new(Code::FactorForm))?;
    let person = caller.session.person();
    let known = contacts_of(&app, person).await?;
    let is_known = known.iter().any(|(_, contact)| *contact.address() == address);
    if known.len() >= CONTACTS_MAX && !is_known {
        return Err(not_now("too_many_addresses"));
    }
    let key = key_of(person, &address.record_id())?;
    let sent = send(&app, &caller, (key, Some(address)), CodePurpose::Address).await?;
    Ok(json(StatusCode::CREATED, &view(&app, &sent)))
}

/// `POST /v1/factors/contacts/{id}:confirm`
pub(super) async fn confirm(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(target): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let Some((id, "confirm")) = target.split_once(':') else {
        return Err(Problem::new(Code::NotFound));
    };
    may_change(&app, &caller).await?;
    let typed: TypedCode = body::json(&headers, body, app.small_body()).await?;
    let (person, id) = (caller.session.person(), body::id::<Hash32>(id)?);
    let key = key_of(person, id.as_bytes())?;
    let known = read(&app, &key).await?.1.ok_or_else(|| Problem::new(Code::NotFound))?;
    let method = known.address().channel().method();
    let code: DigitCode = typed.code.parse().map_err(|error| refused(method, &error))?;
    identity::charge(&app, person, method).await?;
    let judged = judge(&app, &key, &code, CodePurpose::Address).await;
    let (write, contact) = judged.map_err(|error| error.into_problem(method))?;
    let mut writes = vec![write];
    writes.extend(identity::forgive(&app, person, method).await?);
    if !identity::written(&app, writes).await? {
        return Err(Problem::new(Code::FactorRefused));
    }
    Ok(json(StatusCode::OK, &view(&app, &contact)))
}

/// `DELETE /v1/factors/contacts/{id}`
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Reply {
    may_change(&app, &caller).await?;
    let id: Hash32 = body::id(&id)?;
    let key = key_of(caller.session.person(), id.as_bytes())?;
    let (before, known) = read(&app, &key).await?;
    let known = known.ok_or_else(|| Problem::new(Code::NotFound))?;
    if !identity::written(&app, vec![RecordWrite { key, before, after: None }]).await? {
        return Err(Problem::new(Code::RecordChanged));
    }
    Ok(json(StatusCode::OK, &view(&app, &known)))
}

/// The addresses of a person, the one that was confirmed last at the end.
pub(super) async fn contacts_of(
    app: &Arc<App>,
    person: PersonId,
) -> Result<Vec<(RecordKey, Contact)>, Problem> {
    let read = move |engine: &Engine| {
        let kind = RecordKind::Contact;
        Ok(engine.records(kind, *person.as_bytes(), None, CONTACTS_MAX.saturating_mul(2))?)
    };
    let records = off_thread(app, read).await?;
    let one = |(key, value): (RecordKey, Vec<u8>)| Ok((key, Contact::from_bytes(&value)?));
    let contacts: Result<Vec<_>, tpw_core::CodecError> = records.into_iter().map(one).collect();
    let mut contacts = contacts.map_err(|error| Problem::internal(&error))?;
    contacts.sort_by_key(|(_, contact)| contact.verified());
    Ok(contacts)
}

/// Whether messages go out by this channel here.
pub(super) fn is_available(app: &App, channel: Channel) -> bool {
    app.engine.outbox().is_some_and(|outbox| outbox.takes(channel))
}

/// A code on its way.
pub(super) struct OnItsWay {
    pub(super) key: RecordKey,
    pub(super) sent_to: String,
}

/// Sends a code for a challenge to the address with this id, or to the one that was confirmed last.
pub(super) async fn begin(
    app: &Arc<App>,
    caller: &Caller,
    (method, contact): (Method, Option<&str>),
    (challenge, purpose): (&ChallengeId, Purpose),
) -> Result<OnItsWay, Problem> {
    let contacts = contacts_of(app, caller.session.person()).await?;
    let wanted = |contact: &Contact| {
        contact.address().channel().method() == method && contact.verified().is_some()
    };
    let found = match contact {
        Some(id) => {
            let id: Hash32 = body::id(id)?;
            contacts.into_iter().find(|(key, _)| key.id() == id.as_bytes())
        }
        None => contacts.into_iter().rfind(|(_, contact)| wanted(contact)),
    };
    let (key, known) = match found {
        Some((key, contact)) if wanted(&contact) => (key, contact),
        _ => return Err(not_now("no_address")),
    };
    let payee = payee_of(purpose);
    send(app, caller, (key.clone(), None), for_code(challenge, purpose, &payee)).await?;
    Ok(OnItsWay { key, sent_to: known.address().hint() })
}

/// Judges a code that came back for a challenge.
pub(super) async fn finish(
    app: &Arc<App>,
    key: &RecordKey,
    code: &str,
    (challenge, purpose): (&ChallengeId, Purpose),
) -> Result<RecordWrite, Unproved> {
    let code: DigitCode = code.parse()?;
    let payee = payee_of(purpose);
    Ok(judge(app, key, &code, for_code(challenge, purpose, &payee)).await?.0)
}

/// The payee as the payer's device shows it.
fn payee_of(purpose: Purpose) -> String {
    match purpose {
        Purpose::Session => String::new(),
        Purpose::Payment { payee, .. } => payee.to_string(),
    }
}

fn for_code<'a>(challenge: &'a ChallengeId, purpose: Purpose, payee: &'a str) -> CodePurpose<'a> {
    match purpose {
        Purpose::Session => CodePurpose::Session { challenge },
        Purpose::Payment { id, intent_hash, money, .. } => {
            CodePurpose::Payment { payment: id, intent: intent_hash, money, payee }
        }
    }
}

/// Why a code proved nothing.
pub(super) enum Unproved {
    Factor(FactorError),
    Problem(Problem),
}

impl From<FactorError> for Unproved {
    fn from(error: FactorError) -> Self {
        Self::Factor(error)
    }
}

impl From<Problem> for Unproved {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Unproved {
    pub(super) fn into_problem(self, method: Method) -> Problem {
        match self {
            Self::Factor(error) => refused(method, &error),
            Self::Problem(problem) => problem,
        }
    }
}

/// Judges a code. A wrong one is counted before anything is said; what a right one changes is given, to be written with what it allows.
async fn judge(
    app: &Arc<App>,
    key: &RecordKey,
    code: &DigitCode,
    purpose: CodePurpose<'_>,
) -> Result<(RecordWrite, Contact), Unproved> {
    for _ in 0..TRIES {
        let (before, known) = read(app, key).await?;
        let known = known.ok_or(FactorError::Refused(Why::Wrong))?;
        let Answered { after, outcome } = known.answer(code, purpose, app.engine.now());
        let write = RecordWrite { key: key.clone(), before, after: Some(after.to_bytes()) };
        match outcome {
            Ok(_evidence) => return Ok((write, after)),
            Err(error) => {
                if identity::written(app, vec![write]).await? {
                    return Err(error.into());
                }
            }
        }
    }
    Err(Problem::new(Code::RecordChanged).into())
}

/// Draws a code, writes down that it is on its way, and sends it.
async fn send(
    app: &Arc<App>,
    caller: &Caller,
    (key, new): (RecordKey, Option<Address>),
    purpose: CodePurpose<'_>,
) -> Result<Contact, Problem> {
    for _ in 0..TRIES {
        let (before, known) = read(app, &key).await?;
        let added = || new.clone().map(|address| Contact::new(address, app.engine.now()));
        let known = known.or_else(added).ok_or_else(|| Problem::new(Code::NotFound))?;
        let channel = known.address().channel();
        if !is_available(app, channel) {
            return Err(not_now("channel_off"));
        }
        let drawn = known.send(purpose, app.engine.now(), &mut OsEntropy);
        let (after, dispatch) = drawn.map_err(|error| refused(channel.method(), &error))?;
        let change = RecordWrite { key: key.clone(), before, after: Some(after.to_bytes()) };
        let mut writes = vec![change];
        writes.extend(charged(app, caller.session.person(), known.address()).await?);
        if identity::written(app, writes).await? {
            dispatched(app, caller, channel, dispatch).await?;
            return Ok(after);
        }
    }
    Err(Problem::new(Code::RecordChanged))
}

/// Counts a message: for the person, and for the address, whosever.
async fn charged(
    app: &Arc<App>,
    person: PersonId,
    address: &Address,
) -> Result<[RecordWrite; 2], Problem> {
    let of_person = identity::single(RecordKind::Message, person);
    let of_address = RecordKey::new(RecordKind::Message, [0; 16], &address.record_id());
    let of_address = of_address.ok_or_else(|| Problem::internal(&"a hash is too long an id"))?;
    let method = address.channel().method();
    let one = async |key: RecordKey, pace: Pace| {
        let before = identity::read(app, &key).await?;
        let known = stored(before.as_ref(), Allowance::from_bytes)?;
        let charged = Allowance::one_more(known, pace, app.engine.now());
        let after = charged.map_err(|error| refused(method, &error))?.to_bytes();
        Ok::<_, Problem>(RecordWrite { key, before, after: Some(after) })
    };
    Ok([one(of_person, PERSON_PACE).await?, one(of_address, ADDRESS_PACE).await?])
}

/// What goes wrong on the way is the operator's to know. Who waits is told that nothing comes, and may ask again after the pause.
async fn dispatched(
    app: &Arc<App>,
    caller: &Caller,
    channel: Channel,
    dispatch: Dispatch,
) -> Result<(), Problem> {
    let outbox = app.engine.outbox().ok_or_else(|| not_now("channel_off"))?;
    let hint = dispatch.address.hint();
    let reference = messages::reference()?;
    let sign = |letter: &Letter| app.engine.sign_letter(letter);
    let (operator, at) = (app.engine.audience(), app.engine.now());
    let seal = Seal { operator, reference, at, sign: &sign };
    let failed = |error: OutboxError| {
        tracing::warn!(%error, channel = channel.code(), "a code was not sent");
        not_now("not_sent")
    };
    let Sealed { message, statement } = sealed(caller.language, dispatch, &seal).map_err(failed)?;
    // Kept before it goes out: what a person gets is in their list.
    let kept = Kept { reference, at, channel, hint, statement };
    messages::keep(app, caller.session.person(), &kept).await?;
    outbox.send(&message).await.map_err(failed)
}

async fn read(
    app: &Arc<App>,
    key: &RecordKey,
) -> Result<(Option<Vec<u8>>, Option<Contact>), Problem> {
    let before = identity::read(app, key).await?;
    let known = stored(before.as_ref(), Contact::from_bytes)?;
    Ok((before, known))
}

fn key_of(person: PersonId, id: &[u8; 32]) -> Result<RecordKey, Problem> {
    identity::key(RecordKind::Contact, person, id)
}

fn view(app: &App, contact: &Contact) -> WireContact {
    let (address, channel) = (contact.address(), contact.address().channel());
    WireContact {
        id: Hash32::new(address.record_id()).to_string(),
        channel: channel.code().to_owned(),
        hint: address.hint(),
        added: Text(contact.added()),
        verified: contact.verified().map(Text),
        restricted: channel.is_restricted(),
        available: is_available(app, channel),
    }
}
