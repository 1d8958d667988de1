//! What the ledger leaves to be stored.

use super::row::{SealedRows, amount, put_sealed, time, transfer_seal};
use crate::books::with_digests;
use crate::decode::int;
use rusqlite::{Transaction, params};
use tpw_core::Asset;
use tpw_flow::{Changes, OrderDigest};
use tpw_ledger::{
    Account, Crossing, HoldChange, Mark, Member, MembershipChange, SetRow, VelocityRow, WatchRow,
};

pub(super) fn all(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    let ledger = &changes.ledger;
    write_accounts(t, &ledger.saves)?;
    write_transfers(t, changes)?;
    write_holds(t, &ledger.holds)?;
    write_marks(t, &ledger.marks)?;
    write_velocities(t, &ledger.velocities)?;
    write_sets(t, &ledger.sets, &ledger.memberships)?;
    write_watches(t, &ledger.watches, &ledger.crossings)
}

/// The text of the asset that was met last: nearly always the next one is the same.
#[derive(Default)]
struct AssetTexts(Option<(Asset, String)>);

impl AssetTexts {
    fn of(&mut self, asset: Asset) -> &str {
        if self.0.as_ref().is_none_or(|(last, _)| *last != asset) {
            self.0 = Some((asset, asset.to_string()));
        }
        self.0.as_ref().map_or("", |(_, text)| text)
    }
}

fn write_accounts(t: &Transaction<'_>, accounts: &[Account]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO account (id, asset, kind, owner, state, frozen, debit_max, balance_max,
             debits_posted, credits_posted, debits_pending, credits_pending, transfers, last, chain,
             opened, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
         ON CONFLICT (id) DO UPDATE SET state = ?5, frozen = ?6, debit_max = ?7, balance_max = ?8,
             debits_posted = ?9, credits_posted = ?10, debits_pending = ?11, credits_pending = ?12,
             transfers = ?13, last = ?14, chain = ?15, seal = ?17";
    for a in accounts {
        let values = params![
            a.id.as_bytes(),
            a.asset.to_string(),
            a.kind.number(),
            a.owner.map(|person| *person.as_bytes()),
            a.state.number(),
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
            time(a.opened)
        ];
        put_sealed(t, sql, values)?;
    }
    Ok(())
}

fn write_transfers(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    let mut texts = AssetTexts::default();
    let mut insert = t.prepare_cached(
        "INSERT INTO transfer (number, id, kind, debit, credit, asset, amount, at, pending,
             prev_debit, prev_credit, debit_chain, credit_chain, effective, released, order_digest,
             seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    )?;
    for (row, digest) in with_digests(changes) {
        insert.execute(params![
            int(row.number),
            row.id.as_bytes(),
            row.kind.number(),
            row.debit.as_bytes(),
            row.credit.as_bytes(),
            texts.of(row.money.asset),
            amount(row.money.amount),
            time(row.at),
            row.pending.map(int),
            int(row.prev_debit),
            int(row.prev_credit),
            row.debit_chain.as_bytes(),
            row.credit_chain.as_bytes(),
            (row.effective != row.at).then(|| time(row.effective)),
            (!row.released.is_zero()).then(|| amount(row.released)),
            digest.as_ref().map(OrderDigest::as_bytes),
            transfer_seal(row, digest.as_ref())
        ])?;
    }
    let backdated = changes.ledger.transfers.iter().filter(|row| row.effective != row.at);
    for (row, account) in backdated.flat_map(|row| [(row, row.debit), (row, row.credit)]) {
        put_sealed(
            t,
            "INSERT INTO backdated (account, effective, number, seal) VALUES (?1, ?2, ?3, ?4)",
            params![account.as_bytes(), time(row.effective), int(row.number)],
        )?;
    }
    Ok(())
}

fn write_holds(t: &Transaction<'_>, holds: &[HoldChange]) -> rusqlite::Result<()> {
    if holds.is_empty() {
        return Ok(());
    }
    let mut texts = AssetTexts::default();
    let mut resolve = t.prepare_cached("DELETE FROM hold WHERE id = ?1")?;
    let mut open = SealedRows::into(
        t,
        "INSERT INTO hold (id, number, debit, credit, asset, amount, expires, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for change in holds {
        match change {
            HoldChange::Opened(hold) => open.put(params![
                hold.id.as_bytes(),
                int(hold.number),
                hold.debit.as_bytes(),
                hold.credit.as_bytes(),
                texts.of(hold.money.asset),
                amount(hold.money.amount),
                time(hold.expires)
            ])?,
            HoldChange::Resolved { hold, .. } => {
                resolve.execute([hold.as_bytes()])?;
            }
        }
    }
    Ok(())
}

fn write_marks(t: &Transaction<'_>, marks: &[Mark]) -> rusqlite::Result<()> {
    for mark in marks {
        let sql = "INSERT INTO mark (account, number, transfers, at, debits_posted, credits_posted,
                       debits_pending, credits_pending, seal)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let values = params![
            mark.account.as_bytes(),
            int(mark.number),
            int(mark.transfers),
            time(mark.at),
            amount(mark.debits_posted),
            amount(mark.credits_posted),
            amount(mark.debits_pending),
            amount(mark.credits_pending)
        ];
        put_sealed(t, sql, values)?;
    }
    Ok(())
}

/// A limit that is neither of amount nor of count is no limit: its row goes.
fn write_velocities(t: &Transaction<'_>, rows: &[VelocityRow]) -> rusqlite::Result<()> {
    for row in rows {
        if row.amount_max.is_none() && row.count_max.is_none() {
            t.prepare_cached("DELETE FROM velocity WHERE account = ?1 AND place = ?2")?
                .execute(params![row.account.as_bytes(), row.place])?;
            continue;
        }
        put_sealed(
            t,
            "INSERT OR REPLACE INTO velocity (account, place, window, amount_max, count_max, since,
                 amount, count, seal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                row.account.as_bytes(),
                row.place,
                int(row.window.as_ms()),
                row.amount_max.map(amount),
                row.count_max.map(int),
                time(row.since),
                amount(row.amount),
                int(row.count)
            ],
        )?;
    }
    Ok(())
}

fn write_sets(
    t: &Transaction<'_>,
    sets: &[SetRow],
    memberships: &[MembershipChange],
) -> rusqlite::Result<()> {
    for set in sets {
        put_sealed(
            t,
            "INSERT INTO account_set (id, asset, opened, seal) VALUES (?1, ?2, ?3, ?4)",
            params![set.id.as_bytes(), set.asset.to_string(), time(set.opened)],
        )?;
    }
    for change in memberships {
        let (MembershipChange::Joined(row) | MembershipChange::Left(row)) = change;
        let (kind, member) = match &row.member {
            Member::Account(id) => (1, id.as_bytes()),
            Member::Set(id) => (2, id.as_bytes()),
        };
        let values = params![row.set.as_bytes(), kind, member];
        match change {
            MembershipChange::Joined(_) => {
                let sql = "INSERT INTO membership (parent, kind, member, seal)
                           VALUES (?1, ?2, ?3, ?4)";
                put_sealed(t, sql, values)?;
            }
            MembershipChange::Left(_) => {
                let sql = "DELETE FROM membership WHERE parent = ?1 AND kind = ?2 AND member = ?3";
                t.prepare_cached(sql)?.execute(values)?;
            }
        }
    }
    Ok(())
}

/// A watch without a threshold watches nothing: its row goes.
fn write_watches(
    t: &Transaction<'_>,
    watches: &[WatchRow],
    crossings: &[Crossing],
) -> rusqlite::Result<()> {
    for row in watches {
        if row.below.is_none() && row.above.is_none() {
            t.prepare_cached("DELETE FROM watch WHERE account = ?1")?
                .execute([row.account.as_bytes()])?;
            continue;
        }
        put_sealed(
            t,
            "INSERT OR REPLACE INTO watch (account, tier, below, above, action, seal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                row.account.as_bytes(),
                row.tier.number(),
                row.below.map(amount),
                row.above.map(amount),
                row.action.number()
            ],
        )?;
    }
    for row in crossings {
        put_sealed(t, "INSERT INTO crossing (account, number, tier, edge, threshold, balance, at, action, seal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", params![
            row.account.as_bytes(),
            int(row.number),
            row.tier.number(),
            row.edge.number(),
            amount(row.threshold),
            row.balance.to_string(),
            time(row.at),
            row.action.number()
        ])?;
    }
    Ok(())
}
