//! Rows as the books' stores give them, column by column, and the values of the domain in them.
//!
//! What a row means is the same in every store; how a column is read is the store's own.

use crate::books::{NO_HEAD, NO_PAYMENT, Past, StoreError};
use tpw_core::{
    AccountId, AccountSetId, Amount, Asset, DecisionRecord, DeviceId, Hash32, Instant, Money, Name,
    PaymentId, PersonId, Span, TransferId, TreeHead,
};
use tpw_crypto::{Algorithm, PublicKey};
use tpw_flow::{
    Alarm, AlarmKind, Burnt, ChainHead, CodeGrant, Decided, DecisionRow, Device, EventKind,
    EventRow, Funding, OrderDigest, OrderRefusal, Owner, Person, RailInstruction,
};
use tpw_ledger::{
    Account, AccountKind, AccountState, Crossing, Edge, Frozen, HoldRow, Limits, Mark, Member,
    Membership, SetRow, Tier, TransferKind, TransferRow, VelocityRow, WatchAction, WatchRow,
};

pub(crate) type Read<T> = Result<T, StoreError>;

/// A number for a column: the stores' integers are signed. Numbers and times stay far below the limit.
pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// How many rows are wanted, for a column's type.
pub(crate) fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// Reads one row from left to right; every failure names the kind of row.
pub(crate) trait Row<'a> {
    /// What to say of a row that holds what no version writes.
    fn damaged(&self) -> StoreError;

    fn uint(&mut self) -> Read<u64>;
    fn maybe_uint(&mut self) -> Read<Option<u64>>;
    fn small(&mut self) -> Read<u8>;
    fn time(&mut self) -> Read<Instant>;
    fn maybe_time(&mut self) -> Read<Option<Instant>>;
    fn bytes(&mut self) -> Read<&'a [u8]>;
    fn maybe_bytes(&mut self) -> Read<Option<&'a [u8]>>;
    fn text(&mut self) -> Read<&'a str>;
    fn id(&mut self) -> Read<[u8; 16]>;
    fn maybe_id(&mut self) -> Read<Option<[u8; 16]>>;
    fn amount(&mut self) -> Read<Amount>;
    fn maybe_amount(&mut self) -> Read<Option<Amount>>;

    fn checked<T>(&self, value: Option<T>) -> Read<T> {
        value.ok_or_else(|| self.damaged())
    }

    fn hash(&mut self) -> Read<Hash32> {
        let bytes = self.bytes()?;
        self.checked(Hash32::from_slice(bytes))
    }

    fn account_id(&mut self) -> Read<AccountId> {
        self.id().map(AccountId::from_bytes)
    }

    fn payment_id(&mut self) -> Read<PaymentId> {
        self.id().map(PaymentId::from_bytes)
    }

    fn device_id(&mut self) -> Read<DeviceId> {
        self.id().map(DeviceId::from_bytes)
    }

    fn person_id(&mut self) -> Read<PersonId> {
        self.id().map(PersonId::from_bytes)
    }

    fn transfer_id(&mut self) -> Read<TransferId> {
        self.id().map(TransferId::from_bytes)
    }

    fn asset(&mut self) -> Read<Asset> {
        let text = self.text()?;
        text.parse().map_err(|_| self.damaged())
    }

    fn money(&mut self) -> Read<Money> {
        let asset = self.asset()?;
        Ok(Money { asset, amount: self.amount()? })
    }

    fn name(&mut self) -> Read<Name> {
        let text = self.text()?;
        Name::new(text).map_err(|_| self.damaged())
    }

    /// A number, a salt and the bytes of a decision.
    fn decision(&mut self) -> Read<DecisionRow> {
        let number = self.uint()?;
        let salt = self.hash()?;
        let bytes = self.bytes()?;
        let record = DecisionRecord::from_bytes(bytes).map_err(|_| self.damaged())?;
        Ok(DecisionRow { number, decided: Decided { record, salt: *salt.as_bytes() } })
    }

    fn person(&mut self) -> Read<Person> {
        Ok(Person { id: self.person_id()?, name: self.name()?, added: self.time()? })
    }

    fn device(&mut self) -> Read<Device> {
        let (id, person) = (self.device_id()?, self.person_id()?);
        let algorithm = self.text()?;
        let (name, second) = match algorithm.split_once('+') {
            Some((first, second)) => (first, Some(second)),
            None => (algorithm, None),
        };
        let algorithms = (Algorithm::from_name(name), second.map(Algorithm::from_name));
        let first = self.checked(algorithms.0)?;
        let bytes = self.bytes()?;
        let (key, rest) = self.checked(bytes.split_at_checked(first.public_key_len()))?;
        let read = |algorithm, bytes: &[u8]| PublicKey::from_bytes(algorithm, bytes).ok();
        let key = self.checked(read(first, key))?;
        let post_quantum = match algorithms.1 {
            None if rest.is_empty() => None,
            Some(Some(Algorithm::MlDsa44)) => Some(self.checked(read(Algorithm::MlDsa44, rest))?),
            _ => return Err(self.damaged()),
        };
        let (enrolled, revoked) = (self.time()?, self.maybe_time()?);
        Ok(Device { id, person, key, post_quantum, enrolled, revoked })
    }

    fn code(&mut self) -> Read<(Hash32, CodeGrant)> {
        let (hash, person, expires) = (self.hash()?, self.person_id()?, self.time()?);
        let used_by = self.maybe_id()?.map(DeviceId::from_bytes);
        Ok((hash, CodeGrant { person, expires, used_by }))
    }

    fn owner(&mut self) -> Read<Owner> {
        let person = self.maybe_id()?.map(PersonId::from_bytes);
        Ok(Owner { person, label: self.name()? })
    }

    fn account(&mut self) -> Read<Account> {
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

    fn hold(&mut self) -> Read<HoldRow> {
        Ok(HoldRow {
            id: self.transfer_id()?,
            number: self.uint()?,
            debit: self.account_id()?,
            credit: self.account_id()?,
            money: self.money()?,
            expires: self.time()?,
        })
    }

    fn transfer(&mut self) -> Read<TransferRow> {
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

    fn order_digest(&mut self) -> Read<Option<OrderDigest>> {
        let Some(bytes) = self.maybe_bytes()? else { return Ok(None) };
        self.checked(bytes.try_into().ok()).map(OrderDigest::from_bytes).map(Some)
    }

    fn mark(&mut self) -> Read<Mark> {
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

    fn crossing(&mut self) -> Read<Crossing> {
        let (account, number) = (self.account_id()?, self.uint()?);
        let (tier, edge) = (self.tier()?, self.small()?);
        let (edge, threshold) = (self.checked(Edge::from_number(edge))?, self.amount()?);
        let balance = self.text()?;
        let balance = self.checked(balance.parse().ok())?;
        let (at, action) = (self.time()?, self.action()?);
        Ok(Crossing { account, tier, edge, threshold, balance, number, at, action })
    }

    fn velocity(&mut self) -> Read<VelocityRow> {
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

    fn watch(&mut self) -> Read<WatchRow> {
        let (account, tier) = (self.account_id()?, self.tier()?);
        let (below, above) = (self.maybe_amount()?, self.maybe_amount()?);
        Ok(WatchRow { account, tier, below, above, action: self.action()? })
    }

    fn set(&mut self) -> Read<SetRow> {
        let id = self.id().map(AccountSetId::from_bytes)?;
        Ok(SetRow { id, asset: self.asset()?, opened: self.time()? })
    }

    fn membership(&mut self) -> Read<Membership> {
        let set = self.id().map(AccountSetId::from_bytes)?;
        let member = match self.small()? {
            1 => Member::Account(self.account_id()?),
            2 => Member::Set(self.id().map(AccountSetId::from_bytes)?),
            _ => return Err(self.damaged()),
        };
        Ok(Membership { set, member })
    }

    fn burnt(&mut self) -> Read<Burnt> {
        let why = self.small()?;
        let why = self.checked(OrderRefusal::from_number(why))?;
        Ok(Burnt { why, fingerprint: self.hash()?, at: self.time()? })
    }

    fn event(&mut self) -> Read<EventRow> {
        let (seq, position, at) = (self.uint()?, self.uint()?, self.time()?);
        let kind = self.small()?;
        let kind = self.checked(EventKind::from_number(kind))?;
        Ok(EventRow { seq, position, at, kind, subject: self.id()? })
    }

    fn rail(&mut self) -> Read<RailInstruction> {
        Ok(RailInstruction {
            payment: self.payment_id()?,
            account: self.account_id()?,
            money: self.money()?,
            purpose: self.text()?.to_owned(),
            at: self.time()?,
        })
    }

    fn alarm(&mut self) -> Read<Alarm> {
        let kind = self.text()?;
        Ok(Alarm {
            kind: self.checked(AlarmKind::from_code(kind))?,
            at: self.time()?,
            device: self.device_id()?,
            payment: Some(self.payment_id()?).filter(|id| *id != NO_PAYMENT),
            head: Some(TreeHead { size: self.uint()?, root: self.hash()? })
                .filter(|head| *head != NO_HEAD),
        })
    }

    fn chain(&mut self) -> Read<((DeviceId, AccountId), ChainHead)> {
        let key = (self.device_id()?, self.account_id()?);
        Ok((key, ChainHead { sequence: self.uint()?, hash: self.hash()? }))
    }

    fn funding(&mut self) -> Read<Funding> {
        Ok(Funding { account: self.account_id()?, amount: self.amount()? })
    }

    fn past(&mut self) -> Read<Past> {
        Ok(Past {
            payment: self.payment_id()?,
            payer: self.account_id()?,
            payee: self.account_id()?,
            money: self.money()?,
            device: self.device_id()?,
            received: self.time()?,
        })
    }
}
