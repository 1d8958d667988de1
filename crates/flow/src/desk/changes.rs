//! What a batch of commands leaves to be stored.

use super::registry::{ChainHead, CodeGrant, Device, Owner, Person};
use crate::payment::Payment;
use std::sync::Arc;
use tpw_core::{
    AccountId, Amount, DeviceId, Hash32, Instant, Money, PaymentId, TransferId, TreeHead,
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
}

impl AlarmKind {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::CheckpointFork => "checkpoint_fork",
        }
    }

    /// From the stable code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        (code == Self::CheckpointFork.code()).then_some(Self::CheckpointFork)
    }
}

/// Something an operator has to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alarm {
    /// What about.
    pub kind: AlarmKind,
    /// When it was raised.
    pub at: Instant,
    /// The device that reported it.
    pub device: DeviceId,
    /// The payment with which it came.
    pub payment: PaymentId,
    /// The head the device claims to have seen.
    pub head: TreeHead,
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
    pub ledger: tpw_ledger::Changes,
    /// Instructions to the clearing partner.
    pub rail: Vec<RailInstruction>,
    /// Money brought in, by the id of its transfer.
    pub fundings: Vec<(TransferId, Funding)>,
    /// Alarms raised.
    pub alarms: Vec<Alarm>,
}
