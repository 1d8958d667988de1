//! Why the ledger refuses an operation. A refused operation changes nothing.

use crate::{Balance, Comparison, Measure};
use tpw_core::{AccountId, AccountSetId, Amount, Asset, Refusal, Span, TransferId};

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
    /// More accounts are to be opened at once than [`crate::Ledger::OPENINGS_MAX`].
    #[error("`{0}` accounts were given; open at most 64 at once")]
    OpeningCount(usize),
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
    /// The account to close has or owes something.
    #[error("the balance is `{balance}` minor units; bring it to zero before closing the account")]
    BalanceNotZero {
        /// The posted balance.
        balance: Balance,
    },
    /// The account to close has open holds.
    #[error("holds are open on the account; post or void them before closing it")]
    HoldsOpen,
    /// A condition does not hold.
    #[error(
        "the {on} value of the account `{account}` would be `{found}` and must be {is} `{than}`; read it again and decide anew"
    )]
    ConditionFailed {
        /// The account.
        account: AccountId,
        /// Which of its numbers.
        on: Measure,
        /// How it should have compared.
        is: Comparison,
        /// With what.
        than: Balance,
        /// What it would have been.
        found: Balance,
    },
    /// There are more conditions than [`crate::Ledger::CONDITIONS_MAX`].
    #[error("`{0}` conditions were given; give at most 16")]
    ConditionCount(usize),
    /// More would be debited within a window of time than a velocity limit allows.
    #[error(
        "at most `{max}` minor units may be debited within {} ms; wait or change the limit",
        window.as_ms()
    )]
    VelocityAmount {
        /// How long the window is.
        window: Span,
        /// The most within it.
        max: Amount,
    },
    /// The account would be debited more often within a window of time than a velocity limit allows.
    #[error(
        "the account may be debited at most `{max}` times within {} ms; wait or change the limit",
        window.as_ms()
    )]
    VelocityTimes {
        /// How long the window is.
        window: Span,
        /// How often within it.
        max: u64,
    },
    /// There are more velocity limits than [`crate::Ledger::VELOCITIES_MAX`].
    #[error("`{0}` velocity limits were given; give at most 4")]
    VelocityCount(usize),
    /// A velocity limit's window has no length.
    #[error("a velocity limit needs a window of at least 1 ms")]
    VelocityWindow,
    /// A velocity limit limits nothing.
    #[error("a velocity limit limits neither amount nor count; give one of them")]
    VelocityUnlimited,
    /// A watch has no threshold.
    #[error("a watch needs a lower or an upper threshold")]
    WatchEmpty,
    /// A watch's lower threshold lies above its upper one.
    #[error("the lower threshold lies above the upper one; exchange them")]
    WatchThresholds,
    /// The account whose watch was to end is not watched.
    #[error("the account is not watched")]
    NotWatched,
    /// The set to make exists.
    #[error("the set `{0}` exists already; use another id")]
    SetExists(AccountSetId),
    /// The set does not exist.
    #[error("the set `{0}` does not exist; make it first")]
    UnknownSet(AccountSetId),
    /// A member holds another asset than its set.
    #[error("the member holds another asset than the set; a set adds up one asset")]
    SetAssetMismatch,
    /// A set would contain itself.
    #[error("the set would contain itself; choose another member")]
    SetCycle,
    /// Sets would lie within each other too deep.
    #[error("sets would lie within each other more than 8 levels deep; join a higher one")]
    SetTooDeep,
    /// The member belongs to the set already.
    #[error("the member belongs to the set already")]
    AlreadyMember,
    /// The member does not belong to the set directly.
    #[error("the member does not belong to the set directly; name the set that it belongs to")]
    NotMember,
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
            Self::LimitExceeded { .. }
            | Self::VelocityAmount { .. }
            | Self::VelocityTimes { .. } => Some(Refusal::AccountLimit),
            Self::Overflow => Some(Refusal::Overflow),
            Self::HoldExpired(_) => Some(Refusal::HoldExpired),
            _ => None,
        }
    }
}
