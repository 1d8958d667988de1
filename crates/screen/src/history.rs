//! Whom an account paid and who paid it, as far back as any rule looks.

use std::collections::VecDeque;

use tpw_core::{AccountId, Instant, Span};

use crate::rules::Window;
use crate::windows::Windows;

/// Payees remembered per payer; beyond it the one paid longest ago is forgotten and counts as new.
const PAYEES_MAX: usize = 512;

/// Incoming payments remembered per account; beyond it the oldest is forgotten.
const INBOUND_MAX: usize = 128;

/// How far back state reaches. What is rebuilt from 30 days of payments is then what it was.
pub(crate) const REACH: Span = Window::Month.span();

#[derive(Clone, Copy, Debug)]
struct Inbound {
    from: AccountId,
    at: Instant,
    amount_minor: u128,
}

/// What screening remembers of one account in one asset.
#[derive(Clone, Default, Debug)]
pub(crate) struct History {
    /// What it sent.
    pub(crate) sent: Windows,
    /// Whom it paid and when last. INVARIANT: sorted by account, so that it can be searched.
    payees: Vec<(AccountId, Instant)>,
    /// Oldest first, but for late ones.
    inbound: VecDeque<Inbound>,
}

impl History {
    /// Whether it paid this account within the last 30 days.
    pub(crate) fn knows(&self, payee: AccountId, at: Instant) -> bool {
        self.payees
            .binary_search_by_key(&payee, |(account, _)| *account)
            .ok()
            .and_then(|place| self.payees.get(place))
            .is_some_and(|(_, last)| at.since(*last) < REACH)
    }

    /// Whether `payer` sent it an amount within `tolerance_percent` of this one less than `within`
    /// ago. The tolerance is a share of the amount that goes back.
    pub(crate) fn returns(
        &self,
        payer: AccountId,
        amount_minor: u128,
        at: Instant,
        within: Span,
        tolerance_percent: u8,
    ) -> bool {
        let slack = share(amount_minor, tolerance_percent);
        self.inbound.iter().rev().any(|inbound| {
            inbound.from == payer
                && at.since(inbound.at) < within
                && inbound.amount_minor.abs_diff(amount_minor) <= slack
        })
    }

    /// Remembers a payee.
    pub(crate) fn paid(&mut self, payee: AccountId, at: Instant) {
        match self.payees.binary_search_by_key(&payee, |(account, _)| *account) {
            Ok(place) => {
                if let Some((_, last)) = self.payees.get_mut(place) {
                    *last = at.max(*last);
                }
            }
            Err(place) => {
                self.payees.insert(place, (payee, at));
                if self.payees.len() > PAYEES_MAX {
                    self.forget_oldest_payee();
                }
            }
        }
    }

    fn forget_oldest_payee(&mut self) {
        let oldest = self.payees.iter().enumerate().min_by_key(|(_, (id, last))| (*last, *id));
        if let Some((place, _)) = oldest {
            self.payees.remove(place);
        }
    }

    /// Remembers an incoming payment.
    pub(crate) fn received(&mut self, from: AccountId, amount_minor: u128, at: Instant) {
        while self.inbound.front().is_some_and(|oldest| at.since(oldest.at) >= REACH)
            || self.inbound.len() >= INBOUND_MAX
        {
            self.inbound.pop_front();
        }
        self.inbound.push_back(Inbound { from, at, amount_minor });
    }

    /// Whether nothing happened within the last 30 days.
    pub(crate) fn is_idle(&self, at: Instant) -> bool {
        let old = |last: Option<Instant>| last.is_none_or(|last| at.since(last) >= REACH);
        old(self.sent.newest()) && old(self.inbound.iter().map(|inbound| inbound.at).max())
    }
}

/// `percent` of an amount, rounded down, without leaving 128 bits.
fn share(amount_minor: u128, percent: u8) -> u128 {
    let (percent, whole, rest) = (u128::from(percent), amount_minor / 100, amount_minor % 100);
    whole.saturating_mul(percent).saturating_add(rest.saturating_mul(percent) / 100)
}
