#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod desk;
mod event;
mod payment;
mod step;
pub mod stored;

pub use desk::{
    Alarm, AlarmKind, Answer, Archive, ArchiveError, ChainHead, Changes, CodeGrant, Command, Desk,
    DeskFault, Device, Frozen, Funding, LeafRow, NewAccountOrder, NewPerson, Opening, Outcome,
    Owner, Person, RailInstruction, Registry, Rejection, RejectionClass, Submission, Watch,
};
pub use event::{Effect, Event};
pub use payment::{
    Accepted, Booked, Cause, Cleared, Compensated, Entry, Intake, Payment, Rail, Refused,
    Reversing, Screened, Settled, Stamped, Status, Waiting,
};
pub use step::{Seen, Step, StepError, step};
