//! One-time codes that let a person's first request of a new device in.

use core::fmt;
use core::str::FromStr;

use tpw_core::{Hash32, Instant, PersonId, Span};
use tpw_crypto::{CryptoError, Entropy, Zeroizing, sha256_parts};

use crate::role::Role;
use crate::written::{self, Unreadable};

const LEN: usize = 20;
const GROUP: usize = 5;

/// Why a text is no enrolment code. It does not repeat the text: that is a secret, or close to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseCodeError {
    /// Not 20 digits.
    #[error("an enrolment code has 20 characters, such as in `XXXXX-XXXXX-XXXXX-XXXXX`")]
    Length,
    /// A character that no code has.
    #[error("an enrolment code has only digits and letters, and no `U`")]
    Character,
}

/// A one-time enrolment code: 100 random bits as 20 characters of Crockford's base 32.
///
/// A server keeps its [`hash`](Self::hash), never the code.
#[derive(Clone)]
pub struct EnrolmentCode(Zeroizing<String>);

impl EnrolmentCode {
    /// Draws a code.
    ///
    /// # Errors
    /// [`CryptoError::Entropy`] when the source fails.
    pub fn new(entropy: &mut dyn Entropy) -> Result<Self, CryptoError> {
        written::draw(LEN, entropy).map(Self)
    }

    /// The code for the person, in groups of five. The only way out of this type.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        written::grouped(&self.0, GROUP)
    }

    /// What is stored in place of the code: SHA-256 of `tpw/enrol/v1`, a zero byte and the 20 digits in upper case. No
    /// salt and no stretching: 100 random bits need neither.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        Hash32::new(sha256_parts(&[b"tpw/enrol/v1\0", self.0.as_bytes()]))
    }

    /// The 20 digits in upper case.
    pub(crate) fn digits(&self) -> &str {
        &self.0
    }
}

impl FromStr for EnrolmentCode {
    type Err = ParseCodeError;

    /// Reads what a person typed: any case, spaces and hyphens anywhere, O for 0, I and L for 1.
    fn from_str(text: &str) -> Result<Self, ParseCodeError> {
        let digits = written::read(text).map_err(|why| match why {
            Unreadable::Length => ParseCodeError::Length,
            Unreadable::Character => ParseCodeError::Character,
        })?;
        if digits.len() == LEN { Ok(Self(digits)) } else { Err(ParseCodeError::Length) }
    }
}

impl fmt::Debug for EnrolmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrolmentCode(hidden)")
    }
}

/// What a code is good for, stored under the code's hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeGrant {
    /// Whose device it enrols.
    pub person: PersonId,
    /// The role of that person.
    pub role: Role,
    /// When it ends unused.
    pub expires: Instant,
    /// When it was used.
    pub used: Option<Instant>,
}

impl CodeGrant {
    /// How long a code waits to be used.
    pub const LIFE: Span = Span::from_secs(24 * 3600);

    /// A new grant.
    #[must_use]
    pub fn new(person: PersonId, role: Role, now: Instant) -> Self {
        Self { person, role, expires: now.plus(Self::LIFE), used: None }
    }
}
