//! Reading: the committed state from memory, the past from the books.

use super::directory::Reputation;
use super::{Engine, EngineError, Metrics};
use crate::clock::JUMP_MAX_MS;
use core::ops::Bound;
use std::sync::Arc;
use tpw_core::{AccountId, DeviceId, Hash32, PaymentId, PersonId, Span, TransferId};
use tpw_flow::{Alarm, ChainHead, Device, Payment, Person, RailInstruction};
use tpw_ledger::TransferRow;

/// How one part of the engine is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// As it should be.
    Good,
    /// Not, and why.
    Bad(String),
}

/// How the engine is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    /// The writer and the books.
    pub writer: Part,
    /// The log.
    pub log: Part,
    /// The clock. While it is bad, no time-stamps are given to anyone who asks for one.
    pub clock: Part,
    /// How old the newest checkpoint is, in milliseconds. An idle log makes none.
    pub checkpoint_age_ms: u64,
}

impl Engine {
    /// A payment by its id.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn payment(&self, id: PaymentId) -> Result<Option<Arc<Payment>>, EngineError> {
        if let Some(waiting) = self.directory().waiting.get(&id) {
            return Ok(Some(Arc::clone(waiting)));
        }
        Ok(self.readers.with(|reader| reader.payment(id))?.map(Arc::new))
    }

    /// Payments that wait for their payer or for an operator: at most `most` with an id above `after`, in the order of their ids,
    /// which begin with a time.
    #[must_use]
    pub fn waiting(&self, after: Option<PaymentId>, most: usize) -> Vec<Arc<Payment>> {
        let above = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let directory = self.directory();
        directory.waiting.range(above).take(most).map(|(_, payment)| Arc::clone(payment)).collect()
    }

    /// Whether a transfer's id is used up: by a transfer, or by an order that was refused. Reads the books.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn is_transfer_used(&self, id: TransferId) -> Result<bool, EngineError> {
        Ok(self.readers.with(|reader| reader.transfer_id(id))?.is_some())
    }

    /// A transfer by its number.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn transfer(&self, number: u64) -> Result<Option<TransferRow>, EngineError> {
        Ok(self.readers.with(|reader| reader.transfer(number))?)
    }

    /// Alarms with a number above `after`, oldest first.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn alarms(&self, after: u64, most: usize) -> Result<Vec<(u64, Alarm)>, EngineError> {
        Ok(self.readers.with(|reader| reader.alarms(after, most))?)
    }

    /// Instructions to the clearing partner that are neither confirmed nor returned: at most `most` of payments with an id above
    /// `after`, in the order of their ids.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn rail_open(
        &self,
        after: Option<PaymentId>,
        most: usize,
    ) -> Result<Vec<RailInstruction>, EngineError> {
        Ok(self.readers.with(|reader| reader.rail_open(after, most))?)
    }

    /// A person.
    #[must_use]
    pub fn person(&self, id: &PersonId) -> Option<Person> {
        self.directory().people.get(id).cloned()
    }

    /// A device.
    #[must_use]
    pub fn device(&self, id: &DeviceId) -> Option<Device> {
        self.directory().devices.get(id).cloned()
    }

    /// A person's devices, in no order.
    #[must_use]
    pub fn devices_of(&self, person: PersonId) -> Vec<Device> {
        let directory = self.directory();
        directory.devices.values().filter(|device| device.person == person).cloned().collect()
    }

    /// The device whose key has this RFC 7638 thumbprint.
    #[must_use]
    pub fn device_by_jkt(&self, jkt: &Hash32) -> Option<Device> {
        let directory = self.directory();
        directory.devices.get(directory.by_jwk.get(jkt)?).cloned()
    }

    /// How far a device's signature chain on an account has come.
    #[must_use]
    pub fn chain_head(&self, device: DeviceId, account: AccountId) -> ChainHead {
        self.directory().chains.get(&(device, account)).copied().unwrap_or(ChainHead::START)
    }

    /// What is known of a device from what it has done.
    #[must_use]
    pub fn reputation(&self, device: &DeviceId) -> Reputation {
        self.directory().reputations.get(device).copied().unwrap_or_default()
    }

    fn checkpoint_age_ms(&self) -> u64 {
        self.log().newest().map_or(u64::MAX, |head| self.clock.now().since(head.issued).as_ms())
    }

    fn clock_part(&self) -> Part {
        self.clock_error().map_or_else(Part::Bad, |_error| Part::Good)
    }

    /// How far the clock may be off, if that is within the authority's accuracy; why not otherwise.
    pub(super) fn clock_error(&self) -> Result<Span, String> {
        // A clock that was set may be wrong, whatever is known of its error.
        let jump = self.clock.jump_ms();
        if jump > JUMP_MAX_MS {
            return Err(format!(
                "the system clock jumped by {jump} ms; set it right, or restart the server when it is"
            ));
        }
        let error = self.clock.error().map_err(|fault| fault.to_string())?;
        let most = self.config.tsa_accuracy_ms;
        if error.as_ms() > most {
            return Err(format!(
                "the system clock may be off by {} ms, and {most} ms are declared",
                error.as_ms()
            ));
        }
        Ok(error)
    }

    /// How the engine is.
    #[must_use]
    pub fn health(&self) -> Health {
        let writer = match self.meter.writer_fault() {
            None => Part::Good,
            Some(why) => Part::Bad(why),
        };
        let log = if self.log_healthy.healthy() {
            Part::Good
        } else {
            Part::Bad("the log has stopped; restart the server".to_owned())
        };
        let clock = self.clock_part();
        Health { writer, log, clock, checkpoint_age_ms: self.checkpoint_age_ms() }
    }

    /// Whether large books are still being read as a whole beside the work, as after each start.
    #[must_use]
    pub fn is_checking_books(&self) -> bool {
        self.meter.is_checking()
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics {
            waiting: u64::try_from(self.directory().waiting.len()).unwrap_or(u64::MAX),
            tree_size: self.log().newest().map_or(0, |head| head.head.size),
            checkpoint_age_ms: self.checkpoint_age_ms(),
            outside: self.stamped().map(|stamped| stamped.outcomes()).unwrap_or_default(),
            ..self.meter.read()
        }
    }
}
