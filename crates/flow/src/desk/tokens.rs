//! The authority's entries: each time-stamp becomes one before anybody has it, and so does the end of each of its keys.

use super::{Answer, Desk, LeafRow, Outcome, TokenRow};
use tpw_core::codec::Writer;
use tpw_core::{Hash32, Instant};
use tpw_proof::leaf::Leaf;

/// The record of a destroyed key: `spec/leaf.md`. `key` is SHA-256 of its `SubjectPublicKeyInfo`.
#[must_use]
pub fn key_end_record(key: Hash32, at: Instant) -> Vec<u8> {
    /// Its file was overwritten and removed.
    const OVERWRITTEN: u64 = 1;
    let mut w = Writer::new();
    w.array(3).bytes(key.as_bytes()).uint(at.unix_ms()).uint(OVERWRITTEN);
    w.finish()
}

impl Desk {
    /// Serials are never used twice: whoever makes them sees to it.
    pub(super) fn log_token(&mut self, serial: [u8; 20], token: Hash32) -> Outcome {
        let index = self.leaves;
        self.leaves = self.leaves.saturating_add(1);
        self.changes.leaves.push(LeafRow { index, leaf: Leaf::token(token), payment: None });
        self.changes.tokens.push(TokenRow { serial, leaf: index });
        Ok(Answer::Done)
    }

    pub(super) fn log_key_end(&mut self, record: &[u8]) -> Outcome {
        let index = self.leaves;
        self.leaves = self.leaves.saturating_add(1);
        self.changes.leaves.push(LeafRow { index, leaf: Leaf::key_end(record), payment: None });
        Ok(Answer::Done)
    }
}
