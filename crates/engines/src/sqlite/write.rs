//! One batch of changes, one transaction.

use super::row::{amount, int, time};
use super::{Reader, Store, error};
use crate::books::{Books, Opener, StoreError};
use rusqlite::{Transaction, TransactionBehavior, params};
use std::sync::Arc;
use tpw_flow::{Changes, Payment, Rail, stored};
use tpw_ledger::{Account, HoldChange, TransferRow};

impl Books for Store {
    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let path = self.path.clone();
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(error(&path))?;
        write_all(&transaction, changes).map_err(error(&path))?;
        transaction.commit().map_err(error(&path))
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        self.set_meta("probe", b"")
    }

    fn set_meta(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.connection
            .execute(
                "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)",
                params![key, value],
            )
            .map(|_| ())
            .map_err(error(&self.path))
    }

    /// Moves the write-ahead log into the database file.
    fn tidy(&mut self) -> Result<(), StoreError> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(error(&self.path))
    }

    fn opener(&self) -> Opener {
        let path = self.path.clone();
        Arc::new(move || Ok(Box::new(Reader::open(&path)?)))
    }
}

fn write_all(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    write_registry(t, changes)?;
    write_accounts(t, &changes.ledger.saves)?;
    write_transfers(t, &changes.ledger.transfers)?;
    write_holds(t, &changes.ledger.holds)?;
    for (account, owner) in &changes.owners {
        let person = owner.person.map(|p| *p.as_bytes());
        t.prepare_cached("INSERT INTO owner (account, person, label) VALUES (?1, ?2, ?3)")?
            .execute(params![account.as_bytes(), person, owner.label.as_str()])?;
    }
    for (device, account, head) in &changes.chains {
        t.prepare_cached(
            "INSERT INTO chain (device, account, sequence, hash) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash",
        )?
        .execute(params![
            device.as_bytes(),
            account.as_bytes(),
            int(head.sequence),
            head.hash.as_bytes()
        ])?;
    }
    changes.payments.iter().try_for_each(|payment| write_payment(t, payment))?;
    for row in &changes.leaves {
        t.prepare_cached("INSERT INTO leaf (idx, leaf, payment) VALUES (?1, ?2, ?3)")?.execute(
            params![int(row.index), row.leaf.as_bytes(), row.payment.map(|p| *p.as_bytes())],
        )?;
    }
    write_rail(t, changes)?;
    write_fundings(t, changes)?;
    write_alarms(t, changes)
}

fn write_registry(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    for person in &changes.people {
        t.prepare_cached("INSERT INTO person (id, name, added) VALUES (?1, ?2, ?3)")?
            .execute(params![person.id.as_bytes(), person.name.as_str(), time(person.added)])?;
    }
    for device in &changes.devices {
        t.prepare_cached(
            "INSERT INTO device (id, person, algorithm, key, enrolled, revoked)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO UPDATE SET revoked = excluded.revoked",
        )?
        .execute(params![
            device.id.as_bytes(),
            device.person.as_bytes(),
            device.key.algorithm().name(),
            device.key.as_bytes(),
            time(device.enrolled),
            device.revoked.map(time)
        ])?;
    }
    for (hash, grant) in &changes.codes {
        t.prepare_cached(
            "INSERT INTO code (hash, person, expires, used_by) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET used_by = excluded.used_by",
        )?
        .execute(params![
            hash.as_bytes(),
            grant.person.as_bytes(),
            time(grant.expires),
            grant.used_by.map(|d| *d.as_bytes())
        ])?;
    }
    Ok(())
}

fn write_accounts(t: &Transaction<'_>, accounts: &[Account]) -> rusqlite::Result<()> {
    let mut upsert = t.prepare_cached(
        "INSERT INTO account (id, asset, kind, frozen, debit_max, balance_max, debits_posted,
             credits_posted, debits_pending, credits_pending, transfers, last, chain, opened,
             owner, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
         ON CONFLICT (id) DO UPDATE SET frozen = ?4, debit_max = ?5, balance_max = ?6,
             debits_posted = ?7, credits_posted = ?8, debits_pending = ?9, credits_pending = ?10,
             transfers = ?11, last = ?12, chain = ?13, state = ?16",
    )?;
    for a in accounts {
        upsert.execute(params![
            a.id.as_bytes(),
            a.asset.to_string(),
            a.kind.number(),
            a.frozen.bits(),
            a.limits.debit_max_per_transfer().map(amount),
            a.limits.balance_max().map(amount),
            amount(a.debits_posted),
            amount(a.credits_posted),
            amount(a.debits_pending),
            amount(a.credits_pending),
            int(a.transfers),
            int(a.last),
            a.chain.as_bytes(),
            time(a.opened),
            a.owner.map(|person| *person.as_bytes()),
            a.state.number()
        ])?;
    }
    Ok(())
}

fn write_transfers(t: &Transaction<'_>, transfers: &[TransferRow]) -> rusqlite::Result<()> {
    let mut insert = t.prepare_cached(
        "INSERT INTO transfer (number, id, kind, debit, credit, asset, amount, at, pending,
             prev_debit, prev_credit, debit_chain, credit_chain, effective, released)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?;
    for row in transfers {
        insert.execute(params![
            int(row.number),
            row.id.as_bytes(),
            row.kind.number(),
            row.debit.as_bytes(),
            row.credit.as_bytes(),
            row.money.asset.to_string(),
            amount(row.money.amount),
            time(row.at),
            row.pending.map(int),
            int(row.prev_debit),
            int(row.prev_credit),
            row.debit_chain.as_bytes(),
            row.credit_chain.as_bytes(),
            time(row.effective),
            amount(row.released)
        ])?;
    }
    Ok(())
}

fn write_holds(t: &Transaction<'_>, holds: &[HoldChange]) -> rusqlite::Result<()> {
    for change in holds {
        match change {
            HoldChange::Opened(hold) => t
                .prepare_cached(
                    "INSERT INTO hold (id, number, debit, credit, asset, amount, expires)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    hold.id.as_bytes(),
                    int(hold.number),
                    hold.debit.as_bytes(),
                    hold.credit.as_bytes(),
                    hold.money.asset.to_string(),
                    amount(hold.money.amount),
                    time(hold.expires)
                ])?,
            HoldChange::Resolved { hold, .. } => {
                t.prepare_cached("DELETE FROM hold WHERE id = ?1")?.execute([hold.as_bytes()])?
            }
        };
    }
    Ok(())
}

fn write_payment(t: &Transaction<'_>, payment: &Payment) -> rusqlite::Result<()> {
    let damaged = || rusqlite::Error::InvalidParameterName("a payment not at rest".to_owned());
    let state = stored::to_bytes(payment).ok_or_else(damaged)?;
    let status = payment.status().ok_or_else(damaged)?;
    let received = payment.received().ok_or_else(damaged)?;
    let intent = payment.intake().intent();
    t.prepare_cached(
        "INSERT INTO payment (id, status, received, payer, payee, asset, amount, device, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (id) DO UPDATE SET status = excluded.status, state = excluded.state",
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
    let settled = match payment {
        Payment::Booked(booked) => booked.rail() == Rail::Confirmed,
        Payment::Compensated(_) => true,
        _ => false,
    };
    if settled {
        t.prepare_cached("DELETE FROM rail WHERE payment = ?1")?
            .execute([intent.payment.as_bytes()])?;
    }
    Ok(())
}

fn write_rail(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    for rail in &changes.rail {
        t.prepare_cached(
            "INSERT INTO rail (payment, account, asset, amount, purpose, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            rail.payment.as_bytes(),
            rail.account.as_bytes(),
            rail.money.asset.to_string(),
            amount(rail.money.amount),
            rail.purpose,
            time(rail.at)
        ])?;
    }
    Ok(())
}

fn write_fundings(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    for (id, funding) in &changes.fundings {
        t.prepare_cached("INSERT INTO funding (id, account, amount) VALUES (?1, ?2, ?3)")?
            .execute(params![id.as_bytes(), funding.account.as_bytes(), amount(funding.amount)])?;
    }
    Ok(())
}

fn write_alarms(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    for alarm in &changes.alarms {
        t.prepare_cached(
            "INSERT INTO alarm (kind, at, device, payment, size, root)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            alarm.kind.code(),
            time(alarm.at),
            alarm.device.as_bytes(),
            alarm.payment.as_bytes(),
            int(alarm.head.size),
            alarm.head.root.as_bytes()
        ])?;
    }
    Ok(())
}
