//! Days: a partner's statement knows no finer time.

use core::fmt;
use core::str::FromStr;
use time::{Date, Month};
use tpw_core::Instant;

/// The Julian day number of 1970-01-01.
const EPOCH: i32 = 2_440_588;
const DAY_MS: u64 = 86_400_000;

/// A calendar day from 1970 to 9999, written `2026-11-22`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(u32);

impl Day {
    /// The day of an instant on the partner's calendar.
    #[must_use]
    pub fn of(at: Instant, zone: Zone) -> Self {
        let shift = u64::from(zone.0.unsigned_abs()).saturating_mul(60_000);
        let ms = at.unix_ms();
        let local = if zone.0 < 0 { ms.saturating_sub(shift) } else { ms.saturating_add(shift) };
        Self(u32::try_from(local.div_euclid(DAY_MS)).unwrap_or(u32::MAX))
    }

    /// The first instant of the day on the partner's calendar, at least 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn start(self, zone: Zone) -> Instant {
        let shift = u64::from(zone.0.unsigned_abs()).saturating_mul(60_000);
        let ms = u64::from(self.0).saturating_mul(DAY_MS);
        let ms = if zone.0 < 0 { ms.saturating_add(shift) } else { ms.saturating_sub(shift) };
        Instant::from_unix_ms(ms).unwrap_or(Instant::MAX)
    }

    /// The day so many days before it, at least 1970-01-01.
    #[must_use]
    pub const fn earlier(self, days: u32) -> Self {
        Self(self.0.saturating_sub(days))
    }

    /// How many days lie between the two.
    #[must_use]
    pub const fn distance(self, other: Self) -> u32 {
        self.0.abs_diff(other.0)
    }

    /// The day after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether it lies before the other by more than `days`.
    pub(super) const fn before_by_more_than(self, other: Self, days: u32) -> bool {
        self.0.saturating_add(days) < other.0
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = i32::try_from(self.0).map_err(|_| fmt::Error)?.saturating_add(EPOCH);
        let date = Date::from_julian_day(number).map_err(|_| fmt::Error)?;
        write!(f, "{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no day between 1970 and 9999.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no day such as 2026-11-22")]
pub struct ParseDayError(String);

impl FromStr for Day {
    type Err = ParseDayError;

    fn from_str(text: &str) -> Result<Self, ParseDayError> {
        parse(text).ok_or_else(|| ParseDayError(text.chars().take(32).collect()))
    }
}

fn parse(text: &str) -> Option<Day> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let digits = |part: &str, len: usize| {
        part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(year, 4) || !digits(month, 2) || !digits(day, 2) {
        return None;
    }
    let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
    let date = Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?;
    u32::try_from(date.to_julian_day().checked_sub(EPOCH)?).ok().map(Day)
}

/// Where the partner's day begins: minutes east of UTC, written `+08:00`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Zone(i16);

impl Zone {
    /// Days begin at midnight UTC.
    pub const UTC: Self = Self(0);

    /// From minutes east of UTC, from -720 to 840.
    #[must_use]
    pub const fn from_minutes(east: i16) -> Option<Self> {
        if east >= -720 && east <= 840 { Some(Self(east)) } else { None }
    }
}

/// The text is no offset from UTC.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no offset from UTC such as +08:00")]
pub struct ParseZoneError(String);

impl FromStr for Zone {
    type Err = ParseZoneError;

    fn from_str(text: &str) -> Result<Self, ParseZoneError> {
        parse_zone(text).ok_or_else(|| ParseZoneError(text.chars().take(32).collect()))
    }
}

fn parse_zone(text: &str) -> Option<Zone> {
    if text == "Z" {
        return Some(Zone::UTC);
    }
    let negative = text.starts_with('-');
    let (hours, minutes) = text.strip_prefix(['+', '-'])?.split_once(':')?;
    let number = |part: &str| {
        let plain = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<i16>().ok().filter(|_| plain)
    };
    let minutes = number(minutes).filter(|minutes| *minutes < 60)?;
    let east = number(hours)?.checked_mul(60)?.checked_add(minutes)?;
    Zone::from_minutes(if negative { east.checked_neg()? } else { east })
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.0.unsigned_abs();
        let sign = if self.0 < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", minutes.div_euclid(60), minutes.rem_euclid(60))
    }
}

/// The days that a statement covers, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Period {
    from: Day,
    to: Day,
}

impl Period {
    /// From one day to another; `None` if it would end before it begins.
    #[must_use]
    pub fn new(from: Day, to: Day) -> Option<Self> {
        (from <= to).then_some(Self { from, to })
    }

    /// The first day.
    #[must_use]
    pub const fn from(self) -> Day {
        self.from
    }

    /// The last day.
    #[must_use]
    pub const fn to(self) -> Day {
        self.to
    }

    /// Whether the day lies in it.
    #[must_use]
    pub fn contains(self, day: Day) -> bool {
        self.from <= day && day <= self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_read_back_and_odd_ones_are_refused() {
        for good in ["1970-01-01", "2024-02-29", "2026-11-22", "9999-12-31"] {
            assert_eq!(good.parse::<Day>().unwrap().to_string(), good);
        }
        for bad in
            ["", "2026-1-22", "2025-02-29", "1969-12-31", "2026-11-22Z", "+026-11-22", "22.11.2026"]
        {
            assert!(bad.parse::<Day>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_day_is_that_of_the_partner() {
        let late = "2026-11-22T20:00:00.000Z".parse().unwrap();
        let in_zone = |text: &str| Day::of(late, text.parse().unwrap()).to_string();
        assert_eq!(in_zone("Z"), "2026-11-22");
        assert_eq!(in_zone("+08:00"), "2026-11-23");
        assert_eq!(in_zone("-12:00"), "2026-11-22");
        let start = "2026-11-23".parse::<Day>().unwrap().start("+08:00".parse().unwrap());
        assert_eq!(start.to_string(), "2026-11-22T16:00:00.000Z");
        for bad in ["", "8", "+8:00", "+15:00", "-12:01", "+08:60", "08:00"] {
            assert!(bad.parse::<Zone>().is_err(), "{bad}");
        }
        assert_eq!("-03:30".parse::<Zone>().unwrap().to_string(), "-03:30");
    }
}
