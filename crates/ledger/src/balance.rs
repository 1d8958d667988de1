//! A balance: the one quantity of money that may lie below zero.

use core::cmp::Ordering;
use core::fmt;
use tpw_core::Amount;

/// A signed number of minor units, from `-(2^128 - 1)` to `2^128 - 1`. Zero has no sign.
///
/// Its text is a decimal number with a leading `-` below zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Balance {
    negative: bool,
    magnitude: Amount,
}

impl Balance {
    /// Nothing.
    pub const ZERO: Self = Self { negative: false, magnitude: Amount::ZERO };

    /// Credits less debits. The difference of two amounts always fits.
    #[must_use]
    pub fn between(credits: Amount, debits: Amount) -> Self {
        match (credits.minus(debits), debits.minus(credits)) {
            (Some(magnitude), _) => Self { negative: false, magnitude },
            (None, Some(magnitude)) => Self { negative: true, magnitude },
            (None, None) => Self::ZERO, // one of two amounts is always the larger or they are equal
        }
    }

    /// What is free of a balance: credits less debits and what open holds will debit. The ledger sees to it that these fit
    /// together; if they did not, less is safer.
    pub(crate) fn free(credits: Amount, debits: Amount, pending_debits: Amount) -> Self {
        Self::between(credits, debits.plus(pending_debits).unwrap_or(Amount::MAX))
    }

    /// Whether it lies below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.negative
    }

    /// The distance from zero in minor units.
    #[must_use]
    pub const fn magnitude(self) -> Amount {
        self.magnitude
    }

    /// The balance after a credit, or `None` beyond what fits.
    #[must_use]
    pub fn credited(self, amount: Amount) -> Option<Self> {
        if self.negative {
            Some(Self::between(amount, self.magnitude))
        } else {
            self.magnitude.plus(amount).map(|magnitude| Self { negative: false, magnitude })
        }
    }

    /// The balance after a debit, or `None` beyond what fits.
    #[must_use]
    pub fn debited(self, amount: Amount) -> Option<Self> {
        if self.negative {
            self.magnitude.plus(amount).map(|magnitude| Self { negative: true, magnitude })
        } else {
            Some(Self::between(self.magnitude, amount))
        }
    }
}

impl PartialOrd for Balance {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Balance {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude.cmp(&other.magnitude),
            (true, true) => other.magnitude.cmp(&self.magnitude),
        }
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.negative { "-" } else { "" })?;
        fmt::Display::fmt(&self.magnitude, f)
    }
}

/// Why a text is no balance.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no balance: expected decimal digits, with a `-` before them below zero")]
pub struct ParseBalanceError(String);

impl core::str::FromStr for Balance {
    type Err = ParseBalanceError;

    /// Reads exactly what [`fmt::Display`] writes: no plus sign, no leading zeros, no negative zero.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseBalanceError(text.chars().take(64).collect());
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let magnitude: Amount = digits.parse().map_err(|_| wrong())?;
        let balance = Self { negative, magnitude };
        if balance.to_string() == text && !(negative && magnitude.is_zero()) {
            Ok(balance)
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Debug for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
