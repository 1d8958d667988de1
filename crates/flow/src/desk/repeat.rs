//! An order that is sent again: the same one gets the outcome that is stored; another one under its id is told so and changes nothing.

use super::orders::IdUse;
use super::{Archive, ArchiveError, Desk, DeskFault};
use crate::fingerprint::OrderDigest;
use crate::order::{Order, OrderOutcome, OrderRejection, Ordered};
use tpw_core::TransferId;
use tpw_ledger::TransferRow;

/// Who made a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MadeBy {
    /// An order, with its digest if its rows do not tell all of it.
    Order(Option<OrderDigest>),
    /// A payment, an opening, money brought in, or the end of a hold.
    Other,
}

const fn differs(field: &'static str) -> OrderOutcome {
    OrderOutcome::Rejected(OrderRejection::ExistsWithDifferent { field })
}

const fn lost() -> DeskFault {
    DeskFault::Doubt("an id is known and what it was used for is not")
}

impl Desk {
    /// What the id's owner learns who sends an order again. `first` is the number of the first transfer of the command at hand.
    pub(super) fn again(
        &self,
        ordered: &Ordered,
        id: TransferId,
        known: IdUse,
        first: u64,
        archive: &dyn Archive,
    ) -> Result<OrderOutcome, DeskFault> {
        let number = match known {
            IdUse::Burnt => return self.refused_again(ordered, id, archive),
            IdUse::Transfer(number) => number,
            IdUse::Expiry => return Ok(differs("kind")),
        };
        let row = self.row(number, archive)?.ok_or_else(lost)?;
        let resolved = match row.pending {
            Some(hold) if row.kind.resolves_hold() => {
                Some(self.row(hold, archive)?.ok_or_else(lost)?.id)
            }
            _ => None,
        };
        if let Some(field) = ordered.order.differs(&row, resolved) {
            return Ok(differs(field));
        }
        let kept = match self.made_by(number, first, archive)? {
            MadeBy::Order(kept) => kept,
            // Its row is that of such an order, but it is none.
            MadeBy::Other => return Ok(differs("kind")),
        };
        if kept == ordered.digest() {
            return Ok(OrderOutcome::Repeated { number });
        }
        let field = match kept {
            Some(_) => self.differing_leg(&ordered.order, number, archive)?.unwrap_or("order"),
            None => ordered.beyond_rows().unwrap_or("order"),
        };
        Ok(differs(field))
    }

    fn refused_again(
        &self,
        ordered: &Ordered,
        id: TransferId,
        archive: &dyn Archive,
    ) -> Result<OrderOutcome, DeskFault> {
        let recent = self.unstored().find_map(|recent| recent.burnt.get(&id).copied());
        let burnt = match recent {
            Some(burnt) => burnt,
            None => archive.burnt(id)?.ok_or_else(lost)?,
        };
        if burnt.fingerprint == ordered.fingerprint() {
            Ok(OrderOutcome::RefusedBefore { why: burnt.why })
        } else {
            Ok(differs("order"))
        }
    }

    /// The field in which a later leg of an order differs from what follows the transfer under its id.
    fn differing_leg(
        &self,
        order: &Order,
        number: u64,
        archive: &dyn Archive,
    ) -> Result<Option<&'static str>, ArchiveError> {
        for place in 1..order.transfers() {
            let at = u64::try_from(place).ok().and_then(|place| number.checked_add(place));
            let leg = at.map(|at| self.row(at, archive)).transpose()?.flatten();
            let field = leg.map_or(Some("legs"), |leg| order.differs_in_leg(place, &leg));
            if field.is_some() {
                return Ok(field);
            }
        }
        Ok(None)
    }

    /// Who made a transfer. Those from `first` on are made by the command at hand, whose orders are noted together at its end.
    pub(super) fn made_by(
        &self,
        number: u64,
        first: u64,
        archive: &dyn Archive,
    ) -> Result<MadeBy, ArchiveError> {
        let mut batches = self.unstored().flat_map(|recent| &recent.order_batches);
        if number < first && !batches.any(|batch| batch.contains(number)) {
            return archive.made_by(number);
        }
        let kept = self.unstored().find_map(|recent| {
            let digests = &recent.order_digests;
            let place = digests.binary_search_by_key(&number, |(number, _)| *number).ok()?;
            digests.get(place).map(|(_, digest)| *digest)
        });
        Ok(MadeBy::Order(kept))
    }

    /// Keeps what the rows of an order do not tell of it with those from `first` on.
    pub(super) fn note_digest(&mut self, first: u64, ordered: &Ordered) {
        let Some(digest) = ordered.digest() else { return };
        for number in first..self.ledger.next_number() {
            self.recent.order_digests.push((number, digest));
            self.changes.order_digests.push((number, digest));
        }
    }

    pub(super) fn row(
        &self,
        number: u64,
        archive: &dyn Archive,
    ) -> Result<Option<TransferRow>, ArchiveError> {
        for rows in self.unstored_rows() {
            let place = rows.first().and_then(|first| number.checked_sub(first.number));
            let place = place.and_then(|place| usize::try_from(place).ok());
            if let Some(row) = place.and_then(|place| rows.get(place)) {
                return Ok(Some(*row));
            }
        }
        archive.transfer(number)
    }
}
