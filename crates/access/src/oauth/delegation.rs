//! What a person has allowed somebody else to read: which accounts, of them what, until when.
//!
//! One record for each person, so that a bound on their number holds without counting.

use core::fmt;
use core::str::FromStr;

use tpw_core::codec::{CodecError, Reader, Writer, decode_exact};
use tpw_core::{AccountId, Instant, PersonId, Span};

use super::client::{ClientId, read_time};
use super::scope::{Scope, Scopes};
use crate::jose;
use crate::record::{RecordKey, RecordKind};

/// The most delegations of one person that are alive.
pub const ALIVE_MAX: usize = 64;
/// The most accounts of one delegation.
pub const ACCOUNTS_MAX: usize = 16;
/// The longest that one lives; who wants more says so again.
pub const LIFE_MAX: Span = Span::from_secs(366 * 24 * 3600);

const FORMAT: u64 = 1;
const WHAT: &str = "list of delegations";
const PREFIX: &str = "dlg_";

/// Why something is not delegated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DelegationError {
    /// None, more than [`ACCOUNTS_MAX`], or one twice.
    #[error("a delegation is for 1 to {ACCOUNTS_MAX} accounts, each named once")]
    Accounts,
    /// Nothing.
    #[error("a delegation has at least one scope")]
    Scopes,
    /// Not in the future, or too far in it.
    #[error("a delegation ends in the future, at most 366 days from now")]
    Until,
    /// To oneself.
    #[error("a delegation is to somebody else")]
    Oneself,
    /// Too many are alive.
    #[error("there are {ALIVE_MAX} delegations already: take one back first")]
    TooMany,
}

/// One delegation's id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DelegationId([u8; 16]);

impl DelegationId {
    /// From 16 random bytes.
    #[must_use]
    pub const fn new(random: [u8; 16]) -> Self {
        Self(random)
    }

    /// As stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for DelegationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", jose::encode(&self.0))
    }
}

impl fmt::Debug for DelegationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not a delegation's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a delegation's id is `{PREFIX}` and 22 characters")]
pub struct ParseDelegationIdError;

impl FromStr for DelegationId {
    type Err = ParseDelegationIdError;

    fn from_str(text: &str) -> Result<Self, ParseDelegationIdError> {
        let bytes = text.strip_prefix(PREFIX).and_then(|text| jose::decode(text).ok());
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(ParseDelegationIdError)
    }
}

/// To whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grantee {
    /// A client, by its own tokens.
    Client(ClientId),
    /// A client, by the tokens of the request that the person approved.
    Approved(ClientId),
    /// Another person, with their own device.
    Person(PersonId),
}

/// One delegation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// Its id.
    pub id: DelegationId,
    /// To whom.
    pub to: Grantee,
    /// Which accounts.
    pub accounts: Vec<AccountId>,
    /// What of them.
    pub scopes: Scopes,
    /// Since when.
    pub made: Instant,
    /// Until when.
    pub until: Instant,
}

impl Delegation {
    /// Whether `to` may read `scope` of `account` now.
    #[must_use]
    pub fn allows(&self, to: &Grantee, account: &AccountId, scope: Scope, now: Instant) -> bool {
        now < self.until
            && self.to == *to
            && self.scopes.has(scope)
            && self.accounts.contains(account)
    }
}

/// All delegations of one person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delegations(Vec<Delegation>);

impl Delegations {
    /// Where a person's delegations are kept.
    #[must_use]
    pub const fn record(person: PersonId) -> RecordKey {
        RecordKey::single(RecordKind::Delegation, *person.as_bytes())
    }

    /// Those that are alive.
    pub fn alive(&self, now: Instant) -> impl Iterator<Item = &Delegation> {
        self.0.iter().filter(move |one| now < one.until)
    }

    /// The one with this id, if it is alive.
    #[must_use]
    pub fn find(&self, id: DelegationId, now: Instant) -> Option<&Delegation> {
        self.alive(now).find(|one| one.id == id)
    }

    /// Whether any allows it.
    #[must_use]
    pub fn allow(&self, to: &Grantee, account: &AccountId, scope: Scope, now: Instant) -> bool {
        self.0.iter().any(|one| one.allows(to, account, scope, now))
    }

    /// With one more; those that are over are left out.
    ///
    /// # Errors
    /// [`DelegationError`] says what does not fit.
    pub fn with(
        &self,
        one: Delegation,
        of: PersonId,
        now: Instant,
    ) -> Result<Self, DelegationError> {
        let mut accounts = one.accounts.clone();
        accounts.sort_unstable();
        accounts.dedup();
        if accounts.len() != one.accounts.len() || !(1..=ACCOUNTS_MAX).contains(&accounts.len()) {
            return Err(DelegationError::Accounts);
        }
        if one.scopes.is_empty() {
            return Err(DelegationError::Scopes);
        }
        if one.until <= now || one.until > now.plus(LIFE_MAX) {
            return Err(DelegationError::Until);
        }
        if one.to == Grantee::Person(of) {
            return Err(DelegationError::Oneself);
        }
        let mut alive: Vec<Delegation> = self.alive(now).cloned().collect();
        if alive.len() >= ALIVE_MAX {
            return Err(DelegationError::TooMany);
        }
        alive.push(one);
        Ok(Self(alive))
    }

    /// Without the one with this id; `None` if it is not there.
    #[must_use]
    pub fn without(&self, id: DelegationId, now: Instant) -> Option<Self> {
        self.find(id, now)?;
        Some(Self(self.alive(now).filter(|one| one.id != id).cloned().collect()))
    }

    /// As stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
        let mut w = Writer::new();
        w.array(2).uint(FORMAT).array(count(self.0.len()));
        for one in &self.0 {
            w.array(7).bytes(one.id.as_bytes());
            match &one.to {
                Grantee::Client(client) => w.uint(1).text(client.as_str()),
                Grantee::Approved(client) => w.uint(3).text(client.as_str()),
                Grantee::Person(person) => w.uint(2).bytes(person.as_bytes()),
            };
            w.array(count(one.accounts.len()));
            for account in &one.accounts {
                w.bytes(account.as_bytes());
            }
            w.uint(one.scopes.bits().into()).uint(one.made.unix_ms()).uint(one.until.unix_ms());
        }
        w.finish()
    }

    /// As it was stored; no record is an empty list.
    ///
    /// # Errors
    /// [`CodecError`] for bytes that are none.
    pub fn from_stored(bytes: Option<&[u8]>) -> Result<Self, CodecError> {
        bytes.map_or(Ok(Self::default()), |bytes| decode_exact(bytes, WHAT, read, Self::to_bytes))
    }
}

fn read(r: &mut Reader<'_>) -> Result<Delegations, CodecError> {
    if r.array("list", 2)? != 2 || r.uint()? != FORMAT {
        return Err(r.bad("format"));
    }
    let mut all = Vec::new();
    for _ in 0..r.array("delegations", ALIVE_MAX as u64)? {
        all.push(read_one(r)?);
    }
    Ok(Delegations(all))
}

fn read_one(r: &mut Reader<'_>) -> Result<Delegation, CodecError> {
    if r.array("delegation", 7)? != 7 {
        return Err(r.bad("delegation"));
    }
    let id = DelegationId(r.fixed("id")?);
    let to = match r.uint()? {
        1 => Grantee::Client(r.text("to", 64)?.parse().map_err(|_| r.bad("to"))?),
        2 => Grantee::Person(PersonId::from_bytes(r.fixed("to")?)),
        3 => Grantee::Approved(r.text("to", 64)?.parse().map_err(|_| r.bad("to"))?),
        _ => return Err(r.bad("to")),
    };
    let mut accounts = Vec::new();
    for _ in 0..r.array("accounts", ACCOUNTS_MAX as u64)? {
        accounts.push(AccountId::from_bytes(r.fixed("account")?));
    }
    let scopes = r.uint()?;
    let scopes = Scopes::from_bits(scopes).ok_or_else(|| r.bad("scopes"))?;
    let (made, until) = (read_time(r, "made")?, read_time(r, "until")?);
    Ok(Delegation { id, to, accounts, scopes, made, until })
}
