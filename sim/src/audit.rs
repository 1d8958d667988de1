//! The checkers that look at the whole state: beside memory, store, log and model.

use crate::keys::Keys;
use crate::log::Tiles;
use crate::model::{Model, Standing, standing_of};
use crate::server::Server;
use crate::{Checked, Defect, broken, ensure};
use std::collections::{BTreeMap, BTreeSet};
use tpw_core::{
    AccountId, Amount, DeviceId, Hash32, Instant, Money, PaymentId, Record, RecordKind, TransferId,
};
use tpw_flow::{Archive, Desk, Entry, Payment};
use tpw_ledger::{
    Account, AccountKind, AccountState, Crossing, Edge, FreezeReason, StatementPoint, TransferKind,
    Watch, verify_statement,
};
use tpw_proof::bundle::{Parts, assemble};
use tpw_proof::decisions::{block_leaf, decision_hash};
use tpw_proof::{judge, tile};
use tpw_screen::Facts;
use tpw_sim_disk::Chance;

/// After each batch: sums, balances, holds and chains are the model's.
pub(crate) fn books(desk: &Desk, model: &Model) -> Checked {
    let ledger = desk.ledger();
    for total in ledger.totals().map_err(broken)? {
        ensure(total.is_balanced(), || format!("{} does not sum to zero", total.asset))?;
    }
    let count = ledger.accounts().len();
    ensure(count == model.accounts.len(), || format!("{count} accounts"))?;
    for account in ledger.accounts() {
        one_account(&account, model, ledger.watch(&account.id))?;
    }
    sets(desk, model)?;
    let waiting: BTreeSet<PaymentId> = desk.waiting().map(|payment| payment.id()).collect();
    let expected: BTreeSet<PaymentId> =
        model.payments.iter().filter(|(_, p)| p.standing.waits()).map(|(id, _)| *id).collect();
    ensure(waiting == expected, || "other payments wait than the model says".to_owned())?;
    let holds = waiting.len().saturating_add(model.orders.holds.len());
    ensure(ledger.holds().count() == holds, || "holds and waiting differ".to_owned())?;
    ensure(desk.registry().chains.len() == model.chains.len(), || "chains are missing".to_owned())?;
    for ((device, account), (sequence, hash)) in &model.chains {
        let head = desk.registry().head(*device, *account);
        let same = head.sequence == *sequence && head.hash == *hash;
        ensure(same, || format!("the chain of {device} is at {}, not {sequence}", head.sequence))?;
    }
    Ok(())
}

/// Each set has the sums of the different accounts that belong to it.
fn sets(desk: &Desk, model: &Model) -> Checked {
    let count = desk.ledger().sets().len();
    ensure(count == model.sets.len(), || format!("{count} sets"))?;
    for id in model.sets.keys() {
        let found = desk.ledger().set(id).ok_or_else(|| format!("the set {id} is missing"))?;
        let accounts = model.accounts_in(id);
        let own = |id: &AccountId| model.accounts.get(id);
        let posted: i128 = accounts.iter().filter_map(own).map(|account| account.posted).sum();
        let held: i128 = accounts.iter().filter_map(own).map(|account| account.held).sum();
        let free = posted.saturating_sub(held);
        let same = usize::try_from(found.accounts).ok() == Some(accounts.len())
            && found.balance().to_string() == posted.to_string()
            && found.available().to_string() == free.to_string();
        ensure(same, || format!("the set {id} has {found:?}, not {posted} ({free})"))?;
    }
    Ok(())
}

/// The thresholds that were crossed are those that the model saw crossed.
fn crossings(server: &Server, model: &Model) -> Checked {
    let told = |row: &Crossing| (row.account, row.edge == Edge::Above, row.balance.to_string());
    let mut found: Vec<_> = server.store.crossings.iter().map(told).collect();
    let seen = model.crossings.iter();
    let mut expected: Vec<_> =
        seen.map(|(id, above, balance)| (*id, *above, balance.to_string())).collect();
    found.sort_unstable();
    expected.sort_unstable();
    ensure(found == expected, || {
        format!("{} crossings were told, {} seen", found.len(), expected.len())
    })
}

fn one_account(account: &Account, model: &Model, watch: Option<Watch>) -> Checked {
    let id = account.id;
    let expected = model.accounts.get(&id).ok_or_else(|| format!("{id} is unknown"))?;
    let (balance, available) = (account.balance(), account.available());
    let free = expected.posted.saturating_sub(expected.held);
    let same = balance.to_string() == expected.posted.to_string()
        && available.to_string() == free.to_string();
    ensure(same, || {
        format!("{id} has {balance} ({available} available), not {} ({free})", expected.posted)
    })?;
    let guards = &expected.guards;
    let frozen = FreezeReason::ALL.iter().filter(|why| account.frozen.has(**why));
    let same = frozen.eq(&guards.frozen)
        && (account.state == AccountState::Closed) == guards.closed
        && watch == guards.watch;
    ensure(same, || format!("{id} is frozen, closed or watched in another way"))?;
    let negative = available.is_negative() && account.kind != AccountKind::Issuance;
    ensure(!negative, || format!("{id} has less than nothing"))
}

/// What would come back after a restart is what is in memory.
pub(crate) fn restart(
    server: &mut Server,
    accounts: &[AccountId],
    device: DeviceId,
    now: Instant,
    chance: &mut Chance,
) -> Checked {
    let mut fresh = server.restored(now)?;
    let desk = &mut server.desk;
    ensure(fresh.ledger() == desk.ledger(), || "the stored ledger differs".to_owned())?;
    let (a, b) = (fresh.registry(), desk.registry());
    let same = a.people == b.people
        && a.devices == b.devices
        && a.codes == b.codes
        && a.chains == b.chains
        && a.by_cose == b.by_cose
        && a.by_jwk == b.by_jwk;
    ensure(same, || "the stored registry differs".to_owned())?;
    let waiting = fresh.waiting().eq(desk.waiting());
    ensure(waiting && fresh.next_deadline() == desk.next_deadline(), || {
        "the stored waiting payments differ".to_owned()
    })?;
    ensure(fresh.instructed() == desk.instructed(), || {
        "the stored payments at the partner differ".to_owned()
    })?;
    ensure(fresh.leaves() == desk.leaves(), || "the number of leaves differs".to_owned())?;
    for _ in 0..4 {
        let facts = some_facts(desk, accounts, device, now, chance);
        let Some(facts) = facts else { continue };
        let (memory, store) = (desk.screen_mut().decide(&facts), fresh.screen_mut().decide(&facts));
        ensure(memory == store, || {
            format!("screening decides {memory:?} in memory and {store:?} after a restart")
        })?;
    }
    Ok(())
}

fn some_facts(
    desk: &Desk,
    accounts: &[AccountId],
    device: DeviceId,
    now: Instant,
    chance: &mut Chance,
) -> Option<Facts> {
    let (payer, payee) = (*chance.pick(accounts)?, *chance.pick(accounts)?);
    let payer_row = desk.ledger().account(&payer)?;
    let amount = Amount::from_minor(chance.below(2_000_000).saturating_add(1).into());
    Some(Facts {
        payment: PaymentId::new(now.unix_ms(), [0; 10]),
        payer,
        payee,
        money: Money { amount, asset: payer_row.asset },
        device,
        device_enrolled: desk.registry().devices.get(&device)?.enrolled,
        payer_opened: payer_row.opened,
        payee_opened: desk.ledger().account(&payee).map(|account| account.opened),
        at: now,
    })
}

/// Each leaf that the newest head covers and `from` does not has a receipt that a stranger accepts.
pub(crate) fn receipts(server: &Server, keys: &Keys, from: u64, defect: Option<Defect>) -> Checked {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let until = usize::try_from(server.log.size()).unwrap_or(usize::MAX);
    let rows = server.store.leaves.get(from..until).ok_or("the log is longer than the store")?;
    for row in rows {
        let Some(id) = row.payment else { continue };
        let payment = server.store.payment(id).map_err(broken)?;
        let payment = payment.ok_or_else(|| format!("{id} is logged and not stored"))?;
        let mut entry = entry_at(&payment, row.index)
            .ok_or_else(|| format!("leaf {} is not one of {id}", row.index))?
            .clone();
        if defect == Some(Defect::WrongSalt) {
            entry.salt = [0; 32];
        }
        one_receipt(server, keys, &payment, &entry, &row.leaf)?;
    }
    Ok(())
}

fn entry_at(payment: &Payment, index: u64) -> Option<&Entry> {
    let undone = match payment {
        Payment::Compensated(done) => Some(done.entry()),
        _ => None,
    };
    let booked = payment.booked().map(tpw_flow::Booked::entry);
    [booked, undone].into_iter().flatten().find(|entry| entry.index == index)
}

fn one_receipt(
    server: &Server,
    keys: &Keys,
    payment: &Payment,
    entry: &Entry,
    leaf: &tpw_proof::Leaf,
) -> Checked {
    let published = server.log.published.last().ok_or("nothing is published")?;
    let tiles = Tiles(&server.log.hashes);
    let path = tile::inclusion_proof(&tiles, entry.index, published.head.size).map_err(broken)?;
    let receipt = assemble(&Parts {
        statement: payment.intake().statement(),
        record: &Record::from_bytes(&entry.record).map_err(broken)?,
        salt: &entry.salt,
        leaf,
        index: entry.index,
        path: &path,
        checkpoint: &published.checkpoint,
        root_signature: &published.root_signature,
        timestamps: core::slice::from_ref(&published.token),
        trust_hash: keys.trust.hash(),
    });
    let judgement = judge(&receipt.to_bytes(), &keys.trust);
    ensure(judgement.is_valid(), || {
        format!("the receipt of {} does not hold: {:?}", payment.id(), judgement.first_failure())
    })
}

/// At the end, from the stored rows alone: payments, money and log belong together.
pub(crate) fn rows(server: &Server, model: &Model) -> Checked {
    let all = server.store.all()?;
    ensure(all.len() == model.payments.len(), || {
        format!("{} payments are stored, {} were taken", all.len(), model.payments.len())
    })?;
    let mut moves: BTreeMap<TransferId, TransferKind> = BTreeMap::new();
    for payment in &all {
        let id = payment.id();
        let expected = model.payments.get(&id).map(|paid| paid.standing);
        ensure(standing_of(payment) == expected, || format!("{id} is stored in another state"))?;
        money_of(payment, &mut moves)?;
    }
    moved_only_by(server, &moves, model)?;
    batches(server)?;
    crossings(server, model)?;
    let leaves: Vec<Hash32> = server.store.leaves.iter().map(|row| row.leaf.leaf_hash()).collect();
    server.log.check(&leaves)?;
    ensure(server.log.size() == server.store.leaf_count(), || {
        "leaves are not published".to_owned()
    })?;
    statements(server)
}

/// The entry of each command of orders commits to its transfers, as they are stored.
fn batches(server: &Server) -> Checked {
    for batch in &server.store.order_batches {
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let first = place(batch.first.saturating_sub(1));
        let rows = server.store.transfers.get(first..first.saturating_add(place(batch.count)));
        let rows = rows.ok_or_else(|| format!("transfers of the orders at {first} are missing"))?;
        let leaf = server.store.leaves.get(place(batch.leaf)).map(|row| &row.leaf);
        ensure(leaf == Some(&batch.commitment(rows)), || {
            format!("leaf {} is not that of its orders", batch.leaf)
        })?;
    }
    for token in &server.store.tokens {
        let leaf = server.store.leaves.get(usize::try_from(token.leaf).unwrap_or(usize::MAX));
        let fits = leaf.is_some_and(|row| row.leaf.kind() == RecordKind::Token);
        ensure(fits, || format!("leaf {} is not that of a time-stamp", token.leaf))?;
    }
    let decided = decided(server)?;
    let about_none = server.store.leaves.iter().filter(|row| row.payment.is_none()).count();
    let genesis = usize::from(tpw_proof::Leaf::GENESIS_COUNT);
    let others = server.store.order_batches.len().saturating_add(server.store.tokens.len());
    ensure(about_none == others.saturating_add(genesis).saturating_add(decided), || {
        "a leaf is of no payment, no orders, no time-stamp and no decisions".to_owned()
    })
}

/// The entry of each block of decisions commits to them, as they are stored. Gives how many blocks there are.
fn decided(server: &Server) -> Checked<usize> {
    let mut blocks: BTreeMap<u64, Vec<Hash32>> = BTreeMap::new();
    for row in &server.store.decisions {
        let hash = decision_hash(&row.decided.salt, &row.decided.record.to_bytes());
        blocks.entry(row.leaf()).or_default().push(hash);
    }
    for (index, hashes) in &blocks {
        let leaf = server.store.leaves.get(usize::try_from(*index).unwrap_or(usize::MAX));
        ensure(leaf.is_some_and(|row| row.leaf == block_leaf(hashes)), || {
            format!("leaf {index} is not that of its decisions")
        })?;
    }
    Ok(blocks.len())
}

/// A booked payment has one transfer of its own, a compensated one also its opposite.
fn money_of(payment: &Payment, moves: &mut BTreeMap<TransferId, TransferKind>) -> Checked {
    let id = payment.id();
    let Some(booked) = payment.booked() else { return Ok(()) };
    let [there] = booked.postings() else { return Err(format!("{id} has not one posting")) };
    let kind =
        if booked.approvals().is_empty() { TransferKind::Transfer } else { TransferKind::Post };
    ensure(moves.insert(there.transfer, kind).is_none(), || format!("{id} shares a transfer"))?;
    if let Payment::Compensated(done) = payment {
        let [back] = done.postings() else { return Err(format!("{id} has not one posting back")) };
        let opposite = there.debit == back.credit && there.credit == back.debit;
        ensure(opposite && there.money == back.money, || format!("{id} is undone by halves"))?;
        let fresh = moves.insert(back.transfer, TransferKind::Reverse).is_none();
        ensure(fresh, || format!("{id} shares a transfer"))?;
    }
    Ok(())
}

/// Apart from what the issuer brings in, only payments and orders move money, each as its own transfer says.
fn moved_only_by(
    server: &Server,
    moves: &BTreeMap<TransferId, TransferKind>,
    model: &Model,
) -> Checked {
    let issued = |id: &AccountId| {
        let account = server.desk.ledger().account(id);
        account.is_some_and(|account| account.kind == AccountKind::Issuance)
    };
    let mut seen = 0_usize;
    for (number, row) in (1_u64..).zip(&server.store.transfers) {
        ensure(row.number == number, || format!("transfer {number} is missing"))?;
        if !row.kind.moves_money() || issued(&row.debit) || model.orders.ids.contains(&row.id) {
            continue;
        }
        let expected = moves.get(&row.id);
        ensure(expected == Some(&row.kind), || format!("{} belongs to no payment", row.id))?;
        seen = seen.saturating_add(1);
    }
    ensure(seen == moves.len(), || "a booked payment has moved nothing".to_owned())
}

/// The rows of each account lead, link by link, to its balance.
fn statements(server: &Server) -> Checked {
    for account in server.desk.ledger().accounts() {
        let own = server.store.transfers.iter().filter(|row| row.side_of(&account.id).is_some());
        verify_statement(own, &account.id, &StatementPoint::START, &account.point())
            .map_err(|error| format!("the statement of {} does not hold: {error}", account.id))?;
    }
    Ok(())
}

/// What was told is still so.
pub(crate) fn told(model: &Model, id: PaymentId, standing: Standing) -> Checked {
    let now = model.payments.get(&id).map(|paid| paid.standing);
    ensure(now.is_some_and(|now| standing.may_become(now)), || {
        format!("{id} was told to be {} and is {now:?}", standing.text())
    })
}
