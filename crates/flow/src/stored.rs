//! A payment as stored bytes: deterministic CBOR with a version, and nothing that the bytes already
//! say is stored twice. Reading checks the statement's signature again.
//!
//! ```text
//! Stored    = [version 1, status, statement, [algorithm, key], salt, received, Body]
//! Waiting   = [decision, posting, deadline]
//! Booked    = [index, record, hold?, rail]           (decision, approvals, postings are in the record)
//! Compensated = [Booked, index, record, cause]
//! Refused   = [decision, refusal, at]
//! ```

use crate::payment::{
    Accepted, Booked, Cause, Cleared, Compensated, Entry, Intake, Payment, Rail, Refused,
    Reversing, Screened, Settled, Stamped, Status, Waiting,
};
use crate::step::second_salt;
use tpw_core::codec::{Reader, Writer};
use tpw_core::{
    CodecError, Hash32, Instant, Posting, Record, Refusal, read_decision, read_device_key,
    read_posting, write_decision, write_device_key, write_posting,
};
use tpw_proof::ProofError;

const WHAT: &str = "stored payment";
const VERSION: u64 = 1;

/// Why stored bytes are no payment: the store is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// The encoding is broken.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The statement or its signature is broken.
    #[error("the stored statement is broken: {0}")]
    Statement(#[from] ProofError),
}

/// Writes a payment at rest; `None` for one between two states, which is never stored.
#[must_use]
pub fn to_bytes(payment: &Payment) -> Option<Vec<u8>> {
    let status = payment.status()?;
    let stamped = &payment.screened()?.stamped;
    let (intake, key) = (payment.intake(), payment.intake().device_key());
    let mut w = Writer::new();
    w.array(7).uint(VERSION).uint(status.number()).bytes(intake.statement());
    write_device_key(&mut w, key);
    w.bytes(&stamped.accepted.salt).uint(stamped.received.unix_ms());
    match payment {
        Payment::StepUp(s) | Payment::Held(s) => {
            w.array(3);
            write_decision(&mut w, &s.screened.decision);
            write_posting(&mut w, &s.hold);
            w.uint(s.deadline.unix_ms());
        }
        Payment::Booked(s) => write_booked(&mut w, s),
        Payment::Compensated(s) => {
            w.array(4);
            write_booked(&mut w, &s.reversing.booked);
            w.uint(s.entry.index).bytes(&s.entry.record);
            match s.reversing.cause {
                Cause::RailReturned => w.bytes(&[]),
                Cause::Operator(key) => w.bytes(key.as_bytes()),
            };
        }
        Payment::Refused(s) => {
            w.array(3);
            write_decision(&mut w, &s.screened.decision);
            w.uint(s.refusal.number()).uint(s.at.unix_ms());
        }
        _ => return None,
    }
    Some(w.finish())
}

fn write_booked(w: &mut Writer, booked: &Booked) {
    let rail = match booked.rail {
        Rail::Internal => 0,
        Rail::Instructed => 1,
        Rail::Confirmed => 2,
    };
    let hold = booked.settled.cleared.hold.as_slice();
    w.array(4).uint(booked.entry.index).bytes(&booked.entry.record);
    w.array(u64::from(!hold.is_empty()));
    hold.iter().for_each(|hold| write_posting(w, hold));
    w.uint(rail);
}

/// Reads a stored payment.
///
/// # Errors
/// [`StoredError`] when the bytes, the statement or its signature are broken.
pub fn from_bytes(bytes: &[u8]) -> Result<Payment, StoredError> {
    let mut r = Reader::new(bytes, WHAT);
    let payment = read(&mut r)?;
    if to_bytes(&payment).as_deref() == Some(bytes) {
        Ok(payment)
    } else {
        Err(CodecError::NotDeterministic { what: WHAT }.into())
    }
}

fn read(r: &mut Reader<'_>) -> Result<Payment, StoredError> {
    expect(r, 7)?;
    if r.uint()? != VERSION {
        return Err(r.bad("version").into());
    }
    let status = r.uint()?;
    let status = Status::ALL.into_iter().find(|s| s.number() == status);
    let statement = r.bytes()?;
    let key = read_device_key(r)?;
    let salt = r.fixed("salt")?;
    let received = instant(r, "received")?;
    let intake = Intake::reopen(statement, &key)?;
    let stamped = Stamped { accepted: Accepted { intake, salt }, received };
    Ok(match status.ok_or_else(|| r.bad("status"))? {
        Status::StepUp => Payment::StepUp(read_waiting(r, stamped)?),
        Status::Held => Payment::Held(read_waiting(r, stamped)?),
        Status::Booked => Payment::Booked(read_booked(r, stamped)?),
        Status::Compensated => Payment::Compensated(read_compensated(r, stamped)?),
        Status::Refused => {
            expect(r, 3)?;
            let screened = Screened { stamped, decision: read_decision(r)? };
            let refusal = Refusal::from_number(r.uint()?).ok_or_else(|| r.bad("refusal"))?;
            Payment::Refused(Refused { screened, refusal, at: instant(r, "at")? })
        }
    })
}

fn read_waiting(r: &mut Reader<'_>, stamped: Stamped) -> Result<Waiting, StoredError> {
    expect(r, 3)?;
    let screened = Screened { stamped, decision: read_decision(r)? };
    let hold = read_posting(r)?;
    Ok(Waiting { screened, hold, deadline: instant(r, "deadline")? })
}

fn read_booked(r: &mut Reader<'_>, stamped: Stamped) -> Result<Booked, StoredError> {
    expect(r, 4)?;
    let index = r.uint()?;
    let bytes = r.bytes()?;
    let record = Record::from_bytes(bytes)?;
    let hold: Option<Posting> =
        if r.array("hold", 1)? == 1 { Some(read_posting(r)?) } else { None };
    let rail = match r.uint()? {
        0 => Rail::Internal,
        1 => Rail::Instructed,
        2 => Rail::Confirmed,
        _ => return Err(r.bad("rail").into()),
    };
    let salt = stamped.accepted.salt;
    let screened = Screened { stamped, decision: record.decision };
    let cleared = Cleared { screened, approvals: record.approvals, hold };
    Ok(Booked {
        settled: Settled { cleared, postings: record.postings },
        entry: Entry { index, salt, record: bytes.to_vec() },
        booked: record.booked,
        rail,
    })
}

fn read_compensated(r: &mut Reader<'_>, stamped: Stamped) -> Result<Compensated, StoredError> {
    expect(r, 4)?;
    let booked = read_booked(r, stamped)?;
    let index = r.uint()?;
    let bytes = r.bytes()?;
    let record = Record::from_bytes(bytes)?;
    let cause = match r.bytes()? {
        [] => Cause::RailReturned,
        key => Cause::Operator(Hash32::from_slice(key).ok_or_else(|| r.bad("cause"))?),
    };
    let entry = Entry { index, salt: second_salt(&booked.entry.salt), record: bytes.to_vec() };
    let at = record.booked;
    Ok(Compensated { reversing: Reversing { booked, cause, postings: record.postings }, entry, at })
}

fn expect(r: &mut Reader<'_>, items: u64) -> Result<(), CodecError> {
    if r.array("items", items)? == items { Ok(()) } else { Err(r.bad("items")) }
}

fn instant(r: &mut Reader<'_>, field: &'static str) -> Result<Instant, CodecError> {
    Instant::from_unix_ms(r.uint()?).ok_or_else(|| r.bad(field))
}
