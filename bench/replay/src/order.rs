//! In which order transfers may go out while others are under way.
//!
//! Per account, paying is exclusive and being paid is shared: credits commute with credits, but whether a debit is
//! covered depends on every credit and debit before it. A transfer is ready once all earlier transfers that it must
//! not overtake are answered. INVARIANT: outcomes are then those of sending one after the other in file order.

use std::collections::{BTreeSet, HashMap};

/// How many transfers are looked at beyond the oldest one that is unanswered.
pub const WINDOW: usize = 8_192;

/// One transfer as the order sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    /// The account that pays.
    pub payer: u32,
    /// The account that is paid.
    pub payee: u32,
}

#[derive(Default)]
struct Entry {
    /// Earlier unanswered transfers that this one waits for.
    blockers: usize,
    /// Later transfers that wait for this one.
    followers: Vec<usize>,
}

/// Unanswered transfers of one account, oldest first.
#[derive(Default)]
struct Account {
    paying: BTreeSet<usize>,
    paid: BTreeSet<usize>,
}

/// Hands out transfers in file order, as far as the accounts allow.
pub struct Order<'e> {
    edges: &'e [Edge],
    next: usize,
    open: HashMap<usize, Entry>,
    accounts: HashMap<u32, Account>,
    ready: BTreeSet<usize>,
}

impl<'e> Order<'e> {
    /// All of `edges`, from the first.
    #[must_use]
    pub fn new(edges: &'e [Edge]) -> Self {
        let mut order = Self {
            edges,
            next: 0,
            open: HashMap::new(),
            accounts: HashMap::new(),
            ready: BTreeSet::new(),
        };
        order.admit();
        order
    }

    /// The earliest transfer that may go out now; the caller says [`Order::done`] when it is answered.
    pub fn take(&mut self) -> Option<usize> {
        self.ready.pop_first()
    }

    /// A transfer that was taken has its answer.
    pub fn done(&mut self, index: usize) {
        let (Some(entry), Some(edge)) = (self.open.remove(&index), self.edges.get(index)) else {
            return;
        };
        for (id, of_payer) in [(edge.payer, true), (edge.payee, false)] {
            if let Some(account) = self.accounts.get_mut(&id) {
                if of_payer {
                    account.paying.remove(&index)
                } else {
                    account.paid.remove(&index)
                };
                if account.paying.is_empty() && account.paid.is_empty() {
                    self.accounts.remove(&id);
                }
            }
        }
        for follower in entry.followers {
            if let Some(waiting) = self.open.get_mut(&follower) {
                waiting.blockers = waiting.blockers.saturating_sub(1);
                if waiting.blockers == 0 {
                    self.ready.insert(follower);
                }
            }
        }
        self.admit();
    }

    /// Whether every transfer is answered.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.open.is_empty() && self.next >= self.edges.len()
    }

    fn admit(&mut self) {
        while self.open.len() < WINDOW {
            let index = self.next;
            let Some(edge) = self.edges.get(index).copied() else { return };
            self.next = self.next.saturating_add(1);
            let mut blockers = BTreeSet::new();
            if let Some(payer) = self.accounts.get(&edge.payer) {
                blockers.extend(payer.paying.iter().chain(&payer.paid).copied());
            }
            if let Some(payee) = self.accounts.get(&edge.payee) {
                blockers.extend(payee.paying.iter().copied());
            }
            for blocker in &blockers {
                if let Some(entry) = self.open.get_mut(blocker) {
                    entry.followers.push(index);
                }
            }
            self.accounts.entry(edge.payer).or_default().paying.insert(index);
            self.accounts.entry(edge.payee).or_default().paid.insert(index);
            if blockers.is_empty() {
                self.ready.insert(index);
            }
            self.open.insert(index, Entry { blockers: blockers.len(), followers: Vec::new() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edges(pairs: &[(u32, u32)]) -> Vec<Edge> {
        pairs.iter().map(|&(payer, payee)| Edge { payer, payee }).collect()
    }

    #[test]
    fn a_payer_waits_for_its_own_payment_and_for_money_on_its_way() {
        let list = edges(&[(1, 2), (1, 3), (2, 4), (5, 2)]);
        let mut order = Order::new(&list);
        assert_eq!(order.take(), Some(0));
        // 1 pays already; 2 is being paid; and (5, 2) must not overtake 2's own payment.
        assert_eq!(order.take(), None);
        order.done(0);
        assert_eq!((order.take(), order.take(), order.take()), (Some(1), Some(2), None));
        order.done(2);
        assert_eq!(order.take(), Some(3));
    }

    #[test]
    fn many_may_pay_the_same_account_at_once() {
        let list = edges(&[(1, 9), (2, 9), (3, 9)]);
        let mut order = Order::new(&list);
        assert_eq!((order.take(), order.take(), order.take()), (Some(0), Some(1), Some(2)));
    }

    /// Carries out transfers in the order of `decisions` and says which were covered.
    fn outcomes(list: &[Edge], amounts: &[u64], decisions: &[usize]) -> Vec<bool> {
        let mut balance = HashMap::new();
        let mut covered = vec![false; list.len()];
        for &index in decisions {
            let (edge, amount) = (list[index], amounts[index]);
            let has = *balance.entry(edge.payer).or_insert(50_u64);
            if has >= amount {
                balance.insert(edge.payer, has - amount);
                *balance.entry(edge.payee).or_insert(50) += amount;
                covered[index] = true;
            }
        }
        covered
    }

    proptest! {
        /// However many are under way and in whatever order they are decided, the outcomes are those of file order.
        #[test]
        fn outcomes_do_not_depend_on_what_is_under_way(
            pairs in prop::collection::vec((0_u32..6, 0_u32..6, 1_u64..60), 1..80),
            picks in prop::collection::vec(any::<u16>(), 80),
            in_flight_max in 1_usize..9,
        ) {
            let pairs: Vec<_> = pairs.into_iter().filter(|(a, b, _)| a != b).collect();
            let list = edges(&pairs.iter().map(|&(a, b, _)| (a, b)).collect::<Vec<_>>());
            let amounts: Vec<u64> = pairs.iter().map(|p| p.2).collect();
            let mut order = Order::new(&list);
            let (mut in_flight, mut decided) = (Vec::new(), Vec::new());
            while !order.is_finished() {
                while in_flight.len() < in_flight_max {
                    let Some(index) = order.take() else { break };
                    in_flight.push(index);
                }
                prop_assert!(!in_flight.is_empty(), "nothing goes on");
                let pick = usize::from(picks[decided.len()]) % in_flight.len();
                let index = in_flight.swap_remove(pick);
                decided.push(index);
                order.done(index);
            }
            let in_file_order: Vec<usize> = (0..list.len()).collect();
            prop_assert_eq!(
                outcomes(&list, &amounts, &decided),
                outcomes(&list, &amounts, &in_file_order)
            );
        }
    }
}
