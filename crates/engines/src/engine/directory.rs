//! What readers see: the state of the last commit, never that of a batch which may yet fail.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tpw_access::{GivenRoles, RecordKey, RecordKind, Roles};
use tpw_core::{AccountId, DeviceId, Hash32, PaymentId, PersonId};
use tpw_flow::{ChainHead, Changes, Desk, Device, Owner, Payment, Person, Status};
use tpw_ledger::Account;

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
}

impl Directory {
    /// The whole state of a desk that was just restored.
    pub(super) fn of(desk: &Desk) -> Self {
        let mut directory = Self::default();
        let registry = desk.registry();
        registry.people.values().for_each(|p| directory.add_person(p));
        registry.devices.values().for_each(|d| directory.add_device(d));
        directory.moving = desk.ledger().unsaved().map(|account| (account.id, account)).collect();
        directory.chains.clone_from(&registry.chains);
        directory.waiting = desk.waiting().map(|p| (p.id(), Arc::clone(p))).collect();
        directory
    }

    /// Takes over the roles of one person, as they are stored. What cannot be read gives none.
    pub(super) fn note_roles(&mut self, key: &RecordKey, value: Option<&[u8]>) {
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
        self.chains.extend(changes.chains.iter().map(|(d, a, head)| ((*d, *a), *head)));
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

    fn add_person(&mut self, person: &Person) {
        self.people.insert(person.id, person.clone());
    }

    fn add_device(&mut self, device: &Device) {
        self.by_jwk.insert(Hash32::new(device.key.jwk_thumbprint()), device.id);
        self.by_cose.insert(Hash32::new(device.key.cose_key_thumbprint()), device.id);
        self.devices.insert(device.id, device.clone());
    }
}
