//! Recovery codes: ten on a sheet of paper, each good for one proof.
//!
//! The record holds a salt and SHA-256 of each code. Stretching would only slow the server: a code has 75 random bits, so whoever has the
//! record needs 2^74 hashes for the first of them on average. The salt keeps one such search from serving for several people at once.

use core::fmt;
use core::str::FromStr;

use tpw_core::codec::{Reader, Writer, decode_exact};
use tpw_core::{CodecError, Instant};
use tpw_crypto::{CryptoError, Entropy, Zeroizing, ct_eq, sha256_parts};

use super::{Evidence, FactorError, Method, Why};
use crate::written;

/// How many codes a sheet has.
pub const CODES: usize = 10;

/// Random digits of a code: 75 bits.
const RANDOM: usize = 15;
/// With the check digit.
const LEN: usize = RANDOM + 1;
const GROUP: usize = 4;

/// A recovery code: 15 random digits of Crockford's base 32, and a check digit that catches each single slip of a key. Shown once.
#[derive(Clone)]
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    fn new(entropy: &mut dyn Entropy) -> Result<Self, CryptoError> {
        let mut digits = written::draw(RANDOM, entropy)?;
        let check = check_digit(&digits);
        digits.extend(check);
        Ok(Self(digits))
    }

    /// The code for the person, in groups of four.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        written::grouped(&self.0, GROUP)
    }

    fn hash(&self, salt: &[u8; 16]) -> [u8; 32] {
        sha256_parts(&[b"tpw/recovery/v1\0", salt, self.0.as_bytes()])
    }
}

/// Luhn's check digit over 32 signs: from the right, every second value is doubled and the digits (base 32) of the product added.
fn check_digit(digits: &str) -> Option<char> {
    let mut sum = 0_usize;
    for (place, sign) in digits.bytes().rev().enumerate() {
        let value = written::value(sign)?;
        let value = if place.is_multiple_of(2) { value.saturating_mul(2) } else { value };
        sum = sum.saturating_add(value / 32).saturating_add(value % 32);
    }
    written::digit(32_usize.saturating_sub(sum % 32) % 32)
}

impl FromStr for RecoveryCode {
    type Err = FactorError;

    /// Reads what a person typed: any case, spaces and hyphens anywhere, O for 0, I and L for 1.
    fn from_str(text: &str) -> Result<Self, FactorError> {
        const FORM: FactorError = FactorError::Form(
            "a recovery code has 16 characters, such as in `XXXX-XXXX-XXXX-XXXX`",
        );
        let digits = written::read(text).map_err(|_odd| FORM)?;
        let (random, check) = digits.split_at_checked(RANDOM).ok_or(FORM)?;
        if digits.len() != LEN {
            return Err(FORM);
        }
        if check_digit(random).is_none_or(|expected| !check.starts_with(expected)) {
            return Err(FactorError::Form("a character of the recovery code is mistyped"));
        }
        Ok(Self(digits))
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(hidden)")
    }
}

/// The record: the codes of one sheet. A new sheet takes the place of the old one, whose codes end with it.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoverySheet {
    salt: [u8; 16],
    issued: Instant,
    codes: Vec<StoredCode>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct StoredCode {
    hash: [u8; 32],
    used: Option<Instant>,
}

impl fmt::Debug for RecoverySheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoverySheet").field("left", &self.left()).finish_non_exhaustive()
    }
}

impl RecoverySheet {
    const WHAT: &'static str = "record of recovery codes";
    const FORMAT: u64 = 1;

    /// Draws a sheet: the record to write, and the codes to show once.
    ///
    /// # Errors
    /// [`CryptoError::Entropy`] when the source fails.
    pub fn issue(
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Vec<RecoveryCode>), CryptoError> {
        let mut salt = [0; 16];
        entropy.fill(&mut salt)?;
        let codes: Vec<_> =
            (0..CODES).map(|_place| RecoveryCode::new(entropy)).collect::<Result<_, _>>()?;
        let stored = |code: &RecoveryCode| StoredCode { hash: code.hash(&salt), used: None };
        Ok((Self { salt, issued: now, codes: codes.iter().map(stored).collect() }, codes))
    }

    /// How many codes are not used yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.codes.iter().filter(|code| code.used.is_none()).count()
    }

    /// When the sheet was drawn.
    #[must_use]
    pub const fn issued(&self) -> Instant {
        self.issued
    }

    /// Judges a code. Gives the record to write, in which the code is used.
    ///
    /// # Errors
    /// [`FactorError::Refused`] for a code that is not on this sheet or was used.
    pub fn prove(
        &self,
        code: &RecoveryCode,
        now: Instant,
    ) -> Result<(Self, Evidence), FactorError> {
        let hash = code.hash(&self.salt);
        let mut after = self.clone();
        let mut outcome = Err(FactorError::Refused(Why::Wrong));
        // Every code is compared, whichever fits.
        for stored in &mut after.codes {
            if !ct_eq(&stored.hash, &hash) {
                continue;
            }
            outcome = match stored.used {
                Some(_before) => Err(FactorError::Refused(Why::Reused)),
                None => {
                    stored.used = Some(now);
                    Ok(Evidence::new(Method::Recovery, now))
                }
            };
        }
        outcome.map(|evidence| (after, evidence))
    }

    /// As it is stored: format, salt, issued, then for each code its hash and when it was used.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::with_room(512);
        w.array(4).uint(Self::FORMAT).bytes(&self.salt).uint(self.issued.unix_ms());
        w.array(u64::try_from(self.codes.len()).unwrap_or(u64::MAX));
        for code in &self.codes {
            w.array(2).bytes(&code.hash).uint(super::or_zero(code.used));
        }
        w.finish()
    }

    /// As it was stored.
    ///
    /// # Errors
    /// [`CodecError`] for other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        decode_exact(bytes, Self::WHAT, Self::read, Self::to_bytes)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        super::opens(r, 4, Self::FORMAT)?;
        let salt = r.fixed("salt")?;
        let issued = super::instant(r, "issued")?;
        let count = r.array("codes", 64)?;
        let code = |r: &mut Reader<'_>| {
            if r.array("code", 2)? != 2 {
                return Err(r.bad("code"));
            }
            Ok(StoredCode { hash: r.fixed("hash")?, used: super::instant_or_zero(r, "used")? })
        };
        let codes = (0..count).map(|_place| code(r)).collect::<Result<_, _>>()?;
        Ok(Self { salt, issued, codes })
    }
}
