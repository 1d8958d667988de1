//! All accounts, in blocks that never move: growing copies nothing, keeps nobody waiting, and leaves no memory behind.

use crate::slot::Slot;

/// Accounts in a block: 128 KiB of them.
const BLOCK_LEN: usize = 1_024;

/// The accounts by their places.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots {
    /// All are full but the last; none is empty.
    blocks: Vec<Vec<Slot>>,
    len: usize,
}

const fn position(place: usize) -> (usize, usize) {
    (place / BLOCK_LEN, place % BLOCK_LEN)
}

impl Slots {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, place: usize) -> Option<&Slot> {
        let (block, within) = position(place);
        self.blocks.get(block)?.get(within)
    }

    pub(crate) fn get_mut(&mut self, place: usize) -> Option<&mut Slot> {
        let (block, within) = position(place);
        self.blocks.get_mut(block)?.get_mut(within)
    }

    pub(crate) fn last(&self) -> Option<&Slot> {
        self.blocks.last()?.last()
    }

    pub(crate) fn push(&mut self, slot: Slot) {
        self.len = self.len.saturating_add(1);
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK_LEN => block.push(slot),
            Some(_full) => {
                let mut block = Vec::with_capacity(BLOCK_LEN);
                block.push(slot);
                self.blocks.push(block);
            }
            // A ledger of few accounts needs no whole block.
            None => self.blocks.push(vec![slot]),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Slot> {
        let block = self.blocks.last_mut()?;
        let slot = block.pop()?;
        if block.is_empty() {
            self.blocks.pop();
        }
        self.len = self.len.saturating_sub(1);
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccountKind, Limits, NewAccount};
    use tpw_core::{AccountId, Instant};

    fn slot(number: usize) -> Slot {
        let mut id = [0; 16];
        id[8..].copy_from_slice(&(number as u64).to_be_bytes());
        let asset = "USD/2".parse().unwrap();
        let id = AccountId::from_bytes(id);
        let new = NewAccount {
            id,
            asset,
            kind: AccountKind::Custodial,
            owner: None,
            limits: Limits::NONE,
        };
        Slot::new(&new, 0, 0, Instant::from_unix_ms(1).unwrap())
    }

    /// Goal: blocks are a list like any other. Method: the same pushes and pops beside a `Vec`, across borders of blocks.
    #[test]
    fn blocks_are_one_list() {
        let (mut slots, mut list) = (Slots::default(), Vec::new());
        let check = |slots: &Slots, list: &Vec<Slot>| {
            assert_eq!((slots.len(), slots.last()), (list.len(), list.last()));
            for place in [0, 1, BLOCK_LEN - 1, BLOCK_LEN, BLOCK_LEN + 1, 2 * BLOCK_LEN, list.len()]
            {
                assert_eq!(slots.get(place), list.get(place), "{place}");
            }
        };
        for (pushes, pops) in
            [(1, 1), (BLOCK_LEN, 1), (2, 2), (BLOCK_LEN + 3, 5), (0, 3 * BLOCK_LEN)]
        {
            for _ in 0..pushes {
                list.push(slot(list.len()));
                slots.push(slot(slots.len()));
                check(&slots, &list);
            }
            for _ in 0..pops {
                assert_eq!(slots.pop(), list.pop());
                check(&slots, &list);
            }
        }
        assert_eq!(slots.get_mut(0), None);
    }
}
