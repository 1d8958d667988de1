//! Open holds, by id and by expiry.

use crate::keyed::Map;
use std::collections::BTreeSet;
use tpw_core::{AccountId, Instant, Money, TransferId};
use tpw_crypto::sha256_parts;

/// An open hold: the row to store and the view to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HoldRow {
    /// Its id.
    pub id: TransferId,
    /// Its number in the ledger.
    pub number: u64,
    /// The account that will give.
    pub debit: AccountId,
    /// The account that will receive.
    pub credit: AccountId,
    /// How much of what, at most.
    pub money: Money,
    /// From when on it can only be voided.
    pub expires: Instant,
}

/// How a hold was resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HoldEnd {
    /// Posted, wholly or in part.
    Posted,
    /// Voided.
    Voided,
    /// Run out.
    Expired,
}

/// A change of the set of open holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HoldChange {
    /// A hold was made.
    Opened(HoldRow),
    /// A hold was resolved and is no longer open.
    Resolved {
        /// The hold.
        hold: TransferId,
        /// Its number in the ledger.
        number: u64,
        /// The number of the transfer that resolved it.
        by: u64,
        /// How.
        end: HoldEnd,
    },
}

/// Changes of the set of open holds since the last take, without those that cancel out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct HoldChanges {
    /// In the order of their numbers; none where the hold was resolved meanwhile.
    opened: Vec<(u64, Option<HoldRow>)>,
    resolved: Vec<HoldChange>,
}

impl HoldChanges {
    pub(crate) fn open(&mut self, hold: HoldRow) {
        self.opened.push((hold.number, Some(hold)));
    }

    pub(crate) fn resolve(&mut self, hold: &HoldRow, by: u64, end: HoldEnd) {
        let place = self.opened.binary_search_by_key(&hold.number, |(number, _)| *number);
        match place.ok().and_then(|place| self.opened.get_mut(place)) {
            Some((_, opened)) => *opened = None,
            None => {
                let (hold, number) = (hold.id, hold.number);
                self.resolved.push(HoldChange::Resolved { hold, number, by, end });
            }
        }
    }

    pub(crate) fn take(&mut self) -> Vec<HoldChange> {
        let mut changes = core::mem::take(&mut self.resolved);
        let opened = self.opened.drain(..).filter_map(|(_, hold)| hold);
        changes.extend(opened.map(HoldChange::Opened));
        changes
    }
}

/// The open holds. Resolved ones are forgotten: memory does not grow with history.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Holds {
    by_id: Map<TransferId, HoldRow>,
    by_expiry: BTreeSet<(Instant, u64, TransferId)>,
    /// The ids under which they would expire. Every new id is looked up here, and thousands may run out in one millisecond.
    ends: Map<TransferId, ()>,
}

/// The id of the transfer that expires a hold: its time from the hold's expiry, the rest from a hash of the hold's id, so that no
/// randomness is needed and a replay gives the same id.
pub(crate) fn expiry_id(hold: TransferId, expires: Instant) -> TransferId {
    let hash = sha256_parts(&[b"tpw/expire/v1\0", hold.as_bytes()]);
    let random = hash.first_chunk::<10>().copied().unwrap_or([0; 10]);
    TransferId::new(expires.unix_ms(), random)
}

impl Holds {
    pub(crate) fn get(&self, id: &TransferId) -> Option<&HoldRow> {
        self.by_id.get(id)
    }

    /// Puts a hold in; the caller has checked that its id is not there.
    pub(crate) fn put(&mut self, hold: HoldRow) {
        self.by_id.insert(hold.id, hold);
        self.by_expiry.insert((hold.expires, hold.number, hold.id));
        self.ends.insert(expiry_id(hold.id, hold.expires), ());
    }

    pub(crate) fn remove(&mut self, hold: &HoldRow) {
        self.by_id.remove(&hold.id);
        self.by_expiry.remove(&(hold.expires, hold.number, hold.id));
        self.ends.remove(&expiry_id(hold.id, hold.expires));
    }

    /// All open holds, by expiry, then by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &HoldRow> {
        self.by_expiry.iter().filter_map(|(_, _, id)| self.by_id.get(id))
    }

    /// Whether one of them would expire under this id.
    pub(crate) fn ends_as(&self, id: &TransferId) -> bool {
        self.ends.contains_key(id)
    }

    /// The hold that runs out first.
    pub(crate) fn first(&self) -> Option<&HoldRow> {
        self.iter().next()
    }
}
