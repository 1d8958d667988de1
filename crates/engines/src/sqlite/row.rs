//! Domain values to and from columns.

use crate::books::StoreError;
use rusqlite::Row;
use tpw_core::{
    AccountId, AccountSetId, Amount, Asset, DeviceId, Hash32, Instant, Money, Name, PaymentId,
    PersonId, Span, TransferId,
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

/// A number for a column: SQLite's integers are signed. Numbers and times stay far below the limit.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

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

pub(super) fn transfer_seal(row: &TransferRow) -> i64 {
    seal(&[
        &row.linked_bytes(),
        row.debit_chain.as_bytes(),
        row.credit_chain.as_bytes(),
        &row.released.minor().to_be_bytes(),
    ])
}

pub(super) fn account_seal(row: &Account) -> i64 {
    let limit = |max: Option<Amount>| max.unwrap_or(Amount::MAX).minor().to_be_bytes();
    let owner = row.owner.map_or([0; 16], |owner| *owner.as_bytes());
    seal(&[
        row.id.as_bytes(),
        &[row.kind.number(), row.state.number(), row.frozen.bits()],
        &[u8::from(row.owner.is_some())],
        &owner,
        &limit(row.limits.debit_max_per_transfer()),
        &limit(row.limits.balance_max()),
        &amount(row.debits_posted),
        &amount(row.credits_posted),
        &amount(row.debits_pending),
        &amount(row.credits_pending),
        &row.transfers.to_be_bytes(),
        &row.last.to_be_bytes(),
        row.chain.as_bytes(),
        &row.opened.unix_ms().to_be_bytes(),
        row.asset.to_string().as_bytes(),
    ])
}

pub(super) fn hold_seal(row: &HoldRow) -> i64 {
    seal(&[
        row.id.as_bytes(),
        &row.number.to_be_bytes(),
        row.debit.as_bytes(),
        row.credit.as_bytes(),
        &amount(row.money.amount),
        &row.expires.unix_ms().to_be_bytes(),
        row.money.asset.to_string().as_bytes(),
    ])
}

/// Reads one row column by column; every failure names the kind of row.
pub(super) struct Columns<'a> {
    row: &'a Row<'a>,
    what: &'static str,
    next: usize,
}

type Read<T> = Result<T, StoreError>;

impl<'a> Columns<'a> {
    pub(super) const fn new(row: &'a Row<'a>, what: &'static str) -> Self {
        Self { row, what, next: 0 }
    }

    fn damaged(&self) -> StoreError {
        StoreError::Damaged { what: self.what }
    }

    fn get<T: rusqlite::types::FromSql>(&mut self) -> Read<T> {
        let place = self.next;
        self.next = self.next.saturating_add(1);
        self.row.get(place).map_err(|_| self.damaged())
    }

    fn checked<T>(&self, value: Option<T>) -> Read<T> {
        value.ok_or_else(|| self.damaged())
    }

    pub(super) fn uint(&mut self) -> Read<u64> {
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

    pub(super) fn time(&mut self) -> Read<Instant> {
        let ms = self.uint()?;
        self.checked(Instant::from_unix_ms(ms))
    }

    fn maybe_time(&mut self) -> Read<Option<Instant>> {
        let Some(ms) = self.maybe_uint()? else { return Ok(None) };
        self.checked(Instant::from_unix_ms(ms)).map(Some)
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
        Ok(EventRow { seq, position, at, kind, subject: self.fixed()? })
    }

    pub(super) fn bytes(&mut self) -> Read<Vec<u8>> {
        self.get()
    }

    pub(super) fn text(&mut self) -> Read<String> {
        self.get()
    }

    fn fixed<const N: usize>(&mut self) -> Read<[u8; N]> {
        let bytes = self.bytes()?;
        bytes.try_into().map_err(|_| self.damaged())
    }

    pub(super) fn hash(&mut self) -> Read<Hash32> {
        self.fixed().map(Hash32::new)
    }

    pub(super) fn account_id(&mut self) -> Read<AccountId> {
        self.fixed().map(AccountId::from_bytes)
    }

    pub(super) fn payment_id(&mut self) -> Read<PaymentId> {
        self.fixed().map(PaymentId::from_bytes)
    }

    pub(super) fn device_id(&mut self) -> Read<DeviceId> {
        self.fixed().map(DeviceId::from_bytes)
    }

    fn person_id(&mut self) -> Read<PersonId> {
        self.fixed().map(PersonId::from_bytes)
    }

    fn maybe_person(&mut self) -> Read<Option<PersonId>> {
        let person: Option<Vec<u8>> = self.get()?;
        person.map(|b| PersonId::from_slice(&b).ok_or_else(|| self.damaged())).transpose()
    }

    fn transfer_id(&mut self) -> Read<TransferId> {
        self.fixed().map(TransferId::from_bytes)
    }

    pub(super) fn amount(&mut self) -> Read<Amount> {
        self.fixed().map(u128::from_be_bytes).map(Amount::from_minor)
    }

    fn maybe_amount(&mut self) -> Read<Option<Amount>> {
        let bytes: Option<Vec<u8>> = self.get()?;
        let Some(bytes) = bytes else { return Ok(None) };
        let bytes = bytes.try_into().map_err(|_| self.damaged())?;
        Ok(Some(Amount::from_minor(u128::from_be_bytes(bytes))))
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
        Name::new(&text).map_err(|_| self.damaged())
    }

    pub(super) fn person(&mut self) -> Read<Person> {
        Ok(Person { id: self.person_id()?, name: self.name()?, added: self.time()? })
    }

    pub(super) fn device(&mut self) -> Read<Device> {
        let (id, person) = (self.device_id()?, self.person_id()?);
        let algorithm = self.text()?;
        let algorithm = self.checked(Algorithm::from_name(&algorithm))?;
        let key = self.bytes()?;
        let key = PublicKey::from_bytes(algorithm, &key).map_err(|_| self.damaged())?;
        let enrolled = self.time()?;
        let revoked = self.maybe_uint()?.and_then(Instant::from_unix_ms);
        Ok(Device { id, person, key, enrolled, revoked })
    }

    pub(super) fn code(&mut self) -> Read<(Hash32, CodeGrant)> {
        let (hash, person, expires) = (self.hash()?, self.person_id()?, self.time()?);
        let used_by: Option<Vec<u8>> = self.get()?;
        let used_by = used_by.map(|b| DeviceId::from_slice(&b).ok_or_else(|| self.damaged()));
        Ok((hash, CodeGrant { person, expires, used_by: used_by.transpose()? }))
    }

    pub(super) fn owner(&mut self) -> Read<Owner> {
        Ok(Owner { person: self.maybe_person()?, label: self.name()? })
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

    pub(super) fn set(&mut self) -> Read<SetRow> {
        let id = AccountSetId::from_bytes(self.fixed()?);
        Ok(SetRow { id, asset: self.asset()?, opened: self.time()? })
    }

    pub(super) fn membership(&mut self) -> Read<Membership> {
        let set = AccountSetId::from_bytes(self.fixed()?);
        let (kind, member) = (self.uint()?, self.fixed()?);
        let member = match kind {
            1 => Member::Account(AccountId::from_bytes(member)),
            2 => Member::Set(AccountSetId::from_bytes(member)),
            _ => return Err(self.damaged()),
        };
        Ok(Membership { set, member })
    }

    pub(super) fn watch(&mut self) -> Read<WatchRow> {
        Ok(WatchRow {
            account: self.account_id()?,
            tier: self.tier()?,
            below: self.maybe_amount()?,
            above: self.maybe_amount()?,
            action: self.action()?,
        })
    }

    fn tier(&mut self) -> Read<Tier> {
        let number = self.small()?;
        self.checked(Tier::from_number(number))
    }

    fn action(&mut self) -> Read<WatchAction> {
        let number = self.small()?;
        self.checked(WatchAction::from_number(number))
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

    pub(super) fn account(&mut self) -> Read<Account> {
        let (id, asset) = (self.account_id()?, self.asset()?);
        let kind = self.small()?;
        let kind = self.checked(AccountKind::from_number(kind))?;
        let owner = self.maybe_person()?;
        let state = self.small()?;
        let state = self.checked(AccountState::from_number(state))?;
        let frozen = self.small()?;
        let frozen = self.checked(Frozen::from_bits(frozen))?;
        let limits = Limits::NONE
            .with_debit_max_per_transfer(self.maybe_amount()?)
            .with_balance_max(self.maybe_amount()?);
        let account = Account {
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
        };
        let seal: i64 = self.get()?;
        if seal == account_seal(&account) { Ok(account) } else { Err(self.damaged()) }
    }

    pub(super) fn hold(&mut self) -> Read<HoldRow> {
        let hold = HoldRow {
            id: self.transfer_id()?,
            number: self.uint()?,
            debit: self.account_id()?,
            credit: self.account_id()?,
            money: self.money()?,
            expires: self.time()?,
        };
        let seal: i64 = self.get()?;
        if seal == hold_seal(&hold) { Ok(hold) } else { Err(self.damaged()) }
    }

    pub(super) fn transfer(&mut self) -> Read<TransferRow> {
        let (number, id) = (self.uint()?, self.transfer_id()?);
        let kind = self.small()?;
        let kind = self.checked(TransferKind::from_number(kind))?;
        let (debit, credit) = (self.account_id()?, self.account_id()?);
        let (money, at) = (self.money()?, self.time()?);
        let row = TransferRow {
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
        };
        let seal: i64 = self.get()?;
        if seal == transfer_seal(&row) { Ok(row) } else { Err(self.damaged()) }
    }

    pub(super) fn rail(&mut self) -> Read<RailInstruction> {
        Ok(RailInstruction {
            payment: self.payment_id()?,
            account: self.account_id()?,
            money: self.money()?,
            purpose: self.text()?,
            at: self.time()?,
        })
    }

    pub(super) fn alarm(&mut self) -> Read<(u64, Alarm)> {
        let number = self.uint()?;
        let kind = self.text()?;
        let alarm = Alarm {
            kind: self.checked(AlarmKind::from_code(&kind))?,
            at: self.time()?,
            device: self.device_id()?,
            payment: self.payment_id()?,
            head: tpw_core::TreeHead { size: self.uint()?, root: self.hash()? },
        };
        Ok((number, alarm))
    }
}
