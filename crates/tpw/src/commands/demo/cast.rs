//! The people of the demonstration, each with a device of their own, made through the same API as everybody's.

use super::super::Context;
use super::super::wallet::{client, profile_of};
use super::ms_since;
use crate::client::Client;
use crate::device::files::DeviceFolder;
use crate::device::keys::Keys;
use crate::device::pay::Teller;
use crate::exit::Failure;
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Instant as Stopwatch;
use tpw_access::EnrolmentCode;
use tpw_core::{AccountId, Amount, Money, Name, Purpose};
use tpw_crypto::{Algorithm, Entropy as _};
use tpw_engines::entropy::OsEntropy;
use tpw_engines::files::FolderLock;
use tpw_proof::Trust;
use tpw_server::wire::{
    Account, AccountKind, NewAccount, NewPerson, OpenAccount, PersonAdded, Text,
};
use tpw_wallet::pay::{LIFE_DEFAULT, Order, Origin};
use tpw_wallet::profile::Profile;
use tpw_wallet::vault::{Passphrase, Vault};

/// The operator, at work for the demonstration.
pub(super) struct Office<'a> {
    pub(super) context: &'a Context,
    pub(super) server: String,
    pub(super) ca: Option<Vec<u8>>,
    pub(super) client: Client,
    pub(super) keys: Keys,
}

/// A person with an enrolled device.
pub(super) struct Person {
    pub(super) name: &'static str,
    folder: DeviceFolder,
    profile: Profile,
    keys: Keys,
    client: Client,
    passphrase: Passphrase,
    pub(super) accounts: Vec<AccountId>,
    /// What enrolment and the first token took.
    pub(super) authenticate_ms: f64,
    pub(super) thumbprint: String,
    _lock: FolderLock,
}

pub(super) fn wire(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::failed("server-answer").because(error))
}

impl Office<'_> {
    /// Enters a person with accounts in dollars and enrols a device for it.
    pub(super) async fn welcome(
        &self,
        name: &'static str,
        folder: PathBuf,
        accounts: &[(&str, u128)],
        algorithm: Algorithm,
    ) -> Result<Person, Failure> {
        let asset = "USD/2".parse().map_err(|error| Failure::failed("asset").because(error))?;
        let account = |&(label, cents): &(&str, u128)| NewAccount {
            id: None,
            asset: Text(asset),
            kind: AccountKind::Custodial,
            label: label.to_owned(),
            opening: Some(Text(Amount::from_minor(cents))),
        };
        let accounts = accounts.iter().map(account).collect();
        let new = NewPerson { id: None, name: name.to_owned(), accounts, enrolment_code: true };
        let answer = self.client.post(&self.keys, "/v1/people", &wire(&new)?).await?;
        let added: PersonAdded = answer.json()?;
        let folder = DeviceFolder::at(folder);
        folder.create()?;
        let lock = folder.lock()?;
        let vault = Vault::create(algorithm, &mut OsEntropy)?;
        let thumbprint = tpw_core::Hash32::new(vault.public_key()?.jwk_thumbprint()).to_string();
        let client = client(self.context, &self.server, self.ca.as_deref())?;
        let code = added.code.as_deref().unwrap_or_default();
        let code: EnrolmentCode =
            code.parse().map_err(|error| Failure::failed("server-answer").because(error))?;
        let keys = Keys::Vault(Box::new(vault));
        let watch = Stopwatch::now();
        let enrolled = client.enrol(&keys, &code).await?;
        client.token(&keys).await?;
        let authenticate_ms = ms_since(watch);
        let Keys::Vault(mut vault) = keys else { return Err(Failure::failed("agent")) };
        vault.enrol(enrolled.device.0, enrolled.person.0)?;
        let passphrase = passphrase()?;
        folder.write_vault(&vault, &passphrase, &mut OsEntropy)?;
        let profile = profile_of(client.origin(), &enrolled)?;
        folder.write_profile(&profile)?;
        if let Some(ca) = &self.ca {
            folder.write_ca(ca)?;
        }
        Ok(Person {
            name,
            folder,
            profile,
            keys: Keys::Vault(vault),
            client,
            passphrase,
            accounts: added.accounts.iter().map(|Text(id)| *id).collect(),
            authenticate_ms,
            thumbprint,
            _lock: lock,
        })
    }

    /// An account that mirrors one at a clearing partner.
    pub(super) async fn partner(&self, label: &str) -> Result<AccountId, Failure> {
        let asset = "USD/2".parse().map_err(|error| Failure::failed("asset").because(error))?;
        let account = NewAccount {
            id: None,
            asset: Text(asset),
            kind: AccountKind::External,
            label: label.to_owned(),
            opening: None,
        };
        let body = wire(&OpenAccount { person: None, account })?;
        let opened: Account = self.client.post(&self.keys, "/v1/accounts", &body).await?.json()?;
        Ok(opened.id.0)
    }
}

/// A passphrase that nobody has to know: the demonstration's devices end with it.
fn passphrase() -> Result<Passphrase, Failure> {
    let mut random = [0_u8; 16];
    OsEntropy.fill(&mut random).map_err(|error| Failure::failed("signing").because(error))?;
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Passphrase::new(&text)?)
}

impl Person {
    /// Opens the journal of the device.
    pub(super) fn teller<'a>(&'a self, context: &'a Context) -> Result<Teller<'a>, Failure> {
        Ok(Teller {
            folder: &self.folder,
            profile: &self.profile,
            journal: self.folder.journal()?,
            keys: &self.keys,
            client: &self.client,
            clock: context.clock.as_ref(),
            timing: None,
        })
    }

    /// The vault, opened anew with the passphrase: what a step-up asks for.
    pub(super) fn vault_again(&self) -> Result<Vault, Failure> {
        self.folder.open_vault(&self.passphrase)
    }

    /// Whom the device trusts.
    pub(super) fn trust(&self) -> Result<Trust, Failure> {
        Ok(self.profile.trust()?)
    }

    pub(super) fn receipt_path(&self, name: &str) -> PathBuf {
        self.folder.receipt_path(name)
    }

    pub(super) fn receipt(&self, name: &str) -> Result<Vec<u8>, Failure> {
        self.folder.receipt(name)
    }

    /// An order over `cents` from one of the person's accounts.
    pub(super) fn order(
        &self,
        from: usize,
        payee: AccountId,
        cents: u128,
        note: &str,
    ) -> Result<Order, Failure> {
        let payer = self.accounts.get(from).ok_or_else(|| Failure::failed("server-answer"))?;
        let named = |text: &str| Name::new(text).map_err(|e| Failure::failed("note").because(e));
        let asset = self.profile.account(*payer)?.asset;
        Ok(Order {
            payer: *payer,
            payee,
            money: Money { amount: Amount::from_minor(cents), asset },
            purpose: Purpose::new(note).map_err(|e| Failure::failed("note").because(e))?,
            fee_limit: Amount::ZERO,
            life: LIFE_DEFAULT,
            origin: Origin::Named(named(note)?),
        })
    }
}
