//! One `Ntry`: a line, or one line for each detail of a collective entry.

use super::statement::{amount, date_choice, flag, once, side};
use super::xml::{Element, Xml};
use crate::reconcile::error::shown;
use crate::reconcile::line::moved;
use crate::reconcile::{Day, LineReferences, LineStatus, PartnerLine, Place, ReconcileError};
use crate::{Balance, Side};
use tpw_core::{Amount, Asset};

/// The most that is kept of the words that came with a line, in characters.
const WORDS_MAX: usize = 1024;

/// What the summary counts.
pub(super) struct Entry {
    pub(super) side: Side,
    pub(super) amount: Amount,
    pub(super) status: LineStatus,
}

#[derive(Default)]
struct Draft {
    reference: Option<String>,
    servicer: Option<String>,
    amount: Option<Amount>,
    side: Option<Side>,
    reversal: Option<bool>,
    status: Option<LineStatus>,
    booked: Option<Day>,
    value: Option<Day>,
    details: Vec<Detail>,
    words: Words,
}

/// One `TxDtls`.
#[derive(Default)]
struct Detail {
    references: LineReferences,
    amount: Stated,
    transaction_amount: Stated,
    side: Option<Side>,
    debtor: String,
    creditor: String,
    words: Words,
}

/// The amount of a detail: it may be missing, or in another currency than the account's.
#[derive(Default)]
enum Stated {
    #[default]
    Missing,
    Foreign,
    Known(Amount),
}

#[derive(Default)]
struct Words(String);

impl Words {
    fn add(&mut self, text: &str) {
        if !text.is_empty() && !self.0.is_empty() {
            self.0.push(' ');
        }
        let room = WORDS_MAX.saturating_sub(self.0.chars().count());
        self.0.extend(text.chars().take(room));
    }
}

/// One entry and its lines.
pub(super) fn read(
    xml: &mut Xml<'_>,
    asset: Asset,
    number: u64,
) -> Result<(Entry, Vec<PartnerLine>), ReconcileError> {
    let mut draft = Draft::default();
    xml.children(|xml, element| part(xml, &element, &mut draft, asset))?;
    let place = xml.place;
    let missing = |field| ReconcileError::Missing { place, field };
    let entry = Entry {
        side: draft.side.ok_or_else(|| missing("CdtDbtInd"))?,
        amount: draft.amount.ok_or_else(|| missing("Amt"))?,
        status: draft.status.ok_or_else(|| missing("Sts"))?,
    };
    let lines = lines(&entry, draft, asset, number)?;
    Ok((entry, lines))
}

fn part(
    xml: &mut Xml<'_>,
    element: &Element,
    draft: &mut Draft,
    asset: Asset,
) -> Result<(), ReconcileError> {
    let place = xml.place;
    match element.name.as_str() {
        "NtryRef" => once(&mut draft.reference, xml.text(element)?, place, "NtryRef"),
        "AcctSvcrRef" => once(&mut draft.servicer, xml.text(element)?, place, "AcctSvcrRef"),
        "Amt" => once(&mut draft.amount, amount(xml, element, asset)?, place, "Amt"),
        "CdtDbtInd" => once(&mut draft.side, side(xml, element)?, place, "CdtDbtInd"),
        "RvslInd" => once(&mut draft.reversal, flag(xml, element)?, place, "RvslInd"),
        "Sts" => once(&mut draft.status, status(xml, element)?, place, "Sts"),
        "BookgDt" => once(&mut draft.booked, date_choice(xml)?, place, "BookgDt"),
        "ValDt" => once(&mut draft.value, date_choice(xml)?, place, "ValDt"),
        "NtryDtls" => details(xml, draft, asset),
        "AddtlNtryInf" => {
            let text = xml.text(element)?;
            draft.words.add(&text);
            Ok(())
        }
        _ => xml.skip(),
    }
}

/// A code: at once up to version 06, below `Cd` from 07 on.
fn status(xml: &mut Xml<'_>, element: &Element) -> Result<LineStatus, ReconcileError> {
    let code = xml.text_or_child(element, "Cd")?;
    match code.as_str() {
        "BOOK" => Ok(LineStatus::Booked),
        "PDNG" | "FUTR" => Ok(LineStatus::Pending),
        "INFO" => Ok(LineStatus::Information),
        other => {
            Err(ReconcileError::Field { place: xml.place, field: "status", found: shown(other) })
        }
    }
}

fn details(xml: &mut Xml<'_>, draft: &mut Draft, asset: Asset) -> Result<(), ReconcileError> {
    let before = draft.details.len();
    let mut said = None;
    xml.children(|xml, element| match element.name.as_str() {
        "Btch" => xml.children(|xml, element| match element.name.as_str() {
            "NbOfTxs" => once(&mut said, xml.text(&element)?, xml.place, "NbOfTxs"),
            _ => xml.skip(),
        }),
        "TxDtls" => {
            let mut detail = Detail::default();
            xml.children(|xml, element| detail_part(xml, &element, &mut detail, asset))?;
            draft.details.push(detail);
            Ok(())
        }
        _ => xml.skip(),
    })?;
    let count = draft.details.len().saturating_sub(before);
    // A partner may count transactions of which it gives no details.
    match said.filter(|said| count > 0 && said.trim_start_matches('0') != count.to_string()) {
        Some(said) => {
            let (place, said, found) = (xml.place, shown(&said), count.to_string());
            Err(ReconcileError::Details { place, said, found })
        }
        None => Ok(()),
    }
}

fn detail_part(
    xml: &mut Xml<'_>,
    element: &Element,
    detail: &mut Detail,
    asset: Asset,
) -> Result<(), ReconcileError> {
    match element.name.as_str() {
        "Refs" => references(xml, &mut detail.references),
        "Amt" => {
            detail.amount = stated(xml, element, asset)?;
            Ok(())
        }
        "CdtDbtInd" => once(&mut detail.side, side(xml, element)?, xml.place, "CdtDbtInd"),
        "AmtDtls" => xml.children(|xml, element| match element.name.as_str() {
            "TxAmt" => xml.children(|xml, element| match element.name.as_str() {
                "Amt" => {
                    detail.transaction_amount = stated(xml, &element, asset)?;
                    Ok(())
                }
                _ => xml.skip(),
            }),
            _ => xml.skip(),
        }),
        "RltdPties" => xml.children(|xml, element| match element.name.as_str() {
            "Dbtr" => name(xml, &mut detail.debtor),
            "Cdtr" => name(xml, &mut detail.creditor),
            _ => xml.skip(),
        }),
        "RmtInf" => remittance(xml, detail),
        "AddtlTxInf" => {
            let text = xml.text(element)?;
            detail.words.add(&text);
            Ok(())
        }
        _ => xml.skip(),
    }
}

fn stated(xml: &mut Xml<'_>, element: &Element, asset: Asset) -> Result<Stated, ReconcileError> {
    if element.currency.as_deref().is_some_and(|currency| currency != asset.code()) {
        return xml.skip().map(|()| Stated::Foreign);
    }
    amount(xml, element, asset).map(Stated::Known)
}

fn references(xml: &mut Xml<'_>, into: &mut LineReferences) -> Result<(), ReconcileError> {
    xml.children(|xml, element| {
        let slot = match element.name.as_str() {
            "AcctSvcrRef" => &mut into.servicer,
            "InstrId" => &mut into.instruction,
            "EndToEndId" => &mut into.end_to_end,
            "UETR" => &mut into.uetr,
            "TxId" => &mut into.transaction,
            _ => return xml.skip(),
        };
        once(slot, xml.text(&element)?, xml.place, &element.name)
    })
}

/// The name of a party: at once up to version 07, below `Pty` from 08 on.
fn name(xml: &mut Xml<'_>, into: &mut String) -> Result<(), ReconcileError> {
    xml.children(|xml, element| match element.name.as_str() {
        "Nm" => {
            *into = xml.text(&element)?;
            Ok(())
        }
        "Pty" => xml.children(|xml, element| match element.name.as_str() {
            "Nm" => {
                *into = xml.text(&element)?;
                Ok(())
            }
            _ => xml.skip(),
        }),
        _ => xml.skip(),
    })
}

fn remittance(xml: &mut Xml<'_>, detail: &mut Detail) -> Result<(), ReconcileError> {
    xml.children(|xml, element| match element.name.as_str() {
        "Ustrd" => {
            let text = xml.text(&element)?;
            detail.words.add(&text);
            Ok(())
        }
        "Strd" => xml.children(|xml, element| match element.name.as_str() {
            "CdtrRefInf" => xml.children(|xml, element| match element.name.as_str() {
                "Ref" => {
                    // Of several invoices none names the line.
                    let text = xml.text(&element)?;
                    let first = detail.references.creditor.replace(text);
                    if first.is_some() {
                        detail.references.creditor = first;
                    }
                    Ok(())
                }
                _ => xml.skip(),
            }),
            _ => xml.skip(),
        }),
        _ => xml.skip(),
    })
}

/// The lines of an entry: one for each detail if there are several and they add up, else one.
fn lines(
    entry: &Entry,
    mut draft: Draft,
    asset: Asset,
    number: u64,
) -> Result<Vec<PartnerLine>, ReconcileError> {
    let details = core::mem::take(&mut draft.details);
    let parts = if details.len() > 1 { parts(entry, &details, asset, number)? } else { None };
    let Some(parts) = parts else {
        // Several details without amounts of their own: their references name no part of the sum.
        let single = if details.len() == 1 { details.into_iter().next() } else { None };
        let mut line = whole(entry, &draft, number);
        if let Some(detail) = single {
            describe(&mut line, detail);
        }
        line.references.entry = draft.reference;
        if line.references.servicer.is_none() {
            line.references.servicer = draft.servicer;
        }
        return Ok(vec![line]);
    };
    let collective = draft.servicer.clone().or_else(|| draft.reference.clone());
    let part_lines = (1..).zip(parts).zip(details).map(|((part, (side, amount)), detail)| {
        let mut line = PartnerLine { part, side, amount, ..whole(entry, &draft, number) };
        describe(&mut line, detail);
        line.references.collective.clone_from(&collective);
        line
    });
    Ok(part_lines.collect())
}

/// Side and amount of each detail; `None` if one has no amount in the account's currency.
fn parts(
    entry: &Entry,
    details: &[Detail],
    asset: Asset,
    number: u64,
) -> Result<Option<Vec<(Side, Amount)>>, ReconcileError> {
    let amount = |detail: &Detail| match (&detail.amount, &detail.transaction_amount) {
        (Stated::Known(amount), _) | (_, Stated::Known(amount)) => Some(*amount),
        _ => None,
    };
    let part = |detail| amount(detail).map(|amount| (detail.side.unwrap_or(entry.side), amount));
    let Some(parts) = details.iter().map(part).collect::<Option<Vec<_>>>() else { return Ok(None) };
    let place = Place::Entry(number);
    let total =
        parts.iter().try_fold(Balance::ZERO, |total, (side, amount)| moved(total, *side, *amount));
    let total = total.ok_or(ReconcileError::Overflow(place))?;
    let said =
        moved(Balance::ZERO, entry.side, entry.amount).ok_or(ReconcileError::Overflow(place))?;
    if total != said {
        let units = |balance: Balance| {
            let sign = if balance.is_negative() { "-" } else { "" };
            format!("{sign}{}", asset.format_units(balance.magnitude()))
        };
        return Err(ReconcileError::Details { place, said: units(said), found: units(total) });
    }
    Ok(Some(parts))
}

fn whole(entry: &Entry, draft: &Draft, number: u64) -> PartnerLine {
    PartnerLine {
        place: number,
        part: 0,
        side: entry.side,
        amount: entry.amount,
        status: entry.status,
        reversal: draft.reversal.unwrap_or(false),
        booked: draft.booked,
        value: draft.value,
        references: LineReferences::default(),
        counterparty: String::new(),
        text: draft.words.0.clone(),
    }
}

fn describe(line: &mut PartnerLine, detail: Detail) {
    // Who paid is of interest on a credit, who was paid on a debit.
    line.counterparty = match line.side {
        Side::Credit => detail.debtor,
        Side::Debit => detail.creditor,
    };
    let mut words = detail.words;
    words.add(&line.text);
    line.text = words.0;
    line.references = detail.references;
}
