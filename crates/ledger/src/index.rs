//! From an account's id to its place, in 4 bytes of table and one of tag for each account.

use crate::slot::Slot;
use core::hash::BuildHasher;
use hashbrown::HashTable;
use std::hash::RandomState;
use tpw_core::AccountId;

/// Places by id. The ids themselves stand in the slots only.
///
/// The hash is keyed anew in each process, so that nobody can choose ids that collide; no result
/// depends on the order of the table.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    table: HashTable<u32>,
    keys: (u64, u64),
}

impl Default for Index {
    fn default() -> Self {
        let random = RandomState::new();
        Self { table: HashTable::new(), keys: (random.hash_one(0), random.hash_one(1)) }
    }
}

impl Index {
    /// Both halves of the id under a key each, multiplied and folded: every bit of the id reaches
    /// every bit of the hash, in a few cycles.
    fn hash(keys: (u64, u64), id: &AccountId) -> u64 {
        let value = u128::from_be_bytes(*id.as_bytes());
        let (high, low) = (value >> 64, value & u128::from(u64::MAX));
        let product = (high ^ u128::from(keys.0)).wrapping_mul(low ^ u128::from(keys.1));
        let folded = (product >> 64) ^ (product & u128::from(u64::MAX));
        u64::try_from(folded).unwrap_or(0)
    }

    pub(crate) fn find(&self, id: &AccountId, slots: &[Slot]) -> Option<usize> {
        let hash = Self::hash(self.keys, id);
        let place =
            self.table.find(hash, |place| at(slots, *place).is_some_and(|s| s.id == *id))?;
        usize::try_from(*place).ok()
    }

    /// Adds the newest slot; the caller has checked that its id is new. `None` when there are more
    /// accounts than places.
    pub(crate) fn add(&mut self, slots: &[Slot]) -> Option<usize> {
        let place = slots.len().checked_sub(1)?;
        let short = u32::try_from(place).ok()?;
        let keys = self.keys;
        let hash = |id: &AccountId| Self::hash(keys, id);
        let rehash = |place: &u32| at(slots, *place).map_or(0, |slot| hash(&slot.id));
        self.table.insert_unique(hash(&slots.last()?.id), short, rehash);
        Some(place)
    }
}

fn at(slots: &[Slot], place: u32) -> Option<&Slot> {
    slots.get(usize::try_from(place).ok()?)
}
