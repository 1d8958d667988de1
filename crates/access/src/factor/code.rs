//! Codes that are sent to an address by mail or SMS: 8 digits, good for ten minutes, once, for one purpose, with five tries.
//!
//! The record of an address holds the one code that is on its way: a new one ends the old one. What is kept of a code is a salted hash,
//! which protects it as long as it lives and no longer: 8 digits can be searched. That a purpose is part of the hash is what binds it: the
//! code for one payment is no code for another, nor for a session.
//!
//! What it is worth: SP 800-63B-4 §3.1.3 does not take mail for a second factor at all, and §3.1.3.3 restricts SMS. [`Channel::method`]
//! keeps the two apart in the evidence.

use core::fmt;
use core::str::FromStr;

use tpw_core::codec::{Reader, Writer, decode_exact};
use tpw_core::{CodecError, Hash32, Instant, Money, PaymentId, Span};
use tpw_crypto::{CryptoError, Entropy, Zeroizing, ct_eq, sha256_parts};

use super::allowance::Pace;
use super::{DigitCode, Evidence, FactorError, Method, Why};

/// How long a code is good.
pub const LIFE: Span = Span::from_secs(600);

/// How often one code may be tried.
pub const TRIES: u64 = 5;

/// The least time between two codes to one address.
pub const PAUSE: Span = Span::from_secs(30);

/// The most codes to one address within [`DAY`]: nobody's phone becomes a doorbell, and guesses stay few.
pub const PER_DAY: u64 = 20;

/// See [`PER_DAY`].
pub use super::allowance::DAY;

/// The most codes to one address, whoever asks for them and however often it is taken away and added again.
pub const ADDRESS_PACE: Pace = Pace { per_day: PER_DAY, pause: PAUSE };

/// The most codes that one person asks for, to whatever addresses.
pub const PERSON_PACE: Pace = Pace { per_day: 30, pause: Span::from_secs(5) };

/// The most addresses that a person has.
pub const CONTACTS_MAX: usize = 4;

/// The longest address, in bytes (RFC 5321 §4.5.3.1.3, without the angle brackets).
const ADDRESS_LEN_MAX: usize = 254;

/// The longest name of a payee in a message, in bytes.
const PAYEE_LEN_MAX: usize = 256;

tpw_core::codes! {
    /// How a code travels. The numbers are stored.
    Channel: u8 {
        /// By mail.
        Mail = 1 "mail",
        /// By SMS.
        Sms = 2 "sms",
    }
}

impl Channel {
    /// What a code that came this way is evidence of.
    #[must_use]
    pub const fn method(self) -> Method {
        match self {
            Self::Mail => Method::Mail,
            Self::Sms => Method::Sms,
        }
    }

    /// Whether SP 800-63B-4 §3.2.9 calls it restricted: its owner is told so and offered something else.
    #[must_use]
    pub const fn is_restricted(self) -> bool {
        matches!(self, Self::Sms)
    }
}

/// An address that a code can be sent to, in one form.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    channel: Channel,
    text: String,
}

impl Address {
    /// How a code travels there.
    #[must_use]
    pub const fn channel(&self) -> Channel {
        self.channel
    }

    /// The address as a sender needs it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The id of its record among those of its owner.
    #[must_use]
    pub fn record_id(&self) -> [u8; 32] {
        sha256_parts(&[b"tpw/contact/v1\0", &[self.channel.number()], self.text.as_bytes()])
    }

    /// Enough to recognise one's own address by, for lists: the first letter and the domain, or the last two digits.
    #[must_use]
    pub fn hint(&self) -> String {
        match self.text.split_once('@') {
            Some((name, domain)) => {
                format!("{}…@{domain}", name.chars().take(1).collect::<String>())
            }
            None => {
                format!("+…{}", self.text.get(self.text.len().saturating_sub(2)..).unwrap_or(""))
            }
        }
    }

    /// A mail address: dot-atom and domain of RFC 5321 §4.1.2, without quoted forms, address literals and other alphabets, which are
    /// written in their ASCII form (RFC 5890).
    fn mail(text: &str) -> Option<Self> {
        let (name, domain) = text.split_once('@')?;
        let is_atom = |atom: &str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
            !atom.is_empty() && atom.bytes().all(allowed)
        };
        let is_label = |label: &str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            (1..=63).contains(&label.len())
                && label.bytes().all(allowed)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let fits = name.len() <= 64
            && name.split('.').all(is_atom)
            && domain.contains('.')
            && domain.split('.').all(is_label);
        let text = format!("{name}@{}", domain.to_ascii_lowercase());
        fits.then_some(Self { channel: Channel::Mail, text })
    }

    /// A telephone number of ITU-T E.164: `+`, then 8 to 15 digits.
    fn phone(text: &str) -> Option<Self> {
        let mut number = String::with_capacity(16);
        for typed in text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')')) {
            number.push(typed);
        }
        let digits = number.strip_prefix('+')?;
        let fits = (8..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|b| b.is_ascii_digit());
        fits.then_some(Self { channel: Channel::Sms, text: number })
    }
}

impl FromStr for Address {
    type Err = FactorError;

    /// Reads a mail address, or a telephone number with its country.
    fn from_str(text: &str) -> Result<Self, FactorError> {
        const FORM: FactorError = FactorError::Form(
            "expected a mail address, or a telephone number such as `+86 138 0013 8000`",
        );
        if text.len() > ADDRESS_LEN_MAX {
            return Err(FORM);
        }
        let address = if text.starts_with('+') && !text.contains('@') {
            Self::phone(text)
        } else {
            Self::mail(text)
        };
        address.ok_or(FORM)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.hint())
    }
}

/// What a code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// To show that the address is its owner's.
    Address,
    /// To prove who is at a device; the id of the challenge that is answered.
    Session {
        /// The challenge.
        challenge: &'a [u8],
    },
    /// To let a payment go on. Its message says how much and to whom (PSD2 RTS article 5: dynamic linking).
    Payment {
        /// The payment.
        payment: PaymentId,
        /// The hash of its intent.
        intent: Hash32,
        /// How much.
        money: Money,
        /// To whom, as the payer sees it.
        payee: &'a str,
    },
}

impl Purpose<'_> {
    /// What stands for the purpose in the code's hash: every part after its length.
    fn binding(&self) -> Result<[u8; 32], FactorError> {
        let (kind, parts): (u8, [Vec<u8>; 4]) = match self {
            Self::Address => (1, Default::default()),
            Self::Session { challenge } => {
                (2, [challenge.to_vec(), Vec::new(), Vec::new(), Vec::new()])
            }
            Self::Payment { payment, intent, money, payee } => {
                if payee.len() > PAYEE_LEN_MAX || payee.contains(char::is_control) {
                    return Err(FactorError::Form("the payee's name fits into no message"));
                }
                let money = money.to_string().into_bytes();
                let (payment, intent) = (payment.as_bytes().to_vec(), intent.as_bytes().to_vec());
                (3, [payment, intent, money, payee.as_bytes().to_vec()])
            }
        };
        let mut bytes = vec![kind];
        for part in parts {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&part);
        }
        Ok(sha256_parts(&[b"tpw/code-purpose/v1\0", &bytes]))
    }

    /// The message of `i18n/*/messages.ftl` for it, and what goes into that beside code and minutes.
    fn words(&self) -> (&'static str, Vec<(&'static str, String)>) {
        match self {
            Self::Address => ("message-code-address", Vec::new()),
            Self::Session { .. } => ("message-code-session", Vec::new()),
            Self::Payment { money, payee, .. } => (
                "message-code-payment",
                vec![
                    ("amount", money.asset.format_units(money.amount)),
                    ("currency", money.asset.code().to_owned()),
                    ("payee", (*payee).to_owned()),
                ],
            ),
        }
    }
}

/// A code to be sent. It goes into the message, and nowhere else.
pub struct Dispatch {
    /// Where to.
    pub address: Address,
    /// The key of the message in `i18n/*/messages.ftl`; its attributes `subject` and `body` are the texts.
    pub message: &'static str,
    /// What goes into the texts.
    pub args: Vec<(&'static str, String)>,
    code: Zeroizing<String>,
}

impl Dispatch {
    /// The code for the message, in two groups of four. The only way out of this type.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let (first, second) = self.code.split_at_checked(4).unwrap_or((&self.code, ""));
        Zeroizing::new(format!("{first} {second}"))
    }
}

impl fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatch").field("message", &self.message).finish_non_exhaustive()
    }
}

/// A code that was sent.
#[derive(Clone, PartialEq, Eq)]
struct Sent {
    salt: [u8; 16],
    hash: [u8; 32],
    binding: [u8; 32],
    at: Instant,
    /// How often it was tried.
    tries: u64,
}

/// The record of an address: whose codes go there, whether it is known to be theirs, and the code that is on its way.
#[derive(Clone, PartialEq, Eq)]
pub struct Contact {
    address: Address,
    added: Instant,
    verified: Option<Instant>,
    /// When the present day of sending began, and how many codes were sent in it.
    day: Instant,
    sent_in_day: u64,
    pending: Option<Sent>,
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contact")
            .field("address", &self.address)
            .field("verified", &self.verified)
            .finish_non_exhaustive()
    }
}

/// What became of an answer. The record is written in either case, before anything is said.
#[derive(Debug)]
pub struct Answered {
    /// The record to write.
    pub after: Contact,
    /// The evidence, or why there is none.
    pub outcome: Result<Evidence, FactorError>,
}

impl Contact {
    const WHAT: &'static str = "record of an address";
    const FORMAT: u64 = 1;

    /// An address that nobody has shown to be theirs yet: it takes codes for [`Purpose::Address`] only.
    #[must_use]
    pub fn new(address: Address, now: Instant) -> Self {
        Self { address, added: now, verified: None, day: now, sent_in_day: 0, pending: None }
    }

    /// The address.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// When it was added.
    #[must_use]
    pub const fn added(&self) -> Instant {
        self.added
    }

    /// When its owner showed that it is theirs.
    #[must_use]
    pub const fn verified(&self) -> Option<Instant> {
        self.verified
    }

    /// Draws a code. Gives the record to write first, and what is then sent; the code before it ends.
    ///
    /// # Errors
    /// [`FactorError::NotNow`] for an address that is not verified, [`FactorError::TooOften`] soon after the last code and after
    /// [`PER_DAY`] of them, [`FactorError::Crypto`] when the source of randomness fails.
    pub fn send(
        &self,
        purpose: Purpose<'_>,
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Dispatch), FactorError> {
        if self.verified.is_none() && purpose != Purpose::Address {
            return Err(FactorError::NotNow("this address is not confirmed yet"));
        }
        let binding = purpose.binding()?;
        let (day, sent_in_day) = self.one_more(now)?;
        let (salt, code) = draw(entropy)?;
        let hash = hash(&salt, &binding, code.as_bytes());
        let pending = Some(Sent { salt, hash, binding, at: now, tries: 0 });
        let (message, mut args) = purpose.words();
        args.push(("minutes", (LIFE.as_ms() / 60_000).to_string()));
        let dispatch = Dispatch { address: self.address.clone(), message, args, code };
        Ok((Self { day, sent_in_day, pending, ..self.clone() }, dispatch))
    }

    /// The day of sending and the count in it with one more code.
    fn one_more(&self, now: Instant) -> Result<(Instant, u64), FactorError> {
        let wait = |end: Instant| match end.since(now) {
            wait if wait.as_ms() == 0 => Ok(()),
            retry_after => Err(FactorError::TooOften { retry_after }),
        };
        if let Some(last) = &self.pending {
            wait(last.at.plus(PAUSE))?;
        }
        if now >= self.day.plus(DAY) {
            return Ok((now, 1));
        }
        if self.sent_in_day >= PER_DAY {
            wait(self.day.plus(DAY))?;
        }
        Ok((self.day, self.sent_in_day.saturating_add(1)))
    }

    /// Judges a code. It is used up by success, by five wrong tries, and by time.
    #[must_use]
    pub fn answer(&self, code: &DigitCode, purpose: Purpose<'_>, now: Instant) -> Answered {
        let refused =
            |after: Self, why| Answered { after, outcome: Err(FactorError::Refused(why)) };
        let mut after = self.clone();
        let Some(sent) = after.pending.as_mut() else {
            return refused(after, Why::Wrong);
        };
        sent.tries = sent.tries.saturating_add(1);
        // Before it was sent: the clock was set back, and nobody can say how old the code is.
        if now >= sent.at.plus(LIFE) || now < sent.at {
            return refused(Self { pending: None, ..after }, Why::Expired);
        }
        let binding = match purpose.binding() {
            Ok(binding) => binding,
            Err(error) => return Answered { after: self.clone(), outcome: Err(error) },
        };
        let is_right = ct_eq(&hash(&sent.salt, &binding, code.as_bytes()), &sent.hash);
        if is_right {
            let verified = match purpose {
                Purpose::Address => Some(now),
                Purpose::Session { .. } | Purpose::Payment { .. } => after.verified,
            };
            let evidence = Evidence::new(after.address.channel.method(), now);
            let after = Self { pending: None, verified, ..after };
            return Answered { after, outcome: Ok(evidence) };
        }
        let why = if binding == sent.binding { Why::Wrong } else { Why::OtherPurpose };
        if sent.tries >= TRIES {
            return refused(Self { pending: None, ..after }, Why::UsedUp);
        }
        refused(after, why)
    }

    /// As it is stored: format, channel, address, added, verified, day, codes in it, and of the code on its way: salt, hash, purpose,
    /// when sent, tries.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(8).uint(Self::FORMAT).uint(self.address.channel.number().into());
        w.text(&self.address.text).uint(self.added.unix_ms());
        w.uint(super::or_zero(self.verified)).uint(self.day.unix_ms()).uint(self.sent_in_day);
        match &self.pending {
            None => w.array(0),
            Some(sent) => w
                .array(5)
                .bytes(&sent.salt)
                .bytes(&sent.hash)
                .bytes(&sent.binding)
                .uint(sent.at.unix_ms())
                .uint(sent.tries),
        };
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
        super::opens(r, 8, Self::FORMAT)?;
        let channel = u8::try_from(r.uint()?).ok().and_then(Channel::from_number);
        let text = r.text("address", ADDRESS_LEN_MAX)?;
        let address: Option<Address> = text.parse().ok();
        // In its one form, and of the channel that is written beside it.
        let same = |found: &Address| found.text == text && Some(found.channel) == channel;
        let address = address.filter(same).ok_or_else(|| r.bad("address"))?;
        let added = super::instant(r, "added")?;
        let verified = super::instant_or_zero(r, "verified")?;
        let day = super::instant(r, "day")?;
        let sent_in_day = r.uint()?;
        let pending = match r.array("code", 5)? {
            0 => None,
            5 => Some(Sent {
                salt: r.fixed("salt")?,
                hash: r.fixed("hash")?,
                binding: r.fixed("purpose")?,
                at: super::instant(r, "sent")?,
                tries: r.uint()?,
            }),
            _ => return Err(r.bad("code")),
        };
        Ok(Self { address, added, verified, day, sent_in_day, pending })
    }
}

fn hash(salt: &[u8; 16], binding: &[u8; 32], code: &[u8]) -> [u8; 32] {
    sha256_parts(&[b"tpw/code/v1\0", salt, binding, code])
}

/// A salt and eight digits. Of 2^64 values taken modulo 10^8, some come more often than others by less than one part in 10^11.
fn draw(entropy: &mut dyn Entropy) -> Result<([u8; 16], Zeroizing<String>), CryptoError> {
    let mut salt = [0; 16];
    entropy.fill(&mut salt)?;
    let mut random = Zeroizing::new([0_u8; 8]);
    entropy.fill(random.as_mut_slice())?;
    let code = Zeroizing::new(format!("{:08}", u64::from_be_bytes(*random) % 100_000_000));
    Ok((salt, code))
}
