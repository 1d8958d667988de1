//! Many rows for one table, in PostgreSQL's binary form.
//!
//! Few rows go as one `INSERT … SELECT FROM unnest(…)`, which can share a round trip with other statements; many go as
//! `COPY`, which costs the server least. A cell has the same bytes in both, only their order differs.

use crate::decode::int;
use bytes::{BufMut as _, Bytes, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tpw_core::{Amount, Hash32, Instant};

/// From this many rows on a sheet is copied.
pub(super) const COPY_FROM: usize = 256;

/// The type of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Int8,
    Int2,
    Uuid,
    Bytes,
    Text,
    Numeric,
    Time,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Int2 => "int2",
            Self::Uuid => "uuid",
            Self::Bytes => "bytea",
            Self::Text => "text",
            Self::Numeric => "numeric",
            Self::Time => "timestamptz",
        }
    }

    const fn oid(self) -> u32 {
        match self {
            Self::Int8 => 20,
            Self::Int2 => 21,
            Self::Uuid => 2950,
            Self::Bytes => 17,
            Self::Text => 25,
            Self::Numeric => 1700,
            Self::Time => 1184,
        }
    }
}

/// A table as batches are written to it.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [(&'static str, Kind)],
    /// What happens to a row whose key is there already; empty if that is an error.
    pub(super) conflict: &'static str,
}

impl Table {
    fn columns(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    pub(super) fn copy_sql(&self) -> String {
        format!("COPY {} ({}) FROM STDIN (FORMAT binary)", self.name, self.columns())
    }

    /// The columns as parameters.
    fn arrays(&self) -> String {
        let arrays: Vec<String> = (1..)
            .zip(self.columns)
            .map(|(number, (_, kind))| format!("${number}::{}[]", kind.name()))
            .collect();
        arrays.join(", ")
    }

    pub(super) fn insert_sql(&self) -> String {
        let (name, columns, conflict) = (self.name, self.columns(), self.conflict);
        let arrays = self.arrays();
        format!("INSERT INTO {name} ({columns}) SELECT * FROM unnest({arrays}) {conflict}")
    }

    /// Removes the rows that are in every column as given.
    pub(super) fn remove_sql(&self) -> String {
        let same: Vec<String> =
            self.columns.iter().map(|(name, _)| format!("t.{name} = r.{name}")).collect();
        let (name, columns, arrays) = (self.name, self.columns(), self.arrays());
        format!(
            "DELETE FROM {name} t USING unnest({arrays}) AS r ({columns}) WHERE {}",
            same.join(" AND ")
        )
    }
}

/// Rows of one table, ready to be sent.
pub(super) struct Sheet {
    pub(super) table: &'static Table,
    pub(super) form: Form,
}

pub(super) enum Form {
    /// The body of a `COPY`.
    Copy(Bytes),
    /// One array for each column.
    Arrays(Vec<Array>),
}

/// A column as an array parameter.
#[derive(Debug)]
pub(super) struct Array(Bytes);

impl ToSql for Array {
    fn to_sql(
        &self,
        _type: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_type: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl Sheet {
    /// Writes each item as one row; `None` when there is no item.
    pub(super) fn of<T>(
        table: &'static Table,
        items: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(T, &mut Cells),
    ) -> Option<Self> {
        let count = items.len();
        let mut cells = match count {
            0 => return None,
            COPY_FROM.. if table.conflict.is_empty() => Cells::to_copy(count),
            _ => Cells::in_arrays(table, count),
        };
        for item in items {
            cells.begin(table);
            write(item, &mut cells);
        }
        Some(Self { table, form: cells.finish() })
    }
}

const COPY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Where the cells of a sheet are written, row by row, from left to right.
pub(super) struct Cells {
    buffers: Buffers,
    column: usize,
}

enum Buffers {
    /// All rows, one after the other.
    Rows(BytesMut),
    /// Each column by itself. A cell beyond the last column goes nowhere.
    Columns(Vec<BytesMut>, BytesMut),
}

impl Cells {
    fn to_copy(count: usize) -> Self {
        let mut body = BytesMut::with_capacity(count.saturating_mul(256));
        body.put_slice(COPY_HEAD);
        Self { buffers: Buffers::Rows(body), column: 0 }
    }

    fn in_arrays(table: &Table, count: usize) -> Self {
        let array = |(_, kind): &(&str, Kind)| {
            let mut buffer = BytesMut::with_capacity(count.saturating_mul(24));
            buffer.put_i32(1); // dimensions
            buffer.put_i32(1); // there may be nulls
            buffer.put_u32(kind.oid());
            buffer.put_u32(u32::try_from(count).unwrap_or(u32::MAX));
            buffer.put_i32(1); // the first index
            buffer
        };
        let columns = table.columns.iter().map(array).collect();
        Self { buffers: Buffers::Columns(columns, BytesMut::new()), column: 0 }
    }

    fn begin(&mut self, table: &Table) {
        self.column = 0;
        if let Buffers::Rows(body) = &mut self.buffers {
            body.put_u16(u16::try_from(table.columns.len()).unwrap_or(u16::MAX));
        }
    }

    fn finish(self) -> Form {
        match self.buffers {
            Buffers::Rows(mut body) => {
                body.put_i16(-1);
                Form::Copy(body.freeze())
            }
            Buffers::Columns(columns, _) => {
                Form::Arrays(columns.into_iter().map(|column| Array(column.freeze())).collect())
            }
        }
    }

    fn cell(&mut self) -> &mut BytesMut {
        let column = self.column;
        self.column = column.saturating_add(1);
        match &mut self.buffers {
            Buffers::Rows(body) => body,
            Buffers::Columns(columns, nowhere) => columns.get_mut(column).unwrap_or(nowhere),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        let cell = self.cell();
        cell.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        cell.put_slice(bytes);
        self
    }

    pub(super) fn null(&mut self) -> &mut Self {
        self.cell().put_i32(-1);
        self
    }

    /// A number; PostgreSQL's integers are signed. Numbers stay far below the limit.
    pub(super) fn int(&mut self, value: u64) -> &mut Self {
        self.put(&int(value).to_be_bytes())
    }

    pub(super) fn small(&mut self, value: u8) -> &mut Self {
        self.put(&i16::from(value).to_be_bytes())
    }

    pub(super) fn id(&mut self, id: &[u8; 16]) -> &mut Self {
        self.put(id)
    }

    pub(super) fn hash(&mut self, hash: &Hash32) -> &mut Self {
        self.put(hash.as_bytes())
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.put(bytes)
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.put(text.as_bytes())
    }

    /// A short text that something writes into, without a detour.
    pub(super) fn display(&mut self, text: &impl core::fmt::Display) -> &mut Self {
        use core::fmt::Write as _;
        let cell = self.cell();
        let start = cell.len();
        cell.put_i32(0);
        let _never_fails = write!(cell, "{text}");
        let length = cell.len().saturating_sub(start).saturating_sub(4);
        let length = i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes();
        for (to, from) in cell.iter_mut().skip(start).zip(length) {
            *to = from;
        }
        self
    }

    pub(super) fn time(&mut self, at: Instant) -> &mut Self {
        self.put(&micros(at).to_be_bytes())
    }

    pub(super) fn amount(&mut self, amount: Amount) -> &mut Self {
        let (digits, count) = numeric_digits(amount.minor());
        let used = digits.get(..count).unwrap_or_default();
        let cell = self.cell();
        let count = u8::try_from(count).unwrap_or(u8::MAX);
        cell.put_i32(i32::from(count).saturating_mul(2).saturating_add(8));
        cell.put_i16(i16::from(count));
        cell.put_i16(i16::from(count.saturating_sub(1))); // the weight of the first digit
        cell.put_u16(0); // the sign
        cell.put_u16(0); // digits behind the point
        used.iter().rev().for_each(|digit| cell.put_u16(*digit));
        self
    }

    pub(super) fn maybe<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T) -> &mut Self,
    ) -> &mut Self {
        match value {
            Some(value) => write(self, value),
            None => self.null(),
        }
    }
}

/// The most digits to the base of 10,000 that 128 bits have.
const DIGITS_MAX: usize = 10;

/// The digits to the base of 10,000, the lowest first, and how many there are; none for zero.
fn numeric_digits(value: u128) -> ([u16; DIGITS_MAX], usize) {
    let (mut digits, mut count, mut rest) = ([0; DIGITS_MAX], 0_usize, value);
    for digit in &mut digits {
        if rest == 0 {
            break;
        }
        // Division of 64 bits is several times cheaper, and most amounts fit.
        (rest, *digit) = match u64::try_from(rest) {
            Ok(small) => (u128::from(small / 10_000), u16::try_from(small % 10_000).unwrap_or(0)),
            Err(_) => (rest / 10_000, u16::try_from(rest % 10_000).unwrap_or(0)),
        };
        count = count.saturating_add(1);
    }
    (digits, count)
}

/// The start of the year 2000, from which PostgreSQL counts, in Unix milliseconds.
const EPOCH_MS: i64 = 946_684_800_000;

pub(super) fn micros(at: Instant) -> i64 {
    int(at.unix_ms()).saturating_sub(EPOCH_MS).saturating_mul(1_000)
}

/// A time from a column; `None` if no instant of ours has it.
pub(super) fn instant(micros: i64) -> Option<Instant> {
    if micros.checked_rem(1_000)? != 0 {
        return None;
    }
    let ms = micros.checked_div(1_000)?.checked_add(EPOCH_MS)?;
    Instant::from_unix_ms(u64::try_from(ms).ok()?)
}

/// An amount from the binary form of a `numeric`; `None` if it is none.
pub(super) fn amount(bytes: &[u8]) -> Option<Amount> {
    let mut words = bytes.chunks(2).map(|word| word.try_into().map(u16::from_be_bytes));
    let mut word = || words.next()?.ok();
    let (count, weight, sign, scale) = (word()?, word()?, word()?, word()?);
    if sign != 0 || scale != 0 {
        return None;
    }
    let mut value = 0_u128;
    for _ in 0..count {
        let digit = word()?;
        value = value.checked_mul(10_000)?.checked_add(u128::from(digit))?;
    }
    // Zeros at the end are not sent, but counted in the weight.
    let missing = u32::from(weight).checked_add(1)?.checked_sub(u32::from(count));
    let missing = if count == 0 { 0 } else { missing? };
    let value = value.checked_mul(10_000_u128.checked_pow(missing)?)?;
    (words.next().is_none()).then(|| Amount::from_minor(value))
}

#[cfg(test)]
mod tests {
    //! Goal: amounts and times survive the binary form exactly, and other values are no amounts. Method: borders of
    //! digits and words, random values, hand-made bytes as PostgreSQL documents them.

    use super::*;
    use proptest::prelude::*;

    const TABLE: Table =
        Table { name: "t", columns: &[("a", Kind::Numeric), ("b", Kind::Int8)], conflict: "" };

    /// The bytes of one cell, without its length.
    fn bytes_of(value: u128) -> Vec<u8> {
        let mut cells = Cells::in_arrays(&TABLE, 1);
        cells.begin(&TABLE);
        cells.amount(Amount::from_minor(value));
        let Buffers::Columns(columns, _) = cells.buffers else { panic!("columns") };
        let body = columns[0].get(20..).unwrap();
        let (length, body) = body.split_at(4);
        assert_eq!(usize::try_from(i32::from_be_bytes(length.try_into().unwrap())), Ok(body.len()));
        body.to_vec()
    }

    #[test]
    fn amounts_at_the_borders() {
        let mut values = vec![0, 1, u128::MAX, u128::from(u64::MAX), u128::from(u64::MAX) + 1];
        for power in 0..39 {
            let value = 10_u128.pow(power);
            values.extend([value - 1, value, value + 1, value.saturating_mul(3)]);
        }
        for value in values {
            assert_eq!(amount(&bytes_of(value)), Some(Amount::from_minor(value)), "{value}");
        }
        // 1,0000,0000: PostgreSQL leaves the zeros at the end away.
        let short = [0, 1, 0, 2, 0, 0, 0, 0, 0, 1];
        assert_eq!(amount(&short), Some(Amount::from_minor(100_000_000)));
        assert_eq!(bytes_of(12_345), [0, 2, 0, 1, 0, 0, 0, 0, 0, 1, 9, 41]);
    }

    #[test]
    fn what_is_no_amount() {
        let cases: [&[u8]; 10] = [
            &[],
            &[0],
            &[0, 1, 0, 0, 0, 0],
            &[0, 1, 0, 0, 0x40, 0, 0, 0, 0, 1],    // below zero
            &[0, 0, 0, 0, 0xc0, 0, 0, 0],          // not a number
            &[0, 1, 0, 0, 0, 0, 0, 2, 0, 1],       // with digits behind the point
            &[0, 1, 0xff, 0xff, 0, 0, 0, 0, 0, 1], // a fraction
            &[0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1], // a digit behind the point
            &[0, 1, 0, 10, 0, 0, 0, 0, 0, 1],      // 10^40
            &[0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1], // a digit too many
        ];
        for bytes in cases {
            assert_eq!(amount(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn times_at_the_borders() {
        for ms in [0, 1, 946_684_799_999, 946_684_800_000, 1_790_000_000_123] {
            let at = Instant::from_unix_ms(ms).unwrap();
            assert_eq!(instant(micros(at)), Some(at));
        }
        assert_eq!(instant(micros(Instant::MAX)), Some(Instant::MAX));
        for none in [i64::MIN, i64::MAX, 1, -946_684_800_001_000, micros(Instant::MAX) + 1_000] {
            assert_eq!(instant(none), None, "{none}");
        }
    }

    #[test]
    fn statements_name_every_column_once() {
        assert_eq!(TABLE.copy_sql(), "COPY t (a, b) FROM STDIN (FORMAT binary)");
        let insert = "INSERT INTO t (a, b) SELECT * FROM unnest($1::numeric[], $2::int8[]) ";
        assert_eq!(TABLE.insert_sql(), insert);
        let remove = "DELETE FROM t t USING unnest($1::numeric[], $2::int8[]) AS r (a, b) \
                      WHERE t.a = r.a AND t.b = r.b";
        assert_eq!(TABLE.remove_sql(), remove);
    }

    proptest! {
        #[test]
        fn any_amount_comes_back(value: u128, shift in 0_u32..128) {
            let value = value >> shift;
            prop_assert_eq!(amount(&bytes_of(value)), Some(Amount::from_minor(value)));
        }

        #[test]
        fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _read = amount(&bytes);
        }
    }
}
