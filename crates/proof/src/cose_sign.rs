//! `COSE_Sign` with two signatures (RFC 9052 §4.1), tagged 98: what a hybrid device signs.
//!
//! The body's header has what both signatures are about, each signature's header says by which key it is.

use crate::cose::{Cbor, NO_HEADERS};
use crate::error::ProofError;
use minicbor::Decoder;
use minicbor::data::Tag;

/// One signature, taken apart and not checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Signature<'b> {
    pub(crate) protected: &'b [u8],
    pub(crate) signature: &'b [u8],
}

/// A message of two signatures, taken apart; nothing in it is checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sign2<'b> {
    pub(crate) protected: &'b [u8],
    pub(crate) payload: &'b [u8],
    pub(crate) signatures: [Signature<'b>; 2],
}

/// RFC 9052 §4.4: the bytes that one of several signers signs.
pub(crate) fn to_be_signed(body: &[u8], signer: &[u8], payload: &[u8]) -> Vec<u8> {
    let parts = [body.len(), signer.len(), payload.len(), 32];
    Cbor::with_room(parts.iter().sum()).write(|e| {
        e.array(5)?.str("Signature")?.bytes(body)?.bytes(signer)?.bytes(&[])?.bytes(payload)?;
        Ok(())
    })
}

impl<'b> Sign2<'b> {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let of = |one: &Signature<'_>| one.protected.len().saturating_add(one.signature.len());
        let signed: usize = self.signatures.iter().map(of).sum();
        let parts = [self.protected.len(), self.payload.len(), signed, 64];
        Cbor::with_room(parts.iter().sum()).write(|e| {
            e.tag(Tag::new(98))?.array(4)?.bytes(self.protected)?;
            e.writer_mut().extend_from_slice(NO_HEADERS);
            e.bytes(self.payload)?.array(2)?;
            for one in &self.signatures {
                e.array(3)?.bytes(one.protected)?;
                e.writer_mut().extend_from_slice(NO_HEADERS);
                e.bytes(one.signature)?;
            }
            Ok(())
        })
    }

    /// Whether bytes begin as such a message does.
    pub(crate) fn is_meant(bytes: &[u8]) -> bool {
        Decoder::new(bytes).tag().is_ok_and(|tag| tag == Tag::new(98))
    }

    pub(crate) fn parse(
        bytes: &'b [u8],
        what: &'static str,
        most: usize,
    ) -> Result<Self, ProofError> {
        if bytes.len() > most {
            return Err(ProofError::TooLarge { what, most });
        }
        let wrong = |why| ProofError::Malformed { what, why };
        let message = Self::read(bytes).ok_or(wrong("not a COSE_Sign of two signatures"))?;
        // Longer forms, other headers and trailing bytes fail here.
        if message.to_bytes() == bytes {
            Ok(message)
        } else {
            Err(wrong("not in deterministic encoding"))
        }
    }

    fn read(bytes: &'b [u8]) -> Option<Self> {
        let mut d = Decoder::new(bytes);
        if d.tag().ok()? != Tag::new(98) || d.array().ok()? != Some(4) {
            return None;
        }
        let protected = d.bytes().ok()?;
        d.skip().ok()?;
        let payload = d.bytes().ok()?;
        if d.array().ok()? != Some(2) {
            return None;
        }
        let (first, second) = (Self::read_signature(&mut d)?, Self::read_signature(&mut d)?);
        Some(Self { protected, payload, signatures: [first, second] })
    }

    fn read_signature(d: &mut Decoder<'b>) -> Option<Signature<'b>> {
        if d.array().ok()? != Some(3) {
            return None;
        }
        let protected = d.bytes().ok()?;
        d.skip().ok()?;
        Some(Signature { protected, signature: d.bytes().ok()? })
    }
}
