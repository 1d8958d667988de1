//! Account sets: groups of accounts and of other sets whose balances add up.

use tpw_core::{AccountId, AccountSetId, Asset, Instant};

/// A set of accounts: the row to store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetRow {
    /// Its id.
    pub id: AccountSetId,
    /// The one asset that all its members hold.
    pub asset: Asset,
    /// When it was made.
    pub opened: Instant,
}

/// Who can belong to a set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Member {
    /// An account.
    Account(AccountId),
    /// Another set with all its members.
    Set(AccountSetId),
}

/// That a member belongs to a set: the row to store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Membership {
    /// The set.
    pub set: AccountSetId,
    /// Its member.
    pub member: Member,
}

/// A change of who belongs to a set, in the order in which it happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MembershipChange {
    /// The row is to be stored.
    Joined(Membership),
    /// The row is to be removed.
    Left(Membership),
}
