//! Step 5, settle: what the ledger's refusals mean for the payment.

use super::{TransferStep, transfer_id};
use crate::event::Effect;
use crate::payment::{Cleared, Payment, Refused, Screened};
use tpw_core::{Instant, Refusal};

/// Refused before any money was on hold.
pub(super) fn refused(
    screened: Screened,
    refusal: Refusal,
    now: Instant,
) -> (Payment, Vec<Effect>) {
    (Payment::Refused(Refused { screened, refusal, at: now }), Vec::new())
}

/// Refused although cleared; a hold, if there is one, is let go.
pub(super) fn failed(cleared: Cleared, refusal: Refusal, now: Instant) -> (Payment, Vec<Effect>) {
    let id = cleared.screened.stamped.accepted.intake.intent().payment;
    let effects = cleared.hold.iter().map(|hold| Effect::Void {
        transfer: transfer_id(id, TransferStep::Void, now),
        hold: hold.transfer,
    });
    let effects = effects.collect();
    let refused = Refused { screened: cleared.screened, refusal, at: now };
    (Payment::Refused(refused), effects)
}
