//! The two sides of a reconciliation: the partner's statement and the ledger's extract.

use super::reference::{Key, of_partner};
use super::{Day, Period};
use crate::{Balance, Side, TransferRow};
use std::collections::BTreeSet;
use tpw_core::{AccountId, Amount, Asset, Instant, PaymentId, TransferId};

/// The most lines of one side.
pub const LINES_MAX: usize = 1_000_000;

tpw_core::codes! {
    /// How far a partner has come with a line. Only booked lines are part of its balance.
    LineStatus: u8 {
        /// It is part of the balance.
        Booked = 1 "booked",
        /// It is announced and not part of the balance.
        Pending = 2 "pending",
        /// It is told for information only.
        Information = 3 "information",
    }
}

/// The names under which a partner knows one line.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct LineReferences {
    /// The payer's reference that every bank in between hands on.
    pub end_to_end: Option<String>,
    /// The reference of the first bank.
    pub transaction: Option<String>,
    /// The reference between two banks.
    pub instruction: Option<String>,
    /// The unique end-to-end transaction reference, a UUID.
    pub uetr: Option<String>,
    /// The reference of the partner that keeps the account.
    pub servicer: Option<String>,
    /// The number of the entry in the statement.
    pub entry: Option<String>,
    /// The payee's reference, for example of an invoice.
    pub creditor: Option<String>,
    /// The reference of the collective entry of which the line is a part. It names no single line.
    pub collective: Option<String>,
}

impl LineReferences {
    /// Those that name this line alone.
    pub(super) fn own(&self) -> impl Iterator<Item = &str> {
        [
            &self.end_to_end,
            &self.transaction,
            &self.instruction,
            &self.uetr,
            &self.servicer,
            &self.entry,
            &self.creditor,
        ]
        .into_iter()
        .filter_map(|reference| reference.as_deref())
    }
}

/// One movement that the partner states.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartnerLine {
    /// Its place in the file: the number of the entry in a camt.053 statement, the line of a CSV file.
    pub place: u64,
    /// Its place among the details of a collective entry, from 1; 0 if it stands for the whole entry.
    pub part: u32,
    /// The side on which the account at the partner stands.
    pub side: Side,
    /// How much.
    pub amount: Amount,
    /// How far the partner has come with it.
    pub status: LineStatus,
    /// Whether it takes back an earlier line.
    pub reversal: bool,
    /// The day on which the partner booked it.
    pub booked: Option<Day>,
    /// The day from which it counts for interest.
    pub value: Option<Day>,
    /// The names under which the partner knows it.
    pub references: LineReferences,
    /// The other party's name; empty if unknown.
    pub counterparty: String,
    /// The words that came with it.
    pub text: String,
}

impl PartnerLine {
    /// The day by which it is matched: when it was booked, or from when it counts.
    #[must_use]
    pub fn day(&self) -> Option<Day> {
        self.booked.or(self.value)
    }
}

/// What the account at the partner held before and after the lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Balances {
    /// Before the first line.
    pub opening: Balance,
    /// After the last line.
    pub closing: Balance,
}

/// A partner's statement of one account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartnerStatement {
    /// The partner's number of the statement.
    pub id: Option<String>,
    /// The account at the partner.
    pub account: Option<String>,
    /// What it holds.
    pub asset: Asset,
    /// The days that it covers.
    pub period: Period,
    /// What it held; unknown for a CSV file without balances.
    pub balances: Option<Balances>,
    /// Its lines in the order of the file.
    pub lines: Vec<PartnerLine>,
}

impl PartnerStatement {
    /// Every id that a line names: of payments, of transfers, or of the partner's own. Whoever attaches payments to the ledger's lines
    /// looks for them among these.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<[u8; 16]> {
        let keys = self.lines.iter().flat_map(of_partner);
        keys.filter_map(|key| if let Key::Id(id) = key { Some(id) } else { None }).collect()
    }
}

/// A transfer of the ledger that moved money on the account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LedgerLine {
    /// Its number in the ledger.
    pub number: u64,
    /// Its id.
    pub transfer: TransferId,
    /// The side on which the account stands.
    pub side: Side,
    /// How much.
    pub amount: Amount,
    /// From when on it counts: its effective time, by which a value date of the past is its day.
    pub at: Instant,
    /// The payment that it belongs to.
    pub payment: Option<PaymentId>,
    /// Other names under which the partner may know it, such as the rail's reference.
    pub references: Vec<String>,
}

impl LedgerLine {
    /// From a stored transfer; `None` if it moved no money on this account.
    #[must_use]
    pub fn of(
        row: &TransferRow,
        account: &AccountId,
        payment: Option<PaymentId>,
        references: Vec<String>,
    ) -> Option<Self> {
        let side = row.side_of(account).filter(|_| row.kind.moves_money())?;
        let (number, transfer, amount, at) = (row.number, row.id, row.money.amount, row.effective);
        Some(Self { number, transfer, side, amount, at, payment, references })
    }
}

/// What the ledger holds of an account: its balance around a period and its transfers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LedgerExtract {
    /// What it holds.
    pub asset: Asset,
    /// The posted balance before the period.
    pub opening: Balance,
    /// The posted balance after the period.
    pub closing: Balance,
    /// Whether the payment was looked up for every line. Then a partner's line that names a payment is matched with that payment's
    /// transfer or with none.
    pub knows_payments: bool,
    /// All transfers of the period by number, and those of some days around it, which the partner may have booked in
    /// the period.
    pub lines: Vec<LedgerLine>,
}

/// A balance after a movement.
pub(super) fn moved(balance: Balance, side: Side, amount: Amount) -> Option<Balance> {
    match side {
        Side::Credit => balance.credited(amount),
        Side::Debit => balance.debited(amount),
    }
}

/// `a - b`, or `None` beyond what fits.
pub(super) fn less(a: Balance, b: Balance) -> Option<Balance> {
    if b.is_negative() { a.credited(b.magnitude()) } else { a.debited(b.magnitude()) }
}

/// `a + b`, or `None` beyond what fits.
pub(super) fn sum(a: Balance, b: Balance) -> Option<Balance> {
    if b.is_negative() { a.debited(b.magnitude()) } else { a.credited(b.magnitude()) }
}

/// The sum of the lines that are part of the balance.
pub(super) fn booked_sum(lines: &[PartnerLine]) -> Option<Balance> {
    let booked = lines.iter().filter(|line| line.status == LineStatus::Booked);
    booked
        .map(|line| (line.side, line.amount))
        .try_fold(Balance::ZERO, |total, (side, amount)| moved(total, side, amount))
}

/// A plain decimal in whole minor units, exactly: `12.340` of `USD/2` is 1234, `12.345` is nothing.
pub(super) fn units(text: &str, asset: Asset) -> Option<Amount> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = fraction.trim_end_matches('0');
    let exact = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
    asset.parse_units(&exact).ok()
}
