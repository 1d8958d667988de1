//! What is stored of a batch of changes, table by table.

use super::row::Id;
use super::sheet::{Cells, Sheet, Table};
use super::tables::*;
use crate::books::{NO_HEAD, NO_PAYMENT, StoreError, actor_of, is_settled, with_digests};
use crate::device_row;
use std::collections::HashMap;
use std::hash::Hash;
use tpw_flow::{Changes, OrderDigest, Payment, stored};
use tpw_ledger::{
    Account, HoldChange, Member, Membership, MembershipChange, TransferRow, VelocityRow, WatchRow,
};

/// Everything that one transaction writes.
#[derive(Default)]
pub(super) struct Batch {
    /// New and changed rows, in the order in which they are written.
    pub(super) sheets: Vec<Sheet>,
    /// Rows of which every column says that they go.
    pub(super) removals: Vec<Sheet>,
    /// Rows that go by their ids: a statement, and the ids in it.
    pub(super) deletions: Vec<(&'static str, Vec<Id>)>,
}

impl Batch {
    pub(super) fn of(changes: &Changes) -> Result<Self, StoreError> {
        let mut batch = Self::default();
        batch.registry(changes);
        batch.ledger(changes);
        batch.payments(changes)?;
        batch.orders(changes);
        batch.records(changes);
        batch.rest(changes);
        Ok(batch)
    }

    pub(super) fn of_meta(key: &str, value: &[u8]) -> Self {
        let mut batch = Self::default();
        batch.put(&META, std::iter::once((key, value)), |(key, value), cells| {
            cells.text(key).bytes(value);
        });
        batch
    }

    fn put<T>(
        &mut self,
        table: &'static Table,
        items: impl ExactSizeIterator<Item = T>,
        write: impl FnMut(T, &mut Cells),
    ) {
        self.sheets.extend(Sheet::of(table, items, write));
    }

    fn registry(&mut self, changes: &Changes) {
        let people = last_of(&changes.people, |person| person.id);
        self.put(&PERSON, people.into_iter(), |person, cells| {
            cells.id(person.id.as_bytes()).text(person.name.as_str()).time(person.added);
        });
        let devices = last_of(&changes.devices, |device| device.id);
        self.put(&DEVICE, devices.into_iter(), |device, cells| {
            cells.id(device.id.as_bytes()).id(device.person.as_bytes());
            cells.text(&device_row::algorithms(device)).bytes(&device_row::key_bytes(device));
            cells.time(device.enrolled).maybe(device.revoked, Cells::time);
        });
        let codes = last_of(&changes.codes, |(hash, _)| *hash);
        self.put(&CODE, codes.into_iter(), |(hash, grant), cells| {
            cells.hash(hash).id(grant.person.as_bytes()).time(grant.expires);
            cells.maybe(grant.used_by, |cells, device| cells.id(device.as_bytes()));
        });
        self.put(&OWNER, changes.owners.iter(), |(account, owner), cells| {
            cells.id(account.as_bytes());
            cells.maybe(owner.person, |cells, person| cells.id(person.as_bytes()));
            cells.text(owner.label.as_str());
        });
        let chains = last_of(&changes.chains, |(device, account, _)| (*device, *account));
        self.put(&CHAIN, chains.into_iter(), |(device, account, head), cells| {
            cells.id(device.as_bytes()).id(account.as_bytes()).int(head.sequence).hash(&head.hash);
        });
    }

    fn ledger(&mut self, all: &Changes) {
        let changes = &*all.ledger;
        self.put(&ACCOUNT, changes.saves.iter(), account);
        self.put(&TRANSFER, with_digests(all), transfer);
        let backdated = changes.transfers.iter().filter(|row| row.effective != row.at);
        let backdated: Vec<_> =
            backdated.flat_map(|row| [(row, row.debit), (row, row.credit)]).collect();
        self.put(&BACKDATED, backdated.iter(), |(row, account), cells| {
            cells.id(account.as_bytes()).time(row.effective).int(row.number);
        });
        let opened: Vec<_> = changes
            .holds
            .iter()
            .filter_map(|change| match change {
                HoldChange::Opened(hold) => Some(hold),
                HoldChange::Resolved { .. } => None,
            })
            .collect();
        self.put(&HOLD, opened.into_iter(), |hold, cells| {
            cells.id(hold.id.as_bytes()).int(hold.number);
            cells.id(hold.debit.as_bytes()).id(hold.credit.as_bytes());
            cells.display(&hold.money.asset).amount(hold.money.amount).time(hold.expires);
        });
        let resolved = changes.holds.iter().filter_map(|change| match change {
            HoldChange::Opened(_) => None,
            HoldChange::Resolved { hold, .. } => Some(Id(*hold.as_bytes())),
        });
        self.deletions.push(("DELETE FROM hold WHERE id = ANY ($1)", resolved.collect()));
        self.put(&MARK, changes.marks.iter(), |mark, cells| {
            cells.id(mark.account.as_bytes()).int(mark.transfers).int(mark.number).time(mark.at);
            cells.amount(mark.debits_posted).amount(mark.credits_posted);
            cells.amount(mark.debits_pending).amount(mark.credits_pending);
        });
        self.groups(changes);
    }

    fn groups(&mut self, changes: &tpw_ledger::Changes) {
        // A limit that is neither of amount nor of count is no limit, and a watch without a threshold watches nothing:
        // their rows go.
        let velocities = last_of(&changes.velocities, |row| (row.account, row.place));
        let limits = |row: &&VelocityRow| row.amount_max.is_some() || row.count_max.is_some();
        let (kept, gone): (Vec<&VelocityRow>, Vec<_>) = velocities.into_iter().partition(limits);
        self.put(&VELOCITY, kept.into_iter(), |row, cells| {
            cells.id(row.account.as_bytes()).small(row.place).int(row.window.as_ms());
            cells.maybe(row.amount_max, Cells::amount).maybe(row.count_max, Cells::int);
            cells.time(row.since).amount(row.amount).int(row.count);
        });
        self.removals.extend(Sheet::of(&VELOCITY_KEY, gone.into_iter(), |row, cells| {
            cells.id(row.account.as_bytes()).small(row.place);
        }));
        let watches = last_of(&changes.watches, |row| row.account);
        let (kept, gone): (Vec<&WatchRow>, Vec<_>) =
            watches.into_iter().partition(|row| row.below.is_some() || row.above.is_some());
        self.put(&WATCH, kept.into_iter(), |row, cells| {
            cells.id(row.account.as_bytes()).small(row.tier.number()).small(row.action.number());
            cells.maybe(row.below, Cells::amount).maybe(row.above, Cells::amount);
        });
        let gone = gone.into_iter().map(|row| Id(*row.account.as_bytes())).collect();
        self.deletions.push(("DELETE FROM watch WHERE account = ANY ($1)", gone));
        self.put(&CROSSING, changes.crossings.iter(), |row, cells| {
            cells.id(row.account.as_bytes()).int(row.number);
            cells.small(row.tier.number()).small(row.edge.number()).amount(row.threshold);
            cells.display(&row.balance).time(row.at).small(row.action.number());
        });
        self.put(&ACCOUNT_SET, changes.sets.iter(), |set, cells| {
            cells.id(set.id.as_bytes()).display(&set.asset).time(set.opened);
        });
        // Who joined and left, or left and joined again, is written once, in the way in which it ended.
        let of = |change: &MembershipChange| match change {
            MembershipChange::Joined(membership) | MembershipChange::Left(membership) => {
                *membership
            }
        };
        let (mut joined, mut left) = (Vec::new(), Vec::new());
        for change in last_of(&changes.memberships, of) {
            match change {
                MembershipChange::Joined(membership) => joined.push(membership),
                MembershipChange::Left(membership) => left.push(membership),
            }
        }
        self.put(&MEMBERSHIP, joined.into_iter(), membership);
        self.removals.extend(Sheet::of(&MEMBERSHIP, left.into_iter(), membership));
    }

    fn payments(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let latest = last_of(&changes.payments, |payment| payment.id());
        let rows: Result<Vec<_>, _> =
            latest.iter().map(|payment| PaymentRow::of(payment)).collect();
        let rows = rows.map_err(|NotAtRest| StoreError::Damaged { what: "payment" })?;
        self.put(&PAYMENT, rows.iter(), PaymentRow::write);
        let settled = latest.iter().filter(|payment| is_settled(payment));
        let settled = settled.map(|payment| Id(*payment.id().as_bytes())).collect();
        self.deletions.push(("DELETE FROM rail WHERE payment = ANY ($1)", settled));
        Ok(())
    }

    fn orders(&mut self, changes: &Changes) {
        self.put(&BURNT, changes.burnt.iter(), |(id, burnt), cells| {
            cells.id(id.as_bytes()).small(burnt.why.number());
            cells.hash(&burnt.fingerprint).time(burnt.at);
        });
        self.put(&REVERSAL, changes.reversals.iter(), |(original, reversal), cells| {
            cells.int(*original).int(*reversal);
        });
        self.put(&ORDER_BATCH, changes.order_batches.iter(), |batch, cells| {
            cells.int(batch.first).int(batch.count).int(batch.leaf).hash(&batch.by);
            cells.time(batch.at).bytes(&batch.salt);
        });
        self.put(&EVENT, changes.events.iter(), |event, cells| {
            cells.int(event.seq).int(event.position).time(event.at);
            cells.small(event.kind.number()).id(&event.subject);
        });
    }

    fn records(&mut self, changes: &Changes) {
        let (mut kept, mut removed) = (Vec::new(), Vec::new());
        for (key, value) in last_of(&changes.records, |(key, _)| key.clone()) {
            match value {
                Some(value) => kept.push((key, value)),
                None => removed.push(key),
            }
        }
        self.put(&RECORD, kept.into_iter(), |(key, value), cells| {
            cells.bytes(&key.to_bytes()).bytes(value);
        });
        self.removals.extend(Sheet::of(&RECORD_KEY, removed.into_iter(), |key, cells| {
            cells.bytes(&key.to_bytes());
        }));
    }

    fn rest(&mut self, changes: &Changes) {
        self.put(&LEAF, changes.leaves.iter(), |row, cells| {
            cells.int(row.index).bytes(row.leaf.as_bytes());
            cells.maybe(row.payment, |cells, payment| cells.id(payment.as_bytes()));
        });
        self.put(&TOKEN, changes.tokens.iter(), |row, cells| {
            cells.bytes(&row.serial).int(row.leaf);
        });
        let forgotten = changes.forgotten.iter().map(|id| Id(*id.as_bytes())).collect();
        self.deletions.push(("DELETE FROM decision WHERE id = ANY ($1)", forgotten));
        self.put(&DECISION, changes.decisions.iter(), |row, cells| {
            let record = &row.decided.record;
            cells.int(row.number).id(record.id.as_bytes());
            cells.maybe(record.owner, |cells, owner| cells.id(owner.as_bytes()));
            cells.maybe(actor_of(record), |cells, actor| cells.text(&actor));
            cells.text(&record.resource).text(&record.action);
            cells.bytes(&row.decided.salt).bytes(&record.to_bytes());
        });
        self.put(&RAIL, changes.rail.iter(), |rail, cells| {
            cells.id(rail.payment.as_bytes()).id(rail.account.as_bytes());
            cells.display(&rail.money.asset).amount(rail.money.amount);
            cells.text(&rail.purpose).time(rail.at);
        });
        self.put(&FUNDING, changes.fundings.iter(), |(id, funding), cells| {
            cells.id(id.as_bytes()).id(funding.account.as_bytes()).amount(funding.amount);
        });
        self.put(&ALARM, changes.alarms.iter(), |alarm, cells| {
            let (payment, head) =
                (alarm.payment.unwrap_or(NO_PAYMENT), alarm.head.unwrap_or(NO_HEAD));
            cells.text(alarm.kind.code()).time(alarm.at);
            cells.id(alarm.device.as_bytes()).id(payment.as_bytes());
            cells.int(head.size).hash(&head.root);
        });
    }
}

/// The items less those that a later one of the same key replaces, in the order in which the keys came first: one
/// statement may touch a row only once.
fn last_of<T, K: Eq + Hash>(items: &[T], key: impl Fn(&T) -> K) -> Vec<&T> {
    let mut last: HashMap<K, &T> = items.iter().map(|item| (key(item), item)).collect();
    items.iter().filter_map(|item| last.remove(&key(item))).collect()
}

fn account(a: &Account, cells: &mut Cells) {
    cells.id(a.id.as_bytes()).display(&a.asset).small(a.kind.number());
    cells.maybe(a.owner, |cells, person| cells.id(person.as_bytes()));
    cells.small(a.state.number()).small(a.frozen.bits());
    cells.maybe(a.limits.debit_max_per_transfer(), Cells::amount);
    cells.maybe(a.limits.balance_max(), Cells::amount);
    cells.amount(a.debits_posted).amount(a.credits_posted);
    cells.amount(a.debits_pending).amount(a.credits_pending);
    cells.int(a.transfers).int(a.last).hash(&a.chain).time(a.opened);
}

fn transfer((row, digest): (&TransferRow, Option<OrderDigest>), cells: &mut Cells) {
    cells.int(row.number).int(row.prev_debit).int(row.prev_credit);
    cells.maybe(row.pending, Cells::int).time(row.at);
    cells.maybe((row.effective != row.at).then_some(row.effective), Cells::time);
    cells.id(row.id.as_bytes());
    cells.id(row.debit.as_bytes()).id(row.credit.as_bytes()).small(row.kind.number());
    cells.display(&row.money.asset).amount(row.money.amount);
    cells.maybe(Some(row.released).filter(|amount| !amount.is_zero()), Cells::amount);
    cells.hash(&row.debit_chain).hash(&row.credit_chain);
    cells.maybe(digest, |cells, digest| cells.bytes(digest.as_bytes()));
}

fn membership(membership: &Membership, cells: &mut Cells) {
    let (kind, member) = match &membership.member {
        Member::Account(account) => (1, account.as_bytes()),
        Member::Set(set) => (2, set.as_bytes()),
    };
    cells.id(membership.set.as_bytes()).id(member).small(kind);
}

/// A payment between two states, which is never to be stored.
struct NotAtRest;

struct PaymentRow<'a> {
    payment: &'a Payment,
    status: u8,
    received: tpw_core::Instant,
    state: Vec<u8>,
}

impl<'a> PaymentRow<'a> {
    fn of(payment: &'a Payment) -> Result<Self, NotAtRest> {
        let state = stored::to_bytes(payment).ok_or(NotAtRest)?;
        let status = payment.status().ok_or(NotAtRest)?.number();
        let status = u8::try_from(status).map_err(|_| NotAtRest)?;
        let received = payment.received().ok_or(NotAtRest)?;
        Ok(Self { payment, status, received, state })
    }

    fn write(row: &Self, cells: &mut Cells) {
        let intent = row.payment.intake().intent();
        cells.id(intent.payment.as_bytes()).small(row.status).time(row.received);
        cells.id(intent.payer.as_bytes()).id(intent.payee.as_bytes());
        cells.display(&intent.money.asset).amount(intent.money.amount);
        cells.id(intent.device.as_bytes()).bytes(&row.state);
    }
}
