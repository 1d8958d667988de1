//! Challenges: a person at an enrolled device proves with a further factor who they are, for the session or for one payment.

use super::contacts::{self, Unproved};
use super::devices::issue;
use super::{Reply, factor_evidence, json, payments, prompts};
use crate::app::{App, AskedAt};
use crate::body;
use crate::ceremonies::{Ceremony, ChallengeId, LIFE, Purpose, State};
use crate::fault::ValueFault;
use crate::gate::Caller;
use crate::identity::{self, refused, stored};
use crate::problem::{Code, Problem};
use crate::view;
use crate::wire::{Base64Url, Challenge, ChallengeAnswer, Challenged, NewChallenge, Text};
use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;
use tpw_access::Action;
use tpw_access::assurance::{Proof, Strength};
use tpw_access::factor::opaque::{self, PasswordRecord};
use tpw_access::factor::recovery::{RecoveryCode, RecoverySheet};
use tpw_access::factor::totp::{self, TotpRecord, TotpSecret};
use tpw_access::factor::{DigitCode, FactorError, Method, Why};
use tpw_access::record::{RecordKind, RecordWrite};
use tpw_core::codec::Writer;
use tpw_core::{FactorMethod, Hash32, Instant, PaymentId, PersonId};
use tpw_crypto::{Entropy, sha256};
use tpw_engines::entropy::OsEntropy;
use tpw_flow::{Command, Status};

/// `POST /v1/challenges`
pub(super) async fn begin(
    Shared(app): Shared<Arc<App>>,
    caller: Caller,
    AskedAt(server): AskedAt,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let new: NewChallenge = body::json(&headers, body, app.small_body()).await?;
    let method = Method::from_code(&new.method).filter(|method| takes(*method).is_some());
    let method = method.ok_or_else(|| Problem::bad_value("/method", ValueFault::Code))?;
    let purpose = match new.payment {
        None => Purpose::Session,
        Some(Text(id)) => of_payment(&app, &caller, id).await?,
    };
    let mut id: ChallengeId = [0; 16];
    OsEntropy.fill(&mut id).map_err(|error| Problem::internal(&error))?;
    let person = caller.session.person();
    let (mut data, mut sent_to, mut number) = (None, None, None);
    let state = match method {
        Method::Password => {
            let ke1 = new.data.ok_or_else(|| Problem::new(Code::FactorForm))?.0;
            let begun = begin_password(&app, person, &ke1, (&server, &id, purpose)).await?;
            data = begun.0;
            begun.1
        }
        Method::Mail | Method::Sms => {
            let by = (method, new.contact.as_deref());
            let sent = contacts::begin(&app, &caller, by, (&id, purpose)).await?;
            sent_to = Some(sent.sent_to);
            State::Code(sent.key)
        }
        Method::Push => {
            number = Some(prompts::ask(&app, &caller, &id, purpose).await?.to_string());
            State::Nothing
        }
        _ => State::Nothing,
    };
    let (now, device) = (app.engine.now(), caller.session.device());
    let expires = now.plus(LIFE);
    let ceremony = Ceremony { person, device, method, purpose, state, expires };
    app.ceremonies().begin(id, ceremony, now).map_err(|_full| Problem::new(Code::Busy))?;
    let challenge = Challenge {
        id: URL_SAFE_NO_PAD.encode(id),
        method: new.method,
        expires: Text(expires),
        data: data.map(Base64Url),
        sent_to,
        number,
    };
    Ok(json(StatusCode::CREATED, &challenge))
}

/// The methods that are answered here, and what they are in a payment's record.
const fn takes(method: Method) -> Option<FactorMethod> {
    match method {
        Method::Password => Some(FactorMethod::Password),
        Method::Totp => Some(FactorMethod::Totp),
        Method::Recovery => Some(FactorMethod::Recovery),
        Method::Mail | Method::Sms => Some(FactorMethod::Code),
        Method::Push => Some(FactorMethod::Push),
        _ => None,
    }
}

/// The caller's own payment that waits for its payer.
pub(super) async fn of_payment(
    app: &Arc<App>,
    caller: &Caller,
    id: PaymentId,
) -> Result<Purpose, Problem> {
    let (payment, payer) = payments::with_payer(app, id).await?;
    caller.may_know(Action::StepUp, payer, Code::UnknownPayment)?;
    match payment.status() {
        Some(Status::StepUp) => {
            let (intake, intent) = (payment.intake(), payment.intake().intent());
            let (intent_hash, money, payee) = (intake.intent_hash(), intent.money, intent.payee);
            Ok(Purpose::Payment { id, intent_hash, money, payee })
        }
        other => Err(Problem::new(Code::WrongStatus).reason(other.map_or("", Status::code))),
    }
}

async fn begin_password(
    app: &Arc<App>,
    person: PersonId,
    ke1: &[u8],
    (server, id, purpose): (&str, &ChallengeId, Purpose),
) -> Result<(Option<Vec<u8>>, State), Problem> {
    if ke1.len() != opaque::lengths::KE1 {
        return Err(Problem::new(Code::FactorForm));
    }
    // Whoever has KE2 can try one password against it, and need not say what came of it (RFC 9807 §10.9).
    identity::charge(app, person, Method::Password).await?;
    let secret = identity::opaque_secret(app).await?;
    let value = identity::read(app, &identity::single(RecordKind::Password, person)).await?;
    let record = PasswordRecord::read_stored(value.as_deref());
    let record = record.map_err(|error| Problem::internal(&error))?;
    let purpose = purpose.text();
    let context = opaque::Context { server, challenge: id, purpose: &purpose };
    let begun = opaque::begin(&secret, &person, record.as_ref(), ke1, context, &mut OsEntropy);
    let (ke2, pending) = begun.map_err(|error| refused(Method::Password, &error))?;
    Ok((Some(ke2), State::Password(Box::new(pending))))
}

/// `POST /v1/challenges/{id}:answer`
pub(super) async fn answer(
    Shared(app): Shared<Arc<App>>,
    caller: Caller,
    Path(target): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let Some((id, "answer")) = target.split_once(':') else {
        return Err(Problem::new(Code::NotFound));
    };
    let given: ChallengeAnswer = body::json(&headers, body, app.small_body()).await?;
    let id = URL_SAFE_NO_PAD.decode(id).ok().and_then(|id| ChallengeId::try_from(id).ok());
    let id = id.ok_or_else(|| Problem::new(Code::NotFound))?;
    let now = app.engine.now();
    let ceremony = app.ceremonies().take(&id, caller.session.device(), now);
    let ceremony = ceremony.ok_or_else(|| Problem::new(Code::NotFound))?;
    let again = ceremony.again();
    let answered = answered(&app, &caller, (id, ceremony), given).await;
    if let (Err(_), Some(again)) = (&answered, again) {
        // Full of others' challenges: whoever waits asks for a new one.
        let _full = app.ceremonies().begin(id, again, now);
    }
    answered
}

async fn answered(
    app: &Arc<App>,
    caller: &Caller,
    (id, ceremony): (ChallengeId, Ceremony),
    given: ChallengeAnswer,
) -> Reply {
    let (person, method, purpose) = (ceremony.person, ceremony.method, ceremony.purpose);
    // The challenge may be older than the word of its person that they had not begun this.
    if let Purpose::Payment { .. } = purpose {
        caller.not_disowned()?;
    }
    // A password's was charged when its challenge went out; a number's when it was typed at the other device.
    if !matches!(method, Method::Password | Method::Push) {
        identity::charge(app, person, method).await?;
    }
    let used = judge(app, caller, (&id, ceremony), given).await;
    let Used { mut writes, strength, statement } =
        used.map_err(|error| error.into_problem(method))?;
    writes.extend(identity::forgive(app, person, method).await?);
    let evidence = Evidence { id, method, at: app.engine.now(), statement };
    match purpose {
        Purpose::Session => {
            demand_written(app, writes).await?;
            for_session(app, caller, Proof { method, strength, at: evidence.at }).await
        }
        Purpose::Payment { id: payment, intent_hash, .. } => {
            let kept = evidence.to_bytes(intent_hash);
            let evidence = Hash32::new(sha256(&kept));
            let key = factor_evidence::key(payment, &evidence);
            let key =
                key.ok_or_else(|| Problem::internal(&"a hash is too long for a record's id"))?;
            writes.push(RecordWrite { key, before: None, after: Some(kept) });
            demand_written(app, writes).await?;
            for_payment(app, caller, (payment, method), evidence).await
        }
    }
}

/// Of two answers with one code at the same moment, one comes through.
async fn demand_written(app: &App, writes: Vec<RecordWrite>) -> Result<(), Problem> {
    if identity::written(app, writes).await? {
        Ok(())
    } else {
        Err(Problem::new(Code::FactorRefused))
    }
}

/// An answer that convinced.
struct Used {
    /// What is to be written so that it is used up.
    writes: Vec<RecordWrite>,
    strength: Strength,
    /// What another device signed, to be kept with the evidence.
    statement: Option<Vec<u8>>,
}

impl Used {
    const fn by(writes: Vec<RecordWrite>) -> Self {
        Self { writes, strength: Strength::Single, statement: None }
    }
}

/// Judges an answer.
async fn judge(
    app: &Arc<App>,
    caller: &Caller,
    (id, ceremony): (&ChallengeId, Ceremony),
    given: ChallengeAnswer,
) -> Result<Used, Unproved> {
    let now = app.engine.now();
    let Ceremony { person, method, purpose, state, .. } = ceremony;
    let code = given.code.unwrap_or_default();
    match (method, state) {
        (Method::Password, State::Password(pending)) => {
            let ke3 = given.data.map(|data| data.0).unwrap_or_default();
            pending.finish(&ke3, now)?;
            Ok(Used::by(Vec::new()))
        }
        (Method::Totp, _) => {
            let key = identity::single(RecordKind::Totp, person);
            let before = identity::read(app, &key).await?;
            let code: DigitCode = code.parse()?;
            let record = stored(before.as_ref(), TotpRecord::from_bytes)?;
            let record = record.ok_or_else(|| totp::refuse(&code, now))?;
            let secret = totp_secret(app, person, &record)?;
            let (after, _) = record.prove(&secret, &code, now)?;
            Ok(Used::by(vec![RecordWrite { key, before, after: Some(after.to_bytes()) }]))
        }
        (Method::Recovery, _) => {
            let key = identity::single(RecordKind::Recovery, person);
            let before = identity::read(app, &key).await?;
            let code: RecoveryCode = code.parse()?;
            let sheet = stored(before.as_ref(), RecoverySheet::from_bytes)?;
            let sheet = sheet.ok_or(FactorError::Refused(Why::Wrong))?;
            let (after, _) = sheet.prove(&code, now)?;
            Ok(Used::by(vec![RecordWrite { key, before, after: Some(after.to_bytes()) }]))
        }
        (_, State::Code(key)) => {
            Ok(Used::by(vec![contacts::finish(app, &key, &code, (id, purpose)).await?]))
        }
        (Method::Push, _) => {
            let (write, agreed) = prompts::collect(app, caller, id).await?;
            let strength = agreed.strength();
            Ok(Used { writes: vec![write], strength, statement: Some(agreed.statement) })
        }
        _ => Err(FactorError::NotNow("this method is not answered here").into()),
    }
}

/// The secret of a person's generator, opened.
pub(super) fn totp_secret(
    app: &App,
    person: PersonId,
    record: &TotpRecord,
) -> Result<TotpSecret, Problem> {
    let opened = app.engine.open_secret(&totp::seal_context(&person, b""), record.sealed());
    let opened = opened.map_err(|error| Problem::internal(&error))?;
    TotpSecret::from_bytes(&opened).ok_or_else(|| Problem::internal(&"a secret has another form"))
}

/// What is kept of an answer.
struct Evidence {
    id: ChallengeId,
    method: Method,
    at: Instant,
    statement: Option<Vec<u8>>,
}

impl Evidence {
    /// Format, challenge, method, time, the hash of what it was given for, and what another device signed, where one did.
    fn to_bytes(&self, intent_hash: Hash32) -> Vec<u8> {
        let mut w = Writer::with_room(96);
        let (items, format) = if self.statement.is_some() { (6, 2) } else { (5, 1) };
        w.array(items).uint(format).bytes(&self.id).uint(self.method.number().into());
        w.uint(self.at.unix_ms()).bytes(intent_hash.as_bytes());
        if let Some(statement) = &self.statement {
            w.bytes(statement);
        }
        w.finish()
    }
}

async fn for_session(app: &Arc<App>, caller: &Caller, proof: Proof) -> Reply {
    let level = identity::proved(app, caller.session.device(), proof).await?;
    let device = app.engine.device(&caller.session.device());
    let device = device.ok_or_else(|| Problem::new(Code::UnknownDevice))?;
    let acr = level.aal.code().to_owned();
    let token = Some(issue(app, &device, level)?);
    Ok(json(StatusCode::OK, &Challenged { acr, token, payment: None }))
}

async fn for_payment(
    app: &Arc<App>,
    caller: &Caller,
    (payment, method): (PaymentId, Method),
    evidence: Hash32,
) -> Reply {
    let method = takes(method).ok_or_else(|| Problem::internal(&"a method without a number"))?;
    let paid = app.engine.decide(Command::StepUpBy { payment, evidence, method }).await?;
    let between = || Problem::internal(&"a payment between two states was answered");
    let payment = view::paid(caller.language, paid).ok_or_else(between)?;
    let acr = caller.session.level().aal.code().to_owned();
    Ok(json(StatusCode::OK, &Challenged { acr, token: None, payment: Some(payment) }))
}
