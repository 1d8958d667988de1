//! The main job, one way: a state and an event give the next state and what to do.

mod accept;
mod book;
mod compensate;
mod screen;
mod settle;
mod stamp;
mod wait;

pub use accept::Seen;
pub(crate) use accept::{Asker, SKEW_MAX, accept, check};

pub(crate) use wait::{HOLD_GRACE, HOLD_WAIT};

use crate::event::{Effect, Event};
use crate::payment::Payment;
use tpw_core::{Hash32, Instant, PaymentId, TransferId};

/// An event that does not fit the state: a defect of the caller, never of the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a payment in state {state} cannot take the event {event}")]
pub struct StepError {
    state: &'static str,
    event: &'static str,
}

/// What follows from an event.
pub type Step = Result<(Payment, Vec<Effect>), StepError>;

/// Takes one step.
///
/// # Errors
/// [`StepError`] when the event does not fit the state. The caller still has what it passed in if it
/// kept a copy; nothing was done.
pub fn step(payment: Payment, event: Event, now: Instant) -> Step {
    match (payment, event) {
        (Payment::Accepted(s), Event::Stamped) => Ok(stamp::stamped(s, now)),
        (Payment::Stamped(s), Event::Screened(decision)) => Ok(screen::screened(s, decision, now)),
        (Payment::Stamped(s), Event::PayeeUnknown(decision)) => {
            Ok(screen::payee_unknown(s, decision, now))
        }
        (Payment::Screened(s), Event::Reserved(hold)) => Ok(wait::reserved(s, hold, now)),
        (Payment::Screened(s), Event::LedgerRefused(why)) => Ok(settle::refused(s, why, now)),
        (Payment::StepUp(s), Event::SteppedUp(approval)) => {
            Ok(wait::approved(s, vec![approval], now))
        }
        (Payment::Held(s), Event::Released(approvals)) => Ok(wait::approved(s, approvals, now)),
        (Payment::StepUp(s), Event::TimedOut) => Ok(wait::given_up(s, wait::STEP_UP_LATE, now)),
        (Payment::Held(s), Event::TimedOut) => Ok(wait::given_up(s, wait::HOLD_LATE, now)),
        (Payment::StepUp(s) | Payment::Held(s), Event::Rejected) => {
            Ok(wait::given_up(s, wait::REJECTED, now))
        }
        (Payment::Cleared(s), Event::Settled(postings)) => Ok(book::settled(s, postings, now)),
        (Payment::Cleared(s), Event::LedgerRefused(why)) => Ok(settle::failed(s, why, now)),
        (Payment::Settled(s), Event::Logged(entry)) => Ok(book::logged(s, entry, now)),
        (Payment::Booked(s), Event::RailInstructed) => Ok(compensate::instructed(s)),
        (Payment::Booked(s), Event::RailConfirmed) => Ok(compensate::confirmed(s)),
        (Payment::Booked(s), Event::Recalled(cause)) => Ok(compensate::recalled(s, cause)),
        (Payment::Reversing(s), Event::Reversed(postings)) => {
            Ok(compensate::reversed(s, postings, now))
        }
        (Payment::Reversing(s), Event::Logged(entry)) => Ok(compensate::logged(s, entry, now)),
        (payment, event) => {
            Err(StepError { state: state_name(&payment), event: event_name(&event) })
        }
    }
}

const fn state_name(payment: &Payment) -> &'static str {
    match payment {
        Payment::Accepted(_) => "accepted",
        Payment::Stamped(_) => "stamped",
        Payment::Screened(_) => "screened",
        Payment::StepUp(_) => "step_up",
        Payment::Held(_) => "held",
        Payment::Cleared(_) => "cleared",
        Payment::Settled(_) => "settled",
        Payment::Booked(_) => "booked",
        Payment::Reversing(_) => "reversing",
        Payment::Compensated(_) => "compensated",
        Payment::Refused(_) => "refused",
    }
}

const fn event_name(event: &Event) -> &'static str {
    match event {
        Event::Stamped => "stamped",
        Event::Screened(_) => "screened",
        Event::PayeeUnknown(_) => "payee_unknown",
        Event::Reserved(_) => "reserved",
        Event::Settled(_) => "settled",
        Event::LedgerRefused(_) => "ledger_refused",
        Event::SteppedUp(_) => "stepped_up",
        Event::Released(_) => "released",
        Event::Rejected => "rejected",
        Event::TimedOut => "timed_out",
        Event::Logged(_) => "logged",
        Event::RailInstructed => "rail_instructed",
        Event::RailConfirmed => "rail_confirmed",
        Event::Recalled(_) => "recalled",
        Event::Reversed(_) => "reversed",
    }
}

/// The steps that make a transfer, each with its own transfer id.
#[derive(Clone, Copy)]
pub(crate) enum TransferStep {
    Hold,
    Settle,
    Void,
    Reverse,
}

/// The id of a transfer follows from the payment and the step, so that doing it again is the same
/// transfer.
pub(crate) fn transfer_id(payment: PaymentId, step: TransferStep, now: Instant) -> TransferId {
    TransferId::new(now.unix_ms(), own_bytes(payment, step))
}

fn own_bytes(payment: PaymentId, step: TransferStep) -> [u8; 10] {
    let name: &[u8] = match step {
        TransferStep::Hold => b"hold",
        TransferStep::Settle => b"settle",
        TransferStep::Void => b"void",
        TransferStep::Reverse => b"reverse",
    };
    let digest = tpw_crypto::sha256_parts(&[b"tpw/transfer-id/v1\0", payment.as_bytes(), name]);
    let mut random = [0_u8; 10];
    for (slot, byte) in random.iter_mut().zip(digest) {
        *slot = byte;
    }
    random
}

/// The transfers that can move a payment's money, as their ids would be had they been made at the beginning of 1970: all but the time in
/// them follows from the payment. Whoever has a transfer can tell by it whether it belongs to a payment, without a search.
#[must_use]
pub fn timeless_transfers(payment: PaymentId) -> [TransferId; 2] {
    [TransferStep::Settle, TransferStep::Reverse]
        .map(|step| TransferId::new(0, own_bytes(payment, step)))
}

/// The salt of the compensation's entry, from the payment's own.
pub(crate) fn second_salt(salt: &[u8; 32]) -> [u8; 32] {
    *Hash32::new(tpw_crypto::sha256_parts(&[b"tpw/salt/compensation/v1\0", salt])).as_bytes()
}
