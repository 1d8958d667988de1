//! What the tests share: short ways to write down lines of both sides.

use tpw_core::{Amount, Asset, Instant, PaymentId, TransferId};
use tpw_ledger::reconcile::{
    Balances, Day, LedgerExtract, LedgerLine, LineReferences, LineStatus, PartnerLine,
    PartnerStatement, Period, Sides, Terms, Zone,
};
use tpw_ledger::{Balance, Side};

pub(crate) fn usd() -> Asset {
    "USD/2".parse().unwrap()
}

pub(crate) fn minor(amount: u128) -> Amount {
    Amount::from_minor(amount)
}

pub(crate) fn day(text: &str) -> Day {
    text.parse().unwrap()
}

/// Noon of a day of November 2026.
pub(crate) fn noon(day: u8) -> Instant {
    format!("2026-11-{day:02}T12:00:00Z").parse().unwrap()
}

pub(crate) fn november(day: u8) -> Day {
    format!("2026-11-{day:02}").parse().unwrap()
}

pub(crate) fn payment(n: u8) -> PaymentId {
    PaymentId::new(1_700_000_000_000, [n; 10])
}

/// A balance from signed minor units.
pub(crate) fn signed(value: i64) -> Balance {
    let amount = minor(u128::from(value.unsigned_abs()));
    if value < 0 { Balance::between(minor(0), amount) } else { Balance::between(amount, minor(0)) }
}

fn split(value: i64) -> (Side, Amount) {
    let side = if value < 0 { Side::Debit } else { Side::Credit };
    (side, minor(u128::from(value.unsigned_abs())))
}

/// A transfer on a day of November 2026: `value` is signed as the account sees it.
pub(crate) fn ours(number: u64, at: u8, value: i64) -> LedgerLine {
    let (side, amount) = split(value);
    let transfer = TransferId::from_bytes(u128::from(number).to_be_bytes());
    LedgerLine { number, transfer, side, amount, at: noon(at), payment: None, references: vec![] }
}

/// A line booked on a day of November 2026.
pub(crate) fn theirs(place: u64, booked: u8, value: i64) -> PartnerLine {
    let (side, amount) = split(value);
    PartnerLine {
        place,
        part: 0,
        side,
        amount,
        status: LineStatus::Booked,
        reversal: false,
        booked: Some(november(booked)),
        value: None,
        references: LineReferences::default(),
        counterparty: String::new(),
        text: String::new(),
    }
}

/// Short ways to name lines.
pub(crate) trait Named: Sized {
    fn named(self, reference: &str) -> Self;
}

impl Named for PartnerLine {
    fn named(mut self, reference: &str) -> Self {
        self.references.end_to_end = Some(reference.to_owned());
        self
    }
}

impl Named for LedgerLine {
    fn named(mut self, reference: &str) -> Self {
        self.references.push(reference.to_owned());
        self
    }
}

pub(crate) fn paid(mut line: LedgerLine, n: u8) -> LedgerLine {
    line.payment = Some(payment(n));
    line
}

pub(crate) fn value(side: Side, amount: Amount) -> i64 {
    let magnitude = i64::try_from(amount.minor()).unwrap();
    if side == Side::Debit { -magnitude } else { magnitude }
}

/// The 20th to the 22nd of November 2026.
pub(crate) fn period() -> Period {
    Period::new(november(20), november(22)).unwrap()
}

/// A ledger's side that adds up.
pub(crate) fn ledger(opening: i64, lines: Vec<LedgerLine>) -> LedgerExtract {
    let inside = lines.iter().filter(|line| period().contains(Day::of(line.at, Zone::UTC)));
    let sum: i64 = inside.map(|line| value(line.side, line.amount)).sum();
    let (opening, closing) = (signed(opening), signed(opening + sum));
    LedgerExtract { asset: usd(), opening, closing, knows_payments: true, lines }
}

/// A partner's side that adds up.
pub(crate) fn partner(opening: i64, lines: Vec<PartnerLine>) -> PartnerStatement {
    let booked = lines.iter().filter(|line| line.status == LineStatus::Booked);
    let sum: i64 = booked.map(|line| value(line.side, line.amount)).sum();
    let balances = Some(Balances { opening: signed(opening), closing: signed(opening + sum) });
    PartnerStatement { id: None, account: None, asset: usd(), period: period(), balances, lines }
}

pub(crate) fn terms() -> Terms {
    Terms { window_days: 1, zone: Zone::UTC, sides: Sides::Same }
}
