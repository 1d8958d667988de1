//! Step-up and review: the money is on hold and the payment waits, but not for ever.

use super::{TransferStep, transfer_id};
use crate::event::Effect;
use crate::payment::{Cleared, Payment, Refused, Screened, Waiting};
use tpw_core::{Approval, Instant, Posting, Refusal, Span, Verdict};

/// How long a payment waits for its payer.
pub(crate) const STEP_UP_WAIT: Span = Span::from_secs(15 * 60);
/// How long a payment waits for an operator.
pub(crate) const HOLD_WAIT: Span = Span::from_secs(72 * 3600);

/// How much longer than the payment's own deadline the ledger keeps a hold.
pub(crate) const HOLD_GRACE: Span = Span::from_secs(3600);

pub(super) const STEP_UP_LATE: Refusal = Refusal::StepUpExpired;
pub(super) const HOLD_LATE: Refusal = Refusal::HoldExpired;
pub(super) const REJECTED: Refusal = Refusal::Rejected;

pub(super) fn reserved(screened: Screened, hold: Posting, now: Instant) -> (Payment, Vec<Effect>) {
    let for_operator = screened.decision.verdict == Verdict::Hold;
    let wait = if for_operator { HOLD_WAIT } else { STEP_UP_WAIT };
    let waiting = Waiting { screened, hold, deadline: now.plus(wait) };
    let payment = if for_operator { Payment::Held(waiting) } else { Payment::StepUp(waiting) };
    (payment, Vec::new())
}

/// `at` is when the last of the approvals was taken.
pub(super) fn approved(
    waiting: Waiting,
    approvals: Vec<Approval>,
    at: Instant,
) -> (Payment, Vec<Effect>) {
    let Waiting { screened, hold, .. } = waiting;
    let id = screened.stamped.accepted.intake.intent().payment;
    let transfer = transfer_id(id, TransferStep::Settle, at);
    let effect = Effect::Settle { transfer, hold: Some(hold.transfer) };
    let cleared = Cleared { screened, approvals, hold: Some(hold) };
    (Payment::Cleared(cleared), vec![effect])
}

pub(super) fn given_up(waiting: Waiting, refusal: Refusal, now: Instant) -> (Payment, Vec<Effect>) {
    let Waiting { screened, hold, .. } = waiting;
    let id = screened.stamped.accepted.intake.intent().payment;
    let transfer = transfer_id(id, TransferStep::Void, now);
    let effect = Effect::Void { transfer, hold: hold.transfer };
    (Payment::Refused(Refused { screened, refusal, at: now }), vec![effect])
}
