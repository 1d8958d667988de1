//! SQLite's locks and shared memory, for the connections of one process.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The size of a region of shared memory.
pub(crate) const REGION: usize = 32 * 1024;
/// How many locks the shared memory has.
const SLOTS: usize = 8;

/// Who holds what of one database file; a holder is an open file.
#[derive(Default)]
pub(crate) struct Locks {
    shared: BTreeSet<u64>,
    reserved: Option<u64>,
    pending: Option<u64>,
    exclusive: Option<u64>,
}

impl Locks {
    fn other(holder: Option<u64>, who: u64) -> bool {
        holder.is_some_and(|holder| holder != who)
    }

    pub(crate) fn shared(&mut self, who: u64) -> bool {
        if Self::other(self.pending, who) || Self::other(self.exclusive, who) {
            return false;
        }
        self.shared.insert(who);
        true
    }

    pub(crate) fn reserved(&mut self, who: u64) -> bool {
        if Self::other(self.reserved, who) {
            return false;
        }
        self.reserved = Some(who);
        true
    }

    /// Keeps newcomers out, and succeeds when nobody else reads any more.
    pub(crate) fn exclusive(&mut self, who: u64) -> bool {
        if Self::other(self.reserved, who) || Self::other(self.pending, who) {
            return false;
        }
        self.pending = Some(who);
        if self.shared.iter().any(|holder| *holder != who) {
            return false;
        }
        self.exclusive = Some(who);
        true
    }

    pub(crate) fn is_reserved(&self) -> bool {
        self.reserved.is_some() || self.pending.is_some() || self.exclusive.is_some()
    }

    pub(crate) fn down_to_shared(&mut self, who: u64) {
        for holder in [&mut self.reserved, &mut self.pending, &mut self.exclusive] {
            if *holder == Some(who) {
                *holder = None;
            }
        }
    }

    pub(crate) fn release(&mut self, who: u64) {
        self.down_to_shared(who);
        self.shared.remove(&who);
    }
}

/// Words, so that every address that SQLite derives from it is aligned; atomic, because it is shared.
pub(crate) type Region = Box<[AtomicU64; REGION / 8]>;

#[derive(Clone, Copy, Default)]
struct Slot {
    shared: u32,
    exclusive: bool,
}

/// The shared memory of one database: gone with the power.
#[derive(Default)]
pub(crate) struct Shared {
    regions: Mutex<Vec<Region>>,
    slots: Mutex<[Slot; SLOTS]>,
}

/// What one open file holds of the shared memory.
#[derive(Clone, Default)]
pub(crate) struct Held {
    pub(crate) memory: Option<Arc<Shared>>,
    shared: BTreeSet<usize>,
    exclusive: BTreeSet<usize>,
}

impl Shared {
    /// The address of a region; null when there is none and none is wanted.
    pub(crate) fn region(&self, number: usize, extend: bool) -> *mut AtomicU64 {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        while extend && regions.len() <= number {
            regions.push(Box::new([const { AtomicU64::new(0) }; REGION / 8]));
        }
        // A region never moves: the vector holds boxes and none is taken out.
        regions.get_mut(number).map_or(core::ptr::null_mut(), |region| region.as_mut_ptr())
    }

    fn slots(&self) -> MutexGuard<'_, [Slot; SLOTS]> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    pub(crate) fn lock_shared(&mut self, slot: usize) -> bool {
        let Some(memory) = &self.memory else { return false };
        if self.shared.contains(&slot) {
            return true;
        }
        let mut slots = memory.slots();
        let Some(found) = slots.get_mut(slot) else { return false };
        if found.exclusive {
            return false;
        }
        found.shared = found.shared.saturating_add(1);
        self.shared.insert(slot);
        true
    }

    pub(crate) fn lock_exclusive(&mut self, wanted: core::ops::Range<usize>) -> bool {
        let Some(memory) = &self.memory else { return false };
        let mut slots = memory.slots();
        let Some(found) = slots.get_mut(wanted.clone()) else { return false };
        if found.iter().any(|slot| slot.exclusive || slot.shared > 0) {
            return false;
        }
        found.iter_mut().for_each(|slot| slot.exclusive = true);
        self.exclusive.extend(wanted);
        true
    }

    pub(crate) fn unlock(&mut self, wanted: core::ops::Range<usize>) {
        let Some(memory) = &self.memory else { return };
        let mut slots = memory.slots();
        for number in wanted {
            let Some(slot) = slots.get_mut(number) else { continue };
            if self.shared.remove(&number) {
                slot.shared = slot.shared.saturating_sub(1);
            }
            if self.exclusive.remove(&number) {
                slot.exclusive = false;
            }
        }
    }

    pub(crate) fn release(&mut self) {
        self.unlock(0..SLOTS);
        self.memory = None;
    }
}
