//! What somebody says about an operation that needs more than one person: `spec/approval.md`.

use crate::codec::{CodecError, Reader, Writer, decode_exact};
use crate::hash::Hash32;
use crate::ids::{ApprovalId, DeviceId};
use crate::instant::Instant;
use crate::intent::{Name, read_instant};

codes! {
    /// Which way somebody decided.
    Consent: u8 {
        /// It may be done.
        Approve = 1 "approve",
        /// It may not; one such word ends the matter.
        Reject = 2 "reject",
    }
}

/// One person's word about one operation, as that person's device signs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vote {
    /// The request for approval that it answers.
    pub approval: ApprovalId,
    /// The device that signs.
    pub device: DeviceId,
    /// The hash of the operation: nothing about it can have changed.
    pub operation: Hash32,
    /// Which way.
    pub consent: Consent,
    /// When, by the device's clock.
    pub created: Instant,
    /// The operator that asked.
    pub audience: Name,
}

impl Vote {
    /// The content type in the signature's protected header: the namespace of this signature.
    pub const CONTENT_TYPE: &'static str = "application/vnd.tpw.approval+cbor;v=1";

    const WHAT: &'static str = "vote";

    /// The one encoding, deterministic CBOR: `spec/approval.md`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.map(6).uint(1).bytes(self.approval.as_bytes()).uint(2).bytes(self.device.as_bytes());
        w.uint(3).bytes(self.operation.as_bytes()).uint(4).uint(self.consent.number().into());
        w.uint(5).uint(self.created.unix_ms()).uint(6).text(self.audience.as_str());
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
        if r.map()? != 6 {
            return Err(r.bad("map"));
        }
        r.key(1, "approval")?;
        let approval = ApprovalId::from_bytes(r.fixed("approval")?);
        r.key(2, "device")?;
        let device = DeviceId::from_bytes(r.fixed("device")?);
        r.key(3, "operation")?;
        let operation = r.hash("operation")?;
        r.key(4, "consent")?;
        let consent = u8::try_from(r.uint()?).ok().and_then(Consent::from_number);
        let consent = consent.ok_or_else(|| r.bad("consent"))?;
        r.key(5, "created")?;
        let created = read_instant(r, "created")?;
        r.key(6, "audience")?;
        let audience = Name::new(r.text("audience", 64)?).map_err(|_| r.bad("audience"))?;
        Ok(Self { approval, device, operation, consent, created, audience })
    }
}
