//! Which ids were used lately: exact, and in memory that does not grow with history.
//!
//! Ids are UUIDv7 (RFC 9562 §5.7): they begin with the time at which they were made. Every id that was used and is not older than a
//! floor is here, so one that is not here and not older is new, and nobody has to ask the store. The floor rises when there are too
//! many. Of older ids the store knows.

use std::collections::{BTreeMap, HashMap};

/// An id that begins with its time.
pub(super) type Id = [u8; 16];

/// What is known of an id without asking the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sight<V> {
    /// It was never used.
    New,
    /// It was used for this.
    Used(V),
    /// The store has to be asked.
    Unsure,
}

/// The ids used lately, each with a short value.
#[derive(Debug)]
pub(super) struct Known<V> {
    /// Ids made before this, in Unix milliseconds, are not here.
    floor_ms: u64,
    /// By the time at which they were made, in slices, so that the oldest can be dropped together.
    slices: BTreeMap<u64, HashMap<Id, V>>,
    held: usize,
    held_max: usize,
}

/// A slice is 64 ms wide.
const SLICE_BITS: u32 = 6;

fn made_ms(id: &Id) -> u64 {
    let [a, b, c, d, e, f, ..] = *id;
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

impl<V: Copy> Known<V> {
    /// Knows nothing of ids made up to `newest`, the newest one that the store has, and holds at most `held_max` younger ones.
    pub(super) fn after(newest: Option<Id>, held_max: usize) -> Self {
        let floor_ms = newest.map_or(0, |id| made_ms(&id).saturating_add(1));
        Self { floor_ms, slices: BTreeMap::new(), held: 0, held_max }
    }

    pub(super) fn look(&self, id: &Id) -> Sight<V> {
        let made_ms = made_ms(id);
        if made_ms < self.floor_ms {
            return Sight::Unsure;
        }
        let slice = self.slices.get(&(made_ms >> SLICE_BITS));
        slice.and_then(|slice| slice.get(id)).map_or(Sight::New, |value| Sight::Used(*value))
    }

    /// Remembers that an id was used.
    pub(super) fn note(&mut self, id: Id, value: V) {
        let made_ms = made_ms(&id);
        if made_ms < self.floor_ms {
            return;
        }
        let slice = self.slices.entry(made_ms >> SLICE_BITS).or_default();
        if slice.insert(id, value).is_none() {
            self.held = self.held.saturating_add(1);
        }
        while self.held > self.held_max {
            let Some((number, dropped)) = self.slices.pop_first() else { break };
            self.held = self.held.saturating_sub(dropped.len());
            self.floor_ms = number.saturating_add(1) << SLICE_BITS;
        }
    }
}

#[cfg(test)]
mod tests {
    //! Goal: an id that was used is never called new. Method: a plain set beside it, ids around the borders of slices and floor.

    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn id(ms: u64, tail: u8) -> Id {
        let mut id = [tail; 16];
        for (slot, byte) in id.iter_mut().zip(ms.to_be_bytes().into_iter().skip(2)) {
            *slot = byte;
        }
        id
    }

    #[test]
    fn what_the_store_may_have_is_asked_of_it() {
        let known = Known::<()>::after(Some(id(1_000, 7)), 10);
        assert_eq!(known.look(&id(999, 1)), Sight::Unsure);
        assert_eq!(known.look(&id(1_000, 7)), Sight::Unsure);
        assert_eq!(known.look(&id(1_000, 255)), Sight::Unsure, "made in the same millisecond");
        assert_eq!(known.look(&id(1_001, 0)), Sight::New);
    }

    #[test]
    fn too_many_raise_the_floor_and_nothing_is_forgotten_above_it() {
        let mut known = Known::after(None, 4);
        for tail in 0..5 {
            known.note(id(0, tail), tail);
        }
        assert_eq!(known.look(&id(0, 0)), Sight::Unsure, "the whole slice went");
        assert_eq!(known.look(&id(63, 9)), Sight::Unsure);
        assert_eq!(known.look(&id(64, 9)), Sight::New);
        known.note(id(10, 1), 1);
        assert_eq!(known.look(&id(10, 1)), Sight::Unsure, "below the floor nothing is kept");
        assert!(known.slices.is_empty());
    }

    proptest! {
        #[test]
        fn never_new_when_used(
            ids in prop::collection::vec((0_u64..400, 0_u8..4), 0..200),
            held_max in 1_usize..50,
        ) {
            let (mut known, mut used) = (Known::after(None, held_max), HashSet::new());
            for (ms, tail) in ids {
                let id = id(ms, tail);
                match known.look(&id) {
                    Sight::New => prop_assert!(!used.contains(&id)),
                    Sight::Used(value) => {
                        prop_assert!(used.contains(&id));
                        prop_assert_eq!(value, tail);
                    }
                    Sight::Unsure => {}
                }
                known.note(id, tail);
                used.insert(id);
                prop_assert!(known.held <= held_max);
            }
        }
    }
}
