//! Goal: over any sequence of operations the ledger does what a plain reading of its rules says,
//! money is neither made nor lost, and the stored rows give the same ledger again.
//! Method: property tests against a reference model that shares no code with the ledger. The model
//! keeps a list of moves and of holds and sums them up anew for every question.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails"
)]

mod support;

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use support::{Store, account, asset, at, minor, transfer};
use tpw_core::Money;
use tpw_ledger::{
    AccountKind, FreezeReason, Ledger, LedgerError, Limit, Limits, NewAccount, Operation, Original,
    Reversal, StatementPoint, TransferRequest, verify_statement,
};

#[derive(Clone)]
struct Party {
    asset: u8,
    issues: bool,
    frozen: BTreeSet<FreezeReason>,
    debit_max: i128,
    balance_max: i128,
}

#[derive(Clone, Copy)]
struct Move {
    number: u64,
    from: u8,
    to: u8,
    amount: i128,
    asset: u8,
    reversible: bool,
}

#[derive(Clone, Copy)]
struct Held {
    id: u64,
    step: Move,
    expires: u64,
    open: bool,
}

#[derive(Clone, Default)]
struct Model {
    parties: BTreeMap<u8, Party>,
    moves: Vec<Move>,
    holds: Vec<Held>,
    numbers: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Move,
    Hold,
    Back,
}

impl Model {
    fn balance(&self, n: u8) -> i128 {
        let credits: i128 = self.moves.iter().filter(|m| m.to == n).map(|m| m.amount).sum();
        let debits: i128 = self.moves.iter().filter(|m| m.from == n).map(|m| m.amount).sum();
        credits - debits
    }

    fn held(&self, pick: impl Fn(&Move) -> bool) -> i128 {
        self.holds.iter().filter(|h| h.open && pick(&h.step)).map(|h| h.step.amount).sum()
    }

    fn available(&self, n: u8) -> i128 {
        self.balance(n) - self.held(|m| m.from == n)
    }

    fn check(&self, m: &Move, way: Way) -> Result<(), &'static str> {
        if m.from == m.to {
            return Err("same");
        }
        let from = self.parties.get(&m.from).ok_or("unknown debit")?;
        let to = self.parties.get(&m.to).ok_or("unknown credit")?;
        let most = self.balance(m.to) + self.held(|h| h.to == m.to) + m.amount;
        match () {
            () if m.amount == 0 => Err("zero"),
            () if from.asset != m.asset => Err("debit asset"),
            () if to.asset != m.asset => Err("credit asset"),
            () if !from.frozen.is_empty() => Err("payer frozen"),
            () if !to.frozen.is_empty() => Err("payee frozen"),
            () if way != Way::Back && m.amount > from.debit_max => Err("debit limit"),
            () if !from.issues && self.available(m.from) < m.amount => Err("funds"),
            () if way != Way::Back && most > to.balance_max => Err("balance limit"),
            () => Ok(()),
        }
    }

    fn step(&mut self, mut m: Move, way: Way) -> Result<(), &'static str> {
        self.check(&m, way)?;
        self.numbers += 1;
        m.number = self.numbers;
        m.reversible = way == Way::Move;
        if way != Way::Hold {
            self.moves.push(m);
        }
        Ok(())
    }

    fn steps(&mut self, steps: &[Move], way: Way) -> Result<(), &'static str> {
        let mut next = self.clone();
        for m in steps {
            next.step(*m, way)?;
        }
        *self = next;
        Ok(())
    }

    fn hold(&mut self, id: u64, m: Move, now: u64, expires: u64) -> Result<(), &'static str> {
        if expires <= now {
            return Err("expiry past");
        }
        self.step(m, Way::Hold)?;
        self.holds.push(Held { id, step: Move { number: self.numbers, ..m }, expires, open: true });
        Ok(())
    }

    fn post(&mut self, id: u64, amount: Option<i128>, now: u64) -> Result<(), &'static str> {
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
        self.numbers += 1;
        self.moves.push(Move { number: self.numbers, amount, reversible: true, ..step });
        Ok(())
    }

    fn void(&mut self, id: u64) -> Result<(), &'static str> {
        let held = self.holds.iter_mut().find(|h| h.id == id && h.open).ok_or("not open")?;
        held.open = false;
        self.numbers += 1;
        Ok(())
    }

    fn expire(&mut self, now: u64) -> Vec<u64> {
        let mut due: Vec<_> = self.holds.iter().filter(|h| h.open && h.expires <= now).collect();
        due.sort_by_key(|h| (h.expires, h.step.number));
        let ids: Vec<u64> = due.iter().map(|h| h.id).collect();
        ids.iter().for_each(|id| self.void(*id).unwrap());
        ids
    }
}

fn name(error: LedgerError) -> &'static str {
    match error {
        LedgerError::SameAccount(_) => "same",
        LedgerError::UnknownDebit(_) => "unknown debit",
        LedgerError::UnknownCredit(_) => "unknown credit",
        LedgerError::UnknownAccount(_) => "unknown",
        LedgerError::AccountExists(_) => "exists",
        LedgerError::ZeroAmount => "zero",
        LedgerError::DebitAssetMismatch { .. } => "debit asset",
        LedgerError::CreditAssetMismatch { .. } => "credit asset",
        LedgerError::PayerFrozen => "payer frozen",
        LedgerError::PayeeFrozen => "payee frozen",
        LedgerError::LimitExceeded { limit: Limit::DebitPerTransfer, .. } => "debit limit",
        LedgerError::LimitExceeded { limit: Limit::Balance, .. } => "balance limit",
        LedgerError::InsufficientFunds { .. } => "funds",
        LedgerError::ExpiryPast => "expiry past",
        LedgerError::HoldNotOpen(_) => "not open",
        LedgerError::HoldExpired(_) => "hold expired",
        LedgerError::AmountAboveHold { .. } => "above hold",
        LedgerError::AlreadyFrozen => "already frozen",
        LedgerError::NotFrozen => "not frozen",
        other => panic!("the model does not know this refusal: {other}"),
    }
}

const ASSETS: [&str; 2] = ["USD/2", "ETH/18"];
/// Accounts 0 and 1 issue, 7 is never opened.
const PARTIES: u8 = 8;

#[derive(Clone, Debug)]
enum Step {
    Open(u8),
    Transfer(Vec<(u8, u8, u8, u8)>),
    Hold((u8, u8, u8, u8), u64),
    Post(usize, Option<u8>),
    Void(usize),
    Reverse(Vec<usize>),
    Freeze(u8, usize),
    Unfreeze(u8, usize),
    Limits(u8, Option<u8>, Option<u8>),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Mostly sensible legs: an asset chosen first, accounts of the same parity hold the same asset.
    let sensible = (0..2_u8, 0..3_u8, 0..3_u8, 1..100_u8)
        .prop_map(|(a, from, to, amount)| (from * 2 + a, to * 2 + a, a, amount));
    let any_leg = (0..PARTIES, 0..PARTIES, 0..2_u8, 0..100_u8);
    let leg = prop_oneof![6 => sensible, 1 => any_leg].boxed();
    let step = prop_oneof![
        1 => (0..PARTIES - 1).prop_map(Step::Open),
        8 => prop::collection::vec(leg.clone(), 1..4).prop_map(Step::Transfer),
        6 => (leg, 0..60_u64).prop_map(|(leg, life)| Step::Hold(leg, life)),
        3 => (any::<usize>(), prop::option::of(0..100_u8)).prop_map(|(h, a)| Step::Post(h, a)),
        2 => any::<usize>().prop_map(Step::Void),
        3 => prop::collection::vec(any::<usize>(), 1..3).prop_map(Step::Reverse),
        1 => (0..PARTIES, 0..5_usize).prop_map(|(n, why)| Step::Freeze(n, why)),
        2 => (0..PARTIES, 0..5_usize).prop_map(|(n, why)| Step::Unfreeze(n, why)),
        1 => (0..PARTIES, prop::option::of(20..150_u8), prop::option::of(20..150_u8))
            .prop_map(|(n, d, b)| Step::Limits(n, d, b)),
        2 => (1..30_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..80)
}

#[derive(Default)]
struct Run {
    real: Ledger,
    model: Model,
    now: u64,
    ids: u64,
}

impl Run {
    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    fn leg(&mut self, (from, to, asset_n, amount): (u8, u8, u8, u8)) -> (TransferRequest, Move) {
        let asset = asset(ASSETS[usize::from(asset_n)]);
        let money = Money { amount: minor(u128::from(amount)), asset };
        let id = transfer(self.id());
        let request = TransferRequest {
            id,
            debit: account(from),
            credit: account(to),
            money,
            effective: None,
        };
        let amount = i128::from(amount);
        (request, Move { number: 0, from, to, amount, asset: asset_n, reversible: false })
    }

    fn both(&mut self, op: Operation<'_>, expected: Result<(), &'static str>) {
        let before = self.real.clone();
        let found = self.real.apply(op, at(self.now)).map(|_| ()).map_err(name);
        assert_eq!(found, expected, "{op:?}");
        assert!(found.is_ok() || self.real == before, "refused, but changed: {op:?}");
    }

    fn open(&mut self, n: u8) {
        let kind = match n {
            0 | 1 => AccountKind::Issuance,
            2 => AccountKind::External,
            3 => AccountKind::SelfCustodial,
            _ => AccountKind::Custodial,
        };
        let asset = asset(ASSETS[usize::from(n % 2)]);
        let new = NewAccount { id: account(n), asset, kind, owner: None, limits: Limits::NONE };
        let exists = self.model.parties.contains_key(&n);
        self.both(Operation::Open(new), if exists { Err("exists") } else { Ok(()) });
        self.model.parties.entry(n).or_insert(Party {
            asset: n % 2,
            issues: n < 2,
            frozen: BTreeSet::new(),
            debit_max: i128::MAX,
            balance_max: i128::MAX,
        });
    }

    fn reverse(&mut self, picks: &[usize]) {
        let done: Vec<Move> = self.model.moves.iter().filter(|m| m.reversible).copied().collect();
        if done.is_empty() {
            return;
        }
        let (mut reversals, mut steps) = (Vec::new(), Vec::new());
        for pick in picks {
            let m = done[pick % done.len()];
            let asset = asset(ASSETS[usize::from(m.asset)]);
            let money = Money { amount: minor(u128::try_from(m.amount).unwrap()), asset };
            let (debit, credit) = (account(m.from), account(m.to));
            let of = Original { number: m.number, debit, credit, money };
            reversals.push(Reversal { of, id: transfer(self.id()) });
            steps.push(Move { from: m.to, to: m.from, ..m });
        }
        let expected = self.model.steps(&steps, Way::Back);
        self.both(Operation::Reverse(&reversals), expected);
    }

    fn hold_id(&self, pick: usize) -> u64 {
        let made = self.model.holds.len();
        if made == 0 { u64::MAX } else { self.model.holds[pick % made].id }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Open(n) => self.open(*n),
            Step::Transfer(legs) => {
                let (requests, moves): (Vec<_>, Vec<_>) =
                    legs.iter().map(|leg| self.leg(*leg)).unzip();
                let expected = self.model.steps(&moves, Way::Move);
                self.both(Operation::Transfer(&requests), expected);
            }
            Step::Hold(leg, life) => {
                let (request, m) = self.leg(*leg);
                let expires = self.now + life;
                let expected = self.model.hold(self.ids, m, self.now, expires);
                self.both(Operation::Hold { request, expires: at(expires) }, expected);
            }
            Step::Post(pick, amount) => {
                let (hold, id) = (self.hold_id(*pick), transfer(self.id()));
                let expected = self.model.post(hold, amount.map(i128::from), self.now);
                let amount = amount.map(|a| minor(u128::from(a)));
                self.both(Operation::Post { hold: transfer(hold), id, amount }, expected);
            }
            Step::Void(pick) => {
                let (hold, id) = (self.hold_id(*pick), transfer(self.id()));
                let expected = self.model.void(hold);
                self.both(Operation::Void { hold: transfer(hold), id }, expected);
            }
            Step::Reverse(picks) => self.reverse(picks),
            Step::Freeze(n, why) => {
                let why = FreezeReason::ALL[*why];
                let expected = match self.model.parties.get_mut(n).map(|p| p.frozen.insert(why)) {
                    None => Err("unknown"),
                    Some(false) => Err("already frozen"),
                    Some(true) => Ok(()),
                };
                self.both(Operation::Freeze { account: account(*n), why }, expected);
            }
            Step::Unfreeze(n, why) => {
                let why = FreezeReason::ALL[*why];
                let expected = match self.model.parties.get_mut(n).map(|p| p.frozen.remove(&why)) {
                    None => Err("unknown"),
                    Some(false) => Err("not frozen"),
                    Some(true) => Ok(()),
                };
                self.both(Operation::Unfreeze { account: account(*n), why }, expected);
            }
            Step::Limits(n, debit, balance) => {
                let max = |limit: &Option<u8>| limit.map(|l| minor(u128::from(l)));
                let limits = Limits::NONE
                    .with_debit_max_per_transfer(max(debit))
                    .with_balance_max(max(balance));
                let expected = self.model.parties.get_mut(n).ok_or("unknown").map(|party| {
                    party.debit_max = debit.map_or(i128::MAX, i128::from);
                    party.balance_max = balance.map_or(i128::MAX, i128::from);
                });
                self.both(Operation::SetLimits { account: account(*n), limits }, expected);
            }
            Step::Wait(ms) => {
                self.now += ms;
                let due = self.model.expire(self.now);
                assert_eq!(self.real.expire(at(self.now)).len(), due.len());
            }
        }
    }

    fn compare(&self) {
        for (n, party) in &self.model.parties {
            let row = self.real.account(&account(*n)).unwrap();
            assert_eq!(row.balance().to_string(), self.model.balance(*n).to_string());
            assert_eq!(row.available().to_string(), self.model.available(*n).to_string());
            assert!(party.issues || !row.available().is_negative());
            let pending = self.model.held(|m| m.to == *n);
            assert_eq!(row.credits_pending.to_string(), pending.to_string());
        }
        assert_eq!(self.real.accounts().len(), self.model.parties.len());
        assert_eq!(self.real.holds().count(), self.model.holds.iter().filter(|h| h.open).count());
        assert_eq!(self.real.next_number(), self.model.numbers + 1);
        assert!(self.real.totals().unwrap().iter().all(tpw_ledger::AssetTotal::is_balanced));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_ledger_agrees_with_the_model(
        steps in steps(), batch in 1..10_usize, window in 0..40_u64,
    ) {
        let (mut run, mut store) = (Run::default(), Store::default());
        run.real.set_save_window(window);
        (0..6).for_each(|n| run.open(n));
        for (n, step) in steps.iter().enumerate() {
            run.step(step);
            run.compare();
            if n % batch == 0 {
                store.commit(run.real.take_changes());
                prop_assert!(store.rebuild().unwrap() == run.real);
            }
        }
        store.commit(run.real.take_changes());
        let rebuilt = store.rebuild().unwrap();
        prop_assert!(rebuilt == run.real);
        let numbers: Vec<u64> = store.transfers.iter().map(|row| row.number).collect();
        prop_assert!(numbers.iter().copied().eq(1..run.real.next_number()));
        for row in run.real.accounts() {
            let rows = store.rows_of(&row.id);
            verify_statement(&rows, &row.id, &StatementPoint::START, &row.point()).unwrap();
        }
    }

    #[test]
    fn the_same_operations_give_the_same_rows(steps in steps()) {
        let (mut one, mut other) = (Run::default(), Run::default());
        for run in [&mut one, &mut other] {
            (0..6).for_each(|n| run.open(n));
            steps.iter().for_each(|step| run.step(step));
        }
        prop_assert_eq!(one.real.take_changes(), other.real.take_changes());
    }
}
