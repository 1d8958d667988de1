//! How often in a row a person has failed with a factor, and how long they wait for it: kept, so that no restart forgets it.
//!
//! The attempt is charged before it is judged ([`Failures::attempt`]), and written by compare and swap: however many attempts arrive at
//! the same moment, each of them is counted. A success removes the record. Guessing one password at many persons is not slowed here but
//! by the [`Throttle`](crate::Throttle) of addresses.

use tpw_core::codec::{Reader, Writer, decode_exact};
use tpw_core::{CodecError, Instant, Span};

/// The most failures in a row before a factor is locked: the cap of SP 800-63B-4 §3.2.2.
pub const CAP: u64 = 100;

/// How long a factor stays locked after the last failure, where another factor does not end it before.
pub const LOCK: Span = Span::from_secs(24 * 3600);

/// Up to how many failures in a row, and how long to wait after each of them.
const STAGES: [(u64, Span); 4] = [
    (2, Span::from_secs(1)),
    (8, Span::from_secs(3)),
    (24, Span::from_secs(5)),
    (99, Span::from_secs(10)),
];

/// What becomes of a factor after [`CAP`] failures in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtCap {
    /// It waits a day after each failure: a stranger cannot take the factor away for good, and guesses once a day.
    LockForDay,
    /// It stays locked until its owner comes by another factor. SP 800-63B-4 §3.2.2 to the letter.
    LockUntilRecovered,
}

/// The factor may not be tried now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Locked {
    /// For a while.
    #[error("too many failed attempts: try again in {} s", retry_after.as_ms().div_ceil(1000))]
    For {
        /// How long from now.
        retry_after: Span,
    },
    /// Until the person comes by another factor.
    #[error("too many failed attempts: use another factor to unlock this one")]
    UntilRecovered,
}

/// The record: failures in a row, and the time of the last. A person without a record has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    row: u64,
    last: Instant,
}

impl Failures {
    const WHAT: &'static str = "record of failures";
    const FORMAT: u64 = 1;

    /// How many in a row.
    #[must_use]
    pub const fn row(self) -> u64 {
        self.row
    }

    /// Charges an attempt that is about to be judged: the record to write before it is. After a success that record is removed.
    ///
    /// # Errors
    /// [`Locked`] while the wait runs; the attempt must then not be judged, and nothing is written.
    pub fn attempt(before: Option<Self>, at_cap: AtCap, now: Instant) -> Result<Self, Locked> {
        let Some(before) = before else {
            return Ok(Self { row: 1, last: now });
        };
        before.check(at_cap, now)?;
        Ok(Self { row: before.row.saturating_add(1), last: now })
    }

    /// Whether the factor may be tried now.
    ///
    /// A clock that was set back makes the wait longer, never shorter.
    ///
    /// # Errors
    /// [`Locked`] while the wait runs.
    pub fn check(self, at_cap: AtCap, now: Instant) -> Result<(), Locked> {
        if self.row >= CAP && at_cap == AtCap::LockUntilRecovered {
            return Err(Locked::UntilRecovered);
        }
        let stage = STAGES.iter().find(|(most, _wait)| self.row <= *most);
        let end = self.last.plus(stage.map_or(LOCK, |(_most, wait)| *wait));
        if now < end { Err(Locked::For { retry_after: end.since(now) }) } else { Ok(()) }
    }

    /// As it is stored: format, row, last.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::with_room(24);
        w.array(3).uint(Self::FORMAT).uint(self.row).uint(self.last.unix_ms());
        w.finish()
    }

    /// As it was stored.
    ///
    /// # Errors
    /// [`CodecError`] for other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        decode_exact(bytes, Self::WHAT, Self::read, Self::to_bytes)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        super::opens(r, 3, Self::FORMAT)?;
        let row = r.uint()?;
        if row == 0 {
            return Err(r.bad("row"));
        }
        Ok(Self { row, last: super::instant(r, "last")? })
    }
}
