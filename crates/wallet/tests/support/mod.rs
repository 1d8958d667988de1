//! What the tests of several files build their cases from.

#![allow(dead_code, reason = "each test file uses its part")]

use tpw_core::{AccountId, Amount, Asset, DeviceId, Instant, Money, Name, PersonId, Purpose, Span};
use tpw_crypto::{Algorithm, FixedEntropy, Signer, SlotName, SoftwareSlots};
use tpw_proof::{KeyName, Trust, VerifierKey};
use tpw_wallet::pay::{Order, Origin};
use tpw_wallet::profile::{Account, Custody, Profile};
use tpw_wallet::vault::Vault;

pub(crate) const NOW_MS: u64 = 1_763_806_500_000;

pub(crate) fn at(seconds: u64) -> Instant {
    Instant::from_unix_ms(NOW_MS + seconds * 1000).unwrap()
}

pub(crate) fn device() -> DeviceId {
    DeviceId::new(NOW_MS, [1; 10])
}

pub(crate) fn person() -> PersonId {
    PersonId::new(NOW_MS, [2; 10])
}

pub(crate) fn account(number: u8) -> AccountId {
    AccountId::new(NOW_MS + u64::from(number) * 86_400_000, [number.wrapping_mul(37); 10])
}

pub(crate) fn usd() -> Asset {
    "USD/2".parse().unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn trust() -> Trust {
    let slot = SlotName::new("log").unwrap();
    let mut slots = SoftwareSlots::new();
    slots.generate(slot.clone(), Algorithm::Ed25519, &mut FixedEntropy::new(77)).unwrap();
    let origin = KeyName::new("log.example").unwrap();
    let key = VerifierKey::new(origin.clone(), slots.public_key(&slot).unwrap()).unwrap();
    Trust {
        operator: name("bank.example"),
        origin,
        log_keys: vec![key],
        cose_keys: Vec::new(),
        tsa_roots: Vec::new(),
        tsa_policies: Vec::new(),
        witness_policy: None,
        evm_anchors: Vec::new(),
        bitcoin_headers: Vec::new(),
    }
}

/// An enrolled profile with `main` and `spare` in dollars (accounts 1 and 2) and `renminbi` (account 3).
pub(crate) fn profile() -> Profile {
    let mut profile = Profile::new("https://bank.example", &trust().to_json()).unwrap();
    (profile.device, profile.person) = (Some(device()), Some(person()));
    for (number, asset, label) in
        [(1, "USD/2", "main"), (2, "USD/2", "spare"), (3, "CNY/2", "renminbi")]
    {
        let asset = asset.parse().unwrap();
        let custody = Custody::Custodial;
        let account = Account { id: account(number), asset, custody, label: name(label) };
        profile.put_account(account).unwrap();
    }
    profile
}

pub(crate) fn vault(signing: Algorithm) -> Vault {
    let mut vault = Vault::create(signing, &mut FixedEntropy::new(5)).unwrap();
    vault.enrol(device(), person()).unwrap();
    vault
}

/// `cents` from account `from` to account `to`.
pub(crate) fn order(from: u8, to: u8, cents: u128) -> Order {
    Order {
        payer: account(from),
        payee: account(to),
        money: Money { amount: Amount::from_minor(cents), asset: usd() },
        purpose: Purpose::new("rent").unwrap(),
        fee_limit: Amount::ZERO,
        life: Span::from_secs(600),
        origin: Origin::Command,
    }
}
