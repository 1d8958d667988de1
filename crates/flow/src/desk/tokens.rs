//! Time-stamps that the authority gave: each becomes an entry of the log before anybody has it.

use super::{Answer, Desk, LeafRow, Outcome, TokenRow};
use tpw_core::Hash32;
use tpw_proof::leaf::Leaf;

impl Desk {
    /// Serials are never used twice: whoever makes them sees to it.
    pub(super) fn log_token(&mut self, serial: [u8; 20], token: Hash32) -> Outcome {
        let index = self.leaves;
        self.leaves = self.leaves.saturating_add(1);
        self.changes.leaves.push(LeafRow { index, leaf: Leaf::token(token), payment: None });
        self.changes.tokens.push(TokenRow { serial, leaf: index });
        Ok(Answer::Done)
    }
}
