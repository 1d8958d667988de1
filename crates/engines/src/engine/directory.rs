//! What readers see: the state of the last commit, never that of a batch which may yet fail.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
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

/// The committed state, by key.
#[derive(Default)]
pub(super) struct Directory {
    pub(super) people: HashMap<PersonId, Person>,
    pub(super) devices: HashMap<DeviceId, Device>,
    pub(super) by_jwk: HashMap<Hash32, DeviceId>,
    pub(super) by_cose: HashMap<Hash32, DeviceId>,
    pub(super) accounts: HashMap<AccountId, Account>,
    pub(super) owners: HashMap<AccountId, Owner>,
    pub(super) of_person: HashMap<PersonId, Vec<AccountId>>,
    pub(super) chains: HashMap<(DeviceId, AccountId), ChainHead>,
    pub(super) waiting: BTreeMap<PaymentId, Arc<Payment>>,
}

impl Directory {
    /// The whole state of a desk that was just restored.
    pub(super) fn of(desk: &Desk) -> Self {
        let mut directory = Self::default();
        let registry = desk.registry();
        registry.people.values().for_each(|p| directory.add_person(p));
        registry.devices.values().for_each(|d| directory.add_device(d));
        for (account, owner) in &registry.owners {
            directory.add_owner(*account, owner);
        }
        directory.of_person.values_mut().for_each(|accounts| accounts.sort());
        directory.accounts = desk.ledger().accounts().map(|a| (a.id, a)).collect();
        directory.chains.clone_from(&registry.chains);
        directory.waiting = desk.waiting().map(|p| (p.id(), Arc::clone(p))).collect();
        directory
    }

    /// Takes over what was just committed.
    pub(super) fn absorb(&mut self, changes: &Changes) {
        changes.people.iter().for_each(|p| self.add_person(p));
        changes.devices.iter().for_each(|d| self.add_device(d));
        for (account, owner) in &changes.owners {
            self.add_owner(*account, owner);
        }
        self.accounts.extend(changes.ledger.accounts.iter().map(|a| (a.id, *a)));
        self.chains.extend(changes.chains.iter().map(|(d, a, head)| ((*d, *a), *head)));
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

    fn add_owner(&mut self, account: AccountId, owner: &Owner) {
        if let Some(person) = owner.person {
            self.of_person.entry(person).or_default().push(account);
        }
        self.owners.insert(account, owner.clone());
    }

    pub(super) fn view(&self, id: &AccountId) -> Option<AccountView> {
        let (account, owner) = (self.accounts.get(id)?, self.owners.get(id)?);
        Some(AccountView { account: *account, owner: owner.clone() })
    }
}
