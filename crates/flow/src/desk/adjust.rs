//! The commands about what accounts may do and which belong together, and looking at it.

use super::command::{Adjustment, Guards, Look};
use super::{Answer, Desk, EventKind, Outcome, Rejection};
use tpw_core::{AccountId, Instant};
use tpw_ledger::{AccountKind, FreezeReason, Membership, Operation, WatchAction};

impl Desk {
    pub(super) fn adjust(&mut self, adjustment: &Adjustment, now: Instant) -> Outcome {
        let operation = match adjustment {
            Adjustment::Freeze { account, why } => {
                self.is_kept_here(account)?;
                Operation::Freeze { account: *account, why: *why }
            }
            Adjustment::Unfreeze { account, why } => {
                // What a watch froze can be lifted whoever keeps the account.
                if *why != FreezeReason::Watch {
                    self.is_kept_here(account)?;
                }
                Operation::Unfreeze { account: *account, why: *why }
            }
            Adjustment::Close { account } => {
                self.may_close(account)?;
                Operation::Close { account: *account }
            }
            Adjustment::SetLimits { account, limits } => {
                Operation::SetLimits { account: *account, limits: *limits }
            }
            Adjustment::SetVelocities { account, velocities } => {
                Operation::SetVelocities { account: *account, velocities }
            }
            Adjustment::SetWatch { account, watch } => {
                if watch.is_some_and(|watch| watch.action == WatchAction::AlertAndFreeze)
                    && self.ledger.kind(account) == Some(AccountKind::SelfCustodial)
                {
                    return Err(Rejection::SelfCustodial);
                }
                Operation::SetWatch { account: *account, watch: *watch }
            }
            Adjustment::OpenSet { id, asset } => Operation::OpenSet { id: *id, asset: *asset },
            Adjustment::Join(membership) => Operation::Join(*membership),
            Adjustment::Leave(membership) => Operation::Leave(*membership),
        };
        self.ledger.apply(operation, now)?;
        let (kind, subject) = about(adjustment);
        self.tell(kind, subject, now);
        Ok(Answer::Done)
    }

    /// A closed account takes nothing back. Without its issuance account an asset can never be brought in again, and
    /// what a clearing partner returns must find both sides of its payment.
    fn may_close(&self, account: &AccountId) -> Result<(), Rejection> {
        if self.ledger.kind(account) == Some(AccountKind::Issuance) {
            return Err(Rejection::AccountNeeded { why: "issuance" });
        }
        if self.instructed.contains_key(account) {
            return Err(Rejection::AccountNeeded { why: "instructed" });
        }
        Ok(())
    }

    /// Only what the operator keeps can be frozen by it.
    pub(super) fn is_kept_here(&self, account: &AccountId) -> Result<(), Rejection> {
        match self.ledger.kind(account) {
            None => Err(Rejection::UnknownAccount),
            Some(AccountKind::SelfCustodial) => Err(Rejection::SelfCustodial),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn look(&self, look: Look) -> Outcome {
        Ok(match look {
            Look::Guards(account) => {
                Answer::Guards(self.ledger.kind(&account).map(|_kind| Guards {
                    velocities: self.ledger.velocities(&account).collect(),
                    watch: self.ledger.watch(&account),
                }))
            }
            Look::Set(id) => Answer::Set(self.ledger.set(&id)),
            Look::Totals => Answer::Totals(self.ledger.totals()?),
        })
    }
}

/// What is told of an adjustment.
const fn about(adjustment: &Adjustment) -> (EventKind, [u8; 16]) {
    match adjustment {
        Adjustment::Freeze { account, .. }
        | Adjustment::Unfreeze { account, .. }
        | Adjustment::Close { account }
        | Adjustment::SetLimits { account, .. }
        | Adjustment::SetVelocities { account, .. }
        | Adjustment::SetWatch { account, .. } => (EventKind::AccountChanged, *account.as_bytes()),
        Adjustment::OpenSet { id: set, .. }
        | Adjustment::Join(Membership { set, .. })
        | Adjustment::Leave(Membership { set, .. }) => (EventKind::SetChanged, *set.as_bytes()),
    }
}
