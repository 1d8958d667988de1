//! Reading the books: whole at start, by key afterwards.

use super::row::{self, Columns, int, time};
use super::{COUNTS, Place, error, open_for_reading};
use crate::books::{BooksReader, Past, Restored, StoreError};
use rusqlite::{Connection, OptionalExtension, Params, params};
use std::collections::HashMap;
use std::path::PathBuf;
use tpw_core::{AccountId, Instant, PaymentId, PersonId, TransferId};
use tpw_flow::{
    Alarm, Burnt, ChainHead, EventRow, Funding, IdUse, Owner, Payment, RailInstruction, Registry,
    stored,
};
use tpw_ledger::{Account, Crossing, Ledger, Mark, TransferRow};
use tpw_proof::leaf::Leaf;

const ACCOUNT: &str =
    "id, asset, kind, owner, state, frozen, debit_max, balance_max, debits_posted,
     credits_posted, debits_pending, credits_pending, transfers, last, chain, opened, seal";

/// A connection that only reads.
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    pub(crate) fn open(place: &Place) -> Result<Self, StoreError> {
        Ok(Self { connection: open_for_reading(place)?, path: place.path.clone() })
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        what: &'static str,
        read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(error(&self.path))?;
        let mut rows = statement.query(params).map_err(error(&self.path))?;
        let mut items = Vec::new();
        while let Some(row) = rows.next().map_err(error(&self.path))? {
            items.push(read(&mut Columns::new(row, what))?);
        }
        Ok(items)
    }

    /// The transfers from a number on, in order.
    fn each_transfer_from(
        &self,
        number: u64,
        mut each: impl FnMut(TransferRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let sql = "SELECT number, id, kind, debit, credit, asset, amount, at, effective, pending,
                       prev_debit, prev_credit, debit_chain, credit_chain, released, seal
                   FROM transfer WHERE number >= ?1 ORDER BY number";
        let mut statement = self.connection.prepare_cached(sql).map_err(error(&self.path))?;
        let mut rows = statement.query([int(number)]).map_err(error(&self.path))?;
        while let Some(row) = rows.next().map_err(error(&self.path))? {
            each(Columns::new(row, "transfer").transfer()?)?;
        }
        Ok(())
    }

    fn count(&self, sql: &str) -> Result<u64, StoreError> {
        let value: i64 =
            self.connection.query_row(sql, [], |row| row.get(0)).map_err(error(&self.path))?;
        u64::try_from(value).map_err(|_| StoreError::Damaged { what: "count" })
    }

    fn ledger(&self) -> Result<Ledger, StoreError> {
        let sql = format!("SELECT {ACCOUNT} FROM account ORDER BY place");
        let accounts = self.all(&sql, [], "account", |c| c.account())?;
        let holds = "SELECT id, number, debit, credit, asset, amount, expires, seal FROM hold
                     ORDER BY number";
        let holds = self.all(holds, [], "hold", |c| c.hold())?;
        let velocities =
            "SELECT account, place, window, amount_max, count_max, since, amount, count
                          FROM velocity";
        let velocities = self.all(velocities, [], "velocity limit", |c| c.velocity())?;
        let watches = "SELECT account, tier, below, above, action FROM watch";
        let watches = self.all(watches, [], "watch", |c| c.watch())?;
        let sets = "SELECT id, asset, opened FROM account_set ORDER BY place";
        let sets = self.all(sets, [], "account set", |c| c.set())?;
        let members = "SELECT parent, kind, member FROM membership";
        let members = self.all(members, [], "membership", |c| c.membership())?;
        let last = self.count("SELECT coalesce(max(number), 0) FROM transfer")?;
        let damaged = |_| StoreError::Damaged { what: "ledger" };
        let mut restoring = Ledger::restoring(accounts.into_iter()).map_err(damaged)?;
        restoring.velocities(velocities.into_iter()).map_err(damaged)?;
        restoring.watches(watches.into_iter()).map_err(damaged)?;
        restoring.sets(sets.into_iter(), members.into_iter()).map_err(damaged)?;
        self.each_transfer_from(restoring.replay_from(), |row| {
            restoring.replay(&row).map_err(damaged)
        })?;
        restoring.finish(holds.into_iter(), last).map_err(damaged)
    }

    /// Whether all sequences have come as far as the newest batch left them.
    fn check_counts(&self) -> Result<(), StoreError> {
        let sql = format!("SELECT value = {COUNTS} FROM meta WHERE key = 'counts'");
        let found = self.connection.query_row(&sql, [], |row| row.get::<_, bool>(0)).optional();
        match found.map_err(error(&self.path))? {
            Some(false) => Err(StoreError::Damaged { what: "end of a sequence" }),
            Some(true) | None => Ok(()),
        }
    }

    fn greatest(&self, sql: &str) -> Result<Option<[u8; 16]>, StoreError> {
        self.connection.query_row(sql, [], |row| row.get(0)).map_err(error(&self.path))
    }

    fn registry(&self) -> Result<Registry, StoreError> {
        let mut registry = Registry::default();
        let people =
            self.all("SELECT id, name, added FROM person", [], "person", |c| c.person())?;
        registry.people = people.into_iter().map(|p| (p.id, p)).collect();
        let devices = self.all(
            "SELECT id, person, algorithm, key, enrolled, revoked FROM device",
            [],
            "device",
            |c| c.device(),
        )?;
        devices.into_iter().for_each(|device| registry.add_device(device));
        let codes = "SELECT hash, person, expires, used_by FROM code";
        registry.codes = self.all(codes, [], "code", |c| c.code())?.into_iter().collect();
        let chains = "SELECT device, account, sequence, hash FROM chain";
        let chains = self.all(chains, [], "chain", |c| {
            let key = (c.device_id()?, c.account_id()?);
            Ok((key, ChainHead { sequence: c.uint()?, hash: c.hash()? }))
        })?;
        registry.chains = chains.into_iter().collect();
        Ok(registry)
    }

    /// Of how many payments that are at a clearing partner an account is a side.
    fn instructed(&self) -> Result<HashMap<AccountId, u64>, StoreError> {
        let sql = "SELECT account, count(*) FROM (
            SELECT payer AS account FROM rail JOIN payment ON payment.id = rail.payment
            UNION ALL SELECT account FROM rail) AS sides GROUP BY account";
        let counts = self.all(sql, [], "rail instruction", |c| Ok((c.account_id()?, c.uint()?)))?;
        Ok(counts.into_iter().collect())
    }

    fn waiting(&self) -> Result<Vec<Payment>, StoreError> {
        let sql = "SELECT state FROM payment WHERE status IN (1, 2) ORDER BY id";
        let states = self.all(sql, [], "payment", |c| c.bytes())?;
        states.iter().map(|bytes| read_payment(bytes)).collect()
    }
}

impl BooksReader for Reader {
    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.connection
            .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
            .optional()
            .map_err(error(&self.path))
    }

    fn restore(&self) -> Result<Restored, StoreError> {
        self.check_counts()?;
        let ledger = self.ledger()?;
        let leaves = self.leaf_count()?;
        if leaves != self.count("SELECT count(*) FROM leaf")? {
            return Err(StoreError::Damaged { what: "leaf" });
        }
        let newest_payment = self.greatest("SELECT max(id) FROM payment")?;
        let transfer = self.greatest("SELECT max(id) FROM transfer")?;
        let burnt = self.greatest("SELECT max(id) FROM burnt")?;
        Ok(Restored {
            ledger,
            registry: self.registry()?,
            waiting: self.waiting()?,
            instructed: self.instructed()?,
            leaves,
            events: self.count("SELECT coalesce(max(seq), 0) FROM event")?,
            newest_payment: newest_payment.map(PaymentId::from_bytes),
            newest_transfer: transfer.max(burnt).map(TransferId::from_bytes),
        })
    }

    fn payment(&self, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT state FROM payment WHERE id = ?1")
            .map_err(error(&self.path))?;
        let bytes: Option<Vec<u8>> = statement
            .query_row([id.as_bytes()], |row| row.get(0))
            .optional()
            .map_err(error(&self.path))?;
        let payment = bytes.map(|bytes| read_payment(&bytes)).transpose()?;
        match payment {
            Some(payment) if payment.id() != id => Err(StoreError::Damaged { what: "payment" }),
            payment => Ok(payment),
        }
    }

    fn funding(&self, id: TransferId) -> Result<Option<Funding>, StoreError> {
        let sql = "SELECT account, amount FROM funding WHERE id = ?1";
        let found = self.all(sql, [id.as_bytes()], "funding", |c| {
            Ok(Funding { account: c.account_id()?, amount: c.amount()? })
        })?;
        Ok(found.into_iter().next())
    }

    fn each_booked_since(
        &self,
        from: Instant,
        each: &mut dyn FnMut(Past),
    ) -> Result<(), StoreError> {
        let sql = "SELECT id, payer, payee, asset, amount, device, received
                   FROM payment WHERE received >= ?1 AND status IN (3, 4) ORDER BY place";
        let mut statement = self.connection.prepare_cached(sql).map_err(error(&self.path))?;
        let mut rows = statement.query([time(from)]).map_err(error(&self.path))?;
        while let Some(row) = rows.next().map_err(error(&self.path))? {
            let mut c = Columns::new(row, "payment");
            each(Past {
                payment: c.payment_id()?,
                payer: c.account_id()?,
                payee: c.account_id()?,
                money: c.money()?,
                device: c.device_id()?,
                received: c.time()?,
            });
        }
        Ok(())
    }

    fn transfer(&self, number: u64) -> Result<Option<TransferRow>, StoreError> {
        let sql = "SELECT number, id, kind, debit, credit, asset, amount, at, effective, pending,
                       prev_debit, prev_credit, debit_chain, credit_chain, released, seal
                   FROM transfer WHERE number = ?1";
        Ok(self.all(sql, [int(number)], "transfer", |c| c.transfer())?.into_iter().next())
    }

    fn leaf_count(&self) -> Result<u64, StoreError> {
        self.count("SELECT coalesce(max(idx) + 1, 0) FROM leaf")
    }

    fn leaves(&self, from: u64, most: usize) -> Result<Vec<Leaf>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let sql = "SELECT leaf FROM leaf WHERE idx >= ?1 ORDER BY idx LIMIT ?2";
        self.all(sql, [int(from), most], "leaf", |c| {
            let sealed = c.bytes()?;
            let leaf = row::opened(&sealed).and_then(|leaf| Leaf::from_bytes(leaf).ok());
            leaf.ok_or(StoreError::Damaged { what: "leaf" })
        })
    }

    fn rail_open(&self) -> Result<Vec<RailInstruction>, StoreError> {
        let sql = "SELECT payment, account, asset, amount, purpose, at FROM rail ORDER BY at";
        self.all(sql, [], "rail instruction", |c| c.rail())
    }

    fn alarms(&self, after: u64, most: usize) -> Result<Vec<(u64, Alarm)>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let sql = "SELECT number, kind, at, device, payment, size, root FROM alarm
                   WHERE number > ?1 ORDER BY number LIMIT ?2";
        self.all(sql, [int(after), most], "alarm", |c| c.alarm())
    }

    fn transfer_id(&self, id: TransferId) -> Result<Option<IdUse>, StoreError> {
        let sql = "SELECT number FROM transfer WHERE id = ?1";
        let number = self.all(sql, [id.as_bytes()], "transfer", |c| c.uint())?.into_iter().next();
        if let Some(number) = number {
            return Ok(Some(IdUse::Transfer(number)));
        }
        Ok(self.burnt(id)?.map(|_| IdUse::Burnt))
    }

    fn burnt(&self, id: TransferId) -> Result<Option<Burnt>, StoreError> {
        let sql = "SELECT why, fingerprint, at FROM burnt WHERE id = ?1";
        Ok(self.all(sql, [id.as_bytes()], "refused order", |c| c.burnt())?.into_iter().next())
    }

    fn ordered(&self, number: u64) -> Result<bool, StoreError> {
        let sql = "SELECT first + count FROM order_batch WHERE first <= ?1
                   ORDER BY first DESC LIMIT 1";
        let end = self.all(sql, [int(number)], "order batch", |c| c.uint())?.into_iter().next();
        Ok(end.is_some_and(|end| number < end))
    }

    fn reversed(&self, number: u64) -> Result<bool, StoreError> {
        let sql = "SELECT by FROM reversal WHERE of = ?1";
        Ok(!self.all(sql, [int(number)], "reversal", |c| c.uint())?.is_empty())
    }

    fn transfers(&self, after: u64, most: usize) -> Result<Vec<TransferRow>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let sql = "SELECT number, id, kind, debit, credit, asset, amount, at, effective, pending,
                       prev_debit, prev_credit, debit_chain, credit_chain, released, seal
                   FROM transfer WHERE number > ?1 ORDER BY number LIMIT ?2";
        self.all(sql, [int(after), most], "transfer", |c| c.transfer())
    }

    fn events(&self, after: u64, most: usize) -> Result<Vec<EventRow>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let sql = "SELECT seq, position, at, kind, subject FROM event
                   WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        self.all(sql, [int(after), most], "event", |c| c.event())
    }

    fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let sql = format!("SELECT {ACCOUNT} FROM account WHERE id = ?1");
        Ok(self.all(&sql, [id.as_bytes()], "account", |c| c.account())?.into_iter().next())
    }

    fn owner(&self, id: AccountId) -> Result<Option<Owner>, StoreError> {
        let sql = "SELECT person, label FROM owner WHERE account = ?1";
        Ok(self.all(sql, [id.as_bytes()], "owner", |c| c.owner())?.into_iter().next())
    }

    fn accounts_of(&self, person: PersonId) -> Result<Vec<AccountId>, StoreError> {
        let sql = "SELECT owner.account FROM owner JOIN account ON account.id = owner.account
                   WHERE owner.person = ?1 ORDER BY account.place";
        self.all(sql, [person.as_bytes()], "owner", |c| c.account_id())
    }

    fn mark_after(&self, id: AccountId, at: Instant) -> Result<Option<Mark>, StoreError> {
        let sql = "SELECT account, number, transfers, at, debits_posted, credits_posted,
                       debits_pending, credits_pending
                   FROM mark WHERE account = ?1 AND at > ?2 ORDER BY at, number LIMIT 1";
        let marks = self.all(sql, params![id.as_bytes(), time(at)], "mark", |c| c.mark())?;
        Ok(marks.into_iter().next())
    }

    fn backdated(&self, id: AccountId, effective: Instant) -> Result<Vec<u64>, StoreError> {
        let sql = "SELECT number FROM backdated WHERE account = ?1 AND effective <= ?2";
        self.all(sql, params![id.as_bytes(), time(effective)], "backdated transfer", |c| c.uint())
    }

    fn crossings(&self, after: u64, most: usize) -> Result<Vec<(u64, Crossing)>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let sql = "SELECT place, account, number, tier, edge, threshold, balance, at, action
                   FROM crossing WHERE place > ?1 ORDER BY place LIMIT ?2";
        self.all(sql, [int(after), most], "crossing", |c| c.crossing())
    }
}

fn read_payment(sealed: &[u8]) -> Result<Payment, StoreError> {
    let payment = row::opened(sealed).and_then(|state| stored::from_bytes(state).ok());
    payment.ok_or(StoreError::Damaged { what: "payment" })
}
