//! Carrying out orders: each once, each decided on its own, all of one command under one log entry.

use super::known::Sight;
use super::repeat::MadeBy;
use super::{
    Answer, Archive, ArchiveError, Burnt, Desk, DeskFault, EventKind, LeafRow, OrderBatch, Outcome,
};
use crate::order::{Order, OrderOutcome, OrderRefusal, OrderRejection, Ordered, Orders};
use crate::step::SKEW_MAX;
use tpw_core::codec::Writer;
use tpw_core::{AccountId, Hash32, Instant, RecordKind, TransferId};
use tpw_ledger::{Applied, Ledger, LedgerError, Operation, Original, Reversal, TransferRow};
use tpw_proof::leaf::Leaf;

/// What an id was used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdUse {
    /// For the transfer with this number.
    Transfer(u64),
    /// For an order that was refused.
    Burnt,
    /// An open hold will expire under it.
    Expiry,
}

/// Why an order is not done: it is at fault, or the state is in doubt.
enum Not {
    Refused(OrderRefusal),
    Fault(DeskFault),
}

impl From<LedgerError> for Not {
    fn from(error: LedgerError) -> Self {
        match OrderRefusal::of(&error) {
            Some(why) => Self::Refused(why),
            None => Self::Fault(DeskFault::Doubt("the ledger refused what no order can ask for")),
        }
    }
}

impl From<ArchiveError> for Not {
    fn from(error: ArchiveError) -> Self {
        Self::Fault(error.into())
    }
}

impl Desk {
    pub(super) fn carry_out(
        &mut self,
        orders: &Orders,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        let first = self.ledger.next_number();
        let mut outcomes = Vec::with_capacity(orders.orders.len());
        for ordered in &orders.orders {
            outcomes.push(self.order(ordered, first, now, archive)?);
        }
        self.log_orders(orders, first, now);
        Ok(Ok(Answer::Ordered(outcomes)))
    }

    fn order(
        &mut self,
        ordered: &Ordered,
        first: u64,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<OrderOutcome, DeskFault> {
        let order = &ordered.order;
        let Some(id) = order.id() else {
            return Ok(OrderOutcome::Refused { why: OrderRefusal::LegCount });
        };
        if made_after(id, now.plus(SKEW_MAX)) {
            return Ok(OrderOutcome::Rejected(OrderRejection::FromFuture(id)));
        }
        if let Some(known) = self.use_of(id, archive)? {
            return self.again(ordered, id, known, first, archive);
        }
        for leg in order.later_ids() {
            if made_after(leg, now.plus(SKEW_MAX)) {
                return Ok(OrderOutcome::Rejected(OrderRejection::FromFuture(leg)));
            }
            if self.use_of(leg, archive)?.is_some() {
                return Ok(OrderOutcome::Rejected(OrderRejection::LegIdUsed(leg)));
            }
        }
        if let Order::Hold { request, expires } = order {
            let end = Ledger::expiry_id(request.id, *expires);
            if self.use_of(end, archive)?.is_some() {
                return Ok(OrderOutcome::Rejected(OrderRejection::LegIdUsed(end)));
            }
        }
        let number = self.ledger.next_number();
        match self.attempt(ordered, now, archive) {
            Ok(_applied) => {
                self.note_digest(number, ordered);
                self.note_transfers();
                self.tell_crossings();
                Ok(OrderOutcome::Done { number })
            }
            Err(Not::Refused(why)) => {
                self.burn(id, Burnt { why, fingerprint: ordered.fingerprint(), at: now });
                Ok(OrderOutcome::Refused { why })
            }
            Err(Not::Fault(fault)) => Err(fault),
        }
    }

    fn attempt(
        &mut self,
        ordered: &Ordered,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Applied, Not> {
        let reversal;
        let operation = match &ordered.order {
            Order::Transfer(request) => {
                self.may_debit(&request.debit)?;
                Operation::Transfer(core::slice::from_ref(request))
            }
            Order::Linked(legs) => {
                legs.iter().try_for_each(|leg| self.may_debit(&leg.debit))?;
                Operation::Transfer(legs)
            }
            Order::Hold { request, expires } => {
                self.may_debit(&request.debit)?;
                Operation::Hold { request: *request, expires: *expires }
            }
            Order::Post { hold, id, amount } => {
                self.may_resolve(hold)?;
                Operation::Post { hold: *hold, id: *id, amount: *amount }
            }
            Order::Void { hold, id } => {
                self.may_resolve(hold)?;
                Operation::Void { hold: *hold, id: *id }
            }
            Order::Reverse { of, id } => {
                reversal = [Reversal { of: self.original(*of, archive)?, id: *id }];
                Operation::Reverse(&reversal)
            }
        };
        let applied = self.ledger.apply_if(operation, &ordered.conditions, now)?;
        if let (Order::Reverse { of, .. }, Some(posting)) =
            (&ordered.order, applied.postings.first())
        {
            self.recent.reversals.insert(*of, posting.number);
            self.changes.reversals.push((*of, posting.number));
        }
        Ok(applied)
    }

    /// A person's money moves only on the word of that person's device.
    fn may_debit(&self, account: &AccountId) -> Result<(), Not> {
        match self.ledger.kind(account) {
            Some(kind) if !kind.is_operators() => Err(Not::Refused(OrderRefusal::PersonsAccount)),
            // The ledger says what is wrong with an account that is not there.
            _ => Ok(()),
        }
    }

    fn may_resolve(&self, hold: &TransferId) -> Result<(), Not> {
        self.ledger.hold(hold).map_or(Ok(()), |hold| self.may_debit(&hold.debit))
    }

    /// A transfer that an order of an earlier command made and that was not reversed yet.
    fn original(&self, number: u64, archive: &dyn Archive) -> Result<Original, Not> {
        let unknown = Not::Refused(OrderRefusal::UnknownOriginal);
        let Some(row) = self.row(number, archive)? else { return Err(unknown) };
        if self.made_by(number, u64::MAX, archive)? == MadeBy::Other {
            return Err(unknown);
        }
        let Some(original) = Original::of_row(&row) else { return Err(unknown) };
        let recent = self.unstored().any(|recent| recent.reversals.contains_key(&number));
        if recent || archive.reversed(number)? {
            return Err(Not::Refused(OrderRefusal::AlreadyReversed));
        }
        self.may_debit(&original.credit)?;
        Ok(original)
    }

    fn burn(&mut self, id: TransferId, burnt: Burnt) {
        self.transfer_ids.note(*id.as_bytes(), IdUse::Burnt);
        self.recent.burnt.insert(id, burnt);
        self.changes.burnt.push((id, burnt));
        self.tell(EventKind::OrderRefused, *id.as_bytes(), burnt.at);
    }

    /// Remembers the ids of the transfers that were made since the last call.
    pub(super) fn note_transfers(&mut self) {
        let rows = self.ledger.new_transfers();
        for row in rows.get(self.noted..).unwrap_or_default() {
            self.transfer_ids.note(*row.id.as_bytes(), IdUse::Transfer(row.number));
        }
        self.noted = rows.len();
    }

    /// What a transfer's id was used for, if it was used.
    pub(super) fn use_of(
        &self,
        id: TransferId,
        archive: &dyn Archive,
    ) -> Result<Option<IdUse>, ArchiveError> {
        match self.transfer_ids.look(id.as_bytes()) {
            Sight::New => {
                return Ok(self.ledger.expires_as(&id).then_some(IdUse::Expiry));
            }
            Sight::Used(used) => return Ok(Some(used)),
            Sight::Unsure => {}
        }
        // Older than what is held: it may still be on its way into the store.
        if self.unstored().any(|recent| recent.burnt.contains_key(&id)) {
            return Ok(Some(IdUse::Burnt));
        }
        let mut rows = self.unstored_rows().flatten();
        match rows.find(|row| row.id == id) {
            Some(row) => Ok(Some(IdUse::Transfer(row.number))),
            None => match archive.transfer_id(id)? {
                None => Ok(self.ledger.expires_as(&id).then_some(IdUse::Expiry)),
                used => Ok(used),
            },
        }
    }

    /// Transfers that the archive does not have yet, in pieces with ascending numbers.
    pub(super) fn unstored_rows(&self) -> impl Iterator<Item = &[TransferRow]> {
        let taken = self.in_flight.iter().map(|taken| taken.ledger.transfers.as_slice());
        taken.chain(core::iter::once(self.ledger.new_transfers()))
    }

    /// One entry of the log commits to all transfers of the command.
    fn log_orders(&mut self, orders: &Orders, first: u64, now: Instant) {
        let made = self.ledger.new_transfers();
        let made = made.iter().rev().take_while(|row| row.number >= first).count();
        let count = u64::try_from(made).unwrap_or(u64::MAX);
        if count == 0 {
            return;
        }
        let leaf_index = self.leaves;
        let batch = OrderBatch {
            leaf: leaf_index,
            by: orders.by,
            at: now,
            first,
            count,
            salt: orders.salt,
        };
        let rows = self.ledger.new_transfers();
        let rows = rows.get(rows.len().saturating_sub(made)..).unwrap_or_default();
        let leaf = batch.commitment(rows);
        self.leaves = self.leaves.saturating_add(1);
        self.changes.leaves.push(LeafRow { index: leaf_index, leaf, payment: None });
        self.recent.order_batches.push(batch);
        self.changes.order_batches.push(batch);
    }
}

impl OrderBatch {
    /// Whether this transfer is one of the batch.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        number.checked_sub(self.first).is_some_and(|place| place < self.count)
    }

    /// The log entry over the batch and its transfers: `spec/leaf.md`.
    #[must_use]
    pub fn commitment(&self, rows: &[TransferRow]) -> Leaf {
        let mut bytes = Vec::with_capacity(rows.len().saturating_mul(TransferRow::LINKED_LEN));
        rows.iter().for_each(|row| bytes.extend_from_slice(&row.linked_bytes()));
        let mut w = Writer::new();
        w.array(4).uint(self.at.unix_ms()).uint(self.first).uint(self.count);
        w.bytes(&tpw_crypto::sha256(&bytes));
        let record = Hash32::new(tpw_crypto::sha256(&w.finish()));
        Leaf::commit(RecordKind::Orders, &self.salt, self.by, record)
    }
}

/// Whether an id says that it was made later. One from the future would be the newest for long: what is younger than the
/// newest is known to be new without asking the store.
pub(super) fn made_after(id: TransferId, latest: Instant) -> bool {
    id.unix_ms() > latest.unix_ms()
}
