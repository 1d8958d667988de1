//! Readers of a device's own files, and of the files that its owner gives it.

use tpw_core::{Amount, DeviceId, Money, PersonId, Purpose, Span};
use tpw_crypto::{Algorithm, FixedEntropy, KdfParams, SoftwareSlots};
use tpw_proof::Trust;
use tpw_wallet::batch::{self, Terms};
use tpw_wallet::journal::{Event, Journal};
use tpw_wallet::pay::{self, Order, Origin};
use tpw_wallet::profile::{Account, Custody, Profile};
use tpw_wallet::vault::{Passphrase, Vault};

use crate::world::{account, at, world};

const PASSPHRASE: &str = "correct horse";

fn make_vault() -> Vault {
    let mut vault = Vault::create(Algorithm::Ed25519, &mut FixedEntropy::new(5)).unwrap();
    vault
        .enrol(DeviceId::new(at(0).unix_ms(), [1; 10]), PersonId::new(at(0).unix_ms(), [2; 10]))
        .unwrap();
    vault
}

fn make_profile(trust: &Trust) -> Profile {
    let mut profile = Profile::new("https://pay.example", &trust.to_json()).unwrap();
    let vault = make_vault();
    (profile.device, profile.person) = (vault.device(), vault.person());
    for (number, asset, label) in
        [(1, "USD/2", "main"), (2, "USD/2", "spare"), (3, "CNY/2", "renminbi")]
    {
        let (id, asset, label) = (account(number), asset.parse().unwrap(), label.parse_name());
        profile.put_account(Account { id, asset, custody: Custody::Custodial, label }).unwrap();
    }
    profile
}

/// Short for a label from a literal.
trait ParseName {
    fn parse_name(&self) -> tpw_core::Name;
}

impl ParseName for str {
    fn parse_name(&self) -> tpw_core::Name {
        tpw_core::Name::new(self).unwrap()
    }
}

/// Whether a file's passphrase seal asks for more than the least work: the costs have bounds of their own,
/// tested elsewhere, and here they would only eat the time.
fn is_costly(data: &[u8]) -> bool {
    let magic = b"tpw-seal\x01";
    let Some(place) = data.windows(magic.len()).position(|window| window == magic) else {
        return false;
    };
    let number = |from: usize| {
        let bytes = data.get(place + from..place + from + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    let most = KdfParams::MIN;
    number(9).is_some_and(|memory| memory > most.memory_kib)
        || number(13).is_some_and(|iterations| iterations > most.iterations)
        || number(17).is_some_and(|lanes| lanes > most.parallelism)
}

/// No file but the sealed one opens.
pub fn vault(data: &[u8]) {
    if !is_costly(data) && Vault::open(&Passphrase::new(PASSPHRASE).unwrap(), data).is_ok() {
        assert_eq!(data, vault_file());
    }
    if let Ok(slots) = SoftwareSlots::from_secret_bytes(data) {
        assert_eq!(slots.to_secret_bytes().as_slice(), data);
    }
}

fn vault_file() -> &'static [u8] {
    static FILE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    FILE.get_or_init(|| {
        let passphrase = Passphrase::new(PASSPHRASE).unwrap();
        make_vault().seal(&passphrase, KdfParams::MIN, &mut FixedEntropy::new(6)).unwrap()
    })
}

pub fn vault_seeds() -> Vec<Vec<u8>> {
    vec![vault_file().to_vec(), world().slots.to_secret_bytes().to_vec()]
}

pub fn profile(data: &[u8]) {
    if let Ok(profile) = Profile::from_json(std::str::from_utf8(data).unwrap_or_default()) {
        let json = profile.to_json();
        assert_eq!(Profile::from_json(&json).map(|again| again.to_json()).ok(), Some(json));
    }
}

pub fn profile_seeds() -> Vec<Vec<u8>> {
    vec![make_profile(&world().trust).to_json().into_bytes()]
}

fn order(cents: u128) -> Order {
    Order {
        payer: account(1),
        payee: account(2),
        money: Money { amount: Amount::from_minor(cents), asset: "USD/2".parse().unwrap() },
        purpose: Purpose::new("rent").unwrap(),
        fee_limit: Amount::ZERO,
        life: Span::from_secs(600),
        origin: Origin::Command,
    }
}

/// A journal of two payments, one of them sent, and its events.
fn make_journal() -> (Vec<u8>, Vec<Event>) {
    let (vault, profile) = (make_vault(), make_profile(&world().trust));
    let (mut journal, mut file, mut events) = (Journal::new(), Vec::new(), Vec::new());
    let entropy = &mut FixedEntropy::new(8);
    let mut record = |journal: &mut Journal, event: Event| {
        events.push(event.clone());
        file.extend(journal.record(event).unwrap());
    };
    for cents in [100, 200] {
        let order = order(cents);
        let intent = pay::prepare(&order, &profile, &journal, entropy, at(0)).unwrap();
        let payment = intent.payment;
        let statement = pay::sign(&intent, &vault).unwrap();
        record(&mut journal, order.prepared(intent, statement));
        record(&mut journal, Event::Sent { payment, at: at(1) });
    }
    (file, events)
}

/// What replays leaves whole records, and replays again to the same state.
pub fn journal(data: &[u8]) {
    if let Ok((journal, whole)) = Journal::replay(data) {
        let (again, same) = Journal::replay(&data[..whole]).unwrap();
        assert_eq!(same, whole);
        assert_eq!(again.entries().len(), journal.entries().len());
    }
    if let Ok(event) = Event::from_bytes(data) {
        assert_eq!(event.to_bytes(), data);
    }
}

pub fn journal_seeds() -> Vec<Vec<u8>> {
    let (file, events) = make_journal();
    let mut seeds: Vec<Vec<u8>> = events.iter().map(Event::to_bytes).collect();
    seeds.push(file);
    seeds
}

/// A line is an order or an error; orders only move what the profile holds.
pub fn batch_csv(data: &[u8]) {
    static PROFILE: std::sync::OnceLock<Profile> = std::sync::OnceLock::new();
    let profile = PROFILE.get_or_init(|| make_profile(&world().trust));
    let terms = Terms { fee_limit: Amount::ZERO, life: Span::from_secs(600) };
    if let Ok(batch) = batch::parse(data, profile, terms) {
        for order in batch.lines.iter().flatten() {
            assert_ne!(order.money.amount, Amount::ZERO);
            assert_eq!(profile.account(order.payer).unwrap().asset, order.money.asset);
        }
    }
}

pub fn batch_csv_seeds() -> Vec<Vec<u8>> {
    let line = |to: String| {
        format!("from,to,amount,asset,note\nmain,{to},12.34,USD/2,rent\nspare,{to},1,USD/2,\n")
    };
    vec![line(account(9).to_string()).into_bytes(), line("\"main\"".to_owned()).into_bytes()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_examples_are_good() {
        assert!(!is_costly(vault_file()));
        assert!(Vault::open(&Passphrase::new(PASSPHRASE).unwrap(), vault_file()).is_ok());
        let file = journal_seeds().pop().unwrap();
        let (journal, whole) = Journal::replay(&file).unwrap();
        assert_eq!((journal.entries().len(), whole), (2, file.len()));
        let terms = Terms { fee_limit: Amount::ZERO, life: Span::from_secs(600) };
        let batch =
            batch::parse(&batch_csv_seeds()[0], &make_profile(&world().trust), terms).unwrap();
        assert!(batch.lines.iter().all(Result::is_ok), "{:?}", batch.lines);
    }
}
