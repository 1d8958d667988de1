//! Watches: thresholds on the balance of an operator's wallet, and what happens when it crosses one.
//!
//! A crossing is reported when the posted balance comes to lie beyond a threshold, not while it stays
//! there. Linked legs count as one: what lies beyond a threshold only between two of them does not
//! cross it.

use crate::apply::Applied;
use crate::slot::Flag;
use crate::{Balance, FreezeReason, Ledger, LedgerError};
use tpw_core::{AccountId, Amount, Instant};

tpw_core::codes! {
    /// How a watched wallet is kept.
    Tier: u8 {
        /// Its keys are at hand for daily business.
        Hot = 1 "hot",
        /// Its keys are kept away from any network.
        Cold = 2 "cold",
    }
}

tpw_core::codes! {
    /// What happens when a threshold is crossed.
    WatchAction: u8 {
        /// The crossing is reported.
        Alert = 1 "alert",
        /// The crossing is reported and the account is frozen.
        AlertAndFreeze = 2 "alert_and_freeze",
    }
}

tpw_core::codes! {
    /// Which threshold was crossed.
    Edge: u8 {
        /// The balance fell below the lower one.
        Below = 1 "below",
        /// The balance rose above the upper one.
        Above = 2 "above",
    }
}

/// A watch to set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watch {
    /// How the wallet is kept.
    pub tier: Tier,
    /// A posted balance under this is a crossing, in minor units.
    pub below: Option<Amount>,
    /// A posted balance over this is a crossing, in minor units.
    pub above: Option<Amount>,
    /// What happens then.
    pub action: WatchAction,
}

/// The watch of an account: the row to store. A row without thresholds watches nothing; a store may
/// remove it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WatchRow {
    /// The account.
    pub account: AccountId,
    /// How the wallet is kept.
    pub tier: Tier,
    /// A posted balance under this is a crossing, in minor units.
    pub below: Option<Amount>,
    /// A posted balance over this is a crossing, in minor units.
    pub above: Option<Amount>,
    /// What happens then.
    pub action: WatchAction,
}

/// The posted balance of a watched account has crossed a threshold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Crossing {
    /// The account.
    pub account: AccountId,
    /// How the wallet is kept.
    pub tier: Tier,
    /// Which threshold.
    pub edge: Edge,
    /// Its value, in minor units.
    pub threshold: Amount,
    /// The posted balance after the crossing.
    pub balance: Balance,
    /// The number of the account's newest transfer; 0 for none.
    pub number: u64,
    /// When.
    pub at: Instant,
    /// What was done.
    pub action: WatchAction,
}

impl Watch {
    const fn row(&self, account: AccountId) -> WatchRow {
        let Self { tier, below, above, action } = *self;
        WatchRow { account, tier, below, above, action }
    }

    /// The threshold beyond which a balance lies, if any; never both.
    fn beyond(&self, balance: Balance) -> Option<(Edge, Amount)> {
        let of = |amount: Amount| Balance::between(amount, Amount::ZERO);
        match (self.below, self.above) {
            (Some(below), _) if balance < of(below) => Some((Edge::Below, below)),
            (_, Some(above)) if balance > of(above) => Some((Edge::Above, above)),
            _ => None,
        }
    }
}

impl Ledger {
    /// The watch of an account.
    #[must_use]
    pub fn watch(&self, id: &AccountId) -> Option<Watch> {
        self.place(id).and_then(|place| self.watches.get(&place)).copied()
    }

    pub(crate) fn set_watch(
        &mut self,
        id: &AccountId,
        watch: Option<Watch>,
        now: Instant,
    ) -> Result<Applied, LedgerError> {
        let place = self.usable(id)?;
        if let Some(Watch { below, above, .. }) = watch {
            if below.is_none() && above.is_none() {
                return Err(LedgerError::WatchEmpty);
            }
            if below.zip(above).is_some_and(|(below, above)| below > above) {
                return Err(LedgerError::WatchThresholds);
            }
        }
        let old = self.put_watch(place, watch);
        let row = match (watch, old) {
            (Some(watch), _) => watch.row(*id),
            (None, Some(old)) => Watch { below: None, above: None, ..old }.row(*id),
            (None, None) => return Err(LedgerError::NotWatched),
        };
        self.new_watches.retain(|known| known.account != *id);
        self.new_watches.push(row);
        // A balance that lies beyond a threshold already has crossed it by being watched.
        self.look(place, None, now);
        Ok(Applied::NOTHING)
    }

    /// Sets or removes a watch without counting it as changed.
    fn put_watch(&mut self, place: usize, watch: Option<Watch>) -> Option<Watch> {
        if let Some(slot) = self.slots.get_mut(place) {
            slot.set(Flag::Watched, watch.is_some());
        }
        match watch {
            Some(watch) => self.watches.insert(place, watch),
            None => self.watches.remove(&place),
        }
    }

    /// Compares a watched balance with its thresholds, and with what it was before.
    pub(crate) fn look(&mut self, place: usize, before: Option<Balance>, now: Instant) {
        let Some(watch) = self.watches.get(&place).copied() else { return };
        let Some(slot) = self.slots.get_mut(place) else { return };
        let balance = Balance::between(slot.credits_posted, slot.debits_posted);
        let Some((edge, threshold)) = watch.beyond(balance) else { return };
        let was = before.and_then(|before| watch.beyond(before));
        if was.is_some_and(|(was, _)| was == edge) {
            return;
        }
        let Watch { tier, action, .. } = watch;
        let (account, number) = (slot.id, slot.last);
        if action == WatchAction::AlertAndFreeze && !slot.frozen.has(FreezeReason::Watch) {
            slot.frozen = slot.frozen.with(FreezeReason::Watch);
            self.touch(place);
            self.save(place);
        }
        let at = now;
        let crossing = Crossing { account, tier, edge, threshold, balance, number, at, action };
        self.new_crossings.push(crossing);
    }

    /// Takes in a stored row.
    pub(crate) fn restore_watch(&mut self, row: &WatchRow) -> Result<(), LedgerError> {
        let corrupt = LedgerError::CorruptRows;
        let WatchRow { account, tier, below, above, action } = *row;
        let place = self.place(&account).ok_or(corrupt("a watch's account is missing"))?;
        if below.is_none() && above.is_none() {
            return Ok(());
        }
        if self.put_watch(place, Some(Watch { tier, below, above, action })).is_some() {
            return Err(corrupt("an account is watched twice"));
        }
        Ok(())
    }
}
