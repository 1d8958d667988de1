//! Challenges: a person at an enrolled device proves with a further factor who they are, for the session or for one payment.

use super::devices::issue;
use super::{Reply, json, payments};
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
use tpw_access::record::{RecordKey, RecordKind, RecordWrite};
use tpw_core::codec::Writer;
use tpw_core::{FactorMethod, Hash32, PaymentId, PersonId};
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
    let (data, state) = match method {
        Method::Password => {
            let ke1 = new.data.ok_or_else(|| Problem::new(Code::FactorForm))?.0;
            begin_password(&app, person, &ke1, (&server, &id, purpose)).await?
        }
        _ => (None, State::Nothing),
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
    };
    Ok(json(StatusCode::CREATED, &challenge))
}

/// The methods that are answered here, and what they are in a payment's record.
const fn takes(method: Method) -> Option<FactorMethod> {
    match method {
        Method::Password => Some(FactorMethod::Password),
        Method::Totp => Some(FactorMethod::Totp),
        Method::Recovery => Some(FactorMethod::Recovery),
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
            Ok(Purpose::Payment { id, intent_hash: payment.intake().intent_hash() })
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
    let record = stored(value.as_ref(), PasswordRecord::from_bytes)?;
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
    let Ceremony { person, method, purpose, state, .. } = ceremony;
    if method != Method::Password {
        identity::charge(&app, person, method).await?;
    }
    let used = judge(&app, person, (method, state), given).await;
    let mut writes = used.map_err(|error| error.into_problem(method))?;
    writes.extend(identity::forgive(&app, person, method).await?);
    let evidence = Evidence { id, method, at: now };
    match purpose {
        Purpose::Session => {
            demand_written(&app, writes).await?;
            for_session(&app, &caller, evidence).await
        }
        Purpose::Payment { id: payment, intent_hash } => {
            let kept = evidence.to_bytes(intent_hash);
            let key = RecordKey::single(RecordKind::Assurance, *payment.as_bytes());
            let before = identity::read(&app, &key).await?;
            writes.push(RecordWrite { key, before, after: Some(kept.clone()) });
            demand_written(&app, writes).await?;
            for_payment(&app, &caller, (payment, method), Hash32::new(sha256(&kept))).await
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

/// Why an answer led to nothing.
enum Unproved {
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
    fn into_problem(self, method: Method) -> Problem {
        match self {
            Self::Factor(error) => refused(method, &error),
            Self::Problem(problem) => problem,
        }
    }
}

/// Judges an answer. Gives what is to be written so that it is used up.
async fn judge(
    app: &Arc<App>,
    person: PersonId,
    (method, state): (Method, State),
    given: ChallengeAnswer,
) -> Result<Vec<RecordWrite>, Unproved> {
    let now = app.engine.now();
    let code = given.code.unwrap_or_default();
    match (method, state) {
        (Method::Password, State::Password(pending)) => {
            let ke3 = given.data.map(|data| data.0).unwrap_or_default();
            pending.finish(&ke3, now)?;
            Ok(Vec::new())
        }
        (Method::Totp, _) => {
            let key = identity::single(RecordKind::Totp, person);
            let before = identity::read(app, &key).await?;
            let code: DigitCode = code.parse()?;
            let record = stored(before.as_ref(), TotpRecord::from_bytes)?;
            let record = record.ok_or(FactorError::Refused(Why::Wrong))?;
            let secret = totp_secret(app, person, &record)?;
            let (after, _) = record.prove(&secret, &code, now)?;
            Ok(vec![RecordWrite { key, before, after: Some(after.to_bytes()) }])
        }
        (Method::Recovery, _) => {
            let key = identity::single(RecordKind::Recovery, person);
            let before = identity::read(app, &key).await?;
            let code: RecoveryCode = code.parse()?;
            let sheet = stored(before.as_ref(), RecoverySheet::from_bytes)?;
            let sheet = sheet.ok_or(FactorError::Refused(Why::Wrong))?;
            let (after, _) = sheet.prove(&code, now)?;
            Ok(vec![RecordWrite { key, before, after: Some(after.to_bytes()) }])
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
#[derive(Clone, Copy)]
struct Evidence {
    id: ChallengeId,
    method: Method,
    at: tpw_core::Instant,
}

impl Evidence {
    /// Format, challenge, method, time, the hash of what it was given for.
    fn to_bytes(self, intent_hash: Hash32) -> Vec<u8> {
        let mut w = Writer::with_room(96);
        w.array(5).uint(1).bytes(&self.id).uint(self.method.number().into());
        w.uint(self.at.unix_ms()).bytes(intent_hash.as_bytes());
        w.finish()
    }
}

async fn for_session(app: &Arc<App>, caller: &Caller, evidence: Evidence) -> Reply {
    let Evidence { method, at, .. } = evidence;
    let proof = Proof { method, strength: Strength::Single, at };
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
