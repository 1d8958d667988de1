//! Prompts: one device of a person asks, the person answers at another one, and types there what the first one shows.
//!
//! The number is typed and not compared (SP 800-63B-4 §3.1.3.2): who agrees without having seen the device that asks does not have it, so
//! that nobody agrees to be left in peace. It has six digits, three tries and five minutes. A person has one prompt at a time; a new one ends
//! the one before. A prompt that its reader knows nothing of locks the device that asked.
//!
//! What is shown beside the question is what the answering device signs ([`PromptAnswer`]). It takes effect when the device that asked
//! comes for it: whoever approves gives nothing to a device that is not there any more.

use core::fmt;

use tpw_core::codec::{Reader, Writer, decode_exact};
use tpw_core::{
    CodecError, DeviceId, Instant, PromptAnswer, PromptReply, PromptSubject, Span, Unlocked,
};
use tpw_crypto::{CryptoError, Entropy, Zeroizing, ct_eq, sha256_parts};

use super::allowance::{Allowance, Pace};
use super::{Evidence, FactorError, Method, Why};
use crate::assurance::Strength;

/// How long a prompt waits.
pub const LIFE: Span = Span::from_secs(300);

/// How often a number may be typed.
pub const TRIES: u64 = 3;

/// How often a person is asked, by whatever device.
pub const PACE: Pace = Pace { per_day: 20, pause: Span::from_secs(30) };

/// How long a device may not ask that asked somebody who knew nothing of it.
pub const LOCK: Span = Span::from_secs(24 * 3600);

/// How far the clock of the answering device may run ahead.
const SKEW_MAX: Span = Span::from_secs(60);

/// The longest signed answer.
const STATEMENT_LEN_MAX: usize = 4096;

/// The most devices that are locked at once: the oldest lock gives way.
const LOCKED_MAX: usize = 16;

/// The number that the asking device shows.
pub struct Number(Zeroizing<String>);

impl Number {
    /// The digits, in two groups of three. The only way out of this type.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let (first, second) = self.0.split_at_checked(3).unwrap_or((&self.0, ""));
        Zeroizing::new(format!("{first} {second}"))
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Number(hidden)")
    }
}

/// What a device asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The challenge that waits for the answer.
    pub challenge: [u8; 16],
    /// The device that asks.
    pub asked_by: DeviceId,
    /// What is to be allowed.
    pub subject: PromptSubject,
}

/// A prompt that the person has agreed to.
#[derive(Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The device at which they did.
    pub device: DeviceId,
    /// How that device was unlocked for it.
    pub unlocked: Unlocked,
    /// When the server took it.
    pub at: Instant,
    /// What that device signed.
    pub statement: Vec<u8>,
}

impl fmt::Debug for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreed").field("device", &self.device).finish_non_exhaustive()
    }
}

impl Agreed {
    /// The evidence.
    #[must_use]
    pub const fn evidence(&self) -> Evidence {
        Evidence::new(Method::Push, self.at)
    }

    /// What it is worth for a session. A device that stood open is one more thing that the person has. One whose keys were unlocked by
    /// their passphrase for this answer is a multi-factor out-of-band authenticator (SP 800-63B-4 §3.1.3.4), as far as that device
    /// is to be believed, which signs that it was: as a passkey's authenticator signs that it verified its user.
    #[must_use]
    pub const fn strength(&self) -> Strength {
        match self.unlocked {
            Unlocked::StoodOpen => Strength::Single,
            Unlocked::Passphrase => Strength::Multi,
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
enum Stage {
    Waiting,
    Agreed(Agreed),
    Denied(PromptReply),
}

/// A prompt.
#[derive(Clone, PartialEq, Eq)]
pub struct Prompt {
    question: Question,
    salt: [u8; 16],
    hash: [u8; 32],
    at: Instant,
    tries: u64,
    stage: Stage,
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prompt").field("question", &self.question).finish_non_exhaustive()
    }
}

impl Prompt {
    /// What is asked.
    #[must_use]
    pub const fn question(&self) -> &Question {
        &self.question
    }

    /// When it was asked.
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// Until when it can be answered.
    #[must_use]
    pub const fn expires(&self) -> Instant {
        self.at.plus(LIFE)
    }

    /// Before it was asked: the clock was set back, and nobody can say how old it is.
    fn is_over(&self, now: Instant) -> bool {
        now >= self.expires() || now < self.at
    }

    /// Judges a number that was typed for this prompt and subject.
    fn is_right(&self, number: &str) -> bool {
        ct_eq(&hash(&self.salt, &self.question, number.as_bytes()), &self.hash)
    }
}

/// What became of an answer. The record is written in either case, before anything is said.
#[derive(Debug)]
pub struct Answered {
    /// The record to write.
    pub after: Prompts,
    /// What was decided, or why the answer decides nothing.
    pub outcome: Result<PromptReply, FactorError>,
}

/// What the device that asked finds.
#[derive(Debug)]
pub enum Collected {
    /// Nothing yet.
    Waiting,
    /// The person agreed. The record to write, in which the prompt is used up.
    Agreed(Prompts, Agreed),
    /// The person did not. The record to write.
    Denied(Prompts, PromptReply),
}

/// The record of a person's prompts: how many they were asked, which devices may not ask, and the one that is open.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Prompts {
    asked: Option<Allowance>,
    /// Devices that may not ask, and until when.
    locked: Vec<(DeviceId, Instant)>,
    open: Option<Prompt>,
}

impl Prompts {
    const WHAT: &'static str = "record of prompts";
    const FORMAT: u64 = 1;

    /// Asks. Gives the record to write first, and the number that the asking device then shows; the prompt before it ends.
    ///
    /// # Errors
    /// [`FactorError::NotNow`] for a device that is locked, [`FactorError::TooOften`], [`FactorError::Crypto`] when the source of randomness
    /// fails.
    pub fn ask(
        &self,
        question: Question,
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Number), FactorError> {
        let locked: Vec<_> =
            self.locked.iter().filter(|(_, until)| now < *until).copied().collect();
        if locked.iter().any(|(device, _)| *device == question.asked_by) {
            return Err(FactorError::NotNow("this device may not ask for approval"));
        }
        let asked = Some(Allowance::one_more(self.asked, PACE, now)?);
        let (salt, number) = draw(entropy)?;
        let hash = hash(&salt, &question, number.0.as_bytes());
        let prompt = Prompt { question, salt, hash, at: now, tries: 0, stage: Stage::Waiting };
        Ok((Self { asked, locked, open: Some(prompt) }, number))
    }

    /// The prompt that waits to be answered at `device`: never at the one that asked.
    #[must_use]
    pub fn waiting_at(&self, device: DeviceId, now: Instant) -> Option<&Prompt> {
        let waits = |prompt: &&Prompt| prompt.stage == Stage::Waiting && !prompt.is_over(now);
        self.open.as_ref().filter(waits).filter(|prompt| prompt.question.asked_by != device)
    }

    /// The newest prompt, if it was not collected.
    #[must_use]
    pub const fn open(&self) -> Option<&Prompt> {
        self.open.as_ref()
    }

    /// Judges an answer whose signature was checked; `statement` is that of `answer`, to be kept.
    #[must_use]
    pub fn answer(&self, answer: &PromptAnswer, statement: &[u8], now: Instant) -> Answered {
        let mut after = self.clone();
        let outcome = after.take(answer, statement, now);
        if outcome == Err(FactorError::Refused(Why::UsedUp)) {
            after.open = None;
        }
        Answered { after, outcome }
    }

    fn take(
        &mut self,
        answer: &PromptAnswer,
        statement: &[u8],
        now: Instant,
    ) -> Result<PromptReply, FactorError> {
        let refused = |why| Err(FactorError::Refused(why));
        let known = |open: &&mut Prompt| open.question.challenge == answer.challenge;
        let Some(open) = self.open.as_mut().filter(known) else { return refused(Why::Wrong) };
        let asked_by = open.question.asked_by;
        if asked_by == answer.device {
            return refused(Why::SameDevice);
        }
        if open.stage != Stage::Waiting {
            return refused(Why::Reused);
        }
        if open.is_over(now) {
            return refused(Why::Expired);
        }
        if answer.created.plus(LIFE) < now || answer.created > now.plus(SKEW_MAX) {
            return refused(Why::Expired);
        }
        if answer.subject != open.question.subject {
            return refused(Why::OtherPurpose);
        }
        if answer.reply == PromptReply::Approve {
            open.tries = open.tries.saturating_add(1);
            if !open.is_right(&answer.number) {
                return refused(if open.tries >= TRIES { Why::UsedUp } else { Why::Wrong });
            }
            let (device, unlocked) = (answer.device, answer.unlocked);
            let statement = statement.to_vec();
            open.stage = Stage::Agreed(Agreed { device, unlocked, at: now, statement });
        } else {
            open.stage = Stage::Denied(answer.reply);
        }
        if answer.reply == PromptReply::NotMe {
            self.lock(asked_by, now);
        }
        Ok(answer.reply)
    }

    fn lock(&mut self, device: DeviceId, now: Instant) {
        self.locked.retain(|(known, until)| *known != device && now < *until);
        if self.locked.len() >= LOCKED_MAX {
            self.locked.remove(0);
        }
        self.locked.push((device, now.plus(LOCK)));
    }

    /// What the device that asked finds.
    ///
    /// # Errors
    /// [`FactorError::Refused`] for a prompt that is over, that was replaced, or that another device asked.
    pub fn collect(
        &self,
        challenge: &[u8; 16],
        device: DeviceId,
        now: Instant,
    ) -> Result<Collected, FactorError> {
        let own = |open: &&Prompt| {
            open.question.challenge == *challenge && open.question.asked_by == device
        };
        let open = self.open.as_ref().filter(own);
        let open = open.ok_or(FactorError::Refused(Why::Wrong))?;
        if open.is_over(now) {
            return Err(FactorError::Refused(Why::Expired));
        }
        let after = || Self { open: None, ..self.clone() };
        Ok(match &open.stage {
            Stage::Waiting => Collected::Waiting,
            Stage::Agreed(agreed) => Collected::Agreed(after(), agreed.clone()),
            Stage::Denied(reply) => Collected::Denied(after(), *reply),
        })
    }

    /// As it is stored: format, messages that went out, devices that may not ask, and of the open prompt: challenge, asking device, subject,
    /// salt, hash, time, tries, and what became of it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(4).uint(Self::FORMAT);
        match &self.asked {
            None => _ = w.array(0),
            Some(asked) => asked.write(&mut w),
        }
        w.array(u64::try_from(self.locked.len()).unwrap_or(u64::MAX));
        for (device, until) in &self.locked {
            w.array(2).bytes(device.as_bytes()).uint(until.unix_ms());
        }
        match &self.open {
            None => _ = w.array(0),
            Some(open) => open.write(&mut w),
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
        let asked = Allowance::read_optional(r)?;
        let most = u64::try_from(LOCKED_MAX).unwrap_or(u64::MAX);
        let locked = (0..r.array("locked", most)?).map(|_place| {
            if r.array("lock", 2)? != 2 {
                return Err(r.bad("lock"));
            }
            Ok((DeviceId::from_bytes(r.fixed("device")?), super::instant(r, "until")?))
        });
        let locked = locked.collect::<Result<_, _>>()?;
        Ok(Self { asked, locked, open: Prompt::read(r)? })
    }
}

impl Prompt {
    fn write(&self, w: &mut Writer) {
        let Question { challenge, asked_by, subject } = &self.question;
        w.array(8).bytes(challenge).bytes(asked_by.as_bytes());
        subject.write(w);
        w.bytes(&self.salt).bytes(&self.hash).uint(self.at.unix_ms()).uint(self.tries);
        match &self.stage {
            Stage::Waiting => _ = w.array(0),
            Stage::Denied(reply) => _ = w.array(1).uint(reply.number().into()),
            Stage::Agreed(agreed) => {
                w.array(4).bytes(agreed.device.as_bytes()).uint(agreed.unlocked.number().into());
                w.uint(agreed.at.unix_ms()).bytes(&agreed.statement);
            }
        }
    }

    /// A prompt, or the empty array in its place.
    fn read(r: &mut Reader<'_>) -> Result<Option<Self>, CodecError> {
        match r.array("prompt", 8)? {
            0 => return Ok(None),
            8 => {}
            _ => return Err(r.bad("prompt")),
        }
        let challenge = r.fixed("challenge")?;
        let asked_by = DeviceId::from_bytes(r.fixed("device")?);
        let question = Question { challenge, asked_by, subject: PromptSubject::read(r)? };
        Ok(Some(Self {
            question,
            salt: r.fixed("salt")?,
            hash: r.fixed("hash")?,
            at: super::instant(r, "at")?,
            tries: r.uint()?,
            stage: Stage::read(r)?,
        }))
    }
}

impl Stage {
    fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        match r.array("stage", 4)? {
            0 => Ok(Self::Waiting),
            1 => {
                let reply = u8::try_from(r.uint()?).ok().and_then(PromptReply::from_number);
                let reply = reply.filter(|reply| *reply != PromptReply::Approve);
                reply.map(Self::Denied).ok_or_else(|| r.bad("reply"))
            }
            4 => {
                let device = DeviceId::from_bytes(r.fixed("device")?);
                let unlocked = u8::try_from(r.uint()?).ok().and_then(Unlocked::from_number);
                let unlocked = unlocked.ok_or_else(|| r.bad("unlocked"))?;
                let at = super::instant(r, "at")?;
                let statement = r.bytes()?.to_vec();
                if statement.len() > STATEMENT_LEN_MAX {
                    return Err(r.bad("statement"));
                }
                Ok(Self::Agreed(Agreed { device, unlocked, at, statement }))
            }
            _ => Err(r.bad("stage")),
        }
    }
}

/// Everything that the number is good for is part of its hash: for another question the same digits are another number.
fn hash(salt: &[u8; 16], question: &Question, number: &[u8]) -> [u8; 32] {
    let mut subject = Writer::new();
    question.subject.write(&mut subject);
    sha256_parts(&[
        b"tpw/prompt/v1\0",
        salt,
        &question.challenge,
        question.asked_by.as_bytes(),
        &subject.finish(),
        number,
    ])
}

/// A salt and six digits. Of 2^64 values taken modulo 10^6, some come more often than others by less than one part in 10^13.
fn draw(entropy: &mut dyn Entropy) -> Result<([u8; 16], Number), CryptoError> {
    let mut salt = [0; 16];
    entropy.fill(&mut salt)?;
    let mut random = Zeroizing::new([0_u8; 8]);
    entropy.fill(random.as_mut_slice())?;
    let number = Zeroizing::new(format!("{:06}", u64::from_be_bytes(*random) % 1_000_000));
    Ok((salt, Number(number)))
}
