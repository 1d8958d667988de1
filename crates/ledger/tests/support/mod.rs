//! What the test files share: ids, money, and a store that keeps what a real store would.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::{BTreeMap, BTreeSet};
use tpw_core::{AccountId, AccountSetId, Amount, Asset, Instant, Money, TransferId};
use tpw_ledger::{
    Account, AccountKind, Changes, HoldChange, HoldRow, Ledger, LedgerError, Limits, Mark,
    Membership, MembershipChange, NewAccount, Operation, Restoring, SetRow, TransferRequest,
    TransferRow, VelocityRow, WatchRow,
};

pub(crate) fn account(n: u8) -> AccountId {
    AccountId::from_bytes([n; 16])
}

pub(crate) fn set(n: u8) -> AccountSetId {
    AccountSetId::from_bytes([n; 16])
}

pub(crate) fn transfer(n: u64) -> TransferId {
    TransferId::from_bytes(u128::from(n).to_be_bytes())
}

pub(crate) fn minor(n: u128) -> Amount {
    Amount::from_minor(n)
}

pub(crate) fn asset(text: &str) -> Asset {
    text.parse().unwrap()
}

pub(crate) fn usd(n: u128) -> Money {
    Money { amount: minor(n), asset: asset("USD/2") }
}

pub(crate) fn at(ms: u64) -> Instant {
    Instant::from_unix_ms(1_700_000_000_000 + ms).unwrap()
}

pub(crate) fn leg(id: u64, debit: u8, credit: u8, money: Money) -> TransferRequest {
    TransferRequest {
        id: transfer(id),
        debit: account(debit),
        credit: account(credit),
        money,
        effective: None,
    }
}

pub(crate) fn new_account(n: u8, asset_text: &str, kind: AccountKind) -> NewAccount {
    let (id, asset) = (account(n), asset(asset_text));
    NewAccount { id, asset, kind, owner: None, limits: Limits::NONE }
}

/// Account 0 issues, accounts 1 to 3 are customers, all in `USD/2`; 4 is a customer in `CNY/2`.
/// Account 1 has 1000.
pub(crate) fn ledger() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.apply(Operation::Open(new_account(0, "USD/2", AccountKind::Issuance)), at(0)).unwrap();
    for n in 1..=3 {
        let new = new_account(n, "USD/2", AccountKind::Custodial);
        ledger.apply(Operation::Open(new), at(0)).unwrap();
    }
    ledger.apply(Operation::Open(new_account(4, "CNY/2", AccountKind::Custodial)), at(0)).unwrap();
    ledger.apply(Operation::Transfer(&[leg(1, 0, 1, usd(1000))]), at(1)).unwrap();
    ledger
}

/// Applies an operation that must be refused, and checks that nothing changed.
pub(crate) fn refused(ledger: &mut Ledger, op: Operation<'_>, now: Instant) -> LedgerError {
    let before = ledger.clone();
    let error = ledger.apply(op, now).unwrap_err();
    assert!(*ledger == before, "a refused operation changed the ledger: {error}");
    error
}

/// A ledger from rows, as a start makes it.
pub(crate) fn rebuild(
    accounts: &[Account],
    transfers: &[TransferRow],
    holds: &[HoldRow],
) -> Result<Ledger, LedgerError> {
    replay(Ledger::restoring(accounts.iter().copied())?, transfers, holds)
}

fn replay(
    mut restoring: Restoring,
    transfers: &[TransferRow],
    holds: &[HoldRow],
) -> Result<Ledger, LedgerError> {
    let from = restoring.replay_from();
    for row in transfers.iter().filter(|row| row.number >= from) {
        restoring.replay(row)?;
    }
    let last = transfers.last().map_or(0, |row| row.number);
    restoring.finish(holds.iter().copied(), last)
}

/// Rows as a real store keeps them.
#[derive(Default)]
pub(crate) struct Store {
    order: Vec<AccountId>,
    accounts: BTreeMap<AccountId, Account>,
    pub(crate) transfers: Vec<TransferRow>,
    holds: BTreeMap<TransferId, HoldRow>,
    pub(crate) marks: Vec<Mark>,
    velocities: BTreeMap<(AccountId, u8), VelocityRow>,
    sets: Vec<SetRow>,
    memberships: BTreeSet<Membership>,
    watches: BTreeMap<AccountId, WatchRow>,
}

impl Store {
    pub(crate) fn commit(&mut self, changes: Changes) {
        for row in changes.saves {
            if self.accounts.insert(row.id, row).is_none() {
                self.order.push(row.id);
            }
        }
        self.transfers.extend(changes.transfers);
        self.marks.extend(changes.marks);
        let velocities = changes.velocities.into_iter();
        self.velocities.extend(velocities.map(|row| ((row.account, row.place), row)));
        self.sets.extend(changes.sets);
        for change in changes.memberships {
            match change {
                MembershipChange::Joined(row) => assert!(self.memberships.insert(row)),
                MembershipChange::Left(row) => assert!(self.memberships.remove(&row)),
            }
        }
        self.watches.extend(changes.watches.into_iter().map(|row| (row.account, row)));
        for change in changes.holds {
            match change {
                HoldChange::Opened(hold) => assert!(self.holds.insert(hold.id, hold).is_none()),
                HoldChange::Resolved { hold, number, by, .. } => {
                    assert!(number < by);
                    assert_eq!(self.holds.remove(&hold).unwrap().number, number);
                }
            }
        }
    }

    pub(crate) fn accounts(&self) -> Vec<Account> {
        self.order.iter().map(|id| self.accounts[id]).collect()
    }

    pub(crate) fn holds(&self) -> Vec<HoldRow> {
        self.holds.values().copied().collect()
    }

    pub(crate) fn rebuild(&self) -> Result<Ledger, LedgerError> {
        let mut restoring = Ledger::restoring(self.accounts().into_iter())?;
        restoring.velocities(self.velocities.values().copied())?;
        restoring.watches(self.watches.values().copied())?;
        restoring.sets(self.sets.iter().copied(), self.memberships.iter().copied())?;
        replay(restoring, &self.transfers, &self.holds())
    }

    /// Demands that no stored account row lacks a transfer that is more than `window` numbers old.
    pub(crate) fn demand_fresh(&self, window: u64) {
        let next = self.transfers.last().map_or(0, |row| row.number) + 1;
        for row in self.transfers.iter().filter(|row| next - row.number > window) {
            for id in [row.debit, row.credit] {
                assert!(self.accounts[&id].last >= row.number, "{id} lacks {}", row.number);
            }
        }
    }

    /// The transfers of one account, in order.
    pub(crate) fn rows_of(&self, id: &AccountId) -> Vec<TransferRow> {
        self.transfers.iter().filter(|row| row.side_of(id).is_some()).copied().collect()
    }
}
