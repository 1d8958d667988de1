//! The network: it drops, repeats, delays and thereby reorders.

use std::collections::BTreeMap;
use tpw_core::{Hash32, Instant, PaymentId, Span, TreeHead};
use tpw_flow::ChainHead;
use tpw_sim_disk::Chance;

/// What devices send and get.
#[derive(Clone)]
pub(crate) enum Packet {
    Pay { client: usize, statement: Vec<u8> },
    StepUp { client: usize, payment: PaymentId, proof: Vec<u8> },
    Answer { client: usize, answer: Box<Answer> },
}

/// What a device learns about one of its statements.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) payment: PaymentId,
    /// The hash of the statement that it answers.
    pub(crate) statement: Hash32,
    /// As in the API: the payment's status, or the rejection's code.
    pub(crate) said: Said,
    /// How far the device's chain has come by now.
    pub(crate) chain: ChainHead,
    /// The newest published head.
    pub(crate) head: TreeHead,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    Status(tpw_flow::Status),
    Rejected(&'static str),
}

#[derive(Default)]
pub(crate) struct Network {
    packets: BTreeMap<(Instant, u64), Packet>,
    serial: u64,
    /// Without faults: at the end of a run.
    pub(crate) calm: bool,
}

impl Network {
    pub(crate) fn send(&mut self, packet: Packet, now: Instant, chance: &mut Chance) {
        if self.calm {
            return self.put(packet, now);
        }
        if chance.one_in(10) {
            return;
        }
        let copies = if chance.one_in(8) { 2 } else { 1 };
        for _ in 0..copies {
            let delay = if chance.one_in(6) { 30_000 } else { 300 };
            self.put(packet.clone(), now.plus(Span::from_ms(chance.below(delay))));
        }
    }

    fn put(&mut self, packet: Packet, at: Instant) {
        self.serial = self.serial.saturating_add(1);
        self.packets.insert((at, self.serial), packet);
    }

    /// What arrives by now, in the order of arrival.
    pub(crate) fn arrive(&mut self, now: Instant) -> Vec<Packet> {
        let later = self.packets.split_off(&(now.plus(Span::from_ms(1)), 0));
        core::mem::replace(&mut self.packets, later).into_values().collect()
    }
}
