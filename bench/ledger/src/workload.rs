//! The workload: orders made up from a seed. The same seed gives the same orders, on every machine.
//!
//! Of a hundred payments 5 are linked pairs, 20 are two-phase (a hold, and a post or a void some sixteen thousand orders
//! later), and 75 are plain transfers. Beside them one order in a hundred repeats an earlier one, drawn evenly from
//! all that were ever made, with the same content. Amounts are 1 to 1000 minor units.

use crate::alone::account_id;
use replay::make::Dice;
use std::collections::VecDeque;
use tpw_core::{Amount, Asset, Money, TransferId};
use tpw_ledger::TransferRequest;

/// How many orders lie between a hold and its end: more than two batches, so that the end always finds it.
const HOLD_LIFE: usize = 16_384;
/// How many earlier orders are remembered for repeating.
const KEPT_MAX: usize = 8_192;
/// The largest amount.
const AMOUNT_MAX: u64 = 1_000;
/// One order in so many repeats an earlier one.
const REPEAT_ONE_IN: u64 = 100;

/// Which accounts take part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Every account as often as any other.
    Uniform,
    /// The k-th account k times less often than the first (Zipf's law with exponent 1).
    Zipf,
    /// One account gives in every transfer.
    Hot,
}

/// One movement of money between two accounts, which are numbered from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leg {
    /// Its id.
    pub id: TransferId,
    /// Who gives.
    pub debit: u32,
    /// Who receives.
    pub credit: u32,
    /// Minor units.
    pub amount: u64,
}

impl Leg {
    /// As the ledger is asked for it.
    #[must_use]
    pub fn request(&self, asset: Asset) -> TransferRequest {
        TransferRequest {
            id: self.id,
            debit: account_id(self.debit.into()),
            credit: account_id(self.credit.into()),
            money: Money { amount: Amount::from_minor(self.amount.into()), asset },
            effective: None,
        }
    }
}

/// What one order asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item {
    /// A transfer.
    Plain(Leg),
    /// Two transfers, both or none.
    Pair(Leg, Leg),
    /// A hold.
    Hold(Leg),
    /// Moves held money.
    Post {
        /// The hold.
        hold: Leg,
        /// The id of this transfer.
        id: TransferId,
        /// Minor units, at most what is held.
        amount: u64,
    },
    /// Releases held money.
    Void {
        /// The hold.
        hold: Leg,
        /// The id of this transfer.
        id: TransferId,
    },
}

impl Item {
    /// How many rows of the ledger it makes.
    #[must_use]
    pub const fn transfers(&self) -> u64 {
        match self {
            Self::Pair(..) => 2,
            _ => 1,
        }
    }

    /// The posted movements that it makes: debited account, credited account, minor units.
    pub fn moves(&self) -> impl Iterator<Item = (u32, u32, u64)> {
        let of = |leg: &Leg| Some((leg.debit, leg.credit, leg.amount));
        let two = match self {
            Self::Plain(leg) => [of(leg), None],
            Self::Pair(first, second) => [of(first), of(second)],
            Self::Post { hold, amount, .. } => [Some((hold.debit, hold.credit, *amount)), None],
            Self::Hold(_) | Self::Void { .. } => [None, None],
        };
        two.into_iter().flatten()
    }
}

/// Orders to send at once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// The orders.
    pub items: Vec<Item>,
    /// Places in `items` that repeat an earlier order, with that order's serial.
    pub repeats: Vec<(usize, u64)>,
    /// Places in `items` that may be repeated later, with their serials.
    pub kept: Vec<(usize, u64)>,
    /// Rows that the new orders make.
    pub transfers: u64,
}

/// The source of orders.
#[derive(Clone, Debug)]
pub struct Workload {
    dice: Dice,
    shape: Shape,
    accounts: u64,
    /// Running sums of the weights of accounts, for [`Shape::Zipf`].
    weights: Vec<u64>,
    /// Open holds, the oldest first, each with the serial from which on it may end.
    holds: VecDeque<(u64, Leg)>,
    kept: Vec<(u64, Item)>,
    /// Serial of the next new order.
    serial: u64,
}

impl Workload {
    /// Orders between so many accounts, at least two.
    #[must_use]
    pub fn new(seed: u64, shape: Shape, accounts: u32) -> Self {
        let accounts = accounts.max(2);
        let weights = match shape {
            Shape::Zipf => sums(accounts),
            Shape::Uniform | Shape::Hot => Vec::new(),
        };
        let (dice, accounts) = (Dice::new(seed), u64::from(accounts));
        let (holds, kept) = (VecDeque::new(), Vec::new());
        Self { dice, shape, accounts, weights, holds, kept, serial: 0 }
    }

    /// Goes on with another mix of accounts; what is open or remembered stays.
    #[must_use]
    pub fn with_shape(mut self, shape: Shape) -> Self {
        if shape == Shape::Zipf && self.weights.is_empty() {
            self.weights = sums(u32::try_from(self.accounts).unwrap_or(u32::MAX));
        }
        self.shape = shape;
        self
    }

    /// The next `count` orders, with ids of the time `now_ms`.
    pub fn batch(&mut self, count: usize, now_ms: u64) -> Batch {
        let mut batch = Batch { items: Vec::with_capacity(count), ..Batch::default() };
        while batch.items.len() < count {
            let place = batch.items.len();
            if self.dice.below(REPEAT_ONE_IN) == 0
                && let Some((serial, item)) = self.earlier()
            {
                batch.repeats.push((place, serial));
                batch.items.push(item);
                continue;
            }
            let item = self.new_item(now_ms);
            if self.keep(item) {
                batch.kept.push((place, self.serial));
            }
            self.serial = self.serial.saturating_add(1);
            batch.transfers = batch.transfers.saturating_add(item.transfers());
            batch.items.push(item);
        }
        batch
    }

    fn new_item(&mut self, now_ms: u64) -> Item {
        if self.holds.front().is_some_and(|(due, _)| *due <= self.serial)
            && let Some((_, hold)) = self.holds.pop_front()
        {
            let id = self.id(now_ms);
            return match self.dice.below(10) {
                0 | 1 => Item::Void { hold, id },
                2..=5 => {
                    let amount = self.dice.below(hold.amount).saturating_add(1);
                    Item::Post { hold, id, amount }
                }
                _ => Item::Post { hold, id, amount: hold.amount },
            };
        }
        let leg = self.leg(now_ms);
        match self.dice.below(100) {
            0..5 => {
                let second = Leg { debit: leg.debit, ..self.leg(now_ms) };
                // The same payer, as with a fee; never to itself.
                if second.credit == leg.debit {
                    return Item::Plain(leg);
                }
                Item::Pair(leg, second)
            }
            5..25 => {
                let life = u64::try_from(HOLD_LIFE).unwrap_or(u64::MAX);
                self.holds.push_back((self.serial.saturating_add(life), leg));
                Item::Hold(leg)
            }
            _ => Item::Plain(leg),
        }
    }

    fn leg(&mut self, now_ms: u64) -> Leg {
        let debit = match self.shape {
            Shape::Hot => 0,
            Shape::Uniform | Shape::Zipf => self.account(),
        };
        let mut credit = self.account();
        while credit == debit {
            credit = self.account();
        }
        let amount = self.dice.below(AMOUNT_MAX).saturating_add(1);
        Leg { id: self.id(now_ms), debit, credit, amount }
    }

    fn account(&mut self) -> u32 {
        let drawn = match self.shape {
            Shape::Uniform | Shape::Hot => self.dice.below(self.accounts),
            Shape::Zipf => {
                let at = self.dice.below(self.weights.last().copied().unwrap_or(0));
                let place = self.weights.partition_point(|sum| *sum <= at);
                u64::try_from(place).unwrap_or(0)
            }
        };
        u32::try_from(drawn).unwrap_or(0)
    }

    /// An id whose time is `now_ms`, as a client would make it.
    fn id(&mut self, now_ms: u64) -> TransferId {
        let (high, low) = (self.dice.roll().to_be_bytes(), self.dice.roll().to_be_bytes());
        let mut random = [0; 10];
        for (to, from) in random.iter_mut().zip(high.into_iter().chain(low)) {
            *to = from;
        }
        TransferId::new(now_ms, random)
    }

    fn earlier(&mut self) -> Option<(u64, Item)> {
        let count = u64::try_from(self.kept.len()).ok().filter(|count| *count > 0)?;
        let place = usize::try_from(self.dice.below(count)).ok()?;
        self.kept.get(place).copied()
    }

    /// Remembers each order with the same chance, however many follow (Vitter's algorithm R).
    fn keep(&mut self, item: Item) -> bool {
        let entry = (self.serial, item);
        if self.kept.len() < KEPT_MAX {
            self.kept.push(entry);
            return true;
        }
        let drawn = usize::try_from(self.dice.below(self.serial.saturating_add(1)));
        match drawn.ok().and_then(|place| self.kept.get_mut(place)) {
            Some(slot) => {
                *slot = entry;
                true
            }
            None => false,
        }
    }
}

/// Running sums of 1, 1/2, 1/3 … in whole numbers.
fn sums(accounts: u32) -> Vec<u64> {
    const ONE: u64 = 1 << 40;
    let mut sum = 0_u64;
    let weights = (1..=u64::from(accounts)).map(|rank| ONE.checked_div(rank).unwrap_or(0));
    weights
        .map(|weight| {
            sum = sum.saturating_add(weight);
            sum
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const NOW_MS: u64 = 1_795_000_000_000;

    fn many(shape: Shape, count: usize) -> Batch {
        Workload::new(7, shape, 10_000).batch(count, NOW_MS)
    }

    fn share(count: usize, of: usize) -> f64 {
        count as f64 / of as f64
    }

    #[test]
    fn the_same_seed_makes_the_same_orders_in_any_batch_size() {
        let whole = many(Shape::Uniform, 40_000);
        let mut parts = Workload::new(7, Shape::Uniform, 10_000);
        let mut items = parts.batch(8_190, NOW_MS).items;
        items.extend(parts.batch(31_810, NOW_MS).items);
        assert_eq!(whole.items, items);
        assert_ne!(
            whole.items,
            Workload::new(8, Shape::Uniform, 10_000).batch(40_000, NOW_MS).items
        );
    }

    #[test]
    fn the_mix_is_as_told() {
        let batch = many(Shape::Uniform, 400_000);
        let new: Vec<&Item> = {
            let repeated: HashSet<usize> = batch.repeats.iter().map(|(place, _)| *place).collect();
            let fresh = batch.items.iter().enumerate().filter(|(at, _)| !repeated.contains(at));
            fresh.map(|(_, item)| item).collect()
        };
        let count = |like: fn(&Item) -> bool| new.iter().filter(|item| like(item)).count();
        let plain = count(|item| matches!(item, Item::Plain(_)));
        let pairs = count(|item| matches!(item, Item::Pair(..)));
        let holds = count(|item| matches!(item, Item::Hold(_)));
        let ends = count(|item| matches!(item, Item::Post { .. } | Item::Void { .. }));
        let payments = plain + pairs + holds;
        assert!((share(pairs, payments) - 0.05).abs() < 0.002, "{pairs} of {payments}");
        assert!((share(holds, payments) - 0.20).abs() < 0.005, "{holds} of {payments}");
        assert!((share(batch.repeats.len(), batch.items.len()) - 0.01).abs() < 0.001);
        assert!(holds - ends <= HOLD_LIFE, "{holds} holds, {ends} ended");
        let rows: u64 = new.iter().map(|item| item.transfers()).sum();
        assert_eq!(rows, batch.transfers);
    }

    #[test]
    fn every_new_id_is_used_once_and_every_repeat_is_of_an_earlier_order() {
        let mut work = Workload::new(3, Shape::Zipf, 100);
        let (mut ids, mut seen) = (HashSet::new(), std::collections::HashMap::new());
        for _ in 0..20 {
            let batch = work.batch(5_000, NOW_MS);
            let repeats: std::collections::HashMap<usize, u64> =
                batch.repeats.iter().copied().collect();
            let kept: std::collections::HashMap<usize, u64> = batch.kept.iter().copied().collect();
            for (place, item) in batch.items.iter().enumerate() {
                if let Some(serial) = repeats.get(&place) {
                    assert_eq!(seen.get(serial), Some(item));
                    continue;
                }
                if let Some(serial) = kept.get(&place) {
                    assert_eq!(seen.insert(*serial, *item), None);
                }
                let fresh = match item {
                    Item::Plain(leg) | Item::Hold(leg) => ids.insert(leg.id),
                    Item::Pair(a, b) => ids.insert(a.id) && ids.insert(b.id),
                    Item::Post { id, .. } | Item::Void { id, .. } => ids.insert(*id),
                };
                assert!(fresh);
            }
        }
    }

    #[test]
    fn holds_end_once_and_never_above_what_is_held() {
        let batch = many(Shape::Uniform, 200_000);
        let mut open = HashSet::new();
        let repeated: HashSet<usize> = batch.repeats.iter().map(|(place, _)| *place).collect();
        for (place, item) in batch.items.iter().enumerate() {
            if repeated.contains(&place) {
                continue;
            }
            match item {
                Item::Hold(leg) => assert!(open.insert(leg.id)),
                Item::Post { hold, amount, .. } => {
                    assert!(open.remove(&hold.id) && (1..=hold.amount).contains(amount));
                }
                Item::Void { hold, .. } => assert!(open.remove(&hold.id)),
                Item::Plain(_) | Item::Pair(..) => {}
            }
        }
    }

    #[test]
    fn accounts_are_drawn_as_the_shape_says() {
        let legs = |shape| {
            let items = many(shape, 100_000).items;
            items
                .into_iter()
                .filter_map(|item| match item {
                    Item::Plain(leg) => Some(leg),
                    _ => None,
                })
                .collect::<Vec<_>>()
        };
        let hot = legs(Shape::Hot);
        assert!(hot.iter().all(|leg| leg.debit == 0 && leg.credit != 0));
        let zipf = legs(Shape::Zipf);
        let first = zipf.iter().filter(|leg| leg.debit == 0).count();
        // The harmonic number of 10,000 is 9.79.
        assert!((share(first, zipf.len()) - 1.0 / 9.79).abs() < 0.005);
        let uniform = legs(Shape::Uniform);
        let low = uniform.iter().filter(|leg| leg.debit < 5_000).count();
        assert!((share(low, uniform.len()) - 0.5).abs() < 0.01);
        for leg in hot.iter().chain(&zipf).chain(&uniform) {
            assert!(leg.debit != leg.credit && leg.debit < 10_000 && leg.credit < 10_000);
            assert!((1..=1_000).contains(&leg.amount));
        }
    }
}
