//! The reference model: a plain reading of the rules. It keeps lists and sums them up anew for every
//! question, and shares no code with the ledger.

use std::collections::{BTreeMap, BTreeSet};
use tpw_ledger::{Comparison, FreezeReason, Measure};

pub(crate) type Outcome = Result<(), &'static str>;

#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) window: u64,
    pub(crate) amount_max: Option<i128>,
    pub(crate) count_max: Option<usize>,
    /// From which promise on it counts.
    pub(crate) from: usize,
}

#[derive(Clone, Copy)]
pub(crate) struct Watched {
    pub(crate) below: Option<i128>,
    pub(crate) above: Option<i128>,
    pub(crate) freezes: bool,
}

impl Watched {
    fn beyond(&self, balance: i128) -> Option<bool> {
        let under = self.below.is_some_and(|below| balance < below);
        let over = self.above.is_some_and(|above| balance > above);
        (under || over).then_some(over)
    }
}

#[derive(Clone)]
pub(crate) struct Party {
    pub(crate) asset: u8,
    pub(crate) issues: bool,
    pub(crate) closed: bool,
    pub(crate) frozen: BTreeSet<FreezeReason>,
    pub(crate) debit_max: i128,
    pub(crate) balance_max: i128,
    pub(crate) paces: Vec<Pace>,
    pub(crate) watch: Option<Watched>,
}

#[derive(Clone, Copy)]
pub(crate) struct Move {
    pub(crate) number: u64,
    pub(crate) at: u64,
    pub(crate) effective: u64,
    pub(crate) from: u8,
    pub(crate) to: u8,
    pub(crate) amount: i128,
    pub(crate) asset: u8,
    pub(crate) reversible: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) id: u64,
    pub(crate) step: Move,
    expires: u64,
    pub(crate) open: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Who {
    Account(u8),
    Set(u8),
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Way {
    Move,
    Hold,
    Back,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    pub(crate) account: u8,
    pub(crate) on: Measure,
    pub(crate) is: Comparison,
    pub(crate) than: i128,
}

#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) parties: BTreeMap<u8, Party>,
    pub(crate) moves: Vec<Move>,
    pub(crate) holds: Vec<Held>,
    /// When which account was debited by how much, holds included.
    pub(crate) promised: Vec<(u64, u8, i128)>,
    pub(crate) sets: BTreeMap<u8, BTreeSet<Who>>,
    /// Which account, whether above, and the balance.
    pub(crate) crossings: Vec<(u8, bool, i128)>,
    /// The two accounts of each number.
    pub(crate) touched: Vec<(u8, u8)>,
}

impl Model {
    pub(crate) fn balance(&self, n: u8) -> i128 {
        self.balance_of(n, |_| true)
    }

    pub(crate) fn balance_of(&self, n: u8, counts: impl Fn(&Move) -> bool) -> i128 {
        let moves = self.moves.iter().filter(|m| counts(m));
        moves.map(|m| m.amount * (i128::from(m.to == n) - i128::from(m.from == n))).sum()
    }

    pub(crate) fn held(&self, pick: impl Fn(&Move) -> bool) -> i128 {
        self.holds.iter().filter(|h| h.open && pick(&h.step)).map(|h| h.step.amount).sum()
    }

    pub(crate) fn available(&self, n: u8) -> i128 {
        self.balance(n) - self.held(|m| m.from == n)
    }

    pub(crate) fn numbers(&self) -> u64 {
        self.touched.len() as u64
    }

    fn value(&self, n: u8, on: Measure) -> i128 {
        match on {
            Measure::Posted => self.balance(n),
            Measure::Pending => self.available(n) + self.held(|m| m.to == n),
            Measure::Available => self.available(n),
            Measure::Version => {
                self.touched.iter().filter(|(a, b)| *a == n || *b == n).count() as i128
            }
        }
    }

    fn judge(&self, demands: &[Demand]) -> Outcome {
        for demand in demands {
            let Demand { account, on, is, than } = *demand;
            self.parties.get(&account).ok_or("unknown")?;
            let found = self.value(account, on);
            let holds = match is {
                Comparison::Less => found < than,
                Comparison::AtMost => found <= than,
                Comparison::Equal => found == than,
                Comparison::AtLeast => found >= than,
                Comparison::Greater => found > than,
            };
            if !holds {
                return Err("condition");
            }
        }
        Ok(())
    }

    /// Does something wholly or not at all, and sees which watched balances it made cross.
    pub(crate) fn attempt(
        &mut self,
        demands: &[Demand],
        act: impl FnOnce(&mut Self) -> Outcome,
    ) -> Outcome {
        let mut next = self.clone();
        act(&mut next)?;
        next.judge(demands)?;
        for n in self.parties.keys() {
            next.look(*n, Some(self.balance(*n)));
        }
        *self = next;
        Ok(())
    }

    pub(crate) fn look(&mut self, n: u8, before: Option<i128>) {
        let balance = self.balance(n);
        let party = self.parties.get_mut(&n).unwrap();
        let Some(watch) = party.watch else { return };
        let Some(above) = watch.beyond(balance) else { return };
        if before.and_then(|before| watch.beyond(before)) == Some(above) {
            return;
        }
        if watch.freezes {
            party.frozen.insert(FreezeReason::Watch);
        }
        self.crossings.push((n, above, balance));
    }

    fn check(&self, m: &Move, way: Way) -> Outcome {
        if m.from == m.to {
            return Err("same");
        }
        let from = self.parties.get(&m.from).ok_or("unknown debit")?;
        let to = self.parties.get(&m.to).ok_or("unknown credit")?;
        let most = self.balance(m.to) + self.held(|h| h.to == m.to) + m.amount;
        match () {
            () if m.amount == 0 => Err("zero"),
            () if m.effective > m.at => Err("effective"),
            () if from.asset != m.asset => Err("debit asset"),
            () if to.asset != m.asset => Err("credit asset"),
            () if from.closed => Err("payer closed"),
            () if to.closed => Err("payee closed"),
            () if !from.frozen.is_empty() => Err("payer frozen"),
            () if !to.frozen.is_empty() => Err("payee frozen"),
            () if way != Way::Back && m.amount > from.debit_max => Err("debit limit"),
            () if !from.issues && self.available(m.from) < m.amount => Err("funds"),
            () if way != Way::Back && most > to.balance_max => Err("balance limit"),
            () if way != Way::Back => from.paces.iter().try_for_each(|pace| self.paced(m, pace)),
            () => Ok(()),
        }
    }

    fn paced(&self, m: &Move, pace: &Pace) -> Outcome {
        let window = |at: u64| (1_700_000_000_000 + at) / pace.window;
        let counted = self.promised[pace.from..].iter();
        let used: Vec<i128> = counted
            .filter(|(at, n, _)| *n == m.from && window(*at) == window(m.at))
            .map(|(_, _, amount)| *amount)
            .collect();
        let amount = used.iter().sum::<i128>() + m.amount;
        match () {
            () if pace.amount_max.is_some_and(|max| amount > max) => Err("velocity amount"),
            () if pace.count_max.is_some_and(|max| used.len() + 1 > max) => Err("velocity times"),
            () => Ok(()),
        }
    }

    fn step(&mut self, mut m: Move, way: Way) -> Outcome {
        self.check(&m, way)?;
        self.touched.push((m.from, m.to));
        m.number = self.numbers();
        m.reversible = way == Way::Move;
        if way != Way::Back {
            self.promised.push((m.at, m.from, m.amount));
        }
        if way != Way::Hold {
            self.moves.push(m);
        }
        Ok(())
    }

    pub(crate) fn steps(&mut self, steps: &[Move], way: Way) -> Outcome {
        steps.iter().try_for_each(|m| self.step(*m, way))
    }

    pub(crate) fn hold(&mut self, id: u64, m: Move, expires: u64) -> Outcome {
        if expires <= m.at {
            return Err("expiry past");
        }
        self.step(m, Way::Hold)?;
        let step = Move { number: self.numbers(), ..m };
        self.holds.push(Held { id, step, expires, open: true });
        Ok(())
    }

    pub(crate) fn post(&mut self, id: u64, amount: Option<i128>, now: u64) -> Outcome {
        let place = self.holds.iter().position(|h| h.id == id && h.open).ok_or("not open")?;
        let Held { step, expires, .. } = self.holds[place];
        let amount = amount.unwrap_or(step.amount);
        let frozen = |n| !self.parties[&n].frozen.is_empty();
        match () {
            () if expires <= now => return Err("hold expired"),
            () if amount > step.amount => return Err("above hold"),
            () if amount == 0 => return Err("zero"),
            () if frozen(step.from) => return Err("payer frozen"),
            () if frozen(step.to) => return Err("payee frozen"),
            () => {}
        }
        self.holds[place].open = false;
        self.touched.push((step.from, step.to));
        let (number, at) = (self.numbers(), now);
        self.moves.push(Move { number, at, effective: at, amount, reversible: true, ..step });
        Ok(())
    }

    pub(crate) fn void(&mut self, id: u64) -> Outcome {
        let held = self.holds.iter_mut().find(|h| h.id == id && h.open).ok_or("not open")?;
        held.open = false;
        self.touched.push((held.step.from, held.step.to));
        Ok(())
    }

    pub(crate) fn expire(&mut self, now: u64) -> usize {
        let mut due: Vec<_> = self.holds.iter().filter(|h| h.open && h.expires <= now).collect();
        due.sort_by_key(|h| (h.expires, h.step.number));
        let ids: Vec<u64> = due.iter().map(|h| h.id).collect();
        ids.iter().for_each(|id| self.void(*id).unwrap());
        ids.len()
    }

    /// An account that can still be changed.
    pub(crate) fn usable(&mut self, n: u8) -> Result<&mut Party, &'static str> {
        let party = self.parties.get_mut(&n).ok_or("unknown")?;
        if party.closed { Err("closed") } else { Ok(party) }
    }

    pub(crate) fn close(&mut self, n: u8) -> Outcome {
        let (balance, held) = (self.balance(n), self.held(|m| m.from == n || m.to == n));
        let party = self.usable(n)?;
        match () {
            () if balance != 0 => Err("not zero"),
            () if held != 0 => Err("holds open"),
            () => {
                party.closed = true;
                Ok(())
            }
        }
    }

    /// The accounts that belong to a set in whatever way.
    pub(crate) fn accounts_in(&self, set: u8) -> BTreeSet<u8> {
        let members = self.sets[&set].iter();
        let of = |who: &Who| match who {
            Who::Account(n) => BTreeSet::from([*n]),
            Who::Set(child) => self.accounts_in(*child),
        };
        members.flat_map(of).collect()
    }

    fn contains(&self, outer: u8, inner: u8) -> bool {
        let members = self.sets[&outer].iter();
        outer == inner
            || members.into_iter().any(|m| matches!(m, Who::Set(s) if self.contains(*s, inner)))
    }

    /// Adds a member to a set or removes it. Sets, like accounts, hold the asset of their parity.
    pub(crate) fn belong(&mut self, set: u8, who: Who, joins: bool) -> Outcome {
        self.sets.get(&set).ok_or("unknown set")?;
        let member = match who {
            Who::Account(n) => self.parties.get(&n).map(|party| party.asset).ok_or("unknown")?,
            Who::Set(n) => self.sets.get(&n).map(|_| n % 2).ok_or("unknown set")?,
        };
        let cycle = matches!(who, Who::Set(child) if self.contains(child, set));
        match () {
            () if member != set % 2 => return Err("set asset"),
            () if joins && cycle => return Err("set cycle"),
            () => {}
        }
        let members = self.sets.get_mut(&set).unwrap();
        match joins {
            true if !members.insert(who) => Err("member already"),
            false if !members.remove(&who) => Err("no member"),
            _ => Ok(()),
        }
    }
}
