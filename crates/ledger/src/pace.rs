//! Velocity limits: how much and how often an account may be debited within a window of time.

use tpw_core::{AccountId, Amount, Instant, Span};

/// A velocity limit with what was used of it: the row to store, by account and place. Like its
/// account's row it is as of that row's newest transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VelocityRow {
    /// The account.
    pub account: AccountId,
    /// Which of its limits, from 0.
    pub place: u8,
    /// How long a window is. Windows follow each other from 1970-01-01 on.
    pub window: Span,
    /// The most that may be debited within a window; `None` for no limit.
    pub amount_max: Option<Amount>,
    /// How often the account may be debited within a window; `None` for no limit.
    pub count_max: Option<u64>,
    /// Where the window begins that the next two numbers are about.
    pub since: Instant,
    /// What was debited in it.
    pub amount: Amount,
    /// How often it was debited in it.
    pub count: u64,
}
