//! Reading accounts: as they are, as they were, and what happened to them.

use super::directory::AccountView;
use super::{Engine, EngineError, PayError};
use crate::books::{BooksReader, StoreError};
use tpw_core::{AccountId, AccountSetId, Amount, Instant, PersonId};
use tpw_flow::{Answer, Command, EventRow, Guards, Look};
use tpw_ledger::{
    Account, AssetTotal, Balance, Counters, Crossing, HistoryError, Member, SetBalance,
    TransferRow, balance_at, value_balance_at,
};

/// A place in the sequence of all that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// The number of the last transfer before it; 0 at the beginning.
    pub transfer: u64,
    /// The number of the last event before it; 0 at the beginning.
    pub event: u64,
}

/// One of the things that happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Money moved or was held.
    Transfer(TransferRow),
    /// Something else.
    Event(EventRow),
}

/// What an account had at a time of the past.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Past {
    /// Its counters after the newest transfer booked by then.
    pub booked: Counters,
    /// The posted balance by value date: of all that counts from then or before, whenever it was booked.
    pub by_value: Balance,
}

impl Engine {
    /// An account and its owner.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn account(&self, id: &AccountId) -> Result<Option<AccountView>, EngineError> {
        Ok(self.readers.with(|reader| self.view(reader, *id))?)
    }

    /// Whose an account is; none for the operator's own and for an account that does not exist.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn holder_of(&self, id: &AccountId) -> Result<Option<PersonId>, EngineError> {
        let account = self.readers.with(|reader| self.present(reader, *id))?;
        Ok(account.and_then(|account| account.owner))
    }

    /// A person's accounts, oldest first.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn accounts_of(&self, person: PersonId) -> Result<Vec<AccountView>, EngineError> {
        Ok(self.readers.with(|reader| {
            let ids = reader.accounts_of(person)?;
            let views = ids.into_iter().map(|id| self.view(reader, id));
            views.filter_map(Result::transpose).collect()
        })?)
    }

    fn view(
        &self,
        reader: &dyn BooksReader,
        id: AccountId,
    ) -> Result<Option<AccountView>, StoreError> {
        let Some(account) = self.present(reader, id)? else { return Ok(None) };
        let owner = reader.owner(id)?.ok_or(StoreError::Damaged { what: "owner" })?;
        Ok(Some(AccountView { account, owner }))
    }

    /// An account as of the last commit: from memory if its row is not up to date.
    fn present(
        &self,
        reader: &dyn BooksReader,
        id: AccountId,
    ) -> Result<Option<Account>, StoreError> {
        let moving = || self.directory().moving.get(&id).copied();
        if let Some(account) = moving() {
            return Ok(Some(account));
        }
        let stored = reader.account(id)?;
        // It may have begun to move since the first look, or have been saved in between.
        Ok(moving().or(stored))
    }

    /// An account's transfers, newest first, at most `most`: from the newest, or from number `from` on
    /// downwards, which must be one of the account's.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn statement(
        &self,
        account: AccountId,
        from: Option<u64>,
        most: usize,
    ) -> Result<Vec<TransferRow>, EngineError> {
        Ok(self.readers.with(|reader| {
            let newest = match from {
                Some(number) => number,
                None => self.present(reader, account)?.map_or(0, |account| account.last),
            };
            walk_back(reader, account, newest, most)
        })?)
    }

    /// The number of one of an account's transfers that all transfers booked by `at` lead up to, and few others: where reading the
    /// past begins, however long ago it is. 0 for none.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn newest_by(&self, account: AccountId, at: Instant) -> Result<u64, EngineError> {
        Ok(self.readers.with(|reader| {
            let newest = || self.present(reader, account);
            match reader.mark_after(account, at)? {
                Some(mark) => Ok(mark.number),
                None => Ok(newest()?.map_or(0, |account| account.last)),
            }
        })?)
    }

    /// An account's transfers after number `after` that count from `effective` or before although they were booked later,
    /// oldest first; at most `most`, and one more tells that there are more.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn backdated(
        &self,
        account: AccountId,
        after: u64,
        effective: Instant,
        most: usize,
    ) -> Result<Vec<TransferRow>, EngineError> {
        Ok(self.readers.with(|reader| {
            let mut numbers = reader.backdated(account, effective)?;
            numbers.retain(|number| *number > after);
            numbers.sort_unstable();
            let numbers = numbers.into_iter().take(most.saturating_add(1));
            let rows = numbers.map(|number| reader.transfer(number));
            rows.filter_map(Result::transpose).collect()
        })?)
    }

    /// What an account had at a time of the past. Reads at most [`tpw_ledger::Mark::EVERY`] transfers, and
    /// those that were booked later for an earlier date.
    ///
    /// # Errors
    /// [`EngineError`] when the books cannot be read or contradict themselves.
    pub fn past(&self, account: AccountId, at: Instant) -> Result<Option<Past>, EngineError> {
        let found = self.readers.with(|reader| {
            let Some(present) = self.present(reader, account)? else { return Ok(None) };
            let mark = reader.mark_after(account, at)?;
            let from = mark.map_or_else(|| present.counters(), |mark| mark.counters());
            let booked = match balance_at(from, at, |number| reader.transfer(number)) {
                Ok(booked) => booked,
                Err(HistoryError::Read(error)) => return Err(error),
                Err(_) => return Err(StoreError::Damaged { what: "transfer" }),
            };
            let mut later = Vec::new();
            for number in reader.backdated(account, at)? {
                later.extend(reader.transfer(number)?);
            }
            let by_value = value_balance_at(&booked, at, &later);
            let by_value = by_value.ok_or(StoreError::Damaged { what: "transfer" })?;
            Ok(Some(Past { booked, by_value }))
        });
        Ok(found?)
    }

    /// With how much money an account was opened, as long as nothing has moved on it since: the amount of its only transfer, if that
    /// brought money in at the very instant of the opening. Of an account with more transfers nobody asks any more, and to look for the
    /// first would take as long as its history.
    ///
    /// # Errors
    /// [`EngineError`] when the books cannot be read.
    pub fn opening(&self, account: &Account) -> Result<Option<Amount>, EngineError> {
        if account.transfers > 1 {
            return Ok(None);
        }
        let funding = self.readers.with(|reader| match reader.transfer(account.last)? {
            Some(row) if row.credit == account.id && row.at == account.opened => {
                reader.funding(row.id)
            }
            _ => Ok(None),
        })?;
        Ok(Some(funding.map_or(Amount::ZERO, |funding| funding.amount)))
    }

    /// What happened after a place, in order, at most `most`, each with the place after it. Nothing is left out and nothing
    /// comes twice.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn changes(&self, after: Place, most: usize) -> Result<Vec<(Place, Change)>, EngineError> {
        let (transfers, events) = self.readers.with(|reader| {
            transfers_then_events(
                || reader.transfers(after.transfer, most),
                || reader.events(after.event, most),
            )
        })?;
        Ok(merge(after, &transfers, &events, most))
    }

    /// Crossings of thresholds with a place above `after`, oldest first.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn crossings(&self, after: u64, most: usize) -> Result<Vec<(u64, Crossing)>, EngineError> {
        Ok(self.readers.with(|reader| reader.crossings(after, most))?)
    }

    /// An account's velocity limits and watch.
    ///
    /// # Errors
    /// [`PayError`] when the writer cannot answer.
    pub async fn guards(&self, account: AccountId) -> Result<Option<Guards>, PayError> {
        match self.command(Command::Look(Look::Guards(account))).await? {
            Answer::Guards(guards) => Ok(guards),
            _ => Err(no_answer()),
        }
    }

    /// A set's own members above `after`, at most `most`: accounts, then sets, each in the order of their ids.
    ///
    /// # Errors
    /// [`EngineError::Store`] when the books cannot be read.
    pub fn members(
        &self,
        set: AccountSetId,
        after: Option<Member>,
        most: usize,
    ) -> Result<Vec<Member>, EngineError> {
        Ok(self.readers.with(|reader| reader.members(set, after, most))?)
    }

    /// A set of accounts with its sums.
    ///
    /// # Errors
    /// [`PayError`] when the writer cannot answer.
    pub async fn account_set(&self, id: AccountSetId) -> Result<Option<SetBalance>, PayError> {
        match self.command(Command::Look(Look::Set(id))).await? {
            Answer::Set(set) => Ok(set),
            _ => Err(no_answer()),
        }
    }

    /// Turnover of each asset; their sums are zero.
    ///
    /// # Errors
    /// [`PayError`] when the writer cannot answer.
    pub async fn totals(&self) -> Result<Vec<AssetTotal>, PayError> {
        match self.command(Command::Look(Look::Totals)).await? {
            Answer::Totals(totals) => Ok(totals),
            _ => Err(no_answer()),
        }
    }
}

fn no_answer() -> PayError {
    PayError::Stopped("the writer gave no answer".to_owned())
}

fn walk_back(
    reader: &dyn BooksReader,
    account: AccountId,
    newest: u64,
    most: usize,
) -> Result<Vec<TransferRow>, StoreError> {
    let (mut number, mut rows) = (newest, Vec::new());
    while number != 0 && rows.len() < most {
        let Some(row) = reader.transfer(number)? else { break };
        number = if row.debit == account {
            row.prev_debit
        } else if row.credit == account {
            row.prev_credit
        } else {
            break;
        };
        rows.push(row);
    }
    Ok(rows)
}

/// INVARIANT: transfers are read first. An event that stands before a transfer is committed with it or earlier, so that what is
/// read afterwards lacks none of the events before the transfers that were read, whatever is committed in between.
fn transfers_then_events(
    transfers: impl FnOnce() -> Result<Vec<TransferRow>, StoreError>,
    events: impl FnOnce() -> Result<Vec<EventRow>, StoreError>,
) -> Result<(Vec<TransferRow>, Vec<EventRow>), StoreError> {
    let transfers = transfers()?;
    Ok((transfers, events()?))
}

/// An event stands before the transfer that came next when it happened.
fn merge(
    after: Place,
    transfers: &[TransferRow],
    events: &[EventRow],
    most: usize,
) -> Vec<(Place, Change)> {
    let (mut place, mut merged) = (after, Vec::new());
    let (mut transfers, mut events) = (transfers.iter().peekable(), events.iter().peekable());
    while merged.len() < most {
        let event_is_next = match (events.peek(), transfers.peek()) {
            (Some(event), Some(transfer)) => event.position <= transfer.number,
            // The transfers before it were committed after the transfers were read: they come with the next page.
            (Some(event), None) => event.position <= place.transfer.saturating_add(1),
            (None, Some(_)) => false,
            (None, None) => break,
        };
        let change = if event_is_next {
            events.next().map(|event| {
                place.event = event.seq;
                Change::Event(*event)
            })
        } else {
            transfers.next().map(|row| {
                place.transfer = row.number;
                Change::Transfer(*row)
            })
        };
        let Some(change) = change else { break };
        merged.push((place, change));
    }
    merged
}

#[cfg(test)]
mod tests {
    //! Goal: the feed of changes leaves nothing out, repeats nothing and keeps the order, whatever is committed while a page is read.
    //! Method: a history of transfers and events, of which a reader sees more at its second read than at its first; pages of every
    //! size are put together and compared with the whole.

    use super::*;
    use std::cell::Cell;
    use tpw_core::{Amount, Money, TransferId};
    use tpw_flow::EventKind;
    use tpw_ledger::TransferKind;

    fn transfer(number: u64) -> TransferRow {
        TransferRow {
            number,
            id: TransferId::from_bytes([1; 16]),
            kind: TransferKind::Transfer,
            debit: AccountId::from_bytes([1; 16]),
            credit: AccountId::from_bytes([2; 16]),
            money: Money { amount: Amount::from_minor(1), asset: "USD/2".parse().unwrap() },
            at: Instant::from_unix_ms(1).unwrap(),
            effective: Instant::from_unix_ms(1).unwrap(),
            pending: None,
            prev_debit: 0,
            prev_credit: 0,
            debit_chain: tpw_core::Hash32::ZERO,
            credit_chain: tpw_core::Hash32::ZERO,
            released: Amount::ZERO,
        }
    }

    fn event(seq: u64, position: u64) -> EventRow {
        let at = Instant::from_unix_ms(1).unwrap();
        EventRow { seq, position, at, kind: EventKind::PersonAdded, subject: [0; 16] }
    }

    /// In the order in which it happened; each with the batch that committed it.
    fn history() -> Vec<(usize, Change)> {
        let (t, e) = (
            |batch, number| (batch, Change::Transfer(transfer(number))),
            |batch, seq, position| (batch, Change::Event(event(seq, position))),
        );
        vec![
            e(1, 1, 1),
            t(1, 1),
            t(1, 2),
            e(2, 2, 3),
            e(2, 3, 3),
            t(2, 3),
            t(3, 4),
            e(3, 4, 5),
            e(4, 5, 5),
            t(4, 5),
            e(5, 6, 6),
        ]
    }

    /// A page as it is read while the batches up to `committed` are there, and one more after each read.
    fn page(after: Place, most: usize, committed: &Cell<usize>) -> Vec<(Place, Change)> {
        let seen = || {
            let now = committed.replace(committed.get() + 1);
            history().into_iter().filter(move |(batch, _)| *batch <= now).map(|(_, change)| change)
        };
        let transfers = || {
            let rows = seen().filter_map(|change| match change {
                Change::Transfer(row) if row.number > after.transfer => Some(row),
                _ => None,
            });
            Ok(rows.take(most).collect())
        };
        let events = || {
            let rows = seen().filter_map(|change| match change {
                Change::Event(row) if row.seq > after.event => Some(row),
                _ => None,
            });
            Ok(rows.take(most).collect())
        };
        let (transfers, events) = transfers_then_events(transfers, events).unwrap();
        merge(after, &transfers, &events, most)
    }

    #[test]
    fn pages_are_in_order_and_whole_while_batches_are_committed() {
        let whole: Vec<Change> = history().into_iter().map(|(_, change)| change).collect();
        for most in 1..=12 {
            for committed in 0..=5 {
                let (mut place, committed) = (Place::default(), Cell::new(committed));
                let mut read = Vec::new();
                for _ in 0..30 {
                    let found = page(place, most, &committed);
                    place = found.last().map_or(place, |(place, _)| *place);
                    read.extend(found.into_iter().map(|(_, change)| change));
                }
                assert_eq!(read, whole, "pages of {most}");
            }
        }
    }
}
