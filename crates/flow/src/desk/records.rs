//! Records of identity (`tpw_access::record`): the desk knows neither what is in them nor why they change, only that each change
//! starts from what is stored. So two who use up the same code, or turn the same refresh token, are told apart here.

use super::{Answer, Archive, ArchiveError, Desk, DeskFault, Outcome, Rejection};
use tpw_access::record::{RecordKey, RecordWrite, VALUE_LEN_MAX, WRITES_MAX};

impl Desk {
    /// Makes all changes or none.
    pub(super) fn write_records(
        &mut self,
        writes: Vec<RecordWrite>,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        if !are_bounded(&writes) {
            return Ok(Err(Rejection::RecordTooLarge));
        }
        for (place, write) in writes.iter().enumerate() {
            let twice = writes.iter().take(place).any(|other| other.key == write.key);
            if twice || self.find_record(&write.key, archive)? != write.before {
                return Ok(Err(Rejection::RecordChanged));
            }
        }
        for RecordWrite { key, after, .. } in writes {
            self.recent.records.insert(key.clone(), after.clone());
            self.changes.records.push((key, after));
        }
        Ok(Ok(Answer::Done))
    }

    fn find_record(
        &self,
        key: &RecordKey,
        archive: &dyn Archive,
    ) -> Result<Option<Vec<u8>>, ArchiveError> {
        match self.unstored().find_map(|recent| recent.records.get(key)) {
            Some(known) => Ok(known.clone()),
            None => archive.record(key),
        }
    }
}

fn are_bounded(writes: &[RecordWrite]) -> bool {
    let fits =
        |write: &RecordWrite| write.after.as_ref().is_none_or(|value| value.len() <= VALUE_LEN_MAX);
    writes.len() <= WRITES_MAX && writes.iter().all(fits)
}
