//! Records of identity (`tpw_access::record`): the desk knows neither what is in them nor why they change, only that each change
//! starts from what is stored. So two who use up the same code, or turn the same refresh token, are told apart here.

use super::{
    Alarm, AlarmKind, Answer, Approved, Archive, ArchiveError, Desk, DeskFault, EventKind, Funding,
    Outcome, Rejection,
};
use crate::Cause;
use tpw_access::record::{RecordKey, RecordWrite, VALUE_LEN_MAX, WRITES_MAX};
use tpw_core::{DeviceId, Instant, PaymentId};

impl Desk {
    /// Makes all changes or none.
    pub(super) fn write_records(
        &mut self,
        writes: Vec<RecordWrite>,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        if let Err(rejection) = self.check_records(&writes, archive)? {
            return Ok(Err(rejection));
        }
        self.keep_records(writes);
        Ok(Ok(Answer::Done))
    }

    /// Makes all changes and raises the alarm, or does nothing: what says so twice is one that changed meanwhile.
    pub(super) fn not_me(
        &mut self,
        writes: Vec<RecordWrite>,
        (device, payment): (DeviceId, Option<PaymentId>),
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        let outcome = self.write_records(writes, archive)?;
        if outcome.is_ok() {
            let alarm = Alarm { kind: AlarmKind::NotMe, at: now, device, payment, head: None };
            self.changes.alarms.push(alarm);
            self.tell(EventKind::NotMe, *device.as_bytes(), now);
        }
        Ok(outcome)
    }

    /// Carries out what was approved and changes the records that say so, both or neither: what can reject comes first.
    pub(super) fn carry_out_approved(
        &mut self,
        writes: Vec<RecordWrite>,
        then: &Approved,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        if let Err(rejection) = self.check_records(&writes, archive)? {
            return Ok(Err(rejection));
        }
        let outcome = match then {
            Approved::Release { payment, approvers } => {
                self.release_together(*payment, approvers, now, archive)?
            }
            Approved::Adjust(adjustment) => self.adjust(adjustment, now),
            Approved::Fund { account, amount, transfer } => {
                let funding = Funding { account: *account, amount: *amount };
                self.bring_in(funding, *transfer, now, archive)?
            }
            Approved::Recall { payment, operator } => {
                self.recall(*payment, Cause::Operator(*operator), now, archive)?
            }
            Approved::Return { payment } => {
                self.recall(*payment, Cause::RailReturned, now, archive)?
            }
        };
        if outcome.is_ok() {
            self.keep_records(writes);
        }
        Ok(outcome)
    }

    fn check_records(
        &self,
        writes: &[RecordWrite],
        archive: &dyn Archive,
    ) -> Result<Result<(), Rejection>, ArchiveError> {
        if !are_bounded(writes) {
            return Ok(Err(Rejection::RecordTooLarge));
        }
        for (place, write) in writes.iter().enumerate() {
            let twice = writes.iter().take(place).any(|other| other.key == write.key);
            if twice || self.find_record(&write.key, archive)? != write.before {
                return Ok(Err(Rejection::RecordChanged));
            }
        }
        Ok(Ok(()))
    }

    fn keep_records(&mut self, writes: Vec<RecordWrite>) {
        for RecordWrite { key, after, .. } in writes {
            self.recent.records.insert(key.clone(), after.clone());
            self.changes.records.push((key, after));
        }
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
