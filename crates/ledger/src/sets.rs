//! Account sets: groups of accounts and of other sets whose balances add up.
//!
//! A set's sums are kept up to date with each transfer; an account that belongs to no set costs
//! nothing. An account counts once in a set, however many ways lead there. The sums are not stored: a
//! start adds them up again.

use crate::apply::Applied;
use crate::keyed::Map;
use crate::slot::{Flag, Pending, Slot};
use crate::{Balance, Ledger, LedgerError};
use std::collections::BTreeSet;
use tpw_core::{AccountId, AccountSetId, Amount, Asset, Instant};

/// A set of accounts: the row to store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetRow {
    /// Its id.
    pub id: AccountSetId,
    /// The one asset that all its members hold.
    pub asset: Asset,
    /// When it was made.
    pub opened: Instant,
}

/// Who can belong to a set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Member {
    /// An account.
    Account(AccountId),
    /// Another set with all its members.
    Set(AccountSetId),
}

/// That a member belongs to a set: the row to store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Membership {
    /// The set.
    pub set: AccountSetId,
    /// Its member.
    pub member: Member,
}

/// A change of who belongs to a set, in the order in which it happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MembershipChange {
    /// The row is to be stored.
    Joined(Membership),
    /// The row is to be removed.
    Left(Membership),
}

/// The sums of a set, over all accounts that belong to it in whatever way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetBalance {
    /// The set.
    pub row: SetRow,
    /// How many accounts belong to it.
    pub accounts: u64,
    /// All posted debits, in minor units.
    pub debits_posted: Amount,
    /// All posted credits, in minor units.
    pub credits_posted: Amount,
    /// All pending debits, in minor units.
    pub debits_pending: Amount,
    /// All pending credits, in minor units.
    pub credits_pending: Amount,
}

impl SetBalance {
    const fn zero(row: SetRow) -> Self {
        let zero = Amount::ZERO;
        Self {
            row,
            accounts: 0,
            debits_posted: zero,
            credits_posted: zero,
            debits_pending: zero,
            credits_pending: zero,
        }
    }

    /// Posted credits less posted debits, in minor units.
    #[must_use]
    pub fn balance(&self) -> Balance {
        Balance::between(self.credits_posted, self.debits_posted)
    }

    /// The balance less what is held for open debits, in minor units.
    #[must_use]
    pub fn available(&self) -> Balance {
        Balance::free(self.credits_posted, self.debits_posted, self.debits_pending)
    }

    /// With what one account has instead of what it had. The accounts of a set are different ones, so
    /// no sum exceeds the asset's turnover.
    fn exchange(&mut self, had: &Sums, has: &Sums) {
        let of = |sum: &mut Amount, had: Amount, has: Amount| {
            let rest = sum.minus(had).unwrap_or(Amount::ZERO);
            *sum = rest.plus(has).unwrap_or(Amount::MAX);
        };
        of(&mut self.debits_posted, had.debits_posted, has.debits_posted);
        of(&mut self.credits_posted, had.credits_posted, has.credits_posted);
        of(&mut self.debits_pending, had.pending.debits, has.pending.debits);
        of(&mut self.credits_pending, had.pending.credits, has.pending.credits);
    }
}

/// What one account adds to a set.
#[derive(Clone, Copy)]
pub(crate) struct Sums {
    debits_posted: Amount,
    credits_posted: Amount,
    pending: Pending,
}

impl Sums {
    const ZERO: Self =
        Self { debits_posted: Amount::ZERO, credits_posted: Amount::ZERO, pending: Pending::ZERO };

    pub(crate) const fn of(slot: &Slot, pending: Pending) -> Self {
        let (debits_posted, credits_posted) = (slot.debits_posted, slot.credits_posted);
        Self { debits_posted, credits_posted, pending }
    }
}

/// A set with who belongs to it and to whom it belongs, by place.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Group {
    balance: SetBalance,
    accounts: BTreeSet<usize>,
    children: BTreeSet<usize>,
    parents: BTreeSet<usize>,
}

/// All sets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Groups {
    groups: Vec<Group>,
    index: Map<AccountSetId, usize>,
    /// The sets to which an account belongs directly.
    direct: Map<usize, BTreeSet<usize>>,
    /// The sets to which it belongs in whatever way.
    all: Map<usize, BTreeSet<usize>>,
}

impl Groups {
    fn place(&self, id: &AccountSetId) -> Result<usize, LedgerError> {
        self.index.get(id).copied().ok_or(LedgerError::UnknownSet(*id))
    }

    fn asset(&self, place: usize) -> Option<Asset> {
        self.groups.get(place).map(|group| group.balance.row.asset)
    }

    fn add(&mut self, row: SetRow) -> Result<(), LedgerError> {
        if self.index.contains_key(&row.id) {
            return Err(LedgerError::SetExists(row.id));
        }
        self.index.insert(row.id, self.groups.len());
        let none = BTreeSet::new;
        let balance = SetBalance::zero(row);
        self.groups.push(Group { balance, accounts: none(), children: none(), parents: none() });
        Ok(())
    }

    /// The places that `next` leads to from some places, and how many steps the longest way takes.
    /// Sets are at most [`Ledger::SET_LEVELS_MAX`] levels deep, so this ends.
    fn reach(
        &self,
        from: BTreeSet<usize>,
        next: impl Fn(&Group) -> &BTreeSet<usize>,
    ) -> (BTreeSet<usize>, usize) {
        let (mut reached, mut frontier, mut steps) = (from.clone(), from, 0_usize);
        while !frontier.is_empty() && steps <= Ledger::SET_LEVELS_MAX {
            steps = steps.saturating_add(1);
            let groups = frontier.iter().filter_map(|place| self.groups.get(*place));
            frontier = groups.flat_map(|group| next(group).iter().copied()).collect();
            reached.extend(&frontier);
        }
        (reached, steps)
    }

    /// A set and all to which it belongs, and how many levels that is.
    fn upward(&self, place: usize) -> (BTreeSet<usize>, usize) {
        self.reach(BTreeSet::from([place]), |group| &group.parents)
    }

    /// A set and all that belong to it, and how many levels that is.
    fn downward(&self, place: usize) -> (BTreeSet<usize>, usize) {
        self.reach(BTreeSet::from([place]), |group| &group.children)
    }

    /// The accounts that belong to a set in whatever way.
    fn accounts_under(&self, place: usize) -> BTreeSet<usize> {
        let (sets, _) = self.downward(place);
        let groups = sets.iter().filter_map(|place| self.groups.get(*place));
        groups.flat_map(|group| group.accounts.iter().copied()).collect()
    }

    fn check_child(&self, set: usize, child: usize) -> Result<(), LedgerError> {
        let (ancestors, above) = self.upward(set);
        if ancestors.contains(&child) {
            return Err(LedgerError::SetCycle);
        }
        let (_, below) = self.downward(child);
        if above.saturating_add(below) > Ledger::SET_LEVELS_MAX {
            return Err(LedgerError::SetTooDeep);
        }
        Ok(())
    }

    /// Follows a change of an account's counters.
    pub(crate) fn follow(&mut self, account: usize, had: &Sums, has: &Sums) {
        let Some(sets) = self.all.get(&account) else { return };
        for set in sets {
            if let Some(group) = self.groups.get_mut(*set) {
                group.balance.exchange(had, has);
            }
        }
    }

    /// Finds anew to which sets an account belongs, and adds it to or takes it from their sums.
    fn refresh(&mut self, account: usize, has: &Sums) {
        let direct = self.direct.get(&account).cloned().unwrap_or_default();
        let (after, _) = self.reach(direct, |group| &group.parents);
        let before = self.all.get(&account).cloned().unwrap_or_default();
        for set in after.difference(&before) {
            if let Some(group) = self.groups.get_mut(*set) {
                group.balance.accounts = group.balance.accounts.saturating_add(1);
                group.balance.exchange(&Sums::ZERO, has);
            }
        }
        for set in before.difference(&after) {
            if let Some(group) = self.groups.get_mut(*set) {
                group.balance.accounts = group.balance.accounts.saturating_sub(1);
                group.balance.exchange(has, &Sums::ZERO);
            }
        }
        if after.is_empty() {
            self.all.remove(&account);
            self.direct.remove(&account);
        } else {
            self.all.insert(account, after);
        }
    }

    /// Adds or removes a direct membership; whether that changed anything.
    fn link(&mut self, set: usize, member: Place, change: Change) -> bool {
        let put = |places: &mut BTreeSet<usize>, place: usize| match change {
            Change::Join => places.insert(place),
            Change::Leave => places.remove(&place),
        };
        let Some(group) = self.groups.get_mut(set) else { return false };
        match member {
            Place::Account(account) => {
                let changed = put(&mut group.accounts, account);
                if changed {
                    put(self.direct.entry(account).or_default(), set);
                }
                changed
            }
            Place::Set(child) => {
                let changed = put(&mut group.children, child);
                if let Some(child) = self.groups.get_mut(child) {
                    put(&mut child.parents, set);
                }
                changed
            }
        }
    }

    /// The accounts whose belonging a change of a member's changes.
    fn concerned(&self, member: Place) -> BTreeSet<usize> {
        match member {
            Place::Account(account) => BTreeSet::from([account]),
            Place::Set(child) => self.accounts_under(child),
        }
    }
}

#[derive(Clone, Copy)]
enum Place {
    Account(usize),
    Set(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Join,
    Leave,
}

impl Ledger {
    /// How many levels of sets may lie within each other.
    pub const SET_LEVELS_MAX: usize = 8;

    /// A set with its sums.
    #[must_use]
    pub fn set(&self, id: &AccountSetId) -> Option<SetBalance> {
        let place = self.groups.index.get(id)?;
        self.groups.groups.get(*place).map(|group| group.balance)
    }

    /// All sets with their sums, in the order in which they were made.
    pub fn sets(&self) -> impl ExactSizeIterator<Item = SetBalance> {
        self.groups.groups.iter().map(|group| group.balance)
    }

    /// The direct members of a set, sets first; none of an unknown set.
    pub fn members(&self, id: &AccountSetId) -> impl Iterator<Item = Member> {
        let group = self.groups.index.get(id).and_then(|place| self.groups.groups.get(*place));
        let places = group.map(|group| (&group.children, &group.accounts));
        let sets = places.into_iter().flat_map(|(children, _)| children);
        let accounts = places.into_iter().flat_map(|(_, accounts)| accounts);
        let sets = sets.filter_map(|place| self.groups.groups.get(*place));
        let accounts = accounts.filter_map(|place| self.slots.get(*place));
        let sets = sets.map(|group| Member::Set(group.balance.row.id));
        sets.chain(accounts.map(|slot| Member::Account(slot.id)))
    }

    pub(crate) fn open_set(
        &mut self,
        id: AccountSetId,
        asset: Asset,
        now: Instant,
    ) -> Result<Applied, LedgerError> {
        let row = SetRow { id, asset, opened: now };
        self.groups.add(row)?;
        self.new_sets.push(row);
        Ok(Applied::NOTHING)
    }

    pub(crate) fn join(&mut self, membership: &Membership) -> Result<Applied, LedgerError> {
        self.change_set(membership, Change::Join)?;
        self.new_memberships.push(MembershipChange::Joined(*membership));
        Ok(Applied::NOTHING)
    }

    pub(crate) fn leave(&mut self, membership: &Membership) -> Result<Applied, LedgerError> {
        self.change_set(membership, Change::Leave)?;
        self.new_memberships.push(MembershipChange::Left(*membership));
        Ok(Applied::NOTHING)
    }

    fn change_set(&mut self, membership: &Membership, change: Change) -> Result<(), LedgerError> {
        let set = self.groups.place(&membership.set)?;
        let asset = self.groups.asset(set);
        let (member, holds) = match membership.member {
            Member::Account(id) => {
                let place = self.place(&id).ok_or(LedgerError::UnknownAccount(id))?;
                (Place::Account(place), self.account_at(place).map(|account| account.asset))
            }
            Member::Set(id) => {
                let place = self.groups.place(&id)?;
                (Place::Set(place), self.groups.asset(place))
            }
        };
        if holds != asset {
            return Err(LedgerError::SetAssetMismatch);
        }
        if let (Change::Join, Place::Set(child)) = (change, member) {
            self.groups.check_child(set, child)?;
        }
        if !self.groups.link(set, member, change) {
            return Err(match change {
                Change::Join => LedgerError::AlreadyMember,
                Change::Leave => LedgerError::NotMember,
            });
        }
        for account in self.groups.concerned(member) {
            self.refresh_account(account);
        }
        Ok(())
    }

    fn refresh_account(&mut self, place: usize) {
        let Some(slot) = self.slots.get(place) else { return };
        let sums = Sums::of(slot, self.pending_of(place, slot));
        self.groups.refresh(place, &sums);
        let grouped = self.groups.all.contains_key(&place);
        if let Some(slot) = self.slots.get_mut(place) {
            slot.set(Flag::Grouped, grouped);
        }
    }

    /// Takes in a stored set.
    pub(crate) fn restore_set(&mut self, row: SetRow) -> Result<(), LedgerError> {
        self.groups.add(row).map_err(|_| LedgerError::CorruptRows("a set appears twice"))
    }

    /// Takes in who belongs to a set; replayed transfers are followed from then on.
    pub(crate) fn restore_membership(&mut self, row: &Membership) -> Result<(), LedgerError> {
        let corrupt = |_| LedgerError::CorruptRows("a set's member does not fit the set");
        self.change_set(row, Change::Join).map_err(corrupt)
    }
}
