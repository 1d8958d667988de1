//! What can happen to a payment, and what it can ask the world for. Both are closed.

use crate::payment::{Cause, Entry};
use tpw_core::{Approval, Decision, Posting, Record, Refusal, TransferId};

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The clock was read and the hash fixed.
    Stamped,
    /// Screening has decided.
    Screened(Decision),
    /// The payee's account does not exist; what screening said of it.
    PayeeUnknown(Decision),
    /// The money is on hold.
    Reserved(Posting),
    /// The ledger has moved the money.
    Settled(Vec<Posting>),
    /// The ledger refused.
    LedgerRefused(Refusal),
    /// The payer's device signed again, or the payer gave a further factor.
    SteppedUp(Approval),
    /// The operator lets it go on: one approval of each person whose word it took.
    Released(Vec<Approval>),
    /// An operator rejects it.
    Rejected,
    /// The time for waiting is over.
    TimedOut,
    /// The log has an entry for it.
    Logged(Entry),
    /// The payee is at a clearing partner, and the instruction to it is written.
    RailInstructed,
    /// The clearing partner confirmed it.
    RailConfirmed,
    /// It has to be undone.
    Recalled(Cause),
    /// The ledger has made the opposite postings.
    Reversed(Vec<Posting>),
}

impl Effect {
    /// Which of the flow's steps performing this belongs to.
    #[must_use]
    pub const fn step(&self) -> &'static str {
        match self {
            Self::Stamp => "stamp",
            Self::Screen | Self::Learn => "screen",
            Self::Reserve(_) | Self::Settle { .. } | Self::Void { .. } => "settle",
            Self::Log { .. } | Self::InstructRail => "book",
            Self::Reverse { .. } => "compensate",
        }
    }
}

/// Something to be done. Each is idempotent under the payment's id and the step it belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Fix the time beside the hash; answer [`Event::Stamped`].
    Stamp,
    /// Collect the facts and decide; answer [`Event::Screened`] or
    /// [`Event::PayeeUnknown`].
    Screen,
    /// Put the money on hold; answer [`Event::Reserved`] or [`Event::LedgerRefused`].
    Reserve(TransferId),
    /// Move the money, from the hold if there is one; answer [`Event::Settled`] or [`Event::LedgerRefused`].
    Settle {
        /// The id of the transfer to make.
        transfer: TransferId,
        /// The hold to post.
        hold: Option<TransferId>,
    },
    /// Let go of a hold.
    Void {
        /// The id of the transfer to make.
        transfer: TransferId,
        /// The hold.
        hold: TransferId,
    },
    /// Append an entry that commits to this record; answer [`Event::Logged`].
    Log {
        /// What to commit to.
        record: Box<Record>,
        /// What opens the commitment.
        salt: [u8; 32],
    },
    /// Let screening learn from a payment that was made.
    Learn,
    /// Write an instruction if the payee is at a clearing partner; answer [`Event::RailInstructed`] then.
    InstructRail,
    /// Make the opposite postings; answer [`Event::Reversed`].
    Reverse {
        /// The id of the transfer to make.
        transfer: TransferId,
    },
}
