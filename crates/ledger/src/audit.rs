//! One hash for the whole state, by which two stores or two runs are compared.

use crate::transfer::asset_bytes;
use crate::{Account, HoldRow, Ledger};
use tpw_core::Hash32;
use tpw_crypto::Sha256;

impl Ledger {
    /// SHA-256 over every account in the order of ids, every open hold in the order of numbers, and
    /// the number of the next transfer. Reads every account.
    ///
    /// All integers are unsigned and big-endian: `"tpw/audit/v1" || 0x00 || number of accounts (8) ||
    /// accounts || number of holds (8) || holds || next number (8)`. What is not there is zeros after
    /// a zero byte.
    #[must_use]
    pub fn audit_root(&self) -> Hash32 {
        let mut hash = Sha256::new();
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX).to_be_bytes();
        hash.update(b"tpw/audit/v1\0");
        let mut places: Vec<usize> = (0..self.slots.len()).collect();
        places.sort_unstable_by_key(|place| self.slots.get(*place).map(|slot| slot.id));
        hash.update(&count(places.len()));
        for place in places {
            if let Some(account) = self.account_at(place) {
                add_account(&mut hash, &account);
            }
        }
        let mut holds: Vec<&HoldRow> = self.holds.iter().collect();
        holds.sort_unstable_by_key(|hold| hold.number);
        hash.update(&count(holds.len()));
        for hold in holds {
            add_hold(&mut hash, hold);
        }
        hash.update(&self.next_number.to_be_bytes());
        Hash32::new(hash.finish())
    }
}

fn add_account(hash: &mut Sha256, account: &Account) {
    hash.update(account.id.as_bytes());
    hash.update(&asset_bytes(&account.asset));
    hash.update(&[account.kind.number()]);
    hash.update(&[u8::from(account.owner.is_some())]);
    hash.update(account.owner.map_or([0; 16], |owner| *owner.as_bytes()).as_slice());
    hash.update(&[account.state.number(), account.frozen.bits()]);
    for limit in [account.limits.debit_max_per_transfer(), account.limits.balance_max()] {
        hash.update(&[u8::from(limit.is_some())]);
        hash.update(&limit.map_or(0, |limit| limit.minor()).to_be_bytes());
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
