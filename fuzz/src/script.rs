//! Bytes as actions on the ledger: whatever is ordered, sums stay zero, a refusal changes nothing, and the rows that were
//! handed out rebuild the same ledger.

use std::collections::{BTreeMap, BTreeSet};

use tpw_core::{AccountId, AccountSetId, Amount, Instant, Money, Span, TransferId};
use tpw_ledger::{
    Account, AccountKind, Applied, Balance, Comparison, Condition, FreezeReason, HoldChange,
    Ledger, LedgerError, Limits, Measure, Member, Membership, MembershipChange, NewAccount,
    Operation, Original, Reversal, SetRow, Tier, TransferRequest, TransferRow, Velocity,
    VelocityRow, Watch, WatchAction, WatchRow,
};

use crate::world::{account, at};

const ASSETS: [&str; 2] = ["USD/2", "BTC/8"];

const SETS: u8 = 4;

fn set(number: u8) -> AccountSetId {
    AccountSetId::from_bytes([number; 16])
}

/// What a store would keep.
#[derive(Default)]
struct Rows {
    accounts: BTreeMap<AccountId, Account>,
    holds: BTreeMap<TransferId, tpw_ledger::HoldRow>,
    transfers: Vec<TransferRow>,
    velocities: BTreeMap<(AccountId, u8), VelocityRow>,
    watches: BTreeMap<AccountId, WatchRow>,
    sets: Vec<SetRow>,
    memberships: BTreeSet<Membership>,
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
            let new =
                NewAccount { id: account(number), asset, kind, owner: None, limits: Limits::NONE };
            self.ledger.apply(Operation::Open(new), self.now).unwrap();
        }
        for number in 0..SETS {
            let asset = ASSETS[usize::from(number % 2)].parse().unwrap();
            let open = Operation::OpenSet { id: set(number), asset };
            self.ledger.apply(open, self.now).unwrap();
        }
        self.ledger.set_save_window(3);
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
        let outcome = match self.byte()? % 14 {
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
            9 => self.belong()?,
            10 => self.velocities()?,
            11 => self.watch()?,
            12 => self.condition()?,
            13 => {
                let account = account(self.byte()? % 7);
                self.ledger.apply(Operation::Close { account }, self.now)
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

    fn belong(&mut self) -> Option<Result<Applied, LedgerError>> {
        let (outer, member) = (self.byte()?, self.byte()?);
        let inner = member / 2;
        let member = match member % 2 {
            0 => Member::Account(account(inner % 7)),
            _ => Member::Set(set(inner % (SETS + 1))),
        };
        let membership = Membership { set: set(outer / 2 % (SETS + 1)), member };
        let op = match outer % 2 {
            0 => Operation::Join(membership),
            _ => Operation::Leave(membership),
        };
        Some(self.ledger.apply(op, self.now))
    }

    fn velocities(&mut self) -> Option<Result<Applied, LedgerError>> {
        let (account, count) = (account(self.byte()? % 7), self.byte()? % 6);
        let mut velocities = Vec::new();
        for _ in 0..count {
            let (window, amount, times) = (self.byte()?, self.byte()?, self.byte()?);
            velocities.push(Velocity {
                window: Span::from_ms(window.into()),
                amount_max: (amount > 0).then(|| Amount::from_minor(u128::from(amount) * 100)),
                count_max: (times > 0).then(|| times.into()),
            });
        }
        let op = Operation::SetVelocities { account, velocities: &velocities };
        Some(self.ledger.apply(op, self.now))
    }

    fn watch(&mut self) -> Option<Result<Applied, LedgerError>> {
        let (who, below, above) = (self.byte()?, self.byte()?, self.byte()?);
        let threshold = |n: u8| (n > 0).then(|| Amount::from_minor(u128::from(n) * 100));
        let watch = Watch {
            tier: Tier::Hot,
            below: threshold(below),
            above: threshold(above),
            action: WatchAction::ALL[usize::from(who / 7 % 2)],
        };
        let watch = (who / 14 % 4 > 0).then_some(watch);
        let op = Operation::SetWatch { account: account(who % 7), watch };
        Some(self.ledger.apply(op, self.now))
    }

    fn condition(&mut self) -> Option<Result<Applied, LedgerError>> {
        let (who, what, than) = (self.byte()?, self.byte()?, self.byte()?);
        let leg = self.leg()?;
        let condition = Condition {
            account: account(who % 7),
            on: Measure::ALL[usize::from(what % 4)],
            is: Comparison::ALL[usize::from(what / 4 % 5)],
            than: Balance::between(Amount::from_minor(u128::from(than) * 100), Amount::ZERO),
        };
        Some(self.ledger.apply_if(Operation::Transfer(&[leg]), &[condition], self.now))
    }

    fn reverse(&mut self) -> Option<Result<Applied, LedgerError>> {
        let pick = usize::from(self.byte()?);
        let row = self.rows.transfers.get(pick).copied()?;
        let of =
            Original { number: row.number, debit: row.debit, credit: row.credit, money: row.money };
        let id = self.id();
        Some(self.ledger.apply(Operation::Reverse(&[Reversal { of, id }]), self.now))
    }

    fn keep(&mut self) {
        let changes = self.ledger.take_changes();
        self.rows.accounts.extend(changes.saves.into_iter().map(|account| (account.id, account)));
        self.rows.transfers.extend(changes.transfers);
        let velocities = changes.velocities.into_iter();
        self.rows.velocities.extend(velocities.map(|row| ((row.account, row.place), row)));
        self.rows.watches.extend(changes.watches.into_iter().map(|row| (row.account, row)));
        self.rows.sets.extend(changes.sets);
        for change in changes.memberships {
            match change {
                MembershipChange::Joined(row) => assert!(self.rows.memberships.insert(row)),
                MembershipChange::Left(row) => assert!(self.rows.memberships.remove(&row)),
            }
        }
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
        let velocities = self.rows.velocities.values().copied();
        restoring.velocities(velocities).expect("the limits fit");
        restoring.watches(self.rows.watches.values().copied()).expect("the watches fit");
        let members = self.rows.memberships.iter().copied();
        restoring.sets(self.rows.sets.iter().copied(), members).expect("the sets fit");
        for row in &self.rows.transfers {
            if row.number >= restoring.replay_from() {
                restoring.replay(row).expect("the transfers replay");
            }
        }
        let again = restoring.finish(holds, last).expect("the rows rebuild a ledger");
        assert_eq!(again.totals(), self.ledger.totals());
        assert_eq!(again.audit_root(), self.ledger.audit_root());
        assert!(again.sets().eq(self.ledger.sets()), "sets add up to the same");
        assert_eq!(again.holds().collect::<Vec<_>>(), self.ledger.holds().collect::<Vec<_>>());
    }
}

pub fn script_seeds() -> Vec<Vec<u8>> {
    vec![
        vec![0, 1, 0, 2, 9, 0, 1, 2, 4, 3, 1, 2, 4, 5, 60, 2, 0, 1, 8, 200],
        vec![
            0, 2, 0, 2, 9, 1, 3, 8, 4, 0, 5, 2, 0, 1, 2, 4, 1, 6, 2, 7, 2, 3, 1, 0, 4, 255, 9, 3, 0,
        ],
        vec![
            10, 2, 1, 9, 50, 2, 11, 16, 1, 90, 9, 0, 4, 9, 4, 1, 0, 1, 0, 2, 60, 12, 2, 2, 5, 2, 4,
            7, 8, 40, 9, 1, 4, 13, 4, 13, 2, 0, 1, 0, 2, 200,
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
