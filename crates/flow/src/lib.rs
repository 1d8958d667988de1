#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod approvers;
mod desk;
mod event;
mod fingerprint;
mod order;
mod payment;
mod step;
pub mod stored;

pub use approvers::{Approver, Approvers};
pub use desk::{
    Adjustment, Alarm, AlarmKind, Answer, Approved, Archive, ArchiveError, Burnt, ChainHead,
    Changes, CodeGrant, Command, Decided, DecisionRow, Desk, DeskFault, Device, EventKind,
    EventRow, FORGOTTEN_MAX, Frozen, Funding, Guards, IdUse, LeafRow, Look, MadeBy,
    NewAccountOrder, NewPerson, Opening, OrderBatch, Outcome, Owner, Person, RailInstruction,
    Registry, Rejection, RejectionClass, Submission, TokenRow, Watch, key_end_record,
};
pub use event::{Effect, Event};
pub use fingerprint::OrderDigest;
pub use order::{Order, OrderOutcome, OrderRefusal, OrderRejection, Ordered, Orders};
pub use payment::{
    Accepted, Booked, Cause, Cleared, Compensated, Entry, Intake, Payment, Rail, Refused,
    Reversing, Screened, Settled, Stamped, Status, Waiting,
};
pub use step::{Seen, Step, StepError, step, timeless_transfers};
