//! What an account may do, how it is watched, what it had in the past, and which accounts belong together.

use super::Text;
use serde::{Deserialize, Serialize};
use tpw_core::{AccountId, AccountSetId, Amount, Asset, Instant};
use tpw_ledger::Balance;
#[cfg(test)]
use utoipa::ToSchema;

/// Why an account is frozen, or no longer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// `holder`, `operator`, `risk`, `sanctions`, `order` or `watch`; `operator` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The most that an account may send at once and hold. What is absent is not limited.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AccountLimits {
    /// The most that one transfer may debit, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub debit_max: Option<Text<Amount>>,
    /// The most that it may come to hold, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub balance_max: Option<Text<Amount>>,
}

/// The most that may leave an account within a window of time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VelocityLimit {
    /// How long a window is, in seconds. Windows follow each other from 1970-01-01T00:00:00Z on.
    pub window_s: u64,
    /// The most that may be debited, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub amount_max: Option<Text<Amount>>,
    /// How often it may be debited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count_max: Option<u64>,
}

/// All velocity limits of an account, in place of those before.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VelocityLimits {
    /// At most 4; none lifts all.
    pub limits: Vec<VelocityLimit>,
}

/// A velocity limit with what was used of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct VelocityUse {
    /// The limit.
    pub limit: VelocityLimit,
    /// When the window began that the next two numbers are about.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub since: Text<Instant>,
    /// What was debited in it, in minor units.
    #[cfg_attr(test, schema(value_type = String))]
    pub amount: Text<Amount>,
    /// How often it was debited in it.
    pub count: u64,
}

/// How an account's balance is watched.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// How the wallet is kept: `hot` or `cold`.
    #[cfg_attr(test, schema(example = "hot"))]
    pub tier: String,
    /// A posted balance under this is a crossing, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub below: Option<Text<Amount>>,
    /// A posted balance over this is a crossing, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub above: Option<Text<Amount>>,
    /// What happens then: `alert` or `alert_and_freeze`.
    #[cfg_attr(test, schema(example = "alert"))]
    pub action: String,
}

/// What guards an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct AccountGuards {
    /// The account.
    #[cfg_attr(test, schema(value_type = String))]
    pub account: Text<AccountId>,
    /// Its limits.
    pub limits: AccountLimits,
    /// Its velocity limits with what was used of them.
    pub velocities: Vec<VelocityUse>,
    /// How it is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
}

/// A balance that came to lie beyond a threshold.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Crossing {
    /// Its place, from 1.
    pub place: u64,
    /// The account.
    #[cfg_attr(test, schema(value_type = String))]
    pub account: Text<AccountId>,
    /// How the wallet is kept.
    pub tier: String,
    /// Which threshold: `below` or `above`.
    pub edge: String,
    /// Its value, in minor units.
    #[cfg_attr(test, schema(value_type = String))]
    pub threshold: Text<Amount>,
    /// The posted balance after the crossing, in minor units; may begin with `-`.
    #[cfg_attr(test, schema(value_type = String))]
    pub balance: Text<Balance>,
    /// The number of the account's newest transfer.
    pub number: u64,
    /// When.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub at: Text<Instant>,
    /// What was done.
    pub action: String,
}

/// Crossings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct CrossingList {
    /// Oldest first.
    pub items: Vec<Crossing>,
    /// Give it as `after` to get those that follow; absent when there may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

/// What an account had at a time of the past.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PastBalance {
    /// The account.
    #[cfg_attr(test, schema(value_type = String))]
    pub account: Text<AccountId>,
    /// The time.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub at: Text<Instant>,
    /// The posted balance of what was booked by then, in minor units; may begin with `-`.
    #[cfg_attr(test, schema(value_type = String))]
    pub posted: Text<Balance>,
    /// What of it was not held, in minor units.
    #[cfg_attr(test, schema(value_type = String))]
    pub available: Text<Balance>,
    /// The posted balance by value date: of all that counts from then or before, whenever it was booked.
    #[cfg_attr(test, schema(value_type = String))]
    pub by_value: Text<Balance>,
    /// How many transfers it had had.
    pub transfers: u64,
    /// The number of the newest of them; 0 for none.
    pub as_of_transfer: u64,
}

/// A set of accounts to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewAccountSet {
    /// What all its members hold.
    #[cfg_attr(test, schema(value_type = String))]
    pub asset: Text<Asset>,
}

/// A set of accounts with its sums.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct AccountSet {
    /// The id.
    #[cfg_attr(test, schema(value_type = String))]
    pub id: Text<AccountSetId>,
    /// What all its members hold.
    #[cfg_attr(test, schema(value_type = String))]
    pub asset: Text<Asset>,
    /// When it was made.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub opened: Text<Instant>,
    /// How many accounts belong to it, in whatever way.
    pub accounts: u64,
    /// The sum of their posted balances, in minor units; may begin with `-`.
    #[cfg_attr(test, schema(value_type = String))]
    pub posted: Text<Balance>,
    /// The sum of what is available.
    #[cfg_attr(test, schema(value_type = String))]
    pub available: Text<Balance>,
}

/// Members of a set of accounts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct MemberList {
    /// Its own members: accounts (`acc_…`), then sets (`set_…`), each in the order of their ids.
    pub items: Vec<String>,
    /// Give it as `after` to get those that follow; absent when there may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<String>,
}
