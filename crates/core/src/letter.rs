//! What the operator signs of each message to a person: `spec/letter.md`.

use crate::codec::{CodecError, Reader, Writer, decode_exact};
use crate::hash::Hash32;
use crate::instant::Instant;
use crate::intent::{Name, read_instant};

/// That a message with this text was sent to this address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letter {
    /// By which it is found in the list of a person's messages.
    pub reference: [u8; 5],
    /// The hash of the address.
    pub recipient: Hash32,
    /// The hash of the text.
    pub text: Hash32,
    /// When it was written, by the operator's clock.
    pub created: Instant,
    /// The operator that sent it.
    pub operator: Name,
}

impl Letter {
    /// The content type in the signature's protected header: the namespace of this signature.
    pub const CONTENT_TYPE: &'static str = "application/vnd.tpw.letter+cbor;v=1";

    const WHAT: &'static str = "letter";

    /// The one encoding, deterministic CBOR: `spec/letter.md`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.map(5).uint(1).bytes(&self.reference).uint(2).bytes(self.recipient.as_bytes());
        w.uint(3).bytes(self.text.as_bytes()).uint(4).uint(self.created.unix_ms());
        w.uint(5).text(self.operator.as_str());
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
        r.key(1, "reference")?;
        let reference = r.fixed("reference")?;
        r.key(2, "recipient")?;
        let recipient = r.hash("recipient")?;
        r.key(3, "text")?;
        let text = r.hash("text")?;
        r.key(4, "created")?;
        let created = read_instant(r, "created")?;
        r.key(5, "operator")?;
        let operator = Name::new(r.text("operator", 64)?).map_err(|_| r.bad("operator"))?;
        Ok(Self { reference, recipient, text, created, operator })
    }
}
