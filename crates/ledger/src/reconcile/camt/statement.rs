//! One `Stmt`: whose, of when, what was there before and after, and its entries.

use super::entry::{self, Entry};
use super::same_account;
use super::xml::{Element, Xml};
use crate::reconcile::error::shown;
use crate::reconcile::line::{self, booked_sum, moved, sum};
use crate::reconcile::{
    Balances, Day, LINES_MAX, LineStatus, PartnerLine, PartnerStatement, Period, Place,
    ReconcileError,
};
use crate::{Balance, Side};
use tpw_core::{Amount, Asset};

/// What the caller asked for.
pub(super) struct Wanted<'w> {
    pub(super) asset: Asset,
    pub(super) account: Option<&'w str>,
}

/// Puts a value in its place once.
pub(super) fn once<T>(
    slot: &mut Option<T>,
    value: T,
    place: Place,
    field: &str,
) -> Result<(), ReconcileError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ReconcileError::Repeated { place, field: shown(field) }),
    }
}

/// `MsgPgntn` or `StmtPgntn`: only a statement on one page can be added up.
pub(super) fn check_pages(xml: &mut Xml<'_>) -> Result<(), ReconcileError> {
    let (mut page, mut last) = (None, None);
    xml.children(|xml, element| match element.name.as_str() {
        "PgNb" => once(&mut page, xml.text(&element)?, xml.place, "PgNb"),
        "LastPgInd" => once(&mut last, flag(xml, &element)?, xml.place, "LastPgInd"),
        _ => xml.skip(),
    })?;
    let first = page.is_none_or(|page| page.trim_start_matches('0') == "1");
    if first && last != Some(false) { Ok(()) } else { Err(ReconcileError::Pages(xml.place)) }
}

/// `true`, `false`, `1` or `0`.
pub(super) fn flag(xml: &mut Xml<'_>, element: &Element) -> Result<bool, ReconcileError> {
    match xml.text(element)?.as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(ReconcileError::Field {
            place: xml.place,
            field: "true or false",
            found: shown(other),
        }),
    }
}

/// `CRDT` or `DBIT`.
pub(super) fn side(xml: &mut Xml<'_>, element: &Element) -> Result<Side, ReconcileError> {
    match xml.text(element)?.as_str() {
        "CRDT" => Ok(Side::Credit),
        "DBIT" => Ok(Side::Debit),
        other => Err(ReconcileError::Field {
            place: xml.place,
            field: "CRDT or DBIT",
            found: shown(other),
        }),
    }
}

/// An amount with its currency, which must be that of the account.
pub(super) fn amount(
    xml: &mut Xml<'_>,
    element: &Element,
    asset: Asset,
) -> Result<Amount, ReconcileError> {
    let text = xml.text(element)?;
    let place = xml.place;
    match element.currency.as_deref() {
        None => Err(ReconcileError::Missing { place, field: "Ccy" }),
        Some(currency) if currency != asset.code() => {
            Err(ReconcileError::Currency { place, found: shown(currency), wanted: asset })
        }
        Some(_) => units(&text, asset, place),
    }
}

/// A decimal of XML Schema in whole minor units.
pub(super) fn units(text: &str, asset: Asset, place: Place) -> Result<Amount, ReconcileError> {
    let refused = || ReconcileError::Amount { place, found: shown(text), asset };
    line::units(text.strip_prefix('+').unwrap_or(text), asset).ok_or_else(refused)
}

/// The day below `Dt` or `DtTm`: the partner's own, whatever the time of the day.
pub(super) fn date_choice(xml: &mut Xml<'_>) -> Result<Day, ReconcileError> {
    let mut found = None;
    xml.children(|xml, element| match element.name.as_str() {
        "Dt" | "DtTm" => once(&mut found, day(xml, &element)?, xml.place, "Dt"),
        _ => xml.skip(),
    })?;
    found.ok_or(ReconcileError::Missing { place: xml.place, field: "Dt" })
}

/// The day of an `xs:date` or `xs:dateTime`.
pub(super) fn day(xml: &mut Xml<'_>, element: &Element) -> Result<Day, ReconcileError> {
    let text = xml.text(element)?;
    let (date, rest) = text.split_at_checked(10).unwrap_or((&text, ""));
    let time = rest.bytes().all(|byte| byte.is_ascii_digit() || b"TZ:.+-".contains(&byte));
    let field = || ReconcileError::Field { place: xml.place, field: "date", found: shown(&text) };
    date.parse().ok().filter(|_| time && rest.len() <= 25).ok_or_else(field)
}

#[derive(Default)]
struct Draft {
    id: Option<String>,
    account: Option<String>,
    period: Option<(Day, Day)>,
    opening: Option<(Balance, Day)>,
    previous: Option<(Balance, Day)>,
    closing: Option<(Balance, Day)>,
    summary: Option<Summary>,
    entries: Vec<Entry>,
    lines: Vec<PartnerLine>,
}

/// One `Stmt`; `None` if it is of another account than the one that is wanted.
pub(super) fn read(
    xml: &mut Xml<'_>,
    wanted: &Wanted<'_>,
    number: u64,
) -> Result<Option<PartnerStatement>, ReconcileError> {
    let mut draft = Draft::default();
    let mut other = false;
    xml.children(|xml, element| match element.name.as_str() {
        // The schema puts the account before all that has amounts.
        "Acct" => {
            let (account, currency) = account(xml)?;
            other = wanted.account.is_some_and(|wanted| !same_account(wanted, &account));
            if !other && let Some(found) = currency.filter(|found| found != wanted.asset.code()) {
                let (place, wanted) = (xml.place, wanted.asset);
                return Err(ReconcileError::Currency { place, found: shown(&found), wanted });
            }
            once(&mut draft.account, account, xml.place, "Acct")
        }
        _ if other => xml.skip(),
        name => part(xml, name, &element, &mut draft, wanted.asset, number),
    })?;
    if other {
        return Ok(None);
    }
    finish(draft, wanted.asset, Place::Statement(number)).map(Some)
}

fn part(
    xml: &mut Xml<'_>,
    name: &str,
    element: &Element,
    draft: &mut Draft,
    asset: Asset,
    number: u64,
) -> Result<(), ReconcileError> {
    match name {
        "Id" => once(&mut draft.id, xml.text(element)?, xml.place, "Id"),
        "StmtPgntn" => check_pages(xml),
        "FrToDt" => once(&mut draft.period, period(xml)?, xml.place, "FrToDt"),
        "Bal" => balance(xml, draft, asset),
        "TxsSummry" => once(&mut draft.summary, summary(xml, asset)?, xml.place, "TxsSummry"),
        "Ntry" => {
            let place = u64::try_from(draft.entries.len()).unwrap_or(u64::MAX).saturating_add(1);
            xml.place = Place::Entry(place);
            let (entry, lines) = entry::read(xml, asset, place)?;
            draft.entries.push(entry);
            draft.lines.extend(lines);
            if draft.entries.len() > LINES_MAX || draft.lines.len() > LINES_MAX {
                return Err(ReconcileError::TooManyLines(LINES_MAX));
            }
            xml.place = Place::Statement(number);
            Ok(())
        }
        _ => xml.skip(),
    }
}

/// `Acct`: its IBAN or other id, and its currency if it says so.
fn account(xml: &mut Xml<'_>) -> Result<(String, Option<String>), ReconcileError> {
    let (mut id, mut currency) = (None, None);
    xml.children(|xml, element| match element.name.as_str() {
        "Id" => xml.children(|xml, element| match element.name.as_str() {
            "IBAN" => once(&mut id, xml.text(&element)?, xml.place, "IBAN"),
            "Othr" => xml.children(|xml, element| match element.name.as_str() {
                "Id" => once(&mut id, xml.text(&element)?, xml.place, "Id"),
                _ => xml.skip(),
            }),
            _ => xml.skip(),
        }),
        "Ccy" => once(&mut currency, xml.text(&element)?, xml.place, "Ccy"),
        _ => xml.skip(),
    })?;
    let id = id.filter(|id| !id.is_empty());
    Ok((id.ok_or(ReconcileError::Missing { place: xml.place, field: "Acct" })?, currency))
}

fn period(xml: &mut Xml<'_>) -> Result<(Day, Day), ReconcileError> {
    let (mut from, mut to) = (None, None);
    xml.children(|xml, element| match element.name.as_str() {
        "FrDtTm" => once(&mut from, day(xml, &element)?, xml.place, "FrDtTm"),
        "ToDtTm" => once(&mut to, day(xml, &element)?, xml.place, "ToDtTm"),
        _ => xml.skip(),
    })?;
    from.zip(to).ok_or(ReconcileError::Missing { place: xml.place, field: "FrDtTm and ToDtTm" })
}

/// `Bal`: of all kinds only the opening and closing booked ones, and the previous closing one, are of use.
fn balance(xml: &mut Xml<'_>, draft: &mut Draft, asset: Asset) -> Result<(), ReconcileError> {
    let (mut code, mut interim) = (None, false);
    let (mut value, mut direction, mut date) = (None, None, None);
    xml.children(|xml, element| match element.name.as_str() {
        "Tp" => xml.children(|xml, element| match element.name.as_str() {
            "CdOrPrtry" => xml.children(|xml, element| match element.name.as_str() {
                "Cd" => once(&mut code, xml.text(&element)?, xml.place, "Cd"),
                _ => xml.skip(),
            }),
            "SubTp" => xml.children(|xml, element| match element.name.as_str() {
                "Cd" => {
                    interim |= xml.text(&element)? == "INTM";
                    Ok(())
                }
                _ => xml.skip(),
            }),
            _ => xml.skip(),
        }),
        "Amt" => once(&mut value, amount(xml, &element, asset)?, xml.place, "Amt"),
        "CdtDbtInd" => once(&mut direction, side(xml, &element)?, xml.place, "CdtDbtInd"),
        "Dt" => once(&mut date, date_choice(xml)?, xml.place, "Dt"),
        _ => xml.skip(),
    })?;
    let place = xml.place;
    let slot = match code.as_deref() {
        Some("OPBD") if !interim => &mut draft.opening,
        Some("PRCD") if !interim => &mut draft.previous,
        Some("CLBD") if !interim => &mut draft.closing,
        _ => return Ok(()),
    };
    let (Some(value), Some(direction), Some(date)) = (value, direction, date) else {
        return Err(ReconcileError::Missing { place, field: "Bal" });
    };
    let signed = moved(Balance::ZERO, direction, value).ok_or(ReconcileError::Overflow(place))?;
    once(slot, (signed, date), place, code.as_deref().unwrap_or("Bal"))
}

/// `TxsSummry`: each number that it states.
#[derive(Default)]
struct Summary {
    all: Counted,
    credits: Counted,
    debits: Counted,
    net: Option<Amount>,
    net_side: Option<Side>,
}

#[derive(Default)]
struct Counted {
    count: Option<String>,
    sum: Option<Amount>,
}

fn summary(xml: &mut Xml<'_>, asset: Asset) -> Result<Summary, ReconcileError> {
    let mut summary = Summary::default();
    xml.children(|xml, element| match element.name.as_str() {
        "TtlNtries" => {
            let Summary { all, net, net_side, .. } = &mut summary;
            counted(xml, asset, all, |xml, element| match element.name.as_str() {
                "TtlNetNtryAmt" => {
                    once(net, plain(xml, &element, asset)?, xml.place, "TtlNetNtryAmt")
                }
                "CdtDbtInd" => once(net_side, side(xml, &element)?, xml.place, "CdtDbtInd"),
                "TtlNetNtry" => xml.children(|xml, element| match element.name.as_str() {
                    "Amt" => once(net, plain(xml, &element, asset)?, xml.place, "Amt"),
                    "CdtDbtInd" => once(net_side, side(xml, &element)?, xml.place, "CdtDbtInd"),
                    _ => xml.skip(),
                }),
                _ => xml.skip(),
            })
        }
        "TtlCdtNtries" => counted(xml, asset, &mut summary.credits, |xml, _| xml.skip()),
        "TtlDbtNtries" => counted(xml, asset, &mut summary.debits, |xml, _| xml.skip()),
        _ => xml.skip(),
    })?;
    Ok(summary)
}

fn counted(
    xml: &mut Xml<'_>,
    asset: Asset,
    into: &mut Counted,
    mut rest: impl FnMut(&mut Xml<'_>, Element) -> Result<(), ReconcileError>,
) -> Result<(), ReconcileError> {
    xml.children(|xml, element| match element.name.as_str() {
        "NbOfNtries" => once(&mut into.count, xml.text(&element)?, xml.place, "NbOfNtries"),
        "Sum" => once(&mut into.sum, plain(xml, &element, asset)?, xml.place, "Sum"),
        _ => rest(xml, element),
    })
}

/// A number without a currency of its own.
fn plain(xml: &mut Xml<'_>, element: &Element, asset: Asset) -> Result<Amount, ReconcileError> {
    let text = xml.text(element)?;
    // A net amount may carry a sign beside its CRDT or DBIT; the direction is that of CRDT or DBIT.
    units(text.strip_prefix('-').unwrap_or(&text), asset, xml.place)
}

fn finish(draft: Draft, asset: Asset, place: Place) -> Result<PartnerStatement, ReconcileError> {
    let missing = |field| ReconcileError::Missing { place, field };
    let account = draft.account.ok_or_else(|| missing("Acct"))?;
    let (opening, from) = match (draft.opening, draft.previous) {
        (Some(opening), Some(previous)) if opening.0 != previous.0 => {
            return Err(ReconcileError::Sum { place, found: previous.0, said: opening.0 });
        }
        (Some((balance, day)), _) => (balance, day),
        // The balance at the end of the day before.
        (None, Some((balance, day))) => (balance, day.next()),
        (None, None) => return Err(missing("Bal OPBD or PRCD")),
    };
    let (closing, to) = draft.closing.ok_or_else(|| missing("Bal CLBD"))?;
    let booked = booked_sum(&draft.lines).ok_or(ReconcileError::Overflow(place))?;
    let found = sum(opening, booked).ok_or(ReconcileError::Overflow(place))?;
    if found != closing {
        return Err(ReconcileError::Sum { place, found, said: closing });
    }
    if let Some(summary) = &draft.summary {
        check_summary(summary, &draft.entries, asset, place)?;
    }
    let (from, to) = draft.period.unwrap_or((from.min(to), to));
    let period = Period::new(from, to).ok_or_else(|| ReconcileError::Field {
        place,
        field: "period",
        found: format!("{from} to {to}"),
    })?;
    let balances = Some(Balances { opening, closing });
    Ok(PartnerStatement {
        id: draft.id,
        account: Some(account),
        asset,
        period,
        balances,
        lines: draft.lines,
    })
}

/// Each number of the summary against the entries. Partners count either all entries or only the booked ones.
fn check_summary(
    summary: &Summary,
    entries: &[Entry],
    asset: Asset,
    place: Place,
) -> Result<(), ReconcileError> {
    let all = Sums::of(entries.iter()).ok_or(ReconcileError::Overflow(place))?;
    let booked = Sums::of(entries.iter().filter(|entry| entry.status == LineStatus::Booked));
    let booked = booked.ok_or(ReconcileError::Overflow(place))?;
    if summary.faults(&all).next().is_none() {
        return Ok(());
    }
    match summary.faults(&booked).next() {
        None => Ok(()),
        Some(Fault { field, said, found }) => {
            let text = |value| match value {
                Value::Count(text) => text,
                Value::Sum(amount) => asset.format_units(amount),
            };
            let (said, found) = (shown(&text(said)), text(found));
            Err(ReconcileError::Summary { place, field, said, found })
        }
    }
}

struct Sums {
    credits: (u64, Amount),
    debits: (u64, Amount),
}

impl Sums {
    fn of<'e>(entries: impl Iterator<Item = &'e Entry>) -> Option<Self> {
        let mut sums = Self { credits: (0, Amount::ZERO), debits: (0, Amount::ZERO) };
        for entry in entries {
            let (count, total) = match entry.side {
                Side::Credit => &mut sums.credits,
                Side::Debit => &mut sums.debits,
            };
            *count = count.saturating_add(1);
            *total = total.plus(entry.amount)?;
        }
        Some(sums)
    }
}

enum Value {
    Count(String),
    Sum(Amount),
}

struct Fault {
    field: &'static str,
    said: Value,
    found: Value,
}

impl Summary {
    /// The numbers that do not fit.
    fn faults(&self, sums: &Sums) -> impl Iterator<Item = Fault> {
        let both = (
            sums.credits.0.saturating_add(sums.debits.0),
            sums.credits.1.plus(sums.debits.1).unwrap_or(Amount::MAX),
        );
        let net = Balance::between(sums.credits.1, sums.debits.1);
        let net_wrong = self.net.is_some_and(|said| said != net.magnitude());
        // CRDT or DBIT says nothing about nothing.
        let side = if net.is_negative() { Side::Debit } else { Side::Credit };
        let side_wrong =
            self.net_side.is_some_and(|said| said != side) && !net.magnitude().is_zero();
        let net_fault = (net_wrong || side_wrong).then(|| Fault {
            field: "TtlNetNtry",
            said: Value::Sum(self.net.unwrap_or(Amount::ZERO)),
            found: Value::Sum(net.magnitude()),
        });
        let rows = [
            (&self.all, both, "TtlNtries"),
            (&self.credits, sums.credits, "TtlCdtNtries"),
            (&self.debits, sums.debits, "TtlDbtNtries"),
        ];
        rows.into_iter().flat_map(|(said, found, field)| said.faults(found, field)).chain(net_fault)
    }
}

impl Counted {
    fn faults(&self, found: (u64, Amount), field: &'static str) -> impl Iterator<Item = Fault> {
        // A number that cannot be read is none that was found.
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let same = |text: &String| digits(text) && text.parse() == Ok(found.0);
        let count = self.count.clone().filter(|text| !same(text)).map(|text| Fault {
            field,
            said: Value::Count(text),
            found: Value::Count(found.0.to_string()),
        });
        let sum = self.sum.filter(|sum| *sum != found.1).map(|sum| Fault {
            field,
            said: Value::Sum(sum),
            found: Value::Sum(found.1),
        });
        count.into_iter().chain(sum)
    }
}
