//! A partner's statement set against the ledger.

use super::Text;
use serde::{Deserialize, Serialize};
use tpw_core::{AccountId, Amount, Asset, Instant, PaymentId, TransferId};
use tpw_ledger::Balance;
#[cfg(test)]
use utoipa::ToSchema;

/// A line of the ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct LedgerLine {
    /// The number of the transfer.
    pub number: u64,
    /// Its id.
    #[cfg_attr(test, schema(value_type = String))]
    pub transfer: Text<TransferId>,
    /// `credit` or `debit` of the account here.
    pub side: String,
    /// Minor units.
    #[cfg_attr(test, schema(value_type = String))]
    pub amount: Text<Amount>,
    /// From when on it counts.
    #[cfg_attr(test, schema(value_type = String, format = DateTime))]
    pub at: Text<Instant>,
    /// The payment, if the partner names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub payment: Option<Text<PaymentId>>,
}

/// A line of the partner.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct PartnerLine {
    /// The entry of the statement, or the line of the CSV file.
    pub place: u64,
    /// Its place among the details of a collective entry; 0 for a whole entry.
    pub part: u32,
    /// `credit` or `debit` of the account there.
    pub side: String,
    /// Minor units.
    #[cfg_attr(test, schema(value_type = String))]
    pub amount: Text<Amount>,
    /// `booked`, `pending` or `information`.
    pub status: String,
    /// Whether it takes back an earlier line.
    pub reversal: bool,
    /// The day on which the partner booked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booked: Option<String>,
    /// The day from which it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The names under which the partner knows it.
    pub references: Vec<String>,
    /// The other party.
    pub counterparty: String,
    /// The words that came with it.
    pub text: String,
}

/// What became of some lines.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct ReconciledLines {
    /// `matched`, `carried`, `differing`, `missing_in_ledger`, `missing_at_partner`, `pending_at_partner`,
    /// `duplicate_at_partner`, `duplicate_in_ledger`, `ambiguous`, `outside_period` or `information`.
    pub outcome: String,
    /// How they were matched: `reference` or `amount_and_day`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What differs: `amount`, `direction`, `day`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
    /// The ledger's lines.
    pub ledger: Vec<LedgerLine>,
    /// The partner's lines.
    pub partner: Vec<PartnerLine>,
}

/// How much of one outcome there is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct ReconciledTotal {
    /// The outcome.
    pub outcome: String,
    /// How many of them.
    pub count: u64,
    /// How many of the ledger's lines.
    pub ledger_lines: u64,
    /// How many of the partner's lines.
    pub partner_lines: u64,
    /// By how much more the partner's balance grew because of them, in minor units; may begin with `-`.
    #[cfg_attr(test, schema(value_type = String))]
    pub difference: Text<Balance>,
}

/// Why the closing balances differ: `closing` is `opening` and `unmatched`, each the partner's less the ledger's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct ReconciliationProof {
    /// The difference of the opening balances.
    #[cfg_attr(test, schema(value_type = String))]
    pub opening: Text<Balance>,
    /// The sum of the differences of all outcomes.
    #[cfg_attr(test, schema(value_type = String))]
    pub unmatched: Text<Balance>,
    /// The difference of the closing balances.
    #[cfg_attr(test, schema(value_type = String))]
    pub closing: Text<Balance>,
}

/// One statement set against the ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct Reconciliation {
    /// The partner's number of the statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// The account at the partner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_account: Option<String>,
    /// The account here.
    #[cfg_attr(test, schema(value_type = String))]
    pub account: Text<AccountId>,
    /// Of what.
    #[cfg_attr(test, schema(value_type = String))]
    pub asset: Text<Asset>,
    /// The first day that it covers.
    pub from: String,
    /// The last day that it covers.
    pub to: String,
    /// Whether every line is matched and the balances agree.
    pub clean: bool,
    /// Why the balances differ; absent if the statement has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ReconciliationProof>,
    /// How much of each outcome there is.
    pub totals: Vec<ReconciledTotal>,
    /// The lines that somebody has to look at, or all that were asked for.
    pub items: Vec<ReconciledLines>,
}

/// The statements of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ToSchema))]
pub struct ReconciliationList {
    /// In the order of the file.
    pub items: Vec<Reconciliation>,
}
