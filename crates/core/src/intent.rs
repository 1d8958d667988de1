//! What a payer asks for and signs: `spec/intent.md`.

use crate::codec::{CodecError, Reader, Writer, decode_exact};
use crate::hash::Hash32;
use crate::ids::{AccountId, DeviceId, PaymentId};
use crate::instant::{Instant, Span};
use crate::money::{Amount, Asset, Money};

/// A signed tree head as somebody claims to have seen it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TreeHead {
    /// How many leaves the log had.
    pub size: u64,
    /// The root hash over them (RFC 6962 §2.1).
    pub root: Hash32,
}

/// A payment as the payer's device asks for it. Its encoding is what the device signs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Intent {
    /// Made and stored on the device before sending; the idempotency key.
    pub payment: PaymentId,
    /// The device that signs.
    pub device: DeviceId,
    /// The account to debit.
    pub payer: AccountId,
    /// The account to credit.
    pub payee: AccountId,
    /// How much of which asset; more than zero.
    pub money: Money,
    /// The most that the payer accepts as a fee, in minor units of the same asset.
    pub fee_limit: Amount,
    /// Counts the intents of this device on this account, from 1 without gaps.
    pub sequence: u64,
    /// The hash of the intent with the sequence before; zero for the first.
    pub previous: Hash32,
    /// The newest tree head that this device has seen: a forked log is exposed by its payers.
    pub seen: TreeHead,
    /// When the device made it, by the device's clock.
    pub created: Instant,
    /// From when on it must not be carried out.
    pub expires: Instant,
    /// The operator that may carry it out, by name.
    pub audience: Name,
    /// What the payment is for, as both parties may read it.
    pub purpose: Purpose,
}

/// A name of 1 to 64 bytes without control characters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Name(String);

/// A text of 0 to 140 bytes without control characters.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Purpose(String);

/// A text that is too long, empty where it may not be, or holds control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {what} has {least} to {most} bytes and no control characters")]
pub struct TextError {
    what: &'static str,
    least: usize,
    most: usize,
}

fn checked(text: &str, what: &'static str, least: usize, most: usize) -> Result<String, TextError> {
    let fits = (least..=most).contains(&text.len()) && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(TextError { what, least, most }) }
}

impl Name {
    /// Checks a text.
    ///
    /// # Errors
    /// [`TextError`] when it is empty, longer than 64 bytes or holds control characters.
    pub fn new(text: &str) -> Result<Self, TextError> {
        checked(text, "name", 1, 64).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Purpose {
    /// Checks a text.
    ///
    /// # Errors
    /// [`TextError`] when it is longer than 140 bytes or holds control characters.
    pub fn new(text: &str) -> Result<Self, TextError> {
        checked(text, "purpose", 0, 140).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Intent {
    /// The longest life of an intent: a signature lying around is a cheque lying around.
    pub const LIFE_MAX: Span = Span::from_secs(24 * 3600);

    /// The content type in the signature's protected header: the namespace of this signature.
    pub const CONTENT_TYPE: &'static str = "application/vnd.tpw.intent+cbor;v=1";

    const WHAT: &'static str = "intent";

    /// The one encoding, deterministic CBOR: `spec/intent.md`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.map(14).uint(1).bytes(self.payment.as_bytes()).uint(2).bytes(self.device.as_bytes());
        w.uint(3).bytes(self.payer.as_bytes()).uint(4).bytes(self.payee.as_bytes());
        w.uint(5).text(&self.money.asset.to_string()).uint(6).amount(self.money.amount);
        w.uint(7).amount(self.fee_limit).uint(8).uint(self.sequence);
        w.uint(9).bytes(self.previous.as_bytes());
        w.uint(10).array(2).uint(self.seen.size).bytes(self.seen.root.as_bytes());
        w.uint(11).uint(self.created.unix_ms()).uint(12).uint(self.expires.unix_ms());
        w.uint(13).text(self.audience.as_str()).uint(14).text(self.purpose.as_str());
        w.finish()
    }

    /// Reads the encoding; also checks what no payment may violate (amount and sequence above zero,
    /// two different accounts, a life between zero and [`Intent::LIFE_MAX`]).
    ///
    /// # Errors
    /// [`CodecError`] naming the field.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let intent = decode_exact(bytes, Self::WHAT, Self::read, Self::to_bytes)?;
        intent.check()?;
        Ok(intent)
    }

    /// Checks what no payment may violate, whoever made it.
    ///
    /// # Errors
    /// [`CodecError::Value`] naming the field.
    pub fn check(&self) -> Result<(), CodecError> {
        let bad = |field| CodecError::Value { what: Self::WHAT, field };
        if self.money.amount.is_zero() {
            return Err(bad("amount"));
        }
        if self.payer == self.payee {
            return Err(bad("payee"));
        }
        if self.sequence == 0 {
            return Err(bad("sequence"));
        }
        if self.expires <= self.created || self.expires.since(self.created) > Self::LIFE_MAX {
            return Err(bad("expires"));
        }
        Ok(())
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        if r.map()? != 14 {
            return Err(r.bad("map"));
        }
        r.key(1, "payment")?;
        let payment = PaymentId::from_bytes(r.fixed("payment")?);
        r.key(2, "device")?;
        let device = DeviceId::from_bytes(r.fixed("device")?);
        r.key(3, "payer")?;
        let payer = AccountId::from_bytes(r.fixed("payer")?);
        r.key(4, "payee")?;
        let payee = AccountId::from_bytes(r.fixed("payee")?);
        r.key(5, "asset")?;
        let asset: Asset = r.text("asset", 14)?.parse().map_err(|_| r.bad("asset"))?;
        r.key(6, "amount")?;
        let amount = r.amount("amount")?;
        r.key(7, "fee_limit")?;
        let fee_limit = r.amount("fee_limit")?;
        r.key(8, "sequence")?;
        let sequence = r.uint()?;
        r.key(9, "previous")?;
        let previous = r.hash("previous")?;
        r.key(10, "seen")?;
        if r.array("seen", 2)? != 2 {
            return Err(r.bad("seen"));
        }
        let seen = TreeHead { size: r.uint()?, root: r.hash("seen")? };
        r.key(11, "created")?;
        let created = read_instant(r, "created")?;
        r.key(12, "expires")?;
        let expires = read_instant(r, "expires")?;
        r.key(13, "audience")?;
        let audience = Name::new(r.text("audience", 64)?).map_err(|_| r.bad("audience"))?;
        r.key(14, "purpose")?;
        let purpose = Purpose::new(r.text("purpose", 140)?).map_err(|_| r.bad("purpose"))?;
        Ok(Self {
            payment,
            device,
            payer,
            payee,
            money: Money { amount, asset },
            fee_limit,
            sequence,
            previous,
            seen,
            created,
            expires,
            audience,
            purpose,
        })
    }
}

pub(crate) fn read_instant(r: &mut Reader<'_>, field: &'static str) -> Result<Instant, CodecError> {
    Instant::from_unix_ms(r.uint()?).ok_or_else(|| r.bad(field))
}

/// A fresh signature over a payment that waits for step-up: the device's owner was asked again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepUpProof {
    /// The waiting payment.
    pub payment: PaymentId,
    /// The device that signs, the same that signed the intent.
    pub device: DeviceId,
    /// The hash of the intent: nothing about the payment can have changed.
    pub intent_hash: Hash32,
    /// When the passphrase was given again, by the device's clock.
    pub created: Instant,
    /// The operator that asked.
    pub audience: Name,
}

impl StepUpProof {
    /// The content type in the signature's protected header: the namespace of this signature.
    pub const CONTENT_TYPE: &'static str = "application/vnd.tpw.step-up+cbor;v=1";

    const WHAT: &'static str = "step-up proof";

    /// The one encoding, deterministic CBOR: `spec/intent.md`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.map(5).uint(1).bytes(self.payment.as_bytes()).uint(2).bytes(self.device.as_bytes());
        w.uint(3).bytes(self.intent_hash.as_bytes()).uint(4).uint(self.created.unix_ms());
        w.uint(5).text(self.audience.as_str());
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
        if r.map()? != 5 {
            return Err(r.bad("map"));
        }
        r.key(1, "payment")?;
        let payment = PaymentId::from_bytes(r.fixed("payment")?);
        r.key(2, "device")?;
        let device = DeviceId::from_bytes(r.fixed("device")?);
        r.key(3, "intent_hash")?;
        let intent_hash = r.hash("intent_hash")?;
        r.key(4, "created")?;
        let created = read_instant(r, "created")?;
        r.key(5, "audience")?;
        let audience = Name::new(r.text("audience", 64)?).map_err(|_| r.bad("audience"))?;
        Ok(Self { payment, device, intent_hash, created, audience })
    }
}
