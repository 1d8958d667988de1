//! Step 1, accept: the intent is the next of its device on its account, in time and meant for us.

use crate::desk::{ChainHead, Device, Rejection};
use crate::event::Effect;
use crate::payment::{Accepted, Intake, Payment};
use tpw_core::{Instant, Intent, Name, PersonId, Span};
use tpw_proof::statement::Verified;

/// How the tree head that a device has seen compares with our log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// We published exactly this head, or the device has seen none yet.
    Confirmed,
    /// We never published it: somebody shows devices another log.
    Contradicted,
}

/// How far ahead of ours a device's clock may be.
pub(crate) const SKEW_MAX: Span = Span::from_secs(60);

/// What is known about who asks.
pub(crate) struct Asker<'a> {
    pub(crate) audience: &'a Name,
    pub(crate) device: Option<&'a Device>,
    pub(crate) owner: Option<PersonId>,
    pub(crate) head: ChainHead,
}

/// Checks everything that can be wrong with an intent before it counts. A rejection changes nothing:
/// the id stays unused and the sequence number free.
pub(crate) fn check(
    intent: &Intent,
    seen: Seen,
    asker: &Asker<'_>,
    now: Instant,
) -> Result<(), Rejection> {
    let device = asker.device.ok_or(Rejection::UnknownDevice)?;
    if device.revoked.is_some() {
        return Err(Rejection::DeviceRevoked);
    }
    if intent.audience != *asker.audience {
        return Err(Rejection::WrongAudience);
    }
    if asker.owner != Some(device.person) {
        return Err(Rejection::NotOwner);
    }
    if intent.created > now.plus(SKEW_MAX) {
        return Err(Rejection::FromFuture);
    }
    if intent.expires <= now {
        return Err(Rejection::Expired);
    }
    let expected = asker.head.sequence.saturating_add(1);
    if intent.sequence < expected {
        return Err(Rejection::SequenceUsed { expected });
    }
    if intent.sequence > expected {
        return Err(Rejection::SequenceGap { expected });
    }
    if intent.previous != asker.head.hash {
        return Err(Rejection::ChainMismatch);
    }
    match seen {
        Seen::Confirmed => Ok(()),
        Seen::Contradicted => Err(Rejection::CheckpointFork),
    }
}

/// The first state of a payment, from a verified intent that passed the checks.
pub(crate) fn accept(verified: &Verified<Intent>, salt: [u8; 32]) -> (Payment, Vec<Effect>) {
    let intake = Intake::new(verified);
    (Payment::Accepted(Accepted { intake, salt }), vec![Effect::Stamp])
}
