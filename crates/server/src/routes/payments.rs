//! Payments and their receipts.

use super::{Reply, json, no_such_action, off_thread, typed};
use crate::app::App;
use crate::approving::{self, Asked};
use crate::body::{self, Query};
use crate::fault::QueryFault;
use crate::gate::{self, About, Caller};
use crate::oauth::{Reader, Wanted};
use crate::problem::{Code, Problem};
use crate::text::Language;
use crate::view;
use crate::wire;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, Path, RawQuery, State};
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use std::sync::Arc;
use tpw_access::Action;
use tpw_access::oauth::Scope;
use tpw_core::{Hash32, Intent, PaymentId, PersonId, Receipt};
use tpw_engines::{Engine, Paid, Repeated};
use tpw_flow::{Command, Payment, Status};
use tpw_proof::Verified;

pub(super) static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
static IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The media type of a signed statement as it is (RFC 9052 §9).
const COSE: &str = "application/cose";

/// `POST /v1/payments`: the signed intent itself proves who sends it (RFC 9449 is not needed here).
pub(super) async fn pay(
    State(app): State<Arc<App>>,
    language: Language,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let intent = take(&app, &headers, body).await.map_err(Problem::not_consumed)?;
    match app.engine.submit(intent).await {
        Ok(paid) if wants_receipt(&headers) && paid.payment.status() == Some(Status::Booked) => {
            Ok(receipt_alone(paid))
        }
        Ok(paid) => outcome(language, paid),
        Err(error) => Err(not_taken(error)),
    }
}

/// Whether the caller takes the receipt itself for an answer (RFC 9110 §12.5.1). Only its very name says so: whoever
/// takes everything gets JSON.
fn wants_receipt(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(ACCEPT).iter().filter_map(|field| field.to_str().ok());
    let mut ranges = fields.flat_map(|field| field.split(','));
    ranges.any(|range| {
        let name = range.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(Receipt::MEDIA_TYPE)
    })
}

/// The answer to a booked payment that consists of its receipt, which holds all that the JSON would say.
fn receipt_alone(paid: Paid) -> Response<Body> {
    let status = match paid.repeated {
        Repeated::Yes => StatusCode::OK,
        Repeated::No => StatusCode::CREATED,
    };
    let mut response = typed(status, Receipt::MEDIA_TYPE, paid.receipt.unwrap_or_default());
    if paid.repeated == Repeated::Yes {
        let replayed = HeaderValue::from_static("true");
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED.clone(), replayed);
    }
    response
}

/// Reads the statement, checks its signature, and compares the idempotency key with the id inside.
async fn take(
    app: &Arc<App>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Verified<Intent>, Problem> {
    let key = headers.get(&IDEMPOTENCY_KEY).ok_or_else(|| Problem::new(Code::KeyMissing))?;
    let statement = if body::media_type(headers) == COSE {
        body::read(headers, body, app.small_body()).await?.to_vec()
    } else {
        let pay: wire::Pay = statement_json(app, headers, body).await?;
        pay.statement.0
    };
    let intent = app.engine.check_intent(&statement)?;
    app.rates.device(Hash32::new(intent.key().jwk_thumbprint()))?;
    let key: Option<PaymentId> = key.to_str().ok().and_then(|key| key.parse().ok());
    if key != Some(intent.value().payment) {
        return Err(Problem::new(Code::KeyMismatch));
    }
    if app.engine.reputation(&intent.value().device).disowned {
        let of = intent.value().clone();
        off_thread(app, move |engine| may_begin(engine, &of)).await?;
    }
    Ok(intent)
}

/// Refuses a payment of a device that its person disowned. One that was taken before is only told again.
pub(super) fn may_begin(engine: &Engine, intent: &Intent) -> Result<(), Problem> {
    let disowned = gate::not_disowned(engine, intent.device);
    if disowned.is_err() && engine.payment(intent.payment)?.is_some() {
        return Ok(());
    }
    disowned
}

async fn statement_json<T: serde::de::DeserializeOwned>(
    app: &App,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    if body::media_type(headers) != "application/json" {
        let expected = "application/json or application/cose";
        return Err(Problem::new(Code::UnsupportedType).with("expected", expected));
    }
    body::parse(&body::read(headers, body, app.small_body()).await?)
}

/// A submission that failed: whether the id is used up is known unless the engine stopped in between.
fn not_taken(error: tpw_engines::PayError) -> Problem {
    use tpw_engines::PayError;
    // One that waits for its witnesses is booked.
    let known = !matches!(error, PayError::Stopped(_) | PayError::Unwitnessed);
    let problem = Problem::from(error);
    if known { problem.not_consumed() } else { problem }
}

/// How long each step took, in milliseconds (W3C Server Timing §3).
fn server_timing(paid: &Paid) -> Option<HeaderValue> {
    let steps = paid.timings.iter().map(|(step, took)| {
        let us = took.as_micros();
        format!("{step};dur={}.{:03}", us / 1000, us % 1000)
    });
    let text = steps.collect::<Vec<_>>().join(", ");
    HeaderValue::from_str(&text).ok().filter(|value| !value.is_empty())
}

/// The answer to a payment in its new or stored state.
fn outcome(language: Language, paid: Paid) -> Reply {
    let (status, repeated) = (paid.payment.status(), paid.repeated);
    let timing = server_timing(&paid);
    let refusal = view::refusal(&paid.payment);
    let between = || Problem::internal(&"a payment between two states was answered");
    let wire = view::paid(language, paid).ok_or_else(between)?;
    let mut response = match status {
        Some(Status::StepUp) => {
            let problem = Problem::of_payment(Code::StepUpRequired, None, wire);
            axum::response::IntoResponse::into_response(problem)
        }
        Some(Status::Refused) => {
            let problem = Problem::of_payment(Code::Refused, refusal, wire);
            axum::response::IntoResponse::into_response(problem)
        }
        _ if repeated == Repeated::Yes => json(StatusCode::OK, &wire),
        _ => json(StatusCode::CREATED, &wire),
    };
    if let Some(timing) = timing {
        response.headers_mut().insert(SERVER_TIMING.clone(), timing);
    }
    if repeated == Repeated::Yes {
        response
            .headers_mut()
            .insert(IDEMPOTENCY_REPLAYED.clone(), HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// `POST /v1/payments/{id}:step-up`, `:release`, `:reject`, `:recall`, `:rail-confirm`, `:rail-return`
pub(super) async fn act(
    State(app): State<Arc<App>>,
    Path(target): Path<String>,
    request: Request<Body>,
) -> Reply {
    let Some((id, verb)) = target.split_once(':') else { return Ok(no_such_action()) };
    let id: PaymentId = body::id(id)?;
    let (mut parts, body) = request.into_parts();
    if verb == "step-up" {
        let language = crate::app::language_of(&parts);
        return step_up(&app, language, id, &parts.headers, body).await;
    }
    let verb = Verb::of(verb).ok_or_else(|| Problem::new(Code::NotFound))?;
    let caller = Caller::from_request_parts(&mut parts, &app).await?;
    caller.could(verb.action())?;
    let sides = find(&app, id).await?;
    let needed = needed(&app, &caller, verb, &sides)?;
    if needed > 0 {
        return ask_others(&app, &caller, verb, &sides, needed).await;
    }
    let paid = app.engine.decide(verb.command(id, caller.session.jkt())).await?;
    decided(caller.language, paid)
}

/// Asks the policies, and gives how many others have to agree. Nobody decides in their own favour: a payment that goes on serves both
/// its sides; one that is rejected, recalled or returned brings its payer the money. A confirmation brings nobody anything.
fn needed(app: &App, caller: &Caller, verb: Verb, sides: &Sides) -> Result<u32, Problem> {
    let action = verb.action();
    let money = sides.payment.intake().intent().money;
    let about = About {
        owner: sides.payer,
        initiator: sides.initiator,
        money: Some(money),
        risk: sides.payment.decision().map(|decision| decision.score),
        serves: [sides.payer, sides.payee],
    };
    let more = match verb {
        Verb::RailConfirm => return caller.ask(action, &About::default()),
        Verb::Reject | Verb::RailReturn => 0,
        // A payee at a clearing partner has no owner.
        Verb::Release | Verb::Recall => match sides.payee {
            Some(payee) => caller.ask(action, &About { owner: Some(payee), ..about })?,
            None => 0,
        },
    };
    let of_amount = match verb {
        Verb::Release => app.engine.approvals_needed(money).map_or(0, u32::from),
        _ => 0,
    };
    Ok(caller.ask(action, &about)?.max(more).max(of_amount))
}

/// Has others asked, if the payment is in a state in which this can be done to it.
async fn ask_others(
    app: &Arc<App>,
    caller: &Caller,
    verb: Verb,
    sides: &Sides,
    needed: u32,
) -> Reply {
    let (id, intent_hash) = (sides.payment.id(), sides.payment.intake().intent_hash());
    let (operation, wanted) = match verb {
        Verb::Release => (approving::release(id, intent_hash), Status::Held),
        Verb::Recall => (approving::reverse(id, intent_hash, caller.session.jkt()), Status::Booked),
        Verb::RailReturn => (approving::give_back(id, intent_hash), Status::Booked),
        Verb::Reject | Verb::RailConfirm => return Err(Problem::approvals_missing(needed)),
    };
    let status = sides.payment.status();
    if status != Some(wanted) {
        return Err(Problem::new(Code::WrongStatus).reason(status.map_or("", Status::code)));
    }
    let people = sides.payer.into_iter().chain(sides.payee).collect();
    approving::asked(app, caller, Asked::new(operation, people, needed)).await
}

/// What an operator does to a payment.
#[derive(Clone, Copy)]
enum Verb {
    Release,
    Reject,
    Recall,
    RailConfirm,
    RailReturn,
}

impl Verb {
    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "release" => Self::Release,
            "reject" => Self::Reject,
            "recall" => Self::Recall,
            "rail-confirm" => Self::RailConfirm,
            "rail-return" => Self::RailReturn,
            _ => return None,
        })
    }

    const fn action(self) -> Action {
        match self {
            Self::Release => Action::ReleaseHold,
            Self::Reject => Action::RejectHold,
            Self::Recall => Action::Reverse,
            Self::RailConfirm => Action::ReportRail,
            Self::RailReturn => Action::ReturnRail,
        }
    }

    const fn command(self, payment: PaymentId, operator: Hash32) -> Command {
        match self {
            Self::Release => Command::Release { payment, operator },
            Self::Reject => Command::Reject { payment },
            Self::Recall => Command::Recall { payment, operator },
            Self::RailConfirm => Command::RailConfirm { payment },
            Self::RailReturn => Command::RailReturn { payment },
        }
    }
}

/// The answer to an operator: also a payment that is now refused is what the operator asked for.
fn decided(language: Language, paid: Paid) -> Reply {
    let between = || Problem::internal(&"a payment between two states was answered");
    Ok(json(StatusCode::OK, &view::paid(language, paid).ok_or_else(between)?))
}

/// The proof is signed by the payer's device: as with the intent, no token is needed.
async fn step_up(
    app: &App,
    language: Language,
    id: PaymentId,
    headers: &HeaderMap,
    body: Body,
) -> Reply {
    let proof = if body::media_type(headers) == COSE {
        body::read(headers, body, app.small_body()).await?.to_vec()
    } else {
        let request: wire::StepUp = statement_json(app, headers, body).await?;
        request.proof.0
    };
    let proof = app.engine.check_step_up(&proof)?;
    app.rates.device(Hash32::new(proof.key().jwk_thumbprint()))?;
    if proof.value().payment != id {
        return Err(Problem::new(Code::ProofMismatch).field("payment"));
    }
    let device = app.engine.device_by_jkt(&Hash32::new(proof.key().jwk_thumbprint()));
    if let Some(device) = device {
        gate::not_disowned(&app.engine, device.id)?;
    }
    let paid = app.engine.decide(Command::StepUp(Box::new(proof))).await?;
    match outcome(language, paid) {
        // Nothing is created by a confirmation.
        Ok(mut response) if response.status() == StatusCode::CREATED => {
            *response.status_mut() = StatusCode::OK;
            Ok(response)
        }
        other => other,
    }
}

/// A payment and whose its two accounts are.
struct Sides {
    payment: Arc<Payment>,
    /// Who signed it.
    initiator: Option<PersonId>,
    payer: Option<PersonId>,
    payee: Option<PersonId>,
}

async fn find(app: &Arc<App>, id: PaymentId) -> Result<Sides, Problem> {
    off_thread(app, move |engine| {
        let payment = engine.payment(id)?.ok_or_else(|| Problem::new(Code::UnknownPayment))?;
        let intent = payment.intake().intent();
        let (payer, payee) = (engine.holder_of(&intent.payer)?, engine.holder_of(&intent.payee)?);
        let initiator = engine.device(&intent.device).map(|device| device.person);
        Ok(Sides { payment, initiator, payer, payee })
    })
    .await
}

/// A payment, and whose money it moves.
pub(super) async fn with_payer(
    app: &Arc<App>,
    id: PaymentId,
) -> Result<(Arc<Payment>, Option<PersonId>), Problem> {
    find(app, id).await.map(|sides| (sides.payment, sides.payer))
}

/// A payment that the reader may know: as payer, as payee, as operator, or because one of them delegated it.
async fn known(app: &Arc<App>, reader: &Reader, id: &str) -> Result<Arc<Payment>, Problem> {
    let sides = find(app, body::id(id)?).await?;
    let (scope, action) = (Scope::PaymentsRead, Action::ReadPayment);
    let wanted = Wanted { scope, action, unknown: Code::UnknownPayment };
    let intent = sides.payment.intake().intent();
    let as_payer = reader.may_read(app, wanted, intent.payer, sides.payer).await;
    let is_side = reader.is_one_of([sides.payer, sides.payee]);
    if as_payer.is_err() || !is_side {
        // Who reads it in an office reads the data of both, and both are to see it.
        let as_payee = reader.may_read(app, wanted, intent.payee, sides.payee).await;
        as_payer.or(as_payee)?;
    }
    Ok(sides.payment)
}

async fn with_receipts(app: &Arc<App>, payment: Arc<Payment>) -> Result<Paid, Problem> {
    off_thread(app, move |engine| Ok(engine.paid(payment, Repeated::Yes)?)).await
}

/// `GET /v1/payments/{id}`: 200 in whatever state; the payment's own state says the rest.
pub(super) async fn read(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path(id): Path<String>,
) -> Reply {
    let payment = known(&app, &reader, &id).await?;
    decided(reader.language(), with_receipts(&app, payment).await?)
}

/// `GET /v1/payments/{id}/receipt?kind=payment|compensation`: the file `.tpr`.
pub(super) async fn receipt(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    let query = Query::parse(query.as_deref(), &["kind"])?;
    let payment = known(&app, &reader, &id).await?;
    let id = payment.id();
    let status = payment.status().map_or("moving", Status::code);
    let paid = with_receipts(&app, payment).await?;
    let (bytes, ending) = match query.text("kind") {
        None | Some("payment") => (paid.receipt, ""),
        Some("compensation") => (paid.compensation_receipt, "-compensation"),
        Some(_) => return Err(Problem::bad_query("kind", &QueryFault::ReceiptKind)),
    };
    let bytes = bytes.ok_or_else(|| Problem::new(Code::NoReceipt).reason(status))?;
    let mut response = typed(StatusCode::OK, Receipt::MEDIA_TYPE, bytes);
    let name = format!("attachment; filename=\"{id}{ending}.tpr\"");
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}
