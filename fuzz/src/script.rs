//! Bytes as actions on the ledger: whatever is ordered, sums stay zero, a refusal changes nothing, and the rows that were
//! handed out rebuild the same ledger.

use std::collections::BTreeMap;

use tpw_core::{AccountId, Amount, Instant, Money, TransferId};
use tpw_ledger::{
    Account, AccountKind, FreezeReason, HoldChange, Ledger, Limits, NewAccount, Operation,
    Original, Reversal, TransferRequest, TransferRow,
};

use crate::world::{account, at};

const ASSETS: [&str; 2] = ["USD/2", "BTC/8"];

/// What a store would keep.
#[derive(Default)]
struct Rows {
    accounts: BTreeMap<AccountId, Account>,
    holds: BTreeMap<TransferId, tpw_ledger::HoldRow>,
    transfers: Vec<TransferRow>,
}

struct Actor<'d> {
    data: std::slice::Iter<'d, u8>,
    ledger: Ledger,
    rows: Rows,
    now: Instant,
    next: u64,
}

pub fn script(data: &[u8]) {
    let mut actor = Actor::new(data);
    actor.open();
    while actor.act().is_some() {
        actor.judge();
    }
}

impl<'d> Actor<'d> {
    fn new(data: &'d [u8]) -> Self {
        Self {
            data: data.iter(),
            ledger: Ledger::new(),
            rows: Rows::default(),
            now: at(0),
            next: 0,
        }
    }

    /// Accounts 0 and 1 bring money in, of one asset each; 2 to 5 hold it; 6 does not exist.
    fn open(&mut self) {
        for number in 0..6_u8 {
            let kind = if number < 2 { AccountKind::Issuance } else { AccountKind::Custodial };
            let asset = ASSETS[usize::from(number % 2)].parse().unwrap();
            let new = NewAccount { id: account(number), asset, kind, owner: None, limits: Limits::NONE };
            self.ledger.apply(Operation::Open(new), self.now).unwrap();
        }
        self.keep();
    }

    fn byte(&mut self) -> Option<u8> {
        self.data.next().copied()
    }

    fn id(&mut self) -> TransferId {
        self.next += 1;
        let mut tail = [0; 10];
        tail[2..].copy_from_slice(&self.next.to_be_bytes());
        TransferId::new(self.now.unix_ms(), tail)
    }

    fn leg(&mut self) -> Option<TransferRequest> {
        let (debit, credit, size) = (self.byte()?, self.byte()?, self.byte()?);
        let minor = match size {
            0 => 0,
            255 => u128::MAX,
            254 => u128::MAX / 2,
            size => u128::from(size) * 100,
        };
        let asset = ASSETS[usize::from(debit % 2)].parse().unwrap();
        let money = Money { amount: Amount::from_minor(minor), asset };
        Some(TransferRequest {
            id: self.id(),
            debit: account(debit % 7),
            credit: account(credit % 7),
            money,
            effective: None,
        })
    }

    fn a_hold(&mut self) -> Option<TransferId> {
        let pick = usize::from(self.byte()?);
        Some(
            self.rows
                .holds
                .keys()
                .nth(pick % (self.rows.holds.len() + 1))
                .copied()
                .unwrap_or_else(|| self.id()),
        )
    }

    /// One action; `None` at the end of the bytes.
    fn act(&mut self) -> Option<()> {
        let before = self.ledger.clone();
        let outcome = match self.byte()? % 9 {
            0 => {
                let count = usize::from(self.byte()? % 4);
                let mut legs = Vec::new();
                for _ in 0..count {
                    legs.push(self.leg()?);
                }
                self.ledger.apply(Operation::Transfer(&legs), self.now)
            }
            1 => {
                let request = self.leg()?;
                let expires = at(self.now.unix_ms() - at(0).unix_ms() + u64::from(self.byte()?));
                self.ledger.apply(Operation::Hold { request, expires }, self.now)
            }
            2 => {
                let (hold, part) = (self.a_hold()?, self.byte()?);
                let amount = (part > 0).then(|| Amount::from_minor(u128::from(part) * 50));
                let id = self.id();
                self.ledger.apply(Operation::Post { hold, id, amount }, self.now)
            }
            3 => {
                let (hold, id) = (self.a_hold()?, self.id());
                self.ledger.apply(Operation::Void { hold, id }, self.now)
            }
            4 => self.reverse()?,
            5 => {
                let account = account(self.byte()? % 7);
                self.ledger
                    .apply(Operation::Freeze { account, why: FreezeReason::ALL[0] }, self.now)
            }
            6 => {
                let account = account(self.byte()? % 7);
                self.ledger
                    .apply(Operation::Unfreeze { account, why: FreezeReason::ALL[0] }, self.now)
            }
            7 => {
                let (account, most) = (account(self.byte()? % 7), self.byte()?);
                let most = Some(Amount::from_minor(u128::from(most) * 100));
                let limits = Limits::NONE.with_debit_max_per_transfer(most);
                self.ledger.apply(Operation::SetLimits { account, limits }, self.now)
            }
            _ => {
                self.now = at(self.now.unix_ms() - at(0).unix_ms() + u64::from(self.byte()?));
                self.ledger.expire(self.now);
                self.keep();
                return Some(());
            }
        };
        if outcome.is_err() {
            assert!(self.ledger == before, "a refusal changes nothing");
        }
        self.keep();
        Some(())
    }

    fn reverse(&mut self) -> Option<Result<tpw_ledger::Applied, tpw_ledger::LedgerError>> {
        let pick = usize::from(self.byte()?);
        let row = self.rows.transfers.get(pick).copied()?;
        let of =
            Original { number: row.number, debit: row.debit, credit: row.credit, money: row.money };
        let id = self.id();
        Some(self.ledger.apply(Operation::Reverse(&[Reversal { of, id }]), self.now))
    }

    fn keep(&mut self) {
        let changes = self.ledger.take_changes();
        self.rows
            .accounts
            .extend(changes.saves.into_iter().map(|account| (account.id, account)));
        self.rows.transfers.extend(changes.transfers);
        for change in changes.holds {
            match change {
                HoldChange::Opened(hold) => {
                    self.rows.holds.insert(hold.id, hold);
                }
                HoldChange::Resolved { hold, .. } => {
                    self.rows.holds.remove(&hold);
                }
            }
        }
    }

    fn judge(&self) {
        for total in self.ledger.totals().unwrap() {
            assert!(total.is_balanced(), "sums stay zero");
        }
        for account in self.ledger.accounts() {
            assert!(account.kind.may_go_negative() || !account.available().is_negative());
        }
        let (accounts, holds) =
            (self.rows.accounts.values().cloned(), self.rows.holds.values().copied());
        let last = self.ledger.next_number() - 1;
        let mut restoring = Ledger::restoring(accounts).expect("the rows are accounts");
        for row in &self.rows.transfers {
            if row.number >= restoring.replay_from() {
                restoring.replay(row).expect("the transfers replay");
            }
        }
        let again = restoring.finish(holds, last).expect("the rows rebuild a ledger");
        assert_eq!(again.totals(), self.ledger.totals());
        assert_eq!(again.holds().collect::<Vec<_>>(), self.ledger.holds().collect::<Vec<_>>());
    }
}

pub fn script_seeds() -> Vec<Vec<u8>> {
    vec![
        vec![0, 1, 0, 2, 9, 0, 1, 2, 4, 3, 1, 2, 4, 5, 60, 2, 0, 1, 8, 200],
        vec![
            0, 2, 0, 2, 9, 1, 3, 8, 4, 0, 5, 2, 0, 1, 2, 4, 1, 6, 2, 7, 2, 3, 1, 0, 4, 255, 9, 3, 0,
        ],
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_seed_moves_money() {
        let mut actor = super::Actor::new(&[0, 1, 0, 2, 9]);
        actor.open();
        while actor.act().is_some() {}
        assert_eq!(actor.rows.transfers.len(), 1);
    }
}
