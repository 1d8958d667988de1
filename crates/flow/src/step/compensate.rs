//! Step 8, compensate: what was booked is undone by opposite postings with an entry of their own.

use super::{TransferStep, book, second_salt, transfer_id};
use crate::event::Effect;
use crate::payment::{Booked, Cause, Compensated, Entry, Payment, Rail, Reversing};
use tpw_core::{Instant, Posting, RecordKind};

pub(super) fn instructed(mut booked: Booked) -> (Payment, Vec<Effect>) {
    booked.rail = Rail::Instructed;
    (Payment::Booked(booked), Vec::new())
}

pub(super) fn confirmed(mut booked: Booked) -> (Payment, Vec<Effect>) {
    booked.rail = Rail::Confirmed;
    (Payment::Booked(booked), Vec::new())
}

pub(super) fn recalled(booked: Booked, cause: Cause) -> (Payment, Vec<Effect>) {
    let id = booked.settled.cleared.screened.stamped.accepted.intake.intent().payment;
    let transfer = transfer_id(id, TransferStep::Reverse, booked.booked);
    let reversing = Reversing { booked, cause, postings: Vec::new() };
    (Payment::Reversing(reversing), vec![Effect::Reverse { transfer }])
}

pub(super) fn reversed(
    mut reversing: Reversing,
    postings: Vec<Posting>,
    now: Instant,
) -> (Payment, Vec<Effect>) {
    let settled = &reversing.booked.settled;
    let record = Box::new(book::record(settled, RecordKind::Compensation, &postings, now));
    let salt = second_salt(&reversing.booked.entry.salt);
    reversing.postings = postings;
    (Payment::Reversing(reversing), vec![Effect::Log { record, salt }])
}

pub(super) fn logged(reversing: Reversing, entry: Entry, now: Instant) -> (Payment, Vec<Effect>) {
    (Payment::Compensated(Compensated { reversing, entry, at: now }), Vec::new())
}
