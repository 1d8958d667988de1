//! The operator's orders: what is ordered, and what the rules alone say becomes of it.

use crate::model::{Model, minor};
use std::collections::{BTreeMap, BTreeSet};
use tpw_core::{AccountId, Amount, Asset, Hash32, Instant, Money, Span, TransferId};
use tpw_flow::{Command, Order, OrderOutcome, OrderRejection, Ordered, Orders};
use tpw_ledger::{AccountKind, Balance, Comparison, Condition, Measure, TransferRequest};
use tpw_sim_disk::Chance;

/// An open hold of an order.
#[derive(Clone, Copy)]
pub(crate) struct OpenHold {
    debit: AccountId,
    credit: AccountId,
    amount: i128,
    expires: Instant,
}

impl OpenHold {
    /// Whether an account is a side of it.
    pub(crate) fn is_of(&self, id: &AccountId) -> bool {
        self.debit == *id || self.credit == *id
    }
}

/// What became of an order's id.
enum Fate {
    Done,
    Refused,
}

/// What is remembered of all orders.
#[derive(Default)]
pub(crate) struct Book {
    /// By the id of the order.
    known: BTreeMap<TransferId, (Ordered, Fate)>,
    /// Ids of all transfers, also of later legs.
    pub(crate) ids: BTreeSet<TransferId>,
    pub(crate) holds: BTreeMap<TransferId, OpenHold>,
    /// Transfers of orders that can be reversed, by number.
    done: BTreeMap<u64, (AccountId, AccountId, i128)>,
}

impl Book {
    /// What open holds would credit to an account.
    pub(crate) fn held_for(&self, id: &AccountId) -> impl Iterator<Item = i128> {
        let id = *id;
        self.holds.values().filter(move |hold| hold.credit == id).map(|hold| hold.amount)
    }
}

/// The outcomes of a command in one word each.
pub(crate) fn text(outcomes: &[OrderOutcome]) -> String {
    let word = |outcome: &OrderOutcome| match outcome {
        OrderOutcome::Done { .. } => "done",
        OrderOutcome::Repeated { .. } => "repeated",
        OrderOutcome::Refused { .. } => "refused",
        OrderOutcome::RefusedBefore { .. } => "refused_before",
        OrderOutcome::Rejected(OrderRejection::ExistsWithDifferent { .. }) => "different",
        OrderOutcome::Rejected(OrderRejection::LegIdUsed(_)) => "leg_id_used",
        OrderOutcome::Rejected(OrderRejection::FromFuture(_)) => "from_future",
    };
    format!("ordered/{}", outcomes.iter().map(word).collect::<Vec<_>>().join(","))
}

/// Some orders, sensible ones most of the time, repeated ones and wrong ones as well.
pub(crate) fn command(
    model: &Model,
    accounts: &[AccountId],
    now: Instant,
    chance: &mut Chance,
) -> Option<Command> {
    let count = chance.below(6).saturating_add(1);
    let mut orders = Vec::new();
    for _ in 0..count {
        orders.push(if chance.one_in(3) {
            again(model, accounts, now, chance)?
        } else {
            let order = one(model, accounts, now, chance)?;
            Ordered { order, conditions: conditions(model, accounts, chance) }
        });
    }
    let (by, salt) = (Hash32::new([9; 32]), chance.bytes());
    Some(Command::Orders(Box::new(Orders { orders, by, salt })))
}

/// What must hold after an order, of some account: about what is the case before it, so that either may come true.
fn conditions(model: &Model, accounts: &[AccountId], chance: &mut Chance) -> Vec<Condition> {
    let count = if chance.one_in(4) { chance.below(2).saturating_add(1) } else { 0 };
    (0..count).filter_map(|_| condition(model, accounts, chance)).collect()
}

fn condition(model: &Model, accounts: &[AccountId], chance: &mut Chance) -> Option<Condition> {
    let account = *chance.pick(accounts)?;
    let on = if chance.one_in(2) { Measure::Posted } else { Measure::Available };
    let is = *chance.pick(Comparison::ALL)?;
    let now = model.accounts.get(&account)?.measure(on);
    let than = balance(now.saturating_add(i128::from(chance.below(3))).saturating_sub(1));
    Some(Condition { account, on, is, than })
}

fn balance(minor: i128) -> Balance {
    let amount = Amount::from_minor(minor.unsigned_abs());
    if minor < 0 {
        Balance::between(Amount::ZERO, amount)
    } else {
        Balance::between(amount, Amount::ZERO)
    }
}

fn one(model: &Model, accounts: &[AccountId], now: Instant, chance: &mut Chance) -> Option<Order> {
    let book = &model.orders;
    let id = TransferId::new(now.unix_ms(), chance.bytes());
    let hold = |chance: &mut Chance| {
        let open: Vec<TransferId> = book.holds.keys().copied().collect();
        chance.pick(&open).copied().unwrap_or(id)
    };
    Some(match chance.below(12) {
        0..=4 => Order::Transfer(dated(request(model, accounts, id, chance)?, now, chance)),
        5 | 6 => {
            let used: Vec<TransferId> = book.ids.iter().copied().collect();
            let fresh = TransferId::new(now.unix_ms(), chance.bytes());
            let second = chance.pick(&used).copied().filter(|_| chance.one_in(3)).unwrap_or(fresh);
            let first = request(model, accounts, id, chance)?;
            let mut legs =
                vec![first, dated(request(model, accounts, second, chance)?, now, chance)];
            if chance.one_in(3) {
                let third = TransferId::new(now.unix_ms(), chance.bytes());
                legs.push(request(model, accounts, third, chance)?);
            }
            Order::Linked(legs)
        }
        7 | 8 => {
            let life = Span::from_secs(chance.below(24 * 3600).saturating_add(1));
            Order::Hold { request: request(model, accounts, id, chance)?, expires: now.plus(life) }
        }
        9 => {
            let part = Amount::from_minor(u128::from(chance.below(20_000)).saturating_add(1));
            let amount = if chance.one_in(2) { Some(part) } else { None };
            Order::Post { hold: hold(chance), id, amount }
        }
        10 => Order::Void { hold: hold(chance), id },
        _ => {
            let done: Vec<u64> = book.done.keys().copied().collect();
            Order::Reverse { of: chance.pick(&done).copied().unwrap_or(1), id }
        }
    })
}

/// Perhaps with a value date: mostly one of the past, sometimes now, or so late that the order is refused.
fn dated(request: TransferRequest, now: Instant, chance: &mut Chance) -> TransferRequest {
    let effective = match chance.below(12) {
        0 => Some(now),
        1 => Some(now.minus(Span::from_ms(chance.below(9_000_000)))),
        2 => Some(now.plus(Span::from_secs(chance.below(600)))),
        _ => None,
    };
    TransferRequest { effective, ..request }
}

/// An order that was given before, half the time with one field changed, or one under the id of something else.
fn again(
    model: &Model,
    accounts: &[AccountId],
    now: Instant,
    chance: &mut Chance,
) -> Option<Ordered> {
    let known: Vec<&Ordered> = model.orders.known.values().map(|(ordered, _)| ordered).collect();
    let Some(known) = chance.pick(&known) else {
        return one(model, accounts, now, chance).map(Ordered::from);
    };
    let mut ordered = (*known).clone();
    match chance.below(10) {
        0..=4 => {}
        5 => ordered.conditions.extend(condition(model, accounts, chance)),
        6 => drop(ordered.conditions.pop()),
        7 => return fund_as_order(model, chance).or(Some(ordered)),
        _ => ordered.order = other(ordered.order, now, chance),
    }
    Some(ordered)
}

/// What money was brought in with, as if it had been ordered.
fn fund_as_order(model: &Model, chance: &mut Chance) -> Option<Ordered> {
    let known: Vec<_> = model.fundings.iter().collect();
    let (id, (credit, amount)) = *chance.pick(&known)?;
    let asset = model.accounts.get(credit)?.asset;
    let debit = model.issuance(asset)?;
    let money = Money { amount: *amount, asset };
    let request = TransferRequest { id: *id, debit, credit: *credit, money, effective: None };
    Some(Order::Transfer(request).into())
}

/// The order with one field changed, so that no row of a transfer need tell it from the order.
fn other(order: Order, now: Instant, chance: &mut Chance) -> Order {
    match order {
        Order::Transfer(request) => match chance.below(3) {
            0 => Order::Transfer(dearer(request)),
            1 => Order::Transfer(TransferRequest { effective: Some(now), ..request }),
            _ => Order::Linked(vec![request]),
        },
        Order::Linked(mut legs) => {
            match chance.below(4) {
                _ if legs.len() < 2 => {}
                0 => drop(legs.pop()),
                // The id of a later leg is then that of the order.
                1 => drop(legs.drain(..1)),
                2 => legs.reverse(),
                _ => legs.iter_mut().skip(1).for_each(|leg| *leg = dearer(*leg)),
            }
            match (legs.as_slice(), chance.one_in(2)) {
                ([leg], true) => Order::Transfer(*leg),
                _ => Order::Linked(legs),
            }
        }
        Order::Hold { request, expires } => match chance.below(3) {
            0 => Order::Hold { request: dearer(request), expires },
            1 => Order::Transfer(request),
            _ => Order::Hold { request, expires: expires.plus(Span::from_ms(1)) },
        },
        Order::Post { hold, id, amount } => match (amount, chance.one_in(2)) {
            (None, true) => Order::Void { hold, id },
            (None, false) => Order::Post { hold, id, amount: Some(Amount::from_minor(1)) },
            (Some(_), _) => Order::Post { hold, id, amount: None },
        },
        Order::Void { hold, id } => Order::Post { hold, id, amount: None },
        Order::Reverse { of, id } => Order::Reverse { of: of.saturating_add(1), id },
    }
}

fn dearer(mut request: TransferRequest) -> TransferRequest {
    let more = request.money.amount.minor().saturating_add(1);
    request.money.amount = Amount::from_minor(more);
    request
}

fn request(
    model: &Model,
    accounts: &[AccountId],
    id: TransferId,
    chance: &mut Chance,
) -> Option<TransferRequest> {
    let own = |id: &&AccountId| model.accounts.get(*id).is_some_and(|a| is_own(a.kind));
    let operators: Vec<AccountId> = accounts.iter().filter(own).copied().collect();
    let from = if chance.one_in(12) { accounts } else { operators.as_slice() };
    let debit = *chance.pick(from)?;
    let asset: Asset = model.accounts.get(&debit)?.asset;
    let fits = |id: &&AccountId| model.accounts.get(*id).is_some_and(|a| a.asset == asset);
    let same: Vec<AccountId> = accounts.iter().filter(fits).copied().collect();
    let credit = if chance.one_in(12) { *chance.pick(accounts)? } else { *chance.pick(&same)? };
    let amount = Amount::from_minor(u128::from(chance.below(400_000)).saturating_add(1));
    Some(TransferRequest { id, debit, credit, money: Money { amount, asset }, effective: None })
}

const fn is_own(kind: AccountKind) -> bool {
    matches!(kind, AccountKind::Issuance | AccountKind::External | AccountKind::Operating)
}

fn id_of(order: &Order) -> TransferId {
    match order {
        Order::Transfer(request) | Order::Hold { request, .. } => request.id,
        Order::Linked(legs) => legs.first().map_or(TransferId::from_bytes([0; 16]), |leg| leg.id),
        Order::Post { id, .. } | Order::Void { id, .. } | Order::Reverse { id, .. } => *id,
    }
}

/// An order is refused; why is not modelled.
struct Refused;

impl Model {
    /// What must become of orders; the model moves along. The numbers are the ledger's.
    pub(crate) fn order(
        &mut self,
        orders: &Orders,
        given: &[OrderOutcome],
        now: Instant,
    ) -> String {
        let mut words = Vec::new();
        for (place, ordered) in orders.orders.iter().enumerate() {
            words.push(self.one_order(ordered, given.get(place), now));
        }
        format!("ordered/{}", words.join(","))
    }

    fn one_order(
        &mut self,
        ordered: &Ordered,
        given: Option<&OrderOutcome>,
        now: Instant,
    ) -> &'static str {
        let order = &ordered.order;
        let id = id_of(order);
        if let Some((known, fate)) = self.orders.known.get(&id) {
            return match fate {
                _ if known != ordered => "different",
                Fate::Done => "repeated",
                Fate::Refused => "refused_before",
            };
        }
        if id.unix_ms() > now.unix_ms().saturating_add(60_000) {
            return "from_future";
        }
        // A later leg's, or that of money brought in.
        if self.is_used(&id) {
            return "different";
        }
        if let Order::Linked(legs) = order
            && let Some(word) = self.legs_word(legs, now)
        {
            return word;
        }
        let done = self.carry_out_if(ordered, given, now);
        let (word, fate) =
            if done.is_ok() { ("done", Fate::Done) } else { ("refused", Fate::Refused) };
        self.orders.known.insert(id, (ordered.clone(), fate));
        word
    }

    /// Carries an order out wholly, if its conditions hold afterwards, or not at all.
    fn carry_out_if(
        &mut self,
        ordered: &Ordered,
        given: Option<&OrderOutcome>,
        now: Instant,
    ) -> Result<(), Refused> {
        let watched = self.watched();
        let before = (self.accounts.clone(), self.orders.holds.clone(), self.orders.done.clone());
        let ids = self.orders.ids.clone();
        let done = self.carry_out(&ordered.order, given, now);
        if done.is_ok() && ordered.conditions.iter().all(|condition| self.holds(condition)) {
            self.look(&watched);
            return Ok(());
        }
        (self.accounts, self.orders.holds, self.orders.done) = before;
        self.orders.ids = ids;
        Err(Refused)
    }

    fn holds(&self, condition: &Condition) -> bool {
        let Condition { account, on, is, than } = condition;
        let Some(account) = self.accounts.get(account) else { return false };
        let found = balance(account.measure(*on));
        match is {
            Comparison::Less => found < *than,
            Comparison::AtMost => found <= *than,
            Comparison::Equal => found == *than,
            Comparison::AtLeast => found >= *than,
            Comparison::Greater => found > *than,
        }
    }

    /// What is wrong with the id of a later leg, if anything is: the order's own id stays unused then.
    fn legs_word(&self, legs: &[TransferRequest], now: Instant) -> Option<&'static str> {
        legs.iter().skip(1).find_map(|leg| match leg.id {
            id if id.unix_ms() > now.unix_ms().saturating_add(60_000) => Some("from_future"),
            id if self.is_used(&id) || self.orders.known.contains_key(&id) => Some("leg_id_used"),
            _ => None,
        })
    }

    fn is_used(&self, id: &TransferId) -> bool {
        self.orders.ids.contains(id) || self.fundings.contains_key(id)
    }

    fn carry_out(
        &mut self,
        order: &Order,
        given: Option<&OrderOutcome>,
        now: Instant,
    ) -> Result<(), Refused> {
        match order {
            Order::Transfer(request) => {
                self.may_go(request, now)?;
                let amount = minor(request.money.amount);
                self.promise(&request.debit, amount, now);
                self.post(&request.debit, &request.credit, amount);
                if let Some(OrderOutcome::Done { number }) = given {
                    let made = (request.debit, request.credit, amount);
                    self.orders.done.insert(*number, made);
                }
            }
            Order::Linked(legs) => self.all_legs(legs, now)?,
            Order::Hold { request, expires } => {
                self.may_go(request, now)?;
                if *expires <= now || request.effective.is_some() {
                    return Err(Refused);
                }
                let (debit, credit) = (request.debit, request.credit);
                let amount = minor(request.money.amount);
                self.promise(&debit, amount, now);
                self.hold(&debit, amount);
                let hold = OpenHold { debit, credit, amount, expires: *expires };
                self.orders.holds.insert(request.id, hold);
            }
            Order::Post { hold, amount, .. } => {
                let open = *self.orders.holds.get(hold).ok_or(Refused)?;
                let amount = amount.map_or(open.amount, minor);
                let barred = [open.debit, open.credit].iter().any(|id| self.is_barred(id));
                if open.expires <= now || amount > open.amount || barred {
                    return Err(Refused);
                }
                self.let_go(*hold);
                self.post(&open.debit, &open.credit, amount);
            }
            Order::Void { hold, .. } => {
                self.orders.holds.get(hold).ok_or(Refused)?;
                self.let_go(*hold);
            }
            Order::Reverse { of, .. } => {
                let (debit, credit, amount) = *self.orders.done.get(of).ok_or(Refused)?;
                self.may_debit(&credit, amount)?;
                if self.is_barred(&debit) {
                    return Err(Refused);
                }
                self.orders.done.remove(of);
                self.post(&credit, &debit, amount);
            }
        }
        self.note_ids(order);
        Ok(())
    }

    fn note_ids(&mut self, order: &Order) {
        self.orders.ids.insert(id_of(order));
        if let Order::Linked(legs) = order {
            self.orders.ids.extend(legs.iter().map(|leg| leg.id));
        }
    }

    /// A later leg can spend what an earlier one brought.
    fn all_legs(&mut self, legs: &[TransferRequest], now: Instant) -> Result<(), Refused> {
        if legs.iter().any(|leg| !self.kind(&leg.debit).is_some_and(is_own)) {
            return Err(Refused);
        }
        for leg in legs {
            self.may_go(leg, now)?;
            self.promise(&leg.debit, minor(leg.money.amount), now);
            self.post(&leg.debit, &leg.credit, minor(leg.money.amount));
        }
        Ok(())
    }

    fn may_go(&self, request: &TransferRequest, now: Instant) -> Result<(), Refused> {
        let TransferRequest { debit, credit, money, effective, .. } = request;
        let asset = |id| self.accounts.get(id).map(|account| account.asset);
        let fits = asset(debit) == Some(money.asset) && asset(credit) == Some(money.asset);
        let late = effective.is_some_and(|effective| effective > now);
        let paced = !self.allows(debit, minor(money.amount), now);
        let amount = minor(money.amount);
        let within = self.may_give(debit, amount) && self.may_take(credit, amount);
        if debit == credit || !fits || late || paced || !within || self.is_barred(credit) {
            return Err(Refused);
        }
        self.may_debit(debit, amount)
    }

    fn may_debit(&self, id: &AccountId, amount: i128) -> Result<(), Refused> {
        let account = self.accounts.get(id).ok_or(Refused)?;
        let short = account.posted.saturating_sub(account.held) < amount;
        let is_short = short && account.kind != AccountKind::Issuance;
        let allowed = is_own(account.kind) && !self.is_barred(id) && !is_short;
        if allowed { Ok(()) } else { Err(Refused) }
    }

    fn let_go(&mut self, hold: TransferId) {
        if let Some(open) = self.orders.holds.remove(&hold) {
            self.hold(&open.debit, open.amount.saturating_neg());
        }
    }

    /// Lets holds of orders go that have run out; answers how many.
    pub(crate) fn expire_holds(&mut self, now: Instant) -> usize {
        let late = |(id, hold): (&TransferId, &OpenHold)| (hold.expires <= now).then_some(*id);
        let ended: Vec<TransferId> = self.orders.holds.iter().filter_map(late).collect();
        ended.iter().for_each(|id| self.let_go(*id));
        ended.len()
    }
}
