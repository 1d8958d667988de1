//! Step 6, book: postings and log entry belong to one commit.

use crate::event::Effect;
use crate::payment::{Booked, Cleared, Entry, Payment, Rail, Settled};
use tpw_core::{Instant, Posting, Record, RecordKind};

pub(super) fn settled(
    cleared: Cleared,
    postings: Vec<Posting>,
    now: Instant,
) -> (Payment, Vec<Effect>) {
    let salt = cleared.screened.stamped.accepted.salt;
    let settled = Settled { cleared, postings };
    let record = Box::new(record(&settled, RecordKind::Payment, &settled.postings, now));
    (Payment::Settled(settled), vec![Effect::Log { record, salt }])
}

/// What the log entry of a payment or of its compensation commits to.
pub(super) fn record(
    settled: &Settled,
    kind: RecordKind,
    postings: &[Posting],
    booked: Instant,
) -> Record {
    let screened = &settled.cleared.screened;
    let intake = &screened.stamped.accepted.intake;
    Record {
        kind,
        payment: intake.intent().payment,
        intent_hash: intake.intent_hash(),
        device_key: intake.device_key().clone(),
        received: screened.stamped.received,
        booked,
        decision: screened.decision.clone(),
        approvals: settled.cleared.approvals.clone(),
        postings: postings.to_vec(),
    }
}

pub(super) fn logged(settled: Settled, entry: Entry, now: Instant) -> (Payment, Vec<Effect>) {
    let booked = Booked { settled, entry, booked: now, rail: Rail::Internal };
    (Payment::Booked(booked), vec![Effect::Learn, Effect::InstructRail])
}
