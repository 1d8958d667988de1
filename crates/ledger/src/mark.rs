//! Marks: an account's counters after every 1,024th of its transfers, so that a balance of the past is
//! found without walking the whole chain.

use tpw_core::{AccountId, Amount, Instant};

/// An account's counters as they were after one transfer: the row to store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// The account.
    pub account: AccountId,
    /// How many links its chain had; a multiple of [`Mark::EVERY`].
    pub transfers: u64,
    /// The number of the transfer.
    pub number: u64,
    /// When that was booked.
    pub at: Instant,
    /// All posted debits.
    pub debits_posted: Amount,
    /// All posted credits.
    pub credits_posted: Amount,
    /// All pending debits.
    pub debits_pending: Amount,
    /// All pending credits.
    pub credits_pending: Amount,
}

impl Mark {
    /// How many transfers of an account lie between two of its marks.
    pub const EVERY: u64 = 1024;
}
