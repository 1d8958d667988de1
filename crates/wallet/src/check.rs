//! What the owner should see before signing: warnings from what this device knows itself.

use std::collections::BTreeSet;

use tpw_core::{AccountId, Amount, Instant, Span};

use crate::journal::{Journal, State};
use crate::pay::{Order, Origin};
use crate::payee::Payees;
use crate::profile::Profile;

/// Something to look at before signing. None of them forbids the payment: that is the server's screening.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Warning {
    /// The balance, as far as known, does not cover amount and fee limit.
    Balance {
        /// What is there.
        available: Amount,
    },
    /// This device never paid this payee.
    PayeeNew,
    /// The payee's id is almost that of a known payee: a mistyped one.
    PayeeLooksLike {
        /// The payee that may be meant.
        known: AccountId,
    },
    /// The payee's id begins and ends as that of a known payee and differs between: one made to be taken for it.
    PayeeEndsAlike {
        /// The payee that may be meant.
        known: AccountId,
    },
    /// Far above what this device usually pays in this asset.
    AmountUnusual {
        /// The middle of the amounts paid so far.
        usual: Amount,
    },
    /// The same was paid within the last 24 hours.
    Repeated {
        /// When it was made.
        at: Instant,
    },
}

impl Warning {
    /// Whether somebody may be about to pay another than they mean: the payee is to be confirmed by itself.
    #[must_use]
    pub const fn is_of_payee(&self) -> bool {
        matches!(self, Self::PayeeLooksLike { .. } | Self::PayeeEndsAlike { .. })
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Balance { .. } => "balance_low",
            Self::PayeeNew => "payee_new",
            Self::PayeeLooksLike { .. } => "payee_looks_like",
            Self::PayeeEndsAlike { .. } => "payee_ends_alike",
            Self::AmountUnusual { .. } => "amount_unusual",
            Self::Repeated { .. } => "repeated",
        }
    }
}

/// An amount is unusual above this many times the median of those before.
const UNUSUAL_FACTOR: u128 = 5;
/// With fewer payments than this there is no "usual".
const HISTORY_LEN_MIN: usize = 5;
const REPEAT_SPAN: Span = Span::from_secs(24 * 3600);
/// An id that differs in at most this many of its 26 characters is taken for a mistyped one.
const TYPOS_MAX: usize = 2;
/// People compare the ends of an id: one with both ends alike is taken for a planted one.
const ENDS_LEN: usize = 6;

/// What a device knows of payees.
#[derive(Clone, Copy, Debug)]
pub struct Known<'k> {
    /// Its own accounts.
    pub profile: &'k Profile,
    /// Whom it paid.
    pub journal: &'k Journal,
    /// Whom its owner has named.
    pub payees: &'k Payees,
}

/// The warnings about an order, gravest first. `available` is the payer's balance if it is known.
#[must_use]
pub fn check(
    order: &Order,
    available: Option<Amount>,
    known: Known<'_>,
    now: Instant,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let Known { journal, .. } = known;
    let known = known_payees(known);
    if !known.contains(&order.payee) {
        let known: Vec<_> = known.iter().map(|known| (*known, known.to_string())).collect();
        warnings.extend(one_alike(&known, order.payee));
        warnings.push(Warning::PayeeNew);
    }
    let total = order.money.amount.plus(order.fee_limit);
    if let Some(available) = available
        && total.is_none_or(|total| total > available)
    {
        warnings.push(Warning::Balance { available });
    }
    warnings.extend(unusual(order, journal));
    warnings.extend(repeated(order, journal, now));
    warnings
}

fn known_payees(known: Known<'_>) -> BTreeSet<AccountId> {
    let Known { profile, journal, payees } = known;
    let paid = journal.entries().iter().filter(|entry| matches!(entry.state(), State::Done { .. }));
    let own = profile.accounts().iter().map(|account| account.id);
    let named = payees.all().iter().map(|payee| payee.account);
    paid.map(|entry| entry.intent().payee).chain(own).chain(named).collect()
}

/// The payees of many orders that could be taken for one that is known, each once, in the order in which they come.
#[must_use]
pub fn doubtful_payees<'o>(
    orders: impl IntoIterator<Item = &'o Order>,
    known: Known<'_>,
) -> Vec<(AccountId, Warning)> {
    let mut judged = known_payees(known);
    let known: Vec<_> = judged.iter().map(|known| (*known, known.to_string())).collect();
    let payees = orders.into_iter().map(|order| order.payee);
    let news = payees.filter(|payee| judged.insert(*payee));
    news.filter_map(|payee| Some((payee, one_alike(&known, payee)?))).collect()
}

/// The first of the known payees, each with its text, that an unknown one could be taken for.
fn one_alike(known: &[(AccountId, String)], payee: AccountId) -> Option<Warning> {
    let payee = payee.to_string();
    known.iter().find_map(|(known, text)| alike((*known, text), &payee))
}

fn alike((known, one): (AccountId, &str), other: &str) -> Option<Warning> {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let differing = one.iter().zip(other).filter(|(a, b)| a != b);
    // Most differ at once: a file may have as many payees as lines.
    if differing.take(TYPOS_MAX.saturating_add(1)).count() <= TYPOS_MAX {
        return Some(Warning::PayeeLooksLike { known });
    }
    // Ids begin with their time, which neighbours share: the beginning that people read is short.
    let start = AccountId::PREFIX.len().saturating_add(1).saturating_add(ENDS_LEN);
    let same_start = one.get(..start) == other.get(..start);
    let same_end = one.iter().rev().take(ENDS_LEN).eq(other.iter().rev().take(ENDS_LEN));
    (same_start && same_end).then_some(Warning::PayeeEndsAlike { known })
}

fn unusual(order: &Order, journal: &Journal) -> Option<Warning> {
    let done = journal.entries().iter().filter(|entry| {
        matches!(entry.state(), State::Done { .. })
            && entry.intent().money.asset == order.money.asset
    });
    let mut amounts: Vec<Amount> = done.map(|entry| entry.intent().money.amount).collect();
    if amounts.len() < HISTORY_LEN_MIN {
        return None;
    }
    amounts.sort_unstable();
    let usual = amounts.get(amounts.len() / 2).copied()?;
    let bound = usual.minor().saturating_mul(UNUSUAL_FACTOR);
    (order.money.amount.minor() > bound).then_some(Warning::AmountUnusual { usual })
}

fn repeated(order: &Order, journal: &Journal, now: Instant) -> Option<Warning> {
    // Batch lines and named orders say themselves which payment they are; equal ones are meant.
    if order.origin != Origin::Command {
        return None;
    }
    let fingerprint = order.fingerprint();
    let last = journal.entries().iter().rev().find(|entry| {
        entry.fingerprint() == fingerprint && matches!(entry.state(), State::Done { .. })
    })?;
    let at = last.intent().created;
    (now.since(at) <= REPEAT_SPAN).then_some(Warning::Repeated { at })
}
