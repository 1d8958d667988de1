//! One hash for the whole state, by which two stores or two runs are compared.

use crate::transfer::asset_bytes;
use crate::{Account, HoldRow, Ledger, Member, Membership, SetRow, VelocityRow, Watch};
use tpw_core::{AccountId, Amount, Hash32};
use tpw_crypto::Sha256;

impl Ledger {
    /// SHA-256 over everything that the stored rows say: every account in the order of ids, every open hold in the order of
    /// numbers, the number of the next transfer, velocity limits with what was used of them, watches, sets, and who belongs to
    /// them. Reads every account.
    ///
    /// All integers are unsigned and big-endian: `"tpw/audit/v2" || 0x00 || number of accounts (8) ||
    /// accounts || number of holds (8) || holds || next number (8) || number of velocity limits (8) || velocity limits ||
    /// number of watches (8) || watches || number of sets (8) || sets || number of memberships (8) || memberships`. What is
    /// not there is zeros after a zero byte. Velocity limits stand in the order of accounts and places, watches of accounts,
    /// sets of ids, memberships of sets and, within one, accounts before sets, each in the order of ids.
    #[must_use]
    pub fn audit_root(&self) -> Hash32 {
        let mut hash = Sha256::new();
        hash.update(b"tpw/audit/v2\0");
        let mut places: Vec<usize> = (0..self.slots.len()).collect();
        places.sort_unstable_by_key(|place| self.slots.get(*place).map(|slot| slot.id));
        add_count(&mut hash, places.len());
        for place in &places {
            if let Some(account) = self.account_at(*place) {
                add_account(&mut hash, &account);
            }
        }
        let mut holds: Vec<&HoldRow> = self.holds.iter().collect();
        holds.sort_unstable_by_key(|hold| hold.number);
        add_count(&mut hash, holds.len());
        for hold in holds {
            add_hold(&mut hash, hold);
        }
        hash.update(&self.next_number.to_be_bytes());
        let slots = places.iter().filter_map(|place| self.slots.get(*place));
        let ids: Vec<AccountId> = slots.map(|slot| slot.id).collect();
        let velocities: Vec<_> = ids.iter().flat_map(|id| self.velocities(id)).collect();
        add_all(&mut hash, &velocities, add_velocity);
        let watches: Vec<_> =
            ids.iter().filter_map(|id| self.watch(id).map(|watch| (*id, watch))).collect();
        add_all(&mut hash, &watches, add_watch);
        self.add_sets(&mut hash);
        Hash32::new(hash.finish())
    }

    fn add_sets(&self, hash: &mut Sha256) {
        let mut sets: Vec<SetRow> = self.sets().map(|set| set.row).collect();
        sets.sort_unstable_by_key(|set| set.id);
        add_all(hash, &sets, add_set);
        let mut members = Vec::new();
        for SetRow { id: set, .. } in &sets {
            members.extend(self.members(set).map(|member| Membership { set: *set, member }));
        }
        members.sort_unstable();
        add_all(hash, &members, add_member);
    }
}

fn add_count(hash: &mut Sha256, count: usize) {
    hash.update(&u64::try_from(count).unwrap_or(u64::MAX).to_be_bytes());
}

fn add_all<T>(hash: &mut Sha256, rows: &[T], add: fn(&mut Sha256, &T)) {
    add_count(hash, rows.len());
    rows.iter().for_each(|row| add(hash, row));
}

fn add_option(hash: &mut Sha256, amount: Option<Amount>) {
    hash.update(&[u8::from(amount.is_some())]);
    hash.update(&amount.map_or(0, Amount::minor).to_be_bytes());
}

fn add_account(hash: &mut Sha256, account: &Account) {
    hash.update(account.id.as_bytes());
    hash.update(&asset_bytes(&account.asset));
    hash.update(&[account.kind.number()]);
    hash.update(&[u8::from(account.owner.is_some())]);
    hash.update(account.owner.map_or([0; 16], |owner| *owner.as_bytes()).as_slice());
    hash.update(&[account.state.number(), account.frozen.bits()]);
    for limit in [account.limits.debit_max_per_transfer(), account.limits.balance_max()] {
        add_option(hash, limit);
    }
    let (debits, credits) = (account.debits_posted, account.credits_posted);
    for counter in [debits, credits, account.debits_pending, account.credits_pending] {
        hash.update(&counter.minor().to_be_bytes());
    }
    hash.update(&account.transfers.to_be_bytes());
    hash.update(&account.last.to_be_bytes());
    hash.update(account.chain.as_bytes());
    hash.update(&account.opened.unix_ms().to_be_bytes());
}

fn add_hold(hash: &mut Sha256, hold: &HoldRow) {
    hash.update(&hold.number.to_be_bytes());
    hash.update(hold.id.as_bytes());
    hash.update(hold.debit.as_bytes());
    hash.update(hold.credit.as_bytes());
    hash.update(&asset_bytes(&hold.money.asset));
    hash.update(&hold.money.amount.minor().to_be_bytes());
    hash.update(&hold.expires.unix_ms().to_be_bytes());
}

fn add_velocity(hash: &mut Sha256, row: &VelocityRow) {
    let VelocityRow { account, place, window, amount_max, count_max, since, amount, count } = row;
    hash.update(account.as_bytes());
    hash.update(&[*place]);
    hash.update(&window.as_ms().to_be_bytes());
    add_option(hash, *amount_max);
    hash.update(&[u8::from(count_max.is_some())]);
    hash.update(&count_max.unwrap_or(0).to_be_bytes());
    hash.update(&since.unix_ms().to_be_bytes());
    hash.update(&amount.minor().to_be_bytes());
    hash.update(&count.to_be_bytes());
}

fn add_watch(hash: &mut Sha256, (account, watch): &(AccountId, Watch)) {
    let Watch { tier, below, above, action } = watch;
    hash.update(account.as_bytes());
    hash.update(&[tier.number(), action.number()]);
    add_option(hash, *below);
    add_option(hash, *above);
}

fn add_set(hash: &mut Sha256, row: &SetRow) {
    hash.update(row.id.as_bytes());
    hash.update(&asset_bytes(&row.asset));
    hash.update(&row.opened.unix_ms().to_be_bytes());
}

fn add_member(hash: &mut Sha256, row: &Membership) {
    hash.update(row.set.as_bytes());
    let (kind, id) = match &row.member {
        Member::Account(id) => (1, id.as_bytes()),
        Member::Set(id) => (2, id.as_bytes()),
    };
    hash.update(&[kind]);
    hash.update(id);
}
