//! Orders: transfers that the operator asks for itself, many at a time.
//!
//! A person's money moves only on the word of that person's device. An order therefore debits nothing but the operator's own accounts,
//! its issuance accounts and the mirrors of partners' accounts.

use tpw_core::{Amount, Hash32, Instant, TransferId};
use tpw_ledger::{Condition, LedgerError, TransferKind, TransferRequest, TransferRow};

/// What is ordered. Its id is the id of its transfer, or of the first of several: the same order under the same id again does nothing, and
/// another one is rejected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Move money.
    Transfer(TransferRequest),
    /// Move money in 1 to 16 legs, in order, all or none.
    Linked(Vec<TransferRequest>),
    /// Set money aside.
    Hold {
        /// What.
        request: TransferRequest,
        /// From when on it can only be voided.
        expires: Instant,
    },
    /// Move held money; what is not posted is released.
    Post {
        /// The hold.
        hold: TransferId,
        /// The id of this transfer.
        id: TransferId,
        /// How much in minor units; `None` for all.
        amount: Option<Amount>,
    },
    /// Release held money.
    Void {
        /// The hold.
        hold: TransferId,
        /// The id of this transfer.
        id: TransferId,
    },
    /// Move the full amount of a transfer back that an order made, once.
    Reverse {
        /// The number of the transfer.
        of: u64,
        /// The id of the opposite transfer.
        id: TransferId,
    },
}

/// An order with what must hold after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ordered {
    /// The order.
    pub order: Order,
    /// Judged on the balances after it; if one does not hold, nothing has happened.
    pub conditions: Vec<Condition>,
}

impl From<Order> for Ordered {
    /// Without conditions.
    fn from(order: Order) -> Self {
        Self { order, conditions: Vec::new() }
    }
}

/// Orders that are given together. Each is decided on its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Orders {
    /// In the order in which they are to be done.
    pub orders: Vec<Ordered>,
    /// RFC 7638 thumbprint of the key of whoever gives them.
    pub by: Hash32,
    /// Fresh random bytes: what will open the log entry's commitment.
    pub salt: [u8; 32],
}

/// What became of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderOutcome {
    /// It was done.
    Done {
        /// The number of its transfer, or of the first of several.
        number: u64,
    },
    /// The same order was done before.
    Repeated {
        /// The number of its transfer, or of the first of several.
        number: u64,
    },
    /// It cannot be done, and its id is used up: a late repetition will not do it either.
    Refused {
        /// Why.
        why: OrderRefusal,
    },
    /// The same order was refused before.
    RefusedBefore {
        /// Why.
        why: OrderRefusal,
    },
    /// It is no order that could be done. Its id stays as it was.
    Rejected(OrderRejection),
}

/// What is wrong with an order itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OrderRejection {
    /// Another order has this id.
    #[error("another order has this id and differs in its `{field}`; use a new id for a new order")]
    ExistsWithDifferent {
        /// In which field; `order` where only a hash of the other one tells that it is another.
        field: &'static str,
    },
    /// A later leg has an id that was used, or a hold would expire under one.
    #[error(
        "the id `{0}`, of a linked leg or under which the hold would expire, was used before; use a new id for each leg and hold"
    )]
    LegIdUsed(TransferId),
    /// The id was made in the future.
    #[error("the id `{0}` was made more than a minute in the future; set the clock that made it")]
    FromFuture(TransferId),
}

impl OrderRejection {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ExistsWithDifferent { .. } => "exists_with_different",
            Self::LegIdUsed(_) => "leg_id_used",
            Self::FromFuture(_) => "from_future",
        }
    }
}

tpw_core::codes! {
    /// Why an order was refused.
    OrderRefusal: u8 {
        /// The debited account does not exist.
        UnknownDebit = 1 "unknown_debit",
        /// The credited account does not exist.
        UnknownCredit = 2 "unknown_credit",
        /// The debited account holds another asset.
        DebitAsset = 3 "debit_asset_mismatch",
        /// The credited account holds another asset.
        CreditAsset = 4 "credit_asset_mismatch",
        /// Both sides are the same account.
        SameAccount = 5 "same_account",
        /// The amount is zero.
        ZeroAmount = 6 "zero_amount",
        /// The debited account is frozen.
        DebitFrozen = 7 "debit_frozen",
        /// The credited account is frozen.
        CreditFrozen = 8 "credit_frozen",
        /// The debited account is closed.
        DebitClosed = 9 "debit_closed",
        /// The credited account is closed.
        CreditClosed = 10 "credit_closed",
        /// The debited account does not have enough that is not held.
        InsufficientFunds = 11 "insufficient_funds",
        /// A limit of an account would be exceeded.
        LimitExceeded = 12 "limit_exceeded",
        /// More would leave the account in a window of time than is allowed.
        VelocityExceeded = 13 "velocity_exceeded",
        /// A condition does not hold.
        ConditionFailed = 14 "condition_failed",
        /// A sum would exceed what the ledger can count.
        Overflow = 15 "overflow",
        /// No legs, or too many.
        LegCount = 16 "leg_count",
        /// Two legs have the same id.
        DuplicateLeg = 17 "duplicate_leg",
        /// The effective date lies after the booking.
        EffectiveInFuture = 18 "effective_in_future",
        /// No such hold is open.
        HoldNotOpen = 19 "hold_not_open",
        /// The hold has run out.
        HoldExpired = 20 "hold_expired",
        /// The hold would expire at once.
        ExpiryPast = 21 "expiry_past",
        /// More was to be posted than is held.
        AmountAboveHold = 22 "amount_above_hold",
        /// The transfer to reverse was not made by an order.
        UnknownOriginal = 23 "unknown_original",
        /// The transfer was reversed before.
        AlreadyReversed = 24 "already_reversed",
        /// The debited account is a person's: only that person's device can pay from it.
        PersonsAccount = 25 "persons_account",
        /// A hold has no value date: its post counts from its booking.
        EffectiveHold = 26 "effective_hold",
        /// Too many conditions.
        ConditionCount = 27 "condition_count",
        /// A condition names an account that does not exist.
        UnknownAccount = 28 "unknown_account",
    }
}

impl OrderRefusal {
    /// What the ledger's error means for an order; `None` for an error that no order can cause.
    #[must_use]
    pub const fn of(error: &LedgerError) -> Option<Self> {
        Some(match error {
            LedgerError::UnknownDebit(_) => Self::UnknownDebit,
            LedgerError::UnknownCredit(_) => Self::UnknownCredit,
            LedgerError::DebitAssetMismatch { .. } => Self::DebitAsset,
            LedgerError::CreditAssetMismatch { .. } => Self::CreditAsset,
            LedgerError::SameAccount(_) => Self::SameAccount,
            LedgerError::ZeroAmount => Self::ZeroAmount,
            LedgerError::PayerFrozen => Self::DebitFrozen,
            LedgerError::PayeeFrozen => Self::CreditFrozen,
            LedgerError::PayerClosed => Self::DebitClosed,
            LedgerError::PayeeClosed => Self::CreditClosed,
            LedgerError::EffectiveAfterBooking => Self::EffectiveInFuture,
            LedgerError::EffectiveHold => Self::EffectiveHold,
            LedgerError::ConditionFailed { .. } => Self::ConditionFailed,
            LedgerError::ConditionCount(_) => Self::ConditionCount,
            LedgerError::UnknownAccount(_) => Self::UnknownAccount,
            LedgerError::VelocityAmount { .. } | LedgerError::VelocityTimes { .. } => {
                Self::VelocityExceeded
            }
            LedgerError::InsufficientFunds { .. } => Self::InsufficientFunds,
            LedgerError::LimitExceeded { .. } => Self::LimitExceeded,
            LedgerError::Overflow => Self::Overflow,
            LedgerError::LegCount(_) => Self::LegCount,
            LedgerError::DuplicateTransfer(_) => Self::DuplicateLeg,
            LedgerError::HoldNotOpen(_) => Self::HoldNotOpen,
            LedgerError::HoldExpired(_) => Self::HoldExpired,
            LedgerError::ExpiryPast => Self::ExpiryPast,
            LedgerError::AmountAboveHold { .. } => Self::AmountAboveHold,
            LedgerError::UnknownOriginal(_) => Self::UnknownOriginal,
            _ => return None,
        })
    }
}

impl Order {
    /// The id by which a repetition is recognised; `None` for linked legs without a leg.
    #[must_use]
    pub fn id(&self) -> Option<TransferId> {
        match self {
            Self::Transfer(request) | Self::Hold { request, .. } => Some(request.id),
            Self::Linked(legs) => legs.first().map(|leg| leg.id),
            Self::Post { id, .. } | Self::Void { id, .. } | Self::Reverse { id, .. } => Some(*id),
        }
    }

    /// The ids of the legs after the first.
    pub(crate) fn later_ids(&self) -> impl Iterator<Item = TransferId> {
        let legs = if let Self::Linked(legs) = self { legs.as_slice() } else { &[] };
        legs.iter().skip(1).map(|leg| leg.id)
    }

    /// How many transfers it makes.
    pub(crate) fn transfers(&self) -> usize {
        if let Self::Linked(legs) = self { legs.len() } else { 1 }
    }

    /// Whether `row`, the transfer under this order's id, is what this order asks for; else the field that differs. Legs are compared by
    /// [`Order::differs_in_leg`]. `resolved` is the id of the hold that the row resolves.
    pub(crate) fn differs(
        &self,
        row: &TransferRow,
        resolved: Option<TransferId>,
    ) -> Option<&'static str> {
        let differs = |kind: TransferKind| (row.kind != kind).then_some("kind");
        match self {
            Self::Transfer(request) => {
                differs(TransferKind::Transfer).or_else(|| differs_in(request, row))
            }
            Self::Linked(legs) => differs(TransferKind::Transfer)
                .or_else(|| legs.first().and_then(|leg| differs_in(leg, row))),
            Self::Hold { request, .. } => {
                differs(TransferKind::Hold).or_else(|| differs_in(request, row))
            }
            Self::Post { hold, amount, .. } => {
                let posted = amount.unwrap_or(row.released);
                differs(TransferKind::Post).or((resolved != Some(*hold)).then_some("hold")).or((row
                    .money
                    .amount
                    != posted)
                    .then_some("amount"))
            }
            Self::Void { hold, .. } => {
                differs(TransferKind::Void).or((resolved != Some(*hold)).then_some("hold"))
            }
            Self::Reverse { of, .. } => {
                differs(TransferKind::Reverse).or((row.pending != Some(*of)).then_some("of"))
            }
        }
    }

    /// Whether `row` is the leg at `place`, counted from 0; else the field that differs.
    pub(crate) fn differs_in_leg(&self, place: usize, row: &TransferRow) -> Option<&'static str> {
        let Self::Linked(legs) = self else { return None };
        match legs.get(place) {
            Some(leg) if leg.id == row.id => differs_in(leg, row),
            _ => Some("legs"),
        }
    }
}

fn differs_in(request: &TransferRequest, row: &TransferRow) -> Option<&'static str> {
    let effective = request.effective.unwrap_or(row.at);
    let fields = [
        ("debit", request.debit == row.debit),
        ("credit", request.credit == row.credit),
        ("asset", request.money.asset == row.money.asset),
        ("amount", request.money.amount == row.money.amount),
        ("effective", effective == row.effective),
    ];
    fields.iter().find(|(_, same)| !same).map(|(name, _)| *name)
}
