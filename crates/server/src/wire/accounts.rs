//! Accounts, balances and statements.

use super::Text;
use serde::{Deserialize, Serialize};
use tpw_core::{AccountId, Amount, Asset, Hash32, Instant, PersonId, TransferId};
#[cfg(test)]
use utoipa::ToSchema;

/// What an account is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// A customer's money, kept by the operator.
    Custodial,
    /// A customer's money under the customer's own keys.
    SelfCustodial,
    /// The mirror of an account at a clearing partner.
    External,
    /// The operator's counterpart of money brought in.
    Issuance,
    /// The operator's own money: float, fees, hot and cold wallets.
    Operating,
}

/// An account to be opened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// An id of the caller's making; made by the server when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub id: Option<Text<AccountId>>,
    /// The one asset that it will hold.
    #[cfg_attr(test, schema(value_type = String, example = "USD/2"))]
    pub asset: Text<Asset>,
    /// What it is.
    pub kind: AccountKind,
    /// What the owner calls it, 1 to 64 bytes.
    pub label: String,
    /// Minor units that come in on opening.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>, example = "100000"))]
    pub opening: Option<Text<Amount>>,
}

/// An account to be opened for a person, or for nobody.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OpenAccount {
    /// For whom; absent for an account at a clearing partner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub person: Option<Text<PersonId>>,
    /// What.
    pub account: NewAccount,
}

/// Money to bring in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Fund {
    /// Minor units of the account's asset.
    #[cfg_attr(test, schema(value_type = String, example = "100000"))]
    pub amount: Text<Amount>,
}

/// An account with its balance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Account {
    /// The id.
    #[cfg_attr(test, schema(value_type = String))]
    pub id: Text<AccountId>,
    /// Whose it is; absent for the operator's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub person: Option<Text<PersonId>>,
    /// What the owner calls it.
    pub label: String,
    /// What it holds.
    #[cfg_attr(test, schema(value_type = String, example = "USD/2"))]
    pub asset: Text<Asset>,
    /// What it is.
    pub kind: AccountKind,
    /// Who holds the keys to the money: `operator`, `holder` or `partner`.
    pub keys_held_by: String,
    /// Posted credits less posted debits, in minor units; may begin with `-`.
    #[cfg_attr(test, schema(example = "98500"))]
    pub posted: String,
    /// What waiting payments hold, in minor units.
    #[cfg_attr(test, schema(value_type = String, example = "500"))]
    pub pending: Text<Amount>,
    /// Posted less pending, in minor units: what can be spent now.
    #[cfg_attr(test, schema(example = "98000"))]
    pub available: String,
    /// The reasons for which it is frozen; empty when it is not.
    pub frozen: Vec<String>,
    /// How many transfers have touched it.
    pub transfers: u64,
    /// The ledger's number of the last transfer that touched it; 0 before the first.
    pub as_of_transfer: u64,
    /// When this was read.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub as_of: Text<Instant>,
}

/// Accounts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct AccountList {
    /// The accounts.
    pub items: Vec<Account>,
}

/// How far a device's signature chain on an account has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct ChainHead {
    /// The number of the last intent taken; 0 before the first.
    pub sequence: u64,
    /// Its hash, 64 hexadecimal digits; zeros before the first.
    #[cfg_attr(test, schema(value_type = String))]
    pub hash: Text<Hash32>,
}

/// A point of an account's chain of transfers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct StatementPoint {
    /// How many transfers lie before it.
    pub transfers: u64,
    /// The number of the last of them; 0 for none.
    pub last: u64,
    /// The head of the hash chain there.
    #[cfg_attr(test, schema(value_type = String))]
    pub chain: Text<Hash32>,
    /// The posted balance there, in minor units; may begin with `-`.
    pub balance: String,
}

/// One transfer as the ledger stores it; `spec/statement.md` says how the chains are computed from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Transfer {
    /// Its number in the ledger.
    pub number: u64,
    /// Its id.
    #[cfg_attr(test, schema(value_type = String))]
    pub id: Text<TransferId>,
    /// What it did: `transfer`, `hold`, `post`, `void`, `reverse` or `expire`.
    pub kind: String,
    /// The account debited.
    #[cfg_attr(test, schema(value_type = String))]
    pub debit: Text<AccountId>,
    /// The account credited.
    #[cfg_attr(test, schema(value_type = String))]
    pub credit: Text<AccountId>,
    /// Minor units.
    #[cfg_attr(test, schema(value_type = String))]
    pub amount: Text<Amount>,
    /// Of what.
    #[cfg_attr(test, schema(value_type = String))]
    pub asset: Text<Asset>,
    /// When it was booked.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub at: Text<Instant>,
    /// From when on it counts for the balance by value date.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub effective: Text<Instant>,
    /// The number of the hold that it resolves or of the transfer that it reverses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<u64>,
    /// The number of the previous transfer on the debited account.
    pub prev_debit: u64,
    /// The number of the previous transfer on the credited account.
    pub prev_credit: u64,
    /// The head of the debited account's chain after it.
    #[cfg_attr(test, schema(value_type = String))]
    pub debit_chain: Text<Hash32>,
    /// The head of the credited account's chain after it.
    #[cfg_attr(test, schema(value_type = String))]
    pub credit_chain: Text<Hash32>,
}

/// All transfers of an account between two points: the chains prove that none is missing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Statement {
    /// The account.
    #[cfg_attr(test, schema(value_type = String))]
    pub account: Text<AccountId>,
    /// Where it begins.
    pub opening: StatementPoint,
    /// The transfers, oldest first.
    pub items: Vec<Transfer>,
    /// Where it ends.
    pub closing: StatementPoint,
    /// Asks for the transfers before these; absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page: Option<String>,
}
