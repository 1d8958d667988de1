//! What the desk can be told, and what it answers.

use super::registry::{Device, Person};
use crate::approvers::Approvers;
use crate::order::{OrderOutcome, Orders};
use crate::payment::Payment;
use crate::step::Seen;
use std::sync::Arc;
use tpw_access::RecordWrite;
use tpw_core::{
    AccountId, AccountSetId, Amount, Asset, DecisionId, DecisionRecord, DeviceId, FactorMethod,
    Hash32, Instant, Intent, Name, PaymentId, PersonId, StepUpProof, TransferId,
};
use tpw_crypto::PublicKey;
use tpw_ledger::{
    AccountKind, AssetTotal, FreezeReason, LedgerError, Limits, Membership, SetBalance, Velocity,
    VelocityRow, Watch,
};
use tpw_proof::statement::Verified;

/// An account to be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAccountOrder {
    /// The id.
    pub id: AccountId,
    /// The asset.
    pub asset: Asset,
    /// Who holds the keys.
    pub kind: AccountKind,
    /// What the owner calls it.
    pub label: Name,
    /// What comes in from the operator's issuance account on opening; may be zero.
    pub opening: Amount,
    /// The id of the transfer for it.
    pub transfer: TransferId,
    /// Limits.
    pub limits: Limits,
}

/// A person to be entered, with accounts and an enrolment code, all or nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewPerson {
    /// The id.
    pub id: PersonId,
    /// The name.
    pub name: Name,
    /// The accounts.
    pub accounts: Vec<NewAccountOrder>,
    /// The hash of an enrolment code and until when it can be used.
    pub code: Option<(Hash32, Instant)>,
}

/// A payment as it comes in, with its signature checked.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The intent.
    pub statement: Verified<Intent>,
    /// How the tree head that the device has seen compares with our log.
    pub seen: Seen,
    /// Fresh random bytes: what will open the log entry's commitment.
    pub salt: [u8; 32],
}

/// The most decisions that one command removes.
pub const FORGOTTEN_MAX: usize = 2_048;

/// A decision of the policies to be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decided {
    /// The decision.
    pub record: DecisionRecord,
    /// Fresh random bytes: what hides it in the log.
    pub salt: [u8; 32],
}

/// What the desk can be told.
#[derive(Clone, Debug)]
pub enum Command {
    /// Enter a person.
    AddPerson(NewPerson),
    /// Open an account for a person, or for nobody: an account at a clearing partner.
    OpenAccount {
        /// For whom.
        person: Option<PersonId>,
        /// What.
        order: NewAccountOrder,
    },
    /// Give a person another enrolment code.
    IssueCode {
        /// To whom.
        person: PersonId,
        /// The hash of the code.
        code: Hash32,
        /// Until when.
        expires: Instant,
    },
    /// Enrol a device with a code.
    Enrol {
        /// The hash of the code.
        code: Hash32,
        /// The id for the device.
        device: DeviceId,
        /// The device's key, whose possession was proved.
        key: PublicKey,
        /// The ML-DSA-44 key of a hybrid device, whose possession was proved, too.
        post_quantum: Option<PublicKey>,
    },
    /// Enter the operator's own device, which needs no code: whoever has the data folder has it.
    EnrolOperator {
        /// The operator as a person.
        person: Person,
        /// The device.
        device: DeviceId,
        /// The device's key.
        key: PublicKey,
    },
    /// Stop trusting a device, from the next command on.
    RevokeDevice {
        /// The device.
        device: DeviceId,
    },
    /// Bring money in from the operator's issuance account. The same order under the same id again moves nothing.
    Fund {
        /// Where to.
        account: AccountId,
        /// How much.
        amount: Amount,
        /// The id of the transfer, made by whoever orders it.
        transfer: TransferId,
    },
    /// Freeze or unfreeze an account.
    Freeze {
        /// Which.
        account: AccountId,
        /// Frozen afterwards or not.
        frozen: Frozen,
    },
    /// Change what an account may do, or which accounts belong together.
    Adjust(Adjustment),
    /// Tell something of the state; it is answered when all that was decided before is durable.
    Look(Look),
    /// Take a payment.
    Submit(Box<Submission>),
    /// Carry out orders of the operator.
    Orders(Box<Orders>),
    /// Let a payment go on with a fresh signature of the payer's device.
    StepUp(Box<Verified<StepUpProof>>),
    /// Let a payment that waits for its payer go on: the server has verified a further factor, which the payer gave for this
    /// payment's intent hash.
    StepUpBy {
        /// Which.
        payment: PaymentId,
        /// The hash of what is kept of the factor's answer.
        evidence: Hash32,
        /// What was given.
        method: FactorMethod,
    },
    /// Let a held payment go on.
    Release {
        /// Which.
        payment: PaymentId,
        /// RFC 7638 thumbprint of the operator's key.
        operator: Hash32,
    },
    /// Reject a waiting payment.
    Reject {
        /// Which.
        payment: PaymentId,
    },
    /// The clearing partner has confirmed a payment.
    RailConfirm {
        /// Which.
        payment: PaymentId,
    },
    /// The clearing partner has returned a payment.
    RailReturn {
        /// Which.
        payment: PaymentId,
    },
    /// Undo a booked payment between custodial accounts.
    Recall {
        /// Which.
        payment: PaymentId,
        /// RFC 7638 thumbprint of the operator's key.
        operator: Hash32,
    },
    /// Log a time-stamp that was made and that nobody has yet.
    LogToken {
        /// Its serial number, which no other token has.
        serial: [u8; 20],
        /// SHA-256 of its DER.
        token: Hash32,
    },
    /// Log that a time-stamping key was destroyed.
    LogKeyEnd {
        /// The record of it: `spec/leaf.md`.
        record: Vec<u8>,
    },
    /// Keep what the policies decided, under one entry of the log.
    Decisions(Vec<Decided>),
    /// Keep these decisions no longer, at most [`FORGOTTEN_MAX`]: whole blocks of stored ones, so that the rest can be proved as before.
    ForgetDecisions(Vec<DecisionId>),
    /// Change records of identity, all or none.
    Records(Vec<RecordWrite>),
    /// Change records of identity and raise an alarm, both or neither: a person said that they had not begun what a device asked for.
    NotMe {
        /// The changes of records.
        writes: Vec<RecordWrite>,
        /// The device that asked.
        device: DeviceId,
        /// The payment about which it was.
        payment: Option<PaymentId>,
    },
    /// Carry out what several people have approved, and change the records that say so: both or neither.
    Approved {
        /// The changes of records.
        writes: Vec<RecordWrite>,
        /// What was approved.
        then: Approved,
    },
    /// Time has passed: end what has waited too long.
    Tick,
}

/// What can be carried out together with the records that say so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Approved {
    /// Let a held payment go on.
    Release {
        /// Which.
        payment: PaymentId,
        /// Who approved it.
        approvers: Approvers,
    },
    /// Change what an account may do.
    Adjust(Adjustment),
    /// Bring money in, as [`Command::Fund`] does.
    Fund {
        /// Where to.
        account: AccountId,
        /// How much.
        amount: Amount,
        /// The id of the transfer.
        transfer: TransferId,
    },
    /// Undo a booked payment.
    Recall {
        /// Which.
        payment: PaymentId,
        /// RFC 7638 thumbprint of the key of the operator who asked for it.
        operator: Hash32,
    },
    /// Give back a payment that the clearing partner has returned.
    Return {
        /// Which.
        payment: PaymentId,
    },
}

/// A change of what an account may do, or of which accounts belong together. Sums do not change by it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Adjustment {
    /// Freeze an account for a reason.
    Freeze {
        /// Which.
        account: AccountId,
        /// Why.
        why: FreezeReason,
    },
    /// Lift one reason for which an account is frozen.
    Unfreeze {
        /// Which.
        account: AccountId,
        /// Which reason.
        why: FreezeReason,
    },
    /// Close an empty account for ever.
    Close {
        /// Which.
        account: AccountId,
    },
    /// Replace an account's limits.
    SetLimits {
        /// Which.
        account: AccountId,
        /// The new ones.
        limits: Limits,
    },
    /// Replace an account's velocity limits.
    SetVelocities {
        /// Which.
        account: AccountId,
        /// The new ones; none to lift all.
        velocities: Vec<Velocity>,
    },
    /// Watch an account's balance, in place of how it was watched before.
    SetWatch {
        /// Which.
        account: AccountId,
        /// How; `None` to stop.
        watch: Option<Watch>,
    },
    /// Make a set of accounts.
    OpenSet {
        /// The id.
        id: AccountSetId,
        /// What its members hold.
        asset: Asset,
    },
    /// Add an account or a set to a set.
    Join(Membership),
    /// Remove an account or a set from a set.
    Leave(Membership),
}

/// What can be asked of the state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// An account's velocity limits and watch.
    Guards(AccountId),
    /// A set with its sums.
    Set(AccountSetId),
    /// The sums of all accounts.
    Totals,
}

/// What guards an account beside its limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guards {
    /// Velocity limits with what was used of them.
    pub velocities: Vec<VelocityRow>,
    /// How its balance is watched.
    pub watch: Option<Watch>,
}

impl Command {
    /// How many things are asked for in it: what bounds a batch.
    #[must_use]
    pub const fn weight(&self) -> usize {
        match self {
            Self::Orders(orders) => orders.orders.len(),
            Self::Decisions(block) => block.len(),
            Self::ForgetDecisions(ids) => ids.len(),
            _ => 1,
        }
    }
}

/// What [`Command::Freeze`] leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frozen {
    /// No money in or out.
    Yes,
    /// As usual.
    No,
}

/// What the desk answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Done, and there is nothing to tell.
    Done,
    /// A device, as enrolled.
    Device(Device),
    /// A payment in its new state.
    Payment(Arc<Payment>),
    /// A payment that was there already, asked for with the same bytes.
    Repeated(Arc<Payment>),
    /// How many payments and holds ended.
    Ended(u64),
    /// What became of each order, in the order in which they were given.
    Ordered(Vec<OrderOutcome>),
    /// What guards an account; `None` without the account.
    Guards(Option<Guards>),
    /// A set with the sums over all accounts in it and in the sets in it; `None` if there is none.
    Set(Option<SetBalance>),
    /// The sums of all accounts, one for each asset.
    Totals(Vec<AssetTotal>),
}

/// What a client should do about a rejection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RejectionClass {
    /// The request is wrong in itself.
    Invalid,
    /// Who asks may not.
    Forbidden,
    /// What it is about does not exist, or not for who asks.
    NotFound,
    /// It contradicts what is there.
    Conflict,
}

/// Why a command was rejected. A rejection has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The signing device is not enrolled here.
    #[error(
        "the device is not enrolled with this operator; enrol it with a code from the operator"
    )]
    UnknownDevice,
    /// The signing device was revoked.
    #[error("the device was revoked; enrol this or another device with a new code")]
    DeviceRevoked,
    /// The payer's account is not the device owner's.
    #[error("the payer's account does not belong to the owner of this device")]
    NotOwner,
    /// Signed for another operator.
    #[error("the statement was signed for another operator")]
    WrongAudience,
    /// Too late.
    #[error("the intent has expired; sign a new one")]
    Expired,
    /// Made in the future.
    #[error(
        "the statement or id was made more than a minute in the future; set the clock that made it"
    )]
    FromFuture,
    /// The number was used.
    #[error("the sequence number was already used; the next one is {expected}")]
    SequenceUsed {
        /// The number that is next.
        expected: u64,
    },
    /// A number before it is missing.
    #[error("an intent before this one is missing; the next sequence number is {expected}")]
    SequenceGap {
        /// The number that is next.
        expected: u64,
    },
    /// The hash of the previous intent is wrong.
    #[error(
        "the hash of the previous intent is not that of the last intent of this device on this account"
    )]
    ChainMismatch,
    /// The device has seen another log.
    #[error("the device has seen a checkpoint that this log never published; an alarm was raised")]
    CheckpointFork,
    /// The id was used for something else.
    #[error("this payment id was used before with a different {field}")]
    ExistsWithDifferent {
        /// The first field that differs.
        field: &'static str,
    },
    /// No such payment.
    #[error("there is no such payment")]
    UnknownPayment,
    /// The payment is in another state.
    #[error("the payment is {status}, which does not allow this")]
    WrongStatus {
        /// The state it is in.
        status: &'static str,
    },
    /// The proof is about something else.
    #[error("the step-up proof does not fit the waiting payment: its {field} differs")]
    ProofMismatch {
        /// What differs.
        field: &'static str,
    },
    /// The proof is old.
    #[error("the step-up proof is older than five minutes; give the passphrase again")]
    ProofStale,
    /// The time for waiting is over, and the next tick will refuse the payment.
    #[error(
        "the time for waiting is over; the payment is refused at the next tick, make a new one"
    )]
    WaitOver,
    /// No such person.
    #[error("there is no such person")]
    UnknownPerson,
    /// No such account.
    #[error("there is no such account")]
    UnknownAccount,
    /// The code is wrong, used or too old. One answer for all three: no oracle.
    #[error("the enrolment code is not valid; ask the operator for a new one")]
    CodeInvalid,
    /// The key belongs to a device already.
    #[error("this key is already enrolled")]
    KeyInUse,
    /// The id is taken.
    #[error("this {what} id is already in use")]
    IdInUse {
        /// Of what.
        what: &'static str,
    },
    /// The operator has no issuance account of this asset.
    #[error("the asset `{0}` is not set up here")]
    UnknownAsset(Asset),
    /// The operator has an issuance account of this asset already.
    #[error("the asset `{0}` has an issuance account already; money comes in from that one")]
    IssuanceExists(Asset),
    /// An account of this kind belongs to somebody else.
    #[error(
        "an account of the kind `{}` {}", kind.code(), if kind.is_operators() {
            "belongs to no person; leave the person out"
        } else {
            "belongs to a person; name the person"
        }
    )]
    WrongOwner {
        /// The kind.
        kind: AccountKind,
    },
    /// The account cannot be closed yet, or never.
    #[error(
        "the account is still needed ({why}): an asset's issuance account always, a side of a payment until its partner has confirmed or returned it"
    )]
    AccountNeeded {
        /// For what: `issuance` or `instructed`.
        why: &'static str,
    },
    /// Self-custodial money moves by its holder's signature only.
    #[error("the account is self-custodial: only its holder can move or block what is in it")]
    SelfCustodial,
    /// Somebody else changed a record meanwhile.
    #[error("this was changed by another request at the same moment; send the request again")]
    RecordChanged,
    /// A record would be longer than any is, or too many are changed together.
    #[error("this is more than can be stored in one request; send less")]
    RecordTooLarge,
    /// The ledger says no.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Rejection {
    /// The stable code in the API.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownDevice => "unknown_device",
            Self::DeviceRevoked => "device_revoked",
            Self::NotOwner => "not_owner",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::FromFuture => "from_future",
            Self::SequenceUsed { .. } => "sequence_used",
            Self::SequenceGap { .. } => "sequence_gap",
            Self::ChainMismatch => "chain_mismatch",
            Self::CheckpointFork => "checkpoint_fork",
            Self::ExistsWithDifferent { .. } => "exists_with_different",
            Self::UnknownPayment => "unknown_payment",
            Self::WrongStatus { .. } => "wrong_status",
            Self::ProofMismatch { .. } => "proof_mismatch",
            Self::ProofStale => "proof_stale",
            Self::WaitOver => "wait_over",
            Self::UnknownPerson => "unknown_person",
            Self::UnknownAccount => "unknown_account",
            Self::CodeInvalid => "code_invalid",
            Self::KeyInUse => "key_in_use",
            Self::IdInUse { .. } => "id_in_use",
            Self::UnknownAsset(_) => "unknown_asset",
            Self::IssuanceExists(_) => "issuance_exists",
            Self::WrongOwner { .. } => "wrong_owner",
            Self::AccountNeeded { .. } => "account_needed",
            Self::SelfCustodial => "self_custodial",
            Self::RecordChanged => "record_changed",
            Self::RecordTooLarge => "record_too_large",
            Self::Ledger(_) => "ledger_refused",
        }
    }

    /// What kind of rejection it is.
    #[must_use]
    pub const fn class(&self) -> RejectionClass {
        match self {
            Self::UnknownDevice | Self::DeviceRevoked | Self::NotOwner | Self::SelfCustodial => {
                RejectionClass::Forbidden
            }
            Self::UnknownPayment | Self::UnknownPerson | Self::UnknownAccount => {
                RejectionClass::NotFound
            }
            Self::SequenceUsed { .. }
            | Self::SequenceGap { .. }
            | Self::ChainMismatch
            | Self::CheckpointFork
            | Self::ExistsWithDifferent { .. }
            | Self::WrongStatus { .. }
            | Self::WaitOver
            | Self::KeyInUse
            | Self::IssuanceExists(_)
            | Self::AccountNeeded { .. }
            | Self::RecordChanged
            | Self::IdInUse { .. } => RejectionClass::Conflict,
            Self::WrongAudience
            | Self::Expired
            | Self::FromFuture
            | Self::ProofMismatch { .. }
            | Self::ProofStale
            | Self::CodeInvalid
            | Self::UnknownAsset(_)
            | Self::WrongOwner { .. }
            | Self::RecordTooLarge
            | Self::Ledger(_) => RejectionClass::Invalid,
        }
    }

    /// The sequence number that would be taken, where that is what was wrong.
    #[must_use]
    pub const fn expected(&self) -> Option<u64> {
        match self {
            Self::SequenceUsed { expected } | Self::SequenceGap { expected } => Some(*expected),
            _ => None,
        }
    }
}
