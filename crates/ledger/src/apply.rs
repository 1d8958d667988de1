//! Operations: what can be asked of the ledger, and how each becomes entries.

use crate::entry::Entry;
use crate::hold::expiry_id;
use crate::slot::{Flag, Slot};
use crate::{
    Balance, Condition, FreezeReason, HoldEnd, HoldRow, Ledger, LedgerError, Limits, Membership,
    NewAccount, TransferKind, TransferRequest, TransferRow, Velocity, Watch,
};
use tpw_core::{AccountId, AccountSetId, Amount, Asset, Instant, Money, Posting, TransferId};

/// What is asked of the ledger.
///
/// A transfer id must never have been used before: the ledger keeps no list of them; the caller's
/// payment id and the store's primary key see to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation<'a> {
    /// Open an account.
    Open(NewAccount),
    /// Open accounts and bring into each what it is to open with, at most
    /// [`Ledger::OPENINGS_MAX`], in order, all or none.
    OpenFunded(&'a [FundedAccount]),
    /// Move money: 1 to 16 linked legs, in order, all or none. A later leg can spend what an earlier
    /// one brought.
    Transfer(&'a [TransferRequest]),
    /// Set money aside until it is posted or voided or `expires` is reached.
    Hold {
        /// What is to be held.
        request: TransferRequest,
        /// From when on it can only be voided; later than now.
        expires: Instant,
    },
    /// Move held money; what is not posted is released.
    Post {
        /// The hold.
        hold: TransferId,
        /// The id of this transfer.
        id: TransferId,
        /// How much in minor units; `None` for all.
        amount: Option<Amount>,
    },
    /// Release held money.
    Void {
        /// The hold.
        hold: TransferId,
        /// The id of this transfer.
        id: TransferId,
    },
    /// Move the full amounts of 1 to 16 transfers back, in the given order, all or none.
    ///
    /// The ledger does not remember what was reversed: the caller's payment state sees to it that
    /// each transfer is reversed at most once.
    Reverse(&'a [Reversal]),
    /// Freeze an account for a reason: it neither gives nor receives. Open holds can still be voided
    /// and still expire.
    Freeze {
        /// The account.
        account: AccountId,
        /// Why.
        why: FreezeReason,
    },
    /// Lift one reason; the account stays frozen while another holds.
    Unfreeze {
        /// The account.
        account: AccountId,
        /// The reason to lift.
        why: FreezeReason,
    },
    /// Replace an account's limits. What is held already stays held.
    SetLimits {
        /// The account.
        account: AccountId,
        /// The new limits.
        limits: Limits,
    },
    /// Close an account that has nothing, owes nothing and holds nothing, for ever.
    Close {
        /// The account.
        account: AccountId,
    },
    /// Replace an account's velocity limits, at most [`Ledger::VELOCITIES_MAX`]. What was used of a
    /// limit stays used when a new one has the same window.
    SetVelocities {
        /// The account.
        account: AccountId,
        /// The new limits; none to lift all.
        velocities: &'a [Velocity],
    },
    /// Watch an account's balance, in place of how it was watched before.
    SetWatch {
        /// The account.
        account: AccountId,
        /// How; `None` to stop.
        watch: Option<Watch>,
    },
    /// Make a set of accounts.
    OpenSet {
        /// Its id, chosen by the caller.
        id: AccountSetId,
        /// The one asset that its members hold.
        asset: Asset,
    },
    /// Add an account or a set to a set.
    Join(Membership),
    /// Remove an account or a set from a set.
    Leave(Membership),
}

/// An account to open, with the transfer that brings in what it opens with, if there is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FundedAccount {
    /// The account.
    pub account: NewAccount,
    /// The transfer.
    pub funding: Option<TransferRequest>,
}

/// A transfer that moved money, as its reversal needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Original {
    /// Its number in the ledger.
    pub number: u64,
    /// The account that gave.
    pub debit: AccountId,
    /// The account that received.
    pub credit: AccountId,
    /// How much of what was moved.
    pub money: Money,
}

impl Original {
    /// From a posting of a `Transfer` or a `Post`. A posting does not say its kind: the caller
    /// knows that it is not one of a hold.
    #[must_use]
    pub const fn of_posting(posting: &Posting) -> Self {
        let Posting { number, debit, credit, money, .. } = *posting;
        Self { number, debit, credit, money }
    }

    /// From a stored transfer; `None` if that moved no money or is a reversal itself.
    #[must_use]
    pub const fn of_row(row: &TransferRow) -> Option<Self> {
        let TransferRow { number, kind, debit, credit, money, .. } = *row;
        match kind {
            TransferKind::Transfer | TransferKind::Post => {
                Some(Self { number, debit, credit, money })
            }
            _ => None,
        }
    }
}

/// One transfer to reverse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reversal {
    /// What is to be reversed.
    pub of: Original,
    /// The id of the opposite transfer.
    pub id: TransferId,
}

/// What an operation did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// One posting for each transfer made, in the order of their numbers; none for an operation that
    /// made no transfer.
    pub postings: Vec<Posting>,
}

impl Applied {
    pub(crate) const NOTHING: Self = Self { postings: Vec::new() };
}

impl Ledger {
    /// The most accounts that one operation opens.
    pub const OPENINGS_MAX: usize = 64;

    /// Carries out one operation.
    ///
    /// # Errors
    /// The [`LedgerError`] that names the party or the field at fault. Then nothing has changed.
    pub fn apply(&mut self, op: Operation<'_>, now: Instant) -> Result<Applied, LedgerError> {
        self.apply_if(op, &[], now)
    }

    /// Carries out one operation if afterwards all conditions hold, at most
    /// [`Ledger::CONDITIONS_MAX`].
    ///
    /// # Errors
    /// [`LedgerError::ConditionFailed`] for the first that does not, and what [`Ledger::apply`] says.
    /// Then nothing has changed.
    pub fn apply_if(
        &mut self,
        op: Operation<'_>,
        conditions: &[Condition],
        now: Instant,
    ) -> Result<Applied, LedgerError> {
        match op {
            Operation::Transfer(legs) => {
                legs_allowed(legs.len(), legs.iter().map(|leg| leg.id))?;
                let entries = legs.iter().map(|leg| Ok(plain(leg, TransferKind::Transfer)));
                self.enter_all(entries, conditions, now)
            }
            Operation::OpenFunded(accounts) => self.open_funded(accounts, conditions, now),
            Operation::Hold { request, expires } => {
                self.make_hold(&request, expires, conditions, now)
            }
            Operation::Post { hold, id, amount } => self.post(&hold, id, amount, conditions, now),
            Operation::Void { hold, id } => {
                let hold = *self.holds.get(&hold).ok_or(LedgerError::HoldNotOpen(hold))?;
                self.resolve(&hold, id, hold.money.amount, HoldEnd::Voided, conditions, now)
            }
            Operation::Reverse(reversals) => {
                legs_allowed(reversals.len(), reversals.iter().map(|reversal| reversal.id))?;
                let next = self.next_number;
                let entries = reversals.iter().map(|reversal| opposite(reversal, next));
                self.enter_all(entries, conditions, now)
            }
            // What makes no transfer changes no balance: conditions can be judged before.
            _ => {
                self.judge(conditions)?;
                self.administer(op, now)
            }
        }
    }

    /// Carries out an operation that makes no transfer.
    fn administer(&mut self, op: Operation<'_>, now: Instant) -> Result<Applied, LedgerError> {
        match op {
            Operation::Open(new) => self.open(&new, now),
            Operation::Freeze { account, why } => self.change(&account, |row| {
                if row.frozen.has(why) {
                    return Err(LedgerError::AlreadyFrozen);
                }
                row.frozen = row.frozen.with(why);
                Ok(())
            }),
            Operation::Unfreeze { account, why } => self.change(&account, |row| {
                if !row.frozen.has(why) {
                    return Err(LedgerError::NotFrozen);
                }
                row.frozen = row.frozen.without(why);
                Ok(())
            }),
            Operation::SetLimits { account, limits } => {
                let limits = self.limits_place(limits)?;
                let mut unused = limits;
                let changed = self.change(&account, |row| {
                    unused = core::mem::replace(&mut row.limits, limits);
                    Ok(())
                });
                self.limits.release(unused);
                changed
            }
            Operation::Close { account } => self.close(&account),
            Operation::SetVelocities { account, velocities } => {
                self.set_velocities(&account, velocities)
            }
            Operation::SetWatch { account, watch } => self.set_watch(&account, watch, now),
            Operation::OpenSet { id, asset } => self.open_set(id, asset, now),
            Operation::Join(membership) => self.join(&membership),
            Operation::Leave(membership) => self.leave(&membership),
            // The other operations make transfers; `apply_if` has taken them.
            _ => Ok(Applied::NOTHING),
        }
    }

    fn close(&mut self, id: &AccountId) -> Result<Applied, LedgerError> {
        self.change(id, |row| {
            let balance = Balance::between(row.credits_posted, row.debits_posted);
            if balance != Balance::ZERO {
                return Err(LedgerError::BalanceNotZero { balance });
            }
            if row.has(Flag::Pending) {
                return Err(LedgerError::HoldsOpen);
            }
            row.set(Flag::Closed, true);
            Ok(())
        })
    }

    /// The id of the transfer that expires a hold: its time from the hold's expiry, the rest from a hash of the hold's id.
    #[must_use]
    pub fn expiry_id(hold: TransferId, expires: Instant) -> TransferId {
        expiry_id(hold, expires)
    }

    /// Whether an open hold would expire under this id: no other transfer may take it.
    #[must_use]
    pub fn expires_as(&self, id: &TransferId) -> bool {
        self.holds.ends_as(id)
    }

    /// Releases every hold that has run out by `now`, by expiry, then by number: the same state and
    /// the same time give the same transfers, ids included.
    pub fn expire(&mut self, now: Instant) -> Vec<Applied> {
        let mut done = Vec::new();
        while let Some(hold) = self.holds.first().copied().filter(|hold| hold.expires <= now) {
            let id = expiry_id(hold.id, hold.expires);
            match self.resolve(&hold, id, hold.money.amount, HoldEnd::Expired, &[], now) {
                Ok(applied) => done.push(applied),
                Err(_) => break, // only when numbers are used up, after 2^64 transfers
            }
        }
        done
    }

    fn open(&mut self, new: &NewAccount, now: Instant) -> Result<Applied, LedgerError> {
        let place = self.put_in(new, now)?;
        self.touch(place);
        self.save(place);
        Ok(Applied::NOTHING)
    }

    fn put_in(&mut self, new: &NewAccount, now: Instant) -> Result<usize, LedgerError> {
        if self.place(&new.id).is_some() {
            return Err(LedgerError::AccountExists(new.id));
        }
        let (asset, limits) = (self.asset_place(new.asset)?, self.limits_place(new.limits)?);
        self.insert(Slot::new(new, asset, limits, now))
    }

    /// The accounts are put in first: what a funding may do is then asked of the same ledger that
    /// makes it, and not foretold.
    fn open_funded(
        &mut self,
        accounts: &[FundedAccount],
        conditions: &[Condition],
        now: Instant,
    ) -> Result<Applied, LedgerError> {
        let fundings = || accounts.iter().filter_map(|opening| opening.funding.as_ref());
        if accounts.len() > Self::OPENINGS_MAX {
            return Err(LedgerError::OpeningCount(accounts.len()));
        }
        if let Some(id) = repeated(fundings().map(|funding| funding.id)) {
            return Err(LedgerError::DuplicateTransfer(id));
        }
        let (first, assets) = (self.slots.len(), self.turnovers.len());
        let mut put_in = accounts.iter().map(|opening| self.put_in(&opening.account, now));
        let done = put_in.try_for_each(|place| place.map(drop)).and_then(|()| {
            let entries: Vec<_> =
                fundings().map(|funding| Ok(plain(funding, TransferKind::Transfer))).collect();
            self.enter_all(entries.into_iter(), conditions, now)
        });
        if done.is_err() {
            self.take_out(first, assets);
            return done;
        }
        for place in first..self.slots.len() {
            self.touch(place);
            self.save(place);
        }
        done
    }

    fn change(
        &mut self,
        id: &AccountId,
        edit: impl FnOnce(&mut Slot) -> Result<(), LedgerError>,
    ) -> Result<Applied, LedgerError> {
        let place = self.usable(id)?;
        let slot = self.slots.get_mut(place).ok_or(LedgerError::UnknownAccount(*id))?;
        edit(slot)?;
        self.touch(place);
        self.save(place);
        Ok(Applied::NOTHING)
    }

    /// Makes all entries or, when one is refused, none.
    fn enter_all(
        &mut self,
        entries: impl ExactSizeIterator<Item = Result<Entry, LedgerError>>,
        conditions: &[Condition],
        now: Instant,
    ) -> Result<Applied, LedgerError> {
        let mut postings = Vec::with_capacity(entries.len());
        for entry in entries {
            match entry.and_then(|entry| self.enter(&entry, now)) {
                Ok(row) => postings.push(row.posting()),
                Err(error) => {
                    self.roll_back();
                    return Err(error);
                }
            }
        }
        self.settle(conditions, now)?;
        Ok(Applied { postings })
    }

    /// Lets what was entered stand if the conditions hold, and otherwise takes it back.
    fn settle(&mut self, conditions: &[Condition], now: Instant) -> Result<(), LedgerError> {
        if let Err(error) = self.judge(conditions) {
            self.roll_back();
            return Err(error);
        }
        self.keep(now);
        Ok(())
    }

    fn make_hold(
        &mut self,
        request: &TransferRequest,
        expires: Instant,
        conditions: &[Condition],
        now: Instant,
    ) -> Result<Applied, LedgerError> {
        if expires <= now {
            return Err(LedgerError::ExpiryPast);
        }
        if request.effective.is_some() {
            return Err(LedgerError::EffectiveHold);
        }
        if self.holds.get(&request.id).is_some() {
            return Err(LedgerError::HoldExists(request.id));
        }
        let row = self.enter(&plain(request, TransferKind::Hold), now)?;
        self.settle(conditions, now)?;
        let TransferRow { id, number, debit, credit, money, .. } = row;
        let hold = HoldRow { id, number, debit, credit, money, expires };
        self.holds.put(hold);
        self.hold_changes.open(hold);
        Ok(Applied { postings: vec![row.posting()] })
    }

    fn post(
        &mut self,
        hold: &TransferId,
        id: TransferId,
        amount: Option<Amount>,
        conditions: &[Condition],
        now: Instant,
    ) -> Result<Applied, LedgerError> {
        let hold = *self.holds.get(hold).ok_or(LedgerError::HoldNotOpen(*hold))?;
        if hold.expires <= now {
            return Err(LedgerError::HoldExpired(hold.id));
        }
        let held = hold.money.amount;
        let amount = amount.unwrap_or(held);
        if amount > held {
            return Err(LedgerError::AmountAboveHold { held });
        }
        self.resolve(&hold, id, amount, HoldEnd::Posted, conditions, now)
    }

    fn resolve(
        &mut self,
        hold: &HoldRow,
        id: TransferId,
        amount: Amount,
        end: HoldEnd,
        conditions: &[Condition],
        now: Instant,
    ) -> Result<Applied, LedgerError> {
        let kind = match end {
            HoldEnd::Posted => TransferKind::Post,
            HoldEnd::Voided => TransferKind::Void,
            HoldEnd::Expired => TransferKind::Expire,
        };
        let entry = Entry {
            id,
            kind,
            debit: hold.debit,
            credit: hold.credit,
            money: Money { amount, asset: hold.money.asset },
            effective: None,
            pending: Some(hold.number),
            released: hold.money.amount,
        };
        let row = self.enter(&entry, now)?;
        self.settle(conditions, now)?;
        self.holds.remove(hold);
        self.hold_changes.resolve(hold, row.number, end);
        Ok(Applied { postings: vec![row.posting()] })
    }
}

fn plain(request: &TransferRequest, kind: TransferKind) -> Entry {
    let TransferRequest { id, debit, credit, money, effective } = *request;
    Entry { id, kind, debit, credit, money, effective, pending: None, released: Amount::ZERO }
}

/// The opposite of a transfer made before this operation began.
fn opposite(reversal: &Reversal, next: u64) -> Result<Entry, LedgerError> {
    let Original { number, debit, credit, money } = reversal.of;
    if number == 0 || number >= next {
        return Err(LedgerError::UnknownOriginal(number));
    }
    Ok(Entry {
        id: reversal.id,
        kind: TransferKind::Reverse,
        debit: credit,
        credit: debit,
        money,
        effective: None,
        pending: Some(number),
        released: Amount::ZERO,
    })
}

/// Checks the number of linked legs and that their ids differ.
fn legs_allowed(
    count: usize,
    ids: impl Iterator<Item = TransferId> + Clone,
) -> Result<(), LedgerError> {
    if count == 0 || count > Ledger::LEGS_MAX {
        return Err(LedgerError::LegCount(count));
    }
    repeated(ids).map_or(Ok(()), |id| Err(LedgerError::DuplicateTransfer(id)))
}

/// The first of some ids that occurs again among them.
fn repeated(mut ids: impl Iterator<Item = TransferId> + Clone) -> Option<TransferId> {
    while let Some(id) = ids.next() {
        if ids.clone().any(|other| other == id) {
            return Some(id);
        }
    }
    None
}
