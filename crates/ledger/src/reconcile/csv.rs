//! CSV: the statement of a partner that has no camt.053, or of another program.
//!
//! The first line names the columns, in any order: `booking_date`, `amount` and `currency` must be there, `direction`,
//! `value_date`, `reference`, `counterparty`, `text` and `balance` may be. Fields are separated by commas, or by
//! semicolons if the first line has one; then amounts may have a decimal comma. With `direction` (`credit` or `debit`)
//! amounts have no sign; without it, a sign says which way the money went. `balance` is what the account held after the
//! line; if it is there, it must follow from the lines, oldest first or newest first. Where all are of one day and follow in both
//! orders to different balances, nobody can tell which are meant, and the file has none. An amount has no more decimals than
//! the asset: `1.230` may stand for 1230.

use super::error::shown;
use super::line::{self, less, moved};
use super::{
    Balances, Day, FILE_LEN_MAX, LINES_MAX, LineReferences, LineStatus, PartnerLine,
    PartnerStatement, Period, Place, ReconcileError,
};
use crate::{Balance, Side};
use core::cmp::Ordering;
use tpw_core::{Amount, Asset};

tpw_core::codes! {
    /// A column.
    Column: u8 {
        /// When the partner booked it.
        BookingDate = 1 "booking_date",
        /// From when it counts.
        ValueDate = 2 "value_date",
        /// How much.
        Amount = 3 "amount",
        /// Of what.
        Currency = 4 "currency",
        /// Which way.
        Direction = 5 "direction",
        /// The reference.
        Reference = 6 "reference",
        /// The other party.
        Counterparty = 7 "counterparty",
        /// The words.
        Text = 8 "text",
        /// What the account held after the line.
        Balance = 9 "balance",
    }
}

/// The longest field, in bytes.
const FIELD_LEN_MAX: usize = 4096;

/// Reads a statement. `period` says which days it covers; without it, those from its first to its last line.
///
/// # Errors
/// [`ReconcileError`] naming the line and the field.
pub fn read(
    file: &[u8],
    asset: Asset,
    period: Option<Period>,
) -> Result<PartnerStatement, ReconcileError> {
    if file.len() > FILE_LEN_MAX {
        return Err(ReconcileError::TooLarge(FILE_LEN_MAX));
    }
    let text = str::from_utf8(file).map_err(|_| ReconcileError::Encoding("unknown".to_owned()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let head = text.lines().find(|line| !line.is_empty()).unwrap_or_default();
    let delimiter = if head.contains(';') { b';' } else { b',' };
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut records = reader.records();
    let fields = records.next().transpose().map_err(|error| malformed(Place::Line(1), &error))?;
    let table = Table { columns: columns(&fields.unwrap_or_default())?, asset, delimiter };
    let mut counter = LineCounter { text: text.as_bytes(), at: 0, line: 1 };
    let mut lines = Vec::new();
    let mut balances = Vec::new();
    for record in records {
        let record = record.map_err(|error| malformed(Place::Document, &error))?;
        let number = counter.line_of(record.position().map_or(0, ::csv::Position::byte));
        if lines.len() >= LINES_MAX {
            return Err(ReconcileError::TooManyLines(LINES_MAX));
        }
        let (line, balance) = table.line(&record, number)?;
        lines.push(line);
        balances.extend(balance);
    }
    let period = covered(&lines, period)?;
    let balances = follow(&lines, &balances)?;
    Ok(PartnerStatement { id: None, account: None, asset, period, balances, lines })
}

fn malformed(place: Place, error: &::csv::Error) -> ReconcileError {
    ReconcileError::Field { place, field: "CSV", found: shown(&error.to_string()) }
}

/// The column of each field.
fn columns(head: &::csv::StringRecord) -> Result<Vec<Column>, ReconcileError> {
    let mut columns = Vec::new();
    for name in head {
        let plain = name.trim().to_ascii_lowercase().replace(' ', "_");
        let column = Column::from_code(&plain);
        let column = column.ok_or_else(|| ReconcileError::ColumnUnknown(shown(name)))?;
        if columns.contains(&column) {
            return Err(ReconcileError::Repeated { place: Place::Line(1), field: plain });
        }
        columns.push(column);
    }
    let needed = [Column::BookingDate, Column::Amount, Column::Currency];
    match needed.into_iter().find(|column| !columns.contains(column)) {
        Some(column) => Err(ReconcileError::ColumnMissing(column.code())),
        None => Ok(columns),
    }
}

struct Table {
    columns: Vec<Column>,
    asset: Asset,
    delimiter: u8,
}

impl Table {
    fn line(
        &self,
        record: &::csv::StringRecord,
        number: u64,
    ) -> Result<(PartnerLine, Option<Balance>), ReconcileError> {
        let place = Place::Line(number);
        if record.len() != self.columns.len() {
            let found = format!("{} fields instead of {}", record.len(), self.columns.len());
            return Err(ReconcileError::Field { place, field: "line", found });
        }
        if let Some((_, column)) =
            record.iter().zip(&self.columns).find(|(field, _)| field.len() > FIELD_LEN_MAX)
        {
            let element = column.code().to_owned();
            return Err(ReconcileError::TextTooLong { place, element, max: FIELD_LEN_MAX });
        }
        let field = |column| {
            let at = self.columns.iter().position(|known| *known == column);
            at.and_then(|at| record.get(at)).map(str::trim)
        };
        let words = |column| -> String {
            let text = field(column).unwrap_or_default();
            text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
        };
        let currency = field(Column::Currency).unwrap_or_default();
        if currency != self.asset.code() {
            let found = shown(currency);
            return Err(ReconcileError::Currency { place, found, wanted: self.asset });
        }
        let booked = day(field(Column::BookingDate), "booking_date", place)?;
        let amount = field(Column::Amount).unwrap_or_default();
        let (side, amount) = self.movement(amount, field(Column::Direction), place)?;
        let balance = field(Column::Balance).map(|text| self.signed(text, place)).transpose()?;
        let balance = balance.map(|(side, amount)| moved(Balance::ZERO, side, amount));
        let reference = Some(words(Column::Reference)).filter(|text| !text.is_empty());
        let line = PartnerLine {
            place: number,
            part: 0,
            side,
            amount,
            status: LineStatus::Booked,
            reversal: false,
            booked: Some(booked.ok_or(ReconcileError::Missing { place, field: "booking_date" })?),
            value: day(field(Column::ValueDate), "value_date", place)?,
            references: LineReferences { end_to_end: reference, ..LineReferences::default() },
            counterparty: words(Column::Counterparty),
            text: words(Column::Text),
        };
        Ok((line, balance.flatten()))
    }

    fn movement(
        &self,
        amount: &str,
        direction: Option<&str>,
        place: Place,
    ) -> Result<(Side, Amount), ReconcileError> {
        let Some(direction) = direction else { return self.signed(amount, place) };
        let side = match direction.to_ascii_lowercase().as_str() {
            "credit" | "crdt" | "c" => Side::Credit,
            "debit" | "dbit" | "d" => Side::Debit,
            _ => {
                let found = shown(direction);
                return Err(ReconcileError::Field { place, field: "direction", found });
            }
        };
        Ok((side, self.units(amount, place)?))
    }

    fn signed(&self, text: &str, place: Place) -> Result<(Side, Amount), ReconcileError> {
        match text.strip_prefix('-') {
            Some(rest) => Ok((Side::Debit, self.units(rest, place)?)),
            None => Ok((Side::Credit, self.units(text.strip_prefix('+').unwrap_or(text), place)?)),
        }
    }

    fn units(&self, text: &str, place: Place) -> Result<Amount, ReconcileError> {
        let comma = self.delimiter == b';' && !text.contains('.');
        let plain = if comma { text.replacen(',', ".", 1) } else { text.to_owned() };
        let refused = || ReconcileError::Amount { place, found: shown(text), asset: self.asset };
        let decimals = plain.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        if decimals > usize::from(self.asset.scale()) {
            return Err(refused());
        }
        line::units(&plain, self.asset).ok_or_else(refused)
    }
}

fn day(
    text: Option<&str>,
    field: &'static str,
    place: Place,
) -> Result<Option<Day>, ReconcileError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let refused = |_| ReconcileError::Field { place, field, found: shown(text) };
    text.parse().map(Some).map_err(refused)
}

/// The days that the file covers.
fn covered(lines: &[PartnerLine], period: Option<Period>) -> Result<Period, ReconcileError> {
    let days = || lines.iter().filter_map(|line| line.booked.map(|day| (day, line.place)));
    if let Some(period) = period {
        return match days().find(|(day, _)| !period.contains(*day)) {
            Some((day, line)) => {
                let place = Place::Line(line);
                Err(ReconcileError::Field {
                    place,
                    field: "day of the period",
                    found: day.to_string(),
                })
            }
            None => Ok(period),
        };
    }
    let first = days().map(|(day, _)| day).min();
    let last = days().map(|(day, _)| day).max();
    first.zip(last).and_then(|(from, to)| Period::new(from, to)).ok_or(ReconcileError::NoLines)
}

/// Opening and closing balance, if each line says what the account held after it.
fn follow(lines: &[PartnerLine], after: &[Balance]) -> Result<Option<Balances>, ReconcileError> {
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return Ok(None) };
    if after.len() != lines.len() {
        return Ok(None);
    }
    let rows = || lines.iter().zip(after.iter().copied());
    match first.booked.cmp(&last.booked) {
        Ordering::Less => check(rows()),
        Ordering::Greater => check(rows().rev()),
        Ordering::Equal => match (check(rows()), check(rows().rev())) {
            (Ok(one), Ok(other)) if one != other => Ok(None),
            (Err(_), Ok(balances)) | (Ok(balances), _) => Ok(balances),
            (Err(error), Err(_)) => Err(error),
        },
    }
}

/// Each balance must follow from the one before it.
fn check<'l>(
    rows: impl Iterator<Item = (&'l PartnerLine, Balance)>,
) -> Result<Option<Balances>, ReconcileError> {
    let mut balances: Option<Balances> = None;
    for (line, said) in rows {
        let place = Place::Line(line.place);
        let change = moved(Balance::ZERO, line.side, line.amount);
        let before =
            change.and_then(|change| less(said, change)).ok_or(ReconcileError::Overflow(place))?;
        match &mut balances {
            None => balances = Some(Balances { opening: before, closing: said }),
            Some(known) if known.closing == before => known.closing = said,
            Some(known) => {
                let found = moved(known.closing, line.side, line.amount);
                let found = found.ok_or(ReconcileError::Overflow(place))?;
                return Err(ReconcileError::Sum { place, found, said });
            }
        }
    }
    Ok(balances)
}

/// Counts lines as editors do, for messages.
struct LineCounter<'t> {
    text: &'t [u8],
    at: usize,
    line: u64,
}

impl LineCounter<'_> {
    /// The line on which the record that the reader found at `start` begins; records come in order.
    fn line_of(&mut self, start: u64) -> u64 {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        // The reader leaves the rest of a line's end, and blank lines, to the record after them.
        let rest = self.text.get(start..).unwrap_or_default();
        let blank = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        let start = start.saturating_add(blank).min(self.text.len());
        let passed = self.text.get(self.at..start).unwrap_or_default();
        let next = passed.iter().skip(1).map(Some).chain([None]);
        let ends = passed
            .iter()
            .zip(next)
            .filter(|(byte, next)| **byte == b'\n' || (**byte == b'\r' && *next != Some(&b'\n')));
        let count = u64::try_from(ends.count()).unwrap_or(u64::MAX);
        self.line = self.line.saturating_add(count);
        self.at = start;
        self.line
    }
}
