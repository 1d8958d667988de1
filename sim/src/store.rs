//! The virtual store: rows in memory. A commit writes a whole batch or nothing.

use crate::keys::AUDIENCE;
use crate::{Checked, Defect, broken, ensure};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tpw_access::RecordKey;
use tpw_core::{AccountId, Asset, Instant, Intent, Name, PaymentId, Span, TransferId};
use tpw_engines::books::Restored;
use tpw_flow::{
    Archive, ArchiveError, Burnt, Changes, DecisionRow, Desk, Funding, IdUse, LeafRow, MadeBy,
    Opening, OrderBatch, OrderDigest, Payment, Rail, RailInstruction, Registry, Status, TokenRow,
    stored,
};
use tpw_ledger::{
    Account, AccountKind, Crossing, HoldChange, HoldRow, Ledger, Membership, MembershipChange,
    SetRow, TransferRow, VelocityRow, WatchRow,
};
use tpw_screen::{Facts, Rules, Screen};

/// How far back screening remembers.
const MEMORY: Span = Span::from_secs(30 * 24 * 3600);

pub(crate) struct Store {
    accounts: Vec<Account>,
    place: HashMap<AccountId, usize>,
    pub(crate) transfers: Vec<TransferRow>,
    transfer_ids: HashMap<TransferId, u64>,
    burnt: HashMap<TransferId, Burnt>,
    pub(crate) order_batches: Vec<OrderBatch>,
    pub(crate) order_digests: BTreeMap<u64, OrderDigest>,
    reversals: HashMap<u64, u64>,
    events: u64,
    newest_event: Option<Instant>,
    fundings: HashMap<TransferId, Funding>,
    holds: BTreeMap<u64, HoldRow>,
    velocities: BTreeMap<(AccountId, u8), VelocityRow>,
    watches: BTreeMap<AccountId, WatchRow>,
    /// In the order in which they were made.
    sets: Vec<SetRow>,
    memberships: BTreeSet<Membership>,
    pub(crate) crossings: Vec<Crossing>,
    pub(crate) registry: Registry,
    payments: HashMap<PaymentId, Row>,
    /// In the order in which they were first stored.
    pub(crate) ids: Vec<PaymentId>,
    pub(crate) leaves: Vec<LeafRow>,
    pub(crate) tokens: Vec<TokenRow>,
    pub(crate) decisions: Vec<DecisionRow>,
    pub(crate) records: BTreeMap<RecordKey, Vec<u8>>,
    pub(crate) rail: Vec<RailInstruction>,
    batches: u64,
    defect: Option<Defect>,
}

/// A payment with the columns by which it is found again.
struct Row {
    bytes: Vec<u8>,
    status: Option<Status>,
    intent: Intent,
    received: Option<Instant>,
}

impl Archive for Store {
    fn payment(&self, id: PaymentId) -> Result<Option<Payment>, ArchiveError> {
        let payment = self.payments.get(&id).map(|row| stored::from_bytes(&row.bytes));
        payment.transpose().map_err(|error| ArchiveError(error.to_string()))
    }

    fn funding(&self, id: TransferId) -> Result<Option<Funding>, ArchiveError> {
        Ok(self.fundings.get(&id).copied())
    }

    fn transfer(&self, number: u64) -> Result<Option<TransferRow>, ArchiveError> {
        let place = number.checked_sub(1).and_then(|place| usize::try_from(place).ok());
        Ok(place.and_then(|place| self.transfers.get(place)).copied())
    }

    fn transfer_id(&self, id: TransferId) -> Result<Option<IdUse>, ArchiveError> {
        let burnt = self.burnt.contains_key(&id).then_some(IdUse::Burnt);
        Ok(self.transfer_ids.get(&id).map(|number| IdUse::Transfer(*number)).or(burnt))
    }

    fn burnt(&self, id: TransferId) -> Result<Option<Burnt>, ArchiveError> {
        Ok(self.burnt.get(&id).copied())
    }

    fn made_by(&self, number: u64) -> Result<MadeBy, ArchiveError> {
        let ordered = self.order_batches.iter().any(|batch| batch.contains(number));
        let digest = self.order_digests.get(&number).copied();
        Ok(if ordered { MadeBy::Order(digest) } else { MadeBy::Other })
    }

    fn reversed(&self, number: u64) -> Result<bool, ArchiveError> {
        Ok(self.reversals.contains_key(&number))
    }

    fn record(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, ArchiveError> {
        Ok(self.records.get(key).cloned())
    }
}

impl Store {
    pub(crate) fn new(defect: Option<Defect>) -> Self {
        Self {
            accounts: Vec::new(),
            place: HashMap::new(),
            transfers: Vec::new(),
            transfer_ids: HashMap::new(),
            burnt: HashMap::new(),
            order_batches: Vec::new(),
            order_digests: BTreeMap::new(),
            reversals: HashMap::new(),
            events: 0,
            newest_event: None,
            fundings: HashMap::new(),
            holds: BTreeMap::new(),
            velocities: BTreeMap::new(),
            watches: BTreeMap::new(),
            sets: Vec::new(),
            memberships: BTreeSet::new(),
            crossings: Vec::new(),
            registry: Registry::default(),
            payments: HashMap::new(),
            ids: Vec::new(),
            leaves: Vec::new(),
            tokens: Vec::new(),
            decisions: Vec::new(),
            records: BTreeMap::new(),
            rail: Vec::new(),
            batches: 0,
            defect,
        }
    }

    /// Writes a batch; what a real store's keys forbid is an error, after which the run is over.
    pub(crate) fn commit(&mut self, changes: &Changes) -> Checked {
        self.batches = self.batches.saturating_add(1);
        let tenth = self.batches.is_multiple_of(10);
        if self.defect == Some(Defect::StoreLies) && tenth {
            return Ok(());
        }
        self.write_registry(changes);
        self.fundings.extend(changes.fundings.iter().copied());
        self.burnt.extend(changes.burnt.iter().copied());
        self.order_batches.extend(&changes.order_batches);
        if self.defect != Some(Defect::StoreDropsDigests) {
            self.order_digests.extend(changes.order_digests.iter().copied());
        }
        self.reversals.extend(changes.reversals.iter().copied());
        for event in &changes.events {
            self.events = self.events.saturating_add(1);
            self.newest_event = Some(event.at);
            ensure(event.seq == self.events, || format!("event {} is out of order", event.seq))?;
        }
        self.write_ledger(&changes.ledger, tenth)?;
        for payment in &changes.payments {
            let bytes = stored::to_bytes(payment).ok_or("a payment between two states")?;
            if self.defect == Some(Defect::StoreForgetsPayments)
                && payment.status() == Some(Status::Booked)
            {
                continue;
            }
            let (status, received) = (payment.status(), payment.received());
            let row = Row { bytes, status, intent: payment.intake().intent().clone(), received };
            if self.payments.insert(payment.id(), row).is_none() {
                self.ids.push(payment.id());
            }
        }
        for row in &changes.leaves {
            let next = u64::try_from(self.leaves.len()).unwrap_or(u64::MAX);
            ensure(row.index == next, || format!("leaf {} comes at {next}", row.index))?;
            self.leaves.push(row.clone());
        }
        self.tokens.extend(&changes.tokens);
        self.decisions.extend(changes.decisions.iter().cloned());
        for (key, value) in &changes.records {
            match value {
                Some(value) => drop(self.records.insert(key.clone(), value.clone())),
                None => drop(self.records.remove(key)),
            }
        }
        for instruction in &changes.rail {
            let again = self.rail.iter().any(|known| known.payment == instruction.payment);
            ensure(!again, || format!("{} is instructed twice", instruction.payment))?;
            self.rail.push(instruction.clone());
        }
        Ok(())
    }

    fn write_registry(&mut self, changes: &Changes) {
        let registry = &mut self.registry;
        registry.people.extend(changes.people.iter().map(|p| (p.id, p.clone())));
        changes.devices.iter().for_each(|device| registry.add_device(device.clone()));
        registry.codes.extend(changes.codes.iter().copied());
        if self.defect != Some(Defect::StoreDropsChains) {
            let chains = changes.chains.iter();
            registry
                .chains
                .extend(chains.map(|(device, account, head)| ((*device, *account), *head)));
        }
    }

    fn write_ledger(&mut self, changes: &tpw_ledger::Changes, tenth: bool) -> Checked {
        let mut rows = changes.saves.clone();
        if self.defect == Some(Defect::StoreCreditsTwice)
            && tenth
            && let Some(mut row) = changes.accounts.first().copied()
        {
            row.credits_posted =
                row.credits_posted.plus(row.credits_posted).unwrap_or(row.credits_posted);
            rows.push(row);
        }
        for row in rows {
            match self.place.get(&row.id).and_then(|place| self.accounts.get_mut(*place)) {
                Some(slot) => *slot = row,
                None => {
                    self.place.insert(row.id, self.accounts.len());
                    self.accounts.push(row);
                }
            }
        }
        self.write_guards(changes);
        let dropped = self.defect == Some(Defect::StoreDropsTransfer) && tenth;
        for row in changes.transfers.iter().skip(usize::from(dropped)) {
            let fresh = self.transfer_ids.insert(row.id, row.number).is_none();
            ensure(fresh, || format!("transfer {} is stored twice", row.id))?;
            self.transfers.push(*row);
        }
        for change in &changes.holds {
            match change {
                HoldChange::Opened(hold) => drop(self.holds.insert(hold.number, *hold)),
                HoldChange::Resolved { .. } if self.defect == Some(Defect::StoreKeepsHolds) => {}
                HoldChange::Resolved { number, .. } => drop(self.holds.remove(number)),
            }
        }
        Ok(())
    }

    fn write_guards(&mut self, changes: &tpw_ledger::Changes) {
        if self.defect != Some(Defect::StoreDropsVelocities) {
            let rows = changes.velocities.iter();
            self.velocities.extend(rows.map(|row| ((row.account, row.place), *row)));
        }
        self.watches.extend(changes.watches.iter().map(|row| (row.account, *row)));
        self.sets.extend(&changes.sets);
        for change in &changes.memberships {
            match change {
                MembershipChange::Joined(row) => drop(self.memberships.insert(*row)),
                MembershipChange::Left(row) => drop(self.memberships.remove(row)),
            }
        }
        self.crossings.extend(&changes.crossings);
    }

    /// The newest time in the books: a start goes on from there.
    pub(crate) fn newest_time(&self) -> Option<Instant> {
        self.transfers.last().map(|row| row.at).max(self.newest_event)
    }

    pub(crate) fn leaf_count(&self) -> u64 {
        u64::try_from(self.leaves.len()).unwrap_or(u64::MAX)
    }

    /// All payments, in the order in which they were first stored, read as after a restart.
    pub(crate) fn all(&self) -> Checked<Vec<Payment>> {
        let read = |id: &PaymentId| self.payment(*id).map_err(broken)?.ok_or_else(String::new);
        self.ids.iter().map(read).collect()
    }

    /// Everything that the writer keeps in memory: the way of the real store, row by row.
    pub(crate) fn whole(&self) -> Checked<Restored> {
        let last = self.transfers.last().map_or(0, |row| row.number);
        let mut restoring = Ledger::restoring(self.accounts.iter().copied()).map_err(broken)?;
        restoring.velocities(self.velocities.values().copied()).map_err(broken)?;
        restoring.watches(self.watches.values().copied()).map_err(broken)?;
        let members = self.memberships.iter().copied();
        restoring.sets(self.sets.iter().copied(), members).map_err(broken)?;
        let from = restoring.replay_from();
        for row in self.transfers.iter().filter(|row| row.number >= from) {
            restoring.replay(row).map_err(broken)?;
        }
        let ledger = restoring.finish(self.holds.values().copied(), last).map_err(broken)?;
        let waits =
            |(_, row): &(_, &Row)| matches!(row.status, Some(Status::StepUp | Status::Held));
        let rows = self.rows().filter(waits);
        let waiting = rows.map(|(_, row)| stored::from_bytes(&row.bytes).map_err(broken));
        let waiting = waiting.collect::<Checked<Vec<_>>>()?;
        let registry = copy(&self.registry);
        Ok(Restored {
            ledger,
            registry,
            waiting,
            instructed: self.instructed()?,
            leaves: self.leaf_count(),
            events: self.events,
            newest_payment: self.payments.keys().max().copied(),
            newest_transfer: self.transfer_ids.keys().chain(self.burnt.keys()).max().copied(),
        })
    }

    /// What the writer starts from, given what was found in the store.
    pub(crate) fn desk(&self, found: Restored, rules: &Rules, now: Instant) -> Checked<Desk> {
        let Restored { ledger, registry, waiting, instructed, leaves, .. } = found;
        let Restored { events, newest_payment, newest_transfer, .. } = found;
        let screen = self.remember(rules, &ledger, now);
        let issuance: HashMap<Asset, AccountId> = ledger
            .accounts()
            .filter(|account| account.kind == AccountKind::Issuance)
            .map(|account| (account.asset, account.id))
            .collect();
        Ok(Desk::open(Opening {
            audience: Name::new(AUDIENCE).map_err(broken)?,
            ledger,
            screen,
            registry,
            waiting,
            instructed,
            leaves,
            events,
            issuance,
            newest_payment,
            newest_transfer,
        }))
    }

    /// Of how many payments that are at the clearing partner an account is a side.
    fn instructed(&self) -> Checked<HashMap<AccountId, u64>> {
        let mut counts = HashMap::new();
        for (_, row) in self.rows().filter(|(_, row)| row.status == Some(Status::Booked)) {
            let payment = stored::from_bytes(&row.bytes).map_err(broken)?;
            if payment.booked().is_some_and(|booked| booked.rail() == Rail::Instructed) {
                for account in [row.intent.payer, row.intent.payee] {
                    let count: &mut u64 = counts.entry(account).or_default();
                    *count = count.saturating_add(1);
                }
            }
        }
        Ok(counts)
    }

    fn rows(&self) -> impl Iterator<Item = (PaymentId, &Row)> {
        self.ids.iter().filter_map(|id| self.payments.get(id).map(|row| (*id, row)))
    }

    fn remember(&self, rules: &Rules, ledger: &Ledger, now: Instant) -> Screen {
        let mut screen = Screen::new(rules.clone());
        let opened = |id: &AccountId| ledger.account(id).map(|account| account.opened);
        for (payment, row) in self.rows() {
            let (intent, at) = (&row.intent, row.received.unwrap_or(now));
            let moved = matches!(row.status, Some(Status::Booked | Status::Compensated));
            if !moved || at < now.minus(MEMORY) {
                continue;
            }
            let enrolled = self.registry.devices.get(&intent.device).map(|d| d.enrolled);
            screen.observe(&Facts {
                payment,
                payer: intent.payer,
                payee: intent.payee,
                money: intent.money,
                device: intent.device,
                device_enrolled: enrolled.unwrap_or(at),
                payer_opened: opened(&intent.payer).unwrap_or(at),
                payee_opened: opened(&intent.payee),
                at,
            });
        }
        screen
    }
}

fn copy(registry: &Registry) -> Registry {
    Registry {
        people: registry.people.clone(),
        devices: registry.devices.clone(),
        codes: registry.codes.clone(),
        chains: registry.chains.clone(),
        by_jwk: registry.by_jwk.clone(),
        by_cose: registry.by_cose.clone(),
    }
}
