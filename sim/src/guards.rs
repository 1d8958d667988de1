//! What the operator says of accounts: freezes with their reasons, velocity limits, watches, sets and closing; and what the rules alone
//! say becomes of it. Every question is answered from plain lists.

use crate::model::{Account, Expected, Model, minor};
use std::collections::{BTreeMap, BTreeSet};
use tpw_core::{AccountId, AccountSetId, Amount, Asset, Instant, Name, Span, TransferId};
use tpw_flow::{Adjustment, Command, NewAccountOrder};
use tpw_ledger::{
    AccountKind, FreezeReason, Limits, Member, Membership, Tier, Velocity, Watch, WatchAction,
};
use tpw_sim_disk::Chance;

/// So many sets at most: never so many that they could lie too deep within each other.
const SETS_MAX: usize = 6;

/// A velocity limit.
#[derive(Clone, Copy)]
struct Pace {
    limit: Velocity,
    /// From which debit on it counts.
    from: usize,
}

/// What is said of one account.
#[derive(Clone, Default)]
pub(crate) struct Guards {
    pub(crate) frozen: BTreeSet<FreezeReason>,
    pub(crate) closed: bool,
    pub(crate) watch: Option<Watch>,
    /// The most that one transfer or hold may debit.
    debit_max: Option<i128>,
    /// The most that the account may come to have, with what is promised to it.
    balance_max: Option<i128>,
    paces: Vec<Pace>,
    /// When how much was promised, by transfers and holds.
    debits: Vec<(Instant, i128)>,
}

impl Guards {
    /// Whether velocity limits allow one more debit.
    fn allows(&self, amount: i128, now: Instant) -> bool {
        self.paces.iter().all(|pace| {
            let window = |at: Instant| at.unix_ms().checked_div(pace.limit.window.as_ms());
            let counted = self.debits.get(pace.from..).unwrap_or_default().iter();
            let used = counted.filter(|(at, _)| window(*at) == window(now));
            let used: Vec<i128> = used.map(|(_, amount)| *amount).collect();
            let sum = used.iter().sum::<i128>().saturating_add(amount);
            let times = u64::try_from(used.len()).unwrap_or(u64::MAX).saturating_add(1);
            pace.limit.amount_max.is_none_or(|max| sum <= minor(max))
                && pace.limit.count_max.is_none_or(|max| times <= max)
        })
    }

    fn set_velocities(&mut self, velocities: &[Velocity]) {
        let old = core::mem::take(&mut self.paces);
        let new = |limit: &Velocity| {
            // What was used stays used when a limit of the same window is changed.
            let known = old.iter().find(|pace| pace.limit.window == limit.window);
            Pace { limit: *limit, from: known.map_or(self.debits.len(), |pace| pace.from) }
        };
        self.paces = velocities.iter().map(new).collect();
    }
}

/// Whether a balance lies above a watch's thresholds, or below them; neither when it lies between.
fn beyond(watch: &Watch, balance: i128) -> Option<bool> {
    let under = watch.below.is_some_and(|below| balance < minor(below));
    let over = watch.above.is_some_and(|above| balance > minor(above));
    (under || over).then_some(over)
}

/// Sets of accounts, with their own members.
pub(crate) type Sets = BTreeMap<AccountSetId, (Asset, BTreeSet<Member>)>;

/// An account, whether its balance came to lie above, and the balance.
pub(crate) type Crossed = (AccountId, bool, i128);

/// The balances of watched accounts before an operation.
pub(crate) type Before = Vec<(AccountId, i128)>;

impl Model {
    pub(crate) fn is_frozen(&self, id: &AccountId) -> bool {
        self.accounts.get(id).is_some_and(|account| !account.guards.frozen.is_empty())
    }

    pub(crate) fn is_closed(&self, id: &AccountId) -> bool {
        self.accounts.get(id).is_some_and(|account| account.guards.closed)
    }

    /// Neither gives nor receives.
    pub(crate) fn is_barred(&self, id: &AccountId) -> bool {
        self.is_frozen(id) || self.is_closed(id)
    }

    /// Whether velocity limits allow one more debit.
    pub(crate) fn allows(&self, id: &AccountId, amount: i128, now: Instant) -> bool {
        self.accounts.get(id).is_none_or(|account| account.guards.allows(amount, now))
    }

    /// Whether one transfer or hold may debit so much.
    pub(crate) fn may_give(&self, id: &AccountId, amount: i128) -> bool {
        let max = self.accounts.get(id).and_then(|account| account.guards.debit_max);
        max.is_none_or(|max| amount <= max)
    }

    /// Whether so much more may be promised to an account.
    pub(crate) fn may_take(&self, id: &AccountId, amount: i128) -> bool {
        let Some(account) = self.accounts.get(id) else { return true };
        let most = account.posted.saturating_add(self.promised_to(id)).saturating_add(amount);
        account.guards.balance_max.is_none_or(|max| most <= max)
    }

    /// Counts what a transfer or a hold debits.
    pub(crate) fn promise(&mut self, id: &AccountId, amount: i128, now: Instant) {
        if let Some(account) = self.accounts.get_mut(id) {
            account.guards.debits.push((now, amount));
        }
    }

    pub(crate) fn watched(&self) -> Before {
        let watched = self.accounts.iter().filter(|(_, account)| account.guards.watch.is_some());
        watched.map(|(id, account)| (*id, account.posted)).collect()
    }

    /// Finds what an operation has brought beyond a threshold.
    pub(crate) fn look(&mut self, before: &Before) {
        for (id, posted) in before {
            self.look_at(*id, Some(*posted));
        }
    }

    fn look_at(&mut self, id: AccountId, before: Option<i128>) {
        let Some(account) = self.accounts.get_mut(&id) else { return };
        let Some(watch) = account.guards.watch else { return };
        let Some(above) = beyond(&watch, account.posted) else { return };
        if before.and_then(|before| beyond(&watch, before)) == Some(above) {
            return;
        }
        if watch.action == WatchAction::AlertAndFreeze {
            account.guards.frozen.insert(FreezeReason::Watch);
        }
        self.crossings.push((id, above, account.posted));
    }

    pub(crate) fn adjust(&mut self, adjustment: &Adjustment) -> Expected {
        match adjustment {
            Adjustment::Freeze { account, why } => {
                self.may_freeze(account)?;
                let fresh = self.usable(account)?.guards.frozen.insert(*why);
                if fresh { Ok("done".to_owned()) } else { Err("ledger_refused") }
            }
            Adjustment::Unfreeze { account, why } => {
                if *why != FreezeReason::Watch {
                    self.may_freeze(account)?;
                }
                let known = self.usable(account)?.guards.frozen.remove(why);
                if known { Ok("done".to_owned()) } else { Err("ledger_refused") }
            }
            Adjustment::Close { account } => self.close(account),
            Adjustment::SetVelocities { account, velocities } => {
                self.usable(account)?.guards.set_velocities(velocities);
                Ok("done".to_owned())
            }
            Adjustment::SetWatch { account, watch } => self.set_watch(*account, *watch),
            Adjustment::OpenSet { id, asset } => {
                let fresh = !self.sets.contains_key(id);
                self.sets.entry(*id).or_insert((*asset, BTreeSet::new()));
                if fresh { Ok("done".to_owned()) } else { Err("ledger_refused") }
            }
            Adjustment::Join(membership) => self.belong(membership, true),
            Adjustment::Leave(membership) => self.belong(membership, false),
            Adjustment::SetLimits { account, limits } => {
                let guards = &mut self.usable(account)?.guards;
                guards.debit_max = limits.debit_max_per_transfer().map(minor);
                guards.balance_max = limits.balance_max().map(minor);
                Ok("done".to_owned())
            }
        }
    }

    fn usable(&mut self, id: &AccountId) -> Result<&mut Account, &'static str> {
        let account = self.accounts.get_mut(id).ok_or("ledger_refused")?;
        if account.guards.closed { Err("ledger_refused") } else { Ok(account) }
    }

    fn may_freeze(&self, id: &AccountId) -> Result<(), &'static str> {
        match self.kind(id).ok_or("unknown_account")? {
            AccountKind::SelfCustodial => Err("self_custodial"),
            _ => Ok(()),
        }
    }

    fn set_watch(&mut self, id: AccountId, watch: Option<Watch>) -> Expected {
        let freezes = watch.is_some_and(|watch| watch.action == WatchAction::AlertAndFreeze);
        if freezes && self.kind(&id) == Some(AccountKind::SelfCustodial) {
            return Err("self_custodial");
        }
        let guards = &mut self.usable(&id)?.guards;
        if watch.is_none() && guards.watch.is_none() {
            return Err("ledger_refused");
        }
        guards.watch = watch;
        self.look_at(id, None);
        Ok("done".to_owned())
    }

    fn close(&mut self, id: &AccountId) -> Expected {
        let instructed = |id| self.payments.values().any(|paid| paid.is_instructed(id));
        if self.kind(id) == Some(AccountKind::Issuance) || instructed(id) {
            return Err("account_needed");
        }
        let waits = self.payments.values().any(|paid| paid.standing.waits() && paid.is_of(id));
        let held = waits || self.orders.holds.values().any(|hold| hold.is_of(id));
        let account = self.usable(id)?;
        if held || account.posted != 0 {
            return Err("ledger_refused");
        }
        account.guards.closed = true;
        Ok("done".to_owned())
    }

    fn belong(&mut self, Membership { set, member }: &Membership, joins: bool) -> Expected {
        let asset = match member {
            Member::Account(id) => self.accounts.get(id).map(|account| account.asset),
            Member::Set(id) => self.sets.get(id).map(|(asset, _)| *asset),
        };
        let cycle = matches!(member, Member::Set(inner) if self.contains(inner, set));
        let (wanted, members) = self.sets.get_mut(set).ok_or("ledger_refused")?;
        let fits = asset == Some(*wanted) && !(joins && cycle);
        let changed = fits && if joins { members.insert(*member) } else { members.remove(member) };
        if changed { Ok("done".to_owned()) } else { Err("ledger_refused") }
    }

    fn contains(&self, outer: &AccountSetId, inner: &AccountSetId) -> bool {
        let members = self.sets.get(outer).into_iter().flat_map(|(_, members)| members);
        let mut sets = members.filter_map(|member| match member {
            Member::Set(set) => Some(set),
            Member::Account(_) => None,
        });
        outer == inner || sets.any(|set| self.contains(set, inner))
    }

    /// The accounts that belong to a set in whatever way.
    pub(crate) fn accounts_in(&self, set: &AccountSetId) -> BTreeSet<AccountId> {
        let members = self.sets.get(set).into_iter().flat_map(|(_, members)| members);
        let of = |member: &Member| match member {
            Member::Account(id) => BTreeSet::from([*id]),
            Member::Set(inner) => self.accounts_in(inner),
        };
        members.flat_map(of).collect()
    }
}

/// What an adjustment is, in one word.
pub(crate) const fn word(adjustment: &Adjustment) -> &'static str {
    match adjustment {
        Adjustment::Freeze { .. } => "freeze",
        Adjustment::Unfreeze { .. } => "unfreeze",
        Adjustment::Close { .. } => "close",
        Adjustment::SetLimits { .. } => "limits",
        Adjustment::SetVelocities { .. } => "velocities",
        Adjustment::SetWatch { .. } => "watch",
        Adjustment::OpenSet { .. } => "set",
        Adjustment::Join(_) => "join",
        Adjustment::Leave(_) => "leave",
    }
}

/// Something that the operator says of accounts. An account that it opens comes among `accounts`.
pub(crate) fn command(
    model: &Model,
    accounts: &mut Vec<AccountId>,
    now: Instant,
    chance: &mut Chance,
) -> Option<Command> {
    let account = *chance.pick(accounts)?;
    Some(Command::Adjust(match chance.below(26) {
        0 | 1 => {
            let fresh = (account, *chance.pick(FreezeReason::ALL)?);
            let again = frozen(model, chance).filter(|_| chance.one_in(3));
            let (account, why) = again.unwrap_or(fresh);
            Adjustment::Freeze { account, why }
        }
        2..=9 => {
            let (account, why) = frozen(model, chance)?;
            Adjustment::Unfreeze { account, why }
        }
        10 | 11 => Adjustment::SetVelocities { account, velocities: velocities(chance) },
        12..=14 => Adjustment::SetWatch { account, watch: watch(model, account, chance) },
        15 => {
            let known: Vec<AccountSetId> = model.sets.keys().copied().collect();
            let fresh = AccountSetId::new(now.unix_ms(), chance.bytes());
            let again = known.len() >= SETS_MAX || chance.one_in(3);
            let known = chance.pick(&known).copied().filter(|_| again);
            let asset = model.accounts.get(&account)?.asset;
            Adjustment::OpenSet { id: known.unwrap_or(fresh), asset }
        }
        16..=19 => Adjustment::Join(membership(model, account, chance)?),
        20 => leave(model, chance)?,
        21 => {
            let needed = model.issuance(model.accounts.get(&account)?.asset);
            Adjustment::Close { account: needed.filter(|_| chance.one_in(3)).unwrap_or(account) }
        }
        22 => Adjustment::Close { account: empty(model, chance).unwrap_or(account) },
        23 | 24 => Adjustment::SetLimits { account, limits: limits(model, account, chance) },
        _ => return opening(model, accounts, now, chance),
    }))
}

/// An account that is frozen, and why.
fn frozen(model: &Model, chance: &mut Chance) -> Option<(AccountId, FreezeReason)> {
    let reasons = |(id, account): (&AccountId, &Account)| {
        let id = *id;
        account.guards.frozen.iter().map(move |why| (id, *why)).collect::<Vec<_>>()
    };
    let frozen: Vec<_> = model.accounts.iter().flat_map(reasons).collect();
    chance.pick(&frozen).copied()
}

/// Up to three limits, seldom so low that nothing is possible any more.
fn velocities(chance: &mut Chance) -> Vec<Velocity> {
    let count = chance.below(4);
    let one = |chance: &mut Chance| {
        let window = *chance.pick(&[
            Span::from_secs(60),
            Span::from_secs(3_600),
            Span::from_secs(86_400),
        ])?;
        let amount = Amount::from_minor(u128::from(chance.below(3_000_000)));
        let times = chance.below(9);
        let (amount_max, count_max) = match chance.below(3) {
            0 => (Some(amount), None),
            1 => (None, Some(times)),
            _ => (Some(amount), Some(times)),
        };
        Some(Velocity { window, amount_max, count_max })
    };
    (0..count).filter_map(|_| one(chance)).collect()
}

/// Limits near what the account has and what is usually paid, and half the time none.
fn limits(model: &Model, account: AccountId, chance: &mut Chance) -> Limits {
    let posted = model.accounts.get(&account).map_or(0, |account| account.posted.max(0));
    let near = posted.saturating_add(i128::from(chance.below(600_000)));
    let balance_max = u128::try_from(near).ok().map(Amount::from_minor);
    let debit_max = Amount::from_minor(u128::from(chance.below(300_000)));
    Limits::NONE
        .with_debit_max_per_transfer(Some(debit_max).filter(|_| chance.one_in(2)))
        .with_balance_max(balance_max.filter(|_| chance.one_in(2)))
}

/// Thresholds near what the account has now, so that they are crossed.
fn watch(model: &Model, account: AccountId, chance: &mut Chance) -> Option<Watch> {
    if chance.one_in(4) {
        return None;
    }
    let posted = model.accounts.get(&account)?.posted.max(0);
    let near = |by: i128| u128::try_from(posted.saturating_add(by)).ok().map(Amount::from_minor);
    let (less, more) = (chance.below(60_000), chance.below(60_000));
    let below = near(i128::from(less).saturating_neg()).filter(|_| !chance.one_in(3));
    let above = near(more.into()).filter(|_| below.is_none() || chance.one_in(2));
    let freezes = chance.one_in(3);
    let action = if freezes { WatchAction::AlertAndFreeze } else { WatchAction::Alert };
    Some(Watch { tier: Tier::Hot, below, above, action })
        .filter(|_| below.is_some() || above.is_some())
}

/// Mostly one that can be: an account or a set of the set's asset.
fn membership(model: &Model, account: AccountId, chance: &mut Chance) -> Option<Membership> {
    let sets: Vec<AccountSetId> = model.sets.keys().copied().collect();
    let (set, inner) = (*chance.pick(&sets)?, *chance.pick(&sets)?);
    let member = if chance.one_in(3) { Member::Set(inner) } else { Member::Account(account) };
    Some(Membership { set, member })
}

fn leave(model: &Model, chance: &mut Chance) -> Option<Adjustment> {
    let all = model.sets.iter().flat_map(|(set, (_, members))| {
        members.iter().map(|member| Membership { set: *set, member: *member })
    });
    let all: Vec<Membership> = all.collect();
    chance.pick(&all).copied().map(Adjustment::Leave)
}

/// An account of the operator's with nothing in it.
fn empty(model: &Model, chance: &mut Chance) -> Option<AccountId> {
    let is_empty = |account: &Account| {
        account.kind == AccountKind::Operating && account.posted == 0 && !account.guards.closed
    };
    let all = model.accounts.iter().filter(|(_, account)| is_empty(account));
    let all: Vec<AccountId> = all.map(|(id, _)| *id).collect();
    chance.pick(&all).copied()
}

/// One more account of the operator's.
fn opening(
    model: &Model,
    accounts: &mut Vec<AccountId>,
    now: Instant,
    chance: &mut Chance,
) -> Option<Command> {
    let asset = model.accounts.get(chance.pick(accounts)?)?.asset;
    let order = NewAccountOrder {
        id: AccountId::new(now.unix_ms(), chance.bytes()),
        asset,
        kind: AccountKind::Operating,
        label: Name::new("one more").ok()?,
        opening: Amount::ZERO,
        transfer: TransferId::new(now.unix_ms(), chance.bytes()),
        limits: Limits::NONE,
    };
    accounts.push(order.id);
    Some(Command::OpenAccount { person: None, order })
}
