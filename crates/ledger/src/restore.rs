//! Rebuilding the state from stored rows, and checking that they belong together.

use crate::book::Turnover;
use crate::{Account, HoldRow, Ledger, LedgerError};
use std::collections::HashMap;
use tpw_core::{AccountId, Amount, Asset, Hash32};

/// Pending debits and credits of one account, summed over the open holds.
type Pending = HashMap<AccountId, (Amount, Amount)>;

impl Ledger {
    /// The ledger as stored: all accounts, all open holds, and the number of the newest transfer
    /// (0 for none).
    ///
    /// # Errors
    /// [`LedgerError::CorruptRows`] when the rows cannot be those of one ledger: a repeated account
    /// or hold, an asset whose sum is not zero, a balance below zero where that is not allowed,
    /// pending sums that are not those of the open holds, a number above the newest, a chain that
    /// does not fit its count. The chains themselves are checked by statements, not here.
    pub fn from_rows(
        accounts: impl Iterator<Item = Account>,
        open_holds: impl Iterator<Item = HoldRow>,
        last_number: u64,
    ) -> Result<Self, LedgerError> {
        let mut ledger = Self::new();
        ledger.next_number = last_number.checked_add(1).ok_or(LedgerError::Overflow)?;
        for account in accounts {
            if ledger.index.contains_key(&account.id) {
                return Err(LedgerError::CorruptRows("an account appears twice"));
            }
            check_account(&account, last_number)?;
            ledger.insert(account)?;
        }
        let mut pending = Pending::new();
        for hold in open_holds {
            ledger.restore_hold(hold, &mut pending, last_number)?;
        }
        ledger.check_pending(&pending)?;
        ledger.restore_turnovers()?;
        Ok(ledger)
    }

    fn restore_hold(
        &mut self,
        hold: HoldRow,
        pending: &mut Pending,
        last_number: u64,
    ) -> Result<(), LedgerError> {
        if self.holds.get(&hold.id).is_some() {
            return Err(LedgerError::CorruptRows("a hold appears twice"));
        }
        if hold.number == 0 || hold.number > last_number {
            return Err(LedgerError::CorruptRows("a hold has a number that was never given"));
        }
        let holds_asset =
            |id: &AccountId, asset: Asset| self.account(id).is_some_and(|a| a.asset == asset);
        let asset = hold.money.asset;
        if hold.debit == hold.credit
            || hold.money.amount.is_zero()
            || !holds_asset(&hold.debit, asset)
            || !holds_asset(&hold.credit, asset)
        {
            return Err(LedgerError::CorruptRows("a hold does not fit its accounts"));
        }
        let add = |sum: &mut Amount| {
            *sum = sum.plus(hold.money.amount).ok_or(LedgerError::Overflow)?;
            Ok::<(), LedgerError>(())
        };
        add(&mut pending.entry(hold.debit).or_insert((Amount::ZERO, Amount::ZERO)).0)?;
        add(&mut pending.entry(hold.credit).or_insert((Amount::ZERO, Amount::ZERO)).1)?;
        self.holds.put(hold);
        Ok(())
    }

    fn check_pending(&self, pending: &Pending) -> Result<(), LedgerError> {
        let zero = (Amount::ZERO, Amount::ZERO);
        let fits = |account: &Account| {
            let held = pending.get(&account.id).copied().unwrap_or(zero);
            held == (account.debits_pending, account.credits_pending)
        };
        if self.accounts.iter().all(fits) {
            Ok(())
        } else {
            Err(LedgerError::CorruptRows("an account's pending sums are not those of its holds"))
        }
    }

    fn restore_turnovers(&mut self) -> Result<(), LedgerError> {
        for total in self.totals()? {
            if !total.is_balanced() {
                return Err(LedgerError::CorruptRows("the sum of an asset is not zero"));
            }
            let (asset, posted, pending) = (total.asset, total.debits_posted, total.debits_pending);
            posted.plus(pending).ok_or(LedgerError::Overflow)?;
            if let Some(slot) = self.turnovers.iter_mut().find(|turnover| turnover.asset == asset) {
                *slot = Turnover { asset, posted, pending };
            }
        }
        Ok(())
    }
}

fn check_account(account: &Account, last_number: u64) -> Result<(), LedgerError> {
    if account.debits_posted.plus(account.debits_pending).is_none()
        || account.credits_posted.plus(account.credits_pending).is_none()
    {
        return Err(LedgerError::Overflow);
    }
    if account.available().is_negative() && !account.kind.may_go_negative() {
        return Err(LedgerError::CorruptRows("an account has less than nothing"));
    }
    if account.last > last_number || account.transfers > account.last {
        return Err(LedgerError::CorruptRows("an account has a number that was never given"));
    }
    let unused = account.transfers == 0;
    if unused != (account.last == 0) || unused != (account.chain == Hash32::ZERO) {
        return Err(LedgerError::CorruptRows("an account's chain does not fit its count"));
    }
    Ok(())
}
