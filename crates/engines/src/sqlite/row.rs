//! SQLite's columns, and the seals of rows.

use crate::books::StoreError;
use crate::decode::{self, Read, Row as _, int};
use rusqlite::types::{FromSql, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Row, Transaction};
use tpw_core::{Amount, Instant};
use tpw_flow::OrderDigest;
use tpw_ledger::TransferRow;

pub(super) fn time(at: Instant) -> i64 {
    int(at.unix_ms())
}

pub(super) fn amount(amount: Amount) -> [u8; 16] {
    amount.minor().to_be_bytes()
}

/// How many bytes of a hash guard a value against a disk that gives other bytes than it was given. SQLite has no
/// checksums of its own, and nobody else would notice a wrong bit in a payment.
const SEAL: usize = 8;

/// A value with its seal behind it.
pub(super) fn sealed(mut value: Vec<u8>) -> Vec<u8> {
    let hash = tpw_crypto::sha256(&value);
    value.extend(hash.iter().take(SEAL));
    value
}

/// The value without its seal; nothing when they do not belong together.
pub(super) fn opened(sealed: &[u8]) -> Option<&[u8]> {
    let (value, seal) = sealed.split_at_checked(sealed.len().checked_sub(SEAL)?)?;
    tpw_crypto::sha256(value).starts_with(seal).then_some(value)
}

/// The seal of a row: the first 8 bytes of a hash of all of it, as a number. Each part has a fixed length but the last.
fn seal(parts: &[&[u8]]) -> i64 {
    let hash = tpw_crypto::sha256_parts(parts);
    i64::from_be_bytes(hash.first_chunk::<SEAL>().copied().unwrap_or_default())
}

pub(super) fn transfer_seal(row: &TransferRow, digest: Option<&OrderDigest>) -> i64 {
    seal(&[
        &row.linked_bytes(),
        row.debit_chain.as_bytes(),
        row.credit_chain.as_bytes(),
        &row.released.minor().to_be_bytes(),
        digest.map_or(&[], |digest| digest.as_bytes()),
    ])
}

/// Runs a statement with the values of a row and, as its last parameter, their seal.
pub(super) fn put_sealed(
    t: &Transaction<'_>,
    sql: &str,
    values: &[&dyn ToSql],
) -> rusqlite::Result<()> {
    SealedRows::into(t, sql)?.put(values)
}

/// Runs one statement for many rows, as [`put_sealed`] does for one: it is looked up once.
pub(super) struct SealedRows<'t> {
    statement: CachedStatement<'t>,
    sealing: Sealing,
}

impl<'t> SealedRows<'t> {
    pub(super) fn into(t: &'t Transaction<'_>, sql: &str) -> rusqlite::Result<Self> {
        Ok(Self { statement: t.prepare_cached(sql)?, sealing: Sealing::default() })
    }

    pub(super) fn put(&mut self, values: &[&dyn ToSql]) -> rusqlite::Result<()> {
        self.sealing.0.clear();
        let mut place = 1_usize;
        for value in values {
            let bound = value.to_sql()?;
            self.sealing.add(match &bound {
                ToSqlOutput::Borrowed(value) => *value,
                ToSqlOutput::Owned(value) => value.into(),
                // The other kinds need features of the library that are off.
                _ => ValueRef::Null,
            });
            self.statement.raw_bind_parameter(place, &bound)?;
            place = place.saturating_add(1);
        }
        self.statement.raw_bind_parameter(place, self.sealing.seal())?;
        self.statement.raw_execute().map(drop)
    }
}

/// The values of a row in their order, each with its kind and length, so that no two rows give the same bytes.
#[derive(Default)]
struct Sealing(Vec<u8>);

impl Sealing {
    fn add(&mut self, value: ValueRef<'_>) {
        let (kind, bytes): (u8, &[u8]) = match value {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(value) => (1, &value.to_be_bytes()),
            ValueRef::Text(bytes) => (2, bytes),
            ValueRef::Blob(bytes) => (3, bytes),
            ValueRef::Real(value) => (4, &value.to_be_bytes()),
        };
        self.0.push(kind);
        self.0.extend(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.extend(bytes);
    }

    fn seal(&self) -> i64 {
        seal(&[&self.0])
    }
}

/// Reads one row column by column; every failure names the kind of row.
pub(super) struct Columns<'a> {
    row: &'a Row<'a>,
    what: &'static str,
    next: usize,
    sealed_from: usize,
}

impl<'a> Columns<'a> {
    pub(super) const fn new(row: &'a Row<'a>, what: &'static str) -> Self {
        Self { row, what, next: 0, sealed_from: 0 }
    }

    fn get<T: FromSql>(&mut self) -> Read<T> {
        let value = self.next_value()?;
        T::column_result(value).map_err(|_| self.damaged())
    }

    /// Borrowed from the row: nearly all columns are turned into something else at once.
    fn next_value(&mut self) -> Read<ValueRef<'a>> {
        let place = self.next;
        self.next = self.next.saturating_add(1);
        self.row.get_ref(place).map_err(|_| self.damaged())
    }

    fn demand_seal(&mut self, expected: i64) -> Read<()> {
        let seal: i64 = self.get()?;
        if seal == expected { Ok(()) } else { Err(self.damaged()) }
    }

    /// Goes past columns that only the seal is to cover.
    pub(super) const fn skip(&mut self, columns: usize) {
        self.next = self.next.saturating_add(columns);
    }

    /// A number that SQLite gave the row: it is not under the seal.
    pub(super) fn given(&mut self) -> Read<u64> {
        let number = self.uint()?;
        self.sealed_from = self.next;
        Ok(number)
    }

    /// Demands that the next column is the seal of those before it.
    pub(super) fn sealed<T>(&mut self, value: T) -> Read<T> {
        let mut sealing = Sealing::default();
        for place in self.sealed_from..self.next {
            sealing.add(self.row.get_ref(place).map_err(|_| self.damaged())?);
        }
        self.demand_seal(sealing.seal()).map(|()| value)
    }

    /// Its seal is over what the ledger has hashed already: transfers are most of all rows.
    pub(super) fn sealed_transfer(&mut self) -> Read<(TransferRow, Option<OrderDigest>)> {
        let (transfer, digest) = (self.transfer()?, self.order_digest()?);
        let seal = transfer_seal(&transfer, digest.as_ref());
        self.demand_seal(seal).map(|()| (transfer, digest))
    }
}

impl<'a> decode::Row<'a> for Columns<'a> {
    fn damaged(&self) -> StoreError {
        StoreError::Damaged { what: self.what }
    }

    fn uint(&mut self) -> Read<u64> {
        let value: i64 = self.get()?;
        u64::try_from(value).map_err(|_| self.damaged())
    }

    fn maybe_uint(&mut self) -> Read<Option<u64>> {
        let value: Option<i64> = self.get()?;
        value.map(|v| u64::try_from(v).map_err(|_| self.damaged())).transpose()
    }

    fn small(&mut self) -> Read<u8> {
        let value = self.uint()?;
        u8::try_from(value).map_err(|_| self.damaged())
    }

    fn time(&mut self) -> Read<Instant> {
        let ms = self.uint()?;
        self.checked(Instant::from_unix_ms(ms))
    }

    fn maybe_time(&mut self) -> Read<Option<Instant>> {
        let Some(ms) = self.maybe_uint()? else { return Ok(None) };
        self.checked(Instant::from_unix_ms(ms)).map(Some)
    }

    fn bytes(&mut self) -> Read<&'a [u8]> {
        let value = self.next_value()?;
        value.as_blob().map_err(|_| self.damaged())
    }

    fn maybe_bytes(&mut self) -> Read<Option<&'a [u8]>> {
        let value = self.next_value()?;
        value.as_blob_or_null().map_err(|_| self.damaged())
    }

    fn text(&mut self) -> Read<&'a str> {
        let value = self.next_value()?;
        value.as_str().map_err(|_| self.damaged())
    }

    fn id(&mut self) -> Read<[u8; 16]> {
        let bytes = self.bytes()?;
        self.checked(bytes.try_into().ok())
    }

    fn maybe_id(&mut self) -> Read<Option<[u8; 16]>> {
        let Some(bytes) = self.maybe_bytes()? else { return Ok(None) };
        self.checked(bytes.try_into().ok()).map(Some)
    }

    fn amount(&mut self) -> Read<Amount> {
        self.id().map(u128::from_be_bytes).map(Amount::from_minor)
    }

    fn maybe_amount(&mut self) -> Read<Option<Amount>> {
        Ok(self.maybe_id()?.map(u128::from_be_bytes).map(Amount::from_minor))
    }
}
