//! Watches: thresholds on the balance of an operator's wallet, and what happens when it crosses one.

use crate::Balance;
use tpw_core::{AccountId, Amount, Instant};

tpw_core::codes! {
    /// How a watched wallet is kept.
    Tier: u8 {
        /// Its keys are at hand for daily business.
        Hot = 1 "hot",
        /// Its keys are kept away from any network.
        Cold = 2 "cold",
    }
}

tpw_core::codes! {
    /// What happens when a threshold is crossed.
    WatchAction: u8 {
        /// The crossing is reported.
        Alert = 1 "alert",
        /// The crossing is reported and the account is frozen.
        AlertAndFreeze = 2 "alert_and_freeze",
    }
}

tpw_core::codes! {
    /// Which threshold was crossed.
    Edge: u8 {
        /// The balance fell below the lower one.
        Below = 1 "below",
        /// The balance rose above the upper one.
        Above = 2 "above",
    }
}

/// The watch of an account: the row to store. A row without thresholds watches nothing; a store may
/// remove it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WatchRow {
    /// The account.
    pub account: AccountId,
    /// How the wallet is kept.
    pub tier: Tier,
    /// A posted balance under this is a crossing, in minor units.
    pub below: Option<Amount>,
    /// A posted balance over this is a crossing, in minor units.
    pub above: Option<Amount>,
    /// What happens then.
    pub action: WatchAction,
}

/// The posted balance of a watched account has crossed a threshold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Crossing {
    /// The account.
    pub account: AccountId,
    /// How the wallet is kept.
    pub tier: Tier,
    /// Which threshold.
    pub edge: Edge,
    /// Its value, in minor units.
    pub threshold: Amount,
    /// The posted balance after the crossing.
    pub balance: Balance,
    /// The number of the account's newest transfer; 0 for none.
    pub number: u64,
    /// When.
    pub at: Instant,
    /// What was done.
    pub action: WatchAction,
}
