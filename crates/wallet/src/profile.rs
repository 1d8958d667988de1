//! What a device knows that is no secret: its server, its accounts, whom it trusts, the newest log it has seen.

use serde::{Deserialize, Serialize};
use tpw_core::{AccountId, Asset, DeviceId, Hash32, Name, PersonId, TreeHead};
use tpw_proof::tree::{empty_root, verify_consistency};
use tpw_proof::{ProofError, Trust};

use crate::WalletError;

const VERSION: u32 = 1;
/// A profile lists accounts; ten thousand of them fit.
const JSON_LEN_MAX: usize = 4 << 20;

/// Who can move the money of an account.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Custody {
    /// The operator holds it for the person.
    Custodial,
    /// Only the person's own keys move it.
    SelfCustodial,
}

impl Custody {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Custodial => "custodial",
            Self::SelfCustodial => "self_custodial",
        }
    }

    /// From the stable code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Custodial, Self::SelfCustodial].into_iter().find(|custody| custody.code() == code)
    }
}

/// One account of the person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// What it holds.
    pub asset: Asset,
    /// Who can move its money.
    pub custody: Custody,
    /// What the person calls it; unique in a profile, and no account id.
    pub label: Name,
}

/// What this device knows that is no secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    /// The server's address, `https://…` (or `http://…` on the loopback).
    pub server: String,
    /// The person, once enrolled.
    pub person: Option<PersonId>,
    /// The device, once enrolled.
    pub device: Option<DeviceId>,
    /// The newest tree head seen; before the first, that of the empty tree.
    pub seen: TreeHead,
    audience: Name,
    accounts: Vec<Account>,
    trust_json: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    server: String,
    person: Option<String>,
    device: Option<String>,
    accounts: Vec<StoredAccount>,
    seen_size: String,
    seen_root: String,
    trust: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredAccount {
    id: String,
    asset: String,
    custody: String,
    label: String,
}

fn bad(cause: impl ToString) -> WalletError {
    WalletError::ProfileCorrupt(cause.to_string())
}

impl Profile {
    /// A profile for a server, before enrolment and without accounts. `trust_json` is the operator's trust file; it
    /// also says the operator's name, which intents are addressed to.
    ///
    /// # Errors
    /// [`WalletError::ProfileCorrupt`] when the address is no HTTP address or the trust file cannot be read.
    pub fn new(server: &str, trust_json: &str) -> Result<Self, WalletError> {
        let host = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://"));
        if server.len() > 2048
            || host.is_none_or(str::is_empty)
            || server.contains(char::is_whitespace)
        {
            return Err(bad("the server address is no http or https address"));
        }
        let trust = Trust::from_json(trust_json).map_err(bad)?;
        Ok(Self {
            server: server.to_owned(),
            audience: trust.operator,
            person: None,
            device: None,
            // RFC 6962 §2.1: the root of the empty tree.
            seen: TreeHead { size: 0, root: empty_root() },
            accounts: Vec::new(),
            trust_json: trust_json.to_owned(),
        })
    }

    /// The operator's name, which every intent is addressed to: the one in the trust file.
    #[must_use]
    pub const fn audience(&self) -> &Name {
        &self.audience
    }

    /// Whom this device trusts.
    ///
    /// # Errors
    /// [`WalletError::ProfileCorrupt`] when the stored trust file cannot be read.
    pub fn trust(&self) -> Result<Trust, WalletError> {
        Trust::from_json(&self.trust_json).map_err(bad)
    }

    /// The trust file, byte for byte as it was given.
    #[must_use]
    pub fn trust_json(&self) -> &str {
        &self.trust_json
    }

    /// The accounts, in the order in which they were added.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Adds an account, or replaces the one with its id.
    ///
    /// # Errors
    /// [`WalletError::ProfileCorrupt`] when another account has the label, or the label reads as an account id.
    pub fn put_account(&mut self, account: Account) -> Result<(), WalletError> {
        let taken = |a: &&Account| a.label == account.label && a.id != account.id;
        if self.accounts.iter().find(taken).is_some() {
            return Err(bad(format!("two accounts are called `{}`", account.label.as_str())));
        }
        if account.label.as_str().parse::<AccountId>().is_ok() {
            return Err(bad("a label may not read as an account id"));
        }
        match self.accounts.iter_mut().find(|own| own.id == account.id) {
            Some(own) => *own = account,
            None => self.accounts.push(account),
        }
        Ok(())
    }

    /// The account with this id.
    ///
    /// # Errors
    /// [`WalletError::UnknownAccount`].
    pub fn account(&self, id: AccountId) -> Result<&Account, WalletError> {
        self.accounts
            .iter()
            .find(|account| account.id == id)
            .ok_or_else(|| WalletError::UnknownAccount(id.to_string()))
    }

    /// The account that a person means: by label, or by id.
    ///
    /// # Errors
    /// [`WalletError::UnknownAccount`].
    pub fn find_account(&self, text: &str) -> Result<&Account, WalletError> {
        let id = text.parse::<AccountId>().ok();
        self.accounts
            .iter()
            .find(|account| account.label.as_str() == text || Some(account.id) == id)
            .ok_or_else(|| WalletError::UnknownAccount(text.chars().take(64).collect()))
    }

    /// Takes note of a tree head from a checkpoint whose signatures verified. An older one than the newest seen is
    /// ignored: servers answer out of order.
    ///
    /// # Errors
    /// [`WalletError::LogForked`] when a head of the same size has another root.
    pub fn observe(&mut self, head: TreeHead) -> Result<(), WalletError> {
        if head.size == self.seen.size && head.root != self.seen.root {
            return Err(WalletError::LogForked(head.size));
        }
        if head.size > self.seen.size {
            self.seen = head;
        }
        Ok(())
    }

    /// As [`observe`](Self::observe), and checks the server's proof that the newest tree seen is the beginning of the
    /// one at `head` (RFC 9162 §2.1.4.2).
    ///
    /// # Errors
    /// [`WalletError::LogForked`] when the proof is well-formed and leads elsewhere, [`WalletError::Proof`] when it is
    /// no proof between the two sizes. Nothing is remembered then.
    pub fn observe_growth(
        &mut self,
        head: TreeHead,
        consistency: &[Hash32],
    ) -> Result<(), WalletError> {
        if head.size > self.seen.size {
            let (old, new) = (self.seen, head);
            verify_consistency(old.size, new.size, consistency, &old.root, &new.root).map_err(
                |error| match error {
                    ProofError::RootMismatch => WalletError::LogForked(head.size),
                    other => WalletError::Proof(other),
                },
            )?;
        }
        self.observe(head)
    }

    /// The profile file: JSON with its keys in one order. The caller writes it atomically.
    #[must_use]
    pub fn to_json(&self) -> String {
        let stored = Stored {
            version: VERSION,
            server: self.server.clone(),
            person: self.person.map(|id| id.to_string()),
            device: self.device.map(|id| id.to_string()),
            accounts: self.accounts.iter().map(StoredAccount::from_account).collect(),
            seen_size: self.seen.size.to_string(),
            seen_root: self.seen.root.to_string(),
            trust: self.trust_json.clone(),
        };
        // Strings, options and lists of strings always serialise.
        serde_json::to_string_pretty(&stored).unwrap_or_default()
    }

    /// Reads a profile file.
    ///
    /// # Errors
    /// [`WalletError::ProfileCorrupt`] when a field is missing, unknown or malformed, or the version is another.
    pub fn from_json(json: &str) -> Result<Self, WalletError> {
        if json.len() > JSON_LEN_MAX {
            return Err(bad("it is too large"));
        }
        let stored: Stored = serde_json::from_str(json).map_err(bad)?;
        if stored.version != VERSION {
            return Err(bad(format!("version {} is not known here", stored.version)));
        }
        let mut profile = Self::new(&stored.server, &stored.trust)?;
        profile.person = stored.person.map(|id| id.parse().map_err(bad)).transpose()?;
        profile.device = stored.device.map(|id| id.parse().map_err(bad)).transpose()?;
        let size: u64 = stored.seen_size.parse().map_err(bad)?;
        profile.seen = TreeHead { size, root: stored.seen_root.parse().map_err(bad)? };
        if size == 0 && profile.seen.root != empty_root() {
            return Err(bad("the seen tree is empty and its root is not that of an empty tree"));
        }
        for account in stored.accounts {
            let account = account.into_account()?;
            if profile.account(account.id).is_ok() {
                return Err(bad(format!("`{}` is listed twice", account.id)));
            }
            profile.put_account(account)?;
        }
        Ok(profile)
    }
}

impl StoredAccount {
    fn from_account(account: &Account) -> Self {
        Self {
            id: account.id.to_string(),
            asset: account.asset.to_string(),
            custody: account.custody.code().to_owned(),
            label: account.label.as_str().to_owned(),
        }
    }

    fn into_account(self) -> Result<Account, WalletError> {
        Ok(Account {
            id: self.id.parse().map_err(bad)?,
            asset: self.asset.parse().map_err(bad)?,
            custody: Custody::from_code(&self.custody)
                .ok_or_else(|| bad(format!("`{}` is no kind of custody", self.custody)))?,
            label: Name::new(&self.label).map_err(bad)?,
        })
    }
}
