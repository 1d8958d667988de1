//! Records of identity: changed from what stands, or from what does not, one or several together.

use crate::model::{Expected, Model};
use tpw_access::record::{RecordKey, RecordKind, RecordWrite, VALUE_LEN_MAX};
use tpw_flow::Command;
use tpw_sim_disk::Chance;

/// The kind of all records here.
pub(crate) const KIND: RecordKind = RecordKind::Totp;

/// Some change of few records, so that each is changed often.
pub(crate) fn command(model: &Model, chance: &mut Chance) -> Command {
    let writes = (0..=chance.below(3)).map(|_| write(model, chance)).collect();
    Command::Records(writes)
}

fn write(model: &Model, chance: &mut Chance) -> RecordWrite {
    let owner = u8::try_from(chance.below(3)).unwrap_or_default();
    let id = [u8::try_from(chance.below(3)).unwrap_or_default()];
    let key = RecordKey::new(KIND, [owner; 16], &id);
    let key = key.unwrap_or_else(|| RecordKey::single(KIND, [owner; 16]));
    let stands = model.records.get(&key).cloned();
    let value: [u8; 24] = chance.bytes();
    let after = match chance.below(16) {
        0..=3 => None,
        4 => Some(vec![1; VALUE_LEN_MAX.saturating_add(1)]),
        _ => Some(value.to_vec()),
    };
    let before = if chance.one_in(6) { Some(chance.bytes::<8>().to_vec()) } else { stands };
    RecordWrite { key, before, after }
}

impl Model {
    /// All of them, each from what stood before any of them, or none.
    pub(crate) fn write_records(&mut self, writes: &[RecordWrite]) -> Expected {
        let too_long = |write: &RecordWrite| {
            write.after.as_ref().is_some_and(|value| value.len() > VALUE_LEN_MAX)
        };
        if writes.iter().any(too_long) {
            return Err("record_too_large");
        }
        for write in writes {
            let times = writes.iter().filter(|other| other.key == write.key).count();
            if times > 1 || self.records.get(&write.key) != write.before.as_ref() {
                return Err("record_changed");
            }
        }
        for RecordWrite { key, after, .. } in writes.iter().cloned() {
            match after {
                Some(value) => drop(self.records.insert(key, value)),
                None => drop(self.records.remove(&key)),
            }
        }
        Ok("done".to_owned())
    }
}
