//! The states of a payment. Each contains the evidence of the one before it, so that the wrong order
//! does not compile: a [`Booked`] can only be made from a [`Settled`], that only from a [`Cleared`].
//!
//! ```text
//! Accepted → Stamped → Screened → Cleared → Settled → Booked → Reversing → Compensated
//!                         │  └→ StepUp ─┐      │
//!                         │  └→ Held  ──┴→ Cleared
//!                         └→ Refused  (also from StepUp and Held when time runs out)
//! ```

use tpw_core::{
    Approval, Decision, DeviceKey, Hash32, Instant, Intent, PaymentId, Posting, Refusal,
};
use tpw_proof::statement::{Unverified, Verified};
use tpw_proof::{DeviceKeys, ProofError};

/// A statement whose signature was checked, with what was read from it.
///
/// INVARIANT: made only from a [`Verified`] intent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Intake {
    statement: Vec<u8>,
    intent: Intent,
    intent_hash: Hash32,
    device_key: DeviceKey,
}

impl Intake {
    /// Takes over a verified intent.
    #[must_use]
    pub fn new(verified: &Verified<Intent>) -> Self {
        Self {
            statement: verified.bytes().to_vec(),
            intent: verified.value().clone(),
            intent_hash: verified.payload_hash(),
            device_key: verified.keys().to_record(),
        }
    }

    /// Reads a stored statement again. The signature is checked again: bytes from a disk are bytes.
    ///
    /// # Errors
    /// [`ProofError`] when the statement or its signature is broken.
    pub fn reopen(statement: &[u8], device_key: &DeviceKey) -> Result<Self, ProofError> {
        let keys = DeviceKeys::from_record(device_key)?;
        let verified = Unverified::<Intent>::parse(statement)?.verify_by(&keys)?;
        Ok(Self::new(&verified))
    }

    /// The signed statement, a `COSE_Sign1` or, of a hybrid device, a `COSE_Sign`.
    #[must_use]
    pub fn statement(&self) -> &[u8] {
        &self.statement
    }

    /// What the payer asks for.
    #[must_use]
    pub const fn intent(&self) -> &Intent {
        &self.intent
    }

    /// SHA-256 of the intent's bytes: the transaction hash.
    #[must_use]
    pub const fn intent_hash(&self) -> Hash32 {
        self.intent_hash
    }

    /// The key under which the signature holds.
    #[must_use]
    pub const fn device_key(&self) -> &DeviceKey {
        &self.device_key
    }
}

/// Who asks is known, and the intent is the next of its device on its account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    pub(crate) intake: Intake,
    pub(crate) salt: [u8; 32],
}

/// The server's time is fixed beside the transaction hash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stamped {
    pub(crate) accepted: Accepted,
    pub(crate) received: Instant,
}

/// Screening has decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Screened {
    pub(crate) stamped: Stamped,
    pub(crate) decision: Decision,
}

/// Waits for a fresh signature of the payer's device, or for an operator; the money is on hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiting {
    pub(crate) screened: Screened,
    pub(crate) hold: Posting,
    pub(crate) deadline: Instant,
}

/// Everything that had to agree has agreed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cleared {
    pub(crate) screened: Screened,
    pub(crate) approvals: Vec<Approval>,
    pub(crate) hold: Option<Posting>,
}

/// The ledger has moved the money.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settled {
    pub(crate) cleared: Cleared,
    pub(crate) postings: Vec<Posting>,
}

/// Where the money of a booked payment goes on to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rail {
    /// Nowhere: the payee's account is in this ledger.
    Internal,
    /// An instruction to the clearing partner is out.
    Instructed,
    /// The clearing partner has confirmed it.
    Confirmed,
}

/// A log entry with what it commits to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its place in the log.
    pub index: u64,
    /// What opens its commitment.
    pub salt: [u8; 32],
    /// The bytes of the [`tpw_core::Record`].
    pub record: Vec<u8>,
}

/// Postings and log entry are written in one commit; the receipt follows with the next checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Booked {
    pub(crate) settled: Settled,
    pub(crate) entry: Entry,
    pub(crate) booked: Instant,
    pub(crate) rail: Rail,
}

/// Why a booked payment is undone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The clearing partner returned it.
    RailReturned,
    /// An operator ordered it; the thumbprint of the operator's key.
    Operator(Hash32),
}

/// Opposite postings are being made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reversing {
    pub(crate) booked: Booked,
    pub(crate) cause: Cause,
    pub(crate) postings: Vec<Posting>,
}

/// A booked payment was undone by opposite postings, which have a log entry of their own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compensated {
    pub(crate) reversing: Reversing,
    pub(crate) entry: Entry,
    pub(crate) at: Instant,
}

/// Ended without moving money. The id is burnt and the sequence number used up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    pub(crate) screened: Screened,
    pub(crate) refusal: Refusal,
    pub(crate) at: Instant,
}

/// One payment in one of its states.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payment {
    /// See [`Accepted`].
    Accepted(Accepted),
    /// See [`Stamped`].
    Stamped(Stamped),
    /// See [`Screened`].
    Screened(Screened),
    /// See [`Waiting`]: for the payer's device.
    StepUp(Waiting),
    /// See [`Waiting`]: for an operator.
    Held(Waiting),
    /// See [`Cleared`].
    Cleared(Cleared),
    /// See [`Settled`].
    Settled(Settled),
    /// See [`Booked`].
    Booked(Booked),
    /// See [`Reversing`].
    Reversing(Reversing),
    /// See [`Compensated`].
    Compensated(Compensated),
    /// See [`Refused`].
    Refused(Refused),
}

/// The states that a payment can rest in between two commands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Status {
    /// Waits for the payer's device.
    StepUp,
    /// Waits for an operator.
    Held,
    /// Done.
    Booked,
    /// Done and undone.
    Compensated,
    /// Refused.
    Refused,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 5] =
        [Self::StepUp, Self::Held, Self::Booked, Self::Compensated, Self::Refused];

    /// The stable code in the API.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::StepUp => "step_up",
            Self::Held => "held",
            Self::Booked => "booked",
            Self::Compensated => "compensated",
            Self::Refused => "refused",
        }
    }

    /// The stable number in stored bytes.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::StepUp => 1,
            Self::Held => 2,
            Self::Booked => 3,
            Self::Compensated => 4,
            Self::Refused => 5,
        }
    }
}

impl Screened {
    fn intake(&self) -> &Intake {
        &self.stamped.accepted.intake
    }
}

impl Payment {
    /// What was signed.
    #[must_use]
    pub fn intake(&self) -> &Intake {
        match self {
            Self::Accepted(s) => &s.intake,
            Self::Stamped(s) => &s.accepted.intake,
            Self::Screened(s) => s.intake(),
            Self::StepUp(s) | Self::Held(s) => s.screened.intake(),
            Self::Cleared(s) => s.screened.intake(),
            Self::Settled(s) => s.cleared.screened.intake(),
            Self::Booked(s) => s.settled.cleared.screened.intake(),
            Self::Reversing(s) => s.booked.settled.cleared.screened.intake(),
            Self::Compensated(s) => s.reversing.booked.settled.cleared.screened.intake(),
            Self::Refused(s) => s.screened.intake(),
        }
    }

    /// The payment's id.
    #[must_use]
    pub fn id(&self) -> PaymentId {
        self.intake().intent.payment
    }

    /// What screening said, once it has.
    #[must_use]
    pub fn screened(&self) -> Option<&Screened> {
        match self {
            Self::Accepted(_) | Self::Stamped(_) => None,
            Self::Screened(s) => Some(s),
            Self::StepUp(s) | Self::Held(s) => Some(&s.screened),
            Self::Cleared(s) => Some(&s.screened),
            Self::Settled(s) => Some(&s.cleared.screened),
            Self::Booked(s) => Some(&s.settled.cleared.screened),
            Self::Reversing(s) => Some(&s.booked.settled.cleared.screened),
            Self::Compensated(s) => Some(&s.reversing.booked.settled.cleared.screened),
            Self::Refused(s) => Some(&s.screened),
        }
    }

    /// Screening's decision, once there is one.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        self.screened().map(|s| &s.decision)
    }

    /// When the server took it, once it has stamped it.
    #[must_use]
    pub fn received(&self) -> Option<Instant> {
        match self {
            Self::Accepted(_) => None,
            Self::Stamped(s) => Some(s.received),
            other => other.screened().map(|s| s.stamped.received),
        }
    }

    /// The booked state, also of a payment undone later.
    #[must_use]
    pub fn booked(&self) -> Option<&Booked> {
        match self {
            Self::Booked(s) => Some(s),
            Self::Reversing(s) => Some(&s.booked),
            Self::Compensated(s) => Some(&s.reversing.booked),
            _ => None,
        }
    }

    /// The state it rests in, or `None` while it is between two of them.
    #[must_use]
    pub const fn status(&self) -> Option<Status> {
        match self {
            Self::StepUp(_) => Some(Status::StepUp),
            Self::Held(_) => Some(Status::Held),
            Self::Booked(_) => Some(Status::Booked),
            Self::Compensated(_) => Some(Status::Compensated),
            Self::Refused(_) => Some(Status::Refused),
            Self::Accepted(_)
            | Self::Stamped(_)
            | Self::Screened(_)
            | Self::Cleared(_)
            | Self::Settled(_)
            | Self::Reversing(_) => None,
        }
    }

    /// Until when it waits, if it does.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        match self {
            Self::StepUp(s) | Self::Held(s) => Some(s.deadline),
            _ => None,
        }
    }
}

impl Booked {
    /// The log entry.
    #[must_use]
    pub const fn entry(&self) -> &Entry {
        &self.entry
    }

    /// When the postings were made.
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.booked
    }

    /// The transfers that moved the money.
    #[must_use]
    pub fn postings(&self) -> &[Posting] {
        &self.settled.postings
    }

    /// What let it go on if it had to wait.
    #[must_use]
    pub fn approvals(&self) -> &[Approval] {
        &self.settled.cleared.approvals
    }

    /// Where the money goes on to.
    #[must_use]
    pub const fn rail(&self) -> Rail {
        self.rail
    }
}

impl Compensated {
    /// The log entry of the opposite postings.
    #[must_use]
    pub const fn entry(&self) -> &Entry {
        &self.entry
    }

    /// When it was undone.
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// Why.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        self.reversing.cause
    }

    /// The opposite transfers.
    #[must_use]
    pub fn postings(&self) -> &[Posting] {
        &self.reversing.postings
    }
}

impl Refused {
    /// Why.
    #[must_use]
    pub const fn refusal(&self) -> Refusal {
        self.refusal
    }

    /// When.
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }
}

impl Waiting {
    /// The hold on the payer's money.
    #[must_use]
    pub const fn hold(&self) -> &Posting {
        &self.hold
    }
}
