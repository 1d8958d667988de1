//! The commands about payments.

use super::{
    Alarm, AlarmKind, Answer, Archive, Desk, DeskFault, EventKind, Outcome, Rejection, Submission,
};
use crate::approvers::Approvers;
use crate::event::{Effect, Event};
use crate::payment::{Cause, Payment, Rail, Status};
use crate::step::{self, Asker};
use std::sync::Arc;
use tpw_core::{Approval, FactorMethod, Hash32, Instant, Intent, PaymentId, Span, StepUpProof};
use tpw_ledger::AccountKind;
use tpw_proof::leaf::factor_evidence;
use tpw_proof::statement::Verified;

/// How old a step-up proof may be.
const PROOF_LIFE: Span = Span::from_secs(300);

impl Desk {
    pub(super) fn submit(
        &mut self,
        submission: Submission,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        let Submission { statement, seen, salt } = submission;
        let intent = statement.value();
        if intent.payment.unix_ms() > now.plus(step::SKEW_MAX).unix_ms() {
            return Ok(Err(Rejection::FromFuture));
        }
        if let Some(known) = self.find(intent.payment, archive)? {
            return Ok(repeated(&known, &statement));
        }
        let device = self.registry.devices.get(&intent.device);
        let device = device.filter(|device| device.key == *statement.key());
        let asker = Asker {
            audience: &self.audience,
            device,
            owner: self.ledger.account(&intent.payer).and_then(|account| account.owner),
            head: self.registry.head(intent.device, intent.payer),
        };
        if let Err(rejection) = step::check(intent, seen, &asker, now) {
            if rejection == Rejection::CheckpointFork {
                self.raise_fork_alarm(intent, now);
            }
            return Ok(Err(rejection));
        }
        self.advance_chain(&statement);
        let (payment, effects) = step::accept(&statement, salt);
        let payment = self.drive(payment, effects, now)?;
        Ok(Ok(Answer::Payment(self.keep(payment, now))))
    }

    /// A refused intent uses up its number too, so the chain grows before anything is decided.
    fn advance_chain(&mut self, statement: &Verified<Intent>) {
        let intent = statement.value();
        let head = super::ChainHead { sequence: intent.sequence, hash: statement.payload_hash() };
        self.registry.chains.insert((intent.device, intent.payer), head);
        self.changes.chains.push((intent.device, intent.payer, head));
    }

    fn raise_fork_alarm(&mut self, intent: &Intent, now: Instant) {
        self.changes.alarms.push(Alarm {
            kind: AlarmKind::CheckpointFork,
            at: now,
            device: intent.device,
            payment: Some(intent.payment),
            head: Some(intent.seen),
        });
        self.tell(EventKind::AlarmRaised, *intent.payment.as_bytes(), now);
    }

    pub(super) fn step_up(
        &mut self,
        proof: &Verified<StepUpProof>,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        self.advance(proof.value().payment, now, archive, |desk, payment| {
            desk.check_proof(payment, proof, now)?;
            if !matches!(payment, Payment::StepUp(_)) {
                return Err(wrong_status(payment));
            }
            check_in_time(payment, now)?;
            Ok(Event::SteppedUp(Approval::StepUp { proof: proof.statement_hash(), at: now }))
        })
    }

    /// Lets a payment go on with a factor that the server has verified. What the record gets is bound to the intent here, so that
    /// no caller can note a factor under another payment than the one it was given for.
    pub(super) fn step_up_by(
        &mut self,
        id: PaymentId,
        (method, evidence): (FactorMethod, Hash32),
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        self.advance(id, now, archive, |_, payment| {
            if !matches!(payment, Payment::StepUp(_)) {
                return Err(wrong_status(payment));
            }
            check_in_time(payment, now)?;
            let bound = factor_evidence(payment.intake().intent_hash(), method, evidence);
            Ok(Event::SteppedUp(Approval::Factor { evidence: bound, at: now }))
        })
    }

    fn check_proof(
        &self,
        payment: &Payment,
        proof: &Verified<StepUpProof>,
        now: Instant,
    ) -> Result<(), Rejection> {
        let (value, intake) = (proof.value(), payment.intake());
        let device = self.registry.devices.get(&value.device).ok_or(Rejection::UnknownDevice)?;
        if device.key != *proof.key() {
            return Err(Rejection::UnknownDevice);
        }
        if device.revoked.is_some() {
            return Err(Rejection::DeviceRevoked);
        }
        if value.audience != self.audience {
            return Err(Rejection::WrongAudience);
        }
        if value.device != intake.intent().device {
            return Err(Rejection::ProofMismatch { field: "device" });
        }
        if value.intent_hash != intake.intent_hash() {
            return Err(Rejection::ProofMismatch { field: "intent_hash" });
        }
        if value.created > now.plus(step::SKEW_MAX) {
            return Err(Rejection::FromFuture);
        }
        if value.created.plus(PROOF_LIFE) < now {
            return Err(Rejection::ProofStale);
        }
        Ok(())
    }

    pub(super) fn release(
        &mut self,
        id: PaymentId,
        operator: Hash32,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        self.advance(id, now, archive, |_, payment| {
            if !matches!(payment, Payment::Held(_)) {
                return Err(wrong_status(payment));
            }
            check_in_time(payment, now)?;
            Ok(Event::Released(vec![Approval::Operator { key: operator, at: now }]))
        })
    }

    pub(super) fn release_together(
        &mut self,
        id: PaymentId,
        approvers: &Approvers,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        self.advance(id, now, archive, |_, payment| {
            if !matches!(payment, Payment::Held(_)) {
                return Err(wrong_status(payment));
            }
            check_in_time(payment, now)?;
            Ok(Event::Released(approvers.approvals()))
        })
    }

    pub(super) fn reject(
        &mut self,
        id: PaymentId,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        self.advance(id, now, archive, |_, payment| match payment {
            Payment::Held(_) | Payment::StepUp(_) => Ok(Event::Rejected),
            _ => Err(wrong_status(payment)),
        })
    }

    pub(super) fn rail_confirm(
        &mut self,
        id: PaymentId,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        self.advance(id, now, archive, |_, payment| match payment {
            Payment::Booked(booked) if booked.rail() == Rail::Instructed => {
                Ok(Event::RailConfirmed)
            }
            _ => Err(wrong_status(payment)),
        })
    }

    /// Undoes a booked payment, if the money is still there and nobody's own keys guard it.
    pub(super) fn recall(
        &mut self,
        id: PaymentId,
        cause: Cause,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        let Some(payment) = self.find(id, archive)? else {
            return Ok(Err(Rejection::UnknownPayment));
        };
        let Payment::Booked(booked) = &*payment else {
            return Ok(Err(wrong_status(&payment)));
        };
        if let Err(rejection) = check_rail(booked.rail(), cause) {
            return Ok(Err(rejection));
        }
        let payee = self.ledger.account(&payment.intake().intent().payee);
        if payee.is_some_and(|account| account.kind == AccountKind::SelfCustodial) {
            return Ok(Err(Rejection::SelfCustodial));
        }
        let (reversing, effects) = step::step((*payment).clone(), Event::Recalled(cause), now)?;
        let [Effect::Reverse { transfer }] = *effects else {
            return Err(DeskFault::Doubt("a recall asked for something else than a reversal"));
        };
        // The payee may have spent the money: then the payment stays as it is.
        match self.reverse(booked, transfer, now) {
            Ok(event) => self.continue_with(&reversing, event, now).map(Ok),
            Err(error) => Ok(Err(Rejection::Ledger(error))),
        }
    }

    /// Ends everything whose time for waiting is over, payments and holds.
    pub(super) fn tick(&mut self, now: Instant) -> Result<Outcome, DeskFault> {
        let mut ended = 0_u64;
        while let Some((at, id)) = self.deadlines.first().copied() {
            if at > now {
                break;
            }
            let payment = self.waiting.get(&id).map(Arc::clone);
            let payment = payment.ok_or(DeskFault::Doubt("a deadline without a payment"))?;
            self.continue_with(&payment, Event::TimedOut, now)?;
            ended = ended.saturating_add(1);
        }
        // Holds of orders; a payment's own hold was voided above.
        let expired = self.ledger.expire(now).len();
        ended = ended.saturating_add(u64::try_from(expired).unwrap_or(u64::MAX));
        Ok(Ok(Answer::Ended(ended)))
    }

    /// Finds a payment and, if `admit` allows it, lets the event happen to it.
    fn advance(
        &mut self,
        id: PaymentId,
        now: Instant,
        archive: &dyn Archive,
        admit: impl FnOnce(&Self, &Payment) -> Result<Event, Rejection>,
    ) -> Result<Outcome, DeskFault> {
        let Some(payment) = self.find(id, archive)? else {
            return Ok(Err(Rejection::UnknownPayment));
        };
        match admit(self, &payment) {
            Ok(event) => self.continue_with(&payment, event, now).map(Ok),
            Err(rejection) => Ok(Err(rejection)),
        }
    }

    fn continue_with(
        &mut self,
        payment: &Payment,
        event: Event,
        now: Instant,
    ) -> Result<Answer, DeskFault> {
        let (payment, effects) = step::step(payment.clone(), event, now)?;
        let payment = self.drive(payment, effects, now)?;
        Ok(Answer::Payment(self.keep(payment, now)))
    }
}

/// The time for waiting may be over though no tick has ended it yet.
fn check_in_time(payment: &Payment, now: Instant) -> Result<(), Rejection> {
    let late = payment.deadline().is_some_and(|deadline| deadline <= now);
    if late { Err(Rejection::WaitOver) } else { Ok(()) }
}

/// What a clearing partner was told to pay out comes back by the partner's return only: a recall would
/// give the payer the money while the partner pays it out.
const fn check_rail(rail: Rail, cause: Cause) -> Result<(), Rejection> {
    match (rail, cause) {
        (Rail::Internal, Cause::Operator(_)) | (Rail::Instructed, Cause::RailReturned) => Ok(()),
        (Rail::Instructed, Cause::Operator(_)) => {
            Err(Rejection::WrongStatus { status: "instructed" })
        }
        (Rail::Confirmed, Cause::Operator(_)) => {
            Err(Rejection::WrongStatus { status: "confirmed" })
        }
        (Rail::Internal | Rail::Confirmed, Cause::RailReturned) => {
            Err(Rejection::WrongStatus { status: Status::Booked.code() })
        }
    }
}

fn wrong_status(payment: &Payment) -> Rejection {
    Rejection::WrongStatus { status: payment.status().map_or("in progress", |s| s.code()) }
}

/// The same id again: the same bytes get the stored outcome, others learn what differs.
fn repeated(known: &Arc<Payment>, again: &Verified<Intent>) -> Outcome {
    if known.intake().statement() == again.bytes() {
        return Ok(Answer::Repeated(Arc::clone(known)));
    }
    let (a, b) = (known.intake().intent(), again.value());
    let fields = [
        ("device", a.device == b.device),
        ("payer", a.payer == b.payer),
        ("payee", a.payee == b.payee),
        ("asset", a.money.asset == b.money.asset),
        ("amount", a.money.amount == b.money.amount),
        ("fee_limit", a.fee_limit == b.fee_limit),
        ("sequence", a.sequence == b.sequence),
        ("previous", a.previous == b.previous),
        ("seen", a.seen == b.seen),
        ("created", a.created == b.created),
        ("expires", a.expires == b.expires),
        ("audience", a.audience == b.audience),
        ("purpose", a.purpose == b.purpose),
    ];
    let field = fields.iter().find(|(_, same)| !same).map_or("signature", |(name, _)| name);
    Err(Rejection::ExistsWithDifferent { field })
}
