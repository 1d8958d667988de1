//! Goal: over any sequence of operations the ledger does what a plain reading of its rules says,
//! money is neither made nor lost, and the stored rows give the same ledger again.
//! Method: property tests against a reference model that shares no code with the ledger; rows are
//! stored as lazily as the ledger hands them over, and a start replays them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails"
)]

mod reference;
#[path = "../support/mod.rs"]
mod support;

use proptest::prelude::*;
use reference::{Demand, Model, Move, Outcome, Pace, Party, Watched, Way, Who};
use std::collections::BTreeSet;
use support::{Store, account, asset, at, minor, set, transfer};
use tpw_core::{Money, Span};
use tpw_ledger::{
    AccountKind, Balance, Changes, Comparison, Condition, Edge, FreezeReason, Ledger, LedgerError,
    Limit, Limits, Measure, Member, Membership, NewAccount, Operation, Original, Reversal,
    StatementPoint, Tier, TransferRequest, Velocity, Watch, WatchAction, balance_at,
    value_balance_at, verify_statement,
};

fn name(error: LedgerError) -> &'static str {
    match error {
        LedgerError::SameAccount(_) => "same",
        LedgerError::UnknownDebit(_) => "unknown debit",
        LedgerError::UnknownCredit(_) => "unknown credit",
        LedgerError::UnknownAccount(_) => "unknown",
        LedgerError::AccountExists(_) => "exists",
        LedgerError::ZeroAmount => "zero",
        LedgerError::EffectiveAfterBooking => "effective",
        LedgerError::DebitAssetMismatch { .. } => "debit asset",
        LedgerError::CreditAssetMismatch { .. } => "credit asset",
        LedgerError::PayerClosed => "payer closed",
        LedgerError::PayeeClosed => "payee closed",
        LedgerError::AccountClosed(_) => "closed",
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
        LedgerError::BalanceNotZero { .. } => "not zero",
        LedgerError::HoldsOpen => "holds open",
        LedgerError::ConditionFailed { .. } => "condition",
        LedgerError::VelocityAmount { .. } => "velocity amount",
        LedgerError::VelocityTimes { .. } => "velocity times",
        LedgerError::NotWatched => "not watched",
        LedgerError::UnknownSet(_) => "unknown set",
        LedgerError::SetAssetMismatch => "set asset",
        LedgerError::SetCycle => "set cycle",
        LedgerError::AlreadyMember => "member already",
        LedgerError::NotMember => "no member",
        other => panic!("the model does not know this refusal: {other}"),
    }
}

const ASSETS: [&str; 2] = ["USD/2", "ETH/18"];
/// Accounts 0 and 1 issue, 7 is never opened.
const PARTIES: u8 = 8;
/// Sets 0 to 3 are made, 4 is not.
const SETS: u8 = 5;

type Leg = (u8, u8, u8, u8);

#[derive(Clone, Debug)]
enum Step {
    Open(u8),
    /// Legs, and how far back their value date lies; below zero it lies in the future.
    Transfer(Vec<Leg>, i64, Vec<Demand>),
    Hold(Leg, u64, Vec<Demand>),
    Post(usize, Option<u8>, Vec<Demand>),
    Void(usize, Vec<Demand>),
    Reverse(Vec<usize>, Vec<Demand>),
    Freeze(u8, usize),
    Unfreeze(u8, usize),
    Limits(u8, Option<u8>, Option<u8>),
    Close(u8),
    Velocities(u8, Vec<(u64, Option<u8>, Option<usize>)>),
    Watch(u8, Option<(Option<u8>, Option<u8>, bool)>),
    Belong(u8, Who, bool),
    Wait(u64),
}

fn demands() -> impl Strategy<Value = Vec<Demand>> {
    let demand =
        (0..PARTIES, 0..4_usize, 0..5_usize, -50..150_i128).prop_map(|(account, on, is, than)| {
            Demand { account, on: Measure::ALL[on], is: Comparison::ALL[is], than }
        });
    prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(demand, 1..3)]
}

fn money_steps() -> impl Strategy<Value = Step> {
    // Mostly sensible legs: an asset chosen first, accounts of the same parity hold the same asset.
    let sensible = (0..2_u8, 0..3_u8, 0..3_u8, 1..100_u8)
        .prop_map(|(a, from, to, amount)| (from * 2 + a, to * 2 + a, a, amount));
    let any_leg = (0..PARTIES, 0..PARTIES, 0..2_u8, 0..100_u8);
    let leg = prop_oneof![6 => sensible, 1 => any_leg].boxed();
    let dates = prop_oneof![4 => Just(0), 1 => -1..40_i64];
    prop_oneof![
        8 => (prop::collection::vec(leg.clone(), 1..4), dates, demands())
            .prop_map(|(legs, back, d)| Step::Transfer(legs, back, d)),
        6 => (leg, 0..60_u64, demands()).prop_map(|(leg, life, d)| Step::Hold(leg, life, d)),
        3 => (any::<usize>(), prop::option::of(0..100_u8), demands())
            .prop_map(|(h, a, d)| Step::Post(h, a, d)),
        2 => (any::<usize>(), demands()).prop_map(|(h, d)| Step::Void(h, d)),
        3 => (prop::collection::vec(any::<usize>(), 1..3), demands())
            .prop_map(|(picks, d)| Step::Reverse(picks, d)),
    ]
}

fn other_steps() -> impl Strategy<Value = Step> {
    let threshold = || prop::option::of(0..120_u8);
    let watch = (threshold(), threshold(), any::<bool>());
    let watch = watch.prop_filter("sensible", |(below, above, _)| {
        below.or(*above).is_some() && below.zip(*above).is_none_or(|(b, a)| b <= a)
    });
    let pace = (1..40_u64, prop::option::of(1..150_u8), prop::option::of(1..4_usize))
        .prop_filter("limits", |(_, amount, count)| amount.is_some() || count.is_some());
    let who = prop_oneof![(0..PARTIES).prop_map(Who::Account), (0..SETS).prop_map(Who::Set)];
    prop_oneof![
        1 => (0..PARTIES - 1).prop_map(Step::Open),
        1 => (0..PARTIES, 0..6_usize).prop_map(|(n, why)| Step::Freeze(n, why)),
        3 => (0..PARTIES, 0..6_usize).prop_map(|(n, why)| Step::Unfreeze(n, why)),
        1 => (0..PARTIES, prop::option::of(20..150_u8), prop::option::of(20..150_u8))
            .prop_map(|(n, d, b)| Step::Limits(n, d, b)),
        1 => (0..PARTIES).prop_map(Step::Close),
        2 => (0..PARTIES, prop::collection::vec(pace, 0..4))
            .prop_map(|(n, paces)| Step::Velocities(n, paces)),
        2 => (0..PARTIES, prop::option::of(watch)).prop_map(|(n, watch)| Step::Watch(n, watch)),
        4 => (0..SETS, who, prop::bool::weighted(0.7))
            .prop_map(|(set, who, joins)| Step::Belong(set, who, joins)),
        4 => (1..30_u64).prop_map(Step::Wait),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(prop_oneof![3 => money_steps(), 2 => other_steps()], 1..80)
}

fn signed(minor: i128) -> Balance {
    let magnitude = support::minor(minor.unsigned_abs());
    let zero = tpw_core::Amount::ZERO;
    if minor < 0 { Balance::between(zero, magnitude) } else { Balance::between(magnitude, zero) }
}

fn conditions(demands: &[Demand]) -> Vec<Condition> {
    let of = |demand: &Demand| {
        let Demand { account: n, on, is, than } = *demand;
        Condition { account: account(n), on, is, than: signed(than) }
    };
    demands.iter().map(of).collect()
}

fn member(who: Who) -> Member {
    match who {
        Who::Account(n) => Member::Account(account(n)),
        Who::Set(n) => Member::Set(set(n)),
    }
}

#[derive(Default)]
struct Run {
    real: Ledger,
    model: Model,
    now: u64,
    ids: u64,
}

impl Run {
    /// The six accounts and four sets with which each run begins.
    fn begin(window: u64) -> Self {
        let mut run = Self { now: 1_000, ..Self::default() };
        run.real.set_save_window(window);
        (0..6).for_each(|n| run.open(n));
        for n in 0..SETS - 1 {
            let asset = asset(ASSETS[usize::from(n % 2)]);
            run.both(Operation::OpenSet { id: set(n), asset }, &[], Ok(()));
            run.model.sets.insert(n, BTreeSet::new());
        }
        run
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    fn leg(&mut self, (from, to, asset_n, amount): Leg, back: i64) -> (TransferRequest, Move) {
        let asset = asset(ASSETS[usize::from(asset_n)]);
        let money = Money { amount: minor(u128::from(amount)), asset };
        let (id, debit, credit) = (transfer(self.id()), account(from), account(to));
        let effective = self.now.checked_add_signed(-back).unwrap();
        let date = (back != 0).then(|| at(effective));
        let request = TransferRequest { id, debit, credit, money, effective: date };
        let (amount, at) = (i128::from(amount), self.now);
        let (number, asset, reversible) = (0, asset_n, false);
        (request, Move { number, at, effective, from, to, amount, asset, reversible })
    }

    fn both(&mut self, op: Operation<'_>, demands: &[Demand], expected: Outcome) {
        let before = self.real.clone();
        let found = self.real.apply_if(op, &conditions(demands), at(self.now));
        let found = found.map(|_| ()).map_err(name);
        assert_eq!(found, expected, "{op:?} if {demands:?}");
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
        let owner = n.is_multiple_of(3).then(|| tpw_core::PersonId::from_bytes([n; 16]));
        let new = NewAccount { id: account(n), asset, kind, owner, limits: Limits::NONE };
        let exists = self.model.parties.contains_key(&n);
        self.both(Operation::Open(new), &[], if exists { Err("exists") } else { Ok(()) });
        assert_eq!(self.real.account(&account(n)).unwrap().owner, owner);
        self.model.parties.entry(n).or_insert(Party {
            asset: n % 2,
            issues: n < 2,
            closed: false,
            frozen: BTreeSet::new(),
            debit_max: i128::MAX,
            balance_max: i128::MAX,
            paces: Vec::new(),
            watch: None,
        });
    }

    fn reverse(&mut self, picks: &[usize], demands: &[Demand]) {
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
            steps.push(Move { from: m.to, to: m.from, at: self.now, effective: self.now, ..m });
        }
        let expected = self.model.attempt(demands, |model| model.steps(&steps, Way::Back));
        self.both(Operation::Reverse(&reversals), demands, expected);
    }

    fn hold_id(&self, pick: usize) -> u64 {
        let made = self.model.holds.len();
        if made == 0 { u64::MAX } else { self.model.holds[pick % made].id }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Open(n) => self.open(*n),
            Step::Transfer(legs, back, demands) => {
                let (requests, moves): (Vec<_>, Vec<_>) =
                    legs.iter().map(|leg| self.leg(*leg, *back)).unzip();
                let expected = self.model.attempt(demands, |model| model.steps(&moves, Way::Move));
                self.both(Operation::Transfer(&requests), demands, expected);
            }
            Step::Hold(leg, life, demands) => {
                let (request, m) = self.leg(*leg, 0);
                let (id, expires) = (self.ids, self.now + life);
                let expected = self.model.attempt(demands, |model| model.hold(id, m, expires));
                let op = Operation::Hold { request, expires: at(expires) };
                self.both(op, demands, expected);
            }
            Step::Post(pick, amount, demands) => {
                let (hold, id, now) = (self.hold_id(*pick), transfer(self.id()), self.now);
                let part = amount.map(i128::from);
                let expected = self.model.attempt(demands, |model| model.post(hold, part, now));
                let amount = amount.map(|a| minor(u128::from(a)));
                self.both(Operation::Post { hold: transfer(hold), id, amount }, demands, expected);
            }
            Step::Void(pick, demands) => {
                let (hold, id) = (self.hold_id(*pick), transfer(self.id()));
                let expected = self.model.attempt(demands, |model| model.void(hold));
                self.both(Operation::Void { hold: transfer(hold), id }, demands, expected);
            }
            Step::Reverse(picks, demands) => self.reverse(picks, demands),
            Step::Wait(ms) => {
                self.now += ms;
                let due = self.model.expire(self.now);
                assert_eq!(self.real.expire(at(self.now)).len(), due);
            }
            other => self.administer(other),
        }
    }

    fn administer(&mut self, step: &Step) {
        match step {
            Step::Freeze(n, why) | Step::Unfreeze(n, why) => {
                let (account, why) = (account(*n), FreezeReason::ALL[*why]);
                let freezes = matches!(step, Step::Freeze(..));
                let expected = self.model.usable(*n).and_then(|party| match freezes {
                    true if !party.frozen.insert(why) => Err("already frozen"),
                    false if !party.frozen.remove(&why) => Err("not frozen"),
                    _ => Ok(()),
                });
                let freeze = Operation::Freeze { account, why };
                let op = if freezes { freeze } else { Operation::Unfreeze { account, why } };
                self.both(op, &[], expected);
            }
            Step::Limits(n, debit, balance) => {
                let max = |limit: &Option<u8>| limit.map(|l| minor(u128::from(l)));
                let limits = Limits::NONE
                    .with_debit_max_per_transfer(max(debit))
                    .with_balance_max(max(balance));
                let expected = self.model.usable(*n).map(|party| {
                    party.debit_max = debit.map_or(i128::MAX, i128::from);
                    party.balance_max = balance.map_or(i128::MAX, i128::from);
                });
                self.both(Operation::SetLimits { account: account(*n), limits }, &[], expected);
            }
            Step::Close(n) => {
                let expected = self.model.close(*n);
                self.both(Operation::Close { account: account(*n) }, &[], expected);
            }
            Step::Velocities(n, paces) => self.set_velocities(*n, paces),
            Step::Watch(n, watch) => self.set_watch(*n, *watch),
            Step::Belong(n, who, joins) => {
                let membership = Membership { set: set(*n), member: member(*who) };
                let expected = self.model.belong(*n, *who, *joins);
                let join = Operation::Join(membership);
                self.both(if *joins { join } else { Operation::Leave(membership) }, &[], expected);
            }
            other => panic!("no step of administration: {other:?}"),
        }
    }

    fn set_velocities(&mut self, n: u8, paces: &[(u64, Option<u8>, Option<usize>)]) {
        let velocities: Vec<Velocity> = paces
            .iter()
            .map(|(window, amount, count)| Velocity {
                window: Span::from_ms(*window),
                amount_max: amount.map(|amount| minor(u128::from(amount))),
                count_max: count.map(|count| count as u64),
            })
            .collect();
        let now = self.model.promised.len();
        let expected = self.model.usable(n).map(|party| {
            let old = std::mem::take(&mut party.paces);
            for (window, amount, count) in paces {
                let known = old.iter().find(|pace| pace.window == *window);
                party.paces.push(Pace {
                    window: *window,
                    amount_max: amount.map(i128::from),
                    count_max: *count,
                    from: known.map_or(now, |pace| pace.from),
                });
            }
        });
        let op = Operation::SetVelocities { account: account(n), velocities: &velocities };
        self.both(op, &[], expected);
    }

    fn set_watch(&mut self, n: u8, watch: Option<(Option<u8>, Option<u8>, bool)>) {
        let expected = self.model.usable(n).and_then(|party| {
            let of = |(below, above, freezes): (Option<u8>, Option<u8>, _)| Watched {
                below: below.map(i128::from),
                above: above.map(i128::from),
                freezes,
            };
            let old = std::mem::replace(&mut party.watch, watch.map(of));
            if old.is_none() && watch.is_none() { Err("not watched") } else { Ok(()) }
        });
        if expected.is_ok() {
            self.model.look(n, None);
        }
        let real = watch.map(|(below, above, freezes)| Watch {
            tier: if freezes { Tier::Hot } else { Tier::Cold },
            below: below.map(|below| minor(u128::from(below))),
            above: above.map(|above| minor(u128::from(above))),
            action: if freezes { WatchAction::AlertAndFreeze } else { WatchAction::Alert },
        });
        self.both(Operation::SetWatch { account: account(n), watch: real }, &[], expected);
    }

    fn compare(&self) {
        let model = &self.model;
        for (n, party) in &model.parties {
            let row = self.real.account(&account(*n)).unwrap();
            assert_eq!(row.balance(), signed(model.balance(*n)));
            assert_eq!(row.available(), signed(model.available(*n)));
            assert!(party.issues || !row.available().is_negative());
            assert_eq!(row.frozen.reasons().collect::<BTreeSet<_>>(), party.frozen);
            let pending = model.held(|m| m.to == *n);
            assert_eq!(row.credits_pending.to_string(), pending.to_string());
        }
        for n in model.sets.keys() {
            let found = self.real.set(&set(*n)).unwrap();
            let accounts = model.accounts_in(*n);
            assert_eq!(found.accounts, accounts.len() as u64, "set {n}");
            let sum = |of: &dyn Fn(u8) -> i128| signed(accounts.iter().map(|n| of(*n)).sum());
            assert_eq!(found.balance(), sum(&|n| model.balance(n)), "set {n}");
            assert_eq!(found.available(), sum(&|n| model.available(n)), "set {n}");
            let members: BTreeSet<_> = self.real.members(&set(*n)).collect();
            assert_eq!(members, model.sets[n].iter().map(|who| member(*who)).collect());
        }
        assert_eq!(self.real.accounts().len(), model.parties.len());
        assert_eq!(self.real.holds().count(), model.holds.iter().filter(|h| h.open).count());
        assert_eq!(self.real.next_number(), model.numbers() + 1);
        assert!(self.real.totals().unwrap().iter().all(tpw_ledger::AssetTotal::is_balanced));
    }

    /// The crossings handed over are those that the model saw; linked legs in whatever order.
    fn compare_crossings(&mut self, changes: &Changes) {
        let real = changes.crossings.iter();
        let above = |edge| edge == Edge::Above;
        let mut real: Vec<_> = real.map(|c| (c.account, above(c.edge), c.balance)).collect();
        let model = self.model.crossings.drain(..);
        let mut model: Vec<_> = model.map(|(n, above, b)| (account(n), above, signed(b))).collect();
        real.sort();
        model.sort();
        assert_eq!(real, model);
    }

    /// Balances of the past, by booking and by value date.
    fn compare_past(&self, store: &Store, ms: u64) {
        for n in self.model.parties.keys() {
            let present = self.real.account(&account(*n)).unwrap().counters();
            let row =
                |number: u64| Ok::<_, &str>(store.transfers.get(number as usize - 1).copied());
            let past = balance_at(present, at(ms), row).unwrap();
            let booked = self.model.balance_of(*n, |m| m.at <= ms);
            assert_eq!(past.balance(), signed(booked));
            let later = store.rows_of(&account(*n));
            let by_date = value_balance_at(&past, at(ms), &later);
            let counts = self.model.balance_of(*n, |m| m.effective <= ms);
            assert_eq!(by_date, Some(signed(counts)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_ledger_agrees_with_the_model(
        steps in steps(), batch in 1..10_usize, window in 0..40_u64, ago in 0..200_u64,
    ) {
        let (mut run, mut store) = (Run::begin(window), Store::default());
        for (n, step) in steps.iter().enumerate() {
            run.step(step);
            run.compare();
            if n % batch == 0 {
                let changes = run.real.take_changes();
                run.compare_crossings(&changes);
                store.commit(changes);
                store.demand_fresh(window);
                let rebuilt = store.rebuild().unwrap();
                prop_assert!(rebuilt == run.real);
                prop_assert_eq!(rebuilt.audit_root(), run.real.audit_root());
            }
        }
        store.commit(run.real.take_changes());
        prop_assert!(store.rebuild().unwrap() == run.real);
        let numbers: Vec<u64> = store.transfers.iter().map(|row| row.number).collect();
        prop_assert!(numbers.iter().copied().eq(1..run.real.next_number()));
        for row in run.real.accounts() {
            let rows = store.rows_of(&row.id);
            verify_statement(&rows, &row.id, &StatementPoint::START, &row.point()).unwrap();
        }
        run.compare_past(&store, run.now - ago);
    }

    #[test]
    fn the_same_operations_give_the_same_rows(steps in steps()) {
        let (mut one, mut other) = (Run::begin(9), Run::begin(9));
        for run in [&mut one, &mut other] {
            steps.iter().for_each(|step| run.step(step));
        }
        prop_assert_eq!(one.real.audit_root(), other.real.audit_root());
        prop_assert_eq!(one.real.take_changes(), other.real.take_changes());
    }
}
