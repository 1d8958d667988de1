//! What readers see: the state of the last commit, never that of a batch which may yet fail.

use crate::books::{BooksReader, StoreError};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tpw_access::record::RecordSpan;
use tpw_access::{GivenRoles, RecordKey, RecordKind, Roles};
use tpw_core::{AccountId, DeviceId, Hash32, PaymentId, PersonId};
use tpw_flow::{
    Alarm, AlarmKind, ChainHead, Changes, Desk, Device, Owner, Payment, Person, Status,
};
use tpw_ledger::Account;

/// How many rows are read at once.
const PAGE: usize = 1_000;

/// An account and whose it is, as of the last commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountView {
    /// The ledger's account.
    pub account: Account,
    /// Whose it is.
    pub owner: Owner,
}

/// The committed state, by key. Of accounts only those are here whose stored rows are not up to date.
#[derive(Default)]
pub(super) struct Directory {
    pub(super) people: HashMap<PersonId, Person>,
    pub(super) devices: HashMap<DeviceId, Device>,
    pub(super) by_jwk: HashMap<Hash32, DeviceId>,
    pub(super) by_cose: HashMap<Hash32, DeviceId>,
    pub(super) moving: HashMap<AccountId, Account>,
    pub(super) chains: HashMap<(DeviceId, AccountId), ChainHead>,
    pub(super) waiting: BTreeMap<PaymentId, Arc<Payment>>,
    /// Of those who were given some.
    pub(super) roles: HashMap<PersonId, Roles>,
    /// Of devices of which something is known beside what their keys signed today.
    pub(super) reputations: HashMap<DeviceId, Reputation>,
}

/// What is known of a device from what it has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reputation {
    /// How many payments that it signed were taken, refused ones among them: the sum of its chains' numbers.
    pub payments: u64,
    /// Whether its person said that they had not begun what it asked for.
    pub disowned: bool,
}

impl Directory {
    /// The whole state: of a desk that was just restored, and of what the books have that no desk knows.
    pub(super) fn read(desk: &Desk, source: &dyn BooksReader) -> Result<Self, StoreError> {
        let mut directory = Self::of(desk);
        directory.read_roles(source)?;
        directory.read_alarms(source)?;
        Ok(directory)
    }

    /// The roles that people were given: they are looked up with every request.
    fn read_roles(&mut self, source: &dyn BooksReader) -> Result<(), StoreError> {
        let span = RecordSpan::of(RecordKind::Roles, Roles::owner());
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = source.records(span, after.as_deref(), PAGE)?;
            for (key, value) in &page {
                GivenRoles::from_bytes(value).map_err(|_| StoreError::Damaged { what: "roles" })?;
                self.note_roles(key, Some(value));
            }
            match page.last() {
                Some((key, _)) if page.len() >= PAGE => after = Some(key.id().to_vec()),
                _ => return Ok(()),
            }
        }
    }

    fn read_alarms(&mut self, source: &dyn BooksReader) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let page = source.alarms(after, PAGE)?;
            page.iter().for_each(|(_, alarm)| self.note_alarm(alarm));
            match page.last() {
                Some((number, _)) if page.len() >= PAGE => after = *number,
                _ => return Ok(()),
            }
        }
    }

    fn of(desk: &Desk) -> Self {
        let mut directory = Self::default();
        let registry = desk.registry();
        registry.people.values().for_each(|p| directory.add_person(p));
        registry.devices.values().for_each(|d| directory.add_device(d));
        directory.moving = desk.ledger().unsaved().map(|account| (account.id, account)).collect();
        for ((device, account), head) in &registry.chains {
            directory.add_chain(*device, *account, *head);
        }
        directory.waiting = desk.waiting().map(|p| (p.id(), Arc::clone(p))).collect();
        directory
    }

    /// Takes over the roles of one person, as they are stored. What cannot be read gives none.
    fn note_roles(&mut self, key: &RecordKey, value: Option<&[u8]>) {
        let Some(person) = Roles::person_of(key) else { return };
        match value {
            Some(bytes) => {
                let given = GivenRoles::from_bytes(bytes);
                self.roles.insert(person, given.map_or(Roles::NONE, |given| given.roles));
            }
            None => {
                self.roles.remove(&person);
            }
        }
    }

    /// Takes over what was just committed.
    pub(super) fn absorb(&mut self, changes: &Changes) {
        changes.people.iter().for_each(|p| self.add_person(p));
        changes.devices.iter().for_each(|d| self.add_device(d));
        self.moving.extend(changes.ledger.accounts.iter().map(|a| (a.id, *a)));
        for saved in &changes.ledger.saves {
            self.moving.remove(&saved.id);
        }
        changes.chains.iter().for_each(|(d, a, head)| self.add_chain(*d, *a, *head));
        changes.alarms.iter().for_each(|alarm| self.note_alarm(alarm));
        for (key, value) in
            changes.records.iter().filter(|(key, _)| key.kind() == RecordKind::Roles)
        {
            self.note_roles(key, value.as_deref());
        }
        for payment in &changes.payments {
            match payment.status() {
                Some(Status::StepUp | Status::Held) => {
                    self.waiting.insert(payment.id(), Arc::clone(payment));
                }
                _ => {
                    self.waiting.remove(&payment.id());
                }
            }
        }
    }

    fn add_chain(&mut self, device: DeviceId, account: AccountId, head: ChainHead) {
        let before = self.chains.insert((device, account), head);
        let more = head.sequence.saturating_sub(before.map_or(0, |before| before.sequence));
        let known = self.reputations.entry(device).or_default();
        known.payments = known.payments.saturating_add(more);
    }

    fn note_alarm(&mut self, alarm: &Alarm) {
        if alarm.kind == AlarmKind::NotMe {
            self.reputations.entry(alarm.device).or_default().disowned = true;
        }
    }

    fn add_person(&mut self, person: &Person) {
        self.people.insert(person.id, person.clone());
    }

    fn add_device(&mut self, device: &Device) {
        self.by_jwk.insert(Hash32::new(device.key.jwk_thumbprint()), device.id);
        self.by_cose.insert(Hash32::new(device.key.cose_key_thumbprint()), device.id);
        self.devices.insert(device.id, device.clone());
    }
}
