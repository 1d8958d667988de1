//! A 32-byte hash value, without the hashing: this floor computes nothing cryptographic.

use core::fmt;
use core::str::FromStr;

/// A SHA-256 value. Printed and parsed as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash32([u8; 32]);

impl Hash32 {
    /// All bits zero: the predecessor of the first link of a chain.
    pub const ZERO: Self = Self([0; 32]);

    /// Wraps the output of a hash function.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From a slice that must be exactly 32 bytes long.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The first eight hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(8).collect()
    }
}

impl fmt::Display for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 lower-case hexadecimal digits")]
pub struct ParseHashError;

impl FromStr for Hash32 {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, ParseHashError> {
        if text.len() != 64 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ParseHashError);
        }
        let mut bytes = [0_u8; 32];
        for (slot, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = core::str::from_utf8(pair).map_err(|_| ParseHashError)?;
            if digits.starts_with('+') {
                return Err(ParseHashError);
            }
            *slot = u8::from_str_radix(digits, 16).map_err(|_| ParseHashError)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_refuses_other_forms() {
        let hash = Hash32::new([0xa5; 32]);
        assert_eq!(hash.to_string().parse::<Hash32>().unwrap(), hash);
        for bad in ["", "a5", &"A5".repeat(32), &"g0".repeat(32), &"+1".repeat(32)] {
            assert!(bad.parse::<Hash32>().is_err(), "{bad}");
        }
    }
}
