//! The short code that a person carries from the page of a request to their device (after RFC 8628 §6.1).

use core::fmt;
use core::str::FromStr;

use tpw_crypto::{CryptoError, Entropy};

/// Crockford's base 32: no I, L, O, U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LEN: usize = 8;

/// Forty random bits. It names a request to somebody who has a device of their own, and gives nobody anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserCode([u8; LEN]);

impl UserCode {
    /// Draws one.
    ///
    /// # Errors
    /// [`CryptoError::Entropy`] when the source fails.
    pub fn draw(entropy: &mut dyn Entropy) -> Result<Self, CryptoError> {
        let mut bytes = [0; LEN];
        entropy.fill(&mut bytes)?;
        Ok(Self(bytes.map(|byte| DIGITS.get(usize::from(byte & 31)).copied().unwrap_or(b'0'))))
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, digit) in self.0.iter().enumerate() {
            let dash = if place == LEN / 2 { "-" } else { "" };
            write!(f, "{dash}{}", char::from(*digit))?;
        }
        Ok(())
    }
}

impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode(hidden)")
    }
}

/// Not such a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code has 8 characters, such as in `XXXX-XXXX`")]
pub struct ParseUserCodeError;

impl FromStr for UserCode {
    type Err = ParseUserCodeError;

    /// Reads what a person typed: any case, with or without the dash, O for 0, I and L for 1.
    fn from_str(text: &str) -> Result<Self, ParseUserCodeError> {
        let typed = text.bytes().filter(|byte| !matches!(byte, b'-' | b' '));
        let digits: Vec<u8> = typed
            .take(LEN.saturating_add(1))
            .map(|byte| match byte.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                other => other,
            })
            .collect();
        let digits: [u8; LEN] = digits.try_into().map_err(|_| ParseUserCodeError)?;
        let known = digits.iter().all(|digit| DIGITS.contains(digit));
        if known { Ok(Self(digits)) } else { Err(ParseUserCodeError) }
    }
}
