//! Reading the books: whole at start, by key afterwards.

use super::address::Address;
use super::error::PostgresError;
use super::fence::{self, Reign};
use super::link::{Link, Parameter};
use super::row::{Columns, Id, Time};
use super::session;
use crate::books::{BooksReader, DecisionQuery, Past, Restored, StoreError, id_key, member_key};
use crate::decode::{Row as _, int, limit};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;
use tpw_access::RecordKey;
use tpw_access::record::RecordSpan;
use tpw_core::{AccountId, AccountSetId, DecisionId, Instant, PaymentId, PersonId, TransferId};
use tpw_flow::{
    Alarm, Burnt, DecisionRow, EventRow, Funding, IdUse, MadeBy, Owner, Payment, RailInstruction,
    Registry, stored,
};
use tpw_ledger::{Account, Crossing, Ledger, Mark, Member, TransferRow};
use tpw_proof::leaf::Leaf;

/// A little more than the server's own limit for a reader's statement.
const READ_MAX: Duration = Duration::from_secs(32);

const DECISION: &str = "SELECT number, salt, record FROM decision";

/// The columns of transfers, of those for which a condition holds.
macro_rules! transfers_where {
    ($condition:literal) => {
        concat!(
            "SELECT number, id, kind, debit, credit, asset, amount, at, effective, pending,
                 prev_debit, prev_credit, debit_chain, credit_chain, released
             FROM transfer WHERE ",
            $condition
        )
    };
}

/// The columns of accounts, of those for which a condition holds.
macro_rules! accounts_where {
    ($condition:literal) => {
        concat!(
            "SELECT id, asset, kind, owner, state, frozen, debit_max, balance_max, debits_posted,
                 credits_posted, debits_pending, credits_pending, transfers, last, chain, opened
             FROM account WHERE ",
            $condition
        )
    };
}

/// A connection that only reads.
///
/// INVARIANT: what is read comes from the server that the writer writes to. A former primary that was cut off still
/// answers, and does not know the newest payments; but its epoch is older than the writer's.
pub struct Reader {
    address: Arc<Address>,
    /// The writer's; none when nobody writes here, as in an audit.
    reign: Option<Arc<Reign>>,
    link: RefCell<Option<Link>>,
}

impl Reader {
    /// Opens books of which this process is not the writer.
    ///
    /// # Errors
    /// [`StoreError`] when the server cannot be reached, or the books are of another format.
    pub fn open(address: Address) -> Result<Self, StoreError> {
        let reader = Self { address: Arc::new(address), reign: None, link: RefCell::default() };
        reader.connect()?;
        Ok(reader)
    }

    pub(super) fn of(address: &Arc<Address>, reign: &Arc<Reign>) -> Result<Self, StoreError> {
        let (address, reign) = (Arc::clone(address), Some(Arc::clone(reign)));
        let reader = Self { address, reign, link: RefCell::default() };
        reader.connect()?;
        Ok(reader)
    }

    fn connect(&self) -> Result<(), StoreError> {
        let name = format!("tpw reader (process {})", std::process::id());
        let link = Link::open(&self.address, &name, READ_MAX)?;
        session::to_read(&link)?;
        session::format(&link)?;
        self.demand_epoch(fence::epoch(&link)?)?;
        *self.link.borrow_mut() = Some(link);
        Ok(())
    }

    fn demand_epoch(&self, found: i64) -> Result<(), StoreError> {
        match &self.reign {
            Some(reign) if reign.epoch() != found => Err(PostgresError::Fenced.into()),
            _ => Ok(()),
        }
    }

    /// Reads on a connection that is sound and leads to the writer's server, if need be on a new one.
    fn with<T>(
        &self,
        mut read: impl FnMut(&Link) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(link) = self.link.borrow().as_ref()
            && link.is_sound()
            && let Ok(epoch) = fence::epoch(link)
            && self.demand_epoch(epoch).is_ok()
        {
            return read(link);
        }
        self.connect()?;
        let link = self.link.borrow();
        let lost = || PostgresError::Lost { doing: "read", why: "it is closed".to_owned() };
        read(link.as_ref().ok_or_else(lost)?)
    }

    /// One row by its key, or what stands for it, together with the epoch, in one round trip.
    fn by_key<T>(
        &self,
        sql: &'static str,
        key: Parameter<'_>,
        read: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let once = |link: &Link| {
            let rows = link.rows("read by a key", sql, &[key])?;
            let row = rows.first().ok_or(StoreError::Damaged { what: "fence" })?;
            let epoch = row.try_get(0).map_err(|_| StoreError::Damaged { what: "fence" })?;
            self.demand_epoch(epoch)?;
            read(row)
        };
        if let Some(link) = self.link.borrow().as_ref()
            && link.is_sound()
        {
            match once(link) {
                Err(StoreError::Postgres(PostgresError::Lost { .. } | PostgresError::Fenced)) => {}
                other => return other,
            }
        }
        self.with(once)
    }

    fn all<T>(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        what: &'static str,
        read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.with(|link| collect(link, sql, parameters, what, &read))
    }
}

fn collect<T>(
    link: &Link,
    sql: &str,
    parameters: &[Parameter<'_>],
    what: &'static str,
    read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut items = Vec::new();
    each(link, sql, parameters, what, |columns| {
        items.push(read(columns)?);
        Ok(())
    })?;
    Ok(items)
}

fn each(
    link: &Link,
    sql: &str,
    parameters: &[Parameter<'_>],
    what: &'static str,
    mut read: impl FnMut(&mut Columns<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut outcome = Ok(());
    link.each_row("read the books", sql, parameters, |row| {
        outcome = read(&mut Columns::new(row, what));
        outcome.is_ok()
    })?;
    outcome
}

fn count(link: &Link, sql: &'static str) -> Result<u64, StoreError> {
    let found = collect(link, sql, &[], "count", |c| c.uint())?;
    found.into_iter().next().ok_or(StoreError::Damaged { what: "count" })
}

fn greatest(link: &Link, sql: &'static str) -> Result<Option<[u8; 16]>, StoreError> {
    Ok(collect(link, sql, &[], "id", |c| c.id())?.into_iter().next())
}

fn restored(link: &Link) -> Result<Restored, StoreError> {
    let payment = greatest(link, "SELECT id FROM payment ORDER BY id DESC LIMIT 1")?;
    let transfer = greatest(link, "SELECT id FROM transfer ORDER BY id DESC LIMIT 1")?;
    let burnt = greatest(link, "SELECT id FROM burnt ORDER BY id DESC LIMIT 1")?;
    Ok(Restored {
        ledger: ledger(link)?,
        registry: registry(link)?,
        waiting: waiting(link)?,
        instructed: instructed(link)?,
        leaves: count(link, "SELECT coalesce(max(idx) + 1, 0) FROM leaf")?,
        events: count(link, "SELECT coalesce(max(seq), 0) FROM event")?,
        newest_payment: payment.map(PaymentId::from_bytes),
        newest_transfer: transfer.max(burnt).map(TransferId::from_bytes),
    })
}

/// Of how many payments that are at a clearing partner an account is a side.
fn instructed(link: &Link) -> Result<HashMap<AccountId, u64>, StoreError> {
    let sql = "SELECT account, count(*) FROM (
            SELECT payer AS account FROM rail JOIN payment ON payment.id = rail.payment
            UNION ALL SELECT account FROM rail) AS sides GROUP BY account";
    let read = |c: &mut Columns<'_>| Ok((AccountId::from_bytes(c.id()?), c.uint()?));
    Ok(collect(link, sql, &[], "rail instruction", read)?.into_iter().collect())
}

fn ledger(link: &Link) -> Result<Ledger, StoreError> {
    let damaged = |_| StoreError::Damaged { what: "ledger" };
    let accounts = accounts_where!("true ORDER BY place");
    let accounts = collect(link, accounts, &[], "account", |c| c.account())?;
    let holds = "SELECT id, number, debit, credit, asset, amount, expires
                 FROM hold ORDER BY number";
    let holds = collect(link, holds, &[], "hold", |c| c.hold())?;
    let velocities = "SELECT account, place, window_ms, amount_max, count_max, since, amount, count
                      FROM velocity ORDER BY account, place";
    let velocities = collect(link, velocities, &[], "velocity limit", |c| c.velocity())?;
    let watches = "SELECT account, tier, below, above, action FROM watch ORDER BY account";
    let watches = collect(link, watches, &[], "watch", |c| c.watch())?;
    let sets = "SELECT id, asset, opened FROM account_set ORDER BY place";
    let sets = collect(link, sets, &[], "account set", |c| c.set())?;
    let members = "SELECT parent, kind, member FROM membership ORDER BY parent, kind, member";
    let members = collect(link, members, &[], "membership", |c| c.membership())?;
    let last = count(link, "SELECT coalesce(max(number), 0) FROM transfer")?;

    let mut restoring = Ledger::restoring(accounts.into_iter()).map_err(damaged)?;
    restoring.velocities(velocities.into_iter()).map_err(damaged)?;
    restoring.watches(watches.into_iter()).map_err(damaged)?;
    restoring.sets(sets.into_iter(), members.into_iter()).map_err(damaged)?;
    let from = int(restoring.replay_from());
    let sql = transfers_where!("number >= $1 ORDER BY number");
    each(link, sql, &[&from], "transfer", |c| restoring.replay(&c.transfer()?).map_err(damaged))?;
    restoring.finish(holds.into_iter(), last).map_err(damaged)
}

fn registry(link: &Link) -> Result<Registry, StoreError> {
    let mut registry = Registry::default();
    let people =
        collect(link, "SELECT id, name, added FROM person", &[], "person", |c| c.person())?;
    registry.people = people.into_iter().map(|p| (p.id, p)).collect();
    let devices = "SELECT id, person, algorithm, key, enrolled, revoked FROM device";
    let devices = collect(link, devices, &[], "device", |c| c.device())?;
    devices.into_iter().for_each(|device| registry.add_device(device));
    let codes = "SELECT hash, person, expires, used_by FROM code";
    registry.codes = collect(link, codes, &[], "code", |c| c.code())?.into_iter().collect();
    let chains = "SELECT device, account, sequence, hash FROM chain";
    let chains = collect(link, chains, &[], "chain", |c| c.chain())?;
    registry.chains = chains.into_iter().collect();
    Ok(registry)
}

fn waiting(link: &Link) -> Result<Vec<Payment>, StoreError> {
    let sql = "SELECT state FROM payment WHERE status IN (1, 2) ORDER BY id";
    collect(link, sql, &[], "payment", |c| read_payment(c.bytes()?))
}

fn read_payment(bytes: &[u8]) -> Result<Payment, StoreError> {
    stored::from_bytes(bytes).map_err(|_| StoreError::Damaged { what: "payment" })
}

impl BooksReader for Reader {
    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT value FROM meta WHERE key = $1";
        let found = self.all(sql, &[&key], "meta", |c| c.bytes().map(<[u8]>::to_vec))?;
        Ok(found.into_iter().next())
    }

    fn restore(&self) -> Result<Restored, StoreError> {
        self.with(|link| {
            let doing = "read the books";
            link.script(
                doing,
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0",
            )?;
            let restored = restored(link);
            link.script(doing, "ROLLBACK")?;
            restored
        })
    }

    fn each_booked_since(
        &self,
        from: Instant,
        each_past: &mut dyn FnMut(Past),
    ) -> Result<(), StoreError> {
        // Times of receipt never go back: on the way from the newest to the first place that is too old, nothing older is read.
        let sql = "SELECT id, payer, payee, asset, amount, device, received FROM payment
                   WHERE status IN (3, 4) AND place > coalesce(
                       (SELECT place FROM payment WHERE received < $1 ORDER BY place DESC LIMIT 1),
                       0)
                   ORDER BY place";
        self.with(|link| {
            link.script("read the books", "BEGIN READ ONLY; SET LOCAL statement_timeout = 0")?;
            let read = each(link, sql, &[&Time(from)], "payment", |c| {
                each_past(c.past()?);
                Ok(())
            });
            link.script("read the books", "ROLLBACK")?;
            read
        })
    }

    fn payment(&self, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        let sql = "SELECT (SELECT epoch FROM fence), (SELECT state FROM payment WHERE id = $1)";
        self.by_key(sql, &Id(*id.as_bytes()), |row| {
            let damaged = |_| StoreError::Damaged { what: "payment" };
            let bytes: Option<&[u8]> = row.try_get(1).map_err(damaged)?;
            bytes.map(read_payment).transpose()
        })
    }

    fn funding(&self, id: TransferId) -> Result<Option<Funding>, StoreError> {
        let sql = "SELECT account, amount FROM funding WHERE id = $1";
        let found = self.all(sql, &[&Id(*id.as_bytes())], "funding", |c| c.funding())?;
        Ok(found.into_iter().next())
    }

    fn transfer(&self, number: u64) -> Result<Option<TransferRow>, StoreError> {
        let sql = transfers_where!("number = $1");
        Ok(self.all(sql, &[&int(number)], "transfer", |c| c.transfer())?.into_iter().next())
    }

    fn transfers(&self, after: u64, most: usize) -> Result<Vec<TransferRow>, StoreError> {
        let sql = transfers_where!("number > $1 ORDER BY number LIMIT $2");
        self.all(sql, &[&int(after), &limit(most)], "transfer", |c| c.transfer())
    }

    fn transfer_id(&self, id: TransferId) -> Result<Option<IdUse>, StoreError> {
        let sql = "SELECT (SELECT epoch FROM fence), (SELECT number FROM transfer WHERE id = $1),
                       (SELECT id FROM burnt WHERE id = $1)";
        self.by_key(sql, &Id(*id.as_bytes()), |row| {
            let mut columns = Columns::new(row, "transfer");
            let (_epoch, number) = (columns.uint()?, columns.maybe_uint()?);
            let burnt = columns.maybe_id()?.map(|_id| IdUse::Burnt);
            Ok(number.map(IdUse::Transfer).or(burnt))
        })
    }

    fn burnt(&self, id: TransferId) -> Result<Option<Burnt>, StoreError> {
        let sql = "SELECT why, fingerprint, at FROM burnt WHERE id = $1";
        let found = self.all(sql, &[&Id(*id.as_bytes())], "refused order", |c| c.burnt())?;
        Ok(found.into_iter().next())
    }

    fn made_by(&self, number: u64) -> Result<MadeBy, StoreError> {
        let sql = "SELECT (SELECT epoch FROM fence),
                       (SELECT order_digest FROM transfer WHERE number = $1),
                       (SELECT first + count FROM order_batch WHERE first <= $1
                        ORDER BY first DESC LIMIT 1)";
        self.by_key(sql, &int(number), |row| {
            let mut columns = Columns::new(row, "transfer");
            let (_epoch, digest) = (columns.uint()?, columns.order_digest()?);
            let ordered = columns.maybe_uint()?.is_some_and(|end| number < end);
            Ok(if ordered { MadeBy::Order(digest) } else { MadeBy::Other })
        })
    }

    fn reversed(&self, number: u64) -> Result<bool, StoreError> {
        let sql = "SELECT reversal FROM reversal WHERE original = $1";
        Ok(!self.all(sql, &[&int(number)], "reversal", |c| c.uint())?.is_empty())
    }

    fn events(&self, after: u64, most: usize) -> Result<Vec<EventRow>, StoreError> {
        let sql = "SELECT seq, position, at, kind, subject FROM event
                   WHERE seq > $1 ORDER BY seq LIMIT $2";
        self.all(sql, &[&int(after), &limit(most)], "event", |c| c.event())
    }

    fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let sql = accounts_where!("id = $1");
        let found = self.all(sql, &[&Id(*id.as_bytes())], "account", |c| c.account())?;
        Ok(found.into_iter().next())
    }

    fn owner(&self, id: AccountId) -> Result<Option<Owner>, StoreError> {
        let sql = "SELECT person, label FROM owner WHERE account = $1";
        let found = self.all(sql, &[&Id(*id.as_bytes())], "owner", |c| c.owner())?;
        Ok(found.into_iter().next())
    }

    fn accounts_of(&self, person: PersonId) -> Result<Vec<AccountId>, StoreError> {
        let sql = "SELECT owner.account FROM owner JOIN account ON account.id = owner.account
                   WHERE owner.person = $1 ORDER BY account.place";
        self.all(sql, &[&Id(*person.as_bytes())], "owner", |c| c.account_id())
    }

    fn mark_after(&self, id: AccountId, at: Instant) -> Result<Option<Mark>, StoreError> {
        let sql = "SELECT account, number, transfers, at, debits_posted, credits_posted,
                       debits_pending, credits_pending
                   FROM mark WHERE account = $1 AND at > $2 ORDER BY at, number LIMIT 1";
        let found = self.all(sql, &[&Id(*id.as_bytes()), &Time(at)], "mark", |c| c.mark())?;
        Ok(found.into_iter().next())
    }

    fn backdated(&self, id: AccountId, effective: Instant) -> Result<Vec<u64>, StoreError> {
        let sql = "SELECT number FROM backdated WHERE account = $1 AND effective <= $2
                   ORDER BY effective, number";
        let key: [Parameter<'_>; 2] = [&Id(*id.as_bytes()), &Time(effective)];
        self.all(sql, &key, "backdated transfer", |c| c.uint())
    }

    fn crossings(&self, after: u64, most: usize) -> Result<Vec<(u64, Crossing)>, StoreError> {
        let sql = "SELECT place, account, number, tier, edge, threshold, balance, at, action
                   FROM crossing WHERE place > $1 ORDER BY place LIMIT $2";
        self.all(sql, &[&int(after), &limit(most)], "crossing", |c| Ok((c.uint()?, c.crossing()?)))
    }

    fn leaf_count(&self) -> Result<u64, StoreError> {
        self.with(|link| count(link, "SELECT coalesce(max(idx) + 1, 0) FROM leaf"))
    }

    fn leaves(&self, from: u64, most: usize) -> Result<Vec<Leaf>, StoreError> {
        let sql = "SELECT leaf FROM leaf WHERE idx >= $1 ORDER BY idx LIMIT $2";
        self.all(sql, &[&int(from), &limit(most)], "leaf", |c| {
            Leaf::from_bytes(c.bytes()?).map_err(|_| StoreError::Damaged { what: "leaf" })
        })
    }

    fn token_leaf(&self, serial: &[u8; 20]) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT leaf FROM token WHERE serial = $1";
        let found = self.all(sql, &[&serial.as_slice()], "time-stamp", |c| c.uint())?;
        Ok(found.into_iter().next())
    }

    fn decisions(
        &self,
        query: &DecisionQuery,
        after: u64,
        most: usize,
    ) -> Result<Vec<DecisionRow>, StoreError> {
        let kinds = ["::text", "::uuid", "::text", "::text", "::uuid", "::uuid"];
        let sql = format!("{DECISION} {}", query.conditions("$", kinds));
        let owner = query.owner.map(|owner| Id(*owner.as_bytes()));
        let (after, most) = (int(after), limit(most));
        let [from, until] = query.ids().map(|id| id.map(Id));
        let (actor, resource, action) = (&query.actor, &query.resource, &query.action);
        let values: [Parameter<'_>; 8] =
            [&after, &most, actor, &owner, resource, action, &from, &until];
        self.all(&sql, &values, "decision", |c| c.decision())
    }

    fn newest_decision(&self) -> Result<Option<DecisionRow>, StoreError> {
        let sql = format!("{DECISION} ORDER BY number DESC LIMIT 1");
        let found = self.all(&sql, &[], "decision", |c| c.decision())?;
        Ok(found.into_iter().next())
    }

    fn decision(&self, id: DecisionId) -> Result<Option<DecisionRow>, StoreError> {
        let sql = format!("{DECISION} WHERE id = $1");
        let found = self.all(&sql, &[&Id(*id.as_bytes())], "decision", |c| c.decision())?;
        Ok(found.into_iter().next())
    }

    fn record(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT value FROM record WHERE key = $1";
        let found = self.all(sql, &[&key.to_bytes()], "record", |c| Ok(c.bytes()?.to_vec()))?;
        Ok(found.into_iter().next())
    }

    fn records(
        &self,
        span: RecordSpan,
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Vec<(RecordKey, Vec<u8>)>, StoreError> {
        let sql = "SELECT key, value FROM record WHERE key > $1 AND key < $2
                   ORDER BY key LIMIT $3";
        let (above, end) = (span.above(after), span.end());
        self.all(sql, &[&above, &end, &limit(most)], "record", |c| {
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
        let sql = "SELECT payment, account, asset, amount, purpose, at FROM rail
                   WHERE payment > $1 ORDER BY payment LIMIT $2";
        self.all(sql, &[&Id(id_key(after)), &limit(most)], "rail instruction", |c| c.rail())
    }

    fn members(
        &self,
        set: AccountSetId,
        after: Option<Member>,
        most: usize,
    ) -> Result<Vec<Member>, StoreError> {
        let (kind, member) = member_key(after);
        let sql = "SELECT parent, kind, member FROM membership
                   WHERE parent = $1 AND (kind, member) > ($2, $3) ORDER BY kind, member LIMIT $4";
        let key: [Parameter<'_>; 4] = [&Id(*set.as_bytes()), &kind, &Id(member), &limit(most)];
        self.all(sql, &key, "membership", |c| Ok(c.membership()?.member))
    }

    fn alarms(&self, after: u64, most: usize) -> Result<Vec<(u64, Alarm)>, StoreError> {
        let sql = "SELECT number, kind, at, device, payment, size, root FROM alarm
                   WHERE number > $1 ORDER BY number LIMIT $2";
        self.all(sql, &[&int(after), &limit(most)], "alarm", |c| Ok((c.uint()?, c.alarm()?)))
    }
}
