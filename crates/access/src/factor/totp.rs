//! Codes that an app computes from a shared secret and the time (RFC 6238), each accepted once.
//!
//! The record holds the secret sealed: whoever calls opens it ([`seal_context`] says for what it was sealed) and hands it in. The step of
//! the last accepted code is kept, and RFC 6238 §5.2's "MUST NOT accept the second attempt" follows: neither that code nor an older one
//! is taken again, also after the clock was set back.

use core::fmt;

use tpw_core::codec::{Reader, Writer, decode_exact};
use tpw_core::{CodecError, Instant, PersonId};
use tpw_crypto::{CryptoError, Entropy, Zeroizing, ct_eq};

use super::{DigitCode, Evidence, FactorError, Method, Why};

/// The length of a step, in seconds (RFC 6238 §5.2 recommends it).
pub const STEP_SECS: u64 = 30;

/// The shortest and longest secret: 160 bits, which RFC 4226 §4 recommends, up to the output of SHA-512.
const SECRET_LEN: core::ops::RangeInclusive<usize> = 20..=64;

/// The longest name of an issuer or account in an enrolment link, in bytes.
const NAME_LEN_MAX: usize = 128;

/// The longest sealed secret, in bytes.
const SEALED_LEN_MAX: usize = 512;

tpw_core::codes! {
    /// The hash function below HMAC. Many phones compute SHA-1 whatever the link says, so that is what enrolment uses: HMAC does not
    /// need the property that SHA-1 lost (RFC 4226 appendix B.2).
    Hash: u8 {
        /// HMAC-SHA-1.
        Sha1 = 1 "sha1",
        /// HMAC-SHA-256.
        Sha256 = 2 "sha256",
        /// HMAC-SHA-512.
        Sha512 = 3 "sha512",
    }
}

/// How codes are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    hash: Hash,
    digits: u8,
}

impl Params {
    /// What every phone computes: HMAC-SHA-1 and 6 digits.
    pub const PHONE: Self = Self { hash: Hash::Sha1, digits: 6 };

    /// Of 6 to 8 digits; `None` for other numbers.
    #[must_use]
    pub fn new(hash: Hash, digits: u8) -> Option<Self> {
        (6..=8).contains(&digits).then_some(Self { hash, digits })
    }
}

/// What app and server share.
#[derive(Clone)]
pub struct TotpSecret(Zeroizing<Vec<u8>>);

impl TotpSecret {
    /// Draws 160 bits.
    ///
    /// # Errors
    /// [`CryptoError::Entropy`] when the source fails.
    pub fn new(entropy: &mut dyn Entropy) -> Result<Self, CryptoError> {
        let mut bytes = Zeroizing::new(vec![0; *SECRET_LEN.start()]);
        entropy.fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// From the bytes that were sealed; `None` when they are shorter than 160 bits or longer than 512.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        SECRET_LEN.contains(&bytes.len()).then(|| Self(Zeroizing::new(bytes.to_vec())))
    }

    /// The bytes, to be sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The link that an app reads from a QR code, with the secret in it: it is shown once, to its owner alone.
    ///
    /// # Errors
    /// [`FactorError::Form`] for an empty or long name, or one with a colon or a control character.
    pub fn link(
        &self,
        params: Params,
        issuer: &str,
        account: &str,
    ) -> Result<Zeroizing<String>, FactorError> {
        let fits = |name: &str| {
            (1..=NAME_LEN_MAX).contains(&name.len())
                && !name.contains(|c: char| c == ':' || c.is_control())
        };
        if !fits(issuer) || !fits(account) {
            return Err(FactorError::Form("issuer and account have 1 to 128 bytes and no colon"));
        }
        let totp = self.builder(params).with_issuer(Some(issuer)).with_account_name(account);
        totp.build_noncompliant()
            .to_url()
            .map(Zeroizing::new)
            .map_err(|_rejected| FactorError::Form("the names fit into no link"))
    }

    /// The code of a step, as the app shows it. A step is 30 s; the first begins at 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn code(&self, params: Params, step: u64) -> Zeroizing<String> {
        let time = step.saturating_mul(STEP_SECS);
        Zeroizing::new(self.builder(params).build_noncompliant().generate(time).to_string())
    }

    fn builder(&self, params: Params) -> totp_rs::Builder {
        let hash = match params.hash {
            Hash::Sha1 => totp_rs::Algorithm::SHA1,
            Hash::Sha256 => totp_rs::Algorithm::SHA256,
            Hash::Sha512 => totp_rs::Algorithm::SHA512,
        };
        totp_rs::Builder::new()
            .with_algorithm(hash)
            .with_digits(params.digits)
            .with_step_duration(STEP_SECS)
            .with_secret(self.0.as_slice())
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(hidden)")
    }
}

/// For what the secret of a person's generator is sealed: one sealed for another person, or as something else, does not open.
#[must_use]
pub fn seal_context(person: &PersonId, id: &[u8]) -> Vec<u8> {
    [b"tpw/totp/v1\0".as_slice(), person.as_bytes(), id].concat()
}

/// The step that `now` lies in.
#[must_use]
pub const fn step_at(now: Instant) -> u64 {
    now.unix_ms() / (STEP_SECS * 1000)
}

/// Judges a code of somebody who has no generator: as long as for anybody else, and never right.
#[must_use]
pub fn refuse(code: &DigitCode, now: Instant) -> FactorError {
    let nobody =
        TotpRecord { sealed: Vec::new(), params: Params::PHONE, enrolled: now, last_step: 1 };
    let decoy = TotpSecret(Zeroizing::new(vec![0; *SECRET_LEN.start()]));
    // What comes of it is thrown away: the digits may by chance be those of the decoy.
    let _whatever = nobody.prove(&decoy, code, now);
    FactorError::Refused(Why::Wrong)
}

/// The record of a generator.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpRecord {
    sealed: Vec<u8>,
    params: Params,
    enrolled: Instant,
    /// The step of the last accepted code; zero until there was one.
    last_step: u64,
}

impl fmt::Debug for TotpRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TotpRecord").field("last_step", &self.last_step).finish_non_exhaustive()
    }
}

impl TotpRecord {
    const WHAT: &'static str = "record of a one-time password generator";
    const FORMAT: u64 = 1;

    /// A generator whose owner has not yet shown a code of it. It proves nothing before [`confirm`](Self::confirm).
    ///
    /// # Errors
    /// [`FactorError::Form`] when the sealed secret is longer than 512 bytes.
    pub fn new(sealed: Vec<u8>, params: Params, now: Instant) -> Result<Self, FactorError> {
        if sealed.len() > SEALED_LEN_MAX {
            return Err(FactorError::Form("the sealed secret is too long"));
        }
        Ok(Self { sealed, params, enrolled: now, last_step: 0 })
    }

    /// The sealed secret.
    #[must_use]
    pub fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    /// How codes are computed.
    #[must_use]
    pub const fn params(&self) -> Params {
        self.params
    }

    /// When it was enrolled.
    #[must_use]
    pub const fn enrolled(&self) -> Instant {
        self.enrolled
    }

    /// Whether its owner has shown a code of it.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        self.last_step > 0
    }

    /// Enrolment's second half: the owner shows the first code. Gives the record to write; the code is used with it.
    ///
    /// # Errors
    /// [`FactorError::Refused`] for a wrong code, [`FactorError::NotNow`] for a generator that is confirmed already.
    pub fn confirm(
        &self,
        secret: &TotpSecret,
        code: &DigitCode,
        now: Instant,
    ) -> Result<Self, FactorError> {
        if self.is_confirmed() {
            return Err(FactorError::NotNow("this generator is confirmed already"));
        }
        self.accept(secret, code, now)
    }

    /// Judges a code. Gives the record to write, in which the code is used.
    ///
    /// # Errors
    /// [`FactorError::Refused`] for a wrong or used code, and as long as the generator is not confirmed.
    pub fn prove(
        &self,
        secret: &TotpSecret,
        code: &DigitCode,
        now: Instant,
    ) -> Result<(Self, Evidence), FactorError> {
        let after = self.accept(secret, code, now);
        if !self.is_confirmed() {
            return Err(FactorError::Refused(Why::NotConfirmed));
        }
        Ok((after?, Evidence::new(Method::Totp, now)))
    }

    /// INVARIANT: `last_step` only grows.
    fn accept(
        &self,
        secret: &TotpSecret,
        code: &DigitCode,
        now: Instant,
    ) -> Result<Self, FactorError> {
        let step = step_at(now);
        // RFC 6238 §5.2: one step of delay, and one for clocks that run ahead. All three are computed, whichever fits.
        let mut why = Why::Wrong;
        let mut accepted = None;
        for step in step.saturating_sub(1)..=step.saturating_add(1) {
            let expected = secret.code(self.params, step);
            if !ct_eq(expected.as_bytes(), code.as_bytes()) {
                continue;
            }
            if step > self.last_step {
                accepted = accepted.or(Some(step));
            } else {
                why = Why::Reused;
            }
        }
        let last_step = accepted.ok_or(FactorError::Refused(why))?;
        Ok(Self { last_step, ..self.clone() })
    }

    /// As it is stored: format, sealed secret, hash, digits, enrolled, last step.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(6).uint(Self::FORMAT).bytes(&self.sealed);
        w.uint(self.params.hash.number().into()).uint(self.params.digits.into());
        w.uint(self.enrolled.unix_ms()).uint(self.last_step);
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
        super::opens(r, 6, Self::FORMAT)?;
        let sealed = r.bytes()?.to_vec();
        if sealed.len() > SEALED_LEN_MAX {
            return Err(r.bad("sealed"));
        }
        let hash = u8::try_from(r.uint()?).ok().and_then(Hash::from_number);
        let hash = hash.ok_or_else(|| r.bad("hash"))?;
        let digits = u8::try_from(r.uint()?).ok().and_then(|digits| Params::new(hash, digits));
        let params = digits.ok_or_else(|| r.bad("digits"))?;
        Ok(Self { sealed, params, enrolled: super::instant(r, "enrolled")?, last_step: r.uint()? })
    }
}
