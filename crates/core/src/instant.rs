//! Points in time and lengths of time, both whole milliseconds.

use core::fmt;
use core::str::FromStr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z without leap seconds.
///
/// Text is RFC 3339 in UTC with three decimals: `2026-11-22T10:15:00.123Z`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instant(u64);

/// A length of time in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Span(u64);

impl Span {
    /// From milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// From seconds; saturates at the largest value.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0
    }
}

impl Instant {
    /// 1970-01-01T00:00:00.000Z.
    pub const MIN: Self = Self(0);

    /// 9999-12-31T23:59:59.999Z, the last instant that RFC 3339 can write.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// From Unix milliseconds; `None` after the year 9999.
    #[must_use]
    pub const fn from_unix_ms(ms: u64) -> Option<Self> {
        if ms <= Self::MAX.0 { Some(Self(ms)) } else { None }
    }

    /// Unix milliseconds.
    #[must_use]
    pub const fn unix_ms(self) -> u64 {
        self.0
    }

    /// Later by `span`, at most [`Instant::MAX`].
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        let sum = self.0.saturating_add(span.0);
        if sum <= Self::MAX.0 { Self(sum) } else { Self::MAX }
    }

    /// Earlier by `span`, at least 1970-01-01.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// How long after `earlier` this is; zero if it is not later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0).saturating_mul(1_000_000);
        let date = OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|_| fmt::Error)?;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            date.hour(),
            date.minute(),
            date.second(),
            date.millisecond()
        )
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no RFC 3339 date and time between 1970 and 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no RFC 3339 time such as 2026-11-22T10:15:00.123Z")]
pub struct ParseInstantError(String);

impl FromStr for Instant {
    type Err = ParseInstantError;

    fn from_str(text: &str) -> Result<Self, ParseInstantError> {
        let error = || ParseInstantError(text.chars().take(64).collect());
        let date = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| error())?;
        let ms = date.unix_timestamp_nanos().div_euclid(1_000_000);
        u64::try_from(ms).ok().and_then(Self::from_unix_ms).ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_rfc_3339_in_utc() {
        let instant = Instant::from_unix_ms(1_763_806_500_123).unwrap();
        assert_eq!(instant.to_string(), "2025-11-22T10:15:00.123Z");
        assert_eq!("2025-11-22T18:15:00.1239+08:00".parse::<Instant>().unwrap(), instant);
        for bad in ["", "2025-11-22", "1969-12-31T23:59:59Z", "2025-13-01T00:00:00Z"] {
            assert!(bad.parse::<Instant>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(ms in 0..=253_402_300_799_999_u64) {
            let instant = Instant::from_unix_ms(ms).unwrap();
            prop_assert_eq!(instant.to_string().parse::<Instant>().unwrap(), instant);
        }
    }
}
