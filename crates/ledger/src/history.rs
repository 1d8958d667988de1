//! Balances of the past: walked back along an account's chain from the next mark.

use crate::entry::Counts;
use crate::{Account, Balance, Side, TransferKind, TransferRow};
use core::fmt;
use tpw_core::{AccountId, Amount, Instant};

/// An account's counters as they were after one of its transfers: the row to store.
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

    /// Its counters, from which [`balance_at`] walks back.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        Counters {
            account: self.account,
            transfers: self.transfers,
            number: self.number,
            debits_posted: self.debits_posted,
            credits_posted: self.credits_posted,
            debits_pending: self.debits_pending,
            credits_pending: self.credits_pending,
        }
    }
}

/// An account's counters at some point of its chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counters {
    /// The account.
    pub account: AccountId,
    /// How many links its chain had.
    pub transfers: u64,
    /// The number of the newest transfer in it; 0 for none.
    pub number: u64,
    /// All posted debits.
    pub debits_posted: Amount,
    /// All posted credits.
    pub credits_posted: Amount,
    /// All pending debits.
    pub debits_pending: Amount,
    /// All pending credits.
    pub credits_pending: Amount,
}

/// Why a balance of the past cannot be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HistoryError<E: fmt::Display> {
    /// A transfer could not be read.
    #[error("{0}")]
    Read(E),
    /// A transfer is not there.
    #[error("the transfer number `{0}` is missing; restore the store from a backup")]
    Missing(u64),
    /// A transfer does not fit the counters after it.
    #[error(
        "the transfer number `{0}` contradicts what follows it; restore the store from a backup"
    )]
    Contradiction(u64),
}

impl Counters {
    /// Posted credits less posted debits, in minor units.
    #[must_use]
    pub fn balance(&self) -> Balance {
        Balance::between(self.credits_posted, self.debits_posted)
    }

    /// The balance less what was held for open debits, in minor units.
    #[must_use]
    pub fn available(&self) -> Balance {
        Balance::free(self.credits_posted, self.debits_posted, self.debits_pending)
    }

    /// The counters before their newest transfer.
    fn before(mut self, row: &TransferRow) -> Option<Self> {
        let counts = Counts::of(row.kind, row.money.amount, row.released);
        self.transfers = self.transfers.checked_sub(1)?;
        match row.side_of(&self.account)? {
            Side::Debit => {
                self.number = row.prev_debit;
                counts.take(&mut self.debits_posted, &mut self.debits_pending)?;
            }
            Side::Credit => {
                self.number = row.prev_credit;
                counts.take(&mut self.credits_posted, &mut self.credits_pending)?;
            }
        }
        Some(self)
    }
}

impl Account {
    /// Its present counters, from which [`balance_at`] walks back.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        Counters {
            account: self.id,
            transfers: self.transfers,
            number: self.last,
            debits_posted: self.debits_posted,
            credits_posted: self.credits_posted,
            debits_pending: self.debits_pending,
            credits_pending: self.credits_pending,
        }
    }
}

/// An account's counters after its newest transfer that was booked at `at` or before.
///
/// `from` are the counters of the account's oldest mark that was booked after `at`, or its present
/// ones if there is no such mark: then at most [`Mark::EVERY`] transfers are read. A later point gives
/// the same answer and takes longer.
///
/// # Errors
/// [`HistoryError`] when a transfer cannot be read or does not fit.
pub fn balance_at<E: fmt::Display>(
    from: Counters,
    at: Instant,
    mut row: impl FnMut(u64) -> Result<Option<TransferRow>, E>,
) -> Result<Counters, HistoryError<E>> {
    let mut counters = from;
    while counters.number != 0 {
        let number = counters.number;
        let row = row(number).map_err(HistoryError::Read)?.ok_or(HistoryError::Missing(number))?;
        if row.at <= at {
            break;
        }
        let before = counters.before(&row).filter(|before| before.number < number);
        counters = before.ok_or(HistoryError::Contradiction(number))?;
    }
    Ok(counters)
}

/// The posted balance by value date: of all transfers that count from `at` or before, whenever they
/// were booked.
///
/// `booked` is what [`balance_at`] answers for the same time: nothing booked by then counts from later
/// on. `later` are the account's transfers booked after it whose value date lies before their booking;
/// others among them are passed over. `None` when a sum does not fit or a transfer is another account's.
#[must_use]
pub fn value_balance_at<'r>(
    booked: &Counters,
    at: Instant,
    later: impl IntoIterator<Item = &'r TransferRow>,
) -> Option<Balance> {
    let mut balance = booked.balance();
    for row in later {
        let side = row.side_of(&booked.account)?;
        if row.number <= booked.number || row.effective > at || !row.kind.moves_money() {
            continue;
        }
        balance = match side {
            Side::Debit => balance.debited(row.money.amount)?,
            Side::Credit => balance.credited(row.money.amount)?,
        };
    }
    Some(balance)
}

impl TransferKind {
    /// Whether it promises money that was not promised before: what limits look at.
    pub(crate) const fn promises(self) -> bool {
        matches!(self, Self::Transfer | Self::Hold)
    }
}
