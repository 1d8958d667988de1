//! Statements: all transfers of one account between two points of its chain, provably complete.
//!
//! The format and the proof are in `spec/statement.md`.

use crate::{Balance, Side, TransferRow};
use tpw_core::{AccountId, Asset, Hash32};

/// A point of an account's chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StatementPoint {
    /// How many links the chain has.
    pub transfers: u64,
    /// The number of the newest transfer in it; 0 for none.
    pub last: u64,
    /// Its head.
    pub chain: Hash32,
    /// The posted balance, in minor units.
    pub balance: Balance,
}

impl StatementPoint {
    /// The beginning of every chain.
    pub const START: Self =
        Self { transfers: 0, last: 0, chain: Hash32::ZERO, balance: Balance::ZERO };

    /// Where the chain stands after one more row.
    ///
    /// # Errors
    /// [`StatementError`] if the row is not the next one of this account.
    pub fn next(&self, row: &TransferRow, account: &AccountId) -> Result<Self, StatementError> {
        let number = row.number;
        row.check().map_err(|_| StatementError::Row(number))?;
        let side = row.side_of(account).ok_or(StatementError::OtherAccount(number))?;
        let (prev, head) = match side {
            Side::Debit => (row.prev_debit, row.debit_chain),
            Side::Credit => (row.prev_credit, row.credit_chain),
        };
        if prev != self.last {
            return Err(StatementError::Gap { number, expected: self.last, found: prev });
        }
        if row.link(&self.chain, side) != head {
            return Err(StatementError::Chain(number));
        }
        let balance = match (row.kind.moves_money(), side) {
            (false, _) => Some(self.balance),
            (true, Side::Debit) => self.balance.debited(row.money.amount),
            (true, Side::Credit) => self.balance.credited(row.money.amount),
        };
        let transfers = self.transfers.checked_add(1);
        let (Some(balance), Some(transfers)) = (balance, transfers) else {
            return Err(StatementError::Overflow(number));
        };
        Ok(Self { transfers, last: number, chain: head, balance })
    }
}

/// Why rows are not the complete statement between two points.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StatementError {
    /// A row that no ledger makes.
    #[error("the transfer number `{0}` is malformed; ask for the statement again")]
    Row(u64),
    /// A row of other accounts.
    #[error("the transfer number `{0}` does not belong to this account")]
    OtherAccount(u64),
    /// A row of another asset than the row before it.
    #[error("the transfer number `{0}` is of another asset than those before it")]
    OtherAsset(u64),
    /// A row is missing, added or out of order.
    #[error("the transfer number `{number}` follows `{found}`, but `{expected}` stands before it")]
    Gap {
        /// The row.
        number: u64,
        /// The number of the row before it in the statement.
        expected: u64,
        /// The number that it names as its predecessor.
        found: u64,
    },
    /// A row was altered, or the head that it starts from is not the right one.
    #[error("the transfer number `{0}` does not fit the hash chain; it or the opening was altered")]
    Chain(u64),
    /// A balance or a count that does not fit.
    #[error("the balance after transfer number `{0}` would not fit in 128 bits")]
    Overflow(u64),
    /// The rows end at another place of the chain than the closing point.
    #[error("the statement ends at transfer number `{found}`, but should end at `{expected}`")]
    ClosingChain {
        /// The number at the closing point.
        expected: u64,
        /// The number at which the rows end.
        found: u64,
    },
    /// The number of rows is not what lies between the points.
    #[error("the statement ends after `{found}` transfers of the account, not `{expected}`")]
    ClosingCount {
        /// The count at the closing point.
        expected: u64,
        /// The count at which the rows end.
        found: u64,
    },
    /// The rows do not lead from the opening to the closing balance.
    #[error("the rows lead to the balance `{found}`, but the statement says `{expected}`")]
    ClosingBalance {
        /// The balance at the closing point.
        expected: Balance,
        /// The balance to which the rows lead.
        found: Balance,
    },
}

/// Checks that `rows` are all transfers of `account` between two points, in order and unaltered.
///
/// Both points must come from a place that is trusted, such as receipts or a signed statement; the
/// rows may come from anywhere. [`StatementPoint::START`] needs no trust.
///
/// # Errors
/// [`StatementError`] naming the first row or the end that does not fit.
pub fn verify_statement<'r>(
    rows: impl IntoIterator<Item = &'r TransferRow>,
    account: &AccountId,
    opening: &StatementPoint,
    closing: &StatementPoint,
) -> Result<(), StatementError> {
    let mut point = *opening;
    let mut asset: Option<Asset> = None;
    for row in rows {
        point = point.next(row, account)?;
        if asset.is_some_and(|asset| asset != row.money.asset) {
            return Err(StatementError::OtherAsset(row.number));
        }
        asset = Some(row.money.asset);
    }
    if point.last != closing.last || point.chain != closing.chain {
        return Err(StatementError::ClosingChain { expected: closing.last, found: point.last });
    }
    if point.transfers != closing.transfers {
        let (expected, found) = (closing.transfers, point.transfers);
        return Err(StatementError::ClosingCount { expected, found });
    }
    if point.balance != closing.balance {
        let (expected, found) = (closing.balance, point.balance);
        return Err(StatementError::ClosingBalance { expected, found });
    }
    Ok(())
}
