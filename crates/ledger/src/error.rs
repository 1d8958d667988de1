//! Why the ledger refuses an operation. A refused operation changes nothing.

use crate::Balance;
use tpw_core::{AccountId, Amount, Asset, Refusal, TransferId};

/// Which limit of an account would be exceeded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Limit {
    /// The most that one transfer may debit.
    DebitPerTransfer,
    /// The most that the account may come to hold, pending credits counted.
    Balance,
}

/// Why an operation was refused. `debit` is the account that gives, `credit` the one that receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The account to open exists.
    #[error("the account `{0}` exists already; use another id")]
    AccountExists(AccountId),
    /// The account to change does not exist.
    #[error("the account `{0}` does not exist; open it first")]
    UnknownAccount(AccountId),
    /// The debited account does not exist.
    #[error("the debited account `{0}` does not exist; open it first")]
    UnknownDebit(AccountId),
    /// The credited account does not exist.
    #[error("the credited account `{0}` does not exist; open it first")]
    UnknownCredit(AccountId),
    /// The debited account holds another asset.
    #[error("the debited account holds `{holds}`, not `{wanted}`; transfer what it holds")]
    DebitAssetMismatch {
        /// What the account holds.
        holds: Asset,
        /// What was to be transferred.
        wanted: Asset,
    },
    /// The credited account holds another asset.
    #[error("the credited account holds `{holds}`, not `{wanted}`; transfer what it holds")]
    CreditAssetMismatch {
        /// What the account holds.
        holds: Asset,
        /// What was to be transferred.
        wanted: Asset,
    },
    /// The debited account is closed.
    #[error("the debited account is closed for ever; use another account")]
    PayerClosed,
    /// The credited account is closed.
    #[error("the credited account is closed for ever; use another account")]
    PayeeClosed,
    /// The account to change is closed.
    #[error("the account `{0}` is closed for ever; use another account")]
    AccountClosed(AccountId),
    /// The transfer would count from a time after its booking.
    #[error("the value date lies after the booking; choose an earlier one or none")]
    EffectiveAfterBooking,
    /// A hold moves no money, so it has no value date; its post counts from its booking.
    #[error("a hold has no value date; leave it out")]
    EffectiveHold,
    /// Both sides are the same account.
    #[error("the account `{0}` stands on both sides; choose two different accounts")]
    SameAccount(AccountId),
    /// The amount is zero.
    #[error("the amount is zero; a transfer moves at least one minor unit")]
    ZeroAmount,
    /// The debited account is frozen.
    #[error("the debited account is frozen; unfreeze it first")]
    PayerFrozen,
    /// The credited account is frozen.
    #[error("the credited account is frozen; unfreeze it first")]
    PayeeFrozen,
    /// The debited account does not have enough that is not held.
    #[error("`{needed}` minor units are needed and `{available}` are available; bring money in")]
    InsufficientFunds {
        /// What is available before the transfer.
        available: Balance,
        /// What the transfer needs.
        needed: Amount,
    },
    /// A limit of an account would be exceeded.
    #[error("a limit of the account is `{max}` minor units; send less or change the limit")]
    LimitExceeded {
        /// Which limit.
        limit: Limit,
        /// Its value.
        max: Amount,
    },
    /// A sum would not fit in 128 bits, or a count in 64.
    #[error("a sum would exceed what the ledger can count; send less")]
    Overflow,
    /// The set of linked legs is empty or longer than [`crate::Ledger::LEGS_MAX`].
    #[error("`{0}` linked legs were given; give 1 to 16")]
    LegCount(usize),
    /// Two linked legs have the same id.
    #[error("the transfer id `{0}` is used twice; each leg needs its own")]
    DuplicateTransfer(TransferId),
    /// A hold with this id is open.
    #[error("the hold `{0}` is open already; use another id")]
    HoldExists(TransferId),
    /// No such hold is open: it was never made, or it was posted, voided or has expired.
    #[error("no hold `{0}` is open; it was never made or is resolved")]
    HoldNotOpen(TransferId),
    /// The hold has run out; it can only be voided.
    #[error("the hold `{0}` has expired; make a new one")]
    HoldExpired(TransferId),
    /// The hold would expire at or before the time at which it is made.
    #[error("the hold would expire at once; choose a later time")]
    ExpiryPast,
    /// More was to be posted than is held.
    #[error("`{held}` minor units are held; post at most that")]
    AmountAboveHold {
        /// What is held.
        held: Amount,
    },
    /// The transfer to reverse is not one that this ledger has made.
    #[error("the ledger has made no transfer number `{0}`; nothing to reverse")]
    UnknownOriginal(u64),
    /// The account is frozen for this reason already.
    #[error("the account is frozen for this reason already")]
    AlreadyFrozen,
    /// The account is not frozen for this reason.
    #[error("the account is not frozen for this reason")]
    NotFrozen,
    /// The rows to rebuild from contradict each other. The store is not to be trusted: stop.
    #[error("the stored ledger contradicts itself: {0}; restore it from a backup")]
    CorruptRows(&'static str),
}

impl LedgerError {
    /// What this means for a payment that had been accepted; `None` where the payment itself is not
    /// at fault but the one who drives the ledger.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::UnknownCredit(_) => Some(Refusal::UnknownPayee),
            Self::DebitAssetMismatch { .. } => Some(Refusal::PayerAssetMismatch),
            Self::CreditAssetMismatch { .. } => Some(Refusal::PayeeAssetMismatch),
            Self::PayerFrozen | Self::PayerClosed => Some(Refusal::PayerFrozen),
            Self::PayeeFrozen | Self::PayeeClosed => Some(Refusal::PayeeFrozen),
            Self::InsufficientFunds { .. } => Some(Refusal::InsufficientFunds),
            Self::LimitExceeded { .. } => Some(Refusal::AccountLimit),
            Self::Overflow => Some(Refusal::Overflow),
            Self::HoldExpired(_) => Some(Refusal::HoldExpired),
            _ => None,
        }
    }
}
