//! The ledger's state: what it holds, how it is read, and how one entry is made in it.

use crate::hold::Holds;
use crate::transfer::link;
use crate::{Account, HoldChange, HoldRow, LedgerError, Side, TransferKind, TransferRow};
use std::collections::{BTreeMap, HashMap};
use tpw_core::{AccountId, Amount, Asset, Hash32, Instant, Money, TransferId};

/// Sums over all accounts of one asset, in minor units. Debits equal credits, posted and pending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AssetTotal {
    /// The asset.
    pub asset: Asset,
    /// All posted debits.
    pub debits_posted: Amount,
    /// All posted credits.
    pub credits_posted: Amount,
    /// All pending debits.
    pub debits_pending: Amount,
    /// All pending credits.
    pub credits_pending: Amount,
}

impl AssetTotal {
    pub(crate) const fn zero(asset: Asset) -> Self {
        let zero = Amount::ZERO;
        Self {
            asset,
            debits_posted: zero,
            credits_posted: zero,
            debits_pending: zero,
            credits_pending: zero,
        }
    }

    fn add(&self, account: &Account) -> Option<Self> {
        Some(Self {
            asset: self.asset,
            debits_posted: self.debits_posted.plus(account.debits_posted)?,
            credits_posted: self.credits_posted.plus(account.credits_posted)?,
            debits_pending: self.debits_pending.plus(account.debits_pending)?,
            credits_pending: self.credits_pending.plus(account.credits_pending)?,
        })
    }

    /// Whether debits equal credits, posted and pending.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.debits_posted == self.credits_posted && self.debits_pending == self.credits_pending
    }
}

/// What is to be stored, in one transaction, to make everything since the last take durable.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// The touched accounts with their present values, each once, in the order of first touch.
    pub accounts: Vec<Account>,
    /// The new transfers in the order of their numbers.
    pub transfers: Vec<TransferRow>,
    /// What happened to holds, in order.
    pub holds: Vec<HoldChange>,
}

impl Changes {
    /// Whether there is nothing to store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.transfers.is_empty() && self.holds.is_empty()
    }
}

/// Posted and pending turnover of one asset.
///
/// INVARIANT: their sum fits in 128 bits. No account's counters can exceed it, so no sum over
/// accounts can overflow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Turnover {
    pub(crate) asset: Asset,
    pub(crate) posted: Amount,
    pub(crate) pending: Amount,
}

/// One entry to make: two accounts, an amount, and the hold that it resolves if it resolves one.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) id: TransferId,
    pub(crate) kind: TransferKind,
    pub(crate) debit: AccountId,
    pub(crate) credit: AccountId,
    pub(crate) money: Money,
    pub(crate) pending: Option<u64>,
    /// How much leaves the pending counters: the whole hold, or zero.
    pub(crate) released: Amount,
}

/// The state before one entry, to go back to when a linked leg after it is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Before {
    debit: (usize, Account),
    credit: (usize, Account),
    turnover: (usize, Turnover),
}

/// The ledger: accounts, open holds and the changes not yet taken for storing.
///
/// Its size depends on the number of accounts and open holds, not on how many transfers there were.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ledger {
    pub(crate) accounts: Vec<Account>,
    pub(crate) index: HashMap<AccountId, u32>,
    pub(crate) holds: Holds,
    pub(crate) turnovers: Vec<Turnover>,
    pub(crate) next_number: u64,
    /// One flag for each account: whether `touched` has it.
    pub(crate) is_touched: Vec<bool>,
    touched: Vec<usize>,
    new_transfers: Vec<TransferRow>,
    pub(crate) hold_changes: Vec<HoldChange>,
    undo: Vec<Before>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl Ledger {
    /// The most linked legs of one operation.
    pub const LEGS_MAX: usize = 16;

    /// A ledger without accounts.
    #[must_use]
    pub fn new() -> Self {
        Self {
            accounts: Vec::new(),
            index: HashMap::new(),
            holds: Holds::default(),
            turnovers: Vec::new(),
            next_number: 1,
            is_touched: Vec::new(),
            touched: Vec::new(),
            new_transfers: Vec::new(),
            hold_changes: Vec::new(),
            undo: Vec::new(),
        }
    }

    /// An account with its present values.
    #[must_use]
    pub fn account(&self, id: &AccountId) -> Option<&Account> {
        self.place(id).and_then(|place| self.accounts.get(place))
    }

    /// All accounts in the order in which they were opened, or given to [`Ledger::from_rows`].
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = &Account> {
        self.accounts.iter()
    }

    /// An open hold.
    #[must_use]
    pub fn hold(&self, id: &TransferId) -> Option<&HoldRow> {
        self.holds.get(id)
    }

    /// All open holds in the order in which they will expire.
    pub fn holds(&self) -> impl Iterator<Item = &HoldRow> {
        self.holds.iter()
    }

    /// When the next open hold expires; `None` without open holds.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.holds.first().map(|hold| hold.expires)
    }

    /// The number that the next transfer will get.
    #[must_use]
    pub const fn next_number(&self) -> u64 {
        self.next_number
    }

    /// How much more of an asset can be moved, in minor units, before its turnover fills 128 bits.
    #[must_use]
    pub fn room(&self, asset: Asset) -> Amount {
        let turnover = self.turnovers.iter().find(|turnover| turnover.asset == asset);
        let used = turnover.and_then(|t| t.posted.plus(t.pending)).unwrap_or(Amount::ZERO);
        Amount::MAX.minus(used).unwrap_or(Amount::ZERO)
    }

    /// Sums over all accounts, one for each asset, in the order of assets. Reads every account.
    ///
    /// # Errors
    /// [`LedgerError::Overflow`] if a sum exceeds 128 bits, which `apply` does not let happen.
    pub fn totals(&self) -> Result<Vec<AssetTotal>, LedgerError> {
        totals(self.accounts.iter())
    }

    /// Everything that changed since the last take, to be stored in one transaction.
    pub fn take_changes(&mut self) -> Changes {
        let mut accounts = Vec::with_capacity(self.touched.len());
        for place in self.touched.drain(..) {
            accounts.extend(self.accounts.get(place));
            if let Some(flag) = self.is_touched.get_mut(place) {
                *flag = false;
            }
        }
        Changes {
            accounts,
            transfers: core::mem::take(&mut self.new_transfers),
            holds: core::mem::take(&mut self.hold_changes),
        }
    }

    /// Transfers made since the last take of changes.
    #[must_use]
    pub fn new_transfers(&self) -> &[TransferRow] {
        &self.new_transfers
    }

    pub(crate) fn place(&self, id: &AccountId) -> Option<usize> {
        self.index.get(id).and_then(|place| usize::try_from(*place).ok())
    }

    pub(crate) fn touch(&mut self, place: usize) {
        if let Some(flag) = self.is_touched.get_mut(place)
            && !*flag
        {
            *flag = true;
            self.touched.push(place);
        }
    }

    /// Puts an account in without counting it as changed; the caller has checked that its id is new.
    pub(crate) fn insert(&mut self, account: Account) -> Result<usize, LedgerError> {
        let place = self.accounts.len();
        let short = u32::try_from(place).map_err(|_| LedgerError::Overflow)?;
        self.index.insert(account.id, short);
        self.accounts.push(account);
        self.is_touched.push(false);
        if !self.turnovers.iter().any(|turnover| turnover.asset == account.asset) {
            let zero = Amount::ZERO;
            self.turnovers.push(Turnover { asset: account.asset, posted: zero, pending: zero });
        }
        Ok(place)
    }

    /// Makes one entry and remembers how to undo it. On `Err` nothing has changed.
    pub(crate) fn enter(
        &mut self,
        entry: &Entry,
        now: Instant,
    ) -> Result<TransferRow, LedgerError> {
        let number = self.next_number;
        let next_number = number.checked_add(1).ok_or(LedgerError::Overflow)?;
        if entry.debit == entry.credit {
            return Err(LedgerError::SameAccount(entry.debit));
        }
        let debit_at = self.place(&entry.debit).ok_or(LedgerError::UnknownDebit(entry.debit))?;
        let credit_at =
            self.place(&entry.credit).ok_or(LedgerError::UnknownCredit(entry.credit))?;
        let turnover_at = self.turnovers.iter().position(|t| t.asset == entry.money.asset);
        // Two known accounts with different ids have different places, so this always succeeds.
        let [debit, credit] = self
            .accounts
            .get_disjoint_mut([debit_at, credit_at])
            .map_err(|_| LedgerError::SameAccount(entry.debit))?;
        entry.check(debit, credit)?;
        // An account holds the asset, so its turnover is there.
        let turnover_at = turnover_at.ok_or(LedgerError::UnknownDebit(entry.debit))?;
        let turnover =
            self.turnovers.get_mut(turnover_at).ok_or(LedgerError::UnknownDebit(entry.debit))?;

        let (mut debit_after, mut credit_after) = (*debit, *credit);
        let turnover_after = entry.count(&mut debit_after, &mut credit_after, turnover)?;
        entry.check_after(debit, &debit_after, &credit_after)?;
        let row = entry.row(number, now, debit, credit);
        append(&mut debit_after, number, row.debit_chain)?;
        append(&mut credit_after, number, row.credit_chain)?;

        self.undo.push(Before {
            debit: (debit_at, *debit),
            credit: (credit_at, *credit),
            turnover: (turnover_at, *turnover),
        });
        (*debit, *credit, *turnover) = (debit_after, credit_after, turnover_after);
        self.next_number = next_number;
        self.new_transfers.push(row);
        Ok(row)
    }

    /// Lets the entries since the last `keep` or `roll_back` stand.
    pub(crate) fn keep(&mut self) {
        let mut kept = core::mem::take(&mut self.undo);
        for before in kept.drain(..) {
            self.touch(before.debit.0);
            self.touch(before.credit.0);
        }
        self.undo = kept; // with its capacity
    }

    /// Takes the entries since the last `keep` or `roll_back` back, the newest first.
    pub(crate) fn roll_back(&mut self) {
        while let Some(Before { debit, credit, turnover }) = self.undo.pop() {
            for (place, account) in [debit, credit] {
                if let Some(slot) = self.accounts.get_mut(place) {
                    *slot = account;
                }
            }
            if let Some(slot) = self.turnovers.get_mut(turnover.0) {
                *slot = turnover.1;
            }
            if let Some(row) = self.new_transfers.pop() {
                self.next_number = row.number;
            }
        }
    }
}

fn append(account: &mut Account, number: u64, head: Hash32) -> Result<(), LedgerError> {
    account.transfers = account.transfers.checked_add(1).ok_or(LedgerError::Overflow)?;
    account.last = number;
    account.chain = head;
    Ok(())
}

impl Entry {
    /// Releasing held money is always possible, also on a frozen account.
    const fn releases_only(&self) -> bool {
        matches!(self.kind, TransferKind::Void | TransferKind::Expire)
    }

    fn check(&self, debit: &Account, credit: &Account) -> Result<(), LedgerError> {
        let wanted = self.money.asset;
        if self.money.amount.is_zero() {
            return Err(LedgerError::ZeroAmount);
        }
        if debit.asset != wanted {
            return Err(LedgerError::DebitAssetMismatch { holds: debit.asset, wanted });
        }
        if credit.asset != wanted {
            return Err(LedgerError::CreditAssetMismatch { holds: credit.asset, wanted });
        }
        if debit.frozen.is_frozen() && !self.releases_only() {
            return Err(LedgerError::PayerFrozen);
        }
        if credit.frozen.is_frozen() && !self.releases_only() {
            return Err(LedgerError::PayeeFrozen);
        }
        Ok(())
    }

    /// Counts the entry in copies of both accounts and returns the turnover after it.
    fn count(
        &self,
        debit: &mut Account,
        credit: &mut Account,
        turnover: &Turnover,
    ) -> Result<Turnover, LedgerError> {
        let zero = Amount::ZERO;
        let (posted, held) = match self.kind {
            TransferKind::Transfer | TransferKind::Post | TransferKind::Reverse => {
                (self.money.amount, zero)
            }
            TransferKind::Hold => (zero, self.money.amount),
            TransferKind::Void | TransferKind::Expire => (zero, zero),
        };
        let after = |old_posted: Amount, old_pending: Amount| {
            let posted = old_posted.plus(posted)?;
            let pending = old_pending.plus(held)?.minus(self.released)?;
            posted.plus(pending).map(|_| (posted, pending))
        };
        let counted = (
            after(debit.debits_posted, debit.debits_pending),
            after(credit.credits_posted, credit.credits_pending),
            after(turnover.posted, turnover.pending),
        );
        let (Some(debits), Some(credits), Some(total)) = counted else {
            return Err(LedgerError::Overflow);
        };
        (debit.debits_posted, debit.debits_pending) = debits;
        (credit.credits_posted, credit.credits_pending) = credits;
        Ok(Turnover { asset: turnover.asset, posted: total.0, pending: total.1 })
    }

    /// Checks what must hold after the entry. Limits bind where money is first promised: a post was
    /// checked as a hold, and a reversal gives back what was once within the limits.
    fn check_after(
        &self,
        debit: &Account,
        debit_after: &Account,
        credit_after: &Account,
    ) -> Result<(), LedgerError> {
        let promises = matches!(self.kind, TransferKind::Transfer | TransferKind::Hold);
        if promises {
            debit.check_debit_limit(self.money.amount)?;
        }
        let spends = promises || self.kind == TransferKind::Reverse;
        if spends && debit_after.available().is_negative() && !debit.kind.may_go_negative() {
            let (available, needed) = (debit.available(), self.money.amount);
            return Err(LedgerError::InsufficientFunds { available, needed });
        }
        if promises { credit_after.check_balance_limit() } else { Ok(()) }
    }

    fn row(&self, number: u64, at: Instant, debit: &Account, credit: &Account) -> TransferRow {
        let mut row = TransferRow {
            number,
            id: self.id,
            kind: self.kind,
            debit: self.debit,
            credit: self.credit,
            money: self.money,
            at,
            pending: self.pending,
            prev_debit: debit.last,
            prev_credit: credit.last,
            debit_chain: Hash32::ZERO,
            credit_chain: Hash32::ZERO,
        };
        let bytes = row.linked_bytes();
        row.debit_chain = link(&bytes, &debit.chain, Side::Debit);
        row.credit_chain = link(&bytes, &credit.chain, Side::Credit);
        row
    }
}

/// Sums over accounts, one for each asset, in the order of assets.
///
/// # Errors
/// [`LedgerError::Overflow`] if a sum exceeds 128 bits, which no ledger comes to.
pub fn totals<'a>(
    accounts: impl Iterator<Item = &'a Account>,
) -> Result<Vec<AssetTotal>, LedgerError> {
    let mut totals = BTreeMap::new();
    for account in accounts {
        let total = totals.entry(account.asset).or_insert(AssetTotal::zero(account.asset));
        *total = total.add(account).ok_or(LedgerError::Overflow)?;
    }
    Ok(totals.into_values().collect())
}
