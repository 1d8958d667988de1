//! `GeneralizedTime` with a fraction (RFC 3161 §2.4.2, X.690 §11.7), which X.509's own type does not allow.

use std::time::Duration;

use der::asn1::Any;
use der::{DateTime, Tag, Tagged};
use tpw_core::Instant;

use super::TspError;

/// The digits before the fraction: `YYYYMMDDhhmmss`.
const DIGITS: usize = 14;
/// Finer than nanoseconds is nobody's clock.
const FRACTION_DIGITS_MAX: usize = 9;

/// Writes `at` with as many of its three decimals as are not trailing zeros.
pub(super) fn write(at: Instant) -> Result<Any, TspError> {
    let date = date_time(at)?;
    let mut text = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}",
        date.year(),
        date.month(),
        date.day(),
        date.hour(),
        date.minutes(),
        date.seconds()
    );
    let fraction = format!(".{:03}", at.unix_ms() % 1000);
    // X.690 §11.7.3: no trailing zeros, and no point without a digit after it.
    text.push_str(fraction.trim_end_matches('0').trim_end_matches('.'));
    text.push('Z');
    Any::new(Tag::GeneralizedTime, text.into_bytes()).map_err(|_too_long| TspError::GenTime)
}

/// Reads the DER form and nothing else; what is finer than a millisecond is cut off.
pub(super) fn read(value: &Any) -> Result<Instant, TspError> {
    if value.tag() != Tag::GeneralizedTime {
        return Err(TspError::GenTime);
    }
    let text = std::str::from_utf8(value.value()).map_err(|_not_text| TspError::GenTime)?;
    let text = text.strip_suffix('Z').ok_or(TspError::GenTime)?;
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let seconds = whole_seconds(whole).ok_or(TspError::GenTime)?;
    let ms = fraction.map_or(Some(0), fraction_ms).ok_or(TspError::GenTime)?;
    seconds
        .checked_mul(1000)
        .and_then(|whole_ms| whole_ms.checked_add(ms))
        .and_then(Instant::from_unix_ms)
        .ok_or(TspError::GenTime)
}

/// The calendar time of `at`, whole seconds.
pub(super) fn date_time(at: Instant) -> Result<DateTime, TspError> {
    DateTime::from_unix_duration(Duration::from_secs(at.unix_ms() / 1000))
        .map_err(|_out_of_range| TspError::GenTime)
}

fn whole_seconds(text: &str) -> Option<u64> {
    if text.len() != DIGITS || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<u8>().ok();
    let year = text.get(..4)?.parse::<u16>().ok()?;
    // Second 60 is refused: our instants have no leap seconds.
    DateTime::new(year, part(4, 6)?, part(6, 8)?, part(8, 10)?, part(10, 12)?, part(12, 14)?)
        .ok()
        .map(|date| date.unix_duration().as_secs())
}

fn fraction_ms(digits: &str) -> Option<u64> {
    let acceptable = (1..=FRACTION_DIGITS_MAX).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.ends_with('0');
    if !acceptable {
        return None;
    }
    digits.chars().chain("00".chars()).take(3).collect::<String>().parse().ok()
}

#[cfg(test)]
mod tests {
    //! Goal: one form per time. Method: literal texts good and bad, then a round trip of random instants.

    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Instant, TspError> {
        read(&Any::new(Tag::GeneralizedTime, text.as_bytes()).unwrap())
    }

    #[test]
    fn literal_texts() {
        for (text, ms) in [
            ("19700101000000Z", 0),
            ("20261122101500.123Z", 1_795_342_500_123),
            ("20261122101500.12Z", 1_795_342_500_120),
            ("20261122101500.1239Z", 1_795_342_500_123),
            ("20261122101500.000001Z", 1_795_342_500_000),
        ] {
            assert_eq!(parse(text).map(Instant::unix_ms), Ok(ms), "{text}");
        }
        for text in [
            "20261122101500.120Z",
            "20261122101500.0Z",
            "20261122101500.Z",
            "20261122101500,1Z",
            "20261122101500",
            "20261122101500+0000",
            "202611221015Z",
            "20261322101500Z",
            "20260230101500Z",
            "20261122101560Z",
            "20261122241500Z",
            "19691231235959Z",
            "20261122101500.1234567891Z",
            "2026112210150\u{661}Z",
            "+0261122101500Z",
            "Z",
            "",
        ] {
            assert_eq!(parse(text), Err(TspError::GenTime), "{text}");
        }
        let utc = Any::new(Tag::UtcTime, b"261122101500Z".as_slice()).unwrap();
        assert_eq!(read(&utc), Err(TspError::GenTime));
    }

    proptest! {
        #[test]
        fn written_times_read_back(ms in 0..=Instant::MAX.unix_ms()) {
            let at = Instant::from_unix_ms(ms).unwrap();
            let written = write(at).unwrap();
            prop_assert!(!written.value().ends_with(b"0Z") || ms % 1000 == 0);
            prop_assert_eq!(read(&written), Ok(at));
        }
    }
}
