//! Prompts: one device asks, the person answers at another one with a signed statement.

use super::{Reply, json};
use crate::app::App;
use crate::body;
use crate::ceremonies::{ChallengeId, Purpose};
use crate::gate::Caller;
use crate::identity::{self, not_now, refused, stored};
use crate::problem::{Code, Problem};
use crate::wire::{AnswerPrompt, Prompt, PromptAnswered, PromptList, PromptedPayment, Text};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;
use tpw_access::factor::Method;
use tpw_access::factor::push::{Agreed, Collected, Prompt as Asked, Prompts, Question};
use tpw_access::record::{RecordKind, RecordWrite};
use tpw_core::{DeviceId, PersonId, PromptAnswer, PromptReply, PromptSubject};
use tpw_crypto::Zeroizing;
use tpw_engines::PayError;
use tpw_engines::entropy::OsEntropy;
use tpw_flow::{Command, Device, Rejection};
use tpw_proof::{Unverified, Verified};

/// How often a change is tried again that another request came before.
const TRIES: u8 = 8;
/// After how long it makes sense to look again whether somebody has answered.
const LOOK_AGAIN_S: u64 = 2;

/// The other devices of a person that can be asked, the newest at the end. One that the person disowned answers for nobody.
pub(super) fn others(app: &App, person: PersonId, than: DeviceId) -> Vec<Device> {
    let mut devices = app.engine.devices_of(person);
    let is_disowned = |device: &Device| app.engine.reputation(&device.id).disowned;
    devices.retain(|it| it.id != than && it.revoked.is_none() && !is_disowned(it));
    devices.sort_by_key(|device| device.enrolled);
    devices
}

/// Asks at the person's other devices. Gives the number that this one shows.
pub(super) async fn ask(
    app: &Arc<App>,
    caller: &Caller,
    challenge: &ChallengeId,
    purpose: Purpose,
) -> Result<Zeroizing<String>, Problem> {
    let (person, asked_by) = (caller.session.person(), caller.session.device());
    if others(app, person, asked_by).is_empty() {
        return Err(not_now("no_other_device"));
    }
    let question = Question { challenge: *challenge, asked_by, subject: purpose.subject() };
    for _ in 0..TRIES {
        let (before, known) = read(app, person).await?;
        let asked = known.ask(question, app.engine.now(), &mut OsEntropy);
        let (after, number) = asked.map_err(|error| refused(Method::Push, &error))?;
        if identity::written(app, vec![change(person, before, &after)]).await? {
            return Ok(number.reveal());
        }
    }
    Err(Problem::new(Code::RecordChanged))
}

/// What the device that asked finds: what to write so that it is used up, and who agreed to what.
pub(super) async fn collect(
    app: &Arc<App>,
    caller: &Caller,
    challenge: &ChallengeId,
) -> Result<(RecordWrite, Agreed), Problem> {
    let (person, device) = (caller.session.person(), caller.session.device());
    let (before, known) = read(app, person).await?;
    let found = known.collect(challenge, device, app.engine.now());
    match found.map_err(|error| refused(Method::Push, &error))? {
        Collected::Waiting => {
            let waiting = not_now("waiting");
            Err(waiting.retry_after_s(LOOK_AGAIN_S))
        }
        Collected::Denied(after, reply) => {
            identity::written(app, vec![change(person, before, &after)]).await?;
            Err(Problem::new(Code::FactorRefused).reason(reply.code()))
        }
        Collected::Agreed(after, agreed) => {
            // A device that was revoked since then agreed to nothing.
            let stands = others(app, person, device).iter().any(|it| it.id == agreed.device);
            if !stands {
                return Err(Problem::new(Code::FactorRefused));
            }
            Ok((change(person, before, &after), agreed))
        }
    }
}

/// `GET /v1/prompts`
pub(super) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Reply {
    let (_, known) = read(&app, caller.session.person()).await?;
    let device = caller.session.device();
    let waiting = known.waiting_at(device, app.engine.now());
    let prompts = waiting.map(|prompt| view(&app, prompt, device)).into_iter().collect();
    Ok(json(StatusCode::OK, &PromptList { prompts }))
}

/// `POST /v1/prompts:answer`
pub(super) async fn answer(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    // It neither lets another device go on nor disowns one.
    caller.not_disowned()?;
    let given: AnswerPrompt = body::json(&headers, body, app.small_body()).await?;
    let signed = signed_here(&app, &caller, &given.statement.0)?;
    let person = caller.session.person();
    if signed.value().reply == PromptReply::Approve {
        identity::charge(&app, person, Method::Push).await?;
    }
    let outcome = decide(&app, person, &signed).await?;
    let reply = outcome.map_err(|error| refused(Method::Push, &error))?;
    Ok(json(StatusCode::OK, &PromptAnswered { reply: reply.code().to_owned() }))
}

/// An answer that the calling device signed for this server.
fn signed_here(
    app: &App,
    caller: &Caller,
    statement: &[u8],
) -> Result<Verified<PromptAnswer>, Problem> {
    let device = app.engine.device(&caller.session.device());
    let device = device.ok_or_else(|| Problem::new(Code::UnknownDevice))?;
    let signed = Unverified::<PromptAnswer>::parse(statement)?.verify(&device.key)?;
    if signed.value().audience != *app.engine.audience() {
        return Err(Problem::new(Code::WrongAudience));
    }
    if signed.value().device != device.id {
        return Err(Problem::new(Code::ProofMismatch).field("device"));
    }
    Ok(signed)
}

/// Judges an answer and writes down what came of it, whatever that is.
async fn decide(
    app: &Arc<App>,
    person: PersonId,
    signed: &Verified<PromptAnswer>,
) -> Result<Result<PromptReply, tpw_access::factor::FactorError>, Problem> {
    for _ in 0..TRIES {
        let (before, known) = read(app, person).await?;
        let asked_by = known.open().map(|prompt| prompt.question().asked_by);
        let judged = known.answer(signed.value(), signed.bytes(), app.engine.now());
        let mut writes = vec![change(person, before, &judged.after)];
        if judged.outcome == Ok(PromptReply::Approve) {
            writes.extend(identity::forgive(app, person, Method::Push).await?);
        }
        let written = match (&judged.outcome, asked_by) {
            (Ok(PromptReply::NotMe), Some(asked_by)) => {
                disowned(app, writes, (asked_by, signed.value().subject)).await?
            }
            _ => identity::written(app, writes).await?,
        };
        if written {
            return Ok(judged.outcome);
        }
    }
    Err(Problem::new(Code::RecordChanged))
}

/// Writes down that a person had not begun what a device asked for, with an alarm for the operator; `false` when others were quicker.
async fn disowned(
    app: &App,
    writes: Vec<RecordWrite>,
    (device, subject): (DeviceId, PromptSubject),
) -> Result<bool, Problem> {
    let payment = match subject {
        PromptSubject::Session => None,
        PromptSubject::Payment { payment, .. } => Some(payment),
    };
    match app.engine.command(Command::NotMe { writes, device, payment }).await {
        Ok(_) => {
            tracing::warn!(%device, "a person was asked for what they had not begun: this device may ask no more for a day");
            Ok(true)
        }
        Err(PayError::Rejected(Rejection::RecordChanged)) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

async fn read(app: &Arc<App>, person: PersonId) -> Result<(Option<Vec<u8>>, Prompts), Problem> {
    let before = identity::read(app, &identity::single(RecordKind::Prompt, person)).await?;
    let known = stored(before.as_ref(), Prompts::from_bytes)?.unwrap_or_default();
    Ok((before, known))
}

fn change(person: PersonId, before: Option<Vec<u8>>, after: &Prompts) -> RecordWrite {
    let key = identity::single(RecordKind::Prompt, person);
    RecordWrite { key, before, after: Some(after.to_bytes()) }
}

fn view(app: &App, prompt: &Asked, device: DeviceId) -> Prompt {
    let question = prompt.question();
    let payment = match question.subject {
        PromptSubject::Session => None,
        PromptSubject::Payment { payment, intent_hash, money, payee } => Some(PromptedPayment {
            id: Text(payment),
            intent_hash: Text(intent_hash),
            amount: Text(money.amount),
            asset: Text(money.asset),
            payee: Text(payee),
        }),
    };
    Prompt {
        challenge: URL_SAFE_NO_PAD.encode(question.challenge),
        asked_by: Text(question.asked_by),
        device: Text(device),
        payment,
        asked: Text(prompt.at()),
        expires: Text(prompt.expires()),
        audience: app.engine.audience().as_str().to_owned(),
    }
}
