//! When each device last showed itself: after a while without a sign a session is worth less (SP 800-63B-4 §2.2.3).

use std::collections::HashMap;
use tpw_core::{DeviceId, Instant};

/// Whoever is not remembered was not seen, which only ever lowers what a session is worth.
const DEVICES_MAX: usize = 100_000;

#[derive(Default)]
pub(crate) struct Seen(HashMap<DeviceId, Instant>);

impl Seen {
    /// Notes that a device shows itself. Gives when it did before.
    pub(crate) fn note(&mut self, device: DeviceId, now: Instant) -> Option<Instant> {
        if self.0.len() >= DEVICES_MAX && !self.0.contains_key(&device) {
            self.0.clear();
        }
        self.0.insert(device, now)
    }
}
