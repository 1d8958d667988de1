//! Factors: by what a person proves who they are, beside the key of their device.
//!
//! Each module decides and nothing else. It is handed the stored record, the time and randomness, and gives the record that takes the
//! place of the one before. Whoever calls it writes that by compare and swap ([`RecordWrite`](crate::RecordWrite)) *before* anything is
//! answered: of two who use one code at the same moment, one reads again, and finds it used.
//!
//! The order of a proof, for every factor:
//! 1. Read the form of what was sent ([`DigitCode`], [`recovery::RecoveryCode`], the bytes of OPAQUE): a wrong form is said openly and
//!    counts as no attempt, because it needs no secret to see it.
//! 2. Charge the attempt: [`failures::Failures::attempt`], written before the answer is judged.
//! 3. Judge with the module's function. [`FactorError::Refused`] reads the same for every reason.
//! 4. Write the factor's new record and remove the failures, in one [`RecordWrite`](crate::RecordWrite) list.

use core::fmt;
use core::str::FromStr;

use tpw_core::codec::Reader;
use tpw_core::{CodecError, Instant, Span};
use tpw_crypto::{CryptoError, Zeroizing};

pub mod allowance;
pub mod code;
pub mod failures;
pub mod opaque;
pub mod password;
pub mod push;
pub mod recovery;
pub mod totp;
pub mod webauthn;

tpw_core::codes! {
    /// By what somebody proved who they are. The numbers are stored.
    Method: u8 {
        /// A password, which the server never sees (OPAQUE, RFC 9807).
        Password = 1 "password",
        /// A code that an app computes from the time (RFC 6238).
        Totp = 2 "totp",
        /// A passkey or security key (W3C Web Authentication).
        Passkey = 3 "passkey",
        /// One of the codes on a printed list.
        Recovery = 4 "recovery",
        /// A code that was sent by mail. SP 800-63B-4 §3.1.3 does not count it as a second factor: it shows who reads the mail.
        Mail = 5 "mail",
        /// A code that was sent by SMS: a restricted factor (SP 800-63B-4 §3.1.3.3).
        Sms = 6 "sms",
        /// An answer on another device of the same person.
        Push = 7 "push",
        /// The key of the device.
        Device = 8 "device",
    }
}

/// That a person proved who they are. Made by the modules here only when they were convinced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    method: Method,
    at: Instant,
}

impl Evidence {
    pub(crate) const fn new(method: Method, at: Instant) -> Self {
        Self { method, at }
    }

    /// By what.
    #[must_use]
    pub const fn method(self) -> Method {
        self.method
    }

    /// When.
    #[must_use]
    pub const fn at(self) -> Instant {
        self.at
    }
}

/// Why an answer was refused: for the operator's eyes. Who sent it is told only that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It is not the right one.
    Wrong,
    /// It was right, and used before.
    Reused,
    /// It was right once, and its time is over.
    Expired,
    /// It was tried too often.
    UsedUp,
    /// It was given for something else.
    OtherPurpose,
    /// The factor was never confirmed by a first proof.
    NotConfirmed,
    /// It came from the device that asked for it.
    SameDevice,
}

/// Why a factor gave no proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FactorError {
    /// The answer proves nothing. One text for every [`Why`]: whoever guesses learns nothing from it.
    #[error("this proves nothing: check what you entered and try again")]
    Refused(Why),
    /// The answer has not the form that this factor's answers have.
    #[error("this cannot be read: {0}")]
    Form(&'static str),
    /// Something was asked for that this factor does not do at this time.
    #[error("this cannot be done now: {0}")]
    NotNow(&'static str),
    /// As often as this factor allows; later again.
    #[error("too many codes were sent: ask for the next in {} s", retry_after.as_ms().div_ceil(1000))]
    TooOften {
        /// How long from now.
        retry_after: Span,
    },
    /// The stored record cannot be read: a fault of the operator's side.
    #[error("the record of this factor cannot be read: {0}")]
    Record(#[from] CodecError),
    /// No randomness, or a fault of the cryptographic backend.
    #[error("the factor cannot be used at the moment: {0}")]
    Crypto(#[from] CryptoError),
}

/// Reads how every record here begins: an array of `items` items, of which the first is the number of its format.
fn opens(r: &mut Reader<'_>, items: u64, format: u64) -> Result<(), CodecError> {
    if r.array("items", items)? != items {
        return Err(r.bad("items"));
    }
    if r.uint()? == format { Ok(()) } else { Err(r.bad("format")) }
}

/// A time as Unix milliseconds.
fn instant(r: &mut Reader<'_>, field: &'static str) -> Result<Instant, CodecError> {
    Instant::from_unix_ms(r.uint()?).ok_or_else(|| r.bad(field))
}

/// A time that may not have come yet: zero until it has.
fn instant_or_zero(r: &mut Reader<'_>, field: &'static str) -> Result<Option<Instant>, CodecError> {
    instant(r, field).map(|at| (at != Instant::MIN).then_some(at))
}

/// How [`instant_or_zero`] is written.
fn or_zero(at: Option<Instant>) -> u64 {
    at.map_or(0, Instant::unix_ms)
}

/// The longest text that is read as a code of digits.
const DIGITS_TEXT_MAX: usize = 32;

/// Six to eight decimal digits that somebody typed.
#[derive(Clone)]
pub struct DigitCode(Zeroizing<String>);

impl DigitCode {
    /// The digits.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl FromStr for DigitCode {
    type Err = FactorError;

    /// Reads digits; spaces and hyphens between them do not matter.
    fn from_str(text: &str) -> Result<Self, FactorError> {
        const FORM: FactorError = FactorError::Form("a code has 6 to 8 digits");
        if text.len() > DIGITS_TEXT_MAX {
            return Err(FORM);
        }
        let mut digits = Zeroizing::new(String::with_capacity(DIGITS_TEXT_MAX));
        for typed in text.chars().filter(|c| !matches!(c, ' ' | '-')) {
            if !typed.is_ascii_digit() {
                return Err(FORM);
            }
            digits.push(typed);
        }
        if (6..=8).contains(&digits.len()) { Ok(Self(digits)) } else { Err(FORM) }
    }
}

impl fmt::Debug for DigitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigitCode(hidden)")
    }
}

#[cfg(test)]
mod tests {
    //! Goal: what was typed is read kindly, and a refusal tells nobody why. Method: forms that are read and forms that are
    //! not; the texts of all refusals beside each other.

    use super::*;

    #[test]
    fn digits_are_read_with_spaces_and_nothing_else_is() {
        for text in ["123456", "123 456", " 1234-5678 "] {
            assert!(text.parse::<DigitCode>().is_ok(), "{text}");
        }
        let long = "1".repeat(33);
        for text in
            ["", "12345", "123456789", "+12345", "12345a", "１２３４５６", "123456\n", &long]
        {
            assert!(text.parse::<DigitCode>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_refusal_reads_the_same_for_every_reason() {
        let text = |why| FactorError::Refused(why).to_string();
        for why in [
            Why::Reused,
            Why::Expired,
            Why::UsedUp,
            Why::OtherPurpose,
            Why::NotConfirmed,
            Why::SameDevice,
        ] {
            assert_eq!(text(why), text(Why::Wrong));
        }
    }

    #[test]
    fn debug_shows_no_digit() {
        let code: DigitCode = "90817263".parse().unwrap();
        assert_eq!(format!("{code:?}"), "DigitCode(hidden)");
    }
}
