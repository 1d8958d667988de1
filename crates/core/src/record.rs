//! What the operator asserts about a booked payment: `spec/leaf.md`. The log commits to its bytes.

use crate::codec::{CodecError, Reader, Writer, decode_exact};
use crate::decision::{Decision, Reason, ReasonCode, Verdict};
use crate::hash::Hash32;
use crate::ids::{AccountId, PaymentId, TransferId};
use crate::instant::Instant;
use crate::intent::read_instant;
use crate::money::{Asset, Money};

codes! {
    /// What a log entry is about; the type byte of its leaf.
    RecordKind: u64 {
        /// One of the two entries that every log begins with.
        Genesis = 0 "genesis",
        /// A payment was booked.
        Payment = 1 "payment",
        /// A booked payment was compensated by opposite postings.
        Compensation = 2 "compensation",
        /// Orders of the operator were carried out.
        Orders = 3 "orders",
        /// A time-stamp was given.
        Token = 4 "token",
        /// A time-stamping key was destroyed.
        KeyEnd = 5 "key_end",
        /// Decisions of the policies were recorded.
        Decisions = 6 "decisions",
    }
}

impl RecordKind {
    /// Whether entries of this kind open with a [`Record`]: those of orders, destroyed keys and decisions
    /// have one of another form, time-stamps none.
    /// Genesis counts as one: its record is read, and refused for its postings.
    #[must_use]
    pub const fn is_of_payments(self) -> bool {
        match self {
            Self::Genesis | Self::Payment | Self::Compensation => true,
            Self::Orders | Self::Token | Self::KeyEnd | Self::Decisions => false,
        }
    }
}

/// One transfer as the ledger recorded it, with the links of both accounts' hash chains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Posting {
    /// The transfer.
    pub transfer: TransferId,
    /// Its number in the ledger, from 1.
    pub number: u64,
    /// The account debited.
    pub debit: AccountId,
    /// The account credited.
    pub credit: AccountId,
    /// How much of what.
    pub money: Money,
    /// The head of the debited account's chain after this transfer.
    pub debit_chain: Hash32,
    /// The head of the credited account's chain after this transfer.
    pub credit_chain: Hash32,
}

/// The key a device signs with, as the operator enrolled it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceKey {
    /// The COSE algorithm number: -19 Ed25519 (RFC 9864), -9 ES256 with P-256 (RFC 9864).
    pub algorithm: i64,
    /// The key: 32 bytes for Ed25519, 65 bytes uncompressed for P-256 (SEC 1 §2.3.3).
    pub bytes: Vec<u8>,
    /// The ML-DSA-44 key of a hybrid device (RFC 9964), which signs beside the other one: 1312 bytes.
    pub post_quantum: Option<Vec<u8>>,
}

impl DeviceKey {
    /// RFC 9964: ML-DSA-44.
    pub const ML_DSA_44: i64 = -48;
}

/// What let a payment go on after it had to wait.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Approval {
    /// The payer's device signed again; the hash of that signed statement.
    StepUp {
        /// SHA-256 of the signed step-up proof.
        proof: Hash32,
        /// When the server took it.
        at: Instant,
    },
    /// An operator released it; the thumbprint of that operator's key.
    Operator {
        /// RFC 7638 thumbprint of the operator's key.
        key: Hash32,
        /// When.
        at: Instant,
    },
    /// The payer gave a further factor, bound to this payment's intent.
    Factor {
        /// What was given, as a hash over the intent hash, the method and the factor's own evidence: `spec/leaf.md`.
        evidence: Hash32,
        /// When.
        at: Instant,
    },
}

codes! {
    /// With what a person shows who it is. The numbers are hashed into a payment's approvals.
    FactorMethod: u8 {
        /// A password, by a protocol in which the server does not learn it.
        Password = 1 "password",
        /// A time-based one-time password.
        Totp = 2 "totp",
        /// A passkey or security key.
        Passkey = 3 "passkey",
        /// A recovery code.
        Recovery = 4 "recovery",
        /// A one-time code that was sent to an address.
        Code = 5 "code",
        /// An answer to a prompt on another device.
        Push = 6 "push",
        /// The key of another enrolled device.
        Device = 7 "device",
    }
}

impl Approval {
    /// When it was given.
    #[must_use]
    pub const fn at(&self) -> Instant {
        match self {
            Self::StepUp { at, .. } | Self::Operator { at, .. } | Self::Factor { at, .. } => *at,
        }
    }

    /// Whether this answers a verdict: the payer answers a step-up, the operator a hold.
    #[must_use]
    pub const fn answers(&self, verdict: Verdict) -> bool {
        match (self, verdict) {
            (Self::StepUp { .. } | Self::Factor { .. }, Verdict::StepUp)
            | (Self::Operator { .. }, Verdict::Hold) => true,
            (_, Verdict::Clear | Verdict::StepUp | Verdict::Hold | Verdict::Refuse) => false,
        }
    }
}

/// Everything the log commits to about one payment, apart from the payer's own statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Payment or compensation.
    pub kind: RecordKind,
    /// The payment.
    pub payment: PaymentId,
    /// SHA-256 of the intent's bytes.
    pub intent_hash: Hash32,
    /// The key under which the intent's signature was checked.
    pub device_key: DeviceKey,
    /// When the server took the intent.
    pub received: Instant,
    /// When the postings were made.
    pub booked: Instant,
    /// What screening said.
    pub decision: Decision,
    /// What let it go on if it had to wait.
    pub approvals: Vec<Approval>,
    /// The transfers, 1 to 16.
    pub postings: Vec<Posting>,
}

impl Record {
    const WHAT: &'static str = "record";
    const POSTINGS_MAX: u64 = 16;

    /// The one encoding, deterministic CBOR: `spec/leaf.md`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.map(9).uint(1).uint(self.kind.number()).uint(2).bytes(self.payment.as_bytes());
        w.uint(3).bytes(self.intent_hash.as_bytes());
        w.uint(4);
        write_device_key(&mut w, &self.device_key);
        w.uint(5).uint(self.received.unix_ms()).uint(6).uint(self.booked.unix_ms()).uint(7);
        write_decision(&mut w, &self.decision);
        w.uint(8).array(length(&self.approvals));
        for approval in &self.approvals {
            let (kind, hash) = match approval {
                Approval::StepUp { proof, .. } => (1, proof),
                Approval::Operator { key, .. } => (2, key),
                Approval::Factor { evidence, .. } => (3, evidence),
            };
            w.array(3).uint(kind).bytes(hash.as_bytes()).uint(approval.at().unix_ms());
        }
        w.uint(9).array(length(&self.postings));
        for posting in &self.postings {
            write_posting(&mut w, posting);
        }
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
        if r.map()? != 9 {
            return Err(r.bad("map"));
        }
        r.key(1, "kind")?;
        let kind = RecordKind::from_number(r.uint()?).filter(|kind| kind.is_of_payments());
        let kind = kind.ok_or_else(|| r.bad("kind"))?;
        r.key(2, "payment")?;
        let payment = PaymentId::from_bytes(r.fixed("payment")?);
        r.key(3, "intent_hash")?;
        let intent_hash = r.hash("intent_hash")?;
        r.key(4, "device_key")?;
        let device_key = read_device_key(r)?;
        r.key(5, "received")?;
        let received = read_instant(r, "received")?;
        r.key(6, "booked")?;
        let booked = read_instant(r, "booked")?;
        r.key(7, "decision")?;
        let decision = read_decision(r)?;
        r.key(8, "approvals")?;
        let approvals = read_many(r, "approvals", 16, read_approval)?;
        r.key(9, "postings")?;
        let postings = read_many(r, "postings", Self::POSTINGS_MAX, read_posting)?;
        Ok(Self {
            kind,
            payment,
            intent_hash,
            device_key,
            received,
            booked,
            decision,
            approvals,
            postings,
        })
    }
}

fn length<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

fn read_many<'b, T>(
    r: &mut Reader<'b>,
    field: &'static str,
    most: u64,
    one: impl Fn(&mut Reader<'b>) -> Result<T, CodecError>,
) -> Result<Vec<T>, CodecError> {
    (0..r.array(field, most)?).map(|_| one(r)).collect()
}

/// Writes a device's key as `[algorithm, key]`, that of a hybrid device as `[algorithm, key, -48, key]`.
pub fn write_device_key(w: &mut Writer, key: &DeviceKey) {
    w.array(if key.post_quantum.is_some() { 4 } else { 2 }).int(key.algorithm).bytes(&key.bytes);
    if let Some(bytes) = &key.post_quantum {
        w.int(DeviceKey::ML_DSA_44).bytes(bytes);
    }
}

/// Reads what [`write_device_key`] writes.
///
/// # Errors
/// [`CodecError`] naming the field.
pub fn read_device_key(r: &mut Reader<'_>) -> Result<DeviceKey, CodecError> {
    let items = r.array("device_key", 4)?;
    let (algorithm, bytes) = (r.int()?, r.bytes()?.to_vec());
    let post_quantum = match items {
        2 => None,
        4 if r.int()? == DeviceKey::ML_DSA_44 => Some(r.bytes()?.to_vec()),
        _ => return Err(r.bad("device_key")),
    };
    Ok(DeviceKey { algorithm, bytes, post_quantum })
}

/// Writes a decision as `[score, verdict, [[code, points]...], rules]`.
pub fn write_decision(w: &mut Writer, decision: &Decision) {
    w.array(4).uint(decision.score.into()).uint(decision.verdict.number());
    w.array(length(&decision.reasons));
    for reason in &decision.reasons {
        w.array(2).uint(reason.code.number()).uint(reason.points.into());
    }
    w.bytes(decision.rules.as_bytes());
}

/// Reads what [`write_decision`] writes.
///
/// # Errors
/// [`CodecError`] naming the field.
pub fn read_decision(r: &mut Reader<'_>) -> Result<Decision, CodecError> {
    if r.array("decision", 4)? != 4 {
        return Err(r.bad("decision"));
    }
    let score =
        u16::try_from(r.uint()?).ok().filter(|s| *s <= 1000).ok_or_else(|| r.bad("score"))?;
    let verdict = Verdict::from_number(r.uint()?).ok_or_else(|| r.bad("verdict"))?;
    let reasons = read_many(r, "reasons", 16, |r| {
        if r.array("reason", 2)? != 2 {
            return Err(r.bad("reason"));
        }
        let code = ReasonCode::from_number(r.uint()?).ok_or_else(|| r.bad("reason"))?;
        let points = u16::try_from(r.uint()?).map_err(|_| r.bad("points"))?;
        Ok(Reason { code, points })
    })?;
    Ok(Decision { score, verdict, reasons, rules: r.hash("rules")? })
}

fn read_approval(r: &mut Reader<'_>) -> Result<Approval, CodecError> {
    if r.array("approval", 3)? != 3 {
        return Err(r.bad("approval"));
    }
    match (r.uint()?, r.hash("approval")?, read_instant(r, "approval")?) {
        (1, proof, at) => Ok(Approval::StepUp { proof, at }),
        (2, key, at) => Ok(Approval::Operator { key, at }),
        (3, evidence, at) => Ok(Approval::Factor { evidence, at }),
        _ => Err(r.bad("approval")),
    }
}

/// Writes a posting as an array of eight items.
pub fn write_posting(w: &mut Writer, posting: &Posting) {
    w.array(8).bytes(posting.transfer.as_bytes()).uint(posting.number);
    w.bytes(posting.debit.as_bytes()).bytes(posting.credit.as_bytes());
    w.text(&posting.money.asset.to_string()).amount(posting.money.amount);
    w.bytes(posting.debit_chain.as_bytes()).bytes(posting.credit_chain.as_bytes());
}

/// Reads what [`write_posting`] writes.
///
/// # Errors
/// [`CodecError`] naming the field.
pub fn read_posting(r: &mut Reader<'_>) -> Result<Posting, CodecError> {
    if r.array("posting", 8)? != 8 {
        return Err(r.bad("posting"));
    }
    let transfer = TransferId::from_bytes(r.fixed("transfer")?);
    let number = r.uint()?;
    let debit = AccountId::from_bytes(r.fixed("debit")?);
    let credit = AccountId::from_bytes(r.fixed("credit")?);
    let asset: Asset = r.text("asset", 14)?.parse().map_err(|_| r.bad("asset"))?;
    let amount = r.amount("amount")?;
    let (debit_chain, credit_chain) = (r.hash("debit_chain")?, r.hash("credit_chain")?);
    Ok(Posting {
        transfer,
        number,
        debit,
        credit,
        money: Money { amount, asset },
        debit_chain,
        credit_chain,
    })
}
