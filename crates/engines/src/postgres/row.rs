//! Domain values from columns.

use super::sheet;
use crate::books::StoreError;
use bytes::BytesMut;
use std::error::Error;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tpw_core::{
    AccountId, AccountSetId, Amount, Asset, DeviceId, Hash32, Instant, Money, Name, PaymentId,
    PersonId, Span, TransferId, TreeHead,
};
use tpw_crypto::{Algorithm, PublicKey};
use tpw_flow::{
    Alarm, AlarmKind, Burnt, CodeGrant, Device, EventKind, EventRow, OrderRefusal, Owner, Person,
    RailInstruction,
};
use tpw_ledger::{
    Account, AccountKind, AccountState, Crossing, Edge, Frozen, HoldRow, Limits, Mark, Member,
    Membership, SetRow, Tier, TransferKind, TransferRow, VelocityRow, WatchAction, WatchRow,
};

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

type Read<T> = Result<T, StoreError>;

impl<'a> Columns<'a> {
    pub(super) const fn new(row: &'a Row, what: &'static str) -> Self {
        Self { row, what, next: 0 }
    }

    fn damaged(&self) -> StoreError {
        StoreError::Damaged { what: self.what }
    }

    fn get<T: FromSql<'a>>(&mut self) -> Read<T> {
        let place = self.next;
        self.next = self.next.saturating_add(1);
        self.row.try_get(place).map_err(|_| self.damaged())
    }

    fn checked<T>(&self, value: Option<T>) -> Read<T> {
        value.ok_or_else(|| self.damaged())
    }

    pub(super) fn uint(&mut self) -> Read<u64> {
        let value: i64 = self.get()?;
        u64::try_from(value).map_err(|_| self.damaged())
    }

    pub(super) fn maybe_uint(&mut self) -> Read<Option<u64>> {
        let value: Option<i64> = self.get()?;
        value.map(|v| u64::try_from(v).map_err(|_| self.damaged())).transpose()
    }

    fn small(&mut self) -> Read<u8> {
        let value: i16 = self.get()?;
        u8::try_from(value).map_err(|_| self.damaged())
    }

    pub(super) fn time(&mut self) -> Read<Instant> {
        self.get().map(|Time(at)| at)
    }

    fn maybe_time(&mut self) -> Read<Option<Instant>> {
        let value: Option<Time> = self.get()?;
        Ok(value.map(|Time(at)| at))
    }

    pub(super) fn bytes(&mut self) -> Read<&'a [u8]> {
        self.get()
    }

    pub(super) fn text(&mut self) -> Read<&'a str> {
        self.get()
    }

    pub(super) fn id(&mut self) -> Read<[u8; 16]> {
        self.get().map(|Id(bytes)| bytes)
    }

    pub(super) fn maybe_id(&mut self) -> Read<Option<[u8; 16]>> {
        let value: Option<Id> = self.get()?;
        Ok(value.map(|Id(bytes)| bytes))
    }

    pub(super) fn hash(&mut self) -> Read<Hash32> {
        let bytes = self.bytes()?;
        self.checked(Hash32::from_slice(bytes))
    }

    pub(super) fn account_id(&mut self) -> Read<AccountId> {
        self.id().map(AccountId::from_bytes)
    }

    pub(super) fn payment_id(&mut self) -> Read<PaymentId> {
        self.id().map(PaymentId::from_bytes)
    }

    pub(super) fn device_id(&mut self) -> Read<DeviceId> {
        self.id().map(DeviceId::from_bytes)
    }

    fn person_id(&mut self) -> Read<PersonId> {
        self.id().map(PersonId::from_bytes)
    }

    fn transfer_id(&mut self) -> Read<TransferId> {
        self.id().map(TransferId::from_bytes)
    }

    pub(super) fn amount(&mut self) -> Read<Amount> {
        self.get().map(|Number(amount)| amount)
    }

    fn maybe_amount(&mut self) -> Read<Option<Amount>> {
        let value: Option<Number> = self.get()?;
        Ok(value.map(|Number(amount)| amount))
    }

    fn asset(&mut self) -> Read<Asset> {
        let text = self.text()?;
        text.parse().map_err(|_| self.damaged())
    }

    pub(super) fn money(&mut self) -> Read<Money> {
        let asset = self.asset()?;
        Ok(Money { asset, amount: self.amount()? })
    }

    fn name(&mut self) -> Read<Name> {
        let text = self.text()?;
        Name::new(text).map_err(|_| self.damaged())
    }

    pub(super) fn person(&mut self) -> Read<Person> {
        Ok(Person { id: self.person_id()?, name: self.name()?, added: self.time()? })
    }

    pub(super) fn device(&mut self) -> Read<Device> {
        let (id, person) = (self.device_id()?, self.person_id()?);
        let algorithm = self.text()?;
        let algorithm = self.checked(Algorithm::from_name(algorithm))?;
        let key = self.bytes()?;
        let key = PublicKey::from_bytes(algorithm, key).map_err(|_| self.damaged())?;
        Ok(Device { id, person, key, enrolled: self.time()?, revoked: self.maybe_time()? })
    }

    pub(super) fn code(&mut self) -> Read<(Hash32, CodeGrant)> {
        let (hash, person, expires) = (self.hash()?, self.person_id()?, self.time()?);
        let used_by = self.maybe_id()?.map(DeviceId::from_bytes);
        Ok((hash, CodeGrant { person, expires, used_by }))
    }

    pub(super) fn owner(&mut self) -> Read<Owner> {
        let person = self.maybe_id()?.map(PersonId::from_bytes);
        Ok(Owner { person, label: self.name()? })
    }

    pub(super) fn account(&mut self) -> Read<Account> {
        let (id, asset) = (self.account_id()?, self.asset()?);
        let kind = self.small()?;
        let kind = self.checked(AccountKind::from_number(kind))?;
        let owner = self.maybe_id()?.map(PersonId::from_bytes);
        let state = self.small()?;
        let state = self.checked(AccountState::from_number(state))?;
        let frozen = self.small()?;
        let frozen = self.checked(Frozen::from_bits(frozen))?;
        let limits = Limits::NONE
            .with_debit_max_per_transfer(self.maybe_amount()?)
            .with_balance_max(self.maybe_amount()?);
        Ok(Account {
            id,
            asset,
            kind,
            owner,
            state,
            frozen,
            limits,
            debits_posted: self.amount()?,
            credits_posted: self.amount()?,
            debits_pending: self.amount()?,
            credits_pending: self.amount()?,
            transfers: self.uint()?,
            last: self.uint()?,
            chain: self.hash()?,
            opened: self.time()?,
        })
    }

    pub(super) fn hold(&mut self) -> Read<HoldRow> {
        Ok(HoldRow {
            id: self.transfer_id()?,
            number: self.uint()?,
            debit: self.account_id()?,
            credit: self.account_id()?,
            money: self.money()?,
            expires: self.time()?,
        })
    }

    pub(super) fn transfer(&mut self) -> Read<TransferRow> {
        let (number, id) = (self.uint()?, self.transfer_id()?);
        let kind = self.small()?;
        let kind = self.checked(TransferKind::from_number(kind))?;
        let (debit, credit) = (self.account_id()?, self.account_id()?);
        let (money, at) = (self.money()?, self.time()?);
        Ok(TransferRow {
            number,
            id,
            kind,
            debit,
            credit,
            money,
            at,
            effective: self.maybe_time()?.unwrap_or(at),
            pending: self.maybe_uint()?,
            prev_debit: self.uint()?,
            prev_credit: self.uint()?,
            debit_chain: self.hash()?,
            credit_chain: self.hash()?,
            released: self.maybe_amount()?.unwrap_or(Amount::ZERO),
        })
    }

    pub(super) fn mark(&mut self) -> Read<Mark> {
        Ok(Mark {
            account: self.account_id()?,
            number: self.uint()?,
            transfers: self.uint()?,
            at: self.time()?,
            debits_posted: self.amount()?,
            credits_posted: self.amount()?,
            debits_pending: self.amount()?,
            credits_pending: self.amount()?,
        })
    }

    fn tier(&mut self) -> Read<Tier> {
        let tier = self.small()?;
        self.checked(Tier::from_number(tier))
    }

    fn action(&mut self) -> Read<WatchAction> {
        let action = self.small()?;
        self.checked(WatchAction::from_number(action))
    }

    pub(super) fn crossing(&mut self) -> Read<(u64, Crossing)> {
        let (place, account, number) = (self.uint()?, self.account_id()?, self.uint()?);
        let (tier, edge) = (self.tier()?, self.small()?);
        let (edge, threshold) = (self.checked(Edge::from_number(edge))?, self.amount()?);
        let balance = self.text()?;
        let balance = self.checked(balance.parse().ok())?;
        let (at, action) = (self.time()?, self.action()?);
        Ok((place, Crossing { account, tier, edge, threshold, balance, number, at, action }))
    }

    pub(super) fn velocity(&mut self) -> Read<VelocityRow> {
        Ok(VelocityRow {
            account: self.account_id()?,
            place: self.small()?,
            window: Span::from_ms(self.uint()?),
            amount_max: self.maybe_amount()?,
            count_max: self.maybe_uint()?,
            since: self.time()?,
            amount: self.amount()?,
            count: self.uint()?,
        })
    }

    pub(super) fn watch(&mut self) -> Read<WatchRow> {
        let (account, tier) = (self.account_id()?, self.tier()?);
        let (below, above) = (self.maybe_amount()?, self.maybe_amount()?);
        Ok(WatchRow { account, tier, below, above, action: self.action()? })
    }

    pub(super) fn set(&mut self) -> Read<SetRow> {
        let id = self.id().map(AccountSetId::from_bytes)?;
        Ok(SetRow { id, asset: self.asset()?, opened: self.time()? })
    }

    pub(super) fn membership(&mut self) -> Read<Membership> {
        let set = self.id().map(AccountSetId::from_bytes)?;
        let member = match self.small()? {
            1 => Member::Account(self.account_id()?),
            2 => Member::Set(self.id().map(AccountSetId::from_bytes)?),
            _ => return Err(self.damaged()),
        };
        Ok(Membership { set, member })
    }

    pub(super) fn burnt(&mut self) -> Read<Burnt> {
        let why = self.small()?;
        let why = self.checked(OrderRefusal::from_number(why))?;
        Ok(Burnt { why, fingerprint: self.hash()?, at: self.time()? })
    }

    pub(super) fn event(&mut self) -> Read<EventRow> {
        let (seq, position, at) = (self.uint()?, self.uint()?, self.time()?);
        let kind = self.small()?;
        let kind = self.checked(EventKind::from_number(kind))?;
        Ok(EventRow { seq, position, at, kind, subject: self.id()? })
    }

    pub(super) fn rail(&mut self) -> Read<RailInstruction> {
        Ok(RailInstruction {
            payment: self.payment_id()?,
            account: self.account_id()?,
            money: self.money()?,
            purpose: self.text()?.to_owned(),
            at: self.time()?,
        })
    }

    pub(super) fn alarm(&mut self) -> Read<(u64, Alarm)> {
        let number = self.uint()?;
        let kind = self.text()?;
        let alarm = Alarm {
            kind: self.checked(AlarmKind::from_code(kind))?,
            at: self.time()?,
            device: self.device_id()?,
            payment: self.payment_id()?,
            head: TreeHead { size: self.uint()?, root: self.hash()? },
        };
        Ok((number, alarm))
    }
}
