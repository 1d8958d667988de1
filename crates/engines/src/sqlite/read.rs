//! Reading the books: whole at start, by key afterwards.

use super::row::{self, Columns, time};
use super::{COUNTS, FORMAT, Place, check, corrupt, error, open_for_reading};
use crate::books::{
    BooksReader, DecisionQuery, Extent, Past, Restored, StoreError, id_key, member_key,
};
use crate::decode::{Row as _, int, limit};
use rusqlite::{Connection, OptionalExtension, Params, params};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tpw_access::RecordKey;
use tpw_access::record::RecordSpan;
use tpw_core::{AccountId, AccountSetId, DecisionId, Instant, PaymentId, PersonId, TransferId};
use tpw_flow::{
    Alarm, Burnt, DecisionRow, EventRow, Funding, IdUse, MadeBy, OrderDigest, Owner, Payment,
    RailInstruction, Registry, stored,
};
use tpw_ledger::{Account, Crossing, Ledger, Mark, Member, TransferRow};
use tpw_proof::leaf::Leaf;

const ACCOUNT: &str =
    "id, asset, kind, owner, state, frozen, debit_max, balance_max, debits_posted,
     credits_posted, debits_pending, credits_pending, transfers, last, chain, opened, seal";

/// What finds a decision again stands behind it, under the same seal.
const DECISION: &str =
    "SELECT number, salt, record, id, actor, owner, resource, action, seal FROM decision";

fn decision(c: &mut Columns<'_>) -> Result<DecisionRow, StoreError> {
    let row = c.decision()?;
    c.skip(5);
    Ok(row)
}

/// The columns of transfers, of those for which a condition holds.
macro_rules! transfers_where {
    ($condition:literal) => {
        concat!(
            "SELECT number, id, kind, debit, credit, asset, amount, at, effective, pending,
                 prev_debit, prev_credit, debit_chain, credit_chain, released, order_digest,
                 seal
             FROM transfer WHERE ",
            $condition
        )
    };
}

/// A connection that only reads.
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    pub(crate) fn open(place: &Place) -> Result<Self, StoreError> {
        Ok(Self { connection: open_for_reading(place)?, path: place.path.clone() })
    }

    /// Opens books of which this process is not the writer, as in an audit: every page is read once, and nothing is
    /// created or changed.
    ///
    /// # Errors
    /// [`StoreError`] when there is no such file, it is damaged, holds no books or those of another format.
    pub fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        let reader = Self::open(&Place::from(path))?;
        check(&reader.connection, path)?;
        let format = "PRAGMA user_version";
        match reader.connection.query_row(format, [], |row| row.get(0)).map_err(error(path))? {
            FORMAT => Ok(reader),
            0 => Err(corrupt(path, "it holds no books")),
            found if found < FORMAT => Err(StoreError::Older { found, known: FORMAT }),
            found => Err(StoreError::Newer { found, known: FORMAT }),
        }
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

    /// Rows that end with their seal.
    fn sealed<T>(
        &self,
        sql: &str,
        params: impl Params,
        what: &'static str,
        read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.all(sql, params, what, |c| {
            let row = read(c)?;
            c.sealed(row)
        })
    }

    /// The row of a table without row numbers that has this key.
    ///
    /// Where there is none, the rows on both sides of its place are read too: a wrong bit in the key of the very row makes it another's
    /// but leaves it where it was, and there its seal does not fit.
    fn sealed_by_key<T>(
        &self,
        table: &KeyedTable,
        key: &[u8],
        read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let KeyedTable { name, key: column, columns, what } = table;
        let rows = |place: &str| {
            let sql = format!("SELECT {columns}, seal FROM {name} WHERE {column} {place} LIMIT 1");
            self.sealed(&sql, [key], what, &read)
        };
        if let Some(found) = rows("= ?1")?.into_iter().next() {
            return Ok(Some(found));
        }
        let before = format!("< ?1 ORDER BY {column} DESC");
        let after = format!("> ?1 ORDER BY {column}");
        rows(&before)?;
        rows(&after)?;
        Ok(None)
    }

    /// The transfers from a number on, in order.
    fn each_transfer_from(
        &self,
        number: u64,
        mut each: impl FnMut(TransferRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let sql = transfers_where!("number >= ?1 ORDER BY number");
        let mut statement = self.connection.prepare_cached(sql).map_err(error(&self.path))?;
        let mut rows = statement.query([int(number)]).map_err(error(&self.path))?;
        while let Some(row) = rows.next().map_err(error(&self.path))? {
            each(Columns::new(row, "transfer").sealed_transfer()?.0)?;
        }
        Ok(())
    }

    fn transfer_with_digest(
        &self,
        number: u64,
    ) -> Result<Option<(TransferRow, Option<OrderDigest>)>, StoreError> {
        let sql = transfers_where!("number = ?1");
        Ok(self.all(sql, [int(number)], "transfer", |c| c.sealed_transfer())?.into_iter().next())
    }

    fn count(&self, sql: &str) -> Result<u64, StoreError> {
        let value: i64 =
            self.connection.query_row(sql, [], |row| row.get(0)).map_err(error(&self.path))?;
        u64::try_from(value).map_err(|_| StoreError::Damaged { what: "count" })
    }

    fn ledger(&self) -> Result<Ledger, StoreError> {
        let sql = format!("SELECT {ACCOUNT} FROM account ORDER BY place");
        let accounts = self.sealed(&sql, [], "account", |c| c.account())?;
        let holds = "SELECT id, number, debit, credit, asset, amount, expires, seal FROM hold
                     ORDER BY number";
        let holds = self.sealed(holds, [], "hold", |c| c.hold())?;
        let velocities =
            "SELECT account, place, window, amount_max, count_max, since, amount, count,
                 seal FROM velocity";
        let velocities = self.sealed(velocities, [], "velocity limit", |c| c.velocity())?;
        let watches = "SELECT account, tier, below, above, action, seal FROM watch";
        let watches = self.sealed(watches, [], "watch", |c| c.watch())?;
        let sets = "SELECT id, asset, opened, seal FROM account_set ORDER BY place";
        let sets = self.sealed(sets, [], "account set", |c| c.set())?;
        let members = "SELECT parent, kind, member, seal FROM membership";
        let members = self.sealed(members, [], "membership", |c| c.membership())?;
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
            Some(true) => Ok(()),
            // Every batch writes them: only books without any have none.
            None if self.are_empty()? => Ok(()),
            Some(false) | None => Err(StoreError::Damaged { what: "end of a sequence" }),
        }
    }

    fn are_empty(&self) -> Result<bool, StoreError> {
        let sql = format!("SELECT {COUNTS} = CAST('0 0 0 0' AS BLOB)");
        self.connection.query_row(&sql, [], |row| row.get(0)).map_err(error(&self.path))
    }

    fn greatest(&self, sql: &str) -> Result<Option<[u8; 16]>, StoreError> {
        self.connection.query_row(sql, [], |row| row.get(0)).map_err(error(&self.path))
    }

    fn registry(&self) -> Result<Registry, StoreError> {
        let mut registry = Registry::default();
        let people =
            self.sealed("SELECT id, name, added, seal FROM person", [], "person", |c| c.person())?;
        registry.people = people.into_iter().map(|p| (p.id, p)).collect();
        let devices = self.sealed(
            "SELECT id, person, algorithm, key, enrolled, revoked, seal FROM device",
            [],
            "device",
            |c| c.device(),
        )?;
        devices.into_iter().for_each(|device| registry.add_device(device));
        let codes = "SELECT hash, person, expires, used_by, seal FROM code";
        registry.codes = self.sealed(codes, [], "code", |c| c.code())?.into_iter().collect();
        let chains = "SELECT device, account, sequence, hash, seal FROM chain";
        let chains = self.sealed(chains, [], "chain", |c| c.chain())?;
        registry.chains = chains.into_iter().collect();
        Ok(registry)
    }

    /// The place of the newest payment that was received before a time. Times of receipt never go back, so that the way to it leads
    /// only over payments that are newer.
    fn last_place_before(&self, from: Instant) -> Result<i64, StoreError> {
        let sql = "SELECT place, received FROM payment ORDER BY place DESC";
        let mut statement = self.connection.prepare_cached(sql).map_err(error(&self.path))?;
        let mut rows = statement.query([]).map_err(error(&self.path))?;
        while let Some(row) = rows.next().map_err(error(&self.path))? {
            let mut columns = Columns::new(row, "payment");
            let (place, received) = (columns.uint()?, columns.time()?);
            if received < from {
                return Ok(int(place));
            }
        }
        Ok(0)
    }

    /// Of how many payments that are at a clearing partner an account is a side. Read from their statements: the columns
    /// beside these have no seal.
    fn instructed(&self) -> Result<HashMap<AccountId, u64>, StoreError> {
        // An instruction without its payment is damage: it must not be left out.
        let sql = "SELECT state FROM rail LEFT JOIN payment ON payment.id = rail.payment";
        let mut counts = HashMap::new();
        for payment in self.all(sql, [], "payment", |c| read_payment(c.bytes()?))? {
            let intent = payment.intake().intent();
            for account in [intent.payer, intent.payee] {
                let count: &mut u64 = counts.entry(account).or_default();
                *count = count.saturating_add(1);
            }
        }
        Ok(counts)
    }

    fn waiting(&self) -> Result<Vec<Payment>, StoreError> {
        let sql = "SELECT state FROM payment WHERE status IN (1, 2) ORDER BY id";
        // A state of another time than the index that names it is damage: the write-ahead log has lost its end after a part of it
        // had been moved into the file.
        self.all(sql, [], "payment", |c| match read_payment(c.bytes()?)? {
            payment @ (Payment::StepUp(_) | Payment::Held(_)) => Ok(payment),
            _ => Err(StoreError::Damaged { what: "payment" }),
        })
    }
}

/// A table whose rows are looked up by a key alone: no start reads them, no index names them.
struct KeyedTable {
    name: &'static str,
    /// The column of the key.
    key: &'static str,
    columns: &'static str,
    /// What a row is called.
    what: &'static str,
}

const FUNDING: KeyedTable =
    KeyedTable { name: "funding", key: "id", columns: "id, account, amount", what: "funding" };
const TOKEN: KeyedTable =
    KeyedTable { name: "token", key: "serial", columns: "serial, leaf", what: "time-stamp" };
const RECORD: KeyedTable =
    KeyedTable { name: "record", key: "key", columns: "key, value", what: "record" };
const BURNT: KeyedTable = KeyedTable {
    name: "burnt",
    key: "id",
    columns: "id, why, fingerprint, at",
    what: "refused order",
};

impl BooksReader for Reader {
    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.connection
            .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
            .optional()
            .map_err(error(&self.path))
    }

    fn extent(&self) -> Result<Option<Extent>, StoreError> {
        let Some(counts) = self.meta("counts")? else { return Ok(None) };
        let damaged = || StoreError::Damaged { what: "end of a sequence" };
        let text = str::from_utf8(&counts).map_err(|_| damaged())?;
        let numbers: Result<Vec<u64>, _> = text.split(' ').map(str::parse).collect();
        match numbers.as_deref() {
            Ok([transfers, leaves, events, payments]) => {
                let (transfers, leaves) = (*transfers, *leaves);
                Ok(Some(Extent { transfers, leaves, events: *events, payments: *payments }))
            }
            _ => Err(damaged()),
        }
    }

    fn restore(&self) -> Result<Restored, StoreError> {
        self.check_counts()?;
        let ledger = self.ledger()?;
        let leaves = self.leaf_count()?;
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
        self.sealed_by_key(&FUNDING, id.as_bytes(), |c| {
            let _id = c.id()?;
            c.funding()
        })
    }

    fn each_booked_since(
        &self,
        from: Instant,
        each: &mut dyn FnMut(Past),
    ) -> Result<(), StoreError> {
        let sql = "SELECT id, payer, payee, asset, amount, device, received
                   FROM payment WHERE place > ?1 AND status IN (3, 4) ORDER BY place";
        let mut statement = self.connection.prepare_cached(sql).map_err(error(&self.path))?;
        let mut rows =
            statement.query([self.last_place_before(from)?]).map_err(error(&self.path))?;
        while let Some(row) = rows.next().map_err(error(&self.path))? {
            each(Columns::new(row, "payment").past()?);
        }
        Ok(())
    }

    fn transfer(&self, number: u64) -> Result<Option<TransferRow>, StoreError> {
        Ok(self.transfer_with_digest(number)?.map(|(row, _)| row))
    }

    fn leaf_count(&self) -> Result<u64, StoreError> {
        self.count("SELECT coalesce(max(idx) + 1, 0) FROM leaf")
    }

    fn leaves(&self, from: u64, most: usize) -> Result<Vec<Leaf>, StoreError> {
        let most = limit(most);
        let sql = "SELECT idx, leaf FROM leaf WHERE idx >= ?1 ORDER BY idx LIMIT ?2";
        let damaged = || StoreError::Damaged { what: "leaf" };
        let rows = self.all(sql, [int(from), most], "leaf", |c| {
            let index = c.uint()?;
            let leaf = row::opened(c.bytes()?).and_then(|leaf| Leaf::from_bytes(leaf).ok());
            Ok((index, leaf.ok_or_else(damaged)?))
        })?;
        // One that is missing leaves a gap.
        let in_step = (0..).zip(&rows).all(|(n, (index, _))| from.checked_add(n) == Some(*index));
        if in_step { Ok(rows.into_iter().map(|(_, leaf)| leaf).collect()) } else { Err(damaged()) }
    }

    fn token_leaf(&self, serial: &[u8; 20]) -> Result<Option<u64>, StoreError> {
        self.sealed_by_key(&TOKEN, serial, |c| {
            let _serial = c.bytes()?;
            c.uint()
        })
    }

    fn decisions(
        &self,
        query: &DecisionQuery,
        after: u64,
        most: usize,
    ) -> Result<Vec<DecisionRow>, StoreError> {
        let sql = format!("{DECISION} {}", query.conditions("?", [""; 6]));
        let owner = query.owner.map(|owner| *owner.as_bytes());
        let (actor, resource, action) = (&query.actor, &query.resource, &query.action);
        let [from, until] = query.ids();
        let values = params![int(after), limit(most), actor, owner, resource, action, from, until];
        self.sealed(&sql, values, "decision", decision)
    }

    fn newest_decision(&self) -> Result<Option<DecisionRow>, StoreError> {
        let sql = format!("{DECISION} ORDER BY number DESC LIMIT 1");
        let found = self.sealed(&sql, [], "decision", decision)?;
        Ok(found.into_iter().next())
    }

    fn decision(&self, id: DecisionId) -> Result<Option<DecisionRow>, StoreError> {
        let sql = format!("{DECISION} WHERE id = ?1");
        let found = self.sealed(&sql, [id.as_bytes()], "decision", decision)?;
        Ok(found.into_iter().next())
    }

    fn record(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.sealed_by_key(&RECORD, &key.to_bytes(), |c| {
            let _key = c.bytes()?;
            Ok(c.bytes()?.to_vec())
        })
    }

    fn records(
        &self,
        span: RecordSpan,
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Vec<(RecordKey, Vec<u8>)>, StoreError> {
        let sql = "SELECT key, value, seal FROM record WHERE key > ?1 AND key < ?2
                   ORDER BY key LIMIT ?3";
        let (above, end) = (span.above(after), span.end());
        self.sealed(sql, params![above, end, limit(most)], "record", |c| {
            let key = RecordKey::from_bytes(c.bytes()?);
            let key = key.ok_or(StoreError::Damaged { what: "record" })?;
            Ok((key, c.bytes()?.to_vec()))
        })
    }

    fn rail_open(
        &self,
        after: Option<PaymentId>,
        most: usize,
    ) -> Result<Vec<RailInstruction>, StoreError> {
        let sql = "SELECT payment, account, asset, amount, purpose, at, seal FROM rail
                   WHERE payment > ?1 ORDER BY payment LIMIT ?2";
        self.sealed(sql, params![id_key(after), limit(most)], "rail instruction", |c| c.rail())
    }

    fn members(
        &self,
        set: AccountSetId,
        after: Option<Member>,
        most: usize,
    ) -> Result<Vec<Member>, StoreError> {
        let (kind, member) = member_key(after);
        let sql = "SELECT parent, kind, member, seal FROM membership
                   WHERE parent = ?1 AND (kind, member) > (?2, ?3) ORDER BY kind, member LIMIT ?4";
        let key = params![set.as_bytes(), kind, member, limit(most)];
        let read = |c: &mut Columns<'_>| c.membership();
        Ok(self.sealed(sql, key, "membership", read)?.into_iter().map(|row| row.member).collect())
    }

    fn alarms(&self, after: u64, most: usize) -> Result<Vec<(u64, Alarm)>, StoreError> {
        let most = limit(most);
        let sql = "SELECT number, kind, at, device, payment, size, root, seal FROM alarm
                   WHERE number > ?1 ORDER BY number LIMIT ?2";
        self.sealed(sql, [int(after), most], "alarm", |c| Ok((c.given()?, c.alarm()?)))
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
        self.sealed_by_key(&BURNT, id.as_bytes(), |c| {
            let _id = c.id()?;
            c.burnt()
        })
    }

    fn made_by(&self, number: u64) -> Result<MadeBy, StoreError> {
        let sql = "SELECT first, count, leaf, key, at, salt, seal FROM order_batch
                   WHERE first <= ?1 ORDER BY first DESC LIMIT 1";
        let end = self.sealed(sql, [int(number)], "order batch", |c| {
            let (first, count) = (c.uint()?, c.uint()?);
            let _rest = (c.uint()?, c.hash()?, c.time()?, c.hash()?);
            Ok(first.saturating_add(count))
        })?;
        if end.into_iter().next().is_none_or(|end| number >= end) {
            return Ok(MadeBy::Other);
        }
        let found = self.transfer_with_digest(number)?;
        let (_, digest) = found.ok_or(StoreError::Damaged { what: "transfer" })?;
        Ok(MadeBy::Order(digest))
    }

    fn reversed(&self, number: u64) -> Result<bool, StoreError> {
        let sql = "SELECT of, by, seal FROM reversal WHERE of = ?1";
        let found = self.sealed(sql, [int(number)], "reversal", |c| Ok((c.uint()?, c.uint()?)))?;
        Ok(!found.is_empty())
    }

    fn transfers(&self, after: u64, most: usize) -> Result<Vec<TransferRow>, StoreError> {
        let most = limit(most);
        let sql = transfers_where!("number > ?1 ORDER BY number LIMIT ?2");
        self.all(sql, [int(after), most], "transfer", |c| Ok(c.sealed_transfer()?.0))
    }

    fn events(&self, after: u64, most: usize) -> Result<Vec<EventRow>, StoreError> {
        let most = limit(most);
        let sql = "SELECT seq, position, at, kind, subject, seal FROM event
                   WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        let events = self.sealed(sql, [int(after), most], "event", |c| c.event())?;
        // One that is missing leaves a gap.
        let in_step = (1..).zip(&events).all(|(n, event)| after.checked_add(n) == Some(event.seq));
        if in_step { Ok(events) } else { Err(StoreError::Damaged { what: "event" }) }
    }

    fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let sql = format!("SELECT {ACCOUNT} FROM account WHERE id = ?1");
        Ok(self.sealed(&sql, [id.as_bytes()], "account", |c| c.account())?.into_iter().next())
    }

    fn owner(&self, id: AccountId) -> Result<Option<Owner>, StoreError> {
        let sql = "SELECT account, person, label, seal FROM owner WHERE account = ?1";
        Ok(self
            .sealed(sql, [id.as_bytes()], "owner", owned)?
            .into_iter()
            .next()
            .map(|(_, owner)| owner))
    }

    fn accounts_of(&self, person: PersonId) -> Result<Vec<AccountId>, StoreError> {
        let sql = "SELECT owner.account, owner.person, owner.label, owner.seal
                   FROM owner JOIN account ON account.id = owner.account
                   WHERE owner.person = ?1 ORDER BY account.place";
        let found = self.sealed(sql, [person.as_bytes()], "owner", owned)?;
        if found.iter().any(|(_, owner)| owner.person != Some(person)) {
            return Err(StoreError::Damaged { what: "owner" });
        }
        Ok(found.into_iter().map(|(account, _)| account).collect())
    }

    fn mark_after(&self, id: AccountId, at: Instant) -> Result<Option<Mark>, StoreError> {
        let sql = "SELECT account, number, transfers, at, debits_posted, credits_posted,
                       debits_pending, credits_pending, seal
                   FROM mark WHERE account = ?1 AND at > ?2 ORDER BY at, number LIMIT 1";
        let marks = self.sealed(sql, params![id.as_bytes(), time(at)], "mark", |c| c.mark())?;
        Ok(marks.into_iter().next())
    }

    fn backdated(&self, id: AccountId, effective: Instant) -> Result<Vec<u64>, StoreError> {
        let sql = "SELECT account, effective, number, seal FROM backdated
                   WHERE account = ?1 AND effective <= ?2";
        self.sealed(sql, params![id.as_bytes(), time(effective)], "backdated transfer", |c| {
            let _key = (c.id()?, c.time()?);
            c.uint()
        })
    }

    fn crossings(&self, after: u64, most: usize) -> Result<Vec<(u64, Crossing)>, StoreError> {
        let most = limit(most);
        let sql = "SELECT place, account, number, tier, edge, threshold, balance, at, action, seal
                   FROM crossing WHERE place > ?1 ORDER BY place LIMIT ?2";
        self.sealed(sql, [int(after), most], "crossing", |c| Ok((c.given()?, c.crossing()?)))
    }
}

/// An account and whose it is.
fn owned(c: &mut Columns<'_>) -> Result<(AccountId, Owner), StoreError> {
    Ok((c.account_id()?, c.owner()?))
}

fn read_payment(sealed: &[u8]) -> Result<Payment, StoreError> {
    let payment = row::opened(sealed).and_then(|state| stored::from_bytes(state).ok());
    payment.ok_or(StoreError::Damaged { what: "payment" })
}
