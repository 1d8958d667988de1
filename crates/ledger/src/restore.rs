//! Rebuilding the state from stored rows, and checking that they belong together.
//!
//! A stored account row is as of its newest transfer and may be behind by [`Ledger::SAVE_WINDOW`]
//! numbers. What it lacks is replayed from the stored transfers, link by link.

use crate::account::AccountState;
use crate::entry::Counts;
use crate::sets::Sums;
use crate::slot::{Flag, Pending, Slot};
use crate::transfer::link;
use crate::{
    Account, HoldRow, Ledger, LedgerError, Membership, NewAccount, SetRow, Side, TransferRow,
    VelocityRow, WatchRow,
};
use std::collections::HashMap;
use tpw_core::{AccountId, Amount, Asset, Hash32};

/// Pending debits and credits of one account, summed over the open holds.
type Held = HashMap<AccountId, (Amount, Amount)>;

const fn corrupt(what: &'static str) -> LedgerError {
    LedgerError::CorruptRows(what)
}

/// A ledger on its way back: its account rows are in, and the transfers that they lack are replayed.
#[derive(Debug)]
pub struct Restoring {
    ledger: Ledger,
    /// The number of the next transfer to replay.
    next: u64,
}

impl Ledger {
    /// Begins with the stored account rows, in the order in which the accounts were opened.
    ///
    /// # Errors
    /// [`LedgerError::CorruptRows`] when a row cannot be that of an account or appears twice.
    pub fn restoring(accounts: impl Iterator<Item = Account>) -> Result<Restoring, LedgerError> {
        let mut ledger = Self::new();
        let mut newest = 0;
        for account in accounts {
            if ledger.place(&account.id).is_some() {
                return Err(corrupt("an account appears twice"));
            }
            check_account(&account)?;
            newest = newest.max(account.last);
            ledger.restore_account(&account)?;
        }
        // No row lacks a transfer that is older than the window, and no row is newer than the newest.
        let next = newest.saturating_sub(Self::SAVE_WINDOW).saturating_add(1);
        Ok(Restoring { ledger, next })
    }

    fn restore_account(&mut self, account: &Account) -> Result<(), LedgerError> {
        let Account { id, asset, kind, owner, limits, .. } = *account;
        let place = (self.asset_place(asset)?, self.limits_place(limits)?);
        let new = NewAccount { id, asset, kind, owner, limits };
        let mut slot = Slot::new(&new, place.0, place.1, account.opened);
        slot.set(Flag::Closed, account.state == AccountState::Closed);
        slot.frozen = account.frozen;
        slot.debits_posted = account.debits_posted;
        slot.credits_posted = account.credits_posted;
        slot.transfers = account.transfers;
        slot.last = account.last;
        slot.chain = account.chain;
        self.insert(slot)?;
        let pending = Pending { debits: account.debits_pending, credits: account.credits_pending };
        let mut party = self.party(&id).ok_or(LedgerError::UnknownAccount(id))?;
        party.pending = pending;
        self.put(&party);
        Ok(())
    }
}

impl Restoring {
    /// The number of the first transfer to replay; all from there on are needed, in order.
    #[must_use]
    pub const fn replay_from(&self) -> u64 {
        self.next
    }

    /// Takes in the stored velocity limits, before any transfer is replayed: they are as of their
    /// accounts' rows.
    ///
    /// # Errors
    /// [`LedgerError::CorruptRows`] when one cannot be that of an account or appears twice.
    pub fn velocities(
        &mut self,
        rows: impl Iterator<Item = VelocityRow>,
    ) -> Result<(), LedgerError> {
        rows.into_iter().try_for_each(|row| self.ledger.restore_velocity(&row))
    }

    /// Takes in the stored watches.
    ///
    /// # Errors
    /// [`LedgerError::CorruptRows`] when one cannot be that of an account or appears twice.
    pub fn watches(&mut self, rows: impl Iterator<Item = WatchRow>) -> Result<(), LedgerError> {
        rows.into_iter().try_for_each(|row| self.ledger.restore_watch(&row))
    }

    /// Takes in the stored sets, in the order in which they were made, and who belongs to them, before
    /// any transfer is replayed.
    ///
    /// # Errors
    /// [`LedgerError::CorruptRows`] when a set appears twice or a member does not fit its set.
    pub fn sets(
        &mut self,
        sets: impl Iterator<Item = SetRow>,
        members: impl Iterator<Item = Membership>,
    ) -> Result<(), LedgerError> {
        sets.into_iter().try_for_each(|row| self.ledger.restore_set(row))?;
        members.into_iter().try_for_each(|row| self.ledger.restore_membership(&row))
    }

    /// Replays the next stored transfer on the rows that lack it and checks its links.
    ///
    /// # Errors
    /// [`LedgerError::CorruptRows`] when it is not the next one, no ledger makes such a row, or it does
    /// not follow on an account's row.
    pub fn replay(&mut self, row: &TransferRow) -> Result<(), LedgerError> {
        if row.check().and_then(|()| row.check_released()).is_err() {
            return Err(corrupt("a transfer holds a value that is not allowed"));
        }
        if row.number != self.next {
            return Err(corrupt("a transfer is missing or appears twice"));
        }
        self.next = self.next.checked_add(1).ok_or(LedgerError::Overflow)?;
        let linked = row.linked_bytes();
        for side in [Side::Debit, Side::Credit] {
            self.replay_side(row, &linked, side)?;
        }
        Ok(())
    }

    fn replay_side(
        &mut self,
        row: &TransferRow,
        linked: &[u8; TransferRow::LINKED_LEN],
        side: Side,
    ) -> Result<(), LedgerError> {
        let (id, previous, head) = match side {
            Side::Debit => (row.debit, row.prev_debit, row.debit_chain),
            Side::Credit => (row.credit, row.prev_credit, row.credit_chain),
        };
        let party = self.ledger.party(&id);
        let mut party = party.ok_or(corrupt("a transfer's account is missing"))?;
        if row.number <= party.slot.last {
            return Ok(()); // the account's row has it
        }
        let asset = self.ledger.turnovers.get(usize::from(party.slot.asset)).map(|t| t.asset);
        if asset != Some(row.money.asset) {
            return Err(corrupt("a transfer is of another asset than its account"));
        }
        if previous != party.slot.last || link(linked, &party.slot.chain, side) != head {
            return Err(corrupt("a transfer does not follow on its account's chain"));
        }
        let had = Sums::of(&party.slot, party.pending);
        let counts = Counts::of(row.kind, row.money.amount, row.released);
        let counted = party.count(side, &counts).and_then(|()| party.append(row.number, head));
        counted.ok_or(corrupt("a transfer does not fit its account's sums"))?;
        self.ledger.put(&party);
        self.ledger.lag(party.place, row.number);
        if party.slot.has(Flag::Grouped) {
            let has = Sums::of(&party.slot, party.pending);
            self.ledger.groups.follow(party.place, &had, &has);
        }
        if party.slot.has(Flag::Paced) && side == Side::Debit && row.kind.promises() {
            self.ledger.replay_pace(party.place, row.money.amount, row.at)?;
        }
        Ok(())
    }

    /// The ledger as stored, given all open holds and the number of the newest transfer (0 for none).
    ///
    /// # Errors
    /// [`LedgerError::CorruptRows`] when the rows cannot be those of one ledger: a transfer that was not
    /// replayed, a repeated hold, an asset whose sum is not zero, a balance below zero where that is
    /// not allowed, pending sums that are not those of the open holds, a number above the newest.
    /// Chains older than what was replayed are checked by statements, not here.
    pub fn finish(
        self,
        open_holds: impl Iterator<Item = HoldRow>,
        last_number: u64,
    ) -> Result<Ledger, LedgerError> {
        let mut ledger = self.ledger;
        ledger.next_number = last_number.checked_add(1).ok_or(LedgerError::Overflow)?;
        if self.next != ledger.next_number {
            return Err(corrupt(
                "the transfers do not reach from the accounts' rows to the newest",
            ));
        }
        let mut sums = Held::new();
        for hold in open_holds {
            ledger.restore_hold(hold, &mut sums, last_number)?;
        }
        for account in ledger.accounts() {
            check_restored(&account, &sums, last_number)?;
        }
        ledger.restore_turnovers()?;
        Ok(ledger)
    }
}

impl Ledger {
    fn restore_hold(
        &mut self,
        hold: HoldRow,
        sums: &mut Held,
        last_number: u64,
    ) -> Result<(), LedgerError> {
        if self.holds.get(&hold.id).is_some() {
            return Err(corrupt("a hold appears twice"));
        }
        if hold.number == 0 || hold.number > last_number {
            return Err(corrupt("a hold has a number that was never given"));
        }
        let holds_asset =
            |id: &AccountId, asset: Asset| self.account(id).is_some_and(|a| a.asset == asset);
        let asset = hold.money.asset;
        if hold.debit == hold.credit
            || hold.money.amount.is_zero()
            || !holds_asset(&hold.debit, asset)
            || !holds_asset(&hold.credit, asset)
        {
            return Err(corrupt("a hold does not fit its accounts"));
        }
        let add = |sum: &mut Amount| {
            *sum = sum.plus(hold.money.amount).ok_or(LedgerError::Overflow)?;
            Ok::<(), LedgerError>(())
        };
        add(&mut sums.entry(hold.debit).or_insert((Amount::ZERO, Amount::ZERO)).0)?;
        add(&mut sums.entry(hold.credit).or_insert((Amount::ZERO, Amount::ZERO)).1)?;
        self.holds.put(hold);
        Ok(())
    }

    fn restore_turnovers(&mut self) -> Result<(), LedgerError> {
        for total in self.totals()? {
            if !total.is_balanced() {
                return Err(corrupt("the sum of an asset is not zero"));
            }
            total.debits_posted.plus(total.debits_pending).ok_or(LedgerError::Overflow)?;
            if let Some(turnover) = self.turnovers.iter_mut().find(|t| t.asset == total.asset) {
                (turnover.posted, turnover.pending) = (total.debits_posted, total.debits_pending);
            }
        }
        Ok(())
    }
}

/// Checks what holds for an account's row by itself.
fn check_account(account: &Account) -> Result<(), LedgerError> {
    if account.debits_posted.plus(account.debits_pending).is_none()
        || account.credits_posted.plus(account.credits_pending).is_none()
    {
        return Err(LedgerError::Overflow);
    }
    if account.transfers > account.last {
        return Err(corrupt("an account has a number that was never given"));
    }
    let unused = account.transfers == 0;
    if unused != (account.last == 0) || unused != (account.chain == Hash32::ZERO) {
        return Err(corrupt("an account's chain does not fit its count"));
    }
    Ok(())
}

/// Checks an account with all its transfers against the open holds.
fn check_restored(account: &Account, sums: &Held, last_number: u64) -> Result<(), LedgerError> {
    let zero = (Amount::ZERO, Amount::ZERO);
    let held = sums.get(&account.id).copied().unwrap_or(zero);
    if account.last > last_number {
        return Err(corrupt("an account has a number that was never given"));
    }
    if account.available().is_negative() && !account.kind.may_go_negative() {
        return Err(corrupt("an account has less than nothing"));
    }
    if held != (account.debits_pending, account.credits_pending) {
        return Err(corrupt("an account's pending sums are not those of its holds"));
    }
    Ok(())
}
