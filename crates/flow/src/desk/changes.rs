//! What a batch of commands leaves to be stored.

use super::command::Decided;
use super::registry::{ChainHead, CodeGrant, Device, Owner, Person};
use crate::fingerprint::OrderDigest;
use crate::order::OrderRefusal;
use crate::payment::{Payment, Status};
use std::sync::Arc;
use tpw_access::RecordKey;
use tpw_core::{
    AccountId, Amount, DecisionId, DeviceId, Hash32, Instant, Money, PaymentId, TransferId,
    TreeHead,
};
use tpw_proof::leaf::Leaf;

/// One leaf of the log, staged with the postings that it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeafRow {
    /// Its place in the log.
    pub index: u64,
    /// The leaf.
    pub leaf: Leaf,
    /// The payment it is about, if it is about one.
    pub payment: Option<PaymentId>,
}

/// Where a time-stamp stands in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenRow {
    /// The token's serial number, which no other token has.
    pub serial: [u8; 20],
    /// The place of its entry.
    pub leaf: u64,
}

/// A decision of the policies, as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecisionRow {
    /// The place of its block's entry in the log times 256, and its place in the block.
    pub number: u64,
    /// The decision with its salt.
    pub decided: Decided,
}

impl DecisionRow {
    /// How many numbers belong to one entry of the log.
    pub const NUMBERS: u64 = 256;

    /// The place of its block's entry in the log.
    #[must_use]
    pub const fn leaf(&self) -> u64 {
        self.number / Self::NUMBERS
    }

    /// Its place in the block.
    #[must_use]
    pub const fn place(&self) -> u64 {
        self.number % Self::NUMBERS
    }
}

/// An instruction to the clearing partner; carried out under the payment's id, so at most once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RailInstruction {
    /// The payment.
    pub payment: PaymentId,
    /// The account that mirrors the clearing partner's.
    pub account: AccountId,
    /// How much of what.
    pub money: Money,
    /// The payer's words.
    pub purpose: String,
    /// When it was booked.
    pub at: Instant,
}

/// What an alarm is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AlarmKind {
    /// A device has seen a tree head that this log never published.
    CheckpointFork,
    /// A person said that they had not begun what a device asked for (`spec/prompt.md`).
    NotMe,
}

impl AlarmKind {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::CheckpointFork => "checkpoint_fork",
            Self::NotMe => "not_me",
        }
    }

    /// From the stable code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::CheckpointFork, Self::NotMe].into_iter().find(|kind| kind.code() == code)
    }
}

/// Something an operator has to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alarm {
    /// What about.
    pub kind: AlarmKind,
    /// When it was raised.
    pub at: Instant,
    /// The device that reported it, or that asked for what nobody had begun.
    pub device: DeviceId,
    /// The payment with which it came, or about which it was.
    pub payment: Option<PaymentId>,
    /// The head that a device claims to have seen.
    pub head: Option<TreeHead>,
}

/// Money that came in from the operator's issuance account: kept by its transfer's id, so that a repeated order is
/// recognised. The ledger itself keeps no list of ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Funding {
    /// The account.
    pub account: AccountId,
    /// How much of what the account holds.
    pub amount: Amount,
}

/// An order that was refused: its id is used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Burnt {
    /// Why.
    pub why: OrderRefusal,
    /// The hash of the order with its conditions.
    pub fingerprint: Hash32,
    /// When.
    pub at: Instant,
}

/// Orders that were carried out by one command, under one entry of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderBatch {
    /// The place of its entry in the log.
    pub leaf: u64,
    /// RFC 7638 thumbprint of the key of whoever gave the orders.
    pub by: Hash32,
    /// When.
    pub at: Instant,
    /// The number of its first transfer.
    pub first: u64,
    /// How many transfers it made.
    pub count: u64,
    /// What opens the entry's commitment.
    pub salt: [u8; 32],
}

tpw_core::codes! {
    /// What an event is.
    EventKind: u8 {
        /// A payment waits for its payer.
        PaymentStepUp = 1 "payment.step_up",
        /// A payment waits for an operator.
        PaymentHeld = 2 "payment.held",
        /// A payment was booked, or its partner has confirmed it.
        PaymentBooked = 3 "payment.booked",
        /// A payment was taken back.
        PaymentCompensated = 4 "payment.compensated",
        /// A payment was refused.
        PaymentRefused = 5 "payment.refused",
        /// An account was opened.
        AccountOpened = 6 "account.opened",
        /// An account was frozen, unfrozen or closed, or its limits, velocity limits or watch were changed.
        AccountChanged = 7 "account.changed",
        /// A balance has crossed a threshold of its watch.
        AccountCrossed = 8 "account.crossed",
        /// A device was enrolled.
        DeviceEnrolled = 9 "device.enrolled",
        /// A device was revoked.
        DeviceRevoked = 10 "device.revoked",
        /// A person was entered.
        PersonAdded = 11 "person.added",
        /// An order was refused.
        OrderRefused = 12 "order.refused",
        /// An alarm was raised, by this payment.
        AlarmRaised = 13 "alarm.raised",
        /// A set of accounts was made, or its members were changed.
        SetChanged = 14 "account_set.changed",
        /// An alarm was raised about this device: its person had not begun what it asked for.
        NotMe = 15 "alarm.not_me",
    }
}

impl EventKind {
    pub(super) const fn of(status: Status) -> Self {
        match status {
            Status::StepUp => Self::PaymentStepUp,
            Status::Held => Self::PaymentHeld,
            Status::Booked => Self::PaymentBooked,
            Status::Compensated => Self::PaymentCompensated,
            Status::Refused => Self::PaymentRefused,
        }
    }
}

/// Something that happened beside the transfers, which are a sequence of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventRow {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// The number of the transfer that came next: it says where it stands among them.
    pub position: u64,
    /// When.
    pub at: Instant,
    /// What.
    pub kind: EventKind,
    /// The id of what it happened to.
    pub subject: [u8; 16],
}

/// Everything to be stored in one transaction.
#[derive(Default, Debug)]
pub struct Changes {
    /// New or changed people.
    pub people: Vec<Person>,
    /// New or changed devices.
    pub devices: Vec<Device>,
    /// New or changed enrolment codes, by the hash of the code.
    pub codes: Vec<(Hash32, CodeGrant)>,
    /// New accounts' owners.
    pub owners: Vec<(AccountId, Owner)>,
    /// Signature chains that have grown. A chain may occur several times; the last counts.
    pub chains: Vec<(DeviceId, AccountId, ChainHead)>,
    /// Payments in their new states. A payment may occur several times; the last counts.
    pub payments: Vec<Arc<Payment>>,
    /// New leaves, in order.
    pub leaves: Vec<LeafRow>,
    /// Accounts and transfers.
    pub ledger: Arc<tpw_ledger::Changes>,
    /// Instructions to the clearing partner.
    pub rail: Vec<RailInstruction>,
    /// Money brought in, by the id of its transfer.
    pub fundings: Vec<(TransferId, Funding)>,
    /// Alarms raised.
    pub alarms: Vec<Alarm>,
    /// Orders that were refused, by their ids.
    pub burnt: Vec<(TransferId, Burnt)>,
    /// Transfers that orders reversed, with the numbers of their reversals.
    pub reversals: Vec<(u64, u64)>,
    /// Orders that were carried out together.
    pub order_batches: Vec<OrderBatch>,
    /// Digests of orders that their rows do not tell wholly, by the numbers of their transfers, in the order of these.
    pub order_digests: Vec<(u64, OrderDigest)>,
    /// Records of identity with their new values; `None` for one that is removed. A record may occur several times; the last counts.
    pub records: Vec<(RecordKey, Option<Vec<u8>>)>,
    /// Time-stamps that were given.
    pub tokens: Vec<TokenRow>,
    /// Decisions of the policies, in order.
    pub decisions: Vec<DecisionRow>,
    /// Decisions that are kept no longer. Their blocks' entries stay in the log.
    pub forgotten: Vec<DecisionId>,
    /// What happened, in order.
    pub events: Vec<EventRow>,
}
