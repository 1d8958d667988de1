//! Accounts: what they are, what they may, and their counters.

use crate::{Balance, StatementPoint};
use core::fmt;
use tpw_core::{AccountId, Amount, Asset, Hash32, Instant, PersonId};

tpw_core::codes! {
    /// What an account is, which decides who holds the keys to its money.
    AccountKind: u8 {
        /// A customer's money, kept by the operator.
        Custodial = 1 "custodial",
        /// A customer's money under the customer's own keys; the ledger mirrors it.
        SelfCustodial = 2 "self_custodial",
        /// The mirror of an account at a clearing partner.
        External = 3 "external",
        /// The operator's counterpart of money brought in. The only kind that may go below zero.
        Issuance = 4 "issuance",
        /// The operator's own money: float, fees, hot and cold wallets.
        Operating = 5 "operating",
    }
}

impl AccountKind {
    /// Who holds the keys to the money: `operator`, `holder` or `partner`.
    #[must_use]
    pub const fn keys_held_by(self) -> &'static str {
        match self {
            Self::Custodial | Self::Issuance | Self::Operating => "operator",
            Self::SelfCustodial => "holder",
            Self::External => "partner",
        }
    }

    /// Whether the money is the operator's or a partner's, so that no person's word is needed to move it.
    #[must_use]
    pub const fn is_operators(self) -> bool {
        matches!(self, Self::Issuance | Self::Operating | Self::External)
    }

    /// Whether the balance may lie below zero.
    #[must_use]
    pub const fn may_go_negative(self) -> bool {
        matches!(self, Self::Issuance)
    }
}

tpw_core::codes! {
    /// Why an account is frozen. Several reasons may hold at once; each is lifted by itself.
    FreezeReason: u8 {
        /// The holder asked for it.
        Holder = 1 "holder",
        /// The operator decided it.
        Operator = 2 "operator",
        /// Screening found a risk.
        Risk = 3 "risk",
        /// The holder is on a sanctions list.
        Sanctions = 4 "sanctions",
        /// A court or an authority ordered it.
        Order = 5 "order",
        /// Its balance crossed a threshold of its watch.
        Watch = 6 "watch",
    }
}

tpw_core::codes! {
    /// Whether an account can still be used. Closing is final.
    AccountState: u8 {
        /// In use.
        Open = 1 "open",
        /// Closed: it neither gives nor receives, for ever.
        Closed = 2 "closed",
    }
}

/// The set of reasons for which an account is frozen. Empty means not frozen.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frozen(u8);

impl Frozen {
    /// Not frozen.
    pub const NONE: Self = Self(0);

    const KNOWN: u8 = 0b0011_1111;

    const fn bit(reason: FreezeReason) -> u8 {
        match reason {
            FreezeReason::Holder => 1,
            FreezeReason::Operator => 1 << 1,
            FreezeReason::Risk => 1 << 2,
            FreezeReason::Sanctions => 1 << 3,
            FreezeReason::Order => 1 << 4,
            FreezeReason::Watch => 1 << 5,
        }
    }

    /// From stored bits: bit `n - 1` is the reason with number `n`. `None` with an unknown bit.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !Self::KNOWN == 0 { Some(Self(bits)) } else { None }
    }

    /// The bits to store.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether any reason holds.
    #[must_use]
    pub const fn is_frozen(self) -> bool {
        self.0 != 0
    }

    /// Whether this reason holds.
    #[must_use]
    pub const fn has(self, reason: FreezeReason) -> bool {
        self.0 & Self::bit(reason) != 0
    }

    /// The reasons that hold.
    pub fn reasons(self) -> impl Iterator<Item = FreezeReason> {
        FreezeReason::ALL.iter().copied().filter(move |reason| self.has(*reason))
    }

    pub(crate) const fn with(self, reason: FreezeReason) -> Self {
        Self(self.0 | Self::bit(reason))
    }

    pub(crate) const fn without(self, reason: FreezeReason) -> Self {
        Self(self.0 & !Self::bit(reason))
    }
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.reasons()).finish()
    }
}

/// Limits of one account, in minor units of its asset. [`Amount::MAX`] limits nothing and is how "no
/// limit" is kept, so that an account stays small in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limits {
    debit_max_per_transfer: Amount,
    balance_max: Amount,
}

impl Limits {
    /// No limits.
    pub const NONE: Self = Self { debit_max_per_transfer: Amount::MAX, balance_max: Amount::MAX };

    /// With this most that one transfer or hold may debit; `None` for no limit.
    #[must_use]
    pub fn with_debit_max_per_transfer(self, max: Option<Amount>) -> Self {
        Self { debit_max_per_transfer: max.unwrap_or(Amount::MAX), ..self }
    }

    /// With this most that the account may come to hold; `None` for no limit.
    #[must_use]
    pub fn with_balance_max(self, max: Option<Amount>) -> Self {
        Self { balance_max: max.unwrap_or(Amount::MAX), ..self }
    }

    /// The most that one transfer or hold may debit.
    #[must_use]
    pub fn debit_max_per_transfer(&self) -> Option<Amount> {
        Some(self.debit_max_per_transfer).filter(|max| *max != Amount::MAX)
    }

    /// The most that the account may come to hold, pending credits counted.
    #[must_use]
    pub fn balance_max(&self) -> Option<Amount> {
        Some(self.balance_max).filter(|max| *max != Amount::MAX)
    }
}

/// An account to open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewAccount {
    /// Its id, chosen by the caller.
    pub id: AccountId,
    /// The one asset that it will hold.
    pub asset: Asset,
    /// What it is.
    pub kind: AccountKind,
    /// Whose it is; none for the operator's own accounts.
    pub owner: Option<PersonId>,
    /// Its limits.
    pub limits: Limits,
}

/// An account with its counters: the row to store and the view to read. A stored row is as of the
/// transfer `last`; newer transfers are replayed on it at a start.
///
/// INVARIANT: counters of posted money only grow. Every transfer, hold, post, void, reversal and
/// expiry that touches the account adds one to `transfers` and one link to `chain`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// The one asset that it holds.
    pub asset: Asset,
    /// What it is.
    pub kind: AccountKind,
    /// Whose it is; none for the operator's own accounts.
    pub owner: Option<PersonId>,
    /// Whether it can still be used.
    pub state: AccountState,
    /// The reasons for which it is frozen.
    pub frozen: Frozen,
    /// Its limits.
    pub limits: Limits,
    /// All that was ever debited, in minor units.
    pub debits_posted: Amount,
    /// All that was ever credited, in minor units.
    pub credits_posted: Amount,
    /// What open holds will debit at most, in minor units.
    pub debits_pending: Amount,
    /// What open holds will credit at most, in minor units.
    pub credits_pending: Amount,
    /// How many links its chain has.
    pub transfers: u64,
    /// The number of the newest transfer in its chain; 0 for none.
    pub last: u64,
    /// The head of its chain; [`Hash32::ZERO`] before the first link.
    pub chain: Hash32,
    /// When it was opened.
    pub opened: Instant,
}

impl Account {
    /// Posted credits less posted debits, in minor units.
    #[must_use]
    pub fn balance(&self) -> Balance {
        Balance::between(self.credits_posted, self.debits_posted)
    }

    /// The balance less what is held for open debits, in minor units: what can be spent now.
    #[must_use]
    pub fn available(&self) -> Balance {
        Balance::free(self.credits_posted, self.debits_posted, self.debits_pending)
    }

    /// The end of its chain as a point where a statement opens or closes.
    #[must_use]
    pub fn point(&self) -> StatementPoint {
        StatementPoint {
            transfers: self.transfers,
            last: self.last,
            chain: self.chain,
            balance: self.balance(),
        }
    }
}
