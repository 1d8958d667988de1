//! What was kept of the factor that let a payment go on: for its payer, and for who is shown it by them.

use super::{Reply, json, payments};
use crate::app::App;
use crate::body;
use crate::gate::Caller;
use crate::problem::{Code, Problem};
use crate::routes::off_thread;
use crate::wire::{Base64Url, FactorEvidence, Text};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::sync::Arc;
use tpw_access::factor::webauthn::PaymentAssertion;
use tpw_access::{Action, RecordKey, RecordKind};
use tpw_core::{Approval, FactorMethod, Hash32, PaymentId};
use tpw_crypto::sha256;
use tpw_flow::{Booked, Payment};
use tpw_proof::leaf::factor_evidence;

/// What is kept of one payment, at most: each answer that came in time leaves a record.
const KEPT_MAX: usize = 64;

/// Under which an answer for a payment is kept. Its own hash is in the key, so that a later answer takes no other's place.
pub(super) fn key(payment: PaymentId, evidence: &Hash32) -> Option<RecordKey> {
    RecordKey::new(RecordKind::Assurance, *payment.as_bytes(), evidence.as_bytes())
}

/// `GET /v1/payments/{id}/factor`
pub(super) async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Reply {
    let id: PaymentId = body::id(&id)?;
    let (payment, payer) = payments::with_payer(&app, id).await?;
    caller.may_know(Action::ReadPayment, payer, Code::UnknownPayment)?;
    let (kind, owner) = (RecordKind::Assurance, *id.as_bytes());
    let kept =
        off_thread(&app, move |engine| Ok(engine.records(kind, owner, None, KEPT_MAX)?)).await?;
    let mut kept = kept.into_iter().filter(|(_key, value)| let_go_on(&payment, value));
    let (_key, data) = kept.next().ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(json(StatusCode::OK, &FactorEvidence { payment: Text(id), data: Base64Url(data) }))
}

/// Whether this is the answer that the payment's own record speaks of.
fn let_go_on(payment: &Payment, value: &[u8]) -> bool {
    if PaymentAssertion::from_bytes(value).is_err() {
        return false;
    }
    let (intent, evidence) = (payment.intake().intent_hash(), Hash32::new(sha256(value)));
    let bound = factor_evidence(intent, FactorMethod::Passkey, evidence);
    let given = payment.booked().map(Booked::approvals).unwrap_or_default();
    given.iter().any(|one| matches!(one, Approval::Factor { evidence, .. } if *evidence == bound))
}
