//! Step 4, screen: the verdict decides which way the payment goes.

use super::{TransferStep, transfer_id};
use crate::event::Effect;
use crate::payment::{Cleared, Payment, Refused, Screened, Stamped};
use tpw_core::{Decision, Instant, Refusal, Verdict};

pub(super) fn screened(
    stamped: Stamped,
    decision: Decision,
    now: Instant,
) -> (Payment, Vec<Effect>) {
    let id = stamped.accepted.intake.intent().payment;
    let verdict = decision.verdict;
    let screened = Screened { stamped, decision };
    match verdict {
        Verdict::Clear => {
            let transfer = transfer_id(id, TransferStep::Settle, now);
            let cleared = Cleared { screened, approvals: Vec::new(), hold: None };
            (Payment::Cleared(cleared), vec![Effect::Settle { transfer, hold: None }])
        }
        Verdict::StepUp | Verdict::Hold => {
            let transfer = transfer_id(id, TransferStep::Hold, now);
            (Payment::Screened(screened), vec![Effect::Reserve(transfer)])
        }
        Verdict::Refuse => {
            let refused = Refused { screened, refusal: Refusal::Risk, at: now };
            (Payment::Refused(refused), Vec::new())
        }
    }
}

/// There is nobody to pay. Screening refuses what it does not know, but the payer should hear this reason.
pub(super) fn payee_unknown(
    stamped: Stamped,
    decision: Decision,
    now: Instant,
) -> (Payment, Vec<Effect>) {
    let screened = Screened { stamped, decision };
    (Payment::Refused(Refused { screened, refusal: Refusal::UnknownPayee, at: now }), Vec::new())
}
