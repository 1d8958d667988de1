//! The signature chain: each device numbers its intents on each account, and each names the one before.

use std::collections::BTreeMap;

use tpw_core::{AccountId, DeviceId, Hash32};

/// Whose chain: the numbers run per device and account.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ChainKey {
    /// The device that signs.
    pub device: DeviceId,
    /// The account that pays.
    pub account: AccountId,
}

/// What the next intent must say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its sequence number, from 1.
    pub next: u64,
    /// The hash of the intent before it; zero for the first.
    pub previous: Hash32,
}

impl Link {
    /// The start of every chain.
    pub const FIRST: Self = Self { next: 1, previous: Hash32::ZERO };
}

/// One chain as this device knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Chain {
    pub(super) link: Link,
    /// Every number up to here is known to be used by the server.
    pub(super) used: u64,
    /// The entries without a final answer: number to position in the journal.
    pub(super) open: BTreeMap<u64, usize>,
}

impl Chain {
    pub(super) const fn new() -> Self {
        Self { link: Link::FIRST, used: 0, open: BTreeMap::new() }
    }

    /// A new intent takes the next number. The caller checked that it has it.
    pub(super) fn extend(&mut self, intent_hash: Hash32, position: usize) {
        self.open.insert(self.link.next, position);
        self.link = Link { next: self.link.next.saturating_add(1), previous: intent_hash };
    }

    /// The server used up this number.
    pub(super) fn consume(&mut self, sequence: u64) {
        self.open.remove(&sequence);
        self.used = self.used.max(sequence);
    }

    /// The number becomes free again, and with it all that come after it: they name a predecessor that the server will
    /// never have. Gives the positions of all of them. The caller checked that none of them is used.
    pub(super) fn rewind(&mut self, link: Link) -> Vec<usize> {
        self.link = link;
        self.open.split_off(&link.next).into_values().collect()
    }
}
