//! Step 3, stamp: our time beside the transaction hash. The hash itself was fixed by the device.

use crate::event::Effect;
use crate::payment::{Accepted, Payment, Stamped};
use tpw_core::Instant;

pub(super) fn stamped(accepted: Accepted, now: Instant) -> (Payment, Vec<Effect>) {
    (Payment::Stamped(Stamped { accepted, received: now }), vec![Effect::Screen])
}
