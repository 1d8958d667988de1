//! Doing what a payment asks for, as far as it happens in memory, until the payment comes to rest.

use super::{Desk, DeskFault, LeafRow, RailInstruction};
use crate::event::{Effect, Event};
use crate::payment::{Booked, Entry, Payment};
use crate::step::{self, HOLD_GRACE};
use std::collections::VecDeque;
use tpw_core::{Hash32, Instant, Posting, Record, Refusal, TransferId};
use tpw_ledger::{AccountKind, LedgerError, Operation, Original, Reversal, TransferRequest};
use tpw_proof::leaf::Leaf;
use tpw_screen::Facts;

impl Desk {
    /// Performs effects and feeds their events back until none is left.
    pub(super) fn drive(
        &mut self,
        mut payment: Payment,
        effects: Vec<Effect>,
        now: Instant,
    ) -> Result<Payment, DeskFault> {
        let mut queue = VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            let name = effect.step();
            let event = self.perform(&payment, effect, now)?;
            if let Some(watch) = &mut self.watch {
                watch(name);
            }
            if let Some(event) = event {
                let (next, more) = step::step(payment, event, now)?;
                payment = next;
                queue.extend(more);
            }
        }
        if payment.status().is_none() {
            return Err(DeskFault::Doubt("a payment did not come to rest"));
        }
        Ok(payment)
    }

    fn perform(
        &mut self,
        payment: &Payment,
        effect: Effect,
        now: Instant,
    ) -> Result<Option<Event>, DeskFault> {
        Ok(match effect {
            Effect::Stamp => Some(Event::Stamped),
            Effect::Screen => {
                let facts = self.facts(payment, now);
                let decision = self.screen.decide(&facts);
                Some(match facts.payee_opened {
                    Some(_) => Event::Screened(decision),
                    None => Event::PayeeUnknown(decision),
                })
            }
            Effect::Reserve(transfer) => Some(self.reserve(payment, transfer, now)?),
            Effect::Settle { transfer, hold } => Some(self.settle(payment, transfer, hold, now)?),
            Effect::Void { transfer, hold } => {
                let void = Operation::Void { hold, id: transfer };
                self.ledger.apply(void, now).map_err(|_| DeskFault::Doubt("a hold was lost"))?;
                None
            }
            Effect::Log { record, salt } => Some(Event::Logged(self.log(payment, &record, salt))),
            Effect::Learn => {
                let facts = self.facts(payment, now);
                self.screen.observe(&facts);
                None
            }
            Effect::InstructRail => self.instruct_rail(payment, now),
            Effect::Reverse { transfer } => {
                let booked = payment.booked().ok_or(DeskFault::Doubt("nothing to reverse"))?;
                let event = self.reverse(booked, transfer, now);
                Some(event.map_err(|_| DeskFault::Doubt("the ledger refused a reversal"))?)
            }
        })
    }

    fn facts(&self, payment: &Payment, now: Instant) -> Facts {
        let intent = payment.intake().intent();
        let opened = |id| self.ledger.account(id).map(|account| account.opened);
        let enrolled = self.registry.devices.get(&intent.device).map(|device| device.enrolled);
        // What is not known is given as a time in the future, which screening refuses as broken.
        Facts {
            payment: intent.payment,
            payer: intent.payer,
            payee: intent.payee,
            money: intent.money,
            device: intent.device,
            device_enrolled: enrolled.unwrap_or(Instant::MAX),
            payer_opened: opened(&intent.payer).unwrap_or(Instant::MAX),
            payee_opened: opened(&intent.payee),
            at: payment.received().unwrap_or(now),
        }
    }

    fn request(payment: &Payment, id: TransferId) -> TransferRequest {
        let intent = payment.intake().intent();
        let (debit, credit, money) = (intent.payer, intent.payee, intent.money);
        TransferRequest { id, debit, credit, money, effective: None }
    }

    /// Devices pay from people's accounts to people's accounts or to a clearing partner.
    fn check_kinds(&self, payment: &Payment) -> Result<(), Refusal> {
        let payee = self.ledger.account(&payment.intake().intent().payee);
        match payee.map(|account| account.kind) {
            Some(AccountKind::Issuance | AccountKind::Operating) => Err(Refusal::AccountKind),
            None => Err(Refusal::UnknownPayee),
            Some(AccountKind::Custodial | AccountKind::SelfCustodial | AccountKind::External) => {
                Ok(())
            }
        }
    }

    fn reserve(
        &mut self,
        payment: &Payment,
        transfer: TransferId,
        now: Instant,
    ) -> Result<Event, DeskFault> {
        if let Err(refusal) = self.check_kinds(payment) {
            return Ok(Event::LedgerRefused(refusal));
        }
        // The payment's own deadline voids the hold; the ledger's is a second line behind it.
        let expires = now.plus(step::HOLD_WAIT).plus(HOLD_GRACE);
        let hold = Operation::Hold { request: Self::request(payment, transfer), expires };
        match self.ledger.apply(hold, now) {
            Ok(applied) => first(&applied.postings).map(Event::Reserved),
            Err(error) => refusal(&error).map(Event::LedgerRefused),
        }
    }

    fn settle(
        &mut self,
        payment: &Payment,
        transfer: TransferId,
        hold: Option<TransferId>,
        now: Instant,
    ) -> Result<Event, DeskFault> {
        if let Err(refusal) = self.check_kinds(payment) {
            return Ok(Event::LedgerRefused(refusal));
        }
        let applied = match hold {
            Some(hold) => {
                self.ledger.apply(Operation::Post { hold, id: transfer, amount: None }, now)
            }
            None => {
                let request = [Self::request(payment, transfer)];
                self.ledger.apply(Operation::Transfer(&request), now)
            }
        };
        match applied {
            Ok(applied) => Ok(Event::Settled(applied.postings)),
            Err(error) => refusal(&error).map(Event::LedgerRefused),
        }
    }

    fn log(&mut self, payment: &Payment, record: &Record, salt: [u8; 32]) -> Entry {
        let bytes = record.to_bytes();
        let statement = Hash32::new(tpw_crypto::sha256(payment.intake().statement()));
        let leaf =
            Leaf::commit(record.kind, &salt, statement, Hash32::new(tpw_crypto::sha256(&bytes)));
        let index = self.leaves;
        self.leaves = self.leaves.saturating_add(1);
        self.changes.leaves.push(LeafRow { index, leaf, payment: Some(record.payment) });
        Entry { index, salt, record: bytes }
    }

    fn instruct_rail(&mut self, payment: &Payment, now: Instant) -> Option<Event> {
        let intent = payment.intake().intent();
        let payee = self.ledger.account(&intent.payee)?;
        if payee.kind != AccountKind::External {
            return None;
        }
        self.changes.rail.push(RailInstruction {
            payment: intent.payment,
            account: intent.payee,
            money: intent.money,
            purpose: intent.purpose.as_str().to_owned(),
            at: now,
        });
        Some(Event::RailInstructed)
    }

    pub(super) fn reverse(
        &mut self,
        booked: &Booked,
        id: TransferId,
        now: Instant,
    ) -> Result<Event, LedgerError> {
        let reversals: Vec<_> = booked
            .postings()
            .iter()
            .map(|posting| Reversal { of: Original::of_posting(posting), id })
            .collect();
        let applied = self.ledger.apply(Operation::Reverse(&reversals), now)?;
        Ok(Event::Reversed(applied.postings))
    }
}

fn first(postings: &[Posting]) -> Result<Posting, DeskFault> {
    postings.first().copied().ok_or(DeskFault::Doubt("the ledger made no posting"))
}

/// What the ledger's refusal means for the payment; a refusal that no payment can cause is a defect.
fn refusal(error: &LedgerError) -> Result<Refusal, DeskFault> {
    error.refusal().ok_or(DeskFault::Doubt("the ledger refused what should have been checked"))
}
