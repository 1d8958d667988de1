//! One batch of changes, one transaction.

use super::row::{self, SealedRows, amount, put_sealed, time};
use super::{COUNTS, Reader, Store, error, moved};
use crate::books::{
    Books, NO_HEAD, NO_PAYMENT, Opener, RestOfCheck, StoreError, actor_of, is_settled,
};
use crate::decode::int;
use crate::device_row;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::sync::Arc;
use std::time::Duration;
use tpw_flow::{Changes, DecisionRow, Payment, stored};

impl Books for Store {
    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        self.in_transaction(|t| {
            write_all(t, changes)?;
            write_counts(t)
        })
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        self.set_meta("probe", b"")
    }

    fn set_meta(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.in_transaction(|t| put_meta(t, key, value))
    }

    /// Moves the write-ahead log into the database file.
    fn tidy(&mut self) -> Result<(), StoreError> {
        self.begin_anew()
            .and_then(|()| self.mover.empty(&self.connection))
            .map_err(error(&self.path))
    }

    fn rest_of_check(&self) -> Result<Option<RestOfCheck>, StoreError> {
        if super::size(&self.path) <= self.place.checked_at_start_max {
            return Ok(None);
        }
        let connection = super::open_for_reading(&self.place)?;
        let handle = connection.get_interrupt_handle();
        let path = self.path.clone();
        let check = Box::new(move || super::check(&connection, &path));
        Ok(Some(RestOfCheck { check, interrupt: Box::new(move || handle.interrupt()) }))
    }

    fn opener(&self) -> Opener {
        let place = self.place.clone();
        Arc::new(move || Ok(Box::new(Reader::open(&place)?)))
    }
}

impl Store {
    fn in_transaction(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        if self.has_remains {
            self.clear_remains();
        }
        let written = one(&mut self.connection, write);
        // What was written before it failed lies at the end of the log.
        self.has_remains |= written.is_err();
        written.map_err(error(&self.path))?;
        self.mover.after_commit(&self.connection);
        Ok(())
    }

    /// Begins the write-ahead log anew. Frames that a failed or broken-off commit has left behind its end are valid by themselves: if a later
    /// commit began with the same bytes and broke off, SQLite would take them for the rest of that one. When somebody reads the log, the
    /// next commit tries again.
    fn clear_remains(&mut self) {
        let cleared = self.connection.busy_timeout(Duration::ZERO).and_then(|()| self.begin_anew());
        match cleared.and(self.connection.busy_timeout(super::BUSY)) {
            Ok(()) => self.has_remains = false,
            Err(error) => {
                tracing::warn!(%error, "the write-ahead log of the books was not begun anew")
            }
        }
    }

    fn begin_anew(&mut self) -> rusqlite::Result<()> {
        self.mover.move_all(&self.connection)?;
        // Only a commit overwrites the old beginning.
        one(&mut self.connection, |t| put_meta(t, "probe", b""))
    }
}

/// One transaction, with the next number.
fn one(
    connection: &mut Connection,
    write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    write(&transaction)?;
    moved::count(&transaction)?;
    transaction.commit()
}

fn put_meta(t: &Transaction<'_>, key: &str, value: &[u8]) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)";
    t.prepare_cached(sql)?.execute(params![key, value]).map(|_| ())
}

fn write_counts(t: &Transaction<'_>) -> rusqlite::Result<()> {
    let sql = format!("INSERT OR REPLACE INTO meta (key, value) VALUES ('counts', {COUNTS})");
    t.prepare_cached(&sql)?.execute([]).map(|_| ())
}

fn write_all(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    write_registry(t, changes)?;
    super::write_ledger::all(t, changes)?;
    write_orders(t, changes)?;
    for (account, owner) in &changes.owners {
        let person = owner.person.map(|p| *p.as_bytes());
        put_sealed(
            t,
            "INSERT INTO owner (account, person, label, seal) VALUES (?1, ?2, ?3, ?4)",
            params![account.as_bytes(), person, owner.label.as_str()],
        )?;
    }
    write_chains(t, changes)?;
    // Before the payments: one that is confirmed in the same batch takes its instruction away again.
    write_rail(t, changes)?;
    changes.payments.iter().try_for_each(|payment| write_payment(t, payment))?;
    write_leaves(t, changes)?;
    write_tokens(t, changes)?;
    write_records(t, changes)?;
    write_decisions(t, changes)?;
    write_fundings(t, changes)?;
    write_alarms(t, changes)
}

fn write_chains(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    let mut rows = SealedRows::into(
        t,
        "INSERT INTO chain (device, account, sequence, hash, seal) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash, seal = excluded.seal",
    )?;
    for (device, account, head) in &changes.chains {
        rows.put(params![
            device.as_bytes(),
            account.as_bytes(),
            int(head.sequence),
            head.hash.as_bytes()
        ])?;
    }
    Ok(())
}

fn write_leaves(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    let mut insert =
        t.prepare_cached("INSERT INTO leaf (idx, leaf, payment) VALUES (?1, ?2, ?3)")?;
    for row in &changes.leaves {
        insert.execute(params![
            int(row.index),
            row::sealed(row.leaf.as_bytes().to_vec()),
            row.payment.map(|p| *p.as_bytes())
        ])?;
    }
    Ok(())
}

fn write_tokens(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    if changes.tokens.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO token (serial, leaf, seal) VALUES (?1, ?2, ?3)";
    let mut rows = SealedRows::into(t, sql)?;
    changes.tokens.iter().try_for_each(|row| rows.put(params![row.serial, int(row.leaf)]))
}

fn write_records(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    for (key, value) in &changes.records {
        match value {
            Some(value) => put_sealed(
                t,
                "INSERT INTO record (key, value, seal) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET value = excluded.value, seal = excluded.seal",
                params![key.to_bytes(), value],
            )?,
            None => {
                t.prepare_cached("DELETE FROM record WHERE key = ?1")?.execute([key.to_bytes()])?;
            }
        }
    }
    Ok(())
}

fn write_decisions(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    for id in &changes.forgotten {
        t.prepare_cached("DELETE FROM decision WHERE id = ?1")?.execute([id.as_bytes()])?;
    }
    if changes.decisions.is_empty() {
        return Ok(());
    }
    let mut rows = SealedRows::into(
        t,
        "INSERT INTO decision (number, salt, record, id, actor, owner, resource, action, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for DecisionRow { number, decided } in &changes.decisions {
        let record = &decided.record;
        rows.put(params![
            int(*number),
            decided.salt,
            record.to_bytes(),
            record.id.as_bytes(),
            actor_of(record),
            record.owner.map(|owner| *owner.as_bytes()),
            record.resource,
            record.action
        ])?;
    }
    Ok(())
}

fn write_registry(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    for person in &changes.people {
        put_sealed(
            t,
            "INSERT INTO person (id, name, added, seal) VALUES (?1, ?2, ?3, ?4)",
            params![person.id.as_bytes(), person.name.as_str(), time(person.added)],
        )?;
    }
    for device in &changes.devices {
        put_sealed(
            t,
            "INSERT INTO device (id, person, algorithm, key, enrolled, revoked, seal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (id) DO UPDATE SET revoked = excluded.revoked, seal = excluded.seal",
            params![
                device.id.as_bytes(),
                device.person.as_bytes(),
                device_row::algorithms(device),
                device_row::key_bytes(device),
                time(device.enrolled),
                device.revoked.map(time)
            ],
        )?;
    }
    for (hash, grant) in &changes.codes {
        put_sealed(
            t,
            "INSERT INTO code (hash, person, expires, used_by, seal) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET used_by = excluded.used_by, seal = excluded.seal",
            params![
                hash.as_bytes(),
                grant.person.as_bytes(),
                time(grant.expires),
                grant.used_by.map(|d| *d.as_bytes())
            ],
        )?;
    }
    Ok(())
}

/// A payment's time of receipt never changes. Should a second payment come under the same id, the state would become NULL, and the
/// batch fail.
fn write_payment(t: &Transaction<'_>, payment: &Payment) -> rusqlite::Result<()> {
    let damaged = || rusqlite::Error::InvalidParameterName("a payment not at rest".to_owned());
    let state = row::sealed(stored::to_bytes(payment).ok_or_else(damaged)?);
    let status = payment.status().ok_or_else(damaged)?;
    let received = payment.received().ok_or_else(damaged)?;
    let intent = payment.intake().intent();
    t.prepare_cached(
        "INSERT INTO payment (id, status, received, payer, payee, asset, amount, device, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (id) DO UPDATE SET status = excluded.status,
             state = CASE WHEN payment.received = excluded.received THEN excluded.state END",
    )?
    .execute(params![
        intent.payment.as_bytes(),
        int(status.number()),
        time(received),
        intent.payer.as_bytes(),
        intent.payee.as_bytes(),
        intent.money.asset.to_string(),
        amount(intent.money.amount),
        intent.device.as_bytes(),
        state
    ])?;
    if is_settled(payment) {
        t.prepare_cached("DELETE FROM rail WHERE payment = ?1")?
            .execute([intent.payment.as_bytes()])?;
    }
    Ok(())
}

fn write_orders(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    for (id, burnt) in &changes.burnt {
        put_sealed(
            t,
            "INSERT INTO burnt (id, why, fingerprint, at, seal) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                id.as_bytes(),
                burnt.why.number(),
                burnt.fingerprint.as_bytes(),
                time(burnt.at)
            ],
        )?;
    }
    for (of, by) in &changes.reversals {
        let sql = "INSERT INTO reversal (of, by, seal) VALUES (?1, ?2, ?3)";
        put_sealed(t, sql, params![int(*of), int(*by)])?;
    }
    for batch in &changes.order_batches {
        put_sealed(
            t,
            "INSERT INTO order_batch (first, count, leaf, key, at, salt, seal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                int(batch.first),
                int(batch.count),
                int(batch.leaf),
                batch.by.as_bytes(),
                time(batch.at),
                batch.salt
            ],
        )?;
    }
    write_events(t, changes)
}

fn write_events(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    let mut rows = SealedRows::into(
        t,
        "INSERT INTO event (seq, position, at, kind, subject, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for event in &changes.events {
        rows.put(params![
            int(event.seq),
            int(event.position),
            time(event.at),
            event.kind.number(),
            event.subject
        ])?;
    }
    Ok(())
}

fn write_rail(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    for rail in &changes.rail {
        put_sealed(
            t,
            "INSERT INTO rail (payment, account, asset, amount, purpose, at, seal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                rail.payment.as_bytes(),
                rail.account.as_bytes(),
                rail.money.asset.to_string(),
                amount(rail.money.amount),
                rail.purpose,
                time(rail.at)
            ],
        )?;
    }
    Ok(())
}

fn write_fundings(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    for (id, funding) in &changes.fundings {
        put_sealed(
            t,
            "INSERT INTO funding (id, account, amount, seal) VALUES (?1, ?2, ?3, ?4)",
            params![id.as_bytes(), funding.account.as_bytes(), amount(funding.amount)],
        )?;
    }
    Ok(())
}

fn write_alarms(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    for alarm in &changes.alarms {
        let (payment, head) = (alarm.payment.unwrap_or(NO_PAYMENT), alarm.head.unwrap_or(NO_HEAD));
        put_sealed(
            t,
            "INSERT INTO alarm (kind, at, device, payment, size, root, seal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                alarm.kind.code(),
                time(alarm.at),
                alarm.device.as_bytes(),
                payment.as_bytes(),
                int(head.size),
                head.root.as_bytes()
            ],
        )?;
    }
    Ok(())
}
