//! Assets and amounts: exact integers in minor units.

use core::fmt;
use core::str::FromStr;

/// An asset: its code and how many decimals a whole unit has, written `USD/2`.
///
/// The code is 2 to 11 characters of `A-Z` and `0-9` beginning with a letter; the scale is 0 to 18.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asset {
    code: [u8; 11],
    scale: u8,
}

/// Why a text is no asset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no asset: expected a code and a scale such as USD/2 or ETH/18")]
pub struct ParseAssetError(String);

impl Asset {
    /// The code, such as `USD`.
    #[must_use]
    pub fn code(&self) -> &str {
        let end = self.code.iter().position(|b| *b == 0).unwrap_or(self.code.len());
        self.code.get(..end).and_then(|code| core::str::from_utf8(code).ok()).unwrap_or("")
    }

    /// Decimals of a whole unit: 2 for cents, 18 for wei.
    #[must_use]
    pub const fn scale(&self) -> u8 {
        self.scale
    }

    /// Reads whole units with decimals (`12.34`) as minor units, exactly or not at all.
    ///
    /// # Errors
    /// When the text is no plain decimal, has more decimals than the asset, or exceeds 128 bits.
    pub fn parse_units(&self, text: &str) -> Result<Amount, ParseAmountError> {
        let error = || ParseAmountError(text.chars().take(64).collect());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let scale = usize::from(self.scale);
        let dotted_empty = text.contains('.') && fraction.is_empty();
        if whole.is_empty()
            || dotted_empty
            || !plain(whole)
            || !plain(fraction)
            || fraction.len() > scale
        {
            return Err(error());
        }
        let padding = scale.saturating_sub(fraction.len());
        format!("{whole}{fraction}{}", "0".repeat(padding)).parse().map(Amount).map_err(|_| error())
    }

    /// Writes minor units as whole units with all decimals: 1234 of `USD/2` is `12.34`.
    #[must_use]
    pub fn format_units(&self, amount: Amount) -> String {
        let scale = usize::from(self.scale);
        let digits = format!("{:0>width$}", amount.0, width = scale.saturating_add(1));
        let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
        if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.code(), self.scale)
    }
}

impl fmt::Debug for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Asset {
    type Err = ParseAssetError;

    fn from_str(text: &str) -> Result<Self, ParseAssetError> {
        let error = || ParseAssetError(text.chars().take(64).collect());
        let (code_text, scale_text) = text.split_once('/').ok_or_else(error)?;
        let valid = (2..=11).contains(&code_text.len())
            && code_text.starts_with(|c: char| c.is_ascii_uppercase())
            && code_text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let scale: u8 = scale_text.parse().map_err(|_| error())?;
        if !valid || scale > 18 || scale.to_string() != scale_text {
            return Err(error());
        }
        let mut code = [0_u8; 11];
        for (slot, byte) in code.iter_mut().zip(code_text.bytes()) {
            *slot = byte;
        }
        Ok(Self { code, scale })
    }
}

/// An amount in minor units of an asset. Never negative; arithmetic is checked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Amount(u128);

/// The text is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no amount: expected digits without sign, exponent or separators, within the asset's decimals"
)]
pub struct ParseAmountError(String);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The largest amount.
    pub const MAX: Self = Self(u128::MAX);

    /// From minor units.
    #[must_use]
    pub const fn from_minor(minor: u128) -> Self {
        Self(minor)
    }

    /// Minor units.
    #[must_use]
    pub const fn minor(self) -> u128 {
        self.0
    }

    /// Whether it is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` beyond 128 bits.
    #[must_use]
    pub const fn plus(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` below zero.
    #[must_use]
    pub const fn minus(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Amount {
    type Err = ParseAmountError;

    /// Reads minor units: decimal digits without sign or leading zeros.
    fn from_str(text: &str) -> Result<Self, ParseAmountError> {
        let error = || ParseAmountError(text.chars().take(64).collect());
        let value: u128 = text.parse().map_err(|_| error())?;
        if value.to_string() == text { Ok(Self(value)) } else { Err(error()) }
    }
}

/// An amount of one asset.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// How many minor units.
    pub amount: Amount,
    /// Of which asset.
    pub asset: Asset,
}

impl fmt::Display for Money {
    /// Whole units and code for people: `12.34 USD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.asset.format_units(self.amount), self.asset.code())
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn assets_have_one_spelling() {
        for good in ["USD/2", "CNY/2", "BTC/8", "ETH/18", "JPY/0", "T2345678901/3"] {
            assert_eq!(good.parse::<Asset>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "USD",
            "usd/2",
            "USD/",
            "USD/19",
            "USD/02",
            "USD/+2",
            "2SD/2",
            "U/2",
            "ABCDEFGHIJKL/2",
            "US D/2",
        ] {
            assert!(bad.parse::<Asset>().is_err(), "{bad}");
        }
    }

    #[test]
    fn units_are_exact() {
        let usd: Asset = "USD/2".parse().unwrap();
        for (text, minor) in [("0", 0), ("1", 100), ("12.3", 1230), ("12.34", 1234), ("0.05", 5)] {
            assert_eq!(usd.parse_units(text).unwrap().minor(), minor);
        }
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1.234",
            "1,000",
            "340282366920938463463374607431768211456",
        ] {
            assert!(usd.parse_units(bad).is_err(), "{bad}");
        }
        assert_eq!(usd.format_units(Amount::from_minor(5)), "0.05");
    }

    proptest! {
        #[test]
        fn units_round_trip(minor: u128, scale in 0_u8..=18) {
            let asset: Asset = format!("XX/{scale}").parse().unwrap();
            let text = asset.format_units(Amount::from_minor(minor));
            prop_assert_eq!(asset.parse_units(&text).unwrap().minor(), minor);
        }

        #[test]
        fn minor_units_round_trip(minor: u128) {
            prop_assert_eq!(minor.to_string().parse::<Amount>().unwrap().minor(), minor);
        }
    }
}
