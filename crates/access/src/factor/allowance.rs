//! How many messages may go out: so many a day, and some time between two. Kept, so that no restart forgets it.

use tpw_core::codec::{Reader, Writer, decode_exact};
use tpw_core::{CodecError, Instant, Span};

use super::FactorError;

/// The time within which messages are counted.
pub const DAY: Span = Span::from_secs(24 * 3600);

/// How many, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The most within [`DAY`].
    pub per_day: u64,
    /// The least time between two.
    pub pause: Span,
}

/// The record: what went out within the present day, and when the last did. Who has sent nothing has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    day: Instant,
    used: u64,
    last: Instant,
}

impl Allowance {
    const WHAT: &'static str = "record of messages that went out";
    const FORMAT: u64 = 1;

    /// Charges one more message: the record to write before it goes out.
    ///
    /// A clock that was set back makes the wait longer, never shorter.
    ///
    /// # Errors
    /// [`FactorError::TooOften`] when it is too soon, or too many; nothing is written then.
    pub fn one_more(before: Option<Self>, pace: Pace, now: Instant) -> Result<Self, FactorError> {
        let first = Self { day: now, used: 1, last: now };
        let Some(before) = before else { return Ok(first) };
        let wait = |end: Instant| match end.since(now) {
            none if none.as_ms() == 0 => Ok(()),
            retry_after => Err(FactorError::TooOften { retry_after }),
        };
        wait(before.last.plus(pace.pause))?;
        if now >= before.day.plus(DAY) {
            return Ok(first);
        }
        if before.used >= pace.per_day {
            wait(before.day.plus(DAY))?;
        }
        Ok(Self { used: before.used.saturating_add(1), last: now, ..before })
    }

    /// As it is stored: format, day, messages in it, time of the last.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::with_room(32);
        self.write(&mut w);
        w.finish()
    }

    /// As it was stored.
    ///
    /// # Errors
    /// [`CodecError`] for other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        decode_exact(bytes, Self::WHAT, Self::read, Self::to_bytes)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.array(4).uint(Self::FORMAT).uint(self.day.unix_ms()).uint(self.used);
        w.uint(self.last.unix_ms());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        super::opens(r, 4, Self::FORMAT)?;
        Self::read_rest(r)
    }

    /// As it stands within another record: the empty array where there is none.
    pub(super) fn read_optional(r: &mut Reader<'_>) -> Result<Option<Self>, CodecError> {
        match r.array("allowance", 4)? {
            0 => Ok(None),
            4 if r.uint()? == Self::FORMAT => Self::read_rest(r).map(Some),
            _ => Err(r.bad("allowance")),
        }
    }

    fn read_rest(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let day = super::instant(r, "day")?;
        let used = r.uint()?;
        Ok(Self { day, used, last: super::instant(r, "last")? })
    }
}

#[cfg(test)]
mod tests {
    //! Goal: nobody gets more messages than the pace allows, whatever the clock does. Method: messages at each edge of pause and day.

    use super::*;

    const PACE: Pace = Pace { per_day: 3, pause: Span::from_secs(30) };

    fn at(secs: u64) -> Instant {
        Instant::from_unix_ms(1_800_000_000_000 + secs * 1000).unwrap()
    }

    fn more(before: Option<Allowance>, secs: u64) -> Result<Allowance, u64> {
        Allowance::one_more(before, PACE, at(secs)).map_err(|error| match error {
            FactorError::TooOften { retry_after } => retry_after.as_ms() / 1000,
            other => panic!("{other}"),
        })
    }

    #[test]
    fn a_pause_and_so_many_a_day() {
        let one = more(None, 100).unwrap();
        assert_eq!(more(Some(one), 129), Err(1));
        assert_eq!(more(Some(one), 40), Err(90), "the clock was set back");
        let two = more(Some(one), 130).unwrap();
        let three = more(Some(two), 160).unwrap();
        assert_eq!(more(Some(three), 190), Err(86_310));
        assert_eq!(more(Some(three), 86_499), Err(1));
        let next = more(Some(three), 86_500).unwrap();
        assert_eq!((next.used, next.day), (1, at(86_500)));
    }

    #[test]
    fn there_and_back_and_no_piece_of_it() {
        let bytes = more(None, 5).unwrap().to_bytes();
        assert_eq!(Allowance::from_bytes(&bytes), Ok(more(None, 5).unwrap()));
        for end in 0..bytes.len() {
            assert!(Allowance::from_bytes(&bytes[..end]).is_err());
        }
    }
}
