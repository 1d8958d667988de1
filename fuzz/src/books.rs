//! Readers of the books, of rules, and of the product's words.

use std::fmt::Display;
use std::str::FromStr;

use tpw_core::codec::Writer;
use tpw_core::{
    AccountId, Amount, Asset, DeviceId, Hash32, Instant, PaymentId, PersonId, Refusal, TransferId,
    write_decision, write_posting,
};
use tpw_flow::{Status, stored};
use tpw_ledger::TransferRow;
use tpw_screen::Rules;

use crate::world::{at, world};

/// A stored payment encodes to what it was read from.
pub fn stored_payment(data: &[u8]) {
    if let Ok(payment) = stored::from_bytes(data) {
        assert_eq!(stored::to_bytes(&payment).as_deref(), Some(data));
    }
}

pub fn stored_payment_seeds() -> Vec<Vec<u8>> {
    let world = world();
    let head = |status: Status| {
        let mut w = Writer::new();
        w.array(7).uint(1).uint(status.number()).bytes(&world.statement);
        let key = &world.record.device_key;
        w.array(2).int(key.algorithm).bytes(&key.bytes);
        w.bytes(&world.receipt.salt).uint(at(100).unix_ms());
        w
    };
    let mut refused = head(Status::Refused);
    refused.array(3);
    write_decision(&mut refused, &world.record.decision);
    refused.uint(Refusal::ALL[0].number()).uint(at(120).unix_ms());
    let mut held = head(Status::Held);
    held.array(3);
    write_decision(&mut held, &world.record.decision);
    write_posting(&mut held, &world.record.postings[0]);
    held.uint(at(9000).unix_ms());
    let mut booked = head(Status::Booked);
    booked.array(4).uint(2).bytes(&world.record.to_bytes()).array(0).uint(0);
    [refused, held, booked].map(Writer::finish).to_vec()
}

pub fn transfer_row(data: &[u8]) {
    if let Ok(row) = TransferRow::from_bytes(data) {
        assert_eq!(row.to_bytes().as_slice(), data);
    }
}

pub fn transfer_row_seeds() -> Vec<Vec<u8>> {
    // Laid out as in spec/statement.md: a transfer of 100 cents.
    let mut row = Vec::new();
    row.extend(1_u64.to_be_bytes());
    row.extend(TransferId::new(at(0).unix_ms(), [1; 10]).as_bytes());
    row.push(1);
    row.extend(crate::world::account(1).as_bytes());
    row.extend(crate::world::account(2).as_bytes());
    row.extend(b"USD\0\0\0\0\0\0\0\0\x02");
    row.extend(100_u128.to_be_bytes());
    row.extend(at(0).unix_ms().to_be_bytes());
    row.extend(at(0).unix_ms().to_be_bytes());
    row.extend([0; 24]);
    row.extend([7; 64]);
    row.extend([0; 16]);
    vec![row]
}

/// The same rules have the same hash, and reading them is deterministic.
pub fn screen_rules(data: &[u8]) {
    let text = std::str::from_utf8(data).unwrap_or_default();
    if let Ok(rules) = Rules::from_toml(text) {
        assert_eq!(Rules::from_toml(text).map(|again| again.hash()).ok(), Some(rules.hash()));
    }
}

pub fn screen_rules_seeds() -> Vec<Vec<u8>> {
    vec![Rules::default_toml().as_bytes().to_vec()]
}

fn reads_back<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let shown = value.to_string();
        let again = shown.parse::<T>().map(|value| value.to_string()).ok();
        assert_eq!(again, Some(shown));
    }
}

/// Money, ids, instants and hashes read back from how they are shown.
pub fn words(data: &[u8]) {
    let text = std::str::from_utf8(data).unwrap_or_default();
    reads_back::<Asset>(text);
    reads_back::<Amount>(text);
    reads_back::<Instant>(text);
    reads_back::<Hash32>(text);
    reads_back::<PaymentId>(text);
    reads_back::<PersonId>(text);
    reads_back::<AccountId>(text);
    reads_back::<DeviceId>(text);
    reads_back::<TransferId>(text);
    for asset in ["JPY/0", "USD/2", "ETH/18"] {
        let _ = asset.parse::<Asset>().unwrap().parse_units(text);
    }
}

pub fn words_seeds() -> Vec<Vec<u8>> {
    let payment = world().intent.payment.to_string();
    let hash = world().intent.seen.root.to_string();
    [
        payment.as_str(),
        &hash,
        "USD/2",
        "123.45",
        "12345",
        "2025-11-22T10:15:00.000Z",
        "0.000000000000000001",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_examples_are_good() {
        for seed in stored_payment_seeds() {
            assert!(stored::from_bytes(&seed).is_ok(), "{:?}", stored::from_bytes(&seed).err());
        }
        assert!(TransferRow::from_bytes(&transfer_row_seeds()[0]).is_ok());
        assert!(Rules::from_toml(Rules::default_toml()).is_ok());
    }
}
