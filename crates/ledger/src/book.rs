//! The ledger's state: what it holds, how it is read, and what it hands over for storing.

use crate::entry::Before;
use crate::hold::{HoldChanges, Holds};
use crate::index::Index;
use crate::keyed::Map;
use crate::pace::{PaceBefore, Paces};
use crate::sets::Groups;
use crate::slot::{Flag, Pending, Shared, Slot};
use crate::slots::Slots;
use crate::{
    Account, Crossing, HoldChange, HoldRow, LedgerError, Limits, Mark, MembershipChange, SetRow,
    TransferRow, VelocityRow, Watch, WatchRow,
};
use core::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};
use tpw_core::{AccountId, Amount, Asset, Instant};

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
///
/// Rows of accounts are written lazily: see [`Ledger::SAVE_WINDOW`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// The touched accounts with their present values, each once, in the order of first touch: for
    /// whoever shows balances. They need not be stored.
    pub accounts: Vec<Account>,
    /// The account rows to store now, each once: new, changed otherwise than by transfers, or with
    /// transfers that a start would not replay.
    pub saves: Vec<Account>,
    /// The new transfers in the order of their numbers.
    pub transfers: Vec<TransferRow>,
    /// What became of holds: those resolved that are stored, then those opened that are still open. A
    /// hold opened and resolved since the last take is absent.
    pub holds: Vec<HoldChange>,
    /// The new marks in the order of their transfers.
    pub marks: Vec<Mark>,
    /// The velocity rows to store now, by account and place.
    pub velocities: Vec<VelocityRow>,
    /// The new sets.
    pub sets: Vec<SetRow>,
    /// Who joined or left a set, in order.
    pub memberships: Vec<MembershipChange>,
    /// The watches to store now, by account.
    pub watches: Vec<WatchRow>,
    /// The thresholds that were crossed, in order: for whoever is to be told.
    pub crossings: Vec<Crossing>,
}

impl Changes {
    /// Whether there is nothing to store and nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
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

/// The ledger: accounts, open holds and the changes not yet taken for storing.
///
/// Its size depends on the number of accounts and open holds, not on how many transfers there were.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(crate) slots: Slots,
    pub(crate) index: Index,
    /// What open holds will move, of the accounts that have any.
    pub(crate) pending: Map<usize, Pending>,
    pub(crate) limits: Shared<Limits>,
    pub(crate) holds: Holds,
    pub(crate) turnovers: Vec<Turnover>,
    pub(crate) next_number: u64,
    touched: Vec<usize>,
    /// Accounts whose rows are to be stored with the next take.
    saving: Vec<usize>,
    /// Accounts with transfers that their stored rows lack, by the number of the first of these.
    unsaved: VecDeque<(u64, usize)>,
    save_window: u64,
    pub(crate) new_transfers: Vec<TransferRow>,
    pub(crate) hold_changes: HoldChanges,
    pub(crate) new_marks: Vec<Mark>,
    pub(crate) paces: Map<usize, Paces>,
    /// Accounts whose velocity limits were set since the last take.
    pub(crate) new_paces: Vec<usize>,
    pub(crate) watches: Map<usize, Watch>,
    pub(crate) new_watches: Vec<WatchRow>,
    pub(crate) new_crossings: Vec<Crossing>,
    pub(crate) groups: Groups,
    pub(crate) new_sets: Vec<SetRow>,
    pub(crate) new_memberships: Vec<MembershipChange>,
    pub(crate) undo: Vec<Before>,
    pub(crate) pace_undo: Vec<PaceBefore>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

/// Two ledgers are equal when they hold the same and have the same to hand over. When rows of accounts
/// will be due for saving is no part of that.
impl PartialEq for Ledger {
    fn eq(&self, other: &Self) -> bool {
        self.accounts().eq(other.accounts())
            && self.holds.iter().eq(other.holds.iter())
            && self.turnovers == other.turnovers
            && self.next_number == other.next_number
            && self.touched == other.touched
            && self.saving == other.saving
            && self.new_transfers == other.new_transfers
            && self.hold_changes == other.hold_changes
            && self.new_marks == other.new_marks
            && self.paces == other.paces
            && self.new_paces == other.new_paces
            && self.watches == other.watches
            && self.new_watches == other.new_watches
            && self.new_crossings == other.new_crossings
            && self.groups == other.groups
            && self.new_sets == other.new_sets
            && self.new_memberships == other.new_memberships
    }
}

impl Eq for Ledger {}

impl Ledger {
    /// The most linked legs of one operation.
    pub const LEGS_MAX: usize = 16;

    /// How many transfers a stored account row may be behind.
    ///
    /// An account's row is handed over when it is new or changed otherwise than by transfers, and else
    /// only when the oldest transfer that it lacks is more than this many numbers old. A start replays
    /// the transfers since then, which are stored anyway: a busy account costs one row in this many
    /// transfers instead of one in each batch.
    pub const SAVE_WINDOW: u64 = 131_072;

    /// A ledger without accounts.
    #[must_use]
    pub fn new() -> Self {
        Self {
            slots: Slots::default(),
            index: Index::default(),
            pending: Map::default(),
            limits: Shared::new(),
            holds: Holds::default(),
            turnovers: Vec::new(),
            next_number: 1,
            touched: Vec::new(),
            saving: Vec::new(),
            unsaved: VecDeque::new(),
            save_window: Self::SAVE_WINDOW,
            new_transfers: Vec::new(),
            hold_changes: HoldChanges::default(),
            new_marks: Vec::new(),
            paces: Map::default(),
            new_paces: Vec::new(),
            watches: Map::default(),
            new_watches: Vec::new(),
            new_crossings: Vec::new(),
            groups: Groups::default(),
            new_sets: Vec::new(),
            new_memberships: Vec::new(),
            undo: Vec::new(),
            pace_undo: Vec::new(),
        }
    }

    /// Has rows of accounts saved earlier, when they are this many numbers behind; at most
    /// [`Ledger::SAVE_WINDOW`], which every start allows for.
    pub fn set_save_window(&mut self, numbers: u64) {
        self.save_window = numbers.min(Self::SAVE_WINDOW);
    }

    /// An account with its present values.
    #[must_use]
    pub fn account(&self, id: &AccountId) -> Option<Account> {
        self.place(id).and_then(|place| self.account_at(place))
    }

    /// What an account is.
    #[must_use]
    pub fn kind(&self, id: &AccountId) -> Option<crate::AccountKind> {
        self.place(id).and_then(|place| self.slots.get(place)).map(|slot| slot.kind)
    }

    /// All accounts in the order in which they were opened, or given to [`Ledger::restoring`].
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = Account> {
        Accounts { ledger: self, next: 0 }
    }

    /// An open hold.
    #[must_use]
    pub fn hold(&self, id: &tpw_core::TransferId) -> Option<&HoldRow> {
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

    /// Sums over all accounts, one for each asset, in the order of assets. Reads every account.
    ///
    /// # Errors
    /// [`LedgerError::Overflow`] if a sum exceeds 128 bits, which `apply` does not let happen.
    pub fn totals(&self) -> Result<Vec<AssetTotal>, LedgerError> {
        totals(self.accounts())
    }

    /// Everything that changed since the last take, to be stored in one transaction.
    pub fn take_changes(&mut self) -> Changes {
        let mut touched = core::mem::take(&mut self.touched);
        let accounts = self.views(&touched, Flag::Touched);
        touched.clear();
        self.touched = touched; // with its capacity
        self.save_older_than(self.save_window);
        let saving = core::mem::take(&mut self.saving);
        // The next batch is likely to be as long as this one.
        let room = Vec::with_capacity(self.new_transfers.len().min(ROOM_MAX));
        Changes {
            accounts,
            saves: self.views(&saving, Flag::Saving),
            transfers: core::mem::replace(&mut self.new_transfers, room),
            holds: self.hold_changes.take(),
            marks: core::mem::take(&mut self.new_marks),
            velocities: self.take_velocities(&saving),
            sets: core::mem::take(&mut self.new_sets),
            memberships: core::mem::take(&mut self.new_memberships),
            watches: core::mem::take(&mut self.new_watches),
            crossings: core::mem::take(&mut self.new_crossings),
        }
    }

    /// Has the next take save every account that its stored row lacks something of, so that a start
    /// from there replays nothing.
    pub fn save_all(&mut self) {
        self.save_older_than(0);
    }

    /// The accounts that their stored rows lack something of, with their present values.
    pub fn unsaved(&self) -> impl Iterator<Item = Account> {
        self.unsaved.iter().filter_map(|(_first, place)| self.account_at(*place))
    }

    fn save_older_than(&mut self, window: u64) {
        while let Some((first, place)) = self.unsaved.front().copied()
            && self.next_number.saturating_sub(first) > window
        {
            self.unsaved.pop_front();
            if let Some(slot) = self.slots.get_mut(place) {
                slot.set(Flag::Unsaved, false);
            }
            self.save(place);
        }
    }

    /// Transfers made since the last take of changes.
    #[must_use]
    pub fn new_transfers(&self) -> &[TransferRow] {
        &self.new_transfers
    }

    /// Crossings since the last take of changes.
    #[must_use]
    pub fn new_crossings(&self) -> &[Crossing] {
        &self.new_crossings
    }

    /// Accounts with their present values; the flag that brought them onto the list is taken away.
    fn views(&mut self, places: &[usize], flag: Flag) -> Vec<Account> {
        let mut accounts = Vec::with_capacity(places.len());
        for place in places {
            accounts.extend(self.account_at(*place));
            if let Some(slot) = self.slots.get_mut(*place) {
                slot.set(flag, false);
            }
        }
        accounts
    }

    pub(crate) fn account_at(&self, place: usize) -> Option<Account> {
        let slot = self.slots.get(place)?;
        let asset = self.turnovers.get(usize::from(slot.asset))?.asset;
        let pending = self.pending_of(place, slot);
        Some(Account {
            id: slot.id,
            asset,
            kind: slot.kind,
            owner: slot.owner(),
            state: slot.state(),
            frozen: slot.frozen,
            limits: self.limits.get(slot.limits).unwrap_or(Limits::NONE),
            debits_posted: slot.debits_posted,
            credits_posted: slot.credits_posted,
            debits_pending: pending.debits,
            credits_pending: pending.credits,
            transfers: slot.transfers,
            last: slot.last,
            chain: slot.chain,
            opened: slot.opened(),
        })
    }

    pub(crate) fn pending_of(&self, place: usize, slot: &Slot) -> Pending {
        if slot.has(Flag::Pending) {
            self.pending.get(&place).copied().unwrap_or(Pending::ZERO)
        } else {
            Pending::ZERO
        }
    }

    pub(crate) fn place(&self, id: &AccountId) -> Option<usize> {
        self.index.find(id, &self.slots)
    }

    /// Notes that an account has other values than at the last take.
    pub(crate) fn touch(&mut self, place: usize) {
        if let Some(slot) = self.slots.get_mut(place)
            && !slot.has(Flag::Touched)
        {
            slot.set(Flag::Touched, true);
            self.touched.push(place);
        }
    }

    /// Notes that an account's row is to be stored with the next take.
    pub(crate) fn save(&mut self, place: usize) {
        if let Some(slot) = self.slots.get_mut(place)
            && !slot.has(Flag::Saving)
        {
            slot.set(Flag::Saving, true);
            self.saving.push(place);
        }
    }

    /// Notes that an account's stored row lacks the transfer with this number.
    pub(crate) fn lag(&mut self, place: usize, number: u64) {
        if let Some(slot) = self.slots.get_mut(place)
            && !slot.has(Flag::Unsaved)
        {
            slot.set(Flag::Unsaved, true);
            self.unsaved.push_back((number, place));
        }
    }

    /// The place of an asset in the table of turnovers, where it is put if it is new.
    pub(crate) fn asset_place(&mut self, asset: Asset) -> Result<u16, LedgerError> {
        let known = self.turnovers.iter().position(|turnover| turnover.asset == asset);
        let place = u16::try_from(known.unwrap_or(self.turnovers.len()));
        let place = place.map_err(|_| LedgerError::Overflow)?;
        if known.is_none() {
            let zero = Amount::ZERO;
            self.turnovers.push(Turnover { asset, posted: zero, pending: zero });
        }
        Ok(place)
    }

    /// The place of limits among those in use, with one more user.
    pub(crate) fn limits_place(&mut self, limits: Limits) -> Result<u32, LedgerError> {
        if limits == Limits::NONE {
            return Ok(0);
        }
        self.limits.take(limits).ok_or(LedgerError::Overflow)
    }

    /// The place of an account that is not closed.
    pub(crate) fn usable(&self, id: &AccountId) -> Result<usize, LedgerError> {
        let place = self.place(id).ok_or(LedgerError::UnknownAccount(*id))?;
        let closed = self.slots.get(place).is_none_or(|slot| slot.has(Flag::Closed));
        if closed { Err(LedgerError::AccountClosed(*id)) } else { Ok(place) }
    }

    /// Puts an account in without counting it as changed; the caller has checked that its id is new.
    pub(crate) fn insert(&mut self, slot: Slot) -> Result<usize, LedgerError> {
        self.slots.push(slot);
        self.index.add(&self.slots).ok_or(LedgerError::Overflow)
    }

    /// Takes accounts out again that were put in and have nothing: those from a place on, and the
    /// assets that came with them.
    pub(crate) fn take_out(&mut self, first: usize, assets: usize) {
        while self.slots.len() > first {
            self.index.remove_last(&self.slots);
            if let Some(slot) = self.slots.pop() {
                self.limits.release(slot.limits);
            }
        }
        self.turnovers.truncate(assets);
    }
}

/// For how many transfers there is room at the beginning of a batch, at most.
const ROOM_MAX: usize = 8_192;

struct Accounts<'l> {
    ledger: &'l Ledger,
    next: usize,
}

impl Iterator for Accounts<'_> {
    type Item = Account;

    fn next(&mut self) -> Option<Account> {
        let account = self.ledger.account_at(self.next)?;
        self.next = self.next.saturating_add(1);
        Some(account)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.ledger.slots.len().saturating_sub(self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Accounts<'_> {}

/// Sums over accounts, one for each asset, in the order of assets.
///
/// # Errors
/// [`LedgerError::Overflow`] if a sum exceeds 128 bits, which no ledger comes to.
pub fn totals<A: Borrow<Account>>(
    accounts: impl Iterator<Item = A>,
) -> Result<Vec<AssetTotal>, LedgerError> {
    let mut totals = BTreeMap::new();
    for account in accounts {
        let account = account.borrow();
        let total = totals.entry(account.asset).or_insert(AssetTotal::zero(account.asset));
        *total = total.add(account).ok_or(LedgerError::Overflow)?;
    }
    Ok(totals.into_values().collect())
}
