//! What a person answers on another of their devices: `spec/prompt.md`.

use core::fmt;

use crate::codec::{CodecError, Reader, Writer, decode_exact};
use crate::hash::Hash32;
use crate::ids::{AccountId, DeviceId, PaymentId};
use crate::instant::Instant;
use crate::intent::{Name, read_instant};
use crate::money::{Asset, Money};

codes! {
    /// Which way the person decided.
    PromptReply: u8 {
        /// It may go on; the number that the other device shows was typed.
        Approve = 1 "approve",
        /// It may not, and the person knows of it.
        Deny = 2 "deny",
        /// It may not, and the person did not begin it: somebody else is at the other device.
        NotMe = 3 "not_me",
    }
}

codes! {
    /// How the answering device was unlocked for this very answer.
    Unlocked: u8 {
        /// It stood open: nothing says who is at it.
        StoodOpen = 0 "stood_open",
        /// The passphrase of its keys was typed.
        Passphrase = 1 "passphrase",
    }
}

/// What is to be allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PromptSubject {
    /// The session of the device that asks is to be worth more.
    Session,
    /// A waiting payment is to go on.
    Payment {
        /// The payment.
        payment: PaymentId,
        /// The hash of its intent: nothing about it can have changed.
        intent_hash: Hash32,
        /// How much.
        money: Money,
        /// To whom.
        payee: AccountId,
    },
}

impl PromptSubject {
    /// Writes the one encoding: an empty array, or five items.
    pub fn write(&self, w: &mut Writer) {
        match self {
            Self::Session => {
                w.array(0);
            }
            Self::Payment { payment, intent_hash, money, payee } => {
                w.array(5).bytes(payment.as_bytes()).bytes(intent_hash.as_bytes());
                w.text(&money.asset.to_string()).amount(money.amount).bytes(payee.as_bytes());
            }
        }
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// [`CodecError`] naming the field.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        match r.array("subject", 5)? {
            0 => Ok(Self::Session),
            5 => {
                let payment = PaymentId::from_bytes(r.fixed("payment")?);
                let intent_hash = r.hash("intent_hash")?;
                let asset: Asset = r.text("asset", 14)?.parse().map_err(|_| r.bad("asset"))?;
                let money = Money { amount: r.amount("amount")?, asset };
                let payee = AccountId::from_bytes(r.fixed("payee")?);
                Ok(Self::Payment { payment, intent_hash, money, payee })
            }
            _ => Err(r.bad("subject")),
        }
    }
}

/// A person's answer to a prompt, as the device at which it was given signs it.
#[derive(Clone, PartialEq, Eq)]
pub struct PromptAnswer {
    /// The challenge that it answers.
    pub challenge: [u8; 16],
    /// The device that signs; never the one that asked.
    pub device: DeviceId,
    /// Which way.
    pub reply: PromptReply,
    /// The number that the person read on the device that asked and typed here: six digits, or none with a denial.
    pub number: String,
    /// What was shown beside the question.
    pub subject: PromptSubject,
    /// How this device was unlocked for it.
    pub unlocked: Unlocked,
    /// When, by the device's clock.
    pub created: Instant,
    /// The operator that asked.
    pub audience: Name,
}

impl fmt::Debug for PromptAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The number is a secret as long as the prompt lives.
        f.debug_struct("PromptAnswer")
            .field("device", &self.device)
            .field("reply", &self.reply)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

impl PromptAnswer {
    /// The content type in the signature's protected header: the namespace of this signature.
    pub const CONTENT_TYPE: &'static str = "application/vnd.tpw.prompt+cbor;v=1";

    /// How many digits a number has (SP 800-63B-4 §3.1.3.2).
    pub const NUMBER_LEN: usize = 6;

    const WHAT: &'static str = "answer to a prompt";

    /// The one encoding, deterministic CBOR: `spec/prompt.md`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.map(8).uint(1).bytes(&self.challenge).uint(2).bytes(self.device.as_bytes());
        w.uint(3).uint(self.reply.number().into()).uint(4).text(&self.number).uint(5);
        self.subject.write(&mut w);
        w.uint(6).uint(self.unlocked.number().into()).uint(7).uint(self.created.unix_ms());
        w.uint(8).text(self.audience.as_str());
        w.finish()
    }

    /// Reads the encoding.
    ///
    /// # Errors
    /// [`CodecError`] naming the field.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        decode_exact(bytes, Self::WHAT, Self::read, Self::to_bytes)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        if r.map()? != 8 {
            return Err(r.bad("map"));
        }
        r.key(1, "challenge")?;
        let challenge = r.fixed("challenge")?;
        r.key(2, "device")?;
        let device = DeviceId::from_bytes(r.fixed("device")?);
        r.key(3, "reply")?;
        let reply = u8::try_from(r.uint()?).ok().and_then(PromptReply::from_number);
        let reply = reply.ok_or_else(|| r.bad("reply"))?;
        r.key(4, "number")?;
        let number = r.text("number", Self::NUMBER_LEN)?.to_owned();
        let wanted = if reply == PromptReply::Approve { Self::NUMBER_LEN } else { 0 };
        if number.len() != wanted || !number.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(r.bad("number"));
        }
        r.key(5, "subject")?;
        let subject = PromptSubject::read(r)?;
        r.key(6, "unlocked")?;
        let unlocked = u8::try_from(r.uint()?).ok().and_then(Unlocked::from_number);
        let unlocked = unlocked.ok_or_else(|| r.bad("unlocked"))?;
        r.key(7, "created")?;
        let created = read_instant(r, "created")?;
        r.key(8, "audience")?;
        let audience = Name::new(r.text("audience", 64)?).map_err(|_| r.bad("audience"))?;
        Ok(Self { challenge, device, reply, number, subject, unlocked, created, audience })
    }
}

#[cfg(test)]
mod tests {
    //! Goal: an answer has one encoding, and none but a typed number approves. Method: there and back, cut, and each field odd.

    use super::*;
    use crate::money::Amount;

    fn answer(reply: PromptReply, number: &str, subject: PromptSubject) -> PromptAnswer {
        PromptAnswer {
            challenge: [1; 16],
            device: DeviceId::from_bytes([2; 16]),
            reply,
            number: number.to_owned(),
            subject,
            unlocked: Unlocked::Passphrase,
            created: Instant::from_unix_ms(1_800_000_000_000).unwrap(),
            audience: Name::new("tpw.test").unwrap(),
        }
    }

    fn payment() -> PromptSubject {
        PromptSubject::Payment {
            payment: PaymentId::from_bytes([3; 16]),
            intent_hash: Hash32::new([4; 32]),
            money: Money { amount: Amount::from_minor(150_000), asset: "USD/2".parse().unwrap() },
            payee: AccountId::from_bytes([5; 16]),
        }
    }

    #[test]
    fn there_and_back_and_no_piece_of_it() {
        for subject in [PromptSubject::Session, payment()] {
            for (reply, number) in [
                (PromptReply::Approve, "012345"),
                (PromptReply::Deny, ""),
                (PromptReply::NotMe, ""),
            ] {
                let bytes = answer(reply, number, subject).to_bytes();
                assert_eq!(PromptAnswer::from_bytes(&bytes), Ok(answer(reply, number, subject)));
                for end in 0..bytes.len() {
                    assert!(PromptAnswer::from_bytes(&bytes[..end]).is_err());
                }
            }
        }
    }

    #[test]
    fn only_six_digits_approve_and_none_deny() {
        for (reply, number) in [
            (PromptReply::Approve, ""),
            (PromptReply::Approve, "12345"),
            (PromptReply::Approve, "1234567"),
            (PromptReply::Approve, "12345a"),
            (PromptReply::Deny, "123456"),
            (PromptReply::NotMe, "1"),
        ] {
            let bytes = answer(reply, number, payment()).to_bytes();
            assert!(PromptAnswer::from_bytes(&bytes).is_err(), "{reply} {number}");
        }
    }

    #[test]
    fn debug_shows_no_number() {
        let shown = format!("{:?}", answer(PromptReply::Approve, "918273", payment()));
        assert!(!shown.contains("918273"), "{shown}");
    }
}
