//! PostgreSQL's columns.

use super::sheet;
use crate::books::StoreError;
use crate::decode::{self, Read, Row as _};
use bytes::BytesMut;
use std::error::Error;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tpw_core::{Amount, Instant};

/// The 16 bytes of a `uuid`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Id(pub(super) [u8; 16]);

impl FromSql<'_> for Id {
    fn from_sql(_type: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.try_into()?))
    }

    fn accepts(wanted: &Type) -> bool {
        *wanted == Type::UUID
    }
}

impl ToSql for Id {
    fn to_sql(
        &self,
        _type: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(wanted: &Type) -> bool {
        *wanted == Type::UUID
    }

    to_sql_checked!();
}

struct Number(Amount);

impl FromSql<'_> for Number {
    fn from_sql(_type: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        sheet::amount(raw).map(Self).ok_or_else(|| "not an amount".into())
    }

    fn accepts(wanted: &Type) -> bool {
        *wanted == Type::NUMERIC
    }
}

/// A point in time.
#[derive(Debug)]
pub(super) struct Time(pub(super) Instant);

impl ToSql for Time {
    fn to_sql(
        &self,
        _type: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&sheet::micros(self.0).to_be_bytes());
        Ok(IsNull::No)
    }

    fn accepts(wanted: &Type) -> bool {
        *wanted == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

impl FromSql<'_> for Time {
    fn from_sql(_type: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        sheet::instant(micros).map(Self).ok_or_else(|| "not an instant".into())
    }

    fn accepts(wanted: &Type) -> bool {
        *wanted == Type::TIMESTAMPTZ
    }
}

/// Reads one row column by column; every failure names the kind of row.
pub(super) struct Columns<'a> {
    row: &'a Row,
    what: &'static str,
    next: usize,
}

impl<'a> Columns<'a> {
    pub(super) const fn new(row: &'a Row, what: &'static str) -> Self {
        Self { row, what, next: 0 }
    }

    fn get<T: FromSql<'a>>(&mut self) -> Read<T> {
        let place = self.next;
        self.next = self.next.saturating_add(1);
        self.row.try_get(place).map_err(|_| self.damaged())
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
        let value: i16 = self.get()?;
        u8::try_from(value).map_err(|_| self.damaged())
    }

    fn time(&mut self) -> Read<Instant> {
        self.get().map(|Time(at)| at)
    }

    fn maybe_time(&mut self) -> Read<Option<Instant>> {
        let value: Option<Time> = self.get()?;
        Ok(value.map(|Time(at)| at))
    }

    fn bytes(&mut self) -> Read<&'a [u8]> {
        self.get()
    }

    fn maybe_bytes(&mut self) -> Read<Option<&'a [u8]>> {
        self.get()
    }

    fn text(&mut self) -> Read<&'a str> {
        self.get()
    }

    fn id(&mut self) -> Read<[u8; 16]> {
        self.get().map(|Id(bytes)| bytes)
    }

    fn maybe_id(&mut self) -> Read<Option<[u8; 16]>> {
        let value: Option<Id> = self.get()?;
        Ok(value.map(|Id(bytes)| bytes))
    }

    fn amount(&mut self) -> Read<Amount> {
        self.get().map(|Number(amount)| amount)
    }

    fn maybe_amount(&mut self) -> Read<Option<Amount>> {
        let value: Option<Number> = self.get()?;
        Ok(value.map(|Number(amount)| amount))
    }
}
