//! Batches: orders of the operator, and payments that an integrator collected.

use super::{Reply, json, off_thread, payments};
use crate::app::{App, Peer, RequestId, language_of};
use crate::body::{self, BodyLimit};
use crate::fault::ValueFault;
use crate::gate::{self, Caller, Weighed};
use crate::problem::{Code, Problem};
use crate::text::{self, Language};
use crate::view;
use crate::wire::{
    self, OrderBatch, OrderOutcomes, PaymentBatch, PaymentOutcome, PaymentOutcomes, Text,
};
use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use core::num::NonZeroUsize;
use std::collections::BTreeSet;
use std::sync::Arc;
use tpw_access::Action;
use tpw_core::{AccountId, Hash32, Intent, Money, PersonId};
use tpw_engines::{Engine, PayError, Repeated};
use tpw_flow::{Command, Order, OrderOutcome, Ordered, Payment, Rejection, Status};
use tpw_ledger::{Comparison, Condition, Measure, TransferRequest};
use tpw_proof::Verified;

/// The most orders or payments of one request.
const BATCH_MAX: usize = 8_190;

fn counted(count: usize, field: &str) -> Result<(), Problem> {
    if (1..=BATCH_MAX).contains(&count) {
        Ok(())
    } else {
        Err(Problem::bad_value(field, ValueFault::Count(BATCH_MAX)))
    }
}

fn large_body(app: &App) -> BodyLimit {
    BodyLimit { bytes: app.limits.orders_bytes, time: app.limits.body_time }
}

/// `POST /v1/transfers:batch`
pub(super) async fn transfers(
    State(app): State<Arc<App>>,
    caller: Caller,
    Peer(from): Peer,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    caller.may(Action::Order, None)?;
    let place = app.ordered.body(from)?;
    let bytes = body::json_bytes(&headers, body, large_body(&app)).await?;
    let turn = app.ordered.turn(place).await?;
    let person = caller.session.person();
    // The turn lasts as long as the work, also when nobody waits for its end any more.
    let read = move |engine: &Engine| {
        let orders = orders(engine, &bytes, person)?;
        Ok((moved(engine, &orders, Which::All)?, orders, turn))
    };
    let (moved_by_all, orders, _turn) = off_thread(&app, read).await?;
    let mut weighed = caller.weigh(Action::Order, &moved_by_all);
    let orders = if weighed.as_ref().is_none_or(Weighed::is_allowed) {
        orders
    } else {
        // What was carried out or refused before is only told again. The books are asked where it makes a difference.
        let read = move |engine: &Engine| Ok((moved(engine, &orders, Which::New)?, orders));
        let (moved_anew, orders) = off_thread(&app, read).await?;
        weighed = caller.weigh(Action::Order, &moved_anew);
        orders
    };
    caller.settle(Action::Order, weighed)?;
    let outcomes = app.engine.order(orders, caller.session.jkt()).await?;
    let items = outcomes.iter().map(|outcome| order_outcome(outcome, caller.language)).collect();
    Ok(json(StatusCode::OK, &OrderOutcomes { items }))
}

/// The orders of a body, which this person may give.
fn orders(engine: &Engine, bytes: &[u8], person: PersonId) -> Result<Vec<Ordered>, Problem> {
    let batch: OrderBatch = body::parse(bytes)?;
    counted(batch.orders.len(), "/orders")?;
    let orders = batch.orders.iter().enumerate().map(|(place, wire)| ordered(wire, place));
    let orders = orders.collect::<Result<Vec<_>, _>>()?;
    not_in_own_favour(engine, person, &orders)?;
    Ok(orders)
}

/// Which orders count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    /// Those whose ids are not used yet.
    New,
}

/// What these orders move or hold, in each asset. What a hold moves later, or undoes, was judged when it was ordered.
fn moved(engine: &Engine, orders: &[Ordered], which: Which) -> Result<Vec<Money>, Problem> {
    let mut all = Vec::new();
    for Ordered { order, .. } in orders {
        let id = order.id().filter(|_| which == Which::New);
        if let Some(id) = id
            && engine.is_transfer_used(id)?
        {
            continue;
        }
        match order {
            Order::Transfer(request) | Order::Hold { request, .. } => all.push(request.money),
            Order::Linked(legs) => all.extend(legs.iter().map(|leg| leg.money)),
            Order::Reverse { of, .. } => {
                all.extend(engine.transfer(*of)?.map(|reversed| reversed.money));
            }
            Order::Post { .. } | Order::Void { .. } => {}
        }
    }
    Ok(gate::sums(all))
}

/// Nobody orders money onto an account of their own.
fn not_in_own_favour(engine: &Engine, person: PersonId, orders: &[Ordered]) -> Result<(), Problem> {
    let own = engine.accounts_of(person)?;
    let own: BTreeSet<AccountId> = own.iter().map(|view| view.account.id).collect();
    let credits = |ordered: &Ordered| match &ordered.order {
        Order::Transfer(request) | Order::Hold { request, .. } => own.contains(&request.credit),
        Order::Linked(legs) => legs.iter().any(|leg| own.contains(&leg.credit)),
        // These move what an order has moved or held before, and no order debits a person's account.
        Order::Post { .. } | Order::Void { .. } | Order::Reverse { .. } => false,
    };
    if orders.iter().any(credits) { Err(Problem::own_favour()) } else { Ok(()) }
}

fn leg(wire: &wire::Leg) -> TransferRequest {
    TransferRequest {
        id: wire.id.0,
        debit: wire.debit.0,
        credit: wire.credit.0,
        money: Money { amount: wire.amount.0, asset: wire.asset.0 },
        effective: wire.effective.map(|Text(at)| at),
    }
}

fn ordered(wire: &wire::Ordered, place: usize) -> Result<Ordered, Problem> {
    let order = match &wire.order {
        wire::Order::Transfer { leg: one } => Order::Transfer(leg(one)),
        wire::Order::Linked { legs } => Order::Linked(legs.iter().map(leg).collect()),
        wire::Order::Hold { leg: one, expires } => {
            Order::Hold { request: leg(one), expires: expires.0 }
        }
        wire::Order::Post { id, hold, amount } => {
            Order::Post { hold: hold.0, id: id.0, amount: amount.map(|Text(amount)| amount) }
        }
        wire::Order::Void { id, hold } => Order::Void { hold: hold.0, id: id.0 },
        wire::Order::Reverse { id, of } => Order::Reverse { of: *of, id: id.0 },
    };
    if order.id().is_none() {
        let field = format!("/orders/{place}/order/legs");
        return Err(Problem::bad_value(&field, ValueFault::Count(tpw_ledger::Ledger::LEGS_MAX)));
    }
    let conditions = wire.conditions.iter().enumerate().map(|(number, wire)| {
        let member = |name| format!("/orders/{place}/conditions/{number}/{name}");
        let unknown = |name| Problem::bad_value(&member(name), ValueFault::Code);
        Ok(Condition {
            account: wire.account.0,
            on: Measure::from_code(&wire.on).ok_or_else(|| unknown("on"))?,
            is: Comparison::from_code(&wire.is).ok_or_else(|| unknown("is"))?,
            than: wire.than.0,
        })
    });
    Ok(Ordered { order, conditions: conditions.collect::<Result<_, Problem>>()? })
}

fn order_outcome(outcome: &OrderOutcome, language: Language) -> wire::OrderOutcome {
    let refused = |code: &'static str, repeated| wire::OrderOutcome::Refused {
        code: code.to_owned(),
        text: text::order(language, code, &[]),
        repeated,
    };
    match outcome {
        OrderOutcome::Done { number } => wire::OrderOutcome::Done { number: *number },
        OrderOutcome::Repeated { number } => wire::OrderOutcome::Repeated { number: *number },
        OrderOutcome::Refused { why } => refused(why.code(), false),
        OrderOutcome::RefusedBefore { why } => refused(why.code(), true),
        OrderOutcome::Rejected(why) => {
            let field = match why {
                tpw_flow::OrderRejection::ExistsWithDifferent { field } => *field,
                _ => "id",
            };
            let text = text::order(language, why.code(), &[("field", field.to_owned())]);
            wire::OrderOutcome::Rejected { code: why.code().to_owned(), text }
        }
    }
}

/// The payments of a body that can be decided, and for each of its items what is wrong with it, if anything is.
struct Collected {
    commands: Vec<Command>,
    faults: Vec<Option<Problem>>,
}

/// Reads a body and checks its signatures on all cores.
fn collected(app: &App, engine: &Engine, bytes: &[u8]) -> Result<Collected, Problem> {
    let batch: PaymentBatch = body::parse(bytes)?;
    counted(batch.statements.len(), "/statements")?;
    let statements: Vec<Vec<u8>> =
        batch.statements.into_iter().map(|statement| statement.0).collect();
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let mut collected = Collected { commands: Vec::new(), faults: Vec::new() };
    for checked in engine.check_intents(&statements, cores) {
        collected.faults.push(match ready(app, engine, checked) {
            Ok(command) => {
                collected.commands.push(command);
                None
            }
            Err(problem) => Some(problem.not_consumed()),
        });
    }
    Ok(collected)
}

fn ready(
    app: &App,
    engine: &Engine,
    checked: Result<Verified<Intent>, PayError>,
) -> Result<Command, Problem> {
    let intent = checked?;
    app.rates.device(Hash32::new(intent.key().jwk_thumbprint()))?;
    payments::may_begin(engine, intent.value())?;
    Ok(engine.submission(intent)?)
}

/// `POST /v1/payments:batch`: each signed intent proves who sends it, and its id is its idempotency key.
pub(super) async fn payments(
    State(app): State<Arc<App>>,
    Peer(from): Peer,
    asked: Asked,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let place = app.collected.body(from)?;
    let bytes = body::json_bytes(&headers, body, large_body(&app)).await?;
    let turn = app.collected.turn(place).await?;
    let limits = Arc::clone(&app);
    // The turn lasts as long as the work, also when nobody waits for its end any more.
    let read = move |engine: &Engine| Ok((collected(&limits, engine, &bytes)?, turn));
    let (Collected { commands, faults }, _turn) = off_thread(&app, read).await?;
    let mut decided = app.engine.submit_all(commands).await?.into_iter();
    let items = faults.into_iter().map(|fault| match fault {
        Some(problem) => asked.not_taken(&problem),
        None => match decided.next() {
            Some(decided) => asked.outcome(decided),
            None => asked.not_taken(&Problem::new(Code::Internal)),
        },
    });
    Ok(json(StatusCode::OK, &PaymentOutcomes { items: items.collect() }))
}

/// How a request wants to be answered, item by item.
pub(super) struct Asked {
    language: Language,
    issuer: String,
    request: RequestId,
}

impl FromRequestParts<Arc<App>> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let request = RequestId::from_request_parts(parts, app).await?;
        Ok(Self { language: language_of(parts), issuer: app.issuer().to_owned(), request })
    }
}

impl Asked {
    fn not_taken(&self, problem: &Problem) -> PaymentOutcome {
        let status = problem.code().status().as_u16();
        let problem = problem.to_wire(self.language, &self.issuer, &self.request.0);
        PaymentOutcome { status, repeated: false, payment: None, problem: Some(Box::new(problem)) }
    }

    /// The answer that the payment would have had alone.
    fn outcome(&self, decided: Result<(Arc<Payment>, Repeated), Rejection>) -> PaymentOutcome {
        let (payment, repeated) = match decided {
            Ok(decided) => decided,
            Err(rejection) => return self.not_taken(&Problem::from(rejection).not_consumed()),
        };
        let Some(wire) = view::payment(self.language, &payment) else {
            let between = "a payment between two states was answered";
            return self.not_taken(&Problem::internal(&between));
        };
        let repeated = repeated == Repeated::Yes;
        let problem = match payment.status() {
            Some(Status::StepUp) => Problem::of_payment(Code::StepUpRequired, None, wire),
            Some(Status::Refused) => {
                Problem::of_payment(Code::Refused, view::refusal(&payment), wire)
            }
            _ => {
                let status = if repeated { StatusCode::OK } else { StatusCode::CREATED }.as_u16();
                let payment = Some(Box::new(wire));
                return PaymentOutcome { status, repeated, payment, problem: None };
            }
        };
        PaymentOutcome { repeated, ..self.not_taken(&problem) }
    }
}
