//! Conditions: what must hold of an account's balance after an operation, or the operation is refused.

use crate::{Balance, Ledger, LedgerError};
use tpw_core::{AccountId, Amount};

tpw_core::codes! {
    /// Which number of an account a condition is about.
    Measure: u8 {
        /// The posted balance.
        Posted = 1 "posted",
        /// The balance as if every open hold were posted.
        Pending = 2 "pending",
        /// The posted balance less what open holds will debit.
        Available = 3 "available",
        /// How many transfers the account has had: whoever read the account can tell whether it has
        /// changed since.
        Version = 4 "version",
    }
}

tpw_core::codes! {
    /// How the number must compare.
    Comparison: u8 {
        /// Less.
        Less = 1 "less",
        /// Less or equal.
        AtMost = 2 "at_most",
        /// Equal.
        Equal = 3 "equal",
        /// Greater or equal.
        AtLeast = 4 "at_least",
        /// Greater.
        Greater = 5 "greater",
    }
}

impl Comparison {
    fn holds(self, found: Balance, than: Balance) -> bool {
        match self {
            Self::Less => found < than,
            Self::AtMost => found <= than,
            Self::Equal => found == than,
            Self::AtLeast => found >= than,
            Self::Greater => found > than,
        }
    }
}

/// What must hold of one account after an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Condition {
    /// The account; not necessarily one that the operation touches.
    pub account: AccountId,
    /// Which of its numbers.
    pub on: Measure,
    /// How it must compare.
    pub is: Comparison,
    /// With what: minor units, or a number of transfers.
    pub than: Balance,
}

impl Ledger {
    /// The most conditions of one operation.
    pub const CONDITIONS_MAX: usize = 16;

    pub(crate) fn judge(&self, conditions: &[Condition]) -> Result<(), LedgerError> {
        if conditions.len() > Self::CONDITIONS_MAX {
            return Err(LedgerError::ConditionCount(conditions.len()));
        }
        conditions.iter().try_for_each(|condition| self.judge_one(condition))
    }

    fn judge_one(&self, condition: &Condition) -> Result<(), LedgerError> {
        let Condition { account, on, is, than } = *condition;
        let party = self.party(&account).ok_or(LedgerError::UnknownAccount(account))?;
        let (slot, pending) = (&party.slot, &party.pending);
        let (debits, credits) = (slot.debits_posted, slot.credits_posted);
        let found = match on {
            Measure::Posted => Some(Balance::between(credits, debits)),
            Measure::Pending => credits
                .plus(pending.credits)
                .zip(debits.plus(pending.debits))
                .map(|(credits, debits)| Balance::between(credits, debits)),
            Measure::Available => {
                debits.plus(pending.debits).map(|debits| Balance::between(credits, debits))
            }
            Measure::Version => {
                let transfers = Amount::from_minor(u128::from(slot.transfers));
                Some(Balance::between(transfers, Amount::ZERO))
            }
        };
        let found = found.ok_or(LedgerError::Overflow)?;
        if is.holds(found, than) {
            Ok(())
        } else {
            Err(LedgerError::ConditionFailed { account, on, is, than, found })
        }
    }
}
