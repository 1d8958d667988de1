//! Setting two sides against each other, in passes: by ids, by other references, announced lines by either, and last by
//! amount, direction and day. Each pass takes what it finds. The order of the lines never decides what is matched; where several
//! lines are alike it decides only which of them is called the first and which the duplicate.

mod days;
mod groups;

use super::line::{booked_sum, less, moved, sum};
use super::outcome::DifferingFields;
use super::reference::names_a_payment;
use super::{
    Day, LINES_MAX, LedgerExtract, LedgerLine, LineStatus, MatchedBy, Outcome, OutcomeKind,
    PartnerLine, PartnerStatement, Period, Place, Proof, ReconcileError, Reconciliation, Total,
    Zone,
};
use crate::{AccountKind, Balance, Side};
use days::clusters;
use groups::{Strength, groups};
use std::collections::BTreeMap;
use tpw_core::Amount;

/// How the partner counts what the ledger counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sides {
    /// A credit there is a credit here.
    Same,
    /// A credit there is a debit here: the ledger's account stands for what the partner owes.
    Mirrored,
}

impl Sides {
    /// As the kind of the account suggests.
    #[must_use]
    pub const fn of(kind: AccountKind) -> Self {
        match kind {
            AccountKind::External | AccountKind::Issuance => Self::Mirrored,
            _ => Self::Same,
        }
    }

    const fn turn(self, side: Side) -> Side {
        match (self, side) {
            (Self::Same, side) => side,
            (Self::Mirrored, Side::Debit) => Side::Credit,
            (Self::Mirrored, Side::Credit) => Side::Debit,
        }
    }
}

/// What the caller decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// How many days may lie between the ledger's day and the partner's.
    pub window_days: u32,
    /// Where the partner's day begins.
    pub zone: Zone,
    /// How the partner counts.
    pub sides: Sides,
}

impl Terms {
    /// The widest window, in days.
    pub const WINDOW_DAYS_MAX: u32 = 31;
}

/// A line of the ledger as the partner would see it.
#[derive(Clone, Copy)]
struct Ours<'l> {
    line: &'l LedgerLine,
    side: Side,
    day: Day,
    order: usize,
    inside: bool,
}

/// A line of the partner.
#[derive(Clone, Copy)]
struct Theirs<'l> {
    line: &'l PartnerLine,
    order: usize,
}

/// Lines that no pass has taken yet.
#[derive(Default)]
struct Free<'l> {
    ours: Vec<Ours<'l>>,
    theirs: Vec<Theirs<'l>>,
}

impl Free<'_> {
    fn add(&mut self, other: Self) {
        self.ours.extend(other.ours);
        self.theirs.extend(other.theirs);
    }
}

/// What a pass found, before it is an outcome.
enum Found<'l> {
    Pair(Ours<'l>, Theirs<'l>, MatchedBy, DifferingFields),
    PartnerAgain(Theirs<'l>, Theirs<'l>),
    LedgerAgain(Ours<'l>, Ours<'l>),
    Ambiguous(Free<'l>),
}

/// Sets a partner's statement against the ledger.
///
/// # Errors
/// [`ReconcileError`] when a side contradicts itself or the two cannot be compared.
pub fn reconcile<'l>(
    ledger: &'l LedgerExtract,
    partner: &'l PartnerStatement,
    terms: &Terms,
) -> Result<Reconciliation<'l>, ReconcileError> {
    check(ledger, partner, terms)?;
    let mut free = sides(ledger, partner, terms);
    let window = terms.window_days;
    let mut found = Vec::new();
    // Where the payments are known, a line that names one is that one or none.
    let payments = ledger.knows_payments;
    let mut outcomes = Vec::new();
    let (mut booked, mut announced) = (Vec::new(), Vec::new());
    for theirs in free.theirs {
        match theirs.line.status {
            LineStatus::Booked => booked.push(theirs),
            LineStatus::Pending => announced.push(theirs),
            LineStatus::Information => {
                let told = Outcome::Information { partner: theirs.line };
                outcomes.push((Order::Partner(theirs.order), told));
            }
        }
    }
    free.theirs = booked;
    let mut free = by_reference(free, Strength::Ids, window, &mut found);
    let named = take_named(&mut free.theirs, payments);
    let mut free = by_reference(free, Strength::Texts, window, &mut found);
    let announced = Free { ours: free.ours, theirs: announced };
    free.ours = pending(announced, window, payments, &mut outcomes);
    let mut free = by_day(free, window, &mut found);
    free.theirs.extend(named);
    outcomes.extend(found.into_iter().map(outcome));
    outcomes.extend(free.theirs.iter().map(|theirs| {
        (Order::Partner(theirs.order), Outcome::MissingInLedger { partner: theirs.line })
    }));
    outcomes.extend(free.ours.iter().map(|ours| {
        let ledger = ours.line;
        let outcome = if ours.inside {
            Outcome::MissingAtPartner { ledger }
        } else {
            Outcome::OutsidePeriod { ledger }
        };
        (Order::Ledger(ours.order), outcome)
    }));
    outcomes.sort_by_key(|(order, _)| *order);
    let outcomes: Vec<_> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    let totals = totals(&outcomes, partner.period, terms)
        .ok_or(ReconcileError::Overflow(Place::Document))?;
    let proof =
        proof(ledger, partner, terms, &totals).ok_or(ReconcileError::Overflow(Place::Document))?;
    Ok(Reconciliation { outcomes, totals, proof })
}

/// The partner's lines first, then what only the ledger has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Partner(usize),
    Ledger(usize),
}

/// Each side must be of the same asset and true to itself.
fn check(
    ledger: &LedgerExtract,
    partner: &PartnerStatement,
    terms: &Terms,
) -> Result<(), ReconcileError> {
    if terms.window_days > Terms::WINDOW_DAYS_MAX {
        return Err(ReconcileError::Window(terms.window_days));
    }
    if ledger.asset != partner.asset {
        return Err(ReconcileError::Asset { partner: partner.asset, ledger: ledger.asset });
    }
    if ledger.lines.len() > LINES_MAX || partner.lines.len() > LINES_MAX {
        return Err(ReconcileError::TooManyLines(LINES_MAX));
    }
    let mut found = ledger.opening;
    let mut newest = 0;
    for line in &ledger.lines {
        if line.number <= newest {
            return Err(ReconcileError::LedgerOrder(line.number));
        }
        newest = line.number;
        if partner.period.contains(Day::of(line.at, terms.zone)) {
            found = moved(found, line.side, line.amount)
                .ok_or(ReconcileError::Overflow(Place::Document))?;
        }
    }
    if found != ledger.closing {
        return Err(ReconcileError::LedgerSum { found, said: ledger.closing });
    }
    let Some(balances) = partner.balances else { return Ok(()) };
    let place = Place::Document;
    let booked = booked_sum(&partner.lines).ok_or(ReconcileError::Overflow(place))?;
    let found = sum(balances.opening, booked).ok_or(ReconcileError::Overflow(place))?;
    let said = balances.closing;
    if found == said { Ok(()) } else { Err(ReconcileError::Sum { place, found, said }) }
}

fn sides<'l>(ledger: &'l LedgerExtract, partner: &'l PartnerStatement, terms: &Terms) -> Free<'l> {
    let ours = ledger.lines.iter().enumerate().map(|(order, line)| {
        let day = Day::of(line.at, terms.zone);
        let inside = partner.period.contains(day);
        Ours { line, side: terms.sides.turn(line.side), day, order, inside }
    });
    let theirs = partner.lines.iter().enumerate().map(|(order, line)| Theirs { line, order });
    Free { ours: ours.collect(), theirs: theirs.collect() }
}

/// What two lines of one reference differ in.
fn differing(ours: &Ours<'_>, theirs: &Theirs<'_>, window: u32) -> DifferingFields {
    DifferingFields {
        amount: ours.line.amount != theirs.line.amount,
        direction: ours.side != theirs.line.side,
        day: theirs.line.day().is_some_and(|day| day.distance(ours.day) > window),
    }
}

fn pair<'l>(ours: Ours<'l>, theirs: Theirs<'l>, by: MatchedBy, window: u32) -> Found<'l> {
    let fields = differing(&ours, &theirs, window);
    Found::Pair(ours, theirs, by, fields)
}

/// One pass over lines that share a reference of this strength; answers what it did not take.
fn by_reference<'l>(
    free: Free<'l>,
    strength: Strength,
    window: u32,
    found: &mut Vec<Found<'l>>,
) -> Free<'l> {
    let mut left = Free::default();
    for group in groups(free, strength) {
        if group.ours.is_empty() || group.theirs.is_empty() {
            left.add(group);
        } else {
            left.add(settle(group, strength, window, found));
        }
    }
    left
}

/// Lines by direction and amount.
fn classes<'l>(free: Free<'l>) -> BTreeMap<(bool, Amount), Free<'l>> {
    let mut classes: BTreeMap<(bool, Amount), Free<'l>> = BTreeMap::new();
    for ours in free.ours {
        let class = (ours.side == Side::Credit, ours.line.amount);
        classes.entry(class).or_default().ours.push(ours);
    }
    for theirs in free.theirs {
        let class = (theirs.line.side == Side::Credit, theirs.line.amount);
        classes.entry(class).or_default().theirs.push(theirs);
    }
    classes
}

/// Lines of one reference: equals are paired; of what is left, a single one on each side differs.
fn settle<'l>(
    group: Free<'l>,
    strength: Strength,
    window: u32,
    found: &mut Vec<Found<'l>>,
) -> Free<'l> {
    let mut left = Free::default();
    for (_, class) in classes(group) {
        left.add(settle_equals(class, strength, window, found));
    }
    match (left.ours.as_slice(), left.theirs.as_slice()) {
        ([ours], [theirs]) => {
            found.push(pair(*ours, *theirs, MatchedBy::Reference, window));
            Free::default()
        }
        ([], _) | (_, []) => left,
        _ if strength == Strength::Ids => {
            found.push(Found::Ambiguous(left));
            Free::default()
        }
        _ => left,
    }
}

/// Lines of one reference, direction and amount.
fn settle_equals<'l>(
    class: Free<'l>,
    strength: Strength,
    window: u32,
    found: &mut Vec<Found<'l>>,
) -> Free<'l> {
    let far = |ours: &Ours<'_>, theirs: &Theirs<'_>| {
        theirs.line.day().map_or(u32::MAX, |day| day.distance(ours.day))
    };
    match (class.ours.as_slice(), class.theirs.as_slice()) {
        ([], _) | (_, []) => class,
        ([ours], [theirs]) => {
            found.push(pair(*ours, *theirs, MatchedBy::Reference, window));
            Free::default()
        }
        ([ours], several) if strength == Strength::Ids => {
            let nearest = several.iter().min_by_key(|theirs| (far(ours, theirs), theirs.order));
            let Some(nearest) = nearest else { return class };
            found.push(pair(*ours, *nearest, MatchedBy::Reference, window));
            let again = several.iter().filter(|theirs| theirs.order != nearest.order);
            found.extend(again.map(|theirs| Found::PartnerAgain(*theirs, *nearest)));
            Free::default()
        }
        (several, [theirs]) if strength == Strength::Ids => {
            let nearest = several.iter().min_by_key(|ours| (far(ours, theirs), ours.order));
            let Some(nearest) = nearest else { return class };
            found.push(pair(*nearest, *theirs, MatchedBy::Reference, window));
            let again = several.iter().filter(|ours| ours.order != nearest.order);
            found.extend(again.map(|ours| Found::LedgerAgain(*ours, *nearest)));
            Free::default()
        }
        _ => {
            let mut left = Free::default();
            for cluster in clusters(class, window) {
                match (cluster.ours.as_slice(), cluster.theirs.as_slice()) {
                    ([ours], [theirs]) => {
                        found.push(pair(*ours, *theirs, MatchedBy::Reference, window))
                    }
                    _ => left.add(cluster),
                }
            }
            left
        }
    }
}

/// Takes out the lines that name a payment and were not found by it, where the payments are known: no other transfer is theirs.
fn take_named<'l>(theirs: &mut Vec<Theirs<'l>>, payments: bool) -> Vec<Theirs<'l>> {
    let (named, unnamed): (Vec<_>, Vec<_>) = core::mem::take(theirs)
        .into_iter()
        .partition(|theirs| payments && names_a_payment(theirs.line));
    *theirs = unnamed;
    named
}

/// Announced lines are matched by reference only, and only where amount and direction agree.
fn pending<'l>(
    free: Free<'l>,
    window: u32,
    payments: bool,
    outcomes: &mut Vec<(Order, Outcome<'l>)>,
) -> Vec<Ours<'l>> {
    let mut found = Vec::new();
    let mut free = by_reference(free, Strength::Ids, window, &mut found);
    let named = take_named(&mut free.theirs, payments);
    let mut free = by_reference(free, Strength::Texts, window, &mut found);
    free.theirs.extend(named);
    for found in found {
        let (ledger, alone) = match found {
            Found::Pair(ours, theirs, _, fields) if !fields.amount && !fields.direction => {
                let (ledger, partner) = (Some(ours.line), theirs.line);
                outcomes.push((
                    Order::Partner(theirs.order),
                    Outcome::PendingAtPartner { ledger, partner },
                ));
                continue;
            }
            Found::Pair(ours, theirs, ..) => (vec![ours], vec![theirs]),
            Found::PartnerAgain(theirs, _) => (Vec::new(), vec![theirs]),
            Found::LedgerAgain(ours, _) => (vec![ours], Vec::new()),
            Found::Ambiguous(lines) => (lines.ours, lines.theirs),
        };
        free.add(Free { ours: ledger, theirs: alone });
    }
    outcomes.extend(free.theirs.iter().map(|theirs| {
        let outcome = Outcome::PendingAtPartner { ledger: None, partner: theirs.line };
        (Order::Partner(theirs.order), outcome)
    }));
    free.ours
}

/// The last pass: amount, direction and day. Only a pair that nothing else can be confused with is taken.
fn by_day<'l>(free: Free<'l>, window: u32, found: &mut Vec<Found<'l>>) -> Free<'l> {
    let mut left = Free::default();
    for (_, class) in classes(free) {
        for cluster in clusters(class, window) {
            match (cluster.ours.as_slice(), cluster.theirs.as_slice()) {
                ([], _) | (_, []) => left.add(cluster),
                ([ours], [theirs]) => {
                    found.push(pair(*ours, *theirs, MatchedBy::AmountAndDay, window))
                }
                _ => found.push(Found::Ambiguous(cluster)),
            }
        }
    }
    left
}

fn outcome(found: Found<'_>) -> (Order, Outcome<'_>) {
    match found {
        Found::Pair(ours, theirs, by, fields) => {
            let (ledger, partner) = (ours.line, theirs.line);
            let outcome = if fields.amount || fields.direction || fields.day {
                Outcome::Differing { ledger, partner, fields }
            } else {
                Outcome::Matched { ledger, partner, by, carried: !ours.inside }
            };
            (Order::Partner(theirs.order), outcome)
        }
        Found::PartnerAgain(theirs, first) => {
            let outcome = Outcome::DuplicateAtPartner { partner: theirs.line, of: first.line };
            (Order::Partner(theirs.order), outcome)
        }
        Found::LedgerAgain(ours, first) => {
            let outcome = Outcome::DuplicateInLedger { ledger: ours.line, of: first.line };
            (Order::Ledger(ours.order), outcome)
        }
        Found::Ambiguous(mut lines) => {
            lines.ours.sort_by_key(|ours| ours.order);
            lines.theirs.sort_by_key(|theirs| theirs.order);
            let order = lines.theirs.first().map_or(0, |theirs| theirs.order);
            let ledger = lines.ours.iter().map(|ours| ours.line).collect();
            let partner = lines.theirs.iter().map(|theirs| theirs.line).collect();
            (Order::Partner(order), Outcome::Ambiguous { ledger, partner })
        }
    }
}

/// Counts and differences by kind: what the partner booked, less what the ledger moved in the period.
fn totals(outcomes: &[Outcome<'_>], period: Period, terms: &Terms) -> Option<Vec<Total>> {
    let empty = |kind: &OutcomeKind| Total {
        kind: *kind,
        outcomes: 0,
        ledger_lines: 0,
        partner_lines: 0,
        difference: Balance::ZERO,
    };
    let mut totals: Vec<Total> = OutcomeKind::ALL.iter().map(empty).collect();
    for outcome in outcomes {
        let kind = outcome.kind();
        let total = totals.iter_mut().find(|total| total.kind == kind)?;
        total.outcomes = total.outcomes.checked_add(1)?;
        for line in outcome.partner_lines() {
            total.partner_lines = total.partner_lines.checked_add(1)?;
            if line.status == LineStatus::Booked {
                total.difference = moved(total.difference, line.side, line.amount)?;
            }
        }
        for line in outcome.ledger_lines() {
            total.ledger_lines = total.ledger_lines.checked_add(1)?;
            if period.contains(Day::of(line.at, terms.zone)) {
                let movement = moved(Balance::ZERO, terms.sides.turn(line.side), line.amount)?;
                total.difference = less(total.difference, movement)?;
            }
        }
    }
    Some(totals)
}

/// `None` outside if a sum does not fit, `None` inside if the partner states no balances.
fn proof(
    ledger: &LedgerExtract,
    partner: &PartnerStatement,
    terms: &Terms,
    totals: &[Total],
) -> Option<Option<Proof>> {
    let Some(balances) = partner.balances else { return Some(None) };
    let seen = |balance| match terms.sides {
        Sides::Same => Some(balance),
        Sides::Mirrored => less(Balance::ZERO, balance),
    };
    let opening = less(balances.opening, seen(ledger.opening)?)?;
    let closing = less(balances.closing, seen(ledger.closing)?)?;
    let unmatched =
        totals.iter().try_fold(Balance::ZERO, |all, total| sum(all, total.difference))?;
    Some(Some(Proof { opening, unmatched, closing }))
}
