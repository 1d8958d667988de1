//! How one entry is made in the ledger, and how entries are taken back.

use crate::book::Turnover;
use crate::sets::Sums;
use crate::slot::{Flag, Pending, Slot};
use crate::transfer::link;
use crate::{Balance, Ledger, LedgerError, Limit, Limits, Mark, Side, TransferKind, TransferRow};
use tpw_core::{AccountId, Amount, Hash32, Instant, Money, TransferId};

/// One entry to make: two accounts, an amount, and the hold that it resolves if it resolves one.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) id: TransferId,
    pub(crate) kind: TransferKind,
    pub(crate) debit: AccountId,
    pub(crate) credit: AccountId,
    pub(crate) money: Money,
    pub(crate) effective: Option<Instant>,
    pub(crate) pending: Option<u64>,
    /// How much leaves the pending counters: the whole hold, or zero.
    pub(crate) released: Amount,
}

/// One account of an entry, as a copy to work on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party {
    pub(crate) place: usize,
    pub(crate) slot: Slot,
    pub(crate) pending: Pending,
}

/// The state before one entry, to go back to when a linked leg after it is refused.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    number: u64,
    debit: Party,
    credit: Party,
    turnover: Turnover,
}

/// What an entry adds to posted and pending sums, and takes from the latter.
#[derive(Clone, Copy)]
pub(crate) struct Counts {
    posted: Amount,
    held: Amount,
    released: Amount,
}

impl Counts {
    pub(crate) const fn of(kind: TransferKind, amount: Amount, released: Amount) -> Self {
        let zero = Amount::ZERO;
        match kind {
            TransferKind::Transfer | TransferKind::Post | TransferKind::Reverse => {
                Self { posted: amount, held: zero, released }
            }
            TransferKind::Hold => Self { posted: zero, held: amount, released },
            TransferKind::Void | TransferKind::Expire => {
                Self { posted: zero, held: zero, released }
            }
        }
    }

    /// Posted and pending sums before the entry; `None` when they cannot have been.
    pub(crate) fn take(&self, posted: &mut Amount, pending: &mut Amount) -> Option<()> {
        let posted_before = posted.minus(self.posted)?;
        let pending_before = pending.plus(self.released)?.minus(self.held)?;
        (*posted, *pending) = (posted_before, pending_before);
        Some(())
    }

    /// Posted and pending sums after the entry; `None` when they do not fit together in 128 bits or
    /// more is released than is pending.
    fn add(&self, posted: &mut Amount, pending: &mut Amount) -> Option<()> {
        let posted_after = posted.plus(self.posted)?;
        let pending_after = pending.plus(self.held)?.minus(self.released)?;
        posted_after.plus(pending_after)?;
        (*posted, *pending) = (posted_after, pending_after);
        Some(())
    }
}

impl Party {
    pub(crate) fn count(&mut self, side: Side, counts: &Counts) -> Option<()> {
        match side {
            Side::Debit => counts.add(&mut self.slot.debits_posted, &mut self.pending.debits),
            Side::Credit => counts.add(&mut self.slot.credits_posted, &mut self.pending.credits),
        }
    }

    pub(crate) fn append(&mut self, number: u64, head: Hash32) -> Option<()> {
        self.slot.transfers = self.slot.transfers.checked_add(1)?;
        self.slot.last = number;
        self.slot.chain = head;
        Some(())
    }

    fn balance(&self) -> Balance {
        Balance::between(self.slot.credits_posted, self.slot.debits_posted)
    }

    fn available(&self) -> Balance {
        Balance::free(self.slot.credits_posted, self.slot.debits_posted, self.pending.debits)
    }

    /// The balance if all open holds are voided but those that bring money in.
    fn most(&self) -> Result<Balance, LedgerError> {
        let credits = self.slot.credits_posted.plus(self.pending.credits);
        Ok(Balance::between(credits.ok_or(LedgerError::Overflow)?, self.slot.debits_posted))
    }

    fn mark(&self, at: Instant) -> Mark {
        Mark {
            account: self.slot.id,
            transfers: self.slot.transfers,
            number: self.slot.last,
            at,
            debits_posted: self.slot.debits_posted,
            credits_posted: self.slot.credits_posted,
            debits_pending: self.pending.debits,
            credits_pending: self.pending.credits,
        }
    }
}

impl Ledger {
    pub(crate) fn party(&self, id: &AccountId) -> Option<Party> {
        let place = self.place(id)?;
        let slot = *self.slots.get(place)?;
        Some(Party { place, slot, pending: self.pending_of(place, &slot) })
    }

    /// Puts a party's values back into the ledger.
    pub(crate) fn put(&mut self, party: &Party) {
        let Party { place, mut slot, pending } = *party;
        let holds = pending != Pending::ZERO;
        if holds {
            self.pending.insert(place, pending);
        } else if slot.has(Flag::Pending)
            || self.slots.get(place).is_some_and(|s| s.has(Flag::Pending))
        {
            self.pending.remove(&place);
        }
        slot.set(Flag::Pending, holds);
        if let Some(to) = self.slots.get_mut(place) {
            *to = slot;
        }
    }

    fn limits_of(&self, party: &Party) -> Limits {
        self.limits.get(party.slot.limits).unwrap_or(Limits::NONE)
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
        let debit = self.party(&entry.debit).ok_or(LedgerError::UnknownDebit(entry.debit))?;
        let credit = self.party(&entry.credit).ok_or(LedgerError::UnknownCredit(entry.credit))?;
        self.check(entry, &debit.slot, &credit.slot, now)?;

        let (mut debit_after, mut credit_after) = (debit, credit);
        let counts = Counts::of(entry.kind, entry.money.amount, entry.released);
        let turnover_place = usize::from(debit.slot.asset);
        let turnover = *self.turnovers.get(turnover_place).ok_or(LedgerError::Overflow)?;
        let mut turnover_after = turnover;
        debit_after.count(Side::Debit, &counts).ok_or(LedgerError::Overflow)?;
        credit_after.count(Side::Credit, &counts).ok_or(LedgerError::Overflow)?;
        counts
            .add(&mut turnover_after.posted, &mut turnover_after.pending)
            .ok_or(LedgerError::Overflow)?;
        self.check_after(entry, &debit, &debit_after, &credit_after)?;
        let paces = if debit.slot.has(Flag::Paced) && entry.kind.promises() {
            Some(self.check_paces(debit.place, entry.money.amount, now)?)
        } else {
            None
        };

        let row = entry.row(number, now, &debit.slot, &credit.slot);
        debit_after.append(number, row.debit_chain).ok_or(LedgerError::Overflow)?;
        credit_after.append(number, row.credit_chain).ok_or(LedgerError::Overflow)?;

        self.undo.push(Before { number, debit, credit, turnover });
        if let Some(paces) = paces {
            self.pace(number, debit.place, paces);
        }
        for party in [&debit_after, &credit_after] {
            self.put(party);
            if party.slot.transfers.is_multiple_of(Mark::EVERY) {
                self.new_marks.push(party.mark(now));
            }
        }
        if let Some(slot) = self.turnovers.get_mut(turnover_place) {
            *slot = turnover_after;
        }
        self.next_number = next_number;
        self.new_transfers.push(row);
        Ok(row)
    }

    /// Lets the entries since the last `keep` or `roll_back` stand.
    pub(crate) fn keep(&mut self, now: Instant) {
        let mut kept = core::mem::take(&mut self.undo);
        for (leg, before) in kept.iter().enumerate() {
            for party in [&before.debit, &before.credit] {
                self.touch(party.place);
                self.lag(party.place, before.number);
                if party.slot.has(Flag::Watched) || party.slot.has(Flag::Grouped) {
                    let earlier = kept.iter().take(leg).flat_map(|b| [&b.debit, &b.credit]);
                    self.follow(party, earlier, now);
                }
            }
        }
        kept.clear();
        self.undo = kept; // with its capacity
        self.pace_undo.clear();
    }

    /// Brings what depends on a balance up to date, once for each account.
    fn follow<'p>(
        &mut self,
        before: &Party,
        mut earlier: impl Iterator<Item = &'p Party>,
        now: Instant,
    ) {
        if earlier.any(|party| party.place == before.place) {
            return;
        }
        if let Some(slot) = self.slots.get(before.place).filter(|slot| slot.has(Flag::Grouped)) {
            let has = Sums::of(slot, self.pending_of(before.place, slot));
            self.groups.follow(before.place, &Sums::of(&before.slot, before.pending), &has);
        }
        if before.slot.has(Flag::Watched) {
            self.look(before.place, Some(before.balance()), now);
        }
    }

    /// Takes the entries since the last `keep` or `roll_back` back, the newest first.
    pub(crate) fn roll_back(&mut self) {
        while let Some(Before { number, debit, credit, turnover }) = self.undo.pop() {
            self.put(&debit);
            self.put(&credit);
            if let Some(slot) = self.turnovers.get_mut(usize::from(debit.slot.asset)) {
                *slot = turnover;
            }
            while self.new_marks.pop_if(|mark| mark.number >= number).is_some() {}
            self.unpace(number);
            self.new_transfers.pop();
            self.next_number = number;
        }
    }

    /// Checks what must hold before the entry.
    fn check(
        &self,
        entry: &Entry,
        debit: &Slot,
        credit: &Slot,
        now: Instant,
    ) -> Result<(), LedgerError> {
        let wanted = entry.money.asset;
        if entry.money.amount.is_zero() {
            return Err(LedgerError::ZeroAmount);
        }
        if entry.effective.is_some_and(|effective| effective > now) {
            return Err(LedgerError::EffectiveAfterBooking);
        }
        let asset_of = |slot: &Slot| self.turnovers.get(usize::from(slot.asset)).map(|t| t.asset);
        let holds = asset_of(debit).ok_or(LedgerError::Overflow)?;
        if holds != wanted {
            return Err(LedgerError::DebitAssetMismatch { holds, wanted });
        }
        if credit.asset != debit.asset {
            let holds = asset_of(credit).ok_or(LedgerError::Overflow)?;
            return Err(LedgerError::CreditAssetMismatch { holds, wanted });
        }
        if entry.releases_only() {
            return Ok(());
        }
        match () {
            () if debit.has(Flag::Closed) => Err(LedgerError::PayerClosed),
            () if credit.has(Flag::Closed) => Err(LedgerError::PayeeClosed),
            () if debit.frozen.is_frozen() => Err(LedgerError::PayerFrozen),
            () if credit.frozen.is_frozen() => Err(LedgerError::PayeeFrozen),
            () => Ok(()),
        }
    }

    /// Checks what must hold after the entry. Limits bind where money is first promised: a post was
    /// checked as a hold, and a reversal gives back what was once within the limits.
    fn check_after(
        &self,
        entry: &Entry,
        debit: &Party,
        debit_after: &Party,
        credit_after: &Party,
    ) -> Result<(), LedgerError> {
        let promises = entry.kind.promises();
        let amount = entry.money.amount;
        if promises
            && let Some(max) = self.limits_of(debit).debit_max_per_transfer()
            && amount > max
        {
            return Err(LedgerError::LimitExceeded { limit: Limit::DebitPerTransfer, max });
        }
        let spends = promises || entry.kind == TransferKind::Reverse;
        if spends && debit_after.available().is_negative() && !debit.slot.kind.may_go_negative() {
            let (available, needed) = (debit.available(), amount);
            return Err(LedgerError::InsufficientFunds { available, needed });
        }
        // Pending credits count, so that posting a hold later cannot exceed the limit; pending debits
        // do not, for they may be voided.
        if promises && let Some(max) = self.limits_of(credit_after).balance_max() {
            let most = credit_after.most()?;
            if !most.is_negative() && most.magnitude() > max {
                return Err(LedgerError::LimitExceeded { limit: Limit::Balance, max });
            }
        }
        Ok(())
    }
}

impl Entry {
    /// Releasing held money is always possible, also on a frozen account.
    const fn releases_only(&self) -> bool {
        matches!(self.kind, TransferKind::Void | TransferKind::Expire)
    }

    fn row(&self, number: u64, at: Instant, debit: &Slot, credit: &Slot) -> TransferRow {
        let mut row = TransferRow {
            number,
            id: self.id,
            kind: self.kind,
            debit: self.debit,
            credit: self.credit,
            money: self.money,
            at,
            effective: self.effective.unwrap_or(at),
            pending: self.pending,
            prev_debit: debit.last,
            prev_credit: credit.last,
            debit_chain: Hash32::ZERO,
            credit_chain: Hash32::ZERO,
            released: self.released,
        };
        let bytes = row.linked_bytes();
        row.debit_chain = link(&bytes, &debit.chain, Side::Debit);
        row.credit_chain = link(&bytes, &credit.chain, Side::Credit);
        row
    }
}
