//! Velocity limits: how much and how often an account may be debited within a window of time.
//!
//! Windows have a fixed length and follow each other from 1970-01-01 on, so that two numbers for each
//! limit are all that has to be remembered. Transfers and holds count when they are made; what is
//! voided, expires or is reversed is not given back, and a post was counted as a hold.

use crate::apply::Applied;
use crate::slot::Flag;
use crate::{Ledger, LedgerError};
use tpw_core::{AccountId, Amount, Instant, Span};

/// A velocity limit to set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Velocity {
    /// How long a window is.
    pub window: Span,
    /// The most that may be debited within a window; `None` for no limit.
    pub amount_max: Option<Amount>,
    /// How often the account may be debited within a window; `None` for no limit.
    pub count_max: Option<u64>,
}

/// A velocity limit with what was used of it: the row to store, by account and place. Like its
/// account's row it is as of that row's newest transfer. A row without maxima limits nothing; a store
/// may remove it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VelocityRow {
    /// The account.
    pub account: AccountId,
    /// Which of its limits, from 0.
    pub place: u8,
    /// How long a window is.
    pub window: Span,
    /// The most that may be debited within a window; `None` for no limit.
    pub amount_max: Option<Amount>,
    /// How often the account may be debited within a window; `None` for no limit.
    pub count_max: Option<u64>,
    /// Where the window begins that the next two numbers are about.
    pub since: Instant,
    /// What was debited in it.
    pub amount: Amount,
    /// How often it was debited in it.
    pub count: u64,
}

/// One limit and what was used of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pace {
    limit: Velocity,
    since: Instant,
    amount: Amount,
    count: u64,
}

/// All velocity limits of one account.
pub(crate) type Paces = [Option<Pace>; Ledger::VELOCITIES_MAX];

/// Before one entry: its number, the account's place, and its limits.
pub(crate) type PaceBefore = (u64, usize, Paces);

impl Pace {
    fn new(limit: Velocity) -> Self {
        Self { limit, since: Instant::MIN, amount: Amount::ZERO, count: 0 }
    }

    /// With one more debit. A clock that went back does not open an earlier window again.
    fn after(mut self, amount: Amount, at: Instant) -> Option<Self> {
        let begun = at.unix_ms().checked_rem(self.limit.window.as_ms())?;
        let since = at.minus(Span::from_ms(begun));
        if since > self.since {
            (self.since, self.amount, self.count) = (since, Amount::ZERO, 0);
        }
        self.amount = self.amount.plus(amount)?;
        self.count = self.count.checked_add(1)?;
        Some(self)
    }

    fn check(&self) -> Result<(), LedgerError> {
        let window = self.limit.window;
        match (self.limit.amount_max, self.limit.count_max) {
            (Some(max), _) if self.amount > max => Err(LedgerError::VelocityAmount { window, max }),
            (_, Some(max)) if self.count > max => Err(LedgerError::VelocityTimes { window, max }),
            _ => Ok(()),
        }
    }
}

impl Ledger {
    /// The most velocity limits of one account.
    pub const VELOCITIES_MAX: usize = 4;

    /// The velocity limits of an account with what was used of them.
    pub fn velocities(&self, id: &AccountId) -> impl Iterator<Item = VelocityRow> {
        let paces = self.place(id).and_then(|place| self.paces.get(&place));
        let id = *id;
        (0_u8..)
            .zip(paces.copied().unwrap_or_default())
            .filter_map(move |(place, pace)| pace.map(|pace| pace_row(id, place, Some(pace))))
    }

    pub(crate) fn set_velocities(
        &mut self,
        id: &AccountId,
        velocities: &[Velocity],
    ) -> Result<Applied, LedgerError> {
        let place = self.usable(id)?;
        if velocities.len() > Self::VELOCITIES_MAX {
            return Err(LedgerError::VelocityCount(velocities.len()));
        }
        for velocity in velocities {
            if velocity.window.as_ms() == 0 {
                return Err(LedgerError::VelocityWindow);
            }
            if velocity.amount_max.is_none() && velocity.count_max.is_none() {
                return Err(LedgerError::VelocityUnlimited);
            }
        }
        let old = self.paces.get(&place).copied().unwrap_or_default();
        let mut paces = Paces::default();
        for (slot, limit) in paces.iter_mut().zip(velocities) {
            // What was used stays used when a limit of the same window is changed.
            let known = old.iter().flatten().find(|pace| pace.limit.window == limit.window);
            let pace = known.copied().unwrap_or(Pace::new(*limit));
            *slot = Some(Pace { limit: *limit, ..pace });
        }
        self.put_paces(place, paces);
        if !self.new_paces.contains(&place) {
            self.new_paces.push(place);
        }
        self.touch(place);
        self.save(place);
        Ok(Applied::NOTHING)
    }

    /// Sets or removes an account's velocity limits without counting it as changed.
    fn put_paces(&mut self, place: usize, paces: Paces) {
        let paced = paces.iter().any(Option::is_some);
        if paced {
            self.paces.insert(place, paces);
        } else {
            self.paces.remove(&place);
        }
        if let Some(slot) = self.slots.get_mut(place) {
            slot.set(Flag::Paced, paced);
        }
    }

    /// The limits of an account after one more debit.
    fn paces_after(&self, place: usize, amount: Amount, at: Instant) -> Result<Paces, LedgerError> {
        let mut paces = self.paces.get(&place).copied().unwrap_or_default();
        for pace in paces.iter_mut().flatten() {
            *pace = pace.after(amount, at).ok_or(LedgerError::Overflow)?;
        }
        Ok(paces)
    }

    /// The limits of an account after one more debit, if that is within them.
    pub(crate) fn check_paces(
        &self,
        place: usize,
        amount: Amount,
        at: Instant,
    ) -> Result<Paces, LedgerError> {
        let paces = self.paces_after(place, amount, at)?;
        paces.iter().flatten().try_for_each(Pace::check)?;
        Ok(paces)
    }

    /// Counts a debit and remembers how to take it back.
    pub(crate) fn pace(&mut self, number: u64, place: usize, paces: Paces) {
        if let Some(old) = self.paces.insert(place, paces) {
            self.pace_undo.push((number, place, old));
        }
    }

    /// Takes back the debits from a number on.
    pub(crate) fn unpace(&mut self, number: u64) {
        while let Some((_, place, paces)) = self.pace_undo.pop_if(|before| before.0 >= number) {
            self.paces.insert(place, paces);
        }
    }

    /// Counts a replayed debit: it was within the limits when it was made.
    pub(crate) fn replay_pace(
        &mut self,
        place: usize,
        amount: Amount,
        at: Instant,
    ) -> Result<(), LedgerError> {
        let paces = self.paces_after(place, amount, at)?;
        self.paces.insert(place, paces);
        Ok(())
    }

    /// The rows to store with the account rows that are stored now.
    pub(crate) fn take_velocities(&mut self, saved: &[usize]) -> Vec<VelocityRow> {
        let mut rows = Vec::new();
        let changed = core::mem::take(&mut self.new_paces);
        for place in saved {
            let Some(slot) = self.slots.get(*place) else { continue };
            let all = changed.contains(place);
            if !all && !slot.has(Flag::Paced) {
                continue;
            }
            let paces = self.paces.get(place).copied().unwrap_or_default();
            let of_account = (0_u8..).zip(paces).filter(|(_, pace)| all || pace.is_some());
            rows.extend(of_account.map(|(number, pace)| pace_row(slot.id, number, pace)));
        }
        rows
    }

    /// Takes in a stored row.
    pub(crate) fn restore_velocity(&mut self, row: &VelocityRow) -> Result<(), LedgerError> {
        let corrupt = LedgerError::CorruptRows;
        let VelocityRow { window, amount_max, count_max, since, amount, count, .. } = *row;
        let place = self.place(&row.account);
        let place = place.ok_or(corrupt("a velocity limit's account is missing"))?;
        if amount_max.is_none() && count_max.is_none() {
            return Ok(());
        }
        let mut paces = self.paces.get(&place).copied().unwrap_or_default();
        let slot = paces.get_mut(usize::from(row.place));
        let slot = slot.ok_or(corrupt("an account has too many velocity limits"))?;
        if slot.is_some() {
            return Err(corrupt("a velocity limit appears twice"));
        }
        if window.as_ms() == 0 {
            return Err(corrupt("a velocity limit has no window"));
        }
        let limit = Velocity { window, amount_max, count_max };
        *slot = Some(Pace { limit, since, amount, count });
        self.put_paces(place, paces);
        Ok(())
    }
}

fn pace_row(account: AccountId, place: u8, pace: Option<Pace>) -> VelocityRow {
    const NONE: Velocity = Velocity { window: Span::from_ms(0), amount_max: None, count_max: None };
    let Pace { limit, since, amount, count } = pace.unwrap_or(Pace::new(NONE));
    let Velocity { window, amount_max, count_max } = limit;
    VelocityRow { account, place, window, amount_max, count_max, since, amount, count }
}
