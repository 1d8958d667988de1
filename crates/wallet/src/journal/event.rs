//! What is appended to the journal, and its bytes.

use tpw_core::codec::{CodecError, Reader, Writer, decode_exact};
use tpw_core::{AccountId, DeviceId, Hash32, Instant, Intent, Name, PaymentId};

use super::chain::{ChainKey, Link};

/// What makes two commands the same payment.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum OrderKey {
    /// A command without an id: the same content continues an unfinished payment, and pays again after a finished one.
    Content(Hash32),
    /// A command with an id of its own: it is carried out once, however often it is given.
    Named(Name),
    /// A line of a batch file: it is carried out once, however often the file is run.
    Line(BatchLine),
}

/// A line of a batch file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct BatchLine {
    /// SHA-256 of the file.
    pub batch: Hash32,
    /// The line in the file, from 1; the header is line 1.
    pub line: u64,
}

/// Something that happened to a payment of this device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// An intent was made and signed. Nothing has left the device.
    Prepared {
        /// What was signed.
        intent: Box<Intent>,
        /// The signed statement, a `COSE_Sign1`; at most 4096 bytes.
        statement: Vec<u8>,
        /// What makes the same command again the same payment.
        key: OrderKey,
        /// What the order said: [`Order::fingerprint`](crate::pay::Order::fingerprint).
        fingerprint: Hash32,
    },
    /// The statement is about to leave the device. Written before its first byte does.
    Sent {
        /// The payment.
        payment: PaymentId,
        /// When, by the device's clock.
        at: Instant,
    },
    /// The server carried it out, or did and undid it.
    Done {
        /// The payment.
        payment: PaymentId,
        /// The server's outcome code, such as `booked` or `compensated`.
        outcome: Name,
        /// The name of the receipt file, once it is on this device.
        receipt: Option<Name>,
    },
    /// The server took the intent and refused the payment: the id is burnt, the number is used.
    Refused {
        /// The payment.
        payment: PaymentId,
        /// The refusal's code.
        code: Name,
    },
    /// The server will never take this statement, or it never left the device: its number is free again.
    Abandoned {
        /// The payment.
        payment: PaymentId,
        /// The rejection's code.
        code: Name,
    },
    /// The server says where the chain of an account stands, and this journal knew less.
    Adopted {
        /// Whose chain.
        chain: ChainKey,
        /// Where it stands.
        link: Link,
    },
}

impl Event {
    const WHAT: &'static str = "journal event";
    const STATEMENT_LEN_MAX: usize = 4096;

    /// The one encoding, deterministic CBOR: an array that starts with the number of the kind.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Prepared { intent, statement, key, fingerprint } => {
                w.array(5).uint(1).bytes(&intent.to_bytes()).bytes(statement);
                write_key(&mut w, key);
                w.bytes(fingerprint.as_bytes());
            }
            Self::Sent { payment, at } => {
                w.array(3).uint(2).bytes(payment.as_bytes()).uint(at.unix_ms());
            }
            Self::Done { payment, outcome, receipt } => {
                w.array(4).uint(3).bytes(payment.as_bytes()).text(outcome.as_str());
                // A name is never empty, so that an empty text says "none".
                w.text(receipt.as_ref().map_or("", Name::as_str));
            }
            Self::Refused { payment, code } => {
                w.array(3).uint(4).bytes(payment.as_bytes()).text(code.as_str());
            }
            Self::Abandoned { payment, code } => {
                w.array(3).uint(5).bytes(payment.as_bytes()).text(code.as_str());
            }
            Self::Adopted { chain, link } => {
                w.array(5).uint(6).bytes(chain.device.as_bytes()).bytes(chain.account.as_bytes());
                w.uint(link.next).bytes(link.previous.as_bytes());
            }
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
        let items = r.array("event", 5)?;
        let event = match (items, r.uint()?) {
            (5, 1) => {
                let intent = Box::new(Intent::from_bytes(r.bytes()?)?);
                let statement = r.bytes()?.to_vec();
                if statement.len() > Self::STATEMENT_LEN_MAX {
                    return Err(r.bad("statement"));
                }
                let key = read_key(r)?;
                Self::Prepared { intent, statement, key, fingerprint: r.hash("fingerprint")? }
            }
            (3, 2) => {
                let payment = read_payment(r)?;
                let at = Instant::from_unix_ms(r.uint()?).ok_or_else(|| r.bad("at"))?;
                Self::Sent { payment, at }
            }
            (4, 3) => {
                let (payment, outcome) = (read_payment(r)?, read_name(r, "outcome")?);
                let receipt = match r.text("receipt", 64)? {
                    "" => None,
                    text => Some(Name::new(text).map_err(|_| r.bad("receipt"))?),
                };
                Self::Done { payment, outcome, receipt }
            }
            (3, 4) => Self::Refused { payment: read_payment(r)?, code: read_name(r, "code")? },
            (3, 5) => Self::Abandoned { payment: read_payment(r)?, code: read_name(r, "code")? },
            (5, 6) => {
                let device = DeviceId::from_bytes(r.fixed("device")?);
                let account = AccountId::from_bytes(r.fixed("account")?);
                let link = Link { next: r.uint()?, previous: r.hash("previous")? };
                Self::Adopted { chain: ChainKey { device, account }, link }
            }
            _ => return Err(r.bad("kind")),
        };
        Ok(event)
    }
}

fn read_payment(r: &mut Reader<'_>) -> Result<PaymentId, CodecError> {
    r.fixed("payment").map(PaymentId::from_bytes)
}

fn read_name(r: &mut Reader<'_>, field: &'static str) -> Result<Name, CodecError> {
    let text = r.text(field, 64)?;
    Name::new(text).map_err(|_| r.bad(field))
}

fn write_key(w: &mut Writer, key: &OrderKey) {
    match key {
        OrderKey::Content(fingerprint) => w.array(2).uint(1).bytes(fingerprint.as_bytes()),
        OrderKey::Named(name) => w.array(2).uint(2).text(name.as_str()),
        OrderKey::Line(at) => w.array(3).uint(3).bytes(at.batch.as_bytes()).uint(at.line),
    };
}

fn read_key(r: &mut Reader<'_>) -> Result<OrderKey, CodecError> {
    let items = r.array("key", 3)?;
    match (items, r.uint()?) {
        (2, 1) => Ok(OrderKey::Content(r.hash("key")?)),
        (2, 2) => Ok(OrderKey::Named(read_name(r, "key")?)),
        (3, 3) => Ok(OrderKey::Line(BatchLine { batch: r.hash("key")?, line: r.uint()? })),
        _ => Err(r.bad("key")),
    }
}
