//! How an account lies in memory: 128 bytes, two cache lines, plus a few bytes of index.

use crate::account::AccountState;
use crate::{AccountKind, Frozen, NewAccount};
use std::collections::HashMap;
use tpw_core::{AccountId, Amount, Hash32, Instant, PersonId};

/// An account without what few accounts have: open holds and limits stand in tables beside it, and
/// its asset in the table of turnovers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    pub(crate) id: AccountId,
    /// Meaningful with [`Flag::Owned`] only.
    owner: PersonId,
    pub(crate) debits_posted: Amount,
    pub(crate) credits_posted: Amount,
    pub(crate) chain: Hash32,
    pub(crate) transfers: u64,
    pub(crate) last: u64,
    /// When it was opened, in the low 48 bits; flags above.
    stamp: u64,
    /// Its place in the table of limits; 0 for none.
    pub(crate) limits: u32,
    /// Its asset's place in the table of turnovers.
    pub(crate) asset: u16,
    pub(crate) kind: AccountKind,
    pub(crate) frozen: Frozen,
}

const _: () = assert!(size_of::<Slot>() == 128, "an account must stay two cache lines");
const _: () = assert!(Instant::MAX.unix_ms() < 1 << TIME_BITS, "a time must leave room for flags");

const TIME_BITS: u32 = 48;

/// What is true of an account.
#[derive(Clone, Copy)]
pub(crate) enum Flag {
    /// It has an owner.
    Owned,
    /// It is closed.
    Closed,
    /// It has open holds, and an entry in the table of pending sums.
    Pending,
    /// It is among the accounts touched since the last take.
    Touched,
    /// It has transfers that its stored row lacks.
    Unsaved,
    /// Its row is to be stored with the next take.
    Saving,
    /// It has velocity limits.
    Paced,
    /// It has a watch.
    Watched,
    /// It belongs to a set.
    Grouped,
}

impl Flag {
    const fn bit(self) -> u64 {
        1 << match self {
            Self::Owned => TIME_BITS,
            Self::Closed => TIME_BITS + 1,
            Self::Pending => TIME_BITS + 2,
            Self::Touched => TIME_BITS + 3,
            Self::Unsaved => TIME_BITS + 4,
            Self::Saving => TIME_BITS + 5,
            Self::Paced => TIME_BITS + 6,
            Self::Watched => TIME_BITS + 7,
            Self::Grouped => TIME_BITS + 8,
        }
    }
}

impl Slot {
    /// A new account's slot.
    pub(crate) fn new(new: &NewAccount, asset: u16, limits: u32, opened: Instant) -> Self {
        let mut slot = Self {
            id: new.id,
            owner: new.owner.unwrap_or(PersonId::from_bytes([0; 16])),
            debits_posted: Amount::ZERO,
            credits_posted: Amount::ZERO,
            chain: Hash32::ZERO,
            transfers: 0,
            last: 0,
            stamp: opened.unix_ms(),
            limits,
            asset,
            kind: new.kind,
            frozen: Frozen::NONE,
        };
        slot.set(Flag::Owned, new.owner.is_some());
        slot
    }

    pub(crate) const fn has(&self, flag: Flag) -> bool {
        self.stamp & flag.bit() != 0
    }

    pub(crate) const fn set(&mut self, flag: Flag, on: bool) {
        self.stamp = if on { self.stamp | flag.bit() } else { self.stamp & !flag.bit() };
    }

    pub(crate) fn owner(&self) -> Option<PersonId> {
        self.has(Flag::Owned).then_some(self.owner)
    }

    pub(crate) fn opened(&self) -> Instant {
        Instant::from_unix_ms(self.stamp & ((1 << TIME_BITS) - 1)).unwrap_or(Instant::MAX)
    }

    pub(crate) const fn state(&self) -> AccountState {
        if self.has(Flag::Closed) { AccountState::Closed } else { AccountState::Open }
    }
}

/// What open holds will debit and credit at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pending {
    pub(crate) debits: Amount,
    pub(crate) credits: Amount,
}

impl Pending {
    pub(crate) const ZERO: Self = Self { debits: Amount::ZERO, credits: Amount::ZERO };
}

/// Different values, each kept once however many accounts share it. Place 0 stands for none and is
/// never given out.
#[derive(Clone, Debug)]
pub(crate) struct Shared<T> {
    values: Vec<(T, u32)>,
    places: HashMap<T, u32>,
    free: Vec<u32>,
}

impl<T: Copy + Eq + core::hash::Hash> Shared<T> {
    pub(crate) fn new() -> Self {
        Self { values: Vec::new(), places: HashMap::new(), free: Vec::new() }
    }

    pub(crate) fn get(&self, place: u32) -> Option<T> {
        let index = usize::try_from(place.checked_sub(1)?).ok()?;
        self.values.get(index).map(|(value, _)| *value)
    }

    /// Counts one more user of a value; `None` when there are too many different ones.
    pub(crate) fn take(&mut self, value: T) -> Option<u32> {
        if let Some(place) = self.places.get(&value).copied() {
            let index = usize::try_from(place.checked_sub(1)?).ok()?;
            let (_, users) = self.values.get_mut(index)?;
            *users = users.checked_add(1)?;
            return Some(place);
        }
        let place = match self.free.pop() {
            Some(place) => {
                let index = usize::try_from(place.checked_sub(1)?).ok()?;
                *self.values.get_mut(index)? = (value, 1);
                place
            }
            None => {
                self.values.push((value, 1));
                u32::try_from(self.values.len()).ok()?
            }
        };
        self.places.insert(value, place);
        Some(place)
    }

    /// Counts one user less; a value without users is forgotten.
    pub(crate) fn release(&mut self, place: u32) {
        let index = place.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let Some((value, users)) = index.and_then(|index| self.values.get_mut(index)) else {
            return;
        };
        *users = users.saturating_sub(1);
        if *users == 0 {
            self.places.remove(value);
            self.free.push(place);
        }
    }
}
