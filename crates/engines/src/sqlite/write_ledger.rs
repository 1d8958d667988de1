//! What the ledger leaves to be stored.

use super::row::{account_seal, amount, hold_seal, time, transfer_seal};
use crate::decode::int;
use rusqlite::{Transaction, params};
use tpw_core::Asset;
use tpw_ledger::{
    Account, Changes, Crossing, HoldChange, Mark, Member, Membership, MembershipChange, SetRow,
    TransferRow, VelocityRow, WatchRow,
};

pub(super) fn all(t: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    write_accounts(t, &changes.saves)?;
    write_transfers(t, &changes.transfers)?;
    write_holds(t, &changes.holds)?;
    write_marks(t, &changes.marks)?;
    write_velocities(t, &changes.velocities)?;
    write_sets(t, &changes.sets, &changes.memberships)?;
    write_watches(t, &changes.watches, &changes.crossings)
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
    let mut upsert = t.prepare_cached(
        "INSERT INTO account (id, asset, kind, frozen, debit_max, balance_max, debits_posted,
             credits_posted, debits_pending, credits_pending, transfers, last, chain, opened,
             owner, state, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
         ON CONFLICT (id) DO UPDATE SET frozen = ?4, debit_max = ?5, balance_max = ?6,
             debits_posted = ?7, credits_posted = ?8, debits_pending = ?9, credits_pending = ?10,
             transfers = ?11, last = ?12, chain = ?13, state = ?16, seal = ?17",
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
            a.state.number(),
            account_seal(a)
        ])?;
    }
    Ok(())
}

fn write_transfers(t: &Transaction<'_>, transfers: &[TransferRow]) -> rusqlite::Result<()> {
    let mut texts = AssetTexts::default();
    let mut insert = t.prepare_cached(
        "INSERT INTO transfer (number, id, kind, debit, credit, asset, amount, at, pending,
             prev_debit, prev_credit, debit_chain, credit_chain, effective, released, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?;
    for row in transfers {
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
            transfer_seal(row)
        ])?;
    }
    let backdated = transfers.iter().filter(|row| row.effective != row.at);
    for (row, account) in backdated.flat_map(|row| [(row, row.debit), (row, row.credit)]) {
        t.prepare_cached("INSERT INTO backdated (account, effective, number) VALUES (?1, ?2, ?3)")?
            .execute(params![account.as_bytes(), time(row.effective), int(row.number)])?;
    }
    Ok(())
}

fn write_holds(t: &Transaction<'_>, holds: &[HoldChange]) -> rusqlite::Result<()> {
    for change in holds {
        match change {
            HoldChange::Opened(hold) => t
                .prepare_cached(
                    "INSERT INTO hold (id, number, debit, credit, asset, amount, expires, seal)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?
                .execute(params![
                    hold.id.as_bytes(),
                    int(hold.number),
                    hold.debit.as_bytes(),
                    hold.credit.as_bytes(),
                    hold.money.asset.to_string(),
                    amount(hold.money.amount),
                    time(hold.expires),
                    hold_seal(hold)
                ])?,
            HoldChange::Resolved { hold, .. } => {
                t.prepare_cached("DELETE FROM hold WHERE id = ?1")?.execute([hold.as_bytes()])?
            }
        };
    }
    Ok(())
}

fn write_marks(t: &Transaction<'_>, marks: &[Mark]) -> rusqlite::Result<()> {
    for mark in marks {
        t.prepare_cached(
            "INSERT INTO mark (account, number, transfers, at, debits_posted, credits_posted,
                 debits_pending, credits_pending)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            mark.account.as_bytes(),
            int(mark.number),
            int(mark.transfers),
            time(mark.at),
            amount(mark.debits_posted),
            amount(mark.credits_posted),
            amount(mark.debits_pending),
            amount(mark.credits_pending)
        ])?;
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
        t.prepare_cached(
            "INSERT OR REPLACE INTO velocity (account, place, window, amount_max, count_max, since,
                 amount, count)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            row.account.as_bytes(),
            row.place,
            int(row.window.as_ms()),
            row.amount_max.map(amount),
            row.count_max.map(int),
            time(row.since),
            amount(row.amount),
            int(row.count)
        ])?;
    }
    Ok(())
}

fn write_sets(
    t: &Transaction<'_>,
    sets: &[SetRow],
    memberships: &[MembershipChange],
) -> rusqlite::Result<()> {
    for set in sets {
        t.prepare_cached("INSERT INTO account_set (id, asset, opened) VALUES (?1, ?2, ?3)")?
            .execute(params![set.id.as_bytes(), set.asset.to_string(), time(set.opened)])?;
    }
    for change in memberships {
        let (sql, Membership { set, member }) = match change {
            MembershipChange::Joined(membership) => {
                ("INSERT INTO membership (parent, kind, member) VALUES (?1, ?2, ?3)", membership)
            }
            MembershipChange::Left(membership) => (
                "DELETE FROM membership WHERE parent = ?1 AND kind = ?2 AND member = ?3",
                membership,
            ),
        };
        let (kind, member) = match member {
            Member::Account(id) => (1, id.as_bytes()),
            Member::Set(id) => (2, id.as_bytes()),
        };
        t.prepare_cached(sql)?.execute(params![set.as_bytes(), kind, member])?;
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
        t.prepare_cached(
            "INSERT OR REPLACE INTO watch (account, tier, below, above, action)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            row.account.as_bytes(),
            row.tier.number(),
            row.below.map(amount),
            row.above.map(amount),
            row.action.number()
        ])?;
    }
    for row in crossings {
        t.prepare_cached(
            "INSERT INTO crossing (account, number, tier, edge, threshold, balance, at, action)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
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
