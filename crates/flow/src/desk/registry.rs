//! People, their devices, their accounts, and how far each device's signature chain has come.

use std::collections::HashMap;
use tpw_core::{AccountId, DeviceId, Hash32, Instant, Name, PersonId};
use tpw_crypto::PublicKey;

/// A person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// The id.
    pub id: PersonId,
    /// The name, as the operator entered it.
    pub name: Name,
    /// When the operator entered it.
    pub added: Instant,
}

/// A device with its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// The id.
    pub id: DeviceId,
    /// Whose it is.
    pub person: PersonId,
    /// What it signs with, and what names it.
    pub key: PublicKey,
    /// What it signs payments with as well, if it is hybrid: a key of ML-DSA-44.
    pub post_quantum: Option<PublicKey>,
    /// Since when.
    pub enrolled: Instant,
    /// Since when no more.
    pub revoked: Option<Instant>,
}

/// A one-time code with which a person enrols a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodeGrant {
    /// Who may enrol.
    pub person: PersonId,
    /// Until when.
    pub expires: Instant,
    /// The device that used it up.
    pub used_by: Option<DeviceId>,
}

/// Whose an account is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The person, or none for the operator's own accounts.
    pub person: Option<PersonId>,
    /// What the owner calls it.
    pub label: Name,
}

/// How far a device's signature chain on an account has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChainHead {
    /// The number of the last intent taken; 0 before the first.
    pub sequence: u64,
    /// The hash of that intent; zero before the first.
    pub hash: Hash32,
}

impl ChainHead {
    /// Before the first intent.
    pub const START: Self = Self { sequence: 0, hash: Hash32::ZERO };
}

/// All of them, by id.
#[derive(Default, Debug)]
pub struct Registry {
    /// By id.
    pub people: HashMap<PersonId, Person>,
    /// By id.
    pub devices: HashMap<DeviceId, Device>,
    /// By the hash of the code.
    pub codes: HashMap<Hash32, CodeGrant>,
    /// By device and account.
    pub chains: HashMap<(DeviceId, AccountId), ChainHead>,
    /// Which device has which key, by RFC 7638 thumbprint: as DPoP names keys.
    pub by_jwk: HashMap<Hash32, DeviceId>,
    /// Which device has which key, by RFC 9679 thumbprint: as signed statements name keys.
    pub by_cose: HashMap<Hash32, DeviceId>,
}

impl Registry {
    /// How far this device has come on this account.
    #[must_use]
    pub fn head(&self, device: DeviceId, account: AccountId) -> ChainHead {
        self.chains.get(&(device, account)).copied().unwrap_or(ChainHead::START)
    }

    /// Adds a device and remembers its key.
    pub fn add_device(&mut self, device: Device) {
        self.by_jwk.insert(Hash32::new(device.key.jwk_thumbprint()), device.id);
        self.by_cose.insert(Hash32::new(device.key.cose_key_thumbprint()), device.id);
        if let Some(key) = &device.post_quantum {
            self.by_cose.insert(Hash32::new(key.cose_key_thumbprint()), device.id);
        }
        self.devices.insert(device.id, device);
    }
}
