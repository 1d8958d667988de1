//! From an account's id to its place, in 4 bytes of table and one of tag for each account.

use crate::keyed::Keyed;
use crate::slot::Slot;
use crate::slots::Slots;
use core::hash::BuildHasher;
use hashbrown::HashTable;
use tpw_core::AccountId;

/// Places by id. The ids themselves stand in the slots only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    table: HashTable<u32>,
    keyed: Keyed,
}

impl Index {
    pub(crate) fn find(&self, id: &AccountId, slots: &Slots) -> Option<usize> {
        let hash = self.keyed.hash_one(id);
        let place =
            self.table.find(hash, |place| at(slots, *place).is_some_and(|s| s.id == *id))?;
        usize::try_from(*place).ok()
    }

    /// Adds the newest slot; the caller has checked that its id is new. `None` when there are more
    /// accounts than places.
    pub(crate) fn add(&mut self, slots: &Slots) -> Option<usize> {
        let place = slots.len().checked_sub(1)?;
        let short = u32::try_from(place).ok()?;
        let keyed = &self.keyed;
        let hash = |id: &AccountId| keyed.hash_one(id);
        let rehash = |place: &u32| at(slots, *place).map_or(0, |slot| hash(&slot.id));
        self.table.insert_unique(hash(&slots.last()?.id), short, rehash);
        Some(place)
    }

    /// Removes the newest slot, which is still among them.
    pub(crate) fn remove_last(&mut self, slots: &Slots) {
        let Some((last, place)) = slots.last().zip(slots.len().checked_sub(1)) else { return };
        let hash = self.keyed.hash_one(last.id);
        let same = |found: &u32| usize::try_from(*found) == Ok(place);
        if let Ok(found) = self.table.find_entry(hash, same) {
            found.remove();
        }
    }
}

fn at(slots: &Slots, place: u32) -> Option<&Slot> {
    slots.get(usize::try_from(place).ok()?)
}
